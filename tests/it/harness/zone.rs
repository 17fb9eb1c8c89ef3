//! Tiny zone folders, written by hand.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Id of every tiny zone.
pub const ZONE: &str = "tiny";

/// One electricity meter of an entity of its own: meter `M-x` measures entity `E-x`.
#[derive(Clone, Copy)]
pub struct Meter {
    pub name: &'static str,
    pub rating_kw: u32,
    pub width: u32,
    pub gateway: &'static str,
}

/// 400 kW, six digits, as the table in domain.md.
pub const fn meter(name: &'static str) -> Meter {
    Meter { name, rating_kw: 400, width: 6, gateway: "GW-1" }
}

/// Writes a zone on a fed clock into `folder/zone`.
pub fn write(folder: &Path, meters: &[Meter], alerts: &str) -> PathBuf {
    let zone = folder.join("zone");
    std::fs::create_dir_all(&zone).unwrap();
    let head = format!(
        "[zone]\nid = \"{ZONE}\"\nname_en = \"Tiny zone\"\nname_zh = \"小园区\"\ntime_zone = \"Asia/Shanghai\"\nregion = \"CN-SD\"\n\
         latitude = 36.07\nlongitude = 120.38\nclock = \"feed\"\n"
    );
    std::fs::write(zone.join("zone.toml"), head).unwrap();
    let mut csv = "meter,entity,parent,level,boundary,carrier,item,direction,unit,resolution,multiplier,width_digits,rating,serial,valid_from,gateway,formula\n".to_owned();
    let mut features = Vec::new();
    for Meter { name, rating_kw, width, gateway } in meters {
        writeln!(
            csv,
            "M-{name},E-{name},,entry,yes,electricity,active_energy_import_kwh,import,kwh,0.01,1,{width},{rating_kw},S-{name},2026-01-01T00:00:00+08:00,{gateway},"
        )
        .unwrap();
        features.push(format!(
            r#"{{"type":"Feature","geometry":{{"type":"Point","coordinates":[120.2,36.2]}},"properties":{{"id":"E-{name}","name_en":"Works {name}","name_zh":"工厂{name}","kind":"factory"}}}}"#
        ));
    }
    std::fs::write(zone.join("meters.csv"), csv).unwrap();
    let collection = format!(r#"{{"type":"FeatureCollection","features":[{}]}}"#, features.join(",\n"));
    std::fs::write(zone.join("entities.geojson"), collection).unwrap();
    if !alerts.is_empty() {
        std::fs::write(zone.join("alerts.toml"), alerts).unwrap();
    }
    zone
}

pub fn telemetry(gateway: &str) -> String {
    format!("nengtan/{ZONE}/gw/{gateway}/telemetry")
}

/// A moment of the tests' day, minutes after 2026-01-05 00:00 +08:00.
pub fn at(minute: u32) -> String {
    format!("2026-01-{:02}T{:02}:{:02}:00+08:00", 5 + minute / 1440, minute / 60 % 24, minute % 60)
}

/// One reading; `kwh` is the number as it stands in the JSON.
pub fn reading(meter: &str, minute: u32, seq: u32, kwh: impl std::fmt::Display) -> String {
    format!(r#"{{"meter":"M-{meter}","at":"{}","seq":{seq},"values":{{"active_energy_import_kwh":{kwh}}}}}"#, at(minute))
}
