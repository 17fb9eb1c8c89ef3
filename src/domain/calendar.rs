//! Local time: which interval, hour, day, month or year an instant lies in, and what kind of day it is.
//!
//! A local day has 23, 24 or 25 hours. Between two changes of the zone's offset everything up to a day is plain arithmetic, so the hot path
//! asks jiff only when it crosses a change, a day with one, or a month.

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use rustc_hash::FxHashMap;

use super::units::{DAY_MS, HOUR_MS, Millis};

/// From `start` up to, not including, `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    pub start: Millis,
    pub end: Millis,
}

impl Span {
    const EMPTY: Self = Self { start: Millis(0), end: Millis(0) };

    #[must_use]
    pub fn contains(self, at: Millis) -> bool {
        self.start <= at && at < self.end
    }

    #[must_use]
    pub fn ms(self) -> i64 {
        self.end.ms_since(self.start)
    }
}

/// One time zone's calendar, with a memory of where it was asked last.
#[derive(Clone, Debug)]
pub struct LocalCalendar {
    time_zone: TimeZone,
    offset_span: Span,
    offset_ms: i64,
    month: Span,
    year: Span,
}

impl LocalCalendar {
    #[must_use]
    pub fn new(time_zone: TimeZone) -> Self {
        Self { time_zone, offset_span: Span::EMPTY, offset_ms: 0, month: Span::EMPTY, year: Span::EMPTY }
    }

    /// The interval of `length_ms` (a divisor of an hour) around `at`, counted from the local hour.
    /// A change of the offset inside of an interval cuts it in two.
    pub fn interval(&mut self, at: Millis, length_ms: i64) -> Span {
        self.find_offset(at);
        let start = Millis((at.0 + self.offset_ms).div_euclid(length_ms) * length_ms - self.offset_ms);
        Span { start: start.max(self.offset_span.start), end: start.plus_ms(length_ms).min(self.offset_span.end) }
    }

    pub fn hour(&mut self, at: Millis) -> Span {
        self.interval(at, HOUR_MS)
    }

    pub fn day(&mut self, at: Millis) -> Span {
        self.find_offset(at);
        let start = Millis((at.0 + self.offset_ms).div_euclid(DAY_MS) * DAY_MS - self.offset_ms);
        let end = start.plus_ms(DAY_MS);
        // Strictly inside: an hour repeated at midnight belongs to the day before or after.
        if self.offset_span.start < start && end < self.offset_span.end {
            return Span { start, end };
        }
        let date = self.date(at);
        Span { start: self.start_of(date), end: self.start_of(date.saturating_add(jiff::Span::new().days(1))) }
    }

    pub fn month(&mut self, at: Millis) -> Span {
        if !self.month.contains(at) {
            let first = self.date(at).first_of_month();
            let next = first.saturating_add(jiff::Span::new().months(1));
            self.month = Span { start: self.start_of(first), end: self.start_of(next) };
        }
        self.month
    }

    pub fn year(&mut self, at: Millis) -> Span {
        if !self.year.contains(at) {
            let first = self.date(at).first_of_year();
            let next = first.saturating_add(jiff::Span::new().years(1));
            self.year = Span { start: self.start_of(first), end: self.start_of(next) };
        }
        self.year
    }

    /// The local date at an instant.
    #[must_use]
    pub fn date(&self, at: Millis) -> Date {
        self.time_zone.to_datetime(at.timestamp()).date()
    }

    /// Local time less UTC at an instant.
    pub fn offset_ms(&mut self, at: Millis) -> i64 {
        self.find_offset(at);
        self.offset_ms
    }

    fn find_offset(&mut self, at: Millis) {
        if self.offset_span.contains(at) {
            return;
        }
        let start = self.time_zone.preceding(at.plus_ms(1).timestamp()).next();
        let end = self.time_zone.following(at.timestamp()).next();
        self.offset_span = Span {
            start: start.map_or(Millis(i64::MIN), |change| Millis(change.timestamp().as_millisecond())),
            end: end.map_or(Millis(i64::MAX), |change| Millis(change.timestamp().as_millisecond())),
        };
        self.offset_ms = i64::from(self.time_zone.to_offset(at.timestamp()).seconds()) * 1_000;
    }

    /// Midnight, or the first instant of a day whose midnight a change of the offset skips.
    #[must_use]
    pub fn start_of(&self, date: Date) -> Millis {
        let midnight = date.to_zoned(self.time_zone.clone());
        Millis(midnight.map_or(i64::MAX, |midnight| midnight.timestamp().as_millisecond()))
    }
}

/// What kind of day it is for loads and tariffs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DayType {
    Workday,
    Saturday,
    Sunday,
    Holiday,
}

/// The days that differ from their day of the week.
#[derive(Clone, Debug, Default)]
pub struct DayTypes(pub FxHashMap<Date, DayType>);

impl DayTypes {
    #[must_use]
    pub fn of(&self, date: Date) -> DayType {
        self.0.get(&date).copied().unwrap_or(match date.weekday() {
            Weekday::Saturday => DayType::Saturday,
            Weekday::Sunday => DayType::Sunday,
            Weekday::Monday | Weekday::Tuesday | Weekday::Wednesday | Weekday::Thursday | Weekday::Friday => DayType::Workday,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Millis {
        Millis::from_rfc3339(text).unwrap()
    }

    fn calendar(name: &str) -> LocalCalendar {
        LocalCalendar::new(TimeZone::get(name).unwrap())
    }

    fn span(start: &str, end: &str) -> Span {
        Span { start: at(start), end: at(end) }
    }

    #[test]
    fn shanghai_days_begin_at_sixteen_utc() {
        let mut calendar = calendar("Asia/Shanghai");
        let now = at("2026-01-05T08:15:00+08:00");
        assert_eq!(calendar.interval(now, 15 * 60_000), span("2026-01-05T08:15:00+08:00", "2026-01-05T08:30:00+08:00"));
        assert_eq!(calendar.interval(now.plus_ms(-1), 15 * 60_000).end, now);
        assert_eq!(calendar.hour(now), span("2026-01-05T08:00:00+08:00", "2026-01-05T09:00:00+08:00"));
        assert_eq!(calendar.day(now), span("2026-01-04T16:00:00Z", "2026-01-05T16:00:00Z"));
        assert_eq!(calendar.month(now), span("2025-12-31T16:00:00Z", "2026-01-31T16:00:00Z"));
        assert_eq!(calendar.year(now), span("2025-12-31T16:00:00Z", "2026-12-31T16:00:00Z"));
    }

    #[test]
    fn a_day_has_23_or_25_hours_when_the_clocks_change() {
        let mut calendar = calendar("Europe/Berlin");
        let spring = calendar.day(at("2026-03-29T12:00:00+02:00"));
        assert_eq!(spring, span("2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00"));
        assert_eq!(spring.ms(), 23 * HOUR_MS);
        let autumn = calendar.day(at("2026-10-25T00:10:00+02:00"));
        assert_eq!(autumn, span("2026-10-25T00:00:00+02:00", "2026-10-26T00:00:00+01:00"));
        assert_eq!(autumn.ms(), 25 * HOUR_MS);
        assert_eq!(calendar.day(at("2026-10-26T00:00:00+01:00")).ms(), 24 * HOUR_MS);
        assert_eq!(calendar.month(at("2026-03-15T00:00:00+01:00")).ms(), 31 * DAY_MS - HOUR_MS);
    }

    #[test]
    fn the_repeated_hour_is_two_hours() {
        let mut calendar = calendar("Europe/Berlin");
        let first = calendar.hour(at("2026-10-25T02:30:00+02:00"));
        let second = calendar.hour(at("2026-10-25T02:30:00+01:00"));
        assert_eq!(first, span("2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z"));
        assert_eq!(second, span("2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z"));
    }

    #[test]
    fn spans_join_without_gap_or_overlap() {
        for name in ["Asia/Shanghai", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Sao_Paulo", "Africa/Cairo"] {
            let mut calendar = calendar(name);
            let to = at("2019-01-01T00:00:00Z");
            let walks: [fn(&mut LocalCalendar, Millis) -> Span; 5] =
                [|c, t| c.interval(t, 15 * 60_000), LocalCalendar::hour, LocalCalendar::day, LocalCalendar::month, LocalCalendar::year];
            for walk in walks {
                let mut now = walk(&mut calendar, at("2018-01-01T00:00:00Z")).start;
                while now < to {
                    let span = walk(&mut calendar, now);
                    assert_eq!(span.start, now, "{name}");
                    assert!(span.end > now, "{name}");
                    assert_eq!(walk(&mut calendar, span.end.plus_ms(-1)), span, "{name}");
                    now = span.end;
                }
            }
        }
    }

    #[test]
    fn a_listed_day_overrules_its_day_of_the_week() {
        let saturday = Date::constant(2026, 2, 14);
        let days = DayTypes([(saturday, DayType::Workday)].into_iter().collect());
        assert_eq!(days.of(saturday), DayType::Workday);
        assert_eq!(days.of(Date::constant(2026, 2, 21)), DayType::Saturday);
        assert_eq!(days.of(Date::constant(2026, 2, 22)), DayType::Sunday);
        assert_eq!(days.of(Date::constant(2026, 2, 23)), DayType::Workday);
    }
}
