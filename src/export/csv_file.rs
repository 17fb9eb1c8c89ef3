//! A measurement as CSV: a header of column names, numbers with all their digits, nothing where there is no value.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use super::{ExportError, Sink};
use crate::store::read::Cell;

pub struct CsvFile {
    file: PathBuf,
    writer: csv::Writer<BufWriter<File>>,
}

impl CsvFile {
    pub fn new(file: &Path, out: BufWriter<File>, columns: &[String]) -> Result<CsvFile, ExportError> {
        let mut made = CsvFile { file: file.to_owned(), writer: csv::Writer::from_writer(out) };
        made.record(columns)?;
        Ok(made)
    }

    fn record(&mut self, fields: &[String]) -> Result<(), ExportError> {
        let CsvFile { file, writer } = self;
        writer.write_record(fields).map_err(|cause| ExportError::File { file: file.clone(), cause: cause.into() })
    }
}

impl Sink for CsvFile {
    fn row(&mut self, row: &[Cell]) -> Result<(), ExportError> {
        let fields: Vec<String> = row.iter().map(text).collect();
        self.record(&fields)
    }

    fn finish(self: Box<Self>) -> Result<(), ExportError> {
        let CsvFile { file, writer } = *self;
        let mut out = writer.into_inner().map_err(|cause| ExportError::File { file: file.clone(), cause: cause.into_error() })?;
        out.flush().map_err(|cause| ExportError::File { file, cause })
    }
}

fn text(cell: &Cell) -> String {
    match cell {
        Cell::Null => String::new(),
        Cell::Boolean(value) => value.to_string(),
        Cell::Integer(value) => value.to_string(),
        Cell::Real(value) => value.to_string(),
        Cell::Text(text) => text.clone(),
    }
}
