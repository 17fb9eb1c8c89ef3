//! The scan of `docs/registers.md`: one pass over a channel's marks in device time.
//!
//! Never changes marks before its start, nor needs to see them. Invariant: what it writes depends on the start and the marks only.

use super::mark::{Class, Mark, Quality, Verdict, What};
use crate::domain::units::{Millis, Quantity};

/// A drop or an impossible rise is held for fewer readings than this.
const HELD_READINGS_MAX: usize = 4;
/// A drop or an impossible rise is held for less than this.
const HELD_MS_MAX: i64 = 2 * 3_600_000;
/// A standing counter is frozen only if at least this many register steps should have shown.
const FROZEN_STEPS_MIN: f64 = 3.0;
/// … or so many by the lower of the gauges at both ends, whatever the rating: between them hardly less flowed.
const FROZEN_STEPS_BOTH_MIN: f64 = 1.0;
/// A standing counter is frozen only if the flow gauge showed at least this part of the rating.
const FROZEN_RATING_SHARE_MIN: f64 = 0.01;
/// A counter that moved missed something only if at least this part of what the gauge showed: gauges and registers differ by less.
const MISSED_SHARE_MIN: f64 = 0.1;

/// What a channel's register can do, in ledger units after the multiplier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest possible flow in one hour.
    pub rating_per_h: Quantity,
    /// The register's smallest step.
    pub step: Quantity,
    /// The register rolls over here.
    pub full: Quantity,
}

impl Limits {
    /// The most that can flow between two moments: 1.2 × rating × time, at least one register step.
    #[must_use]
    pub fn cap(&self, from: Millis, to: Millis) -> Quantity {
        let ms = i128::from((to.0 - from.0).max(0));
        let flow = i128::from(self.rating_per_h.0) * 6 * ms / (5 * 3_600_000);
        Quantity(i64::try_from(flow).unwrap_or(i64::MAX).max(self.step.0))
    }
}

/// Where a scan stands after a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing seen yet.
    Empty,
    /// Settled at the mark of this index.
    Settled(usize),
    /// Settled at the mark of this index before; all later ones are held.
    Pending(usize),
}

/// A scan over a channel's marks; it writes verdicts of marks up to the current one.
pub struct Scan<'a> {
    pub marks: &'a mut [Mark],
    pub limits: Limits,
    pub state: State,
}

impl Scan<'_> {
    /// Takes the mark at `index` in; all marks between the state's and `index` have been taken in before.
    pub fn take(&mut self, index: usize) {
        let serial = match (self.marks[index].what, self.marks[index].serial) {
            // After a declared swap an old number says nothing.
            (What::Reading(_), 0) if index > 0 => self.marks[index - 1].verdict.serial,
            (What::Reading(_) | What::Swap { .. }, own) => own,
        };
        self.marks[index].verdict = Verdict { serial, ..Verdict::HELD };
        self.state = match self.marks[index].what {
            What::Swap { closing, .. } => self.swap(closing, index),
            What::Reading(register) => self.reading(register, index),
        };
        if let State::Settled(at) = self.state
            && at == index
        {
            self.marks[index].verdict.anchor = true;
        }
    }

    fn swap(&mut self, closing: Quantity, index: usize) -> State {
        let from = match self.state {
            State::Empty => {
                self.decide(index, Class::Swap, Quantity(0), Quality::Measured, false);
                return State::Settled(index);
            }
            State::Settled(p) => p,
            State::Pending(p) if self.continues(p, closing, self.marks[index].at) => {
                self.discard(p, p + 1..index);
                p
            }
            State::Pending(p) => {
                self.give_up(p, index - 1);
                index - 1
            }
        };
        if self.continues(from, closing, self.marks[index].at) {
            let energy = Quantity(closing.0 - self.marks[from].register().0);
            self.decide(index, Class::Swap, energy, Quality::Measured, false);
        } else {
            self.decide(index, Class::Swap, Quantity(0), Quality::Estimated, false);
        }
        State::Settled(index)
    }

    fn reading(&mut self, register: Quantity, index: usize) -> State {
        match self.state {
            State::Empty => {
                self.decide(index, Class::First, Quantity(0), Quality::Measured, false);
                State::Settled(index)
            }
            State::Settled(p) => self.after_good(p, register, index),
            State::Pending(p) if self.serial_changed(p, index) => {
                self.give_up(p, index - 1);
                self.after_good(index - 1, register, index)
            }
            State::Pending(p) => self.after_held(p, register, index),
        }
    }

    fn after_good(&mut self, p: usize, register: Quantity, index: usize) -> State {
        if self.serial_changed(p, index) {
            let cap = self.limits.cap(self.marks[p].at, self.marks[index].at);
            if register <= cap {
                self.decide(index, Class::NewSerial, register, Quality::Assumed, false);
            } else {
                self.decide(index, Class::NewSerial, Quantity(0), Quality::Estimated, false);
            }
            return State::Settled(index);
        }
        if !self.continues(p, register, self.marks[index].at) {
            return State::Pending(p);
        }
        let energy = Quantity(register.0 - self.marks[p].register().0);
        // Once frozen it stays so until the register moves, however little flows.
        let frozen_before = self.marks[p].verdict.class == Class::Frozen;
        let missed = self.missed(p, index, energy);
        if energy.0 == 0 && (frozen_before || missed) {
            self.decide(index, Class::Frozen, energy, Quality::Assumed, false);
            self.doubt(p);
            return State::Settled(index);
        }
        self.decide(index, Class::Normal, energy, Quality::Measured, false);
        if frozen_before || (missed && self.stood_at_rest(p)) {
            self.doubt(index);
        } else if self.stood_at_rest(index)
            && let Some(begin) = (0..p).rev().find(|begin| self.marks[*begin].verdict.class.is_good())
            && self.missed(begin, p, self.marks[p].verdict.energy)
        {
            self.doubt(p);
        }
        State::Settled(index)
    }

    fn after_held(&mut self, p: usize, register: Quantity, index: usize) -> State {
        let drop = index - 1;
        let (good, low) = (self.marks[p].register().0, self.marks[drop].register().0);
        let dip = self.continues(p, register, self.marks[index].at);
        if low < good {
            let cap_to_drop = self.limits.cap(self.marks[p].at, self.marks[drop].at).0;
            let rolled = low + self.limits.full.0 - good;
            let rollover = (0..=cap_to_drop).contains(&rolled) && !dip;
            let reset = low <= cap_to_drop && self.continues(drop, register, self.marks[index].at);
            let near = low == 0 || 10 * i128::from(good - low) < i128::from(good);
            if rollover {
                let quality = if reset { Quality::Assumed } else { Quality::Measured };
                self.decide(drop, Class::Rollover, Quantity(rolled), quality, reset);
                self.discard(p, p + 1..drop);
                return self.after_good(drop, register, index);
            }
            if reset && !(dip && near) {
                self.decide(drop, Class::Reset, Quantity(low), Quality::Assumed, dip);
                self.discard(p, p + 1..drop);
                return self.after_good(drop, register, index);
            }
            if dip {
                self.discard(p, p + 1..index);
                let quality = if reset { Quality::Assumed } else { Quality::Measured };
                self.decide(index, Class::Normal, Quantity(register.0 - good), quality, reset);
                return State::Settled(index);
            }
        } else if dip {
            self.discard(p, p + 1..index);
            self.decide(index, Class::Normal, Quantity(register.0 - good), Quality::Measured, false);
            return State::Settled(index);
        }
        let held_for = self.marks[index].at.0 - self.marks[p + 1].at.0;
        if index - p < HELD_READINGS_MAX && held_for < HELD_MS_MAX {
            return State::Pending(p);
        }
        self.give_up(p, index);
        State::Settled(index)
    }

    /// Settles at `last`, the newest held mark: the energy from `p` to the run of normal steps that ends there is unknown.
    fn give_up(&mut self, p: usize, last: usize) {
        let mut first = last;
        while first > p + 1 && self.continues(first - 1, self.marks[first].register(), self.marks[first].at) {
            first -= 1;
        }
        self.discard(p, p + 1..first);
        self.decide(first, Class::Rebased, Quantity(0), Quality::Estimated, false);
        for index in first + 1..=last {
            let energy = Quantity(self.marks[index].register().0 - self.marks[index - 1].register().0);
            self.decide(index, Class::Normal, energy, Quality::Measured, false);
        }
    }

    /// Whether `register` at `at` follows the mark `p` without a drop and within the rating.
    fn continues(&self, p: usize, register: Quantity, at: Millis) -> bool {
        let rise = register.0 - self.marks[p].register().0;
        0 <= rise && rise <= self.limits.cap(self.marks[p].at, at).0
    }

    fn serial_changed(&self, p: usize, index: usize) -> bool {
        let (before, after) = (self.marks[p].verdict.serial, self.marks[index].serial);
        before != 0 && after != 0 && before != after
    }

    /// Whether the gauges at both ends of a span show more than its `energy`: a counter stood for some of the time at least.
    fn missed(&self, p: usize, index: usize, energy: Quantity) -> bool {
        let (Some(before), Some(after)) = (self.marks[p].flow_per_h, self.marks[index].flow_per_h) else {
            return false;
        };
        let hours = (self.marks[index].at.0 - self.marks[p].at.0) as f64 / 3_600_000.0;
        let (step, rating) = (self.limits.step.0 as f64, self.limits.rating_per_h.0 as f64);
        let missed = |flow_per_h: f32, steps_min: f64| {
            let flowed = f64::from(flow_per_h) * hours;
            flowed - energy.0 as f64 >= f64::max(steps_min * step, MISSED_SHARE_MIN * flowed)
        };
        let counts = f64::from(after) >= FROZEN_RATING_SHARE_MIN * rating;
        (counts && missed(after, FROZEN_STEPS_MIN)) || missed(before.min(after), FROZEN_STEPS_BOTH_MIN)
    }

    /// Whether the register stood in the span that ends here and no gauge says that anything flowed.
    fn stood_at_rest(&self, index: usize) -> bool {
        let verdict = &self.marks[index].verdict;
        verdict.class == Class::Normal && verdict.energy.0 == 0
    }

    /// A counter stopped or started again somewhere inside the span that ends here: what it counted there is not all that flowed.
    fn doubt(&mut self, index: usize) {
        let verdict = &mut self.marks[index].verdict;
        if verdict.class == Class::Normal {
            verdict.quality = verdict.quality.max(Quality::Assumed);
        }
    }

    fn discard(&mut self, p: usize, bad: std::ops::Range<usize>) {
        let good = self.marks[p].register();
        for index in bad {
            let class = if self.marks[index].register() < good { Class::Dip } else { Class::Spike };
            self.decide(index, class, Quantity(0), Quality::Measured, false);
        }
    }

    fn decide(&mut self, index: usize, class: Class, energy: Quantity, quality: Quality, ambiguous: bool) {
        let serial = self.marks[index].verdict.serial;
        self.marks[index].verdict = Verdict { class, quality, ambiguous, anchor: false, energy, serial };
    }
}
