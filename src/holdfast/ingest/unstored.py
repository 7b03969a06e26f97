"""What children have read and the journal has not stored yet, with the logs that it is of.

A child goes on with the next log while the last one is being stored; waiting for each commit made
an import of many small logs half as fast. A log stays claimed until all of it is stored, since
whoever reads it next begins where the journal says.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final

from holdfast.journal.model import Batch
from holdfast.journal.sqlite import JournalError
from holdfast.journal.writer import SequenceConflict
from holdfast.sources.base import Log

BATCHES_MAX: Final = 8  # what one child gave may wait for the journal


class Underway:
    """A log that is read now, until all of it is stored."""

    __slots__ = ("is_read", "kin", "log", "offset", "problem", "waiting")

    def __init__(self, log: Log) -> None:
        self.log = log
        self.kin = ""  # the family that is claimed with it
        self.offset = 0  # up to here it is stored
        self.problem = ""  # why it could not be read, or stored, to its end
        self.is_read = False
        self.waiting = 0


class Unstored:
    """Of one child, in the order in which it was read. Use it from one thread."""

    def __init__(
        self,
        on_stored: Callable[[Underway, Batch], None],
        on_end: Callable[[Underway], None],
    ) -> None:
        self._on_stored = on_stored
        self._on_end = on_end
        self._waiting: deque[tuple[Underway, Batch, Future[None]]] = deque()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def put(self, log: Underway, batch: Batch, done: Future[None]) -> None:
        """Waits for the oldest when there are too many."""
        log.waiting += 1
        self._waiting.append((log, batch, done))
        while len(self._waiting) >= BATCHES_MAX:
            self._settle_oldest()

    def end(self, log: Underway) -> None:
        """Nothing more comes of a log."""
        log.is_read = True
        if not log.waiting:
            self._on_end(log)

    def settle(self) -> None:
        """Wait until all is stored, or is known not to be; each log that was read ends."""
        failure: JournalError | None = None
        while self._waiting:
            try:
                self._settle_oldest()
            except JournalError as error:
                failure = failure or error
        if failure is not None:
            raise failure

    def _settle_oldest(self) -> None:
        log, batch, done = self._waiting.popleft()
        log.waiting -= 1
        try:
            done.result()
            self._on_stored(log, batch)
        except SequenceConflict as error:  # what follows of the log meets the same
            log.problem = log.problem or str(error)
        finally:
            if log.is_read and not log.waiting:
                self._on_end(log)
