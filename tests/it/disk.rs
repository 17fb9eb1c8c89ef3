//! A disk that takes nothing: a clear error, and after the repair nothing acknowledged is missing.

use crate::harness::collector::Collector;
use crate::harness::ledger::{count, show};
use crate::harness::mosquitto::Mosquitto;
use crate::harness::publisher::Publisher;
use crate::harness::zone::{self, ZONE, at, meter, reading, telemetry};
use crate::harness::{SOON, folder};

#[test]
fn a_folder_that_cannot_be_made_is_told_with_its_remedy() {
    let folder = folder();
    let zone = zone::write(folder.path(), &[meter("a")], "");
    let file = folder.path().join("file");
    std::fs::write(&file, "no folder").unwrap();
    // Root may write anywhere, so a file stands where the folder's parent should.
    let mut collector = Collector::spawn(&zone, &file.join("data"), "mqtt://127.0.0.1:1", &[]);
    assert_eq!(collector.ends(SOON), 1);
    let told = collector.stderr();
    assert!(told.contains("writable"), "{told}");
}

#[test]
fn a_full_disk_ends_the_collector_and_nothing_acknowledged_is_lost() {
    const READINGS: u32 = 4000;
    let folder = folder();
    let zone = zone::write(folder.path(), &[meter("a")], "");
    let data = folder.path().join("data");
    let broker = Mosquitto::start();
    // First a whole ledger, so that the disk fills in the middle of work.
    Collector::start(&zone, &data, &broker.url()).stop();
    let mut collector = Collector::with_file_limit(&zone, &data, &broker.url(), 256);
    collector.await_ready();
    let mut gateway = Publisher::connect(broker.port(), ZONE);
    let now = at(READINGS);
    // Without lock-step: nobody answers once the disk is full.
    gateway.publish(&format!("nengtan/{ZONE}/clock"), format!(r#"{{"now":"{now}","next":"{now}"}}"#));
    let messages = (0..READINGS).map(|minute| (telemetry("GW-1"), reading("a", minute, minute + 1, minute).into_bytes()));
    gateway.publish_all(messages);
    assert_eq!(collector.ends(SOON), 1);
    let told = collector.stderr();
    assert!(told.contains("full") || told.contains("free space"), "{told}");
    let taken = count(&data, "SELECT COUNT(*) FROM reading");
    assert!(taken < i64::from(READINGS), "the limit was never reached: {taken}");

    let collector = Collector::start(&zone, &data, &broker.url());
    gateway.clock(&now);
    assert_eq!(count(&data, "SELECT COUNT(*) FROM reading"), i64::from(READINGS));
    assert_eq!(show(&data, &["energy", "--entity", "E-a"])[0]["kwh"], f64::from(READINGS - 1));
    collector.stop();
}
