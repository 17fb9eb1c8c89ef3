//! Packed history in SQL: functions that open chunks, and views over rows and packed rows in the place of the file's own.

use std::sync::{Mutex, PoisonError};

use rusqlite::config::DbConfig;
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::{ToSql, ToSqlOutput, Value};
use rusqlite::{Connection, vtab};

use super::StoreError;
use super::chunk::{self, Cell, Chunk};
use crate::domain::units::DAY_MS;

/// Opened chunks that a connection keeps: one for each place in a statement that reads them.
const OPEN_CHUNKS: usize = 8;

impl ToSql for Cell {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Owned(match *self {
            Cell::Null => Value::Null,
            Cell::Integer(value) => Value::Integer(value),
            Cell::Real(value) => Value::Real(value),
        }))
    }
}

/// Lets a connection see packed rows.
pub fn equip(connection: &Connection) -> Result<(), StoreError> {
    // Without it a statement is planned anew for each value that it is asked with, which over these views costs more than to run it.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    vtab::series::load_module(connection)?;
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    for (name, place) in [("unpacked", row_of_moment as fn(&Chunk, usize, i64) -> Option<usize>), ("unpacked_at", row_of_number)] {
        let open: Mutex<Open> = Mutex::default();
        connection.create_scalar_function(name, 4, flags, move |context| {
            let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
            unpacked(context, &mut open, place)
        })?;
    }
    connection.create_scalar_function("block_of", 1, flags, |context| Ok(context.get::<i64>(0)?.div_euclid(DAY_MS)))?;
    connection.execute_batch(&views())?;
    let mut texts =
        connection.prepare("SELECT sql FROM main.sqlite_schema WHERE type = 'view' AND name NOT LIKE 'every\\_%' ESCAPE '\\'")?;
    let texts = texts.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
    for text in texts {
        connection.execute_batch(&text.replacen("CREATE VIEW", "CREATE TEMP VIEW", 1))?;
    }
    Ok(())
}

fn views() -> String {
    let fields = |names: &[&str], first: usize, call: &str| {
        let field = |(index, name): (usize, &&str)| {
            let value = format!("{call}, {})", first + index);
            match *name {
                "value" => format!("{value} AS value"),
                "flow" | "g1" | "g2" | "g3" | "g4" => format!("CAST({value} AS REAL) AS {name}"),
                integer => format!("CAST({value} AS INTEGER) AS {integer}"),
            }
        };
        names.iter().enumerate().map(field).collect::<Vec<_>>().join(", ")
    };
    let at_moment = "unpacked(p.id, p.bytes, m.ts";
    let plain = |names: &[&str]| names[1..].join(", ").replace("value", "+value AS value");
    include_str!("history_views.sql")
        .replace("{reading_row}", &plain(&chunk::READING))
        .replace("{interval_row}", &plain(&chunk::INTERVAL))
        .replace("{reading}", &fields(&chunk::READING[1..], 1, at_moment))
        .replace("{interval}", &fields(&chunk::INTERVAL[1..], chunk::READING.len() + 1, at_moment))
        .replace("{uneven}", &fields(&chunk::READING, 0, "unpacked_at(p.id, p.bytes, s.value"))
}

fn row_of_moment(chunk: &Chunk, field: usize, ts: i64) -> Option<usize> {
    Chunk::row_at(if field < chunk::READING.len() { &chunk.readings } else { &chunk.intervals }, ts)
}

fn row_of_number(_: &Chunk, _: usize, number: i64) -> Option<usize> {
    usize::try_from(number).ok()
}

/// Chunks by their ids, the newest last.
type Open = Vec<(i64, Chunk)>;

/// `unpacked(id, bytes, moment, field)` and `unpacked_at(id, bytes, row, field)`: one value of a chunk; nothing where there is no such row.
fn unpacked(context: &Context, open: &mut Open, place: fn(&Chunk, usize, i64) -> Option<usize>) -> Result<Cell, rusqlite::Error> {
    let failed = |cause: &str| rusqlite::Error::UserFunctionError(cause.into());
    let (id, at, field): (i64, i64, u32) = (context.get(0)?, context.get(2)?, context.get(3)?);
    let known = if let Some(known) = open.iter().rposition(|(known, _)| *known == id) {
        known
    } else {
        let bytes = context.get_raw(1).as_blob().map_err(|_| failed("a chunk is no blob; check the disk"))?;
        let chunk = Chunk::from_bytes(bytes)
            .ok_or_else(|| failed("a chunk of packed_row cannot be read; check the disk, or go back to a backup"))?;
        if open.len() == OPEN_CHUNKS {
            open.remove(0);
        }
        open.push((id, chunk));
        open.len() - 1
    };
    let chunk = &open[known].1;
    let column =
        chunk.readings.iter().chain(&chunk.intervals).nth(field as usize).ok_or_else(|| failed("a chunk has not so many fields"))?;
    let row = place(chunk, field as usize, at).and_then(|row| column.get(row));
    Ok(row.copied().unwrap_or(Cell::Null))
}
