-- Work that waits to be done: rows, because they come and go (docs/decisions/0016-the-queue-is-rows.md).

-- What is pending. Numbers are given out once, whatever leaves. `at_ms` is when a delay or a lease
-- ends; what waits for other items keeps there before when it is not to be given out.
CREATE TABLE work_items (
    no           INTEGER PRIMARY KEY,
    queue        TEXT NOT NULL,
    state        INTEGER NOT NULL,  -- 0 ready, 1 delayed, 2 waiting for others, 3 claimed
    priority     INTEGER NOT NULL,
    turn         INTEGER NOT NULL,  -- when it is its subject's turn, among the ready of its priority
    at_ms        INTEGER NOT NULL,
    claims       INTEGER NOT NULL,  -- how often it was given out, ever
    attempts     INTEGER NOT NULL,  -- how often since it was last taken from dead letters
    max_attempts INTEGER NOT NULL,
    waits        INTEGER NOT NULL,  -- for how many others
    awaited      INTEGER NOT NULL,  -- whether others wait for it
    enqueued_ms  INTEGER NOT NULL,
    ttl_ms       INTEGER,
    expires_ms   INTEGER,
    subject      TEXT NOT NULL,
    key          TEXT NOT NULL,
    error        TEXT NOT NULL,     -- of the last attempt
    payload      BLOB NOT NULL
) STRICT;

-- The order in which items are given out; and what counting them reads.
CREATE INDEX work_by_turn ON work_items (queue, state, priority DESC, turn);
CREATE INDEX work_by_time ON work_items (at_ms) WHERE state IN (1, 3);
CREATE INDEX work_by_end ON work_items (expires_ms) WHERE expires_ms IS NOT NULL AND state <> 3;

-- Who waits for what. Rows go when what is waited for is confirmed or dropped.
CREATE TABLE work_waits (
    item   INTEGER NOT NULL,
    waiter INTEGER NOT NULL,
    PRIMARY KEY (item, waiter)
) STRICT, WITHOUT ROWID;

CREATE INDEX work_waits_by_waiter ON work_waits (waiter);

-- What is not tried again by itself, with all it needs to be.
CREATE TABLE work_dead (
    no           INTEGER PRIMARY KEY,
    queue        TEXT NOT NULL,
    died_ms      INTEGER NOT NULL,
    reason       TEXT NOT NULL,
    priority     INTEGER NOT NULL,
    claims       INTEGER NOT NULL,
    attempts     INTEGER NOT NULL,
    max_attempts INTEGER NOT NULL,
    waits        INTEGER NOT NULL,
    awaited      INTEGER NOT NULL,
    enqueued_ms  INTEGER NOT NULL,
    ttl_ms       INTEGER,
    subject      TEXT NOT NULL,
    key          TEXT NOT NULL,
    error        TEXT NOT NULL,
    payload      BLOB NOT NULL
) STRICT;

CREATE INDEX work_dead_by_queue ON work_dead (queue, no);

-- The client's own names of items: one that is known is not enqueued again, though it may be done.
CREATE TABLE work_keys (
    queue TEXT NOT NULL,
    key   TEXT NOT NULL,
    no    INTEGER NOT NULL,
    PRIMARY KEY (queue, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX work_keys_by_no ON work_keys (no);

INSERT INTO state (key, value) VALUES ('next_work_no', 1);
