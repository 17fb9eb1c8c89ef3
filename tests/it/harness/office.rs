//! An office with weather and production, played into an engine in this process.
//!
//! What it uses is written here and nowhere in the collector, so its savings are known.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use jiff::civil::{Date, date};
use nengtan::config::zone_folder;
use nengtan::domain::units::Millis;
use nengtan::engine::Engine;

/// The office's first hour: 2025-01-01T00:00+08:00.
pub const FIRST_DAY: Date = date(2025, 1, 1);
/// Later than any reading.
const WALL: Millis = Millis(1_900_000_000_000);

/// A reading of one of the three meters.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Meter {
    Load,
    Weather,
    Counter,
}

pub fn write_zone(folder: &Path) -> PathBuf {
    write_zone_with(folder, "")
}

/// With more lines in the zone's settings.
pub fn write_zone_with(folder: &Path, settings: &str) -> PathBuf {
    let zone = folder.join("zone");
    std::fs::create_dir_all(&zone).unwrap();
    let profile = "[zone]\nid = \"tiny\"\nname_en = \"Tiny zone\"\nname_zh = \"小园区\"\ntime_zone = \"Asia/Shanghai\"\nregion = \"CN-SD\"\n\
                   latitude = 36.07\nlongitude = 120.38\n";
    std::fs::write(zone.join("zone.toml"), format!("{profile}{settings}")).unwrap();
    let meters = "meter,entity,parent,level,boundary,carrier,item,direction,unit,resolution,multiplier,width_digits,rating,serial,valid_from,gateway,formula\n\
         M-LOAD,E-OFFICE,,entry,yes,electricity,active_energy_import_kwh,import,kwh,0.001,1,9,4000,S-1,2024-01-01T00:00:00+08:00,GW-1,\n\
         M-COUNT,E-OFFICE,,unit,no,production,production_t,import,t,0.001,1,9,500,S-2,2024-01-01T00:00:00+08:00,GW-1,\n\
         M-SKY,tiny,,entry,no,weather,outdoor_temperature_c,gauge,c,,1,,,S-3,2024-01-01T00:00:00+08:00,GW-1,\n";
    std::fs::write(zone.join("meters.csv"), meters).unwrap();
    let entities = r#"{"type":"FeatureCollection","features":[{"type":"Feature","geometry":{"type":"Point","coordinates":[120.2,36.2]},
        "properties":{"id":"E-OFFICE","name_en":"Office","name_zh":"办公楼","kind":"office"}}]}"#;
    std::fs::write(zone.join("entities.geojson"), entities).unwrap();
    zone
}

pub fn open(zone: &Path, data: &Path) -> Engine {
    let folder = zone_folder::load(zone).unwrap();
    Engine::open(data, folder.zone, (folder.factors, folder.tariff), folder.alert_rules, WALL).unwrap()
}

/// A number between −1 and 1 without a pattern.
fn noise(index: i64) -> f64 {
    let mixed = (index as u64).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
}

fn temperature_c(hour: i64) -> f64 {
    let (day, year) = (hour as f64 / 24.0, hour as f64 / 8766.0);
    let celsius =
        12.0 - 14.0 * (std::f64::consts::TAU * year).cos() - 4.0 * (std::f64::consts::TAU * day).cos() + 3.0 * noise(hour / 24 + 77);
    (celsius * 100.0).round() / 100.0
}

/// Kilograms made in an hour.
fn made_kg(hour: i64) -> i64 {
    let open = weekday(hour) < 5 && (8..18).contains(&(hour % 24));
    if open { 20_000 + (5_000.0 * noise(hour + 999)) as i64 } else { 0 }
}

/// 0 is Monday; 2025-01-01 was a Wednesday.
fn weekday(hour: i64) -> i64 {
    (hour / 24 + 2) % 7
}

/// Watt-hours that the office uses in an hour, counted from its first, without any measure.
pub fn unsaved_wh(hour: i64) -> i64 {
    used_wh(hour, hour)
}

/// The same in one hour's calendar, production and chance, under another one's weather.
pub fn used_wh(hour: i64, weather: i64) -> i64 {
    let open = weekday(hour) < 5 && (8..18).contains(&(hour % 24));
    let kwh = 60.0
        + if open { 80.0 } else { 0.0 }
        + 3.0 * (10.0 - temperature_c(weather)).max(0.0)
        + 4.0 * (temperature_c(weather) - 22.0).max(0.0)
        + 2.0 * made_kg(hour) as f64 / 1000.0
        + 3.0 * noise(hour + 5);
    (kwh * 1000.0) as i64
}

/// Its readings at the ends of the hours `from..to`, as telemetry messages of one reading each.
pub struct Office {
    register_wh: Vec<i64>,
    counter_kg: Vec<i64>,
}

impl Office {
    /// `hours` long; `wh` says what the meter counts in an hour.
    pub fn new(hours: i64, wh: impl Fn(i64) -> i64) -> Office {
        let running = |step: &dyn Fn(i64) -> i64| {
            let mut total = 0;
            let steps = (0..hours).map(|hour| {
                total += step(hour);
                total
            });
            std::iter::once(0).chain(steps).collect::<Vec<i64>>()
        };
        Office { register_wh: running(&wh), counter_kg: running(&made_kg) }
    }

    /// One meter's reading at the end of an hour, or at the very beginning with hour −1.
    pub fn reading(&self, meter: Meter, hour: i64) -> String {
        let at = FIRST_DAY.at(0, 0, 0, 0).to_zoned(jiff::tz::TimeZone::get("Asia/Shanghai").unwrap()).unwrap();
        let at = at.timestamp().as_millisecond() + (hour + 1) * 3_600_000;
        let thousandths = |value: i64| format!("{}.{:03}", value / 1000, value % 1000);
        let index = (hour + 1) as usize;
        let (id, item, value) = match meter {
            Meter::Load => ("M-LOAD", "active_energy_import_kwh", thousandths(self.register_wh[index])),
            Meter::Weather => ("M-SKY", "outdoor_temperature_c", temperature_c(hour.max(0)).to_string()),
            Meter::Counter => ("M-COUNT", "production_t", thousandths(self.counter_kg[index])),
        };
        format!(r#"{{"meter":"{id}","at":{at},"seq":{},"values":{{"{item}":{value}}}}}"#, hour + 2)
    }
}

/// Plays readings in this order, a commit after each day's worth.
pub fn play(engine: &mut Engine, readings: &[String]) {
    for day in readings.chunks(72) {
        let mut payload = String::from("[");
        for (index, reading) in day.iter().enumerate() {
            write!(payload, "{}{reading}", if index > 0 { "," } else { "" }).unwrap();
        }
        payload.push(']');
        engine.apply("nengtan/tiny/gw/GW-1/telemetry", payload.as_bytes(), WALL).unwrap();
        engine.commit().unwrap();
    }
    engine.settle().unwrap();
}

/// All readings of the hours, in order of time.
pub fn in_order(office: &Office, hours: std::ops::Range<i64>) -> Vec<String> {
    let meters = [Meter::Load, Meter::Weather, Meter::Counter];
    hours.flat_map(|hour| meters.map(|meter| office.reading(meter, hour))).collect()
}

/// Litres of water that the office uses in an hour without any measure: no weather in it and no chance.
pub fn unsaved_litres(hour: i64) -> i64 {
    if weekday(hour) < 5 && (8..18).contains(&(hour % 24)) { 900 } else { 120 }
}

/// Gives the office a water meter as well.
pub fn add_water_meter(zone: &Path) {
    let file = zone.join("meters.csv");
    let meters = std::fs::read_to_string(&file).unwrap();
    let water = "M-WATER,E-OFFICE,,entry,yes,water,volume_m3,import,m3,0.001,1,9,50,S-4,2024-01-01T00:00:00+08:00,GW-1,\n";
    std::fs::write(file, meters + water).unwrap();
}

/// All readings of the hours with those of the water meter, which counts litres as the other one's load counts watt-hours.
pub fn in_order_with_water(office: &Office, water: &Office, hours: std::ops::Range<i64>) -> Vec<String> {
    let litres = |hour| water.reading(Meter::Load, hour).replace("M-LOAD", "M-WATER").replace("active_energy_import_kwh", "volume_m3");
    hours.flat_map(|hour| in_order(office, hour..hour + 1).into_iter().chain([litres(hour)])).collect()
}
