//! Factor sets: the built-in one and a zone's own, both in the format of `config/factors/cn.toml`.

use std::path::Path;

use super::fault::{Fault, joined};
use super::source_text;
use super::toml_table::{Table, TomlFile};
use super::zone_toml::FactorsRef;
use crate::domain::decimal::Decimal;
use crate::domain::factors::{CoalEquivalent, Confidence, FactorSet, Fuel, GridFactor, GridMethod, HeatFactor, PerUnit, Provenance};
use crate::domain::units::{MgCePerUnit, MgPerUnit};

const BUILT_IN: [(&str, &str); 1] = [("cn", include_str!("../../config/factors/cn.toml"))];
const MG_PER_KG: i64 = 1_000_000;

/// The set a zone names: a built-in one, or a file beside `zone.toml`.
pub fn find(folder: &Path, wanted: &FactorsRef, faults: &mut Vec<Fault>) -> Option<FactorSet> {
    if let Some((name, text)) = BUILT_IN.iter().find(|(name, _)| *name == wanted.name) {
        return keep(read(&format!("{name}.toml"), text), faults);
    }
    let unknown = |seen: String| Fault {
        file: "zone.toml".to_owned(),
        line: Some(wanted.line),
        key: "zone.factors".to_owned(),
        seen,
        wanted: format!("{} or the path of a .toml file", joined(BUILT_IN.map(|(name, _)| name))),
        remedy: "correct it".to_owned(),
    };
    let is_file = Path::new(&wanted.name).extension().is_some_and(|extension| extension == "toml");
    if !is_file {
        faults.push(unknown(format!("{:?}", wanted.name)));
        return None;
    }
    match source_text::read(folder, &wanted.name) {
        Ok(Some(text)) => keep(read(&wanted.name, &text), faults),
        Ok(None) => {
            faults.push(unknown(format!("no file {:?}", wanted.name)));
            None
        }
        Err(fault) => {
            faults.push(*fault);
            None
        }
    }
}

fn keep((set, mut found): (Option<FactorSet>, Vec<Fault>), faults: &mut Vec<Fault>) -> Option<FactorSet> {
    faults.append(&mut found);
    set
}

/// The set, complete if there are no faults.
#[must_use]
pub fn read(name: &str, text: &str) -> (Option<FactorSet>, Vec<Fault>) {
    let (mut file, mut root) = TomlFile::parse(name, text);
    let id = file.needed(&mut root, "id").and_then(|cell| file.text(&cell));
    let kj_per_kgce = file.needed(&mut root, "kj_per_kgce").and_then(|cell| file.decimal(&cell)).filter(|kj| !kj.is_zero());
    let mut set = FactorSet {
        id: id.clone().unwrap_or_default().into(),
        grid: Vec::new(),
        heat: Vec::new(),
        fuels: Vec::new(),
        coal: Vec::new(),
        kj_per_kgce: kj_per_kgce.unwrap_or(Decimal::from(1)),
    };
    for table in tables(&mut file, &mut root, "grid") {
        read_grid(&mut file, table, &mut set);
    }
    for table in tables(&mut file, &mut root, "heat") {
        set.heat.extend(read_heat(&mut file, table, &set.id));
    }
    for table in tables(&mut file, &mut root, "fuel") {
        set.fuels.extend(read_fuel(&mut file, table, &set.id));
    }
    for table in tables(&mut file, &mut root, "coal") {
        read_coal(&mut file, table, &mut set);
    }
    file.no_more(root);
    let complete = id.is_some() && kj_per_kgce.is_some() && file.faults.is_empty();
    (complete.then_some(set), file.faults)
}

fn tables<'t>(file: &mut TomlFile, root: &mut Table<'t>, key: &str) -> Vec<Table<'t>> {
    let cells = file.optional(root, key).and_then(|cell| file.array(cell)).unwrap_or_default();
    cells.into_iter().filter_map(|cell| file.table(cell)).collect()
}

/// What all values of a table share.
struct Shared {
    year: i16,
    recorded: String,
    source: String,
    confidence: Confidence,
}

impl Shared {
    fn read(file: &mut TomlFile, table: &mut Table<'_>) -> Option<Self> {
        let year = file.needed(table, "year").and_then(|cell| file.integer(&cell, 1990, 2100));
        let recorded = file.needed(table, "recorded").and_then(|cell| {
            let text = file.text(&cell)?;
            if is_day_month_or_year(&text) { Some(text) } else { file.refuse(&cell, "YYYY, YYYY-MM or YYYY-MM-DD", "correct it") }
        });
        let source = file.needed(table, "source").and_then(|cell| file.text(&cell));
        let confidence = file.needed(table, "confidence").and_then(|cell| file.one_of(&cell, Confidence::ALL, Confidence::as_str));
        Some(Self { year: i16::try_from(year?).ok()?, recorded: recorded?, source: source?, confidence: confidence? })
    }

    fn provenance(&self, set: &str, what: &str, region: &str) -> Provenance {
        Provenance {
            id: format!("{set}/{what}/{region}/{}", self.year).into(),
            region: region.into(),
            year: self.year,
            recorded: self.recorded.as_str().into(),
            source: self.source.as_str().into(),
            confidence: self.confidence,
        }
    }
}

fn is_day_month_or_year(text: &str) -> bool {
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    matches!(shape.as_str(), "0000" | "0000-00" | "0000-00-00")
}

/// One announcement: methods as sub-tables, in each the kg CO2 per kWh by region.
fn read_grid(file: &mut TomlFile, mut table: Table<'_>, set: &mut FactorSet) {
    let shared = Shared::read(file, &mut table);
    for method in GridMethod::ALL.iter().copied() {
        let values = file.optional(&mut table, &format!("{}_kg_per_kwh", method.as_str())).and_then(|cell| file.table(cell));
        let Some(mut values) = values else { continue };
        for region in values.keys() {
            let value = file.optional(&mut values, &region).and_then(|cell| file.decimal(&cell));
            if let (Some(value), Some(shared)) = (value.and_then(millionths), &shared) {
                let from = shared.provenance(&set.id, &format!("grid-{}", method.as_str()), &region);
                set.grid.push(GridFactor { method, mg_per_kwh: MgPerUnit(value), from });
            }
        }
    }
    file.no_more(table);
}

fn read_heat(file: &mut TomlFile, mut table: Table<'_>, set: &str) -> Option<HeatFactor> {
    let shared = Shared::read(file, &mut table);
    let region = file.needed(&mut table, "region").and_then(|cell| file.text(&cell));
    // t/GJ is kg/MJ.
    let value = file.needed(&mut table, "t_per_gj").and_then(|cell| file.decimal(&cell)).and_then(millionths);
    file.no_more(table);
    Some(HeatFactor { mg_per_mj: MgPerUnit(value?), from: shared?.provenance(set, "heat", &region?) })
}

fn read_fuel(file: &mut TomlFile, mut table: Table<'_>, set: &str) -> Option<Fuel> {
    let shared = Shared::read(file, &mut table);
    let region = file.needed(&mut table, "region").and_then(|cell| file.text(&cell));
    let code = file.needed(&mut table, "code").and_then(|cell| file.text(&cell));
    let per = file.needed(&mut table, "per").and_then(|cell| file.one_of(&cell, PerUnit::ALL, PerUnit::as_str));
    let heat_value_mj = file.needed(&mut table, "heat_value_mj").and_then(|cell| file.decimal(&cell));
    let carbon_g_per_mj = file.needed(&mut table, "carbon_t_per_tj").and_then(|cell| file.decimal(&cell));
    let oxidation = file.needed(&mut table, "oxidation").and_then(|cell| file.decimal(&cell));
    file.no_more(table);
    let code = code?;
    Some(Fuel {
        per: per?,
        heat_value_mj: heat_value_mj?,
        carbon_g_per_mj: carbon_g_per_mj?,
        oxidation: oxidation?,
        from: shared?.provenance(set, &format!("fuel-{code}"), &region?),
        code: code.into(),
    })
}

/// One annex of a standard: the unit they are per, and kgce by code.
fn read_coal(file: &mut TomlFile, mut table: Table<'_>, set: &mut FactorSet) {
    let shared = Shared::read(file, &mut table);
    let region = file.needed(&mut table, "region").and_then(|cell| file.text(&cell));
    let per = file.needed(&mut table, "per").and_then(|cell| file.one_of(&cell, PerUnit::ALL, PerUnit::as_str));
    if let Some(mut values) = file.needed(&mut table, "kgce").and_then(|cell| file.table(cell)) {
        for code in values.keys() {
            let value = file.optional(&mut values, &code).and_then(|cell| file.decimal(&cell)).and_then(millionths);
            if let (Some(value), Some(shared), Some(region), Some(per)) = (value, &shared, &region, per) {
                let from = shared.provenance(&set.id, &format!("coal-{code}"), region);
                set.coal.push(CoalEquivalent { code: code.into(), per, mg_ce: MgCePerUnit(value), from });
            }
        }
    }
    file.no_more(table);
}

/// kg to mg, rounded half to even.
fn millionths(kg: Decimal) -> Option<i64> {
    kg.times(Decimal::from(MG_PER_KG)).and_then(Decimal::rounded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::channel::Carrier;
    use crate::domain::factors::{Applied, CoalBasis, FactorTier, Found, MissingFactor};
    use crate::domain::zone::{ClockMode, GasSupply, Profile, SteamSupply};

    fn china() -> FactorSet {
        let (set, faults) = read("cn.toml", BUILT_IN[0].1);
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
            steam: steam.map(|kj_per_kg| SteamSupply { kj_per_kg: decimal(kj_per_kg) }),
        }
    }

    /// The figures of MEE/NBS announcements 2024 No. 12, 2024 No. 33 and 2025 No. 47.
    #[test]
    fn the_grid_factor_is_the_nearest_and_says_how_near() {
        use FactorTier::{NationLatest, RegionLatest, RegionYear};
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
            (GridMethod::Average, "CN-XX", 2021, 530_600, NationLatest),
            (GridMethod::Residual, "CN-SD", 2023, 609_600, NationLatest),
            (GridMethod::Fossil, "CN-SD", 2022, 827_300, NationLatest),
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
            assert_eq!(set.fuel(code).unwrap().mg_per_unit(), Ok(MgPerUnit(mg)), "{code}");
        }
        assert!(set.fuel("peat").is_none());
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
        use FactorTier::{Declared, NationLatest, Standard};
        let set = china();
        let normal = profile(None, "1", Some("2675.0"));
        let coal = |profile: &Profile, carrier, basis| match set.coal(profile, carrier, basis, 2026) {
            Ok(Applied::Factor(Found { factor, tier, .. })) => (factor.0, tier),
            other => panic!("{carrier:?}: {other:?}"),
        };
        assert_eq!(coal(&normal, Carrier::Electricity, Calorific), (122_900, Standard));
        assert_eq!(coal(&normal, Carrier::Electricity, Primary), (285_600, NationLatest));
        // 38.931 / 29.3076 = 1.3283585…; 38.931 × 0.9318 / 29.3076 = 1.237764…
        assert_eq!(coal(&normal, Carrier::NaturalGas, Calorific), (1_328_359, Standard));
        assert_eq!(coal(&profile(Some("38.931"), "0.9318", None), Carrier::NaturalGas, Primary), (1_237_764, Declared));
        assert_eq!(coal(&normal, Carrier::Heat, Calorific), (34_120, Standard));
        // 2.675 MJ/kg × 0.03412.
        assert_eq!(coal(&normal, Carrier::Steam, Calorific), (91_271, Declared));
        assert_eq!(coal(&normal, Carrier::Water, Calorific), (257_100, Standard));
        assert_eq!(set.coal(&normal, Carrier::Production, Calorific, 2026), Ok(Applied::NotApplicable));
    }

    #[test]
    fn a_set_tells_all_its_faults() {
        let text = "id = \"x\"\nkj_per_kgce = 29307.6\n[[grid]]\nyear = 1800\nrecorded = \"soon\"\nsource = \"s\"\nconfidence = \"sure\"\n\
                    [grid.average_kg_per_kwh]\nCN = -1\n[[fuel]]\ncode = \"f\"\n";
        let (set, faults) = read("my.toml", text);
        assert!(set.is_none());
        let lines: Vec<_> = faults.iter().map(|fault| fault.line.unwrap()).collect();
        assert!([4, 5, 7, 9, 10].iter().all(|line| lines.contains(line)), "{faults:?}");
    }
}
