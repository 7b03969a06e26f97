"""Tasks: whoever works, falls silent or dies, each comes to exactly one end, and by the rules.

Clients create chains of tasks under keys; workers start them, give signs of life, complete them,
fail, or are never heard of again; somebody cancels. The observer finds what is stuck. The daemon
crashes, is restarted, and its disk fills up and fails. What counts is the log, which is gone
through by rules that are written down here once more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from holdfast.events import Event, decode, stream_id
from holdfast.simulation import Host, Simulation
from holdfast.simulation.journal import Disk
from holdfast.work.entities import WrongState
from holdfast.work.registry import TaskRegistry, TaskSettings
from holdfast.work.task_commands import NewTask, Usual
from holdfast.work.tasks import STREAM, Task
from tests.simulation.asking import again
from tests.simulation.keeping import Program, hosted, same_after_a_crash

SETTINGS: Final = TaskSettings(
    usual=Usual(timeout_s=60, heartbeat_s=5, retries=1),
    retain_s=30 * 86_400,
    observe_min_s=0.5,
    observe_max_s=10,
)
CLIENTS: Final = 2
CHAIN: Final = 4  # tasks of a client, many of them waiting for the one before
WORKERS: Final = 3
SILENT_SHARE: Final = 0.2  # of what is started, nobody hears again
CANCEL_SHARE: Final = 0.1
LOOKS_MAX: Final = 1_000  # two seconds apart, until all must have ended
ENDS: Final = {f"task.{end}" for end in ("completed", "failed", "timeout", "cancelled")}


Daemon = Host[Program[TaskRegistry]]


class _Change(msgspec.Struct):
    at_ms: int
    after: tuple[str, ...] = ()
    timeout_s: int = 0
    heartbeat_s: int = 0
    retries: int = 0


class _Known:
    """One task, as the log tells of it so far."""

    def __init__(self, change: _Change) -> None:
        self.wanted = change
        self.state = "pending"  # or running, stale, or how it ended
        self.by = ""
        self.began_ms = self.heard_ms = self.stale_ms = 0
        self.failures = 0
        self.ended_by = ""


class Log:
    """What is stored, gone through event by event; breaks of the rules are errors."""

    def __init__(self, disk: Disk) -> None:
        self.tasks: dict[str, _Known] = {}
        self.begun: set[tuple[str, str]] = set()  # task, by whom: names are used once
        self._keys: set[str] = set()
        for line in disk.journal.state.lines.get(stream_id(STREAM), []):
            event = decode(line)
            self._follow(event, msgspec.json.decode(event.data, type=_Change))

    def _follow(self, event: Event, change: _Change) -> None:
        task, what = event.correlation, event.kind.partition(".")[2]
        if what == "created":
            assert event.key not in self._keys, f"{event.key} was created twice"
            self._keys.add(event.key)
            self.tasks[task] = _Known(change)
            return
        known = self.tasks[task]
        assert known.state in ("pending", "running", "stale"), f"{task} was {known.state}: {what}"
        if event.kind in ENDS:
            self._end(task, known, event, change.at_ms)
            known.state, known.ended_by = what, event.actor or ""
        elif what == "started":
            assert known.state != "running", f"{task} runs for {known.by}, and was started again"
            undone = [each for each in known.wanted.after if self.tasks[each].state != "completed"]
            assert not undone, f"{task} was started before {undone}"
            known.state, known.by = "running", event.actor or ""
            known.began_ms = known.heard_ms = change.at_ms
            self.begun.add((task, known.by))
        elif what in ("heartbeat", "progress"):
            assert known.state in ("running", "stale"), f"{task} was {known.state}: {what}"
            known.state, known.heard_ms = "running", change.at_ms
        elif what == "stale":
            assert known.state == "running", f"{task} was {known.state}: {what}"
            self._silent(task, known, known.heard_ms, change.at_ms)
            known.state, known.stale_ms = "stale", change.at_ms
        elif what == "retried":
            self._tried(task, known, event, change.at_ms)
            assert known.failures < known.wanted.retries, f"{task} was tried too often"
            known.failures += 1
            known.state = "pending"
        else:
            assert what == "unblocked", f"{task}: {event.kind}"

    def _end(self, task: str, known: _Known, event: Event, at_ms: int) -> None:
        needs = [each for each in known.wanted.after if self.tasks[each].state in _VAIN]
        if event.kind == "task.completed":
            undone = [each for each in known.wanted.after if self.tasks[each].state != "completed"]
            assert not undone, f"{task} was completed before {undone}"
        elif event.kind in ("task.failed", "task.timeout") and not needs:
            self._tried(task, known, event, at_ms)
            assert known.failures == known.wanted.retries, f"{task} was given up too early"

    def _tried(self, task: str, known: _Known, event: Event, at_ms: int) -> None:
        """In vain: somebody said so, or time told."""
        if event.actor:
            return
        took_ms = at_ms - known.began_ms
        if known.wanted.timeout_s and took_ms >= known.wanted.timeout_s * 1_000:
            return
        assert known.state == "stale", f"{task} was {known.state} when it was given up"
        self._silent(task, known, known.stale_ms, at_ms)

    def _silent(self, task: str, known: _Known, since_ms: int, at_ms: int) -> None:
        span_ms = known.wanted.heartbeat_s * 1_000
        assert 0 < span_ms <= at_ms - since_ms, f"{task} was heard of {at_ms - since_ms} ms ago"


_VAIN: Final = {"failed", "timeout", "cancelled"}


async def scenario(world: Simulation) -> None:
    disk = Disk(world)
    host = hosted(world, disk, lambda room: TaskRegistry(room, SETTINGS))
    told = Told()
    workers = [
        world.spawn(_work(world, host, told, f"worker {number}"), name=f"worker {number}")
        for number in range(WORKERS)
    ]
    await asyncio.gather(
        *(_create(world, host, told, f"client {number}") for number in range(CLIENTS))
    )
    looks = 0
    while await _listed(world, host, *_OPEN):
        looks += 1
        assert looks < LOOKS_MAX, "there are tasks that nobody ends"
        await world.pause(2)
    for worker in workers:
        worker.cancel()
    told.check(Log(disk))
    log = Log(disk).tasks
    after = await same_after_a_crash(world, host, lambda tasks: tasks.listed())
    other = [each.id for each in after if each.state != log[each.id].state]
    assert not other, f"the log tells otherwise of {other}"


_OPEN: Final = ("pending", "running", "blocked", "stale")


class Told:
    """What somebody was told, which must be so."""

    def __init__(self) -> None:
        self.created: set[str] = set()
        self.begun: set[tuple[str, str]] = set()
        self.completed: dict[str, str] = {}  # by whom

    def check(self, log: Log) -> None:
        missing = self.created - log.tasks.keys()
        assert not missing, f"acknowledged and lost: {sorted(missing)}"
        assert self.begun <= log.begun, f"told, and not so: {sorted(self.begun - log.begun)}"
        for task, by in self.completed.items():
            found = log.tasks[task]
            assert (found.state, found.ended_by) == ("completed", by), (
                f"{by} was told that it completed {task}; it is {found.state} by {found.ended_by}"
            )
        unended = [task for task, known in log.tasks.items() if known.state not in _ENDED]
        assert not unended, f"without an end: {unended}"


_ENDED: Final = _VAIN | {"completed"}


async def _create(world: Simulation, host: Daemon, told: Told, name: str) -> None:
    last = ""
    for number in range(CHAIN):
        wanted = NewTask(
            title="Do it",
            key=f"{name}/{number}",
            by=name,
            after=(last,) if last and world.random.random() < 0.6 else (),
            timeout_s=world.random.choice((0, 4, 30)),
            heartbeat_s=world.random.choice((1, 3)),
            retries=world.random.choice((0, 1, 2)),
        )
        try:
            created = await again(world, host, lambda program: program.keeper.create(wanted))  # noqa: B023  # asked at once
        except WrongState:  # what it should wait for has failed meanwhile
            last = ""
            continue
        told.created.add(created.id)
        last = created.id
        if world.random.random() < CANCEL_SHARE:
            await world.pause(1)
            await _try(world, host, lambda tasks: tasks.cancel(last, by=name))  # noqa: B023  # asked at once
        await world.pause(world.random.choice((0.0, 0.5, 3.0)))


async def _work(world: Simulation, host: Daemon, told: Told, worker: str) -> None:
    number = 0
    while True:
        await world.pause(world.random.choice((0.2, 1.0)))
        found = await _listed(world, host, "pending", "stale")
        if not found:
            continue
        number += 1
        task, name = world.random.choice(found).id, f"{worker}/{number}"
        if not await _begun(world, host, task, name):
            continue
        told.begun.add((task, name))
        if world.random.random() < SILENT_SHARE:
            continue
        for _ in range(world.random.randrange(4)):
            await world.pause(world.random.choice((0.1, 0.9, 2.0)))
            await _try(world, host, lambda tasks: tasks.heartbeat(task, by=name))  # noqa: B023  # asked at once
        if world.random.random() < 0.3:
            await _try(world, host, lambda tasks: tasks.fail(task, by=name))  # noqa: B023  # asked at once
        else:
            done = await _try(world, host, lambda tasks: tasks.complete(task, by=name))  # noqa: B023  # asked at once
            if done is not None:
                assert done.state == "completed", f"{name} completed {task}, which is {done.state}"
                told.completed[task] = name


async def _begun(world: Simulation, host: Daemon, task: str, name: str) -> bool:
    """An answer that was lost may have been a yes: then the task says who is at it."""
    begun = await _try(world, host, lambda tasks: tasks.begin(task, by=name))
    if begun is None:
        [begun] = [each for each in await _listed(world, host) if each.id == task]
    return begun.state == "running" and begun.worker == name


async def _try(
    world: Simulation, host: Daemon, do: Callable[[TaskRegistry], Awaitable[Task]]
) -> Task | None:
    """What it answers; None when it comes too late, or did it before its answer was lost."""
    try:
        return await again(world, host, lambda program: do(program.keeper))
    except WrongState:
        return None


async def _listed(world: Simulation, host: Daemon, *states: str) -> list[Task]:
    async def listed(program: Program[TaskRegistry]) -> list[Task]:
        return program.keeper.listed(states=states)

    return await again(world, host, listed)
