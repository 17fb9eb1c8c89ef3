//! What `InfluxDB` has not got yet.
//!
//! The engine's commits put it in, in their own transaction; the sender takes it out over a connection of its own and strikes it off once the server has
//! it. Nothing is kept while no outbox is configured. Invariant: what was committed since the outbox was turned on, and what was there before, stays here
//! until it is delivered or buried with the server's answer; what is delivered twice is the same line.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::batch::Batch;
use super::{BUSY_MS, FILE_NAME, Store, StoreError, meta_text, series, unpacked};
use crate::domain::calendar::LocalCalendar;
use crate::domain::units::Millis;
use crate::lines::{Field, Lines};

/// Refused portions kept; beyond, the oldest go.
const LETTERS_MAX: i64 = 10_000;
/// History is read in windows of this length, each whole.
const HISTORY_WINDOW_MS: i64 = 900_000;

/// What the commits of a store write for the outbox: nothing, or under which stamp.
#[derive(Debug)]
pub(super) struct Feed {
    stamp: i64,
}

/// Opens the feed of a store in which the outbox was left on.
pub(super) fn feed(connection: &Connection) -> Result<Option<Feed>, StoreError> {
    if meta_text(connection, "outbox_target")?.is_none() {
        return Ok(None);
    }
    let stamps = "SELECT MAX((SELECT COALESCE(MAX(stamp), 0) FROM outbox_key), (SELECT COALESCE(MAX(stamp), 0) FROM outbox_reading))";
    Ok(Some(Feed { stamp: connection.query_row(stamps, [], |row| row.get(0))? }))
}

impl Feed {
    /// Keeps what a batch changes. Has to run before the batch's hours are used up.
    pub(super) fn keep(&mut self, transaction: &Transaction, batch: &mut Batch, calendar: &mut LocalCalendar) -> Result<(), StoreError> {
        keep_lines(transaction, batch.wall, &batch.lines)?;
        self.keep_hours(transaction, batch, calendar)?;
        let mut late = transaction.prepare_cached("INSERT OR REPLACE INTO outbox_reading VALUES (?1, ?2, ?3)")?;
        for (at, meter) in &batch.late {
            late.execute(params![at.0, meter, self.stamp])?;
        }
        Ok(())
    }

    /// The hours that a batch changes, before they are used up.
    pub(super) fn keep_hours(&mut self, transaction: &Transaction, batch: &Batch, calendar: &mut LocalCalendar) -> Result<(), StoreError> {
        self.stamp += 1;
        let mut hour = transaction.prepare_cached("INSERT OR REPLACE INTO outbox_key VALUES (?1, ?2, ?3, ?4)")?;
        // Parts of an hour come to the same key.
        for (part, entity, book) in batch.hours.keys() {
            hour.execute(params![calendar.hour(*part).start.0, entity.0, *book as u8, self.stamp])?;
        }
        Ok(())
    }

    /// Hours whose savings changed: baseline and start.
    pub(super) fn keep_savings(&mut self, transaction: &Transaction, hours: impl Iterator<Item = (i64, Millis)>) -> Result<(), StoreError> {
        self.stamp += 1;
        let sql = "INSERT OR REPLACE INTO outbox_key SELECT ?2, entity, carrier, ?3 FROM baseline_row WHERE id = ?1";
        let mut hour = transaction.prepare_cached(sql)?;
        for (baseline, at) in hours {
            hour.execute(params![baseline, at.0, self.stamp])?;
        }
        Ok(())
    }

    /// All hours there are: before the roll-ups are made anew, and after.
    pub(super) fn keep_all_hours(&mut self, transaction: &Transaction) -> Result<(), StoreError> {
        self.stamp += 1;
        all_hours(transaction, self.stamp)
    }
}

/// Puts in the predicted hours of an entity's carrier in a span, for what is changed beside a collector: while an outbox is on. `change` numbers the
/// changes; below zero it is no collector's stamp.
pub(super) fn keep_savings_of(
    ledger: &Connection,
    (entity, carrier): (i64, i64),
    (from, to): (Millis, Millis),
    change: i64,
) -> Result<(), StoreError> {
    let sql = "INSERT OR REPLACE INTO outbox_key SELECT p.ts, b.entity, b.carrier, ?5 FROM baseline_row b JOIN saving_row p ON p.baseline = b.id \
               WHERE b.entity = ?1 AND b.carrier = ?2 AND p.ts >= ?3 AND p.ts < ?4 AND EXISTS (SELECT 1 FROM meta WHERE key = 'outbox_target')";
    ledger.execute(sql, params![entity, carrier, from.0, to.0, -change])?;
    Ok(())
}

fn all_hours(transaction: &Transaction, stamp: i64) -> Result<(), StoreError> {
    let sql = "INSERT OR REPLACE INTO outbox_key SELECT ts, entity, carrier, ?1 FROM rollup_row WHERE level = 1";
    transaction.execute(sql, [stamp])?;
    Ok(())
}

fn keep_lines(transaction: &Transaction, at: Millis, lines: &Lines) -> Result<(), StoreError> {
    if lines.is_empty() {
        return Ok(());
    }
    let body = lz4_flex::compress_prepend_size(&lines.text);
    let mut insert = transaction.prepare_cached("INSERT INTO outbox_row (at, lines, body) VALUES (?1, ?2, ?3)")?;
    insert.execute(params![at.0, lines.count, body])?;
    Ok(())
}

impl Store {
    /// Turns the outbox on for a target (address, organisation and bucket), or off. A target that the last collector did not have gets the whole ledger,
    /// history included, so that what it holds does not depend on when it was turned on.
    pub fn set_outbox(&mut self, target: Option<&str>, now: Millis) -> Result<(), StoreError> {
        if meta_text(&self.connection, "outbox_target")?.as_deref() == target {
            return Ok(());
        }
        let transaction = self.connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        transaction.execute_batch(
            "DELETE FROM outbox_row; DELETE FROM outbox_key; DELETE FROM outbox_reading; \
             DELETE FROM meta WHERE key IN ('outbox_target', 'outbox_fill_next', 'outbox_fill_until');",
        )?;
        if let Some(target) = target {
            transaction.execute("INSERT INTO meta VALUES ('outbox_target', ?1)", [target])?;
            transaction.execute(
                "INSERT INTO meta SELECT 'outbox_fill_next', first FROM reading_range WHERE first IS NOT NULL \
                 UNION ALL SELECT 'outbox_fill_until', last FROM reading_range WHERE last IS NOT NULL",
                [],
            )?;
            all_hours(&transaction, 0)?;
            keep_lines(&transaction, now, &all_alerts(&transaction)?)?;
        }
        transaction.commit()?;
        self.feed = feed(&self.connection)?;
        Ok(())
    }

    /// Whether commits write for the outbox.
    #[must_use]
    pub fn feeds_outbox(&self) -> bool {
        self.feed.is_some()
    }
}

/// Each change of the alerts so far. What an alert stood at when it cleared is not kept.
fn all_alerts(transaction: &Transaction) -> Result<Lines, StoreError> {
    let sql =
        "SELECT (SELECT value FROM meta WHERE key = 'zone'), rule, subject, severity, raised, cleared, value, \"limit\" FROM alert_row";
    let mut lines = Lines::default();
    let mut statement = transaction.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let texts: [String; 4] = [row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?];
        let tags = [("zone", &*texts[0]), ("rule", &*texts[1]), ("subject", &*texts[2]), ("severity", &*texts[3])];
        let [value, limit] = [Field::Number(row.get(6)?), Field::Number(row.get(7)?)];
        let raised = [("state", Field::Text("firing")), ("value", value), ("limit", limit)];
        lines.point("alert", &tags, &raised, Millis(row.get(4)?));
        if let Some(cleared) = row.get::<_, Option<i64>>(5)? {
            lines.point("alert", &tags, &[("state", Field::Text("cleared"))], Millis(cleared));
        }
    }
    Ok(lines)
}

/// What was taken out of the outbox, to be struck off after delivery.
#[derive(Debug, Default)]
pub struct Portion {
    pub lines: Lines,
    /// Commit time of its oldest point, on the wall clock; none if it holds only corrections or history.
    pub oldest: Option<Millis>,
    last_row: Option<i64>,
    hours: Vec<(i64, i64, i64, i64)>,
    readings: Vec<(i64, String, i64)>,
    filled: Option<Filled>,
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
        self.last_row.is_none() && self.hours.is_empty() && self.readings.is_empty() && self.filled.is_none()
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

    /// The next portion of about `lines_max` lines: what was committed, then corrections, then history.
    pub fn next(&self, lines_max: u32) -> Result<Portion, StoreError> {
        let mut portion = Portion::default();
        self.take_rows(&mut portion, lines_max)?;
        self.take_readings(&mut portion, lines_max)?;
        self.take_hours(&mut portion, lines_max)?;
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
                transaction.execute("DELETE FROM meta WHERE key IN ('outbox_fill_next', 'outbox_fill_until')", [])?;
            }
            Some(Filled { next, complete: false }) => {
                transaction.execute("INSERT OR REPLACE INTO meta VALUES ('outbox_fill_next', ?1)", [next])?;
            }
            None => {}
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

    /// When the oldest point that waits was committed.
    pub fn oldest(&self) -> Result<Option<Millis>, StoreError> {
        let sql = "SELECT at FROM outbox_row ORDER BY id LIMIT 1";
        Ok(self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0).map(Millis)).optional()?)
    }

    pub fn backlog(&self) -> Result<Backlog, StoreError> {
        let sql = "SELECT (SELECT COALESCE(SUM(lines), 0) FROM outbox_row), (SELECT COUNT(*) FROM outbox_key) + (SELECT COUNT(*) FROM outbox_reading), \
                   EXISTS (SELECT 1 FROM meta WHERE key = 'outbox_fill_next')";
        let row = |row: &rusqlite::Row| {
            Ok(Backlog { lines: row.get::<_, i64>(0)?, keys: row.get::<_, i64>(1)?, filling: row.get::<_, bool>(2)? })
        };
        Ok(self.connection.prepare_cached(sql)?.query_row([], row)?)
    }

    fn take_rows(&self, portion: &mut Portion, lines_max: u32) -> Result<(), StoreError> {
        let mut statement = self.connection.prepare_cached("SELECT id, at, lines, body FROM outbox_row ORDER BY id")?;
        let mut rows = statement.query([])?;
        while portion.lines.count < lines_max
            && let Some(row) = rows.next()?
        {
            let body = row.get_ref(3)?.as_blob().map_err(rusqlite::Error::from)?;
            let text = lz4_flex::decompress_size_prepended(body).map_err(|cause| StoreError::Outbox { cause: cause.to_string() })?;
            portion.oldest = portion.oldest.or(Some(Millis(row.get(1)?)));
            portion.last_row = Some(row.get(0)?);
            portion.lines.append(&Lines { text, count: row.get(2)? });
        }
        Ok(())
    }

    /// Readings that may share their key with an earlier one: what the ledger holds now is sent.
    fn take_readings(&self, portion: &mut Portion, lines_max: u32) -> Result<(), StoreError> {
        let room = lines_max.saturating_sub(portion.lines.count);
        let mut keys = self.connection.prepare_cached("SELECT ts, meter, stamp FROM outbox_reading LIMIT ?1")?;
        let mut items = self
            .connection
            .prepare_cached("SELECT item, value FROM value_in_block WHERE ts = ?1 AND meter = ?2 AND block = block_of(?1)")?;
        let mut rows = keys.query([room])?;
        while let Some(row) = rows.next()? {
            let (ts, meter, stamp): (i64, String, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let values = items.query_map(params![ts, meter], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Option<f64>>(1)?)))?;
            let values = values.collect::<Result<Vec<_>, _>>()?;
            let fields: Vec<(&str, f64)> = values.iter().filter_map(|(item, value)| Some((&**item, (*value)?))).collect();
            portion.lines.reading(&self.zone, &meter, &fields, Millis(ts));
            portion.readings.push((ts, meter, stamp));
        }
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
            for series in &series::BY_HOUR {
                series.write(&self.connection, &key, &mut portion.lines)?;
            }
            portion.hours.push((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
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

fn write_reading(zone: &str, open: Option<(i64, String)>, values: &mut Vec<(String, f64)>, lines: &mut Lines) {
    if let Some((ts, meter)) = open {
        let fields: Vec<(&str, f64)> = values.iter().map(|(item, value)| (&**item, *value)).collect();
        lines.reading(zone, &meter, &fields, Millis(ts));
    }
    values.clear();
}
