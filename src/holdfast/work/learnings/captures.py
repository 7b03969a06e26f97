"""Looking for learnings behind everything else, from where the last run was.

The extractor reads the journal, not what passes by: how far it came is one number, kept in the
journal behind what it found. Killed at any moment, it reads again from there; what it had found
already has a key that the stream knows. So a timer that never fired costs a second reading and
nothing else.

History is read the same way, a page of the global order at a time and a block of a session at a
time, with a pass through the gate before each: it takes as long as it takes, and never much memory.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final

import msgspec

from holdfast.blocks import DamagedBlock
from holdfast.errors import HoldfastError
from holdfast.events import STREAM_AGENT, Event, Kind, decode
from holdfast.governor.gate import BackgroundGate
from holdfast.journal.model import Run
from holdfast.journal.protocol import ReaderScope
from holdfast.journal.streams import NewEvent
from holdfast.observe import EventLog
from holdfast.work.learnings.extract import extract
from holdfast.work.learnings.model import Learning
from holdfast.work.learnings.pending import Capture, PendingCaptures

STREAM: Final = "holdfast/learnings"
PROJECTION: Final = "learnings"  # under this name the journal keeps how far we are
FOUND: Final = "learning.found"
JOB: Final = "looking for learnings"

RUNS_PAGE: Final = 256
CONTEXT_EVENTS: Final = 64  # before a stretch: what it answers
LOOK_EVERY_S: Final = 0.25  # what comes thousands of times a second is looked at together
PAUSE_S: Final = 5.0  # after a failure of the journal
SAVE_EVERY_MS: Final = 30_000  # a position costs a commit, and is worth as much as is read again
SAVE_EVERY_EVENTS: Final = 10_000
CLOSE_WITHIN_MS: Final = 2_000

Append = Callable[[str, Sequence[NewEvent]], Awaitable[object]]
SavePosition = Callable[[int], Awaitable[object]]

# What of a run is worth decoding: most of its bytes are tools.
_KINDS: Final = tuple(
    f'"kind":"{kind}"'.encode()
    for kind in (Kind.USER, Kind.ASSISTANT, Kind.DECISION_ACCEPTED, Kind.DECISION_PROPOSED)
)


class ExtractorStats(msgspec.Struct, frozen=True):
    pending: int  # sessions that wait to be looked at
    position: int  # the first event of all that was not looked at
    behind: int  # events that were not even seen yet
    found: int  # since the start; the stream counts what is new
    failures: int


class LearningExtractor:
    """Lives on the event loop; what takes long happens on a thread, a piece at a time."""

    def __init__(  # what it needs of the daemon, each by itself
        self,
        readers: ReaderScope,
        append: Append,
        save_position: SavePosition,
        *,
        gate: BackgroundGate,
        log: EventLog,
        debounce_ms: int,
        clock_ms: Callable[[], int] = lambda: time.monotonic_ns() // 1_000_000,
    ) -> None:
        self._readers = readers
        self._append = append
        self._save_position = save_position
        self._gate = gate
        self._log = log
        self._clock_ms = clock_ms
        self._pending = PendingCaptures(debounce_ms)
        self._seen = self._saved = self._history_end = 1
        self._saved_ms = clock_ms()
        self._is_closing = False
        self._behind = 0
        self._found = self._failures = 0
        self._woken = asyncio.Event()
        gate.join(JOB)

    @property
    def stats(self) -> ExtractorStats:
        position = self._pending.position(self._seen)
        return ExtractorStats(
            len(self._pending), position, self._behind, self._found, self._failures
        )

    def open(self) -> None:
        """From where the last run was. What is there by now is history, and waits for nothing."""
        with self._readers() as reader:
            kept = reader.projection(PROJECTION)
            self._history_end = reader.totals().next_position
        self._seen = self._saved = kept.position if kept else 1

    def wake(self) -> None:
        """Something was stored. On the event loop."""
        self._woken.set()

    async def run(self) -> None:
        """Until it is cancelled. A failure is told and tried again, never the end."""
        while True:
            self._woken.clear()  # before looking
            try:
                await self._gate.passed()
                wait_s = 0.0 if await self.step() else self._until_due_s()
            except (HoldfastError, OSError) as error:
                self._failed(error)
                wait_s = PAUSE_S
            if wait_s != 0.0:
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):
                        await self._woken.wait()
                await asyncio.sleep(LOOK_EVERY_S)

    async def step(self) -> bool:
        """One piece of work; whether there is more to be done at once."""
        more = self._pending.is_full or await self._see()
        if capture := self._pending.take(self._clock_ms()):
            await self._capture(capture)
            more = True
        await self._keep_position()
        return more

    async def close(self, *, within_ms: int = CLOSE_WITHIN_MS) -> None:
        """What waits is looked at now, while there is time; `run` was cancelled before.

        What there is no time for stays in front of the position, and is the next run's.
        """
        self._is_closing = True
        end_ms = self._clock_ms() + within_ms
        await self._see()
        self._pending.hurry(self._clock_ms())
        failures = self._failures
        while self._clock_ms() < end_ms and self._failures == failures:
            if not (capture := self._pending.take(self._clock_ms())):
                break
            await self._capture(capture)
        await self._keep_position()

    def _until_due_s(self) -> float | None:
        due_ms = self._pending.next_due_ms
        return None if due_ms is None else max(0.001, (due_ms - self._clock_ms()) / 1_000)

    async def _see(self) -> bool:
        """A page of what came; whether there is more."""
        runs, self._behind = await asyncio.to_thread(self._read_runs)
        now_ms = self._clock_ms()
        for run in runs:
            first = max(0, self._seen - run.position)  # of a run that was seen in part
            if run.agent != STREAM_AGENT and first < run.count:
                from_seq, position = run.first_seq + first, run.position + first
                to_seq = run.first_seq + run.count
                settled = run.position + run.count <= self._history_end
                self._pending.saw(run.session, from_seq, to_seq, position, now_ms, settled=settled)
            self._seen = max(self._seen, run.position + run.count)
        return len(runs) == RUNS_PAGE

    def _read_runs(self) -> tuple[list[Run], int]:
        with self._readers() as reader:
            runs = reader.runs(self._seen, limit=RUNS_PAGE)
            end = runs[-1].position + runs[-1].count if runs else self._seen
            return runs, max(0, reader.totals().next_position - end)

    async def _capture(self, capture: Capture) -> None:
        """Failing leaves it pending: nothing counts as looked at before what it gave is stored."""
        try:
            seq, context = max(0, capture.from_seq - CONTEXT_EVENTS), list[Event]()
            while seq < capture.to_seq:
                if not self._is_closing:
                    await self._gate.passed()
                found, seq, context = await asyncio.to_thread(self._look, capture, seq, context)
                if found:
                    await self._append(STREAM, [found_event(each) for each in found])
                    self._found += len(found)
        except (HoldfastError, OSError) as error:
            self._pending.failed(capture, self._clock_ms())
            self._failed(error)
        except BaseException:  # cancelled: it is looked at on the way down, or by the next run
            self._pending.failed(capture, self._clock_ms())
            raise
        else:
            self._pending.done(capture)

    def _look(
        self, capture: Capture, seq: int, context: list[Event]
    ) -> tuple[list[Learning], int, list[Event]]:
        """About a block: what is in it, where the next begins, and what that may answer."""
        behind = 0

        def pass_over(first: int, count: int, _error: DamagedBlock) -> bytes:
            nonlocal behind
            behind = first + count
            return b""

        with self._readers() as reader:
            row = reader.session(capture.session)
            if row is None or row.parent:  # where a subagent works, nobody speaks
                return [], capture.to_seq, []
            pieces = reader.read(capture.session, seq, capture.to_seq, on_damage=pass_over)
            piece = next(pieces, b"")
            pieces.close()
        lines = piece.removesuffix(b"\n").split(b"\n") if piece else []
        said = [decode(line) for line in lines if any(kind in line for kind in _KINDS)]
        next_seq = behind or (decode(lines[-1]).seq + 1 if lines else capture.to_seq)
        from_seq = max(capture.from_seq, seq)
        try:
            found = extract([*context, *said], from_seq=from_seq)
        except Exception as error:  # noqa: BLE001  # words that no rule was made for cost themselves
            found = []
            self._log.warning("learnings.passed_over", session=capture.session, error=repr(error))
        return found, next_seq, _asked_last([*context, *said])

    async def _keep_position(self) -> None:
        position, now_ms = self._pending.position(self._seen), self._clock_ms()
        is_time = now_ms - self._saved_ms >= SAVE_EVERY_MS or self._is_closing
        if position > self._saved and (is_time or position - self._saved >= SAVE_EVERY_EVENTS):
            await self._save_position(position)
            self._saved, self._saved_ms = position, now_ms

    def _failed(self, error: Exception) -> None:
        self._failures += 1
        self._log.warning("learnings.failed", error=str(error))


def _asked_last(events: Sequence[Event]) -> list[Event]:
    """What a person said last, if nobody answered yet."""
    if events and events[-1].kind == Kind.USER:
        return [events[-1]]
    return []


class FoundData(msgspec.Struct, frozen=True, omit_defaults=True):
    """The data of `learning.found`."""

    type: str
    rule: str
    confidence: float
    session: str
    seq: int
    event: str
    quote: str
    said_by: str = ""
    said_at: str = ""


def found_event(learning: Learning) -> NewEvent:
    place = learning.place
    data = FoundData(
        learning.type,
        learning.rule,
        learning.confidence,
        place.session,
        place.seq,
        place.event,
        place.quote,
        place.said_by,
        place.at,
    )
    return NewEvent(
        kind=FOUND,
        text=learning.text,
        data=msgspec.Raw(msgspec.json.encode(data)),
        actor="holdfast",
        key=learning.key,
        causation=place.event,
        correlation=learning.id,
    )
