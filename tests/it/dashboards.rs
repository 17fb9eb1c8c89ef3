//! What is deployed beside the collector: each question of each Grafana dashboard has an answer on a real server, and the health check tells ready from not.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::harness::collector::Collector;
use crate::harness::influxd::{BUCKET, Influxd, ORG};
use crate::harness::ledger::query;
use crate::harness::mosquitto::Mosquitto;
use crate::harness::zone::{self, meter};
use crate::harness::{SOON, folder, path, repository, until};

const ZONE: &str = "qingdao-hightech";
/// An entity with electricity all day.
const ENTITY: &str = "E-HOSPITAL-01";
/// The live part of the demo's first day.
const FROM: &str = "2025-12-31T16:00:00Z";
const TO: &str = "2026-01-01T16:00:00Z";

struct Dashboard {
    file: String,
    content: Value,
}

fn dashboards() -> Vec<Dashboard> {
    let folder = std::fs::read_dir(repository("deploy/grafana/dashboards")).unwrap();
    let files: BTreeSet<PathBuf> = folder.map(|entry| entry.unwrap().path()).collect();
    let read = |file: &PathBuf| Dashboard {
        file: file.file_name().unwrap().to_str().unwrap().to_owned(),
        content: serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap(),
    };
    files.iter().map(read).collect()
}

fn list<'v>(value: &'v Value, at: &str) -> &'v Vec<Value> {
    value.pointer(at).and_then(Value::as_array).unwrap_or_else(|| panic!("no list at {at}"))
}

/// The script as Grafana sends it: its data source's names and times in the place of `v.…`, and the dashboard's variables.
fn as_sent(script: &str) -> String {
    let names = [
        ("v.timeRangeStart", FROM),
        ("v.timeRangeStop", TO),
        ("v.defaultBucket", &format!("\"{BUCKET}\"")),
        ("v.organization", &format!("\"{ORG}\"")),
        ("v.windowPeriod", "900000ms"),
        ("${zone}", ZONE),
        ("${entity}", ENTITY),
        ("${time_zone}", "Asia/Shanghai"),
    ];
    let sent = names.iter().fold(script.to_owned(), |script, (name, value)| script.replace(name, value));
    assert!(!sent.contains("${") && !sent.contains("v."), "a name that Grafana or the test does not know: {script}");
    sent
}

#[test]
fn every_panel_asks_the_provisioned_source_with_known_variables() {
    let provisioned = std::fs::read_to_string(repository("deploy/grafana/provisioning/datasources/influxdb.yaml")).unwrap();
    let uid = provisioned.lines().find_map(|line| line.trim().strip_prefix("uid: ")).unwrap();
    let dashboards = dashboards();
    let uids: Vec<&str> = dashboards.iter().map(|dashboard| dashboard.content["uid"].as_str().unwrap()).collect();
    assert_eq!(uids, ["nengtan-alerts", "nengtan-entity", "nengtan-quality", "nengtan-zone"]);
    for Dashboard { file, content } in &dashboards {
        let variables: BTreeSet<&str> = list(content, "/templating/list").iter().map(|v| v["name"].as_str().unwrap()).collect();
        let mut ids = BTreeSet::new();
        for panel in list(content, "/panels") {
            assert!(ids.insert(panel["id"].as_i64().unwrap()), "{file}: panel {} twice", panel["id"]);
            assert!(!panel["title"].as_str().unwrap().is_ascii(), "{file}: {} has no Chinese name", panel["title"]);
            for target in list(panel, "/targets") {
                assert_eq!(target["datasource"]["uid"].as_str(), Some(uid), "{file}: {}", panel["title"]);
                let script = target["query"].as_str().unwrap();
                let used = script.split("${").skip(1).map(|rest| rest.split('}').next().unwrap());
                let unknown: Vec<&str> = used.filter(|name| !variables.contains(name)).collect();
                assert!(unknown.is_empty(), "{file}: {} uses {unknown:?}", panel["title"]);
            }
        }
        // Links lead to dashboards that are there.
        for link in list(content, "/links") {
            let leads = link["url"].as_str().unwrap().trim_start_matches("/d/");
            assert!(uids.contains(&leads), "{file}: {leads}");
        }
    }
}

#[test]
fn every_question_of_every_dashboard_has_rows_after_a_day_of_the_demo() {
    let Some(server) = Influxd::start("every_question_of_every_dashboard_has_rows_after_a_day_of_the_demo") else { return };
    let folder = folder();
    let data = folder.path().join("data");
    server.told(&["demo", "--history", "0", "--days", "1", "--faults", "harsh", "--seed", "6", "--speed", "max", "--data", path(&data)]);
    let mut answers = BTreeMap::new();
    for Dashboard { file, content } in dashboards() {
        for variable in list(&content, "/templating/list").iter().filter(|variable| variable["type"] == "query") {
            let rows = server.flux(&as_sent(variable["query"]["query"].as_str().unwrap()));
            let wanted = if variable["name"] == "zone" { ZONE } else { ENTITY };
            assert!(rows.iter().any(|row| row["_value"] == wanted), "{file}: {}", variable["name"]);
        }
        for panel in list(&content, "/panels") {
            let title = panel["title"].as_str().unwrap();
            for target in list(panel, "/targets") {
                let rows = server.flux(&as_sent(target["query"].as_str().unwrap()));
                // The first column of the CSV is for annotations.
                let is_whole = |row: &BTreeMap<String, String>| row.iter().all(|(name, cell)| name.is_empty() || !cell.is_empty());
                assert!(rows.iter().any(is_whole), "{file}: {title} has no whole row of {}", rows.len());
                answers.insert((file.clone(), title.to_owned()), rows);
            }
        }
    }
    // What people read first is what the ledger says.
    let number = |file: &str, title: &str| {
        let found = answers.iter().find(|((of, name), _)| of == file && name == title);
        let rows = found.unwrap_or_else(|| panic!("no panel {title} in {file}")).1;
        assert_eq!(rows.len(), 1, "{file}: {title}");
        rows[0]["_value"].parse::<f64>().unwrap_or_else(|_| panic!("{file}: {title}: {rows:?}"))
    };
    let ledger = |sql: &str| query(&data, sql)[0]["n"].as_f64().unwrap();
    let live = "ts >= 1767196800000 AND ts < 1767283200000";
    let cases = [
        (
            "zone.json",
            "Electricity 用电量",
            format!("SELECT SUM(kwh) AS n FROM energy WHERE entity = '{ZONE}' AND carrier = 'electricity' AND {live}"),
        ),
        (
            "zone.json",
            "Carbon, location-based 碳排放（基于位置）",
            format!("SELECT SUM(kg_co2e) / 1000 AS n FROM carbon WHERE entity = '{ZONE}' AND method = 'location' AND {live}"),
        ),
        (
            "entity.json",
            "Carbon, location-based 碳排放（基于位置）",
            format!("SELECT SUM(kg_co2e) AS n FROM carbon WHERE entity = '{ENTITY}' AND method = 'location' AND {live}"),
        ),
        (
            "quality.json",
            "Meters heard 有数表计",
            format!("SELECT COUNT(DISTINCT meter) AS n FROM reading WHERE value IS NOT NULL AND {live}"),
        ),
        (
            "alerts.json",
            "Firing at the end of the time 期末活动告警",
            format!("SELECT COUNT(*) AS n FROM alert WHERE state = 'firing' AND {live}"),
        ),
    ];
    for (file, title, sql) in cases {
        let (seen, wanted) = (number(file, title), ledger(&sql));
        assert!((seen - wanted).abs() <= 1e-9 * wanted.abs(), "{file}: {title}: {seen}, the ledger has {wanted}");
    }
}

#[test]
fn the_health_check_of_the_image_tells_ready_from_not() {
    let folder = folder();
    let zone = zone::write(folder.path(), &[meter("a")], "");
    let mut broker = Mosquitto::start();
    let collector = Collector::spawn(&zone, &folder.path().join("data"), &broker.url(), &["--http", "127.0.0.1:0", "--log-format", "json"]);
    collector.await_ready();
    let logged = collector.stderr();
    let address = logged.lines().find_map(|line| serde_json::from_str::<Value>(line).unwrap()["address"].as_str().map(str::to_owned));
    let address = address.unwrap();
    let healthy = || Command::new(repository("deploy/nengtan-healthy")).arg(&address).output().unwrap().status.success();
    assert!(healthy());
    broker.stop();
    until(SOON, "it is not healthy without a broker", || (!healthy()).then_some(()));
    broker.start_again();
    until(SOON, "it is healthy again", || healthy().then_some(()));
    collector.stop();
    assert!(!healthy(), "nobody answers");
}
