"""What the daemon does about pressure: the steps of its ladder, in the order in which they hold.

docs/operations.md has the same list as a table, and a test compares names, levels and order. First
comes `shrink caches`, which every governor has. None of these steps waits for anything: they run
on the event loop, between two events.

Rejected: making the levels of steps settings (nobody could say any more what a level means), and
stopping children before anything else (they are the largest, and what they read is what people
wait for; sessions in memory cost nothing but a reading from the journal).
"""

from __future__ import annotations

from typing import Final, Protocol

from holdfast.errors import Exit
from holdfast.governor import (
    BUDGET,
    GROUP,
    NOTHING,
    Admission,
    BackgroundGate,
    Effect,
    Governor,
    Level,
    Pressure,
    Step,
)
from holdfast.ingest.tail import Tail
from holdfast.journal.footprint import JournalFootprint
from holdfast.journal.protocol import JournalWriter
from holdfast.journal.service import JournalService
from holdfast.snapshots import SessionStore

HALF_PCT: Final = 50
QUARTER_PCT: Final = 25
WHOLE_PCT: Final = 100
SEAL_AT_ONCE_BYTES: Final = 4_000_000  # some 20 ms of compressing; the rest at the next steps
LAST_CHILD_AFTER_STEPS: Final = 2
STOP: Final = "stop, to be started again"


class Parts(Protocol):
    """What is degraded; the daemon is one. The parts may be made after the steps."""

    store: SessionStore
    tail: Tail
    gate: BackgroundGate
    admission: Admission
    journal: JournalService
    footprint: JournalFootprint
    governor: Governor

    def stop(self, reason: str, code: Exit) -> None: ...


def steps(parts: Parts, *, critical_exit_s: float) -> tuple[Step, ...]:
    """Behind `shrink caches`, in order."""
    children, end = _Children(parts), _End(parts, critical_exit_s)
    return (
        Step(
            name="halve budgets",
            level=Level.HIGH,
            own=False,
            apply=lambda _: _resize(parts, HALF_PCT),
            undo=lambda _: _resize(parts, WHOLE_PCT),
        ),
        Step(
            name="seal tails",
            level=Level.HIGH,
            own=False,
            apply=lambda _: _seal(parts),
            hold=lambda _: _seal(parts),
        ),
        Step(
            name="slow the tail",
            level=Level.HIGH,
            own=True,
            apply=lambda _: _slow(parts),
            undo=lambda _: _hurry(parts),
        ),
        Step(
            name="pause background jobs",
            level=Level.HIGH,
            own=True,
            apply=lambda _: _pause(parts),
            undo=lambda _: _resume(parts),
        ),
        Step(
            name="throttle requests",
            level=Level.HIGH,
            own=True,
            apply=lambda _: _throttle(parts, on=True),
            undo=lambda _: _throttle(parts, on=False),
        ),
        Step(
            name="quarter budgets",
            level=Level.CRITICAL,
            own=False,
            apply=lambda _: _resize(parts, QUARTER_PCT),
            undo=lambda _: _resize(parts, HALF_PCT),
        ),
        Step(
            name="stop import children",
            level=Level.CRITICAL,
            own=True,
            apply=children.apply,
            hold=children.hold,
            undo=children.undo,
        ),
        Step(
            name="refuse new work",
            level=Level.CRITICAL,
            own=True,
            apply=lambda _: _refuse(parts, on=True),
            undo=lambda _: _refuse(parts, on=False),
        ),
        Step(
            name="flush the journal", level=Level.CRITICAL, own=True, apply=lambda _: _flush(parts)
        ),
        Step(
            name=STOP,
            level=Level.CRITICAL,
            own=True,
            after_s=critical_exit_s,
            apply=end.apply,
            hold=end.hold,
        ),
    )


def _resize(parts: Parts, share_pct: int) -> Effect:
    given_bytes = parts.store.resize(share_pct)
    if share_pct < WHOLE_PCT:
        parts.footprint.release()
    allowed = parts.store.usage().limit_bytes
    return Effect(given_bytes, f"sessions may take {share_pct} % of their budget, {allowed:,} B")


def _seal(parts: Parts) -> Effect:
    sealed, given_bytes = parts.store.seal_tails(SEAL_AT_ONCE_BYTES)
    return Effect(given_bytes, f"{sealed} tails compressed") if sealed else NOTHING


def _slow(parts: Parts) -> Effect:
    parts.tail.slow_down()
    return Effect(what="changes of logs are gathered, and read one log at a time")


def _hurry(parts: Parts) -> Effect:
    parts.tail.speed_up()
    return Effect(what="logs are read as they change")


def _pause(parts: Parts) -> Effect:
    parts.gate.close()
    return Effect(what=f"waiting: {', '.join(parts.gate.jobs)}")


def _resume(parts: Parts) -> Effect:
    parts.gate.open()
    return Effect(what="going on")


def _throttle(parts: Parts, *, on: bool) -> Effect:
    parts.admission.throttling = on
    return Effect(what="costly requests get 429" if on else "all requests are let in")


def _refuse(parts: Parts, *, on: bool) -> Effect:
    parts.admission.refusing = on
    return Effect(what="new work gets 503; what runs is finished" if on else "work is taken again")


def _flush(parts: Parts) -> Effect:
    def flush(writer: JournalWriter) -> None:
        writer.release_memory()
        writer.checkpoint()

    if parts.journal.waiting:  # it is being written already, and we must not wait for room
        return Effect(what=f"{parts.journal.waiting} batches are being written")
    parts.journal.call(flush)
    return Effect(what="the write-ahead log goes into the database")


class _Children:
    """All but one end at once; when that is not enough by the next step, the last one too.

    Only while it is still needed: what the steps before gave back may have been enough.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts: Final = parts
        self._left_alone = 0  # steps for which the last child was left

    def apply(self, pressure: Pressure) -> Effect:
        self._left_alone = 0
        return self._fewer(pressure) or Effect(what="none had to end yet")

    def hold(self, pressure: Pressure) -> Effect:
        return self._fewer(pressure)

    def undo(self, _pressure: Pressure) -> Effect:
        self._parts.tail.let_children_go_on()
        return Effect(what="imports go on where they were, one after the other")

    def _fewer(self, pressure: Pressure) -> Effect:
        parts = self._parts
        running = len(parts.tail.child_pids())
        if not running or not self._still_needed(pressure):
            return NOTHING
        if running == 1:
            self._left_alone += 1
            if self._left_alone < LAST_CHILD_AFTER_STEPS:
                return NOTHING
        ended = parts.tail.fewer_children()
        return Effect(what=f"{ended} of {running} ended; their work waits") if ended else NOTHING

    def _still_needed(self, pressure: Pressure) -> bool:
        """A level outlasts its reading, so the readings themselves are asked.

        Of the budget we know what was just given back; of what others have a share in we do not.
        """
        for each in pressure.judgement.readings:
            if not each.own or each.level < Level.CRITICAL:
                continue
            if each.name == BUDGET:
                governor = self._parts.governor
                if governor.footprint_estimate() >= governor.line_bytes(Level.HIGH):
                    return True
            elif each.pct is not None and each.pct >= each.high_pct:
                return True
        return False


class _End:
    """Only where starting again helps: with what we hold beyond the program itself.

    A control group may be a parent of ours that neighbours fill, and tasks may wait for memory that
    others hold: then a stop would be followed by the next, for ever. Who holds it may change, so a
    step that holds looks again.
    """

    def __init__(self, parts: Parts, after_s: float) -> None:
        self._parts: Final = parts
        self._after_s: Final = after_s
        self._asked = False

    def apply(self, pressure: Pressure) -> Effect:
        self._asked = False
        return self._stop(pressure) or Effect(what=f"not stopped: {self._hindrance(pressure)}")

    def hold(self, pressure: Pressure) -> Effect:
        return NOTHING if self._asked else self._stop(pressure)

    def _stop(self, pressure: Pressure) -> Effect:
        if self._hindrance(pressure):
            return NOTHING
        reading = pressure.judgement.own_cause()
        reason = (
            f"memory stayed critical for {self._after_s:g} s ({reading.name} at "
            f"{reading.pct or 0:.1f} %): start holdfast again, and {_advice(reading.name)} if this "
            "comes back"
        )
        self._asked = True
        self._parts.stop(reason, Exit.RESTART_WANTED)
        return Effect(what="an orderly stop with exit code 75")

    def _hindrance(self, pressure: Pressure) -> str:
        """Why starting again would not help; "" when it would."""
        governor, cause = self._parts.governor, pressure.judgement.own_cause().name
        if governor.baseline_bytes >= governor.line_bytes(Level.CRITICAL):
            return "the program alone takes as much; raise the ceiling"
        if cause == BUDGET:
            return ""
        held_bytes = max(0, pressure.footprint_bytes - governor.baseline_bytes)
        if held_bytes >= pressure.missing_bytes:
            return ""
        return (
            f"{pressure.missing_bytes:,} B are missing and holdfast holds {held_bytes:,} B; others "
            f"hold the rest: {_advice(cause)}"
        )


def _advice(cause: str) -> str:
    if cause == BUDGET:
        return "raise daemon.max_memory_mb"
    if cause == GROUP:
        return "raise the limit of the control group, or run less in it"
    return "end what takes most of the memory, or add some"
