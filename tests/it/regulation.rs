//! Commands to assets: what is sent, believed, refused, sent again, and what people can do about it.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::harness::collector::Collector;
use crate::harness::fleet::Fleet;
use crate::harness::ledger::{refusals, stored, verify};
use crate::harness::mosquitto::Mosquitto;
use crate::harness::publisher::Publisher;
use crate::harness::zone::{self, ZONE, at, meter};
use crate::harness::{LONG, folder, path, repository, run, text, until};

/// An air net whose users need 6 bar; its plan holds 7.
const AIR: &str = "[[asset]]\nid = \"air-1\"\nentity = \"E-a\"\nkind = \"compressor\"\nunit = \"bar\"\nmin = 5.5\nmax = 8\ncomfort_min = 6\nnormal = 7\n\
                   dwell_minutes = 60\n";

/// A tiny zone with an air net, a broker, and a publisher in the fleet's place.
struct Scene {
    zone: PathBuf,
    data: PathBuf,
    broker: Mosquitto,
    fleet: Publisher,
    folder: tempfile::TempDir,
}

impl Scene {
    fn set(mode: &str) -> Scene {
        Scene::of(&format!("{AIR}mode = \"{mode}\"\n"))
    }

    fn of(assets: &str) -> Scene {
        let folder = folder();
        let zone = zone::write(folder.path(), &[meter("a")], "");
        std::fs::write(zone.join("assets.toml"), assets).unwrap();
        let broker = Mosquitto::start();
        let fleet = Publisher::connect(broker.port(), ZONE);
        Scene { zone, data: folder.path().join("data"), broker, fleet, folder }
    }

    fn collector(&self) -> Collector {
        Collector::start(&self.zone, &self.data, &self.broker.url())
    }

    /// Id and value of each command that was heard.
    fn commands(&self) -> Vec<(String, Option<f64>)> {
        let read = |payload: &String| {
            let command: Value = serde_json::from_str(payload).unwrap();
            (command["id"].as_str().unwrap().to_owned(), command["value"].as_f64())
        };
        self.fleet.heard("asset/air-1/command").iter().map(read).collect()
    }

    fn answer(&mut self, topic_asset: &str, asset: &str, id: &str) {
        let payload = format!(r#"{{"id":"{id}","asset":"{asset}","outcome":"accepted","at":1}}"#);
        assert!(self.fleet.publish(&format!("nengtan/{ZONE}/asset/{topic_asset}/result"), payload));
    }

    fn at_stage(&self, stage: &str) -> i64 {
        stored(&self.data, &format!("SELECT COUNT(*) FROM command_row WHERE stage = '{stage}'")).unwrap()
    }

    /// `nengtan regulate`; exit code and all it says.
    fn regulate(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let all = [&["regulate"], arguments, &["--zone", path(&self.zone), "--data", path(&self.data), "--who", "li", "--why", "a test"]]
            .concat();
        let output = run(&all);
        (output.status.code(), text(&output.stdout) + &text(&output.stderr))
    }
}

/// Exit code of `nengtan audit verify`, and what it says.
fn audit(data: &Path) -> (Option<i32>, String) {
    let output = run(&["audit", "verify", "--data", path(data)]);
    (output.status.code(), text(&output.stdout) + &text(&output.stderr))
}

#[test]
fn a_command_without_a_result_is_sent_again_and_then_somebody_is_told() {
    let mut scene = Scene::set("automatic");
    let collector = scene.collector();
    scene.fleet.clock(&at(0));
    let first = scene.commands();
    assert_eq!(first.iter().map(|(_, value)| *value).collect::<Vec<_>>(), [Some(6.9)]);
    for minute in [15, 30, 45] {
        scene.fleet.clock(&at(minute));
    }
    let sent = scene.commands();
    assert!(sent.len() == 4 && sent.iter().all(|command| *command == first[0]), "{sent:?}");
    scene.fleet.clock(&at(50));
    let alerts = scene.fleet.heard("alert/command-unanswered/air-1");
    assert!(alerts.len() == 1 && alerts[0].contains("\"firing\""), "{alerts:?}");
    scene.answer("air-1", "air-1", &first[0].0);
    scene.fleet.clock(&at(55));
    scene.fleet.clock(&at(56));
    assert!(scene.fleet.heard("alert/command-unanswered/air-1")[1].contains("\"cleared\""));
    // An hour after the first step, the next one; the asset has done what it was told until then.
    scene.fleet.clock(&at(60));
    assert_eq!(scene.commands().last().unwrap().1, Some(6.8));
    assert_eq!((scene.at_stage("accepted"), scene.at_stage("waiting")), (1, 1));
    collector.stop();
    assert_eq!(audit(&scene.data).0, Some(0));
}

#[test]
fn results_from_elsewhere_and_forged_commands_change_nothing_and_are_counted() {
    let mut scene = Scene::set("automatic");
    let collector = scene.collector();
    scene.fleet.clock(&at(0));
    let id = scene.commands()[0].0.clone();
    scene.answer("air-2", "air-2", &id);
    scene.answer("air-2", "air-1", &id);
    scene.answer("air-1", "air-2", &id);
    scene.answer("air-1", "air-1", "air-1@5");
    // As the collector's own, but with another set point; and one that it never sent.
    let forged =
        |id: &str| format!(r#"{{"id":"{id}","asset":"air-1","value":5.6,"unit":"bar","from":1,"until":9999999999999,"reason":""}}"#);
    for id in [&id, "air-1@5"] {
        assert!(scene.fleet.publish(&format!("nengtan/{ZONE}/asset/air-1/command"), forged(id)));
    }
    scene.fleet.clock(&at(5));
    assert_eq!((scene.at_stage("accepted"), scene.at_stage("waiting")), (0, 1));
    assert_eq!((refusals(&scene.data, "strange_result"), refusals(&scene.data, "forged_command")), (4, 2));
    // Its own commands come back from the broker, too, and are none of these.
    scene.answer("air-1", "air-1", &id);
    scene.answer("air-1", "air-1", &id);
    scene.fleet.clock(&at(10));
    assert_eq!((scene.at_stage("accepted"), refusals(&scene.data, "strange_result")), (1, 4));
    collector.stop();
}

#[test]
fn a_restarted_collector_sends_what_is_valid_and_nothing_older() {
    let mut scene = Scene::set("automatic");
    let collector = scene.collector();
    scene.fleet.clock(&at(0));
    let first = scene.commands()[0].clone();
    collector.kill_9();
    let collector = scene.collector();
    scene.fleet.clock(&at(5));
    assert_eq!(scene.commands(), [first.clone(), first.clone()]);
    collector.kill_9();
    let collector = scene.collector();
    // The command was valid for twelve hours.
    scene.fleet.clock(&at(12 * 60 + 1));
    let sent = scene.commands();
    let (id, _) = &sent[2];
    assert!(sent.len() == 3 && *id != first.0, "{sent:?}");
    collector.stop();
    assert_eq!(audit(&scene.data).0, Some(0));
}

#[test]
fn a_command_holds_for_twelve_hours_at_most_and_a_quarter_beyond_the_use_of_its_asset() {
    for (hours, wanted) in
        [("0-24", "2026-01-05T12:20:00+08:00"), ("0-3", "2026-01-05T03:15:00+08:00"), ("6-22", "2026-01-05T06:15:00+08:00")]
    {
        let scene = Scene::of(&format!("{AIR}mode = \"automatic\"\nhours = \"{hours}\"\n"));
        let mut fleet = scene.fleet;
        let collector = Collector::start(&scene.zone, &scene.data, &scene.broker.url());
        fleet.clock(&at(20));
        let command: Value = serde_json::from_str(&fleet.heard("asset/air-1/command")[0]).unwrap();
        assert_eq!(command["until"], wanted, "{hours}");
        collector.stop();
    }
}

#[test]
fn people_stop_hold_and_release_and_the_log_says_who() {
    let mut scene = Scene::set("automatic");
    let collector = scene.collector();
    scene.fleet.clock(&at(0));
    let last = |scene: &Scene, wanted: Option<f64>| {
        until(LONG, "the command is heard", || scene.commands().last().filter(|(_, value)| *value == wanted).map(|(id, _)| id.clone()))
    };
    let id = last(&scene, Some(6.9));
    scene.answer("air-1", "air-1", &id);
    scene.fleet.clock(&at(1));
    let (code, told) = scene.regulate(&["override", "air-1", "8.5"]);
    assert_eq!(code, Some(2), "{told}");
    assert!(told.contains("5.5 to 8"), "{told}");
    let (code, told) = scene.regulate(&["override", "air-2", "7"]);
    assert!(code == Some(2) && told.contains("assets.toml"), "{told}");
    let (code, told) = scene.regulate(&["override", "air-1", "7.5", "--hours", "2"]);
    assert_eq!(code, Some(0), "{told}");
    last(&scene, Some(7.5));
    scene.fleet.clock(&at(90));
    assert_eq!(scene.commands().last().unwrap().1, Some(7.5), "the strategies do not move what a person holds");
    let (code, told) = scene.regulate(&["stop"]);
    assert_eq!(code, Some(0), "{told}");
    last(&scene, None);
    for minute in [105, 240] {
        scene.fleet.clock(&at(minute));
    }
    assert_eq!(scene.commands().last().unwrap().1, None, "nothing is decided while it is stopped");
    assert_eq!(scene.regulate(&["resume"]).0, Some(0));
    scene.fleet.clock(&at(255));
    assert_eq!(scene.commands().last().unwrap().1, Some(6.9));
    collector.stop();
    // Without a collector the same command does the same to the ledger.
    let (code, told) = scene.regulate(&["stop"]);
    assert_eq!(code, Some(0), "{told}");
    let log = text(&run(&["audit", "show", "--data", path(&scene.data), "--output", "csv"]).stdout);
    for wanted in
        ["li,air-1,set 7.5 bar,a test,waiting", "li,air-1,release,a test,waiting", "li,,stop,a test,done", "li,,resume,a test,done"]
    {
        assert!(log.contains(wanted), "{wanted} in {log}");
    }
    assert!(log.contains("air-1,air-1,result of set 6.9 bar,,accepted"), "{log}");
    let (code, told) = audit(&scene.data);
    assert_eq!(code, Some(0), "{told}");
    let ledger = rusqlite::Connection::open(scene.data.join("nengtan.sqlite")).unwrap();
    ledger.execute("UPDATE audit_row SET who = 'wang' WHERE what = 'stop'", []).unwrap();
    let (code, told) = audit(&scene.data);
    assert!(code == Some(3) && told.contains("broken at entry"), "{told}");
}

#[test]
fn advice_is_only_written_down_and_a_proposal_waits_for_a_person() {
    for mode in ["advise", "approve"] {
        let mut scene = Scene::set(mode);
        let collector = scene.collector();
        for minute in [0, 15, 60] {
            scene.fleet.clock(&at(minute));
        }
        assert_eq!(scene.commands(), []);
        let stage = if mode == "advise" { "advised" } else { "proposed" };
        assert_eq!(scene.at_stage(stage), 1, "{mode}");
        let (code, told) = scene.regulate(&["approve", "air-1"]);
        assert_eq!(code, Some(0), "{told}");
        scene.fleet.clock(&at(61));
        let sent: Vec<_> = scene.commands().into_iter().map(|(_, value)| value).collect();
        assert_eq!(sent, if mode == "advise" { vec![] } else { vec![Some(6.9)] });
        assert_eq!(scene.regulate(&["mode", "all", "automatic"]).0, Some(0));
        scene.fleet.clock(&at(180));
        assert!(scene.commands().last().is_some_and(|(_, value)| value.is_some()), "{mode}");
        collector.stop();
        drop(scene.folder);
    }
}

/// What the truth says of assets: (asset, set point).
fn obeyed(truth: &Path) -> Vec<(String, f64)> {
    let text = std::fs::read_to_string(truth).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).filter(|line| line["kind"] == "obeyed");
    lines.map(|line| (line["asset"].as_str().unwrap().to_owned(), line["value"].as_f64().unwrap())).collect()
}

/// The simulated zone with all its assets, a forger on the broker and a collector that is killed on the way.
#[test]
fn a_regulated_zone_stays_within_its_limits_and_verifies() {
    let folder = folder();
    let zone = repository("config/zones/qingdao-hightech");
    let (data, truth) = (folder.path().join("data"), folder.path().join("truth.jsonl"));
    let broker = Mosquitto::start();
    let url = broker.url();
    let collector = Collector::start(&zone, &data, &url);
    let arguments = ["run", "--zone", path(&zone), "--broker", &url, "--seed", "11", "--faults", "field", "--speed", "max"];
    let arguments = [&arguments[..], &["--days", "2", "--truth", path(&truth)]].concat();
    let mut fleet = Fleet::spawn(&arguments, &folder.path().join("fleet.stderr"));
    let mut await_accepted = |wanted: i64| {
        until(LONG, "commands are accepted", || {
            assert!(!fleet.has_ended(), "the fleet ended early: {}", fleet.stderr());
            stored(&data, "SELECT COUNT(*) FROM command_row WHERE stage = 'accepted'").filter(|seen| wanted <= *seen)
        })
    };
    await_accepted(20);
    let mut forger = Publisher::connect(broker.port(), "qingdao-hightech");
    let forged = r#"{"id":"battery-01@5","asset":"battery-01","value":9000,"unit":"kw","from":1,"until":9999999999999,"reason":""}"#;
    assert!(forger.publish("nengtan/qingdao-hightech/asset/battery-01/command", forged));
    collector.kill_9();
    let collector = Collector::start(&zone, &data, &url);
    await_accepted(100);
    fleet.finish();
    collector.stop();
    let (code, told) = verify(&data, &truth);
    assert_eq!(code, Some(0), "{told}");
    assert_eq!(audit(&data).0, Some(0));
    let refused = refusals(&data, "forged_command");
    assert!(1 <= refused, "{refused}");
    let folder = nengtan::config::zone_folder::load(&zone).unwrap();
    let limits = |id: &str| folder.zone.assets().iter().find(|asset| *asset.id == *id).unwrap().limits;
    let obeyed = obeyed(&truth);
    assert!(100 < obeyed.len(), "{}", obeyed.len());
    for (asset, value) in &obeyed {
        assert!(limits(asset).contains(*value), "{asset} at {value}");
    }
    // What the ledger thinks was obeyed is what was: each set point of the truth is a command that the ledger has.
    let told = stored(&data, "SELECT COUNT(DISTINCT asset) FROM command_row WHERE stage = 'accepted'").unwrap();
    let kinds: std::collections::BTreeSet<_> = obeyed.iter().map(|(asset, _)| asset).collect();
    assert_eq!(usize::try_from(told).unwrap(), kinds.len());
}
