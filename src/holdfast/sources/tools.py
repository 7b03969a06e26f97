"""What tools were asked and gave back: one shape in events, whatever agent used them."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from holdfast.sources.loose import tolerant

BRIEF_CHARS: Final = 400


class ToolCall(Struct, omit_defaults=True):
    """The `data` of a `tool.call`."""

    tool_use_id: str
    name: str
    input: Raw


class ToolResult(Struct, omit_defaults=True):
    """The `data` of a `tool.result`."""

    tool_use_id: str
    name: str = ""
    is_error: bool = False
    agent: str = ""  # the subagent that gave the result
    answers: dict[str, str | list[str]] | None = None
    images: list[dict[str, Any]] = []
    others: list[Raw] = []  # parts that are neither text nor image, as they were


class ToolInput(Struct):
    """What of a tool's input says best what the tool was asked to do."""

    command: str | None = None
    file_path: str | None = None
    path: str | None = None
    pattern: str | None = None
    query: str | None = None
    url: str | None = None
    description: str | None = None
    prompt: str | None = None
    skill: str | None = None
    plan: str | None = None


read_tool_input: Final = msgspec.json.Decoder(ToolInput).decode


def brief(name: str, given: Raw) -> str:
    """A line that says what a tool was asked: enough to read and to search."""
    asked = tolerant(read_tool_input, given, ToolInput())
    what = (
        asked.command
        or asked.file_path
        or asked.pattern
        or asked.query
        or asked.url
        or asked.path
        or asked.skill
        or asked.description
        or asked.prompt
        or ""
    )
    return f"{name}: {what[:BRIEF_CHARS]}" if what else name
