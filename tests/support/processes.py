"""Looking at processes from outside: their memory, their children, how often they wake."""

from __future__ import annotations

import ctypes
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from holdfast.governor.readings import Readings

_PR_CAPBSET_DROP: Final = 24
_CAP_DAC_OVERRIDE: Final = 1
_CAP_DAC_READ_SEARCH: Final = 2
_SAMPLE_S: Final = 0.04


def obey_modes() -> None:
    """For `preexec_fn`: root without the right to pass over file modes, so that they hold."""
    if os.getuid() == 0:
        libc = ctypes.CDLL(None)
        for capability in (_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH):
            libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that ended and waits to be reaped does not."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            state = file.read().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def children(pid: int) -> list[int]:
    """The processes that a process started and that still run."""
    found: list[int] = []
    with suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with (
                suppress(OSError),
                open(f"/proc/{pid}/task/{thread}/children", encoding="ascii") as file,
            ):
                found += map(int, file.read().split())
    return [child for child in found if is_alive(child)]


def kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def wake_ups(pid: int) -> int:
    """How often the threads of a process went to sleep so far: each had been woken before."""
    count = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with (
            suppress(OSError),
            open(f"/proc/{pid}/task/{thread}/status", encoding="ascii") as file,
        ):
            count += sum(
                int(line.split()[1]) for line in file if line.startswith("voluntary_ctxt_switches")
            )
    return count


def _has_not_begun(pid: int) -> bool:
    """Until a child runs its own program it has our memory, and would be held to account for it."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as its, open("/proc/self/cmdline", "rb") as ours:
            return its.read() == ours.read()
    except OSError:
        return False


class Peak:
    """The most that a process tree took while it was watched."""

    bytes = 0
    samples = 0


@contextmanager
def watch_memory(pid: int) -> Iterator[Peak]:
    """Sample PSS + swap of a tree as often as the machine allows."""
    readings, peak, done = Readings(pid), Peak(), threading.Event()

    def sample() -> None:
        while not done.wait(_SAMPLE_S):
            if not is_alive(pid):
                return
            if _has_not_begun(pid):
                continue
            try:
                footprint = readings.tree().footprint_bytes
            except ProcessLookupError:  # one of the tree ended while it was read
                continue
            peak.bytes = max(peak.bytes, footprint)
            peak.samples += 1

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()
        readings.close()
