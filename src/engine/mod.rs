//! The engine: takes messages in, keeps the books, says what has to be told.
//!
//! Synchronous; `now` comes in, effects go out as values. It reads the store only for what has left its memory. Invariant: what is stored
//! is a function of the set of accepted readings and events, never of their order, and no effect precedes its commit.

mod channel;
mod drivers;
mod in_force;
mod planning;
mod readings;
pub mod regulate;
pub mod rejection;
pub mod reload;
pub mod restate;
mod restore;
mod sums;
pub mod watch;

use std::sync::Arc;

use rustc_hash::FxHashSet;

use crate::accounting::Book;
use crate::alerts::Transition;
use crate::alerts::silence::GatewayVoice;
use crate::alerts::threshold::Threshold;
use crate::claims::ClaimError;
use crate::claims::keep::Keeper;
use crate::domain::alert_rules::AlertRules;
use crate::domain::calendar::LocalCalendar;
use crate::domain::channel::LedgerUnit;
use crate::domain::factors::MissingFactor;
use crate::domain::keep::History;
use crate::domain::units::{DAY_MS, Millis};
use crate::domain::zone::{ClockMode, Zone};
use crate::ledger::window::Changes;
use crate::lines::Field;
use crate::store::batch::{Batch, DeadLetter, Place, RowId};
use crate::store::history::Packed;
use crate::store::{Store, StoreError};
use crate::wire::decode::{self, Message};
use channel::{Grid, RegisterChannel};
use in_force::{Desk, InForce};
use regulate::{Outgoing, Regulation};
use rejection::Rejection;
use sums::SumWatch;

/// Bytes of a refused payload that are kept.
pub const DEAD_LETTER_BYTES_MAX: usize = 4096;
/// Dead letters of one commit; beyond, only the counts go on.
const DEAD_LETTERS_PER_COMMIT_MAX: usize = 1000;

/// A fed clock may be this far ahead of the wall clock: simulations play the years to come.
const FED_AHEAD_MS_MAX: i64 = 20 * 366 * DAY_MS;
/// A fed clock's next tick may be this far away.
const FED_STEP_MS_MAX: i64 = 32 * DAY_MS;

#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Factor(#[from] MissingFactor),
    #[error(transparent)]
    Unwelcome(#[from] reload::Unwelcome),
    #[error(transparent)]
    Claim(#[from] ClaimError),
}

/// What one item of a meter is to the engine.
#[derive(Debug)]
enum ItemKind {
    /// Position in [`Engine::registers`].
    Register(u32),
    Gauge(RowId, Option<Place>),
}

#[derive(Debug)]
struct Item {
    /// Shared by all items of the name, see [`Engine::names`].
    name: Arc<str>,
    kind: ItemKind,
}

impl Item {
    fn register(&self) -> Option<u32> {
        match self.kind {
            ItemKind::Register(register) => Some(register),
            ItemKind::Gauge(..) => None,
        }
    }
}

/// A threshold on a channel: positions of the rule and of its subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Watch {
    channel: RowId,
    rule: u32,
    subject: u32,
}

#[derive(Debug)]
struct MeterState {
    items: Vec<Item>,
    valid_from: Millis,
    newest: Option<Millis>,
    stale_since: Option<Millis>,
    /// What the only register of a meter counts: it may have a flow gauge beside it.
    single: Option<LedgerUnit>,
}

/// A stretch without readings, to be asked for when it is still there at `due`.
#[derive(Clone, Copy, Debug)]
struct Gap {
    meter: usize,
    register: u32,
    from: Millis,
    to: Millis,
    due: Millis,
}

/// Readings that a gateway is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    pub gateway: Box<str>,
    pub meter: Box<str>,
    pub from: Millis,
    pub to: Millis,
}

/// What has to be told once the batch is committed.
#[derive(Debug, Default)]
pub struct Effects {
    pub transitions: Vec<Transition>,
    pub asks: Vec<Ask>,
    pub commands: Vec<Outgoing>,
    /// Books and years for which the ledger goes on with factors that differ from the zone folder's.
    pub changed_factors: Vec<(Book, i16)>,
    /// A lock-step tick that was reached.
    pub done: Option<Millis>,
    /// Rejections since the last commit, for the log: the first of each reason and how many more.
    pub rejections: Vec<(Rejection, u64)>,
}

#[derive(Debug)]
pub struct Engine {
    zone: Zone,
    in_force: InForce,
    grid: Grid,
    rules: AlertRules,
    store: Store,
    calendar: LocalCalendar,
    entities: Vec<RowId>,
    /// Rows of [`Zone::parts`].
    parts: Vec<RowId>,
    whole: RowId,
    registers: Vec<RegisterChannel>,
    meters: Vec<MeterState>,
    names: FxHashSet<Arc<str>>,
    gateways: Vec<GatewayVoice>,
    /// Gateways whose status has been heard.
    statuses: Vec<bool>,
    thresholds: Vec<Vec<Threshold>>,
    /// Which thresholds look at which channels, in order.
    watches: Vec<Watch>,
    sums: Vec<SumWatch>,
    /// Which sums a register is in, in order.
    sums_of: Vec<(u32, u32)>,
    gaps: Vec<Gap>,
    asked: FxHashSet<(usize, Millis)>,
    /// The wall clock as it was last told.
    wall: Millis,
    /// The engine's clock; none in a fed zone before the first tick.
    fed: Option<Millis>,
    next: Millis,
    /// Silence counts from here on: the clock stood still for stale timers while there was no broker.
    heard_from: Option<Millis>,
    /// Since when the broker's alert fires.
    broker_lost_since: Option<Millis>,
    /// Rows of weather gauges.
    weather: Vec<RowId>,
    savings: Keeper,
    regulation: Regulation,
    planning: planning::Planning,
    /// Somebody asked for something that the next commit has to send.
    told: bool,
    /// Since when the outbox's alert fires.
    outbox_held_since: Option<Millis>,
    batch: Batch,
    effects: Effects,
    changes: Changes,
    rejected: Vec<Rejection>,
    /// Items and values of one reading; empty between two.
    gauges: Vec<(usize, f64)>,
}

impl Engine {
    /// Takes one message in. `wall` is the wall clock, which is the engine's where the zone does not feed one.
    /// An error ends the process: the batch is not committed and its messages are not acknowledged.
    pub fn apply(&mut self, topic: &str, payload: &[u8], wall: Millis) -> Result<(), EngineError> {
        self.wall = self.wall.max(wall);
        self.batch.wall = wall;
        let zone_id: Box<str> = self.zone.id().into();
        match decode::decode(&zone_id, topic, payload) {
            Ok(Message::Telemetry { readings, .. }) => {
                for reading in readings {
                    match reading {
                        Ok(reading) => self.take_reading(&reading, wall)?,
                        Err(refusal) => self.rejected.push(refusal.into()),
                    }
                }
            }
            Ok(Message::Swap { swap, .. }) => self.take_swap(&swap, wall)?,
            Ok(Message::Status { gateway, online }) => self.take_status(gateway, online, wall),
            Ok(Message::Clock { now, next, lockstep }) => match self.zone.profile().clock {
                // A clock that never turns back must not be set for ever by one wrong message.
                ClockMode::Feed if now.ms_since(wall) > FED_AHEAD_MS_MAX || next.ms_since(now) > FED_STEP_MS_MAX => {
                    self.rejected.push(Rejection::ClockTooFar { now_ms: now.0, next_ms: next.0 });
                }
                ClockMode::Feed => {
                    self.take_clock(now, next);
                    if lockstep {
                        self.effects.done = Some(now);
                    }
                }
                ClockMode::Wall => self.count("clock_ignored", 1),
            },
            Ok(Message::Command { asset, command }) => self.hear_command(asset, &command)?,
            Ok(Message::Outcome { asset, outcome }) => self.take_outcome(asset, &outcome, wall)?,
            Ok(Message::NotForUs) => {}
            Err(refusal) => self.rejected.push(refusal.into()),
        }
        if !self.rejected.is_empty() {
            self.bury(topic, payload, wall);
        }
        Ok(())
    }

    /// Whether a commit would write anything or tell anyone.
    #[must_use]
    pub fn has_work(&self) -> bool {
        !self.batch.is_empty() || self.effects.done.is_some() || self.told
    }

    /// Whether somebody waits for the commit, or the batch is full.
    #[must_use]
    pub fn wants_commit(&self) -> bool {
        self.effects.done.is_some() || self.batch.is_full()
    }

    /// The wall clock moves; it is the engine's where the zone does not feed one.
    pub fn tick_wall(&mut self, wall: Millis) {
        self.wall = self.wall.max(wall);
        self.batch.wall = wall;
        match self.zone.profile().clock {
            ClockMode::Wall => self.tick(wall),
            ClockMode::Feed => {}
        }
    }

    /// Writes what was taken in and returns what has to be told now.
    pub fn commit(&mut self) -> Result<Effects, EngineError> {
        // Who is told the time is there to be told more.
        let ticks = self.batch.now.is_some() || self.told || self.zone.profile().clock == ClockMode::Wall;
        self.assess_parts()?;
        let mut effects = std::mem::take(&mut self.effects);
        effects.transitions.clone_from(&self.batch.transitions);
        self.note_alerts();
        if !self.batch.is_empty() {
            self.savings.note(&self.batch);
            self.store.commit(&mut self.batch, &mut self.calendar)?;
            self.savings.catch_up(&mut self.store)?;
            // Stored and told with the next commit, as every alert.
            self.batch.transitions.append(&mut self.savings.transitions);
        }
        self.told = false;
        effects.commands = self.regulate(ticks)?;
        Ok(effects)
    }

    /// Packs some of the history that is old enough, in proportion to what was committed; nothing of what anybody sees changes.
    pub fn keep_packed(&mut self, history: &History) -> Result<Packed, EngineError> {
        let now = self.now(self.wall);
        Ok(if history.pack { self.store.keep_packed(now)? } else { Packed::default() })
    }

    /// What is done now and then: newest values for readers and, where it is wanted, a slice of history packed; one removed, when there is none to pack.
    pub fn tidy(&mut self, history: &History) -> Result<Packed, EngineError> {
        self.settle()?;
        let now = self.now(self.wall);
        let packed = if history.pack { self.store.pack(now)? } else { Packed::default() };
        if packed.rows() == 0 {
            self.store.forget(&history.keep, now)?;
        }
        Ok(packed)
    }

    /// Brings the newest values that readers see up to date.
    pub fn settle(&mut self) -> Result<(), EngineError> {
        Ok(self.store.settle()?)
    }

    /// Turns the outbox on for a target, or off; see [`Store::set_outbox`].
    pub fn set_outbox(&mut self, target: Option<&str>, wall: Millis) -> Result<(), EngineError> {
        Ok(self.store.set_outbox(target, wall)?)
    }

    /// Points of the batch's alerts for the outbox.
    fn note_alerts(&mut self) {
        if !self.store.feeds_outbox() {
            return;
        }
        for t in &self.batch.transitions {
            let tags = [("zone", self.zone.id()), ("rule", &t.rule), ("subject", &t.subject), ("severity", t.severity)];
            let fields = [("state", Field::Text(t.change.state())), ("value", Field::Number(t.value)), ("limit", Field::Number(t.limit))];
            self.batch.lines.point("alert", &tags, &fields, t.at);
        }
    }

    /// The engine's clock.
    #[must_use]
    pub fn now(&self, wall: Millis) -> Millis {
        match self.zone.profile().clock {
            ClockMode::Wall => wall,
            ClockMode::Feed => self.fed.unwrap_or(wall),
        }
    }

    #[must_use]
    pub fn zone(&self) -> &Zone {
        &self.zone
    }

    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    fn take_clock(&mut self, now: Millis, next: Millis) {
        // A clock that is sent again, or late, never turns the engine's back.
        if self.fed.is_some_and(|fed| now < fed) {
            return;
        }
        self.fed = Some(now);
        self.next = next.max(now);
        self.batch.now = Some((now, self.next));
        self.tick(now);
    }

    fn count(&mut self, name: &'static str, by: i64) {
        *self.batch.counts.entry(name).or_default() += by;
    }

    fn bury(&mut self, topic: &str, payload: &[u8], wall: Millis) {
        let now = self.now(wall);
        for rejection in std::mem::take(&mut self.rejected) {
            let reason = rejection.reason();
            *self.batch.refusals.entry(reason).or_default() += 1;
            if self.batch.dead_letters.len() < DEAD_LETTERS_PER_COMMIT_MAX {
                let payload = payload[..payload.len().min(DEAD_LETTER_BYTES_MAX)].to_vec();
                let detail = rejection.to_string();
                self.batch.dead_letters.push(DeadLetter { at: now, topic: topic.to_owned(), reason, detail, payload });
            }
            match self.effects.rejections.iter_mut().find(|(seen, _)| seen.reason() == reason) {
                Some((_, more)) => *more += 1,
                None => self.effects.rejections.push((rejection, 0)),
            }
        }
    }

    /// Gives the batch's parts their carbon, standard coal and cost, and says since when they are known.
    fn assess_parts(&mut self) -> Result<(), EngineError> {
        let mut desk = Desk { store: &self.store, profile: self.zone.profile(), calendar: &mut self.calendar };
        self.in_force.assess(&mut self.batch.hours, &mut self.batch.costs, &mut desk)?;
        self.batch.factors.append(&mut self.in_force.news.factors);
        self.batch.prices.append(&mut self.in_force.news.prices);
        self.effects.changed_factors.append(&mut self.in_force.news.changed_factors);
        self.batch.recorded = self.recorded();
        Ok(())
    }

    /// The engine's clock; where a fed one has not spoken yet, before all time.
    fn recorded(&self) -> Millis {
        match self.zone.profile().clock {
            ClockMode::Wall => self.wall,
            ClockMode::Feed => self.fed.unwrap_or(Millis(i64::MIN)),
        }
    }
}
