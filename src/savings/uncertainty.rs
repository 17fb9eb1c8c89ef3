//! The 90 % interval of a total over weeks, from the noise of the baseline's weeks, the error of its coefficients, and the drift of loads.
//!
//! Not the hourly formula of ASHRAE Guideline 14: the lag-1 autocorrelation of hours does not describe slow drift, and its intervals are
//! several times too narrow.

use faer::Mat;
use serde::{Deserialize, Serialize};

/// Autocorrelation of weekly totals is counted up to this lag, weeks.
const LAGS_MAX: usize = 8;
/// Real loads drift by about this share of a year's total with no measure at all; more, when the baseline has not seen a year.
const DRIFT_SHARE: f64 = 0.01;
const DRIFT_SHARE_PROVISIONAL: f64 = 0.025;
/// That share is itself an estimate, from 31 pairs of years.
const DRIFT_DEGREES_OF_FREEDOM: f64 = 30.0;
const DEGREES_OF_FREEDOM_MIN: f64 = 5.0;
/// Correlation of the errors of entities, which share weather and drift.
const ENTITY_CORRELATION: f64 = 0.3;
/// Standard normal quantile of 95 %: 5 % on each side of a 90 % interval.
const NORMAL_95: f64 = 1.644_853_626_951_472_2;
const HOURS_PER_WEEK: f64 = 168.0;
const DAYS_PER_YEAR: f64 = 365.25;
/// A stretch of fewer hours is at least as uncertain as its hours one by one.
const HOURS_SHORT: usize = 24;

/// The noise of a baseline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Noise {
    /// Root mean square of an hour's cross-validated residual, kWh.
    pub hour_sd_kwh: f64,
    /// Standard deviation of a week's total, kWh.
    pub week_sd_kwh: f64,
    /// What the weeks' autocorrelation makes of a variance.
    pub inflation: f64,
    /// Hours of the baseline in weeks.
    pub weeks: f64,
    pub provisional: bool,
    /// Mean square of what was predicted for the baseline's hours, kWh²; 0 in baselines of old, whose noise is the same at any load.
    #[serde(default)]
    pub load_square_kwh2: f64,
    /// What a provisional baseline knows of the seasons.
    #[serde(default)]
    pub seasons: Option<Seasons>,
    /// A list per week of the baseline, see [`super::model::Residuals::influence_kwh`]. Seven digits: it is an error's size.
    pub influence_kwh: Vec<Vec<f32>>,
}

/// The part of the year that a provisional baseline has seen, and how it errs beyond: in proportion to how many days beyond, as its own first and last
/// third told when they were predicted from the rest.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seasons {
    /// Days since 1970-01-01, both inclusive.
    pub first_day: i64,
    pub last_day: i64,
    /// kWh in an hour, for each day that it lies beyond.
    pub kwh_per_day_beyond: f64,
}

impl Seasons {
    /// How many days of the year a day lies beyond what was seen, before it or after it.
    #[must_use]
    pub fn days_beyond(&self, day: i64) -> f64 {
        let since_first = ((day - self.first_day) as f64).rem_euclid(DAYS_PER_YEAR);
        (since_first - (self.last_day - self.first_day) as f64).min(DAYS_PER_YEAR - since_first).max(0.0)
    }
}

/// What is predicted for a stretch of hours.
#[derive(Clone, Debug, Default)]
pub struct Stretch {
    pub hours: usize,
    /// Sum of the standardised rows of the pooled level.
    pub row_sum: Vec<f64>,
    /// Sum of the predictions' magnitudes. Where photovoltaics turn the load's sign its net total may be nothing, but its drift is not.
    pub magnitude_kwh: f64,
    /// Sum of the predictions' squares, kWh².
    pub square_kwh2: f64,
    /// Sum of how many days of the year the hours lie beyond what the baseline has seen.
    pub days_beyond: f64,
}

impl Noise {
    /// From the cross-validated residuals and the week of each.
    #[must_use]
    pub fn of(residuals_kwh: &[f64], weeks: &[i64], provisional: bool, influence_kwh: &Mat<f64>) -> Self {
        let totals = weekly_totals(residuals_kwh, weeks);
        let present: Vec<f64> = totals.iter().flatten().copied().collect();
        let mean = present.iter().sum::<f64>() / present.len().max(1) as f64;
        let squares: f64 = present.iter().map(|total| (total - mean).powi(2)).sum();
        let hour_squares = residuals_kwh.iter().map(|residual| residual * residual).sum::<f64>();
        Self {
            hour_sd_kwh: (hour_squares / residuals_kwh.len().max(1) as f64).sqrt(),
            week_sd_kwh: (squares / present.len().saturating_sub(1).max(1) as f64).sqrt(),
            inflation: bartlett_inflation(&totals),
            weeks: residuals_kwh.len() as f64 / HOURS_PER_WEEK,
            provisional,
            load_square_kwh2: 0.0,
            seasons: None,
            influence_kwh: (0..influence_kwh.ncols()).map(|week| influence_kwh.col(week).iter().map(|kwh| *kwh as f32).collect()).collect(),
        }
    }

    /// Half the width of the 90 % interval of a stretch's total, kWh.
    #[must_use]
    pub fn half_width_kwh(&self, stretch: &Stretch) -> f64 {
        let weeks = stretch.hours as f64 / HOURS_PER_WEEK;
        let mut noise = self.week_sd_kwh.powi(2) * self.inflation * (weeks + weeks * weeks / self.weeks);
        if stretch.hours < HOURS_SHORT {
            // Within a day errors cancel each other less than the weeks' totals tell.
            noise = noise.max(self.hour_sd_kwh.powi(2) * stretch.hours as f64);
        }
        noise *= self.load_ratio(stretch);
        let columns = self
            .influence_kwh
            .iter()
            .map(|influence| influence.iter().zip(&stretch.row_sum).map(|(influence, sum)| f64::from(*influence) * sum).sum::<f64>());
        let own = noise + columns.map(|moved_kwh| moved_kwh * moved_kwh).sum::<f64>();
        let beyond_kwh = self.seasons.map_or(0.0, |seasons| seasons.kwh_per_day_beyond * stretch.days_beyond);
        let share = if self.provisional { DRIFT_SHARE_PROVISIONAL } else { DRIFT_SHARE };
        let drift = (share * stretch.magnitude_kwh).powi(2) + beyond_kwh.powi(2);
        if own + drift <= 0.0 {
            return 0.0;
        }
        // Degrees of freedom of a sum of variances (Satterthwaite 1946).
        let own_degrees = DEGREES_OF_FREEDOM_MIN.max(self.weeks / self.inflation - 2.0);
        let degrees = (own + drift).powi(2) / (own * own / own_degrees + drift * drift / DRIFT_DEGREES_OF_FREEDOM);
        student_95(degrees) * (own + drift).sqrt()
    }

    /// By how much the variance of a stretch's noise exceeds that of the baseline's weeks: noise grows with the load, so that a heating load's winter is less
    /// certain than its year. Never less than 1: what a load does in its quiet season its busy one does not tell.
    fn load_ratio(&self, stretch: &Stretch) -> f64 {
        let ratio = stretch.square_kwh2 / stretch.hours.max(1) as f64 / self.load_square_kwh2;
        if ratio.is_finite() { ratio.max(1.0) } else { 1.0 }
    }
}

/// Half the width of a group's interval from its entities' half widths, kWh.
#[must_use]
pub fn combined_half_width_kwh(half_widths_kwh: &[f64]) -> f64 {
    let squares: f64 = half_widths_kwh.iter().map(|half| half * half).sum();
    let sum: f64 = half_widths_kwh.iter().sum();
    ((1.0 - ENTITY_CORRELATION) * squares + ENTITY_CORRELATION * sum * sum).sqrt()
}

/// Totals of consecutive weeks, each scaled to 168 hours; a week with less than half of its hours is `None`.
#[must_use]
pub fn weekly_totals(residuals_kwh: &[f64], weeks: &[i64]) -> Vec<Option<f64>> {
    let (Some(&first), Some(&last)) = (weeks.iter().min(), weeks.iter().max()) else { return Vec::new() };
    let mut sums = vec![(0.0, 0.0); (last - first) as usize + 1];
    for (residual_kwh, week) in residuals_kwh.iter().zip(weeks) {
        let (sum, hours) = &mut sums[(week - first) as usize];
        *sum += residual_kwh;
        *hours += 1.0;
    }
    sums.into_iter().map(|(sum, hours)| (HOURS_PER_WEEK / 2.0 <= hours).then(|| sum * HOURS_PER_WEEK / hours)).collect()
}

/// By how much the variance of a mean of autocorrelated weeks exceeds that of independent ones, with Bartlett's weights (1 − k/9).
/// At least 1, and with lags up to a quarter of the weeks: a short series' autocorrelations lean below zero and would feign certainty.
fn bartlett_inflation(totals: &[Option<f64>]) -> f64 {
    let present: Vec<f64> = totals.iter().flatten().copied().collect();
    let mean = present.iter().sum::<f64>() / present.len().max(1) as f64;
    let variance = present.iter().map(|total| (total - mean).powi(2)).sum::<f64>() / present.len().max(1) as f64;
    if variance <= 0.0 {
        return 1.0;
    }
    let lags = LAGS_MAX.min(present.len() / 4);
    let weighted = (1..=lags).map(|lag| {
        let pairs: Vec<f64> =
            totals.iter().zip(&totals[lag..]).filter_map(|(a, b)| Some((a.as_ref()? - mean) * (b.as_ref()? - mean))).collect();
        let covariance = pairs.iter().sum::<f64>() / present.len() as f64;
        (1.0 - lag as f64 / (lags + 1) as f64) * covariance / variance
    });
    (1.0 + 2.0 * weighted.sum::<f64>()).max(1.0)
}

/// The 95 % quantile of Student's t, for 5 degrees of freedom or more within 0.001 (Abramowitz and Stegun 1964, 26.7.5).
fn student_95(degrees: f64) -> f64 {
    let z = NORMAL_95;
    let g1 = (z.powi(3) + z) / 4.0;
    let g2 = (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / 96.0;
    let g3 = (3.0 * z.powi(7) + 19.0 * z.powi(5) + 17.0 * z.powi(3) - 15.0 * z) / 384.0;
    let g4 = (79.0 * z.powi(9) + 776.0 * z.powi(7) + 1482.0 * z.powi(5) - 1920.0 * z.powi(3) - 945.0 * z) / 92_160.0;
    z + g1 / degrees + g2 / degrees.powi(2) + g3 / degrees.powi(3) + g4 / degrees.powi(4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(seen: f64, wanted: f64, tolerance: f64) {
        assert!((seen - wanted).abs() <= tolerance, "{seen} is not {wanted} ± {tolerance}");
    }

    #[test]
    fn students_quantiles_are_those_of_the_tables() {
        for (degrees, table) in [(5.0, 2.015), (10.0, 1.812), (20.0, 1.725), (50.0, 1.676), (1e9, 1.645)] {
            near(student_95(degrees), table, 0.001);
        }
    }

    #[test]
    fn inflation_by_hand() {
        // Weeks 1 1 −1 −1 1 1 −1 −1, variance 1, two lags (8 / 4) weighted 2/3 and 1/3: the products at lag 1 are 1 −1 1 −1 1 −1 1, so
        // ρ1 = 1/8; at lag 2 all six are −1, so ρ2 = −6/8. 1 + 2·(2/3 · 1/8 − 1/3 · 6/8) = 2/3, held at 1.
        let alternating = [1.0, 1.0, -1.0, -1.0, 1.0, 1.0, -1.0, -1.0].map(Some);
        near(bartlett_inflation(&alternating), 1.0, 0.0);
        // One step of four and four: lag 1 has products 1 1 1 −1 1 1 1, ρ1 = 5/8; lag 2: 1 1 −1 −1 1 1, ρ2 = 2/8.
        // 1 + 2·(2/3 · 5/8 + 1/3 · 2/8) = 2.
        let step = [1.0, 1.0, 1.0, 1.0, -1.0, -1.0, -1.0, -1.0].map(Some);
        near(bartlett_inflation(&step), 2.0, 1e-12);
        near(bartlett_inflation(&[Some(3.0); 9]), 1.0, 0.0);
        near(bartlett_inflation(&[]), 1.0, 0.0);
    }

    #[test]
    fn weeks_with_few_hours_do_not_count_and_others_are_scaled() {
        let weeks: Vec<i64> = [vec![5; 168], vec![6; 84], vec![8; 83]].concat();
        assert_eq!(weekly_totals(&vec![1.0; weeks.len()], &weeks), [Some(168.0), Some(168.0), None, None]);
    }

    #[test]
    fn the_interval_by_hand() {
        // 52 weeks of noise with sd 10, no coefficients' error, 26 weeks: 100·(26 + 676/52) = 3900; drift (0.01 · 5000)² = 2500. With 50 and 30
        // degrees of freedom the sum has 6400² / (3900²/50 + 2500²/30) = 79.9, and Student's t is 1.664.
        let noise = Noise {
            hour_sd_kwh: 2.0,
            week_sd_kwh: 10.0,
            inflation: 1.0,
            weeks: 52.0,
            provisional: false,
            load_square_kwh2: 4.0,
            seasons: None,
            influence_kwh: vec![vec![0.0, 0.0]],
        };
        let stretch = Stretch { hours: 26 * 168, row_sum: vec![7.0, 7.0], magnitude_kwh: 5000.0, ..Stretch::default() };
        near(noise.half_width_kwh(&stretch), 1.664 * 80.0, 0.1);
        // A week that moves the coefficients by 3 and −1 kWh, seen 7 times each: (3·7 − 7)² = 196, and 80.0 degrees of freedom.
        let moved = Noise { influence_kwh: vec![vec![3.0, -1.0]], ..noise.clone() };
        near(moved.half_width_kwh(&stretch), 1.664 * 6596_f64.sqrt(), 0.1);
        // Drift alone has its own 30 degrees of freedom: t = 1.697.
        let drifting = Noise { week_sd_kwh: 0.0, ..noise.clone() };
        near(drifting.half_width_kwh(&stretch), 1.697 * 50.0, 0.1);
        // Half of the hours at 2 kWh and half at 4, where the baseline's square is 4: noise of 2.5 · 3900 = 9750 and drift of 2500.
        let heavy = Stretch { square_kwh2: 26.0 * 168.0 * (4.0 + 16.0) / 2.0, ..stretch.clone() };
        near(noise.half_width_kwh(&heavy), 1.667 * 12_250_f64.sqrt(), 0.3);
        let light = Stretch { square_kwh2: 1.0, ..stretch };
        near(noise.half_width_kwh(&light), 1.664 * 80.0, 0.1);
        // One hour: a week's 100 / 168 = 0.595 and a little is less than the hour's own 2² = 4; no drift, no load.
        let hour = Stretch { hours: 1, row_sum: vec![0.0, 0.0], magnitude_kwh: 0.0, ..Stretch::default() };
        near(noise.half_width_kwh(&hour), 1.676 * 2.0, 0.01);
    }

    #[test]
    fn a_baseline_knows_less_of_seasons_the_further_they_are_from_its_own() {
        // From day 100 to day 220 of a year.
        let seasons = Seasons { first_day: 20_100, last_day: 20_220, kwh_per_day_beyond: 0.5 };
        for (day, beyond) in
            [(20_100, 0.0), (20_160, 0.0), (20_220, 0.0), (20_230, 10.0), (20_090, 10.0), (20_160 + 366, 0.0), (20_090 + 731, 9.5)]
        {
            near(seasons.days_beyond(day), beyond, 1e-9);
        }
        let whole = Seasons { first_day: 20_000, last_day: 20_400, ..seasons };
        near(whole.days_beyond(20_777), 0.0, 0.0);
        // 100 hours, 20 days beyond each: 0.5 · 2000 = 1000 kWh, with 30 degrees of freedom.
        let noise = Noise {
            hour_sd_kwh: 0.0,
            week_sd_kwh: 0.0,
            inflation: 1.0,
            weeks: 17.0,
            provisional: true,
            load_square_kwh2: 0.0,
            seasons: Some(seasons),
            influence_kwh: Vec::new(),
        };
        let stretch = Stretch { hours: 100, row_sum: Vec::new(), magnitude_kwh: 0.0, square_kwh2: 0.0, days_beyond: 2000.0 };
        near(noise.half_width_kwh(&stretch), 1.697 * 1000.0, 1.0);
    }

    #[test]
    fn entities_do_not_average_out() {
        near(combined_half_width_kwh(&[3.0]), 3.0, 1e-12);
        // 9 + 16 + 2 · 0.3 · 12 = 32.2
        near(combined_half_width_kwh(&[3.0, 4.0]), 32.2_f64.sqrt(), 1e-12);
    }
}
