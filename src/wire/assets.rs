//! Commands to assets and what they answer.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::decode::{At, Refusal, name, parse};
use super::encode::json;
use crate::domain::units::Millis;

/// What is kept of an asset's cause for refusing.
const CAUSE_CHARS_MAX: usize = 200;

/// A command to an asset, in its unit.
#[derive(Serialize)]
pub struct Command<'a> {
    pub id: &'a str,
    pub asset: &'a str,
    /// None: the asset's own plan.
    pub value: Option<f64>,
    pub unit: &'a str,
    pub from: String,
    pub until: String,
    pub reason: &'a str,
}

#[must_use]
pub fn encode(command: &Command) -> Vec<u8> {
    json(command)
}

/// Somebody's command, as a collector hears it from the broker; by these it knows its own.
#[derive(Debug, PartialEq, Deserialize)]
pub struct Heard<'a> {
    #[serde(borrow, deserialize_with = "name")]
    pub id: Cow<'a, str>,
    #[serde(deserialize_with = "Option::deserialize")]
    pub value: Option<f64>,
}

/// An asset's answer to a command.
#[derive(Debug)]
pub struct Outcome<'a> {
    pub id: Cow<'a, str>,
    /// The asset that the payload names; whose answer it is, the topic says.
    pub asset: Cow<'a, str>,
    /// Why it was refused; none where it was accepted.
    pub cause: Option<String>,
    /// The asset's clock.
    pub at: Millis,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum RawVerdict {
    Accepted,
    Refused,
}

#[derive(Deserialize)]
struct RawOutcome<'a> {
    #[serde(borrow, deserialize_with = "name")]
    id: Cow<'a, str>,
    #[serde(borrow, deserialize_with = "name")]
    asset: Cow<'a, str>,
    outcome: RawVerdict,
    #[serde(default)]
    cause: Option<String>,
    at: At,
}

impl<'a> Outcome<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Outcome<'a>, Refusal> {
        let RawOutcome { id, asset, outcome, cause, at } = parse(text)?;
        let cause = match (outcome, cause) {
            (RawVerdict::Accepted, _) => None,
            (RawVerdict::Refused, Some(cause)) => Some(cause.chars().take(CAUSE_CHARS_MAX).collect()),
            (RawVerdict::Refused, None) => {
                return Err(Refusal::WrongShape { detail: "an outcome of refused without its cause".to_owned() });
            }
        };
        Ok(Outcome { id, asset, cause, at: at.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::super::decode::{Message, decode};
    use super::*;

    const COMMAND: &str = "nengtan/z/asset/hvac-office-01/command";
    const RESULT: &str = "nengtan/z/asset/hvac-office-01/result";

    fn example(name: &str) -> Vec<u8> {
        let path = format!("{}/docs/wire/{name}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    #[test]
    fn every_example_is_understood() {
        for (file, wanted) in [("command.json", Some(20.0)), ("command-release.json", None)] {
            let payload = example(file);
            let Ok(Message::Command { asset: "hvac-office-01", command }) = decode("z", COMMAND, &payload) else { panic!("{file}") };
            assert_eq!((command.value, &command.id[..15]), (wanted, "hvac-office-01@"));
        }
        for (file, cause) in [("result.json", None), ("result-refused.json", Some("value 31"))] {
            let payload = example(file);
            let Ok(Message::Outcome { asset, outcome }) = decode("z", RESULT, &payload) else { panic!("{file}") };
            assert_eq!((asset, outcome.cause.as_deref().map(|cause| &cause[..8])), (&*outcome.asset, cause));
        }
    }

    #[test]
    fn a_command_says_what_its_example_says() {
        let [from, until] = ["2026-01-05T08:15:00+08:00", "2026-01-05T10:15:00+08:00"].map(str::to_owned);
        let (id, asset, reason) = ("hvac-office-01@1767572100000", "hvac-office-01", "in use: heat to 20 c");
        let command = Command { id, asset, value: Some(20.0), unit: "c", from, until, reason };
        assert_eq!(encode(&command), example("command.json").trim_ascii());
    }

    #[test]
    fn what_is_no_command_or_result_is_refused() {
        let cases: [(&str, &str, &[u8]); 5] = [
            ("a refusal without a cause", RESULT, br#"{"id":"a@1","asset":"a","outcome":"refused","at":1}"#),
            ("another outcome", RESULT, br#"{"id":"a@1","asset":"a","outcome":"maybe","at":1}"#),
            ("a result without an id", RESULT, br#"{"asset":"a","outcome":"accepted","at":1}"#),
            ("a result without a time", RESULT, br#"{"id":"a@1","asset":"a","outcome":"accepted"}"#),
            ("a command without a value", COMMAND, br#"{"id":"a@1"}"#),
        ];
        for (claim, topic, payload) in cases {
            match decode("z", topic, payload) {
                Err(refusal) => assert_eq!(refusal.reason(), "wrong_shape", "{claim}: {refusal}"),
                Ok(message) => panic!("{claim}: {message:?}"),
            }
        }
    }
}
