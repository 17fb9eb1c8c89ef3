//! Rows of a CSV file under a fixed header, each with its line.

use super::fault::{Fault, joined, quoted};
use super::source_text::LineStarts;

/// The fields of all rows that have as many as the header: one text for the whole file, because a large zone has millions of them.
pub struct CsvFile {
    name: &'static str,
    header: &'static [&'static str],
    fields: String,
    /// Where each field ends in `fields`, row by row.
    ends: Vec<usize>,
    /// The line of each row.
    lines: Vec<usize>,
}

/// One line of data, and the faults found in it so far.
pub struct Row<'f> {
    pub line: usize,
    file: &'f CsvFile,
    /// Position of the row's first field among all fields.
    first: usize,
    pub faults: Vec<Fault>,
}

impl CsvFile {
    /// Rows with another number of fields are faults. Without the right header there are no rows.
    #[must_use]
    pub fn read(name: &'static str, text: &str, header: &'static [&'static str]) -> (Self, Vec<Fault>) {
        let mut reader = csv::ReaderBuilder::new().flexible(true).has_headers(false).trim(csv::Trim::All).from_reader(text.as_bytes());
        let mut file = Self { name, header, fields: String::with_capacity(text.len()), ends: Vec::new(), lines: Vec::new() };
        let mut faults = Vec::new();
        let fault = |line, key: &str, seen: String, wanted: String, remedy: &str| Fault {
            file: name.to_owned(),
            line: Some(line),
            key: key.to_owned(),
            seen,
            wanted,
            remedy: remedy.to_owned(),
        };
        let starts = LineStarts::of(text);
        let mut is_header = true;
        let mut record = csv::StringRecord::new();
        loop {
            match reader.read_record(&mut record) {
                Ok(true) => {}
                Ok(false) => return (file, faults),
                Err(error) => {
                    let line = error.position().map_or(1, |position| position.line() as usize);
                    let wanted = "comma-separated fields".to_owned();
                    faults.push(fault(line, "csv", quoted(&error.to_string()), wanted, "correct the quotes"));
                    continue;
                }
            }
            let line = line_of_record(text, &starts, &record);
            if std::mem::take(&mut is_header) {
                if record.iter().ne(header.iter().copied()) {
                    let seen = quoted(&record.iter().collect::<Vec<_>>().join(","));
                    faults.push(fault(line, "header", seen, header.join(","), "correct the first line"));
                    return (file, faults);
                }
            } else if record.len() == header.len() {
                file.lines.push(line);
                for field in &record {
                    file.fields.push_str(field);
                    file.ends.push(file.fields.len());
                }
            } else {
                let seen = format!("{} fields", record.len());
                faults.push(fault(line, "fields", seen, format!("{}", header.len()), "add or remove commas"));
            }
        }
    }

    #[must_use]
    pub fn rows(&self) -> impl ExactSizeIterator<Item = Row<'_>> {
        let row = |(at, line): (usize, &usize)| Row { line: *line, file: self, first: at * self.header.len(), faults: Vec::new() };
        self.lines.iter().enumerate().map(row)
    }
}

/// The reader's own position is that of the blank lines before a record.
fn line_of_record(text: &str, starts: &LineStarts, record: &csv::StringRecord) -> usize {
    let start = record.position().map_or(0, |position| position.byte() as usize);
    let blank = text.as_bytes()[start..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    starts.line(start + blank)
}

impl<'f> Row<'f> {
    /// The field of a column.
    ///
    /// # Panics
    /// If the header has no such column.
    #[must_use]
    pub fn field(&self, column: &str) -> &'f str {
        let at = self.first + self.file.header.iter().position(|name| *name == column).expect("a column of the header");
        let start = at.checked_sub(1).map_or(0, |before| self.file.ends[before]);
        &self.file.fields[start..self.file.ends[at]]
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
            file: self.file.name.to_owned(),
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
        let (file, faults) = CsvFile::read("x.csv", "a,b\r\n\r\n1,2\r\n\n\n 3 ,\"4\"\n", HEADER);
        assert_eq!(faults, []);
        assert_eq!(file.rows().map(|row| (row.line, row.field("a"), row.field("b"))).collect::<Vec<_>>(), [(3, "1", "2"), (6, "3", "4")]);
    }

    #[test]
    fn a_wrong_number_of_fields_is_a_fault_of_its_line() {
        let (file, faults) = CsvFile::read("x.csv", "a,b\n1\n1,2,3\n1,2\n", HEADER);
        assert_eq!(file.rows().len(), 1);
        assert_eq!(faults.iter().map(|fault| fault.line).collect::<Vec<_>>(), [Some(2), Some(3)]);
    }
}
