"""Made-up conversations."""

from __future__ import annotations

from holdfast.events import EMPTY, Event, Kind, event_id, session_id

SESSION = session_id("claude", "made-up")


def event(seq: int, kind: str, text: str, **more: object) -> Event:
    fields: dict[str, object] = {
        "id": event_id(SESSION, 0, seq * 10, 0),
        "session": SESSION,
        "seq": seq,
        "kind": kind,
        "at": f"2026-11-20T10:00:{seq % 60:02}.000Z",
        "text": text,
        "data": EMPTY,
        "source": None,
        "actor": "user" if kind in {Kind.USER, Kind.DECISION_ACCEPTED} else "assistant",
    }
    return Event(**(fields | more))  # type: ignore[arg-type]  # fields of any type, by name


def user(text: str, seq: int = 0, **more: object) -> Event:
    return event(seq, Kind.USER, text, **more)


def agent(text: str, seq: int = 0, **more: object) -> Event:
    return event(seq, Kind.ASSISTANT, text, **more)


def talk(*turns: str) -> list[Event]:
    """A person and an agent in turns; the person begins."""
    return [(user, agent)[seq % 2](text, seq) for seq, text in enumerate(turns)]
