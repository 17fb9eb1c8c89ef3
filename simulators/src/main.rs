//! The command line of the simulated fleet.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};
use nengtan_fleet::faults::Level;
use nengtan_fleet::link::Broker;
use nengtan_fleet::replay::{self, ReplayError, ReplayOptions};
use nengtan_fleet::runner::{self, RunError, RunOptions, Speed};
use nengtan_fleet::scale::{self, ScaleOptions};
use tokio::sync::watch;
use tracing::info;
use tracing_subscriber::EnvFilter;

/// Simulated meters and assets of a city zone.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Play a whole zone: history, then live, with faults.
    Run(RunArguments),
    /// Publish a real interval or register series as one meter.
    Replay(ReplayArguments),
    /// Publish a plain load of many alike meters.
    Scale(ScaleArguments),
}

#[derive(clap::Args)]
struct BrokerArguments {
    /// The broker; mqtts://HOST:PORT for TLS.
    #[arg(long, default_value = "mqtt://localhost:1883")]
    broker: Broker,
    /// The authority that signed the broker's certificate (PEM) [default: those of the system].
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// A folder with NAME.password, or NAME.crt and NAME.key, for each gateway and for `fleet`, who tells the clock.
    #[arg(long, value_name = "DIR")]
    credentials: Option<PathBuf>,
}

impl BrokerArguments {
    fn broker(self) -> Broker {
        let BrokerArguments { mut broker, ca_file, credentials } = self;
        (broker.access.ca_file, broker.access.credentials) = (ca_file, credentials);
        broker
    }
}

#[derive(clap::Args)]
struct ReplayArguments {
    /// The series, a CSV file.
    #[arg(long)]
    file: PathBuf,
    /// How to read it; config/replay/steel.toml explains the format.
    #[arg(long)]
    map: PathBuf,
    /// The zone's folder.
    #[arg(long, default_value = "config/zones/steel-plant")]
    zone: PathBuf,
    #[command(flatten)]
    broker: BrokerArguments,
    /// Where to write the truth.
    #[arg(long)]
    truth: Option<PathBuf>,
}

#[derive(clap::Args)]
struct ScaleArguments {
    #[command(flatten)]
    broker: BrokerArguments,
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    meters: u32,
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    gateways: u32,
    /// Seconds of device time between two readings of a meter.
    #[arg(long, default_value_t = 900, value_parser = clap::value_parser!(i64).range(1..=86_400))]
    interval: i64,
    /// Seconds of device time; 0 only writes the zone.
    #[arg(long, default_value_t = 86_400, value_parser = clap::value_parser!(i64).range(0..))]
    duration: i64,
    /// Readings per second of real time [default: as fast as the broker takes them].
    #[arg(long)]
    rate: Option<f64>,
    /// Readings per message.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=200))]
    per_message: u32,
    /// Meters in another order at every tick, instead of packed by gateway in the zone's order.
    #[arg(long)]
    random_order: bool,
    /// Write the folder of the zone that these meters make.
    #[arg(long)]
    write_zone: Option<PathBuf>,
}

#[derive(clap::Args)]
struct RunArguments {
    /// The zone's folder.
    #[arg(long)]
    zone: PathBuf,
    #[command(flatten)]
    broker: BrokerArguments,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// none, field or harsh.
    #[arg(long, default_value = "none", value_parser = level)]
    faults: Level,
    /// Simulated seconds per second, or max for lock-step with the collector.
    #[arg(long, default_value = "4320", value_parser = speed)]
    speed: Speed,
    /// First local day of the live part [default: where the zone says that live readings start].
    #[arg(long)]
    from: Option<jiff::civil::Date>,
    /// Days of the live part.
    #[arg(long, default_value_t = 1)]
    days: u32,
    /// Months of hourly history before the live part.
    #[arg(long, default_value_t = 0)]
    history: u32,
    /// Where to write the truth.
    #[arg(long)]
    truth: Option<PathBuf>,
}

fn level(text: &str) -> Result<Level, String> {
    Level::NAMES.iter().find(|(name, _)| *name == text).map(|(_, level)| *level).ok_or_else(|| "wanted none, field or harsh".to_owned())
}

fn speed(text: &str) -> Result<Speed, String> {
    match text.parse::<f64>() {
        _ if text == "max" => Ok(Speed::Max),
        Ok(speed) if speed.is_finite() && speed > 0.0 => Ok(Speed::PerSecond(speed)),
        _ => Err("wanted simulated seconds per second, or max".to_owned()),
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let ansi = std::io::IsTerminal::is_terminal(&std::io::stderr());
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(ansi).with_writer(std::io::stderr).init();
    match execute(cli.command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let is_configuration = error.downcast_ref::<RunError>().is_some_and(RunError::is_configuration)
                || error.downcast_ref::<ReplayError>().is_some_and(ReplayError::is_configuration);
            eprintln!("{error:#}");
            ExitCode::from(if is_configuration { 2 } else { 1 })
        }
    }
}

async fn execute(command: Command) -> anyhow::Result<()> {
    let (stopper, stop) = watch::channel(false);
    let work = async {
        match command {
            Command::Run(arguments) => run(arguments, stop).await,
            Command::Replay(ReplayArguments { file, map, zone, broker, truth }) => {
                let tally = replay::replay(&ReplayOptions { file, map, zone, broker: broker.broker(), truth }).await?;
                info!(readings = tally.readings, messages = tally.messages, "done");
                Ok(())
            }
            Command::Scale(arguments) => scale(arguments).await,
        }
    };
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return done,
            interrupted = tokio::signal::ctrl_c() => {
                interrupted.context("cannot listen for Ctrl-C")?;
                info!("stopping after this step");
                stopper.send_replace(true);
            }
        }
    }
}

async fn scale(arguments: ScaleArguments) -> anyhow::Result<()> {
    let ScaleArguments { broker, meters, gateways, interval, duration, rate, per_message, random_order, write_zone } = arguments;
    let options = ScaleOptions {
        broker: broker.broker(),
        meters,
        gateways,
        interval_s: interval,
        duration_s: duration,
        rate,
        readings_per_message: per_message as usize,
        random_order,
        write_zone,
    };
    let load = scale::scale(&options).await?;
    let per_s = load.readings as f64 / load.took.as_secs_f64().max(f64::EPSILON);
    info!(readings = load.readings, messages = load.messages, took_s = load.took.as_secs_f64(), per_s, "done");
    Ok(())
}

async fn run(arguments: RunArguments, stop: watch::Receiver<bool>) -> anyhow::Result<()> {
    let RunArguments { zone, broker, seed, faults, speed, from, days, history, truth } = arguments;
    let options = RunOptions {
        zone,
        broker: broker.broker(),
        seed,
        faults,
        speed,
        from,
        days,
        history_months: history,
        resume_ms: None,
        taken: Vec::new(),
        lockstep: false,
        truth,
    };
    let mut logged_day = 0;
    let summary = runner::run(
        options,
        |progress| {
            let day = progress.now_ms / nengtan_fleet::window::DAY_MS;
            if day != logged_day {
                logged_day = day;
                info!(phase = ?progress.phase, now_ms = progress.now_ms, readings = progress.readings, "step");
            }
        },
        stop,
    )
    .await?;
    info!(?summary, "done");
    Ok(())
}
