"""What a room must offer so that its memory can be seen and taken back."""

from __future__ import annotations

from enum import IntEnum
from typing import Protocol, runtime_checkable

import msgspec

from holdfast.governor.readings import TreeMemory


class Level(IntEnum):
    """How near the ceiling we are. A higher number is worse, so levels can be compared."""

    NORMAL = 0
    MODERATE = 1
    HIGH = 2
    CRITICAL = 3

    @property
    def label(self) -> str:
        return self.name.lower()


class Usage(msgspec.Struct, frozen=True):
    bytes: int
    items: int
    limit_bytes: int | None
    limit_items: int | None = None


class Bounded(Protocol):
    """A room with a limit. Both methods are called on the event loop's thread: neither may wait."""

    @property
    def name(self) -> str: ...

    def usage(self) -> Usage: ...

    def relieve(self, level: Level, target_bytes: int) -> int:
        """Give back at least `target_bytes` if that is possible; return what was given back."""


@runtime_checkable
class Measured(Bounded, Protocol):
    """A room whose bytes nobody counts: the kernel or an allocator tells them.

    They are read together with the tree, on whatever thread that is. A moment later a child may
    have ended or an answer been sent, and then the lines of the ledger would not add up.
    """

    def usage_in(self, tree: TreeMemory, /) -> Usage: ...


@runtime_checkable
class Fleeting(Measured, Protocol):
    """A room that may fill and empty while the tree is read: it tells the most of that time."""

    def reading_begins(self) -> None: ...
