"""Tasks with many seeds, and the mistakes that these must find."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.simulation import check
from holdfast.work import task_commands
from holdfast.work.entities import changed
from holdfast.work.observer import Observer
from holdfast.work.registry import TaskRegistry
from holdfast.work.tasks import Change, Tasks
from tests.simulation.planted import found
from tests.simulation.tasks import scenario

SEEDS, EACH = 150, 50


@pytest.mark.parametrize("first", range(0, SEEDS, EACH))
def test_each_comes_to_exactly_one_end_by_the_rules(first: int) -> None:
    check(scenario, range(first, first + EACH))


def test_finds_two_who_work_on_one_task(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(tasks: Any, task: str, by: str, now_ms: int) -> Any:
        return [changed("task.started", task, Change(now_ms), by=by)]

    monkeypatch.setattr(task_commands, "start", start)
    assert "was started again" in str(found(scenario, monkeypatch))


def test_finds_an_observer_that_a_restart_forgets(monkeypatch: pytest.MonkeyPatch) -> None:
    applied = TaskRegistry._changed

    def forgetful(self: TaskRegistry, ids: Any) -> None:
        if ids is not None:
            applied(self, ids)

    monkeypatch.setattr(TaskRegistry, "_changed", forgetful)
    assert "nobody ends" in str(found(scenario, monkeypatch))


def test_finds_an_observer_that_looks_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Observer, "_wanted_ms", lambda _self: None)
    assert "nobody ends" in str(found(scenario, monkeypatch))


def test_finds_a_task_that_is_given_up_early(monkeypatch: pytest.MonkeyPatch) -> None:
    due = Tasks.due
    next_due_ms = Tasks.next_due_ms

    def next_early(self: Tasks) -> int | None:
        due_ms = next_due_ms(self)
        return None if due_ms is None else due_ms - 400

    monkeypatch.setattr(Tasks, "due", lambda self, now_ms: due(self, now_ms + 400))
    monkeypatch.setattr(Tasks, "next_due_ms", next_early)
    assert "ms ago" in str(found(scenario, monkeypatch))


def test_finds_one_that_starts_before_what_it_waits_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_commands, "_must_wait", lambda _tasks, _task: False)
    assert "was started before" in str(found(scenario, monkeypatch))
