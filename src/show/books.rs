//! Energy and carbon per entity: `show energy`, `show carbon`.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};
use rustc_hash::FxHashMap;

use super::known::{self, Factor, InForce, Named};
use super::{By, Resolved, Selection, ShowError, period, streams};
use crate::accounting::Book;
use crate::domain::units::Millis;
use crate::store::batch::RollupLevel;
use crate::store::read::{Cell, Table};
use crate::wire::encode::rfc3339;

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
    /// Of gas: what it gives off beside CO2, by [`streams::BESIDE_CO2`].
    pub beside_ug: [i128; 2],
    /// The last moment of what was summed; its factor stands for the row.
    pub latest: Millis,
}

impl Sums {
    #[must_use]
    pub fn measured_share(&self) -> Cell {
        self.share(self.gross - self.assumed - self.estimated)
    }

    pub fn add(&mut self, other: &Sums) {
        self.quantity += other.quantity;
        self.bought += other.bought;
        self.gross += other.gross;
        self.assumed += other.assumed;
        self.estimated += other.estimated;
        self.co2e_ug += other.co2e_ug;
        for (into, ug) in self.beside_ug.iter_mut().zip(other.beside_ug) {
            *into += ug;
        }
        self.latest = self.latest.max(other.latest);
    }

    fn share(&self, part: i128) -> Cell {
        if self.gross == 0 { Cell::Null } else { Cell::Real(part as f64 / self.gross as f64) }
    }
}

/// When a row's factor and, of gas, those of [`streams::BESIDE_CO2`] first held; all 0 where rows are not told apart by factors.
pub type Version = [Millis; 3];

/// Start and end of a row's time, entity, book, factors.
pub type Key = (Millis, Millis, i64, u8, Version);

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
    for ((from, to, entity, book, _), sums) in sums(ledger, &mut wanted, by, None)? {
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

/// The sums asked for, by start, entity and book, and by `factors` where they are given: then no sum holds two of them.
pub fn sums(
    ledger: &Connection,
    wanted: &mut Resolved,
    by: By,
    factors: Option<&InForce<Factor>>,
) -> Result<BTreeMap<Key, Sums>, ShowError> {
    let named = known::named(ledger, wanted)?;
    let borders = named.borders().chain(factors.into_iter().flat_map(InForce::borders));
    let rows = match source(wanted, by, borders) {
        Some(level) => rolled_up(ledger, wanted, level, &named)?,
        None => intervals(ledger, wanted, &named)?,
    };
    let first = rows.iter().map(|row| row.start).min();
    let last = rows.iter().map(|row| row.end).max();
    let mut sums: BTreeMap<Key, Sums> = BTreeMap::new();
    for row in rows {
        if !wanted.wants(row.entity) {
            continue;
        }
        let (start, end) = period(wanted, by, (row.start, row.end), (first, last));
        let version = factors.map_or_else(Version::default, |factors| version((factors, &named), row.book, row.start));
        sums.entry((start, end, row.entity, row.book, version)).or_default().add(&row.sums);
    }
    Ok(sums)
}

fn version((factors, named): (&InForce<Factor>, &Named), book: u8, at: Millis) -> Version {
    let beside = if book == Book::NaturalGas as u8 { streams::BESIDE_CO2.map(|gas| named.first(gas, at)) } else { [None; 2] };
    [factors.first(&book, at), beside[0], beside[1]].map(Option::unwrap_or_default)
}

/// The span of a row's time that holds `at`, as far as it was asked for. A total has no such span of its own: the caller knows it.
#[must_use]
pub fn bucket(wanted: &mut Resolved, by: By, at: Millis) -> (Millis, Millis) {
    let (calendar, interval_ms) = (&mut wanted.calendar, wanted.interval_ms);
    let span = match by {
        By::Total | By::Year => calendar.year(at),
        By::Month => calendar.month(at),
        By::Day => calendar.day(at),
        By::Hour => calendar.hour(at),
        By::Interval => calendar.interval(at, interval_ms),
    };
    wanted.clipped((span.start, span.end))
}

/// The coarsest stored level that the question can be answered from; none: the intervals. No row lies on both sides of one of the `borders`, where factors
/// change.
pub fn source(wanted: &mut Resolved, by: By, borders: impl Iterator<Item = Millis>) -> Option<RollupLevel> {
    let inside = |at: &Millis| wanted.from.is_none_or(|from| from < *at) && wanted.to.is_none_or(|to| *at < to);
    let borders: Vec<Millis> = wanted.from.into_iter().chain(wanted.to).chain(borders.filter(inside)).collect();
    let is_known = wanted.as_known_on.is_some();
    let calendar = &mut wanted.calendar;
    if is_known || by == By::Interval || !borders.iter().all(|at| calendar.hour(*at).start == *at) {
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

pub fn rolled_up(ledger: &Connection, wanted: &mut Resolved, level: RollupLevel, named: &Named) -> Result<Vec<SourceRow>, ShowError> {
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
        let book = row.get(2)?;
        let sums = Sums {
            beside_ug: beside(named, book, amount(8)?, start),
            quantity: amount(3)?,
            gross: amount(4)?,
            assumed: amount(5)?,
            estimated: amount(6)?,
            co2e_ug: amount(7)?,
            bought: amount(8)?,
            latest: end.plus_ms(-1),
        };
        out.push(SourceRow { start, end, entity: row.get(1)?, book, sums });
    }
    Ok(out)
}

/// From the meters' intervals: each belongs to the range if its start does.
pub fn intervals(ledger: &Connection, wanted: &Resolved, named: &Named) -> Result<Vec<SourceRow>, ShowError> {
    let factors = known::factors(ledger, wanted)?;
    let rows = known::intervals(ledger, wanted)?.into_iter().map(|row| {
        let mg_per_unit = factors.at(row.book, row.start).map_or(0, |(factor, _)| factor.mg_per_unit);
        let sums = Sums {
            quantity: row.quantity,
            bought: row.bought,
            gross: row.gross,
            assumed: row.assumed,
            estimated: row.estimated,
            co2e_ug: row.bought * i128::from(mg_per_unit),
            beside_ug: beside(named, row.book, row.bought, row.start),
            latest: row.start,
        };
        SourceRow { start: row.start, end: row.end, entity: row.entity, book: row.book, sums }
    });
    Ok(rows.collect())
}

/// Other gases than CO2 of what was burnt from a moment on.
fn beside(named: &Named, book: u8, bought: i128, at: Millis) -> [i128; 2] {
    let of = |gas| named.of(gas, at).map_or(0, |(factor, _)| bought * i128::from(factor.mg_per_unit));
    if book == Book::NaturalGas as u8 { streams::BESIDE_CO2.map(of) } else { [0; 2] }
}
