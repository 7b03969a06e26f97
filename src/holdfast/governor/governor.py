"""Decides how near an end we are, and sees to it that something is done before it is reached.

`step()` reads, decides and acts, once; the daemon calls it as often as `next_delay_s` says. There
is no thread, timer or event loop in here, so a test drives the governor with a list of readings
and a clock that it moves by hand.

The parts have modules of their own: what a reading means (`levels.py`), what is done at which
level (`ladder.py`), how memory is taken back (`relief.py`), who holds what (`registry.py`,
`tracker.py`). Here they are put together.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from holdfast.governor.ladder import Ladder, Pressure, Step, StepRecord
from holdfast.governor.levels import (
    BUDGET,
    GROUP,
    STALL_FULL,
    STALL_HYSTERESIS_POINTS,
    STALL_SOME,
    SYSTEM,
    Judgement,
    Levels,
    Line,
    Thresholds,
)
from holdfast.governor.machine import Machine, MachineReading
from holdfast.governor.protocol import Bounded, Level, Usage
from holdfast.governor.readings import Allocations, Readings, TreeMemory
from holdfast.governor.registry import Components
from holdfast.governor.relief import Relief, Reliever
from holdfast.governor.tracker import ComponentMemory, TaskCounts, Tracker
from holdfast.observe import EventLog

IDLE_DELAY_S: Final = 10.0
SMALL_DELAY_S: Final = 2.0  # others fill the machine: that lasts
WATCHFUL_DELAY_S: Final = 1.0
IMPORT_DELAY_S: Final = 0.5  # children have limits of their own, and our growth is seen at once
BUSY_DELAY_S: Final = 0.25
FAST_GROWTH_PCT: Final = 5.0  # of the budget
SHRINK_CACHES: Final = "shrink caches"

# Of what others have a share in; what is our own comes with the governor.
SYSTEM_THRESHOLDS: Final = Thresholds(40, 60, 80, settings="resources.memory_*_pct")
STALL_SOME_THRESHOLDS: Final = Thresholds(
    10, 30, 60, STALL_HYSTERESIS_POINTS, "resources.stall_some_*_pct"
)
STALL_FULL_THRESHOLDS: Final = Thresholds(
    5, 15, 40, STALL_HYSTERESIS_POINTS, "resources.stall_full_*_pct"
)


class Change(msgspec.Struct, frozen=True):
    """A level that is not what it was, and why."""

    level: Level
    previous: Level
    own: Level
    previous_own: Level
    cause: str  # the reading that decides
    pct: float  # what it was
    threshold_pct: float  # where the level begins that it decides
    footprint_bytes: int


OnChange = Callable[[Change], None]


class Assessment(msgspec.Struct, frozen=True):
    """What one step found. `footprint_bytes` is what was found before any relief."""

    at_s: float
    level: Level
    previous: Level
    judgement: Judgement
    footprint_bytes: int
    exact: bool
    relief: Relief | None

    @property
    def own(self) -> Level:
        return self.judgement.own


class Snapshot(msgspec.Struct, frozen=True):
    level: Level
    own: Level
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
    tasks: TaskCounts
    held: tuple[str, ...]  # steps of the ladder that hold
    records: tuple[StepRecord, ...]  # what was done, newest first
    last: Assessment | None


def lines_of(
    budget: Thresholds,
    memory: Thresholds = SYSTEM_THRESHOLDS,
    stall_some: Thresholds = STALL_SOME_THRESHOLDS,
    stall_full: Thresholds = STALL_FULL_THRESHOLDS,
) -> tuple[Line, ...]:
    """All readings in the order in which they are named when several say the same."""
    return (
        Line(BUDGET, budget, own=True),
        Line(GROUP, memory, own=True),
        Line(STALL_SOME, stall_some, own=True),
        Line(STALL_FULL, stall_full, own=True),
        Line(SYSTEM, memory, own=False),
    )


def next_delay_s(level: Level, own: Level, *, active: bool) -> float:
    """How long the daemon may wait before the next step. `active`: an import is running."""
    if own > Level.MODERATE:
        return BUSY_DELAY_S
    if active:
        return IMPORT_DELAY_S
    if own > Level.NORMAL:
        return WATCHFUL_DELAY_S
    return SMALL_DELAY_S if level > Level.NORMAL else IDLE_DELAY_S


class Look(NamedTuple):
    """What the kernel said at one moment."""

    tree: TreeMemory
    machine: MachineReading
    measured: Mapping[str, Usage]  # components that are read and not counted


class Governor:
    def __init__(
        self,
        budget_bytes: int,
        lines: Sequence[Line],
        *,
        readings: Readings,
        machine: Machine,
        on_change: OnChange,
        log: EventLog,
        audit: EventLog | None = None,
        steps: Sequence[Step] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        assert budget_bytes > 0, budget_bytes
        self.budget_bytes: Final = budget_bytes
        self.lines: Final = {line.name: line for line in lines}
        self.tracker: Final = Tracker(clock)
        self._readings: Final = readings
        self._machine: Final = machine
        self._on_change: Final = on_change
        self._log: Final = log
        self._clock: Final = clock
        self._components: Final = Components(self.tracker, log)
        self._reliever: Final = Reliever(
            budget_bytes, self._components, readings=readings, log=log, clock=clock
        )
        shrink = Step(
            name=SHRINK_CACHES,
            level=Level.HIGH,
            own=False,
            apply=self._reliever.act,
            hold=self._reliever.act,
        )
        self.ladder: Final = Ladder([shrink, *steps], log, audit=audit, clock=clock)
        self._levels: Final = Levels(lines, clock())
        self._level = self._own = Level.NORMAL
        self._level_since_s = clock()
        self._rss_at_step_bytes = 0
        self._looked_bytes = self._rss_at_look_bytes = 0
        self._baseline_bytes = 0
        self._last: Assessment | None = None

    @property
    def level(self) -> Level:
        """The worst of all readings: how small we make ourselves."""
        return self._level

    @property
    def own_level(self) -> Level:
        """The worst of our own readings: whether we turn work away."""
        return self._own

    @property
    def footprint_bytes(self) -> int:
        """PSS + swap of the tree as the last step found it."""
        return self._last.footprint_bytes if self._last is not None else 0

    @property
    def baseline_bytes(self) -> int:
        """What the program takes by itself."""
        return self._baseline_bytes

    @property
    def reliefs(self) -> Sequence[Relief]:
        return self._reliever.reliefs

    def register(self, component: Bounded) -> None:
        self._components.add(component)

    def components(self) -> tuple[Bounded, ...]:
        return self._components.all()

    def mark_baseline(self) -> TreeMemory:
        """Call once all is imported and nothing loaded: what is used now is the program itself.

        Without what components hold already: nothing counts twice. Of those that come and go, what
        they hold behind the reading: else all that went meanwhile would be unexplained for good.
        """
        tree, measured = self._read_tree()
        held = self._components.look(self._components.lasting(measured)).values()
        self._baseline_bytes = tree.footprint_bytes - sum(usage.bytes for usage in held)
        return tree

    def footprint_estimate(self) -> int:
        """For a step of the ladder, behind those that gave memory back: what the look found, and
        what this process alone has changed by since. One `pread`, where a reading would wait.
        """
        return self._looked_bytes + self._readings.fast() - self._rss_at_look_bytes

    def line_bytes(self, level: Level) -> int:
        """Where a level of the budget begins."""
        return int(self.budget_bytes * self.lines[BUDGET].thresholds.of(level) / 100)

    def fast_due(self) -> bool:
        """Did this process grow so much since the last step that the next one should not wait?

        Costs one `pread`, so whoever takes in data may ask after every batch.
        """
        grown_bytes = self._readings.fast() - self._rss_at_step_bytes
        return grown_bytes * 100 > self.budget_bytes * FAST_GROWTH_PCT

    def look(self) -> Look:
        """What `step` goes by. For a thread, where one must not wait.

        The kernel adds up a process page by page, and waits for one that is about to change what it
        maps: with import children that was a fifth of a second now and then.
        """
        return self._read(self._machine.look)

    def look_closely(self) -> Look:
        """What `snapshot` shows. For a thread too."""
        return self._read(self._machine.read)

    def _read(self, machine: Callable[[], MachineReading]) -> Look:
        tree, measured = self._read_tree()
        return Look(tree, measured=measured, machine=machine())

    def _read_tree(self) -> tuple[TreeMemory, Mapping[str, Usage]]:
        self._components.reading_begins()
        tree = self._readings.tree()
        return tree, self._components.measure(tree)

    def step(self, look: Look | None = None) -> Assessment:
        """Read what was not read before, decide, and do what the level asks for."""
        now_s = self._clock()
        tree, machine, measured = look or self.look()
        self._looked_bytes, self._rss_at_look_bytes = tree.footprint_bytes, self._readings.fast()
        self._components.look(measured)
        judgement = self._levels.take(self._pcts(tree, machine, now_s), now_s)
        previous, previous_own = self._level, self._own
        self._level, self._own = judgement.level, judgement.own
        if self._level != previous:
            self._level_since_s = now_s
        if (self._level, self._own) != (previous, previous_own):
            self._announce(judgement, previous, previous_own, tree)
        reliefs_before = self.reliefs[-1] if self.reliefs else None
        self.ladder.follow(
            Pressure(
                judgement=judgement,
                excess_bytes=self._excess_bytes(judgement, tree, machine),
                missing_bytes=self._missing_bytes(judgement, tree, machine),
                footprint_bytes=tree.footprint_bytes,
                worse=self._level > previous or self._own > previous_own,
            ),
            now_s,
        )
        relief = self.reliefs[-1] if self.reliefs else None
        self._rss_at_step_bytes = self._readings.fast()
        self._last = Assessment(
            at_s=now_s,
            level=self._level,
            previous=previous,
            judgement=judgement,
            footprint_bytes=tree.footprint_bytes,
            exact=tree.exact,
            relief=relief if relief is not reliefs_before else None,
        )
        return self._last

    def snapshot(self, look: Look | None = None) -> Snapshot:
        """Read afresh, so that the lines add up; decides nothing."""
        tree, machine, measured = look or self.look_closely()
        self._components.look(measured)
        components = self.tracker.snapshot()
        accounted_bytes = self._baseline_bytes + sum(each.bytes for each in components)
        return Snapshot(
            level=self._level,
            own=self._own,
            level_for_s=self._clock() - self._level_since_s,
            budget_bytes=self.budget_bytes,
            footprint_bytes=tree.footprint_bytes,
            peak_footprint_bytes=tree.peak_footprint_bytes,
            baseline_bytes=self._baseline_bytes,
            components=components,
            unaccounted_bytes=tree.footprint_bytes - accounted_bytes,
            tree=tree,
            machine=machine,
            allocations=self._readings.allocations(),
            tasks=self.tracker.tasks(),
            held=self.ladder.held,
            records=tuple(reversed(self.ladder.records)),
            last=self._last,
        )

    def _pcts(
        self, tree: TreeMemory, machine: MachineReading, now_s: float
    ) -> dict[str, float | None]:
        group, system, stall = machine.group, machine.system, machine.stall
        if stall is not None and stall.of == "system" and system is not None:
            # By the level, which is left late: a machine that rests on the line must not make
            # the stalls come and go.
            plenty = self._levels.ahead(SYSTEM, system.used_pct, now_s) is Level.NORMAL
            if plenty:  # some other group waits for room below its own limit
                stall = None
        return {
            BUDGET: 100 * tree.footprint_bytes / self.budget_bytes,
            GROUP: group.used_pct if group is not None else None,
            SYSTEM: system.used_pct if system is not None else None,
            STALL_SOME: stall.some_pct if stall is not None else None,
            STALL_FULL: stall.full_pct if stall is not None else None,
        }

    def _excess_bytes(self, judgement: Judgement, tree: TreeMemory, machine: MachineReading) -> int:
        """What is above the moderate line where a limit is near; the machine's is not ours."""
        above = [0]
        levels = {each.name: each.level for each in judgement.readings}
        if levels.get(BUDGET, Level.NORMAL) >= Level.HIGH:
            above.append(tree.footprint_bytes - self.line_bytes(Level.MODERATE))
        if levels.get(GROUP, Level.NORMAL) >= Level.HIGH:  # neighbours may fill it: ask for ours
            above.append(min(self._group_missing_bytes(machine), self._held_bytes(tree)))
        return max(above)

    def _missing_bytes(
        self, judgement: Judgement, tree: TreeMemory, machine: MachineReading
    ) -> int:
        """Of a stall it is what is missing where tasks wait: in the group, or in the machine."""
        cause, stall, system = judgement.own_cause().name, machine.stall, machine.system
        if cause == BUDGET:
            return max(0, tree.footprint_bytes - self.line_bytes(Level.MODERATE))
        in_group = stall is not None and stall.of == "cgroup" and machine.group is not None
        if cause == GROUP or in_group:
            return self._group_missing_bytes(machine)
        if system is None:
            return 0
        allowed_bytes = int(system.total_bytes * self.lines[SYSTEM].thresholds.moderate_pct / 100)
        return max(0, system.total_bytes - system.available_bytes - allowed_bytes)

    def _group_missing_bytes(self, machine: MachineReading) -> int:
        group = machine.group
        if group is None or not group.limit_bytes:
            return 0
        line_pct = self.lines[GROUP].thresholds.moderate_pct
        return max(0, group.used_bytes - int(group.limit_bytes * line_pct / 100))

    def _held_bytes(self, tree: TreeMemory) -> int:
        """What we could give back at most."""
        return max(0, tree.footprint_bytes - self._baseline_bytes)

    def _announce(
        self, judgement: Judgement, previous: Level, previous_own: Level, tree: TreeMemory
    ) -> None:
        deciding = judgement.reading(judgement.cause)
        if judgement.level == previous:  # only our own changed
            deciding = judgement.own_cause()
        change = Change(
            level=judgement.level,
            previous=previous,
            own=judgement.own,
            previous_own=previous_own,
            cause=deciding.name,
            pct=round(deciding.pct or 0.0, 1),
            threshold_pct=self.lines[deciding.name].thresholds.of(deciding.level),
            footprint_bytes=tree.footprint_bytes,
        )
        worst = judgement.own if judgement.own != previous_own else judgement.level
        say = {Level.CRITICAL: self._log.error, Level.HIGH: self._log.warning}
        say.get(worst, self._log.info)(
            "governor.level_changed",
            pressure=change.level.label,
            previous=previous.label,
            own=change.own.label,
            previous_own=previous_own.label,
            cause=change.cause,
            pct=change.pct,
            threshold_pct=change.threshold_pct,
            footprint_bytes=change.footprint_bytes,
            budget_bytes=self.budget_bytes,
            exact=tree.exact,
        )
        try:
            self._on_change(change)
        except Exception as error:  # noqa: BLE001 - the ceiling must hold though a listener fails
            self._log.error("governor.listener_failed", error=error)
