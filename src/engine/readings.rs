//! Readings and swaps into the ledger.

use super::channel::limits;
use super::rejection::{AHEAD_S_MAX, Rejection};
use super::restore::{flow_gauge, shared};
use super::{Engine, EngineError, Item, ItemKind};
use crate::accounting::Book;
use crate::domain::alert_rules::interval_mean;
use crate::domain::channel::MeterIndex;
use crate::domain::units::{HOUR_MS, Millis, Quantity, SECOND_MS};
use crate::ledger::mark::{Mark, Verdict, What};
use crate::ledger::scan::Limits;
use crate::ledger::slices;
use crate::ledger::window::{Outcome, insert_into_stretch};
use crate::store::batch::{GaugeRow, Latest, Place, RowId, Value};
use crate::store::restore::ChannelRow;
use crate::wire::decode::{Reading, Swap};

/// A reading so much older than the newest is counted as late.
const LATE_MS: i64 = HOUR_MS;
/// How far around an old reading the store is first asked for its neighbours.
const STRETCH_MS: i64 = 2 * HOUR_MS;
/// Gauges kept of one meter, those of meters.csv included; further ones are counted and not kept.
const ITEMS_PER_METER_MAX: usize = 64;
/// Endings of item names that say their unit; other items are counted and not kept.
const KNOWN_UNITS: [&str; 38] = [
    "kwh", "mwh", "wh", "kw", "mw", "w", "kvar", "kvarh", "kva", "v", "kv", "a", "hz", "factor", "pct", "c", "k", "m3", "m3_h", "l", "l_h",
    "gj", "mj", "kj", "t", "kg", "t_h", "kg_h", "pcs", "pcs_h", "w_m2", "m_s", "pa", "kpa", "mpa", "bar", "ppm", "lux",
];

impl Engine {
    pub(super) fn take_reading(&mut self, reading: &Reading, wall: Millis) -> Result<(), EngineError> {
        self.count("readings", 1);
        let Some(meter) = self.admit(&reading.meter, reading.at, wall) else { return Ok(()) };
        let index = meter.0 as usize;
        let flow_per_h = self.meters[index].single.and_then(flow_gauge).and_then(|(gauge, per_unit)| {
            let (_, text) = reading.values.iter().find(|(item, _)| item == gauge)?;
            text.parse::<f64>().ok().filter(|value| value.is_finite()).map(|value| (value.abs() * per_unit) as f32)
        });
        let serial = reading.serial.as_deref().map_or(0, serial_hash);
        let mut accepted = false;
        let feeds = self.store.feeds_outbox();
        let mut points: Vec<(&str, f64)> = Vec::new();
        let mut gauges = std::mem::take(&mut self.gauges);
        for (name, text) in &reading.values {
            let Some(item) = self.item(meter, name)? else {
                self.count("unknown_items", 1);
                continue;
            };
            match self.meters[index].items[item].kind {
                ItemKind::Register(register) => match self.parse_register(meter, register, name, text) {
                    Ok(value) => {
                        let what = What::Reading(value);
                        let mark = Mark { at: reading.at, what, seq: reading.seq, flow_per_h, serial, verdict: Verdict::HELD };
                        let inserted = self.take_mark(index, register, mark, wall)?;
                        accepted |= inserted;
                        if inserted && feeds {
                            points.extend(self.shown_register(register, value).map(|shown| (&**name, shown)));
                        }
                    }
                    Err(rejection) => self.rejected.push(rejection),
                },
                ItemKind::Gauge(..) => match text.parse::<f64>() {
                    Ok(value) if value.is_finite() => {
                        accepted = true;
                        gauges.push((item, value));
                        if feeds {
                            points.push((name, value));
                        }
                    }
                    Ok(_) | Err(_) => {
                        let seen = shortened(text);
                        self.rejected.push(Rejection::Gauge { meter: reading.meter.to_string(), item: name.to_string(), seen });
                    }
                },
            }
        }
        // After the registers: where a gauge lies depends on the mark that it came with.
        for (item, value) in gauges.drain(..) {
            self.take_gauge(index, item, value, reading.at, reading.seq);
        }
        self.gauges = gauges;
        if accepted {
            if feeds {
                self.note_reading(index, reading.at, &points);
            }
            self.heard(index, reading.at);
        }
        Ok(())
    }

    /// Points for the outbox. What is not newer than all before it may share its key with another reading; then the ledger says which one holds.
    fn note_reading(&mut self, meter: usize, at: Millis, points: &[(&str, f64)]) {
        let id = &self.zone.meter(MeterIndex(meter as u32)).id;
        if self.meters[meter].newest.is_some_and(|newest| at <= newest) {
            self.batch.late.push((at, id.clone()));
        } else {
            self.batch.lines.reading(self.zone.id(), id, points, at);
        }
    }

    /// A register as views show it, in the unit of its carrier; none where it belongs to no book.
    fn shown_register(&self, register: u32, value: Quantity) -> Option<f64> {
        let channel = self.zone.channel(self.registers[register as usize].id);
        let book = Book::of(channel.carrier, channel.ledger_unit()?)?;
        Some(value.0 as f64 / book.shown().per_unit)
    }

    pub(super) fn take_swap(&mut self, swap: &Swap, wall: Millis) -> Result<(), EngineError> {
        self.count("swaps", 1);
        let Some(meter) = self.admit(&swap.meter, swap.at, wall) else { return Ok(()) };
        let index = meter.0 as usize;
        let serial = swap.new_serial.as_deref().map_or(0, serial_hash);
        let mut found = false;
        for (name, closing) in &swap.closing {
            let Some((_, opening)) = swap.opening.iter().find(|(item, _)| item == name) else { continue };
            let Some(item) = self.item(meter, name)? else { continue };
            let ItemKind::Register(register) = self.meters[index].items[item].kind else { continue };
            found = true;
            let closing = self.parse_register(meter, register, name, closing);
            let opening = self.parse_register(meter, register, name, opening);
            match (closing, opening) {
                (Ok(closing), Ok(opening)) => {
                    let what = What::Swap { closing, opening };
                    let mark = Mark { at: swap.at, what, seq: swap.seq, flow_per_h: None, serial, verdict: Verdict::HELD };
                    self.take_mark(index, register, mark, wall)?;
                }
                (Err(rejection), _) | (_, Err(rejection)) => self.rejected.push(rejection),
            }
        }
        if !found {
            self.rejected.push(Rejection::SwapWithoutRegister { meter: swap.meter.to_string() });
        }
        Ok(())
    }

    /// The meter of a reading or event, if it is known and the date can be.
    fn admit(&mut self, meter: &str, at: Millis, wall: Millis) -> Option<MeterIndex> {
        let now = self.now(wall).max(self.next);
        let Some(index) = self.zone.meter_of(meter) else {
            self.rejected.push(Rejection::UnknownMeter { meter: shortened(meter) });
            return None;
        };
        if at.ms_since(now) > AHEAD_S_MAX * SECOND_MS {
            let ahead_s = at.ms_since(now) / SECOND_MS;
            self.rejected.push(Rejection::FromTheFuture { meter: meter.to_owned(), ahead_s });
            return None;
        }
        if at < self.meters[index.0 as usize].valid_from {
            self.rejected.push(Rejection::BeforeValidFrom { meter: meter.to_owned() });
            return None;
        }
        if self.store.kept().readings.is_some_and(|kept| at < kept) {
            self.refuse_old(index.0 as usize, at);
            return None;
        }
        Some(index)
    }

    fn refuse_old(&mut self, meter: usize, at: Millis) {
        let meter = self.zone.meter(MeterIndex(meter as u32)).id.to_string();
        self.rejected.push(Rejection::NoLongerKept { meter, at_ms: at.0 });
    }

    /// The position of an item in its meter's list; a gauge seen for the first time is added if its name says its unit.
    fn item(&mut self, meter: MeterIndex, name: &str) -> Result<Option<usize>, EngineError> {
        let index = meter.0 as usize;
        if let Some(item) = self.meters[index].items.iter().position(|item| &*item.name == name) {
            return Ok(Some(item));
        }
        let known = KNOWN_UNITS.iter().any(|unit| name.strip_suffix(unit).is_some_and(|rest| rest.ends_with('_')));
        if !known || self.meters[index].items.len() >= ITEMS_PER_METER_MAX || self.zone.is_virtual(meter) {
            return Ok(None);
        }
        let id = &self.zone.meter(meter).id;
        let (row, place) = self.store.channel_row(&ChannelRow::gauge(id, name))?;
        let name = shared(&mut self.names, name);
        self.meters[index].items.push(Item { name, kind: ItemKind::Gauge(row, place) });
        Ok(Some(self.meters[index].items.len() - 1))
    }

    fn parse_register(&self, meter: MeterIndex, register: u32, item: &str, text: &str) -> Result<Quantity, Rejection> {
        let spec = self.register_spec(register);
        spec.parse(text).map(Quantity).map_err(|cause| Rejection::Register {
            meter: self.zone.meter(meter).id.to_string(),
            item: item.to_owned(),
            seen: shortened(text),
            cause,
        })
    }

    /// Inserts a mark and posts what it changes. Gives whether the mark is part of the set and was not before.
    fn take_mark(&mut self, meter: usize, register: u32, mark: Mark, wall: Millis) -> Result<bool, EngineError> {
        let limits = limits(self.register_spec(register));
        let channel = &mut self.registers[register as usize];
        let row = channel.row;
        let newest = channel.window.newest().map(|newest| newest.at);
        let mut outcome = channel.window.insert(limits, mark, &mut self.changes);
        if outcome == Outcome::NeedsHistory {
            outcome = self.insert_old(register, limits, mark)?;
        }
        match outcome {
            // The set may still have learnt a later count or another gauge from it.
            Outcome::Duplicate => {
                self.count("duplicates", 1);
                if self.changes.marks.is_empty() {
                    return Ok(false);
                }
            }
            Outcome::Inserted => {}
            Outcome::Lost(_) => {
                let meter = self.zone.meter(MeterIndex(meter as u32)).id.to_string();
                let item = self.register_item(register).to_owned();
                self.rejected.push(Rejection::Superseded { meter, item, at_ms: mark.at.0 });
            }
            // All that is kept was brought: what lay before it has left.
            Outcome::NeedsHistory => {
                self.refuse_old(meter, mark.at);
                return Ok(false);
            }
        }
        let channel = &mut self.registers[register as usize];
        let grid = self.grid;
        for span in &self.changes.removed {
            channel.post(*span, -1, grid, &mut self.calendar, &mut self.batch);
        }
        for span in &self.changes.added {
            channel.post(*span, 1, grid, &mut self.calendar, &mut self.batch);
        }
        self.batch.marks.extend(self.changes.marks.iter().map(|mark| (row, *mark)));
        channel.first = Some(channel.first.map_or(mark.at, |first| first.min(mark.at)));
        if let (Some(good), Some(first)) = (channel.window.newest_good(), channel.first) {
            self.batch.latest.insert(row, Latest { first, at: good.at, value: Value::Register(good.register()) });
        }
        match newest {
            Some(newest) if mark.at < newest => self.count(if newest.ms_since(mark.at) > LATE_MS { "late" } else { "reordered" }, 1),
            Some(_) | None => {}
        }
        self.observe_spans(meter, register, wall);
        self.observe_sums(register)?;
        Ok(outcome == Outcome::Inserted)
    }

    /// Inserts a mark for which the window does not reach far enough back, with neighbours from the store.
    fn insert_old(&mut self, register: u32, limits: Limits, mark: Mark) -> Result<Outcome, EngineError> {
        let mut reach_ms = STRETCH_MS;
        loop {
            let channel = &mut self.registers[register as usize];
            let from = Millis(mark.at.0.saturating_sub(reach_ms));
            let all = channel.first.is_none_or(|first| from <= first);
            let complete = all && self.store.kept().readings.is_none_or(|kept| channel.first.is_none_or(|first| kept <= first));
            let oldest = channel.window.oldest().unwrap_or(Millis(i64::MAX));
            let before = oldest.min(Millis(mark.at.0.saturating_add(reach_ms)));
            let mut stretch = self.store.marks_of(channel.row, from, before)?;
            overlay(&mut stretch, channel.row, &self.batch.marks, from, before);
            let outcome = if before == oldest {
                channel.window.insert_with_history(limits, stretch, complete, mark, &mut self.changes)
            } else {
                insert_into_stretch(&mut stretch, complete, limits, mark, &mut self.changes)
            };
            if outcome != Outcome::NeedsHistory || (all && before == oldest) {
                return Ok(outcome);
            }
            reach_ms = reach_ms.saturating_mul(4);
        }
    }

    /// Shows new spans at the end of the ledger to interval-mean thresholds, and notes gaps.
    fn observe_spans(&mut self, meter: usize, register: u32, wall: Millis) {
        let interval_ms = self.zone.profile().interval_ms;
        let live_from = self.zone.profile().live_from;
        let newest = self.registers[register as usize].window.newest_good().map(|good| good.at);
        if let Some(last) = self.changes.added.last().filter(|span| Some(span.to) == newest) {
            let span = (last.from, last.to);
            self.note_gap(meter, register, span, self.now(wall));
        }
        let unit = self.register_spec(register).ledger_unit();
        let channel = &mut self.registers[register as usize];
        let row = channel.row;
        let Some(open) = &mut channel.mean else { return };
        let mut means: Vec<(Millis, f64)> = Vec::new();
        for span in &self.changes.added {
            let live = live_from.is_none_or(|live_from| live_from <= span.from);
            if !live || !open.follows(span.from) {
                continue;
            }
            slices::cut(*span, interval_ms, &mut self.calendar, |slice| {
                let length_ms = slice.minutes * 60_000;
                if let Some(quantity) = open.take(slice, span.from, span.to) {
                    means.push((slice.start.plus_ms(length_ms), interval_mean(unit, quantity, length_ms)));
                }
            });
        }
        for (at, mean) in means {
            self.observe(row, mean, at);
        }
    }

    fn take_gauge(&mut self, meter: usize, item: usize, value: f64, at: Millis, seq: i64) {
        let gauge = &mut self.meters[meter].items[item];
        let ItemKind::Gauge(row, place) = gauge.kind else { return };
        let gauge = GaugeRow { at, channel: row, place, value, seq };
        self.batch.gauges.push(gauge);
        if self.weather.contains(&row) {
            self.batch.weather.push(gauge);
        }
        let live = self.zone.profile().live_from.is_none_or(|live_from| live_from <= at);
        let newest = self.meters[meter].newest.is_none_or(|newest| newest <= at);
        if newest && !place.is_some_and(|place| self.lies_beside(meter, place, row, at, seq)) {
            self.batch.latest.insert(row, Latest { first: at, at, value: Value::Gauge(value) });
        }
        if live {
            self.observe(row, value, at);
        }
    }

    /// Whether a gauge lies in the row of its register's newest good mark: then that one's newest value says where it is.
    fn lies_beside(&self, meter: usize, place: Place, row: RowId, at: Millis, seq: i64) -> bool {
        let host = self.meters[meter].items.iter().filter_map(Item::register).map(|register| &self.registers[register as usize]);
        let newest = host.filter(|channel| channel.row == place.host).find_map(|channel| channel.window.newest_good());
        newest.is_some_and(|mark| mark.at == at && mark.seq == seq) && !self.store.lies_alone(row)
    }
}

/// Brings marks of the uncommitted batch into a stretch that the store gave.
fn overlay(stretch: &mut Vec<Mark>, channel: RowId, pending: &[(RowId, Mark)], from: Millis, before: Millis) {
    for (_, mark) in pending.iter().filter(|(row, mark)| *row == channel && from <= mark.at && mark.at < before) {
        match stretch.binary_search_by_key(&mark.key(), Mark::key) {
            Ok(index) => stretch[index] = *mark,
            Err(index) => stretch.insert(index, *mark),
        }
    }
}

/// FNV-1a, 32 bit; never 0, which stands for no serial number.
fn serial_hash(serial: &str) -> u32 {
    let hash = serial.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    hash.max(1)
}

fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}
