"""The tail while memory is scarce: slower, with fewer children, and nothing is left out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from holdfast.demo import lines
from holdfast.events import session_id
from holdfast.governor.protocol import Level
from holdfast.sources.agents.claude import Agent
from tests.support.home import Home
from tests.support.tail import Tailed, tailed
from tests.support.waiting import DEADLINE_S, POLL_S, until

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


def test_a_log_that_needs_a_child_does_not_keep_others_from_being_read(home: Home) -> None:
    """As at `high`: one log is read after the other, and no import is started."""

    async def main() -> None:
        async with tailed(home, {"claude": Agent([home.claude])}, inline_bytes=20_000) as run:
            run.tail.slow_down()
            run.gate.close()
            write(home, 0, 1_000)
            await asyncio.to_thread(
                until, lambda: run.tail.status().waiting_logs, "the large log waits"
            )
            for number in range(1, 4):
                write(home, number, 3)
            for number in range(1, 4):
                await run.until_events(session_id("claude", name(number)), 3)
            assert not run.had_children
            assert run.tail.status().waiting_logs == 1
            with run.tail.alone_with(name(0)):  # nobody has claimed it
                pass
            run.gate.open()
            await run.until_events(session_id("claude", name(0)), 1_000)
            assert run.had_children
            await asyncio.to_thread(
                until, lambda: not run.tail.status().waiting_logs, "nothing waits"
            )

    asyncio.run(main())


def test_a_log_that_waits_for_the_gate_does_not_make_the_end_late(home: Home) -> None:
    async def main() -> None:
        async with tailed(home, {"claude": Agent([home.claude])}, inline_bytes=20_000) as run:
            run.gate.close()
            write(home, 0, 1_000)
            await asyncio.to_thread(
                until, lambda: run.tail.status().waiting_logs, "the large log waits"
            )
        assert not run.had_children

    asyncio.run(main())


def test_while_a_child_reads_other_logs_are_read_and_threads_are_free(home: Home) -> None:
    """A child that was ended for memory waits for minutes, at worst."""

    async def seen(look: Callable[[], object]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not look():  # noqa: ASYNC110  # all threads are taken, on purpose
                await asyncio.sleep(POLL_S)

    async def main() -> None:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        async with tailed(home, {"claude": Agent([home.claude])}, inline_bytes=20_000) as run:
            run.tail.slow_down()
            write(home, 0, 4_000)
            await seen(run.tail.child_pids)
            run.tail.fewer_children()
            write(home, 1, 3)
            await seen(lambda: run.events(session_id("claude", name(1))) == 3)
            run.tail.let_children_go_on()
            await seen(lambda: run.events(session_id("claude", name(0))) == 4_000)

    asyncio.run(main())
