//! `InfluxDB` that is away, dies in the middle, or answers badly; a collector that dies at the worst moment: nothing is lost, nothing doubled.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::harness::collector::Collector;
use crate::harness::influxd::{Influxd, TOKEN};
use crate::harness::ledger::{count, query, stored};
use crate::harness::mosquitto::Mosquitto;
use crate::harness::publisher::Publisher;
use crate::harness::zone::{self, ZONE, at, meter, reading, telemetry};
use crate::harness::{SOON, folder, repository, until};
use crate::operations::{assert_named_by_base_units, get, metric};

const WAITING: &str =
    "SELECT (SELECT COUNT(*) FROM outbox_row) + (SELECT COUNT(*) FROM outbox_key) + (SELECT COUNT(*) FROM outbox_reading)";
const ALERTS: &str = "[[threshold]]\nrule = \"load\"\nname_en = \"Load high\"\nname_zh = \"负载过高\"\nseverity = \"warning\"\non = \"gauge\"\nitem = \"active_power_kw\"\nraise_above = 100.0\nclear_below = 80.0\nhold_s = 0\n";

struct Scene {
    folder: tempfile::TempDir,
    broker: Mosquitto,
    gateway: Publisher,
    url: String,
    collector: Option<Collector>,
}

impl Scene {
    /// A collector that writes to `url`.
    fn set(url: &str) -> Scene {
        let folder = folder();
        zone::write(folder.path(), &[meter("a")], ALERTS);
        let broker = Mosquitto::start();
        let gateway = Publisher::connect(broker.port(), ZONE);
        let mut scene = Scene { folder, broker, gateway, url: url.to_owned(), collector: None };
        scene.start();
        scene.gateway.clock(&at(0));
        scene
    }

    fn start(&mut self) {
        let flags = ["--influx", &self.url, "--org", "zone", "--bucket", "energy", "--http", "127.0.0.1:0"];
        let folder = self.folder.path();
        // A point that waits longer than a second is late.
        let environment = [("INFLUX_TOKEN", TOKEN), ("NENGTAN__INFLUX__DELAY_WARN_S", "1")];
        let collector = Collector::spawn_with(&folder.join("zone"), &self.data(), &self.broker.url(), &flags, &environment);
        collector.await_ready();
        self.collector = Some(collector);
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// One reading a minute: 60 kWh an hour.
    fn load(&mut self, minutes: std::ops::Range<u32>) {
        for minute in minutes {
            self.gateway.publish(&telemetry("GW-1"), reading("a", minute, minute + 1, minute));
            self.gateway.clock(&at(minute));
        }
    }

    fn await_empty(&self) {
        until(SOON, "all is delivered", || stored(&self.data(), WAITING).filter(|waiting| *waiting == 0));
    }

    /// Where metrics are served.
    fn address(&self) -> String {
        let log = self.log();
        log.split("address=").nth(1).unwrap().split_whitespace().next().unwrap().to_owned()
    }

    fn log(&self) -> String {
        self.collector.as_ref().unwrap().stderr()
    }
}

/// Minutes and kWh of the readings in `InfluxDB`.
fn readings(server: &Influxd) -> Vec<(i64, f64)> {
    let values = server.values("reading", "active_energy_import_kwh", &["meter"]);
    // 2026-01-05 00:00 +08:00.
    values.iter().map(|((_, ms), value)| ((ms - 1_767_542_400_000) / 60_000, *value)).collect()
}

fn kwh(server: &Influxd) -> f64 {
    server.values("energy", "kwh", &["entity"]).iter().filter(|((tags, _), _)| tags[0] == "E-a").map(|(_, kwh)| kwh).sum()
}

fn minutes(range: std::ops::Range<u32>) -> Vec<(i64, f64)> {
    range.map(|minute| (i64::from(minute), f64::from(minute))).collect()
}

#[test]
fn a_server_that_is_down_and_killed_and_a_collector_that_is_killed_lose_and_double_nothing() {
    let name = "a_server_that_is_down_and_killed_and_a_collector_that_is_killed_lose_and_double_nothing";
    let Some(mut server) = Influxd::start(name) else { return };
    let mut scene = Scene::set(&server.url());
    scene.load(0..60);
    server.kill_9();
    scene.load(60..150);
    // The alert does not wait for InfluxDB.
    let high = format!(r#"{{"meter":"M-a","at":"{}","seq":900,"values":{{"active_power_kw":150}}}}"#, at(149));
    scene.gateway.publish(&telemetry("GW-1"), high);
    scene.gateway.clock(&at(150));
    assert_eq!(scene.gateway.heard("alert/load/M-a").len(), 1);
    until(SOON, "the outage is logged", || scene.log().contains("InfluxDB does not take lines").then_some(()));
    assert!(0 < count(&scene.data(), WAITING), "what the server has not got waits in the store");
    // Killed while the server is away, and again at once when it is back: somewhere between write and position.
    scene.collector.take().unwrap().kill_9();
    server.start_again();
    scene.start();
    until(SOON, "the first of the backlog arrives", || (60 < readings(&server).len()).then_some(()));
    scene.collector.take().unwrap().kill_9();
    scene.start();
    scene.load(151..200);
    scene.await_empty();
    let wanted: Vec<_> = minutes(0..200).into_iter().filter(|(minute, _)| *minute != 150).collect();
    assert_eq!(readings(&server), wanted);
    assert!((kwh(&server) - 199.0).abs() < 1e-9, "{}", kwh(&server));
    scene.collector.take().unwrap().stop();
}

#[test]
fn a_correction_overwrites_and_an_hour_that_is_gone_becomes_0() {
    let Some(server) = Influxd::start("a_correction_overwrites_and_an_hour_that_is_gone_becomes_0") else { return };
    let mut scene = Scene::set(&server.url());
    // One span over three hours, shared out evenly; then late readings say that all of it was used in the first hour.
    for (minute, kwh) in [(0, 0), (180, 90)] {
        scene.gateway.clock(&at(minute));
        scene.gateway.publish(&telemetry("GW-1"), reading("a", minute, minute + 1, kwh));
    }
    scene.gateway.clock(&at(180));
    scene.await_empty();
    let hours = |server: &Influxd| {
        server
            .values("energy", "kwh", &["entity"])
            .iter()
            .filter(|((tags, _), _)| tags[0] == "E-a")
            .map(|(_, kwh)| *kwh)
            .collect::<Vec<_>>()
    };
    assert_eq!(hours(&server), [30.0, 30.0, 30.0]);
    scene.gateway.publish(&telemetry("GW-1"), reading("a", 60, 500, 90));
    // Same moment, other value, an older count: the ledger keeps the first, and so does the copy.
    scene.gateway.publish(&telemetry("GW-1"), reading("a", 60, 400, 70));
    scene.gateway.clock(&at(181));
    scene.await_empty();
    assert_eq!(hours(&server), [90.0, 0.0, 0.0]);
    assert_eq!(readings(&server), [(0, 0.0), (60, 90.0), (180, 90.0)]);
    // An hour that the ledger has no more of: nothing in the protocol takes a reading away, so the row is taken from the file.
    scene.collector.take().unwrap().stop();
    let ledger = rusqlite::Connection::open(scene.data().join("nengtan.sqlite")).unwrap();
    ledger
        .execute_batch(
            "INSERT INTO outbox_key SELECT ts, entity, carrier, 1 FROM rollup_row WHERE level = 1 AND ts = 1767542400000; DELETE FROM rollup_row WHERE ts = 1767542400000 AND level = 1;",
        )
        .unwrap();
    drop(ledger);
    scene.start();
    scene.await_empty();
    assert_eq!(hours(&server), [0.0, 0.0, 0.0]);
    let kg: f64 = server.values("carbon", "kg_co2e", &["entity"]).values().sum();
    assert!(kg.abs() < 1e-12, "{kg}");
    scene.collector.take().unwrap().stop();
}

/// Answers like no real server can be made to: each write gets what `script` says of its number and body. A body is taken when the answer is 204.
struct Stub {
    url: String,
    taken: Arc<Mutex<Vec<String>>>,
}

/// Status, or none for silence.
type Script = fn(usize, &str) -> Option<u16>;

impl Stub {
    fn start(script: Script) -> Stub {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let taken = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&taken);
        std::thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                serve(stream.unwrap(), number, script, &kept);
            }
        });
        Stub { url, taken }
    }

    fn lines(&self) -> Vec<String> {
        self.taken.lock().unwrap().iter().flat_map(|body| body.lines().map(str::to_owned)).collect()
    }
}

fn serve(mut stream: TcpStream, number: usize, script: Script, taken: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut length, mut line) = (0, String::new());
    while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        line.clear();
    }
    let mut body = vec![0; length];
    // A collector that is killed takes its connection along.
    if reader.read_exact(&mut body).is_err() {
        return;
    }
    let body = String::from_utf8(body).unwrap();
    let Some(status) = script(number, &body) else { return };
    if status == 204 {
        taken.lock().unwrap().push(body);
    }
    let message = r#"{"code":"told","message":"the stub says no"}"#;
    let message = if status == 204 { "" } else { message };
    let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{message}", message.len());
    // As above.
    let _gone = stream.write_all(answer.as_bytes());
}

fn letters(scene: &Scene) -> Vec<(i64, String, i64)> {
    let rows = query(&scene.data(), "SELECT status, detail, lines FROM outbox_letter ORDER BY id");
    rows.iter()
        .map(|row| (row["status"].as_i64().unwrap(), row["detail"].as_str().unwrap().to_owned(), row["lines"].as_i64().unwrap()))
        .collect()
}

fn reading_minutes(lines: &[String]) -> BTreeMap<i64, usize> {
    let mut seen = BTreeMap::new();
    for line in lines.iter().filter(|line| line.starts_with("reading,")) {
        let ms: i64 = line.rsplit(' ').next().unwrap().parse().unwrap();
        *seen.entry((ms - 1_767_542_400_000) / 60_000).or_default() += 1;
    }
    seen
}

/// What a server does that waiting mends: all arrives, once each.
fn check_waiting(script: Script) {
    let stub = Stub::start(script);
    let mut scene = Scene::set(&stub.url);
    scene.load(0..20);
    scene.await_empty();
    let seen = reading_minutes(&stub.lines());
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), (0..20).map(|minute| (minute, 1)).collect::<Vec<_>>());
    assert_eq!(letters(&scene), []);
    scene.collector.take().unwrap().stop();
}

#[test]
fn answers_429_503_and_none_at_all_are_waited_out() {
    check_waiting(|number, _| match number {
        0 => Some(429),
        1 => Some(503),
        2 => None,
        _ => Some(204),
    });
}

#[test]
fn a_body_that_is_too_large_is_split_until_it_fits() {
    check_waiting(|_, body| Some(if body.lines().count() > 3 { 413 } else { 204 }));
}

#[test]
fn a_line_that_is_refused_for_good_becomes_a_dead_letter_and_its_neighbours_arrive() {
    // Minute 7, whatever else is in the body.
    let stub = Stub::start(|_, body| Some(if body.contains("=7 1767542820000") { 400 } else { 204 }));
    let mut scene = Scene::set(&stub.url);
    scene.load(0..20);
    scene.await_empty();
    let minutes: Vec<i64> = reading_minutes(&stub.lines()).into_keys().collect();
    assert_eq!(minutes, (0..20).filter(|minute| *minute != 7).collect::<Vec<_>>());
    assert_eq!(letters(&scene), [(400, "the stub says no".to_owned(), 1)]);
    assert!(scene.log().contains("kept as a dead letter"), "{}", scene.log());
    // With one reading refused, too, the collector has shown everything that the rules for Prometheus look at.
    scene.gateway.publish(&telemetry("GW-1"), "{");
    scene.gateway.clock(&at(20));
    let metrics = get(&scene.address(), "/metrics").1;
    assert_named_by_base_units(&metrics);
    let rules = std::fs::read_to_string(repository("deploy/prometheus/nengtan.rules.yml")).unwrap();
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let expressions = rules.lines().filter_map(|line| line.trim().strip_prefix("expr:"));
    let names: Vec<&str> =
        expressions.flat_map(|line| line.split(|letter| !is_name(letter))).filter(|word| word.starts_with("nengtan_")).collect();
    assert!(4 <= names.len(), "{names:?}");
    for name in names {
        assert!(metrics.lines().any(|line| line.split(['{', ' ']).next() == Some(name)), "{name} is in the rules and not in: {metrics}");
    }
    scene.collector.take().unwrap().stop();
}

#[test]
fn a_refused_token_holds_all_lines_and_raises_an_alert() {
    let stub = Stub::start(|_, _| Some(401));
    let mut scene = Scene::set(&stub.url);
    scene.load(0..20);
    until(SOON, "the alert is raised", || scene.log().contains("alert=influx-refused state=firing").then_some(()));
    assert!(0 < count(&scene.data(), WAITING));
    assert_eq!((letters(&scene), stub.lines().len()), (Vec::new(), 0));
    let (status, told) = get(&scene.address(), "/readyz");
    assert!(status == 200 && told.contains("InfluxDB refuses the token: 401: the stub says no"), "{status} {told}");
    scene.collector.take().unwrap().stop();
}

#[test]
fn a_backlog_that_waits_too_long_is_warned_of_and_shown_until_it_is_gone() {
    static AWAY: AtomicBool = AtomicBool::new(true);
    let stub = Stub::start(|_, _| Some(if AWAY.load(Ordering::Relaxed) { 503 } else { 204 }));
    let mut scene = Scene::set(&stub.url);
    scene.load(0..20);
    until(SOON, "the delay is warned of", || scene.log().contains("InfluxDB lags behind the ledger").then_some(()));
    let address = scene.address();
    let shown = |name: &str| metric(&get(&address, "/metrics").1, name).unwrap();
    assert!(1.0 < shown("nengtan_influx_delay_seconds"));
    // 20 readings at least; counted every few seconds.
    until(SOON, "the backlog is counted", || (20.0 <= shown("nengtan_influx_backlog_lines")).then_some(()));
    let (status, told) = get(&address, "/readyz");
    assert!(status == 200 && told.contains("InfluxDB does not take lines: 503: the stub says no"), "{status} {told}");
    AWAY.store(false, Ordering::Relaxed);
    scene.await_empty();
    until(SOON, "no cause is left", || (get(&address, "/readyz").1 == r#"{"causes":[],"ready":true}"#).then_some(()));
    until(SOON, "the end of the delay is told", || scene.log().contains("InfluxDB has caught up").then_some(()));
    until(SOON, "no delay is shown", || (shown("nengtan_influx_delay_seconds") < 1.0).then_some(()));
    scene.collector.take().unwrap().stop();
}

/// Between collector and server: while it holds, what the server answers is swallowed.
struct Proxy {
    url: String,
    holds: Arc<AtomicBool>,
    held: Arc<AtomicBool>,
}

impl Proxy {
    fn start(server: &str) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (holds, held) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (flags, server) = ((Arc::clone(&holds), Arc::clone(&held)), server.trim_start_matches("http://").to_owned());
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (mut from_client, mut to_client) = (client.as_ref().unwrap().try_clone().unwrap(), client.unwrap());
                let mut from_server = TcpStream::connect(&server).unwrap();
                let mut to_server = from_server.try_clone().unwrap();
                // Either side may end while bytes are on their way.
                std::thread::spawn(move || {
                    std::io::copy(&mut from_client, &mut to_server).and_then(|_| to_server.shutdown(Shutdown::Write))
                });
                let (holds, held) = flags.clone();
                std::thread::spawn(move || {
                    let mut bytes = [0; 4096];
                    while let Ok(read @ 1..) = from_server.read(&mut bytes) {
                        if holds.load(Ordering::SeqCst) {
                            assert!(
                                bytes.starts_with(b"HTTP/1.1 204"),
                                "the server takes what is held: {}",
                                String::from_utf8_lossy(&bytes)
                            );
                            held.store(true, Ordering::SeqCst);
                        } else if to_client.write_all(&bytes[..read]).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Proxy { url, holds, held }
    }
}

#[test]
fn a_collector_killed_between_write_and_position_sends_the_same_points_again() {
    let Some(server) = Influxd::start("a_collector_killed_between_write_and_position_sends_the_same_points_again") else { return };
    let proxy = Proxy::start(&server.url());
    let mut scene = Scene::set(&proxy.url);
    scene.load(0..70);
    scene.await_empty();
    proxy.holds.store(true, Ordering::SeqCst);
    scene.load(70..130);
    until(SOON, "the server has taken a write that the collector knows nothing of", || proxy.held.load(Ordering::SeqCst).then_some(()));
    scene.collector.take().unwrap().kill_9();
    assert!(70 < readings(&server).len(), "the server has it");
    assert!(0 < stored(&scene.data(), WAITING).unwrap(), "and the ledger does not know");
    scene.url = server.url();
    scene.start();
    scene.await_empty();
    assert_eq!(readings(&server), minutes(0..130));
    assert!((kwh(&server) - 129.0).abs() < 1e-9, "{}", kwh(&server));
    scene.collector.take().unwrap().stop();
}
