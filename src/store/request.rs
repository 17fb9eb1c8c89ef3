//! What commands ask of a running collector: a row each in the table `request`.
//!
//! Invariant: a request that was taken and not answered is taken again after a restart, so what is asked must be harmless twice.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, params};

use super::{BUSY_MS, FILE_NAME, Store, StoreError};

/// Longer arguments than this are not kept once they have been dealt with, characters.
const ARGUMENTS_KEPT_MAX: i64 = 4096;

/// A request that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub id: i64,
    pub kind: String,
    pub arguments: String,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Done(String),
    Failed(String),
}

/// The side that asks, beside a collector that has the folder's lock.
#[derive(Debug)]
pub struct Asker {
    connection: Connection,
    id: i64,
}

impl Asker {
    pub fn ask(folder: &Path, kind: &str, arguments: &str) -> Result<Asker, StoreError> {
        let connection = Connection::open(folder.join(FILE_NAME))?;
        connection.busy_timeout(std::time::Duration::from_millis(BUSY_MS))?;
        connection.execute("INSERT INTO request (kind, arguments) VALUES (?1, ?2)", [kind, arguments])?;
        let id = connection.last_insert_rowid();
        Ok(Asker { connection, id })
    }

    /// The answer, once there is one.
    pub fn answer(&self) -> Result<Option<Answer>, StoreError> {
        let sql = "SELECT state, COALESCE(result, '') FROM request WHERE id = ?1";
        let (state, result): (String, String) = self.connection.query_row(sql, [self.id], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(match &*state {
            "done" => Some(Answer::Done(result)),
            "failed" => Some(Answer::Failed(result)),
            _ => None,
        })
    }

    /// Takes the request back, for who has the folder's lock: a collector that began with it is gone. Gives whether nobody had answered it.
    pub fn withdraw(&self) -> Result<bool, StoreError> {
        Ok(self.connection.execute("DELETE FROM request WHERE id = ?1 AND state IN ('waiting', 'running')", [self.id])? > 0)
    }
}

impl Store {
    /// Whether a request waits, or was interrupted.
    pub fn has_requests(&self) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM request WHERE state IN ('waiting', 'running'))";
        Ok(self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
    }

    /// Takes the oldest request that nobody has answered.
    pub fn take_request(&self) -> Result<Option<Request>, StoreError> {
        let sql = "SELECT id, kind, arguments FROM request WHERE state IN ('waiting', 'running') ORDER BY id LIMIT 1";
        let found = self
            .connection
            .prepare_cached(sql)?
            .query_row([], |row| Ok(Request { id: row.get(0)?, kind: row.get(1)?, arguments: row.get(2)? }))
            .optional()?;
        if let Some(request) = &found {
            self.connection.execute("UPDATE request SET state = 'running' WHERE id = ?1", [request.id])?;
        }
        Ok(found)
    }

    pub fn answer_request(&self, id: i64, answer: &Answer) -> Result<(), StoreError> {
        let (state, result) = match answer {
            Answer::Done(result) => ("done", result),
            Answer::Failed(result) => ("failed", result),
        };
        // Long arguments are a row of their own by then, or nothing.
        let sql = "UPDATE request SET state = ?2, result = ?3, arguments = CASE WHEN length(arguments) <= ?4 THEN arguments ELSE '' END WHERE id = ?1";
        self.connection.execute(sql, params![id, state, result, ARGUMENTS_KEPT_MAX])?;
        Ok(())
    }
}
