"""Learnings as people ask for them."""

from __future__ import annotations

import msgspec

from holdfast.events import Event, event_id, stream_id
from holdfast.work.learnings import STREAM, Learning, LearningFilter, Place, list_learnings
from holdfast.work.learnings.captures import found_event
from holdfast.work.learnings.listing import SOURCES_MAX


def stored(seq: int, text: str, session: str = "a", kind: str = "preference") -> Event:
    at = f"2026-11-{seq + 1:02}T10:00:00.000Z"
    place = Place(session, seq, f"{session}.0.{seq}.0", text, "user", at)
    new = found_event(Learning(kind, text, "standing", 0.9, place))  # type: ignore[arg-type]  # a type
    return Event(
        id=event_id(stream_id(STREAM), 0, seq, 0),
        session=stream_id(STREAM),
        seq=seq,
        kind=new.kind,
        at="2026-11-30T10:00:00.000Z",
        text=new.text,
        data=new.data,
        source=None,
        correlation=new.correlation,
    )


EVENTS = [
    stored(0, "Use tabs."),
    stored(1, "Drop it.", "b", "decision"),
    stored(2, "use tabs", "b"),
]


def texts(**wanted: object) -> list[str]:
    chosen = msgspec.convert(wanted, LearningFilter)
    return [entry.text for entry in list_learnings(EVENTS, chosen)]


def test_what_was_said_last_is_first_and_the_same_is_one() -> None:
    first, second = list_learnings(EVENTS, LearningFilter())
    assert (first.text, first.times, second.text) == ("Use tabs.", 2, "Drop it.")
    assert [source.session for source in first.sources] == ["a", "b"]
    assert (first.first_at[:10], first.last_at[:10]) == ("2026-11-01", "2026-11-03")


def test_filters() -> None:
    assert texts(type="decision") == ["Drop it."]
    assert texts(session="a") == ["Use tabs."]
    assert texts(session="b") == ["use tabs", "Drop it."]
    assert texts(since="2026-11-02") == ["use tabs", "Drop it."]
    assert texts(since="2026-11-03") == ["use tabs"]
    assert texts(limit=1) == ["Use tabs."]


def test_what_is_superseded_or_unreadable_is_left_out() -> None:
    (about,) = {event.correlation for event in EVENTS[1:2]}
    gone = msgspec.structs.replace(EVENTS[1], kind="learning.superseded", correlation=about)
    odd = msgspec.structs.replace(EVENTS[0], data=msgspec.Raw(b'{"type": 7}'))
    found = list_learnings([*EVENTS, gone, odd], LearningFilter())
    assert [(entry.text, entry.times) for entry in found] == [("Use tabs.", 2)]


def test_many_sources_are_counted_and_the_newest_kept() -> None:
    many = [stored(seq, "Use tabs.", f"s{seq}") for seq in range(SOURCES_MAX + 5)]
    (entry,) = list_learnings(many, LearningFilter())
    assert (entry.times, len(entry.sources)) == (SOURCES_MAX + 5, SOURCES_MAX)
    assert entry.sources[-1].session == f"s{SOURCES_MAX + 4}"
