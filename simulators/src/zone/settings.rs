//! `zone.toml`.

use std::path::Path;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::fault::Faults;
use super::keys::{self, Keys};

pub(super) struct Settings {
    pub id: String,
    pub tz: TimeZone,
    pub latitude: f64,
    pub longitude: f64,
    pub interval_ms: i64,
    pub history_interval_ms: i64,
    pub live_from_ms: Option<i64>,
    pub gas_mj_per_m3: f64,
    pub steam_kj_per_kg: f64,
}

const FILE: &str = "zone.toml";
const INTERVALS_MINUTES: [i64; 6] = [5, 10, 15, 20, 30, 60];
const MINUTE_MS: i64 = 60_000;
/// Declared heat value of natural gas and its volume from 20 to 0 °C where the folder declares none (by default of `GB/T 2589-2020`).
const GAS_MJ_PER_NM3: f64 = 38.931;
const GAS_NM3_PER_M3: f64 = 0.9318;
/// Saturated steam of 8 bar less feed water of 20 °C, rounded.
const STEAM_KJ_PER_KG: f64 = 2675.0;

/// Everything that could be read; a setting that could not be is in the faults.
pub(super) fn read(folder: &Path) -> (Option<Settings>, Faults) {
    let mut faults = Faults::new(FILE);
    let Some(text) = faults.read(folder, true) else {
        return (None, faults);
    };
    let document = keys::parse(&text, &mut faults);
    let mut top = Keys::new(&text, FILE, document.get_ref(), 1);
    top.check_present("zone", &mut faults);
    let gas = gas(&mut top, &mut faults);
    let steam = steam(&mut top, &mut faults);
    let settings = top.table("zone", &mut faults).and_then(|keys| zone(keys, folder, gas, steam, &mut faults));
    top.finish(&mut faults);
    (settings, faults)
}

fn zone(mut keys: Keys, folder: &Path, gas_mj_per_m3: f64, steam_kj_per_kg: f64, faults: &mut Faults) -> Option<Settings> {
    let id = keys.needed_text("id", faults).filter(|id| faults.check_id(keys.line_of("id"), "zone id", id));
    for name in ["name_en", "name_zh", "region"] {
        keys.needed_text(name, faults);
    }
    let tz = time_zone(&mut keys, faults);
    let latitude = degrees(&mut keys, "latitude", 90.0, faults);
    let longitude = degrees(&mut keys, "longitude", 180.0, faults);
    keys.choice("clock", &[("wall", ()), ("feed", ())], faults);
    let interval = interval(&mut keys, "interval_minutes", 15, faults);
    let history = interval_of_history(&mut keys, interval, faults);
    let live_from_ms = live_from(&mut keys, interval, faults);
    keys.choice("gwp", &[("AR5", ()), ("AR6", ())], faults);
    set(&mut keys, "factors", "cn", folder, faults);
    set(&mut keys, "tariff", "cn-sd-industry", folder, faults);
    keys.finish(faults);
    Some(Settings {
        id: id?,
        tz: tz?,
        latitude: latitude?,
        longitude: longitude?,
        interval_ms: interval? * MINUTE_MS,
        history_interval_ms: history? * MINUTE_MS,
        live_from_ms,
        gas_mj_per_m3,
        steam_kj_per_kg,
    })
}

fn time_zone(keys: &mut Keys, faults: &mut Faults) -> Option<TimeZone> {
    let name = keys.needed_text("time_zone", faults)?;
    // Whatever the database says of an unknown name, the fault below says it with its line.
    let tz = TimeZone::get(&name).ok();
    if tz.is_none() {
        faults.add(keys.line_of("time_zone"), format!("time_zone `{name}`"), "an IANA name such as Asia/Shanghai", "correct the name");
    }
    tz
}

fn degrees(keys: &mut Keys, key: &'static str, limit: f64, faults: &mut Faults) -> Option<f64> {
    let value = keys.needed_number(key, faults)?;
    if value.abs() > limit {
        faults.add(keys.line_of(key), format!("{key} {value}"), format!("−{limit} to {limit} degrees"), "correct the value");
        return None;
    }
    Some(value)
}

fn interval(keys: &mut Keys, key: &'static str, default: i64, faults: &mut Faults) -> Option<i64> {
    let seen_before = faults.list.len();
    let minutes = keys.integer(key, faults).unwrap_or(default);
    if faults.list.len() > seen_before {
        return None;
    }
    if !INTERVALS_MINUTES.contains(&minutes) {
        faults.add(keys.line_of(key), format!("{key} {minutes}"), "5, 10, 15, 20, 30 or 60 minutes", "choose one of them");
        return None;
    }
    Some(minutes)
}

fn interval_of_history(keys: &mut Keys, interval_minutes: Option<i64>, faults: &mut Faults) -> Option<i64> {
    let history = interval(keys, "history_interval_minutes", 60, faults)?;
    if interval_minutes.is_some_and(|minutes| history % minutes != 0) {
        let seen = format!("history_interval_minutes {history}");
        faults.add(keys.line_of("history_interval_minutes"), seen, "a multiple of interval_minutes", "choose a multiple");
        return None;
    }
    Some(history)
}

fn live_from(keys: &mut Keys, interval_minutes: Option<i64>, faults: &mut Faults) -> Option<i64> {
    let text = keys.text("live_from", faults)?;
    let line = keys.line_of("live_from");
    let Ok(at) = text.parse::<Timestamp>() else {
        faults.add(line, format!("live_from `{text}`"), "a time with offset such as 2026-01-01T00:00:00+08:00", "correct the time");
        return None;
    };
    let at_ms = at.as_millisecond();
    if interval_minutes.is_some_and(|minutes| at_ms % (minutes * MINUTE_MS) != 0) {
        faults.add(line, format!("live_from `{text}`"), "a time at an interval's border", "move it to a border");
    }
    Some(at_ms)
}

/// A key that names a built-in set or a file; the fleet needs neither, and checks that the collector would find it.
fn set(keys: &mut Keys, key: &'static str, built_in: &str, folder: &Path, faults: &mut Faults) {
    let Some(name) = keys.text(key, faults) else {
        return;
    };
    let is_file = Path::new(&name).extension().is_some_and(|extension| extension == "toml");
    if name != built_in && !(is_file && folder.join(&name).is_file()) {
        let wanted = format!("`{built_in}` or an existing .toml file relative to this folder");
        faults.add(keys.line_of(key), format!("{key} `{name}`"), wanted, "correct the path");
    }
}

fn gas(top: &mut Keys, faults: &mut Faults) -> f64 {
    let Some(mut keys) = top.table("gas", faults) else {
        return GAS_MJ_PER_NM3 * GAS_NM3_PER_M3;
    };
    let heat = positive(&mut keys, "heat_value_mj_per_nm3", GAS_MJ_PER_NM3, faults);
    let volume = positive(&mut keys, "nm3_per_m3", GAS_NM3_PER_M3, faults);
    keys.finish(faults);
    heat * volume
}

fn steam(top: &mut Keys, faults: &mut Faults) -> f64 {
    let Some(mut keys) = top.table("steam", faults) else {
        return STEAM_KJ_PER_KG;
    };
    let enthalpy = positive(&mut keys, "kj_per_kg", STEAM_KJ_PER_KG, faults);
    keys.finish(faults);
    enthalpy
}

fn positive(keys: &mut Keys, key: &'static str, default: f64, faults: &mut Faults) -> f64 {
    let value = keys.number(key, faults).unwrap_or(default);
    if value <= 0.0 {
        faults.add(keys.line_of(key), format!("{key} {value}"), "a number above 0", "correct the value");
    }
    value
}
