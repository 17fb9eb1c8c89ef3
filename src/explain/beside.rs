//! What else a quantity stands for: standard coal, cost, carbon by the market, and what users declared for the same time.

use rusqlite::{Connection, params};
use serde::Serialize;

use super::{CarrierPart, MeterPart};
use crate::accounting::Book;
use crate::domain::calendar::Span;
use crate::domain::units::Millis;
use crate::show::streams::{Stream, by_source};
use crate::show::{By, Resolved, ShowError, known};
use crate::wire::encode::rfc3339;

/// `quantity` × `mg_per_unit` is standard coal in µg; the two bases are never added.
#[derive(Debug, Serialize)]
pub struct CoalPart {
    pub basis: &'static str,
    pub mg_per_unit: i64,
    pub ce_ug: i128,
    pub kgce: f64,
}

/// What the meters' intervals in one band cost: `bought` × `ucny_per_unit` is nano-CNY. No price, no cost.
#[derive(Debug, Serialize)]
pub struct CostPart {
    pub band: &'static str,
    pub bought: i128,
    pub ucny_per_unit: Option<i64>,
    pub cost_ncny: Option<i128>,
    pub cny: Option<f64>,
    pub tariff: String,
}

/// One line of carbon by the market, or of what was declared: `amount` × `mg_per_unit` is µg, while its factor does not change in between.
#[derive(Debug, Serialize)]
pub struct StreamPart {
    pub stream: String,
    pub scope: i64,
    pub method: String,
    pub from: String,
    pub to: String,
    /// Thousandths of `unit`.
    pub amount: i128,
    pub unit: String,
    pub mg_per_unit: i64,
    pub tier: String,
    pub version: String,
    pub co2e_ug: i128,
    pub kg_co2e: f64,
    /// Of what was declared: the whole entry that the line is a share of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<EntryPart>,
}

/// What somebody declared, for all of its time.
#[derive(Debug, Serialize)]
pub struct EntryPart {
    pub id: String,
    pub from: String,
    pub to: String,
    pub amount: i64,
    pub source: String,
    pub recorded: String,
}

pub fn coal(ledger: &Connection, wanted: &Resolved, (book, at): (Book, Millis), quantity: i128) -> Result<Vec<CoalPart>, ShowError> {
    let bases = [("calorific", known::coal_calorific(ledger, wanted)?), ("primary", known::coal_primary(ledger, wanted)?)];
    let part = |(basis, factors): &(&'static str, known::InForce<i64>)| {
        let (mg_per_unit, _) = factors.at(book as u8, at)?;
        let ce_ug = quantity * i128::from(*mg_per_unit);
        Some(CoalPart { basis, mg_per_unit: *mg_per_unit, ce_ug, kgce: ce_ug as f64 / 1e9 })
    };
    Ok(bases.iter().filter_map(part).collect())
}

/// By band and price, each meter's interval as its beginning.
pub fn costs(ledger: &Connection, wanted: &Resolved, book: Book, meters: &[MeterPart]) -> Result<Vec<CostPart>, ShowError> {
    let prices = known::prices(ledger, wanted)?;
    let mut parts: Vec<CostPart> = Vec::new();
    for (meter, interval) in meters.iter().flat_map(|meter| meter.intervals.iter().map(move |interval| (meter, interval))) {
        let Some((price, _)) = prices.at(book as u8, interval.start) else { continue };
        let bought = i128::from(interval.quantity) * i128::from(meter.bought);
        let band = price.band.as_str();
        match parts.iter_mut().find(|part| part.band == band && part.ucny_per_unit == price.ucny_per_unit && part.tariff == price.tariff) {
            Some(part) => part.bought += bought,
            None => parts.push(CostPart {
                band,
                bought,
                ucny_per_unit: price.ucny_per_unit,
                cost_ncny: None,
                cny: None,
                tariff: price.tariff.clone(),
            }),
        }
    }
    for part in &mut parts {
        part.cost_ncny = part.ucny_per_unit.map(|price| part.bought * i128::from(price));
        part.cny = part.cost_ncny.map(|cost| cost as f64 / 1e9);
    }
    Ok(parts)
}

/// What the market says of the carriers of an explanation, and what was declared for an interval. Each span is looked at once: it takes whole months.
pub fn add_streams(
    ledger: &Connection,
    wanted: &Resolved,
    carriers: &mut [CarrierPart],
    interval: Span,
) -> Result<Vec<StreamPart>, ShowError> {
    let mut parts = Vec::new();
    let mut spans: Vec<Span> = carriers.iter().map(|carrier| carrier.span).chain([interval]).collect();
    spans.sort_unstable_by_key(|span| (span.start, span.end));
    spans.dedup();
    for span in spans {
        let [_, market, declared] = by_source(ledger, &mut within(wanted, span), By::Total)?;
        for stream in market {
            if let Some(carrier) = carriers.iter_mut().find(|carrier| carrier.span == span && Some(carrier.carrier) == stream.carrier) {
                carrier.market.push(part(stream, wanted, None));
            }
        }
        if span == interval {
            parts = with_entries(ledger, wanted, declared)?;
        }
    }
    Ok(parts)
}

fn with_entries(ledger: &Connection, wanted: &Resolved, declared: Vec<Stream>) -> Result<Vec<StreamPart>, ShowError> {
    let sql = "SELECT id, from_ts, to_ts, amount, source, recorded FROM ( \
               SELECT *, NULL AS known_to FROM declared_entry_row WHERE ?2 IS NULL OR known_from <= ?2 \
               UNION ALL SELECT * FROM declared_entry_version_row WHERE known_from <= ?2 AND ?2 < known_to) WHERE stream || ' (' || id || ')' = ?1";
    let mut statement = ledger.prepare(sql)?;
    let mut parts = Vec::new();
    for stream in declared {
        let entry = statement.query_row(params![stream.name, wanted.as_known_on.map(|at| at.0)], |row| {
            let at = |index| row.get(index).map(|at| rfc3339(Millis(at), &wanted.time_zone));
            Ok(EntryPart { id: row.get(0)?, from: at(1)?, to: at(2)?, amount: row.get(3)?, source: row.get(4)?, recorded: row.get(5)? })
        })?;
        parts.push(part(stream, wanted, Some(entry)));
    }
    Ok(parts)
}

fn within(wanted: &Resolved, span: Span) -> Resolved {
    Resolved { from: Some(span.start), to: Some(span.end), ..wanted.clone() }
}

fn part(stream: Stream, wanted: &Resolved, entry: Option<EntryPart>) -> StreamPart {
    let Stream { name, scope, method, from, to, amount, unit, mg_per_unit, tier, version, co2e_ug, .. } = stream;
    let [from, to] = [from, to].map(|at| rfc3339(at, &wanted.time_zone));
    let kg_co2e = co2e_ug as f64 / 1e9;
    StreamPart { stream: name, scope, method, from, to, amount, unit, mg_per_unit, tier, version, co2e_ug, kg_co2e, entry }
}
