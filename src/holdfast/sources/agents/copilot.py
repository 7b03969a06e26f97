"""GitHub Copilot CLI: `<root>/session-state/<session>/events.jsonl`, earlier `<session>.jsonl`.

A record is `{type, data, id, parentId, timestamp, agentId?}`. Traps, each with its test: a tool's
call stands in the message that asks for it and again where it starts; what a message's reasoning
says may have been a record of its own; a message tells only its output, and the shutdown of each
run tells all of it again, input with what came from the cache; subagents speak in the same file,
and their records carry `agentId` or, before that, `parentToolCallId`.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Final

import msgspec
from msgspec import Raw, Struct, field

from holdfast.events import EMPTY, Actor, Event, Kind
from holdfast.journal.model import TitleRank
from holdfast.sources.base import BlobSink, Log, Place
from holdfast.sources.folders import FolderSource, place_of
from holdfast.sources.loose import (
    NOTHING,
    Tokens,
    fields_of,
    is_there,
    items_of,
    read_text,
    record_fields,
    take_apart,
    tolerant,
)
from holdfast.sources.mending import clean
from holdfast.sources.payloads import Payload, stored, without_payloads
from holdfast.sources.telling import (
    FEW_PARTS,
    NAME_CHARS_MAX,
    NO_TYPE,
    PARTS_MAX,
    LineParser,
    Memory,
    Teller,
    Telling,
    Told,
)
from holdfast.sources.tools import ToolCall, ToolResult, brief

AGENT: Final = "copilot"
EVENTS_FILE: Final = "events.jsonl"

# What other records say as well, or what only a screen needed.
SKIPPED_TYPES: Final = frozenset(
    {
        "assistant.idle",
        "assistant.message_delta",
        "assistant.message_start",
        "assistant.reasoning_delta",
        "assistant.streaming_delta",
        "assistant.tool_call_delta",
        "assistant.turn_end",
        "assistant.turn_start",
        "hook.progress",
        "hook.start",
        "pending_messages.modified",
        "session.idle",
        "session.usage_info",
        "tool.execution_partial_result",
        "tool.execution_progress",
    }
)
INFO_TYPES: Final = frozenset(
    {
        "abort",
        "assistant.intent",
        "assistant.usage",
        "command.completed",
        "command.execute",
        "command.queued",
        "hook.end",
        "permission.completed",
        "permission.requested",
        "session.auto_mode_resolved",
        "session.compaction_start",
        "session.context_changed",
        "session.error",
        "session.handoff",
        "session.info",
        "session.mode_changed",
        "session.model_change",
        "session.permissions_changed",
        "session.plan_changed",
        "session.remote_steerable_changed",
        "session.resume",
        "session.session_limits_changed",
        "session.shutdown",
        "session.snapshot_rewind",
        "session.task_complete",
        "session.todos_changed",
        "session.usage_checkpoint",
        "session.warning",
        "session.workspace_file_changed",
        "skill.invoked",
        "subagent.completed",
        "subagent.configured",
        "subagent.deselected",
        "subagent.failed",
        "subagent.selected",
        "subagent.started",
    }
)
_USERS_SOURCES: Final = ("", "user", "command")

_encode = msgspec.json.Encoder().encode


class Context(Struct, rename="camel"):
    cwd: str | None = None
    branch: str | None = None


class ToolRequest(Struct, rename="camel"):
    tool_call_id: str | None = None
    name: str | None = None
    arguments: Raw = NOTHING


class Spent(Struct, rename="camel"):
    input_tokens: Tokens = None
    output_tokens: Tokens = None
    cache_read_tokens: Tokens = None
    cache_write_tokens: Tokens = None


class ModelMetric(Struct):
    usage: Spent | None = None


class TokenDetail(Struct, rename="camel"):
    token_count: Tokens = None


class ToolOutput(Struct, rename="camel"):
    content: str | None = None
    detailed_content: str | None = None
    contents: list[Raw] | None = None


class Failure(Struct):
    message: str | None = None


class Block(Struct, rename="camel"):
    """One part of a tool's output, or one attachment of a prompt, that has bytes of its own."""

    type: str | None = None
    data: str | None = None
    mime_type: str | None = None


class Data(Struct, rename="camel"):
    """The fields of all types of records: no two types mean different things by one of these."""

    content: str | None = None
    transformed_content: str | None = None
    attachments: list[Raw] | None = None
    source: str | None = None
    model: str | None = None
    tool_requests: list[ToolRequest] | None = None
    reasoning_text: str | None = None
    output_tokens: Tokens = None
    message_id: str | None = None
    api_call_id: str | None = None
    parent_tool_call_id: str | None = None
    tool_call_id: str | None = None
    tool_name: str | None = None
    arguments: Raw = NOTHING
    success: bool | None = None
    result: Raw = NOTHING
    error: Raw = NOTHING
    context: Context | None = None
    cwd: str | None = None
    branch: str | None = None
    selected_model: str | None = None
    new_model: str | None = None
    current_model: str | None = None
    copilot_version: str | None = None
    model_metrics: dict[str, ModelMetric] | None = None
    token_details: dict[str, TokenDetail] | None = None
    summary_content: str | None = None
    message: str | None = None
    summary: str | None = None
    reason: str | None = None
    name: str | None = None
    agent_display_name: str | None = None
    intent: str | None = None
    title: str | None = None
    question: str | None = None
    choices: list[str] | None = None
    plan_content: str | None = None
    answer: str | None = None


class Envelope(Struct):
    type: str | None = None
    uuid: str | None = field(default=None, name="id")
    parent_uuid: str | None = field(default=None, name="parentId")
    timestamp: str | None = None
    agent: str | None = field(default=None, name="agentId")
    cwd: str | None = None  # this one and the next three are filled in from the data
    git_branch: str | None = None
    version: str | None = None
    is_sidechain: bool | None = None


class Record(Envelope):
    data: Data | None = None


class CopilotMemory(Memory):
    run_output: int = 0  # tokens that messages have told since the last shutdown
    shutdown: str = ""  # the last one that was counted
    reasoning: str = ""  # digest of what was thought last


_read_record: Final = msgspec.json.Decoder(Record).decode
_read_envelope: Final = msgspec.json.Decoder(Envelope).decode
_read_output: Final = msgspec.json.Decoder(ToolOutput).decode
_read_failure: Final = msgspec.json.Decoder(Failure).decode
_read_block: Final = msgspec.json.Decoder(Block).decode


class Agent(FolderSource):
    """Finds Copilot's logs below its roots."""

    agent = AGENT
    name = "Copilot CLI"
    inside = ("session-state",)
    variables = ("COPILOT_HOME",)

    @classmethod
    def default_place(cls, environ: Mapping[str, str]) -> Place:
        return place_of(environ, "COPILOT_HOME", "~/.copilot")

    def enters(self, folder: str) -> bool:
        """Sessions' own folders; what lies in folders below them is not the agent's log."""
        return any(
            folder[len(root) :].count("/") <= 1
            for root in self.roots()
            if folder == root or folder.startswith(root + "/")
        )

    def log_at(self, root: str, path: str) -> Log | None:
        folder, _, name = path[len(root) + 1 :].rpartition("/")
        if folder and "/" not in folder and name == EVENTS_FILE:
            return Log(AGENT, path, root, folder)
        return None if folder else Log(AGENT, path, root, name.removesuffix(".jsonl"))

    def parser(self, log: Log, state: bytes, blobs: BlobSink) -> CopilotParser:
        return CopilotParser(log, state, blobs)


class CopilotParser(LineParser[Record, CopilotMemory]):
    agent = AGENT
    memory_type = CopilotMemory

    def read(self, line: bytes) -> Record:
        return _read_record(line)

    def understood(self, line: bytes) -> Record | None:
        fields = record_fields(line)
        if fields is None:
            return None
        record = take_apart(fields, Record)
        if record.data is None and "data" in fields:
            record.data = take_apart(fields_of(fields["data"]), Data)
        return record

    def outline(self, line: bytes) -> Envelope:
        return tolerant(_read_envelope, Raw(line), Envelope())

    def is_skipped(self, record: Record) -> bool:
        return record.type in SKIPPED_TYPES

    def telling(self, record: Record, offset: int, line: bytes) -> Telling:
        data = record.data or Data()
        context = data.context or Context(data.cwd, data.branch)
        record.cwd, record.git_branch = context.cwd, context.branch
        record.version = data.copilot_version
        record.is_sidechain = bool(record.agent or data.parent_tool_call_id)
        return _Telling(self, record, data, offset, line)


class _Telling(Telling):
    """One record on its way to events."""

    __slots__ = ("_copilot", "_data")

    def __init__(
        self, parser: CopilotParser, record: Record, data: Data, offset: int, line: bytes
    ) -> None:
        teller: Teller = parser
        super().__init__(teller, record, offset, line)
        self._copilot = parser.memory
        self._data = data

    def told(self) -> Told:
        data, kind = self._data, self.about.type or ""
        self._learn_model()
        if max(len(data.tool_requests or ()), len(data.attachments or ())) > FEW_PARTS:
            if max(len(data.tool_requests or ()), len(data.attachments or ())) > PARTS_MAX:
                return self.raw(f"{kind} (too many parts)")
            self.shorten()
        match kind:
            case "user.message":
                return "parsed", self._user()
            case "assistant.message":
                return "parsed", self._assistant() or [self.info(kind)]
            case "assistant.reasoning":
                self._copilot.reasoning = _digest(data.content or "")
                return "parsed", [self._thinking(data.content or "")]
            case "tool.execution_start" | "tool.user_requested":
                return self._tool_start(kind)
            case "tool.execution_complete":
                return "parsed", [self._tool_result()]
            case "system.message" | "system.notification":
                return "parsed", [self.event(Kind.SYSTEM, data.content or "")]
            case "session.start":
                return "parsed", [self.event(Kind.SESSION_STARTED, "", data=self.whole())]
            case "session.title_changed":
                self.titled(data.title or "", TitleRank.AGENT)
                return "parsed", [self.event(Kind.SESSION_TITLED, data.title or "")]
            case "session.compaction_complete" | "session.truncation":
                return "parsed", self._compacted()
            case "user_input.requested" | "exit_plan_mode.requested":
                return "parsed", [self._proposed()]
            case "user_input.completed" | "exit_plan_mode.completed":
                words = data.answer or ""
                event = self.event(Kind.DECISION_ACCEPTED, words, actor="user", data=self.whole())
                return "parsed", [event]
        if kind not in INFO_TYPES:
            return self.raw(kind or NO_TYPE)
        if kind == "session.shutdown":
            self._count_run()
        return "parsed", [self.info(kind, self._remark())]

    def _learn_model(self) -> None:
        data = self._data
        model = data.selected_model or data.new_model or data.current_model or data.model
        if model and not self.sidechain:
            self.memory.facts.model = model[:NAME_CHARS_MAX]

    def _remark(self) -> str:
        data = self._data
        failure = tolerant(read_text, data.error, "")
        return (
            data.message
            or data.summary
            or data.reason
            or data.agent_display_name
            or data.name
            or data.intent
            or failure
        )

    # What people and programs say.

    def _user(self) -> list[Event]:
        data, words = self._data, self._data.content or ""
        if (data.source or "").partition("-")[0] not in _USERS_SOURCES:
            said = self.event(Kind.SYSTEM, words, data=Raw(_encode({"source": data.source})))
        else:
            said = self.said(words)
        return [said, *map(self._attachment, data.attachments or ())]

    def _attachment(self, raw: Raw) -> Event:
        block = tolerant(_read_block, raw, Block())
        if block.data:
            payload = Payload("base64", block.mime_type, block.data)
            return self.payload(block.type or "blob", payload, "user")
        return self.event(Kind.PROVIDER_INFO, "attachment", data=self.kept(bytes(raw)))

    def _proposed(self) -> Event:
        data = self._data
        lines = [data.question or data.plan_content or data.summary or ""]
        lines += [f"- {choice}" for choice in (data.choices or ())[:PARTS_MAX]]
        words = "\n".join(lines)
        return self.event(
            Kind.DECISION_PROPOSED, words, actor="assistant", data=self._figures("question")
        )

    # What the agent says and does.

    def _assistant(self) -> list[Event]:
        data = self._data
        self._count_output(data.output_tokens)
        thought, events = data.reasoning_text, list[Event]()
        if thought and _digest(thought) != self._copilot.reasoning:
            events.append(self._thinking(thought))
        self._copilot.reasoning = ""
        model = (data.model or "")[:NAME_CHARS_MAX]
        if data.content:
            said = self.event(Kind.ASSISTANT, data.content, actor="assistant", model=model)
            events.append(said)
        return events + [self._asked(request, model) for request in data.tool_requests or ()]

    def _thinking(self, words: str) -> Event:
        return self.event(Kind.THINKING, words, actor="assistant")

    def _asked(self, request: ToolRequest, model: str) -> Event:
        identity = request.tool_call_id or ""
        self.await_result(identity, request.name or "tool")
        return self._call(identity, request.name or "tool", request.arguments, model)

    def _call(
        self, identity: str, name: str, raw: Raw, model: str = "", actor: Actor = "assistant"
    ) -> Event:
        given = _unwrapped(raw) if is_there(raw) else EMPTY
        data = Raw(_encode(ToolCall(identity, name, given)))
        return self.event(Kind.TOOL_CALL, brief(name, given), actor=actor, data=data, model=model)

    def _tool_start(self, kind: str) -> Told:
        """Said before by the message that asked for it, unless nobody but the user did."""
        data = self._data
        identity, name = data.tool_call_id or "", data.tool_name or "tool"
        if identity in self.memory.awaited:
            return "skipped", []
        self.await_result(identity, name)
        actor: Actor = "user" if kind == "tool.user_requested" else "assistant"
        return "parsed", [self._call(identity, name, data.arguments, actor=actor)]

    def _tool_result(self) -> Event:
        data = self._data
        output = tolerant(_read_output, data.result, ToolOutput())
        failure = tolerant(_read_failure, data.error, Failure()).message
        identity = data.tool_call_id or ""
        text = output.content or failure or output.detailed_content or ""
        result = ToolResult(
            identity, self.awaited(identity) or data.tool_name or "", data.success is False
        )
        if output.detailed_content and output.detailed_content != text:
            detail = {"type": "detailed", "text": output.detailed_content}
            result.others.append(Raw(_encode(detail)))
        for raw in (output.contents or ())[:PARTS_MAX]:
            self._add_part(result, raw)
        if is_there(data.result) and not (text or result.others or result.images):
            result.others.append(self.kept(bytes(data.result)))
        return self.event(Kind.TOOL_RESULT, text, actor="tool", data=Raw(_encode(result)))

    def _add_part(self, result: ToolResult, raw: Raw) -> None:
        block = tolerant(_read_block, raw, Block())
        if block.data:
            payload = Payload("base64", block.mime_type, block.data)
            result.images.append(stored(payload, self.parser.blobs))
        elif block.type != "text":  # the content says it already
            result.others.append(without_payloads(bytes(raw), self.parser.blobs))

    # What the program around the conversation says.

    def _compacted(self) -> list[Event]:
        summary = self._data.summary_content
        events = [self.event(Kind.SESSION_COMPACTED, "", data=self._figures("summaryContent"))]
        if summary:
            events.append(self.event(Kind.SESSION_SUMMARIZED, summary))
        return events

    def _figures(self, but: str) -> Raw:
        """The record's data without the text that its event has."""
        data = fields_of(fields_of(Raw(self.line)).get("data", NOTHING))
        data.pop(but, None)
        return clean(_encode(data))

    def _count_output(self, output: int | None) -> None:
        """All that a message tells; pieces of one message tell it again."""
        before = self.memory.requests
        key = self._data.api_call_id or self._data.message_id or self.about.uuid or ""
        counted = before[key][1] if key in before else 0
        self.count_tokens(key, output=output)
        self._copilot.run_output += max(0, (output or 0) - counted)

    def _count_run(self) -> None:
        """What a whole run has spent: its input, and the output that no message has told."""
        if (self.about.uuid or "-") == self._copilot.shutdown:
            return
        fresh, output, cached, written = self._spent()
        self.count_tokens(
            "",
            fresh=fresh,
            output=max(0, output - self._copilot.run_output),
            cache_read=cached,
            cache_write=written,
        )
        self._copilot.run_output = 0
        self._copilot.shutdown = (self.about.uuid or "")[:NAME_CHARS_MAX]

    def _spent(self) -> tuple[int, int, int, int]:
        """Input, output, read from the cache, written to it; metrics count the cache as input."""
        metrics = (self._data.model_metrics or {}).values()
        run = [metric.usage for metric in metrics if metric.usage is not None]
        if not run:
            details = self._data.token_details or {}
            names = ("input", "output", "cache_read", "cache_write")
            fresh, output, cached, written = (
                details.get(name, TokenDetail()).token_count or 0 for name in names
            )
            return fresh, output, cached, written
        cached = sum(each.cache_read_tokens or 0 for each in run)
        written = sum(each.cache_write_tokens or 0 for each in run)
        taken = sum(each.input_tokens or 0 for each in run)
        output = sum(each.output_tokens or 0 for each in run)
        fresh = taken - cached - written if taken >= cached + written else taken
        return fresh, output, cached, written


def _unwrapped(raw: Raw) -> Raw:
    """Arguments as they were meant: some versions write them as a text that holds JSON."""
    text = tolerant(read_text, raw, "")
    if text.startswith("{") and items_of(Raw(f"[{text}]".encode())):
        return clean(text.encode())
    return clean(bytes(raw))


def _digest(words: str) -> str:
    return blake2b(words.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
