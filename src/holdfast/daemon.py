"""The composition root: what starts, in what order, and the orderly way down.

Up: folders, lock, logs, how the last run ended, journal, memory, recordings, server, tail, who
sends figures. Down: that one sends what came last, the server takes no more, the tail finishes its
batches and ends its children, recordings are written to their ends, the journal stores what waits,
the last status is written, the lock goes.
Each step down has its own share of the deadline; one that hangs is named in the log and in the run
file and does not keep the next from running.
"""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec
import uvloop

from holdfast import __version__, payloads
from holdfast.alerts import Outbox
from holdfast.blobstore import BlobStore
from holdfast.checks import Check
from holdfast.clock import instant
from holdfast.coordination import Coordination
from holdfast.degradation import steps
from holdfast.errors import Exit, HoldfastError
from holdfast.governor import libc
from holdfast.governor.admission import Admission
from holdfast.governor.allocators import FreeMemory
from holdfast.governor.allowance import Allowance
from holdfast.governor.gate import BackgroundGate
from holdfast.governor.governor import Change, Look, Snapshot, next_delay_s
from holdfast.governor.limits import Needs, check_system
from holdfast.governor.machine import Machine
from holdfast.governor.measured import MappedFiles, OtherChildren
from holdfast.heartbeat import Heartbeat
from holdfast.ingest.children import ImportChildren
from holdfast.ingest.importer import child_limit_bytes
from holdfast.ingest.tail import Tail
from holdfast.journal.footprint import (
    Compression,
    JournalFootprint,
    UnindexedTexts,
    WaitingBatches,
)
from holdfast.journal.mailbox import JournalClosed
from holdfast.journal.model import Batch, BlobFilter
from holdfast.journal.notes import Notes
from holdfast.journal.protocol import JournalWriter
from holdfast.journal.service import Connections
from holdfast.journal.sqlite import JournalError, is_emptied
from holdfast.library import Library
from holdfast.lock import JournalLock
from holdfast.metrics import Latest
from holdfast.notify import Notifier
from holdfast.observe import Logs
from holdfast.observe.logs import stdlib_handler
from holdfast.paths import Paths
from holdfast.payloads import Dropped, PayloadReport
from holdfast.recording.listing import Listing, list_recordings
from holdfast.redaction import Redactor, RedactProgress, RedactReport, RedactRequest
from holdfast.server.app import make_app, make_loopback_app
from holdfast.server.listen import Answers, Listener, LoopbackPlace, PortTaken, UnixPlace
from holdfast.settings import Settings
from holdfast.shutdown import run_steps
from holdfast.snapshots import Eviction, OversizedSession
from holdfast.sources.registry import every_source
from holdfast.status import HealthStatus, LastRun, Status
from holdfast.status.build import StatusBuilder
from holdfast.status.crash import CrashFile
from holdfast.status.expiry import ExpiryStatus
from holdfast.status.expiry_watch import ExpiryWatch
from holdfast.status.health import checks as health_checks
from holdfast.status.lastrun import RunFile
from holdfast.status.sources import SourceReport, source_reports
from holdfast.wiring import (
    make_alerts,
    make_door,
    make_governor,
    make_recorder,
    make_redactor,
    make_setup,
    make_store,
    make_supervisor,
    open_journal,
)

MIB: Final = 1 << 20
# An import of ordinary logs with one child peaks a little below it.
INTERPRETER_FLOOR_BYTES: Final = 64 * MIB
THREADS_MAX: Final = 4
TELEMETRY_SHARE: Final = 0.05  # of the way down, less than a step has


class Daemon:
    """Everything that runs, wired. One per process."""

    def __init__(self, settings: Settings, paths: Paths, environ: Mapping[str, str]) -> None:
        self.settings = settings
        self.paths = paths
        self._environ = environ
        self.state = "starting"
        self.started_s = time.monotonic()
        self.last_run: LastRun | None = None
        self._journal_problem = ""
        self.last_journal_problem = ""
        self.warnings: list[str] = []
        self.exit = Exit.OK
        self.crash = CrashFile(paths.crash_file)
        self.run_file = RunFile(paths.run_file, self.crash)
        self.machine = Machine(paths.data_dir)
        self._notifier = Notifier.from_env(environ)
        self.every_source = every_source(settings.source, environ)
        self.sources = {source.agent: source for source, enabled in self.every_source if enabled}
        logs = settings.logs
        self.logs = Logs(
            Path(paths.logs), level=logs.level, max_bytes=logs.max_bytes, keep_files=logs.keep_files
        )
        self.allowance = Allowance(self.machine, paths.data_dir, self.logs.operational)
        self._stop = asyncio.Event()
        self._look = asyncio.Event()  # the governor is to look before its time
        self._stop_reason = ""
        self._background: set[asyncio.Task[None]] = set()
        self.notes = Notes()
        self._told_held = False
        self._expiry: ExpiryWatch | None = None  # once there is a journal
        self._redacting = asyncio.Lock()
        self._redactor: Redactor | None = None
        self.store = make_store(settings, self._evicted)
        self.gate = BackgroundGate()
        self._pages = Outbox(self._page_dropped)
        self.alerts = make_alerts(settings, paths, environ, self.logs, later=self._pages.put)
        self.admission = Admission(asked=lambda: self.alerts.throttling)
        self._lookout = ThreadPoolExecutor(1, thread_name_prefix="lookout")
        self.governor = make_governor(
            settings,
            paths,
            self._level_changed,
            self.logs,
            steps(self, critical_exit_s=settings.resources.critical_exit_secs),
        )

    async def run(self) -> Exit:
        """Until somebody asks it to stop."""
        log = self.logs.operational
        with JournalLock(self.paths.lock).acquire("daemon"):
            for number in (signal.SIGTERM, signal.SIGINT):
                loop = asyncio.get_running_loop()
                loop.add_signal_handler(number, self.stop, signal.Signals(number).name)
            self.allowance.take()
            self.last_run = self.run_file.begin(self.machine.oom_kills())
            log.info(
                "daemon.starting", version=__version__, pid=os.getpid(), last_run=self.last_run
            )
            try:
                await self._start()
            except BaseException as error:
                if not isinstance(error, HoldfastError):
                    self.crash.write(error)
                self.run_file.end(f"could not start: {error}", failed=True)
                log.error("daemon.start_failed", error=repr(error))  # noqa: TRY400  # not logging
                raise
            await self._stop.wait()
            late = await self.shutdown_all()
        self.logs.close()
        if late:  # a thread that hangs would be waited for; the journal takes this for a kill
            os._exit(self.exit)
        return self.exit

    def stop(self, reason: str, code: Exit = Exit.OK) -> None:
        """Ask for an orderly stop; the first reason counts."""
        if self._redactor is not None:
            self._redactor.stop()
        if not self._stop_reason:
            self._stop_reason = reason
            self.exit = code
            self._stop.set()
            self._look.set()
            self.gate.open()
            if self._expiry is not None:
                self._expiry.look_soon()

    def payloads(self, wanted: BlobFilter) -> PayloadReport:
        return payloads.report(self.journal.questions, BlobStore(self.paths.blobs), wanted)

    def payload(self, digest: str) -> Iterator[bytes]:
        return payloads.content(self.journal.questions, BlobStore(self.paths.blobs), digest)

    def drop_payloads(self, wanted: BlobFilter, *, dry_run: bool) -> Dropped:
        dropped = payloads.drop(
            self.journal.questions,
            lambda work: self.journal.call(work).result(),
            BlobStore(self.paths.blobs),
            wanted,
            now_s=time.time(),
            in_flight_s=payloads.IN_FLIGHT_S,
            dry_run=dry_run,
        )
        if dropped.count and not dry_run:
            fields = msgspec.to_builtins(dropped)
            self.logs.operational.info("payloads.dropped", **fields)
            self.logs.audit.info("payloads.dropped", **fields)
        return dropped

    @property
    def telemetry_problem(self) -> str:
        return self._supervisor.problem if self._supervisor is not None else ""

    @property
    def expiry(self) -> dict[str, ExpiryStatus]:
        return self._expiry.found if self._expiry is not None else {}

    @property
    def heartbeat_problems(self) -> list[str]:
        return self.heartbeat.problems

    def health(self) -> HealthStatus:
        tail, logs = self.tail.status(), (self.logs.operational, self.logs.audit)
        return HealthStatus(
            timers=len(self._background),
            http_connections=sum(each.connections for each in self._listeners),
            waiting_logs=tail.waiting_logs,
            followed_logs=tail.hot_logs,
            pending_captures=self.recorder.waiting,
            pending_learnings=self.coordination.pending_learnings,
            history_points=self.history.points,
            log_records=sum(each.written for each in logs),
            log_records_dropped=sum(each.dropped for each in logs),
        )

    async def status(self) -> Status:
        live = self._status_builder.now(await self._looking(self.governor.look_closely))
        return await asyncio.to_thread(self._status_builder.build, live)

    async def _looking(self, look: Callable[[], Look]) -> Look:
        """On a thread of its own: an import may keep all others busy, and memory does not wait."""
        return await asyncio.get_running_loop().run_in_executor(self._lookout, look)

    async def memory(self) -> Snapshot:
        """What all takes. The kernel is asked on a thread, the components here on the loop."""
        return self.governor.snapshot(await self._looking(self.governor.look_closely))

    async def checks(self) -> list[Check]:
        """What `holdfast doctor` asks: what nobody but this process can tell."""
        readings = await asyncio.to_thread(self.allowance.read)
        limits = self.allowance.keep(readings, self._needs())
        memory = await self.memory()
        return [*limits, *check_system(readings.machine), *health_checks(self, memory)]

    def source_reports(self) -> list[SourceReport]:
        """On a thread: it looks at every folder of every agent."""
        return source_reports(
            self.every_source,
            self.journal.questions,
            now_s=time.time(),
            warn_days=self.settings.sources.warn_deletion_days,
        )

    # The way up.

    async def _start(self) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._unhandled)
        loop.set_default_executor(ThreadPoolExecutor(THREADS_MAX, thread_name_prefix="holdfast"))
        self._workers = self.settings.import_workers(os.cpu_count() or 1)
        self._warn_about_an_emptied_journal()
        self.journal = open_journal(self.settings, self.paths, self._journal_failed)
        BlobStore(self.paths.blobs).sweep_partial()
        self.library = Library(self.journal.reader, self.residency)
        self.recorder = make_recorder(
            self.settings,
            self.paths,
            self._environ,
            self.journal,
            self.library,
            self.sources.values(),
            self.logs,
        )
        setup = make_setup(self.settings, self.paths)
        self.tail = Tail(
            self.journal,
            self.sources,
            setup=setup,
            workers=self._workers,
            inline_backlog_bytes=self.settings.ingest.inline_backlog_bytes,
            reconcile_secs=self.settings.ingest.reconcile_secs,
            on_stored=self._stored,
            on_children=self._children_changed,
            log=self.logs.operational,
            gate=self.gate,
        )
        self.coordination = Coordination(
            self.settings,
            self.paths,
            self._environ,
            self.journal,
            self.gate,
            make_door(setup),
            self.logs.operational,
        )
        self.streams, self.queue = self.coordination.streams, self.coordination.queue
        self.work = self.coordination.work
        self._expiry = ExpiryWatch(
            self.sources.values(),
            self.journal.questions,
            warn_days=self.settings.sources.warn_deletion_days,
            gate=self.gate,
            log=self.logs.operational,
        )
        self._status_builder = StatusBuilder(self)
        self.figures = Latest(self.status)
        self._listeners = self._make_listeners()
        self._supervisor = make_supervisor(
            self.settings,
            self.paths,
            self._environ,
            self.logs,
            started_at=self.run_file.started_at,
        )
        self.heartbeat = Heartbeat(self, self._notifier)
        self.history = self.heartbeat.history
        self._register_components()
        gc.collect()
        gc.freeze()  # what lives as long as the process need not be looked at again
        libc.malloc_trim()
        self.governor.register(MappedFiles(self.governor.mark_baseline()))
        self.governor.register(FreeMemory())
        self.recorder.start()
        await self.coordination.start()
        await self._listen()
        await self.tail.start()
        if self._supervisor is not None:
            self._supervisor.start()
        self.state = "running"
        self._warn_about_budget()
        self.allowance.keep(self.allowance.read(), self._needs())
        self._spawn(self._govern())
        self._spawn(self.heartbeat.run(self._stop))
        self._spawn(self.heartbeat.feed_watchdog(self._stop))
        self._spawn(self._expiry.run(self._stop))
        await self.coordination.start_reading(self._background_done)
        self._notifier.ready()

    def _needs(self) -> Needs:
        watching = self.tail.watching
        return Needs(
            budget_bytes=self.governor.budget_bytes,
            children=self._workers,
            reconcile_secs=self.settings.ingest.reconcile_secs,
            folders=watching.folders,
            unwatched=watching.unwatched,
            blind=watching.blind,
        )

    def _register_components(self) -> None:
        """Whatever has a limit: what is left over is what nobody accounts for."""
        self.footprint = JournalFootprint(self.journal, readers=self.settings.journal.readers)
        children = ImportChildren(
            self.tail.child_pids,
            limit_bytes=self._workers * child_limit_bytes(self.settings),
        )
        claims = [each.claim for each in (children, self._supervisor) if each is not None]
        for component in (
            self.store,
            self.footprint,
            WaitingBatches(self.journal),
            UnindexedTexts(self.journal),
            children,
            self.tail,
            *self.coordination.components,
            self.notes,
            self.history,
            self._supervisor,
            Answers(self._listeners),
            Compression(),
            OtherChildren(claims),
        ):
            if component is not None:
                self.governor.register(component)
        self.gate.join(
            "feeding the index",
            pause=self.journal.pause_index,
            resume=self.journal.resume_index,
        )
        self.gate.join("looking up what agents delete")

    def _make_listeners(self) -> list[Listener]:
        logging.getLogger("uvicorn").addHandler(stdlib_handler(self.logs.operational))
        grace_s = self.settings.daemon.stop_deadline_ms / 1000 / 3
        listeners = [Listener(make_app(self), UnixPlace(self.paths.socket), stop_grace_s=grace_s)]
        port = self.settings.server.loopback_port
        if port is not None:
            place = LoopbackPlace(port)
            listeners.append(Listener(make_loopback_app(self), place, stop_grace_s=grace_s))
        return listeners

    async def _listen(self) -> None:
        for listener in self._listeners:
            try:
                await listener.start()
            except PortTaken as error:  # conversations are kept whether or not figures are served
                self.warnings.append(str(error))
                self.logs.operational.warning("server.port_taken", error=str(error))

    async def _close_listeners(self) -> None:
        await asyncio.gather(*(listener.close() for listener in self._listeners))

    def _warn_about_an_emptied_journal(self) -> None:
        """At the very first start there may be such a file too: of a start that was killed."""
        if self.last_run is None or not is_emptied(self.paths.journal):
            return
        warning = (
            f"the journal {self.paths.journal} was an empty file when holdfast started: a new one "
            "is made of what the agents' logs still hold; what was in it before is in its backups"
        )
        self.warnings.append(warning)
        self.logs.operational.warning("journal.emptied", warning=warning)

    def _warn_about_budget(self) -> None:
        budget_bytes = self.governor.budget_bytes
        if budget_bytes < INTERPRETER_FLOOR_BYTES:
            warning = (
                f"daemon.max_memory_mb = {budget_bytes // MIB} is less than the program needs to "
                f"read logs (about {INTERPRETER_FLOOR_BYTES // MIB}): raise it"
            )
            self.warnings.append(warning)
            self.logs.operational.warning("daemon.budget_below_floor", warning=warning)

    # While it runs.

    @property
    def journal_problem(self) -> str:
        """Until something is stored again, whoever stores it."""
        return self._journal_problem if self.journal.is_failing else ""

    def _stored(self, batch: Batch) -> None:
        """A batch is in the journal: show it in memory, and to who writes recordings."""
        if batch.count:
            self.recorder.wake()
        session = batch.facts.id
        try:
            for block in batch.blocks:
                self.store.append_block(session, block)
            if batch.line_count:
                self.store.append(session, batch.first_seq, batch.lines, batch.line_count)
        except OversizedSession as error:
            self.logs.operational.error("snapshots.oversized", session=session, error=str(error))
            self.stop(str(error), Exit.OVERSIZED)
        if self.governor.fast_due():
            self._look.set()  # not here: reading the tree may take as long as many batches

    def recordings(self, limit: int | None) -> Listing:
        """Recordings and commands, newest first. Reads the journal: for a thread."""
        with self.journal.reader() as reader:
            return list_recordings(reader, self.recorder.problems(), limit)

    async def redact(
        self, asked: RedactRequest, on_progress: Callable[[RedactProgress], None]
    ) -> RedactReport:
        """Rewrite what is stored; what is in memory of it goes, and is read again from there."""
        loop = asyncio.get_running_loop()

        def rewritten(session: str) -> None:
            loop.call_soon_threadsafe(self._drop, session)

        async with self._redacting:  # one at a time: each makes the file anew
            self._redactor = redactor = make_redactor(
                self.settings,
                self.paths,
                self.journal,
                asked.pattern,
                alone=self.tail.alone_with,
                on_rewritten=rewritten,
                on_progress=on_progress,
            )
            try:
                report = await asyncio.to_thread(
                    redactor.run, asked.sessions, dry_run=asked.dry_run
                )
            finally:  # however far it came: what is in memory of it must not stay
                self._redactor = None
                if not asked.dry_run:
                    self.recorder.begin_again()
                    await self.coordination.begin_again()
        await self.heartbeat.refresh()  # the one on disk may still tell of it
        self.logs.audit.info(
            "journal.redacted",
            dry_run=report.dry_run,
            sessions=len(report.sessions),
            events=report.events,
            found=report.found,
        )
        return report

    def _drop(self, session: str) -> None:
        if session in self.store:
            self.store.evict(session, "redacted")

    def residency(self, session: str) -> int | None:
        resident = self.store.resident(session)
        return resident.bytes if resident is not None else None

    def _evicted(self, eviction: Eviction) -> None:
        """One operational and one audit record each (K6)."""
        fields = msgspec.to_builtins(eviction)
        self.logs.operational.info("snapshots.evicted", **fields)
        self.logs.audit.info("session.evicted", **fields)
        self._note("session.evicted", fields)

    def _level_changed(self, change: Change) -> None:
        """The operational record is the governor's; this is for whoever looks back."""
        fields = {
            "pressure": change.level.label,
            "previous": change.previous.label,
            "own": change.own.label,
            "previous_own": change.previous_own.label,
            "cause": change.cause,
            "pct": change.pct,
            "threshold_pct": change.threshold_pct,
            "footprint_bytes": change.footprint_bytes,
        }
        self._look.set()  # whoever found it, the next look is due by the new level
        self.logs.audit.info("pressure.changed", **fields)
        self._note("pressure.changed", fields)

    def _note(self, action: str, fields: object) -> None:
        """For the journal's audit, soon."""
        self.notes.add(action, fields)
        if self.notes.are_many:
            self.notes.hand_over(self.journal)

    def _journal_failed(self, error: JournalError) -> None:
        self._journal_problem = str(error)
        self.last_journal_problem = f"{instant()} {error}"
        self.logs.operational.error("journal.failed", error=str(error))

    async def _govern(self) -> None:
        """Keep the tree below its ceiling; look often while much happens, rarely while not."""
        logged_s = 0.0
        while not self._stop.is_set():
            self._look.clear()  # before looking: a stop that comes meanwhile must not be forgotten
            assessment = self.governor.step(await self._looking(self.governor.look))
            self.state = "importing" if self.tail.importing else "running"
            interval_s = self.settings.resources.memory_log_interval_secs
            if time.monotonic() - logged_s >= interval_s:
                logged_s = time.monotonic()
                self.logs.operational.info(
                    "memory",
                    footprint_bytes=assessment.footprint_bytes,
                    pressure=assessment.level.label,
                    own=assessment.own.label,
                    snapshots_bytes=self.store.accounted_bytes,
                )
            delay_s = min(
                interval_s,
                next_delay_s(assessment.level, assessment.own, active=self.tail.has_children),
            )
            with suppress(TimeoutError):
                await asyncio.wait_for(self._look.wait(), delay_s)

    def _children_changed(self) -> None:
        """Import children came or went: look at once, and give back what an import needed."""
        self._look.set()
        if not self.tail.has_children and not self._stop.is_set():
            self._settle_memory()
            assert self._expiry is not None
            self._expiry.look_soon()

    def _settle_memory(self) -> None:
        """After an import: give back what it needed and nobody needs now."""

        def release(writer: JournalWriter) -> None:
            writer.release_memory()
            gc.collect()
            libc.malloc_trim()

        async def settle() -> None:
            with suppress(JournalClosed):
                await asyncio.to_thread(self.journal.call, release)  # there may be no room yet

        self._spawn(settle())

    def connections(self) -> Connections:
        """Who reads the journal; one that has read for too long is told once."""
        found = self.journal.connections(self.settings.resources.reader_held_secs)
        if found.held_too_long and not self._told_held:
            self.logs.operational.warning(
                "journal.reader_held", held=found.held_too_long, lent=found.lent
            )
        self._told_held = bool(found.held_too_long)
        return found

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(self._tracked(work))
        self._background.add(task)
        task.add_done_callback(self._background_done)

    def _page_dropped(self, dropped: int) -> None:
        self.logs.operational.warning("alert.page_dropped", dropped=dropped)

    async def _tracked(self, work: Coroutine[None, None, None]) -> None:
        with self.governor.tracker.task():
            await work

    def _background_done(self, task: asyncio.Task[None]) -> None:
        self._background.discard(task)
        if not task.cancelled() and task.exception() is not None:
            error = task.exception()
            assert error is not None
            self.crash.write(error)
            self.logs.operational.error("daemon.failed", error=repr(error))
            self.stop(f"an internal task failed ({error!r}): please report it", Exit.FAILURE)

    def _unhandled(self, _loop: object, about: dict[str, Any]) -> None:
        """A callback failed: nobody waits for it, so it is written down here."""
        self.report(about.get("exception") or RuntimeError(about["message"]), about["message"])

    def report(self, error: BaseException, doing: str) -> None:
        """An error that nobody foresaw: with its trace, so that it can be mended."""
        trace = "".join(traceback.format_exception(error))
        self.logs.operational.error("daemon.unhandled", doing=doing, trace=trace)

    # The way down.

    async def shutdown_all(self) -> list[str]:
        """Every part in order, each within its deadline, none able to stop the rest."""
        self.state = "stopping"
        self._notifier.stopping()
        log = self.logs.operational
        log.info("daemon.stopping", reason=self._stop_reason)
        self.run_file.stopping(self._stop_reason)
        report = await run_steps(
            [
                ("telemetry", self._close_telemetry),
                *self.coordination.steps_before_the_server(),
                ("server", self._close_listeners),
                *self.coordination.steps_behind_the_server(),
                ("tail", self.tail.close),
                ("recordings", lambda: asyncio.to_thread(self.recorder.close)),
                ("heartbeat", self._end_background),
                ("journal", lambda: asyncio.to_thread(self._settle_journal)),
                ("status", self._write_last_status),
                ("readers", lambda: asyncio.to_thread(self.journal.close)),
            ],
            deadline_s=self.settings.daemon.stop_deadline_ms / 1000,
        )
        self.store.close()
        late = report.late
        detail = "; ".join([self._stop_reason, *late])
        self.run_file.end(detail, failed=bool(late) or self.exit != Exit.OK, code=int(self.exit))
        (log.warning if late else log.info)(
            "daemon.stopped", reason=self._stop_reason, late=late, took_ms=report.took_ms
        )
        return late

    async def _close_telemetry(self) -> None:
        """Before the server, of which it asks the last figures."""
        if self._supervisor is not None:
            deadline_s = self.settings.daemon.stop_deadline_ms / 1000
            await self._supervisor.close(deadline_s * TELEMETRY_SHARE)

    async def _end_background(self) -> None:
        self._pages.close()
        self.alerts.close()
        if self._background:
            await asyncio.wait(set(self._background))

    def _settle_journal(self) -> None:
        """Store and index what waits, then bring the write-ahead log home."""
        self.notes.store(self.journal)
        self.journal.settle()
        self.journal.call(lambda writer: writer.checkpoint()).result()

    async def _write_last_status(self) -> None:
        self.state = "stopped"
        await self.heartbeat.record_last()


def main() -> int:
    """`python -m holdfast.daemon`: what `holdfast start` runs in the background."""
    from holdfast.settings import load

    environ = dict(os.environ)
    paths = Paths.from_env(environ)
    try:
        settings = load(paths.config_file, environ).settings
        paths.ensure_dirs()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return int(runner.run(_run(settings, paths, environ)))
    except OSError as error:
        if error.errno not in (errno.EMFILE, errno.ENFILE):
            raise
        print(
            "holdfast: too few files may be open at once for the daemon to start: raise the limit "
            "(`ulimit -n 4096`, or LimitNOFILE in the service's file)",
            file=sys.stderr,
        )
        return int(Exit.FAILURE)
    except HoldfastError as error:
        print(f"holdfast: {error}", file=sys.stderr)
        return int(error.exit)


async def _run(settings: Settings, paths: Paths, environ: Mapping[str, str]) -> Exit:
    return await Daemon(settings, paths, environ).run()


if __name__ == "__main__":
    # A process that is killed must not leave half-done work to exit handlers: there are none.
    sys.exit(main())
