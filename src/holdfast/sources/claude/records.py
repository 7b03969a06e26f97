"""The records that Claude Code writes, as far as holdfast reads them.

Only named fields are decoded; msgspec passes over the rest, which is what makes reading fast.
Formats drift: a record that does not fit these shapes is taken apart field by field (`understood`),
so that one odd field costs itself and not the conversation around it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct

NOTHING: Final = Raw(b"")  # the field was not there

T = TypeVar("T")
S = TypeVar("S", bound=Struct)

# Of one request. More is a mistake, and sums of it must fit a journal's integers.
Tokens = Annotated[int, Meta(ge=0, le=10**12)] | None


class ApiUsage(Struct):
    input_tokens: Tokens = None
    output_tokens: Tokens = None
    cache_creation_input_tokens: Tokens = None
    cache_read_input_tokens: Tokens = None


class Payload(Struct):
    """Where the bytes of an image or a document are."""

    type: str | None = None
    media_type: str | None = None
    data: str | None = None
    url: str | None = None


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


class Outline(Struct, rename="camel"):
    """Of a record that is not decoded any further."""

    type: str | None = None
    uuid: str | None = None
    parent_uuid: str | None = None
    timestamp: str | None = None


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
read_tool_input: Final = msgspec.json.Decoder(ToolInput).decode
read_questions: Final = msgspec.json.Decoder(QuestionInput).decode
read_agent: Final = msgspec.json.Decoder(ToolAgent).decode
read_answers: Final = msgspec.json.Decoder(ToolAnswers).decode
read_text: Final = msgspec.json.Decoder(str).decode
read_outline: Final = msgspec.json.Decoder(Outline).decode
read_attachment: Final = msgspec.json.Decoder(Attachment).decode
read_progress: Final = msgspec.json.Decoder(Progress).decode
_read_content: Final = msgspec.json.Decoder(Content).decode
_read_fields: Final = msgspec.json.Decoder(dict[str, Raw]).decode
_read_list: Final = msgspec.json.Decoder(list[Raw]).decode


def is_there(raw: Raw) -> bool:
    return len(memoryview(raw)) > 0


def tolerant(read: Callable[[Raw], T], raw: Raw, fallback: T) -> T:
    """What a field says, or the fallback when it is absent or has another shape."""
    if not is_there(raw):
        return fallback
    try:
        return read(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return fallback


def fields_of(raw: Raw) -> dict[str, Raw]:
    return tolerant(_read_fields, raw, {})


def items_of(raw: Raw) -> list[Raw]:
    return tolerant(_read_list, raw, [])


def raw_parts(line: bytes) -> list[Raw]:
    """The parts of a record's message as they stand there, for the ones that we do not know."""
    message = fields_of(Raw(line)).get("message", NOTHING)
    return items_of(fields_of(message).get("content", NOTHING))


def understood(line: bytes) -> Record | None:
    """What can be read of a record with an unfamiliar shape; None when it is no object at all."""
    try:
        fields = _read_fields(line)
    except msgspec.ValidationError:
        return None
    record = _take_apart(fields, Record)
    if record.message is None and "message" in fields:
        inner = fields_of(fields["message"])
        record.message = _take_apart(inner, Message)
        if record.message.content is None and "content" in inner:
            record.message.content = [_part(raw) for raw in items_of(inner["content"])]
    return record


def _part(raw: Raw) -> Content:
    part = tolerant(_read_content, raw, None)
    return _take_apart(fields_of(raw), Content) if part is None else part


def _take_apart(fields: dict[str, Raw], shape: type[S]) -> S:
    """The fields that fit, one by one."""
    made = shape()
    for field in msgspec.structs.fields(shape):
        if field.encode_name in fields:
            read = msgspec.json.Decoder(field.type).decode
            setattr(made, field.name, tolerant(read, fields[field.encode_name], field.default))
    return made
