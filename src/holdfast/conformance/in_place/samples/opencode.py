"""OpenCode: its database in both versions, and the tree of files before it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import apsw
import msgspec

from holdfast.conformance.in_place.keepers import DatabaseKeeper, FileKeeper, Row, Tables, as_json
from holdfast.conformance.in_place.sample import Entries, Entry, StoreSample
from holdfast.conformance.sample import Facets
from holdfast.conformance.samples._talk import CWD
from holdfast.demo.opencode import SCHEMA, START_MS
from holdfast.events import Kind, Usage
from holdfast.sources.agents.opencode import Agent

SESSION: Final = "ses_5e55a"
CHILD: Final = "ses_5e55b"
MODEL: Final = "claude-tide-4"
VERSION: Final = "1.3.0"
DATABASE: Final = "opencode.db"
MESSAGE: Final = "message"

Json = dict[str, Any]


class QuietAgent(Agent):
    """Of which nothing is being written any more: what is told does not depend on the clock."""

    now_ms = staticmethod(lambda: 9e15)


def _over(at: int) -> Json:
    return {"start": START_MS + at, "end": START_MS + at + 5}


def message(name: str, role: str, *kinds: str, **more: Any) -> Entry:
    content = {"role": role, "time": {"created": START_MS, "completed": START_MS + 9}, **more}
    return Entry(name, content, kinds, MESSAGE)


def part(name: str, whose: str, content: Json, *kinds: str, later: Json | None = None) -> Entry:
    return Entry(name, content, kinds, whose, later)


def text(words: str, at: int = 1) -> Json:
    return {"type": "text", "text": words, "time": _over(at)}


def tool(output: str) -> Json:
    state = {
        "status": "completed",
        "input": {"command": "ls"},
        "output": output,
        "title": "ls",
        "metadata": {},
        "time": _over(3),
    }
    return {"type": "tool", "callID": "call_1", "tool": "bash", "state": state}


_SPENT: Final = {"input": 100, "output": 10, "reasoning": 0, "cache": {"read": 500, "write": 25}}
_FINISH: Final = {"type": "step-finish", "reason": "stop", "cost": 0.01, "tokens": _SPENT}
_ANSWERS: Final = {"providerID": "anthropic", "modelID": MODEL, "path": {"cwd": CWD, "root": "/"}}
_FILE: Final = {"type": "file", "mime": "text/plain", "url": "file:///a.txt", "filename": "a.txt"}
ENTRIES: Final[Entries] = (
    message("msg_1", "user"),
    part("prt_11", "msg_1", text("Where are the tides read?"), Kind.USER,
         later=text("Where are the tides kept?")),
    part("prt_12", "msg_1", _FILE, Kind.USER),
    message("msg_2", "assistant", **_ANSWERS),
    part("prt_21", "msg_2", {"type": "step-start", "snapshot": "a3f9"}),
    part("prt_22", "msg_2", {**text("Hm."), "type": "reasoning"}, Kind.THINKING,
         later={**text("Hm, hm."), "type": "reasoning"}),
    part("prt_23", "msg_2", tool("gauge.py"), Kind.TOOL_CALL, Kind.TOOL_RESULT,
         later=tool("gauge.py vane.py")),
    part("prt_24", "msg_2", text("In gauge.py."), Kind.ASSISTANT, later=text("In gauge.py: 41.")),
    part("prt_25", "msg_2", _FINISH, Kind.PROVIDER_INFO),
    part("prt_26", "msg_2", {"type": "novelty", "x": 1}, Kind.PROVIDER_RAW),
)  # fmt: skip
ANCHORS: Final[Entries] = (
    message("msg_8", "user"),
    part("prt_81", "msg_8", text("Still there?"), Kind.USER),
    message("msg_9", "assistant", **_ANSWERS),
    part("prt_91", "msg_9", text("Yes."), Kind.ASSISTANT),
)


def _at(number: int) -> int:
    """Rows are as old as they are far in front, whenever they come."""
    return START_MS + 60_000 * number


def _number(entry: Entry) -> int:
    digits = "".join(each for each in entry.name if each.isdigit())
    return int(digits.ljust(2, "0"))


def _data(entry: Entry) -> str | bytes:
    content = entry.content
    return content if isinstance(content, bytes) else msgspec.json.encode(content).decode()


def _rows(entries: Entries) -> Iterator[Row]:
    for entry in entries:
        at = _at(_number(entry))
        values: Json = {"id": entry.name, "session_id": SESSION, "data": _data(entry)}
        values |= {"time_created": at, "time_updated": at}
        if entry.place != MESSAGE:
            values["message_id"] = entry.place
        yield Row("message" if entry.place == MESSAGE else "part", entry.name, values)


def _begin(connection: apsw.Connection) -> None:
    query = (
        "INSERT INTO session (id, project_id, parent_id, slug, directory, title, version, "
        "time_created, time_updated) VALUES (?, 'global', ?, ?, ?, ?, ?, ?, ?)"
    )
    for identity, parent in ((SESSION, None), (CHILD, SESSION)):
        told = (identity, parent, identity, CWD, "Tides", VERSION, START_MS, START_MS)
        connection.execute(query, told)


_END: Final = (
    "DELETE FROM part",
    "DELETE FROM message",
    "DELETE FROM session_message",
    f"DELETE FROM session WHERE id = '{SESSION}'",  # noqa: S608  # ours
    f"DELETE FROM session WHERE id = '{CHILD}'",  # noqa: S608  # ours
)
FIRST: Final = Tables(
    schema=SCHEMA,
    begin=_begin,
    end=_END,
    rows=_rows,
    keys={"message": ("id", "data"), "part": ("id", "data")},
    updated="time_updated",
)


# Version 2: a row is a whole message.


def second(name: str, kind: str, content: Json, *kinds: str, later: Json | None = None) -> Entry:
    return Entry(name, {**content, "time": _over(1)}, kinds, kind, later)


def _answer(words: str) -> Json:
    state = {"status": "completed", "input": {"command": "ls"}, "content": [{"text": "gauge.py"}]}
    return {
        "model": {"id": MODEL},
        "content": [
            {"type": "reasoning", "id": "r1", "text": "Hm."},
            {"type": "text", "id": "x1", "text": words},
            {"type": "tool", "id": "t1", "name": "bash", "state": state},
        ],
        "tokens": _SPENT,
        "time": {"created": START_MS, "completed": START_MS + 9},
    }


SECOND_ENTRIES: Final[Entries] = (
    Entry("msg_1", {"text": "Where are the tides read?", "files": [{"uri": "file:///a.txt"}]},
          (Kind.USER, Kind.USER), "user",
          later={"text": "Where are the tides kept?", "files": [{"uri": "file:///a.txt"}]}),
    Entry("msg_2", _answer("In gauge.py."),
          (Kind.THINKING, Kind.ASSISTANT, Kind.TOOL_CALL, Kind.TOOL_RESULT, Kind.PROVIDER_INFO),
          "assistant", later=_answer("In gauge.py: 41.")),
    Entry("msg_3", {"summary": "tides", "reason": "auto"},
          (Kind.SESSION_COMPACTED, Kind.SESSION_SUMMARIZED), "compaction"),
    Entry("msg_4", {"agent": "plan"}, (Kind.PROVIDER_INFO,), "agent-switched"),
    Entry("msg_5", {"model": {"id": MODEL}, "content": [{"type": "novelty", "x": 1}]},
          (Kind.PROVIDER_RAW,), "assistant"),
)  # fmt: skip
SECOND_ANCHORS: Final[Entries] = (
    Entry("msg_8", {"text": "Still there?"}, (Kind.USER,), "user"),
    Entry("msg_9", {"text": "Yes."}, (Kind.SYSTEM,), "synthetic"),
)


def _second_rows(entries: Entries) -> Iterator[Row]:
    for entry in entries:
        number = _number(entry)
        at = _at(number)
        values = {"id": entry.name, "session_id": SESSION, "type": entry.place, "seq": number}
        times = {"time_created": at, "time_updated": at}
        yield Row("session_message", entry.name, {**values, **times, "data": _data(entry)})


SECOND: Final = Tables(
    schema=SCHEMA,
    begin=_begin,
    end=_END,
    rows=_second_rows,
    keys={"session_message": ("id", "data")},
    updated="time_updated",
)


# The tree.


def _tree(entries: Entries, readable: bool) -> Mapping[str, bytes]:
    about = {"id": SESSION, "title": "Tides", "directory": CWD, "version": VERSION}
    times = {"time": {"created": START_MS, "updated": START_MS}}
    child = {**about, **times, "id": CHILD, "parentID": SESSION}
    files: dict[str, Any] = {
        f"session/tidepool/{SESSION}": {**about, **times},
        f"session/tidepool/{CHILD}": child,
    }
    for entry in entries:
        content = entry.content
        if isinstance(content, dict):
            content = {"id": entry.name, "sessionID": SESSION, **content}
        if entry.place == MESSAGE:
            files[f"message/{SESSION}/{entry.name}"] = content
        else:
            files[f"part/{entry.place}/{entry.name}"] = content
    return {
        f"storage/{path}.json": as_json(content, readable=readable)
        for path, content in files.items()
    }


_MANY: Final = {"type": "text", "text": "x", "metadata": {}}


def _many_parts(parts: int) -> Entry:
    return part("prt_27", "msg_2", {**_MANY, "metadata": {"x": [{"y": 1}] * parts}})


def _store(name: str, keeper: Any, keys: list[str], **more: Any) -> StoreSample:
    return StoreSample(
        name=name,
        source=QuietAgent,
        keeper=keeper,
        keys=keys,
        session=SESSION,
        begins=(Kind.SESSION_TITLED,),
        facets=Facets(title="Tides", project=CWD, cwd=CWD, model=MODEL, agent_version=VERSION),
        usage=Usage(100, 10, 500, 25),
        **more,
    )


_FIRST_ITEMS: Final[dict[str, Any]] = {
    "entries": ENTRIES,
    "anchors": ANCHORS,
    "unknown": [
        part("prt_28", "msg_2", {"type": "song", "x": 1}),
        message("msg_7", "narrator"),
    ],
    "large": lambda chars: part("prt_27", "msg_2", text("x" * chars)),
    "many_parts": _many_parts,
}
SAMPLES: Final = (
    _store(
        "database",
        lambda root: DatabaseKeeper(str(Path(root) / DATABASE), FIRST),
        [f"{DATABASE}#{SESSION}"],
        logs={f"{DATABASE}#{CHILD}": (CHILD, SESSION)},
        others=["auth.json", "log/opencode.db", "opencode.db.bak", "storage/project/x.json"],
        **_FIRST_ITEMS,
    ),
    _store(
        "database of version 2",
        lambda root: DatabaseKeeper(str(Path(root) / DATABASE), SECOND),
        [f"{DATABASE}#{SESSION}"],
        entries=SECOND_ENTRIES,
        anchors=SECOND_ANCHORS,
        unknown=[Entry("msg_7", {"value": "calm"}, (), "mood")],
        large=lambda chars: Entry("msg_7", {"text": "x" * chars}, (), "user"),
        many_parts=lambda parts: Entry(
            "msg_7", {"content": [{"type": "text", "text": "x"}] * parts}, (), "assistant"
        ),
        logs={f"{DATABASE}#{CHILD}": (CHILD, SESSION)},
        others=["auth.json"],
    ),
    _store(
        "tree",
        lambda root: FileKeeper(root, _tree),
        [f"storage/session/tidepool/{SESSION}.json"],
        others=["auth.json", "storage/project/x.json", f"storage/session_diff/{SESSION}.json"],
        silent="part",
        logs={f"storage/session/tidepool/{CHILD}.json": (CHILD, SESSION)},
        **_FIRST_ITEMS,
    ),
)
