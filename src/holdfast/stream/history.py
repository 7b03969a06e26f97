"""The events that came last, in memory, as the runs of lines that were stored.

A run leaves as a whole, the oldest first, by a number that moves on: nothing is copied and nothing
is searched, so it costs the same however much is held. What came sealed (an import of old logs)
holds its place without its bytes; whoever wants those reads the journal.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

from holdfast.governor import Level, Usage
from holdfast.journal.streams import Committed

RUN_BYTES: Final = 120  # of a run besides its lines, measured
SLACK_MAX: Final = 1_024  # runs that have left and still have a place in the list


class EventHistory:
    """A stretch of positions without gaps, from `start` to `end`."""

    name = "stream history"

    def __init__(self, *, max_events: int, max_bytes: int, start: int) -> None:
        self._max_events, self._max_bytes = max_events, max_bytes
        self._runs: list[Committed | None] = []
        self._starts: list[int] = []
        self._head = 0
        self._bytes = self._events = 0
        self.start = self.end = start

    @property
    def events(self) -> int:
        """How many are held with their bytes."""
        return self._events

    def add(self, run: Committed) -> None:
        if run.position != self.end:  # something was not told: what is before it has a gap behind
            self.clear(run.position)
        self._runs.append(run)
        self._starts.append(run.position)
        self._bytes += RUN_BYTES + len(run.lines)
        self._events += run.count if run.lines else 0
        self.end = run.position + run.count
        self._fit(self._max_events, self._max_bytes)

    def clear(self, start: int | None = None) -> None:
        """Forget all; it begins again at `start`, or where it ended."""
        self._runs, self._starts, self._head = [], [], 0
        self._bytes = self._events = 0
        self.start = self.end = self.end if start is None else start

    def run_at(self, position: int) -> Committed | None:
        """The run that holds a position, if it is here."""
        if not self.start <= position < self.end:
            return None
        return self._runs[bisect_right(self._starts, position, lo=self._head) - 1]

    def runs(self, position: int, bytes_max: int) -> list[Committed]:
        """Runs from a position on that are here with their bytes, up to about so many bytes."""
        found, size = [], 0
        while size < bytes_max and (run := self.run_at(position)) is not None and run.lines:
            held = run.behind(position).upto(bytes_max)
            found.append(held)
            size += len(held.lines)
            position = held.position + held.count
        return found

    def usage(self) -> Usage:
        return Usage(
            bytes=self._bytes,
            items=self._events,
            limit_bytes=self._max_bytes,
            limit_items=self._max_events,
        )

    def relieve(self, level: Level, target_bytes: int) -> int:  # noqa: ARG002  # any level will do
        before = self._bytes
        self._fit(self._max_events, max(0, before - target_bytes))
        return before - self._bytes

    def _fit(self, max_events: int, max_bytes: int) -> None:
        while self._head < len(self._runs) and (
            self._events > max_events or self._bytes > max_bytes
        ):
            run = self._runs[self._head]
            assert run is not None
            self._runs[self._head] = None
            self._head += 1
            self._bytes -= RUN_BYTES + len(run.lines)
            self._events -= run.count if run.lines else 0
            self.start = run.position + run.count
        if self._head > SLACK_MAX and self._head * 2 > len(self._runs):
            del self._runs[: self._head], self._starts[: self._head]
            self._head = 0
