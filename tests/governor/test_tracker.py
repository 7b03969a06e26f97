"""Who holds how much, how fast it grows, what was the most, and what is at work."""

from __future__ import annotations

import pytest

from holdfast.governor import Account, Bounded, Level, Tracker, Usage
from holdfast.governor.tracker import RATE_WINDOW_S
from tests.governor.test_governor import Clock


def use(bytes_: int, *, items: int = 0, limit: int | None = None) -> Usage:
    return Usage(bytes=bytes_, items=items, limit_bytes=limit)


def test_a_rate_is_the_growth_over_the_last_half_minute() -> None:
    clock = Clock()
    tracker = Tracker(clock)
    for second in range(100):
        clock.now_s = second
        tracker.observe("cache", use(second * 1_000 if second < 60 else 59_000))
    (cache,) = tracker.snapshot()
    assert (cache.bytes, cache.high_water_bytes, cache.rate_bytes_s) == (59_000, 59_000, 0.0)
    clock.now_s = 100
    tracker.observe("cache", use(29_000))
    (cache,) = tracker.snapshot()
    assert cache.rate_bytes_s == pytest.approx(-30_000 / RATE_WINDOW_S, rel=0.05)
    assert cache.high_water_bytes == 59_000


def test_a_component_that_was_just_met_has_no_rate() -> None:
    tracker = Tracker(Clock())
    tracker.observe("cache", use(1_000_000))
    assert tracker.snapshot()[0].rate_bytes_s == 0.0


def test_what_is_looked_at_often_keeps_few_samples() -> None:
    clock = Clock()
    tracker = Tracker(clock)
    for _ in range(10_000):
        clock.now_s += 0.01
        tracker.observe("cache", use(1))
    assert len(tracker._traces["cache"].samples) <= RATE_WINDOW_S + 1


def test_an_account_is_a_component_that_is_told_of_its_bytes() -> None:
    account = Account("buffer", limit_bytes=100, limit_items=3)
    component: Bounded = account
    account.record_allocation(60)
    account.record_allocation(30, items=2)
    account.record_deallocation(60)
    assert component.usage() == Usage(30, 2, 100, 3)
    assert component.relieve(Level.CRITICAL, 1) == 0
    with pytest.raises(AssertionError, match="buffer gives back more than it was given"):
        account.record_deallocation(31)


def test_tasks_are_counted_as_they_come_and_go() -> None:
    tracker = Tracker(Clock())
    with tracker.task():
        counts = tracker.tasks()
        assert (counts.spawned, counts.active, counts.completed) == (1, 1, 0)
    with pytest.raises(RuntimeError), tracker.task():
        raise RuntimeError
    counts = tracker.tasks()
    assert (counts.spawned, counts.active, counts.completed, counts.failed) == (2, 0, 2, 1)


def test_components_near_their_limit_are_named_the_worst_first() -> None:
    tracker = Tracker(Clock())
    tracker.observe("calm", use(10, limit=100))
    tracker.observe("near", use(95, limit=100))
    tracker.observe("over", Usage(bytes=1, items=12, limit_bytes=100, limit_items=10))
    tracker.observe("endless", use(10**9))
    found = tracker.check_thresholds()
    assert [(each.name, each.pct, each.over) for each in found] == [
        ("over", 120.0, True),
        ("near", 95.0, False),
    ]
