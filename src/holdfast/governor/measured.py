"""Parts of the footprint that the kernel tells and nobody counts: whose children, which files.

A child belongs to the room that started it. That room may forget it between the reading of the
tree and the moment in which it is asked, because the child has just ended; so what it named the
last time counts too. Children that nobody names have a line of their own: a footprint with a gap
in it could hide one that nobody ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from holdfast.governor.protocol import Level, Usage
from holdfast.governor.readings import ProcessMemory, TreeMemory


class Claim:
    """The children of one room, found in a reading of the tree."""

    def __init__(self, pids: Callable[[], Iterable[int]]) -> None:
        """`pids` is asked on the thread that looks."""
        self._pids: Final = pids
        self._last: set[int] = set()
        self.pids: set[int] = set()  # what was claimed of the last tree

    def found_in(self, tree: TreeMemory) -> list[ProcessMemory]:
        now = set(self._pids())
        self.pids, self._last = now | self._last, now
        return [child for child in tree.children if child.pid in self.pids]


class OtherChildren:
    """What no claim names; it is to be registered behind those who have one. A `Measured`."""

    name: Final = "other children"

    def __init__(self, claims: Sequence[Claim]) -> None:
        self._claims: Final = tuple(claims)
        self._last = Usage(bytes=0, items=0, limit_bytes=None)

    def usage_in(self, tree: TreeMemory) -> Usage:
        claimed = set().union(*(claim.pids for claim in self._claims))
        others = [child for child in tree.children if child.pid not in claimed]
        size = sum(child.footprint_bytes for child in others)
        self._last = Usage(bytes=size, items=len(others), limit_bytes=None)
        return self._last

    def usage(self) -> Usage:
        return self._last

    def relieve(self, _level: Level, _target_bytes: int) -> int:
        """Nothing: whoever started them ends them."""
        return 0


class MappedFiles:
    """Pages of the program and its libraries that were first needed after the baseline was taken.

    The kernel brings them in as code is run, and drops them when memory is short. A `Measured`.
    """

    name: Final = "mapped files"

    def __init__(self, baseline: TreeMemory) -> None:
        self._baseline_bytes: Final = baseline.own.file_bytes or 0
        self._last = Usage(bytes=0, items=0, limit_bytes=None)

    def usage_in(self, tree: TreeMemory) -> Usage:
        grown_bytes = (tree.own.file_bytes or 0) - self._baseline_bytes
        self._last = Usage(bytes=max(0, grown_bytes), items=0, limit_bytes=None)
        return self._last

    def usage(self) -> Usage:
        return self._last

    def relieve(self, _level: Level, _target_bytes: int) -> int:
        """Nothing: the kernel takes such pages by itself."""
        return 0
