//! The collector's side of the broker: one persistent session, acknowledged by hand.
//!
//! Never looks into a payload. Invariants: a message is acknowledged only on the connection that brought it, in order of arrival; the polling
//! task never waits for the engine while the engine waits for it, because both queues hold a whole window.

mod client;
pub mod probe;
mod tls;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::{error, info, warn};

use crate::config::broker::Broker;
use client::{Client, EventLoop, Heard, Received, Session, Trouble};

/// Messages of quality of service 0 that may wait for the engine, beside a window of the others.
const UNASKED_MAX: usize = 100;
/// A connection that the broker ends sooner than this was not a good one.
const SHORT_CONNECTION: Duration = Duration::from_secs(5);
/// So many short connections in a row mean that another client fights for the session: Mosquitto 2.0 closes the older one without a reason.
const SHORT_CONNECTIONS_MAX: u32 = 5;
const RETRY_DELAY_MS_MIN: u64 = 100;
const RETRY_DELAY_MS_MAX: u64 = 5_000;

#[derive(Debug, thiserror::Error)]
pub enum MqttError {
    #[error(
        "the broker gave the session of {client_id:?}, the id kept in this data folder, to another client; stop the other collector, or give one of them another data folder"
    )]
    TakenOver { client_id: String },
    #[error("broker {broker} refused: {reason}; check broker.username and its password, the broker's users and its access list")]
    Refused { broker: String, reason: String },
    #[error("no connection by TLS to broker {broker}: {reason}")]
    Tls { broker: String, reason: String },
}

/// What the broker has to say to the engine.
#[derive(Debug)]
pub enum FromBroker {
    /// Subscribed; without a session the broker knows nothing of an earlier connection.
    Ready {
        session_present: bool,
    },
    Message(Box<Delivery>),
    Lost,
}

/// A message, and the connection on which it may be acknowledged.
#[derive(Debug)]
pub struct Delivery {
    received: Received,
    generation: u64,
}

impl Delivery {
    #[must_use]
    pub fn topic(&self) -> &[u8] {
        self.received.topic()
    }

    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.received.payload()
    }

    /// Topic and payload are needed no more; what is left waits to be acknowledged.
    pub fn empty(&mut self) {
        self.received.empty();
    }
}

/// A message to others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    pub topic: String,
    pub payload: Vec<u8>,
    pub retain: bool,
}

/// The engine's hand on the connection.
#[derive(Clone, Debug)]
pub struct Link {
    client: Client,
    /// Number of the current connection. A lock, because checking it and queueing an acknowledgement must not be parted by a reconnect:
    /// packet ids are used again, and an acknowledgement of an earlier connection would drop another message.
    generation: Arc<Mutex<u64>>,
}

impl Link {
    /// Acknowledges a message unless its connection is gone: then the broker delivers it again. False if there is no room now; try again later.
    #[must_use]
    pub fn acknowledge(&self, delivery: &Delivery) -> bool {
        let generation = self.generation.lock().unwrap_or_else(PoisonError::into_inner);
        let lapsed = *generation != delivery.generation || delivery.received.is_at_most_once();
        lapsed || self.client.acknowledge(&delivery.received)
    }

    /// Publishes at least once. False if there is no room now; try again later.
    #[must_use]
    pub fn publish(&self, publication: &Publication) -> bool {
        self.client.publish(&publication.topic, publication.retain, publication.payload.clone())
    }

    /// Ends the connection; the session stays at the broker.
    pub fn disconnect(&self) {
        if !self.client.disconnect() {
            warn!("disconnect not sent");
        }
    }
}

/// Places in the queue to the engine: a window, and some for what comes unasked.
#[must_use]
pub fn to_engine_max(broker: &Broker) -> usize {
    usize::from(broker.window) + UNASKED_MAX
}

/// Prepares a connection; nothing is sent before [`poll`].
#[must_use]
pub fn connect(broker: &Broker, client_id: &str) -> (Link, EventLoop) {
    let (client, event_loop) = client::open(broker, &Session { client_id, kept: true });
    (Link { client, generation: Arc::new(Mutex::new(0)) }, event_loop)
}

/// Polls the connection for ever: subscribes, hands messages to the engine, reconnects. Ends well when the engine is gone or after
/// [`Link::disconnect`]; ends with an error that waiting cannot mend.
pub async fn poll(
    broker: Broker,
    link: Link,
    mut event_loop: EventLoop,
    filter: String,
    to_engine: mpsc::Sender<FromBroker>,
) -> Result<(), MqttError> {
    let mut state = Connection::new(broker.url(), event_loop.client_id());
    loop {
        let told = match event_loop.poll().await {
            Ok(Heard::Connected { session_present }) => {
                state.connected(session_present);
                // Also with a session: the last collector may have died before it subscribed.
                if !link.client.subscribe(&filter) {
                    warn!("not subscribed");
                }
                None
            }
            Ok(Heard::Subscribed { refused: Some(codes) }) => {
                return Err(MqttError::Refused { broker: state.broker, reason: format!("subscription to {filter}: {codes}") });
            }
            Ok(Heard::Subscribed { refused: None }) => Some(FromBroker::Ready { session_present: state.session_present }),
            Ok(Heard::Message(received)) => Some(FromBroker::Message(Box::new(Delivery { received, generation: state.generation }))),
            Ok(Heard::Acknowledged { refused: Some(reason) }) => {
                warn!(broker = state.broker, reason, "the broker refuses what the collector publishes; check its access list");
                None
            }
            Ok(Heard::Ended) => return Ok(()),
            Ok(Heard::Acknowledged { refused: None } | Heard::Other) => None,
            Err(trouble) => {
                state.generation += 1;
                *link.generation.lock().unwrap_or_else(PoisonError::into_inner) = state.generation;
                // Acknowledgements that were queued between the loss and the line above.
                event_loop.clean();
                if let Trouble::Done = trouble {
                    return Ok(());
                }
                let wait = state.lost(trouble)?;
                if to_engine.send(FromBroker::Lost).await.is_err() {
                    return Ok(());
                }
                tokio::time::sleep(wait).await;
                None
            }
        };
        if let Some(told) = told
            && to_engine.send(told).await.is_err()
        {
            return Ok(());
        }
    }
}

/// What is known of the connection over its losses.
struct Connection {
    broker: String,
    client_id: String,
    delay_ms: u64,
    generation: u64,
    connected_at: Option<Instant>,
    session_present: bool,
    was_connected: bool,
    short_connections: u32,
}

impl Connection {
    fn new(broker: String, client_id: String) -> Connection {
        Connection {
            broker,
            client_id,
            delay_ms: RETRY_DELAY_MS_MIN,
            generation: 0,
            connected_at: None,
            session_present: false,
            was_connected: false,
            short_connections: 0,
        }
    }

    fn connected(&mut self, session_present: bool) {
        (self.connected_at, self.session_present, self.was_connected) = (Some(Instant::now()), session_present, true);
        info!(broker = self.broker, session_present, "connected");
    }

    /// How long to wait before the next attempt; an error if waiting cannot mend it. Certificates that are refused end a start, but not a collector
    /// that was connected: a broker's certificate that has run out is renewed there.
    fn lost(&mut self, trouble: Trouble) -> Result<Duration, MqttError> {
        match self.connected_at.take().map(|at| at.elapsed()) {
            Some(lasted) if lasted < SHORT_CONNECTION => self.short_connections += 1,
            Some(_) => (self.short_connections, self.delay_ms) = (0, RETRY_DELAY_MS_MIN),
            None => {}
        }
        let (broker, client_id, retry_ms) = (self.broker.clone(), self.client_id.clone(), self.delay_ms);
        match trouble {
            Trouble::TakenOver => return Err(MqttError::TakenOver { client_id }),
            _ if self.short_connections >= SHORT_CONNECTIONS_MAX => return Err(MqttError::TakenOver { client_id }),
            Trouble::Refused(reason) => return Err(MqttError::Refused { broker, reason }),
            Trouble::Tls(reason) if !self.was_connected => return Err(MqttError::Tls { broker, reason }),
            Trouble::Tls(reason) => error!(broker, cause = reason, retry_ms, "no connection by TLS to the broker"),
            Trouble::Done => {}
            Trouble::Lost(error) => warn!(broker, error, retry_ms, "no connection to the broker"),
        }
        self.delay_ms = (self.delay_ms * 2).min(RETRY_DELAY_MS_MAX);
        Ok(Duration::from_millis(retry_ms + jitter(self.generation, retry_ms / 4)))
    }
}

/// A number below `below` that differs between processes and attempts.
#[must_use]
pub fn jitter(attempt: u64, below: u64) -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(attempt) % below.max(1)
}
