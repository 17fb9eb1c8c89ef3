//! First and newest values of channels: `latest_row`, and the changes since it was last brought up to date.
//!
//! A commit changes as many newest values as it has values, so writing each would cost as much as the readings themselves. Between two settlements the
//! changes of each commit lie in one row of `latest_change_row`. Invariant: `latest_row` with the changes applied in order is exact at every commit;
//! opening the store applies them.

use rusqlite::{Connection, Transaction, params};
use rustc_hash::FxHashMap;

use super::StoreError;
use super::batch::{Latest, RowId, Value};
use crate::domain::units::{Millis, Quantity};

/// Settled once so many values came in for each that changed: then a value costs at most an eighth of a row more.
const VALUES_PER_CHANGE: usize = 8;
/// Bytes of one change: channel, first, at, kind, value.
const CHANGE_BYTES: usize = 4 + 8 + 8 + 1 + 8;
const REGISTER: u8 = 1;
const GAUGE: u8 = 0;

/// Changes that are not in `latest_row` yet.
#[derive(Debug, Default)]
pub struct Unsettled {
    changes: FxHashMap<RowId, Latest>,
    values: usize,
}

impl Unsettled {
    /// Takes a commit's changes in, made by so many values.
    pub fn write(&mut self, transaction: &Transaction, changes: &mut FxHashMap<RowId, Latest>, values: usize) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        self.values += values;
        let mut rows: Vec<_> = changes.drain().collect();
        rows.sort_unstable_by_key(|(channel, _)| *channel);
        self.changes.extend(rows.iter().copied());
        if VALUES_PER_CHANGE * self.changes.len() <= self.values {
            return self.settle(transaction);
        }
        let bytes: Vec<u8> = rows.iter().flat_map(|(channel, latest)| encoded(*channel, *latest)).collect();
        transaction.prepare_cached("INSERT INTO latest_change_row (changes) VALUES (?1)")?.execute([bytes])?;
        Ok(())
    }

    /// Brings `latest_row` up to date.
    pub fn settle(&mut self, transaction: &Connection) -> Result<(), StoreError> {
        let mut rows: Vec<_> = self.changes.drain().collect();
        rows.sort_unstable_by_key(|(channel, _)| *channel);
        let mut upsert = transaction.prepare_cached("INSERT OR REPLACE INTO latest_row VALUES (?1, ?2, ?3, ?4)")?;
        for (channel, latest) in rows {
            match latest.value {
                Value::Register(value) => upsert.execute(params![channel.0, latest.first.0, latest.at.0, value.0])?,
                Value::Gauge(value) => upsert.execute(params![channel.0, latest.first.0, latest.at.0, value])?,
            };
        }
        transaction.prepare_cached("DELETE FROM latest_change_row")?.execute([])?;
        self.values = 0;
        Ok(())
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

/// The changes that a process left behind which did not settle them.
pub fn left_behind(connection: &Connection) -> Result<Unsettled, StoreError> {
    let mut unsettled = Unsettled::default();
    let mut statement = connection.prepare("SELECT changes FROM latest_change_row ORDER BY id")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let bytes = row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?;
        for change in bytes.chunks(CHANGE_BYTES) {
            // What no version of this program has written is told, not passed over.
            let (channel, latest) =
                decoded(change).ok_or(rusqlite::Error::IntegralValueOutOfRange(0, i64::try_from(change.len()).unwrap_or(i64::MAX)))?;
            unsettled.changes.insert(channel, latest);
        }
    }
    Ok(unsettled)
}

fn encoded(channel: RowId, latest: Latest) -> [u8; CHANGE_BYTES] {
    let (kind, value) = match latest.value {
        Value::Register(value) => (REGISTER, value.0.to_le_bytes()),
        Value::Gauge(value) => (GAUGE, value.to_le_bytes()),
    };
    let mut bytes = [0; CHANGE_BYTES];
    bytes[..4].copy_from_slice(&channel.0.to_le_bytes());
    bytes[4..12].copy_from_slice(&latest.first.0.to_le_bytes());
    bytes[12..20].copy_from_slice(&latest.at.0.to_le_bytes());
    bytes[20] = kind;
    bytes[21..].copy_from_slice(&value);
    bytes
}

fn decoded(bytes: &[u8]) -> Option<(RowId, Latest)> {
    // Eight bytes always make an array of eight; a row that is too short gives none, which the caller tells.
    let eight = |from: usize| bytes.get(from..from + 8)?.try_into().ok();
    let channel = u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?);
    let value = match *bytes.get(20)? {
        REGISTER => Value::Register(Quantity(i64::from_le_bytes(eight(21)?))),
        GAUGE => Value::Gauge(f64::from_le_bytes(eight(21)?)),
        _ => return None,
    };
    let (first, at) = (Millis(i64::from_le_bytes(eight(4)?)), Millis(i64::from_le_bytes(eight(12)?)));
    Some((RowId(channel), Latest { first, at, value }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_survives_its_bytes() {
        for value in [Value::Register(Quantity(-7)), Value::Gauge(0.97)] {
            let latest = Latest { first: Millis(-1), at: Millis(1_767_196_800_000), value };
            let bytes = encoded(RowId(300_000), latest);
            assert_eq!(decoded(&bytes), Some((RowId(300_000), latest)));
            assert_eq!(decoded(&bytes[..CHANGE_BYTES - 1]), None, "a broken one is none");
        }
    }
}
