//! `nengtan savings exclude` and `nengtan savings adjust`.

use super::claims::Chosen;
use super::{CliError, asked, output};
use crate::claiming;
use crate::claims::fit::{self, Wanted};
use crate::domain::calendar::Span;
use crate::domain::units::Millis;
use crate::store::read::{Cell, Table};
use crate::store::savings::{self, Adjustment, LoadRow};
use crate::store::{self, StoreError};
use crate::wire::encode::rfc3339;

#[derive(clap::Args)]
pub struct ExcludeArguments {
    #[command(flatten)]
    chosen: Chosen,
    /// Why; it stays on record.
    #[arg(long)]
    reason: String,
}

#[derive(clap::Args)]
pub struct AdjustArguments {
    #[command(flatten)]
    chosen: Chosen,
    /// Added to the baseline of each hour, kW; negative for what is used no more.
    #[arg(long, allow_negative_numbers = true)]
    kw: f64,
    /// Why; it stays on record.
    #[arg(long)]
    reason: String,
}

pub fn exclude(arguments: &ExcludeArguments) -> Result<(), CliError> {
    keep(&arguments.chosen, None, &arguments.reason)
}

pub fn adjust(arguments: &AdjustArguments) -> Result<(), CliError> {
    if !arguments.kw.is_finite() {
        return Err(CliError::Usage(format!("--kw is {}, wanted a number; correct it", arguments.kw)));
    }
    keep(&arguments.chosen, Some(arguments.kw), &arguments.reason)
}

fn keep(chosen: &Chosen, kwh_per_hour: Option<f64>, reason: &str) -> Result<(), CliError> {
    let ledger = store::open_to_read(&chosen.data)?;
    let wanted = chosen.wanted(&ledger)?;
    let loads = fit::loads(&ledger, &wanted)?;
    let span = asked(chosen, &wanted, &loads, kwh_per_hour.is_some(), reason)?;
    let as_of = savings::newest(&ledger)?.unwrap_or(span.start);
    let zone = crate::claims::inputs::time_zone(&ledger)?;
    let mut table = Table::new(&["entity", "carrier", "from", "to", "kw", "reason"]);
    let mut said = Vec::new();
    for LoadRow { load, entity, .. } in loads {
        let adjustment = Adjustment { load, span, kwh_per_hour, reason: reason.to_owned() };
        said.push(claiming::adjustment(&adjustment, as_of).map_err(|error| CliError::Failure(error.into()))?);
        let at = |at: Millis| Cell::from(rfc3339(at, &zone));
        let (from, to) = (at(span.start), at(span.end));
        table.rows.push(vec![entity.into(), load.book.carrier().as_str().into(), from, to, kwh_per_hour.into(), reason.into()]);
    }
    asked::keep(&chosen.data, claiming::ADJUSTMENT, &said)?;
    asked::predict(&chosen.data)?;
    Ok(output::print(&table, chosen.output)?)
}

/// The span, if the command says all that goes on record.
fn asked(chosen: &Chosen, wanted: &Wanted, loads: &[LoadRow], one: bool, reason: &str) -> Result<Span, CliError> {
    let usage = |text: &str| Err(CliError::Usage(text.to_owned()));
    let (Some(start), Some(end)) = (wanted.from, wanted.to) else {
        return usage("wanted --from and --to, the hours it is about; name them");
    };
    if chosen.entity.is_empty() {
        return usage("wanted --entity, whose hours they are; name it");
    }
    if reason.trim().is_empty() {
        return usage("--reason is empty, wanted what happened; say it");
    }
    match loads.len() {
        0 => usage("the entity has no load of this carrier; `nengtan savings show` lists the loads"),
        1 => Ok(Span { start, end }),
        _ if one => usage("the entity has several carriers, wanted the one that the kW are of; name it with --carrier"),
        _ => Ok(Span { start, end }),
    }
}

impl From<rusqlite::Error> for CliError {
    fn from(error: rusqlite::Error) -> CliError {
        StoreError::from(error).into()
    }
}
