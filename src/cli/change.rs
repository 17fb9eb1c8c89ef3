//! `nengtan savings change`.

use super::CliError;
use super::claims::{ALL_CARRIERS, Chosen, Labels};
use super::output;
use crate::claims::change::{Amount, Change, Changed, changes};
use crate::store;
use crate::store::read::{Cell, Table};

#[derive(clap::Args)]
pub struct ChangeArguments {
    #[command(flatten)]
    chosen: Chosen,
}

const COLUMNS: [&str; 11] = ["entity", "name_en", "name_zh", "carrier", "from", "to", "line", "kwh", "kg_co2e", "hours", "hours_left_out"];

/// A line per effect; the zone, where no entity is named, last.
pub fn change(arguments: &ChangeArguments) -> Result<(), CliError> {
    let chosen = &arguments.chosen;
    let mut ledger = store::open_to_read(&chosen.data)?;
    let snapshot = ledger.transaction()?;
    let wanted = chosen.wanted(&snapshot)?;
    let changed = changes(&snapshot, &wanted)?;
    let labels = Labels::read(&snapshot)?;
    let mut table = Table::new(&COLUMNS);
    for Changed { row, reporting, change } in &changed {
        let head = labels.head(&row.entity, row.load.book.carrier().as_str(), (reporting.start, reporting.end));
        table.rows.extend(lines(&head, change));
    }
    let added: Vec<&Changed> = changed.iter().filter(|changed| !changed.row.made_inside).collect();
    if let (true, Some(first)) = (chosen.entity.is_empty(), added.first()) {
        let mut whole = Change::default();
        let mut stretch = (first.reporting.start, first.reporting.end);
        for Changed { reporting, change, .. } in added {
            whole.add(change);
            stretch = (stretch.0.min(reporting.start), stretch.1.max(reporting.end));
        }
        table.rows.extend(lines(&labels.head(&labels.zone, ALL_CARRIERS, stretch), &whole));
    }
    Ok(output::print(&table, chosen.output)?)
}

fn lines(head: &[Cell], change: &Change) -> Vec<Vec<Cell>> {
    let count = |hours: usize| Cell::Integer(i64::try_from(hours).expect("a ledger has fewer hours"));
    let line = |(name, amount): (&'static str, Amount)| {
        let mut row = head.to_vec();
        row.extend([name.into(), Cell::Real(amount.kwh), Cell::Real(amount.kg_co2e), count(change.hours), count(change.hours_left_out)]);
        row
    };
    change.lines().into_iter().map(line).collect()
}
