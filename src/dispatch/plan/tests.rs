//! Small problems by hand.

use super::*;

const SOON: Duration = Duration::from_secs(20);

/// Hours with these prices, without load, carbon or peak.
fn day(prices: &[f64]) -> Problem {
    let steps = Steps {
        hours: vec![1.0; prices.len()],
        price: prices.to_vec(),
        carbon: vec![0.0; prices.len()],
        load_kw: vec![1000.0; prices.len()],
        excess_kw: vec![0.0; prices.len()],
        charge_below_kw: vec![f64::INFINITY; prices.len()],
        month: vec![0; prices.len()],
    };
    Problem { steps, peaks_kw: vec![0.0], ..Problem::default() }
}

fn battery(steps: usize, one_way_efficiency: f64) -> Storage {
    Storage {
        charge_kw_max: 100.0,
        discharge_kw_max: 100.0,
        one_way_efficiency,
        stored_kwh: 0.0,
        floor_kwh: vec![0.0; steps],
        ceiling_kwh: vec![150.0; steps],
        worth_cny_per_kwh: 0.0,
        held: true,
    }
}

fn rounded(series: &[f64]) -> Vec<i64> {
    series.iter().map(|kw| (kw * 10.0).round() as i64).collect()
}

#[test]
fn a_battery_carries_cheap_hours_into_dear_ones() {
    // Two cheap hours fill 150 kWh at 100 and 50 kW; two dear ones take them out again.
    let problem = Problem { storages: vec![battery(4, 1.0)], ..day(&[0.3, 0.2, 0.9, 1.0]) };
    let plan = solve(&problem, SOON).unwrap();
    assert_eq!(rounded(&plan.storage_kw[0]), [500, 1000, -500, -1000]);
    // 4 hours of 1000 kW: 2400 CNY; less 50 × (0.9 − 0.3) + 100 × (1.0 − 0.2) = 110.
    assert!((plan.cost_cny - 2290.0).abs() < 1e-6, "{}", plan.cost_cny);
}

#[test]
fn a_spread_smaller_than_the_loss_is_left_alone() {
    // The round trip gives back 0.8: 0.40 bought becomes 0.50 delivered.
    let one_way = 0.8_f64.sqrt();
    for (dear, moves) in [(0.49, false), (0.51, true)] {
        let problem = Problem { storages: vec![battery(2, one_way)], ..day(&[0.40, dear]) };
        let plan = solve(&problem, SOON).unwrap();
        assert_eq!(plan.storage_kw[0][0] > 1.0, moves, "{dear}: {plan:?}");
        if moves {
            // 100 kWh bought, 80 given back.
            assert_eq!(rounded(&plan.storage_kw[0]), [1000, -800]);
        }
    }
}

#[test]
fn vehicles_are_full_when_they_leave_whatever_it_costs() {
    // 120 kWh by the end of the third hour; the cheapest hour comes after it.
    let vehicle =
        Storage { discharge_kw_max: 0.0, floor_kwh: vec![0.0, 0.0, 120.0, 120.0], ceiling_kwh: vec![120.0; 4], ..battery(4, 1.0) };
    let problem = Problem { storages: vec![vehicle.clone()], ..day(&[0.9, 0.6, 0.8, 0.1]) };
    assert_eq!(rounded(&solve(&problem, SOON).unwrap().storage_kw[0]), [0, 1000, 200, 0]);
    // One that may give is emptied in the dear hour first, and full all the same.
    let gives = Storage { discharge_kw_max: 100.0, stored_kwh: 100.0, ceiling_kwh: vec![150.0; 4], ..vehicle };
    let problem = Problem { storages: vec![gives], ..day(&[0.9, 0.3, 0.4, 0.1]) };
    assert_eq!(rounded(&solve(&problem, SOON).unwrap().storage_kw[0]), [-1000, 1000, 200, 0]);
}

#[test]
fn the_months_peak_caps_charging() {
    let cheap_then_dear = |peak_cny_per_kw, peak_kw| {
        let problem = Problem { storages: vec![battery(2, 1.0)], peak_cny_per_kw, peaks_kw: vec![peak_kw], ..day(&[0.2, 1.0]) };
        rounded(&solve(&problem, SOON).unwrap().storage_kw[0])
    };
    assert_eq!(cheap_then_dear(0.0, 0.0), [1000, -1000]);
    // 38 CNY for each kW above 1030, for 0.8 gained: 30 kW are free.
    assert_eq!(cheap_then_dear(38.0, 1030.0), [300, -300]);
    // Where the peak so far is lower than the load, it is exceeded anyway, and nothing is put on top.
    assert_eq!(cheap_then_dear(38.0, 900.0), [0, 0]);
}

#[test]
fn a_peak_is_made_by_the_highest_quarter_not_by_the_hour() {
    let mut problem = Problem { storages: vec![battery(2, 1.0)], peak_cny_per_kw: 38.0, peaks_kw: vec![1080.0], ..day(&[0.2, 1.0]) };
    problem.steps.excess_kw = vec![30.0, 0.0];
    assert_eq!(rounded(&solve(&problem, SOON).unwrap().storage_kw[0]), [500, -500]);
}

#[test]
fn charging_stays_below_its_limit() {
    let charged = |below_kw| {
        let mut problem = Problem { storages: vec![battery(2, 1.0)], ..day(&[0.2, 1.0]) };
        problem.steps.charge_below_kw = vec![below_kw; 2];
        rounded(&solve(&problem, SOON).unwrap().storage_kw[0])
    };
    assert_eq!(charged(1050.0), [500, -500]);
    // A load above the limit is no reason to fail.
    assert_eq!(charged(900.0), [0, 0]);
}

#[test]
fn each_month_has_its_own_peak() {
    let mut problem =
        Problem { storages: vec![battery(2, 1.0)], peak_cny_per_kw: 38.0, peaks_kw: vec![1050.0, 2000.0], ..day(&[0.2, 1.0]) };
    problem.steps.month = vec![0, 1];
    assert_eq!(rounded(&solve(&problem, SOON).unwrap().storage_kw[0]), [500, -500]);
    problem.steps.month = vec![1, 0];
    assert_eq!(rounded(&solve(&problem, SOON).unwrap().storage_kw[0]), [1000, -1000]);
}

#[test]
fn carbon_counts_by_its_price() {
    // The second hour is 0.1 dearer and 1 kg/kWh cleaner.
    let mut problem = Problem { batches: vec![Batch { kw: 10.0, run_h: 1.0, earliest_step: 0, deadline_h: 2.0 }], ..day(&[0.5, 0.6]) };
    problem.steps.carbon = vec![1.5, 0.5];
    for (carbon_cny_per_kg, step) in [(0.0, 0), (0.09, 0), (0.11, 1)] {
        let plan = solve(&Problem { carbon_cny_per_kg, ..problem.clone() }, SOON).unwrap();
        assert_eq!(plan.batch_step, [step], "{carbon_cny_per_kg}");
    }
}

#[test]
fn a_batch_runs_once_within_its_window() {
    let prices = [0.1, 0.1, 0.9, 0.5, 0.4, 0.1];
    let batch = |earliest_step, deadline_h, run_h| Batch { kw: 100.0, run_h, earliest_step, deadline_h };
    let cases = [
        ("anywhere: the cheapest two hours", batch(0, 6.0, 2.0), 0),
        ("between the third hour and the sixth", batch(2, 5.0, 2.0), 3),
        ("an hour and a half: the half of the dearer one counts", batch(2, 6.0, 1.5), 4),
        ("just fits", batch(2, 4.0, 2.0), 2),
    ];
    for (claim, batch, step) in cases {
        let plan = solve(&Problem { batches: vec![batch], ..day(&prices) }, SOON).unwrap();
        assert_eq!(plan.batch_step, [step], "{claim}");
    }
    let too_long = Problem { batches: vec![batch(2, 3.5, 2.0)], ..day(&prices) };
    assert_eq!(solve(&too_long, SOON), Err(Failure::Infeasible));
    // It is not cut in halves, though these would make half the peak: 2 × 100 + 10 of energy, 100 kW at 38.
    let whole = Problem { batches: vec![batch(0, 2.0, 1.0)], peak_cny_per_kw: 38.0, peaks_kw: vec![1000.0], ..day(&prices[..2]) };
    let cost_cny = solve(&whole, SOON).unwrap().cost_cny;
    assert!((cost_cny - 4010.0).abs() < 1e-6, "{cost_cny}");
    // Two batches share the cheap hours with each other where the peak costs more than the hour.
    let two = Problem { batches: vec![batch(0, 2.0, 1.0); 2], peak_cny_per_kw: 38.0, ..day(&prices) };
    let mut steps = solve(&two, SOON).unwrap().batch_step;
    steps.sort_unstable();
    assert_eq!(steps, [0, 1]);
}

#[test]
fn storages_lose_no_more_than_they_may() {
    // 0.64 of what is charged comes back: of 100 kWh 36 are lost.
    let cases = [
        ("nothing bounds it", None, [1000, -640]),
        ("it may lose nothing", Some(0.0), [0, 0]),
        ("18 kWh are half of it", Some(18.0), [500, -320]),
    ];
    for (claim, losses_kwh_max, storage) in cases {
        let problem = Problem { storages: vec![battery(2, 0.8)], losses_kwh_max, ..day(&[0.2, 1.0]) };
        assert_eq!(rounded(&solve(&problem, SOON).unwrap().storage_kw[0]), storage, "{claim}");
    }
    // What was stored before may be given, and what stays stored is no loss.
    let stored = Storage { stored_kwh: 100.0, worth_cny_per_kwh: 0.0, ..battery(2, 0.8) };
    let problem = Problem { storages: vec![stored.clone()], losses_kwh_max: Some(0.0), ..day(&[0.2, 1.0]) };
    assert_eq!(rounded(&solve(&problem, SOON).unwrap().storage_kw[0]), [0, -800]);
    let kept = Storage { worth_cny_per_kwh: 5.0, ..stored };
    let problem = Problem { storages: vec![kept], losses_kwh_max: Some(0.0), ..day(&[0.2, 1.0]) };
    assert_eq!(rounded(&solve(&problem, SOON).unwrap().storage_kw[0]), [0, 0]);
}

#[test]
fn surplus_sun_is_stored_before_anything_is_bought() {
    let mut problem = Problem { storages: vec![battery(3, 1.0)], ..day(&[0.5, 0.5, 0.5]) };
    problem.steps.load_kw = vec![-80.0, 50.0, 50.0];
    let plan = solve(&problem, SOON).unwrap();
    assert!((plan.cost_cny - 10.0).abs() < 1e-6, "20 of 100 kWh have to be bought: {plan:?}");
}

#[test]
fn what_cannot_be_is_an_error_and_never_a_number() {
    let with = |storage: Storage| Problem { storages: vec![storage], ..day(&[0.3, 0.9]) };
    let good = || Storage { ceiling_kwh: vec![150.0; 2], floor_kwh: vec![0.0; 2], ..battery(2, 0.9) };
    // 150 kWh by the first hour's end at 100 kW.
    assert_eq!(solve(&with(Storage { floor_kwh: vec![149.0, 0.0], ..good() }), SOON), Err(Failure::Infeasible));
    assert_eq!(solve(&with(Storage { floor_kwh: vec![0.0, 151.0], ..good() }), SOON), Err(Failure::Infeasible));
    let faults = [
        with(Storage { one_way_efficiency: 0.0, ..good() }),
        with(Storage { one_way_efficiency: f64::NAN, ..good() }),
        with(Storage { stored_kwh: f64::NAN, ..good() }),
        with(Storage { charge_kw_max: -1.0, ..good() }),
        with(Storage { floor_kwh: vec![0.0], ..good() }),
        Problem { peaks_kw: Vec::new(), ..with(good()) },
        Problem { carbon_cny_per_kg: f64::INFINITY, ..with(good()) },
        day(&[0.3, f64::NAN]),
    ];
    for problem in faults {
        let failure = solve(&problem, SOON).unwrap_err();
        assert!(matches!(failure, Failure::Value { .. } | Failure::Length { .. }), "{failure} of {problem:?}");
    }
}

#[test]
fn a_problem_that_is_too_large_or_out_of_time_is_refused() {
    let many = Problem { storages: vec![battery(48, 0.94); 90], ..day(&[0.5; 48]) };
    assert_eq!(solve(&many, SOON), Err(Failure::TooLarge(48 * 271)));
    let prices: Vec<f64> = (0..96).map(|hour| f64::from(hour * 37 % 24)).collect();
    let some = Problem { storages: vec![battery(96, 0.94); 20], ..day(&prices) };
    assert_eq!(solve(&some, Duration::ZERO), Err(Failure::Late));
}
