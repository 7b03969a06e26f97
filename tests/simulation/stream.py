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
from tests.simulation.asking import again, later

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
ROUNDS: Final = 4
RESTART_SHARE: Final = 0.2  # of rounds, after which the daemon is stopped and started
LEAVE_SHARE: Final = 0.02  # of events, after which a listener leaves and comes again
SLOW_SHARE: Final = 0.3  # of events, after which it takes its time


class Tickless(Streams):
    """The next tick makes up for a wake-up that is lost; here nothing does."""

    def _tick(self) -> None:
        pass


class Program:
    """As much of the daemon as streams take."""

    def __init__(self, world: Simulation, process: Process, disk: Disk) -> None:
        self.journal = SimulatedJournal(world, process, disk)
        kind = Streams if world.draw("ticks").random() < 0.5 else Tickless
        self.streams = kind(self.journal, limits=LIMITS, clock_s=world.now_s)
        self.streams.start()

    async def close(self) -> None:
        await self.streams.close()
        self.journal.close()

    async def append(
        self, stream: str, events: list[NewEvent], expected_seq: int | None = None
    ) -> Appended:
        return await self.streams.append(stream, events, expected_seq=expected_seq)

    async def count(self, stream: str) -> int:
        with self.journal.reader() as reader:
            row = reader.session(stream_id(stream))
        return row.events if row else 0

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

    def missed(self, first: int, last: int, streams: str) -> list[int]:
        """The positions of what somebody wants between two."""
        return [at for at in range(first, last + 1) if self.takes(at, streams)]

    def acknowledge(self, keys: list[str], told: Appended) -> None:
        for key, seq, position in zip(keys, told.seqs, told.positions, strict=True):
            known = self.acknowledged.setdefault(key, (seq, position))
            assert known == (seq, position), f"{key} was at {known} and is at {(seq, position)}"
            assert position <= self.last, f"{key} was acknowledged at {position} and is lost"
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


class Audience:
    """Up to which position each listener has it all."""

    def __init__(self, truth: Truth) -> None:
        self._truth = truth
        self._after: dict[str, int] = {}
        self._moved = asyncio.Event()

    def note(self, streams: str, on_lag: OnLag, after: int) -> None:
        self._after[f"{streams} {on_lag}"] = after
        self._moved.set()

    async def caught_up(self) -> None:
        """With nothing new coming; a wake-up that was lost is not made up for by the next event."""
        while not all(
            self._has_all(streams, self._after.get(f"{streams} {on_lag}", 0))
            for streams, on_lag in LISTENERS
        ):
            self._moved.clear()
            await self._moved.wait()

    def _has_all(self, streams: str, after: int) -> bool:
        return not self._truth.missed(after + 1, self._truth.last, streams)


async def scenario(world: Simulation) -> None:
    disk = Disk(world)
    truth = Truth(disk)
    audience = Audience(truth)

    async def boot(process: Process) -> Program:
        return Program(world, process, disk)

    host = Host(world, "daemon", boot)
    world.always(lambda: host.program.check_bounds() if host.program else None)
    random = world.random
    pace_s = random.choice((0.001, 0.05, 1.0))
    for streams, on_lag in LISTENERS:
        slow_s = random.choice((0, 0.01, 0.5))
        listening = _listen(world, host, truth, audience, streams, on_lag, slow_s)
        world.spawn(listening, name=f"listener to {streams} ({on_lag})")
    writers = [Writer(world, host, truth, f"w{number}", pace_s) for number in range(3)]
    expecting = [Expecting(world, host, truth, f"e{number}", pace_s) for number in range(2)]
    for _ in range(ROUNDS):
        await asyncio.gather(
            *(writer.write(random.randint(0, 3)) for writer in (*writers, *expecting)),
            _talk(world, host, pace_s),
        )
        truth.check()
        await audience.caught_up()
        if random.random() < RESTART_SHARE:
            await host.restart(lambda program: program.close())
    for streams in ("*", "orders", "@conversations"):
        await _queried(world, host, truth, streams)
    await host.stop(lambda program: program.close())


class Writer:
    """Appends under keys of its own, again and again until it is told that it is stored."""

    def __init__(
        self, world: Simulation, host: Host[Program], truth: Truth, name: str, pace_s: float
    ) -> None:
        self._world, self._host, self._truth = world, host, truth
        self._name, self._pace_s = name, pace_s
        self._number = 0

    async def write(self, count: int) -> None:
        for _ in range(count):
            await self._write_one()
            await self._world.pause(self._pace_s)

    async def _write_one(self) -> None:
        stream = self._world.random.choice(STREAMS)
        keys = self._next_keys(self._world.random.randint(1, 3))
        events = [NewEvent(kind="note", text=key, key=key) for key in keys]
        told = await again(self._world, self._host, lambda program: program.append(stream, events))
        self._truth.acknowledge(keys, told)

    def _next_keys(self, count: int) -> list[str]:
        self._number += 1
        return [f"{self._name}/{self._number}/{part}" for part in range(count)]


class Expecting(Writer):
    """Appends only where nobody came between: after a conflict it looks again."""

    expected = 0

    async def _write_one(self) -> None:
        (key,) = self._next_keys(1)
        while True:
            event = NewEvent(kind="note", text=f"expects {self.expected}", key=key)
            try:
                told = await again(
                    self._world,
                    self._host,
                    lambda program: program.append("orders", [event], self.expected),  # noqa: B023  # asked at once
                )
            except WrongSequence:
                self.expected = await again(
                    self._world, self._host, lambda program: program.count("orders")
                )
            else:
                self._truth.acknowledge([key], told)
                self.expected = told.seqs[-1] + 1
                return


async def _talk(world: Simulation, host: Host[Program], pace_s: float) -> None:
    for _ in range(2):
        count, sealed = world.random.randint(1, 6), world.random.random() < 0.5
        with suppress(ConnectionLost, JournalError, SequenceConflict):
            await host.request(lambda program: program.talk("a", count, sealed=sealed))  # noqa: B023  # asked at once
        await world.pause(pace_s)


async def _listen(
    world: Simulation,
    host: Host[Program],
    truth: Truth,
    audience: Audience,
    streams: str,
    on_lag: OnLag,
    slow_s: float,
) -> None:
    after = 0
    while True:
        try:
            async with aclosing(
                host.stream(lambda program: program.listen(after, streams, on_lag))  # noqa: B023  # asked at once
            ) as frames:
                async for got in frames:
                    after = _checked(truth, streams, after, got)
                    audience.note(streams, on_lag, after)
                    if world.random.random() < LEAVE_SHARE:
                        break
                    if slow_s and world.random.random() < SLOW_SHARE:
                        await world.pause(slow_s)
        except ConnectionLost:
            pass
        await later(world, host)


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
        page = await again(world, host, lambda program: program.streams.query(asked))  # noqa: B023  # asked at once
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
