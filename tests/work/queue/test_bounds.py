"""Whatever waits is bounded, and says so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from holdfast.journal.memory import MemoryJournal
from holdfast.journal.service import JournalService
from holdfast.work.queue import QueueFull, WorkQueue
from holdfast.work.queue import line as lines
from holdfast.work.queue import room as rooms
from holdfast.work.queue.line import Line, TooManyClaimers
from holdfast.work.queue.room import Room


def test_no_more_than_some_wait_for_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "WAITING_MAX", 2)

    async def fill() -> None:
        room = Room(0)
        waiting = [asyncio.create_task(room.take(1, 10, None)) for _ in range(2)]
        await asyncio.sleep(0)
        assert (room.waiting, room.waiting_bytes) == (2, 20)
        with pytest.raises(QueueFull, match="too many wait"):
            await room.take(1, 10, None)
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)
        assert (room.waiting, room.waiting_bytes, room.used) == (0, 0, 0)

    asyncio.run(fill())


def test_nor_with_more_than_some_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "WAITING_BYTES_MAX", 100)

    async def fill() -> None:
        with pytest.raises(QueueFull, match="too many wait"):
            await Room(0).take(1, 101, None)

    asyncio.run(fill())


def test_no_more_than_some_wait_for_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "CLAIMERS_MAX", 2)
    line = Line()
    first = line.join("a", 1)
    line.join("b", 1)
    with pytest.raises(TooManyClaimers):
        line.join("a", 1)
    line.leave(first)
    line.join("a", 1)
    assert line.waiting == 2


def test_who_was_woken_keeps_its_place_until_it_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it could be refused when it finds nothing, and whom it should wake slept on."""
    monkeypatch.setattr(lines, "CLAIMERS_MAX", 1)
    line = Line()
    claimer = line.join("a", 1)
    line.wake("a", 1)
    with pytest.raises(TooManyClaimers):
        line.join("a", 1)
    line.stand_again(claimer)
    assert not claimer.woken.is_set()
    line.wake("a", 1)
    assert claimer.woken.is_set()
    line.leave(claimer)
    line.join("a", 1)


def test_a_line_that_nobody_stands_in_is_no_line() -> None:
    line = Line()
    line.leave(line.join("a", 1))
    woken = line.join("b", 1)
    line.wake("b", 1)
    line.leave(woken)
    assert (line.waiting, line._standing) == (0, {})


def test_as_many_are_woken_as_there_are_items() -> None:
    line = Line()
    claimers = [line.join("a", count) for count in (2, 2, 2)]
    line.wake("a", 3)
    assert [each.woken.is_set() for each in claimers] == [True, True, False]
    line.leave(claimers[0])  # it was woken and looks no more: that is for the next
    assert claimers[2].woken.is_set()


def test_a_queue_that_is_closed_sets_no_timer_though_the_journal_fails() -> None:
    class Handle:
        def cancel(self) -> None:
            """It is called by hand."""

    rings: list[Callable[[], object]] = []

    def later(_delay_s: float, ring: Callable[[], object], /) -> Handle:
        rings.append(ring)
        return Handle()

    async def main() -> None:
        now_s = 1_000.0
        memory = MemoryJournal()
        journal = JournalService(memory.writer, memory.reader)
        queue = WorkQueue(journal, clock_s=lambda: now_s, timer=later)
        await queue.start()
        await queue.add("a", 1, delay_secs=5)
        [ring] = rings
        now_s += 10
        queue.end_waits()
        await asyncio.to_thread(journal.close)
        ring()  # it was due just before
        await queue.close()
        assert rings == [ring]

    asyncio.run(main())
