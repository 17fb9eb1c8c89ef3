//! `meters.csv`, line by line: each one a channel. What holds between lines is [`super::meter_links`]'s.

use rustc_hash::FxHashMap;

use super::csv_file::{CsvFile, Row};
use super::fault::{Fault, ID_REMEDY, ID_WANTED, is_id, joined};
use super::meter_links::{MeterList, link};
use crate::domain::channel::{Carrier, Direction, LedgerUnit, Level, RegisterFault, RegisterSpec, ledger_unit, register_units};
use crate::domain::decimal::Decimal;
use crate::domain::entity::EntityIndex;
use crate::domain::units::Millis;
use crate::domain::zone::residual_id;

const HEADER: &[&str] = &[
    "meter",
    "entity",
    "parent",
    "level",
    "boundary",
    "carrier",
    "item",
    "direction",
    "unit",
    "resolution",
    "multiplier",
    "width_digits",
    "rating",
    "serial",
    "valid_from",
    "gateway",
    "formula",
];
/// No meter's display is wider.
const WIDTH_DIGITS_MAX: u32 = 12;
/// Columns that only a device has.
const DEVICE_COLUMNS: [&str; 5] = ["resolution", "width_digits", "rating", "serial", "gateway"];

/// One line whose fields are good on their own.
pub struct Line<'f> {
    pub entity: EntityIndex,
    pub level: Level,
    pub boundary: bool,
    pub carrier: Carrier,
    pub direction: Direction,
    pub valid_from: Millis,
    pub kind: LineKind<'f>,
}

pub enum LineKind<'f> {
    Register(RegisterSpec),
    Gauge,
    Virtual { ledger_unit: LedgerUnit, terms: Vec<NamedTerm<'f>> },
}

/// An addend of a formula, before its meter is looked up.
pub struct NamedTerm<'f> {
    pub sign: i32,
    pub meter: &'f str,
}

/// Ids of the entities by which `meters.csv` is checked; without them (their file is broken) every entity passes.
pub struct KnownEntities<'e> {
    pub zone_id: Option<&'e str>,
    pub ids: Option<&'e FxHashMap<String, EntityIndex>>,
    pub residual: EntityIndex,
}

impl KnownEntities<'_> {
    fn find(&self, id: &str) -> Option<EntityIndex> {
        match (self.ids, self.zone_id) {
            (_, Some(zone)) if id == zone || id == residual_id(zone) => Some(self.residual),
            (Some(ids), Some(_)) => ids.get(id).copied(),
            (None, _) | (_, None) => Some(self.residual),
        }
    }

    /// Whether an entity has this id, as far as that is known.
    fn has(&self, id: &str) -> bool {
        self.zone_id.is_some_and(|zone| id == zone || id == residual_id(zone)) || self.ids.is_some_and(|ids| ids.contains_key(id))
    }
}

/// The meters; only to be used where there are no faults.
#[must_use]
pub fn read(text: &str, entities: &KnownEntities) -> (MeterList, Vec<Fault>) {
    let (file, mut faults) = CsvFile::read("meters.csv", text, HEADER);
    if file.rows().len() == 0 && faults.is_empty() {
        faults.push(Fault {
            file: "meters.csv".to_owned(),
            line: Some(1),
            key: "meter".to_owned(),
            seen: "no line after the header".to_owned(),
            wanted: "a meter".to_owned(),
            remedy: "add one".to_owned(),
        });
    }
    let mut lines: Vec<(Row, Option<Line>)> = file.rows().map(|row| read_line(row, entities)).collect();
    let list = link(&mut lines);
    faults.extend(lines.into_iter().flat_map(|(row, _)| row.faults));
    faults.sort_by_key(|fault| fault.line);
    (list, faults)
}

fn read_line<'f>(mut row: Row<'f>, entities: &KnownEntities) -> (Row<'f>, Option<Line<'f>>) {
    for column in ["meter", "gateway"] {
        let is_virtual = row.has("formula") && column == "gateway";
        if !is_virtual && !is_id(row.field(column)) {
            row.refuse::<()>(column, ID_WANTED, ID_REMEDY);
        }
    }
    // Both are shown like entities (`domain/tree.rs`).
    if row.has("formula") && entities.has(row.field("meter")) {
        row.refuse::<()>("meter", "another id than any entity's, because a virtual meter is shown like one", ID_REMEDY);
    }
    if row.has("parent") && entities.has(&residual_id(row.field("parent"))) {
        row.refuse::<()>(
            "parent",
            "a meter whose id with -residual is no entity's, because its residual is shown like one",
            "rename one of them",
        );
    }
    let entity = entities.find(row.field("entity"));
    let entity = entity.or_else(|| row.refuse("entity", "an id of entities.geojson or the zone's", "correct it or add the feature"));
    let level = row.one_of("level", Level::ALL, Level::as_str);
    let boundary = row.one_of("boundary", &[true, false], |yes| if yes { "yes" } else { "no" });
    let carrier = row.one_of("carrier", Carrier::ALL, Carrier::as_str);
    let direction = row.one_of("direction", Direction::ALL, Direction::as_str);
    let valid_from = read_valid_from(&mut row);
    if !row.has("item") {
        row.refuse::<()>("item", "the value's name in the reading", "add it");
    }
    let kind = match (carrier, direction) {
        (Some(carrier), Some(direction)) => read_kind(&mut row, carrier, direction),
        _ => None,
    };
    let line = (|| {
        Some(Line {
            entity: entity?,
            level: level?,
            boundary: boundary?,
            carrier: carrier?,
            direction: direction?,
            valid_from: valid_from?,
            kind: kind?,
        })
    })();
    (row, line)
}

fn read_valid_from(row: &mut Row) -> Option<Millis> {
    if row.has("formula") && !row.has("valid_from") {
        return Some(Millis(i64::MIN));
    }
    let moment = Millis::from_rfc3339(row.field("valid_from"));
    moment.or_else(|| row.refuse("valid_from", "rfc 3339 with an offset", "write it like 2026-01-01T00:00:00+08:00"))
}

fn read_kind<'f>(row: &mut Row<'f>, carrier: Carrier, direction: Direction) -> Option<LineKind<'f>> {
    if direction == Direction::Gauge {
        return read_gauge(row);
    }
    if carrier == Carrier::Weather {
        return row.refuse("direction", "gauge for weather", "correct the direction or the carrier");
    }
    let Some(unit) = ledger_unit(carrier, row.field("unit")) else {
        let wanted = joined(register_units(carrier));
        return row.refuse("unit", &wanted, &format!("choose a unit of {}", carrier.as_str()));
    };
    if row.has("item") && !row.field("item").ends_with(&format!("_{}", row.field("unit"))) {
        let wanted = format!("a name that ends in _{}", row.field("unit"));
        row.refuse::<()>("item", &wanted, "rename it or correct the unit");
    }
    if row.has("formula") {
        let terms = read_formula(row)?;
        return Some(LineKind::Virtual { ledger_unit: unit.0, terms });
    }
    if !row.has("serial") {
        row.refuse::<()>("serial", "the device's serial number", "add it");
    }
    read_register(row, unit).map(LineKind::Register)
}

fn read_gauge<'f>(row: &mut Row<'f>) -> Option<LineKind<'f>> {
    if row.has("formula") {
        return row.refuse("formula", "none for a gauge", "remove it or correct the direction");
    }
    if row.has("resolution") {
        return row.refuse("resolution", "nothing for a gauge", "remove it or correct the direction");
    }
    if !row.has("unit") {
        return row.refuse("unit", "the unit it is shown in", "add it");
    }
    Some(LineKind::Gauge)
}

fn read_register(row: &mut Row, unit: (LedgerUnit, i64)) -> Option<RegisterSpec> {
    let resolution = decimal(row, "resolution");
    let multiplier = if row.has("multiplier") { decimal(row, "multiplier") } else { Some(Decimal::from(1)) };
    let rating = decimal(row, "rating");
    let width = row.field("width_digits").parse::<u32>().ok().filter(|width| (1..=WIDTH_DIGITS_MAX).contains(width));
    let width = width.or_else(|| row.refuse("width_digits", "a whole number from 1 to 12", "correct it"));
    let faults = match RegisterSpec::new(unit, resolution?, multiplier?, width?, rating?) {
        Ok(register) => return Some(register),
        Err(faults) => faults,
    };
    let ledger_unit = unit.0.as_str();
    for fault in faults {
        refuse_scale(row, fault, ledger_unit);
    }
    None
}

fn refuse_scale(row: &mut Row, fault: RegisterFault, unit: &str) {
    let multiplier = if row.has("multiplier") { row.field("multiplier") } else { "1" };
    match fault {
        RegisterFault::Resolution => {
            let seen = format!("\"{} {} × {multiplier}\"", row.field("resolution"), row.field("unit"));
            row.fault::<()>("resolution", seen, &format!("a whole number of {unit}"), "raise the resolution or the multiplier")
        }
        RegisterFault::Multiplier => row.refuse("multiplier", "a number above 0 of few digits", "correct it"),
        RegisterFault::WidthDigits => {
            let seen = format!("\"10^{} {} × {multiplier}\"", row.field("width_digits"), row.field("unit"));
            let wanted = format!("a whole number of {unit} above the resolution and below 9.2e18");
            row.fault("width_digits", seen, &wanted, "correct the width or the unit")
        }
        RegisterFault::Rating => row.refuse("rating", &format!("a whole number of {unit} per hour above 0"), "correct it"),
    };
}

fn decimal(row: &mut Row, column: &str) -> Option<Decimal> {
    let plain = Some(row.field(column)).filter(|text| !text.contains(['e', 'E']));
    let number = plain.and_then(|text| Decimal::parse(text).ok());
    number.or_else(|| row.refuse(column, "a decimal number above 0 without an exponent, such as 0.001", "correct it"))
}

fn read_formula<'f>(row: &mut Row<'f>) -> Option<Vec<NamedTerm<'f>>> {
    for column in DEVICE_COLUMNS {
        if row.has(column) {
            row.refuse::<()>(column, "nothing beside a formula", "remove it, or the formula");
        }
    }
    if row.has("multiplier") && row.field("multiplier") != "1" {
        row.refuse::<()>("multiplier", "nothing or 1 beside a formula", "remove it, or the formula");
    }
    let term = |text: &'f str| {
        let (sign, meter) = text.strip_prefix('+').map(|meter| (1, meter)).or_else(|| text.strip_prefix('-').map(|meter| (-1, meter)))?;
        is_id(meter).then_some(NamedTerm { sign, meter })
    };
    let terms: Option<Vec<NamedTerm>> = row.field("formula").split_whitespace().map(term).collect();
    terms.or_else(|| row.refuse("formula", "terms like +M1 -M2 with spaces between them", "correct it"))
}
