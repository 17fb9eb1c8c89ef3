//! Which of a heat network's makers goes first in an hour: the heat pump or the boilers.
//!
//! The rules have a heat pump go first in all but the coldest hours, also where its electricity emits more than the boilers' gas. A plan lets it rest in some of these: that is where
//! the carbon comes from that batteries lose. Invariant: no plan has it go first where the rules do not and the boilers emit less.

use super::plan::Spare;
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
/// So much of what a heat pump could give is counted on when it rests: a network does not take all of it in every hour. Our choice.
const RELIED_ON: f64 = 0.75;
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
    /// The most heat it gives.
    pub heat_kw: f64,
    /// Of the boilers' heat: fuel over efficiency.
    pub boiler_cny_per_kwh: f64,
    pub boiler_kg_per_kwh: f64,
    /// Of each hour ahead: heat per electricity, and whether the rules have it go first.
    pub cop: Vec<f64>,
    pub ruled: Vec<bool>,
}

/// Whether a heat pump goes first in an hour.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum First {
    Yes,
    No,
    /// The rules have it go first where the boilers emit less: it may rest for this.
    MayRest(Spare),
}

impl Pump {
    /// Hours with these flow and outdoor temperatures, °C; none where the asset does not say what it makes.
    #[must_use]
    pub fn new(pumping: &Pumping, gas: &Gas, hours: &[(f64, f64)], ruled: Vec<bool>) -> Option<Pump> {
        let (heat_kw, of_carnot) = (pumping.heat_kw?, pumping.of_carnot?);
        let boiled_kwh_per_m3 = gas.kwh_per_m3 * pumping.boiler_efficiency;
        Some(Pump {
            heat_kw,
            boiler_cny_per_kwh: gas.cny_per_m3 / boiled_kwh_per_m3,
            boiler_kg_per_kwh: gas.kg_per_m3 / boiled_kwh_per_m3,
            cop: hours.iter().map(|(flow_c, outdoor_c)| cop(of_carnot, *flow_c, *outdoor_c)).collect(),
            ruled,
        })
    }

    /// In a step of so many hours, with electricity at this price and annual factor; and the carbon that it spares by going first though the rules would have it rest,
    /// kWh of that factor. Prices with carbon.
    #[must_use]
    pub fn first(&self, (step, hours): (usize, f64), (cny_per_kwh, kg_per_kwh): (f64, f64), boiler_cny_per_kwh: f64) -> (First, f64) {
        let pumped_cny = cny_per_kwh / self.cop[step];
        // Of each kWh of heat, as electricity of the grid.
        let more_kwh = 1.0 / self.cop[step] - self.boiler_kg_per_kwh / kg_per_kwh;
        let kwh = (RELIED_ON * self.heat_kw * hours * more_kwh).abs();
        match (self.ruled[step], 0.0 < more_kwh) {
            (true, true) => (First::MayRest(Spare { kwh_max: kwh, cny_per_kwh: (boiler_cny_per_kwh - pumped_cny) / more_kwh }), 0.0),
            (true, false) => (First::Yes, 0.0),
            (false, false) if pumped_cny < boiler_cny_per_kwh => (First::Yes, kwh),
            (false, _) => (First::No, 0.0),
        }
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
    fn a_heat_pump_rests_where_boilers_emit_less_and_goes_first_where_it_emits_less() {
        // 0.45 × 333.15 / 60 = 2.4986 from 0 to 60 °C.
        let cop = cop(0.45, 60.0, 0.0);
        assert!((cop - 2.4986).abs() < 1e-4, "{cop}");
        // The boilers' heat: 0.42 CNY and 0.2 kg. Electricity of 0.6 kg at 0.75 and 1.2 CNY: at a COP of 2.5 0.3 CNY and 0.24 kg, at one of 4 0.15 kg.
        let pump =
            |cop, ruled| Pump { heat_kw: 300.0, boiler_cny_per_kwh: 0.42, boiler_kg_per_kwh: 0.2, cop: vec![cop], ruled: vec![ruled] };
        // 0.75 × 300 × (1 / 2.5 − 0.2 / 0.6) = 15 kWh of electricity in the hour's heat; 0.12 CNY for each 0.0667 of them.
        let (first, spared) = pump(2.5, true).first((0, 1.0), (0.75, 0.6), 0.42);
        let First::MayRest(Spare { kwh_max, cny_per_kwh }) = first else { panic!("{first:?}") };
        assert!((kwh_max - 15.0).abs() < 1e-9 && (cny_per_kwh - 1.8).abs() < 1e-9 && spared < 1e-9, "{first:?}");
        let cases = [
            ("as the rules have it", pump(4.0, true), 0.75, First::Yes, 0),
            ("the rules let it rest, but it is better in both", pump(4.0, false), 0.75, First::Yes, 19),
            ("cleaner, but dearer", pump(4.0, false), 1.8, First::No, 0),
            ("cheaper, but dirtier", pump(2.5, false), 0.75, First::No, 0),
        ];
        for (claim, pump, cny_per_kwh, first, spared) in cases {
            // 0.75 × 300 × (0.3333 − 0.25) = 18.75.
            let seen = pump.first((0, 1.0), (cny_per_kwh, 0.6), 0.42);
            assert_eq!((seen.0, seen.1.round() as i64), (first, spared), "{claim}");
        }
    }
}
