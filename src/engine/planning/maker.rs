//! The thread that solves a plan, so that a solver never holds up the engine.
//!
//! One plan at a time: while one is being made no other is begun. Invariant: [`Maker::take`] waits no longer than it is told to.

use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use crate::dispatch::site::{Site, Wishes};

/// What came of a plan: wishes of its first hours, or why there are none.
pub type Made = Result<Vec<Wishes>, String>;

const NO_ANSWER: &str = "the thread of a plan ended without an answer";

#[derive(Debug, Default)]
pub struct Maker(Option<Receiver<Made>>);

impl Maker {
    pub fn is_busy(&self) -> bool {
        self.0.is_some()
    }

    /// Begins a plan; `last_resort` bounds its solver. One that cannot get a thread fails at once.
    pub fn begin(&mut self, site: Site, last_resort: Duration) {
        let (tell, made) = sync_channel(1);
        let failed = tell.clone();
        // Whoever went away meanwhile needs no answer.
        let body = move || drop(tell.send(site.wishes(last_resort).map_err(|failure| failure.to_string())));
        if let Err(cause) = std::thread::Builder::new().name("plan".to_owned()).spawn(body) {
            drop(failed.send(Err(format!("no thread for a plan: {cause}"))));
        }
        self.0 = Some(made);
    }

    /// What came of the plan that was begun; none where it is still being made after `wait`.
    pub fn take(&mut self, wait: Duration) -> Option<Made> {
        let made = match self.0.as_ref()?.recv_timeout(wait) {
            Ok(made) => made,
            Err(RecvTimeoutError::Timeout) => return None,
            Err(RecvTimeoutError::Disconnected) => Err(NO_ANSWER.to_owned()),
        };
        self.0 = None;
        Some(made)
    }
}
