//! A collector that copies to `InfluxDB`, and servers that answer like no real one can be made to.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::collector::Collector;
use super::influxd::{BUCKET, Influxd, ORG, TOKEN};
use super::ledger::{query, stored};
use super::mosquitto::Mosquitto;
use super::publisher::Publisher;
use super::zone::{self, ZONE, at, meter, reading, telemetry};
use super::{SOON, folder, until};

pub const WAITING: &str =
    "SELECT (SELECT COUNT(*) FROM outbox_row) + (SELECT COUNT(*) FROM outbox_key) + (SELECT COUNT(*) FROM outbox_reading)";
const ALERTS: &str = "[[threshold]]\nrule = \"load\"\nname_en = \"Load high\"\nname_zh = \"负载过高\"\nseverity = \"warning\"\non = \"gauge\"\nitem = \"active_power_kw\"\nraise_above = 100.0\nclear_below = 80.0\nhold_s = 0\n";

pub struct Scene {
    folder: tempfile::TempDir,
    broker: Mosquitto,
    pub gateway: Publisher,
    pub url: String,
    bucket: String,
    environment: Vec<(&'static str, String)>,
    pub collector: Option<Collector>,
}

impl Scene {
    /// A collector that writes to `url`.
    pub fn set(url: &str) -> Scene {
        Scene::with(url, BUCKET, &[("INFLUX_TOKEN", TOKEN)])
    }

    /// As [`set`](Self::set), into a bucket of this name, with variables of the collector's environment.
    pub fn with(url: &str, bucket: &str, environment: &[(&'static str, &str)]) -> Scene {
        let folder = folder();
        zone::write(folder.path(), &[meter("a")], ALERTS);
        let broker = Mosquitto::start();
        let gateway = Publisher::connect(broker.port(), ZONE);
        // A point that waits longer than a second is late.
        let environment = [environment, &[("NENGTAN__INFLUX__DELAY_WARN_S", "1")]].concat();
        let environment = environment.into_iter().map(|(name, value)| (name, value.to_owned())).collect();
        let (url, bucket) = (url.to_owned(), bucket.to_owned());
        let mut scene = Scene { folder, broker, gateway, url, bucket, environment, collector: None };
        scene.start();
        scene.gateway.clock(&at(0));
        scene
    }

    pub fn start(&mut self) {
        let flags = ["--influx", &self.url, "--org", ORG, "--bucket", &self.bucket, "--http", "127.0.0.1:0"];
        let folder = self.folder.path();
        let environment: Vec<(&str, &str)> = self.environment.iter().map(|(name, value)| (*name, &**value)).collect();
        let collector = Collector::spawn_with(&folder.join("zone"), &self.data(), &self.broker.url(), &flags, &environment);
        collector.await_ready();
        self.collector = Some(collector);
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// One reading a minute: 60 kWh an hour.
    pub fn load(&mut self, minutes: std::ops::Range<u32>) {
        for minute in minutes {
            self.gateway.publish(&telemetry("GW-1"), reading("a", minute, minute + 1, minute));
            self.gateway.clock(&at(minute));
        }
    }

    pub fn await_empty(&self) {
        until(SOON, "all is delivered", || stored(&self.data(), WAITING).filter(|waiting| *waiting == 0));
    }

    /// Where metrics are served.
    pub fn address(&self) -> String {
        let log = self.log();
        log.rsplit_once("address=").unwrap().1.split_whitespace().next().unwrap().to_owned()
    }

    pub fn log(&self) -> String {
        self.collector.as_ref().unwrap().stderr()
    }
}

/// Minutes and kWh of the readings in `InfluxDB`.
pub fn readings(server: &Influxd) -> Vec<(i64, f64)> {
    let values = server.values("reading", "active_energy_import_kwh", &["meter"]);
    // 2026-01-05 00:00 +08:00.
    values.iter().map(|((_, ms), value)| ((ms - 1_767_542_400_000) / 60_000, *value)).collect()
}

pub fn kwh(server: &Influxd) -> f64 {
    server.values("energy", "kwh", &["entity"]).iter().filter(|((tags, _), _)| tags[0] == "E-a").map(|(_, kwh)| kwh).sum()
}

pub fn minutes(range: std::ops::Range<u32>) -> Vec<(i64, f64)> {
    range.map(|minute| (i64::from(minute), f64::from(minute))).collect()
}

/// Answers like no real server can be made to: each write gets what `script` says of its number and body. A body is taken when the answer is 204.
pub struct Stub {
    pub url: String,
    pub taken: Arc<Mutex<Vec<String>>>,
}

impl Stub {
    /// `script` gives a status, or none for a connection that stays open without an answer.
    pub fn start(script: impl Fn(usize, &str) -> Option<u16> + Send + 'static) -> Stub {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let taken = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&taken);
        std::thread::spawn(move || {
            // Held open, or it would be an answer.
            let mut silent = Vec::new();
            for (number, stream) in listener.incoming().enumerate() {
                silent.extend(serve(stream.unwrap(), |body| script(number, body), &kept));
            }
        });
        Stub { url, taken }
    }

    pub fn lines(&self) -> Vec<String> {
        self.taken.lock().unwrap().iter().flat_map(|body| body.lines().map(str::to_owned)).collect()
    }
}

/// Gives the connection back if there is to be no answer.
fn serve(mut stream: TcpStream, script: impl Fn(&str) -> Option<u16>, taken: &Mutex<Vec<String>>) -> Option<TcpStream> {
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
        return None;
    }
    let body = String::from_utf8(body).unwrap();
    let Some(status) = script(&body) else { return Some(stream) };
    if status == 204 {
        taken.lock().unwrap().push(body);
    }
    let message = r#"{"code":"told","message":"the stub says no"}"#;
    let message = if status == 204 { "" } else { message };
    let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{message}", message.len());
    // As above.
    let _gone = stream.write_all(answer.as_bytes());
    None
}

pub fn letters(scene: &Scene) -> Vec<(i64, String, i64)> {
    let rows = query(&scene.data(), "SELECT status, detail, lines FROM outbox_letter ORDER BY id");
    rows.iter()
        .map(|row| (row["status"].as_i64().unwrap(), row["detail"].as_str().unwrap().to_owned(), row["lines"].as_i64().unwrap()))
        .collect()
}

pub fn reading_minutes(lines: &[String]) -> BTreeMap<i64, usize> {
    let mut seen = BTreeMap::new();
    for line in lines.iter().filter(|line| line.starts_with("reading,")) {
        let ms: i64 = line.rsplit(' ').next().unwrap().parse().unwrap();
        *seen.entry((ms - 1_767_542_400_000) / 60_000).or_default() += 1;
    }
    seen
}

/// Between collector and server: while it holds, what the server answers is swallowed; while it cuts, the server gets only half of what is sent to it.
pub struct Proxy {
    pub url: String,
    pub holds: Arc<AtomicBool>,
    pub cuts: Arc<AtomicBool>,
    /// Whether anything was swallowed or cut.
    pub held: Arc<AtomicBool>,
}

impl Proxy {
    pub fn start(server: &str) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let [holds, cuts, held] = [(); 3].map(|()| Arc::new(AtomicBool::new(false)));
        let proxy = Proxy { url, holds: Arc::clone(&holds), cuts: Arc::clone(&cuts), held: Arc::clone(&held) };
        let server = server.trim_start_matches("http://").to_owned();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                // A server that is down: the client sees its connection end.
                let Ok(server) = TcpStream::connect(&server) else { continue };
                let (to_server, from_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
                let (cutting, cut) = (Arc::clone(&cuts), Arc::clone(&held));
                pass(from_client, to_server, move |bytes| {
                    if !cutting.load(Ordering::SeqCst) {
                        return bytes.len();
                    }
                    cut.store(true, Ordering::SeqCst);
                    bytes.len() / 2
                });
                let (holding, held) = (Arc::clone(&holds), Arc::clone(&held));
                pass(server, client, move |bytes| {
                    if !holding.load(Ordering::SeqCst) {
                        return bytes.len();
                    }
                    let answer = String::from_utf8_lossy(bytes);
                    assert!(answer.starts_with("HTTP/1.1 204"), "the server takes what is held: {answer}");
                    held.store(true, Ordering::SeqCst);
                    0
                });
            }
        });
        proxy
    }
}

/// Passes on as many bytes of what comes as `share` says. Where one side ends, so does the other.
fn pass(mut from: TcpStream, mut to: TcpStream, share: impl Fn(&[u8]) -> usize + Send + 'static) {
    std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(read @ 1..) = from.read(&mut bytes) {
            if to.write_all(&bytes[..share(&bytes[..read])]).is_err() {
                break;
            }
        }
        // Either may be gone by now.
        to.shutdown(Shutdown::Both)
    });
}

/// What a server does that waiting or splitting mends: all arrives, once each.
pub fn check_arrives_once(script: impl Fn(usize, &str) -> Option<u16> + Send + 'static) {
    let stub = Stub::start(script);
    let mut scene = Scene::set(&stub.url);
    scene.load(0..20);
    scene.await_empty();
    let seen = reading_minutes(&stub.lines());
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), (0..20).map(|minute| (minute, 1)).collect::<Vec<_>>());
    assert_eq!(letters(&scene), []);
    scene.collector.take().unwrap().stop();
}
