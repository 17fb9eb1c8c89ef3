//! Predictions of closed hours, kept up to date beside the ledger.
//!
//! Derived data: after a restart all are made anew, so a crash between a ledger's commit and this one loses nothing. Invariant: a prediction is what
//! [`crate::savings`] gives for the stored weather and production, whatever order these came in; it has no part of the load in it.

mod ahead;

use rustc_hash::{FxHashMap, FxHashSet};

use super::ClaimError;
use super::inputs::{gauge, production_channels, time_zone};
use super::watch::Watch;
use crate::alerts::Transition;
use crate::domain::calendar::{DayTypes, LocalCalendar, Span};
use crate::domain::units::{HOUR_MS, Millis};
use crate::savings::case::WARM_UP_HOURS;
use crate::savings::evaluation::Fitted;
use crate::savings::hours::{Climate, Inputs, moment, production};
use crate::savings::uncertainty::Stretch;
use crate::savings::weather::INTERPOLATED_HOURS_MAX;
use crate::store::Store;
use crate::store::batch::{Batch, RowId};
use crate::store::savings::{self, HUMIDITY, IRRADIANCE, Load, SavingRow, TEMPERATURE};

/// Predictions made at once; more wait for the next commit, so that the ledger's work goes on.
const HOURS_AT_ONCE: usize = 2_000;
/// Loads that are looked at for shifts at once.
const WATCHED_AT_ONCE: usize = 3;
/// How far the end of a gap may change what is before it.
const OPEN_MS: i64 = hours_ms(INTERPOLATED_HOURS_MAX + 1);

/// Weather that baselines of one period and station share.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Sky {
    start: Millis,
    inputs: Inputs,
    gauges: [Option<RowId>; 3],
}

#[derive(Debug)]
struct Kept {
    id: i64,
    load: Load,
    watch: Watch,
    fitted: Fitted,
    sky: Sky,
    /// Meters that close the load's hours.
    imports: Vec<RowId>,
    production: Vec<(String, Vec<RowId>)>,
    /// Hours before are predicted as far as they can be.
    done: Millis,
}

/// The baselines in force, and what batches have changed for their predictions.
#[derive(Debug, Default)]
pub struct Keeper {
    kept: Vec<Kept>,
    days: DayTypes,
    /// Which baselines and adjustments were looked at, see [`savings::made`].
    seen: Option<i64>,
    /// Newest hour (since 1970) at which there was none in force.
    looked: Option<i64>,
    explaining: FxHashSet<RowId>,
    /// Newest reading of each import meter.
    newest: FxHashMap<RowId, Millis>,
    /// Hourly weather from a moment on, by gauge.
    weather: FxHashMap<(RowId, Millis), Vec<Option<f64>>>,
    /// Weather is known up to here; what comes before came late.
    weather_until: Option<Millis>,
    /// Weather or production of this hour on has changed.
    late_from: Option<Millis>,
    due: bool,
    ahead: ahead::Remembered,
    /// Shifts that began or ended, to be stored and told.
    pub transitions: Vec<Transition>,
}

impl Keeper {
    /// Looks at a batch before it is committed.
    pub fn note(&mut self, batch: &Batch) {
        if self.kept.is_empty() {
            // A baseline may have been made since: look once an hour.
            let hour = batch.latest.values().map(|latest| latest.at.0.div_euclid(HOUR_MS)).max();
            self.due |= self.looked < hour;
            self.looked = self.looked.max(hour);
            return;
        }
        let hour = hours_on(self.kept[0].sky.start);
        for (channel, latest) in &batch.latest {
            if let Some(known) = self.newest.get_mut(channel) {
                self.due |= hour(*known) != hour(latest.at);
                *known = latest.at;
            }
        }
        let weather = batch.weather.iter().map(|row| hour(row.at.plus_ms(-1)));
        let production = batch.intervals.keys().filter(|(_, channel)| self.explaining.contains(channel)).map(|(start, _)| hour(*start));
        let earliest = weather.chain(production).min();
        if let Some(late) = earliest.filter(|earliest| self.weather_until.is_some_and(|until| *earliest < until)) {
            self.late_from = Some(self.late_from.map_or(late, |known| known.min(late)));
            self.due = true;
        }
    }

    /// Predicts all that is closed, for whoever has no next commit.
    pub fn finish(store: &mut Store) -> Result<(), ClaimError> {
        let mut keeper = Keeper { due: true, ..Keeper::default() };
        while !keeper.catch_up(store)? {}
        Ok(())
    }

    /// Predicts what has closed and what has changed since. Gives whether nothing is left to do.
    pub fn catch_up(&mut self, store: &mut Store) -> Result<bool, ClaimError> {
        if !self.due {
            return Ok(true);
        }
        self.due = false;
        self.refresh(store)?;
        self.predict(store)
    }

    /// Takes up baselines that were made since, and forgets what late weather and production have changed.
    fn refresh(&mut self, store: &Store) -> Result<(), ClaimError> {
        let newest = savings::made(&store.connection)?;
        if self.seen != Some(newest) {
            self.load(store)?;
            self.seen = Some(newest);
        }
        if let Some(late) = self.late_from.take() {
            for ((_, start), series) in &mut self.weather {
                series.truncate((late.ms_since(*start) / HOUR_MS).max(0) as usize);
            }
            // A line across a gap reaches back; means, and the production of the hour before, reach ahead.
            for kept in &mut self.kept {
                kept.done = kept.done.min(late.plus_ms(-OPEN_MS).max(kept.sky.start.plus_ms(HOUR_MS)));
            }
        }
        Ok(())
    }

    fn load(&mut self, store: &Store) -> Result<(), ClaimError> {
        *self = Keeper { days: savings::day_types(&store.connection)?, ..Keeper::default() };
        for (id, row) in savings::baselines(&store.connection)? {
            let fitted: Fitted = serde_json::from_str(&row.fitted).map_err(|cause| ClaimError::Document { id, cause })?;
            let drivers = savings::drivers(&store.connection, row.load.entity)?;
            let gauges = [TEMPERATURE, HUMIDITY, IRRADIANCE].map(|name| gauge(&drivers, name));
            let production = production_channels(&drivers);
            self.explaining.extend(production.iter().flat_map(|(_, channels)| channels));
            let sky = Sky { start: row.period.start.plus_ms(-WARM_UP_HOURS * HOUR_MS), inputs: fitted.inputs, gauges };
            let imports = savings::imports(&store.connection, row.load)?;
            for (channel, newest) in &imports {
                self.newest.insert(*channel, newest.unwrap_or(Millis(i64::MIN / 2)));
            }
            let watch = Watch::of(&store.connection, &row, &fitted)?;
            let imports = imports.into_iter().map(|(channel, _)| channel).collect();
            self.kept.push(Kept { id, load: row.load, watch, fitted, sky, imports, production, done: row.period.end });
        }
        Ok(())
    }

    fn predict(&mut self, store: &mut Store) -> Result<bool, ClaimError> {
        let closed = |kept: &Kept| {
            let newest = kept.imports.iter().filter_map(|channel| self.newest.get(channel)).min();
            newest.map_or(kept.done, |newest| hours_on(kept.sky.start)(*newest))
        };
        let closed: Vec<Millis> = self.kept.iter().map(closed).collect();
        let Some(until) = closed.iter().max().copied() else { return Ok(true) };
        let mut calendar = LocalCalendar::new(time_zone(&store.connection)?);
        let mut climates: Vec<(Sky, Climate)> = Vec::new();
        let (mut rows, mut without, mut complete) = (Vec::new(), Vec::new(), true);
        for (index, closed) in closed.into_iter().enumerate() {
            let (sky, done) = (self.kept[index].sky, self.kept[index].done);
            let room_ms = hours_ms(HOURS_AT_ONCE.saturating_sub(rows.len() + without.len()));
            let end = closed.min(done.plus_ms(room_ms));
            complete &= closed <= end;
            if end <= done {
                continue;
            }
            let known = climates.iter().position(|(known, _)| *known == sky);
            let climate = if let Some(known) = known {
                known
            } else {
                climates.push((sky, self.climate(store, &sky, until)?));
                climates.len() - 1
            };
            let (days, kept) = (&self.days, &mut self.kept[index]);
            kept.predict(store, &climates[climate].1, end, (&mut calendar, days), (&mut rows, &mut without))?;
        }
        if !rows.is_empty() || !without.is_empty() {
            store.keep_savings(&rows, &without)?;
        }
        if complete {
            let mut looked = 0;
            for kept in &mut self.kept {
                let day = calendar.day(kept.done).start;
                if WATCHED_AT_ONCE <= looked {
                    self.due = true;
                    break;
                }
                if kept.watch.looked < day {
                    looked += 1;
                    let change = kept.watch.look(&store.connection, kept.id, &kept.fitted.noise, day, &mut calendar)?;
                    self.transitions.extend(change);
                }
            }
        }
        self.due |= !complete;
        Ok(complete)
    }

    /// The weather of a sky until an hour; what is not known yet comes from the store.
    fn climate(&mut self, store: &Store, sky: &Sky, until: Millis) -> Result<Climate, ClaimError> {
        self.fill(store, sky, until)?;
        let slots = (until.ms_since(sky.start) / HOUR_MS).max(0) as usize;
        let [temperature_c, humidity_pct, ghi_w_m2] = sky.gauges.map(|gauge| {
            let series = gauge.and_then(|channel| self.weather.get(&(channel, sky.start)));
            series.map(|series| &series[..slots.min(series.len())])
        });
        let unknown = vec![None; slots];
        Ok(Climate::of(&sky.inputs, temperature_c.unwrap_or(&unknown), humidity_pct, ghi_w_m2))
    }

    /// Brings the series of a sky's gauges up to an hour.
    fn fill(&mut self, store: &Store, sky: &Sky, until: Millis) -> Result<(), ClaimError> {
        self.weather_until = self.weather_until.max(Some(until));
        let slots = (until.ms_since(sky.start) / HOUR_MS).max(0) as usize;
        for channel in sky.gauges.into_iter().flatten() {
            let series = self.weather.entry((channel, sky.start)).or_default();
            if series.len() < slots {
                let span = Span { start: sky.start.plus_ms(hours_ms(series.len())), end: until };
                series.extend(savings::weather(&store.connection, channel, span)?);
            }
        }
        Ok(())
    }
}

#[allow(clippy::cast_possible_wrap, reason = "a ledger has fewer hours")]
const fn hours_ms(hours: usize) -> i64 {
    hours as i64 * HOUR_MS
}

/// The hour of a moment, on the grid of another one: local hours may begin at half past.
fn hours_on(grid: Millis) -> impl Fn(Millis) -> Millis {
    move |at| Millis((at.0 - grid.0).div_euclid(HOUR_MS) * HOUR_MS + grid.0)
}

impl Kept {
    /// The hours from `done` up to `end`.
    fn predict(
        &mut self,
        store: &Store,
        climate: &Climate,
        end: Millis,
        (calendar, days): (&mut LocalCalendar, &DayTypes),
        (rows, without): (&mut Vec<SavingRow>, &mut Vec<(i64, Millis)>),
    ) -> Result<(), ClaimError> {
        // One hour more, for the production of the hour before.
        let span = Span { start: self.done.plus_ms(-HOUR_MS), end };
        let slots = (span.ms() / HOUR_MS) as usize;
        let mut made: Vec<Vec<Option<f64>>> = Vec::new();
        for (_, channels) in &self.production {
            let mut sum = vec![Some(0.0); slots];
            for channel in channels {
                let series = savings::production(&store.connection, *channel, span)?;
                for (total, part) in sum.iter_mut().zip(series) {
                    *total = total.zip(part).map(|(total, part)| total + part);
                }
            }
            made.push(sum);
        }
        for slot in 1..slots {
            let at = span.start.plus_ms(hours_ms(slot));
            let place = (at.ms_since(self.sky.start) / HOUR_MS) as usize;
            let drivers = made.iter().map(|quantity| production(quantity, slot)).collect::<Option<_>>();
            let hour = drivers.and_then(|drivers| climate.hour(place, moment(calendar, days, at), drivers));
            let Some(hour) = hour else {
                without.push((self.id, at));
                continue;
            };
            let baseline_kwh = self.fitted.baseline.predict_kwh(&hour);
            let mut stretch = Stretch::default();
            self.fitted.add(&hour, baseline_kwh, &mut stretch);
            rows.push(SavingRow { baseline: self.id, at, baseline_kwh, half_width_kwh: self.fitted.noise.half_width_kwh(&stretch) });
        }
        // The end of a gap may be to come, and with it a line across.
        let open = without.iter().filter(|(id, at)| *id == self.id && end.plus_ms(-OPEN_MS) <= *at).map(|(_, at)| *at).min();
        self.done = open.unwrap_or(end);
        Ok(())
    }
}
