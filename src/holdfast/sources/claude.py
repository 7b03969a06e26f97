"""Claude Code: `<root>/projects/<folder of the cwd>/<session>.jsonl`, subagents in folders below.

What is known to be worth nothing later is skipped and counted: file-history snapshots point into a
cache that the agent deletes, `last-prompt` repeats the prompt, and the progress of a running tool
is superseded by its result. Signatures of thinking blocks and the second copy of each tool result
are left out of the events for the same reason.

Traps, each with its test: one reply streams as several lines with the same usage; forks replay
lines under the same uuids; wrappers such as `<system-reminder>` are not the user's words; a
compaction's summary comes as a user's record; answers to AskUserQuestion stand in `toolUseResult`.
"""

from __future__ import annotations

import binascii
import os
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Raw

from holdfast.events import EMPTY, Actor, Event, Kind, Origin, Usage, session_id
from holdfast.journal.model import NO_USAGE, Facts, TitleRank, Verdict
from holdfast.sources.base import BlobSink, Log
from holdfast.sources.claude_records import (
    ApiUsage,
    Attachment,
    Content,
    ImageSource,
    Progress,
    QuestionInput,
    Record,
    ToolInput,
    ToolUseResult,
)

T = TypeVar("T")

AGENT: Final = "claude"
TITLE_CHARS: Final = 100
BRIEF_CHARS: Final = 400
REMEMBERED_REQUESTS: Final = 16
REMEMBERED_TOOLS: Final = 64
IMAGE_INLINE_BYTES_MAX: Final = 2_048  # larger images go beside the journal

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
    "ai-title": ("aiTitle", TitleRank.AGENT),
    "custom-title": ("customTitle", TitleRank.PERSON),
}

_WRAPPERS: Final = re.compile(
    r"<(system-reminder|ide_opened_file|ide_selection|ide_diagnostics|local-command-stdout|"
    r"local-command-stderr|local-command-caveat|command-message|command-contents|bash-stdout|"
    r"bash-stderr|task-notification|user-prompt-submit-hook|session-start-hook|"
    r"post-tool-use-hook|user-memory-input|new-diagnostics)>.*?(?:</\1>|\Z)\s*",
    re.DOTALL,
)
_COMMAND: Final = re.compile(
    r"\s*<command-name>(.*?)</command-name>\s*(?:<command-args>(.*?)</command-args>)?\s*", re.DOTALL
)
_BASH_INPUT: Final = re.compile(r"\s*<bash-input>(.*?)</bash-input>\s*", re.DOTALL)

_record = msgspec.json.Decoder(Record).decode
_tool_input = msgspec.json.Decoder(ToolInput).decode
_question_input = msgspec.json.Decoder(QuestionInput).decode
_tool_use_result = msgspec.json.Decoder(ToolUseResult).decode
_attachment = msgspec.json.Decoder(Attachment).decode
_progress = msgspec.json.Decoder(Progress).decode
_anything = msgspec.json.Decoder().decode
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


class ClaudeSource:
    """Finds Claude Code's logs below its roots."""

    agent = AGENT

    def __init__(self, roots: Sequence[str]) -> None:
        self._roots = [os.path.realpath(os.path.expanduser(root)) for root in roots]

    @classmethod
    def from_environment(
        cls, configured: Sequence[str], environ: Mapping[str, str]
    ) -> ClaudeSource:
        return cls(configured or [environ.get("CLAUDE_CONFIG_DIR") or "~/.claude"])

    def roots(self) -> list[str]:
        return [os.path.join(root, "projects") for root in self._roots]

    def suffixes(self) -> tuple[str, ...]:
        return (".jsonl",)

    def identify(self, path: str) -> Log | None:
        if not path.endswith(".jsonl"):
            return None
        for root in self.roots():
            if path.startswith(root + "/"):
                return _identify(path, root)
        return None

    def parser(self, log: Log, state: bytes, blobs: BlobSink) -> ClaudeParser:
        return ClaudeParser(log, state, blobs)


def _identify(path: str, root: str) -> Log:
    """`<project>/<session>.jsonl`, or a subagent's `<project>/<session>/subagents/…/<name>.jsonl`."""
    parts = path[len(root) + 1 : -len(".jsonl")].split("/")
    if len(parts) <= 2:  # project and session
        return Log(AGENT, path, root, parts[-1])
    parent = parts[1]
    rest = [part for part in parts[2:] if part != "subagents"]
    return Log(AGENT, path, root, "/".join([parent, *rest]), parent)


class ClaudeParser:
    """Turns the records of one log into events."""

    def __init__(self, log: Log, state: bytes, blobs: BlobSink) -> None:
        self._log = log
        self.blobs = blobs
        self.relative = log.relative
        self.memory = _state_decoder.decode(state) if state else _State(_first_facts(log))
        self.facts = self.memory.facts
        self.unknown: dict[str, tuple[int, int]] = {}

    def state(self) -> bytes:
        return _state_encoder.encode(self.memory)

    def parse(self, offset: int, line: bytes) -> tuple[Verdict, list[Event]]:
        try:
            record = _record(line)
        except msgspec.ValidationError:
            return self._misshapen(offset, line)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return ("skipped" if not line.strip() else "bad"), []
        try:
            if record.type in SKIPPED_TYPES or (
                record.type == "progress" and _progress_type(record) in SKIPPED_PROGRESS
            ):
                return "skipped", []
            return _Reading(self, record, offset, line).events()
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return self._misshapen(offset, line)

    def _misshapen(self, offset: int, line: bytes) -> tuple[Verdict, list[Event]]:
        """Valid JSON that is not a record as we know them: kept raw if it is an object."""
        try:
            value = _anything(line)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return "bad", []
        if not isinstance(value, dict):
            return "bad", []
        kind = value.get("type")
        name = kind if isinstance(kind, str) and kind else "(no type)"
        record = Record(type=name)
        for field in ("uuid", "timestamp", "cwd"):
            given = value.get(field)
            if isinstance(given, str):
                setattr(record, field, given)
        return _Reading(self, record, offset, line).raw(f"{name} (unfamiliar shape)")


class _Reading:
    """One record on its way to events."""

    __slots__ = ("_at", "_line", "_offset", "_origin", "_parser", "_record", "_state", "_usage")

    def __init__(self, parser: ClaudeParser, record: Record, offset: int, line: bytes) -> None:
        self._parser = parser
        self._record = record
        self._offset = offset
        self._line = line
        self._state = state = parser.memory
        self._at = _instant(record.timestamp) or state.last_at
        self._origin = Origin(
            AGENT,
            parser.relative,
            offset,
            record.uuid or "",
            record.parentUuid or "",
        )
        self._usage: Usage | None = None

    def events(self) -> tuple[Verdict, list[Event]]:
        kind = self._record.type
        self._learn()
        if kind == "assistant" and self._record.message is not None:
            return "parsed", self._assistant()
        if kind == "user" and self._record.message is not None:
            return "parsed", self._user()
        if kind == "progress":
            return self._progress()
        if kind == "system":
            return self._system()
        if kind == "attachment":
            return "parsed", [self._attachment()]
        if kind in TITLE_FIELDS:
            return self._title(*TITLE_FIELDS[kind])
        if kind in INFO_TYPES:
            return "parsed", [self._info(kind)]
        return self.raw(kind or "(no type)")

    def raw(self, name: str) -> tuple[Verdict, list[Event]]:
        """Kept as it is, and counted under its name."""
        records, size = self._parser.unknown.get(name, (0, 0))
        self._parser.unknown[name] = (records + 1, size + len(self._line))
        return "unknown", [self._event(Kind.PROVIDER_RAW, "", data=Raw(self._line.strip()))]

    def _learn(self) -> None:
        """What the record says about its session, whatever else it says."""
        record, state, facts = self._record, self._state, self._state.facts
        if record.timestamp:
            state.last_at = self._at
            if not facts.started_at or self._at < facts.started_at:
                facts.started_at = self._at
            facts.updated_at = max(facts.updated_at, self._at)
        if record.uuid and not facts.first_uuid:
            facts.first_uuid = record.uuid
        if record.cwd:
            facts.cwd = record.cwd
            facts.project = facts.project or record.cwd
        if record.gitBranch:
            facts.branch = record.gitBranch
        if record.version:
            facts.agent_version = record.version

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
            branch=record.gitBranch or "",
            sidechain=bool(record.isSidechain),
            usage=usage,
        )

    def _info(self, name: str, text: str = "") -> Event:
        return self._event(Kind.PROVIDER_INFO, text or name, data=Raw(self._line.strip()))

    # What people and tools say.

    def _user(self) -> list[Event]:
        message = self._record.message
        assert message is not None
        content = message.content
        if isinstance(content, str):
            return [self._said(content)]
        return [self._user_part(part) for part in content or ()]

    def _user_part(self, part: Content) -> Event:
        if part.type == "text":
            return self._said(part.text or "")
        if part.type == "tool_result":
            return self._tool_result(part)
        if part.type in ("image", "document") and part.source is not None:
            return self._payload(part.type, part.source, "user")
        return self._unknown_part("user", part)

    def _said(self, content: str) -> Event:
        record, state = self._record, self._state
        if record.isCompactSummary:
            return self._event(Kind.SESSION_SUMMARIZED, content)
        words = _own_words(content)
        if record.isMeta or not words:
            return self._event(Kind.SYSTEM, content)
        if not record.isSidechain or state.facts.parent:
            state.turn += 1
        self._title_from_prompt(words)
        data = EMPTY if words == content else Raw(_encode({"original": content}))
        return self._event(Kind.USER, words, actor="user", data=data)

    def _title_from_prompt(self, words: str) -> None:
        facts = self._state.facts
        if facts.title_rank < TitleRank.PROMPT and not words.startswith("/"):
            facts.title = _one_line(words, TITLE_CHARS)
            facts.title_rank = TitleRank.PROMPT

    def _tool_result(self, part: Content) -> Event:
        text = _text_of(part.content)
        identity = part.tool_use_id or ""
        name = self._state.awaited.pop(identity, "")
        result = _ToolResult(identity, name, bool(part.is_error))
        kind = Kind.TOOL_RESULT
        if name and not part.is_error:
            more = self._second_copy()
            result.agent = more.agentId or ""
            result.answers = more.answers
            if name in ("AskUserQuestion", "ExitPlanMode"):
                kind = Kind.DECISION_ACCEPTED
                text = _answers(more) or text
        images = [each for each in _parts(part.content) if each.source and each.type == "image"]
        data = msgspec.to_builtins(result)
        if images:
            data["images"] = [self._stored(each.source) for each in images if each.source]
        actor: Actor = "user" if kind == Kind.DECISION_ACCEPTED else "tool"
        return self._event(kind, text, actor=actor, data=Raw(_encode(data)))

    def _second_copy(self) -> ToolUseResult:
        raw = self._record.toolUseResult
        if bytes(memoryview(raw)[:1]) != b"{":
            return ToolUseResult()
        try:
            return _tool_use_result(raw)
        except msgspec.ValidationError:
            return ToolUseResult()

    # What the agent says and does.

    def _assistant(self) -> list[Event]:
        message = self._record.message
        assert message is not None
        model = message.model or ""
        if model and not model.startswith("<"):
            self._state.facts.model = model
        self._count_tokens(message.usage, message.id or "")
        content = message.content
        if isinstance(content, str):
            return [self._event(Kind.ASSISTANT, content, actor="assistant", model=model)]
        return [self._assistant_part(part, model) for part in content or ()]

    def _assistant_part(self, part: Content, model: str) -> Event:
        if part.type == "text":
            return self._event(Kind.ASSISTANT, part.text or "", actor="assistant", model=model)
        if part.type == "thinking":
            return self._event(Kind.THINKING, part.thinking or "", actor="assistant", model=model)
        if part.type == "redacted_thinking":
            data = Raw(b'{"redacted":true}')
            return self._event(Kind.THINKING, "", actor="assistant", data=data, model=model)
        if part.type in ("tool_use", "server_tool_use", "mcp_tool_use"):
            return self._tool_call(part, model)
        if part.type == "image" and part.source is not None:
            return self._payload(part.type, part.source, "assistant")
        return self._unknown_part("assistant", part)

    def _tool_call(self, part: Content, model: str) -> Event:
        name = part.name or "tool"
        given = part.input if _is_there(part.input) else EMPTY
        kind, text = Kind.TOOL_CALL, _brief(name, given)
        if name in ("AskUserQuestion", "ExitPlanMode"):
            kind = Kind.DECISION_PROPOSED
            text = _proposal(name, given) or text
        if name in ("AskUserQuestion", "ExitPlanMode", "Task", "Agent"):
            _remember(self._state.awaited, part.id or "", name, REMEMBERED_TOOLS)
        data = Raw(_encode(_ToolCall(part.id or "", name, given)))
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
        key = f"{message}/{self._record.requestId or ''}"
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
        text = _string(self._record.content)
        if subtype in COMPACTED_SUBTYPES:
            event = self._event(Kind.SESSION_COMPACTED, text, data=Raw(self._line.strip()))
        elif subtype == "session_start":
            event = self._event(Kind.SESSION_STARTED, text, data=Raw(self._line.strip()))
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
            return "parsed", [self._event(Kind.PROVIDER_INFO, kind, data=self._record.data)]
        return self.raw(f"progress/{kind}")

    def _attachment(self) -> Event:
        raw = self._record.attachment
        if not _is_there(raw):
            return self._info("attachment")
        attachment = _tolerant(_attachment, raw, Attachment())
        if attachment.type == "queued_command" and attachment.commandMode in (None, "prompt"):
            words = _own_words(_text_of(attachment.prompt))
            if words:
                self._state.turn += 1
                return self._event(Kind.USER, words, actor="user", data=raw)
        return self._event(Kind.PROVIDER_INFO, attachment.type, data=raw)

    def _title(self, field: str, rank: TitleRank) -> tuple[Verdict, list[Event]]:
        title = getattr(self._record, field) or ""
        facts = self._state.facts
        if title and rank >= facts.title_rank:
            facts.title = _one_line(title, TITLE_CHARS)
            facts.title_rank = rank
        return "parsed", [self._event(Kind.SESSION_TITLED, title)]

    # Parts of messages that are no text.

    def _payload(self, kind: str, source: ImageSource, actor: Actor) -> Event:
        stored = {"type": kind, **self._stored(source)}
        what = f"[{kind}: {stored['media_type'] or 'unknown type'}, {stored['bytes']:,} bytes]"
        event_kind = Kind.USER if actor == "user" else Kind.ASSISTANT
        return self._event(event_kind, what, actor=actor, data=Raw(_encode(stored)))

    def _stored(self, source: ImageSource) -> dict[str, Any]:
        """A payload as its place beside the journal; small ones stay with their event."""
        about: dict[str, Any] = {"media_type": source.media_type, "bytes": 0}
        if source.url:
            return {**about, "url": source.url}
        try:
            payload = binascii.a2b_base64(source.data)
        except binascii.Error:
            payload = source.data.encode()
        about["bytes"] = len(payload)
        if len(payload) <= IMAGE_INLINE_BYTES_MAX:
            return {**about, "base64": source.data}
        return {**about, "blob": self._parser.blobs.put(payload).digest}

    def _unknown_part(self, whose: str, part: Content) -> Event:
        name = f"{whose}/{part.type or '(no type)'}"
        records, size = self._parser.unknown.get(name, (0, 0))
        self._parser.unknown[name] = (records + 1, size)
        return self._event(Kind.PROVIDER_RAW, "", data=Raw(self._line.strip()))


def _first_facts(log: Log) -> Facts:
    return Facts(
        id=session_id(AGENT, log.agent_session_id),
        agent=AGENT,
        agent_session_id=log.agent_session_id,
        parent=session_id(AGENT, log.parent) if log.parent else "",
    )


def _remember(memory: dict[str, Any], key: str, value: object, most: int) -> None:
    memory[key] = value
    if len(memory) > most:
        del memory[next(iter(memory))]


def _instant(timestamp: str | None) -> str:
    """A time as events write it; "" for none, or one that nobody can read."""
    if not timestamp:
        return ""
    if len(timestamp) == 24 and timestamp[-1] == "Z" and timestamp[10] == "T":
        return timestamp
    try:
        moment = datetime.fromisoformat(timestamp)
    except ValueError:
        return ""
    moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _own_words(content: str) -> str:
    """What the user typed, without what programs put around it."""
    if "<" not in content:
        return content
    words = _WRAPPERS.sub("", content)
    words = _COMMAND.sub(lambda found: f"{found[1]} {found[2] or ''}".strip(), words)
    words = _BASH_INPUT.sub(lambda found: f"! {found[1]}", words)
    return words if words == content else words.strip()


def _one_line(text: str, most: int) -> str:
    line = " ".join(text[: most * 4].split())
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"


def _parts(content: str | list[Content] | None) -> list[Content]:
    return content if isinstance(content, list) else []


def _text_of(content: str | list[Content] | None) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(part.text for part in content or () if part.text)


def _progress_type(record: Record) -> str:
    data = record.data
    return _tolerant(_progress, data, Progress()).type if _is_there(data) else ""


def _is_there(raw: Raw) -> bool:
    return len(memoryview(raw)) > 0


def _string(raw: Raw) -> str:
    if not _is_there(raw):
        return ""
    value = _anything(raw)
    return value if isinstance(value, str) else ""


def _tolerant(decode: Callable[[Raw], T], raw: Raw, fallback: T) -> T:
    try:
        return decode(raw)
    except msgspec.ValidationError:
        return fallback


def _brief(name: str, given: Raw) -> str:
    """A line that says what a tool was asked: enough to read and to search."""
    asked = _tolerant(_tool_input, given, ToolInput())
    what = (
        asked.command
        or asked.file_path
        or asked.pattern
        or asked.query
        or asked.url
        or asked.path
        or asked.skill
        or asked.description
        or asked.prompt
        or ""
    )
    return f"{name}: {what[:BRIEF_CHARS]}" if what else name


def _proposal(name: str, given: Raw) -> str:
    if name == "ExitPlanMode":
        return _tolerant(_tool_input, given, ToolInput()).plan or ""
    lines = []
    for question in _tolerant(_question_input, given, QuestionInput()).questions:
        lines.append(question.question)
        lines += [f"- {option.label}" for option in question.options]
    return "\n".join(lines)


def _answers(result: ToolUseResult) -> str:
    lines = []
    for question, answer in (result.answers or {}).items():
        chosen = answer if isinstance(answer, str) else ", ".join(answer)
        lines.append(f"{question} -> {chosen}")
    return "\n".join(lines)
