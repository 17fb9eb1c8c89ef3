//! Exported files, read back by `DuckDB`.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::harness::ledger::{count, query};
use crate::harness::{folder, path, repository, run, skipped, text};

/// Python with `DuckDB` (`make readers`); where it is missing a test is skipped by name, and fails in CI.
fn reader(test: &str) -> Option<PathBuf> {
    let python = repository("target/readers/bin/python");
    if Command::new(&python).args(["-c", "import duckdb"]).output().is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    assert!(std::env::var_os("CI").is_none(), "DuckDB is not in target/readers, and CI is set; `make readers` installs it");
    skipped(test, "DuckDB is not in target/readers; `make readers` installs it");
    None
}

/// A file's rows as `DuckDB` sees them, after a statement in which `it` stands for the file.
fn read(python: &Path, file: &Path, sql: &str) -> Vec<Vec<Value>> {
    const SCRIPT: &str = "import duckdb, json, sys\n\
        print(json.dumps([[str(cell) if not isinstance(cell, (int, float, type(None))) else cell for cell in row] for row in duckdb.sql(sys.argv[1]).fetchall()]))";
    let sql = sql.replace("it ", &format!("'{}' ", path(file)));
    let output = Command::new(python).args(["-c", SCRIPT, &sql]).output().unwrap();
    assert!(output.status.success(), "{sql}: {}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn harsh_day(data: &Path) {
    let played =
        run(&["demo", "--history", "0", "--days", "1", "--faults", "harsh", "--seed", "11", "--speed", "max", "--data", path(data)]);
    assert!(played.status.success(), "{}", text(&played.stderr));
}

fn export(data: &Path, more: &[&str]) {
    let output = run(&[&["export", "--data", path(data)], more].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
}

/// Measurements with a number of theirs to add up, and how many columns they have.
const SUMS: [(&str, &str, usize); 10] = [
    ("reading", "value", 12),
    ("energy", "quantity", 14),
    ("carbon", "kg_co2e", 11),
    ("cost", "cny", 12),
    ("saving", "saved_kwh", 18),
    ("alert", "value", 12),
    ("command", "value", 13),
    ("energy_part", "quantity", 14),
    ("carbon_part", "kg_co2e", 11),
    ("cost_part", "cny", 12),
];

fn assert_read_back(python: &Path, data: &Path, dir: &Path, extension: &str) {
    for (measurement, column, columns) in SUMS {
        let file = dir.join(format!("{measurement}.{extension}"));
        let seen = read(python, &file, &format!("SELECT COUNT(*), SUM(CAST({column} AS DOUBLE)) FROM it "));
        let rows = count(data, &format!("SELECT COUNT(*) AS n FROM {measurement}"));
        assert_eq!(seen[0][0].as_i64(), Some(rows), "{measurement}");
        let kept = query(data, &format!("SELECT SUM({column}) AS s FROM {measurement}"))[0]["s"].as_f64();
        // The order of additions is the reader's.
        let same = match (seen[0][1].as_f64(), kept) {
            (Some(seen), Some(kept)) => (seen - kept).abs() <= 1e-9 * kept.abs(),
            (seen, kept) => seen == kept,
        };
        assert!(same, "{measurement}: {:?} read, {kept:?} kept", seen[0][1]);
        assert!(rows > 0 || measurement == "saving", "{measurement} is empty");
        assert_eq!(read(python, &file, "DESCRIBE SELECT * FROM it ").len(), columns, "{measurement}");
    }
}

#[test]
fn another_program_reads_every_exported_measurement() {
    let Some(python) = reader("another_program_reads_every_exported_measurement") else { return };
    let folder = folder();
    let (data, dir) = (folder.path().join("data"), folder.path().join("out"));
    harsh_day(&data);
    export(&data, &["--format", "csv", "--dir", path(&dir)]);
    assert_read_back(&python, &data, &dir, "csv");
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), SUMS.len(), "nothing unfinished is left");

    // Six hours of one measurement, named by local time.
    let part = folder.path().join("part");
    let hours = ["--measurement", "energy", "--from", "2026-01-01T06:00", "--to", "2026-01-01T12:00"];
    export(&data, &[&["--format", "csv", "--dir", path(&part)], &hours[..]].concat());
    let seen = read(&python, &part.join("energy.csv"), "SELECT MIN(ts_local), MAX(ts_local), COUNT(DISTINCT ts) FROM it ");
    assert_eq!(seen[0], [Value::from("2026-01-01 06:00:00"), "2026-01-01 11:00:00".into(), 6.into()]);
    assert_eq!(std::fs::read_dir(&part).unwrap().count(), 1);

    let parquet = folder.path().join("parquet");
    if cfg!(feature = "parquet") {
        export(&data, &["--format", "parquet", "--dir", path(&parquet)]);
        assert_read_back(&python, &data, &parquet, "parquet");
        let types = read(&python, &parquet.join("carbon.parquet"), "SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM it )");
        for (column, kind) in [("ts", "TIMESTAMP WITH TIME ZONE"), ("scope", "BIGINT"), ("kg_co2e", "DOUBLE"), ("factor_tier", "VARCHAR")] {
            assert!(types.contains(&vec![column.into(), kind.into()]), "{column}: {types:?}");
        }
        let empty = read(&python, &parquet.join("saving.parquet"), "SELECT column_type FROM (DESCRIBE SELECT saved_kwh FROM it )");
        assert_eq!(empty[0][0], "DOUBLE", "a column has its type without a row, too");
    } else {
        let refused = run(&["export", "--format", "parquet", "--dir", path(&parquet), "--data", path(&data)]);
        assert_eq!(refused.status.code(), Some(2), "{}", text(&refused.stderr));
        assert!(text(&refused.stderr).contains("--features parquet") && !parquet.exists());
    }
}
