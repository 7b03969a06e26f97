"""Steps in the journal, started on the event loop and finished there, whoever still waits.

A step is a transaction that others share. What it changed is applied in the order in which steps
were done, also when the one who asked was cancelled: rows do not know of that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final, TypeVar

from holdfast.journal.protocol import JournalWriter
from holdfast.journal.service import JournalService

RUNNING_MAX: Final = 128  # two groups of the journal's commits

T = TypeVar("T")


class Steps:
    def __init__(self, journal: JournalService) -> None:
        self._journal = journal
        self._slots = asyncio.Semaphore(RUNNING_MAX)
        self._running = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def run(
        self,
        work: Callable[[JournalWriter], T],
        *,
        applied: Callable[[T], None],
        size: int = 0,
        unwanted: Callable[[T], None] = lambda _outcome: None,
        ended: Callable[[BaseException | None], None] = lambda _error: None,
    ) -> T:
        """`applied` is told the outcome, `unwanted` too when nobody waits for it; `ended` comes
        last, and also when there is no outcome."""
        try:
            await self._slots.acquire()
        except BaseException as error:
            ended(error)
            raise
        loop = asyncio.get_running_loop()
        result: asyncio.Future[T] = loop.create_future()

        def settle(done: Future[T]) -> None:
            error = done.exception()
            try:
                if error is None:
                    applied(done.result())
            finally:  # what fails there is told by the loop; it costs no slot, and nobody waits on
                self._end()
                try:
                    ended(error)
                finally:
                    tell(done, error)

        def tell(done: Future[T], error: BaseException | None) -> None:
            if result.done():
                if error is None:
                    unwanted(done.result())
            elif error is not None:
                result.set_exception(error)
            else:
                result.set_result(done.result())

        self._begin()
        try:
            running: Future[T] = self._journal.transact(work, size=size, wait=False)
        except BaseException as error:
            self._end()
            ended(error)
            raise
        running.add_done_callback(lambda done: loop.call_soon_threadsafe(settle, done))
        try:
            return await result
        except asyncio.CancelledError:  # perhaps in the moment in which the outcome came
            if result.done() and not result.cancelled() and result.exception() is None:
                unwanted(result.result())
            raise

    async def read(self, ask: Callable[[Any], T]) -> T:
        """What a reader answers, on a thread."""

        def read() -> T:
            with self._journal.reader() as reader:
                return ask(reader)

        return await asyncio.to_thread(read)

    async def ended(self) -> None:
        """Until nothing runs."""
        await self._idle.wait()

    def _begin(self) -> None:
        self._running += 1
        self._idle.clear()

    def _end(self) -> None:
        self._slots.release()
        self._running -= 1
        if not self._running:
            self._idle.set()
