//! `indicators.csv`: what a park's report asks for and no meter tells, as the zone states it.

use std::collections::HashMap;

use super::csv_file::{CsvFile, Row};
use super::entries_csv::date;
use super::fault::Fault;
use crate::domain::decimal;
use crate::domain::declared::{Indicator, IndicatorKind};

const HEADER: &[&str] = &["indicator", "year", "value_pct", "source", "recorded"];
/// Thousandths of a percent in all.
const WHOLE: i64 = 100_000;

#[must_use]
pub fn read(text: &str) -> (Vec<Indicator>, Vec<Fault>) {
    let (file, mut faults) = CsvFile::read("indicators.csv", text, HEADER);
    let (mut indicators, mut seen) = (Vec::new(), HashMap::new());
    for mut row in file.rows() {
        if let Some(first) = seen.insert((row.field("indicator"), row.field("year")), row.line) {
            row.refuse::<()>("indicator", &format!("a year of its own, line {first} has it"), "give each year one line");
        }
        indicators.extend(indicator(&mut row));
        faults.append(&mut row.faults);
    }
    (indicators, faults)
}

fn indicator(row: &mut Row) -> Option<Indicator> {
    let kind = row.one_of("indicator", IndicatorKind::ALL, IndicatorKind::as_str);
    let year = row.field("year").parse().ok().filter(|year| (1990..=2100).contains(year));
    let year = year.or_else(|| row.refuse("year", "a year from 1990 to 2100", "correct it"));
    let value = decimal::parse_scaled(row.field("value_pct"), 1_000, 1).ok().filter(|value| *value <= WHOLE);
    let value = value.or_else(|| row.refuse("value_pct", "a number from 0 to 100 with at most three decimals", "correct it"));
    if !row.has("source") {
        row.refuse::<()>("source", "where the value comes from", "name it");
    }
    let recorded = date(row, "recorded");
    let source = row.field("source").to_owned();
    Some(Indicator { kind: kind?, year: year?, thousandths_pct: value?, source, recorded: recorded? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_of_a_line_is_told_with_its_column() {
        let (read, faults) =
            read("indicator,year,value_pct,source,recorded\nwaste_heat_use_pct,2026,55.5,report,2026-02-01\nwaste,26,100.1,,today\n");
        assert_eq!((read.len(), read[0].thousandths_pct), (1, 55_500));
        let keys: Vec<&str> = faults.iter().map(|fault| fault.key.as_str()).collect();
        assert_eq!(keys, ["indicator", "year", "value_pct", "source", "recorded"]);
    }
}
