//! What must never be taken in, through a broker that lets everything pass: refused by reason, kept, and nobody else disturbed.

use std::fmt::Write as _;

use crate::harness::collector::Collector;
use crate::harness::folder;
use crate::harness::ledger::{count, query, refusals, show};
use crate::harness::mosquitto::Mosquitto;
use crate::harness::publisher::Publisher;
use crate::harness::zone::{self, ZONE, at, meter, reading, telemetry};

const MIB: usize = 1024 * 1024;

/// Topic below the zone, payload, reason, and how often the reason is counted.
type Case = (&'static str, Vec<u8>, &'static str, i64);

fn value(json: &str) -> Vec<u8> {
    reading("bad", 15, 2, json).into_bytes()
}

/// A reading blown up by white space, which JSON allows.
fn padded(bytes: usize) -> Vec<u8> {
    let mut payload = reading("bad", 15, 2, 11).into_bytes();
    payload.resize(bytes, b' ');
    payload
}

fn cases() -> Vec<Case> {
    const TELEMETRY: &str = "gw/GW-1/telemetry";
    vec![
        (TELEMETRY, b"meter M-bad says hello".to_vec(), "not_json", 1),
        (TELEMETRY, b"{\"meter\":\"M-bad\",\"at\":".to_vec(), "not_json", 1),
        (TELEMETRY, value("NaN"), "not_json", 1),
        (TELEMETRY, b"".to_vec(), "not_json", 1),
        (TELEMETRY, b"7".to_vec(), "wrong_shape", 1),
        (TELEMETRY, br#"{"meter":12,"at":1767542400000,"values":{"active_energy_import_kwh":11}}"#.to_vec(), "wrong_shape", 1),
        (TELEMETRY, br#"{"meter":"M-bad","at":"yesterday","values":{"active_energy_import_kwh":11}}"#.to_vec(), "wrong_shape", 1),
        (TELEMETRY, br#"{"meter":"M-bad","at":1767542400000,"values":[11]}"#.to_vec(), "wrong_shape", 1),
        (TELEMETRY, br#"{"meter":"M-bad","at":1767542400000,"values":{}}"#.to_vec(), "wrong_shape", 1),
        (TELEMETRY, value("\"eleven\""), "not_a_number", 1),
        (TELEMETRY, value("true"), "not_a_number", 1),
        (TELEMETRY, value("null"), "not_a_number", 1),
        (TELEMETRY, value("-11"), "register_negative", 1),
        (TELEMETRY, value("1e300"), "register_too_large", 1),
        (TELEMETRY, value("123456789012345678901234567890"), "register_too_large", 1),
        (TELEMETRY, value("1000000"), "register_too_large", 1),
        (TELEMETRY, value("11.005"), "too_many_digits", 1),
        (TELEMETRY, reading("nobody", 15, 2, 11).into_bytes(), "unknown_meter", 1),
        (TELEMETRY, reading("bad", 0, 2, 11).replace("2026-01-05", "2062-01-05").into_bytes(), "from_the_future", 1),
        (TELEMETRY, reading("bad", 0, 2, 11).replace("2026-01-05", "1999-01-05").into_bytes(), "before_valid_from", 1),
        (TELEMETRY, b"[]".to_vec(), "empty_array", 1),
        (TELEMETRY, b"{\"meter\":\"M-\xff\xfe\"}".to_vec(), "not_utf8", 1),
        (TELEMETRY, padded(2 * MIB), "payload_too_large", 1),
        (TELEMETRY, padded(20 * MIB), "payload_too_large", 1),
        ("gw/GW-1/status", b"perhaps".to_vec(), "unknown_status", 1),
        (
            "gw/GW-1/event",
            br#"{"event":"party","meter":"M-bad","at":1767542400000,"closing":{"a":1},"opening":{"a":1}}"#.to_vec(),
            "wrong_shape",
            1,
        ),
        ("gw/GW-1/rubbish", b"{}".to_vec(), "unknown_topic", 1),
        ("clock", b"{\"now\":\"noon\"}".to_vec(), "wrong_shape", 1),
    ]
}

#[test]
fn bad_input_is_refused_by_reason_kept_and_disturbs_nobody() {
    let folder = folder();
    let zone = zone::write(folder.path(), &[meter("good"), meter("bad")], "");
    let data = folder.path().join("data");
    let broker = Mosquitto::without_size_limit();
    let collector = Collector::start(&zone, &data, &broker.url());
    let mut gateway = Publisher::connect(broker.port(), ZONE);
    gateway.clock(&at(60));
    gateway.publish(&telemetry("GW-1"), reading("bad", 0, 1, 10));
    gateway.publish(&telemetry("GW-1"), reading("good", 0, 1, 100));

    let cases = cases();
    let mut wanted = std::collections::BTreeMap::new();
    let mut wrong = String::new();
    for (topic, payload, reason, times) in &cases {
        let total = *wanted.entry(*reason).and_modify(|total| *total += times).or_insert(*times);
        gateway.publish(&format!("nengtan/{ZONE}/{topic}"), payload.clone());
        gateway.clock(&at(60));
        let seen = refusals(&data, reason);
        if seen != total {
            let start = String::from_utf8_lossy(&payload[..payload.len().min(80)]).into_owned();
            writeln!(wrong, "{topic} {start}: {reason} counted {seen} times, wanted {total}").unwrap();
            wanted.insert(*reason, seen);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    let all: i64 = cases.iter().map(|(_, _, _, times)| times).sum();
    assert_eq!(count(&data, "SELECT SUM(count) FROM refusal"), all, "each once, and nothing else");
    assert_eq!(count(&data, "SELECT COUNT(*) FROM dead_letter"), all);
    assert_eq!(count(&data, "SELECT MAX(LENGTH(payload)) FROM dead_letter"), 4096, "bounded");

    // The neighbours in one array, and the same meter, go on.
    let array = format!("[{},{},{}]", reading("good", 15, 2, 110), reading("nobody", 15, 3, 1), reading("bad", 15, 4, 12));
    gateway.publish(&telemetry("GW-1"), array);
    gateway.publish(&telemetry("GW-1"), reading("good", 30, 5, 120));
    gateway.clock(&at(60));
    assert_eq!(count(&data, "SELECT COUNT(*) FROM reading WHERE meter IN ('M-good', 'M-bad')"), 5);
    let kwh = |entity: &str| show(&data, &["energy", "--entity", entity])[0]["kwh"].as_f64().unwrap();
    assert_eq!((kwh("E-good"), kwh("E-bad")), (20.0, 2.0));
    let told = collector.stderr();
    assert!(told.contains("reason=\"payload_too_large\"") || told.contains("reason=payload_too_large"), "the log says it: {told}");
    collector.stop();
}

#[test]
fn an_oversized_packet_never_blocks_the_session() {
    let folder = folder();
    let zone = zone::write(folder.path(), &[meter("good")], "");
    let data = folder.path().join("data");
    let broker = Mosquitto::without_size_limit();
    Collector::start(&zone, &data, &broker.url()).stop();
    // The session stays, so these wait for a collector that is away: one that it will refuse and one beyond what it reads at all.
    let mut gateway = Publisher::connect(broker.port(), ZONE);
    gateway.publish(&telemetry("GW-1"), vec![b'x'; 20 * MIB]);
    gateway.publish(&telemetry("GW-1"), vec![b'x'; 70 * MIB]);
    gateway.publish(&telemetry("GW-1"), reading("good", 0, 1, 1));
    let collector = Collector::start(&zone, &data, &broker.url());
    gateway.clock(&at(0));
    assert_eq!(count(&data, "SELECT COUNT(*) FROM reading"), 1);
    assert_eq!(refusals(&data, "payload_too_large"), 1, "the broker keeps the larger one back itself");
    collector.stop();
}

#[test]
fn a_flood_of_bad_input_keeps_a_bounded_number_of_letters_and_counts_all() {
    let folder = folder();
    let zone = zone::write(folder.path(), &[meter("good")], "");
    let data = folder.path().join("data");
    let broker = Mosquitto::start();
    let collector = Collector::start(&zone, &data, &broker.url());
    let mut gateway = Publisher::connect(broker.port(), ZONE);
    gateway.clock(&at(60));
    // 200 in an array, so that 12,000 come in 60 messages.
    let array = format!("[{}]", vec![reading("nobody", 0, 1, 1); 200].join(","));
    gateway.publish_all((0..60).map(|_| (telemetry("GW-1"), array.clone().into_bytes())));
    gateway.clock(&at(60));
    assert_eq!(refusals(&data, "unknown_meter"), 12_000);
    assert!(count(&data, "SELECT COUNT(*) FROM dead_letter") <= 10_000);
    let lines = collector.stderr().lines().filter(|line| line.contains("unknown_meter")).count();
    assert!(lines < 100, "{lines} lines in the log");
    collector.stop();
    assert!(!query(&data, "SELECT detail FROM dead_letter LIMIT 1")[0]["detail"].as_str().unwrap().is_empty());
}
