-- Figures by interval, by year, and costs. Dropped and made again at every start, like views.sql.

-- Each entity's intervals: what its channels' intervals add up to, to the digit of the roll-ups. minutes: hourly history stays hourly. Sums over windows, not
-- groups: only so a range of time that is asked for reaches the packed rows.
DROP VIEW IF EXISTS entity_interval;
CREATE VIEW entity_interval AS SELECT ts, minutes, entity_id, carrier_id, quantity, bought, gross, assumed, estimated FROM (
  SELECT i.ts, i.minutes, s.entity AS entity_id, c.carrier AS carrier_id, SUM(i.quantity * s.sign) OVER same AS quantity, SUM(i.quantity * s.bought) OVER same AS bought,
    SUM(i.quantity * abs(s.sign)) OVER same AS gross, SUM(i.assumed * abs(s.sign)) OVER same AS assumed, SUM(i.estimated * abs(s.sign)) OVER same AS estimated,
    row_number() OVER same AS nth
  FROM every_interval i JOIN channel_row c ON c.id = i.channel JOIN share_row s ON s.channel = i.channel
  WINDOW same AS (PARTITION BY i.ts, i.minutes, s.entity, c.carrier))
WHERE nth = 1;

DROP VIEW IF EXISTS energy_interval;
CREATE VIEW energy_interval AS
SELECT i.ts,
  strftime('%Y-%m-%dT%H:%M:%SZ', i.ts / 1000, 'unixepoch') AS ts_utc,
  strftime('%Y-%m-%dT%H:%M:%S', i.ts / 1000 + (SELECT offset_s FROM tz_offset WHERE from_ts <= i.ts ORDER BY from_ts DESC LIMIT 1), 'unixepoch') AS ts_local,
  (SELECT value FROM meta WHERE key = 'zone') AS zone, e.entity, k.carrier, i.minutes, i.quantity / k.per_unit AS quantity, k.unit,
  i.quantity * k.kwh_per_unit / k.per_unit AS kwh,
  i.quantity * f.coal_calorific_mg_per_unit / 1e12 AS tce_calorific, i.quantity * f.coal_primary_mg_per_unit / 1e12 AS tce_primary,
  CASE WHEN i.gross <> 0 THEN 1.0 - 1.0 * (i.assumed + i.estimated) / i.gross END AS measured_share
FROM entity_interval i JOIN whole_entity e ON e.id = i.entity_id JOIN carrier_row k ON k.id = i.carrier_id
LEFT JOIN factor_use_row f ON f.carrier = i.carrier_id AND f.from_ts <= i.ts AND i.ts < f.to_ts AND f.recorded_to IS NULL;

DROP VIEW IF EXISTS carbon_interval;
CREATE VIEW carbon_interval AS
SELECT i.ts,
  strftime('%Y-%m-%dT%H:%M:%SZ', i.ts / 1000, 'unixepoch') AS ts_utc,
  strftime('%Y-%m-%dT%H:%M:%S', i.ts / 1000 + (SELECT offset_s FROM tz_offset WHERE from_ts <= i.ts ORDER BY from_ts DESC LIMIT 1), 'unixepoch') AS ts_local,
  (SELECT value FROM meta WHERE key = 'zone') AS zone, e.entity, k.carrier, i.minutes, CASE k.carrier WHEN 'natural_gas' THEN 1 ELSE 2 END AS scope,
  'location' AS method, i.bought * f.mg_per_unit / 1e9 AS kg_co2e, f.tier AS factor_tier,
  CASE WHEN i.gross <> 0 THEN 1.0 - 1.0 * (i.assumed + i.estimated) / i.gross END AS measured_share
FROM entity_interval i JOIN whole_entity e ON e.id = i.entity_id JOIN carrier_row k ON k.id = i.carrier_id
JOIN factor_use_row f ON f.carrier = i.carrier_id AND f.from_ts <= i.ts AND i.ts < f.to_ts AND f.recorded_to IS NULL AND f.mg_per_unit IS NOT NULL;

-- cny is nothing where no price holds, never 0. quantity is what is paid for: own generation is not.
DROP VIEW IF EXISTS cost_interval;
CREATE VIEW cost_interval AS
SELECT i.ts,
  strftime('%Y-%m-%dT%H:%M:%SZ', i.ts / 1000, 'unixepoch') AS ts_utc,
  strftime('%Y-%m-%dT%H:%M:%S', i.ts / 1000 + (SELECT offset_s FROM tz_offset WHERE from_ts <= i.ts ORDER BY from_ts DESC LIMIT 1), 'unixepoch') AS ts_local,
  (SELECT value FROM meta WHERE key = 'zone') AS zone, e.entity, k.carrier, i.minutes,
  CASE p.band WHEN 0 THEN 'sharp' WHEN 1 THEN 'peak' WHEN 2 THEN 'flat' WHEN 3 THEN 'valley' WHEN 4 THEN 'deep_valley' ELSE 'unpriced' END AS band,
  i.bought / k.per_unit AS quantity, k.unit, i.bought * p.ucny_per_unit / 1e9 AS cny, p.tariff,
  CASE WHEN i.gross <> 0 THEN 1.0 - 1.0 * (i.assumed + i.estimated) / i.gross END AS measured_share, p.to_ts < i.ts + i.minutes * 60000 AS spans_bands
FROM entity_interval i JOIN whole_entity e ON e.id = i.entity_id JOIN carrier_row k ON k.id = i.carrier_id
CROSS JOIN price_row p ON p.carrier = i.carrier_id AND p.from_ts > i.ts - 90000000 AND p.from_ts <= i.ts AND i.ts < p.to_ts AND p.recorded_to IS NULL;

-- By local hour. Prices are kept day by day, so one that holds began less than 25 hours before.
DROP VIEW IF EXISTS cost_by_hour;
CREATE VIEW cost_by_hour AS
SELECT e.kind IN ('node_residual', 'virtual_meter') AS part, x.ts,
  strftime('%Y-%m-%dT%H:%M:%SZ', x.ts / 1000, 'unixepoch') AS ts_utc,
  strftime('%Y-%m-%dT%H:%M:%S', x.ts / 1000 + (SELECT offset_s FROM tz_offset WHERE from_ts <= x.ts ORDER BY from_ts DESC LIMIT 1), 'unixepoch') AS ts_local,
  (SELECT value FROM meta WHERE key = 'zone') AS zone, e.entity, k.carrier,
  CASE x.band WHEN 0 THEN 'sharp' WHEN 1 THEN 'peak' WHEN 2 THEN 'flat' WHEN 3 THEN 'valley' WHEN 4 THEN 'deep_valley' ELSE 'unpriced' END AS band,
  x.bought / k.per_unit AS quantity, k.unit, x.ncny / 1e9 AS cny, x.tariff,
  CASE WHEN x.gross <> 0 THEN 1.0 - 1.0 * x.unmeasured / x.gross END AS measured_share
FROM (
  SELECT i.ts - (i.ts + 1000 * (SELECT offset_s FROM tz_offset WHERE from_ts <= i.ts ORDER BY from_ts DESC LIMIT 1)) % 3600000 AS ts, i.entity_id, i.carrier_id, p.band,
    SUM(i.bought) AS bought, SUM(i.bought * p.ucny_per_unit) AS ncny, SUM(i.gross) AS gross, SUM(i.assumed + i.estimated) AS unmeasured, MAX(p.tariff) AS tariff
  FROM entity_interval i
  CROSS JOIN price_row p ON p.carrier = i.carrier_id AND p.from_ts > i.ts - 90000000 AND p.from_ts <= i.ts AND i.ts < p.to_ts AND p.recorded_to IS NULL
  GROUP BY 1, 2, 3, 4) x
JOIN entity_row e ON e.id = x.entity_id JOIN carrier_row k ON k.id = x.carrier_id;
DROP VIEW IF EXISTS cost;
CREATE VIEW cost AS SELECT ts, ts_utc, ts_local, zone, entity, carrier, band, quantity, unit, cny, tariff, measured_share FROM cost_by_hour WHERE NOT part;
DROP VIEW IF EXISTS cost_part;
CREATE VIEW cost_part AS SELECT ts, ts_utc, ts_local, zone, entity, carrier, band, quantity, unit, cny, tariff, measured_share FROM cost_by_hour WHERE part;

DROP VIEW IF EXISTS cost_day;
CREATE VIEW cost_day AS
SELECT r.ts,
  strftime('%Y-%m-%dT%H:%M:%SZ', r.ts / 1000, 'unixepoch') AS ts_utc,
  strftime('%Y-%m-%dT%H:%M:%S', r.ts / 1000 + (SELECT offset_s FROM tz_offset WHERE from_ts <= r.ts ORDER BY from_ts DESC LIMIT 1), 'unixepoch') AS ts_local,
  (SELECT value FROM meta WHERE key = 'zone') AS zone, e.entity, k.carrier,
  CASE r.band WHEN 0 THEN 'sharp' WHEN 1 THEN 'peak' WHEN 2 THEN 'flat' WHEN 3 THEN 'valley' WHEN 4 THEN 'deep_valley' ELSE 'unpriced' END AS band,
  r.bought / k.per_unit AS quantity, k.unit, CASE WHEN r.band < 5 THEN r.cost_ncny / 1e9 END AS cny,
  CASE WHEN r.gross <> 0 THEN 1.0 - 1.0 * (r.assumed + r.estimated) / r.gross END AS measured_share,
  CASE WHEN r.gross <> 0 THEN 1.0 * r.across / r.gross END AS spans_bands_share
FROM cost_row r JOIN whole_entity e ON e.id = r.entity JOIN carrier_row k ON k.id = r.carrier;

DROP VIEW IF EXISTS cost_month;
CREATE VIEW cost_month AS
SELECT MIN(ts) AS ts, MIN(ts_utc) AS ts_utc, substr(ts_local, 1, 7) || '-01T00:00:00' AS ts_local, zone, entity, carrier, band, SUM(quantity) AS quantity, unit,
  SUM(cny) AS cny
FROM cost_day GROUP BY substr(ts_local, 1, 7), zone, entity, carrier, band;

DROP VIEW IF EXISTS cost_year;
CREATE VIEW cost_year AS
SELECT MIN(ts) AS ts, MIN(ts_utc) AS ts_utc, substr(ts_local, 1, 4) || '-01-01T00:00:00' AS ts_local, zone, entity, carrier, band, SUM(quantity) AS quantity, unit,
  SUM(cny) AS cny
FROM cost_day GROUP BY substr(ts_local, 1, 4), zone, entity, carrier, band;

DROP VIEW IF EXISTS energy_year;
CREATE VIEW energy_year AS
SELECT MIN(ts) AS ts, MIN(ts_utc) AS ts_utc, substr(ts_local, 1, 4) || '-01-01T00:00:00' AS ts_local, zone, entity, carrier, SUM(quantity) AS quantity, unit,
  SUM(kwh) AS kwh, SUM(tce_calorific) AS tce_calorific, SUM(tce_primary) AS tce_primary
FROM energy_month GROUP BY substr(ts_local, 1, 4), zone, entity, carrier;

DROP VIEW IF EXISTS carbon_year;
CREATE VIEW carbon_year AS
SELECT MIN(ts) AS ts, MIN(ts_utc) AS ts_utc, substr(ts_local, 1, 4) || '-01-01T00:00:00' AS ts_local, zone, entity, carrier, scope, method,
  SUM(kg_co2e) AS kg_co2e, factor_tier
FROM carbon_month GROUP BY substr(ts_local, 1, 4), zone, entity, carrier, scope, method, factor_tier;
