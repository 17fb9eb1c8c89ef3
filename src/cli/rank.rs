//! `nengtan rank`: the options; the figures are [`crate::rank`]'s.

use super::{CliError, Reading, output};
use crate::rank::{self, By, RankError};
use crate::show::Selection;
use crate::store;

#[derive(clap::Args)]
pub struct Arguments {
    #[arg(long, value_enum, default_value_t = By::Avoidable)]
    by: By,
    /// Show only the first so many.
    #[arg(long)]
    top: Option<usize>,
    /// Id or name of an entity; may be given several times. Places are those among all.
    #[arg(long)]
    entity: Vec<String>,
    /// From this day on, a date [default: a year before the last reading].
    #[arg(long)]
    from: Option<String>,
    /// Before this day (exclusive).
    #[arg(long)]
    to: Option<String>,
    #[command(flatten)]
    reading: Reading,
}

impl From<RankError> for CliError {
    fn from(error: RankError) -> CliError {
        match error {
            RankError::Show(error) => error.into(),
            RankError::Claim(error) => error.into(),
        }
    }
}

pub fn execute(arguments: &Arguments) -> Result<(), CliError> {
    let mut ledger = store::open_to_read(&arguments.reading.data)?;
    let snapshot = ledger.transaction()?;
    let selection =
        Selection { entities: arguments.entity.clone(), from: arguments.from.clone(), to: arguments.to.clone(), as_known_on: None };
    let mut table = rank::rank(&snapshot, &selection, arguments.by)?;
    table.rows.truncate(arguments.top.unwrap_or(usize::MAX));
    let first: &[&str] = match arguments.by {
        By::Energy => &["rank", "entity", "reason", "share_pct", "cumulative_pct", "tce_calorific", "avoidable_t_co2e"],
        By::Carbon => &["rank", "entity", "reason", "share_pct", "cumulative_pct", "t_co2e_location", "avoidable_t_co2e"],
        By::Cost => &["rank", "entity", "reason", "share_pct", "cumulative_pct", "cost_cny", "avoidable_t_co2e"],
        By::Avoidable => &["rank", "entity", "reason", "share_pct", "cumulative_pct", "avoidable_t_co2e"],
    };
    Ok(output::print_first(&table, arguments.reading.output, first)?)
}
