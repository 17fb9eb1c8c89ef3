//! Emission factors and coal equivalents, and which one holds where and when.
//!
//! Invariant: a missing factor is an error or a fallback that says so in its [`FactorTier`], never a silent zero. What has no factor by its nature
//! (water's carbon, production) says [`Applied::NotApplicable`].

use jiff::civil::Date;

use super::channel::Carrier;
use super::decimal::{Decimal, DecimalError};
use super::entity::named;
use super::substances::{Combustion, CombustionGroup, Gwp, HeatValue, Process, Target};
use super::units::{MgCePerUnit, MgPerUnit};
use super::zone::{GasSupply, Profile};

named! {
    /// How near to the place and time a factor is; travels with every figure made with it.
    FactorTier {
        /// What a contract, a certificate or an entry of the entity names itself.
        EntityContract = "entity_contract",
        /// The region's factor of the very year.
        RegionYear = "region_year",
        /// The region's factor of its latest year.
        RegionLatest = "region_latest",
        /// The nation's factor of the very year.
        NationYear = "nation_year",
        /// The nation's factor of its latest year.
        NationLatest = "nation_latest",
        /// The average in the place of a residual mix that nobody publishes.
        AverageForResidual = "average_for_residual",
        /// A value that a standard fixes for the whole country.
        Standard = "standard",
        /// From what the zone declares of its own supply.
        Declared = "declared",
    }
}

named! {
    GridMethod {
        /// Average of all power: location-based accounting.
        Average = "average",
        /// Average without market-traded non-fossil power: the rest under market-based accounting.
        Residual = "residual",
        Fossil = "fossil",
        /// What the carbon market used before the yearly announcements.
        Ets = "ets",
        /// Zero-carbon-park rule: power that is not green.
        ParkFossil = "park_fossil",
        /// Zero-carbon-park rule: green power.
        ParkGreen = "park_green",
    }
}

named! {
    Confidence {
        High = "high",
        Medium = "medium",
        Low = "low",
    }
}

named! {
    /// The basis of a figure in standard coal; the two are never added.
    CoalBasis {
        /// By heat content (当量).
        Calorific = "calorific",
        /// By primary energy (等价).
        Primary = "primary",
    }
}

named! {
    /// The unit a factor is per; each is a thousand ledger units.
    PerUnit {
        KilowattHour = "kWh",
        Megajoule = "MJ",
        CubicMetre = "m3",
        NormalCubicMetre = "Nm3",
        Kilogram = "kg",
    }
}

/// Where a value comes from.
#[derive(Clone, Debug)]
pub struct Provenance {
    /// Names this version of the value for good, such as `cn/grid-average/CN-SD/2023`.
    pub id: Box<str>,
    pub region: Box<str>,
    /// The year the value describes, or of the standard's edition.
    pub year: i16,
    /// The first day for which the value holds.
    pub valid_from: Date,
    /// The first day for which it no longer does; none until another takes its place.
    pub valid_to: Option<Date>,
    /// Since when the value could be known: the day, month or year of its publication.
    pub recorded: Box<str>,
    pub source: Box<str>,
    pub confidence: Confidence,
}

#[derive(Clone, Debug)]
pub struct GridFactor {
    pub method: GridMethod,
    pub mg_per_kwh: MgPerUnit,
    pub from: Provenance,
}

#[derive(Clone, Debug)]
pub struct HeatFactor {
    pub mg_per_mj: MgPerUnit,
    pub from: Provenance,
}

/// A fuel's carbon: heat value × carbon content × oxidation × 44/12 (GB/T 32150).
#[derive(Clone, Debug)]
pub struct Fuel {
    pub code: Box<str>,
    pub per: PerUnit,
    pub heat_value_mj: Decimal,
    /// Grams of carbon in a megajoule, which is tC/TJ.
    pub carbon_g_per_mj: Decimal,
    pub oxidation: Decimal,
    /// Whose CH4 and N2O of combustion it gives off; none where nobody says.
    pub combustion: Option<CombustionGroup>,
    pub from: Provenance,
}

impl Fuel {
    pub fn mg_per_unit(&self) -> Result<MgPerUnit, DecimalError> {
        self.mg_of(self.heat_value_mj)
    }

    /// mg CO2 of an amount of this fuel that holds `heat_mj`.
    pub(super) fn mg_of(&self, heat_mj: Decimal) -> Result<MgPerUnit, DecimalError> {
        let carbon_g = heat_mj.times(self.carbon_g_per_mj)?.times(self.oxidation)?;
        carbon_g.times(Decimal::from(44 * 1_000))?.divided_rounded(Decimal::from(12)).map(MgPerUnit)
    }
}

/// Standard coal in a unit of something (GB/T 2589).
#[derive(Clone, Debug)]
pub struct CoalEquivalent {
    pub code: Box<str>,
    pub per: PerUnit,
    pub mg_ce: MgCePerUnit,
    pub from: Provenance,
}

/// The codes that look-ups ask for; a set without one of them lacks that factor.
pub const FUEL_NATURAL_GAS: &str = "natural_gas";
pub const COAL_ELECTRICITY_CALORIFIC: &str = "electricity_calorific";
pub const COAL_ELECTRICITY_PRIMARY: &str = "electricity_primary";
pub const COAL_HEAT: &str = "heat";
pub const COAL_FRESH_WATER: &str = "fresh_water";

#[derive(Clone, Debug)]
pub struct FactorSet {
    pub id: Box<str>,
    pub grid: Vec<GridFactor>,
    pub heat: Vec<HeatFactor>,
    pub fuels: Vec<Fuel>,
    pub coal: Vec<CoalEquivalent>,
    pub combustion: Vec<Combustion>,
    pub gwp: Vec<Gwp>,
    pub processes: Vec<Process>,
    pub heat_values: Vec<HeatValue>,
    pub targets: Vec<Target>,
    /// Heat in a kilogram of standard coal.
    pub kj_per_kgce: Decimal,
}

/// A factor together with what has to be said about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found<'s, F> {
    pub factor: F,
    pub tier: FactorTier,
    /// [`Provenance::id`] of the value it is or follows from.
    pub version: &'s str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied<'s, F> {
    Factor(Found<'s, F>),
    /// The carrier has no such factor by its nature.
    NotApplicable,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MissingFactor {
    #[error("factor set {set} has no {what} for region {region} nor for its nation; add one, or correct the region in zone.toml")]
    Region { set: Box<str>, what: &'static str, region: Box<str> },
    #[error("factor set {set} has no {what}; add one")]
    Code { set: Box<str>, what: &'static str },
    #[error("factor set {set} has no {what} {code:?}; add one, or give a factor of its own")]
    Substance { set: Box<str>, what: &'static str, code: Box<str> },
    #[error("zone.toml declares no enthalpy of its steam; add kj_per_kg to [steam]")]
    SteamEnthalpy,
    #[error("the factor that follows from {version} is {cause}; correct its value or the zone's [gas] and [steam]")]
    Value { version: Box<str>, cause: DecimalError },
}

impl FactorSet {
    /// Carbon of one more unit of a carrier, location-based for electricity.
    pub fn carbon(&self, profile: &Profile, carrier: Carrier, year: i16) -> Result<Applied<'_, MgPerUnit>, MissingFactor> {
        match carrier {
            Carrier::Electricity => self.electricity(GridMethod::Average, &profile.region, year),
            Carrier::NaturalGas => self.gas_carbon(&profile.gas, year),
            Carrier::Heat => self.heat_carbon(Decimal::from(1), FactorTier::Standard, year),
            Carrier::Steam => self.heat_carbon(steam_mj_per_kg(profile)?, FactorTier::Declared, year),
            Carrier::Water | Carrier::Production | Carrier::Weather => return Ok(Applied::NotApplicable),
        }
        .map(Applied::Factor)
    }

    /// Standard coal of one more unit of a carrier. Water counts by the energy it took to supply, production not at all.
    pub fn coal(
        &self,
        profile: &Profile,
        carrier: Carrier,
        basis: CoalBasis,
        year: i16,
    ) -> Result<Applied<'_, MgCePerUnit>, MissingFactor> {
        match (carrier, basis) {
            (Carrier::Electricity, CoalBasis::Calorific) => {
                self.coal_of(COAL_ELECTRICITY_CALORIFIC, Decimal::from(1), FactorTier::Standard, year)
            }
            (Carrier::Electricity, CoalBasis::Primary) => self.primary_electricity(&profile.region, year),
            (Carrier::NaturalGas, _) => self.gas_coal(&profile.gas, year),
            (Carrier::Heat, _) => self.coal_of(COAL_HEAT, Decimal::from(1), FactorTier::Standard, year),
            (Carrier::Steam, _) => self.coal_of(COAL_HEAT, steam_mj_per_kg(profile)?, FactorTier::Declared, year),
            (Carrier::Water, _) => self.coal_of(COAL_FRESH_WATER, Decimal::from(1), FactorTier::Standard, year),
            (Carrier::Production | Carrier::Weather, _) => return Ok(Applied::NotApplicable),
        }
        .map(Applied::Factor)
    }

    /// A grid factor: the region's of the year, else the region's latest, else the nation's of the year, else the nation's latest.
    /// The nation is the region's code up to its first `-`.
    pub fn electricity(&self, method: GridMethod, region: &str, year: i16) -> Result<Found<'_, MgPerUnit>, MissingFactor> {
        let of_method = self.grid.iter().filter(|factor| factor.method == method);
        let (found, tier) = nearest(of_method, |factor| &factor.from, region, year).ok_or_else(|| MissingFactor::Region {
            set: self.id.clone(),
            what: "grid factor",
            region: region.into(),
        })?;
        Ok(Found { factor: found.mg_per_kwh, tier, version: &found.from.id })
    }

    /// The edition of a fuel that holds in a year.
    #[must_use]
    pub fn fuel(&self, code: &str, year: i16) -> Option<&Fuel> {
        edition(&self.fuels, |fuel| &*fuel.code == code, |fuel| &fuel.from, year)
    }

    /// The edition of a coal equivalent that holds in a year.
    #[must_use]
    pub fn coal_equivalent(&self, code: &str, year: i16) -> Option<&CoalEquivalent> {
        edition(&self.coal, |coal| &*coal.code == code, |coal| &coal.from, year)
    }

    /// Every value's provenance.
    pub fn provenances(&self) -> impl Iterator<Item = &Provenance> {
        let grid = self.grid.iter().map(|value| &value.from);
        let per_carrier = self.heat.iter().map(|value| &value.from).chain(self.fuels.iter().map(|value| &value.from));
        let coal = self.coal.iter().map(|value| &value.from).chain(self.combustion.iter().map(|value| &value.from));
        let lists = self.gwp.iter().map(|value| &value.from).chain(self.processes.iter().map(|value| &value.from));
        let rules = self.heat_values.iter().map(|value| &value.from).chain(self.targets.iter().map(|value| &value.from));
        grid.chain(per_carrier).chain(coal).chain(lists).chain(rules)
    }

    /// The source of a version, by its [`Provenance::id`].
    #[must_use]
    pub fn source_of(&self, version: &str) -> Option<&str> {
        self.provenances().find(|from| &*from.id == version).map(|from| &*from.source)
    }

    fn primary_electricity(&self, region: &str, year: i16) -> Result<Found<'_, MgCePerUnit>, MissingFactor> {
        let of_code = self.coal.iter().filter(|coal| &*coal.code == COAL_ELECTRICITY_PRIMARY);
        let (found, tier) = nearest(of_code, |coal| &coal.from, region, year).ok_or_else(|| MissingFactor::Region {
            set: self.id.clone(),
            what: "primary coal equivalent of electricity",
            region: region.into(),
        })?;
        Ok(Found { factor: found.mg_ce, tier, version: &found.from.id })
    }

    fn gas_carbon(&self, gas: &GasSupply, year: i16) -> Result<Found<'_, MgPerUnit>, MissingFactor> {
        let (fuel, heat_mj, tier) = self.gas(gas, year)?;
        let factor = heat_mj.and_then(|heat_mj| fuel.mg_of(heat_mj));
        found(factor, tier, &fuel.from)
    }

    fn gas_coal(&self, gas: &GasSupply, year: i16) -> Result<Found<'_, MgCePerUnit>, MissingFactor> {
        /// MJ to kJ, and kg to mg.
        const MG_AND_KJ: i64 = 1_000 * 1_000_000;
        let (fuel, heat_mj, tier) = self.gas(gas, year)?;
        let factor = heat_mj.and_then(|heat_mj| heat_mj.times(Decimal::from(MG_AND_KJ))?.divided_rounded(self.kj_per_kgce));
        found(factor.map(MgCePerUnit), tier, &fuel.from)
    }

    /// The fuel, and the heat in a metered cubic metre.
    pub(super) fn gas(&self, gas: &GasSupply, year: i16) -> Result<(&Fuel, Result<Decimal, DecimalError>, FactorTier), MissingFactor> {
        let missing = || MissingFactor::Code { set: self.id.clone(), what: "fuel natural_gas" };
        let fuel = self.fuel(FUEL_NATURAL_GAS, year).ok_or_else(missing)?;
        let tier = if gas.heat_value_mj_per_nm3.is_some() { FactorTier::Declared } else { FactorTier::Standard };
        let tier = fuel.from.tier_in(year, tier);
        Ok((fuel, gas.heat_value_mj_per_nm3.unwrap_or(fuel.heat_value_mj).times(gas.nm3_per_m3), tier))
    }

    fn heat_carbon(&self, heat_mj: Decimal, tier: FactorTier, year: i16) -> Result<Found<'_, MgPerUnit>, MissingFactor> {
        let missing = || MissingFactor::Code { set: self.id.clone(), what: "heat factor" };
        let heat = edition(&self.heat, |_| true, |heat| &heat.from, year).ok_or_else(missing)?;
        let factor = heat_mj.times(Decimal::from(heat.mg_per_mj.0)).and_then(Decimal::rounded);
        found(factor.map(MgPerUnit), heat.from.tier_in(year, tier), &heat.from)
    }

    fn coal_of(&self, code: &'static str, amount: Decimal, tier: FactorTier, year: i16) -> Result<Found<'_, MgCePerUnit>, MissingFactor> {
        let missing = || MissingFactor::Code { set: self.id.clone(), what: code };
        let coal = self.coal_equivalent(code, year).ok_or_else(missing)?;
        let factor = amount.times(Decimal::from(coal.mg_ce.0)).and_then(Decimal::rounded);
        found(factor.map(MgCePerUnit), coal.from.tier_in(year, tier), &coal.from)
    }
}

impl Provenance {
    /// Whether the value holds on the last day of a year.
    #[must_use]
    pub fn holds_in(&self, year: i16) -> bool {
        let last = jiff::civil::date(year, 12, 31);
        self.valid_from <= last && self.valid_to.is_none_or(|to| last < to)
    }

    /// The tier of a standard's value in a year: one of a time for which it does not hold is a fallback.
    #[must_use]
    pub fn tier_in(&self, year: i16, tier: FactorTier) -> FactorTier {
        if self.holds_in(year) { tier } else { FactorTier::NationLatest }
    }
}

/// The edition of what is wanted that holds in a year, the newest of several, and of one edition what was recorded last; the newest of all if none holds.
pub(super) fn edition<T>(values: &[T], wanted: impl Fn(&T) -> bool, from: impl Fn(&T) -> &Provenance, year: i16) -> Option<&T> {
    let rank = |value: &T| (from(value).holds_in(year), from(value).year);
    let better = |one: &&T, other: &&T| rank(one).cmp(&rank(other)).then_with(|| from(one).recorded.cmp(&from(other).recorded));
    values.iter().filter(|value| wanted(value)).max_by(better)
}

/// The newest edition of what is wanted.
pub(super) fn latest<T>(values: &[T], wanted: impl Fn(&T) -> bool, from: impl Fn(&T) -> &Provenance) -> Option<&T> {
    values.iter().filter(|value| wanted(value)).max_by_key(|value| from(value).year)
}

pub(super) fn found<F>(factor: Result<F, DecimalError>, tier: FactorTier, from: &Provenance) -> Result<Found<'_, F>, MissingFactor> {
    match factor {
        Ok(factor) => Ok(Found { factor, tier, version: &from.id }),
        Err(cause) => Err(MissingFactor::Value { version: from.id.clone(), cause }),
    }
}

fn steam_mj_per_kg(profile: &Profile) -> Result<Decimal, MissingFactor> {
    let steam = profile.steam.ok_or(MissingFactor::SteamEnthalpy)?;
    let thousandth = Decimal::parse("0.001").expect("a decimal number");
    steam.kj_per_kg.times(thousandth).map_err(|cause| MissingFactor::Value { version: "steam.kj_per_kg".into(), cause })
}

fn nearest<'s, F>(
    values: impl Iterator<Item = &'s F>,
    from: impl Fn(&F) -> &Provenance,
    region: &str,
    year: i16,
) -> Option<(&'s F, FactorTier)> {
    let nation = region.split('-').next().unwrap_or(region);
    let closeness = |value: &F| match from(value) {
        value if &*value.region == region && value.year == year => Some((FactorTier::RegionYear, year)),
        value if &*value.region == region => Some((FactorTier::RegionLatest, value.year)),
        value if &*value.region == nation && value.year == year => Some((FactorTier::NationYear, year)),
        value if &*value.region == nation => Some((FactorTier::NationLatest, value.year)),
        _ => None,
    };
    values
        .filter_map(|value| closeness(value).map(|(tier, year)| (value, tier, year)))
        // Tiers are ordered from the nearest on.
        .min_by_key(|(_, tier, year)| (*tier, std::cmp::Reverse(*year)))
        .map(|(value, tier, _)| (value, tier))
}
