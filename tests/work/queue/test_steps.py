"""Steps end once, whatever goes wrong where their outcome is told."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

import pytest

from holdfast.journal.memory import MemoryJournal
from holdfast.journal.service import JournalService
from holdfast.work.queue import steps as steps_module
from holdfast.work.queue.steps import Steps
from tests.support.waiting import DEADLINE_S


def fails(_outcome: object) -> None:
    raise RuntimeError("it cannot be told")


def nothing(_outcome: object) -> None:
    pass


@pytest.mark.parametrize("what", ["applied", "ended"])
def test_an_outcome_that_cannot_be_told_costs_no_slot_and_leaves_nobody_waiting(
    monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr(steps_module, "RUNNING_MAX", 1)
    told: list[object] = []

    def step(steps: Steps) -> Coroutine[object, object, int]:
        if what == "applied":
            return steps.run(lambda _writer: 7, applied=fails)
        return steps.run(lambda _writer: 7, applied=nothing, ended=fails)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, about: told.append(about.get("exception")))
        memory = MemoryJournal()
        journal = JournalService(memory.writer, memory.reader)
        steps = Steps(journal)
        async with asyncio.timeout(DEADLINE_S):
            assert [await step(steps) for _ in range(3)] == [7, 7, 7]  # it is stored
            await steps.ended()
        await asyncio.to_thread(journal.close)

    asyncio.run(main())
    assert [str(each) for each in told] == ["it cannot be told"] * 3
