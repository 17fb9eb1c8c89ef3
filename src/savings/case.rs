//! A case: one meter's hours, what explains them, and the two periods to compare.
//!
//! Reads texts, not files. Missing rows and empty cells are gaps; anything else that is not understood is refused with its line.
//! Invariant: every series has one slot per hour of the axis, and every value is finite.

use std::io::Cursor;

use jiff::tz::TimeZone;

use crate::domain::calendar::{DayType, DayTypes, Span};
use crate::domain::units::{HOUR_MS, Millis};

/// Weather before the baseline that the slow means may start with, hours: over three time constants of the slowest.
pub const WARM_UP_HOURS: i64 = 240;
/// Longest case: more would be a mistyped year.
const CASE_HOURS_MAX: i64 = 20 * 366 * 24;

/// The files of a case folder.
pub struct Texts {
    pub meter: String,
    pub temperature: String,
    pub humidity: Option<String>,
    pub ghi: Option<String>,
    pub drivers: Option<String>,
    pub calendar: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Periods {
    pub time_zone: TimeZone,
    pub baseline: Span,
    pub reporting: Span,
}

/// What a plant made per hour: tonnes, pieces, room-nights.
#[derive(Clone, Debug)]
pub struct Driver {
    pub name: String,
    pub quantity: Vec<Option<f64>>,
}

/// Slot `i` of each series is the hour that starts `i` hours after `start`.
#[derive(Clone, Debug)]
pub struct Case {
    pub periods: Periods,
    pub days: DayTypes,
    pub start: Millis,
    pub meter_kwh: Vec<Option<f64>>,
    pub temperature_c: Vec<Option<f64>>,
    pub relative_humidity_pct: Option<Vec<Option<f64>>>,
    pub ghi_w_m2: Option<Vec<Option<f64>>>,
    pub drivers: Vec<Driver>,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum CaseError {
    #[error("{file}: the header has no column {column}; wanted a first line of names with commas between them, {column} among them")]
    NoColumn { file: &'static str, column: String },
    #[error("{file}:{line}: {column} is \"{seen}\", wanted {wanted}; correct or remove the row")]
    Cell { file: &'static str, line: usize, column: String, seen: String, wanted: &'static str },
    #[error("{file}:{line}: the hour {seen} comes twice; wanted one row per hour")]
    Twice { file: &'static str, line: usize, seen: String },
    #[error("{file}: {cause}; correct the row")]
    Row { file: &'static str, cause: String },
    #[error("periods.json: {0} ends before it starts or lasts under an hour; correct its start and end")]
    Empty(&'static str),
    #[error("periods.json: the reporting period starts before the baseline ends; a baseline never includes what it judges")]
    Overlap,
    #[error("periods.json: the periods span more than 20 years; correct the years")]
    TooLong,
}

impl Case {
    pub fn read(texts: &Texts, periods: Periods) -> Result<Self, CaseError> {
        let axis = Axis::of(&periods)?;
        let one = |file, text: &str, column| Ok::<_, CaseError>(axis.columns(file, text, Some(column))?.swap_remove(0).quantity);
        let optional = |file, text: &Option<String>, column| text.as_ref().map(|text| one(file, text, column)).transpose();
        let drivers = texts.drivers.as_ref().map(|text| axis.columns("drivers.csv", text, None)).transpose()?;
        Ok(Self {
            days: texts.calendar.as_ref().map(|text| calendar(text)).transpose()?.unwrap_or_default(),
            start: axis.start,
            meter_kwh: one("meter.csv", &texts.meter, "kwh")?,
            temperature_c: one("temperature.csv", &texts.temperature, "temp_c")?,
            relative_humidity_pct: optional("humidity.csv", &texts.humidity, "rh_pct")?,
            ghi_w_m2: optional("ghi.csv", &texts.ghi, "ghi_w_m2")?,
            drivers: drivers.unwrap_or_default(),
            periods,
        })
    }

    /// The start of a slot's hour.
    ///
    /// # Panics
    /// With a slot that no case has.
    #[must_use]
    pub fn at(&self, slot: usize) -> Millis {
        let hours = i64::try_from(slot).expect("a case has at most CASE_HOURS_MAX slots");
        self.start.plus_ms(hours * HOUR_MS)
    }

    /// The slots of a period.
    #[must_use]
    pub fn slots(&self, period: Span) -> std::ops::Range<usize> {
        let hours = |at: Millis| usize::try_from(at.ms_since(self.start).div_euclid(HOUR_MS)).unwrap_or(0);
        let slot = |at: Millis| hours(at).min(self.meter_kwh.len());
        slot(period.start)..slot(period.end)
    }
}

struct Axis {
    start: Millis,
    hours: usize,
}

impl Axis {
    fn of(periods: &Periods) -> Result<Self, CaseError> {
        let Periods { baseline, reporting, .. } = periods;
        for (name, period) in [("baseline", baseline), ("reporting", reporting)] {
            if period.ms() < HOUR_MS {
                return Err(CaseError::Empty(name));
            }
        }
        if reporting.start < baseline.end {
            return Err(CaseError::Overlap);
        }
        let start = baseline.start.plus_ms(-WARM_UP_HOURS * HOUR_MS);
        let hours = reporting.end.ms_since(start) / HOUR_MS;
        if CASE_HOURS_MAX < hours {
            return Err(CaseError::TooLong);
        }
        Ok(Self { start, hours: hours as usize })
    }

    /// The named column, or all besides `ts_utc`. Hours outside of the axis are read and left out.
    fn columns(&self, file: &'static str, text: &str, only: Option<&str>) -> Result<Vec<Driver>, CaseError> {
        let row_error = |error: csv::Error| CaseError::Row { file, cause: error.to_string() };
        let mut reader = reader(text);
        let header = reader.headers().map_err(row_error)?.clone();
        let position = |column: &str| {
            let found = header.iter().position(|name| name.trim_start_matches('\u{feff}') == column);
            found.ok_or_else(|| CaseError::NoColumn { file, column: column.to_owned() })
        };
        let time = position("ts_utc")?;
        let wanted = match only {
            Some(column) => vec![position(column)?],
            None => (0..header.len()).filter(|index| *index != time).collect(),
        };
        let mut columns: Vec<Driver> =
            wanted.iter().map(|&index| Driver { name: header[index].to_owned(), quantity: vec![None; self.hours] }).collect();
        let mut taken = vec![false; self.hours];
        for record in reader.records() {
            let record = record.map_err(row_error)?;
            let line = record.position().map_or(0, |position| position.line() as usize);
            let seen = &record[time];
            let cell =
                |column: &str, seen: &str, wanted| CaseError::Cell { file, line, column: column.to_owned(), seen: seen.to_owned(), wanted };
            let at = Millis::from_rfc3339(seen).ok_or_else(|| cell("ts_utc", seen, "a time such as 2026-01-01T00:00:00Z"))?;
            let since_ms = at.ms_since(self.start);
            if since_ms % HOUR_MS != 0 {
                return Err(cell("ts_utc", seen, "a whole number of hours from the baseline's start"));
            }
            let Some(slot) = usize::try_from(since_ms / HOUR_MS).ok().filter(|slot| *slot < self.hours) else { continue };
            if std::mem::replace(&mut taken[slot], true) {
                return Err(CaseError::Twice { file, line, seen: seen.to_owned() });
            }
            for (column, &index) in columns.iter_mut().zip(&wanted) {
                let text = &record[index];
                if !text.is_empty() {
                    let value = text.parse().ok().filter(|value: &f64| value.abs() < VALUE_MAX);
                    column.quantity[slot] = Some(value.ok_or_else(|| cell(&column.name, text, "a number, or nothing"))?);
                }
            }
        }
        Ok(columns)
    }
}

/// No meter, weather station or plant has more per hour; squares of what is more would leave the range of floats.
const VALUE_MAX: f64 = 1e15;

/// The csv crate counts a row's line before the `\n` of the `\r\n` that it follows.
fn reader(text: &str) -> csv::Reader<Cursor<String>> {
    let lines = text.trim_start_matches('\u{feff}').replace("\r\n", "\n");
    csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(Cursor::new(lines))
}

fn calendar(text: &str) -> Result<DayTypes, CaseError> {
    let file = "calendar.csv";
    let row_error = |error: csv::Error| CaseError::Row { file, cause: error.to_string() };
    let mut reader = reader(text);
    let header = reader.headers().map_err(row_error)?.clone();
    let position = |column: &str| {
        let found = header.iter().position(|name| name == column);
        found.ok_or_else(|| CaseError::NoColumn { file, column: column.to_owned() })
    };
    let (date_index, type_index) = (position("date")?, position("day_type")?);
    let mut days = DayTypes::default();
    for record in reader.records() {
        let record = record.map_err(row_error)?;
        let line = record.position().map_or(0, |position| position.line() as usize);
        let cell =
            |column: &str, seen: &str, wanted| CaseError::Cell { file, line, column: column.to_owned(), seen: seen.to_owned(), wanted };
        let (date, day_type) = (&record[date_index], &record[type_index]);
        let parsed = date.parse().map_err(|_| cell("date", date, "YYYY-MM-DD"))?;
        let kind = match day_type {
            "workday" => DayType::Workday,
            "saturday" => DayType::Saturday,
            "sunday" => DayType::Sunday,
            "holiday" => DayType::Holiday,
            _ => return Err(cell("day_type", day_type, "workday, saturday, sunday or holiday")),
        };
        days.0.insert(parsed, kind);
    }
    Ok(days)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn periods() -> Periods {
        let at = |text| Millis::from_rfc3339(text).unwrap();
        Periods {
            time_zone: TimeZone::UTC,
            baseline: Span { start: at("2026-01-01T00:00:00Z"), end: at("2026-01-01T03:00:00Z") },
            reporting: Span { start: at("2026-01-01T03:00:00Z"), end: at("2026-01-01T04:00:00Z") },
        }
    }

    fn read(meter: &str) -> Result<Case, CaseError> {
        let texts = Texts {
            meter: meter.to_owned(),
            temperature: "ts_utc,temp_c\n2026-01-01T00:00:00Z,1\n".to_owned(),
            humidity: None,
            ghi: None,
            drivers: Some("a,ts_utc,b\n1,2026-01-01T01:00:00Z,2\n".to_owned()),
            calendar: Some("date,day_type,source\n2026-01-01,holiday,x\n".to_owned()),
        };
        Case::read(&texts, periods())
    }

    #[test]
    fn absent_rows_and_empty_cells_are_gaps() {
        let case = read("\u{feff}note,ts_utc,kwh\n,2026-01-01T00:00:00Z,-2.5\n,2026-01-01T02:00:00Z,\n,2019-01-01T02:00:00Z,7\n").unwrap();
        assert_eq!(case.meter_kwh[case.slots(case.periods.baseline)], [Some(-2.5), None, None]);
        assert_eq!(case.meter_kwh[case.slots(case.periods.reporting)], [None]);
        let drivers: Vec<_> = case.drivers.iter().map(|driver| (driver.name.as_str(), driver.quantity[241])).collect();
        assert_eq!(drivers, [("a", Some(1.0)), ("b", Some(2.0))]);
        assert_eq!(case.days.of("2026-01-01".parse().unwrap()), DayType::Holiday);
    }

    #[test]
    fn what_is_not_understood_is_refused_with_its_line() {
        for (meter, wanted) in [
            ("ts,kwh\n", "meter.csv: the header has no column ts_utc"),
            ("ts_utc,kWh\n", "meter.csv: the header has no column kwh"),
            ("ts_utc;kwh\n", "meter.csv: the header has no column ts_utc; wanted a first line of names with commas between them"),
            ("ts_utc,kwh\nyesterday,1\n", "meter.csv:2: ts_utc is \"yesterday\""),
            ("ts_utc,kwh\r\n2026-01-01T00:00:00Z,1\r\n2026-01-01T01:00:00Z,one\r\n", "meter.csv:3: kwh is \"one\""),
            ("ts_utc,kwh\n2026-01-01T00:15:00Z,1\n", "meter.csv:2: ts_utc is \"2026-01-01T00:15:00Z\", wanted a whole number of hours"),
            ("ts_utc,kwh\n2026-01-01T00:00:00Z,NaN\n", "meter.csv:2: kwh is \"NaN\", wanted a number"),
            (
                "ts_utc,kwh\n2026-01-01T00:00:00Z,1\n2026-01-01T01:00:00+01:00,1\n",
                "meter.csv:3: the hour 2026-01-01T01:00:00+01:00 comes twice",
            ),
        ] {
            let error = read(meter).unwrap_err().to_string();
            assert!(error.starts_with(wanted), "{error}");
        }
    }

    #[test]
    fn periods_that_make_no_sense_are_refused() {
        let Periods { time_zone, baseline, reporting } = periods();
        let axis = |baseline, reporting| Axis::of(&Periods { time_zone: time_zone.clone(), baseline, reporting }).err();
        assert_eq!(axis(baseline, baseline), Some(CaseError::Overlap));
        assert_eq!(axis(Span { start: baseline.end, end: baseline.start }, reporting), Some(CaseError::Empty("baseline")));
        let far = Span { start: reporting.start, end: reporting.start.plus_ms(30 * 366 * 24 * HOUR_MS) };
        assert_eq!(axis(baseline, far), Some(CaseError::TooLong));
    }
}
