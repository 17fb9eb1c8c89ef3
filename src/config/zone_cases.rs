//! The reader against the folders of `tests/zones` and the zones that are shipped.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::check::check;
use super::zone_folder::{ZoneFolder, load};
use crate::domain::alert_rules::Severity;
use crate::domain::channel::{Carrier, LedgerUnit};
use crate::domain::factors::{Applied, FactorTier};
use crate::domain::units::{HOUR_MS, MgPerUnit, Millis};

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn folders(path: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(repository(path)).unwrap_or_else(|error| panic!("{path} is missing: {error}"));
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

fn good(name: &str) -> ZoneFolder {
    let folder = repository("tests/zones/good").join(name);
    load(&folder).unwrap_or_else(|faults| panic!("{name}: {}", faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")))
}

#[test]
fn every_good_zone_loads_and_every_shipped_one() {
    let good = folders("tests/zones/good");
    assert!(good.len() >= 5, "{} good zones", good.len());
    let shipped = folders("config/zones");
    assert!(shipped.iter().any(|folder| folder.ends_with("qingdao-hightech")), "config/zones/qingdao-hightech is missing");
    for folder in good.iter().chain(&shipped) {
        match check(folder) {
            Ok(report) => assert!(report.contains("entities"), "{report}"),
            Err(faults) => panic!("{}:\n{}", folder.display(), faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")),
        }
    }
}

#[test]
fn every_bad_zone_is_refused_with_all_its_faults() {
    let bad = folders("tests/zones/bad");
    assert!(bad.len() >= 20, "{} bad zones", bad.len());
    let mut wrong = Vec::new();
    for folder in bad {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let expected = std::fs::read_to_string(folder.join("expected.txt")).unwrap();
        match load(&folder) {
            Ok(_) => wrong.push(format!("{name}: loaded")),
            Err(faults) => {
                let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
                let missing = expected.lines().filter(|wanted| !faults.iter().any(|fault| fault.contains(wanted)));
                wrong.extend(missing.map(|wanted| format!("{name}: no fault says {wanted:?} in\n  {}", faults.join("\n  "))));
                let several = faults.iter().filter(|fault| fault.contains('\n')).map(|fault| format!("{name}: not one line: {fault}"));
                wrong.extend(several);
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Use per entity, and the zone's, of quantities given by (meter, item).
fn uses(folder: &ZoneFolder, carrier: Carrier, quantities: &[(&str, &str, i64)]) -> (BTreeMap<String, i64>, i64) {
    let zone = &folder.zone;
    let (mut entities, mut total) = (BTreeMap::new(), 0);
    for (meter, item, quantity) in quantities {
        let channel = zone.channel_of(meter, item).unwrap();
        assert_eq!(channel.carrier, carrier);
        for share in zone.contributions(channel.id) {
            *entities.entry(zone.entity(share.entity).id.to_string()).or_insert(0) += i64::from(share.sign) * quantity;
        }
        total += i64::from(zone.zone_sign(channel.id)) * quantity;
    }
    (entities, total)
}

#[test]
fn what_is_passed_on_is_counted_once() {
    let folder = good("shared-parent");
    let (import, export, generation) = ("active_energy_import_kwh", "active_energy_export_kwh", "active_energy_generation_kwh");
    let quantities = [
        ("F-1", import, 1_000),
        ("A-1", import, 900),
        ("A-1", export, 50),
        ("B-1", import, 300),
        ("SUB-1", import, 200),
        ("SUB-2", import, 80),
        ("PV-1", generation, 150),
    ];
    let (entities, zone) = uses(&folder, Carrier::Electricity, &quantities);
    // By hand: A takes 900, sends 50 back, makes 150, passes 300 to B and 200 − 80 to C by formula. The feeder passes 900 on and gets 50 back.
    let wanted = [("E-A", 900 - 50 + 150 - 300 - 120), ("E-B", 300), ("E-C", 120), ("shared-residual", 1_000 - 900 + 50)];
    assert_eq!(entities, wanted.map(|(id, quantity)| (id.to_owned(), quantity)).into());
    assert_eq!(zone, 1_000 + 150);
    assert_eq!(entities.values().sum::<i64>(), zone);
}

#[test]
fn heat_made_inside_is_shown_per_user_and_never_in_the_zone() {
    let folder = good("heat-network");
    let (heat, zone) = uses(&folder, Carrier::Heat, &[("H-1", "heat_gj", 1_000), ("H-2", "heat_gj", 700), ("H-3", "heat_kwh", 200)]);
    assert_eq!(heat, [("E-HOSPITAL", 500), ("E-LAUNDRY", 200)].map(|(id, quantity)| (id.to_owned(), quantity)).into());
    assert_eq!(zone, 0);
    let (gas, zone) = uses(&folder, Carrier::NaturalGas, &[("G-1", "volume_m3", 40)]);
    assert_eq!((gas["E-BOILER"], zone), (40, 40));
}

#[test]
fn units_become_ledger_units() {
    let folder = good("heat-network");
    let scale = |meter, item| {
        let register = folder.zone.channel_of(meter, item).unwrap().register().unwrap();
        (register.ledger_unit(), register.step(), register.full(), register.rating_per_h().0)
    };
    assert_eq!(scale("H-3", "heat_kwh"), (LedgerUnit::Kilojoule, 3_600, 36_000_000_000, 10_800_000));
    assert_eq!(scale("ST-1", "mass_t"), (LedgerUnit::Gram, 1_000, 1_000_000_000_000, 5_000_000));
    assert_eq!(scale("W-1", "volume_l"), (LedgerUnit::Litre, 1, 100_000_000, 20_000));
    assert!(folder.zone.channel_of("WX-1", "outdoor_temperature_c").unwrap().register().is_none());
    assert!(folder.zone.channel_of("WX-1", "nothing").is_none());
}

#[test]
fn rules_know_their_meters_and_levels() {
    let folder = good("shared-parent");
    let (zone, rules) = (&folder.zone, &folder.alert_rules);
    let load: Vec<_> = rules.thresholds[0].subjects.iter().map(|s| (s.watched.id(zone), s.raise_above, s.clear_below)).collect();
    // Entry meters with a register; the virtual meter C-V is not named.
    assert_eq!(load, [("F-1", 4_250.0, 4_000.0), ("A-1", 1_700.0, 1_600.0), ("B-1", 510.0, 480.0)]);
    let demand = &rules.thresholds[1];
    assert_eq!((demand.head.severity, demand.hold_ms, demand.subjects.len()), (Severity::Critical, 0, 1));
    assert_eq!(demand.subjects[0].register, zone.channel_of("B-1", "active_energy_import_kwh").map(|channel| channel.id));
    let loss: Vec<_> = rules.thresholds[2].subjects.iter().map(|s| s.watched.id(zone)).collect();
    assert_eq!(loss, ["SUB-2", "A-1-residual", "C-V"], "a meter, a residual and a virtual meter");
    assert_eq!(rules.stale.as_ref().map(|rule| rule.after_ms), Some(HOUR_MS));
    assert_eq!(rules.gateway.as_ref().map(|rule| &*rule.head.id), Some("gateway-offline"));
}

#[test]
fn a_zone_may_bring_its_own_factors_and_its_own_hours() {
    let folder = good("berlin-dst");
    let profile = folder.zone.profile();
    let Ok(Applied::Factor(found)) = folder.factors.carbon(profile, Carrier::Electricity, 2025) else { panic!("no factor") };
    assert_eq!(
        (found.factor, found.tier, found.version),
        (MgPerUnit(380_000), FactorTier::NationLatest, "de-example/grid-average/DE/2023")
    );
    let mut calendar = crate::domain::calendar::LocalCalendar::new(profile.time_zone.clone());
    assert_eq!(calendar.day(Millis::from_rfc3339("2026-10-25T12:00:00+01:00").unwrap()).ms(), 25 * HOUR_MS);
    assert_eq!(profile.interval_ms, 10 * 60_000);
}

#[test]
fn gateways_know_their_meters() {
    let folder = good("chinese-ids");
    let meters: Vec<_> = folder.zone.meters_of_gateway("网关-一").iter().map(|meter| &*folder.zone.meter(*meter).id).collect();
    assert_eq!(meters, ["总表_01", "轧钢_02"]);
    assert!(folder.zone.is_virtual(folder.zone.meter_of("差额").unwrap()));
    assert_eq!(folder.zone.meters_of_gateway("unknown"), []);
}

#[test]
fn a_rule_with_an_unknown_gauge_cannot_use_the_rating() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["zone.toml", "entities.geojson", "meters.csv"] {
        std::fs::copy(repository("tests/zones/good/minimal").join(name), folder.path().join(name)).unwrap();
    }
    let rule = "[[threshold]]\nrule = \"pf\"\nname_en = \"a\"\nname_zh = \"b\"\nseverity = \"info\"\non = \"gauge\"\nitem = \"power_factor\"\n\
                raise_above_rating = 0.9\nclear_below_rating = 0.8\nhold_s = 0\n";
    std::fs::write(folder.path().join("alerts.toml"), rule).unwrap();
    let asset = "[[asset]]\nid = \"a\"\nentity = \"E-9\"\nkind = \"hvac\"\nunit = \"c\"\nmin = 5\nmax = 4.5\n";
    std::fs::write(folder.path().join("assets.toml"), asset).unwrap();
    let faults = load(folder.path()).unwrap_err();
    let places: Vec<_> = faults.iter().map(|fault| (fault.file.as_str(), fault.line, fault.key.as_str())).collect();
    let wanted =
        [("alerts.toml", Some(7), "threshold.item"), ("assets.toml", Some(3), "asset.entity"), ("assets.toml", Some(6), "asset.min")];
    assert_eq!(places, wanted);
}
