"""The messages that Cline writes, as far as holdfast reads them."""

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
from holdfast.sources.payloads import Payload


class Message(Struct, rename="camel"):
    """Of a conversation, in the shape of Anthropic's API."""

    id: str | None = None
    role: str | None = None
    content: Raw = NOTHING
    ts: float | None = None
    model_info: Raw = NOTHING
    metrics: Raw = NOTHING


class Block(Struct):
    """One part of a message."""

    type: str | None = None
    text: str | None = None
    thinking: str | None = None
    id: str | None = None
    name: str | None = None
    input: Raw = NOTHING
    tool_use_id: str | None = None
    content: Raw = NOTHING
    is_error: bool | None = None
    source: Payload | None = None


class ModelInfo(Struct, rename="camel"):
    id: str | None = None
    model_id: str | None = None


class Metrics(Struct, rename="camel"):
    input_tokens: Tokens = None
    output_tokens: Tokens = None
    cache_read_tokens: Tokens = None
    cache_write_tokens: Tokens = None


class Shown(Struct, rename="camel"):
    """What the editor shows: a second telling of the conversation, with times and tokens."""

    ts: float | None = None
    type: str | None = None
    say: str | None = None
    ask: str | None = None
    text: str | None = None
    partial: bool | None = None
    conversation_history_index: int | None = None
    model_info: Raw = NOTHING


class Request(Struct, rename="camel", omit_defaults=True):
    """The text of `api_req_started`, without the prompt, which the conversation has."""

    tokens_in: Tokens = None
    tokens_out: Tokens = None
    cache_writes: Tokens = None
    cache_reads: Tokens = None
    cost: float | None = None
    cancel_reason: str | None = None
    streaming_failed_message: str | None = None


class Metadata(Struct):
    title: str | None = None


class Manifest(Struct):
    """`<id>.json`, as far as the conversation needs it."""

    cwd: str | None = None
    workspace_root: str | None = None
    started_at: str | None = None


read_message: Final = msgspec.json.Decoder(Message).decode
read_model: Final = msgspec.json.Decoder(ModelInfo).decode
read_metrics: Final = msgspec.json.Decoder(Metrics).decode
read_shown: Final = msgspec.json.Decoder(Shown).decode
read_request: Final = msgspec.json.Decoder(Request).decode
read_metadata: Final = msgspec.json.Decoder(Metadata).decode
read_manifest: Final = msgspec.json.Decoder(Manifest).decode
_read_block: Final = msgspec.json.Decoder(Block).decode


def understood(item: bytes) -> Message | None:
    fields = record_fields(item)
    return None if fields is None else take_apart(fields, Message)


def understood_shown(item: bytes) -> Shown | None:
    fields = record_fields(item)
    return None if fields is None else take_apart(fields, Shown)


def blocks_of(content: Raw) -> list[Raw]:
    """A text, or a list of parts, as a list."""
    if not is_there(content):
        return []
    return [content] if bytes(memoryview(content)[:1]) == b'"' else items_of(content)


def block_of(raw: Raw) -> Block:
    if bytes(memoryview(raw)[:1]) == b'"':
        return Block(type="text", text=tolerant(read_text, raw, None))
    return tolerant(_read_block, raw, Block())


def model_of(raw: Raw) -> str:
    model = tolerant(read_model, raw, ModelInfo())
    return model.id or model.model_id or ""
