//! Which of a heat network's makers goes first in an hour: the heat pump or the boilers.
//!
//! The rules have a heat pump go first in all but the coldest hours. A plan lets it rest where the boilers' heat is cheaper, carbon at its price included, and emits less; never
//! for the sake of something else, such as what batteries lose, for a heat pump saves energy in every hour. Invariant: no plan has it go first where the rules do not, so
//! that it never adds to a peak.

use super::plan::Steps;
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
/// So much of the heat that is forecast is counted on when a heat pump rests, for forecasts err. Our choice.
const RELIED_ON: f64 = 0.5;
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

/// A heat pump before boilers, and the hours ahead of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Pump {
    /// What it can give of the heat that is taken, in each hour ahead.
    pub heat_kw: Vec<f64>,
    /// Of the boilers' heat: fuel over efficiency.
    pub boiler_cny_per_kwh: f64,
    pub boiler_kg_per_kwh: f64,
    /// Of each hour ahead: heat per electricity, and whether the rules have it go first.
    pub cop: Vec<f64>,
    pub ruled: Vec<bool>,
}

impl Pump {
    /// Hours with these flow and outdoor temperatures, °C, in which so much heat is taken; none where the asset does not say what it makes.
    #[must_use]
    pub fn new(pumping: &Pumping, gas: &Gas, hours: &[(f64, f64)], (taken_kw, ruled): (&[f64], Vec<bool>)) -> Option<Pump> {
        let (most_kw, of_carnot) = (pumping.heat_kw?, pumping.of_carnot?);
        let boiled_kwh_per_m3 = gas.kwh_per_m3 * pumping.boiler_efficiency;
        Some(Pump {
            heat_kw: taken_kw.iter().map(|taken_kw| taken_kw.min(most_kw)).collect(),
            boiler_cny_per_kwh: gas.cny_per_m3 / boiled_kwh_per_m3,
            boiler_kg_per_kwh: gas.kg_per_m3 / boiled_kwh_per_m3,
            cop: hours.iter().map(|(flow_c, outdoor_c)| cop(of_carnot, *flow_c, *outdoor_c)).collect(),
            ruled,
        })
    }

    /// Whether it goes before its boilers in a step, by a price of carbon, CNY/kg, and the grid's annual factor, kg/kWh.
    #[must_use]
    pub fn goes_first(&self, step: usize, steps: &Steps, (carbon_cny_per_kg, kg_per_kwh): (f64, f64)) -> bool {
        let boiler_cny = self.boiler_cny_per_kwh + carbon_cny_per_kg * self.boiler_kg_per_kwh;
        let cny = (steps.price[step] + carbon_cny_per_kg * steps.carbon[step]) / self.cop[step];
        self.ruled[step] && (self.spared_kwh_per_kwh(step, kg_per_kwh) <= 0.0 || cny <= boiler_cny)
    }

    /// What it spares by resting where the rules have it go first, counted as electricity of the grid's annual factor, kWh. Carbon as for [`Pump::goes_first`].
    #[must_use]
    pub fn spared_kwh(&self, steps: &Steps, carbon: (f64, f64)) -> f64 {
        let rests = (0..steps.hours.len()).filter(|step| self.ruled[*step] && !self.goes_first(*step, steps, carbon));
        rests.map(|step| RELIED_ON * self.heat_kw[step] * steps.hours[step] * self.spared_kwh_per_kwh(step, carbon.1)).sum()
    }

    /// Of each kWh of heat.
    fn spared_kwh_per_kwh(&self, step: usize, kg_per_kwh: f64) -> f64 {
        1.0 / self.cop[step] - self.boiler_kg_per_kwh / kg_per_kwh
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
    fn a_heat_pump_rests_where_the_boilers_cost_and_emit_less() {
        // 0.45 × 333.15 / 60 = 2.4986 from 0 to 60 °C.
        let cop = cop(0.45, 60.0, 0.0);
        assert!((cop - 2.4986).abs() < 1e-4, "{cop}");
        // The boilers' heat: 0.42 CNY and 0.2 kg. Electricity of 0.6 kg: at a COP of 2.5 0.24 kg, at one of 4 0.15 kg.
        let pump = |cop, ruled| Pump {
            heat_kw: vec![300.0],
            boiler_cny_per_kwh: 0.42,
            boiler_kg_per_kwh: 0.2,
            cop: vec![cop],
            ruled: vec![ruled],
        };
        // 0.5 × 300 × (1 / 2.5 − 0.2 / 0.6) = 10 kWh of electricity.
        for (claim, pump, price, carbon_price, first, spared_kwh) in [
            ("0.30 CNY and 0.24 kg: cheaper, not cleaner", pump(2.5, true), 0.75, 0.0, true, 0.0),
            ("0.44 CNY and 0.24 kg", pump(2.5, true), 1.1, 0.0, false, 10.0),
            ("0.40 CNY and 0.24 kg at 1 CNY/kg: 0.64 against 0.62", pump(2.5, true), 1.0, 1.0, false, 10.0),
            ("0.50 CNY and 0.15 kg: dearer, not dirtier", pump(4.0, true), 2.0, 0.0, true, 0.0),
            ("the rules let it rest", pump(4.0, false), 0.75, 0.0, false, 0.0),
            ("the rules let it rest in the cold", pump(2.0, false), 1.1, 0.0, false, 0.0),
        ] {
            let steps = Steps { hours: vec![1.0], price: vec![price], carbon: vec![0.6], ..Steps::default() };
            let carbon = (carbon_price, 0.6);
            assert_eq!(pump.goes_first(0, &steps, carbon), first, "{claim}");
            assert!((pump.spared_kwh(&steps, carbon) - spared_kwh).abs() < 1e-9, "{claim}");
        }
    }
}
