"""Levels that rise at once and fall late, each reading by itself, the worst of them deciding."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import Exit
from holdfast.governor import Level, Levels, Line, Thresholds, ThresholdsError, decide, lines_of
from holdfast.governor.levels import MIN_DWELL_S

NORMAL, MODERATE, HIGH, CRITICAL = Level


levels = st.sampled_from(Level)
percents = st.integers(0, 120).map(float) | st.floats(0, 150, allow_nan=False)
thresholds_strategy = (
    st.lists(st.integers(6, 100), min_size=3, max_size=3, unique=True)
    .map(sorted)
    .map(lambda lines: Thresholds(lines[0], lines[1], lines[2]))
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
        Thresholds(lines[0], lines[1], lines[2])
    assert refused.value.exit is Exit.CONFIG


def test_the_message_names_the_settings_of_the_reading() -> None:
    with pytest.raises(ThresholdsError, match=r"Change resources\.memory_\*_pct"):
        Thresholds(60, 40, 80, settings="resources.memory_*_pct")


def test_the_worst_reading_decides_and_is_named() -> None:
    found = Levels(lines_of(Thresholds()), 0.0).take(
        {"budget": 72.0, "cgroup": 61.0, "stall_some": 0.0, "stall_full": 0.0, "system": 30.0}, 0.0
    )
    assert (found.level, found.own, found.cause) == (HIGH, HIGH, "cgroup")
    assert (found.pct, found.threshold_pct) == (61.0, 60.0)
    assert {each.name: each.level for each in found.readings} == {
        "budget": MODERATE,
        "cgroup": HIGH,
        "stall_some": NORMAL,
        "stall_full": NORMAL,
        "system": NORMAL,
    }


def test_of_equally_bad_readings_the_first_is_named() -> None:
    found = Levels(lines_of(Thresholds()), 0.0).take({"budget": 86.0, "system": 70.0}, 0.0)
    assert (found.level, found.cause) == (HIGH, "budget")


def test_the_memory_of_the_machine_does_not_count_as_our_own() -> None:
    found = Levels(lines_of(Thresholds()), 0.0).take({"budget": 20.0, "system": 99.0}, 0.0)
    assert (found.level, found.own, found.cause) == (CRITICAL, NORMAL, "system")
    assert found.own_cause().name == "budget"


def test_a_reading_that_is_no_longer_there_is_forgotten_after_the_dwell() -> None:
    """A group that loses its limit, a kernel that stops telling of stalls."""
    levels = Levels(lines_of(Thresholds()), 0.0)
    assert levels.take({"budget": 10.0, "cgroup": 99.0}, 0.0).level is CRITICAL
    assert levels.take({"budget": 10.0, "cgroup": None}, MIN_DWELL_S - 0.1).level is CRITICAL
    found = levels.take({"budget": 10.0, "cgroup": None}, MIN_DWELL_S)
    assert (found.level, found.reading("cgroup").pct) == (NORMAL, None)


def test_each_reading_dwells_by_itself() -> None:
    levels = Levels(lines_of(Thresholds()), 0.0)
    levels.take({"budget": 90.0, "cgroup": 10.0}, 0.0)
    levels.take({"budget": 90.0, "cgroup": 70.0}, MIN_DWELL_S - 0.1)
    found = levels.take({"budget": 10.0, "cgroup": 10.0}, MIN_DWELL_S)
    assert (found.reading("budget").level, found.reading("cgroup").level) == (NORMAL, HIGH)
    assert found.reading("budget").for_s == 0.0
    assert found.reading("cgroup").for_s == pytest.approx(0.1)


def test_a_stall_near_nothing_can_end() -> None:
    """Its moderate line is where the other readings have their hysteresis."""
    levels = Levels(lines_of(Thresholds()), 0.0)
    assert levels.take({"stall_full": 5.0}, 0.0).level is MODERATE
    assert levels.take({"stall_full": 2.9}, MIN_DWELL_S).level is NORMAL


def test_levels_without_anything_of_our_own_are_refused() -> None:
    with pytest.raises(AssertionError, match="nothing of our own"):
        Levels([Line("system", Thresholds(), own=False)], 0.0)
