"""A tail over the logs of one source, with nothing of the daemon around it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from holdfast.governor.gate import BackgroundGate
from holdfast.ingest.tail import Tail
from holdfast.journal.service import JournalService
from holdfast.observe.logs import JsonLog
from holdfast.settings import Settings
from holdfast.sources.base import Source
from holdfast.wiring import make_setup, open_journal
from tests.support.home import Home
from tests.support.waiting import until


class Tailed:
    """A running tail, and whether it ever started children."""

    def __init__(self, home: Home, sources: Mapping[str, Source], *, inline_bytes: int) -> None:
        home.paths.ensure_dirs()
        settings = Settings()
        self.journal: JournalService = open_journal(settings, home.paths, lambda _error: None)
        self.log = JsonLog(Path(home.paths.logs) / "tail.jsonl")
        self.had_children = False
        self.gate = BackgroundGate()
        self.tail = Tail(
            self.journal,
            sources,
            setup=make_setup(settings, home.paths),
            workers=1,
            inline_backlog_bytes=inline_bytes,
            reconcile_secs=3_600,
            on_stored=lambda _batch: None,
            on_children=self._children_changed,
            log=self.log,
            gate=self.gate,
        )

    def _children_changed(self) -> None:
        self.had_children = True

    async def until_events(self, session: str, count: int) -> None:
        await asyncio.to_thread(
            until, lambda: self.events(session) >= count, f"{count} events of {session}"
        )

    def events(self, session: str) -> int:
        with self.journal.reader() as reader:
            row = reader.session(session)
        return row.events if row is not None else 0


@asynccontextmanager
async def tailed(
    home: Home, sources: Mapping[str, Source], *, inline_bytes: int
) -> AsyncIterator[Tailed]:
    running = Tailed(home, sources, inline_bytes=inline_bytes)
    try:
        await running.tail.start()
        yield running
    finally:
        await running.tail.close()
        running.journal.close()
