//! Ledger units.
//!
//! Every quantity of the ledger is an integer, so sums are associative and totals compare with `==`. Factors are rounded once, half to even,
//! when they are loaded; from there on quantity × factor is exact.

use std::iter::Sum;
use std::ops::{Add, AddAssign, Mul, Neg, Sub};

use super::decimal::{Decimal, DecimalError};

/// An instant: milliseconds since 1970-01-01T00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(pub i64);

pub const SECOND_MS: i64 = 1_000;
pub const MINUTE_MS: i64 = 60 * SECOND_MS;
pub const HOUR_MS: i64 = 60 * MINUTE_MS;
pub const DAY_MS: i64 = 24 * HOUR_MS;

impl Millis {
    /// The instant of an RFC 3339 text with an offset; what is finer than a millisecond is cut off.
    #[must_use]
    pub fn from_rfc3339(text: &str) -> Option<Self> {
        // jiff also takes "2026-01-01 00Z" and the like, which RFC 3339 does not know.
        let bytes = text.as_bytes();
        let complete = bytes.len() >= 20 && matches!(bytes[10], b'T' | b't') && bytes[13] == b':' && bytes[16] == b':';
        if !complete {
            return None;
        }
        let instant: jiff::Timestamp = text.parse().ok()?;
        Some(Self(instant.as_millisecond()))
    }

    /// This instant for jiff; one outside of jiff's years −9999 to 9999 becomes the nearest it knows.
    #[must_use]
    pub fn timestamp(self) -> jiff::Timestamp {
        jiff::Timestamp::from_millisecond(self.0).unwrap_or(if self.0 < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX })
    }

    #[must_use]
    pub fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to here; negative if `earlier` is later.
    #[must_use]
    pub fn ms_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// An amount of one carrier: Wh of electricity, kJ of heat, litres of gas or water, grams of steam, grams or pieces of production.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quantity(pub i64);

/// Micrograms of CO2 equivalent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MicrogramsCo2e(pub i128);

/// Micrograms of coal equivalent (standard coal); its basis, calorific or primary, travels in the name of whatever holds it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MicrogramsCe(pub i128);

/// Billionths of a yuan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NanoCny(pub i128);

/// Milligrams of CO2 equivalent per kWh, MJ, m³ or kg: a thousand times the quantity's ledger unit, so the product is exactly micrograms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MgPerUnit(pub i64);

/// Milligrams of coal equivalent per kWh, MJ, m³ or kg.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MgCePerUnit(pub i64);

/// Millionths of a yuan per kWh, MJ, m³ or kg: a thousand ledger units, so the product is exactly billionths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MicroCnyPerUnit(pub i64);

const MG_PER_KG: i64 = 1_000_000;
const MICRO_PER_CNY: i64 = 1_000_000;

macro_rules! from_kg {
    ($factor:ident) => {
        impl $factor {
            /// From kilograms as decimal text, rounded once, half to even.
            pub fn from_decimal_kg(text: &str) -> Result<Self, DecimalError> {
                Decimal::parse(text)?.times(Decimal::from(MG_PER_KG)).and_then(Decimal::rounded).map(Self)
            }
        }
    };
}

from_kg!(MgPerUnit);
from_kg!(MgCePerUnit);

impl MicroCnyPerUnit {
    /// From yuan, rounded once, half to even.
    pub fn from_cny(cny: Decimal) -> Result<Self, DecimalError> {
        cny.times(Decimal::from(MICRO_PER_CNY)).and_then(Decimal::rounded).map(Self)
    }
}

macro_rules! factor {
    ($factor:ident, $product:ident) => {
        impl Mul<$factor> for Quantity {
            type Output = $product;

            fn mul(self, factor: $factor) -> $product {
                $product(i128::from(self.0) * i128::from(factor.0))
            }
        }
    };
}

factor!(MgPerUnit, MicrogramsCo2e);
factor!(MgCePerUnit, MicrogramsCe);
factor!(MicroCnyPerUnit, NanoCny);

macro_rules! amount {
    ($($amount:ident),*) => {$(
        impl Add for $amount {
            type Output = Self;

            fn add(self, other: Self) -> Self {
                Self(self.0 + other.0)
            }
        }

        impl Sub for $amount {
            type Output = Self;

            fn sub(self, other: Self) -> Self {
                Self(self.0 - other.0)
            }
        }

        impl Neg for $amount {
            type Output = Self;

            fn neg(self) -> Self {
                Self(-self.0)
            }
        }

        impl AddAssign for $amount {
            fn add_assign(&mut self, other: Self) {
                self.0 += other.0;
            }
        }

        impl Sum for $amount {
            fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
                amounts.fold(Self::default(), Add::add)
            }
        }
    )*};
}

amount!(Quantity, MicrogramsCo2e, MicrogramsCe, NanoCny);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_factor_is_rounded_once_half_to_even() {
        for (kg, mg) in
            [("0.6191", 619_100), ("0", 0), ("1", 1_000_000), ("0.0000005", 0), ("0.0000015", 2), ("0.0000025", 2), ("0.00000250001", 3)]
        {
            assert_eq!(MgPerUnit::from_decimal_kg(kg), Ok(MgPerUnit(mg)), "{kg}");
        }
    }

    #[test]
    fn a_megawatt_hour_in_shandong_emits_exactly_its_factor() {
        let mwh = Quantity(1_000_000);
        // 619.1 kg, MEE/NBS announcement 2025 No. 47.
        assert_eq!(mwh * MgPerUnit(619_100), MicrogramsCo2e(619_100_000_000));
    }

    #[test]
    fn a_product_of_the_largest_numbers_does_not_overflow() {
        assert_eq!(Quantity(i64::MAX) * MgPerUnit(i64::MAX), MicrogramsCo2e(i128::from(i64::MAX) * i128::from(i64::MAX)));
    }

    #[test]
    fn an_instant_needs_an_offset() {
        assert_eq!(Millis::from_rfc3339("2026-01-01T00:00:00+08:00"), Some(Millis(1_767_196_800_000)));
        assert_eq!(Millis::from_rfc3339("2025-12-31T16:00:00.000Z"), Some(Millis(1_767_196_800_000)));
        for text in ["2026-01-01T00:00:00", "2026-01-01", "2026-01-01 00:00:00+08:00", "", "青岛青岛青岛青岛青岛"] {
            assert_eq!(Millis::from_rfc3339(text), None, "{text}");
        }
    }
}
