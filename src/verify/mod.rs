//! `nengtan verify`: holds a ledger against the fleet's truth (`docs/truth.md`).
//!
//! Reads both, changes neither. The law of the house: owed totals, and every span that begins and ends on a reading, equal the ledger exactly;
//! |ledger − physical| is at most the unobservable energy that touches the span plus one register step, and what is affected is marked.

pub mod alerts;
pub mod books;
pub mod faults;
pub mod figures;
pub mod ledger;
pub mod spans;
pub mod truth;

use std::path::PathBuf;

use crate::domain::units::Millis;
use crate::store::StoreError;
use crate::store::read::{Cell, Table};
use crate::store::retention::{Kept, kept};

#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("truth file {file}: {cause}; name the fleet's file with --truth")]
    Unreadable { file: PathBuf, cause: std::io::Error },
    #[error("truth file {file}, line {line}: {detail}; compare docs/truth.md")]
    Malformed { file: PathBuf, line: usize, detail: String },
    #[error("truth file {file} has no line of kind {wanted:?}; the fleet was stopped before it had written all, run it again")]
    Incomplete { file: PathBuf, wanted: &'static str },
}

impl From<rusqlite::Error> for VerifyError {
    fn from(error: rusqlite::Error) -> VerifyError {
        VerifyError::Store(error.into())
    }
}

/// One thing that was checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    pub check: &'static str,
    /// How many things were looked at.
    pub checked: u64,
    pub failed: u64,
    /// A figure, or the first failures.
    pub detail: String,
}

/// All that was checked.
#[derive(Debug, Default)]
pub struct Verification {
    pub findings: Vec<Finding>,
}

impl Verification {
    #[must_use]
    pub fn holds(&self) -> bool {
        self.findings.iter().all(|finding| finding.failed == 0)
    }

    #[must_use]
    pub fn table(&self) -> Table {
        let mut table = Table::new(&["check", "holds", "checked", "failed", "detail"]);
        for finding in &self.findings {
            let count = |count: u64| Cell::Integer(i64::try_from(count).unwrap_or(i64::MAX));
            let holds = if finding.failed == 0 { "yes" } else { "NO" };
            table.rows.push(vec![
                finding.check.into(),
                holds.into(),
                count(finding.checked),
                count(finding.failed),
                finding.detail.as_str().into(),
            ]);
        }
        table
    }
}

/// Counts checks and keeps the first failures.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    checked: u64,
    failed: u64,
    first: Vec<String>,
}

/// Failures that are told in full.
const FAILURES_TOLD_MAX: usize = 5;

impl Tally {
    pub(crate) fn check(&mut self, holds: bool, describe: impl FnOnce() -> String) {
        self.checked += 1;
        if holds {
            return;
        }
        self.failed += 1;
        if self.first.len() < FAILURES_TOLD_MAX {
            self.first.push(describe());
        }
    }

    pub(crate) fn finding(self, check: &'static str, figure: String) -> Finding {
        let detail = if self.failed == 0 { figure } else { self.first.join("; ") };
        Finding { check, checked: self.checked, failed: self.failed, detail }
    }
}

/// What cannot be checked any more, as findings that nothing was checked for.
fn no_longer_kept(kept: Kept) -> impl Iterator<Item = Finding> {
    let told = |check: &'static str, from: Option<Millis>, what: &str| {
        from.map(|from| Finding { check, checked: 0, failed: 0, detail: format!("kept from {} ms on; not checked: {what}", from.0) })
    };
    let readings = told("older readings are no longer kept", kept.readings, "spans before, and that all intervals add up to all readings");
    let sums = "figures of months that begin before, and that all hours add up to all intervals";
    readings.into_iter().chain(told("older intervals are no longer kept", kept.intervals, sums))
}

/// Checks a data folder's ledger against a truth file.
pub fn verify(data: &std::path::Path, truth_file: &std::path::Path) -> Result<Verification, VerifyError> {
    let connection = crate::store::open_to_read(data)?;
    let truth = truth::read(truth_file)?;
    let ledger = ledger::read(&connection)?;
    let kept = kept(&connection)?;
    let mut findings = spans::check(&truth, &ledger, kept.readings);
    findings.extend(books::check(&connection, &ledger, kept)?);
    findings.extend(figures::check(&connection, kept.intervals)?);
    findings.extend(faults::check(&truth));
    findings.extend(no_longer_kept(kept));
    findings.extend(alerts::check(&connection, &truth)?);
    Ok(Verification { findings })
}
