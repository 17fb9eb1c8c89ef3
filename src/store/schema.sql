-- The embedded store. Rows are integers in ledger units (Wh, kJ, litre, gram, piece; µg; ms since 1970); the views below give kWh, kg and tonnes.
-- Times are UTC milliseconds; an interval is stamped with its start.

CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;

-- Offsets of the zone's time zone, so that any SQLite client sees local time.
CREATE TABLE tz_offset (from_ts INTEGER PRIMARY KEY, offset_s INTEGER NOT NULL);

CREATE TABLE entity_row (id INTEGER PRIMARY KEY, entity TEXT NOT NULL UNIQUE, name_en TEXT NOT NULL, name_zh TEXT NOT NULL, kind TEXT NOT NULL);

CREATE TABLE carrier_row (id INTEGER PRIMARY KEY, carrier TEXT NOT NULL, unit TEXT NOT NULL, per_unit REAL NOT NULL, kwh_per_unit REAL);

-- A channel is one item of one meter. `register` 1: a running total in ledger units; 0: a gauge. A gauge with a host lies in column g<slot> of the
-- host's rows of reading_row where it came with it; alone 1: newer values have rows of their own.
CREATE TABLE channel_row (
  id INTEGER PRIMARY KEY, meter TEXT NOT NULL, item TEXT NOT NULL, register INTEGER NOT NULL,
  entity TEXT, carrier INTEGER, direction TEXT, level TEXT, boundary INTEGER, gateway TEXT, step INTEGER,
  host INTEGER, slot INTEGER, alone INTEGER NOT NULL DEFAULT 0, UNIQUE (meter, item));
CREATE INDEX channel_of_host ON channel_row (host) WHERE host IS NOT NULL;

-- What a channel's quantity adds to entities (the zone is one): times sign to the use, times bought to what carries carbon.
CREATE TABLE share_row (
  channel INTEGER NOT NULL, entity INTEGER NOT NULL, sign INTEGER NOT NULL, bought INTEGER NOT NULL,
  recorded_from INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (channel, entity)) WITHOUT ROWID;

-- verdict: how a register was understood, see ledger/mark.rs; energy: since the good reading before; serial: hash of the number that the device had by
-- then, whether this reading named it or one before (bit 8 of verdict); g1 to g4: gauges that came with it.
CREATE TABLE reading_row (
  ts INTEGER NOT NULL, channel INTEGER NOT NULL, value NOT NULL, seq INTEGER, verdict INTEGER, energy INTEGER, flow REAL, serial INTEGER,
  g1 REAL, g2 REAL, g3 REAL, g4 REAL,
  PRIMARY KEY (ts, channel)) WITHOUT ROWID;

CREATE TABLE swap_row (
  ts INTEGER NOT NULL, channel INTEGER NOT NULL, closing INTEGER NOT NULL, opening INTEGER NOT NULL, seq INTEGER NOT NULL,
  verdict INTEGER NOT NULL, energy INTEGER NOT NULL, serial INTEGER, PRIMARY KEY (ts, channel)) WITHOUT ROWID;

-- Newest values; what later commits changed lies in latest_change_row until it is settled (store/latest.rs).
CREATE TABLE latest_row (channel INTEGER PRIMARY KEY, first_ts INTEGER NOT NULL, ts INTEGER NOT NULL, value NOT NULL);
CREATE TABLE latest_change_row (id INTEGER PRIMARY KEY, changes BLOB NOT NULL);

-- parts, here and below: how many shares of spans the row is made of; a row without one is deleted. recorded_from: the engine's clock when the row last
-- changed after it was closed, 0 if it never did; what it said before is in interval_version_row.
CREATE TABLE interval_row (
  ts INTEGER NOT NULL, channel INTEGER NOT NULL, minutes INTEGER NOT NULL, quantity INTEGER NOT NULL,
  assumed INTEGER NOT NULL, estimated INTEGER NOT NULL, parts INTEGER NOT NULL, recorded_from INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (ts, channel)) WITHOUT ROWID;

-- bought: the part of quantity that carries the factor's carbon. level: 1 hour, 2 day, 3 month. Shares are taken of gross, the sum of what was metered, whatever its sign.
CREATE TABLE rollup_row (
  level INTEGER NOT NULL, ts INTEGER NOT NULL, entity INTEGER NOT NULL, carrier INTEGER NOT NULL, quantity INTEGER NOT NULL,
  gross INTEGER NOT NULL, assumed INTEGER NOT NULL, estimated INTEGER NOT NULL,
  co2e_ug INTEGER NOT NULL, ce_calorific_ug INTEGER NOT NULL, ce_primary_ug INTEGER NOT NULL, parts INTEGER NOT NULL,
  bought INTEGER NOT NULL,
  PRIMARY KEY (level, ts, entity, carrier)) WITHOUT ROWID;

-- Factors in use: mg of CO2e and of standard coal per unit; none where a carrier has none by its nature. A row never changes by itself.
CREATE TABLE factor_row (
  carrier INTEGER NOT NULL, year INTEGER NOT NULL, mg_per_unit INTEGER, coal_calorific_mg_per_unit INTEGER, coal_primary_mg_per_unit INTEGER, unit TEXT NOT NULL, tier TEXT NOT NULL, source TEXT NOT NULL,
  PRIMARY KEY (carrier, year)) WITHOUT ROWID;

CREATE TABLE alert_row (
  rule TEXT NOT NULL, subject TEXT NOT NULL, since INTEGER NOT NULL, raised INTEGER NOT NULL, cleared INTEGER,
  severity TEXT NOT NULL, value REAL NOT NULL, "limit" REAL NOT NULL, PRIMARY KEY (rule, subject, since)) WITHOUT ROWID;

-- Conditions that hold but have not held long enough yet.
CREATE TABLE alert_pending_row (rule TEXT NOT NULL, subject TEXT NOT NULL, since INTEGER NOT NULL, PRIMARY KEY (rule, subject)) WITHOUT ROWID;

CREATE TABLE gateway_row (gateway TEXT PRIMARY KEY, online INTEGER NOT NULL, changed INTEGER NOT NULL) WITHOUT ROWID;

CREATE TABLE backfill_row (
  meter TEXT NOT NULL, from_ts INTEGER NOT NULL, to_ts INTEGER NOT NULL, asked INTEGER NOT NULL, PRIMARY KEY (meter, from_ts)) WITHOUT ROWID;

-- What came in, by kind, and what was refused, by reason.
CREATE TABLE count_row (name TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE refusal_row (reason TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE dead_letter_row (
  id INTEGER PRIMARY KEY, at INTEGER NOT NULL, topic TEXT NOT NULL, reason TEXT NOT NULL, detail TEXT NOT NULL, payload BLOB NOT NULL);
