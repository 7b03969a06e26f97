"""Looks up which logs agents are about to delete, by the hour, and says so once a day."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

from holdfast.clock import instant
from holdfast.errors import HoldfastError
from holdfast.governor.gate import BackgroundGate
from holdfast.journal.protocol import JournalQuestions
from holdfast.observe import EventLog
from holdfast.sources.base import Source
from holdfast.status.expiry import Announced, ExpiryStatus, expiry_by_agent

INTERVAL_S: Final = 3_600.0  # agents delete logs by the day
FIRST_S: Final = 5.0


class ExpiryWatch:
    """Owns what was found the last time. Lives on the event loop, looks on a thread."""

    def __init__(
        self,
        sources: Iterable[Source],
        journal: JournalQuestions,
        *,
        warn_days: int,
        gate: BackgroundGate,
        log: EventLog,
        find: Callable[..., dict[str, ExpiryStatus]] = expiry_by_agent,
    ) -> None:
        self.found: dict[str, ExpiryStatus] = {}  # by agent
        self._sources: Final = tuple(sources)
        self._journal: Final = journal
        self._warn_days: Final = warn_days
        self._gate: Final = gate
        self._log: Final = log
        self._find: Final = find
        self._due: Final = asyncio.Event()
        self._announced: Final = Announced()

    def look_soon(self) -> None:
        """An import may have saved some, or there is to be an end."""
        self._due.set()

    async def run(self, stop: asyncio.Event) -> None:
        with suppress(TimeoutError):  # what was missed while nobody watched is being read
            await asyncio.wait_for(self._due.wait(), FIRST_S)
        while not stop.is_set():
            self._due.clear()  # before looking: what comes meanwhile must not be forgotten
            await self._gate.passed()
            try:
                self.found = await asyncio.to_thread(self._look)
            except (HoldfastError, OSError) as error:
                self._log.warning("sources.expiry_unknown", error=str(error))
            self._tell()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._due.wait(), INTERVAL_S)

    def _look(self) -> dict[str, ExpiryStatus]:
        return self._find(
            self._sources, self._journal, now_s=time.time(), warn_days=self._warn_days
        )

    def _tell(self) -> None:
        """Once a day, and when it is about other logs than before."""
        if not self._announced.is_new(instant()[:10], self.found):
            return
        for agent, expiry in self.found.items():
            (self._log.warning if expiry.not_kept_files else self._log.info)(
                "sources.expiring",
                agent=agent,
                files=expiry.files,
                bytes=expiry.bytes,
                kept_files=expiry.kept_files,
                not_kept_files=expiry.not_kept_files,
                earliest_at=expiry.earliest_at,
                not_kept=[each.path for each in expiry.not_kept],
            )
