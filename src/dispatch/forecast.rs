//! What is likely to be drawn and made in the next days, from the hours of the last two weeks.
//!
//! Plain on purpose: it needs no weather forecast, which a zone's collector does not have. Never looks at an hour that is not over. Invariant: a forecast is made of
//! hours that were given, finite where these are.

use crate::domain::calendar::DayType;
use crate::domain::units::{DAY_MS, HOUR_MS, Millis};

/// Hours older than this say nothing.
pub const REMEMBERED_MS: i64 = 14 * DAY_MS;
/// What is unusual now (weather, a shift more, clouds) wears off in so many hours, and the newest hours say most of it: each counts as e to its age over
/// these. Our choices.
const WEARS_OFF_H: f64 = 24.0;
const AGES_H: f64 = 3.0;

/// An hour of the local day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hour {
    pub start: Millis,
    /// 0 to 23.
    pub of_day: i8,
    pub kind: DayType,
}

/// What was drawn or made in an hour, mean kW.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Past {
    pub hour: Hour,
    pub kw: f64,
}

/// What baselines expect of a load, by weather and production: a forecast is that, and how far the last weeks' hours were off it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Expected {
    /// In order of time; not every hour has all that a baseline needs.
    pub past: Vec<Past>,
    /// Of each hour ahead, kW.
    pub ahead_kw: Vec<f64>,
}

impl Expected {
    /// What a series has beyond it, in the hours of which something is expected.
    #[must_use]
    pub fn beyond(&self, past: &[Past]) -> Vec<Past> {
        let expected =
            |hour: Hour| self.past.binary_search_by_key(&hour.start, |past| past.hour.start).ok().map(|index| self.past[index].kw);
        past.iter().filter_map(|past| Some(Past { kw: past.kw - expected(past.hour)?, ..*past })).collect()
    }
}

/// As [`level`], of what is never below 0.
#[must_use]
pub fn load(past: &[Past], ahead: &[Hour]) -> Option<Vec<f64>> {
    Some(level(past, ahead)?.into_iter().map(|kw| kw.max(0.0)).collect())
}

/// The mean of the same hours of days of the same kind, and what the newest hours are off that. `past` in order of time; none without a whole day of it.
#[must_use]
pub fn level(past: &[Past], ahead: &[Hour]) -> Option<Vec<f64>> {
    let past = remembered(past, ahead)?;
    let (usual, last) = (Usual::of(past), past.last()?.hour.start);
    let (mut off, mut weights) = (0.0, 0.0);
    for past in past {
        let weight = fresh(past.hour, last);
        (off, weights) = (off + weight * (past.kw - usual.at(past.hour)), weights + weight);
    }
    Some(ahead.iter().map(|hour| usual.at(*hour) + off / weights * wears_off(*hour, last)).collect())
}

/// The clear sky of the last two weeks (the most of each hour of the day), dimmed by clouds as they were on the average and are now.
#[must_use]
pub fn sun(past: &[Past], ahead: &[Hour]) -> Option<Vec<f64>> {
    let past = remembered(past, ahead)?;
    let last = past.last()?.hour.start;
    let mut clear = [0.0_f64; 24];
    for Past { hour, kw } in past {
        let most = &mut clear[usize::from(hour.of_day.unsigned_abs()) % 24];
        *most = most.max(*kw);
    }
    let at = |hour: Hour| clear[usize::from(hour.of_day.unsigned_abs()) % 24];
    let share = |weight: &dyn Fn(Hour) -> f64| {
        let sum = |value: &dyn Fn(&Past) -> f64| past.iter().map(|past| weight(past.hour) * value(past)).sum::<f64>();
        let could = sum(&|past| at(past.hour));
        if 0.0 < could { sum(&|past| past.kw) / could } else { 0.0 }
    };
    let (usual, now) = (share(&|_| 1.0), share(&|hour| fresh(hour, last)));
    Some(ahead.iter().map(|hour| (usual + (now - usual) * wears_off(*hour, last)) * at(*hour)).collect())
}

/// The mean of the same hours of days of the same kind; 0 where nothing is known.
#[must_use]
pub fn usual(past: &[Past], ahead: &[Hour]) -> Vec<f64> {
    let usual = Usual::of(remembered(past, ahead).unwrap_or_default());
    ahead.iter().map(|hour| usual.at(*hour)).collect()
}

/// How far each hour of the day is from its mean: the standard deviation over the days of its kind, kW; none without a whole day of it.
#[must_use]
pub fn spread(past: &[Past], ahead: &[Hour]) -> Option<Vec<f64>> {
    let past = remembered(past, ahead)?;
    let usual = Usual::of(past);
    let mut squares = [(0.0, 0_u32); 24];
    for Past { hour, kw } in past {
        let sum = &mut squares[usize::from(hour.of_day.unsigned_abs()) % 24];
        *sum = (sum.0 + (kw - usual.at(*hour)).powi(2), sum.1 + 1);
    }
    let of = |hour: &Hour| squares[usize::from(hour.of_day.unsigned_abs()) % 24];
    Some(ahead.iter().map(of).map(|(squares, hours)| (squares / f64::from(hours.max(1))).sqrt()).collect())
}

/// What an hour's being unusual says of now.
fn fresh(hour: Hour, last: Millis) -> f64 {
    (-(last.ms_since(hour.start) as f64 / HOUR_MS as f64) / AGES_H).exp()
}

/// What is left of it at an hour ahead.
fn wears_off(hour: Hour, last: Millis) -> f64 {
    (-(hour.start.ms_since(last) as f64 / HOUR_MS as f64) / WEARS_OFF_H).exp()
}

/// The hours before the first one ahead that still say something; none where they make no whole day.
fn remembered<'p>(past: &'p [Past], ahead: &[Hour]) -> Option<&'p [Past]> {
    let from = ahead.first()?.start.plus_ms(-REMEMBERED_MS - HOUR_MS);
    Some(after(past, from)).filter(|past| 24 <= past.len())
}

fn after(past: &[Past], from: Millis) -> &[Past] {
    &past[past.partition_point(|past| past.hour.start <= from)..]
}

/// Mean kW by kind of day and hour.
struct Usual([[(f64, u32); 24]; 3]);

impl Usual {
    fn of(past: &[Past]) -> Usual {
        let mut sums = [[(0.0, 0); 24]; 3];
        for Past { hour, kw } in past {
            let sum = &mut sums[kind(hour.kind)][usize::from(hour.of_day.unsigned_abs()) % 24];
            *sum = (sum.0 + kw, sum.1 + 1);
        }
        Usual(sums)
    }

    /// Of the kind of day, else of the kind that is most like it, else of any hour.
    fn at(&self, hour: Hour) -> f64 {
        let of_day = usize::from(hour.of_day.unsigned_abs()) % 24;
        let alike = match kind(hour.kind) {
            0 => [0, 1, 2],
            1 => [1, 2, 0],
            _ => [2, 1, 0],
        };
        let mut found = alike.into_iter().map(|kind| self.0[kind][of_day]).filter(|(_, hours)| 0 < *hours);
        let any = || self.0.iter().flatten().fold((0.0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        let (sum, hours) = found.next().unwrap_or_else(any);
        sum / f64::from(hours.max(1))
    }
}

fn kind(day: DayType) -> usize {
    match day {
        DayType::Workday => 0,
        DayType::Saturday => 1,
        DayType::Sunday | DayType::Holiday => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hours from day 0 (a Thursday) on.
    fn hours(from: i64, count: i64) -> Vec<Hour> {
        let kind = |day: i64| match (day + 4).rem_euclid(7) {
            6 => DayType::Saturday,
            0 => DayType::Sunday,
            _ => DayType::Workday,
        };
        (from..from + count).map(|hour| Hour { start: Millis(hour * HOUR_MS), of_day: (hour % 24) as i8, kind: kind(hour / 24) }).collect()
    }

    fn past(days: i64, kw: impl Fn(&Hour) -> f64) -> Vec<Past> {
        hours(0, 24 * days).into_iter().map(|hour| Past { hour, kw: kw(&hour) }).collect()
    }

    fn by_kind(hour: &Hour) -> f64 {
        let base = if hour.kind == DayType::Workday { 100.0 } else { 40.0 };
        base + f64::from(hour.of_day)
    }

    #[test]
    fn a_load_that_repeats_itself_is_known_exactly() {
        let ahead = hours(14 * 24, 72);
        let seen = load(&past(14, by_kind), &ahead).unwrap();
        for (hour, kw) in ahead.iter().zip(seen) {
            assert!((kw - by_kind(hour)).abs() < 1e-9, "{hour:?}: {kw}");
        }
    }

    #[test]
    fn what_is_unusual_now_wears_off() {
        // Two weeks of 100 kW, the last day 14 kW more. Its hours have ten like them, so the usual is 101.4 and the last day 12.6 above it: but for the
        // weight of the days before, e to the −8, at 1.4 below it.
        let past = past(14, |hour| if 13 * 24 * HOUR_MS <= hour.start.0 { 114.0 } else { 100.0 });
        let off = 12.6 - 14.0 * (-8.0_f64).exp();
        let seen = load(&past, &hours(14 * 24, 48)).unwrap();
        for lead in [1, 24, 48] {
            let (seen, wanted) = (seen[lead as usize - 1], 101.4 + off * (-f64::from(lead) / 24.0).exp());
            assert!((seen - wanted).abs() < 0.01, "{lead} h ahead: {seen}, wanted {wanted}");
        }
    }

    #[test]
    fn hours_that_differ_from_day_to_day_spread() {
        // At noon 80 and 120 in turn, at all other hours the same.
        let noon = |hour: &Hour| {
            if hour.of_day == 12 { 100.0 + if hour.start.0.div_euclid(DAY_MS) % 2 == 0 { 20.0 } else { -20.0 } } else { 50.0 }
        };
        let seen = spread(&past(14, noon), &hours(14 * 24, 24)).unwrap();
        assert!((seen[12] - 20.0).abs() < 0.5 && seen[11].abs() < 1e-9, "{seen:?}");
    }

    #[test]
    fn only_the_past_and_only_the_last_two_weeks_count() {
        let ahead = hours(30 * 24, 24);
        let recent = load(&past(30, by_kind), &ahead);
        assert_eq!(recent, load(&past(30, |hour| if hour.start.0 < 15 * DAY_MS { 9e9 } else { by_kind(hour) }), &ahead));
        assert_eq!(load(&past(30, by_kind)[..20], &hours(20, 24)), None);
        assert_eq!(load(&[], &ahead), None);
    }

    #[test]
    fn the_sun_is_the_clear_sky_dimmed_by_clouds() {
        let clear = |hour: &Hour| f64::from((6 - (hour.of_day - 12).abs()).max(0));
        // Every other day overcast to a half, the last one clear: 0.75 on the average, and as good as 1 now.
        let past = past(14, |hour| clear(hour) * if hour.start.0.div_euclid(DAY_MS) % 2 == 0 { 0.5 } else { 1.0 });
        let ahead = hours(14 * 24, 24);
        for (hour, kw) in ahead.iter().zip(sun(&past, &ahead).unwrap()) {
            let wanted = 0.75 + 0.25 * (-f64::from(hour.of_day + 1) / 24.0).exp();
            assert!((kw - wanted * clear(hour)).abs() <= 0.01 * clear(hour), "{hour:?}: {kw}, wanted {wanted}");
        }
        assert_eq!(sun(&[], &ahead), None);
    }
}
