"""A family of things that live in one stream: who decides, what is stored, what is known then.

Commands come one at a time: decide by the state, store what was decided, and only then apply it.
So nobody is ever told of something that a crash takes back, and what is in memory is what a restart
makes of the log. The number that the first event is to get goes with the append: when somebody else
was faster, nothing is stored, what they stored is applied, and the same command decides again.

A command that was begun is finished, whether or not who asked still waits: else a connection that
breaks at the wrong moment would leave the state behind the log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, Protocol, TypeVar

from holdfast.clock import instant
from holdfast.events import Event, event_id
from holdfast.journal.streams import Appended, NewEvent, WrongSequence
from holdfast.work.entities import Decide
from holdfast.work.projection import Projector

TRIES_MAX: Final = 5
T = TypeVar("T")


class Append(Protocol):
    """Stores events in a stream; they are on disk when it returns."""

    def __call__(
        self, stream: str, events: Sequence[NewEvent], *, expected_seq: int | None
    ) -> Coroutine[Any, Any, Appended]: ...


Clean = Callable[[Sequence[NewEvent]], Sequence[NewEvent]]


class Family:
    """Lives on the event loop."""

    def __init__(
        self,
        projector: Projector,
        append: Append,
        *,
        now_ms: Callable[[], int],
        clean: Clean = lambda events: events,
        on_change: Callable[[Sequence[str] | None], None] = lambda _ids: None,
    ) -> None:
        """`on_change` is told whose state changed; None when it may be any."""
        (self._stream,) = projector.projection.streams
        self._projector = projector
        self._append = append
        self._now_ms = now_ms
        self._clean = clean
        self._on_change = on_change
        self._lock = asyncio.Lock()
        self._running: set[asyncio.Task[Any]] = set()

    async def start(self) -> None:
        await asyncio.to_thread(self._projector.resume)
        self._on_change(None)

    async def close(self) -> None:
        """Finish what was begun, and keep the state, so that the next start is short."""
        if self._running:
            await asyncio.wait(set(self._running))
        await asyncio.wrap_future(self._projector.save())

    async def submit(self, decide: Decide) -> list[Event]:
        """Decide and store; what was stored. Raises what `decide` refuses with."""
        return await self._finished(self._submit(decide))

    async def keep(self) -> None:
        """Keep a snapshot now."""
        async with self._lock:
            await asyncio.wrap_future(self._projector.save())

    async def rebuild(self) -> None:
        """Make the state anew of the log, on a thread; the old one is asked meanwhile."""
        async with self._lock:
            put = await asyncio.to_thread(self._projector.rebuild)
            put()
            self._on_change(None)
            await asyncio.wrap_future(self._projector.save())

    async def _finished(self, work: Coroutine[Any, Any, T]) -> T:
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    async def _submit(self, decide: Decide) -> list[Event]:
        async with self._lock:
            for tried in range(1, TRIES_MAX + 1):
                now_ms = self._now_ms()
                events = self._clean(decide(now_ms))
                if not events:
                    return []
                expected = self._projector.next_seq(self._stream)
                try:
                    appended = await self._append(self._stream, events, expected_seq=expected)
                except WrongSequence:
                    if tried == TRIES_MAX:
                        raise
                    await self._catch_up()
                    self._on_change(None)
                else:
                    return await self._apply(events, appended, now_ms)
        raise AssertionError("a command ends in its last try")

    async def _catch_up(self) -> None:
        """Seldom and little: what failed half, or what a tool stored. Read on a thread, applied
        here, where others look at the state meanwhile."""
        apply = await asyncio.to_thread(self._projector.unread)
        apply()

    async def _apply(self, new: Sequence[NewEvent], appended: Appended, now_ms: int) -> list[Event]:
        if appended.repeated:  # stored by a commit that seemed to fail: what it says is in the log
            await self._catch_up()
        stored = []
        for each, seq, position in zip(new, appended.seqs, appended.positions, strict=True):
            event = Event(
                id=event_id(appended.session, 0, seq, 0),
                session=appended.session,
                seq=seq,
                kind=each.kind,
                at=instant(now_ms / 1_000),
                text=each.text,
                data=each.data,
                source=None,
                actor=each.actor or None,
                key=each.key,
                causation=each.causation,
                correlation=each.correlation,
            )
            if not self._projector.apply(event, position):
                await self._catch_up()
            stored.append(event)
        self._projector.save_if_due()
        self._on_change([event.correlation for event in stored])
        return stored
