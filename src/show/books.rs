//! Energy and carbon per entity: `show energy`, `show carbon`.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};
use rustc_hash::FxHashMap;

use super::{By, Resolved, Selection, ShowError, streams};
use crate::accounting::Book;
use crate::domain::calendar::LocalCalendar;
use crate::domain::units::{MINUTE_MS, Millis};

use crate::store::batch::RollupLevel;
use crate::store::read::{Cell, Table};
use crate::wire::encode::rfc3339;

/// The span of a declared amount's rows `--by 15min`.
const INTERVAL_MS: i64 = 15 * MINUTE_MS;

/// Sums in ledger units and micrograms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    pub quantity: i128,
    /// The part that carries the factor's carbon.
    pub bought: i128,
    gross: i128,
    assumed: i128,
    estimated: i128,
    pub co2e_ug: i128,
    /// The latest local year of what was summed; its factor stands for the row.
    pub year: i16,
}

impl Sums {
    #[must_use]
    pub fn measured_share(&self) -> Cell {
        self.share(self.gross - self.assumed - self.estimated)
    }

    fn share(&self, part: i128) -> Cell {
        if self.gross == 0 { Cell::Null } else { Cell::Real(part as f64 / self.gross as f64) }
    }
}

/// Start and end of a row's time, entity, book.
pub type Key = (Millis, Millis, i64, u8);

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
            sums.measured_share(),
            sums.share(sums.assumed),
            sums.share(sums.estimated),
        ]);
    }
    Ok(table)
}

/// `show carbon`: carbon of each entity by scope, method and source stream.
pub fn carbon(ledger: &Connection, selection: &Selection, by: By) -> Result<Table, ShowError> {
    let mut wanted = selection.resolve(ledger)?;
    let names = names(ledger)?;
    let mut table = Table::new(&[
        "entity",
        "name_en",
        "name_zh",
        "carrier",
        "scope",
        "method",
        "source_stream",
        "from",
        "to",
        "kg_co2e",
        "factor_tier",
        "factor_source",
        "measured_share",
    ]);
    for stream in streams::streams(ledger, &mut wanted, by)? {
        let Some((id, name_en, name_zh)) = names.get(&stream.entity) else { continue };
        table.rows.push(vec![
            Cell::Text(id.clone()),
            Cell::Text(name_en.clone()),
            Cell::Text(name_zh.clone()),
            stream.carrier.map_or(Cell::Null, Cell::from),
            Cell::Integer(stream.scope),
            stream.method.into(),
            stream.name.into(),
            rfc3339(stream.from, &wanted.time_zone).into(),
            rfc3339(stream.to, &wanted.time_zone).into(),
            Cell::Real(stream.co2e_ug as f64 / 1e9),
            stream.tier.into(),
            stream.version.into(),
            stream.measured_share,
        ]);
    }
    Ok(table)
}

#[must_use]
pub fn book_of(number: u8) -> Option<Book> {
    Book::ALL.get(usize::from(number)).copied()
}

pub type Names = FxHashMap<i64, (String, String, String)>;

pub fn names(ledger: &Connection) -> Result<Names, ShowError> {
    let mut statement = ledger.prepare("SELECT id, entity, name_en, name_zh FROM entity_row")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?, row.get(3)?))))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// A factor in use; `source` names its version.
#[derive(Clone, Debug)]
pub struct Factor {
    pub mg_per_unit: i64,
    pub tier: String,
    pub source: String,
}

pub fn factors(ledger: &Connection) -> Result<FxHashMap<(u8, i16), Factor>, ShowError> {
    let mut statement = ledger.prepare("SELECT carrier, year, mg_per_unit, tier, source FROM factor_row WHERE mg_per_unit IS NOT NULL")?;
    let rows = statement.query_map([], |row| {
        Ok(((row.get(0)?, row.get(1)?), Factor { mg_per_unit: row.get(2)?, tier: row.get(3)?, source: row.get(4)? }))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The sums asked for, by start, entity and book.
pub fn sums(ledger: &Connection, wanted: &mut Resolved, by: By) -> Result<BTreeMap<Key, Sums>, ShowError> {
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
            By::Interval => (row.start, row.end),
            by => bucket(&mut wanted.calendar, by, row.start),
        };
        let into = sums.entry((start, end, row.entity, row.book)).or_default();
        into.quantity += row.sums.quantity;
        into.bought += row.sums.bought;
        into.gross += row.sums.gross;
        into.assumed += row.sums.assumed;
        into.estimated += row.sums.estimated;
        into.co2e_ug += row.sums.co2e_ug;
        into.year = into.year.max(row.sums.year);
    }
    Ok(sums)
}

/// The span of a row's time that holds `at`. A total has no such span of its own: the caller knows it.
#[must_use]
pub fn bucket(calendar: &mut LocalCalendar, by: By, at: Millis) -> (Millis, Millis) {
    let span = match by {
        By::Total => calendar.year(at),
        By::Month => calendar.month(at),
        By::Day => calendar.day(at),
        By::Hour => calendar.hour(at),
        By::Interval => calendar.interval(at, INTERVAL_MS),
    };
    (span.start, span.end)
}

/// The coarsest stored level that the question can be answered from; none: the intervals.
#[must_use]
pub fn source(wanted: &mut Resolved, by: By) -> Option<RollupLevel> {
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

pub struct SourceRow {
    pub start: Millis,
    pub end: Millis,
    pub entity: i64,
    pub book: u8,
    pub sums: Sums,
}

pub fn rolled_up(ledger: &Connection, wanted: &mut Resolved, level: RollupLevel) -> Result<Vec<SourceRow>, ShowError> {
    let sql = "SELECT ts, entity, carrier, quantity, gross, assumed, estimated, co2e_ug, bought FROM rollup_row WHERE level = ?1 AND ts >= ?2 AND ts < ?3";
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
            bought: amount(8)?,
            year: wanted.calendar.date(start).year(),
        };
        out.push(SourceRow { start, end, entity: row.get(1)?, book: row.get(2)?, sums });
    }
    Ok(out)
}

/// From the meters' intervals: each belongs to the range if its start does.
pub fn intervals(ledger: &Connection, wanted: &mut Resolved) -> Result<Vec<SourceRow>, ShowError> {
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
        let bought = amount(8)?;
        let sums = Sums { quantity: amount(4)?, bought, gross: amount(5)?, assumed: amount(6)?, estimated: amount(7)?, co2e_ug, year };
        out.push(SourceRow { start, end, entity: row.get(2)?, book, sums });
    }
    Ok(out)
}
