//! A production line: shifts, a base load, and loads that follow the goods.

use serde::Deserialize;

use super::draws::{Draws, Stream};
use super::measures::Kind;
use super::model::Model;
use super::moment::{Moment, Slot};
use super::shiftable::{Shiftable, ShiftablePlan};
use crate::zone::DayType;

/// Flows in the order of [`Line::step`].
const FLOWS: &[&str] = &["product", "drives", "heaters", "auxiliary", "gas", "steam", "water", "air", "waiting_kwh", "put_off"];

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shifts {
    /// 8 to 17 h.
    One,
    /// 7 to 23 h.
    Two,
    Three,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinePlan {
    pub id: String,
    pub entity: String,
    pub shifts: Shifts,
    /// Output on Saturdays and on rest days as a share of a workday's.
    #[serde(default)]
    pub saturdays: f64,
    pub rest_days: f64,
    /// Goods per hour at full speed.
    pub per_h: f64,
    pub drives_kwh_per_unit: f64,
    #[serde(default)]
    pub heaters_kwh_per_unit: f64,
    /// Lights, controls and conveyors while a shift is on; a quarter of it stays on at night.
    pub auxiliary_kw: f64,
    /// Drives running without goods while a shift is on.
    pub idle_kw: f64,
    #[serde(default)]
    pub gas_m3_per_unit: f64,
    /// Gas that keeps furnaces warm while a shift is on.
    #[serde(default)]
    pub gas_hold_m3_h: f64,
    #[serde(default)]
    pub steam_t_per_unit: f64,
    #[serde(default)]
    pub water_m3_per_unit: f64,
    #[serde(default)]
    pub air_m3_per_unit: f64,
    /// Its set point is how much of what stays on at night does so, in per cent. Never asked while a shift is on.
    pub asset: Option<String>,
    /// Its goods may be made later in their day: of a line with three shifts, whose crew is there. Drives and heaters wait with them.
    pub shiftable: Option<ShiftablePlan>,
}

#[derive(Clone, Debug)]
pub struct Line {
    plan: LinePlan,
    orders: Stream,
    pace: Stream,
    stoppages: Stream,
    shiftable: Option<Shiftable>,
}

/// The most that is ordered for a day, as a share of what full speed makes.
const ORDERS_MAX: f64 = 1.05;
/// Share of hours with a stoppage, which halts one quarter of an hour in two.
const STOPPAGE_HOURS: f64 = 0.04;

impl Line {
    pub fn new(plan: LinePlan, draws: Draws) -> Line {
        Line {
            orders: draws.stream(&plan.entity, "orders"),
            pace: draws.stream(&plan.entity, "pace"),
            stoppages: draws.stream(&plan.entity, "stoppages"),
            shiftable: plan.shiftable.clone().map(|shiftable| {
                let kwh_per_unit = plan.drives_kwh_per_unit + plan.heaters_kwh_per_unit;
                Shiftable::new(shiftable, ORDERS_MAX * plan.per_h, kwh_per_unit)
            }),
            plan,
        }
    }

    /// Speed during a quarter of an hour as a share of full speed.
    fn speed(&self, slot: &Slot, day_share: f64, day: i64) -> f64 {
        let orders = (0.92 + 0.06 * self.orders.normal_cut(day)).clamp(0.6, ORDERS_MAX);
        let pace = 1.0 + 0.035 * self.pace.normal_cut(slot.index);
        let halted = self.stoppages.uniform(slot.index.div_euclid(4)) < STOPPAGE_HOURS && self.pace.uniform(slot.index) < 0.5;
        day_share * orders * pace * on_shift(self.plan.shifts, slot.hour) * if halted { 0.1 } else { 1.0 }
    }
}

/// Crew at the line from 0 to 1: it ramps up at the start and thins out over meals.
fn on_shift(shifts: Shifts, hour: f64) -> f64 {
    let (from, to) = match shifts {
        Shifts::One => (8.0, 17.0),
        Shifts::Two => (7.0, 23.0),
        Shifts::Three => (0.0, 24.0),
    };
    if hour < from || to <= hour {
        0.0
    } else if shifts != Shifts::Three && hour < from + 0.5 {
        0.5
    } else if (11.75..12.5).contains(&hour) || (shifts != Shifts::One && (17.75..18.25).contains(&hour)) {
        0.7
    } else {
        1.0
    }
}

impl Model for Line {
    fn flows(&self) -> &'static [&'static str] {
        FLOWS
    }

    fn take(&mut self, kind: Kind, by: f64) -> bool {
        let plan = &mut self.plan;
        let uses = [
            &mut plan.drives_kwh_per_unit,
            &mut plan.heaters_kwh_per_unit,
            &mut plan.idle_kw,
            &mut plan.gas_m3_per_unit,
            &mut plan.gas_hold_m3_h,
            &mut plan.steam_t_per_unit,
        ];
        for used in uses.into_iter().filter(|_| kind == Kind::Production) {
            *used *= 1.0 - by;
        }
        kind == Kind::Production
    }

    fn step(&mut self, moment: &Moment, _demand: f64, flows: &mut [f64]) {
        let plan = &self.plan;
        let day_share = match moment.day_type {
            DayType::Workday => 1.0,
            DayType::Saturday => plan.saturdays,
            DayType::Rest => plan.rest_days,
        };
        let mut product = 0.0;
        let mut crewed_h = 0.0;
        for slot in moment.slots {
            let speed = self.speed(slot, day_share, moment.day);
            product += plan.per_h * speed * slot.hours;
            crewed_h += if speed > 0.0 { slot.hours } else { 0.0 };
        }
        let ordered = product;
        if let Some(shiftable) = &mut self.shiftable {
            product = shiftable.done(ordered, moment);
            flows[8] = shiftable.waiting_kwh();
            // Who works on what has waited needs the lights and the drives.
            crewed_h = if crewed_h == 0.0 && product > 0.0 { moment.hours } else { crewed_h };
        }
        let dark_h = (moment.hours - crewed_h) * moment.controls.set_point(plan.asset.as_deref()).map_or(1.0, |pct| pct / 100.0);
        flows[0] = product;
        flows[1] = plan.drives_kwh_per_unit * product + plan.idle_kw * crewed_h;
        flows[2] = plan.heaters_kwh_per_unit * (product + 0.06 * plan.per_h * crewed_h);
        flows[3] = plan.auxiliary_kw * (crewed_h + 0.25 * dark_h);
        flows[4] = plan.gas_m3_per_unit * product + plan.gas_hold_m3_h * crewed_h;
        flows[5] = plan.steam_t_per_unit * product;
        flows[6] = plan.water_m3_per_unit * product;
        flows[7] = plan.air_m3_per_unit * product;
        flows[9] = ordered - product;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crews_follow_the_shift_plan() {
        let cases = [
            (Shifts::One, 7.9, 0.0),
            (Shifts::One, 8.1, 0.5),
            (Shifts::One, 12.0, 0.7),
            (Shifts::One, 17.0, 0.0),
            (Shifts::Two, 22.9, 1.0),
            (Shifts::Two, 3.0, 0.0),
            (Shifts::Three, 3.0, 1.0),
        ];
        for (shifts, hour, share) in cases {
            assert!((on_shift(shifts, hour) - share).abs() < 1e-12, "{shifts:?} at {hour}");
        }
    }
}
