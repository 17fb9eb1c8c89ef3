//! The collector's side of the broker: one persistent session, acknowledged by hand.
//!
//! Never looks into a payload. Invariants: a message is acknowledged only on the connection that brought it, in order of arrival; the polling
//! task never waits for the engine while the engine waits for it, because both queues hold a whole window.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rumqttc::NetworkOptions;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{
    ConnectReturnCode, DisconnectReasonCode, Filter, Packet, Publish, RetainForwardRule, SubscribeReasonCode,
};
use rumqttc::v5::{AsyncClient, ConnectionError, Event, EventLoop, MqttOptions, StateError};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::config::settings::Broker;

/// Messages of quality of service 0 that may wait for the engine, beside a window of the others.
const UNASKED_MAX: usize = 100;
/// The largest packet that is read. A broker drops larger ones itself (MQTT 5 announces the limit), so none can come back for ever. Far more than
/// any payload we take, so that an oversized one becomes a dead letter that somebody sees.
const PACKET_BYTES_MAX: u32 = 64 * 1024 * 1024;
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// A connection that the broker ends sooner than this was not a good one.
const SHORT_CONNECTION: Duration = Duration::from_secs(5);
/// So many short connections in a row mean that another client fights for the session: Mosquitto 2.0 closes the older one without a reason.
const SHORT_CONNECTIONS_MAX: u32 = 5;
const RETRY_DELAY_MS_MIN: u64 = 100;
const RETRY_DELAY_MS_MAX: u64 = 5_000;
/// The session outlives any absence of the collector (MQTT 5, 3.1.2.11.2: does not expire).
const SESSION_EXPIRY_S: u32 = u32::MAX;

#[derive(Debug, thiserror::Error)]
pub enum MqttError {
    #[error(
        "the broker gave the session of {client_id:?}, the id kept in this data folder, to another client; stop the other collector, or give one of them another data folder"
    )]
    TakenOver { client_id: String },
    #[error("broker {broker} refused: {reason}; check its users and access list")]
    Refused { broker: String, reason: String },
}

/// What the broker has to say to the engine.
#[derive(Debug)]
pub enum FromBroker {
    /// Subscribed.
    Ready,
    Message(Box<Delivery>),
    Lost,
}

/// A message, and the connection on which it may be acknowledged.
#[derive(Debug)]
pub struct Delivery {
    pub publish: Publish,
    generation: u64,
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
    client: AsyncClient,
    /// Number of the current connection. A lock, because checking it and queueing an acknowledgement must not be parted by a reconnect:
    /// packet ids are used again, and an acknowledgement of an earlier connection would drop another message.
    generation: Arc<Mutex<u64>>,
}

impl Link {
    /// Acknowledges a message unless its connection is gone: then the broker delivers it again. False if there is no room now; try again later.
    #[must_use]
    pub fn acknowledge(&self, delivery: &Delivery) -> bool {
        let generation = self.generation.lock().unwrap_or_else(PoisonError::into_inner);
        let lapsed = *generation != delivery.generation || delivery.publish.qos == QoS::AtMostOnce;
        lapsed || self.client.try_ack(&delivery.publish).is_ok()
    }

    /// Publishes at least once. False if there is no room now; try again later.
    #[must_use]
    pub fn publish(&self, publication: &Publication) -> bool {
        let Publication { topic, payload, retain } = publication;
        self.client.try_publish(topic, QoS::AtLeastOnce, *retain, payload.clone()).is_ok()
    }

    /// Ends the connection; the session stays at the broker.
    pub fn disconnect(&self) {
        if let Err(error) = self.client.try_disconnect() {
            warn!(%error, "disconnect not sent");
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
    let mut options = MqttOptions::new(client_id, broker.host.clone(), broker.port);
    options.set_clean_start(false);
    options.set_session_expiry_interval(Some(SESSION_EXPIRY_S));
    options.set_receive_maximum(Some(broker.window));
    if let Some((name, password)) = &broker.login {
        options.set_credentials(name, password);
    }
    options.set_max_packet_size(Some(PACKET_BYTES_MAX));
    options.set_manual_acks(true);
    options.set_keep_alive(KEEP_ALIVE);
    // Acknowledgements are small; held back by Nagle's algorithm they would cost 40 ms a step in lock-step.
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    options.set_network_options(network);
    // Room for the acknowledgements of a window, and as many publications.
    let (client, event_loop) = AsyncClient::new(options, 2 * usize::from(broker.window));
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
    let client_id = event_loop.options.client_id();
    let broker = format!("mqtt://{}:{}", broker.host, broker.port);
    let mut delay_ms = RETRY_DELAY_MS_MIN;
    let mut generation = 0_u64;
    let mut connected_at: Option<Instant> = None;
    let mut short_connections = 0;
    loop {
        let told = match event_loop.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(ack))) => {
                connected_at = Some(Instant::now());
                info!(%broker, session_present = ack.session_present, "connected");
                // Also with a session: the last collector may have died before it subscribed.
                let subscription = Filter {
                    nolocal: true,
                    retain_forward_rule: RetainForwardRule::OnNewSubscribe,
                    ..Filter::new(filter.clone(), QoS::AtLeastOnce)
                };
                if let Err(error) = link.client.try_subscribe_many([subscription]) {
                    warn!(%error, "not subscribed");
                }
                None
            }
            Ok(Event::Incoming(Packet::SubAck(ack))) => {
                let granted =
                    |code: &SubscribeReasonCode| matches!(code, SubscribeReasonCode::Success(QoS::AtLeastOnce | QoS::ExactlyOnce));
                if !ack.return_codes.iter().all(granted) {
                    let reason = format!("subscription to {filter}: {:?}", ack.return_codes);
                    return Err(MqttError::Refused { broker, reason });
                }
                Some(FromBroker::Ready)
            }
            Ok(Event::Incoming(Packet::Publish(mut publish))) => {
                // As they come they are slices of the client's buffer of 64 KiB: a queue of them would keep as many buffers.
                (publish.topic, publish.payload) = (publish.topic.to_vec().into(), publish.payload.to_vec().into());
                Some(FromBroker::Message(Box::new(Delivery { publish, generation })))
            }
            Ok(Event::Outgoing(rumqttc::Outgoing::Disconnect)) => return Ok(()),
            Ok(Event::Incoming(_) | Event::Outgoing(_)) => None,
            Err(error) => {
                generation += 1;
                *link.generation.lock().unwrap_or_else(PoisonError::into_inner) = generation;
                // Acknowledgements that were queued between the loss and the line above.
                event_loop.clean();
                match connected_at.take().map(|at| at.elapsed()) {
                    Some(lasted) if lasted < SHORT_CONNECTION => short_connections += 1,
                    Some(_) => (short_connections, delay_ms) = (0, RETRY_DELAY_MS_MIN),
                    None => {}
                }
                match &error {
                    ConnectionError::MqttState(StateError::ServerDisconnect {
                        reason_code: DisconnectReasonCode::SessionTakenOver,
                        ..
                    }) => {
                        return Err(MqttError::TakenOver { client_id });
                    }
                    _ if short_connections >= SHORT_CONNECTIONS_MAX => {
                        return Err(MqttError::TakenOver { client_id });
                    }
                    ConnectionError::ConnectionRefused(
                        reason @ (ConnectReturnCode::NotAuthorized
                        | ConnectReturnCode::BadUserNamePassword
                        | ConnectReturnCode::ClientIdentifierNotValid
                        | ConnectReturnCode::UnsupportedProtocolVersion
                        | ConnectReturnCode::Banned),
                    ) => {
                        return Err(MqttError::Refused { broker, reason: format!("{reason:?}") });
                    }
                    ConnectionError::RequestsDone => return Ok(()),
                    _ => warn!(%broker, %error, retry_ms = delay_ms, "no connection to the broker"),
                }
                if to_engine.send(FromBroker::Lost).await.is_err() {
                    return Ok(());
                }
                let jitter_ms = jitter(generation, delay_ms / 4);
                tokio::time::sleep(Duration::from_millis(delay_ms + jitter_ms)).await;
                delay_ms = (delay_ms * 2).min(RETRY_DELAY_MS_MAX);
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

/// A number below `below` that differs between processes and attempts.
#[must_use]
pub fn jitter(attempt: u64, below: u64) -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(attempt) % below.max(1)
}
