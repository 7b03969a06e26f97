"""Timers ring when the wall's clock says so, once, in order, whatever one of them does."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

from holdfast.work.timers import AGAIN_MS, Timers
from tests.support.waiting import DEADLINE_S
from tests.support.work import START_MS, Clock, until


class Bell:
    def __init__(self) -> None:
        self.clock = Clock()
        self.rung: list[str] = []
        self.errors: list[Exception] = []
        self.fails = 0
        self.timers = Timers(now_ms=self.clock, on_error=self.errors.append)

    def at(self, name: str, seconds: float) -> None:
        async def ring() -> None:
            if self.fails:
                self.fails -= 1
                raise OSError("the disk is full")
            self.rung.append(name)

        self.timers.at(name, START_MS + int(seconds * 1_000), ring)

    async def forward(self, seconds: float, *expected: str) -> None:
        self.clock.forward(seconds)
        self.timers.look()
        await until(lambda: self.rung == [*expected])
        await asyncio.sleep(0)


def run(work: Coroutine[None, None, None]) -> None:
    asyncio.run(work)


def test_they_ring_in_the_order_of_their_times_and_once() -> None:
    async def work() -> None:
        bell = Bell()
        bell.at("late", 30)
        bell.at("early", 10)
        bell.at("middle", 20)
        await bell.forward(9.9)
        await bell.forward(0.1, "early")
        await bell.forward(100, "early", "middle", "late")
        await bell.forward(100, "early", "middle", "late")
        await bell.timers.close()

    run(work())


def test_one_that_is_moved_rings_at_its_new_time_only() -> None:
    async def work() -> None:
        bell = Bell()
        bell.at("a", 10)
        bell.at("a", 20)
        await bell.forward(15)
        await bell.forward(5, "a")
        bell.at("b", 60)
        bell.at("b", 50)
        await bell.forward(30, "a", "b")
        await bell.forward(30, "a", "b")

    run(work())


def test_one_that_is_cancelled_does_not_ring_and_leaves_nothing() -> None:
    async def work() -> None:
        bell = Bell()
        bell.at("a", 10)
        bell.at("b", 10)
        bell.timers.cancel("a")
        bell.timers.cancel("nobody")
        await bell.forward(10, "b")
        assert len(bell.timers) == 0
        bell.at("c", 20)
        bell.timers.cancel("c")
        await until(lambda: not bell.timers.is_waiting)
        assert bell.timers.next_due_ms is None

    run(work())


def test_while_nothing_is_due_ever_no_task_runs() -> None:
    async def work() -> None:
        bell = Bell()
        assert not bell.timers.is_waiting
        bell.at("a", 10)
        assert bell.timers.is_waiting
        await bell.forward(10, "a")
        await until(lambda: not bell.timers.is_waiting)
        bell.at("b", 20)
        await bell.forward(10, "a", "b")

    run(work())


def test_one_that_fails_rings_again_and_the_others_ring() -> None:
    async def work() -> None:
        bell = Bell()
        bell.fails = 1
        bell.at("a", 10)
        bell.at("b", 10)
        await bell.forward(10, "b")
        assert [str(error) for error in bell.errors] == ["the disk is full"]
        assert bell.timers.failed == 1
        await bell.forward(AGAIN_MS / 1_000 - 0.1, "b")
        await bell.forward(0.1, "b", "a")

    run(work())


def test_when_nobody_can_be_told_of_an_error_the_loop_is_and_all_ring() -> None:
    async def work() -> None:
        told: list[object] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, about: told.append(about["exception"]))
        bell = Bell()
        unwritable = OSError("neither can the log be written")

        def fails(_error: Exception) -> None:
            raise unwritable

        bell.timers = Timers(now_ms=bell.clock, on_error=fails)
        bell.fails = 1
        bell.at("a", 10)
        bell.at("b", 10)
        await bell.forward(10, "b")
        await bell.forward(AGAIN_MS / 1_000, "b", "a")
        assert told == [unwritable]
        await bell.timers.close()

    run(work())


def test_one_that_sets_itself_again_rings_again() -> None:
    async def work() -> None:
        bell = Bell()

        async def ring() -> None:
            bell.rung.append("again")
            bell.timers.at("again", bell.clock.ms + 10_000, ring)

        bell.timers.at("again", START_MS + 10_000, ring)
        await bell.forward(10, "again")
        await bell.forward(10, "again", "again")
        assert len(bell.timers) == 1
        await bell.timers.close()

    run(work())


def test_moved_ten_thousand_times_it_still_holds_one() -> None:
    async def work() -> None:
        bell = Bell()
        for number in range(10_000):
            bell.at("a", 10_000 - number)
        assert len(bell.timers) == 1
        assert len(bell.timers._heap) < 200
        await bell.timers.close()

    run(work())


def test_closed_it_leaves_no_task_behind() -> None:
    async def work() -> None:
        bell = Bell()
        bell.at("a", 10)
        await asyncio.sleep(0)
        await bell.timers.close()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert not bell.rung

    run(work())


def test_closed_it_takes_no_more_and_ends_though_somebody_sets_one_meanwhile() -> None:
    async def work() -> None:
        bell = Bell()
        bell.at("a", 10)
        await asyncio.sleep(0)
        bell.timers.look()  # it is woken and cancelled at once, which `wait_for` may take for one
        closing = asyncio.create_task(bell.timers.close())
        await asyncio.sleep(0)
        bell.at("b", 20)
        async with asyncio.timeout(DEADLINE_S):
            await closing
        assert len(bell.timers) == 0
        assert not bell.timers.is_waiting

    run(work())
