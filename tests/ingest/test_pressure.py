"""The tail while memory is scarce: slower, with fewer children, and nothing is left out."""

from __future__ import annotations

import asyncio
from pathlib import Path

from holdfast.demo import lines
from holdfast.events import session_id
from holdfast.governor.protocol import Level
from holdfast.sources.agents.claude import Agent
from tests.support.home import Home
from tests.support.tail import Tailed, tailed
from tests.support.waiting import until

INLINE_BYTES = 1_000_000


def name(number: int) -> str:
    return f"5e551035-0000-4000-a000-{number:012d}"


def write(home: Home, number: int, events: int) -> None:
    path = Path(home.projects) / "p" / f"{name(number)}.jsonl"
    path.parent.mkdir(exist_ok=True)
    with path.open("ab") as file:
        file.write(
            b"".join(
                lines.user_line(f"words {number} {n}", session=name(number)) for n in range(events)
            )
        )


async def all_read(running: Tailed, logs: int, events: int) -> None:
    for number in range(logs):
        await running.until_events(session_id("claude", name(number)), events)


def test_a_slow_tail_reads_every_log_that_changed(home: Home) -> None:
    async def main() -> None:
        async with tailed(home, {"claude": Agent([home.claude])}, inline_bytes=INLINE_BYTES) as run:
            run.tail.slow_down()
            for number in range(12):
                write(home, number, 3)
            await all_read(run, 12, 3)

    asyncio.run(main())


def test_what_was_gathered_is_read_at_once_when_the_tail_may_be_fast_again(home: Home) -> None:
    async def main() -> None:
        async with tailed(home, {"claude": Agent([home.claude])}, inline_bytes=INLINE_BYTES) as run:
            write(home, 0, 1)
            await all_read(run, 1, 1)
            run.tail.slow_down()
            write(home, 0, 1)
            await asyncio.to_thread(
                until, lambda: run.tail.status().waiting_logs, "the change was gathered"
            )
            run.tail.speed_up()
            assert run.tail.status().waiting_logs == 0
            await all_read(run, 1, 2)

    asyncio.run(main())


def test_what_is_remembered_of_hot_logs_is_counted_and_given_back(home: Home) -> None:
    async def main() -> None:
        async with tailed(home, {"claude": Agent([home.claude])}, inline_bytes=INLINE_BYTES) as run:
            write(home, 0, 2)
            await all_read(run, 1, 2)
            used = run.tail.usage()
            assert used.items >= 1
            assert used.bytes > 0
            assert run.tail.relieve(Level.HIGH, 1) == 0
            assert run.tail.relieve(Level.CRITICAL, 1) > 0
            assert run.tail.usage().bytes < used.bytes
            write(home, 0, 1)
            await all_read(run, 1, 3)

    asyncio.run(main())


def test_of_several_imports_one_goes_on_and_the_others_wait_for_their_turn(home: Home) -> None:
    """Each has a child of its own, and none of them is the last."""

    async def main() -> None:
        async with tailed(home, {"claude": Agent([home.claude])}, inline_bytes=1) as run:
            for number in range(2):
                write(home, number, 4_000)
            await asyncio.to_thread(until, run.tail.child_pids, "a child runs")
            ended = run.tail.fewer_children()
            assert ended >= 1
            run.tail.let_children_go_on()
            await all_read(run, 2, 4_000)

    asyncio.run(main())
