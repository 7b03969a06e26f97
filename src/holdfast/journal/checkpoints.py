"""Moving the write-ahead log into the database beside the writer, so that no commit waits for it.

A checkpoint syncs the log, copies pages, and syncs the database: half a second on a busy disk. The
thread here makes it with a connection of its own while the writer goes on; the writer's own
connection makes none by itself. What that alone does not give is an end of the log: SQLite begins
it anew only with a commit that finds all of it moved, and a writer that never rests is always a few
pages ahead. So, by how long the log is, in shares of `max_bytes`:

- up to a half: it is moved whenever an eighth has come. Most logs end here, in a moment of rest.
- from a half on: what is left is moved again and again, which makes it small; then the writer, when
  it has nothing to do, stands still for the last of it, for `PAUSE_MAX_S` at most.
- from the whole on: the writer stands still until it is done, whatever waits. Longer than that by
  more than one transaction the log grows only while somebody reads an old state of the journal
  (then it is told, and tried again whenever it is an eighth longer) or while the disk refuses.

Rejected: a checkpoint in the writer's thread when it is idle (a line that comes meanwhile waits for
the disk all the same), a log without end (it is read again at each start after a crash), two logs
in turn (`wal2`, which SQLite does not have), a checkpoint with `RESTART` from the beginning (it
holds the writer's lock while it syncs).

What failed below SQLite is not tried again on this connection: the thread ends, and whoever owns
it opens the journal anew, writer included.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from holdfast.journal.protocol import JournalCheckpointer
from holdfast.journal.sqlite import JournalBroken, JournalError

MAX_BYTES: Final = 64 * 1024 * 1024
PAUSE_MAX_S: Final = 0.08  # a line that comes at its beginning is seen within the time all the same
HELD_FACTOR: Final = 2  # of the bound: then it is no statement that happens to be under way
READERS_WAIT_MS: Final = 40  # for statements that are under way while the writer stands still
BLOCKED_RETRY_S: Final = 5.0  # a reader that leaves does not say so
_STEP_SHARE: Final = 8
_REST_SHARE: Final = 64  # so little is moved quickly


class Checkpoints:
    """Owns the thread, and all that is known of the log. Closed before the writer is."""

    def __init__(
        self,
        checkpointer: JournalCheckpointer,
        *,
        max_bytes: int = MAX_BYTES,
        on_failure: Callable[[JournalError], None],
    ) -> None:
        self._checkpointer = checkpointer
        self._max_bytes = max_bytes
        self._step_bytes = max_bytes // _STEP_SHARE
        self._rest_bytes = max_bytes // _REST_SHARE
        self._on_failure = on_failure
        self._changed = threading.Condition()
        self._closing = False
        self._ended = False  # and the connection is closed
        self._log_bytes = 0  # since the log was begun anew
        self._tried_bytes = 0  # how long it was when it was last tried to move it
        self._moved_bytes = 0  # how much of it is in the database
        self._is_blocked = False  # by somebody who reads an old state
        self._is_standing = self._is_in_haste = False  # the writer
        self._wanted = self._begun = self._done = 0  # numbers of checkpoints
        self._pause_from_bytes = max_bytes // 2
        self._stop_from_bytes = max_bytes
        self._thread = threading.Thread(target=self._run, name="journal-checkpoints", daemon=True)
        self._thread.start()

    @property
    def held_bytes(self) -> int:
        """How long the log is, when it is far beyond its bound because somebody reads in it."""
        is_long = self._log_bytes > HELD_FACTOR * self._max_bytes
        return self._log_bytes if self._is_blocked and is_long else 0

    def committed(self, log_bytes: int, *, idle: bool) -> None:
        """The writer's thread, between two transactions; here it stands still when it must."""
        with self._changed:
            if log_bytes < self._log_bytes:
                self._begin_anew()
            self._log_bytes = log_bytes
            if log_bytes >= self._stop_from_bytes:
                self._stand_still()
                self._stop_from_bytes = log_bytes + log_bytes // _STEP_SHARE
            elif idle and log_bytes >= self._pause_from_bytes and self._is_nearly_moved():
                self._stand_still(PAUSE_MAX_S)
                self._pause_from_bytes = log_bytes + self._step_bytes
            elif self._is_due():
                self._changed.notify_all()

    def close(self) -> None:
        """Behind the checkpoint that is under way."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._ended)

    def _begin_anew(self) -> None:
        self._tried_bytes = self._moved_bytes = 0
        self._pause_from_bytes = self._max_bytes // 2
        self._stop_from_bytes = self._max_bytes
        self._is_blocked = False

    def _is_nearly_moved(self) -> bool:
        left_bytes = self._log_bytes - self._moved_bytes
        return self._begun == self._done and 0 < left_bytes <= self._rest_bytes

    def _stand_still(self, at_most_s: float | None = None) -> None:
        """One that was begun before knows nothing of the last pages."""
        self._wanted = self._begun + 1
        self._is_standing, self._is_in_haste = True, at_most_s is not None
        self._changed.notify_all()
        self._changed.wait_for(lambda: self._ended or self._done >= self._wanted, at_most_s)
        self._is_standing = False

    def _is_due(self) -> bool:
        in_haste = self._log_bytes >= self._pause_from_bytes
        enough_bytes = self._rest_bytes if in_haste else self._step_bytes
        return self._begun < self._wanted or self._log_bytes - self._tried_bytes > enough_bytes

    # On the thread.

    def _run(self) -> None:
        broken: JournalBroken | None = None
        try:
            while broken is None and self._wait():
                broken = self._move()
        finally:
            with suppress(JournalError):
                self._checkpointer.close()
            with self._changed:
                self._ended = True
                self._changed.notify_all()
        if broken is not None:  # told last: whoever hears it may wait for what waits for us
            self._on_failure(broken)

    def _wait(self) -> bool:
        with self._changed:
            retry_s = BLOCKED_RETRY_S if self._is_blocked else None
            self._changed.wait_for(lambda: self._closing or self._is_due(), retry_s)
            self._begun += 1
            self._tried_bytes = self._log_bytes
            return not self._closing

    def _move(self) -> JournalBroken | None:
        """One checkpoint; what broke it for good."""
        moved_bytes = None
        try:
            moved_bytes = self._checkpointer.run()
            # The rest of it is not to be synced while a writer waits who is to go on soon.
            may_finish = moved_bytes >= self._tried_bytes or not self._is_in_haste
            if self._is_standing and may_finish and self._checkpointer.finish(READERS_WAIT_MS):
                moved_bytes = self._tried_bytes
        except JournalBroken as error:
            return error
        except JournalError as error:
            self._on_failure(error)
        except Exception as error:  # noqa: BLE001  # a log that is never moved would fill the disk
            problem = JournalError(f"a checkpoint met {error!r}: please report this")
            problem.__cause__ = error
            self._on_failure(problem)
        with self._changed:
            is_same_log = self._tried_bytes > 0
            if moved_bytes is not None and is_same_log:
                self._moved_bytes = moved_bytes
                self._is_blocked = moved_bytes < self._tried_bytes
            self._done = self._begun
            self._changed.notify_all()
        return None
