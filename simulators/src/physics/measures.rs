//! Energy-saving measures of `fleet.toml`: what is done to which model, on the day on which somebody takes them.
//!
//! No run takes them but a trial's second one. Invariant: a measure changes what things use, never what people do, what is made, or a draw.

use serde::Deserialize;

/// What is done. Each has one number, [`Measure::by`]; the ranges are what audits report (`limit`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A building is heated to so many kelvin less, and cooled to so many more.
    SetPoints,
    /// This share of what stays on while nobody is in is switched off.
    Schedules,
    /// This share of the lighting's power goes.
    Lighting,
    /// The net's pressure is lower by so many bar.
    AirPressure,
    /// This share of the net's leaks is mended.
    AirLeaks,
    /// Drives, heaters, furnaces and idling take this share less for the same goods.
    Production,
}

impl Kind {
    /// The most that is believed: set points within comfort; two thirds of a leak, half of what stays on; LED for fluorescent lamps; a bar and
    /// a half above what tools need; efficient drives.
    fn limit(self) -> f64 {
        match self {
            Kind::SetPoints => 2.0,
            Kind::Schedules | Kind::Lighting => 0.5,
            Kind::AirPressure => 1.5,
            Kind::AirLeaks => 0.67,
            Kind::Production => 0.1,
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measure {
    /// The id of a building, line, compressor or street lighting.
    pub model: String,
    pub kind: Kind,
    /// In the kind's unit.
    pub by: f64,
}

impl Measure {
    pub fn check(&self) -> Result<(), String> {
        let limit = self.kind.limit();
        if 0.0 < self.by && self.by <= limit {
            return Ok(());
        }
        Err(format!("the measure {:?} of {:?} is by {}, wanted more than 0 and at most {limit}", self.kind, self.model, self.by))
    }
}
