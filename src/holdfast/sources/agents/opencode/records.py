"""What is read of OpenCode's messages and their parts."""

from __future__ import annotations

from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct, field

from holdfast.events import Usage
from holdfast.sources.loose import NOTHING, UNREADABLE, record_fields, take_apart, tolerant
from holdfast.sources.mending import is_sound, mended

S = TypeVar("S", bound=Struct)

Amount = Annotated[float, Meta(ge=0, le=10**12)] | None


class Time(Struct, gc=False):
    """Milliseconds since 1970."""

    created: float | None = None
    completed: float | None = None
    updated: float | None = None
    start: float | None = None
    end: float | None = None


class CacheTokens(Struct, gc=False):
    read: Amount = None
    write: Amount = None


class TokenCounts(Struct, gc=False):
    total: Amount = None
    input: Amount = None
    output: Amount = None
    reasoning: Amount = None
    cache: CacheTokens | None = None

    def usage(self) -> Usage:
        cache = self.cache or CacheTokens()
        counts = [self.input, self.output, cache.read, cache.write]
        spent = Usage(*[int(count or 0) for count in counts])
        reasoning = int(self.reasoning or 0)
        apart = spent.input + spent.output + spent.cache_read + spent.cache_write + reasoning
        if self.total is not None and int(self.total) == apart:
            return spent.plus(Usage(output=reasoning))
        return spent  # of versions that give no total, output holds the reasoning


class Model(Struct, gc=False):
    id: str | None = None
    model_id: str | None = field(name="modelID", default=None)


class Problem(Struct, gc=False):
    name: str | None = None
    message: str | None = None
    data: Raw = NOTHING

    @property
    def text(self) -> str:
        message = self.message or tolerant(_read_problem, self.data, Problem()).message
        return ": ".join(filter(None, [self.name, message]))


class Folders(Struct, gc=False):
    cwd: str | None = None


class Message(Struct):
    """The frame of what somebody said; what was said is in its parts."""

    role: str | None = None
    time: Time | None = None
    tokens: TokenCounts | None = None
    error: Problem | None = None
    model: Model | None = None
    path: Folders | None = None
    model_id: str | None = field(name="modelID", default=None)
    parent_id: str | None = field(name="parentID", default=None)
    summary: Raw = NOTHING

    @property
    def is_finished(self) -> bool:
        return self.role != "assistant" or bool(
            self.error or (self.time is not None and self.time.completed)
        )

    @property
    def is_summary(self) -> bool:
        return bytes(self.summary) == b"true"

    @property
    def model_name(self) -> str:
        model = self.model or Model()
        return self.model_id or model.model_id or model.id or ""


class Attachment(Struct, gc=False):
    mime: str | None = None
    filename: str | None = None
    url: str | None = None


class ToolMetadata(Struct, gc=False):
    session_id: str | None = field(name="sessionId", default=None)


class ToolState(Struct):
    status: str | None = None
    input: Raw = NOTHING
    output: str | None = None
    error: str | None = None
    time: Time | None = None
    metadata: ToolMetadata | None = None
    attachments: list[Attachment] | None = None


class Part(Struct):
    type: str | None = None
    text: str | None = None
    synthetic: bool | None = None
    ignored: bool | None = None
    time: Time | None = None
    call_id: str | None = field(name="callID", default=None)
    tool: str | None = None
    state: ToolState | None = None
    mime: str | None = None
    filename: str | None = None
    url: str | None = None
    reason: str | None = None
    tokens: TokenCounts | None = None
    prompt: str | None = None
    description: str | None = None
    name: str | None = None
    files: list[str] | None = None
    error: Problem | None = None


ID_FIELDS: Final = frozenset({"id", "sessionID", "messageID"})
_read_problem: Final = msgspec.json.Decoder(Problem).decode
_encode: Final = msgspec.json.Encoder().encode


def loosely(shape: type[S], content: bytes) -> tuple[S, bytes, bool] | None:
    """An item, its bytes, and whether it drifted; None when it is no JSON object."""
    for line in (content, mended(content)):
        try:
            return msgspec.json.decode(line, type=shape), line, False
        except msgspec.ValidationError:
            pass
        except UNREADABLE:
            continue
        try:
            fields = record_fields(line)
        except RecursionError:  # deeper than anybody can follow: it is kept, and not understood
            if is_sound(line):
                return shape(), line, True
            continue
        except UNREADABLE:  # behind the field that did not fit
            continue
        return None if fields is None else (take_apart(fields, shape), line, True)
    return None


def without_ids(content: bytes) -> bytes:
    """An item of the tree as the database has it: its ids apart, and on one line.

    So a session that was moved from one to the other gives the same events, byte for byte.
    """
    try:
        flat = msgspec.json.format(content, indent=-1)
        fields = record_fields(flat)
    except UNREADABLE:
        return content
    if fields is None:
        return content
    return _encode({name: raw for name, raw in fields.items() if name not in ID_FIELDS})
