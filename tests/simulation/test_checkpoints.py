"""Checkpoints with many seeds, and the mistakes that these must find."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.simulation import check
from holdfast.simulation.loop import NeverEnds
from holdfast.work import Checkpoint, CheckpointDesk, checkpoints
from holdfast.work.entities import changed
from holdfast.work.family import Family
from holdfast.work.keeper import Keeper
from holdfast.work.projection import Projector
from tests.simulation.checkpoints import scenario
from tests.simulation.planted import found

SEEDS, EACH = 250, 50


@pytest.mark.parametrize("first", range(0, SEEDS, EACH))
def test_each_comes_to_exactly_one_end_and_everybody_is_told_the_same(first: int) -> None:
    check(scenario, range(first, first + EACH))


def test_finds_a_second_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def whatever(known: checkpoints.Checkpoints, checkpoint: str) -> Checkpoint:
        found = known.get(checkpoint)
        assert found is not None
        return found

    monkeypatch.setattr(checkpoints, "_pending", whatever)
    assert "and again" in str(found(scenario, monkeypatch))


def test_finds_requests_that_forget_their_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    make = Keeper._make

    async def forgetful(self: Keeper[Any], key: str, decide: Any) -> Any:
        return await make(self, f"{key} {self._now_ms()}", decide)

    def without_key(*what: Any, key: str = "", **more: Any) -> Any:
        new = changed(*what, **more)
        new.causation = key
        return new

    monkeypatch.setattr(Keeper, "_make", forgetful)
    monkeypatch.setattr(checkpoints, "changed", without_key)
    assert "was requested twice" in str(found(scenario, monkeypatch))


def test_finds_a_deadline_that_comes_early(monkeypatch: pytest.MonkeyPatch) -> None:
    expire = checkpoints.expire

    def early(known: checkpoints.Checkpoints, now_ms: int) -> Any:
        due = expire(known, now_ms + 900)
        return [changed(e.kind, e.correlation, checkpoints.Change(now_ms)) for e in due]

    monkeypatch.setattr(checkpoints, "expire", early)
    assert "expired early" in str(found(scenario, monkeypatch))


def test_finds_a_deadline_that_a_restart_forgets(monkeypatch: pytest.MonkeyPatch) -> None:
    applied = CheckpointDesk._changed

    def forgetful(self: CheckpointDesk, ids: Any) -> None:
        if ids is not None:
            applied(self, ids)

    monkeypatch.setattr(CheckpointDesk, "_changed", forgetful)
    assert isinstance(found(scenario, monkeypatch), NeverEnds)


def test_finds_a_state_that_does_not_follow_from_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a failed commit kept is in the log, and only there."""
    apply = Family._apply

    def believes_itself(self: Family, new: Any, appended: Any, now_ms: int) -> Any:
        return apply(self, new, type(appended)(*_fields(appended)[:-1], 0), now_ms)

    monkeypatch.setattr(Family, "_apply", believes_itself)
    assert "after it" in str(found(scenario, monkeypatch))


def test_finds_events_of_others_that_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Projector, "catch_up", lambda _self: 0)
    assert "there is no checkpoint" in str(found(scenario, monkeypatch))


def _fields(struct: Any) -> list[Any]:
    return [getattr(struct, name) for name in struct.__struct_fields__]
