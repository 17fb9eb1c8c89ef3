//! What plans look back on: hours of the zone and of assets' entities, highest quarters, states of charge.

use rusqlite::params;
use rustc_hash::FxHashMap;

use super::batch::RowId;
use super::savings::number;
use super::{Store, StoreError};
use crate::accounting::Book;
use crate::domain::units::{HOUR_MS, Millis};

/// The item of a battery's gauge, percent of its capacity.
pub const STATE_OF_CHARGE: &str = "state_of_charge_pct";
/// The item of a work's gauge: the electricity that what waits will take, kWh.
pub const WAITING: &str = "waiting_kwh";
/// The item of a meter of the heat that a station makes for its network.
pub const HEAT: &str = "heat_gj";
const WH_PER_KWH: f64 = 1000.0;
const KJ_PER_KWH: f64 = 3600.0;

impl Store {
    /// Electricity that each entity used in an hour, and what of it was bought, kWh; of those that were metered.
    pub fn hour_kwh(&self, hour: Millis) -> Result<FxHashMap<RowId, (f64, f64)>, StoreError> {
        let sql = "SELECT entity, quantity, bought FROM rollup_row WHERE level = 1 AND ts = ?1 AND carrier = ?2";
        let kwh = |wh: i64| wh as f64 / WH_PER_KWH;
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement
            .query_map(params![hour.0, number(Book::Electricity)], |row| Ok((RowId(row.get(0)?), (kwh(row.get(1)?), kwh(row.get(2)?)))))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The highest mean of what an entity bought in an interval of an hour, kW; of an hour that was read as a whole its mean.
    pub fn highest_kw(&self, entity: RowId, hour: Millis, interval_ms: i64) -> Result<Option<f64>, StoreError> {
        let sql = "SELECT SUM(i.quantity * s.bought * 60.0 / i.minutes) FROM share_row s JOIN channel_row c ON c.id = s.channel AND c.carrier = ?3 \
                   JOIN interval_row i ON i.ts = ?1 AND i.channel = s.channel WHERE s.entity = ?2 AND s.bought <> 0";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut highest: Option<f64> = None;
        for at in (0..HOUR_MS).step_by(usize::try_from(interval_ms).unwrap_or(1)) {
            let watts: Option<f64> = statement.query_row(params![hour.0 + at, entity.0, number(Book::Electricity)], |row| row.get(0))?;
            let kw = watts.map(|watts| watts / WH_PER_KWH);
            highest = highest.into_iter().chain(kw).reduce(f64::max);
        }
        Ok(highest)
    }

    /// Heat that an entity's meters of such an item measured in an hour, kWh.
    pub fn heat_kwh(&self, (entity, item): (&str, &str), hour: Millis, interval_ms: i64) -> Result<f64, StoreError> {
        let sql = "SELECT TOTAL(i.quantity) FROM channel_row c JOIN interval_row i ON i.ts = ?3 AND i.channel = c.id WHERE c.entity = ?1 AND c.item = ?2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut kj = 0.0;
        for at in (0..HOUR_MS).step_by(usize::try_from(interval_ms).unwrap_or(1)) {
            kj += statement.query_row(params![entity, item, hour.0 + at], |row| row.get::<_, f64>(0))?;
        }
        Ok(kj / KJ_PER_KWH)
    }

    /// What the gauges of such an item showed last after `from` and up to `to`, by entity.
    pub fn gauges(&self, item: &str, from: Millis, to: Millis) -> Result<FxHashMap<Box<str>, f64>, StoreError> {
        let sql = "SELECT c.entity, w.value FROM channel_row c JOIN weather_row w ON w.channel = c.id AND ?2 < w.ts AND w.ts <= ?3 \
                   WHERE c.item = ?1 ORDER BY w.ts";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map(params![item, from.0, to.0], |row| Ok((row.get::<_, String>(0)?.into(), row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
