"""An arena gives back the lines it was given, in any range, and its work is what is appended."""

from __future__ import annotations

import mmap
from random import Random
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast import blocks
from holdfast.snapshots import arena as arena_module
from holdfast.snapshots.arena import OVERHEAD_BYTES, PAGE_BYTES, Arena, LeftMemory

BLOCK_BYTES: Final = 2_048
ON_LINUX = pytest.mark.skipif(not arena_module._CAN_PUNCH, reason="other systems keep the pages")


class Lines:
    """An arena, and the plain list that it must look like."""

    def __init__(self, first_seq: int = 0, seal_at: int = BLOCK_BYTES) -> None:
        self.arena = Arena(first_seq, seal_at)
        self.known: dict[int, bytes] = {}
        self._throw = Random(1)

    def append(self, count: int, size: int = 40) -> None:
        lines = self._more(count, size)
        self.arena.append(b"".join(lines), len(lines))

    def append_block(self, count: int, size: int = 40) -> None:
        first = self.arena.next_seq
        lines = self._more(count, size)
        self.arena.append_block(blocks.seal(b"".join(lines), first, count))

    def expected(self, start: int = 0, stop: int | None = None) -> bytes:
        last = self.arena.next_seq if stop is None else min(stop, self.arena.next_seq)
        return b"".join(self.known[seq] for seq in range(max(start, self.arena.first_seq), last))

    def check(self, start: int = 0, stop: int | None = None) -> None:
        assert b"".join(self.arena.read(start, stop)) == self.expected(start, stop)

    def _more(self, count: int, size: int) -> list[bytes]:
        first = self.arena.next_seq
        new = {
            seq: b"%d:%s\n" % (seq, self._throw.randbytes(size // 2).hex().encode())
            for seq in range(first, first + count)
        }
        self.known |= new
        return list(new.values())


@settings(deadline=None, max_examples=150)
@given(
    st.integers(0, 50),
    st.lists(
        st.tuples(
            st.sampled_from(["append", "append_block", "seal", "drop_before", "drop_oldest"]),
            st.integers(1, 60),
            st.sampled_from([10, 60, 400, 6_000]),
        ),
        max_size=30,
    ),
    st.integers(0, 300),
    st.none() | st.integers(0, 300),
)
def test_an_arena_looks_like_a_list_of_lines(
    first: int, steps: list[tuple[str, int, int]], start: int, stop: int | None
) -> None:
    lines = Lines(first)
    arena = lines.arena
    for step, count, size in steps:
        if step == "append":
            lines.append(count, size)
        elif step == "append_block":
            lines.append_block(count, size)
        elif step == "seal":
            arena.seal_tail()
        elif step == "drop_before":
            arena.drop_before(arena.first_seq + count)
        elif arena.events:
            before = arena.first_seq
            assert arena.drop_oldest() == arena.first_seq - before > 0
        assert arena.first_seq <= arena.next_seq == max(lines.known, default=first - 1) + 1
        assert 0 <= arena.tail_bytes < BLOCK_BYTES
        assert arena.resident_bytes >= arena.sealed_bytes + arena.tail_bytes + OVERHEAD_BYTES
    lines.check(start, stop)
    lines.check()
    arena.close()


def test_dropping_is_exact_inside_a_block_and_inside_the_tail() -> None:
    lines = Lines()
    lines.append_block(10)
    lines.append(10)
    for seq in (3, 9, 10, 13, 19, 20):
        lines.arena.drop_before(seq)
        assert lines.arena.first_seq == seq
        lines.check()
    assert lines.arena.events == 0
    lines.append(3)
    lines.check()


def test_what_is_long_gone_is_not_dropped_again() -> None:
    lines = Lines()
    lines.append(10)
    lines.arena.drop_before(5)
    lines.arena.drop_before(2)
    assert lines.arena.first_seq == 5
    lines.check()


def test_dropping_beyond_the_end_drops_what_is_there() -> None:
    lines = Lines(7)
    lines.append(5)
    lines.arena.drop_before(99)
    assert (lines.arena.first_seq, lines.arena.next_seq) == (12, 12)


def test_a_block_out_of_order_is_refused() -> None:
    with pytest.raises(AssertionError, match="report it"):
        Arena(0, BLOCK_BYTES).append_block(blocks.seal(b"x\n", 3, 1))


def test_appending_does_not_disturb_a_reader() -> None:
    lines = Lines()
    lines.append_block(30)
    lines.append(10)
    wanted = lines.expected()
    reading = lines.arena.read()
    got = [next(reading)]
    lines.append(200)
    lines.arena.seal_tail()
    lines.append(5)
    assert b"".join([*got, *reading]) == wanted


@pytest.mark.parametrize("away", ["drop", "close"])
def test_a_reader_is_told_when_what_it_reads_leaves_memory(away: str) -> None:
    """A part must not be taken for the whole."""
    lines = Lines()
    lines.append_block(10)
    lines.append_block(10)
    lines.append_block(10)
    reading = lines.arena.read()
    next(reading)
    if away == "drop":
        lines.arena.drop_before(15)
    else:
        lines.arena.close()
    with pytest.raises(LeftMemory, match="read it from the journal"):
        next(reading)


def test_an_incompressible_tail_is_sealed_all_the_same() -> None:
    lines = Lines(seal_at=1)
    for size in (10, 30, 5_000):
        lines.append(1, size)
        assert lines.arena.tail_bytes == 0
    lines.check()


def test_a_sealed_session_takes_the_pages_of_its_blocks() -> None:
    lines = Lines()
    lines.append(2_000, 200)
    lines.arena.seal_tail()
    pages = -(-lines.arena.sealed_bytes // PAGE_BYTES) * PAGE_BYTES
    assert lines.arena.resident_bytes <= pages + PAGE_BYTES + OVERHEAD_BYTES + 16 * 200


@ON_LINUX
def test_what_is_dropped_is_given_back_at_once() -> None:
    """Not only when enough has come together to be worth moving the rest."""
    lines = Lines()
    for _ in range(40):
        lines.append_block(20, 1_000)
    arena = lines.arena
    for number in range(1, 20):
        before = arena.resident_bytes
        arena.drop_before(number * 20)
        assert before - arena.resident_bytes >= 2 * PAGE_BYTES  # a block is 10 KB of hex
        assert arena.resident_bytes <= arena.sealed_bytes + 3 * PAGE_BYTES + OVERHEAD_BYTES
    lines.check()


def test_memory_that_is_refused_leaves_the_arena_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = Lines(seal_at=1 << 20)
    lines.append(10)
    wanted = lines.expected()

    def refuse(_arena: Arena, _size: int) -> None:
        raise OSError("Cannot allocate memory")

    monkeypatch.setattr(Arena, "_resize", refuse)
    with pytest.raises(OSError, match="Cannot allocate"):
        lines.arena.append(b"x" * 100_000 + b"\n", 1)
    with pytest.raises(OSError, match="Cannot allocate"):
        lines.arena.append_block(blocks.Block(10, 1, 100_000, b"x" * 100_000))
    assert b"".join(lines.arena.read()) == wanted
    assert lines.arena.next_seq == 10


class Work:
    """Counts the bytes that an arena moves, copies and compresses."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bytes = 0
        work = self
        seal = blocks.seal

        class Counted(mmap.mmap):
            def move(self, dest: int, src: int, count: int) -> None:
                work.bytes += count
                super().move(dest, src, count)

            def __getitem__(self, key: Any) -> Any:
                found = super().__getitem__(key)
                work.bytes += len(found)
                return found

            def __setitem__(self, key: Any, value: Any) -> None:
                work.bytes += len(value)
                super().__setitem__(key, value)

        def counted_seal(lines: bytes, first_seq: int, count: int) -> blocks.Block:
            work.bytes += len(lines)
            return seal(lines, first_seq, count)

        monkeypatch.setattr(mmap, "mmap", Counted)
        monkeypatch.setattr(blocks, "seal", counted_seal)


def test_an_append_does_work_for_what_is_appended_whatever_the_session_weighs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """K4: measured in bytes touched, which no other load on the machine changes."""
    work = Work(monkeypatch)

    def share(keep: int) -> float:
        """Bytes touched for each byte appended, once a session of that many events is full."""
        lines = Lines(seal_at=8_192)
        lines.append(keep, 100)
        work.bytes = appended = 0
        for _ in range(2 * keep // 10):
            lines.append(10, 100)
            lines.arena.drop_before(lines.arena.next_seq - keep)
            appended += 10 * 105
        return work.bytes / appended

    small, large = share(500), share(10_000)
    assert large <= 1.1 * small
    assert large <= 4  # written, read to be sealed, compressed, and moved once at most
