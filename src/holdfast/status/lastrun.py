"""What a run leaves behind, and what the next one reads from it.

The file says "running" from the first moment on and "stopped" only when shutdown went through. So a
file that says "running" while nobody holds the journal tells of a kill, a crash or a power cut; the
machine's boot id tells the last one apart.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress

import msgspec

from holdfast import __version__
from holdfast.clock import instant
from holdfast.status.model import LastRun


class Run(msgspec.Struct):
    pid: int
    version: str
    started_at: str
    heartbeat_at: str
    boot_id: str
    ended_at: str = ""
    detail: str = ""
    failed: bool = False


class RunFile:
    def __init__(self, path: str) -> None:
        self._path = path
        now = instant()
        self._run = Run(os.getpid(), __version__, now, now, boot_id())

    @property
    def started_at(self) -> str:
        return self._run.started_at

    def begin(self) -> LastRun | None:
        """Read how the last run ended, then say that this one runs."""
        last = self._read()
        self._write()
        return explain(last) if last is not None else None

    def beat(self) -> None:
        self._run.heartbeat_at = instant()
        self._write()

    def end(self, detail: str, *, failed: bool = False) -> None:
        self._run.ended_at = self._run.heartbeat_at = instant()
        self._run.detail = detail
        self._run.failed = failed
        self._write()

    def last(self) -> LastRun | None:
        """For a command without a daemon: how the newest run ended."""
        last = self._read()
        return explain(last) if last is not None else None

    def _read(self) -> Run | None:
        try:
            with open(self._path, "rb") as file:
                return msgspec.json.decode(file.read(), type=Run)
        except (OSError, msgspec.DecodeError):
            return None

    def _write(self) -> None:
        with suppress(OSError):  # a full disk must not end the daemon
            write_atomically(self._path, msgspec.json.encode(self._run))


def explain(run: Run) -> LastRun:
    if run.ended_at:
        ending = "failed" if run.failed else "stopped"
        detail = run.detail
    elif run.boot_id != boot_id():
        ending = "machine restarted"
        detail = "the machine went down or was restarted while holdfast ran"
    else:
        ending = "killed or crashed"
        detail = (
            "it ended without an orderly stop (kill -9, out of memory, or a crash); "
            "nothing that was stored is lost"
        )
    ended_at = run.ended_at or run.heartbeat_at
    return LastRun(run.pid, run.version, run.started_at, ended_at, ending, detail)


def boot_id() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def write_atomically(path: str, content: bytes) -> None:
    partial = f"{path}.partial"
    fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        if os.write(fd, content) != len(content):  # rather the old one than half a new one
            raise OSError(errno.ENOSPC, "no space left", path)
    finally:
        os.close(fd)
    os.replace(partial, path)
