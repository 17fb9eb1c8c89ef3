//! The books against the ledger and against themselves: nothing is lost between readings, intervals, roll-ups and the zone.

use rusqlite::{Connection, params};
use rustc_hash::FxHashMap;

use super::ledger::Ledger;
use super::{Finding, Tally, VerifyError};
use crate::store::retention::Kept;

/// Sums over all of a ledger's readings or intervals are checked while it has them all.
pub fn check(connection: &Connection, ledger: &Ledger, kept: Kept) -> Result<Vec<Finding>, VerifyError> {
    let mut findings = vec![levels(connection)?];
    if kept.readings.is_none() {
        findings.push(intervals(connection, ledger)?);
    }
    if kept.intervals.is_none() {
        findings.extend([hours(connection)?, nodes(connection)?]);
    }
    Ok(findings)
}

fn intervals(connection: &Connection, ledger: &Ledger) -> Result<Finding, VerifyError> {
    let mut sums: FxHashMap<i64, i128> = FxHashMap::default();
    let mut statement = connection.prepare("SELECT channel, quantity FROM every_interval")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        *sums.entry(row.get(0)?).or_default() += i128::from(row.get::<_, i64>(1)?);
    }
    let mut tally = Tally::default();
    for ((meter, item), channel) in ledger {
        let intervals = sums.get(&channel.row).copied().unwrap_or(0);
        let readings = channel.goods.last().map_or(0, |good| good.run_up);
        tally.check(intervals == readings, || format!("{meter} {item}: intervals {intervals}, readings {readings}"));
    }
    Ok(tally.finding("intervals add up to the readings", String::new()))
}

fn hours(connection: &Connection) -> Result<Finding, VerifyError> {
    let mut wanted: FxHashMap<(i64, i64), i128> = FxHashMap::default();
    let sql = "SELECT s.entity, c.carrier, i.quantity * s.sign FROM every_interval i JOIN share_row s ON s.channel = i.channel \
               JOIN channel_row c ON c.id = i.channel";
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        *wanted.entry((row.get(0)?, row.get(1)?)).or_default() += i128::from(row.get::<_, i64>(2)?);
    }
    let mut tally = Tally::default();
    for (level, sums) in rollups(connection)? {
        for (key, wanted) in &wanted {
            let seen = sums.get(key).copied().unwrap_or(0);
            tally.check(seen == *wanted, || format!("level {level}, entity {}, carrier {}: {seen}, intervals {wanted}", key.0, key.1));
        }
    }
    Ok(tally.finding("hours, days and months add up to the intervals", String::new()))
}

type Sums = FxHashMap<(i64, i64), i128>;

fn rollups(connection: &Connection) -> Result<Vec<(i64, Sums)>, VerifyError> {
    let mut levels: Vec<(i64, Sums)> = (1..=3).map(|level| (level, Sums::default())).collect();
    let mut statement = connection.prepare("SELECT level, entity, carrier, quantity FROM rollup_row")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let level: i64 = row.get(0)?;
        if let Some((_, sums)) = levels.iter_mut().find(|(known, _)| *known == level) {
            *sums.entry((row.get(1)?, row.get(2)?)).or_default() += i128::from(row.get::<_, i64>(3)?);
        }
    }
    Ok(levels)
}

/// Σ entities + residual = zone, per month and carrier, where nothing is made inside.
fn levels(connection: &Connection) -> Result<Finding, VerifyError> {
    let sql = "SELECT r.ts, r.carrier, e.kind = 'zone', r.quantity, r.co2e_ug FROM rollup_row r JOIN whole_entity e ON e.id = r.entity \
               WHERE r.level = 3 AND r.carrier IN (0, 1, 4)";
    let mut sums: FxHashMap<(i64, i64), (i128, i128)> = FxHashMap::default();
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let sign = if row.get(2)? { -1 } else { 1 };
        let sum = sums.entry((row.get(0)?, row.get(1)?)).or_default();
        sum.0 += sign * i128::from(row.get::<_, i64>(3)?);
        sum.1 += sign * i128::from(row.get::<_, i64>(4)?);
    }
    let mut tally = Tally::default();
    for ((month, carrier), (quantity, carbon)) in sums {
        tally.check(quantity == 0 && carbon == 0, || format!("month {month}, carrier {carrier}: off by {quantity}, {carbon} µg"));
    }
    Ok(tally.finding("entities and residual add up to the zone", "electricity, gas and water; energy and carbon".to_owned()))
}

/// What each node took is what the meters right below it took and its residual, by intervals and by the residual's own months.
fn nodes(connection: &Connection) -> Result<Finding, VerifyError> {
    let sql = "SELECT n.node, c.carrier, i.quantity * n.own, i.quantity * (n.sign - n.own) FROM node_row n JOIN channel_row c ON c.id = n.channel \
               JOIN every_interval i ON i.channel = n.channel";
    let mut wanted: FxHashMap<(String, i64), (i128, i128)> = FxHashMap::default();
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let node = wanted.entry((row.get(0)?, row.get(1)?)).or_default();
        node.0 += i128::from(row.get::<_, i64>(2)?);
        node.1 += i128::from(row.get::<_, i64>(3)?);
    }
    let sql = "SELECT COALESCE(SUM(r.quantity), 0) FROM rollup_row r JOIN part_entity e ON e.id = r.entity \
               WHERE r.level = 3 AND e.entity = ?1 || '-residual' AND r.carrier = ?2";
    let mut statement = connection.prepare(sql)?;
    let mut tally = Tally::default();
    for ((node, carrier), (took, below)) in wanted {
        let residual = i128::from(statement.query_row(params![node, carrier], |row| row.get::<_, i64>(0))?);
        tally.check(took + below == residual, || format!("{node}, carrier {carrier}: took {took}, below {}, residual {residual}", -below));
    }
    Ok(tally.finding("meters below a meter and its residual add up to it", String::new()))
}
