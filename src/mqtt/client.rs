//! MQTT 5 and 3.1.1 behind one client: nothing outside this file knows which of them is spoken.
//!
//! Never waits for a queue: what finds no room is said to have found none. What 3.1.1 cannot say: the window and the largest packet (the broker's own
//! limits hold), that the collector does not want its own messages back (they are passed over by topic), why a publication was refused.

use std::time::Duration;

use rumqttc::v5::mqttbytes::v5 as five;
use rumqttc::{NetworkOptions, TlsConfiguration, Transport, v5};

use super::tls;
use crate::config::broker::{Broker, Version};

/// The largest packet that is read. A broker drops larger ones itself (MQTT 5 announces the limit), so none can come back for ever. Far more than
/// any payload we take, so that an oversized one becomes a dead letter that somebody sees.
const PACKET_BYTES_MAX: u32 = 64 * 1024 * 1024;
/// 3.1.1 announces no limit, and a packet that breaks the connection would come back for ever: the largest there can be (3.1.1, 2.2.3), and a header.
const PACKET_BYTES_MAX_V3: usize = 268_435_455 + 5;
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// The session outlives any absence of the collector (MQTT 5, 3.1.2.11.2: does not expire).
const SESSION_EXPIRY_S: u32 = u32::MAX;

/// Who connects.
pub struct Session<'a> {
    pub client_id: &'a str,
    /// The broker keeps what comes while the client is away; else it forgets an earlier session of this id, too.
    pub kept: bool,
}

#[derive(Clone, Debug)]
pub enum Client {
    V3(rumqttc::AsyncClient),
    V5(v5::AsyncClient),
}

pub enum EventLoop {
    V3(Box<rumqttc::EventLoop>),
    V5(Box<v5::EventLoop>),
}

#[derive(Debug)]
pub enum Received {
    V3(rumqttc::Publish),
    V5(five::Publish),
}

/// What a connection tells.
pub enum Heard {
    Connected {
        session_present: bool,
    },
    /// With what the broker says if it did not grant at least once.
    Subscribed {
        refused: Option<String>,
    },
    Message(Received),
    /// A publication; 3.1.1 has no refusals.
    Acknowledged {
        refused: Option<String>,
    },
    /// Our own end of the connection.
    Ended,
    Other,
}

/// Why there is no connection.
#[derive(Debug)]
pub enum Trouble {
    /// Another client has the session.
    TakenOver,
    /// By the broker's rules; waiting does not mend it.
    Refused(String),
    /// Certificates, with a remedy; people mend it.
    Tls(String),
    /// Nobody holds the client any more.
    Done,
    /// Anything that may pass.
    Lost(String),
}

/// Prepares a connection; nothing is sent before [`EventLoop::poll`].
pub fn open(broker: &Broker, session: &Session<'_>) -> (Client, EventLoop) {
    // Acknowledgements are small; held back by Nagle's algorithm they would cost 40 ms a step in lock-step.
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    let transport = match &broker.tls {
        Some(tls) => Transport::tls_with_config(TlsConfiguration::Rustls(tls.clone())),
        None => Transport::tcp(),
    };
    // Room for the acknowledgements of a window, and as many publications.
    let room = 2 * usize::from(broker.window);
    let id = session.client_id;
    match broker.version {
        Version::V3 => {
            let mut options = rumqttc::MqttOptions::new(id, broker.host.clone(), broker.port);
            options.set_clean_session(!session.kept);
            options.set_max_packet_size(PACKET_BYTES_MAX_V3, PACKET_BYTES_MAX_V3);
            if let Some((name, password)) = &broker.login {
                options.set_credentials(name, password);
            }
            options.set_manual_acks(true).set_keep_alive(KEEP_ALIVE).set_transport(transport);
            let (client, mut event_loop) = rumqttc::AsyncClient::new(options, room);
            event_loop.set_network_options(network);
            (Client::V3(client), EventLoop::V3(Box::new(event_loop)))
        }
        Version::V5 => {
            let mut options = v5::MqttOptions::new(id, broker.host.clone(), broker.port);
            options.set_clean_start(!session.kept);
            options.set_session_expiry_interval(session.kept.then_some(SESSION_EXPIRY_S));
            options.set_receive_maximum(Some(broker.window));
            options.set_max_packet_size(Some(PACKET_BYTES_MAX));
            if let Some((name, password)) = &broker.login {
                options.set_credentials(name, password);
            }
            options.set_manual_acks(true).set_keep_alive(KEEP_ALIVE).set_transport(transport).set_network_options(network);
            let (client, event_loop) = v5::AsyncClient::new(options, room);
            (Client::V5(client), EventLoop::V5(Box::new(event_loop)))
        }
    }
}

impl Client {
    /// False if there is no room now.
    #[must_use]
    pub fn subscribe(&self, filter: &str) -> bool {
        match self {
            Client::V3(client) => client.try_subscribe(filter, rumqttc::QoS::AtLeastOnce).is_ok(),
            Client::V5(client) => {
                let subscription = five::Filter {
                    nolocal: true,
                    retain_forward_rule: five::RetainForwardRule::OnNewSubscribe,
                    ..five::Filter::new(filter.to_owned(), v5::mqttbytes::QoS::AtLeastOnce)
                };
                client.try_subscribe_many([subscription]).is_ok()
            }
        }
    }

    /// At least once. False if there is no room now.
    #[must_use]
    pub fn publish(&self, topic: &str, retain: bool, payload: Vec<u8>) -> bool {
        match self {
            Client::V3(client) => client.try_publish(topic, rumqttc::QoS::AtLeastOnce, retain, payload).is_ok(),
            Client::V5(client) => client.try_publish(topic, v5::mqttbytes::QoS::AtLeastOnce, retain, payload).is_ok(),
        }
    }

    /// False if there is no room now.
    #[must_use]
    pub fn acknowledge(&self, received: &Received) -> bool {
        match (self, received) {
            (Client::V3(client), Received::V3(publish)) => client.try_ack(publish).is_ok(),
            (Client::V5(client), Received::V5(publish)) => client.try_ack(publish).is_ok(),
            (Client::V3(_), Received::V5(_)) | (Client::V5(_), Received::V3(_)) => unreachable!("a connection speaks one version"),
        }
    }

    /// False if there is no room now.
    #[must_use]
    pub fn disconnect(&self) -> bool {
        match self {
            Client::V3(client) => client.try_disconnect().is_ok(),
            Client::V5(client) => client.try_disconnect().is_ok(),
        }
    }
}

impl Received {
    pub fn topic(&self) -> &[u8] {
        match self {
            Received::V3(publish) => publish.topic.as_bytes(),
            Received::V5(publish) => &publish.topic,
        }
    }

    pub fn payload(&self) -> &[u8] {
        match self {
            Received::V3(publish) => &publish.payload,
            Received::V5(publish) => &publish.payload,
        }
    }

    /// Lets go of all but what an acknowledgement needs.
    pub fn empty(&mut self) {
        match self {
            Received::V3(publish) => drop((std::mem::take(&mut publish.topic), std::mem::take(&mut publish.payload))),
            Received::V5(publish) => drop((std::mem::take(&mut publish.topic), std::mem::take(&mut publish.payload))),
        }
    }

    pub fn is_at_most_once(&self) -> bool {
        match self {
            Received::V3(publish) => publish.qos == rumqttc::QoS::AtMostOnce,
            Received::V5(publish) => publish.qos == v5::mqttbytes::QoS::AtMostOnce,
        }
    }
}

impl EventLoop {
    pub fn client_id(&self) -> String {
        match self {
            EventLoop::V3(event_loop) => event_loop.mqtt_options.client_id(),
            EventLoop::V5(event_loop) => event_loop.options.client_id(),
        }
    }

    /// Forgets the connection and the acknowledgements that were on their way.
    pub fn clean(&mut self) {
        match self {
            EventLoop::V3(event_loop) => event_loop.clean(),
            EventLoop::V5(event_loop) => event_loop.clean(),
        }
    }

    /// The next thing the connection tells; connects again after trouble.
    pub async fn poll(&mut self) -> Result<Heard, Trouble> {
        match self {
            EventLoop::V3(event_loop) => event_loop.poll().await.map(heard_v3).map_err(trouble_v3),
            EventLoop::V5(event_loop) => event_loop.poll().await.map(heard_v5).map_err(trouble_v5),
        }
    }
}

fn heard_v3(event: rumqttc::Event) -> Heard {
    use rumqttc::{Event, Outgoing, Packet, QoS, SubscribeReasonCode};
    match event {
        Event::Incoming(Packet::ConnAck(ack)) => Heard::Connected { session_present: ack.session_present },
        Event::Incoming(Packet::SubAck(ack)) => {
            let granted = |code: &SubscribeReasonCode| matches!(code, SubscribeReasonCode::Success(QoS::AtLeastOnce | QoS::ExactlyOnce));
            Heard::Subscribed { refused: (!ack.return_codes.iter().all(granted)).then(|| format!("{:?}", ack.return_codes)) }
        }
        Event::Incoming(Packet::Publish(mut publish)) => {
            publish.payload = publish.payload.to_vec().into();
            Heard::Message(Received::V3(publish))
        }
        Event::Incoming(Packet::PubAck(_)) => Heard::Acknowledged { refused: None },
        Event::Outgoing(Outgoing::Disconnect) => Heard::Ended,
        Event::Incoming(_) | Event::Outgoing(_) => Heard::Other,
    }
}

fn heard_v5(event: v5::Event) -> Heard {
    use five::{Packet, PubAckReason, SubscribeReasonCode};
    use v5::Event;
    use v5::mqttbytes::QoS;
    match event {
        Event::Incoming(Packet::ConnAck(ack)) => Heard::Connected { session_present: ack.session_present },
        Event::Incoming(Packet::SubAck(ack)) => {
            let granted = |code: &SubscribeReasonCode| matches!(code, SubscribeReasonCode::Success(QoS::AtLeastOnce | QoS::ExactlyOnce));
            Heard::Subscribed { refused: (!ack.return_codes.iter().all(granted)).then(|| format!("{:?}", ack.return_codes)) }
        }
        Event::Incoming(Packet::Publish(mut publish)) => {
            // As they come they are slices of the client's buffer of 64 KiB: a queue of them would keep as many buffers.
            (publish.topic, publish.payload) = (publish.topic.to_vec().into(), publish.payload.to_vec().into());
            Heard::Message(Received::V5(publish))
        }
        Event::Incoming(Packet::PubAck(ack)) => {
            let taken = matches!(ack.reason, PubAckReason::Success | PubAckReason::NoMatchingSubscribers);
            Heard::Acknowledged { refused: (!taken).then(|| format!("{:?}", ack.reason)) }
        }
        Event::Outgoing(rumqttc::Outgoing::Disconnect) => Heard::Ended,
        Event::Incoming(_) | Event::Outgoing(_) => Heard::Other,
    }
}

fn trouble_v3(error: rumqttc::ConnectionError) -> Trouble {
    use rumqttc::{ConnectReturnCode as Code, ConnectionError};
    match error {
        ConnectionError::ConnectionRefused(
            reason @ (Code::NotAuthorized | Code::BadUserNamePassword | Code::BadClientId | Code::RefusedProtocolVersion),
        ) => Trouble::Refused(format!("{reason:?}")),
        ConnectionError::RequestsDone => Trouble::Done,
        ConnectionError::Tls(under) => handshake(&under),
        other => lost(&other),
    }
}

fn trouble_v5(error: v5::ConnectionError) -> Trouble {
    use five::{ConnectReturnCode as Code, DisconnectReasonCode};
    use v5::{ConnectionError, StateError};
    match error {
        ConnectionError::MqttState(StateError::ServerDisconnect { reason_code: DisconnectReasonCode::SessionTakenOver, .. }) => {
            Trouble::TakenOver
        }
        ConnectionError::ConnectionRefused(
            reason @ (Code::NotAuthorized
            | Code::BadUserNamePassword
            | Code::ClientIdentifierNotValid
            | Code::UnsupportedProtocolVersion
            | Code::Banned),
        ) => Trouble::Refused(format!("{reason:?}")),
        ConnectionError::RequestsDone => Trouble::Done,
        ConnectionError::Tls(under) => handshake(&under),
        // This one does not say what lies under it.
        ConnectionError::MqttState(StateError::Deserialization(under)) => lost(&under),
        other => lost(&other),
    }
}

/// A handshake that was cut short may be a broker that restarts, or one that does not speak TLS.
fn handshake(under: &rumqttc::TlsError) -> Trouble {
    match lost(under) {
        Trouble::Lost(error) => Trouble::Lost(format!("{error} in the handshake; does the broker speak TLS at this port?")),
        other => other,
    }
}

/// What lies under an error decides whether people have to mend it.
fn lost(error: &(dyn std::error::Error + 'static)) -> Trouble {
    tls::fault(error).map_or_else(|| Trouble::Lost(error.to_string()), Trouble::Tls)
}
