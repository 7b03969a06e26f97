"""Blocks that were read back: found by number, bounded, the least used leave first."""

from __future__ import annotations

from holdfast.governor import Level
from holdfast.stream.cache import BLOCK_BYTES, END_BYTES, Block, BlockCache


def block(first_seq: int, count: int = 1, size: int = 10) -> Block:
    return Block(first_seq, b"".join(b"%*d\n" % (size - 1, first_seq + n) for n in range(count)))


def cache(*, max_events: int = 100, max_bytes: int = 100_000) -> BlockCache:
    return BlockCache(max_events=max_events, max_bytes=max_bytes)


def here(held: BlockCache, *seqs: int, session: str = "s") -> list[bool]:
    return [held.find(session, seq) is not None for seq in seqs]


def test_a_block_gives_any_run_of_its_lines() -> None:
    held = block(7, 5, size=4)
    assert (held.count, held.end_seq) == (5, 12)
    assert held.cut(7, 12) == b"  7\n  8\n  9\n 10\n 11\n"
    assert held.cut(8, 9) == b"  8\n"
    assert held.cut(11, 12) == b" 11\n"
    assert held.cut(9, 9) == b""


def test_a_block_is_found_by_any_number_that_it_holds() -> None:
    held = cache()
    held.put("s", block(5, 3), held.version)
    held.put("s", block(8, 2), held.version)
    held.put("t", block(0), held.version)
    assert here(held, 4, 5, 7, 8, 9, 10) == [False, True, True, True, True, False]
    assert here(held, 0, 5, session="t") == [True, False]


def test_the_least_used_leaves_first() -> None:
    held = cache(max_events=2)
    held.put("s", block(1), held.version)
    held.put("s", block(2), held.version)
    assert here(held, 1) == [True]
    held.put("s", block(3), held.version)
    assert here(held, 1, 2, 3) == [True, False, True]
    assert (held.hits, held.misses) == (3, 1)


def test_bytes_are_bounded_too() -> None:
    one = BLOCK_BYTES + 100 + 2 * END_BYTES
    held = cache(max_bytes=2 * one)
    for seq in (1, 2, 3):
        held.put("s", block(seq, size=100), held.version)
    assert here(held, 1, 2, 3) == [False, True, True]
    assert held.usage().bytes == 2 * one


def test_what_is_larger_than_all_room_is_not_kept_and_drives_nothing_out() -> None:
    held = cache(max_events=5, max_bytes=2_000)
    held.put("s", block(1), held.version)
    held.put("s", block(2, 6), held.version)
    held.put("s", block(10, size=3_000), held.version)
    assert here(held, 1, 2, 10) == [True, False, False]


def test_a_block_that_grew_takes_the_place_of_what_it_was() -> None:
    held = cache()
    held.put("s", block(1, 2), held.version)
    held.put("s", block(1, 4), held.version)
    assert held.usage().items == 4
    assert here(held, 4) == [True]


def test_relief_and_clearing_give_back() -> None:
    held = cache()
    for seq in range(1, 11):
        held.put("s", block(seq, size=100), held.version)
    one = BLOCK_BYTES + 100 + 2 * END_BYTES
    assert held.relieve(Level.HIGH, one + 1) == 2 * one
    assert here(held, 1, 2, 3) == [False, False, True]
    held.clear()
    assert held.usage().bytes == held.usage().items == 0
    assert here(held, 5) == [False]


def test_what_was_read_before_it_was_rewritten_is_not_kept() -> None:
    held = cache()
    before = held.version
    held.clear()
    held.put("s", block(1), before)
    assert here(held, 1) == [False]
    held.put("s", block(1), held.version)
    assert here(held, 1) == [True]
