//! Alerts raised against alerts owed.

use rusqlite::Connection;
use rustc_hash::FxHashMap;

use super::truth::Truth;
use super::{Finding, Tally, VerifyError};
use crate::alerts::{BROKER_RULE, RESULT_RULE};

/// Two alerts of one rule and subject are the same if their conditions began within this time.
const SAME_MS: i64 = 3_600_000;
/// Precision and recall wanted where faults are played; without any, both are 1.
const WANTED_WITH_FAULTS: f64 = 0.95;

pub fn check(connection: &Connection, truth: &Truth) -> Result<Vec<Finding>, VerifyError> {
    // The fleet cannot owe what the broker does to the collector and its commands, and knows of no sums of meters.
    let sql = "SELECT rule, subject, since FROM alert_row WHERE rule NOT IN (?1, ?2) AND subject NOT IN (SELECT entity FROM part_entity)";
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([BROKER_RULE, RESULT_RULE], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let raised: Vec<(String, String, i64)> = rows.collect::<Result<_, _>>()?;
    let owed: Vec<(String, String, i64)> =
        truth.alerts.iter().map(|alert| (alert.rule.clone(), alert.subject.clone(), alert.since)).collect();
    let matched = matched(&raised, &owed);
    let ratio = |of: usize| if of == 0 { 1.0 } else { matched as f64 / of as f64 };
    let (precision, recall) = (ratio(raised.len()), ratio(owed.len()));
    let wanted = if truth.run.faults == "none" { 1.0 } else { WANTED_WITH_FAULTS };
    let figure = format!("raised {}, owed {}: precision {precision:.4}, recall {recall:.4}", raised.len(), owed.len());
    let mut tally = Tally::default();
    tally.check(precision >= wanted, || format!("{figure}, wanted {wanted}; raised and not owed: {}", strangers(&raised, &owed)));
    tally.check(recall >= wanted, || format!("{figure}, wanted {wanted}; owed and not raised: {}", strangers(&owed, &raised)));
    Ok(vec![tally.finding("alerts raised are the alerts owed", figure)])
}

type Alert = (String, String, i64);

fn matched(raised: &[Alert], owed: &[Alert]) -> usize {
    let mut open: FxHashMap<(&str, &str), Vec<i64>> = FxHashMap::default();
    for (rule, subject, since) in owed {
        open.entry((rule, subject)).or_default().push(*since);
    }
    let mut matched = 0;
    for (rule, subject, since) in raised {
        let Some(candidates) = open.get_mut(&(rule.as_str(), subject.as_str())) else { continue };
        let nearest = candidates.iter().enumerate().min_by_key(|(_, other)| (*other - since).abs());
        if let Some((index, other)) = nearest
            && (other - since).abs() <= SAME_MS
        {
            candidates.swap_remove(index);
            matched += 1;
        }
    }
    matched
}

fn strangers(these: &[Alert], those: &[Alert]) -> String {
    let unknown = these
        .iter()
        .filter(|(rule, subject, since)| !those.iter().any(|(r, s, other)| r == rule && s == subject && (other - since).abs() <= SAME_MS));
    unknown.take(3).map(|(rule, subject, since)| format!("{rule} {subject} {since}")).collect::<Vec<_>>().join(", ")
}
