"""The state of tasks: kept as long as it must be, the same from the log as it was live."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from holdfast.errors import HoldfastError
from holdfast.events import Event
from holdfast.work.entities import WrongState
from holdfast.work.tasks import STATES, Tasks
from tests.work.test_task_commands import COMMANDS, Desk


def again(desk: Desk, *, snapshot_at: int = 0) -> Tasks:
    """The state as a restart makes it, perhaps from a snapshot."""
    first, second = (Tasks(retain_ms=3_600_000, open_max=desk.tasks.open_max) for _ in range(2))
    for event in desk.events[:snapshot_at]:
        first.apply(event)
    second.load(first.dump())
    for event in desk.events[snapshot_at:]:
        second.apply(event)
    return second


def test_finished_ones_leave_after_a_while_and_unfinished_ones_never() -> None:
    desk = Desk()
    desk.create("done")
    desk.create("open")
    desk.do("complete", "done")
    assert desk.tasks.forget(desk.now_ms + 3_599_999) == 0
    assert desk.tasks.forget(desk.now_ms + 3_600_000) == 1
    assert desk.tasks.get("done") is None
    assert desk.tasks.forget(desk.now_ms + 10**12) == 0
    assert desk.state("open") == "pending"


def test_a_log_of_any_length_is_read_with_what_is_kept_and_no_more() -> None:
    desk = Desk(open_max=10)
    for number in range(500):
        desk.after(1).create(f"t{number}")
        desk.do("complete", f"t{number}")
    assert len(again(desk)) == 10
    desk.after(4_000).create("late")
    assert [task.id for task in again(desk)] == ["late"]


def test_under_pressure_finished_ones_leave_the_oldest_first() -> None:
    desk = Desk()
    for task in ("a", "b", "open"):
        desk.create(task)
    desk.do("complete", "b")
    desk.do("complete", "a")
    freed = desk.tasks.drop_ended(1)
    assert freed > 0
    assert desk.tasks.get("b") is None
    assert desk.tasks.get("a") is not None
    desk.tasks.drop_ended(10**9)
    assert [task.id for task in desk.tasks] == ["open"]


def test_what_is_counted_and_weighed_adds_up() -> None:
    desk = Desk()
    for task in ("a", "b", "c"):
        desk.create(task)
    desk.do("complete", "a")
    desk.do("start", "b")
    counted = {state: count for state, count in desk.tasks.counts.items() if count}
    assert counted == {"pending": 1, "running": 1, "completed": 1}
    assert desk.tasks.bytes == sum(task.bytes for task in desk.tasks)
    desk.tasks.clear()
    assert (desk.tasks.bytes, len(desk.tasks), desk.tasks.next_due_ms()) == (0, 0, None)


def test_events_that_mean_nothing_here_change_nothing() -> None:
    desk = Desk()
    desk.create("t")
    before = desk.known("t")
    for kind, data, correlation in (
        ("task.painted", b'{"at_ms":1}', "t"),
        ("task.started", b'"?"', "t"),
        ("task.started", b'{"at_ms":1}', "nobody"),
        ("task.created", b'{"at_ms":1}', "t"),
    ):
        event = Event(
            id="",
            session="",
            seq=9,
            kind=kind,
            at="",
            text="",
            data=msgspec.Raw(data),
            source=None,
            correlation=correlation,
        )
        desk.tasks.apply(event)
    assert [*desk.tasks] == [before]


@pytest.mark.parametrize("snapshot_at", range(8))
def test_from_any_snapshot_the_state_is_the_same(snapshot_at: int) -> None:
    desk = Desk()
    desk.create("a")
    desk.create("t", after=("a",))
    desk.do("start", "a")
    desk.after(30).do("heartbeat", "a")
    desk.do("complete", "a")
    desk.do("start")
    assert len(desk.events) >= 7
    state = again(desk, snapshot_at=snapshot_at)
    assert [*state] == [*desk.tasks]
    assert state.next_due_ms() == desk.tasks.next_due_ms()
    assert state.counts == desk.tasks.counts


NAMES = [f"t{number}" for number in range(6)]


class TaskMachine(RuleBasedStateMachine):
    """Against a model that knows only which states may follow which."""

    def __init__(self) -> None:
        super().__init__()
        self.desk = Desk(open_max=5)
        self.ended: dict[str, str] = {}

    @rule(
        name=st.sampled_from(NAMES),
        after=st.lists(st.sampled_from(NAMES), max_size=3),
        parent=st.sampled_from(["", *NAMES]),
    )
    def create(self, name: str, after: list[str], parent: str) -> None:
        known = [each for each in after if self.desk.tasks.get(each) and each != name]
        if self.desk.tasks.get(name) or (parent and not self.desk.tasks.get(parent)):
            return
        try:
            self.desk.create(name, after=tuple(known), parent=parent)
        except HoldfastError:
            return
        self.ended.pop(name, None)

    @rule(name=st.sampled_from(NAMES), command=st.sampled_from([*COMMANDS]))
    def command(self, name: str, command: str) -> None:
        if self.desk.tasks.get(name) is None:
            return
        try:
            self.desk.do(command, name)
        except WrongState:
            return

    @rule(seconds=st.sampled_from([1, 26, 99, 100, 150, 900]))
    def look(self, seconds: float) -> None:
        self.desk.after(seconds).look()
        assert self.desk.look() == []

    @invariant()
    def an_end_is_an_end(self) -> None:
        for task in self.desk.tasks:
            if not task.is_open:
                assert self.ended.setdefault(task.id, task.state) == task.state
            else:
                assert task.id not in self.ended

    @invariant()
    def who_waits_can_still_be_done(self) -> None:
        for task in self.desk.tasks.open:
            assert (task.state == "blocked") == bool(task.waits_for or task.held)
            for needed in task.waits_for:
                found = self.desk.tasks.get(needed)
                assert found is not None
                assert found.is_open
            if task.parent:
                parent = self.desk.tasks.get(task.parent)
                assert parent is not None
                assert parent.is_open

    @invariant()
    def what_is_due_is_known(self) -> None:
        dues = [task.due_ms for task in self.desk.tasks.open if task.due_ms is not None]
        assert self.desk.tasks.next_due_ms() == min(dues, default=None)

    @invariant()
    def figures_add_up(self) -> None:
        tasks = self.desk.tasks
        assert tasks.bytes == sum(task.bytes for task in tasks)
        for state in STATES:
            assert tasks.counts[state] == sum(task.state == state for task in tasks)
        assert tasks.open_count <= 5
        assert tasks.ended_count <= 5

    def teardown(self) -> None:
        half = len(self.desk.events) // 2
        for state in (again(self.desk), again(self.desk, snapshot_at=half)):
            assert {task.id: task for task in state} == {task.id: task for task in self.desk.tasks}


TestTasks = TaskMachine.TestCase
TestTasks.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
