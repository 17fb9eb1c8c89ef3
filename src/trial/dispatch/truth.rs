//! What comes, and what of it can be moved: the time played once as nobody plans, with each hour asked what it would be if one thing were held back.
//!
//! Never plans. Invariant: what is asked is asked of copies, so that the time played is the one that nobody touched.

use super::meters::Quarter;
use super::stage::{Gauges, Stage, outdoor_c};
use crate::dispatch::forecast::Hour;
use crate::dispatch::site::{Battery, Wishes};
use crate::domain::assets::{Asset, AssetKind, Band};
use crate::domain::calendar::LocalCalendar;
use crate::domain::units::{HOUR_MS, Millis};
use crate::trial::TrialError;

/// A session at a post is no longer than so many quarters of an hour (the shipped zone's posts begin one in each hour), and what is withheld of it can still be
/// delivered while the vehicle stays.
const SESSION_QUARTERS: usize = 4;
const QUARTERS_OF_H: f64 = 4.0;
/// Assets declare their efficiency in whole percent of the round trip: so much more it may be, each way.
const EFFICIENCY_MORE: f64 = 0.005;
/// Less put off than this says nothing of what a kWh of work draws.
const SAYS_KWH: f64 = 1.0;

/// An hour as nobody touched it, kWh and m³ of the hour.
#[derive(Clone, Debug)]
pub struct Truth {
    pub hour: Hour,
    pub price: f64,
    pub bought_kwh: f64,
    pub gas_m3: f64,
    /// What of each work that comes could wait beyond the hour's end, by its own gauge, and what a kWh of it draws at the zone's border.
    pub work: Vec<(f64, f64)>,
    /// Of each group of posts: all that was wanted since the begin by the hour's end, and what of it has to have been delivered by then.
    pub wanted_kwh: Vec<(f64, f64)>,
    /// Of each heat pump that can be planned: what its rest would spare at the border, kWh, and take, m³.
    pub rests: Vec<(f64, f64)>,
}

/// A battery, or vehicles that may give.
#[derive(Clone, Debug)]
pub struct Store {
    /// Charging above 0, giving below.
    pub power_kw: Band,
    pub stored_kwh: Band,
    pub one_way_efficiency: f64,
    pub begins_kwh: f64,
    /// Of each hour: whether they are on the road, and what has to be stored at its end.
    pub is_away: Vec<bool>,
    pub least_kwh: Vec<f64>,
}

impl Stage {
    /// Plays the time as nobody plans.
    pub fn truth(&self, calendar: &mut LocalCalendar) -> Result<Vec<Truth>, TrialError> {
        let (mut world, mut past) = (self.world.clone(), self.past.clone());
        let (mut at, mut gauges, mut truth) = (self.start, self.gauges.clone(), Vec::new());
        let posts = self.assets(AssetKind::EvCharging).count();
        // All that was wanted, by the quarter of an hour.
        let mut wanted = vec![vec![0.0]; posts];
        let stays: Vec<usize> = self
            .assets(AssetKind::EvCharging)
            .map(|asset| SESSION_QUARTERS + (asset.storing.stay_h * QUARTERS_OF_H).ceil() as usize)
            .collect();
        while at < self.end {
            let outdoor_c = outdoor_c(&past);
            let free = self.unplanned(outdoor_c);
            let ask = |wishes: &Wishes, quarters: i64| {
                let mut asked = world.clone();
                self.command(&mut asked, wishes, outdoor_c);
                self.quarters(&mut asked, at, 0..quarters)
            };
            let held = |index: usize| {
                let mut wishes = free.clone();
                wishes.batches[index] = Some(0.0);
                (ask(&wishes, 4), ask(&wishes, 1))
            };
            let work: Vec<_> = (0..free.batches.len()).map(held).collect();
            let rest = |index: usize| {
                let mut wishes = free.clone();
                wishes.pumps[index] = false;
                ask(&wishes, 4)
            };
            let rests: Vec<_> = (0..free.pumps.len()).map(rest).collect();
            self.command(&mut world, &free, outdoor_c);
            let quarters = self.quarters(&mut world, at, 0..4);
            let bought = |quarters: &[Quarter]| quarters.iter().map(|quarter| quarter.bought_kwh).sum::<f64>();
            let gas = |quarters: &[Quarter]| quarters.iter().map(|quarter| quarter.gas_m3).sum::<f64>();
            for quarter in &quarters {
                for (wanted, kwh) in wanted.iter_mut().zip(&quarter.vehicles_kwh) {
                    wanted.push(wanted.last().copied().unwrap_or(0.0) + kwh);
                }
            }
            let by = |(wanted, stay): (&Vec<f64>, &usize)| {
                let now = wanted.len() - 1;
                (wanted[now], wanted[now.saturating_sub(*stay)])
            };
            let of_work = |(index, (hour, first)): (usize, &(Vec<_>, Vec<_>))| {
                let put_off: f64 = Gauges::of(hour).waiting_kwh[index] - gauges.waiting_kwh[index];
                let one: f64 = Gauges::of(first).waiting_kwh[index] - gauges.waiting_kwh[index];
                let draws = if SAYS_KWH < one { (quarters[0].bought_kwh - bought(first)) / one } else { f64::NAN };
                (put_off.max(0.0), draws)
            };
            let outlook = self.outlook(at, 1, calendar)?;
            truth.push(Truth {
                hour: outlook.hours[0],
                price: outlook.steps.price[0],
                bought_kwh: bought(&quarters),
                gas_m3: gas(&quarters),
                work: work.iter().enumerate().map(of_work).collect(),
                wanted_kwh: wanted.iter().zip(&stays).map(by).collect(),
                rests: rests.iter().map(|rest| (bought(&quarters) - bought(rest), gas(rest) - gas(&quarters))).collect(),
            });
            past.push(self.seen(at, &quarters, &gauges, calendar));
            gauges = Gauges::of(&quarters);
            at = at.plus_ms(HOUR_MS);
        }
        // Where nothing came to ask about, work draws what it does at the least.
        for index in 0..self.assets(AssetKind::Batch).count() {
            let least = truth.iter().map(|hour| hour.work[index].1).fold(f64::INFINITY, f64::min);
            let least = if least.is_finite() { least } else { 1.0 };
            truth.iter_mut().map(|hour| &mut hour.work[index].1).filter(|draws| draws.is_nan()).for_each(|draws| *draws = least);
        }
        Ok(truth)
    }

    /// Batteries and vehicles that may give as they stand at the begin, through these hours.
    pub fn stores(&self, ahead: &[Hour]) -> Vec<Store> {
        let batteries = self.batteries(&self.gauges.states_pct, ahead);
        let store = |(asset, battery): (&Asset, Battery)| {
            let (least, most) = (battery.charge.min * battery.capacity_kwh, battery.charge.max * battery.capacity_kwh);
            let drives = asset.kind == AssetKind::V2g;
            let ready_h = asset.hours[0].from;
            Store {
                power_kw: battery.power_kw,
                stored_kwh: Band { min: least.min(battery.stored_kwh), max: most.max(battery.stored_kwh) },
                one_way_efficiency: (battery.round_trip.sqrt() + EFFICIENCY_MORE).min(1.0),
                begins_kwh: battery.stored_kwh,
                is_away: ahead.iter().map(|hour| drives && asset.in_use_on(hour.kind, hour.of_day)).collect(),
                least_kwh: ahead
                    .iter()
                    .map(|hour| drives && (hour.of_day.unsigned_abs() + 1) % 24 == ready_h % 24)
                    .map(|is_ready| if is_ready { asset.storing.leave * battery.capacity_kwh } else { 0.0 })
                    .collect(),
            }
        };
        self.storages().zip(batteries).map(store).collect()
    }

    /// The hours in which a month begins, and the end: positions in the hours of the whole time.
    pub fn months(&self, calendar: &mut LocalCalendar) -> Vec<usize> {
        let position = |at: Millis| (at.ms_since(self.start) / HOUR_MS) as usize;
        let (mut at, mut found) = (self.start, Vec::new());
        while at < self.end {
            found.push(position(at));
            at = calendar.month(at).end;
        }
        found.push(position(self.end));
        found
    }
}
