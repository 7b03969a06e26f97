"""From the records of one Claude Code log to events.

What is known to be worth nothing later is skipped and counted: file-history snapshots point into a
cache that the agent deletes, `last-prompt` repeats the prompt, and the progress of a running tool
is superseded by its result. Signatures of thinking blocks and the second copy of each tool result
are left out of the events for the same reason.

Traps, each with its test: one reply streams as several lines with the same usage; forks replay
lines under the same uuids; wrappers such as `<system-reminder>` are not the user's words; a
compaction's summary comes as a user's record; answers to AskUserQuestion stand in `toolUseResult`.

An event is never much larger than the record it came from, whatever the record holds: names have
a longest length, parts a greatest number, and what is kept as it is stands in one event only.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw

from holdfast.events import EMPTY, Actor, Event, Kind
from holdfast.journal.model import TitleRank
from holdfast.sources.agents.claude.records import (
    ApiUsage,
    Attachment,
    Content,
    Message,
    Progress,
    Record,
    ToolAgent,
    ToolAnswers,
    raw_parts,
    read_agent,
    read_answers,
    read_attachment,
    read_progress,
    read_record,
    understood,
)
from holdfast.sources.agents.claude.words import answers, own_words, parts, proposal, text_of
from holdfast.sources.loose import NOTHING, fields_of, is_there, items_of, read_text, tolerant
from holdfast.sources.mending import clean
from holdfast.sources.payloads import Payload, stored
from holdfast.sources.telling import (
    FEW_PARTS,
    NAME_CHARS_MAX,
    NO_TYPE,
    PARTS_MAX,
    About,
    LineParser,
    Memory,
    Teller,
    Telling,
    Told,
    read_outline,
)
from holdfast.sources.tools import ToolCall, ToolResult, brief

AGENT: Final = "claude"

SKIPPED_TYPES: Final = frozenset({"file-history-snapshot", "last-prompt"})
SKIPPED_PROGRESS: Final = frozenset(
    {
        "bash_progress",
        "hook_progress",
        "mcp_progress",
        "powershell_progress",
        "query_update",
        "search_results_received",
        "waiting_for_task",
    }
)
PROGRESS_HEAD_BYTES: Final = 48
_TYPE_FIRST: Final = b'{"type":"'
_SKIPPED_NAMES: Final = frozenset(name.encode() for name in SKIPPED_PROGRESS)
# Records that say something about the session, kept whole as provider.info.
INFO_TYPES: Final = frozenset(
    {
        "agent-name",
        "agent-color",
        "agent-setting",
        "attribution-snapshot",
        "frame-link",
        "mode",
        "permission-mode",
        "pr-link",
        "queue-operation",
        "relocated",
        "result",
        "started",
        "tag",
        "worktree-state",
    }
)
INFO_SUBTYPES: Final = frozenset(
    {
        "api_error",
        "api_refusal",
        "bridge_status",
        "error",
        "informational",
        "local_command",
        "memory_saved",
        "model_refusal_fallback",
        "stop_hook_summary",
        "turn_duration",
    }
)
COMPACTED_SUBTYPES: Final = frozenset({"compact_boundary", "microcompact_boundary"})
TITLE_FIELDS: Final = {
    "summary": ("summary", TitleRank.SUMMARY),
    "ai-title": ("ai_title", TitleRank.AGENT),
    "custom-title": ("custom_title", TitleRank.PERSON),
}
QUESTIONS: Final = frozenset({"AskUserQuestion", "ExitPlanMode"})
AWAITED_TOOLS: Final = QUESTIONS | {"Task", "Agent"}
TOOL_CALLS: Final = frozenset({"tool_use", "server_tool_use", "mcp_tool_use"})
PAYLOADS: Final = frozenset({"image", "document"})

_encode = msgspec.json.Encoder().encode


class ClaudeParser(LineParser[Record, Memory]):
    """Turns the records of one log into events."""

    agent = AGENT
    memory_type = Memory

    def read(self, line: bytes) -> Record:
        return read_record(line)

    def understood(self, line: bytes) -> Record | None:
        return understood(line)

    def outline(self, line: bytes) -> About:
        return tolerant(read_outline, Raw(line), About())

    def is_skipped(self, record: Record) -> bool:
        kind = record.type
        return kind in SKIPPED_TYPES or (
            kind == "progress" and _progress_type(record) in SKIPPED_PROGRESS
        )

    def telling(self, record: Record, offset: int, line: bytes) -> Telling:
        return _Telling(self, record, offset, line)


class _Telling(Telling):
    """One record on its way to events."""

    __slots__ = ("_raw_parts", "_record")

    def __init__(self, parser: Teller, record: Record, offset: int, line: bytes) -> None:
        super().__init__(parser, record, offset, line)
        self._record = record
        self._raw_parts: list[Raw] | None = None

    def told(self) -> Told:
        kind = self._record.type
        message = self._record.message
        if message is not None and len(parts(message.content)) > FEW_PARTS:
            if len(parts(message.content)) > PARTS_MAX:
                return self.raw(f"{kind} (too many parts)")
            self.shorten()
        if kind == "assistant" and message is not None:
            return "parsed", self._assistant(message) or [self.info(kind)]
        if kind == "user" and message is not None:
            return "parsed", self._user(message) or [self.info(kind)]
        if kind == "progress":
            return self._progress()
        if kind == "system":
            return self._system()
        if kind == "attachment":
            return "parsed", self._attachment()
        if kind in TITLE_FIELDS:
            return self._title(*TITLE_FIELDS[kind])
        if kind in INFO_TYPES:
            return "parsed", [self.info(kind)]
        return self.raw(kind or NO_TYPE)

    def shorten(self) -> None:
        super().shorten()
        if self._record.message is not None:
            self._record.message.model = (self._record.message.model or "")[:NAME_CHARS_MAX]

    # What people and tools say.

    def _user(self, message: Message) -> list[Event]:
        content = message.content
        if isinstance(content, str):
            return [self._said(content)]
        return [self._user_part(number, part) for number, part in enumerate(content or ())]

    def _user_part(self, number: int, part: Content) -> Event:
        if part.type == "text":
            return self._said(part.text or "")
        if part.type == "tool_result":
            return self._tool_result(number, part)
        if (source := _payload_of(part)) is not None:
            return self._payload(part, source, "user")
        return self._unknown_part("user", number, part)

    def _said(self, content: str) -> Event:
        record = self._record
        if record.is_compact_summary:
            return self.event(Kind.SESSION_SUMMARIZED, content)
        words = own_words(content)
        if record.is_meta or not words:
            return self.event(Kind.SYSTEM, content)
        data = EMPTY if words == content else Raw(_encode({"original": content}))
        return self.said(words, data)

    def _tool_result(self, number: int, part: Content) -> Event:
        text = text_of(part.content)
        identity = part.tool_use_id or ""
        name = self.awaited(identity)
        result = ToolResult(identity, name, bool(part.is_error))
        kind = Kind.TOOL_RESULT
        if name and not part.is_error:
            second = self._record.tool_use_result
            result.agent = tolerant(read_agent, second, ToolAgent()).agent_id or ""
            if name in QUESTIONS:
                kind = Kind.DECISION_ACCEPTED
                result.answers = tolerant(read_answers, second, ToolAnswers()).answers
                text = answers(result.answers) or text
        if isinstance(part.content, list):
            self._add_parts(result, number, part.content)
        actor: Actor = "user" if kind == Kind.DECISION_ACCEPTED else "tool"
        return self.event(kind, text, actor=actor, data=Raw(_encode(result)))

    def _add_parts(self, result: ToolResult, number: int, content: list[Content]) -> None:
        """What a tool answered besides text."""
        others = []
        for place, part in enumerate(content[:PARTS_MAX]):
            source = _payload_of(part) if part.type == "image" else None
            if source is not None:
                result.images.append(stored(source, self.parser.blobs))
            elif part.type != "text":
                others.append(place)
        if others or len(content) > PARTS_MAX:
            whole = fields_of(Raw(self._part(number))).get("content", NOTHING)
            raws = items_of(whole)
            result.others = [self.kept(self._nth(raws, place)) for place in others]
            if len(content) > PARTS_MAX:
                result.others = [self.kept(bytes(whole))]

    # What the agent says and does.

    def _assistant(self, message: Message) -> list[Event]:
        model = message.model or ""
        if model and not model.startswith("<"):
            self.memory.facts.model = model[:NAME_CHARS_MAX]
        self._count_tokens(message.usage, message.id or "")
        content = message.content
        if isinstance(content, str):
            return [self.event(Kind.ASSISTANT, content, actor="assistant", model=model)]
        return [
            self._assistant_part(number, part, model) for number, part in enumerate(content or ())
        ]

    def _assistant_part(self, number: int, part: Content, model: str) -> Event:
        if part.type == "text":
            return self.event(Kind.ASSISTANT, part.text or "", actor="assistant", model=model)
        if part.type == "thinking":
            return self.event(Kind.THINKING, part.thinking or "", actor="assistant", model=model)
        if part.type == "redacted_thinking":
            data = Raw(b'{"redacted":true}')
            return self.event(Kind.THINKING, "", actor="assistant", data=data, model=model)
        if part.type in TOOL_CALLS:
            return self._tool_call(part, model)
        if (source := _payload_of(part)) is not None:
            return self._payload(part, source, "assistant")
        return self._unknown_part("assistant", number, part)

    def _tool_call(self, part: Content, model: str) -> Event:
        name = part.name or "tool"
        identity = part.id or ""
        given = clean(bytes(part.input)) if is_there(part.input) else EMPTY
        kind, text = Kind.TOOL_CALL, brief(name, given)
        if name in QUESTIONS:
            kind = Kind.DECISION_PROPOSED
            text = proposal(name, given) or text
        if name in AWAITED_TOOLS:
            self.await_result(identity, name)
        data = Raw(_encode(ToolCall(identity, name, given)))
        return self.event(kind, text, actor="assistant", data=data, model=model)

    def _count_tokens(self, usage: ApiUsage | None, message: str) -> None:
        if usage is not None:
            key = f"{message}/{self._record.request_id or ''}"
            self.count_tokens(
                "" if key == "/" else key,
                fresh=usage.input_tokens,
                output=usage.output_tokens,
                cache_read=usage.cache_read_input_tokens,
                cache_write=usage.cache_creation_input_tokens,
            )

    # What the program around the conversation says.

    def _system(self) -> Told:
        subtype = self._record.subtype or ""
        text = tolerant(read_text, self._record.content, "")
        if subtype in COMPACTED_SUBTYPES:
            event = self.event(Kind.SESSION_COMPACTED, text, data=self.whole())
        elif subtype == "session_start":
            event = self.event(Kind.SESSION_STARTED, text, data=self.whole())
        elif subtype in INFO_SUBTYPES:
            event = self.info(subtype, text)
        elif not subtype and text:
            event = self.event(Kind.SYSTEM, text)
        else:
            return self.raw(f"system/{subtype}")
        return "parsed", [event]

    def _progress(self) -> Told:
        kind = _progress_type(self._record)
        if kind == "agent_progress":
            data = self.kept(bytes(self._record.data))
            return "parsed", [self.event(Kind.PROVIDER_INFO, kind, data=data)]
        return self.raw(f"progress/{kind}")

    def _attachment(self) -> list[Event]:
        raw = self._record.attachment
        attachment = tolerant(read_attachment, raw, Attachment())
        if attachment.type == "queued_command" and attachment.command_mode in (None, "prompt"):
            words = own_words(text_of(attachment.prompt))
            if words:
                return self._queued(words, attachment, raw)
        data = self.kept(bytes(raw)) if is_there(raw) else self.whole()
        return [self.event(Kind.PROVIDER_INFO, attachment.type or "attachment", data=data)]

    def _queued(self, words: str, attachment: Attachment, raw: Raw) -> list[Event]:
        """What the user typed while the agent was busy, and the pictures that came with it."""
        return [self.said(words, self.kept(bytes(raw)))] + [
            self._payload(part, source, "user")
            for part in parts(attachment.prompt)[:PARTS_MAX]
            if (source := _payload_of(part)) is not None
        ]

    def _title(self, field: str, rank: TitleRank) -> Told:
        title = getattr(self._record, field) or ""
        self.titled(title, rank)
        return "parsed", [self.event(Kind.SESSION_TITLED, title)]

    # Parts of messages that are no text.

    def _payload(self, part: Content, source: Payload, actor: Actor) -> Event:
        return self.payload(part.type or "", source, actor)

    def _unknown_part(self, whose: str, number: int, part: Content) -> Event:
        return self.raw_part(f"{whose}/{part.type or NO_TYPE}", self._part(number))

    def _part(self, number: int) -> bytes:
        if self._raw_parts is None:
            self._raw_parts = raw_parts(self.line)
        return self._nth(self._raw_parts, number)

    def _nth(self, raws: list[Raw], number: int) -> bytes:
        """The whole record where its parts cannot be told apart: a name in it is no text."""
        return bytes(raws[number]) if number < len(raws) else self.line


def _payload_of(part: Content) -> Payload | None:
    source = part.source
    if part.type in PAYLOADS and isinstance(source, Payload) and (source.data or source.url):
        return source
    return None


def _progress_type(record: Record) -> str:
    """A third of all records are progress, and nearly all name their type first."""
    head = bytes(memoryview(record.data)[:PROGRESS_HEAD_BYTES])
    name, quote, _rest = head.removeprefix(_TYPE_FIRST).partition(b'"')
    if quote and name in _SKIPPED_NAMES and head.startswith(_TYPE_FIRST):
        return name.decode()
    return tolerant(read_progress, record.data, Progress()).type or ""
