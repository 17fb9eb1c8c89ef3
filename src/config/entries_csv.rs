//! `entries.csv`: emissions and sinks that users write down, each with the factor that holds for it.

use std::collections::HashMap;

use jiff::civil::Date;

use super::csv_file::{CsvFile, Row};
use super::fault::{Fault, ID_REMEDY, ID_WANTED, is_id};
use crate::domain::decimal::{self, Decimal};
use crate::domain::declared::{Entry, EntryKind};
use crate::domain::entity::named;
use crate::domain::factors::{FactorSet, FactorTier, Found, MissingFactor, PerUnit};
use crate::domain::substances::{CombustionGas, GwpSet};
use crate::domain::units::{MgCePerUnit, MgPerUnit, Quantity};

const HEADER: &[&str] =
    &["id", "entity", "from", "to", "kind", "substance", "quantity", "unit", "factor_kg_co2e", "factor_source", "recorded"];

/// Stands for the year of an entry whose period is a fault, so that the rest of its line is still judged.
const NO_YEAR: i16 = 2023;

named! {
    Mass {
        Gram = "g",
        Kilogram = "kg",
        Tonne = "t",
    }
}

/// What entries and supplies are checked against.
pub struct Known<'k> {
    /// Whether an entity's id, or the zone's.
    pub entity: &'k dyn Fn(&str) -> bool,
    pub factors: Option<&'k FactorSet>,
    pub gwp: GwpSet,
}

#[must_use]
pub fn read(text: &str, known: &Known) -> (Vec<Entry>, Vec<Fault>) {
    let (file, mut faults) = CsvFile::read("entries.csv", text, HEADER);
    let (mut entries, mut seen) = (Vec::new(), HashMap::new());
    for mut row in file.rows() {
        if let Some(first) = seen.insert(row.field("id"), row.line) {
            row.refuse::<()>("id", &format!("an id of its own, line {first} has it"), "give each entry one");
        }
        entries.extend(entry(&mut row, known).unwrap_or_default());
        faults.append(&mut row.faults);
    }
    (entries, faults)
}

fn entry(row: &mut Row, known: &Known) -> Option<Vec<Entry>> {
    let id = Some(row.field("id")).filter(|id| is_id(id)).or_else(|| row.refuse("id", ID_WANTED, ID_REMEDY));
    let entity = entity(row, known);
    let period = period(row);
    let recorded = date(row, "recorded");
    let kind = row.one_of("kind", EntryKind::ALL, EntryKind::as_str);
    if !row.has("substance") {
        row.refuse::<()>("substance", "what was used, released or taken up", "name it");
    }
    let counted = kind.and_then(|kind| amount(row, kind));
    // Factors are those of the year in which the entry begins.
    let year = period.map_or(NO_YEAR, |(from, _)| from.year());
    let mut streams = kind.and_then(|kind| streams(row, (kind, year), known));
    // A fuel's first stream is its CO2, or all of it where the entry has a factor of its own.
    if let (Some(EntryKind::Fuel), Some(first)) = (kind, streams.as_mut().and_then(|streams| streams.first_mut())) {
        first.coal = known.factors.and_then(|set| set.coal_of_fuel(row.field("substance"), year));
    }
    let (from, to) = period?;
    let (amount, unit) = counted?;
    let (id, entity, kind, recorded) = (id?, entity?, kind?, recorded?);
    let entry = |stream: Stream| Entry {
        id: id.to_owned(),
        entity: entity.to_owned(),
        from,
        to,
        kind,
        stream: stream.name,
        amount,
        unit: unit.clone(),
        factor: stream.factor,
        coal: stream.coal,
        tier: stream.tier.as_str().to_owned(),
        version: stream.version,
        source: stream.source,
        recorded,
    };
    Some(streams?.into_iter().map(entry).collect())
}

pub fn entity<'f>(row: &mut Row<'f>, known: &Known) -> Option<&'f str> {
    let id = row.field("entity");
    if (known.entity)(id) { Some(id) } else { row.refuse("entity", "an entity's id, or the zone's", "correct it") }
}

pub fn date(row: &mut Row, column: &str) -> Option<Date> {
    // jiff also takes 20260101.
    let date = Some(row.field(column)).filter(|text| text.len() == 10).and_then(|text| text.parse().ok());
    date.or_else(|| row.refuse(column, "YYYY-MM-DD", "correct it"))
}

pub fn period(row: &mut Row) -> Option<(Date, Date)> {
    let (from, to) = (date(row, "from"), date(row, "to"));
    let (from, to) = (from?, to?);
    if from < to { Some((from, to)) } else { row.refuse("to", "the day after the last, later than from", "correct it") }
}

/// Thousandths of the unit the factor is per, and that unit. Fuels, minerals and gases come by mass (a fuel of gas by Nm3), the rest in any unit.
fn amount(row: &mut Row, kind: EntryKind) -> Option<(Quantity, String)> {
    let (thousandths, unit) = match kind {
        EntryKind::Activity | EntryKind::Sink => {
            if !row.has("unit") {
                return row.refuse("unit", "the unit of the quantity", "name it");
            }
            (1_000, row.field("unit").to_owned())
        }
        EntryKind::Fuel if row.field("unit") == PerUnit::NormalCubicMetre.as_str() => (1_000, row.field("unit").to_owned()),
        EntryKind::Fuel | EntryKind::Process | EntryKind::TopUp => {
            let mass = row.one_of("unit", Mass::ALL, Mass::as_str)?;
            let grams = match mass {
                Mass::Gram => 1,
                Mass::Kilogram => 1_000,
                Mass::Tonne => 1_000_000,
            };
            (grams, Mass::Kilogram.as_str().to_owned())
        }
    };
    // Too fine, too large or no number: one remedy for all, refused right below.
    let quantity = decimal::parse_scaled(row.field("quantity"), thousandths, 1).ok();
    let quantity =
        quantity.or_else(|| row.refuse("quantity", "a number of zero or more with at most three decimals of the unit", "round it"));
    Some((Quantity(quantity?), unit))
}

struct Stream {
    name: String,
    factor: MgPerUnit,
    coal: Option<MgCePerUnit>,
    tier: FactorTier,
    version: String,
    source: String,
}

fn streams(row: &mut Row, (kind, year): (EntryKind, i16), known: &Known) -> Option<Vec<Stream>> {
    if row.has("factor_kg_co2e") {
        return own_factor(row, kind).map(|stream| vec![stream]);
    }
    if row.has("factor_source") {
        return row.refuse("factor_source", "nothing where factor_kg_co2e is empty", "give the factor, or remove its source");
    }
    let substance = row.field("substance");
    let set = known.factors?;
    let of = |name: String, found: Found<'_, MgPerUnit>| Stream {
        name,
        factor: found.factor,
        coal: None,
        tier: found.tier,
        version: found.version.to_owned(),
        source: set.source_of(found.version).unwrap_or_default().to_owned(),
    };
    let found = match kind {
        EntryKind::Fuel => {
            fuel(row, set, (known.gwp, year)).map(|streams| streams.into_iter().map(|(name, found)| of(name, found)).collect())
        }
        EntryKind::Process => set.process_input(substance, year).map(|found| vec![of(substance.to_owned(), found)]),
        EntryKind::TopUp => {
            set.gas_released(known.gwp, substance).map(|found| vec![of(format!("{substance} (GWP {})", known.gwp.as_str()), found)])
        }
        EntryKind::Activity | EntryKind::Sink => {
            return row.refuse("factor_kg_co2e", "kg CO2e per unit, for there is none in the library", "give it with its source");
        }
    };
    match found {
        Ok(streams) => Some(streams),
        Err(missing) => {
            let text = missing.to_string();
            let (seen, remedy) = text.split_once("; ").unwrap_or((&text, "correct it"));
            row.fault("substance", seen.to_owned(), "a factor", remedy)
        }
    }
}

/// A fuel's CO2, and CH4 and N2O where the library knows how it burns.
fn fuel<'s>(row: &mut Row, set: &'s FactorSet, (gwp, year): (GwpSet, i16)) -> Result<Vec<(String, Found<'s, MgPerUnit>)>, MissingFactor> {
    let code = row.field("substance");
    let (co2, per) = set.fuel_burnt(code, year)?;
    let by_volume = row.field("unit") == PerUnit::NormalCubicMetre.as_str();
    if by_volume != (per == PerUnit::NormalCubicMetre) {
        row.refuse::<()>("unit", if by_volume { "g, kg or t for this fuel" } else { "Nm3 for this fuel" }, "correct it");
    }
    let mut streams = vec![(format!("{code} CO2"), co2)];
    for gas in CombustionGas::ALL.iter().copied() {
        let found = set.combustion_of_fuel(code, (gas, gwp), year)?;
        streams.extend(found.map(|found| (format!("{code} {} (GWP {})", gas.as_str(), gwp.as_str()), found)));
    }
    Ok(streams)
}

fn own_factor(row: &mut Row, kind: EntryKind) -> Option<Stream> {
    // No number or too large: refused right below.
    let factor = Decimal::parse(row.field("factor_kg_co2e")).and_then(|kg| kg.times(Decimal::from(1_000_000))?.rounded()).ok();
    let factor = factor.or_else(|| row.refuse("factor_kg_co2e", "kg CO2e per unit, zero or more", "correct it"));
    if !row.has("factor_source") {
        row.refuse::<()>("factor_source", "where the factor comes from", "name it");
    }
    let sign = if kind == EntryKind::Sink { -1 } else { 1 };
    Some(Stream {
        name: row.field("substance").to_owned(),
        factor: MgPerUnit(sign * factor?),
        coal: None,
        tier: FactorTier::EntityContract,
        version: format!("entries.csv/{}", row.field("id")),
        source: row.field("factor_source").to_owned(),
    })
}
