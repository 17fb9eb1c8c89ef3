//! Sites: an entity that is part of no other one, with all below it. A supplier bills a works at its entry meter, lines and roof included; the books keep
//! them apart.
//!
//! Invariant: every entity belongs to one site, so the sites' bills have each kilowatt-hour once.

use rusqlite::Connection;
use rustc_hash::FxHashMap;

use super::ShowError;

/// Whom an entity's rows stand for.
#[derive(Clone, Debug, Default)]
pub struct Sites {
    /// The site of each entity that is part of another one.
    of: FxHashMap<i64, i64>,
}

impl Sites {
    pub fn read(ledger: &Connection, zone: &str) -> Result<Sites, ShowError> {
        let sql = "SELECT f.entity, f.parent FROM entity_fact_row f JOIN entity_row e ON e.id = f.parent WHERE e.entity <> ?1";
        let mut statement = ledger.prepare(sql)?;
        let parents: FxHashMap<i64, i64> = statement.query_map([zone], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
        let top = |entity: i64| std::iter::successors(Some(entity), |at| parents.get(at).copied()).last().unwrap_or(entity);
        Ok(Sites { of: parents.keys().map(|entity| (*entity, top(*entity))).collect() })
    }

    /// The entity itself, unless sites were read.
    #[must_use]
    pub fn of(&self, entity: i64) -> i64 {
        self.of.get(&entity).copied().unwrap_or(entity)
    }

    /// All entities of the sites that the asked ones belong to; all stay all.
    pub fn widen(&self, asked: &mut Vec<i64>) {
        let sites: Vec<i64> = asked.iter().map(|entity| self.of(*entity)).collect();
        asked.extend(self.of.iter().filter(|(_, site)| sites.contains(site)).map(|(entity, _)| *entity));
        asked.extend(sites);
        asked.sort_unstable();
        asked.dedup();
    }
}
