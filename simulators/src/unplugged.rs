//! The fleet without a broker: it hands its messages out day by day, hourly readings without faults.
//!
//! Never reads a clock. What is handed out counts as published, and its order is that of a broker with one client: telemetry, then the clock.
//! Invariant: a copy goes on as its original would; the two differ from the day on which one of them takes its measures, and only by these.

use std::io::Write;
use std::path::Path;

use jiff::civil::Date;

use crate::faults::{Level, Plan};
use crate::physics::World;
use crate::roster::Roster;
use crate::runner::{self, LIVE_FROM, RunError};
use crate::simulation::Simulation;
use crate::truth::file;
use crate::window::{DAY_MS, Slice, Window};
use crate::wire::Clock;
use crate::zone::{AlertRules, Fault, Zone};

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
        Ok(Unplugged { simulation, world, border_ms, slice: Slice::before(&window), flows: vec![0.0; zone.channels.len()], seed })
    }

    /// Takes the measures of `fleet.toml`, from the next day on.
    pub fn take_measures(&mut self) {
        self.world.take_measures();
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
        let window = self.simulation.window;
        if window.to_ms <= self.slice.to_ms {
            return None;
        }
        self.slice = self.slice.next(&window);
        for (from_ms, to_ms) in self.slice.steps(&window) {
            self.world.step(from_ms, to_ms, &mut self.flows);
            self.simulation.advance(from_ms, to_ms, &self.flows);
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

    /// Writes the truth up to now (`docs/truth.md`).
    pub fn write_truth(&self, out: &mut impl Write) -> std::io::Result<()> {
        file::write(&self.simulation, self.seed, Level::None, self.slice.to_ms, out)
    }

    fn clock(&self) -> Message {
        let next_ms = self.slice.next(&self.simulation.window).to_ms;
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
    fn measures_change_readings_from_their_day_on() {
        let ground = ground();
        let mut original = Unplugged::new(&ground, MONTHS, 7).unwrap();
        original.day().unwrap();
        let mut measured = original.clone();
        measured.take_measures();
        assert!(original.day() != measured.day());
    }
}
