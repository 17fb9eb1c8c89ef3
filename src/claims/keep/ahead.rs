//! What the baselines in force expect the zone to use: in hours just gone, to see how far they are off, and in hours to come.
//!
//! Weather and production to come are what they were in the same hours of like days; of the weather what is unusual now wears off. Never stores anything. Invariant: made of stored weather and
//! production only, so that an engine that was restarted expects the same.

use std::collections::BTreeMap;

use super::{Keeper, Sky};
use crate::accounting::Book;
use crate::claims::ClaimError;
use crate::claims::inputs::time_zone;
use crate::dispatch::forecast::{self, Expected, Hour, Past};
use crate::domain::calendar::{LocalCalendar, Span};
use crate::domain::units::{HOUR_MS, Millis};
use crate::savings::hours::{Climate, Production, moment};
use crate::store::Store;
use crate::store::batch::RowId;
use crate::store::savings;

/// The newest hours are reckoned once more: what comes late is late by minutes, as a rule.
const AGAIN_MS: i64 = 3 * HOUR_MS;
/// With fewer hours that are known nobody sees how far baselines are off.
const DAY_HOURS: usize = 24;
const PCT_MAX: f64 = 100.0;

/// Those that are over, and those to come.
type Hours<'h> = (&'h [Hour], &'h [Hour]);

/// Hours that were reckoned before.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    /// Entities that were left out.
    without: Vec<RowId>,
    hours: BTreeMap<Millis, Known>,
}

#[derive(Debug)]
struct Known {
    /// None where an input of one of the loads is missing.
    kw: Option<f64>,
    /// What was made, by load and driver.
    made: Vec<Option<f64>>,
}

impl Keeper {
    /// Electricity of all loads that have a baseline and do not belong to the entities `without`: in hours that are over and in hours to come, both in order; none without such loads,
    /// or where weather or production of the last weeks is missing.
    pub fn expected(&mut self, store: &Store, (past, ahead): Hours, without: &[RowId]) -> Result<Option<Expected>, ClaimError> {
        self.refresh(store)?;
        let loads: Vec<usize> = (0..self.kept.len())
            .filter(|index| self.kept[*index].load.book == Book::Electricity && !without.contains(&self.kept[*index].load.entity))
            .collect();
        let (Some(first), Some(now)) = (past.first(), ahead.first()) else { return Ok(None) };
        if loads.is_empty() {
            return Ok(None);
        }
        if self.ahead.without != without {
            self.ahead = Remembered { without: without.to_vec(), ..Remembered::default() };
        }
        self.ahead.hours.retain(|at, _| first.start <= *at && *at < now.start.plus_ms(-AGAIN_MS));
        let mut calendar = LocalCalendar::new(time_zone(&store.connection)?);
        let Some(climates) = self.climates(store, &loads, (past, ahead))? else { return Ok(None) };
        let hour = |sky: &Sky, at: Millis, moment, drivers| {
            let (_, climate) = climates.iter().find(|(known, _)| known == sky)?;
            climate.hour(usize::try_from(at.ms_since(sky.start) / HOUR_MS).ok()?, moment, drivers)
        };
        for Hour { start: at, .. } in past {
            if !self.ahead.hours.contains_key(at) {
                let made = self.made(store, &loads, *at)?;
                let before = match self.ahead.hours.get(&at.plus_ms(-HOUR_MS)) {
                    Some(known) => known.made.clone(),
                    None => self.made(store, &loads, at.plus_ms(-HOUR_MS))?,
                };
                let moment = moment(&mut calendar, &self.days, *at);
                let kw = self.sum(&loads, |sky, drivers| hour(sky, *at, moment, drivers), (&made, &before));
                self.ahead.hours.insert(*at, Known { kw, made });
            }
        }
        let Some(made) = self.made_ahead(past, ahead) else { return Ok(None) };
        let mut ahead_kw = Vec::with_capacity(ahead.len());
        let mut before: Vec<Option<f64>> = self.ahead.hours.values().next_back().map(|known| known.made.clone()).unwrap_or_default();
        for (index, Hour { start: at, .. }) in ahead.iter().enumerate() {
            let made: Vec<Option<f64>> = made.iter().map(|series| Some(series[index])).collect();
            let moment = moment(&mut calendar, &self.days, *at);
            let kw = self.sum(&loads, |sky, drivers| hour(sky, *at, moment, drivers), (&made, &before));
            let Some(kw) = kw else { return Ok(None) };
            ahead_kw.push(kw);
            before = made;
        }
        let known = past.iter().filter_map(|hour| Some(Past { hour: *hour, kw: self.ahead.hours.get(&hour.start)?.kw? }));
        let past: Vec<Past> = known.collect();
        Ok((DAY_HOURS <= past.len()).then_some(Expected { past, ahead_kw }))
    }

    /// The sum of all loads, kW; none where one of them has no hour.
    fn sum(
        &self,
        loads: &[usize],
        hour: impl Fn(&Sky, Box<[Production]>) -> Option<crate::savings::hours::Hour>,
        (made, before): (&[Option<f64>], &[Option<f64>]),
    ) -> Option<f64> {
        let (mut sum, mut column) = (0.0, 0);
        for index in loads {
            let kept = &self.kept[*index];
            let columns = column..column + kept.production.len();
            column = columns.end;
            let drivers = columns.map(|column| {
                let now = made[column]?;
                Some(Production { now, before: before.get(column).copied().flatten().unwrap_or(now) })
            });
            sum += kept.fitted.baseline.predict_kwh(&hour(&kept.sky, drivers.collect::<Option<_>>()?)?);
        }
        Some(sum)
    }

    /// What was made in an hour, by load and driver.
    fn made(&self, store: &Store, loads: &[usize], at: Millis) -> Result<Vec<Option<f64>>, ClaimError> {
        let span = Span { start: at, end: at.plus_ms(HOUR_MS) };
        let mut made = Vec::new();
        for (_, channels) in loads.iter().flat_map(|index| &self.kept[*index].production) {
            let mut sum = Some(0.0);
            for channel in channels {
                let part = savings::production(&store.connection, *channel, span)?.pop().flatten();
                sum = sum.zip(part).map(|(sum, part)| sum + part);
            }
            made.push(sum);
        }
        Ok(made)
    }

    /// What is usually made in the hours ahead, by load and driver: a shift that made more says nothing of the night after it.
    fn made_ahead(&self, past: &[Hour], ahead: &[Hour]) -> Option<Vec<Vec<f64>>> {
        let columns = self.ahead.hours.values().next_back()?.made.len();
        let series = |column: usize| -> Vec<Past> {
            let made = |hour: &Hour| Some(Past { hour: *hour, kw: self.ahead.hours.get(&hour.start)?.made[column]? });
            past.iter().filter_map(made).collect()
        };
        (0..columns).map(|column| Some(series(column)).filter(|past| !past.is_empty()).map(|past| forecast::usual(&past, ahead))).collect()
    }

    /// The weather of each sky of these loads up to the end of the hours ahead; none where the last weeks have none.
    fn climates(&mut self, store: &Store, loads: &[usize], (past, ahead): Hours) -> Result<Option<Vec<(Sky, Climate)>>, ClaimError> {
        let mut climates: Vec<(Sky, Climate)> = Vec::new();
        let Some(now) = ahead.first() else { return Ok(None) };
        for index in loads {
            let sky = self.kept[*index].sky;
            if climates.iter().any(|(known, _)| *known == sky) {
                continue;
            }
            self.fill(store, &sky, now.start)?;
            let series = sky.gauges.map(|gauge| {
                let slots = usize::try_from(now.start.ms_since(sky.start) / HOUR_MS).ok()?;
                let mut known = self.weather.get(&(gauge?, sky.start))?.clone();
                known.resize(slots, None);
                let at = |hour: &Hour| known.get(usize::try_from(hour.start.ms_since(sky.start) / HOUR_MS).ok()?).copied().flatten();
                let seen: Vec<Past> = past.iter().filter_map(|hour| Some(Past { hour: *hour, kw: at(hour)? })).collect();
                Some((known, seen))
            });
            let [temperature, humidity, irradiance] = series;
            let whole = |series: Option<(Vec<Option<f64>>, Vec<Past>)>, ahead: &dyn Fn(&[Past]) -> Option<Vec<f64>>| {
                let (mut known, seen) = series?;
                known.extend(ahead(&seen)?.into_iter().map(Some));
                Some(known)
            };
            let Some(temperature_c) = whole(temperature, &|seen| forecast::level(seen, ahead)) else { return Ok(None) };
            let pct = |seen: &[Past]| Some(forecast::load(seen, ahead)?.into_iter().map(|pct| pct.min(PCT_MAX)).collect());
            let (humidity_pct, ghi_w_m2) = (whole(humidity, &pct), whole(irradiance, &|seen| forecast::sun(seen, ahead)));
            climates.push((sky, Climate::of(&sky.inputs, &temperature_c, humidity_pct.as_deref(), ghi_w_m2.as_deref())));
        }
        Ok(Some(climates))
    }
}
