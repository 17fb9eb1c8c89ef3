//! What people who run the collector see: metrics, health, logs for machines, a copy to go on from.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::harness::collector::Collector;
use crate::harness::ledger::{assert_same, count, dump};
use crate::harness::mosquitto::Mosquitto;
use crate::harness::publisher::Publisher;
use crate::harness::zone::{self, ZONE, at, meter, reading, telemetry};
use crate::harness::{SOON, folder, path, run, text, until};

/// Status and body.
fn get(address: &str, at: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(format!("GET {at} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// The value of a metric without labels.
fn metric(text: &str, name: &str) -> Option<f64> {
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
