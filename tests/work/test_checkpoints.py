"""A checkpoint comes to exactly one end, whoever races whom, and stays as it ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from holdfast.errors import HoldfastError
from holdfast.journal.streams import NewEvent
from holdfast.work import checkpoints as commands
from holdfast.work.checkpoints import Checkpoint, Checkpoints, NewCheckpoint
from holdfast.work.entities import NotValid, TooMany, WrongState
from tests.support.work import START_MS, Log

ENDS: Final = {
    "checkpoint.approved": "approved",
    "checkpoint.rejected": "rejected",
    "checkpoint.expired": "expired",
    "checkpoint.cancelled": "cancelled",
}


class Desk(Log[Checkpoint]):
    """Checkpoints by commands, without a journal."""

    def __init__(self, open_max: int = 100) -> None:
        super().__init__(Checkpoints(retain_ms=3_600_000, open_max=open_max))
        assert isinstance(self.shelf, Checkpoints)
        self.checkpoints = self.shelf

    def ask(self, checkpoint: str = "c", **wanted: object) -> list[str]:
        new = NewCheckpoint(**{"title": "Delete it?", "expires_s": 60, **wanted})  # type: ignore[arg-type]  # for short
        return self.store(commands.request(self.checkpoints, checkpoint, new, self.now_ms))

    def do(self, what: str, checkpoint: str = "c") -> list[str]:
        return self.store(COMMANDS[what](self, checkpoint))

    def answer(self, option: str) -> list[NewEvent]:
        return commands.resolve(
            self.checkpoints, "c", "approved", by="", comment="", option=option, now_ms=self.now_ms
        )

    def after(self, seconds: float) -> Desk:
        self.now_ms += int(seconds * 1_000)
        return self


Command = Callable[[Desk, str], list[NewEvent]]


def _resolve(answer: commands.Answer) -> Command:
    return lambda desk, checkpoint: commands.resolve(
        desk.checkpoints,
        checkpoint,
        answer,
        by="hana",
        comment="because",
        option="",
        now_ms=desk.now_ms,
    )


COMMANDS: Final[dict[str, Command]] = {
    "approve": _resolve("approved"),
    "reject": _resolve("rejected"),
    "cancel": lambda desk, checkpoint: commands.cancel(
        desk.checkpoints, checkpoint, by="hana", comment="because", now_ms=desk.now_ms
    ),
}


def again(desk: Desk, *, snapshot_at: int = 0) -> Checkpoints:
    """The state as a restart makes it, perhaps from a snapshot."""
    open_max = desk.checkpoints.open_max
    first, second = (Checkpoints(retain_ms=3_600_000, open_max=open_max) for _ in range(2))
    for event in desk.events[:snapshot_at]:
        first.apply(event)
    second.load(first.dump())
    for event in desk.events[snapshot_at:]:
        second.apply(event)
    return second


@pytest.mark.parametrize(
    ("command", "state"),
    [("approve", "approved"), ("reject", "rejected"), ("cancel", "cancelled")],
)
def test_each_answer_ends_it_and_says_who_and_why(command: str, state: str) -> None:
    desk = Desk()
    desk.ask(by="agent")
    desk.after(5).do(command)
    ended = desk.known("c")
    assert (ended.state, ended.ended_by, ended.comment) == (state, "hana", "because")
    assert ended.ended_ms == START_MS + 5_000


@pytest.mark.parametrize("first", [*COMMANDS, "expire"])
@pytest.mark.parametrize("second", COMMANDS)
def test_what_has_ended_is_refused_with_who_ended_it_and_when(first: str, second: str) -> None:
    desk = Desk()
    desk.ask()
    if first == "expire":
        desk.after(60).store(commands.expire(desk.checkpoints, desk.now_ms))
    else:
        desk.do(first)
    before = desk.known("c")
    who = "expired" if first == "expire" else "by hana"
    with pytest.raises(WrongState, match=f"{who} at 2026-01-01T"):
        desk.do(second)
    assert desk.known("c") == before


def test_it_expires_when_its_time_has_come_and_not_before() -> None:
    desk = Desk()
    desk.ask()
    desk.ask("never", expires_s=0)
    assert commands.expire(desk.checkpoints, desk.now_ms + 59_999) == []
    desk.after(60)
    assert desk.store(commands.expire(desk.checkpoints, desk.now_ms)) == ["checkpoint.expired"]
    assert desk.known("c").state == "expired"
    assert desk.known("never").is_open


def test_an_answer_that_is_stored_before_its_end_is_counts() -> None:
    desk = Desk()
    desk.ask()
    desk.after(61).do("approve")
    assert commands.expire(desk.checkpoints, desk.now_ms) == []
    assert desk.known("c").state == "approved"


def test_an_option_must_be_one_that_is_offered() -> None:
    desk = Desk()
    desk.ask(options=("once", "always"))
    with pytest.raises(NotValid, match="once, always"):
        desk.answer("never")
    desk.store(desk.answer("always"))
    assert desk.known("c").option == "always"


@pytest.mark.parametrize(
    "wanted",
    [
        {"title": ""},
        {"options": ("a", "a")},
        {"options": tuple("abcdefghijklmnopqrstu")},
        {"options": ("x" * 201,)},
        {"question": "x" * 20_001},
        {"session": "x" * 201},
    ],
)
def test_what_makes_no_sense_is_refused(wanted: dict[str, Any]) -> None:
    with pytest.raises(NotValid):
        Desk().ask(**wanted)


def test_there_is_a_limit_to_how_many_wait() -> None:
    desk = Desk(open_max=1)
    desk.ask("a")
    with pytest.raises(TooMany, match=r"checkpoints\.max_pending"):
        desk.ask("b")
    desk.do("approve", "a")
    desk.ask("b")


def test_the_same_id_again_is_the_same_checkpoint() -> None:
    desk = Desk()
    desk.ask(key="k")
    assert desk.ask(key="k") == []


def test_with_a_session_what_it_asked_ends() -> None:
    desk = Desk()
    desk.ask("ours", session="s")
    desk.ask("theirs", session="other")
    desk.store(commands.end_session(desk.checkpoints, "s", desk.now_ms))
    assert desk.known("ours").state == "cancelled"
    assert desk.known("ours").comment == "its session s ended"
    assert desk.known("theirs").is_open


def test_pending_ones_never_leave_and_ended_ones_after_a_while() -> None:
    desk = Desk()
    desk.ask("open", expires_s=0)
    desk.ask("done")
    desk.do("approve", "done")
    assert desk.checkpoints.forget(desk.now_ms + 3_599_999) == 0
    assert desk.checkpoints.forget(desk.now_ms + 10**12) == 1
    assert [each.id for each in desk.checkpoints] == ["open"]


NAMES = [f"c{number}" for number in range(4)]


class CheckpointMachine(RuleBasedStateMachine):
    """Answers, deadlines, ends of sessions and restarts in any order, against a naive model."""

    def __init__(self) -> None:
        super().__init__()
        self.desk = Desk(open_max=3)
        self.expires: dict[str, int] = {}  # of what was asked
        self.ends: dict[str, list[str]] = {}

    def store(self, events: list[NewEvent]) -> None:
        self.desk.store(events)
        for each in events:
            if each.kind in ENDS:
                self.ends[each.correlation].append(ENDS[each.kind])

    @rule(name=st.sampled_from(NAMES), expires_s=st.sampled_from([0, 1, 60]), ours=st.booleans())
    def ask(self, name: str, expires_s: int, *, ours: bool) -> None:
        if name in self.expires:
            return
        try:
            self.desk.ask(name, expires_s=expires_s, session="s" if ours else "")
        except TooMany:
            pending = [each for each in self.expires if not self.ends[each]]
            assert len(pending) == 3
            return
        self.expires[name] = self.desk.now_ms + expires_s * 1_000 if expires_s else 0
        self.ends[name] = []

    @rule(name=st.sampled_from(NAMES), command=st.sampled_from([*COMMANDS]))
    def resolve(self, name: str, command: str) -> None:
        if self.desk.checkpoints.get(name) is None:
            return
        try:
            self.store(COMMANDS[command](self.desk, name))
        except HoldfastError:
            assert self.ends[name]
        else:
            assert len(self.ends[name]) == 1

    @rule(seconds=st.sampled_from([0.5, 1, 59, 60]))
    def time_goes_by(self, seconds: float) -> None:
        self.desk.after(seconds)

    @rule()
    def the_timer_rings(self) -> None:
        due = {
            name
            for name, expires_ms in self.expires.items()
            if expires_ms and expires_ms <= self.desk.now_ms and not self.ends[name]
        }
        events = commands.expire(self.desk.checkpoints, self.desk.now_ms)
        assert {each.correlation for each in events} == due
        self.store(events)

    @rule()
    def the_session_ends(self) -> None:
        self.store(commands.end_session(self.desk.checkpoints, "s", self.desk.now_ms))

    @rule(part=st.integers(0, 4))
    def restart(self, part: int) -> None:
        at = len(self.desk.events) * part // 4
        self.desk.shelf = self.desk.checkpoints = again(self.desk, snapshot_at=at)

    @invariant()
    def each_is_as_it_ended(self) -> None:
        for name, ends in self.ends.items():
            assert len(ends) <= 1
            known = self.desk.checkpoints.get(name)
            if known is None:  # as many as may have ended since
                assert ends
                assert self.desk.checkpoints.ended_count == 3
                continue
            assert known.state == (ends[0] if ends else "pending")
            assert known.expires_ms == self.expires[name]


TestCheckpoints = CheckpointMachine.TestCase
TestCheckpoints.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
