//! Load forecasts from baselines, over an office's ledger: what they expect of hours that are over, and how far off they are of hours to come.

use nengtan::claims::keep::Keeper;
use nengtan::dispatch::forecast::{self, Expected, Hour, Past, REMEMBERED_MS};
use nengtan::domain::calendar::DayType;
use nengtan::domain::units::{HOUR_MS, Millis};
use nengtan::store::Store;

use crate::harness::ledger::query;
use crate::harness::office::{FIRST_DAY, Office, in_order, open, play, unsaved_wh, write_zone};
use crate::harness::{folder, path, run, text};

const YEAR: i64 = 365 * 24;
const REPORTED: i64 = 60 * 24;
const HORIZON: i64 = 36;

/// Hours since the office's first, without holidays.
fn hours(hours: std::ops::Range<i64>) -> Vec<Hour> {
    let first = FIRST_DAY.at(0, 0, 0, 0).to_zoned(jiff::tz::TimeZone::get("Asia/Shanghai").unwrap()).unwrap();
    let first_ms = first.timestamp().as_millisecond();
    let kind = |day: i64| match (day + 2) % 7 {
        5 => DayType::Saturday,
        6 => DayType::Sunday,
        _ => DayType::Workday,
    };
    hours.map(|hour| Hour { start: Millis(first_ms + hour * HOUR_MS), of_day: (hour % 24) as i8, kind: kind(hour / 24) }).collect()
}

/// A tenth is saved after the year.
fn used_kwh(hour: i64) -> f64 {
    unsaved_wh(hour) as f64 / 1000.0 * if hour < YEAR { 1.0 } else { 0.9 }
}

#[test]
fn baselines_expect_what_savings_keep_and_their_bias_is_taken_off() {
    let folder = folder();
    let (zone, data) = (write_zone(folder.path()), folder.path().join("data"));
    let mut engine = open(&zone, &data);
    let office = Office::new(YEAR + REPORTED, |hour| (used_kwh(hour) * 1000.0) as i64);
    play(&mut engine, &in_order(&office, -1..YEAR + REPORTED));
    drop(engine);
    let store = Store::open(&data).unwrap();
    let back = REMEMBERED_MS / HOUR_MS;
    let (past, ahead) = (hours(YEAR + 500 - back..YEAR + 500), hours(YEAR + 500..YEAR + 500 + HORIZON));
    assert_eq!(Keeper::default().expected(&store, (&past, &ahead), &[]).unwrap(), None, "without a baseline");
    drop(store);
    let fitted = run(&["savings", "fit", "--to", "2026-01-01", "--data", path(&data)]);
    assert!(fitted.status.success(), "{}", text(&fitted.stderr));

    let store = Store::open(&data).unwrap();
    let expected = Keeper::default().expected(&store, (&past, &ahead), &[]).unwrap().unwrap();
    let kept = query(&data, "SELECT ts, baseline_kwh FROM saving_row ORDER BY ts");
    assert_eq!((expected.past.len(), expected.ahead_kw.len()), (past.len(), ahead.len()));
    for Past { hour, kw } in &expected.past {
        let row = kept.iter().find(|row| row["ts"].as_i64() == Some(hour.start.0)).unwrap_or_else(|| panic!("{hour:?} is kept"));
        let wanted = row["baseline_kwh"].as_f64().unwrap();
        assert!((kw - wanted).abs() < 1e-9, "{hour:?}: {kw}, kept {wanted}");
    }

    // Each six hours, as a keeper that remembers what it was asked before; mean errors of 36 hours.
    let (mut keeper, mut off, mut bias, mut looked_back, mut count) = (Keeper::default(), 0.0, 0.0, 0.0, 0.0);
    for now in (YEAR + back + 24..YEAR + REPORTED - HORIZON).step_by(6) {
        let (past, ahead) = (hours(now - back..now), hours(now..now + HORIZON));
        let seen: Vec<Past> = (now - back..now).zip(&past).map(|(hour, at)| Past { hour: *at, kw: used_kwh(hour) }).collect();
        let expected: Expected = keeper.expected(&store, (&past, &ahead), &[]).unwrap().unwrap();
        let beyond = forecast::level(&expected.beyond(&seen), &ahead).unwrap();
        let plain = forecast::load(&seen, &ahead).unwrap();
        for (step, hour) in (now..now + HORIZON).enumerate() {
            let wanted = used_kwh(hour);
            off += (expected.ahead_kw[step] + beyond[step] - wanted).abs();
            bias += expected.ahead_kw[step] + beyond[step] - wanted;
            looked_back += (plain[step] - wanted).abs();
            count += 1.0;
        }
        if now + 6 >= YEAR + REPORTED - HORIZON {
            let anew = Keeper::default().expected(&store, (&past, &ahead), &[]).unwrap();
            assert!(anew == Some(expected), "one that was restarted expects the same");
        }
    }
    let (off, bias, looked_back) = (off / count, bias / count, looked_back / count);
    assert!(bias.abs() < 3.0, "a tenth of it would be more than 10 kW: {bias}");
    assert!(off < looked_back, "{off} and {looked_back} kW");
}
