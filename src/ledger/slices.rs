//! A span cut at interval borders.
//!
//! Invariant: the slices of a span add up to its energy exactly, because each is the difference of two borders.

use super::mark::Span;
use crate::domain::calendar::LocalCalendar;
use crate::domain::units::{HOUR_MS, MINUTE_MS, Millis, Quantity};

/// A span's share of one interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// The interval's start.
    pub start: Millis,
    /// Start of the local hour that the interval lies in.
    pub hour: Millis,
    /// The interval's length.
    pub minutes: i64,
    pub energy: Quantity,
}

/// Calls `each` with the slices of `span`, in order; `interval_ms` divides an hour. A local hour that lies wholly inside the span is one slice of 60 minutes.
pub fn cut(span: Span, interval_ms: i64, calendar: &mut LocalCalendar, mut each: impl FnMut(Slice)) {
    let mut from = span.from;
    let mut below = 0;
    loop {
        let hour = calendar.hour(from);
        let whole_hour = hour.start == from && hour.end <= span.to && hour.ms() == HOUR_MS;
        let interval = if whole_hour { hour } else { calendar.interval(from, interval_ms) };
        let last = span.to <= interval.end;
        let border = if last { span.energy.0 } else { register_at(span, interval.end) };
        each(Slice { start: interval.start, hour: hour.start, minutes: interval.ms() / MINUTE_MS, energy: Quantity(border - below) });
        if last {
            return;
        }
        below = border;
        from = interval.end;
    }
}

/// How far the register has risen since the span's start: the linear interpolation, rounded down.
fn register_at(span: Span, at: Millis) -> i64 {
    if at.0 >= span.to.0 {
        return span.energy.0;
    }
    let part = i128::from(span.energy.0) * i128::from((at.0 - span.from.0).max(0));
    let risen = part.div_euclid(i128::from(span.to.0 - span.from.0));
    i64::try_from(risen).expect("a part of an i64 is an i64")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::mark::Quality;

    const MINUTE: i64 = MINUTE_MS;

    fn check(claim: &str, span_minutes: (i64, i64), energy: i64, wanted: &[(i64, i64, i64)]) {
        let (from, to) = (Millis(span_minutes.0 * MINUTE), Millis(span_minutes.1 * MINUTE));
        let span = Span { from, to, energy: Quantity(energy), quality: Quality::Measured };
        let mut seen = Vec::new();
        cut(span, 15 * MINUTE, &mut LocalCalendar::new(jiff::tz::TimeZone::UTC), |slice| {
            seen.push((slice.start.0 / MINUTE, slice.minutes, slice.energy.0));
        });
        assert_eq!(seen, wanted, "{claim}");
        assert_eq!(seen.iter().map(|slice| slice.2).sum::<i64>(), energy, "{claim}: conserved");
    }

    #[test]
    fn spans_are_cut_at_borders_and_nothing_is_lost() {
        check("inside one interval", (15, 30), 7, &[(15, 15, 7)]);
        check("inside a part of one interval", (16, 29), 7, &[(15, 15, 7)]);
        check("across a border, rounded down", (10, 20), 5, &[(0, 15, 2), (15, 15, 3)]);
        check("a whole hour stays whole", (60, 120), 9, &[(60, 60, 9)]);
        check("an hour off the grid does not", (75, 135), 8, &[(75, 15, 2), (90, 15, 2), (105, 15, 2), (120, 15, 2)]);
        check("the hour inside a gap is whole", (45, 135), 6, &[(45, 15, 1), (60, 60, 4), (120, 15, 1)]);
        check("a span without length", (30, 30), 4, &[(30, 15, 4)]);
    }
}
