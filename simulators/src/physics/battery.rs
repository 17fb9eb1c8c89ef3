//! A battery at the grid: charges in the tariff's valley hours, discharges at peak, loses some each way.

use serde::Deserialize;

use super::model::Model;
use super::moment::Moment;

/// Charging positive, discharging negative, the auxiliaries included; what is stored at the step's end in percent of the capacity, for a gauge.
const FLOWS: &[&str] = &["terminal", "state_of_charge_pct"];

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatteryPlan {
    pub id: String,
    pub entity: String,
    pub capacity_kwh: f64,
    pub power_kw: f64,
    /// Stored per charged and delivered per stored; the round trip is its square.
    pub one_way_efficiency: f64,
    /// Cooling and controls.
    pub auxiliary_kw: f64,
    pub asset: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Battery {
    plan: BatteryPlan,
    stored_kwh: f64,
}

/// Lowest and highest state of charge, and the planned power as shares of the rated ones.
const STATE_MIN: f64 = 0.1;
const STATE_MAX: f64 = 0.95;
const PLANNED_SHARE: f64 = 0.8;

impl Battery {
    pub fn new(plan: BatteryPlan) -> Battery {
        Battery { stored_kwh: 0.5 * plan.capacity_kwh, plan }
    }
}

impl Model for Battery {
    fn flows(&self) -> &'static [&'static str] {
        FLOWS
    }

    fn step(&mut self, moment: &Moment, _demand: f64, flows: &mut [f64]) {
        let plan = &self.plan;
        let planned_kw = PLANNED_SHARE * plan.power_kw * planned(moment.date.month(), moment.hour);
        let wanted_kw = moment.controls.set_point(plan.asset.as_deref()).unwrap_or(planned_kw);
        let wanted = wanted_kw.clamp(-plan.power_kw, plan.power_kw) * moment.hours;
        let room = (STATE_MAX * plan.capacity_kwh - self.stored_kwh).max(0.0) / plan.one_way_efficiency;
        let store = (self.stored_kwh - STATE_MIN * plan.capacity_kwh).max(0.0) * plan.one_way_efficiency;
        let exchanged = wanted.clamp(-store, room);
        self.stored_kwh += if exchanged > 0.0 { exchanged * plan.one_way_efficiency } else { exchanged / plan.one_way_efficiency };
        flows[0] = exchanged + plan.auxiliary_kw * moment.hours;
        flows[1] = 100.0 * self.stored_kwh / plan.capacity_kwh;
    }
}

/// 1 in valley hours, −1 in peak hours, else 0: Shandong's industrial tariff of 2025 and 2026.
fn planned(month: i8, hour: usize) -> f64 {
    let (valley, peak): (&[usize], &[usize]) = match month {
        12 | 1 | 2 => (&[2, 3, 4, 5, 10, 11, 12, 13, 14], &[7, 8, 16, 17, 18, 19, 20]),
        3..=5 => (&[10, 11, 12, 13, 14], &[17, 18, 19, 20, 21]),
        6 => (&[7, 8, 9, 10, 11], &[16, 17, 18, 19, 20, 21, 22]),
        7 | 8 => (&[1, 2, 3, 4, 5], &[16, 17, 18, 19, 20, 21, 22]),
        _ => (&[10, 11, 12, 13, 14], &[16, 17, 18, 19, 20]),
    };
    if valley.contains(&hour) {
        1.0
    } else if peak.contains(&hour) {
        -1.0
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::physics::controls::Controls;
    use crate::physics::moment::tests::quarter;

    fn moment(hour: usize, controls: &Controls) -> Moment<'_> {
        Moment { to_ms: 3_600_000, hours: 1.0, ..quarter(0, hour, &[], controls) }
    }

    fn battery() -> Battery {
        let plan = BatteryPlan {
            id: "b".into(),
            entity: "E".into(),
            capacity_kwh: 4000.0,
            power_kw: 1000.0,
            one_way_efficiency: 0.94,
            auxiliary_kw: 0.0,
            asset: Some("b".into()),
        };
        Battery::new(plan)
    }

    #[test]
    fn a_day_gives_back_88_percent_of_what_it_took() {
        let controls = Controls::default();
        let mut battery = battery();
        let (mut taken, mut given) = (0.0, 0.0);
        for hour in (0..24).cycle().take(24 * 30) {
            let mut flow = [0.0; 2];
            battery.step(&moment(hour, &controls), 0.0, &mut flow);
            // The first day starts half full.
            taken += flow[0].max(0.0);
            given -= flow[0].min(0.0);
        }
        let ratio: f64 = given / taken;
        assert!((ratio - 0.94 * 0.94).abs() < 0.02, "{ratio}");
    }

    #[test]
    fn a_set_point_overrides_the_plan_within_the_state_of_charge() {
        let mut controls = Controls::default();
        controls.set("b", 500.0);
        let mut battery = battery();
        let mut flow = [0.0; 2];
        battery.step(&moment(18, &controls), 0.0, &mut flow);
        // 2000 kWh and 0.94 × 500 more, of 4000.
        assert!((flow[0] - 500.0).abs() < 1e-9 && (flow[1] - 61.75).abs() < 1e-9, "{flow:?}");
        for _ in 0..24 {
            battery.step(&moment(18, &controls), 0.0, &mut flow);
        }
        assert!(flow[0].abs() < 1e-9, "a full battery takes nothing: {flow:?}");
    }
}
