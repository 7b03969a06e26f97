"""Room in the queue: whoever enqueues takes some before, and waits in line while there is none.

Only what comes new goes through here. What is given back, comes again after a lease or is taken
from dead letters has its place or gets one: so whoever works always gets rid of what they have, and
a full queue cannot keep itself full.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import ClassVar, Final

from holdfast.governor.admission import PutOff

WAITING_MAX: Final = 1_000  # who enqueue, at once
WAITING_BYTES_MAX: Final = 8_000_000  # that they hold


class QueueFull(PutOff):
    """Not now: there is no room."""

    status: ClassVar[int] = 429
    retry_after_s: ClassVar[int] = 1


class _Waiting:
    __slots__ = ("bytes", "count", "turn")

    def __init__(self, count: int, size: int, turn: asyncio.Future[None]) -> None:
        self.count, self.bytes, self.turn = count, size, turn


class Room:
    """Lives on the event loop."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.pending = 0  # stored
        self.waiting_bytes = 0
        self._taken = 0  # by whoever is about to store something
        self._line: deque[_Waiting] = deque()

    @property
    def used(self) -> int:
        return self.pending + self._taken

    @property
    def waiting(self) -> int:
        return len(self._line)

    async def take(self, count: int, size: int, wait_s: float | None) -> None:
        """Take room for so many, in order; QueueFull when there is none in time."""
        if not self._line and self._fits(count):
            self._taken += count
            return
        if wait_s is not None and wait_s <= 0:
            raise self._full()
        if len(self._line) >= WAITING_MAX or self.waiting_bytes + size > WAITING_BYTES_MAX:
            raise QueueFull("too many wait for room in the queue already: try again in a second")
        waiting = _Waiting(count, size, asyncio.get_running_loop().create_future())
        self._line.append(waiting)
        self.waiting_bytes += size
        try:
            await asyncio.wait_for(asyncio.shield(waiting.turn), wait_s)
        except TimeoutError:
            if not self._left(waiting):  # its turn came in the last moment
                waiting.turn.result()
                return
            raise self._full() from None
        except BaseException:  # cancelled: what it got meanwhile is for the next
            if not self._left(waiting) and not waiting.turn.exception():
                self.give_back(count)
            raise

    def give_back(self, count: int) -> None:
        """Room that was taken: what it was taken for is stored, and counted, or never will be."""
        self._taken -= count
        self._wake()

    def changed(self, pending: int) -> None:
        """So many more, or less, are stored."""
        self.pending += pending
        self._wake()

    def refuse_all(self, why: str) -> int:
        """Nobody is to wait any longer; how many bytes they held."""
        freed, self.waiting_bytes = self.waiting_bytes, 0
        line, self._line = self._line, deque()
        for waiting in line:
            waiting.turn.set_exception(QueueFull(why))
        return freed

    def _left(self, waiting: _Waiting) -> bool:
        """Whether it was still in line; who stood behind it may fit."""
        if waiting.turn.done():
            return False
        self._line.remove(waiting)
        self.waiting_bytes -= waiting.bytes
        waiting.turn.cancel()
        self._wake()
        return True

    def _wake(self) -> None:
        while self._line and self._fits(self._line[0].count):
            waiting = self._line.popleft()
            self.waiting_bytes -= waiting.bytes
            self._taken += waiting.count
            waiting.turn.set_result(None)

    def _fits(self, count: int) -> bool:
        return self.used + count <= self.limit

    def _full(self) -> QueueFull:
        return QueueFull(
            f"the queue has {self.pending:,} pending items, resources.work_queue_max is "
            f"{self.limit:,}: claim some, wait longer, or raise it"
        )
