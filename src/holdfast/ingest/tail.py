"""The live tail: what is appended to a log is in the journal and in memory milliseconds later.

A change marks a path; one task at a time reads it from its cursor, waits for the commit, shows the
batch to `on_stored`, and looks whether the path was marked again meanwhile. What is too much to
read beside everything else (a large backlog, a rewritten log) goes to an import child. Sessions are
read by one reader at a time, so sequence numbers need no negotiation.
"""

from __future__ import annotations

import asyncio
import errno
import os
import stat
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cached_property
from itertools import islice
from typing import Final, TypeVar

import msgspec

from holdfast.blobstore import BlobStore
from holdfast.governor.gate import BackgroundGate
from holdfast.governor.protocol import Level, Usage
from holdfast.ingest.child import Job, Setup
from holdfast.ingest.claims import SessionClaims
from holdfast.ingest.importer import Importer, ImportReport, Progress
from holdfast.ingest.items import Excluded, ItemReading
from holdfast.ingest.kinship import is_settled, unread_family
from holdfast.ingest.plan import (
    Pending,
    Plan,
    excluded_cursor,
    is_changed,
    make_job,
    make_plan,
    unreadable,
)
from holdfast.ingest.reading import Reading, was_rewritten
from holdfast.ingest.retries import Retries
from holdfast.ingest.slots import ChildSlots
from holdfast.ingest.stores import Stamped, Stores
from holdfast.ingest.turns import Turns
from holdfast.journal.model import Batch, Cursor, ItemMark
from holdfast.journal.service import JournalService
from holdfast.observe.logs import JsonLog
from holdfast.privacy import Door
from holdfast.sources.base import (
    NO_FILE,
    ItemSource,
    Log,
    Source,
    is_compressed,
    store_of_key,
    tells_items,
    tells_lines,
)
from holdfast.sources.watch import Watcher, Watching, make_watcher

T = TypeVar("T")

HOT_LOGS_MAX: Final = 256
CLAIM_POLL_S: Final = 0.02
REMEMBERED_BYTES: Final = 1_500  # of a log, without its parser's state
READINGS_MAX: Final = 8  # logs that are open at the same time
PROBLEMS_MAX: Final = 16
WALKS: Final = "looking through folders"  # background jobs, by the names that people see
IMPORTS: Final = "starting imports"
PENDING_MAX: Final = 64  # more changed logs than this are read by children
FIRST_READINGS_MAX: Final = 4  # more of them share a few children instead of having one each
SLOW_PACE_S: Final = 0.5  # while memory is scarce: changes are gathered for so long,
SLOW_READINGS_MAX: Final = 1  # and read one log after the other
RESUME_EVERY_S: Final = 2.0  # of the imports whose children were ended, one goes on,
RESUMES_MAX: Final = 150  # and after so many times without room it goes on all the same
RECONCILE_COST_SHARE: Final = 300  # reconciling may take one part in so many of the time


class _Hot(msgspec.Struct):
    """Where a log that is being written stands: saves asking the journal each time."""

    log: Log
    cursor: Cursor
    next_seq: int
    settled: bool  # else it may still turn out to repeat another log


class TailStatus(msgspec.Struct, frozen=True):
    importing: bool
    waiting_logs: int
    hot_logs: int
    lag_bytes: int
    problems: list[str]


class Tail:
    """Keeps the journal at the end of every log. Lives on the daemon's event loop."""

    name: Final = "tail"

    def __init__(
        self,
        journal: JournalService,
        sources: Mapping[str, Source],
        *,
        setup: Setup,
        workers: int,
        inline_backlog_bytes: int,
        reconcile_secs: int,
        on_stored: Callable[[Batch], None],
        on_children: Callable[[], None],
        log: JsonLog,
        gate: BackgroundGate | None = None,
    ) -> None:
        self._journal = journal
        self._sources = sources
        self._roots = [(root, source) for source in sources.values() for root in source.roots()]
        self._setup = setup
        self._workers = workers
        self._inline_backlog = inline_backlog_bytes
        self._reconcile_secs = reconcile_secs
        self._on_stored = on_stored
        self._on_children = on_children
        self._log = log
        self._gate = gate if gate is not None else BackgroundGate()
        self._turns = Turns(workers, self._gate, self._mark_now)
        self._gate.join(WALKS)
        self._gate.join(IMPORTS, resume=self._turns.look)
        self._slowed = False
        self._pace: asyncio.TimerHandle | None = None
        self._resume: asyncio.TimerHandle | None = None
        self._resumes_waited = 0
        self._hot: OrderedDict[str, _Hot] = OrderedDict()  # by the agent's session id
        self._item_sources = [source for source in sources.values() if tells_items(source)]
        self._stores = Stores(self._changed_logs, self._mark_log, self._store_failed, self._missed)
        self._marked: dict[str, None] = {}  # keys of logs
        self._retries = Retries()
        self._claims = SessionClaims()
        self._readings = 0
        self._slots = ChildSlots(workers)
        self._poll: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._import: asyncio.Task[ImportReport] | None = None
        self._importers: set[Importer] = set()
        self._watcher: Watcher | None = None
        self._reconcile = asyncio.Event()
        self._walk_s = 0.0  # what looking at all roots took of a processor
        self._closing = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._problems: dict[str, str] = {}  # path -> what keeps it from being read now
        self.progress = Progress()

    async def start(self) -> None:
        """Watch, and read what was missed while nobody watched."""
        self._loop = asyncio.get_running_loop()
        roots = [root for root, _source in self._roots]
        self._watcher = make_watcher(roots, self._mark, self._missed, self._enters)
        self._watcher.start()
        self._spawn(self._reconcile_forever())

    async def close(self) -> None:
        """Stop watching, finish what is being read, end the children."""
        self._closing = True
        self._turns.close()
        self._gate.open()  # whoever waits before it is to see that we end
        if self._watcher is not None:
            self._watcher.close()
        self._stores.close()
        if self._resume is not None:
            self._resume.cancel()
        for importer in self._importers:
            importer.stop()
        if self._import is not None:
            await asyncio.wait([self._import])
        self._reconcile.set()
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    @cached_property
    def _door(self) -> Door:
        return self._setup.door()

    @property
    def importing(self) -> bool:
        return self._import is not None and not self._import.done()

    @property
    def watching(self) -> Watching:
        return self._watcher.watching if self._watcher is not None else Watching(None)

    @property
    def has_children(self) -> bool:
        return bool(self._importers)

    def child_pids(self) -> list[int]:
        """For any thread."""
        return [pid for importer in tuple(self._importers) for pid in importer.child_pids()]

    def fewer_children(self) -> int:
        """End all children but one, or that one when it is alone; how many ended.

        Their work waits until `let_children_go_on`. The one that stays is the one that was ended
        most often: it is to come to its end.
        """
        running = [importer for importer in self._importers if importer.child_pids()]
        if self._resume is not None:
            self._resume.cancel()
            self._resume = None
        if len(self.child_pids()) == 1:
            return running[0].hold(last=True)
        running.sort(key=lambda importer: -importer.times_held)
        ended = sum(importer.hold() for importer in running[1:])
        while running and running[0].shed():
            ended += 1
        return ended

    def let_children_go_on(self) -> None:
        """One import after the other, each when there is room for it, and some time in any case."""
        self._resume = None
        held = [importer for importer in self._importers if importer.is_held]
        if not held or self._loop is None:
            return
        self._resumes_waited += 1
        if not self.child_pids() or self._gate.is_open or self._resumes_waited > RESUMES_MAX:
            self._resumes_waited = 0
            max(held, key=lambda importer: importer.times_held).go_on()
        if len(held) > 1 or self._resumes_waited:
            self._resume = self._loop.call_later(RESUME_EVERY_S, self.let_children_go_on)

    def slow_down(self) -> None:
        """Gather changes for a while and read one log at a time; nothing is left out."""
        self._slowed = True

    def speed_up(self) -> None:
        self._slowed = False
        if self._pace is not None:
            self._pace.cancel()
            self._pace = None
        if self._loop is not None:
            self._pump_marked()

    def usage(self) -> Usage:
        """What is remembered of logs that are being written, and of changes not read yet."""
        state_bytes = sum(len(hot.cursor.state) for hot in self._hot.values())
        items = len(self._hot) + self._waiting_logs
        return Usage(items * REMEMBERED_BYTES + state_bytes, items, None)

    def relieve(self, level: Level, target_bytes: int) -> int:
        """What is not being read now is asked of the journal again when it is."""
        if level < Level.CRITICAL or target_bytes <= 0:
            return 0
        before_bytes = self.usage().bytes
        self._hot.clear()
        return before_bytes - self.usage().bytes

    def status(self) -> TailStatus:
        progress = self.progress
        lag = progress.total_bytes - progress.done_bytes if self.importing else 0
        return TailStatus(
            self.importing,
            self._waiting_logs,
            len(self._hot),
            max(0, lag),
            [f"{path}: {problem}" for path, problem in self._problems.items()],
        )

    @property
    def _waiting_logs(self) -> int:
        return len(self._marked) + len(self._turns)

    async def import_all(self) -> ImportReport:
        """Everything unread, by children; whoever asks meanwhile waits for the same run."""
        if self._import is None or self._import.done():
            self._import = asyncio.ensure_future(self._run_import())
        return await asyncio.shield(self._import)

    async def _run_import(self) -> ImportReport:
        try:
            with self._new_importer(self._claims) as importer:
                return await _on_own_thread(importer.run)
        finally:
            asyncio.get_running_loop().call_soon(self._pump_marked)

    @contextmanager
    def _new_importer(self, claims: SessionClaims) -> Iterator[Importer]:
        loop = asyncio.get_running_loop()

        def show(batch: Batch) -> None:
            loop.call_soon_threadsafe(self._on_stored, batch)

        importer = Importer(
            self._journal,
            self._sources,
            workers=self._workers,
            setup=self._setup,
            claims=claims,
            slots=self._slots,
            on_stored=show,
            on_progress=self._progressed,
        )
        if self._closing:
            importer.stop()
        self._importers.add(importer)
        self._on_children()
        try:
            yield importer
        finally:
            self._importers.discard(importer)
            self._on_children()

    def _progressed(self, progress: Progress) -> None:
        self.progress = progress

    @contextmanager
    def alone_with(self, session: str) -> Iterator[None]:
        """On a thread: nobody reads this session meanwhile, nor goes on from where it stood."""
        loop = self._loop
        assert loop is not None
        try:
            with self._claims.alone_with(session):
                yield
        finally:
            loop.call_soon_threadsafe(self._pump_marked)

    # From a change to a reading.

    def _mark(self, path: str) -> None:
        if self._closing:
            return
        for source in self._item_sources:
            store = source.store_of(path)
            if store is not None:
                self._stores.touch(source, store)
                return
        if self._identify(path) is not None:
            self._mark_log(path)

    def _mark_log(self, key: str) -> None:
        if not self._retries.rests(key):
            self._mark_now(key)

    def _mark_now(self, key: str) -> None:
        if not self._turns.waits(key):  # then it is read anyway
            self._marked[key] = None
            self._pump_soon()

    def _pump_soon(self) -> None:
        """At once, unless we are to be slow."""
        if not self._slowed:
            self._pump_marked()
        elif self._pace is None and self._marked and not self._closing:
            loop = asyncio.get_running_loop()
            self._pace = loop.call_later(SLOW_PACE_S, self._pump_slowly)

    def _pump_slowly(self) -> None:
        self._pace = None
        self._pump_marked()

    def _enters(self, folder: str) -> bool:
        return all(
            source.enters(folder) for root, source in self._roots if folder.startswith(root + "/")
        )

    def _missed(self, why: str) -> None:
        self._log.info("tail.reconcile", why=why)
        self._reconcile.set()

    def _identify(self, path: str) -> Log | None:
        for source in self._sources.values():
            log = source.identify(path)
            if log is not None:
                return log
        return None

    def _pump_marked(self) -> None:
        for path in list(islice(self._marked, 2 * READINGS_MAX)):
            if self._closing or self._readings >= self._readings_max:
                return
            log = self._identify(path)
            if log is None:
                del self._marked[path]
                self._turns.over(path)
            elif self._claims.take(log.agent_session_id):
                del self._marked[path]
                self._readings += 1
                self._spawn(self._pump(log))
            elif self.has_children and self._poll is None:  # until a child gives the session back
                loop = asyncio.get_running_loop()
                self._poll = loop.call_later(CLAIM_POLL_S, self._poll_marked)

    @property
    def _readings_max(self) -> int:
        return SLOW_READINGS_MAX if self._slowed else READINGS_MAX

    def _poll_marked(self) -> None:
        self._poll = None
        self._pump_marked()

    async def _pump(self, log: Log) -> None:
        if self._claims.take_stale(log.agent_session_id):
            self._hot.pop(log.agent_session_id, None)
        kin = ""
        try:
            if log.agent_session_id not in self._hot:
                kin = await asyncio.to_thread(self._family, log)
            if kin and not self._claims.take(kin):  # a relative is being read
                kin = ""
                self._marked[log.key] = None
                asyncio.get_running_loop().call_later(CLAIM_POLL_S, self._pump_marked)
                return
            await self._read(log)
            self._retries.over(log.key)
            self._turns.over(log.key)
        except Exception as error:  # noqa: BLE001  # whatever it is, it costs this log only
            self._hot.pop(log.agent_session_id, None)
            self._turns.over(log.key)
            if self._note(log.key, str(error) or repr(error)):
                self._log.warning("tail.failed", path=log.key, error=repr(error))
            if not self._closing:
                self._marked.pop(log.key, None)
                rest_s = self._retries.failed(log.key)
                asyncio.get_running_loop().call_later(rest_s, self._mark_now, log.key)
        finally:
            self._readings -= 1
            self._claims.release(log.agent_session_id)
            if kin:
                self._claims.release(kin)
        self._pump_soon()

    def _family(self, log: Log) -> str:
        """Whose logs are not to be read beside this one; "" when it was read before."""
        with self._journal.reader() as reader, suppress(OSError):
            return unread_family(self._sources[log.agent], log, reader)
        return ""

    async def _read(self, log: Log) -> None:
        if log.in_place:
            await self._read_items(log)
            return
        try:
            fd = os.open(log.path, os.O_RDONLY | os.O_NONBLOCK)
        except FileNotFoundError:
            await self._gone(log)
            return
        except OSError as error:
            await self._unreadable(log, error)
            return
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                await self._unreadable(log, OSError(errno.EINVAL, NO_FILE))
                return
            self._problems.pop(log.path, None)
            if await self._is_excluded(log):
                return
            if is_compressed(log.path):
                if await asyncio.to_thread(self._has_changed, log):
                    await self._read_in_child(log)
                return
            hot = await self._hot_log(log)
            size = os.fstat(fd).st_size
            backlog = size - hot.cursor.offset
            compare = hot.cursor.must_compare or was_rewritten(fd, hot.cursor, size)
            if compare or backlog > self._inline_backlog:
                await self._read_in_child(log)
            elif size != hot.cursor.offset or hot.cursor.error or hot.cursor.gone_at:
                await self._read_here(fd, hot)
        finally:
            os.close(fd)

    def _has_changed(self, log: Log) -> bool:
        """Whether a compressed log is another one than when it was read."""
        about = os.stat(log.path)
        cursor = self._journal.questions.cursor(log.agent, log.path)
        if cursor is None or cursor.gone_at:
            return True
        return (cursor.size, cursor.mtime_ns) != (about.st_size, about.st_mtime_ns)

    async def _is_excluded(self, log: Log) -> bool:
        """Decided when a log is first met; one that is being read was let in."""
        if not self._setup.excluded.get(log.agent) or log.agent_session_id in self._hot:
            return False
        cursor = await asyncio.to_thread(self._excluded_cursor, log)
        if cursor is None:
            return False
        await asyncio.wrap_future(self._journal.save_cursors([cursor]))
        return True

    def _excluded_cursor(self, log: Log) -> Cursor | None:
        with self._journal.reader() as reader:
            return excluded_cursor(
                self._sources[log.agent], log, reader, self._setup.excluded[log.agent]
            )

    async def _read_here(self, fd: int, hot: _Hot) -> None:
        source = self._sources[hot.log.agent]
        assert tells_lines(source)
        reading = Reading(
            source,
            hot.log,
            hot.cursor,
            first_seq=hot.next_seq,
            limits=self._setup.limits,
            blobs=BlobStore(self._setup.blobs),
            door=self._door,
        )
        for batch in reading.batches(fd):
            await asyncio.wrap_future(self._journal.submit(batch, urgent=True))
            assert batch.cursor is not None
            hot.cursor = batch.cursor
            hot.next_seq += batch.count
            self._on_stored(batch)
            hot.settled = is_settled(batch.facts, hot.next_seq)

    async def _read_items(self, log: Log) -> None:
        """On a thread, for finding out what changed may take a while; what is large by a child."""
        store = store_of_key(self._sources[log.agent], log.key)
        assert store is not None, log
        try:
            job = await asyncio.to_thread(self._make_job, log)
            if await asyncio.to_thread(self._is_for_a_child, job):
                started_s = time.monotonic()
                await self._read_in_child(log)
                self._stores.took(store, time.monotonic() - started_s)
            else:
                self._stores.took(store, await asyncio.to_thread(self._read_items_here, job))
        except FileNotFoundError:
            await self._gone(log)
        except OSError as error:
            await self._unreadable(log, error)
        else:
            self._problems.pop(log.key, None)

    def _is_for_a_child(self, job: Job) -> bool:
        """A log of its own is read as a whole each time, of one among many only what changed."""
        if job.log.member:
            return job.cursor.mtime_ns <= 0  # never read to its end
        source = self._sources[job.log.agent]
        assert isinstance(source, ItemSource)
        # Not its file: of a tree of files, that is the smallest.
        whole = sum(stamp.size for _log, stamp in source.logs(job.log.path))
        return whole > self._inline_backlog

    def _read_items_here(self, job: Job) -> float:
        """What that took of a processor."""
        started_s = time.thread_time()
        source = self._sources[job.log.agent]
        assert tells_items(source)
        session = job.cursor.session

        def known(key: int) -> ItemMark | None:
            with self._journal.reader() as reader:
                return reader.item(session, key)

        reading = ItemReading(
            source,
            job.log,
            job.cursor,
            first_seq=job.first_seq,
            limits=self._setup.limits,
            blobs=BlobStore(self._setup.blobs),
            known=known,
            door=self._door,
            excluded=self._setup.excluded.get(job.log.agent, ()),
        )
        loop = self._loop
        assert loop is not None
        try:
            for batch in reading.batches():
                self._journal.submit(batch, urgent=True).result()
                loop.call_soon_threadsafe(self._on_stored, batch)
        except Excluded as left_alone:
            self._journal.save_cursors([left_alone.cursor]).result()
        return time.thread_time() - started_s

    def _changed_logs(self, source: ItemSource, store: str, since_ns: int) -> list[Stamped]:
        """Logs in a file that are not as they were when they were last read."""
        cursor = self._journal.questions.cursor
        return [
            (log.key, stamp)
            for log, stamp in source.logs(store, since_ns)
            if is_changed(cursor(log.agent, log.key), stamp)
        ]

    def _store_failed(self, store: str, error: Exception) -> None:
        if not isinstance(error, FileNotFoundError):
            self._note(store, getattr(error, "strerror", None) or str(error) or repr(error))
            self._log.warning("tail.failed", path=store, error=repr(error))
        elif self._identify(store) is not None:
            self._mark_log(store)  # reading it finds that it is gone
        else:
            self._reconcile.set()

    async def _hot_log(self, log: Log) -> _Hot:
        hot = self._hot.get(log.agent_session_id)
        if hot is None or not hot.settled or hot.log.path != log.path:
            job = await asyncio.to_thread(self._make_job, log)
            hot = self._hot[log.agent_session_id] = _Hot(
                log, job.cursor, job.first_seq, job.settled
            )
            if len(self._hot) > HOT_LOGS_MAX:
                self._hot.popitem(last=False)
        self._hot.move_to_end(log.agent_session_id)
        return hot

    def _make_job(self, log: Log) -> Job:
        with self._journal.reader() as reader:
            return make_job(self._sources[log.agent], log, reader)

    async def _read_in_child(self, log: Log) -> None:
        """Now, or when it is the log's turn to have a child."""
        self._hot.pop(log.agent_session_id, None)
        about = os.stat(log.path)
        plan = Plan([Pending(about.st_mtime_ns, log.key, log.agent)], about.st_size)
        if not self._turns.take(log.key):
            return
        # The session is claimed for this log already, so the importer has claims of its own.
        with self._place_given_back(), self._new_importer(SessionClaims()) as importer:
            await _on_own_thread(lambda: importer.read(plan))

    @contextmanager
    def _place_given_back(self) -> Iterator[None]:
        """Children have places of their own, and reading a large log may take minutes."""
        self._readings -= 1
        self._pump_soon()
        try:
            yield
        finally:
            self._readings += 1

    def _note(self, path: str, problem: str) -> bool:
        """For the status, until the log is read or gone; the newest when there are many.

        Whether it was not known: a log file need not repeat it.
        """
        known = self._problems.pop(path, None)
        self._problems[path] = problem
        if len(self._problems) > PROBLEMS_MAX:
            del self._problems[next(iter(self._problems))]
        return problem != known

    async def _gone(self, log: Log) -> None:
        self._hot.pop(log.agent_session_id, None)
        self._problems.pop(log.key, None)
        with self._new_importer(SessionClaims()) as importer:
            await asyncio.to_thread(importer.read, Plan(gone=[(log.agent, log.key)]))
        self._log.info("tail.gone", path=log.key)

    async def _unreadable(self, log: Log, error: OSError) -> None:
        self._hot.pop(log.agent_session_id, None)
        problem = error.strerror or str(error)
        is_new = self._note(log.key, problem)
        cursor = await asyncio.to_thread(self._unreadable_cursor, log, problem)
        await asyncio.wrap_future(self._journal.save_cursors([cursor]))
        if is_new:
            self._log.warning("tail.unreadable", path=log.key, error=problem)

    def _unreadable_cursor(self, log: Log, problem: str) -> Cursor:
        with self._journal.reader() as reader:
            return unreadable(log, reader, problem)

    # What notifications missed.

    async def _reconcile_forever(self) -> None:
        while not self._closing:
            await self._gate.passed()
            if self._closing:  # what is cleared now would be waited for
                return
            self._reconcile.clear()
            try:
                await self._reconcile_once()
            except Exception as error:  # noqa: BLE001  # the next time may be better
                self._log.warning("tail.reconcile_failed", error=repr(error))
            pause_s = max(self._reconcile_secs, RECONCILE_COST_SHARE * self._walk_s)
            try:
                await asyncio.wait_for(self._reconcile.wait(), pause_s)
            except TimeoutError:
                continue

    async def _reconcile_once(self) -> None:
        if self.importing or self._closing:
            return
        if self._watcher is not None:
            self._watcher.look_again()
        plan = await asyncio.to_thread(self._plan)
        if self._closing:
            return
        unread = {pending.path for pending in plan.pending}
        self._problems = {path: why for path, why in self._problems.items() if path in unread}
        for path, problem in plan.problems.items():
            self._note(path, problem)
        if (
            plan.unread_bytes > self._inline_backlog
            or len(plan.pending) > PENDING_MAX
            or plan.first_readings > FIRST_READINGS_MAX
        ):
            for problem in (await self.import_all()).problems:
                path, _, why = problem.partition(": ")
                self._note(path, why)
                self._log.warning("import.problem", problem=problem)
            return
        for _agent, key in plan.gone:
            self._mark_log(key)
        for pending in plan.pending:
            self._mark_log(pending.path)

    def _plan(self) -> Plan:
        started_s = time.thread_time()
        plan = make_plan(self._sources, self._journal.questions, self._setup.excluded)
        self._walk_s = time.thread_time() - started_s
        return plan

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _on_own_thread(work: Callable[[], T]) -> T:
    """An import may last for hours: it takes no thread from those who ask the journal."""
    executor = ThreadPoolExecutor(1, thread_name_prefix="import")
    try:
        return await asyncio.get_running_loop().run_in_executor(executor, work)
    finally:
        executor.shutdown(wait=False)
