"""Reading the journal: sessions, events, the global order, cursors. Never writes, never blocks."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, Final, Self

import apsw
import msgspec

from holdfast import blocks
from holdfast.blocks import DamagedBlock, NewerBlock
from holdfast.events import Event, Usage, decode_lines
from holdfast.journal import search, sqlite
from holdfast.journal.model import (
    AuditRecord,
    BlobFilter,
    BlobRow,
    CommandRow,
    Cursor,
    FilesLedger,
    Hit,
    ItemMark,
    Ledger,
    Mark,
    Recording,
    Run,
    SearchQuery,
    SessionFilter,
    SessionRow,
    Span,
    Totals,
    UnknownType,
)
from holdfast.journal.sql import queries
from holdfast.journal.sqlite import JournalDamaged, plain_errors
from holdfast.journal.streams import Projection
from holdfast.journal.work import PREVIEW_BYTES, DeadItem, ItemState, QueueCounts

MARKS_PAGE_ROWS: Final = 1_000
PROBLEMS_MAX: Final = 20  # of one sort
ERRORS_MAX: Final = 20

OnDamage = Callable[[int, int, DamagedBlock], bytes]

_DEAD: Final = DeadItem.__struct_fields__  # in the order of `list_dead_work`
_ROW: Final = tuple(name for name in SessionRow.__struct_fields__ if name != "usage")


class SqliteReader:
    """One reading connection. Use it from one thread at a time."""

    def __init__(self, path: str, *, vfs: str | None = None) -> None:
        self._attach(sqlite.open_reader(path, vfs=vfs), path)

    @classmethod
    def on(cls, connection: apsw.Connection, path: str) -> Self:
        """A reader that borrows the writer's connection."""
        reader = cls.__new__(cls)
        reader._attach(connection, path)  # noqa: SLF001  # the class builds itself
        return reader

    def _attach(self, connection: apsw.Connection, path: str) -> None:
        self._connection = connection
        self._q = queries()
        self.path = path

    def close(self) -> None:
        with plain_errors(self.path):
            self._connection.close()

    def sessions(self, wanted: SessionFilter = SessionFilter()) -> list[SessionRow]:  # noqa: B008  # frozen
        with plain_errors(self.path), self._snapshot():
            return self._sessions_at(self._session_numbers(wanted))

    def session_numbers(self, wanted: SessionFilter = SessionFilter()) -> array[int]:  # noqa: B008  # frozen
        """Which sessions are wanted, newest first: eight bytes each, however many there are."""
        with plain_errors(self.path), self._snapshot():
            return self._session_numbers(wanted)

    def sessions_at(self, numbers: Sequence[int]) -> list[SessionRow]:
        """The sessions of these numbers as they are now, in this order."""
        with plain_errors(self.path):
            return self._sessions_at(numbers)

    def _session_numbers(self, wanted: SessionFilter) -> array[int]:
        project, text = wanted.project.casefold(), wanted.text.casefold()
        if not project and not text:
            limit = -1 if wanted.limit is None else wanted.limit
            asked = (wanted.agent, wanted.since, limit)
            rows = self._connection.execute(self._q.list_sessions, asked)
            return array("q", (number for (number,) in rows))
        # Sifted here, because SQLite folds the case of ASCII only.
        found = search.sessions_with(self._connection, text)
        rows = self._connection.execute(self._q.sift_sessions, (wanted.agent, wanted.since))
        numbers = array(
            "q",
            (
                number
                for number, session, where, title in rows
                if project in (folded := where.casefold())
                and (session in found or text in title.casefold() or text in folded)
            ),
        )
        return numbers[: wanted.limit]

    def _sessions_at(self, numbers: Sequence[int]) -> list[SessionRow]:
        asked = msgspec.json.encode(list(numbers)).decode()
        cursor = self._connection.execute(self._q.get_sessions, (asked,))
        rows = dict(_numbered_sessions(cursor))
        return [rows[number] for number in numbers if number in rows]

    def session(self, session: str) -> SessionRow | None:
        with plain_errors(self.path):
            rows = list(
                _numbered_sessions(self._connection.execute(self._q.get_session, (session,)))
            )
        return rows[0][1] if rows else None

    def find(self, prefix: str, agent: str = "") -> list[tuple[str, str, str, str]]:
        """Sessions that a person may mean: (id, agent, agent's id, title), at most eleven."""
        with plain_errors(self.path):
            return list(self._connection.execute(self._q.find_sessions, (prefix, agent)))

    def read(
        self,
        session: str,
        from_seq: int = 0,
        to_seq: int | None = None,
        *,
        on_damage: OnDamage | None = None,
    ) -> Generator[bytes, None, None]:
        """The canonical lines of a range of events, in pieces of about a block.

        Each piece is read on its own: what is stored never changes, so the pieces fit together
        whoever writes meanwhile, and a reading that is slow or left unfinished holds nothing open.
        It ends where the session ended when it began. A damaged block raises, or is replaced by
        what `on_damage` gives for it.
        """
        with plain_errors(self.path):
            found = self._select(self._q.session_length, session)
        number, events = found[0] if found else (0, 0)
        seq = max(0, from_seq)
        stop = events if to_seq is None else min(to_seq, events)
        while seq < stop and (piece := self._piece(number, seq)):
            first, count, data, sealed = piece
            if first >= stop:
                return
            end = stop if stop < first + count else None
            try:
                lines = unsealed(data, first, count) if sealed else data
            except DamagedBlock as error:
                if on_damage is None:
                    raise _explained(error, session) from error
                yield on_damage(first, count, error)
            else:
                yield blocks.cut(lines, first, seq, end)
            seq = first + count

    def _piece(self, number: int, seq: int) -> tuple[int, int, bytes, bool] | None:
        """The run of events that holds `seq`: first, count, data, and whether that is a block."""
        with plain_errors(self.path), self._snapshot():
            for first, count, data in self._select(self._q.read_block, number, seq):
                return first, count, data, True
            rows = self._select(self._q.read_tail, number, seq)
        if not rows:
            return None
        return rows[0][0], sum(row[1] for row in rows), b"".join(row[2] for row in rows), False

    def events(self, session: str, from_seq: int = 0, to_seq: int | None = None) -> Iterator[Event]:
        for lines in self.read(session, from_seq, to_seq):
            yield from decode_lines(lines)

    def runs(self, position: int, *, limit: int = 1_000, session: str = "") -> list[Run]:
        """The global order, from the run that holds `position` on; or what of it is a session's."""
        with plain_errors(self.path):
            if session:
                rows = self._select(self._q.read_runs_of, position, limit, session)
            else:
                rows = self._select(self._q.read_runs, position, limit)
            return [Run(*row) for row in rows]

    def projection(self, name: str) -> Projection | None:
        """What was made of events and kept."""
        with plain_errors(self.path):
            rows = self._select(self._q.get_projection, name)
        return Projection(*rows[0]) if rows else None

    def queues(self) -> list[QueueCounts]:
        found: dict[str, dict[str, int]] = {}
        oldest: dict[str, int] = {}
        with plain_errors(self.path), self._snapshot():
            for queue, state, count, first in self._select(self._q.count_work):
                found.setdefault(queue, {})[ItemState(state).name.lower()] = count
                oldest[queue] = min(first, oldest.get(queue, first))
            for queue, count in self._select(self._q.count_dead_work):
                found.setdefault(queue, {})["dead"] = count
            since_ms = {
                queue: self._select(self._q.work_enqueued_ms, first)[0][0]
                for queue, first in oldest.items()
            }
        return [
            QueueCounts(queue=queue, **found[queue], oldest_ms=since_ms.get(queue))
            for queue in sorted(found)
        ]

    def dead_work(
        self,
        queue: str,
        *,
        after: int = 0,
        limit: int = 100,
        payload_bytes: int = PREVIEW_BYTES,
    ) -> list[DeadItem]:
        with plain_errors(self.path):
            rows = self._select(self._q.list_dead_work, queue, after, limit, payload_bytes)
        return [DeadItem(**dict(zip(_DEAD, row, strict=True))) for row in rows]

    def search(self, query: SearchQuery) -> list[Hit]:
        with plain_errors(self.path), self._snapshot():
            return search.search(self._connection, self, query)

    def cursors(self) -> list[Cursor]:
        with plain_errors(self.path):
            return _cursors(self._connection.execute(self._q.list_files))

    def cursor(self, agent: str, path: str) -> Cursor | None:
        with plain_errors(self.path):
            found = _cursors(self._connection.execute(self._q.get_file, (agent, path)))
        return found[0] if found else None

    def marks(self) -> Iterator[Mark]:
        """In pages, so that no transaction is open while somebody looks at the files."""
        page, after = self.mark_page(0)
        while page:
            yield from page
            page, after = self.mark_page(after)

    def mark_page(self, after: int) -> tuple[list[Mark], int]:
        with plain_errors(self.path):
            rows = self._select(self._q.list_marks, after, MARKS_PAGE_ROWS)
        return [Mark(*row[1:]) for row in rows], rows[-1][0] if rows else after

    def ledger(self, agent: str = "") -> FilesLedger:
        with plain_errors(self.path):
            return FilesLedger(*self._select(self._q.ledger, agent)[0])

    def file_errors(self, agent: str, limit: int = ERRORS_MAX) -> list[tuple[str, str]]:
        """Logs that cannot be read, with what the system said."""
        with plain_errors(self.path):
            return [
                (path, error) for path, error in self._select(self._q.file_errors, agent, limit)
            ]

    def agent_totals(self) -> dict[str, tuple[int, int]]:
        """Sessions and events of each agent."""
        with plain_errors(self.path):
            rows = self._select(self._q.agent_totals)
        return {agent: (sessions, events) for agent, sessions, events in rows}

    def known_paths(self, agent: str, folder: str) -> set[str]:
        """The logs directly in a folder that have a cursor."""
        with plain_errors(self.path):
            rows = self._connection.execute(self._q.list_paths_in_folder, (agent, folder))
            return {path for (path,) in rows}

    def next_origin(self, session: str) -> int:
        with plain_errors(self.path):
            value = self._connection.execute(self._q.next_origin, (session,)).get
        assert isinstance(value, int)
        return value

    def lineage(self, session: str) -> list[Span]:
        with plain_errors(self.path):
            return [Span(*row) for row in self._select(self._q.list_lineage, session)]

    def beginning_with(self, agent: str, first_uuid: str) -> list[str]:
        """Sessions whose log begins with a record that has this id."""
        with plain_errors(self.path):
            return [row[0] for row in self._select(self._q.beginning_with, agent, first_uuid)]

    def items(self, session: str) -> list[ItemMark]:
        with plain_errors(self.path):
            rows = self._connection.execute(self._q.list_items, (session,))
            return [ItemMark.of_row(row) for row in rows]

    def item(self, session: str, key: int) -> ItemMark | None:
        with plain_errors(self.path):
            rows = self._select(self._q.get_item, session, key)
        return ItemMark.of_row(rows[0]) if rows else None

    def unknown_types(self) -> list[UnknownType]:
        with plain_errors(self.path):
            rows = self._connection.execute(self._q.list_unknown_types)
            return [UnknownType(*row) for row in rows]

    def redactions(self) -> dict[str, int]:
        """How much was taken out, by kind."""
        with plain_errors(self.path):
            return dict(self._select(self._q.list_redactions))

    def blobs(self, wanted: BlobFilter = BlobFilter()) -> list[BlobRow]:  # noqa: B008  # frozen
        limit = -1 if wanted.limit is None else wanted.limit
        asked = (wanted.digest, wanted.session, wanted.used_before, wanted.min_bytes)
        with plain_errors(self.path):
            rows = self._select(self._q.list_blobs, *asked, wanted.dropped, limit)
        return [BlobRow(*row) for row in rows]

    def audit(self, limit: int = 100) -> list[AuditRecord]:
        with plain_errors(self.path):
            rows = self._connection.execute(self._q.list_audit, (limit,))
            return [AuditRecord(at, act, msgspec.Raw(detail.encode())) for at, act, detail in rows]

    def recordings(self, *, session: str = "", limit: int | None = None) -> list[Recording]:
        """Newest first; of one session all of them."""
        with plain_errors(self.path):
            if session:
                rows = self._select(self._q.list_recordings_of_session, session)[:limit]
            else:
                rows = self._select(self._q.list_recordings, -1 if limit is None else limit)
        return [_recording(row) for row in rows]

    def exports(self, path: str) -> list[Recording]:
        """Those that were written once, into this file; newest first."""
        with plain_errors(self.path):
            return [_recording(row) for row in self._select(self._q.list_exports, path)]

    def live_recordings(self) -> list[Recording]:
        """Those that something is still to be written to, oldest first."""
        with plain_errors(self.path):
            return [_recording(row) for row in self._select(self._q.list_live_recordings)]

    def recording_counts(self) -> dict[str, int]:
        with plain_errors(self.path):
            return dict(self._select(self._q.count_recordings))

    def recording_problems(self, limit: int) -> list[tuple[str, str]]:
        """Path and problem of the newest recordings that ended badly."""
        with plain_errors(self.path):
            return self._select(self._q.list_recording_problems, limit)

    def commands(self, *, limit: int | None = None) -> list[CommandRow]:
        """Newest first."""
        with plain_errors(self.path):
            rows = self._select(self._q.list_commands, -1 if limit is None else limit)
        return [_command(row) for row in rows]

    def pending_commands(self) -> list[CommandRow]:
        """Those that were begun and not seen through, oldest first."""
        with plain_errors(self.path):
            return [_command(row) for row in self._select(self._q.list_pending_commands)]

    def known_commands(self, keys: Sequence[str]) -> set[str]:
        """Which of these keys have had their turn."""
        asked = msgspec.json.encode(keys).decode()
        with plain_errors(self.path):
            return {key for (key,) in self._select(self._q.command_keys, asked)}

    def command_counts(self) -> dict[str, int]:
        with plain_errors(self.path):
            return dict(self._select(self._q.count_commands))

    def last_numbers(self) -> tuple[int, int]:
        """The numbers that were given last: of a recording, of a command."""
        with plain_errors(self.path):
            ((recording, command),) = self._select(self._q.last_numbers)
        return recording, command

    def first_run_ms(self) -> int:
        """When the journal was first opened, in milliseconds since 1970."""
        return self._state("first_run_ms")

    def commands_position(self) -> int:
        """Everything before it was searched for commands."""
        return self._state("commands_position")

    def _state(self, key: str) -> int:
        with plain_errors(self.path):
            value = self._connection.execute(self._q.get_state, (key,)).get
        assert isinstance(value, int)
        return value

    def totals(self) -> Totals:
        with plain_errors(self.path):
            return Totals(*self._select(self._q.totals)[0])

    def check(self) -> list[str]:
        """Everything that is wrong with the journal, one sentence each; empty when sound."""
        problems: list[str] = []
        try:
            with plain_errors(self.path), self._snapshot():
                problems += self._problems()
        except JournalDamaged as error:
            problems.append(str(error))
        return problems

    def _problems(self) -> Iterator[str]:
        execute = self._connection.execute
        for (line,) in execute(f"PRAGMA quick_check({PROBLEMS_MAX})"):
            if line != "ok":
                yield f"SQLite: {line}"
        for position, session, first, count, data in execute(self._q.all_blocks):
            try:
                unsealed(data, first, count)
            except (DamagedBlock, NewerBlock) as error:
                yield f"session {session}, position {position}: {error}"
        for (session,) in execute(self._q.session_gaps, (PROBLEMS_MAX,)):
            yield f"session {session}: its events do not stand end to end"
        for (position,) in execute(self._q.order_gaps, (PROBLEMS_MAX,)):
            yield f"position {position}: the run does not reach to the next one"

    def _select(self, query: str, *wanted: object) -> list[Any]:
        return sqlite.select(self._connection, query, wanted)

    def _snapshot(self) -> _Snapshot:
        return _Snapshot(self._connection)


class _Snapshot:
    """A read transaction; nested ones and the writer's own are left alone."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._owner = not connection.in_transaction

    def __enter__(self) -> None:
        if self._owner:
            self._connection.execute("BEGIN")

    def __exit__(self, *_error: object) -> None:
        if self._owner and self._connection.in_transaction:
            self._connection.execute("COMMIT")


def _explained(error: DamagedBlock, session: str) -> DamagedBlock:
    return DamagedBlock(
        f"session {session}: {error}; the rest of the journal is sound, "
        "restore this session from a backup or from its log"
    )


def unsealed(data: bytes, first_seq: int, count: int) -> bytes:
    """The lines of a block, which must be the events that its row says."""
    lines = blocks.unseal(data)
    if blocks.HEADER.unpack_from(data)[5:7] != (first_seq, count):
        raise DamagedBlock(f"the block of events {first_seq}.. holds others than its row says")
    return lines


def _numbered_sessions(cursor: apsw.Cursor) -> Iterator[tuple[int, SessionRow]]:
    places: dict[str, int] = {}
    for row in cursor:
        if not places:
            places = {column[0]: place for place, column in enumerate(cursor.description)}
        values: dict[str, Any] = {name: row[places[name]] for name in _ROW}
        usage = Usage(
            row[places["usage_input"]],
            row[places["usage_output"]],
            row[places["usage_cache_read"]],
            row[places["usage_cache_write"]],
        )
        yield row[places["no"]], SessionRow(**values, usage=usage)


def _cursors(rows: apsw.Cursor) -> list[Cursor]:
    return [
        Cursor(
            agent=row[1],
            path=row[2],
            session=row[3],
            origin=row[4],
            offset=row[5],
            size=row[6],
            mtime_ns=row[7],
            ledger=Ledger(row[8], row[9], row[10], row[11]),
            open_verdict=row[12],
            head_bytes=row[13],
            head=row[14],
            edge=row[15],
            state=row[16],
            compare_until=row[17],
            gone_at=row[18],
            error=row[19],
            excluded=row[20],
        )
        for row in rows
    ]


def _recording(row: Sequence[Any]) -> Recording:
    return Recording(
        no=row[0],
        session=row[1],
        path=row[2],
        form=row[3],
        state=row[4],
        asked=row[5],
        started_at=row[6],
        written_at=row[7],
        ended_at=row[8],
        events=row[9],
        problem=row[10],
        place=row[11],
    )


def _command(row: Sequence[Any]) -> CommandRow:
    return CommandRow(
        no=row[0],
        key=row[1],
        session=row[2],
        seq=row[3],
        at=row[4],
        name=row[5],
        text=row[6],
        origin=row[7],
        state=row[8],
        outcome=row[9],
        recording=row[10],
    )
