//! What `InfluxDB` has not got yet: how it comes out.
//!
//! The sender has a connection of its own, and strikes off what the server has. Invariant: what is delivered twice is the same point, and what a correction
//! or a dead letter stands for is read from the ledger when it is sent, so that nothing older goes out after something newer.

use std::collections::BTreeSet;
use std::path::Path;

use influxdb_line_protocol::parse_lines;
use rusqlite::{Connection, OptionalExtension, params};

use super::{BUSY_MS, FILE_NAME, StoreError, meta_text, outbox, series, unpacked};
use crate::domain::units::Millis;
use crate::lines::Lines;

/// Refused portions kept; beyond, the oldest go.
const LETTERS_MAX: i64 = 10_000;
/// History is read in windows of this length, each whole.
const HISTORY_WINDOW_MS: i64 = 900_000;
/// Stamps below (2001 by the wall clock) are mere numbers, of changes made beside a collector and of ledgers of earlier versions.
const DATED_FROM_MS: i64 = 1_000_000_000_000;

/// What was taken out of the outbox, to be struck off after delivery.
#[derive(Debug, Default)]
pub struct Portion {
    pub lines: Lines,
    last_row: Option<i64>,
    hours: Vec<(i64, i64, i64, i64)>,
    readings: Vec<(i64, String, i64)>,
    filled: Option<Filled>,
    /// The last dead letter of those that go once more.
    letter: Option<i64>,
}

/// How far history has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Filled {
    next: i64,
    complete: bool,
}

impl Portion {
    /// Whether there was nothing to take. (A portion without lines may still have something to strike off.)
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.last_row.is_none() && self.hours.is_empty() && self.readings.is_empty() && self.filled.is_none() && self.letter.is_none()
    }
}

/// What waits, for people and metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Points as they were committed.
    pub lines: i64,
    /// Changed hours of entities, and late readings.
    pub keys: i64,
    /// Whether history is still being read.
    pub filling: bool,
    /// The wall clock when the oldest of all these was put in.
    pub oldest: Option<Millis>,
}

/// The sender's connection.
#[derive(Debug)]
pub struct Outbox {
    connection: Connection,
    zone: String,
}

impl Outbox {
    /// Opens the outbox of a folder whose collector is running in this process.
    pub fn open(folder: &Path) -> Result<Outbox, StoreError> {
        let connection = Connection::open(folder.join(FILE_NAME))?;
        connection.busy_timeout(std::time::Duration::from_millis(BUSY_MS))?;
        unpacked::equip(&connection)?;
        // What is struck off and lost in a crash is delivered once more, so it need not wait for the disk.
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        let zone = meta_text(&connection, "zone")?.unwrap_or_default();
        Ok(Outbox { connection, zone })
    }

    /// The next portion of about `lines_max` lines: what was committed, then corrections, then dead letters that go once more, then history.
    pub fn next(&self, lines_max: u32) -> Result<Portion, StoreError> {
        let mut portion = Portion::default();
        self.take_rows(&mut portion, lines_max)?;
        self.take_readings(&mut portion, lines_max)?;
        self.take_hours(&mut portion, lines_max)?;
        self.take_letters(&mut portion, lines_max)?;
        if portion.lines.count < lines_max {
            self.take_history(&mut portion, lines_max)?;
        }
        Ok(portion)
    }

    /// Strikes off a portion that was delivered or buried.
    pub fn done(&mut self, portion: &Portion) -> Result<(), StoreError> {
        let transaction = self.connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        if let Some(last) = portion.last_row {
            transaction.prepare_cached("DELETE FROM outbox_row WHERE id <= ?1")?.execute([last])?;
        }
        let sql = "DELETE FROM outbox_key WHERE ts = ?1 AND entity = ?2 AND carrier = ?3 AND stamp = ?4";
        let mut hour = transaction.prepare_cached(sql)?;
        for (ts, entity, carrier, stamp) in &portion.hours {
            hour.execute([ts, entity, carrier, stamp])?;
        }
        let mut reading = transaction.prepare_cached("DELETE FROM outbox_reading WHERE ts = ?1 AND meter = ?2 AND stamp = ?3")?;
        for (ts, meter, stamp) in &portion.readings {
            reading.execute(params![ts, meter, stamp])?;
        }
        match portion.filled {
            Some(Filled { complete: true, .. }) => {
                transaction.execute("DELETE FROM meta WHERE key IN ('outbox_fill_next', 'outbox_fill_until', 'outbox_fill_since')", [])?;
            }
            Some(Filled { next, complete: false }) => {
                transaction.execute("INSERT OR REPLACE INTO meta VALUES ('outbox_fill_next', ?1)", [next])?;
            }
            None => {}
        }
        if let Some(letter) = portion.letter {
            transaction.execute("DELETE FROM outbox_letter WHERE id <= ?1", [letter])?;
            transaction.execute("DELETE FROM meta WHERE key = 'outbox_resend' AND value <= ?1", [letter])?;
        }
        drop((hour, reading));
        Ok(transaction.commit()?)
    }

    /// Keeps what the server refused, with its answer.
    pub fn bury(&mut self, at: Millis, status: u16, detail: &str, lines: &Lines) -> Result<(), StoreError> {
        let transaction = self.connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let sql = "INSERT INTO outbox_letter (at, status, detail, lines, body) VALUES (?1, ?2, ?3, ?4, ?5)";
        transaction.execute(sql, params![at.0, status, detail, lines.count, lz4_flex::compress_prepend_size(&lines.text)])?;
        transaction.execute("DELETE FROM outbox_letter WHERE id <= (SELECT MAX(id) FROM outbox_letter) - ?1", [LETTERS_MAX])?;
        Ok(transaction.commit()?)
    }

    pub fn backlog(&self) -> Result<Backlog, StoreError> {
        let sql = "SELECT (SELECT COALESCE(SUM(lines), 0) FROM outbox_row), (SELECT COUNT(*) FROM outbox_key) + (SELECT COUNT(*) FROM outbox_reading), \
                   EXISTS (SELECT 1 FROM meta WHERE key = 'outbox_fill_next'), (SELECT MIN(at) FROM (SELECT MIN(at) AS at FROM outbox_row \
                   UNION ALL SELECT MIN(stamp) FROM outbox_key WHERE stamp >= ?1 UNION ALL SELECT MIN(stamp) FROM outbox_reading WHERE stamp >= ?1 \
                   UNION ALL SELECT value FROM meta WHERE key = 'outbox_fill_since'))";
        let row = |row: &rusqlite::Row| {
            let oldest = row.get::<_, Option<i64>>(3)?.map(Millis);
            Ok(Backlog { lines: row.get(0)?, keys: row.get(1)?, filling: row.get(2)?, oldest })
        };
        Ok(self.connection.prepare_cached(sql)?.query_row([DATED_FROM_MS], row)?)
    }

    fn take_rows(&self, portion: &mut Portion, lines_max: u32) -> Result<(), StoreError> {
        let mut statement = self.connection.prepare_cached("SELECT id, lines, body FROM outbox_row ORDER BY id")?;
        let mut rows = statement.query([])?;
        while portion.lines.count < lines_max
            && let Some(row) = rows.next()?
        {
            portion.last_row = Some(row.get(0)?);
            portion.lines.append(&Lines { text: unpacked_text(row, 2)?, count: row.get(1)? });
        }
        Ok(())
    }

    /// Readings that may share their key with an earlier one: what the ledger holds now is sent.
    fn take_readings(&self, portion: &mut Portion, lines_max: u32) -> Result<(), StoreError> {
        let room = lines_max.saturating_sub(portion.lines.count);
        let mut keys = self.connection.prepare_cached("SELECT ts, meter, stamp FROM outbox_reading LIMIT ?1")?;
        let mut rows = keys.query([room])?;
        while let Some(row) = rows.next()? {
            let (ts, meter, stamp): (i64, String, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            self.write_newest(&meter, Millis(ts), &mut portion.lines)?;
            portion.readings.push((ts, meter, stamp));
        }
        Ok(())
    }

    /// A meter's values of a moment, as the ledger holds them now.
    fn write_newest(&self, meter: &str, at: Millis, lines: &mut Lines) -> Result<(), StoreError> {
        let sql = "SELECT item, value FROM value_in_block WHERE ts = ?1 AND meter = ?2 AND block = block_of(?1)";
        let mut items = self.connection.prepare_cached(sql)?;
        let values = items.query_map(params![at.0, meter], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Option<f64>>(1)?)))?;
        let values = values.collect::<Result<Vec<_>, _>>()?;
        let fields: Vec<(&str, f64)> = values.iter().filter_map(|(item, value)| Some((&**item, (*value)?))).collect();
        lines.reading(&self.zone, meter, &fields, at);
        Ok(())
    }

    fn take_hours(&self, portion: &mut Portion, lines_max: u32) -> Result<(), StoreError> {
        let room = lines_max.saturating_sub(portion.lines.count) / series::LINES_PER_KEY;
        let sql = "SELECT k.ts, k.entity, k.carrier, k.stamp, e.entity, c.carrier, e.id IN (SELECT id FROM part_entity) FROM outbox_key k \
                   JOIN entity_row e ON e.id = k.entity JOIN carrier_row c ON c.id = k.carrier LIMIT ?1";
        let mut keys = self.connection.prepare_cached(sql)?;
        let mut rows = keys.query([room])?;
        while let Some(row) = rows.next()? {
            let (entity, carrier): (String, String) = (row.get(4)?, row.get(5)?);
            let key = series::Key { zone: &self.zone, at: Millis(row.get(0)?), entity: &entity, is_part: row.get(6)?, carrier: &carrier };
            self.write_hour(&key, &mut portion.lines)?;
            portion.hours.push((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
        }
        Ok(())
    }

    fn write_hour(&self, key: &series::Key, lines: &mut Lines) -> Result<(), StoreError> {
        series::BY_HOUR.iter().try_for_each(|series| series.write(&self.connection, key, lines))
    }

    /// Dead letters that somebody wants to be sent once more.
    fn take_letters(&self, portion: &mut Portion, lines_max: u32) -> Result<(), StoreError> {
        let sql = "SELECT value FROM meta WHERE key = 'outbox_resend'";
        let until: Option<i64> = self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0)).optional()?;
        let Some(until) = until else { return Ok(()) };
        let mut statement = self.connection.prepare_cached("SELECT id, body FROM outbox_letter WHERE id <= ?1 ORDER BY id")?;
        let mut rows = statement.query([until])?;
        while portion.lines.count < lines_max {
            let Some(row) = rows.next()? else {
                portion.letter = Some(until);
                break;
            };
            self.write_letter(&String::from_utf8_lossy(&unpacked_text(row, 1)?), &mut portion.lines)?;
            portion.letter = Some(row.get(0)?);
        }
        Ok(())
    }

    /// What the ledger holds now of what a letter tells; an alert, and what the ledger no longer has, goes as it was.
    fn write_letter(&self, text: &str, lines: &mut Lines) -> Result<(), StoreError> {
        let mut hours = BTreeSet::new();
        for line in text.lines() {
            let before = lines.count;
            if let Some(Ok(point)) = parse_lines(line).next() {
                let tag = |name| point.tag_value(name).map_or("", |value| value.as_str());
                let at = Millis(point.timestamp.unwrap_or_default());
                match point.series.measurement.as_str() {
                    "reading" => self.write_newest(tag("meter"), at, lines)?,
                    "command" => {
                        let mut statement = self.connection.prepare_cached(&outbox::commands("asset = ?1 AND ts = ?2"))?;
                        let mut rows = statement.query(params![tag("asset"), at.0])?;
                        while let Some(row) = rows.next()? {
                            outbox::write_command(row, lines)?;
                        }
                    }
                    "alert" => {}
                    by_hour => {
                        hours.insert((at, tag("entity").to_owned(), tag("carrier").to_owned(), by_hour.ends_with("_part")));
                        continue;
                    }
                }
            }
            if lines.count == before {
                lines.append(&Lines { text: format!("{line}\n").into_bytes(), count: 1 });
            }
        }
        for (at, entity, carrier, is_part) in &hours {
            self.write_hour(&series::Key { zone: &self.zone, at: *at, entity, is_part: *is_part, carrier }, lines)?;
        }
        Ok(())
    }

    /// Readings from before the outbox was turned on, a window of time after the other.
    fn take_history(&self, portion: &mut Portion, lines_max: u32) -> Result<(), StoreError> {
        let bounds = "SELECT n.value, u.value FROM meta n JOIN meta u ON u.key = 'outbox_fill_until' WHERE n.key = 'outbox_fill_next'";
        let bounds: Option<(i64, i64)> = self.connection.query_row(bounds, [], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        let Some((mut next, until)) = bounds else { return Ok(()) };
        let sql = "SELECT MIN(ts) FROM (SELECT MIN(ts) AS ts FROM reading_row WHERE ts >= ?1 AND ts <= ?2 \
                   UNION ALL SELECT ts FROM packed_reading WHERE ts >= ?1 AND ts <= ?2 AND block IN (block_of(?1), \
                   (SELECT MIN(day) FROM packed_row WHERE day > block_of(?1) AND readings > 0)))";
        let mut first = self.connection.prepare_cached(sql)?;
        while portion.lines.count < lines_max {
            let Some(from) = first.query_row([next, until], |row| row.get::<_, Option<i64>>(0))? else {
                portion.filled = Some(Filled { next, complete: true });
                return Ok(());
            };
            next = from.saturating_add(HISTORY_WINDOW_MS);
            self.take_window(&mut portion.lines, from, next.min(until.saturating_add(1)))?;
            portion.filled = Some(Filled { next, complete: false });
        }
        Ok(())
    }

    /// All readings from a moment to another, the later one exclusive.
    fn take_window(&self, lines: &mut Lines, from: i64, before: i64) -> Result<(), StoreError> {
        let sql = "SELECT ts, meter, item, value FROM value_in_block WHERE ts >= ?1 AND ts < ?2 \
                   AND block BETWEEN block_of(?1) AND block_of(?2) ORDER BY ts, meter";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query([from, before])?;
        let mut open: Option<(i64, String)> = None;
        let mut values: Vec<(String, f64)> = Vec::new();
        while let Some(row) = rows.next()? {
            let (ts, meter): (i64, String) = (row.get(0)?, row.get(1)?);
            if open.as_ref().is_some_and(|(at, of)| *at != ts || *of != meter) {
                write_reading(&self.zone, open.take(), &mut values, lines);
            }
            if let Some(value) = row.get::<_, Option<f64>>(3)? {
                values.push((row.get(2)?, value));
            }
            open = Some((ts, meter));
        }
        write_reading(&self.zone, open, &mut values, lines);
        Ok(())
    }
}

/// The lines in a column of compressed text.
fn unpacked_text(row: &rusqlite::Row, column: usize) -> Result<Vec<u8>, StoreError> {
    let body = row.get_ref(column)?.as_blob().map_err(rusqlite::Error::from)?;
    lz4_flex::decompress_size_prepended(body).map_err(|cause| StoreError::Outbox { cause: cause.to_string() })
}

fn write_reading(zone: &str, open: Option<(i64, String)>, values: &mut Vec<(String, f64)>, lines: &mut Lines) {
    if let Some((ts, meter)) = open {
        let fields: Vec<(&str, f64)> = values.iter().map(|(item, value)| (&**item, *value)).collect();
        lines.reading(zone, &meter, &fields, Millis(ts));
    }
    values.clear();
}
