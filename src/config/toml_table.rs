//! Tables of a TOML file, read key by key so that every fault is found and has its line.
//!
//! Numbers are handed out as their text: a decimal never becomes a float on its way.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::{Fault, joined, quoted};
use super::source_text::{LineStarts, line_of};
use crate::domain::decimal::{Decimal, DecimalError};

/// A TOML file and the faults found in it so far.
pub struct TomlFile {
    name: String,
    lines: LineStarts,
    pub faults: Vec<Fault>,
}

impl TomlFile {
    /// The file and its root table. Faults of the grammar are recorded; what could be read is handed out.
    #[must_use]
    pub fn parse<'t>(name: &str, text: &'t str) -> (Self, Table<'t>) {
        let (root, errors) = DeTable::parse_recoverable(text);
        let mut file = Self { name: name.to_owned(), lines: LineStarts::of(text), faults: Vec::new() };
        for error in errors {
            let line = error.span().map_or(1, |span| file.lines.line(span.start));
            file.fault(line, "toml", &format!("{:?}", error.message()), "valid toml", "correct the line");
        }
        (file, Table { path: String::new(), line: 1, entries: root.into_inner().into_iter().collect() })
    }

    pub fn fault(&mut self, line: usize, key: &str, seen: &str, wanted: &str, remedy: &str) {
        self.faults.push(Fault {
            file: self.name.clone(),
            line: Some(line),
            key: key.to_owned(),
            seen: seen.to_owned(),
            wanted: wanted.to_owned(),
            remedy: remedy.to_owned(),
        });
    }

    /// Takes a key that has to be there.
    pub fn needed<'t>(&mut self, table: &mut Table<'t>, key: &str) -> Option<Cell<'t>> {
        let cell = table.take(key, &self.lines);
        if cell.is_none() {
            self.fault(table.line, &table.key(key), "nothing", "a value", "add the key");
        }
        cell
    }

    pub fn optional<'t>(&mut self, table: &mut Table<'t>, key: &str) -> Option<Cell<'t>> {
        table.take(key, &self.lines)
    }

    /// What is left in a table that should have been read whole.
    pub fn no_more(&mut self, table: Table<'_>) {
        for (key, value) in table.entries {
            let line = self.lines.line(key.span().start.min(value.span().start));
            self.fault(
                line,
                &table_key(&table.path, key.get_ref()),
                "an unknown key",
                "only the keys of docs/zone.md",
                "correct its name or remove it",
            );
        }
    }

    pub fn text(&mut self, cell: &Cell<'_>) -> Option<String> {
        match &cell.value {
            DeValue::String(text) if !text.trim().is_empty() => Some(text.to_string()),
            _ => self.refuse(cell, "a text", "write it in quotes"),
        }
    }

    /// A decimal number of zero or more.
    pub fn decimal(&mut self, cell: &Cell<'_>) -> Option<Decimal> {
        match cell.number().map(|text| Decimal::parse(&text)) {
            Some(Ok(decimal)) => Some(decimal),
            Some(Err(DecimalError::TooLarge | DecimalError::TooManyDigits)) => self.refuse(cell, "at most 19 digits", "round it"),
            Some(Err(DecimalError::Negative | DecimalError::NotANumber)) | None => {
                self.refuse(cell, "a number of zero or more", "correct it")
            }
        }
    }

    pub fn float(&mut self, cell: &Cell<'_>, from: f64, to: f64) -> Option<f64> {
        let number = cell.number().and_then(|text| text.parse::<f64>().ok()).filter(|number| (from..=to).contains(number));
        number.or_else(|| self.refuse(cell, &format!("a number from {from} to {to}"), "correct it"))
    }

    pub fn integer(&mut self, cell: &Cell<'_>, from: i64, to: i64) -> Option<i64> {
        let number = cell.value.as_integer().and_then(|_| cell.number()).and_then(|text| text.parse::<i64>().ok());
        let number = number.filter(|number| (from..=to).contains(number));
        number.or_else(|| self.refuse(cell, &format!("a whole number from {from} to {to}"), "correct it"))
    }

    /// One of a few names.
    pub fn one_of<T: Copy>(&mut self, cell: &Cell<'_>, all: &[T], name: impl Fn(T) -> &'static str) -> Option<T> {
        let found = cell.value.as_str().and_then(|text| all.iter().copied().find(|one| name(*one) == text));
        found.or_else(|| self.refuse(cell, &joined(all.iter().map(|one| name(*one))), "choose one of them"))
    }

    pub fn table<'t>(&mut self, cell: Cell<'t>) -> Option<Table<'t>> {
        match cell.value {
            DeValue::Table(table) => Some(Table { path: cell.key, line: cell.line, entries: table.into_iter().collect() }),
            _ => self.refuse(&cell, "a table", "write it as [table]"),
        }
    }

    /// The elements of an array, each under the array's key.
    pub fn array<'t>(&mut self, cell: Cell<'t>) -> Option<Vec<Cell<'t>>> {
        match cell.value {
            DeValue::Array(array) => {
                let element = |value: Spanned<DeValue<'t>>| Cell {
                    line: self.lines.line(value.span().start),
                    key: cell.key.clone(),
                    value: value.into_inner(),
                };
                Some(array.into_iter().map(element).collect())
            }
            _ => self.refuse(&cell, "an array", "write it in square brackets"),
        }
    }

    /// Records that a cell's value is not what was wanted.
    pub fn refuse<T>(&mut self, cell: &Cell<'_>, wanted: &str, remedy: &str) -> Option<T> {
        self.fault(cell.line, &cell.key, &cell.seen(), wanted, remedy);
        None
    }
}

/// A table with the keys nobody has taken yet.
pub struct Table<'t> {
    path: String,
    pub line: usize,
    entries: Vec<(Spanned<std::borrow::Cow<'t, str>>, Spanned<DeValue<'t>>)>,
}

impl<'t> Table<'t> {
    /// The full name of one of its keys.
    #[must_use]
    pub fn key(&self, key: &str) -> String {
        table_key(&self.path, key)
    }

    /// The keys not yet taken, in the file's order.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        let mut keys: Vec<_> = self.entries.iter().map(|(key, _)| (key.span().start, key.get_ref().to_string())).collect();
        keys.sort_unstable();
        keys.into_iter().map(|(_, key)| key).collect()
    }

    fn take(&mut self, key: &str, lines: &LineStarts) -> Option<Cell<'t>> {
        let at = self.entries.iter().position(|(name, _)| name.get_ref() == key)?;
        let (name, value) = self.entries.swap_remove(at);
        Some(Cell { line: lines.line(name.span().start), key: self.key(key), value: value.into_inner() })
    }
}

fn table_key(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// A value and where it stands.
#[derive(Clone)]
pub struct Cell<'t> {
    pub line: usize,
    pub key: String,
    value: DeValue<'t>,
}

impl Cell<'_> {
    /// The text of a number as JSON would write it.
    fn number(&self) -> Option<String> {
        let text = match &self.value {
            DeValue::Integer(integer) if integer.radix() == 10 => integer.as_str(),
            DeValue::Float(float) => float.as_str(),
            _ => return None,
        };
        Some(text.replace('_', "").trim_start_matches('+').to_owned())
    }

    #[must_use]
    pub fn seen(&self) -> String {
        match &self.value {
            DeValue::String(text) => quoted(text),
            DeValue::Boolean(flag) => flag.to_string(),
            DeValue::Integer(integer) => integer.as_str().to_owned(),
            DeValue::Float(float) => float.as_str().to_owned(),
            DeValue::Datetime(moment) => moment.to_string(),
            DeValue::Array(_) => "an array".to_owned(),
            DeValue::Table(_) => "a table".to_owned(),
        }
    }
}

/// The line of a key such as `broker.url`, if the text has it.
#[must_use]
pub fn line_of_key(text: &str, dotted: &str) -> Option<usize> {
    let (root, _) = DeTable::parse_recoverable(text);
    let mut table = root.into_inner();
    let mut line = None;
    for part in dotted.split('.') {
        let (key, value) = table.into_iter().find(|(key, _)| key.get_ref() == part)?;
        line = Some(line_of(text, key.span().start));
        table = match value.into_inner() {
            DeValue::Table(inner) => inner,
            _ => DeTable::new(),
        };
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_of_a_table_has_its_line() {
        let text = "a = \"x\"\n\n[t]\nnumber = -1\nname = 5\nextra = 1\n[[list]]\n\n[[list]]\nb = 1\n";
        let (mut file, mut root) = TomlFile::parse("f.toml", text);
        let mut table = file.needed(&mut root, "t").and_then(|cell| file.table(cell)).unwrap();
        assert!(file.needed(&mut table, "number").and_then(|cell| file.decimal(&cell)).is_none());
        assert!(file.needed(&mut table, "name").and_then(|cell| file.text(&cell)).is_none());
        assert!(file.needed(&mut table, "missing").is_none());
        file.no_more(table);
        for element in file.needed(&mut root, "list").and_then(|cell| file.array(cell)).unwrap() {
            let mut element = file.table(element).unwrap();
            let _: Option<Cell> = file.needed(&mut element, "b");
        }
        file.no_more(root);
        let places: Vec<_> = file.faults.iter().map(|fault| (fault.line, fault.key.as_str())).collect();
        let wanted = [(4, "t.number"), (5, "t.name"), (3, "t.missing"), (6, "t.extra"), (7, "list.b"), (1, "a")];
        assert_eq!(places, wanted.map(|(line, key)| (Some(line), key)));
    }

    #[test]
    fn a_number_keeps_its_digits() {
        let (mut file, mut root) = TomlFile::parse("f.toml", "a = 0.1000000000000000001\nb = 1_000\nc = +2.5\n");
        let mut read = |key| file.needed(&mut root, key).and_then(|cell| file.decimal(&cell)).unwrap();
        let shift = Decimal::power_of_ten(19);
        assert_eq!(read("a").times(shift).unwrap().whole(), Ok(1_000_000_000_000_000_001));
        assert_eq!(read("b").whole(), Ok(1_000));
        assert_eq!(read("c").times(Decimal::from(2)).unwrap().whole(), Ok(5));
    }

    #[test]
    fn all_faults_of_the_grammar_are_told() {
        let (file, _) = TomlFile::parse("f.toml", "a = \nb = 1\nc = \"x\nd = 2\n");
        let lines: Vec<_> = file.faults.iter().map(|fault| fault.line).collect();
        assert!(lines.contains(&Some(1)) && lines.contains(&Some(3)), "{lines:?}");
    }
}
