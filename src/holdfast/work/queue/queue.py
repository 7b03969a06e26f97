"""The queues of a process: room before it is taken, work when it is there, leases that end.

What is enqueued, who has it and until when stands in rows (`journal/work.py`); each method here is
one step over there, in a commit that others share, and has happened for good when it returns. Here
stands what need not survive: who waits for room, who waits for work, and one timer for whatever is
due next. Nothing asks the database whether something happened: each step tells what it changed.

Steps are counted when they are done, whether or not somebody still waits for them. A claim whose
claimer was cancelled meanwhile is given back at once.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, ClassVar, Final, NamedTuple, Protocol, TypeVar

import msgspec

from holdfast.errors import Exit, HoldfastError
from holdfast.governor.protocol import Level, Usage
from holdfast.journal.protocol import JournalWriter
from holdfast.journal.service import JournalService
from holdfast.journal.sqlite import JournalBroken, JournalError
from holdfast.journal.streams import Append, NewEvent
from holdfast.journal.work import (
    Claim,
    Claimed,
    DeadItem,
    Died,
    Effects,
    NewItem,
    QueueCounts,
    WorkItem,
)
from holdfast.journal.work import Enqueued as _Enqueued
from holdfast.journal.work import Moved as _Moved
from holdfast.journal.work import Settled as _Settled
from holdfast.work.queue.alarm import Alarm, Timer
from holdfast.work.queue.backoff import Backoff
from holdfast.work.queue.checking import (
    BadItem,
    check_count,
    check_delay,
    check_items,
    check_lease,
    check_name,
)
from holdfast.work.queue.cleaning import Door, cleaned, cleaned_text
from holdfast.work.queue.line import Line
from holdfast.work.queue.room import WAITING_BYTES_MAX, Room
from holdfast.work.queue.steps import Steps
from holdfast.work.queue.taken import Taken, Taking

STREAM: Final = "holdfast/queues"
RETRY_S: Final = 1.0  # after a journal that failed
ERROR_CHARS_MAX: Final = 1_000
DEAD_PAGE_MAX: Final = 1_000
WHOLE_BYTES: Final = 1 << 30
CLAIM_BYTES_MAX: Final = 8_000_000  # of payloads at a time, were they all as large as may be


class _Outcome(Protocol):
    @property
    def effects(self) -> Effects: ...


T = TypeVar("T", bound=_Outcome)


class _Advanced(NamedTuple):
    effects: Effects


class _Counted(NamedTuple):
    """All that there is, and what looking after it changed."""

    pending: int
    dead: int
    effects: Effects


class QueueClosed(HoldfastError):
    exit: ClassVar[Exit] = Exit.JOURNAL


class DeadLettersFull(HoldfastError):
    """Nothing new is taken in while too much is left lying."""

    exit: ClassVar[Exit] = Exit.REFUSED


class NoDeadItem(HoldfastError):
    exit: ClassVar[Exit] = Exit.NOT_FOUND


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    pending_max: int = 10_000
    dead_max: int = 10_000
    payload_bytes_max: int = 65_536
    lease_secs: float = 60.0
    attempts_max: int = 5
    backoff: Backoff = Backoff()


class Enqueued(msgspec.Struct, frozen=True):
    """The ids of the items, those of a known key the ones they had."""

    ids: list[int]
    repeated: int


class Settled(msgspec.Struct, frozen=True):
    """How many claims were settled; which items are done already; which claims are void."""

    done: int
    gone: list[Claim]
    stale: list[Claim]


class Moved(msgspec.Struct, frozen=True):
    """Dead letters that were; `held` wait for others that are dead letters themselves."""

    ids: list[int]
    held: list[int]


class Figures(msgspec.Struct, frozen=True):
    """How full it is."""

    pending: int
    dead: int
    filled_pct: float
    waiting_for_room: int
    waiting_for_work: int


class WorkQueue:
    """All queues of one journal. Lives on the event loop; `start` it there."""

    name: Final = "work queue"

    def __init__(
        self,
        journal: JournalService,
        limits: Limits = Limits(),  # noqa: B008  # frozen
        *,
        door: Door = None,
        clock_s: Callable[[], float] = time.time,
        timer: Timer | None = None,
        chance: Callable[[], float] = random.random,
        on_died: Callable[[Died], None] = lambda _died: None,
    ) -> None:
        self.limits = limits
        self._journal = journal
        self._door = door
        self._clock_s = clock_s
        self._chance = chance
        self._on_died = on_died
        self._room = Room(limits.pending_max)
        self._line = Line()
        self._dead = 0
        self._in_doubt = 0  # room of items of which nobody knows whether they are stored
        self._counting = False
        self._steps = Steps(journal)
        self._stored_bytes = 0  # payloads that are on their way to the disk
        self._alarm = Alarm(self._ring, clock_s, timer)
        self._helping: set[asyncio.Task[None]] = set()
        self._closed = False

    async def start(self) -> None:
        """What is there counts; leases that ended meanwhile have ended."""
        for each in await self._steps.read(lambda reader: reader.queues()):
            self._room.changed(each.pending)
            self._dead += each.dead
        await self._catch_up()  # on a full disk later: what is there can be looked at meanwhile

    def end_waits(self) -> None:
        """Nobody waits any longer, for work or for room: we are about to close."""
        self._closed = True
        self._line.wake_all()
        self._room.refuse_all("holdfast is stopping: try again when it runs")

    async def close(self) -> None:
        """What was begun is stored."""
        self.end_waits()
        self._alarm.set(None)
        await self.settled()

    async def settled(self) -> None:
        """Until nothing that was begun is under way."""
        while self._helping:
            await asyncio.wait(set(self._helping))
        await self._steps.ended()

    # Putting work in.

    async def add(self, queue: str, payload: object, **fields: Any) -> int:
        """One item, of any value that JSON can hold; its id."""
        raw = msgspec.Raw(msgspec.json.encode(payload))
        return (await self.enqueue(queue, [NewItem(payload=raw, **fields)])).ids[0]

    async def enqueue(
        self, queue: str, items: Sequence[NewItem], *, wait_secs: float | None = None
    ) -> Enqueued:
        """All of them or none; they are on disk when this returns.

        While there is no room it waits, for ever or for `wait_secs`, behind those who came before.
        """
        check_name(queue)
        check_items(items, self.limits.payload_bytes_max)
        if len(items) > self.limits.pending_max:
            raise BadItem(
                f"{len(items):,} items at once are more than resources.work_queue_max "
                f"({self.limits.pending_max:,}): enqueue fewer, or raise it"
            )
        self._refuse_when_closed()
        if self._dead >= self.limits.dead_max:
            raise DeadLettersFull(
                f"{self._dead:,} dead letters lie about, work.dead_letters_max is "
                f"{self.limits.dead_max:,}: look at them with `holdfast queue dead`, retry or drop"
            )
        items, size, found = cleaned(items, self._door)
        attempts = self.limits.attempts_max

        def work(writer: JournalWriter) -> _Enqueued:
            if found:
                writer.count_redactions(found)
            return writer.work.enqueue(queue, items, self._now_ms(), max_attempts=attempts)

        await self._room.take(len(items), size, wait_secs)
        self._stored_bytes += size

        def ended(error: BaseException | None) -> None:  # also when nobody waits: counted once
            self._stored_bytes -= size
            if isinstance(error, JournalBroken):
                self._in_doubt += len(items)
            else:
                self._room.give_back(len(items))

        done = await self._step(work, size=size, ended=ended)
        return Enqueued(done.ids, done.repeated)

    # Taking it out.

    def claim(
        self,
        queue: str,
        *,
        count: int = 1,
        lease_secs: float | None = None,
        wait_secs: float = 0,
    ) -> Taking:
        """`async with queue.claim("index", count=10) as items:` confirms them all at its end.

        When the block raises they are released. Awaited, it gives a list to settle one by one.
        """
        return Taking(self, queue, count, lease_secs, wait_secs)

    async def work(
        self, queue: str, *, batch: int = 1, lease_secs: float | None = None
    ) -> AsyncGenerator[Taken, None]:
        """Items for ever: `async for item in queue.work("index"): async with item: …`.

        An item is confirmed when the next is asked for, unless it was settled before. Leaving the
        loop gives the item back, with a delay as after any failure.
        """
        while not self._closed:
            taken = await self.claim(queue, count=batch, lease_secs=lease_secs, wait_secs=60)
            try:
                while taken:
                    item = taken[0]
                    yield item
                    del taken[0]
                    if not item.settled:
                        await item.confirm()
            finally:
                if taken and not taken[0].settled:
                    await taken[0].release(error="whoever worked on it went away")
                rest = [each.item.claim for each in taken[1:]]
                if rest:
                    await self.release(rest, delay_secs=0, failed=False)

    async def take(
        self,
        queue: str,
        *,
        count: int = 1,
        lease_secs: float | None = None,
        wait_secs: float = 0,
    ) -> list[WorkItem]:
        """The next items, at once or as soon as there are any; none after `wait_secs`."""
        check_name(queue)
        check_count(count)
        lease_secs = self.limits.lease_secs if lease_secs is None else lease_secs
        check_lease(lease_secs)
        count = min(count, max(1, CLAIM_BYTES_MAX // self.limits.payload_bytes_max))
        lease_ms = round(lease_secs * 1_000)
        self._refuse_when_closed()
        if wait_secs <= 0:
            return await self._look(queue, count, lease_ms)
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_secs):
                return await self._wait_for(queue, count, lease_ms)
        return []

    async def _wait_for(self, queue: str, count: int, lease_ms: int) -> list[WorkItem]:
        claimer = self._line.join(queue, count)
        try:
            while not self._closed:
                items = await self._look(queue, count, lease_ms)
                if items:
                    return items
                await claimer.woken.wait()
                self._line.stand_again(claimer)
        finally:
            self._line.leave(claimer)
        return []

    async def _look(self, queue: str, count: int, lease_ms: int) -> list[WorkItem]:
        def work(writer: JournalWriter) -> Claimed:
            claimed = writer.work.claim(queue, count, lease_ms, self._now_ms())
            self._note_died(writer, claimed.effects)
            return claimed

        return (await self._step(work, unwanted=self._unwanted)).items

    # Settling it. With the name of a queue, claims of items of another are void: somebody mixed
    # them up.

    async def confirm(self, claims: Sequence[Claim], *, queue: str = "") -> Settled:
        """It is done: the items leave. What was confirmed before is no error."""

        def work(writer: JournalWriter, claims: Sequence[Claim]) -> _Settled:
            return writer.work.confirm(claims, self._now_ms())

        return await self._settle(queue, claims, work)

    async def extend(
        self, claims: Sequence[Claim], lease_secs: float, *, queue: str = ""
    ) -> Settled:
        """More time, from now on."""
        check_lease(lease_secs)

        def work(writer: JournalWriter, claims: Sequence[Claim]) -> _Settled:
            return writer.work.extend(claims, round(lease_secs * 1_000), self._now_ms())

        return await self._settle(queue, claims, work)

    async def release(
        self,
        claims: Sequence[Claim],
        *,
        delay_secs: float | None = None,
        failed: bool = True,
        error: str = "",
        queue: str = "",
    ) -> Settled:
        """Give items back, for others or for later."""
        if delay_secs is not None:
            check_delay(delay_secs)
        error, found = cleaned_text(error[:ERROR_CHARS_MAX], self._door)

        def delay_ms(attempt: int) -> int:
            if delay_secs is not None:
                return round(delay_secs * 1_000)
            return self.limits.backoff.delay_ms(attempt, self._chance) if failed else 0

        def work(writer: JournalWriter, claims: Sequence[Claim]) -> _Settled:
            if found:
                writer.count_redactions(found)
            settled = writer.work.release(
                claims, self._now_ms(), delay_ms=delay_ms, failed=failed, error=error
            )
            self._note_died(writer, settled.effects)
            return settled

        return await self._settle(queue, claims, work)

    async def _settle(
        self,
        queue: str,
        claims: Sequence[Claim],
        work: Callable[[JournalWriter, Sequence[Claim]], _Settled],
    ) -> Settled:
        check_count(len(claims))
        void: set[Claim] = set()

        def step(writer: JournalWriter) -> _Settled:
            if queue:
                void.update(writer.work.elsewhere(queue, claims))
            return work(writer, [each for each in claims if each not in void] if void else claims)

        settled = await self._step(step)
        return Settled(settled.done, settled.gone, [*settled.stale, *sorted(void)])

    # Dead letters, and what there is.

    async def retry(self, queue: str, ids: Sequence[int] | None = None) -> Moved:
        """Dead letters are pending again, all of the queue when none are named."""
        moved = await self._step(lambda w: w.work.retry(queue, ids, self._now_ms()))
        return self._moved(queue, ids, moved)

    async def drop(self, queue: str, ids: Sequence[int] | None = None) -> Moved:
        """Dead letters leave for good."""
        return self._moved(queue, ids, await self._step(lambda w: w.work.drop(queue, ids)))

    async def queues(self) -> list[QueueCounts]:
        return await self._steps.read(lambda reader: reader.queues())

    async def counts(self, queue: str) -> QueueCounts:
        check_name(queue)
        found = {each.queue: each for each in await self.queues()}
        return found.get(queue) or QueueCounts(queue=queue)

    async def dead(self, queue: str, *, after: int = 0, limit: int = 100) -> list[DeadItem]:
        """Dead letters by id, those behind `after`, with how their payloads begin."""
        check_name(queue)
        limit = min(limit, DEAD_PAGE_MAX)
        return await self._steps.read(
            lambda reader: reader.dead_work(queue, after=after, limit=limit)
        )

    async def dead_item(self, queue: str, number: int) -> DeadItem:
        """One of them, with all of its payload."""
        check_name(queue)
        found: list[DeadItem] = await self._steps.read(
            lambda reader: reader.dead_work(
                queue, after=number - 1, limit=1, payload_bytes=WHOLE_BYTES
            )
        )
        if not found or found[0].id != number:
            raise _no_dead(queue, [number])
        return found[0]

    def figures(self) -> Figures:
        room = self._room
        return Figures(
            pending=room.pending,
            dead=self._dead,
            filled_pct=100 * room.pending / room.limit,
            waiting_for_room=room.waiting,
            waiting_for_work=self._line.waiting,
        )

    def usage(self) -> Usage:
        """Payloads are on disk; here are those that wait for room or are on their way."""
        return Usage(
            bytes=self._room.waiting_bytes + self._stored_bytes,
            items=self._room.pending,
            limit_bytes=2 * WAITING_BYTES_MAX,
            limit_items=self._room.limit,
        )

    def relieve(self, level: Level, target_bytes: int) -> int:
        """Whoever waits for room is told to come again."""
        if level < Level.CRITICAL or target_bytes <= 0:
            return 0
        return self._room.refuse_all("holdfast is short of memory: try again in some seconds")

    # Steps.

    async def _step(
        self,
        work: Callable[[JournalWriter], T],
        *,
        size: int = 0,
        unwanted: Callable[[T], None] = lambda _outcome: None,
        ended: Callable[[BaseException | None], None] = lambda _error: None,
    ) -> T:
        def over(error: BaseException | None) -> None:
            ended(error)
            if isinstance(error, JournalBroken):
                self._doubt()

        return await self._steps.run(
            work,
            applied=lambda outcome: self._apply(outcome.effects),
            size=size,
            unwanted=unwanted,
            ended=over,
        )

    def _doubt(self) -> None:
        """A commit failed, and nobody knows what of it is kept: all is counted again."""
        if not self._counting:
            self._counting = True
            self._help(self._count())

    async def _count(self) -> None:
        def work(writer: JournalWriter) -> _Counted:
            effects = writer.work.advance(self._now_ms())
            self._note_died(writer, effects)
            return _Counted(*writer.work.held(), effects)

        while not self._closed:
            with suppress(JournalError):
                await self._steps.run(work, applied=self._take_counted)
                return
            await asyncio.sleep(RETRY_S)

    def _take_counted(self, counted: _Counted) -> None:
        """In the order of steps: what was in doubt is counted, what comes behind it is not yet."""
        self._counting = False
        effects = counted.effects
        self._dead = counted.dead - effects.dead
        self._room.changed(counted.pending - effects.pending - self._room.pending)
        self._apply(effects)
        in_doubt, self._in_doubt = self._in_doubt, 0
        self._room.give_back(in_doubt)
        self._line.wake_all()  # what became ready meanwhile was told to nobody

    def _apply(self, effects: Effects) -> None:
        self._dead += effects.dead
        if effects.pending:
            self._room.changed(effects.pending)
        for queue, count in effects.ready.items():
            self._line.wake(queue, count)
        for died in effects.died:
            self._on_died(died)
        if not self._closed:
            self._alarm.set(effects.next_ms)

    def _advance(self, writer: JournalWriter) -> _Advanced:
        advanced = _Advanced(writer.work.advance(self._now_ms()))
        self._note_died(writer, advanced.effects)
        return advanced

    def _note_died(self, writer: JournalWriter, effects: Effects) -> None:
        """On the writer's thread, in the same commit."""
        if effects.died:
            events = [_told(died) for died in effects.died]
            writer.append([Append(STREAM, events)], self._clock_s())

    def _unwanted(self, claimed: Claimed) -> None:
        """Items for somebody who went away."""
        claims = [item.claim for item in claimed.items]
        if claims:
            self._help(self.release(claims, delay_secs=0, failed=False))

    def _ring(self) -> None:
        self._help(self._catch_up())

    async def _catch_up(self) -> None:
        """When the journal fails, it is tried again soon: leases end all the same."""
        try:
            await self._step(self._advance)
        except JournalError:  # it tells of that itself
            if not self._closed:
                self._alarm.set(self._now_ms() + round(RETRY_S * 1_000))

    def _help(self, work: Coroutine[Any, Any, object]) -> None:
        async def helped() -> None:
            with suppress(HoldfastError):  # what nobody waits for comes again by itself
                await work

        task = asyncio.get_running_loop().create_task(helped())
        self._helping.add(task)
        task.add_done_callback(self._helping.discard)

    # Small things.

    def _moved(self, queue: str, ids: Sequence[int] | None, moved: _Moved) -> Moved:
        missing = sorted(set(ids or ()) - {*moved.ids, *moved.held})
        if missing and len(missing) == len(set(ids or ())):
            raise _no_dead(queue, missing)
        return Moved(moved.ids, moved.held)

    def _refuse_when_closed(self) -> None:
        if self._closed:
            raise QueueClosed("holdfast is stopping: try again when it runs")

    def _now_ms(self) -> int:
        return int(self._clock_s() * 1_000)


def _told(died: Died) -> NewEvent:
    about = {"item": died.id, "queue": died.queue, "reason": died.reason}
    text = f"item {died.id} of queue {died.queue} is a dead letter ({died.reason})"
    return NewEvent(
        kind="queue.dead",
        text=f"{text}: {died.error}" if died.error else text,
        data=msgspec.Raw(msgspec.json.encode({**about, "attempts": died.attempts})),
        correlation=str(died.id),
    )


def _no_dead(queue: str, ids: Sequence[int]) -> NoDeadItem:
    named = ", ".join(map(str, ids))
    return NoDeadItem(
        f"queue {queue!r} has no dead letter {named}: `holdfast queue dead {queue}` lists them"
    )
