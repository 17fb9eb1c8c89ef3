//! A short trial: claims held against a year that was played twice.

use crate::harness::ledger::{Row, query, show};
use crate::harness::{folder, path, repository, run, text};

#[test]
fn a_trial_holds_its_claims_against_the_true_savings() {
    let folder = folder();
    let (zone, kept, loads) = (repository("config/zones/qingdao-hightech"), folder.path().join("kept"), folder.path().join("loads.csv"));
    let mut all = vec!["trial", "--zone", path(&zone), "--seed", "3", "--baseline", "4", "--months", "1", "--entities", "12"];
    all.extend(["--keep", path(&kept), "--loads", path(&loads), "--output", "json"]);
    let output = run(&all);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let summary: Vec<Row> = serde_json::from_slice(&output.stdout).unwrap();
    let number = |key: &str| summary[0][key].as_f64().unwrap_or_else(|| panic!("{key} of {summary:?}"));
    assert_eq!((&summary[0]["verified"], number("refused") as u32), (&true.into(), 0));
    // Twelve of the zone's entities, each with one load at least.
    assert!((12.0..40.0).contains(&number("loads")), "{summary:?}");
    // Some of what is judged was changed and saves, some was left alone; that is the fleet's doing, whatever the claims say.
    assert!(0.0 < number("zone_true_pct") && number("zone_true_pct") < 10.0, "{summary:?}");
    assert!(0.0 < number("placebos") && number("placebos") < number("loads"), "{summary:?}");
    // Four months are a provisional baseline with wide intervals, and a claim off by more than these is a broken one.
    assert!(number("zone_bias_pct").abs() < number("zone_half_width_pct") * 1.5, "{summary:?}");

    // The truth is what `show energy` says of the two ledgers.
    let metered = |run_name: &str| {
        let rows = show(&kept.join(run_name), &["energy", "--entity", "E-RESIDENTIAL-01", "--from", "2026-01-01"]);
        rows.iter().map(|row| row["quantity"].as_f64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(metered("measured"), metered("without-measures"), "nobody took a measure at these homes");
    assert!(std::fs::read_to_string(&loads).unwrap().lines().count() > 12);
    // A folder with a trial in it is not played over.
    assert_eq!(run(&all).status.code(), Some(2));
}

#[test]
fn a_regulated_trial_accounts_for_every_part_and_keeps_the_house_in_order() {
    let folder = folder();
    let (zone, kept) = (repository("config/zones/qingdao-hightech"), folder.path().join("kept"));
    let mut all = vec!["trial", "--zone", path(&zone), "--seed", "3", "--baseline", "4", "--months", "1", "--entities", "12"];
    all.extend(["--regulation", "on", "--keep", path(&kept), "--output", "json"]);
    let output = run(&all);
    // One month of winter is no year: the promise may be missed, and then says so.
    let said = text(&output.stderr);
    assert!(output.status.success() || (output.status.code() == Some(3) && said.contains("the promise is missed")), "{said}");
    let rows: Vec<Row> = serde_json::from_slice(&output.stdout).unwrap();
    let find = |figure: &str| rows.iter().find(|row| row["figure"] == figure).unwrap_or_else(|| panic!("{figure} of {rows:?}"));
    let number = |figure: &str, key: &str| find(figure)[key].as_f64().unwrap_or_else(|| panic!("{key} of {figure}: {rows:?}"));

    // The parts add up to what crossed the border less.
    let parts: f64 =
        rows.iter().filter(|row| row["figure"].as_str().unwrap().starts_with("part_")).map(|row| row["saved"].as_f64().unwrap()).sum();
    let saved = number("energy_calorific", "saved");
    assert!(saved > 0.0 && (parts - saved).abs() < 1e-6 * number("energy_calorific", "without"), "{parts} and {saved}");
    for part in ["part_set_points", "part_ventilation", "part_indoor_lighting", "part_compressed_air", "part_fuel_switch"] {
        assert!(number(part, "saved") > 0.0, "{part}: {rows:?}");
    }
    assert!(number("own_photovoltaics", "saved") > 0.0);
    // Of sums of quarters the last digits are left.
    assert!(number("goods_lost_at_most", "saved").abs() < 1e-9);
    assert!(number("commands_sent", "saved") > 1000.0 && number("commands_refused", "saved") == 0.0, "{rows:?}");
    // The zone's figures are those of the ledgers.
    let zone_kwh = |run_name: &str| {
        let rows = show(&kept.join(run_name), &["energy", "--entity", "qingdao-hightech", "--from", "2026-01-01"]);
        rows.iter().filter(|row| row["carrier"] == "electricity").map(|row| row["quantity"].as_f64().unwrap()).sum::<f64>()
    };
    let shown = zone_kwh("without-measures") - zone_kwh("measured");
    assert!((shown - number("electricity", "saved")).abs() < 1.0, "{shown}");
    assert_eq!(run(&["audit", "verify", "--data", path(&kept.join("measured"))]).status.code(), Some(0));
    // Whatever buses were told to give and take at night, they left each morning as they have to; what that lost is metered.
    let lost = |run_name: &str| -> f64 {
        let rows = show(&kept.join(run_name), &["energy", "--entity", "E-V2G-01", "--from", "2026-01-01"]);
        rows.iter().map(|row| row["quantity"].as_f64().unwrap()).sum()
    };
    assert!(0.0 <= lost("measured") && lost("without-measures") == 0.0, "{} kWh", lost("measured"));
    let states = "SELECT (w.ts / 3600000 + 8) % 24 AS hour, MIN(w.value) AS pct FROM weather_row w JOIN channel_row c ON c.id = w.channel \
                  WHERE c.item = 'state_of_charge_pct' AND c.meter = 'HT-E-9181' GROUP BY hour";
    let states = query(&kept.join("measured"), states);
    let pct = |wanted: fn(i64) -> bool| {
        let of_hours = states.iter().filter(|row| wanted(row["hour"].as_i64().unwrap()));
        of_hours.map(|row| row["pct"].as_f64().unwrap()).fold(f64::INFINITY, f64::min)
    };
    assert!((40.0..=80.01).contains(&pct(|hour| hour < 6)) && 79.99 < pct(|hour| (6..20).contains(&hour)), "{states:?}");
}
