"""Streams: what an acknowledged append costs beside the disk's own sync, reading back, following.

The ceiling of an append is the least that anything durable can do: sixteen events of the same size
written as one piece and synced, which is what a commit for sixteen writers comes to. It takes turns
with what is measured.
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

from bench.kit.figures import Bar, Ceiling, Outcome, p50, p99, row
from bench.kit.homes import Home, fresh_home, running_daemon
from bench.kit.proc import tree_footprint_bytes
from bench.kit.setting import Setting
from holdfast import AsyncHoldfast, NewEvent
from holdfast.events import decode_lines
from holdfast.journal.reader import SqliteReader
from holdfast.journal.service import JournalService
from holdfast.journal.writer import SqliteWriter
from holdfast.stream import Streams

TITLE: Final = "Streams: durable appends, replay, following"

WRITERS: Final = 16
EVENT_BYTES: Final = 500
SINGLES: Final = 24_000
BATCH: Final = 100
BATCHES: Final = 1_600
BATCH_WRITERS: Final = 4
ROUNDS: Final = 8  # in which the ceiling and each kind take turns
OVER_HTTP: Final = 8_000
FOLLOWERS: Final = 100
CROWD: Final = 1_000
HEARD_BATCHES: Final = 12
DEAF_BATCHES: Final = 40  # more than sockets hold of them
FOLLOWED: Final = 300
FOLLOWED_EVERY_S: Final = 0.02
_MIB: Final = 1 << 20
_DATA: Final = msgspec.Raw(b'{"filler":"' + b"x" * 300 + b'"}')  # about 500 bytes as a line

Appending = Callable[[str, list[NewEvent]], Awaitable[object]]


class _Spent:
    """Of one kind of append: seconds of all rounds, events, and how long each append took."""

    def __init__(self) -> None:
        self.seconds, self.events = 0.0, 0
        self.latencies_ms: list[float] = []

    @property
    def us_each(self) -> float:
        return self.seconds / self.events * 1e6


def run(setting: Setting) -> Outcome:
    with setting.folder("streams") as folder:
        inside = uvloop.run(_inside(folder, setting))
    with (
        setting.folder("no-logs") as logs,
        fresh_home(setting, logs) as home,
        running_daemon(home) as daemon,
    ):
        outside = uvloop.run(_outside(home, setting))
        held = uvloop.run(_crowd(home, daemon.pid, setting, HEARD_BATCHES, reads=True))
    with (
        setting.folder("no-logs") as logs,
        fresh_home(setting, logs) as home,
        running_daemon(home) as daemon,
    ):
        deaf = uvloop.run(_crowd(home, daemon.pid, setting, DEAF_BATCHES, reads=False))
    disk = Ceiling(inside.disk.us_each, f"{WRITERS} events written and synced at once")
    return Outcome(
        rows=[
            row(
                f"append, {WRITERS} writers, one stream",
                inside.one.us_each,
                "us",
                ceiling=disk,
                bar=Bar(50.0),
            ),
            row("its p99", p99(inside.one.latencies_ms), "ms", bar=Bar(10.0)),
            row(
                f"append, {WRITERS} writers, a stream each",
                inside.many.us_each,
                "us",
                ceiling=disk,
            ),
            row(
                f"append in batches of {BATCH}, each event",
                inside.batched.us_each,
                "us",
                bar=Bar(10.0),
            ),
            row(
                f"append over HTTP, {WRITERS} connections",
                outside.appended.us_each,
                "us",
                ceiling=disk,
                bar=Bar(200.0),
            ),
            row("replay as bytes, each event", inside.replayed_us, "us", bar=Bar(2.0)),
            row("replay decoded, each event", inside.decoded_us, "us", bar=Bar(5.0)),
            row(
                f"append to delivery, {FOLLOWERS} followers, p99",
                p99(outside.delays_ms),
                "ms",
                bar=Bar(10.0),
            ),
            row(
                f"{CROWD:,} followers: memory that events add",
                held.added_bytes / _MIB,
                "MiB",
                bar=Bar(8.0),
            ),
            row(
                f"{CROWD:,} who read nothing: memory that {DEAF_BATCHES * BATCH:,} events add",
                deaf.added_bytes / _MIB,
                "MiB",
                bar=Bar(20.0),
            ),
            row("of each follower's connection", held.each_bytes / 1024, "KiB"),
        ],
        corpus=f"events of about {EVENT_BYTES} B; {inside.replayed_events:,} replayed",
        notes=[
            (
                f"{1e6 / inside.one.us_each:,.0f} durable appends a second against "
                f"{1e6 / inside.disk.us_each:,.0f} of the disk alone; "
                f"{1e6 / inside.batched.us_each:,.0f} events a second in batches; "
                f"{1e6 / outside.appended.us_each:,.0f} appends a second over HTTP, p50 "
                f"{p50(outside.appended.latencies_ms):.1f} ms, with the client on the same two "
                f"cores; replay {1e6 / inside.replayed_us:,.0f} events a second as bytes, "
                f"{1e6 / inside.decoded_us:,.0f} decoded."
            ),
        ],
    )


class _Inside:
    def __init__(self) -> None:
        self.disk, self.one, self.many, self.batched = _Spent(), _Spent(), _Spent(), _Spent()
        self.replayed_us = self.decoded_us = 0.0
        self.replayed_events = 0


async def _inside(folder: Path, setting: Setting) -> _Inside:
    found = _Inside()
    path = str(folder / "journal.db")
    journal = JournalService(partial(SqliteWriter, path), partial(SqliteReader, path))
    streams = Streams(journal)
    streams.start()
    disk = _Disk(folder / "synced")
    try:
        singles = setting.count(SINGLES // ROUNDS, least=2 * WRITERS)
        batches = setting.count(BATCHES // ROUNDS, least=BATCH_WRITERS)
        for _ in range(ROUNDS):
            disk.spend(found.disk, singles)
            await _spend(found.one, streams.append, 1, singles, WRITERS, streams=1)
            await _spend(found.many, streams.append, 1, singles, WRITERS, streams=WRITERS)
            await _spend(found.batched, streams.append, BATCH, batches, BATCH_WRITERS, streams=4)
        await asyncio.to_thread(journal.settle)
        await _replay(found, streams)
    finally:
        await streams.close()
        journal.close()
        disk.close()
    return found


async def _spend(  # what is measured
    spent: _Spent, append: Appending, size: int, appends: int, writers: int, streams: int
) -> None:
    events = [NewEvent(kind="bench.event", actor="bench", data=_DATA)] * size

    async def write(number: int) -> None:
        for _ in range(appends // writers):
            began_s = time.perf_counter()
            await append(f"bench/{number % streams}", events)
            spent.latencies_ms.append((time.perf_counter() - began_s) * 1_000)

    began_s = time.perf_counter()
    await asyncio.gather(*map(write, range(writers)))
    spent.seconds += time.perf_counter() - began_s
    spent.events += appends // writers * writers * size


class _Disk:
    """The least that is durable."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT)
        self._end = 0

    def spend(self, spent: _Spent, events: int) -> None:
        piece = b"x" * (EVENT_BYTES * WRITERS)
        began_s = time.perf_counter()
        for _ in range(events // WRITERS):
            os.pwrite(self._file, piece, self._end)
            os.fdatasync(self._file)
            self._end += len(piece)
        spent.seconds += time.perf_counter() - began_s
        spent.events += events // WRITERS * WRITERS

    def close(self) -> None:
        os.close(self._file)


async def _replay(found: _Inside, streams: Streams) -> None:
    streams.history.clear()  # from the disk, as after a start
    events, began_s = 0, time.perf_counter()
    async for run in streams.replay():
        events += run.lines.count(b"\n")
    found.replayed_us = (time.perf_counter() - began_s) / events * 1e6
    found.replayed_events = events
    began_s = time.perf_counter()
    async for run in streams.replay():
        decode_lines(run.lines)
    found.decoded_us = (time.perf_counter() - began_s) / events * 1e6


class _Outside:
    def __init__(self) -> None:
        self.appended = _Spent()
        self.delays_ms: list[float] = []


async def _outside(home: Home, setting: Setting) -> _Outside:
    found = _Outside()
    async with AsyncHoldfast(home.environ) as holdfast:

        async def append(stream: str, events: list[NewEvent]) -> object:
            return await holdfast.append(stream, *events)

        appends = setting.count(OVER_HTTP, least=2 * WRITERS)
        await _spend(found.appended, append, 1, appends, WRITERS, streams=1)
        count = setting.count(FOLLOWED, least=5)
        following = [
            asyncio.ensure_future(_delays(holdfast, count))
            for _ in range(setting.count(FOLLOWERS, least=3))
        ]
        await asyncio.sleep(0.5 + len(following) / 200)  # until they listen
        for _ in range(count):
            sent = NewEvent(kind="bench.sent", text=repr(time.perf_counter()))
            await holdfast.append("followed", sent)
            await asyncio.sleep(FOLLOWED_EVERY_S)
        for each in await asyncio.gather(*following):
            found.delays_ms += each
    return found


async def _delays(holdfast: AsyncHoldfast, count: int) -> list[float]:
    delays: list[float] = []
    async for told in holdfast.follow(streams="followed"):
        delays.append((time.perf_counter() - float(told.event.text)) * 1_000)
        if len(delays) == count:
            break
    return delays


class _Held:
    each_bytes = added_bytes = 0.0


async def _crowd(home: Home, pid: int, setting: Setting, batches: int, *, reads: bool) -> _Held:
    """Many who listen, while more comes than the ring holds."""
    held, crowd = _Held(), setting.count(CROWD, least=100)
    async with AsyncHoldfast(home.environ) as holdfast:
        before = tree_footprint_bytes(pid)
        connections = [await _listen(home) for _ in range(crowd)]
        reading = [
            asyncio.ensure_future(_read_on(reader)) for reader, _writer in connections if reads
        ]
        await asyncio.sleep(1.0)
        connected = tree_footprint_bytes(pid)
        held.each_bytes = (connected - before) / crowd
        events = [NewEvent(kind="bench.event", data=_DATA)] * BATCH
        for _ in range(setting.count(batches, least=2)):
            await holdfast.append("crowded", *events)
        await asyncio.sleep(1.0)
        held.added_bytes = tree_footprint_bytes(pid) - connected
        for task in reading:
            task.cancel()
        for _reader, writer in connections:
            writer.close()
    return held


async def _read_on(reader: asyncio.StreamReader) -> None:
    while await reader.read(65_536):
        pass


async def _listen(home: Home) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_unix_connection(home.paths.socket)
    writer.write(b"GET /v1/events/live?stream=crowded HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await reader.readuntil(b"holdfast.subscribed")
    return reader, writer
