"""Intents, as the daemon has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from holdfast.work import intents as commands
from holdfast.work.intents import INTENT_BYTES, Intent, Intents, NewIntent
from holdfast.work.keeper import Keeper, Room

_TEXT_BYTES: Final = 1_000  # of an ordinary one


class IntentSettings(msgspec.Struct, frozen=True):
    max_active: int = 1_000
    retain_s: int = 7 * 86_400


class IntentsStatus(msgspec.Struct, frozen=True):
    active: int
    ended: int  # still in memory


class IntentRegistry(Keeper[Intent]):
    def __init__(self, room: Room, settings: IntentSettings) -> None:
        self._intents = Intents(retain_ms=settings.retain_s * 1_000, open_max=settings.max_active)
        super().__init__(
            self._intents, room, noun="intent", entity_bytes=INTENT_BYTES + _TEXT_BYTES
        )

    def listed(
        self, *, states: Sequence[str] = (), session: str = "", limit: int = 1_000
    ) -> list[Intent]:
        return self._listed(
            lambda intent: (
                (not states or intent.state in states)
                and (not session or intent.session == session)
            ),
            limit,
        )

    def status(self) -> IntentsStatus:
        return IntentsStatus(self._intents.open_count, self._intents.ended_count)

    async def create(self, wanted: NewIntent) -> Intent:
        return await self._make(
            wanted.key, lambda intent, now: commands.create(self._intents, intent, wanted, now)
        )

    async def progress(
        self, name: str, *, pct: float | None = None, note: str = "", memo: str = "", by: str = ""
    ) -> Intent:
        return await self._does(
            name,
            lambda intent, now: commands.progress(
                self._intents, intent, pct=pct, note=note, memo=memo, by=by, now_ms=now
            ),
        )

    async def complete(self, name: str, result: str = "", by: str = "") -> Intent:
        return await self._does(
            name, lambda intent, now: commands.complete(self._intents, intent, result, by, now)
        )

    async def fail(self, name: str, reason: str = "", by: str = "") -> Intent:
        return await self._does(
            name, lambda intent, now: commands.fail(self._intents, intent, reason, by, now)
        )

    async def resume(self, name: str, by: str = "") -> Intent:
        return await self._does(
            name, lambda intent, now: commands.resume(self._intents, intent, by, now)
        )
