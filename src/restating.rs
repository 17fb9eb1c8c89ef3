//! What commands ask a running collector for, between its batches: restatements in slices, and what `claiming` and `operating` do at once.
//!
//! Never decides what changes: that is the engine's. A restatement's request and answer are made and read here only.

use std::path::Path;

use crate::claiming;
use crate::config::zone_folder;
use crate::domain::units::Millis;
use crate::engine::restate::Restatement;
use crate::engine::{Engine, EngineError};
use crate::operating::{self, REGULATE};
use crate::store::request::{Answer, Request};

/// Requests that take a few milliseconds each and are dealt with in one turn.
const SHORT_AT_ONCE: usize = 32;

/// Kind of the request.
pub const RESTATE: &str = "restate";

/// `from` and `to` as the request's arguments.
#[must_use]
pub fn arguments(from: Millis, to: Option<Millis>) -> String {
    to.map_or_else(|| from.0.to_string(), |to| format!("{} {}", from.0, to.0))
}

fn range(arguments: &str) -> Option<(Millis, Option<Millis>)> {
    let mut numbers = arguments.split(' ').map(|text| text.parse::<i64>().map(Millis));
    let from = numbers.next()?.ok()?;
    numbers.next().transpose().ok().map(|to| (from, to))
}

/// What a restatement did, as the answer's text.
#[must_use]
pub fn summary(done: &Restatement) -> String {
    let Restatement { from, to, recorded, intervals, changed, .. } = done;
    format!("{} {} {} {intervals} {changed}", from.0, to.0, recorded.0)
}

/// From, to, recorded; intervals looked at and changed.
#[must_use]
pub fn read_summary(text: &str) -> Option<[i64; 5]> {
    let numbers: Vec<i64> = text.split(' ').map(str::parse).collect::<Result<_, _>>().ok()?;
    numbers.try_into().ok()
}

/// A request that is being worked on.
#[derive(Debug)]
pub struct Job {
    id: i64,
    restatement: Restatement,
}

impl Job {
    /// Takes the requests that wait, up to the first that takes time; what is short, and what cannot be done, is answered at once. The engine's batch
    /// is committed.
    pub fn take(engine: &mut Engine, folder: &Path) -> Result<Option<Job>, EngineError> {
        for _ in 0..SHORT_AT_ONCE {
            let Some(request) = engine.store().take_request()? else { return Ok(None) };
            let answer = if request.kind == REGULATE {
                operating::operate(engine, &request.arguments)?.map_or_else(Answer::Failed, Answer::Done)
            } else {
                match claiming::keep(engine.store(), &request.kind, &request.arguments)? {
                    Some(Ok(())) => Answer::Done(String::new()),
                    Some(Err(reason)) => Answer::Failed(reason),
                    None => match Job::begin(engine, folder, &request)? {
                        Ok(restatement) => return Ok(Some(Job { id: request.id, restatement })),
                        Err(reason) => Answer::Failed(reason),
                    },
                }
            };
            engine.store().answer_request(request.id, &answer)?;
        }
        Ok(None)
    }

    fn begin(engine: &mut Engine, folder: &Path, request: &Request) -> Result<Result<Restatement, String>, EngineError> {
        let Some((from, to)) = range(&request.arguments).filter(|_| request.kind == RESTATE) else {
            return Ok(Err(format!(
                "request {:?} {:?} is none this collector knows; use a command of its version",
                request.kind, request.arguments
            )));
        };
        let read = match zone_folder::load(folder) {
            Ok(read) => read,
            Err(faults) => return Ok(Err(faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))),
        };
        engine.take_rules(read.factors, read.tariff)?;
        Ok(engine.begin_restatement(from, to)?.map_err(|error| error.to_string()))
    }

    /// Does a slice; gives whether the job is done and answered. The engine's batch is committed.
    pub fn step(&mut self, engine: &mut Engine) -> Result<bool, EngineError> {
        if !self.restatement.is_done() {
            engine.restate_slice(&mut self.restatement)?;
        }
        if !self.restatement.is_done() {
            return Ok(false);
        }
        engine.store().answer_request(self.id, &Answer::Done(summary(&self.restatement)))?;
        Ok(true)
    }
}
