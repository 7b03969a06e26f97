"""The records that Claude Code writes, as far as holdfast reads them.

A record that does not fit these shapes is taken apart field by field (`understood`).
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw, Struct

from holdfast.sources.loose import (
    NOTHING,
    Tokens,
    fields_of,
    items_of,
    record_fields,
    take_apart,
    tolerant,
)
from holdfast.sources.payloads import Payload


class ApiUsage(Struct):
    input_tokens: Tokens = None
    output_tokens: Tokens = None
    cache_creation_input_tokens: Tokens = None
    cache_read_input_tokens: Tokens = None


class Content(Struct):
    """One part of a message: text, thinking, tool_use, tool_result, image …"""

    type: str | None = None
    text: str | None = None
    thinking: str | None = None
    id: str | None = None
    name: str | None = None
    input: Raw = NOTHING
    tool_use_id: str | None = None
    content: str | list[Content] | None = None
    is_error: bool | None = None
    source: Payload | str | None = None


class Message(Struct):
    id: str | None = None
    model: str | None = None
    content: str | list[Content] | None = None
    usage: ApiUsage | None = None


class Record(Struct, rename="camel"):
    type: str | None = None
    subtype: str | None = None
    uuid: str | None = None
    parent_uuid: str | None = None
    timestamp: str | None = None
    cwd: str | None = None
    git_branch: str | None = None
    version: str | None = None
    is_sidechain: bool | None = None
    is_meta: bool | None = None
    is_compact_summary: bool | None = None
    request_id: str | None = None
    message: Message | None = None
    tool_use_result: Raw = NOTHING
    content: Raw = NOTHING
    attachment: Raw = NOTHING
    data: Raw = NOTHING
    summary: str | None = None
    custom_title: str | None = None
    ai_title: str | None = None


class Option(Struct):
    label: str = ""


class Question(Struct):
    question: str = ""
    options: list[Option] = []


class QuestionInput(Struct):
    questions: list[Question] = []


class ToolAgent(Struct, rename="camel"):
    """Of the second copy of a tool's result, which subagent gave it."""

    agent_id: str | None = None


class ToolAnswers(Struct, rename="camel"):
    """Of the second copy of a question's result, what the user chose."""

    answers: dict[str, str | list[str]] | None = None


class Attachment(Struct, rename="camel"):
    type: str | None = None
    prompt: str | list[Content] | None = None
    command_mode: str | None = None


class Progress(Struct):
    type: str | None = None


read_record: Final = msgspec.json.Decoder(Record).decode
read_questions: Final = msgspec.json.Decoder(QuestionInput).decode
read_agent: Final = msgspec.json.Decoder(ToolAgent).decode
read_answers: Final = msgspec.json.Decoder(ToolAnswers).decode
read_attachment: Final = msgspec.json.Decoder(Attachment).decode
read_progress: Final = msgspec.json.Decoder(Progress).decode
_read_content: Final = msgspec.json.Decoder(Content).decode


def raw_parts(line: bytes) -> list[Raw]:
    """The parts of a record's message as they stand there, for the ones that we do not know."""
    message = fields_of(Raw(line)).get("message", NOTHING)
    return items_of(fields_of(message).get("content", NOTHING))


def understood(line: bytes) -> Record | None:
    """What can be read of a record with an unfamiliar shape; None when it is no object at all."""
    fields = record_fields(line)
    if fields is None:
        return None
    record = take_apart(fields, Record)
    if record.message is None and "message" in fields:
        inner = fields_of(fields["message"])
        record.message = take_apart(inner, Message)
        if record.message.content is None and "content" in inner:
            record.message.content = [_part(raw) for raw in items_of(inner["content"])]
    return record


def _part(raw: Raw) -> Content:
    part = tolerant(_read_content, raw, None)
    return take_apart(fields_of(raw), Content) if part is None else part
