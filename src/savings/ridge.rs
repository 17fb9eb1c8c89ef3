//! Ridge regression by normal equations: `(XᵀX + diag(penalty)) b = XᵀY`.
//!
//! Only lower triangles of symmetric matrices are filled. Invariant: a block's columns have the mean and scale of the rows that its
//! [`Scale`] was taken from, and a column that never varies there is zero everywhere.

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt::{self, factor::LltRegularization};
use faer::linalg::matmul::matmul;
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::{Accum, Mat, MatRef, Par, Spec};

use super::features::{Column, Term};
use super::hours::Hour;

/// A spread below this share of the column's magnitude is rounding.
const SPREAD_MIN: f64 = 1e-9;

/// The equations have no finite answer; only inputs near the limits of floats lead here, because the penalty makes them definite.
#[derive(Debug, PartialEq, Eq)]
pub struct Unsolvable;

/// How a raw column becomes a standardised one: (value − `shift`) × `factor`.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Scale {
    pub shift: f64,
    pub factor: f64,
}

impl Scale {
    pub const RAW: Self = Self { shift: 0.0, factor: 1.0 };

    /// Mean 0 and standard deviation 1 over these values.
    #[must_use]
    pub fn of(values: &[f64]) -> Self {
        let count = values.len().max(1) as f64;
        let mean = values.iter().sum::<f64>() / count;
        let spread = (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt();
        let magnitude = values.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
        let factor = if spread <= SPREAD_MIN * magnitude { 0.0 } else { 1.0 / spread };
        Self { shift: mean, factor }
    }

    #[must_use]
    pub fn apply(self, value: f64) -> f64 {
        (value - self.shift) * self.factor
    }
}

/// Standardised columns of one level, one row per hour.
pub struct Block {
    pub scales: Vec<Scale>,
    pub rows: Mat<f64>,
}

impl Block {
    /// Columns that never vary are zero: their coefficients become zero too.
    #[must_use]
    pub fn of(columns: &[Column], hours: &[&Hour]) -> Self {
        let mut rows = Mat::zeros(hours.len(), columns.len());
        let mut scales = Vec::with_capacity(columns.len());
        let mut values = vec![0.0; hours.len()];
        for (cells, column) in rows.col_iter_mut().zip(columns) {
            for (value, hour) in values.iter_mut().zip(hours) {
                *value = column.term.value(hour);
            }
            let scale = if column.term == Term::Intercept { Scale::RAW } else { Scale::of(&values) };
            for (cell, value) in cells.iter_mut().zip(&values) {
                *cell = scale.apply(*value);
            }
            scales.push(scale);
        }
        Self { scales, rows }
    }
}

/// The lower triangle of `XᵀX`.
#[must_use]
pub fn gram(rows: MatRef<'_, f64>) -> Mat<f64> {
    let mut out = Mat::zeros(rows.ncols(), rows.ncols());
    let (lower, full) = (BlockStructure::TriangularLower, BlockStructure::Rectangular);
    triangular::matmul(out.as_mut(), lower, Accum::Replace, rows.transpose(), full, rows, full, 1.0, Par::Seq);
    out
}

/// `XᵀY`.
#[must_use]
pub fn moments(rows: MatRef<'_, f64>, targets: MatRef<'_, f64>) -> Mat<f64> {
    product(rows.transpose(), targets)
}

/// A·B.
#[must_use]
pub fn product(left: MatRef<'_, f64>, right: MatRef<'_, f64>) -> Mat<f64> {
    let mut out = Mat::zeros(left.nrows(), right.ncols());
    matmul(out.as_mut(), Accum::Replace, left, right, 1.0, Par::Seq);
    out
}

/// Solves many ridges of one width in the same memory: a fit has two thousand of them.
pub struct Solver {
    factor: Mat<f64>,
    scratch: MemBuffer,
}

impl Solver {
    #[must_use]
    pub fn new(width: usize, answers: usize) -> Self {
        let factoring = llt::factor::cholesky_in_place_scratch::<f64>(width, Par::Seq, Spec::default());
        let solving = llt::solve::solve_in_place_scratch::<f64>(width, answers, Par::Seq);
        Self { factor: Mat::zeros(width, width), scratch: MemBuffer::new(factoring.or(solving)) }
    }

    /// Coefficients of the ridge whose `XᵀX` has the lower triangle `gram`, one column of answers per column of `moments`.
    pub fn solve(
        &mut self,
        gram: &Mat<f64>,
        penalties: impl Iterator<Item = f64>,
        moments: MatRef<'_, f64>,
    ) -> Result<Mat<f64>, Unsolvable> {
        self.factor.copy_from_triangular_lower(gram);
        for (index, penalty) in penalties.enumerate() {
            let diagonal = &mut self.factor[(index, index)];
            // What varies nowhere has no equation of its own, and may have no penalty.
            *diagonal += penalty.max(f64::MIN_POSITIVE);
            if *diagonal < PIVOT_MIN {
                *diagonal = 1.0;
            }
        }
        let stack = MemStack::new(&mut self.scratch);
        let regularization = LltRegularization::default();
        llt::factor::cholesky_in_place(self.factor.as_mut(), regularization, Par::Seq, stack, Spec::default()).map_err(|_| Unsolvable)?;
        let mut answer = moments.to_owned();
        llt::solve::solve_in_place(self.factor.as_ref(), answer.as_mut(), Par::Seq, stack);
        let finite = (0..answer.ncols()).all(|column| answer.col(column).iter().all(|value| value.is_finite()));
        if finite { Ok(answer) } else { Err(Unsolvable) }
    }
}

/// A diagonal below this belongs to a column of zeros.
const PIVOT_MIN: f64 = 1e-9;

#[cfg(test)]
mod tests {
    use super::*;

    fn near(seen: f64, wanted: f64) {
        assert!((seen - wanted).abs() < 1e-12, "{seen} is not {wanted}");
    }

    #[test]
    fn the_closed_form_of_two_columns() {
        // X = [1 0; 1 1; 0 1], y = [1 2 3]: XᵀX = [2 1; 1 2], Xᵀy = [3 5]. With penalties 1 and 2 the matrix is [3 1; 1 4], its
        // determinant 11, and b = [4·3 − 5, 3·5 − 3] / 11.
        let rows = Mat::from_fn(3, 2, |row, column| [[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]][row][column]);
        let targets = Mat::from_fn(3, 1, |row, _| (row + 1) as f64);
        let answer = Solver::new(2, 1)
            .solve(&gram(rows.as_ref()), [1.0, 2.0].into_iter(), moments(rows.as_ref(), targets.as_ref()).as_ref())
            .unwrap();
        near(answer[(0, 0)], 7.0 / 11.0);
        near(answer[(1, 0)], 12.0 / 11.0);
    }

    #[test]
    fn a_column_of_zeros_gets_a_coefficient_of_zero() {
        let rows = Mat::from_fn(2, 2, |_, column| if column == 0 { 1.0 } else { 0.0 });
        let targets = Mat::from_fn(2, 1, |row, _| [3.0, 5.0][row]);
        let answer = Solver::new(2, 1)
            .solve(&gram(rows.as_ref()), [0.0, 0.0].into_iter(), moments(rows.as_ref(), targets.as_ref()).as_ref())
            .unwrap();
        near(answer[(0, 0)], 4.0);
        near(answer[(1, 0)], 0.0);
    }

    #[test]
    fn what_does_not_vary_is_zero_whatever_its_level() {
        let scale = Scale::of(&[1.0, 3.0]);
        assert_eq!(scale, Scale { shift: 2.0, factor: 1.0 });
        near(scale.apply(5.0), 3.0);
        for level in [0.0, 0.1, 1e9] {
            near(Scale::of(&[level; 3]).apply(level + 7.0), 0.0);
        }
    }

    #[test]
    fn overflow_is_said_and_never_answered() {
        let huge = Mat::from_fn(1, 1, |_, _| f64::INFINITY);
        assert_eq!(Solver::new(1, 1).solve(&huge, [1.0].into_iter(), huge.as_ref()).unwrap_err(), Unsolvable);
    }
}
