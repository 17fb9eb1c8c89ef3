//! What the meters below a node do not account for, and what transformations lose: `show residuals`.
//!
//! The residual of a node has figures of its own, too (`domain/tree.rs`): what is shown here stands beside what the node took.
//! Invariant: a node's residual and what the meters right below it take add up to what it took itself, in ledger units, over any span.

use std::collections::BTreeMap;

use rusqlite::{Connection, Row, params};
use rustc_hash::FxHashMap;

use super::books::{book_of, names};
use super::known::{self, Factor, InForce};
use super::{By, Resolved, Selection, ShowError, need_intervals, period};
use crate::accounting::Book;
use crate::domain::units::Millis;
use crate::store::read::{Cell, Table};
use crate::wire::encode::rfc3339;

/// Sums in ledger units and µg.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    residual: i128,
    own: i128,
    gross: i128,
    unmeasured: i128,
    co2e_ug: i128,
    ce_calorific_ug: i128,
    latest: Millis,
}

/// A row's start and end, entity, node (a meter; empty for what an entity transforms) and book.
type Key = (Millis, Millis, i64, String, u8);

/// Each node of the meter tree with what the meters below it leave over, and each entity that makes heat, steam or cold with what is lost on the way, in
/// standard coal by heat content (below 0 where heat comes from the surroundings).
pub fn residuals(ledger: &Connection, selection: &Selection, by: By) -> Result<Table, ShowError> {
    let mut wanted = selection.resolve(ledger)?;
    need_intervals(ledger, wanted.from)?;
    let names = names(ledger)?;
    let factors = known::factors(ledger, &wanted)?;
    let coal = known::coal_calorific(ledger, &wanted)?;
    let mut sums = nodes(ledger, &mut wanted, by, (&factors, &coal))?;
    sums.extend(transformations(ledger, &mut wanted, by, &coal)?);
    let mut table = Table::new(&[
        "entity",
        "name_en",
        "name_zh",
        "node",
        "carrier",
        "from",
        "to",
        "residual",
        "unit",
        "kwh",
        "share_of_node",
        "tce_calorific",
        "kg_co2e",
        "factor_tier",
        "measured_share",
    ]);
    for ((from, to, entity, node, book), sums) in sums {
        let Some((book, (id, name_en, name_zh))) = book_of(book).zip(names.get(&entity)) else { continue };
        let is_node = !node.is_empty();
        let shown = book.shown();
        let quantity = sums.residual as f64 / shown.per_unit;
        let of_node = |cell: Cell| if is_node { cell } else { Cell::Null };
        let share = |part: i128, whole: i128| if whole == 0 { Cell::Null } else { Cell::Real(part as f64 / whole as f64) };
        let tier = factors.at(book as u8, sums.latest).map(|(factor, _)| factor.tier.clone());
        table.rows.push(vec![
            Cell::Text(id.clone()),
            Cell::Text(name_en.clone()),
            Cell::Text(name_zh.clone()),
            if is_node { Cell::Text(node) } else { "transformation".into() },
            of_node(book.carrier().as_str().into()),
            rfc3339(from, &wanted.time_zone).into(),
            rfc3339(to, &wanted.time_zone).into(),
            of_node(Cell::Real(quantity)),
            of_node(shown.unit.into()),
            of_node(shown.kwh_per_unit.map(|kwh| quantity * kwh).into()),
            of_node(share(sums.residual, sums.own)),
            Cell::Real(sums.ce_calorific_ug as f64 / 1e12),
            of_node(if tier.is_some() { Cell::Real(sums.co2e_ug as f64 / 1e9) } else { Cell::Null }),
            of_node(tier.map_or(Cell::Null, Cell::Text)),
            share(sums.gross - sums.unmeasured, sums.gross),
        ]);
    }
    Ok(table)
}

struct Part {
    start: Millis,
    end: Millis,
    entity: i64,
    node: String,
    book: u8,
    sums: Sums,
}

fn add_up(parts: Vec<Part>, wanted: &mut Resolved, by: By) -> BTreeMap<Key, Sums> {
    let (first, last) = (parts.iter().map(|part| part.start).min(), parts.iter().map(|part| part.end).max());
    let mut all: BTreeMap<Key, Sums> = BTreeMap::new();
    for Part { start, end, entity, node, book, sums } in parts {
        if !wanted.wants(entity) {
            continue;
        }
        let (from, to) = period(wanted, by, (start, end), (first, last));
        let into = all.entry((from, to, entity, node, book)).or_default();
        into.residual += sums.residual;
        into.own += sums.own;
        into.gross += sums.gross;
        into.unmeasured += sums.unmeasured;
        into.co2e_ug += sums.co2e_ug;
        into.ce_calorific_ug += sums.ce_calorific_ug;
        into.latest = into.latest.max(start);
    }
    all
}

fn bounds(wanted: &Resolved) -> (i64, i64) {
    (wanted.from.map_or(i64::MIN, |from| from.0), wanted.to.map_or(i64::MAX, |to| to.0))
}

/// Entity and node of a channel's own row, by (meter, carrier).
fn nodes(
    ledger: &Connection,
    wanted: &mut Resolved,
    by: By,
    (factors, coal): (&InForce<Factor>, &InForce<i64>),
) -> Result<BTreeMap<Key, Sums>, ShowError> {
    let mut entities: FxHashMap<String, i64> = FxHashMap::default();
    let sql =
        "SELECT DISTINCT n.node, e.id FROM node_row n JOIN channel_row c ON c.meter = n.node JOIN entity_row e ON e.entity = c.entity";
    let mut statement = ledger.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        entities.insert(row.get(0)?, row.get(1)?);
    }
    let sql = "SELECT i.ts, i.minutes, n.node, c.carrier, SUM(i.quantity * n.sign), SUM(i.quantity * n.own), \
               SUM(i.quantity * abs(n.sign)), SUM((i.assumed + i.estimated) * abs(n.sign)), SUM(i.quantity * COALESCE(s.bought, 0)) \
               FROM every_interval i JOIN node_row n ON n.channel = i.channel JOIN channel_row c ON c.id = i.channel \
               LEFT JOIN part_entity p ON p.entity = n.node || '-residual' LEFT JOIN share_row s ON s.channel = i.channel AND s.entity = p.id \
               WHERE i.ts >= ?1 AND i.ts < ?2 AND i.block BETWEEN block_of(?1) AND block_of(?2) GROUP BY i.ts, i.minutes, n.node, c.carrier";
    let mut statement = ledger.prepare(sql)?;
    let (from, to) = bounds(wanted);
    let mut rows = statement.query(params![from, to])?;
    let mut parts = Vec::new();
    while let Some(row) = rows.next()? {
        let node: String = row.get(2)?;
        let Some(entity) = entities.get(&node) else { continue };
        let (start, book) = (Millis(row.get(0)?), row.get::<_, u8>(3)?);
        let [residual, own, gross, unmeasured] = amounts(row)?;
        let bought: i64 = row.get(8)?;
        let factor = factors.at(book, start).map_or(0, |(factor, _)| factor.mg_per_unit);
        let mg_ce = coal.at(book, start).map_or(0, |(mg, _)| *mg);
        let sums = Sums {
            residual,
            own,
            gross,
            unmeasured,
            co2e_ug: i128::from(bought) * i128::from(factor),
            ce_calorific_ug: residual * i128::from(mg_ce),
            latest: start,
        };
        parts.push(Part { start, end: start.plus_ms(row.get::<_, i64>(1)? * 60_000), entity: *entity, node, book, sums });
    }
    Ok(add_up(parts, wanted, by))
}

fn amounts(row: &Row) -> Result<[i128; 4], rusqlite::Error> {
    let amount = |index| row.get::<_, i64>(index).map(i128::from);
    Ok([amount(4)?, amount(5)?, amount(6)?, amount(7)?])
}

/// What goes into an entity that makes heat, steam or cold, less what it makes. Water is a material there, no energy.
fn transformations(ledger: &Connection, wanted: &mut Resolved, by: By, coal: &InForce<i64>) -> Result<BTreeMap<Key, Sums>, ShowError> {
    let sql = "WITH makers AS (SELECT DISTINCT e.id FROM channel_row c JOIN entity_row e ON e.entity = c.entity WHERE c.direction = 'made' AND c.boundary) \
               SELECT i.ts, i.minutes, s.entity, c.carrier, SUM(i.quantity * s.sign), 0, SUM(i.quantity * abs(s.sign)), SUM((i.assumed + i.estimated) * abs(s.sign)) \
               FROM every_interval i JOIN share_row s ON s.channel = i.channel JOIN channel_row c ON c.id = i.channel \
               WHERE i.ts >= ?1 AND i.ts < ?2 AND i.block BETWEEN block_of(?1) AND block_of(?2) AND s.entity IN makers AND c.carrier <> 4 GROUP BY i.ts, i.minutes, s.entity, c.carrier \
               UNION ALL SELECT i.ts, i.minutes, e.id, c.carrier, -SUM(i.quantity), 0, SUM(i.quantity), SUM(i.assumed + i.estimated) \
               FROM every_interval i JOIN channel_row c ON c.id = i.channel JOIN entity_row e ON e.entity = c.entity \
               WHERE i.ts >= ?1 AND i.ts < ?2 AND i.block BETWEEN block_of(?1) AND block_of(?2) AND c.direction = 'made' AND c.boundary GROUP BY i.ts, i.minutes, e.id, c.carrier";
    let mut statement = ledger.prepare(sql)?;
    let (from, to) = bounds(wanted);
    let mut rows = statement.query(params![from, to])?;
    let mut parts = Vec::new();
    while let Some(row) = rows.next()? {
        let (start, book) = (Millis(row.get(0)?), row.get::<_, u8>(3)?);
        let [quantity, _, gross, unmeasured] = amounts(row)?;
        let mg_ce = coal.at(book, start).map_or(0, |(mg, _)| i128::from(*mg));
        // Different carriers weigh by their standard coal.
        let weighed = |amount: i128| (amount * mg_ce).abs();
        let sums = Sums {
            ce_calorific_ug: quantity * mg_ce,
            gross: weighed(gross),
            unmeasured: weighed(unmeasured),
            latest: start,
            ..Sums::default()
        };
        let end = start.plus_ms(row.get::<_, i64>(1)? * 60_000);
        parts.push(Part { start, end, entity: row.get(2)?, node: String::new(), book: Book::Heat as u8, sums });
    }
    Ok(add_up(parts, wanted, by))
}
