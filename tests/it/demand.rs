//! Demand, and what a month's bill adds to its bands, against figures worked out by hand.

use crate::harness::ledger::{Row, show};
use crate::harness::plant::{Plant, WALL};
use crate::harness::zone::telemetry;
use crate::harness::{path, run, text};

const KWH: &str = "active_energy_import_kwh";

/// M-1 of E-1 and M-2 of E-2; on 2026-02-02 both were read by the hour.
fn plant() -> Plant {
    let meters = [
        "M-1 E-1 - entry yes electricity active_energy_import_kwh import kwh 0.01 4000",
        "M-2 E-2 - entry yes electricity active_energy_import_kwh import kwh 0.01 4000",
    ];
    let mut plant = Plant::new("tariff = \"cn-sd-industry\"\n", &["E-1", "E-2"], &meters);
    let mut engine = plant.open();
    // Power factors: 50 and 80 kWh at 0.8, 100 kWh at 1.0.
    for (time, kwh, factor) in [("08:00", 0, 1.0), ("08:15", 50, 0.8), ("08:30", 130, 0.8), ("09:30", 230, 1.0)] {
        let reading = format!(
            r#"{{"meter":"M-1","at":"2026-01-05T{time}:00+08:00","seq":1,"values":{{"{KWH}":{kwh},"active_power_kw":1.0,"power_factor":{factor}}}}}"#
        );
        engine.apply(&telemetry("GW-1"), reading.as_bytes(), WALL).unwrap();
    }
    let readings = [
        ("M-2", KWH, "2026-01-05T08:00:00+08:00", 0.0),
        ("M-2", KWH, "2026-01-05T08:15:00+08:00", 60.0),
        ("M-2", KWH, "2026-01-05T08:30:00+08:00", 70.0),
        ("M-1", KWH, "2026-02-02T08:00:00+08:00", 230.0),
        ("M-1", KWH, "2026-02-02T09:00:00+08:00", 320.0),
    ];
    plant.read(&mut engine, &readings);
    plant
}

fn number(row: &Row, column: &str) -> f64 {
    row[column].as_f64().unwrap_or_else(|| panic!("{column} of {row:?}"))
}

fn near(seen: f64, wanted: f64) {
    assert!((seen - wanted).abs() < 1e-9 * wanted.abs(), "{seen}, by hand {wanted}");
}

/// M-1: 50 kWh, then 80 kWh, in a quarter of an hour; then 100 in an hour. M-2: 60, then 10. Together 110, then 90.
#[test]
fn demand_is_the_months_highest_quarter_and_says_where_only_hours_were_read() {
    let plant = plant();
    let rows = show(&plant.data(), &["demand"]);
    let of = |entity: &str, meter: Option<&str>, month: &str| {
        let found = rows
            .iter()
            .find(|row| row["entity"] == entity && row["meter"].as_str() == meter && row["from"].as_str().unwrap().starts_with(month));
        let row = found.unwrap_or_else(|| panic!("{entity} {meter:?} {month}: {rows:?}"));
        (number(row, "demand_kw"), row["at"].as_str().unwrap()[..16].to_owned(), row["minutes"].as_i64().unwrap())
    };
    assert_eq!(of("E-1", None, "2026-01"), (320.0, "2026-01-05T08:15".to_owned(), 15));
    assert_eq!(of("E-1", Some("M-1"), "2026-01"), (320.0, "2026-01-05T08:15".to_owned(), 15));
    assert_eq!(of("E-2", None, "2026-01"), (240.0, "2026-01-05T08:00".to_owned(), 15));
    assert_eq!(of("tiny", None, "2026-01"), (440.0, "2026-01-05T08:00".to_owned(), 15), "not 320 + 240");
    assert_eq!(of("E-1", None, "2026-02"), (90.0, "2026-02-02T08:00".to_owned(), 60), "history by the hour");
    let later = show(&plant.data(), &["demand", "--entity", "E-1", "--from", "2026-01-05T08:30", "--to", "2026-01-06"]);
    assert_eq!((later.len(), number(&later[0], "demand_kw")), (2, 100.0));
}

/// Energy: 180 kWh from 8 to 9, peak, at 0.865999, and 50 kWh flat at 0.589569; funds 0.027169 of each; 320 kW at 38.4.
/// Power factor: 230 active, 130 × 0.75 reactive: 230 / 249.81 = 0.92, which earns 0.30 % (Shui Dian Cai Zi [1983] No. 215).
#[test]
fn a_months_bill_has_demand_and_power_factor_as_lines_of_their_own() {
    let plant = plant();
    let january = ["--entity", "E-1", "--from", "2026-01-01", "--to", "2026-02-01"];
    let rows = show(&plant.data(), &[&["cost", "--by", "month"][..], &january].concat());
    let band = |name: &str| rows.iter().find(|row| row["band"] == name).unwrap_or_else(|| panic!("{name}: {rows:?}"));
    near(number(band("peak"), "cny"), 155.879_82);
    near(number(band("flat"), "cny"), 29.478_45);
    let demand = band("demand_charge");
    near(number(demand, "cny"), 12_288.0);
    assert_eq!((number(demand, "quantity"), &demand["unit"], number(demand, "measured_share")), (320.0, &"kW".into(), 1.0));
    let factor = band("power_factor_adjustment");
    assert_eq!((number(factor, "quantity"), &factor["unit"]), (0.92, &"cos_phi".into()));
    // 155.87982 + 29.47845 − 230 × 0.027169 + 12,288 = 12,467.1094.
    near(number(factor, "cny"), -37.401_328_2);
    // The gap up to February has intervals of nothing in the other bands.
    assert_eq!(rows.iter().filter(|row| number(row, "cny") != 0.0).count(), 4);
    // No other question has a part of them.
    for by in ["total", "year", "day", "hour"] {
        let rows = show(&plant.data(), &[&["cost", "--by", by][..], &january].concat());
        near(rows.iter().map(|row| number(row, "cny")).sum(), 185.358_27);
    }
    let known = show(&plant.data(), &[&["cost", "--by", "month", "--as-known-on", "2026-10-01"][..], &january].concat());
    assert!(known.iter().any(|row| row["band"] == "demand_charge"), "{known:?}");
    assert!(known.iter().all(|row| row["band"] != "power_factor_adjustment"), "{known:?}");
}

#[test]
fn an_option_without_meaning_for_a_subject_is_refused() {
    let plant = plant();
    for (arguments, code) in [
        (&["show", "meters", "--from", "2026-01-01"][..], 2),
        (&["show", "refusals", "--entity", "E-1"], 2),
        (&["show", "alerts", "--by", "day"], 2),
        (&["show", "quality", "--as-known-on", "2026-01-01"], 2),
        (&["show", "demand", "--by", "day"], 2),
        (&["show", "meters", "--entity", "E-1"], 0),
        (&["show", "refusals"], 0),
    ] {
        let output = run(&[arguments, &["--data", path(&plant.data())]].concat());
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", text(&output.stderr));
    }
}

/// A works whose meter M feeds 300 kWh in an hour, of which a line below it takes 120, and then 100 of which the line takes none. What the supplier bills is M:
/// 300 of the first and 100 of the second hour, and the demand of M, 300 kW. The books have 180 and 100 for the works and 120 for the line.
#[test]
fn a_sites_bill_is_of_its_entry_meter_and_the_books_are_of_its_parts() {
    let meters = [
        "M E-1 - entry yes electricity active_energy_import_kwh import kwh 0.01 4000",
        "L E-1-L M unit yes electricity active_energy_import_kwh import kwh 0.01 4000",
        "T E-2 M unit yes electricity active_energy_import_kwh import kwh 0.01 4000",
    ];
    let mut plant = Plant::new("tariff = \"cn-sd-industry\"\n", &["E-1", "E-1-L:production_line:E-1", "E-2"], &meters);
    let mut engine = plant.open();
    for (meter, registers) in [("M", [0.0, 300.0, 400.0]), ("L", [0.0, 120.0, 120.0]), ("T", [0.0, 0.0, 0.0])] {
        let times = ["2026-01-05T08:00:00+08:00", "2026-01-05T09:00:00+08:00", "2026-01-05T10:00:00+08:00"];
        plant.read(&mut engine, &times.into_iter().zip(registers).map(|(at, kwh)| (meter, KWH, at, kwh)).collect::<Vec<_>>());
    }
    drop(engine);
    let bill = |entity: &str, extent: &[&str]| show(&plant.data(), &[&["cost", "--by", "month", "--entity", entity][..], extent].concat());
    let sum = |rows: &[Row], unit: &str| -> f64 { rows.iter().filter(|row| row["unit"] == unit).map(|row| number(row, "quantity")).sum() };
    for (entity, extent, kwh, kw) in [
        ("E-1", &[][..], 280.0, 180.0),
        ("E-1-L", &[], 120.0, 120.0),
        ("E-1", &["--site"], 400.0, 300.0),
        ("E-1-L", &["--site"], 400.0, 300.0),
    ] {
        let rows = bill(entity, extent);
        near(sum(&rows, "kWh"), kwh);
        near(sum(&rows, "kW"), kw);
        let (of, named) = if extent.is_empty() { ("entity", entity) } else { ("site", "E-1") };
        assert!(rows.iter().all(|row| row["extent"] == of && row["entity"] == named), "{rows:?}");
    }
    // 300 kWh of 8 to 9 at the peak price and 100 at the flat one, and 300 kW at 38.4.
    near(bill("E-1", &["--site"]).iter().map(|row| number(row, "cny")).sum(), 300.0 * 0.865_999 + 100.0 * 0.589_569 + 300.0 * 38.4);
}
