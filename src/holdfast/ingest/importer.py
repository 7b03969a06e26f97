"""First import: child processes read, this process stores. Bounded, resumable, and then gone.

One thread per child sends it a job, takes its batches and submits them to the journal, which pushes
back when it has enough. Killing any process at any time is harmless: a batch and its cursor are
stored together, and the next import reads on from there.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import suppress
from typing import BinaryIO, Final, Self, cast

import msgspec
from msgspec.structs import replace

from holdfast.errors import HoldfastError
from holdfast.ingest.child import Frame, Job, Setup, read_frame, write_frame
from holdfast.ingest.claims import SessionClaims
from holdfast.ingest.kinship import unread_family
from holdfast.ingest.plan import (
    Pending,
    Plan,
    excluded_cursor,
    gone,
    make_job,
    make_plan,
    unreadable,
)
from holdfast.journal.model import Batch, Cursor, FilesLedger
from holdfast.journal.protocol import JournalReader
from holdfast.journal.service import JournalService
from holdfast.journal.sqlite import JournalError
from holdfast.journal.writer import SequenceConflict
from holdfast.settings import Settings
from holdfast.sources.base import Log, Source

UNSTORED_BATCHES_MAX: Final = 8  # per child: what may wait for the journal
CHILD_DATA_BYTES_MAX: Final = 96 * 1024 * 1024
CHILD_DATA_BYTES_MIN: Final = 48 * 1024 * 1024
CLAIM_POLL_S: Final = 0.05  # the tail gives sessions back without a word
END_TIMEOUT_S: Final = 5.0
HOLDS_MAX: Final = 3  # what cannot be read in less memory would be begun for ever
# A child reuses its buffers and then ends: malloc need not give large ones back after each block
# (a third fewer page faults).
_CHILD_MALLOC: Final = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": "16777216",
    "MALLOC_TRIM_THRESHOLD_": "33554432",
}
_PIPE_BYTES: Final = 1 << 20


class ImportFailed(HoldfastError):
    """An import child ended before its work did."""


class ByteCounts(msgspec.Struct):
    """Where the bytes of the files went; `bad` includes the `torn` ends of files being written."""

    seen: int = 0
    parsed: int = 0
    skipped: int = 0
    unknown: int = 0
    bad: int = 0
    torn: int = 0


class ImportReport(msgspec.Struct):
    """What `import --json` prints. `bytes` covers all known files, `imported` is what was new."""

    sessions: int = 0
    events: int = 0
    files: int = 0
    bytes: ByteCounts = msgspec.field(default_factory=ByteCounts)
    imported_sessions: int = 0
    imported_events: int = 0
    imported_bytes: int = 0
    problems: list[str] = []
    seconds: float = 0.0


class Progress(msgspec.Struct):
    """How far an import is; replaced as a whole, so any thread may look at it."""

    total_bytes: int = 0
    done_bytes: int = 0
    sessions: int = 0
    events: int = 0
    finished: bool = False


class Importer:
    """Reads what a plan names, to its end, once."""

    def __init__(
        self,
        journal: JournalService,
        sources: Mapping[str, Source],
        *,
        workers: int,
        setup: Setup,
        claims: SessionClaims | None = None,
        on_stored: Callable[[Batch], None] = lambda _batch: None,
        on_progress: Callable[[Progress], None] = lambda _progress: None,
    ) -> None:
        self._journal = journal
        self._sources = sources
        self._workers = workers
        self._setup = setup
        self._on_stored = on_stored
        self._on_progress = on_progress
        self._lock = threading.Condition()
        self._pending: deque[Pending] = deque()
        self._claims = claims if claims is not None else SessionClaims()
        self._progress = Progress()
        self._sessions: set[str] = set()
        self._problems: list[str] = []
        self._stopping = False
        self._failure: JournalError | None = None
        self._shed: set[int] = set()  # children that were ended to save memory
        self._resumed: set[int] = set()  # of these, the ones whose work another one goes on with
        self._children: list[subprocess.Popen[bytes]] = []
        self._held = False
        self._holds = 0

    def run(self) -> ImportReport:
        """Find out what is unread, read it, and say what there is now."""
        started = time.monotonic()
        with self._journal.reader() as reader:
            plan = make_plan(self._sources, reader, self._setup.excluded)
        self.read(plan)
        self._journal.settle()
        with self._journal.reader() as reader:
            report = report_on(reader)
        progress = self._progress
        report.imported_sessions = progress.sessions
        report.imported_events = progress.events
        report.imported_bytes = progress.done_bytes
        report.problems = sorted(
            [f"{path}: {problem}" for path, problem in plan.problems.items()] + self._problems
        )
        report.seconds = round(time.monotonic() - started, 3)
        return report

    def read(self, plan: Plan) -> None:
        if plan.gone:
            self._mark_gone(plan.gone)
        self._progress = Progress(total_bytes=plan.unread_bytes)
        self._pending = deque(plan.pending)
        threads = [
            threading.Thread(target=self._work, name=f"import-{number}", daemon=True)
            for number in range(min(self._workers, len(plan.pending)))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self._failure is not None:
            raise self._failure
        if self._pending and not self._stopping:
            raise ImportFailed(f"{len(self._pending):,} logs were not read: {self._problems[-1]}")
        self._progress = replace(self._progress, finished=True)
        self._on_progress(self._progress)

    def stop(self) -> None:
        """End early; what is stored stays, the rest is read next time."""
        self._stopping = True
        self.go_on()
        for child in self._children:
            child.terminate()

    def child_pids(self) -> list[int]:
        return [child.pid for child in self._children if child.poll() is None]

    def shed(self) -> bool:
        """End one child when several run; what it was reading goes back to the others."""
        with self._lock:
            running = [child for child in self._children if child.poll() is None]
            if len(running) < 2:  # the last one is the import itself
                return False
            self._shed.add(running[-1].pid)
        running[-1].terminate()
        return True

    def hold(self) -> int:
        """End all children until `go_on`; how many. After `HOLDS_MAX` times they are left alone."""
        with self._lock:
            if self._held or self._holds >= HOLDS_MAX:
                return 0
            self._held = True
            running = [child for child in self._children if child.poll() is None]
            self._holds += bool(running)
            self._end_for_now(running)
        return len(running)

    def _end_for_now(self, children: list[subprocess.Popen[bytes]]) -> None:
        for child in children:
            self._shed.add(child.pid)
            self._resumed.add(child.pid)
            child.terminate()

    def go_on(self) -> None:
        """Children may run again; each goes on at the cursor that was stored last."""
        with self._lock:
            self._held = False
            self._lock.notify_all()

    def _mark_gone(self, paths: list[tuple[str, str]]) -> None:
        with self._journal.reader() as reader:
            found = [reader.cursor(agent, path) for agent, path in paths]
        self._journal.save_cursors([gone(cursor) for cursor in found if cursor]).result()

    def _work(self) -> None:
        try:
            while self._work_with_a_child():
                pass
        except JournalError as error:  # of no use to try the next log
            self._failure = error
        except (HoldfastError, OSError) as error:
            if not self._stopping:
                self._problem(str(error))

    def _work_with_a_child(self) -> bool:
        """Read until nothing is left; whether another child is to go on where this one died."""
        with self._lock:
            self._lock.wait_for(lambda: not self._held)
            if self._stopping or not self._pending:
                return False
        with _Child(self._setup) as child:
            with self._lock:
                self._children.append(child.process)
                if self._held:  # meanwhile
                    self._end_for_now([child.process])
            try:
                child.wait_until_ready()
            except ImportFailed:
                if child.process.pid not in self._shed:
                    raise
                return self._is_to_go_on(child.process.pid)
            while (pending := self._take()) is not None:
                if not self._read_pending(child, pending):
                    return self._is_to_go_on(child.process.pid)
        return False

    def _is_to_go_on(self, ended_pid: int) -> bool:
        """One that was shed alone leaves its work to the others; after a hold all go on."""
        if self._stopping:
            return False
        return ended_pid not in self._shed or ended_pid in self._resumed

    def _read_pending(self, child: _Child, pending: Pending) -> bool:
        """Read one log; False when that took the child's life, or cost it."""
        log = self._identify(pending)
        kin = ""
        try:
            try:
                kin = self._family(log)
            except OSError as error:
                self._refused(log, error.strerror or str(error))
                return True
            if kin and not self._claims.take(kin):
                kin = ""
                self._put_back(pending)
                return True
            self._read(child, log)
        except (ImportFailed, OSError, SequenceConflict) as error:
            child.process.kill()
            if child.process.pid in self._shed:  # the log waits for another child
                with self._lock:
                    self._pending.appendleft(pending)
            elif not self._stopping:
                self._refused(log, str(error))
            return False
        finally:
            if kin:
                self._claims.release(kin)
            self._release(log)
        return True

    def _family(self, log: Log) -> str:
        with self._journal.reader() as reader:
            return unread_family(self._sources[log.agent], log, reader)

    def _put_back(self, pending: Pending) -> None:
        """A relative of it is read now."""
        with self._lock:
            self._pending.append(pending)
            self._lock.wait(CLAIM_POLL_S)

    def _identify(self, pending: Pending) -> Log:
        log = self._sources[pending.agent].identify(pending.path)
        assert log is not None, pending  # the plan holds logs only
        return log

    def _take(self) -> Pending | None:
        """The next log, of a session that nobody else reads."""
        with self._lock:
            while self._pending and not self._stopping and self._failure is None:
                for number, pending in enumerate(self._pending):
                    if self._claims.take(self._identify(pending).agent_session_id):
                        del self._pending[number]
                        return pending
                self._lock.wait(CLAIM_POLL_S)
        return None

    def _release(self, log: Log) -> None:
        self._claims.release(log.agent_session_id, stale=True)
        with self._lock:
            self._lock.notify_all()

    def _read(self, child: _Child, log: Log) -> None:
        try:
            with self._journal.reader() as reader:
                left_alone = self._excluded(log, reader)
                job = (
                    make_job(self._sources[log.agent], log, reader) if left_alone is None else None
                )
        except OSError as error:
            self._refused(log, error.strerror or str(error))
            return
        if job is None:
            assert left_alone is not None
            self._journal.save_cursors([left_alone]).result()
            return
        unstored: deque[tuple[Batch, Future[None]]] = deque()
        offset = 0 if log.in_place else job.cursor.offset
        try:
            for frame in child.run(job):
                if frame.error:
                    while unstored:  # what says where the log stands now must be stored first
                        offset = self._stored(*unstored.popleft(), offset)
                    self._refused(log, frame.error)
                if frame.excluded is not None:
                    self._journal.save_cursors([frame.excluded]).result()
                if frame.batch is not None:
                    unstored.append((frame.batch, self._journal.submit(frame.batch)))
                if len(unstored) >= UNSTORED_BATCHES_MAX:
                    offset = self._stored(*unstored.popleft(), offset)
        finally:  # what a child gave before it died is stored, so it is to be shown
            while unstored:
                offset = self._stored(*unstored.popleft(), offset)

    def _excluded(self, log: Log, reader: JournalReader) -> Cursor | None:
        patterns = self._setup.excluded.get(log.agent, ())
        return excluded_cursor(self._sources[log.agent], log, reader, patterns)

    def _refused(self, log: Log, problem: str) -> None:
        self._problem(f"{log.path}: {problem}")
        with self._journal.reader() as reader:
            cursor = unreadable(log, reader, problem)
        self._journal.save_cursors([cursor]).result()

    def _stored(self, batch: Batch, done: Future[None], offset: int) -> int:
        done.result()
        self._on_stored(batch)
        assert batch.cursor is not None
        with self._lock:
            progress = self._progress
            self._sessions.add(batch.facts.id)
            done_bytes = progress.done_bytes + batch.cursor.offset - offset
            self._progress = replace(
                progress,
                # Compressed logs are larger inside than the plan could know.
                total_bytes=max(progress.total_bytes, done_bytes),
                done_bytes=done_bytes,
                sessions=len(self._sessions),
                events=progress.events + batch.count,
            )
            self._on_progress(self._progress)
        return batch.cursor.offset

    def _problem(self, problem: str) -> None:
        with self._lock:
            self._problems.append(problem)


def child_limit_bytes(settings: Settings) -> int:
    """What one child may allocate: its share of the ceiling, never less than it runs with."""
    mib = 1 << 20
    room = settings.daemon.max_memory_mb * mib - settings.snapshots_budget_bytes
    return max(CHILD_DATA_BYTES_MIN, min(CHILD_DATA_BYTES_MAX, room // 2))


def report_on(reader: JournalReader) -> ImportReport:
    """What the journal holds, and where every byte of the logs went."""
    totals = reader.totals()
    ledger = reader.ledger()
    return ImportReport(
        sessions=totals.sessions,
        events=totals.events,
        files=ledger.files,
        bytes=byte_counts(ledger),
    )


def byte_counts(ledger: FilesLedger) -> ByteCounts:
    bad = ledger.bad + ledger.torn
    return ByteCounts(
        seen=ledger.parsed + ledger.skipped + ledger.unknown + bad,
        parsed=ledger.parsed,
        skipped=ledger.skipped,
        unknown=ledger.unknown,
        bad=bad,
        torn=ledger.torn,
    )


class _Child:
    """One import child and its two pipes."""

    def __init__(self, setup: Setup) -> None:
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(Frame)
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-c", "from holdfast.ingest.child import main; main()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **_CHILD_MALLOC},
        )
        self._stdin = cast("BinaryIO", self.process.stdin)
        self._stdout = cast("BinaryIO", self.process.stdout)
        widen_pipe(self._stdout.fileno())
        write_frame(self._stdin, setup, self._encoder)

    def __enter__(self) -> Self:
        return self

    def wait_until_ready(self) -> None:
        """One that does not even start would fail every log in turn."""
        if read_frame(self._stdout) is None:
            raise ImportFailed(
                f"the import process ended as it started (status {self.process.wait()}): "
                "run `holdfast import` again, and report this if it stays so"
            )

    def run(self, job: Job) -> Iterator[Frame]:
        """The frames of one job, its last one without a batch."""
        write_frame(self._stdin, job, self._encoder)
        while True:
            payload = read_frame(self._stdout)
            if payload is None:
                raise ImportFailed(
                    f"the import process ended while it read this (status {self.process.wait()}): "
                    "run `holdfast import` again; what was read before is kept"
                )
            frame = self._decoder.decode(payload)
            yield frame
            if frame.batch is None:
                return

    def __exit__(self, error: object, *_about: object) -> None:
        if error is not None:  # it waits for somebody to read what it says
            self.process.kill()
        with suppress(OSError):
            self._stdin.close()
        try:
            self.process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._stdout.close()


def widen_pipe(fd: int) -> None:
    """Fewer switches between processes; a system without the call keeps its default."""
    import fcntl

    if hasattr(fcntl, "F_SETPIPE_SZ"):
        with suppress(OSError):
            fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
