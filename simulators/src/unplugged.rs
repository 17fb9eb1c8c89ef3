//! The fleet without a broker: it hands its messages out day by day or step by step, hourly readings without faults, and hears commands.
//!
//! Never reads a clock. What is handed out counts as published, and its order is that of a broker with one client: telemetry, then the clock.
//! Invariant: a copy goes on as its original would; the two differ from the day on which one of them takes its measures, and only by these.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use jiff::civil::Date;

use crate::comfort::Comfort;
use crate::faults::{Level, Plan};
use crate::physics::{Flow, World};
use crate::roster::Roster;
use crate::runner::{self, LIVE_FROM, RunError};
use crate::simulation::Simulation;
use crate::truth::file;
use crate::window::{DAY_MS, HOUR_MS, Slice, Window};
use crate::wire::{Clock, Command};
use crate::zone::{AlertRules, Asset, Carrier, Direction, Fault, Zone};

/// What a broker would deliver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub topic: String,
    pub payload: Vec<u8>,
}

/// A zone folder and its alert rules, for [`Unplugged`] to stand on.
pub struct Ground {
    zone: Zone,
    rules: AlertRules,
}

impl Ground {
    pub fn load(folder: &Path) -> Result<Ground, Vec<Fault>> {
        let zone = Zone::load(folder)?;
        let rules = AlertRules::load(&zone)?;
        Ok(Ground { zone, rules })
    }
}

#[derive(Clone)]
pub struct Unplugged<'g> {
    simulation: Simulation<'g>,
    world: World,
    border_ms: i64,
    slice: Slice,
    /// Ledger units of the step per channel.
    flows: Vec<f64>,
    seed: u64,
    comfort: Comfort,
    /// The highest mean power of a step that the zone took from the grid, kW, by local year and month.
    peaks_kw: BTreeMap<(i16, i8), f64>,
}

impl<'g> Unplugged<'g> {
    /// `before` months up to where live readings start, and `after` months from there on.
    pub fn new(ground: &'g Ground, (before, after): (u32, u32), seed: u64) -> Result<Unplugged<'g>, RunError> {
        let Ground { zone, rules } = ground;
        let midnight = |date: Date| {
            let at = date.to_zoned(zone.tz.clone()).map_err(|error| RunError::World(error.to_string()))?;
            Ok::<i64, RunError>(at.timestamp().as_millisecond())
        };
        let border = zone.live_from_ms.map_or(LIVE_FROM, |live_from_ms| zone.local(live_from_ms).date());
        let months = |months: u32| jiff::Span::new().months(months);
        let start_ms = midnight(border.saturating_sub(months(before)))?;
        let to_ms = midnight(border.saturating_add(months(after)))?;
        // All of it is history to the fleet: days of hourly readings.
        let window = Window { start_ms, live_from_ms: to_ms, to_ms, history_step_ms: zone.history_interval_ms, step_ms: zone.interval_ms };
        let world = World::new(zone, seed).map_err(RunError::World)?;
        let plan = Plan::quiet(zone, &Roster::new(zone), seed);
        let mut simulation = Simulation::new(zone, rules, window, plan, seed);
        simulation.prime();
        let border_ms = midnight(border)?;
        Ok(Unplugged {
            simulation,
            world,
            border_ms,
            slice: Slice::before(&window),
            flows: vec![0.0; zone.channels.len()],
            seed,
            comfort: Comfort::default(),
            peaks_kw: BTreeMap::new(),
        })
    }

    /// Takes the measures of `fleet.toml`, from the next day on.
    pub fn take_measures(&mut self) {
        self.world.take_measures();
    }

    /// The programme's assets are there from the next step on.
    pub fn commission(&mut self) {
        self.world.commission();
        self.simulation.assets.commission();
    }

    /// What [`Unplugged::totals`], [`Unplugged::comfort`] and [`Unplugged::peaks_kw`] tell begins anew.
    pub fn count_from_here(&mut self) {
        self.world.count_from_here();
        self.comfort = Comfort::default();
        self.peaks_kw.clear();
    }

    /// What flowed in each model.
    pub fn totals(&self) -> impl Iterator<Item = Flow<'_>> {
        self.world.totals()
    }

    /// Of all rooms that an asset of `assets.toml` holds.
    #[must_use]
    pub fn comfort(&self) -> Comfort {
        self.comfort
    }

    /// The highest mean power of a step that the zone took from the grid, kW, by local year and month.
    #[must_use]
    pub fn peaks_kw(&self) -> &BTreeMap<(i16, i8), f64> {
        &self.peaks_kw
    }

    /// A command on its topic; the asset's answer, or none from an asset that is not there or to what is no command.
    pub fn command(&mut self, topic: &str, payload: &[u8]) -> Option<Message> {
        let zone = &self.simulation.zone.id;
        let asset = topic.strip_prefix(&format!("nengtan/{zone}/asset/"))?.strip_suffix("/command")?;
        let answer = self.simulation.assets.take(asset, Command::decode(payload)?, self.slice.to_ms)?;
        Some(Message { topic: format!("nengtan/{zone}/asset/{asset}/result"), payload: answer.encode() })
    }

    /// Where simulated time stands, ms.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        self.slice.to_ms
    }

    /// Where the months before end, ms.
    #[must_use]
    pub fn border_ms(&self) -> i64 {
        self.border_ms
    }

    /// Days up to the border, and in all.
    #[must_use]
    pub fn days(&self) -> (u64, u64) {
        let window = &self.simulation.window;
        let days = |to_ms: i64| (to_ms - window.start_ms).unsigned_abs().div_ceil(DAY_MS.unsigned_abs());
        (days(self.border_ms), days(window.to_ms))
    }

    /// Before the first day: the gateways come online and the clock is set.
    #[must_use]
    pub fn greeting(&self) -> Vec<Message> {
        let Simulation { zone, roster, .. } = &self.simulation;
        let online = |gateway: &String| Message { topic: format!("nengtan/{}/gw/{gateway}/status", zone.id), payload: b"online".to_vec() };
        roster.gateways.iter().map(online).chain([self.clock()]).collect()
    }

    /// Plays the next day; `None` when the last one is over.
    pub fn day(&mut self) -> Option<Vec<Message>> {
        self.play(DAY_MS)
    }

    /// Plays the next step, an hour where the zone's history is hourly; `None` when the last one is over.
    pub fn step(&mut self) -> Option<Vec<Message>> {
        self.play(self.simulation.window.history_step_ms)
    }

    fn play(&mut self, length_ms: i64) -> Option<Vec<Message>> {
        let window = self.simulation.window;
        if window.to_ms <= self.slice.to_ms {
            return None;
        }
        let from_ms = self.slice.to_ms;
        self.slice = Slice { from_ms, to_ms: (from_ms + length_ms).min(window.to_ms) };
        for (from_ms, to_ms) in self.slice.steps(&window) {
            self.simulation.assets.control(from_ms, to_ms, &mut self.world.controls);
            self.world.step(from_ms, to_ms, &mut self.flows);
            self.simulation.advance(from_ms, to_ms, &self.flows);
            self.count(from_ms, to_ms);
        }
        let publications = self.simulation.leave(self.slice.to_ms);
        let mut messages: Vec<Message> = Vec::with_capacity(publications.len() + 1);
        for publication in publications {
            let (_, message) = runner::message(&self.simulation, publication);
            messages.push(Message { topic: message.topic, payload: message.payload });
        }
        messages.push(self.clock());
        self.simulation.tick(self.slice.to_ms);
        Some(messages)
    }

    /// Adds a step to what is told of comfort and peaks.
    fn count(&mut self, from_ms: i64, to_ms: i64) {
        let zone = self.simulation.zone;
        let hours = (to_ms - from_ms) as f64 / HOUR_MS as f64;
        let local = zone.local(from_ms);
        let at = (zone.day_type(local.date()), local.hour().unsigned_abs());
        for (asset, room_c) in self.world.rooms() {
            if let Some(asset) = zone.assets.iter().find(|known: &&Asset| known.id == asset) {
                self.comfort.count(asset, at, room_c, hours);
            }
        }
        // Wh of the zone's own feeders, what goes out less.
        let feeders = zone
            .channels
            .iter()
            .zip(&self.flows)
            .filter(|(channel, _)| channel.entity == zone.id && channel.parent.is_none() && channel.carrier == Carrier::Electricity);
        let kw: f64 = feeders
            .map(|(channel, wh)| match channel.direction {
                Direction::Export => -wh,
                Direction::Import => *wh,
                Direction::Generation | Direction::Made | Direction::Gauge => 0.0,
            })
            .sum::<f64>()
            / 1000.0
            / hours;
        let peak = self.peaks_kw.entry((local.year(), local.month())).or_insert(kw);
        *peak = peak.max(kw);
    }

    /// Writes the truth up to now (`docs/truth.md`).
    pub fn write_truth(&self, out: &mut impl Write) -> std::io::Result<()> {
        file::write(&self.simulation, self.seed, Level::None, self.slice.to_ms, out)
    }

    fn clock(&self) -> Message {
        let length_ms = self.slice.to_ms - self.slice.from_ms;
        let next_ms = if length_ms > 0 { self.slice.to_ms + length_ms } else { self.slice.next(&self.simulation.window).to_ms };
        let clock = Clock { now_ms: self.slice.to_ms, next_ms, lockstep: true };
        Message { topic: format!("nengtan/{}/clock", self.simulation.zone.id), payload: clock.encode() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ground() -> Ground {
        Ground::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/zones/qingdao-hightech")).unwrap()
    }

    const MONTHS: (u32, u32) = (0, 1);

    #[test]
    fn a_copy_goes_on_as_its_original() {
        let ground = ground();
        let mut original = Unplugged::new(&ground, MONTHS, 7).unwrap();
        original.day().unwrap();
        let mut copy = original.clone();
        let rest = |fleet: &mut Unplugged| std::iter::from_fn(|| fleet.day()).collect::<Vec<_>>();
        let days = rest(&mut original);
        assert_eq!((days.len(), rest(&mut copy) == days), (30, true));
        let truth = |fleet: &Unplugged| {
            let mut out = Vec::new();
            fleet.write_truth(&mut out).unwrap();
            out
        };
        assert!(truth(&original) == truth(&copy));
    }

    #[test]
    fn a_commanded_asset_answers_and_changes_readings_from_the_next_step_on() {
        let ground = ground();
        let mut original = Unplugged::new(&ground, MONTHS, 7).unwrap();
        original.step().unwrap();
        let mut told = original.clone();
        let (now_ms, until_ms) = (told.now_ms(), told.now_ms() + 2 * HOUR_MS);
        let payload = format!(
            r#"{{"id":"lighting-01@1","asset":"lighting-01","value":40,"unit":"pct","from":{now_ms},"until":{until_ms},"reason":""}}"#
        );
        let answer = told.command("nengtan/qingdao-hightech/asset/lighting-01/command", payload.as_bytes()).unwrap();
        assert_eq!(answer.topic, "nengtan/qingdao-hightech/asset/lighting-01/result");
        assert!(std::str::from_utf8(&answer.payload).unwrap().contains("accepted"));
        assert_eq!(told.command("nengtan/qingdao-hightech/asset/nobody/command", payload.as_bytes()), None);
        assert_eq!(told.command("nengtan/other/asset/lighting-01/command", payload.as_bytes()), None);
        assert!(original.step() != told.step());
    }

    #[test]
    fn buses_that_are_told_to_give_day_and_night_leave_full_and_posts_that_only_charge_refuse() {
        let ground = ground();
        let mut fleet = Unplugged::new(&ground, MONTHS, 7).unwrap();
        let tell = |fleet: &mut Unplugged, asset: &str| {
            let (now_ms, until_ms) = (fleet.now_ms(), fleet.now_ms() + 2 * HOUR_MS);
            let payload = format!(
                r#"{{"id":"{asset}@{now_ms}","asset":"{asset}","value":-600,"unit":"kw","from":{now_ms},"until":{until_ms},"reason":""}}"#
            );
            fleet.command(&format!("nengtan/qingdao-hightech/asset/{asset}/command"), payload.as_bytes())
        };
        fleet.step().unwrap();
        assert_eq!(tell(&mut fleet, "v2g-01"), None, "before the programme there are no such posts");
        fleet.commission();
        fleet.count_from_here();
        for _ in 0..4 * 24 {
            for (asset, outcome) in [("v2g-01", "accepted"), ("ev-02-fast", "own limits")] {
                let answer = tell(&mut fleet, asset).unwrap();
                assert!(std::str::from_utf8(&answer.payload).unwrap().contains(outcome), "{asset}");
            }
            fleet.step().unwrap();
        }
        let flow = |name: &str| fleet.totals().find(|flow| flow.table == "v2g" && flow.name == name).unwrap().total;
        assert!(100.0 < flow("lost") && flow("undelivered") < 1e-6, "{} kWh lost, {} short", flow("lost"), flow("undelivered"));
    }

    #[test]
    fn steps_add_up_to_the_day() {
        let ground = ground();
        let mut by_day = Unplugged::new(&ground, MONTHS, 7).unwrap();
        let mut by_step = by_day.clone();
        by_day.day().unwrap();
        for _ in 0..24 {
            by_step.step().unwrap();
        }
        let seen =
            |fleet: &Unplugged| (fleet.comfort(), fleet.peaks_kw().clone(), fleet.totals().map(|flow| flow.total).collect::<Vec<_>>());
        assert_eq!(seen(&by_day), seen(&by_step));
        by_day.count_from_here();
        assert!(by_day.totals().all(|flow| flow.total == 0.0) && by_day.peaks_kw().is_empty());
    }

    #[test]
    fn measures_change_readings_from_their_day_on() {
        let ground = ground();
        let mut original = Unplugged::new(&ground, MONTHS, 7).unwrap();
        original.day().unwrap();
        let mut measured = original.clone();
        measured.take_measures();
        assert!(original.day() != measured.day());
    }
}
