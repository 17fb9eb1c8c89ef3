//! Scope 2 by the market: contracts and certificates at their own factor, own generation, the rest at the residual mix; bought heat as it is.
//!
//! Invariant: the streams of one entity and time add up to the electricity it used; those of the zone are the sums of its entities'.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::books::{self, Key, SourceRow, Sums};
use super::streams::{Origin, Question, Stream, factor_unit};
use super::{By, Resolved, ShowError};
use crate::accounting::Book;
use crate::accounting::apportion::running_share;
use crate::accounting::market::{Cell, Cover, Offer, cover};
use crate::domain::units::{Millis, Quantity};
use crate::store::read;

/// A contract or a run of certificates as the ledger keeps it.
pub struct Supply {
    pub name: String,
    pub version: String,
    pub mg_per_kwh: i64,
    pub green: bool,
    offer: Offer,
}

/// A factor's mg per kWh, tier and version.
type Rate<'q> = (i64, &'q str, &'q str);

/// Watt-hours of one entity in one span: by supply, and at the residual mix, by its factor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mix<'q> {
    pub by_supply: BTreeMap<usize, i64>,
    pub residual_by_factor: BTreeMap<Rate<'q>, i64>,
    /// Used, but not bought: own generation.
    pub own: i64,
}

impl<'q> Mix<'q> {
    fn add(&mut self, other: &Mix<'q>) {
        for (supply, wh) in &other.by_supply {
            *self.by_supply.entry(*supply).or_default() += wh;
        }
        for (rate, wh) in &other.residual_by_factor {
            *self.residual_by_factor.entry(*rate).or_default() += wh;
        }
        self.own += other.own;
    }
}

/// The name of the factor of what nothing covers.
const RESIDUAL: &str = "residual";

/// Start and end of a row's time, and the entity.
pub type MixKey = (Millis, Millis, i64);

pub fn streams(question: &Question, wanted: &mut Resolved) -> Result<Vec<Stream>, ShowError> {
    let supplies = supplies(question.ledger, question.zone, wanted.as_known_on)?;
    let mixes = mixes(question, wanted, &supplies)?;
    let mut streams = Vec::new();
    for (key, mix) in &mixes {
        if wanted.wants(key.2) {
            electricity(question, &supplies, *key, mix, &mut streams);
        }
    }
    for (key, sums) in question.sums {
        heat(question, *key, sums, &mut streams);
    }
    Ok(streams)
}

pub fn supplies(ledger: &Connection, zone: i64, known: Option<Millis>) -> Result<Vec<Supply>, ShowError> {
    const COLUMNS: &str = "id, kind, entity, from_ts, to_ts, energy_wh, mg_per_kwh, green";
    let mut statement = ledger.prepare(&format!(
        "SELECT {COLUMNS} FROM supply_row WHERE ?1 IS NULL OR known_from <= ?1 \
         UNION ALL SELECT {COLUMNS} FROM supply_version_row WHERE known_from <= ?1 AND ?1 < known_to ORDER BY from_ts, kind, id"
    ))?;
    let rows = statement.query_map([known.map(|at| at.0)], |row| {
        let (id, kind, entity): (String, String, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let offer = Offer {
            entity: (entity != zone).then_some(entity),
            from: Millis(row.get(3)?),
            to: Millis(row.get(4)?),
            energy: Quantity(row.get(5)?),
        };
        Ok(Supply {
            name: format!("electricity ({kind} {id})"),
            version: format!("{kind}s.csv/{id}"),
            mg_per_kwh: row.get(6)?,
            green: row.get(7)?,
            offer,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Where the electricity of each entity, and of the zone, came from. Whole months are looked at whatever was asked for, so that no cut changes a share.
pub fn mixes<'q>(question: &Question<'q>, wanted: &mut Resolved, supplies: &[Supply]) -> Result<BTreeMap<MixKey, Mix<'q>>, ShowError> {
    let rows = rows_of_all_months(question, wanted, supplies)?;
    let mut bought: BTreeMap<Cell, Quantity> = BTreeMap::new();
    for row in &rows {
        let month = wanted.calendar.month(row.start).start;
        *bought.entry((row.entity, month)).or_default() += Quantity(wh(row.sums.bought));
    }
    let offers: Vec<Offer> = supplies.iter().map(|supply| supply.offer).collect();
    let covers = cover(&bought, &offers, question.data.1);
    let mut done: BTreeMap<Cell, i128> = BTreeMap::new();
    let mut mixes: BTreeMap<MixKey, Mix<'q>> = BTreeMap::new();
    for row in &rows {
        let cell = (row.entity, wanted.calendar.month(row.start).start);
        let done = done.entry(cell).or_default();
        let before = *done;
        *done += row.sums.bought;
        let inside = wanted.from.is_none_or(|from| from <= row.start) && wanted.to.is_none_or(|to| row.start < to);
        if !inside {
            continue;
        }
        let missing = || ShowError::NoResidual { year: wanted.calendar.date(row.start).year() };
        let (factor, _) = question.named.of(RESIDUAL, row.start).ok_or_else(missing)?;
        let rate = (factor.mg_per_unit, &*factor.tier, &*factor.source);
        let mix = mix_of((row, rate), cell, (before, *done), bought[&cell], &covers);
        let (start, end) = match question.by {
            By::Total => total(question),
            By::Interval => (row.start, row.end),
            by => books::bucket(wanted, by, row.start),
        };
        for entity in [row.entity, question.zone] {
            mixes.entry((start, end, entity)).or_default().add(&mix);
        }
    }
    Ok(mixes)
}

fn mix_of<'q>(
    (row, residual): (&SourceRow, Rate<'q>),
    cell: Cell,
    (before, after): (i128, i128),
    whole: Quantity,
    covers: &[Cover],
) -> Mix<'q> {
    let mut mix = Mix { own: wh(row.sums.quantity - row.sums.bought), ..Mix::default() };
    let mut rest = wh(row.sums.bought);
    for (index, cover) in covers.iter().enumerate() {
        let Some(share) = cover.cells.get(&cell).filter(|share| share.0 > 0) else { continue };
        let whole = i128::from(whole.0);
        let part = running_share(share.0, after, whole) - running_share(share.0, before, whole);
        rest -= part;
        mix.by_supply.insert(index, part);
    }
    mix.residual_by_factor.insert(residual, rest);
    mix
}

/// Rows of all entities but the zone, which is their sum, and parts of them, over every month that the question or a supply of it touches, in order of time.
fn rows_of_all_months(question: &Question, wanted: &mut Resolved, supplies: &[Supply]) -> Result<Vec<SourceRow>, ShowError> {
    let level = books::source(wanted, question.by, question.named.borders());
    let asked = (wanted.from, wanted.to);
    let supplied = supplies.iter().map(|supply| (supply.offer.from, supply.offer.to));
    // A supply is shared out over its whole period, also beyond what was asked for.
    let reaches = |(from, to): &(Millis, Millis)| asked.0.is_none_or(|asked| asked < *to) && asked.1.is_none_or(|asked| *from < asked);
    let (mut from, mut to) = asked;
    for (starts, ends) in supplied.filter(reaches) {
        (from, to) = (from.map(|from| from.min(starts)), to.map(|to| to.max(ends)));
    }
    let month = |at: Millis, calendar: &mut crate::domain::calendar::LocalCalendar| calendar.month(at);
    wanted.from = from.map(|from| month(from, &mut wanted.calendar).start);
    wanted.to = to.map(|to| month(to.plus_ms(-1), &mut wanted.calendar).end);
    // The zone's supplies are shared out among all, whoever is asked for.
    let entities = std::mem::take(&mut wanted.entities);
    let rows = match level {
        Some(level) => books::rolled_up(question.ledger, wanted, level, question.named),
        None => books::intervals(question.ledger, wanted, question.named),
    };
    let is_entity = |row: &SourceRow| row.book == Book::Electricity as u8 && row.entity != question.zone && wanted.wants(row.entity);
    let rows = rows.map(|rows| rows.into_iter().filter(is_entity).collect::<Vec<_>>());
    (wanted.from, wanted.to, wanted.entities) = (asked.0, asked.1, entities);
    let mut rows = rows?;
    rows.sort_by_key(|row| (row.start, row.entity));
    Ok(rows)
}

/// The time of a total is that of the metered one.
fn total(question: &Question) -> (Millis, Millis) {
    question.sums.keys().next().map_or(question.data, |(from, to, ..)| (*from, *to))
}

fn electricity(question: &Question, supplies: &[Supply], key: MixKey, mix: &Mix, streams: &mut Vec<Stream>) {
    let (from, to, entity) = key;
    let metered = |version| (from, to, entity, Book::Electricity as u8, [Millis(version); 3]);
    let mut whole = Sums::default();
    for (_, sums) in question.sums.range(metered(i64::MIN)..=metered(i64::MAX)) {
        whole.add(sums);
    }
    let measured_share = whole.measured_share();
    let mut push = |name: &str, wh: i64, origin: Origin, factor: (i64, &str, &str)| {
        streams.push(bought(key, Book::Electricity, (name, i128::from(wh), origin), factor, measured_share.clone()));
    };
    for (index, wh) in &mix.by_supply {
        let supply = &supplies[*index];
        push(
            &supply.name,
            *wh,
            if supply.green { Origin::Green } else { Origin::NotGreen },
            (supply.mg_per_kwh, "entity_contract", &supply.version),
        );
    }
    if mix.own != 0 {
        push("electricity (own generation)", mix.own, Origin::Own, (0, "entity_contract", "own generation"));
    }
    for (rate, wh) in &mix.residual_by_factor {
        push("electricity (residual mix)", *wh, Origin::Residual, *rate);
    }
}

/// Bought heat and steam have one factor, whatever the method.
fn heat(question: &Question, (from, to, entity, book, _): Key, sums: &Sums, streams: &mut Vec<Stream>) {
    let Some(book) = books::book_of(book).filter(|book| matches!(book, Book::Heat | Book::Steam)) else { return };
    let Some(factor) = question.factors.at(book as u8, sums.latest).map(|(factor, _)| factor) else { return };
    let what = (book.carrier().as_str(), sums.bought, Origin::Co2);
    streams.push(bought((from, to, entity), book, what, (factor.mg_per_unit, &factor.tier, &factor.source), sums.measured_share()));
}

/// A stream of what was bought, by the market.
fn bought(
    (from, to, entity): MixKey,
    book: Book,
    (name, amount, origin): (&str, i128, Origin),
    (mg_per_unit, tier, version): (i64, &str, &str),
    measured_share: read::Cell,
) -> Stream {
    Stream {
        from,
        to,
        entity,
        scope: 2,
        method: "market".to_owned(),
        carrier: Some(book.carrier().as_str()),
        name: name.to_owned(),
        amount,
        unit: factor_unit(book).to_owned(),
        mg_per_unit,
        tier: tier.to_owned(),
        version: version.to_owned(),
        co2e_ug: amount * i128::from(mg_per_unit),
        declared_ce_ug: 0,
        measured_share,
        origin,
    }
}

/// Rows hold what the store keeps in 64 bits.
fn wh(amount: i128) -> i64 {
    i64::try_from(amount).unwrap_or(if amount < 0 { i64::MIN } else { i64::MAX })
}
