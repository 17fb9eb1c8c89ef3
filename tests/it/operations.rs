//! What people who run the collector see: metrics, health, logs for machines, a copy to go on from.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use crate::harness::collector::Collector;
use crate::harness::fleet::Fleet;
use crate::harness::ledger::{Row, assert_same, count, dump, query, stored};
use crate::harness::mosquitto::Mosquitto;
use crate::harness::publisher::Publisher;
use crate::harness::zone::{self, ZONE, at, meter, reading, telemetry};
use crate::harness::{LONG, SOON, folder, path, repository, run, skipped, text, until};

const READINGS: &str = "SELECT COUNT(*) FROM every_reading WHERE verdict IS NOT NULL";

/// Status and body.
pub fn get(address: &str, at: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(format!("GET {at} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// The value of a metric without labels.
pub fn metric(text: &str, name: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

/// By Prometheus' rules for names: a counter, and nothing else, ends in `_total`; a gauge that is not a count has its base unit. A new gauge is entered here.
pub fn assert_named_by_base_units(metrics: &str) {
    const GAUGES: [&str; 4] =
        ["nengtan_broker_connected", "nengtan_influx_backlog_keys", "nengtan_influx_backlog_lines", "nengtan_influx_delay_seconds"];
    let others = ["ms", "milliseconds", "us", "microseconds", "ns", "minutes", "hours", "kb", "kib", "kilobytes", "mb", "mib", "percent"];
    let types: Vec<&str> = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    for declared in &types {
        let (name, kind) = declared.split_once(' ').unwrap();
        let is_well_named = match kind {
            "counter" => name.ends_with("_total"),
            "gauge" => GAUGES.contains(&name),
            _ => false,
        };
        assert!(is_well_named && name.starts_with("nengtan_"), "{declared}");
        assert_eq!(name.split('_').find(|word| others.contains(word)), None, "{name}");
    }
    assert!(4 <= types.len(), "{metrics}");
}

#[test]
fn metrics_count_what_came_and_readiness_names_the_broker_that_is_gone() {
    let folder = folder();
    let zone = zone::write(folder.path(), &[meter("a")], "");
    let mut broker = Mosquitto::start();
    let data = folder.path().join("data");
    let flags = ["--http", "127.0.0.1:0", "--log-format", "json"];
    let collector = Collector::spawn(&zone, &data, &broker.url(), &flags);
    collector.await_ready();
    // Each line of the log is an object.
    let logged = || -> Vec<serde_json::Value> { collector.stderr().lines().map(|line| serde_json::from_str(line).unwrap()).collect() };
    let address = logged().iter().find_map(|line| Some(line["address"].as_str()?.to_owned())).unwrap();

    let mut gateway = Publisher::connect(broker.port(), ZONE);
    gateway.clock(&at(0));
    for minute in 0..7 {
        gateway.publish(&telemetry("GW-1"), reading("a", minute, minute + 1, minute));
    }
    gateway.publish(&telemetry("GW-1"), "{");
    gateway.clock(&at(7));
    let (status, metrics) = get(&address, "/metrics");
    assert_eq!(status, 200);
    assert_eq!(metric(&metrics, "nengtan_messages_total"), Some(10.0), "{metrics}");
    assert_eq!(metric(&metrics, "nengtan_broker_connected"), Some(1.0), "{metrics}");
    let refused: Vec<&str> = metrics.lines().filter(|line| line.starts_with("nengtan_refused_total{")).collect();
    assert!(refused.len() == 1 && refused[0].ends_with("} 1"), "{metrics}");
    assert_named_by_base_units(&metrics);

    assert_eq!(get(&address, "/healthz"), (200, r#"{"status":"ok"}"#.to_owned()));
    assert_eq!(get(&address, "/readyz"), (200, r#"{"causes":[],"ready":true}"#.to_owned()));
    drop(gateway);
    broker.stop();
    let (_, told) = until(SOON, "it is not ready without a broker", || Some(get(&address, "/readyz")).filter(|(status, _)| *status == 503));
    assert!(told.contains("no connection to the broker"), "{told}");
    assert_eq!(get(&address, "/healthz").0, 200);
    broker.start_again();
    until(SOON, "it is ready again", || Some(get(&address, "/readyz")).filter(|(status, _)| *status == 200));
    assert!(2 < logged().len());
    collector.stop();
}

#[test]
fn a_collector_goes_on_from_a_backup_taken_while_another_wrote() {
    let folder = folder();
    let zone = zone::write(folder.path(), &[meter("a")], "");
    let broker = Mosquitto::start();
    let (data, copy) = (folder.path().join("data"), folder.path().join("copy"));
    let collector = Collector::start(&zone, &data, &broker.url());
    let mut gateway = Publisher::connect(broker.port(), ZONE);
    gateway.clock(&at(0));
    for quarter in 0..10 {
        gateway.publish(&telemetry("GW-1"), reading("a", 15 * quarter, quarter + 1, 25 * quarter));
        gateway.clock(&at(15 * quarter));
    }
    let backup = || run(&["backup", "--data", path(&data), "--to", path(&copy)]);
    let made = backup();
    assert!(made.status.success(), "{}", text(&made.stderr));
    assert_same(&dump(&data), &dump(&copy));
    assert_eq!(backup().status.code(), Some(2), "a copy is never overwritten");
    // The machine is lost, and what came after the copy with it: the broker keeps what nobody took.
    collector.kill_9();
    std::fs::remove_dir_all(&data).unwrap();
    gateway.publish(&telemetry("GW-1"), reading("a", 150, 11, 250));
    let collector = Collector::start(&zone, &copy, &broker.url());
    gateway.clock(&at(150));
    assert_eq!(count(&copy, "SELECT COUNT(*) FROM reading"), 11);
    // 250 kWh in 150 minutes.
    assert_eq!(count(&copy, "SELECT CAST(SUM(kwh) AS INTEGER) FROM energy WHERE entity = 'E-a'"), 250);
    collector.stop();
}

#[test]
fn a_restored_copy_gets_from_the_gateways_what_was_acknowledged_after_it() {
    let folder = folder();
    let zone = repository("config/zones/qingdao-hightech");
    let [data, copy, truth] = ["data", "copy", "truth.jsonl"].map(|name| folder.path().join(name));
    let broker = Mosquitto::start();
    let url = broker.url();
    let collector = Collector::start(&zone, &data, &url);
    let arguments =
        ["run", "--zone", path(&zone), "--broker", &url, "--seed", "3", "--speed", "max", "--days", "1", "--truth", path(&truth)];
    let mut fleet = Fleet::spawn(&arguments, &folder.path().join("fleet.stderr"));
    let mut await_readings = |wanted: i64| {
        until(LONG, "so many readings are stored", || {
            assert!(!fleet.has_ended(), "the fleet ended early: {}", fleet.stderr());
            stored(&data, READINGS).filter(|seen| wanted <= *seen)
        })
    };
    await_readings(8_000);
    let made = run(&["backup", "--data", path(&data), "--to", path(&copy)]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    await_readings(16_000);
    // The machine is lost, and with it what the broker keeps no more.
    collector.kill_9();
    let had = stored(&copy, READINGS).unwrap();
    let collector = Collector::spawn(&zone, &copy, &url, &["--log-level", "debug"]);
    collector.await_ready();
    fleet.finish();
    assert!(collector.stop().contains("asking for missing readings"), "nothing was lost, so nothing is proved");
    // Each value that the lost ledger had is there, but for the station of gauges alone: without a register it has no gaps that anyone could see.
    let values = |of: &std::path::Path| {
        let rows = query(of, "SELECT meter, item, ts, value FROM reading WHERE value IS NOT NULL AND meter <> 'HT-WX-01'");
        rows.iter().map(|row| format!("{row:?}")).collect::<BTreeSet<_>>()
    };
    let (lost, restored) = (values(&data), values(&copy));
    assert!(had + 5_000 < i64::try_from(lost.len()).unwrap(), "{had} of {}", lost.len());
    let missing: Vec<&String> = lost.difference(&restored).collect();
    assert!(missing.is_empty(), "{} are missing: {:?}", missing.len(), missing.first());
    let verified = run(&["verify", "--data", path(&copy), "--truth", path(&truth), "--output", "json"]);
    let checks: Vec<Row> = serde_json::from_slice(&verified.stdout).unwrap();
    assert!(8 < checks.len(), "{checks:?}");
    // Gateways look silent for as long as the copy lacks, and the truth knows nothing of copies.
    for check in checks.iter().filter(|check| check["check"] != "alerts raised are the alerts owed") {
        assert_eq!(check["holds"], "yes", "{checks:?}");
    }
}

#[test]
fn systemd_knows_every_key_of_the_unit() {
    let name = "systemd_knows_every_key_of_the_unit";
    let folder = folder();
    let unit = std::fs::read_to_string(repository("deploy/systemd/nengtan.service")).unwrap();
    // Where it is installed there is nothing here.
    let unit = unit.replace("/usr/local/bin/nengtan", env!("CARGO_BIN_EXE_nengtan"));
    let verify = |text: &str| {
        let file = folder.path().join("nengtan.service");
        std::fs::write(&file, text).unwrap();
        let output = Command::new("systemd-analyze").args(["verify", "--man=no", path(&file)]).output().ok()?;
        Some(String::from_utf8(output.stderr).unwrap())
    };
    let Some(told) = verify(&unit) else {
        assert!(std::env::var_os("CI").is_none(), "systemd-analyze is not on the PATH, and CI is set; apt-get install systemd");
        return skipped(name, "systemd-analyze is not on the PATH");
    };
    assert_eq!(told, "");
    let told = verify(&unit.replace("NoNewPrivileges", "NoMorePrivileges")).unwrap();
    assert!(told.contains("NoMorePrivileges"), "a wrong key would be told: {told}");
}

#[test]
fn what_gateways_were_asked_for_is_forgotten_after_a_month() {
    let folder = folder();
    let zone = zone::write(folder.path(), &[meter("a")], "");
    let (broker, data) = (Mosquitto::start(), folder.path().join("data"));
    let collector = Collector::start(&zone, &data, &broker.url());
    let mut gateway = Publisher::connect(broker.port(), ZONE);
    // Minutes after 2026-01-05 00:00 +08:00.
    let moment = |minute: u32| (jiff::Timestamp::from_second(1_767_542_400).unwrap() + jiff::Span::new().minutes(minute)).to_string();
    let mut play = |day: u32| {
        for (number, minute) in [0, 15, 90, 105].into_iter().enumerate() {
            let minute = day * 1440 + minute;
            let at = moment(minute);
            gateway.clock(&at);
            let seq = minute + number as u32 + 1;
            let payload = format!(r#"{{"meter":"M-a","at":"{at}","seq":{seq},"values":{{"active_energy_import_kwh":{minute}}}}}"#);
            gateway.publish(&telemetry("GW-1"), payload);
        }
        gateway.clock(&moment(day * 1440 + 180));
        count(&data, "SELECT COUNT(*) FROM backfill_row")
    };
    // From the second on, the days in between are a gap, too.
    assert_eq!([play(0), play(25), play(50)], [1, 3, 4]);
    collector.stop();
}
