//! Which of a heat network's makers goes first in an hour: the heat pump or the boilers.
//!
//! A network without a store of heat has hours that do not depend on each other, so each takes what costs less in it, carbon counted.

use crate::domain::assets::Pumping;
use crate::domain::calendar::LocalCalendar;
use crate::domain::channel::Carrier;
use crate::domain::factors::{Applied, FUEL_NATURAL_GAS, FactorSet};
use crate::domain::tariff::Tariff;
use crate::domain::units::Millis;
use crate::domain::zone::Profile;

const KELVIN_AT_0_C: f64 = 273.15;
/// The least lift that a heat pump has, K: heat exchangers need it.
const LIFT_K_MIN: f64 = 10.0;
const MILLIONTHS: f64 = 1e6;
const MJ_PER_KWH: f64 = 3.6;

/// A cubic metre of the zone's gas, as it is metered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gas {
    pub cny_per_m3: f64,
    pub kg_per_m3: f64,
    /// Lower heating value.
    pub kwh_per_m3: f64,
}

impl Gas {
    /// None where it has no price, no factor, or no heat value.
    #[must_use]
    pub fn at(now: Millis, (tariff, factors, profile): (&Tariff, &FactorSet, &Profile), calendar: &mut LocalCalendar) -> Option<Gas> {
        let year = calendar.date(now).year();
        let price = tariff.day(Carrier::NaturalGas, now, calendar).first()?.price?;
        let Applied::Factor(carbon) = factors.carbon(profile, Carrier::NaturalGas, year).ok()? else { return None };
        let declared = profile.gas.heat_value_mj_per_nm3;
        let mj_per_nm3 = declared.or_else(|| factors.fuel(FUEL_NATURAL_GAS, year).map(|fuel| fuel.heat_value_mj))?;
        Some(Gas {
            cny_per_m3: price.0 as f64 / MILLIONTHS,
            kg_per_m3: carbon.factor.0 as f64 / MILLIONTHS,
            kwh_per_m3: mj_per_nm3.to_f64() * profile.gas.nm3_per_m3.to_f64() / MJ_PER_KWH,
        })
    }
}

/// A heat pump before boilers, as they stand.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pump {
    /// Heat per electricity.
    pub cop: f64,
    /// Of the boilers' heat: fuel over efficiency.
    pub boiler_cny_per_kwh: f64,
    pub boiler_kg_per_kwh: f64,
}

impl Pump {
    /// At a flow and outdoor temperature, °C; none without a coefficient.
    #[must_use]
    pub fn new(pumping: &Pumping, gas: &Gas, (flow_c, outdoor_c): (f64, f64)) -> Option<Pump> {
        let boiled_kwh_per_m3 = gas.kwh_per_m3 * pumping.boiler_efficiency;
        Some(Pump {
            cop: cop(pumping.of_carnot?, flow_c, outdoor_c),
            boiler_cny_per_kwh: gas.cny_per_m3 / boiled_kwh_per_m3,
            boiler_kg_per_kwh: gas.kg_per_m3 / boiled_kwh_per_m3,
        })
    }

    /// Whether its heat costs less than the boilers', where electricity with its carbon costs so much and carbon of fuel so much.
    #[must_use]
    pub fn goes_first(&self, cny_per_kwh: f64, carbon_cny_per_kg: f64) -> bool {
        cny_per_kwh < self.cop * (self.boiler_cny_per_kwh + carbon_cny_per_kg * self.boiler_kg_per_kwh)
    }
}

/// Heat per electricity between the outdoor air and the flow, °C, of a heat pump that reaches this share of Carnot's coefficient.
#[must_use]
pub fn cop(of_carnot: f64, flow_c: f64, outdoor_c: f64) -> f64 {
    of_carnot * (flow_c + KELVIN_AT_0_C) / (flow_c - outdoor_c).max(LIFT_K_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cheaper_heat_goes_first_carbon_counted() {
        // 0.45 × 333.15 / 60 = 2.4986 from 0 to 60 °C.
        let cop = cop(0.45, 60.0, 0.0);
        assert!((cop - 2.4986).abs() < 1e-4, "{cop}");
        // Boilers: 0.42 CNY and 0.215 kg a kWh. Electricity at 0.6 kg: 0.24 kg of heat.
        let pump = Pump { cop, boiler_cny_per_kwh: 0.42, boiler_kg_per_kwh: 0.215 };
        // 0.42 × 2.4986 = 1.0494; at 1 CNY/kg (0.42 + 0.215) × 2.4986 = 1.5866, and electricity costs 0.6 more.
        let cases = [(1.04, 0.0, true), (1.06, 0.0, false), (0.98, 1.0, true), (1.0, 1.0, false)];
        for (cny_per_kwh, carbon_cny_per_kg, wanted) in cases {
            let counted = cny_per_kwh + carbon_cny_per_kg * 0.6;
            assert_eq!(pump.goes_first(counted, carbon_cny_per_kg), wanted, "{cny_per_kwh} at {carbon_cny_per_kg}");
        }
    }
}
