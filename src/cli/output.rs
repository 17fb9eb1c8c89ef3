//! Tables for people and programs: the only place that prints results.

#![allow(clippy::print_stdout, reason = "results go to standard output; everything else is logged")]

use std::io::{self, BufWriter, Write};
use std::ops::ControlFlow;

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table as Drawn, Width, presets};

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
    print_first(table, format, &[])
}

/// Prints a table of more columns than a terminal has room for: the named ones are those that people want first. The others are left out where not all fit.
pub fn print_first(table: &Table, format: Format, first: &'static [&'static str]) -> io::Result<()> {
    let mut printer = Printer { first, ..Printer::new(format) };
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
    /// Columns that people want first; none: all alike.
    first: &'static [&'static str],
    rows: usize,
    failed: Option<io::Error>,
}

impl Printer {
    pub fn new(format: Format) -> Printer {
        Printer { format, out: BufWriter::new(io::stdout()), kept: Table::default(), first: &[], rows: 0, failed: None }
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
        writeln!(self.out, "{}", drawn(&self.kept, self.format, self.first, terminal_width()))?;
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

fn terminal_width() -> u16 {
    let drawn = Drawn::new();
    Some(drawn).filter(Drawn::is_tty).and_then(|drawn| drawn.width()).unwrap_or(WIDTH_WITHOUT_TERMINAL)
}

fn drawn(table: &Table, format: Format, first: &[&str], width: u16) -> String {
    if table.rows.is_empty() {
        return "(no rows)".to_owned();
    }
    let mut drawn = Drawn::new();
    let mut columns: Vec<(usize, u16)> = (0..table.columns.len()).map(|at| (at, 0)).collect();
    let mut left_out = Vec::new();
    if format == Format::Markdown {
        drawn.load_style(presets::ASCII_MARKDOWN);
    } else {
        drawn.load_style(presets::ASCII_BORDERS_ONLY_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
        drawn.set_width(width);
        (columns, left_out) = fitted(table, first, width);
    }
    drawn.set_header(columns.iter().map(|(at, _)| &table.columns[*at]));
    for row in &table.rows {
        drawn.add_row(columns.iter().map(|(at, _)| {
            let text = shown(&row[*at]);
            let text = if format == Format::Markdown { escaped(&text) } else { text };
            let aligned = comfy_table::Cell::new(text);
            match row[*at] {
                Cell::Integer(_) | Cell::Real(_) => aligned.set_alignment(CellAlignment::Right),
                Cell::Null | Cell::Boolean(_) | Cell::Text(_) => aligned,
            }
        }));
    }
    for (column, (_, least)) in drawn.column_iter_mut().zip(&columns) {
        column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(*least)));
    }
    if left_out.is_empty() {
        return drawn.to_string();
    }
    format!("{drawn}\nleft out, for want of width: {}; --output csv or json gives all", left_out.join(", "))
}

/// The columns that fit into a width, each with the width it needs, padding included, and the names of those that do not. Numbers and times never wrap: texts do, and where that
/// is not enough some are left out: first what people do not want first, if it is said what they do, from the right; then the names, which stand beside ids, then what is the
/// same in all rows and can be told once, then the longest.
fn fitted(table: &Table, first: &[&str], width: u16) -> (Vec<(usize, u16)>, Vec<String>) {
    /// Texts wrap down to this; long ones into no more lines than that, or down to the last.
    const TEXT_WIDTH_MIN: usize = 8;
    const TEXT_LINES_MAX: usize = 6;
    const LONG_TEXT_WIDTH_MIN: usize = 30;
    const PADDING: usize = 2;
    /// What stands between two columns, and at both ends.
    const BETWEEN: usize = 1;
    struct Column {
        at: usize,
        /// Of its longest cell.
        longest: usize,
        least: usize,
        wraps: bool,
        /// The one value of several rows.
        same: Option<String>,
    }
    let measured = |at: usize| {
        let cells = || table.rows.iter().map(move |row| &row[at]);
        let longest = cells().map(|cell| columns_of(&shown(cell))).max().unwrap_or(0);
        let wraps = cells().any(|cell| matches!(cell, Cell::Text(text) if short_time(text).is_none()));
        let head = table.columns[at].len().min(TEXT_WIDTH_MIN);
        let least = PADDING
            + if wraps { longest.min(TEXT_WIDTH_MIN.max((longest / TEXT_LINES_MAX).min(LONG_TEXT_WIDTH_MIN))) } else { longest.max(head) };
        let first = cells().next().filter(|first| table.rows.len() > 1 && cells().all(|cell| cell == *first)).map(shown);
        Column { at, longest, least, wraps, same: first }
    };
    let mut columns: Vec<Column> = (0..table.columns.len()).map(measured).collect();
    let mut left_out = Vec::new();
    while usize::from(width) < columns.iter().map(|column| column.least + BETWEEN).sum::<usize>() + BETWEEN {
        if let Some(place) = columns.iter().rposition(|column| !first.is_empty() && !first.contains(&table.columns[column.at].as_str())) {
            left_out.push(columns.remove(place));
            continue;
        }
        // The first column says what a row is about.
        let spare = columns.iter().enumerate().skip(1).filter(|(_, column)| column.wraps || column.same.is_some());
        let worth = |column: &Column| (table.columns[column.at].starts_with("name_"), column.same.is_some(), column.longest);
        let Some((place, _)) = spare.max_by_key(|(_, column)| worth(column)) else { break };
        left_out.push(columns.remove(place));
    }
    left_out.sort_unstable_by_key(|column| column.at);
    let told = left_out.into_iter().map(|Column { at, same, .. }| match same {
        Some(value) => format!("{} ({value} in all rows)", table.columns[at]),
        None => table.columns[at].clone(),
    });
    let fit = |least: usize| u16::try_from(least).unwrap_or(u16::MAX);
    (columns.iter().map(|column| (column.at, fit(column.least))).collect(), told.collect())
}

/// How many columns of a terminal a text takes; Chinese characters take two.
fn columns_of(text: &str) -> usize {
    text.chars().map(|character| if character.is_ascii() { 1 } else { 2 }).sum()
}

/// A cell's text that neither ends the cell nor the row.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('|', "\\|").replace(['\r', '\n'], " ")
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
    fn a_cell_with_bars_stays_one_cell_of_a_markdown_table() {
        let mut table = Table::new(&["note", "kwh"]);
        table.rows.push(vec!["a|b\nc".into(), Cell::Real(1.5)]);
        let row = drawn(&table, Format::Markdown, &[], 200).lines().last().unwrap().to_owned();
        assert_eq!(row.split_whitespace().collect::<Vec<_>>(), ["|", "a\\|b", "c", "|", "1.5", "|"], "{row}");
    }

    /// Fourteen columns, as `show cost` has, at 100 columns of a terminal.
    #[test]
    fn numbers_and_times_never_wrap_and_what_is_left_out_is_told() {
        let mut table =
            Table::new(&["entity", "name_en", "name_zh", "band", "from", "to", "quantity", "unit", "cny", "tariff", "measured_share"]);
        let text = |text: &str| Cell::Text(text.to_owned());
        let (from, to) = (text("2026-01-01T00:00:00+08:00"), text("2026-01-31T23:45:00+08:00"));
        let names = ["Laoyu Precision Castings rooftop photovoltaics", "崂宇精密铸造有限公司屋顶光伏"].map(text);
        let [name_en, name_zh] = names;
        let tariff = text("cn-sd-industry/electricity/2026-01-01 with a long remark");
        table.rows.push(vec![
            text("E-FACTORY-01-L1"),
            name_en,
            name_zh,
            text("power_factor_adjustment"),
            from,
            to,
            Cell::Real(-23_456_789.1),
            text("kWh"),
            Cell::Real(765_432.1),
            tariff,
            Cell::Real(0.987),
        ]);
        let (columns, left_out) = fitted(&table, &[], 100);
        assert_eq!(left_out, ["name_en", "name_zh", "tariff"]);
        assert_eq!(columns.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [0, 3, 4, 5, 6, 7, 8, 10]);
        assert_eq!(fitted(&table, &[], 200).1, [""; 0], "everything fits into 200, with texts wrapped");
        for width in [100, 200] {
            let drawn = drawn(&table, Format::Table, &[], width);
            for whole in ["-23 456 789.1", "765 432.1", "2026-01-01", "2026-01-31 23:45", "0.987"] {
                assert!(drawn.contains(whole), "{whole}: {drawn}");
            }
            assert!(
                drawn.lines().filter(|line| line.starts_with(['|', '+'])).all(|line| columns_of(line) <= usize::from(width)),
                "{drawn}"
            );
        }
    }

    #[test]
    fn what_all_rows_have_in_common_goes_before_what_tells_them_apart() {
        let mut table = Table::new(&["entity", "band", "from", "to", "quantity", "unit", "cny", "extent"]);
        for (band, quantity, unit) in [("sharp", 45_872.0, "kWh"), ("power_factor_adjustment", 0.93, "cos_phi")] {
            let row: [Cell; 8] = [
                "E-1".into(),
                band.into(),
                "2026-01-01".into(),
                "2026-02-01".into(),
                Cell::Real(quantity),
                unit.into(),
                Cell::Real(1.5),
                "site".into(),
            ];
            table.rows.push(row.into());
        }
        assert_eq!(fitted(&table, &[], 60).1, ["from (2026-01-01 in all rows)", "to (2026-02-01 in all rows)"]);
    }

    #[test]
    fn what_people_want_first_stays() {
        let mut table = Table::new(&["entity", "name_en", "baseline_kwh", "saved_kwh", "cv_rmse", "status"]);
        table.rows.push(vec!["E-1".into(), "a works".into(), Cell::Real(20_000.0), Cell::Real(1_000.0), Cell::Real(0.1), "claimed".into()]);
        let first = ["entity", "saved_kwh", "status"];
        assert_eq!(fitted(&table, &first, 100).1, [""; 0]);
        assert_eq!(fitted(&table, &first, 40).1, ["baseline_kwh", "cv_rmse"]);
    }

    #[test]
    fn people_see_thousands_apart() {
        assert_eq!(shown(&Cell::Real(1_234_567.89)), "1 234 567.9");
        assert_eq!(shown(&Cell::Real(-1_234.0)), "-1 234.0");
        assert_eq!(shown(&Cell::Real(0.5)), "0.5");
        assert_eq!(shown(&Cell::Real(0.0)), "0");
    }
}
