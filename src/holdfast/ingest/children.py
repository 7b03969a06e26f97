"""The import children as a component of the governor: what they weigh.

They give nothing back when they are asked for it: the ladder ends them, when all else was not
enough (`degradation.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from holdfast.governor.protocol import Level, Usage
from holdfast.governor.readings import resident_bytes


class ImportChildren:
    name: Final = "import children"

    def __init__(self, pids: Callable[[], list[int]], *, limit_bytes: int) -> None:
        self._pids = pids
        self._limit_bytes = limit_bytes

    def usage(self) -> Usage:
        pids = self._pids()
        return Usage(
            bytes=sum(map(resident_bytes, pids)), items=len(pids), limit_bytes=self._limit_bytes
        )

    def relieve(self, _level: Level, _target_bytes: int) -> int:
        return 0
