//! Batteries, charging, work that may wait and heat pumps under three strategies, over a short time.

use std::path::Path;

use tempfile::TempDir;

use crate::harness::ledger::{Row, count};
use crate::harness::{folder, path, repository, run, text};

fn played(seed: &str) -> Vec<Row> {
    let zone = repository("config/zones/qingdao-hightech");
    let output = run(&["dispatch", "--zone", path(&zone), "--seed", seed, "--months", "1", "--output", "json"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn planning_ahead_is_cheaper_than_greed_without_more_carbon_or_a_higher_peak() {
    let rows = played("3");
    let of = |strategy: &str, key: &str| {
        let row = rows.iter().find(|row| row["strategy"] == strategy).unwrap_or_else(|| panic!("{strategy} in {rows:?}"));
        row[key].as_f64().unwrap_or_else(|| panic!("{key} of {row:?}"))
    };
    // The zone uses more than its sun gives, so greed stores nothing: but for auxiliaries and what was stored at first.
    assert!(of("greedy", "storage_loss_kwh") < 0.3 * of("tariff", "storage_loss_kwh"), "{rows:?}");
    for key in ["bill_cny", "annual_factor_t_co2", "synthetic_hourly_t_co2"] {
        assert!(of("receding", key) < of("greedy", key), "{key}: {rows:?}");
    }
    assert_eq!(of("receding", "months_above_greedys_peak") as u32, 0, "{rows:?}");
    // Nobody undercuts the bound, and it is no number without a meaning: it stands within a tenth of the bill.
    assert!(of("bound", "bill_cny") <= of("receding", "bill_cny"), "{rows:?}");
    assert!(0.9 * of("greedy", "bill_cny") < of("bound", "bill_cny"), "{rows:?}");
    // Work is put off, and is done: what waits when the month is over is less than half a day of it.
    assert!((0.0..50_000.0).contains(&of("receding", "waiting_kwh")), "{rows:?}");
    // 31 days of hours, each with a plan in time.
    assert_eq!(["plans", "plans_late", "plans_failed"].map(|key| of("receding", key) as u32), [744, 0, 0]);
    assert_eq!(["greedy", "receding"].map(|strategy| of(strategy, "undelivered_kwh") as u32), [0, 0]);
}

#[test]
fn the_same_seed_plays_the_same_plans() {
    let without_time = || {
        let mut rows = played("7");
        for row in &mut rows {
            row.remove("plans_cpu_s");
        }
        rows
    };
    assert_eq!(without_time(), without_time());
}

/// A demo of two days after a month, in an own folder.
fn demo(zone: &Path) -> TempDir {
    let data = folder();
    let output =
        run(&["demo", "--zone", path(zone), "--seed", "5", "--history", "1", "--days", "2", "--speed", "max", "--data", path(data.path())]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    data
}

fn commands(data: &Path, reason: &str) -> i64 {
    count(data, &format!("SELECT COUNT(*) FROM command WHERE asset LIKE 'battery-%' AND reason LIKE '{reason}%'"))
}

#[test]
fn a_regulated_zone_follows_its_plans_and_without_prices_the_rules() {
    let zone = repository("config/zones/qingdao-hightech");
    let data = demo(&zone);
    let data = data.path();
    assert!(50 < commands(data, "least cost"), "each hour a plan, and a new set point in most");
    assert_eq!(commands(data, "charges in") + commands(data, "gives in"), 0);
    assert_eq!(count(data, "SELECT count FROM count_row WHERE name = 'plans_failed'"), 0);
    // Two days of hours, and the one that begins where they end.
    assert_eq!(count(data, "SELECT count FROM count_row WHERE name = 'plans'"), 49);
    // The gauge and the plan are of one battery: it is neither overcharged nor emptied, and is used to its last percent.
    let state = |sql: &str| {
        count(data, &format!("SELECT {sql} FROM weather_row w JOIN channel_row c ON c.id = w.channel WHERE c.item = 'state_of_charge_pct'"))
    };
    assert_eq!((state("CAST(MIN(value) + 0.5 AS INTEGER)"), state("CAST(MAX(value) + 0.5 AS INTEGER)")), (10, 95));

    let unpriced = folder();
    for file in std::fs::read_dir(&zone).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), unpriced.path().join(file.file_name())).unwrap();
    }
    let settings = std::fs::read_to_string(zone.join("zone.toml")).unwrap();
    let without: Vec<&str> = settings.lines().filter(|line| !line.starts_with("tariff")).collect();
    std::fs::write(unpriced.path().join("zone.toml"), without.join("\n")).unwrap();
    let data = demo(unpriced.path());
    let data = data.path();
    assert_eq!((commands(data, "least cost"), 0 < commands(data, "rests")), (0, true));
    // The last hour's has failed when it is begun; above nobody asked for it any more.
    assert_eq!(count(data, "SELECT count FROM count_row WHERE name = 'plans_failed'"), 50);
    assert_eq!(count(data, "SELECT COUNT(*) FROM audit WHERE what = 'plan ahead' AND outcome = 'the rules decide'"), 1);
}
