"""Streams: what was acknowledged is there once, and everybody who listens gets it once, in order.

Writers repeat what they do not know the outcome of, under the same keys; others say which number
their event must get. Listeners are slow, lose their connections, leave and come back with the
position of the last event they had. The daemon crashes, its disk fills up and fails. What counts is
the order on the disk: every listener must have seen exactly that.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from typing import Final

from holdfast import blocks
from holdfast.events import EMPTY, Event, Kind, decode, encode, event_id, session_id, stream_id
from holdfast.journal.model import Batch, Facts
from holdfast.journal.sqlite import JournalError
from holdfast.journal.writer import SequenceConflict
from holdfast.simulation import ConnectionLost, Host, Process, Simulation
from holdfast.simulation.journal import Disk, SimulatedJournal
from holdfast.stream import (
    Appended,
    Frame,
    Lagged,
    Limits,
    NewEvent,
    OnLag,
    Query,
    Streams,
    WrongSequence,
    subscribe,
)
from holdfast.stream.patterns import pattern

LIMITS: Final = Limits(
    history_events=12, history_bytes=6_000, cache_events=9, cache_bytes=4_000, ring_events=5
)
AGENT: Final = "claude"
STREAMS: Final = ("orders", "notes")
LISTENERS: Final[tuple[tuple[str, OnLag], ...]] = (
    ("*", "catch_up"),
    ("orders", "catch_up"),
    ("*", "skip"),
    ("notes,@conversations", "disconnect"),
)
RETRY_S: Final = 0.05
LEAVE_SHARE: Final = 0.02  # of events, after which a listener leaves and comes again
SLOW_SHARE: Final = 0.3  # of events, after which it takes its time


class Program:
    """As much of the daemon as streams take."""

    def __init__(self, world: Simulation, process: Process, disk: Disk) -> None:
        self.journal = SimulatedJournal(world, process, disk)
        self.streams = Streams(self.journal, limits=LIMITS, clock_s=world.now_s)
        self.streams.start()

    async def append(
        self, stream: str, events: list[NewEvent], expected_seq: int | None = None
    ) -> Appended:
        return await self.streams.append(stream, events, expected_seq=expected_seq)

    async def talk(self, name: str, count: int, *, sealed: bool) -> None:
        """Lines of a conversation, as reading a log brings them."""
        session = session_id(AGENT, name)
        with self.journal.reader() as reader:
            row = reader.session(session)
        first = row.events if row else 0
        content = b"".join(encode(_said(session, first + at)) + b"\n" for at in range(count))
        facts = Facts(id=session, agent=AGENT, agent_session_id=name)
        batch = Batch(facts=facts, first_seq=first)
        if sealed:
            batch.blocks = [blocks.seal(content, first, count)]
        else:
            batch.lines, batch.line_count = content, count
        await asyncio.wrap_future(self.journal.submit(batch))

    async def listen(
        self, after: int, streams: str, on_lag: OnLag
    ) -> AsyncIterator[Frame | Lagged]:
        async with subscribe(
            self.streams, after=after, streams=streams, on_lag=on_lag
        ) as subscription:
            async for batch in subscription.batches():
                if isinstance(batch, Lagged):
                    yield batch
                    continue
                for frame in batch:
                    yield frame

    def check_bounds(self) -> None:
        for part in (self.streams.history, self.streams.cache, self.streams.ring):
            usage = part.usage()
            most = usage.limit_items, usage.limit_bytes
            for held, limit in zip((usage.items, usage.bytes), most, strict=True):
                assert not limit or held <= limit, f"{part.name} holds too much: {usage}"


class Truth:
    """What is on the disk, and what people were told is."""

    def __init__(self, disk: Disk) -> None:
        self._state = disk.journal.state
        self.acknowledged: dict[str, tuple[int, int]] = {}  # key -> seq, position

    @property
    def last(self) -> int:
        return len(self._state.order)

    def line(self, position: int) -> bytes:
        session, seq = self._state.order[position - 1]
        return self._state.lines[session][seq]

    def takes(self, position: int, streams: str) -> bool:
        row = self._state.sessions[self._state.order[position - 1][0]]
        is_stream = row.agent == "stream"
        name = row.agent_session_id if is_stream else f"{row.agent}/{row.agent_session_id}"
        return pattern(streams).matches(name, is_stream=is_stream)

    def seen_all(self, after: int, streams: str) -> bool:
        """Whether nothing that somebody wants is there or will come."""
        ends = (
            f"end/{number}/0" in self._state.stream_keys.get(stream_id(stream), {})
            for number, stream in enumerate(STREAMS)
            if pattern(streams).matches(stream)
        )
        return all(ends) and not self.missed(after + 1, self.last, streams)

    def missed(self, first: int, last: int, streams: str) -> list[int]:
        """The positions of what somebody wants between two."""
        return [at for at in range(first, last + 1) if self.takes(at, streams)]

    def acknowledge(self, keys: list[str], told: Appended) -> None:
        for key, seq, position in zip(keys, told.seqs, told.positions, strict=True):
            known = self.acknowledged.setdefault(key, (seq, position))
            assert known == (seq, position), f"{key} was at {known} and is at {(seq, position)}"
            event = decode(self.line(position))
            assert event.key == key, f"{key} was acknowledged at {position}, where {event.key} is"
            assert event.seq == seq

    def check(self) -> None:
        """Each key once, what was acknowledged where it was said to be, numbers without gaps."""
        found: dict[str, tuple[int, int]] = {}
        ends: dict[str, int] = {}
        last_of_writer: dict[str, tuple[int, int]] = {}
        for position in range(1, self.last + 1):
            event = decode(self.line(position))
            assert event.seq == ends.get(event.session, 0)
            ends[event.session] = event.seq + 1
            if not event.key:
                continue
            assert event.key not in found, f"{event.key} is stored twice"
            found[event.key] = (event.seq, position)
            writer, number, part = event.key.split("/")
            at = (int(number), int(part))
            assert at > last_of_writer.get(writer, (-1, -1)), f"{event.key} is out of order"
            last_of_writer[writer] = at
            if event.text.startswith("expects "):
                assert int(event.text.split()[1]) == event.seq, "another one came between"
        for key, place in self.acknowledged.items():
            assert found.get(key) == place, f"{key} was acknowledged at {place} and is lost"


async def scenario(world: Simulation) -> None:
    disk = Disk(world)
    truth = Truth(disk)

    async def boot(process: Process) -> Program:
        return Program(world, process, disk)

    host = Host(world, "daemon", boot)
    world.always(lambda: host.program.check_bounds() if host.program else None)
    random = world.random
    pace_s = random.choice((0.001, 0.05, 1.0))
    listeners = [
        world.spawn(
            _listen(world, host, truth, streams, on_lag, random.choice((0, 0.01, 0.5))),
            name=f"listener to {streams} ({on_lag})",
        )
        for streams, on_lag in LISTENERS
    ]
    async with asyncio.TaskGroup() as writers:
        for number in range(3):
            writers.create_task(_write(world, host, truth, f"w{number}", pace_s))
        for number in range(2):
            writers.create_task(_expect(world, host, truth, f"e{number}", pace_s))
        writers.create_task(_talk(world, host, pace_s))
    truth.check()
    await _end(world, host, truth)
    await asyncio.gather(*listeners)
    for streams in ("*", "orders", "@conversations"):
        await _queried(world, host, truth, streams)
    truth.check()
    await host.stop()


async def _later(world: Simulation, host: Host[Program]) -> None:
    """When it is time to try again."""
    await world.pause(RETRY_S)
    await host.up()


async def _write(
    world: Simulation, host: Host[Program], truth: Truth, name: str, pace_s: float
) -> None:
    for number in range(8):
        stream = world.random.choice(STREAMS)
        keys = [f"{name}/{number}/{part}" for part in range(world.random.randint(1, 3))]
        events = [NewEvent(kind="note", text=key, key=key) for key in keys]
        while True:
            try:
                told = await host.request(lambda program: program.append(stream, events))  # noqa: B023  # asked at once
            except (ConnectionLost, JournalError):
                await _later(world, host)
            else:
                break
        truth.acknowledge(keys, told)
        await world.pause(pace_s)


async def _expect(
    world: Simulation, host: Host[Program], truth: Truth, name: str, pace_s: float
) -> None:
    """Appends only where nobody came between: after a conflict it looks again."""
    expected = 0
    for number in range(5):
        key = f"{name}/{number}/0"
        while True:
            event = NewEvent(kind="note", text=f"expects {expected}", key=key)
            try:
                told = await host.request(
                    lambda program: program.append("orders", [event], expected)  # noqa: B023  # asked at once
                )
            except WrongSequence as error:
                expected = error.found
            except (ConnectionLost, JournalError):
                await _later(world, host)
            else:
                break
        truth.acknowledge([key], told)
        expected = told.seqs[-1] + 1
        await world.pause(pace_s)


async def _talk(world: Simulation, host: Host[Program], pace_s: float) -> None:
    for _ in range(6):
        count, sealed = world.random.randint(1, 6), world.random.random() < 0.5
        with suppress(ConnectionLost, JournalError, SequenceConflict):
            await host.request(lambda program: program.talk("a", count, sealed=sealed))  # noqa: B023  # asked at once
        await world.pause(pace_s)


async def _end(world: Simulation, host: Host[Program], truth: Truth) -> None:
    """The last event of each stream, after all others."""
    for number, stream in enumerate(STREAMS):
        event = NewEvent(kind="end", key=f"end/{number}/0")
        while True:
            try:
                told = await host.request(lambda program: program.append(stream, [event]))  # noqa: B023  # asked at once
            except (ConnectionLost, JournalError):
                await _later(world, host)
            else:
                break
        truth.acknowledge([event.key], told)


async def _listen(
    world: Simulation,
    host: Host[Program],
    truth: Truth,
    streams: str,
    on_lag: OnLag,
    slow_s: float,
) -> None:
    """Until the ends are there and it has it all."""
    after = 0
    while not truth.seen_all(after, streams):
        try:
            async with aclosing(
                host.stream(lambda program: program.listen(after, streams, on_lag))  # noqa: B023  # asked at once
            ) as frames:
                async for got in frames:
                    after = _checked(truth, streams, after, got)
                    if truth.seen_all(after, streams) or world.random.random() < LEAVE_SHARE:
                        break
                    if slow_s and world.random.random() < SLOW_SHARE:
                        await world.pause(slow_s)
        except ConnectionLost:
            pass
        await _later(world, host)


def _checked(truth: Truth, streams: str, after: int, got: Frame | Lagged) -> int:
    """The position up to which a listener has it all, or was told that it does not."""
    first = got.first if isinstance(got, Lagged) else got.position
    assert first > after, f"{first} comes again after {after}"
    missed = truth.missed(after + 1, first - 1, streams)
    assert not missed, f"missed {missed} before {first}"
    if isinstance(got, Lagged):
        return got.last if got.policy == "skip" else after
    assert truth.takes(got.position, streams), f"nobody asked for {got.position}"
    assert got.line == truth.line(got.position), f"{got.position} is not what is stored"
    return got.position


async def _queried(world: Simulation, host: Host[Program], truth: Truth, stream: str) -> None:
    """Page by page, the same as what is stored."""
    after, found = 0, list[int]()
    while True:
        asked = Query(stream=stream, after=after, limit=world.random.randint(1, 20))
        try:
            page = await host.request(lambda program: program.streams.query(asked))  # noqa: B023  # asked at once
        except ConnectionLost:
            await _later(world, host)
            continue
        found += [frame.position for frame in page.frames]
        after = page.next_after
        if page.complete:
            break
    assert found == truth.missed(1, truth.last, stream)


def _said(session: str, seq: int) -> Event:
    return Event(
        id=event_id(session, 0, seq, 0),
        session=session,
        seq=seq,
        kind=Kind.USER,
        at="",
        text=f"line {seq}",
        data=EMPTY,
        source=None,
    )
