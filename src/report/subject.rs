//! A subject of a report: an entity with all below it, or the zone, and what it used and gave off in a span.
//!
//! Invariant: sums are integers until a figure is made.

use rusqlite::{Connection, params};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::accounting::Book;
use crate::domain::units::Millis;
use crate::show::ShowError;
use crate::show::streams::{Origin, Stream};

/// Who is looked at. Entities' uses do not overlap, so a factory is itself and all that has it as a parent.
pub struct Subject {
    pub id: String,
    pub rows: FxHashSet<i64>,
    pub floor_area_m2: Option<f64>,
    pub output_cny_per_year: Option<f64>,
    pub head_count: Option<f64>,
    pub key_unit: bool,
}

/// All entities that stand for themselves: those of a kind asked for, or those right below the zone.
pub fn subjects(ledger: &Connection, zone: i64) -> Result<Vec<(i64, String, Subject)>, ShowError> {
    let sql = "SELECT f.entity, e.entity, e.kind, f.parent, f.floor_area_m2, f.output_cny_per_year, f.head_count, f.key_unit \
               FROM entity_fact_row f JOIN entity_row e ON e.id = f.entity ORDER BY f.entity";
    let mut statement = ledger.prepare(sql)?;
    let mut rows = statement.query([])?;
    let (mut found, mut parents) = (Vec::new(), FxHashMap::default());
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        parents.insert(id, row.get::<_, i64>(3)?);
        let subject = Subject {
            id: row.get(1)?,
            rows: FxHashSet::from_iter([id]),
            floor_area_m2: row.get(4)?,
            output_cny_per_year: row.get(5)?,
            head_count: row.get(6)?,
            key_unit: row.get(7)?,
        };
        found.push((id, row.get::<_, String>(2)?, subject));
    }
    let children: Vec<(i64, Vec<i64>)> = parents.keys().map(|id| (*id, ancestors(*id, &parents, zone))).collect();
    for (id, above) in children {
        for (_, _, subject) in found.iter_mut().filter(|(row, ..)| above.contains(row)) {
            subject.rows.insert(id);
        }
    }
    Ok(found)
}

/// Those that are no part of another one.
pub fn topmost(all: Vec<(i64, String, Subject)>) -> impl Iterator<Item = (i64, String, Subject)> {
    let below: FxHashSet<i64> =
        all.iter().flat_map(|(row, _, subject)| subject.rows.iter().copied().filter(move |part| part != row)).collect();
    all.into_iter().filter(move |(row, ..)| !below.contains(row))
}

fn ancestors(id: i64, parents: &FxHashMap<i64, i64>, zone: i64) -> Vec<i64> {
    std::iter::successors(parents.get(&id), |parent| parents.get(parent)).copied().take_while(|parent| *parent != zone).collect()
}

/// The zone as a whole; sizes are those that its entities state.
#[must_use]
pub fn whole(zone: (i64, &str), all: &[(i64, String, Subject)]) -> Subject {
    let sum = |of: fn(&Subject) -> Option<f64>| all.iter().filter_map(|(.., subject)| of(subject)).reduce(|a, b| a + b);
    Subject {
        id: zone.1.to_owned(),
        rows: FxHashSet::from_iter([zone.0]),
        floor_area_m2: sum(|subject| subject.floor_area_m2),
        output_cny_per_year: sum(|subject| subject.output_cny_per_year),
        head_count: sum(|subject| subject.head_count),
        key_unit: false,
    }
}

/// Sums over days, in ledger units and µg.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Use {
    pub quantity: FxHashMap<u8, i128>,
    pub ce_calorific_ug: i128,
    pub ce_primary_ug: i128,
    pub co2e_ug: i128,
    pub gross_energy_ug: i128,
    pub measured_energy_ug: i128,
    /// What entities with a source of their own from nature gave away, but for what another one of the subject got.
    pub exported_wh: i128,
    pub days: usize,
}

impl Use {
    #[must_use]
    pub fn of(&self, book: Book) -> i128 {
        self.quantity.get(&(book as u8)).copied().unwrap_or(0)
    }
}

/// What a subject used in [from, to), both on day borders.
pub fn used(ledger: &Connection, subject: &Subject, from: Millis, to: Millis) -> Result<Use, ShowError> {
    let sql = "SELECT ts, entity, carrier, quantity, gross, assumed + estimated, co2e_ug, ce_calorific_ug, ce_primary_ug FROM rollup_row \
               WHERE level = 2 AND ts >= ?1 AND ts < ?2";
    let mut statement = ledger.prepare(sql)?;
    let mut rows = statement.query(params![from.0, to.0])?;
    let (mut sums, mut days) = (Use::default(), FxHashSet::default());
    while let Some(row) = rows.next()? {
        if !subject.rows.contains(&row.get(1)?) {
            continue;
        }
        days.insert(row.get::<_, i64>(0)?);
        let amount = |index: usize| row.get::<_, i64>(index).map(i128::from);
        let (quantity, gross, calorific) = (amount(3)?, amount(4)?, amount(7)?);
        *sums.quantity.entry(row.get(2)?).or_default() += quantity;
        sums.co2e_ug += amount(6)?;
        sums.ce_calorific_ug += calorific;
        sums.ce_primary_ug += amount(8)?;
        // Shares of different carriers weigh by their standard coal.
        sums.gross_energy_ug += calorific.abs();
        sums.measured_energy_ug += if gross == 0 { calorific.abs() } else { calorific.abs() * (gross - amount(5)?) / gross };
    }
    sums.days = days.len();
    let handed = handed_on(ledger, (from, to))?;
    let own = || handed.iter().filter(|handed| subject.rows.contains(&handed.entity));
    let stays: FxHashSet<i64> = own().filter(|handed| !handed.gives).map(|handed| handed.channel).collect();
    sums.exported_wh = own().filter(|handed| handed.gives && !stays.contains(&handed.channel)).map(|handed| handed.wh).sum();
    Ok(sums)
}

/// What an entity gave away of its own generation through a channel, or got from another one, Wh.
pub struct Handed {
    channel: i64,
    pub entity: i64,
    pub gives: bool,
    pub wh: i128,
}

/// Exports of own generation: what leaves an entity (or the zone) and carries no carbon, and which entity above it gets it.
pub fn handed_on(ledger: &Connection, (from, to): (Millis, Millis)) -> Result<Vec<Handed>, ShowError> {
    // Rows first, sums around them, and a second half that is empty: only so are packed rows read channel by channel.
    let sql = "SELECT channel, entity, gives, SUM(wh) FROM ( \
               SELECT s.channel, s.entity, s.sign < 0 AS gives, i.quantity * abs(s.sign) AS wh FROM share_row s JOIN channel_row c ON c.id = s.channel \
               JOIN every_interval i ON i.channel = s.channel \
               WHERE c.direction = 'export' AND c.carrier = 0 AND s.bought = 0 AND i.ts >= ?1 AND i.ts < ?2 \
               AND i.block BETWEEN block_of(?1) AND block_of(?2) UNION ALL SELECT NULL, NULL, NULL, NULL WHERE false) GROUP BY channel, entity";
    let mut statement = ledger.prepare_cached(sql)?;
    let rows = statement.query_map(params![from.0, to.0], |row| {
        Ok(Handed { channel: row.get(0)?, entity: row.get(1)?, gives: row.get(2)?, wh: row.get::<_, i64>(3)?.into() })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Carbon of a subject by what a rule needs to know, µg; electricity in Wh.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Carbon {
    pub scope1_ug: i128,
    pub scope2_location_ug: i128,
    pub scope2_market_ug: i128,
    pub scope3_ug: i128,
    pub sinks_ug: i128,
    /// CO2 alone, of fuels, processes and bought heat.
    pub co2_without_electricity_ug: i128,
    pub green_wh: i128,
    pub own_wh: i128,
    pub other_wh: i128,
    /// Standard coal of fuels that nobody meters, by heat content.
    pub declared_ce_ug: i128,
    pub tiers: Vec<String>,
}

#[must_use]
pub fn carbon(streams: &[Stream], subject: &Subject) -> Carbon {
    let mut carbon = Carbon::default();
    for stream in streams.iter().filter(|stream| subject.rows.contains(&stream.entity)) {
        let ug = stream.co2e_ug;
        carbon.declared_ce_ug += stream.declared_ce_ug;
        match (stream.scope, stream.method.as_str()) {
            (_, "sink") => carbon.sinks_ug += ug,
            (1, _) => carbon.scope1_ug += ug,
            (2, "market") => carbon.scope2_market_ug += ug,
            (2, _) => carbon.scope2_location_ug += ug,
            _ => carbon.scope3_ug += ug,
        }
        match stream.origin {
            Origin::Co2 if stream.method == "location" => carbon.co2_without_electricity_ug += ug,
            Origin::Green => carbon.green_wh += stream.amount,
            Origin::Own => carbon.own_wh += stream.amount,
            Origin::NotGreen | Origin::Residual => carbon.other_wh += stream.amount,
            Origin::Co2 | Origin::Other | Origin::Grid => {}
        }
        if !carbon.tiers.contains(&stream.tier) {
            carbon.tiers.push(stream.tier.clone());
        }
    }
    carbon
}
