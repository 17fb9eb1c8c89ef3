//! The meter tree as readers need it (`node_row` in `accounts.sql`). Follows `meters.csv` at each start of a collector.

use rusqlite::params;

use super::batch::RowId;
use super::{Store, StoreError};
use crate::domain::channel::ChannelId;
use crate::domain::tree::node_parts;
use crate::domain::zone::Zone;

impl Store {
    /// Keeps the tree; `row` gives a register its row.
    pub fn adopt_tree(&self, zone: &Zone, row: impl Fn(ChannelId) -> Option<RowId>) -> Result<(), StoreError> {
        self.connection.execute("DELETE FROM node_row", [])?;
        let mut insert = self.connection.prepare("INSERT INTO node_row VALUES (?1, ?2, ?3, ?4)")?;
        for part in node_parts(zone) {
            if let Some(row) = row(part.channel) {
                insert.execute(params![zone.meter(part.node).id, row.0, part.sign, part.own])?;
            }
        }
        Ok(())
    }
}
