//! Others read the ledger while the collector writes it.

use std::process::Command;

use crate::harness::collector::Collector;
use crate::harness::ledger::{count, show};
use crate::harness::mosquitto::Mosquitto;
use crate::harness::publisher::Publisher;
use crate::harness::zone::{self, ZONE, at, meter, reading, telemetry};
use crate::harness::{folder, path, run, skipped, text};

struct Scene {
    folder: tempfile::TempDir,
    collector: Collector,
    gateway: Publisher,
    _broker: Mosquitto,
}

impl Scene {
    fn set() -> Scene {
        let folder = folder();
        let zone = zone::write(folder.path(), &[meter("a")], "");
        let broker = Mosquitto::start();
        let collector = Collector::start(&zone, &folder.path().join("data"), &broker.url());
        let mut gateway = Publisher::connect(broker.port(), ZONE);
        gateway.clock(&at(0));
        Scene { folder, collector, gateway, _broker: broker }
    }

    fn data(&self) -> std::path::PathBuf {
        self.folder.path().join("data")
    }

    /// Publishes one more quarter of an hour: 25 kWh.
    fn quarter(&mut self, number: u32) {
        self.gateway.publish(&telemetry("GW-1"), reading("a", 15 * number, number + 1, 25 * number));
        self.gateway.clock(&at(15 * number));
    }
}

#[test]
fn every_view_answers_while_the_collector_runs() {
    let mut scene = Scene::set();
    let data = scene.data();
    for number in 0..5 {
        scene.quarter(number);
        assert_eq!(count(&data, "SELECT COUNT(*) FROM reading"), i64::from(number) + 1, "what is committed is seen");
    }
    for subject in ["energy", "carbon", "alerts", "meters", "quality", "refusals"] {
        show(&data, &[subject]);
    }
    for by in ["total", "month", "day", "hour", "15min"] {
        let kwh: f64 = show(&data, &["energy", "--entity", "E-a", "--by", by]).iter().map(|row| row["kwh"].as_f64().unwrap()).sum();
        assert!((kwh - 100.0).abs() < 1e-9, "{by}: {kwh}");
    }
    for view in
        ["energy", "energy_day", "energy_month", "carbon", "reading", "meter_energy", "alert", "meter", "entity", "refusal", "dead_letter"]
    {
        count(&data, &format!("SELECT COUNT(*) FROM {view}"));
    }
    // 100 kWh × 0.6191 kg/kWh, the province's latest factor (2023).
    let carbon = show(&data, &["carbon", "--entity", ZONE]);
    assert_eq!(carbon[0]["kg_co2e"], 61.91, "{carbon:?}");
    scene.collector.stop();
}

#[test]
fn a_query_cannot_write() {
    let scene = Scene::set();
    let data = scene.data();
    for sql in ["DELETE FROM reading_row", "PRAGMA query_only = 0; DELETE FROM meta", "DROP TABLE meta", "CREATE TABLE x (y)"] {
        let output = run(&["query", sql, "--data", path(&data)]);
        assert_eq!(output.status.code(), Some(2), "{sql}: {} {}", text(&output.stdout), text(&output.stderr));
    }
    assert!(0 < count(&data, "SELECT COUNT(*) FROM meta"));
    scene.collector.stop();
}

#[test]
fn a_reader_that_never_ends_does_not_hold_the_collector_up() {
    let mut scene = Scene::set();
    scene.quarter(0);
    let reader = rusqlite::Connection::open(scene.data().join("nengtan.sqlite")).unwrap();
    reader.execute_batch("BEGIN").unwrap();
    let rows = |reader: &rusqlite::Connection| reader.query_row("SELECT COUNT(*) FROM reading", [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(rows(&reader), 1);
    for number in 1..20 {
        scene.quarter(number);
    }
    assert_eq!(rows(&reader), 1, "the reader sees one moment");
    reader.execute_batch("COMMIT").unwrap();
    assert_eq!(rows(&reader), 20);
    scene.collector.stop();
}

#[test]
fn the_sqlite3_program_opens_the_file_while_the_collector_runs() {
    if Command::new("sqlite3").arg("--version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "sqlite3 is not on the PATH, and CI is set; apt-get install sqlite3");
        return skipped("the_sqlite3_program_opens_the_file_while_the_collector_runs", "sqlite3 is not installed");
    }
    let mut scene = Scene::set();
    for number in 0..3 {
        scene.quarter(number);
    }
    let file = scene.data().join("nengtan.sqlite");
    let output = Command::new("sqlite3").arg(file).arg("SELECT ts_local, ROUND(kwh, 3) FROM energy WHERE entity = 'E-a'").output().unwrap();
    assert_eq!(text(&output.stdout), "2026-01-05T00:00:00|50.0\n", "{}", text(&output.stderr));
    scene.collector.stop();
}

/// A copy that nobody may write, as an auditor gets it. Run as root the readers take another user's place: root may write everything.
#[test]
fn a_copy_that_cannot_be_written_is_read_unless_its_log_was_left_behind() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    const NOBODY: u32 = 65_534;
    let mut scene = Scene::set();
    for number in 0..3 {
        scene.quarter(number);
    }
    let copy = scene.folder.path().join("copy");
    std::fs::create_dir(&copy).unwrap();
    let with_log = ["nengtan.sqlite", "nengtan.sqlite-wal"];
    for file in with_log {
        std::fs::copy(scene.data().join(file), copy.join(file)).unwrap();
    }
    let mode = |path: &std::path::Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    mode(scene.folder.path(), 0o755);
    let is_root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    let read = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nengtan"));
        if is_root {
            command.uid(NOBODY);
        }
        command.args(["query", "SELECT COUNT(*) AS n FROM reading", "--output", "csv", "--data", path(&copy)]).output().unwrap()
    };
    let lock = |files: &[&str]| {
        for file in files {
            mode(&copy.join(file), 0o444);
        }
        mode(&copy, 0o555);
    };
    lock(&with_log);
    let output = read();
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stdout));
    assert!(text(&output.stderr).contains("its log") && text(&output.stderr).contains("copy the whole folder"), "{}", text(&output.stderr));
    mode(&copy, 0o755);
    std::fs::remove_file(copy.join("nengtan.sqlite-wal")).unwrap();
    std::fs::remove_file(copy.join("nengtan.sqlite")).unwrap();
    scene.collector.stop();
    std::fs::copy(scene.folder.path().join("data/nengtan.sqlite"), copy.join("nengtan.sqlite")).unwrap();
    lock(&["nengtan.sqlite"]);
    let output = read();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "n\n3\n");
}

#[test]
fn a_damaged_file_is_told_with_what_to_do() {
    let folder = folder();
    std::fs::write(
        folder.path().join("nengtan.sqlite"),
        "this is no ledger, but a text of more than a hundred bytes, which is what a header has; so SQLite looks at it and says no",
    )
    .unwrap();
    let output = run(&["query", "SELECT 1", "--data", path(folder.path())]);
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output.stderr);
    assert!(told.contains("the ledger's file is damaged") && told.contains("nengtan backup"), "{told}");
}
