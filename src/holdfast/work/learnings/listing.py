"""Learnings as people ask for them: of one type, of one session, since a time."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from holdfast.events import Event
from holdfast.work.learnings.captures import FOUND, FoundData

SOURCES_MAX = 20  # of one learning, the newest; `times` counts all of them


class LearningSource(msgspec.Struct, frozen=True):
    session: str
    seq: int
    event: str
    at: str
    said_by: str
    quote: str


class LearningEntry(msgspec.Struct):
    """A learning as `learnings --json` lists it."""

    id: str
    type: str
    text: str
    rule: str
    confidence: float
    times: int
    first_at: str
    last_at: str
    sources: list[LearningSource]


class LearningFilter(msgspec.Struct, frozen=True, kw_only=True):
    type: str = ""
    session: str = ""  # its id
    since: str = ""  # when it was said, as events write times
    limit: int | None = None


def list_learnings(events: Iterable[Event], wanted: LearningFilter) -> list[LearningEntry]:
    """What was said last is first. Events are those of the stream."""
    found: dict[str, LearningEntry] = {}
    gone: set[str] = set()
    for event in events:
        if event.kind == "learning.superseded":
            gone.add(event.correlation)
        if event.kind != FOUND:
            continue
        try:
            data = msgspec.json.decode(event.data, type=FoundData)
        except msgspec.DecodeError:
            continue
        if _fits(data, event, wanted):
            _add(found, event, data)
    kept = [entry for entry in found.values() if entry.id not in gone]
    kept.sort(key=lambda entry: entry.last_at, reverse=True)
    return kept[: wanted.limit]


def _fits(data: FoundData, event: Event, wanted: LearningFilter) -> bool:
    return (
        (not wanted.type or data.type == wanted.type)
        and (not wanted.session or data.session == wanted.session)
        and (data.said_at or event.at) >= wanted.since
    )


def _add(found: dict[str, LearningEntry], event: Event, data: FoundData) -> None:
    at = data.said_at or event.at
    source = LearningSource(data.session, data.seq, data.event, at, data.said_by, data.quote)
    entry = found.get(event.correlation)
    if entry is None:
        entry = found[event.correlation] = LearningEntry(
            event.correlation, data.type, event.text, data.rule, data.confidence, 0, at, at, []
        )
    entry.times += 1
    entry.confidence = max(entry.confidence, data.confidence)
    entry.first_at, entry.last_at = min(entry.first_at, at), max(entry.last_at, at)
    entry.sources = [*entry.sources, source][-SOURCES_MAX:]
