"""One writer per journal: a lock that the system drops when its holder dies, however it dies."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress
from typing import ClassVar, Final, Literal, Self

from holdfast.errors import Exit, HoldfastError

LOOK_AGAIN_S: Final = 0.01
ASKED_S_MAX: Final = 10.0  # whoever asks and is stopped in the middle is no reason to wait longer

Role = Literal["daemon", "import", "clean", "redact", "program"]
_DOING: Final[dict[str, str]] = {
    "import": "an import",
    "clean": "a clean-up",
    "redact": "a redaction",
    "program": "a program",
}


class AlreadyRunning(HoldfastError):
    """Another process writes to this journal."""

    exit: ClassVar[Exit] = Exit.ALREADY_RUNNING


class LockFailed(HoldfastError):
    """The lock file cannot be made."""

    exit: ClassVar[Exit] = Exit.JOURNAL


class JournalLock:
    """Held from `acquire` to `release`. The file stays: removing it would let two in."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._fd: int | None = None

    def acquire(self, role: Role) -> Self:
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise LockFailed(
                f"cannot make the lock file {self._path} ({error.strerror}): check who owns its "
                "folder, or set HOLDFAST_HOME to a folder that you can write to"
            ) from error
        try:
            _lock(fd)
        except OSError as error:
            said = os.pread(fd, 64, 0).decode("ascii", "replace").strip() or "unknown process"
            os.close(fd)
            if not isinstance(error, BlockingIOError):
                raise LockFailed(
                    f"cannot lock {self._path} ({error.strerror}): its file system may not know "
                    "locks; set HOLDFAST_HOME to a folder on a disk of this machine"
                ) from error
            raise AlreadyRunning(_who_holds(said)) from None
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{role} {os.getpid()}\n".encode(), 0)
        self._fd = fd
        return self

    def release(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.release()


def _who_holds(said: str) -> str:
    role, _, pid = said.partition(" ")
    if doing := _DOING.get(role):
        return f"{doing} is running (pid {pid}): wait for it, or end it with Ctrl-C where it runs"
    return (
        f"the journal is held by another holdfast ({said}): use it with the other commands, or "
        "`holdfast stop` first"
    )


def _lock(fd: int) -> None:
    """Whoever only asks who holds the lock has it for a moment: that moment is waited for.

    It is shared with whoever asks, and a holder shares it with nobody: that tells them apart,
    however long a busy machine makes that moment.
    """
    last_s = time.monotonic() + ASKED_S_MAX
    while time.monotonic() < last_s:
        with suppress(BlockingIOError):
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        fcntl.flock(fd, fcntl.LOCK_UN)
        time.sleep(LOOK_AGAIN_S)
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)


def holder(path: str) -> tuple[str, int] | None:
    """Who holds the lock: role and pid; None when nobody does."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        role, _, pid = os.pread(fd, 64, 0).decode("ascii", "replace").strip().partition(" ")
        return (role, int(pid)) if pid.isdigit() else None
    else:
        return None
    finally:
        os.close(fd)
