//! What readers take from a ledger, while a collector writes or not.

use std::ops::ControlFlow;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, params_from_iter};

use super::StoreError;

/// One value of a result.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    Null,
    Boolean(bool),
    Integer(i64),
    Real(f64),
    Text(String),
}

impl From<&str> for Cell {
    fn from(text: &str) -> Cell {
        Cell::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Cell {
        Cell::Text(text)
    }
}

impl From<Option<f64>> for Cell {
    fn from(value: Option<f64>) -> Cell {
        value.map_or(Cell::Null, Cell::Real)
    }
}

/// A result: named columns, and rows of as many cells.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<Cell>>,
}

impl Table {
    #[must_use]
    pub fn new(columns: &[&str]) -> Table {
        Table { columns: columns.iter().map(|&column| column.to_owned()).collect(), rows: Vec::new() }
    }
}

/// Runs one read-only statement and gives all of its rows.
pub fn query(connection: &Connection, sql: &str, parameters: &[Cell]) -> Result<Table, StoreError> {
    let mut table = Table::default();
    each_row(connection, sql, parameters, |columns, row| {
        if table.columns.is_empty() {
            columns.clone_into(&mut table.columns);
        }
        table.rows.extend(row);
        ControlFlow::Continue(())
    })?;
    Ok(table)
}

/// Runs one read-only statement and shows its columns, once without a row and then with each row, until `each` breaks off. Blobs come as text with what
/// is not UTF-8 replaced.
pub fn each_row(
    connection: &Connection,
    sql: &str,
    parameters: &[Cell],
    mut each: impl FnMut(&[String], Option<Vec<Cell>>) -> ControlFlow<()>,
) -> Result<(), StoreError> {
    let mut statement = connection.prepare(sql)?;
    if !statement.readonly() || statement.column_count() == 0 {
        return Err(StoreError::NotReadOnly);
    }
    let columns = statement.column_names().map(str::to_owned).collect::<Vec<_>>();
    let width = columns.len();
    let parameters = parameters.iter().map(|cell| match cell {
        Cell::Null => rusqlite::types::Value::Null,
        Cell::Boolean(value) => (*value).into(),
        Cell::Integer(value) => (*value).into(),
        Cell::Real(value) => (*value).into(),
        Cell::Text(text) => text.clone().into(),
    });
    let mut rows = statement.query(params_from_iter(parameters))?;
    if each(&columns, None).is_break() {
        return Ok(());
    }
    while let Some(row) = rows.next()? {
        let cells = (0..width).map(|index| {
            Ok(match row.get_ref(index)? {
                ValueRef::Null => Cell::Null,
                ValueRef::Integer(value) => Cell::Integer(value),
                ValueRef::Real(value) => Cell::Real(value),
                ValueRef::Text(text) | ValueRef::Blob(text) => Cell::Text(String::from_utf8_lossy(text).into_owned()),
            })
        });
        if each(&columns, Some(cells.collect::<Result<_, rusqlite::Error>>()?)).is_break() {
            break;
        }
    }
    Ok(())
}
