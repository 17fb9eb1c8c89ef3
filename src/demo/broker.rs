//! The broker inside the process: loopback only, a free port, nothing kept on disk.

use std::net::SocketAddr;
use std::time::Duration;

use mqtt5::broker::config::{StorageBackend, StorageConfig};
use mqtt5::broker::{BrokerConfig, BrokerShutdownHandle, MqttBroker};
use tokio::task::JoinHandle;

/// Messages in flight to one client: the collector's window.
const INFLIGHT_MAX: u16 = 1000;
/// Messages waiting for one client. In lock-step a step fits; beyond, publishers wait.
const QUEUE_MAX: usize = 10_000;
const PACKET_BYTES_MAX: usize = 1024 * 1024 + 4096;
const STOP_WAIT: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
pub enum EmbeddedBrokerError {
    #[error("embedded broker: {0}; try again, or use an own broker with `nengtan collect`")]
    Start(#[from] mqtt5::MqttError),
    #[error("embedded broker: it has no address; try again, or use an own broker with `nengtan collect`")]
    NoAddress,
    #[error("embedded broker: it ended before it was ready; try again")]
    Ended,
}

pub struct EmbeddedBroker {
    address: SocketAddr,
    stop: BrokerShutdownHandle,
    running: JoinHandle<mqtt5::error::Result<()>>,
}

impl EmbeddedBroker {
    /// Starts the broker and waits until it takes connections.
    pub async fn start() -> Result<EmbeddedBroker, EmbeddedBrokerError> {
        let mut config = BrokerConfig::new()
            .with_bind_address(SocketAddr::from(([127, 0, 0, 1], 0)))
            .with_max_packet_size(PACKET_BYTES_MAX)
            .with_storage(StorageConfig { backend: StorageBackend::Memory, ..StorageConfig::default() });
        config.max_outbound_inflight = INFLIGHT_MAX;
        config.client_channel_capacity = QUEUE_MAX;
        config.sys_topics_enabled = false;
        config.auth_config.allow_anonymous = true;
        let mut broker = MqttBroker::with_config(config).await?;
        let address = broker.local_addr().ok_or(EmbeddedBrokerError::NoAddress)?;
        let mut ready = broker.ready_receiver();
        let stop = broker.shutdown_handle();
        let running = tokio::spawn(async move { broker.run().await });
        ready.wait_for(|ready| *ready).await.map_err(|_| EmbeddedBrokerError::Ended)?;
        Ok(EmbeddedBroker { address, stop, running })
    }

    pub fn url(&self) -> String {
        format!("mqtt://{}", self.address)
    }

    pub fn host(&self) -> String {
        self.address.ip().to_string()
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Ends the broker; sessions die with it.
    pub async fn stop(self) -> Result<(), EmbeddedBrokerError> {
        self.stop.shutdown();
        match tokio::time::timeout(STOP_WAIT, self.running).await {
            Ok(Ok(ended)) => Ok(ended?),
            // It dies with the process.
            Ok(Err(_)) | Err(_) => Ok(()),
        }
    }
}
