//! Sharing a whole number out exactly.
//!
//! Invariant: the shares add up to the whole, and a share over a range of parts is the difference of two running shares, whatever the cuts.

/// What of `total` falls on the first `done` of `whole`: `total × done / whole`, rounded down. `whole` is above 0.
#[must_use]
pub fn running_share(total: i64, done: i128, whole: i128) -> i64 {
    i64::try_from((i128::from(total) * done).div_euclid(whole)).unwrap_or(if total < 0 { i64::MIN } else { i64::MAX })
}

/// Shares of `total` in proportion to `weights`, none below 0. Where all weights are 0 nothing is shared out.
#[must_use]
pub fn by_weight(total: i64, weights: &[i64]) -> Vec<i64> {
    let whole: i128 = weights.iter().map(|weight| i128::from(*weight)).sum();
    if whole <= 0 {
        return vec![0; weights.len()];
    }
    let (mut done, mut before) = (0, 0);
    let share = |weight: &i64| {
        done += i128::from(*weight);
        let now = running_share(total, done, whole);
        now - std::mem::replace(&mut before, now)
    };
    weights.iter().map(share).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_to_the_whole() {
        let cases: [(i64, &[i64], &[i64]); 6] = [
            (10, &[1, 1, 1], &[3, 3, 4]),
            (100, &[50, 30, 20], &[50, 30, 20]),
            (1, &[1, 1, 1], &[0, 0, 1]),
            (7, &[0, 5, 0], &[0, 7, 0]),
            (7, &[0, 0], &[0, 0]),
            (1_000_000_000_000_000, &[i64::MAX, i64::MAX], &[500_000_000_000_000, 500_000_000_000_000]),
        ];
        for (total, weights, shares) in cases {
            assert_eq!(by_weight(total, weights), shares, "{total} by {weights:?}");
        }
    }
}
