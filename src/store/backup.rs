//! A copy of a ledger, taken while its collector writes.
//!
//! Invariant: the copy is the ledger as of one commit, and has its name only when it is complete and on the disk.

use std::fs::File;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::{BUSY_MS, FILE_NAME, StoreError, open_to_read};

/// Its name until it is complete.
const UNFINISHED_NAME: &str = "nengtan.sqlite.unfinished";

/// Copies the ledger of `data` into the folder `to` and gives the copy's bytes. A folder that holds a ledger is an error.
pub fn backup(data: &Path, to: &Path) -> Result<u64, StoreError> {
    // Says what is wrong with a folder without a ledger, or of another version.
    drop(open_to_read(data)?);
    let at_folder = |cause| StoreError::Folder { folder: to.to_owned(), cause };
    std::fs::create_dir_all(to).map_err(at_folder)?;
    let (file, unfinished) = (to.join(FILE_NAME), to.join(UNFINISHED_NAME));
    if file.exists() {
        return Err(StoreError::Occupied { file });
    }
    if unfinished.exists() {
        std::fs::remove_file(&unfinished).map_err(at_folder)?;
    }
    let ledger = Connection::open_with_flags(data.join(FILE_NAME), OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    ledger.busy_timeout(std::time::Duration::from_millis(BUSY_MS))?;
    // One read transaction; a writer goes on beside it.
    ledger.execute("VACUUM INTO ?1", [unfinished.to_string_lossy()])?;
    let copy = File::open(&unfinished).map_err(at_folder)?;
    copy.sync_all().map_err(at_folder)?;
    let bytes = copy.metadata().map_err(at_folder)?.len();
    std::fs::rename(&unfinished, &file).map_err(at_folder)?;
    File::open(to).and_then(|folder| folder.sync_all()).map_err(at_folder)?;
    Ok(bytes)
}
