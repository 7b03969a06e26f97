-- Every statement of the SQLite journal, by name. The line after the name says what it is for.

-- name: upsert_session
-- Newer facts win, empty ones never do; titles by rank; project and first_uuid are where it began.
INSERT INTO sessions (
    id, agent, agent_session_id, parent, first_uuid, project, title, title_rank,
    started_at, updated_at, model, cwd, branch, agent_version, forked_from
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET
    parent        = iif(excluded.parent = '', parent, excluded.parent),
    forked_from   = iif(excluded.forked_from = '', forked_from, excluded.forked_from),
    first_uuid    = iif(first_uuid = '', excluded.first_uuid, first_uuid),
    project       = iif(project = '', excluded.project, project),
    title         = iif(excluded.title <> '' AND excluded.title_rank >= title_rank,
                        excluded.title, title),
    title_rank    = max(title_rank, excluded.title_rank),
    started_at    = iif(started_at = '' OR (excluded.started_at <> '' AND excluded.started_at < started_at),
                        excluded.started_at, started_at),
    updated_at    = max(updated_at, excluded.updated_at),
    model         = iif(excluded.model = '', model, excluded.model),
    cwd           = iif(excluded.cwd = '', cwd, excluded.cwd),
    branch        = iif(excluded.branch = '', branch, excluded.branch),
    agent_version = iif(excluded.agent_version = '', agent_version, excluded.agent_version)
RETURNING no, events, tail_bytes;

-- name: grow_session
-- After a batch: what it added.
UPDATE sessions SET
    events = events + ?, raw_bytes = raw_bytes + ?, stored_bytes = stored_bytes + ?, tail_bytes = ?,
    usage_input = usage_input + ?, usage_output = usage_output + ?,
    usage_cache_read = usage_cache_read + ?, usage_cache_write = usage_cache_write + ?
WHERE no = ?;

-- name: grow_stream
-- After an append: what it added.
UPDATE sessions SET
    events = events + ?, raw_bytes = raw_bytes + ?, stored_bytes = stored_bytes + ?, tail_bytes = ?
WHERE no = ?;

-- name: update_stream
-- The same with the time, which has an index.
UPDATE sessions SET
    events = events + ?, raw_bytes = raw_bytes + ?, stored_bytes = stored_bytes + ?, tail_bytes = ?,
    updated_at = max(updated_at, ?)
WHERE no = ?;

-- name: get_stream_key
-- Where the event of a key stands in its stream.
SELECT seq FROM stream_keys WHERE session_no = ? AND key = ?;

-- name: insert_stream_key
-- A key that is not to be stored again.
INSERT INTO stream_keys (session_no, key, seq, stored_s) VALUES (?, ?, ?, ?);

-- name: forget_stream_keys
-- Keys that were stored before a time.
DELETE FROM stream_keys WHERE stored_s < ?;

-- name: save_projection
-- What was made of events, and up to which.
INSERT INTO projections (name, position, state) VALUES (?, ?, ?)
ON CONFLICT (name) DO UPDATE SET position = excluded.position, state = excluded.state;

-- name: empty_projections
-- They may hold what is not to be kept any longer; where they stand is kept.
UPDATE projections SET state = x'';

-- name: get_projection
-- The same.
SELECT position, state FROM projections WHERE name = ?;

-- name: insert_block
-- A sealed run.
INSERT INTO blocks (pos, session_no, first_seq, count, data) VALUES (?, ?, ?, ?, ?);

-- name: insert_tail
-- A run that is not sealed yet.
INSERT INTO tail (pos, session_no, first_seq, count, lines) VALUES (?, ?, ?, ?, ?);

-- name: select_tail
-- The open tail of a session, to be sealed.
SELECT pos, first_seq, count, lines FROM tail WHERE session_no = ? ORDER BY first_seq;

-- name: delete_tail
-- The tail of a session, once it is a block.
DELETE FROM tail WHERE session_no = ?;

-- name: extend_run
-- The last run of the global order grows when the same session goes on.
UPDATE runs SET count = count + ?1
WHERE pos = (SELECT max(pos) FROM runs) AND session_no = ?2 AND first_seq + count = ?3;

-- name: insert_run
-- A new run of the global order.
INSERT INTO runs (pos, session_no, first_seq, count) VALUES (?, ?, ?, ?);

-- name: session_blocks
-- The sealed runs of a session.
SELECT pos, first_seq, count, data FROM blocks
WHERE session_no = ?1 AND first_seq > ?2 ORDER BY first_seq LIMIT 1;

-- name: session_facts
-- What is told of a session in words, behind whose it is.
SELECT no, agent, agent_session_id, project, title, model, cwd, branch, agent_version FROM sessions WHERE id = ?;

-- name: rewrite_facts
-- The same, clean.
UPDATE sessions SET
    project = ?, title = ?, model = ?, cwd = ?, branch = ?, agent_version = ?,
    raw_bytes = raw_bytes + ?, stored_bytes = stored_bytes + ?, tail_bytes = tail_bytes + ?
WHERE no = ?;

-- name: rewrite_block
-- A sealed run with other bytes.
UPDATE blocks SET data = ? WHERE pos = ?;

-- name: rewrite_tail
-- An open run with other lines.
UPDATE tail SET lines = ? WHERE pos = ?;

-- name: delete_words
-- An event leaves the index.
DELETE FROM words WHERE rowid = ?;

-- name: merge_words
-- One segment of what is left: deleted words are in none any more.
INSERT INTO words (words) VALUES ('optimize');

-- name: states_of_session
-- What the parsers of a session remember.
SELECT no, state, error FROM files WHERE session = ?;

-- name: rewrite_state
-- The same, clean.
UPDATE files SET state = ?, error = ? WHERE no = ?;

-- name: all_audit
-- Every audit record.
SELECT no, detail FROM audit ORDER BY no;

-- name: rewrite_audit
-- An audit record, clean.
UPDATE audit SET detail = ? WHERE no = ?;

-- name: all_commands
-- What every command said, and what became of it.
SELECT no, text, outcome FROM commands ORDER BY no;

-- name: rewrite_command
-- A command, clean.
UPDATE commands SET text = ?, outcome = ? WHERE no = ?;

-- name: all_recordings
-- What every recording holds in words, and its state.
SELECT no, state, path, problem, place FROM recordings ORDER BY no;

-- name: rewrite_recording
-- A recording, clean.
UPDATE recordings SET path = ?, problem = ?, place = ? WHERE no = ?;

-- name: delete_unknown_type
-- A name that goes by another one now.
DELETE FROM unknown_types WHERE agent = ? AND type = ?;

-- name: delete_blob
-- A payload that nothing refers to any more.
DELETE FROM blobs WHERE digest = ?;

-- name: set_state
-- One of the counters.
UPDATE state SET value = ? WHERE key = ?;

-- name: get_state
-- One of the counters.
SELECT value FROM state WHERE key = ?;

-- name: upsert_file
-- A source cursor.
INSERT INTO files (
    agent, path, session, origin, offset, size, mtime_ns, parsed, skipped, unknown, bad,
    open_verdict, head_bytes, head, edge, state, compare_until, gone_at, error, excluded
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (agent, path) DO UPDATE SET
    session = excluded.session, origin = excluded.origin, offset = excluded.offset,
    size = excluded.size, mtime_ns = excluded.mtime_ns, parsed = excluded.parsed,
    skipped = excluded.skipped, unknown = excluded.unknown, bad = excluded.bad,
    open_verdict = excluded.open_verdict, head_bytes = excluded.head_bytes,
    head = excluded.head, edge = excluded.edge, state = excluded.state,
    compare_until = excluded.compare_until,
    gone_at = excluded.gone_at, error = excluded.error, excluded = excluded.excluded;

-- name: add_redactions
-- What was taken out, by kind.
INSERT INTO redactions (kind, count) VALUES (?, ?)
ON CONFLICT (kind) DO UPDATE SET count = count + excluded.count;

-- name: list_redactions
-- The most frequent first.
SELECT kind, count FROM redactions ORDER BY count DESC, kind;

-- name: add_unknown_type
-- Counts of record types that no parser knows.
INSERT INTO unknown_types (agent, type, records, bytes) VALUES (?, ?, ?, ?)
ON CONFLICT (agent, type) DO UPDATE SET
    records = records + excluded.records, bytes = bytes + excluded.bytes;

-- name: insert_blob
-- A payload beside the journal; the same one again changes nothing, unless it was dropped.
INSERT INTO blobs (digest, bytes, stored_bytes) VALUES (?, ?, ?)
ON CONFLICT (digest) DO UPDATE SET dropped_at = '', stored_bytes = excluded.stored_bytes;

-- name: delete_blob_uses
-- Who referred to a payload that is gone.
DELETE FROM blob_uses WHERE digest = ?;

-- name: insert_blob_use
-- A session that refers to a payload.
INSERT OR IGNORE INTO blob_uses (digest, session_no) VALUES (?, ?);

-- name: drop_blob
-- A payload that is let go of; what its events say of it stays.
UPDATE blobs SET dropped_at = ?2 WHERE digest = ?1 AND dropped_at = '';

-- name: upsert_item
-- What was last stored of an item.
INSERT INTO items (
    session_no, key, digest, seq, turn, version,
    usage_input, usage_output, usage_cache_read, usage_cache_write
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (session_no, key) DO UPDATE SET
    digest = excluded.digest, seq = excluded.seq, turn = excluded.turn,
    version = excluded.version, usage_input = excluded.usage_input,
    usage_output = excluded.usage_output, usage_cache_read = excluded.usage_cache_read,
    usage_cache_write = excluded.usage_cache_write;

-- name: list_items
-- What was last stored of each item of a session.
SELECT key, digest, seq, turn, version,
       usage_input, usage_output, usage_cache_read, usage_cache_write
FROM items WHERE session_no = (SELECT no FROM sessions WHERE id = ?);

-- name: insert_span
-- A stretch of another session that a session begins with, behind those that it has.
INSERT INTO lineage (session_no, no, source, first_seq, end_seq)
SELECT ?1, coalesce(max(no) + 1, 0), ?2, ?3, ?4 FROM lineage WHERE session_no = ?1;

-- name: grow_lineage
-- After a batch that refers to other sessions: how many events of theirs, and whose.
UPDATE sessions SET inherited = inherited + ?2,
    forked_from = iif(forked_from = '', ?3, forked_from)
WHERE no = ?1;

-- name: list_lineage
-- The stretches of other sessions that a session begins with, in order.
SELECT source, first_seq, end_seq FROM lineage
WHERE session_no = (SELECT no FROM sessions WHERE id = ?) ORDER BY no;

-- name: beginning_with
-- Sessions whose log begins with a record, the longest first; said twice for the index, which
-- leaves out those without.
SELECT id FROM sessions WHERE agent = ?1 AND first_uuid = ?2 AND first_uuid <> ''
ORDER BY events DESC, id;

-- name: get_item
-- The same of one item.
SELECT key, digest, seq, turn, version,
       usage_input, usage_output, usage_cache_read, usage_cache_write
FROM items WHERE session_no = (SELECT no FROM sessions WHERE id = ?1) AND key = ?2;

-- name: position_of
-- Where an event of a session stands in the global order.
SELECT pos + ?2 - first_seq FROM runs WHERE session_no = ?1 AND first_seq <= ?2
ORDER BY pos DESC LIMIT 1;

-- name: delete_words
-- A text that a later version has superseded.
DELETE FROM words WHERE rowid = ?;

-- name: insert_words
-- What the index gets of one event: its text as UTF-8, which is given as bytes.
INSERT INTO words (rowid, user, assistant, thinking, tool, system)
VALUES (
    ?, CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS TEXT)
);

-- name: insert_audit
-- One audit record.
INSERT INTO audit (at, action, detail) VALUES (?, ?, ?);

-- name: trim_audit
-- Keeps the newest records only.
DELETE FROM audit WHERE no <= (SELECT max(no) FROM audit) - ?;

-- name: list_audit
-- Newest first.
SELECT at, action, detail FROM audit ORDER BY no DESC LIMIT ?;

-- name: list_sessions
-- Their numbers, newest first; ?1 agent, '' all but streams; ?2 since; ?3 at most, -1 all.
SELECT no FROM sessions
WHERE iif(?1 = '', agent <> 'stream', agent = ?1) AND updated_at >= ?2
ORDER BY updated_at DESC, id
LIMIT ?3;

-- name: sift_sessions
-- The same with what people look for in them.
SELECT no, id, project, title FROM sessions
WHERE iif(?1 = '', agent <> 'stream', agent = ?1) AND updated_at >= ?2
ORDER BY updated_at DESC, id;

-- name: get_sessions
-- The sessions whose numbers are in a JSON array.
SELECT * FROM sessions WHERE no IN (SELECT value FROM json_each(?));

-- name: get_session
-- One, by id.
SELECT * FROM sessions WHERE id = ?;

-- name: find_sessions
-- By what a person typed: an id, the agent's id, or the beginning of either; ?2 agent or ''.
SELECT id, agent, agent_session_id, title FROM sessions
WHERE (?2 = '' OR agent = ?2)
  AND (substr(id, 1, length(?1)) = ?1 OR substr(agent_session_id, 1, length(?1)) = ?1
       OR instr(agent_session_id, '/' || ?1))
ORDER BY (id = ?1 OR agent_session_id = ?1) DESC, updated_at DESC
LIMIT 11;

-- name: session_length
-- The row of a session, and how many events it has.
SELECT no, events FROM sessions WHERE id = ?;

-- name: read_block
-- The sealed run of a session that holds an event, or the next one behind it.
SELECT first_seq, count, data FROM blocks
WHERE session_no = ?1 AND first_seq + count > ?2
  AND first_seq >= coalesce((SELECT max(first_seq) FROM blocks WHERE session_no = ?1 AND first_seq <= ?2), 0)
ORDER BY first_seq LIMIT 1;

-- name: read_tail
-- The open runs of a session from an event on.
SELECT first_seq, count, lines FROM tail WHERE session_no = ?1 AND first_seq + count > ?2
ORDER BY first_seq;

-- name: read_runs
-- The global order from a position on.
SELECT r.pos, s.id, r.first_seq, r.count, s.agent, s.agent_session_id
FROM runs AS r JOIN sessions AS s ON s.no = r.session_no
WHERE r.pos >= coalesce((SELECT max(pos) FROM runs WHERE pos <= ?1), 0) AND r.pos + r.count > ?1
ORDER BY r.pos LIMIT ?2;

-- name: read_runs_of
-- The same of one session.
SELECT r.pos, s.id, r.first_seq, r.count, s.agent, s.agent_session_id
FROM sessions AS s JOIN runs AS r ON r.session_no = s.no
WHERE s.id = ?3 AND r.pos + r.count > ?1
  AND r.pos >= coalesce((SELECT max(pos) FROM runs WHERE session_no = s.no AND pos <= ?1), 0)
ORDER BY r.pos LIMIT ?2;

-- name: list_files
-- Every source cursor.
SELECT * FROM files ORDER BY agent, path;

-- name: get_file
-- One source cursor.
SELECT * FROM files WHERE agent = ? AND path = ?;

-- name: list_marks
-- What every known log looked like when it was last read; without the parser's state, which is large.
SELECT no, agent, path, size, mtime_ns, gone_at, error, excluded FROM files WHERE no > ? ORDER BY no LIMIT ?;

-- name: ledger
-- Where every byte of an agent's logs went; ?1 agent, '' for all.
SELECT count(*), coalesce(sum(parsed), 0),
       coalesce(sum(skipped + iif(excluded <> '', max(0, size - offset), 0)), 0),
       coalesce(sum(unknown), 0), coalesce(sum(bad), 0),
       coalesce(sum(iif(excluded = '', max(0, size - offset), 0)), 0),
       coalesce(sum(gone_at <> ''), 0), coalesce(sum(error <> ''), 0),
       coalesce(max(error), ''), coalesce(sum(excluded <> ''), 0)
FROM files WHERE ?1 = '' OR agent = ?1;

-- name: file_errors
-- Logs of an agent that cannot be read, the ones found last first; ?2 at most.
SELECT path, error FROM files WHERE agent = ?1 AND error <> '' ORDER BY no DESC LIMIT ?2;

-- name: agent_totals
-- What the journal holds of each agent.
SELECT agent, count(*), sum(events) FROM sessions GROUP BY agent;

-- name: list_paths_in_folder
-- The known logs that stand directly in a folder.
SELECT path FROM files
WHERE agent = ?1 AND path > ?2 || '/' AND path < ?2 || '0'
  AND instr(substr(path, length(?2) + 2), '/') = 0;

-- name: next_origin
-- The number that the next log of a session gets.
SELECT coalesce(max(origin) + 1, 0) FROM files WHERE session = ?;

-- name: list_unknown_types
-- The most frequent first.
SELECT agent, type, records, bytes FROM unknown_types ORDER BY records DESC, agent, type;

-- name: list_blobs
-- Payloads beside the journal, the largest first; ?1 beginning of the digest, ?2 session, ?3 used
-- before, ?4 at least so many bytes, ?5 dropped ones too, ?6 at most so many, -1 all.
SELECT b.digest, b.bytes, b.stored_bytes, b.dropped_at, count(s.no),
       coalesce(max(s.updated_at), '') AS used_at
FROM blobs AS b
LEFT JOIN blob_uses AS u ON u.digest = b.digest
LEFT JOIN sessions AS s ON s.no = u.session_no
WHERE substr(b.digest, 1, length(?1)) = ?1 AND b.bytes >= ?4 AND (?5 OR b.dropped_at = '')
GROUP BY b.digest
HAVING (?2 = '' OR sum(s.id = ?2)) AND (?3 = '' OR (used_at <> '' AND used_at < ?3))
ORDER BY b.bytes DESC, b.digest LIMIT ?6;

-- name: totals
-- What the journal holds; sessions and events are those of conversations, bytes are of all.
SELECT (SELECT count(*) FROM sessions WHERE agent <> 'stream'),
       (SELECT coalesce(sum(events), 0) FROM sessions WHERE agent <> 'stream'),
       (SELECT coalesce(sum(raw_bytes), 0) FROM sessions),
       (SELECT coalesce(sum(stored_bytes), 0) FROM sessions),
       (SELECT value FROM state WHERE key = 'next_position'),
       (SELECT value FROM state WHERE key = 'indexed_position'),
       (SELECT count(*) FROM blobs WHERE dropped_at = ''),
       (SELECT coalesce(sum(bytes), 0) FROM blobs WHERE dropped_at = ''),
       (SELECT coalesce(sum(stored_bytes), 0) FROM blobs WHERE dropped_at = ''),
       (SELECT count(*) FROM blobs WHERE dropped_at <> '');

-- name: all_blocks
-- Every sealed run, for the integrity check.
SELECT b.pos, coalesce(s.id, '(unknown)'), b.first_seq, b.count, b.data FROM blocks AS b
LEFT JOIN sessions AS s ON s.no = b.session_no ORDER BY b.pos;

-- name: blocks_before
-- Sealed runs from the newest on, a few at a time.
SELECT b.pos, coalesce(s.id, '(unknown)'), b.first_seq, b.count, b.data FROM blocks AS b
LEFT JOIN sessions AS s ON s.no = b.session_no WHERE b.pos < ? ORDER BY b.pos DESC LIMIT ?;

-- name: count_blocks
-- How many sealed runs there are.
SELECT count(*) FROM blocks;

-- name: session_gaps
-- Sessions whose runs do not stand end to end, or do not add up to their events.
WITH pieces AS (
    SELECT session_no, first_seq, count FROM blocks
    UNION ALL SELECT session_no, first_seq, count FROM tail
), ordered AS (
    SELECT session_no, first_seq, count,
           sum(count) OVER (PARTITION BY session_no ORDER BY first_seq) - count AS expected
    FROM pieces
)
SELECT id FROM sessions AS s
LEFT JOIN (
    SELECT session_no, sum(count) AS held, sum(first_seq <> expected) AS gaps
    FROM ordered GROUP BY session_no
) AS p ON p.session_no = s.no
WHERE s.events <> coalesce(p.held, 0) OR p.gaps
   OR s.events <> (SELECT coalesce(sum(count), 0) FROM runs WHERE session_no = s.no)
LIMIT ?;

-- name: order_gaps
-- Runs of the global order that do not reach to the next one.
SELECT pos FROM (
    SELECT pos, count, lead(pos, 1, (SELECT value FROM state WHERE key = 'next_position'))
        OVER (ORDER BY pos) AS following
    FROM runs
)
WHERE pos + count <> following LIMIT ?;

-- name: word_rows
-- Positions of a query in the index, newest first; ?2 at most.
SELECT rowid FROM words WHERE words MATCH ?1 ORDER BY rowid DESC LIMIT ?2;

-- name: word_rows_between
-- The same within a range of positions.
SELECT rowid FROM words WHERE words MATCH ?1 AND rowid BETWEEN ?2 AND ?3
ORDER BY rowid DESC LIMIT ?4;

-- name: word_rows_ranked
-- All positions of a query with their relevance, the lower the better; for queries with few answers.
SELECT rowid, bm25(words, 3.0, 2.0, 0.7, 0.5, 1.0) FROM words WHERE words MATCH ?;

-- name: word_count
-- How many events a query has, counting no further than ?2.
SELECT count(*) FROM (SELECT 1 FROM words WHERE words MATCH ?1 LIMIT ?2);

-- name: word_sessions
-- The sessions of a query, looking at its ?2 newest events.
SELECT DISTINCT s.id
FROM (SELECT rowid AS pos FROM words WHERE words MATCH ?1 ORDER BY rowid DESC LIMIT ?2) AS w
JOIN runs AS r ON r.pos = (SELECT max(pos) FROM runs WHERE pos <= w.pos)
JOIN sessions AS s ON s.no = r.session_no;

-- name: places
-- Which events stand at the positions of a JSON array, in its order.
SELECT p.value, r.session_no, r.first_seq + p.value - r.pos FROM json_each(?) AS p
JOIN runs AS r ON r.pos = (SELECT max(pos) FROM runs WHERE pos <= p.value)
ORDER BY p.key;

-- name: session_span
-- The first and the last position of a session.
SELECT (SELECT min(pos) FROM runs WHERE session_no = ?1),
       (SELECT pos + count - 1 FROM runs WHERE session_no = ?1 ORDER BY pos DESC LIMIT 1);

-- name: filtered_sessions
-- The newest first; ?1 agent, ?2 since; empty matches all.
SELECT no, project FROM sessions WHERE (?1 = '' OR agent = ?1) AND updated_at >= ?2
ORDER BY updated_at DESC, no DESC;

-- name: sessions_by_number
-- What a search needs of the sessions in a JSON array.
SELECT no, id, updated_at FROM sessions WHERE no IN (SELECT value FROM json_each(?));

-- name: newest_update
-- When the conversation that changed last changed.
SELECT coalesce(
    (SELECT updated_at FROM sessions WHERE agent <> 'stream' ORDER BY updated_at DESC LIMIT 1), ''
);


-- name: save_recording
-- A recording as it is now.
INSERT INTO recordings (
    no, session, path, form, state, asked, started_at, written_at, ended_at, events, problem, place
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (no) DO UPDATE SET
    path = excluded.path, form = excluded.form, state = excluded.state, asked = excluded.asked,
    written_at = excluded.written_at, ended_at = excluded.ended_at, events = excluded.events,
    problem = excluded.problem, place = excluded.place;

-- name: save_command
-- A command with what became of it; another one of the same key is refused.
INSERT INTO commands (
    no, key, session, seq, at, name, text, origin, state, outcome, recording
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (no) DO UPDATE SET
    state = excluded.state, outcome = excluded.outcome, recording = excluded.recording;

-- name: list_recordings
-- Newest first; ?1 at most, -1 all.
SELECT * FROM recordings ORDER BY no DESC LIMIT ?1;

-- name: list_recordings_of_session
-- Newest first.
SELECT * FROM recordings WHERE session = ?1 ORDER BY no DESC;

-- name: list_exports
-- Those that were written once, into one file; newest first.
SELECT * FROM recordings WHERE state = 'exported' AND path = ?1 ORDER BY no DESC;

-- name: list_live_recordings
-- Those that something is still to be written to, oldest first.
SELECT * FROM recordings WHERE state IN ('starting', 'active', 'stopping') ORDER BY no;

-- name: count_recordings
-- How many there are in each state.
SELECT state, count(*) FROM recordings GROUP BY state;

-- name: list_recording_problems
-- The newest that something is or was wrong with.
SELECT path, problem FROM recordings
WHERE state IN ('lost', 'failed') AND problem <> '' ORDER BY no DESC LIMIT ?1;

-- name: list_commands
-- Newest first; ?1 at most, -1 all.
SELECT * FROM commands ORDER BY no DESC LIMIT ?1;

-- name: list_pending_commands
-- Those that have not been seen through, oldest first.
SELECT * FROM commands WHERE state = 'pending' ORDER BY no;

-- name: command_keys
-- Which keys of a JSON array are known.
SELECT key FROM commands WHERE key IN (SELECT value FROM json_each(?));

-- name: count_commands
-- How many there are in each state.
SELECT state, count(*) FROM commands GROUP BY state;

-- name: last_numbers
-- The numbers that were given last: of recordings, of commands.
SELECT (SELECT coalesce(max(no), 0) FROM recordings), (SELECT coalesce(max(no), 0) FROM commands);

-- name: insert_work
-- An item that waits to be done.
INSERT INTO work_items (
    no, queue, state, priority, turn, at_ms, claims, attempts, max_attempts, waits, awaited,
    enqueued_ms, ttl_ms, expires_ms, subject, key, error, payload
) VALUES (?, ?, ?, ?, ?, ?, 0, 0, ?, ?, 0, ?, ?, ?, ?, ?, '', ?);

-- name: claim_work
-- The next items of a queue, given out.
UPDATE work_items SET state = 3, claims = claims + 1, attempts = attempts + 1, at_ms = ?1
WHERE no IN (
    SELECT no FROM work_items WHERE queue = ?2 AND state = 0
    ORDER BY priority DESC, turn, no LIMIT ?3
)
RETURNING priority, turn, no, claims, payload, subject, key, attempts, max_attempts, enqueued_ms;

-- name: work_elsewhere
-- Of some items, those that are pending in another queue.
SELECT no FROM work_items WHERE queue <> ?1 AND no IN (SELECT value FROM json_each(?2));

-- name: confirm_work
-- An item that is done leaves, when the claim is not void.
DELETE FROM work_items WHERE no = ? AND claims = ? AND state = 3 RETURNING no, claims, awaited;

-- name: extend_work
-- A lease ends later.
UPDATE work_items SET at_ms = ? WHERE no = ? AND claims = ? AND state = 3 RETURNING no, claims;

-- name: work_of_claim
-- What there is to know of an item that is given back.
SELECT queue, priority, subject, attempts, max_attempts, expires_ms FROM work_items
WHERE no = ? AND claims = ? AND state = 3;

-- name: move_work
-- What an item waits for now, and its turn.
UPDATE work_items SET state = ?, turn = ?, at_ms = ?, attempts = ?, error = ? WHERE no = ?;

-- name: work_that_is_due
-- Delays and leases that ended.
SELECT no, queue, state, priority, subject, attempts, max_attempts, expires_ms, error
FROM work_items WHERE state IN (1, 3) AND at_ms <= ? ORDER BY at_ms, no LIMIT ?;

-- name: work_that_expired
-- Items that nobody wants done any more, and that nobody is doing.
SELECT no, error FROM work_items
WHERE expires_ms IS NOT NULL AND state <> 3 AND expires_ms <= ? ORDER BY expires_ms, no LIMIT ?;

-- name: next_work_ms
-- When something is due next.
SELECT min(moment) FROM (
    SELECT min(at_ms) AS moment FROM work_items WHERE state IN (1, 3)
    UNION ALL
    SELECT min(expires_ms) FROM work_items WHERE expires_ms IS NOT NULL AND state <> 3
);

-- name: held_work
-- How many items and dead letters there are.
SELECT (SELECT count(*) FROM work_items), (SELECT count(*) FROM work_dead);

-- name: work_turns
-- Of each subject with ready items, its first and its last turn.
SELECT queue, priority, subject, min(turn), max(turn) FROM work_items
WHERE state = 0 GROUP BY queue, priority, subject;

-- name: has_work
-- Whether an item is pending or a dead letter.
SELECT 1 FROM work_items WHERE no = ?1 UNION ALL SELECT 2 FROM work_dead WHERE no = ?1;

-- name: get_work_key
-- The item of a key.
SELECT no FROM work_keys WHERE queue = ? AND key = ?;

-- name: insert_work_key
-- A key that is not to be enqueued again.
INSERT INTO work_keys (queue, key, no) VALUES (?, ?, ?);

-- name: forget_work_keys
-- Keys of items that left, and that were enqueued before one.
DELETE FROM work_keys WHERE no < ?
    AND NOT EXISTS (SELECT 1 FROM work_items WHERE work_items.no = work_keys.no)
    AND NOT EXISTS (SELECT 1 FROM work_dead WHERE work_dead.no = work_keys.no);

-- name: forget_work_key
-- The key of an item that was dropped.
DELETE FROM work_keys WHERE no = ?;

-- name: insert_work_wait
-- One item waits for another.
INSERT OR IGNORE INTO work_waits (item, waiter) VALUES (?, ?);

-- name: note_work_awaited
-- Others wait for it.
UPDATE work_items SET awaited = 1 WHERE no = ?;

-- name: work_waiters
-- Who waits for an item.
SELECT waiter FROM work_waits WHERE item = ? ORDER BY waiter;

-- name: delete_work_waits
-- Nobody waits for an item any more.
DELETE FROM work_waits WHERE item = ?;

-- name: delete_waits_of_work
-- An item waits for nothing any more.
DELETE FROM work_waits WHERE waiter = ?;

-- name: work_waits_less
-- An item waits for one other less.
UPDATE work_items SET waits = waits - 1 WHERE no = ?
RETURNING queue, priority, subject, waits, at_ms, attempts, error;

-- name: dead_work_waits_less
-- The same, of a dead letter.
UPDATE work_dead SET waits = waits - 1 WHERE no = ?;

-- name: bury_work
-- A pending item becomes a dead letter.
INSERT INTO work_dead (
    no, queue, died_ms, reason, priority, claims, attempts, max_attempts, waits, awaited,
    enqueued_ms, ttl_ms, subject, key, error, payload
) SELECT no, queue, ?, ?, priority, claims, attempts, max_attempts, waits, awaited,
    enqueued_ms, ttl_ms, subject, key, ?, payload
FROM work_items WHERE no = ?;

-- name: delete_work
-- A pending item leaves.
DELETE FROM work_items WHERE no = ? RETURNING queue, awaited, attempts;

-- name: revive_work
-- A dead letter becomes pending again; what it waits for stays, its attempts begin anew.
INSERT INTO work_items (
    no, queue, state, priority, turn, at_ms, claims, attempts, max_attempts, waits, awaited,
    enqueued_ms, ttl_ms, expires_ms, subject, key, error, payload
) SELECT no, queue, ?1, priority, ?2, ?3, claims, 0, max_attempts, waits, awaited,
    enqueued_ms, ttl_ms, ?3 + ttl_ms, subject, key, error, payload
FROM work_dead WHERE no = ?4;

-- name: delete_dead_work
-- A dead letter leaves.
DELETE FROM work_dead WHERE no = ? RETURNING awaited;

-- name: dead_work_by_no
-- What there is to know of a dead letter before it is moved.
SELECT queue, priority, subject, waits, awaited, reason FROM work_dead WHERE no = ?;

-- name: dead_work_of_queue
-- The dead letters of a queue, the oldest items first.
SELECT no FROM work_dead WHERE queue = ? ORDER BY no;

-- name: dead_dependency
-- A dead letter that an item waits for.
SELECT work_dead.no FROM work_waits JOIN work_dead ON work_dead.no = work_waits.item
WHERE work_waits.waiter = ? LIMIT 1;

-- name: note_dropped_dependency
-- What a dead letter waited for was dropped: it is not revived with others.
UPDATE work_dead SET waits = waits - 1, reason = 'dropped' WHERE no = ?;

-- name: count_work
-- Pending items by queue and state, with the oldest of each.
SELECT queue, state, count(*), min(no) FROM work_items GROUP BY queue, state;

-- name: count_dead_work
-- Dead letters by queue.
SELECT queue, count(*) FROM work_dead GROUP BY queue;

-- name: work_enqueued_ms
-- When an item was enqueued.
SELECT enqueued_ms FROM work_items WHERE no = ?;

-- name: list_dead_work
-- Some dead letters of a queue, behind a number, with how their payloads begin.
SELECT no, queue, died_ms, reason, error, attempts, max_attempts, priority, subject, key,
    enqueued_ms, length(payload), substr(payload, 1, ?4)
FROM work_dead WHERE queue = ?1 AND no > ?2 ORDER BY no LIMIT ?3;

-- name: all_work
-- What people wrote into items, some at a time.
SELECT no, subject, key, error, payload FROM work_items WHERE no > ? ORDER BY no LIMIT 16;

-- name: rewrite_work
-- The same, clean.
UPDATE work_items SET subject = ?, key = ?, error = ?, payload = ? WHERE no = ?;

-- name: all_dead_work
-- What people wrote into dead letters, some at a time.
SELECT no, subject, key, error, payload FROM work_dead WHERE no > ? ORDER BY no LIMIT 16;

-- name: rewrite_dead_work
-- The same, clean.
UPDATE work_dead SET subject = ?, key = ?, error = ?, payload = ? WHERE no = ?;

-- name: all_work_keys
-- Keys, those of items that left too.
SELECT queue, key, no FROM work_keys;

-- name: rewrite_work_key
-- The same, clean; one that is known already stays once.
UPDATE OR IGNORE work_keys SET key = ? WHERE queue = ? AND key = ?;

-- name: delete_work_key
-- A key as it was written.
DELETE FROM work_keys WHERE queue = ? AND key = ?;
