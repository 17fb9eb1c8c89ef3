//! Where and when each fault happens.
//!
//! Invariants: faults of one meter are two days apart; none of them meets an outage of its gateway; a counter is moved at most once, and false
//! zeros and drops happen where the register is far from both ends, so that `docs/registers.md` decides each.

use super::{Kind, Level, MeterFault, Outage, Preview, Rates};
use crate::keyed::Key;
use crate::register::MILLI;
use crate::roster::Roster;
use crate::window::{DAY_MS, HOUR_MS, MINUTE_MS, Window};
use crate::zone::{Channel, Zone};

/// Draws for one fault before it is given up.
const ATTEMPTS_MAX: i64 = 400;
const APART_MS: i64 = 2 * DAY_MS;
/// A prediction of when a register rolls over is this good.
const ROLLOVER_SLACK_MS: i64 = 3 * DAY_MS;
/// A register is far from a number when the rating could not carry it there in this time.
const FAR_HOURS: i64 = 48;
/// A wrong clock is off by this many minutes, the second exclusive: under the 15 that a reading may be ahead.
const CLOCK_MINUTES: (i64, i64) = (3, 13);
/// Undeclared swaps that put in a used meter.
const USED_SHARE: f64 = 0.25;
const METERS_OF_A_ZONE: f64 = 300.0;
const DAYS_OF_A_MONTH: f64 = 30.0;

#[derive(Clone)]
pub struct Plan {
    /// The registers at the run's start, in thousandths of a ledger unit, per channel.
    pub starts: Vec<i128>,
    /// Per meter.
    pub faults: Vec<Vec<MeterFault>>,
    /// Per gateway.
    pub outages: Vec<Vec<Outage>>,
    pub rates: Rates,
    /// Faults that found no place.
    pub unplaced: usize,
}

impl Plan {
    /// A run without planned faults.
    #[must_use]
    pub fn quiet(zone: &Zone, roster: &Roster, seed: u64) -> Plan {
        let start = |channel: &Channel| {
            let share = Key::new(seed).text("register").text(&channel.meter).text(&channel.item).within(0.1, 0.9);
            (share * channel.full as f64) as i128 * i128::from(MILLI)
        };
        Plan {
            starts: zone.channels.iter().map(start).collect(),
            faults: vec![Vec::new(); roster.meters.len()],
            outages: vec![Vec::new(); roster.gateways.len()],
            rates: Rates::of(Level::None),
            unplaced: 0,
        }
    }

    #[must_use]
    pub fn draw(zone: &Zone, roster: &Roster, window: &Window, level: Level, preview: &Preview, seed: u64) -> Plan {
        let mut plan = Plan::quiet(zone, roster, seed);
        plan.rates = Rates::of(level);
        if level == Level::None {
            return plan;
        }
        let mut planner = Planner { zone, roster, window, preview, key: Key::new(seed).text("fault"), plan };
        let month =
            roster.meters.len() as f64 / METERS_OF_A_ZONE * (window.to_ms - window.live_from_ms) as f64 / DAY_MS as f64 / DAYS_OF_A_MONTH;
        let share = if level == Level::Field { 0.1 } else { 1.0 };
        let kinds = [
            Kind::GatewayOffline,
            Kind::Rollover,
            Kind::Reset,
            Kind::SwapDeclared,
            Kind::SwapUndeclared,
            Kind::FalseZero,
            Kind::Frozen,
            Kind::Spike,
            Kind::ClockDrift,
            Kind::Gap,
        ];
        for kind in kinds {
            planner.place(kind, (kind.per_harsh_month() * share * month).ceil() as i64);
        }
        planner.plan
    }
}

struct Planner<'a> {
    zone: &'a Zone,
    roster: &'a Roster,
    window: &'a Window,
    preview: &'a Preview,
    key: Key,
    plan: Plan,
}

impl Planner<'_> {
    fn place(&mut self, kind: Kind, count: i64) {
        for number in 0..count {
            let key = self.key.text(kind.name()).number(number);
            let placed = (0..ATTEMPTS_MAX).any(|attempt| {
                let key = key.number(attempt);
                if kind == Kind::GatewayOffline { self.place_outage(key) } else { self.place_on_meter(kind, key) }
            });
            self.plan.unplaced += usize::from(!placed);
        }
    }

    /// A moment of the live part, in whole seconds, with room for what follows.
    fn moment(&self, key: Key, lasts_ms: i64) -> Option<i64> {
        let Window { live_from_ms, to_ms, .. } = *self.window;
        let margin = (12 * HOUR_MS).min((to_ms - live_from_ms) / 6);
        let (low, high) = (live_from_ms + margin, to_ms - margin - lasts_ms);
        (low < high).then(|| key.text("moment").whole(low, high) / 1000 * 1000)
    }

    /// The first reading at or after a moment.
    fn reading_after(&self, at_ms: i64) -> i64 {
        let Window { live_from_ms, step_ms, .. } = *self.window;
        live_from_ms + (at_ms - live_from_ms + step_ms - 1) / step_ms * step_ms
    }

    fn place_outage(&mut self, key: Key) -> bool {
        let gateway = key.text("gateway").index(self.roster.gateways.len());
        let lasts_ms = self.lasts(Kind::GatewayOffline, key);
        let Some(moment) = self.moment(key, lasts_ms) else {
            return false;
        };
        let outage = Outage { from_ms: self.reading_after(moment), to_ms: self.reading_after(moment + lasts_ms) };
        let apart = |other: &Outage| outage.to_ms + 2 * HOUR_MS < other.from_ms || other.to_ms + 2 * HOUR_MS < outage.from_ms;
        let free = self.plan.outages[gateway].iter().all(apart);
        if free {
            self.plan.outages[gateway].push(outage);
        }
        free
    }

    fn place_on_meter(&mut self, kind: Kind, key: Key) -> bool {
        let meter = key.text("meter").index(self.roster.meters.len());
        let registers = &self.roster.meters[meter].registers;
        if registers.is_empty() {
            return false;
        }
        let channel = registers[key.text("channel").index(registers.len())];
        let Some(fault) = self.candidate(kind, meter, channel, key) else {
            return false;
        };
        if !self.is_free(meter, &fault) {
            return false;
        }
        if kind == Kind::Rollover {
            let predicted = (self.preview.total(channel, fault.from_ms) * MILLI as f64) as i128;
            self.plan.starts[channel] = i128::from(self.zone.channels[channel].full) * i128::from(MILLI) - predicted;
        }
        self.plan.faults[meter].push(fault);
        true
    }

    fn candidate(&self, kind: Kind, meter: usize, channel: usize, key: Key) -> Option<MeterFault> {
        let lasts_ms = self.lasts(kind, key) / 1000 * 1000;
        let moment = self.moment(key, lasts_ms)?;
        let from_ms = if matches!(kind, Kind::FalseZero | Kind::Spike) {
            self.reading_after(moment)
        } else if self.reading_after(moment) == moment {
            moment + 1000
        } else {
            moment
        };
        let (amount, starts) = (self.amount(kind, channel, key), self.starts(kind, meter, from_ms, key));
        let fault = MeterFault { kind, channel, from_ms, to_ms: from_ms + lasts_ms, amount, starts };
        self.is_decidable(meter, &fault).then_some(fault)
    }

    fn lasts(&self, kind: Kind, key: Key) -> i64 {
        let key = key.text("lasts");
        match kind {
            Kind::Frozen => key.whole(2 * HOUR_MS, 8 * HOUR_MS),
            Kind::Gap => key.whole(HOUR_MS, 6 * HOUR_MS),
            Kind::ClockDrift => key.whole(6 * HOUR_MS, 72 * HOUR_MS).min((self.window.to_ms - self.window.live_from_ms) / 3),
            Kind::GatewayOffline => key.whole(HOUR_MS, 24 * HOUR_MS).min((self.window.to_ms - self.window.live_from_ms) / 3),
            Kind::Reset | Kind::Rollover | Kind::SwapDeclared | Kind::SwapUndeclared | Kind::FalseZero | Kind::Spike => 0,
        }
    }

    /// How high a spike stands above the register, how far a clock is ahead.
    fn amount(&self, kind: Kind, channel: usize, key: Key) -> i64 {
        let scale = &self.zone.channels[channel];
        match kind {
            Kind::Spike => key.text("height").whole(FAR_HOURS / 2, FAR_HOURS - 2) * capacity_of_an_hour(scale) / scale.step * scale.step,
            Kind::ClockDrift => {
                let sign = if key.text("sign").uniform() < 0.5 { 1 } else { -1 };
                sign * key.text("shift").whole(CLOCK_MINUTES.0, CLOCK_MINUTES.1) * MINUTE_MS
            }
            Kind::Gap
            | Kind::Reset
            | Kind::Rollover
            | Kind::SwapDeclared
            | Kind::SwapUndeclared
            | Kind::FalseZero
            | Kind::Frozen
            | Kind::GatewayOffline => 0,
        }
    }

    /// The registers of the device that is put in.
    fn starts(&self, kind: Kind, meter: usize, at_ms: i64, key: Key) -> Vec<i64> {
        let registers = &self.roster.meters[meter].registers;
        let is_used = kind == Kind::SwapUndeclared && key.text("used").uniform() < USED_SHARE;
        registers.iter().map(|channel| if is_used { self.used_start(*channel, at_ms, key) } else { 0 }).collect()
    }

    /// Whether `docs/registers.md` leaves no doubt about what happened.
    fn is_decidable(&self, meter: usize, fault: &MeterFault) -> bool {
        let MeterFault { channel, from_ms, to_ms, .. } = *fault;
        let registers = &self.roster.meters[meter].registers;
        let scale = &self.zone.channels[channel];
        match fault.kind {
            Kind::Reset | Kind::FalseZero | Kind::Spike => self.is_far_from_both_ends(channel, from_ms),
            Kind::SwapUndeclared => registers.iter().all(|channel| self.is_far_from_both_ends(*channel, from_ms)),
            Kind::Rollover => self.rolls_over_at(channel, from_ms),
            Kind::Frozen => {
                let hours = (to_ms - from_ms) as f64 / HOUR_MS as f64;
                let enough = (10 * scale.step) as f64 + 0.03 * scale.rating_per_h as f64 * hours;
                // Only where the flow gauge tells on the counter (docs/registers.md).
                let told = registers.len() == 1 && self.roster.meters[meter].flow.is_some();
                let at_once = (16 * scale.step) as f64 + 0.02 * scale.rating_per_h as f64;
                let shows_at_once =
                    [from_ms, from_ms + HOUR_MS].iter().all(|at_ms| self.preview.between(channel, *at_ms, at_ms + HOUR_MS) > at_once);
                told && shows_at_once && self.preview.between(channel, from_ms, to_ms) > enough
            }
            Kind::SwapDeclared | Kind::ClockDrift | Kind::Gap | Kind::GatewayOffline => true,
        }
    }

    fn is_free(&self, meter: usize, fault: &MeterFault) -> bool {
        let slack = if fault.kind == Kind::Rollover { ROLLOVER_SLACK_MS } else { 0 };
        let (from_ms, to_ms) = (fault.from_ms - slack, fault.to_ms + slack);
        let meets_outage = self.plan.outages[self.roster.meters[meter].gateway]
            .iter()
            .any(|outage| outage.from_ms < fault.to_ms + 10 * HOUR_MS && fault.from_ms - 4 * HOUR_MS < outage.to_ms);
        let clashes = self.plan.faults[meter].iter().any(|other| {
            let slack = if other.kind == Kind::Rollover { ROLLOVER_SLACK_MS } else { 0 };
            let near = from_ms < other.to_ms + slack + APART_MS && other.from_ms - slack - APART_MS < to_ms;
            let both_move = fault.kind.moves_the_counter() && other.kind.moves_the_counter();
            near || both_move || needs_height(fault, other) || needs_height(other, fault)
        });
        !meets_outage && !clashes
    }

    /// Whether no flow that the rating allows brings the predicted register to zero or to full scale soon.
    fn is_far_from_both_ends(&self, channel: usize, at_ms: i64) -> bool {
        let scale = &self.zone.channels[channel];
        let far = FAR_HOURS * capacity_of_an_hour(scale);
        let register = self.predicted(channel, at_ms);
        far < register && register < scale.full - far
    }

    fn predicted(&self, channel: usize, at_ms: i64) -> i64 {
        let start = (self.plan.starts[channel] / i128::from(MILLI)) as i64;
        (start + self.preview.total(channel, at_ms) as i64) % self.zone.channels[channel].full
    }

    /// Whether a register can be made to pass its full scale about then, and only then.
    fn rolls_over_at(&self, channel: usize, at_ms: i64) -> bool {
        let scale = &self.zone.channels[channel];
        let Window { live_from_ms, to_ms, .. } = *self.window;
        let third = (to_ms - live_from_ms) / 3;
        let within = live_from_ms + third < at_ms && at_ms < to_ms - third;
        let flow = self.preview.between(channel, live_from_ms, to_ms);
        let enough = flow > (200 * scale.step) as f64;
        within
            && enough
            && self.preview.total(channel, to_ms) < 0.9 * scale.full as f64
            && 4 * FAR_HOURS * capacity_of_an_hour(scale) < scale.full
    }

    /// Where a used meter stands: far from the old one, above and below; zero if there is no such place.
    fn used_start(&self, channel: usize, at_ms: i64, key: Key) -> i64 {
        let scale = &self.zone.channels[channel];
        let far = FAR_HOURS * capacity_of_an_hour(scale);
        let old = self.predicted(channel, at_ms);
        let drawn = (key.text("start").text(&scale.item).uniform() * scale.full as f64) as i64 / scale.step * scale.step;
        let apart = (drawn - old).abs() > far && far < drawn && drawn < scale.full - far && scale.full - old + drawn > far;
        if apart { drawn } else { 0 }
    }
}

/// Whether `fault` needs the register where it would have been had `mover` not moved it before.
fn needs_height(fault: &MeterFault, mover: &MeterFault) -> bool {
    let needs = matches!(fault.kind, Kind::FalseZero | Kind::Spike);
    needs && mover.kind.moves_the_counter() && mover.from_ms - ROLLOVER_SLACK_MS < fault.from_ms
}

/// The most that an hour can bring, in ledger units (`docs/registers.md`).
fn capacity_of_an_hour(channel: &Channel) -> i64 {
    (channel.rating_per_h * 6 / 5).max(channel.step)
}
