"""Finds tasks that are stuck: nobody has heard of them, or they take too long.

It looks when the next of them is due, and not before: while nothing runs it has no timer at all.
While tasks run, looks lie at least `min_s` apart, so that many that are due close together are
found at once, and at most `max_s`, because the clock of the wall may be set meanwhile. A look that
fails is followed by another, after twice as long each time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from holdfast.work.timers import Timers

_KEY: Final = "observer"


class Watched(Protocol):
    """What is observed."""

    @property
    def active(self) -> int: ...
    def next_due_ms(self) -> int | None:
        """When the next one is stuck, if nothing is heard of it before."""
        ...

    async def look(self) -> int:
        """Deal with all that is due; how many were stuck."""
        ...


class ObserverStats(msgspec.Struct, frozen=True):
    looks: int
    stuck: int  # found so far
    failed_looks: int
    last_problem: str
    interval_s: float | None  # until the next look, as it was set; null when nothing is due
    active: int  # tasks that are watched


class Observer:
    """Lives on the event loop."""

    def __init__(
        self,
        watched: Watched,
        timers: Timers,
        *,
        now_ms: Callable[[], int],
        min_s: float,
        max_s: float,
        on_problem: Callable[[str], None] = lambda _problem: None,
    ) -> None:
        self._watched, self._timers = watched, timers
        self._now_ms = now_ms
        self._min_ms, self._max_ms = int(min_s * 1_000), int(max_s * 1_000)
        self._on_problem = on_problem
        self._looked_ms = self._latest_ms = 0
        self._due_ms: int | None = None
        self._failures = 0  # in a row
        self._looks = self._stuck = self._failed_looks = 0
        self._interval_s: float | None = None
        self._last_problem = ""
        self._stopped = False

    def changed(self) -> None:
        """Something began or ended: the next look may be due at another time."""
        if self._failures:
            return
        if self._due_ms is None:
            self._latest_ms = self._now_ms() + self._max_ms
        self._set(self._wanted_ms())

    def stop(self) -> None:
        self._stopped = True
        self._set(None)

    def get_stats(self) -> ObserverStats:
        return ObserverStats(
            looks=self._looks,
            stuck=self._stuck,
            failed_looks=self._failed_looks,
            last_problem=self._last_problem,
            interval_s=self._interval_s,
            active=self._watched.active,
        )

    def _wanted_ms(self) -> int | None:
        due_ms = self._watched.next_due_ms()
        if due_ms is None:
            return None
        due_ms = max(due_ms, self._looked_ms + self._min_ms)
        if self._watched.active:
            due_ms = min(due_ms, self._latest_ms)
        return due_ms

    def _set(self, due_ms: int | None) -> None:
        if self._stopped:
            due_ms = None
        if due_ms == self._due_ms:
            return
        self._due_ms = due_ms
        if due_ms is None:
            self._interval_s = None
            self._timers.cancel(_KEY)
        else:
            self._interval_s = max(0, due_ms - self._now_ms()) / 1_000
            self._timers.at(_KEY, due_ms, self._look)

    async def _look(self) -> None:
        self._due_ms = None
        self._looked_ms = self._now_ms()  # the state may change while we look
        self._looks += 1
        try:
            self._stuck += await self._watched.look()
        except Exception as error:  # noqa: BLE001  # whatever it was, the next look may go well
            self._failures += 1
            self._failed_looks += 1
            self._last_problem = f"{type(error).__name__}: {error}"
            self._on_problem(self._last_problem)
            wait_ms = min(self._max_ms, self._min_ms << min(self._failures, 16))
            self._set(self._now_ms() + wait_ms)
            return
        self._failures = 0
        self._latest_ms = self._now_ms() + self._max_ms
        self._set(self._wanted_ms())
