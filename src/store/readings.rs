//! Readings into the file: a register's mark and the gauges that came with it share a row.
//!
//! A gauge of a meter with a register has a slot in that register's rows. It lies there if it came under the very `seq` that the row bears; any
//! other gauge (no register beside it, another message of the same moment) gets a row of its own, and so do from then on all new values of its channel.
//! Invariant: of all values of one gauge at one moment exactly one is in the file, slot or row: the one of the highest `seq`, then the largest.

use rusqlite::{OptionalExtension, Statement, Transaction, params};
use rustc_hash::FxHashSet;

use super::StoreError;
use super::batch::{Batch, GaugeRow, Place, RowId};
use crate::domain::units::Millis;
use crate::ledger::mark::{Mark, What};

/// Gauges that fit into a register's row.
pub const SLOTS: u8 = 4;

type Slots = [Option<f64>; SLOTS as usize];

/// Of one message of one moment the larger gauge stays. A later message's row takes the place of an earlier one's only if no gauge would be lost.
const UPSERT: &str = "INSERT INTO reading_row VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) ON CONFLICT DO UPDATE SET value = excluded.value, \
     seq = excluded.seq, verdict = excluded.verdict, energy = excluded.energy, flow = excluded.flow, serial = excluded.serial, \
     g1 = CASE WHEN seq < excluded.seq THEN excluded.g1 ELSE COALESCE(MAX(g1, excluded.g1), g1, excluded.g1) END, \
     g2 = CASE WHEN seq < excluded.seq THEN excluded.g2 ELSE COALESCE(MAX(g2, excluded.g2), g2, excluded.g2) END, \
     g3 = CASE WHEN seq < excluded.seq THEN excluded.g3 ELSE COALESCE(MAX(g3, excluded.g3), g3, excluded.g3) END, \
     g4 = CASE WHEN seq < excluded.seq THEN excluded.g4 ELSE COALESCE(MAX(g4, excluded.g4), g4, excluded.g4) END \
     WHERE seq = excluded.seq OR ((g1 IS NULL OR excluded.g1 IS NOT NULL) AND (g2 IS NULL OR excluded.g2 IS NOT NULL) \
     AND (g3 IS NULL OR excluded.g3 IS NOT NULL) AND (g4 IS NULL OR excluded.g4 IS NOT NULL))";

/// Writes the batch's marks and gauges. `alone` holds the channels whose new values get rows of their own, and grows.
pub fn write(transaction: &Transaction, batch: &mut Batch, alone: &mut FxHashSet<RowId>) -> Result<(), StoreError> {
    let slotted = |gauge: &GaugeRow| gauge.place.filter(|_| !alone.contains(&gauge.channel));
    let (mut beside, mut loose): (Vec<_>, Vec<_>) = batch.gauges.drain(..).partition(|gauge| slotted(gauge).is_some());
    beside.sort_by(|a, b| (a.at, a.host(), a.seq).cmp(&(b.at, b.host(), b.seq)).then(a.value.total_cmp(&b.value)));
    let mut beside = beside.into_iter().peekable();
    // Stable, so that of equal keys the last written comes last and wins.
    batch.marks.sort_by_key(|(channel, mark)| (mark.at, *channel, mark.key()));
    let mut upsert = transaction.prepare_cached(UPSERT)?;
    for (index, (channel, mark)) in batch.marks.iter().enumerate() {
        let overwritten = batch.marks.get(index + 1).is_some_and(|(next, later)| next == channel && later.key() == mark.key());
        if overwritten {
            continue;
        }
        if matches!(mark.what, What::Swap { .. }) {
            swap(transaction, *channel, mark)?;
            continue;
        }
        let mut slots = Slots::default();
        while let Some(gauge) = beside.next_if(|gauge| (gauge.at, gauge.host()) <= (mark.at, Some(*channel))) {
            match gauge.place {
                Some(place) if place.host == *channel && gauge.at == mark.at && gauge.seq == mark.seq => {
                    slots[place.index()] = Some(gauge.value);
                }
                Some(_) | None => loose.push(gauge),
            }
        }
        reading(transaction, &mut upsert, *channel, mark, slots, alone)?;
    }
    loose.extend(beside);
    loose.sort_by_key(|gauge| (gauge.at, gauge.channel, gauge.seq));
    for gauge in &loose {
        put_loose(transaction, gauge, alone)?;
    }
    Ok(())
}

/// Channels whose new values get rows of their own.
pub fn alone(connection: &rusqlite::Connection) -> Result<FxHashSet<RowId>, StoreError> {
    let mut statement = connection.prepare("SELECT id FROM channel_row WHERE alone")?;
    Ok(statement.query_map([], |row| row.get(0).map(RowId))?.collect::<Result<_, _>>()?)
}

fn swap(transaction: &Transaction, channel: RowId, mark: &Mark) -> Result<(), StoreError> {
    let What::Swap { closing, opening } = mark.what else { return Ok(()) };
    let serial = (mark.verdict.serial != 0).then_some(mark.verdict.serial);
    let mut insert = transaction.prepare_cached("INSERT OR REPLACE INTO swap_row VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?;
    let (verdict, energy) = (mark.code(), mark.verdict.energy.0);
    insert.execute(params![mark.at.0, channel.0, closing.0, opening.0, mark.seq, verdict, energy, serial])?;
    Ok(())
}

fn reading(
    transaction: &Transaction,
    upsert: &mut Statement,
    channel: RowId,
    mark: &Mark,
    slots: Slots,
    alone: &mut FxHashSet<RowId>,
) -> Result<(), StoreError> {
    let What::Reading(register) = mark.what else { return Ok(()) };
    let serial = (mark.verdict.serial != 0).then_some(mark.verdict.serial);
    let (verdict, energy) = (mark.code(), mark.verdict.energy.0);
    let [g1, g2, g3, g4] = slots;
    let values = params![mark.at.0, channel.0, register.0, mark.seq, verdict, energy, mark.flow_per_h, serial, g1, g2, g3, g4];
    if upsert.execute(values)? == 0 {
        move_out(transaction, channel, mark.at, slots, alone)?;
        upsert.execute(values)?;
    }
    Ok(())
}

/// Gives rows of their own to those gauges of a row that a later message of the same moment does not replace.
fn move_out(transaction: &Transaction, host: RowId, at: Millis, replaced: Slots, alone: &mut FxHashSet<RowId>) -> Result<(), StoreError> {
    let mut guests = transaction.prepare_cached("SELECT id, slot FROM channel_row WHERE host = ?1")?;
    let guests = guests.query_map([host.0], |row| Ok((RowId(row.get(0)?), Place { host, slot: row.get(1)? })))?;
    for (channel, place) in guests.collect::<Result<Vec<_>, _>>()? {
        if let Some((seq, Some(value))) = in_slot(transaction, place, at)?
            && replaced[place.index()].is_none()
        {
            set_slot(transaction, place, at, None)?;
            put_alone(transaction, &GaugeRow { at, channel, place: Some(place), value, seq }, alone)?;
        }
    }
    Ok(())
}

/// A gauge that did not come in with a new mark of its host.
fn put_loose(transaction: &Transaction, gauge: &GaugeRow, alone: &mut FxHashSet<RowId>) -> Result<(), StoreError> {
    let Some(place) = gauge.place else { return insert_row(transaction, gauge) };
    match in_slot(transaction, place, gauge.at)? {
        Some((seq, Some(held))) if (seq, held) >= (gauge.seq, gauge.value) => Ok(()),
        Some((seq, _)) if seq == gauge.seq && !alone.contains(&gauge.channel) => set_slot(transaction, place, gauge.at, Some(gauge.value)),
        Some((_, Some(_))) => {
            set_slot(transaction, place, gauge.at, None)?;
            put_alone(transaction, gauge, alone)
        }
        Some((_, None)) | None => put_alone(transaction, gauge, alone),
    }
}

fn put_alone(transaction: &Transaction, gauge: &GaugeRow, alone: &mut FxHashSet<RowId>) -> Result<(), StoreError> {
    if alone.insert(gauge.channel) {
        transaction.prepare_cached("UPDATE channel_row SET alone = 1 WHERE id = ?1")?.execute([gauge.channel.0])?;
    }
    insert_row(transaction, gauge)
}

fn insert_row(transaction: &Transaction, gauge: &GaugeRow) -> Result<(), StoreError> {
    let mut insert = transaction.prepare_cached(
        "INSERT INTO reading_row (ts, channel, value, seq) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET value = excluded.value, \
         seq = excluded.seq WHERE excluded.seq > seq OR (excluded.seq = seq AND excluded.value > value)",
    )?;
    insert.execute(params![gauge.at.0, gauge.channel.0, gauge.value, gauge.seq])?;
    Ok(())
}

/// The `seq` of the host's row of a moment, if there is one, and what lies in the slot.
fn in_slot(transaction: &Transaction, place: Place, at: Millis) -> Result<Option<(i64, Option<f64>)>, StoreError> {
    let mut select = transaction.prepare_cached("SELECT seq, g1, g2, g3, g4 FROM reading_row WHERE ts = ?1 AND channel = ?2")?;
    Ok(select.query_row(params![at.0, place.host.0], |row| Ok((row.get(0)?, row.get(1 + place.index())?))).optional()?)
}

fn set_slot(transaction: &Transaction, place: Place, at: Millis, value: Option<f64>) -> Result<(), StoreError> {
    let sql = format!("UPDATE reading_row SET g{} = ?3 WHERE ts = ?1 AND channel = ?2", place.slot);
    transaction.prepare_cached(&sql)?.execute(params![at.0, place.host.0, value])?;
    Ok(())
}
