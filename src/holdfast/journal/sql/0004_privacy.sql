-- Privacy: what was taken out, and which logs are left alone.

-- How many parts of each kind the door and `redact` took out; kinds are few.
CREATE TABLE redactions (
    kind  TEXT PRIMARY KEY,
    count INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The project for which nothing of a log is kept.
ALTER TABLE files ADD COLUMN excluded TEXT NOT NULL DEFAULT '';
