"""What may be done with a task in which state, and what becomes of it and of others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest

from holdfast.errors import HoldfastError
from holdfast.journal.streams import NewEvent
from holdfast.work import task_commands as commands
from holdfast.work.entities import NotValid, TooMany, WrongState
from holdfast.work.task_commands import NewTask, Usual
from holdfast.work.tasks import STATES, Task, Tasks
from tests.support.work import START_MS, Log

USUAL = Usual(timeout_s=1_000, heartbeat_s=100, retries=1)


class Desk(Log[Task]):
    """Tasks by commands, without a journal."""

    def __init__(self, open_max: int = 100) -> None:
        super().__init__(Tasks(retain_ms=3_600_000, open_max=open_max))
        assert isinstance(self.shelf, Tasks)
        self.tasks = self.shelf

    def create(self, task: str, **wanted: object) -> list[str]:
        new = NewTask(title=f"Title of {task}", **wanted)  # type: ignore[arg-type]  # for short
        return self.store(commands.create(self.tasks, task, new, USUAL, self.now_ms))

    def do(self, what: str, task: str = "t") -> list[str]:
        return self.store(COMMANDS[what](self, task))

    def look(self) -> list[str]:
        return self.store(commands.look(self.tasks, self.now_ms))

    def after(self, seconds: float) -> Desk:
        self.now_ms += int(seconds * 1_000)
        return self

    def state(self, task: str = "t") -> str:
        return self.known(task).state


Command = Callable[[Desk, str], list[NewEvent]]
COMMANDS: Final[dict[str, Command]] = {
    "start": lambda desk, task: commands.start(desk.tasks, task, "ann", desk.now_ms),
    "heartbeat": lambda desk, task: commands.heartbeat(desk.tasks, task, "ann", desk.now_ms),
    "progress": lambda desk, task: commands.progress(
        desk.tasks, task, 50, "half", "ann", desk.now_ms
    ),
    "complete": lambda desk, task: commands.complete(desk.tasks, task, "done", "ann", desk.now_ms),
    "fail": lambda desk, task: commands.fail(desk.tasks, task, "broke", "ann", desk.now_ms),
    "fail for good": lambda desk, task: commands.fail(
        desk.tasks, task, "broke", "ann", desk.now_ms, final=True
    ),
    "block": lambda desk, task: commands.block(desk.tasks, task, "no key", "ann", desk.now_ms),
    "unblock": lambda desk, task: commands.unblock(desk.tasks, task, "ann", desk.now_ms),
    "cancel": lambda desk, task: commands.cancel(desk.tasks, task, "no use", "ann", desk.now_ms),
}


def in_state(state: str) -> Desk:
    """A task `t` that has come to a state, with a try left while it is open."""
    desk = Desk()
    desk.create("t", retries=0 if state == "timeout" else None)
    if state in ("running", "stale", "timeout"):
        desk.do("start")
    if state == "stale":
        desk.after(100).look()
    if state == "timeout":
        while desk.state() != "timeout":
            desk.after(90).do("heartbeat")
            desk.look()
    steps = {"blocked": "block", "completed": "complete", "failed": "fail for good"}
    steps |= {"cancelled": "cancel"}
    if state in steps:
        desk.do(steps[state])
    assert desk.state() == state
    return desk


# What becomes of it, in the order of the commands above; - is refused.
MATRIX: Final = {
    "pending": "running - - completed pending failed blocked - cancelled",
    "running": "- running running completed pending failed blocked - cancelled",
    "blocked": "- - - - - failed - pending cancelled",
    "stale": "running running running completed pending failed blocked - cancelled",
    "completed": "- - - - - - - - -",
    "failed": "- - - - - - - - -",
    "timeout": "- - - - - - - - -",
    "cancelled": "- - - - - - - - -",
}


def test_the_matrix_is_of_all_states_and_commands() -> None:
    assert set(MATRIX) == set(STATES)
    assert all(len(row.split()) == len(COMMANDS) for row in MATRIX.values())


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("place", range(len(COMMANDS)))
def test_each_command_in_each_state(state: str, place: int) -> None:
    desk = in_state(state)
    command, expected = [*COMMANDS][place], MATRIX[state].split()[place]
    before = desk.known("t")
    if expected == "-":
        with pytest.raises(WrongState, match="task t"):
            desk.do(command)
        assert desk.known("t") == before
    else:
        desk.do(command)
        assert desk.state() == expected


def test_a_task_is_what_was_asked_for_and_what_the_settings_say() -> None:
    desk = Desk()
    desk.create("t", session="s", by="ann", timeout_s=7)
    assert desk.known("t") == Task(
        id="t",
        title="Title of t",
        state="pending",
        created_ms=START_MS,
        changed_ms=START_MS,
        by="ann",
        session="s",
        timeout_s=7,
        heartbeat_s=100,
        retries=1,
    )


def test_the_same_id_again_is_the_same_task() -> None:
    desk = Desk()
    desk.create("t", key="k")
    assert desk.create("t", key="k") == []


def test_there_is_a_limit_to_how_many_are_unfinished() -> None:
    desk = Desk(open_max=2)
    desk.create("a")
    desk.create("b")
    with pytest.raises(TooMany, match=r"tasks\.max_unfinished"):
        desk.create("c")
    desk.do("complete", "a")
    assert desk.create("c") == ["task.created"]


def test_a_task_is_tried_again_and_then_fails() -> None:
    desk = in_state("running")
    assert desk.do("fail") == ["task.retried"]
    assert (desk.known("t").failures, desk.known("t").reason) == (1, "broke")
    desk.do("start")
    assert desk.known("t").reason == ""
    assert desk.do("fail") == ["task.failed"]
    assert desk.known("t").reason == "broke"


def test_progress_is_kept_and_begins_anew_with_the_next_try() -> None:
    desk = in_state("running")
    desk.do("progress")
    assert (desk.known("t").pct, desk.known("t").note) == (50, "half")
    desk.store(commands.progress(desk.tasks, "t", None, "more", "", desk.now_ms))
    assert (desk.known("t").pct, desk.known("t").note) == (50, "more")
    desk.do("fail")
    desk.do("start")
    assert (desk.known("t").pct, desk.known("t").note) == (None, "")


@pytest.mark.parametrize(("pct", "note"), [(None, ""), (-1, ""), (100.5, "")])
def test_progress_must_say_something_sensible(pct: float | None, note: str) -> None:
    desk = in_state("running")
    with pytest.raises(NotValid):
        commands.progress(desk.tasks, "t", pct, note, "", desk.now_ms)


def test_a_heartbeat_soon_after_the_last_is_not_stored() -> None:
    desk = in_state("running")
    assert desk.after(24.9).do("heartbeat") == []
    assert desk.after(0.2).do("heartbeat") == ["task.heartbeat"]
    assert desk.after(1).do("heartbeat") == []


def test_silence_makes_it_stale_and_more_of_it_a_try_in_vain() -> None:
    desk = in_state("running")
    assert desk.after(99.9).look() == []
    assert desk.after(0.1).look() == ["task.stale"]
    assert desk.look() == []
    assert desk.after(99.9).look() == []
    assert desk.after(0.1).look() == ["task.retried"]
    desk.do("start")
    desk.after(100).look()
    assert desk.after(100).look() == ["task.failed"]
    assert "nothing heard" in desk.known("t").reason


def test_who_could_say_nothing_for_long_is_given_a_span_to_say_something() -> None:
    desk = in_state("running")
    assert desk.after(900).look() == ["task.stale"]
    assert desk.after(99).look() == []
    desk.do("heartbeat")
    assert desk.state() == "running"


def test_a_sign_of_life_makes_a_stale_one_run_again() -> None:
    desk = in_state("stale")
    desk.after(50).do("heartbeat")
    assert desk.state() == "running"
    assert desk.after(99).look() == []


def test_who_takes_too_long_is_tried_again_and_then_times_out() -> None:
    desk = in_state("running")
    found: list[str] = []
    while "task.timeout" not in found:
        if desk.state() == "pending":
            desk.do("start")
        desk.after(90).do("heartbeat")
        found += desk.look()
    assert found == ["task.retried", "task.timeout"]
    assert desk.state() == "timeout"


def test_without_limits_nothing_is_ever_due() -> None:
    desk = Desk()
    desk.create("t", timeout_s=0, heartbeat_s=0)
    desk.do("start")
    assert desk.after(10**9).look() == []
    assert desk.do("heartbeat") == []
    assert desk.tasks.next_due_ms() is None


def test_a_task_waits_until_all_that_it_needs_are_completed() -> None:
    desk = Desk()
    desk.create("a")
    desk.create("b")
    desk.create("t", after=("a", "b"))
    with pytest.raises(WrongState, match="waits for a, b"):
        desk.do("start")
    assert desk.do("complete", "a") == ["task.completed"]
    assert desk.state() == "blocked"
    assert desk.do("complete", "b") == ["task.completed", "task.unblocked"]
    assert desk.state() == "pending"


def test_what_is_completed_already_is_not_waited_for() -> None:
    desk = Desk()
    desk.create("a")
    desk.do("complete", "a")
    desk.create("t", after=("a",))
    assert desk.state() == "pending"
    desk.create("b")
    desk.do("cancel", "b")
    with pytest.raises(WrongState, match="task b was cancelled"):
        desk.create("u", after=("b",))


def test_one_that_somebody_blocked_stays_so_when_what_it_needs_is_there() -> None:
    desk = Desk()
    desk.create("a")
    desk.create("t", after=("a",))
    desk.do("block")
    assert desk.do("complete", "a") == ["task.completed"]
    assert desk.state() == "blocked"
    desk.do("unblock")
    assert desk.state() == "pending"


def test_one_that_is_unblocked_goes_on_waiting() -> None:
    desk = Desk()
    desk.create("a")
    desk.create("t", after=("a",))
    desk.do("block")
    desk.do("unblock")
    assert desk.state() == "blocked"
    with pytest.raises(WrongState, match="waits for a"):
        desk.do("unblock")


def test_what_needs_one_that_failed_fails_with_all_that_needs_it() -> None:
    desk = Desk()
    desk.create("a")
    desk.create("b", after=("a",))
    desk.create("c", after=("b",))
    desk.create("apart")
    assert desk.do("fail for good", "a") == ["task.failed"] * 3
    assert desk.known("c").reason == "it needs b: failed"
    assert desk.state("apart") == "pending"


def test_a_try_in_vain_is_no_end_for_those_that_wait() -> None:
    desk = Desk()
    desk.create("a")
    desk.create("t", after=("a",))
    desk.do("start", "a")
    assert desk.do("fail", "a") == ["task.retried"]
    assert desk.state() == "blocked"


def test_parts_end_with_the_whole_and_before_it() -> None:
    desk = Desk()
    desk.create("whole")
    desk.create("part", parent="whole")
    desk.create("crumb", parent="part")
    desk.create("waits", after=("crumb",))
    with pytest.raises(WrongState, match=r"1 unfinished parts \(part\)"):
        desk.do("complete", "whole")
    assert sorted(desk.do("cancel", "whole")) == ["task.cancelled"] * 3 + ["task.failed"]
    assert desk.known("crumb").reason == "it is part of part: cancelled"
    with pytest.raises(WrongState, match="cannot have a part"):
        desk.create("late", parent="whole")


def test_no_task_ends_twice_however_it_hangs_together() -> None:
    desk = Desk()
    desk.create("whole", retries=0)
    desk.create("part", parent="whole", retries=0)
    desk.create("both", parent="whole", after=("part",), retries=0)
    desk.do("start", "whole")
    desk.do("start", "part")
    desk.after(100).look()
    kinds = desk.after(100).look()
    assert len(kinds) == 3
    assert desk.tasks.open_count == 0


def test_with_a_session_its_tasks_end() -> None:
    desk = Desk()
    desk.create("ours", session="s")
    desk.create("theirs", session="other")
    desk.create("waits", after=("ours",))
    kinds = desk.store(commands.end_session(desk.tasks, "s", desk.now_ms))
    assert kinds == ["task.cancelled", "task.failed"]
    assert desk.state("theirs") == "pending"


@pytest.mark.parametrize("name", ["title", "by", "session", "key"])
def test_nothing_of_a_task_is_larger_than_it_may_be(name: str) -> None:
    long = {"title": "x", name: "x" * 20_001}
    with pytest.raises(NotValid, match=name):
        commands.create(Desk().tasks, "t", NewTask(**long), USUAL, START_MS)  # type: ignore[arg-type]  # for short


@pytest.mark.parametrize("title", ["", " \t\n"])
def test_a_task_without_a_title_is_refused(title: str) -> None:
    with pytest.raises(NotValid, match="a task needs a title"):
        commands.create(Desk().tasks, "t", NewTask(title=title), USUAL, START_MS)


def test_every_refusal_is_one_that_people_are_told() -> None:
    for error in (WrongState, NotValid, TooMany):
        assert issubclass(error, HoldfastError)
