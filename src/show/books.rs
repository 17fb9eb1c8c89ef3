//! Energy and carbon per entity: `show energy`, `show carbon`.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};
use rustc_hash::FxHashMap;

use super::{By, Resolved, Selection, ShowError};
use crate::accounting::Book;
use crate::domain::units::Millis;
use crate::store::batch::RollupLevel;
use crate::store::read::{Cell, Table};
use crate::wire::encode::rfc3339;

/// Sums in ledger units and micrograms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sums {
    quantity: i128,
    gross: i128,
    assumed: i128,
    estimated: i128,
    co2e_ug: i128,
    /// The latest local year of what was summed; its factor stands for the row.
    year: i16,
}

impl Sums {
    fn share(&self, part: i128) -> Cell {
        if self.gross == 0 { Cell::Null } else { Cell::Real(part as f64 / self.gross as f64) }
    }
}

/// Start and end of a row's time, entity, book.
type Key = (Millis, Millis, i64, u8);

/// `show energy`: quantity of each entity and carrier. The zone is the row whose entity is the zone's id.
pub fn energy(ledger: &Connection, selection: &Selection, by: By) -> Result<Table, ShowError> {
    let mut wanted = selection.resolve(ledger)?;
    let names = names(ledger)?;
    let mut table = Table::new(&[
        "entity",
        "name_en",
        "name_zh",
        "carrier",
        "from",
        "to",
        "quantity",
        "unit",
        "kwh",
        "measured_share",
        "assumed_share",
        "estimated_share",
    ]);
    for ((from, to, entity, book), sums) in sums(ledger, &mut wanted, by)? {
        let Some((book, (id, name_en, name_zh))) = book_of(book).zip(names.get(&entity)) else { continue };
        let shown = book.shown();
        let quantity = sums.quantity as f64 / shown.per_unit;
        table.rows.push(vec![
            Cell::Text(id.clone()),
            Cell::Text(name_en.clone()),
            Cell::Text(name_zh.clone()),
            book.carrier().as_str().into(),
            rfc3339(from, &wanted.time_zone).into(),
            rfc3339(to, &wanted.time_zone).into(),
            Cell::Real(quantity),
            shown.unit.into(),
            shown.kwh_per_unit.map(|kwh| quantity * kwh).into(),
            sums.share(sums.gross - sums.assumed - sums.estimated),
            sums.share(sums.assumed),
            sums.share(sums.estimated),
        ]);
    }
    Ok(table)
}

/// `show carbon`: location-based carbon of each entity and carrier that has a factor.
pub fn carbon(ledger: &Connection, selection: &Selection, by: By) -> Result<Table, ShowError> {
    let mut wanted = selection.resolve(ledger)?;
    let names = names(ledger)?;
    let factors = factors(ledger)?;
    let mut table = Table::new(&[
        "entity",
        "name_en",
        "name_zh",
        "carrier",
        "scope",
        "method",
        "from",
        "to",
        "kg_co2e",
        "factor_tier",
        "factor_source",
        "measured_share",
    ]);
    for ((from, to, entity, book), sums) in sums(ledger, &mut wanted, by)? {
        let Some((book, (id, name_en, name_zh))) = book_of(book).zip(names.get(&entity)) else { continue };
        // What has no factor has no carbon by its nature: the engine refuses to start where one is missing.
        let Some(factor) = factors.get(&(book as u8, sums.year)) else { continue };
        let scope = if book == Book::NaturalGas { 1 } else { 2 };
        table.rows.push(vec![
            Cell::Text(id.clone()),
            Cell::Text(name_en.clone()),
            Cell::Text(name_zh.clone()),
            book.carrier().as_str().into(),
            Cell::Integer(scope),
            "location".into(),
            rfc3339(from, &wanted.time_zone).into(),
            rfc3339(to, &wanted.time_zone).into(),
            Cell::Real(sums.co2e_ug as f64 / 1e9),
            factor.tier.clone().into(),
            factor.source.clone().into(),
            sums.share(sums.gross - sums.assumed - sums.estimated),
        ]);
    }
    Ok(table)
}

fn book_of(number: u8) -> Option<Book> {
    Book::ALL.get(usize::from(number)).copied()
}

type Names = FxHashMap<i64, (String, String, String)>;

fn names(ledger: &Connection) -> Result<Names, ShowError> {
    let mut statement = ledger.prepare("SELECT id, entity, name_en, name_zh FROM entity_row")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?, row.get(3)?))))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

struct Factor {
    mg_per_unit: i64,
    tier: String,
    source: String,
}

fn factors(ledger: &Connection) -> Result<FxHashMap<(u8, i16), Factor>, ShowError> {
    let mut statement = ledger.prepare("SELECT carrier, year, mg_per_unit, tier, source FROM factor_row WHERE mg_per_unit IS NOT NULL")?;
    let rows = statement.query_map([], |row| {
        Ok(((row.get(0)?, row.get(1)?), Factor { mg_per_unit: row.get(2)?, tier: row.get(3)?, source: row.get(4)? }))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The sums asked for, by start, entity and book.
fn sums(ledger: &Connection, wanted: &mut Resolved, by: By) -> Result<BTreeMap<Key, Sums>, ShowError> {
    let rows = match source(wanted, by) {
        Some(level) => rolled_up(ledger, wanted, level)?,
        None => intervals(ledger, wanted)?,
    };
    let first = rows.iter().map(|row| row.start).min();
    let last = rows.iter().map(|row| row.end).max();
    let mut sums: BTreeMap<Key, Sums> = BTreeMap::new();
    for row in rows {
        if !wanted.wants(row.entity) {
            continue;
        }
        let (start, end) = match by {
            By::Total => (wanted.from.or(first).unwrap_or(row.start), wanted.to.or(last).unwrap_or(row.end)),
            By::Month => bounds(wanted.calendar.month(row.start)),
            By::Day => bounds(wanted.calendar.day(row.start)),
            By::Hour => bounds(wanted.calendar.hour(row.start)),
            By::Interval => (row.start, row.end),
        };
        let into = sums.entry((start, end, row.entity, row.book)).or_default();
        into.quantity += row.sums.quantity;
        into.gross += row.sums.gross;
        into.assumed += row.sums.assumed;
        into.estimated += row.sums.estimated;
        into.co2e_ug += row.sums.co2e_ug;
        into.year = into.year.max(row.sums.year);
    }
    Ok(sums)
}

fn bounds(span: crate::domain::calendar::Span) -> (Millis, Millis) {
    (span.start, span.end)
}

/// The coarsest stored level that the question can be answered from; none: the intervals.
fn source(wanted: &mut Resolved, by: By) -> Option<RollupLevel> {
    let borders: Vec<Millis> = wanted.from.into_iter().chain(wanted.to).collect();
    let calendar = &mut wanted.calendar;
    if by == By::Interval || !borders.iter().all(|at| calendar.hour(*at).start == *at) {
        return None;
    }
    if by == By::Hour || !borders.iter().all(|at| calendar.day(*at).start == *at) {
        return Some(RollupLevel::Hour);
    }
    if by == By::Day || !borders.iter().all(|at| calendar.month(*at).start == *at) {
        return Some(RollupLevel::Day);
    }
    Some(RollupLevel::Month)
}

struct SourceRow {
    start: Millis,
    end: Millis,
    entity: i64,
    book: u8,
    sums: Sums,
}

fn rolled_up(ledger: &Connection, wanted: &mut Resolved, level: RollupLevel) -> Result<Vec<SourceRow>, ShowError> {
    let sql = "SELECT ts, entity, carrier, quantity, gross, assumed, estimated, co2e_ug FROM rollup_row WHERE level = ?1 AND ts >= ?2 AND ts < ?3";
    let mut statement = ledger.prepare_cached(sql)?;
    let (from, to) = (wanted.from.map_or(i64::MIN, |from| from.0), wanted.to.map_or(i64::MAX, |to| to.0));
    let mut rows = statement.query(params![level as u8, from, to])?;
    let mut out = Vec::new();
    while let Some(row) = rows.next()? {
        let start = Millis(row.get(0)?);
        let end = match level {
            RollupLevel::Hour => wanted.calendar.hour(start).end,
            RollupLevel::Day => wanted.calendar.day(start).end,
            RollupLevel::Month => wanted.calendar.month(start).end,
        };
        let amount = |index: usize| row.get::<_, i64>(index).map(i128::from);
        let sums = Sums {
            quantity: amount(3)?,
            gross: amount(4)?,
            assumed: amount(5)?,
            estimated: amount(6)?,
            co2e_ug: amount(7)?,
            year: wanted.calendar.date(start).year(),
        };
        out.push(SourceRow { start, end, entity: row.get(1)?, book: row.get(2)?, sums });
    }
    Ok(out)
}

/// From the meters' intervals: each belongs to the range if its start does.
fn intervals(ledger: &Connection, wanted: &mut Resolved) -> Result<Vec<SourceRow>, ShowError> {
    let factors = factors(ledger)?;
    let sql = "SELECT i.ts, i.minutes, s.entity, c.carrier, SUM(i.quantity * s.sign), SUM(i.quantity * abs(s.sign)), SUM(i.assumed * abs(s.sign)), \
               SUM(i.estimated * abs(s.sign)), SUM(i.quantity * s.bought) FROM interval_row i JOIN channel_row c ON c.id = i.channel \
               JOIN share_row s ON s.channel = i.channel WHERE i.ts >= ?1 AND i.ts < ?2 GROUP BY i.ts, i.minutes, s.entity, c.carrier";
    let mut statement = ledger.prepare_cached(sql)?;
    let (from, to) = (wanted.from.map_or(i64::MIN, |from| from.0), wanted.to.map_or(i64::MAX, |to| to.0));
    let mut rows = statement.query(params![from, to])?;
    let mut out = Vec::new();
    while let Some(row) = rows.next()? {
        let start = Millis(row.get(0)?);
        let end = start.plus_ms(row.get::<_, i64>(1)? * 60_000);
        let book: u8 = row.get(3)?;
        let amount = |index: usize| row.get::<_, i64>(index).map(i128::from);
        let year = wanted.calendar.date(start).year();
        let mg_per_unit = factors.get(&(book, year)).map_or(0, |factor| factor.mg_per_unit);
        let co2e_ug = amount(8)? * i128::from(mg_per_unit);
        let sums = Sums { quantity: amount(4)?, gross: amount(5)?, assumed: amount(6)?, estimated: amount(7)?, co2e_ug, year };
        out.push(SourceRow { start, end, entity: row.get(2)?, book, sums });
    }
    Ok(out)
}
