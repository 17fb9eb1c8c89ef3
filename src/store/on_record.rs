//! What goes on record of savings: baselines, and what users say of hours.
//!
//! Invariants: nothing is changed but a baseline's end, and the same twice is kept once, so a request that is taken again is harmless.

use rusqlite::{OptionalExtension, params};

use super::savings::{Adjustment, BaselineRow, Vintage, made, number};
use super::{Store, StoreError, outbox};
use crate::domain::units::Millis;

impl Store {
    /// Keeps a new baseline; one in force ends where there is a reason for `replacing` it, and stays without. Gives whether the new one is in force:
    /// the same twice is kept once.
    pub fn keep_baseline(&self, row: &BaselineRow, replacing: Option<&str>) -> Result<bool, StoreError> {
        let transaction = self.connection.unchecked_transaction()?;
        let (entity, carrier) = (row.load.entity.0, number(row.load.book));
        let sql = "SELECT (from_ts, to_ts, as_of, fitted) = (?3, ?4, ?5, ?6) AND (?7 IS NULL OR EXISTS (SELECT 1 FROM baseline_row \
                   WHERE entity = ?1 AND carrier = ?2 AND (ended, end_reason) = (?5, ?7))) \
                   FROM baseline_row WHERE entity = ?1 AND carrier = ?2 AND ended IS NULL";
        let (from, to) = (row.period.start.0, row.period.end.0);
        let values = params![entity, carrier, from, to, row.as_of.0, row.fitted, replacing];
        let said_before = transaction.query_row(sql, values, |row| row.get::<_, bool>(0)).optional()?;
        if let Some(said_before) = said_before {
            if said_before {
                return Ok(true);
            }
            let Some(reason) = replacing else { return Ok(false) };
            let sql = "UPDATE baseline_row SET ended = ?3, end_reason = ?4 WHERE entity = ?1 AND carrier = ?2 AND ended IS NULL";
            transaction.execute(sql, params![entity, carrier, row.as_of.0, reason])?;
            let always = (Millis(i64::MIN), Millis(i64::MAX));
            outbox::keep_savings_of(&transaction, (i64::from(entity), i64::from(carrier)), always, made(&transaction)? + 1)?;
            let sql = "DELETE FROM saving_row WHERE baseline IN (SELECT id FROM baseline_row WHERE entity = ?1 AND carrier = ?2)";
            transaction.execute(sql, params![entity, carrier])?;
        }
        let sql = "INSERT INTO baseline_row (entity, carrier, from_ts, to_ts, as_of, code_version, factor_year, kwh_per_unit, mg_co2e_per_unit, \
                   mg_ce_calorific_per_unit, mg_ce_primary_per_unit, estimated_share, fitted) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";
        let Vintage { year, kwh_per_unit, mg_co2e, mg_ce_calorific, mg_ce_primary } = row.vintage;
        transaction.execute(
            sql,
            params![
                entity,
                carrier,
                from,
                to,
                row.as_of.0,
                row.code_version,
                year,
                kwh_per_unit,
                mg_co2e,
                mg_ce_calorific,
                mg_ce_primary,
                row.estimated_share,
                row.fitted
            ],
        )?;
        transaction.commit()?;
        Ok(true)
    }

    /// Keeps what a user says of a load's hours; the same twice is kept once.
    pub fn keep_adjustment(&self, adjustment: &Adjustment, as_of: Millis) -> Result<(), StoreError> {
        let Adjustment { load, span, kwh_per_hour, reason } = adjustment;
        let sql = "INSERT INTO adjustment_row (entity, carrier, from_ts, to_ts, kwh_per_hour, reason, as_of) SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 \
                   WHERE NOT EXISTS (SELECT 1 FROM adjustment_row WHERE (entity, carrier, from_ts, to_ts, reason, as_of) = (?1, ?2, ?3, ?4, ?6, ?7) \
                   AND kwh_per_hour IS ?5)";
        let values = params![load.entity.0, number(load.book), span.start.0, span.end.0, kwh_per_hour, reason, as_of.0];
        let transaction = self.connection.unchecked_transaction()?;
        transaction.execute(sql, values)?;
        let of = (i64::from(load.entity.0), i64::from(number(load.book)));
        outbox::keep_savings_of(&transaction, of, (span.start, span.end), made(&transaction)?)?;
        Ok(transaction.commit()?)
    }
}
