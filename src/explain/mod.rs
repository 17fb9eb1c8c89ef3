//! The chain behind a figure: from an entity's carbon, standard coal and cost at a moment to factors, prices, meters, intervals and the readings around them.
//!
//! Reads a ledger and never writes. Invariant: all numbers are the ledger's integers, so they multiply and add up without a rest: carbon is bought ×
//! factor, cost bought × price, bought is the sum over meters of their intervals × share, an interval is the sum of what it takes from its spans. As known
//! on a date each of them is the version of then; only readings have none, so an interval that was corrected since has no spans.

mod beside;
mod spans;
pub mod tree;

use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;

use crate::accounting::Book;
use crate::domain::calendar::Span;
use crate::domain::channel::LedgerUnit;
use crate::domain::units::{HOUR_MS, MINUTE_MS, Millis};
use crate::show::{Resolved, Selection, ShowError, kept, known, moment, need_intervals, streams};
use crate::wire::encode::rfc3339;
use beside::{CoalPart, CostPart, StreamPart};
use spans::SpanPart;

/// An entity's figures around a moment. Carbon of the whole is what is metered, location-based; what the market and declarations say stands beside it.
#[derive(Debug, Serialize)]
pub struct Explanation {
    pub entity: String,
    pub name_en: String,
    pub name_zh: String,
    pub at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub as_known_on: Option<String>,
    pub co2e_ug: i128,
    pub kg_co2e: f64,
    pub carriers: Vec<CarrierPart>,
    /// What users declared for the interval that holds the moment.
    pub declared: Vec<StreamPart>,
    /// What can no longer be told because it has left the ledger.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub no_longer_kept: Vec<String>,
}

/// One carrier over the shortest time in which all of its meters' intervals begin and end: an interval, or the hour where one was read by the hour.
#[derive(Debug, Serialize)]
pub struct CarrierPart {
    #[serde(skip)]
    span: Span,
    pub carrier: &'static str,
    pub scope: u8,
    pub from: String,
    pub to: String,
    /// A thousand of it is one unit of the factor.
    pub ledger_unit: &'static str,
    /// What factors and prices are per.
    pub factor_unit: &'static str,
    /// What was used, and the part of it that carries carbon.
    pub quantity: i128,
    pub bought: i128,
    pub measured_share: Option<f64>,
    pub co2e_ug: i128,
    pub factors: Vec<FactorPart>,
    /// Scope 2 by the market, beside the location's.
    pub market: Vec<StreamPart>,
    pub standard_coal: Vec<CoalPart>,
    pub costs: Vec<CostPart>,
    pub meters: Vec<MeterPart>,
}

/// A factor in force then; `bought` × `mg_per_unit` is its carbon in µg.
#[derive(Debug, Serialize)]
pub struct FactorPart {
    pub stream: String,
    pub mg_per_unit: i64,
    pub unit: &'static str,
    pub tier: String,
    pub version: String,
    pub source: Option<String>,
    pub recorded: Option<String>,
    pub valid_from: Option<String>,
    pub valid_to: Option<String>,
    pub confidence: Option<String>,
    pub co2e_ug: i128,
}

/// A meter that counts `sign` times into what was used and `bought` times into what carries carbon.
#[derive(Debug, Serialize)]
pub struct MeterPart {
    pub meter: String,
    pub item: String,
    pub sign: i64,
    pub bought: i64,
    pub intervals: Vec<IntervalPart>,
}

#[derive(Debug, Serialize)]
pub struct IntervalPart {
    #[serde(skip)]
    start: Millis,
    pub from: String,
    pub minutes: i64,
    pub quantity: i64,
    pub assumed: i64,
    pub estimated: i64,
    /// When this came to be known, if the interval had been closed before; and until when it held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorded_from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorded_to: Option<String>,
    pub spans: Vec<SpanPart>,
}

/// Explains the figures of `entity` (id or name, or the zone's id) in the interval that holds `at`, as they are or as they were known on a date.
pub fn explain(ledger: &Connection, entity: &str, at: &str, as_known_on: Option<&str>) -> Result<Explanation, ShowError> {
    let as_known_on = as_known_on.map(str::to_owned);
    let mut wanted = Selection { entities: vec![entity.to_owned()], as_known_on, ..Selection::default() }.resolve(ledger)?;
    let at = moment("--at", at, &wanted.time_zone)?;
    need_intervals(ledger, Some(at))?;
    let row = wanted.entities[0];
    let mut carriers = Vec::new();
    for book in Book::ALL.into_iter().filter(|book| book.is_energy()) {
        carriers.extend(carrier(ledger, &mut wanted, (row, book), at)?);
    }
    let co2e_ug = carriers.iter().map(|part| part.co2e_ug).sum();
    let sql = "SELECT entity, name_en, name_zh FROM entity_row WHERE id = ?1";
    let [entity, name_en, name_zh] = ledger.query_row(sql, [row], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?]))?;
    let interval_ms: i64 = ledger.query_row("SELECT value FROM meta WHERE key = 'interval_ms'", [], |row| row.get(0))?;
    let interval = wanted.calendar.interval(at, interval_ms);
    let mut no_longer_kept = Vec::new();
    if let Some(kept) = kept(ledger)?.readings.filter(|kept| at < *kept) {
        let kept = rfc3339(kept, &wanted.time_zone);
        no_longer_kept.push(format!("readings are kept from {kept} on: what intervals were made of can no longer be shown"));
    }
    let declared = match beside::add_streams(ledger, &wanted, &mut carriers, interval) {
        Err(gone @ ShowError::NoLongerKept { .. }) => {
            no_longer_kept.push(format!("what covers the month's electricity and what was declared cannot be told: {gone}"));
            Vec::new()
        }
        told => told?,
    };
    let at = rfc3339(at, &wanted.time_zone);
    let as_known_on = wanted.as_known_on.map(|at| rfc3339(at, &wanted.time_zone));
    Ok(Explanation {
        entity,
        name_en,
        name_zh,
        at,
        as_known_on,
        co2e_ug,
        kg_co2e: co2e_ug as f64 / 1e9,
        carriers,
        declared,
        no_longer_kept,
    })
}

/// None where no meter of the book has an interval there.
fn carrier(ledger: &Connection, wanted: &mut Resolved, of: (i64, Book), at: Millis) -> Result<Option<CarrierPart>, ShowError> {
    let Some(span) = span(ledger, wanted, of, at)? else { return Ok(None) };
    let book = of.1;
    let (meters, sums) = meters(ledger, wanted, of, span)?;
    let factors = factors(ledger, wanted, (book, span.start), sums.bought)?;
    let ledger_unit = match book {
        Book::Electricity => LedgerUnit::WattHour,
        Book::NaturalGas | Book::Water => LedgerUnit::Litre,
        Book::Heat => LedgerUnit::Kilojoule,
        Book::Steam | Book::ProductionMass => LedgerUnit::Gram,
        Book::ProductionPieces => LedgerUnit::Piece,
    };
    let measured = sums.gross - sums.unmeasured;
    Ok(Some(CarrierPart {
        span,
        carrier: book.carrier().as_str(),
        scope: if book == Book::NaturalGas { 1 } else { 2 },
        from: rfc3339(span.start, &wanted.time_zone),
        to: rfc3339(span.end, &wanted.time_zone),
        ledger_unit: ledger_unit.as_str(),
        factor_unit: streams::factor_unit(book),
        quantity: sums.quantity,
        bought: sums.bought,
        measured_share: (sums.gross != 0).then(|| measured as f64 / sums.gross as f64),
        co2e_ug: factors.iter().map(|factor| factor.co2e_ug).sum(),
        factors,
        market: Vec::new(),
        standard_coal: beside::coal(ledger, wanted, (book, span.start), sums.quantity)?,
        costs: beside::costs(ledger, wanted, book, &meters)?,
        meters,
    }))
}

/// Intervals of a book's meters that count for an entity, as far as they begin in a span: as they are, or as they were known at ?5.
const AROUND: &str = "FROM (SELECT channel, entity, sign, bought FROM share_row WHERE ?5 IS NULL OR recorded_from <= ?5 \
    UNION ALL SELECT channel, entity, sign, bought FROM share_version_row WHERE recorded_from <= ?5 AND ?5 < recorded_to) s \
    JOIN channel_row c ON c.id = s.channel JOIN ( \
    SELECT ts, channel, minutes, quantity, assumed, estimated, recorded_from, NULL AS recorded_to FROM every_interval \
    WHERE ts >= ?3 AND ts < ?4 AND block BETWEEN block_of(?3) AND block_of(?4) AND (?5 IS NULL OR recorded_from <= ?5) \
    UNION ALL SELECT ts, channel, minutes, quantity, assumed, estimated, recorded_from, recorded_to FROM interval_version_row \
    WHERE ts >= ?3 AND ts < ?4 AND recorded_from <= ?5 AND ?5 < recorded_to) i ON i.channel = s.channel \
    WHERE s.entity = ?1 AND c.carrier = ?2 AND (?5 IS NULL OR i.ts + i.minutes * 60000 <= ?5)";

fn span(ledger: &Connection, wanted: &mut Resolved, (entity, book): (i64, Book), at: Millis) -> Result<Option<Span>, ShowError> {
    let sql = format!("SELECT MAX(i.minutes) {AROUND} AND i.ts + i.minutes * 60000 > ?6");
    let (first, known) = (at.plus_ms(1 - HOUR_MS), wanted.as_known_on.map(|at| at.0));
    let minutes: Option<i64> =
        ledger.query_row(&sql, params![entity, book as u8, first.0, at.0.saturating_add(1), known, at.0], |row| row.get(0))?;
    let calendar = &mut wanted.calendar;
    let mut of_length = |ms| if ms == HOUR_MS { calendar.hour(at) } else { calendar.interval(at, ms) };
    Ok(minutes.map(|minutes| of_length(minutes * MINUTE_MS)))
}

#[derive(Default)]
struct Sums {
    quantity: i128,
    bought: i128,
    gross: i128,
    unmeasured: i128,
}

fn meters(
    ledger: &Connection,
    wanted: &mut Resolved,
    (entity, book): (i64, Book),
    span: Span,
) -> Result<(Vec<MeterPart>, Sums), ShowError> {
    let sql = format!(
        "SELECT i.channel, c.meter, c.item, s.sign, s.bought, i.ts, i.minutes, i.quantity, i.assumed, i.estimated, i.recorded_from, i.recorded_to \
         {AROUND} ORDER BY c.meter, c.item, i.ts"
    );
    let mut statement = ledger.prepare(&sql)?;
    let known = wanted.as_known_on.map(|at| at.0);
    let mut rows = statement.query(params![entity, book as u8, span.start.0, span.end.0, known])?;
    let (mut meters, mut sums): (Vec<MeterPart>, Sums) = (Vec::new(), Sums::default());
    while let Some(row) = rows.next()? {
        let (meter, item): (String, String) = (row.get(1)?, row.get(2)?);
        let (sign, bought): (i64, i64) = (row.get(3)?, row.get(4)?);
        let start = Millis(row.get(5)?);
        let [minutes, quantity, assumed, estimated]: [i64; 4] = [row.get(6)?, row.get(7)?, row.get(8)?, row.get(9)?];
        sums.quantity += i128::from(quantity) * i128::from(sign);
        sums.bought += i128::from(quantity) * i128::from(bought);
        sums.gross += i128::from(quantity) * i128::from(sign.abs());
        sums.unmeasured += i128::from(assumed + estimated) * i128::from(sign.abs());
        let recorded_from = Some(row.get::<_, i64>(10)?).filter(|at| *at > 0).map(|at| rfc3339(Millis(at), &wanted.time_zone));
        let recorded_to = row.get::<_, Option<i64>>(11)?.map(|at| rfc3339(Millis(at), &wanted.time_zone));
        let interval = Span { start, end: start.plus_ms(minutes * MINUTE_MS) };
        let spans = if recorded_to.is_none() { spans::of_interval(ledger, wanted, row.get(0)?, interval)? } else { Vec::new() };
        if meters.last().is_none_or(|last| (&last.meter, &last.item) != (&meter, &item)) {
            meters.push(MeterPart { meter, item, sign, bought, intervals: Vec::new() });
        }
        let from = rfc3339(start, &wanted.time_zone);
        if let Some(last) = meters.last_mut() {
            last.intervals.push(IntervalPart { start, from, minutes, quantity, assumed, estimated, recorded_from, recorded_to, spans });
        }
    }
    Ok((meters, sums))
}

/// CO2 by the book's factor; beside it CH4 and N2O of gas.
fn factors(ledger: &Connection, wanted: &mut Resolved, (book, at): (Book, Millis), bought: i128) -> Result<Vec<FactorPart>, ShowError> {
    let own = known::factors(ledger, wanted)?.at(book as u8, at).map(|(factor, _)| (book.carrier().as_str().to_owned(), factor.clone()));
    let mut found = Vec::from_iter(own);
    if book == Book::NaturalGas {
        let named = known::named(ledger, wanted)?;
        found.extend(streams::BESIDE_CO2.iter().filter_map(|gas| Some(((*gas).to_owned(), named.of(gas, at)?.0.clone()))));
    }
    let sql = "SELECT source, recorded, valid_from, valid_to, confidence FROM factor_version_row WHERE version = ?1";
    let part = |(stream, factor): (String, known::Factor)| {
        let told = ledger
            .query_row(sql, [&factor.source], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?]))
            .optional()?;
        let [source, recorded, valid_from, valid_to, confidence] = told.unwrap_or_default();
        Ok(FactorPart {
            stream,
            mg_per_unit: factor.mg_per_unit,
            unit: streams::factor_unit(book),
            tier: factor.tier,
            version: factor.source,
            source,
            recorded,
            valid_from,
            valid_to,
            confidence,
            co2e_ug: bought * i128::from(factor.mg_per_unit),
        })
    };
    found.into_iter().map(part).collect()
}
