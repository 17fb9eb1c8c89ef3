//! What regulation did, by the truth of two runs: totals at the zone's border, what each kind of action gave, and whether the promise holds.
//!
//! Pure, and no part of any claim. Energy is standard coal by heat content of what crosses the zone's border, own generation from the sun added back to use.
//! Invariant: the parts add up to the total, by a remainder that is shown.

use std::collections::BTreeMap;

/// The promise: energy from control and fuel switch, energy from control alone, carbon with all that was done. Shares of the run without.
pub const ENERGY_SHARE_MIN: f64 = 0.10;
pub const CONTROL_SHARE_MIN: f64 = 0.06;
pub const CARBON_SHARE_MIN: f64 = 0.15;
/// More degree-hours than this share of the other run's are worse comfort: below it is rounding.
const COMFORT_SHARE: f64 = 1e-6;
/// Goods are the same down to rounding.
const GOODS_SHARE: f64 = 1e-9;

/// What one carrier brought over the zone's border, own generation included.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sum {
    /// kWh, m³ or GJ.
    pub quantity: f64,
    pub tce_calorific: f64,
    pub tce_primary: f64,
    /// Location-based, at the factor of the baseline's last year; own generation has none.
    pub kg_co2e: f64,
    /// Energy and fuel by the tariff, without the demand charge.
    pub cny: f64,
}

/// What flowed in one model of the fleet: table of `fleet.toml`, model, flow; kWh, m³, GJ, or goods.
#[derive(Clone, Debug, PartialEq)]
pub struct Flow {
    pub table: &'static str,
    pub model: String,
    pub name: &'static str,
    pub total: f64,
}

/// The truth of one run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Side {
    /// By carrier.
    pub sums: BTreeMap<String, Sum>,
    pub flows: Vec<Flow>,
    /// By local year and month: the highest hourly mean taken from the grid, kW.
    pub peaks_kw: BTreeMap<(i16, i8), f64>,
    /// Degree-hours outside of the comfort bands while rooms are in use, K·h.
    pub comfort_kh: f64,
}

impl Side {
    #[must_use]
    pub fn sum(&self, value: fn(&Sum) -> f64) -> f64 {
        self.sums.values().map(value).sum()
    }

    fn flow(&self, table: &str, names: &[&str]) -> f64 {
        self.flows.iter().filter(|flow| flow.table == table && names.contains(&flow.name)).map(|flow| flow.total).sum()
    }

    /// tce per unit of a carrier, as the ledger has it.
    fn tce_per(&self, carrier: &str) -> f64 {
        self.sums.get(carrier).filter(|sum| sum.quantity > 0.0).map_or(0.0, |sum| sum.tce_calorific / sum.quantity)
    }
}

/// What a kind of action saved, tce by heat content; below zero it took more.
pub type Parts = BTreeMap<&'static str, f64>;

/// Kinds of parts that are no control.
pub const FUEL_SWITCH: &str = "fuel_switch";
pub const STORAGE: &str = "storage_loss";
pub const CHARGING: &str = "vehicle_charging";
pub const OTHER: &str = "network_losses_and_interaction";

/// What regulation did; `with` is the regulated run.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    pub without: Side,
    pub with: Side,
    pub parts: Parts,
    /// Of own photovoltaics, more than without, kWh.
    pub generated_kwh: f64,
    /// The line that lost most, as a share of its goods; and its name.
    pub goods_lost: (f64, String),
}

impl Outcome {
    #[must_use]
    pub fn new(without: Side, with: Side) -> Outcome {
        let parts = parts(&without, &with);
        let generated_kwh = without.flow("photovoltaic", &["inverter"]) - with.flow("photovoltaic", &["inverter"]);
        let goods_lost = goods_lost(&without, &with);
        Outcome { without, with, parts, generated_kwh, goods_lost }
    }

    #[must_use]
    pub fn saved(&self, value: fn(&Sum) -> f64) -> f64 {
        self.without.sum(value) - self.with.sum(value)
    }

    /// Emissions of both runs, all electricity that was used counted as bought: what control and fuel switch did to them, kg. The factor is that of the run without,
    /// in which nothing leaves the zone.
    #[must_use]
    pub fn without_sun_kg(&self) -> (f64, f64) {
        let electricity = |side: &Side| side.sums.get("electricity").copied().unwrap_or_default();
        let before = electricity(&self.without);
        let bought_kwh = before.quantity + self.without.flow("photovoltaic", &["inverter"]);
        let kg_per_kwh = if bought_kwh > 0.0 { before.kg_co2e / bought_kwh } else { 0.0 };
        let used_kg = |side: &Side| {
            let used = electricity(side);
            side.sum(|sum| sum.kg_co2e) - used.kg_co2e + used.quantity * kg_per_kwh
        };
        (used_kg(&self.without), used_kg(&self.with))
    }

    /// What vehicles left without, kWh: of both runs.
    #[must_use]
    pub fn undelivered_kwh(&self) -> (f64, f64) {
        let of = |side: &Side| ["charging", "v2g"].map(|table| side.flow(table, &["undelivered"])).iter().sum();
        (of(&self.without), of(&self.with))
    }

    #[must_use]
    pub fn share(&self, value: fn(&Sum) -> f64) -> f64 {
        self.saved(value) / self.without.sum(value).max(f64::MIN_POSITIVE)
    }

    /// What control gave, tce: everything but the switch of fuel, what storage lost, and charging, which is moved or withheld and no saving.
    #[must_use]
    pub fn control_tce(&self) -> f64 {
        let part = |name| self.parts.get(name).copied().unwrap_or(0.0);
        self.saved(|sum| sum.tce_calorific) - part(FUEL_SWITCH) - part(STORAGE) - part(CHARGING)
    }

    #[must_use]
    pub fn fuel_switch_tce(&self) -> f64 {
        self.parts.get(FUEL_SWITCH).copied().unwrap_or(0.0)
    }

    /// What the promise asks for, in order: what is asked, the true figure, the bound, and whether it holds.
    #[must_use]
    pub fn promise(&self) -> [(&'static str, f64, f64, bool); 5] {
        let used = self.without.sum(|sum| sum.tce_calorific).max(f64::MIN_POSITIVE);
        let (control, switch) = (self.control_tce() / used, self.fuel_switch_tce() / used);
        let carbon = self.share(|sum| sum.kg_co2e);
        let (comfort, before) = (self.with.comfort_kh, self.without.comfort_kh);
        [
            ("energy lower by control and fuel switch", control + switch, ENERGY_SHARE_MIN, control + switch >= ENERGY_SHARE_MIN),
            ("energy lower by control alone", control, CONTROL_SHARE_MIN, control >= CONTROL_SHARE_MIN),
            ("carbon lower, all counted", carbon, CARBON_SHARE_MIN, carbon >= CARBON_SHARE_MIN),
            ("degree-hours out of comfort, at most", comfort, before, comfort <= before * (1.0 + COMFORT_SHARE)),
            ("share of goods lost, at most", self.goods_lost.0, 0.0, self.goods_lost.0 <= GOODS_SHARE),
        ]
    }
}

/// What a boiler station's heat pumps take.
const PUMPS: &[&str] = &["heat_pump", "waste_heat_pump"];

/// The action that a flow of electricity or gas belongs to.
fn action(table: &str, name: &str) -> Option<&'static str> {
    match (table, name) {
        ("building", "cooling" | "heating") => Some("set_points"),
        ("building", "fans") => Some("ventilation"),
        ("building", "lighting") => Some("indoor_lighting"),
        ("compressor", _) => Some("compressed_air"),
        ("line", "auxiliary") | ("building", "sockets") => Some("auxiliaries"),
        ("data_centre", "cooling") => Some("server_cooling"),
        ("street_lighting", _) => Some("outdoor_lighting"),
        ("charging", "electricity") => Some(CHARGING),
        ("battery" | "v2g", "terminal") => Some(STORAGE),
        _ => None,
    }
}

fn parts(without: &Side, with: &Side) -> Parts {
    let mut parts = Parts::new();
    let (per_kwh, per_m3) = (without.tce_per("electricity"), without.tce_per("natural_gas"));
    for (a, b) in without.flows.iter().zip(&with.flows) {
        if let Some(action) = action(a.table, a.name) {
            *parts.entry(action).or_default() += (a.total - b.total) * per_kwh;
        }
    }
    // What is made of bought energy is worth what its maker took for it in the run without; so much for its users, the rest is the maker's own.
    for (table, fuel, power, (users, own)) in
        [("boiler", &["gas_1", "gas_2"][..], "pumps", ("heat", "boilers")), ("chiller", &[][..], "electricity", ("cold", "chilled_water"))]
    {
        let models: Vec<&str> =
            without.flows.iter().filter(|flow| flow.table == table && flow.name == "made").map(|flow| flow.model.as_str()).collect();
        let (mut for_users, mut for_makers) = (0.0, 0.0);
        for model in models {
            let of = |side: &Side, names: &[&str]| -> f64 {
                side.flows.iter().filter(|flow| flow.model == model && names.contains(&flow.name)).map(|flow| flow.total).sum()
            };
            let taken = |side: &Side| {
                of(side, fuel) * per_m3
                    + (of(side, &[power]) + of(side, PUMPS)) * per_kwh
                    + if table == "chiller" { of(side, &["pumps"]) * per_kwh } else { 0.0 }
            };
            let made = of(without, &["made"]);
            let worth = if made > 0.0 { taken(without) / made } else { 0.0 };
            let demanded = (made - of(with, &["made"])) * worth;
            let switched = (of(with, &["pumped"]) - of(without, &["pumped"])) * worth - (of(with, PUMPS) - of(without, PUMPS)) * per_kwh;
            *parts.entry(FUEL_SWITCH).or_default() += switched;
            for_users += demanded;
            for_makers += taken(without) - taken(with) - demanded - switched;
        }
        // Rooms are all that is heated or cooled by a network and commanded.
        let is_used = (without.flow("building", &[users]) - with.flow("building", &[users])).abs() > 0.0;
        *parts.entry(if is_used { "set_points" } else { OTHER }).or_default() += for_users;
        *parts.entry(own).or_default() += for_makers;
    }
    let known: f64 = parts.values().sum();
    let total = without.sum(|sum| sum.tce_calorific) - with.sum(|sum| sum.tce_calorific);
    *parts.entry(OTHER).or_default() += total - known;
    parts
}

fn goods_lost(without: &Side, with: &Side) -> (f64, String) {
    let lines = without.flows.iter().zip(&with.flows).filter(|(a, _)| a.table == "line" && a.name == "product" && a.total > 0.0);
    // What is still to be made when the year ends is not lost.
    let waits = |line: &Flow| {
        let put_off = with.flows.iter().filter(|flow| flow.table == "line" && flow.name == "put_off" && flow.model == line.model);
        put_off.map(|flow| flow.total).sum::<f64>()
    };
    lines
        .map(|(a, b)| (1.0 - (b.total + waits(b)) / a.total, a.model.clone()))
        .fold((0.0, String::new()), |worst, line| if line.0 > worst.0 { line } else { worst })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// tce: 0.1 a kWh, 1 a m³.
    fn side(kwh: f64, m3: f64, flows: &[(&'static str, &str, &'static str, f64)]) -> Side {
        let sum =
            |quantity, per| Sum { quantity, tce_calorific: quantity * per, tce_primary: quantity, kg_co2e: quantity * per, cny: quantity };
        let sums = BTreeMap::from([("electricity".to_owned(), sum(kwh, 0.1)), ("natural_gas".to_owned(), sum(m3, 1.0))]);
        let flows =
            flows.iter().map(|(table, model, name, total)| Flow { table, model: (*model).to_owned(), name, total: *total }).collect();
        Side { sums, flows, peaks_kw: BTreeMap::new(), comfort_kh: 5.0 }
    }

    #[test]
    fn parts_by_hand_add_up_to_the_total() {
        // 100 GJ of 120 m³ and 50 kWh: 125 tce, 1.25 a GJ. With: rooms take 10 GJ less; a heat pump gives 40 for 100 kWh; the boiler makes the other 50 of 55 m³.
        let without = side(
            1000.0,
            120.0,
            &[
                ("building", "b", "fans", 100.0),
                ("building", "b", "heat", 93.0),
                ("line", "l", "product", 7.0),
                ("boiler", "h", "gas_1", 100.0),
                ("boiler", "h", "gas_2", 20.0),
                ("boiler", "h", "pumps", 50.0),
                ("boiler", "h", "made", 100.0),
                ("boiler", "h", "heat_pump", 0.0),
                ("boiler", "h", "waste_heat_pump", 0.0),
                ("boiler", "h", "pumped", 0.0),
            ],
        );
        let with = side(
            1058.0,
            55.0,
            &[
                ("building", "b", "fans", 60.0),
                ("building", "b", "heat", 83.0),
                ("line", "l", "product", 7.0),
                ("boiler", "h", "gas_1", 55.0),
                ("boiler", "h", "gas_2", 0.0),
                ("boiler", "h", "pumps", 45.0),
                ("boiler", "h", "made", 90.0),
                ("boiler", "h", "heat_pump", 70.0),
                ("boiler", "h", "waste_heat_pump", 30.0),
                ("boiler", "h", "pumped", 40.0),
            ],
        );
        let outcome = Outcome::new(without, with);
        let close = |name: &str, wanted: f64| assert!((outcome.parts[name] - wanted).abs() < 1e-9, "{name}: {:?}", outcome.parts);
        close("ventilation", 4.0);
        close("set_points", 12.5);
        // 40 GJ are worth 50 tce and took 10.
        close(FUEL_SWITCH, 40.0);
        // Taken 125 and 55 + 14.5; 12.5 less was asked for, 40 were switched.
        close("boilers", 3.0);
        let total = outcome.saved(|sum| sum.tce_calorific);
        assert!((total - 59.2).abs() < 1e-9 && (outcome.parts.values().sum::<f64>() - total).abs() < 1e-9);
        assert!((outcome.control_tce() - 19.2).abs() < 1e-9);
        assert!(outcome.goods_lost.0 == 0.0);
    }

    #[test]
    fn what_the_sun_gave_is_no_saving() {
        // 0.1 kg for each kWh bought; all else equal, the sun gives 100 of 1000 kWh.
        let without = side(1000.0, 0.0, &[("photovoltaic", "p", "inverter", 0.0)]);
        let mut with = side(1000.0, 0.0, &[("photovoltaic", "p", "inverter", -100.0)]);
        with.sums.get_mut("electricity").unwrap().kg_co2e = 90.0;
        let outcome = Outcome::new(without, with);
        let (before, after) = outcome.without_sun_kg();
        assert!((before - 100.0).abs() < 1e-9 && (after - 100.0).abs() < 1e-9, "{before} {after}");
        assert!((outcome.share(|sum| sum.kg_co2e) - 0.1).abs() < 1e-12 && (outcome.generated_kwh - 100.0).abs() < 1e-12);
    }

    #[test]
    fn what_is_stored_and_what_was_withheld_is_no_energy_that_a_battery_lost_or_vehicles_took() {
        let flows = |terminal, state, drawn, withheld| {
            [
                ("battery", "b", "terminal", terminal),
                ("battery", "b", "state_of_charge_pct", state),
                ("charging", "c", "electricity", drawn),
                ("charging", "c", "undelivered", withheld),
            ]
        };
        let outcome = Outcome::new(side(130.0, 0.0, &flows(30.0, 900.0, 100.0, 0.0)), side(90.0, 0.0, &flows(10.0, 500.0, 80.0, 20.0)));
        let parts = [STORAGE, CHARGING, OTHER].map(|part| (outcome.parts[part] * 1e6).round() as i64);
        assert_eq!(parts, [2_000_000, 2_000_000, 0], "{:?}", outcome.parts);
        assert!(outcome.control_tce().abs() < 1e-9, "nothing of it is control");
    }

    #[test]
    fn equal_runs_have_no_parts() {
        let run = side(10.0, 1.0, &[("building", "b", "fans", 10.0), ("boiler", "h", "gas_1", 1.0), ("boiler", "h", "made", 1.0)]);
        let outcome = Outcome::new(run.clone(), run);
        assert!(outcome.parts.values().all(|part| *part == 0.0), "{:?}", outcome.parts);
        let holds = outcome.promise().map(|(.., holds)| holds);
        assert_eq!(holds, [false, false, false, true, true]);
    }

    #[test]
    fn lost_goods_and_lost_comfort_break_the_promise() {
        let without = side(10.0, 0.0, &[("line", "a", "product", 10.0), ("line", "b", "product", 10.0)]);
        let with = Side { comfort_kh: 5.1, ..side(1.0, 0.0, &[("line", "a", "product", 10.0), ("line", "b", "product", 9.0)]) };
        let outcome = Outcome::new(without, with);
        assert!((outcome.goods_lost.0 - 0.1).abs() < 1e-12 && outcome.goods_lost.1 == "b");
        assert_eq!(outcome.promise().map(|(.., holds)| holds), [true, true, true, false, false]);
    }
}
