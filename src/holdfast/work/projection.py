"""What is known now, made of what happened: a state, and how it is brought up after a start.

A projection is a pure state machine: events in, state out. `Projector` brings one up to date. It
loads the last snapshot, applies what the streams got since, and keeps a snapshot now and then, in
the same journal. A snapshot is never the truth: one that is damaged, or that another version of
the projection wrote, is thrown away and all is read again. So a state may change its shape
whenever it likes.

A snapshot remembers how far each stream was read by its own numbers, not by the global position
alone: the first is exact for one stream whatever order others commit in. The position is only where
to begin to ask for the order between several streams.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager
from copy import copy
from itertools import chain
from typing import Final, Protocol

import msgspec

from holdfast.blocks import DamagedBlock
from holdfast.events import Event, decode, decode_lines, stream_id
from holdfast.journal.protocol import JournalReader, JournalWriter
from holdfast.journal.streams import Projection as Kept

SAVE_EVERY_EVENTS: Final = 10_000  # so many are read again in a few hundredths of a second
_RUNS_PAGE: Final = 1_000


class Projection(Protocol):
    """A state that follows from the events of streams."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> int:
        """Of what `dump` writes: a snapshot of another one is not loaded."""
        ...

    @property
    def streams(self) -> tuple[str, ...]: ...
    def apply(self, event: Event) -> None:
        """Once for each event, in order. Never refuses one: what it does not know it passes."""
        ...

    def dump(self) -> bytes: ...
    def load(self, state: bytes) -> None:
        """May raise anything: then the state is cleared, and made of the events."""
        ...

    def clear(self) -> None:
        """Begin with nothing: with new containers, for a copy may still use the old ones."""
        ...


class Journal(Protocol):
    """What a projector needs of the journal; `JournalService` is one."""

    def reader(self) -> AbstractContextManager[JournalReader]: ...
    def transact(
        self, work: Callable[[JournalWriter], None], *, size: int = 0, wait: bool = True
    ) -> Future[None]: ...


class Resumed(msgspec.Struct, frozen=True):
    """How a state was brought up."""

    snapshot: bool  # whether it began with one
    events: int  # how many were applied
    damaged: int  # how many could not be read
    problem: str = ""  # why a snapshot that was there is not used


class _Snapshot(msgspec.Struct, array_like=True):
    version: int
    next_seqs: dict[str, int]  # of each stream, by its session
    crc: int
    state: bytes


class Projector:
    """Owns one projection's place in the log. Whatever reads, `unread` too, blocks."""

    def __init__(
        self,
        projection: Projection,
        journal: Journal,
        *,
        save_every_events: int = SAVE_EVERY_EVENTS,
        on_problem: Callable[[str], None] = lambda _problem: None,
    ) -> None:
        self.projection = projection
        self._journal = journal
        self._save_every = save_every_events
        self._on_problem = on_problem
        self._sessions = tuple(map(stream_id, projection.streams))
        self._next = dict.fromkeys(self._sessions, 0)
        self._position = 0  # behind the last that was applied, as far as that is known
        self._unsaved = 0  # events
        self._saving: Future[None] | None = None
        self._damaged = 0

    def next_seq(self, stream: str) -> int:
        """The number that the next event of a stream will have, as far as we know."""
        return self._next[stream_id(stream)]

    def resume(self) -> Resumed:
        """The state as of now: from the last snapshot, else from the first event."""
        snapshot, problem = self._load()
        if problem:
            self._on_problem(f"{self.projection.name} is made anew of all its events: {problem}")
        events = self.catch_up()
        return Resumed(snapshot, events, self._damaged, problem)

    def catch_up(self) -> int:
        """Apply what came since, whoever appended it; how many events that were."""
        count = 0
        with self._journal.reader() as reader:
            for event in self._since(reader):
                self._take(event)
                count += 1
        self.save_if_due()
        return count

    def unread(self) -> Callable[[], None]:
        """Read what came since, on any thread; what this gives applies it, where the state lives.

        Nothing may be applied between the two. For what is little: all of it is held until then.
        """
        ahead = Projector(self.projection, self._journal, on_problem=self._on_problem)
        ahead._next, ahead._position = dict(self._next), self._position
        events = []
        with self._journal.reader() as reader:
            for event in ahead._since(reader):
                ahead._next[event.session] = event.seq + 1
                events.append(event)

        def apply() -> None:
            for event in events:
                self._take(event)
            self._next, self._position = ahead._next, ahead._position
            self._damaged += ahead._damaged
            self.save_if_due()

        return apply

    def apply(self, event: Event, position: int) -> bool:
        """One that was just stored. False when others came before it: `unread` first."""
        following = self._next.get(event.session)
        if following is None or event.seq < following:
            return True
        if event.seq > following:
            return False
        self._take(event)
        self._position = max(self._position, position + 1)
        return True

    def rebuild(self) -> Callable[[], None]:
        """Read all anew, on any thread; what this gives puts it in place, where the state lives.

        Nothing may be applied between the two.
        """
        fresh = copy(self.projection)
        fresh.clear()
        anew = Projector(
            fresh, self._journal, save_every_events=sys.maxsize, on_problem=self._on_problem
        )
        anew.catch_up()
        state = fresh.dump()

        def put() -> None:
            self.projection.load(state)
            self._next, self._position = anew._next, anew._position

        return put

    def save_if_due(self) -> None:
        if self._unsaved >= self._save_every and self._saving is None:
            self.save()

    def save(self) -> Future[None]:
        """Keep the state as it is now; the future ends when it is on disk."""
        state = self.projection.dump()
        snapshot = _Snapshot(self.projection.version, dict(self._next), zlib.crc32(state), state)
        kept = Kept(self._position, msgspec.msgpack.encode(snapshot))
        name = self.projection.name
        self._unsaved = 0
        saving = self._journal.transact(
            lambda writer: writer.save_projection(name, kept), size=len(kept.state), wait=False
        )
        self._saving = saving
        saving.add_done_callback(self._saved)
        return saving

    def _saved(self, saving: Future[None]) -> None:
        """On the writer's thread. One that failed costs time at the next start, nothing else."""
        self._saving = None
        error = saving.exception()
        if error is not None:
            self._on_problem(f"no snapshot of {self.projection.name} was kept: {error}")

    def _load(self) -> tuple[bool, str]:
        """Begin with the snapshot, or with nothing; whether it did, and why not."""
        with self._journal.reader() as reader:
            kept = reader.projection(self.projection.name)
            if kept is None or not kept.state:  # it was emptied when events were rewritten
                return False, ""
            lengths = {each: _length(reader, each) for each in self._sessions}
        try:
            snapshot = msgspec.msgpack.decode(kept.state, type=_Snapshot)
            problem = self._reason_against(snapshot, lengths)
            if not problem:
                self.projection.load(snapshot.state)
        except Exception as error:  # noqa: BLE001  # whatever is wrong with it, the events are there
            problem = f"its snapshot cannot be read ({error})"
        if problem:
            self.projection.clear()
            return False, problem
        self._next.update(snapshot.next_seqs)
        self._position = kept.position
        return True, ""

    def _reason_against(self, snapshot: _Snapshot, lengths: dict[str, int]) -> str:
        if snapshot.version != self.projection.version:
            return f"its snapshot is of version {snapshot.version}, not {self.projection.version}"
        if snapshot.next_seqs.keys() != lengths.keys():
            return "its snapshot is of other streams"
        if any(snapshot.next_seqs[each] > length for each, length in lengths.items()):
            return "its snapshot knows more than the journal holds"
        if zlib.crc32(snapshot.state) != snapshot.crc:
            return "its snapshot is damaged"
        return ""

    def _take(self, event: Event) -> None:
        self.projection.apply(event)
        self._next[event.session] = event.seq + 1
        self._unsaved += 1

    def _since(self, reader: JournalReader) -> Iterator[Event]:
        """What the state does not know yet, in the order in which it was stored."""
        unread = {each: self._events(reader, each) for each in self._sessions}
        if len(unread) > 1:
            yield from self._in_order(reader, unread)
        yield from chain.from_iterable(unread.values())

    def _in_order(
        self, reader: JournalReader, unread: dict[str, Generator[Event, None, None]]
    ) -> Iterator[Event]:
        while runs := reader.runs(self._position, limit=_RUNS_PAGE):
            for run in runs:
                stop_seq = run.first_seq + run.count
                if run.session in unread:
                    yield from _until(unread, run.session, stop_seq)
                    if self._next[run.session] < stop_seq:
                        return  # it was stored while we read: it is for the next time
                self._position = max(self._position, run.position + run.count)

    def _events(self, reader: JournalReader, session: str) -> Generator[Event, None, None]:
        """A piece at a time; what cannot be read costs only itself."""

        def lost_block(first: int, count: int, error: DamagedBlock) -> bytes:
            self._lost(session, first, count, str(error))
            return b""

        for lines in reader.read(session, self._next[session], on_damage=lost_block):
            try:
                events: Iterable[Event] = decode_lines(lines)
            except msgspec.DecodeError:
                events = self._legible(session, lines)
            yield from events

    def _legible(self, session: str, lines: bytes) -> Iterator[Event]:
        """The events of a piece of which at least one is damaged."""
        for line in lines.splitlines():
            try:
                event = decode(line)
            except msgspec.DecodeError as error:
                self._lost(session, self._next[session], 1, str(error))
            else:
                yield event

    def _lost(self, session: str, first: int, count: int, why: str) -> None:
        self._next[session] = max(self._next[session], first + count)
        self._damaged += count
        self._on_problem(f"{self.projection.name} goes on without {count} events: {why}")


def _length(reader: JournalReader, session: str) -> int:
    row = reader.session(session)
    return row.events if row is not None else 0


def _until(
    unread: dict[str, Generator[Event, None, None]], session: str, stop_seq: int
) -> Iterator[Event]:
    """What a stream has before a number; what is taken beyond it is put back."""
    rest = unread[session]
    for event in rest:
        if event.seq >= stop_seq:
            unread[session] = _again(event, rest)
            return
        yield event


def _again(event: Event, rest: Generator[Event, None, None]) -> Generator[Event, None, None]:
    yield event
    yield from rest
