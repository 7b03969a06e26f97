"""From the rows of Goose's messages to events."""

from __future__ import annotations

from typing import Any, ClassVar, Final

import msgspec
from msgspec import Raw, Struct, field

from holdfast.events import EMPTY, Event, Kind, Usage
from holdfast.journal.model import TitleRank
from holdfast.sources.base import BlobSink, Log, Read
from holdfast.sources.loose import (
    NOTHING,
    UNREADABLE,
    fields_of,
    is_there,
    items_of,
    take_apart,
    tolerant,
)
from holdfast.sources.mending import clean, is_dense, is_sound, mended
from holdfast.sources.payloads import Payload, stored
from holdfast.sources.rows import Conversation, named, session_of
from holdfast.sources.telling import (
    DENSE_BYTES_MIN,
    NAME_CHARS_MAX,
    NO_TYPE,
    PARTS_MAX,
    PATH_CHARS_MAX,
    About,
    Telling,
    Told,
    first_facts,
)
from holdfast.sources.text import instant, instant_of_ms
from holdfast.sources.tools import ToolCall, ToolResult, brief

AGENT: Final = "goose"
REQUESTS: Final = frozenset({"toolRequest", "frontendToolRequest"})
NOTES: Final = frozenset(
    {
        "actionRequired",
        "contextLengthExceeded",
        "conversationCompacted",
        "summarizationRequested",
        "systemNotification",
        "toolConfirmationRequest",
    }
)

_encode: Final = msgspec.json.Encoder().encode


class SessionAbout(Struct, frozen=True):
    """A row of `sessions`, as far as its columns are there."""

    id: str
    name: str = ""
    description: str = ""
    user_set_name: bool = False
    parent: str = ""
    working_dir: str = ""
    created_at: str = ""
    updated_at: str = ""
    model: str = ""
    input_tokens: int = 0
    output_tokens: int = 0


class Item(Struct, frozen=True, gc=False):
    """A row of `messages`."""

    name: str
    role: str
    content: bytes
    size: int
    created_s: float = 0
    metadata: bytes = b""


class _Content(Struct, rename="camel"):
    type: str | None = None
    text: str | None = None
    thinking: str | None = None
    msg: str | None = None
    id: str | None = None
    data: str | None = None
    mime_type: str | None = None
    tool_call: Raw = NOTHING
    tool_result: Raw = NOTHING


class _Outcome(Struct):
    """How a call or a result came out, in one of two spellings."""

    value: Raw = field(default=NOTHING)
    error: str | None = None
    ok: Raw = field(name="Ok", default=NOTHING)
    failed: str | None = field(name="Err", default=None)

    @property
    def content(self) -> Raw:
        return self.value if is_there(self.value) else self.ok


class _Call(Struct):
    name: str | None = None
    arguments: Raw = NOTHING


class _Result(Struct, rename="camel"):
    content: Raw = NOTHING
    is_error: bool | None = None


class _Visibility(Struct, rename="camel"):
    user_visible: bool | None = None


_read_outcome: Final = msgspec.json.Decoder(_Outcome).decode
_read_call: Final = msgspec.json.Decoder(_Call).decode
_read_result: Final = msgspec.json.Decoder(_Result).decode
_read_content: Final = msgspec.json.Decoder(_Content).decode
_read_visibility: Final = msgspec.json.Decoder(_Visibility).decode
_read_parts: Final = msgspec.json.Decoder(list[Raw]).decode


class Session(Conversation):
    agent: ClassVar[str] = AGENT

    def __init__(
        self, log: Log, about: SessionAbout, blobs: BlobSink, prompt_title: str = ""
    ) -> None:
        facts = first_facts(log)
        if about.parent:
            facts.parent = session_of(log, about.parent)
        facts.project = facts.cwd = about.working_dir[:PATH_CHARS_MAX]
        facts.started_at = instant(about.created_at)
        facts.updated_at = instant(about.updated_at)
        facts.model = about.model[:NAME_CHARS_MAX]
        super().__init__(log, facts, blobs, prompt_title)
        self._about = about
        self._head: list[Event] = []
        if title := about.name or about.description:
            rank = TitleRank.PERSON if about.user_set_name else TitleRank.AGENT
            self._head.append(self.titled(title, rank, facts.updated_at))

    def head(self) -> Read:
        return Read(0, "parsed", self._head)

    def ending(self) -> Read:
        """What the session took in all; what it has grown by is worked out from that."""
        spent = Usage(max(0, self._about.input_tokens), max(0, self._about.output_tokens))
        if spent == Usage():
            return Read(0, "parsed")
        about = About(timestamp=self.facts.updated_at or None)
        data = Raw(_encode({"input_tokens": spent.input, "output_tokens": spent.output}))
        event = self.telling(about, b"").event(Kind.PROVIDER_INFO, "tokens so far", data=data)
        event.usage = spent
        return Read(0, "parsed", [named(event, "tokens")])

    def about(self, item: Item) -> About:
        at = instant_of_ms(item.created_s * 1_000)
        return About(f"message/{item.role}", item.name, timestamp=at or None)

    def message(self, item: Item) -> Read:
        for content in (item.content, mended(item.content)):
            telling = _Telling(self, self.about(item), 0, content)
            if len(content) > DENSE_BYTES_MIN and is_dense(content):
                return Read(item.size, *telling.raw("message (too many parts)"))
            try:
                parts = _read_parts(content)
            except msgspec.ValidationError:
                if not is_sound(content):
                    continue
                return Read(item.size, *telling.raw(f"message/{item.role} (unfamiliar shape)"))
            except UNREADABLE:
                continue
            telling.item, telling.parts = item, parts
            return Read(item.size, *telling.told())
        return Read(item.size, "bad")


class _Telling(Telling):
    __slots__ = ("item", "parts")

    item: Item
    parts: list[Raw]

    def told(self) -> Told:
        if len(self.parts) > PARTS_MAX:
            return self.raw(f"message/{self.item.role} (too many parts)")
        if self.item.role not in ("user", "assistant"):
            return self.raw(f"message/{self.item.role or NO_TYPE}")
        hidden = tolerant(_read_visibility, Raw(self.item.metadata), _Visibility())
        told = [self._part(raw, is_hidden=hidden.user_visible is False) for raw in self.parts]
        return "parsed", [named(event, f"/{number}") for number, event in enumerate(told)]

    def _part(self, raw: Raw, *, is_hidden: bool) -> Event:
        part = tolerant(_read_content, raw, None) or take_apart(fields_of(raw), _Content)
        by_user = self.item.role == "user"
        if part.type == "text":
            if is_hidden:
                return self.event(Kind.SYSTEM, part.text or "")
            if by_user:
                return self.said(part.text or "")
            return self.event(Kind.ASSISTANT, part.text or "", actor="assistant")
        if part.type in ("thinking", "reasoning"):
            return self.event(Kind.THINKING, part.thinking or part.text or "", actor="assistant")
        if part.type == "redactedThinking":
            return self.event(Kind.THINKING, "", actor="assistant", data=Raw(b'{"redacted":true}'))
        if part.type in REQUESTS:
            return self._call(part)
        if part.type == "toolResponse":
            return self._result(part)
        if part.type == "image" and part.data:
            payload = Payload("base64", part.mime_type, part.data)
            return self.payload("image", payload, "user" if by_user else "assistant")
        if part.type in NOTES:
            text = f"{part.type}: {part.msg}" if part.msg else part.type
            return self.event(Kind.PROVIDER_INFO, text, data=self.kept(bytes(raw)))
        return self.raw_part(f"{self.item.role}/{part.type or NO_TYPE}", bytes(raw))

    def _call(self, part: _Content) -> Event:
        outcome = tolerant(_read_outcome, part.tool_call, _Outcome())
        call = tolerant(_read_call, outcome.content, _Call())
        given = clean(bytes(call.arguments)) if is_there(call.arguments) else EMPTY
        name, identity = call.name or "tool", part.id or ""
        data = Raw(_encode(ToolCall(identity, name, given)))
        return self.event(Kind.TOOL_CALL, brief(name, given), actor="assistant", data=data)

    def _result(self, part: _Content) -> Event:
        outcome = tolerant(_read_outcome, part.tool_result, _Outcome())
        found = tolerant(_read_result, outcome.content, _Result())
        # Older versions have the list of contents itself.
        contents = items_of(found.content) or items_of(outcome.content)
        failure = outcome.error or outcome.failed
        identity = part.id or ""
        # Whose result it is stands in another row, which may be read at another time, or be gone.
        result = ToolResult(identity, is_error=bool(failure or found.is_error))
        texts: list[str] = [failure] if failure else []
        for raw in contents[:PARTS_MAX]:
            each = tolerant(_read_content, raw, _Content())
            if each.type == "text":
                texts.append(each.text or "")
            elif each.type == "image" and each.data:
                result.images.append(self._image(each))
            else:
                result.others.append(self.kept(bytes(raw)))
        data = Raw(_encode(result))
        return self.event(Kind.TOOL_RESULT, "\n".join(texts), actor="tool", data=data)

    def _image(self, part: _Content) -> dict[str, Any]:
        return stored(Payload("base64", part.mime_type, part.data), self.parser.blobs)
