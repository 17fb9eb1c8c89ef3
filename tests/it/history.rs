//! History in little space: whatever moved from rows into chunks, everybody sees the same.

use std::path::{Path, PathBuf};

use nengtan::config::zone_folder;
use nengtan::domain::keep::{History, Keep};
use nengtan::domain::units::Millis;
use nengtan::engine::Engine;
use nengtan::store::read::{Cell, query as ask};
use nengtan::store::{Store, StoreError, open_to_read};

use crate::harness::ledger::query;
use crate::harness::zone::{self, Meter, ZONE, meter, telemetry};
use crate::harness::{folder, path, repository, run, text};

pub const PACKED: History = History { pack: true, keep: Keep { readings: None, intervals: None, alerts: None, commands: None } };
/// 2026-03-28 00:00 in Berlin, a day before its clocks go forward.
pub const FROM_MS: i64 = 1_774_652_400_000;
pub const QUARTER_MS: i64 = 900_000;
pub const QUARTERS: i64 = 4 * 96;
const TICK_MS: i64 = 8 * QUARTER_MS;
const METERS: [&str; 5] = ["a", "b", "c", "d", "e"];

/// Everything that the ledger says of readings and what was made of them, each with the columns that are compared.
const ALL: [(&str, &str); 20] = [
    ("every_reading", "*"),
    ("every_interval", "*"),
    ("interval_version_row", "*"),
    ("swap_row", "*"),
    ("rollup_row", "*"),
    ("cost_row", "*"),
    ("alert_row", "*"),
    ("reading_range", "*"),
    ("interval_range", "*"),
    ("reading", "*"),
    ("meter", "*"),
    ("meter_energy", "*"),
    ("energy", "*"),
    ("energy_day", "*"),
    ("energy_month", "*"),
    ("energy_interval", "*"),
    ("carbon_interval", "*"),
    ("cost_interval", "*"),
    ("carbon_month", "*"),
    ("cost", "*"),
];

struct Draws(u64);

impl Draws {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// Topic and payload.
type Message = (String, String);

/// Four days of meters that do all that meters do: gauges missing or apart, two messages of one moment, resets, spikes, frozen counters, swaps told and untold,
/// numbers of thirty decimals. In order of time, without the clock.
fn messages(draws: &mut Draws) -> Vec<(i64, Message)> {
    let mut all = Vec::new();
    let mut registers: Vec<u64> = METERS.iter().map(|_| draws.below(900_000)).collect();
    let mut serials = vec![0; METERS.len()];
    let mut seq = 0;
    for quarter in 0..QUARTERS {
        for (index, name) in METERS.iter().enumerate() {
            let at = FROM_MS + quarter * QUARTER_MS + if index == 4 { draws.below(300_000).cast_signed() } else { 0 };
            let mut tell = |topic: &str, payload: String| all.push((at, (topic.to_owned(), payload)));
            seq += 1;
            registers[index] += draws.below(3_000);
            let register = &mut registers[index];
            let event = draws.below(250);
            let shown = match event {
                0 => {
                    *register = 0;
                    0
                }
                1 => *register + 90_000,
                2 => register.saturating_sub(70_000),
                _ => *register,
            };
            if event == 3 {
                serials[index] += 1;
                let (closing, opening) = (decimal(*register), decimal(draws.below(5_000)));
                tell(
                    &format!("nengtan/{ZONE}/gw/GW-1/event"),
                    format!(
                        r#"{{"event":"swap","meter":"M-{name}","at":{at},"seq":{seq},"old_serial":"S-{name}","new_serial":"T{}","closing":{{"active_energy_import_kwh":{closing}}},"opening":{{"active_energy_import_kwh":{opening}}}}}"#,
                        serials[index]
                    ),
                );
                *register = (opening.parse::<f64>().unwrap() * 100.0).round() as u64;
                continue;
            }
            let mut values = vec![format!(r#""active_energy_import_kwh":{}"#, decimal(shown))];
            match draws.below(6) {
                0 => {}
                1 => values.push(format!(r#""active_power_kw":0.{:030}"#, u128::from(draws.below(1 << 30)) * 1_000_000_007)),
                _ => values.push(format!(r#""active_power_kw":{}"#, draws.below(4_000) as f64 / 10.0)),
            }
            if draws.below(3) > 0 {
                values.push(format!(r#""power_factor":0.{}"#, 80 + draws.below(19)));
            }
            let serial = if draws.below(5) == 0 { format!(r#""serial":"T{}","#, serials[index]) } else { String::new() };
            let reading = |seq: u64, values: &[String]| {
                format!(r#"{{"meter":"M-{name}","at":{at},"seq":{seq},{serial}"values":{{{}}}}}"#, values.join(","))
            };
            match draws.below(12) {
                // Nothing came.
                0 => {}
                // Gauges alone, then the register.
                1 => {
                    tell(&telemetry("GW-1"), reading(seq, &values[1..]));
                    tell(&telemetry("GW-1"), reading(seq + 1, &values[..1]));
                }
                // The moment once more under another count.
                2 => {
                    tell(&telemetry("GW-1"), reading(seq, &values));
                    tell(&telemetry("GW-1"), reading(seq + 2, &values));
                }
                _ => tell(&telemetry("GW-1"), reading(seq, &values)),
            }
        }
    }
    all
}

fn decimal(hundredths: u64) -> String {
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

pub struct Books {
    pub zone: PathBuf,
    pub data: PathBuf,
    pub engine: Option<Engine>,
    pub packs: bool,
    pub packed: usize,
}

impl Books {
    pub fn open(folder: &Path, name: &str, packs: bool) -> Books {
        Books::of(folder, name, packs, &METERS.map(meter))
    }

    pub fn of(folder: &Path, name: &str, packs: bool, meters: &[Meter]) -> Books {
        let zone = zone::write(folder, meters, "");
        let head = std::fs::read_to_string(zone.join("zone.toml")).unwrap().replace("Asia/Shanghai", "Europe/Berlin");
        std::fs::write(zone.join("zone.toml"), head + "factors = \"my-factors.toml\"\n").unwrap();
        write_factor(&zone, "0.6191");
        let mut books = Books { zone, data: folder.join(name), engine: None, packs, packed: 0 };
        books.start_again();
        books.clock(FROM_MS);
        books
    }

    pub fn start_again(&mut self) {
        self.engine = None;
        let read = zone_folder::load(&self.zone).unwrap_or_else(|faults| panic!("{faults:?}"));
        let engine = Engine::open(&self.data, read.zone, (read.factors, read.tariff), read.alert_rules, Millis(FROM_MS)).unwrap();
        self.engine = Some(engine);
    }

    pub fn take(&mut self, (topic, payload): &Message) {
        self.engine.as_mut().unwrap().apply(topic, payload.as_bytes(), Millis(FROM_MS)).unwrap();
    }

    pub fn clock(&mut self, at: i64) {
        let next = at + TICK_MS;
        self.take(&(format!("nengtan/{ZONE}/clock"), format!(r#"{{"now":{at},"next":{next}}}"#)));
        let engine = self.engine.as_mut().unwrap();
        engine.commit().unwrap();
        engine.settle().unwrap();
        while self.packs && self.pack_slice() > 0 {}
    }

    /// Rows of a slice.
    pub fn pack_slice(&mut self) -> usize {
        let packed = self.engine.as_mut().unwrap().tidy(&PACKED).unwrap();
        self.packed += packed.readings;
        packed.rows()
    }

    pub fn rows(&self, table: &str) -> i64 {
        let ledger = open_to_read(&self.data).unwrap();
        ledger.query_row(&format!("SELECT COUNT(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    }
}

/// The zone's factors, with another one for Shandong's electricity.
pub fn write_factor(zone: &Path, factor: &str) {
    let file = |name: &str| std::fs::read_to_string(repository(&format!("config/factors/{name}.toml"))).unwrap();
    let factors = ["cn", "cn-fuels", "cn-coal", "cn-targets", "gwp"].map(file).join("\n");
    assert!(factors.contains("CN-SD = 0.6191"));
    std::fs::write(zone.join("my-factors.toml"), factors.replace("CN-SD = 0.6191", &format!("CN-SD = {factor}"))).unwrap();
}

pub fn dump(data: &Path) -> Vec<String> {
    let ledger = open_to_read(data).unwrap();
    let mut lines = Vec::new();
    for (view, columns) in ALL {
        let table = ask(&ledger, &format!("SELECT {columns} FROM {view}"), &[]).unwrap();
        assert!(!table.rows.is_empty() || view.ends_with("_row"), "{view} has no rows");
        let mut rows: Vec<String> = table.rows.iter().map(|row| format!("{view} {row:?}")).collect();
        rows.sort();
        lines.append(&mut rows);
    }
    lines
}

pub fn assert_same(packed: &Path, plain: &Path, what: &str) {
    let (packed, plain) = (dump(packed), dump(plain));
    let differs = packed.iter().zip(&plain).find(|(packed, plain)| packed != plain);
    assert_eq!(differs, None, "{what}");
    assert_eq!(packed.len(), plain.len(), "{what}");
}

#[test]
fn packed_history_and_late_readings_into_it_give_the_ledger_that_was_never_packed() {
    for seed in [1, 2] {
        let draws = &mut Draws(0x9E37_79B9_7F4A_7C15 ^ (seed << 20));
        let folder = folder();
        let mut both = [Books::open(folder.path(), "packed", true), Books::open(folder.path(), "plain", false)];
        let mut held_back = Vec::new();
        let mut now = FROM_MS;
        for (at, message) in messages(draws) {
            if draws.below(12) == 0 {
                held_back.push(message);
                continue;
            }
            if now + TICK_MS <= at {
                now = at;
                for books in &mut both {
                    books.clock(now);
                }
            }
            for books in &mut both {
                books.take(&message);
            }
        }
        let end = FROM_MS + QUARTERS * QUARTER_MS;
        for books in &mut both {
            books.clock(end);
        }
        let [packed, plain] = &mut both;
        assert!(packed.packed > 1_000, "seed {seed}: {} readings are packed", packed.packed);
        assert_eq!(plain.rows("packed_row"), 0);
        assert!(packed.rows("reading_row") * 3 < plain.rows("reading_row") * 2, "seed {seed}: two of four days are rows");
        assert_same(&packed.data, &plain.data, &format!("seed {seed}, packed"));
        packed.start_again();
        plain.start_again();
        let of = i64::try_from(held_back.len()).unwrap();
        for (index, message) in (0_i64..).zip(held_back.iter().rev()) {
            for books in &mut both {
                books.take(message);
            }
            if index % 80 == 0 || index + 1 == of {
                for books in &mut both {
                    books.clock(end + index * 1_000);
                }
                let [packed, plain] = &both;
                assert_same(&packed.data, &plain.data, &format!("seed {seed}, {} of {of} late ones", index + 1));
            }
        }
        let [packed, plain] = &both;
        let versions = packed.rows("interval_version_row");
        assert!(versions > 0, "seed {seed}: what closed intervals said is kept");
        assert!(packed.rows("packed_row WHERE uneven") > 0 && packed.rows("packed_row WHERE NOT uneven") > 0, "seed {seed}");
        assert_outside(&packed.data, &plain.data);
        for books in &mut both {
            books.engine = None;
        }
        let [packed, plain] = &both;
        assert_restated(packed, plain);
        assert_goes_on_from_a_copy(folder.path(), packed, plain);
    }
}

fn assert_restated(packed: &Books, plain: &Books) {
    let before = dump(&packed.data);
    write_factor(&packed.zone, "0.7");
    for books in [packed, plain] {
        let output = run(&["restate", "--data", path(&books.data), "--zone", path(&books.zone), "--from", "2026-03-28"]);
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
    assert_same(&packed.data, &plain.data, "restated");
    assert_ne!(dump(&packed.data), before);
}

fn assert_goes_on_from_a_copy(folder: &Path, packed: &Books, plain: &Books) {
    let copied = [("packed-copy", packed), ("plain-copy", plain)].map(|(name, books)| {
        let data = folder.join(name);
        let output = run(&["backup", "--data", path(&books.data), "--to", path(&data)]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let mut copy = Books { zone: books.zone.clone(), data, engine: None, packs: books.packs, packed: 0 };
        copy.start_again();
        // Between two quarters of the first day.
        let late = format!(r#"{{"meter":"M-b","at":{},"seq":9,"values":{{"active_power_kw":7.5}}}}"#, FROM_MS + 40 * QUARTER_MS + 420_000);
        copy.take(&(telemetry("GW-1"), late));
        copy.clock(FROM_MS + 2 * QUARTERS * QUARTER_MS);
        copy
    });
    let [packed, plain] = &copied;
    assert!(packed.rows("packed_row") > 10, "copied as it is");
    assert_same(&packed.data, &plain.data, "the copies");
}

/// What commands give.
fn assert_outside(packed: &Path, plain: &Path) {
    let told = |data: &Path, arguments: &[&str]| {
        let output = run(&[arguments, &["--data", path(data)]].concat());
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    };
    let known = "2026-03-31T12:00";
    let commands: [&[&str]; 7] = [
        &["show", "energy", "--by", "15min", "--output", "csv"],
        &["show", "cost", "--by", "day", "--as-known-on", known, "--output", "csv"],
        &["show", "meters", "--output", "csv"],
        &["show", "quality", "--output", "csv"],
        &["explain", "--entity", "E-a", "--at", "2026-03-28T07:20"],
        &["explain", "--entity", "E-e", "--at", "2026-03-29T03:20"],
        &["query", "SELECT * FROM reading WHERE meter = 'M-c' AND ts_local LIKE '2026-03-29%' ORDER BY ts, item", "--output", "csv"],
    ];
    for arguments in commands {
        let [packed, plain] = [packed, plain].map(|data| told(data, arguments));
        assert!(packed.lines().count() > 2, "{arguments:?}: {packed}");
        assert_eq!(packed, plain, "{arguments:?}");
    }
    let [packed, plain] = [packed, plain].map(|data| {
        told(data, &["export", "--format", "csv", "--dir", path(&data.join("out"))]);
        let text = std::fs::read_to_string(data.join("out/reading.csv")).unwrap();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    });
    assert!(packed.len() > 1_000);
    assert!(packed == plain, "the exported readings differ");
}

pub fn four_days(folder: &Path, packs: bool) -> Books {
    let mut books = Books::open(folder, "data", packs);
    fill(&mut books);
    assert_eq!(books.packed > 1_000, packs);
    books
}

/// Four days.
pub fn fill(books: &mut Books) {
    let mut now = FROM_MS;
    for (at, message) in messages(&mut Draws(5)) {
        if now + TICK_MS <= at {
            now = at;
            books.clock(now);
        }
        books.take(&message);
    }
    books.clock(FROM_MS + QUARTERS * QUARTER_MS);
}

#[test]
fn a_meters_day_and_a_range_of_time_open_their_chunks_only() {
    let folder = folder();
    let books = four_days(folder.path(), true);
    let ledger = open_to_read(&books.data).unwrap();
    let chunks = "packed_row_1 (channel=?)";
    let one = "packed_row_1 (channel=? AND day=?)";
    let days = "packed_row_1 (ANY(channel) AND day>? AND day<?)";
    let moments = "(day=? AND ts>? AND ts<?)";
    for (sql, chunks, moments) in [
        ("SELECT * FROM reading WHERE meter = 'M-a' AND ts >= 1 AND ts < 2", chunks, moments),
        ("SELECT SUM(kwh) FROM meter_energy WHERE meter = 'M-a' AND ts >= 1 AND ts < 2", chunks, moments),
        ("SELECT * FROM reading WHERE ts >= 1 AND ts < 2", "SCAN p", moments),
        ("SELECT meter, SUM(kwh) FROM meter_energy WHERE ts >= 1 AND ts < 2 GROUP BY meter", "SCAN p", moments),
        ("SELECT ts, channel FROM every_interval WHERE ts >= 1 AND ts < 2 AND block BETWEEN block_of(1) AND block_of(2)", days, moments),
        ("SELECT SUM(kwh) FROM energy_interval WHERE ts >= 1 AND ts < 2", "SCAN p", moments),
        ("SELECT SUM(kg_co2e) FROM carbon_interval WHERE ts >= 1 AND ts < 2", "SCAN p", moments),
        ("SELECT ts, channel FROM every_reading ORDER BY ts", "SCAN p", "(day=?)"),
        ("SELECT * FROM meter", one, "(day=? AND ts=?)"),
    ] {
        let plan = ask(&ledger, &format!("EXPLAIN QUERY PLAN {sql}"), &[]).unwrap();
        let step = |row: &Vec<Cell>| if let Cell::Text(step) = &row[3] { format!("{step} ") } else { panic!("{row:?}") };
        let steps: Vec<String> = plan.rows.iter().map(step).collect();
        let of = |name: &str| steps.iter().filter(|step| step.contains(&format!("{name} ")) && !step.contains("BLOOM")).collect::<Vec<_>>();
        for (table, wanted) in [("SEARCH p", chunks), ("SCAN p", chunks), ("SEARCH m", moments), ("SCAN m", moments)] {
            assert!(of(table).iter().all(|step| step.contains(wanted)), "{sql}: {steps:#?}");
        }
        let rows = [of("SEARCH reading_row"), of("SEARCH interval_row")].concat();
        assert!(!sql.contains("meter = ") || rows.iter().all(|step| step.contains("(ANY(ts) AND channel=?)")), "{sql}: {steps:#?}");
        assert!(!of("SEARCH m").is_empty() && of("SEARCH p").len() + of("SCAN p").len() > 0, "{sql}: {steps:#?}");
    }
}

#[test]
fn a_chunk_that_cannot_be_read_is_told() {
    let folder = folder();
    let books = four_days(folder.path(), true);
    drop(books.engine);
    let file = rusqlite::Connection::open(books.data.join("nengtan.sqlite")).unwrap();
    file.execute("UPDATE packed_row SET bytes = substr(bytes, 1, 40)", []).unwrap();
    let output = run(&["query", "SELECT COUNT(value) FROM reading", "--data", path(&books.data)]);
    assert!(!output.status.success());
    assert!(text(&output.stderr).contains("a chunk of packed_row cannot be read"), "{}", text(&output.stderr));
}

#[test]
fn a_ledger_of_the_version_before_goes_on() {
    let folder = folder();
    let data = folder.path().join("data");
    drop(Store::open(&data).unwrap());
    let file = rusqlite::Connection::open(data.join("nengtan.sqlite")).unwrap();
    file.execute_batch("DROP TABLE packed_row; DROP TABLE packed_moment; PRAGMA user_version = 4").unwrap();
    drop(file);
    assert!(matches!(open_to_read(&data), Err(StoreError::Version { seen: 4, .. })), "a reader adds no tables");
    drop(Store::open(&data).unwrap());
    assert_eq!(query(&data, "SELECT COUNT(*) AS n FROM packed_row")[0]["n"], 0);
}
