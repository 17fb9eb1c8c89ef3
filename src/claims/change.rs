//! Why a load's energy and emission differ from those of its baseline year, line by line.
//!
//! Each reporting hour stands against the same local time of the baseline year. The model's prediction with the new weather and the old calendar and
//! production lies between the two: what leads to it is weather, what leads on from it is activity, and what is left is what users adjusted for and
//! efficiency, or an asset event. Invariants: before + all effects = after, in energy and in emission; an hour of which one side lacks a reading or an input is left out of both.

use std::collections::BTreeMap;

use jiff::Span as Length;
use rusqlite::Connection;
use rustc_hash::FxHashMap;

use super::ClaimError;
use super::figures::{By, reported, shift};
use super::fit::{self, Wanted};
use super::inputs::{LedgerCase, Reader};
use crate::domain::calendar::{LocalCalendar, Span};
use crate::domain::units::{HOUR_MS, Millis};
use crate::savings::evaluation::Fitted;
use crate::savings::events::Shift;
use crate::savings::hours::{Hour, hours};
use crate::store::savings::{self, BaselineRow, HourRow, LoadRow};

/// Energy (or water), and emission where the carrier has a factor.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Amount {
    /// kWh; of water m³.
    pub kwh: f64,
    pub kg_co2e: f64,
}

/// What makes the difference; energy's effects carry emission with the factor of the baseline's last year.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Change {
    /// Metered in the baseline year's hours.
    pub before: Amount,
    pub weather: Amount,
    /// Calendar and production.
    pub activity: Amount,
    /// What users have put on record with `savings adjust`.
    pub adjusted: Amount,
    /// The saving, negative.
    pub efficiency: Amount,
    /// What is less since photovoltaics that no meter sees came up.
    pub asset_event: Amount,
    /// What the model does not explain of the baseline year itself.
    pub baseline_residual: Amount,
    /// Use that is no longer bought, or bought again: photovoltaics and batteries. Emission only.
    pub own_supply: Amount,
    /// Other factors than that of the baseline's last year. Emission only.
    pub factor: Amount,
    /// Metered in the reporting hours.
    pub after: Amount,
    pub hours: usize,
    pub hours_left_out: usize,
}

impl Change {
    /// The lines by name, in order.
    #[must_use]
    pub fn lines(&self) -> [(&'static str, Amount); 10] {
        [
            ("before", self.before),
            ("weather", self.weather),
            ("activity", self.activity),
            ("adjusted", self.adjusted),
            ("efficiency", self.efficiency),
            ("asset_event", self.asset_event),
            ("baseline_residual", self.baseline_residual),
            ("own_supply", self.own_supply),
            ("factor", self.factor),
            ("after", self.after),
        ]
    }

    fn lines_mut(&mut self) -> [&mut Amount; 10] {
        let Change { before, weather, activity, adjusted, efficiency, asset_event, baseline_residual, own_supply, factor, after, .. } =
            self;
        [before, weather, activity, adjusted, efficiency, asset_event, baseline_residual, own_supply, factor, after]
    }

    pub fn add(&mut self, other: &Change) {
        for (sum, (_, part)) in self.lines_mut().into_iter().zip(other.lines()) {
            sum.kwh += part.kwh;
            sum.kg_co2e += part.kg_co2e;
        }
        self.hours += other.hours;
        self.hours_left_out += other.hours_left_out;
    }
}

/// A load with a baseline, and why it changed, by start and end of each stretch.
pub struct Changed {
    pub row: LoadRow,
    pub parts: BTreeMap<(Millis, Millis), Change>,
}

/// The changes of the loads that are wanted and have a baseline.
pub fn changes(ledger: &Connection, wanted: &Wanted, by: By) -> Result<Vec<Changed>, ClaimError> {
    let mut reader = Reader::new(ledger)?;
    let mut calendar = LocalCalendar::new(reader.time_zone.clone());
    let in_force = savings::baselines(ledger)?;
    let mut out = Vec::new();
    for row in fit::loads(ledger, wanted)? {
        let Some((id, baseline)) = in_force.iter().find(|(_, baseline)| baseline.load == row.load) else { continue };
        let closed = savings::closed(ledger, row.load)?;
        let (fitted, read) = reported(&mut reader, &mut calendar, (*id, baseline), closed, baseline.period.start)?;
        let whole = read.case.periods.reporting;
        let start = wanted.from.map_or(whole.start, |from| from.max(whole.start));
        let end = wanted.to.map_or(whole.end, |to| to.min(whole.end));
        let reporting = Span { start, end: end.max(start) };
        let mut years = Years { ledger, baseline, calendar: &mut calendar, known: FxHashMap::default() };
        let parts = parts(&reader, &fitted, &read, (reporting, by), &mut years)?;
        out.push(Changed { row, parts });
    }
    Ok(out)
}

/// Factors by local year, as the roll-ups were made with them.
struct Years<'a> {
    ledger: &'a Connection,
    baseline: &'a BaselineRow,
    calendar: &'a mut LocalCalendar,
    known: FxHashMap<i16, f64>,
}

impl Years<'_> {
    /// µg of `CO2e` per ledger unit of what was bought; 0 where the carrier has no factor.
    fn factor(&mut self, at: Millis) -> Result<f64, ClaimError> {
        let year = self.calendar.date(at).year();
        if let Some(known) = self.known.get(&year) {
            return Ok(*known);
        }
        let found = savings::factors(self.ledger, self.baseline.load.book, year)?.and_then(|[mg_co2e, ..]| mg_co2e).unwrap_or(0) as f64;
        self.known.insert(year, found);
        Ok(found)
    }
}

fn parts(
    reader: &Reader,
    fitted: &Fitted,
    read: &LedgerCase,
    (reporting, by): (Span, By),
    years: &mut Years,
) -> Result<BTreeMap<(Millis, Millis), Change>, ClaimError> {
    let (case, baseline) = (&read.case, years.baseline);
    let hours = hours(case, &fitted.inputs);
    let known = |slot: usize| Some((hours[slot].as_ref()?, case.meter_kwh[slot]?, read.rows.get(&slot)?));
    let sun_from = shift(reader, baseline, fitted, (read, &hours)).as_ref().and_then(Shift::photovoltaics_from);
    let mut parts: BTreeMap<(Millis, Millis), Change> = BTreeMap::new();
    if by == By::Total {
        parts.insert((reporting.start, reporting.end), Change::default());
    }
    for slot in case.slots(reporting) {
        let at = case.at(slot);
        let stretch = by.stretch(years.calendar, at, reporting);
        let sum = parts.entry((stretch.start, stretch.end)).or_default();
        let before = a_year_before(at, reader, baseline.period).map(|at| (at.ms_since(case.start) / HOUR_MS) as usize);
        let (Some(then), Some(now)) = (before.and_then(known), known(slot)) else {
            sum.hours_left_out += 1;
            continue;
        };
        let factors = [years.factor(then.2.at)?, years.factor(at)?];
        let mut change = hour(fitted, baseline, (then, now), reader.adjusted_kwh(baseline.load, at), factors);
        if sun_from.is_some_and(|first_day| first_day <= now.0.moment.day) {
            std::mem::swap(&mut change.efficiency, &mut change.asset_event);
        }
        sum.add(&change);
    }
    Ok(parts)
}

/// The same local time of the baseline's year; `None` where the baseline has none.
fn a_year_before(at: Millis, reader: &Reader, period: Span) -> Option<Millis> {
    let mut local = at.timestamp().to_zoned(reader.time_zone.clone());
    while period.end <= Millis(local.timestamp().as_millisecond()) {
        local = local.checked_sub(Length::new().years(1)).ok()?;
    }
    Some(Millis(local.timestamp().as_millisecond())).filter(|at| period.start <= *at)
}

type Known<'a> = (&'a Hour, f64, &'a HourRow);

/// One hour's lines, from its readings then and now and the factors of their years, µg per ledger unit.
fn hour(fitted: &Fitted, baseline: &BaselineRow, (then, now): (Known, Known), adjusted_kwh: f64, factors: [f64; 2]) -> Change {
    let (model, frozen_ug) = (&fitted.baseline, baseline.vintage.mg_co2e.unwrap_or(0) as f64);
    let new_weather = Hour { moment: then.0.moment, drivers: then.0.drivers.clone(), ..now.0.clone() };
    let [old_kwh, between_kwh, new_kwh] = [then.0, &new_weather, now.0].map(|hour| model.predict_kwh(hour));
    let effect = |kwh: f64| Amount { kwh, kg_co2e: kwh / baseline.vintage.kwh_per_unit * frozen_ug / 1e9 };
    let (own_supply, factor) = beside_energy([then.2, now.2].map(|row| (row.quantity as f64, row.co2e_ug as f64)), factors, frozen_ug);
    let emission = |ug: f64| Amount { kwh: 0.0, kg_co2e: ug / 1e9 };
    Change {
        before: Amount { kwh: then.1, kg_co2e: then.2.co2e_ug as f64 / 1e9 },
        weather: effect(between_kwh - old_kwh),
        activity: effect(new_kwh - between_kwh),
        adjusted: effect(adjusted_kwh),
        efficiency: effect(now.1 - new_kwh - adjusted_kwh),
        asset_event: Amount::default(),
        baseline_residual: effect(old_kwh - then.1),
        own_supply: emission(own_supply),
        factor: emission(factor),
        after: Amount { kwh: now.1, kg_co2e: now.2.co2e_ug as f64 / 1e9 },
        hours: 1,
        hours_left_out: 0,
    }
}

/// What own supply and changed factors make of the emission, µg, from what was used (ledger units) and emitted (µg) then and now.
fn beside_energy([then, now]: [(f64, f64); 2], factors: [f64; 2], frozen_ug: f64) -> (f64, f64) {
    // Emission is what was bought times the year's factor.
    let bought = |emitted_ug: f64, ug: f64| if ug == 0.0 { 0.0 } else { emitted_ug / ug };
    let (was, is) = (bought(then.1, factors[0]), bought(now.1, factors[1]));
    let own_supply = if frozen_ug == 0.0 { 0.0 } else { ((is - was) - (now.0 - then.0)) * frozen_ug };
    (own_supply, is * (factors[1] - frozen_ug) - was * (factors[0] - frozen_ug))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_supply_and_factors_by_hand() {
        // 100 used and bought at 5 each; then 110 used of which 80 are bought, at 4. From 500 to 320: 10 more used at 5 are +50, 30 that are made on
        // the roof −150, and 80 at 4 instead of 5 another −80.
        assert_eq!(beside_energy([(100.0, 500.0), (110.0, 320.0)], [5.0, 4.0], 5.0), (-150.0, -80.0));
        // What carries no carbon has neither.
        assert_eq!(beside_energy([(100.0, 0.0), (110.0, 0.0)], [0.0, 0.0], 0.0), (0.0, 0.0));
    }
}
