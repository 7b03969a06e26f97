"""Taking memory back from the components, and giving it to the system.

Components are asked for what is missing to the *moderate* line, the largest first. Asking only
down to the high line was rejected: the next event would bring it back, and each eviction would be
followed by the next. After that comes `malloc_trim`: without it what was evicted stays with the
allocator and the footprint does not move.

What came of it is told by the RSS of this process, where all components live: one `pread`. Reading
the tree again was rejected, for the kernel may wait with it for a fifth of a second, and this runs
between two events.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Final

import msgspec

from holdfast.governor import libc
from holdfast.governor.ladder import NOTHING, Effect, Pressure
from holdfast.governor.protocol import Level
from holdfast.governor.readings import Readings
from holdfast.governor.registry import Components
from holdfast.observe import EventLog

TRIM_INTERVAL_S: Final = 5.0  # while under pressure with nothing given back
WORTH_TELLING_PCT: Final = 1.0  # of the budget; a trim that brought less is not recorded
RELIEFS_KEPT: Final = 64


class Action(msgspec.Struct, frozen=True):
    """What one component was asked for and what came of it."""

    component: str
    asked_bytes: int
    given_bytes: int  # by its own account
    before_bytes: int  # its usage
    after_bytes: int


class Relief(msgspec.Struct, frozen=True):
    """One attempt to get below the moderate line."""

    at_s: float  # on the governor's clock
    took_s: float
    level: Level
    actions: tuple[Action, ...]
    trimmed: bool
    before_bytes: int  # the footprint
    after_bytes: int  # less what the RSS of this process fell by; the next look reads it


class Reliever:
    """The first step of every ladder: caches shrink, the least recent first."""

    def __init__(
        self,
        budget_bytes: int,
        components: Components,
        *,
        readings: Readings,
        log: EventLog,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.reliefs: Final[deque[Relief]] = deque(maxlen=RELIEFS_KEPT)
        self._budget_bytes: Final = budget_bytes
        self._components: Final = components
        self._readings: Final = readings
        self._log: Final = log
        self._clock: Final = clock
        self._trimmed_at_s = float("-inf")

    def act(self, pressure: Pressure) -> Effect:
        relief = self._relieve(pressure)
        if relief is None:
            return NOTHING
        given = [f"{each.component} gave {each.given_bytes:,} B" for each in relief.actions]
        came_bytes = max(0, relief.before_bytes - relief.after_bytes)
        given.append(f"this process is smaller by {came_bytes:,} B")
        return Effect(sum(each.given_bytes for each in relief.actions), ", ".join(given))

    def _relieve(self, pressure: Pressure) -> Relief | None:
        """None when nothing came of it."""
        began_s, rss_bytes = self._clock(), self._readings.fast()
        level, missing_bytes = pressure.judgement.level, pressure.excess_bytes
        actions = []
        for name, usage in self._components.largest_first():
            if missing_bytes <= 0:
                break
            if usage.bytes > 0:
                action = self._ask(name, level, missing_bytes, usage.bytes)
                missing_bytes -= action.given_bytes
                if action.given_bytes:
                    actions.append(action)
        trim_due = pressure.worse or began_s - self._trimmed_at_s >= TRIM_INTERVAL_S
        if not actions and not trim_due:
            return None
        trimmed = libc.malloc_trim()
        self._trimmed_at_s = began_s
        relief = Relief(
            at_s=began_s,
            took_s=self._clock() - began_s,
            level=level,
            actions=tuple(actions),
            trimmed=trimmed,
            before_bytes=pressure.footprint_bytes,
            after_bytes=pressure.footprint_bytes - (rss_bytes - self._readings.fast()),
        )
        brought_bytes = relief.before_bytes - relief.after_bytes
        if not actions and brought_bytes * 100 < self._budget_bytes * WORTH_TELLING_PCT:
            return None
        self.reliefs.append(relief)
        return relief

    def _ask(self, name: str, level: Level, asked_bytes: int, before_bytes: int) -> Action:
        try:
            given_bytes = self._components.get(name).relieve(level, asked_bytes)
        except Exception as error:  # noqa: BLE001 - the other components must still be asked
            self._log.error("governor.relieve_failed", component=name, error=error)
            given_bytes = 0
        return Action(
            component=name,
            asked_bytes=asked_bytes,
            given_bytes=given_bytes,
            before_bytes=before_bytes,
            after_bytes=self._components.usage(name).bytes,
        )
