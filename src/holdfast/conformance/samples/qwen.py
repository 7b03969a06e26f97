"""Qwen Code: a forked session with a picture, a subagent's log beside it, and a compression."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any, Final

import msgspec

from holdfast.conformance.sample import Facets, Sample, Step, step
from holdfast.conformance.samples._talk import BRANCH, CWD, turns
from holdfast.events import Kind, Usage
from holdfast.sources.agents.qwen import Agent

SESSION: Final = "9a3c1a52-5e55-4000-a000-000000000002"
ORIGIN: Final = "9a3c1a52-5e55-4000-a000-000000000001"
PROJECT: Final = "-home-hana-src-tidepool"
MODEL: Final = "qwen3-coder-plus"
PICTURE: Final = "iVBORw0KGgo" * 300

_numbers = count()


def record(kind: str, at: str = "2026-01-05T09:00:00.000Z", **more: Any) -> dict[str, Any]:
    number = next(_numbers)
    return {
        "uuid": f"{number:08x}-0000-4000-a000-000000000000",
        "parentUuid": f"{number - 1:08x}-0000-4000-a000-000000000000" if number else None,
        "sessionId": SESSION,
        "timestamp": at,
        "type": kind,
        "cwd": CWD,
        "version": "0.5.0",
        "gitBranch": BRANCH,
        **more,
    }


def user(*texts: str, **more: Any) -> dict[str, Any]:
    parts = [{"text": text} for text in texts]
    return record("user", message={"role": "user", "parts": parts}, **more)


def spent(prompt: int, answer: int, cached: int = 0, thoughts: int = 0) -> dict[str, int]:
    return {
        "promptTokenCount": prompt,
        "candidatesTokenCount": answer,
        "cachedContentTokenCount": cached,
        "thoughtsTokenCount": thoughts,
        "totalTokenCount": prompt + answer,
    }


def assistant(*parts: dict[str, Any], **more: Any) -> dict[str, Any]:
    return record("assistant", message={"role": "model", "parts": list(parts)}, model=MODEL, **more)


def call(identity: str, name: str = "run_shell_command", **args: Any) -> dict[str, Any]:
    return {"functionCall": {"id": identity, "name": name, "args": args or {"command": "ls"}}}


def result(identity: str, response: dict[str, Any], **more: Any) -> dict[str, Any]:
    given = {"id": identity, "name": "run_shell_command", "response": response}
    return record(
        "tool_result", message={"role": "user", "parts": [{"functionResponse": given}]}, **more
    )


def system(subtype: str, **payload: Any) -> dict[str, Any]:
    return record("system", subtype=subtype, systemPayload=payload)


def _steps() -> Iterator[Step]:
    fork = {"sessionId": ORIGIN, "messageUuid": "00000000-0000-4000-a000-000000000000"}
    yield step(user("Where are the tides read?", forkedFrom=fork), Kind.USER)
    yield step(
        assistant({"text": "hm", "thought": True}, {"text": "I look."}, call("t1"),
                  usageMetadata=spent(1_000, 30, cached=800, thoughts=10)),
        Kind.THINKING, Kind.ASSISTANT, Kind.TOOL_CALL,
    )  # fmt: skip
    yield step(result("t1", {"output": "gauge.py"}), Kind.TOOL_RESULT)
    yield step(
        result("t1", {"error": "no"}, toolCallResult={"callId": "t1", "status": "error"}),
        Kind.TOOL_RESULT,
    )
    event = {"event.name": "qwen-code.api_response", "input_token_count": 1_000}
    yield step(system("ui_telemetry", uiEvent=event), verdict="skipped")
    failed = {"event.name": "qwen-code.api_error", "error": "429"}
    yield step(system("ui_telemetry", uiEvent=failed), Kind.PROVIDER_INFO)
    picture = {"inlineData": {"mimeType": "image/png", "data": PICTURE}}
    yield step(
        record("user", message={"role": "user", "parts": [{"text": "look"}, picture]}),
        Kind.USER,
        Kind.USER,
    )
    yield step(
        user(
            "--- a.py ---\nx\n--- end ---\nwhat is it?",
            systemPayload={"displayText": "@a.py what is it?", "hookContext": ""},
        ),
        Kind.USER,
    )
    yield step(user("<system-reminder>be kind</system-reminder>"), Kind.SYSTEM)
    yield step(user("done", subtype="notification"), Kind.SYSTEM)
    yield step(user("and this", subtype="mid_turn_user_message"), Kind.USER)
    without = {"promptTokenCount": 10, "candidatesTokenCount": 5, "thoughtsTokenCount": 2}
    yield step(
        assistant({"text": "So."}, usageMetadata={**without, "totalTokenCount": 17}),
        Kind.ASSISTANT,
    )
    yield step(assistant({"novelty": {"a": 1}}), Kind.PROVIDER_RAW)
    history = [
        {"role": "user", "parts": [{"text": "what was"}]},
        {"role": "model", "parts": [{"text": "Got it."}]},
    ]
    yield step(
        system("chat_compression", info={"originalTokenCount": 9}, compressedHistory=history),
        Kind.SESSION_COMPACTED,
        Kind.SESSION_SUMMARIZED,
    )
    yield step(system("slash_command", phase="invocation", rawCommand="/about"), Kind.USER)
    yield step(system("slash_command", phase="result", rawCommand="/about"), Kind.PROVIDER_INFO)
    yield step(system("custom_title", customTitle="Mine"), Kind.SESSION_TITLED)
    yield step(
        system("custom_title", customTitle="Theirs", titleSource="auto"), Kind.SESSION_TITLED
    )
    yield step(system("file_history_snapshot", snapshots=[]), verdict="skipped")
    yield step(system("session_model", modelId=MODEL, authType="x"), Kind.PROVIDER_INFO)


def _many_parts(parts: int) -> bytes:
    return msgspec.json.encode(assistant(*[{"text": "x"} for _ in range(parts)]))


def conversation(count_: int) -> Iterator[bytes]:
    for turn in turns("qwen", count_):
        identity = f"call-{turn.number}"
        thought = {"text": turn.thought, "thought": True}
        event = {"event.name": "qwen-code.tool_call", "function_name": turn.tool}
        for number, made in enumerate(
            (
                user(turn.prompt),
                assistant(
                    thought,
                    call(identity, turn.tool, command=turn.command),
                    usageMetadata=spent(9_000 + 50 * turn.number, 80, cached=8_000),
                ),
                system("ui_telemetry", uiEvent=event),
                result(identity, {"output": turn.output}),
                assistant(call(f"{identity}-w", "write_file", content=turn.written)),
                result(f"{identity}-w", {"output": "Created a.py"}),
                assistant({"text": turn.answer}, usageMetadata=spent(9_500, 200)),
            )
        ):
            made["timestamp"] = turn.at(number)
            yield msgspec.json.encode(made)


SAMPLE: Final = Sample(
    source=Agent,
    steps=list(_steps()),
    path=f"projects/{PROJECT}/chats/{SESSION}.jsonl",
    session=SESSION,
    facets=Facets(
        title="Mine",
        project=CWD,
        cwd=CWD,
        branch=BRANCH,
        model=MODEL,
        agent_version="0.5.0",
        forked_from=ORIGIN,
    ),
    usage=Usage(200 + 10, 30 + 7, 800),
    unknown=[
        msgspec.json.encode(record("novelty")),
        msgspec.json.encode(system("of_tomorrow", a=1)),
    ],
    many_parts=_many_parts,
    moved=f"projects/-home-hana-else/chats/{SESSION}.jsonl",
    logs={
        f"projects/{PROJECT}/subagents/{SESSION}/agent-explore-7f3c.jsonl": (
            f"{SESSION}/agent-explore-7f3c",
            SESSION,
        ),
        f"projects/{PROJECT}/chats/archive/older.jsonl": ("older", ""),
    },
    others=[
        f"projects/{PROJECT}/subagents/{SESSION}/agent-explore-7f3c.meta.json",
        f"projects/{PROJECT}/chats/{SESSION}.runtime.json",
        f"projects/{PROJECT}/usage_record.jsonl",
        "settings.json",
    ],
    conversation=conversation,
)
