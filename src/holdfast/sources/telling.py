"""What the parsers of all agents share: what they remember, and how a record is told as events.

A parser of an agent is a `LineParser` that says how its records are read and told. This module
deals with everything that makes a line unlike a record: bytes that are no JSON, shapes that
drifted, too many parts; with what stands in every event; and with the bounds that keep an event
from growing far beyond its record, whatever the record holds.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final, Generic, Protocol, TypeVar

import msgspec
from msgspec import Raw

from holdfast.events import EMPTY, Actor, Event, Kind, Origin, Usage, session_id
from holdfast.journal.model import NO_USAGE, Facts, TitleRank, Verdict
from holdfast.sources.base import BlobSink, Log
from holdfast.sources.loose import UNREADABLE, Tokens
from holdfast.sources.mending import SPACE, is_dense, is_json, mended
from holdfast.sources.payloads import Payload, stored, without_payloads
from holdfast.sources.text import instant, one_line

TITLE_CHARS: Final = 100
PARTS_MAX: Final = 4_096  # of one message
FEW_PARTS: Final = 8  # more of them share no long names
NAME_CHARS_MAX: Final = 256
PATH_CHARS_MAX: Final = 4_096
REMEMBERED_REQUESTS: Final = 16
REMEMBERED_TOOLS: Final = 64
DENSE_BYTES_MIN: Final = 262_144  # shorter lines are decoded whatever they are made of
NO_TYPE: Final = "(no type)"

Told = tuple[Verdict, list[Event]]

_encode = msgspec.json.Encoder().encode


class Memory(msgspec.Struct):
    """What reading on needs: bounded, whatever the log holds. Agents add fields of their own."""

    facts: Facts
    turn: int = 0
    last_at: str = ""
    # request -> usage already counted, the newest last
    requests: dict[str, tuple[int, int, int, int]] = {}
    # tool calls whose results say more than their text: id -> name
    awaited: dict[str, str] = {}


M = TypeVar("M", bound=Memory)
R = TypeVar("R")


class Described(Protocol):
    """What a record says of itself and of its session, as far as it does.

    Records whose fields have these names are used as they are; others make an `About`.
    """

    type: str | None
    uuid: str | None
    parent_uuid: str | None
    timestamp: str | None
    cwd: str | None
    git_branch: str | None
    version: str | None
    is_sidechain: bool | None


class About(msgspec.Struct, rename="camel", gc=False):
    type: str | None = None
    uuid: str | None = None
    parent_uuid: str | None = None
    timestamp: str | None = None
    cwd: str | None = None
    git_branch: str | None = None
    version: str | None = None
    is_sidechain: bool | None = None


read_outline: Final = msgspec.json.Decoder(About).decode


class Teller(Protocol):
    """Of a parser, what telling a record needs."""

    agent: ClassVar[str]
    relative: str
    blobs: BlobSink
    facts: Facts
    unknown: dict[str, tuple[int, int]]

    @property
    def memory(self) -> Memory: ...


class Telling:
    """One record on its way to events; each agent has a subclass that says how it is `told`."""

    __slots__ = (
        "_usage",
        "about",
        "at",
        "branch",
        "cwd",
        "line",
        "memory",
        "origin",
        "parser",
        "sidechain",
    )

    def __init__(self, parser: Teller, about: Described, offset: int, line: bytes) -> None:
        self.parser = parser
        self.line = line
        self.memory = parser.memory
        self.about = about
        self.at = instant(about.timestamp) or self.memory.last_at
        self.cwd = about.cwd or ""
        self.branch = about.git_branch or ""
        self.sidechain = bool(about.is_sidechain)
        self.origin = Origin(
            parser.agent, parser.relative, offset, about.uuid or "", about.parent_uuid or ""
        )
        self._usage: Usage | None = None
        self._learn()

    def told(self) -> Told:
        raise NotImplementedError

    def _learn(self) -> None:
        """What the record says about its session, whatever else it says."""
        about, facts = self.about, self.memory.facts
        if about.timestamp:
            self.memory.last_at = self.at
            if not facts.started_at or self.at < facts.started_at:
                facts.started_at = self.at
            facts.updated_at = max(facts.updated_at, self.at)
        if about.uuid and not facts.first_uuid:
            facts.first_uuid = about.uuid[:NAME_CHARS_MAX]
        if about.cwd and about.cwd != facts.cwd:
            facts.cwd = about.cwd[:PATH_CHARS_MAX]
            facts.project = facts.project or facts.cwd
        if self.branch and self.branch != facts.branch:
            facts.branch = self.branch[:NAME_CHARS_MAX]
        if about.version and about.version != facts.agent_version:
            facts.agent_version = about.version[:NAME_CHARS_MAX]

    def shorten(self) -> None:
        """What stands in every event of a record must not be most of the record."""
        self.cwd = self.cwd[:PATH_CHARS_MAX]
        self.branch = self.branch[:NAME_CHARS_MAX]
        self.origin = msgspec.structs.replace(
            self.origin,
            uuid=self.origin.uuid[:NAME_CHARS_MAX],
            parent=self.origin.parent[:NAME_CHARS_MAX],
        )

    def event(
        self,
        kind: str,
        text: str,
        *,
        actor: Actor | None = "system",
        data: Raw = EMPTY,
        model: str = "",
    ) -> Event:
        usage, self._usage = self._usage, None  # the first event of a record carries its tokens
        return Event(
            id="",
            session=self.memory.facts.id,
            seq=-1,
            kind=kind,
            at=self.at,
            text=text,
            data=data,
            source=self.origin,
            actor=actor,
            turn=self.memory.turn,
            model=model,
            cwd=self.cwd,
            branch=self.branch,
            sidechain=self.sidechain,
            usage=usage,
        )

    def said(self, words: str, data: Raw = EMPTY) -> Event:
        """What the person typed: a turn begins."""
        facts = self.memory.facts
        if not self.sidechain or facts.parent:
            self.memory.turn += 1
        self.titled_by_prompt(words)
        return self.event(Kind.USER, words, actor="user", data=data)

    def titled_by_prompt(self, words: str) -> None:
        if self.memory.facts.title_rank < TitleRank.PROMPT and not words.startswith("/"):
            if "::" in words:  # commands to holdfast are not what the session is about
                lines = [line for line in words.split("\n") if not line.lstrip().startswith("::")]
                words = "\n".join(lines).strip()
            self.titled(words, TitleRank.PROMPT)

    def titled(self, title: str, rank: TitleRank) -> None:
        facts = self.memory.facts
        if title and rank >= facts.title_rank:
            facts.title = one_line(title, TITLE_CHARS)
            facts.title_rank = rank

    def info(self, name: str, text: str = "") -> Event:
        """Something about the work that is neither said nor done; the record is kept with it."""
        return self.event(Kind.PROVIDER_INFO, text or name, data=self.whole())

    def raw(self, name: str) -> Told:
        """Kept as it is, and counted under its name."""
        self.count_unknown(name, len(self.line.strip(SPACE)))
        return "unknown", [self.event(Kind.PROVIDER_RAW, "", data=self.whole())]

    def raw_part(self, name: str, part: bytes) -> Event:
        """A part that we do not know, as it stands in a record that we do."""
        self.count_unknown(name, 0)
        return self.event(Kind.PROVIDER_RAW, "", data=self.kept(part))

    def count_unknown(self, name: str, size: int) -> None:
        name = name[:NAME_CHARS_MAX]
        records, before = self.parser.unknown.get(name, (0, 0))
        self.parser.unknown[name] = (records + 1, before + size)

    def whole(self) -> Raw:
        return self.kept(self.line.strip(SPACE))

    def kept(self, content: bytes) -> Raw:
        return without_payloads(content, self.parser.blobs)

    def payload(self, kind: str, source: Payload, actor: Actor) -> Event:
        """An image or a document, named where it stood in the conversation."""
        about = {"type": kind, **stored(source, self.parser.blobs)}
        what = f"[{kind}: {about['media_type'] or 'unknown type'}, {about['bytes']:,} bytes]"
        event_kind = Kind.USER if actor == "user" else Kind.ASSISTANT
        return self.event(event_kind, what, actor=actor, data=Raw(_encode(about)))

    def count_tokens(
        self,
        key: str,
        *,
        fresh: Tokens = 0,
        output: Tokens = 0,
        cache_read: Tokens = 0,
        cache_write: Tokens = 0,
    ) -> None:
        """What this record adds to what its request was already counted with.

        Agents tell the running figures of a request again and again: the largest count once.
        Without a key each record is a request of its own.
        """
        now = (fresh or 0, output or 0, cache_read or 0, cache_write or 0)
        before = self.memory.requests.pop(key, None) if key else None
        if before is None:
            added = Usage(*now)
        else:
            now = tuple(map(max, now, before))  # type: ignore[assignment]  # four stay four
            added = Usage(*map(int.__sub__, now, before))
        remember(self.memory.requests, key, now, REMEMBERED_REQUESTS)
        if added != NO_USAGE:
            self._usage = added

    def await_result(self, identity: str, name: str) -> None:
        remember(self.memory.awaited, identity, name, REMEMBERED_TOOLS)

    def awaited(self, identity: str) -> str:
        return self.memory.awaited.pop(identity, "")


class LineParser(Generic[R, M]):
    """A parser of JSON lines. R is the shape of a record, M what is remembered between them."""

    agent: ClassVar[str]
    memory_type: type[M]

    def __init__(self, log: Log, state: bytes, blobs: BlobSink) -> None:
        self.blobs = blobs
        self.relative = log.relative
        self.memory: M
        if state:
            self.memory = msgspec.msgpack.decode(state, type=self.memory_type)
        else:
            self.memory = self.memory_type(first_facts(log))
        self.facts = self.memory.facts
        self.unknown: dict[str, tuple[int, int]] = {}

    def state(self) -> bytes:
        return msgspec.msgpack.encode(self.memory)

    def oversized(self, offset: int, head: bytes, length: int) -> Told | None:  # noqa: ARG002
        """Nothing is known of such lines, unless an agent says so."""
        return None

    # What an agent says about its records.

    def read(self, line: bytes) -> R:
        """A record of the expected shape; raises what decoding raises."""
        raise NotImplementedError

    def understood(self, line: bytes) -> R | None:
        """What can be read of an object with an unfamiliar shape; None when it is no object."""
        raise NotImplementedError

    def outline(self, line: bytes) -> Described:
        """Of a record that is not decoded any further."""
        raise NotImplementedError

    def is_skipped(self, record: R) -> bool:
        """Whether it is known to be worth nothing later."""
        raise NotImplementedError

    def telling(self, record: R, offset: int, line: bytes) -> Telling:
        raise NotImplementedError

    # From lines to records.

    def parse(self, offset: int, line: bytes) -> Told:
        if len(line) > DENSE_BYTES_MIN and is_dense(line):
            return self._dense(offset, line)
        try:
            record = self.read(line)
        except msgspec.ValidationError:
            return self._drifted(offset, line)
        except UNREADABLE:
            return self._mended(offset, line)
        if self.is_skipped(record):
            return "skipped", []
        return self.telling(record, offset, line).told()

    def _dense(self, offset: int, line: bytes) -> Told:
        """Made of so many small things that decoding it would take many times its size."""
        if not is_json(line):
            return self._mended(offset, line)
        if not line.lstrip().startswith(b"{"):
            return "bad", []
        about = self.outline(line)
        name = f"{about.type or NO_TYPE} (too many parts)"
        return Telling(self, about, offset, line).raw(name)

    def _drifted(self, offset: int, line: bytes) -> Told:
        """Valid JSON with an unfamiliar shape: what is understood of it, and the whole of it."""
        try:
            record = self.understood(line)
        except UNREADABLE:
            return self._mended(offset, line)
        if record is None:
            return "bad", []
        if self.is_skipped(record):
            return "skipped", []
        telling = self.telling(record, offset, line)
        verdict, events = telling.told()
        if verdict == "parsed":
            verdict, whole = telling.raw(f"{telling.about.type} (unfamiliar shape)")
            events += whole
        return verdict, events

    def _mended(self, offset: int, line: bytes) -> Told:
        """Not JSON, until what can be mended is."""
        whole = mended(line)
        if whole is not line:
            return self.parse(offset, whole)
        return ("bad" if line.strip() else "skipped"), []


def first_facts(log: Log) -> Facts:
    return Facts(
        id=session_id(log.agent, log.agent_session_id),
        agent=log.agent,
        agent_session_id=log.agent_session_id,
        parent=session_id(log.agent, log.parent) if log.parent else "",
    )


def remember(memory: dict[str, Any], key: str, value: object, most: int) -> None:
    if 0 < len(key) <= 2 * NAME_CHARS_MAX:
        memory[key] = value
    if len(memory) > most:
        del memory[next(iter(memory))]
