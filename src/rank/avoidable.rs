//! What could be avoided: excess over a frozen baseline, or over the median of the same kind.
//!
//! Source: the zone model's rule for key entities, excess over baseline or benchmark × factor × confidence. The larger of the two counts, each with
//! its own confidence; none is made where neither is known.

use rusqlite::Connection;

use super::RankError;
use super::tally::Tally;
use crate::claims::figures::{self, Claim, Figure};
use crate::claims::fit::Wanted;
use crate::domain::calendar::Span;
use crate::report::subject::Subject;
use crate::store::savings::IN_KWH;

/// Fewer of a kind say nothing about what is usual.
const PEERS_LEAST: usize = 3;
const KGCE_PER_T: f64 = 1e3;
const DAYS_PER_YEAR: f64 = 365.0;
/// Kinds that are measured by what they make rather than by their floor.
const MAKERS: [&str; 2] = ["factory", "biopharma"];

/// Metered less baseline, in the hours of the period after the baselines' end that count.
#[derive(Clone, Debug)]
pub struct Excess {
    kwh: f64,
    half_width_kwh: f64,
    baseline_kwh: f64,
    /// With the factors of the baselines' vintage.
    kg_co2e: f64,
    /// The newest baseline's period, to hold meters against.
    pub baseline: Span,
}

impl Excess {
    pub fn pct(&self) -> Option<f64> {
        Some(self.of_baseline(self.kwh)).filter(|pct| pct.is_finite())
    }

    /// The ends of the 90 % interval.
    pub fn interval_pct(&self) -> (f64, f64) {
        (self.of_baseline(self.kwh - self.half_width_kwh), self.of_baseline(self.kwh + self.half_width_kwh))
    }

    fn of_baseline(&self, kwh: f64) -> f64 {
        100.0 * kwh / self.baseline_kwh.abs()
    }

    /// The part of the 90 % interval that lies above the baseline.
    fn confidence(&self) -> f64 {
        let above = (self.kwh + self.half_width_kwh) / (2.0 * self.half_width_kwh);
        if above.is_nan() { 0.0 } else { above.clamp(0.0, 1.0) }
    }
}

/// Of each subject, over all its loads of energy with a baseline; heat made inside counts for its users here, as it does in their use.
pub fn excesses(ledger: &Connection, found: &[(String, Subject)], period: Span) -> Result<Vec<Option<Excess>>, RankError> {
    let wanted = Wanted { books: IN_KWH.to_vec(), from: Some(period.start), to: Some(period.end), ..Wanted::default() };
    let (claims, _) = figures::claims(ledger, &wanted, figures::By::Total)?;
    let ids = super::index_of(found);
    let of = |index: usize| -> Option<Excess> {
        let own: Vec<&Claim> = claims.iter().filter(|claim| ids.get(&i64::from(claim.baseline.load.entity.0)) == Some(&index)).collect();
        let baseline = own.iter().map(|claim| claim.baseline.period).max_by_key(|period| period.end)?;
        let sum = Figure::sum(own.iter().flat_map(|claim| claim.figures.values()));
        let energy = sum.energy?;
        let excess = Excess {
            kwh: -energy.saved(),
            half_width_kwh: energy.half_width,
            baseline_kwh: energy.baseline,
            kg_co2e: -sum.kg_co2e,
            baseline,
        };
        (sum.hours > 0).then_some(excess)
    };
    Ok((0..found.len()).map(of).collect())
}

/// Standard coal by heat content, of a year, per size.
#[derive(Clone, Debug)]
pub struct Intensity {
    pub value: f64,
    pub unit: &'static str,
    /// The median of its kind, where there are enough.
    pub benchmark: Option<f64>,
    /// How many of the kind state that size, itself included.
    pub peers: usize,
}

pub fn intensities(found: &[(String, Subject)], tallies: &[Tally]) -> Vec<Option<Intensity>> {
    let own = |((kind, subject), tally): (&(String, Subject), &Tally)| {
        let kgce_a_year = KGCE_PER_T * tally.tce_calorific() * DAYS_PER_YEAR / tally.days as f64;
        let by_output = subject.output_cny_per_year.filter(|_| MAKERS.contains(&kind.as_str())).map(|cny| (cny / 1e4, "kgce/10k CNY"));
        let (size, unit) = by_output.or_else(|| subject.floor_area_m2.map(|m2| (m2, "kgce/m2")))?;
        Some((kgce_a_year / size, unit)).filter(|(value, _)| value.is_finite() && *value > 0.0)
    };
    let values: Vec<Option<(f64, &'static str)>> = found.iter().zip(tallies).map(own).collect();
    let with_peers = |((kind, _), own): (&(String, Subject), &Option<(f64, &'static str)>)| {
        let (value, unit) = (*own)?;
        let alike = found.iter().zip(&values).filter(|((other, _), _)| other == kind);
        let mut peers: Vec<f64> = alike.filter_map(|(_, value)| value.filter(|(_, of)| *of == unit)).map(|(value, _)| value).collect();
        peers.sort_by(f64::total_cmp);
        let benchmark = (PEERS_LEAST <= peers.len()).then(|| median(&peers));
        Some(Intensity { value, unit, benchmark, peers: peers.len() })
    };
    found.iter().zip(&values).map(with_peers).collect()
}

fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { f64::midpoint(sorted[middle - 1], sorted[middle]) }
}

/// Tonnes of `CO2e` that could be avoided, already times the confidence.
#[derive(Clone, Copy, Debug, Default)]
pub struct Avoidable {
    pub t_co2e: f64,
    /// How sure it is, 0 to 1, the measured share included; none where there is no excess.
    pub confidence: Option<f64>,
}

impl Avoidable {
    pub fn of(tally: &Tally, excess: Option<&Excess>, intensity: Option<&Intensity>) -> Avoidable {
        let measured = tally.measured_share().unwrap_or(0.0);
        let over_baseline = excess.map(|excess| (excess.kg_co2e / KGCE_PER_T, excess.confidence()));
        let over_benchmark = intensity.and_then(|intensity| {
            let part = (intensity.value - intensity.benchmark?) / intensity.value;
            // The median of n stands the less firm the fewer they are.
            Some((tally.t_co2e() * part, 1.0 - 1.0 / (intensity.peers as f64).sqrt()))
        });
        let sure = |(t_co2e, confidence): (f64, f64)| Avoidable {
            t_co2e: t_co2e * confidence * measured,
            confidence: Some(confidence * measured),
        };
        let excesses = over_baseline.into_iter().chain(over_benchmark).filter(|(t_co2e, _)| *t_co2e > 0.0).map(sure);
        excesses.max_by(|a, b| a.t_co2e.total_cmp(&b.t_co2e)).unwrap_or_default()
    }
}
