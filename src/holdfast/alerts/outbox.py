"""Pages on their way out: one thread sends them, and nobody waits for it.

Telling somebody may take the time limit of each way. Meanwhile few more pages are kept; the oldest
is dropped for the newest, for what holds now matters more than what held. A stop does not wait: the
thread ends with the process, and what was not told is in the audit log.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Final

PAGES_MAX: Final = 16

Page = Callable[[], None]


class Outbox:
    """A queue of pages and its thread, which runs while there are some."""

    def __init__(self, on_dropped: Callable[[int], None], *, pages_max: int = PAGES_MAX) -> None:
        """`on_dropped`: told of how many were dropped since the start."""
        self._on_dropped: Final = on_dropped
        self._pages_max: Final = pages_max
        self._lock: Final = threading.Lock()
        self._pages: Final[deque[Page]] = deque()
        self._runs = False
        self._closed = False
        self._dropped = 0

    def put(self, page: Page) -> None:
        """Returns at once. `page` is not to raise."""
        with self._lock:
            if self._closed:
                return
            self._pages.append(page)
            dropped = len(self._pages) > self._pages_max
            if dropped:
                self._pages.popleft()
                self._dropped += 1
            starts, self._runs = not self._runs, True
        if dropped:
            self._on_dropped(self._dropped)
        if starts:  # a thread of a pool would be waited for at the end
            threading.Thread(target=self._send, name="pager", daemon=True).start()

    def close(self) -> None:
        """No page is begun any more; one that is under way is not waited for."""
        with self._lock:
            self._closed = True
            self._pages.clear()

    def _send(self) -> None:
        while True:
            with self._lock:
                if not self._pages:
                    self._runs = False
                    return
                page = self._pages.popleft()
            try:
                page()
            except BaseException:
                with self._lock:
                    self._runs = False  # the next page gets a thread of its own
                raise
