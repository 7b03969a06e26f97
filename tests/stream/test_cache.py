"""Pieces that were read back: bounded, the least used leave first."""

from __future__ import annotations

from holdfast.governor import Level
from holdfast.stream.cache import PieceCache
from holdfast.stream.history import RUN_BYTES
from tests.stream.test_history import run


def test_the_least_used_leaves_first() -> None:
    cache = PieceCache(max_events=2, max_bytes=10_000)
    cache.put(run(1))
    cache.put(run(2))
    assert cache.get(1) is not None
    cache.put(run(3))
    assert [cache.get(at) is not None for at in (1, 2, 3)] == [True, False, True]
    assert (cache.hits, cache.misses) == (3, 1)


def test_bytes_are_bounded_too() -> None:
    cache = PieceCache(max_events=100, max_bytes=2 * (RUN_BYTES + 100))
    for at in (1, 2, 3):
        cache.put(run(at, size=100))
    assert [cache.get(at) is not None for at in (1, 2, 3)] == [False, True, True]
    assert cache.usage().bytes == 2 * (RUN_BYTES + 100)


def test_what_is_larger_than_all_room_is_not_kept_and_drives_nothing_out() -> None:
    cache = PieceCache(max_events=5, max_bytes=1_000)
    cache.put(run(1))
    cache.put(run(2, 6))
    cache.put(run(10, size=2_000))
    assert [cache.get(at) is not None for at in (1, 2, 10)] == [True, False, False]


def test_the_same_piece_counts_once() -> None:
    cache = PieceCache(max_events=5, max_bytes=1_000)
    cache.put(run(1))
    cache.put(run(1))
    assert cache.usage().items == 1


def test_relief_and_clearing_give_back() -> None:
    cache = PieceCache(max_events=100, max_bytes=100_000)
    for at in range(1, 11):
        cache.put(run(at, size=100))
    assert cache.relieve(Level.HIGH, RUN_BYTES) == RUN_BYTES + 100
    assert cache.get(1) is None
    cache.clear()
    assert cache.usage().bytes == cache.usage().items == 0
    assert cache.get(5) is None
