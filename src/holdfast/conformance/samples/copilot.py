"""Copilot CLI: a session that is started, asked, resumed and compacted."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any, Final

import msgspec

from holdfast.conformance.sample import Facets, Sample, Step, step
from holdfast.conformance.samples._talk import BRANCH, CWD, turns
from holdfast.events import Kind, Usage
from holdfast.sources.agents.copilot import Agent

SESSION: Final = "0f3c1a52-5e55-4000-a000-000000000001"
MODEL: Final = "claude-sonnet-4.5"
PICTURE: Final = "iVBORw0KGgo" * 300

_numbers = count()


def record(
    kind: str, data: dict[str, Any], at: str = "2026-01-05T09:00:00.000Z", **more: Any
) -> dict[str, Any]:
    number = next(_numbers)
    return {
        "type": kind,
        "data": data,
        "id": f"e{number:07d}-0000-4000-a000-000000000000",
        "timestamp": at,
        "parentId": f"e{number - 1:07d}-0000-4000-a000-000000000000" if number else None,
        **more,
    }


def start(**more: Any) -> dict[str, Any]:
    context = {"cwd": CWD, "gitRoot": CWD, "branch": BRANCH, "repository": "hana/tidepool"}
    data = {
        "sessionId": SESSION,
        "version": 1,
        "producer": "copilot-agent",
        "copilotVersion": "1.0.77",
        "startTime": "2026-01-05T09:00:00.000Z",
        "selectedModel": MODEL,
        "context": context,
        **more,
    }
    return record("session.start", data)


def message(content: str, *, call: str = "m1", output: int = 12, **more: Any) -> dict[str, Any]:
    data = {
        "messageId": call,
        "apiCallId": f"api-{call}",
        "content": content,
        "model": MODEL,
        "outputTokens": output,
        "toolRequests": [],
        **more,
    }
    return record("assistant.message", data)


def request(identity: str, name: str = "shell", arguments: Any = None) -> dict[str, Any]:
    return {
        "toolCallId": identity,
        "name": name,
        "arguments": {"command": "ls"} if arguments is None else arguments,
        "type": "function",
    }


def tool_start(identity: str, name: str = "shell", **more: Any) -> dict[str, Any]:
    data = {"toolCallId": identity, "toolName": name, "arguments": {"command": "ls"}}
    return record("tool.execution_start", data, **more)


def tool_end(identity: str, content: str, *, success: bool = True, **more: Any) -> dict[str, Any]:
    result = {"content": content, "detailedContent": None}
    data = {"toolCallId": identity, "success": success, "result": result, **more}
    return record("tool.execution_complete", data)


def shutdown(inputs: int, outputs: int, cached: int, written: int) -> dict[str, Any]:
    usage = {
        "inputTokens": inputs,
        "outputTokens": outputs,
        "cacheReadTokens": cached,
        "cacheWriteTokens": written,
        "reasoningTokens": 3,
    }
    metrics = {MODEL: {"requests": {"count": 2, "cost": 1}, "usage": usage}}
    return record(
        "session.shutdown",
        {"shutdownType": "routine", "currentModel": MODEL, "modelMetrics": metrics},
    )


def _steps() -> Iterator[Step]:
    yield step(start(), Kind.SESSION_STARTED)
    yield step(record("system.message", {"content": "You are …", "role": "system"}), Kind.SYSTEM)
    yield step(
        record("user.message", {"content": "Where are the tides read?", "attachments": []}),
        Kind.USER,
    )
    yield step(record("assistant.turn_start", {"turnId": "0"}), verdict="skipped")
    yield step(record("assistant.reasoning", {"content": "hm"}), Kind.THINKING)
    yield step(
        message("I look.", reasoningText="hm", toolRequests=[request("t1")]),
        Kind.ASSISTANT,
        Kind.TOOL_CALL,
    )
    yield step(tool_start("t1"), verdict="skipped")
    yield step(tool_end("t1", "gauge.py"), Kind.TOOL_RESULT)
    yield step(
        message(
            "",
            call="m2",
            output=5,
            reasoningText="further",
            toolRequests=[request("t2", "task", '{"prompt":"look"}')],
        ),
        Kind.THINKING,
        Kind.TOOL_CALL,
    )
    yield step(
        record("subagent.started", {"toolCallId": "t2", "agentDisplayName": "Explorer"}),
        Kind.PROVIDER_INFO,
    )
    yield step(record("assistant.message", {"content": "in", "outputTokens": 2,
                       "messageId": "m3", "parentToolCallId": "t2"}, agentId="a1"),
               Kind.ASSISTANT)  # fmt: skip
    yield step(tool_end("t2", "", success=False, error={"message": "no"}), Kind.TOOL_RESULT)
    yield step(shutdown(1_000, 25, 800, 100), Kind.PROVIDER_INFO)
    yield step(record("session.resume", {"context": {"cwd": CWD}}), Kind.PROVIDER_INFO)
    blob = {"type": "blob", "data": PICTURE, "mimeType": "image/png"}
    files = [blob, {"type": "file", "path": "a.py"}]
    yield step(
        record("user.message", {"content": "and this?", "attachments": files}),
        Kind.USER,
        Kind.USER,
        Kind.PROVIDER_INFO,
    )
    yield step(record("user.message", {"content": "wake up", "source": "schedule-1"}), Kind.SYSTEM)
    yield step(message("So.", call="m4", output=7), Kind.ASSISTANT)
    yield step(
        record("session.compaction_complete", {"success": True, "summaryContent": "what was"}),
        Kind.SESSION_COMPACTED,
        Kind.SESSION_SUMMARIZED,
    )
    yield step(record("session.title_changed", {"title": "Tides"}), Kind.SESSION_TITLED)
    yield step(shutdown(50, 7, 0, 0), Kind.PROVIDER_INFO)
    yield step(record("hook.start", {"hookType": "postToolUse"}), verdict="skipped")


def _many_parts(parts: int) -> bytes:
    requests = [request(f"t{number}") for number in range(parts)]
    return msgspec.json.encode(message("all", toolRequests=requests))


def conversation(count_: int) -> Iterator[bytes]:
    yield msgspec.json.encode(start())
    for turn in turns("copilot", count_):
        call = f"call-{turn.number}"
        asked = [request(call, turn.tool, {"command": turn.command})]
        edit = [request(f"{call}-w", "create", {"path": "a.py", "file_text": turn.written})]
        for number, made in enumerate(
            (
                record("user.message", {"content": turn.prompt, "attachments": []}),
                record("assistant.turn_start", {"turnId": str(turn.number)}),
                message("", call=f"a{call}", reasoningText=turn.thought, toolRequests=asked),
                tool_start(call, turn.tool),
                tool_end(call, turn.output),
                message("", call=f"c{call}", toolRequests=edit),
                tool_start(f"{call}-w", "create"),
                tool_end(f"{call}-w", "Created a.py"),
                message(turn.answer, call=f"b{call}", output=len(turn.answer) // 4),
                record("assistant.turn_end", {"turnId": str(turn.number)}),
            )
        ):
            made["timestamp"] = turn.at(number)
            yield msgspec.json.encode(made)


SAMPLE: Final = Sample(
    source=Agent,
    steps=list(_steps()),
    path=f"session-state/{SESSION}/events.jsonl",
    session=SESSION,
    facets=Facets(
        title="Tides", project=CWD, cwd=CWD, branch=BRANCH, model=MODEL, agent_version="1.0.77"
    ),
    # Of the first run, 19 tokens of output were told by messages and 6 by its end alone.
    usage=Usage(100 + 50, 19 + 6 + 7, 800, 100),
    unknown=[msgspec.json.encode(record("session.of_tomorrow", {"a": 1}))],
    many_parts=_many_parts,
    moved=f"session-state/{SESSION}.jsonl",
    logs={"session-state/older.jsonl": ("older", "")},
    others=[
        f"session-state/{SESSION}/workspace.yaml",
        f"session-state/{SESSION}/files/data.jsonl",
        f"session-state/{SESSION}/files/events.jsonl",
        "config.json",
    ],
    conversation=conversation,
)
