"""Logs that need an import child, each until its turn comes; they hold nothing meanwhile.

A reading that waited for a child where it stood would keep its place, the claim on its session and
an open file from everybody else, for minutes while memory is scarce. So a log that may not have a
child now is put down here, and is read from the beginning of its reading when it may.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable

from holdfast.governor.gate import WAIT_MAX_S, BackgroundGate


class Turns:
    """Who may have a child. Lives on the event loop."""

    def __init__(
        self,
        count: int,
        gate: BackgroundGate,
        come: Callable[[str], None],
        *,
        clock_s: Callable[[], float] | None = None,
        wait_max_s: float = WAIT_MAX_S,
    ) -> None:
        """`come`: told of a log whose turn it is; it keeps the turn until `over`."""
        self._count = count
        self._gate = gate
        self._come = come
        self._clock_s = clock_s
        self._wait_max_s = wait_max_s
        self._having: set[str] = set()
        self._waiting: OrderedDict[str, float] = OrderedDict()  # since when, the oldest first
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def waits(self, key: str) -> bool:
        return key in self._waiting

    def take(self, key: str) -> bool:
        """Whether it is this log's turn; if not, it waits, and `come` is told later."""
        if key in self._having:
            return True
        if self._gate.is_open and not self._waiting and len(self._having) < self._count:
            self._having.add(key)
            return True
        self._waiting.setdefault(key, self._now_s())
        self._wake_later()
        return False

    def over(self, key: str) -> None:
        """It was read, or cannot be; no matter whether it had a turn."""
        if key in self._having:
            self._having.discard(key)
            self.look()

    def look(self) -> None:
        """A turn may have come: there is room, and the gate is open or was closed for too long."""
        while self._waiting and len(self._having) < self._count:
            key, since_s = next(iter(self._waiting.items()))
            if not self._gate.is_open and self._now_s() - since_s < self._wait_max_s:
                break
            del self._waiting[key]
            self._having.add(key)
            self._come(key)
        self._wake_later()

    def close(self) -> None:
        """What waits is read after the next start."""
        self._waiting.clear()
        self._wake_later()

    def _wake_later(self) -> None:
        """When the oldest has waited long enough; while there is no room, `over` looks."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._waiting and len(self._having) < self._count:
            waited_s = self._now_s() - next(iter(self._waiting.values()))
            left_s = max(0.0, self._wait_max_s - waited_s)
            self._timer = asyncio.get_running_loop().call_later(left_s, self.look)

    def _now_s(self) -> float:
        return self._clock_s() if self._clock_s else asyncio.get_running_loop().time()
