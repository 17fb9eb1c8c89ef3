//! The regression's columns: what of an hour the load may depend on, and how firmly each is held back (its ridge weight).
//!
//! Which columns there are is settled once, from the baseline's hours, and frozen with it. Invariant: a term's value is a function of one
//! hour alone, so a reporting hour is predicted without its neighbours.

use serde::{Deserialize, Serialize};

use super::hours::{DayKind, Hour, Production};
use super::weather::quantile;

/// Where the load's answer to temperature may bend, °C.
const KNOTS_C: [f64; 10] = [-5.0, 0.0, 5.0, 10.0, 14.0, 18.0, 22.0, 26.0, 30.0, 34.0];
/// Share of hours that must lie on each side of a knot, for the temperature itself and for its slow means.
const KNOT_SHARE_MIN: f64 = 0.02;
const SLOW_KNOT_SHARE_MIN: f64 = 0.05;

/// A straight line, or one that starts at a knot.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Shape {
    Linear,
    Above(f64),
}

impl Shape {
    fn of(self, value: f64) -> f64 {
        match self {
            Self::Linear => value,
            Self::Above(knot) => (value - knot).max(0.0),
        }
    }
}

/// Which temperature: of the hour, or a slow mean.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Warmth {
    Now,
    Mean6,
    Mean24,
    Mean72,
}

impl Warmth {
    fn of(self, hour: &Hour) -> f64 {
        match self {
            Self::Now => hour.temperature_c,
            Self::Mean6 => hour.mean_6h_c,
            Self::Mean24 => hour.mean_24h_c,
            Self::Mean72 => hour.mean_72h_c,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Activity {
    Quantity,
    Running,
    HourBefore,
    Above(f64),
    /// More in the heat: quantity × (T − 20)+ / 10.
    Cooled,
    /// More in the cold: quantity × (10 − T)+ / 10.
    Heated,
}

impl Activity {
    fn of(self, made: Production, temperature_c: f64) -> f64 {
        match self {
            Self::Quantity => made.now,
            Self::Running => flag(made.now > 0.0),
            Self::HourBefore => made.before,
            Self::Above(knot) => (made.now - knot).max(0.0),
            Self::Cooled => made.now * (temperature_c - 20.0).max(0.0) / 10.0,
            Self::Heated => made.now * (10.0 - temperature_c).max(0.0) / 10.0,
        }
    }
}

/// Global irradiance g in kW/m².
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Sun {
    Linear,
    Squared,
    InHeat,
    Sine,
    Cosine,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Term {
    Intercept,
    HourOn(DayKind, u8),
    Weekday(u8),
    Month(u8),
    WeekendMonth(u8),
    YearSine,
    YearCosine,
    Temperature(Warmth, Shape),
    TemperatureOn(DayKind, Shape),
    /// Humidity ratio in g/kg.
    Moisture(Shape),
    MoistureInHeat,
    MoistureMean24(Shape),
    Driver(usize, Activity),
    Irradiance(Sun),
}

impl Term {
    /// The column's value in an hour; 0 where the hour lacks the input, which a design of the same case never asks for.
    #[must_use]
    pub fn value(self, hour: &Hour) -> f64 {
        let moment = &hour.moment;
        let moisture = || hour.humidity.map_or(0.0, |humidity| humidity.ratio_g_kg);
        match self {
            Self::Intercept => 1.0,
            Self::HourOn(kind, hour_of_day) => flag(moment.kind == kind && moment.hour_of_day == hour_of_day),
            Self::Weekday(weekday) => flag(moment.weekday == weekday),
            Self::Month(month) => flag(moment.month == month),
            Self::WeekendMonth(month) => flag(moment.month == month && moment.kind != DayKind::Workday),
            Self::YearSine => moment.year_angle.sin(),
            Self::YearCosine => moment.year_angle.cos(),
            Self::Temperature(warmth, shape) => shape.of(warmth.of(hour)),
            Self::TemperatureOn(kind, shape) => flag(moment.kind == kind) * shape.of(hour.temperature_c),
            Self::Moisture(shape) => shape.of(moisture()),
            Self::MoistureInHeat => (moisture() - 8.0).max(0.0) * (hour.temperature_c - 18.0).max(0.0) / 10.0,
            Self::MoistureMean24(shape) => hour.humidity.map_or(0.0, |humidity| shape.of(humidity.mean_24h_g_kg)),
            Self::Driver(index, activity) => hour.drivers.get(index).map_or(0.0, |&made| activity.of(made, hour.temperature_c)),
            Self::Irradiance(sun) => {
                let g = hour.ghi_kw_m2.unwrap_or(0.0);
                g * match sun {
                    Sun::Linear => 1.0,
                    Sun::Squared => g,
                    Sun::InHeat => (hour.temperature_c - 20.0) / 20.0,
                    Sun::Sine => moment.year_angle.sin(),
                    Sun::Cosine => moment.year_angle.cos(),
                }
            }
        }
    }
}

fn flag(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

/// A column and its ridge weight.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Column {
    pub term: Term,
    pub weight: f64,
}

/// The columns of both levels.
#[derive(Clone, Debug)]
pub struct Design {
    pub pooled: Vec<Column>,
    pub hourly: Vec<Column>,
}

impl Design {
    /// The columns that these baseline hours can carry; those of the season only with `a_year` of them.
    #[must_use]
    pub fn of(hours: &[&Hour], a_year: bool) -> Self {
        let bends = Bends::of(hours);
        let humid = hours.iter().any(|hour| hour.humidity.is_some());
        let sunny = hours.iter().any(|hour| hour.ghi_kw_m2.is_some());
        let drivers = hours.first().map_or(0, |hour| hour.drivers.len());
        let mut pooled = columns(0.0, [Term::Intercept]);
        pooled.extend(columns(0.01, DayKind::ALL.into_iter().flat_map(|kind| (0..24).map(move |hour| Term::HourOn(kind, hour)))));
        pooled.extend(columns(0.1, (0..7).map(Term::Weekday)));
        pooled.extend(columns(0.02, temperature(Warmth::Now, &bends.now)));
        pooled.extend(columns(0.1, temperature(Warmth::Mean24, &bends.mean_24h)));
        pooled.extend(columns(0.3, temperature(Warmth::Mean72, &[])));
        if humid {
            pooled.extend(columns(0.05, moisture().into_iter().chain([Term::MoistureInHeat, Term::MoistureMean24(Shape::Above(10.0))])));
        }
        for driver in 0..drivers {
            let plain = [Activity::Quantity, Activity::Running, Activity::HourBefore, Activity::Cooled, Activity::Heated];
            let bent = quartiles(hours, driver).into_iter().map(Activity::Above);
            pooled.extend(columns(0.02, plain.into_iter().chain(bent).map(|activity| Term::Driver(driver, activity))));
        }
        if sunny {
            pooled.extend(columns(0.02, [Sun::Linear, Sun::Squared, Sun::InHeat, Sun::Sine, Sun::Cosine].map(Term::Irradiance)));
        }
        Self { pooled, hourly: hourly(&bends, a_year, humid, drivers) }
    }
}

fn hourly(bends: &Bends, a_year: bool, humid: bool, drivers: usize) -> Vec<Column> {
    let mut hourly = columns(0.001, [Term::Intercept]);
    hourly.extend(columns(1.0, (0..7).map(Term::Weekday)));
    hourly.extend(columns(1.0, temperature(Warmth::Now, &bends.now)));
    for kind in [DayKind::Saturday, DayKind::SundayOrHoliday] {
        hourly.extend(columns(2.0, shapes(&bends.now).map(|shape| Term::TemperatureOn(kind, shape))));
    }
    hourly.extend(columns(1.0, temperature(Warmth::Mean6, &bends.mean_6h)));
    hourly.extend(columns(1.0, temperature(Warmth::Mean24, &bends.mean_24h)));
    hourly.extend(columns(1.0, temperature(Warmth::Mean72, &[])));
    if a_year {
        hourly.extend(columns(1.0, (1..=12).map(Term::Month)));
        hourly.extend(columns(2.0, (1..=12).map(Term::WeekendMonth)));
        hourly.extend(columns(2.0, [Term::YearSine, Term::YearCosine]));
    }
    if humid {
        hourly.extend(columns(1.0, moisture()));
    }
    for driver in 0..drivers {
        let plain = [Activity::Quantity, Activity::Running, Activity::HourBefore];
        hourly.extend(columns(1.0, plain.map(|activity| Term::Driver(driver, activity))));
    }
    hourly
}

/// The knots that each temperature keeps.
struct Bends {
    now: Vec<f64>,
    mean_6h: Vec<f64>,
    mean_24h: Vec<f64>,
}

impl Bends {
    fn of(hours: &[&Hour]) -> Self {
        let kept = |warmth: Warmth, share_min| knots(&hours.iter().map(|hour| warmth.of(hour)).collect::<Vec<_>>(), share_min);
        Self {
            now: kept(Warmth::Now, KNOT_SHARE_MIN),
            mean_6h: kept(Warmth::Mean6, SLOW_KNOT_SHARE_MIN),
            mean_24h: kept(Warmth::Mean24, SLOW_KNOT_SHARE_MIN),
        }
    }
}

/// The knots with at least `share_min` of the values on each side.
fn knots(values: &[f64], share_min: f64) -> Vec<f64> {
    let wanted = share_min * values.len() as f64;
    let carried = |knot: &f64| {
        let above = values.iter().filter(|value| knot < *value).count();
        wanted <= above as f64 && wanted <= (values.len() - above) as f64
    };
    KNOTS_C.into_iter().filter(carried).collect()
}

/// Quartiles of a driver's positive values, each once.
fn quartiles(hours: &[&Hour], driver: usize) -> Vec<f64> {
    let mut positive: Vec<f64> = hours.iter().map(|hour| hour.drivers[driver].now).filter(|quantity| *quantity > 0.0).collect();
    positive.sort_by(f64::total_cmp);
    let mut knots: Vec<f64> = [0.25, 0.5, 0.75].into_iter().filter_map(|share| quantile(&positive, share)).collect();
    knots.dedup();
    knots
}

fn shapes(knots: &[f64]) -> impl Iterator<Item = Shape> {
    std::iter::once(Shape::Linear).chain(knots.iter().copied().map(Shape::Above))
}

fn temperature(warmth: Warmth, knots: &[f64]) -> impl Iterator<Item = Term> {
    shapes(knots).map(move |shape| Term::Temperature(warmth, shape))
}

fn moisture() -> [Term; 3] {
    [Shape::Linear, Shape::Above(8.0), Shape::Above(12.0)].map(Term::Moisture)
}

fn columns(weight: f64, terms: impl IntoIterator<Item = Term>) -> Vec<Column> {
    terms.into_iter().map(|term| Column { term, weight }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::savings::hours::{Humidity, Moment};

    fn hour(temperature_c: f64, kind: DayKind) -> Hour {
        Hour {
            moment: Moment { hour_of_day: 7, weekday: 5, kind, month: 3, day: 0, week: 0, year_angle: std::f64::consts::FRAC_PI_2 },
            temperature_c,
            mean_6h_c: 1.0,
            mean_24h_c: 2.0,
            mean_72h_c: 3.0,
            humidity: Some(Humidity { ratio_g_kg: 14.0, mean_24h_g_kg: 11.5 }),
            ghi_kw_m2: Some(0.5),
            drivers: Box::new([Production { now: 6.0, before: 4.0 }]),
        }
    }

    #[test]
    fn terms_by_hand() {
        let seen = hour(28.0, DayKind::Saturday);
        for (term, wanted) in [
            (Term::Intercept, 1.0),
            (Term::HourOn(DayKind::Saturday, 7), 1.0),
            (Term::HourOn(DayKind::Workday, 7), 0.0),
            (Term::HourOn(DayKind::Saturday, 8), 0.0),
            (Term::Weekday(5), 1.0),
            (Term::Month(3), 1.0),
            (Term::WeekendMonth(3), 1.0),
            (Term::WeekendMonth(4), 0.0),
            (Term::YearSine, 1.0),
            (Term::Temperature(Warmth::Now, Shape::Linear), 28.0),
            (Term::Temperature(Warmth::Now, Shape::Above(26.0)), 2.0),
            (Term::Temperature(Warmth::Now, Shape::Above(30.0)), 0.0),
            (Term::Temperature(Warmth::Mean24, Shape::Above(-5.0)), 7.0),
            (Term::TemperatureOn(DayKind::Saturday, Shape::Above(18.0)), 10.0),
            (Term::TemperatureOn(DayKind::SundayOrHoliday, Shape::Linear), 0.0),
            (Term::Moisture(Shape::Above(12.0)), 2.0),
            // (14 − 8) · (28 − 18) / 10
            (Term::MoistureInHeat, 6.0),
            (Term::MoistureMean24(Shape::Above(10.0)), 1.5),
            (Term::Driver(0, Activity::Quantity), 6.0),
            (Term::Driver(0, Activity::Running), 1.0),
            (Term::Driver(0, Activity::HourBefore), 4.0),
            (Term::Driver(0, Activity::Above(5.0)), 1.0),
            // 6 · (28 − 20) / 10
            (Term::Driver(0, Activity::Cooled), 4.8),
            (Term::Driver(0, Activity::Heated), 0.0),
            (Term::Irradiance(Sun::Squared), 0.25),
            // 0.5 · (28 − 20) / 20
            (Term::Irradiance(Sun::InHeat), 0.2),
            (Term::Irradiance(Sun::Sine), 0.5),
        ] {
            assert!((term.value(&seen) - wanted).abs() < 1e-12, "{term:?} is {}", term.value(&seen));
        }
    }

    #[test]
    fn a_knot_needs_hours_on_both_sides() {
        // 100 hours at 4.0, 4.4 … 43.6 °C: three of them up to 5 °C, none up to 0.
        let values: Vec<f64> = (0..100).map(|index| f64::from(index) * 0.4 + 4.0).collect();
        assert_eq!(knots(&values, 0.02), [5.0, 10.0, 14.0, 18.0, 22.0, 26.0, 30.0, 34.0]);
        assert_eq!(knots(&values, 0.05), [10.0, 14.0, 18.0, 22.0, 26.0, 30.0, 34.0]);
        assert_eq!(knots(&[20.0; 50], 0.02), [0.0; 0]);
    }

    #[test]
    fn seasons_need_a_year_and_optional_inputs_their_data() {
        let mut plain = hour(20.0, DayKind::Workday);
        (plain.humidity, plain.ghi_kw_m2, plain.drivers) = (None, None, Box::new([]));
        // Without knots: intercept, 72, 7, T, T24, T72; then intercept, 7, 3 × T, T6, T24, T72 and 12 + 12 + 2 of the season.
        for (a_year, wanted) in [(false, (83, 14)), (true, (83, 40))] {
            let design = Design::of(&[&plain], a_year);
            assert_eq!((design.pooled.len(), design.hourly.len()), wanted);
        }
        // 5 of humidity, 5 + 1 quartile of one driver, 5 of the sun; then 3 and 3.
        let design = Design::of(&[&hour(20.0, DayKind::Workday)], false);
        assert_eq!((design.pooled.len(), design.hourly.len()), (83 + 16, 14 + 6));
    }
}
