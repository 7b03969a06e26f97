"""Queues: nothing acknowledged is lost, nothing confirmed comes again, and all of it ends.

Producers meet a queue that is full and wait for room; workers take, fail, forget what they took, or
take longer than their lease; some items are poison and some wait for others; somebody brings dead
letters back. The daemon crashes and its disk fills up and fails. What counts is the story of each
item, as those who were told parts of it know it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import msgspec

from holdfast.journal.sqlite import JournalError
from holdfast.journal.work import Claim, DeadDependency, NewItem, WorkItem
from holdfast.simulation import ConnectionLost, Host, Process, Simulation
from holdfast.simulation.journal import Disk, SimulatedJournal
from holdfast.work.queue import (
    Backoff,
    DeadLettersFull,
    Enqueued,
    Limits,
    QueueClosed,
    QueueFull,
    Settled,
    WorkQueue,
)
from tests.simulation.asking import again, later

QUEUE: Final = "index"
PENDING_MAX: Final = 4
ATTEMPTS_MAX: Final = 3
LEASE_S: Final = 5.0
LIMITS: Final = Limits(
    pending_max=PENDING_MAX,
    lease_secs=LEASE_S,
    attempts_max=ATTEMPTS_MAX,
    backoff=Backoff(base_ms=200, max_ms=2_000),
)
PRODUCERS: Final = 3
WORKERS: Final = 3
ITEMS_EACH: Final = 6  # of a producer
PACE_S: Final = 0.05
IDLE_S: Final = 1.0
POISON_SHARE: Final = 0.1
AFTER_SHARE: Final = 0.2
FORGET_SHARE, FAIL_SHARE, EXTEND_SHARE = 0.1, 0.25, 0.4  # of items, each with those before it
RESTART_SHARE: Final = 0.3
RETRY_SHARE: Final = 0.5  # of runs, at whose end dead letters are brought back

T = TypeVar("T")

PUT_OFF: Final = (ConnectionLost, JournalError, QueueFull, QueueClosed, DeadLettersFull)


class Payload(msgspec.Struct, frozen=True):
    name: str
    poison: bool
    after: str = ""


class Program:
    """As much of the daemon as the queue takes."""

    def __init__(self, world: Simulation, process: Process, disk: Disk) -> None:
        self.journal = SimulatedJournal(world, process, disk)
        self.queue = WorkQueue(
            self.journal,
            LIMITS,
            clock_s=world.wall_s,
            chance=world.draw(f"backoff of {process.name}").random,
        )

    async def close(self) -> None:
        await self.queue.close()
        self.journal.close()


class Told:
    """What people were told of each item, and what cannot follow it."""

    def __init__(self, world: Simulation) -> None:
        self._world = world
        self.ids: dict[str, int] = {}
        self._numbers: dict[str, int] = {}  # also of what nobody was told of yet
        self._claims: dict[int, WorkItem] = {}  # the newest that was heard of
        self._lease_ends_s: dict[Claim, float] = {}  # the earliest moment at which it may end
        self._given_back: set[Claim] = set()
        self._confirming: set[int] = set()
        self.confirmed: dict[int, Claim] = {}
        self.retried = 0

    def enqueued(self, payload: Payload, enqueued: Enqueued) -> None:
        (number,) = enqueued.ids
        self._is(payload.name, number)
        self.ids[payload.name] = number

    def _is(self, name: str, number: int) -> None:
        known = self._numbers.setdefault(name, number)
        assert known == number, f"{name} is item {known} and is item {number}"

    def taken(self, item: WorkItem) -> Payload:
        payload = msgspec.json.decode(item.payload, type=Payload)
        self._is(payload.name, item.id)
        done = self.confirmed.get(item.id)
        assert done is None or item.claim.number <= done.number, (
            f"{payload.name} was confirmed with {done} and given out again with {item.claim}"
        )
        assert item.attempt <= item.max_attempts, f"{payload.name}: attempt {item.attempt}"
        before = self._claims.get(item.id)
        if before is not None and before.claim.number < item.claim.number:
            ends_s = self._lease_ends_s[before.claim]
            free = before.claim in self._given_back or ends_s <= self._world.wall_s()
            assert free, f"{payload.name} was given to two: {before.claim} and {item.claim}"
        if before is None or before.claim.number < item.claim.number:
            self._claims[item.id] = item
        self._lease_ends_s[item.claim] = item.lease_ends_ms / 1_000
        if payload.after:
            known = self._numbers.get(payload.after) in self._confirming
            assert known, f"{payload.name} came before {payload.after} was confirmed"
        return payload

    def giving_back(self, item: WorkItem) -> None:
        self._given_back.add(item.claim)

    def extended(self, item: WorkItem, asked_s: float, told: Settled) -> None:
        if told.done:  # else it may end when it would have
            ends_s = max(self._lease_ends_s[item.claim], asked_s + LEASE_S)
            self._lease_ends_s[item.claim] = ends_s

    def confirming(self, item: WorkItem) -> None:
        self._confirming.add(item.id)
        self._given_back.add(item.claim)

    def confirm(self, item: WorkItem, told: Settled) -> None:
        if told.done:
            self.confirmed[item.id] = item.claim
            newest = self._claims[item.id].claim
            assert newest.number <= item.claim.number, (
                f"{item.claim} was confirmed, though {newest} had been given out"
            )

    def check_end(self, dead: set[int]) -> None:
        """Each is done or a dead letter, none is both or lost."""
        for name, number in self.ids.items():
            if number in dead:
                assert number not in self.confirmed, f"{name} was confirmed and is a dead letter"
            else:
                assert number in self._confirming, f"{name} is lost"


async def scenario(world: Simulation) -> None:
    disk = Disk(world)
    told = Told(world)

    async def boot(process: Process) -> Program:
        program = Program(world, process, disk)
        await program.queue.start()
        return program

    host = Host(world, "daemon", boot)

    def bounded() -> None:
        pending = len(disk.journal.state.work.items)
        assert pending <= PENDING_MAX + told.retried, f"{pending} items are pending"

    world.always(bounded)
    producers = [
        world.spawn(_produce(world, host, told, f"p{number}"), name=f"producer {number}")
        for number in range(PRODUCERS)
    ]
    workers = [
        world.spawn(_work(world, host, told), name=f"worker {number}") for number in range(WORKERS)
    ]
    await asyncio.gather(*producers)
    await _drained(world, host)
    if world.random.random() < RESTART_SHARE:
        await host.restart(lambda program: program.close())
    if world.random.random() < RETRY_SHARE:
        told.retried = len(disk.journal.state.work.dead)
        await _ask(world, host, lambda program: program.queue.retry(QUEUE))
        await _drained(world, host)
    for worker in workers:
        worker.cancel()
    dead = await _ask(world, host, lambda program: program.queue.dead(QUEUE, limit=1_000))
    told.check_end({each.id for each in dead})
    await _has_room(world, host)
    await host.stop(lambda program: program.close())


async def _ask(world: Simulation, host: Host[Program], ask: Callable[[Program], Awaitable[T]]) -> T:
    return await again(world, host, ask, put_off=PUT_OFF)


async def _produce(world: Simulation, host: Host[Program], told: Told, name: str) -> None:
    random, before = world.random, ""
    for number in range(ITEMS_EACH):
        after = before if random.random() < AFTER_SHARE else ""
        payload = Payload(f"{name}/{number}", random.random() < POISON_SHARE, after)
        await _enqueue(world, host, told, payload)
        before = payload.name
        await world.pause(random.choice((0, 0.01, 0.5)))


async def _enqueue(world: Simulation, host: Host[Program], told: Told, payload: Payload) -> None:
    """It waits for room, for long, a while or not at all, and comes again under the same key."""
    random, tries = world.random, 0
    while True:
        item = NewItem(
            payload=msgspec.Raw(msgspec.json.encode(payload)),
            key=payload.name,
            priority=random.randint(0, 1),
            subject=payload.name.partition("/")[0],
            after=[payload.after] if payload.after else [],
            delay_secs=random.choice((0, 0, 0, 1)),
        )
        wait_secs = random.choice((None, 0, 5))
        try:
            async with asyncio.timeout(random.choice((None, None, 1))):
                enqueued = await host.request(
                    lambda program: program.queue.enqueue(QUEUE, [item], wait_secs=wait_secs),  # noqa: B023  # asked at once
                    cancels=True,
                )
        except DeadDependency:
            payload = msgspec.structs.replace(payload, after="")
        except (TimeoutError, *PUT_OFF):
            tries += 1
            await later(world, host, tries)
        else:
            told.enqueued(payload, enqueued)
            return


async def _work(world: Simulation, host: Host[Program], told: Told) -> None:
    """Half of the runs have workers that wait until they are woken: looking again is no help."""
    random = world.random
    patience = (0, 2, 20) if world.draw("patience").random() < 0.5 else (100_000,)
    while True:
        count, wait_secs = random.randint(1, 3), random.choice(patience)
        items = await _ask(
            world,
            host,
            lambda program: program.queue.take(QUEUE, count=count, wait_secs=wait_secs),  # noqa: B023  # asked at once
        )
        if not items:
            await world.pause(IDLE_S)
        for item in items:
            await _work_on(world, host, told, item, told.taken(item))
        await world.pause(PACE_S)


async def _work_on(
    world: Simulation, host: Host[Program], told: Told, item: WorkItem, payload: Payload
) -> None:
    chance = world.random.random()
    if chance < FORGET_SHARE:
        return  # whoever had it is gone
    await world.pause(world.random.choice((0.01, 0.01, LEASE_S)))
    if payload.poison or chance < FAIL_SHARE:
        told.giving_back(item)
        await _ask(
            world, host, lambda program: program.queue.release([item.claim], error="it fails")
        )
        return
    if chance < EXTEND_SHARE:
        asked_s = world.wall_s()
        extended = await _ask(
            world, host, lambda program: program.queue.extend([item.claim], LEASE_S)
        )
        told.extended(item, asked_s, extended)
    told.confirming(item)
    settled = await _ask(world, host, lambda program: program.queue.confirm([item.claim]))
    told.confirm(item, settled)


async def _drained(world: Simulation, host: Host[Program]) -> None:
    while True:
        queues = await _ask(world, host, lambda program: program.queue.queues())
        if not any(each.pending for each in queues):
            return
        await world.pause(1)


async def _has_room(world: Simulation, host: Host[Program]) -> None:
    """A queue that is empty has room for all that it may hold."""
    items = [NewItem(key=f"last/{number}") for number in range(PENDING_MAX)]
    while True:
        try:
            await host.request(lambda program: program.queue.enqueue(QUEUE, items, wait_secs=0))
        except QueueFull:
            queues = await _ask(world, host, lambda program: program.queue.queues())
            stored_before = any(each.pending for each in queues)
            assert stored_before, "there is no room in an empty queue"
            return
        except PUT_OFF:
            await later(world, host)
        else:
            return
