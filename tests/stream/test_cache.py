"""Stretches that were read back: found by position, bounded, the least used leave first."""

from __future__ import annotations

from holdfast.governor import Level
from holdfast.journal.streams import Committed
from holdfast.stream import cache as cache_module
from holdfast.stream.cache import StretchCache
from holdfast.stream.stretches import BESIDE_BYTES, RUN_BYTES, Stretch

ONE = BESIDE_BYTES + RUN_BYTES + 100


def stretch(start: int, count: int = 10, size: int = 100) -> Stretch:
    lines = b"x" * (size - count) + b"\n" * count
    return Stretch(
        start, start + count, [Committed(start, "s", "stream", "s", start, count, lines)]
    )


def cache(*, max_events: int = 100, max_bytes: int = 100_000) -> StretchCache:
    return StretchCache(max_events=max_events, max_bytes=max_bytes)


def here(held: StretchCache, *positions: int, asked: str = "*") -> list[bool]:
    return [held.find(asked, position) is not None for position in positions]


def test_a_stretch_is_found_by_any_position_that_it_covers_and_by_what_was_asked() -> None:
    held = cache()
    held.put("*", stretch(5, 3), held.version)
    held.put("orders", stretch(8, 2), held.version)
    assert here(held, 4, 5, 7, 8) == [False, True, True, False]
    assert here(held, 7, 8, 9, 10, asked="orders") == [False, True, True, False]
    with held.room(100):
        pass
    assert (held.hits, held.misses) == (4, 1)  # what is not here is missed when it is read


def test_the_least_used_leaves_first() -> None:
    held = cache(max_events=20)
    held.put("*", stretch(0), held.version)
    held.put("*", stretch(10), held.version)
    assert here(held, 0) == [True]
    held.put("*", stretch(20), held.version)
    assert here(held, 0, 10, 20) == [True, False, True]


def test_bytes_are_bounded_too() -> None:
    held = cache(max_bytes=2 * ONE)
    for start in (0, 10, 20):
        held.put("*", stretch(start), held.version)
    assert here(held, 0, 10, 20) == [False, True, True]
    assert held.usage().bytes == 2 * ONE


def test_there_are_never_more_than_can_be_looked_through() -> None:
    held = cache(max_events=10_000, max_bytes=10_000_000)
    for start in range(0, 10 * (cache_module.STRETCHES_MAX + 2), 10):
        held.put("*", stretch(start), held.version)
    assert here(held, 0, 10, 20) == [False, False, True]


def test_others_leave_for_what_is_being_read() -> None:
    held = cache(max_bytes=2 * ONE)
    for start in (0, 10):
        held.put("*", stretch(start), held.version)
    with held.room(ONE):
        assert here(held, 0, 10) == [False, True]
        assert held.usage().bytes == 2 * ONE
    assert held.usage().bytes == ONE


def test_what_holds_nothing_is_not_kept() -> None:
    held = cache()
    held.put("nobody", Stretch(0, 1_000, []), held.version)
    assert here(held, 5, asked="nobody") == [False]


def test_what_is_larger_than_all_room_is_not_kept_and_drives_nothing_out() -> None:
    held = cache(max_events=15, max_bytes=2_000)
    held.put("*", stretch(0), held.version)
    held.put("*", stretch(10, 16), held.version)
    held.put("*", stretch(30, size=3_000), held.version)
    assert here(held, 0, 10, 30) == [True, False, False]


def test_relief_and_clearing_give_back() -> None:
    held = cache()
    for start in range(0, 100, 10):
        held.put("*", stretch(start), held.version)
    assert held.relieve(Level.HIGH, ONE + 1) == 2 * ONE
    assert here(held, 0, 10, 20) == [False, False, True]
    held.clear()
    assert held.usage().bytes == held.usage().items == 0
    assert here(held, 50) == [False]


def test_what_was_read_before_it_was_rewritten_is_not_kept() -> None:
    held = cache()
    before = held.version
    held.clear()
    held.put("*", stretch(0), before)
    assert here(held, 0) == [False]
    held.put("*", stretch(0), held.version)
    assert here(held, 0) == [True]
