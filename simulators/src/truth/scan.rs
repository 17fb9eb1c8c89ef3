//! The ideal reader: one scan over a channel's readings in device time (`docs/registers.md`).
//!
//! Knows only what was published. Registers and energies are in ledger units; `total` is carried along unread.

/// A reading as the ideal reader sees it, with the true flow up to its moment for the truth file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    pub at_ms: i64,
    pub register: i64,
    /// Thousandths of a ledger unit.
    pub total: i64,
}

/// Energy between two good bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounded {
    pub from: Point,
    pub to: Point,
    pub owed: i64,
}

/// The channel's limits: ledger units, and ledger units per hour.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub step: i64,
    pub full: i64,
    pub rating_per_h: i64,
}

const HELD_MAX: usize = 4;
const HELD_MS_MAX: i64 = 2 * 3_600_000;

#[derive(Clone, Debug)]
pub struct Scan {
    limits: Limits,
    /// The last good reading.
    good: Option<Point>,
    held: Vec<Point>,
}

impl Scan {
    #[must_use]
    pub fn new(limits: Limits) -> Scan {
        Scan { limits, good: None, held: Vec::new() }
    }

    /// The next reading in device time.
    pub fn read(&mut self, next: Point, spans: &mut Vec<Bounded>) {
        let Some(good) = self.good else {
            self.good = Some(next);
            return;
        };
        match self.held.last().copied() {
            None if self.is_normal(good, next) => {
                self.settle(good, next, next.register - good.register, spans);
            }
            None => self.held.push(next),
            Some(drop) if drop.register < good.register && self.decide(good, drop, next, spans) => {}
            Some(_) if self.is_normal(good, next) => {
                self.settle(good, next, next.register - good.register, spans);
            }
            Some(_) => {
                self.held.push(next);
                if self.held.len() >= HELD_MAX || next.at_ms - self.held[0].at_ms >= HELD_MS_MAX {
                    self.give_up(good, spans);
                }
            }
        }
    }

    /// A declared swap: the old register stood at `closing`, the new one stands at `opening`, at the same moment.
    pub fn swap(&mut self, closing: Point, opening: Point, spans: &mut Vec<Bounded>) {
        if let Some(good) = self.good.filter(|good| !self.held.is_empty() && !self.is_normal(*good, closing)) {
            self.give_up(good, spans);
        }
        if let Some(good) = self.good {
            let owed = if self.is_normal(good, closing) { closing.register - good.register } else { 0 };
            self.settle(good, closing, owed, spans);
        }
        self.good = Some(opening);
        self.held.clear();
    }

    /// Settles a drop if any class explains it; false leaves everything as it is.
    fn decide(&mut self, good: Point, drop: Point, next: Point, spans: &mut Vec<Bounded>) -> bool {
        let (p, d, n) = (good.register, drop.register, next.register);
        let rolled = d + self.limits.full - p;
        let rollover = self.is_plausible(rolled, drop.at_ms - good.at_ms);
        let reset = self.is_plausible(d, drop.at_ms - good.at_ms) && self.is_normal(drop, next);
        let dip = self.is_normal(good, next);
        let is_dip = dip && (!reset || d == 0 || 10 * i128::from(p - d) < i128::from(p));
        let owed = match (is_dip, rollover && !dip, reset) {
            (true, _, _) => {
                self.settle(good, next, n - p, spans);
                return true;
            }
            (false, true, _) => rolled,
            (false, false, true) => d,
            (false, false, false) => return false,
        };
        self.settle(good, drop, owed, spans);
        self.read(next, spans);
        true
    }

    fn give_up(&mut self, good: Point, spans: &mut Vec<Bounded>) {
        let held = std::mem::take(&mut self.held);
        let breaks = held.windows(2).rposition(|pair| !self.is_normal(pair[0], pair[1]));
        let run = &held[breaks.map_or(0, |index| index + 1)..];
        self.settle(good, run[0], 0, spans);
        for pair in run.windows(2) {
            self.settle(pair[0], pair[1], pair[1].register - pair[0].register, spans);
        }
    }

    fn settle(&mut self, from: Point, to: Point, owed: i64, spans: &mut Vec<Bounded>) {
        spans.push(Bounded { from, to, owed });
        self.good = Some(to);
        self.held.clear();
    }

    fn is_normal(&self, from: Point, to: Point) -> bool {
        from.register <= to.register && self.is_plausible(to.register - from.register, to.at_ms - from.at_ms)
    }

    /// Within 1.2 × rating × time, or one step.
    fn is_plausible(&self, energy: i64, ms: i64) -> bool {
        let within_rating = 10 * 3_600_000 * i128::from(energy) <= 12 * i128::from(self.limits.rating_per_h) * i128::from(ms);
        within_rating || energy <= self.limits.step
    }
}

#[cfg(test)]
mod tests {
    use super::{Limits, Point, Scan};

    const KWH: i64 = 1000;
    const QUARTER_MS: i64 = 900_000;

    fn owed(rating_kw: i64, registers: &[i64]) -> Vec<i64> {
        let mut scan = Scan::new(Limits { step: KWH, full: 1_000_000 * KWH, rating_per_h: rating_kw * KWH });
        let mut spans = Vec::new();
        for (at, register) in (0..).zip(registers) {
            scan.read(Point { at_ms: at * QUARTER_MS, register: register * KWH, total: 0 }, &mut spans);
        }
        spans.iter().map(|span| span.owed / KWH).collect()
    }

    #[test]
    fn each_class_of_drop_comes_out_as_the_table_of_the_field_says() {
        let cases: [(&str, i64, &[i64], &[i64]); 12] = [
            ("a reset is the register after it", 400, &[10, 15, 20, 10, 30], &[5, 5, 10, 20]),
            ("a dip is one bad sample", 400, &[10, 15, 20, 19, 30], &[5, 5, 10]),
            ("a false zero is one bad sample", 400, &[100, 0, 101], &[1]),
            ("a rollover is the way round", 400, &[999_984, 20, 30], &[36, 10]),
            ("plausibility depends on the rating", 200, &[1000, 1050, 1100], &[50, 50]),
            ("a spike is one bad sample", 400, &[1000, 900_000, 1020], &[20]),
            ("an unknown start is given up after four", 400, &[1000, 500_000, 500_010, 500_020, 500_030], &[0, 10, 10, 10]),
            ("only the last run of normal steps is good", 400, &[1000, 500_000, 700_000, 700_020, 700_030], &[0, 20, 10]),
            ("a rise within 1.2 × rating is normal", 400, &[0, 120], &[120]),
            ("one above it is held", 400, &[0, 121], &[]),
            ("two spikes in a row are two bad samples", 400, &[1000, 900_000, 800_000, 1020], &[20]),
            ("a drop right after a rollover is looked at afresh", 400, &[999_990, 10, 5, 30], &[20, 5, 25]),
        ];
        for (claim, rating, registers, expected) in cases {
            assert_eq!(owed(rating, registers), expected, "{claim}");
        }
    }

    #[test]
    fn a_declared_swap_gives_the_true_difference() {
        let mut scan = Scan::new(Limits { step: KWH, full: 1_000_000 * KWH, rating_per_h: 400 * KWH });
        let point = |at_ms, register| Point { at_ms, register: register * KWH, total: 0 };
        let mut spans = Vec::new();
        scan.read(point(0, 500), &mut spans);
        scan.swap(point(1_000_000, 512), point(1_000_000, 0), &mut spans);
        scan.read(point(1_800_000, 7), &mut spans);
        assert_eq!(spans.iter().map(|span| span.owed / KWH).collect::<Vec<_>>(), [12, 7]);
    }
}
