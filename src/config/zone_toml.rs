//! `zone.toml`: names, place, time, supplies, and which factor set holds.

use jiff::tz::TimeZone;

use super::fault::{Fault, ID_REMEDY, ID_WANTED, is_id};
use super::toml_table::{Cell, Table, TomlFile};
use crate::domain::decimal::Decimal;
use crate::domain::substances::GwpSet;
use crate::domain::units::{MINUTE_MS, Millis};
use crate::domain::zone::{ClockMode, GasSupply, Profile, SteamSupply};

const INTERVAL_MINUTES: [i64; 6] = [5, 10, 15, 20, 30, 60];
const DEFAULT_INTERVAL_MINUTES: i64 = 15;
const DEFAULT_HISTORY_INTERVAL_MINUTES: i64 = 60;
/// A cubic metre traded at 20 °C in normal cubic metres (0 °C): 273.15 / 293.15.
const DEFAULT_NM3_PER_M3: &str = "0.9318";
pub const DEFAULT_FACTORS: &str = "cn";

/// What could be read.
pub struct ZoneToml {
    pub profile: Option<Profile>,
    /// Even where other keys are faults, so that `meters.csv` can be checked against it.
    pub id: Option<String>,
    pub factors: SetRef,
    /// None: costs are not known.
    pub tariff: Option<SetRef>,
    /// To point at where another file shows a key to be wrong.
    pub region_line: usize,
    pub zone_line: usize,
}

/// A built-in set, or the path of a file.
pub struct SetRef {
    pub name: String,
    pub line: usize,
}

#[must_use]
pub fn read(text: &str) -> (ZoneToml, Vec<Fault>) {
    let (mut file, mut root) = TomlFile::parse("zone.toml", text);
    let gas = file.optional(&mut root, "gas").and_then(|cell| file.table(cell));
    let gas = read_gas(&mut file, gas);
    let steam = file.optional(&mut root, "steam").and_then(|cell| file.table(cell)).and_then(|table| read_steam(&mut file, table));
    let mut read = ZoneToml {
        profile: None,
        id: None,
        factors: SetRef { name: DEFAULT_FACTORS.to_owned(), line: 1 },
        tariff: None,
        region_line: 1,
        zone_line: 1,
    };
    if let Some(table) = file.needed(&mut root, "zone").and_then(|cell| file.table(cell)) {
        read_zone(&mut file, table, gas, steam, &mut read);
    }
    file.no_more(root);
    (read, file.faults)
}

fn read_zone(file: &mut TomlFile, mut zone: Table<'_>, gas: Option<GasSupply>, steam: Option<SteamSupply>, read: &mut ZoneToml) {
    read.zone_line = zone.line;
    read.id = file.needed(&mut zone, "id").and_then(|cell| id(file, &cell));
    let name_en = file.needed(&mut zone, "name_en").and_then(|cell| file.text(&cell));
    let name_zh = file.needed(&mut zone, "name_zh").and_then(|cell| file.text(&cell));
    let time_zone = file.needed(&mut zone, "time_zone").and_then(|cell| time_zone(file, &cell));
    let region = file.needed(&mut zone, "region").and_then(|cell| {
        read.region_line = cell.line;
        file.text(&cell)
    });
    let latitude = file.needed(&mut zone, "latitude").and_then(|cell| file.float(&cell, -90.0, 90.0));
    let longitude = file.needed(&mut zone, "longitude").and_then(|cell| file.float(&cell, -180.0, 180.0));
    let clock = file.optional(&mut zone, "clock").map_or(Some(ClockMode::Wall), |cell| {
        file.one_of(&cell, &[ClockMode::Wall, ClockMode::Feed], |mode| match mode {
            ClockMode::Wall => "wall",
            ClockMode::Feed => "feed",
        })
    });
    let interval_ms = minutes(file, &mut zone, "interval_minutes", DEFAULT_INTERVAL_MINUTES);
    let history_interval_ms = minutes(file, &mut zone, "history_interval_minutes", DEFAULT_HISTORY_INTERVAL_MINUTES);
    let live_from = file.optional(&mut zone, "live_from").map_or(Some(None), |cell| moment(file, &cell).map(Some));
    let gwp = file.optional(&mut zone, "gwp").map_or(Some(GwpSet::Ar5), |cell| file.one_of(&cell, GwpSet::ALL, GwpSet::as_str));
    if let Some(cell) = file.optional(&mut zone, "factors") {
        read.factors.line = cell.line;
        if let Some(name) = file.text(&cell) {
            read.factors.name = name;
        }
    }
    if let Some(cell) = file.optional(&mut zone, "tariff") {
        read.tariff = file.text(&cell).map(|name| SetRef { name, line: cell.line });
    }
    file.no_more(zone);
    read.profile = (|| {
        Some(Profile {
            id: read.id.clone()?.into(),
            name_en: name_en?.into(),
            name_zh: name_zh?.into(),
            time_zone: time_zone?,
            region: region?.into(),
            latitude: latitude?,
            longitude: longitude?,
            clock: clock?,
            interval_ms: interval_ms?,
            history_interval_ms: history_interval_ms?,
            live_from: live_from?,
            gas: gas?,
            steam,
            gwp: gwp?,
        })
    })();
}

fn id(file: &mut TomlFile, cell: &Cell<'_>) -> Option<String> {
    let text = file.text(cell)?;
    if is_id(&text) { Some(text) } else { file.refuse(cell, ID_WANTED, ID_REMEDY) }
}

fn time_zone(file: &mut TomlFile, cell: &Cell<'_>) -> Option<TimeZone> {
    let name = file.text(cell)?;
    TimeZone::get(&name).ok().or_else(|| file.refuse(cell, "an iana time zone this system knows", "correct it, or install tzdata"))
}

fn moment(file: &mut TomlFile, cell: &Cell<'_>) -> Option<Millis> {
    let text = file.text(cell)?;
    Millis::from_rfc3339(&text).or_else(|| file.refuse(cell, "rfc 3339 with an offset", "write it like 2026-01-01T00:00:00+08:00"))
}

fn minutes(file: &mut TomlFile, zone: &mut Table<'_>, key: &str, default: i64) -> Option<i64> {
    let Some(cell) = file.optional(zone, key) else { return Some(default * MINUTE_MS) };
    let minutes = file.integer(&cell, 1, 60)?;
    if INTERVAL_MINUTES.contains(&minutes) {
        Some(minutes * MINUTE_MS)
    } else {
        file.refuse(&cell, "5, 10, 15, 20, 30 or 60", "choose one of them")
    }
}

fn positive(file: &mut TomlFile, cell: &Cell<'_>) -> Option<Decimal> {
    let decimal = file.decimal(cell)?;
    if decimal.is_zero() { file.refuse(cell, "a number above 0", "correct it") } else { Some(decimal) }
}

fn read_gas(file: &mut TomlFile, table: Option<Table<'_>>) -> Option<GasSupply> {
    let default_ratio = Some(Decimal::parse(DEFAULT_NM3_PER_M3).expect("the default is a decimal"));
    let Some(mut table) = table else {
        return Some(GasSupply { heat_value_mj_per_nm3: None, nm3_per_m3: default_ratio? });
    };
    let heat_value = file.optional(&mut table, "heat_value_mj_per_nm3").map_or(Some(None), |cell| positive(file, &cell).map(Some));
    let ratio = file.optional(&mut table, "nm3_per_m3").map_or(default_ratio, |cell| positive(file, &cell));
    file.no_more(table);
    Some(GasSupply { heat_value_mj_per_nm3: heat_value?, nm3_per_m3: ratio? })
}

fn read_steam(file: &mut TomlFile, mut table: Table<'_>) -> Option<SteamSupply> {
    let kj_per_kg = file.needed(&mut table, "kj_per_kg").and_then(|cell| positive(file, &cell));
    file.no_more(table);
    Some(SteamSupply { kj_per_kg: kj_per_kg? })
}
