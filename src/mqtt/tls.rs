//! What of TLS lies under an error of a connection, with its remedy.

use std::error::Error;

use rustls::CertificateError as Certificate;

/// None if the error has nothing to do with TLS.
#[must_use]
pub fn fault(error: &(dyn Error + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        // An error of input and output names as its source what lies under the error that it holds, so the held one is looked at here.
        let held = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let found: Option<&rustls::Error> = held.and_then(|held| held.downcast_ref()).or_else(|| error.downcast_ref());
        if let Some(found) = found {
            return Some(format!("{found}; {}", remedy(found)));
        }
        next = error.source();
    }
    None
}

fn remedy(error: &rustls::Error) -> &'static str {
    match error {
        rustls::Error::InvalidCertificate(Certificate::Expired | Certificate::ExpiredContext { .. }) => {
            "the broker's certificate has run out: renew it there, or correct this machine's clock"
        }
        rustls::Error::InvalidCertificate(Certificate::NotValidYet | Certificate::NotValidYetContext { .. }) => {
            "the broker's certificate is not valid yet: correct this machine's clock, or the certificate"
        }
        rustls::Error::InvalidCertificate(Certificate::UnknownIssuer | Certificate::BadSignature) => {
            "the broker's certificate is of another authority: name the one that signed it in broker.ca_file"
        }
        rustls::Error::InvalidCertificate(Certificate::NotValidForName | Certificate::NotValidForNameContext { .. }) => {
            "the broker's certificate is for another name: write a name of the certificate in broker.url, or have it issued for this one"
        }
        rustls::Error::AlertReceived(_) => {
            "the broker does not take this side's certificate: give broker.cert_file and broker.key_file of an authority that it trusts, not run out"
        }
        rustls::Error::InvalidMessage(_) => "the broker does not speak TLS at this port: correct the port, or write mqtt:// in broker.url",
        _ => "check the certificates of both sides",
    }
}
