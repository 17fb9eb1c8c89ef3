//! A measurement as Parquet: every column optional; `ts` is a timestamp in milliseconds, UTC; compressed with Snappy.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::Type;

use super::{ExportError, Sink};
use crate::store::read::Cell;

/// Rows kept in memory and written as one group.
const ROWS_PER_GROUP: usize = 65_536;

/// What the values of a column are. `Time`: milliseconds since 1970, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Time,
    Integer,
    Real,
    Text,
}

const INTEGERS: [&str; 3] = ["seq", "ambiguous", "scope"];
const REALS: [&str; 24] = [
    "value",
    "energy",
    "limit",
    "quantity",
    "kwh",
    "tce_calorific",
    "tce_primary",
    "measured_share",
    "assumed_share",
    "estimated_share",
    "kg_co2e",
    "cny",
    "baseline_kwh",
    "metered_kwh",
    "saved_kwh",
    "saved_kg_co2e",
    "saved_cny",
    "low_kwh",
    "high_kwh",
    "baseline_m3",
    "metered_m3",
    "saved_m3",
    "low_m3",
    "high_m3",
];

impl Kind {
    /// By name, so that a file's schema does not depend on what the ledger holds.
    fn of(column: &str) -> Kind {
        match column {
            "ts" => Kind::Time,
            integer if INTEGERS.contains(&integer) => Kind::Integer,
            real if REALS.contains(&real) => Kind::Real,
            _ => Kind::Text,
        }
    }
}

pub struct ParquetFile {
    file: PathBuf,
    columns: Vec<(String, Kind)>,
    writer: SerializedFileWriter<BufWriter<File>>,
    /// By column.
    kept: Vec<Vec<Cell>>,
}

impl ParquetFile {
    pub fn new(file: &Path, out: BufWriter<File>, columns: &[String]) -> Result<ParquetFile, ExportError> {
        let columns: Vec<(String, Kind)> = columns.iter().map(|name| (name.clone(), Kind::of(name))).collect();
        let failed = |cause| failed(file, cause);
        let fields = columns.iter().map(|(name, kind)| field(name, *kind).map(Arc::new)).collect::<Result<Vec<_>, _>>().map_err(failed)?;
        let schema = Type::group_type_builder("measurement").with_fields(fields).build().map_err(failed)?;
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let writer = SerializedFileWriter::new(out, Arc::new(schema), Arc::new(properties)).map_err(failed)?;
        let kept = vec![Vec::new(); columns.len()];
        Ok(ParquetFile { file: file.to_owned(), columns, writer, kept })
    }

    fn write_group(&mut self) -> Result<(), ExportError> {
        let ParquetFile { file, columns, writer, kept } = self;
        if kept.first().is_none_or(Vec::is_empty) {
            return Ok(());
        }
        let failed = |cause| failed(file, cause);
        let mut group = writer.next_row_group().map_err(failed)?;
        for ((name, kind), cells) in columns.iter().zip(kept) {
            let wrong = |cell: &Cell, wanted| ExportError::Type { column: name.clone(), seen: format!("{cell:?}"), wanted };
            match kind {
                Kind::Time | Kind::Integer => {
                    let values = values(cells, |cell| if let Cell::Integer(value) = cell { Some(*value) } else { None });
                    write::<Int64Type, _>(&mut group, cells, &values.map_err(|cell| wrong(cell, "an integer"))?).map_err(failed)?;
                }
                Kind::Real => {
                    let number = |cell: &Cell| match cell {
                        Cell::Real(value) => Some(*value),
                        Cell::Integer(value) => Some(*value as f64),
                        Cell::Null | Cell::Boolean(_) | Cell::Text(_) => None,
                    };
                    write::<DoubleType, _>(&mut group, cells, &values(cells, number).map_err(|cell| wrong(cell, "a number"))?)
                        .map_err(failed)?;
                }
                Kind::Text => {
                    let bytes = |cell: &Cell| if let Cell::Text(text) = cell { Some(ByteArray::from(text.as_str())) } else { None };
                    write::<ByteArrayType, _>(&mut group, cells, &values(cells, bytes).map_err(|cell| wrong(cell, "a text"))?)
                        .map_err(failed)?;
                }
            }
            cells.clear();
        }
        group.close().map_err(failed)?;
        Ok(())
    }
}

impl Sink for ParquetFile {
    fn row(&mut self, row: &[Cell]) -> Result<(), ExportError> {
        for (cells, cell) in self.kept.iter_mut().zip(row) {
            cells.push(cell.clone());
        }
        if self.kept.first().is_some_and(|cells| cells.len() >= ROWS_PER_GROUP) { self.write_group() } else { Ok(()) }
    }

    fn finish(mut self: Box<Self>) -> Result<(), ExportError> {
        self.write_group()?;
        let ParquetFile { file, writer, .. } = *self;
        writer.close().map_err(|cause| failed(&file, cause))?;
        Ok(())
    }
}

fn failed(file: &Path, cause: ParquetError) -> ExportError {
    ExportError::File { file: file.to_owned(), cause: std::io::Error::other(cause) }
}

fn field(name: &str, kind: Kind) -> Result<Type, ParquetError> {
    let (physical, logical) = match kind {
        Kind::Time => (Physical::INT64, Some(LogicalType::timestamp(true, TimeUnit::MILLIS))),
        Kind::Integer => (Physical::INT64, None),
        Kind::Real => (Physical::DOUBLE, None),
        Kind::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
    };
    Type::primitive_type_builder(name, physical).with_repetition(Repetition::OPTIONAL).with_logical_type(logical).build()
}

/// The values that are there; the first cell that holds something else.
fn values<T>(cells: &[Cell], value: impl Fn(&Cell) -> Option<T>) -> Result<Vec<T>, &Cell> {
    cells.iter().filter(|cell| **cell != Cell::Null).map(|cell| value(cell).ok_or(cell)).collect()
}

fn write<D: DataType<T = T>, T>(
    group: &mut SerializedRowGroupWriter<'_, BufWriter<File>>,
    cells: &[Cell],
    values: &[T],
) -> Result<(), ParquetError> {
    let there: Vec<i16> = cells.iter().map(|cell| i16::from(*cell != Cell::Null)).collect();
    let mut column = group.next_column()?.ok_or_else(|| ParquetError::General("more columns than the schema has".to_owned()))?;
    column.typed::<D>().write_batch(values, Some(&there), None)?;
    column.close()
}
