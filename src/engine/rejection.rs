//! Why a value that could be read is not taken in.

use crate::domain::decimal::DecimalError;
use crate::wire::decode::Refusal;

/// Readings may be dated this far ahead of the engine's clock (or of its next tick, where the clock is fed).
pub const AHEAD_S_MAX: i64 = 900;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error(transparent)]
    Unreadable(#[from] Refusal),
    #[error("meter {meter} is not in the zone's meter list; add it to meters.csv")]
    UnknownMeter { meter: String },
    #[error("meter {meter}: dated {ahead_s} s in the future, more than the {AHEAD_S_MAX} s allowed; check the gateway's clock")]
    FromTheFuture { meter: String, ahead_s: i64 },
    #[error("meter {meter}: dated before its valid_from in meters.csv; correct the date there, or the gateway's clock")]
    BeforeValidFrom { meter: String },
    #[error(
        "meter {meter}: dated {at_ms} ms, where the readings that it would stand beside are no longer kept; keep.readings_days says how long they are"
    )]
    NoLongerKept { meter: String, at_ms: i64 },
    #[error("meter {meter}: {item} is {seen}: {cause}; wanted a number at the resolution and width of meters.csv")]
    Register { meter: String, item: String, seen: String, cause: DecimalError },
    #[error("meter {meter}: {item} is {seen}, wanted a finite number")]
    Gauge { meter: String, item: String, seen: String },
    #[error("meter {meter}: {item} at {at_ms} ms had two values; the one with the higher seq, then the larger one, was kept")]
    Superseded { meter: String, item: String, at_ms: i64 },
    #[error(
        "clock says {now_ms} ms, next {next_ms} ms; wanted at most 20 years ahead of the wall clock and steps of at most 32 days; correct the fleet's --from"
    )]
    ClockTooFar { now_ms: i64, next_ms: i64 },
    #[error("asset {asset}: command {id} is none that this collector sent; find who else may write commands to the broker")]
    ForgedCommand { asset: String, id: String },
    #[error("asset {asset}: the result of {id} is about no command to it; wanted the id of one, on the asset's own topic")]
    StrangeResult { asset: String, id: String },
    #[error("meter {meter}: the event's closing and opening name no register of it; name the item of meters.csv in both")]
    SwapWithoutRegister { meter: String },
}

impl Rejection {
    /// The reason as one word, for counters and the dead-letter table.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Rejection::Unreadable(refusal) => refusal.reason(),
            Rejection::UnknownMeter { .. } => "unknown_meter",
            Rejection::FromTheFuture { .. } => "from_the_future",
            Rejection::BeforeValidFrom { .. } => "before_valid_from",
            Rejection::NoLongerKept { .. } => "no_longer_kept",
            Rejection::Register { cause: DecimalError::TooManyDigits, .. } => "too_many_digits",
            Rejection::Register { cause: DecimalError::TooLarge, .. } => "register_too_large",
            Rejection::Register { cause: DecimalError::Negative, .. } => "register_negative",
            Rejection::Register { cause: DecimalError::NotANumber, .. } => "not_a_number",
            Rejection::Gauge { .. } => "gauge_not_a_number",
            Rejection::Superseded { .. } => "superseded",
            Rejection::SwapWithoutRegister { .. } => "swap_without_register",
            Rejection::ForgedCommand { .. } => "forged_command",
            Rejection::StrangeResult { .. } => "strange_result",
            Rejection::ClockTooFar { .. } => "clock_too_far",
        }
    }
}
