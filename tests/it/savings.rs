//! Savings of a ledger: baselines fitted from the store, kept, and held against what comes after them.

use std::path::Path;

use nengtan::store::{self, request::Asker};

use crate::harness::collector::Collector;
use crate::harness::ledger::{Row, count, query, rows};
use crate::harness::mosquitto::Mosquitto;
use crate::harness::office::{Meter, Office, in_order, open, play, unsaved_wh, write_zone, write_zone_with};
use crate::harness::{SOON, folder, path, run, text, until};

const YEAR: i64 = 365 * 24;
const REPORTED_DAYS: usize = 40;
const REPORTED_HOURS: usize = REPORTED_DAYS * 24;
const REPORTED: i64 = 40 * 24;

fn savings(data: &Path, arguments: &[&str]) -> Vec<Row> {
    let mut all = vec!["savings"];
    all.extend(arguments);
    all.extend(["--data", path(data), "--output", "json"]);
    let output = run(&all);
    assert!(output.status.success(), "{all:?}: {}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn number(row: &Row, key: &str) -> f64 {
    row[key].as_f64().unwrap_or_else(|| panic!("{key} of {row:?}"))
}

/// A year without and some weeks with a measure that saves a tenth.
fn office() -> Office {
    Office::new(YEAR + REPORTED, |hour| if hour < YEAR { unsaved_wh(hour) } else { unsaved_wh(hour) * 9 / 10 })
}

#[test]
fn a_tenth_saved_is_claimed_from_the_ledger_and_the_baseline_is_frozen() {
    let folder = folder();
    let (zone, data) = (write_zone(folder.path()), folder.path().join("data"));
    let mut engine = open(&zone, &data);
    play(&mut engine, &in_order(&office(), -1..YEAR + REPORTED));
    drop(engine);

    let fitted = savings(&data, &["fit", "--to", "2026-01-01"]);
    assert_eq!((fitted.len(), &fitted[0]["status"], &fitted[0]["provisional"]), (1, &"fitted".into(), &false.into()), "{fitted:?}");
    assert_eq!((&fitted[0]["hours_used"], &fitted[0]["from"]), (&YEAR.into(), &"2025-01-01T00:00:00+08:00".into()));

    let shown = savings(&data, &["show", "--entity", "办公楼"]);
    let expected_kwh = (YEAR..YEAR + REPORTED).map(unsaved_wh).sum::<i64>() as f64 / 1000.0;
    let metered_kwh = (YEAR..YEAR + REPORTED).map(|hour| unsaved_wh(hour) * 9 / 10).sum::<i64>() as f64 / 1000.0;
    let total = &shown[0];
    assert!((number(total, "metered_kwh") - metered_kwh).abs() < 1e-6, "{total:?}");
    let truth_kwh = expected_kwh - metered_kwh;
    assert!(number(total, "low_kwh") < truth_kwh && truth_kwh < number(total, "high_kwh"), "{truth_kwh} in {total:?}");
    assert!((number(total, "saved_kwh") / truth_kwh - 1.0).abs() < 0.1 && 0.0 < number(total, "low_kwh"), "{truth_kwh} is {total:?}");
    assert_eq!((number(total, "hours"), number(total, "hours_left_out")), (REPORTED as f64, 0.0));
    // Shandong 2023, 0.6191 kg/kWh, stands in for 2025; 0.1229 kgce/kWh by heat content.
    assert!((number(total, "saved_kg_co2e") / number(total, "saved_kwh") - 0.6191).abs() < 1e-9);
    let half_width = |unit: &str| number(total, &format!("high_{unit}")) - number(total, &format!("saved_{unit}"));
    assert!((half_width("kg_co2e") / half_width("kwh") - 0.6191).abs() < 1e-9 && total["low_cny"].is_null(), "{total:?}");
    assert!((number(total, "saved_tce_calorific") * 1000.0 / number(total, "saved_kwh") - 0.1229).abs() < 1e-9);

    let office = rows(&["rank", "--by", "avoidable"], &data).into_iter().find(|row| row["entity"] == "E-OFFICE").unwrap();
    let excess_pct = 100.0 * (metered_kwh - number(total, "baseline_kwh")) / number(total, "baseline_kwh");
    assert!((number(&office, "excess_over_baseline_pct") - excess_pct).abs() < 1e-6, "{excess_pct}: {office:?}");
    let told = format!("{:.1} % below its baseline", -excess_pct);
    assert!(office["reason"].as_str().unwrap().contains(&told) && number(&office, "avoidable_t_co2e") == 0.0, "{office:?}");

    let again = savings(&data, &["fit"]);
    assert_eq!(again[0]["status"], "kept");
    assert_eq!(run(&["savings", "fit", "--data", path(&data), "--replace", " "]).status.code(), Some(2));
    savings(&data, &["fit", "--replace", "the office was rebuilt", "--to", "2026-01-01"]);
    let kept = query(&data, "SELECT end_reason FROM baseline ORDER BY id");
    assert_eq!(
        kept.iter().map(|row| row["end_reason"].clone()).collect::<Vec<_>>(),
        ["the office was rebuilt".into(), serde_json::Value::Null]
    );
}

#[test]
fn hours_days_and_months_add_up_and_the_view_says_the_same() {
    let folder = folder();
    let (zone, data) = (write_zone(folder.path()), folder.path().join("data"));
    let office = office();
    let mut engine = open(&zone, &data);
    play(&mut engine, &in_order(&office, -1..YEAR));
    drop(engine);
    savings(&data, &["fit"]);
    let mut engine = open(&zone, &data);
    play(&mut engine, &in_order(&office, YEAR..YEAR + REPORTED));
    drop(engine);

    let total = &savings(&data, &["show", "--entity", "E-OFFICE"])[0];
    for (by, rows) in [("hour", REPORTED_HOURS), ("day", REPORTED_DAYS), ("month", 2)] {
        let parts = savings(&data, &["show", "--entity", "E-OFFICE", "--by", by]);
        let saved_kwh: f64 = parts.iter().map(|row| number(row, "saved_kwh")).sum();
        assert_eq!(parts.len(), rows, "{by}");
        assert!((saved_kwh - number(total, "saved_kwh")).abs() < 1e-6, "{by}");
    }
    // The engine made its predictions hour by hour; the command makes them from nothing.
    let hours = savings(&data, &["show", "--entity", "E-OFFICE", "--by", "hour"]);
    let view = query(&data, "SELECT * FROM saving ORDER BY ts");
    assert_eq!(view.len(), hours.len());
    for (shown, viewed) in hours.iter().zip(&view) {
        for key in ["baseline_kwh", "metered_kwh", "saved_kwh", "low_kwh", "high_kwh", "saved_kg_co2e"] {
            assert!((number(shown, key) - number(viewed, key)).abs() < 1e-9, "{key}: {shown:?}, {viewed:?}");
        }
    }
}

#[test]
fn a_saving_is_worth_the_prices_of_its_hours_and_without_a_price_nothing_is_said() {
    for (settings, priced) in [("tariff = \"cn-sd-industry\"\n", true), ("", false)] {
        let folder = folder();
        let (zone, data) = (write_zone_with(folder.path(), settings), folder.path().join("data"));
        let mut engine = open(&zone, &data);
        play(&mut engine, &in_order(&office(), -1..YEAR + 5 * 24));
        drop(engine);
        savings(&data, &["fit", "--to", "2026-01-01"]);
        let total = &savings(&data, &["show"])[0];
        let view = query(&data, "SELECT ts_local, saved_kwh, saved_cny FROM saving ORDER BY ts");
        if !priced {
            assert!(total["saved_cny"].is_null() && view.iter().all(|row| row["saved_cny"].is_null()), "{total:?}");
            assert!((number(total, "unpriced_kwh") - number(total, "saved_kwh")).abs() < 1e-6, "{total:?}");
            continue;
        }
        // Shandong's January: 0.3949 CNY/kWh times the band's multiplier (flat 1, deep valley 0.1, sharp 2), plus 0.1675 and 0.02716875.
        for (hour, cny_per_kwh) in [("09", 0.589_569), ("12", 0.234_159), ("17", 0.984_469)] {
            let at = format!("2026-01-03T{hour}:00:00");
            let row = view.iter().find(|row| row["ts_local"] == at.as_str()).unwrap();
            assert!((number(row, "saved_cny") / number(row, "saved_kwh") - cny_per_kwh).abs() < 1e-9, "{row:?}");
        }
        let sum: f64 = view.iter().map(|row| number(row, "saved_cny")).sum();
        assert!((number(total, "saved_cny") - sum).abs() < 1e-6 && number(total, "unpriced_kwh").abs() < 1e-9, "{sum}: {total:?}");
    }
}

#[test]
fn late_and_corrected_readings_restate_savings_as_if_they_had_been_in_time() {
    let office = office();
    let reported = YEAR..YEAR + REPORTED;
    let in_time = in_order(&office, reported.clone());
    // Two days of weather come a week late, half a day of production and of the load three days late.
    let late = |meter: Meter, hours: std::ops::Range<i64>| hours.map(|hour| office.reading(meter, YEAR + hour)).collect::<Vec<_>>();
    let (weather, counter, load) = (late(Meter::Weather, 100..148), late(Meter::Counter, 300..312), late(Meter::Load, 500..512));
    let held: Vec<&String> = weather.iter().chain(&counter).chain(&load).collect();
    let mut delayed: Vec<String> = Vec::new();
    for (hour, readings) in in_time.chunks(3).enumerate() {
        delayed.extend(readings.iter().filter(|reading| !held.contains(reading)).cloned());
        match hour {
            316 => delayed.extend(weather.iter().rev().cloned()),
            384 => delayed.extend(counter.clone()),
            584 => delayed.extend(load.iter().rev().cloned()),
            _ => {}
        }
    }
    assert_eq!(delayed.len(), in_time.len());
    let views = [in_time, delayed].map(|readings| {
        let folder = folder();
        let (zone, data) = (write_zone(folder.path()), folder.path().join("data"));
        let mut engine = open(&zone, &data);
        play(&mut engine, &in_order(&office, -1..YEAR));
        drop(engine);
        savings(&data, &["fit"]);
        let mut engine = open(&zone, &data);
        play(&mut engine, &readings);
        drop(engine);
        query(&data, "SELECT * FROM saving ORDER BY ts")
    });
    assert_eq!(views[0].len(), REPORTED_HOURS);
    assert_eq!(views[0].len(), views[1].len());
    for (left, right) in views[0].iter().zip(&views[1]) {
        assert_eq!(left, right);
    }
}

#[test]
fn a_young_ledger_is_told_when_it_can_have_a_baseline() {
    let folder = folder();
    let (zone, data) = (write_zone(folder.path()), folder.path().join("data"));
    let mut engine = open(&zone, &data);
    play(&mut engine, &in_order(&office(), -1..60 * 24));
    drop(engine);
    let fitted = savings(&data, &["fit"]);
    let reason = fitted[0]["reason"].as_str().unwrap();
    assert_eq!(fitted[0]["status"], "refused");
    assert!(reason.contains("baseline building, possible from 2025-04-08 on"), "{reason}");
    let shown = savings(&data, &["show"]);
    assert!(shown[0]["status"].as_str().unwrap().contains("until 2025-04-08"), "{shown:?}");
    assert_eq!(count(&data, "SELECT COUNT(*) FROM baseline"), 0);
}

#[test]
fn a_meter_that_fell_silent_saves_nothing() {
    let folder = folder();
    let (zone, data) = (write_zone(folder.path()), folder.path().join("data"));
    let office = office();
    let mut engine = open(&zone, &data);
    play(&mut engine, &in_order(&office, -1..YEAR + 240));
    // Weather and production go on.
    let silent: Vec<String> =
        (YEAR + 240..YEAR + 480).flat_map(|hour| [Meter::Weather, Meter::Counter].map(|meter| office.reading(meter, hour))).collect();
    play(&mut engine, &silent);
    drop(engine);
    savings(&data, &["fit", "--to", "2026-01-01"]);
    let shown = savings(&data, &["show", "--entity", "E-OFFICE"]);
    assert!((number(&shown[0], "hours") - 240.0).abs() < f64::EPSILON, "{shown:?}");
    assert_eq!(count(&data, "SELECT COUNT(*) FROM saving"), 240);
}

#[test]
fn a_third_more_base_load_raises_an_alert_within_two_weeks_until_it_is_adjusted_for() {
    let folder = folder();
    let (zone, data) = (write_zone(folder.path()), folder.path().join("data"));
    let began = YEAR + 120;
    let office = Office::new(YEAR + REPORTED, |hour| unsaved_wh(hour) + if began <= hour { 35_000 } else { 0 });
    let mut engine = open(&zone, &data);
    play(&mut engine, &in_order(&office, -1..YEAR));
    drop(engine);
    savings(&data, &["fit"]);
    let alerts = || query(&data, "SELECT state, subject, ts_local, since_utc FROM alert WHERE rule = 'non-routine-electricity'");
    let mut engine = open(&zone, &data);
    play(&mut engine, &in_order(&office, YEAR..began + 7 * 24));
    assert_eq!(alerts(), [], "a week is too early to tell");
    play(&mut engine, &in_order(&office, began + 7 * 24..began + 15 * 24));
    let raised = alerts();
    assert_eq!((raised.len(), &raised[0]["state"], &raised[0]["subject"]), (1, &"firing".into(), &"E-OFFICE".into()), "{raised:?}");
    // It began on 6 January and was to be told by the 20th.
    assert!(raised[0]["ts_local"].as_str().unwrap() <= "2026-01-20T00:00:00", "{raised:?}");
    let since = raised[0]["since_utc"].as_str().unwrap();
    assert!(("2026-01-04T16:00:00Z"..="2026-01-07T16:00:00Z").contains(&since), "{since}");

    // The command needs the ledger to itself, or a collector that answers.
    drop(engine);
    let before = savings(&data, &["show", "--entity", "E-OFFICE"]);
    assert!(number(&before[0], "high_kwh") < 0.0, "{before:?}");
    let said =
        ["adjust", "--entity", "E-OFFICE", "--from", "2026-01-06", "--to", "2027-01-01", "--kw", "35", "--reason", "a new laboratory"];
    savings(&data, &said);
    let after = savings(&data, &["show", "--entity", "E-OFFICE"]);
    assert!(number(&after[0], "low_kwh") < 0.0 && 0.0 < number(&after[0], "high_kwh"), "{after:?}");
    let mut engine = open(&zone, &data);
    play(&mut engine, &in_order(&office, began + 15 * 24..began + 18 * 24));
    drop(engine);
    assert_eq!(alerts()[0]["state"], "cleared");
}

#[test]
fn photovoltaics_that_no_meter_sees_are_a_line_of_their_own_and_no_saving() {
    let folder = folder();
    let (zone, data) = (write_zone(folder.path()), folder.path().join("data"));
    // From 22 March on there is sun on the roof, on rest days as on others.
    let began = YEAR + 80 * 24;
    let sun_wh = |hour: i64| if began <= hour && (7..18).contains(&(hour % 24)) { 50_000 } else { 0 };
    let office = Office::new(YEAR + 110 * 24, |hour| unsaved_wh(hour) - sun_wh(hour));
    let mut engine = open(&zone, &data);
    play(&mut engine, &in_order(&office, -1..YEAR + 110 * 24));
    drop(engine);
    savings(&data, &["fit", "--to", "2026-01-01"]);
    let status = |shown: &[Row]| shown[0]["status"].as_str().unwrap().to_owned();
    let shown = savings(&data, &["show", "--entity", "E-OFFICE"]);
    assert!(status(&shown).starts_with("claimed until photovoltaics that no meter sees begin on 2026-03-2"), "{shown:?}");
    assert!(number(&shown[0], "low_kwh") < 0.0 && 0.0 < number(&shown[0], "high_kwh"), "{shown:?}");
    // 30 days of 11 hours of 50 kWh, in a row of their own that claims nothing.
    let sun_kwh = 30.0 * 11.0 * 50.0;
    let less_kwh = |row: &Row| number(row, "baseline_kwh") - number(row, "metered_kwh");
    assert_eq!(shown.len(), 2);
    assert!((less_kwh(&shown[1]) / sun_kwh - 1.0).abs() < 0.1 && shown[1]["saved_kwh"].is_null(), "{shown:?}");
    assert!(shown[1]["status"].as_str().unwrap().starts_with("asset event: photovoltaics that no meter sees"), "{shown:?}");
    // So it is for the zone, month by month, and in what a change is made of.
    let zone = savings(&data, &["show"]);
    assert_eq!(zone.iter().filter(|row| row["status"].as_str().unwrap().starts_with("asset event")).count(), 3, "{zone:?}");
    let months = savings(&data, &["show", "--entity", "E-OFFICE", "--by", "month"]);
    let sum: f64 = months.iter().filter(|row| row["saved_kwh"].is_null()).map(less_kwh).sum();
    assert!((sum - less_kwh(&shown[1])).abs() < 1e-6, "{months:?}");
    let lines = savings(&data, &["change", "--entity", "E-OFFICE"]);
    let line = |name: &str| number(lines.iter().find(|row| row["line"] == name).unwrap(), "kwh");
    assert!((line("asset_event") + less_kwh(&shown[1])).abs() < 1e-6, "{lines:?}");
    assert!((line("efficiency") + number(&shown[0], "saved_kwh")).abs() < 1e-6, "{lines:?}");
    savings(&data, &["exclude", "--entity", "E-OFFICE", "--from", "2026-03-22", "--to", "2027-01-01", "--reason", "a new roof"]);
    let rest = savings(&data, &["show", "--entity", "E-OFFICE"]);
    assert!(number(&rest[0], "low_kwh") < 0.0 && 0.0 < number(&rest[0], "high_kwh"), "{rest:?}");
    assert_eq!((rest.len(), status(&rest)), (1, "claimed".to_owned()));
}

#[test]
fn excluded_hours_are_left_out_of_both_sides() {
    let folder = folder();
    let (zone, data) = (write_zone(folder.path()), folder.path().join("data"));
    let mut engine = open(&zone, &data);
    play(&mut engine, &in_order(&office(), -1..YEAR + REPORTED));
    drop(engine);
    savings(&data, &["fit", "--to", "2026-01-01"]);
    let whole = savings(&data, &["show", "--entity", "E-OFFICE", "--from", "2026-01-11"]);
    for missing in [vec!["--reason", " "], vec!["--reason", "x", "--to", "2026-01-01"]] {
        let mut all = vec!["savings", "exclude", "--data", path(&data), "--entity", "E-OFFICE"];
        all.extend(missing);
        assert_eq!(run(&all).status.code(), Some(2));
    }
    savings(&data, &["exclude", "--entity", "E-OFFICE", "--from", "2026-01-01", "--to", "2026-01-11", "--reason", "a fair in the hall"]);
    let rest = savings(&data, &["show", "--entity", "E-OFFICE"]);
    assert_eq!((number(&rest[0], "hours"), number(&rest[0], "hours_left_out")), (REPORTED as f64 - 240.0, 240.0));
    assert!((number(&rest[0], "saved_kwh") - number(&whole[0], "saved_kwh")).abs() < 1e-6);
    assert_eq!(count(&data, "SELECT COUNT(*) FROM saving"), REPORTED - 240);
}

#[test]
fn a_running_collector_keeps_baselines_and_what_is_said_of_hours_once() {
    let folder = folder();
    let (zone, data) = (write_zone(folder.path()), folder.path().join("data"));
    let mut engine = open(&zone, &data);
    play(&mut engine, &in_order(&office(), -1..YEAR + REPORTED));
    drop(engine);
    let broker = Mosquitto::start();
    let collector = Collector::start(&zone, &data, &broker.url());
    assert_eq!(savings(&data, &["fit", "--to", "2026-01-01"])[0]["status"], "fitted");
    assert_eq!(savings(&data, &["fit", "--to", "2026-01-01"])[0]["status"], "kept");
    let said = ["exclude", "--entity", "E-OFFICE", "--from", "2026-01-01", "--to", "2026-01-11", "--reason", "a fair in the hall"];
    savings(&data, &said);
    savings(&data, &said);
    let shown = savings(&data, &["show", "--entity", "E-OFFICE"]);
    assert_eq!((number(&shown[0], "hours"), number(&shown[0], "hours_left_out")), (REPORTED as f64 - 240.0, 240.0));
    assert_eq!([count(&data, "SELECT COUNT(*) FROM baseline"), count(&data, "SELECT COUNT(*) FROM adjustment_row")], [1, 1]);
    let asked = Asker::ask(&data, "baseline", "{}").unwrap();
    until(SOON, "the collector says no", || asked.answer().unwrap());
    let states = || {
        let ledger = store::open_to_read(&data).unwrap();
        let sql = "SELECT group_concat(state || ' ' || kind || ' ' || MIN(length(arguments), 5000), ', ') FROM request ORDER BY id";
        ledger.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap()
    };
    // A baseline's document is a row of its own; the request does not keep another.
    assert_eq!(states().replace(char::is_numeric, ""), "done baseline , done adjustment , done adjustment , failed baseline ");
    assert!(states().starts_with("done baseline 0,"), "{}", states());
    collector.stop();
}

#[test]
fn what_nobody_is_left_to_keep_the_command_keeps_itself() {
    let folder = folder();
    let (zone, data) = (write_zone(folder.path()), folder.path().join("data"));
    let mut engine = open(&zone, &data);
    play(&mut engine, &in_order(&office(), -1..48));
    // Whoever holds the ledger's lock is gone once the command has asked.
    let said = ["exclude", "--entity", "E-OFFICE", "--from", "2025-01-01", "--to", "2025-01-02", "--reason", "a fair in the hall"];
    std::thread::scope(|scope| {
        let command = scope.spawn(|| savings(&data, &said));
        until(SOON, "the command asks", || (count(&data, "SELECT COUNT(*) FROM request") == 1).then_some(()));
        drop(engine);
        assert_eq!(command.join().unwrap().len(), 1);
    });
    assert_eq!([count(&data, "SELECT COUNT(*) FROM request"), count(&data, "SELECT COUNT(*) FROM adjustment_row")], [0, 1]);
}
