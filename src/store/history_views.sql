-- Rows and packed rows as one, on this program's own connections: they know `unpacked` (store/history.rs). Made for each connection, nothing here is in the file.
-- {reading} and {interval} are the columns of a chunk, {reading_row} and {interval_row} the same of a table. Both sides of a union have the same affinities,
-- or SQLite does not look through it: hence the casts, and a plus that takes one away.
CREATE TEMP VIEW packed_reading AS SELECT {reading}, p.block, p.grp FROM packed_row p JOIN generate_series(0, p.readings - 1) s;
CREATE TEMP VIEW packed_interval AS SELECT {interval}, p.block, p.grp FROM packed_row p JOIN generate_series(0, p.intervals - 1) s;

CREATE TEMP VIEW every_reading AS
SELECT {reading}, p.block, p.grp FROM packed_row p JOIN generate_series(0, p.readings - 1) s
UNION ALL SELECT {reading_row}, CAST(ts / 10800000 AS INTEGER), CAST(channel / 48 AS INTEGER) FROM reading_row;

CREATE TEMP VIEW every_interval AS
SELECT {interval}, p.block, p.grp FROM packed_row p JOIN generate_series(0, p.intervals - 1) s
UNION ALL SELECT {interval_row}, CAST(ts / 10800000 AS INTEGER), CAST(channel / 48 AS INTEGER) FROM interval_row;

-- First and last moments; a block that has none of a kind is passed over.
CREATE TEMP VIEW reading_range AS SELECT MIN(ts) AS first, MAX(ts) AS last FROM (
  SELECT (SELECT MIN(ts) FROM reading_row) AS ts UNION ALL SELECT (SELECT MAX(ts) FROM reading_row)
  UNION ALL SELECT (SELECT MIN(ts) FROM packed_reading WHERE block = (SELECT MIN(block) FROM packed_row WHERE readings > 0))
  UNION ALL SELECT (SELECT MAX(ts) FROM packed_reading WHERE block = (SELECT MAX(block) FROM packed_row WHERE readings > 0)));
CREATE TEMP VIEW interval_range AS SELECT MIN(ts) AS first, MAX(ts) AS last FROM (
  SELECT (SELECT MIN(ts) FROM interval_row) AS ts UNION ALL SELECT (SELECT MAX(ts) FROM interval_row)
  UNION ALL SELECT (SELECT MIN(ts) FROM packed_interval WHERE block = (SELECT MIN(block) FROM packed_row WHERE intervals > 0))
  UNION ALL SELECT (SELECT MAX(ts) FROM packed_interval WHERE block = (SELECT MAX(block) FROM packed_row WHERE intervals > 0)));
