//! When electricity's carbon is high and when it is low.

/// Grid carbon of a local hour over the annual factor. Synthetic: no official hourly series exists for Chinese grids. It dips from 10 to 15 h, when the
/// region's photovoltaics feed in, by an assumed 15 %, and is normalised to the annual factor (the mean of the day is 1). For dispatch only: a claim of savings uses
/// the annual factor.
#[must_use]
pub fn synthetic(hour: i8) -> f64 {
    const DIP: f64 = 0.85;
    const DIP_HOURS: f64 = 5.0;
    if (10..15).contains(&hour) { DIP } else { (24.0 - DIP_HOURS * DIP) / (24.0 - DIP_HOURS) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shape_keeps_the_annual_factor_and_dips_at_noon() {
        let mean: f64 = (0..24).map(synthetic).sum::<f64>() / 24.0;
        assert!((mean - 1.0).abs() < 1e-12, "{mean}");
        assert!(synthetic(10) < 0.9 && synthetic(14) < 0.9 && 1.0 < synthetic(9) && 1.0 < synthetic(15));
    }
}
