//! What the fleet's connections show to a broker that does not let everybody in.
//!
//! Each gateway is a user of its own, and so is `fleet`, who tells the clock. A folder of credentials holds `NAME.password`, or `NAME.crt` with `NAME.key`,
//! or both, for each of them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rumqttc::v5::MqttOptions;
use rumqttc::{TlsConfiguration, Transport};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

/// Who tells the clock.
pub const CLOCK_USER: &str = "fleet";

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    pub tls: bool,
    /// The authority that signed the broker's certificate; without one those of the system.
    pub ca_file: Option<PathBuf>,
    pub credentials: Option<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
#[error("{}: {detail}; wanted {wanted}", file.display())]
pub struct AccessError {
    file: PathBuf,
    wanted: &'static str,
    detail: String,
}

impl Access {
    /// Puts what `user` needs into the options of a connection.
    pub fn apply(&self, user: &str, options: &mut MqttOptions) -> Result<(), AccessError> {
        let file = |kind: &str| self.credentials.as_ref().map(|folder| folder.join(format!("{user}.{kind}"))).filter(|file| file.exists());
        if let Some(file) = file("password") {
            let wanted = "a file whose first line is the password";
            let text = std::fs::read_to_string(&file).map_err(|error| AccessError { file, wanted, detail: error.to_string() })?;
            options.set_credentials(user, text.lines().next().unwrap_or_default());
        }
        if self.tls {
            let tls = client(self.ca_file.as_deref(), file("crt").zip(file("key")))?;
            options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(Arc::new(tls))));
        }
        Ok(())
    }
}

fn client(ca_file: Option<&Path>, own: Option<(PathBuf, PathBuf)>) -> Result<ClientConfig, AccessError> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        Some(file) => roots.add_parsable_certificates(certificates(file)?),
        None => roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs),
    };
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has the default versions of TLS")
        .with_root_certificates(roots);
    let Some((cert_file, key_file)) = own else {
        return Ok(builder.with_no_client_auth());
    };
    let chain = certificates(&cert_file)?;
    let bad = |detail: String| AccessError { file: key_file.clone(), wanted: "the private key of the certificate beside it (PEM)", detail };
    let key = PrivateKeyDer::from_pem_file(&key_file).map_err(|error| bad(error.to_string()))?;
    builder.with_client_auth_cert(chain, key).map_err(|error| bad(error.to_string()))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, AccessError> {
    let bad = |detail: String| AccessError { file: file.to_owned(), wanted: "certificates (PEM)", detail };
    let read: Result<Vec<_>, _> = CertificateDer::pem_file_iter(file).map_err(|error| bad(error.to_string()))?.collect();
    read.map_err(|error| bad(error.to_string()))
}
