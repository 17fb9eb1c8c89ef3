//! Packing itself: what stops it in the middle, days of any kind, and what reads its chunks.

use crate::harness::ledger::query;
use crate::harness::office::{self, Office, in_order, play, unsaved_wh};
use crate::harness::zone::{self, Meter, telemetry};
use crate::harness::{folder, path, run, text};
use crate::history::{Books, FROM_MS, PACKED, QUARTER_MS, assert_same, dump, four_days};

#[test]
fn packing_that_fails_in_the_middle_changes_nothing_and_goes_on_later() {
    let folder = folder();
    let mut books = four_days(folder.path(), false);
    let before = dump(&books.data);
    let file = rusqlite::Connection::open(books.data.join("nengtan.sqlite")).unwrap();
    file.execute_batch("CREATE TRIGGER full AFTER INSERT ON packed_row WHEN NEW.id > 3 BEGIN SELECT RAISE(ABORT, 'full'); END").unwrap();
    assert!(books.engine.as_mut().unwrap().tidy(&PACKED).unwrap_err().to_string().contains("full"));
    assert_eq!(books.rows("packed_row"), 0);
    assert_eq!(dump(&books.data), before);
    file.execute_batch("DROP TRIGGER full").unwrap();
    while books.pack_slice() > 0 {}
    assert!(books.packed > 1_000 && books.rows("packed_row") > 10);
    assert_eq!(dump(&books.data), before);
}

#[test]
fn a_day_with_too_many_moments_of_too_many_rows_is_left_as_rows_and_told_once_and_the_next_are_packed() {
    let folder = folder();
    let mut books = four_days(folder.path(), false);
    let file = rusqlite::Connection::open(books.data.join("nengtan.sqlite")).unwrap();
    // Four channels with a reading a second, on the day before all others, each a normal one that a rescan may start from.
    let sql = "INSERT INTO reading_row (ts, channel, value, seq, verdict, energy) WITH second(n) AS (VALUES (0) UNION ALL SELECT n + 1 FROM second WHERE n < 86399) \
               SELECT (SELECT MIN(ts) / 86400000 - 1 FROM reading_row) * 86400000 + 1000 * n, c.column1, n, n, 130, 1 \
               FROM second, (VALUES (1), (2), (3), (4)) c";
    let rows = file.execute(sql, []).unwrap();
    let day: i64 = file.query_row("SELECT MIN(ts) FROM reading_row", [], |row| row.get(0)).unwrap();
    let engine = books.engine.as_mut().unwrap();
    let packed = engine.tidy(&PACKED).unwrap();
    assert_eq!((packed.rows(), packed.left.map(|day| day.0)), (0, Some(day)));
    assert_eq!(engine.tidy(&PACKED).unwrap().left, None);
    while books.pack_slice() > 0 {}
    assert!(books.rows("packed_row") > 10);
    assert_eq!(books.rows(&format!("packed_row WHERE day = {day} / 86400000")), 0);
    // What comes late for a day before and for one after it is packed again.
    for at in [day - QUARTER_MS, FROM_MS + 96 * QUARTER_MS + QUARTER_MS / 2] {
        books.take(&(telemetry("GW-1"), format!(r#"{{"meter":"M-a","at":{at},"seq":1,"values":{{"active_energy_import_kwh":1}}}}"#)));
        books.clock(FROM_MS + 4 * 96 * QUARTER_MS);
        assert!(books.rows(&format!("reading_row WHERE ts = {at}")) == 1);
        while books.pack_slice() > 0 {}
        assert_eq!(books.rows(&format!("reading_row WHERE ts = {at}")), 0);
    }
    // A few rows less, and it is packed like any other.
    let fewer = file.execute("DELETE FROM reading_row WHERE ts < ?1 + 86400000 AND channel > 1", [day]).unwrap();
    assert!(fewer * 4 > rows * 2);
    books.start_again();
    assert!(books.pack_slice() > 0);
    assert_eq!(books.rows(&format!("packed_row WHERE day = {day} / 86400000")), 1);
}

#[test]
fn a_reading_that_comes_into_a_day_of_which_a_part_is_packed_is_packed_with_it() {
    const COUNT: i64 = 60;
    let names: Vec<&'static str> = (0..COUNT).map(|meter| &*format!("{meter:02}").leak()).collect();
    let meters: Vec<Meter> = names.iter().map(|name| zone::meter(name)).collect();
    let folder = folder();
    let mut both = [Books::of(folder.path(), "packed", false, &meters), Books::of(folder.path(), "plain", false, &meters)];
    let reading = |meter: i64, at: i64, quarter: i64| {
        format!(
            r#"{{"meter":"M-{meter:02}","at":{at},"seq":{quarter},"values":{{"active_energy_import_kwh":{},"active_power_kw":{meter}.5}}}}"#,
            quarter * 3 + meter
        )
    };
    for quarter in 0..3 * 96 {
        let all: Vec<String> = (0..COUNT).map(|meter| reading(meter, FROM_MS + quarter * QUARTER_MS, quarter)).collect();
        for books in &mut both {
            books.clock(FROM_MS + quarter * QUARTER_MS);
            books.take(&(telemetry("GW-1"), format!("[{}]", all.join(","))));
        }
    }
    for books in &mut both {
        books.clock(FROM_MS + 3 * 96 * QUARTER_MS);
    }
    // The first UTC day has an hour of the first local one; the second is cut.
    while both[0].rows("packed_row WHERE day > (SELECT MIN(day) FROM packed_row)") == 0 {
        assert!(both[0].pack_slice() > 0);
    }
    let day = FROM_MS + 12 * 3_600_000;
    assert!(both[0].rows(&format!("reading_row WHERE ts = {day}")) > 0, "some meters of the day are packed and some are not");
    assert!(both[0].rows(&format!("reading_row WHERE ts = {day}")) < COUNT, "some meters of the day are packed and some are not");
    for meter in [0, COUNT - 1] {
        for books in &mut both {
            books.take(&(telemetry("GW-1"), reading(meter, day + 420_000, 12 * 4 + 1)));
        }
    }
    for books in &mut both {
        books.clock(FROM_MS + (3 * 96 + 1) * QUARTER_MS);
    }
    while both[0].pack_slice() > 0 {}
    assert_eq!(both[0].rows(&format!("reading_row WHERE ts <= {}", day + 420_000)), 0);
    assert_same(&both[0].data, &both[1].data, "packed in two parts");
}

#[test]
fn a_day_of_more_moments_than_are_sought_one_by_one_is_packed_too() {
    let folder = folder();
    let mut books = Books::open(folder.path(), "data", false);
    for some in (0..3 * 4_320_i64).collect::<Vec<_>>().chunks(200) {
        let readings: Vec<String> = some
            .iter()
            .map(|step| {
                format!(r#"{{"meter":"M-a","at":{},"seq":{step},"values":{{"active_energy_import_kwh":{step}}}}}"#, FROM_MS + step * 20_000)
            })
            .collect();
        books.clock(FROM_MS + some[0] * 20_000);
        books.take(&(telemetry("GW-1"), format!("[{}]", readings.join(","))));
    }
    books.clock(FROM_MS + 3 * 96 * QUARTER_MS);
    let before = dump(&books.data);
    while books.pack_slice() > 0 {}
    assert!(books.packed > 4_320);
    assert_eq!(dump(&books.data), before);
}

#[test]
fn savings_are_fitted_from_packed_history_as_from_rows() {
    const HOURS: i64 = 400 * 24;
    let folder = folder();
    let zone = office::write_zone(folder.path());
    let readings = in_order(&Office::new(HOURS, unsaved_wh), -1..HOURS);
    let told = [true, false].map(|packs| {
        let data = folder.path().join(if packs { "packed" } else { "plain" });
        let mut engine = office::open(&zone, &data);
        play(&mut engine, &readings);
        while packs && engine.tidy(&PACKED).unwrap().rows() > 0 {}
        drop(engine);
        assert_eq!(query(&data, "SELECT COUNT(*) > 1000 AS many FROM packed_row")[0]["many"], i32::from(packs));
        [vec!["savings", "fit", "--to", "2026-01-01"], vec!["savings", "show"], vec!["rank"]].map(|arguments| {
            let output = run(&[&arguments[..], &["--data", path(&data), "--output", "json"]].concat());
            assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
            text(&output.stdout)
        })
    });
    assert!(told[0][1].contains("saved_kwh"), "{}", told[0][1]);
    assert_eq!(told[0], told[1]);
}
