//! `meters.csv`: one line per channel, read column by column.
//!
//! What holds between lines is checked in [`super::wiring`].

use std::path::Path;

use super::decimal::Decimal;
use super::fault::Faults;
use super::scale::{ledger_per_unit, scale};
use super::{Carrier, Channel, Direction, Level};

const FILE: &str = "meters.csv";
const HEADER: &str = "meter,entity,parent,level,boundary,carrier,item,direction,unit,resolution,multiplier,width_digits,rating,serial,valid_from,gateway,formula";

/// One line, whether it stands for a device or for a formula.
pub(super) struct Line {
    pub number: usize,
    pub channel: Channel,
    /// Signed meters, for a virtual meter.
    pub formula: Vec<(bool, String)>,
}

pub(super) fn read(folder: &Path) -> (Vec<Line>, Faults) {
    let mut faults = Faults::new(FILE);
    let mut lines = Vec::new();
    let Some(text) = faults.read(folder, true) else {
        return (lines, faults);
    };
    let mut reader = csv::ReaderBuilder::new().flexible(true).has_headers(false).from_reader(text.as_bytes());
    let mut records = reader.records();
    let header = records.next().and_then(Result::ok).unwrap_or_default();
    check_header(&header, &mut faults);
    if header.iter().collect::<Vec<_>>().join(",") != HEADER {
        return (lines, faults);
    }
    for record in records {
        match record {
            Ok(record) => lines.extend(line(&record, &mut faults)),
            Err(error) => {
                let at = error.position().map_or(1, |position| position.line() as usize);
                faults.add(at, error.to_string(), "comma-separated columns", "correct the quotes");
            }
        }
    }
    if lines.is_empty() && faults.list.is_empty() {
        faults.add(1, "no meter", "at least one line", "list the zone's meters");
    }
    (lines, faults)
}

fn check_header(header: &csv::StringRecord, faults: &mut Faults) {
    let wanted: Vec<&str> = HEADER.split(',').collect();
    let seen: Vec<&str> = header.iter().collect();
    for column in seen.iter().filter(|column| !wanted.contains(column)) {
        faults.add(1, format!("unknown column `{column}`"), format!("the header {HEADER}"), "correct or remove the column");
    }
    for column in wanted.iter().filter(|column| !seen.contains(column)) {
        faults.add(1, format!("no column `{column}`"), format!("the header {HEADER}"), "add the column");
    }
    if seen != wanted && seen.iter().all(|column| wanted.contains(column)) && seen.len() >= wanted.len() {
        faults.add(1, "columns in another order or twice", format!("the header {HEADER}"), "reorder them");
    }
}

/// The columns of one line and where it stands.
pub(super) struct Row<'a> {
    number: usize,
    record: &'a csv::StringRecord,
}

impl<'a> Row<'a> {
    pub fn get(&self, column: &str) -> &'a str {
        let index = HEADER.split(',').position(|name| name == column).expect("columns are named as in the header");
        self.record.get(index).unwrap_or("").trim()
    }

    pub fn refuse(&self, column: &str, wanted: &str, faults: &mut Faults) {
        let seen = format!("{column} `{}` of meter `{}`", self.get(column), self.get("meter"));
        faults.add(self.number, seen, wanted, format!("correct the column {column}"));
    }

    pub fn choice<T: Copy>(&self, column: &str, choices: &[(&str, T)], faults: &mut Faults) -> Option<T> {
        let found = choices.iter().find(|(name, _)| *name == self.get(column)).map(|(_, value)| *value);
        if found.is_none() {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            self.refuse(column, &format!("one of {}", names.join(", ")), faults);
        }
        found
    }

    pub fn positive(&self, column: &str, faults: &mut Faults) -> Option<Decimal> {
        let decimal = Decimal::parse(self.get(column)).filter(|decimal| decimal.mantissa > 0);
        if decimal.is_none() {
            self.refuse(column, "a decimal number above 0", faults);
        }
        decimal
    }

    fn id(&self, column: &str, faults: &mut Faults) -> Option<String> {
        let id = self.get(column);
        faults.check_id(self.number, column, id).then(|| id.to_owned())
    }
}

fn line(record: &csv::StringRecord, faults: &mut Faults) -> Option<Line> {
    let number = record.position().map_or(1, |position| position.line() as usize);
    let columns = HEADER.split(',').count();
    if record.len() != columns {
        faults.add(number, format!("{} columns", record.len()), format!("{columns} columns"), "add or remove commas");
        return None;
    }
    let row = Row { number, record };
    let meter = row.id("meter", faults);
    let entity = row.id("entity", faults);
    let level = row.choice("level", &[("entry", Level::Entry), ("unit", Level::Unit), ("equipment", Level::Equipment)], faults);
    let boundary = row.choice("boundary", &[("yes", true), ("no", false)], faults);
    let carrier = row.choice("carrier", &super::CARRIERS, faults);
    let direction = row.choice("direction", &DIRECTIONS, faults);
    let formula = formula(&row, faults);
    check_direction(&row, carrier, direction, faults);
    let ledger_per_unit = ledger_per_unit(&row, carrier, faults);
    check_item(&row, carrier, faults);
    let scale = scale(&row, direction, !formula.is_empty(), ledger_per_unit, faults);
    let device = device(&row, !formula.is_empty(), faults);
    let (scale, (serial, valid_from_ms, gateway)) = (scale?, device?);
    let parent = Some(row.get("parent")).filter(|parent| !parent.is_empty()).map(str::to_owned);
    let channel = Channel {
        meter: meter?,
        item: row.get("item").to_owned(),
        entity: entity?,
        parent,
        level: level?,
        boundary: boundary?,
        carrier: carrier?,
        direction: direction?,
        ledger_per_unit: ledger_per_unit?,
        step: scale.step,
        multiplier: scale.multiplier,
        decimals: scale.decimals,
        full: scale.full,
        rating_per_h: scale.rating_per_h,
        serial,
        valid_from_ms,
        gateway,
    };
    Some(Line { number, channel, formula })
}

const DIRECTIONS: [(&str, Direction); 5] = [
    ("import", Direction::Import),
    ("export", Direction::Export),
    ("generation", Direction::Generation),
    ("made", Direction::Made),
    ("gauge", Direction::Gauge),
];

fn check_direction(row: &Row, carrier: Option<Carrier>, direction: Option<Direction>, faults: &mut Faults) {
    let (Some(carrier), Some(direction)) = (carrier, direction) else {
        return;
    };
    if (carrier == Carrier::Weather) != (direction == Direction::Gauge) {
        row.refuse("direction", "`gauge` for weather, and for weather only", faults);
    }
}

fn check_item(row: &Row, carrier: Option<Carrier>, faults: &mut Faults) {
    let (item, unit) = (row.get("item"), row.get("unit"));
    let ends_in_unit = item.strip_suffix(unit).is_some_and(|name| name.ends_with('_'));
    if item.is_empty() || (carrier != Some(Carrier::Weather) && !ends_in_unit) {
        row.refuse("item", "a name that ends in `_` and its unit", faults);
    }
}

/// Serial, start of validity in ms and gateway.
fn device(row: &Row, is_virtual: bool, faults: &mut Faults) -> Option<(String, i64, String)> {
    // What does not parse is refused right below; a virtual meter may leave it out.
    let valid_from = row.get("valid_from").parse::<jiff::Timestamp>().ok();
    if valid_from.is_none() && !(is_virtual && row.get("valid_from").is_empty()) {
        row.refuse("valid_from", "a time with offset such as 2025-01-01T00:00:00+08:00", faults);
    }
    if is_virtual {
        for column in ["serial", "gateway"].iter().filter(|column| !row.get(column).is_empty()) {
            row.refuse(column, "nothing for a virtual meter", faults);
        }
        return Some((String::new(), valid_from.map_or(0, jiff::Timestamp::as_millisecond), String::new()));
    }
    if row.get("serial").is_empty() {
        row.refuse("serial", "the device's serial number", faults);
    }
    let gateway = row.id("gateway", faults);
    Some((row.get("serial").to_owned(), valid_from?.as_millisecond(), gateway?))
}

fn formula(row: &Row, faults: &mut Faults) -> Vec<(bool, String)> {
    let mut terms = Vec::new();
    for term in row.get("formula").split_whitespace() {
        match (term.strip_prefix('+'), term.strip_prefix('-')) {
            (Some(meter), _) if !meter.is_empty() => terms.push((true, meter.to_owned())),
            (_, Some(meter)) if !meter.is_empty() => terms.push((false, meter.to_owned())),
            _ => row.refuse("formula", "signed meters such as `+M1 +M2 -M3`", faults),
        }
    }
    terms
}
