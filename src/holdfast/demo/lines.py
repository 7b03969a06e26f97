"""Single log lines with the text that a test wants, everything else filled in.

The same arguments give the same line. A record's uuid follows from its kind and text, so two equal
lines have equal ids; give `uuid` and `parent` where the chain matters.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Final, TypedDict, Unpack

from holdfast.demo import records
from holdfast.demo.records import Link, Message, Usage
from holdfast.demo.text import escaped

SESSION: Final = "5e551035-0000-4000-a000-000000000001"
CWD: Final = "/home/hana/src/tidepool"
AT: Final = "2026-01-05T09:00:00.000Z"
VERSION: Final = "2.1.42"
USE: Final = "toolu_01AAAAAAAAAAAAAAAAAAAA"


class Place(TypedDict, total=False):
    """Where a record stands; each field has a default."""

    session: str
    cwd: str
    branch: str
    version: str
    agent: str  # makes it a record of a sub-agent, on a side chain
    uuid: str
    parent: str | None
    at: str


class Reply(Place, total=False):
    """What a line of the model's adds. Lines of one reply share `message` and `request`."""

    message: str
    request: str
    model: str
    input: int
    output: int
    cache_write: int
    cache_read: int


def user_line(
    text: str, *, extra: Mapping[str, Any] | None = None, **place: Unpack[Place]
) -> bytes:
    """A prompt; `extra` are more fields of the record, as {"isMeta": True}."""
    more = f",{json.dumps(extra)[1:-1]}" if extra else ""
    return records.user(_link("user", text, place), f'"{escaped(text)}"', more).encode()


def image_line(text: str, data: str, **place: Unpack[Place]) -> bytes:
    """A prompt with a pasted picture, in base64."""
    content = f"[{records.text_block(escaped(text))},{records.image_block(data)}]"
    return records.user(_link("image", text, place), content).encode()


def assistant_line(text: str, **reply: Unpack[Reply]) -> bytes:
    return _reply_line("text", text, records.text_block(escaped(text)), reply)


def thinking_line(text: str, *, signature: str = "EAAA", **reply: Unpack[Reply]) -> bytes:
    block = records.thinking_block(escaped(text), signature)
    return _reply_line("thinking", text, block, reply)


def tool_use_line(
    name: str = "Bash",
    arguments: Mapping[str, Any] | None = None,
    *,
    use: str = USE,
    **reply: Unpack[Reply],
) -> bytes:
    given = json.dumps({"command": "true"} if arguments is None else arguments, ensure_ascii=False)
    return _reply_line("tool_use", use, records.tool_use_block(use, name, given), reply)


def tool_result_line(
    text: str,
    *,
    use: str = USE,
    result: Any = None,
    error: bool = False,
    asked: str = "",
    **place: Unpack[Place],
) -> bytes:
    """A tool's answer. Without `result`, `toolUseResult` repeats the text as Bash does."""
    if result is None:
        result = {"stdout": text, "stderr": "", "interrupted": False, "isImage": False}
    given = json.dumps(result, ensure_ascii=False)
    block = records.result_block(use, f'"{escaped(text)}"', error=error)
    link = _link("tool_result", use + text, place)
    return records.tool_result(link, block, given, asked or _uuid("tool_use", use)).encode()


def progress_line(
    text: str = "working", *, step: int = 0, use: str = USE, **place: Unpack[Place]
) -> bytes:
    """What a long command has printed so far."""
    link = _link("progress", f"{step}{text}", place)
    return records.bash_progress(link, escaped(text), step=step, seconds=step + 2, use=use).encode()


def hook_line(
    event: str = "PostToolUse", *, tool: str = "Bash", use: str = USE, **place: Unpack[Place]
) -> bytes:
    link = _link("hook", event + tool, place)
    return records.hook_progress(link, event, tool, "scripts/hook.sh", use).encode()


def system_line(
    subtype: str = "turn_duration",
    fields: Mapping[str, Any] | None = None,
    **place: Unpack[Place],
) -> bytes:
    given = json.dumps({"durationMs": 1_500} if fields is None else fields, ensure_ascii=False)
    return records.system(_link("system", subtype, place), subtype, given[1:-1]).encode()


def compaction_lines(text: str, *, tokens: int = 155_000, **place: Unpack[Place]) -> list[bytes]:
    """A boundary without a parent, and the summary that goes on from it."""
    last = place.get("parent") or _uuid("user", "")
    boundary = _link("boundary", text, place)
    summary = boundary._replace(parent=boundary.uuid, uuid=_uuid("compact", text))
    return [
        records.compact_boundary(boundary, last=last, tokens=tokens).encode(),
        records.compact_summary(summary, escaped(text)).encode(),
    ]


def snapshot_line(message: str = "", *, at: str = AT, update: bool = False) -> bytes:
    return records.file_history(message or _uuid("user", ""), at, update=update).encode()


def summary_line(text: str, *, leaf: str = "") -> bytes:
    return records.summary(escaped(text), leaf or _uuid("user", "")).encode()


def title_line(title: str, *, session: str = SESSION, custom: bool = False) -> bytes:
    shape = records.custom_title if custom else records.ai_title
    return shape(session, escaped(title)).encode()


def queue_line(
    text: str = "", *, operation: str = "enqueue", session: str = SESSION, at: str = AT
) -> bytes:
    return records.queue_operation(session, at, operation, escaped(text)).encode()


def _reply_line(kind: str, text: str, block: str, reply: Reply) -> bytes:
    used = Usage(
        reply.get("input", 4), reply.get("cache_write", 1_000), reply.get("cache_read", 20_000)
    )
    message = Message(
        reply.get("message", "msg_01AAAAAAAAAAAAAAAAAAAA"),
        reply.get("request", "req_011AAAAAAAAAAAAAAAAAAAA"),
        reply.get("model", "claude-opus-4-6"),
        used,
    )
    line = records.assistant(_link(kind, text, reply), message, block, reply.get("output", 8))
    return line.encode()


def _link(kind: str, text: str, place: Place) -> Link:
    head = records.head(
        session=place.get("session", SESSION),
        cwd=escaped(place.get("cwd", CWD)),
        branch=escaped(place.get("branch", "main")),
        version=place.get("version", VERSION),
        agent=place.get("agent", ""),
    )
    uuid = place.get("uuid") or _uuid(kind, text)
    return Link(head, place.get("parent"), uuid, place.get("at", AT))


def _uuid(kind: str, text: str) -> str:
    digest = blake2b(f"{kind}\0{text}".encode(), digest_size=16).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-a{digest[17:20]}-{digest[20:]}"
