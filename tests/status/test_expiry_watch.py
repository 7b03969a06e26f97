"""What agents are about to delete is looked up again when there is reason to, and told once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from holdfast.governor import BackgroundGate
from holdfast.journal.protocol import JournalQuestions
from holdfast.status.expiry import ExpiryStatus, NotKept
from holdfast.status.expiry_watch import ExpiryWatch
from tests.support.logs import RememberedLog


def about(*lost: str) -> dict[str, ExpiryStatus]:
    not_kept = [NotKept(path, "2026-01-01T00:00:00.000Z", "it was not read") for path in lost]
    found = ExpiryStatus(
        warn_days=3,
        retention="a month",
        files=2,
        bytes=7,
        due_files=1,
        earliest_at="2026-01-01T00:00:00.000Z",
        latest_at="2026-01-02T00:00:00.000Z",
        kept_files=2 - len(lost),
        not_kept_files=len(lost),
        not_kept=not_kept,
        digest=" ".join(lost),
    )
    return {"claude": found}


class Scene:
    def __init__(self, *found: object) -> None:
        self.log = RememberedLog()
        self.gate = BackgroundGate()
        self.looks = 0
        self._found = list(found)
        self.stop = asyncio.Event()
        self.watch = ExpiryWatch(
            [],
            cast("JournalQuestions", None),
            warn_days=3,
            gate=self.gate,
            log=self.log,
            find=self._look,
        )

    def _look(self, *_asked: object, **_how: object) -> dict[str, ExpiryStatus]:
        found = self._found[min(self.looks, len(self._found) - 1)]
        self.looks += 1
        if isinstance(found, Exception):
            raise found
        return cast("dict[str, ExpiryStatus]", found)

    async def look(self) -> None:
        before = self.looks
        self.watch.look_soon()
        await self.until(lambda: self.looks > before)

    async def until(self, is_so: Callable[[], Any]) -> None:
        async with asyncio.timeout(60):
            while not is_so():  # noqa: ASYNC110  # what it waits for tells nobody
                await asyncio.sleep(0.01)


def test_it_looks_when_it_is_asked_and_tells_what_is_new() -> None:
    async def run() -> None:
        scene = Scene(about(), about(), about("/lost"))
        running = asyncio.create_task(scene.watch.run(scene.stop))
        await scene.look()
        await scene.look()
        await scene.look()
        scene.stop.set()
        scene.watch.look_soon()
        await running
        levels = [level for level, _event, _fields in scene.log.records]
        assert levels == ["info", "warning"], "the second look found nothing new"
        assert scene.log.records[-1][2]["not_kept"] == ["/lost"]
        assert scene.watch.found == about("/lost")

    asyncio.run(run())


def test_what_cannot_be_looked_up_is_told_and_tried_again() -> None:
    async def run() -> None:
        scene = Scene(OSError("no such folder"), about())
        running = asyncio.create_task(scene.watch.run(scene.stop))
        scene.watch.look_soon()
        await scene.until(lambda: "sources.expiry_unknown" in scene.log.names())
        assert scene.watch.found == {}
        scene.watch.look_soon()
        await scene.until(lambda: scene.watch.found == about())
        scene.stop.set()
        scene.watch.look_soon()
        await running

    asyncio.run(run())


def test_while_background_jobs_are_paused_nothing_is_looked_up() -> None:
    async def run() -> None:
        scene = Scene(about())
        scene.gate.close()
        running = asyncio.create_task(scene.watch.run(scene.stop))
        scene.watch.look_soon()
        for _turn in range(20):
            await asyncio.sleep(0)
        assert scene.looks == 0
        scene.gate.open()
        await scene.until(lambda: scene.looks == 1)
        scene.stop.set()
        scene.watch.look_soon()
        await running

    asyncio.run(run())
