-- History in little space: readings and intervals of one block of time (ts / 10,800,000: three hours) and one group of channels (channel / 48), compressed
-- (store/chunk.rs). What is here is not in reading_row or interval_row: of a block and group either all rows are packed or none. An id is never used twice.
CREATE TABLE packed_row (
  id INTEGER PRIMARY KEY AUTOINCREMENT, block INTEGER NOT NULL, grp INTEGER NOT NULL, readings INTEGER NOT NULL, intervals INTEGER NOT NULL, bytes BLOB NOT NULL,
  UNIQUE (block, grp));
CREATE INDEX packed_of_group ON packed_row (grp, block);

-- What SQLite is to think of its size: a group has many chunks, a block few. Without it a range of time would be read channel by channel.
ANALYZE packed_row;
DELETE FROM sqlite_stat1 WHERE tbl = 'packed_row';
INSERT INTO sqlite_stat1 VALUES ('packed_row', 'packed_of_group', '100000 10000 1'), ('packed_row', 'sqlite_autoindex_packed_row_1', '100000 10 1');
ANALYZE sqlite_schema;
