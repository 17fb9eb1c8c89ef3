//! What the command line says to `InfluxDB`: flags, proof of a connection, buckets, questions in Flux.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{CliError, asked, output};
use crate::claiming;
use crate::config::influx::Influx;
use crate::config::settings::Settings;
use crate::influx::{InfluxError, Server};
use crate::store;

/// The token comes from the environment (`INFLUX_TOKEN`) or a file.
#[derive(clap::Args)]
pub struct Flags {
    /// InfluxDB 2, as http://HOST:PORT; the token comes from `INFLUX_TOKEN` or a file named in the configuration.
    #[arg(long, value_name = "URL")]
    influx: Option<String>,
    /// The organisation in InfluxDB.
    #[arg(long, value_name = "NAME")]
    org: Option<String>,
    /// The bucket in InfluxDB.
    #[arg(long, value_name = "NAME")]
    bucket: Option<String>,
}

impl Flags {
    /// The flags that were given, by key of the settings.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        let all = [("influx.url", &self.influx), ("influx.org", &self.org), ("influx.bucket", &self.bucket)];
        all.into_iter().filter_map(|(key, value)| Some((key, value.clone()?))).collect()
    }
}

/// The services of a collector, as its configuration names them.
#[derive(clap::Args)]
pub struct Services {
    /// A configuration file such as config/nengtan.toml; flags come before it.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    flags: Flags,
}

impl Services {
    /// The settings with these flags and `more`.
    pub fn load(&self, more: &[(&'static str, String)]) -> Result<Settings, CliError> {
        let flags = [self.flags.settings().as_slice(), more].concat();
        Settings::load(self.config.as_deref(), &flags).map_err(CliError::Configuration)
    }
}

#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Make the bucket, unless it is there.
    CreateBucket {
        /// Points older than this go: 30d, 52w, 12h; 0 keeps all.
        #[arg(long, value_name = "TIME", default_value = "0", value_parser = retention)]
        retention: Duration,
        #[command(flatten)]
        services: Services,
    },
    /// Send once more what the server refused for good, as the ledger holds it now: when the cause is mended, such as a bucket that was missing.
    Resend {
        /// The folder of the ledger.
        #[arg(long, value_name = "DIR", default_value = super::DATA_DEFAULT)]
        data: PathBuf,
    },
}

const HOUR_S: u64 = 3600;

/// The server drops whole hours at the least.
fn retention(text: &str) -> Result<Duration, String> {
    let wanted = || "wanted 0, or a whole number of hours (h), days (d) or weeks (w) such as 90d".to_owned();
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wanted)?;
    let unit_s = match unit {
        "h" => HOUR_S,
        "d" => 24 * HOUR_S,
        "w" => 7 * 24 * HOUR_S,
        _ => return Err(wanted()),
    };
    let seconds = number.parse::<u64>().ok().filter(|number| *number > 0).and_then(|number| number.checked_mul(unit_s));
    // The server's own limit.
    seconds.filter(|seconds| i32::try_from(*seconds).is_ok()).map(Duration::from_secs).ok_or_else(wanted)
}

pub fn execute(arguments: Arguments) -> Result<(), CliError> {
    match arguments.command {
        Command::CreateBucket { retention, services } => {
            let told = on_server(&services, async |server| server.create_bucket(retention.as_secs()).await)?;
            Ok(output::line(&told)?)
        }
        Command::Resend { data } => Ok(output::line(&resend(&data)?)?),
    }
}

/// By the collector that runs, or the next one.
fn resend(data: &Path) -> Result<String, CliError> {
    let sql = "SELECT COUNT(*), COALESCE(SUM(lines), 0) FROM outbox_letter";
    let (letters, lines): (i64, i64) = store::open_to_read(data)?.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    asked::keep(data, claiming::RESEND, &[String::new()])?;
    Ok(format!("{letters} dead letters of {lines} lines go once more with a collector that writes to InfluxDB"))
}

/// Proves the server, its organisation, bucket and token; gives what is to be said of it.
pub fn prove(influx: &Influx) -> Result<String, CliError> {
    let told = ask(influx, async |server| server.prove().await)?;
    Ok(format!("influx     {told}"))
}

pub fn flux(services: &Services, script: &str, format: output::Format) -> Result<(), CliError> {
    let table = on_server(services, async |server| server.flux(script).await)?;
    Ok(output::print(&table, format)?)
}

fn on_server<T>(services: &Services, question: impl AsyncFnOnce(&Server) -> Result<T, InfluxError>) -> Result<T, CliError> {
    let missing = "no InfluxDB is named; give --influx URL --org NAME --bucket NAME, or [influx] in a file given with --config";
    let influx = services.load(&[])?.influx.ok_or_else(|| CliError::Usage(missing.to_owned()))?;
    ask(&influx, question)
}

fn ask<T>(influx: &Influx, question: impl AsyncFnOnce(&Server) -> Result<T, InfluxError>) -> Result<T, CliError> {
    let server = Server::new(influx).map_err(failed)?;
    tokio::runtime::Runtime::new()?.block_on(async { question(&server).await }).map_err(failed)
}

fn failed(error: InfluxError) -> CliError {
    match error {
        InfluxError::Flux(_) => CliError::Usage(error.to_string()),
        other => CliError::Failure(other.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retention_is_whole_hours_days_or_weeks() {
        let hours = |hours: u64| Some(Duration::from_secs(3600 * hours));
        let cases = [
            ("0", hours(0)),
            ("12h", hours(12)),
            ("90d", hours(2160)),
            ("2w", hours(336)),
            ("0d", None),
            ("3", None),
            ("", None),
            ("9999999w", None),
            ("年", None),
        ];
        for (text, wanted) in cases {
            assert_eq!(retention(text).ok(), wanted, "{text}");
        }
    }
}
