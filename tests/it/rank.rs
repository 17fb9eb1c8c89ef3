//! Key entities: places, shares and reasons, worked out by hand.

use crate::accounts::{Books, near, number};
use crate::harness::ledger::{Row, rows};
use crate::harness::{path, run, text};

/// Two weeks from Monday, 5 January 2026 on, hour by hour: `a` draws 100 kW all the time (70 and 30 in its lines), `b` 100 kW on workdays from 8 to 18, `c`
/// 40 kW all the time. All have 1,000 m² and the listed tariff.
fn zone_of_three() -> Books {
    let mut books = Books::new(&["a", "b", "c"], "tariff = \"cn-sd-industry\"\n");
    let entities = books.zone.join("entities.geojson");
    let text = std::fs::read_to_string(&entities).unwrap();
    std::fs::write(&entities, text.replace("\"kind\":", "\"floor_area_m2\":1000,\"kind\":")).unwrap();
    let meters = books.zone.join("meters.csv");
    let line = |name: &str| {
        format!(
            "M-{name},E-a,M-a,unit,no,electricity,active_energy_import_kwh,import,kwh,0.01,1,6,400,S-{name},2026-01-01T00:00:00+08:00,GW-1,\n"
        )
    };
    let text = std::fs::read_to_string(&meters).unwrap();
    std::fs::write(&meters, text + &line("a1") + &line("a2")).unwrap();
    let mut engine = books.open();
    let mut b = 0.0;
    for hour in 0..=14 * 24_u32 {
        let (day, of_day) = (hour / 24, hour % 24);
        let at = format!("2026-01-{:02}T{of_day:02}:00:00+08:00", 5 + day);
        let kwh = |kw: u32| f64::from(kw * hour);
        let readings = [("a", kwh(100)), ("a1", kwh(70)), ("a2", kwh(30)), ("b", b), ("c", kwh(40))];
        books.take(&mut engine, &at, &readings.map(|(meter, kwh)| (meter, at.clone(), kwh)));
        b += if (8..18).contains(&of_day) && day % 7 < 5 { 100.0 } else { 0.0 };
    }
    engine.settle().unwrap();
    books
}

fn rank(books: &Books, options: &[&str]) -> Vec<Row> {
    rows(&[&["rank"], options].concat(), &books.data())
}

fn order(rows: &[Row]) -> Vec<&str> {
    rows.iter().map(|row| row["entity"].as_str().unwrap()).collect()
}

#[test]
fn the_few_where_saving_pays_most_come_first_with_the_reason() {
    let books = zone_of_three();
    // 33,600, 10,000 and 13,440 kWh of 57,040.
    let by_energy = rank(&books, &["--by", "energy"]);
    assert_eq!(order(&by_energy), ["E-a", "E-c", "E-b", "tiny-residual"]);
    for (row, share, cumulative) in [(0, 33_600.0, 33_600.0), (1, 13_440.0, 47_040.0), (2, 10_000.0, 57_040.0)] {
        near(number(&by_energy[row], "share_pct"), share / 570.4, "share");
        near(number(&by_energy[row], "cumulative_pct"), cumulative / 570.4, "cumulative share");
    }
    let first = &by_energy[0];
    // 0.1229 kgce/kWh by heat content (GB/T 2589-2020).
    near(number(first, "tce_calorific"), 33.6 * 0.1229, "standard coal");
    // Per m² and year: 4,129.44 kgce in 14 days on 1,000 m².
    near(number(first, "intensity"), 4_129.44 * 365.0 / 14.0 / 1_000.0, "intensity");
    near(number(first, "benchmark"), 0.4 * number(first, "intensity"), "the median is c's");
    assert_eq!(
        (first["benchmark_peers"].as_i64(), first["leading_meter"].as_str(), first["key_class"].as_str()),
        (Some(3), Some("M-a1"), Some("none"))
    );
    near(number(first, "night_load_ratio"), 1.0, "a never rests");
    near(number(first, "rest_day_load_ratio"), 1.0, "a never rests");
    near(number(&by_energy[2], "night_load_ratio"), 0.0, "b sleeps");
    near(number(&by_energy[2], "rest_day_load_ratio"), 0.0, "b rests");
    // In January 3 hours are sharp and 4 peak; of b's ten, from 8 to 9 and from 16 to 18.
    near(number(first, "peak_share"), 7.0 / 24.0, "a pays what the hours make of it");
    near(number(&by_energy[2], "peak_share"), 0.3, "b works in the day");
    near(number(first, "measured_share"), 1.0, "nothing was assumed");
    assert!(first["excess_over_baseline_pct"].is_null(), "nothing was frozen: {first:?}");
    let reason = first["reason"].as_str().unwrap();
    for told in ["58.9 % of energy", "2.5 times the median of 3 factory", "nights at 100 %", "rest days at 100 %", "M-a1 has 70 %"] {
        assert!(reason.contains(told), "{told:?} is not in {reason:?}");
    }

    // Avoidable: 33,600 kWh × 0.6191 kg/kWh, of which 60 % are above the median, which is sure to 1 − 1/√3.
    let by_avoidable = rank(&books, &["--by", "avoidable", "--top", "2"]);
    assert_eq!(by_avoidable.len(), 2);
    assert_eq!(order(&by_avoidable)[0], "E-a");
    near(number(&by_avoidable[0], "avoidable_t_co2e"), 20.801_76 * 0.6 * (1.0 - 1.0 / 3.0_f64.sqrt()), "avoidable");
    near(number(&by_avoidable[0], "confidence"), 1.0 - 1.0 / 3.0_f64.sqrt(), "confidence");
    near(number(&by_avoidable[0], "share_pct"), 100.0, "nobody else is above the median");
    near(number(&by_avoidable[1], "avoidable_t_co2e"), 0.0, "size alone is not avoidable");
}

#[test]
fn a_shorter_period_is_asked_for_by_day() {
    let books = zone_of_three();
    let weekend = rank(&books, &["--by", "energy", "--from", "2026-01-10", "--to", "2026-01-12"]);
    assert_eq!(order(&weekend), ["E-a", "E-c", "E-b", "tiny-residual"]);
    near(number(&weekend[0], "tce_calorific"), 4.8 * 0.1229, "48 hours of 100 kW");
    near(number(&weekend[2], "tce_calorific"), 0.0, "b rests at weekends");
    assert_eq!(weekend[2]["reason"], "no energy");
    let refused = run(&["rank", "--from", "2030-01-01", "--data", path(&books.data())]);
    let told = text(&refused.stderr);
    assert!(refused.status.code() == Some(2) && told.contains("the ledger ends at 2026-01-19"), "{:?} {told}", refused.status);
}
