//! The readings around an interval, and what it takes from the spans between them.

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;

use crate::domain::calendar;
use crate::domain::units::{Millis, Quantity};
use crate::ledger::mark::{Quality, Span, Verdict};
use crate::ledger::slices;
use crate::show::{Resolved, ShowError};
use crate::wire::encode::rfc3339;

/// What lies between two good registers (in ledger units after the multiplier), and how much of it falls into the interval.
#[derive(Debug, Serialize)]
pub struct SpanPart {
    pub from: String,
    pub from_register: i64,
    pub to: String,
    pub to_register: i64,
    /// How the later register was understood, and how sure its energy is.
    pub class: &'static str,
    pub quality: &'static str,
    pub energy: i64,
    pub taken: i64,
}

/// A good mark: the register that the span before it ends with, and the one that the next begins with.
struct Good {
    at: Millis,
    closing: i64,
    opening: i64,
    verdict: Verdict,
}

/// Marks of a channel that bound spans; a swap comes before a reading of the same moment.
const GOOD_READINGS: &str =
    "SELECT ts, value, value, verdict, energy, 1 FROM every_reading WHERE channel = ?1 AND verdict & 15 NOT IN (0, 9, 10)";
const SWAPS: &str = "SELECT ts, closing, opening, verdict, energy, 0 FROM swap_row WHERE channel = ?1";

/// The spans that have a part in an interval, in order.
pub fn of_interval(ledger: &Connection, wanted: &mut Resolved, channel: i64, interval: calendar::Span) -> Result<Vec<SpanPart>, ShowError> {
    let interval_ms: i64 = ledger.query_row("SELECT value FROM meta WHERE key = 'interval_ms'", [], |row| row.get(0))?;
    let mut parts = Vec::new();
    for pair in good_marks(ledger, channel, interval)?.windows(2) {
        let [before, after] = pair else { continue };
        let span = Span { from: before.at, to: after.at, energy: after.verdict.energy, quality: after.verdict.quality };
        let mut taken: Option<i64> = None;
        slices::cut(span, interval_ms, &mut wanted.calendar, |slice| {
            if interval.contains(slice.start) {
                *taken.get_or_insert(0) += slice.energy.0;
            }
        });
        parts.extend(taken.map(|taken| SpanPart {
            from: rfc3339(before.at, &wanted.time_zone),
            from_register: before.opening,
            to: rfc3339(after.at, &wanted.time_zone),
            to_register: after.closing,
            class: after.verdict.class.name(),
            quality: match after.verdict.quality {
                Quality::Measured => "measured",
                Quality::Assumed => "assumed",
                Quality::Estimated => "estimated",
            },
            energy: after.verdict.energy.0,
            taken,
        }));
    }
    Ok(parts)
}

/// Good marks from the last one before an interval to the first one at or after its end.
fn good_marks(ledger: &Connection, channel: i64, interval: calendar::Span) -> Result<Vec<Good>, ShowError> {
    let nearest = |condition: &str, at: Millis| -> Result<Vec<i64>, ShowError> {
        let mut found = Vec::new();
        for marks in [GOOD_READINGS, SWAPS] {
            let sql = format!("SELECT ts FROM ({marks} AND {condition} LIMIT 1)");
            found.extend(ledger.query_row(&sql, params![channel, at.0], |row| row.get::<_, i64>(0)).optional()?);
        }
        Ok(found)
    };
    let first = nearest("ts < ?2 ORDER BY ts DESC", interval.start)?.into_iter().max().unwrap_or(interval.start.0);
    let last = nearest("ts >= ?2 ORDER BY ts", interval.end)?.into_iter().min().unwrap_or(interval.end.0);
    let within = "ts >= ?2 AND ts <= ?3";
    let sql = format!("{GOOD_READINGS} AND {within} UNION ALL {SWAPS} AND {within} ORDER BY 1, 6");
    let mut statement = ledger.prepare(&sql)?;
    let rows = statement.query_map(params![channel, first, last], good)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn good(row: &Row) -> Result<Good, rusqlite::Error> {
    let code: u16 = row.get(3)?;
    let verdict =
        Verdict::from_code(code, Quantity(row.get(4)?), None).ok_or(rusqlite::Error::IntegralValueOutOfRange(3, i64::from(code)))?;
    Ok(Good { at: Millis(row.get(0)?), closing: row.get(1)?, opening: row.get(2)?, verdict })
}
