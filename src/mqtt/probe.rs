//! Proves a broker before it is needed: connection, login, access list, and that it keeps what comes while a collector is away.
//!
//! Mosquitto drops what goes beyond its limits for a client that is away without a word to anybody, so the only proof is to leave and to count.
//! Invariant: the probe's session is gone from the broker at its end, also after a failure.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::client::{self, Client, EventLoop, Heard, Received, Session, Trouble};
use super::{MqttError, jitter};
use crate::config::broker::Broker;

/// Messages that are sent while the probe's session is away: twice what Mosquitto keeps by default.
pub const MESSAGES: usize = 2_000;
/// For each step.
const STEP: Duration = Duration::from_secs(20);
/// No more comes when nothing has come for this long.
const QUIET: Duration = Duration::from_secs(2);
const REFUSED: &str = "the access list must let the collector write and read nengtan/ZONE/probe/#";

#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    #[error(transparent)]
    Mqtt(#[from] MqttError),
    #[error("no connection to broker {broker}: {reason}; start it, or correct broker.url")]
    Unreachable { broker: String, reason: String },
    #[error("broker {broker} did not answer within {} s while the probe {step}; see its log", STEP.as_secs())]
    Silent { broker: String, step: &'static str },
    #[error("broker {broker} kept none of {MESSAGES} messages for a session that was away; {REFUSED}, and max_queued_messages be 0")]
    KeptNone { broker: String },
    #[error(
        "broker {broker} kept {kept} of {MESSAGES} messages for a session that was away, with {in_flight} in flight at once, and dropped the others without a word; set max_queued_messages 0 and max_inflight_messages {window} in mosquitto.conf (deploy/mosquitto/nengtan.conf), and restart it"
    )]
    Drops { broker: String, kept: usize, in_flight: usize, window: u16 },
}

/// What the broker was proved to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    pub broker: String,
    /// Messages without an acknowledgement that it sent at once, at most the window.
    pub in_flight: usize,
    pub window: u16,
}

impl std::fmt::Display for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Proof { broker, in_flight, window } = self;
        write!(f, "{broker}: kept {MESSAGES} of {MESSAGES} messages for a session that was away, {in_flight} in flight")?;
        if *in_flight < usize::from(*window) {
            write!(f, "; {window} were asked for: max_inflight_messages {window} in mosquitto.conf makes it faster")?;
        }
        Ok(())
    }
}

struct Probe<'a> {
    broker: &'a Broker,
    topic: String,
    client_id: String,
}

/// Leaves a session, sends to it, comes back and counts.
pub async fn prove(broker: &Broker, zone: &str) -> Result<Proof, ProbeError> {
    let id = jitter(0, u64::MAX);
    let probe = Probe { broker, topic: format!("nengtan/{zone}/probe/{id:016x}"), client_id: format!("nengtan-probe-{id:016x}") };
    let counted = probe.count().await;
    let forgotten = probe.forget().await;
    let (kept, in_flight) = counted?;
    forgotten?;
    let (broker, window) = (broker.url(), broker.window);
    match kept {
        MESSAGES => Ok(Proof { broker, in_flight, window }),
        0 => Err(ProbeError::KeptNone { broker }),
        kept => Err(ProbeError::Drops { broker, kept, in_flight, window }),
    }
}

impl Probe<'_> {
    /// Messages that came, and how many of them before any was acknowledged.
    async fn count(&self) -> Result<(usize, usize), ProbeError> {
        let (client, mut events) = self.open(true).await?;
        if !client.subscribe(&self.topic) {
            return Err(self.silent("subscribed"));
        }
        self.until(&mut events, "subscribed", |heard| match heard {
            Heard::Subscribed { refused } => Some(refused),
            _ => None,
        })
        .await?
        .map_or(Ok(()), |codes| Err(self.refused(&codes)))?;
        self.close(&client, &mut events).await?;
        self.send().await?;
        let (client, mut events) = self.open(true).await?;
        let mut unacknowledged = self.receive(&mut events, usize::from(self.broker.window)).await?;
        let (at_once, mut seen) = (unacknowledged.len(), BTreeSet::new());
        while !unacknowledged.is_empty() {
            for received in &unacknowledged {
                seen.insert(received.payload().to_vec());
                // A window of acknowledgements has room by construction.
                if !client.acknowledge(received) {
                    return Err(self.silent("acknowledged"));
                }
            }
            let some = unacknowledged.len();
            unacknowledged = if seen.len() < MESSAGES { self.receive(&mut events, some).await? } else { Vec::new() };
        }
        self.close(&client, &mut events).await?;
        Ok((seen.len(), at_once))
    }

    /// By a client of its own, each message acknowledged by the broker.
    async fn send(&self) -> Result<(), ProbeError> {
        let sender = Probe { broker: self.broker, topic: self.topic.clone(), client_id: format!("{}-sender", self.client_id) };
        let (client, mut events) = sender.open(false).await?;
        let (mut sent, mut acknowledged) = (0, 0);
        while acknowledged < MESSAGES {
            // One alone first: Mosquitto 2.0.11 ends the connection over a message that it refuses, sometimes before the refusal is read.
            let most = if acknowledged == 0 { 1 } else { MESSAGES };
            while sent < most && client.publish(&self.topic, false, sent.to_string().into_bytes()) {
                sent += 1;
            }
            let refused = self
                .until(&mut events, "sent messages to it", |heard| match heard {
                    Heard::Acknowledged { refused } => Some(refused),
                    _ => None,
                })
                .await
                .map_err(|error| match error {
                    ProbeError::Unreachable { reason, .. } if acknowledged == 0 => self.refused(&reason),
                    other => other,
                })?;
            if let Some(reason) = refused {
                return Err(self.refused(&reason));
            }
            acknowledged += 1;
        }
        self.close(&client, &mut events).await
    }

    /// Up to `most` messages, as many as come before it is quiet.
    async fn receive(&self, events: &mut EventLoop, most: usize) -> Result<Vec<Received>, ProbeError> {
        let mut all = Vec::new();
        while all.len() < most {
            match timeout_at(Instant::now() + QUIET, events.poll()).await {
                Ok(Ok(Heard::Message(received))) => all.push(received),
                Ok(Ok(_)) => {}
                Ok(Err(trouble)) => return Err(self.trouble(trouble)),
                Err(_quiet) => break,
            }
        }
        Ok(all)
    }

    /// Ends the session at the broker.
    async fn forget(&self) -> Result<(), ProbeError> {
        let (client, mut events) = self.open(false).await?;
        self.close(&client, &mut events).await
    }

    async fn open(&self, kept: bool) -> Result<(Client, EventLoop), ProbeError> {
        let (client, mut events) = client::open(self.broker, &Session { client_id: &self.client_id, kept });
        self.until(&mut events, "connected", |heard| matches!(heard, Heard::Connected { .. }).then_some(())).await?;
        Ok((client, events))
    }

    async fn close(&self, client: &Client, events: &mut EventLoop) -> Result<(), ProbeError> {
        if !client.disconnect() {
            return Err(self.silent("left"));
        }
        self.until(events, "left", |heard| matches!(heard, Heard::Ended).then_some(())).await
    }

    async fn until<T>(
        &self,
        events: &mut EventLoop,
        step: &'static str,
        mut found: impl FnMut(Heard) -> Option<T>,
    ) -> Result<T, ProbeError> {
        let deadline = Instant::now() + STEP;
        loop {
            match timeout_at(deadline, events.poll()).await {
                Ok(Ok(heard)) => {
                    if let Some(found) = found(heard) {
                        return Ok(found);
                    }
                }
                Ok(Err(trouble)) => return Err(self.trouble(trouble)),
                Err(_late) => return Err(self.silent(step)),
            }
        }
    }

    fn trouble(&self, trouble: Trouble) -> ProbeError {
        let broker = self.broker.url();
        match trouble {
            Trouble::TakenOver => MqttError::TakenOver { client_id: self.client_id.clone() }.into(),
            Trouble::Refused(reason) => MqttError::Refused { broker, reason }.into(),
            Trouble::Tls(reason) => MqttError::Tls { broker, reason }.into(),
            Trouble::Done => ProbeError::Unreachable { broker, reason: "the connection ended".to_owned() },
            Trouble::Lost(reason) => ProbeError::Unreachable { broker, reason },
        }
    }

    fn refused(&self, reason: &str) -> ProbeError {
        MqttError::Refused { broker: self.broker.url(), reason: format!("{reason} on {}; {REFUSED}", self.topic) }.into()
    }

    fn silent(&self, step: &'static str) -> ProbeError {
        ProbeError::Silent { broker: self.broker.url(), step }
    }
}
