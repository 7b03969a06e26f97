"""Gathers the status: live from a daemon, or what a journal and the last run left behind."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple, Protocol

from holdfast import __version__
from holdfast.alerts import AlertDesk, AlertsStatus
from holdfast.clock import instant
from holdfast.governor.admission import Admission
from holdfast.governor.allowance import Allowance
from holdfast.governor.gate import BackgroundGate
from holdfast.governor.governor import Governor, Look, Snapshot
from holdfast.ingest.importer import Progress, byte_counts
from holdfast.ingest.tail import Tail, TailStatus
from holdfast.journal.model import SessionFilter, Totals
from holdfast.journal.protocol import JournalReader
from holdfast.journal.service import Connections, JournalService
from holdfast.journal.sqlite import emptied, is_emptied
from holdfast.library import Residency
from holdfast.paths import Paths
from holdfast.recording.listing import RecordingsStatus, recordings_status
from holdfast.recording.recorder import Recorder
from holdfast.settings import Privacy, Settings
from holdfast.snapshots import SessionStore, StoreStatus
from holdfast.sources.base import Source
from holdfast.status.expiry import ExpiryStatus, expiry_by_agent
from holdfast.status.lastrun import RunFile
from holdfast.status.model import (
    SCHEMA_VERSION,
    DaemonStatus,
    HealthStatus,
    ImportStatus,
    JournalStatus,
    LastRun,
    MemoryStatus,
    PressureReading,
    PressureStatus,
    PrivacyStatus,
    ProcessStatus,
    QueuesStatus,
    RootStatus,
    SessionBrief,
    SessionsStatus,
    SourceStatus,
    Status,
)
from holdfast.stream import Figures as StreamFigures
from holdfast.stream import Streams
from holdfast.work import Workroom, WorkStatus
from holdfast.work.queue import Figures, WorkQueue

NEWEST_SESSIONS: Final = 100
ACTIONS_SHOWN: Final = 32
NOTHING: Final = Totals(0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
NO_RECORDINGS: Final = RecordingsStatus(0, 0, 0, 0, 0, 0, 0, 0, 0, [])


class Running(Protocol):
    """What a status is made of; the daemon is one."""

    state: str
    started_s: float
    last_run: LastRun | None
    last_journal_problem: str
    warnings: list[str]
    settings: Settings
    sources: dict[str, Source]
    paths: Paths
    run_file: RunFile
    governor: Governor
    allowance: Allowance
    gate: BackgroundGate
    admission: Admission
    store: SessionStore
    journal: JournalService
    tail: Tail
    recorder: Recorder
    alerts: AlertDesk
    queue: WorkQueue
    streams: Streams

    @property
    def journal_problem(self) -> str: ...
    @property
    def expiry(self) -> dict[str, ExpiryStatus]: ...  # by agent, as of the last look

    @property
    def work(self) -> Workroom: ...

    @property
    def telemetry_problem(self) -> str: ...

    @property
    def heartbeat_problems(self) -> list[str]: ...

    def residency(self, session: str) -> int | None: ...
    def connections(self) -> Connections: ...

    def health(self) -> HealthStatus: ...


class Live(NamedTuple):
    tail: TailStatus
    alerts: AlertsStatus
    memory: MemoryStatus
    health: HealthStatus
    queues: Figures
    work: WorkStatus
    streams: StreamFigures


class StatusBuilder:
    """The status of a running daemon, fresh at each call."""

    def __init__(self, daemon: Running) -> None:
        self._daemon = daemon

    def now(self, look: Look) -> Live:
        """What only the event loop may look at: everything that changes while it is read."""
        daemon = self._daemon
        memory = self._memory(daemon.store.status(), look)
        return Live(
            daemon.tail.status(),
            daemon.alerts.status(),
            memory,
            daemon.health(),
            daemon.queue.figures(),
            daemon.work.status(),
            daemon.streams.figures(),
        )

    def build(self, live: Live) -> Status:
        """The rest, which waits for the journal: on a thread."""
        daemon, tail = self._daemon, live.tail
        with daemon.journal.reader() as reader:
            sources = source_statuses(
                daemon.sources.values(), reader, tail.lag_bytes, daemon.expiry
            )
            totals = reader.totals()
            privacy = privacy_status(daemon.settings.privacy, reader)
            sessions = sessions_status(reader, totals, daemon.residency)
            journal = journal_status(
                totals,
                daemon.paths.journal,
                waiting=daemon.journal.waiting,
                last_problem=daemon.last_journal_problem,
            )
            recordings = recordings_status(reader, daemon.recorder.problems())
            queues = queues_status(reader, live.queues, daemon.settings.resources.work_queue_max)
        problems = [problem for problem in (daemon.journal_problem, *tail.problems) if problem]
        problems += filter(None, [daemon.journal.log_problem])
        problems += daemon.warnings
        problems += daemon.allowance.warnings
        problems += filter(None, [daemon.telemetry_problem])
        problems += daemon.heartbeat_problems
        problems += live.alerts.problems()
        problems += filter(None, [daemon.recorder.failure, *daemon.recorder.problems().values()])
        return Status(
            schema_version=SCHEMA_VERSION,
            daemon=self._about(),
            memory=live.memory,
            health=live.health,
            streams=live.streams,
            work=live.work,
            sources=sources,
            sessions=sessions,
            journal=journal,
            importing=import_status(daemon.tail.progress, running=tail.importing),
            recordings=recordings,
            alerts=live.alerts,
            privacy=privacy,
            queues=queues,
            problems=problems,
        )

    def _about(self) -> DaemonStatus:
        daemon = self._daemon
        return DaemonStatus(
            running=daemon.state != "stopped",
            state=daemon.state,
            pid=os.getpid(),
            version=__version__,
            started_at=daemon.run_file.started_at,
            heartbeat_at=instant(),
            uptime_s=round(time.monotonic() - daemon.started_s, 1),
            data_dir=daemon.paths.data_dir,
            last_run=daemon.last_run,
        )

    def _memory(self, store: StoreStatus, look: Look) -> MemoryStatus:
        snapshot = self._daemon.governor.snapshot(look)
        tree = snapshot.tree
        return MemoryStatus(
            level=snapshot.level.label,
            pressure=self._pressure(snapshot),
            budget_bytes=snapshot.budget_bytes,
            over_budget=snapshot.footprint_bytes > snapshot.budget_bytes,
            process=ProcessStatus(
                tree_bytes=snapshot.footprint_bytes,
                peak_tree_bytes=snapshot.peak_footprint_bytes,
                exact=tree.exact,
                rss_bytes=tree.own.rss_bytes,
                pss_bytes=tree.own.pss_bytes,
                swap_bytes=tree.own.swap_bytes,
                peak_rss_bytes=tree.own.peak_rss_bytes,
                python_allocated_blocks=snapshot.allocations.python_allocated_blocks,
                malloc_in_use_bytes=snapshot.allocations.malloc_in_use_bytes,
                children=tree.children,
            ),
            machine=snapshot.machine,
            snapshots=store,
            components=snapshot.components,
            baseline_bytes=snapshot.baseline_bytes,
            unaccounted_bytes=snapshot.unaccounted_bytes,
            near_limit=tuple(self._daemon.governor.tracker.check_thresholds()),
            tasks=snapshot.tasks,
            connections=self._daemon.connections(),
        )

    def _pressure(self, snapshot: Snapshot) -> PressureStatus:
        daemon, last = self._daemon, snapshot.last
        readings = last.judgement.readings if last is not None else ()
        return PressureStatus(
            level=snapshot.level.label,
            own_level=snapshot.own.label,
            for_s=round(snapshot.level_for_s, 1),
            cause=last.judgement.cause if last is not None else "",
            readings=tuple(
                PressureReading(
                    name=each.name,
                    pct=None if each.pct is None else round(each.pct, 1),
                    level=each.level.label,
                    own=each.own,
                    moderate_pct=each.moderate_pct,
                    high_pct=each.high_pct,
                    critical_pct=each.critical_pct,
                    for_s=round(each.for_s, 1),
                )
                for each in readings
            ),
            holding=snapshot.held,
            actions=snapshot.records[:ACTIONS_SHOWN],
            paused=() if daemon.gate.is_open else daemon.gate.jobs,
            requests=daemon.admission.status(),
        )


def offline_status(
    reader: JournalReader | None,
    sources: Iterable[Source],
    *,
    privacy: Privacy,
    journal_path: str,
    data_dir: str,
    last_run: LastRun | None,
    warn_days: int,
    work_queue_max: int,
) -> Status:
    """What can be said without a daemon."""
    totals = reader.totals() if reader else NOTHING
    known = list(sources)
    expiry = (
        expiry_by_agent(known, reader, now_s=time.time(), warn_days=warn_days) if reader else {}
    )
    return Status(
        schema_version=SCHEMA_VERSION,
        daemon=DaemonStatus(
            running=False,
            state="stopped",
            pid=None,
            version=__version__,
            started_at="",
            heartbeat_at="",
            uptime_s=0.0,
            data_dir=data_dir,
            last_run=last_run,
        ),
        memory=None,
        health=None,
        streams=None,
        work=None,
        sources=source_statuses(known, reader, 0, expiry) if reader else [],
        sessions=sessions_status(reader, totals, lambda _session: None),
        journal=journal_status(totals, journal_path, waiting=0, last_problem=""),
        importing=import_status(Progress(), running=False),
        recordings=recordings_status(reader, {}) if reader else NO_RECORDINGS,
        alerts=None,
        privacy=privacy_status(privacy, reader),
        queues=queues_status(reader, None, work_queue_max),
        problems=[emptied(journal_path)] if is_emptied(journal_path) else [],
    )


def source_statuses(
    sources: Iterable[Source],
    reader: JournalReader,
    lag_bytes: int,
    expiry: Mapping[str, ExpiryStatus],
) -> list[SourceStatus]:
    unknown = reader.unknown_types()
    statuses = []
    for source in sources:
        ledger = reader.ledger(source.agent)
        statuses.append(
            SourceStatus(
                agent=source.agent,
                roots=[RootStatus(root, os.path.isdir(root)) for root in source.roots()],
                files=ledger.files,
                gone_files=ledger.gone,
                unreadable_files=ledger.unreadable,
                excluded_files=ledger.excluded,
                bytes=byte_counts(ledger),
                unknown_types=[each for each in unknown if each.agent == source.agent],
                lag_bytes=lag_bytes,
                last_error=ledger.last_error,
                expiring=expiry.get(source.agent),
            )
        )
    return statuses


def sessions_status(
    reader: JournalReader | None, totals: Totals, residency: Residency
) -> SessionsStatus:
    briefs = []
    for row in reader.sessions(SessionFilter(limit=NEWEST_SESSIONS)) if reader else ():
        resident_bytes = residency(row.id)
        briefs.append(
            SessionBrief(
                row.id,
                row.agent,
                row.title,
                row.updated_at,
                row.events,
                resident_bytes is not None,
                resident_bytes or 0,
            )
        )
    return SessionsStatus(
        totals.sessions, totals.events, totals.raw_bytes, totals.stored_bytes, briefs
    )


def journal_status(totals: Totals, path: str, *, waiting: int, last_problem: str) -> JournalStatus:
    size = sum(os.path.getsize(path + end) for end in ("", "-wal") if os.path.exists(path + end))
    return JournalStatus(
        path=path,
        file_bytes=size,
        index_lag_events=totals.next_position - totals.indexed_position,
        waiting_batches=waiting,
        blobs=totals.blobs,
        blob_bytes=totals.blob_bytes,
        last_problem=last_problem,
    )


def privacy_status(privacy: Privacy, reader: JournalReader | None) -> PrivacyStatus:
    redactions = reader.redactions() if reader else {}
    return PrivacyStatus(privacy.private_tags, privacy.secrets, redactions)


def queues_status(
    reader: JournalReader | None, live: Figures | None, pending_max: int
) -> QueuesStatus:
    """Without a daemon nobody waits."""
    queues = reader.queues() if reader else []
    oldest_ms = min((each.oldest_ms for each in queues if each.oldest_ms is not None), default=None)
    return QueuesStatus(
        queues=len(queues),
        pending=sum(each.pending for each in queues),
        ready=sum(each.ready for each in queues),
        delayed=sum(each.delayed for each in queues),
        waiting=sum(each.waiting for each in queues),
        claimed=sum(each.claimed for each in queues),
        dead=sum(each.dead for each in queues),
        pending_max=pending_max,
        oldest_age_s=None if oldest_ms is None else round(max(0, time.time() - oldest_ms / 1e3), 1),
        waiting_for_room=live.waiting_for_room if live else 0,
        waiting_for_work=live.waiting_for_work if live else 0,
    )


def import_status(progress: Progress, *, running: bool) -> ImportStatus:
    return ImportStatus(
        running, progress.done_bytes, progress.total_bytes, progress.sessions, progress.events
    )
