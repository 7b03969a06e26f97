"""What of a conversation an export shows. Pure: events go in, those that are shown come out.

Everything that is written for people or programs is picked here, so that Markdown, HTML and JSON
lines agree on what `--no-tools` or `--since` leaves out.

The last message of a turn is known only when the turn is over, and a turn can be larger than
memory. So leaving out commentary takes two passes: `LastWords` sees all events, one number a turn
stays, and `pick` compares. Holding events back until the turn ends was rejected for its memory.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Container, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import ClassVar, Final, Protocol, TypeVar

import msgspec

from holdfast.errors import Exit, HoldfastError
from holdfast.events import KINDS, Kind


class UnknownKind(HoldfastError):
    """No kind of event fits the pattern."""

    exit: ClassVar[Exit] = Exit.USAGE


class WrongTime(HoldfastError):
    """It cannot be read as a time."""

    exit: ClassVar[Exit] = Exit.USAGE


class View(msgspec.Struct, frozen=True):
    """Everything that is not switched off here is shown. Decisions and compactions always are."""

    thinking: bool = False
    tools: bool = True
    system: bool = False
    commentary: bool = True  # what the assistant says before its last message of a turn
    since: str = ""  # as events write times; "" is no limit
    until: str = ""  # not included
    kinds: tuple[str, ...] = ()  # exact, or a beginning and `*`; none means all


EVERYTHING: Final = View(thinking=True, tools=True, system=True)


class Glance(msgspec.Struct, gc=False):
    """As much of a canonical line as deciding takes; the rest is not decoded."""

    seq: int
    kind: str
    at: str
    text: str
    turn: int = 0
    sidechain: bool = False


class Seen(Protocol):
    """An `Event`, or a `Glance` at one."""

    seq: int
    kind: str
    at: str
    text: str
    turn: int
    sidechain: bool


AnEvent = TypeVar("AnEvent", bound=Seen)


def pick(
    events: Iterable[AnEvent], view: View, last_words: Container[int] = ()
) -> Iterator[AnEvent]:
    """The events that `view` shows, in their order; `last_words` counts without commentary only."""
    return (event for event in events if is_picked(event, view, last_words))


def is_picked(event: Seen, view: View, last_words: Container[int]) -> bool:
    if not shows(view, event):
        return False
    return view.commentary or event.kind != Kind.ASSISTANT or event.seq in last_words


def shows(view: View, event: Seen) -> bool:
    """By what the event says of itself; whether it is commentary is not in it."""
    if view.kinds and not any(_fits(event.kind, pattern) for pattern in view.kinds):
        return False
    if event.at < view.since or (view.until and event.at >= view.until):
        return False
    match event.kind:
        case Kind.THINKING:
            return view.thinking
        case Kind.TOOL_CALL | Kind.TOOL_RESULT:
            return view.tools
        case Kind.USER | Kind.ASSISTANT | Kind.DECISION_PROPOSED | Kind.DECISION_ACCEPTED:
            return True
        case Kind.SESSION_COMPACTED:
            return True
        case _:
            return view.system


def _fits(kind: str, pattern: str) -> bool:
    if pattern.endswith("*"):
        return kind.startswith(pattern[:-1])
    return kind == pattern


class LastWords:
    """Which assistant's messages are the last of their turn: eight bytes a turn."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._over = array("Q")
        self._turn = -1
        self._open: dict[bool, int] = {}  # a subagent in the same log has last words of its own

    def see(self, event: Seen) -> None:
        """Events come in their order."""
        if event.kind != Kind.ASSISTANT or not shows(self._view, event) or not event.text.strip():
            return
        if event.turn != self._turn:
            self._close()
            self._turn = event.turn
        self._open[event.sidechain] = event.seq

    def _close(self) -> None:
        self._over.extend(sorted(self._open.values()))
        self._open.clear()

    def __contains__(self, seq: object) -> bool:
        if not isinstance(seq, int):
            return False
        place = bisect_left(self._over, seq)
        return self._over[place : place + 1] == array("Q", [seq]) or seq in self._open.values()


def left_out(view: View) -> list[str]:
    """In words, for those who read an export and wonder."""
    out = [
        words
        for shown, words in (
            (view.thinking, "thinking"),
            (view.tools, "tools"),
            (view.commentary, "commentary"),
            (view.system, "system messages"),
        )
        if not shown
    ]
    if view.since:
        out.append(f"what was before {view.since}")
    if view.until:
        out.append(f"what was from {view.until} on")
    if view.kinds:
        out.append(f"all kinds but {', '.join(view.kinds)}")
    return out


def checked_kinds(patterns: Sequence[str]) -> tuple[str, ...]:
    """The patterns; one that no kind fits is a slip of the fingers, and says so."""
    for pattern in patterns:
        if not any(_fits(kind, pattern) for kind in KINDS):
            known = ", ".join(sorted(KINDS))
            raise UnknownKind(
                f"no event is of kind {pattern!r}; write one of these, or a beginning of one "
                f"with * behind it, such as message.*: {known}"
            )
    return tuple(patterns)


def canonical_time(text: str) -> str:
    """A time as events write it, so that the two can be compared; local unless it has a zone."""
    try:
        at = datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise WrongTime(f"{text!r} is no time: write 2026-11-20 or 2026-11-20T14:00Z") from None
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
