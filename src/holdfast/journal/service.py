"""The journal as a service: one thread that writes in groups, a few connections that read.

Whoever has a batch submits it and gets a future. The thread takes everything that waits, commits it
as one transaction, then resolves the futures; so a hundred callers cost one commit. When nothing
waits it feeds the index, then sleeps without a timer.

A group that fails is tried again batch by batch, so that one bad batch costs only itself. A full or
failing disk fails the whole group, touches nothing and is never tried again by itself: callers keep
their cursors and come again, and after a failure below SQLite they meet a writer opened anew.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import Final

from holdfast.journal.mailbox import Call, JournalClosed, Mailbox, Write
from holdfast.journal.model import AuditRecord, Batch, Cursor
from holdfast.journal.protocol import JournalReader, JournalWriter
from holdfast.journal.sqlite import (
    JournalBroken,
    JournalDamaged,
    JournalError,
    JournalFull,
)

INDEX_EVERY_EVENTS: Final = 8_192
INDEX_EVERY_CHARS: Final = 2_000_000

_NOT_THE_BATCH: Final = (JournalFull, JournalBroken, JournalDamaged)


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
        self._mailbox = Mailbox()
        self._reader_slots = threading.Semaphore(readers)
        self._readers_lock = threading.Lock()
        self._idle_readers: list[JournalReader] = []
        self._lent = 0
        self._closed = False
        self._writer = open_writer()
        self._broken = False
        self._unindexed_chars = 0
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
    def waiting_bytes(self) -> int:
        return self._mailbox.bytes

    @property
    def lent_readers(self) -> int:
        return self._lent

    @property
    def connections(self) -> int:
        """To the database: the writer's, and those of readers, lent or idle."""
        with self._readers_lock:
            return 1 + self._lent + len(self._idle_readers)

    def submit(self, batch: Batch, *, durable: bool = False) -> Future[None]:
        """Store a batch soon. Blocks while too much waits: that is the back-pressure of ingest."""
        write = Write(batch, durable=durable)
        self._mailbox.put(write)
        return write.done

    def call(self, work: Callable[[JournalWriter], object]) -> Future[object]:
        """Run something on the writer's thread, between groups."""
        call = Call(work)
        self._mailbox.put(call)
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
            reader = self._lend()
            sound = True
            try:
                yield reader
            except JournalError:
                sound = False
                raise
            finally:
                self._take_back(reader, sound=sound)

    def close(self) -> None:
        """Store what waits, then close everything; a reader that is lent closes when it is back."""
        with self._readers_lock:
            if self._closed:
                return
            self._closed = True
            idle, self._idle_readers = self._idle_readers, []
        self._mailbox.close()
        self._thread.join()
        for reader in idle:
            reader.close()
        self._writer.close()

    def _lend(self) -> JournalReader:
        with self._readers_lock:
            if self._closed:
                raise JournalClosed("the journal is closing: try again after the restart")
            self._lent += 1
            if self._idle_readers:
                return self._idle_readers.pop()
        try:
            return self._open_reader()
        except BaseException:
            with self._readers_lock:
                self._lent -= 1
            raise

    def _take_back(self, reader: JournalReader, *, sound: bool) -> None:
        with self._readers_lock:
            self._lent -= 1
            if sound and not self._closed:
                self._idle_readers.append(reader)
                return
        with suppress(JournalError):
            reader.close()

    # On the writer's thread.

    def _run(self) -> None:
        behind = self._writer.index_lag > 0  # what was stored and not indexed when we last ended
        try:
            while (work := self._mailbox.take(wait=not behind)) is not None:
                if isinstance(work, Call):
                    self._call(work)
                elif work:
                    self._write(work)
                behind = self._follow(idle=work == [])
        finally:  # only an error of our own gets here before the mailbox is empty
            self._refuse_the_rest()

    def _follow(self, *, idle: bool) -> bool:
        """Feed the index when there is time, or when it would fall too far behind."""
        lag = self._writer.index_lag
        due = lag >= INDEX_EVERY_EVENTS or self._unindexed_chars >= INDEX_EVERY_CHARS
        if not idle and not due:
            return lag > 0
        try:
            more = self._mended().feed_index()
        except Exception as error:  # noqa: BLE001  # a search that lags must not stop the writing
            self._note(error)
            return False
        self._unindexed_chars = 0
        return more

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
        for write in group:
            self._unindexed_chars += write.chars
            write.done.set_result(None)

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
            with suppress(JournalError):
                self._writer.close()
            self._writer = self._open_writer()
            self._writer.checkpoint()
            self._broken = False
        return self._writer

    def _refuse_the_rest(self) -> None:
        self._mailbox.close()
        closed = JournalClosed("the journal was closed: what was not stored is read again")
        while work := self._mailbox.take(wait=False):
            for item in work if isinstance(work, list) else [work]:
                item.done.set_exception(closed)


def _feed_all(writer: JournalWriter) -> None:
    while writer.feed_index():
        pass
