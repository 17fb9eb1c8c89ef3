//! A year of what can be moved, under four strategies, side by side: batteries, charging, work that may wait, and which heat goes first.
//!
//! The zone of the simulators, with its programme, is played quarter by quarter, once for each strategy, from one state. A strategy knows what meters have shown by
//! the hour's begin, prices and factors. What a plan believes of the fleet's models is held against what they do; beside them stands a bill that nobody could undercut
//! (`bound`). Invariant: the strategies differ by set points only.

mod bound;
mod meters;
pub mod outcome;
mod stage;
mod truth;

use std::path::Path;
use std::time::Duration;

use self::bound::Ground;
use self::outcome::Outcome;
use self::stage::{Gauges, Seen, Stage, band, outdoor_c};
use super::TrialError;
use crate::dispatch::forecast::{self, Past};
use crate::dispatch::outlook::HORIZON_H;
use crate::dispatch::plan::Failure;
use crate::dispatch::site::{BACK_MS, NoPlan, Site, Wishes};
use crate::domain::assets::AssetKind;
use crate::domain::calendar::LocalCalendar;
use crate::domain::entity::named;
use crate::domain::units::{HOUR_MS, Millis};
use crate::regulation::rules::{self, Situation};

/// Played before the first judged hour, so that there is something to look back on.
const BEFORE_MS: i64 = BACK_MS;
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

/// What the strategies came to.
pub struct Compared {
    pub outcomes: Vec<(Strategy, Outcome)>,
    /// The bill that no strategy undercuts, CNY, and the processor's time for it.
    pub bound_cny: f64,
    pub bound_cpu: Duration,
}

/// Plays all strategies; `progress` is told how many hours of how many are played.
pub fn run(options: &Options, mut progress: impl FnMut(u64, u64)) -> Result<Compared, TrialError> {
    let ground = Stage::new(options)?;
    let hours = (ground.end.ms_since(ground.start) / HOUR_MS).unsigned_abs();
    let (mut played, all) = (0, hours * Strategy::ALL.len() as u64);
    let mut outcomes = Vec::new();
    for &strategy in Strategy::ALL {
        let outcome = ground.play(strategy, || {
            played += 1;
            progress(played, all);
        })?;
        outcomes.push((strategy, outcome));
    }
    let before = cpu();
    let carbon_kg_max = outcomes.first().filter(|_| options.spares_what_it_loses).map(|(_, greedy)| greedy.annual_kg);
    let bound = ground.ground(carbon_kg_max)?.bound_cny();
    let bound_cny = bound.map_err(|unsolved| TrialError::Dispatch(unsolved.to_string()))?;
    Ok(Compared { outcomes, bound_cny, bound_cpu: cpu().saturating_sub(before) })
}

/// What is wished in an hour's first quarter, and in its others.
type Orders = (Wishes, Wishes);

impl Stage {
    fn play(&self, strategy: Strategy, mut progress: impl FnMut()) -> Result<Outcome, TrialError> {
        let mut calendar = LocalCalendar::new(self.folder.zone.profile().time_zone.clone());
        let (mut world, mut past) = (self.world.clone(), self.past.clone());
        let (mut outcome, mut at) = (Outcome::default(), self.start);
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
        Ok(outcome)
    }

    /// What the bound is made of, with so much carbon at most.
    fn ground(&self, carbon_kg_max: Option<f64>) -> Result<Ground, TrialError> {
        let mut calendar = LocalCalendar::new(self.folder.zone.profile().time_zone.clone());
        let hours = self.truth(&mut calendar)?;
        let ahead: Vec<_> = hours.iter().map(|hour| hour.hour).collect();
        Ok(Ground {
            months: self.months(&mut calendar),
            stores: self.stores(&ahead),
            works: self.assets(AssetKind::Batch).map(|asset| (asset.limits.max, asset.storing.done_by)).collect(),
            demand_cny_per_kw: self.outlook(self.start, 1, &mut calendar)?.peak_cny_per_kw,
            gas: self.gas,
            kg_per_kwh: self.kg_per_kwh,
            carbon_kg_max,
            hours,
        })
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
}

/// The processor's time of this thread.
fn cpu() -> Duration {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(spent).unwrap_or_default()
}
