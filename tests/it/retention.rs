//! Retention: what is older than it is to be kept leaves, what was made of it stays, and whoever would need it is told.

use std::path::Path;

use nengtan::domain::keep::{History, Keep};
use nengtan::domain::units::Millis;
use nengtan::store::Store;

use crate::harness::ledger::{Row, count, query, verify};
use crate::harness::zone::{meter, telemetry};
use crate::harness::{folder, path, run, text};
use crate::history::{Books, FROM_MS, QUARTER_MS, QUARTERS, fill, write_factor};

const KEEP: History = History { pack: true, keep: Keep { readings: Some(2), intervals: Some(3), alerts: Some(2), commands: Some(2) } };
/// 00:00 UTC of 28 and 29 March 2026; the books' clock is on the 31st.
const INTERVALS_FROM_MS: i64 = 1_774_656_000_000;
const READINGS_FROM_MS: i64 = INTERVALS_FROM_MS + 86_400_000;
const END_MS: i64 = FROM_MS + QUARTERS * QUARTER_MS;

/// Four days of five meters, and of one that spoke on the first morning only; what has to go is gone, but for the ledger called plain.
fn both(folder: &Path) -> [Books; 2] {
    ["kept", "plain"].map(|name| {
        let mut books = Books::of(folder, name, true, &["a", "b", "c", "d", "e", "z"].map(meter));
        for quarter in 0..40 {
            books.take(&register("z", quarter * 60_000, quarter as f64));
        }
        fill(&mut books);
        if name == "kept" {
            forget(&mut books);
        }
        books
    })
}

fn forget(books: &mut Books) {
    for _ in 0..20 {
        books.engine.as_mut().unwrap().tidy(&KEEP).unwrap();
    }
}

fn register(name: &str, after_ms: i64, kwh: f64) -> (String, String) {
    let at = FROM_MS + after_ms;
    let payload = format!(r#"{{"meter":"M-{name}","at":{at},"seq":7000000,"values":{{"active_energy_import_kwh":{kwh}}}}}"#);
    (telemetry("GW-1"), payload)
}

fn rows(data: &Path, sql: &str) -> Vec<Row> {
    query(data, sql)
}

const SUMS: [&str; 2] = ["SELECT * FROM rollup_row", "SELECT * FROM cost_row"];

fn assert_same_sums(books: &[Books; 2], what: &str) {
    for sql in SUMS {
        assert_eq!(rows(&books[0].data, sql), rows(&books[1].data, sql), "{what}: {sql}");
    }
}

#[test]
fn readings_and_intervals_leave_and_roll_ups_stay_and_what_comes_late_is_as_it_would_have_been() {
    let folder = folder();
    let mut both = both(folder.path());
    assert_same_sums(&both, "forgotten");
    let [kept, plain] = &both;
    let old = |what: &str, before: i64| {
        format!("SELECT COUNT(*) FROM {what} e JOIN channel_row c ON c.id = e.channel WHERE c.meter <> 'M-z' AND ts < {before}")
    };
    for (what, before) in
        [("every_reading", READINGS_FROM_MS), ("every_interval", INTERVALS_FROM_MS), ("interval_version_row", INTERVALS_FROM_MS)]
    {
        assert_eq!(count(&kept.data, &old(what, before)), 0, "{what}");
    }
    assert!(
        count(&plain.data, &old("every_reading", READINGS_FROM_MS)) > 500
            && count(&plain.data, &old("every_interval", INTERVALS_FROM_MS)) > 10
    );
    let all = format!("SELECT * FROM every_interval WHERE ts >= {INTERVALS_FROM_MS} ORDER BY ts, channel");
    assert_eq!(rows(&kept.data, &all), rows(&plain.data, &all));
    let newest = "SELECT * FROM reading WHERE meter = 'M-z' ORDER BY ts";
    assert_eq!(rows(&kept.data, newest).len(), 40, "a meter's newest readings stay, however old");

    // As after a restart; before what is kept, at its border, and well inside.
    for books in &mut both {
        books.start_again();
    }
    for (index, books) in both.iter_mut().enumerate() {
        let refused = |books: &Books| count(&books.data, "SELECT COALESCE(SUM(count), 0) FROM refusal_row WHERE reason = 'no_longer_kept'");
        books.clock(END_MS);
        if index == 0 {
            books.take(&register("a", INTERVALS_FROM_MS - FROM_MS + 60_000, 1.0));
            books.take(&register("b", READINGS_FROM_MS - FROM_MS + 60_000, 1.0));
            books.clock(END_MS);
            assert_eq!(refused(books), 2, "nothing says any more what lay before");
        }
        let late = READINGS_FROM_MS + 20 * 3_600_000 + 60_000;
        let before = format!("SELECT value FROM reading WHERE meter = 'M-c' AND class = 'normal' AND ts < {late} ORDER BY ts DESC LIMIT 1");
        let value = rows(&books.data, &before)[0]["value"].as_f64().unwrap();
        books.take(&register("c", late - FROM_MS, value + 0.01));
        books.take(&register("z", END_MS - FROM_MS, 900.0));
        books.clock(END_MS + QUARTER_MS);
        forget(books);
    }
    assert_same_sums(&both, "late, and silent for three days");
    assert_eq!(count(&both[0].data, "SELECT COUNT(*) FROM refusal_row WHERE reason = 'no_longer_kept'"), 1);
}

#[test]
fn what_can_no_longer_be_told_or_changed_is_refused_and_the_rest_goes_on() {
    let folder = folder();
    let mut both = both(folder.path());
    for books in &mut both {
        books.engine = None;
    }
    let kept = &both[0];
    let told = |arguments: &[&str]| {
        let output = run(&[arguments, &["--data", path(&kept.data)]].concat());
        (output.status.code(), text(&output.stdout) + &text(&output.stderr))
    };
    let gone = "intervals before 2026-03-28T00:00:00+00:00 are no longer kept";
    for (arguments, code, wanted) in [
        (&["explain", "--entity", "E-a", "--at", "2026-03-28T00:20"][..], 2, gone),
        (&["explain", "--entity", "E-a", "--at", "2026-03-28T12:20"], 0, "readings are kept from 2026-03-29T01:00:00+01:00 on"),
        (&["show", "energy", "--by", "15min"], 2, gone),
        (&["show", "energy", "--by", "15min", "--from", "2026-03-28T02:00"], 0, "E-a"),
        (&["show", "energy", "--by", "day", "--from", "2026-03-28"], 0, "E-a"),
        (&["restate", "--zone", path(&kept.zone), "--from", "2026-03-28"], 2, "are no longer kept (keep.intervals_days)"),
    ] {
        let (seen, said) = told(arguments);
        assert!(seen == Some(code) && said.contains(wanted), "{arguments:?}: {seen:?} {said}");
    }
    write_factor(&kept.zone, "0.7");
    for books in &both {
        let output = run(&["restate", "--data", path(&books.data), "--zone", path(&books.zone), "--from", "2026-03-29"]);
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
    assert_same_sums(&both, "restated");

    // Another entity for a meter: what is still kept follows, what was summed before stays.
    let before = rows(&both[0].data, "SELECT * FROM rollup_row ORDER BY level, ts, entity, carrier");
    let meters = both[0].zone.join("meters.csv");
    let moved = std::fs::read_to_string(&meters).unwrap().replace("M-b,E-b", "M-b,E-a");
    std::fs::write(&meters, moved).unwrap();
    for books in &mut both {
        books.start_again();
    }
    // The first local day that is whole: 29 March in Berlin.
    let remade_ms = FROM_MS + 86_400_000;
    let of = |data: &Path, which: &str| {
        rows(data, &format!("SELECT * FROM rollup_row WHERE level < 3 AND ts {which} ORDER BY level, ts, entity, carrier"))
    };
    let [kept, plain] = &both;
    assert_eq!(of(&kept.data, &format!(">= {remade_ms}")), of(&plain.data, &format!(">= {remade_ms}")));
    let stayed: Vec<Row> = before.into_iter().filter(|row| row["level"] != 3 && row["ts"].as_i64().unwrap() < remade_ms).collect();
    assert_eq!(of(&kept.data, &format!("< {remade_ms}")), stayed);
    let off = "SELECT COUNT(*) FROM rollup_row m WHERE level = 3 AND quantity <> (SELECT SUM(quantity) FROM rollup_row d \
               WHERE d.level = 2 AND d.entity = m.entity AND d.carrier = m.carrier AND d.ts >= m.ts \
               AND d.ts < COALESCE((SELECT MIN(ts) FROM rollup_row n WHERE n.level = 3 AND n.ts > m.ts), d.ts + 1))";
    assert_eq!(count(&kept.data, off), 0, "a month is the sum of its days");
}

#[test]
fn alerts_and_commands_that_are_over_leave_and_the_audit_log_stays() {
    let folder = folder();
    let mut books = Books::open(folder.path(), "data", true);
    books.clock(END_MS);
    let file = rusqlite::Connection::open(books.data.join("nengtan.sqlite")).unwrap();
    let old = READINGS_FROM_MS - 1;
    file.execute_batch(&format!(
        "INSERT INTO alert_row VALUES ('r', 'old', 1, 1, {old}, 'warning', 1, 1), ('r', 'open', 1, 1, NULL, 'warning', 1, 1), \
         ('r', 'new', 1, 1, {READINGS_FROM_MS}, 'warning', 1, 1); \
         INSERT INTO command_row VALUES ('old', 'A', 1, 1, 2, 'x', 'x', 'done', NULL, NULL, NULL), \
         ('stands', 'A', 1, 1, 2, 'x', 'x', 'done', NULL, NULL, NULL), ('new', 'A', 1, 1, {READINGS_FROM_MS}, 'x', 'x', 'done', NULL, NULL, NULL); \
         INSERT INTO asset_row (asset, command) VALUES ('A', 'stands'); \
         INSERT INTO audit_row VALUES (1, 1, 'x', 'A', 'x', 'x', 'x', 'x')"
    ))
    .unwrap();
    forget(&mut books);
    let left = |sql: &str| rows(&books.data, sql).iter().map(|row| row["x"].as_str().unwrap().to_owned()).collect::<Vec<_>>().join(" ");
    assert_eq!(left("SELECT subject AS x FROM alert_row WHERE rule = 'r' ORDER BY 1"), "new open");
    assert_eq!(left("SELECT id AS x FROM command_row ORDER BY 1"), "new stands");
    assert_eq!(count(&books.data, "SELECT COUNT(*) FROM audit_row"), 1);
}

#[test]
fn verify_checks_what_is_kept_and_says_what_is_not() {
    let folder = folder();
    let data = folder.path().join("data");
    let played =
        run(&["demo", "--history", "0", "--days", "3", "--faults", "none", "--seed", "13", "--speed", "max", "--data", path(&data)]);
    assert!(played.status.success(), "{}", text(&played.stderr));
    let now = Millis(count(&data, "SELECT MAX(ts) FROM every_reading"));
    let mut store = Store::open(&data).unwrap();
    while store.pack(now).unwrap().rows() > 0 {}
    let keep = Keep { readings: Some(1), intervals: Some(1), ..Keep::default() };
    let mut removed = 0;
    while let some @ 1.. = store.forget(&keep, now).unwrap() {
        removed += some;
    }
    assert!(removed > 500, "{removed}");
    drop(store);
    let truth = data.join("truth.jsonl");
    let (code, told) = verify(&data, &truth);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("older readings are no longer kept") && told.contains("older intervals are no longer kept"), "{told}");
    let file = rusqlite::Connection::open(data.join("nengtan.sqlite")).unwrap();
    file.execute("DELETE FROM meta WHERE key LIKE '%_kept_from'", []).unwrap();
    assert_eq!(verify(&data, &truth).0, Some(3), "who does not know what has left misses it");
}
