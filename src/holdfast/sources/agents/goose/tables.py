"""Goose's database: which of its sessions changed, and the rows of one of them that are new.

A message is a row that is not changed any more. But Goose shortens a conversation by removing all
of its rows and adding those that stay under new numbers. So a row is named by what it holds, and
what was stored once is not stored again. Tokens stand in the session, as sums.
"""

from __future__ import annotations

import errno
import hashlib
import math
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import apsw
import msgspec
from msgspec import Raw

from holdfast.sources import database
from holdfast.sources.agents.goose.telling import AGENT, Item, Session, SessionAbout
from holdfast.sources.base import Log, Means, Read, Stamp
from holdfast.sources.loose import tolerant

LISTED_AT_ONCE: Final = 256
LIVE_ROWS: Final = 64
PAGE_ROWS: Final = 256
PAGE_BYTES: Final = 1024 * 1024
PREVIEW_BYTES: Final = 512
GONE: Final = "the session is no longer in the database"
_NEEDED: Final = frozenset({"id", "session_id", "role", "content_json", "created_timestamp"})
_TEXTS: Final = (
    "name",
    "description",
    "parent_session_id",
    "working_dir",
    "created_at",
    "updated_at",
    "model_config_json",
)
_NUMBERS: Final = ("user_set_name", "accumulated_input_tokens", "accumulated_output_tokens")


class _ModelConfig(msgspec.Struct):
    model_name: str | None = None


class _State(msgspec.Struct, array_like=True):
    """What another reading needs to find what is new."""

    last: int  # the greatest row number
    count: int
    second: float  # of the newest rows, and how often each content occurred in it
    seen: dict[bytes, int]
    prompt_title: str


class _Row(NamedTuple):
    rowid: int
    role: str
    created_s: float
    size: int
    content: bytes
    metadata: bytes


_read_model: Final = msgspec.json.Decoder(_ModelConfig).decode


def log_of(path: str, root: str, identity: str) -> Log:
    return Log(AGENT, path, root, identity, member=identity, in_place=True)


def logs(path: str, root: str, since_ns: int) -> Iterator[tuple[Log, Stamp]]:
    after = ""
    while True:
        with database.snapshot(path) as connection:
            tables = _Tables(connection)
            found = tables.stamps(tables.live() if since_ns else tables.listed(after))
        for identity, stamp in found:
            yield log_of(path, root, identity), stamp
        if since_ns or len(found) < LISTED_AT_ONCE:
            return
        if found[-1][0] <= after:
            raise database.damaged(path)
        after = found[-1][0]


def _seconds(value: object) -> float:
    """A column holds whatever was put into it; what is no time is none."""
    try:
        seconds = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return 0.0
    return seconds if math.isfinite(seconds) else 0.0


class _Tables:
    """The tables as they are in one snapshot."""

    def __init__(self, connection: apsw.Connection) -> None:
        self.connection = connection
        self.sessions = database.columns(connection, "sessions")
        self.messages = database.columns(connection, "messages")
        if "id" not in self.sessions or not self.messages >= _NEEDED:
            raise OSError(errno.EPROTO, "holds no sessions of Goose that this holdfast can read")

    def listed(self, after: str) -> list[str]:
        query = f"SELECT DISTINCT id FROM sessions WHERE id > ? ORDER BY id LIMIT {LISTED_AT_ONCE}"
        return [name for (name,) in self._rows(query, (after,)) if isinstance(name, str)]

    def live(self) -> list[str]:
        """Sessions that were changed last, or have rows among the newest."""
        newest = f"SELECT session_id FROM messages ORDER BY id DESC LIMIT {LIVE_ROWS}"
        found = {identity: None for (identity,) in self._rows(newest)}
        if "updated_at" in self.sessions:
            changed = f"SELECT id FROM sessions ORDER BY updated_at DESC LIMIT {LIVE_ROWS}"
            found |= {identity: None for (identity,) in self._rows(changed)}
        return list(found)

    def stamps(self, identities: list[str]) -> list[tuple[str, Stamp]]:
        updated = self._column("updated_at")
        spent = f"ifnull(CAST({self._column('accumulated_output_tokens')} AS INTEGER), 0)"
        query = (
            "SELECT asked.value, (SELECT count(*) FROM messages WHERE session_id = asked.value), "
            "ifnull((SELECT max(id) FROM messages WHERE session_id = asked.value), 0) "
            f"+ {spent}, ifnull(unixepoch({updated}), 0) FROM json_each(?) AS asked "
            "JOIN sessions ON sessions.id = asked.value"
        )
        asked = msgspec.json.encode(identities).decode()
        found = {
            # Times are in seconds: what else changed within one shows in the digits below.
            identity: Stamp(count, max(1, changed_s * 1_000_000_000 + within % 1_000_000_000))
            for identity, count, within, changed_s in self._rows(query, (asked,))
        }
        return list(found.items())  # a table that lost its key may name one twice

    def about(self, identity: str) -> SessionAbout:
        """Raises FileNotFoundError when the session was deleted."""
        wanted = ", ".join(map(self._column, (*_TEXTS, *_NUMBERS)))
        for row in self._rows(f"SELECT {wanted} FROM sessions WHERE id = ?", (identity,)):
            texts = [value if isinstance(value, str) else "" for value in row[: len(_TEXTS)]]
            numbers = [value if isinstance(value, int) else 0 for value in row[len(_TEXTS) :]]
            name, description, parent, folder, created, updated, model = texts
            config = tolerant(_read_model, Raw(model.encode()), _ModelConfig())
            return SessionAbout(
                identity,
                name,
                description,
                bool(numbers[0]),
                parent,
                folder,
                created,
                updated,
                config.model_name or "",
                numbers[1],
                numbers[2],
            )
        raise FileNotFoundError(errno.ENOENT, GONE)

    def count_upto(self, identity: str, last: int) -> int:
        query = "SELECT count(*) FROM messages WHERE session_id = ? AND id <= ?"
        return int(self._rows(query, (identity, last))[0][0])

    def page(self, identity: str, after: int, most: int) -> list[_Row]:
        metadata = "metadata_json" if "metadata_json" in self.messages else "NULL"
        query = (
            "SELECT id, role, created_timestamp, ifnull(octet_length(content_json), 0), "
            f"iif(octet_length(content_json) <= ?, CAST(content_json AS BLOB), NULL), {metadata} "
            f"FROM messages WHERE session_id = ? AND id > ? ORDER BY id LIMIT {PAGE_ROWS}"
        )
        page: list[_Row] = []
        held = 0
        for rowid, role, created_s, size, content, about in self.connection.execute(
            query, (most, identity, after)
        ):
            last = page[-1].rowid if page else after
            if not isinstance(rowid, int) or rowid < last:
                raise database.damaged()
            if rowid == last:
                continue  # a table that lost its key may have one twice
            kept = about.encode() if isinstance(about, str) else b""
            whole = content if content is not None else self._beginning(rowid, size)
            whose = role if isinstance(role, str) else ""
            page.append(_Row(rowid, whose, _seconds(created_s), size, whole, kept))
            held += len(page[-1].content)
            if held >= PAGE_BYTES:
                break
        return page

    def _beginning(self, rowid: int, size: int) -> bytes:
        if not size:
            return b""
        blob = self.connection.blob_open("main", "messages", "content_json", rowid, False)
        return blob.read(PREVIEW_BYTES)

    def _column(self, name: str) -> str:
        return f"sessions.{name}" if name in self.sessions else "NULL"

    def _rows(self, query: str, wanted: tuple[Any, ...] = ()) -> list[Any]:
        return database.rows(self.connection, query, wanted)


class TableReader:
    """One session of the database: what is new since an earlier state."""

    starts_over = False

    def __init__(self, log: Log, state: bytes, means: Means) -> None:
        self._path, self._id, self._means = log.path, log.member, means
        known = msgspec.msgpack.decode(state, type=_State) if state else _State(0, 0, -1, {}, "")
        with database.snapshot(self._path) as connection:
            tables = _Tables(connection)
            about = tables.about(self._id)
            [(_id, self.stamp)] = tables.stamps([self._id])
            known_rows = tables.count_upto(self._id, known.last)
        if known_rows != known.count:  # rows were removed, or all of them written anew
            known = _State(0, 0, -1, {}, known.prompt_title)
        self._session = Session(log, about, means.blobs, known.prompt_title)
        self._state = known
        self.facts, self.unknown = self._session.facts, self._session.unknown

    def read(self) -> Iterator[Read]:
        yield self._session.head()
        while True:
            with database.snapshot(self._path) as connection:
                page = _Tables(connection).page(
                    self._id, self._state.last, self._means.max_item_bytes
                )
            if not page:
                break
            for row in page:
                yield self._told(row)
                self._state.last = row.rowid
                self._state.count += 1
        yield self._session.ending()

    def state(self) -> bytes:
        self._state.prompt_title = self._session.prompt_title
        return msgspec.msgpack.encode(self._state)

    def close(self) -> None:
        """Nothing is held between pages."""

    def _told(self, row: _Row) -> Read:
        item = Item(self._name(row), row.role, row.content, row.size, row.created_s, row.metadata)
        if row.size > self._means.max_item_bytes:
            chunks = database.value_chunks(
                self._path, "messages", "content_json", row.rowid, row.size
            )
            blob = self._means.blobs.put_stream(chunks)
            return self._session.oversized(
                self._session.about(item), row.size, row.content, blob.digest
            )
        item = msgspec.structs.replace(item, content=self._means.clean(item.content))
        return self._session.message(item)

    def _name(self, row: _Row) -> str:
        """From what the row holds; the same content twice in a second is told apart by order."""
        hasher = hashlib.blake2b(
            f"{row.created_s}\0{row.role}\0{row.size}\0".encode(), digest_size=8
        )
        hasher.update(row.content)
        digest = hasher.digest()
        state = self._state
        if row.created_s != state.second:
            state.second, state.seen = row.created_s, {}
        number = state.seen.get(digest, 0)
        state.seen[digest] = number + 1
        return f"{digest.hex()}-{number}"
