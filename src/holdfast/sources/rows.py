"""What telling the rows of a database has in common, whatever agent wrote them."""

from __future__ import annotations

from typing import ClassVar, Final

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from holdfast.events import Event, Kind
from holdfast.journal.model import Facts, TitleRank
from holdfast.sources.base import BlobSink, Log, Read
from holdfast.sources.telling import About, Memory, Telling, first_facts

OVERSIZED: Final = "a row over ingest.max_line_bytes"

_encode: Final = msgspec.json.Encoder().encode


class Conversation:
    """One session on its way to events: what a `Telling` needs, and rows that nobody can hold."""

    agent: ClassVar[str]

    def __init__(self, log: Log, facts: Facts, blobs: BlobSink, prompt_title: str = "") -> None:
        self.relative = log.relative
        self.blobs = blobs
        self.facts = facts
        self.memory = Memory(facts)
        self.unknown: dict[str, tuple[int, int]] = {}
        if prompt_title:
            facts.title, facts.title_rank = prompt_title, TitleRank.PROMPT

    @property
    def prompt_title(self) -> str:
        """What the first prompt made of the title, for later readings."""
        return self.facts.title if self.facts.title_rank == TitleRank.PROMPT else ""

    def telling(self, about: About, line: bytes) -> Telling:
        return Telling(self, about, 0, line)

    def titled(self, title: str, rank: TitleRank, at: str) -> Event:
        """What the agent keeps as the session's title; its event is an item of its own."""
        telling = self.telling(About(timestamp=at or None), b"")
        telling.titled(title, rank)
        return named(telling.event(Kind.SESSION_TITLED, title), "title")

    def oversized(self, about: About, size: int, beginning: bytes, digest: str) -> Read:
        """A row that was put beside the journal unread."""
        preview = beginning.decode("utf-8", "replace")
        what = {"type": OVERSIZED, "bytes": size, "blob": digest, "preview": preview}
        telling = self.telling(about, b"")
        telling.count_unknown(OVERSIZED, size)
        text = f"[a row of {size:,} bytes]"
        return Read(
            size, "unknown", [telling.event(Kind.PROVIDER_RAW, text, data=Raw(_encode(what)))]
        )


def named(event: Event, suffix: str) -> Event:
    """Where an item has several events, each has a name of its own."""
    assert event.source is not None
    event.source = replace(event.source, uuid=event.source.uuid + suffix)
    return event


def session_of(log: Log, agent_session_id: str) -> str:
    """Our id of another session of the same agent."""
    return first_facts(replace(log, agent_session_id=agent_session_id)).id
