//! Plays a whole zone against a broker: history first, then the live part, step by step with the clock (`docs/wire.md`).

use std::collections::BTreeSet;
use std::path::PathBuf;

use jiff::civil;
use tokio::sync::watch;
use tokio::time::{Duration, Instant, sleep, sleep_until};
use tracing::{info, warn};

use crate::faults::{Level, Plan, Preview};
use crate::fleet_links::{FleetLinks, FleetLinksError};
use crate::link::{Broker, Message};
use crate::physics::World;
use crate::roster::Roster;
use crate::simulation::{Publication, Simulation, Topic};
use crate::truth::{Tally, file};
use crate::window::{DAY_MS, Slice, Window};
pub use crate::wire::Command;
use crate::wire::{Backfill, Clock};
use crate::zone::{AlertRules, Fault, Zone};

/// Where the live part starts if neither the command line nor the zone says.
pub(crate) const LIVE_FROM: civil::Date = civil::date(2026, 1, 1);

/// A stopped run waits this long for its step to be acknowledged.
const STOP_GRACE: Duration = Duration::from_secs(10);

#[derive(Clone, Debug)]
pub struct RunOptions {
    pub zone: PathBuf,
    pub broker: Broker,
    pub seed: u64,
    pub faults: Level,
    pub speed: Speed,
    /// First local day of the live part; the zone's `live_from` without it.
    pub from: Option<civil::Date>,
    pub days: u32,
    /// Months before the live part.
    pub history_months: u32,
    /// Goes on with a run of the same options that was stopped: up to here everything has been published and taken in.
    pub resume_ms: Option<i64>,
    /// Commands that assets took in the part that was published already, in order, each with the asset's clock of then, ms.
    pub taken: Vec<(i64, Command)>,
    /// Waits for the collector after each step at any speed: who commands assets is then always heard in the same step.
    pub lockstep: bool,
    pub truth: Option<PathBuf>,
}

/// How fast the live part goes; history always goes in lock-step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    /// In lock-step with the collector.
    Max,
    /// Simulated seconds per second.
    PerSecond(f64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    History,
    Live,
}

/// Told after each step.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    pub phase: Phase,
    /// Simulated time, and the whole run's start, end of history, and end.
    pub now_ms: i64,
    pub from_ms: i64,
    pub live_from_ms: i64,
    pub to_ms: i64,
    /// Readings published so far.
    pub readings: u64,
}

#[derive(Clone, Copy, Debug)]
pub struct Summary {
    pub tally: Tally,
    /// Simulated time at the end.
    pub at_ms: i64,
    pub alerts: usize,
    pub faults: usize,
    /// False after an early stop.
    pub complete: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Zone(Vec<Fault>),
    #[error("the zone's physics cannot be built: {0}")]
    World(String),
    #[error("the run would start at {at_ms} ms, which is no interval's border; choose another --from")]
    Unaligned { at_ms: i64 },
    #[error(transparent)]
    Links(#[from] FleetLinksError),
    #[error("stopped while the broker had not acknowledged the step, so no truth was written; look at the broker")]
    StepUnfinished,
    #[error("the truth cannot be written to {}: {error}", path.display())]
    Truth { path: PathBuf, error: std::io::Error },
}

impl RunError {
    /// Whether it is the configuration that is wrong.
    #[must_use]
    pub fn is_configuration(&self) -> bool {
        matches!(self, RunError::Zone(_) | RunError::World(_) | RunError::Unaligned { .. })
    }
}

/// Plays the run to its end or until `stop` turns true; the truth is written in both cases, up to the last whole step.
pub async fn run(options: RunOptions, mut progress: impl FnMut(Progress) + Send, stop: watch::Receiver<bool>) -> Result<Summary, RunError> {
    let zone = Zone::load(&options.zone).map_err(RunError::Zone)?;
    let rules = AlertRules::load(&zone).map_err(RunError::Zone)?;
    let window = window(&zone, &options)?;
    let world = World::new(&zone, options.seed).map_err(RunError::World)?;
    let plan = plan(&zone, &window, &options)?;
    if plan.unplaced > 0 {
        warn!(faults = plan.unplaced, "the run is too short or the zone too small for all faults");
    }
    let simulation = Simulation::new(&zone, &rules, window, plan, options.seed);
    let roster = &simulation.roster;
    let mut links = FleetLinks::start(&zone.id, &roster.gateways, &options.broker);
    steady(links.await_online(), &stop).await?;
    info!(zone = zone.id, gateways = roster.gateways.len(), meters = roster.meters.len(), "fleet online");

    let flows = vec![0.0; zone.channels.len()];
    let (speed, lockstep) = (options.speed, options.lockstep);
    let mut run = Run { simulation, world, links, flows, speed, lockstep, stop };
    let end_ms = run.play((options.resume_ms, &options.taken), &mut progress).await?;
    run.links.close().await?;
    write_truth(&run.simulation, &options, end_ms)?;
    Ok(Summary {
        tally: run.simulation.tally,
        at_ms: end_ms,
        alerts: run.simulation.alerts().len(),
        faults: run.simulation.played.len(),
        complete: end_ms >= window.to_ms,
    })
}

struct Run<'z> {
    simulation: Simulation<'z>,
    world: World,
    links: FleetLinks,
    /// Ledger units of the step per channel.
    flows: Vec<f64>,
    speed: Speed,
    lockstep: bool,
    stop: watch::Receiver<bool>,
}

impl Run<'_> {
    /// Plays slice by slice; gives the simulated time at which it ended.
    async fn play(
        &mut self,
        (resume_ms, taken): (Option<i64>, &[(i64, Command)]),
        progress: &mut (impl FnMut(Progress) + Send),
    ) -> Result<i64, RunError> {
        let window = self.simulation.window;
        self.simulation.prime();
        let mut slice = self.catch_up(resume_ms, taken).await?;
        self.tell_time(slice).await?;
        let mut pace = Pace::default();
        while slice.to_ms < window.to_ms && !*self.stop.borrow() {
            slice = slice.next(&window);
            self.change_connections(slice.from_ms).await?;
            self.answer_backfills();
            self.take_commands(slice.from_ms).await?;
            self.publish(slice).await?;
            self.tell_time(slice).await?;
            self.simulation.tick(slice.to_ms);
            let phase = if slice.to_ms <= window.live_from_ms { Phase::History } else { Phase::Live };
            let readings = self.simulation.tally.readings;
            progress(Progress {
                phase,
                now_ms: slice.to_ms,
                from_ms: window.start_ms,
                live_from_ms: window.live_from_ms,
                to_ms: window.to_ms,
                readings,
            });
            if let (Speed::PerSecond(speed), Phase::Live) = (self.speed, phase) {
                pace.keep(slice.to_ms - slice.from_ms, speed, &mut self.stop).await;
            }
        }
        self.settle(slice).await?;
        Ok(slice.to_ms)
    }

    /// Plays what an earlier part of the run has published already, without publishing it again.
    async fn catch_up(&mut self, resume_ms: Option<i64>, taken: &[(i64, Command)]) -> Result<Slice, RunError> {
        let window = self.simulation.window;
        let mut slice = Slice::before(&window);
        let mut offline = BTreeSet::new();
        let mut taken = taken.iter().peekable();
        while resume_ms.is_some_and(|resume_ms| slice.next(&window).to_ms <= resume_ms.min(window.to_ms)) {
            slice = slice.next(&window);
            for (gateway, online) in self.simulation.connections(slice.from_ms) {
                if online {
                    offline.remove(&gateway)
                } else {
                    offline.insert(gateway)
                };
            }
            self.simulation.assets.take_again(&mut taken, slice.from_ms);
            self.pass_time(slice);
            self.simulation.leave(slice.to_ms);
            self.simulation.tick(slice.to_ms);
        }
        // Those of the step that was under way are the next one's.
        self.simulation.assets.take_again(&mut taken, slice.to_ms);
        for gateway in offline {
            steady(self.links.connect(gateway, false), &self.stop).await?;
        }
        Ok(slice)
    }

    /// Waits until a collector has taken everything in, if there is one; in lock-step it has, unless the run was stopped.
    async fn settle(&mut self, slice: Slice) -> Result<(), RunError> {
        if self.speed == Speed::Max && !*self.stop.borrow() {
            return Ok(());
        }
        let next_ms = slice.next(&self.simulation.window).to_ms;
        let settled = self.links.clock(Clock { now_ms: slice.to_ms, next_ms, lockstep: true });
        if let Ok(done) = tokio::time::timeout(STOP_GRACE, settled).await {
            return Ok(done?);
        }
        warn!("no collector confirmed the last step; the broker keeps it for one that comes");
        Ok(())
    }

    /// The clock stands at the slice's end.
    async fn tell_time(&mut self, slice: Slice) -> Result<(), RunError> {
        let window = &self.simulation.window;
        let next_ms = slice.next(window).to_ms;
        let is_history = slice.to_ms <= window.live_from_ms && window.start_ms < window.live_from_ms;
        let lockstep = self.lockstep || self.speed == Speed::Max || is_history;
        unless_stopped(self.links.clock(Clock { now_ms: slice.to_ms, next_ms, lockstep }), &self.stop).await
    }

    async fn change_connections(&mut self, now_ms: i64) -> Result<(), RunError> {
        for (gateway, online) in self.simulation.connections(now_ms) {
            steady(self.links.connect(gateway, online), &self.stop).await?;
        }
        Ok(())
    }

    fn answer_backfills(&mut self) {
        for Backfill { meter, from_ms, to_ms } in self.links.take_backfills() {
            if !self.simulation.backfill(&meter, from_ms, to_ms) {
                warn!(meter, "asked for readings of a meter that is not there");
            }
        }
    }

    /// Hands commands to their assets, and publishes the results.
    async fn take_commands(&mut self, now_ms: i64) -> Result<(), RunError> {
        let mut answers = Vec::new();
        for (asset, command) in self.links.take_commands() {
            let answer = self.simulation.assets.take(&asset, command, now_ms);
            if answer.is_none() {
                warn!(asset, "a command for an asset that is not there");
            }
            answers.extend(answer);
        }
        steady(self.links.answer(answers), &self.stop).await
    }

    fn pass_time(&mut self, slice: Slice) {
        let window = self.simulation.window;
        for (from_ms, to_ms) in slice.steps(&window) {
            self.simulation.assets.control(from_ms, to_ms, &mut self.world.controls);
            self.world.step(from_ms, to_ms, &mut self.flows);
            self.simulation.advance(from_ms, to_ms, &self.flows);
        }
    }

    async fn publish(&mut self, slice: Slice) -> Result<(), RunError> {
        self.pass_time(slice);
        let publications = self.simulation.leave(slice.to_ms);
        let messages = publications.into_iter().map(|publication| message(&self.simulation, publication)).collect();
        steady(self.links.publish(messages), &self.stop).await
    }
}

/// Work that a stop lets finish, if it can within a grace period: without a broker it cannot.
async fn steady(work: impl Future<Output = Result<(), FleetLinksError>>, stop: &watch::Receiver<bool>) -> Result<(), RunError> {
    let mut stop = stop.clone();
    let out_of_patience = async {
        stopped(&mut stop).await;
        sleep(STOP_GRACE).await;
    };
    tokio::select! {
        done = work => Ok(done?),
        () = out_of_patience => Err(RunError::StepUnfinished),
    }
}

/// Waiting for the collector, which a stop ends: everything of the step is published already.
async fn unless_stopped(work: impl Future<Output = Result<(), FleetLinksError>>, stop: &watch::Receiver<bool>) -> Result<(), RunError> {
    let mut stop = stop.clone();
    tokio::select! {
        biased;
        done = work => Ok(done?),
        () = stopped(&mut stop) => Ok(()),
    }
}

/// Ends when the run is to stop; never if nobody is left to say so.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn window(zone: &Zone, options: &RunOptions) -> Result<Window, RunError> {
    let midnight = |date: civil::Date| date.to_zoned(zone.tz.clone()).map(|at| at.timestamp().as_millisecond());
    let day = options.from.unwrap_or(LIVE_FROM);
    let live_from_ms = match (options.from, zone.live_from_ms) {
        (None, Some(live_from_ms)) => live_from_ms,
        _ => midnight(day).map_err(|error| RunError::World(error.to_string()))?,
    };
    let first_day = zone.local(live_from_ms).date();
    let history_day = first_day.saturating_sub(jiff::Span::new().months(options.history_months));
    let start_ms = if options.history_months == 0 {
        live_from_ms
    } else {
        midnight(history_day).map_err(|error| RunError::World(error.to_string()))?
    };
    let (step_ms, history_step_ms) = (zone.interval_ms, zone.history_interval_ms);
    if let Some(&at_ms) = [start_ms, live_from_ms].iter().find(|at_ms| **at_ms % step_ms != 0) {
        return Err(RunError::Unaligned { at_ms });
    }
    Ok(Window { start_ms, live_from_ms, to_ms: live_from_ms + i64::from(options.days) * DAY_MS, history_step_ms, step_ms })
}

fn plan(zone: &Zone, window: &Window, options: &RunOptions) -> Result<Plan, RunError> {
    let roster = &Roster::new(zone);
    if options.faults == Level::None {
        return Ok(Plan::quiet(zone, roster, options.seed));
    }
    let mut world = World::new(zone, options.seed).map_err(RunError::World)?;
    let preview = Preview::new(window, zone.channels.len(), |from_ms, to_ms, out| world.step(from_ms, to_ms, out));
    Ok(Plan::draw(zone, roster, window, options.faults, &preview, options.seed))
}

pub(crate) fn message(simulation: &Simulation, publication: Publication) -> (usize, Message) {
    let Publication { gateway, topic, payload } = publication;
    let kind = match topic {
        Topic::Telemetry => "telemetry",
        Topic::Event => "event",
    };
    let topic = format!("nengtan/{}/gw/{}/{kind}", simulation.zone.id, simulation.roster.gateways[gateway]);
    (gateway, Message { topic, payload, retain: false })
}

fn write_truth(simulation: &Simulation, options: &RunOptions, end_ms: i64) -> Result<(), RunError> {
    let Some(path) = &options.truth else {
        return Ok(());
    };
    let written = std::fs::File::create(path).and_then(|created| {
        let mut out = std::io::BufWriter::new(created);
        file::write(simulation, options.seed, options.faults, end_ms, &mut out)
    });
    written.map_err(|error| RunError::Truth { path: path.clone(), error })
}

/// Keeps the live part at its speed; time lost to a slow collector is not made up for.
#[derive(Default)]
struct Pace {
    due: Option<Instant>,
}

impl Pace {
    async fn keep(&mut self, step_ms: i64, speed: f64, stop: &mut watch::Receiver<bool>) {
        let now = Instant::now();
        let due = self.due.unwrap_or(now).max(now) + Duration::from_secs_f64(step_ms as f64 / 1000.0 / speed);
        self.due = Some(due);
        tokio::select! {
            () = sleep_until(due) => {}
            () = stopped(stop) => {}
        }
    }
}
