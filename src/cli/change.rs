//! `nengtan savings change`.

use std::collections::BTreeMap;

use super::CliError;
use super::claims::{ALL_CARRIERS, Chosen, Labels};
use super::output;
use crate::accounting::Book;
use crate::claims::change::{Amount, Change, Changed, changes};
use crate::claims::figures::By;
use crate::domain::units::Millis;
use crate::store;
use crate::store::read::{Cell, Table};
use crate::store::savings::IN_KWH;

#[derive(clap::Args)]
pub struct ChangeArguments {
    #[command(flatten)]
    chosen: Chosen,
    #[arg(long, value_enum, default_value_t = By::Total)]
    by: By,
}

const COLUMNS: [&str; 11] = ["entity", "name_en", "name_zh", "carrier", "from", "to", "line", "kwh", "kg_co2e", "hours", "hours_left_out"];

/// A line per effect; the zone, where no entity is named, last.
pub fn change(arguments: &ChangeArguments) -> Result<(), CliError> {
    let chosen = &arguments.chosen;
    let mut ledger = store::open_to_read(&chosen.data)?;
    let snapshot = ledger.transaction()?;
    let mut wanted = chosen.wanted(&snapshot)?;
    if wanted.books == [Book::Water] {
        let text =
            "--carrier is water, wanted one of kWh and carbon: electricity, natural_gas, heat or steam; `nengtan savings show` has water";
        return Err(CliError::Usage(text.to_owned()));
    }
    if wanted.books.is_empty() {
        wanted.books = IN_KWH.to_vec();
    }
    let changed = changes(&snapshot, &wanted, arguments.by)?;
    let labels = Labels::read(&snapshot)?;
    let mut table = Table::new(&COLUMNS);
    for Changed { row, parts } in &changed {
        for (stretch, change) in parts {
            table.rows.extend(lines(&labels.head(&row.entity, row.load.book.carrier().as_str(), *stretch), change));
        }
    }
    if chosen.entity.is_empty() {
        let added: Vec<&Changed> = changed.iter().filter(|changed| !changed.row.made_inside).collect();
        for (stretch, change) in whole(&added, arguments.by) {
            table.rows.extend(lines(&labels.head(&labels.zone, ALL_CARRIERS, stretch), &change));
        }
    }
    Ok(output::print(&table, chosen.output)?)
}

/// Sums over loads. Their baselines may end on different days: the total's stretch is all of theirs.
fn whole(added: &[&Changed], by: By) -> BTreeMap<(Millis, Millis), Change> {
    let stretches = || added.iter().flat_map(|changed| changed.parts.keys());
    let all = stretches().map(|(from, _)| *from).min().zip(stretches().map(|(_, to)| *to).max());
    let mut sums: BTreeMap<(Millis, Millis), Change> = BTreeMap::new();
    for (stretch, change) in added.iter().flat_map(|changed| &changed.parts) {
        let stretch = all.filter(|_| by == By::Total).unwrap_or(*stretch);
        sums.entry(stretch).or_default().add(change);
    }
    sums
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
