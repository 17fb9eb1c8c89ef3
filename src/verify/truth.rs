//! The truth file, read.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde::Deserialize;

use super::VerifyError;

/// One line of the file.
#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Line {
    Run(Run),
    Spans(Spans),
    Fault(Fault),
    Alert(Alert),
    /// What assets did is in the readings; the ledger has nothing to hold it against.
    Obeyed {},
    End(End),
}

#[derive(Clone, Debug, Deserialize)]
pub struct Run {
    pub zone: String,
    pub seed: u64,
    pub faults: String,
    pub from: i64,
    pub to: i64,
    pub meters: u64,
    #[serde(default)]
    pub live_from: Option<i64>,
}

/// Consecutive spans of one channel, in ledger units.
#[derive(Clone, Debug, Deserialize)]
pub struct Spans {
    pub meter: String,
    pub item: String,
    pub start: i64,
    /// Each the distance in ms from the bound before.
    pub ends: Vec<i64>,
    pub owed: Vec<i64>,
    pub physical: Vec<f64>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Fault {
    pub fault: String,
    #[serde(default)]
    pub meter: Option<String>,
    #[serde(default)]
    pub item: Option<String>,
    pub from: i64,
    pub to: i64,
    #[serde(default)]
    pub unobservable: f64,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Alert {
    pub rule: String,
    pub subject: String,
    pub since: i64,
    pub raised: i64,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub struct End {
    pub readings: u64,
    pub messages: u64,
    pub duplicates: u64,
    pub reordered: u64,
    pub late: u64,
    pub at: i64,
}

#[derive(Debug)]
pub struct Truth {
    pub run: Run,
    pub spans: Vec<Spans>,
    pub faults: Vec<Fault>,
    pub alerts: Vec<Alert>,
    pub end: End,
}

pub fn read(file: &Path) -> Result<Truth, VerifyError> {
    let unreadable = |cause| VerifyError::Unreadable { file: file.to_owned(), cause };
    let lines = BufReader::new(File::open(file).map_err(unreadable)?).lines();
    let (mut run, mut end) = (None, None);
    let (mut spans, mut faults, mut alerts) = (Vec::new(), Vec::new(), Vec::new());
    for (index, line) in lines.enumerate() {
        let line = line.map_err(unreadable)?;
        let malformed = |detail| VerifyError::Malformed { file: file.to_owned(), line: index + 1, detail };
        match serde_json::from_str(&line).map_err(|error| malformed(error.to_string()))? {
            Line::Run(line) => run = Some(line),
            Line::Spans(line) if line.ends.len() != line.owed.len() || line.ends.len() != line.physical.len() => {
                return Err(malformed("ends, owed and physical differ in length".to_owned()));
            }
            Line::Spans(line) => spans.push(line),
            Line::Fault(line) => faults.push(line),
            Line::Alert(line) => alerts.push(line),
            Line::Obeyed {} => {}
            Line::End(line) => end = Some(line),
        }
    }
    let incomplete = |wanted| VerifyError::Incomplete { file: file.to_owned(), wanted };
    Ok(Truth { run: run.ok_or(incomplete("run"))?, spans, faults, alerts, end: end.ok_or(incomplete("end"))? })
}
