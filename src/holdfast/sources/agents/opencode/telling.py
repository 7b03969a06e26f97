"""From OpenCode's messages and parts to events; where they were kept does not matter here.

A part is changed many times a second while it is being written. It is told when it is finished, or
when nothing came to it for `QUIET_MS`: so the journal gets one version of a text, not five hundred,
and a text that an agent died in the middle of is kept all the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import ClassVar, Final

import msgspec
from msgspec import Raw

from holdfast.events import EMPTY, Event, Kind, Usage
from holdfast.journal.model import NO_USAGE, TitleRank, Verdict
from holdfast.sources.agents.opencode.records import Message, Part, ToolState, loosely
from holdfast.sources.base import BlobSink, Log, Read
from holdfast.sources.loose import is_there
from holdfast.sources.mending import clean, is_dense
from holdfast.sources.payloads import payload_of_url, stored
from holdfast.sources.rows import OVERSIZED, Conversation, named, session_of
from holdfast.sources.telling import (
    DENSE_BYTES_MIN,
    NAME_CHARS_MAX,
    NO_TYPE,
    PATH_CHARS_MAX,
    About,
    Telling,
    Told,
    first_facts,
)
from holdfast.sources.text import instant_of_ms
from holdfast.sources.tools import ToolCall, ToolResult, brief

AGENT: Final = "opencode"
QUIET_MS: Final = 10_000
RESULT: Final = "/result"  # behind the id of a tool's part: what the tool gave back
SKIPPED_PARTS: Final = frozenset({"step-start", "snapshot"})  # names of git trees, no more
UNFINISHED: Final = frozenset({"pending", "running"})
QUESTIONS: Final = frozenset({"question"})

_encode: Final = msgspec.json.Encoder().encode
_GIVEN_BY_DEFAULT: Final = re.compile(r"(?:New|Child) session - \d{4}-\d\d-\d\dT")


class SessionAbout(msgspec.Struct, frozen=True):
    """What OpenCode says of a session besides its messages."""

    id: str
    parent: str = ""
    title: str = ""
    directory: str = ""
    version: str = ""
    created_ms: float = 0
    updated_ms: float = 0


class Item(msgspec.Struct, frozen=True, gc=False):
    """A message or a part, as it stands where it is kept."""

    id: str
    content: bytes
    size: int  # of what stands there, whatever was made of it
    created_ms: float = 0
    updated_ms: float = 0
    kind: str = ""  # where that stands beside the content


class Whose(msgspec.Struct, frozen=True):
    """The message that a part belongs to."""

    id: str
    message: Message
    has_steps: bool = False  # its parts say what each request took


class Session(Conversation):
    """Tells the items of one session."""

    agent: ClassVar[str] = AGENT

    def __init__(
        self,
        log: Log,
        about: SessionAbout,
        blobs: BlobSink,
        now_ms: Callable[[], float],
        prompt_title: str = "",
    ) -> None:
        facts = first_facts(log)
        if about.parent:
            facts.parent = session_of(log, about.parent)
        facts.project = facts.cwd = about.directory[:PATH_CHARS_MAX]
        facts.agent_version = about.version[:NAME_CHARS_MAX]
        facts.started_at = instant_of_ms(about.created_ms)
        facts.updated_at = instant_of_ms(about.updated_ms)
        super().__init__(log, facts, blobs, prompt_title)
        self.now_ms = now_ms
        self.open_since_ms: float | None = None  # of the oldest item that is not told yet
        self._head: list[Event] = []
        if about.title and not _GIVEN_BY_DEFAULT.match(about.title):
            self._head.append(self.titled(about.title, TitleRank.AGENT, facts.updated_at))

    def head(self) -> Read:
        """What stands in the session itself."""
        return Read(0, "parsed", self._head)

    def whose(self, item: Item, *, has_steps: bool) -> Whose:
        """What the parts of a message need to know of it."""
        found = loosely(Message, item.content)
        return Whose(item.id, found[0] if found else Message(), has_steps)

    def message(self, item: Item, whose: Whose) -> Read:
        found = loosely(Message, item.content)
        if found is None:
            return Read(item.size, "bad")
        message, line, drifted = found
        if message.role == "assistant" and message.model_name:
            self.facts.model = message.model_name[:NAME_CHARS_MAX]
        telling = _MessageTelling(self, _about("message", item.id, message, item), 0, line)
        verdict, events = telling.told_of(message, whose)
        return Read(item.size, *_with_drift(telling, verdict, events, "message", drifted=drifted))

    def leave_open(self, item: Item) -> None:
        """Some of it is still being written: it is to be looked at again."""
        before = self.open_since_ms
        self.open_since_ms = item.updated_ms if before is None else min(item.updated_ms, before)

    def part(self, item: Item, whose: Whose) -> Read:
        if len(item.content) > DENSE_BYTES_MIN and is_dense(item.content):
            about = _about("part", item.id, whose.message, item)
            return Read(item.size, *self.telling(about, item.content).raw("part (too many parts)"))
        found = loosely(Part, item.content)
        if found is None:
            return Read(item.size, "bad")
        part, line, drifted = found
        if part.type in SKIPPED_PARTS:
            return Read(item.size, "skipped")
        quiet_ms = self.now_ms() - item.updated_ms
        is_open = _is_open(part, whose.message) and abs(quiet_ms) < QUIET_MS  # clocks are set
        if is_open:
            self.leave_open(item)
        name = part.type or NO_TYPE
        telling = _PartTelling(self, _about(name, item.id, whose.message, item, part.time), 0, line)
        telling.part, telling.whose, telling.is_open = part, whose, is_open
        verdict, events = telling.told()
        return Read(item.size, *_with_drift(telling, verdict, events, name, drifted=drifted))

    def oversized_item(self, item: Item, beginning: bytes, digest: str) -> Read:
        about = _about(OVERSIZED, item.id, Message(), item)
        return self.oversized(about, item.size, beginning, digest)


def _about(name: str, identity: str, message: Message, item: Item, time: object = None) -> About:
    """What stands in every event of an item."""
    started_ms = getattr(time, "start", None) or item.created_ms
    if not started_ms and message.time is not None:
        started_ms = message.time.created or 0
    return About(
        type=name,
        uuid=identity,
        parent_uuid=message.parent_id,
        timestamp=instant_of_ms(started_ms) or None,
        cwd=message.path.cwd if message.path else None,
    )


def _with_drift(
    telling: Telling, verdict: Verdict, events: list[Event], name: str, *, drifted: bool
) -> Told:
    """What is understood of an unfamiliar shape, and the whole of it."""
    if drifted and verdict == "parsed":
        verdict, whole = telling.raw(f"{name} (unfamiliar shape)")
        events = events + [named(event, "/whole") for event in whole]
    return verdict, events


def _is_open(part: Part, message: Message) -> bool:
    """Whether more of it is to come."""
    if message.is_finished:
        return False
    if part.type == "tool":
        return part.state is not None and part.state.status in UNFINISHED
    return part.type in ("text", "reasoning") and part.time is not None and not part.time.end


class _MessageTelling(Telling):
    __slots__ = ()

    def told_of(self, message: Message, whose: Whose) -> Told:
        """Tokens and errors; all else that a message says is in its parts."""
        tokens = message.tokens.usage() if message.tokens else NO_USAGE
        spent = NO_USAGE if whose.has_steps or not message.is_finished else tokens
        if message.role not in ("user", "assistant"):
            return self.raw(f"message/{message.role or NO_TYPE}")
        if message.error is not None:
            self._usage = _or_none(spent)
            text = f"error: {message.error.text}"
            return "parsed", [self.event(Kind.PROVIDER_INFO, text, data=self.whole())]
        if spent == NO_USAGE:
            return "parsed", []
        self._usage = spent
        model = message.model_name
        return "parsed", [self.event(Kind.PROVIDER_INFO, "tokens", data=self.whole(), model=model)]


def _or_none(spent: Usage) -> Usage | None:
    return spent if spent != NO_USAGE else None


class _PartTelling(Telling):
    """One part on its way to events."""

    __slots__ = ("is_open", "part", "whose")

    part: Part
    whose: Whose
    is_open: bool

    def told(self) -> Told:
        kind = self.part.type
        if kind == "tool" and self.part.state is not None:
            return "parsed", self._tool(self.part.state)
        if kind in ("text", "reasoning"):
            return "parsed", [] if self.is_open else self._words(kind)
        if kind == "file":
            return "parsed", [self._file()]
        if kind == "step-finish":
            return "parsed", [self._step()]
        if kind == "compaction":
            return "parsed", [self.event(Kind.SESSION_COMPACTED, "", data=self.whole())]
        if kind in ("patch", "agent", "subtask", "retry"):
            return "parsed", [self.info(kind, self._note(kind))]
        return self.raw(f"part/{kind or NO_TYPE}")

    def _words(self, kind: str) -> list[Event]:
        part, message = self.part, self.whose.message
        text, model = part.text or "", message.model_name
        if not text:
            return []
        if message.role == "user":
            if part.synthetic or part.ignored:
                return [self.event(Kind.SYSTEM, text)]
            return [self.said(text)]
        if kind == "reasoning":
            return [self.event(Kind.THINKING, text, actor="assistant", model=model)]
        if part.synthetic or part.ignored:
            return [self.event(Kind.SYSTEM, text, model=model)]
        if message.is_summary:
            return [self.event(Kind.SESSION_SUMMARIZED, text, actor="assistant", model=model)]
        return [self.event(Kind.ASSISTANT, text, actor="assistant", model=model)]

    def _tool(self, state: ToolState) -> list[Event]:
        if state.status == "pending" and self.is_open:
            return []  # what is asked of it is still being written
        name, identity = self.part.tool or "tool", self.part.call_id or ""
        given = clean(bytes(state.input)) if is_there(state.input) else EMPTY
        asks = name in QUESTIONS
        data = Raw(_encode(ToolCall(identity, name, given)))
        call = self.event(
            Kind.DECISION_PROPOSED if asks else Kind.TOOL_CALL,
            brief(name, given),
            actor="assistant",
            data=data,
            model=self.whose.message.model_name,
        )
        if state.status in UNFINISHED:
            return [call]
        return [call, self._result(state, name, identity, asks=asks)]

    def _result(self, state: ToolState, name: str, identity: str, *, asks: bool) -> Event:
        failed = state.status == "error"
        result = ToolResult(identity, name, failed)
        result.agent = (state.metadata.session_id if state.metadata else "") or ""
        result.images = [
            stored(payload_of_url(each.url), self.parser.blobs)
            for each in state.attachments or ()
            if each.url
        ]
        text = (state.error if failed else state.output) or state.output or ""
        if state.time is not None and state.time.end:
            self.at = instant_of_ms(state.time.end) or self.at
        accepted = asks and not failed
        event = self.event(
            Kind.DECISION_ACCEPTED if accepted else Kind.TOOL_RESULT,
            text,
            actor="user" if accepted else "tool",
            data=Raw(_encode(result)),
        )
        return named(event, RESULT)

    def _file(self) -> Event:
        part = self.part
        payload = payload_of_url(part.url or "")
        payload.media_type = payload.media_type or part.mime
        kind = "image" if (payload.media_type or "").startswith("image/") else "document"
        about = {"type": kind, **stored(payload, self.parser.blobs)}
        if part.filename:
            about["name"] = part.filename
        what = part.filename or payload.media_type or "unknown type"
        by_user = self.whose.message.role == "user"
        return self.event(
            Kind.USER if by_user else Kind.ASSISTANT,
            f"[{kind}: {what}]",
            actor="user" if by_user else "assistant",
            data=Raw(_encode(about)),
        )

    def _step(self) -> Event:
        """A request to the model came to its end: what it took is counted here, once."""
        if self.part.tokens is not None:
            self._usage = _or_none(self.part.tokens.usage())
        text = f"step finished: {self.part.reason or 'no reason given'}"
        data, model = self.whole(), self.whose.message.model_name
        return self.event(Kind.PROVIDER_INFO, text, data=data, model=model)

    def _note(self, kind: str) -> str:
        part = self.part
        said = {
            "patch": ", ".join(part.files or ()),
            "agent": part.name,
            "subtask": part.prompt or part.description,
            "retry": part.error.text if part.error else "",
        }[kind]
        return f"{kind}: {said}" if said else kind
