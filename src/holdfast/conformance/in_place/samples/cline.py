"""Cline: a session of its command line, and a task of its extensions in two files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from holdfast.conformance.in_place.keepers import FileKeeper, as_json
from holdfast.conformance.in_place.sample import Entries, Entry, StoreSample
from holdfast.conformance.sample import Facets
from holdfast.conformance.samples._talk import CWD
from holdfast.events import Kind, Usage
from holdfast.sources.agents.cline import Agent

SESSION: Final = "1767603600000_ab1cd"
TASK: Final = "1767603600000"  # 2026-01-05T09:00:00Z
CHILD: Final = "1767603700000_ef2ab"
MODEL: Final = "claude-opus-4-6"
STARTED: Final = "2026-01-05T09:00:00.000Z"

Json = dict[str, Any]


def text(words: str) -> Json:
    return {"type": "text", "text": words}


def said(role: str, *blocks: Json, **more: Any) -> Json:
    return {"role": role, "content": list(blocks), **more}


def use(identity: str, name: str = "read_file", **given: Any) -> Json:
    return {"type": "tool_use", "id": identity, "name": name, "input": given}


def result(identity: str, content: Any, **more: Any) -> Json:
    return {"type": "tool_result", "tool_use_id": identity, "content": content, **more}


def asked(words: str) -> str:
    return f"<user_input>\n{words}\n</user_input>"


# A session: messages have ids.


def _answer(words: str) -> Json:
    return said(
        "assistant",
        {"type": "thinking", "thinking": "hm", "signature": "x"},
        text(words),
        use("t1", path="gauge.py"),
        id="c2",
        ts=1_767_603_601_000,
        modelInfo={"id": MODEL},
        metrics={
            "inputTokens": 1_000,
            "outputTokens": 50,
            "cacheReadTokens": 600,
            "cacheWriteTokens": 100,
        },
    )


_ASKED: Final = said(
    "user", text(asked("Where are the tides read?")), id="c1", ts=1_767_603_600_500
)
_RESULT: Final = said(
    "user", result("t1", [text("41: read_tide()")]), id="c3", ts=1_767_603_602_000
)
_QUESTION: Final = {"question": "Which?", "options": ["A", "B"]}
SESSION_ENTRIES: Final[Entries] = (
    Entry("c1", _ASKED, (Kind.USER,)),
    Entry(
        "c2",
        _answer("I look."),
        (Kind.THINKING, Kind.ASSISTANT, Kind.TOOL_CALL, Kind.PROVIDER_INFO),
        later=_answer("I look there."),
    ),
    Entry(
        "c3",
        _RESULT,
        (Kind.TOOL_RESULT,),
        later=said("user", result("t1", [text("42: read_tide()")]), id="c3", ts=1_767_603_602_000),
    ),
    Entry(
        "c4",
        said("assistant", use("t2", "ask_followup_question", **_QUESTION), id="c4"),
        (Kind.DECISION_PROPOSED,),
    ),
    Entry("c5", said("user", text(asked("A")), id="c5"), (Kind.USER,)),
    Entry("c6", said("assistant", {"type": "novelty", "x": 1}, id="c6"), (Kind.PROVIDER_RAW,)),
)
SESSION_ANCHORS: Final[Entries] = (
    Entry("c8", said("user", text(asked("Still there?")), id="c8"), (Kind.USER,)),
    Entry("c9", said("assistant", text("Yes."), id="c9"), (Kind.ASSISTANT,)),
)
MANIFEST: Final[Json] = {
    "session_id": SESSION,
    "cwd": CWD,
    "model": MODEL,
    "started_at": STARTED,
    "pid": 7,
    "metadata": {"title": "Tides"},
}


def _session(entries: Entries, readable: bool) -> Mapping[str, bytes]:
    folder = f"sessions/{SESSION}"
    messages = [entry.content for entry in entries]
    child = {"version": 1, "agent": "child", "messages": [said("user", text("Look."), id="d1")]}
    whole = {"version": 1, "agent": "lead", "sessionId": SESSION, "messages": messages}
    return {
        f"{folder}/{SESSION}.json": as_json(MANIFEST, readable=readable),
        f"{folder}/{SESSION}.messages.json": as_json(whole, readable=readable),
        f"{folder}/{CHILD}.messages.json": as_json(child, readable=readable),
    }


# A task: messages have none, and are known by what they say.

_TAGGED: Final = "<task>\nWhere are the tides read?\n</task>"
_AROUND: Final = (
    "<environment_details>\n# Current Working Directory (/home/hana/src/tidepool) Files\n"
    "a.py\n</environment_details>"
)
_LOOK: Final = "I look.\n<read_file>\n<path>gauge.py</path>\n</read_file>"
TASK_ENTRIES: Final[Entries] = (
    Entry("0", said("user", text(_TAGGED), text(_AROUND)), (Kind.USER, Kind.SYSTEM)),
    Entry(
        "1",
        said("assistant", {"type": "thinking", "thinking": "hm"}, text(_LOOK)),
        (Kind.THINKING, Kind.ASSISTANT, Kind.TOOL_CALL),
    ),
    Entry(
        "2",
        said("user", text("[read_file for 'gauge.py'] Result:"), text("41: read_tide()")),
        (Kind.TOOL_RESULT,),
        later=said("user", text("[read_file for 'gauge.py'] Result:"), text("42: read_tide()")),
    ),
    Entry(
        "3",
        said("assistant", text("In gauge.py.")),
        (Kind.ASSISTANT,),
        later=said("assistant", text("In gauge.py, line 41.")),
    ),
    Entry("4", said("user", {"type": "novelty", "x": 1}), (Kind.PROVIDER_RAW,)),
)
TASK_ANCHORS: Final[Entries] = (
    Entry("8", said("user", text("<feedback>\nStill there?\n</feedback>")), (Kind.USER,)),
    Entry("9", said("assistant", text("Yes.")), (Kind.ASSISTANT,)),
)


def _task(entries: Entries, readable: bool) -> Mapping[str, bytes]:
    content = as_json([entry.content for entry in entries], readable=readable)
    return {f"tasks/{TASK}/api_conversation_history.json": content}


# What an editor shows of a task.


def shown(ts: int, say: str, words: str = "", **more: Any) -> Json:
    return {"ts": ts, "type": "say", "say": say, "text": words, **more}


def _request(output: int) -> Json:
    counts = {"tokensIn": 300, "tokensOut": output, "cacheReads": 600, "cacheWrites": 100}
    about = json.dumps({"request": "all of it", **counts})
    return shown(1_767_603_601_000, "api_req_started", about)


SHOWN_ENTRIES: Final[Entries] = (
    Entry("0", _request(50), (Kind.PROVIDER_INFO,)),
    Entry(
        "1",
        shown(1_767_603_602_000, "error", "Overloaded"),
        (Kind.PROVIDER_INFO,),
        later=shown(1_767_603_602_000, "error", "Overloaded again"),
    ),
    Entry("2", shown(1_767_603_603_000, "text", "what the conversation has")),
    Entry("3", shown(1_767_603_604_000, "reasoning", "hm"), (Kind.THINKING,)),
    Entry("4", {"ts": 1_767_603_605_000, "type": "novelty"}, (Kind.PROVIDER_RAW,)),
)
SHOWN_ANCHORS: Final[Entries] = (
    Entry("9", shown(1_767_603_609_000, "info", "Still there."), (Kind.PROVIDER_INFO,)),
)


def _shown(entries: Entries, readable: bool) -> Mapping[str, bytes]:
    content = as_json([entry.content for entry in entries], readable=readable)
    return {f"tasks/{TASK}/ui_messages.json": content}


def _many(make: Any, parts: int) -> Entry:
    return Entry("7", make(*[text("x")] * parts))


SAMPLES: Final = (
    StoreSample(
        name="session",
        source=Agent,
        keeper=lambda root: FileKeeper(root, _session),
        entries=SESSION_ENTRIES,
        keys=[f"sessions/{SESSION}/{SESSION}{ending}" for ending in (".json", ".messages.json")],
        session=SESSION,
        anchors=SESSION_ANCHORS,
        begins=(Kind.PROVIDER_INFO, Kind.SESSION_TITLED),
        facets=Facets(title="Tides", project=CWD, cwd=CWD, model=MODEL),
        usage=Usage(300, 50, 600, 100),
        unknown=[
            Entry("u1", said("novelty", text("?"), id="u1")),
            Entry("u2", said("assistant", {"type": "song"}, id="u2")),
        ],
        large=lambda chars: Entry("c7", said("assistant", text("x" * chars), id="c7")),
        many_parts=partial(_many, partial(said, "user", id="c7")),
        logs={
            f"sessions/{SESSION}/{CHILD}.messages.json": (f"{SESSION}/{CHILD}", SESSION),
        },
        others=["settings.json", f"sessions/{SESSION}/notes.json", "tasks/x/task_metadata.json"],
    ),
    StoreSample(
        name="task",
        source=Agent,
        keeper=lambda root: FileKeeper(root, _task),
        entries=TASK_ENTRIES,
        keys=[f"tasks/{TASK}/api_conversation_history.json"],
        session=TASK,
        anchors=TASK_ANCHORS,
        facets=Facets(title="Where are the tides read?", project=CWD, cwd=CWD),
        unknown=[Entry("u1", said("novelty", text("?"))), Entry("u2", {"role": None})],
        large=lambda chars: Entry("7", said("assistant", text("x" * chars))),
        many_parts=partial(_many, partial(said, "user")),
        keeps_names=False,
        others=[f"tasks/{TASK}/task_metadata.json", "state/taskHistory.json"],
    ),
    StoreSample(
        name="what an editor shows",
        source=Agent,
        keeper=lambda root: FileKeeper(root, _shown),
        entries=SHOWN_ENTRIES,
        keys=[f"tasks/{TASK}/ui_messages.json"],
        session=TASK,
        anchors=SHOWN_ANCHORS,
        facets=Facets(),
        usage=Usage(300, 50, 600, 100),
        unknown=[Entry("u1", {"ts": 1_767_603_606_000, "type": "song"})],
        large=lambda chars: Entry("7", shown(1_767_603_608_000, "info", "x" * chars)),
    ),
)
