//! Whether the fleet played the faults it promises, so that a pass means something.

use super::truth::Truth;
use super::{Finding, Tally};

/// What harsh promises per 30 days and 300 meters.
const HARSH: [(&str, f64); 9] = [
    ("gateway_offline", 20.0),
    ("reset", 10.0),
    ("rollover", 10.0),
    ("swap_declared", 10.0),
    ("swap_undeclared", 10.0),
    ("false_zero", 10.0),
    ("frozen", 10.0),
    ("spike", 10.0),
    ("clock_drift", 5.0),
];
/// Shares of the readings that harsh promises at least.
const HARSH_DUPLICATES: f64 = 0.02;
const HARSH_REORDERED: f64 = 0.02;
const HARSH_LATE: f64 = 0.01;
const DAY_MS: f64 = 86_400_000.0;

#[must_use]
pub fn check(truth: &Truth) -> Vec<Finding> {
    let mut kinds: Vec<(&str, u64)> = Vec::new();
    for fault in &truth.faults {
        match kinds.iter_mut().find(|(kind, _)| *kind == fault.fault) {
            Some((_, count)) => *count += 1,
            None => kinds.push((&fault.fault, 1)),
        }
    }
    kinds.sort_unstable();
    let end = truth.end;
    let played: Vec<String> = kinds.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
    let stopped = end.at < truth.run.to;
    let figure = format!(
        "{}{}; duplicates {}, reordered {}, late {} of {} readings",
        if stopped { "stopped early, so nothing is promised; " } else { "" },
        played.join(", "),
        end.duplicates,
        end.reordered,
        end.late,
        end.readings
    );
    let mut tally = Tally::default();
    if truth.run.faults == "harsh" && !stopped {
        let live_from = truth.run.live_from.map_or(truth.run.from, |live_from| live_from.max(truth.run.from));
        let scale = (truth.run.to - live_from) as f64 / DAY_MS / 30.0 * truth.run.meters as f64 / 300.0;
        for (kind, promised) in HARSH {
            let seen = kinds.iter().find(|(played, _)| *played == kind).map_or(0, |(_, count)| *count);
            let wanted = (promised * scale).floor();
            tally.check(seen as f64 >= wanted, || format!("{kind}: {seen}, promised {wanted}"));
        }
        let live = live_readings(truth) as f64;
        for (kind, seen, share) in [
            ("duplicates", end.duplicates, HARSH_DUPLICATES),
            ("reordered", end.reordered, HARSH_REORDERED),
            ("late", end.late, HARSH_LATE),
        ] {
            tally.check(seen as f64 >= share * live, || format!("{kind}: {seen} of {live} readings"));
        }
    }
    vec![tally.finding("faults played", figure)]
}

/// Readings of the live part: the faults are not played in the history before it.
fn live_readings(truth: &Truth) -> u64 {
    let Some(live_from) = truth.run.live_from.filter(|live_from| truth.run.from < *live_from) else { return truth.end.readings };
    let mut meters: rustc_hash::FxHashMap<&str, u64> = rustc_hash::FxHashMap::default();
    for spans in &truth.spans {
        let mut at = spans.start;
        let own = spans.ends.iter().filter(|length| {
            at += **length;
            at >= live_from
        });
        let count = own.count() as u64;
        let of_meter = meters.entry(spans.meter.as_str()).or_default();
        *of_meter += count;
    }
    meters.values().sum()
}
