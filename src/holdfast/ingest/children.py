"""The import children as a component of the governor: what they weigh.

They give nothing back when they are asked for it: the ladder ends them, when all else was not
enough (`degradation.py`).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from holdfast.governor.protocol import Level, Usage

_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


class ImportChildren:
    name: Final = "import children"

    def __init__(self, pids: Callable[[], list[int]], *, limit_bytes: int) -> None:
        self._pids = pids
        self._limit_bytes = limit_bytes

    def usage(self) -> Usage:
        pids = self._pids()
        return Usage(
            bytes=sum(map(_resident_bytes, pids)), items=len(pids), limit_bytes=self._limit_bytes
        )

    def relieve(self, _level: Level, _target_bytes: int) -> int:
        return 0


def _resident_bytes(pid: int) -> int:
    """RSS without shared library pages, close to what the tree's PSS counts for a child."""
    with suppress(OSError, ValueError, IndexError), open(f"/proc/{pid}/statm", "rb") as file:
        pages = file.read().split()
        return (int(pages[1]) - int(pages[2])) * _PAGE_BYTES
    return 0
