//! The fed clock across a restart.

use nengtan::config::zone_folder;
use nengtan::domain::units::Millis;
use nengtan::engine::Engine;

use crate::harness::{folder, repository};

/// Seed 18 of the soak with three processes: after a kill, a reading of the step under way by a clock 12 minutes ahead was refused as from the future.
#[test]
fn a_fast_clocks_reading_of_the_step_under_way_is_taken_after_a_restart() {
    let data = folder();
    let wall = Millis(1_790_000_000_000);
    let open = || {
        let zone = zone_folder::load(&repository("config/zones/qingdao-hightech")).unwrap();
        Engine::open(data.path(), zone.zone, (zone.factors, zone.tariff), zone.alert_rules, Millis(0)).unwrap()
    };
    let mut engine = open();
    let clock = br#"{"now":"2026-01-03T18:15:00+08:00","next":"2026-01-03T18:30:00+08:00","lockstep":true}"#;
    engine.apply("nengtan/qingdao-hightech/clock", clock, wall).unwrap();
    engine.commit().unwrap();
    drop(engine);

    let mut engine = open();
    let reading = br#"{"meter":"HT-E-1402","at":"2026-01-03T18:42:00+08:00","seq":1,"values":{"active_energy_import_kwh":1}}"#;
    engine.apply("nengtan/qingdao-hightech/gw/GW-11/telemetry", reading, wall).unwrap();
    let effects = engine.commit().unwrap();
    assert!(effects.rejections.is_empty(), "{:?}", effects.rejections);
}
