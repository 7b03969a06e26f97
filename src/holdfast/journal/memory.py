"""A journal in memory: for tests, and for whoever uses holdfast as a library and keeps nothing.

It is the twin of the SQLite journal: `conformance.py` holds both to the same behaviour. It is meant
to be obviously right, not fast: a search reads every event. What it has besides is a state that can
be looked at, and nothing on disk but what `backup` writes.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Final

import msgspec

from holdfast import blocks
from holdfast.blocks import DamagedBlock
from holdfast.clock import instant
from holdfast.events import STREAM_AGENT, Event, decode, decode_lines
from holdfast.journal.index import text_of
from holdfast.journal.model import (
    LIVE_STATES,
    AuditRecord,
    Batch,
    Blob,
    BlobFilter,
    BlobRow,
    CommandRow,
    Cursor,
    Facts,
    FilesLedger,
    Hit,
    ItemMark,
    Mark,
    Recording,
    Run,
    SearchQuery,
    SessionFilter,
    SessionRow,
    Span,
    TitleRank,
    Totals,
    UnknownType,
)
from holdfast.journal.protocol import JournalReader, JournalWriter, Scrub, never
from holdfast.journal.sqlite import JournalError
from holdfast.journal.streams import (
    Append,
    Appended,
    Committed,
    NewEvent,
    Projection,
    WrongSequence,
    is_own,
    numbered,
    stream_facts,
)
from holdfast.journal.unindexed import HURRIED_SHARE, bytes_in, words_of
from holdfast.journal.words import Highlighter, Term, apart, parse, tokens
from holdfast.journal.work import PREVIEW_BYTES, DeadItem, Lanes, QueueCounts
from holdfast.journal.work_memory import MemoryWork, WorkState, lanes_of
from holdfast.journal.writer import SequenceConflict

_TOLD: Final = ("project", "title", "model", "cwd", "branch", "agent_version")
INDEX_BATCH_EVENTS: Final = 4_096
ENOUGH_HITS: Final = 3
FOUND_SESSIONS_MAX: Final = 11
ERRORS_MAX: Final = 20


class State(msgspec.Struct):
    """All there is in a journal."""

    sessions: dict[str, SessionRow] = {}
    lines: dict[str, list[bytes]] = {}  # of each session, one an event, without newline
    order: list[tuple[str, int]] = []  # session and seq of position 1, 2, 3 …
    indexed: int = 0  # how many of them search finds
    cursors: list[Cursor] = []
    unknown: list[UnknownType] = []
    blobs: dict[str, Blob] = {}
    blob_uses: dict[str, set[str]] = {}  # digest -> sessions
    dropped: dict[str, str] = {}  # digest -> when it was let go of
    audit: list[AuditRecord] = []
    items: dict[str, dict[int, ItemMark]] = {}  # session -> key -> mark
    lineage: dict[str, list[Span]] = {}
    recordings: dict[int, Recording] = {}
    commands: dict[int, CommandRow] = {}
    commands_position: int = 1
    first_run_ms: int = msgspec.field(default_factory=lambda: time.time_ns() // 1_000_000)
    redactions: dict[str, int] = {}
    stream_keys: dict[str, dict[str, tuple[int, float]]] = {}  # session -> key -> seq, when
    projections: dict[str, tuple[int, bytes]] = {}
    work: WorkState = msgspec.field(default_factory=WorkState)


class MemoryJournal:
    """One journal; its writer and its readers may be closed and made again, it stays."""

    def __init__(self, state: State | None = None, *, audit_max_rows: int = 100_000) -> None:
        self.state = state or State()
        self.lock = threading.RLock()
        self.audit_max_rows = audit_max_rows

    @classmethod
    def restore(cls, backup: str) -> MemoryJournal:
        with open(backup, "rb") as file:
            return cls(msgspec.msgpack.decode(file.read(), type=State))

    def writer(self) -> JournalWriter:
        return MemoryWriter(self)

    def reader(self) -> JournalReader:
        return MemoryReader(self)


class MemoryWriter:
    def __init__(self, journal: MemoryJournal) -> None:
        self._journal = journal
        self._state = journal.state
        self._committed: list[Committed] = []
        self._unindexed_bytes = 0
        self._undo: list[Callable[[], None]] | None = None  # what undoes the work that runs
        self._lanes: Lanes | None = None  # of the queues

    @property
    def index_lag(self) -> int:
        return len(self._state.order) - self._state.indexed

    @property
    def unindexed_bytes(self) -> int:
        return self._unindexed_bytes

    @property
    def next_position(self) -> int:
        return len(self._state.order) + 1

    @property
    def log_bytes(self) -> int:
        return 0

    def checkpointer(self) -> None:
        return None

    def write(self, batches: Sequence[Batch], *, durable: bool = False) -> None:  # noqa: ARG002  # nothing here outlives the process
        """Whatever can fail fails before anything is changed."""
        with self._journal.lock:
            lines = [_lines_of(batch) for batch in batches]
            self._refuse_conflicts(batches)
            for batch, new in zip(batches, lines, strict=True):
                position = len(self._state.order) + 1
                self._store(batch, new)
                self._unindexed_bytes += bytes_in(words_of(batch.texts, 0))
                if batch.count:
                    self._note(batch.facts, position, batch.first_seq, new)

    def transact(
        self, works: Sequence[Callable[[JournalWriter], object]]
    ) -> list[object | Exception]:
        with self._journal.lock:
            return [self._attempt(work) for work in works]

    def append(self, appends: Sequence[Append], now_s: float) -> list[Appended | WrongSequence]:
        return [self._append(wanted, now_s) for wanted in appends]

    @property
    def work(self) -> MemoryWork:
        before = self._state.work.copy()

        def undo() -> None:
            self._state.work, self._lanes = before, None

        self._undone_by(undo)
        if self._lanes is None or self._lanes.is_full:
            self._lanes = lanes_of(self._state.work)
        return MemoryWork(self._state.work, self._lanes)

    def count_redactions(self, found: Mapping[str, int]) -> None:
        before = dict(self._state.redactions)
        self._undone_by(lambda: setattr(self._state, "redactions", before))
        self._count_redactions(found)

    def take_committed(self) -> list[Committed]:
        with self._journal.lock:
            taken, self._committed = self._committed, []
            return taken

    def forget_keys(self, before_s: float) -> int:
        forgotten = 0
        for session, keys in self._state.stream_keys.items():
            kept = {key: each for key, each in keys.items() if each[1] >= int(before_s)}
            forgotten += len(keys) - len(kept)
            self._undone_by(partial(self._state.stream_keys.__setitem__, session, keys))
            self._state.stream_keys[session] = kept
        return forgotten

    def save_projection(self, name: str, projection: Projection) -> None:
        before = dict(self._state.projections)
        self._undone_by(lambda: setattr(self._state, "projections", before))
        self._state.projections[name] = projection.position, projection.state

    def feed_index(self, in_haste: Callable[[], bool] = never) -> bool:
        with self._journal.lock:
            waiting = self.index_lag
            fed = min(waiting, INDEX_BATCH_EVENTS)
            if in_haste():
                fed = -(-fed // HURRIED_SHARE)
            self._state.indexed += fed
            self._unindexed_bytes = self._unindexed_bytes * (waiting - fed) // (waiting or 1)
            return waiting > fed

    def audit(self, records: Sequence[AuditRecord]) -> None:
        with self._journal.lock:
            self._state.audit += records
            del self._state.audit[: -self._journal.audit_max_rows]

    def save_cursors(self, cursors: Sequence[Cursor]) -> None:
        with self._journal.lock:
            for cursor in cursors:
                self._save(cursor)

    def drop_blobs(self, digests: Sequence[str], at: str) -> None:
        with self._journal.lock:
            for digest in digests:
                if digest in self._state.blobs:
                    self._state.dropped.setdefault(digest, at)

    def save_recordings(
        self,
        recordings: Sequence[Recording] = (),
        commands: Sequence[CommandRow] = (),
        commands_position: int | None = None,
    ) -> None:
        with self._journal.lock:
            state = self._state
            keys = {each.key: each.no for each in state.commands.values()}
            for command in commands:
                if keys.setdefault(command.key, command.no) != command.no:
                    raise JournalError(f"the command {command.key} has had its turn")
            for recording in recordings:
                state.recordings[recording.no] = msgspec.structs.replace(recording)
            for command in commands:
                state.commands[command.no] = msgspec.structs.replace(command)
            if commands_position is not None:
                state.commands_position = commands_position

    def rewrite(self, session: str, scrub: Scrub) -> int:
        """Whatever can fail fails before anything is changed."""
        with self._journal.lock:
            self._state.indexed = len(self._state.order)
            row = self._state.sessions.get(session)
            if row is None:
                return 0
            before = self._state.lines.get(session, [])
            whole = b"".join(line + b"\n" for line in before)
            after = scrub.lines(whole).split(b"\n")[:-1]
            told = {name: scrub.fact(getattr(row, name)) for name in _TOLD}
            files = [
                msgspec.structs.replace(
                    each, state=scrub.packed(each.state), error=scrub.text(each.error)
                )
                for each in self._state.cursors
                if each.session == session
            ]
            grown = sum(map(len, after)) - sum(map(len, before))
            for name, value in told.items():
                setattr(row, name, value)
            row.raw_bytes += grown
            row.stored_bytes += grown
            self._state.lines[session] = after
            for cursor in files:
                self._save(cursor)
            for blob in scrub.blobs():
                self._state.blobs.setdefault(blob.digest, blob)
                self._state.blob_uses.setdefault(blob.digest, set()).add(session)
            self._count_redactions(scrub.found())
            return sum(old != new for old, new in zip(before, after, strict=True))

    def rewrite_records(self, scrub: Scrub) -> int:
        with self._journal.lock:
            kept = self._state.projections
            self._state.projections = {name: (place, b"") for name, (place, _) in kept.items()}
            details = [bytes(each.detail) for each in self._state.audit]
            clean = [scrub.lines(detail + b"\n").removesuffix(b"\n") for detail in details]
            names = [each.type for each in self._state.unknown]
            told = [scrub.text(name) for name in names]
            self._state.audit = [
                AuditRecord(each.at, each.action, msgspec.Raw(detail))
                for each, detail in zip(self._state.audit, clean, strict=True)
            ]
            unknown, self._state.unknown = self._state.unknown, []
            for each, name in zip(unknown, told, strict=True):
                self._count_unknown(each.agent, name, each.records, each.bytes)
            pairs: list[tuple[object, object]] = []
            pairs += [*zip(details, clean, strict=True), *zip(names, told, strict=True)]
            for command in self._state.commands.values():
                before = msgspec.structs.replace(command)
                command.text, command.outcome = (
                    scrub.text(command.text),
                    scrub.text(command.outcome),
                )
                pairs.append((before, command))
            for recording in self._state.recordings.values():
                was = msgspec.structs.replace(recording)
                if recording.state not in LIVE_STATES:
                    recording.path = scrub.text(recording.path)
                recording.problem = scrub.text(recording.problem)
                recording.place = scrub.packed(recording.place)
                pairs.append((was, recording))
            rewritten = self._state.work.rewrite(scrub)
            self._lanes = None
            self._count_redactions(scrub.found())
            return rewritten + sum(old != new for old, new in pairs)

    def forget_blobs(self, digests: Sequence[str]) -> None:
        with self._journal.lock:
            for digest in digests:
                self._state.blobs.pop(digest, None)
                self._state.blob_uses.pop(digest, None)

    def purge(self) -> None:
        pass

    def checkpoint(self) -> None:
        pass

    def release_memory(self) -> None:
        pass

    def backup(self, target: str) -> None:
        with self._journal.lock:
            content = msgspec.msgpack.encode(self._state)
        partial = f"{target}.partial"
        with open(partial, "wb", opener=_private) as file:
            file.write(content)
        os.replace(partial, target)

    def close(self) -> None:
        pass

    def _attempt(self, work: Callable[[JournalWriter], object]) -> object | Exception:
        undos: list[Callable[[], None]] = []
        self._undo = undos
        try:
            return work(self)
        except Exception as error:  # noqa: BLE001  # it goes to whoever waits for the work
            for undo in reversed(undos):
                undo()
            return error
        finally:
            self._undo = None

    def _undone_by(self, undo: Callable[[], None]) -> None:
        assert self._undo is not None, "only a work of `transact` may do this"
        self._undo.append(undo)

    def _append(self, wanted: Append, now_s: float) -> Appended | WrongSequence:
        state, facts = self._state, stream_facts(wanted.stream, instant(now_s))
        session = facts.id
        row = state.sessions.get(session)
        first = row.events if row else 0
        keys = dict(state.stream_keys.get(session, {}))
        new: list[NewEvent] = []
        seqs = []
        for event in wanted.events:
            if event.key and event.key in keys:
                seqs.append(keys[event.key][0])
                continue
            seqs.append(first + len(new))
            if event.key:
                keys[event.key] = (seqs[-1], float(int(now_s)))
            new.append(event)
        if new and wanted.expected_seq not in (None, first):
            assert wanted.expected_seq is not None
            return WrongSequence.of(wanted.stream, wanted.expected_seq, first)
        before = msgspec.structs.replace(row) if row else None
        self._undone_by(partial(_restore, state, session, before))
        lines, texts = numbered(new, wanted.stream, first, instant(now_s))
        position = len(state.order) + 1
        split = lines.split(b"\n")[:-1]
        batch = Batch(facts=facts, first_seq=first, lines=lines, line_count=len(new))
        self._store(batch, split)
        state.stream_keys[session] = keys
        unindexed = self._unindexed_bytes
        self._undone_by(lambda: setattr(self, "_unindexed_bytes", unindexed))
        self._unindexed_bytes = unindexed + bytes_in(words_of(texts, 0))
        if new:
            self._note(facts, position, first, split)
            self._undone_by(partial(self._committed.__delitem__, -1))
        places = {seq: place for place, (of, seq) in enumerate(state.order, 1) if of == session}
        return Appended(
            wanted.stream,
            session,
            seqs,
            [places[seq] for seq in seqs],
            len(seqs) - len(new),
        )

    def _note(self, facts: Facts, position: int, first_seq: int, lines: list[bytes]) -> None:
        whole = b"".join(line + b"\n" for line in lines)
        run = Committed(
            position, facts.id, facts.agent, facts.agent_session_id, first_seq, len(lines), whole
        )
        self._committed.append(run)

    def _refuse_conflicts(self, batches: Sequence[Batch]) -> None:
        events = {session: row.events for session, row in self._state.sessions.items()}
        for batch in batches:
            has = events.get(batch.facts.id, 0)
            if (batch.count or batch.cursor is not None) and has != batch.first_seq:
                raise SequenceConflict(
                    f"events {batch.first_seq}.. for session {batch.facts.id}, which has {has}"
                )
            events[batch.facts.id] = has + batch.count

    def _store(self, batch: Batch, lines: list[bytes]) -> None:
        state, session = self._state, batch.facts.id
        row = state.sessions.setdefault(
            session,
            SessionRow(
                id=session,
                agent=batch.facts.agent,
                agent_session_id=batch.facts.agent_session_id,
            ),
        )
        _learn(row, batch.facts)
        size = sum(len(line) + 1 for line in lines)
        row.events += len(lines)
        row.raw_bytes += size
        row.stored_bytes += size
        row.usage = row.usage.plus(batch.usage)
        state.lines.setdefault(session, []).extend(lines)
        state.order += [(session, batch.first_seq + number) for number in range(len(lines))]
        if batch.cursor is not None:
            self._save(batch.cursor)
        for name, (records, bytes_) in batch.unknown_types.items():
            self._count_unknown(batch.facts.agent, name, records, bytes_)
        for span in batch.inherited:
            state.lineage.setdefault(session, []).append(span)
            row.inherited += span.count
            row.forked_from = row.forked_from or span.source
        for mark in batch.items:
            state.items.setdefault(session, {})[mark.key] = mark
        for blob in batch.blobs:
            state.blobs[blob.digest] = blob
            state.blob_uses.setdefault(blob.digest, set()).add(session)
            state.dropped.pop(blob.digest, None)
        self._count_redactions(batch.redacted)

    def _count_redactions(self, redacted: Mapping[str, int]) -> None:
        for kind, count in redacted.items():
            self._state.redactions[kind] = self._state.redactions.get(kind, 0) + count

    def _save(self, cursor: Cursor) -> None:
        others = [each for each in self._state.cursors if _key(each) != _key(cursor)]
        self._state.cursors = [*others, msgspec.structs.replace(cursor)]

    def _count_unknown(self, agent: str, name: str, records: int, size: int) -> None:
        unknown = self._state.unknown
        for number, known in enumerate(unknown):
            if (known.agent, known.type) == (agent, name):
                unknown[number] = UnknownType(
                    agent, name, known.records + records, known.bytes + size
                )
                return
        unknown.append(UnknownType(agent, name, records, size))


def _restore(state: State, session: str, row: SessionRow | None) -> None:
    """A stream as it was before an append."""
    events = row.events if row else 0
    added = len(state.lines.get(session, [])) - events
    if added:
        del state.lines[session][events:]
        del state.order[-added:]
    keys = state.stream_keys.get(session, {})
    state.stream_keys[session] = {key: each for key, each in keys.items() if each[0] < events}
    if row is None:
        state.sessions.pop(session, None)
    else:
        state.sessions[session] = row


class MemoryReader:
    def __init__(self, journal: MemoryJournal) -> None:
        self._journal = journal
        self._state = journal.state

    def sessions(self, wanted: SessionFilter = SessionFilter()) -> list[SessionRow]:  # noqa: B008  # frozen
        text = wanted.text.casefold()
        with self._journal.lock:
            found = {event.session for event in self._matching(parse(text))} if text else set()
            rows = [
                msgspec.structs.replace(row)
                for row in self._state.sessions.values()
                if _fits(row, wanted.agent, wanted.project, wanted.since)
                and (wanted.agent or row.agent != STREAM_AGENT)
                and (
                    row.id in found
                    or text in row.title.casefold()
                    or text in row.project.casefold()
                )
            ]
        rows.sort(key=lambda row: row.id)
        rows.sort(key=lambda row: row.updated_at, reverse=True)
        return rows[: wanted.limit]

    def session_numbers(self, wanted: SessionFilter = SessionFilter()) -> Sequence[int]:  # noqa: B008  # frozen
        with self._journal.lock:
            numbers = {session: number for number, session in enumerate(self._state.sessions)}
            return [numbers[row.id] for row in self.sessions(wanted)]

    def sessions_at(self, numbers: Sequence[int]) -> list[SessionRow]:
        with self._journal.lock:
            rows = list(self._state.sessions.values())
            return [msgspec.structs.replace(rows[number]) for number in numbers]

    def session(self, session: str) -> SessionRow | None:
        with self._journal.lock:
            row = self._state.sessions.get(session)
            return msgspec.structs.replace(row) if row is not None else None

    def find(self, prefix: str, agent: str = "") -> list[tuple[str, str, str, str]]:
        with self._journal.lock:
            rows = [
                row
                for row in self._state.sessions.values()
                if agent in ("", row.agent)
                and (
                    row.id.startswith(prefix)
                    or row.agent_session_id.startswith(prefix)
                    or f"/{prefix}" in row.agent_session_id
                )
            ]
        rows.sort(key=lambda row: row.updated_at, reverse=True)
        rows.sort(key=lambda row: prefix not in (row.id, row.agent_session_id))
        return [
            (row.id, row.agent, row.agent_session_id, row.title)
            for row in rows[:FOUND_SESSIONS_MAX]
        ]

    def read(
        self,
        session: str,
        from_seq: int = 0,
        to_seq: int | None = None,
        *,
        on_damage: Callable[[int, int, DamagedBlock], bytes] | None = None,  # noqa: ARG002  # nothing here can be damaged
    ) -> Generator[bytes, None, None]:
        with self._journal.lock:
            lines = self._state.lines.get(session, [])[max(0, from_seq) : to_seq]
        if lines:
            yield b"".join(line + b"\n" for line in lines)

    def events(self, session: str, from_seq: int = 0, to_seq: int | None = None) -> Iterator[Event]:
        for lines in self.read(session, from_seq, to_seq):
            yield from decode_lines(lines)

    def runs(self, position: int, *, limit: int = 1_000, session: str = "") -> list[Run]:
        runs: list[Run] = []
        with self._journal.lock:
            for here, (whose, seq) in enumerate(self._state.order, 1):
                last = runs[-1] if runs else None
                if last and (last.session, last.first_seq + last.count) == (whose, seq):
                    runs[-1] = msgspec.structs.replace(last, count=last.count + 1)
                else:
                    row = self._state.sessions[whose]
                    runs.append(Run(here, whose, seq, 1, row.agent, row.agent_session_id))
        found = [run for run in runs if run.position + run.count > position]
        return [run for run in found if session in ("", run.session)][:limit]

    def projection(self, name: str) -> Projection | None:
        with self._journal.lock:
            kept = self._state.projections.get(name)
        return Projection(*kept) if kept else None

    def queues(self) -> list[QueueCounts]:
        with self._journal.lock:
            return self._state.work.queues()

    def dead_work(
        self,
        queue: str,
        *,
        after: int = 0,
        limit: int = 100,
        payload_bytes: int = PREVIEW_BYTES,
    ) -> list[DeadItem]:
        with self._journal.lock:
            return self._state.work.dead_work(queue, after, limit, payload_bytes)

    def search(self, query: SearchQuery) -> list[Hit]:
        terms = parse(query.words)
        highlighter = Highlighter(terms)
        with self._journal.lock:
            wanted = [event for event in self._spoken() if self._wanted(event, query)]
            found = [event for event in wanted if _holds(event, terms)] if terms else []
            found.sort(key=lambda event: event.at, reverse=True)
            scored = [(2.0, event) for event in found]
            if terms and len(found) < min(ENOUGH_HITS, query.limit):
                scored += [each for each in _voted(wanted, apart(terms)) if each[1] not in found]
        return [
            Hit(
                event.session,
                event.seq,
                event.kind,
                event.at,
                round(score, 4),
                highlighter.snippet(event.text),
            )
            for score, event in scored[: query.limit]
        ]

    def cursors(self) -> list[Cursor]:
        with self._journal.lock:
            return sorted(map(msgspec.structs.replace, self._state.cursors), key=_key)

    def cursor(self, agent: str, path: str) -> Cursor | None:
        return next((each for each in self.cursors() if _key(each) == (agent, path)), None)

    def marks(self) -> Iterator[Mark]:
        yield from self.mark_page(0)[0]

    def mark_page(self, after: int) -> tuple[list[Mark], int]:
        found = self.cursors()[after:]
        return [_mark(each) for each in found], after + len(found)

    def ledger(self, agent: str = "") -> FilesLedger:
        found = [each for each in self.cursors() if agent in ("", each.agent)]
        return FilesLedger(
            files=len(found),
            parsed=sum(each.ledger.parsed for each in found),
            skipped=sum(each.ledger.skipped + _left_alone(each) for each in found),
            unknown=sum(each.ledger.unknown for each in found),
            bad=sum(each.ledger.bad for each in found),
            torn=sum(each.torn for each in found),
            gone=sum(bool(each.gone_at) for each in found),
            unreadable=sum(bool(each.error) for each in found),
            last_error=max((each.error for each in found), default=""),
            excluded=sum(bool(each.excluded) for each in found),
        )

    def file_errors(self, agent: str, limit: int = ERRORS_MAX) -> list[tuple[str, str]]:
        with self._journal.lock:
            found = [each for each in self._state.cursors if each.agent == agent and each.error]
        return [(each.path, each.error) for each in found[::-1]][:limit]

    def agent_totals(self) -> dict[str, tuple[int, int]]:
        found: dict[str, tuple[int, int]] = {}
        with self._journal.lock:
            for row in self._state.sessions.values():
                sessions, events = found.get(row.agent, (0, 0))
                found[row.agent] = sessions + 1, events + row.events
        return found

    def known_paths(self, agent: str, folder: str) -> set[str]:
        return {
            each.path
            for each in self.cursors()
            if each.agent == agent and os.path.dirname(each.path) == folder
        }

    def next_origin(self, session: str) -> int:
        origins = [each.origin for each in self.cursors() if each.session == session]
        return max(origins, default=-1) + 1

    def lineage(self, session: str) -> list[Span]:
        with self._journal.lock:
            return list(self._state.lineage.get(session, []))

    def beginning_with(self, agent: str, first_uuid: str) -> list[str]:
        with self._journal.lock:
            rows = [
                row
                for row in self._state.sessions.values()
                if (row.agent, row.first_uuid) == (agent, first_uuid)
            ]
        return [row.id for row in sorted(rows, key=lambda row: (-row.events, row.id))]

    def items(self, session: str) -> list[ItemMark]:
        with self._journal.lock:
            return list(self._state.items.get(session, {}).values())

    def item(self, session: str, key: int) -> ItemMark | None:
        with self._journal.lock:
            return self._state.items.get(session, {}).get(key)

    def unknown_types(self) -> list[UnknownType]:
        with self._journal.lock:
            return sorted(
                self._state.unknown, key=lambda each: (-each.records, each.agent, each.type)
            )

    def redactions(self) -> dict[str, int]:
        with self._journal.lock:
            return dict(sorted(self._state.redactions.items(), key=lambda each: -each[1]))

    def blobs(self, wanted: BlobFilter = BlobFilter()) -> list[BlobRow]:  # noqa: B008  # frozen
        with self._journal.lock:
            rows = [self._blob_row(digest) for digest in self._state.blobs]
        found = [
            row
            for row in rows
            if row.digest.startswith(wanted.digest)
            and row.bytes >= wanted.min_bytes
            and (wanted.dropped or not row.dropped_at)
            and wanted.session in ("", *self._state.blob_uses[row.digest])
            and (not wanted.used_before or "" < row.used_at < wanted.used_before)
        ]
        return sorted(found, key=lambda row: (-row.bytes, row.digest))[: wanted.limit]

    def _blob_row(self, digest: str) -> BlobRow:
        blob, users = self._state.blobs[digest], self._state.blob_uses[digest]
        return BlobRow(
            digest,
            blob.bytes,
            blob.stored_bytes,
            self._state.dropped.get(digest, ""),
            len(users),
            max(self._state.sessions[user].updated_at for user in users),
        )

    def audit(self, limit: int = 100) -> list[AuditRecord]:
        with self._journal.lock:
            return self._state.audit[::-1][:limit]

    def recordings(self, *, session: str = "", limit: int | None = None) -> list[Recording]:
        found = [each for each in self._recordings() if session in ("", each.session)]
        return found[::-1][:limit]

    def exports(self, path: str) -> list[Recording]:
        return [each for each in self.recordings() if (each.state, each.path) == ("exported", path)]

    def live_recordings(self) -> list[Recording]:
        return [each for each in self._recordings() if each.state in LIVE_STATES]

    def recording_counts(self) -> dict[str, int]:
        return dict(Counter(each.state for each in self._recordings()))

    def recording_problems(self, limit: int) -> list[tuple[str, str]]:
        found = [
            (each.path, each.problem)
            for each in self._recordings()
            if each.state in ("lost", "failed") and each.problem
        ]
        return found[::-1][:limit]

    def commands(self, *, limit: int | None = None) -> list[CommandRow]:
        return self._commands()[::-1][:limit]

    def pending_commands(self) -> list[CommandRow]:
        return [each for each in self._commands() if each.state == "pending"]

    def known_commands(self, keys: Sequence[str]) -> set[str]:
        return {each.key for each in self._commands()} & set(keys)

    def command_counts(self) -> dict[str, int]:
        return dict(Counter(each.state for each in self._commands()))

    def last_numbers(self) -> tuple[int, int]:
        with self._journal.lock:
            return max(self._state.recordings, default=0), max(self._state.commands, default=0)

    def first_run_ms(self) -> int:
        return self._state.first_run_ms

    def commands_position(self) -> int:
        return self._state.commands_position

    def _recordings(self) -> list[Recording]:
        with self._journal.lock:
            rows = self._state.recordings
            return [msgspec.structs.replace(rows[no]) for no in sorted(rows)]

    def _commands(self) -> list[CommandRow]:
        with self._journal.lock:
            rows = self._state.commands
            return [msgspec.structs.replace(rows[no]) for no in sorted(rows)]

    def totals(self) -> Totals:
        with self._journal.lock:
            rows = self._state.sessions.values()
            there = [
                blob
                for digest, blob in self._state.blobs.items()
                if digest not in self._state.dropped
            ]
            return Totals(
                sessions=sum(row.agent != STREAM_AGENT for row in rows),
                events=sum(row.events for row in rows if row.agent != STREAM_AGENT),
                raw_bytes=sum(row.raw_bytes for row in rows),
                stored_bytes=sum(row.stored_bytes for row in rows),
                next_position=len(self._state.order) + 1,
                indexed_position=self._state.indexed + 1,
                blobs=len(there),
                blob_bytes=sum(blob.bytes for blob in there),
                blob_stored_bytes=sum(blob.stored_bytes for blob in there),
                blobs_dropped=len(self._state.dropped),
            )

    def check(self) -> list[str]:
        return []

    def close(self) -> None:
        pass

    def _spoken(self) -> Iterator[Event]:
        """Every event that search knows, with the text that it knows."""
        events = [
            decode(self._state.lines[session][seq])
            for session, seq in self._state.order[: self._state.indexed]
            if not is_own(
                self._state.sessions[session].agent, self._state.sessions[session].agent_session_id
            )
        ]
        superseded = {
            (event.session, event.supersedes) for event in events if event.supersedes is not None
        }
        for event in events:
            if text_of(event) is not None and (event.session, event.seq) not in superseded:
                yield event

    def _matching(self, terms: Sequence[Term]) -> Iterator[Event]:
        return (event for event in self._spoken() if terms and _holds(event, terms))

    def _wanted(self, event: Event, query: SearchQuery) -> bool:
        row = self._state.sessions[event.session]
        return (
            _fits(row, query.agent, query.project, query.since)
            and query.kind in ("", event.kind)
            and event.at >= query.since
        )


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _left_alone(cursor: Cursor) -> int:
    return max(0, cursor.size - cursor.offset) if cursor.excluded else 0


def _key(cursor: Cursor) -> tuple[str, str]:
    return cursor.agent, cursor.path


def _lines_of(batch: Batch) -> list[bytes]:
    content = b"".join([*(blocks.unseal(block.data) for block in batch.blocks), batch.lines])
    return content.split(b"\n")[:-1]


def _learn(row: SessionRow, facts: Facts) -> None:
    row.parent = facts.parent or row.parent
    row.forked_from = facts.forked_from or row.forked_from
    row.first_uuid = row.first_uuid or facts.first_uuid
    row.project = row.project or facts.project
    rank = facts.title_rank if facts.title else TitleRank.NONE
    if facts.title and rank >= row.title_rank:
        row.title, row.title_rank = facts.title, rank
    starts = [at for at in (row.started_at, facts.started_at) if at]
    row.started_at = min(starts, default="")
    row.updated_at = max(row.updated_at, facts.updated_at)
    row.model = facts.model or row.model
    row.cwd = facts.cwd or row.cwd
    row.branch = facts.branch or row.branch
    row.agent_version = facts.agent_version or row.agent_version


def _fits(row: SessionRow, agent: str, project: str, since: str) -> bool:
    return (
        agent in ("", row.agent)
        and project.casefold() in row.project.casefold()
        and row.updated_at >= since
    )


def _holds(event: Event, terms: Iterable[Term]) -> bool:
    indexed = text_of(event)
    words = tokens(indexed.text.decode()) if indexed else []
    return all(_has(words, term) for term in terms)


def _has(words: Sequence[str], term: Term) -> bool:
    """Whether a term's tokens stand in a row, the last one perhaps only beginning so."""
    *before, last = term.tokens
    width = len(term.tokens)
    for start in range(len(words) - width + 1):
        here = words[start : start + width]
        ends = here[-1].startswith(last) if term.prefix else here[-1] == last
        if ends and here[:-1] == before:
            return True
    return False


def _voted(events: Sequence[Event], terms: Sequence[Term]) -> list[tuple[float, Event]]:
    """The best event of each session that has any of the words, the rarer the word the better."""
    sessions: dict[str, float] = {}
    scores: dict[tuple[str, int], float] = {}
    for term in terms:
        holding = [event for event in events if _holds(event, [term])]
        weight = math.log(1 + len(events) / max(1, len(holding))) ** 2
        for session in {event.session for event in holding}:
            sessions[session] = sessions.get(session, 0.0) + weight
        for event in holding:
            place = (event.session, event.seq)
            scores[place] = scores.get(place, 0.0) + weight
    best: dict[str, tuple[float, Event]] = {}
    for event in events:
        score = scores.get((event.session, event.seq), 0.0)
        if score > best.get(event.session, (0.0, event))[0]:
            best[event.session] = (score, event)
    ranked = [(sessions[session] + score, event) for session, (score, event) in best.items()]
    ranked.sort(key=lambda each: -each[0])
    top = max((score for score, _event in ranked), default=1.0)
    return [(score / top, event) for score, event in ranked]


def _mark(cursor: Cursor) -> Mark:
    return Mark(
        cursor.agent,
        cursor.path,
        cursor.size,
        cursor.mtime_ns,
        cursor.gone_at,
        cursor.error,
        cursor.excluded,
    )
