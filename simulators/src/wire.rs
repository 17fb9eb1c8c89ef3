//! The small messages of `docs/wire.md`: the clock and requests for missing readings.

use serde::Deserialize;

/// What the clock topic says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    pub now_ms: i64,
    pub next_ms: i64,
    pub lockstep: bool,
}

impl Clock {
    #[must_use]
    pub fn encode(self) -> Vec<u8> {
        let Clock { now_ms, next_ms, lockstep } = self;
        format!("{{\"now\":{now_ms},\"next\":{next_ms},\"lockstep\":{lockstep}}}").into_bytes()
    }
}

/// The collector asks for a meter's readings strictly between two times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backfill {
    pub meter: String,
    pub from_ms: i64,
    pub to_ms: i64,
}

impl Backfill {
    #[must_use]
    pub fn decode(payload: &[u8]) -> Option<Backfill> {
        #[derive(Deserialize)]
        struct Request {
            meter: String,
            from: Time,
            to: Time,
        }
        let Request { meter, from, to } = serde_json::from_slice(payload).ok()?;
        Some(Backfill { meter, from_ms: from.ms()?, to_ms: to.ms()? })
    }
}

/// The time that the collector is done with.
#[must_use]
pub fn decode_done(payload: &[u8]) -> Option<i64> {
    #[derive(Deserialize)]
    struct Done {
        now: Time,
    }
    serde_json::from_slice::<Done>(payload).ok()?.now.ms()
}

/// RFC 3339 or milliseconds.
#[derive(Deserialize)]
#[serde(untagged)]
enum Time {
    Ms(i64),
    Text(String),
}

impl Time {
    fn ms(&self) -> Option<i64> {
        match self {
            Time::Ms(ms) => Some(*ms),
            Time::Text(text) => text.parse().ok().map(jiff::Timestamp::as_millisecond),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_says_what_the_example_says() {
        let said: serde_json::Value = serde_json::from_slice(&Clock { now_ms: 1, next_ms: 2, lockstep: true }.encode()).unwrap();
        let example: serde_json::Value = serde_json::from_slice(include_bytes!("../../docs/wire/clock.json")).unwrap();
        let keys = |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!((keys(&said), &said["lockstep"]), (keys(&example), &example["lockstep"]));
    }

    #[test]
    fn every_example_that_the_fleet_hears_is_understood() {
        let backfill = Backfill { meter: "HT-E-0012".to_owned(), from_ms: 1_767_571_200_000, to_ms: 1_767_582_000_000 };
        assert_eq!(Backfill::decode(include_bytes!("../../docs/wire/backfill.json")), Some(backfill));
        assert_eq!(decode_done(include_bytes!("../../docs/wire/clock-done.json")), Some(1_767_572_100_000));
        assert_eq!(decode_done(br#"{"now":1767572100000}"#), Some(1_767_572_100_000));
    }
}
