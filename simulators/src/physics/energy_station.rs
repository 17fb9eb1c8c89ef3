//! Boilers and chillers that serve a network: fuel and electricity follow what the network's users took.

use serde::Deserialize;

use super::model::Model;
use super::moment::Moment;

/// `made` is the heat given to the network, `pumped` what of it the heat pumps gave: `heat_pump` kWh out of the outdoor air, `waste_heat_pump` kWh out of waste heat.
const BOILER_FLOWS: &[&str] = &["gas_1", "gas_2", "pumps", "water", "made", "heat_pump", "pumped", "waste_heat_pump", "waste_heat"];
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
    /// Its set point is the oxygen in the burners' dry flue gas, per cent by volume.
    pub combustion: Option<String>,
    /// Out of the outdoor air, after the one out of waste heat.
    pub heat_pump: Option<HeatPumpPlan>,
    /// Out of what servers give off.
    pub waste_heat_pump: Option<HeatPumpPlan>,
}

/// A heat pump beside the boilers. It stands still unless it is commanded.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeatPumpPlan {
    /// The most heat it gives.
    pub heat_gj_h: f64,
    /// Its set point is the share of that, in per cent, that it gives before the boilers.
    pub asset: String,
}

impl HeatPumpPlan {
    /// What it gives of `demand`, GJ.
    fn pumped(&self, moment: &Moment, demand: f64) -> f64 {
        let share = moment.controls.set_point(Some(&self.asset)).unwrap_or(0.0) / 100.0;
        demand.min(self.heat_gj_h * share * moment.hours)
    }
}

/// What a large heat pump reaches of Carnot's coefficient between the outdoor air and the flow: 0.40 to 0.60 in industrial plants (IEA HPT Annex 48, 2020).
const OF_CARNOT: f64 = 0.45;
const KELVIN_AT_0_C: f64 = 273.15;
/// Servers that are cooled by air give their heat off at 25 to 35 °C (Wahlroos et al. 2018, Renewable and Sustainable Energy Reviews 82), °C: the lower end.
const WASTE_HEAT_C: f64 = 25.0;

/// Heat per electricity of a heat pump between the temperature of its source and the flow.
fn cop_pumped(flow_c: f64, source_c: f64) -> f64 {
    OF_CARNOT * (flow_c + KELVIN_AT_0_C) / (flow_c - source_c).max(10.0)
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
/// The oxygen that burners without a trim are set to, per cent of the dry flue gas. At 200 °C stack and 20 °C air it makes 9.0 % stack loss by `stack_loss`: with 1 % for
/// the shell the 90 % of the steam boilers.
const PLANNED_OXYGEN_PCT: f64 = 5.0;
/// Stack loss by Siegert's formula, natural gas: kelvins above the air × (A2 / (21 − O2) + B) per cent (Germany, ordinance on small firing plants, 2010, annex 2).
const SIEGERT_A2: f64 = 0.66;
const SIEGERT_B: f64 = 0.009;
const STACK_ABOVE_AIR_K: f64 = 180.0;

/// As a share of the fuel's lower heating value.
fn stack_loss(oxygen_pct: f64) -> f64 {
    STACK_ABOVE_AIR_K * (SIEGERT_A2 / (21.0 - oxygen_pct) + SIEGERT_B) / 100.0
}

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
        let trimmed =
            moment.controls.set_point(plan.combustion.as_deref()).map_or(0.0, |pct| stack_loss(PLANNED_OXYGEN_PCT) - stack_loss(pct));
        let efficiency = plan.efficiency - EFFICIENCY_PER_KELVIN * (flow_c - NOMINAL_FLOW_C) + trimmed;
        let of_waste = plan.waste_heat_pump.as_ref().map_or(0.0, |pump| pump.pumped(moment, demand));
        let of_air = plan.heat_pump.as_ref().map_or(0.0, |pump| pump.pumped(moment, demand - of_waste));
        let boiled = demand - of_waste - of_air;
        let lead = boiled.min(plan.lead_gj_h * moment.hours);
        let standing = if boiled > 0.0 { STANDING_SHARE * plan.lead_gj_h * moment.hours } else { 0.0 };
        flows[0] = (lead / efficiency + standing) * 1000.0 / self.gas_mj_per_m3;
        flows[1] = (boiled - lead) / efficiency * 1000.0 / self.gas_mj_per_m3;
        flows[2] = plan.pumps_kwh_per_gj * demand;
        flows[3] = plan.make_up_m3_per_gj * demand;
        flows[4] = demand;
        flows[5] = of_air * KWH_PER_GJ / cop_pumped(flow_c, moment.temperature_c);
        flows[6] = of_waste + of_air;
        flows[7] = of_waste * KWH_PER_GJ / cop_pumped(flow_c, WASTE_HEAT_C);
        flows[8] = of_waste - flows[7] / KWH_PER_GJ;
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

/// What a chiller's coefficient is multiplied with when its water is commanded, °C.
pub(super) fn warmer_water(chilled_c: Option<f64>) -> f64 {
    1.0 + COP_PER_KELVIN * chilled_c.map_or(0.0, |chilled_c| chilled_c - CHILLED_C)
}

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
        flows[0] = demand * KWH_PER_GJ / (cop * warmer_water(moment.controls.set_point(plan.asset.as_deref())));
        flows[1] = plan.pumps_kwh_per_gj * demand;
        flows[2] = plan.water_m3_per_gj * demand;
        flows[3] = demand;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn less_air_takes_less_heat_up_the_stack() {
        // 180 K × (0.66 / 16 + 0.009) and (0.66 / 18.5 + 0.009) per cent.
        for (oxygen_pct, wanted) in [(5.0, 0.090_45), (2.5, 0.080_416)] {
            assert!((stack_loss(oxygen_pct) - wanted).abs() < 1e-5, "{oxygen_pct}");
        }
    }

    #[test]
    fn a_heat_pump_is_as_good_as_its_source_is_warm() {
        // 0.45 × 333.15 K / 60 K and / 35 K.
        for (source_c, wanted) in [(0.0, 2.4986), (WASTE_HEAT_C, 4.2834)] {
            assert!((cop_pumped(NOMINAL_FLOW_C, source_c) - wanted).abs() < 1e-3, "{source_c}");
        }
    }

    #[test]
    fn warmer_water_is_made_with_less() {
        for (chilled_c, wanted) in [(None, 1.0), (Some(7.0), 1.0), (Some(10.0), 1.075)] {
            assert!((warmer_water(chilled_c) - wanted).abs() < 1e-12, "{chilled_c:?}");
        }
    }
}
