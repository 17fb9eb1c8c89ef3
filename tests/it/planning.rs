//! A battery and work that may wait beside a load, planned for by an engine without a broker.

use std::path::Path;
use std::time::Duration;

use nengtan::config::zone_folder;
use nengtan::dispatch::site::LAST_RESORT;
use nengtan::domain::units::Millis;
use nengtan::engine::Engine;

use crate::harness::ledger::query;

/// 2026-01-05 00:00 +08:00, a Monday.
const FROM_MS: i64 = 1_767_542_400_000;
/// 2026-12-07, a Monday after the end of the last tariff that is known.
const UNPRICED_FROM_MS: i64 = 1_796_572_800_000;
const QUARTER_MS: i64 = 900_000;
/// Played before anything is decided.
const BEFORE: i64 = 2 * 96;

fn write_zone(folder: &Path) {
    let zone = "[zone]\nid = \"z\"\nname_en = \"Z\"\nname_zh = \"区\"\ntime_zone = \"Asia/Shanghai\"\nregion = \"CN-SD\"\nlatitude = 36.07\nlongitude = 120.38\n\
                clock = \"feed\"\nfactors = \"cn\"\ntariff = \"cn-sd-industry\"\n";
    let meters = "meter,entity,parent,level,boundary,carrier,item,direction,unit,resolution,multiplier,width_digits,rating,serial,valid_from,gateway,formula\n\
                  M-L,E-L,,entry,yes,electricity,active_energy_import_kwh,import,kwh,0.01,1,8,2000,S,2025-01-01T00:00:00+08:00,G,\n\
                  M-B,E-B,,entry,yes,electricity,active_energy_import_kwh,import,kwh,0.01,1,8,2000,S,2025-01-01T00:00:00+08:00,G,\n\
                  M-W,E-W,,entry,yes,electricity,active_energy_import_kwh,import,kwh,0.01,1,8,2000,S,2025-01-01T00:00:00+08:00,G,\n\
                  M-W,E-W,,entry,no,weather,waiting_kwh,gauge,kwh,,1,,,S,2025-01-01T00:00:00+08:00,G,\n\
                  M-B,E-B,,entry,no,weather,state_of_charge_pct,gauge,pct,,1,,,S,2025-01-01T00:00:00+08:00,G,\n";
    let feature = |id: &str| {
        format!(
            r#"{{"type":"Feature","geometry":{{"type":"Point","coordinates":[120.2,36.2]}},"properties":{{"id":"{id}","name_en":"E","name_zh":"厂","kind":"factory"}}}}"#
        )
    };
    let entities = format!(r#"{{"type":"FeatureCollection","features":[{},{},{}]}}"#, feature("E-L"), feature("E-B"), feature("E-W"));
    let assets = "[[asset]]\nid = \"b\"\nentity = \"E-B\"\nkind = \"battery\"\nunit = \"kw\"\nmin = -100\nmax = 100\ncapacity_kwh = 400\nmode = \"automatic\"\n\n\
                  [[asset]]\nid = \"w\"\nentity = \"E-W\"\nkind = \"batch\"\nunit = \"kw\"\nmin = 0\nmax = 100\nnormal = 50\ndone_by_hour = 6\nmode = \"automatic\"\n";
    let alerts = "[stale]\nrule = \"stale\"\nseverity = \"warning\"\nafter_s = 3600\n";
    for (name, text) in
        [("zone.toml", zone), ("meters.csv", meters), ("entities.geojson", &entities), ("assets.toml", assets), ("alerts.toml", alerts)]
    {
        std::fs::write(folder.join(name), text).unwrap();
    }
}

struct Scene {
    folder: tempfile::TempDir,
    engine: Engine,
    from_ms: i64,
    quarter: i64,
}

impl Scene {
    fn set(from_ms: i64) -> Scene {
        let folder = tempfile::tempdir().unwrap();
        write_zone(folder.path());
        let engine = open(folder.path());
        let mut scene = Scene { folder, engine, from_ms, quarter: 0 };
        scene.play(BEFORE);
        scene.engine.set_regulation(true);
        scene
    }

    /// So many quarters, and what was commanded: set point and reason.
    fn play(&mut self, quarters: i64) -> Vec<(i64, Option<f64>, String)> {
        let mut commanded = Vec::new();
        for _ in 0..quarters {
            let (quarter, at) = (self.quarter, self.from_ms + self.quarter * QUARTER_MS);
            // 400 kW, and 800 from 8 to 20 h.
            let kwh: i64 = (0..quarter).map(|quarter| if (32..80).contains(&(quarter % 96)) { 200 } else { 100 }).sum();
            let payload = format!(
                r#"[{{"meter":"M-L","at":{at},"seq":{quarter},"values":{{"active_energy_import_kwh":{kwh}.00}}}},{{"meter":"M-B","at":{at},"seq":{quarter},"values":{{"active_energy_import_kwh":1.00,"state_of_charge_pct":50}}}},{{"meter":"M-W","at":{at},"seq":{quarter},"values":{{"active_energy_import_kwh":{},"waiting_kwh":{}.5}}}}]"#,
                10 * quarter,
                quarter % 40
            );
            self.engine.apply("nengtan/z/gw/G/telemetry", payload.as_bytes(), Millis(at)).unwrap();
            self.engine.apply("nengtan/z/clock", format!(r#"{{"now":{at},"next":{}}}"#, at + QUARTER_MS).as_bytes(), Millis(at)).unwrap();
            for (asset, order) in self.engine.commit().unwrap().commands {
                let id = if asset == 0 { "b" } else { "w" };
                let answer = format!(r#"{{"id":"{}","asset":"{id}","outcome":"accepted","at":{at}}}"#, order.id);
                self.engine.apply(&format!("nengtan/z/asset/{id}/result"), answer.as_bytes(), Millis(at)).unwrap();
                commanded.push((quarter, order.value, order.reason));
            }
            self.engine.commit().unwrap();
            self.quarter += 1;
        }
        commanded
    }

    fn restart(&mut self) {
        // The folder's lock goes with the first engine.
        let elsewhere = tempfile::tempdir().unwrap();
        write_zone(elsewhere.path());
        self.engine = open(elsewhere.path());
        self.engine = open(self.folder.path());
        self.engine.set_regulation(true);
    }

    fn count(&self, name: &str) -> i64 {
        let rows = query(&self.folder.path().join("data"), &format!("SELECT count FROM count_row WHERE name = '{name}'"));
        rows.first().map_or(0, |row| row["count"].as_i64().unwrap())
    }
}

fn open(folder: &Path) -> Engine {
    let read = zone_folder::load(folder).unwrap();
    Engine::open(&folder.join("data"), read.zone, (read.factors, read.tariff), read.alert_rules, Millis(FROM_MS)).unwrap()
}

#[test]
fn an_optimiser_that_times_out_leaves_it_to_the_rules_until_it_is_in_time_again() {
    let mut scene = Scene::set(FROM_MS);
    scene.engine.set_plan_deadline(Duration::ZERO);
    let by_rule = scene.play(96);
    assert!(by_rule.len() > 3 && by_rule.iter().all(|(_, _, reason)| !reason.contains("least cost")), "{by_rule:?}");
    assert!(by_rule.iter().all(|(_, kw, _)| kw.is_none_or(|kw| (-100.0..=100.0).contains(&kw))), "{by_rule:?}");
    let failed = scene.count("plans_failed") + scene.count("plans_late");
    assert!(24 <= failed, "{failed} of a day of hours");
    scene.engine.set_plan_deadline(LAST_RESORT);
    // What a plan is late for, the next decision has.
    scene.play(4);
    let planned = scene.play(92);
    assert!(planned.iter().filter(|(_, _, reason)| reason.contains("least cost")).count() > 3, "{planned:?}");
    // A command that a plan ends without another is told by no plan.
    assert!(planned.iter().all(|(_, kw, reason)| kw.is_none() || reason.contains("least cost")), "{planned:?}");
}

#[test]
fn a_restart_in_any_quarter_of_an_hour_changes_no_decision() {
    let mut straight = Scene::set(FROM_MS);
    let wanted = straight.play(48);
    let values: std::collections::BTreeSet<_> = wanted.iter().map(|(_, kw, _)| kw.map(f64::to_bits)).collect();
    assert!(values.len() > 3, "{wanted:?}");
    for quarter in 21..25 {
        let mut stopped = Scene::set(FROM_MS);
        let mut seen = stopped.play(quarter);
        stopped.restart();
        seen.extend(stopped.play(48 - quarter));
        assert_eq!(seen, wanted, "restarted in quarter {quarter}");
    }
}

#[test]
fn plans_go_on_where_the_tariff_has_ended_and_the_next_one_is_not_known() {
    let planned = Scene::set(UNPRICED_FROM_MS).play(96);
    assert!(planned.iter().filter(|(_, _, reason)| reason.contains("least cost")).count() > 3, "{planned:?}");
}
