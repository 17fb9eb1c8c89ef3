//! Reads the zone's folder again when SIGHUP asks for it, or when its files, or those that it names elsewhere, have changed and stay as they are.
//!
//! Never touches the engine: what was read, or its faults, goes to the collector.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use tracing::info;

use crate::config::fault::Fault;
use crate::config::zone_folder::{self, ZoneFolder};

/// How often the folder is looked at. A change has to stand for as long, so that somebody who copies several files is not read half-way.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The folder as it now reads, or every fault of it.
pub type Reread = Result<ZoneFolder, Vec<Fault>>;

/// Watches until the collector is gone.
pub async fn watch(folder: PathBuf, collector: mpsc::Sender<Reread>) -> std::io::Result<()> {
    let mut hang_up = signal(SignalKind::hangup())?;
    let mut look = interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut known = stamp(&folder);
    let mut before = known.clone();
    loop {
        tokio::select! {
            _ = hang_up.recv() => info!("SIGHUP: reading the zone folder again"),
            _ = look.tick() => {
                let seen = stamp(&folder);
                let stands = seen == before && seen != known;
                before = seen;
                if !stands {
                    continue;
                }
                info!("the zone folder has changed: reading it again");
            }
        }
        known = stamp(&folder);
        let reading = folder.clone();
        let read = tokio::task::spawn_blocking(move || zone_folder::load(&reading)).await?;
        if collector.send(read).await.is_err() {
            return Ok(());
        }
    }
}

/// Names, times and lengths of the folder's files and of those that its zone names elsewhere; nothing where they cannot be listed.
fn stamp(folder: &Path) -> Vec<(PathBuf, Option<SystemTime>, u64)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path()).chain(zone_folder::named_files(folder));
    let files = paths.filter_map(|path| std::fs::metadata(&path).ok().map(|of| (path, of.modified().ok(), of.len())));
    let mut files: Vec<_> = files.collect();
    files.sort();
    files
}
