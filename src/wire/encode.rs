//! Payloads out.

use serde::Serialize;

use crate::domain::units::Millis;

/// Local time with offset, as people read it.
#[must_use]
pub fn rfc3339(at: Millis, tz: &jiff::tz::TimeZone) -> String {
    match jiff::Timestamp::from_millisecond(at.0) {
        Ok(at) => at.to_zoned(tz.clone()).strftime("%Y-%m-%dT%H:%M:%S%.f%:z").to_string(),
        Err(_) => format!("{} ms", at.0),
    }
}

#[derive(Serialize)]
struct ClockDone {
    now: String,
}

#[must_use]
pub fn clock_done(now: Millis, tz: &jiff::tz::TimeZone) -> Vec<u8> {
    json(&ClockDone { now: rfc3339(now, tz) })
}

#[derive(Serialize)]
struct Backfill<'a> {
    id: String,
    meter: &'a str,
    from: String,
    to: String,
}

/// Asks for a meter's readings strictly between two moments. The id is a function of what is missing.
#[must_use]
pub fn backfill(meter: &str, from: Millis, to: Millis, tz: &jiff::tz::TimeZone) -> Vec<u8> {
    json(&Backfill { id: format!("{meter}@{}", from.0), meter, from: rfc3339(from, tz), to: rfc3339(to, tz) })
}

/// An alert's state as it is published, retained.
#[derive(Serialize)]
pub struct Alert<'a> {
    pub rule: &'a str,
    pub subject: &'a str,
    pub state: &'a str,
    pub severity: &'a str,
    pub value: f64,
    pub limit: f64,
    pub since: String,
    pub at: String,
}

#[must_use]
pub fn alert(alert: &Alert) -> Vec<u8> {
    json(alert)
}

pub(super) fn json<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("plain structs of text and numbers always encode")
}
