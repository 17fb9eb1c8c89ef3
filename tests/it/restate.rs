//! Restatements, and figures as they were known on a date: against copies of the ledger taken at that time.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

use nengtan::domain::units::Millis;
use nengtan::engine::Engine;

use crate::accounts::{Books, WALL, january, near, number, of_location};
use crate::harness::collector::Collector;
use crate::harness::ledger::{Row, dump, query, report, show, stored};
use crate::harness::mosquitto::Mosquitto;
use crate::harness::publisher::Publisher;
use crate::harness::zone::{ZONE, reading, telemetry};
use crate::harness::{SOON, path, repository, run, text, until};

const SETTINGS: &str = "factors = \"my-factors.toml\"\ntariff = \"my-tariff.toml\"\n\n[steam]\nkj_per_kg = 2675.0\n";

/// Two works with electricity, one of them with gas, the other with steam.
fn works() -> Books {
    let books = Books::new(&["a", "b"], SETTINGS);
    let meters = std::fs::read_to_string(books.zone.join("meters.csv")).unwrap();
    let fuels = "G-a,E-a,,entry,yes,natural_gas,volume_m3,import,m3,0.01,1,6,400,S-Ga,2026-01-01T00:00:00+08:00,GW-1,\n\
                 S-b,E-b,,entry,yes,steam,mass_t,import,t,0.001,1,6,40,S-Sb,2026-01-01T00:00:00+08:00,GW-1,\n";
    std::fs::write(books.zone.join("meters.csv"), meters + fuels).unwrap();
    books
}

/// Registers of gas and steam at a quarter of an hour; `noise` hundredths.
fn burn(engine: &mut Engine, quarter: u32, noise: u64) {
    let at = january(quarter);
    let (gas_m3, steam_t) = (f64::from(quarter) + noise as f64 / 100.0, f64::from(quarter) / 10.0);
    for (meter, item, value) in [("G-a", "volume_m3", gas_m3), ("S-b", "mass_t", steam_t)] {
        let payload = format!(r#"{{"meter":"{meter}","at":"{at}","seq":1,"values":{{"{item}":{value}}}}}"#);
        engine.apply(&telemetry("GW-1"), payload.as_bytes(), WALL).unwrap();
    }
}

/// Shandong's newest factor and the tariff's floating part, as the zone's own files say. With another factor than the published one come another residual
/// mix and other CH4 of gas, with another floating part other prices of gas and steam.
fn write_rules(zone: &Path, factor: &str, floating: &str) {
    let file = |name: &str| std::fs::read_to_string(repository(&format!("config/factors/{name}.toml"))).unwrap();
    let factors = ["cn", "cn-fuels", "cn-coal", "cn-targets", "gwp"].map(file).join("\n");
    assert!(factors.contains("CN-SD = 0.6191"));
    let mut factors = factors.replace("CN-SD = 0.6191", &format!("CN-SD = {factor}"));
    if factor != "0.6191" {
        factors = replaced(&factors, &[("CN = 0.6096", "CN = 0.65"), ("ch4_kg_per_tj = 1\n", "ch4_kg_per_tj = 2\n")]);
    }
    std::fs::write(zone.join("my-factors.toml"), factors).unwrap();
    let mut tariff = std::fs::read_to_string(repository("config/tariffs/cn-sd-industry.toml")).unwrap();
    if floating != "0.3949" {
        tariff = replaced(&tariff, &[("cny = 3.95\n", "cny = 4.1\n"), ("cny = 230.0\n", "cny = 245.0\n")]);
    }
    std::fs::write(
        zone.join("my-tariff.toml"),
        tariff.replace("floating_cny_per_kwh = 0.3949", &format!("floating_cny_per_kwh = {floating}")),
    )
    .unwrap();
}

fn replaced(text: &str, pairs: &[(&str, &str)]) -> String {
    pairs.iter().fold(text.to_owned(), |text, (old, new)| {
        assert_eq!(text.matches(old).count(), 1, "{old}");
        text.replace(old, new)
    })
}

fn copy(data: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    let file = to.join("nengtan.sqlite");
    rusqlite::Connection::open(data.join("nengtan.sqlite")).unwrap().execute("VACUUM INTO ?1", [path(&file)]).unwrap();
}

/// All that is shown of energy, carbon and cost, as text.
fn figures(data: &Path, more: &[&str]) -> String {
    let mut all = String::new();
    for subject in ["energy", "carbon", "cost"] {
        for by in ["15min", "hour", "day", "month", "year", "total"] {
            // A total names its range by the rows it is made of, unless it is given.
            let range: &[&str] = if by == "total" { &["--from", "2026-01-01", "--to", "2026-02-01"] } else { &[] };
            let arguments = [&["show", subject, "--by", by, "--output", "csv", "--data", path(data)][..], range, more].concat();
            let output = run(&arguments);
            assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
            all += &text(&output.stdout);
        }
    }
    assert!(all.lines().count() > 18, "{all}");
    all
}

fn assert_same_figures(seen: &str, wanted: &str, what: &str) {
    let differs = seen.lines().zip(wanted.lines()).find(|(seen, wanted)| seen != wanted);
    assert_eq!(differs, None, "{what}");
    assert_eq!(seen.lines().count(), wanted.lines().count(), "{what}");
}

fn draw(seed: u64, a: u32, b: u32) -> u64 {
    let mut hasher = DefaultHasher::new();
    (seed, a, b).hash(&mut hasher);
    hasher.finish()
}

/// Sixteen hours at a time: most readings at once, some not before the next turn; what is late changes what was known.
fn play_turn(books: &mut Books, engine: &mut Engine, seed: u64, turn: u32) -> String {
    const QUARTERS: u32 = 64;
    let of = |turn: u32, late: bool| {
        let mut readings: Vec<(&str, String, f64)> = Vec::new();
        for (number, name) in [(0, "a"), (1, "b")] {
            let all = turn * QUARTERS..=(turn + 1) * QUARTERS;
            for quarter in all {
                let is_late = quarter % QUARTERS != 0 && draw(seed, number, quarter).is_multiple_of(4);
                let kwh = f64::from(quarter * (number + 1)) + (draw(seed, number + 7, quarter) % 100) as f64 / 100.0;
                if is_late == late {
                    readings.push((name, january(quarter), kwh));
                }
            }
        }
        readings
    };
    // Clocks stand an hour after the turn's end: nothing is open.
    let clock = |after: u32| january((turn + 1) * QUARTERS + after);
    if turn > 0 {
        books.take(engine, &clock(1), &of(turn - 1, true));
    }
    let first = if turn == 0 { 0 } else { turn * QUARTERS + 1 };
    for quarter in first..=(turn + 1) * QUARTERS {
        burn(engine, quarter, draw(seed, 9, quarter) % 100);
    }
    books.take(engine, &clock(2), &of(turn, false));
    books.take(engine, &clock(6), &[]);
    clock(6)
}

/// Late readings, and two restatements in between, one of them of a part of the days.
#[test]
fn as_known_on_a_date_equals_a_copy_of_the_ledger_taken_then() {
    const SEED: u64 = 20_260_124;
    println!("seed {SEED}");
    let mut books = works();
    write_rules(&books.zone, "0.6191", "0.3949");
    let mut engine = books.open();
    let mut copies = Vec::new();
    for turn in 0..8 {
        let clock = play_turn(&mut books, &mut engine, SEED, turn);
        let rules = match turn {
            2 => Some(("0.7", "0.4", "2026-01-01", None)),
            4 => Some(("0.6191", "0.5", "2026-01-02T05:00", Some("2026-01-03T17:00"))),
            _ => None,
        };
        let folder = books.folder.path().join(format!("copy-{turn}"));
        copy(&books.data(), &folder);
        copies.push((clock, figures(&folder, &[])));
        if let Some((factor, floating, from, to)) = rules {
            write_rules(&books.zone, factor, floating);
            drop(engine);
            books.tick_and_restate(from, to);
            engine = books.open();
        }
    }
    drop(engine);
    let corrected = query(&books.data(), "SELECT COUNT(*) AS n FROM interval_version_row")[0]["n"].as_i64().unwrap();
    assert!(corrected > 100, "{corrected} corrections");
    let now = figures(&books.data(), &[]);
    for (clock, wanted) in &copies {
        let seen = figures(&books.data(), &["--as-known-on", clock]);
        assert_same_figures(&seen, wanted, clock);
    }
    assert_ne!(now, copies[2].1);
}

impl Books {
    /// Restates by the command, a quarter of an hour of the clock later.
    fn tick_and_restate(&mut self, from: &str, to: Option<&str>) {
        let clock: i64 = stored(&self.data(), "SELECT value FROM meta WHERE key = 'clock'").unwrap();
        let mut engine = self.open();
        self.take(&mut engine, &(clock + 900_000).to_string(), &[]);
        drop(engine);
        let data = self.data();
        let mut arguments = vec!["restate", "--data", path(&data), "--zone", path(&self.zone), "--from", from];
        arguments.extend(to.into_iter().flat_map(|to| ["--to", to]));
        let output = run(&arguments);
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
}

fn history(seed: u64) -> Books {
    let mut books = works();
    write_rules(&books.zone, "0.6191", "0.3949");
    let mut engine = books.open();
    for turn in 0..5 {
        play_turn(&mut books, &mut engine, seed, turn);
    }
    books
}

#[test]
fn restating_in_pieces_equals_restating_at_once() {
    for seed in [1, 2, 3] {
        println!("seed {seed}");
        let (mut once, mut pieces) = (history(seed), history(seed));
        write_rules(&once.zone, "0.7", "0.5");
        write_rules(&pieces.zone, "0.7", "0.5");
        let hour = |hour: u64| format!("2026-01-{:02}T{:02}:00", 1 + hour / 24, hour % 24);
        once.tick_and_restate(&hour(5), Some(&hour(70)));
        let mut borders: Vec<u64> = (0..6).map(|cut| 6 + draw(seed, cut, 99) % 63).chain([5, 70]).collect();
        borders.sort_unstable();
        borders.dedup();
        let mut parts: Vec<(u64, u64)> = borders.windows(2).map(|pair| (pair[0], pair[1])).collect();
        parts.sort_unstable_by_key(|(from, _)| draw(seed, *from as u32, 98));
        let mut engine = pieces.open();
        let clock = stored(&pieces.data(), "SELECT value FROM meta WHERE key = 'clock'").unwrap();
        pieces.take(&mut engine, &(clock + 900_000).to_string(), &[]);
        let at = |hour: u64| Millis(1_767_196_800_000 + hour.cast_signed() * 3_600_000);
        for (from, to) in parts {
            let mut restatement = engine.begin_restatement(at(from), Some(at(to))).unwrap().unwrap();
            while !restatement.is_done() {
                engine.restate_slice(&mut restatement).unwrap();
            }
        }
        drop(engine);
        assert_eq!(dump(&once.data()), dump(&pieces.data()));
        assert_eq!(figures(&once.data(), &[]), figures(&pieces.data(), &[]));
        for factors in [
            "SELECT * FROM factor_use_row ORDER BY carrier, from_ts, recorded_from",
            "SELECT * FROM named_factor_row ORDER BY name, from_ts, recorded_from",
        ] {
            assert_eq!(query(&once.data(), factors), query(&pieces.data(), factors));
        }
        let before = ["--as-known-on", &january(5 * 64 + 6)];
        assert_eq!(figures(&once.data(), &before), figures(&pieces.data(), &before));
    }
}

/// 1 kWh a quarter of an hour through three days, by hand.
#[test]
fn a_restatement_changes_what_it_should_and_nothing_else() {
    let mut books = Books::new(&["a"], SETTINGS);
    write_rules(&books.zone, "0.6191", "0.3949");
    let mut engine = books.open();
    let readings: Vec<_> = (0..=288).map(|quarter| ("a", january(quarter), f64::from(quarter))).collect();
    books.take(&mut engine, &january(300), &readings);
    drop(engine);
    write_rules(&books.zone, "0.7", "0.3949");
    let carbon = |data: &Path, more: &[&str]| -> Vec<f64> {
        let rows = of_location(show(data, &[&["carbon", "--by", "day", "--entity", "E-a"], more].concat()));
        rows.iter().map(|row| number(row, "kg_co2e")).collect()
    };
    drop(books.open());
    let frozen = carbon(&books.data(), &[]);
    assert_eq!(frozen.len(), 3);
    for day in &frozen {
        near(*day, 59.4336, "96 kWh × 0.6191: a new file alone changes nothing");
    }
    books.tick_and_restate("2026-01-02", None);
    let after = carbon(&books.data(), &[]);
    for (seen, wanted) in after.iter().zip([59.4336, 67.2, 67.2]) {
        near(*seen, wanted, "96 kWh × 0.7");
    }
    assert_eq!(carbon(&books.data(), &["--as-known-on", &january(300)]), frozen);
    let again = books.data();
    let output = run(&["restate", "--data", path(&again), "--zone", path(&books.zone), "--from", "2026-01-02", "--output", "json"]);
    let rows: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&rows[0]["intervals"], &rows[0]["changed_intervals"]), (&192.into(), &0.into()), "the second time nothing differs");
    // What comes later is made with the new factor, on restated days and on new ones.
    let mut engine = books.open();
    books.take(&mut engine, &january(396), &(289..=384).map(|quarter| ("a", january(quarter), f64::from(quarter))).collect::<Vec<_>>());
    drop(engine);
    near(carbon(&books.data(), &[])[3], 67.2, "a new day");
    let wrong = run(&["restate", "--data", path(&again), "--zone", path(&books.zone), "--from", "2026-01-02T00:10"]);
    assert_eq!(wrong.status.code(), Some(2), "{}", text(&wrong.stderr));
}

/// 1 kWh, 1 m³ of gas and 0.1 t of steam every quarter of an hour through two days.
fn two_days() -> Books {
    let mut books = works();
    write_rules(&books.zone, "0.6191", "0.3949");
    let mut engine = books.open();
    for quarter in 0..=192 {
        burn(&mut engine, quarter, 0);
    }
    let readings: Vec<_> = (0..=192).map(|quarter| ("a", january(quarter), f64::from(quarter))).collect();
    books.take(&mut engine, &january(200), &readings);
    drop(engine);
    books
}

/// 120 of 192 quarters at the first grid factor, 24 at the second, which alone changes, 48 at the third, which changes with the residual mix and CH4.
#[test]
fn where_a_factor_changes_within_a_row_each_has_a_row_of_its_own_that_multiplies_out() {
    let mut books = two_days();
    let file = books.zone.join("my-factors.toml");
    std::fs::write(&file, replaced(&std::fs::read_to_string(&file).unwrap(), &[("CN-SD = 0.6191", "CN-SD = 0.5")])).unwrap();
    books.tick_and_restate("2026-01-02T06:00", None);
    write_rules(&books.zone, "0.7", "0.3949");
    books.tick_and_restate("2026-01-02T12:00", None);
    let inventory = report(&books.data(), &["inventory"]);
    for row in &inventory {
        near(number(row, "quantity") * number(row, "factor"), number(row, "kg_co2e"), &format!("{row:?}"));
    }
    let carbon = show(&books.data(), &["carbon"]);
    let of = |rows: &[Row], stream: &str, column: &str| -> Vec<f64> {
        let is = |row: &&Row| {
            row["entity"] == "E-a" && row["method"] == "location" && row["source_stream"].as_str().unwrap().starts_with(stream)
        };
        rows.iter().filter(is).map(|row| number(row, column)).collect()
    };
    assert_eq!(of(&inventory, "electricity", "quantity"), [120.0, 24.0, 48.0]);
    assert_eq!(of(&inventory, "electricity", "factor"), [0.6191, 0.5, 0.7]);
    assert_eq!(of(&inventory, "natural_gas CH4", "quantity"), [144.0, 48.0]);
    for (seen, wanted) in of(&carbon, "electricity", "kg_co2e").iter().zip([120.0 * 0.6191, 24.0 * 0.5, 48.0 * 0.7]) {
        near(*seen, wanted, "show carbon");
    }
    assert_eq!(carbon.len(), inventory.len());
    let energy = show(&books.data(), &["energy", "--entity", "E-a"]);
    let kwh: Vec<f64> = energy.iter().filter(|row| row["carrier"] == "electricity").map(|row| number(row, "quantity")).collect();
    assert_eq!(kwh, [192.0], "energy has no factor and stays one row");
}

/// The second of the two days is restated from its sixth hour on.
///
/// CH4 of gas: 36.2759 MJ/m³ × 1 or 2 kg/TJ × 28, 1.016 or 2.031 g/m³. Residual mix 0.6096 or 0.65 kg/kWh. Gas 3.95 or 4.1 CNY/m³, steam 230 or
/// 245 CNY/t. 24 quarters at the old, 72 at the new.
#[test]
fn other_gases_the_residual_mix_and_prices_of_gas_and_steam_are_restated_too() {
    let mut books = two_days();
    write_rules(&books.zone, "0.7", "0.4");
    books.tick_and_restate("2026-01-02T06:00", Some("2026-01-03"));
    let day = |subject: &str, column: &str, is: &dyn Fn(&Row) -> bool, more: &[&str]| {
        let rows = show(
            &books.data(),
            &[&[subject, "--by", "day", "--entity", ZONE, "--from", "2026-01-02", "--to", "2026-01-03"][..], more].concat(),
        );
        rows.iter().filter(|row| is(row)).map(|row| number(row, column)).sum::<f64>()
    };
    let is_ch4 = |row: &Row| row["source_stream"].as_str().unwrap().contains("CH4");
    let is_market = |row: &Row| row["method"] == "market" && row["carrier"] == "electricity";
    let of = |carrier: &'static str| move |row: &Row| row["carrier"] == carrier;
    let known = ["--as-known-on", &january(200)];
    for (subject, column, is, old, new) in [
        ("carbon", "kg_co2e", &is_ch4 as &dyn Fn(&Row) -> bool, 96.0 * 0.001_016, 24.0 * 0.001_016 + 72.0 * 0.002_031),
        ("carbon", "kg_co2e", &is_market, 96.0 * 0.6096, 24.0 * 0.6096 + 72.0 * 0.65),
        ("cost", "cny", &of("natural_gas"), 96.0 * 3.95, 24.0 * 3.95 + 72.0 * 4.1),
        ("cost", "cny", &of("steam"), 9.6 * 230.0, 2.4 * 230.0 + 7.2 * 245.0),
    ] {
        near(day(subject, column, is, &[]), new, "restated");
        near(day(subject, column, is, &known), old, "as known before");
    }
    let unchanged = show(&books.data(), &["carbon", "--entity", ZONE, "--from", "2026-01-01", "--to", "2026-01-02"]);
    near(unchanged.iter().filter(|row| is_ch4(row)).map(|row| number(row, "kg_co2e")).sum(), 96.0 * 0.001_016, "the day before");
    // Over both days the parts add up, whatever level they come from.
    let both = show(&books.data(), &["carbon", "--entity", ZONE]);
    near(both.iter().filter(|row| is_ch4(row)).map(|row| number(row, "kg_co2e")).sum(), 120.0 * 0.001_016 + 72.0 * 0.002_031, "both days");
}

/// 1 kWh every quarter of an hour through two days; waste of 31 t and a contract for 100 kWh in January. Then a ton more and half the contract; then neither.
#[test]
fn what_was_declared_stays_as_it_was_known_when_lines_change_or_go() {
    let mut books = Books::new(&["a"], "");
    let declare = |books: &Books, waste_t: u32, contract_mwh: &str| {
        let entry = format!("WASTE,E-a,2026-01-01,2026-02-01,activity,food waste,{waste_t},t,420,study,2026-01-01\n");
        let contract = format!("CHP,E-a,2026-01-01,2026-02-01,{contract_mwh},0.1,no,contract,2026-01-01\n");
        let head = "id,entity,from,to,kind,substance,quantity,unit,factor_kg_co2e,factor_source,recorded\n";
        std::fs::write(books.zone.join("entries.csv"), head.to_owned() + if waste_t > 0 { &entry } else { "" }).unwrap();
        let head = "id,entity,from,to,energy_mwh,factor_kg_co2_per_kwh,green,source,recorded\n";
        std::fs::write(books.zone.join("contracts.csv"), head.to_owned() + if waste_t > 0 { &contract } else { "" }).unwrap();
    };
    let carbon = |books: &Books, more: &[&str]| {
        show(&books.data(), &[&["carbon", "--by", "day", "--entity", "E-a", "--from", "2026-01-01", "--to", "2026-01-03"], more].concat())
    };
    let mut seen = Vec::new();
    declare(&books, 31, "0.1");
    let mut engine = books.open();
    let readings: Vec<_> = (0..=192).map(|quarter| ("a", january(quarter), f64::from(quarter))).collect();
    books.take(&mut engine, &january(200), &readings);
    drop(engine);
    for (quarter, waste_t, contract_mwh) in [(210, 32, "0.05"), (220, 0, "")] {
        seen.push((january(quarter - 5), carbon(&books, &[])));
        // The clock goes on before the folder is another one.
        let mut engine = books.open();
        books.take(&mut engine, &january(quarter), &[]);
        drop(engine);
        declare(&books, waste_t, contract_mwh);
        drop(books.open());
    }
    let waste = |rows: &[crate::harness::ledger::Row]| -> f64 {
        rows.iter().filter(|row| row["scope"] == 3).map(|row| number(row, "kg_co2e")).sum()
    };
    near(waste(&seen[0].1), 840.0, "2 t");
    assert!(waste(&seen[1].1) > 850.0 && seen[0].1 != seen[1].1);
    near(waste(&carbon(&books, &[])), 0.0, "it is gone");
    for (clock, wanted) in &seen {
        assert_eq!(carbon(&books, &["--as-known-on", clock]), *wanted, "{clock}");
    }
}

#[test]
fn a_running_collector_restates_on_request() {
    let books = Books::new(&["a"], SETTINGS);
    write_rules(&books.zone, "0.6191", "0.3949");
    let (data, broker) = (books.data(), Mosquitto::start());
    let collector = Collector::start(&books.zone, &data, &broker.url());
    let mut gateway = Publisher::connect(broker.port(), ZONE);
    gateway.clock("2026-01-07T00:00:00+08:00");
    for quarter in 0..=96 {
        gateway.publish(&telemetry("GW-1"), reading("a", 15 * quarter, quarter + 1, quarter));
    }
    until(SOON, "all readings are stored", || {
        stored(&data, "SELECT COUNT(*) FROM every_reading WHERE verdict IS NOT NULL").filter(|rows| *rows == 97)
    });
    write_rules(&books.zone, "0.7", "0.3949");
    let output = run(&["restate", "--data", path(&data), "--zone", path(&books.zone), "--from", "2026-01-01", "--output", "json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let rows: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(rows[0]["changed_intervals"], 96);
    near(number(&of_location(show(&data, &["carbon", "--entity", "E-a"]))[0], "kg_co2e"), 67.2, "96 kWh × 0.7");
    std::fs::write(books.zone.join("my-tariff.toml"), "id = 5\n").unwrap();
    let refused = run(&["restate", "--data", path(&data), "--zone", path(&books.zone), "--from", "2026-01-01"]);
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused.stderr));
    collector.stop();
}
