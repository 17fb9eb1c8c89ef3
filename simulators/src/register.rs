//! One channel's counter: the truth behind it and the display in front of it.
//!
//! Never publishes. Invariant: the display is the count rounded down to the resolution, modulo the full scale.

use std::io::Write;

use crate::zone::Channel;

/// Thousandths of a ledger unit in one: flows are rounded to these once, and sums of them are exact.
pub const MILLI: i64 = 1000;

#[derive(Clone, Debug)]
pub struct Register {
    step: i64,
    full: i64,
    /// What the device has counted, in thousandths of a ledger unit.
    counted: i128,
    /// What has truly flowed since the start, in thousandths of a ledger unit.
    total: i64,
}

impl Register {
    /// `start` in thousandths of a ledger unit.
    #[must_use]
    pub fn new(channel: &Channel, start: i128) -> Register {
        Register { step: channel.step, full: channel.full, counted: start, total: 0 }
    }

    /// Ledger units on the display.
    #[must_use]
    pub fn shown(&self) -> i64 {
        let whole = i64::try_from((self.counted / i128::from(MILLI)) % i128::from(self.full)).expect("less than the full scale");
        whole - whole % self.step
    }

    #[must_use]
    pub fn total(&self) -> i64 {
        self.total
    }

    /// How often the counter has passed its full scale.
    #[must_use]
    pub fn turns(&self) -> i128 {
        self.counted / (i128::from(self.full) * i128::from(MILLI))
    }

    /// `flowed` thousandths of a ledger unit, of which the device counts `counted`.
    pub fn flow(&mut self, flowed: i64, counted: i64) {
        self.total += flowed;
        self.counted += i128::from(counted);
    }

    /// The counter, or the one that replaces it, stands at `start` ledger units.
    pub fn restart(&mut self, start: i64) {
        self.counted = i128::from(start) * i128::from(MILLI);
    }
}

/// Writes a register as the meter displays it: before the multiplier, with the decimals of its resolution.
pub fn write_display(channel: &Channel, ledger: i64, out: &mut Vec<u8>) {
    write_scaled(ledger / channel.step * digits_per_step(channel), channel.decimals, out);
}

/// Ledger units of a display of `digits` × 10^−`decimals`, which has no more decimals than the channel's.
#[must_use]
pub fn ledger_of_display(channel: &Channel, digits: i64, decimals: u32) -> i64 {
    let steps = digits * 10_i64.pow(channel.decimals - decimals) / digits_per_step(channel);
    steps * channel.step
}

/// The display's smallest step in units of its last digit.
fn digits_per_step(channel: &Channel) -> i64 {
    let scale = 10_i64.pow(channel.decimals) as f64;
    (channel.step as f64 * scale / (channel.multiplier * channel.ledger_per_unit as f64)).round() as i64
}

/// Writes `digits` × 10^−`decimals`.
pub fn write_scaled(digits: i64, decimals: u32, out: &mut Vec<u8>) {
    let scale = 10_u64.pow(decimals);
    let (whole, fraction) = (digits.unsigned_abs() / scale, digits.unsigned_abs() % scale);
    let sign = if digits < 0 { "-" } else { "" };
    let written = if decimals == 0 {
        write!(out, "{sign}{whole}")
    } else {
        write!(out, "{sign}{whole}.{fraction:0width$}", width = decimals as usize)
    };
    written.expect("writing to memory does not fail");
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::zone::{Carrier, Direction, Level};

    /// An electricity register with 0.1 kWh steps behind a transformer ratio of 40.
    pub(crate) fn channel() -> Channel {
        Channel {
            meter: "M".to_owned(),
            item: "active_energy_import_kwh".to_owned(),
            entity: "E".to_owned(),
            parent: None,
            level: Level::Entry,
            boundary: true,
            carrier: Carrier::Electricity,
            direction: Direction::Import,
            ledger_per_unit: 1000,
            step: 4000,
            multiplier: 40.0,
            decimals: 1,
            full: 40_000_000_000,
            rating_per_h: 400_000,
            serial: "S1".to_owned(),
            valid_from_ms: 0,
            gateway: "gw".to_owned(),
        }
    }

    #[test]
    fn the_display_rounds_down_and_rolls_over_at_full_scale() {
        let mut register = Register::new(&channel(), (40_000_000_000_i128 - 5_000) * i128::from(MILLI));
        assert_eq!((register.shown(), register.turns()), (39_999_992_000, 0));
        register.flow(8_999_999, 8_999_999);
        assert_eq!((register.shown(), register.turns()), (0, 1));
        register.flow(1, 1);
        assert_eq!(register.shown(), 4000);
    }

    #[test]
    fn the_published_number_is_the_display_before_the_multiplier() {
        let mut out = Vec::new();
        write_display(&channel(), 4000 * 123_456, &mut out);
        assert_eq!(out, b"12345.6");
        out.clear();
        write_scaled(-45, 3, &mut out);
        assert_eq!(out, b"-0.045");
    }
}
