"""Background jobs wait before a closed gate, and not for ever."""

from __future__ import annotations

import asyncio

import pytest

from holdfast.governor import BackgroundGate


def test_jobs_elsewhere_are_told_once_when_it_closes_and_when_it_opens() -> None:
    told: list[str] = []
    gate = BackgroundGate()
    gate.join("index", pause=lambda: told.append("pause"), resume=lambda: told.append("resume"))
    for act in (gate.close, gate.close, gate.open, gate.open):
        act()
    assert told == ["pause", "resume"]
    assert gate.jobs == ("index",)


def test_a_job_that_joins_a_closed_gate_is_paused() -> None:
    told: list[str] = []
    gate = BackgroundGate()
    gate.close()
    gate.join("index", pause=lambda: told.append("pause"))
    assert told == ["pause"]


def test_one_name_cannot_join_twice() -> None:
    gate = BackgroundGate()
    gate.join("index")
    with pytest.raises(ValueError, match="'index' has joined already"):
        gate.join("index")


def test_a_job_on_the_loop_waits_until_it_opens() -> None:
    async def main() -> None:
        gate = BackgroundGate()
        await gate.passed()
        gate.close()
        waiting = asyncio.ensure_future(gate.passed())
        await asyncio.sleep(0)
        assert not waiting.done()
        gate.open()
        await waiting

    asyncio.run(main())


def test_nobody_waits_for_ever() -> None:
    async def main() -> None:
        gate = BackgroundGate()
        gate.close()
        await gate.passed(wait_max_s=0.001)
        assert not gate.is_open

    asyncio.run(main())


@pytest.mark.parametrize("turns", range(5))
def test_who_is_cancelled_while_it_opens_is_cancelled(turns: int) -> None:
    """Whichever turn of the loop it comes in: a loop that waits here must come to its end."""

    async def test() -> None:
        gate = BackgroundGate()
        gate.close()
        waiting = asyncio.create_task(gate.passed())
        await asyncio.sleep(0)
        gate.open()
        for _ in range(turns):
            await asyncio.sleep(0)
        was_through = waiting.done()
        waiting.cancel()
        await asyncio.wait([waiting])
        assert was_through or waiting.cancelled()

    asyncio.run(test())
