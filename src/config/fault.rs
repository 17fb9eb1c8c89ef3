//! What is wrong with a configuration, where, and what to do about it.

use std::fmt;

/// One fault of one file. Its message is one line: `meters.csv:17: resolution: saw …, wanted …; raise …`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub file: String,
    /// Counted from 1; none where the file as a whole is at fault.
    pub line: Option<usize>,
    pub key: String,
    pub seen: String,
    pub wanted: String,
    pub remedy: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, key, seen, wanted, remedy } = self;
        match line {
            Some(line) => write!(f, "{file}:{line}: {key}: saw {seen}, wanted {wanted}; {remedy}"),
            None => write!(f, "{file}: {key}: saw {seen}, wanted {wanted}; {remedy}"),
        }
    }
}

impl std::error::Error for Fault {}

/// A text as it was seen: in quotes, on one line, and not longer than a line.
#[must_use]
pub fn quoted(text: &str) -> String {
    const SEEN_CHARS_MAX: usize = 60;
    match text.char_indices().nth(SEEN_CHARS_MAX) {
        _ if text.is_empty() => "nothing".to_owned(),
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// An id is a topic level: letters (Chinese included), digits, `-` and `_`, 1 to 64 characters.
#[must_use]
pub fn is_id(text: &str) -> bool {
    const ID_CHARS_MAX: usize = 64;
    let allowed = |character: char| character.is_alphanumeric() || character == '-' || character == '_';
    !text.is_empty() && text.chars().count() <= ID_CHARS_MAX && text.chars().all(allowed)
}

pub const ID_WANTED: &str = "1 to 64 letters, digits, - or _";
pub const ID_REMEDY: &str = "correct it";

/// Names as a choice: `a, b or c`.
#[must_use]
pub fn joined(names: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| name.as_ref().to_owned()).collect();
    match names.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_one_line_that_says_where_what_and_what_to_do() {
        let fault = Fault {
            file: "meters.csv".into(),
            line: Some(17),
            key: "resolution".into(),
            seen: "\"0.0001 kwh × 3\"".into(),
            wanted: "a whole number of Wh".into(),
            remedy: "raise the resolution or the multiplier".into(),
        };
        let wanted =
            "meters.csv:17: resolution: saw \"0.0001 kwh × 3\", wanted a whole number of Wh; raise the resolution or the multiplier";
        assert_eq!(fault.to_string(), wanted);
        assert_eq!(Fault { line: None, ..fault }.to_string().split(": saw").next(), Some("meters.csv: resolution"));
    }

    #[test]
    fn an_id_may_be_chinese_but_no_topic() {
        for (id, good) in
            [("HT-E-0012", true), ("电表_01", true), ("", false), ("a/b", false), ("a b", false), ("a+", false), (&*"x".repeat(65), false)]
        {
            assert_eq!(is_id(id), good, "{id}");
        }
    }

    #[test]
    fn what_was_seen_fits_a_line() {
        assert_eq!(quoted(""), "nothing");
        assert_eq!(quoted("a\nb"), "\"a\\nb\"");
        assert_eq!(quoted(&"长".repeat(70)).chars().count(), 63);
    }
}
