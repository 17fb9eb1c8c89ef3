//! The lists of a factor set that are not per carrier: gases, combustion, processes, heat values, targets.

use super::factors::{Shared, millionths, tables};
use super::toml_table::{Table, TomlFile};
use crate::domain::decimal::Decimal;
use crate::domain::factors::{FactorSet, PerUnit};
use crate::domain::substances::{Bound, Combustion, CombustionGroup, Gwp, GwpSet, HeatValue, Process, Target};
use crate::domain::units::MgPerUnit;

pub fn read(file: &mut TomlFile, root: &mut Table<'_>, set: &mut FactorSet) {
    for table in tables(file, root, "combustion") {
        set.combustion.extend(combustion(file, table, &set.id));
    }
    for mut table in tables(file, root, "gwp") {
        let of = file.needed(&mut table, "set").and_then(|cell| file.one_of(&cell, GwpSet::ALL, GwpSet::as_str));
        each(file, table, "kg_co2e_per_kg", |shared, region, gas, kg_co2e_per_kg| {
            let Some(of) = of else { return };
            let from = shared.provenance(&set.id, &format!("gwp-{}-{gas}", of.as_str()), region);
            set.gwp.push(Gwp { set: of, gas: gas.into(), kg_co2e_per_kg, from });
        });
    }
    for table in tables(file, root, "process") {
        each(file, table, "kg_co2_per_kg", |shared, region, code, kg| {
            let from = shared.provenance(&set.id, &format!("process-{code}"), region);
            set.processes.extend(millionths(kg).map(|mg| Process { code: code.into(), mg_per_kg: MgPerUnit(mg), from }));
        });
    }
    for mut table in tables(file, root, "heat_value") {
        let per = file.needed(&mut table, "per").and_then(|cell| file.one_of(&cell, PerUnit::ALL, PerUnit::as_str));
        each(file, table, "mj", |shared, region, code, mj| {
            let from = shared.provenance(&set.id, &format!("heat-value-{code}"), region);
            set.heat_values.extend(per.map(|per| HeatValue { code: code.into(), per, mj, from }));
        });
    }
    for mut table in tables(file, root, "target") {
        let bound = file.needed(&mut table, "bound").and_then(|cell| file.one_of(&cell, Bound::ALL, Bound::as_str));
        let unit = file.needed(&mut table, "unit").and_then(|cell| file.text(&cell));
        each(file, table, "value", |shared, region, code, value| {
            let (Some(bound), Some(unit)) = (bound, &unit) else { return };
            let from = shared.provenance(&set.id, &format!("target-{code}"), region);
            set.targets.push(Target { code: code.into(), bound, unit: unit.as_str().into(), value, from });
        });
    }
}

fn combustion(file: &mut TomlFile, mut table: Table<'_>, set: &str) -> Option<Combustion> {
    let shared = Shared::read(file, &mut table);
    let region = file.needed(&mut table, "region").and_then(|cell| file.text(&cell));
    let group = file.needed(&mut table, "group").and_then(|cell| file.one_of(&cell, CombustionGroup::ALL, CombustionGroup::as_str));
    // kg/TJ is mg/MJ.
    let mut gas = |key| file.needed(&mut table, key).and_then(|cell| file.decimal(&cell));
    let (ch4, n2o) = (gas("ch4_kg_per_tj"), gas("n2o_kg_per_tj"));
    file.no_more(table);
    let group = group?;
    let from = shared?.provenance(set, &format!("combustion-{}", group.as_str()), &region?);
    Some(Combustion { group, ch4_mg_per_mj: ch4?, n2o_mg_per_mj: n2o?, from })
}

/// Values by code in the sub-table `key`, under what the whole table shares; `keep` gets what is read without a fault.
fn each(file: &mut TomlFile, mut table: Table<'_>, key: &str, mut keep: impl FnMut(&Shared, &str, &str, Decimal)) {
    let shared = Shared::read(file, &mut table);
    let region = file.needed(&mut table, "region").and_then(|cell| file.text(&cell));
    if let Some(mut values) = file.needed(&mut table, key).and_then(|cell| file.table(cell)) {
        for code in values.keys() {
            let value = file.optional(&mut values, &code).and_then(|cell| file.decimal(&cell));
            if let (Some(value), Some(shared), Some(region)) = (value, &shared, &region) {
                keep(shared, region, &code, value);
            }
        }
    }
    file.no_more(table);
}
