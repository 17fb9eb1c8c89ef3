//! The inventory: every source stream of a year.
//!
//! Invariant: it lists the streams of `show carbon` for the same entities and time, so the sums by entity, scope and method agree. Own generation that leaves
//! an entity is a line of its own, without carbon: it is neither used there nor taken off what is bought.

use std::collections::BTreeMap;

use rusqlite::Connection;
use rustc_hash::FxHashMap;

use super::Wish;
use super::subject::handed_on;
use crate::accounting::Book;
use crate::show::streams::{Origin, Stream, factor_unit, streams};
use crate::show::{By, Resolved, ShowError, books};
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
    streams.extend(exports(ledger, &wanted)?);
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

fn exports(ledger: &Connection, wanted: &Resolved) -> Result<Vec<Stream>, ShowError> {
    let (from, to) = (wanted.from.unwrap_or_default(), wanted.to.unwrap_or_default());
    let line = |(entity, wh)| Stream {
        from,
        to,
        entity,
        scope: 2,
        method: "export".to_owned(),
        carrier: None,
        name: "electricity (own generation, exported)".to_owned(),
        amount: wh,
        unit: factor_unit(Book::Electricity).to_owned(),
        mg_per_unit: 0,
        tier: "entity_contract".to_owned(),
        version: "own generation".to_owned(),
        co2e_ug: 0,
        declared_ce_ug: 0,
        measured_share: Cell::Null,
        origin: Origin::Other,
    };
    let mut exports: BTreeMap<i64, i128> = BTreeMap::new();
    for handed in handed_on(ledger, (from, to))?.into_iter().filter(|handed| handed.gives && wanted.wants(handed.entity)) {
        *exports.entry(handed.entity).or_default() += handed.wh;
    }
    Ok(exports.into_iter().filter(|(_, wh)| *wh != 0).map(line).collect())
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
