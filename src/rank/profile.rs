//! When a subject draws its electricity: nights and rest days against working hours.

use rusqlite::{Connection, params};

use super::{RankError, bounds, index_of};
use crate::accounting::Book;
use crate::domain::calendar::{DayType, LocalCalendar, Span};
use crate::domain::units::{HOUR_MS, Millis};
use crate::report::subject::Subject;
use crate::store::savings;

/// Local hours of the night, and of the day.
const NIGHT: std::ops::Range<i64> = 0..5;
const DAY: std::ops::Range<i64> = 8..18;

/// Sums of Wh and how many hours of the ledger they are of: nights, workdays' days, rest days' days.
#[derive(Clone, Copy, Debug, Default)]
pub struct Profile {
    night: (i128, usize),
    work: (i128, usize),
    rest: (i128, usize),
}

impl Profile {
    /// Mean load at night over that of working hours.
    pub fn night_ratio(&self) -> Option<f64> {
        ratio(self.night, self.work)
    }

    /// Mean load of rest days over that of workdays, in the same hours.
    pub fn rest_day_ratio(&self) -> Option<f64> {
        ratio(self.rest, self.work)
    }
}

fn ratio((part, part_hours): (i128, usize), (whole, whole_hours): (i128, usize)) -> Option<f64> {
    let ratio = part as f64 / part_hours as f64 / (whole as f64 / whole_hours as f64);
    Some(ratio).filter(|ratio| ratio.is_finite() && whole > 0)
}

pub fn profiles(
    ledger: &Connection,
    found: &[(String, Subject)],
    period: Span,
    calendar: &mut LocalCalendar,
) -> Result<Vec<Profile>, RankError> {
    let index = index_of(found);
    let types = savings::day_types(ledger)?;
    let mut profiles = vec![Profile::default(); found.len()];
    let [from, to] = bounds(period);
    let sql = "SELECT ts, entity, quantity FROM rollup_row WHERE level = 1 AND ts >= ?1 AND ts < ?2 AND carrier = ?3 ORDER BY ts";
    let mut statement = ledger.prepare(sql)?;
    let mut rows = statement.query(params![from, to, Book::Electricity as u8])?;
    let mut hour = (None, Kind::Other);
    while let Some(row) = rows.next()? {
        let at = Millis(row.get(0)?);
        if hour.0 != Some(at) {
            let local = at.ms_since(calendar.day(at).start) / HOUR_MS;
            let is_workday = types.of(calendar.date(at)) == DayType::Workday;
            hour = (Some(at), Kind::of(local, is_workday));
            for profile in &mut profiles {
                if let Some((_, hours)) = profile.of(hour.1) {
                    *hours += 1;
                }
            }
        }
        let Some(subject) = index.get(&row.get(1)?) else { continue };
        if let Some((sum, _)) = profiles[*subject].of(hour.1) {
            *sum += i128::from(row.get::<_, i64>(2)?);
        }
    }
    Ok(profiles)
}

#[derive(Clone, Copy)]
enum Kind {
    Night,
    Work,
    Rest,
    Other,
}

impl Kind {
    fn of(local_hour: i64, is_workday: bool) -> Kind {
        match (NIGHT.contains(&local_hour), DAY.contains(&local_hour), is_workday) {
            (true, ..) => Kind::Night,
            (_, true, true) => Kind::Work,
            (_, true, false) => Kind::Rest,
            (false, false, _) => Kind::Other,
        }
    }
}

impl Profile {
    fn of(&mut self, kind: Kind) -> Option<&mut (i128, usize)> {
        match kind {
            Kind::Night => Some(&mut self.night),
            Kind::Work => Some(&mut self.work),
            Kind::Rest => Some(&mut self.rest),
            Kind::Other => None,
        }
    }
}
