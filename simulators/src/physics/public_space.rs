//! Street lights that follow the sun, and green space that drinks when it is warm and dry.

use serde::Deserialize;

use super::measures::Kind;
use super::model::Model;
use super::moment::Moment;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreetLightingPlan {
    pub id: String,
    pub entity: String,
    pub lamps_kw: f64,
    /// Its set point is a dimming in per cent.
    pub asset: Option<String>,
}

#[derive(Clone, Debug)]
pub struct StreetLighting {
    plan: StreetLightingPlan,
}

/// Lamps burn while the sun is lower than this (sine of −1.5°).
const SUN_DOWN: f64 = -0.026;
/// Lamps dim to this from 23 to 5 h.
const NIGHT_DIMMING: f64 = 0.6;

impl StreetLighting {
    pub fn new(plan: StreetLightingPlan) -> StreetLighting {
        StreetLighting { plan }
    }
}

impl Model for StreetLighting {
    fn flows(&self) -> &'static [&'static str] {
        &["electricity"]
    }

    fn take(&mut self, kind: Kind, by: f64) -> bool {
        if kind == Kind::Lighting {
            self.plan.lamps_kw *= 1.0 - by;
        }
        kind == Kind::Lighting
    }

    fn step(&mut self, moment: &Moment, _demand: f64, flows: &mut [f64]) {
        let set_point = moment.controls.set_point(self.plan.asset.as_deref());
        let burning: f64 = moment
            .slots
            .iter()
            .filter(|slot| slot.sun < SUN_DOWN)
            .map(|slot| {
                let planned = if slot.hour < 5.0 || 23.0 <= slot.hour { NIGHT_DIMMING } else { 1.0 };
                set_point.map_or(planned, |pct| pct / 100.0) * slot.hours
            })
            .sum();
        flows[0] = self.plan.lamps_kw * burning;
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GreenSpacePlan {
    pub id: String,
    pub entity: String,
    pub irrigated_ha: f64,
}

#[derive(Clone, Debug)]
pub struct GreenSpace {
    plan: GreenSpacePlan,
}

/// Sprinklers run at these local hours; a millimetre on a hectare is 10 m³.
const IRRIGATION_HOURS: std::ops::Range<usize> = 4..8;
const M3_PER_MM_HA: f64 = 10.0;
/// Water that the grass lacks per day and kelvin above 10 °C, and the air's humidity at which it lacks none.
const MM_PER_KELVIN: f64 = 0.11;
const GROWTH_C: f64 = 10.0;
const MOIST_PCT: f64 = 97.0;
const PUMP_KWH_PER_M3: f64 = 0.38;

impl GreenSpace {
    pub fn new(plan: GreenSpacePlan) -> GreenSpace {
        GreenSpace { plan }
    }
}

impl Model for GreenSpace {
    fn flows(&self) -> &'static [&'static str] {
        &["water", "pump"]
    }

    fn step(&mut self, moment: &Moment, _demand: f64, flows: &mut [f64]) {
        let dry = ((MOIST_PCT - moment.humidity_pct) / 20.0).clamp(0.0, 1.0);
        let mm_day = MM_PER_KELVIN * (moment.temperature_c - GROWTH_C).max(0.0) * dry;
        let of_day = if IRRIGATION_HOURS.contains(&moment.hour) { moment.hours / IRRIGATION_HOURS.len() as f64 } else { 0.0 };
        flows[0] = mm_day * M3_PER_MM_HA * self.plan.irrigated_ha * of_day;
        flows[1] = PUMP_KWH_PER_M3 * flows[0];
    }
}
