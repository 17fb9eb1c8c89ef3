//! The command line.
//!
//! Exit codes: 0 done, 1 run-time failure, 2 usage or configuration, 3 a verification did not hold.

mod adjust;
mod asked;
mod broker;
mod change;
mod claims;
mod collect;
#[cfg(feature = "demo")]
mod demo;
#[cfg(feature = "demo")]
mod dispatch;
mod explain;
mod export;
mod influx;
mod output;
#[cfg(feature = "demo")]
mod promise;
mod rank;
mod regulate;
mod report;
mod restate;
mod savings;
mod show;
#[cfg(feature = "demo")]
mod trial;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use tokio::sync::watch;

use output::Format;

use crate::config::check;
use crate::config::fault::Fault;
use crate::export::ExportError;
use crate::show::ShowError;
use crate::store::{self, StoreError};
use crate::verify::{self, VerifyError};

/// The folder of the ledger, unless `--data` names another.
const DATA_DEFAULT: &str = "nengtan-data";
/// The truth that `demo` leaves in its data folder.
const TRUTH_NAME: &str = "truth.jsonl";

/// Watches the energy and carbon of a city zone (能碳).
#[derive(Parser)]
#[command(version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Play a city zone with no other service: broker, store, simulated fleet and collector in one process.
    #[cfg(feature = "demo")]
    Demo(demo::Arguments),
    /// Collect the readings of a zone from a broker.
    Collect(collect::Arguments),
    /// Check a zone folder and report every fault in it.
    Check(CheckArguments),
    /// Run a read-only SQL statement over the ledger's views (energy, carbon, reading, alert, meter and more).
    Query(QueryArguments),
    /// Show energy, carbon, cost, demand, alerts, meters, data quality or refusals.
    #[command(subcommand)]
    Show(show::Subject),
    /// Rank the entities by energy, carbon, cost, or what could be avoided, each with the reason for its place.
    Rank(rank::Arguments),
    /// Zero-carbon park and factory indicators, or the inventory of emissions, of one year.
    Report(report::Arguments),
    /// Show where an entity's carbon at a moment comes from: factors, meters, intervals, readings.
    Explain(explain::Arguments),
    /// Write measurements into CSV or Parquet files for other programs.
    Export(export::Arguments),
    /// Recompute carbon, standard coal and cost with the zone folder's present factors and tariff; the old figures stay readable with --as-known-on.
    Restate(restate::Arguments),
    /// Watch and steer what assets are told: status, stop, override, approve.
    Regulate(regulate::Arguments),
    /// Who asked what of which asset, why, and with which outcome.
    #[command(subcommand)]
    Audit(regulate::Audit),
    /// Copy a data folder's ledger as of one moment, while its collector runs or not.
    Backup(BackupArguments),
    /// Prepare the InfluxDB that collect and demo write to.
    Influx(influx::Arguments),
    /// Savings against a weather-adjusted baseline.
    Savings(savings::Arguments),
    /// Play a zone's year twice, with measures and without, and hold the savings claimed against the true ones.
    #[cfg(feature = "demo")]
    Trial(trial::Arguments),
    /// Play a zone's batteries, charging, work that may wait and heat pumps under three strategies (greedy, by the tariff, planned ahead), and the bill that no strategy undercuts.
    #[cfg(feature = "demo")]
    Dispatch(dispatch::Arguments),
    /// Hold the ledger against the fleet's truth.
    Verify(VerifyArguments),
}

#[derive(Args)]
struct CheckArguments {
    /// The zone's folder.
    #[arg(long, value_name = "DIR", default_value = "config/zones/qingdao-hightech")]
    zone: PathBuf,
    /// Also prove the services that collect needs: the broker with login, access list and queues; InfluxDB, where one is named, with organisation, bucket and token.
    #[arg(long)]
    online: bool,
    #[command(flatten)]
    broker: broker::BrokerFlags,
    #[command(flatten)]
    services: influx::Services,
}

#[derive(Args)]
struct Reading {
    /// The folder of the ledger.
    #[arg(long, value_name = "DIR", default_value = DATA_DEFAULT)]
    data: PathBuf,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    output: Format,
}

#[derive(Args)]
struct QueryArguments {
    /// For example: `SELECT entity, SUM(kwh) FROM energy_month GROUP BY entity`
    #[arg(required_unless_present = "flux")]
    sql: Option<String>,
    /// A Flux script for InfluxDB instead, run on the server.
    #[arg(long, value_name = "SCRIPT", conflicts_with = "sql")]
    flux: Option<String>,
    #[command(flatten)]
    services: influx::Services,
    #[command(flatten)]
    reading: Reading,
}

#[derive(Args)]
struct BackupArguments {
    /// The folder of the ledger.
    #[arg(long, value_name = "DIR", default_value = DATA_DEFAULT)]
    data: PathBuf,
    /// The folder for the copy; a collector goes on from it with --data.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
}

#[derive(Args)]
struct VerifyArguments {
    /// The fleet's truth; the file that `demo` leaves in the data folder, unless named.
    #[arg(long, value_name = "FILE")]
    truth: Option<PathBuf>,
    #[command(flatten)]
    reading: Reading,
}

/// How a command failed, by exit code.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Configuration(Vec<Fault>),
    #[error("{0}")]
    Usage(String),
    #[error("{0:#}")]
    Failure(#[from] anyhow::Error),
}

impl From<std::io::Error> for CliError {
    fn from(error: std::io::Error) -> CliError {
        CliError::Failure(error.into())
    }
}

impl From<StoreError> for CliError {
    fn from(error: StoreError) -> CliError {
        match error {
            StoreError::NoLedger { .. }
            | StoreError::NotReadOnly
            | StoreError::Version { .. }
            | StoreError::OtherZone { .. }
            | StoreError::LogLeft { .. }
            | StoreError::Occupied { .. } => CliError::Usage(error.to_string()),
            StoreError::Locked { .. }
            | StoreError::Folder { .. }
            | StoreError::Sqlite(_)
            | StoreError::Damaged(_)
            | StoreError::Outbox { .. }
            | StoreError::Overflow { .. }
            | StoreError::Chunk { .. } => CliError::Failure(error.into()),
        }
    }
}

impl From<ShowError> for CliError {
    fn from(error: ShowError) -> CliError {
        match error {
            ShowError::Store(error) => error.into(),
            ShowError::Time { .. }
            | ShowError::EmptyRange
            | ShowError::BehindTheLast { .. }
            | ShowError::UnknownEntity { .. }
            | ShowError::NoResidual { .. }
            | ShowError::NoData { .. }
            | ShowError::NoDataYet
            | ShowError::NoLongerKept { .. }
            | ShowError::Year { .. } => CliError::Usage(error.to_string()),
        }
    }
}

impl From<ExportError> for CliError {
    fn from(error: ExportError) -> CliError {
        match error {
            ExportError::Show(error) => error.into(),
            ExportError::Store(error) => error.into(),
            ExportError::NoParquet => CliError::Usage(error.to_string()),
            ExportError::File { .. } | ExportError::Type { .. } => CliError::Failure(error.into()),
        }
    }
}

impl From<VerifyError> for CliError {
    fn from(error: VerifyError) -> CliError {
        match error {
            VerifyError::Store(error) => error.into(),
            VerifyError::Unreadable { .. } | VerifyError::Malformed { .. } | VerifyError::Incomplete { .. } => {
                CliError::Usage(error.to_string())
            }
        }
    }
}

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match execute(cli.command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("nengtan: {error}");
            match error {
                CliError::Configuration(_) | CliError::Usage(_) => ExitCode::from(2),
                CliError::Failure(_) => ExitCode::FAILURE,
            }
        }
    }
}

fn execute(command: Command) -> Result<ExitCode, CliError> {
    match command {
        #[cfg(feature = "demo")]
        Command::Demo(arguments) => demo::execute(arguments)?,
        Command::Collect(arguments) => collect::execute(arguments)?,
        Command::Check(arguments) => check(&arguments)?,
        Command::Query(arguments) => query(&arguments)?,
        Command::Show(subject) => show::execute(&subject)?,
        Command::Rank(arguments) => rank::execute(&arguments)?,
        Command::Report(arguments) => report::execute(&arguments)?,
        Command::Explain(arguments) => explain::execute(&arguments)?,
        Command::Export(arguments) => export::execute(&arguments)?,
        Command::Restate(arguments) => restate::execute(&arguments)?,
        Command::Regulate(arguments) => regulate::execute(&arguments)?,
        Command::Audit(subject) => return regulate::audit(&subject),
        Command::Backup(arguments) => {
            let bytes = store::backup::backup(&arguments.data, &arguments.to)?;
            output::line(&format!("{bytes} bytes in {}", arguments.to.display()))?;
        }
        Command::Influx(arguments) => influx::execute(arguments)?,
        Command::Savings(arguments) => savings::execute(&arguments)?,
        #[cfg(feature = "demo")]
        Command::Trial(arguments) => return trial::execute(&arguments),
        #[cfg(feature = "demo")]
        Command::Dispatch(arguments) => dispatch::execute(&arguments)?,
        Command::Verify(arguments) => return verify(&arguments),
    }
    Ok(ExitCode::SUCCESS)
}

fn check(arguments: &CheckArguments) -> Result<(), CliError> {
    output::line(check::check(&arguments.zone).map_err(CliError::Configuration)?.trim_end())?;
    if !arguments.online {
        return Ok(());
    }
    let settings = arguments.services.load(&arguments.broker.settings())?;
    let zone = zone_folder(&arguments.zone)?;
    let broker = broker::prove(&settings, zone.zone.id());
    let influx = settings.influx.as_ref().map(influx::prove);
    let mut failed = None;
    for proof in [Some(broker), influx].into_iter().flatten() {
        match proof {
            Ok(told) => output::line(&told)?,
            // One that does not hold must not hide the other.
            Err(error) => failed.replace(error).iter().for_each(|earlier| eprintln!("nengtan: {earlier}")),
        }
    }
    failed.map_or(Ok(()), Err)
}

fn query(arguments: &QueryArguments) -> Result<(), CliError> {
    let sql = match (&arguments.flux, &arguments.sql) {
        (Some(script), _) => return influx::flux(&arguments.services, script, arguments.reading.output),
        (None, sql) => sql.as_deref().unwrap_or_default(),
    };
    let ledger = store::open_to_read(&arguments.reading.data)?;
    let mut printer = output::Printer::new(arguments.reading.output);
    let ran = store::read::each_row(&ledger, sql, &[], |columns, row| printer.take(columns, row));
    ran.map_err(|error| match error {
        StoreError::Sqlite(cause) => CliError::Usage(format!(
            "query: {cause}; wanted one read-only SQL statement over the views, `nengtan query \"SELECT name, sql FROM sqlite_master WHERE type = 'view'\"` shows them"
        )),
        other => other.into(),
    })?;
    Ok(printer.finish()?)
}

fn verify(arguments: &VerifyArguments) -> Result<ExitCode, CliError> {
    let data = &arguments.reading.data;
    let truth = arguments.truth.clone().unwrap_or_else(|| data.join(TRUTH_NAME));
    let verification = verify::verify(data, &truth)?;
    output::print(&verification.table(), arguments.reading.output)?;
    if verification.holds() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("nengtan: the ledger does not hold against the truth");
    Ok(ExitCode::from(3))
}

fn zone_folder(folder: &Path) -> Result<crate::config::zone_folder::ZoneFolder, CliError> {
    crate::config::zone_folder::load(folder).map_err(CliError::Configuration)
}

fn start_log(level: &str, json: bool) {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(format!("warn,nengtan={level}")));
    // Colours would tear alert lines apart for whoever greps a file.
    let ansi = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(ansi).with_writer(std::io::stderr);
    if json { log.json().flatten_event(true).init() } else { log.init() }
}

/// Becomes true at the first Ctrl-C or SIGTERM.
fn stop_signal() -> std::io::Result<watch::Receiver<bool>> {
    let (stopper, stop) = watch::channel(false);
    let mut terminated = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let mut interrupted = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminated.recv() => {}
            _ = interrupted.recv() => {}
        }
        stopper.send_replace(true);
        // Keep the channel: a closed one would read as no wish to stop.
        stopper.closed().await;
    });
    Ok(stop)
}
