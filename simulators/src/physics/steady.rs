//! A load with little to it: control rooms, cold stores, pumps, leaking mains.

use serde::Deserialize;

use super::draws::{Draws, Stream};
use super::model::Model;
use super::moment::Moment;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SteadyPlan {
    pub id: String,
    pub entity: String,
    /// By day, at 15 °C, in the unit of the meter's carrier.
    pub per_h: f64,
    /// Share of it that runs from 22 to 6 h.
    #[serde(default = "all")]
    pub night_share: f64,
    /// Change per kelvin of outdoor temperature, as a share.
    #[serde(default)]
    pub per_kelvin: f64,
}

fn all() -> f64 {
    1.0
}

#[derive(Clone, Debug)]
pub struct Steady {
    plan: SteadyPlan,
    noise: Stream,
}

impl Steady {
    pub fn new(plan: SteadyPlan, draws: Draws) -> Steady {
        Steady { noise: draws.stream(&plan.entity, &plan.id), plan }
    }
}

impl Model for Steady {
    fn flows(&self) -> &'static [&'static str] {
        &["flow"]
    }

    fn step(&mut self, moment: &Moment, _demand: f64, flows: &mut [f64]) {
        let plan = &self.plan;
        let weather = (1.0 + plan.per_kelvin * (moment.temperature_c - 15.0)).max(0.3);
        let shape = if (6..22).contains(&moment.hour) { 1.0 } else { plan.night_share };
        let noise: f64 = moment.slots.iter().map(|slot| (1.0 + 0.04 * self.noise.normal_cut(slot.index)) * slot.hours).sum();
        flows[0] = plan.per_h * weather * shape * noise;
    }
}
