"""Who holds how much, how fast that grows, what was the most, and what is at work.

Two ways in. A room that counts its own bytes is `observed` at each step of the governor. One that
does not is given an `Account`, which it tells of every allocation and deallocation, and which is a
`Bounded` like any other. Either way the same figures come out.

A rate is what a component grew by in the last `RATE_WINDOW_S`, a second apart: from one step to
the next it would be noise, over the whole life it would be zero.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import msgspec

from holdfast.governor.protocol import Level, Usage

RATE_WINDOW_S: Final = 30.0
SAMPLE_EVERY_S: Final = 1.0
NEAR_LIMIT_PCT: Final = 90.0  # of its own limit; `check_thresholds` tells of it


class ComponentMemory(msgspec.Struct, frozen=True):
    name: str
    bytes: int
    items: int
    limit_bytes: int | None
    limit_items: int | None
    high_water_bytes: int
    rate_bytes_s: float = 0.0  # what it grew by, a second; negative when it shrinks


class TaskCounts(msgspec.Struct, frozen=True):
    """Tasks of the event loop since the start."""

    spawned: int
    active: int
    completed: int
    failed: int  # of those completed


class OverLimit(msgspec.Struct, frozen=True):
    """A component that is at its limit, or near it."""

    name: str
    pct: float
    over: bool


class _Trace:
    """What was seen of one component."""

    __slots__ = ("high_water_bytes", "last", "samples")

    def __init__(self) -> None:
        self.high_water_bytes = 0
        self.last = Usage(bytes=0, items=0, limit_bytes=None)
        self.samples: deque[tuple[float, int]] = deque(
            maxlen=int(RATE_WINDOW_S / SAMPLE_EVERY_S) + 1
        )

    def see(self, usage: Usage, now_s: float) -> None:
        self.last = usage
        self.high_water_bytes = max(self.high_water_bytes, usage.bytes)
        while self.samples and now_s - self.samples[0][0] > RATE_WINDOW_S:
            self.samples.popleft()
        if not self.samples or now_s - self.samples[-1][0] >= SAMPLE_EVERY_S:
            self.samples.append((now_s, usage.bytes))

    def rate(self, now_s: float) -> float:
        if not self.samples or now_s - self.samples[0][0] < SAMPLE_EVERY_S:
            return 0.0
        since_s, bytes_then = self.samples[0]
        return (self.last.bytes - bytes_then) / (now_s - since_s)


class Account:
    """The bytes of a room that does not count them itself; a component of the governor."""

    def __init__(
        self,
        name: str,
        *,
        limit_bytes: int | None = None,
        limit_items: int | None = None,
        relieve: Callable[[Level, int], int] = lambda _level, _target: 0,
    ) -> None:
        self.name: Final = name
        self._limits: Final = (limit_bytes, limit_items)
        self._relieve: Final = relieve
        self._bytes = self._items = 0

    def record_allocation(self, bytes_: int, items: int = 1) -> None:
        self._bytes += bytes_
        self._items += items

    def record_deallocation(self, bytes_: int, items: int = 1) -> None:
        assert bytes_ <= self._bytes, f"{self.name} gives back more than it was given: report it"
        self._bytes -= bytes_
        self._items -= items

    def usage(self) -> Usage:
        return Usage(self._bytes, self._items, *self._limits)

    def relieve(self, level: Level, target_bytes: int) -> int:
        return self._relieve(level, target_bytes)


class Tracker:
    """Lives with the governor; tasks are told from the event loop."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock: Final = clock
        self._traces: Final[dict[str, _Trace]] = {}
        self._spawned = self._completed = self._failed = 0

    def observe(self, name: str, usage: Usage) -> None:
        self._traces.setdefault(name, _Trace()).see(usage, self._clock())

    @contextmanager
    def task(self) -> Iterator[None]:
        """Around the work of a task."""
        self._spawned += 1
        try:
            yield
        except BaseException:
            self._failed += 1
            raise
        finally:
            self._completed += 1

    def tasks(self) -> TaskCounts:
        return TaskCounts(
            self._spawned, self._spawned - self._completed, self._completed, self._failed
        )

    def snapshot(self) -> tuple[ComponentMemory, ...]:
        """What was last seen of each component, the largest first."""
        now_s = self._clock()
        found = (
            ComponentMemory(
                name=name,
                bytes=trace.last.bytes,
                items=trace.last.items,
                limit_bytes=trace.last.limit_bytes,
                limit_items=trace.last.limit_items,
                high_water_bytes=trace.high_water_bytes,
                rate_bytes_s=round(trace.rate(now_s), 1),
            )
            for name, trace in self._traces.items()
        )
        return tuple(sorted(found, key=lambda each: (-each.bytes, each.name)))

    def check_thresholds(self, near_pct: float = NEAR_LIMIT_PCT) -> list[OverLimit]:
        """Components that are near their limit or over it, the worst first."""
        found = []
        for each in self.snapshot():
            shares = [
                100 * used / limit
                for used, limit in ((each.bytes, each.limit_bytes), (each.items, each.limit_items))
                if limit
            ]
            pct = max(shares, default=0.0)
            if pct >= near_pct:
                found.append(OverLimit(each.name, round(pct, 1), pct > 100))
        return sorted(found, key=lambda each: (-each.pct, each.name))
