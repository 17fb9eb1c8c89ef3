//! How flows become readings: counters with their faults, clocks, gauges.
//!
//! Never decides when a reading is published. Every fault that shows is on record with the energy that it hides.

use super::Simulation;
use crate::faults::{Kind, MeterFault};
use crate::log::MeterLog;
use crate::outbox::Item;
use crate::payload;
use crate::register::MILLI;
use crate::roster::Meter;
use crate::simulation::{Publication, Topic};
use crate::truth::{Loss, Played, Swap};
use crate::window::HOUR_MS;
use crate::zone::{Direction, Zone};

/// A reading whose time moved on by less than this part of the true time would look impossible; a meter whose clock was just set sends none.
const CLOCK_RATE_MIN: f64 = 0.84;

impl Simulation<'_> {
    pub(super) fn flow(&mut self, meter: usize, from_ms: i64, to_ms: i64, flows: &[f64]) {
        let moved = self.plan.faults[meter].iter().find(|fault| restarts(fault) && fault.happens_within(from_ms, to_ms)).cloned();
        if let Some(fault) = moved {
            let share = (fault.from_ms - from_ms) as f64 / (to_ms - from_ms) as f64;
            self.count(meter, from_ms, fault.from_ms, flows, share);
            self.restart(meter, &fault);
            self.count(meter, fault.from_ms, to_ms, flows, 1.0 - share);
        } else {
            self.count(meter, from_ms, to_ms, flows, 1.0);
        }
    }

    /// Lets a share of the step's flow pass through the meter's counters.
    fn count(&mut self, meter: usize, from_ms: i64, to_ms: i64, flows: &[f64], share: f64) {
        for slot in 0..self.roster.meters[meter].registers.len() {
            let channel = self.roster.meters[meter].registers[slot];
            let flowed = (flows[channel] * share * MILLI as f64).round() as i64;
            let frozen = self.plan.faults[meter].iter().find(|fault| fault.kind == Kind::Frozen && fault.channel == channel);
            let lost = frozen.map_or(0, |fault| (flowed as f64 * fault.share_of(from_ms, to_ms)).round() as i64);
            if let Some(fault) = frozen.filter(|_| lost > 0).cloned() {
                self.lose(meter, &fault, lost);
            }
            let register = self.registers[channel].as_mut().expect("a register channel has a register");
            let turns = register.turns();
            register.flow(flowed, flowed - lost);
            if register.turns() != turns {
                self.play(Kind::Rollover, meter, Some(channel), (from_ms, to_ms), Loss::Nothing);
            }
        }
    }

    /// Adds to the energy that a frozen counter has let pass.
    fn lose(&mut self, meter: usize, fault: &MeterFault, lost: i64) {
        let same =
            |played: &&mut Played| (played.kind, played.channel, played.from_ms) == (Kind::Frozen, Some(fault.channel), fault.from_ms);
        if let Some(Played { loss: Loss::Uncounted(sum), .. }) = self.played.iter_mut().rev().find(same) {
            *sum += lost;
        } else {
            self.play(Kind::Frozen, meter, Some(fault.channel), (fault.from_ms, fault.to_ms), Loss::Uncounted(lost));
        }
    }

    fn restart(&mut self, meter: usize, fault: &MeterFault) {
        let at_ms = fault.from_ms;
        let channels = self.roster.meters[meter].registers.clone();
        let register = |channel: usize| self.registers[channel].as_ref().expect("a register channel has a register");
        let totals: Vec<i64> = channels.iter().map(|channel| register(*channel).total()).collect();
        if fault.kind == Kind::SwapDeclared {
            let closing = channels.iter().map(|channel| register(*channel).shown()).collect();
            self.declare(meter, at_ms, closing, fault.starts.clone(), totals.clone());
        }
        for (slot, &channel) in channels.iter().enumerate().filter(|(_, channel)| fault.kind != Kind::Reset || **channel == fault.channel) {
            let start = fault.starts.get(slot).copied().unwrap_or(0);
            let loss = match fault.kind {
                Kind::SwapDeclared => Loss::Nothing,
                _ if start == 0 => Loss::SinceLastReading { total: totals[slot] },
                _ => Loss::UntilNextReading,
            };
            self.registers[channel].as_mut().expect("a register channel has a register").restart(start);
            self.play(fault.kind, meter, Some(channel), (at_ms, at_ms), loss);
        }
    }

    fn declare(&mut self, meter: usize, at_ms: i64, closing: Vec<i64>, opening: Vec<i64>, totals: Vec<i64>) {
        let old_serial = self.zone.channels[self.roster.meters[meter].registers[0]].serial.clone();
        let swap = Swap { at_ms, seq: self.next_seq(meter), new_serial: format!("{old_serial}-2"), old_serial, closing, opening, totals };
        let gateway = self.roster.meters[meter].gateway;
        let payload = payload::swap_event(self.zone, &self.roster.meters[meter], &swap);
        self.events.push(Publication { gateway, topic: Topic::Event, payload });
        self.vigil.swap(meter, &swap);
        self.swaps[meter].push(swap);
    }

    pub(super) fn play(&mut self, kind: Kind, meter: usize, channel: Option<usize>, (from_ms, to_ms): (i64, i64), loss: Loss) {
        let gateway = self.roster.meters[meter].gateway;
        self.played.push(Played { kind, gateway, meter: Some(meter), channel, from_ms, to_ms, loss });
    }

    fn next_seq(&mut self, meter: usize) -> u32 {
        let seq = &mut self.seqs[self.roster.meters[meter].gateway];
        *seq += 1;
        *seq
    }

    pub(super) fn read(&mut self, meter: usize, true_ms: i64, flows: &[f64], live: bool) {
        let at_ms = true_ms + self.clock_ahead(meter, true_ms);
        let since_ms = true_ms - self.read_ms[meter];
        if at_ms < self.roster.meters[meter].valid_from_ms {
            return;
        }
        if let Some(last_ms) = self.logs[meter].at.last()
            && (at_ms <= *last_ms || ((at_ms - last_ms) as f64) < CLOCK_RATE_MIN * since_ms as f64)
        {
            return;
        }
        let seq = self.next_seq(meter);
        let fault = self.plan.faults[meter]
            .iter()
            .find(|fault| fault.from_ms == true_ms && matches!(fault.kind, Kind::FalseZero | Kind::Spike))
            .cloned();
        if let Some(fault) = &fault {
            self.play(fault.kind, meter, Some(fault.channel), (at_ms, at_ms), Loss::Nothing);
        }
        let (log, roster) = (&mut self.logs[meter], &self.roster.meters[meter]);
        log.at.push(at_ms);
        log.seq.push(seq);
        log.published.push(0);
        for (slot, &channel) in roster.registers.iter().enumerate() {
            let register = self.registers[channel].as_ref().expect("a register channel has a register");
            let shown = fault.as_ref().filter(|fault| fault.channel == channel).map_or(register.shown(), |fault| match fault.kind {
                Kind::FalseZero => 0,
                _ => (register.shown() + fault.amount).min(self.zone.channels[channel].full - self.zone.channels[channel].step),
            });
            log.registers[slot].shown.push(shown);
            log.registers[slot].total.push(register.total());
        }
        for (slot, &channel) in roster.gauges.iter().enumerate() {
            log.gauges[slot].push((flows[channel] * MILLI as f64).round() as i64);
        }
        if live {
            log.flow_from = log.flow_from.min(log.at.len() - 1);
            log.flow.push(mean_flow(self.zone, roster, log, since_ms));
        }
        self.read_ms[meter] = true_ms;
        let index = (self.logs[meter].at.len() - 1) as u32;
        self.route(meter, true_ms, Item { meter: meter as u32, index }, live);
    }

    /// How far the meter's clock is ahead; the drift is on record as soon as it shows.
    fn clock_ahead(&mut self, meter: usize, true_ms: i64) -> i64 {
        let Some(fault) = self.plan.faults[meter].iter().find(|fault| fault.kind == Kind::ClockDrift && fault.covers(true_ms)).cloned()
        else {
            return 0;
        };
        let span = (fault.from_ms + fault.amount, fault.to_ms + fault.amount);
        let known = |played: &Played| played.kind == Kind::ClockDrift && played.meter == Some(meter) && played.from_ms == span.0;
        if !self.played.iter().any(known) {
            self.play(Kind::ClockDrift, meter, None, span, Loss::Nothing);
        }
        fault.amount
    }
}

/// The meter's net flow since its last reading in thousandths of its gauge's unit: export counts down, everything else up.
fn mean_flow(zone: &Zone, meter: &Meter, log: &MeterLog, since_ms: i64) -> i64 {
    let Some(gauge) = meter.flow.filter(|_| since_ms > 0) else {
        return 0;
    };
    let flowed: i64 = log
        .registers
        .iter()
        .zip(&meter.registers)
        .map(|(register, &channel)| {
            let since = register.total.iter().rev().take(2).copied().reduce(|now, before| now - before).unwrap_or(0);
            if zone.channels[channel].direction == Direction::Export { -since } else { since }
        })
        .sum();
    (flowed as f64 * HOUR_MS as f64 / since_ms as f64 / gauge.ledger_per_h).round() as i64
}

fn restarts(fault: &MeterFault) -> bool {
    matches!(fault.kind, Kind::Reset | Kind::SwapDeclared | Kind::SwapUndeclared)
}
