//! A harsh run of three processes, with a collector that is killed, once while it packs history, and a restarted broker, against the fleet's truth.

use crate::harness::collector::Collector;
use crate::harness::fleet::Fleet;
use crate::harness::ledger::{stored, verify};
use crate::harness::mosquitto::Mosquitto;
use crate::harness::{LONG, folder, path, repository, until};

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
