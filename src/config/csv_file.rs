//! Rows of a CSV file under a fixed header, each with its line.

use super::fault::{Fault, joined, quoted};
use super::source_text::line_of;

/// One line of data, and the faults found in it so far.
pub struct Row {
    pub line: usize,
    file: &'static str,
    header: &'static [&'static str],
    fields: csv::StringRecord,
    pub faults: Vec<Fault>,
}

/// All rows with the header's number of fields; the other ones are faults. Without the right header there are no rows.
#[must_use]
pub fn rows(file: &'static str, text: &str, header: &'static [&'static str]) -> (Vec<Row>, Vec<Fault>) {
    let mut reader = csv::ReaderBuilder::new().flexible(true).has_headers(false).trim(csv::Trim::All).from_reader(text.as_bytes());
    let mut rows = Vec::new();
    let mut faults = Vec::new();
    let fault = |line, key: &str, seen: String, wanted: String, remedy: &str| Fault {
        file: file.to_owned(),
        line: Some(line),
        key: key.to_owned(),
        seen,
        wanted,
        remedy: remedy.to_owned(),
    };
    let mut is_header = true;
    for record in reader.records() {
        let fields = match record {
            Ok(fields) => fields,
            Err(error) => {
                let line = error.position().map_or(1, |position| position.line() as usize);
                faults.push(fault(line, "csv", quoted(&error.to_string()), "comma-separated fields".to_owned(), "correct the quotes"));
                continue;
            }
        };
        let line = line_of_record(text, &fields);
        if std::mem::take(&mut is_header) {
            if fields.iter().ne(header.iter().copied()) {
                let seen = quoted(&fields.iter().collect::<Vec<_>>().join(","));
                faults.push(fault(line, "header", seen, header.join(","), "correct the first line"));
                return (rows, faults);
            }
        } else if fields.len() == header.len() {
            rows.push(Row { line, file, header, fields, faults: Vec::new() });
        } else {
            let seen = format!("{} fields", fields.len());
            faults.push(fault(line, "fields", seen, format!("{}", header.len()), "add or remove commas"));
        }
    }
    (rows, faults)
}

/// The reader's own position is that of the blank lines before a record.
fn line_of_record(text: &str, record: &csv::StringRecord) -> usize {
    let start = record.position().map_or(0, |position| position.byte() as usize);
    let blank = text.as_bytes().iter().skip(start).take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    line_of(text, start + blank)
}

impl Row {
    /// The field of a column.
    ///
    /// # Panics
    /// If the header has no such column.
    #[must_use]
    pub fn field(&self, column: &str) -> &str {
        let at = self.header.iter().position(|name| *name == column).expect("a column of the header");
        self.fields.get(at).unwrap_or_default()
    }

    #[must_use]
    pub fn has(&self, column: &str) -> bool {
        !self.field(column).is_empty()
    }

    pub fn refuse<T>(&mut self, column: &str, wanted: &str, remedy: &str) -> Option<T> {
        let seen = quoted(self.field(column));
        self.fault(column, seen, wanted, remedy)
    }

    pub fn fault<T>(&mut self, column: &str, seen: String, wanted: &str, remedy: &str) -> Option<T> {
        self.faults.push(Fault {
            file: self.file.to_owned(),
            line: Some(self.line),
            key: column.to_owned(),
            seen,
            wanted: wanted.to_owned(),
            remedy: remedy.to_owned(),
        });
        None
    }

    pub fn one_of<T: Copy>(&mut self, column: &str, all: &[T], name: impl Fn(T) -> &'static str) -> Option<T> {
        let found = all.iter().copied().find(|one| name(*one) == self.field(column));
        found.or_else(|| self.refuse(column, &joined(all.iter().map(|one| name(*one))), "choose one of them"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &[&str] = &["a", "b"];

    #[test]
    fn a_row_knows_its_line_after_blank_lines_and_carriage_returns() {
        let (rows, faults) = rows("x.csv", "a,b\r\n\r\n1,2\r\n\n\n 3 ,\"4\"\n", HEADER);
        assert_eq!(faults, []);
        assert_eq!(rows.iter().map(|row| (row.line, row.field("a"), row.field("b"))).collect::<Vec<_>>(), [(3, "1", "2"), (6, "3", "4")]);
    }

    #[test]
    fn a_wrong_number_of_fields_is_a_fault_of_its_line() {
        let (rows, faults) = rows("x.csv", "a,b\n1\n1,2,3\n1,2\n", HEADER);
        assert_eq!(rows.len(), 1);
        assert_eq!(faults.iter().map(|fault| fault.line).collect::<Vec<_>>(), [Some(2), Some(3)]);
    }
}
