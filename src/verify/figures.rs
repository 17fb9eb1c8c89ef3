//! Carbon, standard coal and cost against energy: every hour, day and month of every entity is worked out anew from meters' intervals, shares, factors and
//! prices, none of it by the code that made the books.
//!
//! Invariant: months are looked at one by one. That intervals are what the truth owes is [`super::spans`]' word; a year is the sum of its months.

use jiff::tz::TimeZone;
use rusqlite::{Connection, params};
use rustc_hash::FxHashMap;

use super::{Finding, Tally, VerifyError};
use crate::domain::calendar::{LocalCalendar, Span};
use crate::domain::units::Millis;

/// Quantity, what of it was bought, µg of carbon, and of standard coal on both bases.
type Amounts = [i128; 5];
/// Start, entity, book.
type Key = (i64, i64, i64);
/// Day, entity, book, band.
type CostKey = (i64, i64, i64, i64);

/// Books up to this one are energy and have a price; production has none.
const LAST_PRICED_BOOK: i64 = 4;
const UNPRICED: i64 = 5;

/// `kept`: from when on the ledger has all intervals, if not from the beginning.
pub fn check(connection: &Connection, kept: Option<Millis>) -> Result<Vec<Finding>, VerifyError> {
    let zone: String = connection.query_row("SELECT value FROM meta WHERE key = 'time_zone'", [], |row| row.get(0))?;
    let mut calendar = LocalCalendar::new(TimeZone::get(&zone).unwrap_or(TimeZone::UTC));
    let (mut carbon, mut costs) = (Tally::default(), Tally::default());
    let range = connection.query_row("SELECT first, last FROM interval_range", [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if let (Some(first), Some(last)) = range {
        let rules = Rules::read(connection)?;
        let mut month = calendar.month(kept.unwrap_or(Millis(first)));
        if kept.is_some_and(|kept| month.start < kept) {
            month = calendar.month(month.end);
        }
        while month.start.0 <= last {
            let (hours, bills) = work_out(connection, &rules, month, &mut calendar)?;
            check_carbon(connection, month, &hours, &mut calendar, &mut carbon)?;
            check_costs(connection, month, bills, &mut costs)?;
            month = calendar.month(month.end);
        }
    }
    Ok(vec![
        carbon.finding("carbon and standard coal are energy × factor", "each hour, day and month of each entity and carrier".to_owned()),
        costs.finding("cost is energy × price of its hour", "each day of each entity, carrier and band".to_owned()),
    ])
}

/// What holds from a moment to another.
type Dated<T> = FxHashMap<i64, Vec<(i64, i64, T)>>;

struct Rules {
    /// Book, and entity, sign and bought, of each channel.
    shares: FxHashMap<i64, (i64, Vec<[i64; 3]>)>,
    /// Carbon and standard coal on both bases, mg per unit.
    factors: Dated<[i64; 3]>,
    /// Band, and price in `µCNY` per unit.
    prices: Dated<(i64, i64)>,
}

impl Rules {
    fn read(connection: &Connection) -> Result<Rules, VerifyError> {
        let mut rules = Rules { shares: FxHashMap::default(), factors: Dated::default(), prices: Dated::default() };
        let sql = "SELECT s.channel, c.carrier, s.entity, s.sign, s.bought FROM share_row s JOIN channel_row c ON c.id = s.channel";
        let mut statement = connection.prepare(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let share = [row.get(2)?, row.get(3)?, row.get(4)?];
            rules.shares.entry(row.get(0)?).or_insert((row.get(1)?, Vec::new())).1.push(share);
        }
        let sql = "SELECT carrier, from_ts, to_ts, COALESCE(mg_per_unit, 0), COALESCE(coal_calorific_mg_per_unit, 0), \
                   COALESCE(coal_primary_mg_per_unit, 0) FROM factor_use_row WHERE recorded_to IS NULL ORDER BY from_ts";
        let mut statement = connection.prepare(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let held = (row.get(1)?, row.get(2)?, [row.get(3)?, row.get(4)?, row.get(5)?]);
            rules.factors.entry(row.get(0)?).or_default().push(held);
        }
        let sql =
            "SELECT carrier, from_ts, to_ts, band, COALESCE(ucny_per_unit, 0) FROM price_row WHERE recorded_to IS NULL ORDER BY from_ts";
        let mut statement = connection.prepare(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            rules.prices.entry(row.get(0)?).or_default().push((row.get(1)?, row.get(2)?, (row.get(3)?, row.get(4)?)));
        }
        Ok(rules)
    }
}

fn at<T: Copy>(dated: &Dated<T>, book: i64, moment: i64) -> Option<T> {
    let spans = dated.get(&book)?;
    let (_, to, value) = spans[spans.partition_point(|(from, ..)| *from <= moment).checked_sub(1)?];
    (moment < to).then_some(value)
}

type Bills = FxHashMap<CostKey, [i128; 2]>;

fn work_out(
    connection: &Connection,
    rules: &Rules,
    month: Span,
    calendar: &mut LocalCalendar,
) -> Result<(FxHashMap<Key, Amounts>, Bills), VerifyError> {
    let (mut hours, mut bills): (FxHashMap<Key, Amounts>, Bills) = (FxHashMap::default(), FxHashMap::default());
    let mut statement = connection.prepare(
        "SELECT ts, channel, quantity FROM every_interval WHERE ts >= ?1 AND ts < ?2 AND block BETWEEN block_of(?1) AND block_of(?2)",
    )?;
    let mut rows = statement.query(params![month.start.0, month.end.0])?;
    while let Some(row) = rows.next()? {
        let (ts, quantity): (i64, i64) = (row.get(0)?, row.get(2)?);
        let Some((book, shares)) = rules.shares.get(&row.get(1)?) else { continue };
        let (hour, day) = (calendar.hour(Millis(ts)).start.0, calendar.day(Millis(ts)).start.0);
        let factors = at(&rules.factors, *book, ts).unwrap_or_default();
        let (band, price) = at(&rules.prices, *book, ts).unwrap_or((UNPRICED, 0));
        for [entity, sign, bought] in shares {
            let times = |count: i64, factor: i64| i128::from(quantity) * i128::from(count) * i128::from(factor);
            let made = [times(*sign, 1), times(*bought, 1), times(*bought, factors[0]), times(*sign, factors[1]), times(*sign, factors[2])];
            add(hours.entry((hour, *entity, *book)).or_default(), &made);
            if *book <= LAST_PRICED_BOOK {
                add(bills.entry((day, *entity, *book, band)).or_default(), &[times(*bought, 1), times(*bought, price)]);
            }
        }
    }
    Ok((hours, bills))
}

fn add<const N: usize>(into: &mut [i128; N], amounts: &[i128; N]) {
    for (into, amount) in into.iter_mut().zip(amounts) {
        *into += amount;
    }
}

fn check_carbon(
    connection: &Connection,
    month: Span,
    hours: &FxHashMap<Key, Amounts>,
    calendar: &mut LocalCalendar,
    tally: &mut Tally,
) -> Result<(), VerifyError> {
    let sql = "SELECT ts, entity, carrier, quantity, bought, co2e_ug, ce_calorific_ug, ce_primary_ug FROM rollup_row \
               WHERE level = ?1 AND ts >= ?2 AND ts < ?3";
    let mut statement = connection.prepare(sql)?;
    for level in 1..=3 {
        let mut wanted: FxHashMap<Key, Amounts> = FxHashMap::default();
        for ((hour, entity, book), amounts) in hours {
            let start = match level {
                1 => *hour,
                2 => calendar.day(Millis(*hour)).start.0,
                _ => month.start.0,
            };
            add(wanted.entry((start, *entity, *book)).or_default(), amounts);
        }
        let mut rows = statement.query(params![level, month.start.0, month.end.0])?;
        while let Some(row) = rows.next()? {
            let key: Key = (row.get(0)?, row.get(1)?, row.get(2)?);
            let amount = |index| row.get::<_, i64>(index).map(i128::from);
            let seen: Amounts = [amount(3)?, amount(4)?, amount(5)?, amount(6)?, amount(7)?];
            let wanted = wanted.remove(&key).unwrap_or_default();
            tally.check(seen == wanted, || format!("level {level}, {key:?}: {seen:?}, worked out {wanted:?}"));
        }
        for (key, amounts) in wanted {
            tally.check(amounts == Amounts::default(), || format!("level {level}, {key:?}: no row, worked out {amounts:?}"));
        }
    }
    Ok(())
}

fn check_costs(connection: &Connection, month: Span, mut wanted: Bills, tally: &mut Tally) -> Result<(), VerifyError> {
    let sql = "SELECT ts, entity, carrier, band, bought, cost_ncny FROM cost_row WHERE ts >= ?1 AND ts < ?2";
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query(params![month.start.0, month.end.0])?;
    while let Some(row) = rows.next()? {
        let key: CostKey = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
        let seen = [i128::from(row.get::<_, i64>(4)?), i128::from(row.get::<_, i64>(5)?)];
        let wanted = wanted.remove(&key).unwrap_or_default();
        tally.check(seen == wanted, || format!("{key:?}: {seen:?}, worked out {wanted:?}"));
    }
    for (key, amounts) in wanted {
        tally.check(amounts == [0; 2], || format!("{key:?}: no row, worked out {amounts:?}"));
    }
    Ok(())
}
