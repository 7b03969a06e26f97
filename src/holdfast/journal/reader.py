"""Reading the journal: sessions, events, the global order, cursors. Never writes, never blocks."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Any, Final, Self

import apsw

from holdfast import blocks
from holdfast.blocks import DamagedBlock
from holdfast.events import Event, Usage, decode_lines
from holdfast.journal import search, sqlite
from holdfast.journal.model import (
    AuditRecord,
    Blob,
    Cursor,
    FilesLedger,
    Hit,
    Ledger,
    Mark,
    Run,
    SearchQuery,
    SessionFilter,
    SessionRow,
    Totals,
    UnknownType,
)
from holdfast.journal.sql import queries
from holdfast.journal.sqlite import plain_errors

END: Final = 2**62

OnDamage = Callable[[int, int, DamagedBlock], bytes]

_FACTS: Final = (
    "id",
    "agent",
    "agent_session_id",
    "parent",
    "first_uuid",
    "project",
    "title",
    "title_rank",
    "started_at",
    "updated_at",
    "model",
    "cwd",
    "branch",
    "agent_version",
    "forked_from",
    "events",
    "raw_bytes",
    "stored_bytes",
)


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
        self._connection.close()

    def sessions(self, wanted: SessionFilter = SessionFilter()) -> list[SessionRow]:  # noqa: B008  # frozen
        limit = wanted.limit if wanted.limit is not None and not wanted.text else -1
        with plain_errors(self.path):
            cursor = self._connection.execute(
                self._q.list_sessions, (wanted.agent, wanted.project, wanted.since, limit)
            )
            rows = _session_rows(cursor)
        if wanted.text:
            found = self._with_text(wanted.text)
            folded = wanted.text.casefold()
            rows = [
                row
                for row in rows
                if row.id in found
                or folded in row.title.casefold()
                or folded in row.project.casefold()
            ]
        return rows[: wanted.limit]

    def session(self, session: str) -> SessionRow | None:
        with plain_errors(self.path):
            rows = _session_rows(self._connection.execute(self._q.get_session, (session,)))
        return rows[0] if rows else None

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

        One read transaction covers the whole, so that a run that is sealed meanwhile is seen once.
        A damaged block raises, or is replaced by what `on_damage` gives for it.
        """
        stop = END if to_seq is None else to_seq
        with plain_errors(self.path), self._snapshot():
            number = self._connection.execute(self._q.get_session_no, (session,)).get
            if number is None:
                return
            wanted = (number, from_seq, stop)
            for first, count, data in self._connection.execute(self._q.read_blocks, wanted):
                end = stop if stop < first + count else None
                try:
                    lines = blocks.unseal(data)
                except DamagedBlock as error:
                    if on_damage is None:
                        raise _explained(error, session) from error
                    yield on_damage(first, count, error)
                else:
                    yield blocks.cut(lines, first, from_seq, end)
            tail = self._connection.execute(self._q.read_tail, wanted).fetchall()
            if tail:  # many small runs, together no more than a block
                lines = b"".join(run[1] for run in tail)
                yield blocks.cut(lines, tail[0][0], from_seq, None if to_seq is None else stop)

    def events(self, session: str, from_seq: int = 0, to_seq: int | None = None) -> Iterator[Event]:
        for lines in self.read(session, from_seq, to_seq):
            yield from decode_lines(lines)

    def runs(self, position: int, *, limit: int = 1_000) -> list[Run]:
        """The global order, from the run that holds `position` on."""
        with plain_errors(self.path):
            rows = self._connection.execute(self._q.read_runs, (position, limit))
            return [Run(*row) for row in rows]

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
        with plain_errors(self.path), self._snapshot():
            for row in self._connection.execute(self._q.list_marks):
                yield Mark(*row)

    def ledger(self, agent: str = "") -> FilesLedger:
        with plain_errors(self.path):
            return FilesLedger(*self._connection.execute(self._q.ledger, (agent,)).fetchone())

    def known_paths(self, agent: str, folder: str) -> set[str]:
        """The logs directly in a folder that have a cursor."""
        with plain_errors(self.path):
            rows = self._connection.execute(self._q.list_paths_in_folder, (agent, folder))
            return {path for (path,) in rows}

    def next_origin(self, session: str) -> int:
        value = self._connection.execute(self._q.next_origin, (session,)).get
        assert isinstance(value, int)
        return value

    def unknown_types(self) -> list[UnknownType]:
        with plain_errors(self.path):
            rows = self._connection.execute(self._q.list_unknown_types)
            return [UnknownType(*row) for row in rows]

    def blobs(self) -> list[Blob]:
        with plain_errors(self.path):
            return [Blob(*row) for row in self._connection.execute(self._q.list_blobs)]

    def audit(self, limit: int = 100) -> list[AuditRecord]:
        import msgspec

        with plain_errors(self.path):
            rows = self._connection.execute(self._q.list_audit, (limit,))
            return [AuditRecord(at, act, msgspec.Raw(detail.encode())) for at, act, detail in rows]

    def totals(self) -> Totals:
        with plain_errors(self.path):
            return Totals(*self._connection.execute(self._q.totals).fetchone())

    def check(self) -> list[str]:
        """Everything that is wrong with the journal, one sentence each; empty when sound."""
        problems = []
        with plain_errors(self.path), self._snapshot():
            for (line,) in self._connection.execute("PRAGMA quick_check(20)"):
                if line != "ok":
                    problems.append(f"SQLite: {line}")
            for position, session, first, count, data in self._connection.execute(
                self._q.all_blocks
            ):
                problem = _check_block(data, first, count)
                if problem:
                    problems.append(f"session {session}, position {position}: {problem}")
            for (session,) in self._connection.execute(self._q.session_gaps):
                problems.append(f"session {session}: its runs do not add up to its events")
        return problems

    def _with_text(self, words: str) -> set[str]:
        return {hit.session for hit in self.search(SearchQuery(words=words, limit=500))}

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


def _check_block(data: bytes, first_seq: int, count: int) -> str:
    try:
        lines = blocks.unseal(data)
    except DamagedBlock as error:
        return str(error)
    block = blocks.parse(data)
    if (block.first_seq, block.count) != (first_seq, count) or lines.count(b"\n") != count:
        return f"the block of events {first_seq}.. holds other events than its row says"
    return ""


def _session_rows(cursor: apsw.Cursor) -> list[SessionRow]:
    rows: list[SessionRow] = []
    places: dict[str, int] = {}
    for row in cursor:
        if not places:
            places = {column[0]: place for place, column in enumerate(cursor.description)}
        values: dict[str, Any] = {name: row[places[name]] for name in _FACTS}
        usage = Usage(
            row[places["usage_input"]],
            row[places["usage_output"]],
            row[places["usage_cache_read"]],
            row[places["usage_cache_write"]],
        )
        rows.append(SessionRow(**values, usage=usage))
    return rows


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
        )
        for row in rows
    ]
