//! `assets.toml`: what can be regulated. Regulation comes in a later release; until then the file is only checked.

use rustc_hash::FxHashSet;

use super::fault::{Fault, ID_REMEDY, ID_WANTED, is_id};
use super::toml_table::{Table, TomlFile};
use crate::domain::zone::Zone;

const KINDS: [&str; 6] = ["hvac", "battery", "ev_charging", "compressor", "boiler", "lighting"];

/// What is wrong with the file; entities are checked where the zone is known.
#[must_use]
pub fn faults(text: &str, zone: Option<&Zone>) -> Vec<Fault> {
    let (mut file, mut root) = TomlFile::parse("assets.toml", text);
    let assets = file.needed(&mut root, "asset").and_then(|cell| file.array(cell)).unwrap_or_default();
    let mut ids = FxHashSet::default();
    for asset in assets {
        if let Some(table) = file.table(asset) {
            read_asset(&mut file, table, zone, &mut ids);
        }
    }
    file.no_more(root);
    file.faults
}

fn read_asset<'t>(file: &mut TomlFile, mut asset: Table<'t>, zone: Option<&Zone>, ids: &mut FxHashSet<String>) {
    if let Some(cell) = file.needed(&mut asset, "id")
        && let Some(id) = file.text(&cell)
    {
        if !is_id(&id) {
            file.refuse::<()>(&cell, ID_WANTED, ID_REMEDY);
        } else if !ids.insert(id) {
            file.refuse::<()>(&cell, "each asset's id once", ID_REMEDY);
        }
    }
    if let Some(cell) = file.needed(&mut asset, "entity")
        && let Some(entity) = file.text(&cell)
        && zone.is_some_and(|zone| zone.id() != entity && zone.entity_of(&entity).is_none())
    {
        file.refuse::<()>(&cell, "an id of entities.geojson", "correct it or add the feature");
    }
    if let Some(cell) = file.needed(&mut asset, "kind") {
        file.one_of(&cell, &KINDS, |kind| kind);
    }
    file.needed(&mut asset, "unit").and_then(|cell| file.text(&cell));
    let limit = |file: &mut TomlFile, asset: &mut Table<'t>, key| {
        let cell = file.needed(asset, key)?;
        Some((file.float(&cell, f64::MIN, f64::MAX)?, cell))
    };
    let (min, max) = (limit(file, &mut asset, "min"), limit(file, &mut asset, "max"));
    if let (Some((min, cell)), Some((max, _))) = (min, max)
        && max < min
    {
        file.refuse::<()>(&cell, "at most max", "correct one of them");
    }
    file.no_more(asset);
}
