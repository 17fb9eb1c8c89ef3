//! `wire::decode` on any bytes: never panics, and what it refuses it can name.
//!
//! Run with `cargo +nightly fuzz run decode fuzz/corpus/decode docs/wire` (cargo install cargo-fuzz). The first byte chooses the topic.

#![no_main]

use libfuzzer_sys::fuzz_target;
use nengtan::wire::decode::{Message, decode};

const TOPICS: [&str; 7] = [
    "nengtan/z/gw/g/telemetry",
    "nengtan/z/gw/g/event",
    "nengtan/z/gw/g/status",
    "nengtan/z/clock",
    "nengtan/z/gw/g/unknown",
    "nengtan/z/asset/a/command",
    "nengtan/z/asset/a/result",
];

fuzz_target!(|bytes: &[u8]| {
    // An example of docs/wire begins with a brace, a bracket or a letter, so each is tried as telemetry as it is, too.
    check(TOPICS[0], bytes);
    if let Some((first, rest)) = bytes.split_first() {
        check(TOPICS[usize::from(*first) % TOPICS.len()], rest);
    }
});

fn check(topic: &str, payload: &[u8]) {
    match decode("z", topic, payload) {
        Ok(Message::Telemetry { readings, .. }) => assert!(!readings.is_empty()),
        Ok(
            Message::Status { .. }
            | Message::Swap { .. }
            | Message::Clock { .. }
            | Message::Command { .. }
            | Message::Outcome { .. }
            | Message::NotForUs,
        ) => {}
        Err(refusal) => assert!(!refusal.reason().is_empty()),
    }
}
