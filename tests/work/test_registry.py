"""The registry: tasks outlive restarts, stuck ones are found in time, finished ones leave."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from holdfast.journal.sqlite import JournalFull
from holdfast.work.entities import WrongState
from holdfast.work.registry import TaskRegistry, TaskSettings
from holdfast.work.task_commands import NewTask, Usual
from tests.support.work import Bench

SETTINGS = TaskSettings(
    usual=Usual(timeout_s=1_000, heartbeat_s=100, retries=1),
    max_unfinished=50,
    retain_s=600,
    observe_min_s=1,
    observe_max_s=60,
)


def benched(work: Callable[[Bench[TaskRegistry]], Awaitable[None]]) -> None:
    async def run() -> None:
        async with Bench(lambda room: TaskRegistry(room, SETTINGS)) as bench:
            await work(bench)

    asyncio.run(run())


async def create(bench: Bench[TaskRegistry], **wanted: object) -> str:
    new = NewTask(**{"title": "Build the pool", **wanted})  # type: ignore[arg-type]  # for short
    return (await bench.keeper.create(new)).id


def test_a_task_from_its_beginning_to_its_end() -> None:
    async def work(bench: Bench[TaskRegistry]) -> None:
        tasks = bench.keeper
        task = await create(bench)
        await tasks.begin(task, "ann")
        await tasks.progress(task, 40, "foundation")
        bench.clock.forward(50)
        await tasks.heartbeat(task)
        await tasks.block(task, "rain")
        await tasks.unblock(task)
        await tasks.begin(task)
        await tasks.fail(task, "flood")
        await tasks.begin(task)
        done = await tasks.complete(task, "a pool")
        assert (done.state, done.result, done.failures) == ("completed", "a pool", 1)
        assert tasks.status().states["completed"] == 1
        assert " ".join(kind.removeprefix("task.") for kind in bench.kinds()) == (
            "created started progress heartbeat blocked unblocked started retried started completed"
        )

    benched(work)


@pytest.mark.parametrize("orderly", [True, False])
def test_a_restart_keeps_every_task_as_it_was(*, orderly: bool) -> None:
    async def work(bench: Bench[TaskRegistry]) -> None:
        tasks = bench.keeper
        first = await create(bench)
        await create(bench, after=(first,))
        await tasks.begin(first)
        part = await create(bench, parent=first)
        await tasks.complete(part)
        before = tasks.listed()
        await (bench.end() if orderly else bench.die())
        await bench.begin()
        assert bench.keeper.listed() == before
        assert len(before) == 3

    benched(work)


def test_one_that_is_silent_is_found_also_after_a_restart() -> None:
    async def work(bench: Bench[TaskRegistry]) -> None:
        task = await create(bench)
        await bench.keeper.begin(task)
        await bench.forward(60)
        await bench.die()
        bench.clock.forward(30)
        await bench.begin()
        await bench.forward(9)
        assert bench.keeper.get(task).state == "running"
        await bench.forward(1)
        assert bench.keeper.get(task).state == "stale"
        await bench.forward(60)
        await bench.forward(40)
        assert bench.keeper.get(task).state == "pending"
        assert bench.keeper.observer.get_stats().stuck == 2

    benched(work)


def test_a_look_that_cannot_be_stored_is_tried_again() -> None:
    async def work(bench: Bench[TaskRegistry]) -> None:
        task = await create(bench, heartbeat_s=10)
        await bench.keeper.begin(task)
        bench.failing = [JournalFull("the disk is full")]
        await bench.forward(10)
        assert bench.keeper.get(task).state == "running"
        assert bench.keeper.observer.get_stats().failed_looks == 1
        await bench.forward(2)
        assert bench.keeper.get(task).state == "stale"

    benched(work)


def test_finished_ones_leave_by_themselves_and_stay_in_the_log() -> None:
    async def work(bench: Bench[TaskRegistry]) -> None:
        task = await create(bench)
        await bench.keeper.complete(task)
        await bench.forward(599)
        assert bench.keeper.get(task).state == "completed"
        await bench.forward(1)
        await bench.until(lambda: not bench.keeper.listed())
        assert bench.kinds() == ["task.created", "task.completed"]

    benched(work)


def test_idle_it_has_no_timer_and_closed_it_leaves_none() -> None:
    async def work(bench: Bench[TaskRegistry]) -> None:
        task = await create(bench)
        assert len(bench.timers) == 0
        await bench.keeper.begin(task)
        assert len(bench.timers) == 1
        await bench.keeper.close()
        assert len(bench.timers) == 0
        await bench.until(lambda: not bench.timers.is_waiting)

    benched(work)


def test_commands_that_come_at_once_are_each_decided_by_what_was_before() -> None:
    async def work(bench: Bench[TaskRegistry]) -> None:
        task = await create(bench)
        outcomes = await asyncio.gather(
            *(bench.keeper.begin(task, who) for who in ("ann", "bob", "cay")),
            return_exceptions=True,
        )
        assert [isinstance(each, WrongState) for each in outcomes] == [False, True, True]
        assert "started by ann" in str(outcomes[1])
        assert bench.kinds() == ["task.created", "task.started"]

    benched(work)


def test_a_command_is_finished_though_who_asked_has_gone() -> None:
    async def work(bench: Bench[TaskRegistry]) -> None:
        task = await create(bench)
        asked = asyncio.create_task(bench.keeper.begin(task))
        await asyncio.sleep(0)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        await bench.until(lambda: bench.keeper.get(task).state == "running")
        assert (await bench.keeper.complete(task)).state == "completed"
        assert len(bench.kinds()) == 3

    benched(work)


def test_parents_and_needs_are_named_by_the_beginnings_of_their_ids() -> None:
    async def work(bench: Bench[TaskRegistry]) -> None:
        await create(bench, key="foundation")
        task = await create(bench, parent="of-f", after=("of-found",))
        known = bench.keeper.get(task)
        assert (known.parent, known.after) == ("of-foundation", ("of-foundation",))
        assert [each.id for each in bench.keeper.listed(parent="of-foundation")] == [task]

    benched(work)


def test_with_a_session_its_tasks_end() -> None:
    async def work(bench: Bench[TaskRegistry]) -> None:
        ours, theirs = await create(bench, session="s"), await create(bench, session="t")
        assert await bench.keeper.end_session("s") == 1
        assert bench.keeper.get(ours).state == "cancelled"
        assert [each.id for each in bench.keeper.listed(session="t", states=("pending",))] == [
            theirs
        ]

    benched(work)


def test_it_takes_no_more_than_it_says() -> None:
    async def work(bench: Bench[TaskRegistry]) -> None:
        for _ in range(50):
            task = await create(bench)
            await bench.keeper.complete(task)
        for _ in range(50):
            await create(bench)
        usage = bench.keeper.usage()
        assert usage.items == usage.limit_items == 100
        assert usage.limit_bytes is not None
        assert usage.bytes <= usage.limit_bytes

    benched(work)
