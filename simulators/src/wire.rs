//! The small messages of `docs/wire.md`: the clock, requests for missing readings, commands and their results.

use serde::{Deserialize, Serialize};

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

/// What an asset is told to do.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    pub id: String,
    pub asset: String,
    /// The set point in `unit`; none for the asset's own plan.
    pub value: Option<f64>,
    pub unit: String,
    pub from_ms: i64,
    pub until_ms: i64,
}

impl Command {
    #[must_use]
    pub fn decode(payload: &[u8]) -> Option<Command> {
        #[derive(Deserialize)]
        struct Raw {
            id: String,
            asset: String,
            #[serde(deserialize_with = "Option::deserialize")]
            value: Option<f64>,
            unit: String,
            from: Time,
            until: Time,
        }
        let Raw { id, asset, value, unit, from, until } = serde_json::from_slice(payload).ok()?;
        Some(Command { id, asset, value, unit, from_ms: from.ms()?, until_ms: until.ms()? })
    }
}

/// What an asset answers to a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub id: String,
    pub asset: String,
    /// Why it was refused; none where it was accepted.
    pub cause: Option<String>,
    pub at_ms: i64,
}

impl Answer {
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        #[derive(Serialize)]
        struct Raw<'a> {
            id: &'a str,
            asset: &'a str,
            outcome: &'static str,
            #[serde(skip_serializing_if = "Option::is_none")]
            cause: Option<&'a str>,
            at: i64,
        }
        let outcome = if self.cause.is_some() { "refused" } else { "accepted" };
        let raw = Raw { id: &self.id, asset: &self.asset, outcome, cause: self.cause.as_deref(), at: self.at_ms };
        serde_json::to_vec(&raw).expect("a struct of texts and numbers always encodes")
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
        let command = Command {
            id: "hvac-office-01@1767572100000".to_owned(),
            asset: "hvac-office-01".to_owned(),
            value: Some(20.0),
            unit: "c".to_owned(),
            from_ms: 1_767_572_100_000,
            until_ms: 1_767_579_300_000,
        };
        assert_eq!(Command::decode(include_bytes!("../../docs/wire/command.json")), Some(command));
        let release = Command::decode(include_bytes!("../../docs/wire/command-release.json")).unwrap();
        assert_eq!((release.value, release.until_ms), (None, 1_767_582_900_000));
        let without_value = br#"{"id":"a@1","asset":"a","unit":"c","from":1,"until":2,"reason":""}"#;
        assert_eq!(Command::decode(without_value), None, "a command without a value is none");
    }

    #[test]
    fn a_result_has_the_keys_of_its_example() {
        let keys = |json: &[u8]| {
            let value: serde_json::Value = serde_json::from_slice(json).unwrap();
            value.as_object().unwrap().keys().cloned().collect::<Vec<_>>()
        };
        let accepted = Answer { id: "a@1".to_owned(), asset: "a".to_owned(), cause: None, at_ms: 1 };
        let refused = Answer { cause: Some("because".to_owned()), ..accepted.clone() };
        assert_eq!(keys(&accepted.encode()), keys(include_bytes!("../../docs/wire/result.json")));
        assert_eq!(keys(&refused.encode()), keys(include_bytes!("../../docs/wire/result-refused.json")));
    }
}
