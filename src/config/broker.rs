//! The broker of the settings: its address, who logs in, and the certificates of a connection by TLS.
//!
//! Invariant: certificates and key were read and fit each other. Neither password nor key reaches a log.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

const PORT: u16 = 1883;
const PORT_TLS: u16 = 8883;

#[derive(Clone)]
pub struct Broker {
    pub host: String,
    pub port: u16,
    /// Name and password.
    pub login: Option<(String, String)>,
    /// None for plain TCP.
    pub tls: Option<Arc<ClientConfig>>,
    pub version: Version,
    /// Messages in flight without an acknowledgement.
    pub window: u16,
}

/// Of MQTT: 3.1.1 or 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    V3,
    V5,
}

impl Broker {
    /// As people write it; without the login.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "mqtts" } else { "mqtt" };
        let Broker { host, port, .. } = self;
        if host.contains(':') { format!("{scheme}://[{host}]:{port}") } else { format!("{scheme}://{host}:{port}") }
    }
}

impl std::fmt::Debug for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let login = self.login.as_ref().map(|(name, _)| name);
        f.debug_struct("Broker")
            .field("url", &self.url())
            .field("login", &login)
            .field("version", &self.version)
            .field("window", &self.window)
            .finish_non_exhaustive()
    }
}

/// Whether it is TLS, host and port of `mqtt://host:port` or `mqtts://host:port`.
#[must_use]
pub fn address(url: &str) -> Option<(bool, String, u16)> {
    let (scheme, rest) = url.split_once("://")?;
    let (tls, default) = match scheme {
        "mqtt" => (false, PORT),
        "mqtts" => (true, PORT_TLS),
        _ => return None,
    };
    let rest = rest.trim_end_matches('/');
    // An address of IPv6 stands in square brackets.
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok().filter(|port| *port != 0)?),
        Some(_) | None => (rest, default),
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let good = !host.is_empty() && !host.contains(['/', '@', '[', ']', ' ']);
    good.then(|| (tls, host.to_owned(), port))
}

/// A file of certificates that does not do: the key of the settings that names it, and what it should be.
#[derive(Debug, PartialEq, Eq)]
pub struct BadFile {
    pub key: &'static str,
    pub wanted: &'static str,
    pub remedy: String,
}

pub const CA_FILE: &str = "broker.ca_file";
pub const CERT_FILE: &str = "broker.cert_file";
pub const KEY_FILE: &str = "broker.key_file";

/// A client that trusts the authorities of `ca_file` (PEM), or those of the system, and shows `own` (certificate chain and key, both PEM) to a
/// broker that asks for it.
#[allow(clippy::missing_panics_doc, reason = "ring always has the default versions")]
pub fn client(ca_file: Option<&Path>, own: Option<(&Path, &Path)>) -> Result<Arc<ClientConfig>, BadFile> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has the default versions of TLS")
        .with_root_certificates(roots(ca_file)?);
    let Some((cert_file, key_file)) = own else {
        return Ok(Arc::new(builder.with_no_client_auth()));
    };
    let chain = certificates(CERT_FILE, cert_file)?;
    let wanted = "a file with the private key of broker.cert_file (PEM, without a passphrase)";
    let bad_key = |detail: String| BadFile { key: KEY_FILE, wanted, remedy: format!("correct it ({detail})") };
    let key = PrivateKeyDer::from_pem_file(key_file).map_err(|error| bad_key(error.to_string()))?;
    builder.with_client_auth_cert(chain, key).map(Arc::new).map_err(|error| bad_key(error.to_string()))
}

fn roots(ca_file: Option<&Path>) -> Result<RootCertStore, BadFile> {
    let wanted = "a file with the certificate of the authority that signed the broker's (PEM)";
    let mut roots = RootCertStore::empty();
    match ca_file {
        Some(file) => {
            for certificate in certificates(CA_FILE, file)? {
                let bad = |error| BadFile { key: CA_FILE, wanted, remedy: format!("correct it ({error})") };
                roots.add(certificate).map_err(bad)?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let none = || BadFile { key: CA_FILE, wanted, remedy: "name one: this system has no certificates of authorities".to_owned() };
    if roots.is_empty() { Err(none()) } else { Ok(roots) }
}

fn certificates(key: &'static str, file: &Path) -> Result<Vec<CertificateDer<'static>>, BadFile> {
    let bad = |detail: String| BadFile { key, wanted: "a file with certificates (PEM)", remedy: format!("correct it ({detail})") };
    let read: Result<Vec<_>, _> = CertificateDer::pem_file_iter(file).map_err(|error| bad(error.to_string()))?.collect();
    let certificates = read.map_err(|error| bad(error.to_string()))?;
    if certificates.is_empty() { Err(bad("there is no certificate in it".to_owned())) } else { Ok(certificates) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_host_and_perhaps_a_port() {
        let cases = [
            ("mqtt://broker", Some((false, "broker", 1883))),
            ("mqtt://10.0.0.1:1884/", Some((false, "10.0.0.1", 1884))),
            ("mqtt://[::1]:1884", Some((false, "::1", 1884))),
            ("mqtt://[::1]", Some((false, "::1", 1883))),
            ("mqtts://broker", Some((true, "broker", 8883))),
            ("mqtts://broker:1", Some((true, "broker", 1))),
            ("mqtt://", None),
            ("mqtt://a:b", None),
            ("ssl://a", None),
            ("a:1883", None),
        ];
        for (url, wanted) in cases {
            assert_eq!(address(url), wanted.map(|(tls, host, port)| (tls, host.to_owned(), port)), "{url}");
        }
    }

    #[test]
    fn a_password_never_reaches_a_log() {
        let login = Some(("me".to_owned(), "hush".to_owned()));
        let broker = Broker { host: "h".into(), port: 1, login, tls: None, version: Version::V5, window: 10 };
        let shown = format!("{broker:?}");
        assert!(shown.contains("me") && !shown.contains("hush"), "{shown}");
    }
}
