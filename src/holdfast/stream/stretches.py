"""Reading back the journal in the order of positions, a bounded stretch at a time.

The journal keeps lines by session, in blocks: where forty agents write at once, the next hundred
events of the global order lie in forty blocks. Going through them in order and keeping the blocks
at hand was tried first: with more sessions than blocks are kept each run unpacks its block again,
and with enough kept each reader holds megabytes. So a stretch is read session by session, each
block once, and put into order afterwards; what is over the bound is cut off its end.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from heapq import heappop, heappush
from itertools import accumulate
from typing import Final

from holdfast.blocks import DamagedBlock
from holdfast.events import session_id, stream_id
from holdfast.journal.model import Run
from holdfast.journal.protocol import JournalReader
from holdfast.journal.streams import Committed
from holdfast.stream.frames import Wanted

RUNS_MIN: Final = 16  # that one stretch is made of, where there are as many
RUNS_MAX: Final = 2_048  # that it looks at, wanted or not
RUNS_PAGE: Final = 256
RUN_BYTES: Final = 140  # of a run besides its lines, measured
STRETCH_BYTES: Final = 400  # of a stretch besides its runs, measured
SPARE: Final = 1.25  # how many more runs are read than it takes by the size of the last ones

OnDamage = Callable[[str, DamagedBlock], None]


class Stretch:
    """All that somebody wants of the positions from `start` up to `end`."""

    __slots__ = ("_starts", "end", "events", "looked", "runs", "size", "start")

    def __init__(self, start: int, end: int, runs: list[Committed], looked: int = 0) -> None:
        self.start, self.end, self.runs = start, end, runs
        self.looked = looked  # runs, wanted or not
        self.events = sum(run.count for run in runs)
        self.size = STRETCH_BYTES + sum(RUN_BYTES + len(run.lines) for run in runs)
        self._starts = [run.position for run in runs]

    def behind(self, position: int, bytes_max: int) -> tuple[list[Committed], int]:
        """Runs from a position on, up to the end of the line that is over so many bytes, and where
        to go on."""
        found: list[Committed] = []
        size = 0
        for place in range(max(0, bisect_right(self._starts, position) - 1), len(self.runs)):
            held = self.runs[place].behind(position)
            if not held.count:  # it is before the position
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
        self._run_bytes = 4_096.0  # of a run, by what was read last

    def read(
        self, reader: JournalReader, position: int, wanted: Wanted, bytes_max: int, end: int
    ) -> Stretch | None:
        """From a position on, about so many bytes of lines or the first block; None at the end.

        The journal is known to reach to `end` at least. A damaged block costs itself: its place is
        there, without lines.
        """
        runs, looked_end, looked = self._runs(reader, position, wanted, bytes_max)
        end = looked_end or max(end, runs[-1].position + runs[-1].count if runs else 0)
        if end <= position:
            return None
        parts: list[tuple[int, Committed]] = []  # the last of them first
        size = 0
        for of_one in _by_session(runs):
            for part in self._parts(reader, of_one, position):
                if part.position >= end:
                    break
                heappush(parts, (-part.position, part))
                size += len(part.lines)
                while size > bytes_max and len(parts) > 1:
                    over = heappop(parts)[1]
                    size -= len(over.lines)
                    end = over.position
        if parts:
            self._run_bytes = max(1.0, size / sum(run.position < end for run in runs))
        in_order = [part for _place, part in sorted(parts, reverse=True)]
        return Stretch(position, end, in_order, looked)

    def _runs(
        self, reader: JournalReader, position: int, wanted: Wanted, bytes_max: int
    ) -> tuple[list[Run], int, int]:
        """About as many as it takes; where looking for them ended, 0 for the journal's end; and
        how many were looked at."""
        enough = RUNS_MIN + int(SPARE * bytes_max / self._run_bytes)
        only = _only(reader, wanted)
        found: list[Run] = []
        looked = 0
        while only is not None and len(found) < enough and looked < RUNS_MAX:
            page = reader.runs(position, limit=RUNS_PAGE, session=only)
            found += [run for run in page if wanted.takes_stream(run.agent, run.name)]
            looked += len(page)
            if len(page) < RUNS_PAGE:
                return found, 0, looked
            position = page[-1].position + page[-1].count
        return found, 0 if only is None else position, looked

    def _parts(self, reader: JournalReader, runs: list[Run], position: int) -> Iterator[Committed]:
        """Of one session, each out of one block."""
        block: _Block | None = None
        for run in runs:
            shift = run.position - run.first_seq
            seq, end = max(position - shift, run.first_seq), run.first_seq + run.count
            while seq < end:
                if block is None or not block.first_seq <= seq < block.end_seq:
                    block = self._block(reader, run.session, seq, end)
                stop = min(end, block.end_seq)
                lines = block.cut(seq, stop)
                yield Committed(
                    seq + shift, run.session, run.agent, run.name, seq, stop - seq, lines
                )
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

    def cut(self, first: int, end: int) -> bytes:
        if not self._lines:
            return b""
        ends = self._ends
        return self._lines[ends[first - self.first_seq] : ends[end - self.first_seq]]


def _by_session(runs: list[Run]) -> Iterable[list[Run]]:
    found: dict[str, list[Run]] = {}
    for run in runs:
        found.setdefault(run.session, []).append(run)
    return found.values()


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
