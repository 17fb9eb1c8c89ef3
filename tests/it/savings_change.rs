//! Why a load changed: weather, activity and efficiency of an office whose parts are known.

use std::path::Path;

use crate::harness::ledger::Row;
use crate::harness::office::{Office, in_order, open, play, unsaved_wh, used_wh, write_zone};
use crate::harness::{folder, path, run, text};

const YEAR: i64 = 365 * 24;
const REPORTED: i64 = 40 * 24;

fn json(data: &Path, arguments: &[&str]) -> Vec<Row> {
    let mut all = arguments.to_vec();
    all.extend(["--data", path(data), "--output", "json"]);
    let output = run(&all);
    assert!(output.status.success(), "{all:?}: {}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_change_is_told_apart_into_weather_activity_and_efficiency_and_adds_up() {
    let folder = folder();
    let (zone, data) = (write_zone(folder.path()), folder.path().join("data"));
    // From the second year on a tenth is saved.
    let office = Office::new(YEAR + REPORTED, |hour| if hour < YEAR { unsaved_wh(hour) } else { unsaved_wh(hour) * 9 / 10 });
    let mut engine = open(&zone, &data);
    play(&mut engine, &in_order(&office, -1..YEAR + REPORTED));
    drop(engine);
    json(&data, &["savings", "fit", "--to", "2026-01-01"]);

    let rows = json(&data, &["savings", "change", "--entity", "E-OFFICE"]);
    let line = |name: &str, key: &str| rows.iter().find(|row| row["line"] == name).unwrap()[key].as_f64().unwrap();
    let kwh = |wh: &dyn Fn(i64) -> i64| (YEAR..YEAR + REPORTED).map(wh).sum::<i64>() as f64 / 1000.0;
    assert!((line("before", "kwh") - kwh(&|hour| unsaved_wh(hour - YEAR))).abs() < 1e-6, "{rows:?}");
    assert!((line("after", "kwh") - kwh(&|hour| unsaved_wh(hour) * 9 / 10)).abs() < 1e-6, "{rows:?}");
    // What the office was built of: another January's weather, other days and tonnes, and a tenth less. A model of the year before knows them to within 2 % of the use.
    let near = 0.02 * line("before", "kwh");
    let truths = [
        ("weather", kwh(&|hour| used_wh(hour - YEAR, hour) - used_wh(hour - YEAR, hour - YEAR))),
        ("activity", kwh(&|hour| used_wh(hour, hour) - used_wh(hour - YEAR, hour))),
        ("efficiency", kwh(&|hour| unsaved_wh(hour) * 9 / 10 - unsaved_wh(hour))),
        ("adjusted", 0.0),
        ("baseline_residual", 0.0),
    ];
    for (name, truth) in truths {
        assert!((line(name, "kwh") - truth).abs() < near, "{name}: {} is not {truth} ± {near}", line(name, "kwh"));
    }
    assert!(5.0 * near < -line("efficiency", "kwh") * 1.1, "a tenth is far more than the tolerance");
    for key in ["kwh", "kg_co2e"] {
        let effects: f64 = rows
            .iter()
            .filter(|row| !["before", "after"].contains(&row["line"].as_str().unwrap()))
            .map(|row| row[key].as_f64().unwrap())
            .sum();
        assert!((line("before", key) + effects - line("after", key)).abs() < 1e-6, "{key}: {rows:?}");
    }
    // Shandong 2023, 0.6191 kg/kWh, stands in for both years, and nothing is made on the roof.
    assert!((line("after", "kg_co2e") / line("after", "kwh") - 0.6191).abs() < 1e-9);
    assert!(line("factor", "kg_co2e").abs() < 1e-6 && line("own_supply", "kg_co2e").abs() < 1e-6, "{rows:?}");

    // Efficiency is the saving that `savings show` claims.
    let shown = json(&data, &["savings", "show", "--entity", "E-OFFICE"]);
    assert!((line("efficiency", "kwh") + shown[0]["saved_kwh"].as_f64().unwrap()).abs() < 1e-6);
    // January and the days of February add up to the whole, line by line.
    let months = json(&data, &["savings", "change", "--entity", "E-OFFICE", "--by", "month"]);
    assert_eq!(months.len(), 2 * rows.len());
    for row in &rows {
        let parts: f64 = months.iter().filter(|part| part["line"] == row["line"]).map(|part| part["kwh"].as_f64().unwrap()).sum();
        assert!((parts - row["kwh"].as_f64().unwrap()).abs() < 1e-6, "{row:?}");
    }
    assert_eq!((&months[0]["to"], &months[rows.len()]["from"]), (&"2026-02-01T00:00:00+08:00".into(), &"2026-02-01T00:00:00+08:00".into()));
    // An adjustment moves its energy from efficiency to a line of its own.
    let said =
        ["savings", "adjust", "--entity", "E-OFFICE", "--from", "2026-01-06", "--to", "2026-01-07", "--kw", "35", "--reason", "a fair"];
    json(&data, &said);
    let after = json(&data, &["savings", "change", "--entity", "E-OFFICE"]);
    let moved = after.iter().find(|row| row["line"] == "efficiency").unwrap()["kwh"].as_f64().unwrap();
    assert!((moved - (line("efficiency", "kwh") - 35.0 * 24.0)).abs() < 1e-6, "{moved}");
}
