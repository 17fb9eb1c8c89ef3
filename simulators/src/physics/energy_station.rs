//! Boilers and chillers that serve a network: fuel and electricity follow what the network's users took.

use serde::Deserialize;

use super::model::Model;
use super::moment::Moment;

/// `made` is the heat given to the network, `pumped` what of it the heat pump gave for `heat_pump` kWh.
const BOILER_FLOWS: &[&str] = &["gas_1", "gas_2", "pumps", "water", "made", "heat_pump", "pumped"];
const CHILLER_FLOWS: &[&str] = &["electricity", "pumps", "water", "made"];

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
    pub heat_pump: Option<HeatPumpPlan>,
}

/// An air-source heat pump beside the boilers. It stands still unless it is commanded.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeatPumpPlan {
    /// The most heat it gives.
    pub heat_gj_h: f64,
    /// Its set point is the share of that, in per cent, that it gives before the boilers.
    pub asset: String,
}

/// What a large heat pump reaches of Carnot's coefficient between the outdoor air and the flow: 0.40 to 0.60 in industrial plants (IEA HPT Annex 48, 2020).
const OF_CARNOT: f64 = 0.45;
const KELVIN_AT_0_C: f64 = 273.15;

/// Heat per electricity of the heat pump.
fn cop_pumped(flow_c: f64, outdoor_c: f64) -> f64 {
    OF_CARNOT * (flow_c + KELVIN_AT_0_C) / (flow_c - outdoor_c).max(10.0)
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
        let pump = plan.heat_pump.as_ref().map_or((0.0, None), |pump| (pump.heat_gj_h, moment.controls.set_point(Some(&pump.asset))));
        let pumped = demand.min(pump.0 * pump.1.unwrap_or(0.0) / 100.0 * moment.hours);
        let boiled = demand - pumped;
        let lead = boiled.min(plan.lead_gj_h * moment.hours);
        let standing = if boiled > 0.0 { STANDING_SHARE * plan.lead_gj_h * moment.hours } else { 0.0 };
        flows[0] = (lead / efficiency + standing) * 1000.0 / self.gas_mj_per_m3;
        flows[1] = (boiled - lead) / efficiency * 1000.0 / self.gas_mj_per_m3;
        flows[2] = plan.pumps_kwh_per_gj * demand;
        flows[3] = plan.make_up_m3_per_gj * demand;
        flows[4] = demand;
        flows[5] = pumped * KWH_PER_GJ / cop_pumped(flow_c, moment.temperature_c);
        flows[6] = pumped;
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
    /// Its set point is the temperature of the chilled water, °C.
    pub asset: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Chiller {
    plan: ChillerPlan,
}

const KWH_PER_GJ: f64 = 1000.0 / 3.6;
/// The planned temperature of the chilled water (GB 50736-2012, 8.5.1: from 5 °C on), and what a kelvin more gains: 2 to 3 % (ASHRAE Handbook, HVAC Applications, 2019, chapter 43).
const CHILLED_C: f64 = 7.0;
const COP_PER_KELVIN: f64 = 0.025;

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
        let warmer_k = moment.controls.set_point(plan.asset.as_deref()).map_or(0.0, |chilled_c| chilled_c - CHILLED_C);
        flows[0] = demand * KWH_PER_GJ / (cop * (1.0 + COP_PER_KELVIN * warmer_k));
        flows[1] = plan.pumps_kwh_per_gj * demand;
        flows[2] = plan.water_m3_per_gj * demand;
        flows[3] = demand;
    }
}
