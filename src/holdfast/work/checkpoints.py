"""Checkpoints: an agent asks and waits, a person decides. Each comes to exactly one end.

    pending ─approve─> approved
       ├────reject───> rejected
       ├────cancel───> cancelled      by whoever asked, or because its session ended
       └──its time───> expired

The end is the first of these events in the log, and nothing but the log decides: a deadline that
has passed does not end a checkpoint, the event does that the daemon stores then. So an answer that
is stored before it counts, and whoever waits is told the same as whoever asks after a restart.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from holdfast.clock import instant
from holdfast.events import Event
from holdfast.journal.streams import NewEvent
from holdfast.work.entities import NotValid, TooMany, WrongState, changed, checked
from holdfast.work.shelf import Shelf

STREAM: Final = "holdfast/checkpoints"
State = Literal["pending", "approved", "rejected", "expired", "cancelled"]
Answer = Literal["approved", "rejected"]
OPTIONS_MAX: Final = 20
EXPIRY_MAX_S: Final = 366 * 86_400
CHECKPOINT_BYTES: Final = 1_200  # of one besides its texts, with its deadline, measured


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    id: str
    title: str
    question: str
    state: State
    created_ms: int
    options: tuple[str, ...] = ()
    template: str = ""
    session: str = ""
    task: str = ""
    by: str = ""  # who asks
    key: str = ""
    expires_ms: int = 0  # 0: never
    ended_ms: int = 0
    ended_by: str = ""
    comment: str = ""
    option: str = ""  # the one that was chosen

    @property
    def is_open(self) -> bool:
        return self.state == "pending"

    @property
    def bytes(self) -> int:
        texts = len(self.title) + len(self.question) + len(self.comment)
        return CHECKPOINT_BYTES + texts + sum(map(len, self.options))


class NewCheckpoint(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What somebody asks. With a template, title, question and options are as it says."""

    title: str = ""
    question: str = ""
    options: tuple[Annotated[str, Meta(min_length=1)], ...] = ()
    template: str = ""
    fields: dict[str, str] = {}
    expires_s: Annotated[int, Meta(ge=0, le=EXPIRY_MAX_S)] | None = None  # 0: never
    session: str = ""
    task: str = ""
    key: str = ""
    by: str = ""


class Change(msgspec.Struct, omit_defaults=True):
    """The data of each event of a checkpoint, and when that was decided."""

    at_ms: int
    question: str = ""
    options: tuple[str, ...] = ()
    template: str = ""
    session: str = ""
    task: str = ""
    expires_ms: int = 0
    option: str = ""


_change: Final = msgspec.json.Decoder(Change)
_ENDS: Final[dict[str, State]] = {
    "checkpoint.approved": "approved",
    "checkpoint.rejected": "rejected",
    "checkpoint.expired": "expired",
    "checkpoint.cancelled": "cancelled",
}


class Checkpoints(Shelf[Checkpoint]):
    """The projection. Also what commands decide by."""

    name = "checkpoints"
    version = 1
    streams = (STREAM,)

    def __init__(self, *, retain_ms: int, open_max: int) -> None:
        super().__init__(Checkpoint, retain_ms=retain_ms, open_max=open_max)

    def apply(self, event: Event) -> None:
        try:
            change = _change.decode(event.data)
        except msgspec.DecodeError:  # of another version: what it changed is not known here
            return
        known = self.get(event.correlation)
        if known is None and event.kind == "checkpoint.requested":
            self.keep(_requested(event, change))
        elif known is not None and known.is_open and event.kind in _ENDS:
            self.keep(_ended(known, event, change))
        self.forget(change.at_ms)


def _requested(event: Event, change: Change) -> Checkpoint:
    return Checkpoint(
        id=event.correlation,
        title=event.text,
        question=change.question,
        state="pending",
        created_ms=change.at_ms,
        options=change.options,
        template=change.template,
        session=change.session,
        task=change.task,
        by=event.actor or "",
        key=event.key,
        expires_ms=change.expires_ms,
    )


def _ended(checkpoint: Checkpoint, event: Event, change: Change) -> Checkpoint:
    return msgspec.structs.replace(
        checkpoint,
        state=_ENDS[event.kind],
        ended_ms=change.at_ms,
        ended_by=event.actor or "",
        comment=event.text,
        option=change.option,
    )


# What may be done: state, command and time in, events out.


def request(
    checkpoints: Checkpoints, checkpoint: str, wanted: NewCheckpoint, now_ms: int
) -> list[NewEvent]:
    """`wanted` is filled in: a template has been applied, and it has its span."""
    checked(title=wanted.title, question=wanted.question, by=wanted.by, key=wanted.key)
    checked(session=wanted.session, task=wanted.task)
    if checkpoints.get(checkpoint) is not None:
        return []  # the same key again
    if not wanted.title.strip():
        raise NotValid("a checkpoint needs a title: what is to be decided, in a line")
    if len(wanted.options) > OPTIONS_MAX or len(set(wanted.options)) < len(wanted.options):
        raise NotValid(f"give up to {OPTIONS_MAX} options, each once")
    for option in wanted.options:
        checked(option=option)
    if checkpoints.open_count >= checkpoints.open_max:
        raise TooMany(
            f"{checkpoints.open_count:,} checkpoints wait for an answer, as many as "
            "checkpoints.max_pending allows: answer some (`holdfast checkpoints`)"
        )
    change = Change(
        at_ms=now_ms,
        question=wanted.question,
        options=wanted.options,
        template=wanted.template,
        session=wanted.session,
        task=wanted.task,
        expires_ms=now_ms + wanted.expires_s * 1_000 if wanted.expires_s else 0,
    )
    key = wanted.key and f"request:{wanted.key}"
    kind = "checkpoint.requested"
    return [changed(kind, checkpoint, change, text=wanted.title, by=wanted.by, key=key)]


def resolve(
    checkpoints: Checkpoints,
    checkpoint: str,
    answer: Answer,
    *,
    by: str,
    comment: str,
    option: str,
    now_ms: int,
) -> list[NewEvent]:
    checked(by=by, comment=comment)
    known = _pending(checkpoints, checkpoint)
    if option and option not in known.options:
        offered = ", ".join(known.options) or "none are offered; say it in a comment"
        raise NotValid(f"{option!r} is none of the options of {checkpoint}: {offered}")
    change = Change(now_ms, option=option)
    return [changed(f"checkpoint.{answer}", checkpoint, change, text=comment, by=by)]


def cancel(
    checkpoints: Checkpoints, checkpoint: str, *, by: str, comment: str, now_ms: int
) -> list[NewEvent]:
    checked(by=by, comment=comment)
    _pending(checkpoints, checkpoint)
    return [changed("checkpoint.cancelled", checkpoint, Change(now_ms), text=comment, by=by)]


def expire(checkpoints: Checkpoints, now_ms: int) -> list[NewEvent]:
    """All whose time has come."""
    return [
        changed("checkpoint.expired", each.id, Change(now_ms))
        for each in checkpoints.open
        if each.expires_ms and each.expires_ms <= now_ms
    ]


def end_session(checkpoints: Checkpoints, session: str, now_ms: int) -> list[NewEvent]:
    """Who asked is gone: nobody waits for an answer."""
    why = f"its session {session} ended"
    return [
        changed("checkpoint.cancelled", each.id, Change(now_ms), text=why)
        for each in checkpoints.open
        if each.session == session
    ]


def _pending(checkpoints: Checkpoints, checkpoint: str) -> Checkpoint:
    known = checkpoints.get(checkpoint)
    assert known is not None, f"{checkpoint} was looked up before"
    if not known.is_open:
        raise WrongState(f"checkpoint {checkpoint} {how_it_ended(known)}: nothing was changed")
    return known


def how_it_ended(checkpoint: Checkpoint) -> str:
    """`was approved by hana at 2026-03-01T09:00:00.000Z`."""
    was = "expired" if checkpoint.state == "expired" else f"was {checkpoint.state}"
    who = f" by {checkpoint.ended_by}" if checkpoint.ended_by else ""
    return f"{was}{who} at {instant(checkpoint.ended_ms / 1_000)}"
