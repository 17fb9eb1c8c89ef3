//! A whole city zone in one process: embedded broker, simulated fleet, collector, talk.
//!
//! The parts know each other only over MQTT and the data folder, as they would on three machines. The truth is written by the fleet and
//! read by nobody here.

mod broker;
mod day;
pub mod play;

use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use jiff::civil::Date;
use nengtan_fleet::access::Access;
use nengtan_fleet::link;
use nengtan_fleet::runner::{self, Command, Phase, Progress, RunError, RunOptions, Speed};
use tokio::sync::{mpsc, oneshot, watch};

use crate::claims::ClaimError;
use crate::collector::{self, CollectError, CollectOptions};
use crate::config::fault::Fault;
use crate::config::settings::Settings;
use crate::config::zone_folder::ZoneFolder;
use crate::domain::units::{DAY_MS, Millis};
use crate::domain::zone::{ClockMode, Zone};
use crate::store::regulation::{self, Taken};
use crate::store::{self, StoreError};
use broker::{EmbeddedBroker, EmbeddedBrokerError};
use day::DaySummary;
use play::PlayWish;

/// A demo is complete when InfluxDB has all of it.
const END_MAX: Duration = Duration::from_secs(900);
/// How often the ledger's clock is looked at while the end of the history is taken in.
const CLOCK_POLL: Duration = Duration::from_millis(50);
/// Five minutes: a collector that has died takes nothing in any more.
const CLOCK_POLLS_MAX: usize = 6_000;

#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    #[error("{} holds data already; give another folder with --data, remove it, or go on in it with --resume", folder.display())]
    Occupied { folder: PathBuf },
    #[error("{} holds no demo that was stopped; run without --resume", folder.display())]
    NothingToResume { folder: PathBuf },
    #[error(
        "the demo in the folder was started with --{option} {seen}, not {wanted}; leave --{option} out, or give another folder with --data"
    )]
    OtherPlay { option: &'static str, seen: String, wanted: String },
    #[error("{file}: {detail}; remove the folder, or give another one with --data", file = file.display())]
    Play { file: PathBuf, detail: String },
    #[error("zone {zone} runs on the wall clock; a demo needs clock = \"feed\" in zone.toml")]
    WallClock { zone: String },
    #[error(transparent)]
    Broker(#[from] EmbeddedBrokerError),
    #[error(transparent)]
    Fleet(#[from] RunError),
    #[error(transparent)]
    Collect(#[from] CollectError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Settings(Vec<Fault>),
    #[error("standard output: {0}")]
    Output(#[from] std::io::Error),
    #[error("the history's baselines: {0:#}")]
    Baselines(anyhow::Error),
    #[error(transparent)]
    Claim(#[from] ClaimError),
    #[error("a task of the demo died: {0}")]
    Task(#[from] tokio::task::JoinError),
}

pub struct DemoOptions {
    pub folder: ZoneFolder,
    pub zone: PathBuf,
    pub data: PathBuf,
    pub truth: PathBuf,
    pub resume: bool,
    pub play: PlayWish,
    pub speed: Speed,
    /// Settings that were given as flags, by key.
    pub settings: Vec<(&'static str, String)>,
    /// Has baselines made of what a ledger holds of the time before a moment, and says so.
    pub baselines: fn(&Path, Millis) -> anyhow::Result<String>,
}

/// Plays the zone until its last day or `stop`; `say` gets what is meant for people.
pub async fn run(options: DemoOptions, stop: watch::Receiver<bool>, say: impl Fn(&str) -> std::io::Result<()>) -> Result<(), DemoError> {
    let profile = options.folder.zone.profile();
    if profile.clock != ClockMode::Feed {
        return Err(DemoError::WallClock { zone: profile.id.to_string() });
    }
    let occupied = options.data.join(store::FILE_NAME).exists();
    if occupied && !options.resume {
        return Err(DemoError::Occupied { folder: options.data });
    }
    let (play, resume_ms) = if options.resume {
        let play = options.play.resumed(&options.data)?;
        (play, day::clock(&options.data)?)
    } else {
        (options.play.begun(&options.data)?, None)
    };
    let taken = if options.resume { taken(&options.data, &options.folder.zone)? } else { Vec::new() };
    let zone_name = format!("{} · {}", profile.name_en, profile.name_zh);
    let broker = EmbeddedBroker::start().await?;
    say(&format!("{zone_name}\nbroker on {}, ledger in {}", broker.url(), options.data.display()))?;

    let flags = [options.settings, vec![("broker.url", broker.url())]].concat();
    let settings = Settings::load(None, &flags).map_err(DemoError::Settings)?;
    let summary = DaySummary::new(&options.data, &options.folder.zone);
    let (end_collector, collector_end) = watch::channel(false);
    let (tell_ready, mut ready) = oneshot::channel();
    let mut tell_ready = Some(tell_ready);
    let collect = CollectOptions {
        folder: options.folder,
        zone: options.zone.clone(),
        data: options.data.clone(),
        broker: settings.broker,
        batch: settings.batch,
        regulate: play.regulation,
        influx: settings.influx,
        http: settings.http,
        end_max: END_MAX,
        // A closed terminal ends a demo.
        reload: false,
        exit_when_idle: None,
    };
    let on_ready = move || {
        if let Some(tell_ready) = tell_ready.take() {
            // Nobody waits any more when the fleet has failed already.
            let _unheard = tell_ready.send(());
        }
    };
    let mut collector = tokio::spawn(collector::run(collect, on_ready, collector_end));
    tokio::select! {
        done = &mut collector => { done??; }
        _ = &mut ready => {}
    }

    let run = RunOptions {
        zone: options.zone,
        broker: link::Broker { host: broker.host(), port: broker.port(), access: Access::default() },
        seed: play.seed,
        faults: play.faults,
        speed: options.speed,
        from: None,
        days: play.days,
        history_months: play.history_months,
        resume_ms: resume_ms.map(|at| at.0),
        taken,
        lockstep: play.regulation,
        truth: Some(options.truth),
    };
    let bar = progress_bar();
    let (progress, told) = watch::channel(None);
    let (data, baselines) = (options.data.clone(), options.baselines);
    let (tell_made, mut made) = mpsc::channel(1);
    let mut tell_made = Some(tell_made);
    let step = move |step: Progress| {
        let over = step.from_ms < step.live_from_ms && step.live_from_ms <= step.now_ms;
        if let Some(tell_made) = tell_made.take_if(|_| over) {
            // The fleet waits here, so that regulation and savings begin with the first live step.
            let made = tokio::task::block_in_place(|| fit_history(&data, Millis(step.live_from_ms), baselines));
            // Nobody listens any more when the demo is being stopped.
            let _unheard = tell_made.try_send(made);
        }
        progress.send_modify(|told| *told = Some(step));
    };
    let fleet = tokio::spawn(runner::run(run, step, stop));
    let played = tokio::select! {
        done = &mut collector => { done??; None }
        played = talk(fleet, (told, &mut made), &bar, &summary, &say) => Some(played),
    };
    bar.finish_and_clear();
    // The fleet has waited until its last step was taken in, so nothing is on its way any more.
    end_collector.send_replace(true);
    let ended = match played {
        Some(played) => {
            collector.await??;
            // The last day's figures have all of it only now: newest values are settled now and then, and when a collector ends.
            played.and_then(|(last, ending)| {
                if let Some((day, note)) = last {
                    say(&summary.of(day, note)?)?;
                }
                Ok(say(&ending)?)
            })
        }
        None => Ok(()),
    };
    broker.stop().await?;
    ended
}

/// Waits until the ledger has the whole history, and has its baselines made.
#[allow(clippy::disallowed_methods, reason = "another thread takes the history in, and a poll yields between two looks")]
fn fit_history(data: &Path, live_from: Millis, baselines: fn(&Path, Millis) -> anyhow::Result<String>) -> Result<String, DemoError> {
    for _ in 0..CLOCK_POLLS_MAX {
        if day::clock(data)?.is_some_and(|clock| live_from <= clock) {
            break;
        }
        std::thread::sleep(CLOCK_POLL);
    }
    baselines(data, live_from).map_err(DemoError::Baselines)
}

/// What the zone's assets were told before the demo was stopped: the fleet plays that part again as it was.
fn taken(data: &Path, zone: &Zone) -> Result<Vec<(i64, Command)>, StoreError> {
    let unit = |id: &str| zone.assets().iter().find(|asset| *asset.id == *id).map(|asset| asset.unit.to_string());
    let again = |Taken { asset, id, value, from, until, taken }: Taken| {
        let unit = unit(&asset)?;
        Some((taken.0, Command { id, asset, value, unit, from_ms: from.0, until_ms: until.0 }))
    };
    Ok(regulation::taken(&store::open_to_read(data)?)?.into_iter().filter_map(again).collect())
}

/// The last day, with what goes behind its date, and how the demo ended.
type Ending = (Option<(Date, &'static str)>, String);

/// Shows the history's progress and each live day but the last one, until the fleet is through.
async fn talk(
    mut fleet: tokio::task::JoinHandle<Result<runner::Summary, RunError>>,
    (mut told, made): (watch::Receiver<Option<Progress>>, &mut mpsc::Receiver<Result<String, DemoError>>),
    bar: &ProgressBar,
    summary: &DaySummary,
    say: &impl Fn(&str) -> std::io::Result<()>,
) -> Result<Ending, DemoError> {
    let mut day = None;
    loop {
        tokio::select! {
            played = &mut fleet => {
                let played = played??;
                // Both may end at once, when the demo is stopped over its fits.
                if let Ok(made) = made.try_recv() {
                    say(&made?)?;
                }
                let last = day.map(|day| (day, if summary.day_of(Millis(played.at_ms)) == day { " so far" } else { "" }));
                let ending = if played.complete { "the zone's last day is over" } else { "stopped" };
                return Ok((last, format!("{ending}: {} readings published", played.tally.readings)));
            }
            Some(made) = made.recv() => {
                bar.finish_and_clear();
                say(&made?)?;
            }
            Ok(()) = told.changed() => {
                let Some(step) = *told.borrow_and_update() else { continue };
                match step.phase {
                    Phase::History => {
                        bar.set_length(((step.live_from_ms - step.from_ms) / DAY_MS).unsigned_abs());
                        bar.set_position(((step.now_ms - step.from_ms) / DAY_MS).unsigned_abs());
                        bar.set_message(format!("{} readings", step.readings));
                    }
                    Phase::Live => {
                        bar.finish_and_clear();
                        let today = summary.day_of(Millis(step.now_ms - 1));
                        if let Some(yesterday) = day.filter(|day| *day != today) {
                            say(&summary.of(yesterday, "")?)?;
                        }
                        day = Some(today);
                    }
                }
            }
        }
    }
}

fn progress_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("history {bar:40} {pos}/{len} days, {msg}, {eta} left");
    ProgressBar::no_length().with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
