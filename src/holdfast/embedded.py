"""`from holdfast import Governor, SessionStore`: both in an asyncio service of somebody else.

The friendly layer over `snapshots` and `governor`, which know lines, sequence numbers, thresholds
and readings. Here an event is any JSON value, a budget is a number of megabytes, and the governor
looks by itself while an asyncio service runs. What is said of limits there holds here: it is the
same code.

A store is a view, as in holdfast itself: sessions leave it when their place is needed, the least
recently updated first. Keep what must not be lost somewhere else, and add it again when it is asked
for; `add` takes any number of events.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
import weakref
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, Self

import msgspec

from holdfast.governor import (
    Assessment,
    Bounded,
    Change,
    Level,
    Machine,
    Readings,
    Snapshot,
    Thresholds,
    Usage,
    lines_of,
    next_delay_s,
)
from holdfast.governor import Governor as _Governor
from holdfast.snapshots import Eviction, StoreLimits, StoreStatus
from holdfast.snapshots import SessionStore as _SessionStore

MIB: Final = 1 << 20
# Chats of a service are many and small: early compression leaves room for more of them.
BLOCK_BYTES: Final = 32_768
MAX_SESSIONS: Final = 50_000  # Linux gives a process 65,530 mappings, and each session is one
MAX_EVENTS: Final = 10_000


class SessionStore:
    """Sessions of events in memory, under a budget that holds by construction.

    Each session is one private mapping whose pages are counted, compressed as it grows; evicting it
    gives back every byte at once. Not thread-safe: use it from the event loop.
    """

    def __init__(
        self,
        budget_mb: int,
        *,
        max_sessions: int = MAX_SESSIONS,
        max_events_per_session: int = MAX_EVENTS,
        on_evicted: Callable[[Eviction], None] = lambda _eviction: None,
        name: str = "sessions",
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        for what, value in (
            ("budget_mb", budget_mb),
            ("max_sessions", max_sessions),
            ("max_events_per_session", max_events_per_session),
        ):
            if value < 1:
                raise ValueError(f"{what} must be at least 1, not {value}")
        limits = StoreLimits(
            budget_bytes=budget_mb * MIB,
            max_sessions=max_sessions,
            max_events_per_session=max_events_per_session,
            block_bytes=BLOCK_BYTES,
        )
        self.name: Final = name
        self._encoder = msgspec.json.Encoder()
        self._on_evicted = on_evicted
        self._dropping = False
        self._store = _SessionStore(limits, on_evicted=self._evicted, clock_s=clock_s)

    def __len__(self) -> int:
        return len(self._store)

    def __contains__(self, session: str) -> bool:
        return session in self._store

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def add(self, session: str, *events: Any) -> int:
        """Append events, each any JSON value; the number of the next one.

        A session that is not there begins anew with number 0.
        """
        held = self._store.resident(session)
        first = 0 if held is None else held.next_seq
        if events:
            lines = b"".join(self._encoder.encode(event) + b"\n" for event in events)
            self._store.append(session, first, lines, len(events))
        return first + len(events)

    def events(self, session: str, start: int = 0, stop: int | None = None) -> Iterator[Any]:
        """Events by number, oldest first; those that left memory are passed over."""
        for lines in self._store.read(session, start, stop):
            for each in lines.split(b"\n"):
                if each:
                    yield msgspec.json.decode(each)

    def last(self, session: str, count: int) -> list[Any]:
        """The newest `count` events, oldest first."""
        held = self._store.resident(session)
        if held is None:
            return []
        return list(self.events(session, max(held.first_seq, held.next_seq - count)))

    def sessions(self) -> list[str]:
        """Least recently updated first: the order in which they would leave."""
        return self._store.sessions()

    def drop(self, session: str) -> bool:
        """Whether it was there. Its memory is free at once."""
        if session not in self._store:
            return False
        self._dropping = True
        try:
            self._store.evict(session, "idle")
        finally:
            self._dropping = False
        return True

    @property
    def accounted_bytes(self) -> int:
        return self._store.accounted_bytes

    def status(self) -> StoreStatus:
        return self._store.status()

    def close(self) -> None:
        self._store.close()

    def _evicted(self, eviction: Eviction) -> None:
        if not self._dropping:  # whoever dropped it knows
            self._on_evicted(eviction)

    # What a governor asks of every component.

    def usage(self) -> Usage:
        return self._store.usage()

    def relieve(self, level: Level, target_bytes: int) -> int:
        return self._store.relieve(level, target_bytes)


class Governor:
    """Keeps this process and its children below a budget, by asking stores to let go."""

    def __init__(self, inner: _Governor) -> None:
        self._inner = inner
        self._log = _StandardLog(logging.getLogger("holdfast.governor"))

    @classmethod
    def for_process(
        cls,
        budget_mb: int,
        *bounded: Bounded,
        on_change: Callable[[Change], None] = lambda _change: None,
        thresholds: Thresholds | None = None,
        folder: str | os.PathLike[str] = "/",
    ) -> Self:
        """Of this process, with whatever has `name`, `usage` and `relieve`.

        `folder` is on the disk whose room `snapshot()` tells. Levels are logged with the logger
        `holdfast.governor`. Call it when everything is imported: what is used now counts as the
        program itself.
        """
        if budget_mb < 1:
            raise ValueError(f"budget_mb must be at least 1, not {budget_mb}")
        lines, readings = lines_of(thresholds or Thresholds()), Readings()
        inner = _Governor(
            budget_mb * MIB,
            lines,
            readings=readings,
            machine=Machine(os.fspath(folder)),
            on_change=on_change,
            log=_StandardLog(logging.getLogger("holdfast.governor")),
        )
        inner.mark_baseline()
        for each in bounded:
            inner.register(each)
        governor = cls(inner)
        weakref.finalize(governor, readings.close)  # it keeps a file open
        return governor

    @property
    def level(self) -> Level:
        """The worst of all readings, the machine's memory included: how small to be."""
        return self._inner.level

    @property
    def own_level(self) -> Level:
        """Of our own budget, our control group and real stalls: whether to turn work away."""
        return self._inner.own_level

    @property
    def budget_bytes(self) -> int:
        return self._inner.budget_bytes

    def register(self, component: Bounded) -> None:
        self._inner.register(component)

    def step(self) -> Assessment:
        """Read, decide, and from `HIGH` on have memory given back. `watching` calls it for you."""
        return self._inner.step()

    def look_soon(self) -> bool:
        """For whoever takes in much at once: step now if memory grew fast. Whether it did."""
        due = self._inner.fast_due()
        if due:
            self._inner.step()
        return due

    def snapshot(self) -> Snapshot:
        """All of it: components, what nobody accounts for, processes, machine."""
        return self._inner.snapshot()

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[Self]:
        """Look as often as the pressure asks for, until the block ends."""
        self._inner.step()
        watching = asyncio.create_task(self._watch())
        try:
            yield self
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching

    async def _watch(self) -> None:
        inner, told = self._inner, ""
        while True:
            await asyncio.sleep(next_delay_s(inner.level, inner.own_level, active=False))
            try:
                inner.step()
            except Exception as error:  # noqa: BLE001 - a budget that nobody watches any more is worse
                if repr(error) != told:
                    self._log.error("governor.watch_failed", error=repr(error))
                told = repr(error)
            else:
                told = ""


class _StandardLog:
    """What the governor has to say, through `logging`."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger

    def debug(self, event: str, /, **fields: object) -> None:
        self._logger.debug("%s %s", event, _told(fields.items()))

    def info(self, event: str, /, **fields: object) -> None:
        self._logger.info("%s %s", event, _told(fields.items()))

    def warning(self, event: str, /, **fields: object) -> None:
        self._logger.warning("%s %s", event, _told(fields.items()))

    def error(self, event: str, /, **fields: object) -> None:
        self._logger.error("%s %s", event, _told(fields.items()))


def _told(fields: Iterable[tuple[str, object]]) -> str:
    return " ".join(f"{name}={value}" for name, value in fields)
