-- Recordings, and the commands that asked for them.

CREATE TABLE recordings (
    no         INTEGER PRIMARY KEY,
    session    TEXT NOT NULL,
    path       TEXT NOT NULL,
    form       TEXT NOT NULL,
    state      TEXT NOT NULL,
    asked      TEXT NOT NULL,
    started_at TEXT NOT NULL,
    written_at TEXT NOT NULL,
    ended_at   TEXT NOT NULL,
    events     INTEGER NOT NULL,
    problem    TEXT NOT NULL,
    place      BLOB NOT NULL
) STRICT;

CREATE INDEX recordings_by_session ON recordings (session, no);
CREATE INDEX recordings_by_state ON recordings (state, no);

-- A command acts once, ever: its key stays, whatever becomes of the session and its log.
CREATE TABLE commands (
    no        INTEGER PRIMARY KEY,
    key       TEXT NOT NULL UNIQUE,
    session   TEXT NOT NULL,
    seq       INTEGER NOT NULL,
    at        TEXT NOT NULL,
    name      TEXT NOT NULL,
    text      TEXT NOT NULL,
    origin    TEXT NOT NULL,
    state     TEXT NOT NULL,
    outcome   TEXT NOT NULL,
    recording INTEGER
) STRICT;

CREATE INDEX commands_by_state ON commands (state, no);

-- first_run_ms: when this journal was first opened by a holdfast that knows commands; what was said
-- before never acts. commands_position: all before it was searched for commands.
INSERT INTO state
SELECT 'first_run_ms', CAST(unixepoch('subsec') * 1000 AS INTEGER)
UNION ALL
SELECT 'commands_position', value FROM state WHERE key = 'next_position';
