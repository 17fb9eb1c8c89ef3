//! The inventory: every source stream of a year.
//!
//! Invariant: it lists the streams of `show carbon` for the same entities and time, so the sums by entity, scope and method agree.

use rusqlite::Connection;
use rustc_hash::FxHashMap;

use super::Wish;
use crate::show::streams::{Stream, streams};
use crate::show::{By, ShowError, books};
use crate::store::read::{Cell, Table};

pub fn inventory(ledger: &Connection, wish: &Wish) -> Result<Table, ShowError> {
    let mut wanted = wish.resolve(ledger)?;
    let (names, sources) = (books::names(ledger)?, sources(ledger)?);
    let mut table = Table::new(&[
        "entity",
        "scope",
        "method",
        "source_stream",
        "quantity",
        "unit",
        "factor",
        "factor_unit",
        "factor_source",
        "kg_co2e",
    ]);
    let mut streams = streams(ledger, &mut wanted, By::Total)?;
    streams.sort_by(|one, other| (one.entity, one.scope, &one.method).cmp(&(other.entity, other.scope, &other.method)));
    for stream in streams {
        let Some((entity, ..)) = names.get(&stream.entity) else { continue };
        table.rows.push(vec![
            entity.clone().into(),
            Cell::Integer(stream.scope),
            stream.method.clone().into(),
            stream.name.clone().into(),
            Cell::Real(stream.amount as f64 / 1e3),
            stream.unit.clone().into(),
            Cell::Real(stream.mg_per_unit as f64 / 1e6),
            format!("kg CO2e/{}", stream.unit).into(),
            told_source(&stream, &sources).into(),
            Cell::Real(stream.co2e_ug as f64 / 1e9),
        ]);
    }
    Ok(table)
}

/// Source, recording and confidence of each version.
fn sources(ledger: &Connection) -> Result<FxHashMap<String, String>, ShowError> {
    let mut statement = ledger.prepare(
        "SELECT version, source || ', recorded ' || recorded || ', confidence ' || confidence FROM factor_version_row \
         UNION ALL SELECT version, source || ', recorded ' || recorded FROM declared_entry_row WHERE tier = 'entity_contract' \
         UNION ALL SELECT kind || 's.csv/' || id, source || ', recorded ' || recorded FROM supply_row",
    )?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Version, tier and where it is from.
fn told_source(stream: &Stream, sources: &FxHashMap<String, String>) -> String {
    let source = sources.get(&stream.version).map(|source| format!(": {source}")).unwrap_or_default();
    format!("{} ({}){source}", stream.version, stream.tier)
}
