"""The journal as a service: one thread that writes in groups, a few connections that read.

Whoever has a batch submits it and gets a future. The thread takes everything that waits, commits it
as one transaction, then resolves the futures; so a hundred callers cost one commit. When nothing
has come for a moment it feeds the index, then sleeps without a timer. The moment matters: during
an import the thread is done with each batch before the next comes, and an index that is fed a batch
at a time merges what it holds again and again, at twice the cost of all else the thread does. What
is urgent goes before it, and where it comes meanwhile a part is fed.

A group that fails is tried again batch by batch, so that one bad batch costs only itself. A full or
failing disk fails the whole group, touches nothing and is never tried again by itself: callers keep
their cursors and come again, and after a failure below SQLite they meet a writer opened anew.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing, contextmanager, suppress
from itertools import groupby, islice
from typing import Final, NamedTuple, TypeVar, cast

import msgspec

from holdfast.governor.gate import WAIT_MAX_S
from holdfast.journal import checkpoints
from holdfast.journal.checkpoints import Checkpoints
from holdfast.journal.mailbox import Call, Durable, JournalClosed, Mailbox, Post, Work, Write
from holdfast.journal.model import AuditRecord, Batch, Cursor, Run
from holdfast.journal.protocol import JournalReader, JournalWriter
from holdfast.journal.questions import Questions
from holdfast.journal.sqlite import (
    JournalBroken,
    JournalDamaged,
    JournalError,
    JournalFull,
)
from holdfast.journal.streams import Append, Appended, Committed, WrongSequence

INDEX_EVERY_EVENTS: Final = 8_192
INDEX_EVERY_BYTES: Final = 2_000_000
INDEX_QUIET_S: Final = 0.02  # without mail for so long: nobody is in the middle of something
INDEX_EVERY_S: Final = 0.5  # what is stored is found after this, come what may that can wait
BEHIND_FACTOR: Final = 2  # of these bounds: so much further behind it may fall for what is urgent

T = TypeVar("T")

_NOT_THE_BATCH: Final = (JournalFull, JournalBroken, JournalDamaged)


class Lend(NamedTuple):
    """A reader that somebody has."""

    who: str  # the thread that took it
    since_s: float


class HeldReader(msgspec.Struct, frozen=True):
    """A reader that was not given back for long."""

    who: str
    for_s: float


class Connections(msgspec.Struct, frozen=True):
    """The connections that read; beside them there is the one that writes."""

    readers_max: int
    open: int
    lent: int
    waiting: int  # who wants one and has to wait
    held_too_long: tuple[HeldReader, ...]  # the longest first


class JournalService:
    """Owns the writer's thread and the pool of readers."""

    def __init__(
        self,
        open_writer: Callable[[], JournalWriter],
        open_reader: Callable[[], JournalReader],
        *,
        readers: int = 2,
        wal_max_bytes: int = checkpoints.MAX_BYTES,
        on_failure: Callable[[JournalError], None] = lambda _error: None,
        clock_s: Callable[[], float] = time.monotonic,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        self._clock_s = clock_s
        self._wall_s = wall_s
        self._on_committed: Callable[[list[Committed]], None] = lambda _runs: None
        self._open_writer = open_writer
        self._open_reader = open_reader
        self._on_failure = on_failure
        self._mailbox = Mailbox()
        self._readers_max = readers
        self.questions = Questions(self.reader)
        self._reader_slots = threading.Semaphore(readers)
        self._readers_lock = threading.Lock()
        self._idle_readers: list[JournalReader] = []
        self._closed = False
        self._wal_max_bytes = wal_max_bytes
        self._writer = open_writer()
        self._untold = self._writer.next_position  # of what comes next, nobody was told yet
        self._checkpoints = self._beside(self._writer)
        self._broken = False
        self.is_failing = False  # until something is stored again
        self._fed_s = clock_s()
        self._index_paused_s: float | None = None  # since when
        self._lends: dict[int, Lend] = {}
        self._waiting_readers = 0
        self._start()

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="journal-writer", daemon=True)
        self._thread.start()

    @property
    def index_lag(self) -> int:
        """Events that are stored and that search does not find yet."""
        return self._writer.index_lag

    @property
    def waiting(self) -> int:
        return len(self._mailbox)

    @property
    def waiting_pct(self) -> float:
        """Of how much may wait before whoever submits must."""
        return self._mailbox.filled_pct

    @property
    def waiting_bytes(self) -> int:
        return self._mailbox.bytes

    @property
    def connections_open(self) -> int:
        """The writer's, the one for checkpoints, and those that read."""
        beside = self._checkpoints is not None
        return 1 + beside + len(self._idle_readers) + len(self._lends)

    @property
    def unindexed_bytes(self) -> int:
        """Of texts that are kept for the index."""
        return self._writer.unindexed_bytes

    @property
    def log_problem(self) -> str:
        """That the write-ahead log cannot be emptied, and what to do; mostly nothing."""
        held_bytes = self._checkpoints.held_bytes if self._checkpoints is not None else 0
        if not held_bytes:
            return ""
        return (
            f"the journal's write-ahead log has grown to {held_bytes / (1 << 20):,.0f} MiB and "
            "cannot be emptied, since something reads the journal and does not stop: end other "
            "programs that have journal.db open (`lsof`), or wait for `holdfast doctor`"
        )

    def pause_index(self) -> None:
        """Feed the index only when it would fall too far behind, or after `WAIT_MAX_S`."""
        if self._index_paused_s is None:
            self._index_paused_s = self._clock_s()
            self._wake()  # it counts from now on, whatever the thread waits for

    def resume_index(self) -> None:
        self._index_paused_s = None
        self._wake()

    def _wake(self) -> None:
        if not self.waiting:  # else the thread is awake
            with suppress(JournalClosed):
                self.offer(lambda _writer: None)

    def connections(self, held_s: float, now_s: float | None = None) -> Connections:
        """Who reads, and whether somebody has been doing so for longer than `held_s`."""
        now_s = self._clock_s() if now_s is None else now_s
        with self._readers_lock:
            lends = list(self._lends.values())
            idle = len(self._idle_readers)
        held = [
            HeldReader(lend.who, round(now_s - lend.since_s, 1))
            for lend in lends
            if now_s - lend.since_s > held_s
        ]
        return Connections(
            readers_max=self._readers_max,
            open=idle + len(lends),
            lent=len(lends),
            waiting=self._waiting_readers,
            held_too_long=tuple(sorted(held, key=lambda each: -each.for_s)),
        )

    def submit(self, batch: Batch, *, durable: bool = False, urgent: bool = False) -> Future[None]:
        """Store a batch soon. Blocks while too much waits: that is the back-pressure of ingest.

        What is `urgent` goes before what is not. Who submits waits for each batch of a session
        before the next, or marks all of them alike: only a lane keeps its order.
        """
        write = Write(batch, durable=durable)
        self._mailbox.put(write, urgent=urgent)
        return write.done

    def append(
        self, appends: Sequence[Append], *, wait: bool = True
    ) -> Future[list[Appended | WrongSequence]]:
        """Store events in streams; what has a place is on disk when the future has its result."""
        post = Post(appends)
        self._mailbox.put(post, wait=wait, urgent=True)
        return cast("Future[list[Appended | WrongSequence]]", post.done)

    def listen(self, on_committed: Callable[[list[Committed]], None]) -> None:
        """Who is told of each commit from now on: on the writer's thread, in order, and before
        whoever waits for it."""
        self._on_committed = on_committed

    def transact(
        self, work: Callable[[JournalWriter], T], *, size: int = 0, wait: bool = True
    ) -> Future[T]:
        """Run something in a transaction that others share; it is on disk when it has a result.

        What it raises undoes what it did and nothing else. `size` is what it holds, in bytes.
        """
        asked = Work(work, size)
        self._mailbox.put(asked, wait=wait, urgent=True)
        return cast("Future[T]", asked.done)

    def call(self, work: Callable[[JournalWriter], object]) -> Future[object]:
        """Run something on the writer's thread, between groups."""
        call = Call(work)
        self._mailbox.put(call)
        return call.done

    def offer(self, work: Callable[[JournalWriter], object]) -> Future[object] | None:
        """The same for who must not wait: None when too much waits already."""
        call = Call(work)
        return call.done if self._mailbox.offer(call) else None

    def audit(self, records: list[AuditRecord]) -> Future[object]:
        return self.call(lambda writer: writer.audit(records))

    def save_cursors(self, cursors: list[Cursor]) -> Future[object]:
        return self.call(lambda writer: writer.save_cursors(cursors))

    def settle(self) -> None:
        """Wait until everything submitted before is stored and can be searched."""
        self.call(_feed_all).result()

    @contextmanager
    def reader(self) -> Iterator[JournalReader]:
        """A reader for the time of the block; waits while all are lent."""
        with self._slot():
            reader = self._lend()
            sound = True
            try:
                yield reader
            except JournalError:
                sound = False
                raise
            finally:
                self._take_back(reader, sound=sound)

    @contextmanager
    def _slot(self) -> Iterator[None]:
        if not self._reader_slots.acquire(blocking=False):
            with self._readers_lock:
                self._waiting_readers += 1
            try:
                self._reader_slots.acquire()
            finally:
                with self._readers_lock:
                    self._waiting_readers -= 1
        try:
            yield
        finally:
            self._reader_slots.release()

    def close(self) -> None:
        """Store what waits, then close everything; a reader that is lent closes when it is back."""
        with self._readers_lock:
            if self._closed:
                return
            self._closed = True
            idle, self._idle_readers = self._idle_readers, []
        self._mailbox.close()
        self._finish()
        for reader in idle:
            reader.close()
        if self._checkpoints is not None:
            self._checkpoints.close()
        self._writer.close()

    def _finish(self) -> None:
        """Wait until the thread has done all that came before the mailbox was closed."""
        self._thread.join()

    def _lend(self) -> JournalReader:
        with self._readers_lock:
            if self._closed:
                raise JournalClosed("the journal is closing: try again after the restart")
            reader = self._idle_readers.pop() if self._idle_readers else None
        if reader is None:
            reader = self._open_reader()
        with self._readers_lock:
            self._lends[id(reader)] = Lend(threading.current_thread().name, self._clock_s())
        return reader

    def _take_back(self, reader: JournalReader, *, sound: bool) -> None:
        with self._readers_lock:
            self._lends.pop(id(reader), None)
            if sound and not self._closed:
                self._idle_readers.append(reader)
                return
        with suppress(JournalError):
            reader.close()

    # On the writer's thread.

    def _run(self) -> None:
        behind = self._writer.index_lag > 0  # what was stored and not indexed when we last ended
        quiet_s: float | None = 0.0 if behind else None
        try:
            while (work := self._mailbox.take(wait=True, at_most_s=quiet_s)) is not None:
                quiet_s = self._work_off(work)
        finally:  # only an error of our own gets here before the mailbox is empty
            self._refuse_the_rest()

    def _work_off(self, work: list[Write] | list[Durable] | Call) -> float | None:
        """Do what was taken from the mailbox; after how much quiet the index is to be fed next."""
        if isinstance(work, Call):
            self._call(work)
        elif work:
            self._store(work)
        quiet_s = self._follow(idle=work == [])
        if self._checkpoints is not None:
            self._checkpoints.committed(self._writer.log_bytes, idle=not self.waiting)
        return quiet_s

    def _follow(self, *, idle: bool) -> float | None:
        """Feed the index when there is time, or when it would fall too far behind.

        Gives after how much quiet it is to be fed next; None when it lacks nothing.
        """
        lag = self._writer.index_lag
        due = lag >= INDEX_EVERY_EVENTS or self._writer.unindexed_bytes >= INDEX_EVERY_BYTES
        paused_s = self._index_paused_s
        if paused_s is not None and not due:
            since_s = max(paused_s, self._fed_s)  # once in so long a time, however long it lasts
            left_s = since_s + WAIT_MAX_S - self._clock_s()
            if not lag or left_s > 0:
                return left_s if lag else None
            due = True
        due = due or self._clock_s() - self._fed_s >= INDEX_EVERY_S
        if not lag or not (idle or due):
            return INDEX_QUIET_S if lag else None
        if self._is_in_haste() and self._clock_s() - self._fed_s < BEHIND_FACTOR * INDEX_EVERY_S:
            return 0.0
        try:
            more = self._mended().feed_index(self._is_in_haste)
        except Exception as error:  # noqa: BLE001  # a search that lags must not stop the writing
            self._note(error)
            return None
        self._fed_s = self._clock_s()
        return 0.0 if more else None

    def _is_in_haste(self) -> bool:
        """Whether something urgent waits, and the index is not too far behind to let it by."""
        return (
            self._mailbox.has_urgent
            and self._writer.index_lag < BEHIND_FACTOR * INDEX_EVERY_EVENTS
            and self._writer.unindexed_bytes < BEHIND_FACTOR * INDEX_EVERY_BYTES
        )

    def _store(self, group: list[Write] | list[Durable]) -> None:
        writes = [each for each in group if isinstance(each, Write)]
        if writes:
            self._write(writes)
        else:
            self._transact([each for each in group if not isinstance(each, Write)])

    def _write(self, group: list[Write]) -> None:
        try:
            self._mended().write(
                [write.batch for write in group], durable=any(write.durable for write in group)
            )
        except BaseException as error:  # noqa: BLE001  # it goes to whoever waits for the batch
            if len(group) > 1 and not isinstance(error, _NOT_THE_BATCH):
                for write in group:
                    self._write([write])
                return
            self._note(error)
            for write in group:
                write.done.set_exception(error)
            return
        self.is_failing = False
        self._tell_committed()
        for write in group:
            write.done.set_result(None)

    def _transact(self, group: list[Durable]) -> None:
        works = _merged(group, self._wall_s())
        try:
            outcomes = self._mended().transact([work for work, _parts in works])
        except BaseException as error:  # noqa: BLE001  # it goes to whoever waits
            self._note(error)
            for item in group:
                item.done.set_exception(error)
            return
        self.is_failing = False
        self._tell_committed()
        for (_work, parts), outcome in zip(works, outcomes, strict=True):
            for part, own in zip(parts, _each(outcome, parts), strict=True):
                if isinstance(own, Exception):
                    part.done.set_exception(own)
                else:
                    part.done.set_result(own)

    def _tell_committed(self) -> None:
        committed = self._writer.take_committed()
        if committed:
            self._tell(committed)

    def _tell(self, committed: list[Committed]) -> None:
        self._untold = committed[-1].position + committed[-1].count
        self._on_committed(committed)

    def _call(self, call: Call) -> None:
        with suppress(JournalError):  # not every call needs the disk; one that does says so itself
            self._mended()
        try:
            call.done.set_result(call.work(self._writer))
        except BaseException as error:  # noqa: BLE001  # it goes to whoever waits for the call
            self._note(error)
            call.done.set_exception(error)

    def _note(self, error: BaseException) -> None:
        if not isinstance(error, JournalError):
            problem = JournalError(f"the journal's thread met {error!r}: please report this")
            problem.__cause__ = error
            error = problem
        self.is_failing = True
        self._on_failure(error)
        if isinstance(error, JournalBroken):
            self._broken = True
            with suppress(JournalError):  # else the next work tries again
                self._mended()

    def _mended(self) -> JournalWriter:
        """The writer; after the disk failed a new one, which trusts nothing that was remembered.

        What a failed sync may have left in memory only is written once more by the checkpoint.
        """
        if self._broken:
            if self._checkpoints is not None:
                self._checkpoints.close()
            with suppress(JournalError):
                self._writer.close()
            self._writer = self._open_writer()
            self._writer.checkpoint()
            self._checkpoints = self._beside(self._writer)
            self._tell_found()
            self._broken = False
        return self._writer

    def _tell_found(self) -> None:
        """What a commit that failed has left in the journal all the same: nobody was told of it."""
        with closing(self._open_reader()) as reader:
            while runs := reader.runs(self._untold):
                self._tell([_found(run, self._untold) for run in runs])

    def _beside(self, writer: JournalWriter) -> Checkpoints | None:
        checkpointer = writer.checkpointer()
        if checkpointer is None:
            return None
        return Checkpoints(
            checkpointer, max_bytes=self._wal_max_bytes, on_failure=self._checkpoint_failed
        )

    def _checkpoint_failed(self, error: JournalError) -> None:
        """On the thread of the checkpoints. The writer's thread opens all anew, at once."""
        self.is_failing = True
        self._on_failure(error)
        if isinstance(error, JournalBroken):
            self._broken = True
            self._wake()

    def _refuse_the_rest(self) -> None:
        self._mailbox.close()
        closed = JournalClosed("the journal was closed: what was not stored is read again")
        while work := self._mailbox.take(wait=False):
            for item in work if isinstance(work, list) else [work]:
                item.done.set_exception(closed)


def _merged(
    group: list[Durable], now_s: float
) -> list[tuple[Callable[[JournalWriter], object], list[Durable]]]:
    """What to run, in order, each with whom it is for: neighbouring posts are one append."""
    works: list[tuple[Callable[[JournalWriter], object], list[Durable]]] = []
    for is_post, each in groupby(group, lambda item: isinstance(item, Post)):
        if is_post:
            posts = [post for post in each if isinstance(post, Post)]
            appends = [append for post in posts for append in post.appends]
            works.append((_append(appends, now_s), [*posts]))
        else:
            works += [(item.work, [item]) for item in each if isinstance(item, Work)]
    return works


def _append(
    appends: list[Append], now_s: float
) -> Callable[[JournalWriter], list[Appended | WrongSequence]]:
    return lambda writer: writer.append(appends, now_s)


def _each(outcome: object, parts: list[Durable]) -> list[object]:
    """What became of each part of a work."""
    if isinstance(parts[0], Work):
        return [outcome]
    if not isinstance(outcome, list):
        return [outcome] * len(parts)
    outcomes = iter(outcome)
    return [list(islice(outcomes, len(part.appends))) for part in parts if isinstance(part, Post)]


def _found(run: Run, first: int) -> Committed:
    """A run from a position on; its lines are where it is."""
    skipped = max(0, first - run.position)
    return Committed(
        position=run.position + skipped,
        session=run.session,
        agent=run.agent,
        name=run.name,
        first_seq=run.first_seq + skipped,
        count=run.count - skipped,
        lines=b"",
    )


def _feed_all(writer: JournalWriter) -> None:
    while writer.feed_index():
        pass
