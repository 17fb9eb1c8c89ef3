//! What people who run the collector see: metrics, health, logs for machines, a copy to go on from.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use crate::harness::collector::Collector;
use crate::harness::ledger::{assert_same, count, dump};
use crate::harness::mosquitto::Mosquitto;
use crate::harness::publisher::Publisher;
use crate::harness::zone::{self, ZONE, at, meter, reading, telemetry};
use crate::harness::{SOON, folder, path, repository, run, skipped, text, until};

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
    let Some(told) = verify(&unit) else { return skipped(name, "systemd-analyze is not on the PATH") };
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
