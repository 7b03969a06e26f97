"""Checkpoints, as the daemon has them: one owner of their state, their deadlines, and who waits."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Final

import msgspec

from holdfast.journal.streams import NewEvent
from holdfast.work import checkpoints as commands
from holdfast.work.checkpoints import (
    CHECKPOINT_BYTES,
    Answer,
    Checkpoint,
    Checkpoints,
    NewCheckpoint,
)
from holdfast.work.entities import NotThere, NotValid
from holdfast.work.keeper import Keeper, Room
from holdfast.work.templates import template

_TEXT_BYTES: Final = 1_000  # of an ordinary one
_KEY: Final = "checkpoint"


class CheckpointSettings(msgspec.Struct, frozen=True):
    max_pending: int = 1_000
    expiry_s: int = 86_400
    retain_s: int = 86_400


class CheckpointsStatus(msgspec.Struct, frozen=True):
    pending: int
    ended: int  # still in memory
    waiting: int  # connections that wait for an answer


class CheckpointDesk(Keeper[Checkpoint]):
    def __init__(self, room: Room, settings: CheckpointSettings) -> None:
        self._settings = settings
        self._checkpoints = Checkpoints(
            retain_ms=settings.retain_s * 1_000, open_max=settings.max_pending
        )
        self._armed: dict[str, int] = {}  # deadlines that timers know
        self._waiters: dict[str, set[asyncio.Future[Checkpoint]]] = {}
        self._released = False
        super().__init__(
            self._checkpoints, room, noun="checkpoint", entity_bytes=CHECKPOINT_BYTES + _TEXT_BYTES
        )

    def release(self) -> None:
        """Nobody waits here any longer: whoever does is told it is pending, and comes again."""
        self._released = True
        for checkpoint in [*self._waiters]:
            self._wake(checkpoint, self.get(checkpoint))

    async def close(self) -> None:
        for checkpoint in [*self._armed]:
            self._arm(checkpoint, 0)
        await super().close()

    def listed(
        self, *, states: Sequence[str] = (), session: str = "", task: str = "", limit: int = 1_000
    ) -> list[Checkpoint]:
        return self._listed(
            lambda each: (
                (not states or each.state in states)
                and (not session or each.session == session)
                and (not task or each.task == task)
            ),
            limit,
        )

    async def wait(self, name: str, wait_s: float) -> Checkpoint:
        """As soon as it is decided, or after a while, as it is then."""
        checkpoint = self.get(name)
        if not checkpoint.is_open or wait_s <= 0 or self._released:
            return checkpoint
        decided: asyncio.Future[Checkpoint] = asyncio.get_running_loop().create_future()
        waiters = self._waiters.setdefault(checkpoint.id, set())
        waiters.add(decided)
        try:
            return await asyncio.wait_for(decided, wait_s)
        except TimeoutError:
            return self.get(checkpoint.id)
        finally:
            waiters.discard(decided)
            if not waiters and self._waiters.get(checkpoint.id) is waiters:
                del self._waiters[checkpoint.id]

    def status(self) -> CheckpointsStatus:
        return CheckpointsStatus(
            pending=self._checkpoints.open_count,
            ended=self._checkpoints.ended_count,
            waiting=sum(map(len, self._waiters.values())),
        )

    # Commands.

    async def ask(self, wanted: NewCheckpoint) -> Checkpoint:
        whole = self._whole(wanted)
        return await self._make(
            wanted.key,
            lambda checkpoint, now: commands.request(self._checkpoints, checkpoint, whole, now),
        )

    async def resolve(
        self, name: str, answer: Answer, *, by: str = "", comment: str = "", option: str = ""
    ) -> Checkpoint:
        def decide(checkpoint: str, now_ms: int) -> list[NewEvent]:
            return commands.resolve(
                self._checkpoints,
                checkpoint,
                answer,
                by=by,
                comment=comment,
                option=option,
                now_ms=now_ms,
            )

        return await self._does(name, decide)

    async def cancel(self, name: str, *, by: str = "", comment: str = "") -> Checkpoint:
        def decide(checkpoint: str, now_ms: int) -> list[NewEvent]:
            return commands.cancel(
                self._checkpoints, checkpoint, by=by, comment=comment, now_ms=now_ms
            )

        return await self._does(name, decide)

    async def end_session(self, session: str) -> int:
        """What a session asked that ended; how many checkpoints that ended."""
        events = await self._family.submit(
            lambda now_ms: commands.end_session(self._checkpoints, session, now_ms)
        )
        return len(events)

    def _whole(self, wanted: NewCheckpoint) -> NewCheckpoint:
        expires_s = self._settings.expiry_s if wanted.expires_s is None else wanted.expires_s
        if not wanted.template:
            if wanted.fields:
                raise NotValid("fields belong to a template: name it too")
            return msgspec.structs.replace(wanted, expires_s=expires_s)
        chosen = template(wanted.template)
        title, question = chosen.filled(wanted.fields)
        return msgspec.structs.replace(
            wanted,
            title=wanted.title or title,
            question=wanted.question or question,
            options=wanted.options or chosen.options,
            expires_s=expires_s,
        )

    def _changed(self, ids: Sequence[str] | None) -> None:
        """Arm and stop timers, and tell whoever waits."""
        super()._changed(ids)
        if ids is None:
            ids = [*{*self._armed, *self._waiters, *(each.id for each in self._checkpoints)}]
        for checkpoint in ids:
            known = self._checkpoints.get(checkpoint)
            open_ = known is not None and known.is_open
            self._arm(checkpoint, known.expires_ms if known is not None and open_ else 0)
            if not open_:
                self._wake(checkpoint, known)

    def _arm(self, checkpoint: str, due_ms: int) -> None:
        if self._armed.get(checkpoint, 0) == due_ms:
            return
        if due_ms:
            self._armed[checkpoint] = due_ms
            self._timers.at((_KEY, checkpoint), due_ms, partial(self._expire, checkpoint))
        else:
            del self._armed[checkpoint]
            self._timers.cancel((_KEY, checkpoint))

    async def _expire(self, checkpoint: str) -> None:
        """It, and all others that are due. Fails as the journal does; then it rings again."""
        await self._family.submit(lambda now_ms: commands.expire(self._checkpoints, now_ms))
        self._armed.pop(checkpoint, None)
        self._changed([checkpoint])  # the clock may have been set back meanwhile

    def _wake(self, checkpoint: str, known: Checkpoint | None) -> None:
        """Without one it ended and was forgotten at once: so many ended together."""
        for waiter in self._waiters.pop(checkpoint, ()):
            if waiter.done():
                continue
            if known is not None:
                waiter.set_result(known)
            else:
                waiter.set_exception(NotThere(f"checkpoint {checkpoint} has ended: {self.gone}"))
