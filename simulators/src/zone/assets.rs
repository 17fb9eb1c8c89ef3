//! `assets.toml`: what can be regulated. The fleet obeys within `min` and `max`; the other keys are the collector's and only checked here.

use std::collections::HashSet;
use std::path::Path;

use super::DayType;
use super::fault::Faults;
use super::keys::{self, Keys};

const FILE: &str = "assets.toml";
/// Each with the lowest that its `min` may be: posts that may give are declared as such.
const KINDS: [(&str, f64); 15] = [
    ("hvac", f64::NEG_INFINITY),
    ("battery", f64::NEG_INFINITY),
    ("ev_charging", 0.0),
    ("v2g", f64::NEG_INFINITY),
    ("compressor", f64::NEG_INFINITY),
    ("boiler", f64::NEG_INFINITY),
    ("lighting", f64::NEG_INFINITY),
    ("ventilation", f64::NEG_INFINITY),
    ("indoor_lighting", f64::NEG_INFINITY),
    ("cooling", f64::NEG_INFINITY),
    ("chilled_water", f64::NEG_INFINITY),
    ("auxiliary", f64::NEG_INFINITY),
    ("heat_pump", f64::NEG_INFINITY),
    ("combustion", f64::NEG_INFINITY),
    ("batch", f64::NEG_INFINITY),
];
const COMMISSIONED: [(&str, ()); 1] = [("programme", ())];
const MODES: [(&str, ()); 3] = [("advise", ()), ("approve", ()), ("automatic", ())];
/// Keys for hours in use, by kind of day.
const HOURS: [&str; 3] = ["hours", "hours_saturday", "hours_rest"];
const DAY_MINUTES: i64 = 1440;
/// What `charge_min_pct` and `charge_max_pct` are where they are left out.
const CHARGE_MIN_PCT: f64 = 10.0;
const CHARGE_MAX_PCT: f64 = 95.0;

/// The lowest and the highest, where they are said.
type Comfort = (Option<f64>, Option<f64>);

/// Something that takes set points.
#[derive(Clone, Debug, PartialEq)]
pub struct Asset {
    pub id: String,
    /// Of the set point and its limits.
    pub unit: String,
    pub min: f64,
    pub max: f64,
    /// What its users need while it is in use.
    pub comfort: (f64, f64),
    /// Local hours in use, from and to, on workdays, Saturdays, and Sundays and holidays.
    pub hours: [(u8, u8); 3],
    /// Not there before the programme is commissioned.
    pub programme: bool,
}

impl Asset {
    #[must_use]
    pub fn in_use(&self, day: DayType, hour: u8) -> bool {
        let (from, to) = match day {
            DayType::Workday => self.hours[0],
            DayType::Saturday => self.hours[1],
            DayType::Rest => self.hours[2],
        };
        (from..to).contains(&hour)
    }
}

/// What could be read, and every fault.
pub(super) fn read(folder: &Path, entities: &HashSet<&str>) -> (Vec<Asset>, Faults) {
    let mut faults = Faults::new(FILE);
    let Some(text) = faults.read(folder, false) else {
        return (Vec::new(), faults);
    };
    let document = keys::parse(&text, &mut faults);
    let mut top = Keys::new(&text, FILE, document.get_ref(), 1);
    let (mut ids, mut assets) = (HashSet::new(), Vec::new());
    for mut keys in top.tables("asset", &mut faults) {
        assets.extend(read_asset(&mut keys, entities, &mut ids, &mut faults));
        keys.finish(&mut faults);
    }
    top.finish(&mut faults);
    (assets, faults)
}

fn read_asset(keys: &mut Keys, entities: &HashSet<&str>, ids: &mut HashSet<String>, faults: &mut Faults) -> Option<Asset> {
    let id = keys.needed_text("id", faults);
    if let Some(id) = &id {
        faults.check_id(keys.line_of("id"), "asset id", id);
        if !ids.insert(id.clone()) {
            faults.add(keys.line_of("id"), format!("duplicate asset `{id}`"), "each id once", "rename one");
        }
    }
    if let Some(entity) = keys.needed_text("entity", faults).filter(|entity| !entities.contains(entity.as_str())) {
        faults.add(keys.line_of("entity"), format!("unknown entity `{entity}`"), "an id of entities.geojson", "correct the entity");
    }
    keys.check_present("kind", faults);
    let lowest = keys.choice("kind", &KINDS, faults);
    let unit = keys.needed_text("unit", faults);
    let (min, max) = (keys.needed_number("min", faults), keys.needed_number("max", faults));
    if min.zip(max).is_some_and(|(min, max)| min > max) {
        faults.add(keys.line_of("min"), "`min` above `max`", "min not above max", "swap them");
    }
    if let Some(min) = min.filter(|min| lowest.is_some_and(|lowest| *min < lowest)) {
        faults.add(keys.line_of("min"), format!("`min` is {min}"), "0 or more: posts that give are of the kind v2g", "correct one of them");
    }
    let (comfort, hours) = read_wishes(keys, (min, max), faults);
    let programme = keys.choice("commissioned", &COMMISSIONED, faults).is_some();
    let (min, max) = (min?, max?);
    Some(Asset { id: id?, unit: unit?, min, max, comfort: (comfort.0.unwrap_or(min), comfort.1.unwrap_or(max)), hours, programme })
}

/// What users need, and the keys that only the collector acts on.
fn read_wishes(keys: &mut Keys, (min, max): (Option<f64>, Option<f64>), faults: &mut Faults) -> (Comfort, [(u8, u8); 3]) {
    let outside = |number: f64| min.is_some_and(|min| number < min) || max.is_some_and(|max| max < number);
    let within = |keys: &mut Keys, key, faults: &mut Faults| {
        let number = keys.number(key, faults)?;
        if outside(number) {
            faults.add(keys.line_of(key), format!("`{key}` is {number}"), "a number from min to max", "correct one of them");
        }
        Some(number)
    };
    let (low, high) = (within(keys, "comfort_min", faults), within(keys, "comfort_max", faults));
    if low.zip(high).is_some_and(|(low, high)| low > high) {
        faults.add(keys.line_of("comfort_min"), "`comfort_min` above `comfort_max`", "comfort_min not above comfort_max", "swap them");
    }
    within(keys, "normal", faults);
    if keys.integer("dwell_minutes", faults).is_some_and(|minutes| !(0..=DAY_MINUTES).contains(&minutes)) {
        faults.add(keys.line_of("dwell_minutes"), "`dwell_minutes` out of range", "a whole number from 0 to 1440", "correct it");
    }
    if keys.number("rate_per_hour", faults).is_some_and(|rate| rate <= 0.0) {
        faults.add(keys.line_of("rate_per_hour"), "`rate_per_hour` is not above 0", "a number above 0", "correct it, or leave it out");
    }
    check_storing(keys, faults);
    let [workday, saturday, rest] = HOURS.map(|key| {
        let text = keys.text(key, faults)?;
        let hours = read_hours(&text);
        if hours.is_none() {
            faults.add(
                keys.line_of(key),
                format!("`{key}` is no span of a day"),
                "whole hours such as 7-19, 0-24, or 0-0 for never",
                "correct it",
            );
        }
        hours
    });
    keys.choice("mode", &MODES, faults);
    let workday = workday.unwrap_or((0, 24));
    ((low, high), [workday, saturday.unwrap_or(workday), rest.unwrap_or(workday)])
}

/// What can be moved in time, and between fuels.
fn check_storing(keys: &mut Keys, faults: &mut Faults) {
    let mut within = |key, low: f64, high: f64, wanted: &str| {
        let number = keys.number(key, faults)?;
        if !(low..=high).contains(&number) {
            faults.add(keys.line_of(key), format!("`{key}` is {number}"), wanted, "correct it, or leave it out");
        }
        Some(number)
    };
    within("capacity_kwh", f64::MIN_POSITIVE, f64::MAX, "a number above 0");
    within("round_trip_pct", 1.0, 100.0, "a number from 1 to 100");
    let least = within("charge_min_pct", 0.0, 100.0, "a number from 0 to 100").unwrap_or(CHARGE_MIN_PCT);
    let most = within("charge_max_pct", least, 100.0, "a number from charge_min_pct to 100").unwrap_or(CHARGE_MAX_PCT.max(least));
    within("leave_pct", least, most.max(least), "a number from charge_min_pct to charge_max_pct");
    for key in ["cop_of_carnot_pct", "boiler_efficiency_pct"] {
        within(key, 1.0, 110.0, "a number from 1 to 110");
    }
    within("heat_kw", f64::MIN_POSITIVE, f64::MAX, "a number above 0");
    within("done_by_hour", 0.0, 23.0, "an hour from 0 to 23");
    within("stay_minutes", 0.0, DAY_MINUTES as f64, "a number from 0 to 1440");
}

fn read_hours(text: &str) -> Option<(u8, u8)> {
    let hour = |text: &str| text.parse::<u8>().ok().filter(|hour| *hour <= 24);
    text.split_once('-').and_then(|(from, to)| hour(from).zip(hour(to))).filter(|(from, to)| from <= to)
}
