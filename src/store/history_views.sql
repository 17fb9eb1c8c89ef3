-- Rows and packed rows as one, on this program's own connections: they know `unpacked` (store/history.rs). Made for each connection, nothing here is in the file.
-- Both sides of a union have the same affinities, or SQLite does not look through it: {reading} and {interval} are typed as the tables' columns.
CREATE TEMP VIEW packed_reading AS SELECT {reading}, p.block, p.grp FROM packed_row p CROSS JOIN generate_series(0, p.readings - 1) s;
CREATE TEMP VIEW packed_interval AS SELECT {interval}, p.block, p.grp FROM packed_row p CROSS JOIN generate_series(0, p.intervals - 1) s;

CREATE TEMP VIEW every_reading AS
SELECT ts, channel, value, seq, verdict, energy, flow, serial, g1, g2, g3, g4, block, grp FROM packed_reading
UNION ALL SELECT ts, channel, +value, seq, verdict, energy, flow, serial, g1, g2, g3, g4, CAST(ts / 7200000 AS INTEGER), CAST(channel / 32 AS INTEGER) FROM reading_row;

CREATE TEMP VIEW every_interval AS
SELECT ts, channel, minutes, quantity, assumed, estimated, parts, recorded_from, block, grp FROM packed_interval
UNION ALL SELECT ts, channel, minutes, quantity, assumed, estimated, parts, recorded_from, CAST(ts / 7200000 AS INTEGER), CAST(channel / 32 AS INTEGER) FROM interval_row;

-- First and last moments; a block that has none of a kind is passed over.
CREATE TEMP VIEW reading_range AS SELECT MIN(ts) AS first, MAX(ts) AS last FROM (
  SELECT (SELECT MIN(ts) FROM reading_row) AS ts UNION ALL SELECT (SELECT MAX(ts) FROM reading_row)
  UNION ALL SELECT (SELECT MIN(ts) FROM packed_reading WHERE block = (SELECT MIN(block) FROM packed_row WHERE readings > 0))
  UNION ALL SELECT (SELECT MAX(ts) FROM packed_reading WHERE block = (SELECT MAX(block) FROM packed_row WHERE readings > 0)));
CREATE TEMP VIEW interval_range AS SELECT MIN(ts) AS first, MAX(ts) AS last FROM (
  SELECT (SELECT MIN(ts) FROM interval_row) AS ts UNION ALL SELECT (SELECT MAX(ts) FROM interval_row)
  UNION ALL SELECT (SELECT MIN(ts) FROM packed_interval WHERE block = (SELECT MIN(block) FROM packed_row WHERE intervals > 0))
  UNION ALL SELECT (SELECT MAX(ts) FROM packed_interval WHERE block = (SELECT MAX(block) FROM packed_row WHERE intervals > 0)));
