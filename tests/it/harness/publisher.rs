//! A gateway of the tests: publishes with `QoS` 1 and knows what was acknowledged.

use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Packet, PubAckReason};
use rumqttc::v5::{Client, Event, MqttOptions};

use super::SOON;

/// Messages handed to the client and not yet sent.
const QUEUE_MAX: usize = 100;

#[derive(Default)]
struct Seen {
    connected: bool,
    acknowledged: usize,
    refused: usize,
    heard: Vec<(String, Vec<u8>)>,
    ended: bool,
}

pub struct Publisher {
    zone: String,
    client: Client,
    seen: Arc<(Mutex<Seen>, Condvar)>,
    sent: usize,
    polling: Option<JoinHandle<()>>,
}

impl Publisher {
    /// Connects, and hears what the collector of `zone` publishes.
    pub fn connect(port: u16, zone: &str) -> Publisher {
        let mut options = MqttOptions::new(format!("test-{port}-{zone}"), "127.0.0.1", port);
        options.set_clean_start(true).set_keep_alive(Duration::from_secs(30)).set_max_packet_size(Some(64 << 20));
        let (client, mut connection) = Client::new(options, QUEUE_MAX);
        let seen = Arc::new((Mutex::new(Seen::default()), Condvar::new()));
        let shared = Arc::clone(&seen);
        let polling = std::thread::spawn(move || {
            for event in connection.iter() {
                let (lock, changed) = &*shared;
                let mut seen = lock.lock().unwrap();
                match event {
                    Ok(Event::Incoming(Packet::SubAck(_))) => seen.connected = true,
                    Ok(Event::Incoming(Packet::PubAck(ack))) => {
                        seen.acknowledged += 1;
                        let taken = matches!(ack.reason, PubAckReason::Success | PubAckReason::NoMatchingSubscribers);
                        seen.refused += usize::from(!taken);
                    }
                    Ok(Event::Incoming(Packet::Publish(publish))) => {
                        let topic = String::from_utf8(publish.topic.to_vec()).unwrap();
                        seen.heard.push((topic, publish.payload.to_vec()));
                    }
                    Ok(_) => {}
                    // A test's publisher does not reconnect: a lost connection is the test's to explain.
                    Err(_) => {
                        seen.ended = true;
                        changed.notify_all();
                        return;
                    }
                }
                changed.notify_all();
            }
        });
        for filter in ["clock/done", "alert/#", "gw/+/backfill", "gw/+/status", "asset/+/command"] {
            client.subscribe(format!("nengtan/{zone}/{filter}"), QoS::AtLeastOnce).unwrap();
        }
        let publisher = Publisher { zone: zone.to_owned(), client, seen, sent: 0, polling: Some(polling) };
        publisher.wait("the publisher is connected", |seen| seen.connected.then_some(()));
        publisher
    }

    fn wait<T>(&self, what: &str, mut found: impl FnMut(&Seen) -> Option<T>) -> T {
        let (lock, changed) = &*self.seen;
        let mut result = None;
        let (seen, timed_out) = changed
            .wait_timeout_while(lock.lock().unwrap(), SOON, |seen| {
                result = found(seen);
                result.is_none() && !seen.ended
            })
            .unwrap();
        result.unwrap_or_else(|| panic!("not within {SOON:?}: {what} (connection lost: {}, {timed_out:?})", seen.ended))
    }

    /// Publishes and waits until the broker has the message; false if it refuses it.
    pub fn publish(&mut self, topic: &str, payload: impl Into<Vec<u8>>) -> bool {
        self.publish_all([(topic.to_owned(), payload.into())]) == 0
    }

    /// Publishes in this order and waits until the broker has them all; gives how many it refused.
    pub fn publish_all(&mut self, messages: impl IntoIterator<Item = (String, Vec<u8>)>) -> usize {
        let refused = self.seen.0.lock().unwrap().refused;
        for (topic, payload) in messages {
            self.client.publish(topic, QoS::AtLeastOnce, false, payload).unwrap();
            self.sent += 1;
        }
        let sent = self.sent;
        self.wait("all publications are acknowledged", |seen| (sent <= seen.acknowledged).then_some(seen.refused)) - refused
    }

    /// Publishes a gateway's status, retained.
    pub fn status(&mut self, gateway: &str, status: &str) {
        self.client.publish(format!("nengtan/{}/gw/{gateway}/status", self.zone), QoS::AtLeastOnce, true, status.to_owned()).unwrap();
        self.sent += 1;
        let sent = self.sent;
        self.wait("the status is acknowledged", |seen| (sent <= seen.acknowledged).then_some(()));
    }

    /// The clock stands at `now` (RFC 3339); returns when the collector has committed all that came before.
    pub fn clock(&mut self, now: &str) {
        let done = |seen: &Seen| seen.heard.iter().filter(|(topic, _)| topic.ends_with("/clock/done")).count();
        let before = done(&self.seen.0.lock().unwrap());
        let payload = format!(r#"{{"now":"{now}","next":"{now}","lockstep":true}}"#);
        assert!(self.publish(&format!("nengtan/{}/clock", self.zone), payload));
        self.wait("the collector is done with the clock", |seen| (before < done(seen)).then_some(()));
    }

    /// What the collector published on topics that contain `part`.
    pub fn heard(&self, part: &str) -> Vec<String> {
        let seen = self.seen.0.lock().unwrap();
        seen.heard
            .iter()
            .filter(|(topic, _)| topic.contains(part))
            .map(|(_, payload)| String::from_utf8_lossy(payload).into_owned())
            .collect()
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        // The connection may be gone with its broker.
        let _gone = self.client.disconnect();
        if let Some(polling) = self.polling.take() {
            let _ended = polling.join();
        }
    }
}
