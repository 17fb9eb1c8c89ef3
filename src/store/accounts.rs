//! Prices and factors in force, costs, and the versions that an auditor asks for (`accounts.sql`).
//!
//! Invariant: of prices and factors exactly one row holds for a carrier, a moment and a time of recording, once a figure was made there.

use rusqlite::{Row, Transaction, params};
use rustc_hash::FxHashSet;

use super::batch::{Batch, CostDelta, CostKey, RowId};
use super::restore::Share;
use super::{Store, StoreError};
use crate::accounting::{Book, YearFactors};
use crate::domain::calendar::Span;
use crate::domain::tariff::{Band, Charges, PriceSpan};
use crate::domain::units::{MINUTE_MS, MgCePerUnit, MgPerUnit, MicroCnyPerUnit, Millis};

/// An interval is closed this long after its end, whatever has come until then: from there on a change is a correction.
pub const CLOSED_AFTER_MS: i64 = 30 * MINUTE_MS;

/// Factors over a span of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FactorSpan {
    pub span: Span,
    pub factors: YearFactors,
}

impl Store {
    /// Prices in force of a book that begin in a span, in order.
    pub fn prices(&self, book: Book, span: Span) -> Result<Vec<PriceSpan>, StoreError> {
        let sql = "SELECT from_ts, to_ts, band, ucny_per_unit, tariff, funds_ucny_per_unit, demand_ucny_per_kw_month FROM price_row WHERE carrier = ?1 AND from_ts >= ?2 AND from_ts < ?3 \
                   AND recorded_to IS NULL ORDER BY from_ts";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map(params![book as u8, span.start.0, span.end.0], price)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Factors in force of a book that begin in a span, in order.
    pub fn factor_spans(&self, book: Book, span: Span) -> Result<Vec<FactorSpan>, StoreError> {
        let sql = "SELECT from_ts, to_ts, mg_per_unit, coal_calorific_mg_per_unit, coal_primary_mg_per_unit, tier, source FROM factor_use_row \
                   WHERE carrier = ?1 AND from_ts >= ?2 AND from_ts < ?3 AND recorded_to IS NULL ORDER BY from_ts";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map(params![book as u8, span.start.0, span.end.0], |row| {
            Ok(FactorSpan {
                span: Span { start: Millis(row.get(0)?), end: Millis(row.get(1)?) },
                factors: YearFactors {
                    carbon: row.get::<_, Option<i64>>(2)?.map(MgPerUnit),
                    coal_calorific: row.get::<_, Option<i64>>(3)?.map(MgCePerUnit),
                    coal_primary: row.get::<_, Option<i64>>(4)?.map(MgCePerUnit),
                    tier: row.get(5)?,
                    version: row.get(6)?,
                },
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Whether any price in force begins off the hour of UTC: then hours are not one band.
    pub fn has_prices_off_the_hour(&self) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM price_row WHERE from_ts % 3600000 <> 0 AND recorded_to IS NULL)";
        Ok(self.connection.query_row(sql, [], |row| row.get(0))?)
    }
}

fn price(row: &Row) -> Result<PriceSpan, rusqlite::Error> {
    let number: u8 = row.get(2)?;
    let band = Band::from_number(number).ok_or(rusqlite::Error::IntegralValueOutOfRange(2, i64::from(number)))?;
    let price = row.get::<_, Option<i64>>(3)?.map(MicroCnyPerUnit);
    let charges = Charges { funds: MicroCnyPerUnit(row.get(5)?), demand_ucny_per_kw_month: row.get(6)? };
    Ok(PriceSpan { from: Millis(row.get(0)?), to: Millis(row.get(1)?), band, price, charges, version: row.get(4)? })
}

/// Keeps prices from now on, recorded at `at`.
pub(super) fn insert_prices(transaction: &Transaction, prices: &[(Book, PriceSpan)], at: Millis) -> Result<(), StoreError> {
    let mut insert = transaction.prepare_cached("INSERT INTO price_row VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, NULL)")?;
    for (book, PriceSpan { from, to, band, price, charges, version }) in prices {
        let price = price.map(|price| price.0);
        let (funds, demand) = (charges.funds.0, charges.demand_ucny_per_kw_month);
        insert.execute(params![*book as u8, from.0, to.0, band.number(), price, funds, demand, version, at.0])?;
    }
    Ok(())
}

pub(super) fn insert_factors(transaction: &Transaction, factors: &[(Book, FactorSpan)], at: Millis) -> Result<(), StoreError> {
    let mut insert = transaction.prepare_cached("INSERT INTO factor_use_row VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, NULL)")?;
    for (book, FactorSpan { span, factors }) in factors {
        let values = [factors.carbon.map(|f| f.0), factors.coal_calorific.map(|f| f.0), factors.coal_primary.map(|f| f.0)];
        insert.execute(params![
            *book as u8,
            span.start.0,
            span.end.0,
            values[0],
            values[1],
            values[2],
            factors.tier,
            factors.version,
            at.0
        ])?;
    }
    Ok(())
}

pub(super) fn costs(transaction: &Transaction, batch: &mut Batch) -> Result<(), StoreError> {
    let mut rows: Vec<(CostKey, CostDelta)> = batch.costs.drain().collect();
    rows.sort_unstable_by_key(|(key, _)| *key);
    let mut upsert = transaction.prepare_cached(
        "INSERT INTO cost_row VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) ON CONFLICT DO UPDATE SET bought = bought + excluded.bought, \
         gross = gross + excluded.gross, assumed = assumed + excluded.assumed, estimated = estimated + excluded.estimated, \
         across = across + excluded.across, cost_ncny = cost_ncny + excluded.cost_ncny, parts = parts + excluded.parts",
    )?;
    let mut emptied =
        transaction.prepare_cached("DELETE FROM cost_row WHERE ts = ?1 AND entity = ?2 AND carrier = ?3 AND band = ?4 AND parts = 0")?;
    for (CostKey { day, entity, book, band }, delta) in rows {
        let cost = i64::try_from(delta.cost.0).map_err(|_| StoreError::Overflow { what: "cost", key: format!("{entity:?} {day:?}") })?;
        let key = (day.0, entity.0, book as u8, band);
        upsert.execute(params![
            key.0,
            key.1,
            key.2,
            key.3,
            delta.bought.0,
            delta.gross.0,
            delta.assumed.0,
            delta.estimated.0,
            delta.across.0,
            cost,
            delta.parts
        ])?;
        if delta.parts <= 0 {
            emptied.execute(params![key.0, key.1, key.2, key.3])?;
        }
    }
    Ok(())
}

/// Takes new shares in the place of those that made the roll-ups until now, and keeps the old ones.
pub(super) fn replace_shares(transaction: &Transaction, wanted: &[(RowId, Share)], now: Millis) -> Result<(), StoreError> {
    let had_any: bool = transaction.query_row("SELECT EXISTS (SELECT 1 FROM share_row)", [], |row| row.get(0))?;
    let mut kept: FxHashSet<(RowId, Share)> = FxHashSet::default();
    let mut statement = transaction.prepare("SELECT channel, entity, sign, bought FROM share_row")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        kept.insert((RowId(row.get(0)?), Share { entity: RowId(row.get(1)?), sign: row.get(2)?, bought: row.get(3)? }));
    }
    let wanted: FxHashSet<(RowId, Share)> = wanted.iter().copied().collect();
    let mut end = transaction.prepare(
        "INSERT INTO share_version_row SELECT channel, entity, sign, bought, recorded_from, ?3 FROM share_row WHERE channel = ?1 AND entity = ?2 AND recorded_from < ?3",
    )?;
    let mut remove = transaction.prepare("DELETE FROM share_row WHERE channel = ?1 AND entity = ?2")?;
    for (channel, share) in kept.difference(&wanted) {
        end.execute(params![channel.0, share.entity.0, now.0])?;
        remove.execute(params![channel.0, share.entity.0])?;
    }
    let mut insert = transaction.prepare("INSERT INTO share_row VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for (channel, share) in wanted.difference(&kept) {
        let from = if had_any { now.0 } else { 0 };
        insert.execute(params![channel.0, share.entity.0, share.sign, share.bought, from])?;
    }
    Ok(())
}
