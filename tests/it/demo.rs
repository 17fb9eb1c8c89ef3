//! The whole zone in one command.

use std::path::Path;
use std::process::{Output, Stdio};

use crate::harness::ledger::{rows, stored, verify};
use crate::harness::{LONG, Process, SOON, folder, nengtan, path, run, text, until};

fn demo(data: &Path, more: &[&str]) -> Output {
    let fixed = ["demo", "--history", "0", "--speed", "max", "--data", path(data)];
    run(&[&fixed[..], more].concat())
}

fn check_harsh(seed: &str) {
    let folder = folder();
    let data = folder.path().join("data");
    let played = demo(&data, &["--days", "3", "--faults", "harsh", "--seed", seed]);
    assert!(played.status.success(), "{}", text(&played.stderr));
    let (code, told) = verify(&data, &data.join("truth.jsonl"));
    assert_eq!(code, Some(0), "seed {seed}: {told}");
}

#[test]
fn harsh_days_of_seed_1_hold_against_the_truth() {
    check_harsh("1");
}

#[test]
fn harsh_days_of_seed_2_hold_against_the_truth() {
    check_harsh("2");
}

#[test]
fn a_demo_goes_on_in_a_folder_with_data_only_when_told() {
    let folder = folder();
    let data = folder.path().join("data");
    let one_day = ["--days", "1"];
    let first = demo(&data, &one_day);
    assert!(first.status.success(), "{}", text(&first.stderr));
    let (code, told) = verify(&data, &data.join("truth.jsonl"));
    assert_eq!(code, Some(0), "without faults all holds: {told}");

    let refused = demo(&data, &one_day);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("--resume"), "{}", text(&refused.stderr));

    let other = demo(&data, &["--days", "1", "--seed", "2", "--resume"]);
    assert_eq!(other.status.code(), Some(2), "another seed is another zone: {}", text(&other.stderr));
}

#[test]
fn a_stopped_demo_that_is_resumed_holds_against_the_truth() {
    let folder = folder();
    let parts = folder.path().join("parts");
    let options = ["--days", "2", "--faults", "harsh", "--seed", "3"];
    let log = std::fs::File::create(folder.path().join("stderr")).unwrap();
    let fixed = ["demo", "--history", "0", "--speed", "max", "--data", path(&parts)];
    let arguments = [&fixed[..], &options].concat();
    let mut process = Process(nengtan(&arguments).stdout(Stdio::null()).stderr(log).spawn().unwrap());
    until(LONG, "a part is stored", || stored(&parts, "SELECT COUNT(*) FROM every_reading").filter(|rows| 60_000 < *rows));
    process.signal("INT");
    assert_eq!(process.wait(LONG, "the demo ends").code(), Some(0));
    let resumed = demo(&parts, &["--resume"]);
    assert!(resumed.status.success(), "{}", text(&resumed.stderr));
    let (code, told) = verify(&parts, &parts.join("truth.jsonl"));
    assert_eq!(code, Some(0), "{told}");
}

#[test]
fn history_and_then_live_days_hold_against_the_truth() {
    let folder = folder();
    let data = folder.path().join("data");
    let played = run(&["demo", "--history", "1", "--days", "1", "--speed", "max", "--data", path(&data)]);
    assert!(played.status.success(), "{}", text(&played.stderr));
    let (code, told) = verify(&data, &data.join("truth.jsonl"));
    assert_eq!(code, Some(0), "{told}");
}

#[test]
fn ctrl_c_ends_a_demo_well_and_names_three_commands_that_work() {
    let folder = folder();
    let data = folder.path().join("data");
    let mut command = nengtan(&["demo", "--history", "0", "--data", path(&data)]);
    let log = std::fs::File::create(folder.path().join("stderr")).unwrap();
    let out = std::fs::File::create(folder.path().join("stdout")).unwrap();
    let mut process = Process(command.stdout(out).stderr(log).stdin(Stdio::null()).spawn().unwrap());
    until(SOON, "the first readings are stored", || stored(&data, "SELECT COUNT(*) FROM every_reading").filter(|rows| 2_000 < *rows));
    process.signal("INT");
    let status = process.wait(LONG, "the demo ends");
    let told = std::fs::read_to_string(folder.path().join("stdout")).unwrap();
    assert_eq!(status.code(), Some(0), "{told} {}", std::fs::read_to_string(folder.path().join("stderr")).unwrap());
    assert!(told.contains(path(&data)), "where the data is: {told}");
    let commands: Vec<&str> = told.lines().filter_map(|line| line.trim().strip_prefix("nengtan ")).collect();
    assert_eq!(commands.len(), 3, "{told}");
    for command in commands {
        let arguments: Vec<&str> = command.split(' ').collect();
        let output = run(&arguments);
        assert!(output.status.success(), "{command}: {} {}", text(&output.stdout), text(&output.stderr));
    }
}

#[test]
fn a_demo_commands_its_assets_and_no_regulation_plays_the_other_world() {
    let folder = folder();
    let [regulated, other] = ["regulated", "other"].map(|name| folder.path().join(name));
    let played = demo(&regulated, &["--days", "1"]);
    assert!(played.status.success(), "{}", text(&played.stderr));
    let sent = stored(&regulated, "SELECT COUNT(*) FROM command_row").unwrap();
    assert!(100 < sent, "{sent} commands");
    // Those of the day's last moment are the next day's.
    let told = text(&played.stdout);
    let of_the_day = told.lines().find_map(|line| line.trim().strip_prefix("commands: ")?.strip_suffix(" sent, 0 refused"));
    assert!(of_the_day.is_some_and(|count| (100..=sent).contains(&count.parse().unwrap())), "{sent} commands: {told}");
    let played = demo(&other, &["--days", "1", "--no-regulation"]);
    assert!(played.status.success() && !text(&played.stdout).contains("commands:"), "{}", text(&played.stdout));
    assert_eq!(stored(&other, "SELECT COUNT(*) FROM command_row"), Some(0));
    let use_of = |data| stored(data, "SELECT SUM(quantity) FROM rollup_row WHERE level = 2").unwrap();
    assert!(use_of(&regulated) != use_of(&other), "commands change what is used");
    for data in [&regulated, &other] {
        let (code, told) = verify(data, &data.join("truth.jsonl"));
        assert_eq!(code, Some(0), "{told}");
    }
}

#[test]
fn savings_count_from_the_end_of_the_history_and_each_day_tells_them() {
    let folder = folder();
    let data = folder.path().join("data");
    // Four months are enough for baselines that are provisional.
    let played = run(&["demo", "--history", "4", "--days", "2", "--speed", "max", "--data", path(&data)]);
    assert!(played.status.success(), "{}", text(&played.stderr));
    let told = text(&played.stdout);
    let baselines = stored(&data, "SELECT COUNT(*) FROM baseline").unwrap();
    assert!(100 < baselines && told.contains(&format!("baselines of {baselines} loads")), "{told}");
    assert_eq!(stored(&data, "SELECT COUNT(DISTINCT to_utc) FROM baseline"), Some(1), "all end with the history");
    let so_far: Vec<&str> = told.lines().filter_map(|line| line.trim().strip_prefix("saved so far: ")).collect();
    assert_eq!(so_far.len(), 2, "{told}");
    let zone = rows(&["savings", "show"], &data);
    let energy = ["electricity", "natural_gas", "heat", "steam"];
    let of = |key: &str| -> f64 {
        let added = zone.iter().filter(|row| row["entity"] == "qingdao-hightech" && energy.contains(&row["carrier"].as_str().unwrap()));
        added.map(|row| row[key].as_f64().unwrap()).sum()
    };
    let (mwh, t) = (of("saved_kwh") / 1000.0, of("saved_kg_co2e") / 1000.0);
    assert!(so_far[1].starts_with(&format!("{mwh:.0} ± ")) && so_far[1].contains(&format!(" %), {t:.0} ± ")), "{mwh} MWh, {t} t: {told}");
    let most: Vec<&str> = told.lines().filter_map(|line| line.trim().strip_prefix("most, MWh: ")).collect();
    assert!(most.len() == 2 && most[1].matches(" ± ").count() >= 2, "{told}");
    let order = |period: [&str; 2]| -> Vec<String> {
        let ranked = rows(&["rank", "--by", "avoidable", period[0], period[1], "--top", "10"], &data);
        ranked.iter().map(|row| row["entity"].as_str().unwrap().to_owned()).collect()
    };
    assert_ne!(order(["--to", "2026-01-01"]), order(["--from", "2026-01-01"]), "regulation changes the ranking");
}
