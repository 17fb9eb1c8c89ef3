//! `nengtan savings exclude` and `nengtan savings adjust`.

use super::claims::Chosen;
use super::{CliError, asked, output};
use crate::accounting::Book;
use crate::claiming;
use crate::claims::fit::{self, Wanted};
use crate::domain::calendar::Span;
use crate::domain::units::Millis;
use crate::store::read::{Cell, Table};
use crate::store::savings::{self, Adjustment, IN_KWH, LOADS, LoadRow};
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
    #[arg(long, allow_negative_numbers = true, conflicts_with = "m3_per_h")]
    kw: Option<f64>,
    /// The same of water, m³/h.
    #[arg(long, allow_negative_numbers = true)]
    m3_per_h: Option<f64>,
    /// Why; it stays on record.
    #[arg(long)]
    reason: String,
}

pub fn exclude(arguments: &ExcludeArguments) -> Result<(), CliError> {
    keep(&arguments.chosen, None, &arguments.reason)
}

/// What is added to the baseline of each hour, and the carriers that are counted in its unit.
type Added = (f64, &'static [Book]);

pub fn adjust(arguments: &AdjustArguments) -> Result<(), CliError> {
    let added: Added = match (arguments.kw, arguments.m3_per_h) {
        (Some(kw), _) => (kw, &IN_KWH),
        (None, Some(m3_per_h)) => (m3_per_h, &[Book::Water]),
        (None, None) => return Err(CliError::Usage("wanted what each hour has more: --kw, of water --m3-per-h; name it".to_owned())),
    };
    if !added.0.is_finite() {
        return Err(CliError::Usage(format!("{} is to be added, wanted a number; correct it", added.0)));
    }
    keep(&arguments.chosen, Some(added), &arguments.reason)
}

fn keep(chosen: &Chosen, added: Option<Added>, reason: &str) -> Result<(), CliError> {
    let ledger = store::open_to_read(&chosen.data)?;
    let mut wanted = chosen.wanted(&ledger)?;
    let books = added.map_or(&LOADS[..], |(_, books)| books);
    if wanted.books.is_empty() {
        wanted.books = books.to_vec();
    } else if !wanted.books.iter().all(|book| books.contains(book)) {
        return Err(CliError::Usage(
            "water is counted in m3 and all else in kWh; give --m3-per-h for water, --kw for any other carrier".to_owned(),
        ));
    }
    let loads = fit::loads(&ledger, &wanted)?;
    let span = asked(chosen, &wanted, &loads, added.is_some(), reason)?;
    let as_of = savings::newest(&ledger)?.unwrap_or(span.start);
    let zone = crate::claims::inputs::time_zone(&ledger)?;
    let kwh_per_hour = added.map(|(number, _)| number);
    let mut table = Table::new(&["entity", "carrier", "from", "to", "kw", "m3_per_h", "reason"]);
    let mut said = Vec::new();
    for LoadRow { load, entity, .. } in loads {
        let adjustment = Adjustment { load, span, kwh_per_hour, reason: reason.to_owned() };
        said.push(claiming::adjustment(&adjustment, as_of).map_err(|error| CliError::Failure(error.into()))?);
        let at = |at: Millis| Cell::from(rfc3339(at, &zone));
        let (from, to) = (at(span.start), at(span.end));
        let (kw, m3_per_h) = if load.book == Book::Water { (None, kwh_per_hour) } else { (kwh_per_hour, None) };
        table.rows.push(vec![entity.into(), load.book.carrier().as_str().into(), from, to, kw.into(), m3_per_h.into(), reason.into()]);
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
