//! A harsh month of a small zone without a broker: the law of the house holds on the fleet's own data.

use std::collections::{HashMap, HashSet};

use jiff::tz::TimeZone;

use super::*;
use crate::faults::{Level, Preview};
use crate::register::MILLI;
use crate::register::tests::channel;
use crate::truth::{Span, file};
use crate::window::DAY_MS;
use crate::zone::{Carrier, Channel};

const LIVE_FROM_MS: i64 = 1_767_196_800_000;
const STEP_MS: i64 = 900_000;

/// Alike meters, eight on a gateway, every seventh one of water.
pub(crate) fn zone(meters: usize) -> Zone {
    let channel = |index: usize| Channel {
        meter: format!("M{index:03}"),
        gateway: format!("gw{}", index / 8),
        carrier: if index % 7 == 3 { Carrier::Water } else { Carrier::Electricity },
        ..channel()
    };
    Zone {
        id: "z".to_owned(),
        folder: std::path::PathBuf::new(),
        tz: TimeZone::get("Asia/Shanghai").unwrap(),
        latitude: 36.0,
        longitude: 120.0,
        interval_ms: STEP_MS,
        history_interval_ms: HOUR_MS,
        live_from_ms: Some(LIVE_FROM_MS),
        entities: Vec::new(),
        channels: (0..meters).map(channel).collect(),
        assets: Vec::new(),
        calendar: HashMap::new(),
        gas_mj_per_m3: 36.0,
        steam_kj_per_kg: 2675.0,
    }
}

/// A day's swing between a tenth and nine tenths of the rating.
fn flows(from_ms: i64, to_ms: i64, out: &mut [f64]) {
    for (channel, out) in out.iter_mut().enumerate() {
        let hour = (from_ms / HOUR_MS + i64::from(channel as u32)) % 24;
        let share = 0.1 + 0.8 * (hour as f64 / 24.0 * std::f64::consts::PI).sin();
        *out = share * 400_000.0 * (to_ms - from_ms) as f64 / HOUR_MS as f64;
    }
}

fn window(days: i64) -> Window {
    Window {
        start_ms: LIVE_FROM_MS - 20 * DAY_MS,
        live_from_ms: LIVE_FROM_MS,
        to_ms: LIVE_FROM_MS + days * DAY_MS,
        history_step_ms: HOUR_MS,
        step_ms: STEP_MS,
    }
}

fn play(zone: &Zone, level: Level, days: i64, seed: u64, mut ask: impl FnMut(&mut Simulation, i64)) -> (Simulation<'_>, Vec<Publication>) {
    let window = window(days);
    let preview = Preview::new(&window, zone.channels.len(), flows);
    let plan = Plan::draw(zone, &Roster::new(zone), &window, level, &preview, seed);
    let mut simulation = Simulation::new(zone, &AlertRules::default(), window, plan, seed);
    let mut out = vec![0.0; zone.channels.len()];
    let mut publications = Vec::new();
    simulation.prime();
    let mut at_ms = window.start_ms;
    while at_ms < window.to_ms {
        let next_ms = at_ms + if at_ms < window.live_from_ms { HOUR_MS } else { STEP_MS };
        simulation.connections(at_ms);
        ask(&mut simulation, at_ms);
        flows(at_ms, next_ms, &mut out);
        simulation.advance(at_ms, next_ms, &out);
        publications.extend(simulation.leave(next_ms));
        simulation.tick(next_ms);
        at_ms = next_ms;
    }
    (simulation, publications)
}

fn spans(simulation: &Simulation) -> Vec<(usize, Span)> {
    let meters = 0..simulation.roster.meters.len();
    meters.flat_map(|meter| file::spans_of(simulation, meter, 0).into_iter().map(move |span| (meter, span))).collect()
}

/// |owed − physical| ≤ what the faults touching the span made unobservable + one step.
fn check_law(simulation: &Simulation, seed: u64) {
    let step = simulation.zone.channels[0].step * MILLI;
    for (meter, span) in spans(simulation) {
        let touching = simulation.played.iter().filter(|played| {
            let before =
                simulation.logs[meter].published_before(played.from_ms).map_or(played.from_ms, |index| simulation.logs[meter].at[index]);
            played.meter == Some(meter) && before < span.to_ms && span.from_ms <= played.to_ms
        });
        let unobservable: i64 = touching.clone().map(|played| file::unobservable(simulation, played)).sum();
        let off = (span.owed * MILLI - span.physical).abs();
        let kinds: Vec<Kind> = touching.map(|played| played.kind).collect();
        assert!(
            off <= unobservable + step,
            "seed {seed}, meter {meter}: {span:?} is off by {off}, unobservable {unobservable}, faults {kinds:?}"
        );
    }
}

#[test]
fn owed_differs_from_physical_by_at_most_the_unobservable_and_one_step() {
    let zone = zone(48);
    for seed in 1..=5 {
        let (simulation, _) = play(&zone, Level::Harsh, 30, seed, |_, _| {});
        check_law(&simulation, seed);
        let step = zone.channels[0].step * MILLI;
        let off = spans(&simulation).iter().filter(|(_, span)| (span.owed * MILLI - span.physical).abs() > step).count();
        assert!(off > 0, "seed {seed}: no fault has hidden any energy");
    }
}

#[test]
fn without_faults_owed_is_physical_within_one_step_and_nothing_is_played() {
    let zone = zone(8);
    let (simulation, _) = play(&zone, Level::None, 3, 1, |_, _| {});
    check_law(&simulation, 1);
    assert!(simulation.played.iter().all(|played| played.kind == Kind::Rollover), "{:?}", simulation.played);
    assert_eq!((simulation.tally.duplicates, simulation.tally.reordered, simulation.tally.late), (0, 0, 0));
}

#[test]
fn a_harsh_month_of_300_meters_has_as_many_faults_as_asked_for() {
    let zone = zone(300);
    let (simulation, _) = play(&zone, Level::Harsh, 30, 1, |_, _| {});
    let count = |kind| {
        let places: HashSet<_> = simulation
            .played
            .iter()
            .filter(|played| played.kind == kind)
            .map(|played| (played.gateway, played.meter, played.from_ms))
            .collect();
        places.len()
    };
    let least = [
        (Kind::GatewayOffline, 20),
        (Kind::Reset, 10),
        (Kind::Rollover, 10),
        (Kind::SwapDeclared, 10),
        (Kind::SwapUndeclared, 10),
        (Kind::FalseZero, 10),
        (Kind::Frozen, 10),
        (Kind::Spike, 10),
        (Kind::ClockDrift, 5),
        (Kind::Gap, 10),
    ];
    for (kind, least) in least {
        assert!(count(kind) >= least, "{}: {}", kind.name(), count(kind));
    }
    assert_eq!(simulation.unplaced(), 0);
    let Tally { readings, duplicates, reordered, late, .. } = simulation.tally;
    let live = readings as f64 - 300.0 * 20.0 * 24.0;
    for (seen, share) in [(duplicates, 0.02), (reordered, 0.02), (late, 0.01)] {
        assert!(seen as f64 >= share * live, "{seen} of {live}");
    }
}

#[test]
fn the_same_seed_publishes_the_same_bytes() {
    let zone = zone(6);
    let play = |seed| play(&zone, Level::Harsh, 4, seed, |_, _| {}).1;
    assert_eq!(play(3), play(3));
    assert_ne!(play(3), play(4));
}

#[test]
fn a_gap_is_published_when_it_is_asked_for_and_only_then() {
    let zone = zone(24);
    let withheld = |simulation: &Simulation| simulation.logs.iter().flat_map(|log| &log.published).filter(|times| **times == 0).count();
    let (silent, _) = play(&zone, Level::Harsh, 10, 2, |_, _| {});
    assert!(withheld(&silent) > 0);
    let (asked, _) = play(&zone, Level::Harsh, 10, 2, |simulation, at_ms| {
        for meter in 0..24 {
            simulation.backfill(&format!("M{meter:03}"), at_ms - 12 * HOUR_MS, at_ms);
        }
    });
    assert_eq!(withheld(&asked), 0);
    check_law(&asked, 2);
}

#[test]
fn what_is_owed_depends_on_the_set_of_published_readings_alone() {
    let zone = zone(16);
    let (mut simulation, _) = play(&zone, Level::Harsh, 10, 5, |_, _| {});
    let before = spans(&simulation);
    for log in &mut simulation.logs {
        log.published.iter_mut().filter(|times| **times > 0).for_each(|times| *times = 3);
    }
    assert_eq!(spans(&simulation), before);
}
