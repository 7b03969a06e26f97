"""Lines that were read back from the journal for those who resume from long ago.

By session and number, as the journal keeps them, not by position: where many streams are written
at once, a block of each holds events from all over the global order, and whoever goes through that
order comes back to the same blocks again and again. To unpack one costs a hundred times what
copying a run out of it does.
"""

from __future__ import annotations

import threading
from array import array
from collections import OrderedDict
from collections.abc import Iterator
from itertools import accumulate
from typing import Final

from holdfast.governor import Level, Usage

BLOCK_BYTES: Final = 400  # of a block besides its lines and their ends, measured
END_BYTES: Final = 4


class Block:
    """Consecutive lines of a session, and where each ends."""

    __slots__ = ("_ends", "_lines", "end_seq", "first_seq")

    def __init__(self, first_seq: int, lines: bytes) -> None:
        self.first_seq, self._lines = first_seq, lines
        self._ends = array("I", accumulate(map(len, lines.splitlines(keepends=True)), initial=0))
        self.end_seq = first_seq + self.count

    @property
    def count(self) -> int:
        return len(self._ends) - 1

    @property
    def size(self) -> int:
        return BLOCK_BYTES + len(self._lines) + END_BYTES * len(self._ends)

    def cut(self, first: int, end: int) -> bytes:
        ends = self._ends
        return self._lines[ends[first - self.first_seq] : ends[end - self.first_seq]]


class BlockCache:
    """The blocks that were used last; the least used leave first. For any thread."""

    name = "stream cache"

    def __init__(self, *, max_events: int, max_bytes: int) -> None:
        self._max_events, self._max_bytes = max_events, max_bytes
        self._lock = threading.Lock()
        self._blocks: OrderedDict[tuple[str, int], Block] = OrderedDict()
        self._of_session: dict[str, list[Block]] = {}
        self._events = self._bytes = 0
        self.hits = self.misses = 0
        self.version = 0  # of what is stored: what was read of an older one is not kept

    def find(self, session: str, seq: int) -> Block | None:
        """The block that holds a number of a session, if one is here."""
        with self._lock:
            for block in self._of_session.get(session, ()):
                if block.first_seq <= seq < block.end_seq:
                    self._blocks.move_to_end((session, block.first_seq))
                    self.hits += 1
                    return block
            self.misses += 1
            return None

    def put(self, session: str, block: Block, version: int) -> None:
        """`version` as it was before the block was read. One that is larger than all there is room
        for is not kept."""
        if block.count > self._max_events or block.size > self._max_bytes:
            return
        with self._lock:
            if version != self.version:
                return
            self._drop((session, block.first_seq))
            self._blocks[session, block.first_seq] = block
            self._of_session.setdefault(session, []).append(block)
            self._events += block.count
            self._bytes += block.size
            self._fit(self._max_bytes)

    def clear(self) -> None:
        """What is stored was rewritten."""
        with self._lock:
            self.version += 1
            self._blocks.clear()
            self._of_session.clear()
            self._events = self._bytes = 0

    def usage(self) -> Usage:
        return Usage(
            bytes=self._bytes,
            items=self._events,
            limit_bytes=self._max_bytes,
            limit_items=self._max_events,
        )

    def relieve(self, level: Level, target_bytes: int) -> int:  # noqa: ARG002  # any level will do
        with self._lock:
            before = self._bytes
            self._fit(max(0, before - target_bytes))
            return before - self._bytes

    def _fit(self, max_bytes: int) -> None:
        for key in self._oldest():
            if self._events <= self._max_events and self._bytes <= max_bytes:
                return
            self._drop(key)

    def _oldest(self) -> Iterator[tuple[str, int]]:
        while self._blocks:
            yield next(iter(self._blocks))

    def _drop(self, key: tuple[str, int]) -> None:
        block = self._blocks.pop(key, None)
        if block is None:
            return
        session, _first = key
        left = [each for each in self._of_session[session] if each is not block]
        if left:
            self._of_session[session] = left
        else:
            del self._of_session[session]
        self._events -= block.count
        self._bytes -= block.size
