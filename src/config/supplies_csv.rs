//! `contracts.csv` and `certificates.csv`: electricity whose origin an entity can show.
//!
//! Invariant: a certificate's serial stands in one line only, so that it is cancelled once, by one entity, in one period.

use std::collections::HashMap;

use super::csv_file::{CsvFile, Row};
use super::entries_csv::{Known, date, entity, period};
use super::fault::{Fault, ID_REMEDY, ID_WANTED, is_id};
use crate::domain::decimal;
use crate::domain::declared::{Supply, SupplyKind};
use crate::domain::units::{MgPerUnit, Quantity};

const CONTRACTS: &[&str] = &["id", "entity", "from", "to", "energy_mwh", "factor_kg_co2_per_kwh", "green", "source", "recorded"];
const CERTIFICATES: &[&str] = &["first_serial", "last_serial", "entity", "from", "to", "factor_kg_co2_per_kwh", "source", "recorded"];
/// A certificate stands for a megawatt-hour.
const WH_PER_CERTIFICATE: i64 = 1_000_000;
const CERTIFICATES_MAX: i64 = 1_000_000_000;

#[must_use]
pub fn contracts(text: &str, known: &Known) -> (Vec<Supply>, Vec<Fault>) {
    let (file, mut faults) = CsvFile::read("contracts.csv", text, CONTRACTS);
    let (mut supplies, mut seen) = (Vec::new(), HashMap::new());
    for mut row in file.rows() {
        if let Some(first) = seen.insert(row.field("id"), row.line) {
            row.refuse::<()>("id", &format!("an id of its own, line {first} has it"), "give each contract one");
        }
        supplies.extend(contract(&mut row, known));
        faults.append(&mut row.faults);
    }
    (supplies, faults)
}

fn contract(row: &mut Row, known: &Known) -> Option<Supply> {
    let id = Some(row.field("id")).filter(|id| is_id(id)).or_else(|| row.refuse("id", ID_WANTED, ID_REMEDY));
    let energy = decimal::parse_scaled(row.field("energy_mwh"), WH_PER_CERTIFICATE, 1).ok().filter(|wh| *wh > 0);
    let energy = energy.or_else(|| row.refuse("energy_mwh", "a number above 0 with at most six decimals", "correct it"));
    let green = row.one_of("green", &[true, false], |green| if green { "yes" } else { "no" });
    let head = head(row, known);
    let (id, energy, green) = (id?.to_owned(), Quantity(energy?), green?);
    head.map(|head| Supply { id, kind: SupplyKind::Contract, energy, green, ..head })
}

#[must_use]
pub fn certificates(text: &str, known: &Known) -> (Vec<Supply>, Vec<Fault>) {
    let (file, mut faults) = CsvFile::read("certificates.csv", text, CERTIFICATES);
    let (mut supplies, mut ranges) = (Vec::new(), Vec::new());
    for mut row in file.rows() {
        let serials = serials(&mut row);
        let head = head(&mut row, known);
        if let Some(serials) = serials {
            supplies.extend(head.map(|head| Supply {
                id: format!("{} to {}", row.field("first_serial"), row.field("last_serial")),
                kind: SupplyKind::Certificate,
                energy: Quantity(serials.count() * WH_PER_CERTIFICATE),
                green: true,
                ..head
            }));
            ranges.push((serials, row.line));
        }
        faults.append(&mut row.faults);
    }
    faults.extend(used_twice(ranges));
    (supplies, faults)
}

/// What contracts and certificates have in common; the rest is filled in by the caller.
fn head(row: &mut Row, known: &Known) -> Option<Supply> {
    let entity = entity(row, known);
    let period = period(row).and_then(|(from, to)| {
        let whole_months = from.day() == 1 && to.day() == 1;
        if whole_months { Some((from, to)) } else { row.refuse("from", "whole months: from and to on the first of a month", "correct it") }
    });
    let recorded = date(row, "recorded");
    // No number or too large: refused right below.
    let factor = MgPerUnit::from_decimal_kg(row.field("factor_kg_co2_per_kwh")).ok();
    let factor = factor.or_else(|| row.refuse("factor_kg_co2_per_kwh", "kg CO2 per kWh, zero or more", "correct it"));
    if !row.has("source") {
        row.refuse::<()>("source", "the contract, register or issuer", "name it");
    }
    let (from, to) = period?;
    Some(Supply {
        id: String::new(),
        kind: SupplyKind::Contract,
        entity: entity?.to_owned(),
        from,
        to,
        energy: Quantity(0),
        mg_per_kwh: factor?,
        green: false,
        source: row.field("source").to_owned(),
        recorded: recorded?,
    })
}

/// A run of serials: what stands before the number in capitals (registers do not tell cases apart), its digits, and the numbers, both ends included.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Serials {
    head: String,
    digits: usize,
    first: i64,
    last: i64,
}

impl Serials {
    fn count(&self) -> i64 {
        self.last - self.first + 1
    }
}

fn serials(row: &mut Row) -> Option<Serials> {
    let wanted = "letters and - _ and at most 18 digits at the end";
    let first = parts(row.field("first_serial")).or_else(|| row.refuse("first_serial", wanted, "correct it"));
    let last = parts(row.field("last_serial")).or_else(|| row.refuse("last_serial", wanted, "correct it"));
    let ((head, digits, first), (last_head, last_digits, last)) = (first?, last?);
    let one_run =
        head.to_uppercase() == last_head.to_uppercase() && digits == last_digits && first <= last && last - first < CERTIFICATES_MAX;
    if !one_run {
        return row.refuse("last_serial", "a serial of the same form, not before first_serial", "correct it");
    }
    Some(Serials { head: head.to_uppercase(), digits, first, last })
}

fn parts(serial: &str) -> Option<(&str, usize, i64)> {
    let head = serial.trim_end_matches(|c: char| c.is_ascii_digit());
    let digits = serial.len() - head.len();
    let number = serial[head.len()..].parse().ok().filter(|_| (1..=18).contains(&digits))?;
    is_id(serial).then_some((head, digits, number))
}

/// Each run that overlaps an earlier one, by the line that comes later in the file.
fn used_twice(mut ranges: Vec<(Serials, usize)>) -> Vec<Fault> {
    ranges.sort();
    let mut faults = Vec::new();
    let mut widest: Option<(Serials, usize)> = None;
    for (serials, line) in ranges {
        if let Some((other, other_line)) = &widest
            && (&other.head, other.digits) == (&serials.head, serials.digits)
            && serials.first <= other.last
        {
            let (line, other_line) = (line.max(*other_line), line.min(*other_line));
            faults.push(Fault {
                file: "certificates.csv".to_owned(),
                line: Some(line),
                key: "first_serial".to_owned(),
                seen: format!("serial {}{:0width$} a second time", serials.head, serials.first, width = serials.digits),
                wanted: format!("each serial once, line {other_line} has it"),
                remedy: "cancel it once, in one period".to_owned(),
            });
        }
        if widest
            .as_ref()
            .is_none_or(|(other, _)| (&other.head, other.digits) != (&serials.head, serials.digits) || other.last < serials.last)
        {
            widest = Some((serials, line));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_serials_overlap_or_do_not() {
        let run = |first: &str, last: &str, line| {
            let ((head, digits, first), (_, _, last)) = (parts(first).unwrap(), parts(last).unwrap());
            (Serials { head: head.to_uppercase(), digits, first, last }, line)
        };
        let lines = |ranges: &[(Serials, usize)]| used_twice(ranges.to_vec()).iter().map(|fault| fault.line.unwrap()).collect::<Vec<_>>();
        assert_eq!(
            lines(&[run("G-001", "G-100", 2), run("G-101", "G-200", 3), run("H-001", "H-100", 4), run("G-0001", "G-0100", 5)]),
            [0; 0]
        );
        assert_eq!(lines(&[run("gec-001", "gec-003", 2), run("GEC-002", "GEC-002", 3)]), [3], "case makes no other certificate");
        assert_eq!(lines(&[run("G-050", "G-060", 3), run("G-001", "G-100", 2)]), [3], "one run inside another");
        assert_eq!(lines(&[run("G-100", "G-100", 7), run("G-001", "G-100", 9)]), [9], "a single serial, told at the later line");
        assert_eq!(lines(&[run("G-001", "G-300", 2), run("G-010", "G-011", 3), run("G-250", "G-260", 4)]), [3, 4]);
    }
}
