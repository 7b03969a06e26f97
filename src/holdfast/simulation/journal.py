"""The journal in a simulation: the real service over a disk that is slow, full or failing.

Everything above the disk is what runs in the daemon: the mailbox, groups, savepoints, what is told
and in which order. Only its thread is a virtual one, and the database is the twin in memory. A
commit takes time; a program that dies meanwhile loses it, and finds on the disk whatever was
committed before. A failing disk may have kept what it says it could not keep, as real ones do when
a sync fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from holdfast.journal.mailbox import Call, Durable, Mail, Mailbox, Write
from holdfast.journal.memory import MemoryJournal, MemoryWriter
from holdfast.journal.model import Batch
from holdfast.journal.protocol import JournalReader, JournalWriter
from holdfast.journal.service import JournalService
from holdfast.journal.sqlite import JournalBroken, JournalError, JournalFull
from holdfast.simulation.faults import drawn_delay
from holdfast.simulation.loop import NotSimulated, Process
from holdfast.simulation.world import Simulation

READERS: Final = 1_000  # nobody may wait for one: there is no other thread to give it back
NOTICED_S: Final = 0.000_05  # until the writer's thread wakes up, on average


class Disk:
    """What a journal is kept on; it outlives every program."""

    def __init__(
        self, world: Simulation, name: str = "disk", journal: MemoryJournal | None = None
    ) -> None:
        self.journal = journal or MemoryJournal()
        self.name = name
        self.commits = 0
        self._world = world
        self._random = world.draw(name)
        self._full_until_s = 0.0

    @property
    def full(self) -> bool:
        return self._world.now_s() < self._full_until_s

    def commit_s(self) -> float:
        return drawn_delay(self._random, self._world.faults.commit_s)

    def noticed_s(self) -> float:
        return drawn_delay(self._random, NOTICED_S)

    def open_writer(self) -> JournalWriter:
        return DiskWriter(self)

    def open_reader(self) -> JournalReader:
        return self.journal.reader()

    @contextmanager
    def committing(self) -> Iterator[None]:
        """Around what a commit stores: it fails before, behind, or not."""
        faults, random = self._world.faults, self._random
        if not self.full and random.random() < faults.disk_full:
            self._full_until_s = self._world.now_s() + drawn_delay(random, faults.disk_full_s)
            self._world.note(f"{self.name} is full")
        if self.full:
            raise JournalFull("the simulated disk is full")
        fails = random.random() < faults.disk_error
        if fails and random.random() < 0.5:
            self._world.note(f"{self.name} fails and keeps nothing")
            raise JournalBroken("the simulated disk failed")
        yield
        self.commits += 1
        if fails:
            self._world.note(f"{self.name} fails and keeps what it was given")
            raise JournalBroken("the simulated disk failed")


class DiskWriter(MemoryWriter):
    def __init__(self, disk: Disk) -> None:
        super().__init__(disk.journal)
        self._disk = disk

    def write(self, batches: Sequence[Batch], *, durable: bool = False) -> None:
        with self._disk.committing():
            super().write(batches, durable=durable)

    def transact(
        self, works: Sequence[Callable[[JournalWriter], object]]
    ) -> list[object | Exception]:
        with self._disk.committing():
            return super().transact(works)


class SimulatedJournal(JournalService):
    """A `JournalService` of one program."""

    def __init__(
        self,
        world: Simulation,
        process: Process,
        disk: Disk,
        *,
        on_failure: Callable[[JournalError], None] = lambda _error: None,
    ) -> None:
        self._world = world
        self._process = process
        self._disk = disk
        self._awake = False
        self._in_hand: list[Write] | list[Durable] | Call | None = None
        super().__init__(
            disk.open_writer,
            disk.open_reader,
            readers=READERS,
            on_failure=on_failure,
            clock_s=world.now_s,
            wall_s=world.wall_s,
        )

    def settle(self) -> None:
        """Nobody can wait for the thread here, so what waits is done at once."""
        self._finish()
        while self._world.loop.as_thread(self._writer.feed_index):
            pass

    # The thread.

    def _start(self) -> None:
        self._mailbox = _Mailbox(self._wake_up)

    def _wake_up(self) -> None:
        if not self._awake:
            self._awake = True
            self._later(self._disk.noticed_s(), self._take)

    def _take(self) -> None:
        """What is taken now is committed together; what comes meanwhile is not of it."""
        self._in_hand = self._mailbox.take(wait=False)
        if self._in_hand:
            self._later(self._disk.commit_s(), self._commit)
        else:
            self._awake = False
            self._world.loop.as_thread(self._work_off, [])

    def _commit(self) -> None:
        self._do_in_hand()
        self._take()

    def _do_in_hand(self) -> None:
        work, self._in_hand = self._in_hand, None
        if work is not None:
            self._world.loop.as_thread(self._work_off, work)

    def _finish(self) -> None:
        self._do_in_hand()
        while work := self._mailbox.take(wait=False):
            self._in_hand = work
            self._do_in_hand()

    def _later(self, delay_s: float, work: Callable[[], None]) -> None:
        self._process.run(self._world.loop.call_later, delay_s, work)


class _Mailbox(Mailbox):
    """Rings when something was put into it."""

    def __init__(self, ring: Callable[[], None]) -> None:
        super().__init__()
        self._ring = ring

    def put(self, item: Mail, *, wait: bool = True, urgent: bool = False) -> None:
        if wait and not self._has_room(item):
            raise NotSimulated(
                "whoever put this into the journal's mailbox would wait for its thread"
            )
        super().put(item, wait=False, urgent=urgent)
        self._ring()
