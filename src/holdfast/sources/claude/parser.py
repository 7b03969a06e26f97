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

import binascii
import re
from typing import Any, Final

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from holdfast.events import EMPTY, Actor, Event, Kind, Origin, Usage, session_id
from holdfast.journal.model import NO_USAGE, Facts, TitleRank, Verdict
from holdfast.sources.base import BlobSink, Log
from holdfast.sources.claude.records import (
    NOTHING,
    ApiUsage,
    Attachment,
    Content,
    Message,
    Outline,
    Payload,
    Progress,
    Record,
    ToolAgent,
    ToolAnswers,
    fields_of,
    is_there,
    items_of,
    raw_parts,
    read_agent,
    read_answers,
    read_attachment,
    read_outline,
    read_progress,
    read_record,
    read_text,
    tolerant,
    understood,
)
from holdfast.sources.claude.words import (
    answers,
    brief,
    instant,
    one_line,
    own_words,
    parts,
    proposal,
    text_of,
)
from holdfast.sources.mending import SPACE, clean, is_dense, is_json, mended

AGENT: Final = "claude"
TITLE_CHARS: Final = 100
PARTS_MAX: Final = 4_096  # of one message
FEW_PARTS: Final = 8  # more of them share no long names
NAME_CHARS_MAX: Final = 256
PATH_CHARS_MAX: Final = 4_096
REMEMBERED_REQUESTS: Final = 16
REMEMBERED_TOOLS: Final = 64
INLINE_BYTES_MAX: Final = 2_048  # larger images and documents go beside the journal
DENSE_BYTES_MIN: Final = 262_144  # shorter lines are decoded whatever they are made of

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

NO_TYPE: Final = "(no type)"

_BASE64: Final = re.compile(rb'"([A-Za-z0-9+/]{4096,}+={0,2})"(?!\s*:)')
_encode = msgspec.json.Encoder().encode


class _ToolCall(msgspec.Struct, omit_defaults=True):
    tool_use_id: str
    name: str
    input: Raw


class _ToolResult(msgspec.Struct, omit_defaults=True):
    tool_use_id: str
    name: str = ""
    is_error: bool = False
    agent: str = ""  # the subagent that gave the result
    answers: dict[str, str | list[str]] | None = None
    images: list[dict[str, Any]] = []
    others: list[Raw] = []  # parts that are neither text nor image, as they were


class _State(msgspec.Struct):
    """What reading on needs: bounded, whatever the log holds."""

    facts: Facts
    turn: int = 0
    last_at: str = ""
    # request -> usage already counted, the newest last
    requests: dict[str, tuple[int, int, int, int]] = {}
    # tool calls whose results say more than their text: id -> name
    awaited: dict[str, str] = {}


_state_decoder = msgspec.msgpack.Decoder(_State)
_state_encoder = msgspec.msgpack.Encoder()


class ClaudeParser:
    """Turns the records of one log into events."""

    def __init__(self, log: Log, state: bytes, blobs: BlobSink) -> None:
        self.blobs = blobs
        self.relative = log.relative
        self.memory = _state_decoder.decode(state) if state else _State(_first_facts(log))
        self.facts = self.memory.facts
        self.unknown: dict[str, tuple[int, int]] = {}

    def state(self) -> bytes:
        return _state_encoder.encode(self.memory)

    def parse(self, offset: int, line: bytes) -> tuple[Verdict, list[Event]]:
        if len(line) > DENSE_BYTES_MIN and is_dense(line):
            return self._dense(offset, line)
        try:
            record = read_record(line)
        except msgspec.ValidationError:
            return self._drifted(offset, line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self._mended(offset, line)
        kind = record.type
        if kind in SKIPPED_TYPES or (kind == "progress" and _is_skipped(record)):
            return "skipped", []
        return _Reading(self, record, offset, line).events()

    def _dense(self, offset: int, line: bytes) -> tuple[Verdict, list[Event]]:
        """Made of so many small things that decoding it would take many times its size."""
        if not is_json(line):
            return self._mended(offset, line)
        if not line.lstrip().startswith(b"{"):
            return "bad", []
        outline = tolerant(read_outline, Raw(line), Outline())
        record = Record(outline.type, None, outline.uuid, outline.parent_uuid, outline.timestamp)
        name = f"{record.type or NO_TYPE} (too many parts)"
        return _Reading(self, record, offset, line).raw(name)

    def _drifted(self, offset: int, line: bytes) -> tuple[Verdict, list[Event]]:
        """Valid JSON with an unfamiliar shape: what is understood of it, and the whole of it."""
        try:
            record = understood(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self._mended(offset, line)
        if record is None:
            return "bad", []
        if _is_skipped(record):
            return "skipped", []
        reading = _Reading(self, record, offset, line)
        verdict, events = reading.events()
        if verdict == "parsed":
            verdict, whole = reading.raw(f"{record.type} (unfamiliar shape)")
            events += whole
        return verdict, events

    def _mended(self, offset: int, line: bytes) -> tuple[Verdict, list[Event]]:
        """Not JSON, until what can be mended is."""
        whole = mended(line)
        if whole is not line:
            return self.parse(offset, whole)
        return ("bad" if line.strip() else "skipped"), []


class _Reading:
    """One record on its way to events."""

    __slots__ = (
        "_at",
        "_line",
        "_origin",
        "_parser",
        "_raw_parts",
        "_record",
        "_state",
        "_usage",
    )

    def __init__(self, parser: ClaudeParser, record: Record, offset: int, line: bytes) -> None:
        self._parser = parser
        self._record = record
        self._line = line
        self._state = state = parser.memory
        self._at = instant(record.timestamp) or state.last_at
        self._origin = Origin(
            AGENT, parser.relative, offset, record.uuid or "", record.parent_uuid or ""
        )
        self._usage: Usage | None = None
        self._raw_parts: list[Raw] | None = None
        self._learn()

    def events(self) -> tuple[Verdict, list[Event]]:
        kind = self._record.type
        message = self._record.message
        if message is not None and len(parts(message.content)) > FEW_PARTS:
            if len(parts(message.content)) > PARTS_MAX:
                return self.raw(f"{kind} (too many parts)")
            self._shorten()
        if kind == "assistant" and message is not None:
            return "parsed", self._assistant(message) or [self._info(kind)]
        if kind == "user" and message is not None:
            return "parsed", self._user(message) or [self._info(kind)]
        if kind == "progress":
            return self._progress()
        if kind == "system":
            return self._system()
        if kind == "attachment":
            return "parsed", self._attachment()
        if kind in TITLE_FIELDS:
            return self._title(*TITLE_FIELDS[kind])
        if kind in INFO_TYPES:
            return "parsed", [self._info(kind)]
        return self.raw(kind or NO_TYPE)

    def raw(self, name: str) -> tuple[Verdict, list[Event]]:
        """Kept as it is, and counted under its name."""
        self._count_unknown(name, len(self._line.strip(SPACE)))
        return "unknown", [self._event(Kind.PROVIDER_RAW, "", data=self._whole())]

    def _count_unknown(self, name: str, size: int) -> None:
        name = name[:NAME_CHARS_MAX]
        records, before = self._parser.unknown.get(name, (0, 0))
        self._parser.unknown[name] = (records + 1, before + size)

    def _shorten(self) -> None:
        """What stands in every event of a record must not be most of the record."""
        record = self._record
        record.cwd = (record.cwd or "")[:PATH_CHARS_MAX]
        record.git_branch = (record.git_branch or "")[:NAME_CHARS_MAX]
        if record.message is not None:
            record.message.model = (record.message.model or "")[:NAME_CHARS_MAX]
        self._origin = replace(
            self._origin,
            uuid=self._origin.uuid[:NAME_CHARS_MAX],
            parent=self._origin.parent[:NAME_CHARS_MAX],
        )

    def _learn(self) -> None:
        """What the record says about its session, whatever else it says."""
        record, state, facts = self._record, self._state, self._state.facts
        if record.timestamp:
            state.last_at = self._at
            if not facts.started_at or self._at < facts.started_at:
                facts.started_at = self._at
            facts.updated_at = max(facts.updated_at, self._at)
        if record.uuid and not facts.first_uuid:
            facts.first_uuid = record.uuid[:NAME_CHARS_MAX]
        if record.cwd and record.cwd != facts.cwd:
            facts.cwd = record.cwd[:PATH_CHARS_MAX]
            facts.project = facts.project or facts.cwd
        if record.git_branch and record.git_branch != facts.branch:
            facts.branch = record.git_branch[:NAME_CHARS_MAX]
        if record.version and record.version != facts.agent_version:
            facts.agent_version = record.version[:NAME_CHARS_MAX]

    def _event(
        self,
        kind: str,
        text: str,
        *,
        actor: Actor | None = "system",
        data: Raw = EMPTY,
        model: str = "",
    ) -> Event:
        record = self._record
        usage, self._usage = self._usage, None  # the first event of a record carries its tokens
        return Event(
            id="",
            session=self._parser.facts.id,
            seq=-1,
            kind=kind,
            at=self._at,
            text=text,
            data=data,
            source=self._origin,
            actor=actor,
            turn=self._state.turn,
            model=model,
            cwd=record.cwd or "",
            branch=record.git_branch or "",
            sidechain=bool(record.is_sidechain),
            usage=usage,
        )

    def _info(self, name: str, text: str = "") -> Event:
        return self._event(Kind.PROVIDER_INFO, text or name, data=self._whole())

    def _whole(self) -> Raw:
        return self._kept(self._line.strip(SPACE))

    def _kept(self, content: bytes) -> Raw:
        """A part of the record as it is, but for payloads: those go beside the journal."""
        if b"base64" in content:
            content = _BASE64.sub(self._reference, content)
        return clean(content)

    def _reference(self, found: re.Match[bytes]) -> bytes:
        try:
            payload = binascii.a2b_base64(found[1], strict_mode=True)
        except binascii.Error:
            return found[0]
        return _encode(f"blob:{self._parser.blobs.put(payload).digest}")

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
        record, state = self._record, self._state
        if record.is_compact_summary:
            return self._event(Kind.SESSION_SUMMARIZED, content)
        words = own_words(content)
        if record.is_meta or not words:
            return self._event(Kind.SYSTEM, content)
        if not record.is_sidechain or state.facts.parent:
            state.turn += 1
        self._title_from_prompt(words)
        data = EMPTY if words == content else Raw(_encode({"original": content}))
        return self._event(Kind.USER, words, actor="user", data=data)

    def _title_from_prompt(self, words: str) -> None:
        facts = self._state.facts
        if facts.title_rank < TitleRank.PROMPT and not words.startswith(("/", "::")):
            facts.title = one_line(words, TITLE_CHARS)
            facts.title_rank = TitleRank.PROMPT

    def _tool_result(self, number: int, part: Content) -> Event:
        text = text_of(part.content)
        identity = part.tool_use_id or ""
        name = self._state.awaited.pop(identity, "")
        result = _ToolResult(identity, name, bool(part.is_error))
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
        return self._event(kind, text, actor=actor, data=Raw(_encode(result)))

    def _add_parts(self, result: _ToolResult, number: int, content: list[Content]) -> None:
        """What a tool answered besides text."""
        others = []
        for place, part in enumerate(content[:PARTS_MAX]):
            source = _payload_of(part) if part.type == "image" else None
            if source is not None:
                result.images.append(self._stored(source))
            elif part.type != "text":
                others.append(place)
        if others or len(content) > PARTS_MAX:
            whole = fields_of(Raw(self._part(number))).get("content", NOTHING)
            raws = items_of(whole)
            result.others = [self._kept(self._nth(raws, place)) for place in others]
            if len(content) > PARTS_MAX:
                result.others = [self._kept(bytes(whole))]

    # What the agent says and does.

    def _assistant(self, message: Message) -> list[Event]:
        model = message.model or ""
        if model and not model.startswith("<"):
            self._state.facts.model = model[:NAME_CHARS_MAX]
        self._count_tokens(message.usage, message.id or "")
        content = message.content
        if isinstance(content, str):
            return [self._event(Kind.ASSISTANT, content, actor="assistant", model=model)]
        return [
            self._assistant_part(number, part, model) for number, part in enumerate(content or ())
        ]

    def _assistant_part(self, number: int, part: Content, model: str) -> Event:
        if part.type == "text":
            return self._event(Kind.ASSISTANT, part.text or "", actor="assistant", model=model)
        if part.type == "thinking":
            return self._event(Kind.THINKING, part.thinking or "", actor="assistant", model=model)
        if part.type == "redacted_thinking":
            data = Raw(b'{"redacted":true}')
            return self._event(Kind.THINKING, "", actor="assistant", data=data, model=model)
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
            _remember(self._state.awaited, identity, name, REMEMBERED_TOOLS)
        data = Raw(_encode(_ToolCall(identity, name, given)))
        return self._event(kind, text, actor="assistant", data=data, model=model)

    def _count_tokens(self, usage: ApiUsage | None, message: str) -> None:
        """What this line adds to what its request was already counted with."""
        if usage is None:
            return
        now = (
            usage.input_tokens or 0,
            usage.output_tokens or 0,
            usage.cache_read_input_tokens or 0,
            usage.cache_creation_input_tokens or 0,
        )
        key = f"{message}/{self._record.request_id or ''}"
        requests = self._state.requests
        before = requests.pop(key, None) if key != "/" else None
        if before is None:
            added = Usage(*now)
        else:
            now = tuple(map(max, now, before))  # type: ignore[assignment]  # four stay four
            added = Usage(*map(int.__sub__, now, before))
        _remember(requests, key, now, REMEMBERED_REQUESTS)
        if added != NO_USAGE:
            self._usage = added

    # What the program around the conversation says.

    def _system(self) -> tuple[Verdict, list[Event]]:
        subtype = self._record.subtype or ""
        text = tolerant(read_text, self._record.content, "")
        if subtype in COMPACTED_SUBTYPES:
            event = self._event(Kind.SESSION_COMPACTED, text, data=self._whole())
        elif subtype == "session_start":
            event = self._event(Kind.SESSION_STARTED, text, data=self._whole())
        elif subtype in INFO_SUBTYPES:
            event = self._info(subtype, text)
        elif not subtype and text:
            event = self._event(Kind.SYSTEM, text)
        else:
            return self.raw(f"system/{subtype}")
        return "parsed", [event]

    def _progress(self) -> tuple[Verdict, list[Event]]:
        kind = _progress_type(self._record)
        if kind == "agent_progress":
            data = self._kept(bytes(self._record.data))
            return "parsed", [self._event(Kind.PROVIDER_INFO, kind, data=data)]
        return self.raw(f"progress/{kind}")

    def _attachment(self) -> list[Event]:
        raw = self._record.attachment
        attachment = tolerant(read_attachment, raw, Attachment())
        if attachment.type == "queued_command" and attachment.command_mode in (None, "prompt"):
            words = own_words(text_of(attachment.prompt))
            if words:
                return self._queued(words, attachment, raw)
        data = self._kept(bytes(raw)) if is_there(raw) else self._whole()
        return [self._event(Kind.PROVIDER_INFO, attachment.type or "attachment", data=data)]

    def _queued(self, words: str, attachment: Attachment, raw: Raw) -> list[Event]:
        """What the user typed while the agent was busy, and the pictures that came with it."""
        self._state.turn += 1
        self._title_from_prompt(words)
        said = self._event(Kind.USER, words, actor="user", data=self._kept(bytes(raw)))
        return [said] + [
            self._payload(part, source, "user")
            for part in parts(attachment.prompt)[:PARTS_MAX]
            if (source := _payload_of(part)) is not None
        ]

    def _title(self, field: str, rank: TitleRank) -> tuple[Verdict, list[Event]]:
        title = getattr(self._record, field) or ""
        facts = self._state.facts
        if title and rank >= facts.title_rank:
            facts.title = one_line(title, TITLE_CHARS)
            facts.title_rank = rank
        return "parsed", [self._event(Kind.SESSION_TITLED, title)]

    # Parts of messages that are no text.

    def _payload(self, part: Content, source: Payload, actor: Actor) -> Event:
        stored = {"type": part.type, **self._stored(source)}
        what = f"[{part.type}: {stored['media_type'] or 'unknown type'}, {stored['bytes']:,} bytes]"
        event_kind = Kind.USER if actor == "user" else Kind.ASSISTANT
        return self._event(event_kind, what, actor=actor, data=Raw(_encode(stored)))

    def _stored(self, source: Payload) -> dict[str, Any]:
        """A payload as its place beside the journal; small ones stay with their event."""
        about: dict[str, Any] = {"media_type": source.media_type or "", "bytes": 0}
        if source.url:
            return {**about, "url": source.url}
        data = source.data or ""
        payload = _payload_bytes(source.type, data)
        about["bytes"] = len(payload)
        if len(payload) <= INLINE_BYTES_MAX:
            return {**about, "text" if source.type == "text" else "base64": data}
        return {**about, "blob": self._parser.blobs.put(payload).digest}

    def _unknown_part(self, whose: str, number: int, part: Content) -> Event:
        """A part that we do not know, as it stands in its record."""
        self._count_unknown(f"{whose}/{part.type or NO_TYPE}", 0)
        return self._event(Kind.PROVIDER_RAW, "", data=self._kept(self._part(number)))

    def _part(self, number: int) -> bytes:
        if self._raw_parts is None:
            self._raw_parts = raw_parts(self._line)
        return self._nth(self._raw_parts, number)

    def _nth(self, raws: list[Raw], number: int) -> bytes:
        """The whole record where its parts cannot be told apart: a name in it is no text."""
        return bytes(raws[number]) if number < len(raws) else self._line


def _is_skipped(record: Record) -> bool:
    return record.type in SKIPPED_TYPES or (
        record.type == "progress" and _progress_type(record) in SKIPPED_PROGRESS
    )


def _payload_of(part: Content) -> Payload | None:
    source = part.source
    if part.type in PAYLOADS and isinstance(source, Payload) and (source.data or source.url):
        return source
    return None


def _first_facts(log: Log) -> Facts:
    return Facts(
        id=session_id(AGENT, log.agent_session_id),
        agent=AGENT,
        agent_session_id=log.agent_session_id,
        parent=session_id(AGENT, log.parent) if log.parent else "",
    )


def _remember(memory: dict[str, Any], key: str, value: object, most: int) -> None:
    if 0 < len(key) <= 2 * NAME_CHARS_MAX:
        memory[key] = value
    if len(memory) > most:
        del memory[next(iter(memory))]


def _progress_type(record: Record) -> str:
    """A third of all records are progress, and nearly all name their type first."""
    head = bytes(memoryview(record.data)[:PROGRESS_HEAD_BYTES])
    name, quote, _rest = head.removeprefix(_TYPE_FIRST).partition(b'"')
    if quote and name in _SKIPPED_NAMES and head.startswith(_TYPE_FIRST):
        return name.decode()
    return tolerant(read_progress, record.data, Progress()).type or ""


def _payload_bytes(kind: str | None, data: str) -> bytes:
    """What the text stands for; the text itself where it is not what it says."""
    if kind != "text":
        try:
            return binascii.a2b_base64(data, strict_mode=True)
        except ValueError:
            pass
    return data.encode()
