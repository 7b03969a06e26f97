"""Tasks, as the daemon has them: one owner of their state, commands, and who looks after them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from holdfast.journal.streams import NewEvent
from holdfast.work import task_commands as commands
from holdfast.work.keeper import Keeper, Room
from holdfast.work.observer import Observer, ObserverStats
from holdfast.work.task_commands import NewTask, Usual
from holdfast.work.tasks import STATES, TASK_BYTES, Task, Tasks

_TEXT_BYTES: Final = 300  # of an ordinary task
_FOUND: Final = frozenset({"task.stale", "task.retried", "task.failed", "task.timeout"})


class TaskSettings(msgspec.Struct, frozen=True):
    usual: Usual = Usual()
    max_unfinished: int = 10_000
    retain_s: int = 3_600
    observe_min_s: float = 1.0
    observe_max_s: float = 60.0


class TasksStatus(msgspec.Struct, frozen=True):
    states: dict[str, int]  # how many there are in each
    observer: ObserverStats


class TaskRegistry(Keeper[Task]):
    def __init__(self, room: Room, settings: TaskSettings) -> None:
        self._usual = settings.usual
        self._tasks = Tasks(retain_ms=settings.retain_s * 1_000, open_max=settings.max_unfinished)
        super().__init__(self._tasks, room, noun="task", entity_bytes=TASK_BYTES + _TEXT_BYTES)
        self.observer = Observer(
            self,
            room.timers,
            now_ms=room.now_ms,
            min_s=settings.observe_min_s,
            max_s=settings.observe_max_s,
            on_problem=room.on_problem,
        )

    def listed(
        self, *, states: Sequence[str] = (), session: str = "", parent: str = "", limit: int = 1_000
    ) -> list[Task]:
        return self._listed(
            lambda task: (
                (not states or task.state in states)
                and (not session or task.session == session)
                and (not parent or task.parent == parent)
            ),
            limit,
        )

    def status(self) -> TasksStatus:
        states: dict[str, int] = {state: self._tasks.counts[state] for state in STATES}
        return TasksStatus(states, self.observer.get_stats())

    # Commands.

    async def create(self, wanted: NewTask) -> Task:
        def decide(task: str, now_ms: int) -> list[NewEvent]:
            parent = self._find(wanted.parent) if wanted.parent else ""
            after = tuple(self._find(each) for each in wanted.after)
            whole = msgspec.structs.replace(wanted, parent=parent, after=after)
            return commands.create(self._tasks, task, whole, self._usual, now_ms)

        return await self._make(wanted.key, decide)

    async def begin(self, name: str, by: str = "") -> Task:
        return await self._does(name, lambda task, now: commands.start(self._tasks, task, by, now))

    async def heartbeat(self, name: str, by: str = "") -> Task:
        return await self._does(
            name, lambda task, now: commands.heartbeat(self._tasks, task, by, now)
        )

    async def progress(self, name: str, pct: float | None, note: str = "", by: str = "") -> Task:
        return await self._does(
            name, lambda task, now: commands.progress(self._tasks, task, pct, note, by, now)
        )

    async def complete(self, name: str, result: str = "", by: str = "") -> Task:
        return await self._does(
            name, lambda task, now: commands.complete(self._tasks, task, result, by, now)
        )

    async def fail(self, name: str, error: str = "", by: str = "", *, final: bool = False) -> Task:
        return await self._does(
            name, lambda task, now: commands.fail(self._tasks, task, error, by, now, final=final)
        )

    async def block(self, name: str, reason: str = "", by: str = "") -> Task:
        return await self._does(
            name, lambda task, now: commands.block(self._tasks, task, reason, by, now)
        )

    async def unblock(self, name: str, by: str = "") -> Task:
        return await self._does(
            name, lambda task, now: commands.unblock(self._tasks, task, by, now)
        )

    async def cancel(self, name: str, reason: str = "", by: str = "") -> Task:
        return await self._does(
            name, lambda task, now: commands.cancel(self._tasks, task, reason, by, now)
        )

    async def end_session(self, session: str) -> int:
        """What belonged to a session that ended; how many tasks that ended."""
        events = await self._family.submit(
            lambda now_ms: commands.end_session(self._tasks, session, now_ms)
        )
        return len(events)

    async def close(self) -> None:
        """The observer ends first: what it would find now, it finds after the next start."""
        self.observer.stop()
        await super().close()

    # For the observer.

    @property
    def active(self) -> int:
        return self._tasks.active

    def next_due_ms(self) -> int | None:
        return self._tasks.next_due_ms()

    async def look(self) -> int:
        events = await self._family.submit(lambda now_ms: commands.look(self._tasks, now_ms))
        return sum(event.kind in _FOUND for event in events)

    def _changed(self, ids: Sequence[str] | None) -> None:
        super()._changed(ids)
        self.observer.changed()
