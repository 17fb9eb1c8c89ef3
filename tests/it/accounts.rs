//! Costs, roll-ups and restatements of an engine in this process, as `nengtan show` shows them.
//!
//! Expected figures are worked out by hand from published hours and listed prices.

use std::path::PathBuf;

use nengtan::config::zone_folder;
use nengtan::domain::units::Millis;
use nengtan::engine::Engine;

use crate::harness::folder;
use crate::harness::ledger::{Row, query, show};
use crate::harness::zone::{self, ZONE, meter, telemetry};

/// A wall clock a little ahead of the fed one.
pub const WALL: Millis = Millis(1_790_000_000_000);

/// A zone of one or two meters, its ledger, and a clock that is fed.
pub struct Books {
    pub folder: tempfile::TempDir,
    pub zone: PathBuf,
    seq: u32,
}

impl Books {
    /// `settings` are lines of `[zone]`.
    pub fn new(names: &[&'static str], settings: &str) -> Books {
        let folder = folder();
        let zone = zone::write(folder.path(), &names.iter().map(|name| meter(name)).collect::<Vec<_>>(), "");
        let head = std::fs::read_to_string(zone.join("zone.toml")).unwrap();
        std::fs::write(zone.join("zone.toml"), head + settings).unwrap();
        Books { folder, zone, seq: 0 }
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub fn open(&self) -> Engine {
        let read = zone_folder::load(&self.zone).unwrap_or_else(|faults| panic!("{faults:?}"));
        Engine::open(&self.data(), read.zone, (read.factors, read.tariff), read.alert_rules, WALL).unwrap()
    }

    /// The clock, and what `readings` says: meter, RFC 3339 time and register.
    pub fn take(&mut self, engine: &mut Engine, clock: &str, readings: &[(&str, String, f64)]) {
        // Milliseconds are a number.
        let clock = if clock.parse::<i64>().is_ok() { clock.to_owned() } else { format!("\"{clock}\"") };
        let tick = format!(r#"{{"now":{clock},"next":{clock}}}"#);
        engine.apply(&format!("nengtan/{ZONE}/clock"), tick.as_bytes(), WALL).unwrap();
        for (meter, at, kwh) in readings {
            self.seq += 1;
            let payload =
                format!(r#"{{"meter":"M-{meter}","at":"{at}","seq":{},"values":{{"active_energy_import_kwh":{kwh}}}}}"#, self.seq);
            engine.apply(&telemetry("GW-1"), payload.as_bytes(), WALL).unwrap();
        }
        let effects = engine.commit().unwrap();
        assert!(effects.rejections.is_empty(), "{:?}", effects.rejections);
    }
}

/// Quarter of an hour `quarter` of January 2026, local.
pub fn january(quarter: u32) -> String {
    format!("2026-01-{:02}T{:02}:{:02}:00+08:00", 1 + quarter / 96, quarter / 4 % 24, quarter % 4 * 15)
}

pub fn number(row: &Row, column: &str) -> f64 {
    row[column].as_f64().unwrap_or_else(|| panic!("{column} of {row:?}"))
}

pub fn near(seen: f64, wanted: f64, what: &str) {
    assert!((seen - wanted).abs() < 1e-9 * wanted.abs().max(1.0), "{what}: {seen}, wanted {wanted}");
}

/// Of carbon the location-based rows; all others as they are.
pub fn of_location(rows: Vec<Row>) -> Vec<Row> {
    rows.into_iter().filter(|row| row.get("method").is_none_or(|method| method == "location")).collect()
}

/// 1 kWh every quarter of an hour for two winter days, to one entity.
fn two_days(settings: &str) -> Books {
    let mut books = Books::new(&["a"], settings);
    let mut engine = books.open();
    for quarter in 0..=192 {
        books.take(&mut engine, &january(quarter), &[("a", january(quarter), f64::from(quarter))]);
    }
    books
}

fn of_band(rows: &[Row], entity: &str, band: &str) -> (f64, f64) {
    let row = rows.iter().find(|row| row["entity"] == entity && row["band"] == band).unwrap_or_else(|| panic!("{entity} {band}: {rows:?}"));
    (number(row, "quantity"), number(row, "cny"))
}

#[test]
fn a_day_costs_what_a_hand_computed_bill_says() {
    let books = two_days("tariff = \"cn-sd-industry\"\n");
    // January: 3 h sharp, 4 h peak, 6 h valley, 3 h deep valley, the other 8 flat; 4 kWh an hour; prices 0.984469, 0.865999, 0.589569, 0.313139, 0.234159.
    let bill = [
        ("sharp", 12.0, 11.813_628),
        ("peak", 16.0, 13.855_984),
        ("flat", 32.0, 18.866_208),
        ("valley", 24.0, 7.515_336),
        ("deep_valley", 12.0, 2.809_908),
    ];
    let day = ["--from", "2026-01-01", "--to", "2026-01-02"];
    for by in ["total", "day", "hour", "15min"] {
        let rows = show(&books.data(), &[&["cost", "--by", by][..], &day].concat());
        for entity in ["E-a", ZONE] {
            for (band, kwh, cny) in bill {
                let of = rows.iter().filter(|row| row["entity"] == entity && row["band"] == band);
                let (seen_kwh, seen) = of.fold((0.0, 0.0), |sum, row| (sum.0 + number(row, "quantity"), sum.1 + number(row, "cny")));
                near(seen_kwh, kwh, band);
                near(seen, cny, band);
            }
        }
    }
    let hour = show(&books.data(), &["cost", "--by", "hour", "--entity", "E-a", "--from", "2026-01-01T16:00", "--to", "2026-01-01T17:00"]);
    assert_eq!(
        (hour.len(), hour[0]["band"].as_str(), hour[0]["tariff"].as_str()),
        (1, Some("sharp"), Some("cn-sd-industry/electricity/2023-12-01"))
    );
    near(number(&hour[0], "cny"), 3.937_876, "4 kWh at 0.984469");
    for (view, rows, total) in
        [("cost_day", 10, 109.722_128), ("cost_month", 5, 109.722_128), ("cost_year", 5, 109.722_128), ("cost", 48, 109.722_128)]
    {
        let seen = query(&books.data(), &format!("SELECT COUNT(*) AS rows, SUM(cny) AS cny FROM {view} WHERE entity = 'E-a'"));
        assert_eq!(seen[0]["rows"], rows, "{view}");
        near(number(&seen[0], "cny"), total, view);
    }
}

#[test]
fn without_a_tariff_costs_are_unpriced_and_not_zero() {
    let books = two_days("");
    let rows = show(&books.data(), &["cost"]);
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert!(rows.iter().all(|row| row["band"] == "unpriced" && row["cny"].is_null() && row["quantity"] == 192.0), "{rows:?}");
}

/// A band that begins at 07:30 cuts an hour: quarters tell the two apart, hourly readings cannot and say so.
#[test]
fn an_hour_of_two_bands_is_split_where_quarters_are_metered_and_flagged_where_not() {
    let tariff = "id = \"half\"\n[[electricity]]\nfrom = \"2020-01-01\"\nrecorded = \"2020\"\nsource = \"s\"\nconfidence = \"low\"\n\
                  floating_cny_per_kwh = 1\n[electricity.multiplier]\nsharp = 4\npeak = 3\nflat = 1\nvalley = 0.5\ndeep_valley = 0.1\n\
                  [[electricity.season]]\nmonths = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]\npeak = [\"07:30-09:00\"]\n";
    for (step, wanted) in [(1, [(2.0, 2.0), (6.0, 18.0)]), (4, [(4.0, 4.0), (4.0, 12.0)])] {
        let mut books = Books::new(&["a"], "tariff = \"half.toml\"\n");
        std::fs::write(books.zone.join("half.toml"), tariff).unwrap();
        let mut engine = books.open();
        for quarter in (28..=36).step_by(step) {
            books.take(&mut engine, &january(quarter), &[("a", january(quarter), f64::from(quarter))]);
        }
        drop(engine);
        let rows = show(&books.data(), &["cost", "--entity", "E-a"]);
        assert_eq!([of_band(&rows, "E-a", "flat"), of_band(&rows, "E-a", "peak")], wanted, "step {step}");
        let flagged: Vec<f64> = rows.iter().map(|row| number(row, "spans_bands_share")).collect();
        assert_eq!(flagged, if step == 1 { [0.0, 0.0] } else { [0.0, 1.0] }, "step {step}: {rows:?}");
    }
}

/// 1 kWh a quarter of an hour over the changes of Berlin's clocks in 2026: days of 23 and 25 hours, whose figures agree at every level.
#[test]
fn every_roll_up_agrees_where_days_have_23_and_25_hours() {
    const QUARTER_MS: i64 = 900_000;
    let tariff = "id = \"x\"\n[[electricity]]\nfrom = \"2020-01-01\"\nrecorded = \"2020\"\nsource = \"s\"\nconfidence = \"low\"\n\
                  floating_cny_per_kwh = 1\n[electricity.multiplier]\nsharp = 2\npeak = 1.5\nflat = 1\nvalley = 0.5\ndeep_valley = 0.1\n\
                  [[electricity.season]]\nmonths = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]\nvalley = [\"01:00-04:00\"]\n";
    // Local midnights of 28 March and 24 October; each three days.
    for (midnight_ms, hours, month) in
        [(1_774_652_400_000, [24.0, 23.0, 24.0], "2026-03"), (1_792_792_800_000, [24.0, 25.0, 24.0], "2026-10")]
    {
        let mut books = Books::new(&["a"], "tariff = \"x.toml\"\n");
        std::fs::write(books.zone.join("x.toml"), tariff).unwrap();
        let head = std::fs::read_to_string(books.zone.join("zone.toml")).unwrap();
        std::fs::write(books.zone.join("zone.toml"), head.replace("Asia/Shanghai", "Europe/Berlin")).unwrap();
        let mut engine = books.open();
        let quarters = (hours.iter().sum::<f64>() * 4.0) as i64;
        for quarter in 0..=quarters {
            let at = midnight_ms + quarter * QUARTER_MS;
            let text = jiff::Timestamp::from_millisecond(at).unwrap().to_string();
            books.take(&mut engine, &text, &[("a", text.clone(), quarter as f64)]);
        }
        drop(engine);
        let days: Vec<f64> =
            show(&books.data(), &["energy", "--by", "day", "--entity", "E-a"]).iter().map(|row| number(row, "kwh")).collect();
        assert_eq!(days, hours.map(|hours| 4.0 * hours));
        let total = quarters as f64;
        // The valley has 3 hours by the wall clock: 2 or 4 on the day in the middle. 1 CNY/kWh, half in the valley.
        let valley = 4.0 * (3.0 + (hours[1] - 21.0) + 3.0);
        for (subject, column, wanted) in
            [("energy", "kwh", total), ("carbon", "kg_co2e", total * 0.6191), ("cost", "cny", total - valley / 2.0)]
        {
            for by in ["15min", "hour", "day", "month", "year", "total"] {
                for entity in ["E-a", ZONE] {
                    let rows = of_location(show(&books.data(), &[subject, "--by", by, "--entity", entity]));
                    near(rows.iter().map(|row| number(row, column)).sum(), wanted, &format!("{subject} by {by}, {month}"));
                }
            }
        }
        let by_hour = show(&books.data(), &["energy", "--by", "hour", "--entity", "E-a"]).len();
        assert_eq!(by_hour * 4, usize::try_from(quarters).unwrap());
        for view in ["energy_interval", "energy", "energy_day", "energy_month", "energy_year"] {
            let seen = query(&books.data(), &format!("SELECT SUM(kwh) AS kwh, SUM(tce_calorific) AS tce FROM {view} WHERE entity = 'E-a'"));
            near(number(&seen[0], "kwh"), total, view);
            near(number(&seen[0], "tce"), total * 0.1229 / 1000.0, view);
        }
        for view in ["cost_interval", "cost", "cost_day", "cost_month", "cost_year"] {
            let seen = query(&books.data(), &format!("SELECT SUM(cny) AS cny FROM {view} WHERE entity = 'E-a'"));
            near(number(&seen[0], "cny"), total - valley / 2.0, view);
        }
    }
}
