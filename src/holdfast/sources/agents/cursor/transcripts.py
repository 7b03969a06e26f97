"""From the lines of one Cursor transcript to events.

A line is `{role, message: {content}}`, or `{type: "turn_ended"}`. There are no ids, no tokens, no
model, no results of tools, and the only times are those that Cursor puts before prompts for the
model to read. The working folder is known by its folder's name alone, in which every `/` has become
`-`: that name stands as the project.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

import msgspec
from msgspec import Raw, Struct

from holdfast.events import EMPTY, Event, Kind
from holdfast.sources.base import BlobSink, Log
from holdfast.sources.loose import (
    NOTHING,
    fields_of,
    is_there,
    items_of,
    record_fields,
    take_apart,
    tolerant,
)
from holdfast.sources.mending import clean
from holdfast.sources.payloads import Payload
from holdfast.sources.telling import (
    FEW_PARTS,
    NO_TYPE,
    PARTS_MAX,
    LineParser,
    Memory,
    Telling,
    Told,
)
from holdfast.sources.tools import ToolCall, ToolResult, brief

AGENT: Final = "cursor"
SKIPPED_ENDINGS: Final = frozenset({"success"})

_MONTHS: Final = "JanFebMarAprMayJunJulAugSepOctNovDec"
_WHEN: Final = re.compile(
    r"\s*<timestamp>[A-Za-z]{3,9}, ([A-Z][a-z]{2})[a-z]{0,6} (\d{1,2}), (\d{4}), "
    r"(\d{1,2}):(\d{2}) ([AP])M(?: \(UTC(?:([+-])(\d{1,2})(?::(\d{2}))?)?\))?</timestamp>\s*"
)
_QUERY: Final = ("<user_query>", "</user_query>")
_PROGRAMS: Final = ("<system_notification>", "<system_reminder>", "<system-reminder>")

_encode = msgspec.json.Encoder().encode


class Content(Struct):
    """One part of a message: text, tool_use, tool_result, image …"""

    type: str | None = None
    text: str | None = None
    thinking: str | None = None
    id: str | None = None
    name: str | None = None
    input: Raw = NOTHING
    tool_use_id: str | None = None
    content: str | list[Content] | None = None
    is_error: bool | None = None
    source: Payload | None = None


class Message(Struct):
    content: str | list[Content] | None = None


class Record(Struct):
    type: str | None = None
    role: str | None = None
    message: Message | None = None
    status: str | None = None
    error: Raw = NOTHING
    # Cursor writes none of these so far.
    uuid: str | None = None
    parent_uuid: str | None = None
    timestamp: str | None = None
    cwd: str | None = None
    git_branch: str | None = None
    version: str | None = None
    is_sidechain: bool | None = None


_read_record: Final = msgspec.json.Decoder(Record).decode
_read_content: Final = msgspec.json.Decoder(Content).decode
_read_text: Final = msgspec.json.Decoder(str).decode


class TranscriptParser(LineParser[Record, Memory]):
    agent = AGENT
    memory_type = Memory

    def __init__(self, log: Log, state: bytes, blobs: BlobSink) -> None:
        super().__init__(log, state, blobs)
        self.facts.project = self.facts.project or log.relative.partition("/")[0]

    def read(self, line: bytes) -> Record:
        return _read_record(line)

    def understood(self, line: bytes) -> Record | None:
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

    def outline(self, line: bytes) -> Record:
        return Record(tolerant(_read_text, fields_of(Raw(line)).get("type", NOTHING), None))

    def is_skipped(self, record: Record) -> bool:
        return record.type == "turn_ended" and record.status in SKIPPED_ENDINGS

    def telling(self, record: Record, offset: int, line: bytes) -> Telling:
        if record.role == "user" and record.message is not None:
            record.timestamp = record.timestamp or _time_in(record.message) or None
        return _Telling(self, record, offset, line)


class _Telling(Telling):
    """One record on its way to events."""

    __slots__ = ("_raw_parts", "_record")

    def __init__(self, parser: TranscriptParser, record: Record, offset: int, line: bytes) -> None:
        super().__init__(parser, record, offset, line)
        self._record = record
        self._raw_parts: list[Raw] | None = None

    def told(self) -> Told:
        record = self._record
        content = record.message.content if record.message is not None else None
        if isinstance(content, str):
            content = [Content("text", content)]
        if content is not None and len(content) > FEW_PARTS:
            if len(content) > PARTS_MAX:
                return self.raw(f"{record.role} (too many parts)")
            self.shorten()
        if record.role == "user" and content is not None:
            events = [self._user_part(number, part) for number, part in enumerate(content)]
            return "parsed", events or [self.info(record.role)]
        if record.role == "assistant" and content is not None:
            events = [self._assistant_part(number, part) for number, part in enumerate(content)]
            return "parsed", events or [self.info(record.role)]
        if record.type == "turn_ended":
            why = tolerant(_read_text, record.error, "")
            return "parsed", [self.info(record.type, why or record.status or "")]
        return self.raw(record.type or record.role or NO_TYPE)

    def _user_part(self, number: int, part: Content) -> Event:
        if part.type == "text":
            return self._said(part.text or "")
        if part.type == "tool_result":
            return self._tool_result(part)
        return self._other_part("user", number, part)

    def _said(self, content: str) -> Event:
        """What was typed stands in an element of its own; without one, all of it was."""
        when = _WHEN.match(content)
        words = content[when.end() :] if when is not None else content
        before, opened, inside = words.partition(_QUERY[0])
        after = ""
        if opened:
            query, closed, behind = inside.rpartition(_QUERY[1])
            words, after = (query, behind) if closed else (inside, "")
        elif words.lstrip().startswith(_PROGRAMS):
            return self.event(Kind.SYSTEM, words)
        else:
            before = ""
        more = (before + after).strip()  # the time is the event's
        data = Raw(_encode({"original": content})) if more else EMPTY
        return self.said(words.strip(), data)

    def _assistant_part(self, number: int, part: Content) -> Event:
        if part.type == "text":
            return self.event(Kind.ASSISTANT, part.text or "", actor="assistant")
        if part.type == "thinking":
            words = part.thinking or part.text or ""
            return self.event(Kind.THINKING, words, actor="assistant")
        if part.type == "tool_use":
            name = part.name or "tool"
            given = clean(bytes(part.input)) if is_there(part.input) else EMPTY
            data = Raw(_encode(ToolCall(part.id or "", name, given)))
            return self.event(Kind.TOOL_CALL, brief(name, given), actor="assistant", data=data)
        if part.type == "tool_result":
            return self._tool_result(part)
        return self._other_part("assistant", number, part)

    def _tool_result(self, part: Content) -> Event:
        text = part.content if isinstance(part.content, str) else ""
        if isinstance(part.content, list):
            text = "\n".join(each.text for each in part.content if each.text)
        data = Raw(_encode(ToolResult(part.tool_use_id or "", "", bool(part.is_error))))
        return self.event(Kind.TOOL_RESULT, text, actor="tool", data=data)

    def _other_part(self, whose: str, number: int, part: Content) -> Event:
        source = part.source
        if source is not None and (source.data or source.url):
            return self.payload(
                part.type or "data", source, "user" if whose == "user" else "assistant"
            )
        return self.raw_part(f"{whose}/{part.type or NO_TYPE}", self._part(number))

    def _part(self, number: int) -> bytes:
        if self._raw_parts is None:
            message = fields_of(Raw(self.line)).get("message", NOTHING)
            self._raw_parts = items_of(fields_of(message).get("content", NOTHING))
        return bytes(self._raw_parts[number]) if number < len(self._raw_parts) else self.line


def _part(raw: Raw) -> Content:
    part = tolerant(_read_content, raw, None)
    return take_apart(fields_of(raw), Content) if part is None else part


def _time_in(message: Message) -> str:
    """When a prompt was typed, from "Thursday, Jul 30, 2026, 6:23 PM (UTC+5:30)" before it."""
    content = message.content
    text = content if isinstance(content, str) else (content[0].text or "") if content else ""
    found = _WHEN.match(text[:200])
    if found is None or (month := _MONTHS.find(found[1])) % 3:
        return ""
    sign = -1 if found[7] == "-" else 1
    away = timedelta(hours=int(found[8] or 0), minutes=int(found[9] or 0)) * sign
    hour = int(found[4]) % 12 + (12 if found[6] == "P" else 0)
    try:
        moment = datetime(
            int(found[3]),
            month // 3 + 1,
            int(found[2]),
            hour,
            int(found[5]),
            tzinfo=timezone(away),
        ).astimezone(UTC)
    except (ValueError, OverflowError):
        return ""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")
