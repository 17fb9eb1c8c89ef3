//! Physical models of a zone's entities: weather, buildings, production, energy conversion, and what the meters see of them.
//!
//! Pure and synchronous: no clock, no files after [`World::new`]. The same seed gives the same bytes, and a change to one entity never
//! changes another's draws.

mod battery;
mod building;
mod charging;
mod compressed_air;
pub mod controls;
mod data_centre;
mod draws;
mod energy_station;
mod measures;
mod metering;
mod model;
mod moment;
mod plan;
mod production;
mod public_space;
mod roster;
mod shiftable;
mod solar;
mod steady;
mod v2g;
mod weather;

use self::controls::Controls;
use self::draws::Draws;
use self::measures::Measure;
use self::metering::{Metering, Stage};
use self::moment::{DAY_MS, HOUR_MS, Moment, SLOT_MS, Slot, month_day, within};
use self::plan::Plan;
use self::roster::Roster;
use self::weather::Weather;
use crate::zone::Zone;

/// What flowed in one model: electricity in kWh, gas, water and air in m³, heat and cold in GJ, steam in t, goods in their own unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Flow<'w> {
    /// The model's table of `fleet.toml`.
    pub table: &'static str,
    pub model: &'w str,
    pub name: &'static str,
    pub total: f64,
}

/// The physical state of every entity of the zone.
#[derive(Clone)]
pub struct World {
    /// Set points of the regulation; empty as long as nobody regulates.
    pub controls: Controls,
    zone: Zone,
    heating_season: ((i8, i8), (i8, i8)),
    weather: Weather,
    roster: Roster,
    metering: Metering,
    flows: Vec<f64>,
    /// Sums of the flows since [`World::count_from_here`].
    totals: Vec<f64>,
    /// The flows that are what vehicles left without.
    undelivered: Vec<usize>,
    slots: Vec<Slot>,
    /// What [`World::take_measures`] does.
    measures: Vec<Measure>,
}

impl World {
    /// Builds the world of `zone` from its `fleet.toml`; all randomness is keyed by `seed`, entity and hour. The error names every fault
    /// of the file, one a line.
    pub fn new(zone: &Zone, seed: u64) -> Result<World, String> {
        World::from_plan(zone, &Plan::load(&zone.folder)?, seed)
    }

    fn from_plan(zone: &Zone, plan: &Plan, seed: u64) -> Result<World, String> {
        let draws = Draws::new(seed);
        let mut faults = Vec::new();
        let mut season_day =
            |text: &str| month_day(text).map_err(|fault| faults.push(format!("fleet.toml: season: {fault}"))).unwrap_or((1, 1));
        let heating_season = (season_day(&plan.season.heating_from), season_day(&plan.season.heating_to));
        let mut roster = Roster::new(zone, plan, draws, &mut faults);
        let metering = Metering::new(zone, plan, roster.flow_of(), draws, &mut faults);
        roster.connect(zone, plan, &metering, &mut faults);
        faults.extend(plan.measure.iter().filter_map(|measure| roster.refusal(measure)));
        if !faults.is_empty() {
            return Err(faults.join("\n"));
        }
        Ok(World {
            controls: Controls::default(),
            zone: zone.clone(),
            heating_season,
            weather: Weather::new(zone.latitude, zone.longitude, draws),
            flows: vec![0.0; roster.flow_count()],
            totals: vec![0.0; roster.flow_count()],
            undelivered: {
                let posts = plan.charging.iter().map(|plan| &plan.id).chain(plan.v2g.iter().map(|plan| &plan.id));
                posts.filter_map(|id| roster.flow_of().get(&format!("{id}.undelivered")).copied()).collect()
            },
            roster,
            metering,
            slots: Vec::with_capacity(4),
            measures: plan.measure.clone(),
        })
    }

    /// Takes the measures of `fleet.toml`, from the next step on.
    pub fn take_measures(&mut self) {
        for measure in &self.measures {
            self.roster.take(measure);
        }
    }

    /// What the programme builds is there from the next step on.
    pub fn commission(&mut self) {
        self.roster.commission();
    }

    /// The assets that hold rooms' temperatures, and the temperatures, °C.
    pub fn rooms(&self) -> impl Iterator<Item = (&str, f64)> {
        self.roster.rooms()
    }

    /// Totals begin anew.
    pub fn count_from_here(&mut self) {
        self.totals.fill(0.0);
    }

    /// What flowed in each model since [`World::count_from_here`].
    pub fn totals(&self) -> impl Iterator<Item = Flow<'_>> {
        let flow = |((table, model, name), total): ((&'static str, _, &'static str), &f64)| Flow { table, model, name, total: *total };
        self.roster.names().zip(&self.totals).map(flow)
    }

    /// Advances from `from_ms` to `to_ms` (at most an hour, within one local hour) and writes, for each channel of `zone.channels` in order, the
    /// quantity that flowed in ledger units (never negative), or the mean value of a gauge channel.
    pub fn step(&mut self, from_ms: i64, to_ms: i64, out: &mut [f64]) {
        let local = self.zone.local(from_ms);
        let date = local.date();
        let hour = usize::from(local.hour().unsigned_abs());
        let into_hour_ms = i64::from(local.minute()) * 60_000 + i64::from(local.second()) * 1000 + i64::from(local.millisecond());
        let since_midnight_ms = i64::from(local.hour()) * HOUR_MS + into_hour_ms;
        let day = (from_ms - since_midnight_ms + DAY_MS / 2).div_euclid(DAY_MS);
        self.fill_slots(from_ms, to_ms, since_midnight_ms, date);
        let air = self.weather.air(day, date, &self.slots);
        let moment = Moment {
            from_ms,
            to_ms,
            hours: (to_ms - from_ms) as f64 / HOUR_MS as f64,
            date,
            day,
            hour,
            day_type: self.zone.day_type(date),
            heating_season: within(date, self.heating_season),
            temperature_c: air.temperature_c,
            humidity_pct: air.humidity_pct,
            irradiance_w_m2: air.irradiance_w_m2,
            slots: &self.slots,
            controls: &self.controls,
        };
        self.roster.step_users(&moment, &mut self.flows);
        self.metering.measure(Stage::MadeMedia, &moment, &self.flows);
        self.roster.step_makers(&moment, &self.metering, &mut self.flows);
        self.metering.measure(Stage::Rest, &moment, &self.flows);
        self.metering.write(&moment, &self.flows, out);
        for (total, flow) in self.totals.iter_mut().zip(&self.flows) {
            *total += flow;
        }
    }

    /// What vehicles that left in the last step had wanted and did not get, kWh: truth that no meter shows.
    #[must_use]
    pub fn undelivered_kwh(&self) -> f64 {
        self.undelivered.iter().map(|flow| self.flows[*flow]).sum()
    }

    /// Cuts the step at the quarters of the hour.
    fn fill_slots(&mut self, from_ms: i64, to_ms: i64, since_midnight_ms: i64, date: jiff::civil::Date) {
        self.slots.clear();
        let mut start = from_ms;
        while start < to_ms {
            let index = start.div_euclid(SLOT_MS);
            let end = to_ms.min((index + 1) * SLOT_MS);
            let middle = i64::midpoint(start, end);
            self.slots.push(Slot {
                index,
                hour: (since_midnight_ms + middle - from_ms) as f64 / HOUR_MS as f64,
                hours: (end - start) as f64 / HOUR_MS as f64,
                sun: self.weather.sun(middle, date),
            });
            start = end;
        }
    }
}

#[cfg(test)]
mod tests;
