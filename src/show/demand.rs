//! Demand: the highest 15-minute mean of a month, of entities and of their entry meters: `show demand`.
//!
//! Invariant: months are looked at one by one, so that a year of quarters is never in memory. Demands of parts do not add up: they fall on different
//! quarters.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};
use rustc_hash::FxHashMap;

use super::books::names;
use super::known::{self, EntityInterval};
use super::sites::Sites;
use super::{Resolved, Selection, ShowError};
use crate::accounting::Book;
use crate::accounting::demand::{Taken, peak};
use crate::domain::calendar::Span;
use crate::domain::units::Millis;
use crate::store::batch::RollupLevel;
use crate::store::read::{Cell, Table};
use crate::wire::encode::rfc3339;

/// Electricity that is bought, in kW; `minutes` says over how long it could be seen: history that was read by the hour has only the hours' means.
pub fn demand(ledger: &Connection, selection: &Selection) -> Result<Table, ShowError> {
    let mut wanted = selection.resolve(ledger)?;
    let (names, meters) = (names(ledger)?, entry_meters(ledger)?);
    let mut table = Table::new(&["entity", "name_en", "name_zh", "meter", "from", "to", "demand_kw", "at", "minutes", "measured_share"]);
    for month in months(ledger, &mut wanted)? {
        let of_entities =
            of_entities(ledger, &mut wanted, month, &Sites::default())?.into_iter().map(|(entity, peak)| (entity, None, peak));
        let mut rows: Vec<(i64, Option<&str>, Taken)> = of_entities.collect();
        let wants = |channel: i64| meters.get(&channel).is_some_and(|(entity, _)| wanted.wants(*entity));
        let intervals = known::entry_meters(ledger, &Resolved { from: Some(month.start), to: Some(month.end), ..wanted.clone() }, wants)?;
        for (channel, peak) in peaks(intervals, &mut wanted) {
            rows.extend(meters.get(&channel).map(|(entity, meter)| (*entity, Some(meter.as_str()), peak)));
        }
        rows.sort_by_key(|(entity, meter, _)| (*entity, *meter));
        for (entity, meter, peak) in rows {
            let Some((id, name_en, name_zh)) = names.get(&entity) else { continue };
            table.rows.push(vec![
                Cell::Text(id.clone()),
                Cell::Text(name_en.clone()),
                Cell::Text(name_zh.clone()),
                meter.map_or(Cell::Null, Cell::from),
                rfc3339(month.start, &wanted.time_zone).into(),
                rfc3339(month.end, &wanted.time_zone).into(),
                Cell::Real(peak.watts() as f64 / 1e3),
                rfc3339(peak.start, &wanted.time_zone).into(),
                Cell::Integer(peak.minutes),
                measured_share(&peak),
            ]);
        }
    }
    Ok(table)
}

#[must_use]
pub fn measured_share(peak: &Taken) -> Cell {
    if peak.gross == 0 { Cell::Null } else { Cell::Real((peak.gross - peak.unmeasured) as f64 / peak.gross as f64) }
}

/// The local months with data of which a part was asked for; each is looked at as far as it was.
pub fn months(ledger: &Connection, wanted: &mut Resolved) -> Result<Vec<Span>, ShowError> {
    let mut statement = ledger.prepare("SELECT DISTINCT ts FROM rollup_row WHERE level = ?1 AND carrier = ?2 ORDER BY ts")?;
    let starts = statement.query_map(params![RollupLevel::Month as u8, Book::Electricity as u8], |row| row.get(0).map(Millis))?;
    let mut months = Vec::new();
    for start in starts {
        let month = wanted.calendar.month(start?);
        let part = Span {
            start: wanted.from.map_or(month.start, |from| from.max(month.start)),
            end: wanted.to.map_or(month.end, |to| to.min(month.end)),
        };
        if part.start < part.end {
            months.push(part);
        }
    }
    Ok(months)
}

/// What each entity asked for, or its site, bought at its highest in a month.
pub fn of_entities(ledger: &Connection, wanted: &mut Resolved, month: Span, sites: &Sites) -> Result<BTreeMap<i64, Taken>, ShowError> {
    let of_month = Resolved { from: Some(month.start), to: Some(month.end), ..wanted.clone() };
    let mut intervals = known::intervals(ledger, &of_month)?;
    intervals.retain(|row| row.book == Book::Electricity as u8);
    for row in &mut intervals {
        row.entity = sites.of(row.entity);
    }
    Ok(peaks(intervals, wanted))
}

/// By entity, or by whatever stands in its place. Who never buys has no demand.
fn peaks(intervals: Vec<EntityInterval>, wanted: &mut Resolved) -> BTreeMap<i64, Taken> {
    let mut by_subject: BTreeMap<i64, Vec<Taken>> = BTreeMap::new();
    for row in intervals {
        let minutes = row.end.ms_since(row.start) / crate::domain::units::MINUTE_MS;
        let taken = Taken { start: row.start, minutes, quantity: row.bought, gross: row.gross, unmeasured: row.assumed + row.estimated };
        by_subject.entry(row.entity).or_default().push(taken);
    }
    let highest = by_subject.into_iter().filter_map(|(subject, taken)| Some((subject, peak(&taken, |at| wanted.calendar.hour(at).start)?)));
    highest.filter(|(_, peak)| peak.quantity > 0).collect()
}

/// Entity and meter of each channel of an entry meter of electricity.
fn entry_meters(ledger: &Connection) -> Result<FxHashMap<i64, (i64, String)>, ShowError> {
    let sql =
        "SELECT c.id, e.id, c.meter FROM channel_row c JOIN entity_row e ON e.entity = c.entity WHERE c.carrier = 0 AND c.level = 'entry'";
    let mut statement = ledger.prepare(sql)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
