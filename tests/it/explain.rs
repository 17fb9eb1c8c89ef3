//! The chain behind a figure: against figures worked out by hand, and against what is shown after a harsh day.

use std::path::Path;

use serde_json::Value;

use crate::accounts::{Books, january};
use crate::harness::ledger::{Row, show};
use crate::harness::plant::Plant;
use crate::harness::{folder, path, repository, run, text};

const KWH: &str = "active_energy_import_kwh";

fn explained(data: &Path, entity: &str, at: &str) -> Value {
    let output = run(&["explain", "--entity", entity, "--at", at, "--output", "json", "--data", path(data)]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn integer(value: &Value, key: &str) -> i64 {
    value[key].as_i64().unwrap_or_else(|| panic!("{key} of {value}"))
}

fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value[key].as_array().unwrap_or_else(|| panic!("{key} of {value}"))
}

/// E-1 buys electricity through M-1, passes on what M-2 counts for E-2, and burns gas.
///
/// From 00:15 to 00:30: of the 30 kWh that M-1 counts from 00:10 to 00:40 half, 15,000 Wh; of M-2's 9 kWh up to 00:30 half, 4,500 Wh; of the 3 m³ up to
/// 00:45 a third. Shandong 0.6191 kg/kWh; gas 2.014728, CH4 0.001016 and N2O 0.000961 kg CO2e/m³.
fn quarter() -> Plant {
    let meters = [
        "M-1 E-1 - entry yes electricity active_energy_import_kwh import kwh 0.01 400",
        "M-2 E-2 M-1 unit yes electricity active_energy_import_kwh import kwh 0.01 400",
        "G-1 E-1 - entry yes natural_gas volume_m3 import m3 0.01 400",
    ];
    let mut plant = Plant::new("tariff = \"cn-sd-industry\"\n", &["E-1", "E-2"], &meters);
    let entries = "id,entity,from,to,kind,substance,quantity,unit,factor_kg_co2e,factor_source,recorded\n\
                   WASTE,E-1,2026-01-05,2026-01-06,activity,food waste,9.6,t,420,canteen study,2026-02-01\n";
    plant.write("entries.csv", entries);
    let contracts = "id,entity,from,to,energy_mwh,factor_kg_co2_per_kwh,green,source,recorded\n\
                     CHP,E-1,2026-01-01,2026-02-01,0.04,0.1,no,contract,2026-01-01\n";
    plant.write("contracts.csv", contracts);
    let mut engine = plant.open();
    let readings = [
        ("M-1", KWH, "2026-01-05T00:00:00+08:00", 100.0),
        ("M-1", KWH, "2026-01-05T00:10:00+08:00", 110.0),
        ("M-1", KWH, "2026-01-05T00:40:00+08:00", 140.0),
        ("M-2", KWH, "2026-01-05T00:00:00+08:00", 0.0),
        ("M-2", KWH, "2026-01-05T00:30:00+08:00", 9.0),
        ("G-1", "volume_m3", "2026-01-05T00:00:00+08:00", 5.0),
        ("G-1", "volume_m3", "2026-01-05T00:45:00+08:00", 8.0),
        // Whole hours that stay whole, for another day: 60 kWh in one reading.
        ("M-1", KWH, "2026-01-06T00:00:00+08:00", 200.0),
        ("M-1", KWH, "2026-01-06T01:00:00+08:00", 260.0),
        ("M-2", KWH, "2026-01-06T00:00:00+08:00", 9.0),
        ("M-2", KWH, "2026-01-06T00:15:00+08:00", 10.0),
        ("M-2", KWH, "2026-01-06T00:30:00+08:00", 12.0),
        ("M-2", KWH, "2026-01-06T01:00:00+08:00", 20.0),
    ];
    plant.read(&mut engine, &readings);
    plant
}

#[test]
fn a_quarter_of_an_hour_is_explained_as_worked_out_by_hand() {
    let plant = quarter();
    let explanation = explained(&plant.data(), "E-1", "2026-01-05T00:20");
    assert_eq!(integer(&explanation, "co2e_ug"), 10_500 * 619_100 + 1_000 * (2_014_728 + 1_016 + 961));
    assert_eq!(explanation["kg_co2e"], 8.517_255);
    let [electricity, gas] = list(&explanation, "carriers") else { panic!("{explanation}") };
    assert_eq!((integer(electricity, "quantity"), integer(electricity, "bought"), integer(electricity, "scope")), (10_500, 10_500, 2));
    assert_eq!((&electricity["from"], &electricity["to"]), (&"2026-01-05T00:15:00+08:00".into(), &"2026-01-05T00:30:00+08:00".into()));
    let factor = &list(electricity, "factors")[0];
    assert_eq!((integer(factor, "mg_per_unit"), integer(factor, "co2e_ug")), (619_100, 6_500_550_000));
    assert_eq!((&factor["version"], &factor["tier"]), (&"cn/grid-average/CN-SD/2023".into(), &"region_latest".into()));
    assert!(factor["source"].as_str().unwrap().contains("2025 No. 47") && factor["recorded"].is_string(), "{factor}");
    let [own, passed_on] = list(electricity, "meters") else { panic!("{electricity}") };
    assert_eq!((integer(own, "sign"), integer(passed_on, "sign"), integer(passed_on, "bought")), (1, -1, -1));
    let spans = [own, passed_on].map(|meter| &list(&list(meter, "intervals")[0], "spans")[0]);
    assert_eq!((integer(spans[0], "from_register"), integer(spans[0], "to_register")), (110_000, 140_000));
    assert_eq!((integer(spans[0], "energy"), integer(spans[0], "taken"), &spans[0]["class"]), (30_000, 15_000, &"normal".into()));
    assert_eq!(&spans[0]["to"], "2026-01-05T00:40:00+08:00");
    assert_eq!((integer(spans[1], "energy"), integer(spans[1], "taken")), (9_000, 4_500));
    assert_eq!((integer(gas, "bought"), integer(gas, "scope"), integer(gas, "co2e_ug")), (1_000, 1, 2_016_705_000));
    // The zone buys all of it, and passes nothing on.
    assert_eq!(integer(&list(&explained(&plant.data(), "tiny", "2026-01-05T00:20"), "carriers")[0], "bought"), 15_000);

    let tree = run(&["explain", "--entity", "E-1", "--at", "2026-01-05T00:20", "--data", path(&plant.data())]);
    let told = text(&tree.stdout);
    for line in [
        "10500 Wh × 619100 mg/kWh = 6500550000 µg: electricity, cn/grid-average/CN-SD/2023 (region_latest)",
        "15000 Wh of 30000: register 110000 at 2026-01-05T00:10:00+08:00 to 140000 at 2026-01-05T00:40:00+08:00, normal, measured",
        "M-2 active_energy_import_kwh: -1 × (into what was used: -1 ×)",
        "8.517255 kg CO2e",
    ] {
        assert!(told.contains(line), "{line}\n{told}");
    }
    let unknown = run(&["explain", "--entity", "E-9", "--at", "2026-01-05", "--data", path(&plant.data())]);
    assert_eq!(unknown.status.code(), Some(2), "{}", text(&unknown.stderr));
}

/// M-1 was read by the hour, M-2 by the quarter: what they share is the hour, 60 − 11 kWh.
#[test]
fn where_a_meter_was_read_by_the_hour_the_hour_is_explained() {
    let plant = quarter();
    let explanation = explained(&plant.data(), "E-1", "2026-01-06T00:20");
    let electricity = &list(&explanation, "carriers")[0];
    assert_eq!((integer(electricity, "bought"), &electricity["to"]), (49_000, &"2026-01-06T01:00:00+08:00".into()));
    let intervals = list(electricity, "meters").iter().map(|meter| list(meter, "intervals").len());
    assert_eq!(intervals.collect::<Vec<_>>(), [1, 4]);
    assert_chain(&explanation);
}

/// What else the quarter stands for. Standard coal: 10.5 kWh × 0.1229 or 0.2856 kgce, 1 m³ × 1.237764 (38.931 MJ/Nm³ × 0.9318 / 29.3076). Of January's
/// 140 kWh (200 − 100 + 60, less 20 of E-2) the contract covers 40 kWh × 121 h with data / 744 h = 6,505 Wh, so of the quarter's 10.5 kWh 488 Wh. 9.6 t of
/// waste a day are 0.1 t a quarter, 420 kg CO2e/t.
#[test]
fn coal_cost_market_and_declarations_are_explained_too() {
    let plant = quarter();
    let explanation = explained(&plant.data(), "E-1", "2026-01-05T00:20");
    let [electricity, gas] = list(&explanation, "carriers") else { panic!("{explanation}") };
    let coal = |carrier: &Value| -> Vec<(String, i64)> {
        list(carrier, "standard_coal").iter().map(|part| (part["basis"].as_str().unwrap().to_owned(), integer(part, "ce_ug"))).collect()
    };
    let both = |calorific, primary| vec![("calorific".to_owned(), calorific), ("primary".to_owned(), primary)];
    assert_eq!(coal(electricity), both(10_500 * 122_900, 10_500 * 285_600));
    assert_eq!(coal(gas), both(1_237_764_000, 1_237_764_000));

    let [cost] = list(electricity, "costs") else { panic!("{electricity}") };
    assert_eq!((&cost["band"], integer(cost, "bought")), (&"flat".into(), 10_500));
    assert_eq!(integer(cost, "cost_ncny"), 10_500 * integer(cost, "ucny_per_unit"));
    let times = ["--from", "2026-01-05T00:15", "--to", "2026-01-05T00:30", "--entity", "E-1"];
    let shown = |subject: &str| show(&plant.data(), &[&[subject][..], &times].concat());
    let bill = shown("cost");
    assert_eq!(bill.iter().find(|row| row["carrier"] == "electricity").unwrap()["cny"], cost["cny"]);

    let market = list(electricity, "market");
    let amounts: Vec<(i64, i64)> = market.iter().map(|part| (integer(part, "mg_per_unit"), integer(part, "amount"))).collect();
    assert_eq!(amounts, [(100_000, 488), (609_600, 10_012)], "{market:?}");
    assert!(list(gas, "market").is_empty(), "gas is scope 1");
    let [waste] = list(&explanation, "declared") else { panic!("{explanation}") };
    assert_eq!((integer(waste, "scope"), integer(waste, "amount"), integer(waste, "co2e_ug")), (3, 100, 42_000_000_000));
    assert_eq!(
        (&waste["entry"]["id"], integer(&waste["entry"], "amount"), &waste["entry"]["recorded"]),
        (&"WASTE".into(), 9_600, &"2026-02-01".into())
    );
    for part in market.iter().chain([waste]) {
        assert_eq!(integer(part, "amount") * integer(part, "mg_per_unit"), integer(part, "co2e_ug"), "{part}");
        let carbon = shown("carbon");
        let row = carbon.iter().find(|row| row["method"] == part["method"] && row["source_stream"] == part["stream"]);
        assert_eq!(row.unwrap_or_else(|| panic!("{part}"))["kg_co2e"], part["kg_co2e"], "{part}");
    }
    let tree = run(&["explain", "--entity", "E-1", "--at", "2026-01-05T00:20", "--data", path(&plant.data())]);
    let told = text(&tree.stdout);
    for line in [
        "standard coal, calorific: 10500 Wh × 122900 mg/kWh = 1290450000 µg",
        "by the market 10012 Wh × 609600 mg/kWh = 6103315200 µg CO2e: electricity (residual mix)",
        "cost, flat: 10500 Wh × ",
        "its share of 9600 thousandths of t from 2026-01-05T00:00:00+08:00 to 2026-01-06T00:00:00+08:00: entry WASTE",
    ] {
        assert!(told.contains(line), "{line}\n{told}");
    }
}

/// 10 kWh in the hour as it was closed; a late reading moves 1 kWh of them into the quarter before; then another factor is restated.
#[test]
fn what_was_known_then_is_explained_with_the_interval_and_the_factor_of_then() {
    let mut books = Books::new(&["a"], "factors = \"my-factors.toml\"\n");
    let file = |name: &str| std::fs::read_to_string(repository(&format!("config/factors/{name}.toml"))).unwrap();
    let factors = ["cn", "cn-fuels", "cn-coal", "cn-targets", "gwp"].map(file).join("\n");
    std::fs::write(books.zone.join("my-factors.toml"), &factors).unwrap();
    let mut engine = books.open();
    books.take(&mut engine, &january(8), &[("a", january(0), 0.0), ("a", january(2), 10.0), ("a", january(4), 20.0)]);
    books.take(&mut engine, &january(12), &[("a", january(1), 6.0)]);
    books.take(&mut engine, &january(16), &[]);
    drop(engine);
    std::fs::write(books.zone.join("my-factors.toml"), factors.replace("CN-SD = 0.6191", "CN-SD = 0.7")).unwrap();
    let restated = run(&["restate", "--data", path(&books.data()), "--zone", path(&books.zone), "--from", "2026-01-01"]);
    assert!(restated.status.success(), "{}", text(&restated.stderr));
    let of = |known: Option<u32>| {
        let known = known.map(january);
        let mut arguments = vec!["explain", "--entity", "E-a", "--at", "2026-01-01T00:05", "--output", "json"];
        arguments.extend(known.iter().flat_map(|known| ["--as-known-on", known]));
        let data = books.data();
        arguments.extend(["--data", path(&data)]);
        let output = run(&arguments);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let explanation: Value = serde_json::from_slice(&output.stdout).unwrap();
        let mut more = vec!["carbon", "--by", "15min", "--entity", "E-a", "--from", "2026-01-01T00:00", "--to", "2026-01-01T00:15"];
        more.extend(known.iter().flat_map(|known| ["--as-known-on", known]));
        let shown: f64 =
            show(&data, &more).iter().filter(|row| row["method"] == "location").map(|row| row["kg_co2e"].as_f64().unwrap()).sum();
        assert!((shown - explanation["kg_co2e"].as_f64().unwrap()).abs() < 1e-9, "{shown}: {explanation}");
        explanation
    };
    let interval = |explanation: &Value| list(&list(&list(explanation, "carriers")[0], "meters")[0], "intervals")[0].clone();
    let first = of(Some(9));
    assert_eq!(integer(&first, "co2e_ug"), 5_000 * 619_100);
    assert_eq!((&interval(&first)["recorded_to"], list(&interval(&first), "spans").len()), (&january(12).into(), 0));
    let corrected = of(Some(13));
    assert_eq!(integer(&corrected, "co2e_ug"), 6_000 * 619_100);
    assert_eq!((&interval(&corrected)["recorded_from"], list(&interval(&corrected), "spans").len()), (&january(12).into(), 1));
    assert_eq!(integer(&of(None), "co2e_ug"), 6_000 * 700_000);
    assert_chain(&of(None));
}

/// Every sum and product of one explanation, in integers.
fn assert_chain(explanation: &Value) {
    for carrier in list(explanation, "carriers") {
        let (mut quantity, mut bought) = (0, 0);
        for meter in list(carrier, "meters") {
            for interval in list(meter, "intervals") {
                let taken: i64 = list(interval, "spans").iter().map(|span| integer(span, "taken")).sum();
                assert_eq!(taken, integer(interval, "quantity"), "spans of {meter}");
                for span in list(interval, "spans").iter().filter(|span| span["class"] == "normal") {
                    assert_eq!(integer(span, "to_register") - integer(span, "from_register"), integer(span, "energy"), "{span}");
                }
                quantity += integer(interval, "quantity") * integer(meter, "sign");
                bought += integer(interval, "quantity") * integer(meter, "bought");
            }
        }
        assert_eq!((quantity, bought), (integer(carrier, "quantity"), integer(carrier, "bought")), "meters of {carrier}");
        for factor in list(carrier, "factors") {
            assert_eq!(bought * integer(factor, "mg_per_unit"), integer(factor, "co2e_ug"), "{factor}");
            assert!(factor["source"].is_string() && factor["valid_from"].is_string(), "{factor}");
        }
        let factors: i64 = list(carrier, "factors").iter().map(|factor| integer(factor, "co2e_ug")).sum();
        assert_eq!(factors, integer(carrier, "co2e_ug"));
    }
    let carriers: i64 = list(explanation, "carriers").iter().map(|carrier| integer(carrier, "co2e_ug")).sum();
    assert_eq!(carriers, integer(explanation, "co2e_ug"));
}

#[test]
fn after_harsh_days_every_chain_adds_up_and_ends_at_what_is_shown() {
    let folder = folder();
    let data = folder.path().join("data");
    let played =
        run(&["demo", "--history", "0", "--days", "2", "--faults", "harsh", "--seed", "4", "--speed", "max", "--data", path(&data)]);
    assert!(played.status.success(), "{}", text(&played.stderr));
    for entity in ["qingdao-hightech", "E-FACTORY-01", "E-HOSPITAL-01", "E-BATTERY-01", "E-ENERGY-01", "E-PV-01"] {
        for hour in ["2026-01-01T03", "2026-01-01T14", "2026-01-02T10"] {
            let explanation = explained(&data, entity, &format!("{hour}:16:01"));
            assert!(!list(&explanation, "carriers").is_empty(), "{entity} {hour}: nothing is explained");
            assert_chain(&explanation);
            for carrier in list(&explanation, "carriers") {
                let (from, to) = (carrier["from"].as_str().unwrap(), carrier["to"].as_str().unwrap());
                let shown = show(&data, &["carbon", "--by", "15min", "--entity", entity, "--from", from, "--to", to]);
                let of = |row: &&Row| row["carrier"] == carrier["carrier"] && row["method"] == "location";
                let kg: f64 = shown.iter().filter(of).map(|row| row["kg_co2e"].as_f64().unwrap()).sum();
                let co2 = list(carrier, "factors").first().map_or(0, |factor| integer(factor, "co2e_ug"));
                assert!((kg - co2 as f64 / 1e9).abs() <= 1e-9 * kg.abs().max(1.0), "{entity} {from}: {kg}, explained {co2} µg");
            }
        }
    }
}
