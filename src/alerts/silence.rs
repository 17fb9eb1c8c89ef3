//! Meters and gateways that have fallen silent.
//!
//! Invariant: while a gateway's alert fires, and for the stale time after it cleared, no meter of it raises an alert of its own.

use crate::domain::units::Millis;

/// What is known of one meter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MeterVoice {
    /// Newest accepted device time; none before the first.
    pub newest: Option<Millis>,
    /// When the stale alert began, while it fires.
    pub stale_since: Option<Millis>,
}

/// What is known of one gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GatewayVoice {
    /// Its status says offline, since when.
    pub offline_since: Option<Millis>,
    /// When its alert began, while it fires.
    pub alert_since: Option<Millis>,
    /// When its alert last cleared.
    pub cleared_at: Option<Millis>,
}

/// A meter is stale if it spoke before, but not for more than `after_ms`; never before `live_from`.
#[must_use]
pub fn is_stale(meter: &MeterVoice, now: Millis, after_ms: i64, live_from: Option<Millis>) -> bool {
    let quiet_from = match (meter.newest, live_from) {
        (None, _) => return false,
        (Some(newest), Some(live_from)) => newest.max(live_from),
        (Some(newest), None) => newest,
    };
    now.ms_since(quiet_from) > after_ms
}

impl GatewayVoice {
    pub const NEW: GatewayVoice = GatewayVoice { offline_since: None, alert_since: None, cleared_at: None };

    /// Whether the gateway's meters may not raise stale alerts of their own.
    #[must_use]
    pub fn covers_meters(&self, now: Millis, after_ms: i64) -> bool {
        self.alert_since.is_some() || self.cleared_at.is_some_and(|cleared| now.ms_since(cleared) <= after_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    #[test]
    fn only_a_meter_that_spoke_can_fall_silent() {
        let meter = |newest| MeterVoice { newest, stale_since: None };
        assert!(!is_stale(&meter(None), Millis(9 * HOUR), HOUR, None));
        assert!(!is_stale(&meter(Some(Millis(8 * HOUR))), Millis(9 * HOUR), HOUR, None));
        assert!(is_stale(&meter(Some(Millis(8 * HOUR))), Millis(9 * HOUR + 1), HOUR, None));
        assert!(!is_stale(&meter(Some(Millis(0))), Millis(9 * HOUR), HOUR, Some(Millis(8 * HOUR))), "history is never stale");
    }

    #[test]
    fn a_gateways_alert_covers_its_meters_for_a_while() {
        let cleared = GatewayVoice { cleared_at: Some(Millis(0)), ..GatewayVoice::NEW };
        assert!(cleared.covers_meters(Millis(HOUR), HOUR));
        assert!(!cleared.covers_meters(Millis(HOUR + 1), HOUR));
        assert!(!GatewayVoice::NEW.covers_meters(Millis(HOUR), HOUR));
    }
}
