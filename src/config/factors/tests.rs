//! The library against published figures.

use super::*;
use crate::domain::channel::Carrier;
use crate::domain::factors::{Applied, CoalBasis, FactorTier, Found, MissingFactor};
use crate::domain::substances::{CombustionGas, GwpSet};
use crate::domain::zone::{ClockMode, GasSupply, Profile, SteamSupply};

fn china() -> FactorSet {
    let (set, faults) = read(BUILT_IN[0].1);
    assert_eq!(faults, []);
    set.unwrap()
}

fn profile(heat_value: Option<&str>, nm3_per_m3: &str, steam: Option<&str>) -> Profile {
    let decimal = |text: &str| Decimal::parse(text).unwrap();
    Profile {
        id: "z".into(),
        name_en: "z".into(),
        name_zh: "z".into(),
        time_zone: jiff::tz::TimeZone::UTC,
        region: "CN-SD".into(),
        latitude: 36.0,
        longitude: 120.0,
        clock: ClockMode::Wall,
        interval_ms: 900_000,
        history_interval_ms: 3_600_000,
        live_from: None,
        gas: GasSupply { heat_value_mj_per_nm3: heat_value.map(decimal), nm3_per_m3: decimal(nm3_per_m3) },
        gwp: GwpSet::Ar5,
        steam: steam.map(|kj_per_kg| SteamSupply { kj_per_kg: decimal(kj_per_kg) }),
    }
}

/// The figures of MEE/NBS announcements 2024 No. 12, 2024 No. 33 and 2025 No. 47.
#[test]
fn the_grid_factor_is_the_nearest_and_says_how_near() {
    use FactorTier::{NationLatest, NationYear, RegionLatest, RegionYear};
    let set = china();
    let cases = [
        (GridMethod::Average, "CN-SD", 2021, 683_800, RegionYear),
        (GridMethod::Average, "CN-SD", 2022, 641_000, RegionYear),
        (GridMethod::Average, "CN-SD", 2023, 619_100, RegionYear),
        (GridMethod::Average, "CN-SD", 2026, 619_100, RegionLatest),
        (GridMethod::Average, "CN-SD", 2019, 619_100, RegionLatest),
        (GridMethod::Average, "CN-YN", 2023, 133_300, RegionYear),
        (GridMethod::Average, "CN-GRID-NORTH", 2022, 677_600, RegionYear),
        (GridMethod::Average, "CN", 2021, 556_800, RegionYear),
        (GridMethod::Average, "CN-XX", 2021, 556_800, NationYear),
        (GridMethod::Average, "CN-XX", 2025, 530_600, NationLatest),
        (GridMethod::Residual, "CN-SD", 2023, 609_600, NationYear),
        (GridMethod::Residual, "CN-SD", 2021, 594_200, NationYear),
        (GridMethod::Residual, "CN-SD", 2026, 609_600, NationLatest),
        (GridMethod::Fossil, "CN-SD", 2022, 832_500, NationYear),
        (GridMethod::ParkFossil, "CN-SD", 2026, 832_500, NationLatest),
        (GridMethod::Fossil, "CN", 2022, 832_500, RegionYear),
    ];
    for (method, region, year, mg, tier) in cases {
        let found = set.electricity(method, region, year).unwrap();
        assert_eq!((found.factor, found.tier), (MgPerUnit(mg), tier), "{region} {year}");
    }
    assert_eq!(set.electricity(GridMethod::Average, "CN-SD", 2026).unwrap().version, "cn/grid-average/CN-SD/2023");
    assert!(matches!(set.electricity(GridMethod::Average, "DE-BE", 2023), Err(MissingFactor::Region { .. })));
}

#[test]
fn all_30_provinces_7_grids_and_the_nation_have_three_years() {
    let set = china();
    let of = |year, method| set.grid.iter().filter(|factor| factor.from.year == year && factor.method == method).count();
    for year in 2021..=2023 {
        let regions = of(year, GridMethod::Average);
        // Tibet is not in the announcements.
        assert_eq!((regions, of(year, GridMethod::Residual), of(year, GridMethod::Fossil)), (30 + 7 + 1, 1, 1), "{year}");
    }
}

/// 2.1622 kg/Nm³, 3.096, 2.925 and 3.101 t/t: computed figures published with GB/T 32151.22-2024.
#[test]
fn fuels_follow_from_heat_value_carbon_and_oxidation() {
    let set = china();
    for (code, mg) in [("natural_gas", 2_162_189), ("diesel", 3_095_910), ("gasoline", 2_925_056), ("lpg", 3_101_330)] {
        assert_eq!(set.fuel(code, 2026).unwrap().mg_per_unit(), Ok(MgPerUnit(mg)), "{code}");
    }
    assert!(set.fuel("peat", 2026).is_none());
}

#[test]
fn carbon_of_each_carrier() {
    let set = china();
    let factor = |profile: &Profile, carrier| match set.carbon(profile, carrier, 2026) {
        Ok(Applied::Factor(Found { factor, tier, .. })) => (factor.0, tier),
        other => panic!("{carrier:?}: {other:?}"),
    };
    let normal = profile(None, "1", Some("2675.0"));
    assert_eq!(factor(&normal, Carrier::NaturalGas), (2_162_189, FactorTier::Standard));
    // 2.162188809 × 0.9318.
    assert_eq!(factor(&profile(Some("38.931"), "0.9318", None), Carrier::NaturalGas), (2_014_728, FactorTier::Declared));
    // 35.544 × 15.3 × 0.99 × 44/12 = 1974.07…
    assert_eq!(factor(&profile(Some("35.544"), "1", None), Carrier::NaturalGas), (1_974_078, FactorTier::Declared));
    assert_eq!(factor(&normal, Carrier::Heat), (110_000, FactorTier::Standard));
    assert_eq!(factor(&normal, Carrier::Steam), (294_250, FactorTier::Declared));
    for carrier in [Carrier::Water, Carrier::Production, Carrier::Weather] {
        assert_eq!(set.carbon(&normal, carrier, 2026), Ok(Applied::NotApplicable));
    }
    assert_eq!(set.carbon(&profile(None, "1", None), Carrier::Steam, 2026), Err(MissingFactor::SteamEnthalpy));
}

/// GB/T 2589-2020: 0.1229 kgce/kWh, 34.12 kgce/GJ, 0.2571 kgce/t; gas between 1.1 and 1.33 kgce/m³ by its heat value.
#[test]
fn standard_coal_of_each_carrier() {
    use CoalBasis::{Calorific, Primary};
    use FactorTier::{Declared, NationYear, Standard};
    let set = china();
    let normal = profile(None, "1", Some("2675.0"));
    let coal = |profile: &Profile, carrier, basis| match set.coal(profile, carrier, basis, 2026) {
        Ok(Applied::Factor(Found { factor, tier, .. })) => (factor.0, tier),
        other => panic!("{carrier:?}: {other:?}"),
    };
    assert_eq!(coal(&normal, Carrier::Electricity, Calorific), (122_900, Standard));
    assert_eq!(coal(&normal, Carrier::Electricity, Primary), (285_600, NationYear));
    // 38.931 / 29.3076 = 1.3283585…; 38.931 × 0.9318 / 29.3076 = 1.237764…
    assert_eq!(coal(&normal, Carrier::NaturalGas, Calorific), (1_328_359, Standard));
    assert_eq!(coal(&profile(Some("38.931"), "0.9318", None), Carrier::NaturalGas, Primary), (1_237_764, Declared));
    assert_eq!(coal(&normal, Carrier::Heat, Calorific), (34_120, Standard));
    // 2.675 MJ/kg × 0.03412.
    assert_eq!(coal(&normal, Carrier::Steam, Calorific), (91_271, Declared));
    assert_eq!(coal(&normal, Carrier::Water, Calorific), (257_100, Standard));
    assert_eq!(set.coal(&normal, Carrier::Production, Calorific, 2026), Ok(Applied::NotApplicable));
}

/// GB/T 2589-2020 holds from 2021-04-01; its edition of 2008 has another value of fresh water, and the set none of anything else.
#[test]
fn a_year_takes_the_edition_that_holds_in_it_and_another_one_is_flagged() {
    let set = china();
    let normal = profile(None, "1", None);
    let cases = [
        (Carrier::Water, 2019, 85_700, FactorTier::Standard),
        (Carrier::Water, 2020, 85_700, FactorTier::Standard),
        (Carrier::Water, 2021, 257_100, FactorTier::Standard),
        (Carrier::Water, 2026, 257_100, FactorTier::Standard),
        (Carrier::Heat, 2019, 34_120, FactorTier::NationLatest),
        (Carrier::Heat, 2021, 34_120, FactorTier::Standard),
    ];
    for (carrier, year, mg, tier) in cases {
        let found = set.coal(&normal, carrier, CoalBasis::Calorific, year);
        assert!(
            matches!(found, Ok(Applied::Factor(Found { factor: MgCePerUnit(seen), tier: told, .. })) if (seen, told) == (mg, tier)),
            "{carrier:?} {year}: {found:?}"
        );
    }
}

#[test]
fn a_set_tells_all_its_faults() {
    let text = "id = \"x\"\nkj_per_kgce = 29307.6\n[[grid]]\nyear = 1800\nrecorded = \"soon\"\nsource = \"s\"\nconfidence = \"sure\"\n\
                [grid.average_kg_per_kwh]\nCN = -1\n[[fuel]]\ncode = \"f\"\n";
    let (set, faults) = read(&[("my.toml", text)]);
    assert!(set.is_none());
    let lines: Vec<_> = faults.iter().map(|fault| fault.line.unwrap()).collect();
    assert!([4, 5, 7, 9, 10].iter().all(|line| lines.contains(line)), "{faults:?}");
}

/// IPCC 2006 table 2.3: gas 1 kg CH4 and 0.1 kg N2O per TJ, oil 3 and 0.6; GWP 28 and 265 (AR5), 27.9 and 273 (AR6).
#[test]
fn methane_and_nitrous_oxide_of_combustion_by_gwp_set() {
    use CombustionGas::{Methane, NitrousOxide};
    let set = china();
    let metered = profile(Some("38.931"), "0.9318", None);
    // 38.931 MJ × 0.9318 = 36.2759058 MJ per metered m³.
    for (gas, of, mg) in
        [(Methane, GwpSet::Ar5, 1_016), (NitrousOxide, GwpSet::Ar5, 961), (Methane, GwpSet::Ar6, 1_012), (NitrousOxide, GwpSet::Ar6, 990)]
    {
        let found = set.combustion_of_gas(&metered, (gas, of), 2026).unwrap().unwrap();
        assert_eq!((found.factor, found.tier), (MgPerUnit(mg), FactorTier::Declared), "{gas:?} {of:?}");
        assert_eq!(found.version, "cn/combustion-gas/world/2006");
    }
    // Diesel: 42.652 MJ/kg × 3 × 28 = 3,582.768; × 0.6 × 265 = 6,781.668.
    assert_eq!(set.combustion_of_fuel("diesel", (Methane, GwpSet::Ar5), 2026).unwrap().unwrap().factor, MgPerUnit(3_583));
    assert_eq!(set.combustion_of_fuel("diesel", (NitrousOxide, GwpSet::Ar5), 2026).unwrap().unwrap().factor, MgPerUnit(6_782));
}

#[test]
fn a_missing_gas_fuel_or_process_is_named_and_never_zero() {
    let set = china();
    assert_eq!(set.gas_released(GwpSet::Ar5, "SF6").unwrap().factor, MgPerUnit(23_500_000_000));
    assert_eq!(set.gas_released(GwpSet::Ar6, "SF6").unwrap().factor, MgPerUnit(24_300_000_000));
    let told = [
        set.gas_released(GwpSet::Ar5, "HCFC-22").unwrap_err().to_string(),
        set.fuel_burnt("peat", 2026).unwrap_err().to_string(),
        set.process_input("gypsum", 2026).unwrap_err().to_string(),
    ];
    for (told, wanted) in told.iter().zip(["GWP of AR5 for \"HCFC-22\"", "fuel \"peat\"", "process \"gypsum\""]) {
        assert!(told.contains(wanted), "{told}");
    }
}

/// Names in the published table whose code here says more.
const RENAMED: [(&str, &str, &str); 41] = [
    ("coal_equiv", "ELEC", "electricity_calorific"),
    ("coal_equiv", "HEAT", "heat"),
    ("coal_equiv", "WATER_NEW", "fresh_water"),
    ("coal_equiv", "WATER_NEW_2008", "fresh_water"),
    ("coal_equiv", "AIR_COMP", "compressed_air"),
    ("coal_equiv", "O2", "oxygen"),
    ("coal_equiv", "ELEC_PRIMARY_MIIT", "electricity_primary"),
    ("coal_equiv", "ELEC_PRIMARY_SD_PUB", "electricity_primary_public_institutions"),
    ("coal_equiv", "NG", "natural_gas_high"),
    ("coal_equiv", "NG_GASFIELD", "natural_gas_gas_field"),
    ("coal_equiv", "NG_LO", "natural_gas_low"),
    ("coal_equiv", "CRUDE", "crude_oil"),
    ("coal_equiv", "COG_LO", "coke_oven_gas_low"),
    ("coal_equiv", "COG_HI", "coke_oven_gas_high"),
    ("coal_equiv", "BFG", "blast_furnace_gas"),
    ("coal_equiv", "SLIME_LO", "coal_slime_low"),
    ("coal_equiv", "SLIME_HI", "coal_slime_high"),
    ("coal_equiv", "BIOGAS_LO", "biogas_low"),
    ("coal_equiv", "BIOGAS_HI", "biogas_high"),
    ("coal_equiv", "WATER_SOFT", "softened_water"),
    ("coal_equiv", "WATER_DEOX", "deaerated_water"),
    ("coal_equiv", "N2_BY", "nitrogen_by_product"),
    ("coal_equiv", "N2_MAIN", "nitrogen_main_product"),
    ("coal_equiv", "CO2_GAS", "carbon_dioxide"),
    ("coal_equiv", "C2H2", "acetylene"),
    ("coal_equiv", "CAC2", "calcium_carbide"),
    ("coal_equiv", "H2", "hydrogen"),
    ("coal_equiv", "STEAM_LP", "low_pressure_steam"),
    ("ncv", "ELEC", "electricity"),
    ("ncv", "NG_LO", "natural_gas_low"),
    ("ncv", "NG_HI", "natural_gas_high"),
    ("ncv", "CRUDE", "crude_oil"),
    ("fuel", "NG", "natural_gas"),
    ("fuel", "CRUDE", "crude_oil"),
    ("fuel", "COG", "coke_oven_gas"),
    ("fuel", "BFG", "blast_furnace_gas"),
    ("fuel", "LDG", "converter_gas"),
    ("fuel", "OTHER_GAS", "other_coal_gas"),
    ("fuel", "TAR", "coal_tar"),
    ("fuel", "BENZENE", "crude_benzene"),
    ("fuel", "OTHER_WASHED", "other_washed_coal"),
];

fn code_here(kind: &str, code: &str) -> String {
    let kind = if kind == "fuel_ef" { "fuel" } else { kind };
    let renamed = RENAMED.iter().find(|(of, from, _)| *of == kind && *from == code);
    renamed.map_or_else(|| code.to_lowercase(), |(_, _, to)| (*to).to_owned())
}

fn grid_value(set: &FactorSet, code: &str, year: &str) -> Option<f64> {
    let (method, region) = match code {
        "CN-EXMKT" => (GridMethod::Residual, "CN"),
        "CN-FOSSIL" => (GridMethod::Fossil, "CN"),
        "CN-PARK-FOSSIL" => (GridMethod::ParkFossil, "CN"),
        "CN-PARK-GREEN" => (GridMethod::ParkGreen, "CN"),
        ets if ets.starts_with("CN-ETS-") => (GridMethod::Ets, "CN"),
        region => (GridMethod::Average, region),
    };
    let here =
        set.grid.iter().find(|factor| factor.method == method && &*factor.from.region == region && factor.from.year.to_string() == year);
    here.map(|factor| factor.mg_per_kwh.0 as f64 / 1e6)
}

/// What the library holds for a line of the published table; none if it is not there.
fn value_here(set: &FactorSet, [kind, code, region, year]: [&str; 4]) -> Option<f64> {
    let fuel = |code: &str| set.fuels.iter().find(|fuel| *fuel.code == *code_here("fuel", code) && fuel.from.year.to_string() == year);
    match kind {
        "grid" => grid_value(set, code, year),
        "heat" => set.heat.first().map(|heat| heat.mg_per_mj.0 as f64 / 1e6),
        "coal_equiv" => {
            let named = code_here(kind, code);
            let here =
                set.coal.iter().find(|coal| *coal.code == *named && coal.from.year.to_string() == year && &*coal.from.region == region);
            here.map(|coal| coal.mg_ce.0 as f64 / 1e6)
        }
        "ncv" if code == "TCE" => Some(set.kj_per_kgce.to_f64()),
        "ncv" => set.heat_values.iter().find(|value| *value.code == *code_here(kind, code)).map(|value| value.mj.to_f64() * 1e3),
        "fuel" => {
            let (fuel_code, part) = code.rsplit_once('_')?;
            let fuel = fuel(fuel_code)?;
            match part {
                // A gas's heat value is published in GJ per 10,000 Nm³.
                "NCV" if fuel.per == PerUnit::NormalCubicMetre => Some(fuel.heat_value_mj.to_f64() * 10.0),
                "NCV" => Some(fuel.heat_value_mj.to_f64()),
                "CC" => Some(fuel.carbon_g_per_mj.to_f64()),
                _ => Some(fuel.oxidation.to_f64()),
            }
        }
        "fuel_ef" => fuel(code).map(|fuel| fuel.mg_per_unit().unwrap().0 as f64 / 1e6),
        "process" => {
            set.processes.iter().find(|process| *process.code == *code_here(kind, code)).map(|process| process.mg_per_kg.0 as f64 / 1e6)
        }
        "ch4n2o" => {
            let (group, gas) = code.rsplit_once('_')?;
            let group = if group == "NG" { "gas".to_owned() } else { group.to_lowercase() };
            let here = set.combustion.iter().find(|combustion| combustion.group.as_str() == group)?;
            Some(if gas == "CH4" { here.ch4_mg_per_mj.to_f64() } else { here.n2o_mg_per_mj.to_f64() })
        }
        "gwp" => set.gwp.iter().find(|gwp| &*gwp.gas == code && gwp.set.as_str() == year).map(|gwp| gwp.kg_co2e_per_kg.to_f64()),
        "target" | "threshold" => {
            let here = set.targets.iter().find(|target| *target.code == *code_here(kind, code) && target.from.year.to_string() == year);
            here.map(|target| target.value.to_f64())
        }
        other => panic!("a kind nobody placed: {other}"),
    }
}

/// Every line but prices, tariffs (the tariff tables' matter) and one city's sink of an unstated unit.
#[test]
fn the_library_holds_every_value_of_the_published_table() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/factors.csv");
    let Ok(mut table) = csv::Reader::from_path(&path) else {
        eprintln!("skipped: ../shared/data/factors.csv is missing");
        return;
    };
    let set = china();
    let (mut held, mut wrong) = (0, Vec::new());
    for line in table.records() {
        let line = line.unwrap();
        let [kind, code, region, year, value] = [0, 1, 4, 5, 6].map(|column| &line[column]);
        if ["price", "tariff", "sink"].contains(&kind) {
            continue;
        }
        let published: f64 = value.parse().unwrap();
        // A computed factor is published with four decimals; everything else is the same number.
        let tolerance = if kind == "fuel_ef" { 0.000_051 } else { 1e-12 * published.abs() };
        match value_here(&set, [kind, code, region, year]) {
            Some(here) if (here - published).abs() <= tolerance => held += 1,
            here => wrong.push(format!("{kind} {code} {region} {year}: {published} published, {here:?} here")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(held >= 300, "only {held} values were compared");
}

#[test]
fn every_value_has_a_validity_a_source_and_a_confidence() {
    let set = china();
    let mut all: Vec<&Provenance> = set.grid.iter().map(|value| &value.from).collect();
    all.extend(set.heat.iter().map(|value| &value.from));
    all.extend(set.fuels.iter().map(|value| &value.from));
    all.extend(set.coal.iter().map(|value| &value.from));
    all.extend(set.gwp.iter().map(|value| &value.from));
    all.extend(set.processes.iter().map(|value| &value.from));
    all.extend(set.targets.iter().map(|value| &value.from));
    let mut ids: Vec<&str> = all.iter().map(|from| &*from.id).collect();
    ids.sort_unstable();
    let twice: Vec<_> = ids.windows(2).filter(|pair| pair[0] == pair[1]).collect();
    assert!(twice.is_empty(), "versions with the same name: {twice:?}");
    for from in all {
        assert!(!from.source.is_empty() && from.valid_to.is_none_or(|to| from.valid_from < to), "{from:?}");
    }
    let grid = set.grid.iter().find(|factor| &*factor.from.id == "cn/grid-average/CN-SD/2023").unwrap();
    let day = jiff::civil::date;
    assert_eq!((grid.from.valid_from, grid.from.valid_to, &*grid.from.recorded), (day(2023, 1, 1), Some(day(2024, 1, 1)), "2025-12-31"));
}
