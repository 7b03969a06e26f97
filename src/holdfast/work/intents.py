"""Intents: workflows that outlive whoever runs them.

    active ─progress─> active       each with a memo: what it takes to go on from here
       ├───complete──> completed
       └─────fail────> failed ─resume─> active

Whoever takes one up - after a crash, on another day, another agent - resumes it and is given the
memo that was left last. From then on the memo is theirs: who worked on it before and does not know
that it was taken up, or repeats what was not answered, would send them back.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from holdfast.clock import instant
from holdfast.events import Event
from holdfast.journal.streams import NewEvent
from holdfast.work.entities import NotValid, TooMany, WrongState, changed, checked
from holdfast.work.shelf import Shelf

STREAM: Final = "holdfast/intents"
State = Literal["active", "completed", "failed"]
INTENT_BYTES: Final = 500  # of one besides its texts, measured


class Intent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    id: str
    title: str
    state: State
    created_ms: int
    changed_ms: int
    by: str = ""
    key: str = ""
    session: str = ""
    worker: str = ""  # who resumed it last
    resumed: int = 0  # how often
    pct: float | None = None
    note: str = ""
    memo: str = ""
    ended_ms: int = 0
    result: str = ""
    reason: str = ""  # why it failed

    @property
    def is_open(self) -> bool:
        return self.state == "active"

    @property
    def bytes(self) -> int:
        texts = len(self.title) + len(self.note) + len(self.memo)
        return INTENT_BYTES + texts + len(self.result) + len(self.reason)


class NewIntent(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    title: str
    memo: str = ""
    session: str = ""
    key: str = ""
    by: str = ""


class Change(msgspec.Struct, omit_defaults=True):
    """The data of each event of an intent, and when that was decided."""

    at_ms: int
    session: str = ""
    pct: float | None = None
    memo: str = ""
    result: str = ""


_change: Final = msgspec.json.Decoder(Change)


class Intents(Shelf[Intent]):
    """The projection. Also what commands decide by."""

    name = "intents"
    version = 1
    streams = (STREAM,)

    def __init__(self, *, retain_ms: int, open_max: int) -> None:
        super().__init__(Intent, retain_ms=retain_ms, open_max=open_max)

    def apply(self, event: Event) -> None:
        try:
            change = _change.decode(event.data)
        except msgspec.DecodeError:  # of another version: what it changed is not known here
            return
        after = after_event(self.get(event.correlation), event, change)
        if after is not None:
            self.keep(after)
        self.forget(change.at_ms)


def after_event(intent: Intent | None, event: Event, change: Change) -> Intent | None:
    """The state after an event; None for an event that changes nothing that is known."""
    if intent is None:
        return _created(event, change) if event.kind == "intent.created" else None
    resumes = event.kind == "intent.resumed" and intent.state != "completed"
    if not intent.is_open and not resumes:
        return None
    replaced: dict[str, object] = {"changed_ms": change.at_ms}
    if resumes:
        replaced |= {
            "state": "active",
            "worker": event.actor or "",
            "resumed": intent.resumed + 1,
            "ended_ms": 0,
            "reason": "",
        }
    elif event.kind == "intent.progress":
        replaced |= {
            "pct": intent.pct if change.pct is None else change.pct,
            "note": event.text or intent.note,
            "memo": change.memo or intent.memo,
        }
    elif event.kind == "intent.completed":
        replaced |= {"state": "completed", "ended_ms": change.at_ms, "result": change.result}
    elif event.kind == "intent.failed":
        replaced |= {"state": "failed", "ended_ms": change.at_ms, "reason": event.text}
    else:
        return None
    return msgspec.structs.replace(intent, **replaced)


def _created(event: Event, change: Change) -> Intent:
    return Intent(
        id=event.correlation,
        title=event.text,
        state="active",
        created_ms=change.at_ms,
        changed_ms=change.at_ms,
        by=event.actor or "",
        key=event.key,
        session=change.session,
        memo=change.memo,
    )


# What may be done: state, command and time in, events out.


def create(intents: Intents, intent: str, wanted: NewIntent, now_ms: int) -> list[NewEvent]:
    checked(title=wanted.title, memo=wanted.memo, by=wanted.by, key=wanted.key)
    checked(session=wanted.session)
    if not wanted.title.strip():
        raise NotValid("an intent needs a title: what it is to come to, in a line")
    if intents.get(intent) is not None:
        return []  # the same key again
    if intents.open_count >= intents.open_max:
        raise TooMany(
            f"{intents.open_count:,} intents are active, as many as intents.max_active allows: "
            "complete some, or end them with `holdfast intents fail`"
        )
    change = Change(now_ms, session=wanted.session, memo=wanted.memo)
    key = wanted.key and f"create:{wanted.key}"
    return [changed("intent.created", intent, change, text=wanted.title, by=wanted.by, key=key)]


def progress(
    intents: Intents,
    intent: str,
    *,
    pct: float | None,
    note: str,
    memo: str,
    by: str,
    now_ms: int,
) -> list[NewEvent]:
    checked(note=note, memo=memo, by=by)
    if pct is None and not note and not memo:
        raise NotValid("say how far it is: pct, note, memo, or some of them")
    if pct is not None and not 0 <= pct <= 100:  # percent
        raise NotValid(f"pct is a number from 0 to 100, not {pct}")
    known = _active(intents, intent, "make progress")
    if memo and by and known.worker not in ("", by):
        raise WrongState(
            f"intent {intent} was taken up by {known.worker} meanwhile, whose memo stays: stop, "
            f"or `holdfast intents resume {intent} --by {by}` to take it back and read what is done"
        )
    return [
        changed("intent.progress", intent, Change(now_ms, pct=pct, memo=memo), text=note, by=by)
    ]


def complete(intents: Intents, intent: str, result: str, by: str, now_ms: int) -> list[NewEvent]:
    checked(result=result, by=by)
    _active(intents, intent, "be completed")
    return [changed("intent.completed", intent, Change(now_ms, result=result), text=result, by=by)]


def fail(intents: Intents, intent: str, reason: str, by: str, now_ms: int) -> list[NewEvent]:
    checked(reason=reason, by=by)
    _active(intents, intent, "fail")
    return [changed("intent.failed", intent, Change(now_ms), text=reason, by=by)]


def resume(intents: Intents, intent: str, by: str, now_ms: int) -> list[NewEvent]:
    """An active one too: whoever ran it may be gone without a word."""
    checked(by=by)
    known = _known(intents, intent)
    if known.state == "completed":
        raise WrongState(f"intent {intent} cannot be resumed: it {_over(known)}")
    return [changed("intent.resumed", intent, Change(now_ms), by=by)]


def _active(intents: Intents, intent: str, what: str) -> Intent:
    known = _known(intents, intent)
    if not known.is_open:
        again = "; `resume` takes it up again" if known.state == "failed" else ""
        raise WrongState(f"intent {intent} cannot {what}: it {_over(known)}{again}")
    return known


def _known(intents: Intents, intent: str) -> Intent:
    known = intents.get(intent)
    assert known is not None, f"{intent} was looked up before"
    return known


def _over(intent: Intent) -> str:
    word = "was completed" if intent.state == "completed" else "failed"
    return f"{word} at {instant(intent.ended_ms / 1_000)}"
