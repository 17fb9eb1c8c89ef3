//! Plans for batteries, charging, work that may wait and heat pumps, begun anew with each hour of the engine's clock.
//!
//! A plan is made of what was committed of the time before its hour, on a thread of its own, and used from the decision after the one that began it: so it does not
//! depend on how fast it was made, and one that is made once more after a restart is the same. Where there is no plan the rules decide: that is counted (`plans_failed`),
//! and written into the audit log when it begins and when it is over.

mod maker;

use std::time::Duration;

use rustc_hash::FxHashMap;

use self::maker::{Made, Maker};
use super::regulate::DECISION_MS;
use super::{Engine, EngineError};
use crate::dispatch::forecast::{self, Expected, Hour, Past, REMEMBERED_MS};
use crate::dispatch::heat::{Gas, Pump};
use crate::dispatch::outlook::{HORIZON_H, Outlook, outlook};
use crate::dispatch::site::{BACK_MS, Batch, Battery, CARBON_CNY_PER_T, LAST_RESORT, Site, Vehicles, Wishes};
use crate::domain::assets::{Asset, AssetKind, Band};
use crate::domain::factors::GridMethod;
use crate::domain::tariff;
use crate::domain::units::{HOUR_MS, Millis};
use crate::domain::zone::ClockMode;
use crate::regulation::desk::Move;
use crate::regulation::rules::{self, Situation};
use crate::store::batch::RowId;
use crate::store::planning::{HEAT, STATE_OF_CHARGE, WAITING};

/// The newest hours are read once more for each plan: what comes late is late by minutes, as a rule.
const AGAIN_MS: i64 = 3 * HOUR_MS;
/// A gauge's value that is older says nothing.
const GAUGE_AGE_MS: i64 = HOUR_MS;
/// The weather of now is the mean of the last three hours, as for the rules.
const WEATHER_MS: i64 = 3 * HOUR_MS;
const MG_PER_KG: f64 = 1e6;
const KG_PER_T: f64 = 1000.0;

/// An hour of the past, kW.
#[derive(Clone, Debug)]
struct Seen {
    hour: Hour,
    used_kw: f64,
    bought_kw: f64,
    highest_kw: f64,
    /// Of the batteries' entities together, and of each of the vehicles'.
    batteries_kw: f64,
    vehicles_kw: Vec<f64>,
    /// What was put off in the hour, less what was made up for.
    put_off_kw: f64,
    outdoor_c: Option<f64>,
    /// What each heat pump's station made.
    heat_kw: Vec<f64>,
}

/// Positions of the assets that can be planned for.
#[derive(Clone, Debug, Default, PartialEq)]
struct Planned {
    batteries: Vec<usize>,
    vehicles: Vec<usize>,
    batches: Vec<usize>,
    pumps: Vec<usize>,
}

/// What came of the plan of an hour.
#[derive(Clone, Debug)]
struct Told {
    hour: Millis,
    assets: Planned,
    wishes: Vec<Wishes>,
}

/// What planning keeps in memory; all of it can be made anew from the store.
#[derive(Debug)]
pub(super) struct Planning {
    seen: Vec<Seen>,
    /// What `seen` is of.
    assets: Planned,
    maker: Maker,
    /// The hour of the plan that is being made, and the assets it is for.
    making: Option<(Millis, Planned)>,
    told: Option<Told>,
    failing: bool,
    last_resort: Duration,
}

impl Default for Planning {
    fn default() -> Planning {
        let (seen, assets, maker) = (Vec::new(), Planned::default(), Maker::default());
        Planning { seen, assets, maker, making: None, told: None, failing: false, last_resort: LAST_RESORT }
    }
}

/// What a plan says of an asset.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Said {
    /// Nothing: the rules decide.
    Nothing,
    /// This set point; none: its own plan is as good.
    SetPoint(Option<f64>),
}

impl Engine {
    /// How long a solver may take by the wall clock before the rules decide, and a fed engine waits for it.
    pub fn set_plan_deadline(&mut self, last_resort: Duration) {
        self.planning.last_resort = last_resort;
    }

    /// What is planned for each of the zone's assets at `now`.
    pub(super) fn plans(&mut self, now: Millis) -> Result<Vec<Said>, EngineError> {
        // On the wall clock there has been a quarter of an hour for it; a fed clock waits, so that the same days come out the same.
        let wait = if self.zone.profile().clock == ClockMode::Feed { self.planning.last_resort * 2 } else { Duration::ZERO };
        self.take_plan(wait);
        // The plan that the decision before this one began: after a start it is made now.
        let (used, begun) = (self.calendar.hour(now.plus_ms(-DECISION_MS)).start, self.calendar.hour(now).start);
        if self.planning.told.as_ref().is_none_or(|told| told.hour < used) && !self.planning.maker.is_busy() {
            self.begin_plan(used)?;
            self.take_plan(self.planning.last_resort * 2);
        }
        if used < begun && !self.planning.maker.is_busy() {
            self.begin_plan(begun)?;
        }
        let outdoor_c = self.store.outdoor_c(now.plus_ms(-WEATHER_MS), now)?;
        let mut plans = vec![Said::Nothing; self.zone.assets().len()];
        let Some(Told { hour, assets, wishes }) = self.planning.told.as_ref() else { return Ok(plans) };
        let into_plan = usize::try_from(begun.ms_since(*hour) / HOUR_MS).unwrap_or(usize::MAX);
        if let Some(Wishes { batteries, vehicles, batches, pumps }) = wishes.get(into_plan) {
            let mut say = |index: &usize, value| plans[*index] = Said::SetPoint(value);
            assets.batteries.iter().zip(batteries).for_each(|(index, kw)| say(index, Some(*kw)));
            assets.vehicles.iter().zip(vehicles).for_each(|(index, cap)| say(index, *cap));
            assets.batches.iter().zip(batches).for_each(|(index, cap)| say(index, *cap));
            for (index, goes_first) in assets.pumps.iter().zip(pumps) {
                let asset = &self.zone.assets()[*index];
                // A plan lets it rest, and never has it run where the rules do not.
                if let Some(ruled) = outdoor_c.and_then(|outdoor_c| by_rule(asset, outdoor_c)) {
                    say(index, Some(if *goes_first { ruled } else { asset.limits.min }));
                }
            }
        }
        Ok(plans)
    }

    /// Takes what came of the plan that is being made, if it is there within `wait`.
    fn take_plan(&mut self, wait: Duration) {
        if let Some(made) = self.planning.maker.take(wait) {
            if let Some((hour, assets)) = self.planning.making.take() {
                self.tell_plan(hour, assets, made);
            }
        } else if self.planning.maker.is_busy() {
            self.count("plans_late", 1);
        }
    }

    fn tell_plan(&mut self, hour: Millis, assets: Planned, made: Made) {
        self.count("plans", 1);
        self.count("plans_failed", i64::from(made.is_err()));
        if made.is_err() != self.planning.failing {
            self.planning.failing = made.is_err();
            let outcome = if made.is_err() { "the rules decide" } else { "plans again" };
            let [who, what, outcome] = ["collector", "plan ahead", outcome].map(str::to_owned);
            let why = made.as_ref().err().cloned().unwrap_or_default();
            self.regulation.say(Move { asset: String::new(), at: hour, who, what, why, outcome, order: None, reply: None });
        }
        self.planning.told = Some(Told { hour, assets, wishes: made.unwrap_or_default() });
    }

    /// Begins the plan of an hour, where there is something to plan for.
    fn begin_plan(&mut self, hour: Millis) -> Result<(), EngineError> {
        let (from, gas) = (hour.plus_ms(-GAUGE_AGE_MS), self.gas(hour));
        let (states, waiting) = (self.store.gauges(STATE_OF_CHARGE, from, hour)?, self.store.gauges(WAITING, from, hour)?);
        let is_outdoor = self.store.outdoor_c(hour.plus_ms(-AGAIN_MS), hour)?.is_some();
        let (zone, programme) = (self.zone.assets(), self.regulation.programme());
        let of_kind = |kind: AssetKind, fits: &dyn Fn(&Asset) -> bool| -> Vec<usize> {
            let planned =
                |asset: &Asset| asset.kind == kind && *asset.unit == *kind.unit() && (programme || !asset.programme) && fits(asset);
            (0..zone.len()).filter(|index| planned(&zone[*index])).collect()
        };
        let is_known = |asset: &Asset| asset.storing.capacity_kwh.is_some() && states.contains_key(&asset.entity);
        let assets = Planned {
            batteries: [AssetKind::Battery, AssetKind::V2g].map(|kind| of_kind(kind, &is_known)).concat(),
            vehicles: of_kind(AssetKind::EvCharging, &|asset| 0.0 < asset.storing.stay_h),
            batches: of_kind(AssetKind::Batch, &|asset| asset.normal.is_some() && waiting.contains_key(&asset.entity)),
            pumps: of_kind(AssetKind::HeatPump, &|asset| asset.pumping.is_planned() && gas.is_some() && is_outdoor),
        };
        if assets == Planned::default() {
            return Ok(());
        }
        if assets != self.planning.assets {
            self.planning.seen.clear();
            self.planning.assets = assets.clone();
        }
        self.look_back(hour)?;
        let Some(outlook) = self.outlook(hour) else {
            self.tell_plan(hour, assets, Err("an hour of the plan has no price or no factor of electricity".to_owned()));
            return Ok(());
        };
        let expected = self.expected(hour, &outlook)?;
        let site = self.site((outlook, expected), (&states, &waiting), gas.as_ref());
        self.planning.maker.begin(site, self.planning.last_resort);
        self.planning.making = Some((hour, assets));
        Ok(())
    }

    fn outlook(&mut self, hour: Millis) -> Option<Outlook> {
        let profile = self.zone.profile();
        let year = self.calendar.date(hour).year();
        // What is missing is said where it was looked for; here it only means that there is no plan, which is counted.
        let factor = self.in_force.factors.electricity(GridMethod::Average, &profile.region, year).ok()?.factor;
        let known = (&self.in_force.tariff, self.zone.day_types());
        outlook(hour, HORIZON_H, known, &mut self.calendar, factor.0 as f64 / MG_PER_KG)
    }

    /// What baselines expect of the load that is not planned, in the hours that a forecast looks back on and ahead of them.
    fn expected(&mut self, hour: Millis, outlook: &Outlook) -> Result<Option<Expected>, EngineError> {
        let Planning { seen, assets, .. } = &self.planning;
        let from = hour.plus_ms(-REMEMBERED_MS);
        let past: Vec<Hour> = seen.iter().map(|seen| seen.hour).filter(|seen| from <= seen.start).collect();
        let row = |index: &usize| self.zone.entity_of(&self.zone.assets()[*index].entity).map(|entity| self.entities[entity.0 as usize]);
        let vehicles: Vec<RowId> = assets.vehicles.iter().filter_map(row).collect();
        Ok(self.savings.expected(&self.store, (&past, &outlook.hours), &vehicles)?)
    }

    fn gas(&mut self, hour: Millis) -> Option<Gas> {
        Gas::at(hour, (&self.in_force.tariff, &self.in_force.factors, self.zone.profile()), &mut self.calendar)
    }

    /// Its flow is as warm as the rules want it, else as its boilers plan it, at each of these outdoor temperatures
    /// with this heat.
    fn pump(&self, asset: &Asset, gas: &Gas, (ahead_c, taken_kw): (&[f64], &[f64])) -> Option<Pump> {
        let boiler = self.zone.assets().iter().find(|other| other.kind == AssetKind::Boiler && other.entity == asset.entity)?;
        let flow = |outdoor_c: &f64| Some((by_rule(boiler, *outdoor_c).or(boiler.normal)?, *outdoor_c));
        let ruled = ahead_c.iter().map(|outdoor_c| by_rule(asset, *outdoor_c).is_some()).collect();
        Pump::new(&asset.pumping, gas, &ahead_c.iter().map(flow).collect::<Option<Vec<_>>>()?, (taken_kw, ruled))
    }

    /// Brings what was seen up to the hour.
    fn look_back(&mut self, hour: Millis) -> Result<(), EngineError> {
        let (oldest, again) = (hour.plus_ms(-BACK_MS), hour.plus_ms(-AGAIN_MS));
        let seen = &mut self.planning.seen;
        seen.retain(|seen| oldest <= seen.hour.start && seen.hour.start < again);
        let mut at = seen.last().map_or(oldest, |seen| seen.hour.start.plus_ms(HOUR_MS));
        let Planned { batteries, vehicles, batches, pumps } = self.planning.assets.clone();
        let row = |index: &usize| self.zone.entity_of(&self.zone.assets()[*index].entity).map(|entity| self.entities[entity.0 as usize]);
        let (batteries, vehicles): (Vec<_>, Vec<_>) = (batteries.iter().map(row).collect(), vehicles.iter().map(row).collect());
        let interval_ms = self.zone.profile().interval_ms;
        let mut waited = self.waiting(&batches, at)?;
        while at < hour {
            let used = self.store.hour_kwh(at)?;
            let of = |row: &Option<RowId>| row.and_then(|row| used.get(&row)).map_or(0.0, |(used_kwh, _)| *used_kwh);
            // An hour that nobody metered is none to look back on.
            if let Some((used_kw, bought_kw)) = used.get(&self.whole).copied() {
                let highest_kw = self.store.highest_kw(self.whole, at, interval_ms)?.unwrap_or(bought_kw).max(bought_kw);
                let waits = self.waiting(&batches, at.plus_ms(HOUR_MS))?;
                let (batteries_kw, vehicles_kw) = (batteries.iter().map(of).sum(), vehicles.iter().map(of).collect());
                let of_day = ((at.0 + self.calendar.offset_ms(at)).div_euclid(HOUR_MS).rem_euclid(24)) as i8;
                let hour = Hour { start: at, of_day, kind: self.zone.day_types().of(self.calendar.date(at)) };
                let put_off_kw = waits - waited;
                let outdoor_c = self.store.outdoor_c(at, at.plus_ms(HOUR_MS))?;
                let heat = |index: &usize| self.store.heat_kwh((&self.zone.assets()[*index].entity, HEAT), at, interval_ms);
                let heat_kw = pumps.iter().map(heat).collect::<Result<_, _>>()?;
                self.planning.seen.push(Seen {
                    hour,
                    used_kw,
                    bought_kw,
                    highest_kw,
                    batteries_kw,
                    vehicles_kw,
                    put_off_kw,
                    outdoor_c,
                    heat_kw,
                });
                waited = waits;
            }
            at = at.plus_ms(HOUR_MS);
        }
        Ok(())
    }

    /// What waited at a time, kWh, of all these works.
    fn waiting(&self, batches: &[usize], at: Millis) -> Result<f64, EngineError> {
        if batches.is_empty() {
            return Ok(0.0);
        }
        let waiting = self.store.gauges(WAITING, at.plus_ms(-GAUGE_AGE_MS), at)?;
        Ok(batches.iter().filter_map(|index| waiting.get(&self.zone.assets()[*index].entity)).sum())
    }

    fn site(&self, (outlook, expected): (Outlook, Option<Expected>), (states, waiting): (&Gauges, &Gauges), gas: Option<&Gas>) -> Site {
        let Planning { seen, assets, .. } = &self.planning;
        let series = |value: &dyn Fn(&Seen) -> f64| seen.iter().map(|seen| Past { hour: seen.hour, kw: value(seen) }).collect::<Vec<_>>();
        let asset = |index: &usize| &self.zone.assets()[*index];
        let of = |gauges: &Gauges, asset: &Asset| gauges.get(&asset.entity).copied().unwrap_or(0.0);
        let group = |(place, index): (usize, &usize)| {
            let Asset { comfort, limits, storing, .. } = asset(index);
            let power_kw = Band { min: comfort.min.max(0.0), max: limits.max };
            Vehicles { power_kw, stay_h: storing.stay_h, past: series(&|seen| seen.vehicles_kw[place].max(0.0)) }
        };
        let outdoor: Vec<Past> = seen.iter().filter_map(|seen| Some(Past { hour: seen.hour, kw: seen.outdoor_c? })).collect();
        let ahead_c = forecast::level(&outdoor, &outlook.hours);
        let pump = |(place, index): (usize, &usize)| {
            let taken_kw = forecast::load(&series(&|seen| seen.heat_kw[place]), &outlook.hours)?;
            self.pump(asset(index), gas?, (ahead_c.as_ref()?, &taken_kw))
        };
        let month = outlook.months.first().map_or(Millis(i64::MIN), |month| month.start);
        let peak = |from: Millis| seen.iter().filter(|seen| from <= seen.hour.start).map(|seen| seen.highest_kw).fold(0.0, f64::max);
        let load = |seen: &Seen| seen.used_kw - seen.batteries_kw - seen.vehicles_kw.iter().sum::<f64>() + seen.put_off_kw;
        Site {
            load: series(&load),
            expected,
            sun: series(&|seen| seen.used_kw - seen.bought_kw),
            excess: series(&|seen| seen.highest_kw - seen.bought_kw),
            batteries: assets.batteries.iter().map(asset).map(|asset| Battery::of(asset, of(states, asset), &outlook.hours)).collect(),
            vehicles: assets.vehicles.iter().enumerate().map(group).collect(),
            batches: assets.batches.iter().map(asset).map(|asset| Batch::of(asset, of(waiting, asset), &outlook.hours)).collect(),
            pumps: assets.pumps.iter().enumerate().filter_map(pump).collect(),
            carbon_cny_per_kg: CARBON_CNY_PER_T / KG_PER_T,
            spares_what_it_loses: true,
            peak_kw: peak(month),
            recent_peak_kw: peak(Millis(i64::MIN)),
            outlook,
        }
    }
}

/// What the rules wish of heat supply at an outdoor temperature.
fn by_rule(asset: &Asset, outdoor_c: f64) -> Option<f64> {
    let (local, band) = (jiff::civil::DateTime::default(), tariff::Band::Unpriced);
    let situation = Situation { local, in_use: true, value: None, day_c: None, outdoor_c: Some(outdoor_c), band };
    rules::wish(asset, &situation).map(|wish| wish.value)
}

/// By entity.
type Gauges = FxHashMap<Box<str>, f64>;
