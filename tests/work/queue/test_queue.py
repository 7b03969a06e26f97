"""The queues of a process: room, waiting, leases; with a clock that is moved."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import msgspec
import pytest

from holdfast.events import decode_lines, stream_id
from holdfast.governor.protocol import Level
from holdfast.journal.memory import MemoryJournal, MemoryWriter
from holdfast.journal.protocol import JournalWriter
from holdfast.journal.service import JournalService
from holdfast.journal.sqlite import JournalFull
from holdfast.journal.work import Effects
from holdfast.work.queue import (
    Backoff,
    BadItem,
    BadQueue,
    DeadLettersFull,
    Limits,
    NewItem,
    NoDeadItem,
    QueueClosed,
    QueueFull,
    StaleClaim,
    WorkQueue,
)
from tests.support.moving_clock import MovingClock

T = TypeVar("T")
SOON_S = 30  # generous: whoever waits so long has failed
LIMITS = Limits(pending_max=4, attempts_max=2, lease_secs=60, backoff=Backoff(1_000, 8_000))


class Failing(MemoryWriter):
    """Fails as a full disk does, as long as it is told to."""

    full = False

    def transact(self, works: Any) -> list[object | Exception]:
        if self.full:
            raise JournalFull("no room on the disk")
        return super().transact(works)


class House:
    """A journal and its queues."""

    def __init__(self, limits: Limits = LIMITS, journal: MemoryJournal | None = None) -> None:
        self.memory = journal or MemoryJournal()
        self.writer = Failing(self.memory)
        self.journal = JournalService(lambda: self.writer, self.memory.reader)
        self.clock = MovingClock()
        self.queue = WorkQueue(
            self.journal,
            limits,
            clock_s=self.clock,
            timer=self.clock.later,
            chance=lambda: 1.0,
        )

    async def settled(self) -> None:
        """Until nothing that was begun is under way."""
        for _ in range(3):
            await asyncio.wait_for(self.queue.settled(), SOON_S)
            await asyncio.sleep(0)


@asynccontextmanager
async def house(
    limits: Limits = LIMITS, journal: MemoryJournal | None = None
) -> AsyncIterator[House]:
    built = House(limits, journal)
    await built.queue.start()
    try:
        yield built
    finally:
        await asyncio.wait_for(built.queue.close(), SOON_S)
        built.journal.close()


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    def runs() -> None:
        asyncio.run(asyncio.wait_for(test(), 2 * SOON_S))

    runs.__name__, runs.__doc__ = test.__name__, test.__doc__
    return runs


def new(payload: object = None, **fields: Any) -> NewItem:
    return NewItem(payload=msgspec.Raw(msgspec.json.encode(payload)), **fields)


async def started(awaitable: Awaitable[T]) -> asyncio.Task[T]:
    """A task that has come as far as it can by itself."""
    task = asyncio.ensure_future(awaitable)
    for _ in range(5):
        await asyncio.sleep(0)
    assert isinstance(task, asyncio.Task)
    return task


async def soon(awaitable: Awaitable[T]) -> T:
    return await asyncio.wait_for(awaitable, SOON_S)


@run
async def test_an_item_goes_through_the_queue_and_leaves() -> None:
    async with house() as h:
        number = await h.queue.add("index", {"file": "a.py"}, subject="s")
        async with h.queue.claim("index") as [item]:
            assert (item.id, item.value, item.item.attempt) == (number, {"file": "a.py"}, 1)
        assert await h.queue.queues() == []
        assert h.queue.figures().pending == 0


@run
async def test_what_raises_in_the_block_comes_back_after_the_backoff() -> None:
    async with house() as h:
        await h.queue.add("index", 1)
        with pytest.raises(ValueError, match="boom"):
            async with h.queue.claim("index"):
                raise ValueError("boom")
        h.clock.move(0.999)
        assert await h.queue.claim("index") == []
        h.clock.move(0.001)
        [item] = await h.queue.claim("index")
        assert item.item.attempt == 2


@run
async def test_a_worker_confirms_what_went_well_and_goes_on_after_what_did_not() -> None:
    async with house() as h:
        await h.queue.enqueue("index", [new("good"), new("bad"), new("last")])
        seen = []
        async for item in h.queue.work("index"):
            async with item:
                seen.append(item.value)
                if item.value == "bad":
                    raise ValueError("boom")
            if item.value == "last":
                break
        await h.settled()
        assert seen == ["good", "bad", "last"]
        [left] = await h.queue.queues()
        assert (left.pending, left.delayed) == (1, 1)


async def settle_and_raise(queue: WorkQueue, how: str) -> None:
    async for item in queue.work("index"):
        async with item:
            await (item.confirm() if how == "confirm" else item.release())
            raise ValueError("boom")


@run
async def test_what_a_block_raises_after_its_item_was_settled_is_raised() -> None:
    """No item keeps it, so it would be known to nobody."""
    async with house() as h:
        for how in ("confirm", "release"):
            await h.queue.add("index", how)
            with pytest.raises(ValueError, match="boom"):
                await settle_and_raise(h.queue, how)
        [left] = await h.queue.queues()
        assert (left.pending, left.delayed) == (1, 1)


@run
async def test_what_a_block_raises_after_its_lease_is_raised() -> None:
    async with house() as h:
        await h.queue.add("index", 1)
        [item] = await h.queue.claim("index", lease_secs=5)
        h.clock.move(6)
        await h.settled()
        with pytest.raises(ValueError, match="boom"):
            async with item:
                raise ValueError("boom")
        [item] = await h.queue.claim("index")
        h.clock.move(61)
        await h.settled()
        with pytest.raises(StaleClaim):
            async with item:
                await item.confirm()


async def until_two(queue: WorkQueue) -> None:
    async for item in queue.work("index", batch=3):
        if item.value == 2:
            raise ValueError("boom")


@run
async def test_a_loop_confirms_when_the_next_is_asked_for_and_gives_back_when_left() -> None:
    async with house() as h:
        await h.queue.enqueue("index", [new(1), new(2), new(3)])
        with pytest.raises(ValueError, match="boom"):
            await until_two(h.queue)
        await asyncio.sleep(0)
        await h.settled()
        [left] = await h.queue.queues()
        assert (left.ready, left.delayed, left.pending) == (1, 1, 2)


@run
async def test_at_the_limit_whoever_enqueues_waits_for_room_in_order() -> None:
    async with house() as h:
        await h.queue.enqueue("q", [new(number) for number in range(4)])
        first = await started(h.queue.enqueue("q", [new("first"), new("first")]))
        second = await started(h.queue.enqueue("q", [new("second")]))
        [one, two] = await h.queue.claim("q", count=2)
        await one.confirm()
        await h.settled()
        assert not first.done()
        assert not second.done(), "it passed one that waits for more"
        with pytest.raises(QueueFull):  # there is room for it, and others came before
            await h.queue.enqueue("q", [new("third")], wait_secs=0)
        await two.confirm()
        await soon(first)
        assert not second.done()
        [three] = await h.queue.claim("q")
        await three.confirm()
        await soon(second)
        assert h.queue.figures().pending == 4


@run
async def test_waiting_for_room_ends_in_time() -> None:
    async with house() as h:
        await h.queue.enqueue("q", [new(number) for number in range(4)])
        with pytest.raises(QueueFull, match=r"4 pending items, resources\.work_queue_max is 4"):
            await h.queue.enqueue("q", [new()], wait_secs=0)
        with pytest.raises(QueueFull):
            await soon(h.queue.enqueue("q", [new()], wait_secs=0.01))
        assert h.queue.figures().waiting_for_room == 0


@run
async def test_one_that_is_cancelled_while_it_waits_makes_way() -> None:
    async with house() as h:
        await h.queue.enqueue("q", [new(number) for number in range(4)])
        large = await started(h.queue.enqueue("q", [new("large")] * 3))
        small = await started(h.queue.enqueue("q", [new("small")]))
        [item] = await h.queue.claim("q")
        await item.confirm()
        large.cancel()
        await soon(small)
        assert h.queue.figures().pending == 4


@run
async def test_room_that_was_given_to_one_who_is_cancelled_goes_to_the_next() -> None:
    async with house() as h:
        await h.queue.enqueue("q", [new(number) for number in range(4)])
        first = await started(h.queue.enqueue("q", [new("first")], wait_secs=SOON_S))
        second = await started(h.queue.enqueue("q", [new("second")]))
        [item] = await h.queue.claim("q")
        h.queue._room.changed(-1)  # as confirming does, with nobody running between
        first.cancel()
        await soon(second)
        h.queue._room.changed(1)
        await item.confirm()
        [left] = await h.queue.queues()
        assert left.pending == h.queue.figures().pending == 4


@run
async def test_a_full_queue_takes_back_what_is_released_and_retried() -> None:
    """Whoever works gets rid of what they have, however many wait for room: no deadlock."""
    async with house() as h:
        await h.queue.enqueue("q", [new(number, max_attempts=1) for number in range(4)])
        waiting = await started(h.queue.enqueue("q", [new("new")] * 4))
        items = await soon(h.queue.claim("q", count=4))
        await soon(items[0].hand_back())
        h.clock.move(60)  # two leases end; these have no attempts left
        await h.settled()
        moved = await soon(h.queue.retry("q"))
        assert len(moved.ids) == 3
        assert h.queue.figures().pending == 4
        assert not waiting.done()
        async with h.queue.claim("q", count=4) as items:
            assert len(items) == 4
        await soon(waiting)


@run
async def test_dead_letters_may_come_back_over_the_limit() -> None:
    async with house() as h:
        await h.queue.enqueue("q", [new(number, max_attempts=1) for number in range(4)])
        for item in await h.queue.claim("q", count=4):
            await item.release(error="no")
        await h.queue.enqueue("q", [new("more")] * 4)
        await soon(h.queue.retry("q"))
        assert h.queue.figures().pending == 8
        with pytest.raises(QueueFull):
            await h.queue.enqueue("q", [new()], wait_secs=0)
        async with h.queue.claim("q", count=8):
            pass
        await soon(h.queue.enqueue("q", [new()]))


@run
async def test_who_waits_for_work_is_woken_by_what_is_enqueued() -> None:
    async with house() as h:
        waiting = await started(h.queue.claim("q", wait_secs=SOON_S)._take())
        await h.settled()
        assert not waiting.done()
        await h.queue.add("other", 1)
        await h.queue.add("q", 2)
        [item] = await soon(waiting)
        assert item.value == 2


@run
async def test_who_waits_for_work_is_woken_by_what_is_given_back() -> None:
    async with house() as h:
        await h.queue.add("q", 1)
        [item] = await h.queue.claim("q")
        waiting = await started(h.queue.claim("q", wait_secs=SOON_S)._take())
        await h.settled()
        await item.hand_back()
        assert [each.value for each in await soon(waiting)] == [1]


@run
async def test_who_waits_for_work_is_woken_by_a_lease_and_a_delay_that_end() -> None:
    async with house() as h:
        await h.queue.enqueue("q", [new("leased"), new("delayed", delay_secs=100)])
        await h.queue.claim("q", lease_secs=30)
        assert h.clock.waiting == 1
        for seconds, value in ((30, "leased"), (70, "delayed")):
            waiting = await started(h.queue.claim("q", lease_secs=500, wait_secs=SOON_S)._take())
            await h.settled()
            h.clock.move(seconds - 1)
            await h.settled()
            assert not waiting.done()
            h.clock.move(1)
            [item] = await soon(waiting)
            assert item.value == value


@run
async def test_one_item_wakes_one_who_waits_and_none_is_forgotten() -> None:
    async with house(Limits(pending_max=100)) as h:
        waiting = [await started(h.queue.claim("q", wait_secs=SOON_S)._take()) for _ in range(20)]
        await h.settled()
        assert h.queue.figures().waiting_for_work == 20
        await h.queue.add("q", 0)
        await h.settled()
        assert sum(task.done() for task in waiting) == 1
        assert waiting[0].done(), "who came first"
        for number in range(1, 20):
            await h.queue.add("q", number)
        values = [(await soon(task))[0].value for task in waiting]
        assert sorted(values) == list(range(20))


@run
async def test_who_was_woken_and_is_cancelled_wakes_the_next() -> None:
    async with house() as h:
        first = await started(h.queue.claim("q", wait_secs=SOON_S)._take())
        second = await started(h.queue.claim("q", wait_secs=SOON_S)._take())
        await h.settled()
        h.queue._line.wake("q", 1)
        first.cancel()
        await started(asyncio.sleep(0))
        await h.settled()
        await h.queue.add("q", 1)
        assert (await soon(second))[0].value == 1


@run
async def test_what_was_claimed_for_one_who_was_cancelled_is_given_out_at_once() -> None:
    async with house() as h:
        await h.queue.add("q", 1)
        held = asyncio.Event()

        def hold(_writer: JournalWriter) -> None:
            asyncio.run_coroutine_threadsafe(_wait(held), loop).result(SOON_S)

        loop = asyncio.get_running_loop()
        h.journal.call(hold)
        claiming = await started(h.queue.claim("q")._take())
        claiming.cancel()
        await started(asyncio.sleep(0))
        held.set()
        await h.settled()
        [item] = await soon(h.queue.claim("q"))
        assert (item.value, item.item.attempt) == (1, 1), "not counted as an attempt"


@run
async def test_an_outcome_that_comes_with_the_cancellation_is_not_kept_by_nobody() -> None:
    async with house() as h:
        await h.queue.add("q", 1)
        claiming = asyncio.ensure_future(h.queue.take("q"))
        apply = h.queue._apply

        def cancels(effects: Effects) -> None:  # the outcome is there in the next moment
            apply(effects)
            asyncio.get_running_loop().call_soon(claiming.cancel)
            h.queue._apply = apply  # type: ignore[method-assign]  # once

        h.queue._apply = cancels  # type: ignore[method-assign]  # as above
        with pytest.raises(asyncio.CancelledError):
            await claiming
        await h.settled()
        [item] = await soon(h.queue.claim("q"))
        assert item.item.attempt == 1


async def _wait(event: asyncio.Event) -> None:
    await event.wait()


@run
async def test_a_late_confirmation_is_refused_and_the_item_is_anothers() -> None:
    async with house() as h:
        await h.queue.add("q", 1)
        [late] = await h.queue.claim("q", lease_secs=10)
        h.clock.move(10)
        await h.settled()
        [other] = await h.queue.claim("q")
        with pytest.raises(StaleClaim, match=rf"the claim {late.id}\.1 is void"):
            await late.confirm()
        with pytest.raises(StaleClaim):
            await late.extend(10)
        await other.extend(500)
        h.clock.move(400)
        await other.confirm()
        assert (await h.queue.confirm([other.item.claim])).gone == [other.item.claim]


@run
async def test_poison_goes_to_dead_letters_and_is_told_of_in_a_stream() -> None:
    async with house() as h:
        await h.queue.add("q", "poison", key="k")
        for _ in range(2):
            [item] = await h.queue.claim("q")
            await item.release(delay_secs=0, error="boom")
        [letter] = await h.queue.dead("q")
        assert (letter.reason, letter.error, letter.payload) == ("attempts", "boom", b'"poison"')
        assert await h.queue.dead_item("q", letter.id) == letter
        assert (h.queue.figures().pending, h.queue.figures().dead) == (0, 1)
        with h.journal.reader() as reader:
            [event] = decode_lines(b"".join(reader.read(stream_id("holdfast/queues"))))
        assert (event.kind, event.correlation) == ("queue.dead", str(letter.id))
        assert msgspec.json.decode(event.data) == {
            "item": letter.id,
            "queue": "q",
            "reason": "attempts",
            "attempts": 2,
        }
        assert (await h.queue.retry("q", [letter.id])).ids == [letter.id]
        async with h.queue.claim("q") as [item]:
            assert item.item.attempt == 1
        with pytest.raises(NoDeadItem):
            await h.queue.retry("q", [letter.id])


@run
async def test_too_many_dead_letters_refuse_what_is_new() -> None:
    async with house(Limits(pending_max=4, dead_max=1, attempts_max=1)) as h:
        await h.queue.enqueue("q", [new(1), new(2)])
        for item in await h.queue.claim("q", count=2):
            await item.release()
        with pytest.raises(DeadLettersFull, match="2 dead letters"):
            await h.queue.add("q", 3)
        await h.queue.drop("q")
        await h.queue.add("q", 3)


@run
async def test_what_expires_goes_by_itself() -> None:
    async with house() as h:
        await h.queue.add("q", 1, ttl_secs=5)
        h.clock.move(5)
        await h.settled()
        assert [each.reason for each in await h.queue.dead("q")] == ["expired"]


@run
async def test_a_new_start_counts_what_is_there_and_ends_what_ended() -> None:
    async with house() as h:
        await h.queue.enqueue("q", [new(1), new(2), new(3, ttl_secs=10)])
        await h.queue.claim("q", lease_secs=30)
        memory = h.memory
    again = House(journal=memory)
    again.clock.now_s += 29
    await again.queue.start()
    figures = again.queue.figures()
    assert (figures.pending, figures.dead, figures.filled_pct) == (2, 1, 50)
    waiting = await started(again.queue.claim("q", count=2, wait_secs=SOON_S)._take())
    assert [each.value for each in await soon(waiting)] == [2]
    again.clock.move(1)
    assert [each.value for each in await soon(again.queue.claim("q", wait_secs=SOON_S))] == [1]
    await again.queue.close()
    again.journal.close()


@run
async def test_when_the_journal_fails_leases_end_as_soon_as_it_works_again() -> None:
    async with house() as h:
        await h.queue.add("q", 1)
        await h.queue.claim("q", lease_secs=10)
        waiting = await started(h.queue.claim("q", wait_secs=SOON_S)._take())
        await h.settled()
        h.writer.full = True
        h.clock.move(10)
        await h.settled()
        assert not waiting.done()
        with pytest.raises(JournalFull):
            await h.queue.add("q", 2)
        assert h.queue.figures().pending == 1, "room that was taken for nothing"
        h.writer.full = False
        h.clock.move(1)
        assert [each.value for each in await soon(waiting)] == [1]


@run
async def test_a_start_on_a_full_disk_shows_what_is_there_and_goes_on_when_there_is_room() -> None:
    async with house() as h:
        await h.queue.add("q", 1)
        await h.queue.claim("q", lease_secs=10)
    again = House(journal=h.memory)
    again.clock.move(20)
    again.writer.full = True
    await again.queue.start()
    assert (await again.queue.counts("q")).pending == 1
    again.writer.full = False
    again.clock.move(1)
    await again.settled()
    assert [each.value for each in await again.queue.claim("q")._take()] == [1]
    await again.queue.close()
    again.journal.close()


@run
async def test_closing_ends_all_waiting() -> None:
    async with house() as h:
        await h.queue.enqueue("q", [new(number) for number in range(4)])
        room = await started(h.queue.enqueue("q", [new()]))
        work = await started(h.queue.claim("other", wait_secs=SOON_S)._take())
        await h.settled()
        await soon(h.queue.close())
        with pytest.raises(QueueFull, match="stopping"):
            await soon(room)
        assert await soon(work) == []
        with pytest.raises(QueueClosed):
            await h.queue.add("q", 1)


@run
async def test_it_says_what_it_holds_and_lets_go_of_who_waits() -> None:
    async with house() as h:
        await h.queue.enqueue("q", [new(number) for number in range(4)])
        waiting = await started(h.queue.enqueue("q", [new("x" * 98)]))
        usage = h.queue.usage()
        assert (h.queue.name, usage.bytes, usage.items, usage.limit_items) == (
            "work queue",
            100,
            4,
            4,
        )
        assert h.queue.relieve(Level.HIGH, 1_000) == 0
        assert h.queue.relieve(Level.CRITICAL, 1_000) == 100
        with pytest.raises(QueueFull, match="short of memory"):
            await soon(waiting)
        assert h.queue.usage().bytes == 0


@run
async def test_what_is_not_as_it_must_be_is_refused_with_the_reason() -> None:
    async with house(Limits(pending_max=4, payload_bytes_max=10)) as h:
        for queue in ("", "a/b", "a b", "x" * 101):
            with pytest.raises(BadQueue):
                await h.queue.add(queue, 1)
        for item in (
            new("x" * 9),
            new(key="a\nb"),
            new(subject="x" * 201),
            new(priority=101),
            new(delay_secs=-1),
            new(ttl_secs=0),
            new(max_attempts=-1),
            new(after=list(range(101))),
        ):
            with pytest.raises(BadItem):
                await h.queue.enqueue("q", [item])
        for items in ([], [new()] * 5, [new()] * 1_001):
            with pytest.raises(BadItem):
                await h.queue.enqueue("q", items)
        with pytest.raises(BadItem):
            await h.queue.claim("q", lease_secs=0)
        assert h.queue.figures().pending == 0
