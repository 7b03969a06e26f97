"""Agents, as far as their stores see them: those that write files anew, and those with a database.

Time is set by hand. Each change of a file is a second after the one before it, so that no test
waits for a clock to move, and none depends on how fast it runs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import apsw
import msgspec

from holdfast.conformance.in_place.sample import Entries

START_NS: Final = 1_772_000_000_000_000_000
SECOND_NS: Final = 1_000_000_000
DAY_NS: Final = 86_400 * SECOND_NS

Layout = Callable[[Entries, bool], Mapping[str, bytes]]


def as_json(value: object, *, readable: bool = False) -> bytes:
    """Compact, or with a line for each value, as people would read it."""
    content = msgspec.json.encode(value)
    if readable:
        try:
            return msgspec.json.format(content, indent=2)
        except (msgspec.DecodeError, RecursionError):
            pass  # what is damaged on purpose
    return content


class _Clock:
    def __init__(self, now_ns: int = START_NS) -> None:
        self._now_ns = now_ns

    def tick(self) -> int:
        self._now_ns += SECOND_NS
        return self._now_ns


class FileKeeper:
    """Writes files anew as a whole; `layout` says which, below the root, and what is in them."""

    def __init__(self, root: Path, layout: Layout) -> None:
        self._root = os.path.realpath(root)
        self._layout = layout
        self._entries: Entries = ()
        self._written: dict[str, bytes] = {}
        self._readable = True
        self._clock = _Clock()

    def write(self, entries: Entries) -> None:
        self._entries = entries
        wanted = {
            os.path.join(self._root, path): content
            for path, content in self._layout(entries, self._readable).items()
        }
        for path in self._written.keys() - wanted.keys():
            os.unlink(path)
        for path, content in wanted.items():
            if self._written.get(path) != content:
                self.replace(path, content)
        self._written = wanted

    def rewrite(self) -> None:
        self._readable = not self._readable
        self._written.clear()
        self.write(self._entries)

    def delete(self) -> None:
        for path in self._written:
            os.unlink(path)
        self._written = {}

    def weight(self) -> int:
        return sum(os.path.getsize(path) for path in self._written)

    def paths(self) -> list[str]:
        return list(self._written)

    def replace(self, path: str, content: bytes) -> None:
        """By renaming: nobody sees half of it."""
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(f"{path}.new", "wb") as file:
            file.write(content)
        at_ns = self._clock.tick()
        os.utime(f"{path}.new", ns=(at_ns, at_ns))
        os.replace(f"{path}.new", path)

    def close(self) -> None:
        """It has nothing open."""


class Row(msgspec.Struct, frozen=True):
    """A row of one of the tables that hold items."""

    table: str
    key: str
    values: Mapping[str, Any]  # by column


class Tables(msgspec.Struct, frozen=True):
    """How an agent uses its database."""

    schema: str
    begin: Callable[[apsw.Connection], None]  # adds the session, without items
    end: Sequence[str]  # statements that remove the session and all its items
    rows: Callable[[Entries], Iterable[Row]]
    # Of each table with items, the column that the keeper names rows by, and the one with content.
    keys: Mapping[str, tuple[str, str]]
    updated: str = ""  # the column that has the time of a change, in milliseconds


class DatabaseKeeper:
    """Has a database open with a write-ahead log, as all agents that we know have."""

    def __init__(self, path: str, tables: Tables) -> None:
        self.path = os.path.realpath(path)
        self._tables = tables
        self._written: dict[tuple[str, str], Row] = {}
        self._clock = _Clock(START_NS + DAY_NS)  # behind the times that items came with
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        self._connection: apsw.Connection | None = None
        self.connection.execute(tables.schema).fetchall()
        self._is_begun = False

    @property
    def connection(self) -> apsw.Connection:
        """Opened when it is needed; it waits for nobody, so that whoever locks it out is found."""
        if self._connection is None:
            self._connection = apsw.Connection(self.path)
            self._connection.set_busy_timeout(0)
            self._connection.execute("PRAGMA journal_mode = WAL").fetchall()
            self._connection.execute("PRAGMA synchronous = OFF").fetchall()
        return self._connection

    def write(self, entries: Entries) -> None:
        wanted = {(row.table, row.key): row for row in self._tables.rows(entries)}
        with self.connection:
            if not self._is_begun:
                self._tables.begin(self.connection)
                self._is_begun = True
            for place in self._written.keys() - wanted.keys():
                self._remove(*place)
            for place, row in wanted.items():
                before = self._written.get(place)
                if before is None:
                    self._add(row)
                elif before != row:
                    self._change(row)
        self._written = wanted

    def _add(self, row: Row) -> None:
        names = ", ".join(row.values)
        places = ", ".join("?" * len(row.values))
        query = f"INSERT INTO {row.table} ({names}) VALUES ({places})"  # noqa: S608  # our names
        self.connection.execute(query, tuple(row.values.values()))

    def _change(self, row: Row) -> None:
        values = dict(row.values)
        if self._tables.updated:
            values[self._tables.updated] = self._clock.tick() // 1_000_000
        names = ", ".join(f"{name} = ?" for name in values)
        key, _content = self._tables.keys[row.table]
        query = f"UPDATE {row.table} SET {names} WHERE {key} = ?"  # noqa: S608  # our names
        self.connection.execute(query, (*values.values(), row.key))

    def _remove(self, table: str, key: str) -> None:
        name, _content = self._tables.keys[table]
        query = f"DELETE FROM {table} WHERE {name} = ?"  # noqa: S608  # our names
        self.connection.execute(query, (key,))

    def rewrite(self) -> None:
        """All rows under new numbers, which is what shortening a conversation comes to."""
        rows = list(self._written.values())
        with self.connection:
            for place in self._written:
                self._remove(*place)
            for row in rows:
                self._add(row)
        self.connection.execute("VACUUM").fetchall()

    def delete(self) -> None:
        with self.connection:
            for statement in self._tables.end:
                self.connection.execute(statement).fetchall()
        self._written, self._is_begun = {}, False

    def weight(self) -> int:
        total = 0
        for table, (_key, content) in self._tables.keys.items():
            length = f"ifnull(sum(octet_length({content})), 0)"
            query = f"SELECT {length} FROM {table}"  # noqa: S608  # our names
            [(size,)] = self.connection.execute(query).fetchall()
            assert isinstance(size, int)
            total += size
        return total

    def reset(self, content: bytes) -> None:
        """As it was without items, whatever became of it."""
        self.close()
        for beside in ("-wal", "-shm", "-journal"):
            Path(self.path + beside).unlink(missing_ok=True)
        Path(self.path).write_bytes(content)
        self._written, self._is_begun = {}, True

    def empty_log(self) -> bool:
        """Move the write-ahead log into the database; whether no reader stood in the way."""
        found = self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return bool(found[0][0] == 0)

    def leave_wal(self) -> None:
        """Work as the oldest databases do: whoever writes locks all others out."""
        self.connection.execute("PRAGMA journal_mode = DELETE").fetchall()

    def lock(self) -> None:
        """Until `unlock`, nobody else can read."""
        self.connection.execute("PRAGMA locking_mode = EXCLUSIVE").fetchall()
        self.connection.execute("BEGIN EXCLUSIVE")

    def unlock(self) -> None:
        self.connection.execute("COMMIT")
        self.close()

    def paths(self) -> list[str]:
        """All of it is in one file, once nobody has it open."""
        self.close()
        return [self.path]

    def replace(self, path: str, content: bytes) -> None:
        with open(path, "wb") as file:
            file.write(content)
        at_ns = self._clock.tick()
        os.utime(path, ns=(at_ns, at_ns))

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
