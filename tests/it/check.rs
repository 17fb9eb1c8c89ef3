//! `nengtan check`: every fault of a folder in one go, exit 2.

use crate::harness::{path, repository, run, text};

#[test]
fn a_bad_folder_is_refused_with_all_its_faults_at_once() {
    let output = run(&["check", "--zone", path(&repository("tests/zones/bad/many-at-once"))]);
    assert_eq!(output.status.code(), Some(2));
    let told = text(&output.stderr);
    let expected = std::fs::read_to_string(repository("tests/zones/bad/many-at-once/expected.txt")).unwrap();
    for line in expected.lines() {
        assert!(told.contains(line), "{line} is not told: {told}");
    }
}

#[test]
fn a_wrong_carrier_is_told_once_and_not_again_by_each_meter_below() {
    let folder = tempfile::tempdir().unwrap();
    let zone = repository("config/zones/qingdao-hightech");
    for entry in std::fs::read_dir(&zone).unwrap() {
        let file = entry.unwrap().path();
        let to = folder.path().join(file.file_name().unwrap());
        if file.is_file() && file.ends_with("meters.csv") {
            let text = std::fs::read_to_string(&file).unwrap();
            assert!(text.contains(",HT-E-0001,"), "there are meters below the one that is spoilt");
            std::fs::write(to, text.replacen(",electricity,", ",electrisity,", 1)).unwrap();
        } else if file.is_file() {
            std::fs::copy(&file, to).unwrap();
        }
    }
    let output = run(&["check", "--zone", path(folder.path())]);
    let told = text(&output.stderr);
    assert_eq!((output.status.code(), told.lines().count()), (Some(2), 1), "{told}");
    assert!(told.contains("meters.csv:2: carrier: saw \"electrisity\""), "{told}");
}

#[test]
fn every_good_folder_and_every_shipped_zone_is_in_order() {
    for parent in ["tests/zones/good", "config/zones"] {
        for entry in std::fs::read_dir(repository(parent)).unwrap() {
            let folder = entry.unwrap().path();
            let output = run(&["check", "--zone", path(&folder)]);
            assert_eq!(output.status.code(), Some(0), "{}: {}", folder.display(), text(&output.stderr));
        }
    }
}

#[test]
fn every_bad_folder_is_refused_with_what_is_expected_of_it() {
    let mut wrong = Vec::new();
    // What users declare is the collector's alone: the fleet takes the folders of bad-declared.
    let folders = ["tests/zones/bad", "tests/zones/bad-declared"].map(|parent| std::fs::read_dir(repository(parent)).unwrap());
    for entry in folders.into_iter().flatten() {
        let folder = entry.unwrap().path();
        let output = run(&["check", "--zone", path(&folder)]);
        let told = text(&output.stderr);
        let expected = std::fs::read_to_string(folder.join("expected.txt")).unwrap();
        if output.status.code() != Some(2) || expected.lines().any(|line| !told.contains(line)) {
            wrong.push(format!("{}: {:?} {told}", folder.display(), output.status.code()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn wrong_usage_ends_with_2() {
    let cases: [&[&str]; 4] = [
        &["collect", "--zone", "nowhere"],
        &["query", "SELECT 1", "--data", "nowhere"],
        &["verify", "--data", "nowhere"],
        &["show", "nonsense"],
    ];
    for arguments in cases {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", text(&output.stderr));
        assert!(!output.stderr.is_empty(), "{arguments:?} says nothing");
    }
}
