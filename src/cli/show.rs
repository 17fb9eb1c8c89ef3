//! `nengtan show`: the options of each subject, so that one that has no meaning for it is refused; the tables are [`crate::show`]'s.

use super::{CliError, Reading, output};
use crate::show::{By, Selection, allocation, books, cost, demand, lists, residuals};
use crate::store;

#[derive(clap::Subcommand)]
pub enum Subject {
    /// Quantity of each entity and carrier.
    Energy(Figures),
    /// Carbon of each entity by scope, method and source stream.
    Carbon(Figures),
    /// What is bought and what it costs, by band; by month with demand charge and power factor adjustment as lines of their own.
    Cost(Cost),
    /// The highest 15-minute mean of each month, of entities and of their entry meters, kW.
    Demand(Demand),
    /// What the meters below each meter leave over, and what is lost in making heat, steam and cold.
    Residuals(Cut),
    /// What tenants bear of shared meters, by the shares of allocations.csv.
    Allocation(Cut),
    /// Alerts raised, the newest first.
    Alerts(Listed),
    /// Meters and their newest values.
    Meters(Meters),
    /// How good each register's data are.
    Quality(Listed),
    /// What was refused, by reason, and what came in, by kind.
    Refusals(Refusals),
}

#[derive(clap::Args)]
struct Entities {
    /// Id or name of an entity, or the zone's id; may be given several times.
    #[arg(long)]
    entity: Vec<String>,
}

#[derive(clap::Args)]
struct Range {
    /// From this moment on: a date, a local time, or a time with offset.
    #[arg(long)]
    from: Option<String>,
    /// Before this moment (exclusive).
    #[arg(long)]
    to: Option<String>,
}

#[derive(clap::Args)]
struct Known {
    /// As it was known at this moment: without later corrections, with the factors and prices of then.
    #[arg(long, value_name = "TIME")]
    as_known_on: Option<String>,
}

#[derive(clap::Args)]
pub struct Figures {
    #[command(flatten)]
    entities: Entities,
    #[command(flatten)]
    range: Range,
    #[arg(long, value_enum, default_value_t = By::Total)]
    by: By,
    #[command(flatten)]
    known: Known,
    #[command(flatten)]
    reading: Reading,
}

#[derive(clap::Args)]
pub struct Cost {
    #[command(flatten)]
    figures: Figures,
    /// The bill of each site, an entity that is part of no other one with all below it (lines, roofs), as its supplier makes it; otherwise each entity has
    /// what it bought less what it passed on. The column `extent` says which.
    #[arg(long)]
    site: bool,
}

#[derive(clap::Args)]
pub struct Demand {
    #[command(flatten)]
    entities: Entities,
    #[command(flatten)]
    range: Range,
    #[command(flatten)]
    known: Known,
    #[command(flatten)]
    reading: Reading,
}

#[derive(clap::Args)]
pub struct Cut {
    #[command(flatten)]
    entities: Entities,
    #[command(flatten)]
    range: Range,
    #[arg(long, value_enum, default_value_t = By::Total)]
    by: By,
    #[command(flatten)]
    reading: Reading,
}

#[derive(clap::Args)]
pub struct Listed {
    #[command(flatten)]
    entities: Entities,
    #[command(flatten)]
    range: Range,
    #[command(flatten)]
    reading: Reading,
}

#[derive(clap::Args)]
pub struct Meters {
    #[command(flatten)]
    entities: Entities,
    #[command(flatten)]
    reading: Reading,
}

#[derive(clap::Args)]
pub struct Refusals {
    #[command(flatten)]
    reading: Reading,
}

fn selection(entities: &Entities, range: Option<&Range>, known: Option<&Known>) -> Selection {
    Selection {
        entities: entities.entity.clone(),
        from: range.and_then(|range| range.from.clone()),
        to: range.and_then(|range| range.to.clone()),
        as_known_on: known.and_then(|known| known.as_known_on.clone()),
    }
}

impl Figures {
    fn selection(&self) -> Selection {
        selection(&self.entities, Some(&self.range), Some(&self.known))
    }
}

impl Subject {
    fn reading(&self) -> &Reading {
        match self {
            Subject::Energy(of) | Subject::Carbon(of) => &of.reading,
            Subject::Cost(of) => &of.figures.reading,
            Subject::Demand(of) => &of.reading,
            Subject::Residuals(of) | Subject::Allocation(of) => &of.reading,
            Subject::Alerts(of) | Subject::Quality(of) => &of.reading,
            Subject::Meters(of) => &of.reading,
            Subject::Refusals(of) => &of.reading,
        }
    }
}

pub fn execute(subject: &Subject) -> Result<(), CliError> {
    let reading = subject.reading();
    let ledger = store::open_to_read(&reading.data)?;
    let table = match subject {
        Subject::Energy(of) => books::energy(&ledger, &of.selection(), of.by)?,
        Subject::Carbon(of) => books::carbon(&ledger, &of.selection(), of.by)?,
        Subject::Cost(of) => {
            let extent = if of.site { cost::Extent::Site } else { cost::Extent::Entity };
            cost::cost(&ledger, &of.figures.selection(), of.figures.by, extent)?
        }
        Subject::Demand(of) => demand::demand(&ledger, &selection(&of.entities, Some(&of.range), Some(&of.known)))?,
        Subject::Residuals(of) => residuals::residuals(&ledger, &selection(&of.entities, Some(&of.range), None), of.by)?,
        Subject::Allocation(of) => allocation::allocation(&ledger, &selection(&of.entities, Some(&of.range), None), of.by)?,
        Subject::Alerts(of) => lists::alerts(&ledger, &selection(&of.entities, Some(&of.range), None))?,
        Subject::Meters(of) => lists::meters(&ledger, &selection(&of.entities, None, None))?,
        Subject::Quality(of) => lists::quality(&ledger, &selection(&of.entities, Some(&of.range), None))?,
        Subject::Refusals(_) => lists::refusals(&ledger)?,
    };
    let first: &[&str] = match subject {
        Subject::Alerts(_) => &["rule", "subject", "state", "since", "cleared", "value", "limit"],
        Subject::Meters(_) => &["meter", "item", "entity", "latest_at", "latest_value", "unit"],
        Subject::Energy(_)
        | Subject::Carbon(_)
        | Subject::Cost(_)
        | Subject::Demand(_)
        | Subject::Residuals(_)
        | Subject::Allocation(_)
        | Subject::Quality(_)
        | Subject::Refusals(_) => &[],
    };
    Ok(output::print_first(&table, reading.output, first)?)
}
