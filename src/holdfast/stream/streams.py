"""The durable stream: append, query, subscribe, resume. All of it over the one journal.

What is told here is what is stored, in the order in which it was stored: the writer's thread tells
of each commit, and only then does whoever appended hear that it is on disk. So nobody is ever told
of an event that a crash takes back, and who reads from a position to the end and goes on listening
misses nothing: the ring, what is in memory and the journal are three places of one sequence, and a
subscription moves from one to the other by its position.

Appends of the event loop travel in groups: while one is being stored, those that come meanwhile
wait for the next. So a thousand tasks cost the writer's thread what one does. What waits to be
stored is bounded by bytes; who then waits for room holds what it brought, so these are bounded too,
and whoever comes beyond is told to come again.

Who appends one after the other comes back when it is answered, so a group waits a moment for those
who were in the last: else one of sixteen who was quicker is a group by itself, and fifteen wait for
its commit. (4,900 appends a second over HTTP became 6,700. Two groups of eight in turn were no
better than one and fifteen: the event loop and the writer's thread then take the interpreter from
each other.)
"""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import ClassVar, Final, Protocol

import msgspec

from holdfast.blocks import DamagedBlock
from holdfast.errors import Exit, HoldfastError
from holdfast.events import event_id
from holdfast.governor.admission import PutOff
from holdfast.journal.service import JournalService
from holdfast.journal.streams import OWN, Append, Appended, Committed, NewEvent
from holdfast.stream.broadcaster import Broadcaster
from holdfast.stream.cache import StretchCache
from holdfast.stream.frames import Frame, Wanted, frames_of
from holdfast.stream.history import EventHistory
from holdfast.stream.patterns import pattern
from holdfast.stream.stretches import AT_HAND_BYTES, PEAK, AtHand, Stretch, Stretches

NAME_CHARS_MAX: Final = 200
KIND_CHARS_MAX: Final = 100
WAITING_BYTES_MAX: Final = 8_000_000  # of appends of the event loop
ROOM_APPENDS_MAX: Final = 1_000  # that wait for room among those
ROOM_BYTES_MAX: Final = 8_000_000  # that they hold; a single one may hold more
EVENT_BYTES: Final = 200  # of an event besides its text and data
GROUP_EVENTS_MAX: Final = 2_000
GATHER_S: Final = 0.002  # that a group waits for those who were in the last, at most
GATHERED_SHARE: Final = 7 / 8  # of who is expected; of two, nobody waits for the other
QUERY_EVENTS_MAX: Final = 10_000
QUERY_BYTES_MAX: Final = 4_000_000  # of frames that were found
QUERY_READ_BYTES_MAX: Final = 8_000_000  # of lines that one query looks at, found or not
QUERY_READ_RUNS_MAX: Final = 10_000  # the same for runs, most of them passed over unread
TICK_S: Final = 15.0
TURN_BYTES: Final = 32_768  # of lines that one listener is given at a time
TURN_BYTES_MAX: Final = 131_072  # of older ones; more would keep the event loop from others
TURNS_BYTES: Final = 4_000_000  # shared by all who listen; each has `TURN_BYTES` at least
READ_BYTES: Final = 1_000_000  # of lines that are read back at a time, where few are late
READ_BYTES_MIN: Final = TURN_BYTES_MAX
REPLAY_BYTES: Final = 2_000_000  # the same for who reads everything
EVERYTHING: Final = Wanted(pattern("*"), pattern("*"))
_KIND: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]*")
_NAME: Final = re.compile(r"[^\s\x00-\x20\x7f*,@][^\x00-\x1f\x7f*,]*")


class BadAppend(HoldfastError):
    """What is to be appended is not as it must be."""

    exit: ClassVar[Exit] = Exit.USAGE


class TooManyAppends(PutOff):
    """Not now: as many as may wait for the disk do."""

    status: ClassVar[int] = 429
    retry_after_s: ClassVar[int] = 1


class OwnStream(HoldfastError):
    """The stream is holdfast's own."""

    exit: ClassVar[Exit] = Exit.REFUSED


class Limits(msgspec.Struct, frozen=True):
    history_events: int = 100_000
    history_bytes: int = 4_000_000
    cache_events: int = 50_000
    cache_bytes: int = 4_000_000
    ring_events: int = 1_000
    ring_ttl_s: float = 60.0
    event_bytes: int = 1_000_000


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """Which events; the oldest first."""

    stream: str = "*"  # a pattern, as `kind`
    kind: str = "*"
    actor: str = ""
    correlation: str = ""
    since: str = ""  # ISO 8601
    until: str = ""
    after: int = 0  # the position behind which it begins
    limit: int = 1_000

    def covers(self, at: str) -> bool:
        return self.since <= at and not (self.until and at >= self.until)


class Found(msgspec.Struct, frozen=True):
    """Some of what a query asked for, perhaps none of it, and the position to go on from."""

    frames: list[Frame]
    next_after: int
    complete: bool  # nothing is behind these


class Figures(msgspec.Struct, frozen=True):
    """How many, now; `appended`, `lagged`, hits and misses since the start."""

    followers: int
    appended: int  # events, those that were there before not counted
    lagged: int  # how often a follower had to be told that it was too slow
    history_events: int  # the newest, in memory
    cache_events: int  # older ones that were read back
    cache_hits: int
    cache_misses: int
    ring_frames: int


class Clean(Protocol):
    """Takes out of events what must not be kept."""

    def __call__(self, events: Sequence[NewEvent]) -> Sequence[NewEvent]: ...


class Streams:
    """One a journal. What is `async` is for the event loop's thread."""

    def __init__(
        self,
        journal: JournalService,
        *,
        limits: Limits = Limits(),  # noqa: B008  # frozen
        clock_s: Callable[[], float] = time.monotonic,
        clean: Clean = lambda events: events,
        on_damage: Callable[[str, DamagedBlock], None] = lambda _session, _error: None,
    ) -> None:
        self._journal = journal
        self.clean = clean
        self._event_bytes = limits.event_bytes
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()
        self._told: list[Committed] = []  # by the writer's thread, and not taken yet
        journal.listen(self._committed)  # before looking for the end: nothing is between the two
        with journal.reader() as reader:
            end = reader.totals().next_position
        self.history = EventHistory(
            max_events=limits.history_events, max_bytes=limits.history_bytes, start=end
        )
        self.cache = StretchCache(max_events=limits.cache_events, max_bytes=limits.cache_bytes)
        self._stretches = Stretches(on_damage)
        self._reading_back = asyncio.Lock()
        self.late = 0  # of those who listen: they read what the ring does not hold
        self.ring = Broadcaster(
            capacity=limits.ring_events, ttl_s=limits.ring_ttl_s, clock_s=clock_s, start=end
        )
        self._waiting: list[tuple[Append, int, asyncio.Future[Appended]]] = []
        self._waiting_bytes = 0
        self._room = asyncio.Event()
        self._expected = 0  # appends: as many as there were a moment ago
        self._gathered: asyncio.Event | None = None  # while a group waits for them
        self._room_appends = self._room_bytes = 0  # of those who wait for it
        self._storing: asyncio.Task[None] | None = None
        self._ticking: asyncio.TimerHandle | None = None
        self.appended = self.lagged = 0

    def start(self) -> None:
        """On the event loop."""
        self._loop = asyncio.get_running_loop()
        self._take()
        self._tick()

    async def close(self) -> None:
        """Whoever listens hears what is stored, and that it ends; what is appended is stored."""
        await self.drain()
        if self._ticking is not None:
            self._ticking.cancel()
        self.ring.close()

    def _tick(self) -> None:
        if self.ring.listeners:
            self.ring.tick()
        assert self._loop is not None
        self._ticking = self._loop.call_later(TICK_S, self._tick)

    def forget(self) -> None:
        """What is stored was rewritten: what is in memory of it goes."""
        self.history.clear()
        self.cache.clear()
        self.ring.pass_over(self.end)

    def figures(self) -> Figures:
        return Figures(
            followers=self.ring.listeners,
            appended=self.appended,
            lagged=self.lagged,
            history_events=self.history.events,
            cache_events=self.cache.usage().items,
            cache_hits=self.cache.hits,
            cache_misses=self.cache.misses,
            ring_frames=self.ring.usage().items,
        )

    @property
    def end(self) -> int:
        """The position that the next event gets."""
        return self.history.end

    @property
    def waiting_bytes(self) -> int:
        return self._waiting_bytes

    # Appending.

    async def append(
        self,
        stream: str,
        events: Sequence[NewEvent],
        *,
        expected_seq: int | None = None,
        own: bool = False,
    ) -> Appended:
        """Store events; they are on disk when this returns. All of them or none.

        `own` is for holdfast's own streams; of these there are few, and none is put off.
        """
        self._check(stream, events, own=own)
        wanted = Append(stream, self.clean(events), expected_seq)
        size = sum(EVENT_BYTES + len(each.text) + len(each.data) for each in events)
        if self._waiting_bytes > WAITING_BYTES_MAX:
            await self._wait_for_room(size, own=own)
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Appended] = loop.create_future()
        self._waiting.append((wanted, size, done))
        self._waiting_bytes += size
        if self._storing is None:
            self._storing = loop.create_task(self._store())
        elif self._gathered is not None and self._are_enough():
            self._gathered.set()
        return await done

    async def _wait_for_room(self, size: int, *, own: bool) -> None:
        count, held = self._room_appends, self._room_bytes
        if not own and (count >= ROOM_APPENDS_MAX or (count and held + size > ROOM_BYTES_MAX)):
            raise TooManyAppends(
                f"{count:,} appends of {held:,} bytes wait for the disk already: try again in a "
                "second, or append fewer at a time"
            )
        self._room_appends += 1
        self._room_bytes += size
        try:
            while self._waiting_bytes > WAITING_BYTES_MAX:
                self._room.clear()
                await self._room.wait()
        finally:
            self._room_appends -= 1
            self._room_bytes -= size

    async def drain(self) -> None:
        """Until all that was to be appended is stored, or refused."""
        while self._storing is not None:
            await asyncio.wait([self._storing])

    def _check(self, stream: str, events: Sequence[NewEvent], *, own: bool) -> None:
        if not _NAME.fullmatch(stream) or len(stream) > NAME_CHARS_MAX:
            raise BadAppend(
                f"{stream!r} cannot be the name of a stream: use up to {NAME_CHARS_MAX} letters, "
                "digits and signs other than * and comma, not beginning with @"
            )
        if stream.startswith(OWN) and not own:
            raise OwnStream(
                f"only holdfast itself appends to {stream!r}: choose a name that does not begin "
                f"with {OWN}"
            )
        if not events:
            raise BadAppend("there is no event to append")
        for event in events:
            if not _KIND.fullmatch(event.kind) or len(event.kind) > KIND_CHARS_MAX:
                raise BadAppend(
                    f"{event.kind!r} cannot be a kind: use up to {KIND_CHARS_MAX} letters, "
                    "digits, dots, dashes and colons, as in task.completed"
                )
            size = len(event.text) + len(event.data)
            if size > self._event_bytes:
                raise BadAppend(
                    f"an event of {size:,} bytes is larger than stream.max_event_bytes "
                    f"({self._event_bytes:,}): keep large content elsewhere and refer to it"
                )

    async def _store(self) -> None:
        try:
            while self._waiting:
                await self._gather()
                group = self._next_group()
                outcomes = await self._outcomes([wanted for wanted, _size, _done in group])
                self._expected = len(group) + len(self._waiting)
                for (_wanted, size, done), outcome in zip(group, outcomes, strict=True):
                    self._waiting_bytes -= size
                    if isinstance(outcome, Appended):
                        self.appended += len(outcome.seqs) - outcome.repeated
                    if done.done():  # whoever waited has gone; it is stored all the same
                        continue
                    if isinstance(outcome, Appended):
                        done.set_result(outcome)
                    else:
                        done.set_exception(outcome)
                self._room.set()
        finally:
            self._storing = None

    async def _gather(self) -> None:
        if self._are_enough():
            return
        self._gathered = asyncio.Event()
        timer = asyncio.get_running_loop().call_later(GATHER_S, self._gathered.set)
        await self._gathered.wait()
        timer.cancel()
        self._gathered = None

    def _are_enough(self) -> bool:
        return len(self._waiting) >= int(self._expected * GATHERED_SHARE)

    async def _outcomes(self, asked: list[Append]) -> Sequence[Appended | Exception]:
        try:
            return await asyncio.wrap_future(self._journal.append(asked, wait=False))
        except Exception as error:  # noqa: BLE001  # it goes to each who waits
            return [error] * len(asked)

    def _next_group(self) -> list[tuple[Append, int, asyncio.Future[Appended]]]:
        events = count = 0
        for wanted, _size, _done in self._waiting:
            events += len(wanted.events)
            count += 1
            if events >= GROUP_EVENTS_MAX:
                break
        group, self._waiting = self._waiting[:count], self._waiting[count:]
        return group

    # What was stored.

    def _committed(self, runs: list[Committed]) -> None:
        """On the writer's thread."""
        with self._lock:
            first = not self._told
            self._told += runs
        if first and self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._take)

    def _take(self) -> None:
        with self._lock:
            told, self._told = self._told, []
        runs = [run for run in told if run.position >= self.end]  # others were there at the start
        if not runs:
            return
        for run in runs:
            self.history.add(run)
        if self.ring.listeners and all(run.lines for run in runs):
            frames = [frame for run in runs for frame in frames_of(run)]
            self.ring.publish(frames, self.end)
        else:
            self.ring.pass_over(self.end)

    # Reading.

    async def read(self, position: int, wanted: Wanted) -> tuple[list[Frame], int]:
        """Some frames from a position on that somebody wants, and where to go on.

        From memory when they are there, else from the journal, on a thread.
        """
        held = self.history.run_at(position)
        if held is not None and not wanted.takes_stream(held.agent, held.name):
            return [], held.position + held.count  # of which the journal need not be asked
        runs = self.history.runs(position, TURN_BYTES)
        if runs:  # nothing is waited for, and whoever wants few of these takes turn after turn
            await asyncio.sleep(0)
            end = runs[-1].position + runs[-1].count
        else:
            stretch = await self._stretch(position, wanted)
            if stretch is None:
                return [], max(position, self.end)
            runs, end = stretch.behind(position, self._turn_bytes)
        frames: list[Frame] = []
        for run in runs:
            if wanted.may_be_in(run):
                frames += filter(wanted.takes, frames_of(run, after=position - 1))
        return frames, end

    async def _stretch(self, position: int, wanted: Wanted) -> Stretch | None:
        """What holds a position; read by one at a time, since the next may find what it needs."""
        found = self.cache.find(wanted.streams.text, position)
        if found is not None:
            await asyncio.sleep(0)
            return found
        async with self._reading_back:
            return await asyncio.to_thread(self._read_back, position, wanted, self._read_bytes)

    @property
    def _turn_bytes(self) -> int:
        """Of older events: whoever has many to take waits for its client after each turn, so it is
        long where few take turns."""
        share = TURNS_BYTES // max(1, self.ring.listeners)
        return max(TURN_BYTES, min(share, TURN_BYTES_MAX))

    @property
    def _read_bytes(self) -> int:
        """So much that each of those who are late finds the rest of it when its turn comes."""
        return min(READ_BYTES, self.cache.max_bytes // (PEAK * (1 + self.late)))

    def _read_back(self, position: int, wanted: Wanted, bytes_max: int) -> Stretch | None:
        bytes_max = max(READ_BYTES_MIN, bytes_max)
        with self._journal.reader() as reader:
            found = self.cache.find(wanted.streams.text, position)
            if found is not None:  # somebody has read it meanwhile
                return found
            version = self.cache.version
            with self.cache.room(PEAK * bytes_max):
                stretch = self._stretches.read(
                    reader,
                    position,
                    wanted,
                    bytes_max=bytes_max,
                    events_max=self.cache.max_events,
                    end=self.end,
                )
        if stretch is not None:
            self.cache.put(wanted.streams.text, stretch, version)
        return stretch

    async def replay(self, after: int = 0) -> AsyncIterator[Committed]:
        """All that is stored behind a position, as runs of lines: the fastest way through."""
        position, at_hand, version = after + 1, AtHand(), self.cache.version
        with self.cache.room(AT_HAND_BYTES + PEAK * REPLAY_BYTES):
            while position < self.end:
                if version != self.cache.version:  # what is stored was rewritten meanwhile
                    at_hand, version = AtHand(), self.cache.version
                stretch = await asyncio.to_thread(self._read_on, position, at_hand)
                if stretch is None:
                    return
                for run in stretch.runs:
                    yield run
                position = stretch.end

    def _read_on(self, position: int, at_hand: AtHand) -> Stretch | None:
        with self._journal.reader() as reader:
            return self._stretches.read(
                reader,
                position,
                EVERYTHING,
                bytes_max=REPLAY_BYTES,
                end=self.end,
                at_hand=at_hand,
            )

    async def query(self, asked: Query) -> Found:
        """One query reads so much and no more, then lets others have the reader."""
        return await asyncio.to_thread(self._query, asked)

    def _query(self, asked: Query) -> Found:
        wanted = Wanted(pattern(asked.kind), pattern(asked.stream), asked.actor, asked.correlation)
        limit = min(asked.limit, QUERY_EVENTS_MAX)
        found: list[Frame] = []
        size, looked_bytes, looked, position = 0, 0, 0, asked.after + 1
        read_bytes = READ_BYTES_MIN  # little for who asks for little, more where little is found
        while (stretch := self._read_back(position, wanted, read_bytes)) is not None:
            read_bytes = min(READ_BYTES, 2 * read_bytes)
            runs, end = stretch.behind(position, QUERY_READ_BYTES_MAX)
            for run in runs:
                for frame in frames_of(run, after=position - 1):
                    if asked.covers(frame.at) and wanted.takes(frame):
                        found.append(frame)
                        size += frame.size
                        if len(found) == limit or size > QUERY_BYTES_MAX:
                            return Found(found, frame.position, complete=False)
                looked_bytes += len(run.lines)
            position = end
            looked += stretch.looked
            if looked_bytes >= QUERY_READ_BYTES_MAX or looked >= QUERY_READ_RUNS_MAX:
                return Found(found, position - 1, complete=False)
        return Found(found, position - 1, complete=True)


def id_of(appended: Appended, number: int) -> str:
    """The id of the number-th event of an append."""
    return event_id(appended.session, 0, appended.seqs[number], 0)
