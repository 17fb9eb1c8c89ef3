//! One step of the world: its span of time, its calendar and its weather, the same for all models.

use jiff::civil::Date;

use super::controls::Controls;
use crate::zone::DayType;

/// The finest grain of random variation.
pub const SLOT_MS: i64 = 900_000;
pub const HOUR_MS: i64 = 3_600_000;
pub const DAY_MS: i64 = 86_400_000;

/// A step's part of one quarter of an hour.
#[derive(Clone, Copy, Debug)]
pub struct Slot {
    /// Quarters of an hour since 1970.
    pub index: i64,
    /// Local time of its middle, hours since midnight.
    pub hour: f64,
    /// Its length in hours.
    pub hours: f64,
    /// Sine of the sun's elevation at its middle.
    pub sun: f64,
}

/// What every model may know of a step.
#[derive(Clone, Debug)]
pub struct Moment<'a> {
    pub from_ms: i64,
    pub to_ms: i64,
    /// The step's length in hours.
    pub hours: f64,
    pub date: Date,
    /// Local days since 1970.
    pub day: i64,
    /// The local hour, 0 to 23.
    pub hour: usize,
    pub day_type: DayType,
    /// Space heating is on: the season of the district network.
    pub heating_season: bool,
    pub temperature_c: f64,
    pub humidity_pct: f64,
    pub irradiance_w_m2: f64,
    pub slots: &'a [Slot],
    pub controls: &'a Controls,
}

impl Moment<'_> {
    /// The local time of its end, hours since midnight.
    pub fn ends_at_h(&self) -> f64 {
        self.slots.last().map_or(self.hour as f64 + self.hours, |slot| slot.hour + slot.hours / 2.0)
    }
}

/// A day of the year as MM-DD, ordered within the year.
pub fn month_day(text: &str) -> Result<(i8, i8), String> {
    let wanted = || format!("day of the year is {text:?}, wanted MM-DD such as \"11-16\"");
    let (month, day) = text.split_once('-').ok_or_else(wanted)?;
    let parsed = (month.parse().map_err(|_| wanted())?, day.parse().map_err(|_| wanted())?);
    if (1..=12).contains(&parsed.0) && (1..=31).contains(&parsed.1) { Ok(parsed) } else { Err(wanted()) }
}

/// Whether `date` lies within the span of the year, both ends included; a span may run over New Year.
pub fn within(date: Date, span: ((i8, i8), (i8, i8))) -> bool {
    let day = (date.month(), date.day());
    let (from, to) = span;
    if from <= to { from <= day && day <= to } else { from <= day || day <= to }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A quarter of an hour of a mild workday without sun.
    pub fn quarter<'a>(from_ms: i64, hour: usize, slots: &'a [Slot], controls: &'a Controls) -> Moment<'a> {
        Moment {
            from_ms,
            to_ms: from_ms + SLOT_MS,
            hours: 0.25,
            date: Date::constant(2026, 4, 1),
            day: 0,
            hour,
            day_type: DayType::Workday,
            heating_season: false,
            temperature_c: 15.0,
            humidity_pct: 60.0,
            irradiance_w_m2: 0.0,
            slots,
            controls,
        }
    }

    #[test]
    fn a_span_of_the_year_may_run_over_new_year() {
        let heating = ((11, 16), (4, 5));
        let cases = [((1, 1), true), ((4, 5), true), ((4, 6), false), ((11, 15), false), ((11, 16), true)];
        for ((month, day), inside) in cases {
            assert_eq!(within(Date::constant(2026, month, day), heating), inside, "{month}-{day}");
        }
    }

    #[test]
    fn a_malformed_day_is_named() {
        assert!(month_day("16.11.").unwrap_err().contains("16.11."));
    }
}
