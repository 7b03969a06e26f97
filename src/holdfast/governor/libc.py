"""Two calls into glibc, and their absence elsewhere.

Memory that Python frees goes to the allocator, not to the system: after an eviction the process is
as big as before until `malloc_trim`. Other C libraries (musl, macOS) have neither call, and there
these do nothing. `ctypes` is loaded at the first call because most processes never make one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Final

import msgspec

_MALLINFO2_FIELDS: Final = (
    "arena",
    "ordblks",
    "smblks",
    "hblks",
    "hblkhd",
    "usmblks",
    "fsmblks",
    "uordblks",
    "fordblks",
    "keepcost",
)


class Mallinfo(msgspec.Struct, frozen=True):
    """The figures of `mallinfo2` that mean something, under names that say what."""

    in_use_bytes: int  # handed out: from the arenas and as mappings of their own
    in_heap_bytes: int  # the part of it in the arenas
    free_bytes: int  # kept in the arenas though nobody uses it
    trimmable_bytes: int  # the part of it at the top of the heap


def malloc_trim() -> bool:
    """Give free memory back to the system. False where the C library cannot."""
    trim = _malloc_trim()
    if trim is None:
        return False
    trim(0)
    return True


def mallinfo2() -> Mallinfo | None:
    info = _mallinfo2()
    if info is None:
        return None
    found = info()
    return Mallinfo(
        # uordblks leaves out blocks that malloc mapped on their own, which are the biggest ones.
        in_use_bytes=found.uordblks + found.hblkhd,
        in_heap_bytes=found.uordblks,
        free_bytes=found.fordblks,
        trimmable_bytes=found.keepcost,
    )


def symbol(name: str) -> Any:
    """A call of the C library as `ctypes` sees it, without types; None where it lacks it."""
    import ctypes

    try:
        return getattr(ctypes.CDLL(None), name)
    except (AttributeError, OSError, TypeError):  # no such call; no such library; not POSIX
        return None


@cache
def _malloc_trim() -> Callable[[int], int] | None:
    import ctypes

    trim = symbol("malloc_trim")
    if trim is None:
        return None
    trim.restype, trim.argtypes = ctypes.c_int, (ctypes.c_size_t,)
    return trim  # type: ignore[no-any-return]  # ctypes functions have no static type


@cache
def _mallinfo2() -> Callable[[], Any] | None:
    import ctypes

    class Fields(ctypes.Structure):
        _fields_ = tuple((name, ctypes.c_size_t) for name in _MALLINFO2_FIELDS)

    info = symbol("mallinfo2")  # glibc 2.33; the older mallinfo wraps at 2 GB and is no use
    if info is None:
        return None
    info.restype, info.argtypes = Fields, ()
    return info  # type: ignore[no-any-return]  # ctypes functions have no static type
