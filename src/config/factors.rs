//! Factor sets: the built-in one (`config/factors/*.toml`) and a zone's own, both in the same format.

use std::path::Path;

use jiff::civil::Date;

use super::factor_lists;
use super::fault::Fault;
use super::named_set::{self, keep};
use super::toml_table::{Cell, Table, TomlFile};
use super::zone_toml::SetRef;
use crate::domain::decimal::Decimal;
use crate::domain::factors::{CoalEquivalent, Confidence, FactorSet, Fuel, GridFactor, GridMethod, HeatFactor, PerUnit, Provenance};
use crate::domain::substances::CombustionGroup;
use crate::domain::units::{MgCePerUnit, MgPerUnit};

/// Built-in sets by name, each with the files it is made of; the first has the set's own keys.
const BUILT_IN: [(&str, &[(&str, &str)]); 1] = [(
    "cn",
    &[
        ("cn.toml", include_str!("../../config/factors/cn.toml")),
        ("cn-fuels.toml", include_str!("../../config/factors/cn-fuels.toml")),
        ("cn-coal.toml", include_str!("../../config/factors/cn-coal.toml")),
        ("cn-targets.toml", include_str!("../../config/factors/cn-targets.toml")),
        ("gwp.toml", include_str!("../../config/factors/gwp.toml")),
    ],
)];
const MG_PER_KG: i64 = 1_000_000;

/// The set a zone names: a built-in one, or a file beside `zone.toml`.
pub fn find(folder: &Path, wanted: &SetRef, faults: &mut Vec<Fault>) -> Option<FactorSet> {
    if let Some((_, files)) = BUILT_IN.iter().find(|(name, _)| *name == wanted.name) {
        return keep(read(files), faults);
    }
    let text = named_set::file(folder, wanted, "zone.factors", &BUILT_IN.map(|(name, _)| name), faults)?;
    keep(read(&[(&wanted.name, &text)]), faults)
}

/// The set that the files (name, text) make together, complete if there are no faults.
#[must_use]
pub fn read(files: &[(&str, &str)]) -> (Option<FactorSet>, Vec<Fault>) {
    let mut faults = Vec::new();
    let mut set: Option<FactorSet> = None;
    for (name, text) in files {
        let (mut file, mut root) = TomlFile::parse(name, text);
        let mut at_work = set.take().unwrap_or_else(|| head(&mut file, &mut root));
        read_tables(&mut file, &mut root, &mut at_work);
        file.no_more(root);
        faults.append(&mut file.faults);
        set = Some(at_work);
    }
    (set.filter(|_| faults.is_empty()), faults)
}

/// The set's own keys, with stand-ins for what is a fault.
fn head(file: &mut TomlFile, root: &mut Table<'_>) -> FactorSet {
    let id = file.needed(root, "id").and_then(|cell| file.text(&cell));
    let kj_per_kgce = file.needed(root, "kj_per_kgce").and_then(|cell| match file.decimal(&cell)? {
        zero if zero.is_zero() => file.refuse(&cell, "a number above 0", "correct it"),
        kj => Some(kj),
    });
    FactorSet {
        id: id.unwrap_or_default().into(),
        grid: Vec::new(),
        heat: Vec::new(),
        fuels: Vec::new(),
        coal: Vec::new(),
        combustion: Vec::new(),
        gwp: Vec::new(),
        processes: Vec::new(),
        heat_values: Vec::new(),
        targets: Vec::new(),
        kj_per_kgce: kj_per_kgce.unwrap_or(Decimal::from(1)),
    }
}

fn read_tables(file: &mut TomlFile, root: &mut Table<'_>, set: &mut FactorSet) {
    for table in tables(file, root, "grid") {
        read_grid(file, table, set);
    }
    for table in tables(file, root, "heat") {
        set.heat.extend(read_heat(file, table, &set.id));
    }
    for table in tables(file, root, "fuel") {
        set.fuels.extend(read_fuel(file, table, &set.id));
    }
    for table in tables(file, root, "coal") {
        read_coal(file, table, set);
    }
    factor_lists::read(file, root, set);
}

pub(super) fn tables<'t>(file: &mut TomlFile, root: &mut Table<'t>, key: &str) -> Vec<Table<'t>> {
    let cells = file.optional(root, key).and_then(|cell| file.array(cell)).unwrap_or_default();
    cells.into_iter().filter_map(|cell| file.table(cell)).collect()
}

/// What all values of a table share.
pub(super) struct Shared {
    year: i16,
    valid_from: Date,
    valid_to: Option<Date>,
    recorded: String,
    source: String,
    confidence: Confidence,
}

impl Shared {
    pub(super) fn read(file: &mut TomlFile, table: &mut Table<'_>) -> Option<Self> {
        let year = file.needed(table, "year").and_then(|cell| file.integer(&cell, 1990, 2100));
        let valid_from = file.optional(table, "valid_from").map_or(Some(None), |cell| day(file, &cell).map(Some));
        let valid_to = file.optional(table, "valid_to").map_or(Some(None), |cell| day(file, &cell).map(Some));
        let recorded = file.needed(table, "recorded").and_then(|cell| {
            let text = file.text(&cell)?;
            if is_day_month_or_year(&text) { Some(text) } else { file.refuse(&cell, "YYYY, YYYY-MM or YYYY-MM-DD", "correct it") }
        });
        let source = file.needed(table, "source").and_then(|cell| file.text(&cell));
        let confidence = file.needed(table, "confidence").and_then(|cell| file.one_of(&cell, Confidence::ALL, Confidence::as_str));
        let year = i16::try_from(year?).ok()?;
        let valid_from = valid_from?.unwrap_or_else(|| jiff::civil::date(year, 1, 1));
        Some(Self { year, valid_from, valid_to: valid_to?, recorded: recorded?, source: source?, confidence: confidence? })
    }

    pub(super) fn provenance(&self, set: &str, what: &str, region: &str) -> Provenance {
        Provenance {
            id: format!("{set}/{what}/{region}/{}", self.year).into(),
            region: region.into(),
            year: self.year,
            valid_from: self.valid_from,
            valid_to: self.valid_to,
            recorded: self.recorded.as_str().into(),
            source: self.source.as_str().into(),
            confidence: self.confidence,
        }
    }
}

fn day(file: &mut TomlFile, cell: &Cell<'_>) -> Option<Date> {
    let text = file.text(cell)?;
    let date = Some(&text).filter(|text| text.len() == 10).and_then(|text| text.parse().ok());
    date.or_else(|| file.refuse(cell, "YYYY-MM-DD", "correct it"))
}

fn is_day_month_or_year(text: &str) -> bool {
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    matches!(shape.as_str(), "0000" | "0000-00" | "0000-00-00")
}

/// One announcement: methods as sub-tables, in each the kg CO2 per kWh by region.
fn read_grid(file: &mut TomlFile, mut table: Table<'_>, set: &mut FactorSet) {
    let mut shared = Shared::read(file, &mut table);
    if let Some(shared) = &mut shared {
        // A grid factor describes its calendar year; a later year is a fallback.
        let next = shared.year.checked_add(1).and_then(|next| Date::new(next, 1, 1).ok());
        shared.valid_to = shared.valid_to.or(next);
    }
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
    let combustion =
        file.optional(&mut table, "combustion").and_then(|cell| file.one_of(&cell, CombustionGroup::ALL, CombustionGroup::as_str));
    file.no_more(table);
    let code = code?;
    Some(Fuel {
        per: per?,
        heat_value_mj: heat_value_mj?,
        carbon_g_per_mj: carbon_g_per_mj?,
        oxidation: oxidation?,
        combustion,
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
pub(super) fn millionths(kg: Decimal) -> Option<i64> {
    kg.times(Decimal::from(MG_PER_KG)).and_then(Decimal::rounded).ok()
}

#[cfg(test)]
mod tests;
