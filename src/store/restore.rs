//! What the engine takes from the file: at its start, and when a reading comes that is older than what it has in memory.

use rusqlite::{OptionalExtension, Row, params};
use rustc_hash::FxHashMap;

use super::batch::{Asked, Place, RowId};
use super::readings::SLOTS;
use super::{Store, StoreError, meta_text};
use crate::accounting::{Book, YearFactors};
use crate::domain::units::{MgCePerUnit, MgPerUnit, Millis, Quantity};
use crate::domain::zone::Zone;
use crate::ledger::mark::{Mark, Verdict, What};

/// Years for which local time is kept, from 2000 on, for readers that know no time zones.
const TZ_YEARS: std::ops::Range<i16> = 2000..2100;

/// One channel as the store knows it.
#[derive(Clone, Debug)]
pub struct ChannelRow<'a> {
    pub meter: &'a str,
    pub item: &'a str,
    pub register: bool,
    pub entity: Option<&'a str>,
    pub book: Option<Book>,
    pub direction: &'a str,
    pub level: &'a str,
    pub boundary: bool,
    pub gateway: Option<&'a str>,
    /// A register's smallest step in ledger units.
    pub step: Option<i64>,
}

/// An entity's share in a channel: quantity × `sign` is its use, quantity × `bought` carries carbon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Share {
    pub entity: RowId,
    pub sign: i64,
    pub bought: i64,
}

/// An interval of one channel: quantity, and what of it is assumed and estimated.
#[derive(Clone, Copy, Debug)]
pub struct StoredInterval {
    pub start: Millis,
    pub minutes: i64,
    pub amounts: [Quantity; 3],
    pub parts: i64,
}

impl<'a> ChannelRow<'a> {
    /// A gauge that `meters.csv` does not list.
    #[must_use]
    pub fn gauge(meter: &'a str, item: &'a str) -> ChannelRow<'a> {
        ChannelRow {
            meter,
            item,
            register: false,
            entity: None,
            book: None,
            direction: "gauge",
            level: "",
            boundary: false,
            gateway: None,
            step: None,
        }
    }
}

/// When a channel was first and last heard of, in device time.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    pub first: Millis,
    pub at: Millis,
}

/// An alert that fires.
#[derive(Clone, Debug)]
pub struct FiringRow {
    pub rule: String,
    pub subject: String,
    pub since: Millis,
}

impl Store {
    /// Claims the folder for a zone and keeps what readers need to know of it. A folder of another zone, or of the same one with a key by which its figures
    /// were made, is an error and stays as it is.
    pub fn adopt_zone(&mut self, folder: &std::path::Path, zone: &Zone) -> Result<(), StoreError> {
        let profile = zone.profile();
        let time_zone = profile.time_zone.iana_name().unwrap_or("UTC");
        let transaction = self.connection.transaction()?;
        // Key of zone.toml, what it is kept under, its value.
        let keys = [
            ("id", "zone", zone.id().to_owned()),
            ("time_zone", "time_zone", time_zone.to_owned()),
            ("interval_minutes, in ms,", "interval_ms", profile.interval_ms.to_string()),
            ("gwp", "gwp", profile.gwp.as_str().to_owned()),
        ];
        for (key, kept_as, wanted) in keys {
            let sql = "SELECT CAST(value AS TEXT) FROM meta WHERE key = ?1";
            let seen: Option<String> = transaction.query_row(sql, [kept_as], |row| row.get(0)).optional()?;
            if let Some(seen) = seen.filter(|seen| *seen != wanted) {
                return Err(StoreError::OtherZone { file: folder.join(super::FILE_NAME), key, seen, wanted });
            }
        }
        transaction.execute("INSERT OR IGNORE INTO meta VALUES ('zone', ?1), ('time_zone', ?2)", [zone.id(), time_zone])?;
        transaction.execute("DELETE FROM tz_offset", [])?;
        let mut insert = transaction.prepare("INSERT INTO tz_offset VALUES (?1, ?2)")?;
        for (from, offset_s) in offsets(&profile.time_zone) {
            insert.execute(params![from.0, offset_s])?;
        }
        drop(insert);
        let mut insert = transaction.prepare("INSERT OR REPLACE INTO carrier_row VALUES (?1, ?2, ?3, ?4, ?5)")?;
        for book in Book::ALL {
            let shown = book.shown();
            insert.execute(params![book as u8, book.carrier().as_str(), shown.unit, shown.per_unit, shown.kwh_per_unit])?;
        }
        drop(insert);
        transaction.commit()?;
        Ok(())
    }

    /// The row of an entity; names follow the zone folder.
    pub fn entity_row(&self, id: &str, name_en: &str, name_zh: &str, kind: &str) -> Result<RowId, StoreError> {
        let sql = "INSERT INTO entity_row (entity, name_en, name_zh, kind) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (entity) DO UPDATE SET \
                   name_en = excluded.name_en, name_zh = excluded.name_zh, kind = excluded.kind RETURNING id";
        Ok(self.connection.prepare_cached(sql)?.query_row(params![id, name_en, name_zh, kind], |row| row.get(0)).map(RowId)?)
    }

    /// Rows made from here to [`Store::keep_rows`] are kept by one write to the disk instead of one each.
    pub fn begin_rows(&self) -> Result<(), StoreError> {
        Ok(self.connection.execute_batch("BEGIN IMMEDIATE")?)
    }

    pub fn keep_rows(&self) -> Result<(), StoreError> {
        Ok(self.connection.execute_batch("COMMIT")?)
    }

    /// The row of a channel, made when it is new; what the zone folder says of it follows the folder. A gauge's place is given to it once, while its
    /// meter's first register has room.
    pub fn channel_row(&self, channel: &ChannelRow) -> Result<(RowId, Option<Place>), StoreError> {
        let sql = "INSERT INTO channel_row (meter, item, register, entity, carrier, direction, level, boundary, gateway, step, host, slot) \
                   SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, room.host, CASE WHEN room.host IS NOT NULL THEN room.taken + 1 END FROM \
                   (SELECT CASE WHEN NOT ?3 AND SUM(host IS NOT NULL) < ?11 THEN MIN(CASE WHEN register THEN id END) END AS host, \
                   SUM(host IS NOT NULL) AS taken FROM channel_row WHERE meter = ?1) room WHERE true \
                   ON CONFLICT (meter, item) DO UPDATE SET entity = excluded.entity, carrier = excluded.carrier, \
                   direction = excluded.direction, level = excluded.level, boundary = excluded.boundary, gateway = excluded.gateway, \
                   step = excluded.step RETURNING id, host, slot";
        let c = channel;
        let book = c.book.map(|book| book as u8);
        let values = params![c.meter, c.item, c.register, c.entity, book, c.direction, c.level, c.boundary, c.gateway, c.step, SLOTS];
        Ok(self.connection.prepare_cached(sql)?.query_row(values, |row| {
            let host: Option<u32> = row.get(1)?;
            let slot: Option<u8> = row.get(2)?;
            Ok((RowId(row.get(0)?), host.zip(slot).map(|(host, slot)| Place { host: RowId(host), slot })))
        })?)
    }

    /// The shares that made the stored roll-ups, in order of channel and entity.
    pub fn shares(&self) -> Result<Vec<(RowId, Share)>, StoreError> {
        let mut statement = self.connection.prepare("SELECT channel, entity, sign, bought FROM share_row ORDER BY channel, entity")?;
        let rows = statement
            .query_map([], |row| Ok((RowId(row.get(0)?), Share { entity: RowId(row.get(1)?), sign: row.get(2)?, bought: row.get(3)? })))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Intervals that begin from a moment on and before another, in order of time.
    pub fn each_interval(&self, from: Millis, before: Millis, mut each: impl FnMut(RowId, StoredInterval)) -> Result<(), StoreError> {
        let sql = "SELECT channel, ts, minutes, quantity, assumed, estimated, parts FROM every_interval WHERE ts >= ?1 AND ts < ?2 \
                   AND block BETWEEN block_of(?1) AND block_of(?2) ORDER BY ts";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query([from.0, before.0])?;
        while let Some(row) = rows.next()? {
            let amounts = [Quantity(row.get(3)?), Quantity(row.get(4)?), Quantity(row.get(5)?)];
            each(RowId(row.get(0)?), StoredInterval { start: Millis(row.get(1)?), minutes: row.get(2)?, amounts, parts: row.get(6)? });
        }
        Ok(())
    }

    /// Keeps which factors are used for a book in a year. What was kept first stays: figures already made with it do not change silently.
    /// Gives what holds.
    pub fn keep_factors(&self, book: Book, year: i16, factors: &YearFactors) -> Result<YearFactors, StoreError> {
        let [carbon, calorific, primary] =
            [factors.carbon.map(|f| f.0), factors.coal_calorific.map(|f| f.0), factors.coal_primary.map(|f| f.0)];
        let values = params![book as u8, year, carbon, calorific, primary, book.shown().unit, factors.tier, factors.version];
        let sql = "INSERT OR IGNORE INTO factor_row VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
        self.connection.prepare_cached(sql)?.execute(values)?;
        let sql = "SELECT mg_per_unit, coal_calorific_mg_per_unit, coal_primary_mg_per_unit, tier, source FROM factor_row WHERE carrier = ?1 AND year = ?2";
        let kept = self.connection.prepare_cached(sql)?.query_row(params![book as u8, year], |row| {
            Ok(YearFactors {
                carbon: row.get::<_, Option<i64>>(0)?.map(MgPerUnit),
                coal_calorific: row.get::<_, Option<i64>>(1)?.map(MgCePerUnit),
                coal_primary: row.get::<_, Option<i64>>(2)?.map(MgCePerUnit),
                tier: row.get(3)?,
                version: row.get(4)?,
            })
        })?;
        Ok(kept)
    }

    /// The engine's clock as of the last commit, and what its next tick was to say.
    pub fn clock(&self) -> Result<Option<(Millis, Millis)>, StoreError> {
        let sql = "SELECT c.value, n.value FROM meta c JOIN meta n ON n.key = 'clock_next' WHERE c.key = 'clock'";
        Ok(self.connection.query_row(sql, [], |row| Ok((Millis(row.get(0)?), Millis(row.get(1)?)))).optional()?)
    }

    /// First and newest moments of channels; gauges beside a register have the register's.
    pub fn latest(&self) -> Result<FxHashMap<RowId, Seen>, StoreError> {
        let mut statement = self.connection.prepare("SELECT channel, first_ts, ts FROM latest_row")?;
        let rows = statement.query_map([], |row| Ok((RowId(row.get(0)?), Seen { first: Millis(row.get(1)?), at: Millis(row.get(2)?) })))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Whether new values of a gauge get rows of their own.
    #[must_use]
    pub fn lies_alone(&self, gauge: RowId) -> bool {
        self.alone.contains(&gauge)
    }

    /// Registers of all channels from a moment on, in order of time.
    pub fn marks_since(&self, from: Millis) -> Result<Vec<(RowId, Mark)>, StoreError> {
        let readings = "SELECT ts, channel, value, seq, verdict, energy, flow, serial FROM every_reading WHERE ts >= ?1 \
                        AND block >= block_of(?1) AND verdict IS NOT NULL ORDER BY ts";
        let swaps = "SELECT ts, channel, closing, opening, seq, verdict, energy, serial FROM swap_row WHERE ts >= ?1 ORDER BY ts";
        let mut marks = Vec::new();
        let mut statement = self.connection.prepare_cached(readings)?;
        let mut rows = statement.query([from.0])?;
        while let Some(row) = rows.next()? {
            marks.push((RowId(row.get(1)?), reading(row)?));
        }
        let mut statement = self.connection.prepare_cached(swaps)?;
        let mut rows = statement.query([from.0])?;
        while let Some(row) = rows.next()? {
            marks.push((RowId(row.get(1)?), swap(row)?));
        }
        marks.sort_by_key(|(_, mark)| mark.key());
        Ok(marks)
    }

    /// One channel's registers between two moments, the later one exclusive, in order.
    pub fn marks_of(&self, channel: RowId, from: Millis, before: Millis) -> Result<Vec<Mark>, StoreError> {
        // Rows lie by time, and at most times all meters have one: leaping from time to time costs a fraction of reading them all.
        let readings = "WITH RECURSIVE moment (ts) AS (SELECT MIN(ts) FROM reading_row WHERE ts >= ?1 UNION ALL \
                        SELECT (SELECT MIN(ts) FROM reading_row WHERE ts > moment.ts) FROM moment WHERE moment.ts < ?2) \
                        SELECT r.ts, r.channel, r.value, r.seq, r.verdict, r.energy, r.flow, r.serial FROM moment CROSS JOIN reading_row r \
                        ON r.ts = moment.ts AND r.channel = ?3 WHERE moment.ts < ?2 \
                        UNION ALL SELECT ts, channel, value, seq, verdict, energy, flow, serial FROM packed_reading WHERE ts >= ?1 AND ts < ?2 AND channel = ?3 \
                        AND block BETWEEN block_of(?1) AND block_of(?2)";
        let swaps =
            "SELECT ts, channel, closing, opening, seq, verdict, energy, serial FROM swap_row WHERE ts >= ?1 AND ts < ?2 AND channel = ?3";
        let mut marks = Vec::new();
        let mut statement = self.connection.prepare_cached(readings)?;
        let mut rows = statement.query(params![from.0, before.0, channel.0])?;
        while let Some(row) = rows.next()? {
            marks.push(reading(row)?);
        }
        let mut statement = self.connection.prepare_cached(swaps)?;
        let mut rows = statement.query(params![from.0, before.0, channel.0])?;
        while let Some(row) = rows.next()? {
            marks.push(swap(row)?);
        }
        marks.sort_by_key(Mark::key);
        Ok(marks)
    }

    /// Length in minutes and quantity of one channel's interval so far.
    pub fn interval(&self, channel: RowId, start: Millis) -> Result<Option<(i64, Quantity)>, StoreError> {
        let sql = "SELECT minutes, quantity FROM every_interval WHERE ts = ?1 AND channel = ?2 AND block = block_of(?1)";
        let mut statement = self.connection.prepare_cached(sql)?;
        Ok(statement.query_row(params![start.0, channel.0], |row| Ok((row.get(0)?, Quantity(row.get(1)?)))).optional()?)
    }

    pub fn firing(&self) -> Result<Vec<FiringRow>, StoreError> {
        self.conditions("SELECT rule, subject, since FROM alert_row WHERE cleared IS NULL")
    }

    pub fn pending(&self) -> Result<Vec<FiringRow>, StoreError> {
        self.conditions("SELECT rule, subject, since FROM alert_pending_row")
    }

    fn conditions(&self, sql: &str) -> Result<Vec<FiringRow>, StoreError> {
        let mut statement = self.connection.prepare(sql)?;
        let rows = statement.query_map([], |row| Ok(FiringRow { rule: row.get(0)?, subject: row.get(1)?, since: Millis(row.get(2)?) }))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// When a rule's alert on a subject last cleared.
    pub fn last_cleared(&self, rule: &str, subject: &str) -> Result<Option<Millis>, StoreError> {
        let sql = "SELECT MAX(cleared) FROM alert_row WHERE rule = ?1 AND subject = ?2";
        let cleared: Option<i64> = self.connection.query_row(sql, [rule, subject], |row| row.get(0))?;
        Ok(cleared.map(Millis))
    }

    /// Gateways that said they are offline, and since when.
    pub fn offline_gateways(&self) -> Result<Vec<(String, Millis)>, StoreError> {
        let mut statement = self.connection.prepare("SELECT gateway, changed FROM gateway_row WHERE NOT online")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, Millis(row.get(1)?))))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// What gateways were asked for.
    pub fn asked(&self) -> Result<Vec<Asked>, StoreError> {
        let mut statement = self.connection.prepare("SELECT meter, from_ts, to_ts, asked FROM backfill_row")?;
        let rows = statement.query_map([], |row| {
            let meter: String = row.get(0)?;
            Ok(Asked { meter: meter.into(), from: Millis(row.get(1)?), to: Millis(row.get(2)?), at: Millis(row.get(3)?) })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// A text that never changes once it is set.
    pub fn kept_text(&self, key: &str) -> Result<Option<String>, StoreError> {
        Ok(meta_text(&self.connection, key)?)
    }
}

fn reading(row: &Row) -> Result<Mark, rusqlite::Error> {
    let (verdict, serial) = verdict(row, 4)?;
    Ok(Mark {
        at: Millis(row.get(0)?),
        what: What::Reading(Quantity(row.get(2)?)),
        seq: row.get(3)?,
        flow_per_h: row.get(6)?,
        serial,
        verdict,
    })
}

fn swap(row: &Row) -> Result<Mark, rusqlite::Error> {
    let (verdict, serial) = verdict(row, 5)?;
    Ok(Mark {
        at: Millis(row.get(0)?),
        what: What::Swap { closing: Quantity(row.get(2)?), opening: Quantity(row.get(3)?) },
        seq: row.get(4)?,
        flow_per_h: None,
        serial,
        verdict,
    })
}

/// The verdict in column `code` and the energy in the next, with the serial number that the mark itself named.
fn verdict(row: &Row, code: usize) -> Result<(Verdict, u32), rusqlite::Error> {
    let value: u16 = row.get(code)?;
    let verdict = Verdict::from_code(value, Quantity(row.get(code + 1)?), row.get(7)?);
    let verdict = verdict.ok_or(rusqlite::Error::IntegralValueOutOfRange(code, i64::from(value)))?;
    Ok((verdict, Mark::own_serial(value, &verdict)))
}

/// Offsets from UTC of a time zone, each with the moment from which it holds.
fn offsets(tz: &jiff::tz::TimeZone) -> Vec<(Millis, i32)> {
    let start =
        jiff::civil::date(TZ_YEARS.start, 1, 1).to_zoned(jiff::tz::TimeZone::UTC).expect("1 January of any year exists in UTC").timestamp();
    let end =
        jiff::civil::date(TZ_YEARS.end, 1, 1).to_zoned(jiff::tz::TimeZone::UTC).expect("1 January of any year exists in UTC").timestamp();
    let first = (Millis(i64::MIN), tz.to_offset(start).seconds());
    let later = tz.following(start).take_while(|transition| transition.timestamp() < end);
    std::iter::once(first)
        .chain(later.map(|transition| (Millis(transition.timestamp().as_millisecond()), transition.offset().seconds())))
        .collect()
}
