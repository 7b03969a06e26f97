"""Cursor: a chat of its command line, a database of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import apsw
import msgspec

from holdfast.conformance.in_place.keepers import DatabaseKeeper, Row, Tables
from holdfast.conformance.in_place.sample import Entries, Entry, StoreSample
from holdfast.conformance.sample import Facets
from holdfast.events import Kind
from holdfast.sources.agents.cursor import Agent

CHAT: Final = "ac437fdf-5e55-4000-a000-000000000001"
DATABASE: Final = f"chats/e4e90b7b/{CHAT}/store.db"
MODEL: Final = "tide-4"
SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS blobs (id TEXT PRIMARY KEY, data BLOB);
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT);
"""

Json = dict[str, Any]


def text(words: str) -> Json:
    return {"type": "text", "text": words}


def asked(words: str) -> Json:
    around = f"<user_info>Linux</user_info>\n<user_query>\n{words}\n</user_query>"
    return {"role": "user", "content": [text(around)]}


_CALL: Final = {
    "type": "tool-call",
    "toolCallId": "t1",
    "toolName": "Shell",
    "args": {"command": "ls"},
}
_RESULT: Final = {"type": "tool-result", "toolCallId": "t1", "toolName": "Shell", "result": "a.py"}
_THOUGHT: Final = {"type": "reasoning", "text": "Hm.", "signature": "x"}
ENTRIES: Final[Entries] = (
    Entry("b1", {"role": "system", "content": "You are an agent."}, (Kind.SYSTEM,)),
    Entry("b2", asked("Where are the tides read?"), (Kind.USER,)),
    Entry(
        "b3",
        {"role": "assistant", "content": [_THOUGHT, text("I look."), _CALL]},
        (Kind.THINKING, Kind.ASSISTANT, Kind.TOOL_CALL),
    ),
    Entry("b4", {"role": "tool", "id": "t1", "content": [_RESULT]}, (Kind.TOOL_RESULT,)),
    Entry("b5", (b"\n\x20" + hashlib.sha256(b"b1").digest()) * 2),  # names of others
    Entry("b6", {"role": "assistant", "content": [{"type": "novelty"}]}, (Kind.PROVIDER_RAW,)),
)
ANCHORS: Final[Entries] = (
    Entry("b8", asked("Still there?"), (Kind.USER,)),
    Entry("b9", {"role": "assistant", "content": [text("Yes.")]}, (Kind.ASSISTANT,)),
)


def _rows(entries: Entries) -> Iterator[Row]:
    """Under the digest of their content: a blob is never changed."""
    for entry in entries:
        content = entry.content
        if not isinstance(content, bytes):
            content = msgspec.json.encode(content)
        identity = hashlib.sha256(content).hexdigest()
        yield Row("blobs", identity, {"id": identity, "data": content})


def _begin(connection: apsw.Connection) -> None:
    about = {"agentId": CHAT, "name": "Tides", "createdAt": 1_772_000_000_000}
    told = msgspec.json.encode({**about, "lastUsedModel": MODEL}).hex()
    connection.execute("INSERT OR REPLACE INTO meta VALUES ('0', ?)", (told,))


TABLES: Final = Tables(
    schema=SCHEMA,
    begin=_begin,
    end=("DELETE FROM blobs", "DELETE FROM meta"),
    rows=_rows,
    keys={"blobs": ("id", "data")},
)


class ChatKeeper(DatabaseKeeper):
    """A chat goes with its file."""

    def delete(self) -> None:
        super().delete()
        self.close()
        Path(self.path).unlink()

    def write(self, entries: Entries) -> None:
        if not Path(self.path).exists():
            self.connection.execute(SCHEMA).fetchall()
        super().write(entries)


SAMPLES: Final = (
    StoreSample(
        name="chat",
        source=Agent,
        keeper=lambda root: ChatKeeper(str(Path(root) / DATABASE), TABLES),
        entries=ENTRIES,
        keys=[DATABASE],
        session=f"chats/{CHAT}",
        anchors=ANCHORS,
        begins=(Kind.SESSION_TITLED,),
        facets=Facets(title="Tides", model=MODEL),
        unknown=[
            Entry("b7", {"role": "narrator", "content": "?"}),
            Entry("u2", b"\x12\x07strange\x18\x01"),
        ],
        large=lambda chars: Entry("b7", {"role": "assistant", "content": [text("x" * chars)]}),
        many_parts=lambda parts: Entry("b7", {"role": "user", "content": [text("x")] * parts}),
        keeps_names=False,
        others=["cli-config.json", f"chats/e4e90b7b/{CHAT}/notes.db", "chats/store.db"],
    ),
)
