//! A data centre: a steady load of servers and, by the weather, what it takes to cool them.

use serde::Deserialize;

use super::draws::{Draws, Stream};
use super::model::Model;
use super::moment::Moment;
use super::shiftable::{Shiftable, ShiftablePlan};

/// Flows in the order of [`DataCentre::step`].
const FLOWS: &[&str] = &["it", "cooling", "losses", "water", "waiting_kwh"];

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataCentrePlan {
    pub id: String,
    pub entity: String,
    /// Power of all servers at full use.
    pub it_kw: f64,
    /// Its set point is the temperature of the air that the servers are given, °C.
    pub asset: Option<String>,
    /// The share of the servers' work that may be done later in its day.
    #[serde(default)]
    pub jobs_share: f64,
    pub jobs: Option<ShiftablePlan>,
}

#[derive(Clone, Debug)]
pub struct DataCentre {
    plan: DataCentrePlan,
    jobs_by_day: Stream,
    jobs: Stream,
    shiftable: Option<Shiftable>,
}

/// Cooling per server load: pumps and fans below the free-cooling limit, compressors above.
const FREE_COOLING_C: f64 = 10.0;
const COOLING_MIN: f64 = 0.11;
const COOLING_PER_KELVIN: f64 = 0.010;
const COOLING_MAX: f64 = 0.40;
/// The planned temperature of the servers' air. Each kelvin above it lets the free cooling reach a kelvin further (ASHRAE TC 9.9, 2021, recommends 18 to 27 °C).
const SUPPLY_C: f64 = 20.0;
/// Transformers, uninterruptible supply and distribution.
const LOSS_SHARE: f64 = 0.06;
/// Evaporated in cooling towers per kWh of compressor cooling.
const WATER_M3_PER_KWH: f64 = 0.004;

impl DataCentre {
    pub fn new(plan: DataCentrePlan, draws: Draws) -> DataCentre {
        DataCentre {
            jobs_by_day: draws.stream(&plan.entity, "jobs by day"),
            jobs: draws.stream(&plan.entity, "jobs"),
            shiftable: plan.jobs.clone().map(|jobs| Shiftable::new(jobs, plan.jobs_share * plan.it_kw, 1.0)),
            plan,
        }
    }
}

/// Cooling energy per server energy: the weather's part of the PUE.
fn cooling_share(outdoor_c: f64) -> f64 {
    (COOLING_MIN + COOLING_PER_KELVIN * (outdoor_c - FREE_COOLING_C).max(0.0)).min(COOLING_MAX)
}

impl Model for DataCentre {
    fn flows(&self) -> &'static [&'static str] {
        FLOWS
    }

    fn step(&mut self, moment: &Moment, _demand: f64, flows: &mut [f64]) {
        let by_day = 0.66 + 0.02 * self.jobs_by_day.normal_cut(moment.day);
        let share: f64 = moment
            .slots
            .iter()
            .map(|slot| {
                let evening = 0.05 * (std::f64::consts::TAU * (slot.hour - 20.0) / 24.0).cos();
                (by_day + evening + 0.008 * self.jobs.normal_cut(slot.index)) * slot.hours
            })
            .sum();
        let supply_c = moment.controls.set_point(self.plan.asset.as_deref()).unwrap_or(SUPPLY_C);
        let mut servers = self.plan.it_kw * share;
        if let Some(shiftable) = &mut self.shiftable {
            let come_kwh = self.plan.jobs_share * self.plan.it_kw * by_day * moment.hours;
            servers += shiftable.done(come_kwh, moment) - come_kwh;
            flows[4] = shiftable.waiting_kwh();
        }
        let cooling = servers * cooling_share(moment.temperature_c - (supply_c - SUPPLY_C));
        flows[0] = servers;
        flows[1] = cooling;
        flows[2] = LOSS_SHARE * servers;
        flows[3] = WATER_M3_PER_KWH * (cooling - COOLING_MIN * servers);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pue_follows_the_weather() {
        let cases = [(-5.0, 1.17), (10.0, 1.17), (25.0, 1.32), (60.0, 1.46)];
        for (outdoor_c, pue) in cases {
            assert!((1.0 + cooling_share(outdoor_c) + LOSS_SHARE - pue).abs() < 1e-9, "{outdoor_c}");
        }
    }
}
