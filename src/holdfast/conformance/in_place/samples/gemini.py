"""Gemini CLI: a session as a document, and as lines that repeat messages."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from holdfast.conformance.in_place.keepers import FileKeeper, as_json
from holdfast.conformance.in_place.sample import Entries, Entry, StoreSample
from holdfast.conformance.sample import Facets
from holdfast.conformance.samples._talk import CWD
from holdfast.events import Kind, Usage
from holdfast.sources.agents.gemini import Agent

SESSION: Final = "session-2026-01-05T09-00-5e551035"
CHATS: Final = "tmp/tidepool/chats"
SHORT: Final = "5e551035"  # of its id, what subagents' folders are called by
CHILD: Final = "5e551035-5e55-4000-a000-000000000002"
AT: Final = "2026-01-05T09:00:00.000Z"
MODEL: Final = "gemini-3-pro"
PICTURE: Final = base64.b64encode(b"picture" * 600).decode()

Json = dict[str, Any]


def message(identity: str, kind: str, content: Any, **more: Any) -> Json:
    return {"id": identity, "timestamp": AT, "type": kind, "content": content, **more}


def tool(identity: str, result: str | None, **more: Any) -> Json:
    """A call; its result may come later."""
    call: Json = {"id": identity, "name": "run_shell_command", "args": {"command": "ls"}}
    if result is not None:
        response = {"id": identity, "name": call["name"], "response": {"output": result}}
        call["result"] = [{"functionResponse": response}]
    return {**call, "status": "success", "timestamp": AT, **more}


def spent(fresh: int, output: int, cached: int) -> Json:
    counts = {"input": fresh + cached, "output": output, "cached": cached, "thoughts": 0, "tool": 0}
    return {**counts, "total": fresh + output + cached}


HEAD: Final[Json] = {
    "sessionId": "5e551035-5e55-4000-a000-000000000001",
    "projectHash": "0b7dfb12",
    "startTime": AT,
    "lastUpdated": AT,
    "summary": "Tides",
}


def _answer(text: str) -> Json:
    return message(
        "m2",
        "gemini",
        text,
        thoughts=[{"subject": "Gauge", "description": "look there", "timestamp": AT}],
        toolCalls=[tool("t1", "gauge.py")],
        tokens=spent(100, 20, 900),
        model=MODEL,
    )


_IMAGE: Final = {"inlineData": {"mimeType": "image/png", "data": PICTURE}}
ENTRIES: Final[Entries] = (
    Entry(
        "m1",
        message("m1", "user", [{"text": "Where are the tides read?"}]),
        (Kind.USER,),
        later=message("m1", "user", [{"text": "Where are the tides kept?"}]),
    ),
    Entry(
        "m2",
        _answer("In gauge.py."),
        (
            Kind.THINKING,
            Kind.ASSISTANT,
            Kind.TOOL_CALL,
            Kind.TOOL_RESULT,
            Kind.PROVIDER_INFO,
        ),
        later=_answer("In gauge.py, line 41."),
    ),
    Entry(
        "m3",
        message("m3", "user", [{"text": "and this?"}, _IMAGE], displayContent="and this?"),
        (Kind.USER, Kind.USER),
        later=message("m3", "user", [{"text": "and that?"}, _IMAGE], displayContent="and that?"),
    ),
    Entry("m4", message("m4", "info", "Request cancelled."), (Kind.SYSTEM,)),
    Entry(
        "m5",
        message("m5", "gemini", "", toolCalls=[tool("t2", "no", status="error")], model=MODEL),
        (Kind.TOOL_CALL, Kind.TOOL_RESULT),
        later=message(
            "m5", "gemini", "", toolCalls=[tool("t2", "no way", status="error")], model=MODEL
        ),
    ),
    Entry(
        "m6",
        message("m6", "user", [{"text": "again"}, {"novelty": 1}]),
        (
            Kind.USER,
            Kind.PROVIDER_RAW,
        ),
    ),
)
ANCHORS: Final[Entries] = (
    Entry("m8", message("m8", "user", [{"text": "Still there?"}]), (Kind.USER,)),
    Entry("m9", message("m9", "gemini", "Yes.", model=MODEL), (Kind.ASSISTANT,)),
)


def _large(chars: int) -> Entry:
    return Entry("m7", message("m7", "gemini", "x" * chars))


def _many_parts(parts: int) -> Entry:
    return Entry("m7", message("m7", "user", [{"text": "x"}] * parts))


_CHILD_HEAD: Final = {**HEAD, "sessionId": CHILD, "kind": "subagent"}
_CHILD_ASKED: Final = message("c1", "user", "Look.")


def _document(entries: Entries, readable: bool) -> Mapping[str, bytes]:
    whole = {**HEAD, "messages": [entry.content for entry in entries]}
    child = {**_CHILD_HEAD, "messages": [_CHILD_ASKED]}
    return {
        f"{CHATS}/{SESSION}.json": as_json(whole, readable=readable),
        f"{CHATS}/{SHORT}/{CHILD}.json": as_json(child, readable=readable),
    }


def _lines(entries: Entries, readable: bool) -> Mapping[str, bytes]:
    """A message that was told before stands there twice, as when something was added to it."""
    lines = [msgspec.json.encode(HEAD), *(as_json(entry.content) for entry in entries)]
    if readable:
        lines[1:1] = lines[1:2]
    child = [msgspec.json.encode(_CHILD_HEAD), msgspec.json.encode(_CHILD_ASKED)]
    return {
        f"{CHATS}/{SESSION}.jsonl": b"".join(line + b"\n" for line in lines),
        f"{CHATS}/{SHORT}/{CHILD}.jsonl": b"".join(line + b"\n" for line in child),
    }


def _keeper(layout: Any, root: Path) -> FileKeeper:
    """Beside the sessions stands the path of the project."""
    (root / CHATS).mkdir(parents=True, exist_ok=True)
    (root / CHATS).with_name(".project_root").write_text(CWD)
    return FileKeeper(root, layout)


def _sample(name: str, ending: str, layout: Any, **more: Any) -> StoreSample:
    return StoreSample(
        name=name,
        source=Agent,
        keeper=lambda root: _keeper(layout, root),
        entries=ENTRIES,
        keys=[f"{CHATS}/{SESSION}{ending}"],
        session=SESSION,
        anchors=ANCHORS,
        begins=(Kind.SESSION_TITLED,),
        facets=Facets(title="Tides", project=CWD, cwd=CWD, model=MODEL),
        usage=Usage(100, 20, 900),
        large=_large,
        many_parts=_many_parts,
        logs={f"{CHATS}/{SHORT}/{CHILD}{ending}": (f"{SHORT}/{CHILD}", SESSION)},
        others=["settings.json", "tmp/tidepool/logs.json", f"{CHATS}/notes.json"],
        **more,
    )


SAMPLES: Final = (
    _sample(
        "document",
        ".json",
        _document,
        unknown=[Entry("u1", message("u1", "novelty", "?"))],
    ),
    _sample(
        "lines",
        ".jsonl",
        _lines,
        unknown=[Entry("u1", message("u1", "novelty", "?")), Entry("u2", {"novelty": {"x": 1}})],
    ),
)
