//! Collectors that are killed: in a harsh run of three processes against the fleet's truth, and at the one moment that matters most.

use crate::harness::collector::Collector;
use crate::harness::fleet::Fleet;
use crate::harness::ledger::{count, refusals, stored, verify};
use crate::harness::mosquitto::Mosquitto;
use crate::harness::proxy::Proxy;
use crate::harness::publisher::Publisher;
use crate::harness::zone::{self, ZONE, at, meter, reading, telemetry};
use crate::harness::{LONG, SOON, folder, path, repository, until};

const READINGS: &str = "SELECT COUNT(*) FROM every_reading WHERE verdict IS NOT NULL";

/// A collector that packs history.
fn packing(zone: &std::path::Path, data: &std::path::Path, url: &str) -> Collector {
    let collector = Collector::spawn_with(zone, data, url, &[], &[("NENGTAN__BATCH__PACK", "yes")]);
    collector.await_ready();
    collector
}

#[test]
fn a_collector_killed_twice_and_a_restarted_broker_lose_nothing() {
    let folder = folder();
    let zone = repository("config/zones/qingdao-hightech");
    let (data, truth) = (folder.path().join("data"), folder.path().join("truth.jsonl"));
    let mut broker = Mosquitto::start();
    let url = broker.url();
    let collector = packing(&zone, &data, &url);
    let arguments = ["run", "--zone", path(&zone), "--broker", &url, "--seed", "11", "--faults", "harsh", "--speed", "max"];
    let arguments = [&arguments[..], &["--days", "3", "--truth", path(&truth)]].concat();
    let mut fleet = Fleet::spawn(&arguments, &folder.path().join("fleet.stderr"));
    let mut await_count = |of: &str, wanted: i64| {
        until(LONG, of, || {
            assert!(!fleet.has_ended(), "the fleet ended early: {}", fleet.stderr());
            stored(&data, of).filter(|seen| wanted <= *seen)
        })
    };
    // Three days are about 115,000 readings; the first is packed from the second evening on.
    await_count(READINGS, 15_000);
    collector.kill_9();
    let collector = packing(&zone, &data, &url);
    // Slices of history are being packed between commits.
    await_count("SELECT COUNT(*) FROM packed_row", 20);
    collector.kill_9();
    let collector = packing(&zone, &data, &url);
    await_count(READINGS, 70_000);
    broker.stop();
    broker.start_again();
    fleet.finish();
    collector.stop();
    let (code, told) = verify(&data, &truth);
    assert_eq!(code, Some(0), "{told}");
}

/// `PUBACK`s among whole packets of MQTT (5.0, 2.1): a byte whose upper half is 4, a length, and as many bytes.
fn acknowledgements(mut bytes: &[u8]) -> usize {
    let mut found = 0;
    while let [kind, length, rest @ ..] = bytes {
        assert!(*length < 128, "what a collector sends beside publications is short");
        found += usize::from(kind >> 4 == 4);
        bytes = rest.get(usize::from(*length)..).unwrap_or_default();
    }
    found
}

#[test]
fn a_collector_killed_between_commit_and_acknowledgement_loses_and_doubles_nothing() {
    let folder = folder();
    let zone = zone::write(folder.path(), &[meter("a")], "");
    let (broker, data) = (Mosquitto::start(), folder.path().join("data"));
    let proxy = Proxy::start(broker.port());
    let collector = Collector::start(&zone, &data, &proxy.url("mqtt"));
    let mut gateway = Publisher::connect(broker.port(), ZONE);
    gateway.clock(&at(60));
    // One reading a minute: 60 kWh an hour.
    let mut load = |minutes: std::ops::Range<u32>| {
        for minute in minutes {
            gateway.publish(&telemetry("GW-1"), reading("a", minute, minute + 1, minute));
        }
    };
    load(0..20);
    until(SOON, "the first are stored", || stored(&data, READINGS).filter(|seen| *seen == 20));
    proxy.swallow(true);
    load(20..40);
    until(SOON, "the ledger has what the broker knows nothing of", || {
        stored(&data, READINGS).filter(|seen| *seen == 40 && 20 <= acknowledgements(&proxy.swallowed()))
    });
    collector.kill_9();
    let collector = Collector::start(&zone, &data, &broker.url());
    assert!(collector.stderr().contains("session_present=true"), "{}", collector.stderr());
    load(40..50);
    gateway.clock(&at(60));
    assert!(20 <= refusals(&data, "duplicates"), "what was not acknowledged came again");
    assert_eq!(count(&data, "SELECT COUNT(*) FROM reading"), 50);
    assert_eq!(count(&data, "SELECT CAST(ROUND(SUM(kwh)) AS INTEGER) FROM energy WHERE entity = 'E-a'"), 49);
    collector.stop();
}
