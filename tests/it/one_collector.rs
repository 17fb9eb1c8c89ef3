//! One collector a folder, one client an id: the other is told what to do.

use crate::accounts::{Books, january};
use crate::harness::collector::Collector;
use crate::harness::ledger::{assert_same, dump, query};
use crate::harness::mosquitto::Mosquitto;
use crate::harness::publisher::Publisher;
use crate::harness::zone::{self, ZONE, at, meter, reading, telemetry};
use crate::harness::{SOON, folder, ledger, path, run, text};

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

/// A ledger keeps the zone, the time zone, the interval and the warming potentials that its figures were made with; a folder that says otherwise is refused
/// before anything is written, whatever command brings it.
#[test]
fn a_folder_that_would_give_old_figures_another_meaning_is_refused_and_the_ledger_stays_as_it_was() {
    let mut books = Books::new(&["a"], "");
    let mut engine = books.open();
    books.take(&mut engine, &january(100), &[("a", january(0), 0.0), ("a", january(90), 90.0)]);
    drop(engine);
    let data = books.data();
    let all = || query(&data, "SELECT key, value FROM meta UNION ALL SELECT from_ts, offset_s FROM tz_offset ORDER BY 1, 2");
    let (meta, rows) = (all(), dump(&data));
    let good = std::fs::read_to_string(books.zone.join("zone.toml")).unwrap();
    let (id, other) = (format!("id = \"{ZONE}\""), format!("id {ZONE}, the zone folder says other"));
    for (old, new, key) in [
        ("Asia/Shanghai", "Europe/Berlin", "time_zone Asia/Shanghai, the zone folder says Europe/Berlin"),
        (&*id, "id = \"other\"", &*other),
        ("clock = \"feed\"", "clock = \"feed\"\ninterval_minutes = 30", "interval_minutes, in ms, 900000, the zone folder says 1800000"),
        ("clock = \"feed\"", "clock = \"feed\"\ngwp = \"AR6\"", "gwp AR5, the zone folder says AR6"),
    ] {
        assert!(good.contains(old), "{old}");
        std::fs::write(books.zone.join("zone.toml"), good.replacen(old, new, 1)).unwrap();
        let output = run(&["restate", "--from", "2026-01-01", "--zone", path(&books.zone), "--data", path(&data)]);
        assert_eq!(output.status.code(), Some(2), "{key}");
        assert!(text(&output.stderr).contains(key), "{key}: {}", text(&output.stderr));
        assert_eq!(all(), meta, "{key}");
        assert_same(&dump(&data), &rows);
    }
    std::fs::write(books.zone.join("zone.toml"), good).unwrap();
    books.open();
}
