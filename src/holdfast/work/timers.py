"""What is due when: one task and one heap, however many wait; nothing runs while none does.

Times are those of the wall, because a deadline outlives the process that was told of it. The wall's
clock may be set and a machine may sleep, so no wait is longer than `WAIT_MAX_S`. Nothing here is
kept: after a start whoever owns a deadline sets it again, from the log.

What is due and fails is tried again a little later: a disk that is full for a minute must not make
a deadline be forgotten.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Awaitable, Callable, Hashable
from contextlib import suppress
from itertools import count
from typing import Final

WAIT_MAX_S: Final = 60.0
AGAIN_MS: Final = 5_000
SLACK_MAX: Final = 64  # entries of the heap that count no more, beside as many as do

Ring = Callable[[], Awaitable[object]]


class Timers:
    """Lives on the event loop."""

    def __init__(
        self,
        *,
        now_ms: Callable[[], int],
        on_error: Callable[[Exception], None] = lambda _error: None,
    ) -> None:
        self._now_ms = now_ms
        self._on_error = on_error
        self._rings: dict[Hashable, tuple[int, Ring, int]] = {}  # when, what, which entry counts
        self._heap: list[tuple[int, int, Hashable]] = []
        self._numbers = count()
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self.rung = 0
        self.failed = 0

    def __len__(self) -> int:
        return len(self._rings)

    @property
    def next_due_ms(self) -> int | None:
        return min((due_ms for due_ms, _ring, _number in self._rings.values()), default=None)

    @property
    def is_waiting(self) -> bool:
        """Whether anything runs."""
        return self._task is not None

    def at(self, key: Hashable, due_ms: int, ring: Ring) -> None:
        """Ring at a time; the same key again is another time for the same thing.

        Once closed, it is for the next start.
        """
        if self._closed:
            return
        known = self._rings.get(key)
        if known is not None and known[0] == due_ms:
            self._rings[key] = due_ms, ring, known[2]
            return
        number = next(self._numbers)
        self._rings[key] = due_ms, ring, number
        heapq.heappush(self._heap, (due_ms, number, key))
        if len(self._heap) > 2 * len(self._rings) + SLACK_MAX:
            self._heap = [(due, one, each) for each, (due, _ring, one) in self._rings.items()]
            heapq.heapify(self._heap)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())
        self._changed.set()

    def cancel(self, key: Hashable) -> None:
        if self._rings.pop(key, None) is not None:
            self._changed.set()

    def look(self) -> None:
        """Look at the clock again: it may have been set."""
        self._changed.set()

    async def close(self) -> None:
        """What is due now is not rung any more; after the next start it is."""
        self._closed = True  # `wait_for` may lose the cancellation: then an empty heap is the end
        self._rings.clear()
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _run(self) -> None:
        while self._rings:
            self._changed.clear()
            self._drop_stale()
            wait_s = (self._heap[0][0] - self._now_ms()) / 1_000
            if wait_s <= 0:
                await self._ring_first()
                continue
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), min(wait_s, WAIT_MAX_S))
        self._heap.clear()
        self._task = None

    def _drop_stale(self) -> None:
        """Entries of the heap that were cancelled, or moved."""
        while self._heap:
            _due_ms, number, key = self._heap[0]
            if key in self._rings and self._rings[key][2] == number:
                return
            heapq.heappop(self._heap)

    async def _ring_first(self) -> None:
        _due_ms, _number, key = heapq.heappop(self._heap)
        _due_ms, ring, _number = self._rings.pop(key)
        try:
            await ring()
            self.rung += 1
        except Exception as error:  # noqa: BLE001  # the others must still ring
            self.failed += 1
            if key not in self._rings:
                self.at(key, self._now_ms() + AGAIN_MS, ring)
            self._tell(error)

    def _tell(self, error: Exception) -> None:
        """Whoever is told may fail as well, of the same full disk: the others must still ring."""
        try:
            self._on_error(error)
        except Exception as worse:  # noqa: BLE001  # as above
            about = {"message": "nobody could be told of a timer's error", "exception": worse}
            asyncio.get_running_loop().call_exception_handler(about)
