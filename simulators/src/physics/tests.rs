//! The whole zone against physics.

use std::path::Path;

use rustc_hash::{FxHashMap, FxHashSet};

use super::*;
use crate::zone::{Channel, Direction};

const QUARTER_MS: i64 = SLOT_MS;
const DAY_STEPS: usize = 96;

fn zone() -> Zone {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/zones/qingdao-hightech");
    Zone::load(&folder).unwrap()
}

fn local(text: &str) -> i64 {
    format!("{text}T00:00:00+08:00").parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

/// Steps `world` from a local date on and hands each step's values to `see`.
fn run(world: &mut World, from: &str, step_ms: i64, steps: usize, mut see: impl FnMut(&[f64])) {
    let mut out = vec![0.0; world.zone.channels.len()];
    let mut at = local(from);
    for _ in 0..steps {
        world.step(at, at + step_ms, &mut out);
        see(&out);
        at += step_ms;
    }
}

fn bytes(world: &mut World, from: &str, steps: usize) -> Vec<Vec<u64>> {
    let mut seen = Vec::new();
    run(world, from, QUARTER_MS, steps, |out| {
        seen.push(out.iter().map(|value| value.to_bits()).collect());
    });
    seen
}

/// Net flow into each register meter: import and made less export and generation.
fn nets<'a>(channels: &'a [Channel], out: &[f64]) -> FxHashMap<&'a str, f64> {
    let mut nets = FxHashMap::default();
    for (channel, value) in channels.iter().zip(out) {
        let signed = match channel.direction {
            Direction::Import | Direction::Made => *value,
            Direction::Export | Direction::Generation => -*value,
            Direction::Gauge => continue,
        };
        *nets.entry(channel.meter.as_str()).or_insert(0.0) += signed;
    }
    nets
}

#[test]
fn no_meter_ever_shows_less_than_its_sub_meters() {
    let zone = zone();
    let mut world = World::new(&zone, 42).unwrap();
    let parents: FxHashMap<&str, &str> =
        zone.channels.iter().filter_map(|channel| Some((channel.meter.as_str(), channel.parent.as_deref()?))).collect();
    for (from, step_ms, steps) in
        [("2025-07-01", HOUR_MS, 240), ("2026-01-01", QUARTER_MS, 3 * DAY_STEPS), ("2026-05-01", QUARTER_MS, 2 * DAY_STEPS)]
    {
        run(&mut world, from, step_ms, steps, |out| {
            let nets = nets(&zone.channels, out);
            let mut below: FxHashMap<&str, f64> = FxHashMap::default();
            for (meter, parent) in &parents {
                *below.entry(parent).or_insert(0.0) += nets[meter];
            }
            for (parent, sum) in below {
                assert!(nets[parent] >= sum - 1e-6 * sum.abs(), "{from}: {parent} shows {}, its sub-meters {sum}", nets[parent]);
            }
        });
    }
}

#[test]
fn the_zone_feeders_never_run_backwards() {
    let zone = zone();
    let mut world = World::new(&zone, 42).unwrap();
    let feeders: Vec<usize> = (0..zone.channels.len())
        .filter(|index| zone.channels[*index].entity == zone.id && zone.channels[*index].direction == Direction::Import)
        .collect();
    run(&mut world, "2025-01-01", HOUR_MS, 8760, |out| {
        for feeder in &feeders {
            assert!(out[*feeder] > 0.0, "{}", zone.channels[*feeder].meter);
        }
    });
}

/// Whoever commands it: vehicles give only at night, when their feeder takes more than they give.
#[test]
fn buses_that_give_all_night_leave_full_and_no_feeder_runs_backwards() {
    let zone = zone();
    let mut world = World::new(&zone, 42).unwrap();
    world.commission();
    world.controls.set("v2g-01", -600.0);
    let at =
        |meter: &str, direction| zone.channels.iter().position(|channel| channel.meter == meter && channel.direction == direction).unwrap();
    let (feeder, given) = (at("HT-E-0006", Direction::Import), at("HT-E-9181", Direction::Export));
    let (mut given_kwh, mut least_kw) = (0.0, f64::INFINITY);
    for from in ["2025-01-01", "2025-04-15", "2025-07-01", "2025-10-01"] {
        run(&mut world, from, QUARTER_MS, 14 * DAY_STEPS, |out| {
            given_kwh += out[given] / 1000.0;
            if 0.0 < out[given] {
                least_kw = least_kw.min(out[feeder] / 1000.0 * 4.0);
            }
        });
    }
    let flow = |name| world.totals().find(|flow| flow.table == "v2g" && flow.name == name).unwrap().total;
    assert!(10_000.0 < given_kwh && 0.0 < least_kw, "{given_kwh} kWh given, at least {least_kw} kW taken");
    assert!(flow("undelivered") < 1e-6 && 0.0 < flow("lost"), "{} kWh short", flow("undelivered"));
    // What went in is out, lost or stored, of which there are 2500 kWh.
    assert!((flow("terminal") - flow("lost")).abs() < 2500.0, "{} taken, {} lost", flow("terminal"), flow("lost"));
}

#[test]
fn photovoltaics_make_nothing_in_the_dark() {
    let zone = zone();
    let mut world = World::new(&zone, 42).unwrap();
    let irradiance = zone.channels.iter().position(|channel| channel.item == "global_irradiance_w_m2").unwrap();
    let (mut dark, mut made) = (0, 0.0);
    run(&mut world, "2026-01-05", QUARTER_MS, DAY_STEPS, |out| {
        for (channel, value) in zone.channels.iter().zip(out).filter(|(channel, _)| channel.direction == Direction::Generation) {
            if out[irradiance] == 0.0 {
                dark += 1;
                assert!(*value == 0.0, "{} makes {value} in the dark", channel.meter);
            }
            made += value;
        }
    });
    assert!(dark > 8 * DAY_STEPS / 2 && made > 0.0, "{dark} dark quarters, {made} Wh");
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_does_not() {
    let zone = zone();
    let of_seed = |seed| bytes(&mut World::new(&zone, seed).unwrap(), "2026-01-01", DAY_STEPS);
    assert!(of_seed(42) == of_seed(42));
    assert!(of_seed(42) != of_seed(43));
}

#[test]
fn a_start_at_any_date_sees_the_same_weather() {
    let zone = zone();
    // A battery remembers how it was charged.
    let is_weather = |channel: &Channel| {
        channel.direction == Direction::Gauge && !["state_of_charge_pct", "waiting_kwh"].contains(&channel.item.as_str())
    };
    let gauges: Vec<usize> = (0..zone.channels.len()).filter(|index| is_weather(&zone.channels[*index])).collect();
    let early = bytes(&mut World::new(&zone, 42).unwrap(), "2026-01-01", 2 * DAY_STEPS);
    let late = bytes(&mut World::new(&zone, 42).unwrap(), "2026-01-02", DAY_STEPS);
    for (a, b) in early[DAY_STEPS..].iter().zip(&late) {
        assert!(gauges.iter().all(|gauge| a[*gauge] == b[*gauge]));
    }
}

/// Entities whose channels differ between two worlds over a day.
fn changed(zone: &Zone, one: &mut World, other: &mut World) -> FxHashSet<String> {
    changed_in(("2026-01-05", 1), zone, one, other)
}

fn changed_in((date, days): (&str, usize), zone: &Zone, one: &mut World, other: &mut World) -> FxHashSet<String> {
    let (one, other) = (bytes(one, date, days * DAY_STEPS), bytes(other, date, days * DAY_STEPS));
    let differs = |index: &usize| one.iter().zip(&other).any(|(a, b)| a[*index] != b[*index]);
    (0..zone.channels.len()).filter(differs).map(|index| zone.channels[index].entity.clone()).collect()
}

#[test]
fn a_changed_line_changes_its_factory_and_what_feeds_it_only() {
    let zone = zone();
    let plan = Plan::load(&zone.folder).unwrap();
    let mut busier = plan.clone();
    let line = busier.line.iter_mut().find(|line| line.entity == "E-FACTORY-07-L2").unwrap();
    line.per_h *= 1.5;
    let changed = changed(&zone, &mut World::from_plan(&zone, &plan, 42).unwrap(), &mut World::from_plan(&zone, &busier, 42).unwrap());
    let expected = ["E-FACTORY-07-L2", "E-FACTORY-07", "E-ENERGY-02", "qingdao-hightech"];
    assert_eq!(changed, expected.map(str::to_owned).into_iter().collect());
}

#[test]
fn a_set_point_changes_its_asset_and_what_feeds_it_only() {
    let zone = zone();
    let cases: [(&str, f64, &[&str]); 4] = [
        ("hvac-office-01", 18.0, &["E-OFFICE-01", "E-ENERGY-01", "qingdao-hightech"]),
        ("compressor-factory-01", 6.0, &["E-FACTORY-01", "qingdao-hightech"]),
        ("battery-01", 0.0, &["E-BATTERY-01", "qingdao-hightech"]),
        ("lighting-01", 50.0, &["E-PUBLIC-01", "qingdao-hightech"]),
    ];
    for (asset, set_point, expected) in cases {
        let mut controlled = World::new(&zone, 42).unwrap();
        controlled.controls.set(asset, set_point);
        let changed = changed(&zone, &mut World::new(&zone, 42).unwrap(), &mut controlled);
        assert_eq!(changed, expected.iter().map(|id| (*id).to_owned()).collect(), "{asset}");
    }
}

#[test]
fn a_room_is_warm_when_it_is_told_to_be_before_anybody_is_in() {
    let zone = zone();
    let mut world = World::new(&zone, 42).unwrap();
    world.controls.set("hvac-office-02", 19.0);
    run(&mut world, "2026-01-14", HOUR_MS, 6, |_| {});
    let room_c = world.rooms().find(|(asset, _)| *asset == "hvac-office-02").unwrap().1;
    assert!((room_c - 19.0).abs() < 0.1, "{room_c} at six in the morning");
}

#[test]
fn what_stands_still_gives_nothing_and_what_is_commanded_or_built_does() {
    let zone = zone();
    let mut world = World::new(&zone, 42).unwrap();
    let total = |world: &World, model: &str, name: &str| {
        world.totals().filter(|flow| (flow.model, flow.name) == (model, name)).map(|flow| flow.total).sum::<f64>()
    };
    run(&mut world, "2026-01-14", HOUR_MS, 24, |_| {});
    let (gas, heat) = (total(&world, "es-boiler", "gas_1"), total(&world, "es-boiler", "made"));
    assert!(total(&world, "pv-11", "inverter") == 0.0 && total(&world, "es-boiler", "pumped") == 0.0);
    world.commission();
    world.controls.set("heat-pump-es-01", 100.0);
    world.count_from_here();
    run(&mut world, "2026-01-14", HOUR_MS, 24, |_| {});
    let (pumped, kwh) = (total(&world, "es-boiler", "pumped"), total(&world, "es-boiler", "heat_pump"));
    assert!(total(&world, "pv-11", "inverter") < -1000.0);
    // A large air-source heat pump at 60 C and a little below zero: 2 to 2.8 for one (IEA HPT Annex 48).
    assert!((2.0..2.8).contains(&(pumped / 0.0036 / kwh)), "{pumped} GJ of {kwh} kWh");
    assert!(total(&world, "es-boiler", "gas_1") <= gas && pumped < heat);
}

#[test]
fn a_heat_pump_takes_no_more_waste_heat_than_the_servers_give_off() {
    let zone = zone();
    let mut world = World::new(&zone, 42).unwrap();
    world.controls.set("heat-pump-data-01", 100.0);
    // The coolest flow takes most out of the source.
    world.controls.set("boiler-es-01", 45.0);
    let flow = |world: &World, name: &str| world.flows[world.roster.flow_of()[name]];
    let mut out = vec![0.0; zone.channels.len()];
    let (mut at, mut least, mut taken_gj) = (local("2026-01-01"), f64::MAX, 0.0);
    for _ in 0..90 * 24 {
        world.step(at, at + HOUR_MS, &mut out);
        let (given_gj, waste_gj) = (flow(&world, "data-01.it") * 0.0036, flow(&world, "es-boiler.waste_heat"));
        least = least.min(given_gj - waste_gj);
        taken_gj += waste_gj;
        at += HOUR_MS;
    }
    assert!(0.0 < least && 0.0 < taken_gj, "{least} GJ too few of {taken_gj}");
}

#[test]
fn every_peak_of_a_year_lies_between_35_and_90_percent_of_the_rating() {
    let zone = zone();
    let mut world = World::new(&zone, 42).unwrap();
    world.commission();
    // It does nothing untold.
    world.controls.set("v2g-01", -600.0);
    let mut peaks = vec![0.0_f64; zone.channels.len()];
    run(&mut world, "2026-01-01", QUARTER_MS, 365 * DAY_STEPS, |out| {
        for (peak, value) in peaks.iter_mut().zip(out) {
            *peak = peak.max(*value * 4.0);
        }
    });
    for (channel, peak) in zone.channels.iter().zip(peaks).filter(|(channel, _)| channel.direction != Direction::Gauge) {
        let share = peak / channel.rating_per_h as f64;
        // What a roof feeds in is rated by the roof, however seldom there is a surplus.
        let least = if channel.direction == Direction::Export { 0.0 } else { 0.35 };
        assert!((least..0.9).contains(&share), "{} {} peaks at {share:.2} of its rating", channel.meter, channel.item);
    }
}

#[test]
fn nothing_that_runs_goes_unmeasured() {
    let zone = zone();
    let plan = Plan::load(&zone.folder).unwrap();
    let mut measured: FxHashMap<String, f64> = FxHashMap::default();
    for term in plan.measures.values().flat_map(|text| plan::terms(text).unwrap()) {
        *measured.entry(format!("{}.{}", term.model, term.flow)).or_insert(0.0) += term.share;
    }
    let mut world = World::from_plan(&zone, &plan, 42).unwrap();
    let mut ran = vec![0.0; world.flows.len()];
    for from in ["2025-01-15", "2025-07-16"] {
        let mut at = local(from);
        let mut out = vec![0.0; zone.channels.len()];
        for _ in 0..48 {
            world.step(at, at + HOUR_MS, &mut out);
            ran.iter_mut().zip(&world.flows).for_each(|(sum, flow)| *sum += flow.abs());
            at += HOUR_MS;
        }
    }
    for (name, flow) in world.roster.flow_of() {
        // Air is no carrier of the zone: compressors turn it into electricity. What a station makes is measured as what its network takes. A state does not run,
        // and what was not delivered did not either.
        let share = measured.get(name).copied().unwrap_or(0.0);
        let apart =
            ["air", "made", "state_of_charge_pct", "undelivered", "waiting_kwh", "put_off"].contains(&name.rsplit('.').next().unwrap());
        assert!(ran[*flow] == 0.0 || apart || (share - 1.0).abs() < 1e-9, "{name} is measured {share} times");
    }
}

#[test]
fn every_asset_moves_a_meter() {
    let zone = zone();
    let text = std::fs::read_to_string(zone.folder.join("assets.toml")).unwrap();
    let assets: toml::Table = toml::from_str(&text).unwrap();
    let mut untouched = World::new(&zone, 42).unwrap();
    untouched.commission();
    for asset in assets["asset"].as_array().unwrap() {
        let id = asset["id"].as_str().unwrap();
        // What heats does nothing in summer, halls are warm after a few days of it, and a plan may be at one of the limits.
        let moves =
            [(("2026-01-05", 1), "min"), (("2026-01-05", 1), "max"), (("2026-06-29", 5), "max")].into_iter().any(|(days, limit)| {
                let mut controlled = untouched.clone();
                controlled.controls.set(id, asset[limit].as_float().unwrap());
                changed_in(days, &zone, &mut untouched.clone(), &mut controlled).contains(asset["entity"].as_str().unwrap())
            });
        assert!(moves, "{id} moves no meter of its entity");
    }
}

#[test]
fn all_faults_of_the_plan_are_named_at_once() {
    let zone = zone();
    let mut plan = Plan::load(&zone.folder).unwrap();
    plan.line[0].entity = "E-NOWHERE".to_owned();
    plan.building[0].archetype = "castle".to_owned();
    plan.measures.insert("HT-E-9999".to_owned(), "office-01.lighting".to_owned());
    let fault = World::from_plan(&zone, &plan, 42).err().unwrap();
    for wanted in ["E-NOWHERE", "castle", "HT-E-9999"] {
        assert!(fault.contains(wanted), "{wanted} in {fault}");
    }
}
