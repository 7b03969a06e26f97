"""The room of tasks, checkpoints and intents: what is made, started and ended together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from holdfast.governor.protocol import Bounded
from holdfast.journal.protocol import JournalWriter
from holdfast.journal.service import JournalService
from holdfast.stream import Streams
from holdfast.work.desk import CheckpointDesk, CheckpointSettings, CheckpointsStatus
from holdfast.work.intent_registry import IntentRegistry, IntentSettings, IntentsStatus
from holdfast.work.keeper import Keeper, Room
from holdfast.work.registry import TaskRegistry, TaskSettings, TasksStatus
from holdfast.work.sessions import SessionEnds
from holdfast.work.timers import Timers

KEYS_EVERY_MS: Final = 3_600_000  # how often keys are looked through for old ones


class WorkSettings(msgspec.Struct, frozen=True):
    tasks: TaskSettings = TaskSettings()
    checkpoints: CheckpointSettings = CheckpointSettings()
    intents: IntentSettings = IntentSettings()
    keys_s: int = 168 * 3_600  # how long the key of an event is remembered


class WorkStatus(msgspec.Struct, frozen=True):
    tasks: TasksStatus
    checkpoints: CheckpointsStatus
    intents: IntentsStatus
    timers: int  # deadlines that are waited for


class Compacted(msgspec.Struct, frozen=True):
    """What was let go of, or would be. All of it is in the log, or is needed by nobody."""

    tasks: int
    checkpoints: int
    intents: int
    keys: int


class _OnlyLooking(Exception):  # undoes a transaction, and is no error
    """Carries how much would have been done."""


class Workroom:
    """Lives on the event loop."""

    def __init__(
        self,
        journal: JournalService,
        streams: Streams,
        settings: WorkSettings,
        *,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        on_problem: Callable[[str], None],
    ) -> None:
        self._journal = journal
        self._keys_s = settings.keys_s
        self._now_ms = now_ms
        self.timers = Timers(now_ms=now_ms, on_error=lambda error: on_problem(str(error)))
        room = Room(
            journal,
            partial(streams.append, own=True),
            self.timers,
            now_ms,
            clean=streams.clean,
            on_problem=on_problem,
        )
        self.tasks = TaskRegistry(room, settings.tasks)
        self.checkpoints = CheckpointDesk(room, settings.checkpoints)
        self.intents = IntentRegistry(room, settings.intents)
        self._ends = SessionEnds(journal, streams, self.end_session, on_problem=on_problem)

    @property
    def components(self) -> Sequence[Bounded]:
        return (self.tasks, self.checkpoints, self.intents)

    @property
    def _keepers(self) -> tuple[Keeper[Any], ...]:
        return (self.tasks, self.checkpoints, self.intents)

    async def start(self) -> None:
        for keeper in self._keepers:
            await keeper.start()
        await self._ends.start()
        self._set_keys_timer()

    def steps(self) -> list[tuple[str, Callable[[], Any]]]:
        """The way down, in order: who begins things first, then those that keep a state."""
        return [
            ("observer", self._stop_beginning),
            ("tasks", self.tasks.close),
            ("checkpoints", self.checkpoints.close),
            ("intents", self.intents.close),
        ]

    async def _stop_beginning(self) -> None:
        self.checkpoints.release()
        self.tasks.observer.stop()
        await self._ends.close()
        await self.timers.close()

    async def end_session(self, session: str) -> None:
        """Free what was for a session alone."""
        await self.checkpoints.end_session(session)
        await self.tasks.end_session(session)

    async def rebuild(self) -> None:
        """What is stored was rewritten: make every state anew of it."""
        for keeper in self._keepers:
            await keeper.rebuild()

    def status(self) -> WorkStatus:
        return WorkStatus(
            self.tasks.status(), self.checkpoints.status(), self.intents.status(), len(self.timers)
        )

    async def compact(self, *, dry_run: bool) -> Compacted:
        """Let go of what may be forgotten, never of what is open; and keep the states."""
        counts = [keeper.forgettable() if dry_run else keeper.compact() for keeper in self._keepers]
        keys = await self._forget_keys(dry_run=dry_run)
        if not dry_run:
            for keeper in self._keepers:
                await keeper.keep()
        tasks, checkpoints, intents = counts
        return Compacted(tasks, checkpoints, intents, keys)

    async def _forget_keys(self, *, dry_run: bool = False) -> int:
        before_s = self._now_ms() / 1_000 - self._keys_s

        def forget(writer: JournalWriter) -> int:
            count = writer.forget_keys(before_s)
            if dry_run:
                raise _OnlyLooking(count)
            return count

        try:
            return await asyncio.wrap_future(self._journal.transact(forget, wait=False))
        except _OnlyLooking as looked:
            return int(looked.args[0])

    def _set_keys_timer(self) -> None:
        self.timers.at("keys", self._now_ms() + KEYS_EVERY_MS, self._forget_old_keys)

    async def _forget_old_keys(self) -> None:
        await self._forget_keys()
        self._set_keys_timer()
