//! What would be good for an asset by plain rules: occupancy hours, season, tariff, and small steps.
//!
//! Never looks after limits: that is the guard's. No wish means the asset's own plan.

use jiff::civil::DateTime;

use crate::domain::assets::{Asset, AssetKind, Band};
use crate::domain::tariff;

/// Mean outdoor temperature of a day below which buildings are heated, °C. A heating limit of 15 °C is usual for buildings with some insulation (VDI 3807-1:2013).
const HEATED_BELOW_C: f64 = 15.0;
/// Mean outdoor temperature of a day above which they are cooled, °C. Our choice; between the two nobody is commanded.
const COOLED_ABOVE_C: f64 = 22.0;
/// The outdoor temperature at which heating runs at its full flow temperature, °C; Qingdao's design temperature for heating is −5 °C (GB 50736-2012).
const FULL_FLOW_AT_C: f64 = -5.0;
/// The outdoor temperature at which chilled water has to be at its coldest, °C: Qingdao's design temperature for cooling (GB 50736-2012, 29.4 °C).
const FULL_COLD_AT_C: f64 = 29.4;
/// And at which it may be at its warmest, °C. Our choice, where buildings begin to be cooled.
const LEAST_COLD_AT_C: f64 = 22.0;
/// A building is brought to its temperature so long before it is in use, h: the first in mild weather, the second at the design temperature for heating.
const LEAD_HOURS: (f64, f64) = (1.0, 3.0);
/// Outdoors at least this warm is mild, °C.
const MILD_FROM_C: f64 = 10.0;
/// A pressure is lowered by so much at a time, bar: whoever needs more is heard before the next step.
const PRESSURE_STEP_BAR: f64 = 0.1;
/// Local hours of the late night, when few are about.
const LATE_FROM_HOUR: i8 = 23;
const LATE_TO_HOUR: i8 = 5;
/// A battery takes or gives this share of its power, so that its hours do not make the zone's new peak.
const BATTERY_SHARE: f64 = 0.5;

/// What is known when a decision is due.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Situation {
    pub local: DateTime,
    /// In use now or within the time that warming up takes.
    pub in_use: bool,
    /// What is commanded at present.
    pub value: Option<f64>,
    /// Means of the outdoor temperature over the last day and the last hours, °C; none without a gauge.
    pub day_c: Option<f64>,
    pub outdoor_c: Option<f64>,
    /// Electricity's band of the tariff.
    pub band: tariff::Band,
}

/// A set point that would be good, in the asset's unit, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Wish {
    pub value: f64,
    pub reason: &'static str,
}

#[must_use]
pub fn wish(asset: &Asset, situation: &Situation) -> Option<Wish> {
    if *asset.unit != *asset.kind.unit() {
        return None;
    }
    let band = asset.band(situation.in_use);
    match asset.kind {
        AssetKind::Hvac => climate(band, situation),
        AssetKind::Compressor => Some(pressure(asset, band, situation)),
        AssetKind::Ventilation | AssetKind::IndoorLighting => {
            let reason = if situation.in_use { "in use: what its users need" } else { "out of use: the least" };
            Some(Wish { value: band.min, reason })
        }
        AssetKind::Combustion => Some(Wish { value: band.min, reason: "the least air that burns the gas" }),
        AssetKind::Cooling => Some(Wish { value: band.max, reason: "the warmest air that the machines are made for" }),
        AssetKind::ChilledWater => situation.outdoor_c.map(|outdoor_c| chilled_water(asset, band, outdoor_c)),
        AssetKind::Auxiliary => (!situation.in_use).then_some(Wish { value: band.min, reason: "between shifts: only what has to stay on" }),
        // In colder air it would take more primary energy than the boilers.
        AssetKind::HeatPump => situation
            .outdoor_c
            .filter(|outdoor_c| (FULL_FLOW_AT_C..HEATED_BELOW_C).contains(outdoor_c))
            .map(|_| Wish { value: band.max, reason: "the heat pump before the boilers" }),
        AssetKind::Lighting => {
            let late = LATE_FROM_HOUR <= situation.local.hour() || situation.local.hour() < LATE_TO_HOUR;
            late.then_some(Wish { value: band.min, reason: "late at night few are about" })
        }
        AssetKind::Boiler => situation.outdoor_c.map(|outdoor_c| flow_temperature(asset, band, outdoor_c)),
        AssetKind::Battery => Some(battery(asset.limits, situation.band)),
        // Without a plan work is done as it comes, and vehicles stand as they are to leave.
        AssetKind::Batch | AssetKind::V2g => None,
        AssetKind::EvCharging => match situation.band {
            tariff::Band::Sharp | tariff::Band::Peak => Some(Wish { value: band.min, reason: "charging waits in the dear hours" }),
            tariff::Band::Flat | tariff::Band::Valley | tariff::Band::DeepValley | tariff::Band::Unpriced => None,
        },
    }
}

fn climate(band: Band, situation: &Situation) -> Option<Wish> {
    let day_c = situation.day_c?;
    let heats = day_c < HEATED_BELOW_C;
    if !heats && day_c <= COOLED_ABOVE_C {
        return None;
    }
    let value = if heats { band.min } else { band.max };
    let reason = match (heats, situation.in_use) {
        (true, true) => "in use on a heating day: the lowest comfortable temperature",
        (true, false) => "out of use on a heating day: set back",
        (false, true) => "in use on a cooling day: the highest comfortable temperature",
        (false, false) => "out of use on a cooling day: set back",
    };
    Some(Wish { value, reason })
}

/// How long before its use a building is brought to its temperature, h: longer in the cold, on a straight line.
#[must_use]
pub fn lead_hours(outdoor_c: Option<f64>) -> f64 {
    let share = outdoor_c.map_or(0.0, |outdoor_c| ((MILD_FROM_C - outdoor_c) / (MILD_FROM_C - FULL_FLOW_AT_C)).clamp(0.0, 1.0));
    LEAD_HOURS.0 + share * (LEAD_HOURS.1 - LEAD_HOURS.0)
}

fn pressure(asset: &Asset, band: Band, situation: &Situation) -> Wish {
    // A net that may be without pressure is one with a valve.
    if !situation.in_use && asset.limits.min <= 0.0 {
        return Wish { value: asset.limits.min, reason: "between shifts: the net is shut" };
    }
    let from = situation.value.or(asset.normal).unwrap_or(asset.limits.max);
    let lower = (from - PRESSURE_STEP_BAR).max(band.min);
    // Below what is needed, up at once.
    Wish { value: lower, reason: "pressure down in small steps to what is needed" }
}

/// A straight line from the full flow temperature on the coldest days to the lowest where heating ends.
fn flow_temperature(asset: &Asset, band: Band, outdoor_c: f64) -> Wish {
    let full = asset.normal.unwrap_or(band.max);
    let share = ((HEATED_BELOW_C - outdoor_c) / (HEATED_BELOW_C - FULL_FLOW_AT_C)).clamp(0.0, 1.0);
    let value = band.min + share * (full - band.min).max(0.0);
    // Whole kelvins: a curve that is followed to the hundredth is a new command each quarter.
    Wish { value: value.round(), reason: "flow temperature by the outdoor temperature" }
}

/// A straight line from the warmest water where cooling begins to the coldest on the hottest days, in whole kelvins.
fn chilled_water(asset: &Asset, band: Band, outdoor_c: f64) -> Wish {
    let coldest = asset.normal.unwrap_or(band.min);
    let share = ((FULL_COLD_AT_C - outdoor_c) / (FULL_COLD_AT_C - LEAST_COLD_AT_C)).clamp(0.0, 1.0);
    let value = coldest + share * (band.max - coldest).max(0.0);
    Wish { value: value.floor(), reason: "chilled water by the outdoor temperature" }
}

fn battery(limits: Band, band: tariff::Band) -> Wish {
    match band {
        tariff::Band::Valley | tariff::Band::DeepValley => Wish { value: BATTERY_SHARE * limits.max, reason: "charges in the cheap hours" },
        tariff::Band::Sharp | tariff::Band::Peak => Wish { value: BATTERY_SHARE * limits.min, reason: "gives in the dear hours" },
        tariff::Band::Flat | tariff::Band::Unpriced => Wish { value: limits.nearest(0.0), reason: "rests" },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::assets::tests::asset;

    fn situation() -> Situation {
        Situation {
            local: jiff::civil::date(2026, 1, 5).at(10, 0, 0, 0),
            in_use: true,
            value: None,
            day_c: Some(0.0),
            outdoor_c: Some(0.0),
            band: tariff::Band::Flat,
        }
    }

    fn value(asset: &Asset, situation: &Situation) -> Option<f64> {
        wish(asset, situation).map(|wish| wish.value)
    }

    #[test]
    fn climate_follows_season_and_use() {
        let cases = [
            ("heating day, in use", Some(0.0), true, Some(20.0)),
            ("heating day, set back", Some(14.9), false, Some(18.0)),
            ("between the seasons the plan", Some(18.0), true, None),
            ("cooling day, in use", Some(27.0), true, Some(26.0)),
            ("cooling day, set back", Some(27.0), false, Some(28.0)),
            ("without a gauge the plan", None, true, None),
        ];
        for (claim, day_c, in_use, wanted) in cases {
            assert_eq!(value(&asset(), &Situation { in_use, day_c, ..situation() }), wanted, "{claim}");
        }
    }

    fn of_kind(kind: AssetKind, (min, max): (f64, f64), (low, high): (f64, f64)) -> Asset {
        Asset { kind, unit: kind.unit().into(), limits: Band { min, max }, comfort: Band { min: low, max: high }, ..asset() }
    }

    #[test]
    fn pressure_goes_down_in_small_steps_and_never_below_what_is_needed() {
        let net = Asset { normal: Some(7.0), ..of_kind(AssetKind::Compressor, (5.5, 8.0), (6.75, 8.0)) };
        let mut steps = Vec::new();
        let mut now = situation();
        for _ in 0..4 {
            now.value = value(&net, &now);
            steps.extend(now.value.map(|value| (value * 100.0).round()));
        }
        assert_eq!(steps, [690.0, 680.0, 675.0, 675.0]);
    }

    #[test]
    fn lighting_is_dimmed_late_at_night() {
        let lamps = of_kind(AssetKind::Lighting, (30.0, 100.0), (40.0, 100.0));
        for (hour, wanted) in [(22, None), (23, Some(40.0)), (0, Some(40.0)), (4, Some(40.0)), (5, None)] {
            let local = jiff::civil::date(2026, 1, 5).at(hour, 0, 0, 0);
            assert_eq!(value(&lamps, &Situation { local, ..situation() }), wanted, "{hour}");
        }
    }

    #[test]
    fn the_flow_is_cooler_on_warmer_days() {
        let boiler = Asset { normal: Some(60.0), ..of_kind(AssetKind::Boiler, (40.0, 75.0), (50.0, 75.0)) };
        for (outdoor_c, wanted) in [(-20.0, 60.0), (-5.0, 60.0), (5.0, 55.0), (15.0, 50.0), (30.0, 50.0)] {
            assert_eq!(value(&boiler, &Situation { outdoor_c: Some(outdoor_c), ..situation() }), Some(wanted), "{outdoor_c}");
        }
        assert_eq!(value(&boiler, &Situation { outdoor_c: None, ..situation() }), None);
    }

    #[test]
    fn batteries_and_charging_follow_the_tariff() {
        let battery = of_kind(AssetKind::Battery, (-2000.0, 2000.0), (-2000.0, 2000.0));
        let posts = of_kind(AssetKind::EvCharging, (300.0, 2880.0), (1440.0, 2880.0));
        let cases = [
            (tariff::Band::Sharp, -1000.0, Some(1440.0)),
            (tariff::Band::Peak, -1000.0, Some(1440.0)),
            (tariff::Band::Flat, 0.0, None),
            (tariff::Band::Valley, 1000.0, None),
            (tariff::Band::DeepValley, 1000.0, None),
            (tariff::Band::Unpriced, 0.0, None),
        ];
        for (band, stored, capped) in cases {
            let now = Situation { band, ..situation() };
            assert_eq!((value(&battery, &now), value(&posts, &now)), (Some(stored), capped), "{band:?}");
        }
    }

    #[test]
    fn what_a_building_needs_follows_its_use() {
        let cases = [
            (AssetKind::Ventilation, Some(75.0), Some(60.0)),
            (AssetKind::IndoorLighting, Some(75.0), Some(60.0)),
            (AssetKind::Auxiliary, None, Some(60.0)),
        ];
        for (kind, used, unused) in cases {
            let asset = of_kind(kind, (60.0, 100.0), (75.0, 100.0));
            let at = |in_use| value(&asset, &Situation { in_use, ..situation() });
            assert_eq!((at(true), at(false)), (used, unused), "{kind:?}");
        }
    }

    #[test]
    fn machines_and_stations_follow_the_weather() {
        let servers = of_kind(AssetKind::Cooling, (18.0, 27.0), (18.0, 25.0));
        assert_eq!(value(&servers, &situation()), Some(25.0));
        let burners = of_kind(AssetKind::Combustion, (2.0, 8.0), (2.5, 8.0));
        assert_eq!(value(&burners, &situation()), Some(2.5));
        let chiller = Asset { normal: Some(7.0), ..of_kind(AssetKind::ChilledWater, (5.0, 12.0), (5.0, 10.0)) };
        let pump = of_kind(AssetKind::HeatPump, (0.0, 100.0), (0.0, 100.0));
        let cases = [
            (-6.0, 10.0, None),
            (-5.0, 10.0, Some(100.0)),
            (14.0, 10.0, Some(100.0)),
            (20.0, 10.0, None),
            (26.0, 8.0, None),
            (35.0, 7.0, None),
        ];
        for (outdoor_c, water, pumped) in cases {
            let now = Situation { outdoor_c: Some(outdoor_c), ..situation() };
            assert_eq!((value(&chiller, &now), value(&pump, &now)), (Some(water), pumped), "{outdoor_c}");
        }
    }

    #[test]
    fn a_net_with_a_valve_is_shut_between_shifts() {
        let net = of_kind(AssetKind::Compressor, (0.0, 8.0), (6.2, 8.0));
        let at = |in_use, value_now| value(&net, &Situation { in_use, value: value_now, ..situation() });
        assert_eq!((at(false, Some(6.2)), at(true, Some(0.0))), (Some(0.0), Some(6.2)));
    }

    #[test]
    fn buildings_start_earlier_in_the_cold() {
        for (outdoor_c, hours) in
            [(Some(20.0), 1.0), (Some(10.0), 1.0), (Some(2.5), 2.0), (Some(-5.0), 3.0), (Some(-15.0), 3.0), (None, 1.0)]
        {
            assert!((lead_hours(outdoor_c) - hours).abs() < 1e-12, "{outdoor_c:?}");
        }
    }

    #[test]
    fn an_asset_in_another_unit_is_left_to_its_plan() {
        assert_eq!(wish(&Asset { unit: "f".into(), ..asset() }, &situation()), None);
    }
}
