//! The desk at work: decisions when a quarter of an hour begins, results as they come, what operators ask.
//!
//! Decides from what is committed, and keeps what it decided before anything of it goes out: after a crash in between the same decision is made again, or
//! the same command sent. Nothing is decided before the zone's live part.

use super::planning::Said;
use super::rejection::Rejection;
use super::{Engine, EngineError};
use crate::alerts::{Change, RESULT_RULE, Transition};
use crate::domain::assets::{Asset, AssetKind, Mode};
use crate::domain::channel::Carrier;
use crate::domain::tariff::Band;
use crate::domain::units::{HOUR_MS, MINUTE_MS, Millis, SECOND_MS};
use crate::domain::zone::ClockMode;
use crate::regulation::desk::{self, Asker, HOLD_HOURS_MAX, Move, Order, Place, Reply, Stage, UNANSWERED_MS};
use crate::regulation::guard;
use crate::regulation::rules::{self, Situation};
use crate::store::batch::Batch;
use crate::store::outbox::command_point;
use crate::store::regulation::Kept;
use crate::store::{Store, StoreError};
use crate::wire::assets::{self, Heard, Outcome};
use crate::wire::{encode, topic};

/// Decisions are made when the engine's clock enters another stretch of this length.
pub(super) const DECISION_MS: i64 = 15 * MINUTE_MS;
/// How far back the outdoor temperature is looked at: for the season, and for the weather of the hour.
const DAY_BACK_MS: i64 = 24 * HOUR_MS;
const HOURS_BACK_MS: i64 = 3 * HOUR_MS;

/// Why a plan's wish is one.
const PLANNED: &str = "least cost, carbon and peak over the next day and a half";

/// What regulation keeps in memory; all of it is in the store, too.
#[derive(Debug, Default)]
pub(super) struct Regulation {
    /// Off: nothing is decided and nothing is sent.
    on: bool,
    /// Whether the assets of the programme are there.
    programme: bool,
    /// In the order of the zone's assets.
    places: Vec<Place>,
    stopped: bool,
    decided: Option<Millis>,
    /// Not stored yet.
    moves: Vec<Move>,
    /// Positions of assets whose rows changed with these moves.
    changed: Vec<usize>,
}

/// What an operator asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Wish {
    Stop,
    Resume,
    /// Asset, set point, for so many hours.
    Hold(String, f64, i64),
    Release(String),
    Approve(String),
    /// None: the zone folder's mode.
    Mode(String, Option<Mode>),
}

/// A command that has to be published: position of the asset, and the command.
pub type Outgoing = (usize, Order);

impl Regulation {
    pub fn restored(store: &Store, assets: &[Asset]) -> Result<Regulation, StoreError> {
        let places = assets.iter().map(|asset| store.place(&asset.id)).collect::<Result<_, _>>()?;
        let (stopped, decided) = store.regulation()?;
        Ok(Regulation { on: false, programme: false, places, stopped, decided, moves: Vec::new(), changed: Vec::new() })
    }

    pub fn is_on(&self) -> bool {
        self.on
    }

    /// Whether the assets of the programme are there.
    pub(super) fn programme(&self) -> bool {
        self.programme
    }

    /// Something that is about no single asset.
    pub(super) fn say(&mut self, entry: Move) {
        self.moves.push(entry);
    }

    fn note(&mut self, index: usize, entry: Move) {
        self.changed.push(index);
        self.moves.push(entry);
    }
}

impl Engine {
    /// Switches regulation on or off; off until then.
    pub fn set_regulation(&mut self, on: bool) {
        self.regulation.on = on;
    }

    /// The assets of the programme are there from now on.
    pub fn commission(&mut self) {
        self.regulation.programme = true;
    }

    /// Decides if it is time to, and gives what has to go out, where `sends` says that it may. The batch is committed.
    pub(super) fn regulate(&mut self, sends: bool) -> Result<Vec<Outgoing>, EngineError> {
        let Some(now) = self.clock().filter(|_| !self.zone.assets().is_empty()) else { return Ok(Vec::new()) };
        if !self.regulation.on {
            self.keep_moves(false)?;
            return Ok(Vec::new());
        }
        let is_live = self.zone.profile().live_from.is_none_or(|live_from| live_from <= now);
        let is_due = self.regulation.decided.is_none_or(|decided| decided.0.div_euclid(DECISION_MS) < now.0.div_euclid(DECISION_MS));
        if is_live && is_due {
            self.decide(now)?;
            self.regulation.decided = Some(now);
        }
        self.watch_results(now);
        self.keep_moves(is_live && is_due)?;
        if !sends {
            return Ok(Vec::new());
        }
        let places = self.regulation.places.iter_mut().enumerate();
        Ok(places.filter_map(|(index, place)| Some((index, place.to_send(now)?))).collect())
    }

    /// The engine's clock, once there is one.
    fn clock(&self) -> Option<Millis> {
        match self.zone.profile().clock {
            ClockMode::Wall => Some(self.wall),
            ClockMode::Feed => self.fed,
        }
    }

    fn decide(&mut self, now: Millis) -> Result<(), EngineError> {
        let Ok(at) = jiff::Timestamp::from_millisecond(now.0) else { return Ok(()) };
        let plans = self.plans(now)?;
        let zone = &self.zone;
        let tz = &zone.profile().time_zone;
        let day_c = self.store.outdoor_c(now.plus_ms(-DAY_BACK_MS), now)?;
        let outdoor_c = self.store.outdoor_c(now.plus_ms(-HOURS_BACK_MS), now)?;
        let lead = jiff::SignedDuration::from_secs_f64(3600.0 * rules::lead_hours(outdoor_c));
        let (local, soon) = (tz.to_datetime(at), tz.to_datetime(at.saturating_add(lead).unwrap_or(at)));
        let into_hour_ms = i64::from(local.minute()) * MINUTE_MS + i64::from(local.second()) * SECOND_MS;
        let spans = self.in_force.tariff.day(Carrier::Electricity, now, &mut self.calendar);
        let band = spans.iter().find(|span| span.from <= now && now < span.to).map_or(Band::Unpriced, |span| span.band);
        let programme = self.regulation.programme;
        for (index, asset) in zone.assets().iter().enumerate().filter(|(_, asset)| programme || !asset.programme) {
            let place = &mut self.regulation.places[index];
            let days = zone.day_types();
            let in_use = asset.in_use(local, days) || (asset.kind == AssetKind::Hvac && asset.in_use(soon, days));
            let use_changes_in_ms = asset.use_changes_in_h(local, days).map_or(i64::MAX, |hours| i64::from(hours) * HOUR_MS - into_hour_ms);
            let until = desk::valid_until(asset, use_changes_in_ms, now);
            let value = place.standing(now).value;
            let wish = match plans[index] {
                Said::SetPoint(planned) => planned.map(|value| rules::Wish { value, reason: PLANNED }),
                Said::Nothing => rules::wish(asset, &Situation { local, in_use, value, day_c, outdoor_c, band }),
            };
            if let Some(order) = place.decide(asset, wish.as_ref(), (self.regulation.stopped, in_use), (now, until)) {
                let entry = said(asset, order, "rules", now);
                self.regulation.note(index, entry);
            }
        }
        Ok(())
    }

    /// Tells of commands without a result, and of assets that answer again.
    fn watch_results(&mut self, now: Millis) {
        for (index, asset) in self.zone.assets().iter().enumerate() {
            let place = &mut self.regulation.places[index];
            let answers = place.order.as_ref().is_none_or(|order| matches!(order.stage, Stage::Accepted | Stage::Refused));
            let (change, since) = match (place.unanswered, place.is_unanswered(now)) {
                (None, true) => (Change::Raised, place.order.as_ref().map_or(now, |order| order.from)),
                (Some(since), false) if answers => (Change::Cleared, since),
                (None, false) | (Some(_), _) => continue,
            };
            place.unanswered = (change == Change::Raised).then_some(since);
            let [value, limit] = [now.ms_since(since), UNANSWERED_MS].map(|ms| ms as f64 / SECOND_MS as f64);
            let (rule, subject) = (RESULT_RULE.into(), asset.id.clone());
            self.batch.transitions.push(Transition { rule, subject, severity: "warning", change, value, limit, since, at: now });
            let outcome = if change == Change::Raised { "no result" } else { "results again" };
            let [who, what, why, outcome] = ["collector", "wait for a result", "", outcome].map(str::to_owned);
            let asset = asset.id.to_string();
            self.regulation.note(index, Move { asset, at: now, who, what, why, outcome, order: None, reply: None });
        }
    }

    /// Topic and payload of a command to the asset at a position, see `docs/wire.md`.
    #[must_use]
    pub fn command(&self, asset: usize, order: &Order) -> (String, Vec<u8>) {
        let (asset, tz) = (&self.zone.assets()[asset], &self.zone.profile().time_zone);
        let command = assets::Command {
            id: &order.id,
            asset: &asset.id,
            value: order.value,
            unit: &asset.unit,
            from: encode::rfc3339(order.from, tz),
            until: encode::rfc3339(order.until, tz),
            reason: &order.reason,
        };
        (topic::command(self.zone.id(), &asset.id), assets::encode(&command))
    }

    /// Stores what happened at the desk, with its points for the outbox.
    fn keep_moves(&mut self, decided: bool) -> Result<(), EngineError> {
        let Regulation { places, stopped, decided: at, moves, changed, .. } = &mut self.regulation;
        if moves.is_empty() && !decided {
            return Ok(());
        }
        let mut points = Batch { wall: self.wall, ..Batch::default() };
        for Move { asset, order, .. } in moves.iter().filter(|_| self.store.feeds_outbox()) {
            let Some(order) = order else { continue };
            let action = if order.value.is_some() { "set" } else { "release" };
            command_point(&mut points.lines, (self.zone.id(), asset), (action, order.stage.as_str(), order.value), order.from);
        }
        changed.sort_unstable();
        changed.dedup();
        let assets = self.zone.assets();
        let kept = changed.iter().map(|index| Kept { asset: &assets[*index].id, place: &places[*index] });
        self.store.keep_moves(moves, kept, (*stopped, *at), (&mut points, &mut self.calendar))?;
        moves.clear();
        changed.clear();
        Ok(())
    }

    /// Somebody's command: one's own comes back from the broker, and any other is nobody's.
    pub(super) fn hear_command(&mut self, asset: &str, command: &Heard) -> Result<(), EngineError> {
        let own = self
            .store
            .order(&command.id)?
            .is_some_and(|order| order.value == command.value && command.id.starts_with(&format!("{asset}@")));
        if !own {
            self.rejected.push(Rejection::ForgedCommand { asset: asset.to_owned(), id: command.id.chars().take(80).collect() });
        }
        Ok(())
    }

    /// An asset's result, believed on its own topic and about a command that was sent.
    pub(super) fn take_outcome(&mut self, asset: &str, outcome: &Outcome, wall: Millis) -> Result<(), EngineError> {
        let index = self.zone.assets().iter().position(|known| *known.id == *asset);
        let Some(index) = index.filter(|_| *outcome.asset == *asset && outcome.id.starts_with(&format!("{asset}@"))) else {
            self.rejected.push(Rejection::StrangeResult { asset: asset.to_owned(), id: outcome.id.chars().take(80).collect() });
            return Ok(());
        };
        let now = self.now(wall);
        let accepted = outcome.cause.is_none();
        if let Some(order) = self.regulation.places[index].answered(&outcome.id, accepted) {
            let what = match order.value {
                Some(value) => format!("result of set {value} {}", self.zone.assets()[index].unit),
                None => "result of release".to_owned(),
            };
            let (asset, who, why) = (asset.to_owned(), asset.to_owned(), outcome.cause.clone().unwrap_or_default());
            let reply = outcome.cause.clone().map_or(Reply::Accepted { taken: outcome.at }, Reply::Refused);
            let (outcome, reply) = (order.stage.as_str().to_owned(), Some(reply));
            self.regulation.note(index, Move { asset, at: now, who, what, why, outcome, order: Some(order), reply });
        } else if self.store.order(&outcome.id)?.is_none() {
            self.rejected.push(Rejection::StrangeResult { asset: asset.to_owned(), id: outcome.id.chars().take(80).collect() });
        }
        // Otherwise it came twice, or late.
        Ok(())
    }

    /// Does what an operator asks, and keeps it; what has to go out goes with the next commit. The text says what was done; an error, why nothing was.
    pub fn operate(&mut self, wish: &Wish, (who, why): (&str, &str)) -> Result<Result<String, String>, EngineError> {
        let now = self.clock().unwrap_or(self.wall);
        let positions = match self.positions(wish) {
            Ok(positions) => positions,
            Err(unknown) => return Ok(Err(unknown)),
        };
        let (mut done, mut refused) = (0, None);
        for index in positions {
            match self.operate_one(wish, index, (who, why), now) {
                Ok(true) => done += 1,
                Ok(false) => {}
                Err(refusal) => refused = refused.or(Some(refusal.to_string())),
            }
        }
        if let Some(refusal) = refused {
            return Ok(Err(refusal));
        }
        let text = match wish {
            Wish::Stop => format!("stopped; {done} assets are given back to their plans"),
            Wish::Resume => "goes on with the next decision".to_owned(),
            Wish::Hold(asset, value, hours) => format!("{asset} is held at {value} for {hours} h"),
            Wish::Release(asset) => {
                format!("{asset} is the strategies' again, {}", if done > 0 { "from its plan" } else { "it was at its plan" })
            }
            Wish::Approve(_) => format!("{done} commands go out"),
            Wish::Mode(asset, mode) => format!("{asset}: mode {}", mode.map_or("of the zone folder", Mode::as_str)),
        };
        if let Wish::Stop | Wish::Resume = wish {
            self.regulation.stopped = *wish == Wish::Stop;
            let (what, outcome) = (if self.regulation.stopped { "stop" } else { "resume" }, "done");
            let [who, what, why, outcome] = [who, what, why, outcome].map(str::to_owned);
            self.regulation.moves.push(Move { asset: String::new(), at: now, who, what, why, outcome, order: None, reply: None });
        }
        self.keep_moves(false)?;
        self.told = true;
        Ok(Ok(text))
    }

    /// Which assets a wish is about.
    fn positions(&self, wish: &Wish) -> Result<Vec<usize>, String> {
        let assets = self.zone.assets();
        let all = || Ok((0..assets.len()).collect());
        let (Wish::Hold(id, ..) | Wish::Release(id) | Wish::Approve(id) | Wish::Mode(id, _)) = wish else {
            return if *wish == Wish::Stop { all() } else { Ok(Vec::new()) };
        };
        match assets.iter().position(|asset| *asset.id == **id) {
            Some(index) => Ok(vec![index]),
            None if id == ALL && !matches!(wish, Wish::Hold(..)) => all(),
            None => Err(format!("asset {id} is not in assets.toml; `nengtan regulate status` lists those that are")),
        }
    }

    /// Whether something changed.
    fn operate_one(&mut self, wish: &Wish, index: usize, (who, why): (&str, &str), now: Millis) -> Result<bool, guard::Refused> {
        let asset = &self.zone.assets()[index];
        let place = &mut self.regulation.places[index];
        let reason = if why.is_empty() { format!("{who} said so") } else { why.to_owned() };
        let order = match wish {
            Wish::Stop | Wish::Release(_) => {
                let held = place.holds.is_some();
                let order = place.revert(asset, &reason, now);
                if order.is_none() && held {
                    let [who, what, why, outcome] = [who, "release", why, "done"].map(str::to_owned);
                    self.regulation
                        .note(index, Move { asset: asset.id.to_string(), at: now, who, what, why, outcome, order: None, reply: None });
                    return Ok(true);
                }
                order
            }
            Wish::Hold(_, value, hours) => {
                let value = guard::person(asset, *value)?;
                let held = now.plus_ms((*hours).clamp(1, HOLD_HOURS_MAX) * HOUR_MS);
                place.holds = Some((value, held));
                let until = held.min(desk::valid_until(asset, i64::MAX, now));
                Some(place.issue(asset, Some(value), (Asker::Operator, reason), (now, until)))
            }
            Wish::Approve(_) => place.approve(now),
            Wish::Mode(_, mode) => {
                place.mode = *mode;
                if let Some(order) = place.withdraw(now) {
                    let entry = said(asset, order, who, now);
                    self.regulation.note(index, entry);
                }
                let what = format!("mode {}", mode.map_or("of the zone folder", Mode::as_str));
                let [who, why, outcome] = [who, why, "done"].map(str::to_owned);
                self.regulation
                    .note(index, Move { asset: asset.id.to_string(), at: now, who, what, why, outcome, order: None, reply: None });
                return Ok(true);
            }
            Wish::Resume => None,
        };
        let Some(order) = order else { return Ok(false) };
        let entry = said(asset, order, who, now);
        self.regulation.note(index, entry);
        Ok(true)
    }
}

/// Stands for every asset.
pub const ALL: &str = "all";

/// The move of a command that was just made.
fn said(asset: &Asset, order: Order, who: &str, now: Millis) -> Move {
    let what = match order.value {
        Some(value) => format!("set {value} {}", asset.unit),
        None => "release".to_owned(),
    };
    let (who, why, outcome) = (who.to_owned(), order.reason.clone(), order.stage.as_str().to_owned());
    Move { asset: asset.id.to_string(), at: now, who, what, why, outcome, order: Some(order), reply: None }
}
