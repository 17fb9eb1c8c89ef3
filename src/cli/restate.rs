//! `nengtan restate`.

use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressStyle};

use super::{CliError, asked, output, zone_folder};
use crate::collector::wall_now;
use crate::domain::units::Millis;
use crate::engine::{Engine, EngineError};
use crate::restating;
use crate::show::moment;
use crate::store::read::{Cell, Table};
use crate::store::request::Asker;
use crate::store::{self, StoreError};
use crate::wire::encode::rfc3339;

/// How many slices in a thousand steps the progress bar shows.
const PROGRESS_STEPS: f64 = 1000.0;

#[derive(clap::Args)]
pub struct Arguments {
    /// From this hour on: a date, a local time, or a time with offset.
    #[arg(long)]
    from: String,
    /// Before this hour (exclusive); without it, to the end of the last year with data.
    #[arg(long)]
    to: Option<String>,
    /// The zone's folder, with the factors and the tariff to restate with. A running collector reads its own folder again.
    #[arg(long, value_name = "DIR", default_value = "config/zones/qingdao-hightech")]
    zone: PathBuf,
    #[command(flatten)]
    reading: super::Reading,
}

pub fn execute(arguments: &Arguments) -> Result<(), CliError> {
    let data = &arguments.reading.data;
    // Says so where there is no ledger; the engine would make one.
    drop(store::open_to_read(data)?);
    let folder = zone_folder(&arguments.zone)?;
    let tz = folder.zone.profile().time_zone.clone();
    let from = moment("--from", &arguments.from, &tz)?;
    let to = arguments.to.as_deref().map(|text| moment("--to", text, &tz)).transpose()?;
    let opened = Engine::open(data, folder.zone, (folder.factors, folder.tariff), folder.alert_rules, wall_now());
    let summary = match opened {
        Ok(mut engine) => here(&mut engine, from, to)?,
        Err(EngineError::Store(StoreError::Locked { .. })) => by_the_collector(data, from, to)?,
        Err(EngineError::Store(error)) => return Err(error.into()),
        Err(error) => return Err(CliError::Failure(error.into())),
    };
    let Some([from, to, recorded, intervals, changed]) = restating::read_summary(&summary) else {
        return Err(CliError::Failure(anyhow::anyhow!("the collector's answer {summary:?} is none this command knows; use its version")));
    };
    let mut table = Table::new(&["from", "to", "recorded_at", "intervals", "changed_intervals"]);
    let at = |ms| Cell::Text(rfc3339(Millis(ms), &tz));
    table.rows.push(vec![at(from), at(to), at(recorded), Cell::Integer(intervals), Cell::Integer(changed)]);
    Ok(output::print(&table, arguments.reading.output)?)
}

fn here(engine: &mut Engine, from: Millis, to: Option<Millis>) -> Result<String, CliError> {
    let failed = |error: EngineError| CliError::Failure(error.into());
    let begun = engine.begin_restatement(from, to).map_err(failed)?;
    let mut restatement = begun.map_err(|error| CliError::Usage(format!("restate: {error}")))?;
    let style = ProgressStyle::with_template("restating {bar:40} {percent} %").unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(PROGRESS_STEPS as u64).with_style(style);
    while !restatement.is_done() {
        engine.restate_slice(&mut restatement).map_err(failed)?;
        bar.set_position((restatement.progress() * PROGRESS_STEPS) as u64);
    }
    bar.finish_and_clear();
    Ok(restating::summary(&restatement))
}

fn by_the_collector(data: &Path, from: Millis, to: Option<Millis>) -> Result<String, CliError> {
    let asker = Asker::ask(data, restating::RESTATE, &restating::arguments(from, to))?;
    let answer = asked::answer(&asker, data)?.unwrap_or_else(|| Err("the collector has ended meanwhile; say it again".to_owned()));
    answer.map_err(|reason| CliError::Usage(format!("restate: {reason}")))
}
