//! A plain load: many alike meters of a made-up zone, as fast as asked for. Keeps no truth and plays no faults.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use tokio::time::{Duration, Instant, sleep_until};
use tracing::info;

use crate::fleet_links::{FleetLinks, FleetLinksError};
use crate::keyed::Key;
use crate::link::{Broker, Message};
use crate::payload;
use crate::register::write_scaled;
use crate::wire::Clock;

pub const ZONE: &str = "scale";
/// Readings are dated from here on: 2026-01-01 00:00 +08:00.
const FROM_MS: i64 = 1_767_196_800_000;
const METERS_PER_ENTITY: u32 = 50;
/// Readings per round of acknowledgements.
const READINGS_PER_ROUND: u64 = 20_000;
/// Ledger units (Wh) in a step of the registers.
const STEP_WH: i64 = 10;
const RATING_KW: i64 = 120;

#[derive(Clone, Debug)]
pub struct ScaleOptions {
    pub broker: Broker,
    pub meters: u32,
    pub gateways: u32,
    /// Seconds of device time between two readings of a meter.
    pub interval_s: i64,
    /// Seconds of device time; 0 publishes nothing.
    pub duration_s: i64,
    /// Readings per second of real time; none for as fast as possible.
    pub rate: Option<f64>,
    pub readings_per_message: usize,
    /// A gateway's meters come in another order at every tick, and the gateways' messages mixed; otherwise always in the order of the zone.
    pub random_order: bool,
    pub write_zone: Option<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
pub enum ScaleError {
    #[error(transparent)]
    Links(#[from] FleetLinksError),
    #[error("the zone folder {} cannot be written: {error}", path.display())]
    Folder { path: PathBuf, error: std::io::Error },
}

#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub readings: u64,
    pub messages: u64,
    /// From the first publication to the last acknowledgement.
    pub took: Duration,
}

pub async fn scale(options: &ScaleOptions) -> Result<Load, ScaleError> {
    if let Some(path) = &options.write_zone {
        write_zone(path, options).map_err(|error| ScaleError::Folder { path: path.clone(), error })?;
        info!(folder = %path.display(), meters = options.meters, "zone written");
    }
    let mut load = Load { readings: 0, messages: 0, took: Duration::ZERO };
    let ticks = options.duration_s / options.interval_s;
    if ticks == 0 {
        return Ok(load);
    }
    let gateways: Vec<String> = (0..options.gateways).map(gateway).collect();
    let mut links = FleetLinks::start(ZONE, &gateways, &options.broker);
    links.await_online().await?;
    let end_ms = FROM_MS + ticks * options.interval_s * 1000;
    links.clock(Clock { now_ms: end_ms, next_ms: end_ms, lockstep: false }).await?;
    let started = Instant::now();
    let mut round = Vec::new();
    let mut readings_of_round = 0_u64;
    for tick in 0..=ticks {
        messages(options, &gateways, tick, &mut round);
        readings_of_round += u64::from(options.meters);
        if readings_of_round >= READINGS_PER_ROUND || tick == ticks {
            load.readings += readings_of_round;
            load.messages += round.len() as u64;
            readings_of_round = 0;
            links.publish(std::mem::take(&mut round)).await?;
            if let Some(rate) = options.rate {
                sleep_until(started + Duration::from_secs_f64(load.readings as f64 / rate)).await;
            }
        }
    }
    load.took = started.elapsed();
    links.close().await?;
    Ok(load)
}

fn gateway(index: u32) -> String {
    format!("SC-GW-{index:03}")
}

fn meter(index: u32) -> String {
    format!("SC-{index:06}")
}

/// Every meter's reading at a tick, packed per gateway.
fn messages(options: &ScaleOptions, gateways: &[String], tick: i64, out: &mut Vec<(usize, Message)>) {
    let key = Key::new(1).number(tick);
    let first = out.len();
    for (index, gateway) in gateways.iter().enumerate() {
        let mut order: Vec<u32> = (index as u32..options.meters).step_by(gateways.len()).collect();
        if options.random_order {
            order.sort_by_cached_key(|meter| key.number(i64::from(*meter)).whole(0, i64::MAX));
        }
        // Each meter with its place in the gateway's count of readings.
        let meters: Vec<(u32, i64)> = order.into_iter().zip(1..).collect();
        let readings_before = tick * i64::from(options.meters.saturating_sub(index as u32).div_ceil(options.gateways));
        for batch in meters.chunks(options.readings_per_message) {
            let payload = payload::batch(batch.len(), |position, out| {
                let (meter, place) = batch[position];
                write_reading(meter, tick * options.interval_s, readings_before + place, out);
            });
            out.push((index, Message { topic: format!("nengtan/{ZONE}/gw/{gateway}/telemetry"), payload, retain: false }));
        }
    }
    if options.random_order {
        let mut places = 0..;
        out[first..].sort_by_cached_key(|_| places.next().map(|place| key.text("message").number(place).whole(0, i64::MAX)));
    }
}

/// Each meter has a constant load of its own, well below the rating.
fn write_reading(index: u32, at_s: i64, seq: i64, out: &mut Vec<u8>) {
    let load_kw = 5 + i64::from(index % 90);
    let steps = load_kw * 1000 * at_s / 3600 / STEP_WH;
    let head = format!(
        "{{\"meter\":\"{}\",\"at\":{},\"seq\":{seq},\"values\":{{\"active_energy_import_kwh\":",
        meter(index),
        FROM_MS + at_s * 1000
    );
    out.extend_from_slice(head.as_bytes());
    write_scaled(steps, 2, out);
    out.extend_from_slice(b",\"active_power_kw\":");
    write_scaled(load_kw, 0, out);
    out.extend_from_slice(b",\"power_factor\":0.95}}");
}

/// Writes a zone folder of these meters (`docs/zone.md`).
fn write_zone(folder: &Path, options: &ScaleOptions) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let interval_minutes = [60, 30, 20, 15, 10, 5].into_iter().find(|minutes| minutes * 60 <= options.interval_s).unwrap_or(5);
    let zone = format!(
        "[zone]\nid = \"{ZONE}\"\nname_en = \"Load test\"\nname_zh = \"负载测试\"\ntime_zone = \"Asia/Shanghai\"\nregion = \"CN-SD\"\nlatitude = 36.07\n\
         longitude = 120.38\nclock = \"feed\"\ninterval_minutes = {}\nlive_from = \"2026-01-01T00:00:00+08:00\"\nfactors = \"cn\"\n",
        if options.interval_s < 900 { interval_minutes } else { 15 }
    );
    std::fs::write(folder.join("zone.toml"), zone)?;
    std::fs::write(folder.join("entities.geojson"), entities(options.meters.div_ceil(METERS_PER_ENTITY)))?;
    std::fs::write(folder.join("meters.csv"), meters(options))
}

fn entities(count: u32) -> String {
    let feature = |index: u32| {
        format!(
            "{{\"type\":\"Feature\",\"geometry\":{{\"type\":\"Point\",\"coordinates\":[120.38,36.07]}},\"properties\":{{\"id\":\"E-{index:05}\",\
             \"name_en\":\"Load {index}\",\"name_zh\":\"负载{index}\",\"kind\":\"other\"}}}}"
        )
    };
    let features: Vec<String> = (0..count).map(feature).collect();
    format!("{{\"type\":\"FeatureCollection\",\"features\":[\n{}\n]}}\n", features.join(",\n"))
}

fn meters(options: &ScaleOptions) -> String {
    let mut csv = "meter,entity,parent,level,boundary,carrier,item,direction,unit,resolution,multiplier,width_digits,rating,serial,valid_from,gateway,\
                   formula\n"
        .to_owned();
    for index in 0..options.meters {
        let (meter, entity, gateway) = (meter(index), index / METERS_PER_ENTITY, gateway(index % options.gateways));
        writeln!(
            csv,
            "{meter},E-{entity:05},,entry,yes,electricity,active_energy_import_kwh,import,kwh,0.01,1,8,{RATING_KW},S{index},\
             2026-01-01T00:00:00+08:00,{gateway},"
        )
        .expect("writing to memory does not fail");
    }
    csv
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zone::Zone;

    #[test]
    fn the_zone_that_it_writes_is_read_without_a_fault() {
        let folder = tempfile::tempdir().unwrap();
        let broker = "mqtt://nowhere:1".parse().unwrap();
        let options = ScaleOptions {
            broker,
            meters: 120,
            gateways: 3,
            interval_s: 900,
            duration_s: 0,
            rate: None,
            readings_per_message: 7,
            random_order: false,
            write_zone: None,
        };
        write_zone(folder.path(), &options).unwrap();
        assert_eq!(Zone::load(folder.path()).unwrap().channels.len(), 120);
    }

    fn ten_meters_of_two_gateways(random_order: bool) -> ScaleOptions {
        ScaleOptions {
            broker: "mqtt://nowhere:1".parse().unwrap(),
            meters: 10,
            gateways: 2,
            interval_s: 900,
            duration_s: 0,
            rate: None,
            readings_per_message: 3,
            random_order,
            write_zone: None,
        }
    }

    #[test]
    fn in_random_order_the_same_readings_come_in_another_order() {
        let ordered = |random_order: bool, tick: i64| {
            let mut out = Vec::new();
            messages(&ten_meters_of_two_gateways(random_order), &[gateway(0), gateway(1)], tick, &mut out);
            let payloads = out.iter().map(|(_, message)| serde_json::from_slice::<serde_json::Value>(&message.payload).unwrap());
            let name = |reading: &serde_json::Value| format!("{} {}", reading["meter"], reading["values"]["active_energy_import_kwh"]);
            payloads.flat_map(|payload| payload.as_array().unwrap().iter().map(name).collect::<Vec<_>>()).collect::<Vec<_>>()
        };
        let (plain, mixed) = (ordered(false, 4), ordered(true, 4));
        assert_ne!(plain, mixed);
        let sorted = |mut readings: Vec<String>| {
            readings.sort();
            readings
        };
        assert_eq!(sorted(plain), sorted(mixed));
    }

    #[test]
    fn every_meter_reads_once_per_tick_and_sequence_numbers_go_on() {
        let options = ten_meters_of_two_gateways(false);
        let mut out = Vec::new();
        messages(&options, &[gateway(0), gateway(1)], 0, &mut out);
        messages(&options, &[gateway(0), gateway(1)], 1, &mut out);
        let payloads: Vec<serde_json::Value> = out.iter().map(|(_, message)| serde_json::from_slice(&message.payload).unwrap()).collect();
        let seqs = |gateway: usize| -> Vec<i64> {
            let own = out.iter().zip(&payloads).filter(|((of, _), _)| *of == gateway);
            own.flat_map(|(_, payload)| {
                payload.as_array().unwrap().iter().map(|reading| reading["seq"].as_i64().unwrap()).collect::<Vec<_>>()
            })
            .collect()
        };
        assert_eq!(seqs(0), (1..=10).collect::<Vec<i64>>());
        assert_eq!(payloads[0][0]["values"]["active_energy_import_kwh"], 0.0);
    }
}
