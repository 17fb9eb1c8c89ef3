//! What the ledger keeps of the zone folder beside meters, so that reports need the data folder only.
//!
//! Invariants: what entries and supplies said before the folder said otherwise stays readable by the time of the clock; a factor that a report may have used stays until its entry changes; new ones come in beside it.

use rusqlite::{Connection, params};
use rustc_hash::FxHashSet;

use super::batch::RowId;
use super::{Store, StoreError};
use crate::domain::calendar::LocalCalendar;
use crate::domain::declared::{Allocation, Declared, Entry, Indicator};
use crate::domain::factors::{FactorSet, FactorTier};
use crate::domain::units::Millis;
use crate::domain::zone::Zone;

/// A table of declarations whose former rows stay readable: what is known from which time of the clock on.
struct Known {
    table: &'static str,
    versions: &'static str,
    key: &'static str,
    columns: &'static str,
}

const ENTRIES: Known = Known {
    table: "declared_entry_row",
    versions: "declared_entry_version_row",
    key: "id, stream",
    columns: "id, stream, entity, from_ts, to_ts, scope, method, kind, amount, unit, mg_per_unit, tier, version, source, recorded, coal_mg_per_unit",
};
const SUPPLIES: Known = Known {
    table: "supply_row",
    versions: "supply_version_row",
    key: "kind, id",
    columns: "id, kind, entity, from_ts, to_ts, energy_wh, mg_per_kwh, green, source, recorded",
};

impl Known {
    /// Runs `change`, and keeps what it changed as it was until `now`.
    fn adopt(&self, connection: &Connection, now: Millis, change: impl FnOnce() -> Result<(), StoreError>) -> Result<(), StoreError> {
        let Known { table, versions, key, columns } = self;
        connection.execute_batch(&format!("DROP TABLE IF EXISTS temp.before; CREATE TEMP TABLE before AS SELECT * FROM {table}"))?;
        change()?;
        let has_data: bool =
            connection
                .query_row("SELECT EXISTS (SELECT 1 FROM interval_row) OR EXISTS (SELECT 1 FROM packed_row)", [], |row| row.get(0))?;
        let now = if has_data { now.0.max(0) } else { 0 };
        let differs = |one: &str, other: &str| {
            format!("({key}) IN (SELECT {key} FROM (SELECT {columns} FROM {one} EXCEPT SELECT {columns} FROM {other}))")
        };
        // What began to be known at this very time was known to nobody.
        let keep = format!(
            "INSERT INTO {versions} SELECT {columns}, known_from, ?1 FROM before WHERE known_from < ?1 AND {}",
            differs("before", table)
        );
        connection.execute(&keep, [now])?;
        let since = format!(
            "UPDATE {table} SET known_from = CASE WHEN {} THEN ?1 ELSE (SELECT b.known_from FROM before b WHERE (b.{}) = ({table}.{})) END",
            differs(table, "before"),
            key.replace(", ", ", b."),
            key.replace(", ", &format!(", {table}.")),
        );
        connection.execute(&since, [now])?;
        Ok(connection.execute_batch("DROP TABLE temp.before")?)
    }
}

impl Store {
    /// Keeps entities' facts, declarations and factors, known from `now` on. `entities` are the rows of the zone's entities, `whole` the zone's own.
    pub fn adopt_declared(
        &self,
        zone: &Zone,
        factors: &FactorSet,
        (entities, whole): (&[RowId], RowId),
        now: Millis,
    ) -> Result<(), StoreError> {
        self.entity_facts(zone, entities, whole)?;
        let row = |id: &str| zone.entity_of(id).map_or(whole, |index| entities[index.0 as usize]);
        let mut calendar = LocalCalendar::new(zone.profile().time_zone.clone());
        ENTRIES.adopt(&self.connection, now, || self.entries(zone.declared(), &calendar, row))?;
        SUPPLIES.adopt(&self.connection, now, || self.supplies(zone.declared(), &calendar, row))?;
        self.indicators(zone.declared())?;
        self.allocations(zone.declared(), &calendar, row)?;
        self.named_factors(zone, factors, &mut calendar)?;
        self.adopt_versions(factors)?;
        self.connection.execute("INSERT OR REPLACE INTO meta VALUES ('gwp', ?1)", [zone.profile().gwp.as_str()])?;
        Ok(())
    }

    fn entity_facts(&self, zone: &Zone, entities: &[RowId], whole: RowId) -> Result<(), StoreError> {
        self.connection.execute("DELETE FROM entity_fact_row", [])?;
        let mut insert = self.connection.prepare("INSERT INTO entity_fact_row VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
        for (entity, row) in zone.entities().iter().zip(entities) {
            let parent = entity.parent.map_or(whole, |parent| entities[parent.0 as usize]);
            let e = entity;
            insert.execute(params![
                row.0,
                parent.0,
                e.floor_area_m2,
                e.output_cny_per_year,
                e.head_count,
                e.product_unit.as_deref(),
                e.key_unit
            ])?;
        }
        Ok(())
    }

    fn entries(&self, declared: &Declared, calendar: &LocalCalendar, row: impl Fn(&str) -> RowId) -> Result<(), StoreError> {
        // An entry of the same content keeps the factor that the library first gave it.
        let sql = "INSERT INTO declared_entry_row VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?17, 0) \
                   ON CONFLICT (id, stream) DO UPDATE SET entity = excluded.entity, from_ts = excluded.from_ts, to_ts = excluded.to_ts, \
                   scope = excluded.scope, method = excluded.method, kind = excluded.kind, amount = excluded.amount, unit = excluded.unit, \
                   mg_per_unit = excluded.mg_per_unit, tier = excluded.tier, version = excluded.version, source = excluded.source, \
                   recorded = excluded.recorded, coal_mg_per_unit = excluded.coal_mg_per_unit WHERE (entity, from_ts, to_ts, kind, amount, unit, recorded) <> (excluded.entity, excluded.from_ts, \
                   excluded.to_ts, excluded.kind, excluded.amount, excluded.unit, excluded.recorded) OR excluded.tier = ?16";
        let mut insert = self.connection.prepare(sql)?;
        for e in &declared.entries {
            let (from, to) = (calendar.start_of(e.from).0, calendar.start_of(e.to).0);
            let own = FactorTier::EntityContract.as_str();
            let (kind, recorded) = (e.kind.as_str(), e.recorded.to_string());
            insert.execute(params![
                e.id,
                e.stream,
                row(&e.entity).0,
                from,
                to,
                e.kind.scope(),
                e.kind.method(),
                kind,
                e.amount.0,
                e.unit,
                e.factor.0,
                e.tier,
                e.version,
                e.source,
                recorded,
                own,
                e.coal.map(|coal| coal.0)
            ])?;
        }
        self.forget_entries_without_a_line(&declared.entries)
    }

    fn forget_entries_without_a_line(&self, entries: &[Entry]) -> Result<(), StoreError> {
        let present: FxHashSet<(&str, &str)> = entries.iter().map(|entry| (&*entry.id, &*entry.stream)).collect();
        let mut statement = self.connection.prepare("SELECT id, stream FROM declared_entry_row")?;
        let stored = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<Vec<(String, String)>, _>>()?;
        for (id, stream) in stored.iter().filter(|(id, stream)| !present.contains(&(id.as_str(), stream.as_str()))) {
            self.connection.execute("DELETE FROM declared_entry_row WHERE id = ?1 AND stream = ?2", [id, stream])?;
        }
        Ok(())
    }

    fn supplies(&self, declared: &Declared, calendar: &LocalCalendar, row: impl Fn(&str) -> RowId) -> Result<(), StoreError> {
        self.connection.execute("DELETE FROM supply_row", [])?;
        let mut insert = self.connection.prepare("INSERT INTO supply_row VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 0)")?;
        for s in &declared.supplies {
            let (from, to) = (calendar.start_of(s.from).0, calendar.start_of(s.to).0);
            let (kind, recorded) = (s.kind.as_str(), s.recorded.to_string());
            insert.execute(params![s.id, kind, row(&s.entity).0, from, to, s.energy.0, s.mg_per_kwh.0, s.green, s.source, recorded])?;
        }
        Ok(())
    }

    fn indicators(&self, declared: &Declared) -> Result<(), StoreError> {
        self.connection.execute("DELETE FROM indicator_row", [])?;
        let mut insert = self.connection.prepare("INSERT INTO indicator_row VALUES (?1, ?2, ?3, ?4, ?5)")?;
        for Indicator { kind, year, thousandths_pct, source, recorded } in &declared.indicators {
            insert.execute(params![kind.as_str(), year, *thousandths_pct as f64 / 1e3, source, recorded.to_string()])?;
        }
        Ok(())
    }

    fn allocations(&self, declared: &Declared, calendar: &LocalCalendar, row: impl Fn(&str) -> RowId) -> Result<(), StoreError> {
        self.connection.execute("DELETE FROM allocation_row", [])?;
        // A line that is there twice is one share.
        let sql = "INSERT INTO allocation_row VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO UPDATE SET \
                   thousandths_pct = thousandths_pct + excluded.thousandths_pct";
        let mut insert = self.connection.prepare(sql)?;
        for Allocation { meter, entity, thousandths_pct, valid, source } in &declared.allocations {
            let (from, to) = (calendar.start_of(valid.from).0, valid.to.map_or(i64::MAX, |to| calendar.start_of(to).0));
            insert.execute(params![meter, row(entity).0, from, to, thousandths_pct, source])?;
        }
        Ok(())
    }

    /// Keeps where each value comes from, and the limits that rules set.
    pub fn adopt_versions(&self, factors: &FactorSet) -> Result<(), StoreError> {
        let mut insert = self.connection.prepare("INSERT OR IGNORE INTO factor_version_row VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
        for from in factors.provenances() {
            let (since, until) = (from.valid_from.to_string(), from.valid_to.map(|to| to.to_string()));
            insert.execute(params![from.id, from.source, from.confidence.as_str(), from.recorded, since, until])?;
        }
        self.connection.execute("DELETE FROM target_row", [])?;
        // In order of edition, so that the newest stays.
        let mut targets: Vec<_> = factors.targets.iter().collect();
        targets.sort_by_key(|target| target.from.year);
        let mut insert = self.connection.prepare("INSERT OR REPLACE INTO target_row VALUES (?1, ?2, ?3, ?4, ?5)")?;
        for target in targets {
            insert.execute(params![target.code, target.bound.as_str(), target.value.to_f64(), target.unit, target.from.id])?;
        }
        Ok(())
    }
}
