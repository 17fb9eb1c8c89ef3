//! A compressed air station: its load follows the lines it feeds and the leaks of its net.

use serde::Deserialize;

use super::measures::Kind;
use super::model::Model;
use super::moment::Moment;

/// Flows in the order of [`Compressor::step`].
const FLOWS: &[&str] = &["first", "second", "dryer"];

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompressorPlan {
    pub id: String,
    pub entity: String,
    /// Lines that take air from it.
    pub feeds: Vec<String>,
    /// Leaks of the net at the nominal pressure, day and night.
    pub leak_m3_h: f64,
    /// Electricity per free cubic metre at the nominal pressure.
    pub kwh_per_m3: f64,
    /// The first machine carries the base load up to this; the second follows the rest.
    pub first_kw: f64,
    pub asset: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Compressor {
    plan: CompressorPlan,
    /// Pressure of the net where nobody commands another.
    planned_bar: f64,
}

const NOMINAL_BAR: f64 = 7.0;
/// Below this the net is shut: nothing leaks and no machine runs, bar.
const SHUT_BAR: f64 = 0.5;
/// A bar costs about 7 % of the compressors' energy.
const SHARE_PER_BAR: f64 = 0.07;

impl Compressor {
    pub fn new(plan: CompressorPlan) -> Compressor {
        Compressor { plan, planned_bar: NOMINAL_BAR }
    }
}

impl Model for Compressor {
    fn flows(&self) -> &'static [&'static str] {
        FLOWS
    }

    fn take(&mut self, kind: Kind, by: f64) -> bool {
        match kind {
            Kind::AirPressure => self.planned_bar -= by,
            Kind::AirLeaks => self.plan.leak_m3_h *= 1.0 - by,
            Kind::SetPoints | Kind::Schedules | Kind::Lighting | Kind::Production => return false,
        }
        true
    }

    /// `demand` is the lines' air in m³. A net that is told to shut keeps its planned pressure as long as a line takes air: its own interlock.
    fn step(&mut self, moment: &Moment, demand: f64, flows: &mut [f64]) {
        let plan = &self.plan;
        let bar = moment.controls.set_point(plan.asset.as_deref()).unwrap_or(self.planned_bar);
        if bar < SHUT_BAR && demand <= 0.0 {
            flows.fill(0.0);
            return;
        }
        let bar = if bar < SHUT_BAR { self.planned_bar } else { bar };
        let leaks = plan.leak_m3_h * moment.hours * (bar + 1.0) / (NOMINAL_BAR + 1.0);
        let kwh = (demand + leaks) * plan.kwh_per_m3 * (1.0 + SHARE_PER_BAR * (bar - NOMINAL_BAR));
        flows[0] = kwh.min(plan.first_kw * moment.hours);
        flows[1] = kwh - flows[0];
        flows[2] = 0.04 * kwh;
    }
}
