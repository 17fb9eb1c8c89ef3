-- History in little space: readings and intervals of one block of time (ts / 7,200,000: two hours) and one group of channels (channel / 32), compressed
-- (store/chunk.rs). What is here is not in reading_row or interval_row: of a block and group either all rows are packed or none. An id is never used twice.
CREATE TABLE packed_row (
  id INTEGER PRIMARY KEY AUTOINCREMENT, block INTEGER NOT NULL, grp INTEGER NOT NULL, readings INTEGER NOT NULL, intervals INTEGER NOT NULL, bytes BLOB NOT NULL,
  UNIQUE (block, grp));
CREATE INDEX packed_of_group ON packed_row (grp, block);
