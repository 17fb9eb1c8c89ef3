//! The embedded store: one `SQLite` file in the data folder, one writer, any number of readers.
//!
//! Never judges: it writes the batches of the engine and gives them back. Invariant: a batch is in the file as a whole or not at all, and once
//! [`Store::commit`] has returned it survives the loss of power.

pub mod accounts;
pub mod alerts;
pub mod backup;
pub mod batch;
mod bits;
mod chunk;
mod declared;
pub mod history;
mod latest;
pub mod named;
mod on_record;
pub mod outbox;
pub mod planning;
pub mod prices;
pub mod read;
mod readings;
pub mod regulation;
pub mod request;
pub mod restate;
pub mod restore;
pub mod retention;
pub mod savings;
pub mod scale;
pub mod sending;
mod series;
mod tree;
mod unpacked;
mod write;

use std::fs::File;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, OpenFlags, params};
use rustc_hash::FxHashSet;

use crate::domain::keep::Keep;

/// Grows whenever a table changes its meaning.
pub const SCHEMA_VERSION: i64 = 5;
/// A ledger of this version lacks tables only, which are added when a collector opens it.
const UPGRADED_VERSION: i64 = 4;
/// The store's file in the data folder.
pub const FILE_NAME: &str = "nengtan.sqlite";
const LOCK_NAME: &str = "lock";
/// Pages of 4 KiB in the log before they are moved into the file.
const WAL_PAGES: i64 = 4000;
/// Kibibytes of pages kept in memory by the writer.
const CACHE_KIB: i64 = 64 * 1024;
/// Milliseconds to wait for another process that holds the file.
const BUSY_MS: u64 = 10_000;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("data folder {folder} is in use by another collector; stop that one, or give another folder with --data")]
    Locked { folder: PathBuf },
    #[error("data folder {folder}: {cause}; check that it exists, that it is writable and that the disk is not full")]
    Folder { folder: PathBuf, cause: std::io::Error },
    #[error(
        "{file} was written by schema version {seen}, this program reads {SCHEMA_VERSION}; use the program that wrote it, or another data folder"
    )]
    Version { file: PathBuf, seen: i64 },
    #[error(
        "{file} was made with {key} {seen}, the zone folder says {wanted}; give that zone's data folder with --data, or begin a new one, or put the key back"
    )]
    OtherZone { file: PathBuf, key: &'static str, seen: String, wanted: String },
    #[error(
        "no ledger in {folder}, wanted a folder with {FILE_NAME}; run `nengtan demo` or `nengtan collect` first, or name the folder with --data"
    )]
    NoLedger { folder: PathBuf },
    #[error("the statement would write, or gives no rows; wanted one that only reads, such as SELECT")]
    NotReadOnly,
    #[error("store: {0}; check the disk's free space and the folder's permissions")]
    Sqlite(rusqlite::Error),
    #[error(
        "the ledger's file is damaged ({0}); stop the collector, keep the file, and go on with the newest copy of `nengtan backup`: the gateways are asked for what it lacks"
    )]
    Damaged(rusqlite::Error),
    #[error(
        "{} cannot be written, and its log ({}-wal) was not brought in, so that a reader would miss the newest rows; copy the whole folder to a place that can be written and name that with --data", .file.display(), .file.display()
    )]
    LogLeft { file: PathBuf },
    #[error("{file} is there already, wanted a folder without a ledger; give another one with --to")]
    Occupied { file: PathBuf },
    #[error("store: a row of the outbox cannot be read ({cause}); check the disk")]
    Outbox { cause: String },
    #[error("store: the packed rows of channel {channel}, day {day} since 1970, cannot be read; check the disk, or go back to a backup")]
    Chunk { channel: u32, day: i64 },
    #[error("store: {what} of {key} does not fit 64 bits; split the zone, or check the ratings in meters.csv")]
    Overflow { what: &'static str, key: String },
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> StoreError {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Damaged(error),
            Some(_) | None => StoreError::Sqlite(error),
        }
    }
}

/// The writer's connection, with the data folder's lock.
#[derive(Debug)]
pub struct Store {
    pub(crate) connection: Connection,
    /// Gauges whose new values get rows of their own, see [`readings`].
    alone: FxHashSet<batch::RowId>,
    unsettled: latest::Unsettled,
    packing: history::Packing,
    kept: retention::Kept,
    /// How it was to be kept, and the day, when nothing was left to remove.
    forgotten: (Keep, i64),
    /// None while no outbox is configured.
    feed: Option<outbox::Feed>,
    /// Dropped last: the file is closed before another writer may come.
    _lock: FolderLock,
}

/// The data folder's lock. A process that is being started holds a copy of every open file for a moment, so closing alone would leave it locked.
#[derive(Debug)]
struct FolderLock(File);

impl Drop for FolderLock {
    fn drop(&mut self) {
        // Closing, which follows, unlocks as well, if a little later.
        drop(self.0.unlock());
    }
}

impl Store {
    /// Opens the folder's ledger for writing, or makes folder and ledger.
    pub fn open(folder: &Path) -> Result<Store, StoreError> {
        let at_folder = |cause| StoreError::Folder { folder: folder.to_owned(), cause };
        std::fs::create_dir_all(folder).map_err(at_folder)?;
        let lock = File::create(folder.join(LOCK_NAME)).map_err(at_folder)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Err(StoreError::Locked { folder: folder.to_owned() }),
            Err(std::fs::TryLockError::Error(cause)) => return Err(at_folder(cause)),
        }
        let file = folder.join(FILE_NAME);
        let mut connection = Connection::open(&file)?;
        connection.busy_timeout(std::time::Duration::from_millis(BUSY_MS))?;
        // One that reads first and then writes is refused at once, without a wait, when a command's request came in between.
        connection.set_transaction_behavior(rusqlite::TransactionBehavior::Immediate);
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "wal_autocheckpoint", WAL_PAGES)?;
        connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        connection.set_prepared_statement_cache_capacity(64);
        migrate(&mut connection, &file)?;
        unpacked::equip(&connection)?;
        let (packing, kept) = (history::Packing::of(&connection)?, retention::kept(&connection)?);
        let (alone, unsettled) = (FxHashSet::default(), latest::Unsettled::default());
        let forgotten = (Keep::default(), i64::MIN);
        let mut store = Store { connection, alone, unsettled, packing, kept, forgotten, feed: None, _lock: FolderLock(lock) };
        store.alone = readings::alone(&store.connection)?;
        store.unsettled = latest::left_behind(&store.connection)?;
        store.settle()?;
        store.feed = outbox::feed(&store.connection)?;
        Ok(store)
    }

    /// The text kept under `key`, or what `make` gives, kept from now on.
    pub fn text_or(&self, key: &str, make: impl FnOnce() -> String) -> Result<String, StoreError> {
        if let Some(text) = meta_text(&self.connection, key)? {
            return Ok(text);
        }
        let text = make();
        self.connection.execute("INSERT INTO meta VALUES (?1, ?2)", params![key, text])?;
        Ok(text)
    }
}

fn migrate(connection: &mut Connection, file: &Path) -> Result<(), StoreError> {
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let transaction = connection.transaction()?;
    match version {
        0 => {
            transaction.execute_batch(include_str!("schema.sql"))?;
            transaction.execute_batch(include_str!("declared.sql"))?;
            transaction.execute_batch(include_str!("savings.sql"))?;
            transaction.execute_batch(include_str!("accounts.sql"))?;
            transaction.execute_batch(include_str!("outbox.sql"))?;
            transaction.execute_batch(include_str!("packed.sql"))?;
        }
        UPGRADED_VERSION => transaction.execute_batch(include_str!("packed.sql"))?,
        SCHEMA_VERSION => {}
        seen => return Err(StoreError::Version { file: file.to_owned(), seen }),
    }
    transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    transaction.execute_batch(include_str!("views.sql"))?;
    transaction.execute_batch(include_str!("scale.sql"))?;
    transaction.execute_batch(include_str!("regulation.sql"))?;
    transaction.execute_batch(include_str!("savings_views.sql"))?;
    transaction.execute_batch(include_str!("accounts_views.sql"))?;
    transaction.commit()?;
    Ok(())
}

/// Opens a folder's ledger for reading; any number of processes may, while a collector writes.
pub fn open_to_read(folder: &Path) -> Result<Connection, StoreError> {
    let file = folder.join(FILE_NAME);
    if !file.is_file() {
        return Err(StoreError::NoLedger { folder: folder.to_owned() });
    }
    // Not read-only: the first reader after a crash has to bring the log in.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let (connection, seen) = match opened(&file, flags) {
        Err(error) if cannot_write(&error) => opened_as_it_is(&file)?,
        opened => opened?,
    };
    if seen != SCHEMA_VERSION {
        return Err(StoreError::Version { file, seen });
    }
    unpacked::equip(&connection)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

/// A reader's connection, and the schema's version.
fn opened(file: &Path, flags: OpenFlags) -> Result<(Connection, i64), rusqlite::Error> {
    let connection = Connection::open_with_flags(file, flags)?;
    connection.busy_timeout(std::time::Duration::from_millis(BUSY_MS))?;
    let seen = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    Ok((connection, seen))
}

fn cannot_write(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied))
}

/// A file in a place that nobody can write, such as a copy that was locked away: read without a log beside it. Where one was left the newest rows are in it.
fn opened_as_it_is(file: &Path) -> Result<(Connection, i64), StoreError> {
    let mut log = file.as_os_str().to_owned();
    log.push("-wal");
    if std::fs::metadata(log).is_ok_and(|log| log.len() > 0) {
        return Err(StoreError::LogLeft { file: file.to_owned() });
    }
    let path = file.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Ok(opened(Path::new(&format!("file:{path}?immutable=1")), flags)?)
}

fn meta_text(connection: &Connection, key: &str) -> Result<Option<String>, rusqlite::Error> {
    use rusqlite::OptionalExtension;
    connection.query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0)).optional()
}
