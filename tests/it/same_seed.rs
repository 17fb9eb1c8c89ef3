//! The same seed plays the same zone, byte for byte.

use std::process::Stdio;

use crate::harness::ledger::{assert_same, dump};
use crate::harness::{LONG, Process, folder, nengtan, path};

#[test]
fn the_same_seed_gives_the_same_truth_and_the_same_ledger() {
    let folder = folder();
    let data = ["one", "two"].map(|name| folder.path().join(name));
    let runs = data.each_ref().map(|data| {
        let arguments =
            ["demo", "--history", "0", "--days", "2", "--faults", "harsh", "--speed", "max", "--seed", "5", "--data", path(data)];
        Process(nengtan(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    });
    for mut run in runs {
        assert_eq!(run.wait(LONG, "the demo ends").code(), Some(0));
    }
    let [one, two] = data.each_ref().map(|data| std::fs::read(data.join("truth.jsonl")).unwrap());
    assert!(!one.is_empty());
    assert!(one == two, "the truth files differ");
    let [one, two] = data.each_ref().map(|data| dump(data));
    assert!(50_000 < one.len(), "a ledger was written");
    assert_same(&one, &two);
}
