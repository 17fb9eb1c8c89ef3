//! Looks into a ledger the way a user does, and compares two of them row by row.

use std::path::Path;

use serde_json::{Map, Value};

use super::{path, run, text};

pub type Row = Map<String, Value>;

/// Runs `nengtan` with `--output json` on a data folder.
pub fn rows(arguments: &[&str], data: &Path) -> Vec<Row> {
    let mut all = arguments.to_vec();
    all.extend(["--data", path(data), "--output", "json"]);
    let output = run(&all);
    assert!(output.status.success(), "{all:?}: {}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{all:?}: {error}: {}", text(&output.stdout)))
}

pub fn query(data: &Path, sql: &str) -> Vec<Row> {
    rows(&["query", sql], data)
}

/// The single integer that a statement gives.
pub fn count(data: &Path, sql: &str) -> i64 {
    let rows = query(data, sql);
    let only = rows[0].values().next().unwrap();
    only.as_i64().unwrap_or_else(|| panic!("{sql}: {only}"))
}

pub fn report(data: &Path, arguments: &[&str]) -> Vec<Row> {
    let mut all = vec!["report"];
    all.extend(arguments);
    rows(&all, data)
}

pub fn show(data: &Path, arguments: &[&str]) -> Vec<Row> {
    let mut all = vec!["show"];
    all.extend(arguments);
    rows(&all, data)
}

/// A number straight from the file, for polls; nothing while there is no such table yet.
pub fn stored(data: &Path, sql: &str) -> Option<i64> {
    nengtan::store::open_to_read(data).ok()?.query_row(sql, [], |row| row.get(0)).ok()
}

/// How often something was refused, or counted, by its name.
pub fn refusals(data: &Path, name: &str) -> i64 {
    let rows = show(data, &["refusals"]);
    rows.iter().find(|row| row["name"] == name).map_or(0, |row| row["count"].as_i64().unwrap())
}

/// Runs verify and gives its exit code and all it says.
pub fn verify(data: &Path, truth: &Path) -> (Option<i32>, String) {
    let output = run(&["verify", "--data", path(data), "--truth", path(truth)]);
    (output.status.code(), text(&output.stdout) + &text(&output.stderr))
}

/// Every row that is a function of the readings, as text, table by table.
pub fn dump(data: &Path) -> Vec<String> {
    let tables = [
        ("every_reading", "ts, channel"),
        ("swap_row", "ts, channel"),
        ("every_interval", "ts, channel"),
        ("rollup_row", "level, ts, entity, carrier"),
        ("cost_row", "ts, entity, carrier, band"),
        ("alert_row", "rule, subject, since"),
        ("command_row", "id"),
        ("audit_row", "id"),
    ];
    let connection = nengtan::store::open_to_read(data).unwrap();
    let mut lines = Vec::new();
    for (table, order) in tables {
        // When a row was recorded depends on the arrivals; what it says does not.
        let columns = if table == "every_interval" { "ts, channel, minutes, quantity, assumed, estimated, parts" } else { "*" };
        let mut statement = connection.prepare(&format!("SELECT {columns} FROM {table} ORDER BY {order}")).unwrap();
        let columns = statement.column_count();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let cells: Vec<_> = (0..columns).map(|column| format!("{:?}", row.get_ref(column).unwrap())).collect();
            lines.push(format!("{table} {}", cells.join(" ")));
        }
    }
    lines
}

/// Panics with the first row that differs.
pub fn assert_same(left: &[String], right: &[String]) {
    let differs = left.iter().zip(right).find(|(left, right)| left != right);
    assert_eq!(differs, None, "the ledgers differ");
    assert_eq!(left.len(), right.len(), "one ledger has more rows");
}
