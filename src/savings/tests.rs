//! An office with a known load, judged in the ways in which a bad estimator fails.

use jiff::tz::TimeZone;

use super::case::{Case, Driver, Periods};
use super::evaluation::{Refusal, fit};
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

    // They came with the reporting period, or soon after: the baseline's last days tell.
    for first in [0, 20] {
        let mut case = office(YEAR_HOURS);
        change(&mut case, first * 24..YEAR_HOURS, |hour, kwh| if (9..16).contains(&(hour % 24)) { kwh - 60.0 } else { kwh });
        let solar = fitted.evaluate(&case).unwrap();
        assert_eq!(solar.shift.as_ref().unwrap().kind, Kind::Photovoltaics, "{first}");
        assert!(
            solar.days.len().abs_diff(first) <= 3 && solar.savings_kwh().abs() <= solar.half_width_kwh,
            "{first}: {}",
            solar.days.len()
        );
    }
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

/// Lamps that burn at night: the nights of the other half of the year are longer, or shorter, and no weather tells.
#[test]
fn seasons_that_were_not_seen_are_claimed_with_an_interval_that_knows_it() {
    let mut case = office(130 * 24);
    let lamps = |slot: usize| {
        let (hour, year) = ((slot % 24) as f64, slot as f64 / 8766.0);
        let night_h = 12.0 + 4.0 * (std::f64::consts::TAU * year).cos();
        let of_noon = (hour - 12.0).abs();
        50.0 * (of_noon - (12.0 - night_h / 2.0) + 0.5).clamp(0.0, 1.0) + noise(slot)
    };
    let kwh: Vec<f64> = (0..case.meter_kwh.len()).map(lamps).collect();
    for (metered, kwh) in case.meter_kwh.iter_mut().zip(&kwh) {
        *metered = Some(*kwh);
    }
    let fitted = fit(&case).unwrap();
    let year = fitted.evaluate(&case).unwrap();
    assert!(fitted.provisional && year.savings_kwh().abs() < year.half_width_kwh, "{} ± {}", year.savings_kwh(), year.half_width_kwh);
    // The same part of the next year was seen.
    case.periods.reporting.start = case.periods.baseline.start.plus_ms(365 * 24 * HOUR_MS);
    case.periods.reporting.end = case.periods.reporting.start.plus_ms(90 * 24 * HOUR_MS);
    let same = fitted.evaluate(&case).unwrap();
    assert!(same.half_width_kwh < 0.06 * same.counterfactual_kwh, "{} of {}", same.half_width_kwh, same.counterfactual_kwh);
}

#[test]
fn a_baseline_without_any_use_and_weather_beyond_it_are_told() {
    let mut case = office(130 * 24);
    for slot in case.slots(case.periods.baseline) {
        case.meter_kwh[slot] = Some(0.0);
    }
    assert_eq!(fit(&case).err(), Some(Refusal::NothingUsed));
    let mut case = office(YEAR_HOURS);
    assert_eq!(fit(&case).unwrap().evaluate(&case).unwrap().beyond_temperature, 0);
    let reporting = case.slots(case.periods.reporting).start;
    case.temperature_c[reporting + 1000..reporting + 1100].fill(Some(60.0));
    assert_eq!(fit(&case).unwrap().evaluate(&case).unwrap().beyond_temperature, 100);
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

/// What an awkward case must come to.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Wanted {
    /// No measure was taken, and the interval says so.
    NothingSaved,
    /// Figures that are numbers; there is no truth to hold them against.
    Finite,
    Refused,
}

#[test]
fn an_awkward_case_gets_a_sound_answer_or_a_refusal_and_never_a_figure_that_is_none() {
    type Distort = fn(&mut Case);
    // The office stands in Berlin: each case has two days of 23 and two of 25 hours.
    let cases: [(&str, Distort, Wanted); 16] = [
        ("as it is", |_| {}, Wanted::NothingSaved),
        ("5 % of readings missing", |case| drop_some(&mut case.meter_kwh, 0.05), Wanted::NothingSaved),
        ("20 % of readings missing, some of each day", |case| drop_some(&mut case.meter_kwh, 0.2), Wanted::NothingSaved),
        ("5 % of temperatures missing", |case| drop_some(&mut case.temperature_c, 0.05), Wanted::NothingSaved),
        ("two weeks of readings missing", |case| case.meter_kwh[4000..4336].fill(None), Wanted::NothingSaved),
        ("the temperature never varies", |case| case.temperature_c.fill(Some(20.0)), Wanted::Finite),
        (
            "it varies in the reporting period only",
            |case| case.temperature_c[..WARM_UP_HOURS + YEAR_HOURS].fill(Some(20.0)),
            Wanted::Finite,
        ),
        ("a driver never varies", |case| driver(case, |_| 7.0), Wanted::NothingSaved),
        ("a driver is there once", |case| driver(case, |hour| f64::from(u8::from(hour == 3000))), Wanted::NothingSaved),
        ("a net load below zero", |case| add(case, |_| -200.0), Wanted::NothingSaved),
        (
            "photovoltaics turn the load's sign at noon",
            |case| add(case, |hour| if (10..15).contains(&(hour % 24)) { -80.0 } else { 0.0 }),
            Wanted::NothingSaved,
        ),
        ("no load at all", |case| case.meter_kwh.fill(Some(0.0)), Wanted::Refused),
        ("a load that never varies", |case| case.meter_kwh.fill(Some(5.0)), Wanted::NothingSaved),
        ("one absurd reading", |case| case.meter_kwh[5000] = Some(9e14), Wanted::Finite),
        ("no temperature", |case| case.temperature_c.fill(None), Wanted::Refused),
        (
            "half of the baseline missing",
            |case| case.meter_kwh[..WARM_UP_HOURS + YEAR_HOURS].iter_mut().step_by(2).for_each(|metered| *metered = None),
            Wanted::Refused,
        ),
    ];
    for (name, distort, wanted) in cases {
        let mut case = office(YEAR_HOURS);
        distort(&mut case);
        let judged = fit(&case).and_then(|fitted| Ok((fitted.evaluate(&case)?, fitted)));
        let Ok((evaluation, fitted)) = judged else {
            assert_eq!(wanted, Wanted::Refused, "{name}: {:?}", judged.err());
            continue;
        };
        let totals = [evaluation.counterfactual_kwh, evaluation.metered_kwh, evaluation.half_width_kwh];
        let hours = evaluation.hours.iter().map(|hour| hour.baseline_kwh);
        let days = evaluation.days.iter().flat_map(|day| [day.savings_so_far_kwh, day.half_width_so_far_kwh]);
        let spreads =
            [fitted.quality.fitted, fitted.quality.cross_validated].into_iter().flatten().flat_map(|spread| [spread.cv_rmse, spread.nmbe]);
        let shares = evaluation.savings_pct().into_iter().chain(spreads);
        assert!(totals.into_iter().chain(hours).chain(days).chain(shares).all(f64::is_finite), "{name}: {totals:?}");
        let (saved_kwh, half_kwh) = (evaluation.savings_kwh(), evaluation.half_width_kwh);
        // A load without any noise has rounding only.
        let nothing = saved_kwh.abs() <= half_kwh.max(1e-6 * evaluation.metered_kwh.abs());
        assert!(
            wanted == Wanted::Finite || (wanted == Wanted::NothingSaved && nothing),
            "{name}: {saved_kwh} ± {half_kwh}, wanted {wanted:?}"
        );
    }
}

fn driver(case: &mut Case, quantity: fn(usize) -> f64) {
    let quantity = (0..case.meter_kwh.len()).map(|hour| Some(quantity(hour))).collect();
    case.drivers.push(Driver { name: "pieces".to_owned(), quantity });
}

/// Takes a share of a series away, hour by hour, without a pattern.
fn drop_some(series: &mut [Option<f64>], share: f64) {
    for (hour, value) in series.iter_mut().enumerate() {
        *value = value.filter(|_| noise(hour + 2_000_000) < 1.0 - 2.0 * share);
    }
}

fn add(case: &mut Case, more: impl Fn(usize) -> f64) {
    for (hour, metered) in case.meter_kwh.iter_mut().enumerate() {
        *metered = metered.map(|kwh| kwh + more(hour));
    }
}

#[test]
fn hours_beyond_all_that_a_baseline_has_seen_are_counted() {
    let mut case = office(YEAR_HOURS);
    driver(&mut case, noise);
    let reporting = case.slots(case.periods.reporting);
    case.drivers[0].quantity[reporting.start..reporting.start + 500].fill(Some(1.5));
    case.drivers[0].quantity[reporting.start + 500] = Some(-1.5);
    case.drivers[0].quantity[reporting.start + 501..reporting.end].fill(Some(0.5));
    let evaluation = fit(&case).unwrap().evaluate(&case).unwrap();
    assert_eq!(evaluation.extrapolated, [("pieces".to_owned(), 501)]);
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
    driver(&mut case, |hour| if hour < WARM_UP_HOURS + YEAR_HOURS { 7.0 } else { 8.0 });
    assert_eq!(fit(&case).err(), Some(Refusal::DriverUnseen { driver: "pieces".to_owned() }));
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
