//! Tables for people and programs: the only place that prints results.

#![allow(clippy::print_stdout, reason = "results go to standard output; everything else is logged")]

use std::io::{self, Write};

use comfy_table::{CellAlignment, ContentArrangement, Table as Drawn, presets};

use crate::store::read::{Cell, Table};

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people; numbers rounded.
    Table,
    Csv,
    /// An array of objects keyed by column.
    Json,
}

/// Columns of a terminal too small for a table's wishes are wrapped at this width.
const WIDTH_WITHOUT_TERMINAL: u16 = 200;

/// Prints a table. A closed pipe is a wish to see no more.
pub fn print(table: &Table, format: Format) -> io::Result<()> {
    let text = match format {
        Format::Table => drawn(table),
        Format::Csv => csv(table)?,
        Format::Json => json(table),
    };
    line(&text)
}

/// Prints a line of text.
pub fn line(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

fn drawn(table: &Table) -> String {
    if table.rows.is_empty() {
        return "(no rows)".to_owned();
    }
    let mut drawn = Drawn::new();
    drawn.load_style(presets::ASCII_BORDERS_ONLY_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    if !drawn.is_tty() {
        drawn.set_width(WIDTH_WITHOUT_TERMINAL);
    }
    drawn.set_header(&table.columns);
    for row in &table.rows {
        drawn.add_row(row.iter().map(|cell| {
            let aligned = comfy_table::Cell::new(shown(cell));
            match cell {
                Cell::Integer(_) | Cell::Real(_) => aligned.set_alignment(CellAlignment::Right),
                Cell::Null | Cell::Text(_) => aligned,
            }
        }));
    }
    drawn.to_string()
}

fn shown(cell: &Cell) -> String {
    match cell {
        Cell::Null => String::new(),
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

fn csv(table: &Table) -> io::Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(&table.columns)?;
    for row in &table.rows {
        writer.write_record(row.iter().map(|cell| match cell {
            Cell::Null => String::new(),
            Cell::Integer(value) => value.to_string(),
            Cell::Real(value) => value.to_string(),
            Cell::Text(text) => text.clone(),
        }))?;
    }
    let bytes = writer.into_inner().map_err(|error| io::Error::other(error.to_string()))?;
    let text = String::from_utf8(bytes).map_err(io::Error::other)?;
    Ok(text.trim_end().to_owned())
}

fn json(table: &Table) -> String {
    let rows: Vec<serde_json::Value> = table
        .rows
        .iter()
        .map(|row| {
            let object = table.columns.iter().zip(row).map(|(column, cell)| {
                let value = match cell {
                    Cell::Null => serde_json::Value::Null,
                    Cell::Integer(value) => (*value).into(),
                    Cell::Real(value) => serde_json::Number::from_f64(*value).map_or(serde_json::Value::Null, Into::into),
                    Cell::Text(text) => text.as_str().into(),
                };
                (column.clone(), value)
            });
            serde_json::Value::Object(object.collect())
        })
        .collect();
    serde_json::to_string_pretty(&rows).expect("plain values always encode")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_an_array_of_objects_keyed_by_column() {
        let table = Table {
            columns: vec!["entity".into(), "kwh".into()],
            rows: vec![vec!["a".into(), Cell::Real(1.5)], vec!["b".into(), Cell::Null]],
        };
        let value: serde_json::Value = serde_json::from_str(&json(&table)).unwrap();
        assert_eq!(value, serde_json::json!([{"entity": "a", "kwh": 1.5}, {"entity": "b", "kwh": null}]));
        assert_eq!(json(&Table::new(&["x"])), "[]");
    }

    #[test]
    fn people_see_thousands_apart() {
        assert_eq!(shown(&Cell::Real(1_234_567.89)), "1 234 567.9");
        assert_eq!(shown(&Cell::Real(-1_234.0)), "-1 234.0");
        assert_eq!(shown(&Cell::Real(0.5)), "0.5");
        assert_eq!(shown(&Cell::Real(0.0)), "0");
    }
}
