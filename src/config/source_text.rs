//! A file's text: UTF-8, without a byte-order mark.

use std::path::Path;

use super::fault::{Fault, quoted};

/// None if the file does not exist.
pub fn read(folder: &Path, name: &str) -> Result<Option<String>, Box<Fault>> {
    let fault = |line, key: &str, seen: String, wanted: &str, remedy: &str| {
        Box::new(Fault { file: name.to_owned(), line, key: key.to_owned(), seen, wanted: wanted.to_owned(), remedy: remedy.to_owned() })
    };
    let bytes = match std::fs::read(folder.join(name)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fault(None, "file", quoted(&error.to_string()), "a readable file", "check its permissions")),
    };
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = line_of(&String::from_utf8_lossy(good), good.len());
        let seen = format!("byte 0x{:02x}", error.as_bytes()[good.len()]);
        fault(Some(line), "encoding", seen, "utf-8", "save the file as utf-8")
    })?;
    let text = match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    };
    if text.trim().is_empty() {
        return Err(fault(
            Some(1),
            "file",
            "an empty file".to_owned(),
            "content",
            "fill it as docs/zone.md says, or remove it if it is optional",
        ));
    }
    Ok(Some(text))
}

/// As [`read`], and a missing file is a fault.
pub fn read_needed(folder: &Path, name: &str) -> Result<String, Box<Fault>> {
    read(folder, name)?.ok_or_else(|| {
        Box::new(Fault {
            file: name.to_owned(),
            line: None,
            key: "file".to_owned(),
            seen: format!("none in {}", folder.display()),
            wanted: "a file".to_owned(),
            remedy: "add it as docs/zone.md says, or correct the folder".to_owned(),
        })
    })
}

/// The line of a byte, counted from 1.
#[must_use]
pub fn line_of(text: &str, byte: usize) -> usize {
    1 + text.bytes().take(byte).filter(|byte| *byte == b'\n').count()
}

/// Where the lines of a text begin: for many questions what [`line_of`] is for one.
pub struct LineStarts(Vec<usize>);

impl LineStarts {
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self(std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect())
    }

    /// As [`line_of`].
    #[must_use]
    pub fn line(&self, byte: usize) -> usize {
        self.0.partition_point(|start| *start <= byte)
    }
}
