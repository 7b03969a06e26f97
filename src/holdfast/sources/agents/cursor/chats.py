"""Chats of Cursor's command line: `chats/<hash of the folder>/<chat>/store.db`, one for each chat.

Its table `blobs` holds contents under the digest of themselves. Those that are JSON are messages;
that much is known from several programs that read them. The others are protocol buffers without a
published description: most only name the blobs of a conversation in order, and are skipped; what
else they hold nobody has described, so they are kept as they are and counted as unknown. A blob is
never changed, so its digest is the name of what was said in it.

No message has a time. What is there at the first reading has the time at which the chat began, what
comes later that at which it was found.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, ClassVar, Final, NamedTuple

import msgspec
from msgspec import Raw, Struct

from holdfast.events import EMPTY, Event, Kind
from holdfast.journal.model import TitleRank
from holdfast.sources import database
from holdfast.sources.base import BlobSink, Log, Means, Read, Stamp, file_stamp
from holdfast.sources.loose import NOTHING, UNREADABLE, is_there, items_of, read_text, tolerant
from holdfast.sources.mending import clean, is_dense, is_sound, mended
from holdfast.sources.rows import Conversation, named
from holdfast.sources.telling import (
    DENSE_BYTES_MIN,
    NAME_CHARS_MAX,
    NO_TYPE,
    PARTS_MAX,
    About,
    Telling,
    Told,
    first_facts,
)
from holdfast.sources.text import instant_of_ms
from holdfast.sources.tools import ToolCall, ToolResult, brief

AGENT: Final = "cursor"
PAGE_ROWS: Final = 256
PAGE_BYTES: Final = 1024 * 1024
PREVIEW_BYTES: Final = 512
UNKNOWN: Final = "blob (not JSON)"
UNNAMED: Final = frozenset({"", "New Agent"})

_PLACE: Final = re.compile(r"chats/[^/]+/([^/]+)/store\.db")
_QUERY: Final = re.compile(r"<user_query>\s*(.*?)\s*</user_query>", re.DOTALL)
_ONLY_NAMES: Final = re.compile(rb"(?:\x0a\x20.{32})+", re.DOTALL)  # field 1, 32 bytes: a digest
_JSON: Final = b"{"
_encode: Final = msgspec.json.Encoder().encode


def log_at(root: str, path: str) -> Log | None:
    """The chat in a file; apart from a transcript that Cursor may keep of the same one."""
    found = _PLACE.fullmatch(path[len(root) + 1 :])
    return Log(AGENT, path, root, f"chats/{found[1]}", in_place=True) if found else None


def store_of(root: str, path: str) -> str | None:
    path = path.removesuffix("-wal").removesuffix("-journal")
    return path if log_at(root, path) else None


def logs(store: str, root: str) -> Iterator[tuple[Log, Stamp]]:
    log = log_at(root, store)
    if log is not None:
        yield log, stamp_of(store)


def stamp_of(path: str) -> Stamp:
    """Of the database and of its write-ahead log."""
    stamp = file_stamp(path)
    with suppress(FileNotFoundError):
        logged = file_stamp(f"{path}-wal")
        newest_ns = max(stamp.mtime_ns, logged.mtime_ns)
        stamp = Stamp(stamp.size + logged.size, newest_ns)
    return stamp


class _State(Struct, array_like=True):
    last: int  # the greatest row number
    count: int
    prompt_title: str


class _Meta(Struct, rename="camel"):
    name: str | None = None
    created_at: float | None = None
    last_used_model: str | None = None


class _Message(Struct):
    role: str | None = None
    content: Raw = NOTHING


class _Part(Struct, rename="camel"):
    type: str | None = None
    text: str | None = None
    tool_call_id: str | None = None
    tool_name: str | None = None
    args: Raw = NOTHING
    result: Raw = NOTHING
    is_error: bool | None = None


class _Row(NamedTuple):
    rowid: int
    id: str
    size: int
    content: bytes


_read_meta: Final = msgspec.json.Decoder(_Meta).decode
_read_message: Final = msgspec.json.Decoder(_Message).decode
_read_part: Final = msgspec.json.Decoder(_Part).decode


class Chat(Conversation):
    """Tells the blobs of one chat."""

    agent: ClassVar[str] = AGENT

    def __init__(self, log: Log, meta: _Meta, at: str, blobs: BlobSink, prompt_title: str) -> None:
        facts = first_facts(log)
        facts.started_at = instant_of_ms(meta.created_at)
        facts.model = (meta.last_used_model or "")[:NAME_CHARS_MAX]
        super().__init__(log, facts, blobs, prompt_title)
        self._at = at
        self._head: list[Event] = []
        if (meta.name or "") not in UNNAMED:
            self._head.append(self.titled(meta.name or "", TitleRank.AGENT, at))

    def head(self) -> Read:
        return Read(0, "parsed", self._head)

    def about(self, row: _Row) -> About:
        return About("blob", row.id, timestamp=self._at or None)

    def blob(self, row: _Row) -> Read:
        if not row.content.startswith(_JSON):
            return self._unknown(row)
        for content in (row.content, mended(row.content)):
            telling = _Telling(self, self.about(row), 0, content)
            if len(content) > DENSE_BYTES_MIN and is_dense(content):
                return Read(row.size, *telling.raw("message (too many parts)"))
            try:
                telling.message = _read_message(content)
            except msgspec.ValidationError:
                if not is_sound(content):
                    continue
                return Read(row.size, *telling.raw("message (unfamiliar shape)"))
            except UNREADABLE:
                continue
            return Read(row.size, *telling.told())
        return self._unknown(row)

    def _unknown(self, row: _Row) -> Read:
        if not row.content or _ONLY_NAMES.fullmatch(row.content):
            return Read(row.size, "skipped")
        telling = self.telling(self.about(row), b"")
        telling.count_unknown(UNKNOWN, row.size)
        kept = {"type": UNKNOWN, "bytes": row.size, "blob": self.blobs.put(row.content).digest}
        event = telling.event(Kind.PROVIDER_RAW, "", data=Raw(_encode(kept)))
        return Read(row.size, "unknown", [event])


class _Telling(Telling):
    __slots__ = ("message",)

    message: _Message

    def told(self) -> Told:
        role, content = self.message.role, self.message.content
        if role not in ("user", "assistant", "system", "tool"):
            return self.raw(f"message/{role or NO_TYPE}")
        text = tolerant(read_text, content, "")
        if text:
            return "parsed", self._said(role, text)
        raws = items_of(content)
        if len(raws) > PARTS_MAX:
            return self.raw(f"message/{role} (too many parts)")
        events = [event for raw in raws for event in self._part(role, raw)]
        return "parsed", [named(event, f"/{number}") for number, event in enumerate(events)]

    def _said(self, role: str, text: str) -> list[Event]:
        """Around what a person asked, programs put what they think the agent should know."""
        if role == "assistant":
            return [self.event(Kind.ASSISTANT, text, actor="assistant")]
        found = _QUERY.search(text) if role == "user" else None
        if found is None:
            return [self.event(Kind.SYSTEM, text)]
        whole = EMPTY if found[0] == text.strip() else Raw(_encode({"original": text}))
        return [self.said(found[1], whole)]

    def _part(self, role: str, raw: Raw) -> list[Event]:
        part = tolerant(_read_part, raw, _Part())
        if part.type == "text":
            return self._said(role, part.text or "")
        if part.type == "reasoning":
            return [self.event(Kind.THINKING, part.text or "", actor="assistant")]
        if part.type == "tool-call":
            name = part.tool_name or "tool"
            given = clean(bytes(part.args)) if is_there(part.args) else EMPTY
            data = Raw(_encode(ToolCall(part.tool_call_id or "", name, given)))
            return [self.event(Kind.TOOL_CALL, brief(name, given), actor="assistant", data=data)]
        if part.type == "tool-result":
            return [self._result(part)]
        return [self.raw_part(f"{role}/{part.type or NO_TYPE}", bytes(raw))]

    def _result(self, part: _Part) -> Event:
        result = ToolResult(part.tool_call_id or "", part.tool_name or "", bool(part.is_error))
        text = tolerant(read_text, part.result, "")
        if not text:
            texts: list[str] = []
            for raw in items_of(part.result)[:PARTS_MAX]:
                each = tolerant(_read_part, raw, _Part())
                if each.type == "text":
                    texts.append(each.text or "")
                else:
                    result.others.append(self.kept(bytes(raw)))
            text = "\n".join(texts)
        return self.event(Kind.TOOL_RESULT, text, actor="tool", data=Raw(_encode(result)))


class ChatReader:
    """One chat: the blobs that were added since an earlier state."""

    starts_over = False

    def __init__(self, log: Log, state: bytes, means: Means) -> None:
        self._path, self._means = log.path, means
        known = msgspec.msgpack.decode(state, type=_State) if state else None
        self.stamp = stamp_of(self._path)
        with database.snapshot(self._path) as connection:
            needed = {"id", "data"}
            if not needed <= database.columns(connection, "blobs"):
                problem = "holds no chat of Cursor that this holdfast can read"
                raise OSError(errno.EPROTO, problem, self._path)
            query = "SELECT CAST(value AS BLOB) FROM meta WHERE key = '0'"
            meta = _meta(database.rows(connection, query))
            if known is not None:
                query = "SELECT count(*) FROM blobs WHERE rowid <= ?"
                [(there,)] = database.rows(connection, query, (known.last,))
                if there != known.count:  # rows were removed: their numbers mean nothing
                    known = _State(0, 0, known.prompt_title)
        at_ms = self.stamp.mtime_ns / 1e6 if known is not None else meta.created_at
        self._state = known if known is not None else _State(0, 0, "")
        self._chat = Chat(log, meta, instant_of_ms(at_ms), means.blobs, self._state.prompt_title)
        self.facts, self.unknown = self._chat.facts, self._chat.unknown

    def read(self) -> Iterator[Read]:
        yield self._chat.head()
        while page := self._page():
            for row in page:
                yield self._told(row)
                self._state.last = row.rowid
                self._state.count += 1

    def state(self) -> bytes:
        self._state.prompt_title = self._chat.prompt_title
        return msgspec.msgpack.encode(self._state)

    def close(self) -> None:
        """Nothing is held between pages."""

    def _page(self) -> list[_Row]:
        query = (
            "SELECT rowid, id, ifnull(octet_length(data), 0), "
            "iif(octet_length(data) <= ?, CAST(data AS BLOB), NULL) "
            "FROM blobs WHERE rowid > ? ORDER BY rowid LIMIT ?"
        )
        page: list[_Row] = []
        held = 0
        with database.snapshot(self._path) as connection:
            wanted = (self._means.max_item_bytes, self._state.last, PAGE_ROWS)
            for rowid, identity, size, content in connection.execute(query, wanted):
                if rowid <= (page[-1].rowid if page else self._state.last):
                    raise database.damaged(self._path)
                whole = content
                if content is None and size:
                    blob = connection.blob_open("main", "blobs", "data", rowid, False)
                    whole = blob.read(PREVIEW_BYTES)
                page.append(_Row(rowid, str(identity), size, whole or b""))
                held += len(page[-1].content)
                if held >= PAGE_BYTES:
                    break
        return page

    def _told(self, row: _Row) -> Read:
        if row.size > self._means.max_item_bytes:
            chunks = database.value_chunks(self._path, "blobs", "data", row.rowid, row.size)
            blob = self._means.blobs.put_stream(chunks)
            return self._chat.oversized(self._chat.about(row), row.size, row.content, blob.digest)
        if row.content.startswith(_JSON):
            row = row._replace(content=self._means.clean(row.content))
        return self._chat.blob(row)


def _meta(found: list[Any]) -> _Meta:
    """JSON, written down as the digits of its bytes."""
    value = found[0][0] if found else ""
    content = value if isinstance(value, bytes) else str(value).encode()
    with suppress(ValueError):
        content = bytes.fromhex(content.decode())
    return tolerant(_read_meta, Raw(content), _Meta())
