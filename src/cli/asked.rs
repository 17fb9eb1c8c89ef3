//! What a command asks to be done to a ledger: by the collector that has the folder's lock, or by the command itself.

use std::path::Path;
use std::time::Duration;

use super::CliError;
use crate::claiming;
use crate::claims::keep::Keeper;
use crate::store::request::{Answer, Asker};
use crate::store::{Store, StoreError};

/// How often the command looks for the collector's answer.
const ANSWER_POLL: Duration = Duration::from_millis(100);

/// The collector's answer to a request; `None` where none is left to give it, and the request is taken back.
#[allow(clippy::disallowed_methods, reason = "the command waits for another process, and a poll yields between two looks")]
pub fn answer(asker: &Asker, data: &Path) -> Result<Option<Result<String, String>>, StoreError> {
    loop {
        match asker.answer()? {
            Some(Answer::Done(result)) => return Ok(Some(Ok(result))),
            Some(Answer::Failed(reason)) => return Ok(Some(Err(reason))),
            // What had the lock was another command, or a collector that has ended since.
            None if Store::open(data).is_ok() && asker.withdraw()? => return Ok(None),
            None => std::thread::sleep(ANSWER_POLL),
        }
    }
}

/// Has each of the requests kept, see [`claiming`].
pub fn keep(data: &Path, kind: &str, requests: &[String]) -> Result<(), CliError> {
    let refused = |reason| CliError::Usage(format!("savings: {reason}"));
    match Store::open(data) {
        Ok(store) => {
            for arguments in requests {
                if let Some(kept) = claiming::keep(&store, kind, arguments)? {
                    kept.map_err(refused)?;
                }
            }
            Ok(())
        }
        Err(StoreError::Locked { .. }) => {
            let askers: Vec<Asker> = requests.iter().map(|arguments| Asker::ask(data, kind, arguments)).collect::<Result<_, _>>()?;
            for (asker, arguments) in askers.iter().zip(requests) {
                match answer(asker, data)? {
                    Some(answer) => drop(answer.map_err(refused)?),
                    None => keep(data, kind, std::slice::from_ref(arguments))?,
                }
            }
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// Predicts the hours that are closed. A running collector does so with its next one.
pub fn predict(data: &Path) -> Result<(), CliError> {
    match Store::open(data) {
        Ok(mut store) => Ok(Keeper::finish(&mut store)?),
        Err(StoreError::Locked { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
