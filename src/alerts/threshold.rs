//! One threshold on one meter.
//!
//! Invariant: it is raised only after its condition has held for `hold_ms` of device time, and never goes back in time.

use super::Change;
use crate::domain::units::Millis;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Quiet,
    /// Above the raise level, not for long enough yet.
    Pending {
        since: Millis,
    },
    Firing {
        since: Millis,
    },
}

/// The levels, in the watched value's unit; `clear_below` is not above `raise_above`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Levels {
    pub raise_above: f64,
    pub clear_below: f64,
    pub hold_ms: i64,
}

/// A threshold's state and the newest moment it has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threshold {
    pub phase: Phase,
    pub seen: Millis,
}

impl Threshold {
    pub const NEW: Threshold = Threshold { phase: Phase::Quiet, seen: Millis(i64::MIN) };

    /// Takes the value dated `at`; older ones than the newest seen change nothing. Gives the change and the time the condition began.
    pub fn observe(&mut self, levels: Levels, value: f64, at: Millis) -> Option<(Change, Millis)> {
        if at <= self.seen {
            return None;
        }
        self.seen = at;
        let above = levels.raise_above < value;
        let since = match self.phase {
            Phase::Quiet if above => at,
            Phase::Pending { since } if above => since,
            Phase::Quiet | Phase::Pending { .. } => {
                self.phase = Phase::Quiet;
                return None;
            }
            Phase::Firing { since } if value < levels.clear_below => {
                self.phase = Phase::Quiet;
                return Some((Change::Cleared, since));
            }
            Phase::Firing { .. } => return None,
        };
        if at.ms_since(since) < levels.hold_ms {
            self.phase = Phase::Pending { since };
            return None;
        }
        self.phase = Phase::Firing { since };
        Some((Change::Raised, since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Change::{Cleared, Raised};

    const LEVELS: Levels = Levels { raise_above: 800.0, clear_below: 700.0, hold_ms: 60_000 };

    fn check(claim: &str, levels: Levels, steps: &[(i64, f64, Option<Change>)]) {
        let mut threshold = Threshold::NEW;
        for (second, value, wanted) in steps {
            let seen = threshold.observe(levels, *value, Millis(second * 1000)).map(|(change, _)| change);
            assert_eq!(seen, *wanted, "{claim}: at {second} s");
        }
    }

    #[test]
    fn a_threshold_waits_holds_and_clears() {
        check("a short spike never fires", LEVELS, &[(0, 900.0, None), (59, 600.0, None), (60, 900.0, None)]);
        check(
            "between the levels it keeps firing",
            LEVELS,
            &[(0, 900.0, None), (60, 900.0, Some(Raised)), (61, 750.0, None), (62, 699.0, Some(Cleared))],
        );
        check("at the level is not above it", LEVELS, &[(0, 800.0, None), (60, 800.0, None)]);
        check("at the level a pending one is over", LEVELS, &[(0, 900.0, None), (30, 800.0, None), (60, 900.0, None)]);
        check("older values are not seen", LEVELS, &[(0, 900.0, None), (60, 900.0, Some(Raised)), (30, 1.0, None), (60, 1.0, None)]);
        let at_once = Levels { hold_ms: 0, ..LEVELS };
        check("without a hold the first value fires", at_once, &[(0, 801.0, Some(Raised)), (1, 1.0, Some(Cleared))]);
    }

    #[test]
    fn since_is_the_time_the_condition_began() {
        let mut threshold = Threshold::NEW;
        threshold.observe(LEVELS, 900.0, Millis(5_000));
        assert_eq!(threshold.observe(LEVELS, 900.0, Millis(65_000)), Some((Raised, Millis(5_000))));
        assert_eq!(threshold.observe(LEVELS, 1.0, Millis(70_000)), Some((Cleared, Millis(5_000))));
    }
}
