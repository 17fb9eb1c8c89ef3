//! `InfluxDB` 2 as this program uses it: writes of line protocol, questions in Flux, a bucket made, a connection proved.
//!
//! Knows nothing of ledgers. Invariants: every request ends within its time limit, that of a write being a setting; what the server says comes back as a
//! value that says whether waiting, splitting or a person can mend it.

pub mod check;
pub mod flux;

use std::path::PathBuf;
use std::time::Duration;

use influxdb2::RequestError;
use influxdb2::api::write::TimestampPrecision;
use reqwest::StatusCode;

use crate::config::influx::{Influx, Secret};

const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// A question may take longer.
const FLUX_TIME_MAX: Duration = Duration::from_secs(300);

/// Why the server has not taken a body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// No connection, no answer in time, 429 or 5xx: to be tried again.
    #[error("{0}")]
    Later(String),
    /// 413: to be split.
    #[error("413: {0}")]
    TooLarge(String),
    /// 400, 404, 422 and whatever else says that this body will never do; and how many of its points were dropped, where the server says so and has taken
    /// the rest.
    #[error("{status}: {detail}")]
    Refused { status: u16, detail: String, dropped: Option<u32> },
    /// 401 or 403: a person has to give another token.
    #[error("{status}: {detail}")]
    Forbidden { status: u16, detail: String },
}

#[derive(Debug, thiserror::Error)]
pub enum InfluxError {
    #[error("InfluxDB at {url}: {detail}; check the address with --influx and that the server runs")]
    Unreachable { url: String, detail: String },
    #[error("InfluxDB at {url} answers {status}: {detail}; {remedy}")]
    Answer { url: String, status: u16, detail: String, remedy: &'static str },
    #[error(
        "organisation {org:?} is not known to InfluxDB at {url}, or the token may not see it; correct --org, or use a token of that organisation"
    )]
    NoOrganisation { url: String, org: String },
    #[error("bucket {bucket:?} is not in organisation {org:?}; make it with `nengtan influx create-bucket`, or correct --bucket")]
    NoBucket { org: String, bucket: String },
    #[error("the token's file {file} cannot be read ({cause}); correct influx.token_file, or its rights")]
    TokenFile { file: PathBuf, cause: std::io::Error },
    #[error("Flux: {0}")]
    Flux(String),
}

/// A server with organisation, bucket and token.
#[derive(Debug)]
pub struct Server {
    target: Influx,
    client: influxdb2::Client,
    http: reqwest::Client,
}

impl Server {
    pub fn new(target: &Influx) -> Result<Server, InfluxError> {
        let failed = |error: &dyn std::error::Error| InfluxError::Unreachable { url: target.url.clone(), detail: causes(error) };
        let builder = || reqwest::Client::builder().connect_timeout(CONNECT_TIME_MAX);
        let writes = builder().timeout(Duration::from_secs(target.request_s.into()));
        let client = influxdb2::ClientBuilder::with_builder(writes, &target.url, &target.org, target.token.expose());
        Ok(Server {
            client: client.build().map_err(|error| failed(&error))?,
            http: builder().timeout(FLUX_TIME_MAX).build().map_err(|error| failed(&error))?,
            target: target.clone(),
        })
    }

    /// Reads the token's file again, where it came from one; gives whether another token is in it, which is used from now on.
    pub fn reread_token(&mut self) -> Result<bool, InfluxError> {
        let Some(file) = &self.target.token_file else { return Ok(false) };
        let token = Secret::of_file(file).map_err(|cause| InfluxError::TokenFile { file: file.clone(), cause })?;
        if token == self.target.token {
            return Ok(false);
        }
        *self = Server::new(&Influx { token, ..self.target.clone() })?;
        Ok(true)
    }

    /// Writes lines with times in milliseconds.
    pub async fn write(&self, body: Vec<u8>) -> Result<(), WriteError> {
        let Influx { org, bucket, .. } = &self.target;
        match self.client.write_line_protocol_with_precision(org, bucket, body, TimestampPrecision::Milliseconds).await {
            Ok(()) => Ok(()),
            Err(RequestError::Http { status, text }) => Err(refusal(status, &text)),
            Err(error) => Err(WriteError::Later(causes(&error))),
        }
    }
}

fn refusal(status: StatusCode, text: &str) -> WriteError {
    let detail = message(text);
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => WriteError::TooLarge(detail),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => WriteError::Forbidden { status: status.as_u16(), detail },
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => WriteError::Later(format!("{}: {detail}", status.as_u16())),
        status if status.is_server_error() => WriteError::Later(format!("{}: {detail}", status.as_u16())),
        status => WriteError::Refused { status: status.as_u16(), detail, dropped: dropped(text) },
    }
}

/// How many points of a body were dropped, as `InfluxDB` 2.7 says it with 422: `partial write: … dropped=3 for database: …`.
fn dropped(text: &str) -> Option<u32> {
    let (_, number) = text.split_once(" dropped=")?;
    number.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
}

/// The server's message, taken out of its JSON.
fn message(text: &str) -> String {
    const CHARS_MAX: usize = 500;
    #[derive(serde::Deserialize)]
    struct Answer {
        message: String,
    }
    let message = serde_json::from_str::<Answer>(text).map_or_else(|_| text.trim().to_owned(), |answer| answer.message);
    message.chars().take(CHARS_MAX).collect()
}

/// An error with all its causes, which reqwest keeps apart.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let more = cause.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_whether_to_wait_to_split_to_give_up_or_to_call_someone() {
        let partial = "partial write: field type conflict: input field \"a\" dropped=12 for database: x";
        let json = r#"{"code":"invalid","message":"unable to parse 'x'"}"#;
        let refused = |status: u16, detail: &str| WriteError::Refused { status, detail: detail.to_owned(), dropped: None };
        let forbidden = |status: u16| WriteError::Forbidden { status, detail: "no".to_owned() };
        let cases = [
            (400, json, refused(400, "unable to parse 'x'")),
            (404, "gone", refused(404, "gone")),
            (422, "no", refused(422, "no")),
            (422, partial, WriteError::Refused { status: 422, detail: partial.to_owned(), dropped: Some(12) }),
            (413, "big", WriteError::TooLarge("big".to_owned())),
            (401, "no", forbidden(401)),
            (403, "no", forbidden(403)),
            (429, "busy", WriteError::Later("429: busy".to_owned())),
            (500, "oh", WriteError::Later("500: oh".to_owned())),
            (503, "", WriteError::Later("503: ".to_owned())),
        ];
        for (status, text, wanted) in cases {
            assert_eq!(refusal(StatusCode::from_u16(status).unwrap(), text), wanted, "{status}");
        }
    }
}
