//! What a zone has to plan with, and what a plan means for each asset.
//!
//! Knows power, energy and forecasts, not which asset is told what: wishes come out in the order in which batteries, vehicles, work and heat pumps went in. The zone
//! buys as one customer at its border.

use std::time::Duration;

use super::forecast::{self, Hour, Past};
use super::heat::Pump;
use super::outlook::Outlook;
use super::plan::{self, Failure, Problem, Storage};
use super::pool::Pools;
use super::rounds::Rounds;
use crate::domain::assets::{Asset, Band};
use crate::domain::units::DAY_MS;

/// What a tonne of CO2 costs in a plan, CNY, by the hourly shape: assumed, about what the national carbon market has paid since 2024.
pub const CARBON_CNY_PER_T: f64 = 80.0;
/// The most batteries, groups of vehicles and works of a plan: half a second of the processor's time. More are planned in pools of those that are alike.
pub const STORAGES_MAX: usize = 40;
/// A plan that takes longer by the wall clock is no plan.
pub const LAST_RESORT: Duration = Duration::from_secs(2);
/// So far back plans look: forecasts take two weeks of it, the month's peak and the expected one all: a month and the hour by which clocks may change.
pub const BACK_MS: i64 = 32 * DAY_MS;
/// Wishes are told for so many steps: a plan is made while its first one runs.
pub const STEPS_TOLD: usize = 2;
/// What a plan says in advance is told in whole kW: less is not worth a command.
const STEP_KW: f64 = 1.0;
/// The month's peak is planned with a load so many standard deviations above its forecast, and one hour of forty lies beyond two. Our
/// choice.
const DEVIATIONS: f64 = 2.0;
/// What is held is held by one more, for it may come up to its limit in each hour of a month.
const HELD_DEVIATIONS: f64 = 3.0;
/// A month is taken to reach at least this share of the highest quarter of an hour of the last weeks, so that its first days are not planned as if nothing had to be bought
/// in it. Our choice.
pub const PEAK_SHARE: f64 = 0.9;

/// Of work so much more may come than is normal: a plan that counts on all of the machines' power finds them do what is due in the dearest hours. A share, our choice.
const COMES_MORE: f64 = 0.05;

/// A battery as it stands, or vehicles that may give.
#[derive(Clone, Debug, PartialEq)]
pub struct Battery {
    /// Charging above 0, giving below.
    pub power_kw: Band,
    pub capacity_kwh: f64,
    pub round_trip: f64,
    /// Shares of the capacity between which it is used.
    pub charge: Band,
    pub stored_kwh: f64,
    /// When vehicles come and go; none for a battery.
    pub rounds: Option<Rounds>,
}

/// Posts for vehicles as they stand.
#[derive(Clone, Debug, PartialEq)]
pub struct Vehicles {
    /// All of them together: at most, and what they are always left.
    pub power_kw: Band,
    pub stay_h: f64,
    /// What they drew, hour by hour, in order.
    pub past: Vec<Past>,
}

/// Work that may wait until later in its day, as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// What its machines may take.
    pub power_kw_max: f64,
    /// What comes in each hour ahead, mean kW.
    pub come_kw: Vec<f64>,
    /// The local hour by which a day's work is done.
    pub done_by: i8,
    pub waiting_kwh: f64,
}

/// Everything a plan is made of. All past hours are over, and in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Site {
    pub outlook: Outlook,
    /// What was drawn besides batteries and vehicles, own photovoltaics included, and all work as if it had been done when it came.
    pub load: Vec<Past>,
    /// What baselines expect of it; none where there are none.
    pub expected: Option<forecast::Expected>,
    pub sun: Vec<Past>,
    /// Of the load less the sun, each hour's highest quarter of an hour above the hour's mean.
    pub excess: Vec<Past>,
    pub batteries: Vec<Battery>,
    pub vehicles: Vec<Vehicles>,
    pub batches: Vec<Batch>,
    pub pumps: Vec<Pump>,
    pub carbon_cny_per_kg: f64,
    /// Whether batteries lose no more than heat pumps spare, by the annual factor, so that a plan never brings carbon up.
    pub spares_what_it_loses: bool,
    /// The highest quarter of an hour that was bought in this month, and in the last weeks, kW.
    pub peak_kw: f64,
    pub recent_peak_kw: f64,
}

/// What would be good in an hour.
#[derive(Clone, Debug, PartialEq)]
pub struct Wishes {
    /// Of each battery, kW.
    pub batteries: Vec<f64>,
    /// The cap of each group of posts, kW; none where they may draw what they want.
    pub vehicles: Vec<Option<f64>>,
    /// The cap of each work, kW; none where it is done as fast as it comes.
    pub batches: Vec<Option<f64>>,
    /// Whether each heat pump goes before its boilers.
    pub pumps: Vec<bool>,
}

/// Why there are no wishes.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum NoPlan {
    #[error("there is not a whole day of hours to forecast from")]
    NoPast,
    #[error(transparent)]
    Failed(#[from] Failure),
}

impl Site {
    /// Plans ahead, and gives the plan's first [`STEPS_TOLD`] steps. `last_resort` bounds the solver's time by the wall clock.
    pub fn wishes(&self, last_resort: Duration) -> Result<Vec<Wishes>, NoPlan> {
        let problem = self.problem().ok_or(NoPlan::NoPast)?;
        let pools = Pools::of(&problem.storages, STORAGES_MAX);
        let pooled = Problem { storages: pools.storages(&problem.storages), ..problem.clone() };
        let plan = plan::solve(&pooled, last_resort)?;
        let mut stored: Vec<f64> = problem.storages.iter().map(|storage| storage.stored_kwh).collect();
        let told = (0..STEPS_TOLD.min(problem.steps.hours.len())).map(|step| {
            let pooled_kw: Vec<f64> = plan.storage_kw.iter().map(|powers| powers[step]).collect();
            let before = stored.clone();
            let powers = pools.powers(&problem.storages, &pooled_kw, (step, problem.steps.hours[step]), &mut stored);
            self.told(&problem, step, (&powers, &before))
        });
        Ok(told.collect())
    }

    /// What the powers of a step mean for each asset; `stored_kwh` is what each storage holds at its begin.
    fn told(&self, problem: &Problem, step: usize, (powers, stored_kwh): (&[f64], &[f64])) -> Wishes {
        let whole = |kw: &f64| (kw / STEP_KW).round() * STEP_KW;
        let (batteries, rest) = powers.split_at(self.batteries.len());
        let (vehicles, batches) = rest.split_at(self.vehicles.len());
        // No cap where all that is there is wanted; but what has waited is not drawn at once, for that would make a peak within the hour.
        let cap = |(kw, index): (&f64, usize)| {
            let Storage { floor_kwh, ceiling_kwh, held, .. } = &problem.storages[index];
            let there = (ceiling_kwh[step] - stored_kwh[index]) / problem.steps.hours[step];
            let came = if step > 0 { ceiling_kwh[step - 1] } else { self.waiting_kwh(index) };
            let waits = *held && STEP_KW < (came - stored_kwh[index]) / problem.steps.hours[step];
            // What is due is done whatever is commanded.
            let is_due = ceiling_kwh[step] <= floor_kwh[step];
            Some(whole(kw)).filter(|cap| (waits && !is_due) || *cap + STEP_KW < there)
        };
        let (from_vehicles, from_batches) = (self.batteries.len(), self.batteries.len() + self.vehicles.len());
        Wishes {
            batteries: batteries.iter().map(whole).collect(),
            vehicles: vehicles.iter().zip(from_vehicles..).map(cap).collect(),
            batches: batches.iter().zip(from_batches..).map(cap).collect(),
            pumps: self.pumps.iter().map(|pump| pump.goes_first(step, &problem.steps, self.carbon())).collect(),
        }
    }

    /// The problem from now on; none without enough of a past.
    #[must_use]
    pub fn problem(&self) -> Option<Problem> {
        let Outlook { hours, steps, months, peak_cny_per_kw, .. } = &self.outlook;
        let sun = forecast::sun(&self.sun, hours)?;
        let bought: Vec<Past> = self.load.iter().zip(&self.sun).map(|(load, sun)| Past { kw: load.kw - sun.kw, ..*load }).collect();
        let load = match &self.expected {
            None => forecast::load(&self.load, hours)?,
            Some(expected) => {
                let off = forecast::level(&expected.beyond(&self.load), hours)?;
                expected.ahead_kw.iter().zip(off).map(|(kw, off)| (kw + off).max(0.0)).collect()
            }
        };
        // By baselines it would be too small: they know the weather of the past, and only guess what comes.
        let (spread, excess) = (forecast::spread(&bought, hours)?, forecast::usual(&self.excess, hours));
        // What is left at the end saves buying at the horizon's mean price.
        let worth = steps.price.iter().sum::<f64>() / steps.price.len() as f64;
        let mut storages: Vec<Storage> = self.batteries.iter().map(|battery| battery.storage(&steps.hours, worth)).collect();
        let (mut vehicles_kw, mut come_kw) = (vec![0.0; hours.len()], vec![0.0; hours.len()]);
        for vehicles in &self.vehicles {
            let wanted = forecast::load(&vehicles.past, hours)?;
            storages.push(vehicles.storage(&wanted, &steps.hours, worth));
            vehicles_kw.iter_mut().zip(wanted).for_each(|(sum, kw)| *sum += kw);
        }
        for batch in &self.batches {
            storages.push(batch.storage(hours, &steps.hours, worth));
            come_kw.iter_mut().zip(&batch.come_kw).for_each(|(sum, kw)| *sum += kw);
        }
        let mut steps = steps.clone();
        // Without anybody's hand, work done as it comes.
        let untouched: Vec<f64> = (0..hours.len()).map(|step| load[step] - sun[step] + vehicles_kw[step]).collect();
        steps.load_kw = (0..hours.len()).map(|step| load[step] - sun[step] - come_kw[step]).collect();
        let mut reached_kw = vec![0.0_f64; months.len()];
        reached_kw[0] = self.reached_kw();
        for (step, month) in steps.month.iter().enumerate() {
            reached_kw[*month] = reached_kw[*month].max(untouched[step] + excess[step] - DEVIATIONS * spread[step]);
        }
        let most = |step: usize| (reached_kw[steps.month[step]] - excess[step] - HELD_DEVIATIONS * spread[step]).max(untouched[step]);
        steps.charge_below_kw = (0..hours.len()).map(|step| most(step) - vehicles_kw[step]).collect();
        steps.excess_kw = excess.iter().zip(&spread).map(|(excess, deviation)| excess + DEVIATIONS * deviation).collect();
        let expected = PEAK_SHARE * self.recent_peak_kw;
        let peaks_kw: Vec<f64> = (0..months.len()).map(|month| if month == 0 { self.peak_kw.max(expected) } else { expected }).collect();
        let spared_kwh = || self.pumps.iter().map(|pump| pump.spared_kwh(&steps, self.carbon())).sum();
        let losses_kwh_max = self.spares_what_it_loses.then(spared_kwh);
        let (carbon_cny_per_kg, peak_cny_per_kw) = (self.carbon_cny_per_kg, *peak_cny_per_kw);
        Some(Problem { steps, storages, losses_kwh_max, carbon_cny_per_kg, peak_cny_per_kw, peaks_kw, ..Problem::default() })
    }

    /// Its price, CNY/kg, and the grid's annual factor, kg/kWh.
    fn carbon(&self) -> (f64, f64) {
        (self.carbon_cny_per_kg, self.outlook.kg_per_kwh)
    }

    /// What waits of the work at a position of the storages, kWh.
    fn waiting_kwh(&self, storage: usize) -> f64 {
        let batch = storage.checked_sub(self.batteries.len() + self.vehicles.len()).and_then(|index| self.batches.get(index));
        batch.map_or(0.0, |batch| batch.waiting_kwh)
    }

    /// The highest quarter of an hour of this month as it would have been without anybody's hand, kW.
    fn reached_kw(&self) -> f64 {
        let from = self.outlook.months.first().map(|month| month.start);
        let of_month = |past: &Past| from.is_some_and(|from| from <= past.hour.start);
        let mut highest = 0.0_f64;
        for (index, load) in self.load.iter().enumerate().filter(|(_, load)| of_month(load)) {
            let vehicles_kw = self.vehicles.iter().map(|vehicles| vehicles.past[index].kw).sum::<f64>();
            highest = highest.max(load.kw - self.sun[index].kw + vehicles_kw + self.excess[index].kw);
        }
        highest
    }
}

impl Battery {
    /// As an asset declares it, at a state of charge in percent.
    #[must_use]
    pub fn of(asset: &Asset, state_pct: f64, ahead: &[Hour]) -> Battery {
        let capacity_kwh = asset.storing.capacity_kwh.unwrap_or(0.0);
        let stored_kwh = state_pct.clamp(0.0, 100.0) / 100.0 * capacity_kwh;
        let (round_trip, charge) = (asset.storing.round_trip, asset.storing.charge);
        Battery { power_kw: asset.limits, capacity_kwh, round_trip, charge, stored_kwh, rounds: Rounds::of(asset, ahead) }
    }

    /// For a plan of steps of so many hours.
    #[must_use]
    pub fn storage(&self, hours: &[f64], worth_cny_per_kwh: f64) -> Storage {
        let one_way_efficiency = self.round_trip.sqrt();
        let (least, most) = (self.charge.min * self.capacity_kwh, self.charge.max * self.capacity_kwh);
        let (charge_kw_max, discharge_kw_max) = (self.power_kw.max.max(0.0), (-self.power_kw.min).max(0.0));
        // What is outside of the band now is let in, and not asked to come back at once.
        let band = Band { min: least.min(self.stored_kwh), max: most.max(self.stored_kwh) };
        let (floor_kwh, ceiling_kwh) = match &self.rounds {
            None => (vec![band.min; hours.len()], vec![band.max; hours.len()]),
            Some(rounds) => {
                let reach_kw = Band { min: -discharge_kw_max / one_way_efficiency, max: charge_kw_max * one_way_efficiency };
                rounds.bounds((self.stored_kwh, self.capacity_kwh), band, reach_kw, hours)
            }
        };
        Storage {
            charge_kw_max,
            discharge_kw_max,
            one_way_efficiency,
            stored_kwh: self.stored_kwh,
            floor_kwh,
            ceiling_kwh,
            worth_cny_per_kwh: worth_cny_per_kwh * one_way_efficiency,
            held: true,
        }
    }
}

impl Vehicles {
    /// What they want (mean kW of each step) as energy: at most what has come, at least what has been there for the time that they stay, or what they are always left.
    #[must_use]
    pub fn storage(&self, wanted_kw: &[f64], hours: &[f64], worth_cny_per_kwh: f64) -> Storage {
        let (mut at, mut come, mut left) = (0.0, 0.0, 0.0);
        // What has come by when, hours and kWh.
        let mut arrivals = vec![(0.0, 0.0)];
        let (mut ceiling_kwh, mut floor_kwh) = (Vec::new(), Vec::new());
        for (kw, hours) in wanted_kw.iter().zip(hours) {
            let kw = kw.min(self.power_kw.max);
            (at, come, left) = (at + hours, come + kw * hours, left + kw.min(self.power_kw.min) * hours);
            arrivals.push((at, come));
            ceiling_kwh.push(come);
            floor_kwh.push(come_by(&arrivals, at - self.stay_h).max(left));
        }
        if let Some(last) = floor_kwh.last_mut() {
            // Nothing is put off beyond the plan.
            *last = come;
        }
        drawing(self.power_kw.max, (floor_kwh, ceiling_kwh), worth_cny_per_kwh, false)
    }
}

impl Batch {
    /// As an asset declares it: what its own plan does comes while it is in use.
    #[must_use]
    pub fn of(asset: &Asset, waiting_kwh: f64, ahead: &[Hour]) -> Batch {
        let comes = |hour: &Hour| if asset.in_use_on(hour.kind, hour.of_day) { asset.normal.unwrap_or(0.0) } else { 0.0 };
        let come_kw = ahead.iter().map(comes).collect();
        Batch { power_kw_max: asset.limits.max, come_kw, done_by: asset.storing.done_by, waiting_kwh: waiting_kwh.max(0.0) }
    }

    /// The work as energy: at most what waits and has come; all of it when its day or its use ends, as far as the machines' power reaches, and so much before that
    /// a reserve of it is left.
    #[must_use]
    pub fn storage(&self, ahead: &[Hour], hours: &[f64], worth_cny_per_kwh: f64) -> Storage {
        let (mut come, mut reach) = (self.waiting_kwh, 0.0_f64);
        let (mut ceiling_kwh, mut floor_kwh) = (Vec::new(), Vec::new());
        for (step, ((hour, hours), kw)) in ahead.iter().zip(hours).zip(&self.come_kw).enumerate() {
            come += kw * hours;
            reach = come.min(reach + self.power_kw_max * hours);
            ceiling_kwh.push(come);
            let nobody_comes = self.come_kw.get(step + 1).is_some_and(|kw| *kw <= 0.0);
            let is_over = (hour.of_day + 1) % 24 == self.done_by || nobody_comes;
            floor_kwh.push((reach, if is_over { reach } else { 0.0 }));
        }
        // Backwards: what has to be done already, so that the rest can be.
        let mut then = 0.0;
        for (step, (reach, least)) in floor_kwh.iter_mut().enumerate().rev() {
            *least = reach.min(least.max(then));
            then = *least - (self.power_kw_max - COMES_MORE * self.come_kw[step]).max(0.0) * hours[step];
        }
        let floor_kwh = floor_kwh.into_iter().map(|(_, least)| least).collect();
        drawing(self.power_kw_max, (floor_kwh, ceiling_kwh), worth_cny_per_kwh, true)
    }
}

/// What only takes.
fn drawing(charge_kw_max: f64, (floor_kwh, ceiling_kwh): (Vec<f64>, Vec<f64>), worth_cny_per_kwh: f64, held: bool) -> Storage {
    Storage {
        charge_kw_max,
        discharge_kw_max: 0.0,
        one_way_efficiency: 1.0,
        stored_kwh: 0.0,
        floor_kwh,
        ceiling_kwh,
        worth_cny_per_kwh,
        held,
    }
}

/// Between the moments of `arrivals` it comes evenly.
fn come_by(arrivals: &[(f64, f64)], at: f64) -> f64 {
    let next = arrivals.partition_point(|(by, _)| *by < at);
    match (next.checked_sub(1).map(|before| arrivals[before]), arrivals.get(next)) {
        (Some((from, before)), Some((to, after))) => before + (after - before) * (at - from) / (to - from),
        (None, _) => 0.0,
        (Some((_, all)), None) => all,
    }
}

#[cfg(test)]
mod tests;
