"""What is done about pressure: steps that hold from a level on, in order, and are undone in
reverse.

Which steps hold depends on the two levels and on how long pressure lasts, and on nothing else; so
the table in docs/operations.md says all of it, and a test reads the table and compares. A step
says what it does when it begins to hold (`apply`), again and again while it holds (`hold`), and
when it no longer does (`undo`). Each of these is recorded with level, cause, cost and effect; a
`hold` that changed nothing is not.

The steps are put together where the parts are (`degradation.py` of the daemon); here is only the
order of things. A step that fails is written down and counts as held: the others must still have
their turn, and its `undo` is tried like any other.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from holdfast.clock import instant
from holdfast.governor.levels import Judgement
from holdfast.governor.protocol import Level
from holdfast.observe import EventLog

RECORDS_KEPT: Final = 64

APPLIED: Final = "applied"
HELD: Final = "again"
UNDONE: Final = "undone"


class Effect(msgspec.Struct, frozen=True):
    """What came of a step."""

    given_bytes: int = 0  # given back by its own account
    what: str = ""  # what changed, in words; "" when nothing did

    def __bool__(self) -> bool:
        return bool(self.given_bytes or self.what)


NOTHING: Final = Effect()


class Pressure(msgspec.Struct, frozen=True):
    """What a step may look at when it acts."""

    judgement: Judgement
    excess_bytes: int  # what is above the moderate lines of budget and control group, and ours
    missing_bytes: int  # to the moderate line of what decides our own level, whoever holds it
    footprint_bytes: int
    worse: bool  # a level rose with this reading


Act = Callable[[Pressure], Effect]


def _nothing(_pressure: Pressure) -> Effect:
    return NOTHING


class Step(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    level: Level  # from which it holds
    own: bool  # of the two levels, the one without the memory of the machine
    after_s: float = 0.0  # that the level must have lasted
    apply: Act
    hold: Act = _nothing
    undo: Act = _nothing


class StepRecord(msgspec.Struct, frozen=True):
    """One thing that was done, as the status shows it."""

    at: str
    step: str
    done: str  # "applied", "again", "undone"
    level: str  # the level that the step goes by
    cause: str  # the reading that decides that level
    cause_pct: float
    took_ms: float
    given_bytes: int
    effect: str


class Ladder:
    """Holds the steps that the level asks for. Lives on the governor's thread."""

    def __init__(
        self,
        steps: Sequence[Step],
        log: EventLog,
        *,
        audit: EventLog | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], str] = instant,
    ) -> None:
        names = [step.name for step in steps]
        assert len(set(names)) == len(names), names
        self.steps: Final = tuple(steps)
        self.records: Final[deque[StepRecord]] = deque(maxlen=RECORDS_KEPT)
        self._log: Final = log
        self._audit: Final = audit
        self._clock: Final = clock
        self._now: Final = now
        self._held: set[str] = set()
        self._since_s: dict[tuple[Level, bool], float] = {}  # when a level was last reached

    @property
    def held(self) -> tuple[str, ...]:
        """The steps that hold now, in their order."""
        return tuple(step.name for step in self.steps if step.name in self._held)

    def follow(self, pressure: Pressure, now_s: float) -> None:
        """Undo from the last to the first what no longer holds, then apply what does."""
        wanted = self._wanted(pressure.judgement, now_s)
        for step in reversed(self.steps):
            if step.name in self._held and step.name not in wanted:
                self._held.discard(step.name)
                self._do(step, UNDONE, step.undo, pressure)
        for step in self.steps:
            if step.name not in wanted:
                continue
            if step.name in self._held:
                self._do(step, HELD, step.hold, pressure)
            else:
                self._held.add(step.name)
                self._do(step, APPLIED, step.apply, pressure)

    def _wanted(self, judgement: Judgement, now_s: float) -> set[str]:
        for own, level in ((False, judgement.level), (True, judgement.own)):
            for each in Level:
                if level < each:
                    self._since_s.pop((each, own), None)
                else:
                    self._since_s.setdefault((each, own), now_s)
        wanted = set()
        for step in self.steps:
            since_s = self._since_s.get((step.level, step.own))
            if since_s is not None and now_s - since_s >= step.after_s:
                wanted.add(step.name)
        return wanted

    def _do(self, step: Step, done: str, act: Act, pressure: Pressure) -> None:
        began_s = self._clock()
        try:
            effect = act(pressure)
        except Exception as error:  # noqa: BLE001 - the other steps must still have their turn
            self._log.error("governor.step_failed", step=step.name, done=done, error=error)
            effect = Effect(what=f"failed: {error}")
        if done == HELD and not effect:
            return
        judgement = pressure.judgement
        reading = judgement.own_cause() if step.own else judgement.reading(judgement.cause)
        record = StepRecord(
            at=self._now(),
            step=step.name,
            done=done,
            level=reading.level.label,
            cause=reading.name,
            cause_pct=round(reading.pct or 0.0, 1),
            took_ms=round((self._clock() - began_s) * 1000, 2),
            given_bytes=effect.given_bytes,
            effect=effect.what,
        )
        self.records.append(record)
        fields = msgspec.structs.asdict(record)
        del fields["at"], fields["level"]
        (self._log.info if done == UNDONE else self._log.warning)(
            "governor.step", pressure=record.level, **fields
        )
        if self._audit is not None and done != HELD:
            self._audit.info("pressure.step", pressure=record.level, **fields)
