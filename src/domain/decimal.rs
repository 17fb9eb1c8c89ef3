//! Decimal text to integers, exactly.
//!
//! The way of every register from the wire into the ledger: no float, no allocation, and no rounding unless a function says so.

/// Why a decimal text is not a number of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecimalError {
    #[error("finer than the resolution")]
    TooManyDigits,
    #[error("too large")]
    TooLarge,
    #[error("negative")]
    Negative,
    #[error("not a decimal number")]
    NotANumber,
}

/// Reads a JSON number as `value × ledger_per_unit`, which has to be a whole multiple of `step`, from 0 to `i64::MAX`.
/// `ledger_per_unit` and `step` are at least 1.
pub fn parse_scaled(text: &str, ledger_per_unit: i64, step: i64) -> Result<i64, DecimalError> {
    parse_at(text, ledger_per_unit, 0, step)
}

/// As [`parse_scaled`] with `ledger_mantissa × 10^-ledger_decimals` ledger units in a unit.
pub fn parse_at(text: &str, ledger_mantissa: i64, ledger_decimals: u32, step: i64) -> Result<i64, DecimalError> {
    debug_assert!(ledger_mantissa > 0 && step > 0, "a channel has a positive scale and step");
    let number = scan(text.as_bytes())?;
    if number.mantissa == 0 {
        return Ok(0);
    }
    if number.negative {
        return Err(DecimalError::Negative);
    }
    let product = u128::from(number.mantissa) * u128::from(ledger_mantissa.unsigned_abs());
    let exponent = number.exponent.saturating_sub_unsigned(ledger_decimals);
    let value = if exponent >= 0 {
        power_of_ten(exponent.unsigned_abs()).and_then(|power| product.checked_mul(power)).ok_or(DecimalError::TooLarge)?
    } else {
        // A product under 2^127 has no divisor beyond 10^38.
        let power = power_of_ten(exponent.unsigned_abs()).ok_or(DecimalError::TooManyDigits)?;
        exact_quotient(product, power).ok_or(DecimalError::TooManyDigits)?
    };
    let value = i64::try_from(value).map_err(|_| DecimalError::TooLarge)?;
    if step != 1 && value % step != 0 {
        return Err(DecimalError::TooManyDigits);
    }
    Ok(value)
}

/// `dividend / divisor` if nothing remains; 64-bit division costs a quarter of 128-bit division.
fn exact_quotient(dividend: u128, divisor: u128) -> Option<u128> {
    if let (Ok(dividend), Ok(divisor)) = (u64::try_from(dividend), u64::try_from(divisor)) {
        return dividend.is_multiple_of(divisor).then(|| u128::from(dividend / divisor));
    }
    dividend.is_multiple_of(divisor).then(|| dividend / divisor)
}

const POWERS_OF_TEN: [u128; 39] = {
    let mut powers = [1; 39];
    let mut at = 1;
    while at < powers.len() {
        powers[at] = powers[at - 1] * 10;
        at += 1;
    }
    powers
};

fn power_of_ten(exponent: u32) -> Option<u128> {
    POWERS_OF_TEN.get(exponent as usize).copied()
}

/// (−) `mantissa` × 10^`exponent`; the mantissa does not end in 0 unless it is 0.
struct Scanned {
    negative: bool,
    mantissa: u64,
    exponent: i32,
}

/// Digits seen so far; zeros wait in `pending_zeros` until a digit after them makes them count.
#[derive(Default)]
struct Mantissa {
    value: u64,
    pending_zeros: u32,
}

impl Mantissa {
    fn push(&mut self, digit: u8) -> Option<()> {
        if digit == 0 {
            self.pending_zeros += u32::from(self.value != 0);
            return Some(());
        }
        // A shift beyond 64 bits matters only if there are digits to shift: then `?` below gives up.
        let shift = u64::try_from(power_of_ten(self.pending_zeros + 1)?).ok();
        self.value = match self.value {
            0 => u64::from(digit),
            value => value.checked_mul(shift?)?.checked_add(u64::from(digit))?,
        };
        self.pending_zeros = 0;
        Some(())
    }
}

/// The JSON grammar: `-? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?`.
fn scan(text: &[u8]) -> Result<Scanned, DecimalError> {
    /// Longer texts are no numbers of this world, and the counters below stay small.
    const TEXT_BYTES_MAX: usize = 256;
    if text.len() > TEXT_BYTES_MAX {
        return Err(DecimalError::NotANumber);
    }
    let (negative, mut rest) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    let mut mantissa = Mantissa::default();
    let mut overflow = None;
    let whole_len = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if whole_len == 0 || (rest[0] == b'0' && whole_len > 1) {
        return Err(DecimalError::NotANumber);
    }
    for byte in &rest[..whole_len] {
        if mantissa.push(byte - b'0').is_none() {
            overflow = overflow.or(Some(DecimalError::TooLarge));
        }
    }
    rest = &rest[whole_len..];
    let mut fraction_len = 0;
    if let [b'.', fraction @ ..] = rest {
        fraction_len = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if fraction_len == 0 {
            return Err(DecimalError::NotANumber);
        }
        for byte in &fraction[..fraction_len] {
            if mantissa.push(byte - b'0').is_none() {
                overflow = overflow.or(Some(DecimalError::TooManyDigits));
            }
        }
        rest = &fraction[fraction_len..];
    }
    let ten_power = match rest {
        [] => 0,
        [b'e' | b'E', digits @ ..] => scan_exponent(digits)?,
        _ => return Err(DecimalError::NotANumber),
    };
    match overflow {
        Some(_) if negative => Err(DecimalError::Negative),
        Some(error) => Err(error),
        None => Ok(Scanned {
            negative,
            mantissa: mantissa.value,
            exponent: ten_power + mantissa.pending_zeros.cast_signed() - (fraction_len as u32).cast_signed(),
        }),
    }
}

fn scan_exponent(text: &[u8]) -> Result<i32, DecimalError> {
    /// Beyond any power of ten used here, so that larger ones need not be told apart.
    const EXPONENT_MAX: i32 = 10_000;
    let (sign, digits) = match text {
        [b'-', digits @ ..] => (-1, digits),
        [b'+', digits @ ..] => (1, digits),
        _ => (1, text),
    };
    if digits.is_empty() {
        return Err(DecimalError::NotANumber);
    }
    let mut exponent = 0;
    for byte in digits {
        if !byte.is_ascii_digit() {
            return Err(DecimalError::NotANumber);
        }
        exponent = (exponent * 10 + i32::from(byte - b'0')).min(EXPONENT_MAX);
    }
    Ok(sign * exponent)
}

/// An exact decimal number, `mantissa × 10^exponent`, for configuration: resolutions, multipliers, factors.
#[derive(Clone, Copy, Debug)]
pub struct Decimal {
    mantissa: i128,
    exponent: i32,
}

impl From<i64> for Decimal {
    fn from(value: i64) -> Self {
        Self { mantissa: i128::from(value), exponent: 0 }
    }
}

impl Decimal {
    /// Zero or more; up to 19 significant digits.
    pub fn parse(text: &str) -> Result<Self, DecimalError> {
        let number = scan(text.as_bytes())?;
        if number.negative && number.mantissa != 0 {
            return Err(DecimalError::Negative);
        }
        Ok(Self { mantissa: i128::from(number.mantissa), exponent: number.exponent })
    }

    #[must_use]
    pub fn power_of_ten(exponent: u32) -> Self {
        Self { mantissa: 1, exponent: exponent.cast_signed() }
    }

    #[must_use]
    pub fn is_zero(self) -> bool {
        self.mantissa == 0
    }

    pub fn times(self, other: Self) -> Result<Self, DecimalError> {
        let mantissa = self.mantissa.checked_mul(other.mantissa).ok_or(DecimalError::TooLarge)?;
        Ok(Self { mantissa, exponent: self.exponent.saturating_add(other.exponent) })
    }

    pub fn plus(self, other: Self) -> Result<Self, DecimalError> {
        let exponent = self.exponent.min(other.exponent);
        let aligned = |number: Self| {
            let power = power_of_ten((number.exponent - exponent).unsigned_abs()).and_then(|power| i128::try_from(power).ok());
            power.and_then(|power| number.mantissa.checked_mul(power)).ok_or(DecimalError::TooLarge)
        };
        let mantissa = aligned(self)?.checked_add(aligned(other)?).ok_or(DecimalError::TooLarge)?;
        Ok(Self { mantissa, exponent })
    }

    /// The number as an integer, if it is one.
    pub fn whole(self) -> Result<i64, DecimalError> {
        let (numerator, denominator) = self.ratio()?;
        if numerator % denominator != 0 {
            return Err(DecimalError::TooManyDigits);
        }
        i64::try_from(numerator / denominator).map_err(|_| DecimalError::TooLarge)
    }

    /// The nearest integer, halves to even.
    pub fn rounded(self) -> Result<i64, DecimalError> {
        self.divided_rounded(Self::from(1))
    }

    /// The integer nearest to the quotient, halves to even. The divisor is above 0.
    pub fn divided_rounded(self, divisor: Self) -> Result<i64, DecimalError> {
        let (numerator, denominator) =
            Self { mantissa: self.mantissa, exponent: self.exponent.saturating_sub(divisor.exponent) }.ratio()?;
        let denominator = denominator.checked_mul(divisor.mantissa).filter(|d| *d > 0).ok_or(DecimalError::TooLarge)?;
        let (quotient, remainder) = (numerator.div_euclid(denominator), numerator.rem_euclid(denominator));
        let up = match remainder.cmp(&(denominator - remainder)) {
            std::cmp::Ordering::Less => 0,
            std::cmp::Ordering::Equal => quotient % 2,
            std::cmp::Ordering::Greater => 1,
        };
        i64::try_from(quotient + up).map_err(|_| DecimalError::TooLarge)
    }

    /// Mantissa and decimals (as few as can be) with `self = mantissa × 10^-decimals`, if the mantissa fits.
    pub fn parts(mut self) -> Result<(i64, u32), DecimalError> {
        while self.exponent < 0 && self.mantissa % 10 == 0 {
            self.mantissa /= 10;
            self.exponent += 1;
        }
        let decimals = self.exponent.min(0).unsigned_abs();
        let whole = Self { mantissa: self.mantissa, exponent: self.exponent.max(0) }.whole()?;
        Ok((whole, decimals))
    }

    /// The nearest float, for views and for comparing with gauges.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "an integer and an exponent always make a float's text")]
    pub fn to_f64(self) -> f64 {
        // Through text: the standard library's parser rounds correctly, a product of floats need not.
        format!("{}e{}", self.mantissa, self.exponent).parse().expect("an integer and an exponent make a float's text")
    }

    fn ratio(self) -> Result<(i128, i128), DecimalError> {
        if self.mantissa == 0 {
            return Ok((0, 1));
        }
        let power = power_of_ten(self.exponent.unsigned_abs()).and_then(|power| i128::try_from(power).ok());
        if self.exponent >= 0 {
            let numerator = power.and_then(|power| self.mantissa.checked_mul(power)).ok_or(DecimalError::TooLarge)?;
            Ok((numerator, 1))
        } else {
            Ok((self.mantissa, power.ok_or(DecimalError::TooManyDigits)?))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use DecimalError::{Negative, NotANumber, TooLarge, TooManyDigits};

    #[test]
    fn a_register_is_read_exactly() {
        let cases: [(&str, i64, i64, Result<i64, DecimalError>); 34] = [
            ("12345.678", 1_000, 1, Ok(12_345_678)),
            ("0", 1_000, 10, Ok(0)),
            ("0.0", 1_000, 10, Ok(0)),
            ("-0", 1_000, 10, Ok(0)),
            ("0.1", 1_000, 100, Ok(100)),
            ("0.30", 1_000, 100, Ok(300)),
            ("0.35", 1_000, 100, Err(TooManyDigits)),
            ("12345.6789", 1_000, 1, Err(TooManyDigits)),
            ("12345.6780", 1_000, 1, Ok(12_345_678)),
            ("12.345", 60_000, 60, Ok(740_700)),
            ("1.5e3", 1_000, 1, Ok(1_500_000)),
            ("1.5E+3", 1_000, 1, Ok(1_500_000)),
            ("15000e-4", 1_000, 100, Ok(1_500)),
            ("15e-4", 1_000, 1, Err(TooManyDigits)),
            ("0e999999999999", 1_000, 1, Ok(0)),
            ("1e999999999999", 1, 1, Err(TooLarge)),
            ("1e-999999999999", 1, 1, Err(TooManyDigits)),
            ("9223372036854775807", 1, 1, Ok(i64::MAX)),
            ("9223372036854775808", 1, 1, Err(TooLarge)),
            ("9223372036854775.807", 1_000, 1, Ok(i64::MAX)),
            ("100000000000000000000000", 1, 1, Err(TooLarge)),
            ("123456789012345678901234567890", 1, 1, Err(TooLarge)),
            ("1.000000000000000000000000000000", 1_000, 1, Ok(1_000)),
            ("1.000000000000000000000000000001", 1_000, 1, Err(TooManyDigits)),
            ("-1", 1_000, 1, Err(Negative)),
            ("-0.0001", 1_000, 1, Err(Negative)),
            ("", 1, 1, Err(NotANumber)),
            ("-", 1, 1, Err(NotANumber)),
            ("01", 1, 1, Err(NotANumber)),
            ("1.", 1, 1, Err(NotANumber)),
            (".5", 1_000, 1, Err(NotANumber)),
            ("1e", 1, 1, Err(NotANumber)),
            ("1 ", 1, 1, Err(NotANumber)),
            ("NaN", 1, 1, Err(NotANumber)),
        ];
        for (text, ledger_per_unit, step, wanted) in cases {
            assert_eq!(parse_scaled(text, ledger_per_unit, step), wanted, "{text}");
        }
    }

    #[test]
    fn a_scale_below_one_ledger_unit_is_exact_too() {
        // 10 kWh steps behind a multiplier of 0.0001: 0.1 Wh in a kWh, 1 Wh in a step.
        assert_eq!(parse_at("12340", 1, 1, 1), Ok(1_234));
        assert_eq!(parse_at("12345", 1, 1, 1), Err(TooManyDigits));
    }

    #[test]
    fn every_written_register_reads_back() {
        let mut seed = 7_u64;
        for _ in 0..10_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let wh = (seed >> 20).cast_signed();
            let text = format!("{}.{:03}", wh / 1_000, wh % 1_000);
            assert_eq!(parse_scaled(&text, 1_000, 1), Ok(wh), "{text}");
        }
    }

    #[test]
    fn halves_are_rounded_to_even() {
        for (dividend, divisor, wanted) in
            [("1", "2", 0), ("3", "2", 2), ("5", "2", 2), ("0.25", "0.1", 2), ("0.26", "0.1", 3), ("7", "3", 2), ("8", "3", 3)]
        {
            let quotient = Decimal::parse(dividend).unwrap().divided_rounded(Decimal::parse(divisor).unwrap());
            assert_eq!(quotient, Ok(wanted), "{dividend} / {divisor}");
        }
    }

    #[test]
    fn a_decimal_becomes_the_float_of_its_text() {
        let level = Decimal::parse("0.85").unwrap().times(Decimal::parse("900").unwrap()).unwrap();
        assert!((level.to_f64() - 765.0).abs() == 0.0);
        assert!((Decimal::parse("38.931").unwrap().to_f64() - 38.931).abs() == 0.0);
    }
}
