//! What `nengtan show` shows: sums of the books, alerts, meters, data quality.
//!
//! Reads a ledger and never writes. Invariant: sums are made of the ledger's integers and become floating point in the last step.

pub mod allocation;
pub mod books;
pub mod charges;
pub mod cost;
pub mod demand;
pub mod known;
pub mod lists;
pub mod market;
pub mod residuals;
pub mod sites;
pub mod streams;

use jiff::civil;
use jiff::tz::TimeZone;
use rustc_hash::FxHashSet;

use crate::domain::calendar::LocalCalendar;
use crate::domain::units::Millis;
use crate::store::StoreError;
pub use crate::store::retention::kept;
use crate::wire::encode::rfc3339;

#[derive(Debug, thiserror::Error)]
pub enum ShowError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(
        "{what} is {seen:?}, wanted a date (2026-01-31), a local time (2026-01-31T08:00) or a time with offset (2026-01-31T08:00:00+08:00)"
    )]
    Time { what: &'static str, seen: String },
    #[error("--from is not before --to; exchange them")]
    EmptyRange,
    #[error("--from is {from}, and the ledger ends at {last}; name an earlier day")]
    BehindTheLast { from: String, last: String },
    #[error("{seen:?} is no entity of this ledger; `nengtan query \"SELECT entity, name_en, name_zh FROM entity\"` lists them")]
    UnknownEntity { seen: String },
    #[error("--year is {seen}, wanted a year from -9999 to 9998; correct it")]
    Year { seen: i16 },
    #[error(
        "--year is {seen}, a year of which the ledger has no data; it has data of {have}; name one with data, or leave --year out for the last one"
    )]
    NoData { seen: i16, have: String },
    #[error(
        "the ledger has no reading yet, and a report is of a year with data; start a collector, and ask again once `nengtan show meters` shows readings"
    )]
    NoDataYet,
    #[error("the ledger has no residual factor of {year}; start a collector with this version once, or add one to the factor set")]
    NoResidual { year: i16 },
    #[error(
        "{what} before {from} are no longer kept (keep.{what}_days), and this is made of them; ask for what begins at {from} or later, or for what roll-ups tell: energy, carbon and cost by hour, day and month"
    )]
    NoLongerKept { what: &'static str, from: String },
}

/// Refuses what needs meters' intervals from a moment on of which some have left the ledger.
pub fn need_intervals(ledger: &rusqlite::Connection, from: Option<Millis>) -> Result<(), ShowError> {
    refuse_before("intervals", kept(ledger)?.intervals, from)
}

/// The same of readings.
pub fn need_readings(ledger: &rusqlite::Connection, from: Millis) -> Result<(), ShowError> {
    refuse_before("readings", kept(ledger)?.readings, Some(from))
}

fn refuse_before(what: &'static str, kept: Option<Millis>, from: Option<Millis>) -> Result<(), ShowError> {
    match kept {
        Some(kept) if from.is_none_or(|from| from < kept) => Err(ShowError::NoLongerKept { what, from: rfc3339(kept, &TimeZone::UTC) }),
        Some(_) | None => Ok(()),
    }
}

impl From<rusqlite::Error> for ShowError {
    fn from(error: rusqlite::Error) -> ShowError {
        ShowError::Store(error.into())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum By {
    Total,
    Year,
    Month,
    Day,
    Hour,
    /// Each interval of the zone: 15 minutes, unless its zone.toml says otherwise.
    #[value(name = "15min", alias = "interval")]
    Interval,
}

/// What part of a ledger is asked for. Times are local unless they name an offset; `to` is exclusive.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    pub entities: Vec<String>,
    pub from: Option<String>,
    pub to: Option<String>,
    /// Figures as they were known at this moment of the engine's clock.
    pub as_known_on: Option<String>,
}

/// A selection in the ledger's terms.
#[derive(Clone, Debug)]
pub struct Resolved {
    pub zone: String,
    pub calendar: LocalCalendar,
    pub time_zone: TimeZone,
    /// The finest interval of the books.
    pub interval_ms: i64,
    /// Row numbers of the entities; empty for all that are no part of others.
    pub entities: Vec<i64>,
    /// Residuals of meters and virtual meters: parts of what entities use, told only to who asks for them.
    pub parts: FxHashSet<i64>,
    pub from: Option<Millis>,
    pub to: Option<Millis>,
    pub as_known_on: Option<Millis>,
}

impl Selection {
    pub fn resolve(&self, ledger: &rusqlite::Connection) -> Result<Resolved, ShowError> {
        let meta = |key: &str| ledger.query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get::<_, String>(0));
        let time_zone = TimeZone::get(&meta("time_zone")?).unwrap_or(TimeZone::UTC);
        let from = self.from.as_deref().map(|text| moment("--from", text, &time_zone)).transpose()?;
        let to = self.to.as_deref().map(|text| moment("--to", text, &time_zone)).transpose()?;
        let as_known_on = self.as_known_on.as_deref().map(|text| moment("--as-known-on", text, &time_zone)).transpose()?;
        if let (Some(from), Some(to)) = (from, to)
            && to <= from
        {
            return Err(ShowError::EmptyRange);
        }
        let mut entities = Vec::new();
        for id in &self.entities {
            let known =
                ledger.query_row("SELECT id FROM entity_row WHERE entity = ?1 OR name_en = ?1 OR name_zh = ?1", [id], |row| row.get(0));
            match known {
                Ok(row) => entities.push(row),
                Err(rusqlite::Error::QueryReturnedNoRows) => return Err(ShowError::UnknownEntity { seen: id.clone() }),
                Err(error) => return Err(error.into()),
            }
        }
        let parts = ledger.prepare("SELECT id FROM part_entity")?.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        let calendar = LocalCalendar::new(time_zone.clone());
        let interval_ms = ledger.query_row("SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'interval_ms'", [], |row| row.get(0))?;
        Ok(Resolved { zone: meta("zone")?, calendar, time_zone, interval_ms, entities, parts, from, to, as_known_on })
    }
}

impl Resolved {
    /// Whether an entity is asked for.
    #[must_use]
    pub fn wants(&self, entity: i64) -> bool {
        if self.entities.is_empty() { !self.parts.contains(&entity) } else { self.entities.contains(&entity) }
    }

    /// The part of a period that was asked for: what a row of it is about.
    #[must_use]
    pub fn clipped(&self, (start, end): (Millis, Millis)) -> (Millis, Millis) {
        (self.from.map_or(start, |from| from.max(start)), self.to.map_or(end, |to| to.min(end)))
    }
}

/// The period that a row from `start` to `end` belongs to; `first` and `last` bound all rows.
fn period(
    wanted: &mut Resolved,
    by: By,
    (start, end): (Millis, Millis),
    (first, last): (Option<Millis>, Option<Millis>),
) -> (Millis, Millis) {
    let span = match by {
        By::Total => return (wanted.from.or(first).unwrap_or(start), wanted.to.or(last).unwrap_or(end)),
        By::Interval => return (start, end),
        By::Year => wanted.calendar.year(start),
        By::Month => wanted.calendar.month(start),
        By::Day => wanted.calendar.day(start),
        By::Hour => wanted.calendar.hour(start),
    };
    wanted.clipped((span.start, span.end))
}

/// A moment of the command line: a date, a local time, or a time with offset.
pub fn moment(what: &'static str, text: &str, tz: &TimeZone) -> Result<Millis, ShowError> {
    if let Some(at) = Millis::from_rfc3339(text) {
        return Ok(at);
    }
    let local = text.parse::<civil::DateTime>().or_else(|_| text.parse::<civil::Date>().map(|date| date.at(0, 0, 0, 0)));
    let zoned = local.ok().and_then(|local| local.to_zoned(tz.clone()).ok());
    match zoned {
        Some(zoned) => Ok(Millis(zoned.timestamp().as_millisecond())),
        None => Err(ShowError::Time { what, seen: text.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_local_unless_they_name_an_offset() {
        let tz = TimeZone::get("Asia/Shanghai").unwrap();
        for text in ["2026-01-01", "2026-01-01T00:00", "2025-12-31T16:00:00Z", "2026-01-01T00:00:00+08:00"] {
            assert_eq!(moment("--from", text, &tz).unwrap(), Millis(1_767_196_800_000), "{text}");
        }
        let error = moment("--from", "yesterday", &tz).unwrap_err().to_string();
        assert!(error.contains("--from is \"yesterday\""), "{error}");
    }
}
