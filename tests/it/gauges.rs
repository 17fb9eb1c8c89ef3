//! Gauges share a row with the register they came with; whatever comes twice or apart, each moment shows one value of each.

use nengtan::config::zone_folder;
use nengtan::domain::units::Millis;
use nengtan::engine::Engine;

use crate::harness::folder;
use crate::harness::ledger::query;
use crate::harness::zone::{self, ZONE, at, meter, telemetry};

/// 2026-01-05 00:00 +08:00.
const NOW: Millis = Millis(1_767_542_400_000);

struct Message {
    seq: u32,
    /// With the register or only gauges.
    register: Option<&'static str>,
    kw: Option<u32>,
    factor: Option<u32>,
}

/// A claim, what comes, and what active power and power factor are shown.
type Case = (&'static str, Vec<Message>, Option<u32>, Option<u32>);

/// A claim, what comes at which minute, and the newest active power and its minute.
type Newest = (&'static str, Vec<(u32, Message)>, u32, u32);

fn message(seq: u32, register: Option<&'static str>, kw: Option<u32>, factor: Option<u32>) -> Message {
    Message { seq, register, kw, factor }
}

impl Message {
    fn payload(&self) -> String {
        self.dated(15)
    }

    fn dated(&self, minute: u32) -> String {
        let register = self.register.map(|kwh| format!(r#""active_energy_import_kwh":{kwh}"#));
        let kw = self.kw.map(|kw| format!(r#""active_power_kw":{kw}"#));
        let factor = self.factor.map(|hundredths| format!(r#""power_factor":0.{hundredths}"#));
        let values: Vec<String> = [register, kw, factor].into_iter().flatten().collect();
        format!(r#"{{"meter":"M-a","at":"{}","seq":{},"values":{{{}}}}}"#, at(minute), self.seq, values.join(","))
    }
}

fn orders(count: usize) -> Vec<Vec<usize>> {
    if count == 0 {
        return vec![Vec::new()];
    }
    let shorter = orders(count - 1);
    let insert = |order: &Vec<usize>, place: usize| {
        let mut longer = order.clone();
        longer.insert(place, count - 1);
        longer
    };
    shorter.iter().flat_map(|order| (0..count).map(move |place| insert(order, place))).collect()
}

#[test]
fn each_moment_shows_the_gauge_of_the_highest_seq_in_whatever_order_messages_come() {
    let cases: [Case; 6] = [
        ("one message", vec![message(5, Some("10"), Some(40), Some(91))], Some(40), Some(91)),
        (
            "the same twice",
            vec![message(5, Some("10"), Some(40), Some(91)), message(5, Some("10"), Some(40), Some(91))],
            Some(40),
            Some(91),
        ),
        (
            "a later message replaces some",
            vec![message(5, Some("10"), Some(40), Some(91)), message(7, Some("10"), Some(30), None)],
            Some(30),
            Some(91),
        ),
        (
            "gauges without the register",
            vec![message(5, Some("10"), Some(40), None), message(6, None, Some(50), None), message(7, None, None, Some(92))],
            Some(50),
            Some(92),
        ),
        (
            "a register without gauges between",
            vec![message(5, Some("10"), Some(40), Some(91)), message(6, Some("11"), None, None), message(4, None, Some(60), Some(93))],
            Some(40),
            Some(91),
        ),
        (
            "one seq, two values: the larger",
            vec![message(5, Some("10"), Some(40), None), message(5, Some("10"), Some(45), None), message(5, Some("10"), Some(42), None)],
            Some(45),
            None,
        ),
    ];
    for (name, messages, kw, factor) in &cases {
        for order in orders(messages.len()) {
            for each_alone in [false, true] {
                let (home, what) = (folder(), format!("{name}, order {order:?}, commit after each: {each_alone}"));
                let zone = zone::write(home.path(), &[meter("a")], "");
                let read = zone_folder::load(&zone).unwrap_or_else(|faults| panic!("{faults:?}"));
                let data = home.path().join("data");
                let mut engine = Engine::open(&data, read.zone, (read.factors, read.tariff), read.alert_rules, NOW).unwrap();
                let clock = format!(r#"{{"now":"{}","next":"{}"}}"#, at(0), at(15));
                engine.apply(&format!("nengtan/{ZONE}/clock"), clock.as_bytes(), NOW).unwrap();
                for index in &order {
                    engine.apply(&telemetry("GW-1"), messages[*index].payload().as_bytes(), NOW).unwrap();
                    if each_alone {
                        engine.commit().unwrap();
                    }
                }
                engine.commit().unwrap();
                drop(engine);
                let seen = query(&data, "SELECT item, value FROM reading ORDER BY item");
                let values = |item: &str| seen.iter().filter(|row| row["item"] == item).map(|row| row["value"].as_f64().unwrap()).collect();
                let wanted = |value: &Option<u32>, unit: f64| value.iter().map(|value| f64::from(*value) * unit).collect::<Vec<f64>>();
                let (kws, factors): (Vec<f64>, Vec<f64>) = (values("active_power_kw"), values("power_factor"));
                assert_eq!(kws, wanted(kw, 1.0), "{what}");
                assert_eq!(factors, wanted(factor, 0.01), "{what}");
            }
        }
    }
}

#[test]
fn a_meters_newest_gauges_are_shown_whether_they_came_beside_its_register_or_apart() {
    let cases: [Newest; 4] = [
        (
            "beside the newest register",
            vec![(0, message(1, Some("10"), Some(40), None)), (15, message(2, Some("11"), Some(41), None))],
            41,
            15,
        ),
        ("apart and later", vec![(0, message(1, Some("10"), Some(40), None)), (5, message(2, None, Some(42), None))], 42, 5),
        ("apart and then beside", vec![(5, message(1, None, Some(42), None)), (15, message(2, Some("11"), Some(41), None))], 41, 15),
        (
            "older ones are not newest",
            vec![(15, message(2, Some("11"), Some(41), None)), (0, message(1, Some("10"), Some(40), None))],
            41,
            15,
        ),
    ];
    for (claim, messages, kw, minute) in &cases {
        let home = folder();
        let zone = zone::write(home.path(), &[meter("a")], "");
        let read = zone_folder::load(&zone).unwrap_or_else(|faults| panic!("{faults:?}"));
        let data = home.path().join("data");
        let mut engine = Engine::open(&data, read.zone, (read.factors, read.tariff), read.alert_rules, NOW).unwrap();
        let clock = format!(r#"{{"now":"{}","next":"{}"}}"#, at(0), at(15));
        engine.apply(&format!("nengtan/{ZONE}/clock"), clock.as_bytes(), NOW).unwrap();
        for (minute, message) in messages {
            engine.apply(&telemetry("GW-1"), message.dated(*minute).as_bytes(), NOW).unwrap();
            engine.commit().unwrap();
        }
        engine.settle().unwrap();
        drop(engine);
        let seen = query(&data, "SELECT latest_ts, latest_value FROM meter WHERE item = 'active_power_kw'");
        let wanted_ts = NOW.0 + i64::from(*minute) * 60_000;
        assert_eq!(seen.iter().map(|row| row["latest_value"].as_f64()).collect::<Vec<_>>(), [Some(f64::from(*kw))], "{claim}");
        assert_eq!(seen.iter().map(|row| row["latest_ts"].as_i64()).collect::<Vec<_>>(), [Some(wanted_ts)], "{claim}");
    }
}
