//! Measurements that follow an hour of an entity and carrier: which view each is read from, and what of it becomes tags and fields.
//!
//! One more measurement is one more entry in [`BY_HOUR`]. Invariant: a view's row that stands for a key has a row with that key at all later times, or
//! its tags are among `emptied`: then zeros go out under them, because nothing is ever deleted in the other store. Rows that share an hour and may go one
//! by one (bands of a tariff) are written with 0 where they are gone.

use rusqlite::{Connection, params};

use super::StoreError;
use crate::domain::units::Millis;
use crate::lines::{Field, Lines};

/// One measurement, and one of the same shape for parts. Its view has the columns ts, entity and carrier, and those named here.
pub struct Series {
    /// Also the name of the view.
    measurement: &'static str,
    /// Further tags, beside zone, entity and carrier.
    tags: &'static [&'static str],
    numbers: &'static [&'static str],
    texts: &'static [&'static str],
    /// Tags, numbers and texts of an hour, where the view would be slow for one hour or keeps no rows of 0: `SELECT` of them, as in [`Key`].
    rows: Option<&'static str>,
    /// The further tags under which an hour that is gone had been sent: `SELECT` of them; without tags a row says whether. None: it had.
    emptied: Option<&'static str>,
    /// Whether a carrier has a number at all, so that one it never had is not sent as 0.
    has: fn(carrier: &str, number: &str) -> bool,
}

/// Lines of one key at most: energy, carbon and saving have one, cost has one for each band of a tariff and what has no price.
pub const LINES_PER_KEY: u32 = 9;

pub const BY_HOUR: [Series; 4] = [
    Series {
        measurement: "energy",
        tags: &[],
        numbers: &["quantity", "kwh", "tce_calorific", "tce_primary", "measured_share"],
        texts: &[],
        rows: None,
        emptied: None,
        has: |_, _| true,
    },
    Series {
        measurement: "carbon",
        tags: &["scope", "method"],
        numbers: &["kg_co2e"],
        texts: &["factor_tier"],
        rows: None,
        // As in views.sql; a carrier without a factor has no carbon.
        emptied: Some(
            "SELECT CASE ?3 WHEN 'natural_gas' THEN '1' ELSE '2' END, 'location' WHERE EXISTS \
             (SELECT 1 FROM factor_row f JOIN carrier_row c ON c.id = f.carrier WHERE c.carrier = ?3 AND f.mg_per_unit IS NOT NULL)",
        ),
        has: |_, _| true,
    },
    Series {
        measurement: "cost",
        tags: &["band"],
        numbers: &["quantity", "cny"],
        texts: &["tariff"],
        rows: Some(COSTS),
        // Bands of 0 are among the rows.
        emptied: Some("SELECT NULL WHERE ?3 IS NULL"),
        has: |_, _| true,
    },
    Series {
        measurement: "saving",
        tags: &[],
        numbers: &[
            "baseline_kwh",
            "metered_kwh",
            "saved_kwh",
            "saved_kg_co2e",
            "low_kwh",
            "high_kwh",
            "baseline_m3",
            "metered_m3",
            "saved_m3",
            "low_m3",
            "high_m3",
        ],
        texts: &[],
        rows: Some(SAVINGS),
        emptied: Some(
            "SELECT 1 FROM baseline_row b JOIN entity_row e ON e.id = b.entity JOIN carrier_row k ON k.id = b.carrier \
             WHERE e.entity = ?2 AND k.carrier = ?3 AND b.to_ts <= ?1 LIMIT 1",
        ),
        has: |carrier, number| (carrier == "water") == number.ends_with("_m3"),
    },
];

/// The view cost for one hour, and 0 under each band that any version of the prices had in it: the tariff may have been another when it was sent. Of an hour
/// that was restated under every band: of two restatements at one time of the clock only the second is kept. An hour with one price comes from its roll-up,
/// one whose price changes within it from its intervals.
const COSTS: &str = "WITH step(ms) AS (VALUES (0), (300000), (600000), (900000), (1200000), (1500000), (1800000), (2100000), (2400000), (2700000), (3000000), (3300000)), \
      priced(band, ucny_per_unit, tariff, carrier, whole) AS MATERIALIZED (SELECT p.band, p.ucny_per_unit, p.tariff, k.id, p.from_ts <= ?1 AND ?1 + 3600000 <= p.to_ts \
        FROM carrier_row k CROSS JOIN price_row p ON p.carrier = k.id AND p.from_ts > ?1 - 90000000 AND p.from_ts <= ?1 AND ?1 < p.to_ts AND p.recorded_to IS NULL WHERE k.carrier = ?3) \
    SELECT CASE band WHEN 0 THEN 'sharp' WHEN 1 THEN 'peak' WHEN 2 THEN 'flat' WHEN 3 THEN 'valley' WHEN 4 THEN 'deep_valley' ELSE 'unpriced' END, \
      SUM(bought) / (SELECT per_unit FROM carrier_row WHERE carrier = ?3), SUM(ncny) / 1e9, MAX(tariff) FROM ( \
      SELECT p.band, r.bought, r.bought * p.ucny_per_unit AS ncny, p.tariff FROM entity_row e \
        CROSS JOIN priced p ON p.whole CROSS JOIN rollup_row r ON r.level = 1 AND r.ts = ?1 AND r.entity = e.id AND r.carrier = p.carrier WHERE e.entity = ?2 \
      UNION ALL SELECT p.band, i.quantity * s.bought, i.quantity * s.bought * p.ucny_per_unit, p.tariff FROM entity_row e \
        CROSS JOIN carrier_row k ON k.carrier = ?3 CROSS JOIN share_row s ON s.entity = e.id CROSS JOIN channel_row c ON c.id = s.channel AND c.carrier = k.id \
        CROSS JOIN step CROSS JOIN every_interval i ON i.ts = ?1 + step.ms AND i.channel = s.channel \
          AND i.block = block_of(?1 + step.ms) \
        CROSS JOIN price_row p ON p.carrier = k.id AND p.from_ts > i.ts - 90000000 AND p.from_ts <= i.ts AND i.ts < p.to_ts AND p.recorded_to IS NULL \
        WHERE e.entity = ?2 AND NOT EXISTS (SELECT 1 FROM priced WHERE whole) \
      UNION ALL SELECT p.band, 0, CASE WHEN p.band < 5 THEN 0 END, NULL FROM carrier_row k \
        CROSS JOIN price_row p ON p.carrier = k.id AND p.from_ts > ?1 - 90000000 AND p.from_ts < ?1 + 3600000 AND ?1 < p.to_ts WHERE k.carrier = ?3 \
      UNION ALL SELECT b.column1, 0, CASE WHEN b.column1 < 5 THEN 0 END, NULL FROM (VALUES (0), (1), (2), (3), (4), (5)) b WHERE EXISTS (SELECT 1 FROM carrier_row k \
        CROSS JOIN price_row p ON p.carrier = k.id AND p.from_ts > ?1 - 90000000 AND p.from_ts < ?1 + 3600000 AND ?1 < p.to_ts AND p.recorded_from > 0 WHERE k.carrier = ?3)) \
    GROUP BY band";

/// The view saving for one hour. That a prediction is there says that the hour is closed.
const SAVINGS: &str = "SELECT h.baseline * kwh, h.metered * kwh, (h.baseline - h.metered) * kwh, \
    (h.baseline - h.metered) / h.per_unit * h.mg_co2e_per_unit / 1e9, (h.baseline - h.metered - h.half_width) * kwh, \
    (h.baseline - h.metered + h.half_width) * kwh, h.baseline * m3, h.metered * m3, (h.baseline - h.metered) * m3, \
    (h.baseline - h.metered - h.half_width) * m3, (h.baseline - h.metered + h.half_width) * m3 FROM ( \
      SELECT b.mg_co2e_per_unit, b.kwh_per_unit AS per_unit, p.half_width_kwh AS half_width, r.quantity * b.kwh_per_unit AS metered, \
        iif(?3 = 'water', NULL, 1.0) AS kwh, iif(?3 = 'water', 1.0, NULL) AS m3, \
        p.baseline_kwh + COALESCE((SELECT SUM(a.kwh_per_hour) FROM adjustment_row a \
          WHERE a.entity = b.entity AND a.carrier = b.carrier AND a.from_ts <= ?1 AND ?1 < a.to_ts), 0) AS baseline \
      FROM baseline_row b JOIN entity_row e ON e.id = b.entity JOIN carrier_row k ON k.id = b.carrier JOIN saving_row p ON p.baseline = b.id AND p.ts = ?1 \
        JOIN rollup_row r ON r.level = 1 AND r.ts = ?1 AND r.entity = b.entity AND r.carrier = b.carrier \
      WHERE b.ended IS NULL AND e.entity = ?2 AND k.carrier = ?3 AND NOT EXISTS (SELECT 1 FROM adjustment_row a \
        WHERE a.kwh_per_hour IS NULL AND a.entity = b.entity AND a.carrier = b.carrier AND a.from_ts <= ?1 AND ?1 < a.to_ts)) h";

/// One hour: ?1, ?2 and ?3 of what is asked with it are its start, the entity and the carrier.
pub struct Key<'a> {
    pub zone: &'a str,
    pub at: Millis,
    pub entity: &'a str,
    /// Whether it is a part of other entities: a measurement of its own tells it, so that sums over entities are the zone.
    pub is_part: bool,
    pub carrier: &'a str,
}

impl Series {
    /// The lines of one hour as the ledger holds it now.
    pub fn write(&self, connection: &Connection, key: &Key, lines: &mut Lines) -> Result<(), StoreError> {
        let of_the_view = || {
            let as_text = self.tags.iter().map(|tag| format!("CAST({tag} AS TEXT)"));
            let columns: Vec<String> = as_text.chain(self.numbers.iter().chain(self.texts).map(|&name| name.to_owned())).collect();
            let view = self.name_for(key);
            format!("SELECT {} FROM {view} WHERE ts = ?1 AND entity = ?2 AND carrier = ?3", columns.join(", "))
        };
        let sql = self.rows.map_or_else(of_the_view, str::to_owned);
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params![key.at.0, key.entity, key.carrier])?;
        let mut found = false;
        while let Some(row) = rows.next()? {
            found = true;
            let tags = self.tags.iter().enumerate().map(|(index, _)| row.get(index)).collect::<Result<Vec<String>, _>>()?;
            let offset = self.tags.len();
            let numbers = (0..self.numbers.len()).map(|index| row.get(offset + index)).collect::<Result<Vec<Option<f64>>, _>>()?;
            let offset = offset + self.numbers.len();
            let texts = (0..self.texts.len()).map(|index| row.get(offset + index)).collect::<Result<Vec<Option<String>>, _>>()?;
            let numbers = self.numbers.iter().zip(&numbers).filter_map(|(name, number)| Some((*name, Field::Number((*number)?))));
            let texts = self.texts.iter().zip(&texts).filter_map(|(name, text)| Some((*name, Field::Text(text.as_deref()?))));
            self.line(key, &tags, &numbers.chain(texts).collect::<Vec<_>>(), lines);
        }
        if !found {
            self.write_zeros(connection, key, lines)?;
        }
        Ok(())
    }

    fn write_zeros(&self, connection: &Connection, key: &Key, lines: &mut Lines) -> Result<(), StoreError> {
        let had = self.numbers.iter().filter(|name| (self.has)(key.carrier, name));
        let zeros: Vec<_> = had.map(|name| (*name, Field::Number(0.0))).collect();
        let Some(sql) = self.emptied else {
            self.line(key, &[], &zeros, lines);
            return Ok(());
        };
        let mut statement = connection.prepare_cached(sql)?;
        let mut rows = statement.query(params![key.at.0, key.entity, key.carrier])?;
        while let Some(row) = rows.next()? {
            let tags = self.tags.iter().enumerate().map(|(index, _)| row.get(index)).collect::<Result<Vec<String>, _>>()?;
            self.line(key, &tags, &zeros, lines);
        }
        Ok(())
    }

    fn name_for(&self, key: &Key) -> String {
        format!("{}{}", self.measurement, if key.is_part { "_part" } else { "" })
    }

    fn line(&self, key: &Key, tags: &[String], fields: &[(&str, Field)], lines: &mut Lines) {
        let mut all = vec![("zone", key.zone), ("entity", key.entity), ("carrier", key.carrier)];
        all.extend(self.tags.iter().zip(tags).map(|(name, value)| (*name, &**value)));
        lines.point(&self.name_for(key), &all, fields, key.at);
    }
}
