//! `InfluxDB` that is away, dies in the middle, or is silent; a collector that dies at the worst moment: nothing is lost, nothing doubled.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::harness::copy::{Proxy, Scene, Stub, WAITING, check_arrives_once, kwh, letters, minutes, reading_minutes, readings};
use crate::harness::influxd::{BUCKET, Influxd, TOKEN};
use crate::harness::ledger::{count, query, stored};
use crate::harness::zone::{at, reading, telemetry};
use crate::harness::{SOON, until};
use crate::operations::{get, metric};

const ROWS: &str = "SELECT COUNT(*) FROM outbox_row";

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

#[test]
fn answers_429_503_and_none_at_all_are_waited_out() {
    check_arrives_once(|number, _| match number {
        0 => Some(429),
        1 => Some(503),
        2 => None,
        _ => Some(204),
    });
}

#[test]
fn an_answer_that_never_comes_is_waited_for_no_longer_than_is_set() {
    let stub = Stub::start(|number, _| (number > 0).then_some(204));
    let mut scene = Scene::with(&stub.url, BUCKET, &[("INFLUX_TOKEN", TOKEN), ("NENGTAN__INFLUX__REQUEST_S", "1")]);
    scene.load(0..20);
    scene.await_empty();
    assert!(scene.log().contains("timed out"), "{}", scene.log());
    let seen = reading_minutes(&stub.lines());
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), (0..20).map(|minute| (minute, 1)).collect::<Vec<_>>());
    assert_eq!(letters(&scene), []);
    scene.collector.take().unwrap().stop();
}

#[test]
fn a_body_has_5000_lines_at_most_and_a_few_lines_do_not_wait_for_more() {
    static AWAY: AtomicBool = AtomicBool::new(true);
    let stub = Stub::start(|_, _| Some(if AWAY.load(Ordering::Relaxed) { 503 } else { 204 }));
    let mut scene = Scene::set(&stub.url);
    scene.gateway.clock(&at(5_999));
    let messages = (0..6_000).map(|minute| (telemetry("GW-1"), reading("a", minute, minute + 1, minute).into_bytes()));
    assert_eq!(scene.gateway.publish_all(messages), 0);
    scene.gateway.clock(&at(6_000));
    AWAY.store(false, Ordering::Relaxed);
    scene.await_empty();
    let sizes = || -> Vec<usize> { stub.taken.lock().unwrap().iter().map(|body| body.lines().count()).collect() };
    assert_eq!(sizes().into_iter().max(), Some(5_000), "{:?}", sizes());
    assert!(reading_minutes(&stub.lines()).into_keys().eq(0..6_000));
    let before = sizes().len();
    scene.load(6_001..6_002);
    scene.await_empty();
    assert!(sizes()[before..].iter().all(|lines| *lines < 20), "{:?}", sizes());
    assert!(reading_minutes(&stub.lines()).contains_key(&6_001));
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
    // What waits as a key only: a reading that came late, with its hour.
    AWAY.store(true, Ordering::Relaxed);
    scene.gateway.publish(&telemetry("GW-1"), reading("a", 7, 900, 7.5));
    scene.gateway.clock(&at(21));
    until(SOON, "the delay of a correction is shown", || (2.0 < shown("nengtan_influx_delay_seconds")).then_some(()));
    assert_eq!((count(&scene.data(), ROWS), count(&scene.data(), WAITING)), (0, 2), "the moment and its hour");
    scene.collector.take().unwrap().stop();
    // And what there was before a server: all of the ledger, for one that the last collector did not have.
    let other = Stub::start(|_, _| Some(503));
    scene.url.clone_from(&other.url);
    scene.start();
    let address = scene.address();
    let shown = |name: &str| metric(&get(&address, "/metrics").1, name).unwrap_or_default();
    until(SOON, "the delay of the first fill is shown", || (2.0 < shown("nengtan_influx_delay_seconds")).then_some(()));
    assert_eq!(count(&scene.data(), ROWS), 0);
    scene.collector.take().unwrap().stop();
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

/// The server dies with a body in its hands: it has taken it and its answer never arrives, or it has got a half of it.
fn check_killed_in_the_middle(server: &mut Influxd, trouble: fn(&Proxy) -> &AtomicBool) {
    let proxy = Proxy::start(&server.url());
    let mut scene = Scene::set(&proxy.url);
    scene.load(0..70);
    scene.await_empty();
    trouble(&proxy).store(true, Ordering::SeqCst);
    scene.load(70..130);
    until(SOON, "a write is under way", || proxy.held.load(Ordering::SeqCst).then_some(()));
    server.kill_9();
    trouble(&proxy).store(false, Ordering::SeqCst);
    until(SOON, "the outage is logged", || scene.log().contains("InfluxDB does not take lines").then_some(()));
    server.start_again();
    scene.load(130..150);
    scene.await_empty();
    assert_eq!(readings(server), minutes(0..150));
    let here = query(&scene.data(), "SELECT SUM(kwh) AS kwh FROM energy WHERE entity = 'E-a'")[0]["kwh"].as_f64().unwrap();
    assert!((here - 149.0).abs() < 1e-9 && (kwh(server) - here).abs() < 1e-9, "{} there, {here} here", kwh(server));
    assert_eq!(letters(&scene), []);
    scene.collector.take().unwrap().stop();
}

#[test]
fn a_server_killed_after_it_took_a_body_and_before_its_answer_has_it_once() {
    let Some(mut server) = Influxd::start("a_server_killed_after_it_took_a_body_and_before_its_answer_has_it_once") else { return };
    check_killed_in_the_middle(&mut server, |proxy| &proxy.holds);
}

#[test]
fn a_server_killed_within_a_body_gets_it_again() {
    let Some(mut server) = Influxd::start("a_server_killed_within_a_body_gets_it_again") else { return };
    check_killed_in_the_middle(&mut server, |proxy| &proxy.cuts);
}
