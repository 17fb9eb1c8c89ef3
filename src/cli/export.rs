//! `nengtan export`: the options; the files are [`crate::export`]'s.

use std::path::PathBuf;

use super::{CliError, Reading, output};
use crate::export::{Format, MEASUREMENTS, can_write, export};
use crate::show::Selection;
use crate::store;
use crate::store::read::{Cell, Table};

/// Stands for every measurement.
const ALL: &str = "all";

#[derive(clap::Args)]
pub struct Arguments {
    /// A measurement, or all; may be given several times. Those of parts are of residuals and virtual meters.
    #[arg(long, value_parser = clap::builder::PossibleValuesParser::new(MEASUREMENTS.into_iter().chain([ALL])), default_value = ALL)]
    measurement: Vec<String>,
    #[arg(long, value_enum)]
    format: Format,
    /// From this moment on: a date, a local time, or a time with offset.
    #[arg(long)]
    from: Option<String>,
    /// Before this moment (exclusive).
    #[arg(long)]
    to: Option<String>,
    /// The folder for the files, one for each measurement; made if it is missing. A file of the name is replaced.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    #[command(flatten)]
    reading: Reading,
}

pub fn execute(arguments: &Arguments) -> Result<(), CliError> {
    can_write(arguments.format)?;
    let ledger = store::open_to_read(&arguments.reading.data)?;
    std::fs::create_dir_all(&arguments.dir)?;
    let selection = Selection { from: arguments.from.clone(), to: arguments.to.clone(), ..Selection::default() };
    let mut table = Table::new(&["file", "rows"]);
    for measurement in MEASUREMENTS.into_iter().filter(|name| arguments.measurement.iter().any(|asked| asked == name || asked == ALL)) {
        let (file, rows) = export(&ledger, measurement, &selection, arguments.format, &arguments.dir)?;
        table.rows.push(vec![file.display().to_string().into(), Cell::Integer(i64::try_from(rows).unwrap_or(i64::MAX))]);
    }
    Ok(output::print(&table, arguments.reading.output)?)
}
