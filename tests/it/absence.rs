//! The collector is away, the broker loses what it had taken, `InfluxDB` is away for long: nothing is lost, and memory stays bounded.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::harness::collector::Collector;
use crate::harness::fleet::Fleet;
use crate::harness::influxd::TOKEN;
use crate::harness::ledger::{Row, count, stored};
use crate::harness::mosquitto::Mosquitto;
use crate::harness::publisher::Publisher;
use crate::harness::zone::{self, ZONE, at, meter, telemetry};
use crate::harness::{LONG, Process, SOON, folder, path, repository, run, until};

const READINGS: &str = "SELECT COUNT(*) FROM every_reading WHERE verdict IS NOT NULL";

/// `fleet scale` to its end.
fn load(folder: &Path, arguments: &[&str]) {
    Fleet::spawn(&[&["scale"], arguments].concat(), &folder.join("fleet.stderr")).finish();
}

/// The zone of `meters` alike meters.
fn zone_of(folder: &Path, meters: &str) -> PathBuf {
    let zone = folder.join("zone");
    load(folder, &["--meters", meters, "--duration", "0", "--write-zone", path(&zone)]);
    zone
}

#[test]
fn an_hour_without_the_collector_loses_nothing() {
    let folder = folder();
    let zone = zone_of(folder.path(), "388");
    let data = folder.path().join("data");
    let broker = Mosquitto::start();
    Collector::start(&zone, &data, &broker.url()).stop();
    // 3,600 s, as many meters as the Qingdao zone has, a reading a minute, each a message of its own: 23 times what Mosquitto keeps by default.
    let minutely = ["--meters", "388", "--interval", "60", "--duration", "3600", "--per-message", "1"];
    load(folder.path(), &[&minutely[..], &["--broker", &broker.url()]].concat());
    let collector = Collector::start(&zone, &data, &broker.url());
    let wanted = 388 * 61;
    until(LONG, "all is there", || stored(&data, READINGS).filter(|seen| wanted <= *seen));
    assert!(collector.stderr().contains("session_present=true"), "{}", collector.stderr());
    collector.stop();
    assert_eq!(count(&data, READINGS), wanted);
    assert_eq!(count(&data, "SELECT COUNT(*) FROM refusal_row"), 0);
}

#[test]
fn what_a_killed_broker_had_not_saved_is_asked_for_and_comes_again() {
    let folder = folder();
    let zone = repository("config/zones/qingdao-hightech");
    let (data, truth) = (folder.path().join("data"), folder.path().join("truth.jsonl"));
    let mut broker = Mosquitto::forgetful();
    let url = broker.url();
    let flags = ["--log-level", "debug"];
    let start = || {
        let collector = Collector::spawn(&zone, &data, &url, &flags);
        collector.await_ready();
        collector
    };
    let collector = start();
    // A quarter of an hour takes an eighth of a second, and nobody waits for the collector.
    let arguments =
        ["run", "--zone", path(&zone), "--broker", &url, "--seed", "3", "--speed", "7200", "--days", "1", "--truth", path(&truth)];
    let mut fleet = Fleet::spawn(&arguments, &folder.path().join("fleet.stderr"));
    until(LONG, "a few hours are stored", || {
        assert!(!fleet.has_ended(), "the fleet ended early: {}", fleet.stderr());
        stored(&data, READINGS).filter(|seen| 5_000 <= *seen)
    });
    collector.stop();
    // Some steps that the broker acknowledges and keeps for the collector, in memory only.
    let mut listener = Command::new("mosquitto_sub");
    listener.args(["-p", &broker.port().to_string(), "-t", "nengtan/qingdao-hightech/clock", "-C", "8"]).stdout(Stdio::null());
    Process(listener.spawn().unwrap()).wait(LONG, "eight ticks of the clock");
    broker.kill_9();
    broker.start_again();
    let collector = start();
    // At the very first start there was none, either.
    assert_eq!(collector.stderr().matches("session_present=false").count(), 2, "{}", collector.stderr());
    fleet.finish();
    assert!(collector.stderr().contains("asking for missing readings"), "nothing was lost, so nothing is proved");
    collector.stop();
    let verified = run(&["verify", "--data", path(&data), "--truth", path(&truth), "--output", "json"]);
    let checks: Vec<Row> = serde_json::from_slice(&verified.stdout).unwrap();
    assert!(8 < checks.len(), "{checks:?}");
    // At this speed the kill is an hour without readings: the collector says so, and the truth knows nothing of brokers.
    for check in checks.iter().filter(|check| check["check"] != "alerts raised are the alerts owed") {
        assert_eq!(check["holds"], "yes", "{checks:?}");
    }
}

#[test]
fn a_broker_that_has_lost_its_retained_alerts_gets_those_that_fire_again() {
    let folder = folder();
    let alerts = "[[threshold]]\nrule = \"load\"\nname_en = \"Load high\"\nname_zh = \"负载过高\"\nseverity = \"warning\"\non = \"gauge\"\n\
                  item = \"active_power_kw\"\nraise_above = 100.0\nclear_below = 80.0\nhold_s = 0\n";
    let zone = zone::write(folder.path(), &[meter("a"), meter("b")], alerts);
    let mut broker = Mosquitto::forgetful();
    let collector = Collector::start(&zone, &folder.path().join("data"), &broker.url());
    let mut gateway = Publisher::connect(broker.port(), ZONE);
    gateway.clock(&at(0));
    let load = |name: &str, seq: u32, kw: u32| {
        let at = at(seq);
        format!(r#"{{"meter":"M-{name}","at":"{at}","seq":{seq},"values":{{"active_power_kw":{kw}}}}}"#)
    };
    for (name, seq, kw) in [("a", 1, 150), ("b", 2, 120), ("b", 3, 50)] {
        gateway.publish(&telemetry("GW-1"), load(name, seq, kw));
    }
    gateway.clock(&at(4));
    let told = gateway.heard("alert/load/M-a");
    assert_eq!((told.len(), gateway.heard("alert/load/M-b").len()), (1, 2));
    drop(gateway);
    broker.kill_9();
    broker.start_again();
    until(SOON, "the collector is back without a session", || {
        (1 < collector.stderr().matches("session_present=false").count()).then_some(())
    });
    let gateway = Publisher::connect(broker.port(), ZONE);
    until(SOON, "the alert is there again", || (gateway.heard("alert/load/M-a") == told).then_some(()));
    assert_eq!(gateway.heard("alert/load/M-b"), Vec::<String>::new(), "what does not fire is not told");
    collector.stop();
}

/// Resident memory of a collector in KiB after it has stored all of `fleet scale`'s readings.
fn resident_kib(flags: &[&str]) -> i64 {
    /// 40 meters to a message, a reading a minute: 200,000 readings, some 25 MB as lines.
    const MINUTES: i64 = 500;
    let folder = folder();
    let zone = zone_of(folder.path(), "400");
    let data = folder.path().join("data");
    let broker = Mosquitto::start();
    let collector = Collector::spawn_with(&zone, &data, &broker.url(), flags, &[("INFLUX_TOKEN", TOKEN)]);
    collector.await_ready();
    let duration = (MINUTES * 60).to_string();
    load(
        folder.path(),
        &["--meters", "400", "--interval", "60", "--duration", &duration, "--per-message", "40", "--broker", &broker.url()],
    );
    until(LONG, "all is stored", || stored(&data, READINGS).filter(|seen| 400 * (MINUTES + 1) <= *seen));
    let resident = collector.resident_kib();
    if !flags.is_empty() {
        assert!(200_000 <= stored(&data, "SELECT SUM(lines) FROM outbox_row").unwrap(), "all of it waits");
    }
    collector.stop();
    resident
}

#[test]
fn a_backlog_for_influxdb_grows_on_disk_and_not_in_memory() {
    // Nobody listens at port 9.
    let without = resident_kib(&[]);
    // One look at a process beside other tests is noisy upwards; a backlog in memory would be in each of three.
    let flags = ["--influx", "http://127.0.0.1:9", "--org", "zone", "--bucket", "energy"];
    let waiting = (0..3).map(|_| resident_kib(&flags)).min().unwrap();
    println!("resident: {without} KiB without InfluxDB, {waiting} KiB with 200,000 readings waiting for it");
    assert!(waiting - without < 12 * 1024, "{without} KiB without InfluxDB, {waiting} KiB with 200,000 readings waiting for it");
}
