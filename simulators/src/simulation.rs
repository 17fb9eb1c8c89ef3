//! The fleet without its network: flows in, readings with faults out, everything remembered for the truth.
//!
//! Never publishes and never reads a clock. What [`Simulation::leave`] hands out counts as published.

mod metering;
mod route;

use crate::assets::Assets;
use crate::faults::{Kind, Plan};
use crate::keyed::Key;
use crate::log::MeterLog;
use crate::outbox::{Item, Outbox};
use crate::payload;
use crate::register::Register;
use crate::roster::Roster;
use crate::truth::alerts::Alert;
use crate::truth::{Loss, Played, Swap, Tally};
use crate::vigil::Vigil;
use crate::window::{HOUR_MS, Window};
use crate::zone::{AlertRules, Zone};

const READINGS_PER_MESSAGE: usize = 200;

/// One message for the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    pub gateway: usize,
    pub topic: Topic,
    pub payload: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    Telemetry,
    Event,
}

#[derive(Clone)]
pub struct Simulation<'z> {
    pub zone: &'z Zone,
    pub roster: Roster,
    pub window: Window,
    plan: Plan,
    key: Key,
    /// One per channel that has a register.
    registers: Vec<Option<Register>>,
    pub logs: Vec<MeterLog>,
    pub swaps: Vec<Vec<Swap>>,
    pub played: Vec<Played>,
    outboxes: Vec<Outbox>,
    events: Vec<Publication>,
    /// Readings and events so far, per gateway.
    seqs: Vec<u32>,
    /// True time of each meter's last reading.
    read_ms: Vec<i64>,
    vigil: Vigil,
    pub assets: Assets,
    pub tally: Tally,
}

impl<'z> Simulation<'z> {
    #[must_use]
    pub fn new(zone: &'z Zone, rules: &AlertRules, window: Window, plan: Plan, seed: u64) -> Simulation<'z> {
        let roster = Roster::new(zone);
        let register = |(channel, start)| Some(Register::new(channel, start)).filter(|_| channel.full > 0);
        let registers = zone.channels.iter().zip(plan.starts.iter().copied()).map(register).collect();
        let logs = roster.meters.iter().map(|meter| MeterLog::new(meter.registers.len(), meter.gauges.len(), window.readings())).collect();
        Simulation {
            zone,
            window,
            plan,
            key: Key::new(seed),
            registers,
            logs,
            swaps: vec![Vec::new(); roster.meters.len()],
            played: Vec::new(),
            outboxes: roster.gateways.iter().map(|_| Outbox::default()).collect(),
            events: Vec::new(),
            seqs: vec![0; roster.gateways.len()],
            read_ms: vec![window.start_ms; roster.meters.len()],
            vigil: Vigil::new(zone, rules, &roster, &window, Key::new(seed)),
            assets: Assets::new(&zone.assets),
            roster,
            tally: Tally::default(),
        }
    }

    /// The first registers, at the window's start; a meter without a register has nothing to say yet.
    pub fn prime(&mut self) {
        for meter in 0..self.roster.meters.len() {
            if self.roster.meters[meter].gauges.is_empty() {
                self.read(meter, self.window.start_ms, &[], false);
            }
        }
    }

    /// Lets `flows` (ledger units per channel, or a gauge's mean) pass between two moments and reads every meter at the second.
    pub fn advance(&mut self, from_ms: i64, to_ms: i64, flows: &[f64]) {
        let live = self.window.live_from_ms < to_ms;
        for meter in 0..self.roster.meters.len() {
            self.flow(meter, from_ms, to_ms, flows);
            self.read(meter, to_ms, flows, live);
        }
    }

    /// The gateways whose connection changes at a tick: (gateway, online).
    pub fn connections(&mut self, now_ms: i64) -> Vec<(usize, bool)> {
        let mut changes = Vec::new();
        for (gateway, outages) in self.plan.outages.iter().enumerate() {
            let offline = outages.iter().find(|outage| outage.from_ms <= now_ms && now_ms < outage.to_ms);
            let outbox = &mut self.outboxes[gateway];
            if outbox.offline == offline.is_some() {
                continue;
            }
            outbox.offline = offline.is_some();
            changes.push((gateway, offline.is_none()));
            self.vigil.connect(gateway, offline.is_none(), now_ms);
            if let Some(outage) = offline {
                let (from_ms, to_ms) = (outage.from_ms, outage.to_ms);
                let kind = Kind::GatewayOffline;
                self.played.push(Played { kind, gateway, meter: None, channel: None, from_ms, to_ms, loss: Loss::Nothing });
            }
        }
        changes
    }

    /// The collector asks for a meter's readings strictly between two times; false for a meter that is not there.
    pub fn backfill(&mut self, meter: &str, from_ms: i64, to_ms: i64) -> bool {
        let Some(meter) = self.roster.meter_of(meter) else {
            return false;
        };
        for index in self.logs[meter].between(from_ms, to_ms) {
            self.outboxes[self.roster.meters[meter].gateway].answer(Item { meter: meter as u32, index });
        }
        true
    }

    /// Everything that is published in the step that ends at `now_ms`.
    pub fn leave(&mut self, now_ms: i64) -> Vec<Publication> {
        let mut publications = std::mem::take(&mut self.events);
        for gateway in 0..self.outboxes.len() {
            let logs = &self.logs;
            let date = |item: Item| logs[item.meter as usize].at[item.index as usize];
            let batches = self.outboxes[gateway].leave(now_ms, date);
            for batch in batches.iter().flat_map(|batch| batch.chunks(READINGS_PER_MESSAGE)) {
                let payload = self.encode(batch);
                for item in batch {
                    self.publish(*item, now_ms);
                }
                publications.push(Publication { gateway, topic: Topic::Telemetry, payload });
            }
        }
        self.tally.messages += publications.len() as u64;
        publications
    }

    /// The clock stands at `now_ms`.
    pub fn tick(&mut self, now_ms: i64) {
        self.vigil.tick(now_ms);
    }

    #[must_use]
    pub fn alerts(&self) -> &[Alert] {
        &self.vigil.alerts
    }

    /// Planned faults that found no place.
    #[must_use]
    pub fn unplaced(&self) -> usize {
        self.plan.unplaced
    }

    fn encode(&self, batch: &[Item]) -> Vec<u8> {
        payload::batch(batch.len(), |index, out| {
            let Item { meter, index } = batch[index];
            let (roster, log) = (&self.roster.meters[meter as usize], &self.logs[meter as usize]);
            payload::write_reading(self.zone, roster, log, index, self.key, out);
        })
    }

    fn publish(&mut self, item: Item, now_ms: i64) {
        let (meter, index) = (item.meter as usize, item.index as usize);
        let log = &mut self.logs[meter];
        let at_ms = log.at[index];
        let repeated = log.published[index] > 0;
        log.published[index] = log.published[index].saturating_add(1);
        let live = self.window.live_from_ms < now_ms;
        let counter = match () {
            () if repeated => Some(&mut self.tally.duplicates),
            () if live && HOUR_MS < now_ms - at_ms => Some(&mut self.tally.late),
            () if self.vigil.newest(meter).is_some_and(|newest| at_ms < newest) => Some(&mut self.tally.reordered),
            () => None,
        };
        if let Some(counter) = counter {
            *counter += 1;
        }
        self.tally.readings += u64::from(!repeated);
        self.vigil.observe(meter, &self.roster.meters[meter], &self.logs[meter], item.index);
    }
}

#[cfg(test)]
pub(crate) mod tests;
