//! Small sites by hand.

use super::*;
use crate::dispatch::forecast::Hour;
use crate::dispatch::plan::Steps;
use crate::domain::calendar::{DayType, Span};
use crate::domain::units::{HOUR_MS, Millis};

fn hour(index: i64) -> Hour {
    Hour { start: Millis(index * HOUR_MS), of_day: index.rem_euclid(24) as i8, kind: DayType::Workday }
}

fn past(kw: f64) -> Vec<Past> {
    (0..48).map(|index| Past { hour: hour(index), kw }).collect()
}

const SOON: Duration = Duration::from_secs(20);

/// Two hours of these prices after two days of 1000 kW.
fn site(prices: [f64; 2]) -> Site {
    let steps = Steps {
        hours: vec![1.0; 2],
        price: prices.to_vec(),
        carbon: vec![0.0; 2],
        load_kw: Vec::new(),
        excess_kw: Vec::new(),
        charge_below_kw: Vec::new(),
        month: vec![0; 2],
    };
    let hours = vec![hour(48), hour(49)];
    let months = vec![Span { start: Millis(0), end: Millis(i64::MAX) }];
    let outlook = Outlook { hours, steps, months, peak_cny_per_kw: 38.0, kg_per_kwh: 0.6 };
    let (load, sun, excess) = (past(1000.0), past(0.0), past(0.0));
    Site {
        outlook,
        load,
        expected: None,
        sun,
        excess,
        batteries: Vec::new(),
        vehicles: Vec::new(),
        batches: Vec::new(),
        pumps: Vec::new(),
        carbon_cny_per_kg: 0.0,
        spares_what_it_loses: false,
        peak_kw: 2000.0,
        recent_peak_kw: 0.0,
    }
}

fn first(site: &Site) -> Wishes {
    site.wishes(SOON).unwrap().swap_remove(0)
}

fn battery() -> Battery {
    let power_kw = Band { min: -100.0, max: 100.0 };
    Battery { power_kw, capacity_kwh: 400.0, round_trip: 0.81, charge: Band { min: 0.1, max: 0.9 }, stored_kwh: 130.0, rounds: None }
}

#[test]
fn a_battery_gives_what_it_has_above_its_least_in_the_dear_hour() {
    // 90 kWh above the least are 81 at the terminal.
    let site = Site { batteries: vec![battery()], ..site([1.0, 0.2]) };
    assert_eq!(first(&site), Wishes { batteries: vec![-81.0], vehicles: vec![], batches: vec![], pumps: vec![] });
    // One that stands below its least is let be: nothing has to come back at once.
    let empty = Site { batteries: vec![Battery { stored_kwh: 20.0, ..battery() }], ..site };
    assert_eq!(first(&empty).batteries, [0.0]);
}

#[test]
fn charging_stays_below_the_months_peak_without_anybodys_hand() {
    let kw = |quarter_kw: f64, month: i64| {
        let mut site = Site { batteries: vec![battery()], ..site([0.1, 1.0]) };
        site.outlook.months[0].start = Millis(month * HOUR_MS);
        // The highest quarter of the tenth hour.
        site.excess[10].kw = quarter_kw - 1000.0;
        first(&site).batteries[0] as i64
    };
    // 1080 kW were reached in this month; what counts for the excess of the hours ahead is the mean of their like.
    assert_eq!(kw(1080.0, 0), 80);
    assert_eq!(kw(1080.0, 11), 0, "in another month");
    assert_eq!(kw(2000.0, 0), 100, "all of its power");
}

#[test]
fn work_waits_for_a_cheap_hour_of_its_day() {
    let batch = |done_by, waiting_kwh| Batch { power_kw_max: 150.0, come_kw: vec![100.0; 2], done_by, waiting_kwh };
    // The hours ahead begin at 0 and at 1 o'clock.
    let cases = [
        ("now is dear", batch(6, 0.0), [1.0, 0.2], Some(0.0)),
        ("what the next hour's power cannot do is done now, should a twentieth more come", batch(2, 0.0), [1.0, 0.2], Some(55.0)),
        ("its day ends with the hour: it is done as it comes, whatever comes", batch(1, 20.0), [1.0, 0.2], None),
        ("its use ends with the hour", Batch { come_kw: vec![100.0, 0.0], ..batch(6, 20.0) }, [1.0, 0.2], None),
        ("its use is over", Batch { come_kw: vec![0.0, 0.0], ..batch(6, 20.0) }, [1.0, 0.2], None),
        ("more than the machines can do before it ends", batch(1, 500.0), [1.0, 0.2], Some(150.0)),
        ("now is cheap: as fast as it comes", batch(6, 0.0), [0.2, 1.0], None),
        ("what waits evenly over the hour", batch(6, 30.0), [0.2, 1.0], Some(130.0)),
    ];
    for (claim, batch, prices, cap) in cases {
        let mut site = Site { batches: vec![batch], ..site(prices) };
        // A peak that leaves room.
        site.excess[10].kw = 1000.0;
        assert_eq!(first(&site).batches, [cap], "{claim}");
    }
}

#[test]
fn work_that_waited_is_made_up_for_below_the_months_peak_but_in_time() {
    // 70 kWh wait; 1000 kW is the month's peak, so that no more than what comes may be drawn, but for what is due.
    let batch = |done_by| Batch { power_kw_max: 300.0, come_kw: vec![100.0; 2], done_by, waiting_kwh: 70.0 };
    for (done_by, cap) in [(6, Some(100.0)), (1, None)] {
        let site = Site { batches: vec![batch(done_by)], ..site([0.2, 1.0]) };
        assert_eq!(first(&site).batches, [cap], "done by {done_by}");
    }
}

#[test]
fn a_battery_loses_what_heat_pumps_spare_that_rest_for_their_own_sake() {
    // A kWh in loses 0.19. A pump at a COP of 2.5 spares 15 kWh at 450 kW in the dear hour, where its kWh costs 0.4 CNY against the boilers' 0.26; in the cheap one it costs 0.04.
    let pump = |heat_kw, ruled| Pump {
        heat_kw: vec![heat_kw; 2],
        boiler_cny_per_kwh: 0.26,
        boiler_kg_per_kwh: 0.2,
        cop: vec![2.5; 2],
        ruled: vec![ruled; 2],
    };
    let cases = [
        ("nothing spares it", vec![], 0, vec![]),
        ("15 are spared in the dear hour, and none in the cheap one for the battery's sake", vec![pump(450.0, true)], 79, vec![true]),
        ("half as much", vec![pump(225.0, true)], 39, vec![true]),
        ("what rests by the rules spares nothing", vec![pump(300.0, false)], 0, vec![false]),
    ];
    for (claim, pumps, kw, goes_first) in cases {
        let mut site =
            Site { batteries: vec![Battery { stored_kwh: 40.0, ..battery() }], pumps, spares_what_it_loses: true, ..site([0.1, 1.0]) };
        site.excess[10].kw = 1000.0;
        let told = site.wishes(SOON).unwrap();
        assert_eq!((told[0].batteries[0] as i64, &told[0].pumps), (kw, &goes_first), "{claim}");
        assert!(told[1].pumps.iter().all(|first| !first), "{claim}: {told:?}");
    }
}

#[test]
fn many_are_planned_in_pools() {
    let many = Site { batteries: vec![battery(); 100], ..site([1.0, 0.2]) };
    let batteries = first(&many).batteries;
    assert!(batteries.iter().all(|kw| (-81.0..=0.0).contains(kw)), "{batteries:?}");
    // 1000 kW are drawn in the dear hour, and no more is of use; each is told in whole kW.
    let sum: f64 = batteries.iter().sum();
    assert!((sum + 1000.0).abs() < 50.0, "{sum}");
}

#[test]
fn a_plan_without_time_is_none() {
    let site = Site { batteries: vec![battery()], ..site([1.0, 0.2]) };
    assert_eq!(site.wishes(Duration::ZERO), Err(NoPlan::Failed(Failure::Late)));
}

#[test]
fn charging_is_put_off_no_longer_than_vehicles_stay() {
    let vehicles = |stay_h, least| Vehicles { power_kw: Band { min: least, max: 300.0 }, stay_h, past: past(100.0) };
    // Half of the dear hour's 100 kWh may wait half an hour; what they are always left may not.
    let cases = [
        ("half an hour", vehicles(0.5, 0.0), [1.0, 0.2], Some(50.0)),
        ("they are left 70 kW", vehicles(0.5, 70.0), [1.0, 0.2], Some(70.0)),
        ("they leave at once", vehicles(0.0, 0.0), [1.0, 0.2], None),
        ("now is cheap", vehicles(0.5, 0.0), [0.2, 1.0], None),
    ];
    for (claim, vehicles, prices, cap) in cases {
        let site = Site { vehicles: vec![vehicles], ..site(prices) };
        assert_eq!(first(&site).vehicles, [cap], "{claim}");
    }
}

#[test]
fn without_a_day_to_look_back_on_there_is_no_plan() {
    let site = Site { batteries: vec![battery()], load: past(1000.0)[..23].to_vec(), ..site([1.0, 0.2]) };
    assert_eq!(site.wishes(SOON), Err(NoPlan::NoPast));
}
