"""Reading back the journal in the order of positions, a bounded stretch at a time.

The journal keeps lines by session, in blocks: where forty agents write at once, the next hundred
events of the global order lie in forty blocks. Going through them in order and keeping the blocks
at hand was tried first: with more sessions than blocks are kept each run unpacks its block again,
and with enough kept each reader holds megabytes. So a stretch is read session by session, each
block once, and put into order afterwards; what is over the bound is cut off its end.

Whoever replays everything goes on at once where a stretch ended, in the middle of blocks: only
there these stay at hand, up to a bound in bytes.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate
from operator import attrgetter
from typing import Final, NamedTuple

from holdfast.blocks import DamagedBlock
from holdfast.events import session_id, stream_id
from holdfast.journal.model import Run
from holdfast.journal.protocol import JournalReader
from holdfast.journal.streams import Committed
from holdfast.stream.frames import Wanted

EVENTS_MIN: Final = 64  # that one stretch is made of, where there are as many and there is room
RUNS_MAX: Final = 2_048  # that it looks at, wanted or not
RUNS_PAGE: Final = 256
RUN_BYTES: Final = 190  # of a run besides its lines, measured
BESIDE_BYTES: Final = 250  # of a stretch besides its runs, measured
AT_HAND_BYTES: Final = 6_000_000  # of blocks that stay unpacked for one who reads on at once
PART_BYTES: Final = 32_768  # of lines of a run that are cut out of a block at once
SPARE: Final = 1.25  # how many more events are looked at than it takes by the size of the last
PEAK: Final = 2  # of the bytes that are wanted, so many times are held while they are gathered

_position: Final = attrgetter("position")

OnDamage = Callable[[str, DamagedBlock], None]


class Stretch:
    """All that somebody wants of the positions from `start` up to `end`."""

    __slots__ = ("_starts", "end", "events", "looked", "runs", "size", "start")

    def __init__(self, start: int, end: int, runs: list[Committed], looked: int = 0) -> None:
        self.start, self.end, self.runs = start, end, runs
        self.looked = looked  # runs, wanted or not
        self.events = sum(run.count for run in runs)
        self.size = BESIDE_BYTES + RUN_BYTES * len(runs) + sum(len(run.lines) for run in runs)
        self._starts = [run.position for run in runs]

    def behind(self, position: int, bytes_max: int) -> tuple[list[Committed], int]:
        """Runs from a position on, up to the end of the line that is over so many bytes, and where
        to go on."""
        found: list[Committed] = []
        size = 0
        for place in range(max(0, bisect_right(self._starts, position) - 1), len(self.runs)):
            held = self.runs[place].behind(position)
            if held.count <= 0:  # it is before the position
                continue
            held = held.upto(bytes_max - size)
            found.append(held)
            size += len(held.lines)
            if size >= bytes_max:
                position = held.position + held.count
                is_all = self.runs[-1].position + self.runs[-1].count == position
                return found, self.end if is_all else position
        return found, self.end


class Stretches:
    """Reads them; for any thread."""

    def __init__(self, on_damage: OnDamage) -> None:
        self._on_damage = on_damage
        self._event_bytes = 1_000.0  # of an event, by what was read last

    def read(  # what a stretch is read by
        self,
        reader: JournalReader,
        position: int,
        wanted: Wanted,
        *,
        bytes_max: int,
        end: int,
        events_max: int | None = None,
        at_hand: AtHand | None = None,
    ) -> Stretch | None:
        """From a position on, about so many bytes of lines or the first part; None at the end.

        The journal is known to reach to `end` at least. A damaged block costs itself: its place is
        there, without lines.
        """
        most = EVENTS_MIN + int(SPARE * bytes_max / self._event_bytes)
        if events_max is not None:
            most = min(most, events_max)
        runs, looked_end, looked = _look(reader, position, wanted, most)
        if looked_end is not None:
            end = looked_end
        elif runs:
            end = max(end, runs[-1].position + runs[-1].count)
        if end <= position:
            return None
        parts: list[Committed] = []
        size = 0
        for of_one in _by_session(runs):
            if of_one[0].position >= end:
                break  # as all that come behind it
            size_most = size + bytes_max  # what is behind would be cut off whatever else there is
            for part in self._parts(reader, of_one, position, at_hand):
                if part.position >= end:
                    break
                parts.append(part)
                size += len(part.lines)
                if size > size_most or part.position + part.count >= end:
                    break  # before another block is read for nothing
            if size > bytes_max:
                end, size = _cut(parts, bytes_max)
        parts.sort(key=_position)
        if parts:  # a part of the run in which it ends may reach further
            end = max(end, parts[-1].position + parts[-1].count)
        stretch = Stretch(position, end, parts, looked)
        if stretch.events:
            self._event_bytes = max(1.0, size / stretch.events)
        return stretch

    def _parts(
        self, reader: JournalReader, runs: list[Run], position: int, at_hand: AtHand | None
    ) -> Iterator[Committed]:
        """Of one session, each out of one block, and not larger than one turn takes."""
        whose = (runs[0].session, runs[0].agent, runs[0].name)  # one for all: each run has its own
        session = runs[0].session
        block = None if at_hand is None else at_hand.get(session)
        for run in runs:
            shift = run.position - run.first_seq
            seq, end = max(position - shift, run.first_seq), run.first_seq + run.count
            while seq < end:
                if block is None or not block.first_seq <= seq < block.end_seq:
                    block = self._block(reader, session, seq, end)
                    if at_hand is not None:
                        at_hand.put(session, block)
                stop, lines = block.take(seq, end)
                yield Committed(seq + shift, *whose, seq, stop - seq, lines)
                seq = stop

    def _block(self, reader: JournalReader, session: str, seq: int, end: int) -> _Block:
        damaged_end = end

        def told(first: int, count: int, error: DamagedBlock) -> bytes:
            nonlocal damaged_end
            damaged_end = first + count
            self._on_damage(session, error)
            return b""

        lines = next(reader.read(session, seq, on_damage=told), b"")
        return _Block(seq, lines) if lines else _Block(seq, b"", missing=damaged_end - seq)


class _Block:
    """Consecutive lines of a session, and where each ends; or as many that are missing."""

    __slots__ = ("_ends", "_lines", "end_seq", "first_seq")

    def __init__(self, first_seq: int, lines: bytes, missing: int = 0) -> None:
        self.first_seq, self._lines = first_seq, lines
        self._ends = array("I", accumulate(map(len, lines.splitlines(keepends=True)), initial=0))
        self.end_seq = first_seq + (len(self._ends) - 1 or missing)

    @property
    def size(self) -> int:
        return BESIDE_BYTES + len(self._lines) + self._ends.itemsize * len(self._ends)

    def take(self, seq: int, end: int) -> tuple[int, bytes]:
        """Lines from a number on, one at least and no more than make a part; the number behind."""
        end = min(end, self.end_seq)
        if not self._lines:
            return end, b""
        ends, place, stop = self._ends, seq - self.first_seq, end - self.first_seq
        start = ends[place]
        if ends[stop] - start > PART_BYTES:
            stop = max(place + 1, bisect_right(ends, start + PART_BYTES, place + 1, stop) - 1)
        return self.first_seq + stop, self._lines[start : ends[stop]]


class AtHand:
    """The blocks that were unpacked last, one of a session; the oldest leave."""

    def __init__(self, bytes_max: int = AT_HAND_BYTES) -> None:
        self._bytes_max = bytes_max
        self._blocks: OrderedDict[str, _Block] = OrderedDict()
        self.bytes = 0

    def get(self, session: str) -> _Block | None:
        return self._blocks.get(session)

    def put(self, session: str, block: _Block) -> None:
        before = self._blocks.pop(session, None)
        self._blocks[session] = block
        self.bytes += block.size - (before.size if before is not None else 0)
        while self.bytes > self._bytes_max:
            self.bytes -= self._blocks.popitem(last=False)[1].size


def _cut(parts: list[Committed], bytes_max: int) -> tuple[int, int]:
    """Drop what is over so many bytes off the end, the first part never; where the rest ends, and
    how much it is."""
    parts.sort(key=_position)
    size = 0
    for kept, part in enumerate(parts):
        if kept and size + len(part.lines) > bytes_max:
            del parts[kept:]
            return part.position, size
        size += len(part.lines)
    return parts[-1].position + parts[-1].count, size


def _by_session(runs: list[Run]) -> Iterable[list[Run]]:
    found: dict[str, list[Run]] = {}
    for run in runs:
        found.setdefault(run.session, []).append(run)
    return found.values()


class _Looked(NamedTuple):
    """Runs that somebody wants, in order."""

    runs: list[Run]
    end: int | None  # where looking for them ended; None when the journal did
    looked: int  # how many runs that took


def _look(reader: JournalReader, position: int, wanted: Wanted, most: int) -> _Looked:
    """The runs of so many events that are wanted, or of as many as there are in `RUNS_MAX`."""
    only = _only(reader, wanted)
    if only is None:
        return _Looked([], None, 0)
    runs: list[Run] = []
    events = looked = 0
    while looked < RUNS_MAX:
        page = reader.runs(position, limit=RUNS_PAGE, session=only)
        for run in page:
            looked += 1
            before, position = max(position, run.position), run.position + run.count
            if not wanted.takes_stream(run.agent, run.name):
                continue
            if runs and runs[-1].position == run.position:  # it grew since the page before
                runs.pop()
            runs.append(run)
            events += position - before
            if events >= most:
                return _Looked(runs, position - (events - most), looked)
        if len(page) < RUNS_PAGE:
            return _Looked(runs, None, looked)
    return _Looked(runs, position, looked)


def _only(reader: JournalReader, wanted: Wanted) -> str | None:
    """The one session that can be wanted, so that nothing has to be passed over; "" where it may
    be any, None where there is none."""
    name = wanted.streams.exact
    if not name:
        return ""
    agent, _slash, own_name = name.partition("/")
    asked = [stream_id(name), session_id(agent, own_name)]
    known = [session for session in asked if reader.session(session) is not None]
    if len(known) > 1:
        return ""
    return known[0] if known else None
