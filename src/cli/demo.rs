//! `nengtan demo`: the options and the talk; the work is in [`crate::demo`].

use std::path::{Path, PathBuf};

use nengtan_fleet::faults::Level;
use nengtan_fleet::runner::Speed;

use super::{CliError, TRUTH_NAME, output, start_log, stop_signal, zone_folder};
use crate::claims::fit::{Outcome, Wanted};
use crate::demo::play::PlayWish;
use crate::demo::{self, DemoError, DemoOptions};
use crate::domain::units::Millis;

#[derive(clap::Args)]
pub struct Arguments {
    /// The zone's folder.
    #[arg(long, value_name = "DIR", default_value = "config/zones/qingdao-hightech")]
    zone: PathBuf,
    /// The folder for ledger and truth; one with data is refused unless --resume.
    #[arg(long, value_name = "DIR", default_value = super::DATA_DEFAULT)]
    data: PathBuf,
    /// Go on with the demo that was stopped in the folder, with the options it was started with.
    #[arg(long)]
    resume: bool,
    /// The same seed plays the same zone [default: 1].
    #[arg(long)]
    seed: Option<u64>,
    /// Faults of meters and gateways: none, field or harsh [default: none].
    #[arg(long, value_parser = level)]
    faults: Option<Level>,
    /// Simulated seconds per second, or max.
    #[arg(long, default_value = "4320", value_parser = speed)]
    speed: Speed,
    /// Months of hourly history before the live part; 0 for none [default: 12].
    #[arg(long, value_name = "MONTHS")]
    history: Option<u32>,
    /// Live days; then the demo ends by itself [default: 366].
    #[arg(long)]
    days: Option<u32>,
    /// Play the other world, in which nobody commands the zone's assets.
    #[arg(long)]
    no_regulation: bool,
    #[command(flatten)]
    influx: super::influx::Flags,
    /// error, warn, info, debug or trace.
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    log_level: String,
}

fn level(text: &str) -> Result<Level, String> {
    let known = Level::NAMES.iter().find(|(name, _)| *name == text);
    known.map(|(_, level)| *level).ok_or_else(|| "wanted none, field or harsh".to_owned())
}

fn speed(text: &str) -> Result<Speed, String> {
    match text.parse::<f64>() {
        _ if text == "max" => Ok(Speed::Max),
        Ok(speed) if speed.is_finite() && speed > 0.0 => Ok(Speed::PerSecond(speed)),
        _ => Err("wanted simulated seconds per second, or max".to_owned()),
    }
}

/// Fits the baselines of all loads on what was read before `until`, and says how many there are.
fn baselines(data: &Path, until: Millis) -> anyhow::Result<String> {
    let (mut fitted, mut all) = (0, 0);
    let wanted = Wanted { to: Some(until), ..Wanted::default() };
    super::claims::fit_and_keep(data, &wanted, |attempt| {
        all += 1;
        fitted += usize::from(!matches!(attempt.outcome, Outcome::Refused(_)));
    })
    .map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(format!("baselines of {fitted} loads of {all}, from the history: savings count from here on"))
}

pub fn execute(arguments: Arguments) -> Result<(), CliError> {
    let folder = zone_folder(&arguments.zone)?;
    start_log(&arguments.log_level, false);
    let options = DemoOptions {
        folder,
        zone: arguments.zone,
        truth: arguments.data.join(TRUTH_NAME),
        data: arguments.data,
        resume: arguments.resume,
        play: PlayWish {
            seed: arguments.seed,
            faults: arguments.faults,
            history_months: arguments.history,
            days: arguments.days,
            no_regulation: arguments.no_regulation,
        },
        speed: arguments.speed,
        settings: arguments.influx.settings(),
        baselines,
    };
    let data = options.data.clone();
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let stop = stop_signal()?;
        demo::run(options, stop, output::line).await.map_err(|error| match error {
            DemoError::Occupied { .. }
            | DemoError::WallClock { .. }
            | DemoError::OtherPlay { .. }
            | DemoError::NothingToResume { .. }
            | DemoError::Play { .. } => CliError::Usage(error.to_string()),
            DemoError::Fleet(error) if error.is_configuration() => CliError::Usage(error.to_string()),
            DemoError::Collect(error) => super::collect::collect_error(error),
            other => CliError::Failure(other.into()),
        })
    })?;
    let shown = data.display();
    let option = if data == std::path::Path::new(super::DATA_DEFAULT) { String::new() } else { format!(" --data {shown}") };
    output::line(&format!(
        "\nThe ledger is in {shown}. Try next:\n  nengtan show energy --by month{option}\n  nengtan show alerts{option}\n  nengtan verify{option}"
    ))?;
    Ok(())
}
