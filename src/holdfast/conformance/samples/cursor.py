"""Cursor: a transcript, and the one of a subagent that it started."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from holdfast.conformance.sample import Facets, Sample, Step, step
from holdfast.conformance.samples._talk import turns
from holdfast.events import Kind
from holdfast.sources.agents.cursor import Agent

SESSION: Final = "72e9d9b5-5e55-4000-a000-000000000001"
CHILD: Final = "72e9d9b5-5e55-4000-a000-000000000002"
PROJECT: Final = "home-hana-src-tidepool"
FOLDER: Final = f"projects/{PROJECT}/agent-transcripts"
WHEN: Final = "Monday, Jan 5, 2026, 11:00 AM (UTC+2)"


def line(role: str, *parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": role, "message": {"content": list(parts)}}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def typed(words: str, when: str = WHEN) -> dict[str, Any]:
    return text(f"<timestamp>{when}</timestamp>\n<user_query>\n{words}\n</user_query>")


def call(name: str, **given: Any) -> dict[str, Any]:
    return {"type": "tool_use", "name": name, "input": given}


def _steps() -> Iterator[Step]:
    yield step(line("user", typed("Where are the tides read?")), Kind.USER)
    yield step(
        line("assistant", text("I look."), call("Shell", command="ls")),
        Kind.ASSISTANT,
        Kind.TOOL_CALL,
    )
    yield step(
        line("user", {"type": "tool_result", "tool_use_id": "t1", "content": "gauge.py"}),
        Kind.TOOL_RESULT,
    )
    yield step({"type": "turn_ended", "status": "success"}, verdict="skipped")
    yield step(
        {"type": "turn_ended", "status": "error", "error": "User aborted request"},
        Kind.PROVIDER_INFO,
    )
    note = f"<timestamp>{WHEN}</timestamp>\n<system_notification>done</system_notification>"
    yield step(line("user", text(note)), Kind.SYSTEM)
    yield step({"role": "user", "message": {"content": "plain"}}, Kind.USER)
    yield step(line("assistant", text("So.")), Kind.ASSISTANT)
    yield step(line("assistant", {"type": "novelty"}), Kind.PROVIDER_RAW)


def _many_parts(parts: int) -> bytes:
    return msgspec.json.encode(line("assistant", *[text("x") for _ in range(parts)]))


def conversation(count: int) -> Iterator[bytes]:
    for turn in turns("cursor", count):
        for made in (
            line("user", typed(turn.prompt)),
            line("assistant", text(turn.thought), call(turn.tool, command=turn.command)),
            line("assistant", call("Write", path="a.py", contents=turn.written)),
            line("assistant", text(turn.answer)),
            {"type": "turn_ended", "status": "success"},
        ):
            yield msgspec.json.encode(made)


SAMPLE: Final = Sample(
    source=Agent,
    steps=list(_steps()),
    path=f"{FOLDER}/{SESSION}/{SESSION}.jsonl",
    session=SESSION,
    facets=Facets(title="Where are the tides read?", project=PROJECT),
    unknown=[
        msgspec.json.encode({"type": "novelty", "status": "?"}),
        msgspec.json.encode({"role": "narrator", "message": {"content": "x"}}),
    ],
    many_parts=_many_parts,
    moved=f"{FOLDER}/{SESSION}.jsonl",
    logs={
        f"{FOLDER}/{SESSION}/subagents/{CHILD}.jsonl": (f"{SESSION}/{CHILD}", SESSION),
        f"{FOLDER}/older.jsonl": ("older", ""),
    },
    others=[
        f"{FOLDER}/{SESSION}.txt",
        f"projects/{PROJECT}/terminals/1.jsonl",
        f"projects/{PROJECT}/notes.jsonl",
    ],
    conversation=conversation,
)
