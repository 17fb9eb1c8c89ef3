//! Brokers as they stand in production: TLS, users, an access list, queues that must not drop; and both versions of MQTT.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::harness::collector::Collector;
use crate::harness::fleet::Fleet;
use crate::harness::ledger::{stored, verify};
use crate::harness::mosquitto::Mosquitto;
use crate::harness::publisher::Publisher;
use crate::harness::zone::{self, ZONE, meter};
use crate::harness::{LONG, Process, SOON, folder, nengtan, path, repository, run, text, until};

const READINGS: &str = "SELECT COUNT(*) FROM every_reading WHERE verdict IS NOT NULL";
const HIGH_TECH: &str = "qingdao-hightech";

/// A secured broker for the gateways of the Qingdao zone and the fleet's clock.
fn of_the_zone() -> Mosquitto {
    let meters = std::fs::read_to_string(repository("config/zones/qingdao-hightech/meters.csv")).unwrap();
    let mut reader = csv::Reader::from_reader(meters.as_bytes());
    let column = reader.headers().unwrap().iter().position(|name| name == "gateway").unwrap();
    let mut names: Vec<String> =
        reader.records().map(|record| record.unwrap()[column].to_owned()).filter(|name| !name.is_empty()).collect();
    names.sort();
    names.dedup();
    names.push("fleet".to_owned());
    Mosquitto::secured(HIGH_TECH, &names.iter().map(String::as_str).collect::<Vec<_>>(), &[])
}

/// Plays two harsh days over TLS, kills the collector on the way, and holds the ledger against the truth.
fn check_end_to_end(broker: &Mosquitto, url: &str, flags: &[&str]) {
    let folder = folder();
    let zone = repository("config/zones").join(HIGH_TECH);
    let (data, truth, ca) = (folder.path().join("data"), folder.path().join("truth.jsonl"), broker.folder().join("ca.crt"));
    let flags = [flags, &["--ca-file", path(&ca)]].concat();
    let start = || {
        let collector = Collector::spawn(&zone, &data, url, &flags);
        collector.await_ready();
        collector
    };
    let collector = start();
    let (fleets_url, clients) = (format!("mqtts://localhost:{}", broker.port()), broker.folder().join("clients"));
    let arguments = ["run", "--zone", path(&zone), "--broker", &fleets_url, "--ca-file", path(&ca), "--credentials", path(&clients)];
    let play = ["--seed", "11", "--faults", "harsh", "--speed", "max", "--days", "2", "--truth", path(&truth)];
    let mut fleet = Fleet::spawn(&[&arguments[..], &play].concat(), &folder.path().join("fleet.stderr"));
    until(LONG, "half a day is stored", || {
        assert!(!fleet.has_ended(), "the fleet ended early: {}", fleet.stderr());
        stored(&data, READINGS).filter(|seen| 15_000 <= *seen)
    });
    collector.kill_9();
    let collector = start();
    fleet.finish();
    assert!(collector.stderr().contains("session_present=true"), "{}", collector.stderr());
    collector.stop();
    let (code, told) = verify(&data, &truth);
    assert_eq!(code, Some(0), "{told}");
}

#[test]
fn over_tls_with_client_certificates_two_harsh_days_verify() {
    let broker = of_the_zone();
    let [cert, key] = ["crt", "key"].map(|kind| broker.folder().join("clients/collector").with_extension(kind));
    let url = format!("mqtts://localhost:{}", broker.port_by_certificate());
    check_end_to_end(&broker, &url, &["--cert-file", path(&cert), "--key-file", path(&key)]);
}

#[test]
fn over_tls_with_passwords_and_mqtt_3_1_1_two_harsh_days_verify() {
    let broker = of_the_zone();
    let password = broker.folder().join("clients/collector.password");
    let url = format!("mqtts://localhost:{}", broker.port());
    check_end_to_end(&broker, &url, &["--mqtt", "3", "--user", "collector", "--password-file", path(&password)]);
}

/// A tiny zone beside a secured broker.
struct Scene {
    folder: tempfile::TempDir,
    zone: PathBuf,
    broker: Mosquitto,
}

impl Scene {
    fn set(environment: &[(&str, &str)]) -> Scene {
        let folder = folder();
        let zone = zone::write(folder.path(), &[meter("a")], "");
        Scene { folder, zone, broker: Mosquitto::secured(ZONE, &["GW-1", "GW-2"], environment) }
    }

    fn file(&self, name: &str) -> String {
        path(&self.broker.folder().join(name)).to_owned()
    }

    /// `mosquitto_pub` or `mosquitto_sub` as a user.
    fn client(&self, program: &str, user: &str) -> Command {
        let password = std::fs::read_to_string(self.file(&format!("clients/{user}.password"))).unwrap();
        let mut command = Command::new(program);
        command.args(["-h", "localhost", "-p", &self.broker.port().to_string(), "--cafile", &self.file("ca.crt")]);
        command.args(["-u", user, "-P", password.trim(), "-q", "1", "-V", "5"]);
        command
    }

    fn publish(&self, user: &str, topic: &str) {
        let output = self.client("mosquitto_pub", user).args(["-t", topic, "-m", "x"]).output().unwrap();
        assert!(!text(&output.stderr).contains("Connection"), "{}", text(&output.stderr));
    }
}

#[test]
fn a_gateway_publishes_under_its_own_topics_only_and_only_the_collector_commands() {
    let scene = Scene::set(&[]);
    let heard = scene.folder.path().join("heard");
    let out = std::fs::File::create(&heard).unwrap();
    let mut listener = scene.client("mosquitto_sub", "collector");
    let child = listener.args(["-t", "nengtan/#", "-F", "%t"]).stdout(out).stderr(Stdio::null()).spawn().unwrap();
    let _listener = Process(child);
    let listening = || std::fs::read_to_string(&heard).unwrap();
    until(SOON, "the listener hears", || {
        scene.publish("collector", "nengtan/tiny/probe/listening");
        listening().contains("probe").then_some(())
    });
    let forbidden = [
        ("GW-1", "nengtan/tiny/gw/GW-2/telemetry"),
        ("GW-1", "nengtan/tiny/gw/GW-2/status"),
        ("GW-1", "nengtan/other/gw/GW-1/telemetry"),
        ("GW-1", "nengtan/tiny/gw/GW-1/backfill"),
        ("GW-1", "nengtan/tiny/asset/GW-1/command"),
        ("GW-1", "nengtan/tiny/asset/B-1/command"),
        ("GW-1", "nengtan/tiny/clock"),
        ("GW-1", "nengtan/tiny/clock/done"),
        ("GW-1", "nengtan/tiny/alert/load/M-a"),
        ("collector", "nengtan/tiny/gw/GW-1/telemetry"),
    ];
    for (user, topic) in forbidden {
        scene.publish(user, topic);
    }
    let allowed = [
        ("GW-1", "nengtan/tiny/gw/GW-1/telemetry"),
        ("GW-2", "nengtan/tiny/gw/GW-2/event"),
        ("collector", "nengtan/tiny/asset/B-1/command"),
        ("collector", "nengtan/tiny/clock/done"),
    ];
    for (user, topic) in allowed {
        scene.publish(user, topic);
    }
    until(SOON, "the last is heard", || listening().contains("clock/done").then_some(()));
    let told: Vec<String> = listening().lines().filter(|line| !line.contains("probe")).map(str::to_owned).collect();
    assert_eq!(told, allowed.map(|(_, topic)| topic));
}

/// The collector ends by itself, with 1 and a line that says why and what to do.
fn check_refused(scene: &Scene, url: &str, flags: &[&str], wanted: &[&str]) {
    let data = scene.folder.path().join("data");
    let mut collector = Collector::spawn(&scene.zone, &data, url, flags);
    let code = collector.ends(SOON);
    let told = collector.stderr();
    let last = told.lines().last().unwrap_or_default().to_owned();
    assert_eq!(code, 1, "{flags:?}: {told}");
    for part in wanted {
        assert!(last.contains(part), "{flags:?}: wanted {part:?} in {last}");
    }
}

#[test]
fn wrong_passwords_and_certificates_end_the_start_with_their_remedy() {
    let scene = Scene::set(&[]);
    let stranger = Scene::set(&[("CLIENT_DAYS", "0")]);
    let by_password = format!("mqtts://localhost:{}", scene.broker.port());
    let by_certificate = format!("mqtts://localhost:{}", scene.broker.port_by_certificate());
    let (ca, other_ca) = (scene.file("ca.crt"), stranger.file("ca.crt"));
    let wrong = scene.file("clients/GW-1.password");
    let login = ["--user", "collector", "--password-file", &wrong];
    check_refused(&scene, &by_password, &[&login[..], &["--ca-file", &ca]].concat(), &["NotAuthorized", "broker.username"]);
    check_refused(&scene, &by_password, &[&login[..], &["--ca-file", &ca, "--mqtt", "3"]].concat(), &["NotAuthorized", "broker.username"]);
    check_refused(&scene, &by_password, &["--ca-file", &other_ca], &["of another authority", "broker.ca_file"]);
    check_refused(&scene, &by_password.replace("localhost", "127.0.0.1"), &["--ca-file", &ca], &["for another name", "broker.url"]);
    check_refused(&scene, &by_certificate, &["--ca-file", &ca], &["broker.cert_file"]);
    let strange = [stranger.file("clients/collector.crt"), stranger.file("clients/collector.key")];
    let shown = ["--ca-file", &ca, "--cert-file", &strange[0], "--key-file", &strange[1]];
    check_refused(&scene, &by_certificate, &shown, &["does not take this side's certificate"]);
    // Of the right authority, but run out.
    let by_certificate = format!("mqtts://localhost:{}", stranger.broker.port_by_certificate());
    await_run_out(Path::new(&strange[0]));
    let shown = ["--ca-file", &other_ca, "--cert-file", &strange[0], "--key-file", &strange[1]];
    check_refused(&stranger, &by_certificate, &shown, &["does not take this side's certificate", "run out"]);
    // A broker that does not speak TLS cannot be told from one that restarts: no end, but a hint.
    let plain = Mosquitto::start();
    let url = format!("mqtts://localhost:{}", plain.port());
    let collector = Collector::spawn(&scene.zone, &scene.folder.path().join("data"), &url, &["--ca-file", &ca]);
    until(SOON, "the hint is logged", || collector.stderr().contains("does the broker speak TLS at this port?").then_some(()));
}

/// Two seconds over: certificates count whole seconds.
fn await_run_out(certificate: &Path) {
    until(SOON, "the certificate has run out", || {
        let check = Command::new("openssl").args(["x509", "-checkend", "-2", "-noout", "-in", path(certificate)]).output().unwrap();
        (!check.status.success()).then_some(())
    });
}

#[test]
fn a_brokers_certificate_that_has_run_out_ends_the_start_with_its_remedy() {
    let scene = Scene::set(&[("SERVER_DAYS", "0")]);
    await_run_out(&scene.broker.folder().join("server.crt"));
    let url = format!("mqtts://localhost:{}", scene.broker.port());
    check_refused(&scene, &url, &["--ca-file", &scene.file("ca.crt")], &["has run out", "renew it"]);
}

#[test]
fn certificates_that_cannot_be_read_are_faults_of_the_configuration() {
    let scene = Scene::set(&[]);
    let missing = scene.file("no-such-file");
    let key_of_another = scene.file("clients/GW-1.key");
    let cert = scene.file("clients/collector.crt");
    let flags = ["--ca-file", &missing, "--cert-file", &cert, "--key-file", &key_of_another];
    let output = run(&[&["collect", "--broker", "mqtts://localhost", "--zone", path(&scene.zone)], &flags[..]].concat());
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("broker.ca_file"), "{}", text(&output.stderr));
    let ca = scene.file("ca.crt");
    let flags = ["--ca-file", &ca, "--cert-file", &cert, "--key-file", &key_of_another];
    let output = run(&[&["collect", "--broker", "mqtts://localhost", "--zone", path(&scene.zone)], &flags[..]].concat());
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("broker.key_file"), "{}", text(&output.stderr));
}

/// Code and all that `check --online` says.
fn check_online(zone: &Path, url: &str, flags: &[&str]) -> (Option<i32>, String) {
    let arguments = [&["check", "--zone", path(zone), "--online", "--broker", url], flags].concat();
    let output = nengtan(&arguments).output().unwrap();
    (output.status.code(), text(&output.stdout) + &text(&output.stderr))
}

/// Nothing of the probe is left behind: a stopped broker has written down all its sessions.
fn check_forgotten(broker: &mut Mosquitto) {
    // What the broker answers now comes after all that the probe had sent.
    assert!(Publisher::connect(broker.port(), ZONE).publish("nengtan/after", "probe"));
    broker.stop();
    let saved = std::fs::read(broker.folder().join("mosquitto.db")).unwrap();
    assert!(!text(&saved).contains("nengtan-probe"), "the probe's session is still there");
}

#[test]
fn check_online_counts_what_a_broker_keeps_and_names_the_settings_that_drop() {
    let folder = folder();
    let zone = zone::write(folder.path(), &[meter("a")], "");
    for version in ["5", "3"] {
        let mut shipped = Mosquitto::start();
        let (code, told) = check_online(&zone, &shipped.url(), &["--mqtt", version]);
        assert_eq!(code, Some(0), "{told}");
        assert!(told.contains("kept 2000 of 2000 messages") && told.contains("1000 in flight"), "{told}");
        check_forgotten(&mut shipped);
        // 1,000 queued: Mosquitto's manual, max_queued_messages.
        let default = Mosquitto::by_default();
        let (code, told) = check_online(&zone, &default.url(), &["--mqtt", version]);
        assert_eq!(code, Some(1), "{told}");
        for part in ["max_queued_messages 0", "max_inflight_messages 1000", "of 2000 messages"] {
            assert!(told.contains(part), "{told}");
        }
        assert!(!told.contains("kept 2000"), "{told}");
    }
}

#[test]
fn check_online_names_a_broker_that_is_not_there_and_an_access_list_that_forbids() {
    let scene = Scene::set(&[]);
    let url = format!("mqtts://localhost:{}", scene.broker.port());
    let ca = scene.file("ca.crt");
    let as_user = |user: &str| {
        let password = scene.file(&format!("clients/{user}.password"));
        check_online(&scene.zone, &url, &["--ca-file", &ca, "--user", user, "--password-file", &password])
    };
    let (code, told) = as_user("collector");
    assert_eq!(code, Some(0), "{told}");
    let (code, told) = as_user("GW-1");
    assert!(code == Some(1) && told.contains("access list"), "{told}");
    let mut gone = Mosquitto::start();
    gone.stop();
    let (code, told) = check_online(&scene.zone, &gone.url(), &[]);
    assert!(code == Some(1) && told.contains("no connection to broker mqtt://127.0.0.1:"), "{told}");
}

#[test]
fn both_shipped_configurations_have_the_same_limits() {
    let keys = |name: &str| -> Vec<String> {
        let text = std::fs::read_to_string(repository("deploy/mosquitto").join(name)).unwrap();
        let own = ["listener", "allow_anonymous", "cafile", "certfile", "keyfile", "require_certificate", "use_identity_as_username"];
        let own = [&own[..], &["password_file", "acl_file"]].concat();
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines.filter(|line| !own.contains(&line.split(' ').next().unwrap())).map(str::to_owned).collect()
    };
    assert_eq!(keys("nengtan.conf"), keys("nengtan-tls.conf"));
}
