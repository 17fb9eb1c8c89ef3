//! How far rooms are from what their users need: degree-hours outside of the comfort band while they are in use.
//!
//! The fleet's truth: no sensor and no estimator has a part in it. Pure.

use crate::zone::{Asset, DayType};

/// Nearer to the band than this is within it, K: our choice, about what a good room controller holds its set point to.
const TOLERANCE_K: f64 = 0.2;

/// Kelvin times hours since counting began.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Comfort {
    pub too_cold_kh: f64,
    pub too_warm_kh: f64,
}

impl Comfort {
    #[must_use]
    pub fn all_kh(self) -> f64 {
        self.too_cold_kh + self.too_warm_kh
    }

    /// A step of `hours` that ended with a room at `room_c`; the asset that holds it says what is wanted.
    pub fn count(&mut self, asset: &Asset, (day, hour): (DayType, u8), room_c: f64, hours: f64) {
        if !asset.in_use(day, hour) {
            return;
        }
        let (low_c, high_c) = asset.comfort;
        self.too_cold_kh += beyond(low_c - room_c) * hours;
        self.too_warm_kh += beyond(room_c - high_c) * hours;
    }
}

fn beyond(kelvin: f64) -> f64 {
    if kelvin > TOLERANCE_K { kelvin } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn degree_hours_by_hand() {
        let asset = Asset {
            id: "a".to_owned(),
            unit: "c".to_owned(),
            min: 15.0,
            max: 30.0,
            comfort: (19.0, 26.0),
            hours: [(7, 20), (0, 0), (0, 0)],
            programme: false,
        };
        let cases = [
            ("within the band nothing", DayType::Workday, 8, 22.0, (0.0, 0.0)),
            ("a tenth is no violation", DayType::Workday, 8, 18.9, (0.0, 0.0)),
            ("two kelvin too cold for a quarter of an hour", DayType::Workday, 8, 17.0, (0.5, 0.0)),
            ("one too warm", DayType::Workday, 19, 27.0, (0.0, 0.25)),
            ("nobody is in at eight in the evening", DayType::Workday, 20, 12.0, (0.0, 0.0)),
            ("nor on Saturdays", DayType::Saturday, 12, 12.0, (0.0, 0.0)),
        ];
        for (claim, day, hour, room_c, wanted) in cases {
            let mut comfort = Comfort::default();
            comfort.count(&asset, (day, hour), room_c, 0.25);
            assert_eq!((comfort.too_cold_kh, comfort.too_warm_kh), wanted, "{claim}");
        }
    }
}
