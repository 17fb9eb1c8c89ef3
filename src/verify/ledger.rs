//! The ledger's side of a verification: every good mark of every register, with what had run up to it.

use rusqlite::Connection;
use rustc_hash::FxHashMap;

use super::VerifyError;
use crate::domain::units::Quantity;
use crate::ledger::mark::{Quality, Verdict};

/// A good mark: device time, energy since the channel's first mark, and the quality of the span that ends here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Good {
    pub at: i64,
    pub run_up: i128,
    pub quality: Quality,
}

#[derive(Debug)]
pub struct Channel {
    pub row: i64,
    /// The register's smallest step in ledger units.
    pub step: i64,
    /// In order of time.
    pub goods: Vec<Good>,
}

impl Channel {
    /// Position of the last good mark at a moment.
    #[must_use]
    pub fn at(&self, at: i64) -> Option<usize> {
        let after = self.goods.partition_point(|good| good.at <= at);
        after.checked_sub(1).filter(|index| self.goods[*index].at == at)
    }
}

/// Channels by meter and item.
pub type Ledger = FxHashMap<(String, String), Channel>;

pub fn read(connection: &Connection) -> Result<Ledger, VerifyError> {
    let mut names: FxHashMap<i64, (String, String)> = FxHashMap::default();
    let mut channels: FxHashMap<i64, Channel> = FxHashMap::default();
    let mut statement = connection.prepare("SELECT id, meter, item, step FROM channel_row WHERE step IS NOT NULL")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        names.insert(id, (row.get(1)?, row.get(2)?));
        channels.insert(id, Channel { row: id, step: row.get(3)?, goods: Vec::new() });
    }
    // In whatever order the rows lie: that reads each packed day once. A swap comes before a reading of the same moment.
    let sql = "SELECT ts, channel, verdict, energy, 1 AS reading FROM every_reading WHERE verdict IS NOT NULL \
               UNION ALL SELECT ts, channel, verdict, energy, 0 FROM swap_row";
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    let mut found: FxHashMap<i64, Vec<(i64, bool, i64, Quality)>> = FxHashMap::default();
    while let Some(row) = rows.next()? {
        let energy: i64 = row.get(3)?;
        if let Some(verdict) = Verdict::from_code(row.get(2)?, Quantity(energy), None).filter(|verdict| verdict.class.is_good()) {
            found.entry(row.get(1)?).or_default().push((row.get(0)?, row.get(4)?, energy, verdict.quality));
        }
    }
    for (id, channel) in &mut channels {
        let mut marks = found.remove(id).unwrap_or_default();
        marks.sort_unstable_by_key(|(at, reading, ..)| (*at, *reading));
        let mut run_up = 0;
        channel.goods.extend(marks.into_iter().map(|(at, _, energy, quality)| {
            run_up += i128::from(energy);
            Good { at, run_up, quality }
        }));
    }
    Ok(channels.into_iter().filter_map(|(id, channel)| names.remove(&id).map(|name| (name, channel))).collect())
}
