//! The connections of a whole fleet: one per gateway and one for the clock.
//!
//! Hears on one connection only, the clock's, so that what the collector said before `clock/done` is known before it.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use crate::access::CLOCK_USER;
use crate::link::{self, Broker, HEARD_MAX, Heard, LinkError, LinkOptions, Message, ORDERS_MAX, Order};
use crate::wire::{self, Answer, Backfill, Clock, Command};

const LOG_WAIT: Duration = Duration::from_secs(10);
const SAY_AGAIN: Duration = Duration::from_secs(30);
/// A link that cannot say good-bye is left behind after this time.
const CLOSE: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
pub enum FleetLinksError {
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error("a connection's task ended early: {0}")]
    Task(#[from] tokio::task::JoinError),
    #[error("a connection closed while messages waited for it")]
    Closed,
}

pub struct FleetLinks {
    zone: String,
    gateways: Vec<(String, mpsc::Sender<Order>)>,
    control: mpsc::Sender<Order>,
    heard: mpsc::Receiver<Heard>,
    tasks: JoinSet<Result<(), LinkError>>,
    /// Last heard status per gateway id.
    status: HashMap<String, bool>,
    done_ms: Option<i64>,
    backfills: VecDeque<Backfill>,
    /// With the asset of the topic.
    commands: Vec<(String, Command)>,
}

impl FleetLinks {
    #[must_use]
    pub fn start(zone: &str, gateways: &[String], broker: &Broker) -> FleetLinks {
        let mut tasks = JoinSet::new();
        let (heard_sender, heard) = mpsc::channel(HEARD_MAX);
        let subscriptions =
            ["clock/done", "gw/+/status", "gw/+/backfill", "asset/+/command"].map(|filter| format!("nengtan/{zone}/{filter}")).to_vec();
        let mut spawn = |client_id, user, status_topic, subscriptions, heard| {
            let (orders, receiver) = mpsc::channel(ORDERS_MAX);
            tasks.spawn(link::run(LinkOptions { broker: broker.clone(), client_id, user, status_topic, subscriptions, heard }, receiver));
            orders
        };
        let control = spawn(format!("fleet-{zone}-clock"), CLOCK_USER.to_owned(), None, subscriptions, Some(heard_sender));
        let gateway = |id: &String| {
            let status_topic = format!("nengtan/{zone}/gw/{id}/status");
            (id.clone(), spawn(format!("fleet-{zone}-{id}"), id.clone(), Some(status_topic), Vec::new(), None))
        };
        let gateways = gateways.iter().map(gateway).collect();
        let (status, backfills, commands) = (HashMap::new(), VecDeque::new(), Vec::new());
        FleetLinks { zone: zone.to_owned(), gateways, control, heard, tasks, status, done_ms: None, backfills, commands }
    }

    /// Publishes each gateway's messages and waits until the broker has acknowledged all of them.
    pub async fn publish(&mut self, messages: Vec<(usize, Message)>) -> Result<(), FleetLinksError> {
        let mut by_gateway: Vec<Vec<Message>> = vec![Vec::new(); self.gateways.len()];
        for (gateway, message) in messages {
            by_gateway[gateway].push(message);
        }
        let mut answers = Vec::new();
        for (gateway, messages) in by_gateway.into_iter().enumerate().filter(|(_, messages)| !messages.is_empty()) {
            let (done, answer) = oneshot::channel();
            self.order(gateway, Order::Publish(messages, done)).await?;
            answers.push(answer);
        }
        for answer in answers {
            self.acknowledged(answer).await?;
        }
        Ok(())
    }

    /// Publishes the clock; in lock-step waits until the collector is done with it.
    pub async fn clock(&mut self, clock: Clock) -> Result<(), FleetLinksError> {
        let started = Instant::now();
        let mut said = started;
        self.say(clock).await?;
        let mut logged = started;
        while clock.lockstep && self.done_ms != Some(clock.now_ms) {
            let heard = self.listen(logged + LOG_WAIT).await?;
            if !heard {
                logged = Instant::now();
                info!(now_ms = clock.now_ms, waited_s = started.elapsed().as_secs(), "waiting for clock/done");
            }
            if said + SAY_AGAIN <= Instant::now() {
                said = Instant::now();
                self.say(clock).await?;
            }
        }
        Ok(())
    }

    /// Drops or restores a gateway's connection and waits until the broker tells its status.
    pub async fn connect(&mut self, gateway: usize, online: bool) -> Result<(), FleetLinksError> {
        self.order(gateway, if online { Order::GoOnline } else { Order::GoOffline }).await?;
        self.await_status(gateway, online).await
    }

    /// Waits until every gateway is online.
    pub async fn await_online(&mut self) -> Result<(), FleetLinksError> {
        for gateway in 0..self.gateways.len() {
            self.await_status(gateway, true).await?;
        }
        Ok(())
    }

    /// The collector's requests for missing readings, in the order in which they were heard.
    pub fn take_backfills(&mut self) -> Vec<Backfill> {
        while let Ok(heard) = self.heard.try_recv() {
            self.note(&heard);
        }
        self.backfills.drain(..).collect()
    }

    /// The collector's commands, each with the asset of its topic, in the order in which they were heard.
    pub fn take_commands(&mut self) -> Vec<(String, Command)> {
        while let Ok(heard) = self.heard.try_recv() {
            self.note(&heard);
        }
        std::mem::take(&mut self.commands)
    }

    /// Publishes what assets answer and waits until the broker has acknowledged all of it.
    pub async fn answer(&mut self, answers: Vec<Answer>) -> Result<(), FleetLinksError> {
        let message = |answer: Answer| {
            let topic = format!("nengtan/{}/asset/{}/result", self.zone, answer.asset);
            Message { topic, payload: answer.encode(), retain: false }
        };
        let messages: Vec<Message> = answers.into_iter().map(message).collect();
        if messages.is_empty() { Ok(()) } else { self.control(messages).await }
    }

    /// Says good-bye on every connection, so that no will is published.
    pub async fn close(mut self) -> Result<(), FleetLinksError> {
        for orders in self.gateways.iter().map(|(_, orders)| orders).chain([&self.control]) {
            if orders.send(Order::Close).await.is_err() {
                debug!("a connection had already ended");
            }
        }
        let deadline = Instant::now() + CLOSE;
        while let Ok(Some(ended)) = tokio::time::timeout_at(deadline, self.tasks.join_next()).await {
            ended??;
        }
        Ok(())
    }

    async fn say(&mut self, clock: Clock) -> Result<(), FleetLinksError> {
        let message = Message { topic: format!("nengtan/{}/clock", self.zone), payload: clock.encode(), retain: true };
        self.control(vec![message]).await
    }

    /// Publishes on the clock's connection.
    async fn control(&mut self, messages: Vec<Message>) -> Result<(), FleetLinksError> {
        let (done, answer) = oneshot::channel();
        self.control.send(Order::Publish(messages, done)).await.map_err(|_| FleetLinksError::Closed)?;
        self.acknowledged(answer).await
    }

    async fn order(&mut self, gateway: usize, order: Order) -> Result<(), FleetLinksError> {
        if self.gateways[gateway].1.send(order).await.is_err() {
            return Err(self.failure().await);
        }
        Ok(())
    }

    /// Why a connection is gone.
    async fn failure(&mut self) -> FleetLinksError {
        match self.tasks.join_next().await {
            Some(Ok(Err(error))) => error.into(),
            Some(Err(error)) => error.into(),
            Some(Ok(Ok(()))) | None => FleetLinksError::Closed,
        }
    }

    async fn acknowledged(&mut self, mut answer: oneshot::Receiver<()>) -> Result<(), FleetLinksError> {
        loop {
            let heard = tokio::select! {
                acknowledged = &mut answer => match acknowledged {
                    Ok(()) => return Ok(()),
                    Err(_) => None,
                },
                heard = self.heard.recv() => heard,
            };
            match heard {
                Some(heard) => self.note(&heard),
                None => return Err(self.failure().await),
            }
        }
    }

    async fn await_status(&mut self, gateway: usize, online: bool) -> Result<(), FleetLinksError> {
        let id = self.gateways[gateway].0.clone();
        let started = Instant::now();
        let mut logged = started;
        while self.status.get(&id) != Some(&online) {
            if !self.listen(logged + LOG_WAIT).await? {
                logged = Instant::now();
                info!(gateway = id, online, waited_s = started.elapsed().as_secs(), "waiting for the gateway's status");
            }
        }
        Ok(())
    }

    /// Hears one message; false if none came until the deadline.
    async fn listen(&mut self, deadline: Instant) -> Result<bool, FleetLinksError> {
        match tokio::time::timeout_at(deadline, self.heard.recv()).await {
            Ok(Some(heard)) => {
                self.note(&heard);
                Ok(true)
            }
            Ok(None) => Err(self.failure().await),
            Err(_) => Ok(false),
        }
    }

    fn note(&mut self, heard: &Heard) {
        let Heard { topic, payload } = heard;
        let levels: Vec<&str> = topic.split('/').collect();
        let understood = match levels[..] {
            [_, _, "clock", "done"] => wire::decode_done(payload).map(|now_ms| self.done_ms = Some(now_ms)),
            [_, _, "gw", gateway, "status"] => {
                self.status.insert(gateway.to_owned(), payload == b"online");
                Some(())
            }
            [_, _, "gw", _, "backfill"] => Backfill::decode(payload).map(|backfill| self.backfills.push_back(backfill)),
            [_, _, "asset", asset, "command"] => Command::decode(payload).map(|command| self.commands.push((asset.to_owned(), command))),
            _ => None,
        };
        match understood {
            Some(()) => debug!(topic, "heard"),
            None => {
                warn!(topic, payload = %String::from_utf8_lossy(payload), "message not understood");
            }
        }
    }
}
