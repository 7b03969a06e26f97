"""OpenCode 2: a row of `session_message` is a whole message, with all that was said and done in it.

Its parts have ids of their own in the row, or none: then their place in the row names them. Which
kind of message a row is stands in a column beside it.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw, Struct

from holdfast.events import EMPTY, Event, Kind
from holdfast.journal.model import NO_USAGE
from holdfast.sources.agents.opencode.records import Model, Problem, Time, TokenCounts, loosely
from holdfast.sources.agents.opencode.telling import (
    QUIET_MS,
    RESULT,
    UNFINISHED,
    Item,
    Session,
    Whose,
)
from holdfast.sources.base import Read
from holdfast.sources.loose import NOTHING, is_there, items_of
from holdfast.sources.mending import clean
from holdfast.sources.payloads import payload_of_url
from holdfast.sources.rows import named
from holdfast.sources.telling import NAME_CHARS_MAX, NO_TYPE, PARTS_MAX, About, Telling, Told
from holdfast.sources.text import instant_of_ms
from holdfast.sources.tools import ToolCall, ToolResult, brief

NOTES: Final = frozenset({"agent-switched", "model-switched", "shell"})
SAID_BY_PROGRAMS: Final = frozenset({"synthetic", "system", "skill"})

_encode: Final = msgspec.json.Encoder().encode


class _File(Struct, gc=False):
    uri: str | None = None
    url: str | None = None
    mime: str | None = None
    name: str | None = None


class _Content(Struct, gc=False):
    text: str | None = None


class _ToolState(Struct):
    status: str | None = None
    input: Raw = NOTHING
    content: list[_Content] | None = None
    error: Problem | None = None


class _Part(Struct):
    type: str | None = None
    id: str | None = None
    text: str | None = None
    name: str | None = None
    state: _ToolState | None = None
    time: Time | None = None


class _Message(Struct):
    text: str | None = None
    files: list[_File] | None = None
    content: Raw = NOTHING
    model: Model | None = None
    tokens: TokenCounts | None = None
    error: Problem | None = None
    time: Time | None = None
    summary: str | None = None


class SecondSession(Session):
    """Tells the rows of one session of version 2."""

    def message(self, item: Item, whose: Whose) -> Read:  # noqa: ARG002  # they are their own
        found = loosely(_Message, item.content)
        if found is None:
            return Read(item.size, "bad")
        message, line, drifted = found
        started_ms = (message.time.created if message.time else None) or item.created_ms
        about = About(item.kind, item.id, timestamp=instant_of_ms(started_ms) or None)
        telling = _Telling(self, about, 0, line)
        telling.message = message
        telling.age_ms = self.now_ms() - item.updated_ms
        verdict, events = telling.told()
        if telling.is_open:
            self.leave_open(item)
        if drifted and verdict == "parsed":
            verdict, whole = telling.raw(f"{item.kind} (unfamiliar shape)")
            events = events + [named(event, "/whole") for event in whole]
        return Read(item.size, verdict, events)


class _Telling(Telling):
    __slots__ = ("age_ms", "is_open", "message")

    message: _Message
    age_ms: float

    def told(self) -> Told:
        self.is_open = False
        kind, message = self.about.type or NO_TYPE, self.message
        if kind == "user":
            return "parsed", [self.said(message.text or ""), *self._files()]
        if kind == "assistant":
            return self._assistant()
        if kind in SAID_BY_PROGRAMS:
            return "parsed", [self.event(Kind.SYSTEM, message.text or "")]
        if kind == "compaction":
            mark = named(self.event(Kind.SESSION_COMPACTED, ""), "/compacted")
            return "parsed", [mark, self.event(Kind.SESSION_SUMMARIZED, message.summary or "")]
        if kind in NOTES:
            return "parsed", [self.info(kind)]
        return self.raw(f"message/{kind}")

    def _files(self) -> list[Event]:
        events = []
        for number, file in enumerate((self.message.files or ())[:PARTS_MAX]):
            payload = payload_of_url(file.uri or file.url or "")
            payload.media_type = payload.media_type or file.mime
            event = self.payload("document", payload, "user")
            events.append(named(event, f"/file/{number}"))
        return events

    def _assistant(self) -> Told:
        message = self.message
        model = ((message.model.id or message.model.model_id) if message.model else None) or ""
        if model:
            self.memory.facts.model = model[:NAME_CHARS_MAX]
        raws = items_of(message.content)
        if len(raws) > PARTS_MAX:
            return self.raw("message/assistant (too many parts)")
        is_finished = bool(message.error or (message.time is not None and message.time.completed))
        may_grow = not is_finished and abs(self.age_ms) < QUIET_MS
        events: list[Event] = []
        for number, raw in enumerate(raws):
            found = loosely(_Part, bytes(raw))
            part = found[0] if found else _Part()
            grows = may_grow and _may_grow(part, is_last=number == len(raws) - 1)
            self.is_open = self.is_open or grows
            suffix = f"/{part.id or number}"
            events += [named(event, suffix) for event in self._part(part, raw, model, grows=grows)]
        if is_finished:
            events += self._ending(model)
        return "parsed", events

    def _ending(self, model: str) -> list[Event]:
        message = self.message
        spent = message.tokens.usage() if message.tokens else NO_USAGE
        if spent == NO_USAGE and message.error is None:
            return []
        self._usage = spent if spent != NO_USAGE else None
        text = f"error: {message.error.text}" if message.error else "tokens"
        said = {"tokens": message.tokens, "error": message.error and message.error.text}
        return [self.event(Kind.PROVIDER_INFO, text, data=Raw(_encode(said)), model=model)]

    def _part(self, part: _Part, raw: Raw, model: str, *, grows: bool) -> list[Event]:
        if part.type == "tool" and part.state is not None:
            return self._tool(part, part.state, model, grows=grows)
        if part.type not in ("text", "reasoning"):
            return [self.raw_part(f"assistant/{part.type or NO_TYPE}", bytes(raw))]
        if grows or not part.text:
            return []
        kind = Kind.ASSISTANT if part.type == "text" else Kind.THINKING
        return [self.event(kind, part.text, actor="assistant", model=model)]

    def _tool(self, part: _Part, state: _ToolState, model: str, *, grows: bool) -> list[Event]:
        if state.status == "pending" and grows:
            return []
        name, identity = part.name or "tool", part.id or ""
        given = clean(bytes(state.input)) if is_there(state.input) else EMPTY
        call = self.event(
            Kind.TOOL_CALL,
            brief(name, given),
            actor="assistant",
            data=Raw(_encode(ToolCall(identity, name, given))),
            model=model,
        )
        if state.status in UNFINISHED:
            return [call]
        texts = [each.text for each in state.content or () if each.text]
        failed = state.error.text if state.error else ""
        result = self.event(
            Kind.TOOL_RESULT,
            "\n".join(filter(None, [failed, *texts])),
            actor="tool",
            data=Raw(_encode(ToolResult(identity, name, state.status == "error"))),
        )
        return [call, named(result, RESULT)]


def _may_grow(part: _Part, *, is_last: bool) -> bool:
    if part.type == "tool":
        return part.state is not None and part.state.status in UNFINISHED
    if part.type == "reasoning" and part.time is not None and part.time.completed:
        return False
    return is_last
