"""What the allocators hold and nobody uses: what of the footprint is neither code nor data.

Two allocators stand between Python and the system. pymalloc, for objects of up to 512 bytes, tells
of itself through the call behind `sys._debugmallocstats`, which walks its pools in some tens of
microseconds. malloc tells what it has handed out (`mallinfo2`), and of what is free some may have
gone back to the system page by page (`malloc_trim`) without malloc knowing. So of the heap the
pages that are there are counted (`mincore`), and what is handed out is taken from that.

Both are read, neither is estimated. What cannot be read, with another C library, another allocator
(`PYTHONMALLOC`) or a heap in several arenas, counts as nothing: then it is unexplained, and the
ledger says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any, Final, NamedTuple

import msgspec

from holdfast.governor import libc
from holdfast.governor.protocol import Level, Usage
from holdfast.governor.readings import TreeMemory

PAGES_AT_ONCE: Final = 4_096
_START_BRK: Final = 46  # the field of /proc/self/stat, counted from 0
_AFTER_NAME: Final = 2  # where the fields behind the name begin
_PYMALLOC: Final = re.compile(
    r"^# bytes in (allocated|available) blocks +=\s+([\d,]+)$"
    r"|^[\d,]+ unused (pools) \* [\d,]+ bytes +=\s+([\d,]+)$",
    re.MULTILINE,
)


class Pymalloc(msgspec.Struct, frozen=True):
    in_use_bytes: int
    free_bytes: int  # in pools that are in use and in those that are not


class Free(NamedTuple):
    """Resident and unused."""

    heap_bytes: int
    pymalloc_bytes: int

    @property
    def bytes(self) -> int:
        return self.heap_bytes + self.pymalloc_bytes


class FreeMemory:
    """What is free and resident beyond what was when the baseline was taken. A `Measured`."""

    name: Final = "free in allocators"

    def __init__(self, read: Callable[[], Free] | None = None) -> None:
        self._read: Final = read or read_free
        self._baseline_bytes: Final = self._read().bytes

    def usage_in(self, _tree: TreeMemory) -> Usage:
        return self.usage()

    def usage(self) -> Usage:
        grown_bytes = self._read().bytes - self._baseline_bytes
        return Usage(bytes=max(0, grown_bytes), items=0, limit_bytes=None)

    def relieve(self, _level: Level, _target_bytes: int) -> int:
        """Nothing by itself: each relief ends with `malloc_trim` anyway."""
        return 0


def read_free() -> Free:
    pymalloc, malloc = read_pymalloc(), libc.mallinfo2()
    heap_bytes = 0
    if malloc is not None:
        heap_bytes = max(0, heap_resident_bytes() - malloc.in_heap_bytes)
    return Free(heap_bytes, pymalloc.free_bytes if pymalloc is not None else 0)


def read_pymalloc() -> Pymalloc | None:
    """None when Python runs without it."""
    text = _stats()
    found = {
        what or pools: int((figure or rest).replace(",", ""))
        for what, figure, pools, rest in _PYMALLOC.findall(text)
    }
    if found.keys() < {"allocated", "available", "pools"}:
        return None
    return Pymalloc(found["allocated"], found["available"] + found["pools"])


def heap_resident_bytes() -> int:
    """Of the mapping that `brk` grows, the pages that are in memory; 0 where there is none."""
    calls = _heap_calls()
    if calls is None:
        return 0
    start, end, page_bytes = calls.start, calls.sbrk(0) or 0, calls.page_bytes
    there, resident = calls.pages(), 0
    while start < end:
        pages = min(len(there), (end - start + page_bytes - 1) // page_bytes)
        if calls.mincore(start, pages * page_bytes, there):
            return 0
        # The lowest bit of each says it, and on Linux no other is set.
        resident += bytes(there)[:pages].count(1)
        start += pages * page_bytes
    return resident * page_bytes


class _HeapCalls(NamedTuple):
    start: int
    page_bytes: int
    pages: Callable[[], Any]  # of one type: ctypes makes a new type for each length, a cycle
    sbrk: Callable[[int], int | None]
    mincore: Callable[[int, int, Any], int]


@cache
def _heap_calls() -> _HeapCalls | None:
    import ctypes
    import os

    sbrk, mincore = libc.symbol("sbrk"), libc.symbol("mincore")
    start = 0
    with suppress(OSError, ValueError, IndexError), open("/proc/self/stat", "rb") as file:
        start = int(file.read().rpartition(b")")[2].split()[_START_BRK - _AFTER_NAME])
    if sbrk is None or mincore is None or not start:
        return None
    sbrk.restype, sbrk.argtypes = ctypes.c_void_p, (ctypes.c_ssize_t,)
    mincore.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p)
    page_bytes = os.sysconf("SC_PAGE_SIZE")
    pages = ctypes.c_ubyte * PAGES_AT_ONCE
    return _HeapCalls(start // page_bytes * page_bytes, page_bytes, pages, sbrk, mincore)


def _stats() -> str:
    """What pymalloc writes about itself, through a file in memory; "" where that cannot be had."""
    calls = _stats_calls()
    if calls is None:
        return ""
    import ctypes

    text, size = ctypes.c_void_p(), ctypes.c_size_t()
    file = calls.open(ctypes.byref(text), ctypes.byref(size))
    if not file:
        return ""
    try:
        calls.tell(file)
    finally:
        calls.close(file)
    try:
        return ctypes.string_at(text.value or 0, size.value).decode("ascii", "replace")
    finally:
        calls.free(text)


class _StatsCalls(NamedTuple):
    open: Callable[[Any, Any], int | None]
    tell: Callable[[int], int]
    close: Callable[[int], int]
    free: Callable[[Any], None]


@cache
def _stats_calls() -> _StatsCalls | None:
    import ctypes

    tell = getattr(ctypes.pythonapi, "_PyObject_DebugMallocStats", None)
    found = [libc.symbol(name) for name in ("open_memstream", "fclose", "free")]
    if tell is None or None in found:
        return None
    opened, closed, freed = found
    opened.restype, opened.argtypes = ctypes.c_void_p, (ctypes.c_void_p, ctypes.c_void_p)
    closed.argtypes, freed.argtypes = (ctypes.c_void_p,), (ctypes.c_void_p,)
    freed.restype = None
    tell.argtypes = (ctypes.c_void_p,)
    return _StatsCalls(opened, tell, closed, freed)
