//! The baseline: a ridge over all hours, and one per hour of the day on what it leaves over ("TOWT-R").
//!
//! Fitted once, then frozen: a prediction is a pure function of one hour. The fit never sees a reporting hour. Invariant: a residual called
//! cross-validated comes from a fit, of both levels, without any hour of its week's block.

use faer::{Mat, MatRef};
use serde::{Deserialize, Serialize};

use super::features::{Column, Design};
use super::hours::Hour;
use super::ridge::{Block, Scale, Solver, Unsolvable, gram, moments, product};

/// Blocks of whole weeks for cross-validation, dealt out in turn so that each block has all seasons.
const FOLDS: usize = TURN_WEEKS as usize;
const TURN_WEEKS: i64 = 10;
/// The pooled level's penalty, in units of a column's weight.
const POOLED_PENALTY: f64 = 30.0;
/// What cross-validation chooses the hourly level's penalty from.
const HOURLY_PENALTIES: [f64; 8] = [1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0];
const HOURS_OF_DAY: usize = 24;

/// Hours to fit, with what was metered in each, kWh.
#[derive(Clone, Copy)]
pub struct Training<'a> {
    pub hours: &'a [&'a Hour],
    pub metered_kwh: &'a [f64],
    /// Has the baseline at least eleven full months? Only then there are columns of the season.
    pub a_year: bool,
}

/// One regression's columns and coefficients.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Level {
    columns: Vec<Column>,
    scales: Vec<Scale>,
    /// kWh per standardised column: one list, or one for each hour of the day.
    coefficients_kwh: Vec<Vec<f64>>,
}

impl Level {
    fn predict(&self, hour: &Hour, set: usize) -> f64 {
        let terms = self.columns.iter().zip(&self.scales).zip(&self.coefficients_kwh[set]);
        terms.map(|((column, scale), coefficient_kwh)| coefficient_kwh * scale.apply(column.term.value(hour))).sum()
    }
}

/// A frozen baseline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    pooled: Level,
    hourly: Level,
}

/// Residuals of the baseline's own hours (metered less predicted), in the order of the training.
pub struct Residuals {
    /// Of both levels, from fits without the hour's block.
    pub cross_validated_kwh: Vec<f64>,
    /// Of both levels as they were frozen.
    pub fitted_kwh: Vec<f64>,
    /// Of the pooled level alone, which has no months and so cannot follow a lasting shift.
    pub pooled_kwh: Vec<f64>,
    /// How far the cross-validated residuals of a week move the pooled coefficients: a column per week of the baseline.
    pub influence_kwh: Mat<f64>,
}

impl Baseline {
    /// What the entity would have used in an hour, kWh.
    #[must_use]
    pub fn predict_kwh(&self, hour: &Hour) -> f64 {
        self.pooled.predict(hour, 0) + self.hourly.predict(hour, usize::from(hour.moment.hour_of_day))
    }

    /// Adds an hour's standardised pooled columns to a sum of them. The intercept stays out: the error of the baseline's mean is counted
    /// with the noise of its weeks.
    pub fn add_row(&self, hour: &Hour, sum: &mut Vec<f64>) {
        sum.resize(self.pooled.columns.len(), 0.0);
        for ((total, column), scale) in sum.iter_mut().zip(&self.pooled.columns).zip(&self.pooled.scales).skip(1) {
            *total += scale.apply(column.term.value(hour));
        }
    }

    pub fn fit(training: Training<'_>) -> Result<(Self, Residuals), Unsolvable> {
        let fit = Fit::new(training);
        let pooled = fit.pooled()?;
        let hourly = fit.hourly(&pooled)?;
        let residuals = Residuals {
            influence_kwh: fit.influence(&pooled.gram, &hourly.cross_validated_kwh)?,
            cross_validated_kwh: fit.in_given_order(&hourly.cross_validated_kwh),
            fitted_kwh: fit.in_given_order(&hourly.fitted_kwh),
            pooled_kwh: fit.in_given_order(&pooled.residuals_kwh.col(FOLDS).iter().copied().collect::<Vec<_>>()),
        };
        let level = |columns: &[Column], block: &Block, coefficients_kwh| Level {
            columns: columns.to_vec(),
            scales: block.scales.clone(),
            coefficients_kwh,
        };
        let baseline = Self {
            pooled: level(&fit.design.pooled, &fit.pooled, vec![pooled.coefficients_kwh]),
            hourly: level(&fit.design.hourly, &fit.hourly, hourly.coefficients_kwh),
        };
        Ok((baseline, residuals))
    }
}

/// The hours in order of block and, within it, hour of the day: both levels' blocks are then ranges of rows.
struct Fit {
    /// Position in the training of each row.
    order: Vec<usize>,
    /// First row of each block and hour of the day, and the end.
    starts: Vec<usize>,
    weeks: Vec<i64>,
    metered_kwh: Mat<f64>,
    design: Design,
    pooled: Block,
    hourly: Block,
}

/// The pooled level with each block left out in turn, and last with none.
struct Pooled {
    gram: Mat<f64>,
    coefficients_kwh: Vec<f64>,
    /// A column per block that was left out, then the one of all.
    residuals_kwh: Mat<f64>,
}

#[allow(clippy::struct_field_names, reason = "units last")]
struct Hourly {
    coefficients_kwh: Vec<Vec<f64>>,
    cross_validated_kwh: Vec<f64>,
    fitted_kwh: Vec<f64>,
}

/// One hour of the day: its normal equations, and what is left over in each block for each penalty.
struct HourOfDay {
    gram: Mat<f64>,
    moments: Mat<f64>,
    /// Rows of each block, with a column per penalty.
    left_over_kwh: Vec<Mat<f64>>,
}

impl Fit {
    fn new(training: Training<'_>) -> Self {
        let cell = |hour: &Hour| hour.moment.week.rem_euclid(TURN_WEEKS) as usize * HOURS_OF_DAY + usize::from(hour.moment.hour_of_day);
        let mut order: Vec<usize> = (0..training.hours.len()).collect();
        order.sort_by_key(|&index| cell(training.hours[index]));
        let hours: Vec<&Hour> = order.iter().map(|&index| training.hours[index]).collect();
        let design = Design::of(&hours, training.a_year);
        Self {
            starts: (0..=FOLDS * HOURS_OF_DAY).map(|wanted| hours.partition_point(|hour| cell(hour) < wanted)).collect(),
            weeks: hours.iter().map(|hour| hour.moment.week).collect(),
            metered_kwh: Mat::from_fn(order.len(), 1, |row, _| training.metered_kwh[order[row]]),
            pooled: Block::of(&design.pooled, &hours),
            hourly: Block::of(&design.hourly, &hours),
            design,
            order,
        }
    }

    fn cell(&self, fold: usize, hour_of_day: usize) -> std::ops::Range<usize> {
        let index = fold * HOURS_OF_DAY + hour_of_day;
        self.starts[index]..self.starts[index + 1]
    }

    fn pooled_penalties(&self) -> impl Iterator<Item = f64> {
        self.design.pooled.iter().map(|column| POOLED_PENALTY * column.weight)
    }

    fn pooled(&self) -> Result<Pooled, Unsolvable> {
        let parts: Vec<(Mat<f64>, Mat<f64>)> = (0..FOLDS)
            .map(|fold| {
                let range = self.starts[fold * HOURS_OF_DAY]..self.starts[(fold + 1) * HOURS_OF_DAY];
                let rows = part(&self.pooled.rows, &range);
                (gram(rows), moments(rows, part(&self.metered_kwh, &range)))
            })
            .collect();
        let width = self.design.pooled.len();
        let (mut all_gram, mut all_moments) = (Mat::zeros(width, width), Mat::zeros(width, 1));
        for (gram, moments) in &parts {
            all_gram += gram;
            all_moments += moments;
        }
        let mut coefficients = Mat::zeros(width, FOLDS + 1);
        let mut solver = Solver::new(width, 1);
        for (fold, (gram, moments)) in parts.iter().enumerate() {
            let answer = solver.solve(&(&all_gram - gram), self.pooled_penalties(), (&all_moments - moments).as_ref())?;
            coefficients.col_mut(fold).copy_from(answer.col(0));
        }
        let answer = solver.solve(&all_gram, self.pooled_penalties(), all_moments.as_ref())?;
        coefficients.col_mut(FOLDS).copy_from(answer.col(0));
        let predicted = product(self.pooled.rows.as_ref(), coefficients.as_ref());
        Ok(Pooled {
            gram: all_gram,
            coefficients_kwh: answer.col(0).iter().copied().collect(),
            residuals_kwh: Mat::from_fn(self.order.len(), FOLDS + 1, |row, set| self.metered_kwh[(row, 0)] - predicted[(row, set)]),
        })
    }

    /// One penalty for all hours of the day: 24 choices from a few hundred rows each would follow their noise.
    fn hourly(&self, pooled: &Pooled) -> Result<Hourly, Unsolvable> {
        let mut solver = Solver::new(self.design.hourly.len(), 1);
        let days: Vec<HourOfDay> = (0..HOURS_OF_DAY).map(|hour| self.hour_of_day(hour, pooled, &mut solver)).collect::<Result<_, _>>()?;
        let squares = |penalty: usize| -> f64 {
            let left_over = days.iter().flat_map(|day| &day.left_over_kwh);
            left_over.flat_map(|rows| rows.col(penalty).iter()).map(|left_kwh| left_kwh * left_kwh).sum()
        };
        let best = (0..HOURLY_PENALTIES.len()).min_by(|a, b| squares(*a).total_cmp(&squares(*b))).unwrap_or(0);
        let mut out = Hourly {
            coefficients_kwh: Vec::with_capacity(HOURS_OF_DAY),
            cross_validated_kwh: vec![0.0; self.order.len()],
            fitted_kwh: vec![0.0; self.order.len()],
        };
        for (hour, day) in days.iter().enumerate() {
            let moments = day.moments.subcols(FOLDS, 1);
            let answer = solver.solve(&day.gram, self.hourly_penalties(HOURLY_PENALTIES[best]), moments)?;
            for (fold, left_over_kwh) in day.left_over_kwh.iter().enumerate() {
                let range = self.cell(fold, hour);
                let fitted = product(part(&self.hourly.rows, &range), answer.as_ref());
                for (offset, row) in range.enumerate() {
                    out.cross_validated_kwh[row] = left_over_kwh[(offset, best)];
                    out.fitted_kwh[row] = pooled.residuals_kwh[(row, FOLDS)] - fitted[(offset, 0)];
                }
            }
            out.coefficients_kwh.push(answer.col(0).iter().copied().collect());
        }
        Ok(out)
    }

    fn hourly_penalties(&self, penalty: f64) -> impl Iterator<Item = f64> {
        self.design.hourly.iter().map(move |column| penalty * column.weight)
    }

    fn hour_of_day(&self, hour: usize, pooled: &Pooled, solver: &mut Solver) -> Result<HourOfDay, Unsolvable> {
        let width = self.design.hourly.len();
        let parts: Vec<(Mat<f64>, Mat<f64>)> = (0..FOLDS)
            .map(|fold| {
                let range = self.cell(fold, hour);
                let rows = part(&self.hourly.rows, &range);
                (gram(rows), moments(rows, part(&pooled.residuals_kwh, &range)))
            })
            .collect();
        let mut out = HourOfDay { gram: Mat::zeros(width, width), moments: Mat::zeros(width, FOLDS + 1), left_over_kwh: Vec::new() };
        for (gram, moments) in &parts {
            out.gram += gram;
            out.moments += moments;
        }
        for (fold, (gram, moments)) in parts.iter().enumerate() {
            let range = self.cell(fold, hour);
            let (gram, moments) = (&out.gram - gram, out.moments.col(fold) - moments.col(fold));
            let mut answers = Mat::zeros(width, HOURLY_PENALTIES.len());
            for (index, penalty) in HOURLY_PENALTIES.into_iter().enumerate() {
                let answer = solver.solve(&gram, self.hourly_penalties(penalty), moments.as_mat())?;
                answers.col_mut(index).copy_from(answer.col(0));
            }
            let predicted = product(part(&self.hourly.rows, &range), answers.as_ref());
            let target = |offset: usize| pooled.residuals_kwh[(range.start + offset, fold)];
            out.left_over_kwh.push(Mat::from_fn(range.len(), HOURLY_PENALTIES.len(), |row, set| target(row) - predicted[(row, set)]));
        }
        Ok(out)
    }

    /// The square root of the week-clustered sandwich: `(XᵀX + P)⁻¹` times each week's `Xᵀe`.
    fn influence(&self, gram: &Mat<f64>, residuals_kwh: &[f64]) -> Result<Mat<f64>, Unsolvable> {
        let mut weeks = self.weeks.clone();
        weeks.sort_unstable();
        weeks.dedup();
        let mut scores = Mat::zeros(self.design.pooled.len(), weeks.len());
        for (row, (week, residual_kwh)) in self.weeks.iter().zip(residuals_kwh).enumerate() {
            let Ok(column) = weeks.binary_search(week) else { continue };
            for (score, value) in scores.col_mut(column).iter_mut().zip(self.pooled.rows.row(row).iter()) {
                *score += value * residual_kwh;
            }
        }
        Solver::new(gram.ncols(), weeks.len()).solve(gram, self.pooled_penalties(), scores.as_ref())
    }

    fn in_given_order(&self, rows: &[f64]) -> Vec<f64> {
        let mut out = vec![0.0; rows.len()];
        for (&index, &value) in self.order.iter().zip(rows) {
            out[index] = value;
        }
        out
    }
}

fn part<'m>(rows: &'m Mat<f64>, range: &std::ops::Range<usize>) -> MatRef<'m, f64> {
    rows.subrows(range.start, range.len())
}
