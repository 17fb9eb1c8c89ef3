//! Scopes, market-based electricity and reports of a small zone, against figures worked out by hand.

use std::fs;
use std::path::{Path, PathBuf};

use nengtan::config::zone_folder;
use nengtan::domain::units::Millis;
use nengtan::engine::Engine;

use crate::harness::ledger::{Row, report, show};
use crate::harness::plant::Plant;
use crate::harness::{folder, path, run, text};

const ZONE: &str = "[zone]\nid = \"tiny\"\nname_en = \"Tiny zone\"\nname_zh = \"小园区\"\ntime_zone = \"Asia/Shanghai\"\nregion = \"CN-SD\"\nlatitude = 36.07\nlongitude = 120.38\n";
const METERS: &str = "meter,entity,parent,level,boundary,carrier,item,direction,unit,resolution,multiplier,width_digits,rating,serial,valid_from,gateway,formula
M-1,E-1,,entry,yes,electricity,active_energy_import_kwh,import,kwh,0.01,1,6,400,S-1,2026-01-01T00:00:00+08:00,GW-1,
M-2,E-2,,entry,yes,electricity,active_energy_import_kwh,import,kwh,0.01,1,6,400,S-2,2026-01-01T00:00:00+08:00,GW-1,
G-1,E-1,,entry,yes,natural_gas,volume_m3,import,m3,0.01,1,6,400,S-3,2026-01-01T00:00:00+08:00,GW-1,
";
const ENTRIES: &str = "id,entity,from,to,kind,substance,quantity,unit,factor_kg_co2e,factor_source,recorded
DIESEL,E-1,2026-01-01,2027-01-01,fuel,diesel,365,kg,,,2026-01-08
SF6,tiny,2026-01-10,2026-01-11,top_up,SF6,0.1,kg,,,2026-01-11
WASTE,E-2,2026-01-01,2026-02-01,activity,food waste,10,t,420,canteen study,2026-02-01
WOOD,E-2,2026-01-01,2026-02-01,sink,wood growth,2,ha,50,forest survey,2026-02-01
";
const CONTRACTS: &str = "id,entity,from,to,energy_mwh,factor_kg_co2_per_kwh,green,source,recorded
CHP,E-1,2026-01-01,2026-02-01,4,0.1,no,contract,2026-01-01
";
const CERTIFICATES: &str = "first_serial,last_serial,entity,from,to,factor_kg_co2_per_kwh,source,recorded
GEC-001,GEC-003,E-1,2026-01-01,2026-02-01,0,register,2026-02-01
GEC-004,GEC-007,tiny,2026-01-01,2026-02-01,0,register,2026-02-01
";

fn zone(folder: &Path) -> PathBuf {
    let zone = folder.join("zone");
    fs::create_dir_all(&zone).unwrap();
    let feature = |number: u8| {
        format!(
            r#"{{"type":"Feature","geometry":{{"type":"Point","coordinates":[120.2,36.2]}},"properties":{{"id":"E-{number}","name_en":"Works {number}","name_zh":"工厂{number}","kind":"factory","floor_area_m2":1000}}}}"#
        )
    };
    let entities = format!(r#"{{"type":"FeatureCollection","features":[{},{}]}}"#, feature(1), feature(2));
    for (name, text) in [
        ("zone.toml", ZONE),
        ("meters.csv", METERS),
        ("entities.geojson", &entities),
        ("entries.csv", ENTRIES),
        ("contracts.csv", CONTRACTS),
        ("certificates.csv", CERTIFICATES),
    ] {
        fs::write(zone.join(name), text).unwrap();
    }
    zone
}

/// 2026-02-01 00:00 +08:00.
const WALL: Millis = Millis(1_769_875_200_000);

/// January 2026: 10,000 and 5,000 kWh, and 1,000 m³ of gas, read twice each.
fn january(folder: &Path) -> PathBuf {
    january_of(&zone(folder), folder)
}

fn january_of(zone: &Path, folder: &Path) -> PathBuf {
    let data = folder.join("data");
    let read = zone_folder::load(zone).unwrap();
    let mut engine = Engine::open(&data, read.zone, (read.factors, read.tariff), read.alert_rules, WALL).unwrap();
    for (at, values) in [("2026-01-01", [0, 0, 0]), ("2026-02-01", [10_000, 5_000, 1_000])] {
        for (meter, item, value) in [
            ("M-1", "active_energy_import_kwh", values[0]),
            ("M-2", "active_energy_import_kwh", values[1]),
            ("G-1", "volume_m3", values[2]),
        ] {
            let reading = format!(r#"{{"meter":"{meter}","at":"{at}T00:00:00+08:00","seq":{value},"values":{{"{item}":{value}}}}}"#);
            engine.apply("nengtan/tiny/gw/GW-1/telemetry", reading.as_bytes(), WALL).unwrap();
        }
    }
    engine.commit().unwrap();
    data
}

fn number(row: &Row, column: &str) -> f64 {
    row[column].as_f64().unwrap_or_else(|| panic!("{column} of {row:?}"))
}

fn close(seen: f64, wanted: f64) -> bool {
    (seen - wanted).abs() <= 1e-9 * wanted.abs().max(1.0)
}

fn sum(rows: &[Row], (entity, scope, method): (&str, i64, &str)) -> f64 {
    let of = |row: &&Row| row["entity"] == entity && row["scope"] == scope && row["method"] == method;
    rows.iter().filter(of).map(|row| number(row, "kg_co2e")).sum()
}

/// Shandong 0.6191 kg/kWh (2023), residual mix 0.6096, gas 2.014728 kg/m³ (38.931 MJ/Nm³ × 0.9318), diesel 3.09591 kg/kg (GB/T 32151.22-2024),
/// CH4 and N2O of IPCC 2006 with AR5 (28 and 265), SF6 23,500.
///
/// The contract's 4,000 kWh at 0.1 and 3 certificates leave 3,000 of E-1's 10,000 kWh; the zone's 4 certificates are shared out 3 : 5, so that 1,500 and
/// 2,500 kWh stay at the residual. A 365 kg year of diesel has 31 kg in January.
const BY_HAND: [(&str, i64, &str, f64); 13] = [
    ("E-1", 1, "location", 2_014.728 + 1.016 + 0.961 + 95.973_21 + 0.111_073 + 0.210_242),
    ("E-1", 2, "location", 6_191.0),
    ("E-1", 2, "market", 400.0 + 914.4),
    ("E-2", 1, "location", 0.0),
    ("E-2", 1, "sink", -100.0),
    ("E-2", 2, "location", 3_095.5),
    ("E-2", 2, "market", 1_524.0),
    ("E-2", 3, "location", 4_200.0),
    ("tiny", 1, "location", 2_112.999_525 + 2_350.0),
    ("tiny", 1, "sink", -100.0),
    ("tiny", 2, "location", 9_286.5),
    ("tiny", 2, "market", 2_838.4),
    ("tiny", 3, "location", 4_200.0),
];

#[test]
fn scopes_and_methods_come_out_as_worked_out_by_hand_however_the_time_is_cut() {
    let folder = folder();
    let data = january(folder.path());
    let inventory = report(&data, &["inventory"]);
    let total = show(&data, &["carbon"]);
    let days = show(&data, &["carbon", "--by", "day"]);
    let quarters = show(&data, &["carbon", "--by", "15min", "--from", "2026-01-01", "--to", "2026-02-01"]);
    for (entity, scope, method, kg) in BY_HAND {
        for (what, rows) in [("inventory", &inventory), ("total", &total), ("days", &days), ("15min", &quarters)] {
            let seen = sum(rows, (entity, scope, method));
            assert!(close(seen, kg), "{what}: {entity} scope {scope} {method}: {seen}, by hand {kg}");
        }
    }
    let columns: Vec<&str> = inventory[0].keys().map(String::as_str).collect();
    let wanted = ["entity", "scope", "method", "source_stream", "quantity", "unit", "factor", "factor_unit", "factor_source", "kg_co2e"];
    assert!(columns.len() == wanted.len() && wanted.iter().all(|column| columns.contains(column)), "{columns:?}");
    for row in &inventory {
        assert!(close(number(row, "quantity") * number(row, "factor"), number(row, "kg_co2e")), "{row:?}");
    }
}

#[test]
fn no_kilowatt_hour_is_covered_twice() {
    let folder = folder();
    let inventory = report(&january(folder.path()), &["inventory"]);
    for (entity, bought_kwh) in [("E-1", 10_000.0), ("E-2", 5_000.0), ("tiny", 15_000.0)] {
        let of = |row: &&Row| row["entity"] == entity && row["method"] == "market" && row["unit"] == "kWh";
        let covered: f64 = inventory.iter().filter(of).map(|row| number(row, "quantity")).sum();
        assert!(close(covered, bought_kwh), "{entity}: {covered} kWh of {bought_kwh}");
    }
    let certificates = |row: &&Row| row["entity"] == "tiny" && row["source_stream"].as_str().unwrap().contains("certificate");
    let cancelled: f64 = inventory.iter().filter(certificates).map(|row| number(row, "quantity")).sum();
    assert!(close(cancelled, 7_000.0), "seven certificates cover {cancelled} kWh");
}

/// kgce: 10,000 × 0.1229 + 1,000 × 1.237764 (38.931 × 0.9318 / 29.3076) = 2,466.764 calorific; 2,856 + 1,237.764 = 4,093.764 primary; 31 kg of diesel, which
/// nobody meters, × 1.4571 (GB/T 2589-2020) = 45.1701 on both.
#[test]
fn factory_and_park_figures_come_out_as_worked_out_by_hand() {
    let folder = folder();
    let data = january(folder.path());
    let value = |rows: &[Row], entity: &str, name: &str| {
        let row = rows.iter().find(|row| row["entity"] == entity && row["indicator"] == name);
        number(row.unwrap_or_else(|| panic!("{entity} has no {name}")), "value")
    };
    let factory = report(&data, &["factory"]);
    for (name, wanted) in [
        ("declared_fuels_tce", 0.045_170_1),
        ("tce_calorific", 2.511_934_1),
        ("tce_primary", 4.138_934_1),
        ("scope_2_market_t_co2e", 1.314_4),
        // 2.112999525 + 6.191 t over 1,000 m².
        ("kg_co2e_per_m2", 8.303_999_525),
        // (2.112999525 + 1.3144) / 2.5119341, and over 4.1389341.
        ("t_co2e_market_per_tce_calorific", 1.364_446_434),
        ("t_co2e_market_per_tce_primary", 0.828_087_484),
        // 3,000 by its own certificates and 1,500 by the zone's, of 10,000 kWh.
        ("non_fossil_share_of_electricity_pct", 45.0),
        // 4,500 × 0.1229 = 553.05 of 2,511.9341 kgce.
        ("non_fossil_share_of_tce_calorific_pct", 22.016_899_25),
    ] {
        let seen = value(&factory, "E-1", name);
        assert!((seen - wanted).abs() < 1e-8 * wanted, "{name}: {seen}, by hand {wanted}");
    }
    let base = factory.iter().find(|row| row["indicator"] == "t_co2e_market_per_tce_calorific" && row["threshold"] == 1.8).unwrap();
    assert!((number(base, "gap") + 0.435_553_566).abs() < 1e-8 && base["met"] == "yes", "{base:?}");
    let park = report(&data, &["park"]);
    // Gas 2,014.728 + diesel 95.97321 + (15,000 − 7,000 green) × 0.8325 = 8,770.70121 kg of 3,126.4341 kgce.
    let seen = value(&park, "tiny", "park_rule_t_co2_per_tce_calorific");
    assert!((seen - 2.805_336_984).abs() < 1e-8, "{seen}");
    let untold = park.iter().find(|row| row["indicator"] == "waste_heat_use_pct").unwrap();
    assert!(untold["value"].is_null() && untold["gap"].is_null() && untold["threshold"] == 50.0, "{untold:?}");
    assert!(untold["note"].as_str().unwrap().starts_with("not declared"), "{untold:?}");
    // 2,466.764 of 2,511.9341 kgce are metered.
    let e_1 = factory.iter().find(|row| row["entity"] == "E-1" && row["indicator"] == "tce_calorific").unwrap();
    assert!((number(e_1, "measured_share") - 0.982_017_8).abs() < 1e-7, "{e_1:?}");
}

#[test]
fn a_year_without_data_is_refused_and_rows_of_the_rolling_year_name_its_days() {
    let folder = folder();
    let data = january(folder.path());
    for kind in ["park", "factory", "inventory"] {
        let output = run(&["report", kind, "--year", "2024", "--data", path(&data)]);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{kind}: {told}");
        assert!(told.contains("--year is 2024") && told.contains("it has data of 2026;") && output.stdout.is_empty(), "{kind}: {told}");
        assert_eq!(report(&data, &[kind, "--year", "2026"]), report(&data, &[kind]));
    }
    let factory = report(&data, &["factory"]);
    let rolling: Vec<&Row> = factory.iter().filter(|row| row["indicator"].as_str().unwrap().starts_with("rolling_year")).collect();
    assert!(!rolling.is_empty());
    for row in rolling {
        assert!(row["note"].as_str().unwrap().contains("rolling year 2025-02-01 to 2026-01-31, 31 days with data"), "{row:?}");
        assert_eq!(row["days_with_data"], 31, "{row:?}");
        assert!(row["met"].is_null() && 0.0 < number(row, "gap"), "31 days do not show that a year stays below: {row:?}");
    }
}

/// A key unit is one from 10,000 tce a year on. Ten days of meters and a declared 8,000 t of diesel (11,656.8 tce) reach that whatever the rest of the year adds;
/// 800 t do not, and nobody knows what days without data would add.
#[test]
fn a_years_threshold_is_reached_by_a_part_of_it_but_never_missed_by_one() {
    for (tonnes, met) in [(8000, Some("yes")), (800, None)] {
        let folder = folder();
        let zone = zone(folder.path());
        let entries = ENTRIES.replace("365,kg", &format!("{tonnes},t")).replace("2026-01-01,2027-01-01,fuel", "2026-01-01,2026-02-01,fuel");
        fs::write(zone.join("entries.csv"), entries).unwrap();
        let factory = report(&january_of(&zone, folder.path()), &["factory", "--entity", "E-1"]);
        let row = factory.iter().find(|row| row["indicator"] == "rolling_year_tce_calorific").unwrap();
        assert_eq!(row["met"].as_str(), met, "{row:?}");
        assert!(row["note"].as_str().unwrap().contains("days with data"), "{row:?}");
        let share = factory.iter().find(|row| row["indicator"] == "t_co2e_market_per_tce_calorific").unwrap();
        assert!(!share["met"].is_null(), "a share is no sum: {share:?}");
    }
}

#[test]
fn a_report_of_a_ledger_without_data_is_refused() {
    let meters = ["M-1 E-1 - entry yes electricity active_energy_import_kwh import kwh 0.01 4000"];
    let plant = Plant::new("", &["E-1"], &meters);
    drop(plant.open());
    for kind in ["park", "factory", "inventory"] {
        let output = run(&["report", kind, "--data", path(&plant.data())]);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{kind}: {told}");
        assert!(told.contains("the ledger has no reading yet") && output.stdout.is_empty(), "{kind}: {told}");
    }
}

/// What was declared is cut like what was metered, in a zone whose finest interval is not a quarter of an hour.
#[test]
fn the_finest_rows_are_the_zones_intervals() {
    for minutes in [30, 5] {
        let meters = ["M-1 E-1 - entry yes electricity active_energy_import_kwh import kwh 0.01 4000"];
        let mut plant = Plant::new(&format!("interval_minutes = {minutes}\n"), &["E-1"], &meters);
        plant.write("entries.csv", "id,entity,from,to,kind,substance,quantity,unit,factor_kg_co2e,factor_source,recorded\nOIL,E-1,2026-01-01,2027-01-01,fuel,diesel,365,kg,,,2026-01-08\n");
        let mut engine = plant.open();
        let kwh = "active_energy_import_kwh";
        let readings: Vec<(String, f64)> = (0..=60 / minutes)
            .map(|step| (format!("2026-01-05T{:02}:{:02}:00+08:00", step * minutes / 60, step * minutes % 60), f64::from(step)))
            .collect();
        let readings: Vec<_> = readings.iter().map(|(at, value)| ("M-1", kwh, at.as_str(), *value)).collect();
        plant.read(&mut engine, &readings);
        drop(engine);
        let rows = show(&plant.data(), &["carbon", "--by", "15min", "--entity", "E-1", "--from", "2026-01-05", "--to", "2026-01-05T01:00"]);
        let length = |row: &Row| {
            let minute = |column: &str| {
                row[column].as_str().unwrap()[11..16]
                    .split(':')
                    .map(|part| part.parse::<i64>().unwrap())
                    .reduce(|hour, minute| 60 * hour + minute)
                    .unwrap()
            };
            minute("to") - minute("from")
        };
        assert!(rows.iter().any(|row| row["scope"] == 1) && rows.iter().any(|row| row["scope"] == 2), "{rows:?}");
        assert!(rows.iter().all(|row| length(row) == i64::from(minutes)), "{minutes}: {rows:?}");
    }
}

#[test]
fn what_a_zone_states_of_its_indicators_is_judged_and_says_where_it_is_from() {
    let folder = folder();
    let zone = zone(folder.path());
    let stated = "indicator,year,value_pct,source,recorded\nwaste_heat_use_pct,2026,45.5,energy audit,2026-02-01\nindustrial_water_reuse_pct,2025,99,report,2026-01-15\n";
    fs::write(zone.join("indicators.csv"), stated).unwrap();
    let data = january_of(&zone, folder.path());
    let park = report(&data, &["park"]);
    let of = |name: &str| park.iter().find(|row| row["indicator"] == name).unwrap();
    let heat = of("waste_heat_use_pct");
    assert_eq!(
        (number(heat, "value"), number(heat, "gap"), &heat["met"], &heat["factor_tier"]),
        (45.5, 4.5, &"no".into(), &"declared".into())
    );
    assert!(heat["note"].as_str().unwrap().contains("energy audit, recorded 2026-02-01"), "{heat:?}");
    assert!(of("industrial_water_reuse_pct")["value"].is_null(), "of another year");
}

#[test]
fn a_changed_entry_changes_and_a_removed_one_goes_at_the_next_start() {
    let folder = folder();
    let data = january(folder.path());
    let zone = folder.path().join("zone");
    let changed =
        ENTRIES.replace("SF6,0.1,kg", "SF6,0.2,kg").lines().filter(|line| !line.starts_with("WOOD")).collect::<Vec<_>>().join("\n");
    fs::write(zone.join("entries.csv"), changed).unwrap();
    let read = zone_folder::load(&zone).unwrap();
    drop(Engine::open(&data, read.zone, (read.factors, read.tariff), read.alert_rules, WALL).unwrap());
    let inventory = report(&data, &["inventory", "--year", "2026"]);
    assert!(close(sum(&inventory, ("tiny", 1, "location")), 2_112.999_525 + 4_700.0));
    assert!(inventory.iter().all(|row| row["method"] != "sink"));
}
