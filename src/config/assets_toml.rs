//! `assets.toml`: what can be regulated, within which limits.

use rustc_hash::FxHashSet;

use super::fault::{Fault, ID_REMEDY, ID_WANTED, is_id};
use super::toml_table::{Cell, Table, TomlFile};
use crate::domain::assets::{Asset, AssetKind, Band, Hours, Mode, Pumping, Storing};
use crate::domain::units::MINUTE_MS;

const DEFAULT_DWELL_MINUTES: i64 = 15;
const DAY_MINUTES: i64 = 1440;
const PROGRAMME: &str = "programme";

/// What could be read, and every fault. `is_entity` knows the entities and the zone.
#[must_use]
pub fn read(text: &str, is_entity: &dyn Fn(&str) -> bool) -> (Vec<Asset>, Vec<Fault>) {
    let (mut file, mut root) = TomlFile::parse("assets.toml", text);
    let tables = file.needed(&mut root, "asset").and_then(|cell| file.array(cell)).unwrap_or_default();
    let mut ids = FxHashSet::default();
    let mut assets = Vec::new();
    for table in tables {
        if let Some(table) = file.table(table) {
            assets.extend(read_asset(&mut file, table, is_entity, &mut ids));
        }
    }
    file.no_more(root);
    (assets, file.faults)
}

fn read_asset<'t>(
    file: &mut TomlFile,
    mut asset: Table<'t>,
    is_entity: &dyn Fn(&str) -> bool,
    ids: &mut FxHashSet<String>,
) -> Option<Asset> {
    let id = file.needed(&mut asset, "id").and_then(|cell| {
        let id = file.text(&cell)?;
        if !is_id(&id) {
            return file.refuse(&cell, ID_WANTED, ID_REMEDY);
        }
        if ids.insert(id.clone()) { Some(id) } else { file.refuse(&cell, "each asset's id once", ID_REMEDY) }
    });
    let entity = file.needed(&mut asset, "entity").and_then(|cell| {
        let entity = file.text(&cell)?;
        if is_entity(&entity) { Some(entity) } else { file.refuse(&cell, "an id of entities.geojson", "correct it or add the feature") }
    });
    let kind = file.needed(&mut asset, "kind").and_then(|cell| file.one_of(&cell, AssetKind::ALL, AssetKind::as_str));
    let unit = file.needed(&mut asset, "unit").and_then(|cell| file.text(&cell));
    let number = |file: &mut TomlFile, cell: Cell<'t>| Some((file.float(&cell, f64::MIN, f64::MAX)?, cell));
    let [min, max] = ["min", "max"].map(|key| file.needed(&mut asset, key).and_then(|cell| number(file, cell)));
    let min = min.and_then(|(min, cell)| match kind.filter(|kind: &AssetKind| min < kind.lowest()) {
        Some(_) => file.refuse(&cell, "0 or more: posts that give are of the kind v2g", "correct one of them"),
        None => Some((min, cell)),
    });
    let limits = ordered(file, min, max, "at most max");
    let wishes = read_wishes(file, &mut asset, limits);
    let commissioned = file.optional(&mut asset, "commissioned");
    let programme = commissioned.map_or(Some(false), |cell| file.one_of(&cell, &[PROGRAMME], |name| name).map(|_| true));
    let storing = read_storing(file, &mut asset);
    let pumping = read_pumping(file, &mut asset);
    file.no_more(asset);
    let Wishes { comfort, normal, dwell_ms, rate_per_h, hours, mode } = wishes?;
    Some(Asset {
        id: id?.into(),
        entity: entity?.into(),
        kind: kind?,
        unit: unit?.into(),
        limits: limits?,
        comfort,
        normal,
        dwell_ms,
        rate_per_h,
        hours,
        mode,
        programme: programme?,
        storing: storing?,
        pumping: pumping?,
    })
}

/// None where one of them is a fault.
fn read_storing(file: &mut TomlFile, asset: &mut Table<'_>) -> Option<Storing> {
    let known = Storing::default();
    let mut within = |key, low: f64, high: f64, default: f64| match file.optional(asset, key) {
        Some(cell) => file.float(&cell, low, high),
        None => Some(default),
    };
    let capacity = within("capacity_kwh", f64::MIN_POSITIVE, f64::MAX, f64::NAN);
    let round_trip = within("round_trip_pct", 1.0, 100.0, 100.0 * known.round_trip);
    let least = within("charge_min_pct", 0.0, 100.0, 100.0 * known.charge.min);
    let stay = within("stay_minutes", 0.0, DAY_MINUTES as f64, 60.0 * known.stay_h);
    let done_by = within("done_by_hour", 0.0, 23.0, f64::from(known.done_by));
    let least_pct = least?;
    // Not below the least, so that the two are in order.
    let most_pct = within("charge_max_pct", least_pct, 100.0, (100.0 * known.charge.max).max(least_pct))?;
    let leave = within("leave_pct", least_pct, most_pct, most_pct);
    Some(Storing {
        capacity_kwh: capacity.map(|kwh| Some(kwh).filter(|kwh| !kwh.is_nan()))?,
        round_trip: round_trip? / 100.0,
        charge: Band { min: least_pct / 100.0, max: most_pct / 100.0 },
        leave: leave? / 100.0,
        stay_h: stay? / 60.0,
        done_by: done_by? as i8,
    })
}

/// None where one of them is a fault.
fn read_pumping(file: &mut TomlFile, asset: &mut Table<'_>) -> Option<Pumping> {
    let known = Pumping::default();
    let mut share = |key, default: Option<f64>| match file.optional(asset, key) {
        Some(cell) => file.float(&cell, 1.0, 110.0).map(|pct| Some(pct / 100.0)),
        None => Some(default),
    };
    let (of_carnot, efficiency) = (share("cop_of_carnot_pct", None), share("boiler_efficiency_pct", Some(known.boiler_efficiency)));
    let heat = match file.optional(asset, "heat_kw") {
        Some(cell) => file.float(&cell, f64::MIN_POSITIVE, f64::MAX).map(Some),
        None => Some(None),
    };
    Some(Pumping { of_carnot: of_carnot?, heat_kw: heat?, boiler_efficiency: efficiency?? })
}

/// The optional keys.
struct Wishes {
    comfort: Band,
    normal: Option<f64>,
    dwell_ms: i64,
    rate_per_h: Option<f64>,
    hours: [Hours; 3],
    mode: Mode,
}

/// None where one of them is a fault.
fn read_wishes(file: &mut TomlFile, asset: &mut Table<'_>, limits: Option<Band>) -> Option<Wishes> {
    let (low, high) = limits.map_or((f64::MIN, f64::MAX), |limits| (limits.min, limits.max));
    // A number that is left out has no cell; one that is a fault no value.
    let [min, max, normal] = ["comfort_min", "comfort_max", "normal"].map(|key| {
        let cell = file.optional(asset, key);
        let value = cell.as_ref().and_then(|cell| file.float(cell, low, high));
        (cell, value)
    });
    let is_good = [&min, &max, &normal].iter().all(|(cell, value)| cell.is_none() || value.is_some());
    let comfort = Band { min: min.1.unwrap_or(low), max: max.1.unwrap_or(high) };
    let in_order = comfort.min <= comfort.max;
    if let (false, Some(cell)) = (in_order, min.0.as_ref()) {
        file.refuse::<()>(cell, "at most comfort_max", "correct one of them");
    }
    let dwell = file.optional(asset, "dwell_minutes").map_or(Some(DEFAULT_DWELL_MINUTES), |cell| file.integer(&cell, 0, DAY_MINUTES));
    let rate_cell = file.optional(asset, "rate_per_hour");
    let rate = rate_cell.as_ref().and_then(|cell| match file.float(cell, 0.0, f64::MAX)? {
        0.0 => file.refuse(cell, "a number above 0", "correct it, or leave it out"),
        rate => Some(rate),
    });
    let mut hours = |key, default: Option<Hours>| {
        let Some(cell) = file.optional(asset, key) else { return default };
        let text = file.text(&cell)?;
        Hours::parse(&text).or_else(|| file.refuse(&cell, "whole hours such as 7-19, 0-24, or 0-0 for never", "correct it"))
    };
    let workday = hours("hours", Some(Hours::ALL_DAY));
    let (saturday, rest) = (hours("hours_saturday", workday), hours("hours_rest", workday));
    let mode = file.optional(asset, "mode").map_or(Some(Mode::Advise), |cell| file.one_of(&cell, Mode::ALL, Mode::as_str));
    let (dwell_ms, hours, mode) = (dwell? * MINUTE_MS, [workday?, saturday?, rest?], mode?);
    let is_good = is_good && in_order && (rate_cell.is_none() || rate.is_some());
    is_good.then_some(Wishes { comfort, normal: normal.1, dwell_ms, rate_per_h: rate, hours, mode })
}

fn ordered(file: &mut TomlFile, min: Option<(f64, Cell)>, max: Option<(f64, Cell)>, wanted: &str) -> Option<Band> {
    let ((min, cell), (max, _)) = (min?, max?);
    if min <= max { Some(Band { min, max }) } else { file.refuse(&cell, wanted, "correct one of them") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEEDED: &str = "[[asset]]\nid = \"a\"\nentity = \"E-1\"\nkind = \"hvac\"\nunit = \"c\"\nmin = 18\nmax = 28.0\n";

    fn assets(text: &str) -> (Vec<Asset>, Vec<(Option<usize>, String)>) {
        let (assets, faults) = read(text, &|id| id == "E-1");
        (assets, faults.into_iter().map(|fault| (fault.line, fault.key)).collect())
    }

    #[test]
    fn what_is_left_out_has_its_documented_default() {
        let (assets, faults) = assets(NEEDED);
        assert_eq!(faults, []);
        let limits = Band { min: 18.0, max: 28.0 };
        let wanted = Asset {
            id: "a".into(),
            entity: "E-1".into(),
            kind: AssetKind::Hvac,
            unit: "c".into(),
            limits,
            comfort: limits,
            normal: None,
            dwell_ms: 900_000,
            rate_per_h: None,
            hours: [Hours::ALL_DAY; 3],
            mode: Mode::Advise,
            programme: false,
            storing: Storing::default(),
            pumping: Pumping::default(),
        };
        assert_eq!(assets, [wanted]);
    }

    #[test]
    fn what_is_said_is_kept() {
        let said = "comfort_min = 20\ncomfort_max = 26\nnormal = 21\ndwell_minutes = 60\nrate_per_hour = 0.5\nhours = \"7-19\"\nhours_rest = \"0-0\"\nmode = \"automatic\"\ncommissioned = \"programme\"\n";
        let (assets, faults) = assets(&format!("{NEEDED}{said}"));
        assert_eq!(faults, []);
        let asset = &assets[0];
        assert_eq!((asset.comfort, asset.normal, asset.rate_per_h), (Band { min: 20.0, max: 26.0 }, Some(21.0), Some(0.5)));
        let (office, never) = (Hours { from: 7, to: 19 }, Hours { from: 0, to: 0 });
        assert_eq!((asset.dwell_ms, asset.hours, asset.mode), (3_600_000, [office, office, never], Mode::Automatic));
        assert!(asset.programme);
    }

    #[test]
    fn what_can_be_stored_is_kept_and_what_cannot_be_is_told() {
        let said =
            "capacity_kwh = 8000\nround_trip_pct = 90\ncharge_min_pct = 20\ncharge_max_pct = 80.0\nstay_minutes = 90\ndone_by_hour = 6\n";
        let (found, faults) = assets(&format!("{NEEDED}{said}"));
        assert_eq!(faults, []);
        let wanted = Storing {
            capacity_kwh: Some(8000.0),
            round_trip: 0.9,
            charge: Band { min: 0.2, max: 0.8 },
            leave: 0.8,
            stay_h: 1.5,
            done_by: 6,
        };
        assert_eq!(found[0].storing, wanted);
        let (found, _) = assets(&format!("{NEEDED}cop_of_carnot_pct = 45\nheat_kw = 7000\n"));
        assert_eq!(found[0].pumping, Pumping { of_carnot: Some(0.45), heat_kw: Some(7000.0), boiler_efficiency: 0.9 });
        let bad = "capacity_kwh = 0\nround_trip_pct = 101\ncharge_min_pct = 50\ncharge_max_pct = 40\nstay_minutes = -1\n";
        let (found, mut faults) = assets(&format!("{NEEDED}{bad}"));
        faults.sort_unstable();
        let wanted = [(8, "capacity_kwh"), (9, "round_trip_pct"), (11, "charge_max_pct"), (12, "stay_minutes")];
        assert_eq!(faults, wanted.map(|(line, key)| (Some(line), format!("asset.{key}"))));
        assert_eq!(found, []);
    }

    #[test]
    fn only_what_is_declared_to_give_has_limits_below_0() {
        let posts = |kind: &str, more: &str| {
            let text = NEEDED.replace("hvac", kind).replace("\"c\"", "\"kw\"").replace("18", "-600").replace("28.0", "600");
            assets(&format!("{text}{more}"))
        };
        let (found, faults) = posts("v2g", "capacity_kwh = 2500\ncharge_min_pct = 40\nleave_pct = 80\n");
        assert_eq!((found.len(), faults), (1, vec![]));
        assert_eq!((found[0].storing.leave, found[0].limits.min), (0.8, -600.0));
        assert_eq!(posts("ev_charging", "").1, [(Some(6), "asset.min".to_owned())]);
        assert_eq!(posts("v2g", "charge_min_pct = 40\nleave_pct = 30\n").1, [(Some(9), "asset.leave_pct".to_owned())]);
    }

    #[test]
    fn every_fault_is_told_with_its_line() {
        let bad = "comfort_min = 27\ncomfort_max = 19\nnormal = 30\ndwell_minutes = -1\nrate_per_hour = 0\nhours = \"19-7\"\nmode = \"guess\"\nwish = 1\ncommissioned = \"soon\"\n";
        let (assets, mut faults) = assets(&format!("{NEEDED}{bad}{NEEDED}"));
        faults.sort_unstable();
        let wanted = [
            (8, "comfort_min"),
            (10, "normal"),
            (11, "dwell_minutes"),
            (12, "rate_per_hour"),
            (13, "hours"),
            (14, "mode"),
            (15, "wish"),
            (16, "commissioned"),
            (18, "id"),
        ];
        assert_eq!(faults, wanted.map(|(line, key)| (Some(line), format!("asset.{key}"))));
        assert_eq!(assets, []);
    }
}
