//! `nengtan regulate` and `nengtan audit`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::{CliError, asked, output, zone_folder};
use crate::collector::wall_now;
use crate::domain::assets::Mode;
use crate::engine::regulate::Wish;
use crate::engine::{Engine, EngineError};
use crate::operating::{self, OF_THE_FOLDER};
use crate::store::read::{self, Cell, Table};
use crate::store::request::Asker;
use crate::store::{self, StoreError, regulation};

#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    wish: Verb,
    /// The zone's folder; a running collector has its own.
    #[arg(long, global = true, value_name = "DIR", default_value = "config/zones/qingdao-hightech")]
    zone: PathBuf,
    /// Who asks, for the audit log; the user's name without it.
    #[arg(long, global = true, value_name = "NAME")]
    who: Option<String>,
    /// Why, for the audit log.
    #[arg(long, global = true, value_name = "TEXT", default_value = "")]
    why: String,
    /// The folder of the ledger.
    #[arg(long, global = true, value_name = "DIR", default_value = super::DATA_DEFAULT)]
    data: PathBuf,
    #[arg(long, global = true, value_enum, default_value_t = output::Format::Table)]
    output: output::Format,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// What each asset was told last, and what people have said about it.
    Status,
    /// Give every asset back to its plan, and decide nothing more until resumed.
    Stop,
    /// Decide again.
    Resume,
    /// Hold an asset at a set point, whatever the strategies want.
    Override {
        asset: String,
        /// In the asset's unit, within its limits.
        #[arg(allow_negative_numbers = true)]
        value: f64,
        /// For how long; a week at most.
        #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(i64).range(1..=crate::regulation::desk::HOLD_HOURS_MAX))]
        hours: i64,
    },
    /// Let go of an asset: back to its plan now, and then to the strategies.
    Release {
        /// Or `all`.
        asset: String,
    },
    /// Send what is proposed for an asset (mode approve).
    Approve {
        /// Or `all`.
        asset: String,
    },
    /// Change how far decisions for an asset go by themselves.
    Mode {
        /// Or `all`.
        asset: String,
        /// advise, approve, automatic, or folder for what assets.toml says.
        mode: String,
    },
}

pub fn execute(arguments: &Arguments) -> Result<(), CliError> {
    // Says so where there is no ledger; the engine would make one.
    let ledger = store::open_to_read(&arguments.data)?;
    let wish = match &arguments.wish {
        Verb::Status => return Ok(output::print(&status(&ledger)?, arguments.output)?),
        Verb::Stop => Wish::Stop,
        Verb::Resume => Wish::Resume,
        Verb::Override { asset, value, hours } => Wish::Hold(asset.clone(), *value, *hours),
        Verb::Release { asset } => Wish::Release(asset.clone()),
        Verb::Approve { asset } => Wish::Approve(asset.clone()),
        Verb::Mode { asset, mode } => Wish::Mode(asset.clone(), mode_named(mode)?),
    };
    drop(ledger);
    let who = arguments.who.clone().or_else(|| std::env::var("USER").ok()).unwrap_or_else(|| "operator".to_owned());
    let request = operating::arguments(&wish, &who, &arguments.why);
    let done = ask(&arguments.data, &arguments.zone, &request)?.map_err(|refusal| CliError::Usage(format!("regulate: {refusal}")))?;
    Ok(output::line(&done)?)
}

fn mode_named(name: &str) -> Result<Option<Mode>, CliError> {
    let known = || Mode::from_name(name).map(Some);
    (name == OF_THE_FOLDER).then_some(None).or_else(known).ok_or_else(|| {
        CliError::Usage(format!(
            "regulate: mode {name} is unknown; wanted advise, approve, automatic, or {OF_THE_FOLDER} for what assets.toml says"
        ))
    })
}

/// By the collector that runs, or here.
fn ask(data: &Path, zone: &Path, request: &str) -> Result<Result<String, String>, CliError> {
    let folder = zone_folder(zone)?;
    match Engine::open(data, folder.zone, (folder.factors, folder.tariff), folder.alert_rules, wall_now()) {
        Ok(mut engine) => Ok(operating::operate(&mut engine, request).map_err(|error| CliError::Failure(error.into()))?),
        Err(EngineError::Store(StoreError::Locked { .. })) => {
            let asker = Asker::ask(data, operating::REGULATE, request)?;
            // A collector that has ended meanwhile leaves the work to the command.
            asked::answer(&asker, data)?.map_or_else(|| ask(data, zone, request), Ok)
        }
        Err(EngineError::Store(error)) => Err(error.into()),
        Err(error) => Err(CliError::Failure(error.into())),
    }
}

fn status(ledger: &rusqlite::Connection) -> Result<Table, CliError> {
    let sql = "SELECT a.asset, c.ts_local AS told, c.action, c.value, c.until_utc, c.outcome, c.cause, c.reason, a.mode AS mode_said, a.hold_value AS held_at, \
               strftime('%Y-%m-%dT%H:%M:%SZ', a.hold_until / 1000, 'unixepoch') AS held_until_utc, \
               (SELECT value FROM meta WHERE key = 'regulation_stopped') AS stopped \
               FROM asset_row a LEFT JOIN command c ON c.id = a.command ORDER BY a.asset";
    Ok(read::query(ledger, sql, &[])?)
}

#[derive(clap::Subcommand)]
pub enum Audit {
    /// Who asked what of which asset, why, and with which outcome; the newest last.
    Show {
        /// Only this asset.
        #[arg(long)]
        asset: Option<String>,
        /// At most so many of the newest entries.
        #[arg(long, default_value_t = 100)]
        last: u32,
        #[command(flatten)]
        reading: super::Reading,
    },
    /// Make the log's chain of hashes anew and compare; exit code 3 where it is broken.
    Verify {
        #[command(flatten)]
        reading: super::Reading,
    },
}

pub fn audit(subject: &Audit) -> Result<ExitCode, CliError> {
    match subject {
        Audit::Show { asset, last, reading } => {
            let ledger = store::open_to_read(&reading.data)?;
            let sql = "SELECT id, ts_local, who, asset, what, why, outcome FROM (SELECT * FROM audit WHERE ?1 = '' OR asset = ?1 ORDER BY id DESC LIMIT ?2) \
                       ORDER BY id";
            let table = read::query(&ledger, sql, &[Cell::Text(asset.clone().unwrap_or_default()), Cell::Integer((*last).into())])?;
            output::print(&table, reading.output)?;
            Ok(ExitCode::SUCCESS)
        }
        Audit::Verify { reading } => {
            let chain = regulation::chain(&store::open_to_read(&reading.data)?)?;
            let mut table = Table::new(&["entries", "head", "broken_at"]);
            let broken = chain.broken_at.map_or(Cell::Null, Cell::Integer);
            table.rows.push(vec![Cell::Integer(chain.entries), Cell::Text(chain.head), broken]);
            output::print(&table, reading.output)?;
            let Some(broken_at) = chain.broken_at else { return Ok(ExitCode::SUCCESS) };
            eprintln!(
                "nengtan: the audit log is broken at entry {broken_at}: it, or what came before it, was changed after it was written"
            );
            Ok(ExitCode::from(3))
        }
    }
}
