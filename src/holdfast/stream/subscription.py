"""One who listens: from a position on, for ever.

A subscription is a position and what it wants; it holds no events. While the ring has what comes
next it takes from there, else it reads from memory or the journal until it has caught up. Whoever
subscribes first and then asks for a state misses nothing between the two: `position` is known
before the first event is taken.

One that has listened and fell behind the ring is told so (`Lagged`), and then goes on as it asked:
`catch_up` reads what it missed, `skip` goes on with what happens now, `disconnect` ends.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import TracebackType
from typing import Final, Literal, Self

import msgspec

from holdfast.stream.frames import Frame, Wanted
from holdfast.stream.patterns import pattern
from holdfast.stream.streams import Streams

OnLag = Literal["catch_up", "skip", "disconnect"]
ON_LAG: Final[tuple[OnLag, ...]] = ("catch_up", "skip", "disconnect")
BATCH_FRAMES_MAX: Final = 256


class Lagged(msgspec.Struct, frozen=True):
    """Positions that went by before they were taken, and what becomes of them."""

    first: int
    last: int
    policy: OnLag


class Subscription:
    """`async with subscribe(log, …) as events: async for frame in events: …`."""

    def __init__(
        self,
        log: Streams,
        wanted: Wanted,
        position: int,
        on_lag: OnLag,
        *,
        background: bool,
    ) -> None:
        self._background = background
        self._log, self._wanted, self._on_lag = log, wanted, on_lag
        self.position = position  # of the next event
        self._live = False  # whether the ring had what came next
        self._late = False  # whether it reads what was before

    async def __aenter__(self) -> Self:
        self._log.ring.listeners += not self._background
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._log.ring.listeners -= not self._background
        self._be_late(False)

    def _be_late(self, late: bool) -> None:
        self._log.late += late - self._late
        self._late = late

    async def __aiter__(self) -> AsyncIterator[Frame]:
        async for batch in self.batches():
            if not isinstance(batch, Lagged):
                for frame in batch:
                    yield frame

    async def batches(self) -> AsyncIterator[list[Frame] | Lagged]:
        """Frames as they come, some at a time; none where there was nothing for a while."""
        ring = self._log.ring
        while True:
            held = ring.behind(self.position)
            if held is None:
                late = self.position < ring.kept_from
                if self._live and late:
                    self._live = False
                    self._log.lagged += 1
                    lagged = Lagged(self.position, ring.start - 1, self._on_lag)
                    if self._on_lag == "skip":
                        self.position = ring.start
                    yield lagged
                    if self._on_lag == "disconnect":
                        return
                    continue
                self._be_late(True)
                frames, self.position = await self._log.read(self.position, self._wanted)
                yield frames
                continue
            self._live = True
            self._be_late(False)
            frames = []
            for frame in held:
                self.position = frame.position + 1
                if self._wanted.takes(frame):
                    frames.append(frame)
                    if len(frames) == BATCH_FRAMES_MAX:
                        break
            else:
                self.position = max(self.position, ring.end)
            if frames or ring.closed:
                yield frames
                if ring.closed and self.position >= ring.end:
                    return
                continue
            await ring.changed(self.position)
            if ring.end <= self.position:
                yield []


def subscribe(  # what one may want
    log: Streams,
    *,
    after: int | None = None,
    kinds: str = "*",
    streams: str = "*",
    actor: str = "",
    correlation: str = "",
    on_lag: OnLag = "catch_up",
    background: bool = False,
) -> Subscription:
    """Events behind a position; without one, those that come from now on.

    One in the `background` wants few of many: for its sake no frames are made of all that comes,
    as for those who listen; it reads what it wants.
    """
    position = log.end if after is None else min(after + 1, log.end)
    wanted = Wanted(pattern(kinds), pattern(streams), actor, correlation)
    return Subscription(log, wanted, position, on_lag, background=background)
