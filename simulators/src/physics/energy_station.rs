//! Boilers and chillers that serve a network: fuel and electricity follow what the network's users took.

use serde::Deserialize;

use super::model::Model;
use super::moment::Moment;

const BOILER_FLOWS: &[&str] = &["gas_1", "gas_2", "pumps", "water"];
const CHILLER_FLOWS: &[&str] = &["electricity", "pumps", "water"];

/// Two gas boilers that make hot water or steam.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoilerPlan {
    pub id: String,
    pub entity: String,
    /// Meters of what it makes.
    pub serves: Vec<String>,
    /// Useful heat per lower heating value at full load and the nominal flow temperature.
    pub efficiency: f64,
    pub pumps_kwh_per_gj: f64,
    pub make_up_m3_per_gj: f64,
    /// The first boiler carries up to this; the second the rest.
    pub lead_gj_h: f64,
    pub asset: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Boiler {
    plan: BoilerPlan,
    gas_mj_per_m3: f64,
}

const NOMINAL_FLOW_C: f64 = 60.0;
/// Each kelvin of flow temperature costs condensation and stack heat.
const EFFICIENCY_PER_KELVIN: f64 = 0.001_5;
/// Standing loss while the network is served at all, as a share of the lead boiler's size.
const STANDING_SHARE: f64 = 0.008;

impl Boiler {
    pub fn new(plan: BoilerPlan, gas_mj_per_m3: f64) -> Boiler {
        Boiler { plan, gas_mj_per_m3 }
    }
}

impl Model for Boiler {
    fn flows(&self) -> &'static [&'static str] {
        BOILER_FLOWS
    }

    /// `demand` is what the network took, in GJ.
    fn step(&mut self, moment: &Moment, demand: f64, flows: &mut [f64]) {
        let plan = &self.plan;
        let flow_c = moment.controls.set_point(plan.asset.as_deref()).unwrap_or(NOMINAL_FLOW_C);
        let efficiency = plan.efficiency - EFFICIENCY_PER_KELVIN * (flow_c - NOMINAL_FLOW_C);
        let lead = demand.min(plan.lead_gj_h * moment.hours);
        let standing = if demand > 0.0 { STANDING_SHARE * plan.lead_gj_h * moment.hours } else { 0.0 };
        flows[0] = (lead / efficiency + standing) * 1000.0 / self.gas_mj_per_m3;
        flows[1] = (demand - lead) / efficiency * 1000.0 / self.gas_mj_per_m3;
        flows[2] = plan.pumps_kwh_per_gj * demand;
        flows[3] = plan.make_up_m3_per_gj * demand;
    }
}

/// Electric chillers with cooling towers.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChillerPlan {
    pub id: String,
    pub entity: String,
    /// Meters of the chilled water it makes.
    pub serves: Vec<String>,
    /// Cold per electricity at 30 °C outdoors.
    pub cop: f64,
    pub pumps_kwh_per_gj: f64,
    pub water_m3_per_gj: f64,
}

#[derive(Clone, Debug)]
pub struct Chiller {
    plan: ChillerPlan,
}

const KWH_PER_GJ: f64 = 1000.0 / 3.6;

impl Chiller {
    pub fn new(plan: ChillerPlan) -> Chiller {
        Chiller { plan }
    }
}

impl Model for Chiller {
    fn flows(&self) -> &'static [&'static str] {
        CHILLER_FLOWS
    }

    /// `demand` is what the network took, in GJ.
    fn step(&mut self, moment: &Moment, demand: f64, flows: &mut [f64]) {
        let plan = &self.plan;
        let cop = (plan.cop - 0.08 * (moment.temperature_c - 30.0)).clamp(0.7 * plan.cop, 1.4 * plan.cop);
        flows[0] = demand * KWH_PER_GJ / cop;
        flows[1] = plan.pumps_kwh_per_gj * demand;
        flows[2] = plan.water_m3_per_gj * demand;
    }
}
