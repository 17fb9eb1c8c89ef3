//! `verify` finds what is wrong by a microgram, a billionth of a yuan, or a watt-hour.

use crate::harness::ledger::verify;
use crate::harness::{folder, path, run, text};

#[test]
fn a_figure_that_is_off_by_its_smallest_step_does_not_hold() {
    let folder = folder();
    let data = folder.path().join("data");
    let played =
        run(&["demo", "--history", "0", "--days", "1", "--faults", "none", "--seed", "13", "--speed", "max", "--data", path(&data)]);
    assert!(played.status.success(), "{}", text(&played.stderr));
    let truth = data.join("truth.jsonl");
    let (code, told) = verify(&data, &truth);
    assert_eq!(code, Some(0), "{told}");
    let carbon = "carbon and standard coal are energy × factor";
    let cost = "cost is energy × price of its hour";
    for (check, wrong, right) in [
        (
            carbon,
            "UPDATE rollup_row SET co2e_ug = co2e_ug + 1 WHERE level = 1",
            "UPDATE rollup_row SET co2e_ug = co2e_ug - 1 WHERE level = 1",
        ),
        (
            carbon,
            "UPDATE rollup_row SET ce_primary_ug = ce_primary_ug - 1 WHERE level = 3 AND carrier = 1",
            "UPDATE rollup_row SET ce_primary_ug = ce_primary_ug + 1 WHERE level = 3 AND carrier = 1",
        ),
        (
            cost,
            "UPDATE cost_row SET cost_ncny = cost_ncny + 1 WHERE carrier = 0",
            "UPDATE cost_row SET cost_ncny = cost_ncny - 1 WHERE carrier = 0",
        ),
        (cost, "UPDATE cost_row SET band = band + 10 WHERE carrier = 2", "UPDATE cost_row SET band = band - 10 WHERE carrier = 2"),
    ] {
        let ledger = rusqlite::Connection::open(data.join("nengtan.sqlite")).unwrap();
        assert!(ledger.execute(wrong, []).unwrap() > 0, "{wrong}");
        let (code, told) = verify(&data, &truth);
        assert_eq!(code, Some(3), "{wrong}: {told}");
        let line = told.lines().find(|line| line.contains(check)).unwrap_or_else(|| panic!("{check}: {told}"));
        assert!(line.contains("NO"), "{line}");
        ledger.execute(right, []).unwrap();
    }
    assert_eq!(verify(&data, &truth).0, Some(0), "put right again");
}
