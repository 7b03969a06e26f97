"""Goose: its one database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import apsw
import msgspec

from holdfast.conformance.in_place.keepers import DatabaseKeeper, Row, Tables
from holdfast.conformance.in_place.sample import Entries, Entry, StoreSample
from holdfast.conformance.sample import Facets
from holdfast.conformance.samples._talk import CWD
from holdfast.events import Kind, Usage
from holdfast.sources.agents.goose import Agent

SESSION: Final = "20260225_1"
CHILD: Final = "20260225_2"
DATABASE: Final = "sessions/sessions.db"
MODEL: Final = "claude-tide-4"
START_S: Final = 1_772_000_000
SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS sessions (
    id TEXT PRIMARY KEY, name TEXT NOT NULL DEFAULT '', description TEXT NOT NULL DEFAULT '',
    user_set_name BOOLEAN DEFAULT FALSE, session_type TEXT NOT NULL DEFAULT 'user',
    parent_session_id TEXT, working_dir TEXT NOT NULL,
    created_at TIMESTAMP DEFAULT '2026-02-25 06:13:20',
    updated_at TIMESTAMP DEFAULT '2026-02-25 06:13:20',
    accumulated_input_tokens INTEGER, accumulated_output_tokens INTEGER, model_config_json TEXT
);
CREATE TABLE IF NOT EXISTS messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT, message_id TEXT, session_id TEXT NOT NULL,
    role TEXT NOT NULL, content_json TEXT NOT NULL, created_timestamp INTEGER NOT NULL,
    timestamp TIMESTAMP DEFAULT CURRENT_TIMESTAMP, tokens INTEGER, metadata_json TEXT
);
"""

Json = dict[str, Any]


def text(words: str) -> Json:
    return {"type": "text", "text": words}


_CALL: Final = {
    "type": "toolRequest",
    "id": "call_1",
    "toolCall": {
        "status": "success",
        "value": {"name": "developer__shell", "arguments": {"command": "ls"}},
    },
}
_RESULT: Final = {
    "type": "toolResponse",
    "id": "call_1",
    "toolResult": {"status": "success", "value": {"content": [text("a.py")], "isError": False}},
}
ENTRIES: Final[Entries] = (
    Entry("m1", [text("Where are the tides read?")], (Kind.USER,), "user"),
    Entry(
        "m2",
        [{"type": "thinking", "thinking": "Hm."}, text("I look."), _CALL],
        (Kind.THINKING, Kind.ASSISTANT, Kind.TOOL_CALL),
        "assistant",
    ),
    Entry("m3", [_RESULT], (Kind.TOOL_RESULT,), "user"),
    Entry(
        "m4", [{"type": "systemNotification", "msg": "slow"}], (Kind.PROVIDER_INFO,), "assistant"
    ),
    Entry("m5", [{"type": "novelty", "x": 1}], (Kind.PROVIDER_RAW,), "assistant"),
)
ANCHORS: Final[Entries] = (
    Entry("m8", [text("Still there?")], (Kind.USER,), "user"),
    Entry("m9", [text("Yes.")], (Kind.ASSISTANT,), "assistant"),
)


def _rows(entries: Entries) -> Iterator[Row]:
    """Each in a second of its own, whenever it comes."""
    for entry in entries:
        content = entry.content
        if not isinstance(content, bytes):
            content = msgspec.json.encode(content).decode()
        second = START_S + int("".join(filter(str.isdigit, entry.name)))
        values = {"message_id": entry.name, "session_id": SESSION, "role": entry.place}
        about = {"content_json": content, "created_timestamp": second}
        yield Row("messages", entry.name, {**values, **about})


def _begin(connection: apsw.Connection) -> None:
    query = (
        "INSERT INTO sessions (id, name, parent_session_id, working_dir, model_config_json, "
        "accumulated_input_tokens, accumulated_output_tokens) VALUES (?, ?, ?, ?, ?, ?, ?)"
    )
    model = msgspec.json.encode({"model_name": MODEL}).decode()
    connection.execute(query, (SESSION, "Tides", None, CWD, model, 700, 60))
    connection.execute(query, (CHILD, "Winds", SESSION, CWD, model, 0, 0))


TABLES: Final = Tables(
    schema=SCHEMA,
    begin=_begin,
    end=("DELETE FROM messages", "DELETE FROM sessions"),
    rows=_rows,
    keys={"messages": ("message_id", "content_json")},
)
SAMPLES: Final = (
    StoreSample(
        name="database",
        source=Agent,
        keeper=lambda root: DatabaseKeeper(str(Path(root) / DATABASE), TABLES),
        entries=ENTRIES,
        keys=[f"{DATABASE}#{SESSION}"],
        session=SESSION,
        anchors=ANCHORS,
        begins=(Kind.SESSION_TITLED, Kind.PROVIDER_INFO),
        facets=Facets(title="Tides", project=CWD, cwd=CWD, model=MODEL),
        usage=Usage(700, 60),
        unknown=[
            Entry("m7", [{"type": "song"}], (), "assistant"),
        ],
        large=lambda chars: Entry("m7", [text("x" * chars)], (), "assistant"),
        many_parts=lambda parts: Entry("m7", [text("x")] * parts, (), "assistant"),
        keeps_names=False,
        logs={f"{DATABASE}#{CHILD}": (CHILD, SESSION)},
        others=["sessions/backups/sessions.db", "config.yaml", "sessions/other.db"],
    ),
)
