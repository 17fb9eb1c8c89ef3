//! What plans look back on: hours of the zone and of assets' entities, highest quarters, states of charge.

use rusqlite::{OptionalExtension, params};

use super::batch::RowId;
use super::savings::number;
use super::{Store, StoreError};
use crate::accounting::Book;
use crate::domain::units::{HOUR_MS, Millis};

/// The item of a battery's gauge, percent of its capacity.
pub const STATE_OF_CHARGE: &str = "state_of_charge_pct";
const WH_PER_KWH: f64 = 1000.0;

impl Store {
    /// Electricity that an entity used in an hour, and what of it was bought, kWh; none where nothing was metered.
    pub fn hour_kwh(&self, entity: RowId, hour: Millis) -> Result<Option<(f64, f64)>, StoreError> {
        let sql = "SELECT quantity, bought FROM rollup_row WHERE level = 1 AND ts = ?1 AND entity = ?2 AND carrier = ?3";
        let kwh = |wh: i64| wh as f64 / WH_PER_KWH;
        let mut statement = self.connection.prepare_cached(sql)?;
        let found =
            statement.query_row(params![hour.0, entity.0, number(Book::Electricity)], |row| Ok((kwh(row.get(0)?), kwh(row.get(1)?))));
        Ok(found.optional()?)
    }

    /// The highest mean of what an entity bought in an interval of an hour, kW; of an hour that was read as a whole its mean.
    pub fn highest_kw(&self, entity: RowId, hour: Millis, interval_ms: i64) -> Result<Option<f64>, StoreError> {
        // Rows first, sums around them, and a second half that is empty: only so are packed rows read channel by channel.
        let sql = "SELECT SUM(watts) FROM ( \
                   SELECT i.quantity * s.bought * 60.0 / i.minutes AS watts FROM share_row s JOIN channel_row c ON c.id = s.channel AND c.carrier = ?3 \
                   JOIN every_interval i ON i.ts = ?1 AND i.channel = s.channel AND i.block = block_of(?1) WHERE s.entity = ?2 AND s.bought <> 0 \
                   UNION ALL SELECT NULL WHERE false)";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut highest: Option<f64> = None;
        for at in (0..HOUR_MS).step_by(usize::try_from(interval_ms).unwrap_or(1)) {
            let watts: Option<f64> = statement.query_row(params![hour.0 + at, entity.0, number(Book::Electricity)], |row| row.get(0))?;
            let kw = watts.map(|watts| watts / WH_PER_KWH);
            highest = highest.into_iter().chain(kw).reduce(f64::max);
        }
        Ok(highest)
    }

    /// What an entity's battery showed last after `from` and up to `to`, percent.
    pub fn state_of_charge_pct(&self, entity: &str, from: Millis, to: Millis) -> Result<Option<f64>, StoreError> {
        let sql = "SELECT w.value FROM channel_row c JOIN weather_row w ON w.channel = c.id AND ?3 < w.ts AND w.ts <= ?4 \
                   WHERE c.entity = ?1 AND c.item = ?2 ORDER BY w.ts DESC LIMIT 1";
        let mut statement = self.connection.prepare_cached(sql)?;
        Ok(statement.query_row(params![entity, STATE_OF_CHARGE, from.0, to.0], |row| row.get(0)).optional()?)
    }
}
