"""Files with many sessions are looked into when they change: not too often, nor too seldom."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from holdfast.ingest import stores
from holdfast.ingest.stores import Stamped, Stores
from holdfast.sources.base import ItemSource, Stamp
from tests.support.items import Notebooks

STORE = "/x/notes.book"
SOURCE = Notebooks([])


class Looks:
    """What a test says is in the file, and what was found there."""

    def __init__(self) -> None:
        self.since: list[int] = []
        self.changed: list[str] = []
        self.failed: list[str] = []
        self.answers: list[list[Stamped] | Exception] = []
        self.during: Callable[[], None] = lambda: None
        self.missed: list[str] = []
        self.stores = Stores(self._look, self.changed.append, self._fail, self.missed.append)

    def _look(self, _source: ItemSource, store: str, since_ns: int) -> list[Stamped]:
        assert store.startswith(STORE)
        self.since.append(since_ns)
        self.during()
        answer = self.answers.pop(0) if self.answers else []
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _fail(self, _store: str, error: Exception) -> None:
        self.failed.append(str(error))

    async def until(self, looks: int) -> None:
        """Until there were so many looks and the rest behind the last one is over."""
        last_s = time.monotonic() + 30
        while len(self.since) < looks or len(asyncio.all_tasks()) > 1:
            assert time.monotonic() < last_s, self.since
            await asyncio.sleep(0.001)


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "PAUSE_S", 0.01)


def test_what_changed_is_told_and_only_later_changes_are_asked_for() -> None:
    async def run() -> Looks:
        looks = Looks()
        looks.answers = [[("a", Stamp(1, 5)), ("b", Stamp(1, 9))], []]
        looks.stores.touch(SOURCE, STORE)
        await looks.until(1)
        looks.stores.touch(SOURCE, STORE)
        await looks.until(2)
        return looks

    looks = asyncio.run(run())
    assert looks.changed == ["a", "b"]
    assert looks.since == [0, 9]


def test_many_changes_during_a_look_are_one_look_behind_it() -> None:
    async def run() -> Looks:
        looks = Looks()
        loop = asyncio.get_running_loop()

        def touch_again() -> None:
            if len(looks.since) == 1:
                for _ in range(50):
                    loop.call_soon_threadsafe(looks.stores.touch, SOURCE, STORE)

        looks.during = touch_again
        looks.stores.touch(SOURCE, STORE)
        await looks.until(2)
        return looks

    assert len(asyncio.run(run()).since) == 2


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), RuntimeError("closed")])
def test_a_look_that_fails_is_told_and_the_next_one_asks_for_all(error: Exception) -> None:
    async def run() -> Looks:
        looks = Looks()
        looks.answers = [[("a", Stamp(1, 5))], error, [("a", Stamp(1, 5))]]
        for count in (1, 2, 3):
            looks.stores.touch(SOURCE, STORE)
            await looks.until(count)
        return looks

    looks = asyncio.run(run())
    assert looks.failed == [str(error)]
    assert looks.since == [0, 5, 0]
    assert looks.changed == ["a", "a"]


def test_a_reading_that_took_long_is_followed_by_a_longer_rest() -> None:
    """Looking and reading together take one part in ten of a processor."""

    async def run() -> float:
        looks = Looks()
        looks.stores.touch(SOURCE, STORE)
        await looks.until(1)
        looks.stores.took(STORE, 0.02)
        started_s = time.monotonic()
        looks.stores.touch(SOURCE, STORE)
        await looks.until(2)
        return time.monotonic() - started_s

    assert asyncio.run(run()) >= stores.COST_SHARE * 0.02


def test_nothing_is_looked_into_any_more_when_it_is_closed() -> None:
    async def run() -> Looks:
        looks = Looks()
        looks.stores.close()
        looks.stores.touch(SOURCE, STORE)
        await asyncio.sleep(0)
        return looks

    assert asyncio.run(run()).since == []


def test_of_more_files_than_can_be_looked_into_at_once_it_is_told_that_some_were_missed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stores, "LOOKS_MAX", 3)
    monkeypatch.setattr(stores, "MISSED_EVERY_S", 0.05)

    async def run() -> Looks:
        looks = Looks()
        for number in range(10):
            looks.stores.touch(SOURCE, f"{STORE}{number}")
        assert len(looks.missed) == 1, "at once, and once"
        last_s = time.monotonic() + 30
        while len(looks.missed) < 2:
            assert time.monotonic() < last_s
            await asyncio.sleep(0.001)
        await looks.until(3)
        return looks

    looks = asyncio.run(run())
    assert len(looks.since) == 3
    assert [each.split()[0] for each in looks.missed] == ["1", "6"], "the last ones too"


def test_a_file_that_is_not_there_is_told_once_until_it_was_there_again() -> None:
    async def run() -> Looks:
        looks = Looks()
        missing = FileNotFoundError(2, "gone")
        looks.answers = [missing, missing, missing, [], missing]
        for count in range(1, 6):
            looks.stores.touch(SOURCE, STORE)
            await looks.until(count)
            assert len(looks.failed) == (1 if count < 5 else 2)
        return looks

    asyncio.run(run())


def test_a_file_that_stays_away_is_told_again_after_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stores, "GONE_AGAIN_S", 0.0)

    async def run() -> Looks:
        looks = Looks()
        looks.answers = [FileNotFoundError(2, "gone"), FileNotFoundError(2, "gone")]
        for count in (1, 2):
            looks.stores.touch(SOURCE, STORE)
            await looks.until(count)
        return looks

    assert len(asyncio.run(run()).failed) == 2
