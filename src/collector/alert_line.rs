//! Alerts as others see them: a line in the log per transition, stable and greppable, and the retained message.

use tracing::{info, warn};

use crate::alerts::{Change, Transition};
use crate::domain::units::Millis;
use crate::wire::encode;

/// An alert line is late if it comes this long after what it tells of.
const LATE_S_MIN: i64 = 3600;

pub fn log(transition: &Transition, now: Millis, tz: &jiff::tz::TimeZone) {
    let Transition { rule, subject, severity, change, value, limit, since, at } = transition;
    let since = encode::rfc3339(*since, tz);
    let (value, limit) = (format!("{value:.3}"), format!("{limit:.3}"));
    let late_s = now.ms_since(*at) / 1000;
    let state = change.state();
    match (change, late_s >= LATE_S_MIN) {
        (Change::Raised, false) => warn!(alert = %rule, %state, %subject, %value, %limit, %since, %severity),
        (Change::Raised, true) => warn!(alert = %rule, %state, %subject, %value, %limit, %since, %severity, late_s),
        (Change::Cleared, false) => info!(alert = %rule, %state, %subject, %value, %limit, %since, %severity),
        (Change::Cleared, true) => info!(alert = %rule, %state, %subject, %value, %limit, %since, %severity, late_s),
    }
}

/// The payload of the alert's topic.
pub fn message(transition: &Transition, tz: &jiff::tz::TimeZone) -> Vec<u8> {
    let Transition { rule, subject, severity, change, value, limit, since, at } = transition;
    encode::alert(&encode::Alert {
        rule,
        subject,
        state: change.state(),
        severity,
        value: *value,
        limit: *limit,
        since: encode::rfc3339(*since, tz),
        at: encode::rfc3339(*at, tz),
    })
}
