"""How much memory the process and its children really use.

The ceiling is on the footprint: PSS + swap, summed over the process tree. PSS (a shared page counts
once, split among those who map it) comes from `smaps_rollup`, for which the kernel walks the page
tables; so there are two readings:

- `fast()`: the RSS of this process alone, one `pread`. A hint that something grew, no more:
  it leaves out children, and kernels from 6.2 on may be some pages per CPU behind.
- `tree()`: the figure that decides.

Rejected: RSS summed over the tree counts the interpreter once per child; the cgroup's
`memory.current` counts page cache, and neighbours where the group is not ours alone. Of swap,
`Swap` is taken and not `SwapPss`: it may count a page twice after a fork but never too little, and
a ceiling must not be kept by the kinder of two figures.

A child between fork and exec may share the memory of its parent (`vfork`, which `subprocess` uses):
the kernel then tells the parent's figures of both. Such a child still has the parent's command line
and is not counted until it has its own, or is older than `UNBEGUN_MAX_S`: one that goes on with our
program was forked, and shares pages that PSS splits.

A process that its parent abandons (double fork) leaves the tree and is not seen.

Without /proc (macOS) `getrusage` stands in: the *peak* RSS of this process alone, so the figure
never falls and children are not in it. Such a reading, and any other that had to make do, says
`exact=False`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from holdfast.governor import libc

_PROC: Final = Path("/proc")
_CHUNK_BYTES: Final = 65_536
_STATM_MAX_BYTES: Final = 256
UNBEGUN_MAX_S: Final = 0.5
_ROLLUP: Final = re.compile(rb"^(Rss|Pss|Pss_File|Swap):\s+(\d+) kB", re.MULTILINE)
_STATUS: Final = re.compile(rb"^(Name|VmHWM|VmRSS|VmSwap):[ \t]*(.*?)(?: kB)?$", re.MULTILINE)


class ProcessMemory(msgspec.Struct, frozen=True):
    pid: int
    name: str
    rss_bytes: int
    pss_bytes: int | None  # None where the platform or a permission keeps it from us
    swap_bytes: int
    peak_rss_bytes: int
    file_bytes: int | None = None  # of the PSS: pages of programs, libraries and other files

    @property
    def footprint_bytes(self) -> int:
        """RSS stands in for PSS, and is never less."""
        return (self.rss_bytes if self.pss_bytes is None else self.pss_bytes) + self.swap_bytes


class TreeMemory(msgspec.Struct, frozen=True):
    own: ProcessMemory
    children: tuple[ProcessMemory, ...]  # all descendants
    total_pss_bytes: int  # a process without PSS counts with its RSS, which is never less
    total_swap_bytes: int
    exact: bool  # False when RSS stood in for PSS, or children could not be looked for
    peak_footprint_bytes: int  # the highest that `tree()` saw, not what happened in between

    @property
    def footprint_bytes(self) -> int:
        return self.total_pss_bytes + self.total_swap_bytes


class Allocations(msgspec.Struct, frozen=True):
    """What the allocators think. Beside the footprint it tells a leak from fragmentation."""

    python_allocated_blocks: int
    malloc_in_use_bytes: int | None  # glibc only; Python's small objects are not in it


class Readings:
    def __init__(
        self,
        pid: int | None = None,
        *,
        proc_root: Path = _PROC,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.pid: Final = os.getpid() if pid is None else pid
        self._proc: Final = str(proc_root)
        self._peak_bytes = 0
        self._clock: Final = clock
        self._reading: Final = threading.Lock()  # `tree` is called from several threads
        self._begun: set[int] = set()  # children that run their own program
        self._unbegun: dict[int, float] = {}  # others, and when each was first seen
        self._page_bytes: Final = os.sysconf("SC_PAGE_SIZE")
        self._statm_fd: int | None = None
        with contextlib.suppress(OSError):
            self._statm_fd = os.open(f"{self._proc}/{self.pid}/statm", os.O_RDONLY | os.O_CLOEXEC)
        # A kernel built without CONFIG_PROC_CHILDREN has this file for no thread at all.
        self._lists_children: Final = Path(
            f"{self._proc}/{self.pid}/task/{self.pid}/children"
        ).exists()

    def close(self) -> None:
        if self._statm_fd is not None:
            os.close(self._statm_fd)
            self._statm_fd = None

    def fast(self) -> int:
        """The RSS of this process in bytes."""
        if self._statm_fd is None:
            return _peak_rss_bytes()
        pages = os.pread(self._statm_fd, _STATM_MAX_BYTES, 0).split(maxsplit=2)[1]
        return int(pages) * self._page_bytes

    def tree(self) -> TreeMemory:
        """Raises ProcessLookupError for another process that is gone."""
        with self._reading:
            return self._tree()

    def _tree(self) -> TreeMemory:
        own = self._process(self.pid)
        if own is None:
            if self.pid != os.getpid():
                raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH), str(self.pid))
            rss = _peak_rss_bytes()
            own = ProcessMemory(self.pid, "", rss, None, 0, rss)
        found = (self._process(pid) for pid in self._begun_descendants())
        children = tuple(child for child in found if child is not None)
        everyone = (own, *children)
        pss = sum(p.rss_bytes if p.pss_bytes is None else p.pss_bytes for p in everyone)
        swap = sum(p.swap_bytes for p in everyone)
        self._peak_bytes = max(self._peak_bytes, pss + swap)
        return TreeMemory(
            own=own,
            children=children,
            total_pss_bytes=pss,
            total_swap_bytes=swap,
            exact=all(p.pss_bytes is not None for p in everyone),
            peak_footprint_bytes=self._peak_bytes,
        )

    def allocations(self) -> Allocations:
        malloc = libc.mallinfo2()
        return Allocations(
            python_allocated_blocks=sys.getallocatedblocks(),
            malloc_in_use_bytes=None if malloc is None else malloc.in_use_bytes,
        )

    def _process(self, pid: int) -> ProcessMemory | None:
        """None when the process is gone, or is a zombie: that has no memory any more.

        The roll-up comes first: a process that ends between the two files is then gone, where the
        other way round it would look like one whose roll-up is kept from us.
        """
        rollup = _fields(_ROLLUP, f"{self._proc}/{pid}/smaps_rollup")
        status = _fields(_STATUS, f"{self._proc}/{pid}/status")
        if b"VmRSS" not in status:
            return None
        # An old kernel, or a child of another user, shows us no roll-up.
        exact = b"Pss" in rollup
        rss = _kb(rollup[b"Rss"] if exact else status[b"VmRSS"])
        return ProcessMemory(
            pid=pid,
            name=status[b"Name"].decode(errors="replace"),
            rss_bytes=rss,
            pss_bytes=_kb(rollup[b"Pss"]) if exact else None,
            swap_bytes=_kb(rollup[b"Swap"] if exact else status.get(b"VmSwap", b"0")),
            peak_rss_bytes=max(rss, _kb(status.get(b"VmHWM", b"0"))),
            file_bytes=_kb(rollup[b"Pss_File"]) if b"Pss_File" in rollup else None,
        )

    def _begun_descendants(self) -> list[int]:
        """Those that run a program of their own; which those are is remembered."""
        now_s = self._clock()
        pids = dict(self._descendants())
        unbegun: dict[int, float] = {}
        for pid, parent in pids.items():
            if pid in self._begun:
                continue
            since_s = self._unbegun.get(pid, now_s)
            if now_s - since_s < UNBEGUN_MAX_S and self._same_command_line(pid, parent):
                unbegun[pid] = since_s
        self._unbegun = unbegun
        self._begun = set(pids) - set(unbegun)
        return [pid for pid in pids if pid in self._begun]

    def _same_command_line(self, pid: int, parent: int) -> bool:
        """False when one of them is gone, or is a kernel's."""
        try:
            its = _read(f"{self._proc}/{pid}/cmdline")
            return bool(its) and its == _read(f"{self._proc}/{parent}/cmdline")
        except OSError:
            return False

    def _descendants(self) -> Iterator[tuple[int, int]]:
        """Each with its parent."""
        children_of = self._listed_children if self._lists_children else self._scanned_children()
        seen, waiting = {self.pid}, [self.pid]
        while waiting:
            parent = waiting.pop()
            for child in children_of(parent):
                if child not in seen:
                    seen.add(child)
                    waiting.append(child)
                    yield child, parent

    def _listed_children(self, pid: int) -> list[int]:
        """Every thread has its own list: a child belongs to the thread that started it."""
        children: list[int] = []
        with contextlib.suppress(OSError):
            for thread in Path(f"{self._proc}/{pid}/task").iterdir():
                with contextlib.suppress(OSError):
                    children += map(int, _read(f"{thread}/children").split())
        return children

    def _scanned_children(self) -> Callable[[int], list[int]]:
        """Without those lists every process of the machine is asked who its parent is."""
        children: dict[int, list[int]] = {}
        with contextlib.suppress(OSError):
            for process in Path(self._proc).glob("[0-9]*"):
                with contextlib.suppress(OSError):
                    # The name of a program, in parentheses, may itself hold some and spaces.
                    after_name = _read(f"{process}/stat").rpartition(b")")[2]
                    parent = int(after_name.split(maxsplit=2)[1])
                    children.setdefault(parent, []).append(int(process.name))
        return lambda pid: children.get(pid, [])


def resident_bytes(pid: int, proc: Path = _PROC) -> int:
    """RSS of another process without shared library pages, close to what the tree's PSS counts for
    a child; 0 for one that is gone."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        pages = _read(f"{proc}/{pid}/statm").split()
        return (int(pages[1]) - int(pages[2])) * os.sysconf("SC_PAGE_SIZE")
    return 0


def _peak_rss_bytes() -> int:
    import resource  # only where /proc is missing

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _kb(text: bytes) -> int:
    return int(text) * 1024


def _fields(pattern: re.Pattern[bytes], path: str) -> dict[bytes, bytes]:
    """Empty when the file cannot be read."""
    try:
        return dict(pattern.findall(_read(path)))
    except OSError:
        return {}


def _read(path: str) -> bytes:
    """A whole file of /proc. Plain `open` takes twice as long (measured: 14 against 6 us)."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        content = os.read(file, _CHUNK_BYTES)
        while more := os.read(file, _CHUNK_BYTES):
            content += more
        return content
    finally:
        os.close(file)
