"""Levels that rise at once and fall late, and memory that is really taken back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from holdfast.governor import (
    Allocations,
    Change,
    Effect,
    Governor,
    Level,
    Pressure,
    ProcessMemory,
    Readings,
    Step,
    Thresholds,
    TreeMemory,
    Usage,
    libc,
    lines_of,
    next_delay_s,
)
from holdfast.governor import ladder as ladder_module
from holdfast.governor import relief as relief_module
from holdfast.governor.machine import GroupMemory, MachineReading, Stall, SystemMemory
from holdfast.governor.machine import Machine as WholeMachine
from tests.support.logs import RememberedLog

MB = 1_000_000
BUDGET = 100 * MB  # so that a megabyte is a percent
NORMAL, MODERATE, HIGH, CRITICAL = Level


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class Ends(WholeMachine):
    """The ends that others set, as a test says; by itself there are none."""

    def __init__(self) -> None:
        self.system_pct: float | None = None
        self.group_pct: float | None = None
        self.stall_pct: float | None = None

    def look(self) -> MachineReading:
        system = group = stall = None
        if self.system_pct is not None:
            system = SystemMemory(1_000 * MB, int((100 - self.system_pct) * 10 * MB), 0, 0)
        if self.group_pct is not None:
            group = GroupMemory(2, "/group", BUDGET, int(self.group_pct * MB), 0, 0)
        if self.stall_pct is not None:
            stall = Stall(self.stall_pct, 0.0, "system")
        return MachineReading(system, group, stall, None, None, None, ())

    def read(self) -> MachineReading:
        return self.look()

    def used_pct(self) -> float:
        system = self.look().system
        assert system is not None
        return system.used_pct


class Machine(Readings):
    """Readings that a test sets; memory comes back only when it is trimmed, as with glibc."""

    def __init__(self) -> None:
        self.mb = 10.0
        self.freed_mb = 0.0
        self.trims = 0
        self.reads = 0
        self.exact = True
        self.peak_bytes = 0

    def fast(self) -> int:
        return int(self.mb * MB)

    def tree(self) -> TreeMemory:
        self.reads += 1
        used = int(self.mb * MB)
        self.peak_bytes = max(self.peak_bytes, used)
        own = ProcessMemory(1, "holdfast", used, used, 0, used)
        return TreeMemory(own, (), used, 0, self.exact, self.peak_bytes)

    def allocations(self) -> Allocations:
        return Allocations(1, 2)

    def trim(self) -> bool:
        self.trims += 1
        self.mb -= self.freed_mb
        self.freed_mb = 0.0
        return True


class Cache:
    """A component that gives what it is asked for, down to what it cannot part with."""

    def __init__(self, machine: Machine, name: str, mb: float, *, keeps_mb: float = 0) -> None:
        self.machine = machine
        self.name = name
        self.mb = mb
        self.keeps_mb = keeps_mb
        self.asked: list[tuple[Level, int]] = []

    def usage(self) -> Usage:
        return Usage(bytes=int(self.mb * MB), items=3, limit_bytes=50 * MB, limit_items=9)

    def relieve(self, level: Level, target_bytes: int) -> int:
        self.asked.append((level, target_bytes))
        given_mb = max(0.0, min(target_bytes / MB, self.mb - self.keeps_mb))
        self.mb -= given_mb
        self.machine.freed_mb += given_mb
        return int(given_mb * MB)


class Broken(Cache):
    def relieve(self, level: Level, target_bytes: int) -> int:
        raise RuntimeError("relieve is broken")


class Blind(Cache):
    def usage(self) -> Usage:
        raise RuntimeError("usage is broken")


class Bench:
    """A governor with everything around it."""

    def __init__(self) -> None:
        self.machine = Machine()
        self.clock = Clock()
        self.log = RememberedLog()
        self.ends = Ends()
        self.changes: list[Change] = []
        self.governor = self.make(self.changes.append)

    def make(self, on_change: Callable[[Change], None], *steps: Step) -> Governor:
        return Governor(
            BUDGET,
            lines_of(Thresholds()),
            readings=self.machine,
            machine=self.ends,
            on_change=on_change,
            log=self.log,
            clock=self.clock,
            steps=steps,
        )

    def cache(self, name: str, mb: float, **more: Any) -> Cache:
        return self.add(Cache(self.machine, name, mb, **more))

    def add(self, cache: Cache) -> Cache:
        self.governor.register(cache)
        return cache

    def step(self, mb: float, *, after_s: float = 0.0) -> Level:
        self.machine.mb = mb
        self.clock.now_s += after_s
        return self.governor.step().level


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    made = Bench()
    monkeypatch.setattr(libc, "malloc_trim", made.machine.trim)
    return made


@pytest.mark.parametrize(
    ("level", "own", "active", "delay_s"),
    [
        (NORMAL, NORMAL, False, 10.0),
        (NORMAL, NORMAL, True, 0.5),  # an import; our own growth is looked at sooner
        (MODERATE, MODERATE, True, 0.5),
        (CRITICAL, NORMAL, False, 2.0),  # others fill the machine, and may for days
        (MODERATE, MODERATE, False, 1.0),
        (HIGH, HIGH, False, 0.25),
        (CRITICAL, CRITICAL, False, 0.25),
        (CRITICAL, NORMAL, True, 0.5),
    ],
)
def test_it_looks_more_often_when_there_is_reason_to(
    level: Level, own: Level, active: bool, delay_s: float
) -> None:
    assert next_delay_s(level, own, active=active) == delay_s


def test_a_calm_step_reads_once_and_does_nothing(bench: Bench) -> None:
    cache = bench.cache("snapshots", 40)
    found = bench.governor.step()
    assert (found.level, found.own, found.relief) == (NORMAL, NORMAL, None)
    assert found.judgement.reading("budget").pct == 10.0
    assert bench.machine.reads == 1
    assert (cache.asked, bench.machine.trims, bench.changes, bench.log.records) == ([], 0, [], [])


def test_a_level_is_entered_at_once_and_left_after_its_dwell(bench: Bench) -> None:
    steps = [(50, 0.0), (75, 0.1), (96, 0.1), (50, 0.9), (50, 0.1), (50, 10.0)]
    assert [bench.step(mb, after_s=after_s) for mb, after_s in steps] == [
        NORMAL,
        MODERATE,
        CRITICAL,
        CRITICAL,
        NORMAL,
        NORMAL,
    ]


def test_the_dwell_begins_when_the_level_does(bench: Bench) -> None:
    assert bench.step(75) is MODERATE
    assert bench.step(86, after_s=0.75) is HIGH
    assert bench.step(75, after_s=0.75) is HIGH
    assert bench.step(75, after_s=0.25) is MODERATE
    assert bench.step(50, after_s=0.75) is MODERATE
    assert bench.step(50, after_s=0.25) is NORMAL


def test_each_change_is_told_once_with_its_cause(bench: Bench) -> None:
    for mb in (75, 75, 96):
        bench.step(mb)
    bench.step(10, after_s=5)
    assert bench.changes == [
        Change(MODERATE, NORMAL, MODERATE, NORMAL, "budget", 75, 70, 75 * MB),
        Change(CRITICAL, MODERATE, CRITICAL, MODERATE, "budget", 96, 95, 96 * MB),
        Change(NORMAL, CRITICAL, NORMAL, CRITICAL, "budget", 10, 0, 10 * MB),
    ]
    told = [
        (level, fields["pressure"], fields["previous"])
        for level, event, fields in bench.log.records
        if event == "governor.level_changed"
    ]
    assert told == [
        ("info", "moderate", "normal"),
        ("error", "critical", "moderate"),
        ("info", "normal", "critical"),
    ]


def test_moderate_takes_nothing_back(bench: Bench) -> None:
    cache = bench.cache("snapshots", 70)
    assert bench.step(84) is MODERATE
    assert (cache.asked, bench.machine.trims) == ([], 0)


def test_high_asks_the_largest_first_and_only_for_what_is_missing(bench: Bench) -> None:
    small = bench.cache("history", 5)
    large = bench.cache("snapshots", 40, keeps_mb=30)
    middle = bench.cache("embeddings", 20)
    bench.step(88)
    assert large.asked == [(HIGH, 18 * MB)]  # down to the moderate line at 70
    assert middle.asked == [(HIGH, 8 * MB)]  # the large one kept 30
    assert small.asked == []
    assert bench.machine.mb == pytest.approx(70)
    assert bench.machine.trims == 1


def test_a_component_that_holds_nothing_is_not_asked(bench: Bench) -> None:
    empty = bench.cache("notes", 0)
    bench.step(90)
    assert empty.asked == []


def test_components_of_one_size_are_asked_in_the_order_of_their_names(bench: Bench) -> None:
    later = bench.cache("b", 20)
    first = bench.cache("a", 20)
    bench.step(86)
    assert (len(first.asked), len(later.asked)) == (1, 0)


def test_what_was_done_is_recorded(bench: Bench) -> None:
    bench.cache("snapshots", 40, keeps_mb=35)
    bench.cache("history", 10)
    found = bench.step(90), bench.governor.snapshot().last
    last = found[1]
    assert last is not None
    relief = last.relief
    assert relief is not None
    assert list(bench.governor.reliefs) == [relief]
    assert (relief.level, relief.trimmed) == (HIGH, True)
    assert (relief.before_bytes, relief.after_bytes) == (90 * MB, 75 * MB)
    assert [msgspec.structs.astuple(action) for action in relief.actions] == [
        ("snapshots", 20 * MB, 5 * MB, 40 * MB, 35 * MB),
        ("history", 15 * MB, 10 * MB, 10 * MB, 0),
    ]
    assert last.footprint_bytes == 90 * MB
    (told,) = [fields for _, event, fields in bench.log.records if event == "governor.step"]
    assert (told["step"], told["done"], told["given_bytes"]) == (
        "shrink caches",
        "applied",
        15 * MB,
    )
    assert told["effect"] == (
        "snapshots gave 5,000,000 B, history gave 10,000,000 B, "
        "this process is smaller by 15,000,000 B"
    )


def test_the_record_of_actions_is_bounded(bench: Bench) -> None:
    cache = bench.cache("snapshots", 0)
    for _ in range(200):
        cache.mb = 30
        bench.step(90, after_s=0.25)
    assert len(cache.asked) == 200
    assert len(bench.governor.reliefs) == relief_module.RELIEFS_KEPT
    assert len(bench.governor.ladder.records) == ladder_module.RECORDS_KEPT


def test_pressure_that_nobody_can_relieve_is_trimmed_seldom_and_told_once(bench: Bench) -> None:
    """Say, an import child that is big: four records a second would fill the log."""
    bench.cache("snapshots", 20, keeps_mb=20)
    for _ in range(41):
        bench.step(90, after_s=0.25)
    assert bench.machine.trims == 3  # at once and every five of the ten seconds
    assert len(bench.governor.reliefs) == 0
    assert bench.log.names() == ["governor.level_changed", "governor.step"]


def test_a_trim_alone_that_brings_much_is_recorded(bench: Bench) -> None:
    bench.machine.freed_mb = 30
    bench.step(90)
    (relief,) = bench.governor.reliefs
    assert relief.actions == ()
    assert (relief.before_bytes, relief.after_bytes) == (90 * MB, 60 * MB)


def test_a_step_with_a_look_reads_the_tree_no_more_whatever_it_gives_back(bench: Bench) -> None:
    """It runs between two events; the kernel may wait with a reading for long."""
    bench.cache("snapshots", 40)
    bench.machine.mb = 96
    look = bench.governor.look()
    reads = bench.machine.reads
    relief = bench.governor.step(look).relief
    assert relief is not None
    assert (relief.before_bytes, relief.after_bytes) == (96 * MB, 70 * MB)
    assert bench.machine.reads == reads
    assert bench.governor.footprint_estimate() == 70 * MB


def test_a_worse_level_trims_at_once(bench: Bench) -> None:
    bench.step(90)
    assert bench.machine.trims == 1
    bench.step(96, after_s=0.25)
    assert bench.machine.trims == 2


def test_a_high_level_that_only_dwells_takes_nothing_more(bench: Bench) -> None:
    cache = bench.cache("snapshots", 60)
    bench.step(90)
    assert bench.step(60, after_s=0.5) is HIGH
    assert len(cache.asked) == 1
    assert bench.machine.trims == 1


def test_relief_goes_on_until_the_level_falls(bench: Bench) -> None:
    """Components that free memory of somebody else, or count wrongly, are asked again."""
    cache = bench.cache("snapshots", 60)
    bench.step(96)
    for _ in range(20):
        if bench.governor.level < HIGH:
            break
        bench.step(bench.machine.mb, after_s=0.25)
    assert bench.governor.level < HIGH
    assert cache.mb > 0


@pytest.mark.parametrize("failing", [Broken, Blind])
def test_a_component_that_fails_does_not_stop_the_others(
    bench: Bench, failing: type[Cache]
) -> None:
    bench.add(failing(bench.machine, "bad", 50))
    good = bench.cache("good", 30)
    assert bench.step(90) is HIGH
    assert good.asked == [(HIGH, 20 * MB)]
    assert bench.machine.mb == pytest.approx(70)
    errors = {event for level, event, _ in bench.log.records if level == "error"}
    assert errors <= {"governor.relieve_failed", "governor.usage_failed"}
    assert errors


def test_a_listener_that_fails_does_not_stop_the_relief() -> None:
    bench = Bench()

    def listener(_change: Change) -> None:
        raise RuntimeError("listener is broken")

    governor = bench.make(listener)
    cache = Cache(bench.machine, "snapshots", 40)
    governor.register(cache)
    bench.machine.mb = 90
    assert governor.step().level is HIGH
    assert cache.asked
    assert "governor.listener_failed" in bench.log.names()


def test_the_listener_hears_of_pressure_before_memory_is_taken_back(bench: Bench) -> None:
    """It refuses new work first, or what is taken back is filled again at once."""
    cache = bench.cache("snapshots", 40)
    asked_when_told: list[int] = []
    told: Callable[..., None] = lambda *_: asked_when_told.append(len(cache.asked))  # noqa: E731 - a list's append wrapped
    bench.governor._on_change = told  # type: ignore[misc]  # Final for everybody else
    bench.step(90)
    assert (asked_when_told, len(cache.asked)) == ([0], 1)


def test_one_name_cannot_be_registered_twice(bench: Bench) -> None:
    first = bench.cache("snapshots", 1)
    with pytest.raises(ValueError, match="'snapshots' is registered already"):
        bench.cache("snapshots", 2)
    assert bench.governor.components() == (first,)


def test_the_first_step_is_due_and_then_what_grew_fast(bench: Bench) -> None:
    assert bench.governor.fast_due()
    bench.step(50)
    assert not bench.governor.fast_due()
    bench.machine.mb = 55
    assert not bench.governor.fast_due()
    bench.machine.mb = 55.1
    assert bench.governor.fast_due()
    bench.governor.step()
    assert not bench.governor.fast_due()


def test_a_step_goes_by_what_was_looked_at_before_on_a_thread(bench: Bench) -> None:
    bench.machine.mb = 90
    look = bench.governor.look()
    bench.machine.mb = 10
    assert bench.governor.step(look).footprint_bytes == 90 * MB
    assert bench.governor.step().footprint_bytes == 10 * MB


def test_a_snapshot_shows_what_was_looked_at_before_on_a_thread(bench: Bench) -> None:
    bench.machine.mb = 60
    look = bench.governor.look_closely()
    bench.machine.mb = 10
    assert bench.governor.snapshot(look).footprint_bytes == 60 * MB


def test_growth_counts_from_what_relief_left(bench: Bench) -> None:
    bench.cache("snapshots", 40)
    bench.step(90)
    assert bench.machine.mb == pytest.approx(70)
    bench.machine.mb = 76
    assert bench.governor.fast_due()


def test_the_snapshot_adds_up(bench: Bench) -> None:
    bench.machine.mb = 15
    bench.governor.mark_baseline()
    bench.cache("history", 5)
    bench.cache("snapshots", 30)
    bench.step(60)
    shot = bench.governor.snapshot()
    assert (shot.level, shot.budget_bytes) == (NORMAL, BUDGET)
    assert (shot.footprint_bytes, shot.baseline_bytes) == (60 * MB, 15 * MB)
    assert [(c.name, c.bytes, c.items, c.limit_bytes) for c in shot.components] == [
        ("snapshots", 30 * MB, 3, 50 * MB),
        ("history", 5 * MB, 3, 50 * MB),
    ]
    assert shot.unaccounted_bytes == (60 - 15 - 35) * MB
    assert shot.allocations == Allocations(1, 2)
    assert shot.tree.own.name == "holdfast"
    assert shot.last is not None
    assert shot.last.level is NORMAL


def test_what_components_hold_when_the_baseline_is_taken_counts_once(bench: Bench) -> None:
    bench.cache("journal", 4)
    bench.machine.mb = 15
    assert bench.governor.mark_baseline().footprint_bytes == 15 * MB
    bench.machine.mb = 20
    shot = bench.governor.snapshot()
    assert (shot.baseline_bytes, shot.unaccounted_bytes) == (11 * MB, 5 * MB)


class Measure(Cache):
    """A component that is measured: what it says of a tree is not what it says a moment later."""

    def usage_in(self, tree: TreeMemory) -> Usage:
        return Usage(bytes=tree.footprint_bytes // 2, items=1, limit_bytes=None)


def test_what_is_measured_is_of_the_moment_of_the_tree(bench: Bench) -> None:
    bench.governor.register(Measure(bench.machine, "children", 1))
    bench.machine.mb = 40
    look = bench.governor.look_closely()
    bench.machine.mb = 80  # it changed since
    shot = bench.governor.snapshot(look)
    assert [(each.name, each.bytes) for each in shot.components] == [("children", 20 * MB)]
    assert shot.unaccounted_bytes == 20 * MB


class Passing(Measure):
    """A component that empties while the tree is read, and knows what it held."""

    def reading_begins(self) -> None:
        self.most_mb, self.mb = self.mb, 0

    def usage_in(self, _tree: TreeMemory) -> Usage:
        return Usage(bytes=int(self.most_mb * MB), items=1, limit_bytes=None)


def test_what_comes_and_goes_is_told_when_the_reading_begins(bench: Bench) -> None:
    passing = Passing(bench.machine, "journal", 4)
    bench.governor.register(passing)
    bench.machine.mb = 15
    bench.governor.mark_baseline()
    passing.mb, bench.machine.mb = 30, 48
    shot = bench.governor.snapshot()
    assert [(each.name, each.bytes) for each in shot.components] == [("journal", 30 * MB)]
    # The baseline is without what it held behind the reading, which was nothing.
    assert (shot.baseline_bytes, shot.unaccounted_bytes) == (15 * MB, 3 * MB)


def test_one_that_cannot_be_told_of_a_reading_does_not_blind_the_governor(bench: Bench) -> None:
    class Deaf(Measure):
        def reading_begins(self) -> None:
            raise RuntimeError("nobody foresaw this")

    bench.governor.register(Deaf(bench.machine, "journal", 1))
    bench.step(40)
    assert bench.governor.snapshot().footprint_bytes == 40 * MB
    assert "governor.usage_failed" in bench.log.names()


def test_a_measured_component_that_fails_does_not_blind_the_governor(bench: Bench) -> None:
    class Lost(Measure):
        def usage_in(self, tree: TreeMemory) -> Usage:
            raise RuntimeError("nobody foresaw this")

    bench.governor.register(Lost(bench.machine, "children", 1))
    bench.step(40)
    assert bench.governor.snapshot().footprint_bytes == 40 * MB
    assert "governor.usage_failed" in bench.log.names()


def test_high_water_marks_and_the_peak_stay(bench: Bench) -> None:
    cache = bench.cache("snapshots", 40)
    bench.step(80)
    cache.mb = 3
    bench.step(20)
    shot = bench.governor.snapshot()
    assert (shot.components[0].bytes, shot.components[0].high_water_bytes) == (3 * MB, 40 * MB)
    assert (shot.footprint_bytes, shot.peak_footprint_bytes) == (20 * MB, 80 * MB)


def test_a_snapshot_says_how_long_the_level_lasts_and_decides_nothing(bench: Bench) -> None:
    bench.step(96)
    bench.clock.now_s += 7
    bench.machine.mb = 10
    shot = bench.governor.snapshot()
    assert (shot.level, shot.level_for_s) == (CRITICAL, 7.0)
    assert bench.governor.level is CRITICAL
    assert len(bench.changes) == 1


def test_a_snapshot_before_the_first_step_is_whole(bench: Bench) -> None:
    shot = bench.governor.snapshot()
    assert shot.last is None
    assert msgspec.json.decode(msgspec.json.encode(shot))["footprint_bytes"] == 10 * MB


def test_an_inexact_reading_is_said_to_be_one(bench: Bench) -> None:
    bench.machine.exact = False
    bench.machine.mb = 90
    assert not bench.governor.step().exact
    assert bench.log.records[0][2]["exact"] is False


def test_a_real_process_is_relieved_below_its_budget() -> None:
    """No stand-ins: real readings, real memory, the real allocator."""
    blocks = [bytes([i % 256]) * 4_000 for i in range(10_000)]

    class Blocks:
        name = "blocks"

        def usage(self) -> Usage:
            return Usage(bytes=len(blocks) * 4_000, items=len(blocks), limit_bytes=None)

        def relieve(self, level: Level, target_bytes: int) -> int:
            count = min(len(blocks), -(-target_bytes // 4_000))
            del blocks[len(blocks) - count :]
            return count * 4_000

    readings = Readings()
    used = readings.tree().footprint_bytes
    governor = Governor(
        int(used / 0.9),
        lines_of(Thresholds()),
        readings=readings,
        machine=WholeMachine("/"),
        on_change=lambda _change: None,
        log=RememberedLog(),
    )
    governor.register(Blocks())
    relief = governor.step().relief
    readings.close()
    assert relief is not None
    assert relief.actions[0].given_bytes > 0
    if relief.trimmed:  # where the allocator can give memory back, most of it must come
        came = relief.before_bytes - relief.after_bytes
        assert came > relief.actions[0].given_bytes * 0.5


def test_levels_compare_and_have_labels() -> None:
    assert sorted(Level) == [NORMAL, MODERATE, HIGH, CRITICAL]
    assert [level.label for level in Level] == ["normal", "moderate", "high", "critical"]


def test_memory_that_others_use_makes_us_small_and_turns_nobody_away(bench: Bench) -> None:
    """A browser that fills the machine is no reason to give up what we hold below our budget."""
    done: list[Pressure] = []

    def refuse(pressure: Pressure) -> Effect:
        done.append(pressure)
        return Effect()

    step = Step(name="refuse", level=HIGH, own=True, apply=refuse)
    governor = bench.make(bench.changes.append, step)
    cache = Cache(bench.machine, "snapshots", 40)
    governor.register(cache)
    bench.machine.mb, bench.ends.system_pct = 50, 85
    found = governor.step()
    assert (found.level, found.own) == (CRITICAL, NORMAL)
    assert found.judgement.cause == "system"
    assert (governor.ladder.held, done, cache.asked) == (("shrink caches",), [], [])
    assert bench.machine.trims == 1


def test_a_full_control_group_is_our_own_and_asks_for_what_is_above_its_moderate_line(
    bench: Bench,
) -> None:
    cache = bench.cache("snapshots", 40)
    bench.ends.group_pct = 65
    bench.machine.mb = 50
    found = bench.governor.step()
    assert (found.level, found.own, found.judgement.cause) == (HIGH, HIGH, "cgroup")
    assert cache.asked == [(HIGH, 25 * MB)]


def test_of_a_group_that_neighbours_fill_no_more_is_asked_for_than_we_hold(bench: Bench) -> None:
    bench.machine.mb = 15
    bench.governor.mark_baseline()
    cache = bench.cache("snapshots", 40)
    bench.ends.group_pct = 75
    bench.step(25)
    assert cache.asked == [(HIGH, 10 * MB)]


def test_a_real_stall_is_our_own(bench: Bench) -> None:
    bench.ends.stall_pct, bench.ends.system_pct = 70, 45
    found = bench.governor.step()
    assert (found.level, found.own, found.judgement.cause) == (CRITICAL, CRITICAL, "stall_some")


def test_a_stall_while_there_is_plenty_of_memory_is_somebody_elses(bench: Bench) -> None:
    """Another control group that waits for room below its own limit."""
    bench.ends.stall_pct, bench.ends.system_pct = 70, 10
    found = bench.governor.step()
    assert (found.level, found.judgement.reading("stall_some").pct) == (NORMAL, None)


def test_stalls_do_not_come_and_go_with_a_machine_that_rests_on_its_line(bench: Bench) -> None:
    bench.ends.stall_pct = 35
    for number in range(40):
        bench.ends.system_pct = 40.5 if number % 2 else 39.5
        bench.step(10, after_s=0.25)
    assert [(each.level, each.own) for each in bench.changes] == [(HIGH, HIGH)]
    bench.ends.system_pct = 34
    bench.step(10, after_s=1)
    assert bench.step(10, after_s=1) is NORMAL


def test_a_change_of_our_own_level_alone_is_told_with_its_own_cause(bench: Bench) -> None:
    bench.ends.system_pct = 85
    bench.step(50)
    bench.step(90)
    assert [(each.level, each.own, each.cause) for each in bench.changes] == [
        (CRITICAL, NORMAL, "system"),
        (CRITICAL, HIGH, "budget"),
    ]
