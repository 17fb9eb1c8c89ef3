//! `assets.toml`: checked only; nothing is regulated yet.

use std::collections::HashSet;
use std::path::Path;

use super::fault::Faults;
use super::keys::{self, Keys};

const FILE: &str = "assets.toml";
const KINDS: [(&str, ()); 6] = [("hvac", ()), ("battery", ()), ("ev_charging", ()), ("compressor", ()), ("boiler", ()), ("lighting", ())];

pub(super) fn check(folder: &Path, entities: &HashSet<&str>) -> Faults {
    let mut faults = Faults::new(FILE);
    let Some(text) = faults.read(folder, false) else {
        return faults;
    };
    let document = keys::parse(&text, &mut faults);
    let mut top = Keys::new(&text, FILE, document.get_ref(), 1);
    let mut ids = HashSet::new();
    for mut keys in top.tables("asset", &mut faults) {
        check_asset(&mut keys, entities, &mut ids, &mut faults);
        keys.finish(&mut faults);
    }
    top.finish(&mut faults);
    faults
}

fn check_asset(keys: &mut Keys, entities: &HashSet<&str>, ids: &mut HashSet<String>, faults: &mut Faults) {
    if let Some(id) = keys.needed_text("id", faults) {
        faults.check_id(keys.line_of("id"), "asset id", &id);
        if !ids.insert(id.clone()) {
            faults.add(keys.line_of("id"), format!("duplicate asset `{id}`"), "each id once", "rename one");
        }
    }
    if let Some(entity) = keys.needed_text("entity", faults).filter(|entity| !entities.contains(entity.as_str())) {
        faults.add(keys.line_of("entity"), format!("unknown entity `{entity}`"), "an id of entities.geojson", "correct the entity");
    }
    keys.check_present("kind", faults);
    keys.choice("kind", &KINDS, faults);
    keys.needed_text("unit", faults);
    let (min, max) = (keys.needed_number("min", faults), keys.needed_number("max", faults));
    if min.zip(max).is_some_and(|(min, max)| min > max) {
        faults.add(keys.line_of("min"), "`min` above `max`", "min not above max", "swap them");
    }
}
