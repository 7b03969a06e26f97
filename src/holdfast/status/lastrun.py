"""What a run leaves behind, and what the next one reads from it.

The file says "running" from the first moment on and "stopped" only when shutdown went through. So a
file that says "running" while nobody holds the journal tells of an end that nobody wanted. Which
one, other evidence tells, the surest first:

- the machine's boot id: it went down with us;
- the crash file (`crash.py`): a fault or an error, with its trace;
- the kernel's log, where we may read it: it names the process that it killed for want of memory;
- the counts of such kills of our control groups, which are remembered with each heartbeat. Our own
  counts for more than those above it: what was killed there may have been a neighbour;
- the reason of a stop that had begun;
- nothing: then it was killed by somebody (SIGKILL leaves no trace).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Final

import msgspec

from holdfast import __version__
from holdfast.checks import size
from holdfast.clock import instant
from holdfast.errors import Exit
from holdfast.files import write_atomically
from holdfast.governor.machine import oom_kills_of
from holdfast.status.crash import CrashFile, first_line
from holdfast.status.kernellog import killed_by_kernel
from holdfast.status.model import LastRun

NOTHING_LOST: Final = "nothing that was stored is lost"


class Run(msgspec.Struct):
    pid: int
    version: str
    started_at: str
    heartbeat_at: str
    boot_id: str
    ended_at: str = ""
    detail: str = ""
    failed: bool = False
    exit: int = 0
    since_boot_s: float = 0.0  # when it started, as the kernel's log counts
    footprint_bytes: int | None = None  # at the last heartbeat
    oom_kills: dict[str, int] = {}  # by control group, our own first
    stopping: str = ""  # why, from the moment in which it began to stop


class RunFile:
    def __init__(self, path: str, crash: CrashFile) -> None:
        self._path = path
        self._crash = crash
        now = instant()
        self._run = Run(
            os.getpid(), __version__, now, now, boot_id(), since_boot_s=time.monotonic()
        )

    @property
    def started_at(self) -> str:
        return self._run.started_at

    def begin(self, oom_kills: dict[str, int]) -> LastRun | None:
        """Read how the last run ended, then say that this one runs."""
        last = self._told(trace_path=self._crash.kept)
        self._crash.arm()
        self._run.oom_kills = oom_kills
        self._write()
        return last

    def beat(self, footprint_bytes: int, oom_kills: dict[str, int]) -> None:
        self._run.heartbeat_at = instant()
        self._run.footprint_bytes = footprint_bytes
        self._run.oom_kills = oom_kills
        self._write()

    def stopping(self, reason: str) -> None:
        self._run.stopping = reason
        self._write()

    def end(self, detail: str, *, failed: bool = False, code: int = 0) -> None:
        self._run.ended_at = self._run.heartbeat_at = instant()
        self._run.detail = detail
        self._run.failed = failed
        self._run.exit = code
        self._write()
        self._crash.disarm()

    def last(self, *, ask_journald: bool = False) -> LastRun | None:
        """How the newest run ended, as far as it left evidence."""
        return self._told(trace_path=self._crash.path, ask_journald=ask_journald)

    def _told(self, *, trace_path: str, ask_journald: bool = False) -> LastRun | None:
        last = self._read()
        if last is None:
            return None
        kernel = partial(killed_by_kernel, ask_journald=ask_journald)
        return explain(last, trace=self._crash.read(), trace_path=trace_path, kernel=kernel)

    def _read(self) -> Run | None:
        try:
            with open(self._path, "rb") as file:
                return msgspec.json.decode(file.read(), type=Run)
        except (OSError, msgspec.DecodeError):
            return None

    def _write(self) -> None:
        with suppress(OSError):  # a full disk must not end the daemon
            write_atomically(self._path, msgspec.json.encode(self._run))


def explain(
    run: Run,
    *,
    trace: str = "",
    trace_path: str = "",
    kernel: Callable[[int, float], str] = lambda _pid, _since_s: "",
    kills_of: Callable[[str], int | None] = oom_kills_of,
) -> LastRun:
    evidence: list[str] = []
    if run.ended_at:
        ending, detail = _told(run)
        if trace:
            evidence = [first_line(trace), f"trace in {trace_path}"]
    elif run.boot_id != boot_id():
        ending = "machine restarted"
        detail = "the machine went down or was restarted while holdfast ran"
    elif trace:
        ending = "crashed"
        detail = f"{first_line(trace)}; {NOTHING_LOST}"
        evidence = [f"trace in {trace_path}"]
    elif said := kernel(run.pid, run.since_boot_s):
        ending = "out of memory"
        detail = f"the kernel killed it for want of memory; {NOTHING_LOST}"
        evidence = [f"kernel: {said}"]
    elif said := next(_more_kills(run, kills_of), ""):
        ending = "out of memory"
        detail = (
            f"the kernel killed it for want of memory, as far as its counts tell; {NOTHING_LOST}"
        )
        evidence = [said]
    elif run.stopping:
        ending = "killed"
        detail = f"it was stopping ({run.stopping}) and was killed before it had; {NOTHING_LOST}"
    else:
        ending = "killed"
        detail = f"it ended without an orderly stop, as kill -9 ends it; {NOTHING_LOST}"
    if not run.ended_at and run.footprint_bytes is not None:
        evidence.append(f"memory at the last heartbeat: {size(run.footprint_bytes)}")
    return LastRun(
        pid=run.pid,
        version=run.version,
        started_at=run.started_at,
        ended_at=run.ended_at or run.heartbeat_at,
        ending=ending,
        detail=detail,
        evidence=evidence,
    )


def _told(run: Run) -> tuple[str, str]:
    """It had the time to say so itself."""
    if run.exit == Exit.RESTART_WANTED:
        return "restart wanted", run.detail
    return "failed" if run.failed else "stopped", run.detail


def _more_kills(run: Run, kills_of: Callable[[str], int | None]) -> Iterator[str]:
    """A group that is made anew begins at nothing; then those above it are asked."""
    for group, before in run.oom_kills.items():
        now = kills_of(group)
        if now is not None and now >= before:
            if now > before:
                yield f"control group {group}: {now - before:,} killed since the last heartbeat"
            return


def boot_id() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""
