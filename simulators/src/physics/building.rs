//! A building: two thermal masses behind two resistances (2R2C), its climate control, its people and what they switch on.

use serde::Deserialize;

use super::draws::{Draws, Stream};
use super::energy_station::warmer_water;
use super::measures::Kind;
use super::model::Model;
use super::moment::{Moment, month_day, within};
use crate::zone::DayType;

/// Flows in the order of [`Building::step`].
const FLOWS: &[&str] = &["cooling", "heating", "fans", "lighting", "sockets", "lifts", "process", "heat", "cold", "gas", "steam", "water"];

/// How buildings of one use are built and run. Per square metre of floor unless said otherwise.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Archetype {
    /// Presence by hour, 0 to 1.
    pub workday: [f64; 24],
    pub saturday: [f64; 24],
    pub rest: [f64; 24],
    /// Spans of the year, MM-DD, in which it stands as on rest days.
    #[serde(default)]
    pub closed: Vec<[String; 2]>,
    /// Share of lighting, sockets, lifts and process that stays on when nobody is in.
    pub standby: f64,
    pub lighting_w_m2: f64,
    pub sockets_w_m2: f64,
    pub fans_w_m2: f64,
    pub lifts_w_m2: f64,
    pub process_w_m2: f64,
    /// Heat that machines other than the above give off, at full presence.
    pub machine_heat_w_m2: f64,
    /// Conductance of the envelope.
    pub envelope_w_m2_k: f64,
    /// Conductance of the air exchange at full presence; a fifth of it leaks in always.
    pub air_w_m2_k: f64,
    /// Effective area through which the sun comes in.
    pub solar_m2_m2: f64,
    pub heating_c: f64,
    pub cooling_c: f64,
    /// The set points give way by this much when nobody is in.
    pub setback_k: f64,
    /// Largest heating and cooling power.
    pub heating_w_m2: f64,
    pub cooling_w_m2: f64,
    pub water_l_person_day: f64,
    /// Warm water, made with gas where the building has it, else with electricity (in `sockets`).
    pub warm_water_kwh_person_day: f64,
    pub kitchen_gas_m3_person_day: f64,
    /// Humidifier and sterile steam, kg per hour and m².
    pub steam_kg_m2_h: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Heating {
    None,
    /// Heat from the network.
    Heat,
    HeatPump,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cooling {
    Chiller,
    /// Chilled water from the network.
    Cold,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuildingPlan {
    pub id: String,
    pub entity: String,
    pub archetype: String,
    pub heating: Heating,
    pub cooling: Cooling,
    /// Gas serves kitchens and warm water.
    #[serde(default)]
    pub gas: bool,
    /// Room temperature, °C.
    pub asset: Option<String>,
    /// Air flow, per cent of what the plan moves.
    pub ventilation: Option<String>,
    /// Light, per cent of what the plan burns.
    pub lights: Option<String>,
    /// Sockets, per cent of what stays on while nobody is in.
    pub sockets: Option<String>,
    /// Chilled water of its own chiller, °C.
    pub chiller: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Building {
    plan: BuildingPlan,
    kind: Archetype,
    closed: Vec<((i8, i8), (i8, i8))>,
    floor_m2: f64,
    people: f64,
    gas_kwh_per_m3: f64,
    habits: Stream,
    leaks: Stream,
    /// Temperatures of the air and of the mass behind it.
    air_c: f64,
    mass_c: f64,
}

/// Heat capacities, Wh/(m²·K): air with furniture, and structure; and the conductance between them, W/(m²·K).
const AIR_WH_M2_K: f64 = 12.0;
const MASS_WH_M2_K: f64 = 70.0;
const AIR_TO_MASS_W_M2_K: f64 = 4.5;
const CONTROL_H: f64 = 1.0;
const PERSON_W: f64 = 75.0;
/// A fan's power goes with its flow to this power: 3 by the affinity laws, less because a duct holds part of its pressure (fan curves of ASHRAE 90.1-2019, appendix G).
const FAN_EXPONENT: f64 = 2.5;
/// In one week of twenty a pipe or a cistern leaks, this many litres per person and hour.
const LEAK_WEEKS: f64 = 0.05;
const LEAK_L_PERSON_H: f64 = 0.55;

impl Building {
    pub fn new(
        plan: BuildingPlan,
        kind: Archetype,
        floor_m2: f64,
        people: f64,
        gas_kwh_per_m3: f64,
        draws: Draws,
    ) -> Result<Building, String> {
        let closed = kind.closed.iter().map(|[from, to]| Ok((month_day(from)?, month_day(to)?))).collect::<Result<_, String>>()?;
        let habits = draws.stream(&plan.entity, "habits");
        let leaks = draws.stream(&plan.entity, "leaks");
        Ok(Building { air_c: kind.heating_c, mass_c: kind.heating_c, plan, kind, closed, floor_m2, people, gas_kwh_per_m3, habits, leaks })
    }

    /// Presence from 0 to 1, with the day's and the quarter's own habits.
    fn presence(&self, moment: &Moment) -> f64 {
        let closed = self.closed.iter().any(|span| within(moment.date, *span));
        let table = match moment.day_type {
            _ if closed => &self.kind.rest,
            DayType::Workday => &self.kind.workday,
            DayType::Saturday => &self.kind.saturday,
            DayType::Rest => &self.kind.rest,
        };
        let here = table[moment.hour];
        let next = table[(moment.hour + 1) % 24];
        let of_day = 1.0 + 0.04 * self.habits.normal_cut(moment.day);
        let share: f64 = moment
            .slots
            .iter()
            .map(|slot| {
                let planned = here + (next - here) * slot.hour.fract();
                planned * (1.0 + 0.05 * self.habits.normal_cut(slot.index)) * slot.hours
            })
            .sum();
        (of_day * share / moment.hours).clamp(0.0, 1.1)
    }

    /// The two set points: heat below the first, cool above the second. Who commands one says himself when the rooms are set back.
    fn set_points(&self, moment: &Moment, presence: f64) -> (f64, f64) {
        let kind = &self.kind;
        let setback = if presence > 0.08 { 0.0 } else { kind.setback_k };
        match moment.controls.set_point(self.plan.asset.as_deref()) {
            // A commanded temperature takes the place of the nearer set point; two kelvin between the two keep the plants from working against each other.
            Some(c) if c - kind.heating_c <= kind.cooling_c - c => (c, kind.cooling_c.max(c + 2.0) + setback),
            Some(c) => (kind.heating_c.min(c - 2.0) - setback, c),
            None => (kind.heating_c - setback, kind.cooling_c + setback),
        }
    }

    /// Advances the temperatures and returns heating and cooling in kWh of heat.
    fn condition(&mut self, moment: &Moment, (presence, air_flow): (f64, f64), gains_w_m2: f64) -> (f64, f64) {
        let kind = &self.kind;
        let (heat_to, cool_to) = self.set_points(moment, presence);
        let to_outside = kind.envelope_w_m2_k + kind.air_w_m2_k * (0.2 + 0.8 * presence * air_flow);
        let driven_w_m2 = to_outside * moment.temperature_c + gains_w_m2;
        // The controller brings the air to its set point within an hour, not within a step.
        let (free, stiffness) = self.drift_to(CONTROL_H.max(moment.hours), to_outside, driven_w_m2);
        let heated = self.plan.heating != Heating::None && moment.heating_season;
        let power_w_m2 = if free < heat_to && heated {
            ((heat_to - free) * stiffness).min(kind.heating_w_m2)
        } else if free > cool_to {
            ((cool_to - free) * stiffness).max(-kind.cooling_w_m2)
        } else {
            0.0
        };
        let mass_share = mass_share(moment.hours);
        (self.air_c, _) = self.drift_to(moment.hours, to_outside, driven_w_m2 + power_w_m2);
        self.mass_c = (1.0 - mass_share) * self.mass_c + mass_share * self.air_c;
        let kwh = power_w_m2 * self.floor_m2 / 1000.0 * moment.hours;
        (kwh.max(0.0), (-kwh).max(0.0))
    }

    /// The air's temperature after `hours` under a constant drive, and the power per kelvin that would move it. Backward Euler of both
    /// masses, the structure's eliminated.
    fn drift_to(&self, hours: f64, to_outside: f64, driven_w_m2: f64) -> (f64, f64) {
        let mass_share = mass_share(hours);
        let stiffness = AIR_WH_M2_K / hours + to_outside + AIR_TO_MASS_W_M2_K * (1.0 - mass_share);
        let stored = AIR_WH_M2_K / hours * self.air_c + AIR_TO_MASS_W_M2_K * (1.0 - mass_share) * self.mass_c;
        ((stored + driven_w_m2) / stiffness, stiffness)
    }

    fn leaking(&self, day: i64) -> bool {
        self.leaks.uniform(day.div_euclid(7)) < LEAK_WEEKS
    }
}

impl Model for Building {
    fn flows(&self) -> &'static [&'static str] {
        FLOWS
    }

    fn room(&self) -> Option<(&str, f64)> {
        self.plan.asset.as_deref().map(|asset| (asset, self.air_c))
    }

    fn take(&mut self, kind: Kind, by: f64) -> bool {
        match kind {
            Kind::SetPoints => {
                self.kind.heating_c -= by;
                self.kind.cooling_c += by;
            }
            Kind::Schedules => self.kind.standby *= 1.0 - by,
            Kind::Lighting => self.kind.lighting_w_m2 *= 1.0 - by,
            Kind::AirPressure | Kind::AirLeaks | Kind::Production => return false,
        }
        true
    }

    fn step(&mut self, moment: &Moment, _demand: f64, flows: &mut [f64]) {
        let presence = self.presence(moment);
        let kind = &self.kind;
        let on = kind.standby + (1.0 - kind.standby) * presence;
        // Daylight spares half of the light.
        let daylight = 1.0 - 0.5 * (moment.irradiance_w_m2 / 300.0).min(1.0);
        let share = |asset: Option<&str>| moment.controls.set_point(asset).map_or(1.0, |pct| pct / 100.0);
        let (air_flow, light) = (share(self.plan.ventilation.as_deref()), share(self.plan.lights.as_deref()));
        let lighting_w_m2 = kind.lighting_w_m2 * on * daylight * light;
        let standby = kind.standby * share(self.plan.sockets.as_deref());
        let sockets_w_m2 = kind.sockets_w_m2 * (standby + (1.0 - standby) * presence);
        let gains_w_m2 = 0.8 * (lighting_w_m2 + sockets_w_m2)
            + kind.machine_heat_w_m2 * presence
            + PERSON_W * self.people * presence / self.floor_m2
            + kind.solar_m2_m2 * moment.irradiance_w_m2;
        let fans_w_m2 = kind.fans_w_m2 * (0.1 + 0.9 * presence) * air_flow.powf(FAN_EXPONENT);
        let (lifts_w_m2, process_w_m2) = (kind.lifts_w_m2 * on, kind.process_w_m2 * on);
        let steam_kg_m2_h = kind.steam_kg_m2_h * (1.0 + 0.02 * (60.0 - moment.humidity_pct).max(0.0));
        let water_l_day = kind.water_l_person_day;
        let (warm_kwh_day, kitchen_m3_day) = (kind.warm_water_kwh_person_day, kind.kitchen_gas_m3_person_day);

        let (heat_kwh, cold_kwh) = self.condition(moment, (presence, air_flow), gains_w_m2);
        // Moist air costs the coil up to half as much again as the dry heat says.
        let latent = 1.0 + 0.5 * ((moment.humidity_pct - 60.0) / 40.0).clamp(0.0, 1.0);
        let cold_kwh = cold_kwh * latent;

        let kwh = |w_m2: f64| w_m2 * self.floor_m2 / 1000.0 * moment.hours;
        let person_hours = self.people * presence * moment.hours;
        // A presence of one lasts about ten hours a day.
        let warm_kwh = warm_kwh_day / 10.0 * person_hours;
        let (warm_gas, warm_electric) = if self.plan.gas { (warm_kwh / 0.9 / self.gas_kwh_per_m3, 0.0) } else { (0.0, warm_kwh) };
        let kitchen_gas = if self.plan.gas { kitchen_m3_day / 10.0 * person_hours } else { 0.0 };
        let leak_l = if self.leaking(moment.day) { LEAK_L_PERSON_H * self.people * moment.hours } else { 0.0 };

        let cop = cop_cooling(moment.temperature_c) * warmer_water(moment.controls.set_point(self.plan.chiller.as_deref()));
        flows[0] = if self.plan.cooling == Cooling::Chiller { cold_kwh / cop } else { 0.0 };
        flows[1] = if self.plan.heating == Heating::HeatPump { heat_kwh / cop_heating(moment.temperature_c) } else { 0.0 };
        flows[2] = kwh(fans_w_m2);
        flows[3] = kwh(lighting_w_m2);
        flows[4] = kwh(sockets_w_m2) + warm_electric;
        flows[5] = kwh(lifts_w_m2);
        flows[6] = kwh(process_w_m2);
        flows[7] = if self.plan.heating == Heating::Heat { heat_kwh * 0.0036 } else { 0.0 };
        flows[8] = if self.plan.cooling == Cooling::Cold { cold_kwh * 0.0036 } else { 0.0 };
        flows[9] = warm_gas + kitchen_gas;
        flows[10] = steam_kg_m2_h * self.floor_m2 / 1000.0 * moment.hours * (0.4 + 0.6 * presence);
        flows[11] = (water_l_day / 10.0 * (person_hours + 0.01 * self.people * moment.hours) + leak_l) / 1000.0;
    }
}

/// How far the structure follows the air within `hours`.
fn mass_share(hours: f64) -> f64 {
    AIR_TO_MASS_W_M2_K / (MASS_WH_M2_K / hours + AIR_TO_MASS_W_M2_K)
}

/// Cold per electricity of an air-cooled chiller, by outdoor temperature.
fn cop_cooling(outdoor_c: f64) -> f64 {
    (4.2 - 0.06 * (outdoor_c - 30.0)).clamp(3.0, 6.0)
}

/// Heat per electricity of an air-source heat pump, by outdoor temperature.
fn cop_heating(outdoor_c: f64) -> f64 {
    (3.2 + 0.06 * (outdoor_c - 7.0)).clamp(1.8, 4.5)
}
