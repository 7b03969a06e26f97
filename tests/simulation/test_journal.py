"""The journal of a simulation: what every journal must do, and what a crash leaves of it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

import pytest

from holdfast.events import decode, stream_id
from holdfast.journal.conformance import REQUIREMENTS, Requirement, name
from holdfast.journal.mailbox import WAITING_MAX
from holdfast.journal.memory import MemoryJournal
from holdfast.journal.protocol import JournalReader, JournalWriter
from holdfast.journal.service import JournalService
from holdfast.journal.sqlite import JournalBroken, JournalError, JournalFull
from holdfast.journal.streams import Append, Appended, Committed, NewEvent
from holdfast.simulation import Faults, NotSimulated, Scenario, SimulatedLoop, Simulation, simulate
from holdfast.simulation.journal import Disk, SimulatedJournal

CALM = Faults()


class DiskSubject:
    """For the kit of all journals."""

    def __init__(
        self, folder: Path, world: Simulation, journal: MemoryJournal | None = None
    ) -> None:
        self.folder = str(folder)
        self._world = world
        self._disk = Disk(world, journal=journal)

    def writer(self, *, block_bytes: int, audit_max_rows: int) -> JournalWriter:
        self._disk.journal.audit_max_rows = audit_max_rows
        return self._disk.open_writer()

    def reader(self) -> JournalReader:
        return self._disk.open_reader()

    def restored(self, backup: str) -> DiskSubject:
        return DiskSubject(Path(self.folder), self._world, MemoryJournal.restore(backup))


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=name)
def test_conformance(requirement: Requirement, tmp_path: Path) -> None:
    loop = SimulatedLoop(Random(0))
    try:
        requirement(DiskSubject(tmp_path, Simulation(0, loop, CALM)))
    finally:
        loop.vanish()


def well(scenario: Scenario, faults: Faults = CALM, seeds: int = 20) -> None:
    for seed in range(seeds):
        error = simulate(scenario, seed, faults=faults).error
        if error is not None:
            raise error


def note(*texts: str) -> Append:
    return Append("notes", [NewEvent(kind="note", text=text, key=text) for text in texts])


def texts(disk: Disk) -> list[str]:
    return [decode(line).text for line in disk.journal.state.lines.get(stream_id("notes"), [])]


async def stored(journal: JournalService, *said: str) -> Appended:
    (outcome,) = await asyncio.wrap_future(journal.append([note(*said)], wait=False))
    assert isinstance(outcome, Appended)
    return outcome


def test_what_waits_together_is_committed_together_and_told_in_order() -> None:
    async def scenario(world: Simulation) -> None:
        disk, told = Disk(world), list[Committed]()
        journal = SimulatedJournal(world, world.process("daemon"), disk)
        journal.listen(told.extend)
        appended = await asyncio.gather(*(stored(journal, str(number)) for number in range(50)))
        assert sorted(texts(disk)) == sorted(map(str, range(50)))
        assert disk.commits < 10
        ends = [run.position + run.count for run in told]
        assert ends == sorted(ends)
        assert ends[-1] == 51
        assert sorted(each.positions[0] for each in appended) == list(range(1, 51))
        journal.close()

    well(scenario)


def test_a_commit_takes_time_and_a_crash_meanwhile_loses_it_and_only_it() -> None:
    kept: set[tuple[str, ...]] = set()

    async def scenario(world: Simulation) -> None:
        disk, heard = Disk(world), list[str]()
        process = world.process("daemon")
        journal = SimulatedJournal(world, process, disk)

        async def work() -> None:
            for text in "abc":
                await stored(journal, text)
                heard.append(text)

        died = asyncio.Event()
        process.on_death(died.set)
        process.spawn(work())
        world.loop.call_later(world.random.uniform(0, 0.02), process.crash)
        await died.wait()
        on_disk = texts(disk)
        await asyncio.sleep(100)
        assert texts(disk) == on_disk
        assert on_disk[: len(heard)] == heard
        kept.add((*on_disk, "heard", *heard))
        again = SimulatedJournal(world, world.process("daemon again"), disk)
        appended = await stored(again, "a", "b", "c", "d")
        assert texts(disk) == ["a", "b", "c", "d"]
        assert appended.repeated == len(on_disk)

    well(scenario, Faults(commit_s=0.005), seeds=200)
    assert ("heard",) in kept
    assert ("a", "b", "heard", "a") in kept  # stored, and nobody heard of it
    assert ("a", "b", "c", "heard", "a", "b", "c") in kept


def test_a_full_disk_refuses_and_takes_the_same_again_when_there_is_room() -> None:
    async def scenario(world: Simulation) -> None:
        disk, failures = Disk(world), list[JournalError]()
        journal = SimulatedJournal(world, world.process("daemon"), disk, on_failure=failures.append)
        for number in range(30):
            while True:
                try:
                    await stored(journal, str(number))
                    break
                except JournalFull:
                    assert disk.full
                    assert str(number) not in texts(disk)
                    await asyncio.sleep(1)
        assert texts(disk) == [str(number) for number in range(30)]
        assert failures

    well(scenario, Faults(disk_full=0.2, disk_full_s=2.0))


def test_a_failing_disk_may_have_kept_what_it_refused() -> None:
    kept: set[bool] = set()

    async def scenario(world: Simulation) -> None:
        disk = Disk(world)
        journal = SimulatedJournal(world, world.process("daemon"), disk)
        for number in range(20):
            text = str(number)
            try:
                await stored(journal, text)
            except JournalBroken:
                kept.add(text in texts(disk))
            else:
                assert text in texts(disk)

    well(scenario, Faults(disk_error=0.2))
    assert kept == {True, False}


def test_closing_stores_what_waits() -> None:
    async def scenario(world: Simulation) -> None:
        disk = Disk(world)
        journal = SimulatedJournal(world, world.process("daemon"), disk)
        waiting = [world.spawn(stored(journal, str(number))) for number in range(20)]
        await asyncio.sleep(world.random.uniform(0, 0.01))
        begun = len(texts(disk)) + journal.waiting
        journal.close()
        assert len(texts(disk)) >= begun
        done, _ = await asyncio.wait(waiting)
        told = [task.exception() for task in done]
        assert sum(error is None for error in told) == len(texts(disk))

    well(scenario)


def test_settling_makes_all_of_it_searchable() -> None:
    async def scenario(world: Simulation) -> None:
        disk = Disk(world)
        journal = SimulatedJournal(world, world.process("daemon"), disk)
        for text in "abcdef":
            journal.append([note(text)], wait=False)
        journal.settle()
        assert len(texts(disk)) == 6
        assert journal.index_lag == 0

    well(scenario)


def test_what_would_block_for_ever_is_refused() -> None:
    async def scenario(world: Simulation) -> None:
        journal = SimulatedJournal(world, world.process("daemon"), Disk(world))
        for number in range(WAITING_MAX):
            journal.append([note(str(number))])
        with pytest.raises(NotSimulated):
            journal.append([note("one too many")])
        await stored(journal, "one that does not wait")

    well(scenario)
