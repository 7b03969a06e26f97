"""One timer for whatever is due next; it looks again now and then, for the clock may be set."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

LOOK_AGAIN_S: Final = 60.0


class Cancellable(Protocol):
    def cancel(self) -> None: ...


class Timer(Protocol):
    """What calls later; `call_later` of an event loop is one."""

    def __call__(self, delay: float, callback: Callable[[], object], /) -> Cancellable: ...


class Alarm:
    def __init__(
        self, ring: Callable[[], None], clock_s: Callable[[], float], timer: Timer | None
    ) -> None:
        self._ring = ring
        self._clock_s = clock_s
        self._timer = timer
        self._due_ms: int | None = None
        self._waiting: Cancellable | None = None

    def set(self, due_ms: int | None) -> None:
        if self._waiting is not None:
            if due_ms == self._due_ms:
                return
            self._waiting.cancel()
        self._waiting, self._due_ms = None, due_ms
        if due_ms is not None:
            delay_s = min(max(due_ms / 1_000 - self._clock_s(), 0), LOOK_AGAIN_S)
            later = self._timer or asyncio.get_running_loop().call_later
            self._waiting = later(delay_s, self._look)

    def _look(self) -> None:
        due_ms, self._waiting, self._due_ms = self._due_ms, None, None
        if due_ms is not None and self._clock_s() * 1_000 < due_ms:
            self.set(due_ms)
        else:
            self._ring()
