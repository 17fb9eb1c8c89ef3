//! A load of the ledger as a case of the savings model.
//!
//! Invariant: an hour counts as metered only if every import meter of the load has been read before and after it; the rest of a load would be taken
//! for a saving.

use std::rc::Rc;

use jiff::tz::TimeZone;
use rusqlite::Connection;
use rustc_hash::FxHashMap;

use super::ClaimError;
use crate::domain::calendar::{DayTypes, Span};
use crate::domain::units::{HOUR_MS, Millis};
use crate::savings::case::{Case, Driver, Periods, WARM_UP_HOURS};
use crate::store::StoreError;
use crate::store::batch::RowId;
use crate::store::savings::{self, Adjustment, DriverRow, HUMIDITY, HourRow, IRRADIANCE, Load, TEMPERATURE};

type Series = Rc<Vec<Option<f64>>>;
type Read = fn(&Connection, RowId, Span) -> Result<Vec<Option<f64>>, StoreError>;

/// Reads cases; weather and production that loads share are read once.
pub struct Reader<'l> {
    pub ledger: &'l Connection,
    pub time_zone: TimeZone,
    pub days: DayTypes,
    pub adjustments: Vec<Adjustment>,
    /// Of the entity that was read last: production is few loads' business, and a city has many.
    production: (Option<RowId>, FxHashMap<(RowId, Span), Series>),
    weather: FxHashMap<(RowId, Span), Series>,
}

/// A case with the roll-ups it was made of.
pub struct LedgerCase {
    pub case: Case,
    /// One per slot that the ledger has a complete hour of.
    pub rows: FxHashMap<usize, HourRow>,
    /// Complete hours that a user has excluded.
    pub excluded: usize,
}

/// Entity's drivers by name, in the order of the model's columns; weather apart.
#[must_use]
pub fn production_channels(drivers: &[DriverRow]) -> Vec<(String, Vec<RowId>)> {
    let mut out: Vec<(String, Vec<RowId>)> = Vec::new();
    for row in drivers.iter().filter(|row| ![TEMPERATURE, HUMIDITY, IRRADIANCE].contains(&&*row.name)) {
        match out.last_mut() {
            Some((name, channels)) if *name == *row.name => channels.push(row.channel),
            Some(_) | None => out.push((row.name.to_string(), vec![row.channel])),
        }
    }
    out
}

/// The gauge of one kind of weather.
#[must_use]
pub fn gauge(drivers: &[DriverRow], name: &str) -> Option<RowId> {
    drivers.iter().find(|row| *row.name == *name).map(|row| row.channel)
}

/// Sums slot by slot; a gap in one is a gap.
#[must_use]
pub fn added(series: &[Series], slots: usize) -> Vec<Option<f64>> {
    (0..slots).map(|slot| series.iter().map(|one| one[slot]).sum()).collect()
}

impl<'l> Reader<'l> {
    pub fn new(ledger: &'l Connection) -> Result<Reader<'l>, ClaimError> {
        Ok(Reader {
            ledger,
            time_zone: time_zone(ledger)?,
            days: savings::day_types(ledger)?,
            adjustments: savings::adjustments(ledger)?,
            production: (None, FxHashMap::default()),
            weather: FxHashMap::default(),
        })
    }

    /// A load's case. `kwh_per_unit` turns ledger units into kWh, water's into m³; hours count as metered within `whole`.
    pub fn case(
        &mut self,
        load: Load,
        kwh_per_unit: f64,
        (baseline, reporting): (Span, Span),
        whole: Span,
    ) -> Result<LedgerCase, ClaimError> {
        let span = Span { start: baseline.start.plus_ms(-WARM_UP_HOURS * HOUR_MS), end: reporting.end };
        let slots = (span.ms() / HOUR_MS) as usize;
        let drivers = savings::drivers(self.ledger, load.entity)?;
        let ledger = self.ledger;
        let mut weather = |name| {
            let read = |channel| series(ledger, &mut self.weather, (channel, span), savings::weather);
            gauge(&drivers, name).map(read).transpose()
        };
        let temperature_c = weather(TEMPERATURE)?.map_or_else(|| vec![None; slots], |series| series.to_vec());
        let relative_humidity_pct = weather(HUMIDITY)?.map(|series| series.to_vec());
        let ghi_w_m2 = weather(IRRADIANCE)?.map(|series| series.to_vec());
        if self.production.0.replace(load.entity) != Some(load.entity) {
            self.production.1.clear();
        }
        let mut production = Vec::new();
        for (name, channels) in production_channels(&drivers) {
            let known = &mut self.production.1;
            let parts = channels.into_iter().map(|channel| series(ledger, known, (channel, span), savings::production));
            let quantity = added(&parts.collect::<Result<Vec<_>, _>>()?, slots);
            production.push(Driver { name, quantity });
        }
        let mut case = Case {
            periods: Periods { time_zone: self.time_zone.clone(), baseline, reporting },
            days: self.days.clone(),
            start: span.start,
            meter_kwh: vec![None; slots],
            temperature_c,
            relative_humidity_pct,
            ghi_w_m2,
            drivers: production,
        };
        let (mut rows, mut excluded) = (FxHashMap::default(), 0);
        let complete = |at: Millis| whole.start <= at && at.plus_ms(HOUR_MS) <= whole.end;
        let read = Span { start: span.start.max(whole.start), end: span.end.min(whole.end) };
        for row in savings::hours(ledger, load, read)?.into_iter().filter(|row| complete(row.at)) {
            if self.adjustments.iter().any(|known| known.load == load && known.kwh_per_hour.is_none() && known.span.contains(row.at)) {
                excluded += 1;
                continue;
            }
            let slot = (row.at.ms_since(span.start) / HOUR_MS) as usize;
            case.meter_kwh[slot] = Some(row.quantity as f64 * kwh_per_unit);
            rows.insert(slot, row);
        }
        Ok(LedgerCase { case, rows, excluded })
    }

    /// What users have added to the baseline of an hour, kWh, of water m³.
    #[must_use]
    pub fn adjusted_kwh(&self, load: Load, at: Millis) -> f64 {
        let known = self.adjustments.iter().filter(|known| known.load == load && known.span.contains(at));
        known.filter_map(|known| known.kwh_per_hour).sum()
    }
}

fn series(
    ledger: &Connection,
    known: &mut FxHashMap<(RowId, Span), Series>,
    (channel, span): (RowId, Span),
    read: Read,
) -> Result<Series, ClaimError> {
    if let Some(series) = known.get(&(channel, span)) {
        return Ok(series.clone());
    }
    let series = Rc::new(read(ledger, channel, span)?);
    known.insert((channel, span), series.clone());
    Ok(series)
}

/// The ledger's time zone.
pub fn time_zone(ledger: &Connection) -> Result<TimeZone, ClaimError> {
    let name: String = ledger.query_row("SELECT value FROM meta WHERE key = 'time_zone'", [], |row| row.get(0))?;
    TimeZone::get(&name).map_err(|_| ClaimError::TimeZone(name))
}
