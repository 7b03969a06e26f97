"""The connection that moves the write-ahead log into the database, and does nothing else."""

from __future__ import annotations

import threading
from typing import Final

import apsw

from holdfast.journal import sqlite
from holdfast.journal.sqlite import BUSY_TIMEOUT_MS, PAGE_BYTES, plain_errors

BUSY_TRIES: Final = 16


class SqliteCheckpointer:
    """Opened with its first work: most runs of the program write too little to need it.

    `turn` is what the writer takes too when it makes a checkpoint. SQLite keeps two from running at
    once by itself, but then one of them finds the journal busy and moves nothing.
    """

    def __init__(self, path: str, turn: threading.Lock, *, vfs: str | None = None) -> None:
        self._path = path
        self._turn = turn
        self._vfs = vfs
        self._connection: apsw.Connection | None = None

    def run(self) -> int:
        """Move what no reader needs in the log; how many bytes of the log are in the database.

        The log is synced first and the database after it, by `synchronous` of this connection.
        """
        with self._turn:
            if self._connection is None:
                self._connection = sqlite.open_checkpointer(self._path, vfs=self._vfs)
            with plain_errors(self._path):
                return _moved_pages(self._connection) * PAGE_BYTES

    def finish(self, at_most_ms: int) -> bool:
        """Move all of it while the writer stands still; the next commit begins the log anew.

        For that nobody may be reading in the log at this moment, not even its end: whoever does is
        waited for, as long as it may take.
        """
        with self._turn, plain_errors(self._path):
            assert self._connection is not None
            self._connection.set_busy_timeout(at_most_ms)
            try:
                self._connection.wal_checkpoint("main", apsw.SQLITE_CHECKPOINT_RESTART)
            except apsw.BusyError:
                return False
            finally:
                self._connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        return True

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with plain_errors(self._path):
                connection.close()


def _moved_pages(connection: apsw.Connection) -> int:
    """A passive checkpoint waits for nobody, and is refused at once by what is over at once.

    It may come upon the writer while that changes the head of the log's index; a reader tries again
    by itself then. Of another program that makes a checkpoint it is as if nothing had been moved.
    """
    for _ in range(BUSY_TRIES):
        try:
            _log_pages, moved_pages = connection.wal_checkpoint("main")
        except apsw.BusyError:
            continue
        return moved_pages
    return 0
