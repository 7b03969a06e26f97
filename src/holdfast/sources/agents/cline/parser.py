"""From Cline's files to events.

What was said stands in the conversation that goes to the model (`*.messages.json`,
`api_conversation_history.json`), which is the truth here. What the editor shows
(`ui_messages.json`) tells the same once more: of it come tokens, times and errors.

The messages of older versions have no ids, and a history that became too long has some taken from
its middle, or a part added to one. So a part is known by its content (and the tool's own id where
it has one), not by its place: what is left after a cut is what was there before.

Traps, each with its test: tools that are asked within the text; the editor's state around what was
typed; results that come as texts of the user; input tokens that include cached ones (sessions) and
such that do not (tasks).

The place decides nothing, but what stands before does where a part comes a second time: somebody
who says "go on" twice says two things. A count was rejected: after a cut it would start over, and
take the next one for the first.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

import msgspec
from msgspec import Raw

from holdfast.events import EMPTY, Actor, Event, Kind
from holdfast.journal.model import TitleRank
from holdfast.sources.agents.cline.records import (
    Block,
    Message,
    Metadata,
    Metrics,
    Request,
    Shown,
    block_of,
    blocks_of,
    model_of,
    read_message,
    read_metadata,
    read_metrics,
    read_request,
    read_shown,
    understood,
    understood_shown,
)
from holdfast.sources.agents.cline.words import (
    QUESTION,
    SPOKEN,
    asked_in,
    own_words,
    result_of,
    working_folder,
)
from holdfast.sources.base import BlobSink, Log
from holdfast.sources.loose import fields_of, is_there, items_of, read_text, tolerant
from holdfast.sources.mending import clean
from holdfast.sources.naming import NamedTelling, item_name
from holdfast.sources.payloads import stored
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
)
from holdfast.sources.text import instant_of_ms
from holdfast.sources.tools import ToolCall, ToolResult, brief

AGENT: Final = "cline"

KNOWN_MEMBERS: Final = frozenset({"version", "updated_at", "agent", "sessionId", "messages"})
INFO_MEMBERS: Final = frozenset({"system_prompt", "taskType"})
# Of the manifest of a session; its process, and where its files are, say nothing later.
SKIPPED_MEMBERS: Final = frozenset(
    {
        "anchor_workspace_path",
        "compaction_path",
        "enable_spawn",
        "enable_teams",
        "enable_tools",
        "ended_at",
        "exit_code",
        "interactive",
        "messages_path",
        "pid",
        "prompt",
        "provider",
        "session_id",
        "source",
        "status",
        "team_name",
        "version",
    }
)
# What the editor shows that the conversation does not have.
INFO_SHOWN: Final = frozenset(
    {
        "api_req_failed",
        "api_req_retried",
        "clineignore_error",
        "command_permission_denied",
        "condense",
        "diff_error",
        "error",
        "error_retry",
        "hook_status",
        "info",
        "mcp_notification",
        "mistake_limit_reached",
        "subagent_usage",
        "summarize_task",
    }
)
PARTS_REMEMBERED: Final = 131_072  # of one conversation; of more, what comes again is one
REQUEST: Final = "api_req_started"
REASONING: Final = "reasoning"
PAYLOADS: Final = frozenset({"image", "document"})

_encode = msgspec.json.Encoder().encode


class _ClineParser(LineParser[Any, Memory]):
    agent = AGENT
    memory_type = Memory

    def __init__(self, log: Log, blobs: BlobSink, *, began_at: str = "", cwd: str = "") -> None:
        super().__init__(log, b"", blobs)
        self.cwd = ""
        self.stands_in(cwd)
        self.memory.last_at = self.facts.started_at = began_at

    def stands_in(self, cwd: str) -> None:
        if cwd and not self.cwd:
            self.cwd = self.facts.cwd = self.facts.project = cwd[:PATH_CHARS_MAX]

    def outline(self, line: bytes) -> About:
        return About(uuid=item_name(None, line), cwd=self.cwd)

    def is_skipped(self, record: Any) -> bool:  # noqa: ARG002
        return False

    def member(self, key: str, offset: int, content: bytes) -> Told:
        """What a document says of its session besides its messages."""
        if key in KNOWN_MEMBERS:
            return "parsed", []
        telling = NamedTelling(self, About(cwd=self.cwd), offset, content)
        telling.name = f"member/{item_name(key, b'')}"
        if key in INFO_MEMBERS:
            return "parsed", [telling.info(key)]
        return telling.raw(f"{key[:NAME_CHARS_MAX]} (member)")


class ConversationParser(_ClineParser):
    """Tells what was said."""

    def __init__(self, log: Log, blobs: BlobSink, times: dict[int, float], **about: str) -> None:
        super().__init__(log, blobs, **about)
        self._times = times  # of messages that have none of their own
        self._count = 0
        self._before = b""  # the content of the message before
        self._parts: set[bytes] = set()  # that came already

    def read(self, line: bytes) -> Message:
        return read_message(line)

    def understood(self, line: bytes) -> Message | None:
        return understood(line)

    def telling(self, record: Message, offset: int, line: bytes) -> Telling:
        at = instant_of_ms(record.ts or self._times.get(self._count))
        self._count += 1
        telling = _MessageTelling(self, record, at, offset, line)
        telling.before, self._before = self._before, _digest(bytes(record.content))
        return telling

    def is_again(self, part: bytes) -> bool:
        if part in self._parts:
            return True
        if len(self._parts) < PARTS_REMEMBERED:
            self._parts.add(part)
        return False


class _MessageTelling(NamedTelling):
    """One message on its way to events."""

    __slots__ = ("_message", "_model", "_parser", "before")

    before: bytes  # what stands before this message

    def __init__(
        self, parser: ConversationParser, message: Message, at: str, offset: int, line: bytes
    ) -> None:
        about = About(type=message.role, uuid=message.id, timestamp=at or None, cwd=parser.cwd)
        super().__init__(parser, about, offset, line)
        self._parser = parser
        self._message = message
        self._model = model_of(message.model_info)[:NAME_CHARS_MAX]

    def told(self) -> Told:
        message = self._message
        raws = blocks_of(message.content)
        if len(raws) > PARTS_MAX:
            return self.raw(f"{message.role} (too many parts)")
        if len(raws) > FEW_PARTS:
            self.shorten()
        blocks = list(zip(map(block_of, raws), raws, strict=True))
        if message.role == "user":
            return "parsed", self._user(blocks) or [self.info(message.role)]
        if message.role == "assistant":
            return "parsed", self._assistant(blocks)
        return self.raw(message.role or NO_TYPE)

    def _at(self, number: int, raw: Raw) -> None:
        """Its place in a message that has an id, else what it is."""
        if self._message.id:
            self.part(str(number))
            return
        part = _digest((self._message.role or "").encode("utf-8", "replace"), bytes(raw))
        if self._parser.is_again(part):
            part = _digest(part, self.before)
        self.name = f"~{part.hex()}"

    # What people and tools say.

    def _user(self, blocks: list[tuple[Block, Raw]]) -> list[Event]:
        events: list[Event] = []
        awaited = ""  # a tool whose result is the next text
        for number, (block, raw) in enumerate(blocks):
            self._at(number, raw)
            if block.type == "text":
                event, awaited = self._user_text(block.text or "", awaited)
                events += [event] if event is not None else []
            elif block.type == "tool_result":
                events.append(self._tool_result(block))
            else:
                events.append(self._other(block, raw, "user"))
        return events

    def _user_text(self, text: str, awaited: str) -> tuple[Event | None, str]:
        self._parser.stands_in(working_folder(text))
        self.cwd = self._parser.cwd
        result = result_of(text)
        if result is not None:
            name, body = result
            return (self._result(name, body), "") if body.strip() else (None, name)
        if awaited:
            return self._result(awaited, text), ""
        words = own_words(text)
        if not words:
            return self.event(Kind.SYSTEM, text), ""
        data = EMPTY if words == text else Raw(_encode({"original": text}))
        return self.said(words, data), ""

    def _result(self, name: str, text: str) -> Event:
        data = Raw(_encode(ToolResult("", name)))
        return self.event(Kind.TOOL_RESULT, text, actor="tool", data=data)

    def _tool_result(self, block: Block) -> Event:
        identity = block.tool_use_id or ""
        result = ToolResult(identity, is_error=bool(block.is_error))
        if identity:
            self.name = f"{item_name(identity, b'')}/result"
        texts = []
        for raw in blocks_of(block.content):
            part = block_of(raw)
            if part.text is not None:
                texts.append(part.text)
            elif part.type == "image" and part.source is not None:
                result.images.append(stored(part.source, self.parser.blobs))
            else:
                result.others.append(self.kept(bytes(raw)))
        if not texts and not items_of(block.content) and is_there(block.content):
            texts.append(bytes(block.content).decode("utf-8", "replace"))  # an object
        data = Raw(_encode(result))
        return self.event(Kind.TOOL_RESULT, "\n".join(texts), actor="tool", data=data)

    # What the agent thinks, says and does.

    def _assistant(self, blocks: list[tuple[Block, Raw]]) -> list[Event]:
        events: list[Event] = []
        if self._model:
            self.memory.facts.model = self._model
        for number, (block, raw) in enumerate(blocks):
            self._at(number, raw)
            if block.type == "text":
                events += self._text(block.text or "")
            elif block.type == "thinking":
                events.append(self._thinking(block.thinking or ""))
            elif block.type == "redacted_thinking":
                events.append(self._own(Kind.THINKING, "", Raw(b'{"redacted":true}')))
            elif block.type == "tool_use":
                given = clean(bytes(block.input)) if is_there(block.input) else EMPTY
                events.append(self._tool(block.id or "", block.name or "tool", given))
            else:
                events.append(self._other(block, raw, "assistant"))
        if is_there(self._message.metrics):
            events.append(self._tokens(self._message.metrics))
        return events

    def _own(self, kind: str, text: str, data: Raw = EMPTY) -> Event:
        return self.event(kind, text, actor="assistant", data=data, model=self._model)

    def _thinking(self, text: str) -> Event:
        self.name = thought_name(text)
        return self._own(Kind.THINKING, text.strip())

    def _text(self, text: str) -> list[Event]:
        words, tool, given = asked_in(text)
        events = [self._own(Kind.ASSISTANT, words)] if words or not tool else []
        if tool:
            self.name = f"{self.name}/call"
            events.append(self._tool("", tool, given))
        return events

    def _tool(self, identity: str, name: str, given: Raw) -> Event:
        if identity:
            self.name = f"{item_name(identity, b'')}/call"
        asked = fields_of(given)
        kind, text = Kind.TOOL_CALL, brief(name, given)
        if name in SPOKEN:
            kind, text = Kind.ASSISTANT, _string(asked, SPOKEN[name]) or text
        elif name == QUESTION:
            kind = Kind.DECISION_PROPOSED
            text = "\n".join(filter(None, (_string(asked, "question"), _options(asked)))) or text
        return self._own(kind, text, Raw(_encode(ToolCall(identity, name, given))))

    def _tokens(self, raw: Raw) -> Event:
        spent = tolerant(read_metrics, raw, Metrics())
        read, write = spent.cache_read_tokens or 0, spent.cache_write_tokens or 0
        self.count_tokens(
            "",
            fresh=max(0, (spent.input_tokens or 0) - read - write),
            output=spent.output_tokens,
            cache_read=read,
            cache_write=write,
        )
        self.name = f"{self.item}/tokens"
        data = self.kept(bytes(raw))
        return self.event(Kind.PROVIDER_INFO, "tokens", data=data, model=self._model)

    def _other(self, block: Block, raw: Raw, actor: Actor) -> Event:
        source = block.source
        if (
            block.type in ("image", "document")
            and source is not None
            and (source.data or source.url)
        ):
            return self.payload(str(block.type), source, actor)
        return self.raw_part(f"{actor}/{block.type or NO_TYPE}", bytes(raw))


class ShownParser(_ClineParser):
    """Tells what the editor shows, as far as the conversation does not have it."""

    def read(self, line: bytes) -> Shown:
        return read_shown(line)

    def understood(self, line: bytes) -> Shown | None:
        return understood_shown(line)

    def is_skipped(self, record: Shown) -> bool:
        """Half of what is still being said, and what the conversation tells."""
        kind = record.say or record.ask
        is_known = record.type in ("say", "ask") and kind is not None
        wanted = kind in INFO_SHOWN or kind in (REQUEST, REASONING)
        return bool(record.partial) or (is_known and not wanted)

    def telling(self, record: Shown, offset: int, line: bytes) -> Telling:
        return _ShownTelling(self, record, offset, line)


class _ShownTelling(NamedTelling):
    __slots__ = ("_shown",)

    def __init__(self, parser: ShownParser, shown: Shown, offset: int, line: bytes) -> None:
        at = instant_of_ms(shown.ts)
        super().__init__(parser, About(timestamp=at or None, cwd=parser.cwd), offset, line)
        self._shown = shown

    def told(self) -> Told:
        shown = self._shown
        kind = shown.say or shown.ask
        if kind is None:
            return self.raw(shown.type or NO_TYPE)
        self.name = f"shown/{shown.ts or 0:.0f}/{kind}"
        if kind == REASONING:
            thought = (shown.text or "").strip()
            self.name = thought_name(thought)
            return "parsed", [self.event(Kind.THINKING, thought, actor="assistant")]
        if kind == REQUEST:
            return "parsed", [self._request(shown)]
        return "parsed", [self.info(kind, shown.text or "")]

    def _request(self, shown: Shown) -> Event:
        request = tolerant(
            read_request, Raw((shown.text or "").encode("utf-8", "replace")), Request()
        )
        model = model_of(shown.model_info)[:NAME_CHARS_MAX]
        if model:
            self.memory.facts.model = model
        self.count_tokens(
            "",
            fresh=request.tokens_in,
            output=request.tokens_out,
            cache_read=request.cache_reads,
            cache_write=request.cache_writes,
        )
        return self.event(Kind.PROVIDER_INFO, REQUEST, data=Raw(_encode(request)), model=model)


class ManifestParser(_ClineParser):
    """Tells what a session says of itself: where it is, since when, and what it is called."""

    def member(self, key: str, offset: int, content: bytes) -> Told:
        text = tolerant(read_text, Raw(content), "")
        if key in SKIPPED_MEMBERS:
            return "skipped", []
        about = About(timestamp=text if key == "started_at" else None)
        telling = NamedTelling(self, about, offset, content)
        telling.name = f"member/{item_name(key, b'')}"
        if key == "metadata":
            return "parsed", [telling.info(key), *self._title(telling, content)]
        if key == "model":
            self.facts.model = text[:NAME_CHARS_MAX]
        elif key in ("cwd", "workspace_root"):
            self.stands_in(text)
        elif key != "started_at":
            return telling.raw(f"{key[:NAME_CHARS_MAX]} (member)")
        return "parsed", []

    def _title(self, telling: NamedTelling, metadata: bytes) -> list[Event]:
        title = tolerant(read_metadata, Raw(metadata), Metadata()).title
        if not title:
            return []
        telling.name = "member/title"
        telling.titled(title, TitleRank.AGENT)
        return [telling.event(Kind.SESSION_TITLED, title)]


def _digest(*parts: bytes) -> bytes:
    return hashlib.blake2b(b"\0".join(parts), digest_size=12).digest()


def thought_name(text: str) -> str:
    """Both files may tell what was thought: by its words it is the same."""
    return item_name(None, b"thought\0" + text.strip().encode("utf-8", "surrogatepass"))


def _string(fields: dict[str, Raw], name: str) -> str:
    return tolerant(read_text, fields[name], "") if name in fields else ""


def _options(fields: dict[str, Raw]) -> str:
    """As a list, or as the text of one."""
    given = fields.get("options", EMPTY)
    given = Raw(tolerant(read_text, given, "").encode("utf-8", "replace")) or given
    return "\n".join(f"- {tolerant(read_text, each, '')}" for each in items_of(given))
