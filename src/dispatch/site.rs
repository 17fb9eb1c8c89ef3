//! What a zone has to plan with, and what a plan means for each asset.
//!
//! Knows power, energy and forecasts, not which asset is told what: wishes come out in the order in which batteries and vehicles went in. The zone buys as
//! one customer at its border.

use std::time::Duration;

use super::forecast::{self, Past};
use super::outlook::Outlook;
use super::plan::{self, Failure, Problem, Storage};
use crate::domain::assets::Band;

/// What a tonne of CO2 costs in a plan, CNY: assumed, about what the national carbon market has paid since 2024.
pub const CARBON_CNY_PER_T: f64 = 80.0;
/// A plan that takes longer by the wall clock is no plan.
pub const LAST_RESORT: Duration = Duration::from_secs(2);
/// The most batteries and groups of vehicles of a plan: half a second of the processor's time. With more the rules decide.
pub const STORAGES_MAX: usize = 40;
/// What a plan says in advance is told in whole kW: less is not worth a command.
const STEP_KW: f64 = 1.0;
/// The month's peak is planned with a load so many standard deviations above its forecast, and charging stays as many below that: one hour of forty lies
/// beyond two. Our choice.
const DEVIATIONS: f64 = 2.0;
/// A month is taken to reach at least this share of the highest quarter of an hour of the last four weeks, so that its first days are not planned as if
/// nothing had to be bought in it. Our choice.
pub const PEAK_SHARE: f64 = 0.9;

/// A battery as it stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Battery {
    /// Charging above 0, giving below.
    pub power_kw: Band,
    pub capacity_kwh: f64,
    pub round_trip: f64,
    /// Shares of the capacity between which it is used.
    pub charge: Band,
    pub stored_kwh: f64,
}

/// Posts for vehicles as they stand.
#[derive(Clone, Debug, PartialEq)]
pub struct Vehicles {
    /// All of them together: at most, and what they are always left.
    pub power_kw: Band,
    pub stay_h: f64,
    /// What they drew, hour by hour, in order.
    pub past: Vec<Past>,
}

/// Everything a plan is made of. All past hours are over, and in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Site {
    pub outlook: Outlook,
    /// What was drawn besides batteries and vehicles, own photovoltaics included.
    pub load: Vec<Past>,
    pub sun: Vec<Past>,
    /// Of the load less the sun, each hour's highest quarter of an hour above the hour's mean.
    pub excess: Vec<Past>,
    pub batteries: Vec<Battery>,
    pub vehicles: Vec<Vehicles>,
    pub carbon_cny_per_kg: f64,
    /// The highest quarter of an hour that was bought in this month, and in the last four weeks, kW.
    pub peak_kw: f64,
    pub recent_peak_kw: f64,
}

/// What would be good now.
#[derive(Clone, Debug, PartialEq)]
pub struct Wishes {
    /// Of each battery, kW.
    pub batteries: Vec<f64>,
    /// The cap of each group of posts, kW; none where they may draw what they want.
    pub vehicles: Vec<Option<f64>>,
}

/// Why there are no wishes.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum NoPlan {
    #[error("there is not a whole day of hours to forecast from")]
    NoPast,
    #[error("there are {0} batteries and groups of vehicles, more than the {STORAGES_MAX} of a plan")]
    TooMany(usize),
    #[error(transparent)]
    Failed(#[from] Failure),
}

impl Site {
    /// Plans ahead, and gives the plan's first step.
    pub fn wishes(&self) -> Result<Wishes, NoPlan> {
        let storages = self.batteries.len() + self.vehicles.len();
        if STORAGES_MAX < storages {
            return Err(NoPlan::TooMany(storages));
        }
        let problem = self.problem().ok_or(NoPlan::NoPast)?;
        let plan = plan::solve(&problem, LAST_RESORT)?;
        let whole = |kw: f64| (kw / STEP_KW).round() * STEP_KW;
        let (batteries, vehicles) = plan.storage_kw.split_at(self.batteries.len());
        let first = |powers: &Vec<f64>| whole(powers.first().copied().unwrap_or(0.0));
        let cap = |(vehicles, powers): (&Storage, &Vec<f64>)| {
            let wanted = vehicles.ceiling_kwh[0] / problem.steps.hours[0];
            Some(first(powers)).filter(|cap| *cap + STEP_KW < wanted)
        };
        let groups = problem.storages.iter().skip(self.batteries.len());
        Ok(Wishes { batteries: batteries.iter().map(first).collect(), vehicles: groups.zip(vehicles).map(cap).collect() })
    }

    /// The problem from now on; none without enough of a past.
    #[must_use]
    pub fn problem(&self) -> Option<Problem> {
        let Outlook { hours, steps, months, peak_cny_per_kw } = &self.outlook;
        let (load, sun) = (forecast::load(&self.load, hours)?, forecast::sun(&self.sun, hours)?);
        let mut steps = steps.clone();
        steps.load_kw = load.iter().zip(&sun).map(|(load, sun)| load - sun).collect();
        let bought: Vec<Past> = self.load.iter().zip(&self.sun).map(|(load, sun)| Past { kw: load.kw - sun.kw, ..*load }).collect();
        let spread = forecast::spread(&bought, hours)?;
        steps.excess_kw = forecast::usual(&self.excess, hours);
        // What is left at the end saves buying at the horizon's mean price.
        let worth = steps.price.iter().sum::<f64>() / steps.price.len() as f64;
        let mut storages: Vec<Storage> = self.batteries.iter().map(|battery| battery.storage(steps.hours.len(), worth)).collect();
        for vehicles in &self.vehicles {
            storages.push(vehicles.storage(&forecast::load(&vehicles.past, hours)?, &steps.hours, worth));
        }
        let expected = PEAK_SHARE * self.recent_peak_kw;
        let peaks_kw: Vec<f64> = (0..months.len()).map(|month| if month == 0 { self.peak_kw.max(expected) } else { expected }).collect();
        steps.excess_kw.iter_mut().zip(&spread).for_each(|(excess, deviation)| *excess += DEVIATIONS * deviation);
        let spared = spread.iter().zip(&steps.excess_kw).map(|(deviation, excess)| DEVIATIONS * deviation + excess);
        steps.charge_below_kw = spared.zip(&steps.month).map(|(spared, month)| peaks_kw[*month] - spared).collect();
        let (carbon_cny_per_kg, peak_cny_per_kw) = (self.carbon_cny_per_kg, *peak_cny_per_kw);
        Some(Problem { steps, storages, carbon_cny_per_kg, peak_cny_per_kw, peaks_kw, ..Problem::default() })
    }
}

impl Battery {
    /// For a plan of so many steps.
    #[must_use]
    pub fn storage(&self, steps: usize, worth_cny_per_kwh: f64) -> Storage {
        let one_way_efficiency = self.round_trip.sqrt();
        let (least, most) = (self.charge.min * self.capacity_kwh, self.charge.max * self.capacity_kwh);
        Storage {
            charge_kw_max: self.power_kw.max.max(0.0),
            discharge_kw_max: (-self.power_kw.min).max(0.0),
            one_way_efficiency,
            stored_kwh: self.stored_kwh,
            // What is outside of the band now is let in, and not asked to come back at once.
            floor_kwh: vec![least.min(self.stored_kwh); steps],
            ceiling_kwh: vec![most.max(self.stored_kwh); steps],
            worth_cny_per_kwh: worth_cny_per_kwh * one_way_efficiency,
        }
    }
}

impl Vehicles {
    /// What they want (mean kW of each step) as energy: at most what has come, at least what has been there for the time that they stay, or what they are always left.
    #[must_use]
    pub fn storage(&self, wanted_kw: &[f64], hours: &[f64], worth_cny_per_kwh: f64) -> Storage {
        let (mut at, mut come, mut left) = (0.0, 0.0, 0.0);
        // What has come by when, hours and kWh.
        let mut arrivals = vec![(0.0, 0.0)];
        let (mut ceiling_kwh, mut floor_kwh) = (Vec::new(), Vec::new());
        for (kw, hours) in wanted_kw.iter().zip(hours) {
            let kw = kw.min(self.power_kw.max);
            (at, come, left) = (at + hours, come + kw * hours, left + kw.min(self.power_kw.min) * hours);
            arrivals.push((at, come));
            ceiling_kwh.push(come);
            floor_kwh.push(come_by(&arrivals, at - self.stay_h).max(left));
        }
        if let Some(last) = floor_kwh.last_mut() {
            // Nothing is put off beyond the plan.
            *last = come;
        }
        Storage {
            charge_kw_max: self.power_kw.max,
            discharge_kw_max: 0.0,
            one_way_efficiency: 1.0,
            stored_kwh: 0.0,
            floor_kwh,
            ceiling_kwh,
            worth_cny_per_kwh,
        }
    }
}

/// Between the moments of `arrivals` it comes evenly.
fn come_by(arrivals: &[(f64, f64)], at: f64) -> f64 {
    let next = arrivals.partition_point(|(by, _)| *by < at);
    match (next.checked_sub(1).map(|before| arrivals[before]), arrivals.get(next)) {
        (Some((from, before)), Some((to, after))) => before + (after - before) * (at - from) / (to - from),
        (None, _) => 0.0,
        (Some((_, all)), None) => all,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::forecast::Hour;
    use crate::dispatch::plan::Steps;
    use crate::domain::calendar::{DayType, Span};
    use crate::domain::units::{HOUR_MS, Millis};

    fn hour(index: i64) -> Hour {
        Hour { start: Millis(index * HOUR_MS), of_day: index.rem_euclid(24) as i8, kind: DayType::Workday }
    }

    fn past(kw: f64) -> Vec<Past> {
        (0..48).map(|index| Past { hour: hour(index), kw }).collect()
    }

    /// Two hours of these prices after two days of 1000 kW.
    fn site(prices: [f64; 2]) -> Site {
        let steps = Steps {
            hours: vec![1.0; 2],
            price: prices.to_vec(),
            carbon: vec![0.0; 2],
            load_kw: Vec::new(),
            excess_kw: Vec::new(),
            charge_below_kw: Vec::new(),
            month: vec![0; 2],
        };
        let hours = vec![hour(48), hour(49)];
        let months = vec![Span { start: Millis(0), end: Millis(i64::MAX) }];
        let outlook = Outlook { hours, steps, months, peak_cny_per_kw: 38.0 };
        let (load, sun, excess) = (past(1000.0), past(0.0), past(0.0));
        Site {
            outlook,
            load,
            sun,
            excess,
            batteries: Vec::new(),
            vehicles: Vec::new(),
            carbon_cny_per_kg: 0.0,
            peak_kw: 2000.0,
            recent_peak_kw: 0.0,
        }
    }

    fn battery() -> Battery {
        let power_kw = Band { min: -100.0, max: 100.0 };
        Battery { power_kw, capacity_kwh: 400.0, round_trip: 0.81, charge: Band { min: 0.1, max: 0.9 }, stored_kwh: 130.0 }
    }

    #[test]
    fn a_battery_gives_what_it_has_above_its_least_in_the_dear_hour() {
        // 90 kWh above the least are 81 at the terminal.
        let site = Site { batteries: vec![battery()], ..site([1.0, 0.2]) };
        assert_eq!(site.wishes().unwrap(), Wishes { batteries: vec![-81.0], vehicles: vec![] });
        // One that stands below its least is let be: nothing has to come back at once.
        let empty = Site { batteries: vec![Battery { stored_kwh: 20.0, ..battery() }], ..site };
        assert_eq!(empty.wishes().unwrap().batteries, [0.0]);
    }

    #[test]
    fn the_peak_of_the_last_weeks_is_expected_again() {
        // 0.9 × 1200 kW are expected anyway, so 80 kW may be charged in the cheap hour.
        let site = Site { batteries: vec![battery()], peak_kw: 0.0, recent_peak_kw: 1200.0, ..site([0.1, 1.0]) };
        assert_eq!(site.wishes().unwrap().batteries, [80.0]);
    }

    #[test]
    fn charging_is_put_off_no_longer_than_vehicles_stay() {
        let vehicles = |stay_h, least| Vehicles { power_kw: Band { min: least, max: 300.0 }, stay_h, past: past(100.0) };
        // Half of the dear hour's 100 kWh may wait half an hour; what they are always left may not.
        let cases = [
            ("half an hour", vehicles(0.5, 0.0), [1.0, 0.2], Some(50.0)),
            ("they are left 70 kW", vehicles(0.5, 70.0), [1.0, 0.2], Some(70.0)),
            ("they leave at once", vehicles(0.0, 0.0), [1.0, 0.2], None),
            ("now is cheap", vehicles(0.5, 0.0), [0.2, 1.0], None),
        ];
        for (claim, vehicles, prices, cap) in cases {
            let site = Site { vehicles: vec![vehicles], ..site(prices) };
            assert_eq!(site.wishes().unwrap().vehicles, [cap], "{claim}");
        }
    }

    #[test]
    fn without_a_day_to_look_back_on_there_is_no_plan() {
        let site = Site { batteries: vec![battery()], load: past(1000.0)[..23].to_vec(), ..site([1.0, 0.2]) };
        assert_eq!(site.wishes(), Err(NoPlan::NoPast));
        assert_eq!(Site { batteries: vec![battery(); 41], ..site }.wishes(), Err(NoPlan::TooMany(41)));
    }
}
