//! Measurements as files for other programs, CSV or Parquet: what the views of the same names hold.
//!
//! Reads a ledger and never writes it. Invariants: a file is whole or not there, and a column has one type whatever rows there are.

mod csv_file;
#[cfg(feature = "parquet")]
mod parquet_file;

use std::fs::File;
use std::io::BufWriter;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use crate::show::{Selection, ShowError};
use crate::store::StoreError;
use crate::store::read::{Cell, each_row};

/// Measurements by the names of their views.
pub const MEASUREMENTS: [&str; 10] =
    ["reading", "energy", "carbon", "cost", "saving", "alert", "command", "energy_part", "carbon_part", "cost_part"];

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    Csv,
    Parquet,
}

#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error(transparent)]
    Show(#[from] ShowError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{file}: {cause}; free the disk or name another folder with --dir")]
    File { file: PathBuf, cause: std::io::Error },
    #[error("this build writes no Parquet; use --format csv, or build with --features parquet")]
    NoParquet,
    #[error("column {column} holds {seen}, wanted {wanted}; tell the developers")]
    Type { column: String, seen: String, wanted: &'static str },
}

/// A file that takes rows. The first call tells the columns.
trait Sink {
    fn row(&mut self, row: &[Cell]) -> Result<(), ExportError>;
    fn finish(self: Box<Self>) -> Result<(), ExportError>;
}

/// Writes what a measurement's view holds of the time asked for into a file of the folder, beside it first. Gives the file and its rows.
pub fn export(
    ledger: &Connection,
    measurement: &str,
    selection: &Selection,
    format: Format,
    folder: &Path,
) -> Result<(PathBuf, u64), ExportError> {
    let wanted = selection.resolve(ledger)?;
    let bound = |at: Option<crate::domain::units::Millis>, open| Cell::Integer(at.map_or(open, |at| at.0));
    let parameters = [bound(wanted.from, i64::MIN), bound(wanted.to, i64::MAX)];
    let extension = match format {
        Format::Csv => "csv",
        Format::Parquet => "parquet",
    };
    let file = folder.join(format!("{measurement}.{extension}"));
    let unfinished = folder.join(format!("{measurement}.{extension}.unfinished"));
    let failed = |cause| ExportError::File { file: file.clone(), cause };
    let (mut rows, mut sink, mut outcome) = (0, None, Ok(()));
    let sql = format!("SELECT * FROM {measurement} WHERE ts >= ?1 AND ts < ?2");
    each_row(ledger, &sql, &parameters, |columns, row| {
        let taken = match (row, sink.as_mut()) {
            (None, _) => open(&unfinished, format, columns).map(|opened| sink = Some(opened)),
            (Some(row), Some(sink)) => {
                rows += 1;
                sink.row(&row)
            }
            (Some(_), None) => Ok(()),
        };
        outcome = taken;
        if outcome.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    outcome?;
    if let Some(sink) = sink {
        sink.finish()?;
    }
    std::fs::rename(&unfinished, &file).map_err(failed)?;
    Ok((file, rows))
}

fn open(file: &Path, format: Format, columns: &[String]) -> Result<Box<dyn Sink>, ExportError> {
    let made = File::create(file).map_err(|cause| ExportError::File { file: file.to_owned(), cause })?;
    let out = BufWriter::new(made);
    match format {
        Format::Csv => Ok(Box::new(csv_file::CsvFile::new(file, out, columns)?)),
        #[cfg(feature = "parquet")]
        Format::Parquet => Ok(Box::new(parquet_file::ParquetFile::new(file, out, columns)?)),
        #[cfg(not(feature = "parquet"))]
        Format::Parquet => Err(ExportError::NoParquet),
    }
}

/// Whether this build can write a format: told before anything is read.
pub fn can_write(format: Format) -> Result<(), ExportError> {
    if format == Format::Parquet && !cfg!(feature = "parquet") { Err(ExportError::NoParquet) } else { Ok(()) }
}
