"""A program that comes back, and connections that break."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress

import pytest

from holdfast.errors import HoldfastError
from holdfast.simulation import (
    ConnectionLost,
    Faults,
    Host,
    Process,
    Scenario,
    Simulation,
    simulate,
)
from holdfast.simulation.host import BUFFERED_MAX

CALM = Faults()


class Counter:
    """Counts in memory, and on a disk that outlives it."""

    def __init__(self, disk: list[int]) -> None:
        self.disk = disk
        self.sent = 0
        self.closed = False

    async def add(self, number: int) -> int:
        await asyncio.sleep(0.01)
        self.disk.append(number)
        await asyncio.sleep(0.01)
        return len(self.disk)

    async def fail(self) -> None:
        raise LookupError("no such thing")

    async def count(self) -> AsyncIterator[int]:
        try:
            while self.sent < 100:
                self.sent += 1
                yield self.sent
        finally:
            self.closed = True

    async def close(self) -> None:
        await asyncio.sleep(0.01)
        self.closed = True


def counter(world: Simulation, disk: list[int]) -> Host[Counter]:
    async def boot(_process: Process) -> Counter:
        await asyncio.sleep(0.1)
        return Counter(disk)

    return Host(world, "counter", boot)


def well(scenario: Scenario, faults: Faults = CALM, seeds: int = 20) -> None:
    for seed in range(seeds):
        error = simulate(scenario, seed, faults=faults).error
        if error is not None:
            raise error


def test_a_program_is_asked_and_answers() -> None:
    async def scenario(world: Simulation) -> None:
        disk: list[int] = []
        host = counter(world, disk)
        with pytest.raises(ConnectionLost):  # it is not there yet
            await host.request(lambda program: program.add(0))
        await host.up()
        assert await host.request(lambda program: program.add(1)) == 1
        with pytest.raises(LookupError):
            await host.request(lambda program: program.fail())
        assert disk == [1]

    well(scenario)


def test_after_a_lost_connection_nobody_knows_what_was_done() -> None:
    seen: set[tuple[bool, bool]] = set()

    async def scenario(world: Simulation) -> None:
        disk: list[int] = []
        host = counter(world, disk)
        await host.up()
        answered = False
        with suppress(ConnectionLost):
            await host.request(lambda program: program.add(1))
            answered = True
        await world.pause(1)
        seen.add((answered, disk == [1]))

    well(scenario, Faults(lost=0.3), seeds=50)
    assert seen == {(True, True), (False, True), (False, False)}


def test_a_program_that_dies_at_work_loses_who_asked_and_comes_back_with_its_disk() -> None:
    async def scenario(world: Simulation) -> None:
        disk: list[int] = []
        host = counter(world, disk)
        first = await host.up()
        assert await host.request(lambda program: program.add(1)) == 1
        world.loop.call_later(0.015, host.crash)
        with pytest.raises(ConnectionLost):
            await host.request(lambda program: program.add(2))
        assert host.program is None
        second = await host.up()
        assert second is not first
        assert host.starts == 2
        assert await host.request(lambda program: program.add(3)) == len(disk)
        assert disk[0] == 1
        assert disk[-1] == 3

    well(scenario, Faults(latency_s=0.000_1))


def test_who_gives_up_does_not_keep_it_from_being_done() -> None:
    async def scenario(world: Simulation) -> None:
        disk: list[int] = []
        host = counter(world, disk)
        await host.up()
        asked = world.spawn(host.request(lambda program: program.add(1)))
        await asyncio.sleep(0.009)
        asked.cancel()
        await asyncio.sleep(1)
        assert disk == [1]

    well(scenario, Faults(latency_s=0.000_01))


def test_a_stream_holds_little_while_nobody_takes() -> None:
    async def scenario(world: Simulation) -> None:
        host = counter(world, [])
        program = await host.up()
        async with aclosing(host.stream(lambda program: program.count())) as numbers:
            assert await anext(numbers) == 1
            await asyncio.sleep(10)
            assert program.sent <= BUFFERED_MAX + 2
            assert [await anext(numbers) for _ in range(99)] == list(range(2, 101))
            with pytest.raises(StopAsyncIteration):
                await anext(numbers)
        assert program.closed

    well(scenario)


def test_a_sender_hears_that_nobody_listens_any_more() -> None:
    async def scenario(world: Simulation) -> None:
        host = counter(world, [])
        program = await host.up()
        async with aclosing(host.stream(lambda program: program.count())) as numbers:
            await anext(numbers)
        await asyncio.sleep(1)
        assert program.closed
        assert program.sent < 100

    well(scenario)


def test_a_stream_breaks_with_its_program_after_what_had_come() -> None:
    async def scenario(world: Simulation) -> None:
        host = counter(world, [])
        await host.up()
        got: list[int] = []

        async def listen() -> None:
            async with aclosing(host.stream(lambda program: program.count())) as numbers:
                async for number in numbers:
                    got.append(number)
                    await asyncio.sleep(0.1)

        world.loop.call_later(1, host.crash)
        with pytest.raises(ConnectionLost):
            await listen()
        assert got == list(range(1, len(got) + 1))
        assert 5 < len(got) < 20

    well(scenario)


def test_a_program_is_stopped_in_order_and_stays_away() -> None:
    async def scenario(world: Simulation) -> None:
        host = counter(world, [])
        program = await host.up()
        restarting = world.spawn(host.restart(lambda program: program.close()))
        await asyncio.sleep(0.005)
        with pytest.raises(ConnectionLost):
            await host.request(lambda program: program.add(1))
        await restarting
        assert program.closed
        again = await host.up()
        assert again is not program
        await host.stop(lambda program: program.close())
        assert again.closed
        await asyncio.sleep(1_000)
        assert host.program is None
        assert host.starts == 2

    well(scenario, Faults(latency_s=0.000_01))


def test_giving_up_cancels_what_was_asked_for_when_that_is_wanted() -> None:
    async def scenario(world: Simulation) -> None:
        disk: list[int] = []
        host = counter(world, disk)
        await host.up()
        asked = world.spawn(host.request(lambda program: program.add(1), cancels=True))
        await asyncio.sleep(0.009)
        asked.cancel()
        await asyncio.sleep(1)
        assert disk == []

    well(scenario, Faults(latency_s=0.000_01))


def test_a_program_that_cannot_start_is_tried_again() -> None:
    class NotYet(HoldfastError):
        pass

    async def scenario(world: Simulation) -> None:
        async def boot(_process: Process) -> Counter:
            if host.starts < 3:
                raise NotYet
            return Counter([])

        host = Host(world, "counter", boot)
        await host.up()
        assert host.starts == 3

    well(scenario)
