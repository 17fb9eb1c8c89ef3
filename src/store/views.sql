-- What people and `nengtan query` read. Dropped and made again at every start; nothing here is data. This program's own connections see packed rows as well:
-- for them every_reading and every_interval are those of history_views.sql. Another program sees here what is not packed.
DROP VIEW IF EXISTS every_reading;
CREATE VIEW every_reading AS
SELECT ts, channel, value, seq, verdict, energy, flow, serial, g1, g2, g3, g4, ts / 86400000 AS block FROM reading_row;
DROP VIEW IF EXISTS every_interval;
CREATE VIEW every_interval AS
SELECT ts, channel, minutes, quantity, assumed, estimated, parts, recorded_from, ts / 86400000 AS block FROM interval_row;

-- Residuals of meters and virtual meters are parts of what entities use (domain/tree.rs); no sum over entities has them.
DROP VIEW IF EXISTS part_entity;
CREATE VIEW part_entity AS SELECT id, entity, name_en, name_zh, kind FROM entity_row WHERE kind IN ('node_residual', 'virtual_meter');
DROP VIEW IF EXISTS whole_entity;
CREATE VIEW whole_entity AS SELECT id, entity, name_en, name_zh, kind FROM entity_row WHERE kind NOT IN ('node_residual', 'virtual_meter');

DROP VIEW IF EXISTS entity;
CREATE VIEW entity AS SELECT entity, name_en, name_zh, kind FROM entity_row;

-- Newest values in ledger units: of a gauge what came with the meter's newest reading, else what came apart from it.
DROP VIEW IF EXISTS newest;
CREATE VIEW newest AS
SELECT channel, CASE WHEN own_ts IS NULL OR (beside IS NOT NULL AND own_ts <= beside_ts) THEN beside_ts ELSE own_ts END AS ts,
  CASE WHEN own_ts IS NULL OR (beside IS NOT NULL AND own_ts <= beside_ts) THEN beside ELSE own END AS value
FROM (
  SELECT c.id AS channel, l.ts AS own_ts, l.value AS own, h.ts AS beside_ts,
    (SELECT CASE c.slot WHEN 1 THEN r.g1 WHEN 2 THEN r.g2 WHEN 3 THEN r.g3 WHEN 4 THEN r.g4 END
      FROM every_reading r WHERE r.ts = h.ts AND r.channel = h.channel AND r.block = h.ts / 86400000) AS beside
  FROM channel_row c LEFT JOIN latest_row l ON l.channel = c.id LEFT JOIN latest_row h ON h.channel = c.host)
WHERE own_ts IS NOT NULL OR beside IS NOT NULL;

DROP VIEW IF EXISTS meter;
CREATE VIEW meter AS
SELECT meter, item, entity, k.carrier, direction, level, boundary, gateway, n.ts AS latest_ts,
  strftime('%Y-%m-%dT%H:%M:%SZ', n.ts / 1000, 'unixepoch') AS latest_utc,
  CASE WHEN register THEN n.value / k.per_unit ELSE n.value END AS latest_value
FROM channel_row c LEFT JOIN newest n ON n.channel = c.id LEFT JOIN carrier_row k ON k.id = c.carrier;

-- Each value by its meter and item, and the block that it lies in.
DROP VIEW IF EXISTS value_in_block;
CREATE VIEW value_in_block AS
SELECT r.ts, c.meter, c.item, CASE WHEN c.register THEN r.value / k.per_unit ELSE r.value END AS value, r.verdict, r.energy / k.per_unit AS energy, r.seq, r.block
FROM every_reading r JOIN channel_row c ON c.id = r.channel LEFT JOIN carrier_row k ON k.id = c.carrier
UNION ALL
SELECT r.ts, c.meter, c.item, CASE c.slot WHEN 1 THEN r.g1 WHEN 2 THEN r.g2 WHEN 3 THEN r.g3 WHEN 4 THEN r.g4 END AS value, NULL, NULL, r.seq, r.block
FROM every_reading r JOIN channel_row c ON c.host = r.channel
WHERE CASE c.slot WHEN 1 THEN r.g1 WHEN 2 THEN r.g2 WHEN 3 THEN r.g3 WHEN 4 THEN r.g4 END IS NOT NULL;

DROP VIEW IF EXISTS reading;
CREATE VIEW reading AS
SELECT v.ts,
  strftime('%Y-%m-%dT%H:%M:%SZ', v.ts / 1000, 'unixepoch') AS ts_utc,
  strftime('%Y-%m-%dT%H:%M:%S', v.ts / 1000 + (SELECT offset_s FROM tz_offset WHERE from_ts <= v.ts ORDER BY from_ts DESC LIMIT 1), 'unixepoch') AS ts_local,
  (SELECT value FROM meta WHERE key = 'zone') AS zone, v.meter, v.item, v.value,
  CASE v.verdict & 15 WHEN 0 THEN 'held' WHEN 1 THEN 'first' WHEN 2 THEN 'normal' WHEN 3 THEN 'rollover' WHEN 4 THEN 'reset' WHEN 6 THEN 'new_serial'
    WHEN 7 THEN 'rebased' WHEN 8 THEN 'frozen' WHEN 9 THEN 'dip' WHEN 10 THEN 'spike' END AS class,
  CASE (v.verdict >> 4) & 3 WHEN 0 THEN 'measured' WHEN 1 THEN 'assumed' WHEN 2 THEN 'estimated' END AS quality,
  (v.verdict >> 6) & 1 AS ambiguous, v.energy, v.seq
FROM value_in_block v;

-- Intervals with their meters. The second half is empty: a union goes into a sum as it is, and what a meter or a time asks for goes into its halves.
DROP VIEW IF EXISTS interval_of_meter;
CREATE VIEW interval_of_meter AS
SELECT i.ts, c.meter, c.item, c.entity, k.carrier, i.minutes, i.quantity, i.assumed, i.estimated, k.unit, k.per_unit, k.kwh_per_unit, i.block
FROM every_interval i JOIN channel_row c ON c.id = i.channel JOIN carrier_row k ON k.id = c.carrier
UNION ALL SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL WHERE false;

-- Energy of each meter and interval (minutes says how long it is: hourly history stays hourly).
DROP VIEW IF EXISTS meter_energy;
CREATE VIEW meter_energy AS
SELECT i.ts,
  strftime('%Y-%m-%dT%H:%M:%SZ', i.ts / 1000, 'unixepoch') AS ts_utc,
  strftime('%Y-%m-%dT%H:%M:%S', i.ts / 1000 + (SELECT offset_s FROM tz_offset WHERE from_ts <= i.ts ORDER BY from_ts DESC LIMIT 1), 'unixepoch') AS ts_local,
  (SELECT value FROM meta WHERE key = 'zone') AS zone, i.meter, i.item, i.entity, i.carrier, i.minutes, i.quantity / i.per_unit AS quantity, i.unit,
  i.quantity * i.kwh_per_unit / i.per_unit AS kwh,
  i.assumed / i.per_unit AS assumed, i.estimated / i.per_unit AS estimated
FROM interval_of_meter i;

DROP VIEW IF EXISTS energy_by_level;
CREATE VIEW energy_by_level AS
SELECT r.level, e.kind IN ('node_residual', 'virtual_meter') AS part, r.ts,
  strftime('%Y-%m-%dT%H:%M:%SZ', r.ts / 1000, 'unixepoch') AS ts_utc,
  strftime('%Y-%m-%dT%H:%M:%S', r.ts / 1000 + (SELECT offset_s FROM tz_offset WHERE from_ts <= r.ts ORDER BY from_ts DESC LIMIT 1), 'unixepoch') AS ts_local,
  (SELECT value FROM meta WHERE key = 'zone') AS zone, e.entity, k.carrier, r.quantity / k.per_unit AS quantity, k.unit,
  r.quantity * k.kwh_per_unit / k.per_unit AS kwh,
  r.ce_calorific_ug / 1e12 AS tce_calorific, r.ce_primary_ug / 1e12 AS tce_primary,
  CASE WHEN r.gross <> 0 THEN 1.0 - 1.0 * (r.assumed + r.estimated) / r.gross END AS measured_share,
  CASE WHEN r.gross <> 0 THEN 1.0 * r.assumed / r.gross END AS assumed_share,
  CASE WHEN r.gross <> 0 THEN 1.0 * r.estimated / r.gross END AS estimated_share
FROM rollup_row r JOIN entity_row e ON e.id = r.entity JOIN carrier_row k ON k.id = r.carrier;

DROP VIEW IF EXISTS energy;
CREATE VIEW energy AS SELECT ts, ts_utc, ts_local, zone, entity, carrier, quantity, unit, kwh, tce_calorific, tce_primary, measured_share, assumed_share, estimated_share
FROM energy_by_level WHERE level = 1 AND NOT part;
DROP VIEW IF EXISTS energy_part;
CREATE VIEW energy_part AS SELECT ts, ts_utc, ts_local, zone, entity, carrier, quantity, unit, kwh, tce_calorific, tce_primary, measured_share, assumed_share, estimated_share
FROM energy_by_level WHERE level = 1 AND part;
DROP VIEW IF EXISTS energy_day;
CREATE VIEW energy_day AS SELECT ts, ts_utc, ts_local, zone, entity, carrier, quantity, unit, kwh, tce_calorific, tce_primary, measured_share, assumed_share, estimated_share
FROM energy_by_level WHERE level = 2 AND NOT part;
DROP VIEW IF EXISTS energy_part_day;
CREATE VIEW energy_part_day AS SELECT ts, ts_utc, ts_local, zone, entity, carrier, quantity, unit, kwh, tce_calorific, tce_primary, measured_share, assumed_share, estimated_share
FROM energy_by_level WHERE level = 2 AND part;
DROP VIEW IF EXISTS energy_month;
CREATE VIEW energy_month AS SELECT ts, ts_utc, ts_local, zone, entity, carrier, quantity, unit, kwh, tce_calorific, tce_primary, measured_share, assumed_share, estimated_share
FROM energy_by_level WHERE level = 3 AND NOT part;
DROP VIEW IF EXISTS energy_part_month;
CREATE VIEW energy_part_month AS SELECT ts, ts_utc, ts_local, zone, entity, carrier, quantity, unit, kwh, tce_calorific, tce_primary, measured_share, assumed_share, estimated_share
FROM energy_by_level WHERE level = 3 AND part;

DROP VIEW IF EXISTS carbon_by_level;
CREATE VIEW carbon_by_level AS
SELECT r.level, e.kind IN ('node_residual', 'virtual_meter') AS part, r.ts,
  strftime('%Y-%m-%dT%H:%M:%SZ', r.ts / 1000, 'unixepoch') AS ts_utc,
  strftime('%Y-%m-%dT%H:%M:%S', r.ts / 1000 + (SELECT offset_s FROM tz_offset WHERE from_ts <= r.ts ORDER BY from_ts DESC LIMIT 1), 'unixepoch') AS ts_local,
  (SELECT value FROM meta WHERE key = 'zone') AS zone, e.entity, k.carrier,
  CASE k.carrier WHEN 'natural_gas' THEN 1 ELSE 2 END AS scope, 'location' AS method, r.co2e_ug / 1e9 AS kg_co2e,
  (SELECT tier FROM factor_row f WHERE f.carrier = r.carrier AND f.year = CAST(strftime('%Y', r.ts / 1000 + (SELECT offset_s FROM tz_offset WHERE from_ts <= r.ts ORDER BY from_ts DESC LIMIT 1), 'unixepoch') AS INTEGER)) AS factor_tier,
  CASE WHEN r.gross <> 0 THEN 1.0 - 1.0 * (r.assumed + r.estimated) / r.gross END AS measured_share
FROM rollup_row r JOIN entity_row e ON e.id = r.entity JOIN carrier_row k ON k.id = r.carrier
WHERE r.carrier IN (SELECT carrier FROM factor_row WHERE mg_per_unit IS NOT NULL);

DROP VIEW IF EXISTS carbon;
CREATE VIEW carbon AS SELECT ts, ts_utc, ts_local, zone, entity, carrier, scope, method, kg_co2e, factor_tier, measured_share FROM carbon_by_level WHERE level = 1 AND NOT part;
DROP VIEW IF EXISTS carbon_part;
CREATE VIEW carbon_part AS SELECT ts, ts_utc, ts_local, zone, entity, carrier, scope, method, kg_co2e, factor_tier, measured_share FROM carbon_by_level WHERE level = 1 AND part;
DROP VIEW IF EXISTS carbon_day;
CREATE VIEW carbon_day AS SELECT ts, ts_utc, ts_local, zone, entity, carrier, scope, method, kg_co2e, factor_tier, measured_share FROM carbon_by_level WHERE level = 2 AND NOT part;
DROP VIEW IF EXISTS carbon_part_day;
CREATE VIEW carbon_part_day AS SELECT ts, ts_utc, ts_local, zone, entity, carrier, scope, method, kg_co2e, factor_tier, measured_share FROM carbon_by_level WHERE level = 2 AND part;
DROP VIEW IF EXISTS carbon_month;
CREATE VIEW carbon_month AS SELECT ts, ts_utc, ts_local, zone, entity, carrier, scope, method, kg_co2e, factor_tier, measured_share FROM carbon_by_level WHERE level = 3 AND NOT part;
DROP VIEW IF EXISTS carbon_part_month;
CREATE VIEW carbon_part_month AS SELECT ts, ts_utc, ts_local, zone, entity, carrier, scope, method, kg_co2e, factor_tier, measured_share FROM carbon_by_level WHERE level = 3 AND part;

DROP VIEW IF EXISTS alert;
CREATE VIEW alert AS
SELECT raised AS ts,
  strftime('%Y-%m-%dT%H:%M:%SZ', raised / 1000, 'unixepoch') AS ts_utc,
  strftime('%Y-%m-%dT%H:%M:%S', raised / 1000 + (SELECT offset_s FROM tz_offset WHERE from_ts <= raised ORDER BY from_ts DESC LIMIT 1), 'unixepoch') AS ts_local,
  (SELECT value FROM meta WHERE key = 'zone') AS zone, rule, subject, severity, CASE WHEN cleared IS NULL THEN 'firing' ELSE 'cleared' END AS state,
  value, "limit", strftime('%Y-%m-%dT%H:%M:%SZ', since / 1000, 'unixepoch') AS since_utc,
  strftime('%Y-%m-%dT%H:%M:%SZ', cleared / 1000, 'unixepoch') AS cleared_utc
FROM alert_row;

DROP VIEW IF EXISTS refusal;
CREATE VIEW refusal AS SELECT reason, count FROM refusal_row;
DROP VIEW IF EXISTS dead_letter;
CREATE VIEW dead_letter AS
SELECT at AS ts, strftime('%Y-%m-%dT%H:%M:%SZ', at / 1000, 'unixepoch') AS ts_utc, topic, reason, detail, payload FROM dead_letter_row;
DROP VIEW IF EXISTS gateway;
CREATE VIEW gateway AS
SELECT gateway, CASE WHEN online THEN 'online' ELSE 'offline' END AS status, strftime('%Y-%m-%dT%H:%M:%SZ', changed / 1000, 'unixepoch') AS since_utc FROM gateway_row;
