//! Damaged payloads: decoding and taking in never panics and never ends the engine.

use nengtan::config::zone_folder;
use nengtan::domain::units::Millis;
use nengtan::engine::Engine;
use nengtan::wire::decode::decode;

use crate::harness::{folder, repository, zone};

const ROUNDS: u32 = 20_000;
/// Commit after so many messages, so that damaged ones meet what is stored.
const ROUNDS_PER_COMMIT: u32 = 200;

/// A small generator (xorshift64*): the same seed damages the same bytes everywhere.
struct Draws(u64);

impl Draws {
    fn below(&mut self, below: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(high).unwrap() % below
    }
}

/// What breaks decoders: numbers at the edge, escapes, half characters, nesting.
const MORSELS: [&[u8]; 20] = [
    b"-0",
    b"1e999",
    b"1E-999",
    b"0.0000000001",
    b"99999999999999999999",
    b"-9223372036854775808",
    b"\\u0000",
    b"\\ud800",
    b"\xf0\x9f",
    b"\xff",
    b"null",
    b"[[[[",
    b"{\"a\":",
    b"}",
    b"]",
    b"\"",
    b",",
    b"NaN",
    b"2026-02-30T25:61:61Z",
    b"9999-12-31T23:59:59.999999999-23:59",
];

fn damage(draws: &mut Draws, payload: &[u8]) -> Vec<u8> {
    let mut damaged = payload.to_vec();
    for _ in 0..=draws.below(4) {
        let at = draws.below(damaged.len() + 1);
        let to = (at + draws.below(12)).min(damaged.len());
        match draws.below(5) {
            0 => damaged.truncate(at),
            1 => drop(damaged.drain(at..to)),
            2 => drop(damaged.splice(at..to, MORSELS[draws.below(MORSELS.len())].iter().copied())),
            3 => {
                let copy = damaged[at..to].to_vec();
                drop(damaged.splice(at..at, copy));
            }
            _ => {
                if let Some(byte) = damaged.get_mut(at) {
                    *byte ^= 1 << draws.below(8);
                }
            }
        }
    }
    damaged
}

#[test]
fn damaged_payloads_never_end_the_engine() {
    const SEED: u64 = 0x4E65_6E67_7461_6E31;
    println!("seed {SEED}");
    let folder = folder();
    let meters = ["a", "b"].map(zone::meter);
    let read = zone_folder::load(&zone::write(folder.path(), &meters, "")).unwrap();
    let mut engine =
        Engine::open(&folder.path().join("data"), read.zone, (read.factors, read.tariff), read.alert_rules, Millis(0)).unwrap();
    let topics = ["gw/GW-1/telemetry", "gw/GW-1/event", "gw/GW-1/status", "clock", "gw//telemetry", "gw/GW-1/other"]
        .map(|topic| format!("nengtan/{}/{topic}", zone::ZONE));
    let mut payloads: Vec<Vec<u8>> =
        std::fs::read_dir(repository("docs/wire")).unwrap().map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect();
    payloads.sort_unstable();
    // The examples name meters of another zone; these reach the ledger.
    for text in payloads.clone().iter().map(|payload| String::from_utf8_lossy(payload).into_owned()) {
        payloads.push(text.replace("HT-E-0012", "M-a").into_bytes());
    }
    let mut draws = Draws(SEED);
    for round in 1..=ROUNDS {
        let payload = payloads[draws.below(payloads.len())].clone();
        let payload = damage(&mut draws, &payload);
        let topic = &topics[draws.below(topics.len())];
        if let Err(refusal) = decode(zone::ZONE, topic, &payload) {
            assert!(!refusal.to_string().is_empty() && !refusal.reason().is_empty());
        }
        // 2026-01-06 00:00 +08:00.
        engine.apply(topic, &payload, Millis(1_767_628_800_000)).unwrap_or_else(|error| panic!("round {round}: {error}: {payload:?}"));
        if round % ROUNDS_PER_COMMIT == 0 {
            engine.commit().unwrap_or_else(|error| panic!("round {round}: {error}"));
        }
    }
}
