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

#[derive(clap::Args)]
pub struct ChangeArguments {
    #[command(flatten)]
    chosen: Chosen,
    #[arg(long, value_enum, default_value_t = By::Total)]
    by: By,
}

const COLUMNS: [&str; 12] =
    ["entity", "name_en", "name_zh", "carrier", "from", "to", "line", "kwh", "kg_co2e", "m3", "hours", "hours_left_out"];

/// A line per effect; the zone, where no entity is named, last: all energy, then water.
pub fn change(arguments: &ChangeArguments) -> Result<(), CliError> {
    let chosen = &arguments.chosen;
    let mut ledger = store::open_to_read(&chosen.data)?;
    let snapshot = ledger.transaction()?;
    let changed = changes(&snapshot, &chosen.wanted(&snapshot)?, arguments.by)?;
    let labels = Labels::read(&snapshot)?;
    let mut table = Table::new(&COLUMNS);
    for Changed { row, parts } in &changed {
        for (stretch, change) in parts {
            table.rows.extend(lines(
                &labels.head(&row.entity, row.load.book.carrier().as_str(), *stretch),
                change,
                row.load.book == Book::Water,
            ));
        }
    }
    if chosen.entity.is_empty() {
        for (carrier, in_m3) in [(ALL_CARRIERS, false), (Book::Water.carrier().as_str(), true)] {
            let added = |changed: &&Changed| !changed.row.made_inside && (changed.row.load.book == Book::Water) == in_m3;
            for (stretch, change) in whole(&changed.iter().filter(added).collect::<Vec<_>>(), arguments.by) {
                table.rows.extend(lines(&labels.head(&labels.zone, carrier, stretch), &change, in_m3));
            }
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

/// Of water in m³, and without carbon.
fn lines(head: &[Cell], change: &Change, in_m3: bool) -> Vec<Vec<Cell>> {
    let count = |hours: usize| Cell::Integer(i64::try_from(hours).expect("a ledger has fewer hours"));
    let line = |(name, amount): (&'static str, Amount)| {
        let mut row = head.to_vec();
        let energy = [amount.kwh, amount.kg_co2e].map(|amount| if in_m3 { Cell::Null } else { Cell::Real(amount) });
        row.push(name.into());
        row.extend(energy);
        row.extend([if in_m3 { Cell::Real(amount.kwh) } else { Cell::Null }, count(change.hours), count(change.hours_left_out)]);
        row
    };
    change.lines().into_iter().map(line).collect()
}
