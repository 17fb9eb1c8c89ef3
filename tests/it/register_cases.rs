//! The register cases of the domain, from MQTT to `show energy`: what was published, what a person computes by hand, what the command line says.

use crate::harness::collector::Collector;
use crate::harness::ledger::{query, show};
use crate::harness::mosquitto::Mosquitto;
use crate::harness::publisher::Publisher;
use crate::harness::zone::{self, Meter, at, meter, reading, telemetry};
use crate::harness::{folder, zone::ZONE};

/// Readings (minute, register), in order of arrival; wanted kWh and the share of them that is assumed, in kWh.
struct Case {
    meter: Meter,
    readings: &'static [(u32, &'static str)],
    kwh: f64,
    assumed_kwh: f64,
}

/// Every 15 minutes.
macro_rules! quarters {
    ($a:literal, $b:literal, $c:literal) => {
        &[(0, $a), (15, $b), (30, $c)]
    };
    ($a:literal, $b:literal, $c:literal, $d:literal) => {
        &[(0, $a), (15, $b), (30, $c), (45, $d)]
    };
    ($a:literal, $b:literal, $c:literal, $d:literal, $e:literal) => {
        &[(0, $a), (15, $b), (30, $c), (45, $d), (60, $e)]
    };
}

#[test]
fn the_six_cases_of_the_domain_come_out_right() {
    check(&[
        // 10 → 20, from zero to 10, 10 → 30: 10 + 10 + 20; what ran from zero is assumed.
        Case { meter: meter("reset"), readings: quarters!("10", "15", "20", "10", "30"), kwh: 40.0, assumed_kwh: 10.0 },
        // 19 is a bad sample; a reset was possible too, so 20 → 30 is assumed.
        Case { meter: meter("dip"), readings: quarters!("10", "15", "20", "19", "30"), kwh: 20.0, assumed_kwh: 10.0 },
        Case { meter: meter("zero"), readings: quarters!("100", "0", "101"), kwh: 1.0, assumed_kwh: 1.0 },
        // 16 to full scale and 20 from zero; a reset was possible too.
        Case { meter: meter("rollover"), readings: quarters!("999984", "20", "30"), kwh: 46.0, assumed_kwh: 36.0 },
        Case { meter: meter("late"), readings: &[(0, "10"), (30, "30"), (15, "20"), (45, "40")], kwh: 30.0, assumed_kwh: 0.0 },
        Case {
            meter: Meter { rating_kw: 200, ..meter("rating") },
            readings: quarters!("1000", "1050", "1100"),
            kwh: 100.0,
            assumed_kwh: 0.0,
        },
    ]);
}

#[test]
fn the_same_cases_with_other_numbers_come_out_by_the_same_rule() {
    check(&[
        // 900 kW: at most 270 kWh in a quarter of an hour. 812.5 is no more than a reset can have: 0.75 from zero.
        Case {
            meter: Meter { rating_kw: 900, ..meter("reset") },
            readings: quarters!("700.25", "812.5", "0.75", "101.25", "200"),
            kwh: 112.25 + 0.75 + 100.5 + 98.75,
            assumed_kwh: 0.75,
        },
        // 4,999.99 cannot run from zero in a quarter of an hour at 400 kW: only a dip is possible, and it is measured.
        Case { meter: meter("dip"), readings: quarters!("5000", "5010.5", "4999.99", "5030.25"), kwh: 30.25, assumed_kwh: 0.0 },
        // 40 below 100 could be a reset to zero; 60 is not under 10 % of 100: a reset, 50 → 100, 0 → 40, 40 → 110.
        Case { meter: meter("steep"), readings: quarters!("50", "100", "40", "110"), kwh: 50.0 + 40.0 + 70.0, assumed_kwh: 40.0 },
        // A false zero far from zero: 7,251.75 cannot have run from zero, so only a dip is possible.
        Case { meter: meter("zero"), readings: quarters!("7250.5", "0", "7251.75"), kwh: 1.25, assumed_kwh: 0.0 },
        // Eight digits and hundredths: 0.02 to full scale, 90 from zero; 30 kWh more.
        Case {
            meter: Meter { width: 8, ..meter("rollover") },
            readings: quarters!("99999999.98", "90", "120"),
            kwh: 120.02,
            assumed_kwh: 90.02,
        },
        // The middle comes last, an hour late.
        Case {
            meter: meter("late"),
            readings: &[(0, "3.01"), (30, "63.05"), (45, "93.07"), (60, "123.09"), (75, "153.11"), (90, "183.13"), (15, "33.03")],
            kwh: 180.12,
            assumed_kwh: 0.0,
        },
        // 60 kWh in a quarter of an hour is the most that 200 kW × 1.2 allows; 0.01 more is a spike.
        Case { meter: Meter { rating_kw: 200, ..meter("border") }, readings: quarters!("100", "160", "220"), kwh: 120.0, assumed_kwh: 0.0 },
        Case {
            meter: Meter { rating_kw: 200, ..meter("beyond") },
            readings: quarters!("100", "160.01", "110"),
            kwh: 10.0,
            assumed_kwh: 0.0,
        },
    ]);
}

fn check(cases: &[Case]) {
    let folder = folder();
    let meters: Vec<Meter> = cases.iter().map(|case| case.meter).collect();
    let zone = zone::write(folder.path(), &meters, "");
    let data = folder.path().join("data");
    let broker = Mosquitto::start();
    let collector = Collector::start(&zone, &data, &broker.url());
    let mut gateway = Publisher::connect(broker.port(), ZONE);
    gateway.clock(&at(120));
    for case in cases {
        let messages = case.readings.iter().zip(1..).map(|((minute, kwh), seq)| {
            let name = case.meter.name;
            (telemetry("GW-1"), reading(name, *minute, seq, kwh).into_bytes())
        });
        gateway.publish_all(messages.collect::<Vec<_>>());
    }
    gateway.clock(&at(120));
    collector.stop();

    let shown = show(&data, &["energy"]);
    for case in cases {
        let name = case.meter.name;
        let entity = format!("E-{name}");
        let row = shown.iter().find(|row| row["entity"] == entity.as_str()).unwrap_or_else(|| panic!("{name}: no row"));
        let number = |column: &str| row[column].as_f64().unwrap();
        let story = || query(&data, &format!("SELECT ts_local, value, class, quality, energy FROM reading WHERE meter = 'M-{name}'"));
        assert!((number("kwh") - case.kwh).abs() < 1e-6, "{name}: {} instead of {}: {:?}", number("kwh"), case.kwh, story());
        let assumed = number("assumed_share") * case.kwh;
        assert!((assumed - case.assumed_kwh).abs() < 1e-6, "{name}: {assumed} assumed instead of {}: {:?}", case.assumed_kwh, story());
        assert!(number("estimated_share").abs() < f64::EPSILON, "{name}: {:?}", story());
    }
    // The zone has no feeder of its own: it is what its entities use.
    let whole = shown.iter().find(|row| row["entity"] == ZONE).expect("a row of the zone")["kwh"].as_f64().unwrap();
    let sum: f64 = cases.iter().map(|case| case.kwh).sum();
    assert!((whole - sum).abs() < 1e-6, "zone {whole} instead of {sum}");
}
