//! The mean flow of a register over closed intervals, as thresholds see it.
//!
//! Never goes back: what a late reading changes in intervals already seen changes energy, not alerts. Invariant: a mean is given only for
//! an interval whose whole length has been seen.

use crate::domain::units::{Millis, Quantity};
use crate::ledger::slices::Slice;

/// What has been seen of the newest, still open interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenInterval {
    /// Up to here spans have been seen.
    pub seen: Millis,
    /// Start and quantity so far of the interval that contains `seen`; none before its start has been seen.
    pub open: Option<(Millis, Quantity)>,
}

impl OpenInterval {
    pub const NEW: OpenInterval = OpenInterval { seen: Millis(i64::MIN), open: None };

    /// Whether a span from `from` goes on from what was seen.
    #[must_use]
    pub fn follows(&self, from: Millis) -> bool {
        self.seen <= from
    }

    /// Takes the next slice of a span that reaches from `from` to `to`; gives the quantity of the slice's interval if that closed it.
    pub fn take(&mut self, slice: Slice, from: Millis, to: Millis) -> Option<Quantity> {
        let end = slice.start.plus_ms(slice.minutes * 60_000);
        let before = match self.open {
            Some((start, quantity)) if start == slice.start => Some(quantity),
            _ if from <= slice.start => Some(Quantity(0)),
            _ => None,
        };
        let total = before.map(|before| before + slice.energy);
        self.seen = to.min(end);
        if end <= to {
            self.open = None;
            return total;
        }
        self.open = total.map(|total| (slice.start, total));
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;

    fn take(open: &mut OpenInterval, slice: (i64, i64, i64), span: (i64, i64)) -> Option<i64> {
        let start = Millis(slice.0 * MINUTE);
        let slice = Slice { start, hour: start, minutes: slice.1, energy: Quantity(slice.2) };
        open.take(slice, Millis(span.0 * MINUTE), Millis(span.1 * MINUTE)).map(|quantity| quantity.0)
    }

    #[test]
    fn an_interval_counts_when_its_whole_length_was_seen() {
        let mut open = OpenInterval::NEW;
        assert_eq!(take(&mut open, (0, 15, 3), (5, 15)), None, "its beginning was not seen");
        assert_eq!(take(&mut open, (15, 15, 4), (15, 30)), Some(4));
        assert_eq!(take(&mut open, (30, 15, 1), (30, 40)), None, "still open");
        assert_eq!(take(&mut open, (30, 15, 2), (40, 50)), Some(3), "closed by the next span");
        assert_eq!(take(&mut open, (45, 15, 5), (40, 50)), None);
        assert_eq!(take(&mut open, (45, 15, 6), (50, 60)), Some(11));
        assert!(!open.follows(Millis(50 * MINUTE)));
    }
}
