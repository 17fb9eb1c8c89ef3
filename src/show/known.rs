//! The books as they are, or as they were known on a date: entities' intervals, factors and prices.
//!
//! Invariant: what was known on a date is made of rows that were recorded by then and not yet replaced, and of intervals that had ended by then.

use std::borrow::Borrow;
use std::hash::Hash;

use rusqlite::types::FromSql;
use rusqlite::{Connection, Row, params};
use rustc_hash::FxHashMap;

use super::{Resolved, ShowError, need_intervals};
use crate::domain::tariff::Band;
use crate::domain::units::Millis;

/// One entity's interval of one book, in ledger units.
#[derive(Clone, Copy, Debug)]
pub struct EntityInterval {
    pub start: Millis,
    pub end: Millis,
    pub entity: i64,
    pub book: u8,
    pub quantity: i128,
    pub bought: i128,
    pub gross: i128,
    pub assumed: i128,
    pub estimated: i128,
}

const NOW: &str = "SELECT i.ts, i.minutes, s.entity, c.carrier, SUM(i.quantity * s.sign), SUM(i.quantity * s.bought), SUM(i.quantity * abs(s.sign)), \
    SUM(i.assumed * abs(s.sign)), SUM(i.estimated * abs(s.sign)) FROM every_interval i JOIN channel_row c ON c.id = i.channel \
    JOIN share_row s ON s.channel = i.channel WHERE i.ts >= ?1 AND i.ts < ?2 AND i.block BETWEEN block_of(?1) AND block_of(?2) AND ?3 IS NULL GROUP BY i.ts, i.minutes, s.entity, c.carrier";

const KNOWN: &str = "WITH i AS (\
    SELECT ts, channel, minutes, quantity, assumed, estimated FROM every_interval WHERE ts >= ?1 AND ts < ?2 AND block BETWEEN block_of(?1) AND block_of(?2) AND recorded_from <= ?3 \
    UNION ALL SELECT ts, channel, minutes, quantity, assumed, estimated FROM interval_version_row WHERE ts >= ?1 AND ts < ?2 \
    AND recorded_from <= ?3 AND ?3 < recorded_to), \
    s AS (SELECT channel, entity, sign, bought FROM share_row WHERE recorded_from <= ?3 \
    UNION ALL SELECT channel, entity, sign, bought FROM share_version_row WHERE recorded_from <= ?3 AND ?3 < recorded_to) \
    SELECT i.ts, i.minutes, s.entity, c.carrier, SUM(i.quantity * s.sign), SUM(i.quantity * s.bought), SUM(i.quantity * abs(s.sign)), \
    SUM(i.assumed * abs(s.sign)), SUM(i.estimated * abs(s.sign)) FROM i JOIN channel_row c ON c.id = i.channel \
    JOIN s ON s.channel = i.channel WHERE i.ts + i.minutes * 60000 <= ?3 GROUP BY i.ts, i.minutes, s.entity, c.carrier";

const NOW_METERS: &str = "SELECT i.ts, i.minutes, i.channel, c.carrier, i.quantity, i.quantity, i.quantity, i.assumed, i.estimated \
    FROM every_interval i JOIN channel_row c ON c.id = i.channel WHERE i.ts >= ?1 AND i.ts < ?2 AND i.block BETWEEN block_of(?1) AND block_of(?2) AND ?3 IS NULL \
    AND c.carrier = 0 AND c.level = 'entry' AND c.direction = 'import'";

const KNOWN_METERS: &str = "SELECT i.ts, i.minutes, i.channel, c.carrier, i.quantity, i.quantity, i.quantity, i.assumed, i.estimated FROM (\
    SELECT ts, channel, minutes, quantity, assumed, estimated FROM every_interval WHERE ts >= ?1 AND ts < ?2 AND block BETWEEN block_of(?1) AND block_of(?2) AND recorded_from <= ?3 \
    UNION ALL SELECT ts, channel, minutes, quantity, assumed, estimated FROM interval_version_row WHERE ts >= ?1 AND ts < ?2 \
    AND recorded_from <= ?3 AND ?3 < recorded_to) i JOIN channel_row c ON c.id = i.channel \
    WHERE i.ts + i.minutes * 60000 <= ?3 AND c.carrier = 0 AND c.level = 'entry' AND c.direction = 'import'";

/// Intervals that begin in the range asked for, of the entities asked for, in order.
pub fn intervals(ledger: &Connection, wanted: &Resolved) -> Result<Vec<EntityInterval>, ShowError> {
    read(ledger, wanted, if wanted.as_known_on.is_some() { KNOWN } else { NOW }, |entity| wanted.wants(entity))
}

/// Intervals of electricity's entry meters, each by its channel in the place of an entity; `wants` says which channels.
pub fn entry_meters(ledger: &Connection, wanted: &Resolved, wants: impl Fn(i64) -> bool) -> Result<Vec<EntityInterval>, ShowError> {
    read(ledger, wanted, if wanted.as_known_on.is_some() { KNOWN_METERS } else { NOW_METERS }, wants)
}

fn read(ledger: &Connection, wanted: &Resolved, sql: &str, wants: impl Fn(i64) -> bool) -> Result<Vec<EntityInterval>, ShowError> {
    need_intervals(ledger, wanted.from)?;
    let mut statement = ledger.prepare_cached(sql)?;
    let (from, to) = (wanted.from.map_or(i64::MIN, |from| from.0), wanted.to.map_or(i64::MAX, |to| to.0));
    let mut rows = statement.query(params![from, to, wanted.as_known_on.map(|at| at.0)])?;
    let mut out = Vec::new();
    while let Some(row) = rows.next()? {
        let entity = row.get(2)?;
        if !wants(entity) {
            continue;
        }
        let start = Millis(row.get(0)?);
        let amount = |index: usize| row.get::<_, i64>(index).map(i128::from);
        out.push(EntityInterval {
            start,
            end: start.plus_ms(row.get::<_, i64>(1)? * 60_000),
            entity,
            book: row.get(3)?,
            quantity: amount(4)?,
            bought: amount(5)?,
            gross: amount(6)?,
            assumed: amount(7)?,
            estimated: amount(8)?,
        });
    }
    Ok(out)
}

/// What holds over spans of time, by book, or by name.
#[derive(Debug)]
pub struct InForce<T, K = u8>(FxHashMap<K, Vec<(Millis, Millis, T)>>);

impl<T, K: Eq + Hash + FromSql> InForce<T, K> {
    /// Of a table with its key and times; `columns` are row columns 3 on.
    fn read(
        ledger: &Connection,
        (table, key, columns): (&str, &str, &str),
        wanted: &Resolved,
        value: impl Fn(&Row) -> Result<T, rusqlite::Error>,
    ) -> Result<Self, ShowError> {
        let sql = format!(
            "SELECT {key}, from_ts, to_ts, {columns} FROM {table} WHERE CASE WHEN ?1 IS NULL THEN recorded_to IS NULL \
             ELSE recorded_from <= ?1 AND (recorded_to IS NULL OR ?1 < recorded_to) END ORDER BY {key}, from_ts"
        );
        let mut statement = ledger.prepare_cached(&sql)?;
        let mut rows = statement.query([wanted.as_known_on.map(|at| at.0)])?;
        let mut all: FxHashMap<K, Vec<(Millis, Millis, T)>> = FxHashMap::default();
        while let Some(row) = rows.next()? {
            all.entry(row.get(0)?).or_default().push((Millis(row.get(1)?), Millis(row.get(2)?), value(row)?));
        }
        Ok(InForce(all))
    }
}

impl<T, K: Eq + Hash> InForce<T, K> {
    /// Moments at which something else begins to hold.
    pub fn borders(&self) -> impl Iterator<Item = Millis> {
        self.0.values().flatten().map(|(from, ..)| *from)
    }

    fn find<Q: Eq + Hash + ?Sized>(&self, key: &Q, at: Millis) -> Option<(&T, Millis)>
    where
        K: Borrow<Q>,
    {
        let spans = self.0.get(key)?;
        let (_, to, value) = &spans[spans.partition_point(|(from, _, _)| *from <= at).checked_sub(1)?];
        (at < *to).then_some((value, *to))
    }
}

impl<T: PartialEq, K: Eq + Hash> InForce<T, K> {
    /// When the value that holds at a moment first held: the same for all moments with that value.
    pub fn first<Q: Eq + Hash + ?Sized>(&self, key: &Q, at: Millis) -> Option<Millis>
    where
        K: Borrow<Q>,
    {
        let (value, _) = self.find(key, at)?;
        self.0.get(key)?.iter().find(|(.., other)| other == value).map(|(from, ..)| *from)
    }
}

impl<T> InForce<T> {
    /// What holds for a book at a moment, and until when.
    #[must_use]
    pub fn at(&self, book: u8, at: Millis) -> Option<(&T, Millis)> {
        self.find(&book, at)
    }
}

/// Factors that no book uses, by name.
pub type Named = InForce<Factor, String>;

impl Named {
    /// The factor of a name at a moment, and until when it holds.
    #[must_use]
    pub fn of(&self, name: &str, at: Millis) -> Option<(&Factor, Millis)> {
        self.find(name, at)
    }
}

/// The factors of gases beside CO2, of the residual mix, and of rules, in force.
pub fn named(ledger: &Connection, wanted: &Resolved) -> Result<Named, ShowError> {
    InForce::read(ledger, ("named_factor_row", "name", "mg_per_unit, tier, version"), wanted, |row| {
        Ok(Factor { mg_per_unit: row.get(3)?, tier: row.get(4)?, source: row.get(5)? })
    })
}

/// A factor in use; `source` names its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Factor {
    pub mg_per_unit: i64,
    pub tier: String,
    pub source: String,
}

/// The carbon factors in force; what has none by its nature is left out.
pub fn factors(ledger: &Connection, wanted: &Resolved) -> Result<InForce<Factor>, ShowError> {
    let table = ("(SELECT * FROM factor_use_row WHERE mg_per_unit IS NOT NULL)", "carrier", "mg_per_unit, tier, source");
    InForce::read(ledger, table, wanted, |row| Ok(Factor { mg_per_unit: row.get(3)?, tier: row.get(4)?, source: row.get(5)? }))
}

/// Standard coal by heat content, mg per unit, in force; what has none by its nature is left out.
pub fn coal_calorific(ledger: &Connection, wanted: &Resolved) -> Result<InForce<i64>, ShowError> {
    coal(ledger, wanted, "coal_calorific_mg_per_unit")
}

/// Likewise by primary energy.
pub fn coal_primary(ledger: &Connection, wanted: &Resolved) -> Result<InForce<i64>, ShowError> {
    coal(ledger, wanted, "coal_primary_mg_per_unit")
}

fn coal(ledger: &Connection, wanted: &Resolved, column: &str) -> Result<InForce<i64>, ShowError> {
    let table = format!("(SELECT * FROM factor_use_row WHERE {column} IS NOT NULL)");
    InForce::read(ledger, (&table, "carrier", column), wanted, |row| row.get(3))
}

#[derive(Debug)]
pub struct Price {
    pub band: Band,
    pub ucny_per_unit: Option<i64>,
    pub funds_ucny_per_unit: i64,
    pub demand_ucny_per_kw_month: Option<i64>,
    pub tariff: String,
}

pub fn prices(ledger: &Connection, wanted: &Resolved) -> Result<InForce<Price>, ShowError> {
    InForce::read(
        ledger,
        ("price_row", "carrier", "band, ucny_per_unit, funds_ucny_per_unit, demand_ucny_per_kw_month, tariff"),
        wanted,
        |row| {
            let band = Band::from_number(row.get(3)?).unwrap_or(Band::Unpriced);
            Ok(Price {
                band,
                ucny_per_unit: row.get(4)?,
                funds_ucny_per_unit: row.get(5)?,
                demand_ucny_per_kw_month: row.get(6)?,
                tariff: row.get(7)?,
            })
        },
    )
}
