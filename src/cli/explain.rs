//! `nengtan explain`: the options; the chain is [`crate::explain`]'s.

use std::path::PathBuf;

use super::{CliError, DATA_DEFAULT, output};
use crate::explain::{explain, tree::tree};
use crate::store;

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Shape {
    Tree,
    Json,
}

#[derive(clap::Args)]
pub struct Arguments {
    /// Id or name of an entity, or the zone's id.
    #[arg(long)]
    entity: String,
    /// A moment in the interval: a date, a local time, or a time with offset.
    #[arg(long, value_name = "T")]
    at: String,
    /// Figures as they were known at this moment of the engine's clock.
    #[arg(long, value_name = "DATE")]
    as_known_on: Option<String>,
    #[arg(long, value_enum, default_value_t = Shape::Tree)]
    output: Shape,
    /// The folder of the ledger.
    #[arg(long, value_name = "DIR", default_value = DATA_DEFAULT)]
    data: PathBuf,
}

pub fn execute(arguments: &Arguments) -> Result<(), CliError> {
    let ledger = store::open_to_read(&arguments.data)?;
    let explanation = explain(&ledger, &arguments.entity, &arguments.at, arguments.as_known_on.as_deref())?;
    let text = match arguments.output {
        Shape::Tree => tree(&explanation),
        Shape::Json => serde_json::to_string_pretty(&explanation).map_err(anyhow::Error::from)?,
    };
    Ok(output::line(text.trim_end())?)
}
