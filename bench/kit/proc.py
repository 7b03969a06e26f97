"""What /proc says of a process and its descendants. Linux only, like the ceiling it checks.

Read here anew and not through `holdfast.governor.readings`: a program that measures itself wrongly
must not be found right by its own ruler.
"""

from __future__ import annotations

import ctypes
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_PSS_AND_SWAP: Final = re.compile(r"^(?:Pss|Swap):\s+(\d+) kB", re.MULTILINE)
_RSS: Final = re.compile(r"^Rss:\s+(\d+) kB", re.MULTILINE)
_KCMP: Final = {"x86_64": 312, "aarch64": 272}  # the number of the call
_KCMP_VM: Final = 1
_libc: Final = ctypes.CDLL(None, use_errno=True)
_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
INTERVAL_S: Final = 0.02


def tree(pid: int) -> Iterator[int]:
    """A process and all below it that live now."""
    return (process for process, _parent in _tree(pid))


def _tree(pid: int) -> Iterator[tuple[int, int]]:
    """The same, each with its parent, the first with none."""
    waiting = [(pid, 0)]
    while waiting:
        process, parent = waiting.pop()
        yield process, parent
        try:
            for task in os.listdir(f"/proc/{process}/task"):
                children = _read(f"/proc/{process}/task/{task}/children")
                waiting += [(int(child), process) for child in children.split()]
        except OSError:
            continue


def footprint_bytes(pid: int) -> int:
    """PSS + swap of one process; 0 when it is gone."""
    return _rollup_bytes(pid, _PSS_AND_SWAP)


def tree_footprint_bytes(pid: int) -> int:
    """Between vfork and exec a child is in its parent's memory, which counts once."""
    return sum(
        footprint_bytes(process)
        for process, parent in _tree(pid)
        if not parent or not shares_memory(process, parent)
    )


def shares_memory(pid: int, other: int) -> bool:
    """Asked of the kernel; where it does not say, both are counted."""
    number = _KCMP.get(os.uname().machine)
    return number is not None and _libc.syscall(number, pid, other, _KCMP_VM, 0, 0) == 0


def tree_rss_bytes(pid: int) -> int:
    """Counts what is shared once for each process: never less than what anybody may blame on us."""
    return sum(_rollup_bytes(process, _RSS) for process in tree(pid))


def _rollup_bytes(pid: int, wanted: re.Pattern[str]) -> int:
    return sum(map(int, wanted.findall(_read(f"/proc/{pid}/smaps_rollup")))) * 1024


def tree_cpu_s(pid: int) -> float:
    """CPU seconds of the tree, ended children included; counted in ticks of 10 ms."""
    ticks = 0
    for process in tree(pid):
        # The name of a program, in parentheses, may itself hold some and spaces.
        after_name = _read(f"/proc/{process}/stat").rpartition(")")[2].split()
        ticks += sum(map(int, after_name[11:15]))
    return ticks / _TICKS_PER_S


class Samples:
    """The footprint of a tree over time."""

    def __init__(self) -> None:
        self.taken: list[tuple[float, int]] = []
        self._since_s = 0.0

    def start_phase(self) -> None:
        self._since_s = time.monotonic()

    @property
    def phase_peak_bytes(self) -> int:
        return max((size for at, size in self.taken if at >= self._since_s), default=0)

    @property
    def peak_bytes(self) -> int:
        return max((size for _at, size in self.taken), default=0)


@contextmanager
def sampling(find: Callable[[], int | None]) -> Iterator[Samples]:
    """Samples the tree of the process that `find` names, as soon as it names one."""
    samples = Samples()
    ending = threading.Event()

    def sample() -> None:
        while not ending.wait(INTERVAL_S):
            pid = find()
            size = tree_footprint_bytes(pid) if pid is not None else 0
            if size:
                samples.taken.append((time.monotonic(), size))

    thread = threading.Thread(target=sample, name="sampler", daemon=True)
    thread.start()
    try:
        yield samples
    finally:
        ending.set()
        thread.join()


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:  # gone meanwhile
        return ""
