//! A real measured series in a CSV file, read as the register of one meter.
//!
//! Values are decimals from first to last. A row that is out of order, out of step or not understood refuses the whole file.

use std::path::{Path, PathBuf};

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Span, ToSpan};
use serde::Deserialize;

use crate::zone::Decimal;

/// How to read the file; `config/replay/steel.toml` explains each key.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Map {
    pub zone: String,
    pub gateway: String,
    pub meter: String,
    pub item: String,
    pub series: Format,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Format {
    pub kind: Kind,
    pub time: String,
    pub time_format: String,
    pub time_zone: String,
    pub midnight: Midnight,
    pub value: String,
    /// Digits after the decimal point of the register.
    pub decimals: u32,
    /// Needed for an interval series: minutes from row to row.
    pub interval_minutes: Option<i64>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Each value is what flowed in the interval that ends at the row's time.
    IntervalEnd,
    /// Each value is what flowed in the interval that starts at the row's time.
    IntervalStart,
    /// Each value is the running total.
    Register,
}

/// What 0:00 means.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Midnight {
    OpensItsDate,
    ClosesItsDate,
}

/// A register's display at a time; `digits` × 10^−decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    pub at_ms: i64,
    pub digits: i64,
}

#[derive(Debug, thiserror::Error)]
pub enum SeriesError {
    #[error("{}: {error}; wanted a readable file", path.display())]
    Unreadable { path: PathBuf, error: std::io::Error },
    #[error("{}: {error}; correct the map as config/replay/steel.toml explains", path.display())]
    Map { path: PathBuf, error: Box<toml::de::Error> },
    #[error("{}:{line}: {seen}; wanted {wanted}", path.display())]
    Row { path: PathBuf, line: u64, seen: String, wanted: String },
}

impl Map {
    pub fn load(path: &Path) -> Result<Map, SeriesError> {
        let text = std::fs::read_to_string(path).map_err(|error| SeriesError::Unreadable { path: path.to_owned(), error })?;
        toml::from_str(&text).map_err(|error| SeriesError::Map { path: path.to_owned(), error: Box::new(error) })
    }
}

/// Reads the file as a register that starts at zero where the first interval starts.
pub fn read(path: &Path, format: &Format) -> Result<Vec<Reading>, SeriesError> {
    let text = std::fs::read_to_string(path).map_err(|error| SeriesError::Unreadable { path: path.to_owned(), error })?;
    parse(&text, format).map_err(|RowError { line, seen, wanted }| SeriesError::Row { path: path.to_owned(), line, seen, wanted })
}

#[derive(Debug, PartialEq, Eq)]
struct RowError {
    line: u64,
    seen: String,
    wanted: String,
}

impl RowError {
    fn new(line: u64, seen: impl Into<String>, wanted: impl Into<String>) -> RowError {
        RowError { line, seen: seen.into(), wanted: wanted.into() }
    }
}

fn parse(text: &str, format: &Format) -> Result<Vec<Reading>, RowError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let tz = TimeZone::get(&format.time_zone)
        .map_err(|_| RowError::new(1, format!("time zone {}", format.time_zone), "an IANA name in the map"))?;
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().map_err(|error| RowError::new(1, error.to_string(), "a header"))?.clone();
    let column = |name: &str| {
        header.iter().position(|column| column == name).ok_or_else(|| RowError::new(1, "the header", format!("a column {name}")))
    };
    let (time_column, value_column) = (column(&format.time)?, column(&format.value)?);
    let mut register = RegisterOf::new(format)?;
    for record in reader.records() {
        let record = record.map_err(|error| {
            RowError::new(error.position().map_or(1, csv::Position::line), error.to_string(), "as many columns as the header")
        })?;
        let line = record.position().map_or(1, csv::Position::line);
        let (time, value) = (record.get(time_column).unwrap_or(""), record.get(value_column).unwrap_or(""));
        let at_ms = instant(time, format, &tz)
            .ok_or_else(|| RowError::new(line, format!("time `{time}`"), format!("a time like {}", format.time_format)))?;
        let digits = digits(value, format.decimals)
            .ok_or_else(|| RowError::new(line, format!("value `{value}`"), format!("a number of at most {} decimals", format.decimals)))?;
        register.push(line, at_ms, digits)?;
    }
    if register.readings.is_empty() {
        return Err(RowError::new(1, "no rows", "at least one"));
    }
    Ok(register.readings)
}

fn instant(text: &str, format: &Format, tz: &TimeZone) -> Option<i64> {
    let civil = DateTime::strptime(&format.time_format, text).ok()?;
    let closes = format.midnight == Midnight::ClosesItsDate && civil.time() == jiff::civil::Time::midnight();
    let civil = if closes { civil.checked_add(1.day()).ok()? } else { civil };
    Some(civil.to_zoned(tz.clone()).ok()?.timestamp().as_millisecond())
}

fn digits(text: &str, decimals: u32) -> Option<i64> {
    let scale = Decimal { mantissa: 10_i128.checked_pow(decimals)?, scale: 0 };
    Decimal::parse(text)?.times_whole(scale, 1)
}

/// The register as it grows row by row.
struct RegisterOf {
    kind: Kind,
    interval_ms: i64,
    readings: Vec<Reading>,
}

impl RegisterOf {
    fn new(format: &Format) -> Result<RegisterOf, RowError> {
        let minutes = match (format.kind, format.interval_minutes) {
            (Kind::Register, _) => 0,
            (_, Some(minutes)) if minutes > 0 => minutes,
            _ => {
                return Err(RowError::new(1, "an interval series", "interval_minutes in the map"));
            }
        };
        let interval_ms = Span::new().minutes(minutes).total(jiff::Unit::Millisecond).map_or(0, |ms| ms as i64);
        Ok(RegisterOf { kind: format.kind, interval_ms, readings: Vec::new() })
    }

    fn push(&mut self, line: u64, at_ms: i64, digits: i64) -> Result<(), RowError> {
        let end_ms = if self.kind == Kind::IntervalStart { at_ms + self.interval_ms } else { at_ms };
        if self.kind != Kind::Register && self.readings.is_empty() {
            self.readings.push(Reading { at_ms: end_ms - self.interval_ms, digits: 0 });
        }
        let before = self.readings.last().copied();
        if let Some(before) = before {
            let step_ms = end_ms - before.at_ms;
            if step_ms <= 0 {
                return Err(RowError::new(line, "a row that is not after the one before", "rows in order of time"));
            }
            if self.kind != Kind::Register && step_ms != self.interval_ms {
                let seen = format!("a row {} minutes after the one before", step_ms / 60_000);
                return Err(RowError::new(line, seen, format!("{} minutes", self.interval_ms / 60_000)));
            }
        }
        let total = match (self.kind, before) {
            (Kind::Register, _) | (_, None) => digits,
            (_, Some(before)) => before.digits + digits,
        };
        self.readings.push(Reading { at_ms: end_ms, digits: total });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format() -> Format {
        Format {
            kind: Kind::IntervalEnd,
            time: "date".to_owned(),
            time_format: "%d/%m/%Y %H:%M".to_owned(),
            time_zone: "Asia/Seoul".to_owned(),
            midnight: Midnight::ClosesItsDate,
            value: "kwh".to_owned(),
            decimals: 2,
            interval_minutes: Some(15),
        }
    }

    #[test]
    fn values_accumulate_exactly_and_midnight_closes_its_date() {
        let text = "\u{feff}date,kwh\n1/1/2018 23:30,3.1\n1/1/2018 23:45,0.2\n1/1/2018 0:00,4\n2/1/2018 0:15,0.01\n";
        let readings = parse(text, &format()).unwrap();
        assert_eq!(readings.iter().map(|reading| reading.digits).collect::<Vec<_>>(), [0, 310, 330, 730, 731]);
        assert!(readings.windows(2).all(|pair| pair[1].at_ms - pair[0].at_ms == 900_000));
        assert_eq!(readings[3].at_ms, "2018-01-02T00:00:00+09:00".parse::<jiff::Timestamp>().unwrap().as_millisecond());
    }

    #[test]
    fn a_row_out_of_order_or_not_understood_is_refused_with_its_line() {
        let cases = [
            ("date,kwh\n1/1/2018 0:30,1\n1/1/2018 0:15,1\n", 3),
            ("date,kwh\n1/1/2018 0:15,1\n1/1/2018 0:45,1\n", 3),
            ("date,kwh\n1/1/2018 0:15,1.234\n", 2),
            ("date,kwh\n1/1/2018 0:15,-1\n", 2),
            ("date,kwh\n2018-01-01 0:15,1\n", 2),
            ("date,kwh\n1/1/2018 0:15\n", 2),
            ("date,kw\n", 1),
            ("date,kwh\n", 1),
        ];
        for (text, line) in cases {
            assert_eq!(parse(text, &format()).map_err(|error| error.line), Err(line), "{text}");
        }
    }
}
