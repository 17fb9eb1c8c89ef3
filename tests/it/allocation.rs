//! Shared meters: what tenants bear adds up to what was counted, to the watt-hour, and costs what it costs the owner.

use crate::harness::ledger::{Row, show};
use crate::harness::plant::Plant;

const KWH: &str = "active_energy_import_kwh";

/// M-1 is read at odd quantities; three tenants with shares that no watt-hour divides by, two of them from February on.
fn plant() -> Plant {
    let meters = ["M-1 E-0 - entry yes electricity active_energy_import_kwh import kwh 0.001 4000"];
    let mut plant = Plant::new("tariff = \"cn-sd-industry\"\n", &["E-0", "E-1", "E-2", "E-3"], &meters);
    let allocations = "meter,entity,share_pct,from,to,source,recorded\n\
        M-1,E-1,33.333,2026-01-01,2026-02-01,lease,2026-01-01\nM-1,E-2,33.333,2026-01-01,2026-02-01,lease,2026-01-01\n\
        M-1,E-3,33.334,2026-01-01,2026-02-01,lease,2026-01-01\n\
        M-1,E-1,75,2026-02-01,,lease,2026-02-01\nM-1,E-2,25,2026-02-01,,lease,2026-02-01\n";
    plant.write("allocations.csv", allocations);
    let mut engine = plant.open();
    let quarter = |number: i64| format!("2026-01-05T{:02}:{:02}:00+08:00", number / 4, number % 4 * 15);
    let times: Vec<String> = (0..=40).map(quarter).collect();
    let readings: Vec<_> = times.iter().enumerate().map(|(at, time)| ("M-1", KWH, time.as_str(), (at * at * 7) as f64 / 1000.0)).collect();
    plant.read(&mut engine, &readings);
    let february = [("M-1", KWH, "2026-02-02T00:00:00+08:00", 11.2), ("M-1", KWH, "2026-02-02T00:15:00+08:00", 111.2)];
    plant.read(&mut engine, &february);
    plant
}

fn sum(rows: &[Row], entity: &str, column: &str) -> f64 {
    rows.iter().filter(|row| entity == "all" || row["entity"] == entity).map(|row| row[column].as_f64().unwrap()).sum()
}

fn near(seen: f64, wanted: f64, what: &str) {
    assert!((seen - wanted).abs() < 1e-9 * wanted.abs().max(1.0), "{what}: {seen}, wanted {wanted}");
}

#[test]
fn tenants_parts_add_up_to_the_shared_meter_however_the_time_is_cut() {
    let plant = plant();
    let january = ["--from", "2026-01-01", "--to", "2026-02-01"];
    let owner = show(&plant.data(), &[&["energy", "--entity", "E-0"][..], &january].concat());
    let bill = show(&plant.data(), &[&["cost", "--entity", "E-0"][..], &january].concat());
    // 40² × 7 Wh.
    near(sum(&owner, "E-0", "kwh"), 11.2, "the owner's books keep it");
    let total = show(&plant.data(), &[&["allocation"][..], &january].concat());
    assert_eq!(total.len(), 3);
    for by in ["total", "year", "month", "day", "hour", "15min"] {
        let rows = show(&plant.data(), &[&["allocation", "--by", by][..], &january].concat());
        near(sum(&rows, "all", "kwh"), 11.2, by);
        near(sum(&rows, "all", "kg_co2e"), 11.2 * 0.6191, by);
        near(sum(&rows, "all", "cny"), sum(&bill, "E-0", "cny"), by);
        for tenant in ["E-1", "E-2", "E-3"] {
            near(sum(&rows, tenant, "kwh"), sum(&total, tenant, "kwh"), by);
            assert!((sum(&rows, tenant, "kwh") - 11.2 / 3.0).abs() < 0.03, "{by} {tenant}");
        }
    }
}

/// 100 kWh on 2 February at the flat price 0.589569: 75 and 25 of each.
#[test]
fn new_shares_hold_from_their_day_on() {
    let plant = plant();
    let rows = show(&plant.data(), &["allocation", "--from", "2026-02-02", "--to", "2026-02-03"]);
    assert_eq!(rows.len(), 2);
    for (tenant, kwh) in [("E-1", 75.0), ("E-2", 25.0)] {
        near(sum(&rows, tenant, "kwh"), kwh, tenant);
        near(sum(&rows, tenant, "kg_co2e"), kwh * 0.6191, tenant);
        near(sum(&rows, tenant, "cny"), kwh * 0.589_569, tenant);
        near(sum(&rows, tenant, "measured_share"), 1.0, tenant);
    }
}

#[test]
fn a_row_is_labelled_by_the_part_that_was_asked_for() {
    let plant = plant();
    let part = ["--entity", "E-0", "--from", "2026-01-05T01:15", "--to", "2026-01-05T03:30"];
    for subject in ["energy", "carbon", "cost"] {
        let rows = show(&plant.data(), &[&[subject, "--by", "hour"][..], &part].concat());
        let mut spans: Vec<(&str, &str)> =
            rows.iter().map(|row| (&row["from"].as_str().unwrap()[11..16], &row["to"].as_str().unwrap()[11..16])).collect();
        spans.sort_unstable();
        spans.dedup();
        assert_eq!(spans, [("01:15", "02:00"), ("02:00", "03:00"), ("03:00", "03:30")], "{subject}");
    }
}
