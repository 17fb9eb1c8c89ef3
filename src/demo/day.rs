//! What people are told of each day: energy, standard coal, carbon, the five largest entities, and what is saved so far.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::civil;
use jiff::tz::TimeZone;
use rusqlite::Connection;

use crate::claims::ClaimError;
use crate::claims::figures::{self, Balance, By, Claim, Figure};
use crate::claims::fit::Wanted;
use crate::domain::units::Millis;
use crate::domain::zone::Zone;
use crate::store::read::{Cell, query};
use crate::store::savings::{IN_KWH, counted_from};
use crate::store::{self, StoreError};

/// Longest line, in characters.
const LINE_CHARS_MAX: usize = 98;
/// How many entities are named.
const LARGEST: usize = 5;
/// So many days tell savings each.
const DAYS_TOLD_EACH: i32 = 31;

pub struct DaySummary {
    data: PathBuf,
    zone: String,
    time_zone: TimeZone,
}

impl DaySummary {
    pub fn new(data: &Path, zone: &Zone) -> DaySummary {
        DaySummary { data: data.to_owned(), zone: zone.id().to_owned(), time_zone: zone.profile().time_zone.clone() }
    }

    /// The local day of a moment.
    pub fn day_of(&self, at: Millis) -> civil::Date {
        self.time_zone.to_datetime(at.timestamp()).date()
    }

    /// The day's figures as the ledger has them now, in a few lines of at most [`LINE_CHARS_MAX`]; `note` goes behind the date.
    pub fn of(&self, day: civil::Date, note: &str) -> Result<String, ClaimError> {
        let ledger = store::open_to_read(&self.data)?;
        let date = Cell::Text(format!("{day}%"));
        let totals = "SELECT e.carrier, e.quantity, e.unit, e.tce_calorific, COALESCE(c.kg_co2e, 0) FROM energy_day e LEFT JOIN carbon_day c \
                      ON c.ts = e.ts AND c.entity = e.entity AND c.carrier = e.carrier WHERE e.entity = ?1 AND e.ts_local LIKE ?2 ORDER BY e.carrier";
        let rows = query(&ledger, totals, &[Cell::Text(self.zone.clone()), date.clone()])?.rows;
        let (mut carriers, mut tce, mut kg) = (Vec::new(), 0.0, 0.0);
        for row in &rows {
            if let [Cell::Text(carrier), quantity, Cell::Text(unit), coal, carbon] = row.as_slice() {
                carriers.push(format!("{} {:.0} {unit}", carrier.replace('_', " "), real(quantity)));
                tce += real(coal);
                kg += real(carbon);
            }
        }
        let largest = "SELECT e.entity, n.name_en, SUM(e.tce_calorific) AS tce FROM energy_day e JOIN entity n ON n.entity = e.entity \
                       WHERE n.kind NOT IN ('zone', 'residual') AND e.ts_local LIKE ?1 GROUP BY e.entity ORDER BY tce DESC LIMIT 5";
        let largest = query(&ledger, largest, std::slice::from_ref(&date))?.rows;
        let largest: Vec<String> = largest
            .iter()
            .filter_map(|row| match row.as_slice() {
                [_, Cell::Text(name), coal] => Some(format!("{name} {:.1}", real(coal))),
                _ => None,
            })
            .collect();
        let commands =
            "SELECT SUM(outcome IN ('waiting', 'accepted', 'refused')), SUM(outcome = 'refused') FROM command WHERE ts_local LIKE ?1";
        let commands = query(&ledger, commands, &[date])?.rows;
        let commands = match commands.first().map(Vec::as_slice) {
            Some([Cell::Integer(sent), Cell::Integer(refused)]) => Some(format!("  commands: {sent} sent, {refused} refused")),
            _ => None,
        };
        let head = format!("{day}{note}  {tce:.1} tce (calorific)  {:.1} t CO2e", kg / 1000.0);
        let lines = [head, wrapped("", &carriers), wrapped("largest, tce: ", &largest)];
        let saved = if self.tells_savings(&ledger, day)? { saved(&ledger)? } else { Vec::new() };
        Ok(lines.into_iter().chain(commands).chain(saved).collect::<Vec<_>>().join("\n"))
    }

    /// Savings so far are made of all hours since the baselines' end: each day of the first month, then on Sundays.
    fn tells_savings(&self, ledger: &Connection, day: civil::Date) -> Result<bool, StoreError> {
        let Some(first) = counted_from(ledger)?.map(|from| self.day_of(from)) else { return Ok(false) };
        let days = (day - first).get_days();
        Ok((0..DAYS_TOLD_EACH).contains(&days) || day.weekday() == civil::Weekday::Sunday)
    }
}

/// What is saved so far in all, with its interval, and the five entities that save most.
fn saved(ledger: &Connection) -> Result<Vec<String>, ClaimError> {
    let wanted = Wanted { books: IN_KWH.to_vec(), ..Wanted::default() };
    let (claims, _) = figures::claims(ledger, &wanted, By::Total)?;
    let added: Vec<&Claim> = claims.iter().filter(|claim| !claim.made_inside).collect();
    let of = |claims: &[&Claim]| Figure::sum(claims.iter().flat_map(|claim| claim.figures.values()).collect::<Vec<_>>().into_iter());
    let zone = of(&added);
    let Some(energy) = zone.energy.filter(|_| zone.hours > 0) else { return Ok(Vec::new()) };
    let told = format!(
        "  saved so far: {:.0} ± {:.0} MWh ({:.1} %), {:.0} ± {:.0} t CO2e (90 % intervals)",
        energy.saved() / 1000.0,
        energy.half_width / 1000.0,
        100.0 * energy.saved() / energy.baseline.abs(),
        zone.kg_co2e / 1000.0,
        zone.half_width_kg_co2e / 1000.0,
    );
    let mut entities: BTreeMap<&str, Vec<&Claim>> = BTreeMap::new();
    for claim in added {
        entities.entry(&claim.entity).or_default().push(claim);
    }
    let each = entities.into_iter().filter_map(|(entity, claims)| Some((entity, of(&claims).energy?)));
    let mut most: Vec<(&str, Balance)> = each.collect();
    most.sort_by(|a, b| b.1.saved().total_cmp(&a.1.saved()));
    let most: Vec<String> = most
        .iter()
        .take(LARGEST)
        .map(|(entity, energy)| format!("{entity} {:.1} ± {:.1}", energy.saved() / 1000.0, energy.half_width / 1000.0))
        .collect();
    Ok(vec![told, wrapped("most, MWh: ", &most)])
}

/// The engine's clock as of a ledger's last commit; none if it never moved.
pub fn clock(data: &Path) -> Result<Option<Millis>, StoreError> {
    let ledger = store::open_to_read(data)?;
    let rows = query(&ledger, "SELECT value FROM meta WHERE key = 'clock'", &[])?.rows;
    match rows.first().map(Vec::as_slice) {
        Some([Cell::Integer(clock)]) => Ok(Some(Millis(*clock))),
        _ => Ok(None),
    }
}

/// Items behind a label, on lines that a narrow terminal does not break.
fn wrapped(label: &str, items: &[String]) -> String {
    let mut lines = vec![format!("  {label}")];
    for (index, item) in items.iter().enumerate() {
        let item = if index + 1 < items.len() { format!("{item}, ") } else { item.clone() };
        match lines.last_mut() {
            Some(line) if line.chars().count() + item.trim_end().chars().count() <= LINE_CHARS_MAX => line.push_str(&item),
            Some(_) | None => lines.push(format!("    {item}")),
        }
    }
    lines.iter().map(|line| line.trim_end()).collect::<Vec<_>>().join("\n")
}

fn real(cell: &Cell) -> f64 {
    match cell {
        Cell::Real(value) => *value,
        Cell::Integer(value) => *value as f64,
        Cell::Null | Cell::Boolean(_) | Cell::Text(_) => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_are_broken_between_items() {
        let items: Vec<String> = (0..5).map(|index| format!("an entity with quite a long name {index}.0")).collect();
        let text = wrapped("largest, tce: ", &items);
        assert!(text.lines().all(|line| line.chars().count() <= LINE_CHARS_MAX), "{text}");
        assert_eq!(text.matches("quite").count(), 5);
    }
}
