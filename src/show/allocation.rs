//! What tenants bear of shared meters, by the shares that the zone declares: `show allocation`.
//!
//! Invariant: each interval is shared out on its own, so the tenants' parts add up to the meter exactly, however the time is cut. The books keep what a
//! shared meter counts with its own entity: nothing here is added to them.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};
use rustc_hash::FxHashMap;

use super::books::{book_of, names};
use super::known;
use super::{By, Resolved, Selection, ShowError, need_intervals, period};
use crate::accounting::apportion::by_weight;
use crate::domain::units::Millis;
use crate::store::read::{Cell, Table};
use crate::wire::encode::rfc3339;

#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    quantity: i128,
    unmeasured: i128,
    co2e_ug: i128,
    cost_ncny: i128,
    is_priced: bool,
    latest: Millis,
}

/// Shares of a meter over a time: tenant and thousandths of a percent.
struct Period {
    from: Millis,
    to: Millis,
    shares: Vec<(i64, i64)>,
}

struct Part {
    start: Millis,
    end: Millis,
    tenant: i64,
    meter: String,
    book: u8,
    sums: Sums,
}

/// Each tenant's part of each shared meter, with the carbon (location-based) and the cost of its energy.
pub fn allocation(ledger: &Connection, selection: &Selection, by: By) -> Result<Table, ShowError> {
    let mut wanted = selection.resolve(ledger)?;
    let names = names(ledger)?;
    let factors = known::factors(ledger, &wanted)?;
    let mut table = Table::new(&[
        "entity",
        "name_en",
        "name_zh",
        "meter",
        "carrier",
        "from",
        "to",
        "quantity",
        "unit",
        "kwh",
        "kg_co2e",
        "factor_tier",
        "cny",
        "measured_share",
    ]);
    let parts = parts(ledger, &wanted)?;
    let (first, last) = (parts.iter().map(|part| part.start).min(), parts.iter().map(|part| part.end).max());
    let mut all: BTreeMap<(Millis, Millis, i64, String, u8), Sums> = BTreeMap::new();
    for Part { start, end, tenant, meter, book, sums } in parts {
        if !wanted.wants(tenant) {
            continue;
        }
        let (from, to) = period(&mut wanted, by, (start, end), (first, last));
        let into = all.entry((from, to, tenant, meter, book)).or_default();
        into.quantity += sums.quantity;
        into.unmeasured += sums.unmeasured;
        into.co2e_ug += sums.co2e_ug;
        into.cost_ncny += sums.cost_ncny;
        into.is_priced |= sums.is_priced;
        into.latest = into.latest.max(start);
    }
    for ((from, to, tenant, meter, book), sums) in all {
        let Some((shown, (id, name_en, name_zh))) = book_of(book).zip(names.get(&tenant)) else { continue };
        let (carrier, shown) = (shown.carrier().as_str(), shown.shown());
        let quantity = sums.quantity as f64 / shown.per_unit;
        let tier = factors.at(book, sums.latest).map(|(factor, _)| factor.tier.clone());
        table.rows.push(vec![
            Cell::Text(id.clone()),
            Cell::Text(name_en.clone()),
            Cell::Text(name_zh.clone()),
            Cell::Text(meter),
            carrier.into(),
            rfc3339(from, &wanted.time_zone).into(),
            rfc3339(to, &wanted.time_zone).into(),
            Cell::Real(quantity),
            shown.unit.into(),
            shown.kwh_per_unit.map(|kwh| quantity * kwh).into(),
            if tier.is_some() { Cell::Real(sums.co2e_ug as f64 / 1e9) } else { Cell::Null },
            tier.map_or(Cell::Null, Cell::Text),
            if sums.is_priced { Cell::Real(sums.cost_ncny as f64 / 1e9) } else { Cell::Null },
            if sums.quantity == 0 { Cell::Null } else { Cell::Real(1.0 - sums.unmeasured as f64 / sums.quantity as f64) },
        ]);
    }
    Ok(table)
}

fn parts(ledger: &Connection, wanted: &Resolved) -> Result<Vec<Part>, ShowError> {
    need_intervals(ledger, wanted.from)?;
    let periods = periods(ledger)?;
    let (factors, prices) = (known::factors(ledger, wanted)?, known::prices(ledger, wanted)?);
    let sql = "SELECT i.ts, i.minutes, c.meter, c.carrier, i.quantity, i.assumed + i.estimated FROM every_interval i JOIN channel_row c ON c.id = i.channel \
               WHERE i.ts >= ?1 AND i.ts < ?2 AND i.block BETWEEN block_of(?1) AND block_of(?2) AND c.direction = 'import' AND c.meter IN (SELECT meter FROM allocation_row)";
    let mut statement = ledger.prepare(sql)?;
    let (from, to) = (wanted.from.map_or(i64::MIN, |from| from.0), wanted.to.map_or(i64::MAX, |to| to.0));
    let mut rows = statement.query(params![from, to])?;
    let mut parts = Vec::new();
    while let Some(row) = rows.next()? {
        let (start, meter): (Millis, String) = (Millis(row.get(0)?), row.get(2)?);
        let held = periods.get(&meter).and_then(|periods| periods.iter().find(|period| period.from <= start && start < period.to));
        let Some(period) = held else { continue };
        let (book, quantity, unmeasured): (u8, i64, i64) = (row.get(3)?, row.get(4)?, row.get(5)?);
        let weights: Vec<i64> = period.shares.iter().map(|(_, share)| *share).collect();
        let factor = factors.at(book, start).map_or(0, |(factor, _)| factor.mg_per_unit);
        let price = prices.at(book, start).and_then(|(price, _)| price.ucny_per_unit);
        let shared = by_weight(quantity, &weights).into_iter().zip(by_weight(unmeasured, &weights));
        for ((tenant, _), (quantity, unmeasured)) in period.shares.iter().zip(shared) {
            let quantity = i128::from(quantity);
            let sums = Sums {
                quantity,
                unmeasured: i128::from(unmeasured),
                co2e_ug: quantity * i128::from(factor),
                cost_ncny: quantity * i128::from(price.unwrap_or(0)),
                is_priced: price.is_some(),
                latest: start,
            };
            let end = start.plus_ms(row.get::<_, i64>(1)? * 60_000);
            parts.push(Part { start, end, tenant: *tenant, meter: meter.clone(), book, sums });
        }
    }
    Ok(parts)
}

fn periods(ledger: &Connection) -> Result<FxHashMap<String, Vec<Period>>, ShowError> {
    let sql = "SELECT meter, from_ts, to_ts, entity, thousandths_pct FROM allocation_row ORDER BY meter, from_ts, entity";
    let mut statement = ledger.prepare(sql)?;
    let mut rows = statement.query([])?;
    let mut all: FxHashMap<String, Vec<Period>> = FxHashMap::default();
    while let Some(row) = rows.next()? {
        let (from, to, share) = (Millis(row.get(1)?), Millis(row.get(2)?), (row.get(3)?, row.get(4)?));
        let periods = all.entry(row.get(0)?).or_default();
        match periods.last_mut().filter(|last| last.from == from) {
            Some(last) => last.shares.push(share),
            None => periods.push(Period { from, to, shares: vec![share] }),
        }
    }
    Ok(all)
}
