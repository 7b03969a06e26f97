"""However many ask at once, one status is gathered."""

from __future__ import annotations

import asyncio

import pytest

from holdfast.metrics.latest import FRESH_S, Latest, listed
from holdfast.status import Status
from tests.support.statuses import full_status


class Asked:
    """Who gives statuses, and how often it was asked."""

    def __init__(self) -> None:
        self.times = 0
        self.now_s = 100.0
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.failure: Exception | None = None

    async def status(self) -> Status:
        self.times += 1
        await self.may_answer.wait()
        if self.failure is not None:
            raise self.failure
        return full_status()

    def clock(self) -> float:
        return self.now_s


def test_within_a_second_it_is_the_same_and_then_a_new_one() -> None:
    async def run() -> None:
        asked = Asked()
        latest = Latest(asked.status, clock_s=asked.clock)
        first = await latest.take()
        asked.now_s += FRESH_S / 2
        assert await latest.take() is first
        asked.now_s += FRESH_S / 2
        assert await latest.take() is not first
        assert asked.times == 2

    asyncio.run(run())


def test_who_comes_meanwhile_shares_it_and_who_goes_away_does_not_end_it() -> None:
    async def run() -> None:
        asked = Asked()
        asked.may_answer.clear()
        latest = Latest(asked.status, clock_s=asked.clock)
        impatient, patient = (asyncio.ensure_future(latest.take()) for _ in range(2))
        await asyncio.sleep(0)
        impatient.cancel()
        await asyncio.sleep(0)
        asked.may_answer.set()
        assert (await patient).version == "0.1.0"
        assert impatient.cancelled()
        assert asked.times == 1

    asyncio.run(run())


def test_a_status_that_cannot_be_gathered_is_tried_again() -> None:
    async def run() -> None:
        asked = Asked()
        asked.failure = OSError("no")
        latest = Latest(asked.status, clock_s=asked.clock)
        with pytest.raises(OSError, match="no"):
            await latest.take()
        asked.failure = None
        assert (await latest.take()).readings

    asyncio.run(run())


def test_the_list_has_every_figure_that_has_points() -> None:
    async def run() -> None:
        taken = await Latest(Asked().status).take()
        entries = {each.name: each for each in listed(taken).figures}
        assert set(entries) == {figure.name for figure, points in taken.readings if points}
        states = entries["holdfast_state"].points
        assert {each.labels["state"]: each.value for each in states}["running"] == 1

    asyncio.run(run())
