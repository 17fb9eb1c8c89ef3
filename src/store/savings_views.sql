DROP VIEW IF EXISTS baseline;
CREATE VIEW baseline AS
SELECT b.id, (SELECT value FROM meta WHERE key = 'zone') AS zone, e.entity, k.carrier,
  strftime('%Y-%m-%dT%H:%M:%SZ', b.from_ts / 1000, 'unixepoch') AS from_utc, strftime('%Y-%m-%dT%H:%M:%SZ', b.to_ts / 1000, 'unixepoch') AS to_utc,
  strftime('%Y-%m-%dT%H:%M:%SZ', b.as_of / 1000, 'unixepoch') AS as_of_utc, b.code_version, b.factor_year,
  json_extract(b.fitted, '$.provisional') AS provisional, json_extract(b.fitted, '$.quality.fitted.cv_rmse') AS cv_rmse,
  json_extract(b.fitted, '$.quality.fitted.nmbe') AS nmbe, json_extract(b.fitted, '$.quality.hours_used') AS hours_used,
  json_extract(b.fitted, '$.quality.hours_unmetered') + json_extract(b.fitted, '$.quality.hours_unexplained') AS hours_excluded,
  b.estimated_share, strftime('%Y-%m-%dT%H:%M:%SZ', b.ended / 1000, 'unixepoch') AS ended_utc, b.end_reason, b.fitted AS document
FROM baseline_row b JOIN entity_row e ON e.id = b.entity JOIN carrier_row k ON k.id = b.carrier;

-- Savings of each closed hour: metered is what the roll-ups say now, so late and corrected readings are in it.
-- Water has the columns of m3 and nothing in those of kWh, all else the other way round: the factors kwh and m3 are 1 or null.
DROP VIEW IF EXISTS saving;
CREATE VIEW saving AS
WITH closed AS (
  SELECT s.entity, c.carrier, MIN(COALESCE(l.ts, 0)) AS to_ts
  FROM share_row s JOIN channel_row c ON c.id = s.channel LEFT JOIN latest_row l ON l.channel = c.id
  WHERE c.direction = 'import' GROUP BY s.entity, c.carrier),
hourly AS (
  SELECT p.ts, b.entity, k.carrier, p.half_width_kwh AS half_width, r.quantity * b.kwh_per_unit AS metered, b.mg_co2e_per_unit, b.kwh_per_unit AS per_unit,
    b.carrier AS book, iif(k.carrier = 'water', NULL, 1.0) AS kwh, iif(k.carrier = 'water', 1.0, NULL) AS m3,
    p.baseline_kwh + COALESCE((SELECT SUM(a.kwh_per_hour) FROM adjustment_row a
      WHERE a.entity = b.entity AND a.carrier = b.carrier AND a.from_ts <= p.ts AND p.ts < a.to_ts), 0) AS baseline
  FROM saving_row p JOIN baseline_row b ON b.id = p.baseline AND b.ended IS NULL JOIN carrier_row k ON k.id = b.carrier
    JOIN closed ON closed.entity = b.entity AND closed.carrier = b.carrier AND p.ts + 3600000 <= closed.to_ts
    JOIN rollup_row r ON r.level = 1 AND r.ts = p.ts AND r.entity = b.entity AND r.carrier = b.carrier
  WHERE NOT EXISTS (SELECT 1 FROM adjustment_row a
    WHERE a.kwh_per_hour IS NULL AND a.entity = b.entity AND a.carrier = b.carrier AND a.from_ts <= p.ts AND p.ts < a.to_ts))
SELECT h.ts,
  strftime('%Y-%m-%dT%H:%M:%SZ', h.ts / 1000, 'unixepoch') AS ts_utc,
  strftime('%Y-%m-%dT%H:%M:%S', h.ts / 1000 + (SELECT offset_s FROM tz_offset WHERE from_ts <= h.ts ORDER BY from_ts DESC LIMIT 1), 'unixepoch') AS ts_local,
  (SELECT value FROM meta WHERE key = 'zone') AS zone, e.entity, h.carrier,
  h.baseline * h.kwh AS baseline_kwh, h.metered * h.kwh AS metered_kwh, (h.baseline - h.metered) * h.kwh AS saved_kwh,
  (h.baseline - h.metered) / h.per_unit * h.mg_co2e_per_unit / 1e9 AS saved_kg_co2e,
  (h.baseline - h.metered) / h.per_unit * p.ucny_per_unit / 1e9 AS saved_cny,
  (h.baseline - h.metered - h.half_width) * h.kwh AS low_kwh, (h.baseline - h.metered + h.half_width) * h.kwh AS high_kwh,
  h.baseline * h.m3 AS baseline_m3, h.metered * h.m3 AS metered_m3, (h.baseline - h.metered) * h.m3 AS saved_m3,
  (h.baseline - h.metered - h.half_width) * h.m3 AS low_m3, (h.baseline - h.metered + h.half_width) * h.m3 AS high_m3
FROM hourly h JOIN entity_row e ON e.id = h.entity
LEFT JOIN price_row p ON p.carrier = h.book AND p.from_ts <= h.ts AND h.ts < p.to_ts AND p.recorded_to IS NULL;
