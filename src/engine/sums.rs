//! Thresholds on residuals and virtual meters: means of sums of registers over intervals that all of them have closed.
//!
//! Like those of single meters they go forward in device time and never back. Invariant: an interval is seen once at most, and only where each register has
//! an interval of just this length there: what was read by the hour says nothing about its quarters.

use rustc_hash::FxHashMap;

use super::{Engine, EngineError};
use crate::domain::alert_rules::interval_mean;
use crate::domain::channel::{ChannelId, LedgerUnit};
use crate::domain::tree::PartIndex;
use crate::domain::units::{MINUTE_MS, Millis, Quantity};
use crate::domain::zone::Zone;
use crate::store::batch::RowId;

/// Where a subject stands: positions of its rule, and of itself in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct SubjectPlace {
    pub rule: u32,
    pub subject: u32,
}

/// Positions in the engine's registers.
pub(super) type Positions = FxHashMap<ChannelId, u32>;

/// A threshold on a sum of registers.
#[derive(Debug)]
pub(super) struct SumWatch {
    place: SubjectPlace,
    unit: LedgerUnit,
    /// Position in the engine's registers, and how often each counts.
    terms: Vec<(u32, i64)>,
    /// Intervals that begin before this moment have been seen.
    seen: Option<Millis>,
}

impl SumWatch {
    /// The registers of a part that count the same as one of its meter's channels.
    pub fn new(zone: &Zone, place: SubjectPlace, (part, like): (PartIndex, Option<ChannelId>), registers: &Positions) -> Option<Self> {
        let like = zone.channel(like?);
        let unit = like.ledger_unit()?;
        let terms = zone.part(part).terms.iter().filter(|term| {
            let channel = zone.channel(term.channel);
            term.sign != 0 && channel.carrier == like.carrier && channel.ledger_unit() == Some(unit)
        });
        let terms = terms.filter_map(|term| registers.get(&term.channel).map(|at| (*at, i64::from(term.sign))));
        Some(SumWatch { place, unit, terms: terms.collect(), seen: None })
    }
}

impl Engine {
    /// What the registers had closed at the last commit has been seen.
    pub(super) fn restore_sums(&mut self) {
        for sum in 0..self.sums.len() {
            self.sums_of.extend(self.sums[sum].terms.iter().map(|(register, _)| (*register, sum as u32)));
            self.sums[sum].seen = self.closed_by_all(sum);
        }
        self.sums_of.sort_unstable();
    }

    /// Shows the means of the intervals that a register's new reading has closed for the sums it is in.
    pub(super) fn observe_sums(&mut self, register: u32) -> Result<(), EngineError> {
        let from = self.sums_of.partition_point(|(of, _)| *of < register);
        for index in from..self.sums_of.len() {
            let (of, sum) = self.sums_of[index];
            if of != register {
                break;
            }
            self.observe_sum(sum as usize)?;
        }
        Ok(())
    }

    fn observe_sum(&mut self, sum: usize) -> Result<(), EngineError> {
        let Some(closed) = self.closed_by_all(sum) else { return Ok(()) };
        let profile = self.zone.profile();
        let (interval_ms, live_from) = (profile.interval_ms, profile.live_from);
        let Some(mut at) = self.sums[sum].seen.or_else(|| self.begun_by_all(sum)).max(live_from) else { return Ok(()) };
        while at < closed {
            let interval = self.calendar.interval(at, interval_ms);
            if interval.start == at
                && let Some(quantity) = self.sum_over(sum, at, interval.ms() / MINUTE_MS)?
            {
                let SumWatch { place, unit, .. } = self.sums[sum];
                let mean = interval_mean(unit, quantity, interval.ms());
                self.observe_one(place.rule as usize, place.subject as usize, mean, interval.end);
            }
            at = interval.end;
        }
        self.sums[sum].seen = Some(at.max(closed));
        Ok(())
    }

    /// Up to where all registers of a sum have closed their intervals; none where one was never read.
    fn closed_by_all(&mut self, sum: usize) -> Option<Millis> {
        let newest = |(register, _): &(u32, i64)| self.registers[*register as usize].window.newest_good().map(|good| good.at);
        let ends: Option<Vec<Millis>> = self.sums[sum].terms.iter().map(newest).collect();
        let end = ends?.into_iter().min()?;
        Some(self.calendar.interval(end, self.zone.profile().interval_ms).start)
    }

    /// From when on all registers of a sum have been read.
    fn begun_by_all(&self, sum: usize) -> Option<Millis> {
        self.sums[sum]
            .terms
            .iter()
            .map(|(register, _)| self.registers[*register as usize].first)
            .collect::<Option<Vec<_>>>()?
            .into_iter()
            .max()
    }

    /// The sum over one interval, if all registers have it in this length.
    fn sum_over(&self, sum: usize, start: Millis, minutes: i64) -> Result<Option<Quantity>, EngineError> {
        let mut total = Quantity(0);
        for (register, sign) in &self.sums[sum].terms {
            match self.interval_so_far(self.registers[*register as usize].row, start)? {
                Some((length, quantity)) if length == minutes => total += Quantity(sign * quantity.0),
                Some(_) | None => return Ok(None),
            }
        }
        Ok(Some(total))
    }

    /// An interval as it will be when the batch is committed.
    fn interval_so_far(&self, row: RowId, start: Millis) -> Result<Option<(i64, Quantity)>, EngineError> {
        let stored = self.store.interval(row, start)?;
        let Some(delta) = self.batch.intervals.get(&(start, row)) else { return Ok(stored) };
        let (minutes, quantity) = stored.unwrap_or_default();
        Ok(Some((if delta.minutes > 0 { delta.minutes } else { minutes }, quantity + delta.quantity)))
    }
}
