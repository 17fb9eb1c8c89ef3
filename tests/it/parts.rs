//! Residuals of meters and virtual meters as entities of their own: by hand, and to the last integer through everything that changes books.

use std::path::Path;

use nengtan::store::open_to_read;
use nengtan::store::retention::Kept;

use crate::harness::ledger::{Row, count, dump, query, show};
use crate::harness::plant::{Plant, WALL};
use crate::harness::zone::{ZONE, telemetry};
use crate::harness::{path, repository, run, text};

const KWH: &str = "active_energy_import_kwh";
const SUN: &str = "active_energy_generation_kwh";

/// The zone's feeder F supplies a works with sub-meters, a roof and a tenant. V adds up two of the sub-meters; W is a switchboard that nobody meters: what T
/// takes is below it, and so below A.
const METERS: [&str; 6] = [
    "F tiny - entry yes electricity active_energy_import_kwh import kwh 0.01 4000",
    "A E-A F entry yes electricity active_energy_import_kwh import kwh 0.01 4000",
    "S-1 E-A A unit no electricity active_energy_import_kwh import kwh 0.01 4000",
    "S-2 E-A A unit no electricity active_energy_import_kwh import kwh 0.01 4000",
    "P E-A A unit yes electricity active_energy_generation_kwh generation kwh 0.01 4000",
    "T E-B W unit yes electricity active_energy_import_kwh import kwh 0.01 4000",
];
const VIRTUAL: &str = "V,E-A,A,unit,no,electricity,active_energy_import_kwh,import,kwh,,,,,,,,+S-1 +S-2\n\
                       W,E-A,A,unit,no,electricity,active_energy_import_kwh,import,kwh,,,,,,,,+A -S-1 -S-2\n";

/// What each part is made of, written down once more: the channel's meter and how often it counts.
const PARTS: [(&str, &[(&str, &str)]); 5] = [
    ("F-residual", &[("F", "1"), ("A", "-1")]),
    ("A-residual", &[("A", "1"), ("S-1", "-1"), ("S-2", "-1"), ("P", "1"), ("T", "-1")]),
    ("V", &[("S-1", "1"), ("S-2", "1")]),
    ("W", &[("A", "1"), ("S-1", "-1"), ("S-2", "-1")]),
    ("W-residual", &[("A", "1"), ("S-1", "-1"), ("S-2", "-1"), ("T", "-1")]),
];

fn plant(settings: &str) -> Plant {
    let plant = Plant::new(settings, &["E-A", "E-B"], &METERS);
    add_virtual(&plant);
    plant
}

fn add_virtual(plant: &Plant) {
    let meters = std::fs::read_to_string(plant.zone().join("meters.csv")).unwrap();
    plant.write("meters.csv", &(meters + VIRTUAL));
}

fn time(minute: u32) -> String {
    format!("2026-01-05T{:02}:{:02}:00+08:00", minute / 60, minute % 60)
}

fn number(row: &Row, column: &str) -> f64 {
    row[column].as_f64().unwrap_or_else(|| panic!("{column} of {row:?}"))
}

fn near(seen: f64, wanted: f64, what: &str) {
    assert!((seen - wanted).abs() <= 1e-9 * wanted.abs().max(1.0), "{what}: {seen}, by hand {wanted}");
}

/// One hour in kWh: F 1,000, A 700, S-1 300, S-2 100, P 40, T 200. Carbon goes with what is bought, at 0.6191 kg/kWh, and none with the roof's 40: so what
/// A took, 700, is the sum of what is below it and of its residual in carbon, too.
#[test]
fn a_residual_and_a_virtual_meter_have_energy_carbon_and_cost_of_their_own() {
    let mut plant = plant("tariff = \"cn-sd-industry\"\n");
    let mut engine = plant.open();
    let hour = [("F", KWH, 1000.0), ("A", KWH, 700.0), ("S-1", KWH, 300.0), ("S-2", KWH, 100.0), ("P", SUN, 40.0), ("T", KWH, 200.0)];
    let (start, end) = (time(0), time(60));
    let readings: Vec<_> =
        hour.iter().flat_map(|(meter, item, kwh)| [(*meter, *item, &*start, 0.0), (*meter, *item, &*end, *kwh)]).collect();
    plant.read(&mut engine, &readings);
    drop(engine);
    let data = plant.data();
    let only = |subject: &str, entity: &str, more: &[&str]| {
        let rows = show(&data, &[&[subject, "--entity", entity][..], more].concat());
        assert_eq!(rows.len(), 1, "{subject} of {entity}: {rows:?}");
        rows.into_iter().next().unwrap()
    };
    let price = number(&only("cost", "E-B", &[]), "cny") / 200.0;
    for (part, kwh, bought) in
        [("F-residual", 300.0, 300.0), ("A-residual", 140.0, 100.0), ("V", 400.0, 400.0), ("W", 300.0, 300.0), ("W-residual", 100.0, 100.0)]
    {
        for by in ["total", "year", "month", "day", "hour", "15min"] {
            let sum = |subject: &str, column: &str| -> f64 {
                show(&data, &[subject, "--entity", part, "--by", by]).iter().map(|row| number(row, column)).sum()
            };
            near(sum("energy", "kwh"), kwh, part);
            near(sum("carbon", "kg_co2e"), bought * 0.6191, part);
            near(sum("cost", "cny"), bought * price, part);
        }
        near(number(&only("energy", part, &[]), "measured_share"), 1.0, part);
        let view = |view: &str, column: &str| {
            number(&query(&data, &format!("SELECT SUM({column}) AS sum FROM {view} WHERE entity = '{part}'"))[0], "sum")
        };
        for level in ["", "_day", "_month"] {
            near(view(&format!("energy_part{level}"), "kwh"), kwh, part);
            near(view(&format!("carbon_part{level}"), "kg_co2e"), bought * 0.6191, part);
        }
        near(view("cost_part", "cny"), bought * price, part);
    }
    // Who asks for all gets no part: Σ entities = zone, whatever is added up.
    for (subject, column) in [("energy", "kwh"), ("carbon", "kg_co2e"), ("cost", "cny")] {
        let rows = show(&data, &[subject]);
        let market = |row: &&Row| row.get("method").is_none_or(|method| method == "location");
        let sum = |zone: bool| -> f64 {
            rows.iter().filter(market).filter(|row| (row["entity"] == ZONE) == zone).map(|row| number(row, column)).sum()
        };
        near(sum(false), sum(true), subject);
        let view = format!("SELECT SUM(CASE entity WHEN '{ZONE}' THEN -{column} ELSE {column} END) AS rest FROM {subject}");
        near(number(&query(&data, &view)[0], "rest"), 0.0, subject);
    }
    let explained = run(&["explain", "--entity", "A-residual", "--at", "2026-01-05T00:20", "--data", path(&data)]);
    assert!(text(&explained.stdout).contains("A-residual (A, residual, A（未分摊）)"), "{}", text(&explained.stdout));
    let unknown = run(&["show", "energy", "--entity", "S-1-residual", "--data", path(&data)]);
    assert_eq!(unknown.status.code(), Some(2), "what has nothing below it has no residual");
}

/// Every roll-up of every part against its meters' intervals, in ledger units; and what verify says of the books.
fn assert_exact(data: &Path, what: &str) {
    let ledger = open_to_read(data).unwrap();
    let mut checked = 0;
    for (part, terms) in PARTS {
        let signs: String = terms.iter().flat_map(|(meter, sign)| [" WHEN '", meter, "' THEN ", sign]).collect();
        for (level, length_ms) in [(1, 3_600_000_i64), (2, 86_400_000), (3, 31 * 86_400_000)] {
            let sql = format!(
                "SELECT r.ts, r.quantity, (SELECT SUM(i.quantity * CASE c.meter{signs} ELSE 0 END) FROM every_interval i JOIN channel_row c ON c.id = i.channel \
                 WHERE i.ts >= r.ts AND i.ts < r.ts + {length_ms}) FROM rollup_row r JOIN entity_row e ON e.id = r.entity WHERE e.entity = '{part}' AND level = {level}"
            );
            let mut statement = ledger.prepare(&sql).unwrap();
            let mut rows = statement.query([]).unwrap();
            while let Some(row) = rows.next().unwrap() {
                let (ts, seen, wanted): (i64, i64, i64) = (row.get(0).unwrap(), row.get(1).unwrap(), row.get(2).unwrap());
                assert_eq!(seen, wanted, "{what}: {part} at {ts}, level {level}");
                checked += 1;
            }
        }
    }
    assert!(checked >= 5 * 3, "{what}: {checked} roll-ups");
    let marks = nengtan::verify::ledger::read(&ledger).unwrap();
    let mut findings = nengtan::verify::books::check(&ledger, &marks, Kept::default()).unwrap();
    findings.extend(nengtan::verify::figures::check(&ledger, None).unwrap());
    for finding in findings {
        assert!(finding.checked > 0 && finding.failed == 0, "{what}: {finding:?}");
    }
}

/// Odd registers, every third reading late; then a restart, a restatement and a meter that is hung elsewhere.
#[test]
fn parts_add_up_exactly_through_late_readings_restarts_restatements_and_another_tree() {
    let mut plant = plant("factors = \"my-factors.toml\"\ntariff = \"cn-sd-industry\"\n");
    let file = |name: &str| std::fs::read_to_string(repository(&format!("config/factors/{name}.toml"))).unwrap();
    let factors = ["cn", "cn-fuels", "cn-coal", "cn-targets", "gwp"].map(file).join("\n");
    plant.write("my-factors.toml", &factors);
    let meters = [("F", KWH, 1000), ("A", KWH, 700), ("S-1", KWH, 300), ("S-2", KWH, 100), ("P", SUN, 40), ("T", KWH, 200)];
    let times: Vec<String> = (0..24).map(|step| time(20 * step)).collect();
    let of = |late: bool| -> Vec<(&str, &str, &str, f64)> {
        let mut readings = Vec::new();
        for (step, at) in times.iter().enumerate() {
            for (place, (meter, item, kw)) in meters.iter().enumerate() {
                if (step > 0 && (step + place) % 3 == 0) == late {
                    readings.push((*meter, *item, at.as_str(), (step * kw * 33 + (step * step * (place + 3)) % 89) as f64 / 100.0));
                }
            }
        }
        readings
    };
    let mut engine = plant.open();
    plant.read(&mut engine, &of(false));
    drop(engine);
    assert_exact(&plant.data(), "first readings");
    let mut engine = plant.open();
    let before = dump(&plant.data());
    plant.read(&mut engine, &of(true));
    drop(engine);
    assert_exact(&plant.data(), "late readings after a restart");
    assert_ne!(dump(&plant.data()), before, "they change what was there");
    let carbon = || {
        count(
            &plant.data(),
            "SELECT SUM(co2e_ug) FROM rollup_row r JOIN entity_row e ON e.id = r.entity WHERE level = 3 AND e.entity = 'A-residual'",
        )
    };
    let old = carbon();
    assert!(factors.contains("CN-SD = 0.6191"));
    plant.write("my-factors.toml", &factors.replace("CN-SD = 0.6191", "CN-SD = 1.2382"));
    let restated = run(&["restate", "--data", path(&plant.data()), "--zone", path(&plant.zone()), "--from", "2026-01-01"]);
    assert!(restated.status.success(), "{}", text(&restated.stderr));
    assert_exact(&plant.data(), "restated");
    assert_eq!(carbon(), 2 * old, "twice the factor");

    // S-2 moves from below A to below S-1: all sums are made anew.
    let lines = std::fs::read_to_string(plant.zone().join("meters.csv")).unwrap();
    plant.write("meters.csv", &lines.replace("S-2,E-A,A,", "S-2,E-A,S-1,"));
    drop(plant.open());
    let sum = |entity: &str| {
        count(
            &plant.data(),
            &format!(
                "SELECT SUM(quantity) FROM rollup_row r JOIN entity_row e ON e.id = r.entity WHERE level = 3 AND e.entity = '{entity}'"
            ),
        )
    };
    let meter = |meter: &str| {
        count(
            &plant.data(),
            &format!("SELECT SUM(quantity) FROM every_interval i JOIN channel_row c ON c.id = i.channel WHERE c.meter = '{meter}'"),
        )
    };
    assert_eq!(sum("S-1-residual"), meter("S-1") - meter("S-2"));
    assert_eq!(sum("A-residual"), meter("A") - meter("S-1") + meter("P") - meter("T"));
    assert_eq!(sum(ZONE), sum("E-A") + sum("E-B") + sum("tiny-residual"));
}

#[test]
fn ids_that_parts_would_share_with_others_are_refused() {
    let cases = [
        ("E-A,E-A,A,unit,no,electricity,active_energy_import_kwh,import,kwh,,,,,,,,+S-1\n", "another id than any entity's"),
        ("A-residual,E-A,,unit,no,electricity,active_energy_import_kwh,import,kwh,,,,,,,,+S-1\n", "its residual has that id"),
    ];
    for (line, wanted) in cases {
        let plant = Plant::new("", &["E-A", "E-B"], &METERS);
        let meters = std::fs::read_to_string(plant.zone().join("meters.csv")).unwrap();
        plant.write("meters.csv", &(meters + VIRTUAL + line));
        let checked = run(&["check", "--zone", path(&plant.zone())]);
        assert_eq!(checked.status.code(), Some(2), "{line}");
        assert!(text(&checked.stderr).contains(wanted), "{wanted}: {}", text(&checked.stderr));
    }
}

const RULE: &str = "[[threshold]]\nrule = \"loss\"\nname_en = \"Loss high\"\nname_zh = \"损耗过高\"\nseverity = \"warning\"\non = \"interval_mean\"\n\
                    item = \"active_energy_import_kwh\"\nmeters = [\"A-residual\", \"V\"]\nraise_above = 100.0\nclear_below = 90.0\nhold_s = 0\n";

/// Quarters of an hour. A takes 25 kWh more than what is below it in the third and 30 in the fourth: 100 and 120 kW; V takes 10, 40 kW. The roof and T stand
/// still. A is read first and the others after it, S-2 not before the process has died once.
#[test]
fn a_rule_on_a_residual_waits_until_all_its_meters_have_closed_the_interval() {
    let mut plant = plant("");
    plant.write("alerts.toml", RULE);
    let mut engine = plant.open();
    let at: Vec<String> = (0..6).map(|quarter| time(15 * quarter)).collect();
    let registers = |quarter: usize| {
        let residual = [0.0, 5.0, 10.0, 35.0, 65.0, 67.0][quarter];
        let (s1, s2) = (6.0 * quarter as f64, 4.0 * quarter as f64);
        [("A", KWH, residual + s1 + s2), ("S-1", KWH, s1), ("P", SUN, 0.0), ("T", KWH, 0.0), ("S-2", KWH, s2)]
    };
    let alerts = |plant: &Plant| query(&plant.data(), "SELECT rule, subject, since_utc, cleared_utc, value FROM alert ORDER BY since_utc");
    for (quarter, at) in at.iter().enumerate().take(4) {
        for (meter, item, kwh) in registers(quarter) {
            plant.read(&mut engine, &[(meter, item, at, kwh)]);
        }
    }
    assert_eq!(alerts(&plant), Vec::<Row>::new(), "100 kW are not above 100");
    let last = registers(4);
    for (meter, item, kwh) in &last[..4] {
        plant.read(&mut engine, &[(meter, item, &at[4], *kwh)]);
    }
    assert_eq!(alerts(&plant), Vec::<Row>::new(), "S-2 has not closed it");
    drop(engine);
    let mut engine = plant.open();
    let (meter, item, kwh) = last[4];
    plant.read(&mut engine, &[(meter, item, &at[4], kwh)]);
    let raised = alerts(&plant);
    assert_eq!((raised.len(), &raised[0]["subject"], &raised[0]["value"]), (1, &"A-residual".into(), &120.0.into()), "{raised:?}");
    assert_eq!(raised[0]["since_utc"], "2026-01-04T17:00:00Z");
    // A late reading of a closed interval changes energy, not alerts.
    let late = format!(r#"{{"meter":"S-1","at":"{}","seq":99,"values":{{"{KWH}":12.5}}}}"#, time(31));
    engine.apply(&telemetry("GW-1"), late.as_bytes(), WALL).unwrap();
    engine.commit().unwrap();
    assert_eq!(alerts(&plant), raised);
    for (meter, item, kwh) in registers(5) {
        plant.read(&mut engine, &[(meter, item, &at[5], kwh)]);
    }
    assert_eq!(alerts(&plant)[0]["cleared_utc"], "2026-01-04T17:15:00Z", "8 kW");
    for (wrong, wanted) in [
        (RULE.replace("raise_above =", "raise_above_rating ="), "sums of meters have no rating"),
        (RULE.replace("\"interval_mean\"", "\"gauge\""), "meters that publish gauges"),
        (RULE.replace("A-residual", "S-1-residual"), "ids of meters.csv"),
    ] {
        plant.write("alerts.toml", &wrong);
        let checked = run(&["check", "--zone", path(&plant.zone())]);
        assert!(checked.status.code() == Some(2) && text(&checked.stderr).contains(wanted), "{wanted}: {}", text(&checked.stderr));
    }
}
