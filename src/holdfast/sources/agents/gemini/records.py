"""The messages that Gemini CLI writes, as far as holdfast reads them.

What has parts is kept as it stands and taken apart part by part, so that an odd part costs itself.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw, Struct

from holdfast.sources.loose import (
    NOTHING,
    Tokens,
    is_there,
    items_of,
    read_text,
    record_fields,
    take_apart,
    tolerant,
)


class Message(Struct, rename="camel"):
    id: str | None = None
    type: str | None = None
    timestamp: str | None = None
    content: Raw = NOTHING
    display_content: Raw = NOTHING
    parts: Raw = NOTHING
    thoughts: Raw = NOTHING
    tool_calls: Raw = NOTHING
    tokens: Raw = NOTHING
    model: str | None = None


class TokenCounts(Struct):
    input: Tokens = None
    output: Tokens = None
    cached: Tokens = None
    thoughts: Tokens = None
    tool: Tokens = None


class Thought(Struct):
    subject: str | None = None
    description: str | None = None
    timestamp: str | None = None


class ToolUse(Struct, rename="camel"):
    id: str | None = None
    name: str | None = None
    args: Raw = NOTHING
    result: Raw = NOTHING
    result_display: Raw = NOTHING
    status: str | None = None
    timestamp: str | None = None
    agent_id: str | None = None


class InlineData(Struct, rename="camel"):
    mime_type: str | None = None
    data: str | None = None


class FileData(Struct, rename="camel"):
    mime_type: str | None = None
    file_uri: str | None = None


class FunctionCall(Struct):
    id: str | None = None
    name: str | None = None
    args: Raw = NOTHING


class FunctionResponse(Struct):
    id: str | None = None
    name: str | None = None
    response: Raw = NOTHING


class Answer(Struct):
    """What of a function's response says what there is to read."""

    output: str | None = None
    error: str | None = None


class Part(Struct, rename="camel"):
    text: str | None = None
    thought: bool | None = None
    inline_data: InlineData | None = None
    file_data: FileData | None = None
    function_call: FunctionCall | None = None
    function_response: FunctionResponse | None = None


class Change(Struct):
    """A line that is no message: it changes what the lines before it said."""

    set: dict[str, Raw] | None = msgspec.field(default=None, name="$set")
    rewind_to: str | None = msgspec.field(default=None, name="$rewindTo")
    id: str | None = None
    session_id: str | None = msgspec.field(default=None, name="sessionId")


class Projects(Struct):
    """`projects.json`: which folder of the agent's belongs to which path."""

    projects: dict[str, str] = {}


read_message: Final = msgspec.json.Decoder(Message).decode
read_tokens: Final = msgspec.json.Decoder(TokenCounts).decode
read_thought: Final = msgspec.json.Decoder(Thought).decode
read_tool_use: Final = msgspec.json.Decoder(ToolUse).decode
read_answer: Final = msgspec.json.Decoder(Answer).decode
read_change: Final = msgspec.json.Decoder(Change).decode
read_projects: Final = msgspec.json.Decoder(Projects).decode
_read_part: Final = msgspec.json.Decoder(Part).decode


def understood(item: bytes) -> Message | None:
    fields = record_fields(item)
    return None if fields is None else take_apart(fields, Message)


def parts_of(content: Raw) -> list[Raw]:
    """A text, a part, or a list of both, as a list."""
    if not is_there(content) or bytes(memoryview(content)[:5]) == b"null":
        return []
    return items_of(content) if _begins(content, b"[") else [content]


def part_of(raw: Raw) -> Part:
    if _begins(raw, b'"'):
        return Part(text=tolerant(read_text, raw, None))
    return tolerant(_read_part, raw, Part())


def text_of(content: Raw, between: str) -> str:
    """What there is to read in it; the agent's thoughts are none of it."""
    parts = map(part_of, parts_of(content))
    return between.join(part.text for part in parts if part.text and not part.thought)


def _begins(raw: Raw, with_: bytes) -> bool:
    return bytes(memoryview(raw)[:1]) == with_
