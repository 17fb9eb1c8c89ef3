//! Factors and prices that take the place of others for a span of time, together with the figures made with them.
//!
//! Invariant: a slice of a restatement is in the file as a whole or not at all, and what held before stays readable with its times of recording.

use rusqlite::{ToSql, Transaction, params};

use super::accounts::{FactorSpan, insert_factors, insert_prices};
use super::batch::Batch;
use super::named::NamedFactor;
use super::{Store, StoreError, accounts, named, write};
use crate::accounting::Book;
use crate::domain::calendar::{LocalCalendar, Span};
use crate::domain::tariff::PriceSpan;
use crate::domain::units::Millis;

/// What shall hold in a span from now on.
#[derive(Debug, Default)]
pub struct NewRules {
    pub factors: Vec<(Book, FactorSpan)>,
    pub prices: Vec<(Book, PriceSpan)>,
    pub named: Vec<NamedFactor>,
}

impl NewRules {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.factors.is_empty() && self.prices.is_empty() && self.named.is_empty()
    }
}

/// A table whose rows hold for a key over a span and since a recording.
struct Dated {
    name: &'static str,
    key: &'static str,
    values: &'static str,
}

const FACTORS: Dated = Dated {
    name: "factor_use_row",
    key: "carrier",
    values: "mg_per_unit, coal_calorific_mg_per_unit, coal_primary_mg_per_unit, tier, source",
};
const PRICES: Dated =
    Dated { name: "price_row", key: "carrier", values: "band, ucny_per_unit, funds_ucny_per_unit, demand_ucny_per_kw_month, tariff" };
const NAMED: Dated = Dated { name: "named_factor_row", key: "name", values: "mg_per_unit, tier, version" };

impl Store {
    /// Puts new rules in force for a span, recorded at `at`, and writes what they change in the roll-ups: the differences in `batch`.
    /// `year` is the local year that holds the span.
    pub fn restate(
        &mut self,
        (span, year): (Span, i16),
        rules: &NewRules,
        at: Millis,
        batch: &mut Batch,
        calendar: &mut LocalCalendar,
    ) -> Result<(), StoreError> {
        let transaction = self.connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        for (book, _) in &rules.factors {
            FACTORS.end(&transaction, &(*book as u8), span, at)?;
        }
        insert_factors(&transaction, &rules.factors, at)?;
        for (book, _) in &rules.factors {
            FACTORS.join_around(&transaction, &(*book as u8), span)?;
            show_latest_factor(&transaction, *book, calendar.year(span.start).end, year)?;
        }
        let mut priced: Vec<Book> = rules.prices.iter().map(|(book, _)| *book).collect();
        priced.dedup();
        for book in priced {
            PRICES.end(&transaction, &(book as u8), span, at)?;
        }
        insert_prices(&transaction, &rules.prices, at)?;
        for factor in &rules.named {
            NAMED.end(&transaction, &factor.name, span, at)?;
            named::insert(&transaction, factor, span, at)?;
            NAMED.join_around(&transaction, &factor.name, span)?;
        }
        if let Some(feed) = &mut self.feed {
            feed.keep_hours(&transaction, batch, calendar)?;
        }
        accounts::costs(&transaction, batch)?;
        write::rollups(&transaction, batch, calendar)?;
        transaction.commit()?;
        batch.clear();
        Ok(())
    }

    /// First and last beginning of an interval.
    pub fn interval_range(&self) -> Result<Option<(Millis, Millis)>, StoreError> {
        let sql = "SELECT first, last FROM interval_range";
        let (first, last): (Option<i64>, Option<i64>) = self.connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(first.map(Millis).zip(last.map(Millis)))
    }
}

impl Dated {
    /// Ends what holds for a key in a span.
    fn end(&self, transaction: &Transaction, of: &dyn ToSql, span: Span, at: Millis) -> Result<(), StoreError> {
        let Dated { name, key, .. } = self;
        self.split(transaction, of, span.start)?;
        self.split(transaction, of, span.end)?;
        let inside = format!("{key} = ?1 AND from_ts >= ?2 AND from_ts < ?3 AND recorded_to IS NULL");
        // What began to hold at this very moment never held for anybody.
        let delete = format!("DELETE FROM {name} WHERE {inside} AND recorded_from = ?4");
        transaction.execute(&delete, params![of, span.start.0, span.end.0, at.0])?;
        let update = format!("UPDATE {name} SET recorded_to = ?4 WHERE {inside}");
        transaction.execute(&update, params![of, span.start.0, span.end.0, at.0])?;
        Ok(())
    }

    /// Makes two rows of the one in force that spans a moment.
    fn split(&self, transaction: &Transaction, of: &dyn ToSql, border: Millis) -> Result<(), StoreError> {
        let Dated { name, key, values } = self;
        let across = format!("{key} = ?1 AND from_ts < ?2 AND ?2 < to_ts AND recorded_to IS NULL");
        let sql = format!(
            "INSERT INTO {name} ({key}, from_ts, to_ts, {values}, recorded_from) SELECT {key}, ?2, to_ts, {values}, recorded_from FROM {name} WHERE {across}"
        );
        transaction.execute(&sql, params![of, border.0])?;
        transaction.execute(&format!("UPDATE {name} SET to_ts = ?2 WHERE {across}"), params![of, border.0])?;
        Ok(())
    }

    fn join_around(&self, transaction: &Transaction, of: &dyn ToSql, span: Span) -> Result<(), StoreError> {
        self.join(transaction, of, span.start)?;
        self.join(transaction, of, span.end)
    }

    /// Makes one row of two that meet at a moment and say the same, so that a restatement in slices is one row like one at once.
    fn join(&self, transaction: &Transaction, of: &dyn ToSql, border: Millis) -> Result<(), StoreError> {
        let Dated { name, key, values } = self;
        let same: Vec<String> = values.split(", ").map(|column| format!("a.{column} IS b.{column}")).collect();
        let sql = format!(
            "SELECT a.from_ts, a.recorded_from, b.to_ts FROM {name} a JOIN {name} b ON b.{key} = a.{key} AND b.from_ts = a.to_ts \
             AND b.recorded_from = a.recorded_from AND b.recorded_to IS a.recorded_to AND {} WHERE a.{key} = ?1 AND a.to_ts = ?2",
            same.join(" AND ")
        );
        let mut statement = transaction.prepare(&sql)?;
        let pairs = statement.query_map(params![of, border.0], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        let pairs: Vec<(i64, i64, i64)> = pairs.collect::<Result<_, _>>()?;
        for (from, recorded, to) in pairs {
            let row = format!("{key} = ?1 AND from_ts = ?2 AND recorded_from = ?3");
            transaction.execute(&format!("DELETE FROM {name} WHERE {row}"), params![of, border.0, recorded])?;
            transaction.execute(&format!("UPDATE {name} SET to_ts = ?4 WHERE {row}"), params![of, from, recorded, to])?;
        }
        Ok(())
    }
}

/// `factor_row` says what holds at the year's end, and so for what is still to come.
fn show_latest_factor(transaction: &Transaction, book: Book, year_end: Millis, year: i16) -> Result<(), StoreError> {
    let sql = "UPDATE factor_row SET (mg_per_unit, coal_calorific_mg_per_unit, coal_primary_mg_per_unit, tier, source) = \
               (SELECT mg_per_unit, coal_calorific_mg_per_unit, coal_primary_mg_per_unit, tier, source FROM factor_use_row \
               WHERE carrier = ?1 AND from_ts < ?2 AND recorded_to IS NULL ORDER BY from_ts DESC LIMIT 1) WHERE carrier = ?1 AND year = ?3";
    transaction.execute(sql, params![book as u8, year_end.0, year])?;
    Ok(())
}
