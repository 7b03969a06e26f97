"""`from holdfast import LocalStreams`: durable streams inside a program, without a daemon.

The same journal, the same code, the same promises: what `append` returned for is on disk, and who
follows from a position misses nothing. The folder is the program's for as long as it runs; a second
one is refused, and a daemon or `holdfast export` can read it when `HOLDFAST_HOME` points there.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from types import TracebackType
from typing import Final, Self, Unpack

from holdfast.events import decode
from holdfast.journal.reader import SqliteReader
from holdfast.journal.service import JournalService
from holdfast.journal.streams import Appended, NewEvent
from holdfast.journal.writer import SqliteWriter
from holdfast.lock import JournalLock
from holdfast.remote.talk import Asked, Followed, Pages, Told
from holdfast.shutdown import run_steps
from holdfast.stream import Limits, Query, Streams, subscribe
from holdfast.work.queue import Limits as WorkLimits
from holdfast.work.queue import WorkQueue

STOP_DEADLINE_S: Final = 10.0


class LocalStreams:
    """`async with LocalStreams("state/events") as streams: await streams.append("orders", …)`."""

    queue: WorkQueue  # of the same journal (docs/queues.md)

    def __init__(
        self,
        folder: str,
        *,
        limits: Limits = Limits(),  # noqa: B008  # frozen
        work: WorkLimits = WorkLimits(),  # noqa: B008  # as above
    ) -> None:
        self._folder = folder
        self._limits = limits
        self._work = work

    async def __aenter__(self) -> Self:
        os.makedirs(self._folder, mode=0o700, exist_ok=True)
        path = os.path.join(self._folder, "journal.db")
        async with AsyncExitStack() as undoing:  # of what was begun, when the rest does not begin
            self._lock = JournalLock(os.path.join(self._folder, "lock")).acquire("program")
            undoing.callback(self._lock.release)
            self._journal = await asyncio.to_thread(
                JournalService, partial(SqliteWriter, path), partial(SqliteReader, path)
            )
            undoing.push_async_callback(asyncio.to_thread, self._journal.close)
            self._streams = Streams(self._journal, limits=self._limits)
            self._streams.start()
            undoing.push_async_callback(self._streams.close)
            self.queue = WorkQueue(self._journal, self._work)
            undoing.push_async_callback(self.queue.close)
            await self.queue.start()
            undoing.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.shutdown_all()

    async def append(
        self, stream: str, *events: NewEvent, expected_seq: int | None = None
    ) -> Appended:
        """Store events; they are on disk when this returns."""
        return await self._streams.append(stream, events, expected_seq=expected_seq)

    async def query(self, **wanted: Unpack[Asked]) -> list[Told]:
        """What is stored, the oldest first, up to `limit`; read in parts."""
        pages = Pages(wanted)
        while pages.next is not None:
            found = await self._streams.query(Query(**pages.next))
            told = [Told(frame.position, decode(frame.line)) for frame in found.frames]
            pages.add(told, after=found.next_after, complete=found.complete)
        return pages.told

    async def follow(self, **wanted: Unpack[Followed]) -> AsyncIterator[Told]:
        """What is stored from now on, or behind a position, until `shutdown_all`."""
        async with subscribe(self._streams, **wanted) as events:
            async for frame in events:
                yield Told(frame.position, decode(frame.line))

    async def shutdown_all(self) -> list[str]:
        """Store what waits, tell whoever follows that it ends, close; what hung or failed."""
        report = await run_steps(
            [
                ("work", self.queue.close),
                ("streams", self._streams.close),
                ("journal", lambda: asyncio.to_thread(self._journal.close)),
            ],
            deadline_s=STOP_DEADLINE_S,
        )
        self._lock.release()
        return report.late
