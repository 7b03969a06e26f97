"""An event on its way to whoever listens: its position, what it is, and its line, encoded once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from holdfast.errors import HoldfastError
from holdfast.events import STREAM_AGENT
from holdfast.journal.streams import Committed
from holdfast.stream.patterns import Pattern

FRAME_BYTES: Final = 200  # of a frame besides its line, measured


def called(agent: str, name: str) -> str:
    """A session as those who listen call it: a stream by its name, others as agent/id."""
    return name if agent == STREAM_AGENT else f"{agent}/{name}"


class _Glance(msgspec.Struct, gc=False):
    """As much of a line as deciding takes."""

    kind: str
    at: str = ""
    actor: str | None = None
    correlation: str = ""


_glance: Final = msgspec.json.Decoder(_Glance)


class Frame:
    """`sse()` is made at the first asking and kept: a hundred listeners get the same bytes."""

    __slots__ = ("_sse", "actor", "agent", "at", "correlation", "kind", "line", "name", "position")

    def __init__(self, position: int, agent: str, name: str, line: bytes) -> None:
        self.position, self.agent, self.name, self.line = position, agent, name, line
        try:
            seen = _glance.decode(line)
        except (msgspec.DecodeError, RecursionError) as error:
            raise UnreadableLine(f"event {position} cannot be read: {error}") from error
        self.kind, self.at, self.actor = seen.kind, seen.at, seen.actor or ""
        self.correlation = seen.correlation
        self._sse = b""

    @property
    def stream(self) -> str:
        return called(self.agent, self.name)

    @property
    def size(self) -> int:
        """With what `sse()` will take: whoever counts it counts it once."""
        return FRAME_BYTES + 2 * len(self.line)

    def sse(self) -> bytes:
        if not self._sse:
            head = f"id: {self.position}\nevent: {self.kind}\ndata: "
            self._sse = b"%s%s\n\n" % (head.encode(), self.line)
        return self._sse


class UnreadableLine(HoldfastError):
    """A line of the journal that is no event; please report it."""


class Wanted(msgspec.Struct, frozen=True):
    """What of all that happens somebody wants."""

    kinds: Pattern
    streams: Pattern
    actor: str = ""
    correlation: str = ""

    def takes_stream(self, agent: str, name: str) -> bool:
        return self.streams.matches(called(agent, name), is_stream=agent == STREAM_AGENT)

    def may_be_in(self, run: Committed) -> bool:
        """Whether any of a run may be wanted, without looking at each line."""
        if not run.lines or not self.takes_stream(run.agent, run.name):
            return False
        names = self.kinds.names
        return not names or any(b'"kind":"%s"' % name.encode() in run.lines for name in names)

    def takes(self, frame: Frame) -> bool:
        return (
            self.kinds.matches(frame.kind)
            and (not self.actor or frame.actor == self.actor)
            and (not self.correlation or frame.correlation == self.correlation)
            and self.takes_stream(frame.agent, frame.name)
        )


def frames_of(run: Committed, *, after: int = 0) -> Iterator[Frame]:
    """Those of a run behind a position."""
    position = run.position
    for line in run.lines.split(b"\n"):
        if line and position > after:
            yield Frame(position, run.agent, run.name, line)
        position += 1
