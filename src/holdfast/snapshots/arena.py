"""The resident part of one session: sealed blocks, then an open tail, in one private mapping.

Why a mapping: the bytes of a session are then whole pages that belong to nobody else. Adding up
page counts *is* the memory, and closing the mapping gives every byte of it back at once. Rejected,
all measured: lists of `bytes` (malloc keeps slack behind each: 917 B per event against 331), one
`bytearray` (realloc doubles while it copies, and malloc keeps what it was given), and dicts
(4,147 B per event, 1 % returned on eviction).

    0      hollow  dead            sealed                     used     pages
    | hole |       | block | block | tail: lines, uncompressed |       |

Appending writes behind `used`. When the tail has grown to a block's size it is sealed in place.
Dropping the oldest block moves `dead` forward, and Linux takes the whole pages before it back where
they are: a drop costs what is dropped. Only when the hole has become larger than what lives does
the rest move down, so that no byte is moved more than once for each that was dropped. Systems that
cannot punch holes move earlier, and pay for it.
"""

from __future__ import annotations

import mmap
import sys
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from typing import ClassVar, Final

from holdfast import blocks
from holdfast.blocks import Block
from holdfast.errors import Exit, HoldfastError

PAGE_BYTES: Final = mmap.PAGESIZE
GROW_BYTES: Final = 16 * PAGE_BYTES

# Python objects of one resident session: what 2,000 sessions of one event each added to the PSS
# beyond their pages (tests/snapshots/test_accounting.py), not summed by hand.
OVERHEAD_BYTES: Final = 640

_ON_LINUX: Final = sys.platform == "linux"
_CAN_REMAP: Final = _ON_LINUX
_CAN_PUNCH: Final = _ON_LINUX  # elsewhere MADV_DONTNEED may keep the pages
# The rest moves down once the dead part is this share of it.
DEAD_SHARE: Final = 1 if _CAN_PUNCH else 16


class LeftMemory(HoldfastError):
    """Events were dropped from memory while they were read."""

    exit: ClassVar[Exit] = Exit.NOT_FOUND


def _pages(size: int) -> int:
    return -(-size // PAGE_BYTES) * PAGE_BYTES


def _map(size: int) -> mmap.mmap:
    mapping = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_NOHUGEPAGE"):
        # A huge page would make 2 MB of 4 KB: what is counted must be what is used.
        mapping.madvise(mmap.MADV_NOHUGEPAGE)
    return mapping


class Arena:
    """Events `first_seq` up to `next_seq` of one session. Not thread-safe: it has one owner."""

    __slots__ = (
        "_dead",
        "_hollow",
        "_mapping",
        "_offsets",
        "_seal_at",
        "_sealed",
        "_seqs",
        "_size",
        "_tail_seq",
        "_touched",
        "_used",
        "first_seq",
        "next_seq",
    )

    def __init__(self, first_seq: int, seal_at_bytes: int) -> None:
        self.first_seq = first_seq
        self.next_seq = first_seq
        self._tail_seq = first_seq
        self._seal_at = seal_at_bytes
        self._seqs = array("Q")  # first event of each sealed block
        self._offsets = array("Q")  # where each sealed block starts
        self._hollow = 0  # whole pages before it were given back
        self._dead = 0
        self._sealed = 0
        self._used = 0
        self._touched = 0
        self._size = PAGE_BYTES
        self._mapping = _map(PAGE_BYTES)

    @property
    def resident_bytes(self) -> int:
        index_bytes = (len(self._seqs) + len(self._offsets)) * 8
        return _pages(self._touched) - self._hollow + index_bytes + OVERHEAD_BYTES

    @property
    def events(self) -> int:
        return self.next_seq - self.first_seq

    @property
    def sealed_bytes(self) -> int:
        return self._sealed - self._dead

    @property
    def tail_bytes(self) -> int:
        return self._used - self._sealed

    def append(self, lines: bytes, count: int) -> None:
        """Add `count` lines, each with its newline."""
        self._write(self._used, lines)
        self.next_seq += count
        if self.tail_bytes >= self._seal_at:
            self.seal_tail()

    def append_block(self, block: Block) -> None:
        """Add a run that is sealed already: the same bytes that the journal stores."""
        if block.first_seq != self.next_seq:
            raise AssertionError(f"block {block.first_seq} after event {self.next_seq}: report it")
        if self.tail_bytes:
            self.seal_tail()
        self._write_block(block)
        self.next_seq = self._tail_seq = block.next_seq

    def seal_tail(self) -> None:
        if not self.tail_bytes:
            return
        tail = self._mapping[self._sealed : self._used]
        block = blocks.seal(tail, self._tail_seq, self.next_seq - self._tail_seq)
        self._write_block(block)
        self._tail_seq = self.next_seq
        self._shrink()

    def drop_before(self, seq: int) -> None:
        """Forget the events before `seq`: whole blocks leave, a block that is cut is kept."""
        if seq <= self.first_seq:
            return
        self.first_seq = min(seq, self.next_seq)
        while self._seqs and self._block_end(0) <= self.first_seq:
            self._drop_first()
        if not self._seqs and self.first_seq >= self.next_seq:
            self._used = self._sealed
            self._tail_seq = self.next_seq
            self._shrink()
        self._compact()

    def drop_oldest(self) -> int:
        """Forget the oldest block, or the tail when no block is left; how many events went."""
        before = self.first_seq
        if self._seqs:
            self.drop_before(self._block_end(0))
        else:
            self.drop_before(self.next_seq)
        return self.first_seq - before

    def read(self, from_seq: int = 0, to_seq: int | None = None) -> Iterator[bytes]:
        """The lines of `from_seq` up to `to_seq`, in pieces of about a block.

        Appending meanwhile is harmless; what is dropped meanwhile ends the reading with an error,
        so that nobody takes a part for the whole.
        """
        start = max(from_seq, self.first_seq)
        stop = self.next_seq if to_seq is None else min(to_seq, self.next_seq)
        return self._pieces(start, stop)

    def close(self) -> None:
        self._mapping.close()
        self.first_seq = self.next_seq

    def _pieces(self, start: int, stop: int) -> Iterator[bytes]:
        while start < stop:
            if start < self.first_seq:
                raise LeftMemory(
                    f"event {start} left memory while it was read: read it from the journal"
                )
            if start < self._tail_seq:
                number = bisect_right(self._seqs, start) - 1
                first, end = self._seqs[number], self._block_end(number)
                lines = blocks.unseal(self._block(number))
            else:
                first, end = self._tail_seq, self.next_seq
                lines = self._mapping[self._sealed : self._used]
            yield blocks.cut(lines, first, start, stop if stop < end else None)
            start = end

    def _block_end(self, number: int) -> int:
        following = number + 1
        return self._seqs[following] if following < len(self._seqs) else self._tail_seq

    def _block(self, number: int) -> bytes:
        following = number + 1
        end = self._offsets[following] if following < len(self._offsets) else self._sealed
        return self._mapping[self._offsets[number] : end]

    def _write_block(self, block: Block) -> None:
        """Behind the blocks, over the tail."""
        self._write(self._sealed, block.data)  # may fail for want of memory: nothing changed then
        self._offsets.append(self._sealed)
        self._seqs.append(block.first_seq)
        self._sealed = self._used

    def _drop_first(self) -> None:
        del self._seqs[0], self._offsets[0]
        self._dead = self._offsets[0] if self._offsets else self._sealed

    def _write(self, offset: int, data: bytes) -> None:
        end = offset + len(data)
        if end > self._size:
            self._resize(_pages(end) + GROW_BYTES)
        self._mapping[offset:end] = data
        self._used = end
        self._touched = max(self._touched, end)

    def _compact(self) -> None:
        dead, alive = self._dead, self._used - self._dead
        if dead < max(PAGE_BYTES, alive // DEAD_SHARE):
            self._punch()
            return
        self._mapping.move(0, dead, alive)
        self._offsets = array("Q", [offset - dead for offset in self._offsets])
        self._dead = self._hollow = 0
        self._sealed -= dead
        self._used -= dead
        self._shrink()

    def _punch(self) -> None:
        """Give the whole pages of the dead part back, and leave their addresses empty."""
        end = self._dead - self._dead % PAGE_BYTES
        if _CAN_PUNCH and end > self._hollow:
            self._mapping.madvise(mmap.MADV_DONTNEED, self._hollow, end - self._hollow)
            self._hollow = end

    def _shrink(self) -> None:
        """Give whole pages behind `used` back to the system."""
        wanted = max(_pages(self._used), PAGE_BYTES)
        if wanted < self._size:
            self._resize(wanted)
        self._touched = min(self._touched, wanted)

    def _resize(self, size: int) -> None:
        if _CAN_REMAP:
            self._mapping.resize(size)
        else:
            moved = _map(size)
            moved[: self._used] = self._mapping[: self._used]
            self._mapping.close()
            self._mapping = moved
        self._size = size
