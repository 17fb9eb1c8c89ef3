//! What can be regulated, within which limits (`assets.toml`).
//!
//! Invariants: comfort lies within the limits, and the normal set point too. Set points, limits and rates are in the asset's own unit.

use jiff::civil::{Date, DateTime};

use super::calendar::{DayType, DayTypes};
use super::entity::named;

named! {
    AssetKind {
        Hvac = "hvac",
        Battery = "battery",
        EvCharging = "ev_charging",
        /// Vehicles at posts that may give back; in use they are on the road.
        V2g = "v2g",
        Compressor = "compressor",
        Boiler = "boiler",
        /// Outdoor lamps.
        Lighting = "lighting",
        Ventilation = "ventilation",
        IndoorLighting = "indoor_lighting",
        /// Of machines: the air that servers are given.
        Cooling = "cooling",
        ChilledWater = "chilled_water",
        /// What of production may rest outside of its shifts.
        Auxiliary = "auxiliary",
        HeatPump = "heat_pump",
        /// Of burners: the oxygen left in their flue gas.
        Combustion = "combustion",
        /// Work that may wait until later in its day.
        Batch = "batch",
    }
}

impl AssetKind {
    /// The lowest that its limits may begin at: posts that only charge take set points of 0 and more.
    #[must_use]
    pub fn lowest(self) -> f64 {
        if self == AssetKind::EvCharging { 0.0 } else { f64::NEG_INFINITY }
    }

    /// The unit in which strategies think of the kind's set points; an asset in another one is left to its plan.
    #[must_use]
    pub fn unit(self) -> &'static str {
        match self {
            AssetKind::Hvac | AssetKind::Boiler | AssetKind::Cooling | AssetKind::ChilledWater => "c",
            AssetKind::Battery | AssetKind::EvCharging | AssetKind::V2g | AssetKind::Batch => "kw",
            AssetKind::Compressor => "bar",
            AssetKind::Lighting
            | AssetKind::Ventilation
            | AssetKind::IndoorLighting
            | AssetKind::Auxiliary
            | AssetKind::HeatPump
            | AssetKind::Combustion => "pct",
        }
    }
}

named! {
    /// How far a decision goes by itself.
    Mode {
        /// It is written down, and nobody is commanded.
        Advise = "advise",
        /// It waits for a person.
        Approve = "approve",
        /// It is sent.
        Automatic = "automatic",
    }
}

/// From `min` to `max`, both included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Band {
    pub min: f64,
    pub max: f64,
}

impl Band {
    #[must_use]
    pub fn contains(self, value: f64) -> bool {
        (self.min..=self.max).contains(&value)
    }

    /// The value within that is nearest.
    #[must_use]
    pub fn nearest(self, value: f64) -> f64 {
        value.max(self.min).min(self.max)
    }
}

/// Whole local hours of a day, `from` up to, not including, `to`; none where both are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hours {
    pub from: u8,
    pub to: u8,
}

impl Hours {
    pub const ALL_DAY: Hours = Hours { from: 0, to: 24 };

    fn has(self, hour: i16) -> bool {
        (i16::from(self.from)..i16::from(self.to)).contains(&hour)
    }

    /// Reads `7-19`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Hours> {
        let hour = |text: &str| text.parse::<u8>().ok().filter(|hour| *hour <= 24);
        let (from, to) = text.split_once('-')?;
        let hours = Hours { from: hour(from)?, to: hour(to)? };
        (hours.from <= hours.to).then_some(hours)
    }
}

/// What can be moved in time: by a battery, by vehicles that stay plugged in, or because work may wait.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Storing {
    /// Of a battery, or of all vehicles that may give, kWh; without it nothing is planned for it.
    pub capacity_kwh: Option<f64>,
    /// What comes back of what a battery takes, a share.
    pub round_trip: f64,
    /// Between these shares of its capacity a battery is used.
    pub charge: Band,
    /// The share of their capacity that vehicles which may give leave with.
    pub leave: f64,
    /// Vehicles stay at least so long after charging could have been over, hours: what is withheld from them can be made up within.
    pub stay_h: f64,
    /// The local hour of the day, 0 to 23, by which work that came in the 24 hours before is done.
    pub done_by: i8,
}

impl Default for Storing {
    /// A lithium battery's round trip of 88 %, used between 10 and 95 % (docs/zone.md); vehicles that leave at once, or as full as they may be; work that is done by midnight.
    fn default() -> Storing {
        Storing { capacity_kwh: None, round_trip: 0.88, charge: Band { min: 0.1, max: 0.95 }, leave: 0.95, stay_h: 0.0, done_by: 0 }
    }
}

/// What a heat pump makes of its electricity, and the boilers that it stands before of their fuel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pumping {
    /// What it reaches of Carnot's coefficient between the outdoor air and the flow; without it nothing is planned for it.
    pub of_carnot: Option<f64>,
    /// The most heat that it gives; without it nothing is planned for it.
    pub heat_kw: Option<f64>,
    /// Heat per lower heating value of the boilers that it stands before.
    pub boiler_efficiency: f64,
}

impl Pumping {
    /// Whether enough is known of it to plan for it.
    #[must_use]
    pub fn is_planned(&self) -> bool {
        self.of_carnot.is_some() && self.heat_kw.is_some()
    }
}

impl Default for Pumping {
    /// Boilers of 90 %. Our choice (docs/zone.md).
    fn default() -> Pumping {
        Pumping { of_carnot: None, heat_kw: None, boiler_efficiency: 0.9 }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Asset {
    pub id: Box<str>,
    pub entity: Box<str>,
    pub kind: AssetKind,
    pub unit: Box<str>,
    /// What a command may say.
    pub limits: Band,
    /// What its users need while it is in use.
    pub comfort: Band,
    /// What its own plan does, where rates are counted from as long as nothing is commanded.
    pub normal: Option<f64>,
    /// The least time between two changes of its set point.
    pub dwell_ms: i64,
    /// The largest change of its set point in an hour.
    pub rate_per_h: Option<f64>,
    /// When it is in use: on workdays, on Saturdays, on Sundays and holidays.
    pub hours: [Hours; 3],
    pub mode: Mode,
    /// Not there, and not commanded, before a programme is commissioned.
    pub programme: bool,
    pub storing: Storing,
    pub pumping: Pumping,
}

impl Asset {
    /// Whether it is in use at a local time.
    #[must_use]
    pub fn in_use(&self, local: DateTime, days: &DayTypes) -> bool {
        self.hours_of(local.date(), days).has(local.hour().into())
    }

    /// Whole hours from the begin of a local hour to the next begin or end of its use, looked for up to the end of the next day.
    #[must_use]
    pub fn use_changes_in_h(&self, local: DateTime, days: &DayTypes) -> Option<i16> {
        let (today, now) = (self.hours_of(local.date(), days), i16::from(local.hour()));
        let next = local.date().tomorrow().map_or(today, |date| self.hours_of(date, days));
        let used = |hour: i16| if hour < 24 { today.has(hour) } else { next.has(hour - 24) };
        (now + 1..48).find(|hour| used(*hour) != used(now)).map(|hour| hour - now)
    }

    fn hours_of(&self, date: Date, days: &DayTypes) -> Hours {
        self.hours_on(days.of(date))
    }

    fn hours_on(&self, day: DayType) -> Hours {
        match day {
            DayType::Workday => self.hours[0],
            DayType::Saturday => self.hours[1],
            DayType::Sunday | DayType::Holiday => self.hours[2],
        }
    }

    /// Whether it is in use in a local hour, 0 to 23, of such a day.
    #[must_use]
    pub fn in_use_on(&self, day: DayType, hour: i8) -> bool {
        self.hours_on(day).has(hour.into())
    }

    /// What a set point has to be within.
    #[must_use]
    pub fn band(&self, in_use: bool) -> Band {
        if in_use { self.comfort } else { self.limits }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use jiff::civil::date;

    use super::*;
    use crate::domain::units::HOUR_MS;

    /// A room's set point, always in use.
    pub fn asset() -> Asset {
        Asset {
            id: "a".into(),
            entity: "E-1".into(),
            kind: AssetKind::Hvac,
            unit: "c".into(),
            limits: Band { min: 18.0, max: 28.0 },
            comfort: Band { min: 20.0, max: 26.0 },
            normal: None,
            dwell_ms: HOUR_MS,
            rate_per_h: None,
            hours: [Hours::ALL_DAY; 3],
            mode: Mode::Automatic,
            programme: false,
            storing: Storing::default(),
            pumping: Pumping::default(),
        }
    }

    #[test]
    fn hours_are_whole_and_in_order() {
        let hours = |from, to| Some(Hours { from, to });
        let cases =
            [("7-19", hours(7, 19)), ("0-24", hours(0, 24)), ("0-0", hours(0, 0)), ("19-7", None), ("7", None), ("7-25", None), ("", None)];
        for (text, wanted) in cases {
            assert_eq!(Hours::parse(text), wanted, "{text}");
        }
    }

    #[test]
    fn the_next_begin_or_end_of_a_use_is_looked_for_up_to_tomorrow_night() {
        // Friday and Saturday, the second and third of January 2026; Sundays never.
        let hours = |[from, to]: [u8; 2]| Hours { from, to };
        let (day, never) = ([7, 19], [0, 0]);
        let cases = [
            ("before its begin", day, never, 5, Some(2)),
            ("up to its end", day, never, 7, Some(12)),
            ("tomorrow not at all", day, never, 20, None),
            ("tomorrow", day, day, 20, Some(11)),
            ("into tomorrow", [7, 24], [0, 3], 20, Some(7)),
            ("always", [0, 24], [0, 24], 20, None),
        ];
        for (claim, workday, saturday, hour, wanted) in cases {
            let asset = Asset { hours: [workday, saturday, never].map(hours), ..asset() };
            let local = date(2026, 1, 2).at(hour, 30, 0, 0);
            assert_eq!(asset.use_changes_in_h(local, &DayTypes::default()), wanted, "{claim}");
        }
    }
}
