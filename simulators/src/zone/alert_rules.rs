//! `alerts.toml`: what the collector is asked to raise, so that the fleet knows which alerts it owes.

use std::collections::HashSet;
use std::path::Path;

use super::fault::{Fault, Faults};
use super::keys::{self, Keys};
use super::{Carrier, Level, Zone};

const FILE: &str = "alerts.toml";

#[derive(Clone, Debug, Default)]
pub struct AlertRules {
    pub thresholds: Vec<Threshold>,
    pub stale: Option<Stale>,
    /// Id of the rule for gateways.
    pub gateway: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Threshold {
    pub rule: String,
    pub on: Quantity,
    pub item: String,
    pub level: Option<Level>,
    pub carrier: Option<Carrier>,
    /// Empty: all.
    pub meters: Vec<String>,
    /// Empty: all.
    pub entities: Vec<String>,
    pub raise_above: Limit,
    pub clear_below: Limit,
    pub hold_ms: i64,
}

#[derive(Clone, Debug)]
pub struct Stale {
    pub rule: String,
    pub after_ms: i64,
}

/// What a threshold looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    Gauge,
    IntervalMean,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit {
    /// In the item's unit.
    Value(f64),
    /// Times the meter's rating.
    Rating(f64),
}

impl AlertRules {
    /// Reads `alerts.toml` of the zone's folder; no file means no rules.
    pub fn load(zone: &Zone) -> Result<AlertRules, Vec<Fault>> {
        let known = Known {
            meters: zone.channels.iter().map(|channel| channel.meter.as_str()).collect(),
            entities: zone.entities.iter().map(|entity| entity.id.as_str()).chain([zone.id.as_str()]).collect(),
        };
        let (rules, faults) = read(&zone.folder, &known);
        if faults.list.is_empty() { Ok(rules) } else { Err(faults.list) }
    }
}

/// The ids that filters may name.
pub(super) struct Known<'a> {
    pub meters: HashSet<&'a str>,
    pub entities: HashSet<&'a str>,
}

pub(super) fn read(folder: &Path, known: &Known) -> (AlertRules, Faults) {
    let mut faults = Faults::new(FILE);
    let Some(text) = faults.read(folder, false) else {
        return (AlertRules::default(), faults);
    };
    let document = keys::parse(&text, &mut faults);
    let mut top = Keys::new(&text, FILE, document.get_ref(), 1);
    let mut ids = HashSet::new();
    let thresholds =
        top.tables("threshold", &mut faults).into_iter().filter_map(|keys| threshold(keys, known, &mut ids, &mut faults)).collect();
    let stale = top.table("stale", &mut faults).and_then(|keys| stale(keys, &mut ids, &mut faults));
    let gateway = top.table("gateway", &mut faults).and_then(|mut keys| {
        let rule = rule(&mut keys, &mut ids, &mut faults);
        keys.finish(&mut faults);
        rule
    });
    top.finish(&mut faults);
    (AlertRules { thresholds, stale, gateway }, faults)
}

/// The keys that every rule has.
fn rule(keys: &mut Keys, ids: &mut HashSet<String>, faults: &mut Faults) -> Option<String> {
    keys.text("name_en", faults);
    keys.text("name_zh", faults);
    keys.check_present("severity", faults);
    keys.choice("severity", &[("info", ()), ("warning", ()), ("critical", ())], faults);
    let rule = keys.needed_text("rule", faults)?;
    let line = keys.line_of("rule");
    faults.check_id(line, "rule", &rule);
    if !ids.insert(rule.clone()) {
        faults.add(line, format!("duplicate rule `{rule}`"), "each rule id once", "rename one");
    }
    Some(rule)
}

fn stale(mut keys: Keys, ids: &mut HashSet<String>, faults: &mut Faults) -> Option<Stale> {
    let rule = rule(&mut keys, ids, faults);
    keys.check_present("after_s", faults);
    let after_s = keys.integer("after_s", faults);
    if after_s.is_some_and(|after_s| after_s <= 0) {
        faults.add(keys.line_of("after_s"), "`after_s` that is not above 0", "seconds above 0", "correct the value");
    }
    keys.finish(faults);
    Some(Stale { rule: rule?, after_ms: after_s? * 1000 })
}

fn threshold(mut keys: Keys, known: &Known, ids: &mut HashSet<String>, faults: &mut Faults) -> Option<Threshold> {
    let rule = rule(&mut keys, ids, faults);
    keys.check_present("on", faults);
    let on = keys.choice("on", &[("gauge", Quantity::Gauge), ("interval_mean", Quantity::IntervalMean)], faults);
    let item = keys.needed_text("item", faults);
    let level = keys.choice("level", &[("entry", Level::Entry), ("unit", Level::Unit), ("equipment", Level::Equipment)], faults);
    let carrier = keys.choice("carrier", &super::CARRIERS, faults);
    let meters = filter(&mut keys, "meters", &known.meters, faults);
    let entities = filter(&mut keys, "entities", &known.entities, faults);
    let raise_above = limit(&mut keys, "raise_above", "raise_above_rating", faults);
    let clear_below = limit(&mut keys, "clear_below", "clear_below_rating", faults);
    check_order(&keys, raise_above, clear_below, faults);
    keys.check_present("hold_s", faults);
    let hold_s = keys.integer("hold_s", faults);
    if hold_s.is_some_and(|hold_s| hold_s < 0) {
        faults.add(keys.line_of("hold_s"), "`hold_s` below 0", "seconds from 0 on", "correct the value");
    }
    keys.finish(faults);
    let (raise_above, clear_below, hold_ms) = (raise_above?, clear_below?, hold_s? * 1000);
    Some(Threshold { rule: rule?, on: on?, item: item?, level, carrier, meters, entities, raise_above, clear_below, hold_ms })
}

fn filter(keys: &mut Keys, key: &'static str, known: &HashSet<&str>, faults: &mut Faults) -> Vec<String> {
    let ids = keys.texts(key, faults).unwrap_or_default();
    // What a meter and those below it leave over can be watched, too; the fleet owes no alerts on sums.
    let is_known = |id: &str| known.contains(id) || (key == "meters" && id.strip_suffix("-residual").is_some_and(|id| known.contains(id)));
    for id in ids.iter().filter(|id| !is_known(id)) {
        faults.add(keys.line_of(key), format!("`{key}` names the unknown `{id}`"), "ids of this zone", "correct the id");
    }
    ids
}

fn limit(keys: &mut Keys, value: &'static str, rating: &'static str, faults: &mut Faults) -> Option<Limit> {
    let line = keys.line;
    match (keys.number(value, faults), keys.number(rating, faults)) {
        (Some(number), None) => Some(Limit::Value(number)),
        (None, Some(number)) => Some(Limit::Rating(number)),
        (Some(_), Some(_)) => {
            faults.add(line, format!("both `{value}` and `{rating}`"), "one of them", "remove one");
            None
        }
        (None, None) => {
            faults.add(line, format!("neither `{value}` nor `{rating}`"), "one of them", "add one");
            None
        }
    }
}

fn check_order(keys: &Keys, raise: Option<Limit>, clear: Option<Limit>, faults: &mut Faults) {
    let above = match (raise, clear) {
        (Some(Limit::Value(raise)), Some(Limit::Value(clear))) | (Some(Limit::Rating(raise)), Some(Limit::Rating(clear))) => clear > raise,
        _ => false,
    };
    if above {
        let key = if matches!(clear, Some(Limit::Value(_))) { "clear_below" } else { "clear_below_rating" };
        faults.add(keys.line_of(key), format!("`{key}` above the raise level"), "a clear level not above it", format!("lower {key}"));
    }
}
