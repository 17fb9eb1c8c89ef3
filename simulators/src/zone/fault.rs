//! What is wrong with a zone folder.
//!
//! Readers never stop at the first fault: each adds to one [`Faults`] per file and goes on.

use std::fmt;

/// One fault: where it is, what was seen, what was wanted and what to do. Displays as one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Relative to the zone folder.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    pub seen: String,
    pub wanted: String,
    pub remedy: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fault { file, line, seen, wanted, remedy } = self;
        write!(f, "{file}:{line}: {seen}; wanted {wanted}; {remedy}")
    }
}

/// The faults of one file, in the order in which they were found.
pub(super) struct Faults {
    file: &'static str,
    pub list: Vec<Fault>,
}

impl Faults {
    pub fn new(file: &'static str) -> Faults {
        Faults { file, list: Vec::new() }
    }

    pub fn add(&mut self, line: usize, seen: impl Into<String>, wanted: impl Into<String>, remedy: impl Into<String>) {
        self.list.push(Fault { file: self.file.to_owned(), line, seen: seen.into(), wanted: wanted.into(), remedy: remedy.into() });
    }

    /// Reads a file of the folder; a missing one is a fault only if it is `needed`.
    pub fn read(&mut self, folder: &std::path::Path, needed: bool) -> Option<String> {
        match std::fs::read(folder.join(self.file)) {
            Ok(bytes) => match String::from_utf8(bytes) {
                Ok(text) => Some(text.strip_prefix('\u{feff}').map_or(text.clone(), str::to_owned)),
                Err(error) => {
                    let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
                    let line = 1 + good.split(|byte| *byte == b'\n').skip(1).count();
                    self.add(line, "bytes that are not UTF-8", "UTF-8 text", "save the file as UTF-8");
                    None
                }
            },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !needed => None,
            Err(error) => {
                self.add(1, format!("cannot read the file ({error})"), "a readable file", "write it as docs/zone.md says");
                None
            }
        }
    }

    /// An id is a topic level.
    pub fn check_id(&mut self, line: usize, what: &str, id: &str) -> bool {
        let good = (1..=64).contains(&id.chars().count()) && id.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_');
        if !good {
            self.add(line, format!("{what} `{id}`"), "1 to 64 letters, digits, `-` or `_`", "rename it: ids are topic levels");
        }
        good
    }
}

/// The line, counted from 1, of a byte offset.
pub(super) fn line_of(text: &str, offset: usize) -> usize {
    1 + text.as_bytes()[..offset.min(text.len())].split(|byte| *byte == b'\n').skip(1).count()
}
