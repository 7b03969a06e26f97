-- Version 2: logs whose items are changed in place, and sessions that begin as others did.

-- What was last stored of each item, by a hash of its name: what is the same is not stored again,
-- what changed supersedes the event `seq`.
CREATE TABLE items (
    session_no        INTEGER NOT NULL,
    key               INTEGER NOT NULL,
    digest            INTEGER NOT NULL,
    seq               INTEGER NOT NULL,
    turn              INTEGER NOT NULL,
    version           INTEGER NOT NULL,
    usage_input       INTEGER NOT NULL,
    usage_output      INTEGER NOT NULL,
    usage_cache_read  INTEGER NOT NULL,
    usage_cache_write INTEGER NOT NULL,
    PRIMARY KEY (session_no, key)
) STRICT, WITHOUT ROWID;

-- The events of other sessions that a session begins with: they are stored there, not twice.
CREATE TABLE lineage (
    session_no INTEGER NOT NULL,
    no         INTEGER NOT NULL,
    source     TEXT NOT NULL,
    first_seq  INTEGER NOT NULL,
    end_seq    INTEGER NOT NULL,
    PRIMARY KEY (session_no, no)
) STRICT, WITHOUT ROWID;

ALTER TABLE sessions ADD COLUMN forked_from TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN inherited INTEGER NOT NULL DEFAULT 0;

-- What was stored before begins with copies; of whom, its first record tells.
UPDATE sessions AS s SET forked_from = coalesce((
    SELECT o.id FROM sessions AS o
    WHERE o.first_uuid = s.first_uuid AND o.first_uuid <> '' AND o.no <> s.no
      AND (o.started_at, o.id) < (s.started_at, s.id)
    ORDER BY o.started_at, o.id LIMIT 1
), '');

-- Which sessions refer to a payload, and since when it is not there any more.
ALTER TABLE blobs ADD COLUMN dropped_at TEXT NOT NULL DEFAULT '';

CREATE TABLE blob_uses (
    digest     TEXT NOT NULL,
    session_no INTEGER NOT NULL,
    PRIMARY KEY (digest, session_no)
) STRICT, WITHOUT ROWID;
