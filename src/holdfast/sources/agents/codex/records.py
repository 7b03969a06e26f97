"""The records that Codex CLI writes, as far as holdfast reads them.

A line is an envelope {timestamp, type, payload}; what is in the payload depends on `type` and on
the payload's own type, and on that of the item in an `item_completed`. The oldest logs have no
envelope: their lines are the payloads. Only what a kind of record is read for is decoded.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from holdfast.sources.loose import (
    NOTHING,
    Tokens,
    fields_of,
    is_there,
    items_of,
    record_fields,
    take_apart,
    tolerant,
)

RESPONSE: Final = "response_item"
EVENT: Final = "event_msg"
COMPLETED: Final = "item_completed"
NAME_BYTES: Final = 64  # of a type that is read without decoding what follows it

# Nearly all lines begin like this: the kind is known before anything is decoded.
_USUAL_HEAD: Final = re.compile(
    rb'\{"timestamp":"[^"\\]{0,64}",(?:"ordinal":\d{1,20},)?'
    rb'"type":"(response_item|event_msg)","payload":\{"type":"([A-Za-z_]{1,64})"'
)
_TYPE_FIRST: Final = re.compile(rb'\{"type":"([A-Za-z_]+)"')


class Content(Struct, gc=False):
    """One part of a message, of a result, or of a summary."""

    type: str | None = None
    text: str | None = None
    image_url: str | None = None
    path: str | None = None
    data: str | None = None  # with mimeType: an image as MCP gives it
    mime_type: str | None = msgspec.field(default=None, name="mimeType")


class Output(Struct, gc=False):
    """An output that is neither text nor a list of parts."""

    type: str | None = None
    text: str | None = None
    image_url: str | None = None
    content: str | list[Content] | None = None
    success: bool | None = None


class Item(Struct, gc=False):
    """What went to the model and came from it: messages, reasoning, calls, outputs."""

    id: str | None = None
    role: str | None = None
    content: str | list[Content] | None = None
    summary: list[Content] | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | dict[str, Raw] | None = None
    input: str | dict[str, Raw] | None = None
    output: str | list[Content] | Output | None = None
    action: Raw = NOTHING
    tools: Raw = NOTHING
    result: str | None = None
    revised_prompt: str | None = None
    author: str | None = None
    recipient: str | None = None


class Said(Struct, gc=False):
    """An event that says something, or what happened."""

    message: str | None = None
    text: str | None = None
    reason: str | None = None
    images: list[str] | None = None
    local_images: list[str] | None = None
    last_agent_message: str | None = None
    thread_name: str | None = None


class TurnItem(Struct, gc=False):
    """An item of a turn that says something."""

    id: str | None = None
    content: list[Content] | None = None
    text: str | None = None
    summary_text: list[str] | None = None
    raw_content: list[str] | None = None


class Invocation(Struct, gc=False):
    server: str | None = None
    tool: str | None = None
    arguments: Raw = NOTHING


class Ended(Struct, gc=False):
    """A tool has ended: what it was asked, and what came of it."""

    call_id: str | None = None
    id: str | None = None
    camel_call_id: str | None = msgspec.field(default=None, name="callId")
    kind: str | None = None
    command: Raw = NOTHING
    cwd: str | None = None
    aggregated_output: str | None = None
    formatted_output: str | None = None
    stdout: str | None = None
    stderr: str | None = None
    exit_code: int | None = None
    status: Raw = NOTHING
    success: bool | None = None
    changes: Raw = NOTHING
    invocation: Invocation | None = None
    server: str | None = None
    tool: str | None = None
    arguments: Raw = NOTHING
    result: Raw = NOTHING
    error: Raw = NOTHING
    query: str | None = None
    action: Raw = NOTHING
    results: Raw = NOTHING
    content_items: list[Content] | None = None
    revised_prompt: str | None = None
    path: str | None = None


class Asked(Struct, gc=False):
    """The person is asked for something."""

    call_id: str | None = None
    id: str | None = None
    command: Raw = NOTHING
    reason: str | None = None
    message: str | None = None
    questions: Raw = NOTHING
    explanation: str | None = None
    plan: Raw = NOTHING


class TokenUsage(Struct, gc=False):
    input_tokens: Tokens = None
    cached_input_tokens: Tokens = None
    cache_write_input_tokens: Tokens = None
    output_tokens: Tokens = None


class TokenInfo(Struct, gc=False):
    total_token_usage: TokenUsage | None = None
    last_token_usage: TokenUsage | None = None


class TokenCount(Struct, gc=False):
    info: TokenInfo | None = None


class Git(Struct, gc=False):
    branch: str | None = None


class Meta(Struct, gc=False):
    """What a session says of itself as it begins."""

    id: str | None = None
    timestamp: str | None = None
    cwd: str | None = None
    cli_version: str | None = None
    forked_from_id: str | None = None
    parent_thread_id: str | None = None
    source: Raw = NOTHING
    git: Git | None = None


class TurnContext(Struct, gc=False):
    cwd: str | None = None
    model: str | None = None
    effort: Raw = NOTHING
    approval_policy: Raw = NOTHING
    sandbox_policy: Raw = NOTHING
    collaboration_mode: Raw = NOTHING


class Compacted(Struct, gc=False):
    message: str | None = None
    replacement_history: Raw = NOTHING
    window_number: int | None = None


class Spawned(Struct, gc=False):
    parent_thread_id: str | None = None


class Subagent(Struct, gc=False):
    thread_spawn: Spawned | None = None


class MetaSource(Struct, gc=False):
    """Who started a session, where that was another one."""

    subagent: Subagent | None = None


class ShellMetadata(Struct, gc=False):
    exit_code: int | None = None


class ShellOutput(Struct, gc=False):
    """What a shell's output is wrapped in, in a string."""

    output: str | None = None
    metadata: ShellMetadata | None = None


class McpResult(Struct, gc=False):
    content: list[Content] | None = None
    structured: Raw = msgspec.field(default=NOTHING, name="structuredContent")
    is_error: bool | None = msgspec.field(default=None, name="isError")


class McpOutcome(Struct, gc=False):
    ok: McpResult | None = msgspec.field(default=None, name="Ok")
    error: Raw = msgspec.field(default=NOTHING, name="Err")


class Envelope(Struct, gc=False):
    timestamp: str | None = None
    type: str | None = None
    payload: Raw = NOTHING


class Bare(Struct, gc=False):
    """Of a line without an envelope, what it is."""

    id: str | None = None
    timestamp: str | None = None
    instructions: Raw = NOTHING
    record_type: str | None = None


class _Typed(Struct, gc=False):
    type: str | None = None


class _Holder(Struct, gc=False):
    item: Raw = NOTHING


class Record(Struct, gc=False):
    """One line: which kind it is, and what its kind is read for."""

    type: str | None  # as `event_msg/user_message`
    group: str
    kind: str
    timestamp: str | None = None
    payload: Raw = NOTHING  # not there where the body was read with its envelope
    body: Any = None  # of the shape of its kind
    uuid: str | None = None
    # What other agents say in every record, Codex says in few: the parser remembers it.
    parent_uuid: str | None = None
    cwd: str | None = None
    git_branch: str | None = None
    version: str | None = None
    is_sidechain: bool | None = None


OLDEST_ITEMS: Final = frozenset(
    {"message", "reasoning", "function_call", "function_call_output", "local_shell_call"}
)
ENDED_EVENTS: Final = frozenset(
    {
        "dynamic_tool_call_request",
        "dynamic_tool_call_response",
        "exec_command_end",
        "image_generation_end",
        "mcp_tool_call_end",
        "patch_apply_end",
        "view_image_tool_call",
        "web_search_end",
    }
)
ENDED_ITEMS: Final = frozenset(
    {
        "CommandExecution",
        "DynamicToolCall",
        "Extension",
        "FileChange",
        "ImageGeneration",
        "ImageView",
        "McpToolCall",
        "WebSearch",
    }
)
SAYING_ITEMS: Final = frozenset({"AgentMessage", "Plan", "Reasoning", "UserMessage"})
ASKING_EVENTS: Final = frozenset(
    {
        "apply_patch_approval_request",
        "elicitation_request",
        "exec_approval_request",
        "plan_update",
        "request_permissions",
        "request_user_input",
    }
)


def _shape(group: str, kind: str) -> type[Struct] | None:
    if group == RESPONSE:
        return Item
    if group == EVENT:
        if kind == "token_count":
            return TokenCount
        if kind in ENDED_EVENTS:
            return Ended
        return Asked if kind in ASKING_EVENTS else Said
    if group == COMPLETED:
        return Ended if kind in ENDED_ITEMS else TurnItem if kind in SAYING_ITEMS else None
    return _PLAIN_SHAPES.get(group)


_PLAIN_SHAPES: Final[dict[str, type[Struct]]] = {
    "session_meta": Meta,
    "turn_context": TurnContext,
    "compacted": Compacted,
}
_SHAPES: Final = (Item, Said, TurnItem, Ended, Asked, TokenCount, Meta, TurnContext, Compacted)
_READ: Final[dict[type[Struct], Callable[[Raw], Struct]]] = {
    shape: msgspec.json.Decoder(shape).decode for shape in _SHAPES
}

_read_content: Final = msgspec.json.Decoder(Content).decode
_TYPED_GROUPS: Final = frozenset({RESPONSE, EVENT})


class _Sort(Struct, frozen=True):
    """What there is to know of all records of a kind."""

    group: str
    kind: str
    name: str
    shape: type[Struct] | None
    read_line: Callable[[bytes], Any] | None  # with its envelope, in one go
    has_id: bool


@lru_cache(maxsize=512)  # kinds are strings from logs
def _sort(group: str, kind: str) -> _Sort:
    shape = _shape(group, kind)
    name = f"{group}/{kind}" if kind or group == COMPLETED else group
    usual = shape is not None and group in _TYPED_GROUPS and kind != COMPLETED
    read_line = _READ_LINE[shape] if shape is not None and usual else None
    return _Sort(group, kind, name, shape, read_line, shape is Item or shape is TurnItem)


def _line_reader(shape: Any) -> Callable[[bytes], Any]:
    fields: list[Any] = [("payload", shape), ("timestamp", str | None, None)]
    return msgspec.json.Decoder(msgspec.defstruct("Line", fields, gc=False)).decode


_READ_LINE: Final[dict[type[Struct], Callable[[bytes], Any]]] = {
    shape: _line_reader(shape) for shape in _SHAPES
}

read_source: Final = msgspec.json.Decoder(MetaSource).decode
read_shell: Final = msgspec.json.Decoder(ShellOutput).decode
read_mcp: Final = msgspec.json.Decoder(McpResult).decode
read_mcp_outcome: Final = msgspec.json.Decoder(McpOutcome).decode
_read_envelope: Final = msgspec.json.Decoder(Envelope).decode
_read_bare: Final = msgspec.json.Decoder(Bare).decode
_read_typed: Final = msgspec.json.Decoder(_Typed).decode
_read_holder: Final = msgspec.json.Decoder(_Holder).decode


def read_record(line: bytes) -> Record:
    head = _USUAL_HEAD.match(line)
    if head is not None:
        sort = _sort(str(head[1], "ascii"), str(head[2], "ascii"))
        if sort.read_line is not None:
            usual = sort.read_line(line)
            body = usual.payload
            uuid = body.id if sort.has_id else None
            return Record(sort.name, sort.group, sort.kind, usual.timestamp, NOTHING, body, uuid)
    record = _outlined(_read_envelope(line), line)
    sort = _sort(record.group, record.kind)
    if sort.shape is not None:
        record.body = _READ[sort.shape](record.payload)
        record.uuid = record.body.id if sort.has_id else None
    return record


def understood(line: bytes) -> Record | None:
    """What can be read of a record with an unfamiliar shape; None when it is no object at all."""
    fields = record_fields(line)
    if fields is None:
        return None
    record = _outlined(take_apart(fields, Envelope), line)
    sort = _sort(record.group, record.kind)
    if sort.shape is not None:
        inner = fields_of(record.payload)
        body: Any = take_apart(inner, sort.shape)
        for name in ("content", "summary", "content_items"):
            if name in inner and getattr(body, name, "") is None:
                setattr(body, name, [_part(raw) for raw in items_of(inner[name])])
        record.body = body
        if sort.has_id:
            record.uuid = body.id
    return record


def _part(raw: Raw) -> Content:
    part = tolerant(_read_content, raw, None)
    return take_apart(fields_of(raw), Content) if part is None else part


def read_outline(line: bytes) -> Record:
    """Which kind of record it is, and nothing of what it holds."""
    return _outlined(tolerant(_read_envelope, Raw(line), Envelope()), line)


def _outlined(envelope: Envelope, line: bytes) -> Record:
    group, payload = envelope.type or "", envelope.payload
    if not is_there(payload):
        return _bare(envelope, line)
    kind = ""
    if group in _TYPED_GROUPS:
        kind = _type_of(payload)
        if kind == COMPLETED:
            payload = tolerant(_read_holder, payload, _Holder()).item
            group, kind = COMPLETED, _type_of(payload)
    return Record(_sort(group, kind).name, group, kind, envelope.timestamp, payload)


def _bare(envelope: Envelope, line: bytes) -> Record:
    """A line of the oldest format, which is what later became a payload."""
    group, kind, payload = envelope.type or "", "", Raw(line)
    if group in OLDEST_ITEMS:
        group, kind = RESPONSE, group
    elif not group:
        bare = tolerant(_read_bare, payload, Bare())
        if bare.record_type is not None:
            group = bare.record_type
        elif bare.id is not None and bare.timestamp is not None and is_there(bare.instructions):
            group = "session_meta"
    return Record(_sort(group, kind).name, group, kind, envelope.timestamp, payload)


def _type_of(payload: Raw) -> str:
    """Nearly all name their type first."""
    first = _TYPE_FIRST.match(memoryview(payload)[:NAME_BYTES])
    if first is not None:
        return str(first[1], "ascii")
    return tolerant(_read_typed, payload, _Typed()).type or ""
