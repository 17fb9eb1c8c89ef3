//! `nengtan report`: indicators of parks and factories with value, threshold and gap, and the inventory of a year.
//!
//! Reads a ledger and never writes. Invariants: every figure's unit is in its name; standard coal on its two bases is never added; what nobody measures
//! or declares has no value, not 0.

pub mod figures;
pub mod inventory;
pub mod subject;

use rusqlite::Connection;

use crate::domain::calendar::LocalCalendar;
use crate::domain::units::Millis;
use crate::show::streams::{Stream, streams};
use crate::show::{By, Resolved, Selection, ShowError};
use crate::store::read::Table;
use figures::{Figures, Sheet};
use subject::{Subject, carbon, subjects, topmost, used, whole};

/// Which year, and whose; the last year with data, and all, unless named.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    pub year: Option<i16>,
    pub entities: Vec<String>,
}

impl Wish {
    /// The whole local year in the ledger's terms. A year asked for has data.
    pub fn resolve(&self, ledger: &Connection) -> Result<Resolved, ShowError> {
        let mut wanted = Selection { entities: self.entities.clone(), from: None, to: None, as_known_on: None }.resolve(ledger)?;
        let years = years(ledger, &mut wanted.calendar)?;
        let year = self.year.unwrap_or(*years.last().ok_or(ShowError::NoDataYet)?);
        let first_day = |year| jiff::civil::Date::new(year, 1, 1).map_err(|_| ShowError::Year { seen: year });
        wanted.from = Some(wanted.calendar.start_of(first_day(year)?));
        wanted.to = Some(wanted.calendar.start_of(first_day(year.saturating_add(1))?));
        if !years.contains(&year) {
            let have = years.iter().map(i16::to_string).collect::<Vec<_>>().join(", ");
            return Err(ShowError::NoData { seen: year, have });
        }
        Ok(wanted)
    }
}

/// Local years that have data, in order.
fn years(ledger: &Connection, calendar: &mut LocalCalendar) -> Result<Vec<i16>, ShowError> {
    let mut statement = ledger.prepare("SELECT DISTINCT ts FROM rollup_row WHERE level = 3 ORDER BY ts")?;
    let months = statement.query_map([], |row| row.get(0).map(Millis))?.collect::<Result<Vec<_>, _>>()?;
    let mut years: Vec<i16> = months.into_iter().map(|month| calendar.date(month).year()).collect();
    years.dedup();
    Ok(years)
}

/// The start of the newest hour that has data.
pub fn last_hour(ledger: &Connection) -> Result<Option<Millis>, ShowError> {
    let last: Option<i64> = ledger.query_row("SELECT MAX(ts) FROM rollup_row WHERE level = 1", [], |row| row.get(0))?;
    Ok(last.map(Millis))
}

/// The zone against the rules of zero-carbon parks, and every unit that reached a key threshold or is listed as one.
pub fn park(ledger: &Connection, wish: &Wish) -> Result<Table, ShowError> {
    let mut asked = Asked::new(ledger, wish)?;
    let all = subjects(ledger, asked.zone)?;
    let zone = whole((asked.zone, &asked.year.zone), &all);
    let figures = asked.figures(&zone)?;
    let mut sheet = Sheet::new(ledger)?;
    sheet.uses(&zone, &figures);
    sheet.intensities(&zone, &figures);
    sheet.park(&zone, &figures);
    for (_, _, subject) in topmost(all) {
        let rolling = asked.rolling(&subject)?;
        if subject.key_unit || sheet.reaches_a_key_threshold(&subject, &rolling) {
            sheet.key_unit(&subject, &rolling, &asked.rolling_days());
        }
    }
    Ok(sheet.table)
}

/// Each factory, or each entity asked for, with all below it, against the rules of zero-carbon factories.
pub fn factory(ledger: &Connection, wish: &Wish) -> Result<Table, ShowError> {
    const FACTORIES: [&str; 2] = ["factory", "biopharma"];
    let mut asked = Asked::new(ledger, wish)?;
    let mut sheet = Sheet::new(ledger)?;
    for (row, kind, subject) in subjects(ledger, asked.zone)? {
        let wanted = if wish.entities.is_empty() { FACTORIES.contains(&kind.as_str()) } else { asked.wanted.contains(&row) };
        if wanted {
            let figures = asked.figures(&subject)?;
            sheet.uses(&subject, &figures);
            sheet.intensities(&subject, &figures);
            sheet.factory(&subject, &figures);
            let rolling = asked.rolling(&subject)?;
            sheet.key_unit(&subject, &rolling, &asked.rolling_days());
        }
    }
    Ok(sheet.table)
}

/// A year and the rolling year of one ledger, with the streams of both.
struct Asked<'l> {
    ledger: &'l Connection,
    zone: i64,
    year: Resolved,
    wanted: Vec<i64>,
    streams: Vec<Stream>,
    rolling: (Millis, Millis),
    rolling_streams: Vec<Stream>,
}

impl<'l> Asked<'l> {
    fn new(ledger: &'l Connection, wish: &Wish) -> Result<Asked<'l>, ShowError> {
        let mut year = wish.resolve(ledger)?;
        // A subject is an entity with all below it: the streams of all are needed.
        let wanted = std::mem::take(&mut year.entities);
        let zone = ledger.query_row("SELECT id FROM entity_row WHERE entity = ?1", [&year.zone], |row| row.get(0))?;
        let year_streams = streams(ledger, &mut year, By::Total)?;
        let rolling = rolling_year(&mut year.calendar, last_hour(ledger)?.ok_or(ShowError::NoDataYet)?);
        let asked = (year.from, year.to);
        (year.from, year.to) = (Some(rolling.0), Some(rolling.1));
        let rolling_streams = streams(ledger, &mut year, By::Total)?;
        (year.from, year.to) = asked;
        Ok(Asked { ledger, zone, year, wanted, streams: year_streams, rolling, rolling_streams })
    }

    fn figures(&mut self, subject: &Subject) -> Result<Figures, ShowError> {
        let (from, to) = (self.year.from.unwrap_or_default(), self.year.to.unwrap_or_default());
        let days_of_year = f64::from(self.year.calendar.date(from).days_in_year());
        let used = used(self.ledger, subject, from, to)?;
        let year = self.year.calendar.date(from).year();
        Figures::new(self.ledger, used, carbon(&self.streams, subject), (year, days_of_year, to.plus_ms(-1)))
    }

    fn rolling(&mut self, subject: &Subject) -> Result<Figures, ShowError> {
        let used = used(self.ledger, subject, self.rolling.0, self.rolling.1)?;
        let year = self.year.calendar.date(self.rolling.1.plus_ms(-1)).year();
        let days =
            self.year.calendar.date(self.rolling.0).until(self.year.calendar.date(self.rolling.1)).map_or(366, |span| span.get_days());
        Figures::new(self.ledger, used, carbon(&self.rolling_streams, subject), (year, f64::from(days), self.rolling.1.plus_ms(-1)))
    }

    /// First and last local day of the rolling year, for people.
    fn rolling_days(&mut self) -> String {
        let (first, last) = (self.year.calendar.date(self.rolling.0), self.year.calendar.date(self.rolling.1.plus_ms(-1)));
        format!("rolling year {first} to {last}")
    }
}

/// The local year that ends with the day of the last data.
#[must_use]
pub fn rolling_year(calendar: &mut LocalCalendar, last: Millis) -> (Millis, Millis) {
    let end = calendar.day(last).end;
    let year_before = calendar.date(end).saturating_sub(jiff::Span::new().years(1));
    (calendar.start_of(year_before), end)
}
