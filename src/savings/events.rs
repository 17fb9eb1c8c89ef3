//! Lasting shifts of a load against its baseline: non-routine events and new assets.
//!
//! Only flags; what to do about a shift is for whoever knows its cause. The model document asks that a shift of weeks is flagged and that
//! photovoltaics are not taken for a saving, but gives no thresholds: those here are set wide of what placebo meters show.
//! A shift that fills the whole period stands out from nothing and is left to the savings themselves.

use std::ops::RangeInclusive;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::hours::{DayKind, Moment};
use super::uncertainty::Noise;

/// A shift lasts at least this long, days.
const SHIFT_DAYS_MIN: usize = 14;
/// One that still goes on is told at this age, days, so that it is known within two weeks; and looked for this far back.
const LIVE_DAYS_MIN: usize = 10;
/// Days of the last ten that show at least half of the smallest shift.
const LIVE_DAYS_SHOWN_MIN: usize = 8;
const LIVE_DAYS_MAX: usize = 90;
/// What it stands out from lasts at least this long, days: the two cold weeks at a year's ends are no norm for the rest of it.
const REST_DAYS_MIN: usize = 56;
/// A shift is at least this share of the mean baseline load, of the whole period and of its own days: a heating load's winter always
/// swings by more than its summer uses.
const SHIFT_SHARE_MIN: f64 = 0.15;
/// And this many standard deviations of such a difference of means: the largest of the many thousand windows of a quiet year reaches 4.
const DEVIATIONS_MIN: f64 = 6.0;
/// A day counts with half of its hours.
const DAY_HOURS_MIN: usize = 12;
const DAYS_PER_WEEK: f64 = 7.0;
const HOURS_PER_WEEK: f64 = 168.0;
/// Local hours in which the sun stands high, or is down, all year in temperate zones.
const NOON_HOURS: RangeInclusive<u8> = 10..=14;
const NIGHT_HOURS: [u8; 6] = [22, 23, 0, 1, 2, 3];
/// Late opening hours, in which the sun stands low or is down.
const EVENING_HOURS: RangeInclusive<u8> = 18..=20;
/// Photovoltaics leave the night alone and most of the evening, and do not know weekends.
const NIGHT_SHARE_MAX: f64 = 0.2;
const EVENING_SHARE_MAX: f64 = 0.6;
const WEEKEND_SHARE_MIN: f64 = 0.6;
/// In winter they make less, but are there: this share of what they made at noon while they stood out most.
const STILL_SHARE_MIN: f64 = 0.1;
/// And this share of it in the fortnights before, if they came earlier.
const ALREADY_SHARE_MIN: f64 = 0.25;
const FORTNIGHT: i64 = 14;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// Something changed that the baseline's inputs do not tell.
    NonRoutine,
    /// Energy made behind the meter while the sun shines, from some day on.
    Photovoltaics,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shift {
    pub kind: Kind,
    /// Local days since 1970-01-01; the last one belongs to the shift.
    pub first_day: i64,
    pub last_day: i64,
    /// Mean of the shift's hours less the mean of all others, kW.
    pub shift_kw: f64,
    /// The same, as a share of the larger of the mean baseline loads of the whole period and of its own days.
    pub share: f64,
}

impl Shift {
    /// Local dates of the first and the last day.
    #[must_use]
    pub fn dates(&self) -> (Date, Date) {
        let date = |day: i64| Date::constant(1970, 1, 1).saturating_add(jiff::Span::new().days(day));
        (date(self.first_day), date(self.last_day))
    }

    /// Local day since 1970-01-01 from which on nothing can be claimed: what is less there is made, not saved.
    #[must_use]
    pub fn photovoltaics_from(&self) -> Option<i64> {
        (self.kind == Kind::Photovoltaics).then_some(self.first_day)
    }
}

/// A residual (metered less baseline) and its place in the calendar.
#[derive(Clone, Copy)]
pub struct Residual<'a> {
    pub moment: &'a Moment,
    pub baseline_kwh: f64,
    pub residual_kwh: f64,
}

/// A day's mean residual and mean baseline load, kW.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Day {
    /// Local days since 1970-01-01.
    pub number: i64,
    pub mean_kw: f64,
    pub load_kw: f64,
}

/// A shift that goes on at the last day.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UnderWay {
    pub first_day: i64,
    /// As [`Shift::share`].
    pub share: f64,
}

/// The strongest shift that still lasts, once it is `LIVE_DAYS_MIN` old. What it stands out from may lie in the baseline.
#[must_use]
pub fn shift_under_way(days: &[Day], noise: &Noise) -> Option<UnderWay> {
    let mean = |days: &[Day], value: fn(&Day) -> f64| days.iter().map(value).sum::<f64>() / days.len().max(1) as f64;
    let day_variance = day_variance(noise);
    let load_kw = mean(days, |day| day.load_kw).max(f64::MIN_POSITIVE);
    let judged = |count: usize| {
        let (rest, inside) = days.split_at(days.len() - count);
        let difference_kw = mean(inside, |day| day.mean_kw) - mean(rest, |day| day.mean_kw);
        let variance = |days: &[Day]| (mean(days, |day| day.load_kw) / load_kw).max(1.0).powi(2) * day_variance / days.len() as f64;
        let deviations = difference_kw.abs() / (variance(inside) + variance(rest)).sqrt().max(f64::MIN_POSITIVE);
        let share = difference_kw / load_kw.max(mean(inside, |day| day.load_kw));
        (deviations, UnderWay { first_day: inside[0].number, share })
    };
    let lengths = LIVE_DAYS_MIN..=days.len().checked_sub(REST_DAYS_MIN)?.min(LIVE_DAYS_MAX);
    // Most of the last days have to show it: else it has just begun, or is over.
    let (rest, newest) = days.split_at(days.len() - LIVE_DAYS_MIN.min(days.len()));
    let norm_kw = mean(rest, |day| day.mean_kw);
    let shows = |day: &Day, share: f64| SHIFT_SHARE_MIN / 2.0 <= (day.mean_kw - norm_kw) / load_kw * share.signum();
    let lasts = |seen: &UnderWay| LIVE_DAYS_SHOWN_MIN <= newest.iter().filter(|day| shows(day, seen.share)).count();
    let strong = lengths.map(judged).filter(|(deviations, seen)| DEVIATIONS_MIN <= *deviations && SHIFT_SHARE_MIN <= seen.share.abs());
    let (_, seen) = strong.filter(|(_, seen)| lasts(seen)).max_by(|a, b| a.0.total_cmp(&b.0))?;
    // The shortest window may begin before the shift does.
    let began = days.iter().find(|day| seen.first_day <= day.number && shows(day, seen.share));
    Some(UnderWay { first_day: began.map_or(seen.first_day, |day| day.number), ..seen })
}

/// Variance of a day's mean residual, kW².
fn day_variance(noise: &Noise) -> f64 {
    noise.week_sd_kwh.powi(2) * noise.inflation / HOURS_PER_WEEK.powi(2) * DAYS_PER_WEEK
}

/// The shift that stands out most, if one does.
#[must_use]
pub fn strongest_shift(residuals: &[Residual<'_>], noise: &Noise) -> Option<Shift> {
    let days = days(residuals);
    let window = strongest_window(&days, noise)?;
    let inside = |moment: &Moment| days[window.first].number <= moment.day && moment.day <= days[window.last].number;
    let load_kw = mean_load_kw(residuals, |_| true).max(mean_load_kw(residuals, inside));
    let share = window.difference_kw / load_kw;
    if window.deviations < DEVIATIONS_MIN || share.abs() < SHIFT_SHARE_MIN || !share.is_finite() {
        return None;
    }
    let (first_day, last_day) = (days[window.first].number, days[window.last].number);
    let sun_from = (SHIFT_DAYS_MIN <= window.first).then(|| made_by_the_sun_from(residuals, &days, first_day..=last_day)).flatten();
    Some(Shift {
        kind: if sun_from.is_some() { Kind::Photovoltaics } else { Kind::NonRoutine },
        first_day: sun_from.unwrap_or(first_day),
        last_day: if sun_from.is_some() { days[days.len() - 1].number } else { last_day },
        shift_kw: window.difference_kw,
        share,
    })
}

fn mean_load_kw(residuals: &[Residual<'_>], chosen: impl Fn(&Moment) -> bool) -> f64 {
    let loads = residuals.iter().filter(|hour| chosen(hour.moment)).map(|hour| hour.baseline_kwh.abs());
    let (sum, count) = loads.fold((0.0, 0.0), |(sum, count), load| (sum + load, count + 1.0));
    sum / f64::max(count, 1.0)
}

/// The days of residuals in order of time, but for those with few hours.
#[must_use]
pub fn days(residuals: &[Residual<'_>]) -> Vec<Day> {
    let same_day = residuals.chunk_by(|a, b| a.moment.day == b.moment.day).filter(|hours| DAY_HOURS_MIN <= hours.len());
    let mean = |hours: &[Residual<'_>], value: fn(&Residual<'_>) -> f64| hours.iter().map(value).sum::<f64>() / hours.len() as f64;
    same_day
        .map(|hours| Day {
            number: hours[0].moment.day,
            mean_kw: mean(hours, |hour| hour.residual_kwh),
            load_kw: mean(hours, |hour| hour.baseline_kwh.abs()),
        })
        .collect()
}

struct Window {
    first: usize,
    last: usize,
    difference_kw: f64,
    deviations: f64,
}

/// Of all windows that are long enough, the one whose mean is furthest from the rest's, in standard deviations.
fn strongest_window(days: &[Day], noise: &Noise) -> Option<Window> {
    let day_variance = day_variance(noise);
    let running = |value: fn(&Day) -> f64| {
        let mut total = 0.0;
        let sums = days.iter().map(|day| {
            total += value(day);
            total
        });
        std::iter::once(0.0).chain(sums).collect::<Vec<f64>>()
    };
    let (sums, loads) = (running(|day| day.mean_kw), running(|day| day.load_kw));
    let total = sums[days.len()];
    let load_kw = (loads[days.len()] / days.len().max(1) as f64).max(f64::MIN_POSITIVE);
    let mut strongest: Option<Window> = None;
    for first in 0..days.len() {
        for end in first + SHIFT_DAYS_MIN..=days.len() {
            let (count, rest) = (end - first, days.len() + first - end);
            if rest < REST_DAYS_MIN {
                break;
            }
            // Before and after differ alike from each other; what came first is the norm.
            if first == 0 && REST_DAYS_MIN <= count {
                continue;
            }
            let inside = sums[end] - sums[first];
            let difference_kw = inside / count as f64 - (total - inside) / rest as f64;
            // A load's noise grows with the load: in a heating load's cold weeks it is several times that of its year.
            let inside_kw_days = loads[end] - loads[first];
            let variance = |load_kw_days: f64, count: f64| (load_kw_days / count / load_kw).max(1.0).powi(2) * day_variance / count;
            let deviation = (variance(inside_kw_days, count as f64) + variance(loads[days.len()] - inside_kw_days, rest as f64)).sqrt();
            let deviations = difference_kw.abs() / deviation.max(f64::MIN_POSITIVE);
            if strongest.as_ref().is_none_or(|window| window.deviations < deviations) {
                strongest = Some(Window { first, last: end - 1, difference_kw, deviations });
            }
        }
    }
    strongest
}

/// Whether what is less on these days, beside the days before, is made by the sun, then and until the end; and if so, since when.
fn made_by_the_sun_from(residuals: &[Residual<'_>], days: &[Day], strongest: RangeInclusive<i64>) -> Option<i64> {
    let mean = |chosen: &dyn Fn(&Moment) -> bool| {
        let values = residuals.iter().filter(|hour| chosen(hour.moment)).map(|hour| hour.residual_kwh);
        let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
        sum / f64::max(count, 1.0)
    };
    // Beside the days before one.
    let fall = |before: i64, within: RangeInclusive<i64>, chosen: &dyn Fn(&Moment) -> bool| {
        mean(&|moment| moment.day < before && chosen(moment)) - mean(&|moment| within.contains(&moment.day) && chosen(moment))
    };
    let noon = |moment: &Moment| NOON_HOURS.contains(&moment.hour_of_day);
    let at_night = |moment: &Moment| NIGHT_HOURS.contains(&moment.hour_of_day);
    let (mut first, end, last) = (*strongest.start(), *strongest.end(), days[days.len() - 1].number);
    let of_strongest = |chosen: &dyn Fn(&Moment) -> bool| fall(*strongest.start(), strongest.clone(), chosen);
    let workdays = of_strongest(&|moment| noon(moment) && moment.kind == DayKind::Workday);
    let weekends = of_strongest(&|moment| noon(moment) && moment.kind != DayKind::Workday);
    let night = of_strongest(&at_night);
    let evening = of_strongest(&|moment| EVENING_HOURS.contains(&moment.hour_of_day));
    let has_its_shape = 0.0 < workdays
        && WEEKEND_SHARE_MIN * workdays <= weekends
        && night.abs() <= NIGHT_SHARE_MAX * workdays
        && evening <= EVENING_SHARE_MAX * workdays;
    let made = |before: i64, within: RangeInclusive<i64>, share: f64| {
        share * workdays <= fall(before, within.clone(), &noon) - fall(before, within, &at_night)
    };
    let lasts = last - end < FORTNIGHT || made(first, end + 1..=last, STILL_SHARE_MIN);
    if !has_its_shape || !lasts {
        return None;
    }
    // It stands out most in summer and may have come in winter.
    while days[0].number + FORTNIGHT <= first - FORTNIGHT && made(first - FORTNIGHT, first - FORTNIGHT..=first - 1, ALREADY_SHARE_MIN) {
        first -= FORTNIGHT / 2;
    }
    Some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise() -> Noise {
        Noise {
            week_sd_kwh: 300.0,
            inflation: 1.5,
            weeks: 52.0,
            provisional: false,
            load_square_kwh2: 0.0,
            seasons: None,
            hour_sd_kwh: 1.0,
            influence_kwh: Vec::new(),
        }
    }

    /// A year of residuals of a load of 100 kW, whose days swing by ±5 kW; `shift_kw` gets day and hour.
    fn year(shift_kw: impl Fn(i64, u8, DayKind) -> f64) -> Option<Shift> {
        let moments: Vec<Moment> = (0..365 * 24)
            .map(|hour: i64| {
                let (day, weekday) = (hour / 24, (hour / 24 + 3) % 7);
                let kind = if weekday < 5 { DayKind::Workday } else { DayKind::SundayOrHoliday };
                Moment { hour_of_day: (hour % 24) as u8, weekday: weekday as u8, kind, month: 1, day, week: (day + 3) / 7, year_angle: 0.0 }
            })
            .collect();
        let swing = |day: i64| if day % 2 == 0 { 5.0 } else { -5.0 };
        let residuals: Vec<Residual> = moments
            .iter()
            .map(|moment| Residual {
                moment,
                baseline_kwh: 100.0,
                residual_kwh: swing(moment.day) + shift_kw(moment.day, moment.hour_of_day, moment.kind),
            })
            .collect();
        strongest_shift(&residuals, &noise())
    }

    fn sun(hour: u8) -> f64 {
        if (7..=17).contains(&hour) { -60.0 } else { 0.0 }
    }

    #[test]
    fn a_shift_under_way_is_told_within_two_weeks_and_over_when_it_is_over() {
        // 90 quiet days of 100 kW that swing by ±5 kW, then `more_kw` from day 90 to 120.
        let seen = |last: i64, more_kw: f64| {
            let shifted = |number: i64| if (90..120).contains(&number) { more_kw } else { 0.0 };
            let swing = |number: i64| if number % 2 == 0 { 5.0 } else { -5.0 };
            let days = (0..=last).map(|number| Day { number, mean_kw: swing(number) + shifted(number), load_kw: 100.0 });
            shift_under_way(&days.collect::<Vec<_>>(), &noise()).map(|seen| seen.first_day)
        };
        let cases = [
            ("quiet", 89, 30.0, None),
            ("a week", 96, 30.0, None),
            ("eight days", 97, 30.0, Some(90)),
            ("ten days", 99, 30.0, Some(90)),
            ("two weeks", 103, 30.0, Some(90)),
        ];
        let more = [
            ("less is a shift, too", 103, -30.0, Some(90)),
            ("a tenth is none", 103, 10.0, None),
            ("ten days after its end", 129, 30.0, None),
        ];
        for (name, last, more_kw, wanted) in cases.into_iter().chain(more) {
            assert_eq!(seen(last, more_kw), wanted, "{name}");
        }
    }

    #[test]
    fn shifts_are_told_by_their_days_and_shape() {
        type Load = fn(i64, u8, DayKind) -> f64;
        type Seen = Option<(Kind, i64, i64)>;
        let cases: [(&str, Load, Seen); 9] = [
            ("a quiet year has none", |_, _, _| 0.0, None),
            ("six weeks of 30 % more", |day, _, _| if (100..142).contains(&day) { 30.0 } else { 0.0 }, Some((Kind::NonRoutine, 100, 141))),
            ("one week is too short", |day, _, _| if (100..107).contains(&day) { 30.0 } else { 0.0 }, None),
            ("a measure of the whole year stands out from nothing", |_, _, _| -12.0, None),
            ("photovoltaics from July on", |day, hour, _| if 180 <= day { sun(hour) } else { 0.0 }, Some((Kind::Photovoltaics, 180, 364))),
            (
                "from May on, they make a sixth in winter",
                |day, hour, _| if day < 120 { 0.0 } else { sun(hour) / if 300 <= day { 6.0 } else { 1.0 } },
                Some((Kind::Photovoltaics, 120, 364)),
            ),
            (
                "shops that dim their lamps until nine in the evening are no photovoltaics",
                |day, hour, _| if 180 <= day && (9..21).contains(&hour) { -60.0 } else { 0.0 },
                Some((Kind::NonRoutine, 180, 364)),
            ),
            (
                "taken down again they are no asset",
                |day, hour, _| if (180..250).contains(&day) { sun(hour) } else { 0.0 },
                Some((Kind::NonRoutine, 180, 249)),
            ),
            (
                "an office that closes at noon is no photovoltaics",
                |day, hour, kind| if 180 <= day && kind == DayKind::Workday { sun(hour) } else { 0.0 },
                Some((Kind::NonRoutine, 180, 364)),
            ),
        ];
        for (name, load, wanted) in cases {
            let seen = year(load).map(|shift| (shift.kind, shift.first_day, shift.last_day));
            let near = match (seen, wanted) {
                (Some(seen), Some(wanted)) => seen.0 == wanted.0 && (seen.1 - wanted.1).abs() <= 3 && (seen.2 - wanted.2).abs() <= 3,
                (seen, wanted) => seen == wanted,
            };
            assert!(near, "{name}: {seen:?}, wanted {wanted:?}");
        }
    }
}
