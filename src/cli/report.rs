//! `nengtan report`: the options; the figures are [`crate::report`]'s.

use super::{CliError, Reading, output};
use crate::report::{self, Wish};
use crate::store;

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// The zone against the rules of zero-carbon parks, and its key units.
    Park,
    /// Each factory with its lines and roofs against the rules of zero-carbon factories.
    Factory,
    /// Every source stream with quantity, factor and carbon.
    Inventory,
}

#[derive(clap::Args)]
pub struct Arguments {
    kind: Kind,
    /// The local year [default: the last one with data].
    #[arg(long)]
    year: Option<i16>,
    /// Id or name of an entity, or the zone's id; may be given several times.
    #[arg(long)]
    entity: Vec<String>,
    #[command(flatten)]
    reading: Reading,
}

pub fn execute(arguments: &Arguments) -> Result<(), CliError> {
    let ledger = store::open_to_read(&arguments.reading.data)?;
    let wish = Wish { year: arguments.year, entities: arguments.entity.clone() };
    let table = match arguments.kind {
        Kind::Park => report::park(&ledger, &wish)?,
        Kind::Factory => report::factory(&ledger, &wish)?,
        Kind::Inventory => report::inventory::inventory(&ledger, &wish)?,
    };
    Ok(output::print(&table, arguments.reading.output)?)
}
