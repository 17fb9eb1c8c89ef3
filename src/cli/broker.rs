//! The flags that name a broker, and the proof of it.

use super::CliError;
use crate::config::settings::Settings;
use crate::mqtt::probe::{self, ProbeError};

/// The password comes from `NENGTAN__BROKER__PASSWORD` or a file.
#[derive(clap::Args)]
pub struct BrokerFlags {
    /// The broker, as mqtt://HOST:PORT, or mqtts://HOST:PORT for TLS.
    #[arg(long, value_name = "URL")]
    broker: Option<String>,
    /// Who logs in at the broker; the password comes from `NENGTAN__BROKER__PASSWORD` or a file.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// A file whose first line is the password.
    #[arg(long, value_name = "FILE")]
    password_file: Option<String>,
    /// The authority that signed the broker's certificate (PEM) [default: those of the system].
    #[arg(long, value_name = "FILE")]
    ca_file: Option<String>,
    /// A certificate to show to the broker (PEM).
    #[arg(long, value_name = "FILE")]
    cert_file: Option<String>,
    /// The certificate's private key (PEM).
    #[arg(long, value_name = "FILE")]
    key_file: Option<String>,
    /// The version of MQTT: 5, or 3 for 3.1.1.
    #[arg(long, value_name = "VERSION")]
    mqtt: Option<String>,
}

impl BrokerFlags {
    /// The flags that were given, by key of the settings.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        let all = [
            ("broker.url", &self.broker),
            ("broker.username", &self.user),
            ("broker.password_file", &self.password_file),
            ("broker.ca_file", &self.ca_file),
            ("broker.cert_file", &self.cert_file),
            ("broker.key_file", &self.key_file),
            ("broker.mqtt", &self.mqtt),
        ];
        all.into_iter().filter_map(|(key, value)| Some((key, value.clone()?))).collect()
    }
}

/// Proves the broker; gives what is to be said of it.
pub fn prove(settings: &Settings, zone: &str) -> Result<String, CliError> {
    let runtime = tokio::runtime::Runtime::new()?;
    let proof = runtime.block_on(probe::prove(&settings.broker, zone)).map_err(|error: ProbeError| CliError::Failure(error.into()))?;
    Ok(format!("broker     {proof}"))
}
