//! Alert rules, resolved for one zone: which meters, residuals and virtual meters each one watches and at which levels.
//!
//! Only the rules; whether an alert is raised is decided elsewhere.

use super::channel::{ChannelId, LedgerUnit, MeterIndex};
use super::entity::named;
use super::tree::PartIndex;
use super::units::{HOUR_MS, Quantity};
use super::zone::Zone;

#[derive(Clone, Debug, Default)]
pub struct AlertRules {
    pub thresholds: Vec<ThresholdRule>,
    pub stale: Option<StaleRule>,
    pub gateway: Option<GatewayRule>,
}

named! {
    Severity {
        Info = "info",
        Warning = "warning",
        Critical = "critical",
    }
}

named! {
    /// What a threshold looks at.
    Signal {
        /// An item as the meter sends it.
        Gauge = "gauge",
        /// The mean flow of a register over a closed interval, see [`interval_mean`].
        IntervalMean = "interval_mean",
    }
}

#[derive(Clone, Debug)]
pub struct RuleHead {
    pub id: Box<str>,
    pub name_en: Box<str>,
    pub name_zh: Box<str>,
    pub severity: Severity,
}

#[derive(Clone, Debug)]
pub struct ThresholdRule {
    pub head: RuleHead,
    pub on: Signal,
    /// The gauge, or the register's item.
    pub item: Box<str>,
    /// How long the condition has held, in device time, before the alert fires.
    pub hold_ms: i64,
    /// Never two for one meter or part.
    pub subjects: Vec<ThresholdSubject>,
}

/// What a threshold watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watched {
    Meter(MeterIndex),
    /// A residual or a virtual meter, by its interval means.
    Part(PartIndex),
}

impl Watched {
    /// The id under which alerts tell of it.
    #[must_use]
    pub fn id(self, zone: &Zone) -> &str {
        match self {
            Watched::Meter(meter) => &zone.meter(meter).id,
            Watched::Part(part) => &zone.part(part).id,
        }
    }
}

/// One meter or part under a threshold. Invariant: `clear_below <= raise_above`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ThresholdSubject {
    pub watched: Watched,
    /// The channel of an interval mean: of a part the one of its meter that says which carrier is meant; none for a gauge.
    pub register: Option<ChannelId>,
    /// In the item's unit, or as [`interval_mean`] has it.
    pub raise_above: f64,
    pub clear_below: f64,
}

#[derive(Clone, Debug)]
pub struct StaleRule {
    pub head: RuleHead,
    pub after_ms: i64,
}

#[derive(Clone, Debug)]
pub struct GatewayRule {
    pub head: RuleHead,
}

/// Mean flow over `span_ms`: kW for electricity and heat, m³/h, t/h or pieces per hour.
#[must_use]
pub fn interval_mean(unit: LedgerUnit, quantity: Quantity, span_ms: i64) -> f64 {
    quantity.0 as f64 * HOUR_MS as f64 / span_ms as f64 / ledger_per_mean(unit) as f64
}

/// Ledger units per hour in one unit of [`interval_mean`].
#[must_use]
pub fn ledger_per_mean(unit: LedgerUnit) -> i64 {
    match unit {
        LedgerUnit::WattHour | LedgerUnit::Litre => 1_000,
        LedgerUnit::Kilojoule => 3_600,
        LedgerUnit::Gram => 1_000_000,
        LedgerUnit::Piece => 1,
    }
}

/// Ledger units per hour in one unit of a gauge, by the gauge's name; none if the gauge is no flow of this kind.
#[must_use]
pub fn ledger_per_gauge(unit: LedgerUnit, gauge: &str) -> Option<i64> {
    let is = |suffix: &str| gauge.strip_suffix(suffix).is_some_and(|rest| rest.ends_with('_'));
    match unit {
        LedgerUnit::WattHour if is("kw") => Some(1_000),
        LedgerUnit::WattHour if is("mw") => Some(1_000_000),
        LedgerUnit::Kilojoule if is("kw") => Some(3_600),
        LedgerUnit::Kilojoule if is("mw") => Some(3_600_000),
        LedgerUnit::Litre if is("m3_h") => Some(1_000),
        LedgerUnit::Litre if is("l_h") => Some(1),
        LedgerUnit::Gram if is("t_h") => Some(1_000_000),
        LedgerUnit::Gram if is("kg_h") => Some(1_000),
        LedgerUnit::Piece if is("pcs_h") => Some(1),
        LedgerUnit::WattHour | LedgerUnit::Kilojoule | LedgerUnit::Litre | LedgerUnit::Gram | LedgerUnit::Piece => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_hour_of_225_kwh_is_a_mean_of_900_kw() {
        assert!((interval_mean(LedgerUnit::WattHour, Quantity(225_000), 900_000) - 900.0).abs() < 1e-9);
        assert!((interval_mean(LedgerUnit::Kilojoule, Quantity(3_600_000), HOUR_MS) - 1_000.0).abs() < 1e-9);
    }

    #[test]
    fn a_gauge_that_is_no_flow_has_no_rating() {
        assert_eq!(ledger_per_gauge(LedgerUnit::WattHour, "active_power_kw"), Some(1_000));
        assert_eq!(ledger_per_gauge(LedgerUnit::Kilojoule, "thermal_power_kw"), Some(3_600));
        assert_eq!(ledger_per_gauge(LedgerUnit::Litre, "flow_m3_h"), Some(1_000));
        assert_eq!(ledger_per_gauge(LedgerUnit::Gram, "mass_flow_t_h"), Some(1_000_000));
        assert_eq!(ledger_per_gauge(LedgerUnit::WattHour, "power_factor"), None);
        assert_eq!(ledger_per_gauge(LedgerUnit::WattHour, "flow_m3_h"), None);
    }
}
