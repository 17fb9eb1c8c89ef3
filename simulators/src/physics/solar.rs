//! Photovoltaics on a roof: power from irradiance and cell temperature.

use serde::Deserialize;

use super::model::Model;
use super::moment::Moment;

/// What the inverters make, and what of it reaches the host's distribution board; both negative.
const FLOWS: &[&str] = &["inverter", "connection"];

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PhotovoltaicPlan {
    pub id: String,
    pub entity: String,
    /// Peak power under standard test conditions.
    pub peak_kw: f64,
    /// Built with the programme: nothing comes out of it before [`super::World::commission`].
    #[serde(default)]
    pub commissioned: Commissioned,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Commissioned {
    #[default]
    Before,
    Programme,
}

#[derive(Clone, Debug)]
pub struct Photovoltaic {
    plan: PhotovoltaicPlan,
}

/// Soiling, mismatch, cabling and inverter; flat roofs.
const PERFORMANCE_RATIO: f64 = 0.84;
/// Silicon loses 0.4 % per kelvin above 25 °C; cells run 30 K above the air in full sun.
const LOSS_PER_KELVIN: f64 = 0.004;
const CELL_KELVIN_AT_1000_W: f64 = 30.0;
/// The cable to the host's board.
const CABLE_LOSS: f64 = 0.012;

impl Photovoltaic {
    pub fn new(plan: PhotovoltaicPlan) -> Photovoltaic {
        Photovoltaic { plan }
    }
}

impl Model for Photovoltaic {
    fn flows(&self) -> &'static [&'static str] {
        FLOWS
    }

    fn commission(&mut self) {
        self.plan.commissioned = Commissioned::Before;
    }

    fn step(&mut self, moment: &Moment, _demand: f64, flows: &mut [f64]) {
        if self.plan.commissioned == Commissioned::Programme {
            flows.fill(0.0);
            return;
        }
        let suns = moment.irradiance_w_m2 / 1000.0;
        let cell_c = moment.temperature_c + CELL_KELVIN_AT_1000_W * suns;
        let kw = self.plan.peak_kw * suns * PERFORMANCE_RATIO * (1.0 - LOSS_PER_KELVIN * (cell_c - 25.0));
        flows[0] = -kw * moment.hours;
        flows[1] = flows[0] * (1.0 - CABLE_LOSS);
    }
}
