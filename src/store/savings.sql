-- Savings. A baseline is frozen: its row is never changed but for the day and reason on which another one took its place.
-- What is called kwh in these tables is in the baseline's own unit, m3 where the carrier is water; the views tell the two apart.

-- Days of the zone folder's calendar.csv, for readers that have no zone folder.
CREATE TABLE day_row (date TEXT PRIMARY KEY, day_type TEXT NOT NULL) WITHOUT ROWID;

-- What explains an entity's load: the gauges of its weather, and production counters; those of one name are added up.
CREATE TABLE driver_row (entity INTEGER NOT NULL, name TEXT NOT NULL, channel INTEGER NOT NULL, PRIMARY KEY (entity, name, channel)) WITHOUT ROWID;

-- Weather gauges once more, by channel: reading_row goes by time and would be read whole for one gauge's year.
CREATE TABLE weather_row (channel INTEGER NOT NULL, ts INTEGER NOT NULL, value REAL NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (channel, ts)) WITHOUT ROWID;

-- as_of: newest reading when it was made. kwh_per_unit, mg_*: per ledger unit, of the baseline's last year. fitted: the model, see savings/evaluation.rs.
-- ended, end_reason: since when another one is in its place, and why.
CREATE TABLE baseline_row (
  id INTEGER PRIMARY KEY, entity INTEGER NOT NULL, carrier INTEGER NOT NULL, from_ts INTEGER NOT NULL, to_ts INTEGER NOT NULL, as_of INTEGER NOT NULL,
  code_version TEXT NOT NULL, factor_year INTEGER NOT NULL, kwh_per_unit REAL NOT NULL, mg_co2e_per_unit INTEGER, mg_ce_calorific_per_unit INTEGER,
  mg_ce_primary_per_unit INTEGER, estimated_share REAL NOT NULL, fitted TEXT NOT NULL, ended INTEGER, end_reason TEXT);
CREATE UNIQUE INDEX baseline_in_force ON baseline_row (entity, carrier) WHERE ended IS NULL;

-- Predictions of closed hours. Made anew from baseline, weather and production whenever these change.
CREATE TABLE saving_row (baseline INTEGER NOT NULL, ts INTEGER NOT NULL, baseline_kwh REAL NOT NULL, half_width_kwh REAL NOT NULL, PRIMARY KEY (baseline, ts)) WITHOUT ROWID;

-- What a user knows of non-routine hours: kwh_per_hour is added to the baseline; none: the hours are left out.
CREATE TABLE adjustment_row (
  id INTEGER PRIMARY KEY, entity INTEGER NOT NULL, carrier INTEGER NOT NULL, from_ts INTEGER NOT NULL, to_ts INTEGER NOT NULL, kwh_per_hour REAL,
  reason TEXT NOT NULL, as_of INTEGER NOT NULL);
