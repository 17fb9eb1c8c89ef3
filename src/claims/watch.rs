//! One load's watch for non-routine events: a lasting shift against its baseline becomes an alert.
//!
//! Looks once a local day. Never goes back: late readings change savings, not alerts. What to do about a shift is for whoever knows its cause, with
//! `nengtan savings adjust` or `exclude`.

use rusqlite::Connection;

use super::ClaimError;
use crate::alerts::{Change, Transition};
use crate::domain::calendar::{LocalCalendar, Span};
use crate::domain::units::{DAY_MS, Millis};
use crate::savings::evaluation::Fitted;
use crate::savings::events::{Day, shift_under_way};
use crate::savings::uncertainty::Noise;
use crate::store::savings::{self, BaselineRow};

/// Rules are called after the carrier: `non-routine-electricity`.
const RULE: &str = "non-routine";

/// Whether a rule is that of shifts, of whatever carrier.
#[must_use]
pub fn is_of_savings(rule: &str) -> bool {
    rule.starts_with(RULE)
}
/// What an alert's limit says, per cent.
const LIMIT_PCT: f64 = 15.0;
/// Days that are looked at.
const DAYS_MAX: i64 = 150;
const DAY_HOURS_MIN: f64 = 12.0;

#[derive(Debug)]
pub struct Watch {
    rule: String,
    entity: String,
    days: Vec<Day>,
    firing: Option<Millis>,
    /// Days before are in `days`.
    pub looked: Millis,
}

impl Watch {
    pub fn of(ledger: &Connection, row: &BaselineRow, fitted: &Fitted) -> Result<Watch, ClaimError> {
        let entity: String = ledger.query_row("SELECT entity FROM entity_row WHERE id = ?1", [row.load.entity.0], |row| row.get(0))?;
        let rule = format!("{RULE}-{}", row.load.book.carrier().as_str());
        let firing = savings::firing_since(ledger, &rule, &entity)?;
        Ok(Watch { rule, entity, days: fitted.last_days.clone(), firing, looked: row.period.end })
    }

    /// Takes the days up to `until` in, and gives what changed.
    pub fn look(
        &mut self,
        ledger: &Connection,
        baseline: i64,
        noise: &Noise,
        until: Millis,
        calendar: &mut LocalCalendar,
    ) -> Result<Option<Transition>, ClaimError> {
        let start = self.looked.max(until.plus_ms(-DAYS_MAX * DAY_MS));
        let hours = savings::counted(ledger, baseline, Span { start, end: until })?;
        self.looked = until;
        let number = |calendar: &mut LocalCalendar, at: Millis| (at.0 + calendar.offset_ms(at)).div_euclid(DAY_MS);
        let mut numbered: Vec<(i64, f64, f64)> = Vec::new();
        for (at, baseline_kwh, metered_kwh) in hours {
            numbered.push((number(calendar, at), metered_kwh - baseline_kwh, baseline_kwh.abs()));
        }
        for hours in numbered.chunk_by(|a, b| a.0 == b.0).filter(|hours| DAY_HOURS_MIN <= hours.len() as f64) {
            let mean = |value: fn(&(i64, f64, f64)) -> f64| hours.iter().map(value).sum::<f64>() / hours.len() as f64;
            self.days.push(Day { number: hours[0].0, mean_kw: mean(|hour| hour.1), load_kw: mean(|hour| hour.2) });
        }
        self.days.drain(..self.days.len().saturating_sub(DAYS_MAX as usize));
        let change = match (self.firing, shift_under_way(&self.days, noise)) {
            (None, Some(seen)) => {
                let ago = number(calendar, until) - seen.first_day;
                let since = calendar.day(until.plus_ms(-ago * DAY_MS)).start;
                self.firing = Some(since);
                Some(self.transition(Change::Raised, 100.0 * seen.share, since, until))
            }
            (Some(since), None) => {
                self.firing = None;
                Some(self.transition(Change::Cleared, 0.0, since, until))
            }
            (None, None) | (Some(_), Some(_)) => None,
        };
        Ok(change)
    }

    fn transition(&self, change: Change, value: f64, since: Millis, at: Millis) -> Transition {
        let (rule, subject) = (self.rule.as_str().into(), self.entity.as_str().into());
        Transition { rule, subject, severity: "warning", change, value, limit: LIMIT_PCT, since, at }
    }
}
