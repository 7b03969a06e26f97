"""OpenCode's database: which of its sessions changed, and the rows of one of them that did.

One database holds every session of a person and may be many gigabytes, so it is never read whole.
What tells whether a session changed is cheap (`_stamps`): how many rows it has, from indexes, and
the newest times of a few rows. That finds every change in time, for whatever changes in a session
ends with a new row, or with a new time in one of its newest; what changed is then found exactly, by
the times and numbers of all rows of that one session, without their contents.

A row that was added late with an old time has a new row number. Where numbers were given anew (rows
were deleted, the file was vacuumed), the count of rows is not what it should be, and the session is
read whole once.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import apsw
import msgspec

from holdfast.sources import database
from holdfast.sources.agents.opencode.records import Message
from holdfast.sources.agents.opencode.second import SecondSession
from holdfast.sources.agents.opencode.telling import (
    AGENT,
    Item,
    Session,
    SessionAbout,
    Whose,
)
from holdfast.sources.base import Log, Means, Read, Stamp

LISTED_AT_ONCE: Final = 256  # sessions, from one snapshot
NEWEST_PARTS: Final = 8  # more tools at the same time than an agent runs
NEWEST_MESSAGES: Final = 2
LIVE_PARTS: Final = 256  # the sessions of the newest so many parts are looked at between walks
LIVE_MESSAGES: Final = 64
PAGE_MESSAGES: Final = 64
PAGE_BYTES: Final = 1024 * 1024  # of contents, from one snapshot
CHANGED_MAX: Final = 2_000  # messages: with more, all of them are looked at
SLACK_MS: Final = 1_000  # a row may be committed after one with a later time
PREVIEW_BYTES: Final = 512
STEP_BYTES_MAX: Final = 4_096
SESSION_TABLES: Final = ("session", "session_v2")
MS_MAX: Final = 9e12
GONE: Final = "the session is no longer in the database"

_ROW_COLUMNS: Final = frozenset({"id", "session_id", "time_created", "time_updated", "data"})
_MORE_COLUMNS: Final = {
    "part": frozenset({"message_id"}),
    "session_message": frozenset({"type"}),
}
_NEWEST: Final = {
    "message": f"time_created DESC, id DESC LIMIT {NEWEST_MESSAGES}",
    "part": f"rowid DESC LIMIT {NEWEST_PARTS}",
    "session_message": f"rowid DESC LIMIT {NEWEST_PARTS}",
}
_LIVE: Final = {"message": LIVE_MESSAGES, "part": LIVE_PARTS, "session_message": LIVE_PARTS}
_UPDATED_MS: Final = "CAST(time_updated AS REAL)"  # a column holds whatever was put into it
_ROLE: Final = re.compile(rb'"role":"(\w+)"')


class _State(msgspec.Struct, array_like=True):
    """What another reading needs to find what changed."""

    watermark_ms: float
    counts: dict[str, tuple[int, int]]  # of each table, how many rows and the greatest number
    prompt_title: str


class _Row(NamedTuple):
    table: str
    rowid: int
    id: str
    created: object  # as it stands there, which is what rows are ordered by
    created_ms: float
    updated_ms: float
    size: int
    kind: str


class _Place(NamedTuple):
    """Behind what was read last."""

    created: object
    message: str
    part: str


_START: Final = _Place(float("-inf"), "", "")


class _Found(NamedTuple):
    """An item of a page; one that is too large comes without its content."""

    row: _Row
    content: bytes
    is_whole: bool
    whose: Whose | None  # None: it is the message itself, and `of` says which
    of: Whose


def logs(path: str, root: str, since_ns: int) -> Iterator[tuple[Log, Stamp]]:
    """The sessions of a database; with `since_ns`, those that are written now."""
    after = ""
    while True:
        with database.snapshot(path) as connection:
            tables = _Tables(connection)
            found = tables.stamps(tables.live()) if since_ns else tables.stamps_after(after)
        for identity, stamp in found:
            yield log_of(path, root, identity), stamp
        if since_ns or len(found) < LISTED_AT_ONCE:
            return
        if found[-1][0] <= after:
            raise database.damaged(path)
        after = found[-1][0]


def log_of(path: str, root: str, identity: str) -> Log:
    return Log(AGENT, path, root, identity, member=identity, in_place=True)


def _ms(value: object) -> float:
    """What is no time is none; and beyond these no calendar goes."""
    if not isinstance(value, int | float) or not -MS_MAX < value < MS_MAX:
        return 0.0
    return float(value)


def _order(created: object, identity: str) -> tuple[int, Any, str]:
    """As SQLite orders rows: numbers before texts, and those before bytes."""
    if isinstance(created, int | float):
        return 0, created, identity
    if isinstance(created, str):
        return 1, created, identity
    return 2, created, identity


class _Tables:
    """The tables as they are in one snapshot."""

    def __init__(self, connection: apsw.Connection) -> None:
        self.connection = connection
        self.sessions = [
            (table, names)
            for table in SESSION_TABLES
            if "id" in (names := database.columns(connection, table))
        ]
        self.items = [name for name in _NEWEST if self._is_known(name)]
        if not self.sessions or not self.items:
            raise OSError(errno.EPROTO, "holds no sessions of OpenCode that this holdfast can read")

    def _is_known(self, table: str) -> bool:
        names = database.columns(self.connection, table)
        return names >= _ROW_COLUMNS | _MORE_COLUMNS.get(table, frozenset())

    def stamps_after(self, after: str) -> list[tuple[str, Stamp]]:
        of_any = " UNION ".join(
            f"SELECT id FROM {table} WHERE id > ?1" for table, _ in self.sessions
        )
        query = f"SELECT DISTINCT id FROM ({of_any}) ORDER BY id LIMIT {LISTED_AT_ONCE}"
        found = [name for (name,) in self._rows(query, (after,)) if isinstance(name, str)]
        return self.stamps(found)

    def live(self) -> list[str]:
        """Sessions with rows among the newest."""
        found = {
            identity: None
            for table in self.items
            for (identity,) in self._rows(
                f"SELECT session_id FROM {table} ORDER BY rowid DESC LIMIT {_LIVE[table]}"
            )
        }
        return list(found)

    def stamps(self, identities: list[str]) -> list[tuple[str, Stamp]]:
        counts = " + ".join(
            f"(SELECT count(*) FROM {table} WHERE session_id = asked.value)" for table in self.items
        )
        newest = [
            f"ifnull((SELECT max({_UPDATED_MS}) FROM (SELECT time_updated FROM {table} "
            f"WHERE session_id = asked.value ORDER BY {_NEWEST[table]})), 0)"
            for table in self.items
        ]
        newest += [
            f"ifnull((SELECT {_UPDATED_MS} FROM {table} WHERE id = asked.value), 0)"
            for table, names in self.sessions
            if "time_updated" in names
        ]
        query = (
            f"SELECT asked.value, {counts}, max(0, {', '.join(newest)}) FROM json_each(?) AS asked"
        )
        asked = msgspec.json.encode(identities).decode()
        return [
            (identity, Stamp(count, int(_ms(newest_ms) * 1_000_000) or 1))
            for identity, count, newest_ms in self._rows(query, (asked,))
        ]

    def about(self, identity: str) -> SessionAbout:
        """Raises FileNotFoundError when the session was deleted."""
        wanted = ("parent_id", "title", "directory", "version", "time_created", "time_updated")
        for table, names in self.sessions:
            chosen = ", ".join(name if name in names else f"NULL AS {name}" for name in wanted)
            for row in self._rows(f"SELECT {chosen} FROM {table} WHERE id = ?", (identity,)):
                parent, title, directory, version = (
                    value if isinstance(value, str) else "" for value in row[:4]
                )
                created_ms, updated_ms = map(_ms, row[4:])
                return SessionAbout(
                    identity, parent, title, directory, version, created_ms, updated_ms
                )
        raise FileNotFoundError(errno.ENOENT, GONE)

    def counts(self, identity: str) -> dict[str, tuple[int, int]]:
        return {
            table: row
            for table in self.items
            for row in self._rows(
                f"SELECT count(*), ifnull(max(rowid), 0) FROM {table} WHERE session_id = ?",
                (identity,),
            )
        }

    def added(self, identity: str, table: str, greatest: int) -> int:
        query = f"SELECT count(*) FROM {table} WHERE session_id = ? AND rowid > ?"
        return int(self._rows(query, (identity, greatest))[0][0])

    def newest_ms(self, identity: str) -> float:
        """Of all rows of a session."""
        found = [
            self._rows(
                f"SELECT max({_UPDATED_MS}) FROM {table} WHERE session_id = ?",
                (identity,),
            )
            for table in self.items
        ]
        return max(_ms(row[0][0]) for row in found)

    def changed(self, identity: str, known: _State) -> list[str]:
        """Messages with rows that are newer than what is known; one too many when they are many."""
        parts = []
        wanted: list[Any] = []
        for table in self.items:
            name = "message_id" if table == "part" else "id"
            parts.append(
                f"SELECT {name} AS id FROM {table} WHERE session_id = ? "
                "AND (time_updated >= ? OR rowid > ?)"
            )
            wanted += [identity, known.watermark_ms, known.counts.get(table, (0, 0))[1]]
        query = f"SELECT DISTINCT id FROM ({' UNION ALL '.join(parts)}) LIMIT {CHANGED_MAX + 1}"
        return [each for (each,) in self._rows(query, tuple(wanted))]

    def rows_of(self, table: str, condition: str, wanted: tuple[Any, ...]) -> Iterator[_Row]:
        """Without their contents, which is what makes sorting them cheap."""
        kind = "type" if table == "session_message" else "''"
        query = (
            "SELECT rowid, id, time_created, time_updated, ifnull(octet_length(data), 0), "
            f"{kind} FROM {table} WHERE {condition}"
        )
        for rowid, identity, created, updated, size, told in self._rows(query, wanted):
            yield _Row(
                table, rowid, str(identity), created, _ms(created), _ms(updated), size, str(told)
            )

    def content(self, row: _Row, most: int) -> tuple[bytes, bool]:
        """And whether it is all of it: of a large one the beginning is read, no more."""
        if row.size > most:
            blob = self.connection.blob_open("main", row.table, "data", row.rowid, False)
            return blob.read(PREVIEW_BYTES), False
        query = f"SELECT CAST(data AS BLOB) FROM {row.table} WHERE rowid = ?"
        found = self._rows(query, (row.rowid,))
        return bytes(found[0][0] or b""), True

    def has_steps(self, message: str) -> bool:
        query = (
            "SELECT EXISTS (SELECT 1 FROM part WHERE message_id = ? "
            f'AND octet_length(data) < {STEP_BYTES_MAX} AND instr(data, \'"type":"step-finish"\'))'
        )
        return bool(self._rows(query, (message,))[0][0])

    def _rows(self, query: str, wanted: tuple[Any, ...] = ()) -> list[Any]:
        return database.rows(self.connection, query, wanted)


class TableReader:
    """One session of a database: what may have changed since an earlier state."""

    starts_over = False

    def __init__(self, log: Log, state: bytes, means: Means, now_ms: Callable[[], float]) -> None:
        self._path, self._id, self._means = log.path, log.member, means
        known = msgspec.msgpack.decode(state, type=_State) if state else None
        with database.snapshot(self._path) as connection:
            tables = _Tables(connection)
            about = tables.about(self._id)
            [(_id, self.stamp)] = tables.stamps([self._id])
            self._counts = tables.counts(self._id)
            self._newest_ms = tables.newest_ms(self._id)
            self._changed: list[str] | None = None  # all of them
            if known is not None and self._is_as_expected(tables, known):
                self._changed = tables.changed(self._id, known)
                if len(self._changed) > CHANGED_MAX:
                    self._changed = None
            is_second = not self._counts.get("message", (0, 0))[0]
        self._known = known if known is not None else _State(float("-inf"), {}, "")
        if self._changed is None:
            self._known = _State(float("-inf"), {}, self._known.prompt_title)
        kind = SecondSession if is_second and "session_message" in self._counts else Session
        self._session = kind(log, about, means.blobs, now_ms, self._known.prompt_title)
        self._is_second = kind is SecondSession
        self.facts, self.unknown = self._session.facts, self._session.unknown

    def _is_as_expected(self, tables: _Tables, known: _State) -> bool:
        """Whether nothing was added that has no number above the known ones."""
        return known.counts.keys() == self._counts.keys() and all(
            count == known.counts[table][0] + tables.added(self._id, table, known.counts[table][1])
            for table, (count, _greatest) in self._counts.items()
        )

    def read(self) -> Iterator[Read]:
        yield self._session.head()
        for page in self._pages():
            for found in page:
                yield self._told(found)
        if self._session.open_since_ms is not None:
            # What is still being written must show as a change, whatever happens until then.
            self.stamp = Stamp(self.stamp.size, self.stamp.mtime_ns - 1)

    def state(self) -> bytes:
        open_since_ms = self._session.open_since_ms
        newest_ms = (
            self._newest_ms if open_since_ms is None else min(open_since_ms, self._newest_ms)
        )
        return msgspec.msgpack.encode(
            _State(newest_ms - SLACK_MS, self._counts, self._session.prompt_title)
        )

    def close(self) -> None:
        """Nothing is held between pages."""

    def _pages(self) -> Iterator[list[_Found]]:
        place: _Place | None = _START
        while place is not None:
            with database.snapshot(self._path) as connection:
                page, place = self._page(_Tables(connection), place)
            yield page

    def _page(self, tables: _Tables, place: _Place) -> tuple[list[_Found], _Place | None]:
        page: list[_Found] = []
        held = 0
        start = place
        messages = self._messages(tables, place)
        for message in messages:
            if _order(message.created, message.id) < _order(place.created, place.message):
                raise database.damaged(self._path)
            if place[1:] == (message.id, _BEHIND_ALL) and place.created == message.created:
                continue  # a table that lost its key may have one twice
            content, is_whole = tables.content(message, self._means.max_item_bytes)
            whose = self._whose(tables, message, content, is_whole=is_whole)
            after = place.part if message.id == place.message else ""
            for part in self._parts(tables, message, after):
                if part.id < after:
                    raise database.damaged(self._path)
                if part.id == after:
                    continue
                after = part.id
                inner, inner_whole = tables.content(part, self._means.max_item_bytes)
                page.append(_Found(part, inner, inner_whole, whose, whose))
                held += len(inner)
                if held >= PAGE_BYTES:
                    return page, _Place(message.created, message.id, part.id)
            if self._is_new(message):
                page.append(_Found(message, content, is_whole, None, whose))
                held += len(content)
            place = _Place(message.created, message.id, _BEHIND_ALL)
            if held >= PAGE_BYTES:
                return page, place
        if len(messages) < PAGE_MESSAGES:
            return page, None
        if place == start:
            raise database.damaged(self._path)
        return page, place

    def _messages(self, tables: _Tables, place: _Place) -> list[_Row]:
        table = "session_message" if self._is_second else "message"
        beyond = ">" if place.part == _BEHIND_ALL else ">="
        condition = f"session_id = ? AND (time_created, id) {beyond} (?, ?)"
        wanted: tuple[Any, ...] = (self._id, place.created, place.message)
        if self._changed is not None:
            condition += " AND id IN (SELECT value FROM json_each(?))"
            wanted += (msgspec.json.encode(self._changed).decode(),)
        condition += f" ORDER BY time_created, id LIMIT {PAGE_MESSAGES}"
        return list(tables.rows_of(table, condition, wanted))

    def _parts(self, tables: _Tables, message: _Row, after: str) -> Iterator[_Row]:
        if self._is_second or "part" not in self._counts:
            return iter(())
        condition = "message_id = ? AND id > ? AND (time_updated >= ? OR rowid > ?) ORDER BY id"
        greatest = self._known.counts.get("part", (0, 0))[1]
        # Parts that came before their message were not met until now, however old they are.
        is_late = message.rowid > self._known.counts.get(message.table, (0, 0))[1]
        watermark_ms = float("-inf") if is_late else self._known.watermark_ms
        wanted = (message.id, after, watermark_ms, greatest)
        return tables.rows_of("part", condition, wanted)

    def _is_new(self, row: _Row) -> bool:
        greatest = self._known.counts.get(row.table, (0, 0))[1]
        return row.updated_ms >= self._known.watermark_ms or row.rowid > greatest

    def _whose(self, tables: _Tables, message: _Row, content: bytes, *, is_whole: bool) -> Whose:
        if not is_whole:
            role = _ROLE.search(content)
            return Whose(message.id, Message(role=role[1].decode() if role else None))
        has_steps = "part" in self._counts and tables.has_steps(message.id)
        return self._session.whose(_item(message, content), has_steps=has_steps)

    def _told(self, found: _Found) -> Read:
        row, session = found.row, self._session
        item = _item(row, found.content if found.is_whole else b"")
        if not found.is_whole:
            chunks = database.value_chunks(self._path, row.table, "data", row.rowid, row.size)
            blob = self._means.blobs.put_stream(chunks)
            return session.oversized_item(item, found.content, blob.digest)
        item = msgspec.structs.replace(item, content=self._means.clean(item.content))
        if found.whose is None:
            return session.message(item, found.of)
        return session.part(item, found.whose)


_BEHIND_ALL: Final = "\U0010ffff"  # of the parts of a message


def _item(row: _Row, content: bytes) -> Item:
    return Item(row.id, content, row.size, row.created_ms, row.updated_ms, row.kind)
