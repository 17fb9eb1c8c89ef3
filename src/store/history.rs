//! History in little space: rows of past days move into chunks, and back when something late changes them.
//!
//! Invariants: of a channel's day either all rows are in `packed_row` or none is, and a row that is unpacked is the row that was packed. One transaction
//! moves a slice. Readers go by the views `every_reading` and `every_interval`.

use std::collections::BTreeSet;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params, params_from_iter};

use super::batch::Batch;
use super::chunk::{self, Cell, Chunk, Columns, TS};
use super::{Store, StoreError};
use crate::domain::units::{DAY_MS, MINUTE_MS, Millis};

/// What is younger than this, by the engine's clock and beside the newest reading, stays as rows: there late readings, and imported history, come in.
const ROWS_KEPT_MS: i64 = DAY_MS;
/// Readings and intervals that one slice packs, about: as long as a large commit.
const SLICE_ROWS: usize = 8_192;
/// Rows that may be packed for each reading that was written, which makes two: more is packed than comes in, so that a backlog goes.
const ROWS_PER_READING: usize = 4;
/// Moments of a day that are sought one by one; with more of them a slice reads its day from end to end.
const MOMENTS_MAX: usize = 4_096;
/// Rows of such a day: each slice reads them all, so a day with more of them stays as it is.
const WHOLE_DAY_ROWS_MAX: i64 = 262_144;
/// Numbers of channels that a piece looks through, at most.
const WIDTH_MAX: i64 = 65_536;
/// Rows of a chunk for which there is room at once.
const ROOM_MAX: usize = 128;

/// Tables, and their columns in a chunk.
const TABLES: [(&str, &[&str]); 2] = [("reading_row", &chunk::READING), ("interval_row", &chunk::INTERVAL)];

/// A channel and a day.
type Key = (u32, i64);

/// What a slice did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Packed {
    pub readings: usize,
    pub intervals: usize,
    /// The begin of a UTC day that stays as it is: it has too many rows of too many moments.
    pub left: Option<Millis>,
}

impl Packed {
    #[must_use]
    pub fn rows(self) -> usize {
        self.readings + self.intervals
    }

    fn add(&mut self, more: Packed) {
        self.readings += more.readings;
        self.intervals += more.intervals;
        self.left = self.left.or(more.left);
    }
}

/// How far packing is.
#[derive(Debug)]
pub(super) struct Packing {
    /// The last day of which something is packed.
    until: i64,
    /// Rows that may be packed for what was written.
    due: usize,
    /// The day at work; nothing was written to it since it was begun.
    day: Option<Day>,
    /// Days that stay as they are.
    left: BTreeSet<i64>,
}

#[derive(Debug)]
struct Day {
    number: i64,
    /// Of each table, where its rows lie: moments, first and last of a stretch.
    stretches: [Vec<[i64; 2]>; 2],
    /// Channels from this one on are to do, so many numbers of them at a time.
    channel: i64,
    width: i64,
}

impl Packing {
    pub(super) fn of(connection: &Connection) -> Result<Packing, StoreError> {
        let until: Option<i64> = connection.query_row("SELECT MAX(day) FROM packed_moment", [], |row| row.get(0))?;
        Ok(Packing { until: until.unwrap_or(i64::MIN), due: 0, day: None, left: BTreeSet::new() })
    }

    pub(super) fn wrote(&mut self, readings: usize) {
        self.due += readings * ROWS_PER_READING;
    }
}

impl Store {
    /// Packs slices for the readings that were written, while there is something to pack.
    pub fn keep_packed(&mut self, now: Millis) -> Result<Packed, StoreError> {
        let mut packed = Packed::default();
        while SLICE_ROWS <= self.packing.due {
            let slice = self.pack(now)?;
            self.packing.due = if slice == Packed::default() { 0 } else { self.packing.due - SLICE_ROWS };
            packed.add(slice);
        }
        Ok(packed)
    }

    /// Packs a slice of the oldest days, if they are old enough by the engine's clock. Nothing packed: there is none.
    pub fn pack(&mut self, now: Millis) -> Result<Packed, StoreError> {
        let mut packed = Packed::default();
        if ripe(&self.connection, &self.packing.left, now)?.is_none() {
            return Ok(packed);
        }
        let transaction = self.connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        while packed.rows() < SLICE_ROWS / 2
            && packed.left.is_none()
            && let Some(day) = ripe(&transaction, &self.packing.left, now)?
        {
            packed.add(pack_piece(&transaction, &mut self.packing, day)?);
        }
        transaction.commit()?;
        Ok(packed)
    }
}

/// The day of the oldest row that can be packed, if it is over for good.
fn ripe(connection: &Connection, left: &BTreeSet<i64>, now: Millis) -> Result<Option<i64>, StoreError> {
    let range = "SELECT MIN(ts), (SELECT MAX(ts) FROM reading_row) FROM (SELECT MIN(ts) AS ts FROM reading_row WHERE ts >= ?1 \
                 UNION ALL SELECT MIN(ts) FROM interval_row WHERE ts >= ?1)";
    let mut range = connection.prepare_cached(range)?;
    let mut from = i64::MIN;
    loop {
        let (oldest, newest): (Option<i64>, Option<i64>) = range.query_row([from], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let (Some(oldest), Some(newest)) = (oldest, newest) else { return Ok(None) };
        let day = oldest.div_euclid(DAY_MS);
        from = (day + 1) * DAY_MS;
        if !left.contains(&day) {
            return Ok((from + ROWS_KEPT_MS <= now.0.min(newest)).then_some(day));
        }
    }
}

/// Packs the next channels of a day.
fn pack_piece(transaction: &Transaction, packing: &mut Packing, day: i64) -> Result<Packed, StoreError> {
    let work = match packing.day.take().filter(|work| work.number == day) {
        Some(work) => work,
        None => Day::begin(transaction, day)?,
    };
    if work.is_whole() && WHOLE_DAY_ROWS_MAX < rows_of(transaction, day)? {
        packing.left.insert(day);
        return Ok(Packed { left: Some(Millis(day * DAY_MS)), ..Packed::default() });
    }
    let end = work.channel + work.width;
    let mut chunks: Vec<Option<Chunk>> = (work.channel..end).map(|_| None).collect();
    let [readings, intervals] = work.stretches.each_ref().map(|stretches| stretches.len().min(ROOM_MAX));
    for (index, (table, names)) in TABLES.iter().enumerate() {
        let range = format!("FROM {table} WHERE (ts, channel) >= (?1, ?3) AND (ts, channel) < (?2, ?4) AND channel >= ?3 AND channel < ?4");
        let mut select = transaction.prepare_cached(&format!("SELECT channel, {} {range} ORDER BY ts, channel", names.join(", ")))?;
        let mut delete = transaction.prepare_cached(&format!("DELETE {range}"))?;
        for [first, last] in &work.stretches[index] {
            let range = [*first, *last, work.channel, end];
            let mut rows = select.query(range)?;
            let mut any = false;
            while let Some(row) = rows.next()? {
                let place = row.get::<_, i64>(0)? - work.channel;
                let chunk = chunks[place as usize].get_or_insert_with(|| Chunk::empty(readings, intervals));
                let columns = if index == 0 { &mut chunk.readings } else { &mut chunk.intervals };
                for (place, column) in columns.iter_mut().enumerate() {
                    column.push(cell(row, place + 1)?);
                }
                any = true;
            }
            drop(rows);
            if any {
                delete.execute(range)?;
            }
        }
    }
    let packed = insert(transaction, day, (work.channel..).zip(&chunks))?;
    packing.until = packing.until.max(day);
    let channels: i64 = transaction.prepare_cached("SELECT COALESCE(MAX(id), 0) + 1 FROM channel_row")?.query_row([], |row| row.get(0))?;
    let width = match packed.rows() {
        few if few * 2 <= SLICE_ROWS => (work.width * 2).min(WIDTH_MAX),
        many if SLICE_ROWS < many => (work.width / 2).max(1),
        _ => work.width,
    };
    // Behind the last channel the day is done; what was left out of it, a new look finds.
    packing.day = (end < channels).then_some(Day { channel: end, width, ..work });
    Ok(packed)
}

impl Day {
    fn begin(transaction: &Transaction, day: i64) -> Result<Day, StoreError> {
        let stretches = [stretches(transaction, "reading_row", day)?, stretches(transaction, "interval_row", day)?];
        let moments: usize = stretches.iter().map(Vec::len).sum();
        // As if each channel had a row of each moment; of a day as a whole nobody knows.
        let width = i64::try_from(SLICE_ROWS / moments.max(1)).map_or(WIDTH_MAX, |width| width.clamp(1, WIDTH_MAX));
        let day = Day { number: day, stretches, channel: 0, width };
        Ok(if day.is_whole() { Day { width: 1, ..day } } else { day })
    }

    /// Whether a slice reads it from end to end.
    fn is_whole(&self) -> bool {
        self.stretches.iter().flatten().any(|[first, last]| first < last)
    }
}

fn rows_of(transaction: &Transaction, day: i64) -> Result<i64, StoreError> {
    let sql = "SELECT (SELECT COUNT(*) FROM reading_row WHERE ts >= ?1 AND ts < ?2) + (SELECT COUNT(*) FROM interval_row WHERE ts >= ?1 AND ts < ?2)";
    Ok(transaction.prepare_cached(sql)?.query_row([day * DAY_MS, (day + 1) * DAY_MS], |row| row.get(0))?)
}

/// Where a day's rows lie: the moments that have some, or the whole day if they are many.
fn stretches(transaction: &Transaction, table: &str, day: i64) -> Result<Vec<[i64; 2]>, StoreError> {
    let (from, before) = (day * DAY_MS, (day + 1) * DAY_MS);
    let mut next = transaction.prepare_cached(&format!("SELECT MIN(ts) FROM {table} WHERE ts >= ?1 AND ts < ?2"))?;
    let mut moments = Vec::new();
    let mut at = from;
    while let Some(moment) = next.query_row([at, before], |row| row.get::<_, Option<i64>>(0))? {
        if moments.len() == MOMENTS_MAX {
            return Ok(vec![[from, before - 1]]);
        }
        moments.push([moment, moment]);
        at = moment + 1;
    }
    Ok(moments)
}

fn insert<'a>(transaction: &Transaction, day: i64, chunks: impl Iterator<Item = (i64, &'a Option<Chunk>)>) -> Result<Packed, StoreError> {
    let mut packed = Packed::default();
    // The day's first one says that something of the day is packed.
    let mut moments = BTreeSet::from([day * DAY_MS]);
    let mut insert = transaction
        .prepare_cached("INSERT INTO packed_row (channel, day, readings, intervals, uneven, bytes) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
    for (channel, chunk) in chunks {
        let Some(chunk) = chunk else { continue };
        let [readings, intervals] = [&chunk.readings[TS], &chunk.intervals[TS]];
        let uneven = readings.iter().any(|ts| moment(*ts) % MINUTE_MS != 0);
        moments.extend(readings.iter().filter(|_| !uneven).chain(intervals).map(|ts| moment(*ts)));
        insert.execute(params![channel, day, readings.len() as u32, intervals.len() as u32, uneven, chunk.to_bytes()])?;
        packed.add(Packed { readings: readings.len(), intervals: intervals.len(), left: None });
    }
    let mut known = transaction.prepare_cached("INSERT OR IGNORE INTO packed_moment VALUES (?1, ?2)")?;
    for moment in moments {
        known.execute([day, moment])?;
    }
    Ok(packed)
}

fn moment(ts: Cell) -> i64 {
    if let Cell::Integer(ts) = ts { ts } else { 0 }
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

/// Makes rows again of the chunks that a batch has something to add to.
pub(super) fn thaw_for(transaction: &Transaction, batch: &Batch, packing: &mut Packing) -> Result<(), StoreError> {
    let at_work = packing.day.as_ref().map(|work| work.number);
    let last = packing.until.max(at_work.unwrap_or(i64::MIN));
    let mut keys: BTreeSet<Key> = BTreeSet::new();
    let mut touch = |at: Millis, channel: u32| {
        let day = at.0.div_euclid(DAY_MS);
        if day <= last {
            keys.insert((channel, day));
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
        if mark.at.0.div_euclid(DAY_MS) <= last {
            for guest in guests.query_map([channel.0], |row| row.get::<_, u32>(0))? {
                touch(mark.at, guest?);
            }
        }
    }
    if keys.iter().any(|(_, day)| Some(*day) == at_work) {
        packing.day = None;
    }
    keys.into_iter().try_for_each(|key| thaw(transaction, key))
}

fn thaw(transaction: &Transaction, (channel, day): Key) -> Result<(), StoreError> {
    let mut take = transaction.prepare_cached("DELETE FROM packed_row WHERE channel = ?1 AND day = ?2 RETURNING bytes")?;
    let bytes: Option<Vec<u8>> = take.query_row(params![channel, day], |row| row.get(0)).optional()?;
    let Some(bytes) = bytes else { return Ok(()) };
    let chunk = Chunk::from_bytes(&bytes).ok_or(StoreError::Chunk { channel, day })?;
    put_back(transaction, channel, &TABLES[0], &chunk.readings)?;
    put_back(transaction, channel, &TABLES[1], &chunk.intervals)
}

fn put_back(transaction: &Transaction, channel: u32, (table, names): &(&str, &[&str]), columns: &Columns) -> Result<(), StoreError> {
    let marks = ", ?".repeat(names.len());
    let mut insert = transaction.prepare_cached(&format!("INSERT INTO {table} (channel, {}) VALUES (?{marks})", names.join(", ")))?;
    for row in 0..columns[TS].len() {
        let own = Cell::Integer(i64::from(channel));
        insert.execute(params_from_iter(std::iter::once(own).chain(columns.iter().map(|column| column[row]))))?;
    }
    Ok(())
}
