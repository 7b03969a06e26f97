"""Codex CLI: a fork in both generations of records, with a compaction; archived and compressed."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from holdfast.conformance.sample import Facets, Fork, Sample, Step, step
from holdfast.conformance.samples._talk import BRANCH, CWD, turns
from holdfast.events import Kind, Usage
from holdfast.sources.agents.codex import Agent

THREAD: Final = "019b8d1c-5e55-7000-a000-000000000001"
ORIGIN: Final = "019b8d1c-5e55-7000-a000-000000000000"
FORK: Final = "019b8d1c-5e55-7000-a000-000000000002"
PACKED: Final = "019b8d1c-5e55-7000-a000-000000000003"
FOLDER: Final = "sessions/2026/01/05"
NAME: Final = f"rollout-2026-01-05T09-00-00-{THREAD}.jsonl"
AT: Final = "2026-01-05T09:00:00.000Z"
MODEL: Final = "gpt-5.6-luna"
PICTURE: Final = "data:image/png;base64," + base64.b64encode(b"picture" * 600).decode()

Record = dict[str, Any]


def line(kind: str, payload: Record, at: str = AT) -> Record:
    return {"timestamp": at, "type": kind, "payload": payload}


def item(kind: str, at: str = AT, **fields: Any) -> Record:
    """What went to the model, or came from it."""
    return line("response_item", {"type": kind, **fields}, at)


def event(kind: str, at: str = AT, **fields: Any) -> Record:
    """What the screen showed."""
    return line("event_msg", {"type": kind, **fields}, at)


def completed(kind: str, identity: str, at: str = AT, **fields: Any) -> Record:
    """The item of a turn, as newer versions write it."""
    inner = {"type": kind, "id": identity, **fields}
    return event("item_completed", at, thread_id=THREAD, turn_id="turn-1", item=inner)


def said(role: str, *texts: str, at: str = AT) -> Record:
    kind = "output_text" if role == "assistant" else "input_text"
    content = [{"type": kind, "text": text} for text in texts]
    return item("message", at, role=role, content=content)


def call(name: str, use: str, at: str = AT, **given: Any) -> Record:
    return item("function_call", at, name=name, arguments=json.dumps(given), call_id=use)


def output(use: str, what: Any, at: str = AT) -> Record:
    return item("function_call_output", at, call_id=use, output=what)


def meta(thread: str = THREAD, at: str = AT, **more: Any) -> Record:
    about = {"id": thread, "timestamp": at, "cwd": CWD, "originator": "codex_cli_rs"}
    told = {"cli_version": "0.146.0", "source": "cli", "git": {"branch": BRANCH}}
    return line("session_meta", {**about, **told, **more}, at)


def context(at: str = AT, **more: Any) -> Record:
    about = {"cwd": CWD, "approval_policy": "never", "sandbox_policy": {"type": "read-only"}}
    return line("turn_context", {**about, "model": MODEL, "effort": "medium", **more}, at)


def counted(
    total: tuple[int, int, int], last: tuple[int, int, int] | None = None, at: str = AT
) -> Record:
    """Input, cached and output, as Codex counts them: the cached are input too."""
    names = ("input_tokens", "cached_input_tokens", "output_tokens")
    sums = dict(zip(names, total, strict=True))
    newest = dict(zip(names, last or total, strict=True))
    info = {"total_token_usage": sums, "last_token_usage": newest}
    return event("token_count", at, info=info, rate_limits=None)


def compacted(summary: str, *history: Record, at: str = AT) -> Record:
    return line("compacted", {"message": summary, "replacement_history": list(history)}, at)


def _steps() -> Iterator[Step]:
    yield step(meta(forked_from_id=ORIGIN), Kind.SESSION_STARTED)
    yield step(meta(ORIGIN), Kind.PROVIDER_INFO)  # of the session that it was forked from
    yield step(context(), Kind.PROVIDER_INFO)
    yield step(context(), verdict="skipped")
    yield step(
        line("world_state", {"full": True, "state": {"timezone": "UTC"}}), Kind.PROVIDER_INFO
    )
    yield from _first_generation()
    yield from _second_generation()
    yield from _oldest_generation()
    yield from _ending()


def _first_generation() -> Iterator[Step]:
    """What is said is an item of the model, and an event of the screen; one of them is told."""
    around = "<environment_context>\n  <cwd>/home/hana</cwd>\n</environment_context>"
    yield step(event("task_started", turn_id="turn-0"), Kind.PROVIDER_INFO)
    yield step(said("developer", "Be brief."), Kind.SYSTEM)
    yield step(said("user", around), Kind.SYSTEM)
    asked = "Where are the tides read?"
    shown = f"# Context from my IDE setup:\na.py\n\n## My request for Codex:\n{asked}\n"
    yield step(said("user", shown), Kind.USER)
    yield step(event("user_message", message=asked), verdict="skipped")
    yield step(event("user_message", message="and this?", images=[PICTURE]), Kind.USER, Kind.USER)
    yield step(
        item("reasoning", summary=[{"type": "summary_text", "text": "hm"}], encrypted_content="x"),
        Kind.THINKING,
    )
    yield step(event("agent_reasoning", text="hm"), verdict="skipped")
    yield step(event("agent_reasoning_delta", delta="h"), verdict="skipped")
    yield step(call("shell", "c1", command=["bash", "-lc", "ls"]), Kind.TOOL_CALL)
    yield step(event("exec_command_begin", call_id="c1", command=["ls"]), verdict="skipped")
    yield step(output("c1", "Exit code: 0\nOutput:\ngauge.py"), Kind.TOOL_RESULT)
    yield step(
        event("exec_command_end", call_id="c1", aggregated_output="gauge.py", exit_code=0),
        verdict="skipped",
    )
    patch = "*** Begin Patch\n*** Update File: gauge.py\n*** End Patch"
    yield step(
        item("custom_tool_call", name="apply_patch", input=patch, call_id="c2"), Kind.TOOL_CALL
    )
    yield step(
        event("patch_apply_end", call_id="c2", success=False, stderr="no such file"),
        Kind.TOOL_RESULT,
    )
    yield step(
        event(
            "mcp_tool_call_end",
            call_id="c3",
            invocation={"server": "tides", "tool": "low", "arguments": {"day": 5}},
            result={"Ok": {"content": [{"type": "text", "text": "at nine"}], "isError": False}},
        ),
        Kind.TOOL_CALL,
        Kind.TOOL_RESULT,
    )
    yield step(
        call("request_user_input", "c4", questions=[{"question": "Which?", "options": []}]),
        Kind.DECISION_PROPOSED,
    )
    yield step(output("c4", '{"answers":{"Which?":{"answers":["A"]}}}'), Kind.DECISION_ACCEPTED)
    yield step(
        call("update_plan", "c5", plan=[{"step": "look", "status": "pending"}]),
        Kind.DECISION_PROPOSED,
    )
    yield step(said("assistant", "In gauge.py."), Kind.ASSISTANT)
    yield step(event("agent_message", message="In gauge.py."), verdict="skipped")
    yield step(counted((1_000, 600, 50)), Kind.PROVIDER_INFO)
    yield step(counted((1_000, 600, 50)), verdict="skipped")
    yield step(event("task_complete", last_agent_message="In gauge.py."), Kind.PROVIDER_INFO)


def _second_generation() -> Iterator[Step]:
    """Turns of items, each of which is whole."""
    yield step(event("item_started", item={"type": "UserMessage", "id": "i1"}), verdict="skipped")
    yield step(
        completed("UserMessage", "i1", content=[{"type": "text", "text": "Why twice?"}]), Kind.USER
    )
    yield step(said("user", "Why twice?"), verdict="skipped")
    yield step(
        completed("Reasoning", "i2", summary_text=["A loop."], raw_content=[]), Kind.THINKING
    )
    yield step(
        completed(
            "CommandExecution",
            "i3",
            command="grep -n tide gauge.py",
            cwd=CWD,
            aggregated_output="41: read_tide()",
            exit_code=0,
            status="completed",
        ),
        Kind.TOOL_CALL,
        Kind.TOOL_RESULT,
    )
    yield step(completed("Plan", "i4", text="1. mend it"), Kind.DECISION_PROPOSED)
    yield step(
        completed("AgentMessage", "i5", content=[{"type": "Text", "text": "The loop reads it."}]),
        Kind.ASSISTANT,
    )
    yield step(said("assistant", "The loop reads it."), verdict="skipped")
    yield step(completed("HookPrompt", "i6", fragments=[]), Kind.PROVIDER_INFO)
    yield step(counted((1_500, 1_000, 80)), Kind.PROVIDER_INFO)
    yield step(event("turn_aborted", reason="interrupted"), Kind.PROVIDER_INFO)


def _oldest_generation() -> Iterator[Step]:
    """Lines without an envelope."""
    bare = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "old"}]}
    yield step(bare, Kind.USER)
    yield step({"record_type": "state"}, verdict="skipped")


def _ending() -> Iterator[Step]:
    repeated = {
        "type": "message",
        "role": "user",
        "content": [{"type": "input_text", "text": "Why twice?"}],
    }
    yield step(
        compacted("what was", repeated),
        Kind.SESSION_COMPACTED,
        Kind.SESSION_SUMMARIZED,
        verdict="skipped",
    )
    yield step(event("context_compacted"), verdict="skipped")
    yield step(counted((400, 300, 9), last=(400, 300, 9)), Kind.PROVIDER_INFO)  # it starts again
    yield step(event("thread_name_updated", thread_name="Tides"), Kind.SESSION_TITLED)
    yield step(
        item("message", role="assistant", content=[{"type": "novelty", "value": 1}]),
        Kind.PROVIDER_RAW,
    )


def _many_parts(parts: int) -> bytes:
    return msgspec.json.encode(said("user", *["x"] * parts))


def conversation(count: int) -> Iterator[bytes]:
    """As the first generation writes it: nearly everything twice."""
    yield msgspec.json.encode(meta())
    spent = (0, 0, 0)
    for turn in turns("codex", count):
        use, at = f"call-{turn.number}", turn.at(0)
        spent = (spent[0] + 9_300, spent[1] + 9_000, spent[2] + 300)
        summary = [{"type": "summary_text", "text": turn.thought}]
        patch = f"*** Begin Patch\n*** Add File: a.py\n{turn.written}\n*** End Patch"
        for made in (
            event("task_started", at, turn_id=f"turn-{turn.number}"),
            context(at),
            said("user", turn.prompt, at=at),
            event("user_message", at, message=turn.prompt),
            item("reasoning", at, summary=summary),
            event("agent_reasoning", at, text=turn.thought),
            call(turn.tool, use, at, command=["bash", "-lc", turn.command]),
            output(use, f"Exit code: 0\nOutput:\n{turn.output}", at),
            item("custom_tool_call", at, name="apply_patch", input=patch, call_id=f"{use}-p"),
            item("custom_tool_call_output", at, call_id=f"{use}-p", output="Done"),
            said("assistant", turn.answer, at=at),
            event("agent_message", at, message=turn.answer),
            counted(spent, (9_300, 9_000, 300), at),
            event("task_complete", at, last_agent_message=turn.answer),
        ):
            yield msgspec.json.encode(made)


def _fork() -> Fork:
    """The session goes on elsewhere: its records come again, behind a beginning of its own."""
    late = "2026-01-05T10:00:00.000Z"
    return Fork(
        path=f"{FOLDER}/rollout-2026-01-05T10-00-00-{FORK}.jsonl",
        session=FORK,
        # The beginning of the session that it comes from is no beginning of its own.
        own=(Kind.SESSION_STARTED, Kind.PROVIDER_INFO, Kind.USER, Kind.ASSISTANT),
        before=[msgspec.json.encode(meta(FORK, late, forked_from_id=THREAD))],
        after=[
            msgspec.json.encode(said("user", "and the winds?", at=late)),
            msgspec.json.encode(said("assistant", "In vane.py.", at=late)),
        ],
    )


SAMPLE: Final = Sample(
    source=Agent,
    steps=list(_steps()),
    path=f"{FOLDER}/{NAME}",
    session=THREAD,
    facets=Facets(
        title="Tides",
        project=CWD,
        cwd=CWD,
        branch=BRANCH,
        model=MODEL,
        agent_version="0.146.0",
        forked_from=ORIGIN,
    ),
    usage=Usage(400 + 100 + 100, 50 + 30 + 9, 600 + 400 + 300),
    repeats=[msgspec.json.encode(counted((400, 300, 9), last=(400, 300, 9)))],
    unknown=[
        msgspec.json.encode(line("novelty", {"text": "?"})),
        msgspec.json.encode(event("novelty", text="?")),
        msgspec.json.encode(item("novelty", text="?")),
        msgspec.json.encode(completed("Novelty", "n1", text="?")),
    ],
    many_parts=_many_parts,
    moved=f"archived_sessions/{NAME}",
    compressed=f"{FOLDER}/{NAME}.zst",
    fork=_fork(),
    logs={
        f"archived_sessions/rollout-2026-01-04T09-00-00-{ORIGIN}.jsonl": (ORIGIN, ""),
        f"{FOLDER}/rollout-2026-01-05T11-00-00-{PACKED}.jsonl.zst": (PACKED, ""),
    },
    others=["history.jsonl", "session_index.jsonl", f"{FOLDER}/notes.jsonl"],
    conversation=conversation,
)
