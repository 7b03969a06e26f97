"""The journal as a service: one thread that writes in groups, a few connections that read.

Whoever has a batch submits it and gets a future. The thread takes everything that waits, commits it
as one transaction, then resolves the futures; so a hundred callers cost one commit. When nothing
waits it feeds the index, then sleeps without a timer.

A group that fails is tried again batch by batch, so that one bad batch costs only itself. A full
disk fails every batch and touches nothing: callers keep their cursors and come again.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Final

from holdfast.journal.model import AuditRecord, Batch, Cursor
from holdfast.journal.protocol import JournalReader, JournalWriter
from holdfast.journal.sqlite import JournalBroken, JournalError

GROUP_BATCHES_MAX: Final = 64
GROUP_BYTES_MAX: Final = 4_000_000
WAITING_BATCHES_MAX: Final = 256
INDEX_EVERY_EVENTS: Final = 8_192


class JournalClosed(JournalError):
    """The journal is closing; what was not stored is read again at the next start."""


class _Write:
    __slots__ = ("batch", "done", "durable")

    def __init__(self, batch: Batch, *, durable: bool) -> None:
        self.batch = batch
        self.durable = durable
        self.done: Future[None] = Future()


class _Call:
    __slots__ = ("done", "work")

    def __init__(self, work: Callable[[JournalWriter], object]) -> None:
        self.work = work
        self.done: Future[object] = Future()


class JournalService:
    """Owns the writer's thread and the pool of readers."""

    def __init__(
        self,
        open_writer: Callable[[], JournalWriter],
        open_reader: Callable[[], JournalReader],
        *,
        readers: int = 2,
        on_failure: Callable[[JournalError], None] = lambda _error: None,
    ) -> None:
        self._open_writer = open_writer
        self._open_reader = open_reader
        self._on_failure = on_failure
        self._waiting: queue.Queue[_Write | _Call | None] = queue.Queue(WAITING_BATCHES_MAX)
        self._idle_readers: queue.LifoQueue[JournalReader] = queue.LifoQueue()
        self._reader_slots = threading.Semaphore(readers)
        self._closed = False
        self._writer = open_writer()
        self._thread = threading.Thread(target=self._run, name="journal-writer", daemon=True)
        self._thread.start()

    @property
    def index_lag(self) -> int:
        """Events that are stored and that search does not find yet."""
        return self._writer.index_lag

    @property
    def waiting(self) -> int:
        return self._waiting.qsize()

    def submit(self, batch: Batch, *, durable: bool = False) -> Future[None]:
        """Store a batch soon. Blocks while too many wait: that is the back-pressure of ingest."""
        write = _Write(batch, durable=durable)
        self._put(write)
        return write.done

    def call(self, work: Callable[[JournalWriter], object]) -> Future[object]:
        """Run something on the writer's thread, between groups."""
        call = _Call(work)
        self._put(call)
        return call.done

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
        with self._reader_slots:
            try:
                reader = self._idle_readers.get_nowait()
            except queue.Empty:
                reader = self._open_reader()
            try:
                yield reader
            except JournalError:
                reader.close()
                raise
            except BaseException:
                self._idle_readers.put(reader)
                raise
            self._idle_readers.put(reader)

    def close(self) -> None:
        """Store what waits, then close everything."""
        if self._closed:
            return
        self._closed = True
        self._waiting.put(None)
        self._thread.join()
        while not self._idle_readers.empty():
            self._idle_readers.get_nowait().close()
        self._writer.close()

    def _put(self, item: _Write | _Call) -> None:
        if self._closed:
            raise JournalClosed("the journal is closing: try again after the restart")
        self._waiting.put(item)

    def _run(self) -> None:
        behind = False
        while True:
            try:
                item = self._waiting.get(block=not behind)
            except queue.Empty:
                behind = self._feed()
                continue
            if item is None:
                break
            if isinstance(item, _Call):
                self._call(item)
            else:
                self._write(self._group(item))
            behind = self._writer.index_lag > 0
            if self._writer.index_lag >= INDEX_EVERY_EVENTS:
                behind = self._feed()
        self._drain()

    def _group(self, first: _Write) -> list[_Write]:
        group = [first]
        size = _size(first)
        while len(group) < GROUP_BATCHES_MAX and size < GROUP_BYTES_MAX:
            with self._waiting.mutex:
                following = self._waiting.queue[0] if self._waiting.queue else None
            if not isinstance(following, _Write):
                break
            group.append(following)
            size += _size(following)
            self._waiting.get_nowait()
        return group

    def _write(self, group: list[_Write]) -> None:
        try:
            self._writer.write(
                [write.batch for write in group], durable=any(write.durable for write in group)
            )
        except BaseException as error:  # noqa: BLE001  # it goes to whoever waits for the batch
            self._recover(error)
            if len(group) > 1:
                for write in group:
                    self._write([write])
            else:
                group[0].done.set_exception(error)
            return
        for write in group:
            write.done.set_result(None)

    def _call(self, call: _Call) -> None:
        try:
            call.done.set_result(call.work(self._writer))
        except BaseException as error:  # noqa: BLE001  # it goes to whoever waits for the call
            self._recover(error)
            call.done.set_exception(error)

    def _feed(self) -> bool:
        try:
            return self._writer.feed_index()
        except JournalError as error:
            self._recover(error)
            return False

    def _recover(self, error: BaseException) -> None:
        """After the disk failed, nothing the connection remembers can be trusted: open it anew."""
        if isinstance(error, JournalError):
            self._on_failure(error)
        if isinstance(error, JournalBroken):
            try:
                self._writer.close()
                self._writer = self._open_writer()
            except JournalError as again:
                self._on_failure(again)

    def _drain(self) -> None:
        closed = JournalClosed("the journal was closed: what was not stored is read again")
        while True:
            try:
                item = self._waiting.get_nowait()
            except queue.Empty:
                return
            if item is not None:
                item.done.set_exception(closed)


def _size(write: _Write) -> int:
    return len(write.batch.lines) + sum(len(block.data) for block in write.batch.blocks)


def _feed_all(writer: JournalWriter) -> None:
    while writer.feed_index():
        pass
