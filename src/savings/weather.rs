//! Weather as loads feel it: moisture from relative humidity, and the slow memory of a building.
//!
//! Works on hourly series with gaps; a gap is `None`, never a number.

/// Longest gap that a straight line may cross, hours. Within it the temperature of a day's flank is off by a degree or two; over half a day
/// a line would cut off a peak.
pub const INTERPOLATED_HOURS_MAX: usize = 6;
/// Standard atmosphere at sea level, hPa (ISO 2533:1975).
const PRESSURE_HPA: f64 = 1013.25;

/// Grams of water per kilogram of dry air, from temperature and relative humidity by Magnus' formula with the constants of the WMO's
/// guide no. 8 (2018) over water.
#[must_use]
pub fn humidity_ratio_g_kg(temperature_c: f64, relative_humidity_pct: f64) -> f64 {
    let saturation_hpa = 6.112 * (17.62 * temperature_c / (243.12 + temperature_c)).exp();
    let vapour_hpa = saturation_hpa * relative_humidity_pct.clamp(0.0, 100.0) / 100.0;
    621.98 * vapour_hpa / (PRESSURE_HPA - vapour_hpa)
}

/// The same series with gaps of up to [`INTERPOLATED_HOURS_MAX`] crossed by a straight line.
#[must_use]
pub fn interpolated(series: &[Option<f64>]) -> Vec<Option<f64>> {
    let mut out = series.to_vec();
    let mut before: Option<(usize, f64)> = None;
    for (at, value) in series.iter().enumerate().filter_map(|(at, value)| value.map(|value| (at, value))) {
        if let Some((from, start)) = before
            && at - from - 1 <= INTERPOLATED_HOURS_MAX
        {
            let slope = (value - start) / (at - from) as f64;
            for (step, filled) in out[from..at].iter_mut().enumerate().skip(1) {
                *filled = Some(start + slope * step as f64);
            }
        }
        before = Some((at, value));
    }
    out
}

/// Exponentially weighted mean with time constant `tau_h`. It starts anew after a gap: old weather must not stand in for what nobody saw.
#[must_use]
pub fn exponential_mean(series: &[Option<f64>], tau_h: f64) -> Vec<Option<f64>> {
    let share = 1.0 - (-1.0 / tau_h).exp();
    let mut mean: Option<f64> = None;
    let follow = |value: &Option<f64>| {
        mean = value.map(|value| mean.map_or(value, |mean| mean + share * (value - mean)));
        mean
    };
    series.iter().map(follow).collect()
}

/// Temperatures that a baseline has seen. Beyond them its straight lines are guesses.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct TemperatureRange {
    pub low_c: f64,
    pub high_c: f64,
}

impl TemperatureRange {
    /// The 0.1 to 99.9 % range, 3 K wider on each side; `None` without a temperature.
    #[must_use]
    pub fn of(temperatures_c: impl Iterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = temperatures_c.collect();
        sorted.sort_by(f64::total_cmp);
        let margin_k = 3.0;
        Some(Self { low_c: quantile(&sorted, 0.001)? - margin_k, high_c: quantile(&sorted, 0.999)? + margin_k })
    }

    #[must_use]
    pub fn clip(self, temperature_c: f64) -> f64 {
        temperature_c.clamp(self.low_c, self.high_c)
    }
}

/// Quantile of sorted values, linear between ranks (Hyndman and Fan 1996, type 7).
#[must_use]
pub fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let rank = share * last as f64;
    let below = rank.floor() as usize;
    let above = (below + 1).min(last);
    Some(sorted[below] + (rank - below as f64) * (sorted[above] - sorted[below]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(seen: f64, wanted: f64, tolerance: f64) {
        assert!((seen - wanted).abs() <= tolerance, "{seen} is not {wanted} ± {tolerance}");
    }

    #[test]
    fn moisture_is_as_in_psychrometric_tables() {
        // ASHRAE Fundamentals 2017, chapter 1, table 2: saturated air at sea level has 3.79, 7.66, 14.76 and 27.33 g/kg.
        for (temperature_c, table_g_kg) in [(0.0, 3.79), (10.0, 7.66), (20.0, 14.76), (30.0, 27.33)] {
            // The tables count that air and vapour are no ideal gases, 0.4 to 0.8 %.
            near(humidity_ratio_g_kg(temperature_c, 100.0), table_g_kg, 0.01 * table_g_kg);
        }
        // By hand: 6.112·exp(17.62·25/268.12) = 31.60 hPa, half of it 15.80; 621.98·15.80/997.45 = 9.852.
        near(humidity_ratio_g_kg(25.0, 50.0), 9.852, 0.005);
        near(humidity_ratio_g_kg(25.0, 0.0), 0.0, 0.0);
    }

    #[test]
    fn an_exponential_mean_covers_63_per_cent_of_a_step_in_one_time_constant() {
        let mut step = vec![Some(0.0)];
        step.extend([Some(1.0); 24]);
        near(exponential_mean(&step, 24.0)[24].unwrap(), 0.632_12, 1e-4);
    }

    #[test]
    fn an_exponential_mean_starts_anew_after_a_gap() {
        assert_eq!(exponential_mean(&[Some(1.0), None, Some(5.0)], 24.0), [Some(1.0), None, Some(5.0)]);
    }

    #[test]
    fn a_line_crosses_six_hours_and_no_more() {
        let gap = |hours: usize| {
            let mut series = vec![Some(0.0)];
            series.extend(vec![None; hours]);
            series.push(Some(7.0));
            interpolated(&series)
        };
        let wanted: Vec<Option<f64>> = (0..=7).map(|value| Some(f64::from(value))).collect();
        assert_eq!(gap(6), wanted);
        assert_eq!(gap(7)[1..8], [None; 7]);
        assert_eq!(interpolated(&[None, Some(1.0), None]), [None, Some(1.0), None]);
    }

    #[test]
    fn the_range_ends_three_kelvin_beyond_the_permille_quantiles() {
        let range = TemperatureRange::of((0..=1000).map(f64::from)).unwrap();
        assert_eq!(range, TemperatureRange { low_c: -2.0, high_c: 1002.0 });
        near(range.clip(5000.0), 1002.0, 0.0);
        assert_eq!(TemperatureRange::of(std::iter::empty()), None);
    }
}
