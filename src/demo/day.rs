//! What people are told of each day: energy, standard coal, carbon, the five largest entities.

use std::path::{Path, PathBuf};

use jiff::civil;
use jiff::tz::TimeZone;

use crate::domain::units::Millis;
use crate::domain::zone::Zone;
use crate::store::read::{Cell, query};
use crate::store::{self, StoreError};

/// Longest line, in characters.
const LINE_CHARS_MAX: usize = 98;

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
    pub fn of(&self, day: civil::Date, note: &str) -> Result<String, StoreError> {
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
        Ok(lines.into_iter().chain(commands).collect::<Vec<_>>().join("\n"))
    }
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
