//! SIGTERM when nobody answers: the collector ends with 0 within its bound, and what was not delivered is delivered after the next start.

use crate::harness::collector::Collector;
use crate::harness::influxd::{BUCKET, Influxd, ORG, TOKEN};
use crate::harness::ledger::{count, stored};
use crate::harness::mosquitto::Mosquitto;
use crate::harness::proxy::Proxy;
use crate::harness::publisher::Publisher;
use crate::harness::zone::{self, ZONE, at, meter, reading, telemetry};
use crate::harness::{SOON, folder, until};

const WAITING: &str =
    "SELECT (SELECT COUNT(*) FROM outbox_row) + (SELECT COUNT(*) FROM outbox_key) + (SELECT COUNT(*) FROM outbox_reading)";

#[test]
fn a_silent_influxdb_and_a_broker_that_is_gone_do_not_hold_up_the_end() {
    let Some(server) = Influxd::start("a_silent_influxdb_and_a_broker_that_is_gone_do_not_hold_up_the_end") else { return };
    let folder = folder();
    let zone = zone::write(folder.path(), &[meter("a")], "");
    let data = folder.path().join("data");
    let mut broker = Mosquitto::start();
    let url = broker.url();
    // Takes connections and requests, and never answers.
    let wire = Proxy::start(server.port());
    wire.swallow(true);
    let influx = wire.url("http");
    let start = || {
        let flags = ["--influx", &influx, "--org", ORG, "--bucket", BUCKET];
        let collector = Collector::spawn_with(&zone, &data, &url, &flags, &[("INFLUX_TOKEN", TOKEN)]);
        collector.await_ready();
        collector
    };
    let collector = start();
    let load = |gateway: &mut Publisher, minutes: std::ops::Range<u32>| {
        for minute in minutes {
            gateway.publish(&telemetry("GW-1"), reading("a", minute, minute + 1, minute));
        }
    };
    let mut gateway = Publisher::connect(broker.port(), ZONE);
    gateway.clock(&at(60));
    load(&mut gateway, 0..20);
    gateway.clock(&at(60));
    until(SOON, "a write waits for its answer", || (!wire.swallowed().is_empty()).then_some(()));
    // Whether the ledger has them when the broker goes is open.
    load(&mut gateway, 20..30);
    drop(gateway);
    broker.stop();
    until(SOON, "the collector knows", || collector.stderr().contains("no connection to the broker").then_some(()));
    let told = collector.stop();
    for wanted in ["InfluxDB does not answer", "bound_s=10", "collector ended"] {
        assert!(told.contains(wanted), "{wanted}: {told}");
    }
    assert!(0 < stored(&data, WAITING).unwrap());

    wire.swallow(false);
    broker.start_again();
    let collector = start();
    let mut gateway = Publisher::connect(broker.port(), ZONE);
    gateway.clock(&at(60));
    until(SOON, "all is delivered", || stored(&data, WAITING).filter(|waiting| *waiting == 0));
    assert_eq!(count(&data, "SELECT COUNT(*) FROM reading"), 30);
    let there = server.values("reading", "active_energy_import_kwh", &["meter"]);
    assert_eq!(there.values().map(|kwh| *kwh as u32).collect::<Vec<_>>(), (0..30).collect::<Vec<_>>());
    collector.stop();
}
