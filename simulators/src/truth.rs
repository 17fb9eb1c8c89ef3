//! What truly happened, and what an ideal reader of the published data can know of it (`docs/truth.md`).

pub mod alerts;
pub mod file;
pub mod means;
mod owed;
mod scan;

pub use owed::{Span, spans};
pub use scan::Limits;

use crate::faults::Kind;

/// A declared swap of a meter: registers in the roster's order, in ledger units.
#[derive(Clone, Debug)]
pub struct Swap {
    pub at_ms: i64,
    pub seq: u32,
    pub old_serial: String,
    pub new_serial: String,
    pub closing: Vec<i64>,
    pub opening: Vec<i64>,
    /// True flow up to the swap, in thousandths of a ledger unit.
    pub totals: Vec<i64>,
}

/// A fault as it was played, in device time.
#[derive(Clone, Debug)]
pub struct Played {
    pub kind: Kind,
    pub gateway: usize,
    /// None where the whole gateway was affected.
    pub meter: Option<usize>,
    /// Index into the zone's channels, where one channel was affected.
    pub channel: Option<usize>,
    pub from_ms: i64,
    pub to_ms: i64,
    pub loss: Loss,
}

/// The physical energy that nobody can know any more.
#[derive(Clone, Copy, Debug)]
pub enum Loss {
    Nothing,
    /// Thousandths of a ledger unit that flowed uncounted.
    Uncounted(i64),
    /// What flowed from the last published reading up to the moment when this total (thousandths) had flowed.
    SinceLastReading {
        total: i64,
    },
    /// What flowed from the last published reading to the next one.
    UntilNextReading,
}

/// Counts for the last line of the truth.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub readings: u64,
    pub messages: u64,
    pub duplicates: u64,
    pub reordered: u64,
    /// Published more than an hour after their time.
    pub late: u64,
}
