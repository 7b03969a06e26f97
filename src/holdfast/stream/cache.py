"""Stretches of the journal that were read back for those who resume from long ago.

Two who are about as late find the same one, and who takes it a turn at a time reads it once.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from holdfast.governor import Level, Usage
from holdfast.stream.stretches import Stretch

STRETCHES_MAX: Final = 128  # each asking looks at all of them


class StretchCache:
    """Those that were used last; the least used leave first. For any thread."""

    name = "stream cache"

    def __init__(self, *, max_events: int, max_bytes: int) -> None:
        self.max_events, self.max_bytes = max_events, max_bytes
        self._lock = threading.Lock()
        self._held: list[tuple[str, Stretch]] = []  # the least used first
        self._events = self._bytes = 0
        self._room_bytes = 0  # of those that are being read
        self.hits = self.misses = 0  # a miss is whatever has to be read
        self.version = 0  # of what is stored: what was read of an older one is not kept

    def find(self, asked: str, position: int) -> Stretch | None:
        """The stretch that holds a position, of those that were read for a pattern of streams."""
        with self._lock:
            for place, (pattern, stretch) in enumerate(self._held):
                if stretch.start <= position < stretch.end and pattern == asked:
                    self._held.append(self._held.pop(place))
                    self.hits += 1
                    return stretch
        return None

    @contextmanager
    def room(self, size: int) -> Iterator[None]:
        """What is read meanwhile takes this much, which counts and for which others leave."""
        with self._lock:
            self.misses += 1
            self._room_bytes += size
            self._fit(self.max_bytes)
        try:
            yield
        finally:
            with self._lock:
                self._room_bytes -= size

    def put(self, asked: str, stretch: Stretch, version: int) -> None:
        """`version` as it was before the stretch was read. One that is larger than all there is
        room for is not kept, nor one that holds nothing."""
        if not stretch.runs or stretch.events > self.max_events or stretch.size > self.max_bytes:
            return
        with self._lock:
            if version != self.version:
                return
            self._held.append((asked, stretch))
            self._events += stretch.events
            self._bytes += stretch.size
            self._fit(self.max_bytes)

    def clear(self) -> None:
        """What is stored was rewritten."""
        with self._lock:
            self.version += 1
            self._held.clear()
            self._events = self._bytes = 0

    def usage(self) -> Usage:
        return Usage(
            bytes=self._bytes + self._room_bytes,
            items=self._events,
            limit_bytes=self.max_bytes,
            limit_items=self.max_events,
        )

    def relieve(self, level: Level, target_bytes: int) -> int:  # noqa: ARG002  # any level will do
        with self._lock:
            before = self._bytes
            self._fit(max(0, before + self._room_bytes - target_bytes))
            return before - self._bytes

    def _fit(self, max_bytes: int) -> None:
        while self._held and (
            self._events > self.max_events
            or self._bytes + self._room_bytes > max_bytes
            or len(self._held) > STRETCHES_MAX
        ):
            _asked, stretch = self._held.pop(0)
            self._events -= stretch.events
            self._bytes -= stretch.size
