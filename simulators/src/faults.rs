//! The faults that a run plays, planned before it starts.
//!
//! Everything is keyed by the seed: the same zone, window and seed give the same faults.

mod plan;
mod preview;

pub use plan::Plan;
pub use preview::Preview;

/// How rough the field is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    None,
    /// About a tenth of `Harsh`.
    Field,
    Harsh,
}

impl Level {
    pub const NAMES: [(&str, Level); 3] = [("none", Level::None), ("field", Level::Field), ("harsh", Level::Harsh)];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Level::None => "none",
            Level::Field => "field",
            Level::Harsh => "harsh",
        }
    }
}

/// The faults that are planned one by one (`docs/truth.md`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Gap,
    Reset,
    Rollover,
    SwapDeclared,
    SwapUndeclared,
    FalseZero,
    Frozen,
    Spike,
    ClockDrift,
    GatewayOffline,
}

impl Kind {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::Gap => "gap",
            Kind::Reset => "reset",
            Kind::Rollover => "rollover",
            Kind::SwapDeclared => "swap_declared",
            Kind::SwapUndeclared => "swap_undeclared",
            Kind::FalseZero => "false_zero",
            Kind::Frozen => "frozen",
            Kind::Spike => "spike",
            Kind::ClockDrift => "clock_drift",
            Kind::GatewayOffline => "gateway_offline",
        }
    }

    /// How many a harsh month of 300 meters has: a fifth more than is asked for.
    fn per_harsh_month(self) -> f64 {
        match self {
            Kind::GatewayOffline => 24.0,
            Kind::ClockDrift => 6.0,
            Kind::Gap
            | Kind::Reset
            | Kind::Rollover
            | Kind::SwapDeclared
            | Kind::SwapUndeclared
            | Kind::FalseZero
            | Kind::Frozen
            | Kind::Spike => 12.0,
        }
    }

    /// Whether the counter goes on from elsewhere, so that what was known of its height no longer holds.
    fn moves_the_counter(self) -> bool {
        matches!(self, Kind::Reset | Kind::Rollover | Kind::SwapDeclared | Kind::SwapUndeclared)
    }
}

/// One fault of one meter, in true time.
#[derive(Clone, Debug)]
pub struct MeterFault {
    pub kind: Kind,
    /// Index into the zone's channels; for whole devices the first register.
    pub channel: usize,
    /// Exclusive where the fault lasts; the moment itself where it does not.
    pub from_ms: i64,
    /// Inclusive.
    pub to_ms: i64,
    /// Milliseconds that the clock is ahead (drift); ledger units above the register (spike).
    pub amount: i64,
    /// Registers of the device that is put in, in ledger units, in the roster's order (swaps).
    pub starts: Vec<i64>,
}

impl MeterFault {
    /// Whether it happens at one moment within (`from`, `to`].
    #[must_use]
    pub fn happens_within(&self, from_ms: i64, to_ms: i64) -> bool {
        from_ms < self.from_ms && self.from_ms <= to_ms
    }

    /// Whether a fault that lasts covers the moment.
    #[must_use]
    pub fn covers(&self, at_ms: i64) -> bool {
        self.from_ms < at_ms && at_ms <= self.to_ms
    }

    /// The part of (`from`, `to`] that a fault that lasts covers.
    #[must_use]
    pub fn share_of(&self, from_ms: i64, to_ms: i64) -> f64 {
        let covered = (self.to_ms.min(to_ms) - self.from_ms.max(from_ms)).max(0);
        covered as f64 / (to_ms - from_ms) as f64
    }
}

/// A gateway without a connection, from one tick of the clock to another.
#[derive(Clone, Copy, Debug)]
pub struct Outage {
    pub from_ms: i64,
    pub to_ms: i64,
}

/// Probabilities per reading.
#[derive(Clone, Copy, Debug)]
pub struct Rates {
    pub duplicate: f64,
    pub reorder: f64,
    pub late: f64,
}

impl Rates {
    #[must_use]
    pub fn of(level: Level) -> Rates {
        let share = match level {
            Level::None => 0.0,
            Level::Field => 0.1,
            Level::Harsh => 1.0,
        };
        Rates { duplicate: 0.025 * share, reorder: 0.025 * share, late: 0.0125 * share }
    }
}
