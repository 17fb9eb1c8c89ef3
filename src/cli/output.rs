//! Tables for people and programs: the only place that prints results.

#![allow(clippy::print_stdout, reason = "results go to standard output; everything else is logged")]

use std::io::{self, BufWriter, Write};
use std::ops::ControlFlow;

use comfy_table::{CellAlignment, ContentArrangement, Table as Drawn, presets};

use crate::store::read::{Cell, Table};

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people; numbers rounded.
    Table,
    /// A table for documents.
    Markdown,
    Csv,
    /// An array of objects keyed by column.
    Json,
}

/// Columns of a terminal too small for a table's wishes are wrapped at this width.
const WIDTH_WITHOUT_TERMINAL: u16 = 200;

/// Rows that are drawn as a table; what is longer is no table for people.
const ROWS_DRAWN_MAX: usize = 10_000;

/// Prints a table. A closed pipe is a wish to see no more.
pub fn print(table: &Table, format: Format) -> io::Result<()> {
    let mut printer = Printer::new(format);
    let rows = std::iter::once(None).chain(table.rows.iter().cloned().map(Some));
    for row in rows {
        if printer.take(&table.columns, row).is_break() {
            break;
        }
    }
    printer.finish()
}

/// Prints rows as they come; tables for people are drawn at the end.
pub struct Printer {
    format: Format,
    out: BufWriter<io::Stdout>,
    kept: Table,
    rows: usize,
    failed: Option<io::Error>,
}

impl Printer {
    pub fn new(format: Format) -> Printer {
        Printer { format, out: BufWriter::new(io::stdout()), kept: Table::default(), rows: 0, failed: None }
    }

    /// Takes the columns alone, first, and then each row. Breaks off when nobody reads any more or the table is full.
    pub fn take(&mut self, columns: &[String], row: Option<Vec<Cell>>) -> ControlFlow<()> {
        let written = match (self.format, row) {
            (Format::Table | Format::Markdown, None) => {
                columns.clone_into(&mut self.kept.columns);
                Ok(())
            }
            (Format::Table | Format::Markdown, Some(row)) => {
                self.kept.rows.push(row);
                self.rows += 1;
                return if self.rows > ROWS_DRAWN_MAX { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
            }
            (Format::Csv, None) => self.record(columns.iter().map(String::as_str)),
            (Format::Csv, Some(row)) => {
                let cells: Vec<String> = row.iter().map(plain).collect();
                self.record(cells.iter().map(String::as_str))
            }
            (Format::Json, None) => write!(self.out, "["),
            (Format::Json, Some(row)) => {
                self.rows += 1;
                let comma = if self.rows > 1 { "," } else { "" };
                write!(self.out, "{comma}\n  {}", json_object(columns, &row))
            }
        };
        match written {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.failed = Some(error);
                ControlFlow::Break(())
            }
        }
    }

    pub fn finish(mut self) -> io::Result<()> {
        let ended = match (self.format, self.failed.take()) {
            (_, Some(error)) => Err(error),
            (Format::Table | Format::Markdown, None) => self.draw(),
            (Format::Csv, None) => Ok(()),
            (Format::Json, None) => writeln!(self.out, "{}]", if self.rows > 0 { "\n" } else { "" }),
        };
        match ended.and_then(|()| self.out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            done => done,
        }
    }

    fn draw(&mut self) -> io::Result<()> {
        let cut = self.kept.rows.len() > ROWS_DRAWN_MAX;
        self.kept.rows.truncate(ROWS_DRAWN_MAX);
        writeln!(self.out, "{}", drawn(&self.kept, self.format))?;
        if cut {
            writeln!(self.out, "only the first {ROWS_DRAWN_MAX} rows are drawn; --output csv or json gives all")?;
        }
        Ok(())
    }

    fn record<'a>(&mut self, cells: impl Iterator<Item = &'a str>) -> io::Result<()> {
        let mut writer = csv::Writer::from_writer(&mut self.out);
        writer.write_record(cells)?;
        writer.flush()
    }
}

/// Prints a line of text.
pub fn line(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

fn drawn(table: &Table, format: Format) -> String {
    if table.rows.is_empty() {
        return "(no rows)".to_owned();
    }
    let mut drawn = Drawn::new();
    if format == Format::Markdown {
        drawn.load_style(presets::ASCII_MARKDOWN);
    } else {
        drawn.load_style(presets::ASCII_BORDERS_ONLY_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
        if !drawn.is_tty() {
            drawn.set_width(WIDTH_WITHOUT_TERMINAL);
        }
    }
    drawn.set_header(&table.columns);
    for row in &table.rows {
        drawn.add_row(row.iter().map(|cell| {
            let aligned = comfy_table::Cell::new(shown(cell));
            match cell {
                Cell::Integer(_) | Cell::Real(_) => aligned.set_alignment(CellAlignment::Right),
                Cell::Null | Cell::Boolean(_) | Cell::Text(_) => aligned,
            }
        }));
    }
    drawn.to_string()
}

fn shown(cell: &Cell) -> String {
    match cell {
        Cell::Null => String::new(),
        Cell::Boolean(value) => value.to_string(),
        Cell::Integer(value) => value.to_string(),
        Cell::Real(value) if value.abs() >= 1000.0 => grouped(*value),
        Cell::Real(value) => {
            let text = format!("{value:.3}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        Cell::Text(text) => short_time(text).unwrap_or_else(|| text.clone()),
    }
}

/// Local time to the minute, of a text that is a time of local midnight or a whole minute: people know where they are.
fn short_time(text: &str) -> Option<String> {
    let at = text.get(..19)?.parse::<jiff::civil::DateTime>().ok().filter(|_| text.as_bytes()[10] == b'T')?;
    let (hour, minute, second) = (at.hour(), at.minute(), at.second());
    Some(match (hour, minute, second) {
        (0, 0, 0) => at.date().to_string(),
        (_, _, 0) => format!("{} {hour:02}:{minute:02}", at.date()),
        _ => format!("{} {hour:02}:{minute:02}:{second:02}", at.date()),
    })
}

/// One decimal, thousands apart.
fn grouped(value: f64) -> String {
    let text = format!("{:.1}", value.abs());
    let (whole, rest) = text.split_once('.').unwrap_or((&text, "0"));
    let mut out = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index) % 3 == 0 {
            out.push(' ');
        }
        out.push(digit);
    }
    format!("{}{out}.{rest}", if value < 0.0 { "-" } else { "" })
}

/// A figure per line: one row of many columns fits no terminal.
pub fn upright(table: &Table) -> Table {
    let mut out = Table::new(&["figure", "value"]);
    out.rows = table.rows.iter().flatten().zip(&table.columns).map(|(cell, column)| vec![column.as_str().into(), cell.clone()]).collect();
    out
}

/// A figure per line and a row per column, named by its first cell: a few rows of many columns fit no terminal either.
#[cfg(feature = "demo")]
pub fn turned(table: &Table) -> Table {
    let columns = ["figure".to_owned()].into_iter().chain(table.rows.iter().filter_map(|row| row.first().map(plain))).collect();
    let line = |(index, column): (usize, &String)| {
        [column.as_str().into()].into_iter().chain(table.rows.iter().filter_map(|row| row.get(index).cloned())).collect()
    };
    Table { columns, rows: table.columns.iter().enumerate().skip(1).map(line).collect() }
}

/// Writes a table as CSV into a file.
#[cfg(feature = "demo")]
pub fn write_csv(table: &Table, out: impl Write) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(&table.columns)?;
    for row in &table.rows {
        writer.write_record(row.iter().map(plain))?;
    }
    writer.flush()
}

fn plain(cell: &Cell) -> String {
    match cell {
        Cell::Null => String::new(),
        Cell::Boolean(value) => value.to_string(),
        Cell::Integer(value) => value.to_string(),
        Cell::Real(value) => value.to_string(),
        Cell::Text(text) => text.clone(),
    }
}

fn json_object(columns: &[String], row: &[Cell]) -> serde_json::Value {
    let object = columns.iter().zip(row).map(|(column, cell)| {
        let value = match cell {
            Cell::Null => serde_json::Value::Null,
            Cell::Boolean(value) => (*value).into(),
            Cell::Integer(value) => (*value).into(),
            Cell::Real(value) => serde_json::Number::from_f64(*value).map_or(serde_json::Value::Null, Into::into),
            Cell::Text(text) => text.as_str().into(),
        };
        (column.clone(), value)
    });
    serde_json::Value::Object(object.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_objects_are_keyed_by_column() {
        let columns = ["entity".to_owned(), "kwh".to_owned()];
        assert_eq!(json_object(&columns, &["a".into(), Cell::Real(1.5)]), serde_json::json!({"entity": "a", "kwh": 1.5}));
        assert_eq!(json_object(&columns, &["b".into(), Cell::Null]), serde_json::json!({"entity": "b", "kwh": null}));
    }

    #[test]
    fn people_see_thousands_apart() {
        assert_eq!(shown(&Cell::Real(1_234_567.89)), "1 234 567.9");
        assert_eq!(shown(&Cell::Real(-1_234.0)), "-1 234.0");
        assert_eq!(shown(&Cell::Real(0.5)), "0.5");
        assert_eq!(shown(&Cell::Real(0.0)), "0");
    }
}
