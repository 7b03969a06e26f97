"""Which sessions said something that was not looked at yet: a timer each, moved on by what comes.

Nobody should learn from half of what is being said, so a session is looked at when it has been
quiet for a moment, or has not been quiet for very long. The timers are numbers beside a clock that
is passed in: nothing is scheduled, and nothing is lost with them. What must not be lost is
`position`, up to which everything was looked at; it follows from what is pending.
"""

from __future__ import annotations

from typing import Final

import msgspec

SESSIONS_MAX: Final = 1_000  # that wait; then the one that waited longest is due
DEBOUNCES_MAX: Final = 10  # a session that is never quiet is looked at all the same


class Capture(msgspec.Struct, frozen=True):
    """A stretch of a session that was not looked at yet."""

    session: str
    from_seq: int
    to_seq: int  # not included
    position: int  # of the first of them
    due_ms: int
    latest_ms: int


class PendingCaptures:
    def __init__(self, debounce_ms: int, *, sessions_max: int = SESSIONS_MAX) -> None:
        self._debounce_ms = debounce_ms
        self._sessions_max = sessions_max
        self._waiting: dict[str, Capture] = {}  # the one that has waited longest first
        self._taken: dict[int, Capture] = {}  # by position: they are being looked at

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def is_full(self) -> bool:
        return len(self._waiting) >= self._sessions_max

    @property
    def next_due_ms(self) -> int | None:
        return min((capture.due_ms for capture in self._waiting.values()), default=None)

    def saw(  # what a run is
        self, session: str, from_seq: int, to_seq: int, position: int, now_ms: int, *, settled: bool
    ) -> None:
        """Events came; `settled` when they are so old that nothing comes behind them now."""
        before = self._waiting.get(session)
        latest_ms = before.latest_ms if before else now_ms + DEBOUNCES_MAX * self._debounce_ms
        due_ms = now_ms if settled else min(now_ms + self._debounce_ms, latest_ms)
        if before:
            from_seq, to_seq = min(before.from_seq, from_seq), max(before.to_seq, to_seq)
            position = before.position
        self._waiting[session] = Capture(session, from_seq, to_seq, position, due_ms, latest_ms)
        if len(self._waiting) > self._sessions_max:
            oldest = next(iter(self._waiting.values()))
            self._waiting[oldest.session] = msgspec.structs.replace(oldest, due_ms=now_ms)

    def take(self, now_ms: int) -> Capture | None:
        """One that is due; it counts as not looked at until it is `done` or `failed`."""
        for session, capture in self._waiting.items():
            if capture.due_ms <= now_ms:
                del self._waiting[session]
                self._taken[capture.position] = capture
                return capture
        return None

    def done(self, capture: Capture) -> None:
        del self._taken[capture.position]

    def failed(self, capture: Capture, now_ms: int) -> None:
        """It is tried again later, together with what came meanwhile."""
        del self._taken[capture.position]
        after = self._waiting.pop(capture.session, None)
        if after:
            capture = msgspec.structs.replace(capture, to_seq=max(capture.to_seq, after.to_seq))
        retry_ms = now_ms + self._debounce_ms
        capture = msgspec.structs.replace(capture, due_ms=retry_ms, latest_ms=retry_ms)
        self._waiting = {capture.session: capture, **self._waiting}

    def hurry(self, now_ms: int) -> None:
        """All of them are due."""
        for session, capture in self._waiting.items():
            self._waiting[session] = msgspec.structs.replace(capture, due_ms=now_ms)

    def position(self, seen: int) -> int:
        """Up to where everything was looked at, when `seen` is the first that was not seen."""
        waiting = (capture.position for capture in self._waiting.values())
        return min([seen, *waiting, *self._taken])
