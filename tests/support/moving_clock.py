"""A clock that stands until it is moved, and calls what is due by then."""

from __future__ import annotations

import heapq
from collections.abc import Callable

BEGIN_S = 1_767_261_600.0  # 2026-01-01T10:00:00Z


class _Call:
    def __init__(self, callback: Callable[[], object]) -> None:
        self.callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        self.callback = None


class MovingClock:
    def __init__(self) -> None:
        self.now_s = BEGIN_S
        self._calls: list[tuple[float, int, _Call]] = []
        self._made = 0

    def __call__(self) -> float:
        return self.now_s

    def later(self, delay: float, callback: Callable[[], object], /) -> _Call:
        call = _Call(callback)
        self._made += 1
        heapq.heappush(self._calls, (self.now_s + delay, self._made, call))
        return call

    @property
    def waiting(self) -> int:
        """Calls that are to come."""
        return sum(call.callback is not None for _due_s, _number, call in self._calls)

    def move(self, seconds: float) -> None:
        self.now_s += seconds
        while self._calls and self._calls[0][0] <= self.now_s:
            callback = heapq.heappop(self._calls)[2].callback
            if callback is not None:
                callback()
