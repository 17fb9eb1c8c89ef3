//! What a month's bill of electricity adds to its bands: the demand charge, and the adjustment by power factor.
//!
//! Invariant: these are lines of their own; no band's cost has a part of them.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};
use rustc_hash::FxHashMap;

use super::demand::{months, of_entities};
use super::known::{InForce, Price};
use super::sites::Sites;
use super::{Resolved, ShowError, need_readings};
use crate::accounting::Book;
use crate::accounting::demand::{Taken, adjustment, power_factor_hundredths};
use crate::domain::calendar::Span;
use crate::domain::units::{Millis, NanoCny, Quantity};

/// Stands in the place of a band.
pub const DEMAND: &str = "demand_charge";
pub const POWER_FACTOR: &str = "power_factor_adjustment";

/// Electricity's cost of an entity in a month, in nano-CNY: all of it, and the funds in it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bill {
    pub energy_ncny: i128,
    pub funds_ncny: i128,
}

/// One line of a month.
#[derive(Clone, Debug)]
pub struct Line {
    pub month: Span,
    pub entity: i64,
    pub name: &'static str,
    /// kW, or the power factor.
    pub quantity: f64,
    pub unit: &'static str,
    pub cost_ncny: i128,
    pub tariff: String,
    /// The quarter that the demand was taken from.
    pub peak: Option<Taken>,
}

/// The lines of each month and entity. The power factor is that of readings as they are now: none is made for figures as known on a date.
pub fn lines(
    ledger: &Connection,
    wanted: &mut Resolved,
    (prices, sites): (&InForce<Price>, &Sites),
    bills: &BTreeMap<(Millis, i64), Bill>,
) -> Result<Vec<Line>, ShowError> {
    let metered = metered(ledger, sites)?;
    let mut lines = Vec::new();
    for month in months(ledger, wanted)? {
        let whole = wanted.calendar.month(month.start);
        let factors = if wanted.as_known_on.is_some() { FxHashMap::default() } else { power_factors(ledger, &metered, month)? };
        let mut priced: BTreeMap<i64, (i128, String)> = BTreeMap::new();
        // A part of an entity has no bill of its own.
        for (entity, peak) in of_entities(ledger, wanted, month, sites)?.into_iter().filter(|(entity, _)| !wanted.parts.contains(entity)) {
            let Some((price, _)) = prices.at(Book::Electricity as u8, peak.start) else { continue };
            let Some(ucny_per_kw) = price.demand_ucny_per_kw_month else { continue };
            // W × µCNY/kW are nano-CNY.
            let cost_ncny = peak.watts() * i128::from(ucny_per_kw);
            let (quantity, tariff) = (peak.watts() as f64 / 1e3, price.tariff.clone());
            priced.insert(entity, (cost_ncny, tariff.clone()));
            lines.push(Line { month: whole, entity, name: DEMAND, quantity, unit: "kW", cost_ncny, tariff, peak: Some(peak) });
        }
        for ((_, entity), bill) in bills.range((whole.start, i64::MIN)..=(whole.start, i64::MAX)) {
            let Some(factor) = factors.get(entity) else { continue };
            let (demand_ncny, tariff) = priced.get(entity).cloned().unwrap_or_default();
            let cost = adjustment(NanoCny(bill.energy_ncny - bill.funds_ncny + demand_ncny), *factor);
            let quantity = *factor as f64 / 100.0;
            let (entity, cost_ncny) = (*entity, cost.0);
            lines.push(Line { month: whole, entity, name: POWER_FACTOR, quantity, unit: "cos_phi", cost_ncny, tariff, peak: None });
        }
    }
    Ok(lines)
}

/// Import registers of electricity that came with a power factor: the column it lies in, and the entities they supply. What a meter hands on inside of a
/// site is none of the site's supply.
fn metered(ledger: &Connection, sites: &Sites) -> Result<FxHashMap<i64, (usize, Vec<i64>)>, ShowError> {
    let sql = "SELECT c.id, g.slot, s.entity, s.sign, s.bought FROM channel_row c JOIN channel_row g ON g.host = c.id AND g.item = 'power_factor' \
               JOIN share_row s ON s.channel = c.id JOIN whole_entity e ON e.id = s.entity WHERE c.carrier = 0 AND c.direction = 'import' ORDER BY c.id";
    let mut statement = ledger.prepare(sql)?;
    let mut rows = statement.query([])?;
    let mut shares: BTreeMap<(i64, usize, i64), (i64, i64)> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let share = shares.entry((row.get(0)?, usize::from(row.get::<_, u8>(1)?), sites.of(row.get(2)?))).or_default();
        *share = (share.0 + row.get::<_, i64>(3)?, share.1 + row.get::<_, i64>(4)?);
    }
    let mut metered: FxHashMap<i64, (usize, Vec<i64>)> = FxHashMap::default();
    for ((channel, slot, entity), _) in shares.into_iter().filter(|(_, (sign, bought))| 0 < *sign && 0 < *bought) {
        metered.entry(channel).or_insert((slot, Vec::new())).1.push(entity);
    }
    Ok(metered)
}

/// The month's power factor by entity, in hundredths: of energy between readings, each at the factor that came with its end.
fn power_factors(ledger: &Connection, metered: &FxHashMap<i64, (usize, Vec<i64>)>, month: Span) -> Result<FxHashMap<i64, i64>, ShowError> {
    let mut parts: FxHashMap<i64, Vec<(Quantity, f64)>> = FxHashMap::default();
    if metered.is_empty() {
        return Ok(FxHashMap::default());
    }
    need_readings(ledger, month.start)?;
    let sql = "SELECT channel, energy, g1, g2, g3, g4 FROM every_reading WHERE ts > ?1 AND ts <= ?2 \
               AND block BETWEEN block_of(?1) AND block_of(?2) AND energy > 0 ORDER BY ts, channel";
    let mut statement = ledger.prepare_cached(sql)?;
    let mut rows = statement.query(params![month.start.0, month.end.0])?;
    while let Some(row) = rows.next()? {
        let Some((slot, entities)) = metered.get(&row.get(0)?) else { continue };
        let Some(factor) = row.get::<_, Option<f64>>(1 + slot)? else { continue };
        for entity in entities {
            parts.entry(*entity).or_default().push((Quantity(row.get(1)?), factor));
        }
    }
    let factors = parts.into_iter().filter_map(|(entity, parts)| Some((entity, power_factor_hundredths(parts.into_iter())?)));
    Ok(factors.collect())
}
