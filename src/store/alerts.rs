//! Alerts as they stand, for whoever has lost them.

use super::{Store, StoreError};
use crate::domain::units::Millis;

/// An alert that fires, as it was raised.
#[derive(Clone, Debug, PartialEq)]
pub struct Firing {
    pub rule: String,
    pub subject: String,
    pub severity: String,
    pub value: f64,
    pub limit: f64,
    pub since: Millis,
    pub raised: Millis,
}

impl Store {
    /// All alerts that fire, in the order in which they were raised.
    pub fn firing_alerts(&self) -> Result<Vec<Firing>, StoreError> {
        let sql = "SELECT rule, subject, severity, value, \"limit\", since, raised FROM alert_row WHERE cleared IS NULL ORDER BY raised, rule, subject";
        let mut statement = self.connection.prepare(sql)?;
        let rows = statement.query_map([], |row| {
            Ok(Firing {
                rule: row.get(0)?,
                subject: row.get(1)?,
                severity: row.get(2)?,
                value: row.get(3)?,
                limit: row.get(4)?,
                since: Millis(row.get(5)?),
                raised: Millis(row.get(6)?),
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
