//! The ledger is a function of the set of readings: the order of their arrival changes nothing.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::harness::collector::Collector;
use crate::harness::folder;
use crate::harness::ledger::{assert_same, count, dump};
use crate::harness::mosquitto::Mosquitto;
use crate::harness::publisher::Publisher;
use crate::harness::zone::{self, Meter, ZONE, at, meter, reading, telemetry};

const QUARTERS: u32 = 300;

/// A reproducible number of a seed and two positions.
fn draw(seed: u64, a: u32, b: u32) -> u64 {
    let mut hasher = DefaultHasher::new();
    (seed, a, b).hash(&mut hasher);
    hasher.finish()
}

/// Three days of five meters with all that happens to registers: resets, dips, false zeros, spikes, rollovers, swaps, equal times.
fn messages(seed: u64, meters: &[Meter]) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for (number, meter) in (0..).zip(meters) {
        let full = 10_u64.pow(meter.width) * 100;
        let mut register = draw(seed, number, u32::MAX) % full;
        for quarter in 0..QUARTERS {
            register = (register + draw(seed, number, quarter) % 9_000) % full;
            let event = draw(seed + 1, number, quarter) % 40;
            let shown = match event {
                0 => 0,
                1 => register.saturating_sub(700),
                2 => (register + 5_000_000) % full,
                3 => {
                    register = 0;
                    0
                }
                _ => register,
            };
            let kwh = |hundredths: u64| format!("{}.{:02}", hundredths / 100, hundredths % 100);
            let (minute, seq) = (15 * quarter, 2 * quarter + 1);
            if event == 4 {
                let swap = format!(
                    r#"{{"event":"swap","meter":"M-{}","at":"{}","seq":{seq},"closing":{{"active_energy_import_kwh":{}}},"opening":{{"active_energy_import_kwh":3}}}}"#,
                    meter.name,
                    at(minute),
                    kwh(register)
                );
                register = 300;
                all.push((format!("nengtan/{ZONE}/gw/GW-1/event"), swap.into_bytes()));
                continue;
            }
            all.push((telemetry("GW-1"), reading(meter.name, minute, seq, kwh(shown)).into_bytes()));
            if event == 5 {
                // The same moment again with another value: the higher seq wins whatever comes first.
                all.push((telemetry("GW-1"), reading(meter.name, minute, seq + 1, kwh(shown + 1)).into_bytes()));
            }
            if event == 6 {
                all.push((telemetry("GW-1"), reading(meter.name, minute, seq, kwh(shown)).into_bytes()));
            }
        }
    }
    all
}

#[test]
fn permuting_arrivals_changes_nothing() {
    const SEED: u64 = 20_260_105;
    println!("seed {SEED}");
    let meters = ["a", "b", "c", "d", "e"].map(meter);
    let in_order = messages(SEED, &meters);
    let dumps: Vec<Vec<String>> = (0..4)
        .map(|shuffle: u32| {
            let mut arrivals = in_order.clone();
            let order = |index: u32| if shuffle == 0 { 0 } else { draw(u64::from(shuffle), index, 0) };
            let mut keyed: Vec<_> = (0..).map(order).zip(arrivals.drain(..)).collect();
            if shuffle == 3 {
                keyed.reverse();
            } else {
                keyed.sort_by_key(|(key, _)| *key);
            }
            let shuffled: Vec<_> = keyed.into_iter().map(|(_, message)| message).collect();
            ledger_of(&meters, shuffled)
        })
        .collect();
    assert!(dumps[0].len() > 1_400, "a ledger was written");
    for (number, other) in (1..).zip(&dumps[1..]) {
        println!("shuffle {number}");
        assert_same(&dumps[0], other);
    }
}

fn ledger_of(meters: &[Meter], messages: Vec<(String, Vec<u8>)>) -> Vec<String> {
    let folder = folder();
    let zone = zone::write(folder.path(), meters, "");
    let data = folder.path().join("data");
    let broker = Mosquitto::start();
    let collector = Collector::start(&zone, &data, &broker.url());
    let mut gateway = Publisher::connect(broker.port(), ZONE);
    gateway.clock(&at(15 * QUARTERS));
    gateway.publish_all(messages);
    gateway.clock(&at(15 * QUARTERS));
    collector.stop();
    assert_eq!(count(&data, "SELECT COALESCE(SUM(count), 0) FROM refusal WHERE reason <> 'superseded'"), 0);
    dump(&data)
}
