"""Qwen Code: `<root>/projects/<folder of the cwd>/chats/<session>.jsonl`, subagents beside them.

Traps, each with its test: a prompt goes to the model with more around it than the person typed, and
`displayText` has what was typed; tokens of a prompt include those from the cache, and tokens of
thought may or may not be among those of the answer; `ui_telemetry` repeats figures and calls that
other records have; a fork copies the records of the session that it comes from and names it in
each; subagents' records carry their parent's session id.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Raw, Struct, field

from holdfast.events import EMPTY, Event, Kind, session_id
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
    About,
    LineParser,
    Memory,
    Telling,
    Told,
    read_outline,
)
from holdfast.sources.tools import ToolCall, ToolResult, brief

AGENT: Final = "qwen"

SKIPPED_SUBTYPES: Final = frozenset({"file_history_snapshot"})
INFO_SUBTYPES: Final = frozenset(
    {
        "agent_bootstrap",
        "agent_launch_prompt",
        "agent_retry",
        "agent_session_ready",
        "at_command",
        "attribution_snapshot",
        "background_task_completed",
        "branch_checkpoint",
        "goal_runtime",
        "goal_state",
        "goal_turn_end",
        "omni_recall",
        "parent_session",
        "rewind",
        "session_approval_mode",
        "session_artifact_event",
        "session_artifact_snapshot",
        "session_execution_engine",
        "session_model",
        "session_notes",
        "session_source",
        "session_sources_snapshot",
        "slash_command",
        "turn_result",
        "user_text_elements",
    }
)
# Not what a person typed, though it comes as a user's record.
PROGRAMS_SUBTYPES: Final = frozenset(
    {"agent_launch_prompt", "cron", "goal_runtime", "notification"}
)
_REMINDER: Final = ("<system-reminder>", "</system-reminder>")

_encode = msgspec.json.Encoder().encode


class Spent(Struct, rename="camel"):
    prompt_token_count: Tokens = None
    candidates_token_count: Tokens = None
    cached_content_token_count: Tokens = None
    thoughts_token_count: Tokens = None
    total_token_count: Tokens = None


class Inline(Struct, rename="camel"):
    data: str | None = None
    mime_type: str | None = None


class FunctionCall(Struct):
    id: str | None = None
    name: str | None = None
    args: Raw = NOTHING


class FunctionResponse(Struct):
    id: str | None = None
    name: str | None = None
    response: Raw = NOTHING
    parts: list[Raw] | None = None


class Part(Struct, rename="camel"):
    text: str | None = None
    thought: bool | None = None
    inline_data: Inline | None = None
    function_call: FunctionCall | None = None
    function_response: FunctionResponse | None = None


class Message(Struct):
    parts: list[Part] | None = None


class CallResult(Struct):
    status: str | None = None


class Fork(Struct, rename="camel"):
    session_id: str | None = None


class Output(Struct):
    """What a tool gave back, in the shapes that most tools use."""

    output: str | None = None
    error: str | None = None


class SystemPayload(Struct, rename="camel"):
    display_text: str | None = None
    custom_title: str | None = None
    title_source: str | None = None
    parent_session_id: str | None = None
    model_id: str | None = None
    raw_command: str | None = None
    phase: str | None = None
    sent_to_model: bool | None = None
    info: Raw = NOTHING
    compressed_history: list[Raw] | None = None
    ui_event: Raw = NOTHING


class UiEvent(Struct):
    name: str | None = field(default=None, name="event.name")


class Record(Struct, rename="camel"):
    type: str | None = None
    subtype: str | None = None
    uuid: str | None = None
    parent_uuid: str | None = None
    timestamp: str | None = None
    cwd: str | None = None
    git_branch: str | None = None
    version: str | None = None
    is_sidechain: bool | None = None
    model: str | None = None
    message: Message | None = None
    usage_metadata: Spent | None = None
    tool_call_result: CallResult | None = None
    system_payload: SystemPayload | None = None
    forked_from: Fork | None = None


_read_record: Final = msgspec.json.Decoder(Record).decode
_read_part: Final = msgspec.json.Decoder(Part).decode
_read_output: Final = msgspec.json.Decoder(Output).decode
_read_ui_event: Final = msgspec.json.Decoder(UiEvent).decode
_read_message: Final = msgspec.json.Decoder(Message).decode


class Agent(FolderSource):
    """Finds Qwen Code's logs below its roots."""

    agent = AGENT
    name = "Qwen Code"
    inside = ("projects",)
    variables = ("QWEN_RUNTIME_DIR", "QWEN_HOME")

    @classmethod
    def default_place(cls, environ: Mapping[str, str]) -> Place:
        if environ.get("QWEN_RUNTIME_DIR"):
            return place_of(environ, "QWEN_RUNTIME_DIR", "")
        return place_of(environ, "QWEN_HOME", "~/.qwen")

    def log_at(self, root: str, path: str) -> Log | None:
        """`<project>/chats/…/<session>.jsonl`, or `<project>/subagents/<session>/<name>.jsonl`."""
        names = path[len(root) + 1 : -len(".jsonl")].split("/")
        if len(names) >= len(("project", "chats", "session")) and names[1] == "chats":
            return Log(AGENT, path, root, names[-1])
        if len(names) == len(("project", "subagents", "session", "name")):
            _project, folder, parent, name = names
            if folder == "subagents":
                return Log(AGENT, path, root, f"{parent}/{name}", parent)
        return None

    def parser(self, log: Log, state: bytes, blobs: BlobSink) -> QwenParser:
        return QwenParser(log, state, blobs)


class QwenParser(LineParser[Record, Memory]):
    agent = AGENT
    memory_type = Memory

    def read(self, line: bytes) -> Record:
        return _read_record(line)

    def understood(self, line: bytes) -> Record | None:
        fields = record_fields(line)
        if fields is None:
            return None
        record = take_apart(fields, Record)
        if record.message is None and "message" in fields:
            parts = items_of(fields_of(fields["message"]).get("parts", NOTHING))
            record.message = Message([_part(raw) for raw in parts])
        if record.system_payload is None and "systemPayload" in fields:
            record.system_payload = take_apart(fields_of(fields["systemPayload"]), SystemPayload)
        return record

    def outline(self, line: bytes) -> About:
        return tolerant(read_outline, Raw(line), About())

    def is_skipped(self, record: Record) -> bool:
        subtype = record.subtype
        if subtype == "ui_telemetry":  # errors are told nowhere else
            payload = record.system_payload or SystemPayload()
            event = tolerant(_read_ui_event, payload.ui_event, UiEvent())
            return not (event.name or "").endswith("error")
        return subtype in SKIPPED_SUBTYPES

    def telling(self, record: Record, offset: int, line: bytes) -> Telling:
        return _Telling(self, record, offset, line)


class _Telling(Telling):
    """One record on its way to events."""

    __slots__ = ("_raw_parts", "_record")

    def __init__(self, parser: QwenParser, record: Record, offset: int, line: bytes) -> None:
        super().__init__(parser, record, offset, line)
        self._record = record
        self._raw_parts: list[Raw] | None = None
        facts = parser.facts
        if record.forked_from is not None and record.forked_from.session_id:
            facts.forked_from = session_id(AGENT, record.forked_from.session_id)

    def told(self) -> Told:
        record = self._record
        kind = record.type
        parts = self._parts()
        if len(parts) > FEW_PARTS:
            if len(parts) > PARTS_MAX:
                return self.raw(f"{kind} (too many parts)")
            self.shorten()
        if kind == "assistant" and record.message is not None:
            return "parsed", self._assistant(parts) or [self.info(kind)]
        if kind == "user" and record.message is not None:
            return "parsed", self._user(parts) or [self.info(kind)]
        if kind == "tool_result" and record.message is not None:
            return "parsed", self._results(parts) or [self.info(kind)]
        if kind == "system":
            return self._system(record.subtype or "", record.system_payload or SystemPayload())
        return self.raw(kind or NO_TYPE)

    def _parts(self) -> list[Part]:
        return (self._record.message.parts if self._record.message else None) or []

    # What people say.

    def _user(self, parts: list[Part]) -> list[Event]:
        record = self._record
        typed = record.system_payload.display_text if record.system_payload else None
        texts = [part.text for part in parts if part.text and not part.thought]
        words = "\n".join(text for text in texts if not _is_reminder(text))
        events: list[Event] = []
        if record.subtype in PROGRAMS_SUBTYPES or (texts and not words):
            events.append(self.event(Kind.SYSTEM, typed or "\n".join(texts)))
        elif words or typed:
            sent = "\n".join(texts)
            data = EMPTY if not typed or typed == sent else Raw(_encode({"original": sent}))
            events.append(self.said(typed or words, data))
        return events + [
            self._part_event("user", number, part)
            for number, part in enumerate(parts)
            if not part.text
        ]

    # What the agent says and does.

    def _assistant(self, parts: list[Part]) -> list[Event]:
        model = (self._record.model or "")[:NAME_CHARS_MAX]
        if model:
            self.memory.facts.model = model
        self._count_tokens(self._record.usage_metadata)
        return [
            self._assistant_part(number, part, model)
            for number, part in enumerate(parts)
            if part.text != ""
        ]

    def _assistant_part(self, number: int, part: Part, model: str) -> Event:
        if part.text is not None:
            kind = Kind.THINKING if part.thought else Kind.ASSISTANT
            return self.event(kind, part.text, actor="assistant", model=model)
        if (call := part.function_call) is not None:
            name, identity = call.name or "tool", call.id or ""
            given = clean(bytes(call.args)) if is_there(call.args) else EMPTY
            data = Raw(_encode(ToolCall(identity, name, given)))
            return self.event(
                Kind.TOOL_CALL, brief(name, given), actor="assistant", data=data, model=model
            )
        return self._part_event("assistant", number, part)

    def _count_tokens(self, spent: Spent | None) -> None:
        if spent is None:
            return
        prompt, answer = spent.prompt_token_count or 0, spent.candidates_token_count or 0
        thoughts, cached = spent.thoughts_token_count or 0, spent.cached_content_token_count or 0
        if spent.total_token_count != prompt + answer:
            answer += thoughts  # else they are among the tokens of the answer
        self.count_tokens(
            self._record.uuid or "",
            fresh=max(0, prompt - cached),
            output=answer,
            cache_read=cached,
        )

    # What tools gave back.

    def _results(self, parts: list[Part]) -> list[Event]:
        return [
            self._result(part.function_response)
            if part.function_response is not None
            else self._part_event("tool_result", number, part)
            for number, part in enumerate(parts)
        ]

    def _result(self, response: FunctionResponse) -> Event:
        said = self._record.tool_call_result
        output = tolerant(_read_output, response.response, Output())
        result = ToolResult(
            response.id or "",
            response.name or "",
            bool(output.error) or (said is not None and said.status == "error"),
        )
        text = output.output or output.error or ""
        if not text and is_there(response.response):
            result.others.append(self.kept(bytes(response.response)))
        for raw in (response.parts or ())[:PARTS_MAX]:
            inline = _part(raw).inline_data
            if inline is not None and inline.data:
                payload = Payload("base64", inline.mime_type, inline.data)
                result.images.append(stored(payload, self.parser.blobs))
            else:
                result.others.append(self.kept(bytes(raw)))
        return self.event(Kind.TOOL_RESULT, text, actor="tool", data=Raw(_encode(result)))

    # What the program around the conversation says.

    def _system(self, subtype: str, payload: SystemPayload) -> Told:
        facts = self.memory.facts
        if subtype == "chat_compression":
            return "parsed", self._compacted(payload)
        if subtype == "custom_title":
            title = payload.custom_title or ""
            made = payload.title_source == "auto"
            self.titled(title, TitleRank.AGENT if made else TitleRank.PERSON)
            return "parsed", [self.event(Kind.SESSION_TITLED, title)]
        if subtype == "slash_command" and payload.raw_command and not payload.sent_to_model:
            if payload.phase == "invocation":
                return "parsed", [self.said(payload.raw_command)]
            return "parsed", [self.info(subtype, payload.raw_command)]
        if subtype == "parent_session" and payload.parent_session_id and not facts.parent:
            facts.parent = session_id(AGENT, payload.parent_session_id)
        if subtype == "session_model" and payload.model_id:
            facts.model = payload.model_id[:NAME_CHARS_MAX]
        if subtype in INFO_SUBTYPES or subtype == "ui_telemetry":
            return "parsed", [self.info(subtype, payload.display_text or "")]
        if subtype in PROGRAMS_SUBTYPES:
            return "parsed", [
                self.event(Kind.SYSTEM, payload.display_text or "", data=self.whole())
            ]
        return self.raw(f"system/{subtype}")

    def _compacted(self, payload: SystemPayload) -> list[Event]:
        """The summary stands first in what the model goes on with; the rest of that was said."""
        about = self.kept(bytes(payload.info)) if is_there(payload.info) else EMPTY
        events = [self.event(Kind.SESSION_COMPACTED, "", data=about)]
        for raw in (payload.compressed_history or ())[:1]:
            first = tolerant(_read_message, raw, Message())
            summary = "\n".join(part.text for part in first.parts or () if part.text)
            if summary:
                events.append(self.event(Kind.SESSION_SUMMARIZED, summary))
        return events

    # Parts of messages that are no text.

    def _part_event(self, whose: str, number: int, part: Part) -> Event:
        inline = part.inline_data
        if inline is not None and inline.data:
            payload = Payload("base64", inline.mime_type, inline.data)
            kind = (inline.mime_type or "data").partition("/")[0]
            return self.payload(kind, payload, "user" if whose == "user" else "assistant")
        raw = self._part(number)
        name = next(iter(fields_of(Raw(raw))), NO_TYPE)
        return self.raw_part(f"{whose}/{name}", raw)

    def _part(self, number: int) -> bytes:
        if self._raw_parts is None:
            message = fields_of(Raw(self.line)).get("message", NOTHING)
            self._raw_parts = items_of(fields_of(message).get("parts", NOTHING))
        return bytes(self._raw_parts[number]) if number < len(self._raw_parts) else self.line


def _part(raw: Raw) -> Part:
    part = tolerant(_read_part, raw, None)
    return take_apart(fields_of(raw), Part) if part is None else part


def _is_reminder(text: str) -> bool:
    text = text.strip()
    return text.startswith(_REMINDER[0]) and text.endswith(_REMINDER[1])
