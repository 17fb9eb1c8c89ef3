//! `nengtan collect`.

use std::path::PathBuf;
use std::time::Duration;

use tracing::info;

use super::{CliError, output, start_log, stop_signal, zone_folder};
use crate::collector::{self, CollectError, CollectOptions};
use crate::config::settings::Settings;
use crate::engine::EngineError;

/// How long SIGTERM waits for broker and InfluxDB after the last commit; what they have not got goes with the next start.
const END_MAX: Duration = Duration::from_secs(10);

#[derive(clap::Args)]
pub struct Arguments {
    /// A configuration file such as config/nengtan.toml; flags come before it.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The zone's folder.
    #[arg(long, value_name = "DIR")]
    zone: Option<String>,
    /// The folder of the ledger.
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
    #[command(flatten)]
    broker: super::broker::BrokerFlags,
    #[command(flatten)]
    influx: super::influx::Flags,
    /// error, warn, info, debug or trace.
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    /// text, or json: one object a line.
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
    /// Serve /metrics, /healthz and /readyz on this address, such as 127.0.0.1:9464.
    #[arg(long, value_name = "ADDRESS")]
    http: Option<String>,
    /// Decide nothing and command no asset, whatever assets.toml says.
    #[arg(long)]
    no_regulation: bool,
    /// End when no message has come for this many seconds.
    #[arg(long, value_name = "SECONDS")]
    exit_when_idle: Option<f64>,
}

pub fn execute(arguments: Arguments) -> Result<(), CliError> {
    let mut flags: Vec<(&str, String)> = [
        ("zone", arguments.zone),
        ("data", arguments.data),
        ("log.level", arguments.log_level),
        ("log.format", arguments.log_format),
        ("http.listen", arguments.http),
    ]
    .into_iter()
    .filter_map(|(key, value)| value.map(|value| (key, value)))
    .collect();
    flags.extend(arguments.broker.settings());
    flags.extend(arguments.influx.settings());
    let exit_when_idle = arguments
        .exit_when_idle
        .map(|seconds| {
            Duration::try_from_secs_f64(seconds)
                .map_err(|_| CliError::Usage(format!("--exit-when-idle is {seconds}, wanted seconds from 0 on")))
        })
        .transpose()?;
    let settings = Settings::load(arguments.config.as_deref(), &flags).map_err(CliError::Configuration)?;
    let folder = zone_folder(&settings.zone)?;
    start_log(&settings.log_level, settings.log_json);
    let options = CollectOptions {
        folder,
        zone: settings.zone,
        data: settings.data,
        regulate: !arguments.no_regulation,
        broker: settings.broker,
        batch: settings.batch,
        influx: settings.influx,
        http: settings.http,
        end_max: END_MAX,
        reload: true,
        exit_when_idle,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().thread_name("mqtt").enable_all().build()?;
    let summary = runtime.block_on(async {
        let stop = stop_signal()?;
        let mut told = false;
        let ready = move || {
            if !told {
                told = true;
                // A reader that is gone is no reason to stop collecting.
                let _unread = output::line("ready");
            }
        };
        collector::run(options, ready, stop).await.map_err(collect_error)
    });
    // Looking up a broker's name cannot be given up, and may take longer than the end.
    runtime.shutdown_background();
    let summary = summary?;
    let commit_cpu_s = summary.commit_cpu.as_secs_f64();
    info!(messages = summary.messages, commits = summary.commits, commit_cpu_s, "collector ended");
    Ok(())
}

pub fn collect_error(error: CollectError) -> CliError {
    match error {
        CollectError::Engine(EngineError::Store(error)) => error.into(),
        other => CliError::Failure(other.into()),
    }
}
