//! Alerts: what is watched and when it changes.
//!
//! Pure: never reads a clock, a store or the network, and never notifies; transitions go out as values.

pub mod mean;
pub mod silence;
pub mod threshold;

use crate::domain::units::Millis;

/// The rule of the alert that the shell raises when there is no broker; its subject is the zone.
pub const BROKER_RULE: &str = "broker-disconnected";

/// The rule of the alert that the shell raises when `InfluxDB` refuses the token; its subject is the zone.
pub const OUTBOX_RULE: &str = "influx-refused";

/// The rule of the alert that an asset's results are missing; its subject is the asset.
pub const RESULT_RULE: &str = "command-unanswered";

/// An alert's change, to be stored, logged and published.
#[derive(Clone, Debug, PartialEq)]
pub struct Transition {
    pub rule: Box<str>,
    pub subject: Box<str>,
    pub severity: &'static str,
    pub change: Change,
    pub value: f64,
    pub limit: f64,
    /// When the condition began.
    pub since: Millis,
    /// When it was seen to have held long enough, or to be over.
    pub at: Millis,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Raised,
    Cleared,
}

impl Change {
    #[must_use]
    pub fn state(self) -> &'static str {
        match self {
            Change::Raised => "firing",
            Change::Cleared => "cleared",
        }
    }
}
