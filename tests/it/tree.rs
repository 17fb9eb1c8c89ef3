//! The meter tree: residuals of nodes and what transformations lose, by hand and against meters added up one by one.

use std::collections::BTreeMap;

use crate::harness::ledger::{Row, query, show};
use crate::harness::plant::Plant;
use crate::harness::{folder, path, repository, run, text};

const KWH: &str = "active_energy_import_kwh";
const FROM: &str = "2026-01-05T00:00:00+08:00";
const TO: &str = "2026-01-05T01:00:00+08:00";

/// One hour. The zone's feeder supplies a works with sub-meters, a roof and a tenant, and an energy station that makes heat of gas for both.
fn plant() -> Plant {
    let meters = [
        "F-1 tiny - entry yes electricity active_energy_import_kwh import kwh 0.01 4000",
        "A-1 E-A F-1 entry yes electricity active_energy_import_kwh import kwh 0.01 4000",
        "S-1 E-A A-1 unit no electricity active_energy_import_kwh import kwh 0.01 4000",
        "S-2 E-A A-1 unit no electricity active_energy_import_kwh import kwh 0.01 4000",
        "B-1 E-B A-1 unit yes electricity active_energy_import_kwh import kwh 0.01 4000",
        "P-1 E-A A-1 unit yes electricity active_energy_generation_kwh generation kwh 0.01 4000",
        "X-1 E-X F-1 entry yes electricity active_energy_import_kwh import kwh 0.01 4000",
        "G-0 tiny - entry yes natural_gas volume_m3 import m3 0.01 4000",
        "G-1 E-X G-0 entry yes natural_gas volume_m3 import m3 0.01 4000",
        "H-1 E-X - unit yes heat heat_gj made gj 0.001 60",
        "H-2 E-A H-1 entry yes heat heat_gj import gj 0.001 60",
        "H-3 E-B H-1 entry yes heat heat_gj import gj 0.001 60",
    ];
    let mut plant = Plant::new("", &["E-A", "E-B", "E-X:energy_station"], &meters);
    let mut engine = plant.open();
    let hour = [
        ("F-1", KWH, 1000.0),
        ("A-1", KWH, 700.0),
        ("S-1", KWH, 300.0),
        ("S-2", KWH, 100.0),
        ("B-1", KWH, 200.0),
        ("P-1", "active_energy_generation_kwh", 40.0),
        ("X-1", KWH, 50.0),
        ("G-0", "volume_m3", 100.0),
        ("G-1", "volume_m3", 100.0),
        ("H-1", "heat_gj", 3.0),
        ("H-2", "heat_gj", 2.0),
        ("H-3", "heat_gj", 0.5),
    ];
    let readings: Vec<_> = hour.iter().flat_map(|(meter, item, value)| [(*meter, *item, FROM, 0.0), (*meter, *item, TO, *value)]).collect();
    plant.read(&mut engine, &readings);
    plant
}

fn number(row: &Row, column: &str) -> f64 {
    row[column].as_f64().unwrap_or_else(|| panic!("{column} of {row:?}"))
}

fn near(seen: f64, wanted: f64, what: &str) {
    assert!((seen - wanted).abs() <= 1e-12 * wanted.abs().max(1.0), "{what}: {seen}, by hand {wanted}");
}

/// 700 and 40 from the roof, less 300, 100 and 200. F-1: 1,000 less 700 and 50. H-1: 3 GJ less 2 and 0.5. The station: 100 m³ × 1.237764 and
/// 50 kWh × 0.1229 less 3 GJ × 34.12 kgce (GB/T 2589-2020). 0.6191 kg/kWh, 110 kg/GJ; what comes from the roof carries none, so of A-1's 140 kWh 100 do.
#[test]
fn residuals_and_losses_come_out_as_worked_out_by_hand() {
    let plant = plant();
    let rows = show(&plant.data(), &["residuals"]);
    let of = |node: &str| rows.iter().find(|row| row["node"] == node).unwrap_or_else(|| panic!("{node}: {rows:?}"));
    for (node, entity, residual, share, kg) in [
        ("A-1", "E-A", 140.0, 0.2, 61.91),
        ("F-1", "tiny-residual", 250.0, 0.25, 154.775),
        ("G-0", "tiny-residual", 0.0, 0.0, 0.0),
        ("H-1", "E-X", 0.5, 0.5 / 3.0, 55.0),
    ] {
        let row = of(node);
        assert_eq!(row["entity"], entity, "{node}");
        near(number(row, "residual"), residual, node);
        near(number(row, "share_of_node"), share, node);
        near(number(row, "kg_co2e"), kg, node);
        near(number(row, "measured_share"), 1.0, node);
    }
    near(number(of("transformation"), "tce_calorific"), 0.027_561_4, "transformation");
    assert_eq!(rows.len(), 5, "{rows:?}");
    for by in ["day", "hour", "15min"] {
        let parts = show(&plant.data(), &["residuals", "--by", by, "--entity", "E-A"]);
        near(parts.iter().map(|row| number(row, "residual")).sum(), 140.0, by);
    }
}

/// Σ entities + residual = zone for each carrier that comes from outside; and in standard coal with what is made inside: users, network and
/// transformation take the station's place.
#[test]
fn entities_residuals_and_transformation_add_up_to_the_zone() {
    let plant = plant();
    let energy = query(
        &plant.data(),
        "SELECT entity, carrier, SUM(quantity) AS quantity, SUM(tce_calorific) AS tce FROM energy GROUP BY entity, carrier",
    );
    let sum = |column: &str, is: &dyn Fn(&str, &str) -> bool| -> f64 {
        let of = |row: &&Row| is(row["entity"].as_str().unwrap(), row["carrier"].as_str().unwrap());
        energy.iter().filter(of).map(|row| number(row, column)).sum()
    };
    for (carrier, zone) in [("electricity", 1040.0), ("natural_gas", 100.0)] {
        near(sum("quantity", &|entity, of| entity == "tiny" && of == carrier), zone, carrier);
        near(sum("quantity", &|entity, of| entity != "tiny" && of == carrier), zone, carrier);
    }
    near(sum("quantity", &|entity, of| entity == "E-A" && of == "electricity"), 540.0, "700 + 40 − 200");
    assert!(energy.iter().all(|row| row["entity"] != "tiny" || row["carrier"] != "heat"), "what is made inside is not added to the zone");
    let residuals = show(&plant.data(), &["residuals"]);
    let tce = |node: &str| number(residuals.iter().find(|row| row["node"] == node).unwrap(), "tce_calorific");
    let users = sum("tce", &|entity, _| entity != "tiny" && entity != "E-X");
    near(users + tce("H-1") + tce("transformation"), sum("tce", &|entity, _| entity == "tiny"), "standard coal");
}

/// Every node of a whole zone after a harsh day: its own meters, less those right below it, each summed on its own.
#[test]
fn every_nodes_residual_is_what_its_meters_say_one_by_one() {
    let folder = folder();
    let data = folder.path().join("data");
    let played =
        run(&["demo", "--history", "0", "--days", "1", "--faults", "harsh", "--seed", "9", "--speed", "max", "--data", path(&data)]);
    assert!(played.status.success(), "{}", text(&played.stderr));
    let mut energy: BTreeMap<(String, String), f64> = BTreeMap::new();
    for row in query(&data, "SELECT meter, item, SUM(quantity) AS quantity FROM meter_energy GROUP BY meter, item") {
        let name = |column: &str| row[column].as_str().unwrap().to_owned();
        energy.insert((name("meter"), name("item")), number(&row, "quantity"));
    }
    let mut wanted: BTreeMap<(String, String), f64> = BTreeMap::new();
    let mut nodes: Vec<(String, String)> = Vec::new();
    let mut meters = csv::Reader::from_path(repository("config/zones/qingdao-hightech/meters.csv")).unwrap();
    let lines: Vec<BTreeMap<String, String>> = meters.deserialize().map(Result::unwrap).collect();
    for line in lines.iter().filter(|line| line["formula"].is_empty() && line["direction"] != "gauge") {
        let took = energy.get(&(line["meter"].clone(), line["item"].clone())).copied().unwrap_or(0.0);
        let (own, below) = match line["direction"].as_str() {
            "import" => (took, -took),
            "export" => (-took, took),
            _ => (took, took),
        };
        *wanted.entry((line["meter"].clone(), line["carrier"].clone())).or_default() += own;
        if !line["parent"].is_empty() {
            let node = (line["parent"].clone(), line["carrier"].clone());
            *wanted.entry(node.clone()).or_default() += below;
            nodes.push(node);
        }
    }
    nodes.sort_unstable();
    nodes.dedup();
    let shown = show(&data, &["residuals"]);
    let shown: Vec<&Row> = shown.iter().filter(|row| row["node"] != "transformation").collect();
    assert_eq!(shown.len(), nodes.len());
    for row in shown {
        let node = (row["node"].as_str().unwrap().to_owned(), row["carrier"].as_str().unwrap().to_owned());
        let (seen, wanted) = (number(row, "residual"), wanted[&node]);
        assert!((seen - wanted).abs() < 1e-6, "{node:?}: {seen}, one by one {wanted}");
    }
}
