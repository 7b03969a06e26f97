"""From the messages of one Gemini CLI session to events.

A message changes in place: thoughts, text, tool calls, their results and tokens come one after the
other. So each of them is an event of its own, under a name that stays: what comes later is a new
event, and only what changed supersedes.

Traps, each with its test: input tokens include cached ones, output tokens exclude thoughts;
`displayContent` is what the person typed, `content` has files around it; results come back as
messages of the user; context that the program puts in front is not the person's words; a context
that was shortened (`$set` with messages) repeats what was said with results cut out of it.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw

from holdfast.events import EMPTY, Actor, Event, Kind
from holdfast.journal.model import TitleRank
from holdfast.sources.agents.gemini.records import (
    Answer,
    FunctionCall,
    FunctionResponse,
    Message,
    Part,
    Thought,
    TokenCounts,
    ToolUse,
    part_of,
    parts_of,
    read_answer,
    read_message,
    read_thought,
    read_tokens,
    read_tool_use,
    text_of,
    understood,
)
from holdfast.sources.base import BlobSink, Log
from holdfast.sources.loose import is_there, items_of, read_text, tolerant
from holdfast.sources.mending import clean
from holdfast.sources.naming import NamedTelling, item_name
from holdfast.sources.payloads import Payload, stored
from holdfast.sources.telling import (
    FEW_PARTS,
    NAME_CHARS_MAX,
    NO_TYPE,
    PARTS_MAX,
    PATH_CHARS_MAX,
    About,
    LineParser,
    Memory,
    Telling,
    Told,
    read_outline,
)
from holdfast.sources.text import instant
from holdfast.sources.tools import ToolCall, ToolResult, brief

AGENT: Final = "gemini"

SPEAKING_TYPES: Final = frozenset({"gemini", "model"})
NOTE_TYPES: Final = frozenset({"info", "error", "warning"})
KNOWN_MEMBERS: Final = frozenset(
    {"sessionId", "projectHash", "startTime", "lastUpdated", "kind", "messages"}
)
INFO_MEMBERS: Final = frozenset({"directories", "activeExtensionName", "memoryScratchpad"})
TIME_MEMBERS: Final = frozenset({"startTime", "lastUpdated"})
FAILED: Final = frozenset({"error", "cancelled"})
CONTEXT_BEGINS: Final = (
    "<session_context>",
    "This is the Gemini CLI. We are setting up the context for our chat.",
)
SUMMARY_BEGINS: Final = ("<state_snapshot>",)

_encode = msgspec.json.Encoder().encode


class GeminiParser(LineParser[Message, Memory]):
    """Tells the messages of one session."""

    agent = AGENT
    memory_type = Memory

    def __init__(self, log: Log, blobs: BlobSink, cwd: str = "") -> None:
        super().__init__(log, b"", blobs)
        self.cwd = cwd[:PATH_CHARS_MAX]
        self.facts.cwd = self.facts.project = self.cwd

    def read(self, line: bytes) -> Message:
        return read_message(line)

    def understood(self, line: bytes) -> Message | None:
        return understood(line)

    def outline(self, line: bytes) -> About:
        about = tolerant(read_outline, Raw(line), About())
        message = tolerant(read_message, Raw(line), Message())
        about.uuid = item_name(message.id, line)
        return about

    def is_skipped(self, record: Message) -> bool:  # noqa: ARG002  # of LineParser: none is
        return False

    def telling(self, record: Message, offset: int, line: bytes) -> Telling:
        return _MessageTelling(self, record, offset, line)

    def member(self, key: str, offset: int, content: bytes) -> Told:
        """What the document says of the session besides its messages."""
        text = tolerant(read_text, Raw(content), "")
        about = About(timestamp=text if key in TIME_MEMBERS else None, cwd=self.cwd)
        telling = NamedTelling(self, about, offset, content)
        telling.name = f"member/{item_name(key, b'')}"
        if key == "summary":
            telling.titled(text, TitleRank.SUMMARY)
            return "parsed", [telling.event(Kind.SESSION_TITLED, text)]
        if key in INFO_MEMBERS:
            return "parsed", [telling.info(key)]
        if key in KNOWN_MEMBERS:
            return "parsed", []
        return telling.raw(f"{key[:NAME_CHARS_MAX]} (member)")

    def rewound(self, offset: int, line: bytes, target: str) -> Event:
        """The conversation goes on from before a message; what came behind it is kept."""
        telling = NamedTelling(self, About(cwd=self.cwd), offset, line)
        telling.name = f"rewind/{item_name(target, b'')}"
        text = f"rewound to before {target[:NAME_CHARS_MAX]}"
        return telling.event(Kind.PROVIDER_INFO, text, data=telling.whole())


class _MessageTelling(NamedTelling):
    """One message on its way to events."""

    __slots__ = ("_message", "_model")

    def __init__(self, parser: GeminiParser, message: Message, offset: int, line: bytes) -> None:
        about = About(
            type=message.type, uuid=message.id, timestamp=message.timestamp, cwd=parser.cwd
        )
        super().__init__(parser, about, offset, line)
        self._message = message
        self._model = (message.model or "")[:NAME_CHARS_MAX]

    def told(self) -> Told:
        message = self._message
        kind = message.type
        content = message.content if is_there(message.content) else message.parts
        parts = parts_of(content)
        many = max(
            len(parts), *(len(items_of(raw)) for raw in (message.thoughts, message.tool_calls))
        )
        if many > PARTS_MAX:
            return self.raw(f"{kind} (too many parts)")
        if many > FEW_PARTS:
            self.shorten()
        if kind == "user":
            return "parsed", self._user(content, parts) or [self.info(kind)]
        if kind in SPEAKING_TYPES:
            return "parsed", self._gemini(content, parts)
        if kind in NOTE_TYPES:
            data = Raw(_encode({"level": kind}))
            return "parsed", [self.event(Kind.SYSTEM, text_of(content, "\n"), data=data)]
        return self.raw(kind or NO_TYPE)

    # What people say.

    def _user(self, content: Raw, parts: list[Raw]) -> list[Event]:
        whole = text_of(content, "\n")
        typed = text_of(self._message.display_content, "\n") or whole
        events = []
        if typed.strip():
            events.append(self._words(typed, whole))
        return events + self._others(parts, "user")

    def _words(self, typed: str, whole: str) -> Event:
        if whole.startswith(CONTEXT_BEGINS):
            return self.event(Kind.SYSTEM, whole)
        if whole.startswith(SUMMARY_BEGINS):
            return self.event(Kind.SESSION_SUMMARIZED, whole)
        data = EMPTY if typed == whole else Raw(_encode({"original": whole}))
        return self.said(typed, data)

    # What the agent thinks, says and does.

    def _gemini(self, content: Raw, parts: list[Raw]) -> list[Event]:
        message = self._message
        if self._model:
            self.memory.facts.model = self._model
        events = [
            self._thought(number, raw) for number, raw in enumerate(items_of(message.thoughts))
        ]
        text = text_of(content, "")
        if text:
            self.name = self.item
            events.append(self._said_by_agent(Kind.ASSISTANT, text))
        events += self._others(parts, "assistant")
        for number, raw in enumerate(items_of(message.tool_calls)):
            events += self._tool_use(number, raw)
        if is_there(message.tokens) and bytes(message.tokens) != b"null":
            events.append(self._tokens(message.tokens))
        return events

    def _said_by_agent(self, kind: str, text: str, data: Raw = EMPTY) -> Event:
        return self.event(kind, text, actor="assistant", data=data, model=self._model)

    def _thought(self, number: int, raw: Raw) -> Event:
        self.part(f"thought/{number}")
        thought = tolerant(read_thought, raw, Thought())
        text = "\n".join(filter(None, (thought.subject, thought.description)))
        if not text:
            return self.raw_part("gemini/thought", bytes(raw))
        return self._at(thought.timestamp, self._said_by_agent(Kind.THINKING, text))

    def _tokens(self, raw: Raw) -> Event:
        """An event of its own: the others may come and go before the tokens are known."""
        spent = tolerant(read_tokens, raw, TokenCounts())
        cached = min(spent.cached or 0, spent.input or 0)
        self.count_tokens(
            "",
            fresh=(spent.input or 0) - cached + (spent.tool or 0),
            output=(spent.output or 0) + (spent.thoughts or 0),
            cache_read=cached,
        )
        self.part("tokens")
        return self.event(
            Kind.PROVIDER_INFO, "tokens", data=self.kept(bytes(raw)), model=self._model
        )

    def _tool_use(self, number: int, raw: Raw) -> list[Event]:
        use = tolerant(read_tool_use, raw, ToolUse())
        if not use.name:
            self.part(f"tool/{number}")
            return [self.raw_part("gemini/toolCall", bytes(raw))]
        identity = use.id or f"{self.item}/tool/{number}"
        events = [self._at(use.timestamp, self._call(identity, use.name, use.args))]
        parts = parts_of(use.result)
        shown = tolerant(read_text, use.result_display, "")
        if parts or (shown and use.status in FAILED):
            result = ToolResult(
                identity,
                use.name,
                is_error=use.status in FAILED,
                agent=(use.agent_id or "")[:NAME_CHARS_MAX],
            )
            events.append(self._at(use.timestamp, self._result(result, parts, shown)))
        return events

    def _call(self, identity: str, name: str, args: Raw) -> Event:
        self.name = f"{item_name(identity, b'')}/call"
        given = clean(bytes(args)) if is_there(args) else EMPTY
        data = Raw(_encode(ToolCall(identity, name, given)))
        return self._said_by_agent(Kind.TOOL_CALL, brief(name, given), data)

    def _result(self, result: ToolResult, parts: list[Raw], shown: str = "") -> Event:
        self.name = f"{item_name(result.tool_use_id, b'')}/result"
        texts: list[str] = []
        for raw in parts:
            part = part_of(raw)
            if part.function_response is not None:
                texts.append(_answer(part.function_response.response))
            elif part.text:
                texts.append(part.text)
            elif (payload := _payload_of(part)) is not None:
                result.images.append(stored(payload, self.parser.blobs))
            else:
                result.others.append(self.kept(bytes(raw)))
        text = "\n".join(filter(None, texts)) or shown
        return self.event(Kind.TOOL_RESULT, text, actor="tool", data=Raw(_encode(result)))

    # Parts that are no text, wherever they stand.

    def _others(self, parts: list[Raw], actor: Actor) -> list[Event]:
        events = []
        for number, raw in enumerate(parts):
            part = part_of(raw)
            self.part(f"part/{number}")
            if (payload := _payload_of(part)) is not None:
                kind = (payload.media_type or "file").partition("/")[0]
                events.append(self.payload(kind, payload, actor))
            elif part.function_call is not None:
                events += self._call_part(part.function_call)
            elif part.function_response is not None:
                events += self._response_part(part.function_response, raw)
            elif part.thought and part.text:
                events.append(self._said_by_agent(Kind.THINKING, part.text))
            elif part.text is None:
                events.append(self.raw_part(f"{self._message.type}/part", bytes(raw)))
        return events

    def _call_part(self, call: FunctionCall) -> list[Event]:
        """The same call stands among the tool calls, where those are told."""
        if items_of(self._message.tool_calls):
            return []
        return [self._call(call.id or self.name, call.name or "tool", call.args)]

    def _response_part(self, response: FunctionResponse, raw: Raw) -> list[Event]:
        result = ToolResult(response.id or self.name, response.name or "")
        return [self._result(result, [raw])]

    def _at(self, timestamp: str | None, event: Event) -> Event:
        event.at = instant(timestamp) or event.at
        return event


def _answer(response: Raw) -> str:
    answer = tolerant(read_answer, response, Answer())
    if answer.output is None and answer.error is None:
        return bytes(response).decode("utf-8", "replace") if is_there(response) else ""
    return "\n".join(filter(None, (answer.output, answer.error)))


def _payload_of(part: Part) -> Payload | None:
    inline, file = part.inline_data, part.file_data
    if inline is not None and inline.data:
        return Payload("base64", inline.mime_type, inline.data)
    if file is not None and file.file_uri:
        return Payload("url", file.mime_type, url=file.file_uri)
    return None
