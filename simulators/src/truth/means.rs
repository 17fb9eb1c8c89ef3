//! Mean flows of a channel's closed intervals, in the order in which in-order readings close them.
//!
//! A local hour that lies wholly inside one span is one interval; everything else is cut at the zone's interval.

use super::scan::{Bounded, Limits, Point, Scan};

const HOUR_MS: i64 = 3_600_000;

/// Mean flow of an interval that ended at `end_ms`, in ledger units per hour.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mean {
    pub end_ms: i64,
    pub per_h: f64,
}

#[derive(Clone, Debug)]
pub struct Means {
    scan: Scan,
    spans: Vec<Bounded>,
    interval_ms: i64,
    /// Start and energy so far of the interval that is open, if it was seen from its start.
    open: Option<(i64, i64)>,
}

impl Means {
    #[must_use]
    pub fn new(limits: Limits, interval_ms: i64) -> Means {
        Means { scan: Scan::new(limits), spans: Vec::new(), interval_ms, open: None }
    }

    pub fn read(&mut self, at_ms: i64, register: i64) -> Vec<Mean> {
        let mut spans = std::mem::take(&mut self.spans);
        self.scan.read(Point { at_ms, register, total: 0 }, &mut spans);
        self.close(spans)
    }

    pub fn swap(&mut self, at_ms: i64, closing: i64, opening: i64) -> Vec<Mean> {
        let mut spans = std::mem::take(&mut self.spans);
        let point = |register| Point { at_ms, register, total: 0 };
        self.scan.swap(point(closing), point(opening), &mut spans);
        self.close(spans)
    }

    fn close(&mut self, mut spans: Vec<Bounded>) -> Vec<Mean> {
        let mut means = Vec::new();
        for span in spans.drain(..) {
            self.cut(&span, &mut means);
        }
        self.spans = spans;
        means
    }

    fn cut(&mut self, span: &Bounded, means: &mut Vec<Mean>) {
        let (from_ms, to_ms) = (span.from.at_ms, span.to.at_ms);
        let share =
            |at_ms: i64| (i128::from(span.owed) * i128::from(at_ms - from_ms)).div_euclid(i128::from((to_ms - from_ms).max(1))) as i64;
        let mut at_ms = from_ms;
        while at_ms < to_ms {
            let is_whole_hour = at_ms % HOUR_MS == 0 && at_ms + HOUR_MS <= to_ms;
            let interval_ms = if is_whole_hour { HOUR_MS } else { self.interval_ms };
            let border_ms = (at_ms / interval_ms + 1) * interval_ms;
            if at_ms % interval_ms == 0 {
                self.open = Some((at_ms, 0));
            }
            let end_ms = border_ms.min(to_ms);
            if let Some((start_ms, energy)) = self.open {
                let energy = energy + share(end_ms) - share(at_ms);
                self.open = Some((start_ms, energy));
                if end_ms == border_ms {
                    means.push(Mean { end_ms, per_h: energy as f64 * HOUR_MS as f64 / (border_ms - start_ms) as f64 });
                }
            }
            at_ms = end_ms;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_is_known_when_the_interval_is_closed() {
        let mut means = Means::new(Limits { step: 1, full: 1_000_000, rating_per_h: 10_000 }, 900_000);
        assert_eq!(means.read(0, 100), []);
        assert_eq!(means.read(450_000, 110), []);
        let closed = means.read(1_350_000, 130);
        assert_eq!(closed, [Mean { end_ms: 900_000, per_h: 80.0 }]);
        assert_eq!(means.read(1_800_000, 150), [Mean { end_ms: 1_800_000, per_h: 120.0 }]);
        assert_eq!(means.read(1_800_000 + HOUR_MS, 250).len(), 4, "an hour that spans two local hours is cut at the interval");
    }
}
