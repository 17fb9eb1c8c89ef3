//! An office with a known load, judged in the ways in which a bad estimator fails.

use jiff::tz::TimeZone;

use super::case::{Case, Driver, Periods};
use super::evaluation::{Evaluation, Refusal, fit};
use super::events::Kind;
use crate::domain::calendar::{DayTypes, Span};
use crate::domain::units::{HOUR_MS, Millis};

const YEAR_HOURS: usize = 365 * 24;
const WARM_UP_HOURS: usize = 240;

/// A number between −1 and 1 without a pattern, the same for the same index (one round of `splitmix64`).
fn noise(index: usize) -> f64 {
    let mixed = (index as u64).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
}

/// An office in Berlin, where days of 23 and 25 hours come: 20 kW, 30 more from 8 to 18 o'clock on workdays, cooling above 20 °C, noise
/// of 2 kW. A baseline of `baseline_hours`, then a year.
fn office(baseline_hours: usize) -> Case {
    let start = Millis::from_rfc3339("2022-12-22T00:00:00+01:00").unwrap();
    let at = |hour: usize| start.plus_ms(i64::try_from(WARM_UP_HOURS + hour).unwrap() * HOUR_MS);
    let hours = WARM_UP_HOURS + baseline_hours + YEAR_HOURS;
    let warmth = |hour: usize| {
        let (day, year) = (hour as f64 / 24.0, hour as f64 / 8766.0);
        10.0 - 12.0 * (std::f64::consts::TAU * year).cos() - 4.0 * (std::f64::consts::TAU * day).cos() + 3.0 * noise(hour / 24 + 77)
    };
    let load = |hour: usize| {
        let local = (start.plus_ms(i64::try_from(hour).unwrap() * HOUR_MS)).timestamp().to_zoned(TimeZone::get("Europe/Berlin").unwrap());
        let weekday = local.weekday().to_monday_zero_offset();
        let open = weekday < 5 && (8..18).contains(&local.hour());
        20.0 + if open { 30.0 } else { 0.0 } + 1.5 * (warmth(hour) - 20.0).max(0.0) + 2.0 * noise(hour)
    };
    Case {
        periods: Periods {
            time_zone: TimeZone::get("Europe/Berlin").unwrap(),
            baseline: Span { start: at(0), end: at(baseline_hours) },
            reporting: Span { start: at(baseline_hours), end: at(baseline_hours + YEAR_HOURS) },
        },
        days: DayTypes::default(),
        start,
        meter_kwh: (0..hours).map(|hour| Some(load(hour))).collect(),
        temperature_c: (0..hours).map(|hour| Some(warmth(hour))).collect(),
        relative_humidity_pct: None,
        ghi_w_m2: None,
        drivers: Vec::new(),
    }
}

fn change(case: &mut Case, hours: std::ops::Range<usize>, change: impl Fn(usize, f64) -> f64) {
    let reporting = case.slots(case.periods.reporting).start;
    for hour in hours {
        let metered = &mut case.meter_kwh[reporting + hour];
        *metered = metered.map(|kwh| change(hour, kwh));
    }
}

fn evaluated(case: &Case) -> Evaluation {
    fit(case).unwrap().evaluate(case).unwrap()
}

#[test]
fn a_saving_of_a_tenth_is_found_with_five_per_cent_of_hours_missing() {
    let mut case = office(YEAR_HOURS);
    change(&mut case, 0..YEAR_HOURS, |_, kwh| 0.9 * kwh);
    for (hour, metered) in case.meter_kwh.iter_mut().enumerate() {
        *metered = metered.filter(|_| noise(hour + 1_000_000) < 0.9);
    }
    let fitted = fit(&case).unwrap();
    assert!(!fitted.provisional);
    let evaluation = fitted.evaluate(&case).unwrap();
    let savings_pct = evaluation.savings_pct().unwrap();
    assert!((savings_pct - 10.0).abs() < 0.3, "{savings_pct}");
    assert!((savings_pct - 10.0).abs() / 100.0 * evaluation.counterfactual_kwh < evaluation.half_width_kwh);
    assert_eq!((fitted.shift, evaluation.shift), (None, None));
    let counted = evaluation.hours.iter().filter(|hour| hour.metered_kwh.is_some()).count();
    assert_eq!((evaluation.hours.len(), YEAR_HOURS * 9 / 10 < counted && counted < YEAR_HOURS), (YEAR_HOURS, true));
}

#[test]
fn six_weeks_of_more_base_load_are_flagged_and_photovoltaics_are_no_saving() {
    let mut case = office(YEAR_HOURS);
    let fitted = fit(&case).unwrap();
    let placebo = fitted.evaluate(&case).unwrap();
    assert!(placebo.savings_kwh().abs() < placebo.half_width_kwh, "a year without a measure saves nothing");
    assert_eq!(placebo.shift, None);
    change(&mut case, 100 * 24..142 * 24, |_, kwh| kwh + 10.0);
    let shift = fitted.evaluate(&case).unwrap().shift.unwrap();
    assert_eq!((shift.kind, (shift.last_day - shift.first_day - 41).abs() <= 3), (Kind::NonRoutine, true), "{shift:?}");

    change(&mut case, 100 * 24..142 * 24, |_, kwh| kwh - 10.0);
    change(&mut case, 183 * 24..YEAR_HOURS, |hour, kwh| if (9..16).contains(&(hour % 24)) { kwh - 60.0 } else { kwh });
    let solar = fitted.evaluate(&case).unwrap();
    assert_eq!(solar.shift.as_ref().unwrap().kind, Kind::Photovoltaics);
    assert!(solar.savings_kwh().abs() < solar.half_width_kwh, "{}", solar.savings_kwh());
    assert!((175..190).contains(&solar.days.len()));
}

#[test]
fn a_baseline_of_three_months_is_refused_and_one_of_a_little_more_provisional() {
    for (days, full) in [(89, 2), (90, 3), (96, 3)] {
        let wanted = Refusal::BaselineBuilding { full, possible_from: "2023-04-08".to_owned() };
        assert_eq!(fit(&office(days * 24)).err(), Some(wanted), "{days} days");
    }
    let case = office(97 * 24);
    let fitted = fit(&case).unwrap();
    assert!(fitted.provisional);
    let evaluation = fitted.evaluate(&case).unwrap();
    // Summer was never seen: the interval has to say so, if the figure cannot.
    assert!(evaluation.half_width_kwh > 0.025 * evaluation.counterfactual_kwh);
}

#[test]
fn three_months_without_enough_readings_are_no_three_months() {
    let mut case = office(110 * 24);
    let baseline = case.slots(case.periods.baseline);
    // Five days of March.
    case.meter_kwh[baseline.start + 65 * 24..baseline.start + 70 * 24].fill(None);
    let wanted = Refusal::BaselineBuilding { full: 2, possible_from: "2023-05-08".to_owned() };
    assert_eq!(fit(&case).err(), Some(wanted));
}

#[test]
fn a_frozen_baseline_is_the_same_after_it_was_written_and_read() {
    let mut case = office(YEAR_HOURS);
    case.relative_humidity_pct = Some((0..case.meter_kwh.len()).map(|hour| Some(60.0 + 20.0 * noise(hour))).collect());
    case.drivers
        .push(Driver { name: "tonnes".to_owned(), quantity: (0..case.meter_kwh.len()).map(|hour| Some(1.0 + noise(hour + 5))).collect() });
    let fitted = fit(&case).unwrap();
    let text = serde_json::to_string(&fitted).unwrap();
    let read: super::evaluation::Fitted = serde_json::from_str(&text).unwrap();
    assert!(read == fitted);
    let (before, after) = (fitted.evaluate(&case).unwrap(), read.evaluate(&case).unwrap());
    assert_eq!((before.savings_kwh(), before.half_width_kwh), (after.savings_kwh(), after.half_width_kwh));
}

#[test]
fn inputs_that_never_vary_and_loads_that_turn_negative_give_finite_figures() {
    let mut case = office(YEAR_HOURS);
    case.temperature_c.fill(Some(20.0));
    case.drivers.push(Driver { name: "pieces".to_owned(), quantity: vec![Some(7.0); case.meter_kwh.len()] });
    for metered in case.meter_kwh.iter_mut().flatten() {
        *metered -= 35.0;
    }
    let evaluation = evaluated(&case);
    let figures = [evaluation.counterfactual_kwh, evaluation.metered_kwh, evaluation.half_width_kwh, evaluation.savings_pct().unwrap()];
    assert!(figures.iter().all(|figure| figure.is_finite()), "{figures:?}");
    assert!(evaluation.counterfactual_kwh < 0.0 && evaluation.half_width_kwh > 0.0);
}

#[test]
fn what_cannot_be_judged_is_refused() {
    let mut case = office(YEAR_HOURS);
    let (baseline, reporting) = (case.slots(case.periods.baseline), case.slots(case.periods.reporting));
    let mut quantity = vec![Some(1.0); case.meter_kwh.len()];
    quantity[baseline.start..baseline.start + 1000].fill(None);
    case.drivers.push(Driver { name: "tonnes".to_owned(), quantity });
    let wanted = Refusal::DriverMissing { driver: "tonnes".to_owned(), missing: 1000, metered: YEAR_HOURS, period: "baseline" };
    assert_eq!(fit(&case).err(), Some(wanted));
    case.drivers.clear();
    case.temperature_c[baseline].fill(None);
    assert_eq!(fit(&case).err(), Some(Refusal::NoTemperature));
    let mut silent = office(100 * 24);
    let reporting_slots = silent.slots(silent.periods.reporting);
    silent.meter_kwh[reporting_slots.clone()].fill(None);
    let fitted = fit(&silent).unwrap();
    assert_eq!(fitted.evaluate(&silent).err(), Some(Refusal::NothingReported));
    let mut unseen = office(100 * 24);
    unseen.temperature_c[reporting_slots].fill(None);
    let wanted = Refusal::ReportingInputs { usable: 0, metered: reporting.len() };
    assert_eq!(fit(&unseen).unwrap().evaluate(&unseen).err(), Some(wanted));
}
