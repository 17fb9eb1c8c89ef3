//! What `InfluxDB` has not got yet: how it goes in.
//!
//! The engine's commits put it in, in their own transaction; the sender takes it out, see [`super::sending`]. Nothing is kept while no outbox is configured.
//! Invariant: what was committed since the outbox was turned on, and what was there before, stays here until it is delivered or buried with the server's
//! answer.

use rusqlite::{Connection, Transaction, params};

use super::batch::Batch;
use super::{Store, StoreError, meta_text};
use crate::domain::calendar::LocalCalendar;
use crate::domain::units::Millis;
use crate::lines::{Field, Lines};

/// Lines of one row of the past, at most two more.
const LINES_PER_ROW: u32 = 5_000;

/// What the commits of a store write for the outbox, and under which stamp: the wall clock in milliseconds, or one more than the last stamp where the clock
/// has not gone on. No two changes share one.
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
        self.stamp = batch.wall.0.max(self.stamp + 1);
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

    /// All hours there are, at `wall`: before the roll-ups are made anew, and after.
    pub(super) fn keep_all_hours(&mut self, transaction: &Transaction, wall: Millis) -> Result<(), StoreError> {
        self.stamp = wall.0.max(self.stamp + 1);
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
             DELETE FROM meta WHERE key IN ('outbox_target', 'outbox_fill_next', 'outbox_fill_until', 'outbox_fill_since');",
        )?;
        if let Some(target) = target {
            transaction.execute("INSERT INTO meta VALUES ('outbox_target', ?1)", [target])?;
            transaction.execute(
                "INSERT INTO meta SELECT 'outbox_fill_next', first FROM reading_range WHERE first IS NOT NULL \
                 UNION ALL SELECT 'outbox_fill_until', last FROM reading_range WHERE last IS NOT NULL",
                [],
            )?;
            transaction.execute(
                "INSERT INTO meta SELECT 'outbox_fill_since', ?1 WHERE EXISTS (SELECT 1 FROM meta WHERE key = 'outbox_fill_next')",
                [now.0],
            )?;
            all_hours(&transaction, now.0)?;
            keep_all_alerts(&transaction, now)?;
            keep_all_commands(&transaction, now)?;
        }
        transaction.commit()?;
        self.feed = feed(&self.connection)?;
        Ok(())
    }

    /// Has the dead letters that are there now sent once more: what the ledger holds by then of what they tell.
    pub fn resend_letters(&self) -> Result<(), StoreError> {
        let sql = "INSERT OR REPLACE INTO meta SELECT 'outbox_resend', MAX(id) FROM outbox_letter HAVING MAX(id) IS NOT NULL";
        self.connection.execute(sql, [])?;
        Ok(())
    }

    /// Whether commits write for the outbox.
    #[must_use]
    pub fn feeds_outbox(&self) -> bool {
        self.feed.is_some()
    }
}

/// Each change of the alerts so far. What an alert stood at when it cleared is not kept.
fn keep_all_alerts(transaction: &Transaction, now: Millis) -> Result<(), StoreError> {
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
        keep_full(transaction, now, &mut lines)?;
    }
    keep_lines(transaction, now, &lines)
}

/// Each command so far, as it stands.
fn keep_all_commands(transaction: &Transaction, now: Millis) -> Result<(), StoreError> {
    let mut lines = Lines::default();
    let mut statement = transaction.prepare(&commands("1"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        write_command(row, &mut lines)?;
        keep_full(transaction, now, &mut lines)?;
    }
    keep_lines(transaction, now, &lines)
}

/// Keeps lines that fill a row, so that a long past is never in memory at once.
fn keep_full(transaction: &Transaction, now: Millis, lines: &mut Lines) -> Result<(), StoreError> {
    if LINES_PER_ROW <= lines.count {
        keep_lines(transaction, now, lines)?;
        lines.clear();
    }
    Ok(())
}

/// `SELECT` of commands for [`write_command`].
pub(super) fn commands(which: &str) -> String {
    format!("SELECT zone, asset, action, outcome, value, ts FROM command WHERE {which}")
}

pub(super) fn write_command(row: &rusqlite::Row, lines: &mut Lines) -> Result<(), StoreError> {
    let texts: [String; 4] = [row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?];
    command_point(lines, (&texts[0], &texts[1]), (&texts[2], &texts[3], row.get(4)?), Millis(row.get(5)?));
    Ok(())
}

/// A command of an asset in a zone: action, outcome, and the set point where there is one.
pub fn command_point(lines: &mut Lines, (zone, asset): (&str, &str), (action, outcome, value): (&str, &str, Option<f64>), at: Millis) {
    let fields = [("action", Field::Text(action)), ("outcome", Field::Text(outcome))];
    let value = value.map(|value| ("value", Field::Number(value)));
    let fields: Vec<_> = fields.into_iter().chain(value).collect();
    lines.point("command", &[("zone", zone), ("asset", asset)], &fields, at);
}
