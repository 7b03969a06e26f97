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
LOOKS_MAX: Final = 128  # at once, with their rests; beyond, all folders are looked through
MISSED_EVERY_S: Final = 5.0  # what is found missed in between is told behind it
GONE_AGAIN_S: Final = 30.0  # a file that is not there is told so often, whoever touches it
STORES_MAX: Final = 256  # that are remembered; of others all logs are looked at

Stamped = tuple[str, Stamp]  # the key of a log, and as what it was seen


class _Store(msgspec.Struct):
    """What is remembered of a file between looks."""

    newest_ns: int = 0  # of the logs in it, as seen at the last look
    rest_until_s: float = 0.0
    gone_until_s: float = 0.0  # that it is not there was told, and need not be told again


class Stores:
    """When to look into which file. Lives on the event loop; the looks are on threads."""

    def __init__(
        self,
        changed_logs: Callable[[ItemSource, str, int], list[Stamped]],
        on_changed: Callable[[str], None],
        on_failed: Callable[[str, Exception], None],
        on_missed: Callable[[str], None],
    ) -> None:
        self._changed_logs = changed_logs
        self._on_changed = on_changed
        self._on_failed = on_failed
        self._on_missed = on_missed
        self._looks: dict[str, asyncio.Task[None]] = {}
        self._again: set[str] = set()
        self._stores: OrderedDict[str, _Store] = OrderedDict()
        self._closing = False
        self._misses = 0  # touches that nobody looked behind, and that were not told yet
        self._missed_timer: asyncio.TimerHandle | None = None

    def touch(self, source: ItemSource, store: str) -> None:
        """Something in the file may have changed."""
        if store in self._looks:
            self._again.add(store)
        elif self._closing:
            return
        elif len(self._looks) >= LOOKS_MAX:
            self._misses += 1
            if self._missed_timer is None:
                self._tell_missed()
        else:
            look = asyncio.get_running_loop().create_task(self._look(source, store))
            self._looks[store] = look

    def took(self, store: str, seconds: float) -> None:
        """Looking into it, or reading one of its logs, took that much of a processor."""
        about = self._about(store)
        about.rest_until_s = max(about.rest_until_s, time.monotonic() + COST_SHARE * seconds)

    def close(self) -> None:
        self._closing = True
        if self._missed_timer is not None:
            self._missed_timer.cancel()
        for look in self._looks.values():
            look.cancel()

    def _tell_missed(self) -> None:
        """At once, and then not too often; the last one is never left out."""
        self._missed_timer = None
        if self._misses:
            self._on_missed(f"{self._misses} changes while {LOOKS_MAX} files were looked into")
            self._misses = 0
            loop = asyncio.get_running_loop()
            self._missed_timer = loop.call_later(MISSED_EVERY_S, self._tell_missed)

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
        except FileNotFoundError as error:
            about, now_s = self._about(store), time.monotonic()
            about.newest_ns = 0
            if now_s >= about.gone_until_s:
                about.gone_until_s = now_s + GONE_AGAIN_S
                self._on_failed(store, error)
            return
        except Exception as error:  # noqa: BLE001  # whatever it is, it costs this file only
            self._about(store).newest_ns = 0
            self._on_failed(store, error)
            return
        self.took(store, cost_s)
        for key, stamp in changed:
            newest_ns = max(newest_ns, stamp.mtime_ns)
            self._on_changed(key)
        about = self._about(store)
        about.newest_ns, about.gone_until_s = newest_ns, 0.0

    def _look_into(
        self, source: ItemSource, store: str, newest_ns: int
    ) -> tuple[list[Stamped], float]:
        """What changed, and what finding it out took of a processor."""
        started_s = time.thread_time()
        changed = self._changed_logs(source, store, newest_ns)
        return changed, time.thread_time() - started_s
