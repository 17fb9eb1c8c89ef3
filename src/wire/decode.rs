//! Payloads in.
//!
//! One reading of an array that cannot be read never takes the others with it.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::assets::{Heard, Outcome};
use super::topic::{self, Topic};
use crate::domain::units::Millis;

/// The largest payload that is looked into; a broker should allow no more.
pub const PAYLOAD_BYTES_MAX: usize = 1024 * 1024;
/// The most values of one reading.
const VALUES_MAX: usize = 256;
/// The longest name of a meter, item or serial number.
const NAME_BYTES_MAX: usize = 256;

/// Why a payload, or one reading of it, could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error(
        "topic is none that a collector reads, wanted nengtan/<zone>/gw/<gateway>/telemetry, status or event, nengtan/<zone>/asset/<asset>/result, or nengtan/<zone>/clock; see docs/wire.md"
    )]
    UnknownTopic,
    #[error("payload has {bytes} bytes, wanted at most {PAYLOAD_BYTES_MAX}; send fewer readings a message")]
    TooLarge { bytes: usize },
    #[error("payload is not UTF-8 from byte {at} on; send JSON in UTF-8")]
    NotUtf8 { at: usize },
    #[error("payload is not JSON: {detail}; compare docs/wire.md")]
    NotJson { detail: String },
    #[error("payload is JSON of another shape: {detail}; compare docs/wire.md")]
    WrongShape { detail: String },
    #[error("payload is an empty array, wanted at least one reading; send nothing when there is nothing")]
    EmptyArray,
    #[error("status is {seen:?}, wanted online or offline")]
    UnknownStatus { seen: String },
}

impl Refusal {
    /// The reason as one word, for counters and the dead-letter table.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Refusal::UnknownTopic => "unknown_topic",
            Refusal::TooLarge { .. } => "payload_too_large",
            Refusal::NotUtf8 { .. } => "not_utf8",
            Refusal::NotJson { .. } => "not_json",
            Refusal::WrongShape { .. } => "wrong_shape",
            Refusal::EmptyArray => "empty_array",
            Refusal::UnknownStatus { .. } => "unknown_status",
        }
    }
}

/// One reading as it was sent. Values are JSON texts.
#[derive(Debug)]
pub struct Reading<'a> {
    pub meter: Cow<'a, str>,
    pub at: Millis,
    pub seq: i64,
    pub serial: Option<Cow<'a, str>>,
    pub values: Vec<(Cow<'a, str>, &'a str)>,
}

/// A declared swap of a meter.
#[derive(Debug)]
pub struct Swap<'a> {
    pub meter: Cow<'a, str>,
    pub at: Millis,
    pub seq: i64,
    pub new_serial: Option<Cow<'a, str>>,
    pub closing: Vec<(Cow<'a, str>, &'a str)>,
    pub opening: Vec<(Cow<'a, str>, &'a str)>,
}

/// A message, read.
#[derive(Debug)]
pub enum Message<'a> {
    Telemetry {
        gateway: &'a str,
        readings: Vec<Result<Reading<'a>, Refusal>>,
    },
    Status {
        gateway: &'a str,
        online: bool,
    },
    Swap {
        gateway: &'a str,
        swap: Swap<'a>,
    },
    Clock {
        now: Millis,
        next: Millis,
        lockstep: bool,
    },
    /// A command to an asset: this collector's own, or nobody's.
    Command {
        asset: &'a str,
        command: Heard<'a>,
    },
    Outcome {
        asset: &'a str,
        outcome: Outcome<'a>,
    },
    /// Said to others than collectors.
    NotForUs,
}

/// Reads the payload of a topic of `zone`.
pub fn decode<'a>(zone: &str, topic: &'a str, payload: &'a [u8]) -> Result<Message<'a>, Refusal> {
    let topic = topic::parse(zone, topic).ok_or(Refusal::UnknownTopic)?;
    if payload.len() > PAYLOAD_BYTES_MAX {
        return Err(Refusal::TooLarge { bytes: payload.len() });
    }
    let text = std::str::from_utf8(payload).map_err(|error| Refusal::NotUtf8 { at: error.valid_up_to() })?;
    match topic {
        Topic::Telemetry { gateway } => Ok(Message::Telemetry { gateway, readings: telemetry(text)? }),
        Topic::NotForUs => Ok(Message::NotForUs),
        Topic::Status { gateway } => match text {
            "online" => Ok(Message::Status { gateway, online: true }),
            "offline" => Ok(Message::Status { gateway, online: false }),
            other => Err(Refusal::UnknownStatus { seen: other.chars().take(40).collect() }),
        },
        Topic::Event { gateway } => {
            let event: RawSwap = parse(text)?;
            let RawSwap { event: RawEvent::Swap, meter, at, seq, new_serial, closing, opening } = event;
            let swap = Swap { meter, at: at.0, seq, new_serial, closing: closing.0, opening: opening.0 };
            Ok(Message::Swap { gateway, swap })
        }
        Topic::Command { asset } => Ok(Message::Command { asset, command: parse(text)? }),
        Topic::Outcome { asset } => Ok(Message::Outcome { asset, outcome: Outcome::parse(text)? }),
        Topic::Clock => {
            let clock: RawClock = parse(text)?;
            let next = clock.next.unwrap_or(clock.now).0;
            Ok(Message::Clock { now: clock.now.0, next, lockstep: clock.lockstep })
        }
    }
}

fn telemetry(text: &str) -> Result<Vec<Result<Reading<'_>, Refusal>>, Refusal> {
    if !text.trim_start().starts_with('[') {
        return Ok(vec![Ok(parse::<RawReading>(text)?.into())]);
    }
    let readings: Vec<Result<Reading, Refusal>> = match serde_json::from_str::<Vec<RawReading>>(text) {
        Ok(readings) => readings.into_iter().map(|reading| Ok(reading.into())).collect(),
        Err(_) => parse::<Vec<&RawValue>>(text)?.into_iter().map(|one| parse::<RawReading>(one.get()).map(Reading::from)).collect(),
    };
    if readings.is_empty() {
        return Err(Refusal::EmptyArray);
    }
    Ok(readings)
}

pub(super) fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Refusal> {
    serde_json::from_str(text).map_err(|error| {
        let detail = error.to_string();
        if error.is_data() { Refusal::WrongShape { detail } } else { Refusal::NotJson { detail } }
    })
}

#[derive(Deserialize)]
struct RawReading<'a> {
    #[serde(borrow, deserialize_with = "name")]
    meter: Cow<'a, str>,
    at: At,
    #[serde(default)]
    seq: i64,
    #[serde(borrow, default, deserialize_with = "optional_name")]
    serial: Option<Cow<'a, str>>,
    #[serde(borrow)]
    values: Values<'a>,
}

impl<'a> From<RawReading<'a>> for Reading<'a> {
    fn from(raw: RawReading<'a>) -> Reading<'a> {
        Reading { meter: raw.meter, at: raw.at.0, seq: raw.seq, serial: raw.serial, values: raw.values.0 }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum RawEvent {
    Swap,
}

#[derive(Deserialize)]
struct RawSwap<'a> {
    event: RawEvent,
    #[serde(borrow, deserialize_with = "name")]
    meter: Cow<'a, str>,
    at: At,
    #[serde(default)]
    seq: i64,
    #[serde(borrow, default, deserialize_with = "optional_name")]
    new_serial: Option<Cow<'a, str>>,
    #[serde(borrow)]
    closing: Values<'a>,
    #[serde(borrow)]
    opening: Values<'a>,
}

#[derive(Deserialize)]
struct RawClock {
    now: At,
    next: Option<At>,
    #[serde(default)]
    lockstep: bool,
}

pub(super) fn name<'de, D: de::Deserializer<'de>>(from: D) -> Result<Cow<'de, str>, D::Error> {
    let Name(name) = Name::deserialize(from)?;
    Ok(name)
}

fn optional_name<'de, D: de::Deserializer<'de>>(from: D) -> Result<Option<Cow<'de, str>>, D::Error> {
    Ok(Option::<Name>::deserialize(from)?.map(|Name(name)| name))
}

/// A name, borrowed where the JSON text has no escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Name<'a> {
    fn deserialize<D: de::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Borrowed;
        impl<'de> Visitor<'de> for Borrowed {
            type Value = Name<'de>;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                write!(f, "a text of 1 to {NAME_BYTES_MAX} bytes")
            }
            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Name<'de>, E> {
                if text.is_empty() || NAME_BYTES_MAX < text.len() {
                    return Err(E::invalid_length(text.len(), &self));
                }
                Ok(Name(Cow::Borrowed(text)))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Name<'de>, E> {
                if text.is_empty() || NAME_BYTES_MAX < text.len() {
                    return Err(E::invalid_length(text.len(), &self));
                }
                Ok(Name(Cow::Owned(text.to_owned())))
            }
        }
        from.deserialize_str(Borrowed)
    }
}

/// The values of a reading: item and JSON text.
struct Values<'a>(Vec<(Cow<'a, str>, &'a str)>);

impl<'de: 'a, 'a> Deserialize<'de> for Values<'a> {
    fn deserialize<D: de::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Map;
        impl<'de> Visitor<'de> for Map {
            type Value = Values<'de>;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                write!(f, "an object of at least one item and its number")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Values<'de>, A::Error> {
                let mut values = Vec::with_capacity(3);
                while let Some((Name(item), value)) = map.next_entry::<Name<'de>, &'de RawValue>()? {
                    if values.len() == VALUES_MAX {
                        return Err(de::Error::custom(format!("more than {VALUES_MAX} values in one reading")));
                    }
                    values.push((item, value.get()));
                }
                if values.is_empty() {
                    return Err(de::Error::invalid_length(0, &self));
                }
                Ok(Values(values))
            }
        }
        from.deserialize_map(Map)
    }
}

/// A moment: RFC 3339 with offset, or integer milliseconds.
#[derive(Clone, Copy)]
pub(super) struct At(pub(super) Millis);

/// 9999-12-31: later than any meter, early enough for every calculation.
const AT_MS_MAX: i64 = 253_402_300_799_999;

impl<'de> Deserialize<'de> for At {
    fn deserialize<D: de::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Moment;
        impl Visitor<'_> for Moment {
            type Value = At;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                write!(f, "RFC 3339 with offset, or milliseconds since 1970, within the years 1970 to 9999")
            }
            fn visit_i64<E: de::Error>(self, ms: i64) -> Result<At, E> {
                if (0..=AT_MS_MAX).contains(&ms) { Ok(At(Millis(ms))) } else { Err(E::invalid_value(de::Unexpected::Signed(ms), &self)) }
            }
            fn visit_u64<E: de::Error>(self, ms: u64) -> Result<At, E> {
                self.visit_i64(i64::try_from(ms).unwrap_or(i64::MAX))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<At, E> {
                match text.parse::<jiff::Timestamp>() {
                    Ok(at) => self.visit_i64(at.as_millisecond()),
                    Err(_) => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }
        }
        from.deserialize_any(Moment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TELEMETRY: &str = "nengtan/z/gw/g/telemetry";

    fn example(name: &str) -> Vec<u8> {
        let path = format!("{}/docs/wire/{name}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    #[test]
    fn every_example_of_the_document_is_decoded() {
        let payload = example("telemetry.json");
        let Ok(Message::Telemetry { gateway: "g", readings }) = decode("z", TELEMETRY, &payload) else {
            panic!("telemetry");
        };
        let reading = readings[0].as_ref().unwrap();
        assert_eq!((&*reading.meter, reading.at, reading.seq), ("HT-E-0012", Millis(1_767_572_100_000), 17));
        assert_eq!(reading.values[0], (Cow::Borrowed("active_energy_import_kwh"), "12345.678"));
        assert_eq!(reading.values.len(), 3);

        let payload = example("telemetry-array.json");
        let Ok(Message::Telemetry { readings, .. }) = decode("z", TELEMETRY, &payload) else { panic!("array") };
        let readings: Vec<_> = readings.into_iter().map(Result::unwrap).collect();
        assert_eq!((readings[0].at, readings[0].seq), (Millis(1_767_572_100_000), 18));
        assert_eq!((readings[1].at, readings[1].serial.as_deref()), (Millis(1_767_572_100_000), Some("W77")));

        for (file, online) in [("status-online.txt", true), ("status-offline.txt", false)] {
            let payload = example(file);
            let Ok(Message::Status { online: seen, .. }) = decode("z", "nengtan/z/gw/g/status", &payload) else { panic!("{file}") };
            assert_eq!(seen, online);
        }
        let payload = example("event-swap.json");
        let Ok(Message::Swap { swap, .. }) = decode("z", "nengtan/z/gw/g/event", &payload) else { panic!("swap") };
        assert_eq!((swap.closing[0].1, swap.opening[0].1, swap.new_serial.as_deref()), ("12399.1", "0", Some("S2001")));

        let payload = example("clock.json");
        let Ok(Message::Clock { now, next, lockstep: true }) = decode("z", "nengtan/z/clock", &payload) else { panic!("clock") };
        assert_eq!((now, next), (Millis(1_767_572_100_000), Millis(1_767_573_000_000)));
    }

    #[test]
    fn bad_payloads_are_refused_with_their_reason() {
        let cases: [(&str, &str, &[u8], &str); 12] = [
            ("not JSON", TELEMETRY, b"hello", "not_json"),
            ("NaN is not JSON", TELEMETRY, br#"{"meter":"M","at":1,"values":{"a_kwh":NaN}}"#, "not_json"),
            ("cut off", TELEMETRY, br#"{"meter":"M","at":1,"#, "not_json"),
            ("no UTF-8", TELEMETRY, b"{\"meter\":\"\xff\"}", "not_utf8"),
            ("an empty array", TELEMETRY, b"[]", "empty_array"),
            ("no values", TELEMETRY, br#"{"meter":"M","at":1,"values":{}}"#, "wrong_shape"),
            ("wrong type of meter", TELEMETRY, br#"{"meter":5,"at":1,"values":{"a_kwh":1}}"#, "wrong_shape"),
            ("a date without offset", TELEMETRY, br#"{"meter":"M","at":"2026-01-01T00:00:00","values":{"a_kwh":1}}"#, "wrong_shape"),
            ("a date before 1970", TELEMETRY, br#"{"meter":"M","at":-5,"values":{"a_kwh":1}}"#, "wrong_shape"),
            ("an unknown topic", "nengtan/z/gw/g/other", b"{}", "unknown_topic"),
            ("another word than online", "nengtan/z/gw/g/status", b"ok", "unknown_status"),
            ("another event", "nengtan/z/gw/g/event", br#"{"event":"fire"}"#, "wrong_shape"),
        ];
        for (claim, topic, payload, wanted) in cases {
            match decode("z", topic, payload) {
                Err(refusal) => assert_eq!(refusal.reason(), wanted, "{claim}: {refusal}"),
                Ok(message) => panic!("{claim}: {message:?}"),
            }
        }
        let large = vec![b' '; PAYLOAD_BYTES_MAX + 1];
        assert_eq!(decode("z", TELEMETRY, &large).unwrap_err().reason(), "payload_too_large");
    }

    #[test]
    fn a_bad_reading_does_not_take_its_neighbours_with_it() {
        let payload = br#"[{"meter":"A","at":1,"values":{"a_kwh":1}}, 7, {"meter":"B","at":2,"values":{"a_kwh":"x"}}]"#;
        let Ok(Message::Telemetry { readings, .. }) = decode("z", TELEMETRY, payload) else { panic!("array") };
        assert!(readings[0].is_ok());
        assert_eq!(readings[1].as_ref().unwrap_err().reason(), "wrong_shape");
        assert_eq!(readings[2].as_ref().unwrap().values[0].1, "\"x\"");
    }
}
