//! The next day and a half as steps: hours, prices, carbon and months.

use super::forecast::Hour;
use super::plan::Steps;
use super::shape;
use crate::domain::calendar::{DayTypes, LocalCalendar, Span};
use crate::domain::channel::Carrier;
use crate::domain::tariff::{PriceSpan, Tariff};
use crate::domain::units::{DAY_MS, HOUR_MS, Millis};

/// How far a plan looks ahead, in local hours: past the next day's cheap hours.
pub const HORIZON_H: usize = 36;
const MILLIONTHS: f64 = 1e6;
/// Where the tariff has ended and the next one is not known, its hours and seasons are taken to come again: those of so long before.
const A_YEAR_MS: i64 = 365 * DAY_MS;

#[derive(Clone, Debug, PartialEq)]
pub struct Outlook {
    pub hours: Vec<Hour>,
    /// Without a load, which the forecast fills in.
    pub steps: Steps,
    /// The months that it touches, by [`Steps::month`].
    pub months: Vec<Span>,
    /// Of the first month's demand.
    pub peak_cny_per_kw: f64,
    /// The grid's annual factor.
    pub kg_per_kwh: f64,
}

/// What is known of the hours from `now` on, the first of them cut at `now`; none where an hour has no price, nor had one a year before. `kg_per_kwh` is the grid's annual factor.
#[must_use]
pub fn outlook(
    now: Millis,
    hours: usize,
    (tariff, days): (&Tariff, &DayTypes),
    calendar: &mut LocalCalendar,
    kg_per_kwh: f64,
) -> Option<Outlook> {
    let mut outlook = Outlook { hours: Vec::new(), steps: Steps::default(), months: Vec::new(), peak_cny_per_kw: 0.0, kg_per_kwh };
    let (mut at, mut prices, mut back_ms) = (now, Vec::new(), 0);
    for _ in 0..hours {
        let hour = calendar.hour(at);
        let is_of = |span: &PriceSpan, at: Millis| span.from <= at && at < span.to;
        if !prices.iter().any(|span| is_of(span, at.plus_ms(-back_ms))) {
            (prices, back_ms) = (tariff.day(Carrier::Electricity, at, calendar), 0);
            if prices.iter().any(|span| span.price.is_none()) {
                (prices, back_ms) = (tariff.day(Carrier::Electricity, at.plus_ms(-A_YEAR_MS), calendar), A_YEAR_MS);
            }
        }
        let local_ms = hour.start.0 + calendar.offset_ms(at);
        let of_day = (local_ms.div_euclid(HOUR_MS).rem_euclid(24)) as i8;
        let kind = days.of(calendar.date(at));
        let month = calendar.month(at);
        if outlook.months.last() != Some(&month) {
            outlook.months.push(month);
        }
        let steps = &mut outlook.steps;
        steps.month.push(outlook.months.len() - 1);
        steps.hours.push(hour.end.ms_since(at) as f64 / HOUR_MS as f64);
        steps.price.push(mean_price(&prices, Span { start: at.plus_ms(-back_ms), end: hour.end.plus_ms(-back_ms) })?);
        steps.carbon.push(kg_per_kwh * shape::synthetic(of_day));
        outlook.hours.push(Hour { start: hour.start, of_day, kind });
        if outlook.hours.len() == 1 {
            let demand = prices.first().and_then(|span| span.charges.demand_ucny_per_kw_month);
            outlook.peak_cny_per_kw = demand.unwrap_or(0) as f64 / MILLIONTHS;
        }
        at = hour.end;
    }
    Some(outlook)
}

/// CNY/kWh over a span of one day.
fn mean_price(prices: &[PriceSpan], span: Span) -> Option<f64> {
    let mut sum = 0.0;
    for price in prices {
        let ms = price.to.min(span.end).ms_since(price.from.max(span.start));
        if 0 < ms {
            sum += ms as f64 * price.price?.0 as f64 / MILLIONTHS;
        }
    }
    (0 < span.ms()).then(|| sum / span.ms() as f64)
}
