//! The law of the house, span by span.

use rustc_hash::FxHashMap;

use super::ledger::{Channel, Ledger};
use super::truth::{Fault, Spans, Truth};
use super::{Finding, Tally};
use crate::domain::units::Millis;
use crate::ledger::mark::Quality;

/// Physical energy has three decimals in the file.
const PHYSICAL_ROUNDING: f64 = 0.002;

/// `kept`: from when on the ledger has all readings, if not from the beginning.
pub fn check(truth: &Truth, ledger: &Ledger, kept: Option<Millis>) -> Vec<Finding> {
    let mut bounds = Tally::default();
    let mut owed = Tally::default();
    let mut physical = Tally::default();
    let mut marked = Tally::default();
    let mut totals = Tally::default();
    let mut sums: FxHashMap<(&str, &str), (i64, i64, i128, f64)> = FxHashMap::default();
    let faults = by_meter(&truth.faults);
    let mut worst = 0.0_f64;
    for spans in &truth.spans {
        let name = format!("{} {}", spans.meter, spans.item);
        let Some(channel) = ledger.get(&(spans.meter.clone(), spans.item.clone())) else {
            bounds.check(false, || format!("{name} is not in the ledger"));
            continue;
        };
        let own: Vec<&Fault> = faults
            .get(spans.meter.as_str())
            .into_iter()
            .flatten()
            .copied()
            .filter(|fault| fault.item.as_ref().is_none_or(|item| *item == spans.item))
            .collect();
        let known = each(spans).filter(|(from, ..)| kept.is_none_or(|kept| kept.0 <= *from));
        for (from, to, span_owed, span_physical) in known {
            let sum = sums.entry((&spans.meter, &spans.item)).or_insert((from, from, 0, 0.0));
            sum.1 = to;
            sum.2 += i128::from(span_owed);
            sum.3 += span_physical;
            let (Some(first), Some(last)) = (channel.at(from), channel.at(to)) else {
                bounds.check(false, || format!("{name}: no good reading at {from} or {to}"));
                continue;
            };
            bounds.check(true, String::new);
            let seen = channel.goods[last].run_up - channel.goods[first].run_up;
            owed.check(seen == i128::from(span_owed), || format!("{name} {from}–{to}: ledger {seen}, owed {span_owed}"));
            let off = (seen as f64 - span_physical).abs();
            worst = worst.max(off);
            let touching = own.iter().filter(|fault| fault.from < to && from < fault.to.max(fault.from + 1));
            let unobservable: f64 = touching.map(|fault| fault.unobservable).sum();
            let allowed = unobservable + channel.step as f64 + PHYSICAL_ROUNDING;
            physical.check(off <= allowed, || {
                format!("{name} {from}–{to}: ledger {seen}, physical {span_physical}, {unobservable} unobservable")
            });
            let affected = off > channel.step as f64 + PHYSICAL_ROUNDING;
            if affected {
                let is_marked = channel.goods[first + 1..=last].iter().any(|good| good.quality != Quality::Measured);
                marked.check(is_marked, || format!("{name} {from}–{to}: off by {off} and called measured"));
            }
        }
    }
    let mut off_physical = 0.0;
    for ((meter, item), (from, to, sum_owed, sum_physical)) in sums {
        let Some(channel) = ledger.get(&(meter.to_owned(), item.to_owned())) else { continue };
        let seen = total(channel, from, to);
        off_physical += seen.map_or(0.0, |seen| (seen as f64 - sum_physical).abs());
        totals.check(seen == Some(sum_owed), || format!("{meter} {item}: ledger {seen:?}, owed {sum_owed}"));
    }
    vec![
        bounds.finding("every published reading bounds a span", format!("seed {}, faults {}", truth.run.seed, truth.run.faults)),
        owed.finding("every span equals what is owed", "differences: 0 ledger units".to_owned()),
        totals.finding(
            "every meter's total equals what is owed",
            format!("|ledger − physical| over all meters: {off_physical:.0} ledger units"),
        ),
        physical.finding("physical within unobservable plus one step", format!("largest difference of a span: {worst:.3} ledger units")),
        marked.finding("what is affected is marked", "assumed or estimated".to_owned()),
    ]
}

fn each(spans: &Spans) -> impl Iterator<Item = (i64, i64, i64, f64)> + '_ {
    let mut from = spans.start;
    spans.ends.iter().zip(&spans.owed).zip(&spans.physical).map(move |((length, owed), physical)| {
        let span = (from, from + length, *owed, *physical);
        from += length;
        span
    })
}

fn total(channel: &Channel, from: i64, to: i64) -> Option<i128> {
    Some(channel.goods[channel.at(to)?].run_up - channel.goods[channel.at(from)?].run_up)
}

fn by_meter(faults: &[Fault]) -> FxHashMap<&str, Vec<&Fault>> {
    let mut by_meter: FxHashMap<&str, Vec<&Fault>> = FxHashMap::default();
    for fault in faults {
        if let Some(meter) = &fault.meter {
            by_meter.entry(meter).or_default().push(fault);
        }
    }
    by_meter
}
