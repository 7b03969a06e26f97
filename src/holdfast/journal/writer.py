"""The one that writes: a batch of events and the cursor that goes with it, in one transaction.

Nothing else changes the journal, so positions and sequence numbers need no locks, and a crash
leaves either all of a batch or none. Durability is per commit: what came from a log can be read
again, so it commits without waiting for the disk; what somebody was told is stored waits for it
(`durable`).

The index is fed behind: `write` only remembers the texts, `feed_index` stores them in a transaction
of their own and moves `indexed_position`. What was remembered and lost in a crash, or was too much
to remember, `feed_index` reads again from the journal. Who has something urgent to be written
meanwhile says so: then a part is fed, and the rest another time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import apsw

from holdfast import blocks
from holdfast.events import decode, decode_lines
from holdfast.journal import index, sqlite
from holdfast.journal.appending import Appending
from holdfast.journal.checkpointer import SqliteCheckpointer
from holdfast.journal.model import (
    LIVE_STATES,
    AuditRecord,
    Batch,
    CommandRow,
    Cursor,
    Facts,
    Recording,
    Text,
    TitleRank,
)
from holdfast.journal.protocol import JournalWriter, Scrub, never
from holdfast.journal.reader import SqliteReader
from holdfast.journal.sql import queries
from holdfast.journal.sqlite import (
    JournalBroken,
    JournalDamaged,
    JournalError,
    JournalFull,
    plain_errors,
)
from holdfast.journal.streams import (
    Append,
    Appended,
    Committed,
    Projection,
    WrongSequence,
    is_own,
    stream_facts,
)
from holdfast.journal.unindexed import (
    HURRIED_SHARE,
    Portion,
    Unindexed,
    Words,
    words_of,
)
from holdfast.journal.work_rows import WorkRows

MERGES_MAX: Final = 16
PURGE_WAIT_MS: Final = 10_000
INDEX_BATCH_EVENTS: Final = 4_096  # that are read again at a time
READ_AGAIN_BYTES: Final = 4_000_000  # of their texts
_OF_THE_DISK: Final = (apsw.Error, JournalBroken, JournalDamaged, JournalFull)


class JournalBusy(JournalError):
    """What was rewritten cannot be made unreadable while somebody reads it."""


class _Change(NamedTuple):
    """What rewriting changed: events, and bytes by which something grew."""

    events: int = 0
    raw: int = 0
    stored: int = 0
    tail: int = 0

    def plus(self, other: _Change) -> _Change:
        return _Change(*map(int.__add__, self, other))


class SequenceConflict(JournalError):
    """A batch does not start where its session ends: somebody reads from an old cursor."""


class _UndoneError(Exception):
    """A work failed by itself: its transaction is undone, and nothing else is concerned."""

    def __init__(self, cause: Exception) -> None:
        self.cause = cause


class SqliteWriter:
    """Owns the writing connection. Use it from one thread at a time."""

    def __init__(
        self,
        path: str,
        *,
        block_bytes: int = 262_144,
        audit_max_rows: int = 100_000,
        vfs: str | None = None,
    ) -> None:
        self.path = path
        self._vfs = vfs
        self._block_bytes = block_bytes
        self._audit_max_rows = audit_max_rows
        self._connection = sqlite.open_writer(path, vfs=vfs)
        self._connection.set_wal_hook(self._log_grew)
        self._log_bytes = 0
        self._checkpoint_turn = threading.Lock()
        self._q = queries()
        self._durable = False
        with plain_errors(path):
            self._next_position = self._state("next_position")
            self._indexed_position = self._state("indexed_position")
        self._unindexed = Unindexed(self._next_position)
        self._committed: list[Committed] = []  # nobody took them yet
        self._appending = Appending(
            self._connection,
            self._q,
            seal_tail=self._seal_tail,
            extend_order=self._extend_order,
            upsert=lambda name, at: self._session(stream_facts(name, at)),
            block_bytes=block_bytes,
        )
        with plain_errors(path):
            self._work = WorkRows(self._connection, self._q)

    @property
    def index_lag(self) -> int:
        """Events that search does not find yet."""
        return self._next_position - self._indexed_position

    @property
    def unindexed_bytes(self) -> int:
        return self._unindexed.bytes

    @property
    def next_position(self) -> int:
        return self._next_position

    @property
    def log_bytes(self) -> int:
        return self._log_bytes

    def checkpointer(self) -> SqliteCheckpointer:
        return SqliteCheckpointer(self.path, self._checkpoint_turn, vfs=self._vfs)

    def write(self, batches: Sequence[Batch], *, durable: bool = False) -> None:
        """Store all batches or none of them."""
        position = self._next_position
        words: list[Words] = []
        superseded: list[int] = []
        committed: list[Committed] = []

        def store() -> None:
            nonlocal position
            for batch in batches:
                words.extend(words_of(batch.texts, position - batch.first_seq))
                committed.extend(_runs_of(batch, position))
                position = self._store(batch, position)
                superseded.extend(self._superseded_by(batch.facts.id, batch.texts))
            self._connection.execute(self._q.set_state, (position, "next_position"))

        self._transaction(store, durable=durable)
        self._next_position = position
        self._committed += committed
        self._unindexed.add(words, superseded, end=position)

    def transact(
        self, works: Sequence[Callable[[JournalWriter], object]]
    ) -> list[object | Exception]:
        outcomes: list[object | Exception] = []
        before = self._next_position, len(self._committed)
        attempt = self._attempt if len(works) > 1 else self._attempt_alone

        def run() -> None:
            outcomes.extend(attempt(work) for work in works)
            if self._next_position != before[0]:
                self._connection.execute(self._q.set_state, (self._next_position, "next_position"))

        try:
            self._transaction(run, durable=True)
        except _UndoneError as undone:
            self._undo(*before)
            return [undone.cause]
        except BaseException:
            self._undo(*before)
            raise
        return outcomes

    def append(self, appends: Sequence[Append], now_s: float) -> list[Appended | WrongSequence]:
        """Within `transact`."""
        assert self._connection.in_transaction
        outcomes, stored = self._appending.append(appends, self._next_position, now_s)
        for run, texts in stored:
            self._committed.append(run)
            self._next_position = run.position + run.count
            if texts:
                words = words_of(texts, run.position - run.first_seq)
                self._unindexed.add(words, [], end=self._next_position)
        return outcomes

    @property
    def work(self) -> WorkRows:
        """Within `transact`."""
        assert self._connection.in_transaction
        return self._work

    def count_redactions(self, found: Mapping[str, int]) -> None:
        """Within `transact`: what the door took out."""
        self._connection.executemany(self._q.add_redactions, found.items())

    def take_committed(self) -> list[Committed]:
        taken, self._committed = self._committed, []
        return taken

    def forget_keys(self, before_s: float) -> int:
        self._connection.execute(self._q.forget_stream_keys, (int(before_s),))
        return self._connection.changes()

    def save_projection(self, name: str, projection: Projection) -> None:
        self._connection.execute(self._q.save_projection, (name, *projection))

    def _attempt(self, work: Callable[[JournalWriter], object]) -> object | Exception:
        before = self._next_position, len(self._committed)
        self._connection.execute("SAVEPOINT work")
        try:
            outcome = work(self)
        except _OF_THE_DISK:
            raise  # it concerns all
        except Exception as error:  # noqa: BLE001  # it goes to whoever waits for the work
            self._connection.execute("ROLLBACK TO work")
            self._undo(*before)
            outcome = error
        self._connection.execute("RELEASE work")
        return outcome

    def _attempt_alone(self, work: Callable[[JournalWriter], object]) -> object:
        """What has a transaction to itself needs no savepoint, for which SQLite would copy every
        page that it touches."""
        try:
            return work(self)
        except _OF_THE_DISK:
            raise
        except Exception as error:
            raise _UndoneError(error) from error

    def _undo(self, position: int, committed: int) -> None:
        """What was stored from a position on is not: nothing may remember it."""
        self._appending.forget()
        self._work.forget()
        del self._committed[committed:]
        if self._next_position != position:
            self._next_position = position
            self._unindexed.forget(position)  # what is stored and not indexed yet is read again

    def feed_index(self, in_haste: Callable[[], bool] = never) -> bool:
        if self._indexed_position >= self._next_position:
            return False
        if self._unindexed.from_position <= self._indexed_position:
            words, superseded = self._unindexed.words, self._unindexed.superseded
            end = self._next_position
        else:  # what was read is fed: to read it once more costs more than to feed it
            most = INDEX_BATCH_EVENTS // (HURRIED_SHARE if in_haste() else 1)
            words, superseded, end = self._read_texts_again(self._unindexed.from_position, most)
            in_haste = never
        portion = Portion(words, end, in_haste)

        def store() -> None:
            self._connection.executemany(self._q.insert_words, portion)
            gone = [(position,) for position in superseded]
            self._connection.executemany(self._q.delete_words, gone)
            self._connection.execute(self._q.set_state, (portion.upto, "indexed_position"))

        self._transaction(store)
        self._indexed_position = portion.upto
        self._unindexed.fed(portion.upto)
        return portion.upto < self._next_position

    def audit(self, records: Sequence[AuditRecord]) -> None:
        def store() -> None:
            self._connection.executemany(
                self._q.insert_audit,
                [(record.at, record.action, bytes(record.detail).decode()) for record in records],
            )
            self._connection.execute(self._q.trim_audit, (self._audit_max_rows,))

        self._transaction(store)

    def save_cursors(self, cursors: Sequence[Cursor]) -> None:
        """Cursors that moved without events: a file that is gone, or cannot be read."""
        rows = [_cursor_row(cursor) for cursor in cursors]
        self._transaction(lambda: self._connection.executemany(self._q.upsert_file, rows))

    def drop_blobs(self, digests: Sequence[str], at: str) -> None:
        """Payloads that are let go of; their files are the caller's to remove behind this."""
        rows = [(digest, at) for digest in digests]
        self._transaction(lambda: self._connection.executemany(self._q.drop_blob, rows))

    def save_recordings(
        self,
        recordings: Sequence[Recording] = (),
        commands: Sequence[CommandRow] = (),
        commands_position: int | None = None,
    ) -> None:
        """What became of commands, and of the files they asked for: all of it or nothing."""
        execute = self._connection.execute

        def store() -> None:
            for recording in recordings:
                execute(self._q.save_recording, _recording_row(recording))
            for command in commands:
                execute(self._q.save_command, _command_row(command))
            if commands_position is not None:
                execute(self._q.set_state, (commands_position, "commands_position"))

        self._transaction(store)

    def rewrite(self, session: str, scrub: Scrub) -> int:
        """Store a session anew as `scrub` wants it; the index follows in the same transaction."""
        while self.feed_index():
            pass
        changed = 0
        self._appending.forget()

        def store() -> None:
            nonlocal changed
            changed = self._rewrite(session, scrub)

        self._transaction(store, durable=True)
        return changed

    def rewrite_records(self, scrub: Scrub) -> int:
        changed = 0

        def store() -> None:
            nonlocal changed
            changed = self._rewrite_audit(scrub) + self._rewrite_unknown_types(scrub)
            changed += self._rewrite_commands(scrub) + self._rewrite_recordings(scrub)
            changed += self._work.rewrite(scrub)
            self._connection.execute(self._q.empty_projections)
            self._connection.executemany(self._q.add_redactions, scrub.found().items())

        self._transaction(store, durable=True)
        return changed

    def forget_blobs(self, digests: Sequence[str]) -> None:
        rows = [(digest,) for digest in digests]

        def forget() -> None:
            self._connection.executemany(self._q.delete_blob, rows)
            self._connection.executemany(self._q.delete_blob_uses, rows)

        self._transaction(forget, durable=True)

    def purge(self) -> None:
        """One segment of the index, a file of what is left, an empty write-ahead log.

        The index's own secure-delete does not reach a contentless table, and pages that were free
        before hold old lines; so the file is made anew, with a copy on the disk, not in memory.
        """
        execute = self._connection.execute
        self._transaction(self._merge_index)
        with plain_errors(self.path):
            execute("PRAGMA temp_store = FILE")
            try:
                execute("VACUUM")
            finally:
                execute("PRAGMA temp_store = MEMORY")
            if not self._checkpoint(wait_ms=PURGE_WAIT_MS):
                raise JournalBusy(
                    "all is rewritten, but somebody reads the journal, so old pages are still in "
                    f"{self.path}-wal: run `holdfast redact` again when that is done"
                )

    def checkpoint(self) -> None:
        """Move the write-ahead log into the database and sync it, as far as readers let it."""
        with plain_errors(self.path):
            self._checkpoint()

    def release_memory(self) -> None:
        with plain_errors(self.path):
            self._connection.execute("PRAGMA shrink_memory")

    def backup(self, target: str) -> None:
        sqlite.backup(self._connection, target)

    def close(self) -> None:
        with plain_errors(self.path):
            self._connection.close()

    def _log_grew(self, _connection: apsw.Connection, schema: str, pages: int) -> int:
        if schema == "main":
            self._log_bytes = pages * sqlite.PAGE_BYTES
        return apsw.SQLITE_OK

    def _checkpoint(self, *, wait_ms: int = 0) -> bool:
        with self._checkpoint_turn:
            is_empty = sqlite.checkpoint(self._connection, wait_ms=wait_ms)
        if is_empty:
            self._log_bytes = 0
        return is_empty

    def _transaction(self, store: Callable[[], object], *, durable: bool = False) -> None:
        with plain_errors(self.path):
            if durable != self._durable:
                self._connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
                self._durable = durable
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                store()
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def _state(self, key: str) -> int:
        value = self._connection.execute(self._q.get_state, (key,)).get
        assert isinstance(value, int)
        return value

    def _store(self, batch: Batch, position: int) -> int:
        """One batch; returns the position behind it."""
        number, events, tail_bytes = self._session(batch.facts)
        if (batch.count or batch.cursor is not None) and events != batch.first_seq:
            raise SequenceConflict(
                f"events {batch.first_seq}.. for session {batch.facts.id}, which has {events}: "
                "read its cursor again"
            )
        execute = self._connection.execute
        stored = raw = 0
        start, seq = position, batch.first_seq
        if batch.blocks and tail_bytes:
            stored += self._seal_tail(number)
            tail_bytes = 0
        for block in batch.blocks:
            execute(self._q.insert_block, (position, number, seq, block.count, block.data))
            stored += len(block.data)
            raw += block.raw_bytes
            position += block.count
            seq += block.count
        if batch.line_count:
            execute(self._q.insert_tail, (position, number, seq, batch.line_count, batch.lines))
            stored += len(batch.lines)
            raw += len(batch.lines)
            tail_bytes += len(batch.lines)
            position += batch.line_count
            if tail_bytes >= self._block_bytes:
                stored += self._seal_tail(number)
                tail_bytes = 0
        if batch.count:
            self._extend_order(number, start, batch.first_seq, batch.count)
            usage = batch.usage
            grown = (batch.count, raw, stored, tail_bytes)
            spent = (usage.input, usage.output, usage.cache_read, usage.cache_write)
            execute(self._q.grow_session, (*grown, *spent, number))
        if batch.cursor is not None:
            execute(self._q.upsert_file, _cursor_row(batch.cursor))
        for type_name, (records, size) in batch.unknown_types.items():
            execute(self._q.add_unknown_type, (batch.facts.agent, type_name, records, size))
        for span in batch.inherited:
            execute(self._q.insert_span, (number, span.source, span.first_seq, span.end_seq))
            execute(self._q.grow_lineage, (number, span.count, span.source))
        for mark in batch.items:
            usage = mark.usage
            spent = (usage.input, usage.output, usage.cache_read, usage.cache_write)
            stored_as = (mark.key, mark.digest, mark.seq, mark.turn, mark.version)
            execute(self._q.upsert_item, (number, *stored_as, *spent))
        for blob in batch.blobs:
            execute(self._q.insert_blob, (blob.digest, blob.bytes, blob.stored_bytes))
            execute(self._q.insert_blob_use, (blob.digest, number))
        if batch.redacted:
            self._connection.executemany(self._q.add_redactions, batch.redacted.items())
        return position

    def _merge_index(self) -> None:
        """Until there is nothing to merge: a merge that was under way is only finished by one."""
        for _ in range(MERGES_MAX):
            before = self._connection.total_changes()
            self._connection.execute(self._q.merge_words)
            if self._connection.total_changes() - before < 2:  # the command itself counts as one
                return
        raise JournalError("the index does not come to rest: run `holdfast redact` again")

    def _rewrite(self, session: str, scrub: Scrub) -> int:
        rows = sqlite.select(self._connection, self._q.session_facts, (session,))
        if not rows:
            return 0
        number, agent, name, *facts = rows[0]
        is_found = not is_own(agent, name)
        change = self._rewrite_blocks(number, scrub, is_found=is_found)
        change = change.plus(self._rewrite_tail(number, scrub, is_found=is_found))
        told = [scrub.fact(fact) for fact in facts]
        grown = (change.raw, change.stored, change.tail)
        self._connection.execute(self._q.rewrite_facts, (*told, *grown, number))
        states = sqlite.select(self._connection, self._q.states_of_session, (session,))
        for file, state, error in states:
            self._connection.execute(
                self._q.rewrite_state, (scrub.packed(state), scrub.text(error), file)
            )
        for blob in scrub.blobs():
            self._connection.execute(
                self._q.insert_blob, (blob.digest, blob.bytes, blob.stored_bytes)
            )
            self._connection.execute(self._q.insert_blob_use, (blob.digest, number))
        self._connection.executemany(self._q.add_redactions, scrub.found().items())
        return change.events

    def _rewrite_blocks(self, number: int, scrub: Scrub, *, is_found: bool) -> _Change:
        change, after = _Change(), -1
        while rows := sqlite.select(self._connection, self._q.session_blocks, (number, after)):
            position, after, count, data = rows[0]
            try:
                lines = blocks.unseal(data)
            except blocks.DamagedBlock:  # nobody can read it, nor what may be in it
                continue
            clean = scrub.lines(lines)
            if clean is lines:
                continue
            block = blocks.seal(clean, after, count)
            self._connection.execute(self._q.rewrite_block, (block.data, position))
            events = self._reindex(number, lines, clean, is_found=is_found)
            change = change.plus(
                _Change(events, len(clean) - len(lines), len(block.data) - len(data))
            )
        return change

    def _rewrite_tail(self, number: int, scrub: Scrub, *, is_found: bool) -> _Change:
        change = _Change()
        for position, _first, _count, lines in sqlite.select(
            self._connection, self._q.select_tail, (number,)
        ):
            clean = scrub.lines(lines)
            if clean is not lines:
                self._connection.execute(self._q.rewrite_tail, (clean, position))
                grown = len(clean) - len(lines)
                events = self._reindex(number, lines, clean, is_found=is_found)
                change = change.plus(_Change(events, grown, grown, grown))
        return change

    def _reindex(self, number: int, lines: bytes, clean: bytes, *, is_found: bool) -> int:
        """What the index has of the events that changed; how many these are.

        Each is looked up by its own position: events of other sessions may stand between two of a
        block.
        """
        changed = 0
        before, after = lines.split(b"\n")[:-1], clean.split(b"\n")[:-1]
        for old, new in zip(before, after, strict=True):
            if old == new:
                continue
            changed += 1
            event = decode(new)
            rows = sqlite.select(self._connection, self._q.position_of, (number, event.seq))
            place = rows[0][0]
            self._connection.execute(self._q.delete_words, (place,))
            was_found = self._connection.changes() > 0  # else a later one has superseded it
            text = index.text_of(event) if is_found and was_found else None
            words = words_of([text], place - event.seq) if text is not None else []
            self._connection.executemany(self._q.insert_words, (each.row() for each in words))
        return changed

    def _rewrite_audit(self, scrub: Scrub) -> int:
        changed = 0
        for number, detail in sqlite.select(self._connection, self._q.all_audit):
            clean = scrub.lines(detail.encode() + b"\n").decode().removesuffix("\n")
            if clean != detail:
                self._connection.execute(self._q.rewrite_audit, (clean, number))
                changed += 1
        return changed

    def _rewrite_unknown_types(self, scrub: Scrub) -> int:
        changed = 0
        for agent, name, records, size in sqlite.select(
            self._connection, self._q.list_unknown_types
        ):
            clean = scrub.text(name)
            if clean != name:
                self._connection.execute(self._q.delete_unknown_type, (agent, name))
                self._connection.execute(self._q.add_unknown_type, (agent, clean, records, size))
                changed += 1
        return changed

    def _rewrite_commands(self, scrub: Scrub) -> int:
        changed = 0
        for number, *told in sqlite.select(self._connection, self._q.all_commands):
            clean = [scrub.text(text) for text in told]
            if clean != told:
                self._connection.execute(self._q.rewrite_command, (*clean, number))
                changed += 1
        return changed

    def _rewrite_recordings(self, scrub: Scrub) -> int:
        """A file that is still written to keeps its name."""
        changed = 0
        for number, state, *told in sqlite.select(self._connection, self._q.all_recordings):
            path, problem, place = told
            clean = [
                path if state in LIVE_STATES else scrub.text(path),
                scrub.text(problem),
                scrub.packed(place),
            ]
            if clean != told:
                self._connection.execute(self._q.rewrite_recording, (*clean, number))
                changed += 1
        return changed

    def _session(self, facts: Facts) -> tuple[int, int, int]:
        rows = sqlite.select(self._connection, self._q.upsert_session, _facts_row(facts))
        number, events, tail_bytes = rows[0]
        return number, events, tail_bytes

    def _seal_tail(self, number: int) -> int:
        """Make the open tail of a session a block; how many bytes that adds (it is negative)."""
        runs = sqlite.select(self._connection, self._q.select_tail, (number,))
        lines = b"".join(run[3] for run in runs)
        block = blocks.seal(lines, runs[0][1], sum(run[2] for run in runs))
        self._connection.execute(self._q.delete_tail, (number,))
        self._connection.execute(
            self._q.insert_block, (runs[0][0], number, block.first_seq, block.count, block.data)
        )
        return len(block.data) - len(lines)

    def _extend_order(self, number: int, position: int, first_seq: int, count: int) -> None:
        self._connection.execute(self._q.extend_run, (count, number, first_seq))
        if not self._connection.changes():
            self._connection.execute(self._q.insert_run, (position, number, first_seq, count))

    def _superseded_by(self, session: str, texts: Iterable[Text]) -> list[int]:
        """Where the texts stand that these take the place of."""
        seqs = [text.supersedes for text in texts if text.supersedes is not None]
        if not seqs:
            return []
        ((number, _events),) = sqlite.select(self._connection, self._q.session_length, (session,))
        return [
            position
            for seq in seqs
            for (position,) in sqlite.select(self._connection, self._q.position_of, (number, seq))
        ]

    def _read_texts_again(self, stop: int, most: int) -> tuple[list[Words], list[int], int]:
        """Texts behind the index, from the journal itself, up to what is remembered at most.

        Returns them with the positions that they supersede and the one where that batch ends.
        Damaged events have no texts any more; what stands behind them is found all the same.
        """
        reader = SqliteReader.on(self._connection, self.path)
        words: list[Words] = []
        superseded: list[int] = []
        read, position = 0, self._indexed_position
        stop = min(stop, position + most)
        for run in reader.runs(position, limit=most):
            if is_own(run.agent, run.name):
                continue
            shift = run.position - run.first_seq
            first, end = max(position, run.position), min(run.position + run.count, stop)
            pieces = reader.read(
                run.session, first - shift, end - shift, on_damage=lambda *_damage: b""
            )
            for lines in pieces:
                events = decode_lines(lines)
                texts = [text for text in map(index.text_of, events) if text is not None]
                words += words_of(texts, shift)
                superseded += self._superseded_by(run.session, texts)
                read += sum(len(text.text) for text in texts)
                if read > READ_AGAIN_BYTES:
                    return words, superseded, events[-1].seq + 1 + shift
        return words, superseded, stop


def _runs_of(batch: Batch, position: int) -> Iterable[Committed]:
    facts, seq = batch.facts, batch.first_seq
    whose = (facts.id, facts.agent, facts.agent_session_id)
    for block in batch.blocks:
        yield Committed(position, *whose, seq, block.count, b"")
        position += block.count
        seq += block.count
    if batch.line_count:
        yield Committed(position, *whose, seq, batch.line_count, batch.lines)


def _facts_row(facts: Facts) -> tuple[str | int, ...]:
    return (
        facts.id,
        facts.agent,
        facts.agent_session_id,
        facts.parent,
        facts.first_uuid,
        facts.project,
        facts.title,
        facts.title_rank if facts.title else TitleRank.NONE,
        facts.started_at,
        facts.updated_at,
        facts.model,
        facts.cwd,
        facts.branch,
        facts.agent_version,
        facts.forked_from,
    )


def _cursor_row(cursor: Cursor) -> tuple[str | int | bytes | None, ...]:
    ledger = cursor.ledger
    return (
        cursor.agent,
        cursor.path,
        cursor.session,
        cursor.origin,
        cursor.offset,
        cursor.size,
        cursor.mtime_ns,
        ledger.parsed,
        ledger.skipped,
        ledger.unknown,
        ledger.bad,
        cursor.open_verdict,
        cursor.head_bytes,
        cursor.head,
        cursor.edge,
        cursor.state,
        cursor.compare_until,
        cursor.gone_at,
        cursor.error,
        cursor.excluded,
    )


def _recording_row(recording: Recording) -> tuple[str | int | bytes, ...]:
    return (
        recording.no,
        recording.session,
        recording.path,
        recording.form,
        recording.state,
        recording.asked,
        recording.started_at,
        recording.written_at,
        recording.ended_at,
        recording.events,
        recording.problem,
        recording.place,
    )


def _command_row(command: CommandRow) -> tuple[str | int | None, ...]:
    return (
        command.no,
        command.key,
        command.session,
        command.seq,
        command.at,
        command.name,
        command.text,
        command.origin,
        command.state,
        command.outcome,
        command.recording,
    )
