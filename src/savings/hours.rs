//! What explains an hour's energy: its place in the local calendar, its weather, and what was made.
//!
//! An hour of which an input is missing is `None`: it is neither fitted nor predicted.

use std::f64::consts::TAU;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::case::Case;
use super::weather::{TemperatureRange, exponential_mean, humidity_ratio_g_kg, interpolated};
use crate::domain::calendar::{DayType, DayTypes, LocalCalendar};
use crate::domain::units::{HOUR_MS, Millis};

/// Humidity and irradiance that cover less of a period than this explain too little of it to lose hours over; they are left out.
const OPTIONAL_COVERAGE_MIN: f64 = 0.9;
const DAYS_PER_YEAR: f64 = 365.25;

/// The three kinds of day that loads tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DayKind {
    Workday,
    Saturday,
    SundayOrHoliday,
}

impl DayKind {
    pub const ALL: [Self; 3] = [Self::Workday, Self::Saturday, Self::SundayOrHoliday];

    #[must_use]
    pub fn of(day_type: DayType) -> Self {
        match day_type {
            DayType::Workday => Self::Workday,
            DayType::Saturday => Self::Saturday,
            DayType::Sunday | DayType::Holiday => Self::SundayOrHoliday,
        }
    }
}

/// Local calendar of an hour.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moment {
    /// 0 to 23. A day of 23 hours has one of them not at all, a day of 25 one twice.
    pub hour_of_day: u8,
    /// 0 is Monday.
    pub weekday: u8,
    pub kind: DayKind,
    /// 1 to 12.
    pub month: u8,
    /// Days since 1970-01-01.
    pub day: i64,
    /// Weeks from Monday to Sunday, counted from the one with 1970-01-01.
    pub week: i64,
    /// 0 at the turn of the year, 2π at the next.
    pub year_angle: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Humidity {
    pub ratio_g_kg: f64,
    pub mean_24h_g_kg: f64,
}

/// One production driver in an hour and in the hour before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Production {
    pub now: f64,
    pub before: f64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Hour {
    pub moment: Moment,
    pub temperature_c: f64,
    pub mean_6h_c: f64,
    pub mean_24h_c: f64,
    pub mean_72h_c: f64,
    pub humidity: Option<Humidity>,
    pub ghi_kw_m2: Option<f64>,
    pub drivers: Box<[Production]>,
}

/// The local calendar at an instant.
pub fn moment(calendar: &mut LocalCalendar, days: &DayTypes, at: Millis) -> Moment {
    let local_h = (at.0 + calendar.offset_ms(at)).div_euclid(HOUR_MS);
    let day = local_h.div_euclid(24);
    let date = calendar.date(at);
    Moment {
        hour_of_day: local_h.rem_euclid(24) as u8,
        weekday: date.weekday().to_monday_zero_offset() as u8,
        kind: DayKind::of(days.of(date)),
        month: date.month() as u8,
        day,
        // 1970-01-01 was a Thursday.
        week: (day + 3).div_euclid(7),
        year_angle: TAU * f64::from(date.day_of_year() - 1) / DAYS_PER_YEAR,
    }
}

/// Which weather a baseline takes, settled once and frozen with it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Inputs {
    pub range: TemperatureRange,
    pub humidity: bool,
    pub irradiance: bool,
}

impl Inputs {
    /// What the case can give in its baseline and, so that no hour is lost over it, in its reporting period; `None` without a temperature.
    #[must_use]
    pub fn of(case: &Case) -> Option<Self> {
        let baseline = case.slots(case.periods.baseline);
        let range = TemperatureRange::of(case.temperature_c[baseline].iter().flatten().copied())?;
        let humidity = case.relative_humidity_pct.as_ref().is_some_and(|relative_pct| {
            let pairs = interpolated(&case.temperature_c).into_iter().zip(interpolated(relative_pct));
            covers(case, &pairs.map(|(temperature_c, relative_pct)| temperature_c.and(relative_pct)).collect::<Vec<_>>())
        });
        let irradiance = case.ghi_w_m2.as_ref().is_some_and(|series| covers(case, &interpolated(series)));
        Some(Self { range, humidity, irradiance })
    }
}

type Series = Vec<Option<f64>>;

/// Hourly weather as a baseline feels it.
#[derive(Clone, Debug)]
pub struct Climate {
    temperature_c: Series,
    mean_6h_c: Series,
    mean_24h_c: Series,
    mean_72h_c: Series,
    /// Humidity ratio and its mean over 24 hours.
    ratio_g_kg: Option<(Series, Series)>,
    ghi_w_m2: Option<Series>,
}

impl Climate {
    /// Temperatures are clipped to the baseline's range before anything is made of them. An input that is wanted and not there is a gap.
    #[must_use]
    pub fn of(
        inputs: &Inputs,
        temperature_c: &[Option<f64>],
        humidity_pct: Option<&[Option<f64>]>,
        ghi_w_m2: Option<&[Option<f64>]>,
    ) -> Self {
        let measured_c = interpolated(temperature_c);
        let clipped_c: Vec<Option<f64>> = measured_c.iter().map(|value| value.map(|value| inputs.range.clip(value))).collect();
        let wanted = |wanted: bool, series: Option<&[Option<f64>]>| {
            wanted.then(|| series.map_or_else(|| vec![None; measured_c.len()], interpolated))
        };
        let ratio_g_kg = wanted(inputs.humidity, humidity_pct).map(|relative_pct| {
            let pairs = measured_c.iter().zip(relative_pct);
            let ratio: Vec<_> = pairs.map(|(celsius, relative_pct)| Some(humidity_ratio_g_kg((*celsius)?, relative_pct?))).collect();
            let mean = exponential_mean(&ratio, 24.0);
            (ratio, mean)
        });
        Self {
            mean_6h_c: exponential_mean(&clipped_c, 6.0),
            mean_24h_c: exponential_mean(&clipped_c, 24.0),
            mean_72h_c: exponential_mean(&clipped_c, 72.0),
            temperature_c: clipped_c,
            ratio_g_kg,
            ghi_w_m2: wanted(inputs.irradiance, ghi_w_m2),
        }
    }

    /// The hour of a slot; `None` if an input is missing.
    #[must_use]
    pub fn hour(&self, slot: usize, moment: Moment, drivers: Box<[Production]>) -> Option<Hour> {
        Some(Hour {
            moment,
            temperature_c: self.temperature_c[slot]?,
            mean_6h_c: self.mean_6h_c[slot]?,
            mean_24h_c: self.mean_24h_c[slot]?,
            mean_72h_c: self.mean_72h_c[slot]?,
            humidity: match &self.ratio_g_kg {
                Some((ratio, mean)) => Some(Humidity { ratio_g_kg: ratio[slot]?, mean_24h_g_kg: mean[slot]? }),
                None => None,
            },
            ghi_kw_m2: match &self.ghi_w_m2 {
                Some(series) => Some(series[slot]? / 1000.0),
                None => None,
            },
            drivers,
        })
    }
}

/// The case's hours, one per slot.
#[must_use]
pub fn hours(case: &Case, inputs: &Inputs) -> Vec<Option<Hour>> {
    hours_within(case, inputs, 0..case.meter_kwh.len())
}

/// The same, with nothing but the slots that are wanted.
#[must_use]
pub fn hours_within(case: &Case, inputs: &Inputs, wanted: Range<usize>) -> Vec<Option<Hour>> {
    let climate = Climate::of(inputs, &case.temperature_c, case.relative_humidity_pct.as_deref(), case.ghi_w_m2.as_deref());
    let mut calendar = LocalCalendar::new(case.periods.time_zone.clone());
    let mut hour = |slot: usize| {
        let drivers = case.drivers.iter().map(|driver| production(&driver.quantity, slot)).collect::<Option<_>>()?;
        climate.hour(slot, moment(&mut calendar, &case.days, case.at(slot)), drivers)
    };
    (0..case.meter_kwh.len()).map(|slot| if wanted.contains(&slot) { hour(slot) } else { None }).collect()
}

/// Production is never interpolated: a line between two shifts is made-up tonnes. Only the hour before may be missing; it counts as this one.
#[must_use]
pub fn production(quantity: &[Option<f64>], slot: usize) -> Option<Production> {
    let now = quantity[slot]?;
    let before = slot.checked_sub(1).and_then(|before| quantity[before]).unwrap_or(now);
    Some(Production { now, before })
}

fn covers(case: &Case, series: &[Option<f64>]) -> bool {
    [case.periods.baseline, case.periods.reporting].into_iter().all(|period| {
        let slots = &series[case.slots(period)];
        slots.iter().flatten().count() as f64 >= OPTIONAL_COVERAGE_MIN * slots.len() as f64
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::calendar::Span;
    use crate::savings::case::Periods;
    use jiff::tz::TimeZone;

    fn at(text: &str) -> Millis {
        Millis::from_rfc3339(text).unwrap()
    }

    /// A case of `hours` from `start` on, at 10 °C.
    fn case(zone: &str, start: &str, hours: u16) -> Case {
        let start = at(start);
        let end = start.plus_ms(i64::from(hours) * HOUR_MS);
        let hours = usize::from(hours);
        Case {
            periods: Periods {
                time_zone: TimeZone::get(zone).unwrap(),
                baseline: Span { start, end },
                reporting: Span { start: end, end },
            },
            days: DayTypes::default(),
            start,
            meter_kwh: vec![Some(1.0); hours],
            temperature_c: vec![Some(10.0); hours],
            relative_humidity_pct: None,
            ghi_w_m2: None,
            drivers: Vec::new(),
        }
    }

    fn hours_of_day(zone: &str, start: &str, count: u16) -> Vec<u8> {
        let range = TemperatureRange { low_c: 0.0, high_c: 40.0 };
        let inputs = Inputs { range, humidity: false, irradiance: false };
        hours(&case(zone, start, count), &inputs).iter().flatten().map(|hour| hour.moment.hour_of_day).collect()
    }

    #[test]
    fn a_day_of_23_hours_skips_one_and_a_day_of_25_repeats_one() {
        let spring: Vec<u8> = (0..24).filter(|hour| *hour != 2).chain([0]).collect();
        assert_eq!(hours_of_day("Europe/Berlin", "2026-03-28T23:00:00Z", 24), spring);
        let autumn: Vec<u8> = [0, 1, 2].into_iter().chain(2..24).chain([0]).collect();
        assert_eq!(hours_of_day("Europe/Berlin", "2026-10-24T22:00:00Z", 26), autumn);
    }

    #[test]
    fn moments_are_local() {
        let mut case = case("Asia/Shanghai", "2025-12-31T16:00:00Z", 1);
        case.days.0.insert("2026-01-01".parse().unwrap(), DayType::Holiday);
        let mut calendar = LocalCalendar::new(case.periods.time_zone.clone());
        let new_year = moment(&mut calendar, &case.days, case.start);
        let wanted =
            Moment { hour_of_day: 0, weekday: 3, kind: DayKind::SundayOrHoliday, month: 1, day: 20_454, week: 2922, year_angle: 0.0 };
        assert_eq!(new_year, wanted);
        // A week starts on Monday.
        let weeks = ["2026-01-04T15:00:00Z", "2026-01-04T16:00:00Z"].map(|text| moment(&mut calendar, &case.days, at(text)).week);
        assert_eq!(weeks, [2922, 2923]);
    }

    #[test]
    fn a_make_up_workday_is_a_workday_and_a_holiday_a_sunday() {
        let kinds = [DayType::Workday, DayType::Saturday, DayType::Sunday, DayType::Holiday].map(DayKind::of);
        assert_eq!(kinds, [DayKind::Workday, DayKind::Saturday, DayKind::SundayOrHoliday, DayKind::SundayOrHoliday]);
    }

    #[test]
    fn production_is_not_made_up() {
        let quantity = [Some(1.0), None, Some(3.0), Some(4.0)];
        let seen = [0, 1, 2, 3].map(|slot| production(&quantity, slot).map(|production| (production.now, production.before)));
        assert_eq!(seen, [Some((1.0, 1.0)), None, Some((3.0, 3.0)), Some((4.0, 3.0))]);
    }

    #[test]
    fn temperatures_stay_in_the_range_that_the_baseline_saw() {
        let mut case = case("UTC", "2026-01-01T00:00:00Z", 3);
        case.temperature_c[1] = Some(99.0);
        let range = TemperatureRange { low_c: 0.0, high_c: 20.0 };
        let seen = hours(&case, &Inputs { range, humidity: false, irradiance: false });
        assert!((seen[1].as_ref().unwrap().temperature_c - 20.0).abs() < 1e-12);
    }
}
