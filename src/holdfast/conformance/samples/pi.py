"""Pi: a fork with two branches, a command of the person's own, and a compaction."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any, Final

import msgspec

from holdfast.conformance.sample import Facets, Sample, Step, step
from holdfast.conformance.samples._talk import CWD, turns
from holdfast.events import Kind, Usage
from holdfast.sources.agents.pi import Agent

SESSION: Final = "e99116ac-5e55-4000-a000-000000000002"
ORIGIN: Final = "e99116ac-5e55-4000-a000-000000000001"
FOLDER: Final = "sessions/--home-hana-src-tidepool--"
MODEL: Final = "claude-sonnet-4-5"
PICTURE: Final = "iVBORw0KGgo" * 300

_numbers = count()


def entry(kind: str, at: str = "2026-01-05T09:00:00.000Z", **more: Any) -> dict[str, Any]:
    number = next(_numbers)
    parent = f"{number - 1:08x}" if number else None
    return {"type": kind, "id": f"{number:08x}", "parentId": parent, "timestamp": at, **more}


def header(**more: Any) -> dict[str, Any]:
    at = "2026-01-05T09:00:00.000Z"
    return {"type": "session", "version": 3, "id": SESSION, "timestamp": at, "cwd": CWD, **more}


def message(role: str, content: Any = None, **more: Any) -> dict[str, Any]:
    about = {"role": role, "timestamp": 1_767_603_600_000, **more}
    if content is not None:
        about["content"] = content
    return entry("message", message=about)


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def call(identity: str, name: str = "bash", **arguments: Any) -> dict[str, Any]:
    given = arguments or {"command": "ls"}
    return {"type": "toolCall", "id": identity, "name": name, "arguments": given}


def spent(fresh: int, output: int, read: int = 0, written: int = 0) -> dict[str, Any]:
    return {
        "input": fresh,
        "output": output,
        "cacheRead": read,
        "cacheWrite": written,
        "totalTokens": fresh + output + read + written,
        "cost": {"input": 0.1, "output": 0.2, "total": 0.3},
    }


def assistant(*parts: dict[str, Any], **more: Any) -> dict[str, Any]:
    return message("assistant", list(parts), provider="anthropic", model=MODEL, **more)


def _steps() -> Iterator[Step]:
    origin = f"/home/hana/.pi/agent/{FOLDER}/2026-01-04T09-00-00-000Z_{ORIGIN}.jsonl"
    yield step(header(parentSession=origin), Kind.SESSION_STARTED)
    yield step(entry("model_change", provider="anthropic", modelId=MODEL), Kind.PROVIDER_INFO)
    yield step(entry("thinking_level_change", thinkingLevel="high"), Kind.PROVIDER_INFO)
    yield step(message("user", "Where are the tides read?"), Kind.USER)
    yield step(
        assistant({"type": "thinking", "thinking": "hm"}, text("I look."), call("t1"),
                  usage=spent(200, 30, 800, 100), stopReason="toolUse"),
        Kind.THINKING, Kind.ASSISTANT, Kind.TOOL_CALL,
    )  # fmt: skip
    yield step(
        message("toolResult", [text("gauge.py")], toolCallId="t1", toolName="bash", isError=False),
        Kind.TOOL_RESULT,
    )
    image = {"type": "image", "data": PICTURE, "mimeType": "image/png"}
    yield step(message("user", [text("and this?"), image]), Kind.USER, Kind.USER)
    yield step(
        message("toolResult", [image], toolCallId="t2", toolName="read", isError=True),
        Kind.TOOL_RESULT,
    )
    yield step(
        message("bashExecution", command="ls", output="a.py", exitCode=0, cancelled=False),
        Kind.USER,
        Kind.TOOL_RESULT,
    )
    yield step(
        assistant(stopReason="error", errorMessage="Overloaded", usage=spent(0, 0)),
        Kind.PROVIDER_INFO,
    )
    yield step(message("custom", "remember", customType="notes", display=True), Kind.SYSTEM)
    yield step(
        entry("custom_message", customType="notes", content="remember", display=False), Kind.SYSTEM
    )
    yield step(entry("custom", customType="notes", data={"count": 1}), Kind.PROVIDER_INFO)
    yield step(entry("label", targetId="00000001", label="here"), Kind.PROVIDER_INFO)
    yield step(
        entry("branch_summary", fromId="00000001", summary="tried A"), Kind.SESSION_SUMMARIZED
    )
    yield step(
        entry("compaction", summary="what was", firstKeptEntryId="00000001", tokensBefore=9),
        Kind.SESSION_COMPACTED,
        Kind.SESSION_SUMMARIZED,
    )
    yield step(assistant(text("So."), usage=spent(10, 5)), Kind.ASSISTANT)
    yield step(assistant({"type": "novelty"}), Kind.PROVIDER_RAW)
    yield step(entry("session_info", name="Tides"), Kind.SESSION_TITLED)


def _many_parts(parts: int) -> bytes:
    return msgspec.json.encode(assistant(*[text("x") for _ in range(parts)]))


def conversation(count_: int) -> Iterator[bytes]:
    yield msgspec.json.encode(header())
    for turn in turns("pi", count_):
        identity = f"call-{turn.number}"
        asked = call(identity, turn.tool, command=turn.command)
        for number, made in enumerate(
            (
                message("user", [text(turn.prompt)]),
                assistant(
                    {"type": "thinking", "thinking": turn.thought},
                    asked,
                    usage=spent(40, 80, 9_000),
                ),
                message("toolResult", [text(turn.output)], toolCallId=identity, toolName=turn.tool),
                assistant(call(f"{identity}-w", "write", content=turn.written)),
                message("toolResult", [text("ok")], toolCallId=f"{identity}-w", toolName="write"),
                assistant(text(turn.answer), usage=spent(50, 200, 9_100)),
            )
        ):
            made["timestamp"] = turn.at(number)
            yield msgspec.json.encode(made)


SAMPLE: Final = Sample(
    source=Agent,
    steps=list(_steps()),
    path=f"{FOLDER}/2026-01-05T09-00-00-000Z_{SESSION}.jsonl",
    session=SESSION,
    facets=Facets(title="Tides", project=CWD, cwd=CWD, model=MODEL, forked_from=ORIGIN),
    usage=Usage(210, 35, 800, 100),
    unknown=[
        msgspec.json.encode(entry("novelty")),
        msgspec.json.encode(message("novelty", "x")),
    ],
    many_parts=_many_parts,
    moved=f"sessions/--home-hana-else--/2026-01-05T09-00-00-000Z_{SESSION}.jsonl",
    logs={f"{FOLDER}/2026-01-05T09-00-00-000Z_x/run/session.jsonl": (
        "--home-hana-src-tidepool--/2026-01-05T09-00-00-000Z_x/run/session", "")},
    others=[f"{FOLDER}/notes.md", "settings.json", "sessions.jsonl"],
    conversation=conversation,
)  # fmt: skip
