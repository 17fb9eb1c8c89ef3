-- Ledger units in a unit of a register's display, mantissa × 10^-decimals, as its readings were taken. Made when it is missing: it came later than the rest.
CREATE TABLE IF NOT EXISTS scale_row (channel INTEGER PRIMARY KEY, mantissa INTEGER NOT NULL, decimals INTEGER NOT NULL);
