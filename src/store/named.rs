//! Factors that no meter's book uses, by name and time (`named_factor_row` in `declared.sql`).
//!
//! Invariant: what held for a year with data holds until somebody restates it, whatever the library says later.

use rusqlite::{Transaction, params};

use super::{Store, StoreError};
use crate::domain::calendar::{LocalCalendar, Span};
use crate::domain::factors::{FactorSet, FactorTier, Found, GridMethod};
use crate::domain::substances::CombustionGas;
use crate::domain::units::{MgPerUnit, Millis};
use crate::domain::zone::{Profile, Zone};

/// Years for which factors are kept ahead and behind.
const YEARS: std::ops::Range<i16> = 2015..2060;

/// A factor of some name over a span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedFactor {
    pub name: &'static str,
    pub factor: MgPerUnit,
    pub tier: &'static str,
    pub version: String,
}

impl Store {
    /// A year that is not over yet, or has not begun, takes what the library says now until there are data of it.
    pub(super) fn named_factors(&self, zone: &Zone, factors: &FactorSet, calendar: &mut LocalCalendar) -> Result<(), StoreError> {
        let last: Option<i16> = self.connection.query_row("SELECT MAX(year) FROM factor_row", [], |row| row.get(0))?;
        let day = |year: i16| jiff::civil::date(year, 1, 1);
        let open = calendar.start_of(day(last.map_or(YEARS.start, |last| last.saturating_add(1).min(YEARS.end))));
        self.connection.execute("DELETE FROM named_factor_row WHERE from_ts >= ?1", [open.0])?;
        let mut insert = self.connection.prepare(
            "INSERT INTO named_factor_row SELECT ?1, ?2, ?3, ?4, ?5, ?6, 0, NULL \
             WHERE NOT EXISTS (SELECT 1 FROM named_factor_row WHERE name = ?1 AND from_ts >= ?2 AND from_ts < ?3)",
        )?;
        for year in YEARS {
            let (from, to) = (calendar.start_of(day(year)), calendar.start_of(day(year + 1)));
            for NamedFactor { name, factor, tier, version } in of_year(zone.profile(), factors, year) {
                insert.execute(params![name, from.0, to.0, factor.0, tier, version])?;
            }
        }
        Ok(())
    }

    /// Whether what is in force in a span is this factor, or nothing.
    pub fn holds_named(&self, wanted: &NamedFactor, span: Span) -> Result<bool, StoreError> {
        let sql = "SELECT NOT EXISTS (SELECT 1 FROM named_factor_row WHERE name = ?1 AND from_ts < ?3 AND ?2 < to_ts AND recorded_to IS NULL \
                   AND (mg_per_unit, tier, version) <> (?4, ?5, ?6))";
        let NamedFactor { name, factor, tier, version } = wanted;
        let values = params![name, span.start.0, span.end.0, factor.0, tier, version];
        Ok(self.connection.prepare_cached(sql)?.query_row(values, |row| row.get(0))?)
    }
}

pub(super) fn insert(transaction: &Transaction, factor: &NamedFactor, span: Span, at: Millis) -> Result<(), StoreError> {
    let NamedFactor { name, factor, tier, version } = factor;
    let mut insert = transaction.prepare_cached("INSERT INTO named_factor_row VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, NULL)")?;
    insert.execute(params![name, span.start.0, span.end.0, factor.0, tier, version, at.0])?;
    Ok(())
}

/// What the set says of a year; what it lacks is left out, except for the residual mix, in whose place the average stands and says so.
#[must_use]
pub fn of_year(profile: &Profile, factors: &FactorSet, year: i16) -> Vec<NamedFactor> {
    let grid = |method| factors.electricity(method, &profile.region, year);
    let residual = grid(GridMethod::Residual)
        .or_else(|_| grid(GridMethod::Average).map(|found| Found { tier: FactorTier::AverageForResidual, ..found }));
    let gas = |gas| factors.combustion_of_gas(profile, (gas, profile.gwp), year).ok().flatten();
    let found = [
        (GridMethod::Residual.as_str(), residual.ok()),
        (GridMethod::ParkFossil.as_str(), grid(GridMethod::ParkFossil).ok()),
        (GridMethod::ParkGreen.as_str(), grid(GridMethod::ParkGreen).ok()),
        (CombustionGas::Methane.as_str(), gas(CombustionGas::Methane)),
        (CombustionGas::NitrousOxide.as_str(), gas(CombustionGas::NitrousOxide)),
    ];
    let named = |(name, found): (&'static str, Option<Found<'_, MgPerUnit>>)| {
        found.map(|found| NamedFactor { name, factor: found.factor, tier: found.tier.as_str(), version: found.version.to_owned() })
    };
    found.into_iter().filter_map(named).collect()
}
