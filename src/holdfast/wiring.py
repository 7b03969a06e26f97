"""Settings become parts: what the daemon, and an import without a daemon, are built from."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

import msgspec

from holdfast.alerts import AlertDesk, Alerts, Pager
from holdfast.blocks import DamagedBlock
from holdfast.clock import instant
from holdfast.errors import Exit, HoldfastError
from holdfast.files import write_atomically
from holdfast.governor.gate import BackgroundGate
from holdfast.governor.governor import Governor, OnChange, lines_of
from holdfast.governor.ladder import Step
from holdfast.governor.levels import STALL_HYSTERESIS_POINTS, Line, Thresholds
from holdfast.governor.machine import Machine
from holdfast.governor.readings import Readings
from holdfast.ingest.child import Setup
from holdfast.ingest.exclusion import excluded_projects
from holdfast.ingest.gathering import ReadingLimits
from holdfast.ingest.importer import child_limit_bytes
from holdfast.ingest.spool import SpoolLimits
from holdfast.journal.reader import SqliteReader
from holdfast.journal.service import JournalService
from holdfast.journal.sqlite import JournalError
from holdfast.journal.streams import Append, Projection
from holdfast.journal.writer import SqliteWriter
from holdfast.library import FORMATS, Library
from holdfast.observe import EventLog, Logs
from holdfast.paths import Paths
from holdfast.privacy import Door, compiled_apart, kept_screen
from holdfast.recording.child import PAGE, page_by_child
from holdfast.recording.conduct import Limits
from holdfast.recording.destinations import Rules
from holdfast.recording.recorder import Recorder
from holdfast.recording.view import View
from holdfast.redaction import Redactor
from holdfast.settings import PRIVACY_PARTS, Settings
from holdfast.settings.patterns import fault_of_rule
from holdfast.snapshots import Eviction, SessionStore, StoreLimits
from holdfast.sources.base import Source
from holdfast.sources.registry import every_source
from holdfast.status.crash import CrashFile
from holdfast.stream import BadAppend, NewEvent, Streams
from holdfast.stream import Limits as StreamLimits
from holdfast.telemetry import Job
from holdfast.telemetry.supervisor import Supervisor
from holdfast.work import (
    CheckpointSettings,
    IntentSettings,
    TaskSettings,
    Usual,
    Workroom,
    WorkSettings,
)
from holdfast.work.queue import Backoff, Died, WorkQueue
from holdfast.work.queue import Limits as WorkLimits

if TYPE_CHECKING:
    from holdfast.work.learnings import LearningExtractor
    from holdfast.work.ledger_file import LedgerFile

MIB: Final = 1 << 20
PATTERN_KIND: Final = "pattern"  # of what a pattern on the command line finds


class BadPattern(HoldfastError):
    """A pattern that cannot be searched for."""

    exit: ClassVar[Exit] = Exit.USAGE


def make_setup(
    settings: Settings, paths: Paths, *, compile_screen: Callable[[], bytes] = compiled_apart
) -> Setup:
    """What import children are told."""
    limits = ReadingLimits(settings.snapshots.block_bytes, settings.ingest.max_line_bytes)
    spool = SpoolLimits(paths.data_dir, settings.ingest.max_decompressed_bytes)
    return Setup(
        limits,
        spool,
        paths.blobs,
        paths.journal,
        child_limit_bytes(settings),
        privacy=settings.privacy,
        screen=kept_screen(paths.state_dir, compile_screen),
        excluded=excluded_projects(settings),
    )


def open_journal(
    settings: Settings, paths: Paths, on_failure: Callable[[JournalError], None]
) -> JournalService:
    """The journal of this home; the caller holds its lock."""
    return JournalService(
        lambda: SqliteWriter(
            paths.journal,
            block_bytes=settings.snapshots.block_bytes,
            audit_max_rows=settings.journal.audit_max_rows,
        ),
        lambda: SqliteReader(paths.journal),
        readers=settings.journal.readers,
        wal_max_bytes=settings.journal.wal_max_bytes,
        on_failure=on_failure,
    )


def make_streams(
    settings: Settings, journal: JournalService, door: Callable[[], Door], log: EventLog
) -> Streams:
    chosen, resources = settings.stream, settings.resources

    def damaged(session: str, error: DamagedBlock) -> None:
        log.error("stream.damaged_block", session=session, error=str(error))

    return Streams(
        journal,
        limits=StreamLimits(
            history_events=chosen.max_event_history,
            history_bytes=chosen.max_history_bytes,
            cache_events=chosen.max_cache_size,
            cache_bytes=chosen.max_cache_bytes,
            ring_events=resources.event_capacity,
            ring_ttl_s=float(resources.event_ttl_secs),
            event_bytes=chosen.max_event_bytes,
        ),
        clean=lambda events: clean_events(door(), events),
        on_damage=damaged,
    )


def make_learnings(
    settings: Settings, journal: JournalService, gate: BackgroundGate, log: EventLog
) -> LearningExtractor | None:
    """None when it is switched off. What it appends was let in by the door before."""
    if not settings.learnings.enabled:
        return None
    from holdfast.work.learnings import PROJECTION, LearningExtractor

    def append(stream: str, events: Sequence[NewEvent]) -> Awaitable[object]:
        return asyncio.to_thread(lambda: journal.append([Append(stream, events)]).result())

    def save(position: int) -> Awaitable[object]:
        kept = Projection(position, b"")
        work = partial(journal.transact, lambda writer: writer.save_projection(PROJECTION, kept))
        return asyncio.to_thread(lambda: work().result())

    return LearningExtractor(
        journal.reader,
        append,
        save,
        gate=gate,
        log=log,
        debounce_ms=settings.learnings.debounce_ms,
    )


def make_ledger_file(  # what it is made of
    settings: Settings,
    paths: Paths,
    environ: Mapping[str, str],
    journal: JournalService,
    gate: BackgroundGate,
    log: EventLog,
) -> LedgerFile | None:
    """None when nobody wants one."""
    if settings.ledger.path is None:
        return None
    from holdfast.recording.policy import WritePolicy
    from holdfast.work.ledger_file import LedgerFile

    home = environ.get("HOME") or os.path.expanduser("~")
    policy = WritePolicy(
        settings.recording.allowed_write_roots, home, home, config=paths.config_file
    )
    return LedgerFile(
        settings.ledger.path,
        journal.reader,
        policy,
        gate=gate,
        log=log,
        debounce_ms=settings.ledger.debounce_ms,
    )


def make_work(
    settings: Settings, journal: JournalService, streams: Streams, log: EventLog
) -> Workroom:
    tasks, checkpoints, intents = settings.tasks, settings.checkpoints, settings.intents
    return Workroom(
        journal,
        streams,
        WorkSettings(
            tasks=TaskSettings(
                usual=Usual(
                    timeout_s=tasks.timeout_secs,
                    heartbeat_s=tasks.heartbeat_secs,
                    retries=tasks.retries,
                ),
                max_unfinished=tasks.max_unfinished,
                retain_s=tasks.retain_minutes * 60,
                observe_min_s=float(tasks.observer_min_secs),
                observe_max_s=float(tasks.observer_max_secs),
            ),
            checkpoints=CheckpointSettings(
                max_pending=checkpoints.max_pending,
                expiry_s=checkpoints.expiry_secs,
                retain_s=checkpoints.retain_minutes * 60,
            ),
            intents=IntentSettings(
                max_active=intents.max_active, retain_s=intents.retain_minutes * 60
            ),
            keys_s=settings.stream.key_retention_hours * 3_600,
        ),
        on_problem=lambda problem: log.warning("work.problem", problem=problem),
    )


def clean_events(door: Door, events: Sequence[NewEvent]) -> Sequence[NewEvent]:
    """What programs append goes through the same door as what agents log.

    A key is refused and not cleaned: two that differ only in what is taken out would be one, and
    the second event a repeat of the first.
    """
    lines = [msgspec.json.encode(event) for event in events]
    if not door.suspects(b"\n".join(lines)):
        return events
    clean = [msgspec.json.decode(door.clean_event(line, 0)[0], type=NewEvent) for line in lines]
    if any(before.key != after.key for before, after in zip(events, clean, strict=True)):
        raise BadAppend(
            "the key of an event holds a secret or something private, which is not stored: take a "
            "key that says nothing, such as a number"
        )
    return clean


def make_door(setup: Setup) -> Callable[[], Door]:
    """For what programs send; its rules take 5 MB: not before somebody does."""
    return cache(setup.door)


def make_queue(
    settings: Settings, journal: JournalService, door: Callable[[], Door], log: EventLog
) -> WorkQueue:
    chosen = settings.work

    def died(item: Died) -> None:
        log.warning(
            "queue.dead_letter",
            item=item.id,
            queue=item.queue,
            reason=item.reason,
            attempts=item.attempts,
            error=item.error,
        )

    return WorkQueue(
        journal,
        WorkLimits(
            pending_max=settings.resources.work_queue_max,
            dead_max=chosen.dead_letters_max,
            payload_bytes_max=chosen.max_payload_bytes,
            lease_secs=float(chosen.lease_secs),
            attempts_max=chosen.max_attempts,
            backoff=Backoff(chosen.retry_base_ms, chosen.retry_max_secs * 1_000),
        ),
        door=door,
        on_died=died,
    )


def make_redactor(
    settings: Settings, paths: Paths, journal: JournalService, pattern: str, **how: Any
) -> Redactor:
    """What the door would not let in now, and what fits a pattern of the moment."""
    fault = fault_of_rule(f"{PATTERN_KIND}={pattern}") if pattern else None
    if fault is not None:
        raise BadPattern(f"the pattern {fault}")
    extra = (*settings.privacy.extra, *([f"{PATTERN_KIND}={pattern}"] if pattern else []))
    privacy = msgspec.structs.replace(settings.privacy, extra=extra)
    door = Door.from_settings(privacy, kept_screen(paths.state_dir, compiled_apart))
    crash = CrashFile(paths.crash_file)
    files = [paths.status_file, paths.run_file, crash.path, crash.kept]
    switched_off = [part for part in PRIVACY_PARTS if not getattr(privacy, part)]
    return Redactor(journal, paths.blobs, door, files=files, switched_off=switched_off, **how)


def make_store(settings: Settings, on_evicted: Callable[[Eviction], None]) -> SessionStore:
    snapshots = settings.snapshots
    limits = StoreLimits(
        budget_bytes=settings.snapshots_budget_bytes,
        max_sessions=snapshots.max_sessions,
        max_events_per_session=snapshots.max_events_per_session,
        oversized=snapshots.oversized,
        idle_eviction_ms=snapshots.idle_eviction_ms,
        idle_eviction_mode=snapshots.idle_eviction_mode,
        block_bytes=snapshots.block_bytes,
    )
    return SessionStore(limits, on_evicted=on_evicted)


def make_recorder(
    settings: Settings,
    paths: Paths,
    environ: Mapping[str, str],
    journal: JournalService,
    library: Library,
    sources: Iterable[Source],
    logs: Logs,
) -> Recorder:
    chosen = settings.recording
    guarded = [*sources, *(source for source, _on in every_source(settings.source, environ))]
    rules = Rules(
        allowed_write_roots=chosen.allowed_write_roots,
        default_folder=chosen.default_folder,
        filename_template=chosen.filename_template,
        form=chosen.format,
        home=environ.get("HOME") or os.path.expanduser("~"),
        config_file=paths.config_file,
        guarded=(
            *dict.fromkeys(root for source in guarded for root in source.roots()),
            paths.data_dir,
            paths.state_dir,
            paths.runtime_dir,
        ),
    )
    limits = Limits(
        max_active=chosen.max_active,
        in_chat_commands=chosen.in_chat_commands,
        options=View(
            thinking=chosen.include_thinking,
            tools=chosen.include_tools,
            system=chosen.include_system,
            commentary=chosen.include_commentary,
        ),
    )

    def export(session: str, form: str, view: View) -> Iterator[bytes]:
        if form == PAGE:  # what makes pages is not loaded into the daemon
            return page_by_child(session, view, environ)
        return library.export(session, form, view)  # type: ignore[arg-type]  # one of FORMATS

    return Recorder(
        journal,
        rules,
        limits,
        export=export,
        export_forms=(*FORMATS, PAGE),
        log=logs.operational,
        audit=logs.audit,
    )


def make_supervisor(
    settings: Settings, paths: Paths, environ: Mapping[str, str], logs: Logs, *, started_at: str
) -> Supervisor | None:
    """Who sends figures and log away; None when nobody asked for that."""
    chosen = settings.telemetry
    if chosen.otlp_endpoint is None or not (chosen.otlp_metrics or chosen.otlp_logs):
        return None
    job = Job(
        endpoint=chosen.otlp_endpoint,
        metrics=chosen.otlp_metrics,
        logs=chosen.otlp_logs,
        interval_s=float(chosen.otlp_interval_secs),
        log_path=str(logs.operational.path),
        position_path=paths.telemetry_file,
        logs_since=started_at,
    )
    return Supervisor(job, environ, logs.operational)


def make_alerts(
    settings: Settings,
    paths: Paths,
    environ: Mapping[str, str],
    logs: Logs,
    *,
    later: Callable[[Callable[[], None]], None],
) -> AlertDesk:
    chosen = settings.alerts
    return AlertDesk(
        Alerts(chosen.rules, repeat_s=chosen.repeat_secs),
        Pager(chosen.webhook_url or "", chosen.command, environ),
        silences_file=paths.alerts_file,
        later=later,
        log=logs.operational,
        audit=logs.audit,
        clock_s=time.monotonic,
        wall_s=time.time,
        instant=instant,
        write=write_atomically,
    )


def make_governor(
    settings: Settings, paths: Paths, on_change: OnChange, logs: Logs, steps: Sequence[Step] = ()
) -> Governor:
    return Governor(
        settings.daemon.max_memory_mb * MIB,
        make_lines(settings),
        readings=Readings(),
        machine=Machine(paths.data_dir),
        on_change=on_change,
        log=logs.operational,
        audit=logs.audit,
        steps=steps,
    )


def make_lines(settings: Settings) -> tuple[Line, ...]:
    """Where the levels of each reading begin."""
    chosen = settings.resources
    return lines_of(
        Thresholds(chosen.budget_moderate_pct, chosen.budget_high_pct, chosen.budget_critical_pct),
        Thresholds(
            chosen.memory_moderate_pct,
            chosen.memory_high_pct,
            chosen.memory_critical_pct,
            settings="resources.memory_*_pct",
        ),
        Thresholds(
            chosen.stall_some_moderate_pct,
            chosen.stall_some_high_pct,
            chosen.stall_some_critical_pct,
            STALL_HYSTERESIS_POINTS,
            "resources.stall_some_*_pct",
        ),
        Thresholds(
            chosen.stall_full_moderate_pct,
            chosen.stall_full_high_pct,
            chosen.stall_full_critical_pct,
            STALL_HYSTERESIS_POINTS,
            "resources.stall_full_*_pct",
        ),
    )
