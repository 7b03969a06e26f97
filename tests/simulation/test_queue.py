"""Queues with many seeds, and the mistakes that these must find."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest

from holdfast.journal.work import Claim, Settled
from holdfast.journal.work import Enqueued as Stored
from holdfast.journal.work_memory import MemoryWork
from holdfast.simulation import check, hunt
from holdfast.simulation.loop import Deadlock, NeverEnds
from holdfast.work.queue import WorkQueue
from holdfast.work.queue.line import Line
from holdfast.work.queue.room import Room
from tests.simulation.planted import SEEDS_MAX, found
from tests.simulation.queue import scenario

SEEDS, EACH = 500, 50


@pytest.mark.parametrize("first", range(0, SEEDS, EACH))
def test_nothing_acknowledged_is_lost_and_nothing_confirmed_comes_again(first: int) -> None:
    check(scenario, range(first, first + EACH))


_nothing: Callable[..., None] = lambda *_arguments: None  # noqa: E731  # stands in for a method


def test_finds_keys_that_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    enqueue = MemoryWork.enqueue

    def forgetful(self: MemoryWork, queue: str, *rest: Any, **options: Any) -> Stored:
        self._state.keys[queue] = {}
        return enqueue(self, queue, *rest, **options)

    monkeypatch.setattr(MemoryWork, "_dependencies", lambda *_arguments: [])  # they go by keys
    monkeypatch.setattr(MemoryWork, "enqueue", forgetful)
    failed = hunt(scenario, range(SEEDS_MAX), failures_max=10).failed
    monkeypatch.undo()
    assert any(" and is item " in str(each.error) for each in failed)


def test_finds_a_confirmation_that_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def says_so(self: MemoryWork, claims: Sequence[Claim], _now_ms: int) -> Settled:
        return self._settled(claims, self._held(claims))

    monkeypatch.setattr(MemoryWork, "confirm", says_so)
    assert "was confirmed with" in str(found(scenario, monkeypatch))


def test_finds_leases_that_end_early(monkeypatch: pytest.MonkeyPatch) -> None:
    claim = MemoryWork.claim

    def hasty(self: MemoryWork, queue: str, count: int, lease_ms: int, now_ms: int) -> Any:
        claimed = claim(self, queue, count, lease_ms // 10, now_ms)
        claimed.items = [
            msgspec.structs.replace(item, lease_ends_ms=now_ms + lease_ms) for item in claimed.items
        ]
        return claimed

    monkeypatch.setattr(MemoryWork, "claim", hasty)
    assert "was given to two" in str(found(scenario, monkeypatch))


def test_finds_poison_that_never_dies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MemoryWork, "_bury", lambda self, kept, _why, now: self._give(kept, now))
    assert ": attempt " in str(found(scenario, monkeypatch))


def test_finds_items_that_come_before_what_they_wait_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MemoryWork, "_dependencies", lambda *_arguments: [])
    assert " came before " in str(found(scenario, monkeypatch))


def test_finds_a_queue_without_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Room, "_fits", lambda _self, _count: True)
    assert "items are pending" in str(found(scenario, monkeypatch))


def test_finds_room_that_is_not_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Room, "give_back", _nothing)
    assert isinstance(found(scenario, monkeypatch), (Deadlock, NeverEnds, AssertionError))


def test_finds_redelivery_that_goes_through_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    release = WorkQueue.release

    async def through(self: WorkQueue, claims: Sequence[Claim], **how: Any) -> Any:
        await self._room.take(len(claims), 0, None)
        self._room.give_back(len(claims))
        return await release(self, claims, **how)

    monkeypatch.setattr(WorkQueue, "release", through)
    assert isinstance(found(scenario, monkeypatch), (Deadlock, NeverEnds))


def test_finds_counts_that_a_failing_disk_leaves_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WorkQueue, "_doubt", _nothing)
    found(scenario, monkeypatch)


def test_finds_workers_that_are_not_woken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Line, "wake", _nothing)
    assert isinstance(found(scenario, monkeypatch), (Deadlock, NeverEnds))
