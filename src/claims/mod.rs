//! Savings of a ledger: baselines fitted from its store, predictions of its closed hours, and what may be claimed.
//!
//! The model is `savings`; here it meets roll-ups, weather and production counters. Invariants: a baseline in force is never refitted in silence,
//! and every figure is a function of the set of accepted readings, so late and corrected ones restate it.

pub mod change;
pub mod figures;
pub mod fit;
pub mod inputs;
pub mod keep;
pub mod watch;

use crate::store::StoreError;

#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("baseline {id} cannot be read: {cause}; it was written by another version, fit it anew with --replace")]
    Document { id: i64, cause: serde_json::Error },
    #[error("the ledger's time zone is {0:?}, which this system does not know; install tzdata")]
    TimeZone(String),
}

impl From<rusqlite::Error> for ClaimError {
    fn from(error: rusqlite::Error) -> ClaimError {
        ClaimError::Store(error.into())
    }
}
