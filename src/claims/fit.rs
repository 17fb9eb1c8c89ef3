//! Fits baselines from a ledger: which loads, over which year, with which factors.
//!
//! Reads only; what it gives is kept by the caller. Invariant: a load that has a baseline gets another one only when a reason is given.

use jiff::Span as Length;
use rusqlite::Connection;
use rustc_hash::FxHashSet;

use super::ClaimError;
use super::inputs::{LedgerCase, Reader};
use crate::accounting::Book;
use crate::domain::calendar::{LocalCalendar, Span};
use crate::domain::units::{HOUR_MS, Millis};
use crate::savings::evaluation::{self, Fitted, Refusal};
use crate::store::savings::{self, BaselineRow, Load, LoadRow, Vintage};

/// kJ in a kilogram of standard coal (GB/T 2589-2020), and in a kWh.
const KJ_PER_KGCE: f64 = 29_307.6;
const KJ_PER_KWH: f64 = 3_600.0;

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Entity rows; empty for all.
    pub entities: Vec<i64>,
    /// Empty for all.
    pub books: Vec<Book>,
    pub from: Option<Millis>,
    pub to: Option<Millis>,
    /// Why baselines in force are to be replaced.
    pub replace: Option<String>,
}

pub struct Attempt {
    pub load: Load,
    pub entity: String,
    pub period: Option<Span>,
    pub outcome: Outcome,
}

pub enum Outcome {
    Fitted(Box<(BaselineRow, Fitted)>),
    /// One is in force and stays.
    Kept,
    Refused(Reason),
}

/// Why a load of a ledger has no baseline.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Reason {
    #[error("one of its import meters has never been read; baseline building, possible three months and a week after its first reading")]
    NeverRead,
    #[error("none of its hours lies in the period asked for; baseline building, give another period with --from and --to")]
    NoHours,
    #[error("the ledger has no heat value of its carrier for {0}; correct the zone's factors")]
    NoHeatValue(i16),
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// Tries every load that is wanted and hands each attempt over: the baselines of a city's loads at once would fill gigabytes.
pub fn fit(ledger: &Connection, wanted: &Wanted, mut take: impl FnMut(Attempt)) -> Result<(), ClaimError> {
    let mut reader = Reader::new(ledger)?;
    let in_force: FxHashSet<Load> = savings::loads_in_force(ledger)?.into_iter().collect();
    for LoadRow { load, entity, .. } in loads(ledger, wanted)? {
        let has_one = in_force.contains(&load);
        let (period, outcome) =
            if has_one && wanted.replace.is_none() { (None, Outcome::Kept) } else { attempt(&mut reader, load, wanted)? };
        take(Attempt { load, entity, period, outcome });
    }
    Ok(())
}

/// The loads that are wanted.
pub fn loads(ledger: &Connection, wanted: &Wanted) -> Result<Vec<LoadRow>, ClaimError> {
    let mut loads = savings::loads(ledger)?;
    loads.retain(|LoadRow { load, .. }| wanted.entities.is_empty() || wanted.entities.contains(&load.entity.0.into()));
    loads.retain(|LoadRow { load, .. }| wanted.books.is_empty() || wanted.books.contains(&load.book));
    Ok(loads)
}

fn attempt(reader: &mut Reader, load: Load, wanted: &Wanted) -> Result<(Option<Span>, Outcome), ClaimError> {
    let Some(closed) = savings::closed(reader.ledger, load)? else { return Ok((None, Outcome::Refused(Reason::NeverRead))) };
    let mut calendar = LocalCalendar::new(reader.time_zone.clone());
    let period = period(&mut calendar, reader, closed, wanted);
    if period.ms() < HOUR_MS {
        return Ok((None, Outcome::Refused(Reason::NoHours)));
    }
    let year = calendar.date(period.end.plus_ms(-HOUR_MS)).year();
    let Some(vintage) = vintage(reader.ledger, load.book, year)? else {
        return Ok((Some(period), Outcome::Refused(Reason::NoHeatValue(year))));
    };
    // Nothing is reported yet: whatever the baseline has is taken.
    let nothing = Span { start: period.end, end: period.end };
    let read = reader.case(load, vintage.kwh_per_unit, (period, nothing), closed)?;
    let outcome = match evaluation::fit(&read.case) {
        Err(refusal) => Outcome::Refused(refusal.into()),
        Ok(fitted) => {
            let row = BaselineRow {
                load,
                period,
                as_of: savings::newest(reader.ledger)?.unwrap_or(period.end),
                code_version: env!("CARGO_PKG_VERSION").to_owned(),
                vintage,
                estimated_share: estimated_share(&read),
                fitted: serde_json::to_string(&fitted).map_err(|cause| ClaimError::Document { id: 0, cause })?,
            };
            Outcome::Fitted(Box::new((row, fitted)))
        }
    };
    Ok((Some(period), outcome))
}

/// What was asked for, else the last year of whole local days, or as much of it as there is.
fn period(calendar: &mut LocalCalendar, reader: &Reader, closed: Span, wanted: &Wanted) -> Span {
    let mut hour = |at: Millis| calendar.hour(at).start;
    let last = hour(closed.end);
    let (from, to) = (wanted.from.map(&mut hour), wanted.to.map(&mut hour));
    let end = to.unwrap_or_else(|| calendar.day(closed.end).start).min(last);
    let a_year_before = end.timestamp().to_zoned(reader.time_zone.clone()).saturating_sub(Length::new().years(1));
    let first = calendar.day(closed.start.plus_ms(-1)).end;
    let start = from.unwrap_or_else(|| first.max(Millis(a_year_before.timestamp().as_millisecond())));
    Span { start, end }
}

fn estimated_share(read: &LedgerCase) -> f64 {
    let (gross, estimated) =
        read.rows.values().fold((0.0, 0.0), |(gross, estimated), row| (gross + row.gross as f64, estimated + row.estimated as f64));
    if gross > 0.0 { estimated / gross } else { 0.0 }
}

/// The factors of a year. What is no energy by itself gets its heat from its standard coal by heat content; water, whose coal is that of its supply,
/// stays m³.
pub fn vintage(ledger: &Connection, book: Book, year: i16) -> Result<Option<Vintage>, ClaimError> {
    let shown = book.shown();
    let [mg_co2e, mg_ce_calorific, mg_ce_primary] = savings::factors(ledger, book, year)?.unwrap_or_default();
    let from_coal = mg_ce_calorific.map(|mg| mg as f64 / 1e6 * KJ_PER_KGCE / KJ_PER_KWH);
    let kwh_per_unit = match book {
        Book::Water => Some(1.0 / shown.per_unit),
        // Factors of gas and steam are per m³ and kg, of a thousand ledger units each.
        _ => shown.kwh_per_unit.map(|kwh| kwh / shown.per_unit).or(from_coal.map(|kwh| kwh / 1e3)),
    };
    Ok(kwh_per_unit.map(|kwh_per_unit| Vintage { year, kwh_per_unit, mg_co2e, mg_ce_calorific, mg_ce_primary }))
}
