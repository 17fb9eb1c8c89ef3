//! History in little space: bytes a reading, the CPU time of packing, and how long readers wait.
//!
//! Plays METERS (10,000) meters over DAYS (30) days of quarters of an hour into an engine, one register and two gauges a reading, without a broker; loads
//! go up and down by the hour and at random, registers have two decimals, powers one and power factors two. `APART_MS` (0) sets meters' times so far apart,
//! round half of a quarter. Prints Markdown; asserts nothing about time.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark talks, and stops where it cannot go on")]
#![allow(clippy::disallowed_methods, reason = "readers wait by the wall clock")]

use std::fmt::Write as _;
use std::path::Path;
use std::time::Instant;

use nengtan::config::zone_folder;
use nengtan::domain::keep::{History, Keep};
use nengtan::domain::units::Millis;
use nengtan::engine::Engine;
use nengtan::store::{FILE_NAME, open_to_read, read};
use rusqlite::Connection;

const PACKED: History = History { pack: true, keep: Keep { readings: None, intervals: None, alerts: None, commands: None } };
const PER_MESSAGE: usize = 100;
/// Readings of a commit.
const MESSAGES_PER_COMMIT: usize = 20;
/// 2026-01-01 00:00 +08:00.
const FROM_MS: i64 = 1_767_196_800_000;
const QUARTER_MS: i64 = 900_000;
const QUARTERS_A_DAY: i64 = 96;
const LOOKS: i64 = 21;

fn main() {
    let number = |name: &str, default| std::env::var(name).map_or(default, |text| text.parse::<i64>().unwrap());
    let (meters, days, apart_ms) = (number("METERS", 10_000), number("DAYS", 30), number("APART_MS", 0));
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    write_zone(folder.path(), meters);
    let quarters = days * QUARTERS_A_DAY;
    let readings = (meters * quarters) as f64;
    println!("{meters} meters, {days} days, {readings} readings of one register and two gauges\n\n| what | |\n|---|---|");
    let mut engine = open(folder.path(), &data);
    let mut loads: Vec<Load> = (0..meters).map(Load::new).collect();
    let (mut taking, mut packing, mut slices_ms, mut packed) = (0.0, 0.0, Vec::new(), 0);
    for quarter in 0..quarters {
        let at = FROM_MS + quarter * QUARTER_MS;
        let mut messages = vec![("nengtan/bench/clock".to_owned(), format!(r#"{{"now":{at},"next":{at}}}"#))];
        for some in loads.chunks_mut(PER_MESSAGE) {
            let texts: Vec<String> =
                some.iter_mut().map(|load| load.reading(quarter, at - load.meter * apart_ms % (QUARTER_MS / 2))).collect();
            messages.push(("nengtan/bench/gw/GW-1/telemetry".to_owned(), format!("[{}]", texts.join(","))));
        }
        for some in messages.chunks(MESSAGES_PER_COMMIT) {
            let before = cpu_s();
            for (topic, payload) in some {
                engine.apply(topic, payload.as_bytes(), Millis(FROM_MS)).unwrap();
            }
            engine.commit().unwrap();
            let committed = (cpu_s(), Instant::now());
            let in_commit = engine.keep_packed(&PACKED).unwrap();
            packed += in_commit.readings;
            taking += committed.0 - before;
            packing += cpu_s() - committed.0;
            if in_commit.readings > 0 {
                slices_ms.push(committed.1.elapsed().as_secs_f64() * 1e3);
            }
        }
    }
    println!("| taking in, CPU s per million readings | {:.2} |", taking / readings * 1e6);
    println!("| packing between commits, CPU s per million readings packed | {:.2} |", packing / packed as f64 * 1e6);
    slices_ms.sort_by(f64::total_cmp);
    let part = |of: f64| slices_ms.get((slices_ms.len() as f64 * of) as usize).or(slices_ms.last()).copied().unwrap_or(0.0);
    println!("| packing after a commit, ms (median; 99 of 100; longest) | {:.0}; {:.0}; {:.0} |", part(0.5), part(0.99), part(1.0));
    drop(engine);
    let from = Instant::now();
    let mut engine = open(folder.path(), &data);
    println!("| start, s | {:.2} |", from.elapsed().as_secs_f64());
    let from = Instant::now();
    let late = FROM_MS + quarters / 3 * QUARTER_MS + 60_000;
    let payload = format!(r#"{{"meter":"M-00007","at":{late},"seq":7,"values":{{"active_power_kw":1.5}}}}"#);
    engine.apply("nengtan/bench/gw/GW-1/telemetry", payload.as_bytes(), Millis(FROM_MS)).unwrap();
    engine.commit().unwrap();
    println!("| a late reading into packed history, with its commit, ms | {:.1} |", from.elapsed().as_secs_f64() * 1e3);
    while engine.tidy(&PACKED).unwrap().readings > 0 {}
    drop(engine);
    space(&data, readings);
    waits(&data, meters, days);
}

fn open(zone: &Path, data: &Path) -> Engine {
    let read = zone_folder::load(zone).unwrap_or_else(|faults| panic!("{faults:?}"));
    Engine::open(data, read.zone, (read.factors, read.tariff), read.alert_rules, Millis(FROM_MS)).unwrap()
}

fn space(data: &Path, readings: f64) {
    let file = Connection::open(data.join(FILE_NAME)).unwrap();
    let one = |sql: &str| file.query_row(sql, [], |row| row.get::<_, f64>(0)).unwrap();
    let bytes = one("SELECT TOTAL(pgsize) FROM dbstat WHERE name IN ('packed_row', 'sqlite_autoindex_packed_row_1', 'packed_moment')");
    let packed = one("SELECT TOTAL(readings) FROM packed_row");
    println!("| packed: pages of packed_row, its index and packed_moment, bytes a reading with its interval | {:.2} |", bytes / packed);
    println!("| of them the chunks themselves | {:.2} |", one("SELECT TOTAL(LENGTH(bytes)) FROM packed_row") / packed);
    let bytes = one("SELECT TOTAL(pgsize) FROM dbstat WHERE name IN ('reading_row', 'interval_row')");
    let rows = one("SELECT COUNT(*) FROM reading_row");
    println!("| as rows (the last 26 hours): pages of reading_row and interval_row, bytes a reading | {:.1} |", bytes / rows);
    let whole = one("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size");
    println!(
        "| whole file, roll-ups of 1 + {} entities, rows and free pages included, bytes a reading | {:.2} |",
        one("SELECT COUNT(*) - 1 FROM entity_row"),
        whole / readings
    );
}

/// The statement of a look, by its number.
type Asked<'a> = Box<dyn Fn(i64) -> String + 'a>;

fn waits(data: &Path, meters: i64, days: i64) {
    let ledger = open_to_read(data).unwrap();
    let day = |number: i64| (FROM_MS + number * QUARTERS_A_DAY * QUARTER_MS, FROM_MS + (number + 1) * QUARTERS_A_DAY * QUARTER_MS);
    let (first, last) = (day(0).0, day(days - 1).1);
    let of_meter = |view: &str, look: i64| {
        let (from, to) = day(look * 7 % (days - 2).max(1));
        format!("SELECT * FROM {view} WHERE meter = 'M-{:05}' AND ts >= {from} AND ts < {to}", look * 4_799 % meters)
    };
    let (from, to) = day(days / 2);
    let rows = day(days - 1);
    let asked: [(&str, Asked); 8] = [
        ("a meter's day of `reading`", Box::new(|look| of_meter("reading", look))),
        ("a meter's day of `meter_energy`", Box::new(|look| of_meter("meter_energy", look))),
        (
            "a meter's last day of `reading`, rows",
            Box::new(|look| {
                let (from, to) = rows;
                format!("SELECT * FROM reading WHERE meter = 'M-{:05}' AND ts >= {from} AND ts < {to}", look * 4_799 % meters)
            }),
        ),
        ("the zone's month by entity, `energy_month`", Box::new(|_| "SELECT entity, carrier, kwh FROM energy_month".to_owned())),
        (
            "the same of days, `energy_day`",
            Box::new(|_| format!("SELECT entity, carrier, SUM(kwh) FROM energy_day WHERE ts >= {first} AND ts < {last} GROUP BY 1, 2")),
        ),
        ("the newest value of every channel, `meter`", Box::new(|_| "SELECT meter, item, latest_value FROM meter".to_owned())),
        (
            "a meter's whole history of `reading`",
            Box::new(|look| format!("SELECT * FROM reading WHERE meter = 'M-{:05}'", look * 4_799 % meters)),
        ),
        (
            "every meter's intervals of a day, summed",
            Box::new(|_| format!("SELECT meter, SUM(kwh) FROM meter_energy WHERE ts >= {from} AND ts < {to} GROUP BY meter")),
        ),
    ];
    for (what, sql) in asked {
        let mut rows = 0;
        let looks = if what.contains("intervals of a day") { 3 } else { LOOKS };
        let mut waits: Vec<f64> = (0..looks)
            .map(|look| {
                let from = Instant::now();
                rows = read::query(&ledger, &sql(look), &[]).unwrap().rows.len();
                from.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        waits.sort_by(f64::total_cmp);
        println!("| {what}: {rows} rows, ms (median of {looks}; longest) | {:.1}; {:.1} |", waits[waits.len() / 2], waits[waits.len() - 1]);
    }
}

/// User and system time of this process (proc(5), fields 14 and 15 of stat, in ticks of 10 ms).
fn cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let after_name = stat.rsplit_once(')').unwrap().1;
    let ticks: f64 = after_name.split_whitespace().skip(11).take(2).map(|field| field.parse::<f64>().unwrap()).sum();
    ticks / 100.0
}

/// A meter's course.
struct Load {
    meter: i64,
    state: u64,
    hundredths: u64,
}

impl Load {
    fn new(meter: i64) -> Load {
        let mut load = Load { meter, state: 0x9E37_79B9_7F4A_7C15 ^ (meter as u64) << 20, hundredths: 0 };
        load.hundredths = load.below(50_000_000);
        load
    }

    fn below(&mut self, n: u64) -> u64 {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.state >> 33) % n
    }

    fn reading(&mut self, quarter: i64, at: i64) -> String {
        let hour = (quarter / 4 % 24) as u64;
        // Tenths of kW: a base by meter, more by day, a fifth of it at random.
        let base = 100 + (self.meter as u64 * 37) % 1_500;
        let power = base + base * (12 - hour.abs_diff(13).min(12)) / 8;
        let power = power - power / 10 + self.below(power / 5 + 1);
        self.hundredths += power * 10 / 4;
        let factor = 88 + self.below(11);
        format!(
            r#"{{"meter":"M-{:05}","at":{at},"seq":{},"values":{{"active_energy_import_kwh":{}.{:02},"active_power_kw":{}.{},"power_factor":0.{factor}}}}}"#,
            self.meter,
            quarter * 1_000_000 + self.meter,
            self.hundredths / 100,
            self.hundredths % 100,
            power / 10,
            power % 10,
        )
    }
}

fn write_zone(folder: &Path, count: i64) {
    let head = "[zone]\nid = \"bench\"\nname_en = \"Bench\"\nname_zh = \"基准\"\ntime_zone = \"Asia/Shanghai\"\nregion = \"CN-SD\"\n\
                latitude = 36.07\nlongitude = 120.38\nclock = \"feed\"\n";
    std::fs::write(folder.join("zone.toml"), head).unwrap();
    let mut meters = "meter,entity,parent,level,boundary,carrier,item,direction,unit,resolution,multiplier,width_digits,rating,serial,valid_from,gateway,formula\n".to_owned();
    let mut features = Vec::new();
    for meter in 0..count {
        let entity = meter / 50;
        writeln!(
            meters,
            "M-{meter:05},E-{entity},,entry,yes,electricity,active_energy_import_kwh,import,kwh,0.01,1,8,1000,S,2026-01-01T00:00:00+08:00,GW-1,"
        )
        .unwrap();
        if meter % 50 == 0 {
            features.push(format!(
                r#"{{"type":"Feature","geometry":{{"type":"Point","coordinates":[120.2,36.2]}},"properties":{{"id":"E-{entity}","name_en":"E","name_zh":"厂","kind":"factory"}}}}"#
            ));
        }
    }
    std::fs::write(folder.join("meters.csv"), meters).unwrap();
    std::fs::write(folder.join("entities.geojson"), format!(r#"{{"type":"FeatureCollection","features":[{}]}}"#, features.join(",")))
        .unwrap();
    std::fs::write(folder.join("alerts.toml"), "[stale]\nrule = \"stale\"\nseverity = \"warning\"\nafter_s = 3600\n").unwrap();
}
