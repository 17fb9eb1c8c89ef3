-- What an auditor asks for: the prices and factors in force, costs, and what was known when. recorded_from and recorded_to are the engine's clock;
-- no recorded_to: it still holds. A figure of interval t as known on d is made of the rows with recorded_from <= d < recorded_to that hold at t.

-- Prices in force, kept from the first figure made with them on: a span of one band, in µCNY per kWh, MJ, m³ or kg; none in band 5, unpriced. funds is the
-- part of it that the power factor does not adjust; demand: µCNY for each kW of the month's demand, none where it costs nothing.
CREATE TABLE price_row (
  carrier INTEGER NOT NULL, from_ts INTEGER NOT NULL, to_ts INTEGER NOT NULL, band INTEGER NOT NULL, ucny_per_unit INTEGER,
  funds_ucny_per_unit INTEGER NOT NULL, demand_ucny_per_kw_month INTEGER, tariff TEXT NOT NULL,
  recorded_from INTEGER NOT NULL, recorded_to INTEGER, PRIMARY KEY (carrier, from_ts, recorded_from)) WITHOUT ROWID;

-- Factors in force, as in factor_row, by time: one span a year until somebody restates a part of it.
CREATE TABLE factor_use_row (
  carrier INTEGER NOT NULL, from_ts INTEGER NOT NULL, to_ts INTEGER NOT NULL,
  mg_per_unit INTEGER, coal_calorific_mg_per_unit INTEGER, coal_primary_mg_per_unit INTEGER, tier TEXT NOT NULL, source TEXT NOT NULL,
  recorded_from INTEGER NOT NULL, recorded_to INTEGER, PRIMARY KEY (carrier, from_ts, recorded_from)) WITHOUT ROWID;

-- Costs of a local day by band. bought: what is paid for; gross, assumed, estimated as in rollup_row; across: the part of gross that was metered by whole
-- hours in which the band changes, priced as the hour's beginning.
CREATE TABLE cost_row (
  ts INTEGER NOT NULL, entity INTEGER NOT NULL, carrier INTEGER NOT NULL, band INTEGER NOT NULL, bought INTEGER NOT NULL, gross INTEGER NOT NULL,
  assumed INTEGER NOT NULL, estimated INTEGER NOT NULL, across INTEGER NOT NULL, cost_ncny INTEGER NOT NULL, parts INTEGER NOT NULL,
  PRIMARY KEY (ts, entity, carrier, band)) WITHOUT ROWID;

-- What closed intervals said before they were corrected.
CREATE TABLE interval_version_row (
  ts INTEGER NOT NULL, channel INTEGER NOT NULL, minutes INTEGER NOT NULL, quantity INTEGER NOT NULL, assumed INTEGER NOT NULL,
  estimated INTEGER NOT NULL, recorded_from INTEGER NOT NULL, recorded_to INTEGER NOT NULL, PRIMARY KEY (ts, channel, recorded_from)) WITHOUT ROWID;

-- What was summed before meters.csv said something else.
CREATE TABLE share_version_row (
  channel INTEGER NOT NULL, entity INTEGER NOT NULL, sign INTEGER NOT NULL, bought INTEGER NOT NULL,
  recorded_from INTEGER NOT NULL, recorded_to INTEGER NOT NULL, PRIMARY KEY (channel, entity, recorded_from)) WITHOUT ROWID;

-- What commands ask of a running collector. state: waiting, running, done or failed; result: what the command prints, or why it failed.
CREATE TABLE request (
  id INTEGER PRIMARY KEY, kind TEXT NOT NULL, arguments TEXT NOT NULL, state TEXT NOT NULL DEFAULT 'waiting', result TEXT);

-- Costs of one entity's hour, for the other store.
CREATE INDEX share_of_entity ON share_row (entity);

-- The meter tree: of each meter with others below it its own channels and theirs; what it took and they do not account for is the sum of quantity × sign,
-- and what it took itself that of quantity × own.
CREATE TABLE node_row (
  node TEXT NOT NULL, channel INTEGER NOT NULL, sign INTEGER NOT NULL, own INTEGER NOT NULL, PRIMARY KEY (node, channel)) WITHOUT ROWID;
