-- History in little space: readings and intervals of one channel and UTC day (ts / 86,400,000), compressed (store/chunk.rs). What is here is not in reading_row
-- or interval_row: of a channel's day either all rows are packed or none. An id is never used twice. uneven: not all readings are on whole minutes.
CREATE TABLE packed_row (
  id INTEGER PRIMARY KEY AUTOINCREMENT, channel INTEGER NOT NULL, day INTEGER NOT NULL, readings INTEGER NOT NULL, intervals INTEGER NOT NULL,
  uneven INTEGER NOT NULL, bytes BLOB NOT NULL, UNIQUE (channel, day));

-- Moments on whole minutes at which anything may be packed: by them a range of time finds its rows. One too many does no harm.
CREATE TABLE packed_moment (day INTEGER NOT NULL, ts INTEGER NOT NULL, PRIMARY KEY (day, ts)) WITHOUT ROWID;

-- What SQLite is to think of their sizes: a channel has few chunks, and a day few moments. What is left as rows lies at few moments too, so one channel's rows
-- are sought moment by moment, not among all channels'.
ANALYZE packed_row;
DELETE FROM sqlite_stat1 WHERE tbl IN ('packed_row', 'packed_moment', 'reading_row', 'interval_row');
INSERT INTO sqlite_stat1 VALUES ('packed_row', 'sqlite_autoindex_packed_row_1', '300000 30 1'), ('packed_moment', 'packed_moment', '3000 100 1'),
  ('reading_row', 'reading_row', '2000000 10000 1'), ('interval_row', 'interval_row', '2000000 10000 1');
ANALYZE sqlite_schema;
