"""Items through a work queue: put in by many at once, and taken out by many, a hundred at a time.

Rounds of the queue and of the ceiling take turns, so that whatever else the machine does falls on
both. What is enqueued is on disk when it counts, and so is what was claimed and confirmed.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
import uvloop

from bench.kit.figures import Bar, Ceiling, Outcome, p50, row
from bench.kit.homes import fresh_home
from bench.kit.setting import Setting
from holdfast.errors import HoldfastError
from holdfast.settings import load
from holdfast.wiring import make_door, make_setup, open_journal
from holdfast.work.queue import Limits, NewItem, WorkQueue

TITLE: Final = "Items through a work queue, durably, a hundred at a time"

BATCH: Final = 100
CALLERS: Final = 32  # at the same time
BATCHES: Final = 10  # of each, in a round
ROUNDS: Final = 10
PENDING_MAX: Final = 100_000
SUBJECTS: Final = 20


class _Times:
    """Microseconds an item, of each round."""

    def __init__(self) -> None:
        self.enqueue: list[float] = []
        self.enqueue_cpu: list[float] = []
        self.keyed: list[float] = []
        self.settle: list[float] = []
        self.settle_cpu: list[float] = []
        self.synced: list[float] = []


def run(setting: Setting) -> Outcome:
    rounds, batches = setting.count(ROUNDS, least=2), setting.count(BATCHES, least=1)
    with fresh_home(setting, setting.work) as home:
        home.paths.ensure_dirs()
        settings = load(None, home.environ).settings
        journal = open_journal(settings, home.paths, _fail)
        door = make_door(make_setup(settings, home.paths))
        queue = WorkQueue(journal, Limits(pending_max=PENDING_MAX), door=door)
        try:
            times = uvloop.run(_measure(queue, home.path / "raw", rounds, batches))
        finally:
            journal.close()
    synced = Ceiling(p50(times.synced), "the same bytes to a file, one fdatasync for all callers")
    items = CALLERS * batches * BATCH
    return Outcome(
        rows=[
            row("an item, enqueued", p50(times.enqueue), "µs", ceiling=synced, bar=Bar(10.0)),
            row("of that, CPU of the process", p50(times.enqueue_cpu), "µs"),
            row("an item with a key, enqueued", p50(times.keyed), "µs", ceiling=synced),
            row(
                "an item, claimed and confirmed",
                p50(times.settle),
                "µs",
                ceiling=Ceiling(2 * synced.value, "the same twice"),
                bar=Bar(20.0),
            ),
            row("of that, CPU of the process", p50(times.settle_cpu), "µs"),
        ],
        corpus=(
            f"{rounds} rounds of {items:,} items with payloads of {len(_payload(0))} B and "
            f"{SUBJECTS} subjects, {CALLERS} callers with {BATCH} items at a time"
        ),
        notes=["10 µs are 100,000 items a second, 20 µs are 50,000."],
    )


async def _measure(queue: WorkQueue, raw: Path, rounds: int, batches: int) -> _Times:
    times = _Times()
    await queue.start()
    items = CALLERS * batches * BATCH
    payload = _payload(0)
    for number in range(rounds):
        plain = [_items(caller, "") for caller in range(CALLERS)]
        wall, cpu = await _timed(partial(_enqueue, queue, plain, batches))
        times.enqueue.append(wall / items)
        times.enqueue_cpu.append(cpu / items)
        times.synced.append(_synced(raw, batches * BATCH * payload, batches) / items)
        wall, cpu = await _timed(lambda _c: _settle(queue))
        times.settle.append(wall / items)
        times.settle_cpu.append(cpu / items)
        keyed = [_items(caller, f"{number}-{caller}") for caller in range(CALLERS)]
        wall, _cpu = await _timed(partial(_enqueue, queue, keyed, 1))
        times.keyed.append(wall / (CALLERS * BATCH))
        await _timed(lambda _c: _settle(queue))
    await queue.close()
    return times


async def _timed(call: Callable[[int], Awaitable[None]]) -> tuple[float, float]:
    """Microseconds of all callers together: of the clock, and of the processor."""
    wall, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(call(number) for number in range(CALLERS)))
    return (time.perf_counter() - wall) * 1e6, (time.process_time() - cpu) * 1e6


async def _enqueue(queue: WorkQueue, items: list[list[NewItem]], batches: int, caller: int) -> None:
    for _ in range(batches):
        await queue.enqueue("bench", items[caller])


async def _settle(queue: WorkQueue) -> None:
    while items := await queue.take("bench", count=BATCH):
        await queue.confirm([item.claim for item in items])


def _synced(path: Path, content: bytes, batches: int) -> float:
    """Microseconds of writing and syncing what all callers have, a batch of each at a time."""
    size = len(content) // batches
    with path.open("wb", buffering=0) as file:
        began_s = time.perf_counter()
        for number in range(batches):
            for _caller in range(CALLERS):
                file.write(content[number * size : (number + 1) * size])
            os.fdatasync(file.fileno())
        return (time.perf_counter() - began_s) * 1e6


def _items(caller: int, key: str) -> list[NewItem]:
    return [
        NewItem(
            payload=msgspec.Raw(_payload(number)),
            subject=f"session-{caller % SUBJECTS}",
            key=f"{key}-{number}" if key else "",
        )
        for number in range(BATCH)
    ]


def _payload(number: int) -> bytes:
    path = "/home/hana/src/tidepool/src/db.py"
    return msgspec.json.encode({"task": "index", "path": path, "number": 100_000 + number})


def _fail(error: HoldfastError) -> None:
    raise error
