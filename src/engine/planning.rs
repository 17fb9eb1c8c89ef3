//! Plans for batteries and charging, made anew when an hour of the engine's clock begins.
//!
//! A plan is made of what was committed of the time before its hour, so that one that is made later in the hour, after a restart, is the same. Where there is no plan
//! the rules decide: that is counted (`plans_failed`), and written into the audit log when it begins and when it is over.

use super::{Engine, EngineError};
use crate::dispatch::forecast::{Hour, Past};
use crate::dispatch::outlook::{HORIZON_H, Outlook, outlook};
use crate::dispatch::site::{Battery, CARBON_CNY_PER_T, Site, Vehicles, Wishes};
use crate::domain::assets::{Asset, AssetKind, Band};
use crate::domain::factors::GridMethod;
use crate::domain::units::{DAY_MS, HOUR_MS, Millis};
use crate::regulation::desk::Move;
use crate::store::StoreError;
use crate::store::batch::RowId;

/// So far back plans look: forecasts take two weeks of it, the expected peak all four. The first days of a longer month are forgotten at its end: the plan then
/// keeps below a lower peak than the month has, which is the careful side.
const BACK_MS: i64 = 28 * DAY_MS;
/// The newest hours are read once more for each plan: what comes late is late by minutes, as a rule.
const AGAIN_MS: i64 = 3 * HOUR_MS;
/// A state of charge that is older says nothing.
const STATE_AGE_MS: i64 = HOUR_MS;
const MG_PER_KG: f64 = 1e6;
const KG_PER_T: f64 = 1000.0;

/// An hour of the past, kW.
#[derive(Clone, Debug)]
struct Seen {
    hour: Hour,
    used_kw: f64,
    bought_kw: f64,
    highest_kw: f64,
    /// Of each planned asset's entity.
    assets_kw: Vec<f64>,
}

/// What planning keeps in memory; all of it can be made anew from the store.
#[derive(Debug, Default)]
pub(super) struct Planning {
    seen: Vec<Seen>,
    /// Positions of the assets that can be planned for: batteries, then vehicles.
    batteries: Vec<usize>,
    vehicles: Vec<usize>,
    /// The hour and what was planned for it.
    planned: Option<(Millis, Option<Wishes>)>,
    failing: bool,
}

/// What a plan says of an asset.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Planned {
    /// Nothing: the rules decide.
    Nothing,
    /// This set point; none: its own plan is as good.
    SetPoint(Option<f64>),
}

impl Engine {
    /// What is planned for each of the zone's assets in the hour of `now`.
    pub(super) fn plans(&mut self, now: Millis) -> Result<Vec<Planned>, EngineError> {
        let hour = self.calendar.hour(now).start;
        let is_known = self.planning.planned.as_ref().is_some_and(|(planned, _)| *planned == hour);
        if !is_known {
            let wishes = self.plan(hour)?;
            self.planning.planned = Some((hour, wishes));
        }
        let mut plans = vec![Planned::Nothing; self.zone.assets().len()];
        let Planning { batteries, vehicles, planned, .. } = &self.planning;
        if let Some((_, Some(wishes))) = planned {
            for (index, kw) in batteries.iter().zip(&wishes.batteries) {
                plans[*index] = Planned::SetPoint(Some(*kw));
            }
            for (index, cap) in vehicles.iter().zip(&wishes.vehicles) {
                plans[*index] = Planned::SetPoint(*cap);
            }
        }
        Ok(plans)
    }

    fn plan(&mut self, hour: Millis) -> Result<Option<Wishes>, EngineError> {
        let assets = self.zone.assets();
        let of_kind = |kind: AssetKind, fits: fn(&Asset) -> bool| -> Vec<usize> {
            let planned = |asset: &Asset| asset.kind == kind && *asset.unit == *kind.unit() && fits(asset);
            (0..assets.len()).filter(|index| planned(&assets[*index])).collect()
        };
        let mut batteries = Vec::new();
        let mut states = Vec::new();
        for index in of_kind(AssetKind::Battery, |asset| asset.storing.capacity_kwh.is_some()) {
            if let Some(pct) = self.store.state_of_charge_pct(&assets[index].entity, hour.plus_ms(-STATE_AGE_MS), hour)? {
                batteries.push(index);
                states.push(pct);
            }
        }
        let vehicles = of_kind(AssetKind::EvCharging, |asset| 0.0 < asset.storing.stay_h);
        if (&batteries, &vehicles) != (&self.planning.batteries, &self.planning.vehicles) {
            self.planning = Planning { failing: self.planning.failing, ..Planning::default() };
            (self.planning.batteries, self.planning.vehicles) = (batteries, vehicles);
        }
        if self.planning.batteries.is_empty() && self.planning.vehicles.is_empty() {
            return Ok(None);
        }
        self.look_back(hour)?;
        let wishes = match self.outlook(hour) {
            Some(outlook) => self.site(outlook, &states).wishes().map_err(|failure| failure.to_string()),
            None => Err("an hour of the plan has no price or no factor of electricity".to_owned()),
        };
        let failed = wishes.as_ref().err().cloned();
        self.count("plans", 1);
        self.count("plans_failed", i64::from(failed.is_some()));
        if failed.is_some() != self.planning.failing {
            self.planning.failing = failed.is_some();
            let outcome = if failed.is_some() { "the rules decide" } else { "plans again" };
            let [who, what, outcome] = ["collector", "plan ahead", outcome].map(str::to_owned);
            let why = failed.unwrap_or_default();
            self.regulation.say(Move { asset: String::new(), at: hour, who, what, why, outcome, order: None, reply: None });
        }
        Ok(wishes.ok())
    }

    fn outlook(&mut self, hour: Millis) -> Option<Outlook> {
        let profile = self.zone.profile();
        let year = self.calendar.date(hour).year();
        // What is missing is said where it was looked for; here it only means that there is no plan, which is counted.
        let factor = self.in_force.factors.electricity(GridMethod::Average, &profile.region, year).ok()?.factor;
        let known = (&self.in_force.tariff, self.zone.day_types());
        outlook(hour, HORIZON_H, known, &mut self.calendar, factor.0 as f64 / MG_PER_KG)
    }

    /// Brings what was seen up to the hour.
    fn look_back(&mut self, hour: Millis) -> Result<(), EngineError> {
        let (oldest, again) = (hour.plus_ms(-BACK_MS), hour.plus_ms(-AGAIN_MS));
        let seen = &mut self.planning.seen;
        seen.retain(|seen| oldest <= seen.hour.start && seen.hour.start < again);
        let mut at = seen.last().map_or(oldest, |seen| seen.hour.start.plus_ms(HOUR_MS));
        let positions: Vec<usize> = self.planning.batteries.iter().chain(&self.planning.vehicles).copied().collect();
        let rows: Vec<Option<RowId>> = positions.iter().map(|index| self.row_of(&self.zone.assets()[*index].entity)).collect();
        let interval_ms = self.zone.profile().interval_ms;
        while at < hour {
            // An hour that nobody metered is none to look back on.
            if let Some((used_kw, bought_kw)) = self.store.hour_kwh(self.whole, at)? {
                let highest_kw = self.store.highest_kw(self.whole, at, interval_ms)?.unwrap_or(bought_kw).max(bought_kw);
                let of = |row: &Option<RowId>| match row {
                    Some(row) => Ok(self.store.hour_kwh(*row, at)?.map_or(0.0, |(used_kwh, _)| used_kwh)),
                    None => Ok(0.0),
                };
                let assets_kw = rows.iter().map(of).collect::<Result<_, StoreError>>()?;
                let of_day = ((at.0 + self.calendar.offset_ms(at)).div_euclid(HOUR_MS).rem_euclid(24)) as i8;
                let hour = Hour { start: at, of_day, kind: self.zone.day_types().of(self.calendar.date(at)) };
                self.planning.seen.push(Seen { hour, used_kw, bought_kw, highest_kw, assets_kw });
            }
            at = at.plus_ms(HOUR_MS);
        }
        Ok(())
    }

    fn row_of(&self, entity: &str) -> Option<RowId> {
        self.zone.entity_of(entity).map(|index| self.entities[index.0 as usize])
    }

    fn site(&self, outlook: Outlook, states: &[f64]) -> Site {
        let Planning { seen, batteries, vehicles, .. } = &self.planning;
        let series = |value: &dyn Fn(&Seen) -> f64| seen.iter().map(|seen| Past { hour: seen.hour, kw: value(seen) }).collect::<Vec<_>>();
        let battery = |(index, pct): (&usize, &f64)| {
            let Asset { limits, storing, .. } = &self.zone.assets()[*index];
            let capacity_kwh = storing.capacity_kwh.unwrap_or(0.0);
            let stored_kwh = pct.clamp(0.0, 100.0) / 100.0 * capacity_kwh;
            Battery { power_kw: *limits, capacity_kwh, round_trip: storing.round_trip, charge: storing.charge, stored_kwh }
        };
        let group = |(place, index): (usize, &usize)| {
            let asset = &self.zone.assets()[*index];
            let power_kw = Band { min: asset.comfort.min.max(0.0), max: asset.limits.max };
            Vehicles { power_kw, stay_h: asset.storing.stay_h, past: series(&|seen| seen.assets_kw[batteries.len() + place].max(0.0)) }
        };
        let month = outlook.months.first().map_or(Millis(i64::MIN), |month| month.start);
        let peak = |from: Millis| seen.iter().filter(|seen| from <= seen.hour.start).map(|seen| seen.highest_kw).fold(0.0, f64::max);
        Site {
            load: series(&|seen| seen.used_kw - seen.assets_kw.iter().sum::<f64>()),
            sun: series(&|seen| seen.used_kw - seen.bought_kw),
            excess: series(&|seen| seen.highest_kw - seen.bought_kw),
            batteries: batteries.iter().zip(states).map(battery).collect(),
            vehicles: vehicles.iter().enumerate().map(group).collect(),
            carbon_cny_per_kg: CARBON_CNY_PER_T / KG_PER_T,
            peak_kw: peak(month),
            recent_peak_kw: peak(Millis(i64::MIN)),
            outlook,
        }
    }
}
