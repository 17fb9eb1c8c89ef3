-- What InfluxDB has not got yet. Written by the engine's commits while an outbox is configured; emptied by the sender once the server has it.

-- Points as they were committed: lines of line protocol, compressed with LZ4, the length of the text in front.
CREATE TABLE outbox_row (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, lines INTEGER NOT NULL, body BLOB NOT NULL);

-- Hours of entities that changed; what they are is read when they are sent. `stamp` is the commit's, so that a change after the sending stays.
CREATE TABLE outbox_key (
  ts INTEGER NOT NULL, entity INTEGER NOT NULL, carrier INTEGER NOT NULL, stamp INTEGER NOT NULL, PRIMARY KEY (ts, entity, carrier)) WITHOUT ROWID;

-- Readings that came late: what the ledger holds of that moment is read when it is sent.
CREATE TABLE outbox_reading (ts INTEGER NOT NULL, meter TEXT NOT NULL, stamp INTEGER NOT NULL, PRIMARY KEY (ts, meter)) WITHOUT ROWID;

-- What the server refused for good, with its answer.
CREATE TABLE outbox_letter (
  id INTEGER PRIMARY KEY, at INTEGER NOT NULL, status INTEGER NOT NULL, detail TEXT NOT NULL, lines INTEGER NOT NULL, body BLOB NOT NULL);
