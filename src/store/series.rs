//! Measurements that follow an hour of an entity and carrier: which view each is read from, and what of it becomes tags and fields.
//!
//! One more measurement is one more entry in [`BY_HOUR`]. Invariant: a view's row that stands for a key has a row with that key at all later times, or
//! its tags are among `emptied`: then zeros go out under them, because nothing is ever deleted in the other store. A view whose rows share an hour and may
//! go one by one (bands of a tariff) has to keep them with the quantity 0.

use rusqlite::{Connection, params};

use super::StoreError;
use crate::domain::units::Millis;
use crate::lines::{Field, Lines};

/// One measurement. Its view has the columns ts, entity and carrier, and those named here.
pub struct Series {
    /// Also the name of the view.
    measurement: &'static str,
    /// Further tags, beside zone, entity and carrier.
    tags: &'static [&'static str],
    numbers: &'static [&'static str],
    texts: &'static [&'static str],
    /// The further tags under which an hour that is gone had been sent: `SELECT` of them, with the carrier as ?1.
    emptied: Option<&'static str>,
}

pub const BY_HOUR: [Series; 2] = [
    Series {
        measurement: "energy",
        tags: &[],
        numbers: &["quantity", "kwh", "tce_calorific", "tce_primary", "measured_share"],
        texts: &[],
        emptied: None,
    },
    Series {
        measurement: "carbon",
        tags: &["scope", "method"],
        numbers: &["kg_co2e"],
        texts: &["factor_tier"],
        // As in views.sql; a carrier without a factor has no carbon.
        emptied: Some(
            "SELECT CASE ?1 WHEN 'natural_gas' THEN '1' ELSE '2' END, 'location' WHERE EXISTS \
             (SELECT 1 FROM factor_row f JOIN carrier_row c ON c.id = f.carrier WHERE c.carrier = ?1 AND f.mg_per_unit IS NOT NULL)",
        ),
    },
];

pub struct Key<'a> {
    pub zone: &'a str,
    pub at: Millis,
    pub entity: &'a str,
    pub carrier: &'a str,
}

impl Series {
    /// The lines of one hour as the ledger holds it now.
    pub fn write(&self, connection: &Connection, key: &Key, lines: &mut Lines) -> Result<(), StoreError> {
        let as_text = self.tags.iter().map(|tag| format!("CAST({tag} AS TEXT)"));
        let columns: Vec<String> = as_text.chain(self.numbers.iter().chain(self.texts).map(|&name| name.to_owned())).collect();
        let sql = format!("SELECT {} FROM {} WHERE ts = ?1 AND entity = ?2 AND carrier = ?3", columns.join(", "), self.measurement);
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params![key.at.0, key.entity, key.carrier])?;
        let mut found = false;
        while let Some(row) = rows.next()? {
            found = true;
            let tags = self.tags.iter().enumerate().map(|(index, _)| row.get(index)).collect::<Result<Vec<String>, _>>()?;
            let offset = self.tags.len();
            let numbers = (0..self.numbers.len()).map(|index| row.get(offset + index)).collect::<Result<Vec<Option<f64>>, _>>()?;
            let offset = offset + self.numbers.len();
            let texts = (0..self.texts.len()).map(|index| row.get(offset + index)).collect::<Result<Vec<Option<String>>, _>>()?;
            let numbers = self.numbers.iter().zip(&numbers).filter_map(|(name, number)| Some((*name, Field::Number((*number)?))));
            let texts = self.texts.iter().zip(&texts).filter_map(|(name, text)| Some((*name, Field::Text(text.as_deref()?))));
            self.line(key, &tags, &numbers.chain(texts).collect::<Vec<_>>(), lines);
        }
        if !found {
            self.write_zeros(connection, key, lines)?;
        }
        Ok(())
    }

    fn write_zeros(&self, connection: &Connection, key: &Key, lines: &mut Lines) -> Result<(), StoreError> {
        let zeros: Vec<_> = self.numbers.iter().map(|name| (*name, Field::Number(0.0))).collect();
        let Some(sql) = self.emptied else {
            self.line(key, &[], &zeros, lines);
            return Ok(());
        };
        let mut statement = connection.prepare_cached(sql)?;
        let mut rows = statement.query([key.carrier])?;
        while let Some(row) = rows.next()? {
            let tags = self.tags.iter().enumerate().map(|(index, _)| row.get(index)).collect::<Result<Vec<String>, _>>()?;
            self.line(key, &tags, &zeros, lines);
        }
        Ok(())
    }

    fn line(&self, key: &Key, tags: &[String], fields: &[(&str, Field)], lines: &mut Lines) {
        let mut all = vec![("zone", key.zone), ("entity", key.entity), ("carrier", key.carrier)];
        all.extend(self.tags.iter().zip(tags).map(|(name, value)| (*name, &**value)));
        lines.point(self.measurement, &all, fields, key.at);
    }
}
