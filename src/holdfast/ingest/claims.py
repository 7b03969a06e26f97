"""Who reads a session now. Sequence numbers need no negotiation because one reader has a session.

The tail reads on the event loop, import children are driven from threads; both ask here first. A
session that a child has read is `stale` to the tail: what it remembers of the log is behind.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

CLAIM_POLL_S: Final = 0.02


class SessionClaims:
    """Sessions that are being read. Any thread may ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: set[str] = set()
        self._stale: set[str] = set()

    def take(self, session: str) -> bool:
        """Claim a session; False while somebody else reads it."""
        with self._lock:
            if session in self._held:
                return False
            self._held.add(session)
            return True

    def release(self, session: str, *, stale: bool = False) -> None:
        with self._lock:
            self._held.discard(session)
            if stale:
                self._stale.add(session)

    @contextmanager
    def alone_with(self, session: str) -> Iterator[None]:
        """For whoever changes what is stored of a session: waits until nobody reads it."""
        while not self.take(session):
            time.sleep(CLAIM_POLL_S)
        try:
            yield
        finally:
            self.release(session, stale=True)

    def take_stale(self, session: str) -> bool:
        """Whether a child has read the session since it was last asked."""
        with self._lock:
            was_stale = session in self._stale
            self._stale.discard(session)
            return was_stale
