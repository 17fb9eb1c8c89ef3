//! `entities.geojson`: who is on the map.

use rustc_hash::FxHashMap;
use serde_json::Value;

use super::fault::{Fault, ID_REMEDY, ID_WANTED, is_id, joined, quoted};
use crate::domain::entity::{Entity, EntityIndex, EntityKind};
use crate::domain::zone::residual_id;

const FILE: &str = "entities.geojson";

/// What could be read: without faults one entity for each feature, in the file's order.
pub struct Entities {
    pub list: Vec<Entity>,
    /// Ids of all features, also of those with faults; none if the file could not be read at all.
    pub ids: Option<FxHashMap<String, EntityIndex>>,
}

#[must_use]
pub fn read(text: &str, zone_id: Option<&str>) -> (Entities, Vec<Fault>) {
    let mut faults = Vec::new();
    let nothing = Entities { list: Vec::new(), ids: None };
    let mut fault = |line, key: &str, seen: String, wanted: &str, remedy: &str| {
        faults.push(Fault {
            file: FILE.to_owned(),
            line: Some(line),
            key: key.to_owned(),
            seen,
            wanted: wanted.to_owned(),
            remedy: remedy.to_owned(),
        });
    };
    let collection: Value = match serde_json::from_str(text) {
        Ok(collection) => collection,
        Err(error) => {
            fault(error.line().max(1), "json", quoted(&error.to_string()), "valid json", "correct the line");
            return (nothing, faults);
        }
    };
    if collection["type"] != "FeatureCollection" {
        fault(1, "type", seen(&collection["type"]), "FeatureCollection", "correct it");
    }
    let Some(features) = collection["features"].as_array() else {
        fault(1, "features", seen(&collection["features"]), "an array of features", "add it");
        return (nothing, faults);
    };
    let lines = feature_lines(text);
    let readers = features.iter().enumerate().map(|(at, feature)| FeatureReader {
        feature,
        line: lines.get(at).copied().unwrap_or(1),
        faults: Vec::new(),
    });
    let mut readers: Vec<FeatureReader> = readers.collect();
    let ids = unique_ids(&mut readers, zone_id);
    let list = readers.iter_mut().filter_map(|reader| reader.entity(&ids)).collect::<Vec<_>>();
    refuse_parent_cycles(&mut readers, &list);
    faults.extend(readers.into_iter().flat_map(|reader| reader.faults));
    (Entities { list, ids: Some(ids) }, faults)
}

fn unique_ids(readers: &mut [FeatureReader], zone_id: Option<&str>) -> FxHashMap<String, EntityIndex> {
    let mut ids = FxHashMap::default();
    for (reader, index) in readers.iter_mut().zip(0..) {
        let Some(id) = reader.property("id").as_str().map(str::to_owned) else {
            reader.refuse("id", ID_WANTED, "name the feature");
            continue;
        };
        if !is_id(&id) {
            reader.refuse("id", ID_WANTED, ID_REMEDY);
        } else if zone_id.is_some_and(|zone| id == zone || id == residual_id(zone)) {
            reader.refuse("id", "another id than the zone's and its residual's", ID_REMEDY);
        }
        if ids.insert(id, EntityIndex(index)).is_some() {
            reader.refuse("id", "each id once", "rename or remove one of the features");
        }
    }
    ids
}

fn refuse_parent_cycles(readers: &mut [FeatureReader], list: &[Entity]) {
    if list.len() != readers.len() {
        return;
    }
    for (at, reader) in readers.iter_mut().enumerate() {
        // A walk longer than the list has gone in a circle; its members are those that come back to themselves.
        let mut entity = list[at].parent;
        for _ in 0..list.len() {
            match entity {
                Some(EntityIndex(index)) if index as usize == at => {
                    reader.refuse("parent", "no cycle of parents", "leave one of them without a parent");
                    break;
                }
                Some(EntityIndex(index)) => entity = list[index as usize].parent,
                None => break,
            }
        }
    }
}

struct FeatureReader<'j> {
    feature: &'j Value,
    line: usize,
    faults: Vec<Fault>,
}

impl<'j> FeatureReader<'j> {
    fn property(&self, key: &str) -> &'j Value {
        &self.feature["properties"][key]
    }

    fn refuse(&mut self, key: &str, wanted: &str, remedy: &str) {
        let seen = seen(if key == "geometry" { &self.feature["geometry"]["type"] } else { self.property(key) });
        self.faults.push(Fault {
            file: FILE.to_owned(),
            line: Some(self.line),
            key: key.to_owned(),
            seen,
            wanted: wanted.to_owned(),
            remedy: remedy.to_owned(),
        });
    }

    fn entity(&mut self, ids: &FxHashMap<String, EntityIndex>) -> Option<Entity> {
        if !is_geometry(&self.feature["geometry"]) {
            self.refuse(
                "geometry",
                "a Point, Polygon or MultiPolygon in longitude and latitude with closed rings",
                "correct its coordinates",
            );
        }
        let id = self.property("id").as_str();
        let name_en = self.text("name_en", true);
        let name_zh = self.text("name_zh", true);
        let kinds = || EntityKind::ALL.iter().copied().filter(|kind| *kind != EntityKind::Residual);
        let kind = self.property("kind").as_str().and_then(|name| kinds().find(|kind| kind.as_str() == name));
        if kind.is_none() {
            self.refuse("kind", &joined(kinds().map(EntityKind::as_str)), "choose one of them");
        }
        let parent = self.text("parent", false).and_then(|parent| {
            let found = ids.get(&*parent).copied();
            if found.is_none() {
                self.refuse("parent", "the id of another feature", "correct it");
            }
            found
        });
        let key_unit = match self.property("key_unit") {
            Value::Null => false,
            Value::Bool(flag) => *flag,
            _ => {
                self.refuse("key_unit", "true or false", "correct it");
                false
            }
        };
        Some(Entity {
            industry: self.text("industry", false),
            floor_area_m2: self.number("floor_area_m2"),
            output_cny_per_year: self.number("output_cny_per_year"),
            head_count: self.number("head_count"),
            product_unit: self.text("product_unit", false),
            id: id?.into(),
            name_en: name_en?,
            name_zh: name_zh?,
            kind: kind?,
            parent,
            key_unit,
        })
    }

    fn text(&mut self, key: &str, needed: bool) -> Option<Box<str>> {
        match self.property(key) {
            Value::String(text) if !text.trim().is_empty() => Some(text.as_str().into()),
            Value::Null if !needed => None,
            _ => {
                self.refuse(key, "a text", "add it");
                None
            }
        }
    }

    fn number(&mut self, key: &str) -> Option<f64> {
        match self.property(key) {
            Value::Null => None,
            value => {
                let number = value.as_f64().filter(|number| *number >= 0.0);
                if number.is_none() {
                    self.refuse(key, "a number of zero or more", "correct it");
                }
                number
            }
        }
    }
}

fn seen(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::String(text) => quoted(text),
        other => quoted(&other.to_string()),
    }
}

fn is_geometry(geometry: &Value) -> bool {
    let coordinates = &geometry["coordinates"];
    match geometry["type"].as_str() {
        Some("Point") => position(coordinates).is_some(),
        Some("Polygon") => is_polygon(coordinates),
        Some("MultiPolygon") => coordinates.as_array().is_some_and(|polygons| !polygons.is_empty() && polygons.iter().all(is_polygon)),
        _ => false,
    }
}

fn is_polygon(rings: &Value) -> bool {
    rings.as_array().is_some_and(|rings| !rings.is_empty() && rings.iter().all(is_ring))
}

fn is_ring(ring: &Value) -> bool {
    const RING_POSITIONS_MIN: usize = 4;
    let Some(positions) = ring.as_array() else { return false };
    positions.len() >= RING_POSITIONS_MIN
        && positions.first() == positions.last()
        && positions.iter().all(|point| position(point).is_some())
}

fn position(point: &Value) -> Option<(f64, f64)> {
    let (longitude, latitude) = (point[0].as_f64()?, point[1].as_f64()?);
    ((-180.0..=180.0).contains(&longitude) && (-90.0..=90.0).contains(&latitude)).then_some((longitude, latitude))
}

/// The line on which each element of the root's array `features` begins. The text is valid JSON.
fn feature_lines(text: &str) -> Vec<usize> {
    const FEATURE_DEPTH: usize = 3;
    let mut lines = Vec::new();
    let (mut line, mut depth, mut in_features) = (1, 0, false);
    let mut bytes = text.bytes().enumerate();
    let mut last_string = "";
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\n' => line += 1,
            b'"' => {
                let start = at + 1;
                while let Some((at, byte)) = bytes.next() {
                    match byte {
                        b'\\' => {
                            bytes.next();
                        }
                        b'"' => {
                            last_string = &text[start..at];
                            break;
                        }
                        // Any other byte of a string says nothing about the nesting.
                        _ => {}
                    }
                }
            }
            b'{' | b'[' => {
                depth += 1;
                if byte == b'[' && depth == FEATURE_DEPTH - 1 {
                    in_features = last_string == "features";
                } else if byte == b'{' && depth == FEATURE_DEPTH && in_features {
                    lines.push(line);
                }
            }
            b'}' | b']' => depth -= 1,
            // Numbers, commas and blanks neither open nor close anything.
            _ => {}
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const SQUARE: &str = r#"{"type":"Polygon","coordinates":[[[120,36],[121,36],[121,37],[120,36]]]}"#;

    fn collection(features: &[String]) -> String {
        format!("{{\"type\":\"FeatureCollection\",\n\"bbox\":[1,2,3,4],\"features\":[\n{}\n]}}", features.join(",\n"))
    }

    fn feature(properties: &str) -> String {
        format!(r#"{{"type":"Feature","geometry":{SQUARE},"properties":{{{properties}}}}}"#)
    }

    #[test]
    fn a_feature_becomes_an_entity_with_its_parent() {
        let text = collection(&[
            feature(r#""id":"E2","name_en":"hall","name_zh":"厂房 \"二\"","kind":"production_line","parent":"E1","floor_area_m2":12.5"#),
            feature(r#""id":"E1","name_en":"works","name_zh":"工厂","kind":"factory","key_unit":true"#),
        ]);
        let (entities, faults) = read(&text, Some("z"));
        assert_eq!(faults, []);
        assert_eq!(entities.list[0].parent, Some(EntityIndex(1)));
        assert_eq!(entities.list[0].floor_area_m2, Some(12.5));
        assert!(entities.list[1].key_unit);
    }

    #[test]
    fn every_fault_of_a_feature_is_on_its_line() {
        let text = collection(&[
            feature(r#""id":"E1","name_en":"works","name_zh":"工厂","kind":"castle""#),
            feature(r#""id":"E1","name_en":"","kind":"factory","parent":"nobody","head_count":-1"#),
            feature(r#""id":"z","name_en":"a","name_zh":"b","kind":"office""#),
        ]);
        let (_, faults) = read(&text, Some("z"));
        let places: Vec<_> = faults.iter().map(|fault| (fault.line, fault.key.as_str())).collect();
        let wanted = [(3, "kind"), (4, "id"), (4, "name_en"), (4, "name_zh"), (4, "parent"), (4, "head_count"), (5, "id")];
        assert_eq!(places, wanted.map(|(line, key)| (Some(line), key)));
    }

    #[test]
    fn a_cycle_of_parents_is_a_fault_of_its_members_only() {
        let entity =
            |id: &str, parent: &str| feature(&format!(r#""id":"{id}","name_en":"a","name_zh":"b","kind":"office","parent":"{parent}""#));
        let (_, faults) = read(&collection(&[entity("A", "B"), entity("B", "A"), entity("C", "A")]), None);
        assert_eq!(faults.iter().map(|fault| fault.line).collect::<Vec<_>>(), [Some(3), Some(4)]);
    }

    #[test]
    fn an_open_ring_is_no_geometry() {
        for (geometry, good) in [
            (r#"{"type":"Point","coordinates":[120.3,36.1]}"#, true),
            (r#"{"type":"Point","coordinates":[36.1,120.3]}"#, false),
            (r#"{"type":"Polygon","coordinates":[[[0,0],[1,0],[1,1],[0,1]]]}"#, false),
            (r#"{"type":"MultiPolygon","coordinates":[[[[0,0],[1,0],[1,1],[0,0]]]]}"#, true),
            (r#"{"type":"LineString","coordinates":[[0,0],[1,0]]}"#, false),
            ("null", false),
        ] {
            assert_eq!(is_geometry(&serde_json::from_str(geometry).unwrap()), good, "{geometry}");
        }
    }
}
