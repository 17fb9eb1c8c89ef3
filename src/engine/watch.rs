//! What the engine watches: thresholds, silent meters and gateways, gaps.

use super::{Ask, Engine, Gap};
use crate::alerts::silence::{MeterVoice, is_stale};
use crate::alerts::threshold::{Levels, Phase};
use crate::alerts::{BROKER_RULE, Change, OUTBOX_RULE, Transition};
use crate::domain::alert_rules::RuleHead;
use crate::domain::channel::MeterIndex;
use crate::domain::units::{Millis, SECOND_MS};
use crate::domain::zone::{ClockMode, Zone};
use crate::store::batch::{Asked, PendingRow, RowId};

/// A gateway has been offline for this long before its alert fires: after a broker's restart their wills are there before they are.
const OFFLINE_HOLD_MS: i64 = 60_000;

/// The broker is missed for this long before its alert fires.
pub const BROKER_LOST_MS: i64 = 30_000;
/// A stretch without readings of more than this many intervals, or spacings before it, in halves, is a gap.
const GAP_HALF_INTERVALS: i64 = 3;
/// Intervals to wait before a gap is asked for: it may just be late.
const GAP_PATIENCE_INTERVALS: i64 = 2;
/// Gaps that wait to be asked for; beyond, new ones are only counted.
const GAPS_MAX: usize = 100_000;

impl Engine {
    /// What the passing of time changes: stale meters, silent gateways, gaps that are due.
    pub fn tick(&mut self, now: Millis) {
        self.watch_gateways(now);
        self.watch_meters(now);
        self.ask_for_gaps(now);
    }

    /// Shows a channel's value, or mean, to the thresholds on it.
    pub(super) fn observe(&mut self, channel: RowId, value: f64, at: Millis) {
        let from = self.watches.partition_point(|watch| watch.channel < channel);
        for index in from..self.watches.len() {
            let watch = self.watches[index];
            if watch.channel != channel {
                return;
            }
            self.observe_one(watch.rule as usize, watch.subject as usize, value, at);
        }
    }

    pub(super) fn observe_one(&mut self, rule: usize, subject: usize, value: f64, at: Millis) {
        let threshold_rule = &self.rules.thresholds[rule];
        let watched = threshold_rule.subjects[subject];
        let levels = Levels { raise_above: watched.raise_above, clear_below: watched.clear_below, hold_ms: threshold_rule.hold_ms };
        let threshold = &mut self.thresholds[rule][subject];
        let before = threshold.phase;
        let change = threshold.observe(levels, value, at);
        let after = threshold.phase;
        let id = watched.watched.id(&self.zone);
        let since = |phase| if let Phase::Pending { since } = phase { Some(since) } else { None };
        if since(before) != since(after) {
            let row = PendingRow { rule: threshold_rule.head.id.clone(), subject: id.into(), since: since(after) };
            self.batch.pending.push(row);
        }
        if let Some((change, since)) = change {
            let limit = if change == Change::Raised { levels.raise_above } else { levels.clear_below };
            let transition = transition(&threshold_rule.head, id, change, (value, limit), since, at);
            self.batch.transitions.push(transition);
        }
    }

    /// A meter was heard at `at`, device time.
    pub(super) fn heard(&mut self, meter: usize, at: Millis) {
        let state = &mut self.meters[meter];
        if state.newest.is_some_and(|newest| at <= newest) {
            return;
        }
        state.newest = Some(at);
        let (Some(since), Some(rule)) = (state.stale_since.take(), &self.rules.stale) else { return };
        let subject = &self.zone.meter(MeterIndex(meter as u32)).id;
        let limit_s = rule.after_ms as f64 / SECOND_MS as f64;
        let silent_s = at.ms_since(since) as f64 / SECOND_MS as f64;
        self.batch.transitions.push(transition(&rule.head, subject, Change::Cleared, (silent_s, limit_s), since, at));
    }

    pub(super) fn take_status(&mut self, gateway: &str, online: bool, wall: Millis) {
        let now = self.now(wall);
        let Some(index) = self.zone.gateway_of(gateway) else {
            self.count("unknown_gateway_status", 1);
            return;
        };
        let voice = &mut self.gateways[index.0 as usize];
        if online != voice.offline_since.is_some() && self.statuses[index.0 as usize] {
            return;
        }
        self.statuses[index.0 as usize] = true;
        voice.offline_since = if online { None } else { Some(now) };
        self.batch.gateways.push((gateway.into(), online, now));
    }

    fn watch_gateways(&mut self, now: Millis) {
        let Some(rule) = &self.rules.gateway else { return };
        let live_from = self.heard_from;
        let after_ms = self.rules.stale.as_ref().map(|stale| stale.after_ms);
        for (voice, gateway) in self.gateways.iter_mut().zip(self.zone.gateways()) {
            let voices = gateway.meters.iter().map(|meter| {
                let state = &self.meters[meter.0 as usize];
                MeterVoice { newest: state.newest, stale_since: state.stale_since }
            });
            let voices = voices.filter(|voice| voice.newest.is_some());
            let offline = voice.offline_since.filter(|since| now.ms_since(*since) >= OFFLINE_HOLD_MS);
            let silent = voice.offline_since.is_none()
                && voices.clone().count() >= 2
                && after_ms.is_some_and(|after_ms| voices.clone().all(|voice| is_stale(&voice, now, after_ms, live_from)));
            let fires = offline.is_some() || silent || (voice.offline_since.is_some() && voice.alert_since.is_some());
            let value = (gateway.meters.len() as f64, 0.0);
            match (voice.alert_since, fires) {
                (None, true) => {
                    let since = offline.unwrap_or(now);
                    voice.alert_since = Some(since);
                    self.batch.transitions.push(transition(&rule.head, &gateway.id, Change::Raised, value, since, now));
                }
                (Some(since), false) => {
                    voice.alert_since = None;
                    voice.cleared_at = Some(now);
                    self.batch.transitions.push(transition(&rule.head, &gateway.id, Change::Cleared, (0.0, 0.0), since, now));
                }
                (None, false) | (Some(_), true) => {}
            }
        }
    }

    fn watch_meters(&mut self, now: Millis) {
        let Some(rule) = &self.rules.stale else { return };
        let live_from = self.heard_from;
        for (state, meter) in self.meters.iter_mut().zip(self.zone.meters()) {
            let voice = MeterVoice { newest: state.newest, stale_since: state.stale_since };
            let (Some(newest), None) = (voice.newest, voice.stale_since) else { continue };
            if !is_stale(&voice, now, rule.after_ms, live_from) {
                continue;
            }
            let covered = meter.gateway.is_some_and(|gateway| self.gateways[gateway.0 as usize].covers_meters(now, rule.after_ms));
            if covered {
                continue;
            }
            state.stale_since = Some(newest);
            let silent_s = now.ms_since(newest) as f64 / SECOND_MS as f64;
            let limit_s = rule.after_ms as f64 / SECOND_MS as f64;
            self.batch.transitions.push(transition(&rule.head, &meter.id, Change::Raised, (silent_s, limit_s), newest, now));
        }
    }

    /// There has been no broker since a moment: one alert, whatever else falls silent.
    pub fn broker_lost(&mut self, since: Millis, now: Millis) {
        if self.broker_lost_since.is_none() {
            self.broker_lost_since = Some(since);
            let lost_s = now.ms_since(since) as f64 / SECOND_MS as f64;
            let raised = broker_transition(&self.zone, Change::Raised, lost_s, since, now);
            self.batch.transitions.push(raised);
        }
    }

    /// The broker is there: stale timers go on from here.
    pub fn broker_back(&mut self, now: Millis) {
        if self.zone.profile().clock == ClockMode::Wall {
            self.heard_from = self.heard_from.max(Some(now));
        }
        if let Some(since) = self.broker_lost_since.take() {
            let lost_s = now.ms_since(since) as f64 / SECOND_MS as f64;
            let cleared = broker_transition(&self.zone, Change::Cleared, lost_s, since, now);
            self.batch.transitions.push(cleared);
        }
    }

    /// Whether the outbox is held because its server refuses the token.
    pub fn outbox_held(&mut self, held: bool, wall: Millis) {
        let now = self.now(wall);
        let change = match (self.outbox_held_since, held) {
            (None, true) => Change::Raised,
            (Some(_), false) => Change::Cleared,
            (None, false) | (Some(_), true) => return,
        };
        let since = self.outbox_held_since.unwrap_or(now);
        self.outbox_held_since = held.then_some(since);
        let (rule, subject, held_s) = (OUTBOX_RULE.into(), self.zone.id().into(), now.ms_since(since) as f64 / SECOND_MS as f64);
        self.batch.transitions.push(Transition { rule, subject, severity: "critical", change, value: held_s, limit: 0.0, since, at: now });
    }

    /// Notes a span without readings between two good ones, if it is too long to be the meter's rhythm.
    pub(super) fn note_gap(&mut self, meter: usize, register: u32, (from, to): (Millis, Millis), now: Millis) {
        let profile = self.zone.profile();
        let live = profile.live_from.is_none_or(|live_from| live_from <= from);
        let before = self.registers[register as usize].window.good_span_until(from);
        let rhythm_ms = before.map_or(0, |(from, to)| to.ms_since(from)).max(profile.interval_ms);
        if live && 2 * to.ms_since(from) > GAP_HALF_INTERVALS * rhythm_ms {
            let due = now.plus_ms(GAP_PATIENCE_INTERVALS * profile.interval_ms);
            self.gaps.push(Gap { meter, register, from, to, due });
        }
    }

    /// Asks for gaps that are still there, once each, and not while their gateway is offline.
    fn ask_for_gaps(&mut self, now: Millis) {
        if self.gaps.len() > GAPS_MAX {
            self.gaps.truncate(GAPS_MAX);
        }
        let mut waiting = std::mem::take(&mut self.gaps);
        waiting.retain(|gap| {
            let gateway = self.zone.meter(MeterIndex(gap.meter as u32)).gateway;
            let offline = gateway.is_some_and(|gateway| self.gateways[gateway.0 as usize].offline_since.is_some());
            if now < gap.due || offline {
                return true;
            }
            let open = self.registers[gap.register as usize].window.has_gap(gap.from, gap.to);
            if let (true, Some(gateway), true) = (open, gateway, self.asked.insert((gap.meter, gap.from))) {
                let meter = self.zone.meter(MeterIndex(gap.meter as u32)).id.clone();
                let gateway = self.zone.gateways()[gateway.0 as usize].id.clone();
                self.batch.asked.push(Asked { meter: meter.clone(), from: gap.from, to: gap.to, at: now });
                self.effects.asks.push(Ask { gateway, meter, from: gap.from, to: gap.to });
            }
            false
        });
        self.gaps = waiting;
    }
}

fn broker_transition(zone: &Zone, change: Change, lost_s: f64, since: Millis, at: Millis) -> Transition {
    let limit = BROKER_LOST_MS as f64 / SECOND_MS as f64;
    Transition { rule: BROKER_RULE.into(), subject: zone.id().into(), severity: "critical", change, value: lost_s, limit, since, at }
}

fn transition(head: &RuleHead, subject: &str, change: Change, (value, limit): (f64, f64), since: Millis, at: Millis) -> Transition {
    Transition { rule: head.id.clone(), subject: subject.into(), severity: head.severity.as_str(), change, value, limit, since, at }
}
