//! A year of batteries and charging under four strategies, side by side.
//!
//! The zone of the simulators is played quarter by quarter, once for each strategy, from one state. A strategy knows what meters have shown by the hour's
//! begin, prices and factors; only [`Strategy::Foresight`] is told what the others played into. The batteries and vehicles are the fleet's own models: what a plan believes of
//! them is held against what they do. Invariant: the four differ by set points only.

mod meters;
pub mod outcome;

use std::path::Path;
use std::time::Duration;

use nengtan_fleet::physics::World;

use self::meters::{Meters, Quarter};
use self::outcome::{Outcome, QUARTERS_PER_H};
use super::TrialError;
use crate::config::zone_folder::{self, ZoneFolder};
use crate::dispatch::forecast::{Hour, Past};
use crate::dispatch::outlook::{self, HORIZON_H, Outlook};
use crate::dispatch::plan::{self, Failure, Problem};
use crate::dispatch::site::{Battery, NoPlan, Site, Vehicles, Wishes};
use crate::domain::assets::{Asset, AssetKind};
use crate::domain::calendar::LocalCalendar;
use crate::domain::channel::Carrier;
use crate::domain::entity::named;
use crate::domain::factors::GridMethod;
use crate::domain::units::{DAY_MS, HOUR_MS, MINUTE_MS, Millis};
use crate::regulation::rules::{self, Situation};

/// Played before the first judged hour, so that there is something to look back on.
const BEFORE_MS: i64 = 28 * DAY_MS;
const QUARTER_MS: i64 = 15 * MINUTE_MS;
const MG_PER_KG: f64 = 1e6;

named! {
    Strategy {
        /// Stores what the sun gives beyond what is used, and gives it back as soon as something is bought.
        Greedy = "greedy",
        /// The rules of [`crate::regulation::rules`].
        Tariff = "tariff",
        /// Plans a day and a half ahead, anew each hour.
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

/// An hour as the meters showed it.
#[derive(Clone, Debug)]
struct Seen {
    hour: Hour,
    /// Means of the hour, kW.
    load_kw: f64,
    sun_kw: f64,
    vehicles_kw: Vec<f64>,
    /// The highest quarter above the mean, of what is bought for the load.
    excess_kw: f64,
    /// The highest quarter.
    bought_kw: f64,
}

/// The zone before the first hour, and what all strategies have in common.
struct Stage {
    folder: ZoneFolder,
    meters: Meters,
    world: World,
    past: Vec<Seen>,
    /// What batteries hold at the start, percent.
    states: Vec<f64>,
    start: Millis,
    end: Millis,
    kg_per_kwh: f64,
    carbon_cny_per_kg: f64,
    channels: usize,
}

impl Stage {
    fn new(options: &Options) -> Result<Stage, TrialError> {
        let fleet = nengtan_fleet::zone::Zone::load(options.zone).map_err(TrialError::Ground)?;
        let folder = zone_folder::load(options.zone).map_err(TrialError::Folder)?;
        let profile = folder.zone.profile();
        let calendar = LocalCalendar::new(profile.time_zone.clone());
        let live_from = profile.live_from.unwrap_or(Millis(0));
        let last = calendar.date(live_from);
        // The months before the live part: a tariff for them is known.
        let first = last.saturating_sub(jiff::Span::new().months(options.months));
        let (start, end) = (calendar.start_of(first), calendar.start_of(last));
        let factor = folder.factors.electricity(GridMethod::Average, &profile.region, first.year());
        let factor = factor.map_err(|missing| TrialError::Dispatch(missing.to_string()))?.factor;
        let world = World::new(&fleet, options.seed).map_err(TrialError::Dispatch)?;
        let meters = Meters::of(&fleet, folder.zone.assets());
        let mut stage = Stage {
            meters,
            world,
            past: Vec::new(),
            states: Vec::new(),
            start,
            end,
            kg_per_kwh: factor.0 as f64 / MG_PER_KG,
            carbon_cny_per_kg: options.carbon_cny_per_kg,
            channels: fleet.channels.len(),
            folder,
        };
        let (mut world, mut calendar) = (stage.world.clone(), calendar);
        let mut at = start.plus_ms(-BEFORE_MS);
        while at < start {
            let quarters = stage.hour(&mut world, at);
            let seen = stage.seen(at, &quarters, &mut calendar);
            stage.past.push(seen);
            stage.states = quarters.last().map_or_else(Vec::new, |quarter| quarter.states_pct.clone());
            at = at.plus_ms(HOUR_MS);
        }
        stage.world = world;
        Ok(stage)
    }

    /// Plays an hour.
    fn hour(&self, world: &mut World, from: Millis) -> Vec<Quarter> {
        let mut flows = vec![0.0; self.channels];
        let mut quarter = |index: i64| {
            let from = from.plus_ms(index * QUARTER_MS);
            world.step(from.0, from.0 + QUARTER_MS, &mut flows);
            self.meters.read(&flows, world)
        };
        (0..HOUR_MS / QUARTER_MS).map(&mut quarter).collect()
    }

    fn seen(&self, at: Millis, quarters: &[Quarter], calendar: &mut LocalCalendar) -> Seen {
        let sum = |value: &dyn Fn(&Quarter) -> f64| quarters.iter().map(value).sum::<f64>();
        let highest = |value: &dyn Fn(&Quarter) -> f64| quarters.iter().map(value).fold(0.0, f64::max) * QUARTERS_PER_H;
        let vehicles_kw =
            (0..self.assets(AssetKind::EvCharging).count()).map(|index| sum(&|quarter| quarter.vehicles_kwh[index])).collect();
        let of_day = ((at.0 + calendar.offset_ms(at)).div_euclid(HOUR_MS).rem_euclid(24)) as i8;
        Seen {
            hour: Hour { start: at, of_day, kind: self.folder.zone.day_types().of(calendar.date(at)) },
            load_kw: sum(&Quarter::load_kwh),
            sun_kw: sum(&|quarter| quarter.sun_kwh),
            vehicles_kw,
            excess_kw: highest(&Quarter::net_kwh) - sum(&Quarter::net_kwh),
            bought_kw: highest(&|quarter| quarter.bought_kwh),
        }
    }

    fn assets(&self, kind: AssetKind) -> impl Iterator<Item = &Asset> {
        self.folder.zone.assets().iter().filter(move |asset| asset.kind == kind)
    }

    fn outlook(&self, now: Millis, hours: usize, calendar: &mut LocalCalendar) -> Result<Outlook, TrialError> {
        let unpriced =
            || TrialError::Dispatch("an hour of the trial has no price of electricity; give the zone a tariff that holds then".to_owned());
        outlook::outlook(now, hours, (&self.folder.tariff, self.folder.zone.day_types()), calendar, self.kg_per_kwh).ok_or_else(unpriced)
    }

    fn batteries(&self, states: &[f64]) -> Vec<Battery> {
        let battery = |(asset, pct): (&Asset, &f64)| {
            let capacity_kwh = asset.storing.capacity_kwh.unwrap_or(0.0);
            let (round_trip, charge) = (asset.storing.round_trip, asset.storing.charge);
            Battery { power_kw: asset.limits, capacity_kwh, round_trip, charge, stored_kwh: pct / 100.0 * capacity_kwh }
        };
        self.assets(AssetKind::Battery).zip(states).map(battery).collect()
    }

    fn vehicles(&self, past: &[Seen]) -> Vec<Vehicles> {
        let group = |(index, asset): (usize, &Asset)| Vehicles {
            power_kw: asset.comfort,
            stay_h: asset.storing.stay_h,
            past: past.iter().map(|seen| Past { hour: seen.hour, kw: seen.vehicles_kw[index] }).collect(),
        };
        self.assets(AssetKind::EvCharging).enumerate().map(group).collect()
    }

    fn play(&self, strategy: Strategy, free: &[Seen], mut progress: impl FnMut()) -> Result<(Outcome, Vec<Seen>), TrialError> {
        let mut calendar = LocalCalendar::new(self.folder.zone.profile().time_zone.clone());
        let (mut world, mut past) = (self.world.clone(), self.past.clone());
        let (mut outcome, mut at) = (Outcome::default(), self.start);
        let mut months: Vec<Vec<Wishes>> = Vec::new();
        let mut states = self.states.clone();
        let held = |states: &[f64]| self.batteries(states).iter().map(|battery| battery.stored_kwh).sum::<f64>();
        let (mut month, held_before) = (Millis(i64::MIN), held(&states));
        while at < self.end {
            let hour = self.outlook(at, 1, &mut calendar)?;
            if calendar.month(at).start != month {
                month = calendar.month(at).start;
                outcome.peaks_kw.push(0.0);
                if strategy == Strategy::Foresight {
                    let hours = (calendar.month(at).end.min(self.end).ms_since(at) / HOUR_MS) as usize;
                    months.push(self.whole_month(at, hours, (free, &states), &mut outcome, &mut calendar)?);
                }
            }
            let wishes = match strategy {
                Strategy::Greedy => Some(self.greedy(&past)),
                Strategy::Tariff => Some(self.by_tariff(at, &mut calendar)),
                Strategy::Receding => self.receding(at, (&past, &states), &mut outcome, &mut calendar)?,
                Strategy::Foresight => {
                    let into_month = (at.ms_since(month.max(self.start)) / HOUR_MS) as usize;
                    months.last().and_then(|hours| hours.get(into_month).cloned())
                }
            };
            // A strategy without a plan leaves it to the rules, as the engine does.
            self.command(&mut world, &wishes.unwrap_or_else(|| self.by_tariff(at, &mut calendar)));
            let quarters = self.hour(&mut world, at);
            for quarter in &quarters {
                outcome.add(quarter, &hour, self.kg_per_kwh);
            }
            states.clone_from(&quarters.last().map_or_else(Vec::new, |quarter| quarter.states_pct.clone()));
            past.push(self.seen(at, &quarters, &mut calendar));
            at = at.plus_ms(HOUR_MS);
            progress();
        }
        outcome.storage_loss_kwh -= held(&states) - held_before;
        let demand = self.outlook(self.start, 1, &mut calendar)?.peak_cny_per_kw;
        outcome.demand_cny = demand * outcome.peaks_kw.iter().sum::<f64>();
        past.drain(..self.past.len());
        Ok((outcome, past))
    }

    fn command(&self, world: &mut World, wishes: &Wishes) {
        for (asset, kw) in self.assets(AssetKind::Battery).zip(&wishes.batteries) {
            world.controls.set(&asset.id, *kw);
        }
        for (asset, cap) in self.assets(AssetKind::EvCharging).zip(&wishes.vehicles) {
            match cap {
                Some(kw) => world.controls.set(&asset.id, *kw),
                None => world.controls.clear(&asset.id),
            }
        }
    }

    /// What the last hour had too much or too little of sun is what the next one will have.
    fn greedy(&self, past: &[Seen]) -> Wishes {
        let mut lacks_kw = past.last().map_or(0.0, |seen| seen.load_kw - seen.sun_kw + seen.vehicles_kw.iter().sum::<f64>());
        let mut batteries = Vec::new();
        for asset in self.assets(AssetKind::Battery) {
            let kw = asset.limits.nearest(-lacks_kw);
            lacks_kw += kw;
            batteries.push(kw);
        }
        Wishes { batteries, vehicles: self.assets(AssetKind::EvCharging).map(|_| None).collect() }
    }

    fn by_tariff(&self, at: Millis, calendar: &mut LocalCalendar) -> Wishes {
        let spans = self.folder.tariff.day(Carrier::Electricity, at, calendar);
        let band =
            spans.iter().find(|span| span.from <= at && at < span.to).map_or(crate::domain::tariff::Band::Unpriced, |span| span.band);
        let local = self.folder.zone.profile().time_zone.to_datetime(at.timestamp());
        let situation = Situation { local, in_use: true, value: None, day_c: None, outdoor_c: None, band };
        let value = |asset| rules::wish(asset, &situation).map(|wish| wish.value);
        Wishes {
            batteries: self.assets(AssetKind::Battery).map(|asset| value(asset).unwrap_or(0.0)).collect(),
            vehicles: self.assets(AssetKind::EvCharging).map(value).collect(),
        }
    }

    fn receding(
        &self,
        at: Millis,
        (past, states): (&[Seen], &[f64]),
        outcome: &mut Outcome,
        calendar: &mut LocalCalendar,
    ) -> Result<Option<Wishes>, TrialError> {
        let recent = &past[past.len().saturating_sub((BEFORE_MS / HOUR_MS) as usize)..];
        let month = calendar.month(at).start.max(self.start);
        let peak = |hours: &[Seen]| hours.iter().map(|seen| seen.bought_kw).fold(0.0, f64::max);
        let this_month = &past[past.partition_point(|seen| seen.hour.start < month)..];
        let series = |value: fn(&Seen) -> f64| recent.iter().map(|seen| Past { hour: seen.hour, kw: value(seen) }).collect::<Vec<_>>();
        let site = Site {
            outlook: self.outlook(at, HORIZON_H, calendar)?,
            load: series(|seen| seen.load_kw),
            sun: series(|seen| seen.sun_kw),
            excess: series(|seen| seen.excess_kw),
            batteries: self.batteries(states),
            vehicles: self.vehicles(recent),
            carbon_cny_per_kg: self.carbon_cny_per_kg,
            peak_kw: peak(this_month),
            recent_peak_kw: peak(recent),
        };
        let (before, wishes) = (cpu(), site.wishes());
        outcome.cpu += cpu().saturating_sub(before);
        outcome.plans += 1;
        outcome.late += u32::from(wishes == Err(NoPlan::Failed(Failure::Late)));
        outcome.failed += u32::from(wishes.is_err());
        Ok(wishes.ok())
    }

    /// A whole month planned at once, from what it was without anybody's hand.
    fn whole_month(
        &self,
        at: Millis,
        hours: usize,
        (free, states): (&[Seen], &[f64]),
        outcome: &mut Outcome,
        calendar: &mut LocalCalendar,
    ) -> Result<Vec<Wishes>, TrialError> {
        let outlook = self.outlook(at, hours, calendar)?;
        let from = free.partition_point(|seen| seen.hour.start < at);
        let month = &free[from..(from + hours).min(free.len())];
        let mut steps = outlook.steps;
        steps.load_kw = month.iter().map(|seen| seen.load_kw - seen.sun_kw).collect();
        steps.excess_kw = month.iter().map(|seen| seen.excess_kw).collect();
        steps.charge_below_kw = vec![f64::INFINITY; hours];
        let worth = steps.price.iter().sum::<f64>() / hours as f64;
        let mut storages: Vec<_> = self.batteries(states).iter().map(|battery| battery.storage(hours, worth)).collect();
        for (index, vehicles) in self.vehicles(&[]).iter().enumerate() {
            let wanted: Vec<f64> = month.iter().map(|seen| seen.vehicles_kw[index]).collect();
            storages.push(vehicles.storage(&wanted, &steps.hours, worth));
        }
        let problem = Problem {
            steps,
            storages,
            carbon_cny_per_kg: self.carbon_cny_per_kg,
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
        let batteries = self.assets(AssetKind::Battery).count();
        let at = |hour: usize| Wishes {
            batteries: plan.storage_kw[..batteries].iter().map(|powers| powers[hour]).collect(),
            // A cap at what is wanted anyway would take the hour's ups and downs from them.
            vehicles: month[hour]
                .vehicles_kw
                .iter()
                .zip(&plan.storage_kw[batteries..])
                .map(|(wanted, powers)| Some(powers[hour]).filter(|cap| *cap < wanted - 1.0))
                .collect(),
        };
        Ok((0..hours).map(at).collect())
    }
}

/// The processor's time of this thread.
fn cpu() -> Duration {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(spent).unwrap_or_default()
}
