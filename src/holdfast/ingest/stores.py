"""Files whose sessions are changed in place: looked into when they change, and not too often.

An agent that streams an answer changes its file many times a second, and each time somebody has to
find out which of its sessions changed and how, and read them. So after that there is a pause,
longer the longer it took; what changes meanwhile is found by the look behind it.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import msgspec

from holdfast.sources.base import ItemSource, Stamp

PAUSE_S: Final = 0.05
COST_SHARE: Final = 10  # it may take one part in so many of a processor
STORES_MAX: Final = 256  # that are remembered; of others all logs are looked at

Stamped = tuple[str, Stamp]  # the key of a log, and as what it was seen


class _Store(msgspec.Struct):
    """What is remembered of a file between looks."""

    newest_ns: int = 0  # of the logs in it, as seen at the last look
    rest_until_s: float = 0.0


class Stores:
    """When to look into which file. Lives on the event loop; the looks are on threads."""

    def __init__(
        self,
        changed_logs: Callable[[ItemSource, str, int], list[Stamped]],
        on_changed: Callable[[str], None],
        on_failed: Callable[[str, Exception], None],
    ) -> None:
        self._changed_logs = changed_logs
        self._on_changed = on_changed
        self._on_failed = on_failed
        self._looks: dict[str, asyncio.Task[None]] = {}
        self._again: set[str] = set()
        self._stores: OrderedDict[str, _Store] = OrderedDict()
        self._closing = False

    def touch(self, source: ItemSource, store: str) -> None:
        """Something in the file may have changed."""
        if store in self._looks:
            self._again.add(store)
        elif not self._closing:
            look = asyncio.get_running_loop().create_task(self._look(source, store))
            self._looks[store] = look

    def took(self, store: str, seconds: float) -> None:
        """Looking into it, or reading one of its logs, took that much of a processor."""
        about = self._about(store)
        about.rest_until_s = max(about.rest_until_s, time.monotonic() + COST_SHARE * seconds)

    def close(self) -> None:
        self._closing = True
        for look in self._looks.values():
            look.cancel()

    def _about(self, store: str) -> _Store:
        about = self._stores.setdefault(store, _Store())
        self._stores.move_to_end(store)
        if len(self._stores) > STORES_MAX:
            self._stores.popitem(last=False)
        return about

    async def _look(self, source: ItemSource, store: str) -> None:
        try:
            await self._rest(store)
            while True:
                self._again.discard(store)
                self.took(store, PAUSE_S / COST_SHARE)
                await self._look_once(source, store)
                await self._rest(store)
                if store not in self._again:
                    return
        finally:
            del self._looks[store]

    async def _rest(self, store: str) -> None:
        """A reading may end meanwhile, and make it longer."""
        while (rest_s := self._about(store).rest_until_s - time.monotonic()) > 0:  # noqa: ASYNC110
            await asyncio.sleep(rest_s)

    async def _look_once(self, source: ItemSource, store: str) -> None:
        newest_ns = self._about(store).newest_ns
        try:
            changed, cost_s = await asyncio.to_thread(self._look_into, source, store, newest_ns)
        except Exception as error:  # noqa: BLE001  # whatever it is, it costs this file only
            self._about(store).newest_ns = 0
            self._on_failed(store, error)
            return
        self.took(store, cost_s)
        for key, stamp in changed:
            newest_ns = max(newest_ns, stamp.mtime_ns)
            self._on_changed(key)
        self._about(store).newest_ns = newest_ns

    def _look_into(
        self, source: ItemSource, store: str, newest_ns: int
    ) -> tuple[list[Stamped], float]:
        """What changed, and what finding it out took of a processor."""
        started_s = time.thread_time()
        changed = self._changed_logs(source, store, newest_ns)
        return changed, time.thread_time() - started_s
