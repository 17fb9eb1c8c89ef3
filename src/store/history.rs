//! History in little space: rows of closed blocks of time move into chunks, and back when something late changes them.
//!
//! Invariants: of a block and group of channels either all rows are in `packed_row` or none is, and a row that is unpacked is the row that was packed.
//! One transaction moves a slice. Readers go by the views `every_reading` and `every_interval`, whose `block` and `grp` say which chunks to open.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::{ToSql, ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params, params_from_iter, vtab};

use super::batch::Batch;
use super::chunk::{self, CHANNEL, Cell, Chunk, Columns};
use super::{Store, StoreError};
use crate::domain::units::{HOUR_MS, Millis};

/// Length of a block, the same number as in `history_views.sql`. Longer ones take less space; a slice has to touch the pages of a whole one.
const BLOCK_MS: i64 = 3 * HOUR_MS;
/// Channels of a group, the same number as in `history_views.sql`. One meter's day opens its group's chunks.
const GROUP_CHANNELS: i64 = 48;
/// What is younger than this, by the engine's clock and beside the newest reading, stays as rows: there late readings, and imported history, come in.
const ROWS_KEPT_MS: i64 = 24 * HOUR_MS;
/// Readings and intervals that one slice packs, about: as long as a large commit.
const SLICE_ROWS: i64 = 8_192;
/// Readings written between two slices: more can be packed than comes in, so that a backlog goes.
const READINGS_PER_SLICE: usize = 2_048;
/// Opened chunks that a connection keeps: one for each place in a statement that reads them.
const OPEN_CHUNKS: usize = 8;

/// A block of time and a group of channels.
type Key = (i64, i64);

fn key(at: Millis, channel: u32) -> Key {
    (at.0 / BLOCK_MS, i64::from(channel) / GROUP_CHANNELS)
}

/// What a slice did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Packed {
    pub readings: usize,
    pub intervals: usize,
}

impl Store {
    /// Packs a slice for so many readings that were written, while there is something to pack.
    pub fn keep_packed(&mut self, now: Millis) -> Result<Packed, StoreError> {
        let mut packed = Packed::default();
        let slices = self.written / READINGS_PER_SLICE;
        self.written %= READINGS_PER_SLICE;
        for _ in 0..slices {
            let slice = self.pack(now)?;
            if slice == Packed::default() {
                break;
            }
            packed = Packed { readings: packed.readings + slice.readings, intervals: packed.intervals + slice.intervals };
        }
        Ok(packed)
    }

    /// Packs some rows of the oldest block, if it is old enough by the engine's clock. Nothing packed: there is none.
    pub fn pack(&mut self, now: Millis) -> Result<Packed, StoreError> {
        let range = "SELECT MIN(ts), (SELECT MAX(ts) FROM reading_row) FROM (SELECT MIN(ts) AS ts FROM reading_row UNION ALL SELECT MIN(ts) FROM interval_row)";
        let range = self.connection.prepare_cached(range)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let (Some(oldest), Some(newest)): (Option<i64>, Option<i64>) = range else { return Ok(Packed::default()) };
        let block = oldest / BLOCK_MS;
        let (from, before) = (block * BLOCK_MS, (block + 1) * BLOCK_MS);
        if now.0.min(newest) < before.saturating_add(ROWS_KEPT_MS) {
            return Ok(Packed::default());
        }
        let transaction = self.connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let groups = "SELECT COUNT(*), MIN(channel) / ?3, MAX(channel) / ?3 FROM (SELECT channel FROM reading_row WHERE ts >= ?1 AND ts < ?2 \
                      UNION ALL SELECT channel FROM interval_row WHERE ts >= ?1 AND ts < ?2)";
        let (rows, first, last): (i64, i64, i64) = transaction
            .prepare_cached(groups)?
            .query_row([from, before, GROUP_CHANNELS], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        let count = last - first + 1;
        let end = first + (SLICE_ROWS * count / rows).clamp(1, count);
        let range = [from, before, first * GROUP_CHANNELS, end * GROUP_CHANNELS];
        let mut packed = Packed::default();
        let mut readings = columns(&transaction, "reading_row", &chunk::READING, range)?;
        let mut intervals = columns(&transaction, "interval_row", &chunk::INTERVAL, range)?;
        let mut insert =
            transaction.prepare_cached("INSERT INTO packed_row (block, grp, readings, intervals, bytes) VALUES (?1, ?2, ?3, ?4, ?5)")?;
        for group in first..end {
            let chunk = Chunk { readings: split_group(&mut readings, group), intervals: split_group(&mut intervals, group) };
            let counts = [chunk.readings[CHANNEL].len(), chunk.intervals[CHANNEL].len()];
            if counts == [0, 0] {
                continue;
            }
            insert.execute(params![block, group, counts[0] as u32, counts[1] as u32, chunk.to_bytes()])?;
            packed = Packed { readings: packed.readings + counts[0], intervals: packed.intervals + counts[1] };
        }
        drop(insert);
        for table in ["reading_row", "interval_row"] {
            let sql = format!("DELETE FROM {table} WHERE ts >= ?1 AND ts < ?2 AND channel >= ?3 AND channel < ?4");
            transaction.prepare_cached(&sql)?.execute(range)?;
        }
        transaction.commit()?;
        self.packed_until = self.packed_until.max(block);
        Ok(packed)
    }
}

/// The last block of which something is packed; none: below any.
pub(super) fn packed_until(connection: &Connection) -> Result<i64, StoreError> {
    let last: Option<i64> = connection.query_row("SELECT MAX(block) FROM packed_row", [], |row| row.get(0))?;
    Ok(last.unwrap_or(i64::MIN))
}

/// Makes rows again of the chunks that a batch has something to add to.
pub(super) fn thaw_for(transaction: &Transaction, batch: &Batch, packed_until: i64) -> Result<(), StoreError> {
    let mut keys: BTreeSet<Key> = BTreeSet::new();
    let mut touch = |at: Millis, channel: u32| {
        let key = key(at, channel);
        if key.0 <= packed_until {
            keys.insert(key);
        }
    };
    for (start, channel) in batch.intervals.keys() {
        touch(*start, channel.0);
    }
    for gauge in &batch.gauges {
        touch(gauge.at, gauge.channel.0);
        if let Some(host) = gauge.host() {
            touch(gauge.at, host.0);
        }
    }
    // A later message of a moment may give rows of their own to gauges that lay beside the register.
    let mut guests = transaction.prepare_cached("SELECT id FROM channel_row WHERE host = ?1")?;
    for (channel, mark) in &batch.marks {
        touch(mark.at, channel.0);
        if mark.at.0 / BLOCK_MS <= packed_until {
            for guest in guests.query_map([channel.0], |row| row.get::<_, u32>(0))? {
                touch(mark.at, guest?);
            }
        }
    }
    keys.into_iter().try_for_each(|key| thaw(transaction, key))
}

fn thaw(transaction: &Transaction, (block, group): Key) -> Result<(), StoreError> {
    let mut take = transaction.prepare_cached("DELETE FROM packed_row WHERE block = ?1 AND grp = ?2 RETURNING bytes")?;
    let bytes: Option<Vec<u8>> = take.query_row([block, group], |row| row.get(0)).optional()?;
    let Some(bytes) = bytes else { return Ok(()) };
    let chunk = Chunk::from_bytes(&bytes).ok_or(StoreError::Chunk { block, group })?;
    for (table, names, columns) in
        [("reading_row", &chunk::READING[..], &chunk.readings), ("interval_row", &chunk::INTERVAL[..], &chunk.intervals)]
    {
        let marks = vec!["?"; names.len()].join(", ");
        let mut insert = transaction.prepare_cached(&format!("INSERT INTO {table} ({}) VALUES ({marks})", names.join(", ")))?;
        for row in 0..columns[CHANNEL].len() {
            insert.execute(params_from_iter(columns.iter().map(|column| column[row])))?;
        }
    }
    Ok(())
}

/// Rows of a range of times and channels, by channel and time.
fn columns(transaction: &Transaction, table: &str, names: &[&str], range: [i64; 4]) -> Result<Columns, StoreError> {
    let sql = format!(
        "SELECT {} FROM {table} WHERE ts >= ?1 AND ts < ?2 AND channel >= ?3 AND channel < ?4 ORDER BY channel, ts",
        names.join(", ")
    );
    let mut columns: Columns = vec![Vec::new(); names.len()];
    let mut statement = transaction.prepare_cached(&sql)?;
    let mut rows = statement.query(range)?;
    while let Some(row) = rows.next()? {
        for (index, column) in columns.iter_mut().enumerate() {
            column.push(cell(row, index)?);
        }
    }
    Ok(columns)
}

fn cell(row: &Row, index: usize) -> Result<Cell, rusqlite::Error> {
    match row.get_ref(index)? {
        ValueRef::Null => Ok(Cell::Null),
        ValueRef::Integer(value) => Ok(Cell::Integer(value)),
        ValueRef::Real(value) => Ok(Cell::Real(value)),
        other @ (ValueRef::Text(_) | ValueRef::Blob(_)) => {
            Err(rusqlite::Error::InvalidColumnType(index, "a number".to_owned(), other.data_type()))
        }
    }
}

/// Takes the rows of a group, which come first.
fn split_group(columns: &mut Columns, group: i64) -> Columns {
    let in_group = |cell: &Cell| matches!(cell, Cell::Integer(channel) if channel / GROUP_CHANNELS == group);
    let count = columns[CHANNEL].partition_point(in_group);
    columns.iter_mut().map(|column| column.drain(..count).collect()).collect()
}

impl ToSql for Cell {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Owned(match *self {
            Cell::Null => Value::Null,
            Cell::Integer(value) => Value::Integer(value),
            Cell::Real(value) => Value::Real(value),
        }))
    }
}

/// Lets a connection see packed rows: functions, and views over rows and packed rows in the place of the file's own.
pub(super) fn equip(connection: &Connection) -> Result<(), StoreError> {
    vtab::series::load_module(connection)?;
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    let open: Mutex<Vec<(i64, Chunk)>> = Mutex::new(Vec::new());
    connection.create_scalar_function("unpacked", 4, flags, move |context| {
        let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
        unpacked(context, &mut open)
    })?;
    connection.create_scalar_function("block_of", 1, flags, |context| Ok(context.get::<i64>(0)? / BLOCK_MS))?;
    connection.create_scalar_function("group_of", 1, flags, |context| Ok(context.get::<i64>(0)? / GROUP_CHANNELS))?;
    let fields = |names: &[&str], first: usize| {
        let field = |(index, name): (usize, &&str)| {
            let value = format!("unpacked(p.id, p.bytes, s.value, {})", first + index);
            match *name {
                "value" => format!("{value} AS value"),
                "flow" | "g1" | "g2" | "g3" | "g4" => format!("CAST({value} AS REAL) AS {name}"),
                integer => format!("CAST({value} AS INTEGER) AS {integer}"),
            }
        };
        names.iter().enumerate().map(field).collect::<Vec<_>>().join(", ")
    };
    let plain = |names: &[&str]| names.join(", ").replace("value", "+value");
    let views = include_str!("history_views.sql")
        .replace("{reading_row}", &plain(&chunk::READING))
        .replace("{interval_row}", &plain(&chunk::INTERVAL))
        .replace("{reading}", &fields(&chunk::READING, 0))
        .replace("{interval}", &fields(&chunk::INTERVAL, chunk::READING.len()));
    connection.execute_batch(&views)?;
    let mut texts =
        connection.prepare("SELECT sql FROM main.sqlite_schema WHERE type = 'view' AND name NOT LIKE 'every\\_%' ESCAPE '\\'")?;
    let texts = texts.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
    for text in texts {
        connection.execute_batch(&text.replacen("CREATE VIEW", "CREATE TEMP VIEW", 1))?;
    }
    Ok(())
}

/// `unpacked(id, bytes, row, field)`: one value of a chunk.
fn unpacked(context: &Context, open: &mut Vec<(i64, Chunk)>) -> Result<Cell, rusqlite::Error> {
    let failed = |cause: &str| rusqlite::Error::UserFunctionError(cause.into());
    let (id, row, field): (i64, u32, u32) = (context.get(0)?, context.get(2)?, context.get(3)?);
    let place = if let Some(place) = open.iter().position(|(known, _)| *known == id) {
        place
    } else {
        let bytes = context.get_raw(1).as_blob().map_err(|_| failed("a chunk is no blob; check the disk"))?;
        let chunk = Chunk::from_bytes(bytes)
            .ok_or_else(|| failed("a chunk of packed_row cannot be read; check the disk, or go back to a backup"))?;
        if open.len() == OPEN_CHUNKS {
            open.remove(0);
        }
        open.push((id, chunk));
        open.len() - 1
    };
    let chunk = &open[place].1;
    let column = chunk.readings.iter().chain(&chunk.intervals).nth(field as usize);
    column.and_then(|column| column.get(row as usize)).copied().ok_or_else(|| failed("a chunk has not so many rows or fields"))
}
