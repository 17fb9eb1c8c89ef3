//! One MQTT connection that publishes at least once: a gateway's, the clock's or a load's.
//!
//! Holds each message until its PUBACK and sends it again after a reconnect, in order. Every connection gets a new client of rumqttc, which would
//! clear what is unacknowledged whenever the broker has no session.

use std::collections::{HashMap, VecDeque};
use std::pin::pin;
use std::time::Duration;

use rumqttc::Outgoing;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{ConnectReturnCode, LastWill, Packet, PubAckReason};
use rumqttc::v5::{AsyncClient, ClientError, ConnectionError, Event, EventLoop, MqttOptions};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep};
use tracing::{debug, warn};

use crate::access::{Access, AccessError};
use crate::keyed::Key;

/// Unacknowledged messages per connection.
const WINDOW_MESSAGES: usize = 100;
const PACKET_BYTES_MAX: u32 = 16 << 20;
const KEEP_ALIVE: Duration = Duration::from_secs(30);
const RECONNECT_MS: (f64, f64) = (100.0, 5000.0);
/// A broker that was never reached is given up after this time.
const FIRST_CONNECT: Duration = Duration::from_secs(30);
/// The broker keeps a subscriber's session this long.
const SESSION_S: u32 = 600;
pub const ORDERS_MAX: usize = 16;
/// Messages heard but not yet looked at.
pub const HEARD_MAX: usize = 65_536;

/// Where the broker listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    pub host: String,
    pub port: u16,
    pub access: Access,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("broker address {0:?} is not understood; wanted mqtt://HOST:PORT, or mqtts://HOST:PORT for TLS")]
pub struct BrokerAddressError(String);

impl std::str::FromStr for Broker {
    type Err = BrokerAddressError;

    fn from_str(text: &str) -> Result<Broker, BrokerAddressError> {
        let by_tls = text.strip_prefix("mqtts://");
        let address = by_tls.or_else(|| text.strip_prefix("mqtt://")).unwrap_or(text).trim_end_matches('/');
        let (host, port) = address.rsplit_once(':').unwrap_or((address, if by_tls.is_some() { "8883" } else { "1883" }));
        match port.parse() {
            Ok(port) if !host.is_empty() => {
                Ok(Broker { host: host.to_owned(), port, access: Access { tls: by_tls.is_some(), ..Access::default() } })
            }
            _ => Err(BrokerAddressError(text.to_owned())),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    #[error(transparent)]
    Access(#[from] AccessError),
    #[error("no broker at {host}:{port} ({last}); start it or correct --broker")]
    NoBroker { host: String, port: u16, last: String },
    #[error("the broker does not let {user} in: {reason}; give --ca-file and --credentials DIR with the user's password or certificate")]
    Refused { user: String, reason: String },
    #[error("{HEARD_MAX} messages wait unread on {client_id}; the broker sends more than the fleet asked for")]
    Flooded { client_id: String },
}

#[derive(Clone, Debug)]
pub struct Message {
    pub topic: String,
    pub payload: Vec<u8>,
    pub retain: bool,
}

#[derive(Clone, Debug)]
pub struct Heard {
    pub topic: String,
    pub payload: Vec<u8>,
}

pub struct LinkOptions {
    pub broker: Broker,
    pub client_id: String,
    /// Who logs in, where the broker asks.
    pub user: String,
    /// Retained `online`, last will `offline`.
    pub status_topic: Option<String>,
    pub subscriptions: Vec<String>,
    pub heard: Option<mpsc::Sender<Heard>>,
}

pub enum Order {
    /// Publish; the answer comes when nothing is unacknowledged any more.
    Publish(Vec<Message>, oneshot::Sender<()>),
    /// Drop the connection without a DISCONNECT, so that the broker publishes the will.
    GoOffline,
    GoOnline,
    /// DISCONNECT once everything is acknowledged, and end.
    Close,
}

/// Runs a link until it is told to close. Errors: a broker that is never reached, a flood.
pub async fn run(options: LinkOptions, mut orders: mpsc::Receiver<Order>) -> Result<(), LinkError> {
    let mut link = Link { options, queue: VecDeque::new(), next_id: 0, waiting: Vec::new(), was_connected: false, failures: 0 };
    let give_up_at = Instant::now() + FIRST_CONNECT;
    loop {
        match link.session(&mut orders).await? {
            Ended::Closed => return Ok(()),
            Ended::Flooded => {
                return Err(LinkError::Flooded { client_id: link.options.client_id });
            }
            Ended::ToldOffline => {
                if !link.stay_offline(&mut orders).await {
                    return Ok(());
                }
            }
            Ended::Refused(reason) if !link.was_connected => {
                return Err(LinkError::Refused { user: link.options.user, reason });
            }
            Ended::Lost(last) | Ended::Refused(last) if !link.was_connected && give_up_at <= Instant::now() => {
                let Broker { host, port, .. } = link.options.broker;
                return Err(LinkError::NoBroker { host, port, last });
            }
            Ended::Lost(error) | Ended::Refused(error) => {
                warn!(client = link.options.client_id, error, "no connection to the broker, will reconnect");
                sleep(link.back_off()).await;
            }
        }
    }
}

/// Why a session ended.
enum Ended {
    Closed,
    ToldOffline,
    Flooded,
    /// By the broker's users or by certificates.
    Refused(String),
    Lost(String),
}

struct Link {
    options: LinkOptions,
    /// Not yet acknowledged, in order.
    queue: VecDeque<(u64, Message)>,
    next_id: u64,
    /// Answered when the queue is empty.
    waiting: Vec<oneshot::Sender<()>>,
    was_connected: bool,
    failures: i32,
}

/// One connection: which messages were handed to the client, and which packet ids they got.
struct Session {
    client: AsyncClient,
    connected: bool,
    closing: bool,
    /// Messages at the front of the queue that were handed over.
    handed: usize,
    /// Handed over, without a packet id yet.
    unnumbered: VecDeque<u64>,
    numbered: HashMap<u16, u64>,
}

impl Link {
    async fn session(&mut self, orders: &mut mpsc::Receiver<Order>) -> Result<Ended, LinkError> {
        let (client, mut eventloop) = self.client()?;
        let mut session =
            Session { client, connected: false, closing: false, handed: 0, unnumbered: VecDeque::new(), numbered: HashMap::new() };
        loop {
            // `poll` is not cancelled by an order: a cancelled one may lose the packet that it is writing.
            let mut poll = pin!(eventloop.poll());
            let event = loop {
                if let Err(error) = self.hand_over(&mut session) {
                    return Ok(Ended::Lost(error.to_string()));
                }
                tokio::select! {
                    event = &mut poll => break event,
                    // Without a connection there is no will to provoke and nobody to say good-bye to: orders wait.
                    order = orders.recv(), if session.connected && !session.closing => match order {
                        Some(Order::Publish(messages, done)) => self.accept(messages, done),
                        Some(Order::GoOffline) => return Ok(Ended::ToldOffline),
                        Some(Order::GoOnline) => {}
                        Some(Order::Close) | None => session.closing = true,
                    },
                }
            };
            if let Some(ended) = self.handle(event, &mut session) {
                return Ok(ended);
            }
        }
    }

    fn client(&self) -> Result<(AsyncClient, EventLoop), AccessError> {
        let LinkOptions { broker, client_id, user, status_topic, .. } = &self.options;
        let mut options = MqttOptions::new(client_id, &broker.host, broker.port);
        broker.access.apply(user, &mut options)?;
        options.set_keep_alive(KEEP_ALIVE);
        options.set_clean_start(!self.was_connected);
        options.set_session_expiry_interval(Some(if self.options.heard.is_some() { SESSION_S } else { 0 }));
        options.set_max_packet_size(Some(PACKET_BYTES_MAX));
        options.set_outgoing_inflight_upper_limit(WINDOW_MESSAGES as u16);
        let mut network = rumqttc::NetworkOptions::new();
        network.set_tcp_nodelay(true);
        options.set_network_options(network);
        if let Some(topic) = status_topic {
            options.set_last_will(LastWill::new(topic.clone(), "offline", QoS::AtLeastOnce, true, None));
        }
        Ok(AsyncClient::new(options, WINDOW_MESSAGES + ORDERS_MAX))
    }

    fn accept(&mut self, messages: Vec<Message>, done: oneshot::Sender<()>) {
        for message in messages {
            self.queue.push_back((self.next_id, message));
            self.next_id += 1;
        }
        self.waiting.push(done);
        self.answer();
    }

    /// Hands messages to the client as far as the window allows.
    fn hand_over(&self, session: &mut Session) -> Result<(), Box<ClientError>> {
        while session.connected && session.handed < self.queue.len().min(WINDOW_MESSAGES) {
            let (id, message) = &self.queue[session.handed];
            let payload = message.payload.clone();
            session.client.try_publish(&message.topic, QoS::AtLeastOnce, message.retain, payload).map_err(Box::new)?;
            session.unnumbered.push_back(*id);
            session.handed += 1;
        }
        if session.connected && session.closing && self.queue.is_empty() {
            session.client.try_disconnect().map_err(Box::new)?;
            session.connected = false;
        }
        Ok(())
    }

    fn handle(&mut self, event: Result<Event, ConnectionError>, session: &mut Session) -> Option<Ended> {
        match event {
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                debug!(client = self.options.client_id, "connected");
                (self.was_connected, self.failures, session.connected) = (true, 0, true);
                self.announce();
                for filter in &self.options.subscriptions {
                    if let Err(error) = session.client.try_subscribe(filter, QoS::AtLeastOnce) {
                        return Some(Ended::Lost(error.to_string()));
                    }
                }
            }
            Ok(Event::Outgoing(Outgoing::Publish(packet_id))) => {
                if let Some(id) = session.unnumbered.pop_front() {
                    session.numbered.insert(packet_id, id);
                }
            }
            Ok(Event::Incoming(Packet::PubAck(ack))) => {
                if !matches!(ack.reason, PubAckReason::Success | PubAckReason::NoMatchingSubscribers) {
                    return Some(Ended::Lost(format!("the broker refuses a message: {:?}", ack.reason)));
                }
                let acknowledged = session.numbered.remove(&ack.pkid);
                if let Some(position) = self.queue.iter().position(|(id, _)| Some(*id) == acknowledged) {
                    self.queue.remove(position);
                    session.handed -= 1;
                    self.answer();
                }
            }
            Ok(Event::Incoming(Packet::Publish(publish))) => {
                let heard = Heard { topic: String::from_utf8_lossy(&publish.topic).into_owned(), payload: publish.payload.to_vec() };
                if self.options.heard.as_ref().is_some_and(|sender| sender.try_send(heard).is_err()) {
                    return Some(Ended::Flooded);
                }
            }
            Ok(Event::Outgoing(Outgoing::Disconnect)) => return Some(Ended::Closed),
            Ok(_) => {}
            Err(ConnectionError::ConnectionRefused(
                reason @ (ConnectReturnCode::NotAuthorized | ConnectReturnCode::BadUserNamePassword),
            )) => return Some(Ended::Refused(format!("{reason:?}"))),
            Err(error @ ConnectionError::Tls(_)) => return Some(Ended::Refused(error.to_string())),
            Err(error) => return Some(Ended::Lost(error.to_string())),
        }
        None
    }

    /// Puts `online` before everything else.
    fn announce(&mut self) {
        let Some(topic) = self.options.status_topic.clone() else {
            return;
        };
        self.queue.retain(|(_, message)| message.topic != topic);
        self.queue.push_front((self.next_id, Message { topic, payload: b"online".to_vec(), retain: true }));
        self.next_id += 1;
    }

    fn answer(&mut self) {
        if self.queue.is_empty() {
            for done in self.waiting.drain(..) {
                if done.send(()).is_err() {
                    debug!(client = self.options.client_id, "acknowledged after the run stopped waiting");
                }
            }
        }
    }

    /// Waits for the order to come back; false if the link is to end instead.
    async fn stay_offline(&mut self, orders: &mut mpsc::Receiver<Order>) -> bool {
        loop {
            match orders.recv().await {
                Some(Order::GoOnline) => return true,
                Some(Order::GoOffline) => {}
                Some(Order::Publish(messages, done)) => self.accept(messages, done),
                Some(Order::Close) | None => return false,
            }
        }
    }

    fn back_off(&mut self) -> Duration {
        let longest_ms = (RECONNECT_MS.0 * 2_f64.powi(self.failures)).min(RECONNECT_MS.1);
        let jitter = Key::new(0).text(&self.options.client_id).number(i64::from(self.failures)).within(0.5, 1.0);
        self.failures = (self.failures + 1).min(10);
        Duration::from_millis((longest_ms * jitter) as u64)
    }
}
