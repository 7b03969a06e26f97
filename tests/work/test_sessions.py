"""Ends of sessions while the journal fails: none is forgotten, and none is acted on twice."""

from __future__ import annotations

import asyncio

import pytest

from holdfast.journal.memory import MemoryJournal
from holdfast.journal.service import JournalService
from holdfast.journal.sqlite import JournalError, JournalFull
from holdfast.stream import Frame, NewEvent, Streams
from holdfast.stream.frames import Wanted
from holdfast.work.sessions import SessionEnds
from tests.support.work import until


class Desk:
    def __init__(self) -> None:
        memory = MemoryJournal()
        self.journal = JournalService(memory.writer, memory.reader)
        self.streams = Streams(self.journal)
        self.ended: list[str] = []
        self.problems: list[str] = []
        self.full = 0  # how often the disk is, from now on
        self.ends = SessionEnds(
            self.journal,
            self.streams,
            self._end,
            on_problem=self.problems.append,
            retry_s=0.0,
        )

    async def _end(self, session: str) -> None:
        if self.full:
            self.full -= 1
            raise JournalFull("the disk is full")
        self.ended.append(session)

    async def start(self) -> None:
        self.streams.start()
        await self.ends.start()

    async def say(self, *sessions: str) -> None:
        events = [NewEvent(kind="session.end", correlation=session) for session in sessions]
        await self.streams.append("plugin", events)

    async def stop(self) -> None:
        await self.ends.close()
        await self.streams.close()
        await asyncio.to_thread(self.journal.close)


def test_an_end_waits_until_the_disk_has_room() -> None:
    async def main() -> None:
        desk = Desk()
        await desk.start()
        await desk.say("first")
        await until(lambda: desk.ended == ["first"])
        desk.full = 3
        await desk.say("second", "third")
        await until(lambda: len(desk.ended) == 3)
        assert desk.ended == ["first", "second", "third"]
        assert len(desk.problems) == 3
        await desk.stop()

    asyncio.run(main())


def test_ends_are_seen_to_again_after_a_journal_that_could_not_be_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        desk = Desk()
        read, fails = desk.streams.read, [True, True]

        async def failing(position: int, wanted: Wanted) -> tuple[list[Frame], int]:
            if fails:
                fails.pop()
                raise JournalError("the disk fails")
            return await read(position, wanted)

        monkeypatch.setattr(desk.streams, "read", failing)
        await desk.start()
        await desk.ends.close()
        await desk.say("first")  # nobody listens, so it is not in the ring
        await desk.ends.start()
        await until(lambda: desk.ended == ["first"])
        assert not fails
        assert len(desk.problems) == 2
        await desk.stop()

    asyncio.run(main())
