"""What programs and people work together by: streams, queues, tasks, checkpoints, intents; and what
reads the log behind them: learnings and the ledger's file.

All of it is made here, started in one order, and ends in the other: whoever waits is let go first,
what reads behind is given a share of the time, and the streams, which all of them append to, come
last. The queues end behind the server, whose requests may still confirm what they took.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

from holdfast.governor import BackgroundGate, Bounded
from holdfast.journal.service import JournalService
from holdfast.observe import EventLog
from holdfast.paths import Paths
from holdfast.privacy import Door
from holdfast.settings import Settings
from holdfast.shutdown import Step
from holdfast.wiring import (
    make_learnings,
    make_ledger_file,
    make_queue,
    make_streams,
    make_work,
)

LEARNINGS_SHARE_PCT: Final = 5  # of the way down, less than a step has: what waits is looked at


class Coordination:
    """Owns these parts and the tasks that read behind them."""

    def __init__(
        self,
        settings: Settings,
        paths: Paths,
        environ: Mapping[str, str],
        journal: JournalService,
        gate: BackgroundGate,
        door: Callable[[], Door],
        log: EventLog,
    ) -> None:
        self._stop_ms = settings.daemon.stop_deadline_ms
        self.streams: Final = make_streams(settings, journal, door, log)
        self.queue: Final = make_queue(settings, journal, door, log)
        self.work: Final = make_work(settings, journal, self.streams, log)
        self._learnings: Final = make_learnings(settings, journal, gate, log)
        self._ledger: Final = make_ledger_file(settings, paths, environ, journal, gate, log)
        self._reading: Final[list[asyncio.Task[None]]] = []

    @property
    def components(self) -> tuple[Bounded, ...]:
        streams = self.streams
        return (streams.history, streams.cache, streams.ring, self.queue, *self.work.components)

    @property
    def pending_learnings(self) -> int:
        return self._learnings.stats.pending if self._learnings is not None else 0

    async def start(self) -> None:
        """Before anybody is served."""
        self.streams.start()
        await self.queue.start()
        await self.work.start()

    async def start_reading(self, on_done: Callable[[asyncio.Task[None]], None]) -> None:
        """Behind all else; `on_done` is told of each task that ends."""
        wakes = []
        if self._learnings is not None:
            await asyncio.to_thread(self._learnings.open)
            self._reading.append(asyncio.create_task(self._learnings.run()))
            wakes.append(self._learnings.wake)
        if self._ledger is not None:
            self._reading.append(asyncio.create_task(self._ledger.run()))
            wakes.append(self._ledger.wake)
        if wakes:
            self._reading.append(asyncio.create_task(self._wake_for_news(wakes)))
        for task in self._reading:
            task.add_done_callback(on_done)

    async def begin_again(self) -> None:
        """What is stored was rewritten: nothing in memory may tell what it was."""
        self.streams.forget()
        if self._ledger is not None:
            self._ledger.begin_again()
        await self.work.rebuild()

    async def _wake_for_news(self, wakes: Sequence[Callable[[], None]]) -> None:
        ring = self.streams.ring
        while not ring.closed:
            position = ring.end
            for wake in wakes:
                wake()
            await ring.changed(position)

    # The way down.

    def steps_before_the_server(self) -> list[Step]:
        return [
            ("waiting for queues", self._end_waits),
            *self.work.steps(),
            ("learnings", self._close_learnings),
            ("ledger", self._close_ledger),
            ("streams", self.streams.close),
        ]

    def steps_behind_the_server(self) -> list[Step]:
        return [("queues", self.queue.close)]

    async def _end_waits(self) -> None:
        """The server finishes the requests that it has: none of them may wait for an item."""
        self.queue.end_waits()

    async def _close_learnings(self) -> None:
        """What waits is looked at now, as far as there is time: the next run goes on from there."""
        for task in self._reading:
            task.cancel()
        within_ms = self._stop_ms * LEARNINGS_SHARE_PCT // 100
        with suppress(TimeoutError):
            async with asyncio.timeout(within_ms / 1_000):
                if self._reading:
                    await asyncio.wait(self._reading)
                if self._learnings is not None:
                    await self._learnings.close(within_ms=within_ms)

    async def _close_ledger(self) -> None:
        if self._ledger is not None:
            await self._ledger.close()
