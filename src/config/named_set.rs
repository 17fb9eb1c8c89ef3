//! A set that `zone.toml` names: a built-in one, or a file beside it.

use std::path::Path;

use super::fault::{Fault, joined};
use super::source_text;
use super::zone_toml::SetRef;

/// The text of the file that a zone names in the place of a built-in set; `key` is where it does so.
pub fn file(folder: &Path, wanted: &SetRef, key: &str, built_in: &[&'static str], faults: &mut Vec<Fault>) -> Option<String> {
    let unknown = |seen: String| Fault {
        file: "zone.toml".to_owned(),
        line: Some(wanted.line),
        key: key.to_owned(),
        seen,
        wanted: format!("{} or the path of a .toml file", joined(built_in.iter().copied())),
        remedy: "correct it".to_owned(),
    };
    if Path::new(&wanted.name).extension().is_none_or(|extension| extension != "toml") {
        faults.push(unknown(format!("{:?}", wanted.name)));
        return None;
    }
    match source_text::read(folder, &wanted.name) {
        Ok(Some(text)) => Some(text),
        Ok(None) => {
            faults.push(unknown(format!("no file {:?}", wanted.name)));
            None
        }
        Err(fault) => {
            faults.push(*fault);
            None
        }
    }
}

/// What a file gave, its faults with the others.
pub fn keep<T>((set, mut found): (Option<T>, Vec<Fault>), faults: &mut Vec<Fault>) -> Option<T> {
    faults.append(&mut found);
    set
}
