//! The zone folder as the fleet reads it (`docs/zone.md`). Shares the document with the collector, never code.

mod alert_rules;
mod assets;
mod calendar;
mod decimal;
mod entities;
mod fault;
mod keys;
mod meters;
mod scale;
mod settings;
mod wiring;

use std::collections::HashSet;
use std::path::Path;

pub use alert_rules::{AlertRules, Limit, Quantity, Threshold};
pub use assets::Asset;
pub use decimal::Decimal;
pub use fault::Fault;

/// What a channel carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Carrier {
    Electricity,
    NaturalGas,
    Heat,
    Steam,
    Water,
    Production,
    Weather,
}

const CARRIERS: [(&str, Carrier); 7] = [
    ("electricity", Carrier::Electricity),
    ("natural_gas", Carrier::NaturalGas),
    ("heat", Carrier::Heat),
    ("steam", Carrier::Steam),
    ("water", Carrier::Water),
    ("production", Carrier::Production),
    ("weather", Carrier::Weather),
];

/// Sign and meaning of a channel's register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Import,
    Export,
    Generation,
    Made,
    Gauge,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Entry,
    Unit,
    Equipment,
}

/// A parcel, building or asset on the map.
#[derive(Clone, Debug)]
pub struct Entity {
    pub id: String,
    pub name_en: String,
    pub name_zh: String,
    pub kind: String,
    pub industry: Option<String>,
    pub parent: Option<String>,
    pub floor_area_m2: Option<f64>,
    pub output_cny_per_year: Option<f64>,
    pub head_count: Option<f64>,
}

/// One line of `meters.csv` that stands for a real device (virtual meters are left out).
#[derive(Clone, Debug)]
pub struct Channel {
    pub meter: String,
    pub item: String,
    pub entity: String,
    pub parent: Option<String>,
    pub level: Level,
    pub boundary: bool,
    pub carrier: Carrier,
    pub direction: Direction,
    /// Ledger units (Wh, kJ, litre, gram, piece) in one of the display's units, before the multiplier; 1 for a gauge.
    pub ledger_per_unit: i64,
    /// The register's smallest step in ledger units after the multiplier; 0 for a gauge.
    pub step: i64,
    /// CT × PT.
    pub multiplier: f64,
    /// Digits after the decimal point of the display.
    pub decimals: u32,
    /// Full scale in ledger units after the multiplier; 0 for a gauge.
    pub full: i64,
    /// Largest possible flow in ledger units per hour after the multiplier; 0 for a gauge.
    pub rating_per_h: i64,
    pub serial: String,
    pub valid_from_ms: i64,
    pub gateway: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DayType {
    Workday,
    Saturday,
    /// Sunday or public holiday.
    Rest,
}

/// A zone folder, validated.
#[derive(Clone, Debug)]
pub struct Zone {
    pub id: String,
    pub folder: std::path::PathBuf,
    pub tz: jiff::tz::TimeZone,
    pub latitude: f64,
    pub longitude: f64,
    pub interval_ms: i64,
    pub history_interval_ms: i64,
    pub live_from_ms: Option<i64>,
    pub entities: Vec<Entity>,
    pub channels: Vec<Channel>,
    pub assets: Vec<Asset>,
    /// Exceptions to the day of the week.
    pub calendar: std::collections::HashMap<jiff::civil::Date, DayType>,
    /// Megajoules per metered cubic metre of natural gas.
    pub gas_mj_per_m3: f64,
    /// Kilojoules per kilogram of steam.
    pub steam_kj_per_kg: f64,
}

impl Zone {
    /// Reads the folder (`docs/zone.md`), without `fleet.toml`. Errors: every fault of every file.
    pub fn load(folder: &Path) -> Result<Zone, Vec<Fault>> {
        let (settings, mut faults) = settings::read(folder);
        let zone_id = settings.as_ref().map(|settings| settings.id.as_str());
        let (entities, entity_faults) = entities::read(folder, zone_id);
        let (lines, mut meter_faults) = meters::read(folder);
        let (calendar, calendar_faults) = calendar::read(folder);
        wiring::check(&lines, &entities, zone_id, &mut meter_faults);
        let known = alert_rules::Known {
            meters: lines.iter().map(|line| line.channel.meter.as_str()).collect(),
            entities: entities.iter().map(|entity| entity.id.as_str()).chain(zone_id).collect(),
        };
        let (_, alert_faults) = alert_rules::read(folder, &known);
        let (assets, asset_faults) = assets::read(folder, &known.entities);
        for more in [entity_faults, meter_faults, calendar_faults, alert_faults, asset_faults] {
            faults.list.extend(more.list);
        }
        let (Some(settings), true) = (settings, faults.list.is_empty()) else {
            return Err(faults.list);
        };
        let channels = lines.into_iter().filter(|line| line.formula.is_empty()).map(|line| line.channel).collect();
        Ok(Zone {
            id: settings.id,
            folder: folder.to_owned(),
            tz: settings.tz,
            latitude: settings.latitude,
            longitude: settings.longitude,
            interval_ms: settings.interval_ms,
            history_interval_ms: settings.history_interval_ms,
            live_from_ms: settings.live_from_ms,
            entities,
            channels,
            assets,
            calendar,
            gas_mj_per_m3: settings.gas_mj_per_m3,
            steam_kj_per_kg: settings.steam_kj_per_kg,
        })
    }

    /// Local civil time of an instant.
    ///
    /// # Panics
    /// Outside of the years −9999 to 9999.
    #[must_use]
    pub fn local(&self, at_ms: i64) -> jiff::civil::DateTime {
        let at = jiff::Timestamp::from_millisecond(at_ms).expect("simulated times lie within jiff's range");
        self.tz.to_datetime(at)
    }

    /// The day type of a local date.
    #[must_use]
    pub fn day_type(&self, date: jiff::civil::Date) -> DayType {
        self.calendar.get(&date).copied().unwrap_or(match date.weekday() {
            jiff::civil::Weekday::Saturday => DayType::Saturday,
            jiff::civil::Weekday::Sunday => DayType::Rest,
            _ => DayType::Workday,
        })
    }
}

/// Whether following parents from `id` leads back to it.
fn is_on_cycle<'a>(id: &str, parent_of: impl Fn(&str) -> Option<&'a str>) -> bool {
    let mut seen = HashSet::new();
    let mut above = parent_of(id);
    while let Some(parent) = above {
        if parent == id {
            return true;
        }
        if !seen.insert(parent) {
            return false;
        }
        above = parent_of(parent);
    }
    false
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::Zone;

    /// The folders of `tests/zones/<kind>`.
    fn fixtures(kind: &str) -> Vec<PathBuf> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/zones").join(kind);
        let Ok(entries) = std::fs::read_dir(folder) else {
            return Vec::new();
        };
        entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect()
    }

    #[test]
    fn every_good_zone_is_read_without_a_fault() {
        for folder in fixtures("good") {
            if let Err(faults) = Zone::load(&folder) {
                let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
                panic!("{}:\n{}", folder.display(), lines.join("\n"));
            }
        }
    }

    #[test]
    fn every_bad_zone_is_refused_with_all_of_its_faults() {
        let mut missed = Vec::new();
        for folder in fixtures("bad") {
            let expected = std::fs::read_to_string(folder.join("expected.txt")).unwrap();
            let faults = Zone::load(&folder).expect_err(&folder.display().to_string());
            let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
            for wanted in expected.lines().filter(|line| !line.trim().is_empty()) {
                if !lines.iter().any(|line| line.contains(wanted)) {
                    missed.push(format!("{}: no fault has `{wanted}`:\n{}", folder.display(), lines.join("\n")));
                }
            }
        }
        assert!(missed.is_empty(), "{}", missed.join("\n"));
    }
}
