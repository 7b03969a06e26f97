"""What `holdfast status --json` says, as types: the JSON Schema in docs is made from them.

The shape is a promise. A field may be added without notice; one that changes its meaning or goes
raises `SCHEMA_VERSION`.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from holdfast.alerts import AlertsStatus
from holdfast.governor.admission import Requests
from holdfast.governor.ladder import StepRecord
from holdfast.governor.machine import MachineReading
from holdfast.governor.readings import ProcessMemory
from holdfast.governor.tracker import ComponentMemory, OverLimit, TaskCounts
from holdfast.ingest.importer import ByteCounts
from holdfast.journal.model import UnknownType
from holdfast.journal.service import Connections
from holdfast.recording.listing import RecordingsStatus
from holdfast.snapshots import StoreStatus
from holdfast.status.expiry import ExpiryStatus
from holdfast.stream import Figures as StreamFigures
from holdfast.work import WorkStatus

SCHEMA_VERSION: Final = 1


class LastRun(msgspec.Struct, frozen=True):
    """How the run before this one ended, as far as it left evidence."""

    pid: int
    version: str
    started_at: str
    ended_at: str  # of an unclean end: the last heartbeat
    ending: str  # "stopped", "failed", "restart wanted", "crashed", "out of memory", "killed", …
    detail: str
    evidence: list[str] = []  # what that rests on, where it did not say so itself


class DaemonStatus(msgspec.Struct, frozen=True):
    running: bool
    state: str  # "starting", "importing", "running", "stopping", "stopped"
    pid: int | None
    version: str
    started_at: str
    heartbeat_at: str
    uptime_s: float
    data_dir: str
    last_run: LastRun | None


class ProcessStatus(msgspec.Struct, frozen=True):
    """The daemon and its children; `tree_bytes` is what the ceiling is about."""

    tree_bytes: int  # PSS + swap of the process tree
    peak_tree_bytes: int
    exact: bool  # false where the system has no PSS: RSS stands in
    rss_bytes: int
    pss_bytes: int | None
    swap_bytes: int
    peak_rss_bytes: int
    python_allocated_blocks: int
    malloc_in_use_bytes: int | None
    children: tuple[ProcessMemory, ...]


class PressureReading(msgspec.Struct, frozen=True):
    """One reading, where its levels begin, and what it says by itself."""

    name: str  # "budget", "cgroup", "stall_some", "stall_full", "system"
    pct: float | None  # null where the platform does not tell it, or nothing limits us
    level: str
    own: bool  # whether it counts for `own_level`
    moderate_pct: float
    high_pct: float
    critical_pct: float
    for_s: float  # how long it has been at this level


class PressureStatus(msgspec.Struct, frozen=True):
    """How near an end we are, why, and what is done about it."""

    level: str  # "normal", "moderate", "high", "critical"
    own_level: str  # without the memory of the machine: whether work is turned away
    for_s: float
    cause: str  # the reading that decides the level
    readings: tuple[PressureReading, ...]
    holding: tuple[str, ...]  # steps of the ladder that hold now, in order
    actions: tuple[StepRecord, ...]  # what was done last, newest first
    paused: tuple[str, ...]  # background jobs that wait for better times
    requests: Requests


class MemoryStatus(msgspec.Struct, frozen=True):
    level: str  # "normal", "moderate", "high", "critical"
    pressure: PressureStatus
    budget_bytes: int
    over_budget: bool
    process: ProcessStatus
    machine: MachineReading  # what we share with others, and limits that others set
    snapshots: StoreStatus
    components: tuple[ComponentMemory, ...]
    baseline_bytes: int  # the program itself, before it held anything
    unaccounted_bytes: int  # the process minus baseline minus components
    near_limit: tuple[OverLimit, ...]  # components that are near their own limit
    tasks: TaskCounts
    connections: Connections


class RootStatus(msgspec.Struct, frozen=True):
    path: str
    exists: bool


class SourceStatus(msgspec.Struct, frozen=True):
    agent: str
    roots: list[RootStatus]
    files: int
    gone_files: int
    unreadable_files: int
    excluded_files: int
    bytes: ByteCounts
    unknown_types: list[UnknownType]
    lag_bytes: int
    last_error: str
    expiring: ExpiryStatus | None  # null when it deletes nothing soon, or nobody has looked yet


class SessionBrief(msgspec.Struct, frozen=True):
    id: str
    agent: str
    title: str
    updated_at: str
    events: int
    resident: bool
    resident_bytes: int


class SessionsStatus(msgspec.Struct, frozen=True):
    total: int
    events: int
    raw_bytes: int
    stored_bytes: int
    newest: list[SessionBrief]  # resident or not


class JournalStatus(msgspec.Struct, frozen=True):
    path: str
    file_bytes: int
    index_lag_events: int
    waiting_batches: int
    blobs: int
    blob_bytes: int
    last_problem: str


class ImportStatus(msgspec.Struct, frozen=True):
    running: bool
    done_bytes: int
    total_bytes: int
    sessions: int
    events: int


class PrivacyStatus(msgspec.Struct, frozen=True):
    """What the door does, and what it and `redact` took out so far, by kind."""

    private_tags: bool
    secrets: bool
    redactions: dict[str, int]


class QueuesStatus(msgspec.Struct, frozen=True):
    """Work queues, all together."""

    queues: int
    pending: int  # ready, delayed, waiting and claimed
    ready: int
    delayed: int
    waiting: int  # for other items
    claimed: int
    dead: int
    pending_max: int
    oldest_age_s: float | None  # of what is pending
    waiting_for_room: int  # who enqueue
    waiting_for_work: int  # who claim


class HealthStatus(msgspec.Struct, frozen=True):
    """What a healthy daemon has few of, however long it runs (S12)."""

    timers: int  # duties that come back by the clock
    http_connections: int
    waiting_logs: int  # seen to have changed, not read yet
    followed_logs: int  # written to lately, so looked at often
    pending_captures: int  # commands from outside that wait for the recorder
    pending_learnings: int  # sessions that wait to be looked through
    history_points: int
    log_records: int  # written to both logs since the start
    log_records_dropped: int


class Status(msgspec.Struct, frozen=True):
    schema_version: int
    daemon: DaemonStatus
    memory: MemoryStatus | None  # null when no daemon runs
    health: HealthStatus | None  # the same
    streams: StreamFigures | None  # the same
    work: WorkStatus | None  # the same
    sources: list[SourceStatus]
    sessions: SessionsStatus
    journal: JournalStatus
    importing: ImportStatus
    recordings: RecordingsStatus
    alerts: AlertsStatus | None  # null when no daemon runs
    privacy: PrivacyStatus
    queues: QueuesStatus
    problems: list[str]


def status_schema() -> dict[str, Any]:
    """JSON Schema of `status --json`."""
    schema = msgspec.json.schema(Status)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"holdfast status, schema version {SCHEMA_VERSION}",
        **schema,
    }
