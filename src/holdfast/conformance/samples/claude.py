"""Claude Code: a session with a question, a subagent and a compaction."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from holdfast.conformance.sample import Facets, Sample, Step, step
from holdfast.conformance.samples._talk import turns
from holdfast.demo import lines
from holdfast.events import Kind, Usage
from holdfast.sources.agents.claude import Agent

FOLDER: Final = "projects/-home-hana-src-tidepool"
PICTURE: Final = base64.b64encode(b"picture" * 800).decode()
ASKED: Final = {"questions": [{"question": "Which?", "options": [{"label": "A"}]}]}


def _step(line: bytes, *kinds: str, **more: Any) -> Step:
    return step(line.removesuffix(b"\n"), *kinds, **more)


def _steps() -> Iterator[Step]:
    yield _step(lines.user_line("Where are the tides read?"), Kind.USER)
    yield _step(lines.image_line("look", PICTURE), Kind.USER, Kind.USER)
    yield _step(lines.user_line("<system-reminder>x</system-reminder>"), Kind.SYSTEM)
    yield _step(lines.thinking_line("hm", output=3, input=10), Kind.THINKING)
    yield _step(lines.assistant_line("so", output=9, input=10), Kind.ASSISTANT)
    yield _step(lines.tool_use_line(use="t1", output=9, input=10), Kind.TOOL_CALL)
    yield _step(lines.tool_result_line("a.py", use="t1"), Kind.TOOL_RESULT)
    question = lines.tool_use_line(
        "AskUserQuestion", ASKED, use="q1", message="msg_2", request="req_2", output=4, input=1
    )
    yield _step(question, Kind.DECISION_PROPOSED)
    answer = {**ASKED, "answers": {"Which?": "A"}}
    yield _step(lines.tool_result_line("A", use="q1", result=answer), Kind.DECISION_ACCEPTED)
    yield _step(lines.progress_line("working"), verdict="skipped")
    yield _step(lines.system_line("api_error", {"content": "Overloaded"}), Kind.PROVIDER_INFO)
    boundary, summary = lines.compaction_lines("what was")
    yield _step(boundary, Kind.SESSION_COMPACTED)
    yield _step(summary, Kind.SESSION_SUMMARIZED)
    yield _step(lines.snapshot_line(), verdict="skipped")
    yield _step(lines.summary_line("Earlier"), Kind.SESSION_TITLED)
    yield _step(lines.title_line("Tides", custom=True), Kind.SESSION_TITLED)
    yield _step(lines.queue_line("later"), Kind.PROVIDER_INFO)


def _many_parts(parts: int) -> bytes:
    content = [{"type": "text", "text": "x"} for _ in range(parts)]
    return msgspec.json.encode({"type": "assistant", "message": {"content": content}})


def conversation(count: int) -> Iterator[bytes]:
    for turn in turns("claude", count):
        use, at = f"toolu_{turn.number}", turn.at(0)
        reply: Any = {"message": f"msg_{turn.number}", "request": f"req_{turn.number}", "at": at}
        for made in (
            lines.user_line(turn.prompt, at=at),
            lines.thinking_line(turn.thought, **reply),
            lines.tool_use_line(turn.tool, {"command": turn.command}, use=use, **reply),
            lines.tool_result_line(turn.output, use=use, at=at),
            lines.tool_use_line(
                "Write", {"file_path": "a.py", "content": turn.written}, use=f"{use}w", **reply
            ),
            lines.tool_result_line("Created a.py", use=f"{use}w", at=at),
            lines.assistant_line(turn.answer, message=f"msg_b{turn.number}", at=at),
        ):
            yield made.removesuffix(b"\n")


SAMPLE: Final = Sample(
    source=Agent,
    steps=list(_steps()),
    path=f"{FOLDER}/{lines.SESSION}.jsonl",
    session=lines.SESSION,
    facets=Facets(
        title="Tides",
        project=lines.CWD,
        cwd=lines.CWD,
        branch="main",
        model="claude-opus-4-6",
        agent_version=lines.VERSION,
    ),
    usage=Usage(10 + 1, 9 + 4, 40_000, 2_000),
    repeats=[lines.assistant_line("so", output=9, input=10).removesuffix(b"\n")],
    unknown=[b'{"type":"novelty","text":"?"}'],
    many_parts=_many_parts,
    moved=f"projects/-home-hana-else/{lines.SESSION}.jsonl",
    logs={
        f"{FOLDER}/{lines.SESSION}/subagents/agent-a1.jsonl": (
            f"{lines.SESSION}/agent-a1",
            lines.SESSION,
        )
    },
    others=[f"{FOLDER}/{lines.SESSION}/subagents/agent-a1.meta.json", "settings.json"],
    conversation=conversation,
)
