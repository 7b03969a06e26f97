"""Jobs that can wait: a gate that pressure closes and its end opens.

A job joins under a name, so that the status can say what is paused. One that runs by itself on the
event loop passes through (`passed`) before each round; one that lives elsewhere is told (`pause`,
`resume`). Nobody waits for ever: a job that stood before a closed gate for `WAIT_MAX_S` goes on,
for pressure that lasts is not of its making, and what it would have done must be done some time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

WAIT_MAX_S: Final = 300.0


def _nothing() -> None:
    pass


class BackgroundGate:
    """Lives on the event loop. Open until somebody closes it."""

    def __init__(self) -> None:
        self._jobs: Final[dict[str, tuple[Callable[[], None], Callable[[], None]]]] = {}
        self._opened = asyncio.Event()
        self._opened.set()

    @property
    def is_open(self) -> bool:
        return self._opened.is_set()

    @property
    def jobs(self) -> tuple[str, ...]:
        return tuple(self._jobs)

    def join(
        self,
        name: str,
        *,
        pause: Callable[[], None] = _nothing,
        resume: Callable[[], None] = _nothing,
    ) -> None:
        """Raises ValueError for a name that is taken."""
        if name in self._jobs:
            raise ValueError(f"a job named {name!r} has joined already; rename one")
        self._jobs[name] = (pause, resume)
        if not self.is_open:
            pause()

    async def passed(self, *, wait_max_s: float = WAIT_MAX_S) -> None:
        """At once while the gate is open."""
        with suppress(TimeoutError):  # wait_for would swallow a cancel that comes with the opening
            async with asyncio.timeout(wait_max_s):
                await self._opened.wait()

    def close(self) -> None:
        if self.is_open:
            self._opened.clear()
            for pause, _resume in self._jobs.values():
                pause()

    def open(self) -> None:
        if not self.is_open:
            self._opened.set()
            for _pause, resume in self._jobs.values():
                resume()
