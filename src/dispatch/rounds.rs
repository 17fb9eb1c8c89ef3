//! When vehicles that may give are on the road, and what that leaves of their batteries for a plan.
//!
//! They leave with what is wanted, as far as their posts reach, and are taken to come back with it: what they drive is charged on the way, and where it is not the gauge tells
//! when they are back. Invariant: there are always powers that keep the bounds, and on the road these are 0.

use super::forecast::Hour;
use crate::domain::assets::{Asset, AssetKind, Band};

/// A step of a plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Step {
    is_away: bool,
    /// Whether they have to be ready at its end.
    is_ready: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Rounds {
    steps: Vec<Step>,
    /// The share of the capacity that they leave with.
    leave: f64,
}

impl Rounds {
    /// Of what may give, by its hours in use: ready by the begin of a workday's, each day. None for a battery.
    #[must_use]
    pub fn of(asset: &Asset, ahead: &[Hour]) -> Option<Rounds> {
        let ready_h = asset.hours[0].from;
        let step = |hour: &Hour| Step {
            is_away: asset.in_use_on(hour.kind, hour.of_day),
            is_ready: (hour.of_day.unsigned_abs() + 1) % 24 == ready_h % 24,
        };
        (asset.kind == AssetKind::V2g).then(|| Rounds { steps: ahead.iter().map(step).collect(), leave: asset.storing.leave })
    }

    /// Floor and ceiling at the end of each step, kWh, of so much stored and of a capacity; `band` is what may be stored, `reach_kw` what is stored in an hour at the posts' power.
    #[must_use]
    pub fn bounds(&self, (stored_kwh, capacity_kwh): (f64, f64), band: Band, reach_kw: Band, hours: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let (mut floor_kwh, mut ceiling_kwh) = (Vec::new(), Vec::new());
        let step = |index: usize| self.steps.get(index).copied().unwrap_or_default();
        // What can be stored by then.
        let mut reach = Band { min: stored_kwh, max: stored_kwh };
        for (index, hours) in hours.iter().enumerate() {
            let leaves = !step(index).is_away && step(index + 1).is_away;
            if !step(index).is_away {
                reach.min = band.nearest(reach.min + reach_kw.min * hours);
                reach.max = band.nearest(reach.max + reach_kw.max * hours);
                if leaves || step(index).is_ready {
                    reach.min = reach.nearest(self.leave * capacity_kwh);
                }
                if leaves {
                    reach.max = reach.min;
                }
            }
            let is_bound = leaves || step(index).is_away;
            floor_kwh.push(if is_bound || step(index).is_ready { reach.min } else { band.min });
            ceiling_kwh.push(if is_bound { reach.max } else { band.max });
        }
        (floor_kwh, ceiling_kwh)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::dispatch::plan::{self, Problem, Steps};
    use crate::dispatch::site::Battery;
    use crate::domain::assets::tests::asset;
    use crate::domain::assets::{Hours, Storing};
    use crate::domain::calendar::DayType;
    use crate::domain::units::{HOUR_MS, Millis};

    /// Hours of workdays from a local hour on, of vehicles on the road from 6 to 20 that leave with 80 of 100 kWh.
    fn bounds(from: i8, stored_kwh: f64, hours: usize) -> (Vec<f64>, Vec<f64>) {
        let storing = Storing { leave: 0.8, ..Storing::default() };
        let vehicles = Asset { kind: AssetKind::V2g, hours: [Hours { from: 6, to: 20 }; 3], storing, ..asset() };
        let hour = |at: i64| Hour { start: Millis(at * HOUR_MS), of_day: (at % 24) as i8, kind: DayType::Workday };
        let ahead: Vec<Hour> = (i64::from(from)..).take(hours).map(hour).collect();
        let rounds = Rounds::of(&vehicles, &ahead).unwrap();
        let band = Band { min: 20.0_f64.min(stored_kwh), max: 95.0_f64.max(stored_kwh) };
        rounds.bounds((stored_kwh, 100.0), band, Band { min: -30.0, max: 25.0 }, &vec![1.0; hours])
    }

    #[test]
    fn vehicles_leave_with_what_is_wanted_and_stand_with_what_may_be() {
        let (floor, ceiling) = bounds(20, 80.0, 12);
        assert_eq!(floor, [20.0, 20.0, 20.0, 20.0, 20.0, 20.0, 20.0, 20.0, 20.0, 80.0, 80.0, 80.0]);
        assert_eq!(ceiling, [95.0, 95.0, 95.0, 95.0, 95.0, 95.0, 95.0, 95.0, 95.0, 80.0, 80.0, 80.0]);
    }

    #[test]
    fn what_the_posts_cannot_reach_is_not_asked_for() {
        // Two hours before they leave: 10 kWh and 50 of two hours; or 95 less 60, which is enough.
        for (stored, leaves_with) in [(10.0, 60.0), (95.0, 80.0), (100.0, 80.0)] {
            let (floor, ceiling) = bounds(4, stored, 4);
            assert_eq!((floor[1], ceiling[1], floor[3]), (leaves_with, leaves_with, leaves_with), "{stored} kWh");
        }
        let (floor, ceiling) = bounds(5, 100.0, 2);
        assert_eq!((floor[0], ceiling[0]), (80.0, 80.0));
    }

    #[test]
    fn on_the_road_nothing_is_charged_or_given() {
        let (floor, ceiling) = bounds(18, 55.0, 4);
        assert_eq!((&floor[..], &ceiling[..]), (&[55.0, 55.0, 20.0, 20.0][..], &[55.0, 55.0, 95.0, 95.0][..]));
    }

    #[test]
    fn a_plan_gives_in_the_dear_evening_and_leaves_with_what_is_wanted() {
        let hours: Vec<Hour> =
            (18..32).map(|hour| Hour { start: Millis(hour * HOUR_MS), of_day: (hour % 24) as i8, kind: DayType::Workday }).collect();
        let storing = Storing { capacity_kwh: Some(100.0), leave: 0.8, round_trip: 0.81, ..Storing::default() };
        let limits = Band { min: -30.0, max: 30.0 };
        let vehicles = Asset { kind: AssetKind::V2g, hours: [Hours { from: 6, to: 20 }; 3], limits, storing, ..asset() };
        let steps = Steps {
            hours: vec![1.0; 14],
            // Dear up to 22 h, cheap from 2 to 6 h, in between not worth the loss.
            price: [&[1.0; 4][..], &[0.24; 4], &[0.2; 4], &[0.24; 2]].concat(),
            carbon: vec![0.0; 14],
            load_kw: vec![1000.0; 14],
            excess_kw: vec![0.0; 14],
            charge_below_kw: vec![f64::INFINITY; 14],
            month: vec![0; 14],
        };
        let storages = vec![Battery::of(&vehicles, 80.0, &hours).storage(&steps.hours, 0.4)];
        let problem = Problem { steps, storages, peaks_kw: vec![2000.0], ..Problem::default() };
        let powers = plan::solve(&problem, Duration::from_secs(20)).unwrap().storage_kw.swap_remove(0);
        let kwh = |hours: std::ops::Range<usize>| powers[hours].iter().sum::<f64>();
        // Away until 20 h and from 6 h on; 80 to 10 kWh are 63 at the terminal, 60 within the posts' power; what is given is charged again at 0.9 each way.
        assert!(kwh(0..2).abs() < 1e-6 && kwh(12..14).abs() < 1e-6, "{powers:?}");
        assert!((kwh(2..4) + 60.0).abs() < 1e-6 && (kwh(4..12) - 60.0 / 0.81).abs() < 1e-6, "{powers:?}");
        assert!((kwh(8..12) - 60.0 / 0.81).abs() < 1e-6, "in the cheap hours: {powers:?}");
    }

    #[test]
    fn a_battery_has_no_rounds() {
        assert_eq!(Rounds::of(&Asset { kind: AssetKind::Battery, ..asset() }, &[]), None);
    }
}
