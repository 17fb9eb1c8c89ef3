//! Random numbers that depend on nothing but their key: (seed, entity, purpose, index).
//!
//! There is no generator state, so drawing for one entity, or not drawing at all, never changes another's numbers, and a run that starts
//! later sees the same ones.

use std::f64::consts::TAU;

/// All draws of a run.
#[derive(Clone, Copy, Debug)]
pub struct Draws {
    seed: u64,
}

impl Draws {
    pub fn new(seed: u64) -> Draws {
        Draws { seed }
    }

    /// The draws of one entity for one purpose.
    pub fn stream(self, entity: &str, purpose: &str) -> Stream {
        let key = absorb(absorb(mix(self.seed), entity.as_bytes()), purpose.as_bytes());
        Stream(mix(key))
    }
}

/// Independent draws, addressed by an index (an hour, a day, a year).
#[derive(Clone, Copy, Debug)]
pub struct Stream(u64);

impl Stream {
    /// Uniform in [0, 1).
    pub fn uniform(self, index: i64) -> f64 {
        unit(mix(self.0 ^ mix(index.cast_unsigned())))
    }

    /// Standard normal, by Box and Muller (1958).
    pub fn normal(self, index: i64) -> f64 {
        let first = mix(self.0 ^ mix(index.cast_unsigned()));
        let radius = (-2.0 * (1.0 - unit(first)).ln()).sqrt();
        radius * (TAU * unit(mix(first))).cos()
    }

    /// A standard normal cut at three standard deviations, for factors that must stay positive and within a rating.
    pub fn normal_cut(self, index: i64) -> f64 {
        self.normal(index).clamp(-3.0, 3.0)
    }
}

/// A stationary first-order autoregressive process, computed as the moving average of its own last draws: no start, no state.
#[derive(Clone, Debug)]
pub struct Autoregression {
    stream: Stream,
    weights: Vec<f64>,
}

impl Autoregression {
    /// `rho` is the correlation of neighbours, `sd` the standard deviation of the values. Terms below a thousandth of the first are left out.
    pub fn new(stream: Stream, rho: f64, sd: f64) -> Autoregression {
        let innovation = sd * (1.0 - rho * rho).sqrt();
        let mut weights = Vec::new();
        let mut share = 1.0;
        while share > 1e-3 {
            weights.push(innovation * share);
            share *= rho;
        }
        Autoregression { stream, weights }
    }

    pub fn at(&self, index: i64) -> f64 {
        self.weights.iter().zip(0..).map(|(weight, lag)| weight * self.stream.normal(index - lag)).sum()
    }
}

/// An entity's load drifts by about 1 % a year with no cause that a model could see: N(0, 1 %) keyed by entity and year.
#[derive(Clone, Debug)]
pub struct Drift {
    stream: Stream,
    year: i16,
    factor: f64,
}

/// Loads stand at their planned size in this year and before.
const DRIFT_BASE_YEAR: i16 = 2024;
const DRIFT_SD: f64 = 0.01;

impl Drift {
    pub fn new(draws: Draws, entity: &str) -> Drift {
        Drift { stream: draws.stream(entity, "drift"), year: DRIFT_BASE_YEAR, factor: 1.0 }
    }

    pub fn factor(&mut self, year: i16) -> f64 {
        if self.year != year {
            self.year = year;
            self.factor = (DRIFT_BASE_YEAR + 1..=year).map(|y| 1.0 + DRIFT_SD * self.stream.normal(i64::from(y))).product();
        }
        self.factor
    }
}

/// The finalizer of `SplitMix64` (Steele, Lea and Flood 2014).
fn mix(key: u64) -> u64 {
    let mut z = key.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn absorb(key: u64, text: &[u8]) -> u64 {
    // The length ends the text, so that ("ab", "c") and ("a", "bc") differ.
    let key = text.iter().fold(key, |key, byte| mix(key ^ u64::from(*byte)));
    mix(key ^ text.len() as u64)
}

/// The upper 53 bits as a fraction of one.
fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normals_have_mean_zero_and_deviation_one() {
        let stream = Draws::new(7).stream("E-1", "test");
        let values: Vec<f64> = (0..20_000).map(|i| stream.normal(i)).collect();
        let mean = values.iter().sum::<f64>() / 20_000.0;
        let variance = values.iter().map(|v| v * v).sum::<f64>() / 20_000.0;
        assert!(mean.abs() < 0.03, "{mean}");
        assert!((variance - 1.0).abs() < 0.04, "{variance}");
    }

    #[test]
    fn neighbours_of_an_autoregression_correlate_as_asked() {
        let process = Autoregression::new(Draws::new(7).stream("sky", "test"), 0.61, 2.8);
        let values: Vec<f64> = (0..20_000).map(|i| process.at(i)).collect();
        let variance = values.iter().map(|v| v * v).sum::<f64>() / 20_000.0;
        let covariance = values.windows(2).map(|w| w[0] * w[1]).sum::<f64>() / 19_999.0;
        assert!((variance.sqrt() - 2.8).abs() < 0.1, "{variance}");
        assert!((covariance / variance - 0.61).abs() < 0.03, "{covariance}");
    }

    #[test]
    fn entity_purpose_and_seed_each_change_the_draw() {
        let draw = |seed, entity, purpose| Draws::new(seed).stream(entity, purpose).uniform(5);
        let base = draw(1, "ab", "c");
        for other in [draw(2, "ab", "c"), draw(1, "a", "bc"), draw(1, "ab", "d")] {
            assert!((base - other).abs() > 1e-12);
        }
    }
}
