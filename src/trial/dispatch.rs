//! A year of what can be moved, under four strategies, side by side: batteries, charging, work that may wait, and which heat goes first.
//!
//! The zone of the simulators, with its programme, is played quarter by quarter, once for each strategy, from one state. A strategy knows what meters have shown by
//! the hour's begin, prices and factors; only [`Strategy::Foresight`] is told what the others played into. What a plan believes of the fleet's models is held against what
//! they do. Invariant: the four differ by set points only.

mod meters;
pub mod outcome;
mod stage;

use std::path::Path;
use std::time::Duration;

use self::outcome::Outcome;
use self::stage::{Gauges, Seen, Stage, band, outdoor_c};
use super::TrialError;
use crate::dispatch::forecast::{self, Past};
use crate::dispatch::outlook::HORIZON_H;
use crate::dispatch::plan::{self, Failure, Problem};
use crate::dispatch::pool::Pools;
use crate::dispatch::site::{BACK_MS, NoPlan, Site, Wishes};
use crate::domain::assets::AssetKind;
use crate::domain::calendar::LocalCalendar;
use crate::domain::entity::named;
use crate::domain::units::{HOUR_MS, Millis};
use crate::regulation::rules::{self, Situation};

/// Played before the first judged hour, so that there is something to look back on.
const BEFORE_MS: i64 = BACK_MS;
/// A whole month is planned in so few pools, so that the problem stays solvable.
const POOLS_OF_A_MONTH: usize = 4;
/// For one plan, by the wall clock: strategies are compared, not how busy the machine is.
const PATIENCE: Duration = Duration::from_secs(300);

named! {
    Strategy {
        /// Stores what the sun gives beyond what is used, and gives it back as soon as something is bought. All else follows its own plan, heat pumps the rules.
        Greedy = "greedy",
        /// The rules of [`crate::regulation::rules`].
        Tariff = "tariff",
        /// Plans a day and a half ahead, anew each hour; a plan is there a quarter of an hour after its data.
        Receding = "receding",
        /// Plans whole months, knowing everything: the bound.
        Foresight = "foresight",
    }
}

pub struct Options<'p> {
    /// The zone's folder.
    pub zone: &'p Path,
    pub seed: u64,
    pub months: u32,
    pub carbon_cny_per_kg: f64,
    pub spares_what_it_loses: bool,
}

/// Plays all strategies; `progress` is told how many hours of how many are played.
pub fn run(options: &Options, mut progress: impl FnMut(u64, u64)) -> Result<Vec<(Strategy, Outcome)>, TrialError> {
    let ground = Stage::new(options)?;
    let hours = (ground.end.ms_since(ground.start) / HOUR_MS).unsigned_abs();
    let (mut played, all) = (0, hours * Strategy::ALL.len() as u64);
    let mut free = Vec::new();
    let mut outcomes = Vec::new();
    for &strategy in Strategy::ALL {
        let (outcome, hours) = ground.play(strategy, &free, || {
            played += 1;
            progress(played, all);
        })?;
        // Nobody caps vehicles in the first one, so what they want shows.
        if free.is_empty() {
            free = hours;
        }
        outcomes.push((strategy, outcome));
    }
    Ok(outcomes)
}

/// What is wished in an hour's first quarter, and in its others.
type Orders = (Wishes, Wishes);

impl Stage {
    fn play(&self, strategy: Strategy, free: &[Seen], mut progress: impl FnMut()) -> Result<(Outcome, Vec<Seen>), TrialError> {
        let mut calendar = LocalCalendar::new(self.folder.zone.profile().time_zone.clone());
        let (mut world, mut past) = (self.world.clone(), self.past.clone());
        let (mut outcome, mut at) = (Outcome::default(), self.start);
        let mut months: Vec<Vec<Wishes>> = Vec::new();
        let mut gauges = self.gauges.clone();
        // Of the plan before: what it says of this hour.
        let mut before: Option<Wishes> = None;
        let held = |gauges: &Gauges| self.batteries(&gauges.states_pct, &[]).iter().map(|battery| battery.stored_kwh).sum::<f64>();
        let (mut month, held_before) = (Millis(i64::MIN), held(&gauges));
        while at < self.end {
            let hour = self.outlook(at, 1, &mut calendar)?;
            if calendar.month(at).start != month {
                month = calendar.month(at).start;
                outcome.peaks_kw.push(0.0);
                if strategy == Strategy::Foresight {
                    let hours = (calendar.month(at).end.min(self.end).ms_since(at) / HOUR_MS) as usize;
                    months.push(self.whole_month(at, hours, (free, &gauges), &mut outcome, &mut calendar)?);
                }
            }
            let outdoor_c = outdoor_c(&past);
            let same = |wishes: Wishes| (wishes.clone(), wishes);
            let (first, rest): Orders = match strategy {
                Strategy::Greedy => same(self.greedy(&past, outdoor_c)),
                Strategy::Tariff => same(self.by_tariff(at, outdoor_c, &mut calendar)),
                Strategy::Receding => {
                    let mut told = self.receding(at, (&past, &gauges), &mut outcome, &mut calendar)?.into_iter();
                    let (rest, next) = (told.next(), told.next());
                    let first = std::mem::replace(&mut before, next).or_else(|| rest.clone());
                    // A strategy without a plan leaves it to the rules, as the engine does.
                    let rules = self.by_tariff(at, outdoor_c, &mut calendar);
                    (first.unwrap_or_else(|| rules.clone()), rest.unwrap_or(rules))
                }
                Strategy::Foresight => {
                    let into_month = (at.ms_since(month.max(self.start)) / HOUR_MS) as usize;
                    let planned = months.last().and_then(|hours| hours.get(into_month).cloned());
                    same(planned.unwrap_or_else(|| self.by_tariff(at, outdoor_c, &mut calendar)))
                }
            };
            self.command(&mut world, &first, outdoor_c);
            let mut quarters = self.quarters(&mut world, at, 0..1);
            self.command(&mut world, &rest, outdoor_c);
            quarters.extend(self.quarters(&mut world, at, 1..4));
            for quarter in &quarters {
                outcome.add(quarter, &hour, self.kg_per_kwh, &self.gas);
            }
            past.push(self.seen(at, &quarters, &gauges, &mut calendar));
            gauges = Gauges::of(&quarters);
            at = at.plus_ms(HOUR_MS);
            progress();
        }
        outcome.storage_loss_kwh -= held(&gauges) - held_before;
        let demand = self.outlook(self.start, 1, &mut calendar)?.peak_cny_per_kw;
        outcome.demand_cny = demand * outcome.peaks_kw.iter().sum::<f64>();
        past.drain(..self.past.len());
        Ok((outcome, past))
    }

    /// What the last hour had too much or too little of sun is what the next one will have.
    fn greedy(&self, past: &[Seen], outdoor_c: Option<f64>) -> Wishes {
        let mut lacks_kw = past.last().map_or(0.0, |seen| seen.load_kw - seen.sun_kw + seen.vehicles_kw.iter().sum::<f64>());
        let mut batteries = Vec::new();
        for asset in self.storages() {
            // Vehicles that may give follow their own plan.
            let kw = if asset.kind == AssetKind::Battery { asset.limits.nearest(-lacks_kw) } else { 0.0 };
            lacks_kw += kw;
            batteries.push(kw);
        }
        Wishes { batteries, ..self.unplanned(outdoor_c) }
    }

    fn by_tariff(&self, at: Millis, outdoor_c: Option<f64>, calendar: &mut LocalCalendar) -> Wishes {
        let local = self.folder.zone.profile().time_zone.to_datetime(at.timestamp());
        let situation = Situation { local, in_use: true, value: None, day_c: None, outdoor_c: None, band: band(self, at, calendar) };
        let value = |asset| rules::wish(asset, &situation).map(|wish| wish.value);
        Wishes {
            batteries: self.storages().map(|asset| value(asset).unwrap_or(0.0)).collect(),
            vehicles: self.assets(AssetKind::EvCharging).map(value).collect(),
            ..self.unplanned(outdoor_c)
        }
    }

    fn receding(
        &self,
        at: Millis,
        (past, gauges): (&[Seen], &Gauges),
        outcome: &mut Outcome,
        calendar: &mut LocalCalendar,
    ) -> Result<Vec<Wishes>, TrialError> {
        let recent = &past[past.len().saturating_sub((BACK_MS / HOUR_MS) as usize)..];
        let month = calendar.month(at).start.max(self.start);
        let peak = |hours: &[Seen]| hours.iter().map(|seen| seen.bought_kw).fold(0.0, f64::max);
        let this_month = &past[past.partition_point(|seen| seen.hour.start < month)..];
        let series = |value: fn(&Seen) -> f64| recent.iter().map(|seen| Past { hour: seen.hour, kw: value(seen) }).collect::<Vec<_>>();
        let outlook = self.outlook(at, HORIZON_H, calendar)?;
        let outdoor: Vec<Past> = recent.iter().filter_map(|seen| Some(Past { hour: seen.hour, kw: seen.outdoor_c? })).collect();
        let ahead_c = forecast::level(&outdoor, &outlook.hours);
        let taken = |index: usize| -> Vec<Past> { recent.iter().map(|seen| Past { hour: seen.hour, kw: seen.heat_kw[index] }).collect() };
        let stations = self.assets(AssetKind::HeatPump).count();
        let taken_kw = (0..stations).map(|index| forecast::load(&taken(index), &outlook.hours)).collect::<Option<Vec<_>>>();
        let site = Site {
            load: series(|seen| seen.load_kw),
            // No ledger stands behind these strategies, and so no baseline.
            expected: None,
            sun: series(|seen| seen.sun_kw),
            excess: series(|seen| seen.excess_kw),
            batteries: self.batteries(&gauges.states_pct, &outlook.hours),
            vehicles: self.vehicles(recent),
            batches: self.batches(&gauges.waiting_kwh, &outlook.hours),
            pumps: ahead_c.zip(taken_kw).map_or_else(Vec::new, |(ahead_c, taken_kw)| self.pumps(&ahead_c, &taken_kw)),
            outlook,
            carbon_cny_per_kg: self.carbon_cny_per_kg,
            spares_what_it_loses: self.spares_what_it_loses,
            peak_kw: peak(this_month),
            recent_peak_kw: peak(recent),
        };
        let (before, wishes) = (cpu(), site.wishes(PATIENCE));
        outcome.cpu += cpu().saturating_sub(before);
        outcome.plans += 1;
        outcome.late += u32::from(wishes == Err(NoPlan::Failed(Failure::Late)));
        outcome.failed += u32::from(wishes.is_err());
        Ok(wishes.unwrap_or_default())
    }

    /// A whole month planned at once, from what it was without anybody's hand.
    fn whole_month(
        &self,
        at: Millis,
        hours: usize,
        (free, gauges): (&[Seen], &Gauges),
        outcome: &mut Outcome,
        calendar: &mut LocalCalendar,
    ) -> Result<Vec<Wishes>, TrialError> {
        let outlook = self.outlook(at, hours, calendar)?;
        let from = free.partition_point(|seen| seen.hour.start < at);
        let month = &free[from..(from + hours).min(free.len())];
        let mut steps = outlook.steps;
        let worth = steps.price.iter().sum::<f64>() / hours as f64;
        let batteries = self.batteries(&gauges.states_pct, &outlook.hours);
        let mut storages: Vec<_> = batteries.iter().map(|battery| battery.storage(&steps.hours, worth)).collect();
        let batteries = storages.len();
        for (index, vehicles) in self.vehicles(&[]).iter().enumerate() {
            let wanted: Vec<f64> = month.iter().map(|seen| seen.vehicles_kw[index]).collect();
            storages.push(vehicles.storage(&wanted, &steps.hours, worth));
        }
        let to_vehicles = storages.len();
        let batches = self.batches(&gauges.waiting_kwh, &outlook.hours);
        storages.extend(batches.iter().map(|batch| batch.storage(&outlook.hours, &steps.hours, worth)));
        let come_kw = |hour: usize| batches.iter().map(|batch| batch.come_kw[hour]).sum::<f64>();
        steps.load_kw = month.iter().enumerate().map(|(hour, seen)| seen.load_kw - seen.sun_kw - come_kw(hour)).collect();
        steps.excess_kw = month.iter().map(|seen| seen.excess_kw).collect();
        steps.charge_below_kw = vec![f64::INFINITY; hours];
        let stations = self.assets(AssetKind::HeatPump).count();
        let taken_kw: Vec<Vec<f64>> = (0..stations).map(|index| month.iter().map(|seen| seen.heat_kw[index]).collect()).collect();
        let ahead_c: Option<Vec<f64>> = month.iter().map(|seen| seen.outdoor_c).collect();
        let pumps = ahead_c.map_or_else(Vec::new, |ahead_c| self.pumps(&ahead_c, &taken_kw));
        let carbon = (self.carbon_cny_per_kg, outlook.kg_per_kwh);
        let spared_kwh = || pumps.iter().map(|pump| pump.spared_kwh(&steps, carbon)).sum();
        let losses_kwh_max = self.spares_what_it_loses.then(spared_kwh);
        let pools = Pools::of(&storages, POOLS_OF_A_MONTH);
        let problem = Problem {
            steps,
            storages: pools.storages(&storages),
            carbon_cny_per_kg: self.carbon_cny_per_kg,
            losses_kwh_max,
            peak_cny_per_kw: outlook.peak_cny_per_kw,
            peaks_kw: vec![0.0; outlook.months.len()],
            ..Problem::default()
        };
        let before = cpu();
        let plan = plan::solve(&problem, Duration::from_secs(600));
        outcome.cpu += cpu().saturating_sub(before);
        outcome.plans += 1;
        outcome.failed += u32::from(plan.is_err());
        let Ok(plan) = plan else { return Ok(Vec::new()) };
        let mut stored: Vec<f64> = storages.iter().map(|storage| storage.stored_kwh).collect();
        let at = |hour: usize| {
            let pooled_kw: Vec<f64> = plan.storage_kw.iter().map(|powers| powers[hour]).collect();
            let powers = pools.powers(&storages, &pooled_kw, (hour, problem.steps.hours[hour]), &mut stored);
            // A cap at what is wanted anyway would take the hour's ups and downs from them.
            let wanted = month[hour].vehicles_kw.iter().zip(&powers[batteries..to_vehicles]);
            let vehicles = wanted.map(|(wanted, cap)| Some(*cap).filter(|cap| *cap < wanted - 1.0)).collect();
            let batches = powers[to_vehicles..].iter().map(|cap| Some(*cap)).collect();
            let pumps = pumps.iter().map(|pump| pump.goes_first(hour, &problem.steps, carbon)).collect();
            Wishes { batteries: powers[..batteries].to_vec(), vehicles, batches, pumps }
        };
        Ok((0..hours).map(at).collect())
    }
}

/// The processor's time of this thread.
fn cpu() -> Duration {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(spent).unwrap_or_default()
}
