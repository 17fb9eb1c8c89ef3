//! Is there enough of a baseline to claim savings against?

use jiff::Zoned;

use super::case::Case;
use crate::domain::calendar::Span;
use crate::domain::units::Millis;

/// Fewer full months carry no claim.
pub const MONTHS_MIN: i64 = 3;
/// Three months and nothing more are refused, too: the claim begins once the fourth month has a week.
pub const DAYS_BEYOND_MIN: i64 = 7;
/// From here on the baseline has seen the seasons and is no longer provisional.
pub const MONTHS_OF_A_YEAR: i64 = 11;
/// No case is longer.
const MONTHS_MAX: i64 = 20 * 12 + 1;
/// A month is full with this share of its days (`CalTRACK` 2.0, section 2.2.1).
const MONTH_COVERAGE_MIN: f64 = 0.9;
/// A day counts with this share of its hours, so that day and night are in it. Our choice.
const DAY_COVERAGE_MIN: f64 = 2.0 / 3.0;
const HOURS_PER_DAY: usize = 24;

/// Full months of a baseline: stretches of one month from its start on, in local time, of which enough days have enough hours that can be used.
#[must_use]
pub fn full_months(case: &Case, used: &[bool]) -> i64 {
    let start = local(case, case.periods.baseline.start);
    let month_start = |month: i64| start.saturating_add(jiff::Span::new().months(month)).timestamp().as_millisecond();
    (0..MONTHS_MAX)
        .map(|month| Span { start: Millis(month_start(month)), end: Millis(month_start(month + 1)) })
        .take_while(|month| month.start < month.end && month.end <= case.periods.baseline.end)
        .filter(|month| {
            let days = used[case.slots(*month)].chunks(HOURS_PER_DAY);
            let all = days.len() as f64;
            let counts = |day: &&[bool]| day.iter().filter(|used| **used).count() as f64 >= DAY_COVERAGE_MIN * day.len() as f64;
            days.filter(counts).count() as f64 >= MONTH_COVERAGE_MIN * all
        })
        .map(|_| 1)
        .sum()
}

/// Whether a baseline with so many full months carries a claim, if only a provisional one.
#[must_use]
pub fn is_enough(case: &Case, full: i64) -> bool {
    let earliest = earliest_end(case.periods.baseline.start, &case.periods.time_zone);
    MONTHS_MIN <= full && earliest.timestamp() <= case.periods.baseline.end.timestamp()
}

/// The earliest end of a baseline that begins at `start` and has no gap.
#[must_use]
pub fn earliest_end(start: Millis, time_zone: &jiff::tz::TimeZone) -> Zoned {
    let least = jiff::Span::new().months(MONTHS_MIN).days(DAYS_BEYOND_MIN);
    start.timestamp().to_zoned(time_zone.clone()).saturating_add(least)
}

/// The local date on which a baseline with `full` months so far will have enough, if readings go on without gaps.
#[must_use]
pub fn possible_from(case: &Case, full: i64) -> String {
    let missing = (MONTHS_MIN - full).max(0);
    let end = local(case, case.periods.baseline.end);
    // A begun month counts: the months are those of the baseline's start.
    let start = local(case, case.periods.baseline.start);
    let months = (0..MONTHS_MAX).find(|months| end < start.saturating_add(jiff::Span::new().months(*months))).unwrap_or(0);
    start.saturating_add(jiff::Span::new().months(months - 1 + missing).days(DAYS_BEYOND_MIN)).date().to_string()
}

fn local(case: &Case, at: Millis) -> Zoned {
    at.timestamp().to_zoned(case.periods.time_zone.clone())
}
