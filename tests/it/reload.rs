//! A zone folder that changes while its collector runs.

use std::path::Path;

use nengtan::config::zone_folder;
use nengtan::engine::Engine;

use crate::harness::collector::Collector;
use crate::harness::ledger::{count, refusals};
use crate::harness::mosquitto::Mosquitto;
use crate::harness::plant::{Plant, WALL};
use crate::harness::publisher::Publisher;
use crate::harness::zone::{self, ZONE, at, meter, reading, telemetry};
use crate::harness::{SOON, folder, until};

const TAKEN: &str = "the zone folder is taken over";
const KEPT: &str = "the zone folder is not taken over";

fn alerts(limit_kw: u32) -> String {
    format!(
        "[[threshold]]\nrule = \"load\"\nname_en = \"Load high\"\nname_zh = \"负载过高\"\nseverity = \"warning\"\non = \"gauge\"\n\
         item = \"active_power_kw\"\nraise_above = {limit_kw}.0\nclear_below = {}.0\nhold_s = 0\n",
        limit_kw - 20
    )
}

/// 15 minutes a step; the register goes up by 10 kWh.
fn step(gateway: &mut Publisher, name: &str, quarter: u32, kw: u32) {
    let text = reading(name, 15 * quarter, 10 * quarter + 1, 10 * quarter);
    let text = text.replace("}}", &format!(r#","active_power_kw":{kw}}}}}"#));
    gateway.publish(&telemetry("GW-1"), text);
    gateway.clock(&at(15 * quarter));
}

#[test]
fn a_changed_folder_is_taken_over_and_a_faulty_one_is_told_and_left() {
    let folder = folder();
    let zone = zone::write(folder.path(), &[meter("a")], &alerts(100));
    let (broker, data) = (Mosquitto::start(), folder.path().join("data"));
    let collector = Collector::start(&zone, &data, &broker.url());
    let told = |what: &str| collector.stderr().matches(what).count();
    let mut gateway = Publisher::connect(broker.port(), ZONE);
    gateway.clock(&at(0));
    step(&mut gateway, "a", 0, 50);
    step(&mut gateway, "b", 0, 50);
    assert_eq!(refusals(&data, "unknown_meter"), 1);

    // A meter more and another limit: seen without a signal.
    zone::write(folder.path(), &[meter("a"), meter("b")], &alerts(200));
    until(SOON, "the changed folder is taken over", || (told(TAKEN) == 1).then_some(()));
    for quarter in 1..5 {
        step(&mut gateway, "a", quarter, 150);
        step(&mut gateway, "b", quarter, 150);
    }
    assert_eq!(gateway.heard("alert/load"), Vec::<String>::new(), "150 kW are no more than 200");
    step(&mut gateway, "b", 5, 250);
    assert_eq!(gateway.heard("alert/load/M-b").len(), 1);

    // A faulty line: told with file and line, and the collector goes on as before.
    let meters = std::fs::read_to_string(zone.join("meters.csv")).unwrap();
    std::fs::write(zone.join("meters.csv"), meters.replace("M-b,E-b", "M-b,E-nobody")).unwrap();
    collector.hang_up();
    until(SOON, "the fault is told", || (0 < told("meters.csv:3")).then_some(()));
    assert_eq!((0 < told(KEPT), told(TAKEN)), (true, 1));
    step(&mut gateway, "b", 6, 150);
    // A meter less would take its part out of all earlier sums.
    zone::write(folder.path(), &[meter("b")], &alerts(200));
    collector.hang_up();
    until(SOON, "the missing meter is told", || (0 < told("of meter M-a is gone from meters.csv")).then_some(()));
    step(&mut gateway, "a", 6, 50);
    // The collector's time zone cannot change under its days.
    let text = std::fs::read_to_string(zone.join("zone.toml")).unwrap();
    zone::write(folder.path(), &[meter("a"), meter("b")], &alerts(200));
    std::fs::write(zone.join("zone.toml"), text.replace("Asia/Shanghai", "Asia/Tokyo")).unwrap();
    collector.hang_up();
    until(SOON, "the time zone is told", || (0 < told("time_zone in zone.toml has changed")).then_some(()));
    assert_eq!(told(TAKEN), 1);
    // Back to the good one, and on.
    zone::write(folder.path(), &[meter("a"), meter("b")], &alerts(200));
    collector.hang_up();
    until(SOON, "the good folder is taken over", || (1 < told(TAKEN)).then_some(()));
    step(&mut gateway, "a", 7, 50);
    step(&mut gateway, "b", 7, 150);

    // From the first reading to the last, whatever was read in between: a from 0 to 70 kWh, b from 10 to 70.
    let kwh = |entity: &str| count(&data, &format!("SELECT CAST(SUM(kwh) AS INTEGER) FROM energy WHERE entity = '{entity}'"));
    assert_eq!((kwh("E-a"), kwh("E-b"), kwh(ZONE)), (70, 60, 130));
    let alerts = gateway.heard("alert/load/M-b");
    assert!(alerts.len() == 2 && alerts[1].contains("cleared"), "{alerts:?}");

    // A rule that is gone while its alert fires: nothing would ever clear it.
    step(&mut gateway, "b", 8, 300);
    assert_eq!(gateway.heard("alert/load/M-b").len(), 3);
    std::fs::remove_file(zone.join("alerts.toml")).unwrap();
    let before = told(TAKEN);
    collector.hang_up();
    until(SOON, "the folder without rules is taken over", || (before < told(TAKEN)).then_some(()));
    gateway.clock(&at(130));
    let alerts = gateway.heard("alert/load/M-b");
    assert!(alerts.len() == 4 && alerts[3].contains("cleared"), "{alerts:?}");
    collector.stop();
}

/// Readings are kept after the multiplier: with another one, register and ledger would say different things. A register that was never read may change.
#[test]
fn another_multiplier_for_a_register_that_was_read_is_refused_at_a_reload_and_at_a_start() {
    const KWH: &str = "active_energy_import_kwh";
    let meters = ["M-1", "M-2"].map(|meter| format!("{meter} E-1 - entry yes electricity {KWH} import kwh 0.01 4000"));
    let mut plant = Plant::new("", &["E-1"], &meters.each_ref().map(|meter| &**meter));
    let mut engine = plant.open();
    plant.read(&mut engine, &[("M-1", KWH, "2026-01-05T00:00:00+08:00", 0.0), ("M-1", KWH, "2026-01-05T01:00:00+08:00", 100.0)]);
    let lines = std::fs::read_to_string(plant.zone().join("meters.csv")).unwrap();
    let doubled = |meter: &str| {
        let line = lines.lines().find(|line| line.starts_with(meter)).unwrap();
        plant.write("meters.csv", &lines.replace(line, &line.replace("kwh,0.01,1,", "kwh,0.01,2,")));
        zone_folder::load(&plant.zone()).unwrap()
    };
    let told = |error: String| {
        assert!(error.contains("M-1 was read at 1000.0 Wh per unit of its display") && error.contains("it is 2000.0"), "{error}");
    };
    let read = doubled("M-1");
    told(engine.welcomes(&read.zone, &read.factors).unwrap_err().to_string());
    let unread = doubled("M-2");
    engine.welcomes(&unread.zone, &unread.factors).unwrap();
    drop(engine);
    let read = doubled("M-1");
    told(Engine::open(&plant.data(), read.zone, (read.factors, read.tariff), read.alert_rules, WALL).unwrap_err().to_string());
    doubled("M-2");
    drop(plant.open());
    assert_eq!(count(&plant.data(), "SELECT CAST(SUM(kwh) AS INTEGER) FROM energy WHERE entity = 'E-1'"), 100);
}

/// A zone's own sets beside its folder: kg CO2 and CNY of a kWh at any hour.
fn write_sets(folder: &Path, kg: &str, cny: &str) {
    let known = "recorded = \"2024\"\nsource = \"example\"\nconfidence = \"low\"\n";
    let factors = format!(
        "id = \"own\"\nkj_per_kgce = 29307.6\n[[grid]]\nyear = 2023\n{known}[grid.average_kg_per_kwh]\nCN = {kg}\n\
         [[coal]]\nregion = \"CN\"\nyear = 2020\nper = \"kWh\"\n{known}[coal.kgce]\nelectricity_calorific = 0.1229\nelectricity_primary = 0.2\n"
    );
    std::fs::write(folder.join("factors.toml"), factors).unwrap();
    let tariff = format!("id = \"own\"\n[[electricity]]\nfrom = \"2026-01-01\"\n{known}floating_cny_per_kwh = {cny}\n");
    std::fs::write(folder.join("tariff.toml"), tariff).unwrap();
}

#[test]
fn changed_factors_and_prices_are_taken_over_and_faulty_ones_and_faulty_rules_are_not() {
    let folder = folder();
    let zone = zone::write(folder.path(), &[meter("a"), meter("b")], &alerts(100));
    let profile = std::fs::read_to_string(zone.join("zone.toml")).unwrap();
    std::fs::write(zone.join("zone.toml"), profile + "factors = \"../factors.toml\"\ntariff = \"../tariff.toml\"\n").unwrap();
    write_sets(folder.path(), "0.5", "1.0");
    let (broker, data) = (Mosquitto::start(), folder.path().join("data"));
    let collector = Collector::start(&zone, &data, &broker.url());
    let told = |what: &str| collector.stderr().matches(what).count();
    let mut gateway = Publisher::connect(broker.port(), ZONE);
    // 10 kWh in a day's first hour, from what the register stood at, at a load.
    let mut hour = |name: &str, day: &str, from_kwh: u32, kw: u32| {
        for (time, kwh) in [("00:00", from_kwh), ("01:00", from_kwh + 10)] {
            let at = format!("{day}T{time}:00+08:00");
            gateway.clock(&at);
            let values = format!(r#"{{"active_energy_import_kwh":{kwh},"active_power_kw":{kw}}}"#);
            let seq = from_kwh + kwh + 1;
            let text = format!(r#"{{"meter":"M-{name}","at":"{at}","seq":{seq},"values":{values}}}"#);
            gateway.publish(&telemetry("GW-1"), text);
            gateway.clock(&at);
        }
        gateway.heard(&format!("alert/load/M-{name}")).len()
    };
    let thousandths = |view: &str, column: &str, entity: &str| {
        count(&data, &format!("SELECT CAST(ROUND(1000 * SUM({column})) AS INTEGER) FROM {view} WHERE entity = '{entity}'"))
    };
    let made_with = |entity: &str| (thousandths("carbon", "kg_co2e", entity), thousandths("cost", "cny", entity));

    // Files outside of the folder, seen without a signal.
    write_sets(folder.path(), "0.6", "2.0");
    until(SOON, "the changed sets are taken over", || (told(TAKEN) == 1).then_some(()));
    assert_eq!(hour("a", "2026-01-05", 0, 50), 0);
    assert_eq!(made_with("E-a"), (6_000, 20_000));

    // Faults: told with file and line, and the old ones hold.
    write_sets(folder.path(), "\"much\"", "9.0");
    std::fs::write(zone.join("alerts.toml"), alerts(30).replace("warning", "frightening")).unwrap();
    collector.hang_up();
    until(SOON, "both faults are told", || (0 < told("factors.toml:9") && 0 < told("alerts.toml:5")).then_some(()));
    assert_eq!((0 < told(KEPT), told(TAKEN)), (true, 1));
    assert_eq!(hour("a", "2026-01-06", 10, 90), 0, "90 kW are above the faulty file's limit and below the old one's");
    assert_eq!(hour("a", "2026-01-07", 20, 150), 1);
    assert_eq!(made_with("E-a"), (18_000, 60_000));

    // Mended: a year and a day without figures take the new ones; this year keeps what it began with.
    write_sets(folder.path(), "0.7", "3.0");
    std::fs::write(zone.join("alerts.toml"), alerts(30)).unwrap();
    collector.hang_up();
    until(SOON, "the mended sets are taken over", || (told(TAKEN) == 2).then_some(()));
    assert_eq!(hour("b", "2027-01-05", 0, 50), 1);
    assert_eq!(made_with("E-b"), (7_000, 30_000));
    assert_eq!(made_with("E-a"), (18_000, 60_000));
    collector.stop();
}
