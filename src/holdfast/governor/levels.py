"""From readings to a level: pure, so that a list of numbers and a clock are all that a test needs.

There are several readings, each with lines of its own, and the worst of them decides. Two levels
come out of it. `level` is the worst of all: it says how small we make ourselves. `own` leaves out
the memory of the machine, which others fill as they please: it says whether we turn work away, end
children, or stop. A laptop whose browser takes 85 % makes holdfast small and keeps it at work.

A level is entered at once and left late: only when the reading is some points below the line
(`Lines.hysteresis_pct`) and the level was held for `MIN_DWELL_S`. Without the first a reading that
rests on a line, and without the second a relief that works for one reading, would start and stop
background jobs several times a second. Both hold per reading: one that is calm does not become
scarce because another one was. The dwell is the shortest time that a level lasts, so it is well
below the two seconds in which a burst must be over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar, Final

import msgspec

from holdfast.errors import Exit, HoldfastError
from holdfast.governor.protocol import Level

HYSTERESIS_POINTS: Final = 5.0
STALL_HYSTERESIS_POINTS: Final = 2.0  # their lines are nearer to nothing
MIN_DWELL_S: Final = 1.0

BUDGET: Final = "budget"  # the process tree, of `daemon.max_memory_mb`
GROUP: Final = "cgroup"  # the control group, of its limit
SYSTEM: Final = "system"  # the machine; what is available counts as free
STALL_SOME: Final = "stall_some"  # the time in which somebody waited for memory
STALL_FULL: Final = "stall_full"  # the time in which everybody did


class ThresholdsError(HoldfastError):
    exit: ClassVar[Exit] = Exit.CONFIG


class Thresholds(msgspec.Struct, frozen=True):
    """Where each level begins, in percent."""

    moderate_pct: float = 70.0
    high_pct: float = 85.0
    critical_pct: float = 95.0
    hysteresis_pct: float = HYSTERESIS_POINTS
    settings: str = "resources.budget_*_pct"  # where to change them

    def __post_init__(self) -> None:
        lines = (self.hysteresis_pct, self.moderate_pct, self.high_pct, self.critical_pct)
        if not (lines[0] < lines[1] < lines[2] < lines[3] <= 100):
            raise ThresholdsError(
                f"memory thresholds must rise from moderate to high to critical, above "
                f"{self.hysteresis_pct:g} and at most 100 percent; they are {self.moderate_pct:g}, "
                f"{self.high_pct:g} and {self.critical_pct:g}. Change {self.settings}."
            )

    def level(self, pct: float) -> Level:
        if pct >= self.critical_pct:
            return Level.CRITICAL
        if pct >= self.high_pct:
            return Level.HIGH
        return Level.MODERATE if pct >= self.moderate_pct else Level.NORMAL

    def of(self, level: Level) -> float:
        """Where a level begins."""
        return (0.0, self.moderate_pct, self.high_pct, self.critical_pct)[level]


class Line(msgspec.Struct, frozen=True):
    """One reading, and where its levels begin."""

    name: str
    thresholds: Thresholds
    own: bool  # whether it is about what is ours alone, or about a real stall


class ReadingLevel(msgspec.Struct, frozen=True):
    """What one reading says by itself."""

    name: str
    pct: float | None  # None where the platform does not tell it
    level: Level
    own: bool
    moderate_pct: float
    high_pct: float
    critical_pct: float
    for_s: float  # how long it has been at this level


class Judgement(msgspec.Struct, frozen=True):
    level: Level  # the worst of all
    own: Level  # the worst of those that are our own
    cause: str  # the reading that decides `level`; of several the first
    pct: float  # what it was
    threshold_pct: float  # where its level begins
    readings: tuple[ReadingLevel, ...]

    def reading(self, name: str) -> ReadingLevel:
        return next(each for each in self.readings if each.name == name)

    def own_cause(self) -> ReadingLevel:
        """The reading that decides `own`."""
        return max((each for each in self.readings if each.own), key=lambda each: each.level)


def decide(previous: Level, pct: float, thresholds: Thresholds, *, dwell_elapsed: bool) -> Level:
    """The level after a reading. Never below the plain one; above it only down from `previous`."""
    plain = thresholds.level(pct)
    if plain >= previous:
        return plain
    if not dwell_elapsed:
        return previous
    return min(previous, thresholds.level(pct + thresholds.hysteresis_pct))


class _Held:
    """The level of one reading, and since when."""

    __slots__ = ("level", "since_s")

    def __init__(self, since_s: float) -> None:
        self.level = Level.NORMAL
        self.since_s = since_s


class Levels:
    """Remembers the level of each reading, and since when."""

    def __init__(self, lines: Iterable[Line], now_s: float) -> None:
        self._lines: Final = tuple(lines)
        assert any(line.own for line in self._lines), "nothing of our own is read"
        self._thresholds: Final = {line.name: line.thresholds for line in self._lines}
        self._held: Final = {line.name: _Held(now_s) for line in self._lines}

    def take(self, pcts: Mapping[str, float | None], now_s: float) -> Judgement:
        """A reading that is not there says nothing: what it said before is left after the dwell."""
        for line in self._lines:
            held = self._held[line.name]
            level = self.ahead(line.name, pcts.get(line.name), now_s)
            if level != held.level:
                held.level, held.since_s = level, now_s
        return self._judge(pcts, now_s)

    def ahead(self, name: str, pct: float | None, now_s: float) -> Level:
        """What one reading would say now; nothing is remembered."""
        held = self._held[name]
        dwell_elapsed = now_s - held.since_s >= MIN_DWELL_S
        if pct is None:
            return Level.NORMAL if dwell_elapsed else held.level
        return decide(held.level, pct, self._thresholds[name], dwell_elapsed=dwell_elapsed)

    def _judge(self, pcts: Mapping[str, float | None], now_s: float) -> Judgement:
        readings = tuple(
            ReadingLevel(
                name=line.name,
                pct=pcts.get(line.name),
                level=self._held[line.name].level,
                own=line.own,
                moderate_pct=line.thresholds.moderate_pct,
                high_pct=line.thresholds.high_pct,
                critical_pct=line.thresholds.critical_pct,
                for_s=now_s - self._held[line.name].since_s,
            )
            for line in self._lines
        )
        worst = max(readings, key=lambda each: each.level)  # of equals the first
        lines = {line.name: line for line in self._lines}
        return Judgement(
            level=worst.level,
            own=max(each.level for each in readings if each.own),
            cause=worst.name,
            pct=worst.pct or 0.0,
            threshold_pct=lines[worst.name].thresholds.of(worst.level),
            readings=readings,
        )
