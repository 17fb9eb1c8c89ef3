//! Cost per entity, carrier and band: `show cost`; by month also what the bill adds to the bands.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use super::books::{Names, book_of, names};
use super::charges::{self, Bill, Line};
use super::known::{self, InForce, Price};
use super::sites::Sites;
use super::{By, Resolved, Selection, ShowError, demand, period};
use crate::accounting::Book;
use crate::domain::tariff::Band;
use crate::domain::units::Millis;
use crate::store::read::{Cell, Table};
use crate::wire::encode::rfc3339;

/// Sums in ledger units and billionths of a yuan.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    bought: i128,
    gross: i128,
    unmeasured: i128,
    across: i128,
    cost_ncny: i128,
    funds_ncny: i128,
    /// The last moment of what was summed; its tariff stands for the row.
    latest: Millis,
}

impl Sums {
    fn add(&mut self, other: &Sums) {
        self.bought += other.bought;
        self.gross += other.gross;
        self.unmeasured += other.unmeasured;
        self.across += other.across;
        self.cost_ncny += other.cost_ncny;
        self.funds_ncny += other.funds_ncny;
        self.latest = self.latest.max(other.latest);
    }

    fn share(&self, part: i128) -> Cell {
        if self.gross == 0 { Cell::Null } else { Cell::Real(part as f64 / self.gross as f64) }
    }
}

struct SourceRow {
    start: Millis,
    end: Millis,
    entity: i64,
    book: u8,
    band: u8,
    sums: Sums,
}

/// What a row of cost is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// An entity less what it passes on to others, its own lines included: the books.
    Entity,
    /// An entity that is part of no other, with all below it: what its supplier bills.
    Site,
}

/// `show cost`: what is bought and what it costs, by band; `cny` is nothing where no price holds.
pub fn cost(ledger: &Connection, selection: &Selection, by: By, extent: Extent) -> Result<Table, ShowError> {
    let mut wanted = selection.resolve(ledger)?;
    let (sites, extent) = match extent {
        Extent::Entity => (Sites::default(), "entity"),
        Extent::Site => (Sites::read(ledger, &wanted.zone)?, "site"),
    };
    sites.widen(&mut wanted.entities);
    let names = names(ledger)?;
    let prices = known::prices(ledger, &wanted)?;
    let mut table = Table::new(&[
        "entity",
        "name_en",
        "name_zh",
        "carrier",
        "band",
        "from",
        "to",
        "quantity",
        "unit",
        "cny",
        "tariff",
        "measured_share",
        "spans_bands_share",
        "extent",
    ]);
    let sums = sums(ledger, &mut wanted, by, (&prices, &sites))?;
    let mut bills: BTreeMap<(Millis, i64), Bill> = BTreeMap::new();
    for ((from, to, entity, book, band), sums) in sums {
        if book == Book::Electricity as u8 {
            let month = wanted.calendar.month(from).start;
            let bill = bills.entry((month, entity)).or_default();
            bill.energy_ncny += sums.cost_ncny;
            bill.funds_ncny += sums.funds_ncny;
        }
        let Some((shown, (id, name_en, name_zh))) = book_of(book).zip(names.get(&entity)) else { continue };
        let band = Band::from_number(band).unwrap_or(Band::Unpriced);
        let tariff = prices.at(book, sums.latest).map(|(price, _)| price.tariff.clone()).filter(|tariff| !tariff.is_empty());
        let carrier = shown.carrier().as_str();
        let shown = shown.shown();
        table.rows.push(vec![
            Cell::Text(id.clone()),
            Cell::Text(name_en.clone()),
            Cell::Text(name_zh.clone()),
            carrier.into(),
            band.as_str().into(),
            rfc3339(from, &wanted.time_zone).into(),
            rfc3339(to, &wanted.time_zone).into(),
            Cell::Real(sums.bought as f64 / shown.per_unit),
            shown.unit.into(),
            (band != Band::Unpriced).then_some(sums.cost_ncny as f64 / 1e9).into(),
            tariff.map_or(Cell::Null, Cell::Text),
            sums.share(sums.gross - sums.unmeasured),
            sums.share(sums.across),
            extent.into(),
        ]);
    }
    if by == By::Month {
        for line in charges::lines(ledger, &mut wanted, (&prices, &sites), &bills)? {
            table.rows.extend(charge(&line, &names, &wanted, extent));
        }
    }
    Ok(table)
}

fn charge(line: &Line, names: &Names, wanted: &Resolved, extent: &str) -> Option<Vec<Cell>> {
    let (id, name_en, name_zh) = names.get(&line.entity)?;
    Some(vec![
        Cell::Text(id.clone()),
        Cell::Text(name_en.clone()),
        Cell::Text(name_zh.clone()),
        Book::Electricity.carrier().as_str().into(),
        line.name.into(),
        rfc3339(line.month.start, &wanted.time_zone).into(),
        rfc3339(line.month.end, &wanted.time_zone).into(),
        Cell::Real(line.quantity),
        line.unit.into(),
        Cell::Real(line.cost_ncny as f64 / 1e9),
        Some(&line.tariff).filter(|tariff| !tariff.is_empty()).map_or(Cell::Null, |tariff| tariff.clone().into()),
        line.peak.as_ref().map_or(Cell::Null, demand::measured_share),
        Cell::Null,
        extent.into(),
    ])
}

type Key = (Millis, Millis, i64, u8, u8);

fn sums(
    ledger: &Connection,
    wanted: &mut Resolved,
    by: By,
    (prices, sites): (&InForce<Price>, &Sites),
) -> Result<BTreeMap<Key, Sums>, ShowError> {
    let rows = if has_days(wanted, by) { days(ledger, wanted, prices)? } else { intervals(ledger, wanted, prices)? };
    let first = rows.iter().map(|row| row.start).min();
    let last = rows.iter().map(|row| row.end).max();
    let mut sums: BTreeMap<Key, Sums> = BTreeMap::new();
    for row in rows {
        let (start, end) = period(wanted, by, (row.start, row.end), (first, last));
        sums.entry((start, end, sites.of(row.entity), row.book, row.band)).or_default().add(&row.sums);
    }
    Ok(sums)
}

/// Whether the stored days answer the question.
fn has_days(wanted: &mut Resolved, by: By) -> bool {
    let borders: Vec<Millis> = wanted.from.into_iter().chain(wanted.to).collect();
    let calendar = &mut wanted.calendar;
    wanted.as_known_on.is_none() && !matches!(by, By::Hour | By::Interval) && borders.iter().all(|at| calendar.day(*at).start == *at)
}

fn days(ledger: &Connection, wanted: &mut Resolved, prices: &InForce<Price>) -> Result<Vec<SourceRow>, ShowError> {
    let sql =
        "SELECT ts, entity, carrier, band, bought, gross, assumed + estimated, across, cost_ncny FROM cost_row WHERE ts >= ?1 AND ts < ?2";
    let mut statement = ledger.prepare_cached(sql)?;
    let (from, to) = (wanted.from.map_or(i64::MIN, |from| from.0), wanted.to.map_or(i64::MAX, |to| to.0));
    let mut rows = statement.query(params![from, to])?;
    let mut out = Vec::new();
    while let Some(row) = rows.next()? {
        let (start, entity) = (Millis(row.get(0)?), row.get(1)?);
        if !wanted.wants(entity) {
            continue;
        }
        let end = wanted.calendar.day(start).end;
        let amount = |index: usize| row.get::<_, i64>(index).map(i128::from);
        let funds = prices.at(row.get(2)?, start).map_or(0, |(price, _)| price.funds_ucny_per_unit);
        let sums = Sums {
            funds_ncny: amount(4)? * i128::from(funds),
            bought: amount(4)?,
            gross: amount(5)?,
            unmeasured: amount(6)?,
            across: amount(7)?,
            cost_ncny: amount(8)?,
            latest: end.plus_ms(-1),
        };
        out.push(SourceRow { start, end, entity, book: row.get(2)?, band: row.get(3)?, sums });
    }
    Ok(out)
}

/// From the meters' intervals: an interval is priced as its beginning.
fn intervals(ledger: &Connection, wanted: &Resolved, prices: &InForce<Price>) -> Result<Vec<SourceRow>, ShowError> {
    let rows = known::intervals(ledger, wanted)?;
    let priced = rows.into_iter().filter(|row| book_of(row.book).is_some_and(Book::is_energy));
    Ok(priced
        .map(|row| {
            let found = prices.at(row.book, row.start);
            let band = found.map_or(Band::Unpriced, |(price, _)| price.band);
            let price = found.and_then(|(price, _)| price.ucny_per_unit).unwrap_or(0);
            let across = found.is_some_and(|(_, to)| band != Band::Unpriced && to < row.end);
            let sums = Sums {
                bought: row.bought,
                gross: row.gross,
                unmeasured: row.assumed + row.estimated,
                across: if across { row.gross } else { 0 },
                cost_ncny: row.bought * i128::from(price),
                funds_ncny: row.bought * i128::from(found.map_or(0, |(price, _)| price.funds_ucny_per_unit)),
                latest: row.start,
            };
            SourceRow { start: row.start, end: row.end, entity: row.entity, book: row.book, band: band.number(), sums }
        })
        .collect())
}
