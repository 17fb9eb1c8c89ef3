//! The engine as it stood at the last commit.

use std::path::Path;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::channel::{Grid, RegisterChannel, Sharing};
use super::drivers::drivers;
use super::in_force::InForce;
use super::regulate::Regulation;
use super::reload::refuse_other_scale;
use super::sums::{Positions, SubjectPlace, SumWatch};
use super::{Effects, Engine, EngineError, Gap, Item, ItemKind, MeterState, Watch};
use crate::accounting::{Book, YearFactors};
use crate::alerts::mean::OpenInterval;
use crate::alerts::silence::GatewayVoice;
use crate::alerts::threshold::{Phase, Threshold};
use crate::alerts::{BROKER_RULE, OUTBOX_RULE};
use crate::claims::keep::Keeper;
use crate::domain::alert_rules::{AlertRules, Signal, Watched};
use crate::domain::calendar::LocalCalendar;
use crate::domain::channel::{Carrier, Channel, ChannelKind, LedgerUnit, RegisterSpec};
use crate::domain::factors::FactorSet;
use crate::domain::tariff::Tariff;
use crate::domain::units::{HOUR_MS, Millis, Quantity};
use crate::domain::zone::{ClockMode, Zone};
use crate::ledger::mark::Mark;
use crate::ledger::window::{Changes, Window};
use crate::store::batch::{Batch, RowId};
use crate::store::restore::{ChannelRow, Seen};
use crate::store::{Store, StoreError};

/// How far back from a channel's newest reading its marks are first looked for.
const MARKS_BACK_MS: i64 = 3 * HOUR_MS;

impl Engine {
    /// An engine over the ledger of a data folder, as of its last commit. `wall` is the wall clock.
    pub fn open(
        folder: &Path,
        zone: Zone,
        (factors, tariff): (FactorSet, Tariff),
        rules: AlertRules,
        wall: Millis,
    ) -> Result<Engine, EngineError> {
        Engine::over(Store::open(folder)?, folder, zone, (factors, tariff), rules, wall)
    }

    /// An engine over a store, as of its last commit. `folder` is where the store lies.
    pub(super) fn over(
        mut store: Store,
        folder: &Path,
        zone: Zone,
        (factors, tariff): (FactorSet, Tariff),
        rules: AlertRules,
        wall: Millis,
    ) -> Result<Engine, EngineError> {
        store.adopt_zone(folder, &zone)?;
        refuse_other_scale(&zone, store.scales()?.iter().map(|(meter, item, scale)| (&**meter, &**item, *scale)))?;
        store.begin_rows()?;
        // First of all, so that it leads every list.
        let profile = zone.profile();
        let whole = store.entity_row(zone.id(), &profile.name_en, &profile.name_zh, "zone")?;
        let entities = zone
            .entities()
            .iter()
            .map(|entity| store.entity_row(&entity.id, &entity.name_en, &entity.name_zh, entity.kind.as_str()))
            .collect::<Result<Vec<RowId>, StoreError>>()?;
        let parts = store.part_rows(&zone)?;
        let clock = store.clock()?;
        let now = match profile.clock {
            ClockMode::Wall => wall,
            ClockMode::Feed => clock.map_or(Millis(i64::MIN), |(now, _)| now),
        };
        store.adopt_declared(&zone, &factors, (&entities, whole), now)?;
        let latest = store.latest()?;
        let mut engine = Engine {
            calendar: LocalCalendar::new(profile.time_zone.clone()),
            entities,
            parts,
            whole,
            registers: Vec::new(),
            meters: Vec::new(),
            names: zone.channels().iter().map(|channel| channel.item.clone()).collect(),
            gateways: vec![GatewayVoice::NEW; zone.gateways().len()],
            statuses: vec![false; zone.gateways().len()],
            thresholds: rules.thresholds.iter().map(|rule| vec![Threshold::NEW; rule.subjects.len()]).collect(),
            watches: Vec::new(),
            sums: Vec::new(),
            sums_of: Vec::new(),
            gaps: Vec::new(),
            asked: rustc_hash::FxHashSet::default(),
            wall,
            fed: clock.map(|(now, _)| now),
            // Without it the readings of the step that was under way would be from the future after a restart.
            next: clock.map_or(Millis(i64::MIN), |(_, next)| next),
            heard_from: zone.profile().live_from,
            broker_lost_since: None,
            weather: Vec::new(),
            savings: Keeper::default(),
            regulation: Regulation::restored(&store, zone.assets())?,
            planning: super::planning::Planning::default(),
            told: false,
            outbox_held_since: None,
            batch: Batch { wall, ..Batch::default() },
            effects: Effects::default(),
            changes: Changes::default(),
            rejected: Vec::new(),
            gauges: Vec::new(),
            grid: Grid { interval_ms: zone.profile().interval_ms, by_interval: false },
            zone,
            in_force: InForce::new(factors, tariff),
            rules,
            store,
        };
        engine.restore_meters(&latest)?;
        let rows: FxHashMap<_, _> = engine.registers.iter().map(|channel| (channel.id, channel.row)).collect();
        engine.store.adopt_tree(&engine.zone, |channel| rows.get(&channel).copied())?;
        engine.restore_windows(&latest)?;
        engine.restore_thresholds(&latest)?;
        engine.store.keep_rows()?;
        engine.restore_drivers()?;
        engine.restore_silence()?;
        engine.end_ownerless_alerts()?;
        engine.restore_gaps()?;
        YearFactors::find_every(&engine.in_force.factors, &engine.zone)?;
        engine.find_grid()?;
        engine.restore_rollups()?;
        Ok(engine)
    }

    /// Makes the roll-ups anew if meters.csv now says something else of what is summed.
    fn restore_rollups(&mut self) -> Result<(), EngineError> {
        let of_channel = |channel: &RegisterChannel| channel.shares.iter().map(|share| (channel.row, *share)).collect::<Vec<_>>();
        let mut shares: Vec<_> = self.registers.iter().flat_map(of_channel).collect();
        shares.sort_unstable();
        if self.store.shares()? == shares {
            return Ok(());
        }
        let by_row: FxHashMap<RowId, &RegisterChannel> = self.registers.iter().map(|channel| (channel.row, channel)).collect();
        let (calendar, batch, grid) = (&mut self.calendar, &mut self.batch, self.grid);
        self.store.each_interval(self.store.remade_from(calendar), Millis(i64::MAX), |row, interval| {
            if let Some(channel) = by_row.get(&row) {
                let part = if grid.by_interval { interval.start } else { calendar.hour(interval.start).start };
                channel.post_again((part, interval.minutes), interval.amounts, interval.parts, batch);
            }
        })?;
        self.assess_parts()?;
        self.store.replace_rollups(&shares, &mut self.batch, &mut self.calendar)?;
        Ok(())
    }

    /// How finely the tariff wants quantities to be kept.
    pub(super) fn find_grid(&mut self) -> Result<(), EngineError> {
        let found = self.in_force.is_finer_than_hours(&self.store, self.zone.profile(), &mut self.calendar)?;
        self.grid.by_interval = found;
        Ok(())
    }

    fn restore_meters(&mut self, latest: &FxHashMap<RowId, Seen>) -> Result<(), EngineError> {
        self.meters.reserve_exact(self.zone.meters().len());
        self.registers.reserve_exact(self.zone.channels().iter().filter(|channel| channel.register().is_some()).count());
        let mut sharing = Sharing::new(&self.zone, &self.entities, self.whole, &self.parts);
        for meter in self.zone.meters() {
            // The gauges by convention, below, are at most two.
            let items = Vec::with_capacity(meter.channels.len() + 2);
            let mut state = MeterState { items, valid_from: Millis(i64::MIN), newest: None, stale_since: None, single: None };
            let mut registers = meter.channels.iter().filter_map(|id| self.zone.channel(*id).register());
            state.single = match (registers.next(), registers.next()) {
                (Some(single), None) => Some(single.ledger_unit()),
                _ => None,
            };
            for id in &meter.channels {
                let channel = self.zone.channel(*id);
                let (row, place) = self.store.channel_row(&row_of(&self.zone, channel, &meter.id))?;
                let known = latest.get(&row);
                let kind = match &channel.kind {
                    ChannelKind::Virtual { .. } => continue,
                    ChannelKind::Gauge => ItemKind::Gauge(row, place),
                    ChannelKind::Register(register) => {
                        let mut at_work = sharing.channel(channel, register, row);
                        self.store.keep_scale(row, register.ledger_per_unit())?;
                        at_work.first = known.map(|latest| latest.first);
                        self.registers.push(at_work);
                        ItemKind::Register(self.registers.len() as u32 - 1)
                    }
                };
                state.valid_from = channel.valid_from;
                state.newest = state.newest.max(known.map(|latest| latest.at));
                state.items.push(Item { name: channel.item.clone(), kind });
            }
            // Rows for the gauges that meters send by convention, so that their numbers do not depend on who speaks first.
            let measured = meter.channels.iter().find_map(|id| self.zone.channel(*id).register()).map(RegisterSpec::ledger_unit);
            let flow = measured.and_then(flow_gauge).map(|(gauge, _)| gauge);
            let power_factor = measured.filter(|unit| *unit == LedgerUnit::WattHour).map(|_| "power_factor");
            for gauge in flow.into_iter().chain(power_factor) {
                if state.items.iter().all(|item| &*item.name != gauge) {
                    let (row, place) = self.store.channel_row(&ChannelRow::gauge(&meter.id, gauge))?;
                    state.items.push(Item { name: shared(&mut self.names, gauge), kind: ItemKind::Gauge(row, place) });
                }
            }
            state.items.shrink_to_fit();
            self.meters.push(state);
        }
        Ok(())
    }

    fn restore_drivers(&mut self) -> Result<(), EngineError> {
        let explaining = |channel: &&Channel| match channel.carrier {
            Carrier::Weather | Carrier::Production => !matches!(channel.kind, ChannelKind::Virtual { .. }),
            Carrier::Electricity | Carrier::NaturalGas | Carrier::Heat | Carrier::Steam | Carrier::Water => false,
        };
        let mut rows = FxHashMap::default();
        for channel in self.zone.channels().iter().filter(explaining) {
            let meter = &self.zone.meter(channel.meter).id;
            let (row, _) = self.store.channel_row(&row_of(&self.zone, channel, meter))?;
            rows.insert(channel.id, row);
            if channel.carrier == Carrier::Weather {
                self.weather.push(row);
            }
        }
        let drivers = drivers(&self.zone, &rows, &self.entities);
        self.store.keep_drivers(self.zone.profile().interval_ms, self.zone.day_types(), &drivers)?;
        Ok(())
    }

    fn restore_windows(&mut self, latest: &FxHashMap<RowId, Seen>) -> Result<(), EngineError> {
        let Some(newest) = latest.values().map(|latest| latest.at).max() else { return Ok(()) };
        let mut marks: FxHashMap<RowId, Vec<Mark>> = FxHashMap::default();
        let from = newest.plus_ms(-MARKS_BACK_MS);
        let kept_from = self.store.kept().readings.unwrap_or(Millis(i64::MIN));
        for (row, mark) in self.store.marks_since(from)? {
            marks.entry(row).or_default().push(mark);
        }
        for channel in &mut self.registers {
            let Some(latest) = latest.get(&channel.row) else { continue };
            let mut own = marks.remove(&channel.row).unwrap_or_default();
            let (mut start, mut back_ms) = (from, MARKS_BACK_MS);
            while own.iter().filter(|mark| mark.verdict.anchor).count() < 2 && latest.first < start {
                start = latest.at.min(start).plus_ms(-back_ms);
                own = self.store.marks_of(channel.row, start, Millis(i64::MAX))?;
                back_ms = back_ms.saturating_mul(4);
            }
            channel.window = Window::restored(own, latest.first < kept_from.max(start));
        }
        Ok(())
    }

    fn restore_thresholds(&mut self, latest: &FxHashMap<RowId, Seen>) -> Result<(), EngineError> {
        let positions: Positions = self.registers.iter().map(|channel| channel.id).zip(0..).collect();
        for (rule, threshold) in self.rules.thresholds.iter().enumerate() {
            for (subject, watched) in threshold.subjects.iter().enumerate() {
                let of_meter = match watched.watched {
                    Watched::Meter(meter) => meter,
                    Watched::Part(part) => {
                        let place = SubjectPlace { rule: rule as u32, subject: subject as u32 };
                        self.sums.extend(SumWatch::new(&self.zone, place, (part, watched.register), &positions));
                        continue;
                    }
                };
                let meter = of_meter.0 as usize;
                let state = &mut self.thresholds[rule][subject];
                match threshold.on {
                    Signal::Gauge => {
                        let row = ChannelRow::gauge(&self.zone.meter(of_meter).id, &threshold.item);
                        let items = &mut self.meters[meter].items;
                        let known = items.iter().position(|item| *item.name == *threshold.item);
                        let index = if let Some(index) = known {
                            index
                        } else {
                            let (row, place) = self.store.channel_row(&row)?;
                            let kind = ItemKind::Gauge(row, place);
                            items.push(Item { name: shared(&mut self.names, &threshold.item), kind });
                            items.len() - 1
                        };
                        let ItemKind::Gauge(row, place) = items[index].kind else { continue };
                        // Of what lies beside a register the newest is not older than the register's.
                        let beside = place.and_then(|place| latest.get(&place.host));
                        for known in latest.get(&row).into_iter().chain(beside) {
                            state.seen = state.seen.max(known.at);
                        }
                        self.watches.push(Watch { channel: row, rule: rule as u32, subject: subject as u32 });
                    }
                    Signal::IntervalMean => {
                        let registers = self.meters[meter].items.iter().filter_map(Item::register);
                        let mut of_rule = registers.filter(|register| Some(self.registers[*register as usize].id) == watched.register);
                        let Some(register) = of_rule.next() else { continue };
                        let channel = &mut self.registers[register as usize];
                        self.watches.push(Watch { channel: channel.row, rule: rule as u32, subject: subject as u32 });
                        let mut open = OpenInterval::NEW;
                        if let Some(good) = channel.window.newest_good() {
                            let start = self.calendar.interval(good.at, self.zone.profile().interval_ms).start;
                            let first_seen = channel.first.is_some_and(|first| first <= start);
                            let so_far = self.store.interval(channel.row, start)?.map_or(Quantity(0), |(_, quantity)| quantity);
                            open = OpenInterval { seen: good.at, open: first_seen.then_some((start, so_far)) };
                            state.seen = good.at;
                        }
                        channel.mean = Some(Box::new(open));
                    }
                }
            }
        }
        self.watches.sort_unstable();
        self.restore_sums();
        let known = |state: Vec<crate::store::restore::FiringRow>| -> FxHashMap<(String, String), Millis> {
            state.into_iter().map(|row| ((row.rule, row.subject), row.since)).collect()
        };
        let (firing, pending) = (known(self.store.firing()?), known(self.store.pending()?));
        for (rule, states) in self.rules.thresholds.iter().zip(&mut self.thresholds) {
            for (watched, state) in rule.subjects.iter().zip(states) {
                let key = (rule.head.id.to_string(), watched.watched.id(&self.zone).to_owned());
                if let Some(since) = firing.get(&key) {
                    state.phase = Phase::Firing { since: *since };
                } else if let Some(since) = pending.get(&key) {
                    state.phase = Phase::Pending { since: *since };
                }
            }
        }
        Ok(())
    }

    fn restore_silence(&mut self) -> Result<(), EngineError> {
        for row in self.store.firing()? {
            if row.rule == BROKER_RULE {
                self.broker_lost_since = Some(row.since);
            } else if row.rule == OUTBOX_RULE {
                self.outbox_held_since = Some(row.since);
            } else if self.rules.stale.as_ref().is_some_and(|rule| *rule.head.id == row.rule) {
                if let Some(meter) = self.zone.meter_of(&row.subject) {
                    self.meters[meter.0 as usize].stale_since = Some(row.since);
                }
            } else if self.rules.gateway.as_ref().is_some_and(|rule| *rule.head.id == row.rule)
                && let Some(gateway) = self.zone.gateway_of(&row.subject)
            {
                self.gateways[gateway.0 as usize].alert_since = Some(row.since);
            }
        }
        for (gateway, since) in self.store.offline_gateways()? {
            if let Some(index) = self.zone.gateway_of(&gateway) {
                self.gateways[index.0 as usize].offline_since = Some(since);
                self.statuses[index.0 as usize] = true;
            }
        }
        if let Some(rule) = &self.rules.gateway {
            for (gateway, voice) in self.zone.gateways().iter().zip(&mut self.gateways) {
                voice.cleared_at = self.store.last_cleared(&rule.head.id, &gateway.id)?;
            }
        }
        Ok(())
    }

    /// Gaps that were waiting to be asked for, or asked for without an answer: the request may have died with the process.
    pub(super) fn restore_gaps(&mut self) -> Result<(), EngineError> {
        let due = self.fed.unwrap_or(Millis(i64::MIN));
        for asked in self.store.asked()? {
            let Some(meter) = self.zone.meter_of(&asked.meter).map(|meter| meter.0 as usize) else { continue };
            let Some(register) = self.meters[meter].items.iter().find_map(Item::register) else { continue };
            let between = self.store.marks_of(self.registers[register as usize].row, asked.from.plus_ms(1), asked.to)?;
            if between.is_empty() {
                self.gaps.push(Gap { meter, register, from: asked.from, to: asked.to, due });
            } else {
                self.asked.insert((meter, asked.from));
            }
        }
        for meter in 0..self.meters.len() {
            for item in 0..self.meters[meter].items.len() {
                let ItemKind::Register(register) = self.meters[meter].items[item].kind else { continue };
                let spans: Vec<(Millis, Millis)> = self.registers[register as usize].window.good_spans().collect();
                for span in spans {
                    self.note_gap(meter, register, span, due);
                }
            }
        }
        Ok(())
    }

    pub(super) fn register_spec(&self, register: u32) -> &RegisterSpec {
        self.zone.channel(self.registers[register as usize].id).register().expect("only registers have a window")
    }

    pub(super) fn register_item(&self, register: u32) -> &str {
        &self.zone.channel(self.registers[register as usize].id).item
    }
}

fn row_of<'z>(zone: &'z Zone, channel: &'z Channel, meter: &'z str) -> ChannelRow<'z> {
    ChannelRow {
        meter,
        item: &channel.item,
        register: !matches!(channel.kind, ChannelKind::Gauge),
        entity: Some(&zone.entity(channel.entity).id),
        book: channel.ledger_unit().and_then(|unit| Book::of(channel.carrier, unit)),
        direction: channel.direction.as_str(),
        level: channel.level.as_str(),
        boundary: channel.boundary,
        step: channel.register().map(RegisterSpec::step),
        gateway: zone.meter(channel.meter).gateway.map(|gateway| &*zone.gateways()[gateway.0 as usize].id),
    }
}

/// The conventional flow gauge beside a register (`docs/wire.md`), and ledger units per hour in one of its units.
pub(super) fn flow_gauge(unit: LedgerUnit) -> Option<(&'static str, f64)> {
    match unit {
        LedgerUnit::WattHour => Some(("active_power_kw", 1e3)),
        LedgerUnit::Litre => Some(("flow_m3_h", 1e3)),
        LedgerUnit::Kilojoule => Some(("thermal_power_kw", 3.6e3)),
        LedgerUnit::Gram => Some(("mass_flow_t_h", 1e6)),
        LedgerUnit::Piece => None,
    }
}

/// The one copy of a name.
pub(super) fn shared(names: &mut FxHashSet<Arc<str>>, name: &str) -> Arc<str> {
    if let Some(known) = names.get(name) {
        return known.clone();
    }
    let new: Arc<str> = name.into();
    names.insert(new.clone());
    new
}
