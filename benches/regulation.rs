//! What it costs to decide about a zone of 1,000 assets, plans included, in this process, without a broker.
//!
//! Plays the same two days twice, with regulation and without, after two days to look back on. Prints CPU seconds per simulated hour: what the first takes more than the
//! second, of all threads, commands and answers included. Asserts nothing about time.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark talks, and stops where it cannot go on")]

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use nengtan::config::zone_folder;
use nengtan::domain::units::Millis;
use nengtan::engine::Engine;

const ASSETS: i64 = 1000;
const QUARTERS_BEFORE: i64 = 2 * 96;
const QUARTERS: i64 = 2 * 96;
/// 2026-01-05 00:00 +08:00, a Monday.
const FROM_MS: i64 = 1_767_542_400_000;
const QUARTER_MS: i64 = 900_000;

/// A fifth of the assets each: kind, unit, limits and what else is declared.
const KINDS: [(&str, &str, &str); 5] = [
    ("battery", "kw", "min = -100\nmax = 100\ncapacity_kwh = 400"),
    ("ev_charging", "kw", "min = 0\nmax = 100\nstay_minutes = 120"),
    ("batch", "kw", "min = 0\nmax = 100\nnormal = 40\ndone_by_hour = 6"),
    ("compressor", "bar", "min = 5.5\nmax = 8\ncomfort_min = 6\nnormal = 7"),
    ("lighting", "pct", "min = 30\nmax = 100\ncomfort_min = 40"),
];

fn main() {
    let folder = tempfile::tempdir().unwrap();
    write_zone(folder.path());
    let [(without, ..), (with, longest, commands)] = [false, true].map(|regulated| play(folder.path(), regulated));
    let hours = QUARTERS as f64 / 4.0;
    println!("{ASSETS} assets, {hours} h of decisions each quarter and plans each hour, {commands} commands answered");
    println!("deciding: {:.2} CPU s per simulated hour (goal 5)", (with - without) / hours);
    println!("the engine's thread, at most for one quarter: {:.2} CPU s", longest.as_secs_f64());
}

/// CPU seconds of all threads for the days that count, the most that the engine's own took for a quarter, and commands.
fn play(folder: &Path, regulated: bool) -> (f64, Duration, usize) {
    let read = zone_folder::load(folder).unwrap_or_else(|faults| panic!("{faults:?}"));
    let data = folder.join(format!("data-{regulated}"));
    let mut engine = Engine::open(&data, read.zone, (read.factors, read.tariff), read.alert_rules, Millis(FROM_MS)).unwrap();
    let (mut before, mut longest, mut commands) = (0.0, Duration::ZERO, 0);
    for quarter in 0..=QUARTERS_BEFORE + QUARTERS {
        if quarter == QUARTERS_BEFORE {
            engine.set_regulation(regulated);
            before = cpu_s();
        }
        let at = FROM_MS + quarter * QUARTER_MS;
        let now = Millis(at);
        for chunk in (0..ASSETS).collect::<Vec<_>>().chunks(50) {
            let readings: Vec<String> = chunk.iter().map(|asset| reading(*asset, quarter, at)).collect();
            engine.apply("nengtan/bench/gw/GW-1/telemetry", format!("[{}]", readings.join(",")).as_bytes(), now).unwrap();
        }
        engine.apply("nengtan/bench/clock", format!(r#"{{"now":{at},"next":{}}}"#, at + QUARTER_MS).as_bytes(), now).unwrap();
        let own = own_cpu();
        let effects = engine.commit().unwrap();
        longest = longest.max(if regulated { own_cpu().saturating_sub(own) } else { Duration::ZERO });
        for (asset, order) in &effects.commands {
            let (topic, _) = engine.command(*asset, order);
            let (topic, name) = (topic.replace("/command", "/result"), format!("a-{asset:04}"));
            let answer = format!(r#"{{"id":"{}","asset":"{name}","outcome":"accepted","at":{at}}}"#, order.id);
            engine.apply(&topic, answer.as_bytes(), now).unwrap();
        }
        commands += effects.commands.len();
        engine.commit().unwrap();
    }
    (cpu_s() - before, longest, commands)
}

/// User and system time of this process (proc(5), fields 14 and 15 of stat, in ticks of 10 ms).
fn cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let after_name = stat.rsplit_once(')').unwrap().1;
    let ticks: f64 = after_name.split_whitespace().skip(11).take(2).map(|field| field.parse::<f64>().unwrap()).sum();
    ticks / 100.0
}

/// The processor's time of this thread.
fn own_cpu() -> Duration {
    Duration::try_from(rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime)).unwrap()
}

/// A load of 20 to 80 kW by the hour and the asset; batteries half full, and work that waits for 10 kWh.
fn reading(asset: i64, quarter: i64, at: i64) -> String {
    let kwh = |quarter: i64| 5 + (asset % 7) + if (32..80).contains(&(quarter % 96)) { 8 } else { 0 };
    let register: i64 = (0..quarter).map(kwh).sum();
    let gauge = match asset % 5 {
        0 => format!(r#","state_of_charge_pct":{}"#, 30 + asset % 40),
        2 => r#","waiting_kwh":10.0"#.to_owned(),
        _ => String::new(),
    };
    let seq = quarter * ASSETS + asset;
    format!(r#"{{"meter":"M-{asset:04}","at":{at},"seq":{seq},"values":{{"active_energy_import_kwh":{register}.00{gauge}}}}}"#)
}

fn write_zone(folder: &Path) {
    let zone = "[zone]\nid = \"bench\"\nname_en = \"Bench\"\nname_zh = \"基准\"\ntime_zone = \"Asia/Shanghai\"\nregion = \"CN-SD\"\n\
                latitude = 36.07\nlongitude = 120.38\nclock = \"feed\"\nfactors = \"cn\"\ntariff = \"cn-sd-industry\"\n";
    std::fs::write(folder.join("zone.toml"), zone).unwrap();
    let mut meters = "meter,entity,parent,level,boundary,carrier,item,direction,unit,resolution,multiplier,width_digits,rating,serial,valid_from,gateway,formula\n".to_owned();
    let (mut features, mut assets) = (Vec::new(), String::new());
    for asset in 0..ASSETS {
        let (kind, unit, declared) = KINDS[usize::try_from(asset % 5).unwrap()];
        let (meter, entity) = (format!("M-{asset:04}"), format!("E-{asset:04}"));
        let valid = "2025-01-01T00:00:00+08:00";
        writeln!(meters, "{meter},{entity},,entry,yes,electricity,active_energy_import_kwh,import,kwh,0.01,1,8,400,S,{valid},GW-1,")
            .unwrap();
        if let Some((item, unit)) =
            [Some(("state_of_charge_pct", "pct")), None, Some(("waiting_kwh", "kwh")), None, None][usize::try_from(asset % 5).unwrap()]
        {
            writeln!(meters, "{meter},{entity},,entry,no,weather,{item},gauge,{unit},,1,,,S,{valid},GW-1,").unwrap();
        }
        features.push(format!(
            r#"{{"type":"Feature","geometry":{{"type":"Point","coordinates":[120.2,36.2]}},"properties":{{"id":"{entity}","name_en":"E","name_zh":"厂","kind":"factory"}}}}"#
        ));
        writeln!(assets, "[[asset]]\nid = \"a-{asset:04}\"\nentity = \"{entity}\"\nkind = \"{kind}\"\nunit = \"{unit}\"\n{declared}\nmode = \"automatic\"\n").unwrap();
    }
    let geojson = format!(r#"{{"type":"FeatureCollection","features":[{}]}}"#, features.join(","));
    for (name, text) in [("meters.csv", meters), ("entities.geojson", geojson), ("assets.toml", assets)] {
        std::fs::write(folder.join(name), text).unwrap();
    }
    let alerts = "[stale]\nrule = \"stale\"\nseverity = \"warning\"\nafter_s = 3600\n";
    std::fs::write(folder.join("alerts.toml"), alerts).unwrap();
}
