//! `allocations.csv`: who bears what a shared meter counts, by declared shares.
//!
//! Invariant: the shares of a meter add up to 100 % whenever there are any, and no period of a meter overlaps another.

use std::collections::BTreeMap;

use jiff::civil::Date;

use super::csv_file::{CsvFile, Row};
use super::entries_csv::{Known, date, entity};
use super::fault::Fault;
use crate::domain::decimal;
use crate::domain::declared::Allocation;
use crate::domain::tariff::Validity;

const HEADER: &[&str] = &["meter", "entity", "share_pct", "from", "to", "source", "recorded"];
/// Thousandths of a percent in all.
const WHOLE: i64 = 100_000;

/// `is_shared` says whether a meter has an import register to share out.
#[must_use]
pub fn read(text: &str, known: &Known, is_shared: impl Fn(&str) -> bool) -> (Vec<Allocation>, Vec<Fault>) {
    let (file, mut faults) = CsvFile::read("allocations.csv", text, HEADER);
    let mut allocations = Vec::new();
    let mut periods: BTreeMap<(&str, Date, Option<Date>), (i64, usize)> = BTreeMap::new();
    for mut row in file.rows() {
        let read = allocation(&mut row, known, &is_shared);
        if let Some(allocation) = read {
            let valid = allocation.valid;
            periods.entry((row.field("meter"), valid.from, valid.to)).or_insert((0, row.line)).0 += allocation.thousandths_pct;
            allocations.push(allocation);
        }
        faults.append(&mut row.faults);
    }
    if faults.is_empty() {
        refuse_wrong_sums(&periods, &mut faults);
    }
    (allocations, faults)
}

fn allocation(row: &mut Row, known: &Known, is_shared: impl Fn(&str) -> bool) -> Option<Allocation> {
    let meter = Some(row.field("meter")).filter(|meter| is_shared(meter));
    let meter = meter.or_else(|| row.refuse("meter", "a device of meters.csv that counts an import", "correct it"));
    let entity = entity(row, known);
    let share = decimal::parse_scaled(row.field("share_pct"), 1_000, 1).ok().filter(|share| (1..=WHOLE).contains(share));
    let share = share.or_else(|| row.refuse("share_pct", "a number above 0, up to 100, with at most three decimals", "correct it"));
    let from = date(row, "from");
    let to = if row.has("to") { date(row, "to").map(Some) } else { Some(None) };
    if from.zip(to.flatten()).is_some_and(|(from, to)| to <= from) {
        row.refuse::<()>("to", "the day after the last, later than from", "correct it");
    }
    if !row.has("source") {
        row.refuse::<()>("source", "the contract or the resolution", "name it");
    }
    date(row, "recorded")?;
    let (meter, entity) = (meter?.to_owned(), entity?.to_owned());
    Some(Allocation {
        meter,
        entity,
        thousandths_pct: share?,
        valid: Validity { from: from?, to: to? },
        source: row.field("source").to_owned(),
    })
}

fn refuse_wrong_sums(periods: &BTreeMap<(&str, Date, Option<Date>), (i64, usize)>, faults: &mut Vec<Fault>) {
    let all: Vec<(&str, Validity, i64, usize)> =
        periods.iter().map(|((meter, from, to), (sum, line))| (*meter, Validity { from: *from, to: *to }, *sum, *line)).collect();
    let fault = |line: usize, key: &str, seen: String, wanted: &str| Fault {
        file: "allocations.csv".to_owned(),
        line: Some(line),
        key: key.to_owned(),
        seen,
        wanted: wanted.to_owned(),
        remedy: "correct the lines of the meter".to_owned(),
    };
    for (at, (meter, valid, sum, line)) in all.iter().enumerate() {
        if *sum != WHOLE {
            let seen = format!("{}.{:03} % of {meter} from {}", sum / 1_000, sum % 1_000, valid.from);
            faults.push(fault(*line, "share_pct", seen, "100 % in each period"));
        }
        if all[..at].iter().any(|(other, before, ..)| other == meter && before.overlaps(valid)) {
            faults.push(fault(*line, "from", format!("two periods of {meter} that overlap"), "one period at any time"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::substances::GwpSet;

    fn faults_of(lines: &str) -> Vec<(String, usize)> {
        let known = Known { entity: &|id| id.starts_with("E-"), factors: None, gwp: GwpSet::Ar5 };
        let text = format!("meter,entity,share_pct,from,to,source,recorded\n{lines}");
        let (_, faults) = read(&text, &known, |meter| meter == "M-1");
        faults.into_iter().map(|fault| (fault.key, fault.line.unwrap())).collect()
    }

    #[test]
    fn shares_of_a_meter_make_a_whole_at_any_time() {
        let cases: [(&str, &[(&str, usize)]); 5] = [
            ("M-1,E-1,40,2026-01-01,,lease,2026-01-01\nM-1,E-2,60,2026-01-01,,lease,2026-01-01\n", &[]),
            ("M-1,E-1,40,2026-01-01,,lease,2026-01-01\nM-1,E-2,59.999,2026-01-01,,lease,2026-01-01\n", &[("share_pct", 2)]),
            ("M-1,E-1,100,2026-01-01,2026-02-01,lease,2026-01-01\nM-1,E-2,100,2026-02-01,,lease,2026-01-01\n", &[]),
            ("M-1,E-1,100,2026-01-01,,lease,2026-01-01\nM-1,E-2,100,2026-02-01,,lease,2026-01-01\n", &[("from", 3)]),
            ("M-2,X,0,2026-13-01,,,soon\n", &[("meter", 2), ("entity", 2), ("share_pct", 2), ("from", 2), ("source", 2), ("recorded", 2)]),
        ];
        for (lines, wanted) in cases {
            let wanted: Vec<(String, usize)> = wanted.iter().map(|(key, line)| ((*key).to_owned(), *line)).collect();
            assert_eq!(faults_of(lines), wanted, "{lines}");
        }
    }
}
