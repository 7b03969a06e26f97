"""What was read back from the journal for those who resume from long ago.

Many resume from the same place - a service that was restarted, all tabs of a browser - and to
unpack a block for each of them costs a hundred times what copying its lines does.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

from holdfast.governor import Level, Usage
from holdfast.journal.streams import Committed
from holdfast.stream.history import RUN_BYTES


class PieceCache:
    """Runs by the position that was asked for; the least used leave first. For any thread."""

    name = "stream cache"

    def __init__(self, *, max_events: int, max_bytes: int) -> None:
        self._max_events, self._max_bytes = max_events, max_bytes
        self._lock = threading.Lock()
        self._pieces: OrderedDict[int, Committed] = OrderedDict()
        self._events = self._bytes = 0
        self.hits = self.misses = 0

    def get(self, position: int) -> Committed | None:
        with self._lock:
            piece = self._pieces.get(position)
            if piece is None:
                self.misses += 1
                return None
            self.hits += 1
            self._pieces.move_to_end(position)
            return piece

    def put(self, piece: Committed) -> None:
        """One that is larger than all there is room for is not kept."""
        if piece.count > self._max_events or len(piece.lines) + RUN_BYTES > self._max_bytes:
            return
        with self._lock:
            if piece.position not in self._pieces:
                self._pieces[piece.position] = piece
                self._events += piece.count
                self._bytes += len(piece.lines) + RUN_BYTES
                self._fit(self._max_bytes)

    def clear(self) -> None:
        """What is stored was rewritten."""
        with self._lock:
            self._pieces.clear()
            self._events = self._bytes = 0

    def usage(self) -> Usage:
        return Usage(
            bytes=self._bytes,
            items=self._events,
            limit_bytes=self._max_bytes,
            limit_items=self._max_events,
        )

    def relieve(self, level: Level, target_bytes: int) -> int:  # noqa: ARG002  # any level will do
        with self._lock:
            before = self._bytes
            self._fit(max(0, before - target_bytes))
            return before - self._bytes

    def _fit(self, max_bytes: int) -> None:
        while self._pieces and (self._events > self._max_events or self._bytes > max_bytes):
            _position, piece = self._pieces.popitem(last=False)
            self._events -= piece.count
            self._bytes -= len(piece.lines) + RUN_BYTES
