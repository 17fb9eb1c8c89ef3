//! The zone with its programme, before the first judged hour and through each hour: what all strategies have in common.

use nengtan_fleet::physics::World;

use super::meters::{Meters, Quarter, STORAGES};
use super::{BEFORE_MS, Options};
use crate::config::zone_folder::{self, ZoneFolder};
use crate::dispatch::forecast::{Hour, Past};
use crate::dispatch::heat::{Gas, Pump};
use crate::dispatch::outlook::{self, Outlook};
use crate::dispatch::site::{Batch, Battery, Vehicles, Wishes};
use crate::domain::assets::{Asset, AssetKind};
use crate::domain::calendar::LocalCalendar;
use crate::domain::channel::Carrier;
use crate::domain::factors::GridMethod;
use crate::domain::tariff;
use crate::domain::units::{HOUR_MS, MINUTE_MS, Millis};
use crate::regulation::rules::{self, Situation};
use crate::trial::TrialError;
use crate::trial::dispatch::outcome::QUARTERS_PER_H;

const QUARTER_MS: i64 = 15 * MINUTE_MS;
const MG_PER_KG: f64 = 1e6;
/// The outdoor temperature of so many hours is the weather of now, as the engine has it.
const WEATHER_H: usize = 3;

/// An hour as the meters showed it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub hour: Hour,
    /// Means of the hour, kW; the load as if work had been done when it came.
    pub load_kw: f64,
    pub sun_kw: f64,
    pub vehicles_kw: Vec<f64>,
    /// The highest quarter above the mean, of what is bought for the load.
    pub excess_kw: f64,
    /// The highest quarter.
    pub bought_kw: f64,
    pub outdoor_c: Option<f64>,
    /// Of each heat pump's station.
    pub heat_kw: Vec<f64>,
}

/// What gauges show when an hour is over.
#[derive(Clone, Debug, Default)]
pub struct Gauges {
    /// Of batteries, percent.
    pub states_pct: Vec<f64>,
    pub waiting_kwh: Vec<f64>,
}

impl Gauges {
    pub fn of(quarters: &[Quarter]) -> Gauges {
        let last = |quarter: &Quarter| Gauges { states_pct: quarter.states_pct.clone(), waiting_kwh: quarter.waiting_kwh.clone() };
        quarters.last().map(last).unwrap_or_default()
    }
}

pub struct Stage {
    pub folder: ZoneFolder,
    pub world: World,
    pub past: Vec<Seen>,
    pub gauges: Gauges,
    pub start: Millis,
    pub end: Millis,
    pub kg_per_kwh: f64,
    pub gas: Gas,
    pub carbon_cny_per_kg: f64,
    pub spares_what_it_loses: bool,
    meters: Meters,
    channels: usize,
}

impl Stage {
    /// Plays the time before the first judged hour, as nobody plans.
    pub fn new(options: &Options) -> Result<Stage, TrialError> {
        let fleet = nengtan_fleet::zone::Zone::load(options.zone).map_err(TrialError::Ground)?;
        let folder = zone_folder::load(options.zone).map_err(TrialError::Folder)?;
        let profile = folder.zone.profile();
        let mut calendar = LocalCalendar::new(profile.time_zone.clone());
        let live_from = profile.live_from.unwrap_or(Millis(0));
        let last = calendar.date(live_from);
        // The months before the live part: a tariff for them is known.
        let first = last.saturating_sub(jiff::Span::new().months(options.months));
        let (start, end) = (calendar.start_of(first), calendar.start_of(last));
        let factor = folder.factors.electricity(GridMethod::Average, &profile.region, first.year());
        let factor = factor.map_err(|missing| TrialError::Dispatch(missing.to_string()))?.factor;
        let ungassed = "the zone's gas has no price, factor or heat value; give it a tariff and a factor set that have them";
        let gas = Gas::at(start, (&folder.tariff, &folder.factors, profile), &mut calendar);
        let gas = gas.ok_or_else(|| TrialError::Dispatch(ungassed.to_owned()))?;
        let mut world = World::new(&fleet, options.seed).map_err(TrialError::Dispatch)?;
        world.commission();
        let mut stage = Stage {
            meters: Meters::of(&fleet, folder.zone.assets()),
            world,
            past: Vec::new(),
            gauges: Gauges::default(),
            start,
            end,
            kg_per_kwh: factor.0 as f64 / MG_PER_KG,
            gas,
            carbon_cny_per_kg: options.carbon_cny_per_kg,
            spares_what_it_loses: options.spares_what_it_loses,
            channels: fleet.channels.len(),
            folder,
        };
        let mut world = stage.world.clone();
        let mut at = start.plus_ms(-BEFORE_MS);
        while at < start {
            let outdoor_c = outdoor_c(&stage.past);
            stage.command(&mut world, &stage.unplanned(outdoor_c), outdoor_c);
            let quarters = stage.quarters(&mut world, at, 0..4);
            let seen = stage.seen(at, &quarters, &stage.gauges, &mut calendar);
            stage.past.push(seen);
            stage.gauges = Gauges::of(&quarters);
            at = at.plus_ms(HOUR_MS);
        }
        stage.world = world;
        Ok(stage)
    }

    /// Plays these quarters of an hour.
    pub fn quarters(&self, world: &mut World, hour: Millis, quarters: std::ops::Range<i64>) -> Vec<Quarter> {
        let mut flows = vec![0.0; self.channels];
        let quarter = |index: i64| {
            let from = hour.plus_ms(index * QUARTER_MS);
            world.step(from.0, from.0 + QUARTER_MS, &mut flows);
            self.meters.read(&flows, world)
        };
        quarters.map(quarter).collect()
    }

    pub fn seen(&self, at: Millis, quarters: &[Quarter], before: &Gauges, calendar: &mut LocalCalendar) -> Seen {
        let sum = |value: &dyn Fn(&Quarter) -> f64| quarters.iter().map(value).sum::<f64>();
        let highest = |value: &dyn Fn(&Quarter) -> f64| quarters.iter().map(value).fold(0.0, f64::max) * QUARTERS_PER_H;
        let vehicles_kw =
            (0..self.assets(AssetKind::EvCharging).count()).map(|index| sum(&|quarter| quarter.vehicles_kwh[index])).collect();
        let put_off = Gauges::of(quarters).waiting_kwh.iter().sum::<f64>() - before.waiting_kwh.iter().sum::<f64>();
        let of_day = ((at.0 + calendar.offset_ms(at)).div_euclid(HOUR_MS).rem_euclid(24)) as i8;
        Seen {
            hour: Hour { start: at, of_day, kind: self.folder.zone.day_types().of(calendar.date(at)) },
            load_kw: sum(&Quarter::load_kwh) + put_off,
            sun_kw: sum(&|quarter| quarter.sun_kwh),
            vehicles_kw,
            excess_kw: highest(&Quarter::net_kwh) - sum(&Quarter::net_kwh),
            bought_kw: highest(&|quarter| quarter.bought_kwh),
            heat_kw: (0..self.assets(AssetKind::HeatPump).count()).map(|index| sum(&|quarter| quarter.heat_kwh[index])).collect(),
            outdoor_c: quarters.last().and_then(|quarter| quarter.outdoor_c),
        }
    }

    pub fn assets(&self, kind: AssetKind) -> impl Iterator<Item = &Asset> {
        self.folder.zone.assets().iter().filter(move |asset| asset.kind == kind)
    }

    pub fn outlook(&self, now: Millis, hours: usize, calendar: &mut LocalCalendar) -> Result<Outlook, TrialError> {
        let unpriced =
            || TrialError::Dispatch("an hour of the trial has no price of electricity; give the zone a tariff that holds then".to_owned());
        outlook::outlook(now, hours, (&self.folder.tariff, self.folder.zone.day_types()), calendar, self.kg_per_kwh).ok_or_else(unpriced)
    }

    /// What can take and give: batteries, then vehicles.
    pub fn storages(&self) -> impl Iterator<Item = &Asset> {
        STORAGES.into_iter().flat_map(|kind| self.assets(kind))
    }

    pub fn batteries(&self, states_pct: &[f64], ahead: &[Hour]) -> Vec<Battery> {
        self.storages().zip(states_pct).map(|(asset, pct)| Battery::of(asset, *pct, ahead)).collect()
    }

    pub fn vehicles(&self, past: &[Seen]) -> Vec<Vehicles> {
        let group = |(index, asset): (usize, &Asset)| Vehicles {
            power_kw: asset.comfort,
            stay_h: asset.storing.stay_h,
            past: past.iter().map(|seen| Past { hour: seen.hour, kw: seen.vehicles_kw[index] }).collect(),
        };
        self.assets(AssetKind::EvCharging).enumerate().map(group).collect()
    }

    pub fn batches(&self, waiting_kwh: &[f64], hours: &[Hour]) -> Vec<Batch> {
        self.assets(AssetKind::Batch).zip(waiting_kwh).map(|(asset, waiting_kwh)| Batch::of(asset, *waiting_kwh, hours)).collect()
    }

    /// Those that can be planned for, at these outdoor temperatures ahead; `taken_kw` is the heat ahead of each heat pump's station.
    pub fn pumps(&self, ahead_c: &[f64], taken_kw: &[Vec<f64>]) -> Vec<Pump> {
        let pump = |(asset, taken_kw): (&Asset, &Vec<f64>)| {
            let boiler = self.assets(AssetKind::Boiler).find(|boiler| boiler.entity == asset.entity)?;
            let flow = |outdoor_c: &f64| Some((by_rule(boiler, Some(*outdoor_c)).or(boiler.normal)?, *outdoor_c));
            let ruled = ahead_c.iter().map(|outdoor_c| by_rule(asset, Some(*outdoor_c)).is_some()).collect();
            Pump::new(&asset.pumping, &self.gas, &ahead_c.iter().map(flow).collect::<Option<Vec<_>>>()?, (taken_kw, ruled))
        };
        self.assets(AssetKind::HeatPump).zip(taken_kw).filter_map(pump).collect()
    }

    /// What is done where nobody plans: batteries rest, vehicles and work take what they want, and heat pumps follow the rules.
    pub fn unplanned(&self, outdoor_c: Option<f64>) -> Wishes {
        let planned = self.assets(AssetKind::HeatPump).filter(|asset| asset.pumping.is_planned());
        Wishes {
            batteries: self.storages().map(|_| 0.0).collect(),
            vehicles: self.assets(AssetKind::EvCharging).map(|_| None).collect(),
            batches: self.assets(AssetKind::Batch).map(|_| None).collect(),
            pumps: planned.map(|asset| by_rule(asset, outdoor_c).is_some()).collect(),
        }
    }

    pub fn command(&self, world: &mut World, wishes: &Wishes, outdoor_c: Option<f64>) {
        let mut tell = |asset: &Asset, value: Option<f64>| match value {
            Some(value) => world.controls.set(&asset.id, value),
            None => world.controls.clear(&asset.id),
        };
        self.storages().zip(&wishes.batteries).for_each(|(asset, kw)| tell(asset, Some(*kw)));
        self.assets(AssetKind::EvCharging).zip(&wishes.vehicles).for_each(|(asset, cap)| tell(asset, *cap));
        self.assets(AssetKind::Batch).zip(&wishes.batches).for_each(|(asset, cap)| tell(asset, *cap));
        // The network's temperature and what is not planned follow the rules under every strategy.
        let mut planned = wishes.pumps.iter();
        for asset in self.assets(AssetKind::HeatPump) {
            let rests = asset.pumping.is_planned() && planned.next() == Some(&false);
            // A plan lets it rest, and never has it run where the rules do not.
            tell(asset, by_rule(asset, outdoor_c).map(|ruled| if rests { asset.limits.min } else { ruled }));
        }
        self.assets(AssetKind::Boiler).for_each(|asset| tell(asset, by_rule(asset, outdoor_c)));
    }
}

/// What the rules wish of heat supply.
fn by_rule(asset: &Asset, outdoor_c: Option<f64>) -> Option<f64> {
    let local = jiff::civil::DateTime::default();
    let situation = Situation { local, in_use: true, value: None, day_c: None, outdoor_c, band: tariff::Band::Unpriced };
    rules::wish(asset, &situation).map(|wish| wish.value)
}

/// The mean of the last hours.
pub fn outdoor_c(past: &[Seen]) -> Option<f64> {
    let last = &past[past.len().saturating_sub(WEATHER_H)..];
    let sum = last.iter().map(|seen| seen.outdoor_c).sum::<Option<f64>>()?;
    (!last.is_empty()).then(|| sum / last.len() as f64)
}

/// The band of the tariff.
pub fn band(stage: &Stage, at: Millis, calendar: &mut LocalCalendar) -> tariff::Band {
    let spans = stage.folder.tariff.day(Carrier::Electricity, at, calendar);
    spans.iter().find(|span| span.from <= at && at < span.to).map_or(tariff::Band::Unpriced, |span| span.band)
}
