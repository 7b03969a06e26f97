"""Pi: `<root>/sessions/…/<time>_<session>.jsonl`, one entry a line, a tree by `id` and `parentId`.

Branches of the tree stand in one file and are kept in the order in which they were written. A fork
copies entries into a file of its own, whose header names the file that it comes from.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Raw, Struct, field

from holdfast.events import EMPTY, Actor, Event, Kind, session_id
from holdfast.journal.model import TitleRank
from holdfast.sources.base import BlobSink, Log, Place
from holdfast.sources.folders import FolderSource, place_of
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
from holdfast.sources.mending import clean
from holdfast.sources.payloads import Payload, stored
from holdfast.sources.telling import (
    FEW_PARTS,
    NAME_CHARS_MAX,
    NO_TYPE,
    PARTS_MAX,
    LineParser,
    Memory,
    Telling,
    Told,
)
from holdfast.sources.text import instant_of_ms
from holdfast.sources.tools import ToolCall, ToolResult, brief

AGENT: Final = "pi"

INFO_TYPES: Final = frozenset(
    {"context_transform", "custom", "ephemeral", "label", "model_change", "thinking_level_change"}
)
SUMMARY_ROLES: Final = frozenset({"branchSummary", "compactionSummary"})
PROGRAMS_ROLES: Final = frozenset({"custom", "hookMessage"})

_encode = msgspec.json.Encoder().encode


class Spent(Struct, rename="camel"):
    input: Tokens = None
    output: Tokens = None
    cache_read: Tokens = None
    cache_write: Tokens = None


class Content(Struct, rename="camel"):
    """One part of a message: text, thinking, toolCall, image."""

    type: str | None = None
    text: str | None = None
    thinking: str | None = None
    id: str | None = None
    name: str | None = None
    arguments: Raw = NOTHING
    data: str | None = None
    mime_type: str | None = None


class Message(Struct, rename="camel"):
    role: str | None = None
    content: str | list[Content] | None = None
    model: str | None = None
    usage: Spent | None = None
    error_message: str | None = None
    tool_call_id: str | None = None
    tool_name: str | None = None
    is_error: bool | None = None
    command: str | None = None
    output: str | None = None
    exit_code: int | None = None
    cancelled: bool | None = None
    summary: str | None = None
    custom_type: str | None = None
    timestamp: float | None = None


class Envelope(Struct):
    type: str | None = None
    uuid: str | None = field(default=None, name="id")
    parent_uuid: str | None = field(default=None, name="parentId")
    timestamp: str | None = None
    cwd: str | None = None
    # Pi writes none of these; its `version` is that of the format.
    git_branch: str | None = field(default=None, name="gitBranch")
    version: str | None = field(default=None, name="agentVersion")
    is_sidechain: bool | None = field(default=None, name="isSidechain")


class Entry(Envelope):
    message: Message | None = None
    parent_session: str | None = field(default=None, name="parentSession")
    branched_from: str | None = field(default=None, name="branchedFrom")
    model: str | None = field(default=None, name="modelId")
    summary: str | None = None
    name: str | None = None
    label: str | None = None
    content: str | list[Content] | None = None
    custom_type: str | None = field(default=None, name="customType")


_read_entry: Final = msgspec.json.Decoder(Entry).decode
_read_envelope: Final = msgspec.json.Decoder(Envelope).decode
_read_content: Final = msgspec.json.Decoder(Content).decode


class Agent(FolderSource):
    """Finds Pi's sessions below its roots."""

    agent = AGENT
    name = "Pi"
    inside = ("sessions",)
    variables = ("PI_CODING_AGENT_DIR",)

    @classmethod
    def default_place(cls, environ: Mapping[str, str]) -> Place:
        return place_of(environ, "PI_CODING_AGENT_DIR", "~/.pi/agent")

    def log_at(self, root: str, path: str) -> Log:
        return Log(AGENT, path, root, _session_at(path[len(root) + 1 :]))

    def parser(self, log: Log, state: bytes, blobs: BlobSink) -> PiParser:
        return PiParser(log, state, blobs)


def _session_at(path: str) -> str:
    """The id stands in the name behind the time; a name without one is told apart by its place."""
    stem = path.removesuffix(".jsonl")
    _time, found, session = stem.rpartition("/")[2].partition("_")
    return session if found and session else stem


class PiParser(LineParser[Entry, Memory]):
    agent = AGENT
    memory_type = Memory

    def read(self, line: bytes) -> Entry:
        return _read_entry(line)

    def understood(self, line: bytes) -> Entry | None:
        fields = record_fields(line)
        if fields is None:
            return None
        entry = take_apart(fields, Entry)
        if entry.message is None and "message" in fields:
            inner = fields_of(fields["message"])
            entry.message = take_apart(inner, Message)
            if entry.message.content is None and "content" in inner:
                entry.message.content = [_part(raw) for raw in items_of(inner["content"])]
        return entry

    def outline(self, line: bytes) -> Envelope:
        return tolerant(_read_envelope, Raw(line), Envelope())

    def is_skipped(self, record: Entry) -> bool:  # noqa: ARG002  # all of them are worth something
        return False

    def telling(self, record: Entry, offset: int, line: bytes) -> Telling:
        message = record.message
        if not record.timestamp and message is not None:
            record.timestamp = instant_of_ms(message.timestamp) or None
        return _Telling(self, record, offset, line)


class _Telling(Telling):
    """One entry on its way to events."""

    __slots__ = ("_entry", "_raw_parts")

    def __init__(self, parser: PiParser, entry: Entry, offset: int, line: bytes) -> None:
        super().__init__(parser, entry, offset, line)
        self._entry = entry
        self._raw_parts: list[Raw] | None = None

    def told(self) -> Told:
        entry, kind = self._entry, self._entry.type or ""
        content = entry.message.content if entry.message is not None else entry.content
        if isinstance(content, list) and len(content) > FEW_PARTS:
            if len(content) > PARTS_MAX:
                return self.raw(f"{kind} (too many parts)")
            self.shorten()
        if kind == "message" and entry.message is not None:
            return self._message(entry.message)
        if kind == "session":
            return "parsed", [self._started()]
        if kind == "compaction":
            about = {"summary": None, **fields_of(Raw(self.line))}
            del about["summary"]
            compacted = self.event(Kind.SESSION_COMPACTED, "", data=clean(_encode(about)))
            return "parsed", [compacted, self.event(Kind.SESSION_SUMMARIZED, entry.summary or "")]
        if kind == "branch_summary":
            return "parsed", [self.event(Kind.SESSION_SUMMARIZED, entry.summary or "")]
        if kind == "session_info":
            self.titled(entry.name or "", TitleRank.PERSON)
            return "parsed", [self.event(Kind.SESSION_TITLED, entry.name or "")]
        if kind == "custom_message":
            return "parsed", [self._program(entry.custom_type, entry.content)]
        if kind in INFO_TYPES:
            if kind == "model_change" and entry.model:
                self.memory.facts.model = entry.model[:NAME_CHARS_MAX]
            return "parsed", [self.info(kind, entry.label or entry.custom_type or "")]
        return self.raw(kind or NO_TYPE)

    def _started(self) -> Event:
        entry, facts = self._entry, self.memory.facts
        if entry.model:
            facts.model = entry.model[:NAME_CHARS_MAX]
        origin = entry.parent_session or entry.branched_from
        if origin:
            facts.forked_from = session_id(AGENT, _session_at(origin))
        return self.event(Kind.SESSION_STARTED, "", data=self.whole())

    def _message(self, message: Message) -> Told:
        role = message.role
        if role == "user":
            return "parsed", self._user(message.content) or [self.info(role)]
        if role == "assistant":
            return "parsed", self._assistant(message) or [self.info(role)]
        if role == "toolResult":
            return "parsed", [self._result(message)]
        if role == "bashExecution":
            return "parsed", self._bash(message)
        if role in PROGRAMS_ROLES:
            return "parsed", [self._program(message.custom_type, message.content)]
        if role in SUMMARY_ROLES:
            return "parsed", [self.event(Kind.SESSION_SUMMARIZED, message.summary or "")]
        return self.raw(f"message/{role}")

    # What people say.

    def _user(self, content: str | list[Content] | None) -> list[Event]:
        if isinstance(content, str):
            return [self.said(content)]
        return [
            self.said(part.text or "")
            if part.type == "text"
            else self._other_part("user", number, part)
            for number, part in enumerate(content or ())
        ]

    def _bash(self, message: Message) -> list[Event]:
        """What the person ran, and what came of it."""
        failed = bool(message.cancelled) or message.exit_code not in (None, 0)
        data = Raw(_encode(ToolResult("", "bash", failed)))
        return [
            self.said(f"! {message.command or ''}"),
            self.event(Kind.TOOL_RESULT, message.output or "", actor="tool", data=data),
        ]

    def _program(self, name: str | None, content: str | list[Content] | None) -> Event:
        data = Raw(_encode({"custom_type": name})) if name else EMPTY
        text = _text_of(content)
        return self.event(Kind.SYSTEM, text, data=data if text else self.whole())

    # What the agent says and does.

    def _assistant(self, message: Message) -> list[Event]:
        model = (message.model or "")[:NAME_CHARS_MAX]
        if model:
            self.memory.facts.model = model
        spent = message.usage
        if spent is not None:
            self.count_tokens(
                self._entry.uuid or "",
                fresh=spent.input,
                output=spent.output,
                cache_read=spent.cache_read,
                cache_write=spent.cache_write,
            )
        content = message.content
        if isinstance(content, str):
            events = [self.event(Kind.ASSISTANT, content, actor="assistant", model=model)]
        else:
            events = [
                self._assistant_part(number, part, model)
                for number, part in enumerate(content or ())
            ]
        if message.error_message:
            events.append(self.event(Kind.PROVIDER_INFO, message.error_message))
        return events

    def _assistant_part(self, number: int, part: Content, model: str) -> Event:
        if part.type == "text":
            return self.event(Kind.ASSISTANT, part.text or "", actor="assistant", model=model)
        if part.type == "thinking":
            return self.event(Kind.THINKING, part.thinking or "", actor="assistant", model=model)
        if part.type == "toolCall":
            name = part.name or "tool"
            given = clean(bytes(part.arguments)) if is_there(part.arguments) else EMPTY
            data = Raw(_encode(ToolCall(part.id or "", name, given)))
            return self.event(
                Kind.TOOL_CALL, brief(name, given), actor="assistant", data=data, model=model
            )
        return self._other_part("assistant", number, part)

    def _result(self, message: Message) -> Event:
        result = ToolResult(
            message.tool_call_id or "", message.tool_name or "", bool(message.is_error)
        )
        if isinstance(message.content, list):
            for number, part in enumerate(message.content):
                if part.data:
                    payload = Payload("base64", part.mime_type, part.data)
                    result.images.append(stored(payload, self.parser.blobs))
                elif part.type != "text":
                    result.others.append(self.kept(self._part(number)))
        data = Raw(_encode(result))
        return self.event(Kind.TOOL_RESULT, _text_of(message.content), actor="tool", data=data)

    def _other_part(self, whose: Actor, number: int, part: Content) -> Event:
        if part.data:
            payload = Payload("base64", part.mime_type, part.data)
            return self.payload(part.type or "data", payload, whose)
        return self.raw_part(f"{whose}/{part.type or NO_TYPE}", self._part(number))

    def _part(self, number: int) -> bytes:
        if self._raw_parts is None:
            message = fields_of(Raw(self.line)).get("message", NOTHING)
            self._raw_parts = items_of(fields_of(message).get("content", NOTHING))
        return bytes(self._raw_parts[number]) if number < len(self._raw_parts) else self.line


def _text_of(content: str | list[Content] | None) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(part.text for part in content or () if part.text)


def _part(raw: Raw) -> Content:
    part = tolerant(_read_content, raw, None)
    return take_apart(fields_of(raw), Content) if part is None else part
