-- What readers need to know of the zone folder beside meters: entities' sizes, what users declared, and the factors of market-based accounting and reports.
-- Follows the folder at each start of a collector; a factor that was once used stays.

CREATE TABLE entity_fact_row (
  entity INTEGER PRIMARY KEY, parent INTEGER, floor_area_m2 REAL, output_cny_per_year REAL, head_count REAL, product_unit TEXT, key_unit INTEGER NOT NULL);

-- amount: thousandths of unit; mg_per_unit is below zero for a sink; coal_mg_per_unit: standard coal by heat content, of a fuel's first stream only.
CREATE TABLE declared_entry_row (
  id TEXT NOT NULL, stream TEXT NOT NULL, entity INTEGER NOT NULL, from_ts INTEGER NOT NULL, to_ts INTEGER NOT NULL, scope INTEGER NOT NULL, method TEXT NOT NULL,
  kind TEXT NOT NULL, amount INTEGER NOT NULL, unit TEXT NOT NULL, mg_per_unit INTEGER NOT NULL, tier TEXT NOT NULL, version TEXT NOT NULL, source TEXT NOT NULL,
  recorded TEXT NOT NULL, coal_mg_per_unit INTEGER, known_from INTEGER NOT NULL, PRIMARY KEY (id, stream)) WITHOUT ROWID;

CREATE TABLE supply_row (
  id TEXT NOT NULL, kind TEXT NOT NULL, entity INTEGER NOT NULL, from_ts INTEGER NOT NULL, to_ts INTEGER NOT NULL, energy_wh INTEGER NOT NULL,
  mg_per_kwh INTEGER NOT NULL, green INTEGER NOT NULL, source TEXT NOT NULL, recorded TEXT NOT NULL, known_from INTEGER NOT NULL, PRIMARY KEY (kind, id)) WITHOUT ROWID;

-- What entries and supplies said before the folder said otherwise, by the engine's clock when it was taken over; 0 before there were data.
CREATE TABLE declared_entry_version_row (
  id TEXT NOT NULL, stream TEXT NOT NULL, entity INTEGER NOT NULL, from_ts INTEGER NOT NULL, to_ts INTEGER NOT NULL, scope INTEGER NOT NULL, method TEXT NOT NULL,
  kind TEXT NOT NULL, amount INTEGER NOT NULL, unit TEXT NOT NULL, mg_per_unit INTEGER NOT NULL, tier TEXT NOT NULL, version TEXT NOT NULL, source TEXT NOT NULL,
  recorded TEXT NOT NULL, coal_mg_per_unit INTEGER, known_from INTEGER NOT NULL, known_to INTEGER NOT NULL, PRIMARY KEY (id, stream, known_from)) WITHOUT ROWID;

CREATE TABLE supply_version_row (
  id TEXT NOT NULL, kind TEXT NOT NULL, entity INTEGER NOT NULL, from_ts INTEGER NOT NULL, to_ts INTEGER NOT NULL, energy_wh INTEGER NOT NULL,
  mg_per_kwh INTEGER NOT NULL, green INTEGER NOT NULL, source TEXT NOT NULL, recorded TEXT NOT NULL, known_from INTEGER NOT NULL, known_to INTEGER NOT NULL,
  PRIMARY KEY (kind, id, known_from)) WITHOUT ROWID;

-- Factors in force that no meter's book uses: residual and fossil mix per kWh, CH4 and N2O per m3 of the zone's gas. One span a local year until somebody
-- restates a part of it; recorded_from and recorded_to as in accounts.sql.
CREATE TABLE named_factor_row (
  name TEXT NOT NULL, from_ts INTEGER NOT NULL, to_ts INTEGER NOT NULL, mg_per_unit INTEGER NOT NULL, tier TEXT NOT NULL, version TEXT NOT NULL,
  recorded_from INTEGER NOT NULL, recorded_to INTEGER, PRIMARY KEY (name, from_ts, recorded_from)) WITHOUT ROWID;

CREATE TABLE factor_version_row (
  version TEXT PRIMARY KEY, source TEXT NOT NULL, confidence TEXT NOT NULL, recorded TEXT NOT NULL, valid_from TEXT NOT NULL, valid_to TEXT) WITHOUT ROWID;

CREATE TABLE target_row (code TEXT PRIMARY KEY, bound TEXT NOT NULL, value REAL NOT NULL, unit TEXT NOT NULL, version TEXT NOT NULL) WITHOUT ROWID;

-- What the zone states of indicators that no meter tells, in percent.
CREATE TABLE indicator_row (
  indicator TEXT NOT NULL, year INTEGER NOT NULL, value_pct REAL NOT NULL, source TEXT NOT NULL, recorded TEXT NOT NULL, PRIMARY KEY (indicator, year)) WITHOUT ROWID;

-- Tenants' shares in shared meters: thousandths of a percent, 100,000 for each meter and time.
CREATE TABLE allocation_row (
  meter TEXT NOT NULL, entity INTEGER NOT NULL, from_ts INTEGER NOT NULL, to_ts INTEGER NOT NULL, thousandths_pct INTEGER NOT NULL, source TEXT NOT NULL,
  PRIMARY KEY (meter, from_ts, entity)) WITHOUT ROWID;
