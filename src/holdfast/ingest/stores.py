"""Files whose sessions are changed in place: looked into when they change, and not too often.

An agent that streams an answer changes its file many times a second, and each time somebody has to
find out which of its sessions changed and how. So after a look there is a pause, longer the longer
it took; what changes meanwhile is found by the look behind it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from holdfast.sources.base import ItemSource, Stamp

PAUSE_S: Final = 0.05
COST_SHARE: Final = 20  # looking may take one part in so many of the time

Stamped = tuple[str, Stamp]  # the key of a log, and as what it was seen


class Stores:
    """When to look into which file. Lives on the event loop; the looks are on threads."""

    def __init__(
        self,
        changed_logs: Callable[[ItemSource, str, int], list[Stamped]],
        on_changed: Callable[[str], None],
        on_failed: Callable[[str, OSError], None],
    ) -> None:
        self._changed_logs = changed_logs
        self._on_changed = on_changed
        self._on_failed = on_failed
        self._looks: dict[str, asyncio.Task[None]] = {}
        self._again: set[str] = set()
        self._newest_ns: dict[str, int] = {}  # of the logs in a file, as seen at the last look
        self._closing = False

    def touch(self, source: ItemSource, store: str) -> None:
        """Something in the file may have changed."""
        if store in self._looks:
            self._again.add(store)
        elif not self._closing:
            look = asyncio.get_running_loop().create_task(self._look(source, store))
            self._looks[store] = look

    def close(self) -> None:
        self._closing = True
        for look in self._looks.values():
            look.cancel()

    async def _look(self, source: ItemSource, store: str) -> None:
        try:
            while True:
                self._again.discard(store)
                started_s = time.monotonic()
                await self._look_once(source, store)
                took_s = time.monotonic() - started_s
                await asyncio.sleep(max(PAUSE_S, COST_SHARE * took_s))
                if store not in self._again:
                    return
        finally:
            del self._looks[store]

    async def _look_once(self, source: ItemSource, store: str) -> None:
        newest_ns = self._newest_ns.get(store, 0)
        try:
            changed = await asyncio.to_thread(self._changed_logs, source, store, newest_ns)
        except OSError as error:
            self._newest_ns.pop(store, None)
            self._on_failed(store, error)
            return
        for key, stamp in changed:
            newest_ns = max(newest_ns, stamp.mtime_ns)
            self._on_changed(key)
        self._newest_ns[store] = newest_ns
