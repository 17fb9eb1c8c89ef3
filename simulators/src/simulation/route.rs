//! When a reading is published: now, late, after newer ones, twice, or only when it is asked for.

use super::Simulation;
use crate::faults::Kind;
use crate::outbox::Item;
use crate::truth::{Loss, Played};
use crate::window::HOUR_MS;

/// A late reading waits between these, a reordered one up to the first but one hour.
const LATE_MS: (i64, i64) = (72 * 60_000, 6 * HOUR_MS);
const REORDER_MS_MAX: i64 = 50 * 60_000;
const REPEAT_MS_MAX: i64 = 2 * HOUR_MS;

impl Simulation<'_> {
    /// Sends a reading on its way: withheld, late, reordered, now, and perhaps again.
    pub(super) fn route(&mut self, meter: usize, true_ms: i64, item: Item, live: bool) {
        let outbox = &mut self.outboxes[self.roster.meters[meter].gateway];
        if !live {
            outbox.now(item);
            return;
        }
        let gap = self.plan.faults[meter].iter().find(|fault| fault.kind == Kind::Gap && fault.covers(true_ms));
        if let Some(fault) = gap.cloned() {
            let known = |played: &Played| played.kind == Kind::Gap && played.meter == Some(meter) && played.from_ms == fault.from_ms;
            if !self.played.iter().any(known) {
                self.play(Kind::Gap, meter, None, (fault.from_ms, fault.to_ms), Loss::Nothing);
            }
            return;
        }
        let key = self.key.text("way").text(&self.roster.meters[meter].id).number(true_ms);
        let rates = self.plan.rates;
        let draw = key.uniform();
        let delay_ms = match draw {
            draw if draw < rates.late => key.text("late").whole(LATE_MS.0, LATE_MS.1),
            draw if draw < rates.late + rates.reorder => key.text("reorder").whole(1, REORDER_MS_MAX),
            _ => 0,
        };
        let at_border = |at_ms: i64| at_ms + (self.window.live_from_ms - at_ms).rem_euclid(self.window.step_ms);
        let leaves_ms = at_border(true_ms + delay_ms);
        if delay_ms > 0 && leaves_ms <= self.window.to_ms {
            outbox.later(leaves_ms, item);
            return;
        }
        outbox.now(item);
        if key.text("repeat").uniform() < rates.duplicate {
            outbox.later(at_border(true_ms + key.text("again").whole(0, REPEAT_MS_MAX)).min(self.window.to_ms), item);
        }
    }
}
