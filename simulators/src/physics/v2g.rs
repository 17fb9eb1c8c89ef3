//! Vehicles that stand at bidirectional posts between their rounds and may give back (V2G): one storage that is away while they are on the road.
//!
//! What they drive is charged on the way, unless it is said what is not. Invariants, whatever is commanded: nothing flows while they are away; nothing is given below the floor; and what
//! they leave with is there each morning, as far as the posts reach.

use serde::Deserialize;

use super::model::Model;
use super::moment::Moment;
use super::solar::Commissioned;
use crate::zone::Asset;

/// At the posts' terminal, charging positive, giving negative; what is stored at the step's end, percent of the batteries, for a gauge; what was lost in the posts and batteries, kWh; and
/// what vehicles left without: the last two are truth that no meter shows.
const FLOWS: &[&str] = &["terminal", "state_of_charge_pct", "lost", "undelivered"];
/// A moment that is reckoned from minutes is known to the hour's millionth only.
const MOMENT_H: f64 = 1e-6;
const DAY_H: f64 = 24.0;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct V2gPlan {
    pub id: String,
    pub entity: String,
    /// Its set point is the power of all posts together, kW; its hours in use are those on the road, and by the first of a workday's the vehicles are ready, each day.
    pub asset: String,
    pub vehicles: u16,
    /// Of each vehicle.
    pub battery_kwh: f64,
    pub post_kw: f64,
    /// Stored per charged and delivered per stored; the round trip is its square.
    pub one_way_efficiency: f64,
    /// Percent of the batteries: nothing is given below the first, and nothing charged above the last; the vehicles leave with the second.
    pub charge_min_pct: f64,
    pub leave_pct: f64,
    pub charge_max_pct: f64,
    /// What the rounds of a day take that is not charged on the way, kWh of all vehicles.
    #[serde(default)]
    pub driven_kwh: f64,
    #[serde(default)]
    pub commissioned: Commissioned,
}

#[derive(Clone, Debug)]
pub struct V2g {
    plan: V2gPlan,
    asset: Asset,
    stored_kwh: f64,
    is_away: bool,
}

impl V2g {
    /// `asset` is the plan's.
    pub fn new(plan: V2gPlan, asset: Asset) -> V2g {
        let mut model = V2g { plan, asset, stored_kwh: 0.0, is_away: false };
        model.stored_kwh = model.kwh(model.plan.leave_pct);
        model
    }

    fn kwh(&self, pct: f64) -> f64 {
        pct / 100.0 * self.plan.battery_kwh * f64::from(self.plan.vehicles)
    }

    /// The vehicles come or go: what they leave without.
    fn come_or_go(&mut self, is_away: bool) -> f64 {
        let was_away = std::mem::replace(&mut self.is_away, is_away);
        match (was_away, is_away) {
            (false, true) => (self.kwh(self.plan.leave_pct) - self.stored_kwh).max(0.0),
            (true, false) => {
                self.stored_kwh = (self.stored_kwh - self.plan.driven_kwh).max(0.0);
                0.0
            }
            (false, false) | (true, true) => 0.0,
        }
    }

    /// What is exchanged at the terminal in the step, kWh.
    fn exchanged(&self, moment: &Moment) -> f64 {
        let V2gPlan { vehicles, post_kw, one_way_efficiency, charge_min_pct, leave_pct, charge_max_pct, .. } = self.plan;
        let (power_kw, stored, leaves_with) = (post_kw * f64::from(vehicles), self.stored_kwh, self.kwh(leave_pct));
        let most = power_kw * moment.hours;
        // For so much to be stored at the step's end.
        let to = |level: f64| (level - stored) * if stored < level { 1.0 / one_way_efficiency } else { one_way_efficiency };
        let ready_h = f64::from(self.asset.hours[0].0);
        let left_h = Some((ready_h - moment.ends_at_h()).rem_euclid(DAY_H)).filter(|left_h| *left_h < DAY_H - MOMENT_H).unwrap_or(0.0);
        let due = leaves_with - power_kw * one_way_efficiency * left_h;
        let least = to(self.kwh(charge_min_pct).min(stored)).max(to(due));
        let wanted = match moment.controls.set_point(Some(&self.asset.id)) {
            Some(kw) => kw * moment.hours,
            None => to(leaves_with.max(stored)),
        };
        wanted.min(to(self.kwh(charge_max_pct).max(stored))).max(least).clamp(-most, most)
    }
}

impl Model for V2g {
    fn flows(&self) -> &'static [&'static str] {
        FLOWS
    }

    fn commission(&mut self) {
        self.plan.commissioned = Commissioned::Before;
    }

    fn step(&mut self, moment: &Moment, _demand: f64, flows: &mut [f64]) {
        flows.fill(0.0);
        if self.plan.commissioned == Commissioned::Before {
            flows[3] = self.come_or_go(self.asset.in_use(moment.day_type, moment.hour as u8));
            if !self.is_away {
                let efficiency = self.plan.one_way_efficiency;
                flows[0] = self.exchanged(moment);
                let stored = flows[0] * if 0.0 < flows[0] { efficiency } else { 1.0 / efficiency };
                flows[2] = flows[0] - stored;
                self.stored_kwh += stored;
            }
        }
        flows[1] = 100.0 * self.stored_kwh / self.kwh(100.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::physics::controls::Controls;
    use crate::physics::moment::Slot;
    use crate::physics::moment::tests::quarter;

    const QUARTERS: usize = 96;

    /// Ten buses of 250 kWh at posts of 60 kW, on the road from 6 to 20 h.
    fn buses(driven_kwh: f64) -> V2g {
        let plan = V2gPlan {
            id: "v".to_owned(),
            entity: "E".to_owned(),
            asset: "v".to_owned(),
            vehicles: 10,
            battery_kwh: 250.0,
            post_kw: 60.0,
            one_way_efficiency: 0.91,
            charge_min_pct: 40.0,
            leave_pct: 80.0,
            charge_max_pct: 95.0,
            driven_kwh,
            commissioned: Commissioned::Before,
        };
        let asset = Asset {
            id: "v".to_owned(),
            unit: "kw".to_owned(),
            min: -600.0,
            max: 600.0,
            comfort: (0.0, 0.0),
            hours: [(6, 20); 3],
            programme: false,
        };
        V2g::new(plan, asset)
    }

    /// Flows of each quarter from midnight on, with the set points in kW.
    fn played(buses: &mut V2g, quarters: usize, set_point: impl Fn(usize) -> Option<f64>) -> Vec<[f64; 4]> {
        let step = |index: usize| {
            let mut controls = Controls::default();
            if let Some(kw) = set_point(index) {
                controls.set("v", kw);
            }
            let hour = 0.25 * (index % QUARTERS) as f64;
            let slots = [Slot { index: 0, hour: hour + 0.125, hours: 0.25, sun: 0.0 }];
            let moment = quarter(0, hour as usize, &slots, &controls);
            let mut flows = [0.0; 4];
            buses.step(&moment, 0.0, &mut flows);
            flows
        };
        (0..quarters).map(step).collect()
    }

    fn sum(steps: &[[f64; 4]], flow: usize) -> f64 {
        steps.iter().map(|flows| flows[flow]).sum()
    }

    #[test]
    fn without_a_command_nothing_flows_to_the_last_bit() {
        let steps = played(&mut buses(0.0), 3 * QUARTERS, |_| None);
        assert!(steps.iter().all(|flows| flows.map(f64::to_bits) == [0.0, 80.0, 0.0, 0.0].map(f64::to_bits)), "{steps:?}");
    }

    #[test]
    fn what_the_vehicles_leave_with_is_there_whatever_is_commanded() {
        // They come back with 20 % and are told to give, to rest, or to charge and give in turn.
        let commands: [fn(usize) -> Option<f64>; 4] =
            [|_| Some(-600.0), |_| Some(0.0), |quarter| Some(if quarter % 2 == 0 { -600.0 } else { 600.0 }), |_| Some(f64::MIN)];
        for (case, command) in commands.into_iter().enumerate() {
            let steps = played(&mut buses(1500.0), 4 * QUARTERS, command);
            assert!(sum(&steps, 3) < 1e-9, "case {case}: {} kWh short", sum(&steps, 3));
            for day in 0..4 {
                let leaves_with = steps[day * QUARTERS + 23][1];
                assert!((79.999..=95.001).contains(&leaves_with), "case {case}, day {day}: {leaves_with} %");
            }
            let on_the_road = (0..4).flat_map(|day| &steps[day * QUARTERS + 24..day * QUARTERS + 80]);
            assert!(
                on_the_road.clone().all(|flows| flows[0] == 0.0 && flows[2] == 0.0),
                "case {case}: posts without vehicles give nothing"
            );
            assert!(steps.iter().all(|flows| flows[0].abs() <= 150.0 + 1e-9), "case {case}: within the posts' power");
        }
    }

    #[test]
    fn nothing_is_given_below_the_floor_nor_charged_above_the_ceiling() {
        let steps = played(&mut buses(0.0), QUARTERS, |quarter| (!(8..80).contains(&quarter)).then_some(-600.0));
        let states: Vec<f64> = steps.iter().map(|flows| flows[1]).collect();
        assert!(sum(&steps[..8], 0) < -500.0 && states.iter().all(|state| 40.0 - 1e-9 <= *state), "{states:?}");
        assert!((states[95] - 40.0).abs() < 1e-9, "down to the floor in the evening: {}", states[95]);
        let full = played(&mut buses(0.0), QUARTERS, |_| Some(600.0));
        assert!((full[20][1] - 95.0).abs() < 1e-9 && full[20][0].abs() < 1e-9, "a full one takes nothing: {:?}", full[20]);
    }

    #[test]
    fn what_goes_in_comes_out_is_stored_or_is_lost() {
        let mut buses = buses(0.0);
        let before = buses.stored_kwh;
        let steps = played(&mut buses, 30 * QUARTERS, |quarter| Some(if (8..80).contains(&(quarter % QUARTERS)) { 200.0 } else { -300.0 }));
        let (taken, given): (f64, f64) = steps.iter().fold((0.0, 0.0), |sum, flows| (sum.0 + flows[0].max(0.0), sum.1 - flows[0].min(0.0)));
        let lost = sum(&steps, 2);
        assert!((taken - given - lost - (buses.stored_kwh - before)).abs() < 1e-6, "{taken} in, {given} out, {lost} lost");
        assert!(
            10_000.0 < given && (given / (taken - (buses.stored_kwh - before) / 0.91) - 0.91 * 0.91).abs() < 0.001,
            "{given} of {taken}"
        );
    }

    #[test]
    fn vehicles_that_come_back_too_empty_for_the_night_leave_with_what_the_posts_gave() {
        // 20 kWh left of 2500, ten hours at 600 kW: enough. With a post of 15 kW it is not, and that shows.
        let mut slow = buses(1980.0);
        slow.plan.post_kw = 15.0;
        let steps = played(&mut slow, 2 * QUARTERS, |_| Some(-600.0));
        assert!((sum(&steps, 3) - (2000.0 - 20.0 - 150.0 * 10.0 * 0.91)).abs() < 1e-6, "{}", sum(&steps, 3));
    }

    #[test]
    fn of_the_programme_nothing_flows_before_it_is_commissioned() {
        let mut buses = buses(0.0);
        buses.plan.commissioned = Commissioned::Programme;
        assert!(played(&mut buses, QUARTERS, |_| Some(-600.0)).iter().all(|flows| flows[0] == 0.0));
        buses.commission();
        assert!(sum(&played(&mut buses, 4, |_| Some(-600.0)), 0) < -500.0);
    }
}
