-- Rows and packed rows as one, on this program's own connections: they know `unpacked` (store/history.rs). Made for each connection, nothing here is in the file.
-- {reading} and {interval} are a chunk's columns at a moment of packed_moment, {uneven} those of a reading by its number, {reading_row} and {interval_row} the
-- same of a table. All sides of a union have the same affinities, or SQLite does not look through it: hence the casts, and a plus that takes one away. Moments
-- are looked for behind their chunk (two pluses again: no other order has an index), so that each chunk is opened once. Rows come first: who wants a single one
-- seldom needs a chunk.
CREATE TEMP VIEW packed_reading AS
SELECT p.channel, m.ts, {reading}, p.day AS block FROM packed_row p JOIN packed_moment m ON m.day = +p.day
  WHERE p.readings > 0 AND +p.uneven = 0 AND unpacked(p.id, p.bytes, m.ts, 0) IS NOT NULL
UNION ALL SELECT p.channel, {uneven}, p.day FROM packed_row p JOIN generate_series(0, p.readings - 1) s WHERE +p.uneven = 1;
CREATE TEMP VIEW packed_interval AS
SELECT p.channel, m.ts, {interval}, p.day AS block FROM packed_row p JOIN packed_moment m ON m.day = +p.day
  WHERE p.intervals > 0 AND unpacked(p.id, p.bytes, m.ts, 11) IS NOT NULL;

CREATE TEMP VIEW every_reading AS
SELECT channel, ts, {reading_row}, CAST(ts / 86400000 AS INTEGER) AS block FROM reading_row
UNION ALL SELECT p.channel, m.ts, {reading}, p.day FROM packed_row p JOIN packed_moment m ON m.day = +p.day
  WHERE p.readings > 0 AND +p.uneven = 0 AND unpacked(p.id, p.bytes, m.ts, 0) IS NOT NULL
UNION ALL SELECT p.channel, {uneven}, p.day FROM packed_row p JOIN generate_series(0, p.readings - 1) s WHERE +p.uneven = 1;

CREATE TEMP VIEW every_interval AS
SELECT channel, ts, {interval_row}, CAST(ts / 86400000 AS INTEGER) AS block FROM interval_row
UNION ALL SELECT p.channel, m.ts, {interval}, p.day FROM packed_row p JOIN packed_moment m ON m.day = +p.day
  WHERE p.intervals > 0 AND unpacked(p.id, p.bytes, m.ts, 11) IS NOT NULL;

-- First and last moments.
CREATE TEMP VIEW reading_range AS SELECT MIN(ts) AS first, MAX(ts) AS last FROM (
  SELECT (SELECT MIN(ts) FROM reading_row) AS ts UNION ALL SELECT (SELECT MAX(ts) FROM reading_row)
  UNION ALL SELECT (SELECT MIN(ts) FROM packed_reading WHERE block = (SELECT MIN(day) FROM packed_row WHERE readings > 0))
  UNION ALL SELECT (SELECT MAX(ts) FROM packed_reading WHERE block = (SELECT MAX(day) FROM packed_row WHERE readings > 0)));
CREATE TEMP VIEW interval_range AS SELECT MIN(ts) AS first, MAX(ts) AS last FROM (
  SELECT (SELECT MIN(ts) FROM interval_row) AS ts UNION ALL SELECT (SELECT MAX(ts) FROM interval_row)
  UNION ALL SELECT (SELECT MIN(ts) FROM packed_interval WHERE block = (SELECT MIN(day) FROM packed_row WHERE intervals > 0))
  UNION ALL SELECT (SELECT MAX(ts) FROM packed_interval WHERE block = (SELECT MAX(day) FROM packed_row WHERE intervals > 0)));
