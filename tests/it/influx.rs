//! The other store: what the ledger holds is what `InfluxDB` holds, on a real server.

use std::collections::BTreeMap;
use std::path::Path;

use crate::harness::collector::Collector;
use crate::harness::influxd::{BUCKET, Influxd, TOKEN};
use crate::harness::ledger::{Row, query, show};
use crate::harness::mosquitto::Mosquitto;
use crate::harness::office::{Office, add_water_meter, in_order_with_water, open, play, unsaved_litres, unsaved_wh, write_zone};
use crate::harness::{LONG, SOON, folder, nengtan, path, repository, run, text, until};

/// The ledger's hours, in ledger units: (entity, carrier, ms) → quantity; (entity, carrier, scope, method, ms) → micrograms.
fn ledger_hours(data: &Path, amount: &str) -> BTreeMap<(Vec<String>, i64), i64> {
    let sql = format!(
        "SELECT e.entity, c.carrier, r.ts, r.{amount} AS amount FROM rollup_row r JOIN entity_row e ON e.id = r.entity JOIN carrier_row c ON c.id = r.carrier WHERE level = 1"
    );
    let name = |row: &Row, column: &str| row[column].as_str().unwrap().to_owned();
    let rows = query(data, &sql);
    rows.iter()
        .map(|row| ((vec![name(row, "entity"), name(row, "carrier")], row["ts"].as_i64().unwrap()), row["amount"].as_i64().unwrap()))
        .collect()
}

/// Ledger units in one unit of the carrier's quantity (docs/zone.md).
fn per_unit(carrier: &str) -> f64 {
    match carrier {
        "electricity" | "natural_gas" | "water" => 1e3,
        "heat" | "steam" | "production" => 1e6,
        other => panic!("{other}"),
    }
}

fn assert_holds_the_ledger(server: &Influxd, data: &Path) {
    let ledger = ledger_hours(data, "quantity");
    let of_both = |measurement: &str, field: &str| {
        let mut all = server.values(measurement, field, &["entity", "carrier"]);
        let parts = server.values(&format!("{measurement}_part"), field, &["entity", "carrier"]);
        assert!(
            !parts.is_empty() && parts.keys().all(|key| !all.contains_key(key)),
            "a part is told once, and under a measurement of its own"
        );
        all.extend(parts);
        all
    };
    let quantities = of_both("energy", "quantity");
    let in_units: BTreeMap<_, i64> = quantities
        .iter()
        .map(|(key, value)| (key.clone(), (value * per_unit(&key.0[1])).round() as i64))
        .filter(|(key, units)| *units != 0 || ledger.contains_key(key))
        .collect();
    assert!(ledger.len() > 100, "{} hours", ledger.len());
    assert!(in_units == ledger, "{} hours there, {} here", in_units.len(), ledger.len());
    let sums = |hours: &BTreeMap<(Vec<String>, i64), i64>| {
        hours.iter().fold(BTreeMap::<Vec<String>, i128>::new(), |mut sums, ((tags, _), units)| {
            *sums.entry(tags.clone()).or_default() += i128::from(*units);
            sums
        })
    };
    assert_eq!(sums(&in_units), sums(&ledger));

    let grams = ledger_hours(data, "co2e_ug");
    let carbon = of_both("carbon", "kg_co2e");
    assert!(!carbon.is_empty());
    for (key, kg) in &carbon {
        let wanted = grams.get(key).copied().unwrap_or_default();
        assert_eq!((kg * 1e9).round() as i64, wanted, "{key:?}");
    }
    let untold = grams.iter().find(|(key, ug)| **ug != 0 && !carbon.contains_key(key));
    assert_eq!(untold, None);
}

/// Every value of every reading, item by item.
fn assert_holds_the_readings(server: &Influxd, data: &Path) {
    let items = query(data, "SELECT DISTINCT item FROM meter WHERE latest_ts IS NOT NULL");
    assert!(!items.is_empty());
    for item in items.iter().map(|row| row["item"].as_str().unwrap()) {
        let rows = query(data, &format!("SELECT meter, ts, value FROM reading WHERE item = '{item}' AND value IS NOT NULL"));
        let here: BTreeMap<_, f64> = rows
            .iter()
            .map(|row| ((vec![row["meter"].as_str().unwrap().to_owned()], row["ts"].as_i64().unwrap()), row["value"].as_f64().unwrap()))
            .collect();
        let there = server.values("reading", item, &["meter"]);
        assert_eq!(there.len(), here.len(), "{item}");
        let differs = here.iter().find(|(key, value)| there.get(*key) != Some(value));
        assert_eq!(differs, None, "{item}");
    }
}

/// Rows of a statement as what a field of them is there, by tags and time.
fn by_tags<T>(rows: &[Row], tags: &[&str], field: impl Fn(&Row) -> Option<T>) -> BTreeMap<(Vec<String>, i64), T> {
    let tag = |row: &Row, tag: &&str| row[*tag].as_str().map_or_else(|| row[*tag].to_string(), str::to_owned);
    let key = |row: &Row| (tags.iter().map(|name| tag(row, name)).collect(), row["ts"].as_i64().unwrap());
    rows.iter().filter_map(|row| Some((key(row), field(row)?))).collect()
}

/// Every field of a view's rows; what the view does not have is 0 there.
fn assert_holds_the_view(server: &Influxd, data: &Path, view: &str, tags: &[&str], (numbers, texts): (&[&str], &[&str])) {
    let rows = query(data, &format!("SELECT * FROM {view}"));
    assert!(!rows.is_empty(), "{view}");
    for field in numbers {
        let (there, here) = (server.values(view, field, tags), by_tags(&rows, tags, |row| row[*field].as_f64()));
        let near = |there: f64, here: f64| (there - here).abs() <= 1e-9 * here.abs().max(1.0);
        let differs = here.iter().find(|(key, value)| !there.get(*key).is_some_and(|there| near(*there, **value)));
        assert_eq!(differs.map(|differs| (differs, there.get(differs.0))), None, "{view}.{field}");
        let untold = there.iter().find(|(key, value)| **value != 0.0 && !here.contains_key(*key));
        assert_eq!(untold, None, "{view}.{field}");
    }
    for field in texts {
        let (there, here) = (server.texts(view, field, tags), by_tags(&rows, tags, |row| Some(row[*field].as_str()?.to_owned())));
        let differs = here.iter().find(|(key, text)| there.get(*key) != Some(text));
        assert_eq!(differs, None, "{view}.{field}");
    }
}

fn assert_holds_the_views(server: &Influxd, data: &Path) {
    for view in ["energy", "energy_part"] {
        let numbers = ["quantity", "kwh", "tce_calorific", "tce_primary", "measured_share"];
        assert_holds_the_view(server, data, view, &["entity", "carrier"], (&numbers, &[]));
    }
    for view in ["carbon", "carbon_part"] {
        assert_holds_the_view(server, data, view, &["entity", "carrier", "scope", "method"], (&["kg_co2e"], &["factor_tier"]));
    }
}

/// Each change of every alert, and nothing else.
fn assert_holds_the_alerts(server: &Influxd, data: &Path) {
    let tags = ["rule", "subject", "severity"];
    let raised = query(data, "SELECT rule, subject, severity, raised AS ts, value, \"limit\" FROM alert_row");
    let cleared = query(data, "SELECT rule, subject, severity, cleared AS ts FROM alert_row WHERE cleared IS NOT NULL");
    assert!(!cleared.is_empty() && cleared.len() <= raised.len());
    let mut states = by_tags(&raised, &tags, |_| Some("firing".to_owned()));
    states.extend(by_tags(&cleared, &tags, |_| Some("cleared".to_owned())));
    assert_eq!(server.texts("alert", "state", &tags), states);
    for field in ["value", "limit"] {
        let there = server.values("alert", field, &tags);
        let here = by_tags(&raised, &tags, |row| row[field].as_f64());
        let differs = here.iter().find(|(key, value)| there.get(*key) != Some(value));
        assert_eq!(differs.map(|differs| (differs, there.get(differs.0))), None, "{field}");
    }
}

/// Every command, at the time of its decision, with what became of it.
fn assert_holds_the_commands(server: &Influxd, data: &Path) {
    let rows = query(data, "SELECT asset, ts, action, value, outcome FROM command");
    let values = by_tags(&rows, &["asset"], |row| row["value"].as_f64());
    assert!(50 < values.len() && values.len() < rows.len(), "{} of {} commands have a set point", values.len(), rows.len());
    assert_eq!(server.values("command", "value", &["asset"]), values);
    for field in ["action", "outcome"] {
        assert_eq!(server.texts("command", field, &["asset"]), by_tags(&rows, &["asset"], |row| Some(row[field].as_str()?.to_owned())));
    }
}

type Bands = BTreeMap<Vec<String>, f64>;

/// Costs there, added up over the hours, are those of the bill here.
fn assert_holds_the_costs(server: &Influxd, data: &Path) -> Bands {
    let mut there = Bands::new();
    for ((tags, _), cny) in server.values("cost", "cny", &["entity", "carrier", "band"]) {
        *there.entry(tags).or_default() += cny;
    }
    let bill = show(data, &["cost"]);
    let tags = |row: &Row| ["entity", "carrier", "band"].map(|tag| row[tag].as_str().unwrap().to_owned()).to_vec();
    let here: Bands = bill.iter().filter_map(|row| Some((tags(row), row["cny"].as_f64()?))).collect();
    assert!(here.len() > 50, "{} bills", here.len());
    for (tags, cny) in &here {
        let seen = there.get(tags).copied().unwrap_or_default();
        assert!((seen - cny).abs() <= 1e-9 * cny.abs().max(1.0), "{tags:?}: {seen} there, {cny} here");
    }
    let untold = there.iter().find(|(tags, cny)| **cny != 0.0 && !here.contains_key(*tags));
    assert_eq!(untold, None);
    here
}

fn carbon_kg(data: &Path) -> f64 {
    query(data, "SELECT SUM(kg_co2e) AS kg FROM carbon")[0]["kg"].as_f64().unwrap()
}

/// Restates with a tariff whose winter peak lies elsewhere, and another grid factor: costs change their bands, and electricity its carbon.
fn restate_with_other_rules(folder: &Path, data: &Path, (peak, sharp): (&str, &str), factor: &str) {
    let zone = folder.join("zone");
    std::fs::create_dir_all(&zone).unwrap();
    for file in std::fs::read_dir(repository("config/zones/qingdao-hightech")).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), zone.join(file.file_name())).unwrap();
    }
    let tariff = std::fs::read_to_string(repository("config/tariffs/cn-sd-industry.toml")).unwrap();
    let other = tariff.replacen(
        "peak = [\"07:00-09:00\", \"16:00-21:00\"]\nsharp = [\"16:00-19:00\"]",
        &format!("peak = [\"{peak}\"]\nsharp = [\"{sharp}\"]"),
        1,
    );
    assert_ne!(tariff, other);
    std::fs::write(zone.join("other.toml"), other).unwrap();
    let profile = std::fs::read_to_string(zone.join("zone.toml")).unwrap();
    assert!(profile.contains("cn-sd-industry"));
    let published = ["cn", "cn-fuels", "cn-coal", "cn-targets", "gwp"]
        .map(|name| std::fs::read_to_string(repository(&format!("config/factors/{name}.toml"))).unwrap())
        .join("\n");
    let factors = published.replace("CN-SD = 0.6191", &format!("CN-SD = {factor}"));
    assert!(factors != published && profile.contains("factors = \"cn\""));
    std::fs::write(zone.join("other-factors.toml"), factors).unwrap();
    let profile = profile.replace("cn-sd-industry", "other.toml").replace("factors = \"cn\"", "factors = \"other-factors.toml\"");
    std::fs::write(zone.join("zone.toml"), profile).unwrap();
    let done = run(&["restate", "--from", "2026-01-01", "--zone", path(&zone), "--data", path(data)]);
    assert!(done.status.success(), "{}", text(&done.stderr));
}

#[test]
fn after_a_harsh_demo_influxdb_holds_what_the_ledger_holds() {
    let Some(server) = Influxd::start("after_a_harsh_demo_influxdb_holds_what_the_ledger_holds") else { return };
    let folder = folder();
    let data = folder.path().join("data");
    server.told(&["demo", "--history", "0", "--days", "2", "--faults", "harsh", "--seed", "5", "--speed", "max", "--data", path(&data)]);
    assert_holds_the_ledger(&server, &data);
    assert_holds_the_readings(&server, &data);
    assert_holds_the_alerts(&server, &data);
    assert_holds_the_commands(&server, &data);
    assert_holds_the_views(&server, &data);
    let mut before = (assert_holds_the_costs(&server, &data), carbon_kg(&data));
    let waits = query(
        &data,
        "SELECT (SELECT COUNT(*) FROM outbox_row) + (SELECT COUNT(*) FROM outbox_key) + (SELECT COUNT(*) FROM outbox_reading) + (SELECT COUNT(*) FROM outbox_letter) AS n",
    );
    assert_eq!(waits[0]["n"], 0, "nothing waits and nothing was refused");
    assert_the_questions_are_answered(&server, &data);
    // Both at one time of the clock, and the first is sent before the second: what held in between has left no trace but there.
    for (hours, factor) in [(("06:00-09:00", "06:30-07:00"), "0.5"), (("07:00-08:00", "07:15-07:45"), "0.7")] {
        restate_with_other_rules(folder.path(), &data, hours, factor);
        // Its last day is over: it only sends.
        server.told(&["demo", "--resume", "--speed", "max", "--data", path(&data)]);
        let after = (assert_holds_the_costs(&server, &data), carbon_kg(&data));
        assert_ne!(after.0, before.0, "the bands are others now");
        assert!((after.1 - before.1).abs() > 0.1 * before.1, "{} kg after {} kg", after.1, before.1);
        assert_holds_the_ledger(&server, &data);
        assert_holds_the_views(&server, &data);
        before = after;
    }
}

/// A year without and ten days with a measure; then two of the days are excluded beside a running collector.
#[test]
fn savings_reach_influxdb_and_follow_what_is_excluded() {
    const YEAR: i64 = 365 * 24;
    const REPORTED: i64 = 10 * 24;
    const REPORTED_HOURS: usize = 10 * 24;
    let Some(server) = Influxd::start("savings_reach_influxdb_and_follow_what_is_excluded") else { return };
    let folder = folder();
    let (zone, data) = (write_zone(folder.path()), folder.path().join("data"));
    add_water_meter(&zone);
    let office = Office::new(YEAR + REPORTED, |hour| if hour < YEAR { unsaved_wh(hour) } else { unsaved_wh(hour) * 9 / 10 });
    let water = Office::new(YEAR + REPORTED, unsaved_litres);
    let mut engine = open(&zone, &data);
    play(&mut engine, &in_order_with_water(&office, &water, -1..YEAR + REPORTED));
    drop(engine);
    let fitted = run(&["savings", "fit", "--to", "2026-01-01", "--data", path(&data)]);
    assert!(fitted.status.success(), "{}", text(&fitted.stderr));
    let broker = Mosquitto::start();
    let flags = server.flags();
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let collector = Collector::spawn_with(&zone, &data, &broker.url(), &flags, &[("INFLUX_TOKEN", TOKEN)]);
    collector.await_ready();
    let saved_kwh = || {
        let output = run(&["savings", "show", "--entity", "E-OFFICE", "--data", path(&data), "--output", "json"]);
        let rows: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        rows[0]["saved_kwh"].as_f64().unwrap()
    };
    let there = |wanted: f64| {
        let values = server.values("saving", "saved_kwh", &["entity", "carrier"]);
        let sum: f64 = values.values().sum();
        (values.len() == REPORTED_HOURS && (sum - wanted).abs() < 1e-6).then_some(values)
    };
    let all = saved_kwh();
    until(LONG, "every hour's saving is there", || there(all));
    let excluded = ["savings", "exclude", "--entity", "E-OFFICE", "--from", "2026-01-03", "--to", "2026-01-05", "--reason", "stocktaking"];
    let done = run(&[&excluded[..], &["--data", path(&data)]].concat());
    assert!(done.status.success(), "{}", text(&done.stderr));
    let rest = saved_kwh();
    assert!(rest < all);
    let values = until(SOON, "the excluded hours are 0", || there(rest));
    assert_eq!(values.values().filter(|kwh| **kwh == 0.0).count(), 48);
    // Water was in none of these, and has fields of its own; what was excluded of it is 0 there.
    until(SOON, "the excluded hours of water are 0", || {
        let values = server.values("saving", "baseline_m3", &["entity", "carrier"]);
        (values.len() == REPORTED_HOURS && values.values().filter(|m3| **m3 == 0.0).count() == 48).then_some(())
    });
    collector.stop();
    let numbers = [
        "baseline_kwh",
        "metered_kwh",
        "saved_kwh",
        "saved_kg_co2e",
        "low_kwh",
        "high_kwh",
        "baseline_m3",
        "metered_m3",
        "saved_m3",
        "low_m3",
        "high_m3",
    ];
    assert_holds_the_view(&server, &data, "saving", &["entity", "carrier"], (&numbers, &[]));
}

/// `query --flux` gives what the embedded store gives, in each format.
fn assert_the_questions_are_answered(server: &Influxd, data: &Path) {
    let script = format!(
        "from(bucket: \"{BUCKET}\") |> range(start: 2020-01-01T00:00:00Z, stop: 2100-01-01T00:00:00Z) |> filter(fn: (r) => r._measurement == \"energy\" and r._field == \"kwh\" and r.carrier == \"electricity\") |> group(columns: [\"entity\"]) |> sum()"
    );
    let rows: Vec<serde_json::Value> = serde_json::from_str(&server.told(&["query", "--flux", &script, "--output", "json"])).unwrap();
    let here = query(data, "SELECT entity, SUM(kwh) AS kwh FROM energy WHERE carrier = 'electricity' GROUP BY entity");
    assert_eq!(rows.len(), here.len());
    for row in &here {
        let there = rows.iter().find(|there| there["entity"] == row["entity"]).unwrap();
        let (there, here) = (there["_value"].as_f64().unwrap(), row["kwh"].as_f64().unwrap());
        assert!((there - here).abs() <= 1e-9 * here.abs(), "{row:?}: {there}");
    }
    let csv = server.told(&["query", "--flux", &script, "--output", "csv"]);
    let header: Vec<&str> = csv.lines().next().unwrap().split(',').collect();
    assert!(header.contains(&"entity") && header.contains(&"_value"), "{csv}");
    assert_eq!(csv.lines().count(), here.len() + 1, "{csv}");
    assert!(server.told(&["query", "--flux", &script]).contains("entity"));
    let wrong = server.nengtan(&["query", "--flux", "from("]);
    assert_eq!(wrong.status.code(), Some(2), "{}", text(&wrong.stderr));
}

#[test]
fn an_outbox_that_is_turned_on_later_gets_the_whole_ledger() {
    let Some(server) = Influxd::start("an_outbox_that_is_turned_on_later_gets_the_whole_ledger") else { return };
    let folder = folder();
    let data = folder.path().join("data");
    let first =
        run(&["demo", "--history", "0", "--days", "1", "--faults", "harsh", "--seed", "6", "--speed", "max", "--data", path(&data)]);
    assert!(first.status.success(), "{}", text(&first.stderr));
    let rows = query(
        &data,
        "SELECT (SELECT COUNT(*) FROM outbox_row) + (SELECT COUNT(*) FROM outbox_key) + (SELECT COUNT(*) FROM outbox_reading) AS n",
    );
    assert_eq!(rows[0]["n"], 0, "nothing is kept for an outbox that nobody configured");
    // Its last day is over: it only sends.
    server.told(&["demo", "--resume", "--speed", "max", "--data", path(&data)]);
    assert_holds_the_ledger(&server, &data);
    assert_holds_the_readings(&server, &data);
    assert_holds_the_alerts(&server, &data);
    assert_holds_the_commands(&server, &data);
    assert_holds_the_views(&server, &data);
    assert_holds_the_costs(&server, &data);
}

#[test]
fn check_online_says_what_is_wrong_with_server_organisation_bucket_or_token() {
    let Some(server) = Influxd::start("check_online_says_what_is_wrong_with_server_organisation_bucket_or_token") else { return };
    let broker = Mosquitto::start();
    let named = broker.url();
    let online = ["check", "--online", "--broker", &named];
    let told = server.told(&online);
    assert!(told.contains("may be written") && told.contains("kept 2000 of 2000"), "{told}");
    let url = server.url();
    let check = |flags: &[&str], token: &str| {
        let output = nengtan(&[&online[..], flags].concat()).env("INFLUX_TOKEN", token).output().unwrap();
        (output.status.code(), text(&output.stderr))
    };
    let bucket = server.flux("buckets()").into_iter().find(|bucket| bucket["name"] == BUCKET).unwrap();
    let org = &bucket["organizationID"];
    let reads = |resource: serde_json::Value| serde_json::json!({"action": "read", "resource": resource});
    let all = [reads(serde_json::json!({"type": "buckets", "orgID": org})), reads(serde_json::json!({"type": "orgs", "id": org}))];
    let wish = serde_json::json!({"orgID": org, "permissions": all});
    let (status, made) = server.post("/api/v2/authorizations", "application/json", wish.to_string());
    assert_eq!(status, 201, "{made}");
    let reader = serde_json::from_str::<serde_json::Value>(&made).unwrap()["token"].as_str().unwrap().to_owned();
    let cases: [(&[&str], &str, i32, &str); 6] = [
        (&["--influx", "http://127.0.0.1:9", "--org", "zone", "--bucket", "energy"], TOKEN, 1, "check the address"),
        (&["--influx", &url, "--org", "nobody", "--bucket", "energy"], TOKEN, 1, "correct --org"),
        (&["--influx", &url, "--org", "zone", "--bucket", "nothing"], TOKEN, 1, "nengtan influx create-bucket"),
        (&["--influx", &url, "--org", "zone", "--bucket", "energy"], "wrong", 1, "INFLUX_TOKEN"),
        // Everything is found, and nothing may be written.
        (
            &["--influx", &url, "--org", "zone", "--bucket", "energy"],
            &reader,
            1,
            "answers 403: insufficient permissions for write; put a token",
        ),
        (&["--influx", &url, "--org", "zone", "--bucket", "energy"], "", 2, "set INFLUX_TOKEN"),
    ];
    for (flags, token, code, remedy) in cases {
        let (seen, told) = check(flags, token);
        assert_eq!(seen, Some(code), "{flags:?}: {told}");
        assert!(told.contains(remedy), "{flags:?}: {told}");
    }
}

#[test]
fn a_bucket_with_retention_is_one_command() {
    let Some(server) = Influxd::start("a_bucket_with_retention_is_one_command") else { return };
    let create = |bucket: &str| {
        let flags = ["influx", "create-bucket", "--retention", "90d", "--influx", &server.url(), "--org", "zone", "--bucket", bucket];
        let output = nengtan(&flags).env("INFLUX_TOKEN", TOKEN).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    assert!(create("short").contains("made"));
    assert!(create("short").contains("already"));
    let buckets = server.flux("buckets() |> filter(fn: (r) => r.name == \"short\")");
    // 90 days in nanoseconds.
    assert_eq!(buckets[0]["retentionPeriod"], "7776000000000000");
}
