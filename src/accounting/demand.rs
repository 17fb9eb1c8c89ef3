//! A month's demand and power factor, and what they add to its bill.
//!
//! Pure. Invariants: demand is the mean of whole 15 minutes where there are such, and of what was read at once where there is only that; money is
//! rounded once, half to even.

use std::collections::BTreeMap;

use crate::domain::tariff::power_factor_adjustment;
use crate::domain::units::{MINUTE_MS, Millis, NanoCny, Quantity};

/// Demand is a mean over this, if readings allow it.
const DEMAND_MINUTES: i64 = 15;
const HOUR_MINUTES: i64 = 60;

/// What one subject took over an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    pub start: Millis,
    pub minutes: i64,
    pub quantity: i128,
    /// Sum of what was metered, whatever its sign, and the part of it that was assumed or estimated.
    pub gross: i128,
    pub unmeasured: i128,
}

impl Taken {
    /// Mean over the interval; Wh over a part of an hour are whole watts for every length an interval may have.
    #[must_use]
    pub fn watts(&self) -> i128 {
        self.quantity * i128::from(HOUR_MINUTES) / i128::from(self.minutes)
    }
}

/// The highest mean, the earliest of equal ones; `hour` gives an interval's start the local hour's. Of an hour in which some meter was read by the
/// hour only the hour's mean is known.
#[must_use]
pub fn peak(intervals: &[Taken], mut hour: impl FnMut(Millis) -> Millis) -> Option<Taken> {
    let mut hours: BTreeMap<Millis, Vec<&Taken>> = BTreeMap::new();
    for taken in intervals {
        hours.entry(hour(taken.start)).or_default().push(taken);
    }
    let mut slots: BTreeMap<Millis, Taken> = BTreeMap::new();
    for (hour, parts) in hours {
        let longest = parts.iter().map(|part| part.minutes).max().unwrap_or(HOUR_MINUTES);
        let minutes = if DEMAND_MINUTES % longest == 0 { DEMAND_MINUTES } else { longest };
        for part in parts {
            let slot = part.start.ms_since(hour).div_euclid(minutes * MINUTE_MS);
            let start = hour.plus_ms(slot * minutes * MINUTE_MS);
            let into = slots.entry(start).or_insert(Taken { start, minutes, quantity: 0, gross: 0, unmeasured: 0 });
            into.quantity += part.quantity;
            into.gross += part.gross;
            into.unmeasured += part.unmeasured;
        }
    }
    slots.into_values().reduce(|highest, slot| if highest.watts() < slot.watts() { slot } else { highest })
}

/// A month's power factor in hundredths, rounded half up: energy over apparent energy, `parts` being energies with the power factor they flowed at.
/// None where no energy flowed at a known one.
#[must_use]
pub fn power_factor_hundredths(parts: impl Iterator<Item = (Quantity, f64)>) -> Option<i64> {
    let (mut active, mut reactive) = (0.0, 0.0);
    for (energy, factor) in parts.map(|(energy, factor)| (energy.0 as f64, factor.abs())) {
        if 0.0 < factor && factor <= 1.0 && 0.0 < energy {
            active += energy;
            reactive += energy * (1.0 - factor * factor).sqrt() / factor;
        }
    }
    (0.0 < active).then(|| (100.0 * active / active.hypot(reactive)).round() as i64)
}

/// What a month's power factor adds to a bill of `base`: energy without funds, and the demand charge.
#[must_use]
pub fn adjustment(base: NanoCny, power_factor_hundredths: i64) -> NanoCny {
    /// Hundredths of a percent in the whole.
    const WHOLE: i128 = 10_000;
    let product = base.0 * i128::from(power_factor_adjustment(power_factor_hundredths));
    let (below, rest) = (product.div_euclid(WHOLE), product.rem_euclid(WHOLE));
    let up = 2 * rest > WHOLE || (2 * rest == WHOLE && below % 2 != 0);
    NanoCny(below + i128::from(up))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(minute: i64, minutes: i64, wh: i128) -> Taken {
        Taken { start: Millis(minute * MINUTE_MS), minutes, quantity: wh, gross: wh, unmeasured: 0 }
    }

    /// Start in minutes, length, watts.
    type Seen = (i64, i64, i128);
    type Parts<'t> = &'t [(i64, f64)];

    #[test]
    fn demand_is_the_highest_mean_that_readings_can_show() {
        let cases: [(&str, &[Taken], Seen); 5] = [
            ("the highest quarter", &[taken(0, 15, 100), taken(15, 15, 300), taken(30, 15, 200)], (15, 15, 1_200)),
            ("the earliest of equal ones", &[taken(15, 15, 300), taken(75, 15, 300)], (15, 15, 1_200)),
            ("three fives are a quarter", &[taken(0, 5, 10), taken(5, 5, 20), taken(10, 5, 30), taken(15, 5, 50)], (0, 15, 240)),
            ("one meter by the hour: the hour", &[taken(0, 60, 600), taken(0, 15, 400), taken(15, 15, 200)], (0, 60, 1_200)),
            ("half hours stay half hours", &[taken(0, 30, 500), taken(30, 30, 600)], (30, 30, 1_200)),
        ];
        for (claim, intervals, wanted) in cases {
            let peak = peak(intervals, |at| Millis(at.0.div_euclid(60 * MINUTE_MS) * 60 * MINUTE_MS)).unwrap();
            assert_eq!((peak.start.0 / MINUTE_MS, peak.minutes, peak.watts()), wanted, "{claim}");
        }
        assert_eq!(peak(&[], |at| at), None);
    }

    #[test]
    fn a_months_power_factor_is_active_over_apparent_energy() {
        // tan(acos 0.8) = 0.75 and tan(acos 0.6) = 4/3.
        let cases: [(Parts, Option<i64>); 6] = [
            (&[(40, 0.8)], Some(80)),
            // 60 active and 30 reactive: 60 / 67.08.
            (&[(40, 0.8), (20, 1.0)], Some(89)),
            // 70 active, 40 + 30 reactive: 70 / 98.99.
            (&[(30, 0.6), (40, 0.8)], Some(71)),
            (&[(40, -0.8), (10, 0.0), (10, 1.5)], Some(80)),
            (&[(0, 0.9)], None),
            (&[], None),
        ];
        for (parts, wanted) in cases {
            let parts = parts.iter().map(|(energy, factor)| (Quantity(*energy), *factor));
            assert_eq!(power_factor_hundredths(parts), wanted);
        }
    }

    #[test]
    fn the_adjustment_is_rounded_half_to_even() {
        // 0.85: + 2.5 %; 0.94: − 0.60 %; 0.90: nothing (Shui Dian Cai Zi [1983] No. 215).
        for (base, factor, wanted) in
            [(1_000, 85, 25), (20, 85, 0), (60, 85, 2), (1_000, 94, -6), (1_000, 90, 0), (250, 94, -2), (-1_000, 85, -25)]
        {
            assert_eq!(adjustment(NanoCny(base), factor), NanoCny(wanted), "{base} at 0.{factor}");
        }
    }
}
