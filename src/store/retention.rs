//! Retention: what is older than it is to be kept leaves the ledger, a slice at a time.
//!
//! Takes readings and intervals out of packed history only; never touches roll-ups, costs, swaps or the audit log. Invariants: a channel keeps its newest
//! readings, however old, for the next one is judged by them; what has left is known by moments in `meta`, written with the first slice that removes.

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::chunk::Chunk;
use super::{Store, StoreError};
use crate::domain::keep::Keep;
use crate::domain::units::{DAY_MS, Millis};

/// Rows or chunks that one slice removes: some ten milliseconds.
const SLICE_ROWS: u32 = 200;
/// Readings that each channel keeps.
const TAIL_READINGS: u32 = 32;

/// From when on a measurement is whole; none: nothing of it has left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    pub readings: Option<Millis>,
    pub intervals: Option<Millis>,
}

/// What a ledger still has.
pub fn kept(connection: &Connection) -> Result<Kept, StoreError> {
    let from = |key: &str| -> Result<Option<Millis>, StoreError> {
        let sql = "SELECT value FROM meta WHERE key = ?1";
        Ok(connection.query_row(sql, [key], |row| row.get(0).map(Millis)).optional()?)
    };
    Ok(Kept { readings: from(READINGS)?, intervals: from(INTERVALS)? })
}

const READINGS: &str = "readings_kept_from";
const INTERVALS: &str = "intervals_kept_from";
const ALERTS: &str = "alerts_kept_from";
const COMMANDS: &str = "commands_kept_from";

/// Removes some of what is before a moment, and gives how many rows.
type Remove = fn(&Transaction, Millis) -> Result<usize, StoreError>;

impl Store {
    /// From when on readings and intervals are whole.
    #[must_use]
    pub fn kept(&self) -> Kept {
        self.kept
    }

    /// Removes a slice of what is older than it is to be kept, by the engine's clock. Nothing removed: there is none before tomorrow.
    pub fn forget(&mut self, keep: &Keep, now: Millis) -> Result<usize, StoreError> {
        let today = now.0.div_euclid(DAY_MS);
        if *keep == Keep::default() || self.forgotten == (*keep, today) {
            return Ok(0);
        }
        let transaction = self.connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let measurements: [(&str, Option<u16>, Remove); 4] = [
            (READINGS, keep.readings, readings),
            (INTERVALS, keep.intervals, intervals),
            (ALERTS, keep.alerts, alerts),
            (COMMANDS, keep.commands, commands),
        ];
        let mut removed = 0;
        for (key, days, remove) in measurements {
            let Some(days) = days else { continue };
            let before = Millis((today - i64::from(days)) * DAY_MS);
            removed = remove(&transaction, before)?;
            if removed > 0 {
                let sql = "INSERT INTO meta VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = MAX(value, excluded.value)";
                transaction.prepare_cached(sql)?.execute(params![key, before.0])?;
                break;
            }
        }
        let kept = kept(&transaction)?;
        transaction.commit()?;
        self.kept = kept;
        if removed == 0 {
            self.forgotten = (*keep, today);
        }
        Ok(removed)
    }
}

/// A chunk that goes, and what stays of it.
type Going = (i64, u32, i64, u32, Vec<u8>);

fn readings(transaction: &Transaction, before: Millis) -> Result<usize, StoreError> {
    let sql = "SELECT id, channel, day, intervals, bytes FROM packed_row p WHERE day < ?1 AND readings > 0 AND CASE \
               WHEN EXISTS (SELECT 1 FROM packed_row n WHERE n.channel = p.channel AND n.day >= ?1 AND n.readings >= ?2) THEN 1 \
               ELSE (SELECT TOTAL(n.readings) FROM packed_row n WHERE n.channel = p.channel AND n.day > p.day) >= ?2 END LIMIT ?3";
    let mut statement = transaction.prepare_cached(sql)?;
    let row = |row: &rusqlite::Row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?));
    let going = statement.query_map(params![before.0.div_euclid(DAY_MS), TAIL_READINGS, SLICE_ROWS], row)?;
    let going: Vec<Going> = going.collect::<Result<_, _>>()?;
    let mut delete = transaction.prepare_cached("DELETE FROM packed_row WHERE id = ?1")?;
    let mut insert = transaction
        .prepare_cached("INSERT INTO packed_row (channel, day, readings, intervals, uneven, bytes) VALUES (?1, ?2, 0, ?3, 0, ?4)")?;
    for (id, channel, day, intervals, bytes) in &going {
        delete.execute([id])?;
        if *intervals > 0 {
            let chunk = Chunk::from_bytes(bytes).ok_or(StoreError::Chunk { channel: *channel, day: *day })?;
            let chunk = Chunk { readings: Chunk::empty(0, 0).readings, ..chunk };
            insert.execute(params![channel, day, intervals, chunk.to_bytes()])?;
        }
    }
    Ok(going.len())
}

/// Those without readings beside them: what a channel keeps of these stays whole.
fn intervals(transaction: &Transaction, before: Millis) -> Result<usize, StoreError> {
    let chunks = "DELETE FROM packed_row WHERE id IN (SELECT id FROM packed_row WHERE day < ?1 AND readings = 0 LIMIT ?2)";
    let removed = transaction.prepare_cached(chunks)?.execute(params![before.0.div_euclid(DAY_MS), SLICE_ROWS])?;
    let versions = "DELETE FROM interval_version_row WHERE (ts, channel, recorded_from) IN ( \
                    SELECT ts, channel, recorded_from FROM interval_version_row WHERE ts < ?1 LIMIT ?2)";
    Ok(removed + transaction.prepare_cached(versions)?.execute(params![before.0, SLICE_ROWS])?)
}

/// Those that are over.
fn alerts(transaction: &Transaction, before: Millis) -> Result<usize, StoreError> {
    let sql =
        "DELETE FROM alert_row WHERE (rule, subject, since) IN (SELECT rule, subject, since FROM alert_row WHERE cleared < ?1 LIMIT ?2)";
    Ok(transaction.prepare_cached(sql)?.execute(params![before.0, SLICE_ROWS])?)
}

/// Those that are over and that no asset stands on.
fn commands(transaction: &Transaction, before: Millis) -> Result<usize, StoreError> {
    let sql = "DELETE FROM command_row WHERE id IN (SELECT id FROM command_row WHERE issued < ?1 AND until < ?1 \
               AND id NOT IN (SELECT command FROM asset_row WHERE command IS NOT NULL) LIMIT ?2)";
    Ok(transaction.prepare_cached(sql)?.execute(params![before.0, SLICE_ROWS])?)
}
