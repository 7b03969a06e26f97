"""Decides how near the ceiling we are, and takes memory back before it is reached.

`step()` reads, decides and acts, once; the daemon calls it as often as `next_delay_s` says. There
is no thread, timer or event loop in here, so a test drives the governor with a list of readings and
a clock that it moves by hand.

A level is entered at once and left late: only when the reading is `HYSTERESIS_POINTS` below the
line and the level was held for `MIN_DWELL_S`. Without the first a reading that rests on a line, and
without the second a relief that works for one reading, would start and stop background jobs
several times a second.

From `HIGH` on, components are asked for what is missing to the *moderate* line, the largest first.
Asking only down to the high line was rejected: the next event would bring it back, and each
eviction would be followed by the next. After that comes `malloc_trim`: without it what was evicted
stays with the allocator and the footprint does not move.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import ClassVar, Final

import msgspec

from holdfast.errors import Exit, HoldfastError
from holdfast.governor import libc
from holdfast.governor.machine import Machine, MachineReading
from holdfast.governor.protocol import Bounded, Level, Usage
from holdfast.governor.readings import Allocations, Readings, TreeMemory
from holdfast.observe import EventLog

HYSTERESIS_POINTS: Final = 5.0  # percent of the budget
MIN_DWELL_S: Final = 2.0
IDLE_DELAY_S: Final = 10.0
BUSY_DELAY_S: Final = 0.25
FAST_GROWTH_PCT: Final = 5.0  # of the budget
TRIM_INTERVAL_S: Final = 5.0  # while under pressure with nothing given back
WORTH_TELLING_PCT: Final = 1.0  # of the budget; a trim that brought less is not recorded
ACTIONS_KEPT: Final = 64

_NOTHING: Final = Usage(bytes=0, items=0, limit_bytes=None)

OnChange = Callable[[Level, Level, str, int], None]
"""Called with the level, the one before, the cause, and the footprint in bytes."""


class ThresholdsError(HoldfastError):
    exit: ClassVar[Exit] = Exit.CONFIG


class Thresholds(msgspec.Struct, frozen=True):
    """Where each level begins, in percent of the budget."""

    moderate_pct: float = 70.0
    high_pct: float = 85.0
    critical_pct: float = 95.0

    def __post_init__(self) -> None:
        lines = (HYSTERESIS_POINTS, self.moderate_pct, self.high_pct, self.critical_pct)
        if not (lines[0] < lines[1] < lines[2] < lines[3] <= 100):
            raise ThresholdsError(
                f"memory thresholds must rise from moderate to high to critical, above "
                f"{HYSTERESIS_POINTS:g} and at most 100 percent; they are {self.moderate_pct:g}, "
                f"{self.high_pct:g} and {self.critical_pct:g}. Change resources.budget_*_pct."
            )

    def level(self, pct: float) -> Level:
        if pct >= self.critical_pct:
            return Level.CRITICAL
        if pct >= self.high_pct:
            return Level.HIGH
        return Level.MODERATE if pct >= self.moderate_pct else Level.NORMAL


def decide(previous: Level, pct: float, thresholds: Thresholds, *, dwell_elapsed: bool) -> Level:
    """The level after a reading. Never below the plain one; above it only down from `previous`."""
    plain = thresholds.level(pct)
    if plain >= previous:
        return plain
    if not dwell_elapsed:
        return previous
    return min(previous, thresholds.level(pct + HYSTERESIS_POINTS))


def next_delay_s(level: Level, *, active: bool) -> float:
    """How long the daemon may wait before the next step. `active`: an import is running."""
    return BUSY_DELAY_S if active or level > Level.NORMAL else IDLE_DELAY_S


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
    after_bytes: int


class Assessment(msgspec.Struct, frozen=True):
    """What one step found. `footprint_bytes` is what was found before any relief."""

    at_s: float
    level: Level
    previous: Level
    cause: str
    pct: float
    footprint_bytes: int
    exact: bool
    relief: Relief | None


class ComponentMemory(msgspec.Struct, frozen=True):
    name: str
    bytes: int
    items: int
    limit_bytes: int | None
    limit_items: int | None
    high_water_bytes: int


class Snapshot(msgspec.Struct, frozen=True):
    level: Level
    level_for_s: float
    budget_bytes: int
    footprint_bytes: int
    peak_footprint_bytes: int
    baseline_bytes: int
    components: tuple[ComponentMemory, ...]  # the largest first
    unaccounted_bytes: int  # what neither the baseline nor a component explains; may be negative
    tree: TreeMemory
    machine: MachineReading
    allocations: Allocations
    last: Assessment | None


class Governor:
    def __init__(
        self,
        budget_bytes: int,
        thresholds: Thresholds,
        *,
        readings: Readings,
        machine: Machine,
        on_change: OnChange,
        log: EventLog,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        assert budget_bytes > 0, budget_bytes
        self.budget_bytes: Final = budget_bytes
        self.thresholds: Final = thresholds
        self.actions: Final[deque[Relief]] = deque(maxlen=ACTIONS_KEPT)
        self._readings: Final = readings
        self._machine: Final = machine
        self._on_change: Final = on_change
        self._log: Final = log
        self._clock: Final = clock
        self._components: Final[dict[str, Bounded]] = {}
        self._high_water: Final[dict[str, int]] = {}
        self._level = Level.NORMAL
        self._level_since_s = clock()
        self._trimmed_at_s = float("-inf")
        self._rss_at_step_bytes = 0
        self._baseline_bytes = 0
        self._last: Assessment | None = None

    @property
    def level(self) -> Level:
        return self._level

    @property
    def footprint_bytes(self) -> int:
        """PSS + swap of the tree as the last step found it."""
        return self._last.footprint_bytes if self._last is not None else 0

    def register(self, component: Bounded) -> None:
        name = component.name
        if name in self._components:
            raise ValueError(f"a component named {name!r} is registered already; rename one")
        self._components[name] = component
        self._high_water[name] = 0

    def components(self) -> tuple[Bounded, ...]:
        return tuple(self._components.values())

    def mark_baseline(self) -> None:
        """Call once all is imported and nothing loaded: what is used now is the program itself."""
        self._baseline_bytes = self._readings.tree().footprint_bytes

    def fast_due(self) -> bool:
        """Did this process grow so much since the last step that the next one should not wait?

        Costs one `pread`, so whoever takes in data may ask after every batch.
        """
        grown_bytes = self._readings.fast() - self._rss_at_step_bytes
        return grown_bytes * 100 > self.budget_bytes * FAST_GROWTH_PCT

    def step(self) -> Assessment:
        """Read, decide, and at `HIGH` or above act."""
        now_s = self._clock()
        tree = self._readings.tree()
        usages = self._usages()
        pct = 100 * tree.footprint_bytes / self.budget_bytes
        previous = self._level
        level = decide(
            previous,
            pct,
            self.thresholds,
            dwell_elapsed=now_s - self._level_since_s >= MIN_DWELL_S,
        )
        if level != previous:
            self._level, self._level_since_s = level, now_s
            self._announce(level, previous, pct, tree)
        relief = None
        if level >= Level.HIGH:
            worse = level > previous
            relief = self._relieve(level, tree.footprint_bytes, usages, force_trim=worse)
        self._rss_at_step_bytes = self._readings.fast()
        self._last = Assessment(
            at_s=now_s,
            level=level,
            previous=previous,
            cause="budget",
            pct=pct,
            footprint_bytes=tree.footprint_bytes,
            exact=tree.exact,
            relief=relief,
        )
        return self._last

    def snapshot(self) -> Snapshot:
        """Read afresh, so that the lines add up; decides nothing."""
        tree = self._readings.tree()
        components = sorted(
            (
                ComponentMemory(
                    name=name,
                    bytes=usage.bytes,
                    items=usage.items,
                    limit_bytes=usage.limit_bytes,
                    limit_items=usage.limit_items,
                    high_water_bytes=self._high_water[name],
                )
                for name, usage in self._usages().items()
            ),
            key=lambda component: (-component.bytes, component.name),
        )
        accounted_bytes = self._baseline_bytes + sum(c.bytes for c in components)
        return Snapshot(
            level=self._level,
            level_for_s=self._clock() - self._level_since_s,
            budget_bytes=self.budget_bytes,
            footprint_bytes=tree.footprint_bytes,
            peak_footprint_bytes=tree.peak_footprint_bytes,
            baseline_bytes=self._baseline_bytes,
            components=tuple(components),
            unaccounted_bytes=tree.footprint_bytes - accounted_bytes,
            tree=tree,
            machine=self._machine.read(),
            allocations=self._readings.allocations(),
            last=self._last,
        )

    def _announce(self, level: Level, previous: Level, pct: float, tree: TreeMemory) -> None:
        say = {Level.CRITICAL: self._log.error, Level.HIGH: self._log.warning}
        say.get(level, self._log.info)(
            "governor.level_changed",
            pressure=level.label,
            previous=previous.label,
            cause="budget",
            pct=round(pct, 1),
            footprint_bytes=tree.footprint_bytes,
            budget_bytes=self.budget_bytes,
            exact=tree.exact,
        )
        try:
            self._on_change(level, previous, "budget", tree.footprint_bytes)
        except Exception as error:  # noqa: BLE001 - the ceiling must hold though a listener fails
            self._log.error("governor.listener_failed", error=error)

    def _relieve(
        self, level: Level, footprint_bytes: int, usages: dict[str, Usage], *, force_trim: bool
    ) -> Relief | None:
        """None when nothing came of it."""
        began_s = self._clock()
        line_bytes = int(self.budget_bytes * self.thresholds.moderate_pct / 100)
        missing_bytes = footprint_bytes - line_bytes
        actions = []
        for name, usage in sorted(usages.items(), key=lambda item: (-item[1].bytes, item[0])):
            if missing_bytes <= 0:
                break
            if usage.bytes > 0:
                action = self._ask(name, level, missing_bytes, usage.bytes)
                missing_bytes -= action.given_bytes
                if action.given_bytes:
                    actions.append(action)
        trim_due = force_trim or began_s - self._trimmed_at_s >= TRIM_INTERVAL_S
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
            before_bytes=footprint_bytes,
            after_bytes=self._readings.tree().footprint_bytes,
        )
        brought_bytes = relief.before_bytes - relief.after_bytes
        if not actions and brought_bytes * 100 < self.budget_bytes * WORTH_TELLING_PCT:
            return None
        self.actions.append(relief)
        self._log.warning(
            "governor.relieved",
            pressure=level.label,
            actions=actions,
            trimmed=trimmed,
            before_bytes=relief.before_bytes,
            after_bytes=relief.after_bytes,
            took_ms=round(relief.took_s * 1000, 1),
        )
        return relief

    def _ask(self, name: str, level: Level, asked_bytes: int, before_bytes: int) -> Action:
        try:
            given_bytes = self._components[name].relieve(level, asked_bytes)
        except Exception as error:  # noqa: BLE001 - the other components must still be asked
            self._log.error("governor.relieve_failed", component=name, error=error)
            given_bytes = 0
        return Action(
            component=name,
            asked_bytes=asked_bytes,
            given_bytes=given_bytes,
            before_bytes=before_bytes,
            after_bytes=self._usage(name).bytes,
        )

    def _usages(self) -> dict[str, Usage]:
        return {name: self._usage(name) for name in self._components}

    def _usage(self, name: str) -> Usage:
        try:
            usage = self._components[name].usage()
        except Exception as error:  # noqa: BLE001 - one blind spot must not blind the governor
            self._log.error("governor.usage_failed", component=name, error=error)
            return _NOTHING
        self._high_water[name] = max(self._high_water[name], usage.bytes)
        return usage
