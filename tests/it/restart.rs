//! A collector that is killed knows afterwards which alerts it had raised, and which it was about to.

use crate::harness::collector::Collector;
use crate::harness::ledger::{Row, query};
use crate::harness::mosquitto::Mosquitto;
use crate::harness::publisher::Publisher;
use crate::harness::zone::{self, Meter, ZONE, at, meter, telemetry};
use crate::harness::{SOON, folder, until};

const ALERTS: &str = r#"
[[threshold]]
rule = "load"
name_en = "Load high"
name_zh = "负载过高"
severity = "warning"
on = "gauge"
item = "active_power_kw"
raise_above = 100.0
clear_below = 80.0
hold_s = 1800

[stale]
rule = "meter-stale"
severity = "warning"
after_s = 3600

[gateway]
rule = "gateway-offline"
severity = "critical"
"#;

struct Scene {
    folder: tempfile::TempDir,
    broker: Mosquitto,
    collector: Option<Collector>,
    gateway: Publisher,
    seq: u32,
}

impl Scene {
    fn set() -> Scene {
        let folder = folder();
        let meters = [meter("a"), meter("b"), Meter { gateway: "GW-2", ..meter("c") }];
        let zone = zone::write(folder.path(), &meters, ALERTS);
        let broker = Mosquitto::start();
        let collector = Collector::start(&zone, &folder.path().join("data"), &broker.url());
        let gateway = Publisher::connect(broker.port(), ZONE);
        Scene { folder, broker, collector: Some(collector), gateway, seq: 0 }
    }

    fn load(&mut self, name: &str, minute: u32, kw: u32) {
        self.seq += 1;
        let (at, seq) = (at(minute), self.seq);
        let payload = format!(
            r#"{{"meter":"M-{name}","at":"{at}","seq":{seq},"values":{{"active_energy_import_kwh":{minute},"active_power_kw":{kw}}}}}"#
        );
        self.gateway.publish(&telemetry(if name == "c" { "GW-2" } else { "GW-1" }), payload);
    }

    fn kill_and_start_again(&mut self) {
        self.collector.take().unwrap().kill_9();
        let folder = self.folder.path();
        self.collector = Some(Collector::start(&folder.join("zone"), &folder.join("data"), &self.broker.url()));
    }

    /// Rule, subject, minute of `since`, whether it still fires.
    fn alerts(&self) -> Vec<(String, String, i64, bool)> {
        // 2026-01-05 00:00 +08:00.
        let sql =
            "SELECT rule, subject, (since - 1767542400000) / 60000 AS since, cleared IS NULL AS firing FROM alert_row ORDER BY 1, 2, 3";
        let name = |row: &Row, column: &str| row[column].as_str().unwrap().to_owned();
        let rows = query(&self.folder.path().join("data"), sql);
        rows.iter().map(|row| (name(row, "rule"), name(row, "subject"), row["since"].as_i64().unwrap(), row["firing"] == 1)).collect()
    }

    fn lines(&self, part: &str) -> usize {
        self.collector.as_ref().unwrap().stderr().lines().filter(|line| line.contains(part)).count()
    }
}

fn alert(rule: &str, subject: &str, since: i64, firing: bool) -> (String, String, i64, bool) {
    (rule.to_owned(), subject.to_owned(), since, firing)
}

#[test]
fn a_firing_alert_is_not_raised_twice_and_a_pending_one_fires_after_a_kill() {
    let mut scene = Scene::set();
    scene.gateway.clock(&at(0));
    for minute in [0, 15, 30] {
        scene.gateway.clock(&at(minute));
        scene.load("a", minute, 150);
    }
    scene.load("b", 30, 150);
    scene.gateway.clock(&at(30));
    assert_eq!(scene.alerts(), [alert("load", "M-a", 0, true)], "b has not held long enough");
    scene.kill_and_start_again();
    for minute in [45, 60] {
        scene.gateway.clock(&at(minute));
        scene.load("a", minute, 150);
        scene.load("b", minute, 150);
        scene.gateway.clock(&at(minute));
    }
    assert_eq!(scene.alerts(), [alert("load", "M-a", 0, true), alert("load", "M-b", 30, true)]);
    assert_eq!(scene.lines("alert=load state=firing subject=M-a value=150.000 limit=100.000 since=2026-01-05T00:00:00+08:00"), 1);
    assert_eq!(scene.lines("alert=load state=firing subject=M-b value=150.000 limit=100.000 since=2026-01-05T00:30:00+08:00"), 1);
    scene.kill_and_start_again();
    scene.gateway.clock(&at(75));
    scene.load("a", 75, 70);
    scene.load("b", 75, 90);
    scene.gateway.clock(&at(75));
    assert_eq!(scene.alerts(), [alert("load", "M-a", 0, false), alert("load", "M-b", 30, true)], "b is between the levels");
    assert_eq!(scene.lines("state=cleared"), 1);
    assert_eq!(scene.gateway.heard("alert/load/M-a").len(), 2, "once each over MQTT");
    scene.collector.unwrap().stop();
}

#[test]
fn a_stale_meter_raises_one_alert_across_a_kill_and_its_next_reading_clears_it() {
    let mut scene = Scene::set();
    scene.gateway.clock(&at(0));
    scene.load("c", 0, 10);
    scene.gateway.clock(&at(60));
    assert_eq!(scene.alerts(), [], "an hour is not more than an hour");
    scene.gateway.clock(&at(61));
    assert_eq!(scene.alerts(), [alert("meter-stale", "M-c", 0, true)]);
    scene.kill_and_start_again();
    scene.gateway.clock(&at(90));
    scene.gateway.clock(&at(120));
    assert_eq!(scene.alerts(), [alert("meter-stale", "M-c", 0, true)]);
    scene.load("c", 120, 10);
    scene.gateway.clock(&at(121));
    assert_eq!(scene.alerts(), [alert("meter-stale", "M-c", 0, false)]);
    assert_eq!((scene.lines("state=firing"), scene.lines("state=cleared")), (1, 1));
    scene.collector.unwrap().stop();
}

#[test]
fn a_gateways_last_will_raises_one_alert_instead_of_one_for_each_meter() {
    let mut scene = Scene::set();
    scene.gateway.clock(&at(0));
    scene.load("a", 0, 10);
    scene.load("b", 0, 10);
    scene.gateway.status("GW-1", "online");
    scene.gateway.clock(&at(15));
    assert_eq!(scene.alerts(), []);
    scene.broker.client_with_will(&format!("nengtan/{ZONE}/gw/GW-1/status"), "offline").kill_9();
    until(SOON, "the broker publishes the will", || scene.gateway.heard("GW-1/status").contains(&"offline".to_owned()).then_some(()));
    scene.gateway.clock(&at(15));
    assert_eq!(scene.alerts(), [], "it may be back at once, as all are after a restart of the broker");
    scene.gateway.clock(&at(16));
    assert_eq!(scene.alerts(), [alert("gateway-offline", "GW-1", 15, true)]);
    scene.gateway.clock(&at(120));
    assert_eq!(scene.alerts(), [alert("gateway-offline", "GW-1", 15, true)], "its meters are stale, and silent about it");
    scene.kill_and_start_again();
    scene.gateway.clock(&at(180));
    assert_eq!(scene.alerts(), [alert("gateway-offline", "GW-1", 15, true)], "the retained status comes again");
    scene.gateway.status("GW-1", "online");
    // The alert also fires while all its meters are silent, so they have to speak.
    scene.load("a", 195, 10);
    scene.load("b", 195, 10);
    scene.gateway.clock(&at(195));
    assert_eq!(scene.alerts(), [alert("gateway-offline", "GW-1", 15, false)]);
    assert_eq!(scene.lines("alert=gateway-offline state=firing"), 1);
    scene.collector.unwrap().stop();
}

#[test]
fn a_serial_number_named_before_a_kill_decides_after_it() {
    let mut scene = Scene::set();
    let tell = |scene: &mut Scene, minute: u32, kwh: u32, serial: Option<&str>| {
        let serial = serial.map_or(String::new(), |serial| format!(r#""serial":"{serial}","#));
        let at = at(minute);
        let payload = format!(r#"{{"meter":"M-a","at":"{at}","seq":{minute},{serial}"values":{{"active_energy_import_kwh":{kwh}}}}}"#);
        scene.gateway.clock(&at);
        scene.gateway.publish(&telemetry("GW-1"), payload);
    };
    tell(&mut scene, 0, 50, Some("S1"));
    tell(&mut scene, 15, 60, None);
    scene.gateway.clock(&at(15));
    scene.kill_and_start_again();
    tell(&mut scene, 30, 65, None);
    tell(&mut scene, 45, 70, Some("S2"));
    tell(&mut scene, 60, 80, None);
    scene.gateway.clock(&at(60));
    let data = scene.folder.path().join("data");
    let rows = query(&data, "SELECT class, energy FROM reading WHERE meter = 'M-a' AND item = 'active_energy_import_kwh' ORDER BY ts");
    let told: Vec<(&str, f64)> = rows.iter().map(|row| (row["class"].as_str().unwrap(), row["energy"].as_f64().unwrap())).collect();
    assert_eq!(told, [("first", 0.0), ("normal", 10.0), ("normal", 5.0), ("new_serial", 70.0), ("normal", 10.0)]);
}
