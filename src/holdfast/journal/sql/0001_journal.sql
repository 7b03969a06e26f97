-- The journal, version 1.
--
-- Events are never rows: a row is a run of events, sealed (blocks) or not yet (tail). Integers and
-- 64-256 KB blobs go in at 304 k events/s where one row per event took 185 k.

CREATE TABLE sessions (
    no                INTEGER PRIMARY KEY,
    id                TEXT NOT NULL UNIQUE,
    agent             TEXT NOT NULL,
    agent_session_id  TEXT NOT NULL,
    parent            TEXT NOT NULL,
    first_uuid        TEXT NOT NULL,
    project           TEXT NOT NULL,
    title             TEXT NOT NULL,
    title_rank        INTEGER NOT NULL,
    started_at        TEXT NOT NULL,
    updated_at        TEXT NOT NULL,
    model             TEXT NOT NULL,
    cwd               TEXT NOT NULL,
    branch            TEXT NOT NULL,
    agent_version     TEXT NOT NULL,
    events            INTEGER NOT NULL DEFAULT 0,
    raw_bytes         INTEGER NOT NULL DEFAULT 0,
    stored_bytes      INTEGER NOT NULL DEFAULT 0,
    tail_bytes        INTEGER NOT NULL DEFAULT 0,
    usage_input       INTEGER NOT NULL DEFAULT 0,
    usage_output      INTEGER NOT NULL DEFAULT 0,
    usage_cache_read  INTEGER NOT NULL DEFAULT 0,
    usage_cache_write INTEGER NOT NULL DEFAULT 0,
    UNIQUE (agent, agent_session_id)
) STRICT;

CREATE INDEX sessions_by_update ON sessions (updated_at);
CREATE INDEX sessions_by_first_uuid ON sessions (first_uuid) WHERE first_uuid <> '';

-- `pos` is the global position of the first event of the run.
CREATE TABLE blocks (
    pos        INTEGER PRIMARY KEY,
    session_no INTEGER NOT NULL,
    first_seq  INTEGER NOT NULL,
    count      INTEGER NOT NULL,
    data       BLOB NOT NULL
) STRICT;

CREATE UNIQUE INDEX blocks_by_session ON blocks (session_no, first_seq);

CREATE TABLE tail (
    pos        INTEGER PRIMARY KEY,
    session_no INTEGER NOT NULL,
    first_seq  INTEGER NOT NULL,
    count      INTEGER NOT NULL,
    lines      BLOB NOT NULL
) STRICT;

CREATE UNIQUE INDEX tail_by_session ON tail (session_no, first_seq);

-- The global order: which events stand at which positions. Neighbours are merged.
CREATE TABLE runs (
    pos        INTEGER PRIMARY KEY,
    session_no INTEGER NOT NULL,
    first_seq  INTEGER NOT NULL,
    count      INTEGER NOT NULL
) STRICT;

CREATE INDEX runs_by_session ON runs (session_no);

CREATE TABLE files (
    no           INTEGER PRIMARY KEY,
    agent        TEXT NOT NULL,
    path         TEXT NOT NULL,
    session      TEXT NOT NULL,
    origin       INTEGER NOT NULL,
    offset       INTEGER NOT NULL,
    size         INTEGER NOT NULL,
    mtime_ns     INTEGER NOT NULL,
    parsed       INTEGER NOT NULL,
    skipped      INTEGER NOT NULL,
    unknown      INTEGER NOT NULL,
    bad          INTEGER NOT NULL,
    open_verdict TEXT,
    head_bytes   INTEGER NOT NULL,
    head         BLOB NOT NULL,
    edge         BLOB NOT NULL,
    state        BLOB NOT NULL,
    compare_until INTEGER NOT NULL,
    gone_at      TEXT NOT NULL,
    error        TEXT NOT NULL,
    UNIQUE (agent, path)
) STRICT;

CREATE INDEX files_by_session ON files (session);

CREATE TABLE unknown_types (
    agent   TEXT NOT NULL,
    type    TEXT NOT NULL,
    records INTEGER NOT NULL,
    bytes   INTEGER NOT NULL,
    PRIMARY KEY (agent, type)
) STRICT, WITHOUT ROWID;

CREATE TABLE blobs (
    digest       TEXT PRIMARY KEY,
    bytes        INTEGER NOT NULL,
    stored_bytes INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
    no     INTEGER PRIMARY KEY,
    at     TEXT NOT NULL,
    action TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;

-- next_position: the position that the next event gets. indexed_position: all before it are in words.
CREATE TABLE state (
    key   TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO state VALUES ('next_position', 1), ('indexed_position', 1);

-- rowid is the global position; the columns are the ones of index.COLUMNS.
CREATE VIRTUAL TABLE words USING fts5 (
    user, assistant, thinking, tool, system,
    content = '', contentless_delete = 1,
    tokenize = 'unicode61 remove_diacritics 2'
);
