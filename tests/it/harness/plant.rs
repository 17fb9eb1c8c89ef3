//! Zone folders of a few entities and meters, written line by line, and an engine in this process that reads them.

use std::path::PathBuf;

use nengtan::config::zone_folder;
use nengtan::domain::units::Millis;
use nengtan::engine::Engine;

use super::zone::{ZONE, telemetry};

/// Later than any reading.
pub const WALL: Millis = Millis(1_790_000_000_000);

const HEADER: &str = "meter,entity,parent,level,boundary,carrier,item,direction,unit,resolution,multiplier,width_digits,rating,serial,valid_from,gateway,formula\n";

pub struct Plant {
    folder: tempfile::TempDir,
    seq: u32,
}

impl Plant {
    /// `settings` are lines of `[zone]` and further tables. An entity is `id` or `id:kind:parent`; a meter is `id entity parent level boundary carrier
    /// item direction unit resolution rating`, with `-` for what is empty.
    pub fn new(settings: &str, entities: &[&str], meters: &[&str]) -> Plant {
        let plant = Plant { folder: super::folder(), seq: 0 };
        std::fs::create_dir_all(plant.zone()).unwrap();
        let head = format!(
            "[zone]\nid = \"{ZONE}\"\nname_en = \"Tiny zone\"\nname_zh = \"小园区\"\ntime_zone = \"Asia/Shanghai\"\nregion = \"CN-SD\"\nlatitude = 36.07\nlongitude = 120.38\n"
        );
        plant.write("zone.toml", &(head + settings));
        let features: Vec<String> = entities.iter().map(|entity| feature(entity)).collect();
        plant.write("entities.geojson", &format!(r#"{{"type":"FeatureCollection","features":[{}]}}"#, features.join(",")));
        let lines: String = meters.iter().map(|meter| line(meter)).collect();
        plant.write("meters.csv", &(HEADER.to_owned() + &lines));
        plant
    }

    pub fn zone(&self) -> PathBuf {
        self.folder.path().join("zone")
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Writes a file of the zone folder.
    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.zone().join(name), text).unwrap();
    }

    pub fn open(&self) -> Engine {
        let read = zone_folder::load(&self.zone()).unwrap_or_else(|faults| panic!("{faults:?}"));
        Engine::open(&self.data(), read.zone, (read.factors, read.tariff), read.alert_rules, WALL).unwrap()
    }

    /// Readings `(meter, item, time, value)`, the value as it stands in the JSON; all have to be taken.
    pub fn read(&mut self, engine: &mut Engine, readings: &[(&str, &str, &str, f64)]) {
        for (meter, item, at, value) in readings {
            self.seq += 1;
            let payload = format!(r#"{{"meter":"{meter}","at":"{at}","seq":{},"values":{{"{item}":{value}}}}}"#, self.seq);
            engine.apply(&telemetry("GW-1"), payload.as_bytes(), WALL).unwrap();
        }
        let effects = engine.commit().unwrap();
        assert!(effects.rejections.is_empty(), "{:?}", effects.rejections);
    }
}

fn feature(entity: &str) -> String {
    let mut parts = entity.split(':');
    let (id, kind) = (parts.next().unwrap(), parts.next().unwrap_or("factory"));
    let parent = parts.next().map(|parent| format!(r#","parent":"{parent}""#)).unwrap_or_default();
    format!(
        r#"{{"type":"Feature","geometry":{{"type":"Point","coordinates":[120.2,36.2]}},"properties":{{"id":"{id}","name_en":"{id}","name_zh":"{id}号","kind":"{kind}"{parent}}}}}"#
    )
}

fn line(meter: &str) -> String {
    let fields: Vec<&str> = meter.split_whitespace().map(|field| if field == "-" { "" } else { field }).collect();
    let [id, entity, parent, level, boundary, carrier, item, direction, unit, resolution, rating] = fields[..] else { panic!("{meter}") };
    format!(
        "{id},{entity},{parent},{level},{boundary},{carrier},{item},{direction},{unit},{resolution},1,9,{rating},S-{id},2025-01-01T00:00:00+08:00,GW-1,\n"
    )
}
