"""Who waits for work, in order; nobody is woken for nothing twice, and no waking is lost.

A claimer stands in line before it looks, so what becomes ready while it looks wakes it. Whoever was
woken and does not look again, because it found something, gave up or was cancelled, passes that on.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from holdfast.governor.admission import PutOff

CLAIMERS_MAX: Final = 1_000


class TooManyClaimers(PutOff):
    """Not now."""


class Claimer:
    __slots__ = ("count", "queue", "woken")

    def __init__(self, queue: str, count: int) -> None:
        self.queue, self.count = queue, count
        self.woken = asyncio.Event()


class Line:
    def __init__(self) -> None:
        self._standing: dict[str, deque[Claimer]] = {}  # those whom nobody woke
        self.waiting = 0

    def join(self, queue: str, count: int) -> Claimer:
        if self.waiting >= CLAIMERS_MAX:
            raise TooManyClaimers(f"{self.waiting:,} wait for work already: try again later")
        claimer = Claimer(queue, count)
        self.waiting += 1
        self._stand(claimer)
        return claimer

    def stand_again(self, claimer: Claimer) -> None:
        """One that was woken, before it looks: it waits all the time, and is not refused now."""
        claimer.woken.clear()
        self._stand(claimer)

    def leave(self, claimer: Claimer) -> None:
        """It looks no more."""
        self.waiting -= 1
        if claimer.woken.is_set():
            self.wake(claimer.queue, claimer.count)
        else:
            self._standing[claimer.queue].remove(claimer)
            self._forget_empty(claimer.queue)

    def wake(self, queue: str, ready: int) -> None:
        """So many items can be claimed that could not before: those who want them look."""
        line = self._standing.get(queue)
        while line and ready > 0:
            claimer = line.popleft()
            claimer.woken.set()
            ready -= claimer.count
        self._forget_empty(queue)

    def wake_all(self) -> None:
        for queue, line in list(self._standing.items()):
            self.wake(queue, sum(claimer.count for claimer in line))

    def _stand(self, claimer: Claimer) -> None:
        self._standing.setdefault(claimer.queue, deque()).append(claimer)

    def _forget_empty(self, queue: str) -> None:
        if not self._standing.get(queue, True):
            del self._standing[queue]
