"""Tasks, checkpoints and intents for tests: a clock that a test moves, a journal, and restarts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from itertools import count
from typing import Final, Generic, TypeVar

from holdfast.events import Event, event_id, stream_id
from holdfast.journal.memory import MemoryJournal
from holdfast.journal.service import JournalService
from holdfast.journal.sqlite import JournalError
from holdfast.journal.streams import Append, Appended, NewEvent
from holdfast.work.keeper import Keeper, Room
from holdfast.work.shelf import Entity, Shelf
from holdfast.work.timers import Timers
from tests.support.waiting import DEADLINE_S

START_MS: Final = 1_767_261_600_000
K = TypeVar("K", bound=Keeper)  # type: ignore[type-arg]  # of whatever it keeps
E = TypeVar("E", bound=Entity)


class Log(Generic[E]):
    """A stream without a journal: what was decided is applied at once."""

    def __init__(self, shelf: Shelf[E]) -> None:
        self.shelf = shelf
        self.events: list[Event] = []
        self.now_ms = START_MS

    def store(self, new: Sequence[NewEvent]) -> list[str]:
        """The kinds that were stored."""
        session = stream_id(self.shelf.streams[0])
        for each in new:
            seq = len(self.events)
            event = Event(
                id=event_id(session, 0, seq, 0),
                session=session,
                seq=seq,
                kind=each.kind,
                at="",
                text=each.text,
                data=each.data,
                source=None,
                actor=each.actor or None,
                key=each.key,
                correlation=each.correlation,
            )
            self.events.append(event)
            self.shelf.apply(event)
        return [each.kind for each in new]

    def known(self, entity: str) -> E:
        found = self.shelf.get(entity)
        assert found is not None
        return found


async def until(look: Callable[[], object], *, poll_s: float = 0.001) -> None:
    """The loop goes on meanwhile."""
    async with asyncio.timeout(DEADLINE_S):
        while not look():  # noqa: ASYNC110  # whatever is looked at tells nobody
            await asyncio.sleep(poll_s)


class Clock:
    """Of the wall; it stands still until a test moves it."""

    def __init__(self) -> None:
        self.ms = START_MS

    def __call__(self) -> int:
        return self.ms

    def forward(self, seconds: float) -> None:
        self.ms += int(seconds * 1_000)


class Bench(Generic[K]):
    """A keeper over a journal that outlives it."""

    def __init__(self, make: Callable[[Room], K]) -> None:
        self._make = make
        self.clock = Clock()
        self.problems: list[str] = []
        self.memory = MemoryJournal()
        self.failing: list[JournalError] = []  # what the next appends fail with
        self.stored_first: list[list[NewEvent]] = []  # what somebody else appends before the next
        self._numbers = count(1)

    async def __aenter__(self) -> Bench[K]:
        await self.begin()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.end()

    async def begin(self) -> None:
        self.journal = JournalService(
            self.memory.writer, self.memory.reader, wall_s=lambda: self.clock.ms / 1_000
        )
        self.timers = Timers(
            now_ms=self.clock, on_error=lambda error: self.problems.append(str(error))
        )
        self.keeper = self._make(
            Room(
                self.journal,
                self.append,
                self.timers,
                self.clock,
                make_id=lambda key, _noun: f"of-{key}" if key else f"n{next(self._numbers)}",
                on_problem=self.problems.append,
            )
        )
        await self.keeper.start()

    async def end(self) -> None:
        await self.timers.close()
        await self.keeper.close()
        await asyncio.to_thread(self.journal.close)

    async def die(self) -> None:
        """As if the process was killed: nothing is said to anybody."""
        await self.timers.close()
        await asyncio.to_thread(self.journal.close)

    async def append(
        self, stream: str, events: Sequence[NewEvent], *, expected_seq: int | None
    ) -> Appended:
        if self.failing:
            raise self.failing.pop(0)
        wanted = [Append(stream, first) for first in self.stored_first]
        self.stored_first = []
        wanted.append(Append(stream, events, expected_seq))
        outcome = (await asyncio.wrap_future(self.journal.append(wanted, wait=False)))[-1]
        if isinstance(outcome, Appended):
            return outcome
        raise outcome

    async def forward(self, seconds: float) -> None:
        """Move the clock, and let what is due happen."""
        self.clock.forward(seconds)
        before = self.timers.rung + self.timers.failed
        due = self.timers.next_due_ms
        self.timers.look()
        if due is not None and due <= self.clock.ms:
            await self.until(lambda: self.timers.rung + self.timers.failed > before)
            await self.until(
                lambda: self.timers.next_due_ms is None or self.timers.next_due_ms > self.clock.ms
            )

    async def until(self, look: Callable[[], object]) -> None:
        await until(look)

    def kinds(self) -> list[str]:
        """Of all that is stored in the stream."""
        reader = self.memory.reader()
        return [each.kind for each in reader.events(stream_id(self.keeper.stream))]
