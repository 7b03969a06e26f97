-- What programs append, and what is made of it.

-- The keys that writers gave their events: one that is known is not stored again. They are forgotten
-- by age, the events stay.
CREATE TABLE stream_keys (
    session_no INTEGER NOT NULL,
    key        TEXT NOT NULL,
    seq        INTEGER NOT NULL,
    stored_s   INTEGER NOT NULL,  -- since 1970
    PRIMARY KEY (session_no, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX stream_keys_by_age ON stream_keys (stored_s);

-- States that were made of events, so that a start need not read all of them again. `position` is the
-- first that is not in it. Each can be made anew from the events.
CREATE TABLE projections (
    name     TEXT PRIMARY KEY,
    position INTEGER NOT NULL,
    state    BLOB NOT NULL
) STRICT, WITHOUT ROWID;
