//! One table of a TOML file, read key by key with lines.
//!
//! Every key asked for is known; [`Keys::finish`] reports the others.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::{Faults, line_of};

pub(super) struct Keys<'a> {
    text: &'a str,
    name: String,
    table: &'a DeTable<'a>,
    pub line: usize,
    known: Vec<&'static str>,
}

/// The top table of a file, or its syntax faults.
pub(super) fn parse<'a>(text: &'a str, faults: &mut Faults) -> Spanned<DeTable<'a>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let line = line_of(text, error.span().map_or(0, |span| span.start));
        faults.add(line, error.message().replace('\n', " "), "valid TOML", "correct the syntax");
    }
    table
}

impl<'a> Keys<'a> {
    pub fn new(text: &'a str, name: &str, table: &'a DeTable<'a>, line: usize) -> Keys<'a> {
        Keys { text, name: name.to_owned(), table, line, known: Vec::new() }
    }

    fn get(&mut self, key: &'static str) -> Option<(usize, &'a DeValue<'a>)> {
        self.known.push(key);
        self.table
            .iter()
            .find(|(name, _)| name.get_ref() == key)
            .map(|(_, value)| (line_of(self.text, value.span().start), value.get_ref()))
    }

    /// The line of a key, or that of the table.
    pub fn line_of(&self, key: &str) -> usize {
        let found = self.table.iter().find(|(name, _)| name.get_ref() == key);
        found.map_or(self.line, |(name, _)| line_of(self.text, name.span().start))
    }

    fn mistyped(&self, key: &str, line: usize, value: &DeValue<'_>, wanted: &str, faults: &mut Faults) {
        let seen = format!("`{key}` in [{}] is a {}", self.name, value.type_str());
        faults.add(line, seen, wanted, "correct the value");
    }

    pub fn text(&mut self, key: &'static str, faults: &mut Faults) -> Option<String> {
        let (line, value) = self.get(key)?;
        if value.as_str().is_none() {
            self.mistyped(key, line, value, "text in quotes", faults);
        }
        value.as_str().map(str::to_owned)
    }

    pub fn number(&mut self, key: &'static str, faults: &mut Faults) -> Option<f64> {
        let (line, value) = self.get(key)?;
        let number = match value {
            DeValue::Integer(integer) => integer.as_str().parse().ok(),
            DeValue::Float(float) => float.as_str().parse().ok(),
            _ => None,
        };
        if !number.is_some_and(f64::is_finite) {
            self.mistyped(key, line, value, "a number", faults);
            return None;
        }
        number
    }

    pub fn integer(&mut self, key: &'static str, faults: &mut Faults) -> Option<i64> {
        let (line, value) = self.get(key)?;
        let integer = value.as_integer().and_then(|integer| i64::from_str_radix(integer.as_str(), integer.radix()).ok());
        if integer.is_none() {
            self.mistyped(key, line, value, "a whole number", faults);
        }
        integer
    }

    pub fn texts(&mut self, key: &'static str, faults: &mut Faults) -> Option<Vec<String>> {
        let (line, value) = self.get(key)?;
        let texts = value.as_array().and_then(|array| array.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect());
        if texts.is_none() {
            self.mistyped(key, line, value, "a list of texts", faults);
        }
        texts
    }

    /// Text that must be there and not be empty.
    pub fn needed_text(&mut self, key: &'static str, faults: &mut Faults) -> Option<String> {
        self.check_present(key, faults);
        let text = self.text(key, faults)?;
        if text.trim().is_empty() {
            faults.add(self.line_of(key), format!("`{key}` in [{}] is empty", self.name), "text", "fill it in");
            return None;
        }
        Some(text)
    }

    pub fn needed_number(&mut self, key: &'static str, faults: &mut Faults) -> Option<f64> {
        self.check_present(key, faults);
        self.number(key, faults)
    }

    /// One of the names in `choices`.
    pub fn choice<T: Copy>(&mut self, key: &'static str, choices: &[(&str, T)], faults: &mut Faults) -> Option<T> {
        let text = self.text(key, faults)?;
        let found = choices.iter().find(|(name, _)| *name == text);
        if found.is_none() {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            let seen = format!("`{key} = \"{text}\"` in [{}]", self.name);
            faults.add(self.line_of(key), seen, format!("one of {}", names.join(", ")), "choose one of them");
        }
        found.map(|(_, value)| *value)
    }

    pub fn check_present(&self, key: &str, faults: &mut Faults) {
        if !self.table.iter().any(|(name, _)| name.get_ref() == key) {
            faults.add(self.line, format!("no key `{key}` in [{}]", self.name), format!("`{key}`"), "add it");
        }
    }

    /// A table inside this one.
    pub fn table(&mut self, key: &'static str, faults: &mut Faults) -> Option<Keys<'a>> {
        let (line, value) = self.get(key)?;
        let table = value.as_table();
        if table.is_none() {
            self.mistyped(key, line, value, "a table", faults);
        }
        table.map(|table| Keys::new(self.text, key, table, line))
    }

    /// The tables of `[[key]]`.
    pub fn tables(&mut self, key: &'static str, faults: &mut Faults) -> Vec<Keys<'a>> {
        let Some((line, value)) = self.get(key) else {
            return Vec::new();
        };
        let Some(array) = value.as_array() else {
            self.mistyped(key, line, value, &format!("tables headed [[{key}]]"), faults);
            return Vec::new();
        };
        let mut tables = Vec::new();
        for item in array {
            let line = line_of(self.text, item.span().start);
            match item.get_ref().as_table() {
                Some(table) => tables.push(Keys::new(self.text, key, table, line)),
                None => self.mistyped(key, line, item.get_ref(), &format!("tables headed [[{key}]]"), faults),
            }
        }
        tables
    }

    /// Reports every key that nobody asked for.
    pub fn finish(self, faults: &mut Faults) {
        for name in self.table.keys() {
            if !self.known.contains(&name.get_ref().as_ref()) {
                let seen = format!("unknown key `{}` in [{}]", name.get_ref(), self.name);
                let line = line_of(self.text, name.span().start);
                faults.add(line, seen, format!("only {}", self.known.join(", ")), "correct or remove it");
            }
        }
    }
}
