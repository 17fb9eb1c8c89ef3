//! Settings of the outbox to `InfluxDB` 2, and other secrets from files.

use std::path::{Path, PathBuf};

/// A server of `InfluxDB` 2 and what of it is ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Influx {
    /// `http://host:port` or `https://…`, without a slash at the end.
    pub url: String,
    pub org: String,
    pub bucket: String,
    pub token: Secret,
    /// Where the token came from, if not from the environment: it may be read again.
    pub token_file: Option<PathBuf>,
    /// Seconds that a write may take before it is tried again.
    pub request_s: u16,
    /// Seconds that a point may wait before a warning is logged.
    pub delay_warn_s: u16,
}

impl Influx {
    /// What tells one place of delivery from another: not the token, which may change.
    #[must_use]
    pub fn target(&self) -> String {
        format!("{} {} {}", self.url, self.org, self.bucket)
    }
}

/// A text that never reaches a log.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    #[must_use]
    pub fn new(text: String) -> Secret {
        Secret(text)
    }

    /// The text, for whom it is meant.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The first line of a file.
    pub fn of_file(file: &Path) -> std::io::Result<Secret> {
        let text = std::fs::read_to_string(file)?;
        Ok(Secret(text.lines().next().unwrap_or_default().trim().to_owned()))
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

/// An address of a web server, without a slash at the end.
#[must_use]
pub fn web_address(url: &str) -> Option<String> {
    let parsed = reqwest::Url::parse(url.trim()).ok()?;
    let good = ["http", "https"].contains(&parsed.scheme()) && parsed.host_str().is_some() && parsed.query().is_none();
    good.then(|| url.trim().trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_of_the_web() {
        let cases = [
            ("http://127.0.0.1:8086", Some("http://127.0.0.1:8086")),
            ("https://influx.example/", Some("https://influx.example")),
            ("http://", None),
            ("127.0.0.1:8086", None),
            ("mqtt://a", None),
            ("", None),
        ];
        for (url, wanted) in cases {
            assert_eq!(web_address(url), wanted.map(str::to_owned), "{url}");
        }
    }

    #[test]
    fn a_secret_never_reaches_a_log() {
        assert!(!format!("{:?}", Secret::new("hush".to_owned())).contains("hush"));
    }
}
