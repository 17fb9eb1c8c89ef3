//! The meter tree as readers need it (`node_row` in `accounts.sql`). Follows `meters.csv` at each start of a collector.

use rusqlite::params;

use super::batch::RowId;
use super::{Store, StoreError};
use crate::domain::channel::ChannelId;
use crate::domain::tree::{Part, PartKind};
use crate::domain::zone::Zone;

impl Store {
    /// The rows of a zone's residuals and virtual meters, which are named by their meters.
    pub fn part_rows(&self, zone: &Zone) -> Result<Vec<RowId>, StoreError> {
        let row = |part: &Part| {
            let meter = &zone.meter(part.meter).id;
            let (name_en, name_zh) = match part.kind {
                PartKind::Residual => (format!("{meter}, residual"), format!("{meter}（未分摊）")),
                PartKind::Virtual => (meter.to_string(), meter.to_string()),
            };
            self.entity_row(&part.id, &name_en, &name_zh, part.kind.as_str())
        };
        zone.parts().iter().map(row).collect()
    }

    /// Keeps the tree; `row` gives a register its row.
    pub fn adopt_tree(&self, zone: &Zone, row: impl Fn(ChannelId) -> Option<RowId>) -> Result<(), StoreError> {
        self.connection.execute("DELETE FROM node_row", [])?;
        let mut insert = self.connection.prepare("INSERT INTO node_row VALUES (?1, ?2, ?3, ?4)")?;
        for part in zone.parts().iter().filter(|part| part.kind == PartKind::Residual) {
            for term in &part.terms {
                if let Some(row) = row(term.channel) {
                    insert.execute(params![zone.meter(part.meter).id, row.0, term.sign, term.own])?;
                }
            }
        }
        Ok(())
    }
}
