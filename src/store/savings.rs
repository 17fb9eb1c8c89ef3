//! The tables of the savings: what explains a load, frozen baselines, predictions of closed hours, and what users say of non-routine hours.
//!
//! Readers take a connection, so that a fit may run beside a collector; writers take the store. Invariant: a baseline's row never changes but for its
//! end, and at most one per entity and carrier is in force.

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::batch::{Batch, RowId};
use super::{Store, StoreError};
use crate::accounting::Book;
use crate::domain::calendar::{DayType, DayTypes, Span};
use crate::domain::units::{HOUR_MS, Millis};

/// What weather gauges and counters are called as drivers; every other name is production.
pub const TEMPERATURE: &str = "temperature";
pub const HUMIDITY: &str = "humidity";
pub const IRRADIANCE: &str = "irradiance";

/// The books of loads: what is supplied and may be saved.
pub const LOADS: [Book; 5] = [Book::Electricity, Book::NaturalGas, Book::Heat, Book::Steam, Book::Water];
/// Those whose baselines are in kWh; water's are in m³, and what is called kWh of a single baseline, prediction or adjustment here means its own unit.
pub const IN_KWH: [Book; 4] = [Book::Electricity, Book::NaturalGas, Book::Heat, Book::Steam];

/// Entity and carrier of a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Load {
    pub entity: RowId,
    pub book: Book,
}

/// One driver of one entity, as the zone folder has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DriverRow {
    pub entity: RowId,
    pub name: Box<str>,
    pub channel: RowId,
}

/// A baseline as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct BaselineRow {
    pub load: Load,
    pub period: Span,
    /// Newest reading when it was made.
    pub as_of: Millis,
    pub code_version: String,
    pub vintage: Vintage,
    /// Estimated energy as a share of the period's.
    pub estimated_share: f64,
    /// The model as JSON.
    pub fitted: String,
}

/// Factors of the baseline's last year, per ledger unit; none where a carrier has none by its nature.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Vintage {
    pub year: i16,
    /// kWh, of water m³.
    pub kwh_per_unit: f64,
    pub mg_co2e: Option<i64>,
    pub mg_ce_calorific: Option<i64>,
    pub mg_ce_primary: Option<i64>,
}

/// An hour of a load's roll-up, ledger units and µg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HourRow {
    pub at: Millis,
    pub quantity: i64,
    pub gross: i64,
    pub estimated: i64,
    pub co2e_ug: i64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SavingRow {
    pub baseline: i64,
    pub at: Millis,
    pub baseline_kwh: f64,
    pub half_width_kwh: f64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Adjustment {
    pub load: Load,
    pub span: Span,
    /// Added to the baseline (of water m³); none: the hours are left out.
    pub kwh_per_hour: Option<f64>,
    pub reason: String,
}

pub(super) fn number(book: Book) -> u8 {
    book as u8
}

fn book(number: u8) -> Result<Book, rusqlite::Error> {
    let unknown = || rusqlite::Error::IntegralValueOutOfRange(0, number.into());
    Book::ALL.get(usize::from(number)).copied().ok_or_else(unknown)
}

/// A load that may have a baseline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadRow {
    pub load: Load,
    pub entity: String,
    /// Fed by what is made inside from metered energy: shown for its user, never added to the zone.
    pub made_inside: bool,
}

/// The loads that import meters bring in. Photovoltaics and batteries are assets, the zone is the sum of its entities.
pub fn loads(ledger: &Connection) -> Result<Vec<LoadRow>, StoreError> {
    // What is passed on is taken from the entity above; what is made inside is taken from none, and the zone has no share in it.
    let sql = "SELECT s.entity, c.carrier, e.entity, MAX(0 <> (SELECT SUM(CASE z.kind WHEN 'zone' THEN -o.sign ELSE o.sign END) \
               FROM share_row o JOIN whole_entity z ON z.id = o.entity WHERE o.channel = s.channel)) \
               FROM share_row s JOIN channel_row c ON c.id = s.channel JOIN whole_entity e ON e.id = s.entity \
               WHERE c.direction = 'import' AND s.sign > 0 AND e.kind NOT IN ('zone', 'photovoltaic', 'battery') AND c.carrier IN (?1, ?2, ?3, ?4, ?5) \
               GROUP BY s.entity, c.carrier, e.entity ORDER BY s.entity, c.carrier";
    let mut statement = ledger.prepare(sql)?;
    let rows = statement.query_map(LOADS.map(number), |row| {
        let load = Load { entity: RowId(row.get(0)?), book: book(row.get(1)?)? };
        Ok(LoadRow { load, entity: row.get(2)?, made_inside: row.get(3)? })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// From when until when all of a load's import meters have been read; `None` if one never was. Hours outside of it lack a part of the load.
pub fn closed(ledger: &Connection, load: Load) -> Result<Option<Span>, StoreError> {
    let sql = "SELECT MAX(l.first_ts), MIN(l.ts), COUNT(*), COUNT(l.ts) FROM share_row s JOIN channel_row c ON c.id = s.channel \
               LEFT JOIN latest_row l ON l.channel = c.id WHERE s.entity = ?1 AND c.carrier = ?2 AND c.direction = 'import'";
    let row = ledger.prepare_cached(sql)?.query_row(params![load.entity.0, number(load.book)], |row| {
        let whole = row.get::<_, i64>(2)? == row.get::<_, i64>(3)?;
        let span = row.get::<_, Option<i64>>(0)?.zip(row.get::<_, Option<i64>>(1)?);
        Ok(span.filter(|_| whole).map(|(start, end)| Span { start: Millis(start), end: Millis(end) }))
    })?;
    Ok(row)
}

/// A load's import meters, each with its newest reading.
pub fn imports(ledger: &Connection, load: Load) -> Result<Vec<(RowId, Option<Millis>)>, StoreError> {
    let sql = "SELECT c.id, l.ts FROM share_row s JOIN channel_row c ON c.id = s.channel LEFT JOIN latest_row l ON l.channel = c.id \
               WHERE s.entity = ?1 AND c.carrier = ?2 AND c.direction = 'import'";
    let mut statement = ledger.prepare_cached(sql)?;
    let rows = statement
        .query_map(params![load.entity.0, number(load.book)], |row| Ok((RowId(row.get(0)?), row.get::<_, Option<i64>>(1)?.map(Millis))))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The newest reading of the ledger.
pub fn newest(ledger: &Connection) -> Result<Option<Millis>, StoreError> {
    Ok(ledger.query_row("SELECT MAX(ts) FROM latest_row", [], |row| row.get::<_, Option<i64>>(0))?.map(Millis))
}

/// The hours of a period, of one load.
pub fn hours(ledger: &Connection, load: Load, period: Span) -> Result<Vec<HourRow>, StoreError> {
    let sql = "SELECT quantity, gross, estimated, co2e_ug FROM rollup_row WHERE level = 1 AND ts = ?1 AND entity = ?2 AND carrier = ?3";
    let mut statement = ledger.prepare_cached(sql)?;
    let mut out = Vec::new();
    let mut at = period.start;
    // Key by key: a range would read every other load's rows as well.
    while at < period.end {
        let row = statement.query_row(params![at.0, load.entity.0, number(load.book)], |row| {
            Ok(HourRow { at, quantity: row.get(0)?, gross: row.get(1)?, estimated: row.get(2)?, co2e_ug: row.get(3)? })
        });
        out.extend(row.optional()?);
        at = at.plus_ms(HOUR_MS);
    }
    Ok(out)
}

/// What a load took in a period of whole local days, ledger units.
pub fn metered(ledger: &Connection, load: Load, period: Span) -> Result<i64, StoreError> {
    let sql = "SELECT COALESCE(SUM(quantity), 0) FROM rollup_row WHERE level = 2 AND ?1 <= ts AND ts < ?2 AND entity = ?3 AND carrier = ?4";
    let values = params![period.start.0, period.end.0, load.entity.0, number(load.book)];
    Ok(ledger.prepare_cached(sql)?.query_row(values, |row| row.get(0))?)
}

/// The drivers of an entity.
pub fn drivers(ledger: &Connection, entity: RowId) -> Result<Vec<DriverRow>, StoreError> {
    let mut statement = ledger.prepare_cached("SELECT name, channel FROM driver_row WHERE entity = ?1 ORDER BY name, channel")?;
    let rows = statement.query_map([entity.0], |row| Ok(DriverRow { entity, name: row.get(0)?, channel: RowId(row.get(1)?) }))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Hourly means of a weather gauge: a value stands for the time before it, as far back as the one before. `None`: an hour without a value.
pub fn weather(ledger: &Connection, channel: RowId, period: Span) -> Result<Vec<Option<f64>>, StoreError> {
    let mut sums = vec![(0.0, 0_u32); (period.ms() / HOUR_MS) as usize];
    let mut statement =
        ledger.prepare_cached("SELECT ts, value FROM weather_row WHERE channel = ?1 AND ts > ?2 AND ts <= ?3 ORDER BY ts")?;
    let mut rows = statement.query(params![channel.0, period.start.0, period.end.0])?;
    while let Some(row) = rows.next()? {
        let slot = (row.get::<_, i64>(0)? - 1 - period.start.0).div_euclid(HOUR_MS);
        if let Some((sum, count)) = usize::try_from(slot).ok().and_then(|slot| sums.get_mut(slot)) {
            *sum += row.get::<_, f64>(1)?;
            *count += 1;
        }
    }
    Ok(sums.into_iter().map(|(sum, count)| (count > 0).then(|| sum / f64::from(count))).collect())
}

/// Hourly production of a counter in `shown` units (tonnes, pieces). `None`: an hour that its readings do not cover.
pub fn production(ledger: &Connection, channel: RowId, period: Span) -> Result<Vec<Option<f64>>, StoreError> {
    let interval_ms: i64 = ledger.query_row("SELECT value FROM meta WHERE key = 'interval_ms'", [], |row| row.get(0))?;
    let sql = "SELECT k.per_unit FROM channel_row c JOIN carrier_row k ON k.id = c.carrier WHERE c.id = ?1";
    let per_unit: f64 = ledger.query_row(sql, [channel.0], |row| row.get(0))?;
    let sql = "SELECT quantity, minutes FROM every_interval WHERE ts = ?1 AND channel = ?2 AND block = block_of(?1)";
    let mut statement = ledger.prepare_cached(sql)?;
    let mut hours = Vec::with_capacity((period.ms() / HOUR_MS) as usize);
    let mut hour = period.start;
    while hour < period.end {
        let (mut quantity, mut minutes) = (0, 0);
        for step in 0..HOUR_MS / interval_ms {
            let at = hour.plus_ms(step * interval_ms);
            let row = statement.query_row(params![at.0, channel.0], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)));
            if let Some((part, length)) = row.optional()? {
                quantity += part;
                minutes += length;
            }
        }
        hours.push((minutes * 60_000 == HOUR_MS).then(|| quantity as f64 / per_unit));
        hour = hour.plus_ms(HOUR_MS);
    }
    Ok(hours)
}

/// The days of the zone folder's calendar.
pub fn day_types(ledger: &Connection) -> Result<DayTypes, StoreError> {
    let mut days = DayTypes::default();
    let mut statement = ledger.prepare("SELECT date, day_type FROM day_row")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let kind = DAY_TYPES.iter().find(|(_, name)| row.get_ref(1).is_ok_and(|text| text.as_str() == Ok(name)));
        if let (Ok(date), Some((kind, _))) = (row.get::<_, String>(0)?.parse(), kind) {
            days.0.insert(date, *kind);
        }
    }
    Ok(days)
}

const DAY_TYPES: [(DayType, &str); 4] =
    [(DayType::Workday, "workday"), (DayType::Saturday, "saturday"), (DayType::Sunday, "sunday"), (DayType::Holiday, "holiday")];

/// A factor row's columns that a vintage is made of: mg per unit of carbon and of standard coal on both bases.
pub fn factors(ledger: &Connection, book: Book, year: i16) -> Result<Option<[Option<i64>; 3]>, StoreError> {
    let sql = "SELECT mg_per_unit, coal_calorific_mg_per_unit, coal_primary_mg_per_unit FROM factor_row WHERE carrier = ?1 AND year = ?2";
    let row = ledger.prepare_cached(sql)?.query_row(params![number(book), year], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?]));
    Ok(row.optional()?)
}

/// When the last baseline in force ends: from then on savings count.
pub fn counted_from(ledger: &Connection) -> Result<Option<Millis>, StoreError> {
    let sql = "SELECT MAX(to_ts) FROM baseline_row WHERE ended IS NULL";
    Ok(ledger.query_row(sql, [], |row| row.get::<_, Option<i64>>(0))?.map(Millis))
}

/// The baselines in force.
pub fn baselines(ledger: &Connection) -> Result<Vec<(i64, BaselineRow)>, StoreError> {
    let sql = "SELECT id, entity, carrier, from_ts, to_ts, as_of, code_version, factor_year, kwh_per_unit, mg_co2e_per_unit, mg_ce_calorific_per_unit, \
               mg_ce_primary_per_unit, estimated_share, fitted FROM baseline_row WHERE ended IS NULL ORDER BY entity, carrier";
    let mut statement = ledger.prepare_cached(sql)?;
    let rows = statement.query_map([], |row| {
        let vintage = Vintage {
            year: row.get(7)?,
            kwh_per_unit: row.get(8)?,
            mg_co2e: row.get(9)?,
            mg_ce_calorific: row.get(10)?,
            mg_ce_primary: row.get(11)?,
        };
        let baseline = BaselineRow {
            load: Load { entity: RowId(row.get(1)?), book: book(row.get(2)?)? },
            period: Span { start: Millis(row.get(3)?), end: Millis(row.get(4)?) },
            as_of: Millis(row.get(5)?),
            code_version: row.get(6)?,
            vintage,
            estimated_share: row.get(12)?,
            fitted: row.get(13)?,
        };
        Ok((row.get(0)?, baseline))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The loads that have a baseline in force.
pub fn loads_in_force(ledger: &Connection) -> Result<Vec<Load>, StoreError> {
    let mut statement = ledger.prepare_cached("SELECT entity, carrier FROM baseline_row WHERE ended IS NULL")?;
    let rows = statement.query_map([], |row| Ok(Load { entity: RowId(row.get(0)?), book: book(row.get(1)?)? }))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Grows whenever a baseline or an adjustment is made; a replaced baseline is followed by a new one.
pub fn made(ledger: &Connection) -> Result<i64, StoreError> {
    let sql = "SELECT COALESCE((SELECT MAX(id) FROM baseline_row), 0) + COALESCE((SELECT MAX(id) FROM adjustment_row), 0)";
    Ok(ledger.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
}

/// Hours that are counted, with what the baseline has and what was metered, kWh, of water m³.
pub fn counted(ledger: &Connection, baseline: i64, span: Span) -> Result<Vec<(Millis, f64, f64)>, StoreError> {
    let sql = "SELECT p.ts, p.baseline_kwh + COALESCE((SELECT SUM(a.kwh_per_hour) FROM adjustment_row a WHERE a.entity = b.entity AND a.carrier = b.carrier \
               AND a.from_ts <= p.ts AND p.ts < a.to_ts), 0), r.quantity * b.kwh_per_unit FROM saving_row p JOIN baseline_row b ON b.id = p.baseline \
               JOIN rollup_row r ON r.level = 1 AND r.ts = p.ts AND r.entity = b.entity AND r.carrier = b.carrier \
               WHERE p.baseline = ?1 AND ?2 <= p.ts AND p.ts < ?3 AND NOT EXISTS (SELECT 1 FROM adjustment_row a WHERE a.kwh_per_hour IS NULL \
               AND a.entity = b.entity AND a.carrier = b.carrier AND a.from_ts <= p.ts AND p.ts < a.to_ts) ORDER BY p.ts";
    let mut statement = ledger.prepare_cached(sql)?;
    let rows =
        statement.query_map(params![baseline, span.start.0, span.end.0], |row| Ok((Millis(row.get(0)?), row.get(1)?, row.get(2)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Since when an alert fires, if it does.
pub fn firing_since(ledger: &Connection, rule: &str, subject: &str) -> Result<Option<Millis>, StoreError> {
    let sql = "SELECT MAX(since) FROM alert_row WHERE rule = ?1 AND subject = ?2 AND cleared IS NULL";
    Ok(ledger.prepare_cached(sql)?.query_row([rule, subject], |row| row.get::<_, Option<i64>>(0))?.map(Millis))
}

pub fn adjustments(ledger: &Connection) -> Result<Vec<Adjustment>, StoreError> {
    let mut statement = ledger.prepare("SELECT entity, carrier, from_ts, to_ts, kwh_per_hour, reason FROM adjustment_row ORDER BY id")?;
    let rows = statement.query_map([], |row| {
        Ok(Adjustment {
            load: Load { entity: RowId(row.get(0)?), book: book(row.get(1)?)? },
            span: Span { start: Millis(row.get(2)?), end: Millis(row.get(3)?) },
            kwh_per_hour: row.get(4)?,
            reason: row.get(5)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

impl Store {
    /// Takes over what the zone folder says of days and drivers.
    pub fn keep_drivers(&mut self, interval_ms: i64, days: &DayTypes, drivers: &[DriverRow]) -> Result<(), StoreError> {
        let transaction = self.connection.transaction()?;
        transaction.execute("INSERT OR REPLACE INTO meta VALUES ('interval_ms', ?1)", [interval_ms])?;
        transaction.execute("DELETE FROM day_row", [])?;
        transaction.execute("DELETE FROM driver_row", [])?;
        for (date, kind) in &days.0 {
            let name = DAY_TYPES.iter().find(|(known, _)| known == kind).map(|(_, name)| name);
            transaction.prepare_cached("INSERT INTO day_row VALUES (?1, ?2)")?.execute(params![date.to_string(), name])?;
        }
        for row in drivers {
            let values = params![row.entity.0, row.name, row.channel.0];
            transaction.prepare_cached("INSERT INTO driver_row VALUES (?1, ?2, ?3)")?.execute(values)?;
        }
        Ok(transaction.commit()?)
    }

    /// Writes predictions over those of the same hours; hours `without` one lose it.
    pub fn keep_savings(&mut self, rows: &[SavingRow], without: &[(i64, Millis)]) -> Result<(), StoreError> {
        let transaction = self.connection.transaction()?;
        {
            let mut upsert = transaction.prepare_cached(
                "INSERT INTO saving_row VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET baseline_kwh = excluded.baseline_kwh, \
                 half_width_kwh = excluded.half_width_kwh WHERE baseline_kwh <> excluded.baseline_kwh OR half_width_kwh <> excluded.half_width_kwh",
            )?;
            for row in rows {
                upsert.execute(params![row.baseline, row.at.0, row.baseline_kwh, row.half_width_kwh])?;
            }
            let mut delete = transaction.prepare_cached("DELETE FROM saving_row WHERE baseline = ?1 AND ts = ?2")?;
            for (baseline, at) in without {
                delete.execute(params![baseline, at.0])?;
            }
        }
        if let Some(feed) = &mut self.feed {
            feed.keep_savings(&transaction, rows.iter().map(|row| (row.baseline, row.at)).chain(without.iter().copied()))?;
        }
        Ok(transaction.commit()?)
    }
}

/// Weather gauges of a batch. Of two values at one moment the same wins as in `reading_row`: the higher `seq`, then the larger value.
pub(super) fn weather_gauges(transaction: &Transaction, batch: &Batch) -> Result<(), StoreError> {
    let mut insert = transaction.prepare_cached(
        "INSERT INTO weather_row VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET value = excluded.value, seq = excluded.seq \
         WHERE excluded.seq > seq OR (excluded.seq = seq AND excluded.value > value)",
    )?;
    for row in &batch.weather {
        insert.execute(params![row.channel.0, row.at.0, row.value, row.seq])?;
    }
    Ok(())
}
