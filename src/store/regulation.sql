-- Regulation. Made when it is missing: it came later than the rest.

-- A command as it stands; times are the engine's. stage: regulation/desk.rs. A release has no value. taken: the
-- asset's clock when it accepted.
CREATE TABLE IF NOT EXISTS command_row (
  id TEXT PRIMARY KEY, asset TEXT NOT NULL, value REAL, issued INTEGER NOT NULL, until INTEGER NOT NULL, asker TEXT NOT NULL, reason TEXT NOT NULL,
  stage TEXT NOT NULL, cause TEXT, answered INTEGER, taken INTEGER) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS command_by_time ON command_row (issued);

-- Where each asset stands: the command it has, and what people said.
CREATE TABLE IF NOT EXISTS asset_row (
  asset TEXT PRIMARY KEY, command TEXT, changed INTEGER, hold_value REAL, hold_until INTEGER, mode TEXT, unanswered INTEGER) WITHOUT ROWID;

-- Who asked for what, why, with which outcome. hash: SHA-256 over the hash before and this row, see store/regulation.rs.
CREATE TABLE IF NOT EXISTS audit_row (
  id INTEGER PRIMARY KEY, at INTEGER NOT NULL, who TEXT NOT NULL, asset TEXT NOT NULL, what TEXT NOT NULL, why TEXT NOT NULL, outcome TEXT NOT NULL,
  hash TEXT NOT NULL);

DROP VIEW IF EXISTS command;
CREATE VIEW command AS
SELECT issued AS ts,
  strftime('%Y-%m-%dT%H:%M:%SZ', issued / 1000, 'unixepoch') AS ts_utc,
  strftime('%Y-%m-%dT%H:%M:%S', issued / 1000 + (SELECT offset_s FROM tz_offset WHERE from_ts <= issued ORDER BY from_ts DESC LIMIT 1), 'unixepoch') AS ts_local,
  (SELECT value FROM meta WHERE key = 'zone') AS zone, asset, CASE WHEN value IS NULL THEN 'release' ELSE 'set' END AS action, value, stage AS outcome,
  cause, asker, reason, id, strftime('%Y-%m-%dT%H:%M:%SZ', until / 1000, 'unixepoch') AS until_utc
FROM command_row;

DROP VIEW IF EXISTS audit;
CREATE VIEW audit AS
SELECT id, at AS ts,
  strftime('%Y-%m-%dT%H:%M:%SZ', at / 1000, 'unixepoch') AS ts_utc,
  strftime('%Y-%m-%dT%H:%M:%S', at / 1000 + (SELECT offset_s FROM tz_offset WHERE from_ts <= at ORDER BY from_ts DESC LIMIT 1), 'unixepoch') AS ts_local,
  (SELECT value FROM meta WHERE key = 'zone') AS zone, who, asset, what, why, outcome, hash
FROM audit_row;
