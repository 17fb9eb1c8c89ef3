//! Savings of water: in cubic metres, beside those of energy and never among their kilowatt-hours.

use std::path::{Path, PathBuf};

use crate::harness::ledger::{Row, count, query, rows};
use crate::harness::office::{Office, add_water_meter, in_order_with_water, open, play, unsaved_litres, unsaved_wh, write_zone_with};
use crate::harness::{folder, path, run, text};

const YEAR: i64 = 365 * 24;
const REPORTED: i64 = 40 * 24;

/// A year without, and forty days with measures: a tenth less electricity, and 600 litres instead of 900 in each open hour. Baselines are fitted.
fn fitted(folder: &Path) -> PathBuf {
    let (zone, data) = (write_zone_with(folder, "tariff = \"cn-sd-industry\"\n"), folder.join("data"));
    add_water_meter(&zone);
    let office = Office::new(YEAR + REPORTED, |hour| if hour < YEAR { unsaved_wh(hour) } else { unsaved_wh(hour) * 9 / 10 });
    let water = Office::new(YEAR + REPORTED, |hour| if hour < YEAR { unsaved_litres(hour) } else { unsaved_litres(hour).min(600) });
    let mut engine = open(&zone, &data);
    play(&mut engine, &in_order_with_water(&office, &water, -1..YEAR + REPORTED));
    drop(engine);
    let fitted = rows(&["savings", "fit", "--to", "2026-01-01"], &data);
    let seen: Vec<_> = fitted.iter().map(|row| (row["carrier"].as_str().unwrap(), row["status"].as_str().unwrap())).collect();
    assert_eq!(seen, [("electricity", "fitted"), ("water", "fitted")], "{fitted:?}");
    data
}

fn number(row: &Row, key: &str) -> f64 {
    row[key].as_f64().unwrap_or_else(|| panic!("{key} of {row:?}"))
}

const OF_KWH: [&str; 6] = ["baseline_kwh", "metered_kwh", "saved_kwh", "low_kwh", "high_kwh", "unpriced_kwh"];
const OF_M3: [&str; 6] = ["baseline_m3", "metered_m3", "saved_m3", "low_m3", "high_m3", "unpriced_m3"];

#[test]
fn water_is_saved_in_cubic_metres_coal_and_money_and_in_no_kilowatt_hour() {
    let folder = folder();
    let data = fitted(folder.path());
    let shown = rows(&["savings", "show", "--entity", "E-OFFICE"], &data);
    let [electricity, water] = ["electricity", "water"].map(|carrier| shown.iter().find(|row| row["carrier"] == carrier).unwrap());
    // From Thursday 1 January 2026 on 40 days have 28 workdays of 10 open hours: 280 × 0.9 + 680 × 0.12 = 333.6 m³ without measures; with them 280 × 0.3 less.
    assert!((number(water, "metered_m3") - 249.6).abs() < 1e-6, "{water:?}");
    assert!((number(water, "baseline_m3") - 333.6).abs() < 1.0, "{water:?}");
    assert!((number(water, "saved_m3") - 84.0).abs() < 1.0, "{water:?}");
    assert!(0.0 < number(water, "low_m3") && number(water, "low_m3") < 84.0 && 84.0 < number(water, "high_m3"), "{water:?}");
    assert!((number(water, "saved_pct") - 25.18).abs() < 0.3, "{water:?}");
    // 0.2571 kgce per tonne of fresh water (GB/T 2589-2020), 5.25 CNY per m³; no carbon of its own.
    for (key, per_m3) in [("saved_tce_calorific", 0.000_257_1), ("saved_tce_primary", 0.000_257_1), ("saved_cny", 5.25)] {
        assert!((number(water, key) / number(water, "saved_m3") - per_m3).abs() < 1e-9, "{key}: {water:?}");
    }
    // Each kilowatt-hour's interval at the price of its hours, of which no two bands are alike; water has one price.
    let half_width = |row: &Row, unit: &str| (number(row, &format!("high_{unit}")) - number(row, &format!("low_{unit}"))) / 2.0;
    assert!((half_width(water, "cny") / half_width(water, "m3") - 5.25).abs() < 1e-9 && water["low_kg_co2e"].is_null(), "{water:?}");
    let cny_per_kwh = half_width(electricity, "cny") / half_width(electricity, "kwh");
    assert!((0.234_159..0.984_469).contains(&cny_per_kwh), "{cny_per_kwh}");
    assert!(number(water, "unpriced_m3").abs() < 1e-9 && water["saved_kg_co2e"].is_null(), "{water:?}");
    assert!(OF_KWH.iter().all(|key| water[*key].is_null()) && OF_M3.iter().all(|key| electricity[*key].is_null()), "{shown:?}");

    // The zone's row of all carriers adds up coal and money, and keeps the two units apart.
    let zone = rows(&["savings", "show"], &data);
    let all = zone.iter().find(|row| row["carrier"] == "all").unwrap();
    for key in OF_KWH {
        assert_eq!(all[key], electricity[key], "{key}");
    }
    for key in OF_M3 {
        assert_eq!(all[key], water[key], "{key}");
    }
    assert_eq!((&all["saved_pct"], &all["saved_kg_co2e"]), (&electricity["saved_pct"], &electricity["saved_kg_co2e"]));
    for key in ["saved_tce_calorific", "saved_cny"] {
        assert!((number(all, key) - number(electricity, key) - number(water, key)).abs() < 1e-9, "{key}: {all:?}");
    }

    // The view says the same hour by hour.
    let view = query(
        &data,
        "SELECT carrier, COUNT(*) AS hours, SUM(saved_kwh) AS kwh, SUM(saved_m3) AS m3, SUM(saved_cny) AS cny, \
                             SUM(saved_kg_co2e) AS kg, COUNT(low_kwh) AS of_kwh, COUNT(low_m3) AS of_m3 FROM saving GROUP BY carrier ORDER BY carrier",
    );
    assert_eq!((view.len(), number(&view[1], "hours"), number(&view[1], "of_m3")), (2, REPORTED as f64, REPORTED as f64), "{view:?}");
    assert!(
        (number(&view[1], "m3") - number(water, "saved_m3")).abs() < 1e-6
            && (number(&view[1], "cny") - number(water, "saved_cny")).abs() < 1e-6
    );
    assert!(view[1]["kwh"].is_null() && view[1]["kg"].is_null() && number(&view[1], "of_kwh").abs() < 1e-9, "{view:?}");
    assert!((number(&view[0], "kwh") - number(electricity, "saved_kwh")).abs() < 1e-6 && view[0]["m3"].is_null(), "{view:?}");
    // And so do files, in which a column that has numbers must not pass for a text.
    for format in ["csv", "parquet"].into_iter().filter(|format| *format == "csv" || cfg!(feature = "parquet")) {
        let dir = folder.path().join(format);
        let output = run(&["export", "--data", path(&data), "--format", format, "--dir", path(&dir), "--measurement", "saving"]);
        assert!(output.status.success(), "{format}: {}", text(&output.stderr));
    }
}

#[test]
fn water_is_adjusted_in_cubic_metres_and_excluded_like_all_else() {
    let folder = folder();
    let data = fitted(folder.path());
    let water = || rows(&["savings", "show", "--entity", "E-OFFICE", "--carrier", "water"], &data).remove(0);
    let before = water();
    let said = |command: &str, more: &[&str]| {
        let mut all = vec![
            "savings",
            command,
            "--data",
            path(&data),
            "--entity",
            "E-OFFICE",
            "--from",
            "2026-01-06",
            "--to",
            "2026-01-07",
            "--reason",
            "a fair",
        ];
        all.extend(more);
        run(&all).status.code()
    };
    for wrong in
        [&["--carrier", "water", "--kw", "1"][..], &["--carrier", "electricity", "--m3-per-h", "1"], &["--kw", "1", "--m3-per-h", "1"], &[]]
    {
        assert_eq!(said("adjust", wrong), Some(2), "{wrong:?}");
    }
    assert_eq!(said("adjust", &["--m3-per-h", "0.5"]), Some(0));
    assert!((number(&water(), "baseline_m3") - number(&before, "baseline_m3") - 12.0).abs() < 1e-6, "24 hours of half a cubic metre");
    // Power is that of the only load in kWh.
    assert_eq!(said("adjust", &["--kw", "35"]), Some(0));
    assert!((number(&water(), "baseline_m3") - number(&before, "baseline_m3") - 12.0).abs() < 1e-6);
    assert_eq!(said("exclude", &["--carrier", "water"]), Some(0));
    assert_eq!((number(&water(), "hours"), number(&water(), "hours_left_out")), (REPORTED as f64 - 24.0, 24.0));
    assert_eq!(count(&data, "SELECT COUNT(*) FROM saving WHERE carrier = 'water'"), REPORTED - 24);

    // A change is told in m³, too, and adds up.
    let changed = rows(&["savings", "change"], &data);
    let of = |entity: &str| -> Vec<&Row> { changed.iter().filter(|row| row["entity"] == entity && row["carrier"] == "water").collect() };
    let line = |rows: &[&Row], name: &str| number(rows.iter().find(|row| row["line"] == name).unwrap(), "m3");
    for rows in [of("E-OFFICE"), of("tiny")] {
        let parts: f64 = rows.iter().filter(|row| row["line"] != "after").map(|row| number(row, "m3")).sum();
        assert!((parts - line(&rows, "after")).abs() < 1e-6, "{rows:?}");
        assert!((line(&rows, "efficiency") + number(&water(), "saved_m3")).abs() < 1e-6, "{rows:?}");
        assert!(rows.iter().all(|row| row["kwh"].is_null() && row["kg_co2e"].is_null()), "{rows:?}");
    }
    assert!(changed.iter().filter(|row| row["carrier"] == "all").all(|row| row["m3"].is_null()), "{changed:?}");
}
