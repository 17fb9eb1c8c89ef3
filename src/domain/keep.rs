//! How long a ledger keeps what its roll-ups can do without.

/// Fewer days, and late readings would find nothing beside them.
pub const KEPT_DAYS_MIN: u16 = 7;

/// Days after which a measurement leaves the ledger; none: never. Intervals are kept at least as long as the readings that they are made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    pub readings: Option<u16>,
    pub intervals: Option<u16>,
    pub alerts: Option<u16>,
    pub commands: Option<u16>,
}

/// What becomes of a ledger's older part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Whether it is packed.
    pub pack: bool,
    pub keep: Keep,
}
