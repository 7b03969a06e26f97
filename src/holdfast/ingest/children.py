"""The import children as a component of the governor: what they weigh.

They give nothing back when they are asked for it: the ladder ends them, when all else was not
enough (`degradation.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from holdfast.governor.measured import Claim
from holdfast.governor.protocol import Level, Usage
from holdfast.governor.readings import TreeMemory, resident_bytes


class ImportChildren:
    """A `Measured`."""

    name: Final = "import children"

    def __init__(self, pids: Callable[[], list[int]], *, limit_bytes: int) -> None:
        """`pids` may be asked on any thread."""
        self.claim: Final = Claim(pids)
        self._pids: Final = pids
        self._limit_bytes: Final = limit_bytes

    def usage_in(self, tree: TreeMemory) -> Usage:
        return self._usage([child.footprint_bytes for child in self.claim.found_in(tree)])

    def usage(self) -> Usage:
        return self._usage(list(map(resident_bytes, self._pids())))

    def relieve(self, _level: Level, _target_bytes: int) -> int:
        return 0

    def _usage(self, sizes: list[int]) -> Usage:
        return Usage(bytes=sum(sizes), items=len(sizes), limit_bytes=self._limit_bytes)
