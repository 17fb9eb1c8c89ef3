//! `entities.geojson`: parcels and buildings with their geometry checked.

use std::collections::HashMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::Entity;
use super::fault::{Faults, line_of};

const FILE: &str = "entities.geojson";
const KINDS: [&str; 17] = [
    "factory",
    "production_line",
    "biopharma",
    "office",
    "hospital",
    "school",
    "data_centre",
    "shop",
    "hotel",
    "residential",
    "ev_charging",
    "energy_station",
    "photovoltaic",
    "battery",
    "green_space",
    "public",
    "other",
];
/// A ring closes on its first position, so a triangle has four.
const RING_POSITIONS_MIN: usize = 4;

#[derive(Deserialize)]
struct Collection<'a> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(borrow)]
    features: Vec<&'a RawValue>,
}

/// The entities; the zone itself is none of them.
pub(super) fn read(folder: &Path, zone_id: Option<&str>) -> (Vec<Entity>, Faults) {
    let mut faults = Faults::new(FILE);
    let mut entities = Vec::new();
    let Some(text) = faults.read(folder, true) else {
        return (entities, faults);
    };
    let collection: Collection = match serde_json::from_str(&text) {
        Ok(collection) => collection,
        Err(error) => {
            faults.add(error.line().max(1), error.to_string(), "a GeoJSON FeatureCollection", "correct the file");
            return (entities, faults);
        }
    };
    if collection.kind != "FeatureCollection" {
        faults.add(1, format!("type `{}`", collection.kind), "`FeatureCollection`", "correct the file");
    }
    let mut lines = Vec::new();
    for raw in collection.features {
        let line = line_of(&text, raw.get().as_ptr() as usize - text.as_ptr() as usize);
        let feature: Value = serde_json::from_str(raw.get()).unwrap_or(Value::Null);
        check_geometry(&feature, line, &mut faults);
        if let Some(entity) = entity(&feature, line, &mut faults) {
            entities.push(entity);
            lines.push(line);
        }
    }
    check_ids(&entities, &lines, zone_id, &mut faults);
    check_parents(&entities, &lines, &mut faults);
    (entities, faults)
}

fn entity(feature: &Value, line: usize, faults: &mut Faults) -> Option<Entity> {
    let Some(properties) = feature.get("properties").filter(|value| value.is_object()) else {
        faults.add(line, "a feature without properties", "properties id, name_en, name_zh and kind", "add them");
        return None;
    };
    let id = needed_text(properties, "id", line, faults);
    let name_en = needed_text(properties, "name_en", line, faults);
    let name_zh = needed_text(properties, "name_zh", line, faults);
    let kind = needed_text(properties, "kind", line, faults);
    if let Some(kind) = kind.as_ref().filter(|kind| !KINDS.contains(&kind.as_str())) {
        faults.add(line, format!("kind `{kind}`"), format!("one of {}", KINDS.join(", ")), "choose one of them");
    }
    text(properties, "product_unit", line, faults);
    if properties.get("key_unit").is_some_and(|value| !value.is_boolean() && !value.is_null()) {
        faults.add(line, "`key_unit` that is no boolean", "true or false", "correct the value");
    }
    let entity = Entity {
        id: id?,
        name_en: name_en?,
        name_zh: name_zh?,
        kind: kind?,
        industry: text(properties, "industry", line, faults),
        parent: text(properties, "parent", line, faults),
        floor_area_m2: number(properties, "floor_area_m2", line, faults),
        output_cny_per_year: number(properties, "output_cny_per_year", line, faults),
        head_count: number(properties, "head_count", line, faults),
    };
    faults.check_id(line, "entity id", &entity.id).then_some(entity)
}

fn text(properties: &Value, key: &str, line: usize, faults: &mut Faults) -> Option<String> {
    match properties.get(key) {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.clone()),
        Some(other) => {
            faults.add(line, format!("`{key}` {other}"), "text", "put it in quotes");
            None
        }
    }
}

fn needed_text(properties: &Value, key: &str, line: usize, faults: &mut Faults) -> Option<String> {
    if matches!(properties.get(key), None | Some(Value::Null)) {
        faults.add(line, format!("a feature without `{key}`"), format!("`{key}`"), "add it");
    }
    text(properties, key, line, faults)
}

fn number(properties: &Value, key: &str, line: usize, faults: &mut Faults) -> Option<f64> {
    match properties.get(key) {
        None | Some(Value::Null) => None,
        Some(value) => {
            let number = value.as_f64().filter(|number| *number >= 0.0);
            if number.is_none() {
                faults.add(line, format!("`{key}` {value}"), "a number of at least 0", "correct the value");
            }
            number
        }
    }
}

fn check_geometry(feature: &Value, line: usize, faults: &mut Faults) {
    let geometry = feature.get("geometry").unwrap_or(&Value::Null);
    let kind = geometry.get("type").and_then(Value::as_str).unwrap_or("none");
    let coordinates = geometry.get("coordinates").unwrap_or(&Value::Null);
    let checked = match kind {
        "Point" => check_position(coordinates),
        "Polygon" => check_polygon(coordinates),
        "MultiPolygon" => each(coordinates, 1, check_polygon),
        _ => Err(format!("type `{kind}`")),
    };
    if let Err(seen) = checked {
        faults.add(
            line,
            format!("geometry with {seen}"),
            "a Point, Polygon or MultiPolygon in WGS 84 (longitude, latitude) with closed rings",
            "correct the geometry",
        );
    }
}

/// Checks each of at least `least` members.
fn each(list: &Value, least: usize, check: impl Fn(&Value) -> Result<(), String>) -> Result<(), String> {
    let members = list.as_array().filter(|members| members.len() >= least);
    members.ok_or("coordinates that are too few or no list")?.iter().try_for_each(check)
}

fn check_polygon(rings: &Value) -> Result<(), String> {
    each(rings, 1, check_ring)
}

fn check_ring(ring: &Value) -> Result<(), String> {
    each(ring, RING_POSITIONS_MIN, check_position)?;
    if ring.get(0) == ring.as_array().and_then(|positions| positions.last()) { Ok(()) } else { Err("a ring that is not closed".to_owned()) }
}

fn check_position(position: &Value) -> Result<(), String> {
    let at = |index| position.get(index).and_then(Value::as_f64);
    match (at(0), at(1)) {
        (Some(longitude), Some(latitude)) if longitude.abs() <= 180.0 && latitude.abs() <= 90.0 => Ok(()),
        _ => Err(format!("position {position}")),
    }
}

fn check_ids(entities: &[Entity], lines: &[usize], zone_id: Option<&str>, faults: &mut Faults) {
    let mut seen: HashMap<&str, usize> = HashMap::new();
    for (entity, &line) in entities.iter().zip(lines) {
        if zone_id == Some(&entity.id) {
            faults.add(line, format!("the id `{}` of the zone itself", entity.id), "an id of its own", "rename the entity");
        }
        if let Some(first) = seen.insert(&entity.id, line) {
            faults.add(line, format!("duplicate entity id `{}`, first in line {first}", entity.id), "each id once", "rename or remove one");
        }
    }
}

fn check_parents(entities: &[Entity], lines: &[usize], faults: &mut Faults) {
    let parents: HashMap<&str, Option<&str>> = entities.iter().map(|entity| (entity.id.as_str(), entity.parent.as_deref())).collect();
    for (entity, &line) in entities.iter().zip(lines) {
        let Some(parent) = entity.parent.as_deref() else {
            continue;
        };
        if !parents.contains_key(parent) {
            let seen = format!("entity `{}` has the unknown parent `{parent}`", entity.id);
            faults.add(line, seen, "the id of another entity", "correct the parent");
        } else if super::is_on_cycle(&entity.id, |id| parents.get(id).copied().flatten()) {
            faults.add(line, format!("entity `{}` is its own parent in a cycle", entity.id), "parents without cycles", "cut the cycle");
        }
    }
}
