//! Carbon as streams: what was metered, what burns beside CO2, what was bought from whom, and what users declared.
//!
//! Invariant: of every stream amount × factor is its carbon, exactly: where a factor changes within a row's time, there is a stream for each. Inventory and
//! `show carbon` are the same streams, so their sums agree.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use super::books::{self, Key, Sums};
use super::known::{self, Factor, InForce, Named};
use super::market;
use super::{By, Resolved, ShowError};
use crate::accounting::Book;
use crate::accounting::apportion::running_share;
use crate::domain::units::{HOUR_MS, Millis};
use crate::store::read::Cell;

/// One line of carbon. Amounts are thousandths of `unit`, carbon is in µg.
#[derive(Clone, Debug, PartialEq)]
pub struct Stream {
    pub from: Millis,
    pub to: Millis,
    pub entity: i64,
    pub scope: i64,
    pub method: String,
    /// The carrier of what was metered itself; none for what is derived or declared.
    pub carrier: Option<&'static str>,
    pub name: String,
    pub amount: i128,
    pub unit: String,
    pub mg_per_unit: i64,
    pub tier: String,
    pub version: String,
    pub co2e_ug: i128,
    /// Standard coal of a declared fuel, µg by heat content; what is metered has its own in the books.
    pub declared_ce_ug: i128,
    /// Null for what was declared.
    pub measured_share: Cell,
    pub origin: Origin,
}

/// Gases that combustion gives off beside CO2, by the names of their factors.
pub const BESIDE_CO2: [&str; 2] = ["CH4", "N2O"];

/// What a rule has to know of a stream that its name only tells people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// CO2 of fuels, processes and bought heat.
    Co2,
    /// Other gases, scope 3 and sinks.
    Other,
    /// Electricity at the location's factor.
    Grid,
    /// Electricity by the market: supplies that count as green, others, own generation, the rest.
    Green,
    NotGreen,
    Own,
    Residual,
}

/// Everything a stream of one question is made from.
pub struct Question<'q> {
    pub ledger: &'q Connection,
    pub by: By,
    pub sums: &'q BTreeMap<Key, Sums>,
    pub factors: &'q InForce<Factor>,
    /// Factors that no book uses.
    pub named: &'q Named,
    /// First and last moment of what was metered.
    pub data: (Millis, Millis),
    /// The zone's row.
    pub zone: i64,
    /// The set of warming potentials, by name.
    pub gwp: String,
}

/// All streams asked for: metered ones first, then market-based ones, then what was declared.
pub fn streams(ledger: &Connection, wanted: &mut Resolved, by: By) -> Result<Vec<Stream>, ShowError> {
    Ok(by_source(ledger, wanted, by)?.into_iter().flatten().collect())
}

/// As [`streams`]: metered ones, market-based ones, and what was declared.
pub fn by_source(ledger: &Connection, wanted: &mut Resolved, by: By) -> Result<[Vec<Stream>; 3], ShowError> {
    let Some(data) = data_span(ledger, wanted)? else { return Ok(Default::default()) };
    let (factors, named) = (known::factors(ledger, wanted)?, known::named(ledger, wanted)?);
    let sums = books::sums(ledger, wanted, by, Some(&factors))?;
    let zone = ledger.query_row("SELECT id FROM entity_row WHERE entity = ?1", [&wanted.zone], |row| row.get(0))?;
    let gwp = ledger.query_row("SELECT value FROM meta WHERE key = 'gwp'", [], |row| row.get(0))?;
    let question = Question { ledger, by, sums: &sums, factors: &factors, named: &named, data, zone, gwp };
    Ok([metered(&question), market::streams(&question, wanted)?, declared(&question, wanted)?])
}

/// From the start of the first year with data to the end of the last hour with data. None while there is none.
fn data_span(ledger: &Connection, wanted: &mut Resolved) -> Result<Option<(Millis, Millis)>, ShowError> {
    let end = |order| {
        let sql = format!("SELECT {order}(ts) FROM rollup_row WHERE level = 1");
        ledger.query_row(&sql, [], |row| row.get::<_, Option<i64>>(0))
    };
    let (first, last) = (end("MIN")?, end("MAX")?);
    Ok(first.zip(last).map(|(first, last)| (wanted.calendar.year(Millis(first)).start, Millis(last).plus_ms(HOUR_MS))))
}

/// The unit that a book's factor is per; a thousand ledger units.
#[must_use]
pub fn factor_unit(book: Book) -> &'static str {
    match book {
        Book::Electricity => "kWh",
        Book::NaturalGas | Book::Water => "m3",
        Book::Heat => "MJ",
        Book::Steam | Book::ProductionMass => "kg",
        Book::ProductionPieces => "1000 pcs",
    }
}

/// Scope 1 of gas, scope 2 of what is bought; CH4 and N2O of the gas beside its CO2.
fn metered(question: &Question) -> Vec<Stream> {
    let mut streams = Vec::new();
    let mut beside = Vec::new();
    for ((from, to, entity, book, _), sums) in question.sums {
        let Some(book) = books::book_of(*book) else { continue };
        // What has no factor has no carbon by its nature: the engine refuses to start where one is missing.
        let Some(factor) = question.factors.at(book as u8, sums.latest).map(|(factor, _)| factor) else { continue };
        let of = |name: String, carrier: Option<&'static str>, factor: &Factor, co2e_ug| Stream {
            from: *from,
            to: *to,
            entity: *entity,
            scope: if book == Book::NaturalGas { 1 } else { 2 },
            method: "location".to_owned(),
            carrier,
            name,
            amount: sums.bought,
            unit: factor_unit(book).to_owned(),
            mg_per_unit: factor.mg_per_unit,
            tier: factor.tier.clone(),
            version: factor.source.clone(),
            co2e_ug,
            declared_ce_ug: 0,
            measured_share: sums.measured_share(),
            origin: match book {
                Book::Electricity => Origin::Grid,
                _ if carrier.is_none() => Origin::Other,
                _ => Origin::Co2,
            },
        };
        let carrier = book.carrier().as_str();
        streams.push(of(carrier.to_owned(), Some(carrier), factor, sums.co2e_ug));
        if book == Book::NaturalGas {
            for (gas, co2e_ug) in BESIDE_CO2.into_iter().zip(sums.beside_ug) {
                let factor = question.named.of(gas, sums.latest);
                let name = format!("natural_gas {gas} (GWP {})", question.gwp);
                beside.extend(factor.map(|(factor, _)| of(name, None, factor, co2e_ug)));
            }
        }
    }
    streams.append(&mut beside);
    streams
}

/// What users declared, shared out evenly over its days, as far as the data reach. The zone has everything.
fn declared(question: &Question, wanted: &mut Resolved) -> Result<Vec<Stream>, ShowError> {
    let (from, to) = (wanted.from.unwrap_or(question.data.0), wanted.to.map_or(question.data.1, |to| to.min(question.data.1)));
    let sql = "SELECT id, stream, entity, from_ts, to_ts, scope, method, amount, unit, mg_per_unit, tier, version, kind, COALESCE(coal_mg_per_unit, 0) FROM ( \
               SELECT *, NULL AS known_to FROM declared_entry_row WHERE ?3 IS NULL OR known_from <= ?3 \
               UNION ALL SELECT * FROM declared_entry_version_row WHERE known_from <= ?3 AND ?3 < known_to) WHERE from_ts < ?2 AND to_ts > ?1 ORDER BY from_ts, id, stream";
    let mut statement = question.ledger.prepare(sql)?;
    let mut rows = statement.query(params![from.0, to.0, wanted.as_known_on.map(|at| at.0)])?;
    let mut streams = Vec::new();
    while let Some(row) = rows.next()? {
        let (id, stream): (String, String) = (row.get(0)?, row.get(1)?);
        let owner: i64 = row.get(2)?;
        let (starts, ends) = (Millis(row.get(3)?), Millis(row.get(4)?));
        let (amount, mg_per_unit, coal_mg_per_unit): (i64, i64, i64) = (row.get(7)?, row.get(9)?, row.get(13)?);
        let is_co2 = match row.get::<_, String>(12)?.as_str() {
            "fuel" => stream.ends_with(" CO2"),
            kind => kind == "process",
        };
        let origin = if is_co2 { Origin::Co2 } else { Origin::Other };
        let until = |at: Millis| running_share(amount, i128::from(at.ms_since(starts)), i128::from(ends.ms_since(starts)));
        let mut at = starts.max(from);
        while at < ends.min(to) {
            let bucket = match question.by {
                By::Total => (wanted.from.unwrap_or(from), wanted.to.unwrap_or(to)),
                by => books::bucket(wanted, by, at),
            };
            let next = bucket.1.min(ends).min(to);
            let part = until(next) - until(at);
            for entity in [Some(owner), (owner != question.zone).then_some(question.zone)].into_iter().flatten() {
                if wanted.wants(entity) {
                    streams.push(Stream {
                        from: bucket.0,
                        to: bucket.1,
                        entity,
                        scope: row.get(5)?,
                        method: row.get(6)?,
                        carrier: None,
                        name: format!("{stream} ({id})"),
                        amount: i128::from(part),
                        unit: row.get(8)?,
                        mg_per_unit,
                        tier: row.get(10)?,
                        version: row.get(11)?,
                        co2e_ug: i128::from(part) * i128::from(mg_per_unit),
                        declared_ce_ug: i128::from(part) * i128::from(coal_mg_per_unit),
                        measured_share: Cell::Null,
                        origin,
                    });
                }
            }
            at = next;
        }
    }
    Ok(streams)
}
