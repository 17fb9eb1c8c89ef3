//! Prices in force, for readers (`accounts.sql`).

use rusqlite::{Connection, params};

use super::StoreError;
use crate::accounting::Book;
use crate::domain::calendar::Span;
use crate::domain::units::Millis;

/// One carrier's prices over a time: spans that do not meet, in order, each with what a ledger unit costs, nano-CNY.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prices(Vec<(Span, i64)>);

impl Prices {
    /// Those that hold in a period. Where none was ever used there is none.
    pub fn read(ledger: &Connection, book: Book, period: Span) -> Result<Prices, StoreError> {
        let sql = "SELECT from_ts, to_ts, ucny_per_unit FROM price_row WHERE carrier = ?1 AND from_ts < ?3 AND ?2 < to_ts AND recorded_to IS NULL \
                   AND ucny_per_unit IS NOT NULL ORDER BY from_ts";
        let mut statement = ledger.prepare_cached(sql)?;
        let rows = statement.query_map(params![book as u8, period.start.0, period.end.0], |row| {
            Ok((Span { start: Millis(row.get(0)?), end: Millis(row.get(1)?) }, row.get(2)?))
        })?;
        Ok(Prices(rows.collect::<Result<_, _>>()?))
    }

    /// What a ledger unit costs at a moment, nano-CNY; `None` where no price holds.
    #[must_use]
    pub fn at(&self, at: Millis) -> Option<i64> {
        let before = self.0.partition_point(|(span, _)| span.start <= at);
        self.0[..before].last().filter(|(span, _)| at < span.end).map(|(_, price)| *price)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_holds_up_to_its_end_and_a_gap_has_none() {
        let span = |start, end| Span { start: Millis(start), end: Millis(end) };
        let prices = Prices(vec![(span(10, 20), 7), (span(20, 30), 5), (span(40, 50), 9)]);
        let cases = [(9, None), (10, Some(7)), (19, Some(7)), (20, Some(5)), (30, None), (39, None), (49, Some(9)), (50, None)];
        for (at, wanted) in cases {
            assert_eq!(prices.at(Millis(at)), wanted, "{at}");
        }
    }
}
