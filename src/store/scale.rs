//! By which scale each register was read. Readings are kept after the multiplier, so another multiplier would put two scales into one register.

use rusqlite::params;

use super::batch::RowId;
use super::{Store, StoreError};

/// Ledger units in a unit of the display, mantissa × 10^−decimals.
pub type Scale = (i64, u32);

impl Store {
    /// Meter, item and scale of every register that was ever read.
    pub fn scales(&self) -> Result<Vec<(String, String, Scale)>, StoreError> {
        let sql = "SELECT c.meter, c.item, s.mantissa, s.decimals FROM scale_row s JOIN channel_row c ON c.id = s.channel \
                   WHERE EXISTS (SELECT 1 FROM latest_row l WHERE l.channel = s.channel)";
        let mut statement = self.connection.prepare(sql)?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, (row.get(2)?, row.get(3)?))))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Keeps a register's scale.
    pub fn keep_scale(&self, channel: RowId, (mantissa, decimals): Scale) -> Result<(), StoreError> {
        let sql = "INSERT INTO scale_row VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET mantissa = excluded.mantissa, decimals = excluded.decimals";
        self.connection.prepare_cached(sql)?.execute(params![channel.0, mantissa, decimals])?;
        Ok(())
    }
}
