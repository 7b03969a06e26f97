"""What the daemon does every few seconds, whatever else happens.

Idle sessions leave memory, notes go to the journal, alerts are looked at, and what outlives the
process is written: the status, the history of figures, the run file. Each part stands for itself.
One that fails, because a disk is full or a file is in the way, is told once and tried again with
the next beat; it ends neither the daemon nor the other parts.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import msgspec

from holdfast.alerts import AlertDesk, Figures, Rooms, figures_of
from holdfast.errors import HoldfastError
from holdfast.files import write_atomically
from holdfast.governor.allowance import Allowance
from holdfast.governor.governor import Governor, Snapshot
from holdfast.governor.machine import Machine
from holdfast.ingest.tail import Tail
from holdfast.journal.notes import Notes
from holdfast.journal.service import JournalService
from holdfast.metrics import History
from holdfast.notify import Notifier
from holdfast.observe import EventLog, Logs
from holdfast.paths import Paths
from holdfast.settings import Settings
from holdfast.snapshots import SessionStore
from holdfast.status import Status
from holdfast.status.lastrun import RunFile
from holdfast.work.queue import WorkQueue

MIB: Final = 1 << 20
_MISHAPS: Final = (HoldfastError, OSError)  # anything else is an error of ours and ends the daemon


class Living(Protocol):
    """Whose heart beats; the daemon is one."""

    state: str
    started_s: float
    settings: Settings
    paths: Paths
    logs: Logs
    run_file: RunFile
    machine: Machine
    governor: Governor
    allowance: Allowance
    store: SessionStore
    journal: JournalService
    tail: Tail
    alerts: AlertDesk
    notes: Notes
    queue: WorkQueue

    async def status(self) -> Status: ...
    async def memory(self) -> Snapshot: ...

    @property
    def journal_problem(self) -> str: ...


class Heartbeat:
    """Owns what is written regularly: the status on disk and the history of figures."""

    def __init__(self, daemon: Living, notifier: Notifier) -> None:
        self._daemon: Final = daemon
        self._notifier: Final = notifier
        self._log: Final[EventLog] = daemon.logs.operational
        self._failing: Final[dict[str, str]] = {}  # parts that failed last time, and why
        self._dropped = 0  # notes, as told
        self.history: Final = History(daemon.paths.history_file)
        if problem := self.history.load():
            self._log.warning("history.not_read", error=problem)

    @property
    def problems(self) -> list[str]:
        """For the status: which parts failed the last time."""
        return [
            f"cannot see to {part} with each heartbeat: {why}"
            for part, why in self._failing.items()
        ]

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await self.beat()
            await _pause(stop, self._daemon.settings.daemon.heartbeat_ms / 1000)

    async def feed_watchdog(self, stop: asyncio.Event) -> None:
        """A sign of life from the loop itself: when it hangs, the service manager restarts us."""
        if self._notifier.watchdog_s is None:
            return
        while not stop.is_set():
            self._notifier.alive()
            await _pause(stop, self._notifier.watchdog_s)

    async def beat(self) -> None:
        for name, part in (
            ("idle sessions", self._sweep),
            ("audit records", self._hand_notes_over),
            ("the alerts", self._look_at_alerts),
            ("the status and the history", self.record),
            ("the disk", self._look_at_disk),
            ("the run file", self._beat_run_file),
            ("the service manager", self._tell_manager),
        ):
            await self._try(name, part)

    async def refresh(self) -> None:
        """What is written is to be of now and not of the last beat."""
        await self._try("the status and the history", self.record)

    async def record(self) -> None:
        """What is so now: as the status on disk, and in the history."""
        status = await self._daemon.status()
        self.history.record(status)
        try:
            self.write_status(status)
        finally:
            if self.history.save_due():
                self.history.save()

    async def record_last(self) -> None:
        """The same for good. Raises what keeps it from being written."""
        status = await self._daemon.status()
        self.history.record(status)
        try:
            self.write_status(status)
        finally:
            self.history.save()

    def write_status(self, status: Status) -> None:
        write_atomically(self._daemon.paths.status_file, msgspec.json.encode(status))

    async def _try(self, name: str, part: Callable[[], Awaitable[None]]) -> None:
        try:
            await part()
        except _MISHAPS as error:
            if self._failing.get(name) != str(error):
                self._failing[name] = str(error)
                self._log.warning("heartbeat.failing", part=name, error=str(error))
        else:
            if self._failing.pop(name, None) is not None:
                self._log.info("heartbeat.resumed", part=name)

    async def _sweep(self) -> None:
        self._daemon.store.sweep_idle()

    async def _hand_notes_over(self) -> None:
        notes = self._daemon.notes
        notes.hand_over(self._daemon.journal)
        if notes.dropped > self._dropped:
            self._log.warning("audit.dropped", records=notes.dropped - self._dropped)
            self._dropped = notes.dropped

    async def _look_at_alerts(self) -> None:
        self._daemon.alerts.step(self._figures(await self._daemon.memory()))

    async def _look_at_disk(self) -> None:
        allowance = self._daemon.allowance
        allowance.keep_disk(await asyncio.to_thread(allowance.read_disk))

    async def _beat_run_file(self) -> None:
        daemon = self._daemon
        daemon.run_file.beat(daemon.governor.footprint_bytes, daemon.machine.oom_kills())

    async def _tell_manager(self) -> None:
        """A line for `systemctl status`."""
        governor = self._daemon.governor
        used, budget = governor.footprint_bytes / MIB, governor.budget_bytes // MIB
        self._notifier.status(
            f"{self._daemon.state}, {used:.1f} of {budget} MiB, pressure {governor.level.label}"
        )

    def _figures(self, memory: Snapshot) -> Figures:
        daemon = self._daemon
        connections = daemon.journal.connections(daemon.settings.resources.reader_held_secs)
        tail = daemon.tail.status()
        work = daemon.queue.figures()
        rooms = Rooms(
            uptime_s=time.monotonic() - daemon.started_s,
            work_queue=work.pending,
            work_queue_pct=work.filled_pct,
            connections_used=connections.lent,
            connections_leaked=len(connections.held_too_long),
            lag_bytes=tail.lag_bytes,
            waiting_logs=tail.waiting_logs,
            sessions_resident=len(daemon.store),
            journal_failed=bool(daemon.journal_problem),
        )
        return figures_of(memory, rooms)


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return
