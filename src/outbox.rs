//! The sender: takes what the ledger has for `InfluxDB` out of the store and delivers it.
//!
//! Never touches the engine. Invariants: a portion is struck off only after the server has taken it or refused it for good; memory holds one portion,
//! however long the server is away; what cannot be mended by waiting is buried with the server's answer, and what a person has to mend is held.

use std::path::Path;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{error, info, warn};

use crate::domain::units::Millis;
use crate::influx::{InfluxError, Server, WriteError};
use crate::lines::Lines;
use crate::store::StoreError;
use crate::store::outbox::{Backlog, Outbox};

/// Lines of one request.
pub const LINES_MAX: u32 = 5_000;
/// A portion smaller than that waits so long for company.
const PORTION_WAIT: Duration = Duration::from_secs(1);
const RETRY_DELAY_MS_MIN: u64 = 250;
const RETRY_DELAY_MS_MAX: u64 = 30_000;
/// While the server refuses the token.
const HELD_DELAY_MS: u64 = 10_000;
/// Refused pieces of one portion that are looked for line by line; beyond, pieces are buried as they are.
const LETTERS_PER_PORTION_MAX: u32 = 32;
/// How often the backlog is counted.
const COUNT_EVERY: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Influx(#[from] InfluxError),
}

/// How the sender is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The server refuses the token: its answer.
    pub held: Option<String>,
    /// The last attempt failed: why.
    pub failing: Option<String>,
    pub backlog: Backlog,
    /// How long the oldest point has waited, in milliseconds.
    pub delay_ms: i64,
}

/// Until when to go on: for ever, or until a moment and not after the first failure.
pub type End = Option<Instant>;

pub struct Sender {
    outbox: Outbox,
    server: Server,
    state: watch::Sender<State>,
    end: watch::Receiver<End>,
    /// The wall clock.
    now: fn() -> Millis,
    delay_warn_ms: i64,
    letters: u32,
    late: bool,
    counted: Option<Instant>,
}

/// The server has taken it, or it is time to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Delivered {
    Yes,
    Ended,
}

impl Sender {
    /// Prepares a sender for the outbox of `folder`; nothing is sent before [`Sender::run`].
    pub fn new(
        folder: &Path,
        influx: &crate::config::influx::Influx,
        state: watch::Sender<State>,
        end: watch::Receiver<End>,
        now: fn() -> Millis,
    ) -> Result<Sender, OutboxError> {
        Ok(Sender {
            outbox: Outbox::open(folder)?,
            server: Server::new(influx)?,
            state,
            end,
            now,
            delay_warn_ms: i64::from(influx.delay_warn_s) * 1000,
            letters: 0,
            late: false,
            counted: None,
        })
    }

    /// Delivers until the end is told: then what is left, as long as it may and the server takes it. The rest stays in the store.
    pub async fn run(mut self) -> Result<(), OutboxError> {
        loop {
            let portion = self.outbox.next(LINES_MAX)?;
            self.tell(portion.oldest)?;
            if !portion.is_empty() {
                self.letters = 0;
                if self.deliver_all(&portion.lines).await? == Delivered::Ended {
                    break;
                }
                self.outbox.done(&portion)?;
            }
            let ending = *self.end.borrow();
            match ending {
                Some(_) if portion.is_empty() => break,
                Some(end) if end <= Instant::now() => break,
                None if portion.lines.count < LINES_MAX => self.pause(PORTION_WAIT).await,
                Some(_) | None => {}
            }
        }
        self.counted = None;
        self.tell(None)?;
        let Backlog { lines, keys, filling } = self.state.borrow().backlog;
        if lines + keys > 0 || filling {
            warn!(lines, keys, filling, "not everything has reached InfluxDB; the rest goes with the next start");
        }
        Ok(())
    }

    /// Body by body.
    async fn deliver_all(&mut self, lines: &Lines) -> Result<Delivered, OutboxError> {
        let mut rest = lines.clone();
        while !rest.is_empty() {
            let body = rest.split_front(LINES_MAX);
            if self.deliver(body).await? == Delivered::Ended {
                return Ok(Delivered::Ended);
            }
        }
        Ok(Delivered::Yes)
    }

    /// Tries until the server has taken the body, in pieces where it must be.
    async fn deliver(&mut self, body: Lines) -> Result<Delivered, OutboxError> {
        let mut pieces = vec![body];
        let mut delay_ms = RETRY_DELAY_MS_MIN;
        while let Some(piece) = pieces.pop() {
            let wait_ms = match self.server.write(piece.text.clone()).await {
                Ok(()) => {
                    self.succeeded(piece.count);
                    delay_ms = RETRY_DELAY_MS_MIN;
                    continue;
                }
                Err(WriteError::TooLarge(_)) if piece.count > 1 => {
                    pieces.extend(halves(piece));
                    continue;
                }
                // One bad line must not take its neighbours along.
                Err(WriteError::Refused { status: 400 | 422, .. }) if piece.count > 1 && self.letters < LETTERS_PER_PORTION_MAX => {
                    pieces.extend(halves(piece));
                    continue;
                }
                Err(WriteError::TooLarge(detail)) => {
                    self.bury(413, &detail, &piece)?;
                    continue;
                }
                Err(WriteError::Refused { status, detail }) => {
                    self.bury(status, &detail, &piece)?;
                    continue;
                }
                Err(refused @ WriteError::Forbidden { .. }) => {
                    self.held(&refused.to_string());
                    HELD_DELAY_MS
                }
                Err(WriteError::Later(detail)) => {
                    self.failed(&detail, delay_ms);
                    let wait_ms = delay_ms + crate::mqtt::jitter(piece.text.len() as u64, delay_ms / 4);
                    delay_ms = (delay_ms * 2).min(RETRY_DELAY_MS_MAX);
                    wait_ms
                }
            };
            if self.end.borrow().is_some() {
                return Ok(Delivered::Ended);
            }
            pieces.push(piece);
            self.tell(self.oldest()?)?;
            self.pause(Duration::from_millis(wait_ms)).await;
        }
        Ok(Delivered::Yes)
    }

    fn oldest(&self) -> Result<Option<Millis>, OutboxError> {
        Ok(self.outbox.oldest()?)
    }

    fn succeeded(&self, lines: u32) {
        metrics::counter!("nengtan_influx_lines_total").increment(lines.into());
        if self.trouble(None, None) != (None, None) {
            info!("InfluxDB takes lines again");
        }
    }

    fn failed(&self, detail: &str, retry_ms: u64) {
        metrics::counter!("nengtan_influx_failures_total").increment(1);
        if self.trouble(None, Some(detail.to_owned())).1.is_none() {
            warn!(cause = detail, retry_ms, "InfluxDB does not take lines; they wait in the store");
        }
    }

    fn held(&self, detail: &str) {
        metrics::counter!("nengtan_influx_failures_total").increment(1);
        if self.trouble(Some(detail.to_owned()), None).0.is_none() {
            error!(
                cause = detail,
                "InfluxDB refuses the token; lines wait in the store until INFLUX_TOKEN or the token's rights are mended"
            );
        }
    }

    /// Publishes what is wrong and gives what was.
    fn trouble(&self, held: Option<String>, failing: Option<String>) -> (Option<String>, Option<String>) {
        let mut was = (None, None);
        self.state.send_modify(|state| {
            was = (std::mem::replace(&mut state.held, held), std::mem::replace(&mut state.failing, failing));
        });
        was
    }

    fn bury(&mut self, status: u16, detail: &str, piece: &Lines) -> Result<(), OutboxError> {
        self.letters += 1;
        metrics::counter!("nengtan_influx_dead_letters_total").increment(1);
        error!(status, cause = detail, lines = piece.count, "InfluxDB refuses lines for good; they are kept as a dead letter");
        Ok(self.outbox.bury((self.now)(), status, detail, piece)?)
    }

    /// Publishes delay and backlog.
    fn tell(&mut self, oldest: Option<Millis>) -> Result<(), OutboxError> {
        let delay_ms = oldest.map_or(0, |oldest| (self.now)().ms_since(oldest).max(0));
        metrics::gauge!("nengtan_influx_delay_seconds").set(delay_ms as f64 / 1000.0);
        match (self.late, self.delay_warn_ms < delay_ms) {
            (false, true) => warn!(delay_s = delay_ms / 1000, limit_s = self.delay_warn_ms / 1000, "InfluxDB lags behind the ledger"),
            (true, false) => info!("InfluxDB has caught up with the ledger"),
            (false, false) | (true, true) => {}
        }
        self.late = self.delay_warn_ms < delay_ms;
        let due = self.counted.is_none_or(|counted| COUNT_EVERY <= counted.elapsed());
        let backlog = due.then(|| self.outbox.backlog()).transpose()?;
        if let Some(backlog) = backlog {
            self.counted = Some(Instant::now());
            metrics::gauge!("nengtan_influx_backlog_lines").set(backlog.lines as f64);
            metrics::gauge!("nengtan_influx_backlog_keys").set(backlog.keys as f64);
        }
        self.state.send_modify(|state| (state.backlog, state.delay_ms) = (backlog.unwrap_or(state.backlog), delay_ms));
        Ok(())
    }

    /// Waits, but not beyond the end.
    async fn pause(&mut self, length: Duration) {
        tokio::select! {
            () = tokio::time::sleep(length) => {}
            // An end that nobody can tell any more has been told.
            _ended = self.end.wait_for(Option::is_some) => {}
        }
    }
}

fn halves(mut piece: Lines) -> [Lines; 2] {
    let front = piece.split_front(piece.count / 2);
    // The stack gives the front first.
    [piece, front]
}
