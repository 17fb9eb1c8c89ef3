//! What `InfluxDB` refuses: bodies are split, lines become dead letters that can be sent once more, and a refused token holds all of them.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::harness::copy::{Scene, Stub, WAITING, check_arrives_once, kwh, letters, minutes, reading_minutes, readings};
use crate::harness::influxd::{BUCKET, Influxd, TOKEN};
use crate::harness::ledger::count;
use crate::harness::zone::{at, telemetry};
use crate::harness::{SOON, folder, path, repository, run, text, until};
use crate::operations::{assert_named_by_base_units, get};

/// The reading of minute 7, whatever else is in the body.
const MINUTE_7: &str = "=7 1767542820000";

#[test]
fn a_body_that_is_too_large_is_split_until_it_fits() {
    check_arrives_once(|_, body| Some(if body.lines().count() > 3 { 413 } else { 204 }));
}

#[test]
fn a_line_that_is_refused_for_good_becomes_a_dead_letter_and_its_neighbours_arrive() {
    let stub = Stub::start(|_, body| Some(if body.contains(MINUTE_7) { 400 } else { 204 }));
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
fn a_line_that_is_too_large_or_cannot_be_processed_becomes_a_dead_letter_of_its_own() {
    for status in [413, 422] {
        let stub = Stub::start(move |_, body| Some(if body.contains(MINUTE_7) { status } else { 204 }));
        let mut scene = Scene::set(&stub.url);
        scene.load(0..20);
        scene.await_empty();
        assert!(reading_minutes(&stub.lines()).into_keys().eq((0..20).filter(|minute| *minute != 7)));
        assert_eq!(letters(&scene), [(status.into(), "the stub says no".to_owned(), 1)]);
        scene.collector.take().unwrap().stop();
    }
}

#[test]
fn however_many_lines_are_bad_each_is_a_letter_of_its_own_and_takes_no_neighbour_along() {
    static AWAY: AtomicBool = AtomicBool::new(true);
    let is_odd = |line: &str| reading_minutes(&[line.to_owned()]).into_keys().any(|minute| minute % 2 == 1);
    let stub = Stub::start(move |_, body| match body.lines().any(is_odd) {
        _ if AWAY.load(Ordering::Relaxed) => Some(503),
        true => Some(400),
        false => Some(204),
    });
    let mut scene = Scene::set(&stub.url);
    // Together in one portion.
    scene.load(0..200);
    AWAY.store(false, Ordering::Relaxed);
    scene.await_empty();
    assert!(reading_minutes(&stub.lines()).into_keys().eq((0..200).filter(|minute| minute % 2 == 0)));
    assert_eq!(letters(&scene), vec![(400, "the stub says no".to_owned(), 1); 100]);
    scene.collector.take().unwrap().stop();
}

/// Every point of the tests' day is older than an hour.
#[test]
fn points_older_than_a_buckets_retention_are_dead_letters_with_the_servers_message() {
    let Some(server) = Influxd::start("points_older_than_a_buckets_retention_are_dead_letters_with_the_servers_message") else { return };
    let flags = ["influx", "create-bucket", "--retention", "1h", "--influx", &server.url(), "--org", "zone", "--bucket", "short"];
    let made = crate::harness::nengtan(&flags).env("INFLUX_TOKEN", TOKEN).output().unwrap();
    assert!(made.status.success(), "{}", text(&made.stderr));
    let mut scene = Scene::with(&server.url(), "short", &[("INFLUX_TOKEN", TOKEN)]);
    scene.load(0..20);
    scene.await_empty();
    let letters = letters(&scene);
    assert!(letters.iter().all(|(status, detail, _)| *status == 422 && detail.contains("retention policy of duration 1h")), "{letters:?}");
    // 20 readings, and at least an hour's energy and carbon.
    assert!(22 <= letters.iter().map(|(_, _, lines)| lines).sum::<i64>(), "{letters:?}");
    assert!(letters.iter().any(|(_, _, lines)| 1 < *lines), "a body of which all points were dropped is one letter: {letters:?}");
    scene.collector.take().unwrap().stop();
}

#[test]
fn lines_for_a_bucket_that_is_gone_are_dead_letters_until_they_are_sent_once_more() {
    let name = "lines_for_a_bucket_that_is_gone_are_dead_letters_until_they_are_sent_once_more";
    let Some(server) = Influxd::start(name) else { return };
    let mut scene = Scene::set(&server.url());
    scene.load(0..5);
    scene.await_empty();
    server.delete_bucket();
    scene.load(5..40);
    let high = format!(r#"{{"meter":"M-a","at":"{}","seq":900,"values":{{"active_power_kw":150}}}}"#, at(39));
    scene.gateway.publish(&telemetry("GW-1"), high);
    scene.gateway.clock(&at(40));
    scene.await_empty();
    let refused = letters(&scene);
    assert!(!refused.is_empty() && refused.iter().all(|(status, detail, _)| *status == 404 && detail.contains("not found")), "{refused:?}");
    server.told(&["influx", "create-bucket"]);
    // The hour that the letters tell of goes on before they go once more: they must not bring its older figure back.
    scene.load(41..50);
    scene.await_empty();
    assert!((kwh(&server) - 49.0).abs() < 1e-9, "{}", kwh(&server));
    let data = scene.data();
    let resend = || text(&run(&["influx", "resend", "--data", path(&data)]).stdout);
    let told = resend();
    assert!(told.contains(&format!("{} dead letters", refused.len())), "{told}");
    until(SOON, "no letter is left", || (count(&data, "SELECT COUNT(*) FROM outbox_letter") == 0).then_some(()));
    // Those before the bucket went are gone with it.
    let wanted: Vec<_> = minutes(5..50).into_iter().filter(|(minute, _)| *minute != 40).collect();
    assert_eq!(readings(&server), wanted);
    assert!((kwh(&server) - 49.0).abs() < 1e-9, "{}", kwh(&server));
    assert_eq!(server.values("alert", "limit", &["rule", "subject"]).len(), 1);
    assert!(resend().contains("0 dead letters"));
    assert_eq!(count(&data, "SELECT COUNT(*) FROM meta WHERE key = 'outbox_resend'"), 0);
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
fn a_token_that_may_only_read_holds_all_lines_until_its_file_has_another() {
    let Some(server) = Influxd::start("a_token_that_may_only_read_holds_all_lines_until_its_file_has_another") else { return };
    let folder = folder();
    let file = folder.path().join("token");
    std::fs::write(&file, server.reading_token()).unwrap();
    let mut scene = Scene::with(&server.url(), BUCKET, &[("NENGTAN__INFLUX__TOKEN_FILE", path(&file))]);
    scene.load(0..20);
    until(SOON, "the alert is raised", || scene.log().contains("alert=influx-refused state=firing").then_some(()));
    assert!(scene.log().contains("403: insufficient permissions for write"), "{}", scene.log());
    assert!(0 < count(&scene.data(), WAITING));
    assert_eq!((letters(&scene), readings(&server)), (Vec::new(), Vec::new()));
    std::fs::write(&file, format!("{TOKEN}\n")).unwrap();
    scene.await_empty();
    assert_eq!(readings(&server), minutes(0..20));
    until(SOON, "the alert is cleared", || scene.log().contains("alert=influx-refused state=cleared").then_some(()));
    assert_eq!(letters(&scene), []);
    scene.collector.take().unwrap().stop();
}
