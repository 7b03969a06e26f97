"""Levels that rise at once and fall late, and memory that is really taken back."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import Exit
from holdfast.governor import (
    Allocations,
    Governor,
    Level,
    ProcessMemory,
    Readings,
    Thresholds,
    ThresholdsError,
    TreeMemory,
    Usage,
    decide,
    libc,
    next_delay_s,
)
from holdfast.governor import governor as governor_module
from holdfast.governor.machine import Machine as WholeMachine

MB = 1_000_000
BUDGET = 100 * MB  # so that a megabyte is a percent
NORMAL, MODERATE, HIGH, CRITICAL = Level


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


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


class Recorder:
    """An `EventLog` that keeps what it is told."""

    def __init__(self) -> None:
        self.records: list[tuple[str, str, dict[str, object]]] = []

    def debug(self, event: str, /, **fields: object) -> None:
        self.records.append(("debug", event, fields))

    def info(self, event: str, /, **fields: object) -> None:
        self.records.append(("info", event, fields))

    def warning(self, event: str, /, **fields: object) -> None:
        self.records.append(("warning", event, fields))

    def error(self, event: str, /, **fields: object) -> None:
        self.records.append(("error", event, fields))

    def names(self) -> list[str]:
        return [event for _, event, _ in self.records]


class Bench:
    """A governor with everything around it."""

    def __init__(self) -> None:
        self.machine = Machine()
        self.clock = Clock()
        self.log = Recorder()
        self.changes: list[tuple[Level, Level, str, int]] = []
        self.governor = Governor(
            BUDGET,
            Thresholds(),
            readings=self.machine,
            machine=WholeMachine("/"),
            on_change=lambda *change: self.changes.append(change),
            log=self.log,
            clock=self.clock,
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


levels = st.sampled_from(Level)
percents = st.integers(0, 120).map(float) | st.floats(0, 150, allow_nan=False)
thresholds_strategy = (
    st.lists(st.integers(6, 100), min_size=3, max_size=3, unique=True)
    .map(sorted)
    .map(lambda lines: Thresholds(*lines))
)


@given(levels, percents, thresholds_strategy, st.lists(st.booleans(), min_size=1))
def test_a_constant_reading_changes_the_level_at_most_once(
    start: Level, pct: float, thresholds: Thresholds, dwells: list[bool]
) -> None:
    """However the dwell comes out on the way; so the level never oscillates."""
    level, seen = start, [start]
    for dwell_elapsed in dwells:
        level = decide(level, pct, thresholds, dwell_elapsed=dwell_elapsed)
        seen.append(level)
    assert sum(a != b for a, b in itertools.pairwise(seen)) <= 1


@given(levels, percents, percents, thresholds_strategy, st.booleans())
def test_a_higher_reading_never_gives_a_lower_level(
    previous: Level, one: float, two: float, thresholds: Thresholds, dwell_elapsed: bool
) -> None:
    low, high = sorted((one, two))
    assert decide(previous, low, thresholds, dwell_elapsed=dwell_elapsed) <= decide(
        previous, high, thresholds, dwell_elapsed=dwell_elapsed
    )


@given(levels, percents, thresholds_strategy, st.booleans())
def test_the_level_is_never_below_the_plain_one(
    previous: Level, pct: float, thresholds: Thresholds, dwell_elapsed: bool
) -> None:
    level = decide(previous, pct, thresholds, dwell_elapsed=dwell_elapsed)
    assert level >= thresholds.level(pct)
    assert level <= max(previous, thresholds.level(pct))


@given(levels, thresholds_strategy)
def test_nothing_used_ends_every_level(previous: Level, thresholds: Thresholds) -> None:
    assert decide(previous, 0, thresholds, dwell_elapsed=True) is NORMAL


@pytest.mark.parametrize(
    ("previous", "pct", "dwell_elapsed", "expected"),
    [
        (NORMAL, 69.9, True, NORMAL),
        (NORMAL, 70, False, MODERATE),
        (NORMAL, 85, False, HIGH),
        (NORMAL, 95, False, CRITICAL),
        (NORMAL, 400, False, CRITICAL),
        (CRITICAL, 90, True, CRITICAL),
        (CRITICAL, 89.9, True, HIGH),
        (CRITICAL, 89.9, False, CRITICAL),
        (CRITICAL, 82, True, HIGH),
        (CRITICAL, 66, True, MODERATE),
        (CRITICAL, 10, True, NORMAL),
        (HIGH, 80, True, HIGH),
        (HIGH, 79.9, True, MODERATE),
        (MODERATE, 65, True, MODERATE),
        (MODERATE, 64.9, True, NORMAL),
        (MODERATE, 0, False, MODERATE),
    ],
)
def test_levels_by_example(
    previous: Level, pct: float, dwell_elapsed: bool, expected: Level
) -> None:
    assert decide(previous, pct, Thresholds(), dwell_elapsed=dwell_elapsed) is expected


def test_lines_closer_than_the_hysteresis_do_not_lift_a_level() -> None:
    assert decide(HIGH, 83, Thresholds(70, 85, 87), dwell_elapsed=True) is HIGH


@pytest.mark.parametrize(
    "lines", [(70, 70, 95), (85, 70, 95), (70, 95, 85), (5, 85, 95), (0, 1, 2), (70, 85, 101)]
)
def test_thresholds_out_of_order_are_refused(lines: tuple[float, float, float]) -> None:
    with pytest.raises(ThresholdsError, match=r"Change resources\.budget_\*_pct") as refused:
        Thresholds(*lines)
    assert refused.value.exit is Exit.CONFIG


@pytest.mark.parametrize("level", Level)
@pytest.mark.parametrize("active", [True, False])
def test_it_looks_more_often_when_there_is_reason_to(level: Level, active: bool) -> None:
    calm = level is NORMAL and not active
    assert next_delay_s(level, active=active) == (10.0 if calm else 0.25)


def test_a_calm_step_reads_once_and_does_nothing(bench: Bench) -> None:
    cache = bench.cache("snapshots", 40)
    found = bench.governor.step()
    assert (found.level, found.pct, found.relief) == (NORMAL, 10.0, None)
    assert bench.machine.reads == 1
    assert (cache.asked, bench.machine.trims, bench.changes, bench.log.records) == ([], 0, [], [])


def test_a_level_is_entered_at_once_and_left_after_its_dwell(bench: Bench) -> None:
    steps = [(50, 0.0), (75, 0.1), (96, 0.1), (50, 1.9), (50, 0.1), (50, 10.0)]
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
    assert bench.step(86, after_s=1.5) is HIGH
    assert bench.step(75, after_s=1.5) is HIGH
    assert bench.step(75, after_s=0.5) is MODERATE
    assert bench.step(50, after_s=1.5) is MODERATE
    assert bench.step(50, after_s=0.5) is NORMAL


def test_each_change_is_told_once_with_its_cause(bench: Bench) -> None:
    for mb in (75, 75, 96):
        bench.step(mb)
    bench.step(10, after_s=5)
    assert bench.changes == [
        (MODERATE, NORMAL, "budget", 75 * MB),
        (CRITICAL, MODERATE, "budget", 96 * MB),
        (NORMAL, CRITICAL, "budget", 10 * MB),
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
    assert list(bench.governor.actions) == [relief]
    assert (relief.level, relief.trimmed) == (HIGH, True)
    assert (relief.before_bytes, relief.after_bytes) == (90 * MB, 75 * MB)
    assert [msgspec.structs.astuple(action) for action in relief.actions] == [
        ("snapshots", 20 * MB, 5 * MB, 40 * MB, 35 * MB),
        ("history", 15 * MB, 10 * MB, 10 * MB, 0),
    ]
    assert last.footprint_bytes == 90 * MB
    (told,) = [fields for _, event, fields in bench.log.records if event == "governor.relieved"]
    assert (told["before_bytes"], told["after_bytes"]) == (90 * MB, 75 * MB)


def test_the_record_of_actions_is_bounded(bench: Bench) -> None:
    cache = bench.cache("snapshots", 0)
    for _ in range(200):
        cache.mb = 30
        bench.step(90, after_s=0.25)
    assert len(cache.asked) == 200
    assert len(bench.governor.actions) == governor_module.ACTIONS_KEPT


def test_pressure_that_nobody_can_relieve_is_trimmed_seldom_and_told_once(bench: Bench) -> None:
    """Say, an import child that is big: four records a second would fill the log."""
    bench.cache("snapshots", 20, keeps_mb=20)
    for _ in range(41):
        bench.step(90, after_s=0.25)
    assert bench.machine.trims == 3  # at once and every five of the ten seconds
    assert len(bench.governor.actions) == 0
    assert bench.log.names() == ["governor.level_changed"]


def test_a_trim_alone_that_brings_much_is_recorded(bench: Bench) -> None:
    bench.machine.freed_mb = 30
    bench.step(90)
    (relief,) = bench.governor.actions
    assert relief.actions == ()
    assert (relief.before_bytes, relief.after_bytes) == (90 * MB, 60 * MB)


def test_a_worse_level_trims_at_once(bench: Bench) -> None:
    bench.step(90)
    assert bench.machine.trims == 1
    bench.step(96, after_s=0.25)
    assert bench.machine.trims == 2


def test_a_high_level_that_only_dwells_takes_nothing_more(bench: Bench) -> None:
    cache = bench.cache("snapshots", 60)
    bench.step(90)
    assert bench.step(60, after_s=1) is HIGH
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

    def listener(level: Level, previous: Level, cause: str, footprint_bytes: int) -> None:
        raise RuntimeError("listener is broken")

    governor = Governor(
        BUDGET,
        Thresholds(),
        readings=bench.machine,
        machine=WholeMachine("/"),
        on_change=listener,
        log=bench.log,
        clock=bench.clock,
    )
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
        Thresholds(),
        readings=readings,
        machine=WholeMachine("/"),
        on_change=lambda *_: None,
        log=Recorder(),
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
