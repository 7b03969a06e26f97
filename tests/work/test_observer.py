"""The observer looks when something is due, survives what fails, and leaves nothing behind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from holdfast.work.observer import Observer
from holdfast.work.timers import Timers
from tests.support.work import START_MS, Clock, until


class Watched:
    """Tasks that are due when a test says so."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.active = 0
        self.due_s: float | None = None
        self.looked_s: list[float] = []
        self.fails = 0
        self.problems: list[str] = []
        self.timers = Timers(now_ms=self.clock)
        self.observer = Observer(
            self,
            self.timers,
            now_ms=self.clock,
            min_s=2,
            max_s=60,
            on_problem=self.problems.append,
        )

    @property
    def now_s(self) -> float:
        return (self.clock.ms - START_MS) / 1_000

    def next_due_ms(self) -> int | None:
        return None if self.due_s is None else START_MS + int(self.due_s * 1_000)

    async def look(self) -> int:
        self.looked_s.append(self.now_s)
        if self.fails:
            self.fails -= 1
            raise ValueError("a task of a strange kind")
        due = self.due_s is not None and self.due_s <= self.now_s
        if due:
            self.due_s = None
        return int(due)

    async def at(self, seconds: float, *looks: float) -> None:
        """The clock at a time, when these looks should have been."""
        self.clock.ms = START_MS + int(seconds * 1_000)
        self.timers.look()
        await until(lambda: self.looked_s == [*looks])
        for _ in range(5):
            await asyncio.sleep(0)
        assert self.looked_s == [*looks]


def observed(work: Callable[[Watched], Awaitable[None]]) -> None:
    async def run() -> None:
        watched = Watched()
        await work(watched)
        watched.observer.stop()
        await watched.timers.close()

    asyncio.run(run())


def test_while_nothing_is_due_it_has_no_timer() -> None:
    async def work(watched: Watched) -> None:
        watched.observer.changed()
        assert len(watched.timers) == 0
        assert watched.observer.get_stats().interval_s is None
        await watched.at(10_000)

    observed(work)


def test_it_looks_when_the_next_one_is_due() -> None:
    async def work(watched: Watched) -> None:
        watched.active, watched.due_s = 1, 30
        watched.observer.changed()
        assert watched.observer.get_stats().interval_s == 30
        await watched.at(29)
        await watched.at(30, 30)
        assert watched.observer.get_stats().stuck == 1

    observed(work)


def test_looks_lie_some_time_apart() -> None:
    async def work(watched: Watched) -> None:
        watched.active, watched.due_s = 2, 30
        watched.observer.changed()
        await watched.at(30, 30)
        watched.due_s = 30.1
        watched.observer.changed()
        await watched.at(31.9, 30)
        await watched.at(32, 30, 32)

    observed(work)


def test_while_tasks_run_it_looks_now_and_then_and_when_idle_it_does_not() -> None:
    async def work(watched: Watched) -> None:
        watched.active, watched.due_s = 1, 10_000
        watched.observer.changed()
        await watched.at(60, 60)
        watched.observer.changed()
        await watched.at(119, 60)
        await watched.at(120, 60, 120)
        watched.active = 0
        watched.observer.changed()
        assert watched.observer.get_stats().interval_s == 10_000 - 120
        await watched.at(9_000, 60, 120)

    observed(work)


def test_a_look_that_fails_is_followed_by_others_further_and_further_apart() -> None:
    async def work(watched: Watched) -> None:
        watched.fails, watched.active, watched.due_s = 3, 1, 10
        watched.observer.changed()
        await watched.at(10, 10)
        watched.observer.changed()  # whatever happens meanwhile
        await watched.at(13.9, 10)
        await watched.at(14, 10, 14)
        await watched.at(22, 10, 14, 22)
        await watched.at(38, 10, 14, 22, 38)
        stats = watched.observer.get_stats()
        assert (stats.looks, stats.failed_looks, stats.stuck) == (4, 3, 1)
        assert stats.last_problem == "ValueError: a task of a strange kind"
        assert len(watched.problems) == 3

    observed(work)


def test_stopped_it_leaves_no_timer_and_sets_none() -> None:
    async def work(watched: Watched) -> None:
        watched.active, watched.due_s = 1, 10
        watched.observer.changed()
        watched.observer.stop()
        assert len(watched.timers) == 0
        watched.observer.changed()
        assert len(watched.timers) == 0
        await watched.at(100)

    observed(work)
