//! Work that may wait until later in its day: heats of a furnace, mixes, computing jobs.
//!
//! Its day is a plant's: it ends at an hour of the morning, when the night shift goes. Invariants: what comes in a day is done by its end, whatever a set point says; without a set point, and with nothing waiting, what comes is done as it
//! comes, to the last bit.

use serde::Deserialize;

use super::moment::Moment;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShiftablePlan {
    /// Its set point is the most power that the work takes, kW.
    pub asset: String,
    /// The most power that the machines can take for it, kW.
    pub kw_max: f64,
    /// The local hour at which a day's work is done and the next one's begins, 0 to 23.
    pub done_by_h: f64,
}

#[derive(Clone, Debug)]
pub struct Shiftable {
    plan: ShiftablePlan,
    /// The most that comes in an hour, and the electricity that each of it takes, kWh.
    per_h_max: f64,
    kwh: f64,
    /// In the unit of what comes.
    waiting: f64,
}

const DAY_H: f64 = 24.0;

impl Shiftable {
    /// At most `per_h_max` comes in an hour, and each of it takes `kwh`.
    pub fn new(plan: ShiftablePlan, per_h_max: f64, kwh: f64) -> Shiftable {
        Shiftable { plan, per_h_max, kwh, waiting: 0.0 }
    }

    /// What is done of it, in the unit of `come`.
    pub fn done(&mut self, come: f64, moment: &Moment) -> f64 {
        let set_point = moment.controls.set_point(Some(&self.plan.asset));
        if set_point.is_none() && self.waiting <= 0.0 {
            return come;
        }
        let units_per_h = |kw: f64| kw / self.kwh;
        let all = self.waiting + come;
        // What would not be done by the end of the day if it waited longer, as this much more still comes.
        let spare_per_h = (units_per_h(self.plan.kw_max) - self.per_h_max).max(0.0);
        let due = all - spare_per_h * (self.plan.done_by_h - moment.ends_at_h()).rem_euclid(DAY_H);
        let may = units_per_h(set_point.map_or(self.plan.kw_max, |kw| kw.min(self.plan.kw_max))) * moment.hours;
        let done = may.max(due).clamp(0.0, all);
        self.waiting = all - done;
        done
    }

    /// What waits, as the electricity that it will take, kWh.
    pub fn waiting_kwh(&self) -> f64 {
        self.waiting * self.kwh
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::physics::controls::Controls;
    use crate::physics::moment::Slot;
    use crate::physics::moment::tests::quarter;

    const QUARTERS: usize = 96;

    /// Units done in each quarter of `caps` from midnight on; 10 units of 2 kWh come in each.
    fn played(work: &mut Shiftable, caps: &[Option<f64>]) -> Vec<f64> {
        let step = |(index, cap): (usize, &Option<f64>)| {
            let mut controls = Controls::default();
            if let Some(cap) = cap {
                controls.set("mill", *cap);
            }
            let slots = [Slot { index: 0, hour: 0.25 * (index % QUARTERS) as f64 + 0.125, hours: 0.25, sun: 0.0 }];
            let moment = quarter(0, index % QUARTERS / 4, &slots, &controls);
            work.done(10.0, &moment)
        };
        caps.iter().enumerate().map(step).collect()
    }

    fn work() -> Shiftable {
        Shiftable::new(ShiftablePlan { asset: "mill".to_owned(), kw_max: 120.0, done_by_h: 6.0 }, 40.0, 2.0)
    }

    #[test]
    fn without_a_set_point_it_is_done_as_it_comes() {
        assert!(played(&mut work(), &[None; QUARTERS]).iter().all(|done| done.to_bits() == 10.0_f64.to_bits()));
    }

    #[test]
    fn what_waits_is_done_later_in_the_day_within_the_machines_power() {
        // Stopped from 8 to 12, then as fast as may be: 120 kW are 15 units a quarter.
        let caps: Vec<Option<f64>> = (0..QUARTERS).map(|quarter| (32..48).contains(&quarter).then_some(0.0)).collect();
        let mut work = work();
        let done = played(&mut work, &caps);
        assert!(done[32..48].iter().all(|done| *done < 1e-9) && done[48..80].iter().all(|done| (done - 15.0).abs() < 1e-9), "{done:?}");
        assert_eq!((done.iter().sum::<f64>(), done[80], work.waiting_kwh()), (960.0, 10.0, 0.0));
    }

    #[test]
    fn nothing_waits_beyond_its_day_whatever_is_commanded() {
        let mut work = work();
        for day in 0..3 {
            // From 6 to 6: as late as it may, which is at the machines' power.
            let until_6 = played(&mut work, &[Some(0.0); 24]);
            assert!(work.waiting_kwh().abs() < 1e-9 && until_6.iter().all(|done| *done <= 15.0 + 1e-9), "day {day}: {until_6:?}");
            let mut caps = [Some(0.0); QUARTERS];
            caps[..24].fill(None);
            let rest = &played(&mut work, &caps)[24..];
            assert!(rest[0] == 0.0 && rest.iter().all(|done| *done <= 15.0 + 1e-9), "day {day}: {rest:?}");
        }
    }
}
