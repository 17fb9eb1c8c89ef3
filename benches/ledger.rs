//! What a reading costs: decode, ledger, accounting and commit, in this process, without a broker.
//!
//! Prints CPU seconds per million readings (one register and two gauges each), the median of five runs on fresh ledgers. Asserts nothing about time.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark talks, and stops where it cannot go on")]

use std::fmt::Write as _;
use std::path::Path;

use nengtan::config::zone_folder;
use nengtan::domain::units::Millis;
use nengtan::engine::Engine;

const METERS: u32 = 300;
/// Quarters of an hour: about ten days.
const QUARTERS: i64 = 1000;
const MESSAGES_PER_COMMIT: usize = 500;
const RUNS: usize = 5;
/// 2026-01-01 00:00 +08:00.
const FROM_MS: i64 = 1_767_196_800_000;
const QUARTER_MS: i64 = 900_000;

fn main() {
    let folder = tempfile::tempdir().unwrap();
    write_zone(folder.path());
    println!(
        "decode + ledger + accounting + commit, {METERS} meters, {QUARTERS} quarters of an hour, commit each {MESSAGES_PER_COMMIT} messages"
    );
    for per_message in [1, 20] {
        let messages = messages(per_message);
        let readings = f64::from(METERS) * QUARTERS as f64;
        let mut seconds: Vec<f64> = (0..RUNS).map(|run| play(folder.path(), &format!("{per_message}-{run}"), &messages)).collect();
        seconds.sort_by(f64::total_cmp);
        let per_million = seconds[RUNS / 2] / readings * 1e6;
        println!("{per_message:>3} readings a message: {per_million:.2} CPU s per million readings (median of {RUNS}; goal 2.0)");
    }
}

/// CPU seconds for taking all messages in.
fn play(folder: &Path, name: &str, messages: &[(String, Vec<u8>)]) -> f64 {
    let read = zone_folder::load(folder).unwrap_or_else(|faults| panic!("{faults:?}"));
    let data = folder.join(name);
    let mut engine = Engine::open(&data, read.zone, (read.factors, read.tariff), read.alert_rules, Millis(FROM_MS)).unwrap();
    let before = cpu_s();
    for (index, (topic, payload)) in messages.iter().enumerate() {
        engine.apply(topic, payload, Millis(FROM_MS)).unwrap();
        if (index + 1) % MESSAGES_PER_COMMIT == 0 {
            engine.commit().unwrap();
        }
    }
    engine.commit().unwrap();
    engine.settle().unwrap();
    let took = cpu_s() - before;
    drop(engine);
    std::fs::remove_dir_all(data).unwrap();
    took
}

/// User and system time of this process (proc(5), fields 14 and 15 of stat, in ticks of 10 ms).
fn cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let after_name = stat.rsplit_once(')').unwrap().1;
    let ticks: f64 = after_name.split_whitespace().skip(11).take(2).map(|field| field.parse::<f64>().unwrap()).sum();
    ticks / 100.0
}

/// Quarter by quarter, the clock first.
fn messages(per_message: usize) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    let meters: Vec<u32> = (0..METERS).collect();
    for quarter in 0..QUARTERS {
        let at = FROM_MS + quarter * QUARTER_MS;
        all.push(("nengtan/bench/clock".to_owned(), format!(r#"{{"now":{at},"next":{at}}}"#).into_bytes()));
        for some in meters.chunks(per_message) {
            let readings: Vec<String> = some.iter().map(|meter| reading(*meter, quarter, at)).collect();
            let payload = if per_message == 1 { readings.concat() } else { format!("[{}]", readings.join(",")) };
            all.push(("nengtan/bench/gw/GW-1/telemetry".to_owned(), payload.into_bytes()));
        }
    }
    all
}

/// The load differs from meter to meter and from quarter to quarter; the register follows it.
fn reading(meter: u32, quarter: i64, at: i64) -> String {
    let meter_number = i64::from(meter);
    let hundredths = 1_000 * meter_number + quarter * (1_000 + 7 * meter_number) + quarter % 13;
    format!(
        r#"{{"meter":"M-{meter:04}","at":{at},"seq":{},"values":{{"active_energy_import_kwh":{}.{:02},"active_power_kw":{}.{},"power_factor":0.9{}}}}}"#,
        quarter * i64::from(METERS) + meter_number,
        hundredths / 100,
        hundredths % 100,
        40 + meter_number % 30,
        quarter % 10,
        quarter % 7
    )
}

fn write_zone(folder: &Path) {
    let head = "[zone]\nid = \"bench\"\nname_en = \"Bench\"\nname_zh = \"基准\"\ntime_zone = \"Asia/Shanghai\"\nregion = \"CN-SD\"\n\
                latitude = 36.07\nlongitude = 120.38\nclock = \"feed\"\n";
    std::fs::write(folder.join("zone.toml"), head).unwrap();
    let mut meters = "meter,entity,parent,level,boundary,carrier,item,direction,unit,resolution,multiplier,width_digits,rating,serial,valid_from,gateway,formula\n".to_owned();
    let mut features = Vec::new();
    for meter in 0..METERS {
        let entity = meter / 6;
        writeln!(
            meters,
            "M-{meter:04},E-{entity},,entry,yes,electricity,active_energy_import_kwh,import,kwh,0.01,1,8,400,S,2026-01-01T00:00:00+08:00,GW-1,"
        )
        .unwrap();
        if meter % 6 == 0 {
            features.push(format!(
                r#"{{"type":"Feature","geometry":{{"type":"Point","coordinates":[120.2,36.2]}},"properties":{{"id":"E-{entity}","name_en":"E","name_zh":"厂","kind":"factory"}}}}"#
            ));
        }
    }
    std::fs::write(folder.join("meters.csv"), meters).unwrap();
    std::fs::write(folder.join("entities.geojson"), format!(r#"{{"type":"FeatureCollection","features":[{}]}}"#, features.join(",")))
        .unwrap();
    let alerts = "[[threshold]]\nrule = \"load\"\nname_en = \"Load\"\nname_zh = \"负载\"\nseverity = \"warning\"\non = \"gauge\"\nitem = \"active_power_kw\"\n\
                  raise_above_rating = 0.85\nclear_below_rating = 0.8\nhold_s = 1800\n\n[stale]\nrule = \"stale\"\nseverity = \"warning\"\nafter_s = 3600\n";
    std::fs::write(folder.join("alerts.toml"), alerts).unwrap();
}
