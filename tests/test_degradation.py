"""The oracle: for any course of readings, what holds and what was done is what the table says.

The tables are read from docs/operations.md. The expectation is computed here, in the plainest way,
from those tables alone; the governor with its real steps is driven by the same readings.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.degradation import LAST_CHILD_AFTER_STEPS, Parts, steps
from holdfast.errors import Exit
from holdfast.governor import Governor, Level, Thresholds, libc, lines_of
from holdfast.governor.admission import Admission
from holdfast.governor.gate import BackgroundGate
from holdfast.governor.governor import SHRINK_CACHES
from holdfast.governor.levels import MIN_DWELL_S
from holdfast.ingest.tail import Tail
from holdfast.journal.footprint import JournalFootprint
from holdfast.journal.service import JournalService
from holdfast.snapshots import SessionStore, StoreLimits
from tests.governor.test_governor import BUDGET, MB, Cache, Clock, Ends, Machine
from tests.support.logs import RememberedLog

PAGE = (Path(__file__).parents[1] / "docs" / "operations.md").read_text("utf-8")
EXIT_S = 60.0
NORMAL, MODERATE, HIGH, CRITICAL = Level


class Reading(NamedTuple):
    moderate: float
    high: float
    critical: float
    own: bool


class Row(NamedTuple):
    step: str
    level: Level
    own: bool
    lasting: bool


def table(heading: str) -> list[list[str]]:
    part = PAGE.partition(f"\n### {heading}\n")[2].partition("\n### ")[0]
    lines = [line for line in part.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines][2:]


@cache
def readings() -> dict[str, Reading]:
    found = {}
    for name, _what, *lines, own in table("Levels"):
        moderate, high, critical = (float(line.rstrip(" %")) for line in lines)
        found[name.strip("`")] = Reading(moderate, high, critical, own == "yes")
    return found


@cache
def rows() -> tuple[Row, ...]:
    return tuple(
        Row(
            row[0].strip("`"),
            Level[re.split(r"\W", row[1])[0].upper()],
            row[2] == "own",
            "critical_exit_secs" in row[1],
        )
        for row in table("Steps")
    )


class FakeTail:
    """What the steps ask of a tail."""

    def __init__(self) -> None:
        self.children = 0
        self.told: list[str] = []

    def child_pids(self) -> list[int]:
        return list(range(self.children))

    def fewer_children(self) -> int:
        ended = self.children - 1 or self.children
        self.children -= ended
        self.told.append(f"{ended} ended")
        return ended

    def let_children_go_on(self) -> None:
        self.told.append("go on")

    def slow_down(self) -> None:
        self.told.append("slow")

    def speed_up(self) -> None:
        self.told.append("fast")


class FakeJournal:
    waiting = 0

    def __init__(self) -> None:
        self.calls = 0

    def call(self, _work: object) -> None:
        self.calls += 1


class FakeFootprint:
    def __init__(self) -> None:
        self.releases = 0

    def release(self) -> None:
        self.releases += 1


class Degrading:
    """A governor with the daemon's steps, and stand-ins for what they act on."""

    def __init__(self) -> None:
        self.machine, self.ends, self.clock = Machine(), Ends(), Clock()
        self.store = SessionStore(StoreLimits(budget_bytes=20 * MB))
        self.fake_tail, self.fake_journal = FakeTail(), FakeJournal()
        self.fake_footprint = FakeFootprint()
        self.tail = cast("Tail", self.fake_tail)
        self.journal = cast("JournalService", self.fake_journal)
        self.footprint = cast("JournalFootprint", self.fake_footprint)
        self.gate, self.admission = BackgroundGate(), Admission()
        self.stops: list[tuple[str, Exit]] = []
        parts: Parts = self
        self.governor = Governor(
            BUDGET,
            lines_of(Thresholds()),
            readings=self.machine,
            machine=self.ends,
            on_change=lambda _change: None,
            log=RememberedLog(),
            steps=steps(parts, critical_exit_s=EXIT_S),
            clock=self.clock,
        )

    def stop(self, reason: str, code: Exit) -> None:
        self.stops.append((reason, code))

    def step(self, mb: float, *, after_s: float = 0.25) -> tuple[str, ...]:
        self.clock.now_s += after_s
        self.machine.mb = mb
        self.governor.step()
        return self.governor.ladder.held


class Oracle:
    """The tables, taken literally."""

    def __init__(self, now_s: float) -> None:
        self.levels = dict.fromkeys(readings(), (NORMAL, now_s))
        self.since: dict[tuple[bool, Level], float] = {}
        self.held: list[str] = []
        self.done: list[tuple[str, str]] = []
        self.stops = 0
        self.may_stop = True

    def see(self, pcts: dict[str, float | None], now_s: float) -> tuple[Level, Level]:
        if pcts["system"] is not None and self.after("system", pcts["system"], now_s) is NORMAL:
            pcts["stall_some"] = pcts["stall_full"] = None  # the machine has memory enough
        for name in readings():
            level = self.after(name, pcts[name], now_s)
            if level != self.levels[name][0]:
                self.levels[name] = (level, now_s)
        worst = max(level for level, _ in self.levels.values())
        own = max(self.levels[name][0] for name, about in readings().items() if about.own)
        self.follow(worst, own, now_s)
        return worst, own

    def after(self, name: str, pct: float | None, now_s: float) -> Level:
        before, since_s = self.levels[name]
        level = self.level_of(readings()[name], pct)
        if level >= before:
            return level
        slack = 2 if name.startswith("stall") else 5
        late = level if pct is None else self.level_of(readings()[name], pct + slack)
        return min(before, late) if now_s - since_s >= MIN_DWELL_S else before

    def level_of(self, about: Reading, pct: float | None) -> Level:
        lines = (about.moderate, about.high, about.critical)
        return Level(sum(pct is not None and pct >= line for line in lines))

    def ends_children(self, pcts: dict[str, float | None]) -> bool:
        """While there is still too much of what is critical and our own."""
        return "stop import children" in self.held and any(
            self.levels[name][0] is CRITICAL and self.level_of(about, pcts[name]) >= HIGH
            for name, about in readings().items()
            if about.own
        )

    def stop(self, cause: str, pcts: dict[str, float | None]) -> None:
        """Once, as soon as what we hold is what is missing; a percent of the machine is ten."""
        if rows()[-1].step not in self.held:
            self.may_stop = True
            return
        of, share_mb = (cause, 1) if not cause.startswith("stall") else ("system", 10)
        missing_mb = ((pcts[of] or 0) - readings()[of].moderate) * share_mb
        held_mb = pcts["budget"] or 0
        if self.may_stop and (cause == "budget" or round(held_mb - missing_mb, 3) >= 0):
            self.stops += 1
            self.may_stop = False

    def follow(self, worst: Level, own: Level, now_s: float) -> None:
        for by_own, level in ((False, worst), (True, own)):
            for each in Level:
                if level >= each:
                    self.since.setdefault((by_own, each), now_s)
                else:
                    self.since.pop((by_own, each), None)
        wanted = [
            row.step
            for row in rows()
            if (since_s := self.since.get((row.own, row.level))) is not None
            and now_s - since_s >= (EXIT_S if row.lasting else 0)
        ]
        self.done += [("undone", step) for step in reversed(self.held) if step not in wanted]
        self.done += [("applied", step) for step in wanted if step not in self.held]
        self.held = wanted


@st.composite
def courses(draw: st.DrawFn) -> list[tuple[float, dict[str, float | None]]]:
    """Readings near their lines more often than not, at paces from hectic to rare."""
    near = st.sampled_from([0.0, 4.0, 9.0, 14.9, 15.0, 38.0, 40.0, 55.0, 60.0, 69.0, 70.0, 79.9])
    any_pct = near | st.sampled_from([80.0, 85.0, 89.9, 90.0, 94.0, 95.0]) | st.floats(0, 130)
    course = []
    for _ in range(draw(st.integers(1, 25))):
        after_s = draw(st.sampled_from([0.1, 0.25, 0.9, 1.0, 10.0, 59.0, 61.0]))
        course.append(
            (
                after_s,
                {
                    "budget": draw(any_pct),
                    "cgroup": draw(st.none() | any_pct),
                    "stall": draw(st.none() | any_pct),
                    "system": draw(st.none() | any_pct.filter(lambda pct: pct <= 100)),
                },
            )
        )
    return course


def test_the_tables_name_every_reading_and_every_step_in_order() -> None:
    made = Degrading()
    assert [row.step for row in rows()] == [step.name for step in made.governor.ladder.steps]
    assert rows()[0].step == SHRINK_CACHES
    assert set(readings()) == set(made.governor.lines)
    for name, about in readings().items():
        line = made.governor.lines[name]
        lines = line.thresholds
        assert about == (lines.moderate_pct, lines.high_pct, lines.critical_pct, line.own), name


@given(courses())
def test_levels_and_steps_are_what_the_tables_say(
    course: list[tuple[float, dict[str, Any]]],
) -> None:
    made = Degrading()
    oracle = Oracle(made.clock.now_s)
    seen = 0
    for after_s, pcts in course:
        made.clock.now_s += after_s
        made.machine.mb = pcts["budget"]
        made.ends.group_pct = pcts["cgroup"]
        made.ends.stall_pct, made.ends.system_pct = pcts["stall"], pcts["system"]
        stall, group = pcts["stall"], pcts["cgroup"]
        made.fake_tail.children = 2
        found = made.governor.step()
        read: dict[str, float | None] = {
            "budget": 100 * int(pcts["budget"] * MB) / BUDGET,
            "cgroup": None if group is None else 100 * int(group * MB) / BUDGET,
            "stall_some": stall,
            "stall_full": None if stall is None else 0.0,
            "system": None if pcts["system"] is None else made.ends.used_pct(),
        }
        expected = oracle.see(read, made.clock.now_s)
        assert (found.level, found.own) == expected
        assert made.fake_tail.children == (1 if oracle.ends_children(read) else 2)
        oracle.stop(found.judgement.own_cause().name, read)
        assert len(made.stops) == oracle.stops
        assert list(made.governor.ladder.held) == oracle.held
        records = made.governor.ladder.records
        assert [(each.done, each.step) for each in records if each.done != "again"] == (
            oracle.done[seen:]
        )
        records.clear()  # it is bounded
        seen = len(oracle.done)
    assert made.admission.refusing == ("refuse new work" in oracle.held)
    assert made.admission.throttling == ("throttle requests" in oracle.held)
    assert made.gate.is_open == ("pause background jobs" not in oracle.held)


def test_budgets_are_halved_quartered_and_given_back_in_reverse() -> None:
    made = Degrading()

    def allowed() -> int | None:
        return made.store.usage().limit_bytes

    made.ends.system_pct = 65
    made.step(10)
    assert allowed() == 10 * MB
    made.ends.system_pct = 85
    made.step(10)
    assert (allowed(), made.fake_footprint.releases) == (5 * MB, 2)
    made.ends.system_pct = 65
    made.step(10, after_s=2)
    assert allowed() == 10 * MB
    made.ends.system_pct = 20
    made.step(10, after_s=2)
    assert (allowed(), made.fake_tail.told) == (20 * MB, [])


def test_all_children_but_one_end_at_once_and_that_one_when_it_is_too_much_alone() -> None:
    made = Degrading()
    made.fake_tail.children = 3
    made.step(97)
    assert made.fake_tail.told == ["slow", "2 ended"]
    for _ in range(LAST_CHILD_AFTER_STEPS):
        made.step(97)
    assert made.fake_tail.told == ["slow", "2 ended", "1 ended"]
    made.step(10, after_s=2)
    assert made.fake_tail.told[-2:] == ["go on", "fast"]


def test_children_stay_when_what_else_was_done_is_enough() -> None:
    """The level lasts a second; what the step before gave back counts at once."""
    made = Degrading()
    made.fake_tail.children = 2
    made.step(97)
    assert made.fake_tail.children == 1
    made.fake_tail.children = 2
    made.step(60)
    assert (made.governor.own_level, made.fake_tail.children) == (CRITICAL, 2)


def test_children_end_or_stay_without_another_reading_of_the_tree() -> None:
    made = Degrading()
    made.fake_tail.children = 3
    made.machine.mb = 97
    look = made.governor.look()
    reads = made.machine.reads
    made.governor.step(look)
    assert (made.fake_tail.children, made.machine.reads) == (1, reads)


def test_children_stay_when_the_caches_gave_enough_in_the_same_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = Degrading()
    monkeypatch.setattr(libc, "malloc_trim", made.machine.trim)
    made.fake_tail.children = 3
    made.governor.register(Cache(made.machine, "snapshots", 40))
    made.step(97)
    assert (made.governor.own_level, made.fake_tail.children) == (CRITICAL, 3)


def test_children_end_when_the_control_group_is_full_though_the_budget_is_not() -> None:
    """There the kernel kills, whatever the budget says."""
    made = Degrading()
    made.fake_tail.children = 3
    made.ends.group_pct = 90
    made.step(30)
    assert made.fake_tail.told == ["slow", "2 ended"]
    for _ in range(LAST_CHILD_AFTER_STEPS):
        made.step(30)
    assert made.fake_tail.children == 0


def test_children_end_when_everything_waits_for_memory() -> None:
    made = Degrading()
    made.fake_tail.children = 2
    made.ends.stall_pct, made.ends.system_pct = 70, 50
    made.step(30)
    assert made.fake_tail.children == 1


def test_children_stay_while_the_level_of_a_control_group_only_dwells() -> None:
    made = Degrading()
    made.ends.group_pct = 90
    made.step(30)
    made.fake_tail.children = 2
    made.ends.group_pct = 30
    made.step(30)
    assert (made.governor.own_level, made.fake_tail.children) == (CRITICAL, 2)


def test_children_end_for_a_full_group_while_the_level_of_the_budget_dwells() -> None:
    """Both are critical; the one that is named first is over."""
    made = Degrading()
    made.ends.group_pct = 90
    made.step(97)
    made.fake_tail.children = 2
    made.step(30)
    assert made.fake_tail.children == 1


def test_a_lasting_critical_level_stops_the_daemon_once_with_its_own_code() -> None:
    made = Degrading()
    made.step(97)
    made.step(97, after_s=EXIT_S - 0.5)
    assert made.stops == []
    for _ in range(4):
        made.step(97, after_s=1)
    ((reason, code),) = made.stops
    assert code is Exit.RESTART_WANTED
    assert "raise daemon.max_memory_mb" in reason


def test_a_group_that_others_fill_is_no_reason_to_stop() -> None:
    """Started again it would meet the same, for ever."""
    made = Degrading()
    made.machine.mb = 20
    made.governor.mark_baseline()
    made.ends.group_pct = 90
    made.step(40)
    made.step(40, after_s=EXIT_S + 1)
    assert made.stops == []
    told = made.governor.ladder.records[-1].effect
    assert "not stopped: 50,000,000 B are missing and holdfast holds 20,000,000 B" in told
    assert "raise the limit of the control group" in told
    records = len(made.governor.ladder.records)
    made.step(40, after_s=1)
    assert len(made.governor.ladder.records) == records
    made.step(71, after_s=1)  # now it is ours
    ((reason, _code),) = made.stops
    assert "cgroup at 90.0 %" in reason
    assert "raise the limit of the control group" in reason


def test_a_machine_that_others_fill_until_all_wait_is_no_reason_to_stop() -> None:
    made = Degrading()
    made.ends.stall_pct, made.ends.system_pct = 70, 90
    made.step(40)
    made.step(40, after_s=EXIT_S + 1)
    assert made.stops == []
    assert "end what takes most of the memory" in made.governor.ladder.records[-1].effect


def test_a_program_that_alone_is_over_the_line_is_not_stopped_to_be_started_again() -> None:
    made = Degrading()
    made.machine.mb = 96
    made.governor.mark_baseline()
    made.step(97)
    made.step(97, after_s=EXIT_S + 1)
    assert made.stops == []
    assert "raise the ceiling" in made.governor.ladder.records[-1].effect


def test_the_journal_is_flushed_unless_it_is_busy_writing() -> None:
    made = Degrading()
    made.step(97)
    assert made.fake_journal.calls == 1
    busy = Degrading()
    busy.fake_journal.waiting = 3
    busy.step(97)
    assert busy.fake_journal.calls == 0
