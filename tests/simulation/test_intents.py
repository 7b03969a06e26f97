"""Intents with many seeds, and the mistakes that these must find."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.simulation import check
from holdfast.work import intents
from holdfast.work.entities import changed
from holdfast.work.intents import Change
from holdfast.work.projection import Projector
from tests.simulation.intents import scenario
from tests.simulation.planted import found

SEEDS, EACH = 100, 50


@pytest.mark.parametrize("first", range(0, SEEDS, EACH))
def test_no_step_that_was_acknowledged_is_done_again(first: int) -> None:
    check(scenario, range(first, first + EACH))


def test_finds_memos_of_who_was_relieved(monkeypatch: pytest.MonkeyPatch) -> None:
    progress = intents.progress

    def of_anybody(*what: Any, by: str, **more: Any) -> Any:
        events = progress(*what, by="", **more)
        for event in events:
            event.actor = by
        return events

    monkeypatch.setattr(intents, "progress", of_anybody)
    assert "was acknowledged" in str(found(scenario, monkeypatch))


def test_finds_a_second_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def whatever(_intents: Any, intent: str, _result: str, by: str, now_ms: int) -> Any:
        return [changed("intent.completed", intent, Change(now_ms), by=by)]

    monkeypatch.setattr(intents, "complete", whatever)
    assert "was completed, then completed" in str(found(scenario, monkeypatch))


def test_finds_events_that_a_restart_does_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Projector, "catch_up", lambda _self: 0)
    assert "there is no intent" in str(found(scenario, monkeypatch))
