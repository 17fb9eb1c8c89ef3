//! Where market-based electricity comes from: contracts and certificates cover what was bought, month by month; the rest is residual.
//!
//! Pure. Invariants: no watt-hour is covered twice, and no supply covers more than it holds. A supply is shared out over its months (and, if it is the
//! zone's, over all entities) in proportion to what is not covered yet; the shortest periods come first, so that a month's certificate is not crowded
//! out by a year's contract.

use std::collections::BTreeMap;

use super::apportion::{by_weight, running_share};
use crate::domain::units::{Millis, Quantity};

/// An entity's row and the start of a local month.
pub type Cell = (i64, Millis);

/// A supply in the ledger's terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// None: the zone's.
    pub entity: Option<i64>,
    pub from: Millis,
    pub to: Millis,
    pub energy: Quantity,
}

/// What became of a supply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cover {
    pub cells: BTreeMap<Cell, Quantity>,
    /// Held, but nothing was bought that it could cover.
    pub unused: Quantity,
}

/// Covers `bought` with `offers`, in whose order the answer is. Of a period that is not over at `until` only the part of the energy counts that belongs
/// to the time gone by.
#[must_use]
pub fn cover(bought: &BTreeMap<Cell, Quantity>, offers: &[Offer], until: Millis) -> Vec<Cover> {
    let mut open: BTreeMap<Cell, i64> = bought.iter().map(|(cell, amount)| (*cell, amount.0.max(0))).collect();
    let mut order: Vec<usize> = (0..offers.len()).collect();
    order.sort_by_key(|index| (offers[*index].entity.is_none(), offers[*index].to.ms_since(offers[*index].from), *index));
    let mut covers = vec![Cover::default(); offers.len()];
    for index in order {
        let offer = &offers[index];
        let due = due(offer, until);
        let fits = |(entity, month): &Cell| offer.entity.is_none_or(|own| own == *entity) && offer.from <= *month && *month < offer.to;
        let (cells, weights): (Vec<Cell>, Vec<i64>) =
            open.iter().filter(|(cell, amount)| **amount > 0 && fits(cell)).map(|(cell, amount)| (*cell, *amount)).unzip();
        let room = weights.iter().map(|weight| i128::from(*weight)).sum::<i128>();
        let used = i64::try_from(room).unwrap_or(i64::MAX).min(due);
        for (cell, share) in cells.iter().zip(by_weight(used, &weights)) {
            covers[index].cells.insert(*cell, Quantity(share));
            if let Some(amount) = open.get_mut(cell) {
                *amount -= share;
            }
        }
        covers[index].unused = Quantity(due - used);
    }
    covers
}

fn due(offer: &Offer, until: Millis) -> i64 {
    let gone = until.min(offer.to).ms_since(offer.from).max(0);
    running_share(offer.energy.0, i128::from(gone), i128::from(offer.to.ms_since(offer.from).max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const JAN: Millis = Millis(0);
    const FEB: Millis = Millis(31);
    const MAR: Millis = Millis(59);

    fn offer(entity: Option<i64>, from: Millis, to: Millis, energy: i64) -> Offer {
        Offer { entity, from, to, energy: Quantity(energy) }
    }

    fn bought(cells: &[(i64, Millis, i64)]) -> BTreeMap<Cell, Quantity> {
        cells.iter().map(|(entity, month, amount)| ((*entity, *month), Quantity(*amount))).collect()
    }

    fn covered(cover: &Cover) -> Vec<(i64, i64, i64)> {
        cover.cells.iter().map(|((entity, month), amount)| (*entity, month.0, amount.0)).collect()
    }

    #[test]
    fn a_contract_follows_what_was_bought() {
        let covers = cover(&bought(&[(1, JAN, 300), (1, FEB, 100), (2, JAN, 500)]), &[offer(Some(1), JAN, MAR, 200)], MAR);
        assert_eq!(covered(&covers[0]), [(1, 0, 150), (1, 31, 50)]);
        assert_eq!(covers[0].unused, Quantity(0));
    }

    #[test]
    fn nothing_is_covered_twice_and_what_is_left_over_is_told() {
        // January: 80 of 100 by certificate first, then the contract takes the other 20 and all 50 of February.
        let offers = [offer(Some(1), JAN, MAR, 1_000), offer(Some(1), JAN, FEB, 80)];
        let covers = cover(&bought(&[(1, JAN, 100), (1, FEB, 50)]), &offers, MAR);
        assert_eq!(covered(&covers[1]), [(1, 0, 80)]);
        assert_eq!(covered(&covers[0]), [(1, 0, 20), (1, 31, 50)]);
        assert_eq!((covers[0].unused, covers[1].unused), (Quantity(930), Quantity(0)));
    }

    #[test]
    fn the_zones_certificates_go_to_all_after_their_own() {
        let offers = [offer(None, JAN, FEB, 90), offer(Some(2), JAN, FEB, 60)];
        let covers = cover(&bought(&[(1, JAN, 120), (2, JAN, 120), (3, JAN, -20)]), &offers, MAR);
        assert_eq!(covered(&covers[1]), [(2, 0, 60)]);
        assert_eq!(covered(&covers[0]), [(1, 0, 60), (2, 0, 30)]);
    }

    #[test]
    fn of_a_year_under_way_only_the_time_gone_by_counts() {
        let covers = cover(&bought(&[(1, JAN, 1_000)]), &[offer(Some(1), JAN, MAR, 590)], FEB);
        assert_eq!(covered(&covers[0]), [(1, 0, 310)]);
    }
}
