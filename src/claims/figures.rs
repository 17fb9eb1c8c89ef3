//! Savings per hour, day, month and in total, of loads, kinds of entities and the zone.
//!
//! Made from the frozen baselines and what the ledger holds now, never from stored predictions. Invariants: only hours with a reading, a prediction and
//! no exclusion are counted, on both sides; what photovoltaics that no meter sees spare is no saving and stands beside it; sums of entities have the interval of errors that are correlated, never one in plain quadrature; energy and
//! water meet in standard coal and money only.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::ClaimError;
use super::fit::{self, Wanted};
use super::inputs::{LedgerCase, Reader};
use crate::accounting::Book;
use crate::domain::calendar::{LocalCalendar, Span};
use crate::domain::units::Millis;
use crate::savings::evaluation::Fitted;
use crate::savings::events::{Residual, Shift, strongest_shift};
use crate::savings::hours::{Hour, hours_within};
use crate::savings::sufficiency::earliest_end;
use crate::savings::uncertainty::{Stretch, combined_half_width_kwh};
use crate::store::prices::Prices;
use crate::store::savings::{self, BaselineRow, HourRow, Load, LoadRow};

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum By {
    Total,
    Month,
    Day,
    Hour,
}

impl By {
    /// The stretch that an hour of `whole` is counted in.
    #[must_use]
    pub fn stretch(self, calendar: &mut LocalCalendar, at: Millis, whole: Span) -> Span {
        match self {
            By::Total => whole,
            By::Month => calendar.month(at),
            By::Day => calendar.day(at),
            By::Hour => calendar.hour(at),
        }
    }
}

/// What the baseline has and what was metered, all in one unit.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Balance {
    pub baseline: f64,
    pub metered: f64,
    pub half_width: f64,
    /// What of the saving has no price.
    pub unpriced: f64,
    pub gross: f64,
    pub estimated: f64,
}

impl Balance {
    #[must_use]
    pub fn saved(&self) -> f64 {
        self.baseline - self.metered
    }

    /// The sum of balances whose errors share weather and drift; `None` of none.
    fn sum(balances: impl Iterator<Item = Balance>) -> Option<Balance> {
        let mut half_widths = Vec::new();
        let sum = balances.fold(Balance::default(), |sum, one| {
            half_widths.push(one.half_width);
            Balance {
                baseline: sum.baseline + one.baseline,
                metered: sum.metered + one.metered,
                half_width: 0.0,
                unpriced: sum.unpriced + one.unpriced,
                gross: sum.gross + one.gross,
                estimated: sum.estimated + one.estimated,
            }
        });
        let half_width = combined_half_width_kwh(&half_widths);
        (!half_widths.is_empty()).then_some(Balance { half_width, ..sum })
    }
}

/// Savings of one load or of several, over a stretch of time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figure {
    /// kWh; `None` where it is of water only.
    pub energy: Option<Balance>,
    /// m³; `None` where no water is in it.
    pub water: Option<Balance>,
    pub tce_calorific: f64,
    pub tce_primary: f64,
    /// With the factor of the baseline's last year.
    pub kg_co2e: f64,
    /// Half of the 90 % interval of that: that of the energy with the same factor.
    pub half_width_kg_co2e: f64,
    /// What other factors than that make of the metered energy's emission.
    pub factor_effect_kg_co2e: f64,
    /// At the prices of the hours, CNY; `None` where no hour has one.
    pub cny: Option<f64>,
    /// Half of the 90 % interval of that: that of the energy at the mean price of the baseline's hours.
    pub half_width_cny: Option<f64>,
    pub hours: usize,
    /// Hours without a reading, without all inputs, excluded by a user, or of `asset`.
    pub hours_left_out: usize,
    /// The hours since photovoltaics that no meter sees came up: what is less there is no saving.
    pub asset: Option<Balance>,
}

impl Figure {
    /// The sum of figures whose errors share weather and drift.
    #[must_use]
    pub fn sum<'f>(figures: impl Iterator<Item = &'f Figure> + Clone) -> Figure {
        let sum = figures.clone().fold(Figure::default(), |mut sum, figure| {
            sum.tce_calorific += figure.tce_calorific;
            sum.tce_primary += figure.tce_primary;
            sum.kg_co2e += figure.kg_co2e;
            sum.factor_effect_kg_co2e += figure.factor_effect_kg_co2e;
            sum.cny = [sum.cny, figure.cny].into_iter().flatten().reduce(|a, b| a + b);
            sum.hours += figure.hours;
            sum.hours_left_out += figure.hours_left_out;
            sum
        });
        let energy = Balance::sum(figures.clone().filter_map(|figure| figure.energy));
        let asset = Balance::sum(figures.clone().filter_map(|figure| figure.asset));
        let water = Balance::sum(figures.clone().filter_map(|figure| figure.water));
        let combined = |half_widths: Vec<f64>| combined_half_width_kwh(&half_widths);
        let half_width_kg_co2e = combined(figures.clone().map(|figure| figure.half_width_kg_co2e).collect());
        let half_width_cny = sum.cny.map(|_| combined(figures.filter_map(|figure| figure.half_width_cny).collect()));
        Figure { energy, water, half_width_kg_co2e, half_width_cny, asset, ..sum }
    }
}

/// By start and end of their stretch.
pub type Figures = BTreeMap<(Millis, Millis), Figure>;

/// A load with a baseline, and its figures.
pub struct Claim {
    pub entity: String,
    /// Not added to the zone, see [`LoadRow`].
    pub made_inside: bool,
    pub baseline: BaselineRow,
    pub fitted: Fitted,
    pub figures: Figures,
    /// What stands out from all hours that could be counted. Photovoltaics are told apart, anything else is in the figures until a user adjusts for it or
    /// excludes it.
    pub shift: Option<Shift>,
}

/// A load without one, and from which local date on it may have one.
pub struct Building {
    pub load: Load,
    pub entity: String,
    pub possible_from: Option<String>,
}

/// The claims on the loads that are wanted, and the loads that have none yet.
pub fn claims(ledger: &Connection, wanted: &Wanted, by: By) -> Result<(Vec<Claim>, Vec<Building>), ClaimError> {
    let mut reader = Reader::new(ledger)?;
    let mut calendar = LocalCalendar::new(reader.time_zone.clone());
    let in_force = savings::baselines(ledger)?;
    let (mut claims, mut building) = (Vec::new(), Vec::new());
    for LoadRow { load, entity, made_inside } in fit::loads(ledger, wanted)? {
        let closed = savings::closed(ledger, load)?;
        let Some((id, baseline)) = in_force.iter().find(|(_, baseline)| baseline.load == load) else {
            let start = closed.map(|closed| calendar.day(closed.start.plus_ms(-1)).end);
            let possible_from = start.map(|start| earliest_end(start, &reader.time_zone).date().to_string());
            building.push(Building { load, entity, possible_from });
            continue;
        };
        let (fitted, read) = reported(&mut reader, &mut calendar, (*id, baseline), closed, baseline.period.end)?;
        let (figures, shift) =
            Counting { reader: &reader, baseline, fitted: &fitted, read: &read, calendar: &mut calendar }.figures(wanted, by)?;
        claims.push(Claim { entity, made_inside, baseline: baseline.clone(), fitted, figures, shift });
    }
    Ok((claims, building))
}

/// The model of a baseline, and the load's hours from `start` up to the last one that is closed.
pub fn reported(
    reader: &mut Reader,
    calendar: &mut LocalCalendar,
    (id, baseline): (i64, &BaselineRow),
    closed: Option<Span>,
    start: Millis,
) -> Result<(Fitted, LedgerCase), ClaimError> {
    let fitted: Fitted = serde_json::from_str(&baseline.fitted).map_err(|cause| ClaimError::Document { id, cause })?;
    let end = closed.map_or(baseline.period.end, |closed| calendar.hour(closed.end).start).max(baseline.period.end);
    let whole = Span { start, end };
    let reporting = Span { start: baseline.period.end, end };
    let read = reader.case(baseline.load, baseline.vintage.kwh_per_unit, (baseline.period, reporting), whole)?;
    Ok((fitted, read))
}

/// What stands out from a load's reporting hours, with what users have said of them.
#[must_use]
pub fn shift(reader: &Reader, baseline: &BaselineRow, fitted: &Fitted, (read, hours): (&LedgerCase, &[Option<Hour>])) -> Option<Shift> {
    let case = &read.case;
    let residual = |slot: usize| {
        let (hour, metered_kwh) = (hours[slot].as_ref()?, case.meter_kwh[slot]?);
        let baseline_kwh = fitted.baseline.predict_kwh(hour) + reader.adjusted_kwh(baseline.load, case.at(slot));
        Some(Residual { moment: &hour.moment, baseline_kwh, residual_kwh: metered_kwh - baseline_kwh })
    };
    strongest_shift(&case.slots(case.periods.reporting).filter_map(residual).collect::<Vec<_>>(), &fitted.noise)
}

/// A stretch's figure while it grows; last the baseline's energy in hours with a price, kWh, and what that costs, CNY.
type Counted = (Figure, Balance, Stretch, [f64; 2]);

struct Counting<'a, 'l> {
    reader: &'a Reader<'l>,
    baseline: &'a BaselineRow,
    fitted: &'a Fitted,
    read: &'a LedgerCase,
    calendar: &'a mut LocalCalendar,
}

impl Counting<'_, '_> {
    fn figures(&mut self, wanted: &Wanted, by: By) -> Result<(Figures, Option<Shift>), ClaimError> {
        let case = &self.read.case;
        let reporting = case.periods.reporting;
        let from = wanted.from.map_or(reporting.start, |from| from.max(reporting.start));
        let to = wanted.to.map_or(reporting.end, |to| to.min(reporting.end));
        let hours = hours_within(case, &self.fitted.inputs, case.slots(reporting));
        let prices = Prices::read(self.reader.ledger, self.baseline.load.book, reporting)?;
        let kwh_per_unit = self.baseline.vintage.kwh_per_unit;
        let mut out: BTreeMap<(Millis, Millis), Counted> = BTreeMap::new();
        let shift = shift(self.reader, self.baseline, self.fitted, (self.read, &hours));
        let sun_from = shift.as_ref().and_then(Shift::photovoltaics_from);
        for slot in case.slots(reporting) {
            let at = case.at(slot);
            if at < from || to <= at {
                continue;
            }
            let stretch = by.stretch(self.calendar, at, Span { start: from, end: to });
            let (figure, balance, stretch, priced) = out.entry((stretch.start, stretch.end)).or_default();
            let (Some(hour), Some(metered_kwh), Some(row)) = (&hours[slot], case.meter_kwh[slot], self.read.rows.get(&slot)) else {
                figure.hours_left_out += 1;
                continue;
            };
            let predicted_kwh = self.fitted.baseline.predict_kwh(hour);
            let baseline_kwh = predicted_kwh + self.reader.adjusted_kwh(self.baseline.load, at);
            if sun_from.is_some_and(|first_day| first_day <= hour.moment.day) {
                let asset = figure.asset.get_or_insert_default();
                asset.baseline += baseline_kwh;
                asset.metered += metered_kwh;
                figure.hours_left_out += 1;
                continue;
            }
            self.fitted.add(hour, predicted_kwh, stretch);
            figure.hours += 1;
            balance.baseline += baseline_kwh;
            balance.metered += metered_kwh;
            let saved_kwh = baseline_kwh - metered_kwh;
            match prices.at(at) {
                Some(ncny_per_unit) => {
                    let cny_per_kwh = ncny_per_unit as f64 / 1e9 / kwh_per_unit;
                    *figure.cny.get_or_insert(0.0) += saved_kwh * cny_per_kwh;
                    *priced = [priced[0] + predicted_kwh.abs(), priced[1] + predicted_kwh.abs() * cny_per_kwh];
                }
                None => balance.unpriced += saved_kwh,
            }
            balance.gross += row.gross as f64 * kwh_per_unit;
            balance.estimated += row.estimated as f64 * kwh_per_unit;
            let year = self.calendar.date(at).year();
            figure.factor_effect_kg_co2e += factor_effect_kg_co2e(self.reader.ledger, self.baseline, row, year)?;
        }
        let finished = |(figure, balance, stretch, [priced_kwh, priced_cny]): Counted| {
            let units = balance.saved() / kwh_per_unit;
            let times = |mg_per_unit: Option<i64>| units * mg_per_unit.unwrap_or(0) as f64;
            let half_width = self.fitted.noise.half_width_kwh(&stretch);
            let balance = Some(Balance { half_width, ..balance });
            let mean_price = if priced_kwh > 0.0 { priced_cny / priced_kwh } else { 0.0 };
            let (energy, water) = if self.baseline.load.book == Book::Water { (None, balance) } else { (balance, None) };
            Figure {
                energy,
                water,
                tce_calorific: times(self.baseline.vintage.mg_ce_calorific) / 1e12,
                tce_primary: times(self.baseline.vintage.mg_ce_primary) / 1e12,
                kg_co2e: times(self.baseline.vintage.mg_co2e) / 1e9,
                half_width_kg_co2e: half_width / kwh_per_unit * self.baseline.vintage.mg_co2e.unwrap_or(0) as f64 / 1e9,
                half_width_cny: figure.cny.map(|_| half_width * mean_price),
                ..figure
            }
        };
        Ok((out.into_iter().map(|(key, value)| (key, finished(value))).collect(), shift))
    }
}

/// An hour's emission less what it would be with the baseline's factor.
fn factor_effect_kg_co2e(ledger: &Connection, baseline: &BaselineRow, row: &HourRow, year: i16) -> Result<f64, ClaimError> {
    if year == baseline.vintage.year {
        return Ok(0.0);
    }
    let now = savings::factors(ledger, baseline.load.book, year)?.and_then(|[mg_co2e, ..]| mg_co2e);
    let (Some(now), Some(then)) = (now, baseline.vintage.mg_co2e) else { return Ok(0.0) };
    Ok(if now == 0 { 0.0 } else { row.co2e_ug as f64 / 1e9 * (1.0 - then as f64 / now as f64) })
}
