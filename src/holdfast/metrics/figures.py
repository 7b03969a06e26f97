"""The catalogue: every figure that leaves the program, stated once as a function of the status.

Prometheus, OTLP, the history and the page of documentation are all made from `FIGURES`. None of
them looks at anything but a `Status`, so they cannot say otherwise than `holdfast status` does.

Names end in their unit (`_bytes`, `_seconds`, `_ratio`), counters in `_total`. Labels are of few
values, known beforehand or limited by the settings: parts of the program, agents, levels, reasons,
kinds. Never a session, a path or a process id: those grow without end, and a path says what
somebody works on.

A counter never falls while the daemon lives. What can fall, such as the bytes of logs that an agent
rewrites, is a gauge whatever else it counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Final, Literal, NamedTuple

from holdfast.alerts import AlertStatus
from holdfast.governor.machine import MachineReading
from holdfast.governor.protocol import Level
from holdfast.status.model import (
    HealthStatus,
    MemoryStatus,
    PressureReading,
    SourceStatus,
    Status,
)

Kind = Literal["gauge", "counter"]
Number = int | float

STATES: Final = ("starting", "importing", "running", "stopping", "stopped")
RECORDING_STATES: Final = (
    "active",
    "paused",
    "prepared",
    "stopped",
    "lost",
    "failed",
    "exported",
)
UNITS: Final = ("bytes_per_second", "bytes", "seconds", "ratio")


class Point(NamedTuple):
    labels: tuple[str, ...]  # values, in the order of the figure's labels
    value: Number


Read = Callable[[Status], Iterable[Point]]


class Figure(NamedTuple):
    name: str
    kind: Kind
    help: str
    read: Read
    labels: tuple[str, ...] = ()
    kept: bool = False  # in the history

    @property
    def unit(self) -> str:
        """By the end of its name; "" for what counts things."""
        counted = self.name.removesuffix("_total")
        return next((unit for unit in UNITS if counted.endswith(f"_{unit}")), "")


class Reading(NamedTuple):
    """A figure at one moment. A platform that does not tell it leaves it without points."""

    figure: Figure
    points: tuple[Point, ...]


def read_all(status: Status) -> list[Reading]:
    return [Reading(figure, tuple(figure.read(status))) for figure in FIGURES]


# How a figure is read.


def _one(read: Callable[[Status], Number | None]) -> Read:
    def points(status: Status) -> Iterator[Point]:
        value = read(status)
        if value is not None:
            yield Point((), value)

    return points


def _memory(read: Callable[[MemoryStatus], Number | None]) -> Read:
    return _one(lambda status: None if status.memory is None else read(status.memory))


def _health(read: Callable[[HealthStatus], Number]) -> Read:
    return _one(lambda status: None if status.health is None else read(status.health))


def _machine(read: Callable[[MachineReading], Number | None]) -> Read:
    return _memory(lambda memory: read(memory.machine))


def _of_memory(read: Callable[[MemoryStatus], Iterable[tuple[str, Number | None]]]) -> Read:
    def points(status: Status) -> Iterator[Point]:
        for label, value in read(status.memory) if status.memory is not None else ():
            if value is not None:
                yield Point((label,), value)

    return points


def _of_sources(read: Callable[[SourceStatus], Number]) -> Read:
    return lambda status: [Point((each.agent,), read(each)) for each in status.sources]


def _bytes_of_sources(status: Status) -> Iterator[Point]:
    for each in status.sources:
        for outcome in ("parsed", "skipped", "unknown", "bad"):
            yield Point((each.agent, outcome), getattr(each.bytes, outcome))


def _one_of(labels: Iterable[str], current: str) -> list[tuple[str, Number]]:
    return [(label, int(label == current)) for label in labels]


def _of_readings(read: Callable[[PressureReading], Number | None]) -> Read:
    return _of_memory(lambda memory: [(each.name, read(each)) for each in memory.pressure.readings])


def _thresholds(status: Status) -> Iterator[Point]:
    for each in status.memory.pressure.readings if status.memory is not None else ():
        yield Point((each.name, "moderate"), each.moderate_pct / 100)
        yield Point((each.name, "high"), each.high_pct / 100)
        yield Point((each.name, "critical"), each.critical_pct / 100)


def _of_alerts(read: Callable[[AlertStatus], Number]) -> Read:
    def points(status: Status) -> Iterator[Point]:
        for each in status.alerts.rules if status.alerts is not None else ():
            yield Point((each.name, each.severity), read(each))

    return points


def _states(status: Status) -> Iterator[Point]:
    return (Point((state,), is_it) for state, is_it in _one_of(STATES, status.daemon.state))


def _build(status: Status) -> Iterator[Point]:
    yield Point((status.daemon.version, str(status.schema_version)), 1)


def _started(status: Status) -> float | None:
    at = status.daemon.started_at
    return datetime.fromisoformat(at).timestamp() if at else None


def _share(part: Number, whole: Number) -> float | None:
    return part / whole if whole else None


def _processes(measure: str) -> Callable[[MemoryStatus], list[tuple[str, Number | None]]]:
    def read(memory: MemoryStatus) -> list[tuple[str, Number | None]]:
        process = memory.process
        return [
            ("daemon", getattr(process, measure)),
            ("children", sum(getattr(child, measure) or 0 for child in process.children)),
        ]

    return read


def _last_run_was_clean(status: Status) -> int | None:
    last = status.daemon.last_run
    return None if last is None else int(last.ending == "stopped")


FIGURES: Final[tuple[Figure, ...]] = (
    # The daemon.
    Figure(
        "holdfast_build_info",
        "gauge",
        "Always 1; its labels say which version answers, and of which version its status is.",
        _build,
        ("version", "schema_version"),
    ),
    Figure(
        "holdfast_start_time_seconds",
        "gauge",
        "When the daemon started, in seconds since 1970.",
        _one(_started),
    ),
    Figure(
        "holdfast_uptime_seconds",
        "gauge",
        "How long it has been running.",
        _one(lambda s: s.daemon.uptime_s),
    ),
    Figure(
        "holdfast_state", "gauge", "1 for the state that the daemon is in.", _states, ("state",)
    ),
    Figure(
        "holdfast_last_run_clean",
        "gauge",
        "1 when the run before this one was stopped in an orderly way, 0 when it was killed or "
        "failed; absent when there was none.",
        _one(_last_run_was_clean),
    ),
    Figure(
        "holdfast_problems",
        "gauge",
        "How many problems the status names.",
        _one(lambda s: len(s.problems)),
    ),
    # Memory.
    Figure(
        "holdfast_memory_budget_bytes",
        "gauge",
        "The ceiling on the whole process tree, `daemon.max_memory_mb`.",
        _memory(lambda m: m.budget_bytes),
    ),
    Figure(
        "holdfast_memory_tree_bytes",
        "gauge",
        "PSS + swap of the process tree: what the ceiling is about.",
        _memory(lambda m: m.process.tree_bytes),
        kept=True,
    ),
    Figure(
        "holdfast_memory_tree_peak_bytes",
        "gauge",
        "The most of it that was seen since the start.",
        _memory(lambda m: m.process.peak_tree_bytes),
    ),
    Figure(
        "holdfast_memory_used_ratio",
        "gauge",
        "The tree as a share of the ceiling; 1 is the ceiling.",
        _memory(lambda m: _share(m.process.tree_bytes, m.budget_bytes)),
        kept=True,
    ),
    Figure(
        "holdfast_memory_over_budget",
        "gauge",
        "1 while the tree is above the ceiling.",
        _memory(lambda m: int(m.over_budget)),
    ),
    Figure(
        "holdfast_memory_exact",
        "gauge",
        "0 where the system has no PSS and RSS stands in.",
        _memory(lambda m: int(m.process.exact)),
    ),
    Figure(
        "holdfast_memory_baseline_bytes",
        "gauge",
        "The program itself, before it held anything.",
        _memory(lambda m: m.baseline_bytes),
    ),
    Figure(
        "holdfast_memory_unaccounted_bytes",
        "gauge",
        "The tree without the baseline and the components; may be below zero. A leak shows here.",
        _memory(lambda m: m.unaccounted_bytes),
        kept=True,
    ),
    Figure(
        "holdfast_memory_pressure_level",
        "gauge",
        f"Pressure as a number: {', '.join(f'{each.value} {each.label}' for each in Level)}.",
        _memory(lambda m: Level[m.level.upper()].value),
        kept=True,
    ),
    Figure(
        "holdfast_memory_pressure",
        "gauge",
        "1 for the level that pressure is at.",
        _of_memory(lambda m: _one_of((each.label for each in Level), m.level)),
        ("level",),
    ),
    Figure(
        "holdfast_memory_own_pressure_level",
        "gauge",
        "The same without the memory of the machine: by this one work is turned away.",
        _memory(lambda m: Level[m.pressure.own_level.upper()].value),
    ),
    Figure(
        "holdfast_memory_pressure_age_seconds",
        "gauge",
        "How long pressure has been at its level.",
        _memory(lambda m: m.pressure.for_s),
    ),
    Figure(
        "holdfast_memory_pressure_cause",
        "gauge",
        "1 for the reading that decides the level.",
        _of_memory(lambda m: _one_of((r.name for r in m.pressure.readings), m.pressure.cause)),
        ("reading",),
    ),
    Figure(
        "holdfast_memory_reading_ratio",
        "gauge",
        "What a reading says: memory as a share of its limit, or time as a share of ten seconds.",
        _of_readings(lambda r: None if r.pct is None else r.pct / 100),
        ("reading",),
    ),
    Figure(
        "holdfast_memory_reading_level",
        "gauge",
        "The level of that reading by itself, as a number.",
        _of_readings(lambda r: Level[r.level.upper()].value),
        ("reading",),
    ),
    Figure(
        "holdfast_memory_reading_own",
        "gauge",
        "1 when that reading counts for `holdfast_memory_own_pressure_level`.",
        _of_readings(lambda r: int(r.own)),
        ("reading",),
    ),
    Figure(
        "holdfast_memory_reading_age_seconds",
        "gauge",
        "How long it has been at its level.",
        _of_readings(lambda r: r.for_s),
        ("reading",),
    ),
    Figure(
        "holdfast_memory_threshold_ratio",
        "gauge",
        "Where a level of a reading begins.",
        _thresholds,
        ("reading", "level"),
    ),
    Figure(
        "holdfast_memory_step_held",
        "gauge",
        "1 for each step against pressure that holds now.",
        _of_memory(lambda m: [(step, 1) for step in m.pressure.holding]),
        ("step",),
    ),
    Figure(
        "holdfast_memory_jobs_paused",
        "gauge",
        "Background jobs that wait for better times.",
        _memory(lambda m: len(m.pressure.paused)),
    ),
    Figure(
        "holdfast_admission_closed",
        "gauge",
        "1 while costly requests are throttled, and while all new work is refused.",
        _of_memory(
            lambda m: [
                ("throttled", int(m.pressure.requests.throttling)),
                ("refused", int(m.pressure.requests.refusing)),
            ]
        ),
        ("outcome",),
    ),
    Figure(
        "holdfast_requests_put_off_total",
        "counter",
        "Requests that were answered with 429 (`throttled`) and with 503 (`refused`).",
        _of_memory(
            lambda m: [
                ("throttled", m.pressure.requests.throttled),
                ("refused", m.pressure.requests.refused),
            ]
        ),
        ("outcome",),
    ),
    Figure(
        "holdfast_component_bytes",
        "gauge",
        "What a part of the program takes, by its own account.",
        _of_memory(lambda m: [(c.name, c.bytes) for c in m.components]),
        ("component",),
    ),
    Figure(
        "holdfast_component_items",
        "gauge",
        "How many things that are.",
        _of_memory(lambda m: [(c.name, c.items) for c in m.components]),
        ("component",),
    ),
    Figure(
        "holdfast_component_limit_bytes",
        "gauge",
        "What it may take; absent without a limit.",
        _of_memory(lambda m: [(c.name, c.limit_bytes) for c in m.components]),
        ("component",),
    ),
    Figure(
        "holdfast_component_limit_items",
        "gauge",
        "How many things it may hold; absent without a limit.",
        _of_memory(lambda m: [(c.name, c.limit_items) for c in m.components]),
        ("component",),
    ),
    Figure(
        "holdfast_component_high_water_bytes",
        "gauge",
        "The most it took since the start.",
        _of_memory(lambda m: [(c.name, c.high_water_bytes) for c in m.components]),
        ("component",),
    ),
    Figure(
        "holdfast_component_growth_bytes_per_second",
        "gauge",
        "What it grew by in the last half minute; below zero when it shrank.",
        _of_memory(lambda m: [(c.name, c.rate_bytes_s) for c in m.components]),
        ("component",),
    ),
    Figure(
        "holdfast_components_near_limit",
        "gauge",
        "Components at 90 % of their own limit or more.",
        _memory(lambda m: len(m.near_limit)),
    ),
    # Processes.
    Figure(
        "holdfast_process_resident_bytes",
        "gauge",
        "RSS of the daemon, and of its children together.",
        _of_memory(_processes("rss_bytes")),
        ("process",),
    ),
    Figure(
        "holdfast_process_proportional_bytes",
        "gauge",
        "PSS of the daemon, and of its children together; absent where there is none.",
        _of_memory(_processes("pss_bytes")),
        ("process",),
    ),
    Figure(
        "holdfast_process_swap_bytes",
        "gauge",
        "Swap of the daemon, and of its children together.",
        _of_memory(_processes("swap_bytes")),
        ("process",),
    ),
    Figure(
        "holdfast_process_resident_peak_bytes",
        "gauge",
        "The most RSS that the daemon ever had.",
        _memory(lambda m: m.process.peak_rss_bytes),
    ),
    Figure(
        "holdfast_process_children",
        "gauge",
        "How many child processes run.",
        _memory(lambda m: len(m.process.children)),
    ),
    Figure(
        "holdfast_python_allocated_blocks",
        "gauge",
        "Blocks that Python's allocator has handed out.",
        _memory(lambda m: m.process.python_allocated_blocks),
    ),
    Figure(
        "holdfast_malloc_in_use_bytes",
        "gauge",
        "What malloc has handed out; glibc only.",
        _memory(lambda m: m.process.malloc_in_use_bytes),
    ),
    Figure(
        "holdfast_open_descriptors",
        "gauge",
        "Open file descriptors.",
        _machine(lambda m: None if m.descriptors is None else m.descriptors.open),
    ),
    Figure(
        "holdfast_open_descriptors_limit",
        "gauge",
        "How many there may be; absent without a limit.",
        _machine(lambda m: None if m.descriptors is None else m.descriptors.soft_limit),
    ),
    Figure(
        "holdfast_threads",
        "gauge",
        "Threads of the daemon.",
        _machine(lambda m: m.threads),
    ),
    # The machine, and limits that others set.
    Figure(
        "holdfast_machine_memory_bytes",
        "gauge",
        "Memory of the machine.",
        _machine(lambda m: None if m.system is None else m.system.total_bytes),
    ),
    Figure(
        "holdfast_machine_memory_available_bytes",
        "gauge",
        "What can be had of it without swapping.",
        _machine(lambda m: None if m.system is None else m.system.available_bytes),
    ),
    Figure(
        "holdfast_machine_swap_bytes",
        "gauge",
        "Swap of the machine.",
        _machine(lambda m: None if m.system is None else m.system.swap_total_bytes),
    ),
    Figure(
        "holdfast_machine_swap_free_bytes",
        "gauge",
        "What is free of it.",
        _machine(lambda m: None if m.system is None else m.system.swap_free_bytes),
    ),
    Figure(
        "holdfast_cgroup_limit_bytes",
        "gauge",
        "The memory limit that is nearest, of our control group and those above; absent without.",
        _machine(lambda m: None if m.group is None else m.group.limit_bytes),
    ),
    Figure(
        "holdfast_cgroup_used_bytes",
        "gauge",
        "What that group uses, without what the kernel can drop.",
        _machine(lambda m: None if m.group is None else m.group.used_bytes),
    ),
    Figure(
        "holdfast_cgroup_cache_bytes",
        "gauge",
        "What the kernel can drop of it.",
        _machine(lambda m: None if m.group is None else m.group.cache_bytes),
    ),
    Figure(
        "holdfast_cgroup_high_bytes",
        "gauge",
        "From where on the kernel slows one of these groups down; absent without such a line.",
        _machine(lambda m: None if m.group is None else m.group.high_bytes),
    ),
    Figure(
        "holdfast_cgroup_high_used_ratio",
        "gauge",
        "How near that is; of the group that is nearest.",
        _machine(
            lambda m: (
                None
                if m.group is None or m.group.high_used_pct is None
                else m.group.high_used_pct / 100
            )
        ),
    ),
    Figure(
        "holdfast_cgroup_oom_kills_total",
        "counter",
        "Processes of our control group that the kernel killed for memory.",
        _machine(lambda m: None if m.group is None else m.group.oom_kills),
    ),
    Figure(
        "holdfast_memory_stall_some_ratio",
        "gauge",
        "The share of the last ten seconds in which a task waited for memory.",
        _machine(lambda m: None if m.stall is None else m.stall.some_pct / 100),
    ),
    Figure(
        "holdfast_memory_stall_full_ratio",
        "gauge",
        "The share in which all tasks did.",
        _machine(lambda m: None if m.stall is None else m.stall.full_pct / 100),
    ),
    Figure(
        "holdfast_disk_bytes",
        "gauge",
        "The disk that the data folder is on.",
        _machine(lambda m: None if m.disk is None else m.disk.total_bytes),
    ),
    Figure(
        "holdfast_disk_free_bytes",
        "gauge",
        "What is free on it for us.",
        _machine(lambda m: None if m.disk is None else m.disk.free_bytes),
    ),
    # Sessions in memory.
    Figure(
        "holdfast_snapshots_bytes",
        "gauge",
        "What sessions in memory take, by their own account.",
        _memory(lambda m: m.snapshots.accounted_bytes),
        kept=True,
    ),
    Figure(
        "holdfast_snapshots_budget_bytes",
        "gauge",
        "What they may take.",
        _memory(lambda m: m.snapshots.budget_bytes),
    ),
    Figure(
        "holdfast_snapshots_allowed_bytes",
        "gauge",
        "What they may take now: less than the budget while memory is scarce.",
        _memory(lambda m: m.snapshots.allowed_bytes),
    ),
    Figure(
        "holdfast_snapshots_peak_bytes",
        "gauge",
        "The most they took since the start.",
        _memory(lambda m: m.snapshots.peak_bytes),
    ),
    Figure(
        "holdfast_snapshots_over_budget",
        "gauge",
        "1 while they are above that.",
        _memory(lambda m: int(m.snapshots.over_budget)),
    ),
    Figure(
        "holdfast_snapshots_sessions",
        "gauge",
        "Sessions in memory.",
        _memory(lambda m: m.snapshots.resident_sessions),
        kept=True,
    ),
    Figure(
        "holdfast_snapshots_sessions_limit",
        "gauge",
        "How many there may be.",
        _memory(lambda m: m.snapshots.max_sessions),
    ),
    Figure(
        "holdfast_snapshots_events",
        "gauge",
        "Events in memory.",
        _memory(lambda m: m.snapshots.resident_events),
    ),
    Figure(
        "holdfast_snapshots_dropped_events_total",
        "counter",
        "Events that left memory because their session had newer ones; they are in the journal.",
        _memory(lambda m: m.snapshots.dropped_events),
    ),
    Figure(
        "holdfast_snapshots_spilled_events_total",
        "counter",
        "Events that left memory because their session was oversized; they are in the journal.",
        _memory(lambda m: m.snapshots.spilled_events),
    ),
    Figure(
        "holdfast_snapshots_evictions_total",
        "counter",
        "Sessions that left memory, by reason; they are in the journal.",
        _of_memory(lambda m: m.snapshots.evictions.items()),
        ("reason",),
    ),
    Figure(
        "holdfast_snapshots_reclaimed_bytes_total",
        "counter",
        "Bytes that evictions gave back, by reason.",
        _of_memory(lambda m: m.snapshots.bytes_reclaimed.items()),
        ("reason",),
    ),
    Figure(
        "holdfast_snapshots_idle_sessions",
        "gauge",
        "Sessions that are idle and that an eviction of idle ones would take.",
        _memory(lambda m: m.snapshots.idle_eviction.would_evict),
    ),
    # What is kept.
    Figure(
        "holdfast_sessions",
        "gauge",
        "Sessions in the journal.",
        _one(lambda s: s.sessions.total),
    ),
    Figure(
        "holdfast_events",
        "gauge",
        "Events in the journal.",
        _one(lambda s: s.sessions.events),
        kept=True,
    ),
    Figure(
        "holdfast_events_raw_bytes",
        "gauge",
        "What they take before compression.",
        _one(lambda s: s.sessions.raw_bytes),
    ),
    Figure(
        "holdfast_events_stored_bytes",
        "gauge",
        "What they take in the journal.",
        _one(lambda s: s.sessions.stored_bytes),
    ),
    Figure(
        "holdfast_journal_file_bytes",
        "gauge",
        "The journal's file and its write-ahead log.",
        _one(lambda s: s.journal.file_bytes),
        kept=True,
    ),
    Figure(
        "holdfast_journal_index_lag_events",
        "gauge",
        "Events that are stored and that a search does not find yet.",
        _one(lambda s: s.journal.index_lag_events),
        kept=True,
    ),
    Figure(
        "holdfast_journal_waiting_batches",
        "gauge",
        "Batches that wait for the writer.",
        _one(lambda s: s.journal.waiting_batches),
    ),
    Figure(
        "holdfast_journal_blobs",
        "gauge",
        "Payloads beside the journal.",
        _one(lambda s: s.journal.blobs),
    ),
    Figure(
        "holdfast_journal_blob_bytes",
        "gauge",
        "What they take.",
        _one(lambda s: s.journal.blob_bytes),
    ),
    # Where it comes from.
    Figure(
        "holdfast_source_files",
        "gauge",
        "Logs that are known.",
        _of_sources(lambda s: s.files),
        ("agent",),
    ),
    Figure(
        "holdfast_source_gone_files",
        "gauge",
        "Logs that the agent has deleted; what they held is kept.",
        _of_sources(lambda s: s.gone_files),
        ("agent",),
    ),
    Figure(
        "holdfast_source_unreadable_files",
        "gauge",
        "Logs that cannot be read.",
        _of_sources(lambda s: s.unreadable_files),
        ("agent",),
    ),
    Figure(
        "holdfast_source_excluded_files",
        "gauge",
        "Logs of projects that are left alone.",
        _of_sources(lambda s: s.excluded_files),
        ("agent",),
    ),
    Figure(
        "holdfast_source_seen_bytes",
        "gauge",
        "All bytes of all known logs; falls when an agent rewrites one.",
        _of_sources(lambda s: s.bytes.seen),
        ("agent",),
    ),
    Figure(
        "holdfast_source_bytes",
        "gauge",
        "What became of them: the outcomes add up to `holdfast_source_seen_bytes`.",
        _bytes_of_sources,
        ("agent", "outcome"),
    ),
    Figure(
        "holdfast_source_torn_bytes",
        "gauge",
        "Of the bad ones, ends of logs that are being written.",
        _of_sources(lambda s: s.bytes.torn),
        ("agent",),
    ),
    Figure(
        "holdfast_source_unknown_types",
        "gauge",
        "Record types that no rule knows; their records are kept raw.",
        _of_sources(lambda s: len(s.unknown_types)),
        ("agent",),
    ),
    Figure(
        "holdfast_source_expiring_files",
        "gauge",
        "Logs that the agent deletes soon (`sources.warn_deletion_days`).",
        _of_sources(lambda s: 0 if s.expiring is None else s.expiring.files),
        ("agent",),
    ),
    Figure(
        "holdfast_source_expiring_not_kept_files",
        "gauge",
        "Of these, the ones that the journal has not in full.",
        _of_sources(lambda s: 0 if s.expiring is None else s.expiring.not_kept_files),
        ("agent",),
    ),
    Figure(
        "holdfast_sources_lag_bytes",
        "gauge",
        "What a running import has still to read, of all agents together.",
        _one(lambda s: max((each.lag_bytes for each in s.sources), default=0)),
        kept=True,
    ),
    Figure(
        "holdfast_import_running",
        "gauge",
        "1 while an import runs.",
        _one(lambda s: int(s.importing.running)),
    ),
    Figure(
        "holdfast_import_done_bytes",
        "gauge",
        "What the last import read so far.",
        _one(lambda s: s.importing.done_bytes),
    ),
    Figure(
        "holdfast_import_plan_bytes",
        "gauge",
        "What it is to read.",
        _one(lambda s: s.importing.total_bytes),
    ),
    Figure(
        "holdfast_import_sessions",
        "gauge",
        "Sessions that it found.",
        _one(lambda s: s.importing.sessions),
    ),
    Figure(
        "holdfast_import_events",
        "gauge",
        "Events that it stored.",
        _one(lambda s: s.importing.events),
    ),
    # Recordings and privacy.
    Figure(
        "holdfast_recordings",
        "gauge",
        "Recordings by state; `paused` ones count as `active` too.",
        lambda s: [Point((each,), getattr(s.recordings, each)) for each in RECORDING_STATES],
        ("state",),
    ),
    Figure(
        "holdfast_recording_commands",
        "gauge",
        "Commands in chats and from outside, by what became of them.",
        lambda s: [
            Point(("done",), s.recordings.commands_done),
            Point(("refused",), s.recordings.commands_refused),
        ],
        ("outcome",),
    ),
    Figure(
        "holdfast_privacy_redactions_total",
        "counter",
        "Private parts and secrets that were taken out, by kind.",
        lambda s: [Point((kind,), count) for kind, count in s.privacy.redactions.items()],
        ("kind",),
    ),
    Figure(
        "holdfast_privacy_enabled",
        "gauge",
        "1 for what the door takes out, 0 for what is switched off.",
        lambda s: [
            Point(("private_tags",), int(s.privacy.private_tags)),
            Point(("secrets",), int(s.privacy.secrets)),
        ],
        ("part",),
    ),
    # Alerts.
    Figure(
        "holdfast_alert_firing",
        "gauge",
        "1 while a rule of holdfast's own alerts fires.",
        _of_alerts(lambda a: int(a.state == "firing")),
        ("alert", "severity"),
    ),
    Figure(
        "holdfast_alert_age_seconds",
        "gauge",
        "How long it has been in its state; 0 when quiet.",
        _of_alerts(lambda a: a.for_s),
        ("alert", "severity"),
    ),
    Figure(
        "holdfast_alert_silenced_seconds",
        "gauge",
        "How much longer nobody is told of it.",
        _of_alerts(lambda a: a.silenced_s),
        ("alert", "severity"),
    ),
    Figure(
        "holdfast_alert_told_total",
        "counter",
        "How often somebody was told of it since the start.",
        _of_alerts(lambda a: a.told),
        ("alert", "severity"),
    ),
    Figure(
        "holdfast_restart_recommended",
        "gauge",
        "How many rules that fire recommend a restart.",
        _one(lambda s: 0 if s.alerts is None else len(s.alerts.restart_recommended)),
    ),
    # Health: of these a sound daemon has few, however long it runs.
    Figure(
        "holdfast_tasks",
        "gauge",
        "The daemon's own tasks that run.",
        _memory(lambda m: m.tasks.active),
        kept=True,
    ),
    Figure(
        "holdfast_tasks_spawned_total",
        "counter",
        "Tasks that were begun.",
        _memory(lambda m: m.tasks.spawned),
    ),
    Figure(
        "holdfast_tasks_completed_total",
        "counter",
        "Tasks that ended, also with an error.",
        _memory(lambda m: m.tasks.completed),
    ),
    Figure(
        "holdfast_tasks_failed_total",
        "counter",
        "Tasks that ended with an error.",
        _memory(lambda m: m.tasks.failed),
    ),
    Figure(
        "holdfast_timers",
        "gauge",
        "Duties that come back by the clock.",
        _health(lambda h: h.timers),
    ),
    Figure(
        "holdfast_http_connections",
        "gauge",
        "Connections to the sockets that the daemon listens on.",
        _health(lambda h: h.http_connections),
    ),
    Figure(
        "holdfast_journal_readers",
        "gauge",
        "Connections that read the journal; beside them there is the one that writes.",
        _memory(lambda m: m.connections.open),
    ),
    Figure(
        "holdfast_journal_readers_limit",
        "gauge",
        "How many there may be, `journal.readers`.",
        _memory(lambda m: m.connections.readers_max),
    ),
    Figure(
        "holdfast_journal_readers_lent",
        "gauge",
        "How many are at work.",
        _memory(lambda m: m.connections.lent),
        kept=True,
    ),
    Figure(
        "holdfast_journal_readers_waited_for",
        "gauge",
        "How many readers wait for one.",
        _memory(lambda m: m.connections.waiting),
    ),
    Figure(
        "holdfast_journal_readers_held_too_long",
        "gauge",
        "How many have been lent for longer than `resources.reader_held_secs`.",
        _memory(lambda m: len(m.connections.held_too_long)),
    ),
    Figure(
        "holdfast_waiting_logs",
        "gauge",
        "Logs that were seen to have changed and are not read yet.",
        _health(lambda h: h.waiting_logs),
    ),
    Figure(
        "holdfast_followed_logs",
        "gauge",
        "Logs that were written to lately and are looked at often.",
        _health(lambda h: h.followed_logs),
    ),
    Figure(
        "holdfast_pending_captures",
        "gauge",
        "Commands from outside that wait for the recorder.",
        _health(lambda h: h.pending_captures),
    ),
    Figure(
        "holdfast_history_points",
        "gauge",
        "Points in the history of figures.",
        _health(lambda h: h.history_points),
    ),
    Figure(
        "holdfast_log_records_total",
        "counter",
        "Records written to both logs since the start.",
        _health(lambda h: h.log_records),
    ),
    Figure(
        "holdfast_log_records_dropped_total",
        "counter",
        "Records that could not be written.",
        _health(lambda h: h.log_records_dropped),
    ),
)
