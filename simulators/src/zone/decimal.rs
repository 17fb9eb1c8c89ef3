//! Decimal numbers read exactly.

/// `mantissa` × 10^−`scale`, never negative, without trailing zeros after the point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal {
    pub mantissa: i128,
    pub scale: u32,
}

/// More digits than this cannot be a resolution, rating, multiplier or amount of energy.
const DIGITS_MAX: usize = 18;

impl Decimal {
    pub const ONE: Decimal = Decimal { mantissa: 1, scale: 0 };

    /// Reads plain digits with at most one point; `None` for a sign, an exponent or over 18 digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Decimal> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits_only = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let written_well = !whole.is_empty() && (fraction.is_empty() != text.contains('.'));
        if !written_well || !digits_only(whole) || !digits_only(fraction) || whole.len() + fraction.len() > DIGITS_MAX {
            return None;
        }
        let fraction = fraction.trim_end_matches('0');
        let mantissa = format!("{whole}{fraction}").parse().ok()?;
        Some(Decimal { mantissa, scale: u32::try_from(fraction.len()).ok()? })
    }

    /// The product as a whole number, if it is one.
    #[must_use]
    pub fn times_whole(self, other: Decimal, factor: i64) -> Option<i64> {
        let product = self.mantissa.checked_mul(other.mantissa)?.checked_mul(i128::from(factor))?;
        let unit = 10_i128.checked_pow(self.scale + other.scale)?;
        (product % unit == 0).then(|| i64::try_from(product / unit).ok()).flatten()
    }

    #[must_use]
    pub fn to_f64(self) -> f64 {
        self.mantissa as f64 / 10_f64.powi(self.scale.cast_signed())
    }
}

#[cfg(test)]
mod tests {
    use super::Decimal;

    #[test]
    fn a_decimal_is_read_exactly_or_not_at_all() {
        let cases = [
            ("0.01", Some((1, 2))),
            ("12.50", Some((125, 1))),
            ("100", Some((100, 0))),
            ("", None),
            (".5", None),
            ("5.", None),
            ("-1", None),
            ("1e3", None),
            ("1234567890123456789", None),
        ];
        for (text, expected) in cases {
            assert_eq!(Decimal::parse(text).map(|d| (d.mantissa, d.scale)), expected, "{text}");
        }
    }

    #[test]
    fn a_product_that_is_not_whole_is_refused() {
        let of = |text| Decimal::parse(text).unwrap();
        assert_eq!(of("0.01").times_whole(of("40"), 1000), Some(400));
        assert_eq!(of("0.0001").times_whole(of("1"), 1000), None);
    }
}
