//! `nengtan trial`: the options and the tables; the work is in [`crate::trial`].

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};

use super::output::{self, Format};
use super::{CliError, promise, start_log, zone_folder};
use crate::engine::EngineError;
use crate::store::read::{Cell, Table};
use crate::trial::judge::{self, Judged};
use crate::trial::{self, Trial, TrialError, TrialOptions};

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Switch {
    On,
    Off,
}

#[derive(clap::Args)]
pub struct Arguments {
    /// The zone's folder.
    #[arg(long, value_name = "DIR", default_value = "config/zones/qingdao-hightech")]
    zone: PathBuf,
    /// The same seed plays the same years.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Months that baselines are fitted to.
    #[arg(long, value_name = "MONTHS", default_value_t = 12, value_parser = clap::value_parser!(u32).range(4..=12))]
    baseline: u32,
    /// What is tried: the commands of the engine and the programme's assets, or the measures of `fleet.toml`.
    #[arg(long, value_enum, default_value_t = Switch::Off)]
    regulation: Switch,
    /// Months with measures or regulation after them.
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=12))]
    months: u32,
    /// Judge so many entities, evenly from the zone's list [default: all].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    entities: Option<u32>,
    /// Keep the ledgers and truths of both runs in this folder, which must have none.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Write each load's claim and truth here, the zone last.
    #[arg(long, value_name = "FILE.csv")]
    loads: Option<PathBuf>,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    output: Format,
}

impl From<TrialError> for CliError {
    fn from(error: TrialError) -> CliError {
        match error {
            TrialError::Folder(faults) => CliError::Configuration(faults),
            TrialError::WallClock { .. } | TrialError::Ground(_) => CliError::Usage(error.to_string()),
            TrialError::Fleet(ref fleet) if fleet.is_configuration() => CliError::Usage(error.to_string()),
            TrialError::Store(error) | TrialError::Engine(EngineError::Store(error)) => error.into(),
            TrialError::Verify(error) => error.into(),
            TrialError::Claim(error) => error.into(),
            TrialError::Fleet(_) | TrialError::Engine(_) | TrialError::Dispatch(_) | TrialError::Truth { .. } => {
                CliError::Failure(error.into())
            }
        }
    }
}

pub fn execute(arguments: &Arguments) -> Result<ExitCode, CliError> {
    start_log("warn", false);
    let zone_id = zone_folder(&arguments.zone)?.zone.id().to_owned();
    let work = arguments.keep.clone().unwrap_or_else(|| std::env::temp_dir().join(format!("nengtan-trial-{}", std::process::id())));
    if work.exists() && std::fs::read_dir(&work)?.next().is_some() {
        return Err(CliError::Usage(format!("{} holds something already; give an empty folder with --keep", work.display())));
    }
    let options = TrialOptions {
        zone: arguments.zone.clone(),
        seed: arguments.seed,
        baseline_months: arguments.baseline,
        months: arguments.months,
        regulation: arguments.regulation == Switch::On,
        entities: arguments.entities.map(|entities| entities as usize),
        data: work.clone(),
    };
    let bar = progress_bar();
    let tried = trial::run(&options, |played, days| {
        bar.set_length(days);
        bar.set_position(played);
    });
    bar.finish_and_clear();
    if arguments.keep.is_none() && work.exists() {
        std::fs::remove_dir_all(&work)?;
    }
    let tried = tried?;
    for (load, reason) in &tried.refused {
        eprintln!("nengtan: {load} has no baseline: {reason}");
    }
    if let Some(path) = &arguments.loads {
        write_loads(path, &loads(arguments.seed, &tried.judged, &zone_id))?;
    }
    let table = match &tried.regulated {
        Some(regulated) => promise::table(&tried, regulated, (&zone_id, arguments.entities.is_none())),
        None => summary(arguments, &tried, &zone_id)?,
    };
    let is_upright = arguments.output == Format::Table && tried.regulated.is_none();
    output::print(&if is_upright { output::upright(&table) } else { table }, arguments.output)?;
    if tried.holds() {
        return Ok(tried.regulated.as_ref().map_or(ExitCode::SUCCESS, promise::judged));
    }
    for (run, verification) in [trial::MEASURED, trial::UNMEASURED].iter().zip(&tried.verified) {
        for finding in verification.findings.iter().filter(|finding| finding.failed > 0) {
            eprintln!("nengtan: {run}: {}: {}", finding.check, finding.detail);
        }
    }
    eprintln!("nengtan: the ledgers do not hold against the truth, so the trial judges nothing");
    Ok(ExitCode::from(3))
}

fn progress_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("trial {bar:40} {pos}/{len} days, {eta} left");
    ProgressBar::no_length().with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn pct(share: f64) -> Cell {
    Cell::Real(100.0 * share)
}

fn summary(arguments: &Arguments, tried: &Trial, zone_id: &str) -> Result<Table, CliError> {
    let zone = judge::zone(&tried.judged, zone_id);
    let Some(seen) = judge::summary(&tried.judged) else {
        return Err(CliError::Failure(anyhow::anyhow!("no load of the zone has a baseline, so there is nothing to judge")));
    };
    let share = |kwh: f64| pct(kwh / zone.without_kwh.abs());
    let count = |count: usize| Cell::Integer(i64::try_from(count).unwrap_or(i64::MAX));
    let cells: [(&str, Cell); 18] = [
        ("seed", Cell::Integer(arguments.seed.cast_signed())),
        ("months", Cell::Integer(arguments.months.into())),
        ("verified", Cell::Boolean(tried.holds())),
        ("loads", count(tried.judged.len())),
        ("refused", count(tried.refused.len())),
        ("zone_used_kwh", Cell::Real(zone.without_kwh)),
        ("zone_true_pct", share(zone.true_kwh())),
        ("zone_claimed_pct", share(zone.claimed_kwh)),
        ("zone_bias_pct", pct(zone.error())),
        ("zone_half_width_pct", pct(zone.half_width())),
        ("zone_covered", Cell::Boolean(zone.covered())),
        ("median_error_pct", pct(seen.median_error)),
        ("p90_error_pct", pct(seen.p90_error)),
        ("coverage_pct", pct(seen.coverage)),
        ("median_half_width_pct", pct(seen.median_half_width)),
        ("placebos", count(seen.placebos)),
        ("significant_placebos", count(seen.significant_placebos)),
        ("significant_placebos_pct", pct(seen.significant_placebos as f64 / seen.placebos.max(1) as f64)),
    ];
    let (columns, row): (Vec<&str>, Vec<Cell>) = cells.into_iter().unzip();
    let mut table = Table::new(&columns);
    table.rows.push(row);
    Ok(table)
}

fn loads(seed: u64, judged: &[Judged], zone_id: &str) -> Table {
    let mut table = Table::new(&[
        "seed",
        "entity",
        "carrier",
        "used_kwh",
        "true_pct",
        "claimed_pct",
        "error_pct",
        "half_width_pct",
        "covered",
        "significant",
        "placebo",
        "cv_rmse",
    ]);
    let zone = judge::zone(judged, zone_id);
    for load in judged.iter().chain([&zone]) {
        let share = |kwh: f64| pct(kwh / load.without_kwh.abs());
        table.rows.push(vec![
            Cell::Integer(seed.cast_signed()),
            load.entity.as_str().into(),
            load.carrier.into(),
            Cell::Real(load.without_kwh),
            share(load.true_kwh()),
            share(load.claimed_kwh),
            pct(load.error()),
            pct(load.half_width()),
            Cell::Boolean(load.covered()),
            Cell::Boolean(load.significant()),
            Cell::Boolean(load.placebo()),
            load.cv_rmse.into(),
        ]);
    }
    table
}

fn write_loads(path: &Path, table: &Table) -> Result<(), CliError> {
    let written = std::fs::File::create(path).and_then(|created| output::write_csv(table, created));
    written.with_context(|| format!("cannot write {}", path.display())).map_err(CliError::Failure)
}
