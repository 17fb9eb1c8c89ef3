//! The unit or equipment meter that explains most of a subject's place.

use rusqlite::{Connection, params};
use rustc_hash::FxHashMap;

use super::avoidable::Excess;
use super::{RankError, bounds};
use crate::domain::calendar::Span;
use crate::domain::units::HOUR_MS;
use crate::report::subject::Subject;

/// A meter below the entry, and what it explains.
#[derive(Clone, Debug)]
pub struct Leading {
    pub meter: String,
    /// Of all unit and equipment meters of its subject, by standard coal; of what they use, or of what they use more than in the baseline's period.
    share: f64,
    of_growth: bool,
}

impl Leading {
    pub fn told(&self) -> String {
        let of = if self.of_growth { "of what sub-meters draw more than in the baseline's period" } else { "of what sub-meters draw" };
        format!("{} has {:.0} % {of}", self.meter, 100.0 * self.share)
    }
}

struct SubMeter {
    channel: i64,
    meter: String,
    entity: String,
    /// Standard coal by heat content, mg per ledger unit.
    mg_ce: f64,
}

/// Of each subject; by growth against the baseline's period where that is asked for and one is in force.
pub fn leading(
    ledger: &Connection,
    found: &[(String, Subject)],
    period: Span,
    by_growth: bool,
    excesses: &[Option<Excess>],
) -> Result<Vec<Option<Leading>>, RankError> {
    let meters = sub_meters(ledger)?;
    let now = means(ledger, period)?;
    let mut entities = FxHashMap::default();
    let mut statement = ledger.prepare("SELECT entity, id FROM entity_row")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        entities.insert(row.get::<_, String>(0)?, row.get::<_, i64>(1)?);
    }
    let mut before: FxHashMap<[i64; 2], FxHashMap<i64, f64>> = FxHashMap::default();
    let mut out = Vec::new();
    for ((_, subject), excess) in found.iter().zip(excesses) {
        let baseline = excess.as_ref().filter(|_| by_growth).map(|excess| bounds(excess.baseline));
        if let Some([from, to]) = baseline
            && !before.contains_key(&[from, to])
        {
            before.insert([from, to], means(ledger, excess.as_ref().map_or(period, |excess| excess.baseline))?);
        }
        let then = baseline.and_then(|span| before.get(&span));
        let own = meters.iter().filter(|meter| entities.get(&meter.entity).is_some_and(|row| subject.rows.contains(row)));
        let weight = |meter: &SubMeter| {
            let mean = |of: &FxHashMap<i64, f64>| of.get(&meter.channel).copied().unwrap_or(0.0);
            (mean(&now) - then.map_or(0.0, mean)) * meter.mg_ce
        };
        let weights: Vec<(&SubMeter, f64)> = own.map(|meter| (meter, weight(meter))).filter(|(_, weight)| *weight > 0.0).collect();
        let sum: f64 = weights.iter().map(|(_, weight)| weight).sum();
        let first = weights.iter().max_by(|(_, a), (_, b)| a.total_cmp(b));
        out.push(first.map(|(meter, weight)| Leading { meter: meter.meter.clone(), share: weight / sum, of_growth: then.is_some() }));
    }
    Ok(out)
}

/// Import registers below the entry that carry energy. Equipment below a unit meter is part of it; the deepest that leads is the more telling.
fn sub_meters(ledger: &Connection) -> Result<Vec<SubMeter>, RankError> {
    let sql = "SELECT c.id, c.meter, c.entity, MAX(f.coal_calorific_mg_per_unit) FROM channel_row c JOIN factor_row f ON f.carrier = c.carrier \
               WHERE c.register AND c.level IN ('unit', 'equipment') AND c.direction = 'import' AND c.entity IS NOT NULL \
               AND f.coal_calorific_mg_per_unit IS NOT NULL GROUP BY c.id";
    let mut statement = ledger.prepare(sql)?;
    let rows = statement
        .query_map([], |row| Ok(SubMeter { channel: row.get(0)?, meter: row.get(1)?, entity: row.get(2)?, mg_ce: row.get(3)? }))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Mean flow of each channel, in ledger units per hour.
fn means(ledger: &Connection, period: Span) -> Result<FxHashMap<i64, f64>, RankError> {
    crate::show::need_intervals(ledger, Some(period.start))?;
    let [from, to] = bounds(period);
    let hours = period.ms() as f64 / HOUR_MS as f64;
    let sql = "SELECT channel, TOTAL(quantity) FROM every_interval WHERE ts >= ?1 AND ts < ?2 \
               AND block BETWEEN block_of(?1) AND block_of(?2) GROUP BY channel";
    let mut statement = ledger.prepare(sql)?;
    let rows = statement.query_map(params![from, to], |row| Ok((row.get(0)?, row.get::<_, f64>(1)? / hours)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
