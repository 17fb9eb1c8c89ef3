//! A batch into the file, in one transaction.

use rusqlite::{CachedStatement, Transaction, params};

use super::accounts::{self, CLOSED_AFTER_MS};
use super::batch::{Batch, IntervalDelta, RollupDelta, RollupKey, RollupLevel, RowId};
use super::restore::Share;
use super::{Store, StoreError, history, readings, savings};
use crate::alerts::Change;
use crate::domain::calendar::LocalCalendar;
use crate::domain::units::{DAY_MS, Millis};

/// What gateways were asked for is remembered this long; who has not answered by then has nothing.
const ASKED_KEPT_MS: i64 = 30 * DAY_MS;
/// Dead letters kept; beyond, the oldest go.
const DEAD_LETTERS_MAX: i64 = 10_000;

impl Store {
    /// Writes the batch and empties it. When this returns, the batch survives a crash.
    pub fn commit(&mut self, batch: &mut Batch, calendar: &mut LocalCalendar) -> Result<(), StoreError> {
        let transaction = self.connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        if let Some(feed) = &mut self.feed {
            feed.keep(&transaction, batch, calendar)?;
        }
        history::thaw_for(&transaction, batch, &mut self.packing)?;
        let values = batch.marks.len() + batch.gauges.len();
        self.packing.wrote(batch.marks.len());
        readings::write(&transaction, batch, &mut self.alone)?;
        savings::weather_gauges(&transaction, batch)?;
        intervals(&transaction, batch)?;
        accounts::insert_prices(&transaction, &batch.prices, Millis(0))?;
        accounts::insert_factors(&transaction, &batch.factors, Millis(0))?;
        accounts::costs(&transaction, batch)?;
        rollups(&transaction, batch, calendar)?;
        self.unsettled.write(&transaction, &mut batch.latest, values)?;
        alerts(&transaction, batch)?;
        counts(&transaction, batch)?;
        dead_letters(&transaction, batch)?;
        if let Some((now, next)) = batch.now {
            transaction.prepare_cached("INSERT OR REPLACE INTO meta VALUES ('clock', ?1), ('clock_next', ?2)")?.execute([now.0, next.0])?;
        }
        transaction.commit()?;
        batch.clear();
        Ok(())
    }

    /// Brings the newest values up to date for readers; between two calls they lag behind by some commits.
    pub fn settle(&mut self) -> Result<(), StoreError> {
        if self.unsettled.is_empty() {
            return Ok(());
        }
        let transaction = self.connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        self.unsettled.settle(&transaction)?;
        transaction.commit()?;
        Ok(())
    }

    /// From when on roll-ups can be made anew: the first local day whose intervals are all kept.
    pub fn remade_from(&self, calendar: &mut LocalCalendar) -> Millis {
        self.kept().intervals.map_or(Millis(i64::MIN), |kept| {
            let day = calendar.day(kept);
            if day.start < kept { day.end } else { kept }
        })
    }

    /// Takes new shares, and the roll-ups made with them in the place of the old ones; both or neither. What cannot be made anew stays as it is.
    pub fn replace_rollups(
        &mut self,
        shares: &[(RowId, Share)],
        batch: &mut Batch,
        calendar: &mut LocalCalendar,
    ) -> Result<(), StoreError> {
        let from = self.remade_from(calendar);
        let transaction = self.connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        accounts::replace_shares(&transaction, shares, batch.recorded)?;
        if let Some(feed) = &mut self.feed {
            feed.keep_all_hours(&transaction, batch.wall)?;
        }
        transaction.execute("DELETE FROM rollup_row WHERE ts >= ?1", [from.0])?;
        transaction.execute("DELETE FROM cost_row WHERE ts >= ?1", [from.0])?;
        if from > Millis(i64::MIN) {
            // The month that is cut begins with its days that stay.
            let month = calendar.month(from).start.0;
            transaction.execute("DELETE FROM rollup_row WHERE level = 3 AND ts = ?1", [month])?;
            let sql = "INSERT INTO rollup_row SELECT 3, ?1, entity, carrier, SUM(quantity), SUM(gross), SUM(assumed), SUM(estimated), SUM(co2e_ug), \
                       SUM(ce_calorific_ug), SUM(ce_primary_ug), SUM(parts), SUM(bought) FROM rollup_row \
                       WHERE level = 2 AND ts >= ?1 AND ts < ?2 GROUP BY entity, carrier";
            transaction.execute(sql, [month, from.0])?;
        }
        accounts::insert_prices(&transaction, &batch.prices, Millis(0))?;
        accounts::insert_factors(&transaction, &batch.factors, Millis(0))?;
        accounts::costs(&transaction, batch)?;
        rollups(&transaction, batch, calendar)?;
        if let Some(feed) = &mut self.feed {
            feed.keep_all_hours(&transaction, batch.wall)?;
        }
        transaction.commit()?;
        batch.clear();
        Ok(())
    }
}

fn intervals(transaction: &Transaction, batch: &mut Batch) -> Result<(), StoreError> {
    let mut rows: Vec<_> = batch.intervals.drain().collect();
    rows.sort_unstable_by_key(|(key, _)| *key);
    let now = batch.recorded.0;
    let mut upsert = transaction.prepare_cached(
        "INSERT INTO interval_row VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0) ON CONFLICT DO UPDATE SET minutes = CASE WHEN excluded.minutes > 0 THEN excluded.minutes ELSE minutes END, \
         quantity = quantity + excluded.quantity, assumed = assumed + excluded.assumed, estimated = estimated + excluded.estimated, \
         parts = parts + excluded.parts",
    )?;
    let mut corrections = Corrections::prepare(transaction)?;
    let mut emptied = transaction.prepare_cached("DELETE FROM interval_row WHERE ts = ?1 AND channel = ?2 AND parts = 0")?;
    for ((start, channel), delta) in rows {
        let quantities = (delta.quantity.0, delta.assumed.0, delta.estimated.0);
        let may_be_closed = start.0.saturating_add(CLOSED_AFTER_MS) <= now;
        if may_be_closed {
            corrections.write(start, channel, &delta, now)?;
        } else {
            upsert.execute(params![start.0, channel.0, delta.minutes, quantities.0, quantities.1, quantities.2, delta.parts])?;
        }
        if delta.parts <= 0 {
            emptied.execute(params![start.0, channel.0])?;
        }
    }
    Ok(())
}

/// Writes intervals that may be closed, and keeps what closed ones said before.
struct Corrections<'t> {
    insert: CachedStatement<'t>,
    keep: CachedStatement<'t>,
    update: CachedStatement<'t>,
}

impl<'t> Corrections<'t> {
    fn prepare(transaction: &'t Transaction) -> Result<Self, StoreError> {
        let insert = transaction.prepare_cached(
            "INSERT INTO interval_row VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, CASE WHEN ?1 + ?3 * 60000 + ?9 <= ?8 THEN ?8 ELSE 0 END) ON CONFLICT DO NOTHING",
        )?;
        // Two corrections at one time of the clock are one.
        let keep = transaction.prepare_cached(
            "INSERT INTO interval_version_row SELECT ts, channel, minutes, quantity, assumed, estimated, recorded_from, ?3 FROM interval_row \
             WHERE ts = ?1 AND channel = ?2 AND recorded_from < ?3 AND ts + minutes * 60000 + ?4 <= ?3",
        )?;
        let update = transaction.prepare_cached(
            "UPDATE interval_row SET minutes = CASE WHEN ?3 > 0 THEN ?3 ELSE minutes END, quantity = quantity + ?4, assumed = assumed + ?5, \
             estimated = estimated + ?6, parts = parts + ?7, \
             recorded_from = CASE WHEN ts + minutes * 60000 + ?9 <= ?8 THEN ?8 ELSE recorded_from END WHERE ts = ?1 AND channel = ?2",
        )?;
        Ok(Corrections { insert, keep, update })
    }

    fn write(&mut self, start: Millis, channel: RowId, delta: &IntervalDelta, now: i64) -> Result<(), StoreError> {
        let IntervalDelta { minutes, quantity, assumed, estimated, parts } = *delta;
        let values = params![start.0, channel.0, minutes, quantity.0, assumed.0, estimated.0, parts, now, CLOSED_AFTER_MS];
        if self.insert.execute(values)? == 0 {
            self.keep.execute(params![start.0, channel.0, now, CLOSED_AFTER_MS])?;
            self.update.execute(values)?;
        }
        Ok(())
    }
}

pub(super) fn rollups(transaction: &Transaction, batch: &mut Batch, calendar: &mut LocalCalendar) -> Result<(), StoreError> {
    let mut rows: rustc_hash::FxHashMap<RollupKey, RollupDelta> = rustc_hash::FxHashMap::default();
    for ((part, entity, book), delta) in batch.hours.drain() {
        let hour = calendar.hour(part).start;
        let starts =
            [(RollupLevel::Hour, hour), (RollupLevel::Day, calendar.day(hour).start), (RollupLevel::Month, calendar.month(hour).start)];
        for (level, start) in starts {
            rows.entry(RollupKey { level, start, entity, book }).or_default().add(&delta);
        }
    }
    let mut rows: Vec<_> = rows.into_iter().collect();
    rows.sort_unstable_by_key(|(key, _)| *key);
    let mut upsert = transaction.prepare_cached(
        "INSERT INTO rollup_row VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13) ON CONFLICT DO UPDATE SET \
         quantity = quantity + excluded.quantity, gross = gross + excluded.gross, assumed = assumed + excluded.assumed, \
         estimated = estimated + excluded.estimated, co2e_ug = co2e_ug + excluded.co2e_ug, \
         ce_calorific_ug = ce_calorific_ug + excluded.ce_calorific_ug, ce_primary_ug = ce_primary_ug + excluded.ce_primary_ug, \
         parts = parts + excluded.parts, bought = bought + excluded.bought",
    )?;
    let mut emptied =
        transaction.prepare_cached("DELETE FROM rollup_row WHERE level = ?1 AND ts = ?2 AND entity = ?3 AND carrier = ?4 AND parts = 0")?;
    for (key, delta) in rows {
        let narrow = |what, amount: i128| i64::try_from(amount).map_err(|_| StoreError::Overflow { what, key: format!("{key:?}") });
        upsert.execute(params![
            key.level as u8,
            key.start.0,
            key.entity.0,
            key.book as u8,
            delta.quantity.0,
            delta.gross.0,
            delta.assumed.0,
            delta.estimated.0,
            narrow("carbon", delta.assessed.co2e.0)?,
            narrow("standard coal", delta.assessed.ce_calorific.0)?,
            narrow("standard coal", delta.assessed.ce_primary.0)?,
            delta.parts,
            delta.bought.0,
        ])?;
        if delta.parts <= 0 {
            emptied.execute(params![key.level as u8, key.start.0, key.entity.0, key.book as u8])?;
        }
    }
    Ok(())
}

fn alerts(transaction: &Transaction, batch: &Batch) -> Result<(), StoreError> {
    let mut raise = transaction.prepare_cached(
        "INSERT INTO alert_row VALUES (?1, ?2, ?3, ?4, NULL, ?5, ?6, ?7) ON CONFLICT DO UPDATE SET raised = excluded.raised, cleared = NULL",
    )?;
    let mut clear = transaction.prepare_cached("UPDATE alert_row SET cleared = ?4 WHERE rule = ?1 AND subject = ?2 AND since = ?3")?;
    for t in &batch.transitions {
        match t.change {
            Change::Raised => raise.execute(params![t.rule, t.subject, t.since.0, t.at.0, t.severity, t.value, t.limit])?,
            Change::Cleared => clear.execute(params![t.rule, t.subject, t.since.0, t.at.0])?,
        };
    }
    let mut pending = transaction.prepare_cached("INSERT OR REPLACE INTO alert_pending_row VALUES (?1, ?2, ?3)")?;
    let mut quiet = transaction.prepare_cached("DELETE FROM alert_pending_row WHERE rule = ?1 AND subject = ?2")?;
    for row in &batch.pending {
        match row.since {
            Some(since) => pending.execute(params![row.rule, row.subject, since.0])?,
            None => quiet.execute(params![row.rule, row.subject])?,
        };
    }
    let mut gateway = transaction.prepare_cached("INSERT OR REPLACE INTO gateway_row VALUES (?1, ?2, ?3)")?;
    for (id, online, at) in &batch.gateways {
        gateway.execute(params![id, online, at.0])?;
    }
    let mut asked = transaction.prepare_cached("INSERT OR REPLACE INTO backfill_row VALUES (?1, ?2, ?3, ?4)")?;
    for row in &batch.asked {
        asked.execute(params![row.meter, row.from.0, row.to.0, row.at.0])?;
    }
    if let Some(newest) = batch.asked.iter().map(|row| row.at).max() {
        transaction.prepare_cached("DELETE FROM backfill_row WHERE asked < ?1")?.execute([newest.plus_ms(-ASKED_KEPT_MS).0])?;
    }
    Ok(())
}

fn counts(transaction: &Transaction, batch: &Batch) -> Result<(), StoreError> {
    for (table, counts) in [("count_row", &batch.counts), ("refusal_row", &batch.refusals)] {
        let mut add = transaction
            .prepare_cached(&format!("INSERT INTO {table} VALUES (?1, ?2) ON CONFLICT DO UPDATE SET count = count + excluded.count"))?;
        for (name, count) in counts {
            add.execute(params![name, count])?;
        }
    }
    Ok(())
}

fn dead_letters(transaction: &Transaction, batch: &Batch) -> Result<(), StoreError> {
    if batch.dead_letters.is_empty() {
        return Ok(());
    }
    let mut insert =
        transaction.prepare_cached("INSERT INTO dead_letter_row (at, topic, reason, detail, payload) VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for letter in &batch.dead_letters {
        insert.execute(params![letter.at.0, letter.topic, letter.reason, letter.detail, letter.payload])?;
    }
    transaction
        .prepare_cached("DELETE FROM dead_letter_row WHERE id <= (SELECT MAX(id) FROM dead_letter_row) - ?1")?
        .execute([DEAD_LETTERS_MAX])?;
    Ok(())
}
