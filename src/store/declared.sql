-- What readers need to know of the zone folder beside meters: entities' sizes, what users declared, and the factors of market-based accounting and reports.
-- Follows the folder at each start of a collector; a factor that was once used stays.

CREATE TABLE entity_fact_row (
  entity INTEGER PRIMARY KEY, parent INTEGER, floor_area_m2 REAL, output_cny_per_year REAL, head_count REAL, product_unit TEXT, key_unit INTEGER NOT NULL);

-- amount: thousandths of unit; mg_per_unit is below zero for a sink.
CREATE TABLE declared_entry_row (
  id TEXT NOT NULL, stream TEXT NOT NULL, entity INTEGER NOT NULL, from_ts INTEGER NOT NULL, to_ts INTEGER NOT NULL, scope INTEGER NOT NULL, method TEXT NOT NULL,
  kind TEXT NOT NULL, amount INTEGER NOT NULL, unit TEXT NOT NULL, mg_per_unit INTEGER NOT NULL, tier TEXT NOT NULL, version TEXT NOT NULL, source TEXT NOT NULL,
  recorded TEXT NOT NULL, PRIMARY KEY (id, stream)) WITHOUT ROWID;

CREATE TABLE supply_row (
  id TEXT NOT NULL, kind TEXT NOT NULL, entity INTEGER NOT NULL, from_ts INTEGER NOT NULL, to_ts INTEGER NOT NULL, energy_wh INTEGER NOT NULL,
  mg_per_kwh INTEGER NOT NULL, green INTEGER NOT NULL, source TEXT NOT NULL, recorded TEXT NOT NULL, PRIMARY KEY (kind, id)) WITHOUT ROWID;

-- Factors by year that no meter's book uses: residual and fossil mix per kWh, CH4 and N2O per m3 of the zone's gas.
CREATE TABLE year_factor_row (
  name TEXT NOT NULL, year INTEGER NOT NULL, mg_per_unit INTEGER NOT NULL, tier TEXT NOT NULL, version TEXT NOT NULL, PRIMARY KEY (name, year)) WITHOUT ROWID;

CREATE TABLE factor_version_row (
  version TEXT PRIMARY KEY, source TEXT NOT NULL, confidence TEXT NOT NULL, recorded TEXT NOT NULL, valid_from TEXT NOT NULL, valid_to TEXT) WITHOUT ROWID;

CREATE TABLE target_row (code TEXT PRIMARY KEY, bound TEXT NOT NULL, value REAL NOT NULL, unit TEXT NOT NULL, version TEXT NOT NULL) WITHOUT ROWID;
