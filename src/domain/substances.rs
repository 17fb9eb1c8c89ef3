//! What is not metered but counted by the kilogram: gases by their warming, fuels and minerals by their carbon, and the targets of rules.
//!
//! Invariant: as in [`super::factors`], what is missing is an error that names it, never a zero.

use super::decimal::{Decimal, DecimalError};
use super::entity::named;
use super::factors::{FactorSet, FactorTier, Found, Fuel, MissingFactor, PerUnit, Provenance, edition, found, latest};
use super::units::{MgCePerUnit, MgPerUnit};
use super::zone::Profile;

named! {
    /// Which assessment report of the IPCC the warming potentials are of; the name travels with every figure made with them.
    GwpSet {
        Ar5 = "AR5",
        Ar6 = "AR6",
    }
}

named! {
    CombustionGroup {
        Gas = "gas",
        Coal = "coal",
        Oil = "oil",
    }
}

named! {
    /// The gases of combustion beside CO2.
    CombustionGas {
        Methane = "CH4",
        NitrousOxide = "N2O",
    }
}

named! {
    Bound {
        AtMost = "at_most",
        AtLeast = "at_least",
    }
}

/// CH4 and N2O of stationary combustion, kg per TJ of fuel, which is mg per MJ (IPCC 2006, volume 2, table 2.3).
#[derive(Clone, Debug)]
pub struct Combustion {
    pub group: CombustionGroup,
    pub ch4_mg_per_mj: Decimal,
    pub n2o_mg_per_mj: Decimal,
    pub from: Provenance,
}

/// Warming of a kilogram of a gas over 100 years, in kilograms of CO2.
#[derive(Clone, Debug)]
pub struct Gwp {
    pub set: GwpSet,
    pub gas: Box<str>,
    pub kg_co2e_per_kg: Decimal,
    pub from: Provenance,
}

/// CO2 of a process, per kilogram of what goes in.
#[derive(Clone, Debug)]
pub struct Process {
    pub code: Box<str>,
    pub mg_per_kg: MgPerUnit,
    pub from: Provenance,
}

/// A mean lower heat value, for comparison; fuels carry their own.
#[derive(Clone, Debug)]
pub struct HeatValue {
    pub code: Box<str>,
    pub per: PerUnit,
    pub mj: Decimal,
    pub from: Provenance,
}

/// A limit that a rule sets.
#[derive(Clone, Debug)]
pub struct Target {
    pub code: Box<str>,
    pub bound: Bound,
    pub unit: Box<str>,
    pub value: Decimal,
    pub from: Provenance,
}

impl FactorSet {
    /// Milligrams of CO2 equivalent per kilogram of a gas that escapes.
    pub fn gas_released(&self, set: GwpSet, gas: &str) -> Result<Found<'_, MgPerUnit>, MissingFactor> {
        let gwp = self.gwp(set, gas)?;
        found(gwp.kg_co2e_per_kg.times(Decimal::from(1_000_000)).and_then(Decimal::rounded).map(MgPerUnit), FactorTier::Standard, &gwp.from)
    }

    /// mg CO2 per unit of a fuel that is burnt, and the unit.
    pub fn fuel_burnt(&self, code: &str, year: i16) -> Result<(Found<'_, MgPerUnit>, PerUnit), MissingFactor> {
        let fuel = self.fuel_or_missing(code, year)?;
        Ok((found(fuel.mg_per_unit(), fuel.from.tier_in(year, FactorTier::Standard), &fuel.from)?, fuel.per))
    }

    /// Standard coal by heat content in a unit of a fuel: the standard's value, else what follows from its heat value. None for what the set does not know.
    #[must_use]
    pub fn coal_of_fuel(&self, code: &str, year: i16) -> Option<MgCePerUnit> {
        /// MJ to kJ, and kg to mg.
        const MG_AND_KJ: i64 = 1_000 * 1_000_000;
        let fuel = self.fuel(code, year)?;
        if let Some(coal) = self.coal_equivalent(code, year).filter(|coal| coal.per == fuel.per) {
            return Some(coal.mg_ce);
        }
        let mg = fuel.heat_value_mj.times(Decimal::from(MG_AND_KJ)).and_then(|mg| mg.divided_rounded(self.kj_per_kgce));
        mg.ok().map(MgCePerUnit)
    }

    /// mg CO2 per kg of a mineral that goes into a process.
    pub fn process_input(&self, code: &str, year: i16) -> Result<Found<'_, MgPerUnit>, MissingFactor> {
        let process = edition(&self.processes, |process| &*process.code == code, |process| &process.from, year);
        let process = process.ok_or_else(|| self.substance("process", code))?;
        Ok(Found { factor: process.mg_per_kg, tier: process.from.tier_in(year, FactorTier::Standard), version: &process.from.id })
    }

    /// Milligrams of CO2 equivalent of CH4 or N2O per unit of a fuel that is burnt. None where the set does not say how the fuel burns.
    pub fn combustion_of_fuel(
        &self,
        code: &str,
        (gas, set): (CombustionGas, GwpSet),
        year: i16,
    ) -> Result<Option<Found<'_, MgPerUnit>>, MissingFactor> {
        let fuel = self.fuel_or_missing(code, year)?;
        self.combustion_of((fuel, Ok(fuel.heat_value_mj)), (gas, set), FactorTier::Standard, year)
    }

    /// Milligrams of CO2 equivalent of CH4 or N2O per metered cubic metre of the zone's natural gas.
    pub fn combustion_of_gas(
        &self,
        profile: &Profile,
        (gas, set): (CombustionGas, GwpSet),
        year: i16,
    ) -> Result<Option<Found<'_, MgPerUnit>>, MissingFactor> {
        let (fuel, heat_mj, tier) = self.gas(&profile.gas, year)?;
        self.combustion_of((fuel, heat_mj), (gas, set), tier, year)
    }

    /// The newest edition of a target.
    #[must_use]
    pub fn target(&self, code: &str) -> Option<&Target> {
        latest(&self.targets, |target| &*target.code == code, |target| &target.from)
    }

    fn combustion_of(
        &self,
        (fuel, heat_mj): (&Fuel, Result<Decimal, DecimalError>),
        (gas, set): (CombustionGas, GwpSet),
        tier: FactorTier,
        year: i16,
    ) -> Result<Option<Found<'_, MgPerUnit>>, MissingFactor> {
        let Some(group) = fuel.combustion else { return Ok(None) };
        let combustion = edition(&self.combustion, |combustion| combustion.group == group, |combustion| &combustion.from, year);
        let combustion = combustion.ok_or_else(|| self.substance("combustion group", group.as_str()))?;
        let gwp = self.gwp(set, gas.as_str())?.kg_co2e_per_kg;
        let mg_per_mj = match gas {
            CombustionGas::Methane => combustion.ch4_mg_per_mj,
            CombustionGas::NitrousOxide => combustion.n2o_mg_per_mj,
        };
        let factor = heat_mj.and_then(|heat| heat.times(mg_per_mj)?.times(gwp)?.rounded()).map(MgPerUnit);
        found(factor, tier, &combustion.from).map(Some)
    }

    fn fuel_or_missing(&self, code: &str, year: i16) -> Result<&Fuel, MissingFactor> {
        self.fuel(code, year).ok_or_else(|| self.substance("fuel", code))
    }

    fn gwp(&self, set: GwpSet, gas: &str) -> Result<&Gwp, MissingFactor> {
        let of_set = |gwp: &Gwp| gwp.set == set && &*gwp.gas == gas;
        latest(&self.gwp, of_set, |gwp| &gwp.from).ok_or_else(|| match set {
            GwpSet::Ar5 => self.substance("GWP of AR5 for", gas),
            GwpSet::Ar6 => self.substance("GWP of AR6 for", gas),
        })
    }

    fn substance(&self, what: &'static str, code: &str) -> MissingFactor {
        MissingFactor::Substance { set: self.id.clone(), what, code: code.into() }
    }
}
