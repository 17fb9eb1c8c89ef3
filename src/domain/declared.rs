//! What users declare beside the meters: emissions and sinks by amount, and where market-based electricity comes from.
//!
//! Invariant: amounts are thousandths of a unit and factors mg per unit, so that amount × factor is exactly µg; periods are whole local days, those of
//! supplies whole local months.

use jiff::civil::Date;

use super::entity::named;
use super::tariff::Validity;
use super::units::{MgCePerUnit, MgPerUnit, MicrogramsCo2e, Quantity};

named! {
    EntryKind {
        /// Burnt and not metered.
        Fuel = "fuel",
        /// What goes into a process and gives off CO2.
        Process = "process",
        /// Gas that was topped up because as much escaped: refrigerants, SF6.
        TopUp = "top_up",
        /// Scope 3, by activity.
        Activity = "activity",
        /// Takes CO2 up; kept apart from every emission.
        Sink = "sink",
    }
}

impl EntryKind {
    #[must_use]
    pub fn scope(self) -> u8 {
        match self {
            EntryKind::Fuel | EntryKind::Process | EntryKind::TopUp | EntryKind::Sink => 1,
            EntryKind::Activity => 3,
        }
    }

    /// The method under which its figures stand; a sink has one of its own so that no sum nets it by chance.
    #[must_use]
    pub fn method(self) -> &'static str {
        match self {
            EntryKind::Fuel | EntryKind::Process | EntryKind::TopUp | EntryKind::Activity => "location",
            EntryKind::Sink => "sink",
        }
    }
}

/// One declared amount with its factor; a fuel gives three, for CO2, CH4 and N2O.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Unique in the file.
    pub id: String,
    /// An entity's id, or the zone's.
    pub entity: String,
    pub from: Date,
    /// Exclusive.
    pub to: Date,
    pub kind: EntryKind,
    /// What is counted, such as `diesel CO2`, or `SF6 (GWP AR5)`.
    pub stream: String,
    /// Thousandths of `unit`.
    pub amount: Quantity,
    pub unit: String,
    /// Below zero for a sink.
    pub factor: MgPerUnit,
    /// Standard coal by heat content, of a fuel's CO2 only, so that none counts twice.
    pub coal: Option<MgCePerUnit>,
    pub tier: String,
    pub version: String,
    /// Where the factor comes from, in words.
    pub source: String,
    /// When the user wrote it down.
    pub recorded: Date,
}

impl Entry {
    #[must_use]
    pub fn co2e(&self, amount: Quantity) -> MicrogramsCo2e {
        amount * self.factor
    }
}

named! {
    SupplyKind {
        Contract = "contract",
        Certificate = "certificate",
    }
}

/// Electricity whose origin an entity can show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Supply {
    /// The contract's id, or the serials.
    pub id: String,
    pub kind: SupplyKind,
    /// An entity's id, or the zone's: then shared out among all.
    pub entity: String,
    /// First day of a month.
    pub from: Date,
    /// First day of the month after the last; exclusive.
    pub to: Date,
    pub energy: Quantity,
    pub mg_per_kwh: MgPerUnit,
    /// Counts as green under the zero-carbon-park rule.
    pub green: bool,
    pub source: String,
    pub recorded: Date,
}

named! {
    /// What a zero-carbon park has to show and no meter tells.
    IndicatorKind {
        SolidWasteUse = "industrial_solid_waste_use_pct",
        WasteHeatUse = "waste_heat_use_pct",
        WaterReuse = "industrial_water_reuse_pct",
    }
}

/// An indicator of one local year, as the zone states it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Indicator {
    pub kind: IndicatorKind,
    pub year: i16,
    /// Thousandths of a percent.
    pub thousandths_pct: i64,
    pub source: String,
    pub recorded: Date,
}

/// A tenant's share in what a shared meter counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allocation {
    pub meter: String,
    pub entity: String,
    /// Thousandths of a percent; those of a meter and a time are 100,000 together.
    pub thousandths_pct: i64,
    pub valid: Validity,
    pub source: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Declared {
    pub allocations: Vec<Allocation>,
    pub entries: Vec<Entry>,
    pub supplies: Vec<Supply>,
    pub indicators: Vec<Indicator>,
}
