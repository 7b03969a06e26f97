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
from contextlib import suppress
from typing import BinaryIO, Final, Self, cast

import msgspec
from msgspec.structs import replace

from holdfast.errors import HoldfastError
from holdfast.ingest.child import Frame, Job, Setup, read_frame, write_frame
from holdfast.ingest.claims import SessionClaims
from holdfast.ingest.kinship import facts_if_unread, family
from holdfast.ingest.plan import (
    Pending,
    Plan,
    excluded_cursor,
    gone,
    make_job,
    make_plan,
    unreadable,
)
from holdfast.ingest.slots import ChildSlots
from holdfast.ingest.unstored import Underway, Unstored
from holdfast.journal.model import Batch, Cursor, FilesLedger
from holdfast.journal.protocol import JournalReader
from holdfast.journal.service import JournalService
from holdfast.journal.sqlite import JournalError
from holdfast.journal.writer import SequenceConflict
from holdfast.settings import Settings
from holdfast.sources.base import Log, Source

CHILD_DATA_BYTES_MAX: Final = 96 * 1024 * 1024
CHILD_DATA_BYTES_MIN: Final = 48 * 1024 * 1024
GONE_AT_ONCE: Final = 500  # cursors in one transaction
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
# Loading what a child is made of makes no garbage either: looking for it is a tenth of its start.
_CHILD: Final = "import gc; gc.disable(); from holdfast.ingest.child import main; main()"


class ImportFailed(HoldfastError):
    """An import child ended before its work did."""


class _Refused(HoldfastError):
    """A log that cannot be read now; its cursor says why."""


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
        slots: ChildSlots | None = None,
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
        self._slots = slots if slots is not None else ChildSlots(workers)
        self._progress = Progress()
        self._sessions: set[str] = set()
        self._problems: list[str] = []
        self._stopping = False
        self._failure: JournalError | None = None
        self._shed: set[int] = set()  # children that were ended to save memory
        self._resumed: set[int] = set()  # of these, the ones whose work another one goes on with
        self._children: list[subprocess.Popen[bytes]] = []
        self._held = False
        self._holds = 0  # how often the last child of all was ended
        self._active: set[int] = set()  # threads that take what is pending

    def run(self) -> ImportReport:
        """Find out what is unread, read it, and say what there is now."""
        started = time.monotonic()
        plan = make_plan(self._sources, self._journal.questions, self._setup.excluded)
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
        self._slots.look_again()
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

    @property
    def is_held(self) -> bool:
        return self._held

    @property
    def times_held(self) -> int:
        return self._holds

    def hold(self, *, last: bool = False) -> int:
        """End all children until `go_on`; how many.

        `last`: there is no other import's either. That is done `HOLDS_MAX` times and no more.
        """
        with self._lock:
            if self._held or (last and self._holds >= HOLDS_MAX):
                return 0
            self._held = True
            running = [child for child in self._children if child.poll() is None]
            self._holds += last and bool(running)
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
        for first in range(0, len(paths), GONE_AT_ONCE):
            found = [self._journal.questions.cursor(*log) for log in paths[first:][:GONE_AT_ONCE]]
            self._journal.save_cursors([gone(cursor) for cursor in found if cursor]).result()

    def _work(self) -> None:
        goes_on = True
        try:
            while goes_on and self._slots.take(self, self._is_over):
                try:
                    goes_on = self._work_with_a_child()
                finally:
                    self._slots.give_back()
        except JournalError as error:  # of no use to try the next log
            self._failure = error
        except (HoldfastError, OSError) as error:
            if not self._stopping:
                self._problem(str(error))

    def _is_over(self) -> bool:
        return not self._pending or self._stopping or self._failure is not None

    def _work_with_a_child(self) -> bool:
        """Read until nothing is left, or somebody else wants a child; whether one is to go on."""
        with self._lock:
            self._lock.wait_for(lambda: not self._held)
            if self._is_over():
                return False
            self._active.add(threading.get_ident())
        unstored = Unstored(self._stored, self._end)
        with _Child(self._setup) as child:
            with self._lock:
                running = [each for each in self._children if each.poll() is None]
                self._children = [*running, child.process]
                if self._held:  # meanwhile
                    self._end_for_now([child.process])
            try:
                child.wait_until_ready()
            except ImportFailed:
                if child.process.pid not in self._shed:
                    raise
                return self._is_to_go_on(child.process.pid)
            has_read = False
            try:
                while (pending := self._take(unstored, has_read=has_read)) is not None:
                    if not self._read_pending(child, pending, unstored):
                        return self._is_to_go_on(child.process.pid)
                    has_read = True
            finally:
                unstored.settle()
        return not self._is_over()

    def _is_to_go_on(self, ended_pid: int) -> bool:
        """One that was shed alone leaves its work to the others; after a hold all go on."""
        with self._lock:
            if self._stopping:
                return False
            me = threading.get_ident()
            if ended_pid not in self._shed or ended_pid in self._resumed or self._active == {me}:
                return True
            self._active.discard(me)
            return False

    def _read_pending(self, child: _Child, pending: Pending, unstored: Unstored) -> bool:
        """Read one log; False when that took the child's life, or cost it."""
        log = Underway(self._identify(pending))
        try:
            job = self._job(log, unstored)
            if job is None:
                self._put_back(pending)
            elif isinstance(job, Cursor):
                self._journal.save_cursors([job]).result()
            else:
                self._read(child, job, log, unstored)
        except _Refused as error:
            log.problem = str(error)
        except (ImportFailed, OSError, SequenceConflict) as error:
            child.process.kill()
            if child.process.pid in self._shed:  # the log waits for another child
                with self._lock:
                    self._pending.appendleft(pending)
            elif not self._stopping:
                log.problem = str(error)
            return False
        finally:  # what a child gave before it died is stored, so it is to be shown
            unstored.end(log)
        return True

    def _job(self, log: Underway, unstored: Unstored) -> Job | Cursor | None:
        """What to read of a log; its cursor when that is nothing; None while a relative is read."""
        source = self._sources[log.log.agent]
        try:
            with self._journal.reader() as reader:
                facts = facts_if_unread(source, log.log, reader)
            if facts is not None and not self._claim_family(log, family(facts), unstored):
                return None
            with self._journal.reader() as reader:
                left_alone = self._excluded(log.log, reader)
                return left_alone or make_job(source, log.log, reader, facts)
        except OSError as error:
            raise _Refused(error.strerror or str(error)) from error

    def _claim_family(self, log: Underway, kin: str, unstored: Unstored) -> bool:
        if not self._claims.take(kin):
            unstored.settle()  # the relative may be one that we have read
            if not self._claims.take(kin):
                return False
        log.kin = kin
        return True

    def _put_back(self, pending: Pending) -> None:
        """A relative of it is read now."""
        with self._lock:
            self._pending.append(pending)
            self._lock.wait(CLAIM_POLL_S)

    def _identify(self, pending: Pending) -> Log:
        log = self._sources[pending.agent].identify(pending.path)
        assert log is not None, pending  # the plan holds logs only
        return log

    def _take(self, unstored: Unstored, *, has_read: bool) -> Pending | None:
        """The next log, of a session that nobody else reads; None when it is others' turn."""
        while True:
            with self._lock:
                if self._is_over() or (has_read and self._slots.wanted_beside(self)):
                    self._active.discard(threading.get_ident())
                    return None
                for number, pending in enumerate(self._pending):
                    if self._claims.take(self._identify(pending).agent_session_id):
                        del self._pending[number]
                        return pending
                has_read = True  # there is nothing to do: whoever reads it may wait for a child
                if not unstored and not self._slots.wanted_beside(self):
                    self._lock.wait(CLAIM_POLL_S)
            unstored.settle()  # what all wait for may be ours

    def _end(self, log: Underway) -> None:
        """All of it is stored that ever will be."""
        try:
            if log.problem:
                self._refused(log.log, log.problem)
        finally:
            if log.kin:
                self._claims.release(log.kin)
            self._claims.release(log.log.agent_session_id, stale=True)
            with self._lock:
                self._lock.notify_all()

    def _read(self, child: _Child, job: Job, log: Underway, unstored: Unstored) -> None:
        log.offset = 0 if job.log.in_place else job.cursor.offset
        for frame in child.run(job):
            if frame.error:
                log.problem = frame.error
            if frame.excluded is not None:
                self._journal.save_cursors([frame.excluded]).result()
            if frame.batch is not None:
                unstored.put(log, frame.batch, self._journal.submit(frame.batch))
                if log.problem:
                    raise SequenceConflict(log.problem)

    def _excluded(self, log: Log, reader: JournalReader) -> Cursor | None:
        patterns = self._setup.excluded.get(log.agent, ())
        return excluded_cursor(self._sources[log.agent], log, reader, patterns)

    def _refused(self, log: Log, problem: str) -> None:
        self._problem(f"{log.path}: {problem}")
        with self._journal.reader() as reader:
            cursor = unreadable(log, reader, problem)
        self._journal.save_cursors([cursor]).result()

    def _stored(self, log: Underway, batch: Batch) -> None:
        self._on_stored(batch)
        assert batch.cursor is not None
        with self._lock:
            progress = self._progress
            self._sessions.add(batch.facts.id)
            done_bytes = progress.done_bytes + batch.cursor.offset - log.offset
            self._progress = replace(
                progress,
                # Compressed logs are larger inside than the plan could know.
                total_bytes=max(progress.total_bytes, done_bytes),
                done_bytes=done_bytes,
                sessions=len(self._sessions),
                events=progress.events + batch.count,
            )
            self._on_progress(self._progress)
        log.offset = batch.cursor.offset

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
            [sys.executable, "-I", "-c", _CHILD],
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
