//! One collector a folder, one client an id: the other is told what to do.

use crate::harness::collector::Collector;
use crate::harness::mosquitto::Mosquitto;
use crate::harness::publisher::Publisher;
use crate::harness::zone::{self, ZONE, at, meter, reading, telemetry};
use crate::harness::{SOON, folder, ledger};

#[test]
fn a_second_collector_on_the_same_folder_refuses_to_start() {
    let folder = folder();
    let zone = zone::write(folder.path(), &[meter("a")], "");
    let data = folder.path().join("data");
    let broker = Mosquitto::start();
    let mut first = Collector::start(&zone, &data, &broker.url());
    let mut second = Collector::spawn(&zone, &data, &broker.url(), &[]);
    assert_eq!(second.ends(SOON), 1);
    let told = second.stderr();
    assert!(told.contains("in use by another collector") && told.contains("--data"), "{told}");
    assert!(!first.has_ended(), "{}", first.stderr());
    first.stop();
}

#[test]
fn of_two_clients_under_one_id_the_first_ends_with_the_remedy() {
    let folder = folder();
    let zone = zone::write(folder.path(), &[meter("a")], "");
    let (data, copy) = (folder.path().join("data"), folder.path().join("copy"));
    let broker = Mosquitto::start();
    Collector::start(&zone, &data, &broker.url()).stop();
    // The id is kept in the folder, so a copy of the folder has the same.
    std::fs::create_dir(&copy).unwrap();
    for entry in std::fs::read_dir(&data).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
    }
    let mut first = Collector::start(&zone, &data, &broker.url());
    let second = Collector::start(&zone, &copy, &broker.url());
    assert_eq!(first.ends(SOON), 1);
    let told = first.stderr();
    assert!(told.contains("to another client") && told.contains("another data folder"), "{told}");

    let mut gateway = Publisher::connect(broker.port(), ZONE);
    gateway.publish(&telemetry("GW-1"), reading("a", 0, 1, 5));
    gateway.clock(&at(0));
    assert_eq!(ledger::count(&copy, "SELECT COUNT(*) FROM reading"), 1, "the second goes on");
    second.stop();
}
