"""What happens now, to everybody who listens: one ring, and who listens keeps a position, no queue.

A queue for each listener was rejected: a hundred that fall behind hold a hundred copies of what
they have not taken, which is how such servers die. Here a listener that is slow costs nothing; when
the ring has moved on without it, it reads what it missed from the journal, skips it, or is let go
of, as it asked for. Frames are made once, and only while somebody listens.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Final

from holdfast.governor import Level, Usage
from holdfast.stream.frames import Frame

RING_BYTES_MAX: Final = 2_000_000


class Broadcaster:
    """The ring, and how many listen. For the event loop's thread."""

    name = "stream ring"

    def __init__(
        self,
        *,
        capacity: int,
        ttl_s: float,
        clock_s: Callable[[], float],
        max_bytes: int = RING_BYTES_MAX,
        start: int = 1,
    ) -> None:
        self._capacity, self._ttl_s, self._max_bytes = capacity, ttl_s, max_bytes
        self._clock_s = clock_s
        self._frames: deque[tuple[float, int, Frame]] = deque()  # since when, size, what
        self._bytes = 0
        self._changed = asyncio.Event()
        self.start = self.end = start  # the positions that the ring covers
        self.kept_from = start  # who wants what is before it is late
        self.listeners = 0
        self.closed = False
        self.published = self.dropped = 0

    def publish(self, frames: Iterable[Frame], end: int) -> None:
        """Frames in order, up to `end`, which is where the next ones begin."""
        now_s = self._clock_s()
        for frame in frames:
            self._frames.append((now_s, frame.size, frame))
            self._bytes += frame.size
            self.published += 1
        self.end = end
        self._fit(now_s, self._max_bytes)
        self._wake()

    def pass_over(self, end: int) -> None:
        """Something happened that nobody here needs, or that came sealed: the journal has it.

        Whoever was in time for the ring still is.
        """
        self._forget_all(end)
        self._wake()

    def behind(self, position: int) -> Iterator[Frame] | None:
        """The frames from a position on; None when the ring does not hold the first of them."""
        if position < self.start:
            return None
        if position >= self.end:
            return iter(())
        skipped = position - (self._frames[0][2].position if self._frames else position)
        return (frame for _since, _size, frame in islice(self._frames, max(0, skipped), None))

    async def changed(self, position: int) -> None:
        """Until something stands at or behind a position, the next tick, or the end."""
        if self.end <= position and not self.closed:
            await self._changed.wait()

    def tick(self) -> None:
        """Now and then, though nothing comes: who listens can tell that we are still here."""
        self._fit(self._clock_s(), self._max_bytes)
        self._wake()

    def close(self) -> None:
        """Whoever listens has all that came, and no more comes."""
        self.closed = True
        self._wake()

    def usage(self) -> Usage:
        return Usage(
            bytes=self._bytes,
            items=len(self._frames),
            limit_bytes=self._max_bytes,
            limit_items=self._capacity,
        )

    def relieve(self, level: Level, target_bytes: int) -> int:  # noqa: ARG002  # any level will do
        before = self._bytes
        self._fit(self._clock_s(), max(0, before - target_bytes))
        return before - self._bytes

    def _fit(self, now_s: float, max_bytes: int) -> None:
        frames = self._frames
        while frames and (
            len(frames) > self._capacity
            or self._bytes > max_bytes
            or now_s - frames[0][0] > self._ttl_s
        ):
            _since, size, frame = frames.popleft()
            self._bytes -= size
            self.dropped += 1
            self.start = self.kept_from = frame.position + 1
        if not frames:
            self.start = self.end

    def _forget_all(self, end: int) -> None:
        self.dropped += len(self._frames)
        self._frames.clear()
        self._bytes = 0
        self.start = self.end = end

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
