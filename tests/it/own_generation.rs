//! Own generation: what is used where it is made, what leaves, and what is bought all the same, against figures worked out by hand.

use crate::harness::ledger::{Row, report, show};
use crate::harness::plant::Plant;

fn number(row: &Row, column: &str) -> f64 {
    row[column].as_f64().unwrap_or_else(|| panic!("{column} of {row:?}"))
}

fn close(seen: f64, wanted: f64) -> bool {
    (seen - wanted).abs() <= 1e-9 * wanted.abs().max(1.0)
}

/// A roof makes 100 kWh, of which 30 leave the works; it buys 500. The zone's feeder passes on what comes and takes what leaves, and others use it.
#[test]
fn own_generation_that_leaves_is_a_line_of_its_own_in_the_inventory() {
    let meters = [
        "M-1 E-1 - entry yes electricity active_energy_import_kwh import kwh 0.01 4000",
        "M-1 E-1 - entry yes electricity active_energy_export_kwh export kwh 0.01 4000",
        "P-1 E-1 M-1 unit yes electricity active_energy_generation_kwh generation kwh 0.01 4000",
    ];
    let mut plant = Plant::new("", &["E-1"], &meters);
    let mut engine = plant.open();
    let registers = [
        ("M-1", "active_energy_import_kwh", 500.0),
        ("M-1", "active_energy_export_kwh", 30.0),
        ("P-1", "active_energy_generation_kwh", 100.0),
    ];
    for (meter, item, kwh) in registers {
        plant.read(&mut engine, &[(meter, item, "2026-01-05T00:00:00+08:00", 0.0), (meter, item, "2026-01-05T01:00:00+08:00", kwh)]);
    }
    let inventory = report(&plant.data(), &["inventory"]);
    for entity in ["E-1", "tiny"] {
        let kwh = |method: &str, stream: &str| {
            let of = |row: &&Row| row["entity"] == entity && row["method"] == method && row["source_stream"] == stream;
            let rows: Vec<&Row> = inventory.iter().filter(of).collect();
            assert_eq!(rows.len(), 1, "{entity} {method} {stream}: {inventory:?}");
            (number(rows[0], "quantity"), number(rows[0], "kg_co2e"))
        };
        assert_eq!(kwh("export", "electricity (own generation, exported)"), (30.0, 0.0));
        assert_eq!(kwh("market", "electricity (own generation)"), (70.0, 0.0));
        assert!(close(kwh("market", "electricity (residual mix)").1, 304.8) && close(kwh("location", "electricity").1, 309.55));
    }
}

/// A roof, an entity of its own below the works, makes 100 kWh and hands them to the works' meter. What leaves the roof stays in the works.
#[test]
fn what_a_roof_hands_to_its_own_works_is_no_export_of_the_works() {
    let meters = [
        "M-1 E-1 - entry yes electricity active_energy_import_kwh import kwh 0.01 4000",
        "P-1 PV-1 M-1 unit yes electricity active_energy_generation_kwh generation kwh 0.01 4000",
        "P-1 PV-1 M-1 unit yes electricity active_energy_export_kwh export kwh 0.01 4000",
    ];
    let mut plant = Plant::new("", &["E-1", "PV-1:photovoltaic:E-1"], &meters);
    let mut engine = plant.open();
    let registers = [
        ("M-1", "active_energy_import_kwh", 500.0),
        ("P-1", "active_energy_generation_kwh", 100.0),
        ("P-1", "active_energy_export_kwh", 90.0),
    ];
    for (meter, item, kwh) in registers {
        plant.read(&mut engine, &[(meter, item, "2026-01-05T00:00:00+08:00", 0.0), (meter, item, "2026-01-05T01:00:00+08:00", kwh)]);
    }
    let value = |rows: &[Row], name: &str| number(rows.iter().find(|row| row["indicator"] == name).unwrap(), "value");
    // Ten stay on the roof, ninety go to the works: a hundred are used, and none leave. The roof alone gives ninety away.
    for (entity, used_kwh, exported_kwh) in [("E-1", 100.0, 0.0), ("PV-1", 10.0, 90.0)] {
        let factory = report(&plant.data(), &["factory", "--entity", entity]);
        let seen = (value(&factory, "own_generation_self_used_kwh"), value(&factory, "own_generation_exported_kwh"));
        assert_eq!(seen, (used_kwh, exported_kwh), "{entity}");
    }
}

/// A works whose only generation is the roof, an entity of its own, below it. The roof makes 100 kWh, keeps 10 and hands 90 to the works' meter; 30 of them
/// leave the works, which buys 500. By hand: the works uses 500 + 90 − 30 = 560, the two 570; bought are 500 and nothing less, own are 60 and 10, sold are 30.
/// Location 500 × 0.6191 = 309.55 kg, market 500 × 0.6096 = 304.8 kg.
#[test]
fn what_leaves_a_works_with_a_roof_below_it_is_own_generation_and_not_less_bought() {
    let meters = [
        "F-1 tiny - entry yes electricity active_energy_import_kwh import kwh 0.01 4000",
        "M-1 E-1 F-1 entry yes electricity active_energy_import_kwh import kwh 0.01 4000",
        "M-1 E-1 F-1 entry yes electricity active_energy_export_kwh export kwh 0.01 4000",
        "S-1 E-1 M-1 unit no electricity active_energy_import_kwh import kwh 0.01 4000",
        "P-0 PV-1 - unit yes electricity active_energy_generation_kwh generation kwh 0.01 4000",
        "P-1 PV-1 M-1 unit yes electricity active_energy_export_kwh export kwh 0.01 4000",
    ];
    let mut plant = Plant::new("tariff = \"cn-sd-industry\"\n", &["E-1", "PV-1:photovoltaic:E-1"], &meters);
    let mut engine = plant.open();
    let registers = [
        ("F-1", "active_energy_import_kwh", 470.0),
        ("M-1", "active_energy_import_kwh", 500.0),
        ("M-1", "active_energy_export_kwh", 30.0),
        ("S-1", "active_energy_import_kwh", 400.0),
        ("P-0", "active_energy_generation_kwh", 100.0),
        ("P-1", "active_energy_export_kwh", 90.0),
    ];
    for (meter, item, kwh) in registers {
        plant.read(&mut engine, &[(meter, item, "2026-01-05T00:00:00+08:00", 0.0), (meter, item, "2026-01-05T01:00:00+08:00", kwh)]);
    }
    drop(engine);
    let data = plant.data();
    let value = |rows: &[Row], name: &str| number(rows.iter().find(|row| row["indicator"] == name).unwrap(), "value");
    let factory = report(&data, &["factory", "--entity", "E-1"]);
    for (name, wanted) in [
        ("electricity_kwh", 570.0),
        ("own_generation_self_used_kwh", 70.0),
        ("own_generation_exported_kwh", 30.0),
        ("scope_2_location_t_co2e", 0.309_55),
        ("scope_2_market_t_co2e", 0.304_8),
        ("self_supply_share_of_electricity_pct", 100.0 * 70.0 / 570.0),
        ("non_fossil_share_of_electricity_pct", 100.0 * 70.0 / 570.0),
    ] {
        assert!(close(value(&factory, name), wanted), "{name}: {}, by hand {wanted}", value(&factory, name));
    }
    // The zone buys 470 and uses its roof's 100.
    let park = report(&data, &["park"]);
    for (name, wanted) in [
        ("electricity_kwh", 570.0),
        ("own_generation_self_used_kwh", 100.0),
        ("own_generation_exported_kwh", 0.0),
        ("scope_2_location_t_co2e", 0.470 * 0.6191),
        ("direct_supply_share_of_electricity_pct", 100.0 * 100.0 / 570.0),
    ] {
        assert!(close(value(&park, name), wanted), "park, {name}: {}, by hand {wanted}", value(&park, name));
    }
    let inventory = report(&data, &["inventory"]);
    let stream = |entity: &str, method: &str, stream: &str| -> f64 {
        let of = |row: &&Row| row["entity"] == entity && row["method"] == method && row["source_stream"] == stream;
        inventory.iter().filter(of).map(|row| number(row, "quantity")).sum()
    };
    for (entity, name, wanted) in
        [("E-1", "", 60.0), ("PV-1", "", 10.0), ("tiny-residual", "", 30.0), ("E-1", ", exported", 30.0), ("PV-1", ", exported", 90.0)]
    {
        let method = if name.is_empty() { "market" } else { "export" };
        assert!(close(stream(entity, method, &format!("electricity (own generation{name})")), wanted), "{entity}{name}: {inventory:?}");
    }
    assert!(close(stream("E-1", "market", "electricity (residual mix)"), 500.0) && close(stream("E-1", "location", "electricity"), 500.0));
    assert!(close(stream("tiny", "location", "electricity"), 470.0));
    // What sub-meters leave over: 500 + 90 − 30 − 400 = 160, of which 500 − 400 bought. The feeder passes on 500 and takes 30: its residual is 0.
    let residuals = show(&data, &["residuals"]);
    for (node, kwh, kg) in [("M-1", 160.0, 61.91), ("F-1", 0.0, 0.6191 * -30.0)] {
        let row = residuals.iter().find(|row| row["node"] == node).unwrap();
        assert!(close(number(row, "residual"), kwh) && close(number(row, "kg_co2e"), kg), "{row:?}");
    }
    // The bill is for what was bought: 500 kWh of a winter night's valley.
    let bill = show(&data, &["cost", "--entity", "E-1"]);
    let bought: f64 = bill.iter().map(|row| number(row, "quantity")).sum();
    assert!(close(bought, 500.0), "{bill:?}");
}
