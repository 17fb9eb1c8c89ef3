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
use crate::store::sending::{Backlog, Outbox};

/// Lines of one request.
pub const LINES_MAX: u32 = 5_000;
/// A portion smaller than that waits so long for company.
const PORTION_WAIT: Duration = Duration::from_secs(1);
const RETRY_DELAY_MS_MIN: u64 = 250;
const RETRY_DELAY_MS_MAX: u64 = 30_000;
/// While the server refuses the token.
const HELD_DELAY_MS: u64 = 10_000;
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
    /// How long the oldest of what waits has waited, in milliseconds.
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
    late: bool,
    counted: Option<Instant>,
}

/// How long the server is left alone after failures in a row.
#[derive(Clone, Copy, Debug, Default)]
struct BackOff {
    failures: u32,
}

impl BackOff {
    /// Milliseconds until the next attempt: doubled with each failure up to the limit, less up to a quarter by `chance` (a number below the one it is
    /// given), so that senders that failed together do not come again together.
    fn next_ms(&mut self, chance: impl Fn(u64) -> u64) -> u64 {
        let full = RETRY_DELAY_MS_MIN.saturating_mul(2_u64.saturating_pow(self.failures)).min(RETRY_DELAY_MS_MAX);
        self.failures = self.failures.saturating_add(1);
        full - chance(full / 4)
    }
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
            late: false,
            counted: None,
        })
    }

    /// Delivers until the end is told: then what is left, as long as it may and the server takes it. The rest stays in the store.
    pub async fn run(mut self) -> Result<(), OutboxError> {
        loop {
            let portion = self.outbox.next(LINES_MAX)?;
            self.tell()?;
            if !portion.is_empty() {
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
        self.tell()?;
        let Backlog { lines, keys, filling, .. } = self.state.borrow().backlog;
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
        let mut back_off = BackOff::default();
        while let Some(piece) = pieces.pop() {
            let wait_ms = match self.server.write(piece.text.clone()).await {
                Ok(()) => {
                    self.succeeded(piece.count);
                    back_off = BackOff::default();
                    continue;
                }
                Err(WriteError::TooLarge(_)) if piece.count > 1 => {
                    pieces.extend(halves(piece));
                    continue;
                }
                // One bad line must not take its neighbours along, unless the server says that it wants none of them.
                Err(WriteError::Refused { status: 400 | 422, dropped, .. }) if piece.count > 1 && dropped != Some(piece.count) => {
                    pieces.extend(halves(piece));
                    continue;
                }
                Err(WriteError::TooLarge(detail)) => {
                    self.bury(413, &detail, &piece)?;
                    continue;
                }
                Err(WriteError::Refused { status, detail, .. }) => {
                    self.bury(status, &detail, &piece)?;
                    continue;
                }
                Err(refused @ WriteError::Forbidden { .. }) => match self.server.reread_token() {
                    Ok(true) => {
                        pieces.push(piece);
                        continue;
                    }
                    Ok(false) => self.held(&refused.to_string()),
                    Err(unread) => self.held(&format!("{refused}; {unread}")),
                },
                Err(WriteError::Later(detail)) => {
                    let wait_ms = back_off.next_ms(|below| crate::mqtt::jitter(piece.text.len() as u64, below));
                    self.failed(&detail, wait_ms);
                    wait_ms
                }
            };
            if self.end.borrow().is_some() {
                return Ok(Delivered::Ended);
            }
            pieces.push(piece);
            self.tell()?;
            self.pause(Duration::from_millis(wait_ms)).await;
        }
        Ok(Delivered::Yes)
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

    /// Gives how long to wait, in milliseconds.
    fn held(&self, detail: &str) -> u64 {
        metrics::counter!("nengtan_influx_failures_total").increment(1);
        if self.trouble(Some(detail.to_owned()), None).0.is_none() {
            error!(
                cause = detail,
                "InfluxDB refuses the token; lines wait in the store: put another into the token's file, which is read again, or restart with another INFLUX_TOKEN"
            );
        }
        HELD_DELAY_MS
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
        metrics::counter!("nengtan_influx_dead_letters_total").increment(1);
        error!(status, cause = detail, lines = piece.count, "InfluxDB refuses lines for good; they are kept as a dead letter");
        Ok(self.outbox.bury((self.now)(), status, detail, piece)?)
    }

    /// Publishes delay and backlog, now and then.
    fn tell(&mut self) -> Result<(), OutboxError> {
        if self.counted.is_some_and(|counted| counted.elapsed() < COUNT_EVERY) {
            return Ok(());
        }
        self.counted = Some(Instant::now());
        let backlog = self.outbox.backlog()?;
        let delay_ms = backlog.oldest.map_or(0, |oldest| (self.now)().ms_since(oldest).max(0));
        metrics::gauge!("nengtan_influx_delay_seconds").set(delay_ms as f64 / 1000.0);
        metrics::gauge!("nengtan_influx_backlog_lines").set(backlog.lines as f64);
        metrics::gauge!("nengtan_influx_backlog_keys").set(backlog.keys as f64);
        match (self.late, self.delay_warn_ms < delay_ms) {
            (false, true) => warn!(delay_s = delay_ms / 1000, limit_s = self.delay_warn_ms / 1000, "InfluxDB lags behind the ledger"),
            (true, false) => info!("InfluxDB has caught up with the ledger"),
            (false, false) | (true, true) => {}
        }
        self.late = self.delay_warn_ms < delay_ms;
        self.state.send_modify(|state| (state.backlog, state.delay_ms) = (backlog, delay_ms));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_fails_is_left_alone_for_longer_and_longer_but_never_over_30_s() {
        let delays = |chance: fn(u64) -> u64| {
            let mut back_off = BackOff::default();
            (0..100).map(|_| back_off.next_ms(chance)).collect::<Vec<_>>()
        };
        let longest = delays(|_| 0);
        assert_eq!(longest[..9], [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
        let shortest = delays(|below| below - 1);
        assert_eq!(shortest[..9], [189, 376, 751, 1_501, 3_001, 6_001, 12_001, 22_501, 22_501]);
        // Whatever chance says, the next delay is longer until the limit is reached.
        assert!((0..7).all(|index| longest[index] < shortest[index + 1]));
        assert_eq!((longest.iter().max(), shortest.iter().max()), (Some(&30_000), Some(&22_501)));
        let drawn = delays(|below| crate::mqtt::jitter(7, below));
        assert!((0..100).all(|index| (shortest[index]..=longest[index]).contains(&drawn[index])), "{drawn:?}");
    }
}
