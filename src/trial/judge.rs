//! A trial's claims beside the truth: errors, coverage and widths of intervals, placebos.
//!
//! Pure. Shares are of what was used without measures. Invariant: the true saving is a difference of two metered years of the same seed, and no part
//! of the estimator's.

use crate::savings::uncertainty::combined_half_width_kwh;

/// A load that nobody took a measure at: not even what it feeds has changed it by more than this share.
const PLACEBO_SHARE_MAX: f64 = 0.000_5;

/// One load's claim, and what is true of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    pub entity: String,
    pub carrier: &'static str,
    /// Not added to the zone.
    pub made_inside: bool,
    /// Used in the year without measures, and in the one with them.
    pub without_kwh: f64,
    pub metered_kwh: f64,
    pub claimed_kwh: f64,
    pub half_width_kwh: f64,
    /// Cross-validated.
    pub cv_rmse: Option<f64>,
}

impl Judged {
    #[must_use]
    pub fn true_kwh(&self) -> f64 {
        self.without_kwh - self.metered_kwh
    }

    fn share(&self, kwh: f64) -> f64 {
        kwh / self.without_kwh.abs().max(f64::MIN_POSITIVE)
    }

    /// What was claimed too much, as a share.
    #[must_use]
    pub fn error(&self) -> f64 {
        self.share(self.claimed_kwh - self.true_kwh())
    }

    #[must_use]
    pub fn half_width(&self) -> f64 {
        self.share(self.half_width_kwh)
    }

    #[must_use]
    pub fn covered(&self) -> bool {
        (self.claimed_kwh - self.true_kwh()).abs() <= self.half_width_kwh
    }

    /// Nothing lies outside of the interval: a saving or a loss would be claimed.
    #[must_use]
    pub fn significant(&self) -> bool {
        self.half_width_kwh < self.claimed_kwh.abs()
    }

    #[must_use]
    pub fn placebo(&self) -> bool {
        self.share(self.true_kwh()).abs() <= PLACEBO_SHARE_MAX
    }
}

/// The zone as a whole: the loads that add up to it.
#[must_use]
pub fn zone(judged: &[Judged], id: &str) -> Judged {
    let added: Vec<&Judged> = judged.iter().filter(|load| !load.made_inside).collect();
    let sum = |value: fn(&Judged) -> f64| added.iter().map(|load| value(load)).sum();
    Judged {
        entity: id.to_owned(),
        carrier: "all",
        made_inside: false,
        without_kwh: sum(|load| load.without_kwh),
        metered_kwh: sum(|load| load.metered_kwh),
        claimed_kwh: sum(|load| load.claimed_kwh),
        half_width_kwh: combined_half_width_kwh(&added.iter().map(|load| load.half_width_kwh).collect::<Vec<_>>()),
        cv_rmse: None,
    }
}

/// What the loads have in common, shares.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    pub median_error: f64,
    pub p90_error: f64,
    pub coverage: f64,
    pub median_half_width: f64,
    pub placebos: usize,
    pub significant_placebos: usize,
}

/// `None` without a load.
#[must_use]
pub fn summary(judged: &[Judged]) -> Option<Summary> {
    let sorted = |value: fn(&Judged) -> f64| {
        let mut values: Vec<f64> = judged.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        values
    };
    let errors = sorted(|load| load.error().abs());
    let placebos = judged.iter().filter(|load| load.placebo());
    Some(Summary {
        median_error: rank(&errors, 0.5)?,
        p90_error: rank(&errors, 0.9)?,
        coverage: judged.iter().filter(|load| load.covered()).count() as f64 / judged.len() as f64,
        median_half_width: rank(&sorted(Judged::half_width), 0.5)?,
        placebos: placebos.clone().count(),
        significant_placebos: placebos.filter(|load| load.significant()).count(),
    })
}

/// The smallest value that at least this share of the sorted ones does not exceed.
fn rank(sorted: &[f64], share: f64) -> Option<f64> {
    let at = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(at.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(without_kwh: f64, metered_kwh: f64, claimed_kwh: f64, half_width_kwh: f64) -> Judged {
        let entity = String::new();
        Judged { entity, carrier: "heat", made_inside: false, without_kwh, metered_kwh, claimed_kwh, half_width_kwh, cv_rmse: None }
    }

    #[test]
    fn loads_by_hand() {
        // Saves 100 of 1000; 90 and 130 are claimed, ± 20.
        let (near, far) = (load(1000.0, 900.0, 90.0, 20.0), load(1000.0, 900.0, 130.0, 20.0));
        assert_eq!((near.true_kwh(), near.error(), near.half_width()), (100.0, -0.01, 0.02));
        assert_eq!((near.covered(), near.significant(), near.placebo()), (true, true, false));
        assert_eq!((far.error(), far.covered()), (0.03, false));
        // Uses the same in both years: a claim of 15 ± 20 is none, one of −25 ± 20 is a false loss.
        let (quiet, false_loss) = (load(1000.0, 1000.0, 15.0, 20.0), load(1000.0, 1000.0, -25.0, 20.0));
        assert_eq!((quiet.placebo(), quiet.significant()), (true, false));
        assert_eq!((false_loss.placebo(), false_loss.significant(), false_loss.covered()), (true, true, false));
    }

    #[test]
    fn a_summary_by_hand() {
        let loads: Vec<Judged> = (1..=10).map(|error| load(100.0, 100.0, f64::from(error), 8.5)).collect();
        let seen = summary(&loads).unwrap();
        // Errors 1 to 10 %: half of them are up to 5, nine tenths up to 9; eight are within 8.5.
        let wanted =
            Summary { median_error: 0.05, p90_error: 0.09, coverage: 0.8, median_half_width: 0.085, placebos: 10, significant_placebos: 2 };
        assert_eq!(seen, wanted);
        assert_eq!(summary(&[]), None);
    }

    #[test]
    fn what_is_made_inside_is_not_added_to_the_zone() {
        let mut inside = load(50.0, 40.0, 30.0, 20.0);
        inside.made_inside = true;
        let whole = zone(&[load(100.0, 90.0, 12.0, 3.0), load(200.0, 200.0, -1.0, 4.0), inside], "z");
        assert_eq!((whole.without_kwh, whole.true_kwh(), whole.claimed_kwh), (300.0, 10.0, 11.0));
        // 9 + 16 + 2 · 0.3 · 12 = 32.2
        assert!((whole.half_width_kwh - 32.2_f64.sqrt()).abs() < 1e-12);
    }
}
