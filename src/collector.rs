//! The shell around the engine: broker, clock, log.
//!
//! Invariants: a message is acknowledged only after its commit; nothing is told (log, alert topics, requests to gateways, lock-step) before it.

mod alert_line;
mod telling;
mod threads;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{error, info, warn};

use crate::config::broker::Broker;
use crate::config::influx::Influx;
use crate::config::settings::BatchLimits;
use crate::config::zone_folder::ZoneFolder;
use crate::domain::units::Millis;
use crate::engine::watch::BROKER_LOST_MS;
use crate::engine::{Engine, EngineError};
use crate::http::{self, HttpError};
use crate::mqtt::{self, Delivery, FromBroker, Link, MqttError, Publication};
use crate::outbox::{self, End, OutboxError, Sender};
use crate::reload::{self, Reread};
use crate::restating::Job;
use crate::store::StoreError;
use crate::wire::topic;

/// How often the wall clock moves the engine's.
const TICK: Duration = Duration::from_secs(5);
/// How often the collector looks for what commands ask.
const REQUEST_POLL: Duration = Duration::from_millis(500);
/// The last part of the end: the broker has it to take the end of the connection, and a write to `InfluxDB` that was begun has it to be finished.
const LAST_PART: Duration = Duration::from_secs(3);

#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Mqtt(#[from] MqttError),
    #[error(transparent)]
    Outbox(#[from] OutboxError),
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error("the zone folder is watched no more: {0}")]
    Reload(std::io::Error),
    #[error("a task of the collector died: {0}")]
    Task(#[from] tokio::task::JoinError),
    #[error("the thread {name} of the collector died; its last words are on standard error")]
    Thread { name: &'static str },
    #[error("no thread {name} for the collector: {cause}; raise the limit on threads of this user or service")]
    NoThread { name: &'static str, cause: std::io::Error },
}

impl From<StoreError> for CollectError {
    fn from(error: StoreError) -> CollectError {
        CollectError::Engine(error.into())
    }
}

#[derive(Debug)]
pub struct CollectOptions {
    pub folder: ZoneFolder,
    /// Where the folder is, to read its factors and tariff again for a restatement.
    pub zone: PathBuf,
    pub data: PathBuf,
    pub broker: Broker,
    pub batch: BatchLimits,
    /// Whether assets are regulated, as far as their modes let them be.
    pub regulate: bool,
    /// Where time series go besides; none for nowhere.
    pub influx: Option<Influx>,
    /// Where metrics and health are served; none for nowhere.
    pub http: Option<SocketAddr>,
    /// Read the zone's folder again at SIGHUP, or when its files have changed.
    pub reload: bool,
    /// How long the end may take after the last commit, for broker and `InfluxDB` together; more than 3 s.
    pub end_max: Duration,
    /// End when nothing has come for this long.
    pub exit_when_idle: Option<Duration>,
}

/// What a collector did, for its last words.
#[derive(Clone, Copy, Debug, Default)]
pub struct Summary {
    pub messages: u64,
    pub commits: u64,
    /// The processor's time that the commits took.
    pub commit_cpu: Duration,
}

/// Runs a collector until `stop` becomes true, or it was idle long enough. `ready` is called each time it is subscribed.
pub async fn run(
    options: CollectOptions,
    ready: impl FnMut() + Send + 'static,
    stop: watch::Receiver<bool>,
) -> Result<Summary, CollectError> {
    let ZoneFolder { zone, alert_rules, factors, tariff } = options.folder;
    let filter = topic::filter(zone.id());
    let (zone_folder, data, regulates) = (options.zone, options.data, options.regulate);
    // First of all: a port that is taken is told before the data folder is.
    let listener = match options.http {
        Some(address) => Some(http::listen(address).await?),
        None => None,
    };
    let target = options.influx.as_ref().map(Influx::target);
    let folder = data.clone();
    // A thread that ends leaves the memory it has freed to the engine's own, which comes next.
    let opening = threads::start("engine", move || {
        let mut engine = Engine::open(&folder, zone, (factors, tariff), alert_rules, wall_now())?;
        engine.set_outbox(target.as_deref(), wall_now())?;
        engine.set_regulation(regulates);
        Ok::<Engine, EngineError>(engine)
    });
    let engine = opening?.wait().await??;
    let client_id = engine.store().text_or("client_id", || new_client_id(engine.zone().id()))?;
    let (link, event_loop) = mqtt::connect(&options.broker, &client_id);
    let (to_engine, from_broker) = mpsc::channel(mqtt::to_engine_max(&options.broker));

    let mut tasks = JoinSet::new();
    let polling = mqtt::poll(options.broker, link.clone(), event_loop, filter, to_engine);
    tasks.spawn(async move { Ok::<(), CollectError>(polling.await?) });
    let (end_sender, sender_end) = watch::channel::<End>(None);
    let (tell_outbox, outbox_state) = watch::channel(outbox::State::default());
    let (tell_broker, broker_state) = watch::channel(false);
    if let Some(listener) = listener {
        let (broker, outbox) = (broker_state.clone(), outbox_state.clone());
        tasks.spawn(async move { Ok(http::serve(listener, broker, outbox).await?) });
    }
    // One that waits is enough: what was read is as new as the look at it.
    let (tell_reread, rereads) = mpsc::channel(1);
    if options.reload {
        let watching = reload::watch(zone_folder.clone(), tell_reread);
        tasks.spawn(async move { watching.await.map_err(CollectError::Reload) });
    }
    let mut sending = JoinSet::new();
    if let Some(influx) = &options.influx {
        let sender = Sender::new(&data, influx, tell_outbox, sender_end, wall_now)?;
        // Reading the store blocks, so the sender gets a thread of its own, as the engine does.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|cause| CollectError::NoThread { name: "outbox", cause })?;
        let mut sent = threads::start("outbox", move || runtime.block_on(sender.run()))?;
        sending.spawn(async move { Ok::<(), CollectError>(sent.wait().await??) });
    }
    let shell = Shell {
        engine,
        zone_folder,
        data,
        job: None,
        outbox: outbox_state,
        broker: tell_broker,
        link: link.clone(),
        batch: options.batch,
        unacknowledged: Vec::new(),
        committed: VecDeque::new(),
        publications: VecDeque::new(),
        summary: Summary::default(),
    };
    // The engine's commits block, so it gets a thread of its own.
    let runtime = tokio::runtime::Handle::current();
    let mut engine_end =
        threads::start("engine", move || runtime.block_on(shell.run(from_broker, rereads, options.exit_when_idle, ready, stop)))?;
    let summary = tokio::select! {
        done = engine_end.wait() => done??,
        Some(polled) = tasks.join_next() => {
            // The engine ends with the polling task; its last commit is waited for, whatever ended.
            tasks.shutdown().await;
            let summary = engine_end.wait().await??;
            polled??;
            summary
        }
        Some(sent) = sending.join_next() => {
            tasks.shutdown().await;
            engine_end.wait().await??;
            sent??;
            unreachable!("the sender ends when it is told, or with an error");
        }
    };
    // One bound for both: the sender goes on while the broker is told.
    let end = Instant::now() + options.end_max;
    end_sender.send_replace(Some(end - LAST_PART));
    if !tasks.is_empty() {
        link.disconnect();
    }
    // The engine also ends when the connection is given up; then it is the connection that has something to say.
    match tokio::time::timeout(LAST_PART, tasks.join_next()).await {
        Ok(Some(polled)) => polled??,
        Ok(None) => {}
        Err(_) => info!(wait_s = LAST_PART.as_secs(), "the broker does not take the end of the connection; it has kept the session"),
    }
    match tokio::time::timeout_at(end, sending.join_next()).await {
        Ok(Some(sent)) => sent??,
        Ok(None) => {}
        Err(_) => warn!(bound_s = options.end_max.as_secs(), "InfluxDB does not answer; the rest goes with the next start"),
    }
    Ok(summary)
}

/// What waits for room in the connection's queue is tried again after this time.
const ROOM_WAIT: Duration = Duration::from_millis(20);
/// Publications handed over at once: a storm of them must leave room for acknowledgements.
const PUBLICATIONS_AT_ONCE: usize = 100;
struct Shell {
    engine: Engine,
    zone_folder: PathBuf,
    data: PathBuf,
    /// What a command asked for and is being done, slice by slice.
    job: Option<Job>,
    outbox: watch::Receiver<outbox::State>,
    /// Whether there is a subscription.
    broker: watch::Sender<bool>,
    link: Link,
    batch: BatchLimits,
    unacknowledged: Vec<Delivery>,
    /// Committed, to be acknowledged in this order.
    committed: VecDeque<Delivery>,
    publications: VecDeque<Publication>,
    summary: Summary,
}

impl Shell {
    async fn run(
        mut self,
        mut from_broker: mpsc::Receiver<FromBroker>,
        mut rereads: mpsc::Receiver<Reread>,
        exit_when_idle: Option<Duration>,
        mut ready: impl FnMut(),
        mut stop: watch::Receiver<bool>,
    ) -> Result<Summary, CollectError> {
        let mut commit_at: Option<Instant> = None;
        let mut idle_from: Option<Instant> = None;
        let mut lost_at = Some(wall_now());
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut look = tokio::time::interval(REQUEST_POLL);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let idle_until = idle_from.zip(exit_when_idle).map(|(from, length)| from + length);
            let room_at = self.has_to_send().then(|| Instant::now() + ROOM_WAIT);
            // Slices of a job go in between: the choice below is fair.
            let slice_at = self.job.is_some().then(Instant::now);
            let wake = [commit_at, room_at, idle_until, slice_at].into_iter().flatten().min();
            tokio::select! {
                told = from_broker.recv() => match told {
                    Some(FromBroker::Message(delivery)) => {
                        idle_from = idle_from.map(|_| Instant::now());
                        self.take(*delivery)?;
                        commit_at = commit_at.or_else(|| Some(Instant::now() + Duration::from_millis(self.batch.ms.into())));
                        if self.unacknowledged.len() >= usize::from(self.batch.messages) || self.engine.wants_commit() {
                            self.commit()?;
                            commit_at = None;
                        }
                    }
                    Some(FromBroker::Ready { session_present }) => {
                        lost_at = None;
                        if !session_present {
                            self.tell_again()?;
                        }
                        self.tell_broker(true);
                        let now = self.engine.now(wall_now());
                        self.engine.broker_back(now);
                        idle_from = Some(Instant::now());
                        ready();
                    }
                    Some(FromBroker::Lost) => {
                        lost_at = lost_at.or_else(|| Some(wall_now()));
                        self.tell_broker(false);
                        // Idle is who could have been told something: the time without a broker does not count.
                        idle_from = None;
                    }
                    None => break,
                },
                () = tokio::time::sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {
                    self.send();
                    if self.job.is_some() {
                        self.commit()?;
                        commit_at = None;
                        self.do_slice()?;
                    } else if commit_at.is_some_and(|at| at <= Instant::now()) {
                        self.commit()?;
                        commit_at = None;
                    } else if idle_until.is_some_and(|until| until <= Instant::now()) {
                        break;
                    }
                }
                _ = tick.tick() => {
                    let wall = wall_now();
                    match lost_at {
                        None => self.engine.tick_wall(wall),
                        // Holds and stale timers stand still while there is no broker.
                        Some(lost) if wall.ms_since(lost) >= BROKER_LOST_MS => {
                            let now = self.engine.now(wall);
                            self.engine.broker_lost(self.engine.now(lost), now);
                        }
                        Some(_) => {}
                    }
                    let held = self.outbox.borrow().held.is_some();
                    self.engine.outbox_held(held, wall);
                    if self.engine.has_work() {
                        self.commit()?;
                        commit_at = None;
                    }
                    Self::tell_of_packing(self.engine.tidy(&self.batch.history)?);
                }
                _ = look.tick(), if self.job.is_none() => {
                    if self.engine.store().has_requests().map_err(EngineError::from)? {
                        self.commit()?;
                        commit_at = None;
                        self.job = Job::take(&mut self.engine, &self.zone_folder)?;
                        self.commit()?;
                    }
                }
                // A job goes on with the folder it began with.
                Some(read) = rereads.recv(), if self.job.is_none() => {
                    self.commit()?;
                    commit_at = None;
                    if let Some(ZoneFolder { zone, alert_rules, factors, tariff }) = self.welcome(read) {
                        self.engine.settle()?;
                        self.engine = self.engine.reload(&self.data, zone, (factors, tariff), alert_rules)?;
                        info!(meters = self.engine.zone().meters().len(), "the zone folder is taken over");
                    }
                }
                _ = stop.wait_for(|stop| *stop) => break,
            }
        }
        self.commit()?;
        self.engine.settle()?;
        Ok(self.summary)
    }

    fn take(&mut self, mut delivery: Delivery) -> Result<(), CollectError> {
        self.summary.messages += 1;
        match std::str::from_utf8(delivery.topic()) {
            Ok(topic) => self.engine.apply(topic, delivery.payload(), wall_now())?,
            // MQTT topics are UTF-8 by definition; a broker that breaks this gets its message counted under no topic.
            Err(_) => self.engine.apply("", delivery.payload(), wall_now())?,
        }
        delivery.empty();
        self.unacknowledged.push(delivery);
        Ok(())
    }

    fn commit(&mut self) -> Result<(), CollectError> {
        let before = threads::cpu();
        let effects = self.engine.commit()?;
        self.summary.commit_cpu += threads::cpu().saturating_sub(before);
        self.summary.commits += 1;
        metrics::counter!("nengtan_commits_total").increment(1);
        metrics::counter!("nengtan_messages_total").increment(self.unacknowledged.len() as u64);
        self.committed.extend(self.unacknowledged.drain(..));
        self.tell(effects);
        self.send();
        self.engine.keep_packed(&self.batch.history).map(Self::tell_of_packing).map_err(CollectError::from)
    }

    /// A slice of the job; the batch is committed.
    fn do_slice(&mut self) -> Result<(), CollectError> {
        if let Some(job) = &mut self.job
            && job.step(&mut self.engine)?
        {
            self.job = None;
            info!("a restatement is done");
        }
        Ok(())
    }

    /// The folder that was read again, if it can be taken over; else its faults are told and the old one stays.
    fn welcome(&self, read: Reread) -> Option<ZoneFolder> {
        let refuse = |fault: &dyn std::fmt::Display| error!(%fault, "the zone folder is not taken over; the old one stays");
        let folder = read.inspect_err(|faults| faults.iter().for_each(|fault| refuse(fault))).ok(); // Told, so they may go.
        let welcome = folder.filter(|folder| {
            let welcomed = self.engine.welcomes(&folder.zone, &folder.factors);
            welcomed.map_err(|fault| refuse(&fault)).is_ok()
        });
        metrics::counter!("nengtan_reloads_total", "outcome" => if welcome.is_some() { "taken" } else { "kept" }).increment(1);
        welcome
    }

    fn tell_broker(&self, connected: bool) {
        self.broker.send_replace(connected);
        metrics::gauge!("nengtan_broker_connected").set(f64::from(u8::from(connected)));
    }

    fn has_to_send(&self) -> bool {
        !self.committed.is_empty() || !self.publications.is_empty()
    }

    /// Hands over what fits: acknowledgements first, then publications.
    fn send(&mut self) {
        while self.committed.front().is_some_and(|delivery| self.link.acknowledge(delivery)) {
            self.committed.pop_front();
        }
        for _ in 0..PUBLICATIONS_AT_ONCE {
            if !self.publications.front().is_some_and(|publication| self.link.publish(publication)) {
                return;
            }
            self.publications.pop_front();
        }
    }
}

/// The wall clock; only the shell reads it.
#[allow(clippy::disallowed_methods, reason = "this is the shell's one look at the wall clock")]
#[must_use]
pub fn wall_now() -> Millis {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Millis(now.map_or(0, |now| i64::try_from(now.as_millis()).unwrap_or(i64::MAX)))
}

/// A client id of one's own: two data folders must never share a session.
fn new_client_id(zone: &str) -> String {
    use std::hash::{BuildHasher, RandomState};
    format!("nengtan-{zone}-{:016x}", RandomState::new().hash_one(wall_now().0))
}
