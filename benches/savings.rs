//! What savings cost: a fit of a year of hours, a streaming hour, and the refit of many entities.
//!
//! Prints CPU time, medians of five, and asserts nothing. `REFIT=10000 cargo bench --bench savings` really fits so many loads; without it their time is
//! extrapolated from the fits before and said to be.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark talks, and stops where it cannot go on")]

use std::f64::consts::TAU;
use std::hint::black_box;

use jiff::tz::TimeZone;
use nengtan::domain::calendar::{DayTypes, Span};
use nengtan::domain::units::{HOUR_MS, Millis};
use nengtan::savings::case::{Case, Driver, Periods, WARM_UP_HOURS};
use nengtan::savings::evaluation::{Fitted, fit};
use nengtan::savings::hours::hours;
use nengtan::savings::uncertainty::Stretch;

const YEAR_HOURS: i64 = 365 * 24;
const REPORTED_HOURS: i64 = 31 * 24;
const RUNS: usize = 5;
/// The kernel counts CPU time in 10 ms.
const FITS_PER_RUN: u32 = 4;
const ROUNDS_PER_RUN: u32 = 500;
/// 2025-01-01 00:00 +08:00.
const FROM_MS: i64 = 1_735_660_800_000;
const ENTITIES: f64 = 10_000.0;

fn main() {
    let mut slowest_s = 0.0_f64;
    for (name, rich) in [("temperature only", false), ("humidity, irradiance and a driver", true)] {
        let case = case(0, rich);
        let fit_s = median(|| seconds(|| (0..FITS_PER_RUN).for_each(|_| drop(black_box(fit(&case)))))) / f64::from(FITS_PER_RUN);
        println!("fit of a year of hours, {name}: {:.0} ms of one core (median of {RUNS}; goal 60, at most 150)", 1e3 * fit_s);
        let hour_s = streaming_hour_s(&case, &fit(&case).unwrap());
        println!("streaming hour, {name}: {:.2} µs (median of {RUNS}; goal 2)", 1e6 * hour_s);
        slowest_s = slowest_s.max(fit_s);
    }
    match std::env::var("REFIT").ok().and_then(|count| count.parse::<u32>().ok()) {
        Some(count) => {
            let took_s = seconds(|| (0..count).for_each(|entity| drop(black_box(fit(&case(entity, true))))));
            println!("{count} entities refit: {:.1} core-minutes, {:.0} MB at most", took_s / 60.0, peak_mb());
        }
        None => println!(
            "10,000 entities refit: {:.1} core-minutes (extrapolated from the slower fit; goal 20), {:.0} MB at most (goal 2,000)",
            ENTITIES * slowest_s / 60.0,
            peak_mb()
        ),
    }
}

/// Prediction, sums for the interval, and the sum of the savings, as `savings show` makes them of an hour.
fn streaming_hour_s(case: &Case, fitted: &Fitted) -> f64 {
    let known = hours(case, &fitted.inputs);
    let reported: Vec<_> = known[case.slots(case.periods.reporting)].iter().flatten().collect();
    let round = || {
        let (mut stretch, mut sum_kwh) = (Stretch::default(), 0.0);
        for hour in &reported {
            let predicted_kwh = fitted.baseline.predict_kwh(hour);
            fitted.baseline.add_row(hour, &mut stretch.row_sum);
            stretch.hours += 1;
            stretch.magnitude_kwh += predicted_kwh.abs();
            sum_kwh += predicted_kwh;
        }
        black_box((stretch, sum_kwh));
    };
    median(|| seconds(|| (0..ROUNDS_PER_RUN).for_each(|_| round()))) / f64::from(ROUNDS_PER_RUN) / reported.len() as f64
}

/// A year and a month of an office's hours; `entity` makes it another office.
fn case(entity: u32, rich: bool) -> Case {
    let start = Millis(FROM_MS - WARM_UP_HOURS * HOUR_MS);
    let at = |hours: i64| Millis(FROM_MS + hours * HOUR_MS);
    let slots = WARM_UP_HOURS + YEAR_HOURS + REPORTED_HOURS;
    let noise = |hour: i64, purpose: u64| {
        let mixed = (hour as u64 ^ (u64::from(entity) << 32) ^ (purpose << 56)).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    };
    let sun = |hour: i64| (-(TAU * hour as f64 / 24.0).cos()).max(0.0);
    let warmth = |hour: i64| 12.0 - 14.0 * (TAU * hour as f64 / 8766.0).cos() + 4.0 * sun(hour) + 3.0 * noise(hour / 24, 1);
    let made = |hour: i64| if (8..18).contains(&hour.rem_euclid(24)) { 20.0 + 5.0 * noise(hour, 2) } else { 0.0 };
    let load = |hour: i64| 60.0 + 4.0 * (warmth(hour) - 20.0).max(0.0) + 2.0 * made(hour) + 3.0 * noise(hour, 3);
    let series = |value: &dyn Fn(i64) -> f64| (0..slots).map(|hour| Some(value(hour))).collect::<Vec<_>>();
    Case {
        periods: Periods {
            time_zone: TimeZone::get("Asia/Shanghai").unwrap(),
            baseline: Span { start: at(0), end: at(YEAR_HOURS) },
            reporting: Span { start: at(YEAR_HOURS), end: at(YEAR_HOURS + REPORTED_HOURS) },
        },
        days: DayTypes::default(),
        start,
        meter_kwh: series(&load),
        temperature_c: series(&warmth),
        relative_humidity_pct: rich.then(|| series(&|hour| 65.0 + 20.0 * noise(hour, 4))),
        ghi_w_m2: rich.then(|| series(&|hour| 700.0 * sun(hour))),
        drivers: if rich { vec![Driver { name: "tonnes".to_owned(), quantity: series(&made) }] } else { Vec::new() },
    }
}

fn median(run: impl Fn() -> f64) -> f64 {
    let mut runs: Vec<f64> = (0..RUNS).map(|_| run()).collect();
    runs.sort_by(f64::total_cmp);
    runs[RUNS / 2]
}

fn seconds(work: impl FnOnce()) -> f64 {
    let before = cpu_s();
    work();
    cpu_s() - before
}

/// User and system time of this process (proc(5), fields 14 and 15 of stat, in ticks of 10 ms).
fn cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let after_name = stat.rsplit_once(')').unwrap().1;
    let ticks: f64 = after_name.split_whitespace().skip(11).take(2).map(|field| field.parse::<f64>().unwrap()).sum();
    ticks / 100.0
}

/// Most memory that this process has had (proc(5), `VmHWM` of status).
fn peak_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}
