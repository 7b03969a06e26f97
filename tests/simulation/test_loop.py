"""The loop: the same seed is the same run, and what can go wrong in some order is found."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest

from holdfast.simulation import (
    CallbackFailed,
    Deadlock,
    Faults,
    NeverEnds,
    NotSimulated,
    Scenario,
    SimulatedLoop,
    Simulation,
    TaskFailed,
    current_process,
    hunt,
    simulate,
)

CALM = Faults()


def fails_with(scenario: Scenario, seeds: int = 1) -> list[BaseException]:
    found = [simulate(scenario, seed, faults=CALM).error for seed in range(seeds)]
    return [error for error in found if error is not None]


# The same again.


async def busy(world: Simulation) -> None:
    """Tasks, timers, threads, sets of tasks, futures: all that has an order."""
    results: list[object] = []

    async def work(name: str) -> None:
        for _ in range(5):
            await world.pause(0.01)
            results.append(await asyncio.to_thread(lambda: (name, len(results))))

    waiting = {world.spawn(work(name)) for name in ("a", "b", "c", "d")}
    while waiting:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        world.note(" ".join(sorted(task.get_name() for task in done)))
    ended = asyncio.gather(*(asyncio.sleep(1, name) for name in "efgh"))
    world.note(f"{results} {await ended}")


async def cancelled_together(world: Simulation) -> None:
    """A group ends its tasks in the order of a set of them."""

    async def long(name: str) -> None:
        try:
            await asyncio.sleep(1_000)
        finally:
            world.note(f"{name} ends")

    async def failing() -> None:
        await asyncio.sleep(1)
        raise LookupError

    async def together() -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(20):
                group.create_task(long(f"task {number}"))
            group.create_task(failing())

    with pytest.raises(ExceptionGroup):
        await together()


@pytest.mark.parametrize("scenario", [busy, cancelled_together])
def test_the_same_seed_gives_the_same_run_step_by_step(scenario: Scenario) -> None:
    for seed in range(20):
        first = simulate(scenario, seed, keep_all=True)
        assert first.error is None
        second = simulate(scenario, seed, keep_all=True)
        assert first.story == second.story
        assert first.digest == second.digest


def test_another_seed_gives_another_order() -> None:
    assert len({simulate(busy, seed, faults=CALM).digest for seed in range(20)}) == 20


def test_a_run_is_the_same_in_another_interpreter_whatever_its_hashes_are() -> None:
    code = (
        "from tests.simulation.test_loop import busy, cancelled_together, simulate\n"
        "for seed in range(10):\n"
        "    print(simulate(busy, seed).digest, simulate(cancelled_together, seed).digest)\n"
    )
    root = Path(__file__).parents[2]
    told = [
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=root,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert told[0].count("\n") == 10
    assert told[0] == told[1]


# Time.


def test_an_hour_takes_no_time_and_the_clock_tells_it() -> None:
    async def scenario(world: Simulation) -> None:
        began_s, noon = world.now_s(), world.wall_s()
        await asyncio.sleep(3_600)
        assert 3_600 <= world.now_s() - began_s < 3_601
        assert world.wall_s() - noon == pytest.approx(world.now_s() - began_s)
        assert world.instant().startswith("2027-01-15T09:00:00")

    outcome = simulate(scenario, 1, faults=CALM)
    assert outcome.error is None
    assert outcome.simulated_s > 3_600


def test_timers_fire_in_the_order_of_their_times() -> None:
    async def scenario(world: Simulation) -> None:
        fired: list[float] = []
        for delay_s in (3.0, 1.0, 2.0):
            world.loop.call_later(delay_s, fired.append, delay_s)
        world.loop.call_later(0.5, fired.append, 0.5).cancel()
        await asyncio.sleep(4)
        assert fired == [1.0, 2.0, 3.0]

    assert fails_with(scenario, 20) == []


def test_a_stall_lets_timers_fire_that_a_task_meant_to_beat() -> None:
    async def scenario(_world: Simulation) -> None:
        async with asyncio.timeout(1):
            for _ in range(100):
                await asyncio.sleep(0)

    found = [simulate(scenario, seed, faults=Faults(stall=0.01)).error for seed in range(30)]
    assert any(isinstance(error, TimeoutError) for error in found)
    assert any(error is None for error in found)


# Order.


def test_tasks_take_turns_in_any_order() -> None:
    orders: set[str] = set()

    async def scenario(_world: Simulation) -> None:
        said: list[str] = []

        async def say(word: str) -> None:
            said.append(word)

        await asyncio.gather(say("a"), say("b"), say("c"))
        orders.add("".join(said))

    assert fails_with(scenario, 100) == []
    assert len(orders) == 6


def test_callbacks_are_called_in_the_order_in_which_they_were_given() -> None:
    """As asyncio promises; also those that come from threads."""

    async def scenario(world: Simulation) -> None:
        told: list[int] = []

        def from_a_thread() -> None:
            for number in range(20):
                world.loop.call_soon_threadsafe(told.append, number)

        others = [world.spawn(asyncio.sleep(0)) for _ in range(10)]
        await asyncio.to_thread(from_a_thread)
        await asyncio.wait(others)
        await asyncio.sleep(1)
        assert told == list(range(20))

    assert fails_with(scenario, 50) == []


# Threads.


def test_a_thread_begins_late_and_is_heard_of_later() -> None:
    seen: set[tuple[bool, bool]] = set()

    async def scenario(_world: Simulation) -> None:
        done: list[int] = []
        thread = asyncio.ensure_future(asyncio.to_thread(done.append, 1))
        await asyncio.sleep(0.001)
        seen.add((bool(done), thread.done()))
        await thread

    assert fails_with(scenario, 100) == []
    assert seen == {(False, False), (True, False), (True, True)}


def test_an_error_in_a_thread_goes_to_who_waits() -> None:
    async def scenario(_world: Simulation) -> None:
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 / 0)

    assert fails_with(scenario) == []


def test_a_thread_that_was_given_up_before_it_began_never_runs() -> None:
    async def scenario(_world: Simulation) -> None:
        ran: list[int] = []
        thread = asyncio.ensure_future(asyncio.to_thread(ran.append, 1))
        await asyncio.sleep(0)
        thread.cancel()
        await asyncio.sleep(10)
        assert ran == []

    assert fails_with(scenario, 20) == []


def test_a_thread_that_schedules_as_only_the_loop_may_is_found() -> None:
    async def scenario(world: Simulation) -> None:
        await asyncio.to_thread(world.loop.call_soon, print)

    (error,) = fails_with(scenario)
    assert isinstance(error, NotSimulated)


def test_in_a_thread_there_is_no_running_loop() -> None:
    async def scenario(world: Simulation) -> None:
        with pytest.raises(RuntimeError, match="no running event loop"):
            await asyncio.to_thread(asyncio.get_running_loop)
        assert asyncio.get_running_loop() is world.loop

    assert fails_with(scenario) == []


def test_a_real_thread_is_refused() -> None:
    refused: list[BaseException] = []

    async def scenario(world: Simulation) -> None:
        def real() -> None:
            try:
                world.loop.call_soon_threadsafe(print)
            except NotSimulated as error:
                refused.append(error)

        thread = threading.Thread(target=real)
        thread.start()
        thread.join()

    assert fails_with(scenario) == []
    assert len(refused) == 1


def test_there_is_no_network() -> None:
    async def scenario(_world: Simulation) -> None:
        await asyncio.open_connection("localhost", 80)

    (error,) = fails_with(scenario)
    assert isinstance(error, NotSimulated)


# What is wrong is told.


def test_a_deadlock_says_what_every_task_waits_for() -> None:
    async def scenario(world: Simulation) -> None:
        first, second = asyncio.Lock(), asyncio.Lock()

        async def take(one: asyncio.Lock, other: asyncio.Lock) -> None:
            await world.pause(0.01)
            async with one:
                await world.pause(0.01)
                async with other:
                    pass

        await asyncio.gather(
            world.spawn(take(first, second), name="left"),
            world.spawn(take(second, first), name="right"),
        )

    errors = fails_with(scenario, 50)
    assert 0 < len(errors) < 50
    assert all(isinstance(error, Deadlock) for error in errors)
    assert "left waits in " in str(errors[0])
    assert "right waits in " in str(errors[0])
    assert "Lock.acquire (locks.py:" in str(errors[0])
    assert "test_loop.py:" in str(errors[0])


def test_a_deadlock_says_where_an_asynchronous_generator_waits() -> None:
    async def scenario(world: Simulation) -> None:
        async def numbers() -> AsyncIterator[int]:
            yield 1
            await world.loop.create_future()

        async for _ in numbers():
            pass

    (error,) = fails_with(scenario)
    assert ".numbers (test_loop.py:" in str(error)


def test_a_run_without_end_is_ended_by_steps_and_by_time() -> None:
    async def spinning(world: Simulation) -> None:
        while world.seed:
            await world.pause(0)

    async def ticking(world: Simulation) -> None:
        async def tick() -> None:
            while True:
                await world.pause(60)

        world.spawn(tick(), name="ticker")
        await asyncio.Event().wait()

    assert isinstance(simulate(spinning, 1, faults=CALM, steps_max=1_000).error, NeverEnds)
    error = simulate(ticking, 1, faults=CALM, time_max_s=3_600).error
    assert isinstance(error, NeverEnds)
    assert "Event.wait (locks.py:" in str(error)


def test_a_task_that_fails_unheeded_fails_the_run() -> None:
    async def scenario(world: Simulation) -> None:
        async def failing() -> None:
            raise LookupError("nobody asks")

        world.spawn(failing(), name="forgotten")
        await asyncio.sleep(1)

    (error,) = fails_with(scenario)
    assert isinstance(error, TaskFailed)
    assert "forgotten failed: LookupError('nobody asks')" in str(error)


def test_a_task_that_failed_is_what_is_wrong_when_others_wait_for_it_for_ever() -> None:
    async def scenario(world: Simulation) -> None:
        ready = asyncio.Event()

        async def failing() -> None:
            raise LookupError("no " * 2)

        world.spawn(failing(), name="helper")
        await ready.wait()

    (error,) = fails_with(scenario)
    assert isinstance(error, TaskFailed)
    assert "helper failed: LookupError" in str(error)


def test_a_callback_that_fails_fails_the_run() -> None:
    async def scenario(world: Simulation) -> None:
        world.loop.call_soon(lambda: 1 / 0)
        await asyncio.sleep(1)

    (error,) = fails_with(scenario)
    assert isinstance(error, CallbackFailed)
    assert isinstance(error.__cause__, ZeroDivisionError)


def test_what_always_holds_is_looked_at_after_every_step() -> None:
    async def scenario(world: Simulation) -> None:
        held: list[int] = []

        def at_most_three() -> None:
            assert len(held) <= 3, f"{len(held)} after {world.loop.steps} steps"

        async def overdo() -> None:
            held.append(3)
            await asyncio.sleep(0)
            held.clear()

        held.extend(range(3))
        world.always(at_most_three)
        await asyncio.sleep(1)
        await world.spawn(overdo())

    (error,) = fails_with(scenario)
    assert "4 after " in str(error)


# Programs that die.


def test_a_program_that_dies_leaves_nothing_running_and_no_finally_runs_meanwhile() -> None:
    async def scenario(world: Simulation) -> None:
        seen: list[str] = []
        process = world.process("daemon")

        async def below() -> None:
            while True:
                await asyncio.sleep(1)
                seen.append("below")

        async def main() -> None:
            asyncio.get_running_loop().create_task(below())  # of this program too
            try:
                await asyncio.to_thread(seen.append, "thread")
                await asyncio.sleep(1_000)
            finally:
                seen.append("finally")

        process.spawn(main())
        await asyncio.sleep(3.5)
        assert seen.count("below") == 3
        died: list[bool] = []
        process.on_death(lambda: died.append(True))
        process.crash()
        process.crash()
        before = list(seen)
        await asyncio.sleep(2_000)
        assert seen == before
        assert "finally" not in seen
        assert died == [True]

    assert fails_with(scenario, 20) == []


def test_programs_die_after_a_drawn_number_of_steps() -> None:
    lives: set[int] = set()

    async def scenario(world: Simulation) -> None:
        process = world.process("daemon")
        died, steps = asyncio.Event(), 0

        async def main() -> None:
            nonlocal steps
            assert current_process() is process
            while True:
                steps += 1
                await asyncio.sleep(0)

        process.on_death(died.set)
        process.spawn(main())
        await died.wait()
        assert current_process() is None
        lives.add(steps)

    faults = Faults(crash_steps=50)
    assert [simulate(scenario, seed, faults=faults).error for seed in range(50)] == [None] * 50
    assert len(lives) > 20
    assert min(lives) < 25
    assert max(lives) > 75


def test_who_waits_outside_goes_on_when_a_program_dies() -> None:
    async def scenario(world: Simulation) -> None:
        process = world.process("daemon")
        answer = world.loop.create_future()
        process.on_death(lambda: answer.set_result("dead"))
        forget = process.on_death(lambda: pytest.fail("told though it asked not to be"))
        forget()
        world.loop.call_later(1, process.crash)
        assert await answer == "dead"

    assert fails_with(scenario) == []


def test_the_end_of_a_run_closes_what_is_left_without_complaint(
    caplog: pytest.LogCaptureFixture,
) -> None:
    closed: list[str] = []

    async def scenario(world: Simulation) -> None:
        async def stubborn() -> None:
            while True:
                try:
                    await asyncio.sleep(10)
                finally:
                    closed.append("one")
                    await asyncio.sleep(1)

        async def begins_another() -> None:
            try:
                await asyncio.sleep(10)
            finally:
                asyncio.get_running_loop().create_task(never_begun())

        async def never_begun() -> None:
            raise AssertionError

        world.spawn(stubborn())
        world.spawn(begins_another())
        await asyncio.sleep(1)
        world.spawn(never_begun())

    assert fails_with(scenario) == []
    assert closed == ["one"]
    assert caplog.text == ""


# Planted mistakes, each found within a few seeds. The sound ones beside them are not.


class Jobs:
    """A bounded queue; what a worker does not manage goes back into it."""

    def __init__(self, capacity: int, *, back_through_the_bound: bool) -> None:
        self._waiting: deque[int] = deque()
        self._capacity = capacity
        self._back_through_the_bound = back_through_the_bound
        self._change = asyncio.Condition()

    async def put(self, job: int) -> None:
        async with self._change:
            await self._change.wait_for(lambda: len(self._waiting) < self._capacity)
            self._waiting.append(job)
            self._change.notify_all()

    async def take(self) -> int:
        async with self._change:
            await self._change.wait_for(lambda: self._waiting)
            self._change.notify_all()
            return self._waiting.popleft()

    async def give_back(self, job: int) -> None:
        if self._back_through_the_bound:
            await self.put(job)
            return
        async with self._change:
            self._waiting.appendleft(job)
            self._change.notify_all()


def redelivery(*, through_the_bound: bool) -> Scenario:
    async def scenario(world: Simulation) -> None:
        jobs, wanted = Jobs(2, back_through_the_bound=through_the_bound), 12
        done: set[int] = set()

        async def produce(first: int) -> None:
            for job in range(first, wanted, 2):
                await jobs.put(job)

        async def work() -> None:
            while len(done) < wanted:
                job = await jobs.take()
                await world.pause(0.01)
                if world.random.random() < 0.2:
                    await jobs.give_back(job)
                else:
                    done.add(job)

        worker = world.spawn(work(), name="worker")
        await asyncio.gather(produce(0), produce(1))
        await worker

    return scenario


def test_finds_a_queue_whose_redelivery_meets_its_own_bound() -> None:
    assert hunt(redelivery(through_the_bound=False), range(100)).failed == []
    (found,) = hunt(redelivery(through_the_bound=True), range(100)).failed
    assert isinstance(found.error, Deadlock)
    assert "Jobs.give_back" in str(found.error)


class Bell:
    """Tells that something came. `lossy` looks, then waits: what rings in between is not heard."""

    def __init__(self, *, lossy: bool) -> None:
        self.rung = 0
        self._lossy = lossy
        self._event = asyncio.Event()

    def ring(self) -> None:
        self.rung += 1
        self._event.set()

    async def heard(self, after: int) -> int:
        while self.rung == after:
            if self._lossy:
                self._event.clear()
                await asyncio.sleep(0)  # anything that takes a turn
                if not self._event.is_set() and self.rung != after:
                    break
                self._event.clear()
                await self._event.wait()
            else:
                self._event.clear()
                await self._event.wait()
        return self.rung


def ringing(*, lossy: bool) -> Scenario:
    async def scenario(world: Simulation) -> None:
        bell = Bell(lossy=lossy)

        async def ring() -> None:
            for _ in range(3):
                await world.pause(0.000_1)
                bell.ring()

        world.spawn(ring(), name="ringer")
        heard = 0
        while heard < 3:
            heard = await bell.heard(heard)

    return scenario


def test_finds_a_wake_up_that_is_lost() -> None:
    assert hunt(ringing(lossy=False), range(300)).failed == []
    (found,) = hunt(ringing(lossy=True), range(300)).failed
    assert isinstance(found.error, Deadlock)
    assert "Bell.heard" in str(found.error)


class Notebook:
    """Acknowledges what is on disk, or what is only about to be."""

    def __init__(self, disk: list[int], *, hasty: bool) -> None:
        self._disk = disk
        self._hasty = hasty

    async def store(self, number: int) -> None:
        if self._hasty:
            asyncio.get_running_loop().create_task(self._write(number))
        else:
            await self._write(number)

    async def _write(self, number: int) -> None:
        await asyncio.to_thread(self._disk.append, number)


def acknowledging(*, hasty: bool) -> Scenario:
    async def scenario(world: Simulation) -> None:
        disk: list[int] = []
        process = world.process("notebook")
        notebook, acknowledged = Notebook(disk, hasty=hasty), []

        async def store() -> None:
            for number in range(50):
                await notebook.store(number)
                acknowledged.append(number)

        died = asyncio.Event()
        process.on_death(died.set)
        process.spawn(store())
        world.loop.call_later(world.random.uniform(0.001, 0.2), process.crash)
        await died.wait()
        lost = set(acknowledged) - set(disk)
        assert not lost, f"acknowledged and lost: {sorted(lost)}"

    return scenario


def test_finds_something_acknowledged_that_is_not_stored() -> None:
    assert hunt(acknowledging(hasty=False), range(100)).failed == []
    (found,) = hunt(acknowledging(hasty=True), range(100)).failed
    assert "acknowledged and lost" in str(found.error)


def test_a_loop_can_be_used_by_itself() -> None:
    loop = SimulatedLoop(Random(1))
    try:
        assert loop.run_until_complete(asyncio.sleep(3_600, "done")) == "done"
        assert loop.time() >= 3_600
    finally:
        loop.vanish()
