"""What may be done with an intent in which state; what it takes to go on outlives who ran it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest

from holdfast.journal.streams import NewEvent
from holdfast.work import intents as commands
from holdfast.work.entities import NotValid, TooMany, WrongState
from holdfast.work.intents import Intent, Intents, NewIntent
from tests.support.work import START_MS, Log


class Desk(Log[Intent]):
    def __init__(self, open_max: int = 10) -> None:
        super().__init__(Intents(retain_ms=3_600_000, open_max=open_max))
        assert isinstance(self.shelf, Intents)
        self.intents = self.shelf

    def create(self, intent: str = "i", **wanted: str) -> list[str]:
        new = NewIntent(title="Move the tests", **wanted)
        return self.store(commands.create(self.intents, intent, new, self.now_ms))

    def do(self, what: str, intent: str = "i") -> list[str]:
        self.now_ms += 1_000
        return self.store(COMMANDS[what](self, intent))

    def progress(
        self, *, pct: float | None = None, note: str = "", memo: str = "", by: str = ""
    ) -> None:
        self.store(
            commands.progress(
                self.intents, "i", pct=pct, note=note, memo=memo, by=by, now_ms=self.now_ms
            )
        )


Command = Callable[[Desk, str], list[NewEvent]]
COMMANDS: Final[dict[str, Command]] = {
    "progress": lambda desk, intent: commands.progress(
        desk.intents, intent, pct=10, note="", memo="", by="ann", now_ms=desk.now_ms
    ),
    "complete": lambda desk, intent: commands.complete(
        desk.intents, intent, "moved", "ann", desk.now_ms
    ),
    "fail": lambda desk, intent: commands.fail(desk.intents, intent, "stuck", "ann", desk.now_ms),
    "resume": lambda desk, intent: commands.resume(desk.intents, intent, "ann", desk.now_ms),
}
MATRIX: Final = {  # what becomes of it; None: refused
    "active": ("active", "completed", "failed", "active"),
    "completed": (None, None, None, None),
    "failed": (None, None, None, "active"),
}


@pytest.mark.parametrize("state", MATRIX)
@pytest.mark.parametrize("place", range(len(COMMANDS)))
def test_each_command_in_each_state(state: str, place: int) -> None:
    desk = Desk()
    desk.create()
    if state != "active":
        desk.do({"completed": "complete", "failed": "fail"}[state])
    before, expected = desk.known("i"), MATRIX[state][place]
    if expected is None:
        with pytest.raises(WrongState, match="intent i cannot"):
            desk.do([*COMMANDS][place])
        assert desk.known("i") == before
    else:
        desk.do([*COMMANDS][place])
        assert desk.known("i").state == expected


def test_who_resumes_is_given_the_memo_that_was_left_last() -> None:
    desk = Desk()
    desk.create(memo="at the beginning")
    desk.progress(memo="behind the third file", pct=30)
    desk.progress(note="slow")
    desk.do("fail")
    desk.do("resume")
    intent = desk.known("i")
    assert (intent.memo, intent.pct, intent.note) == ("behind the third file", 30, "slow")
    assert (intent.worker, intent.resumed, intent.reason, intent.ended_ms) == ("ann", 1, "", 0)


def test_who_was_relieved_leaves_no_memo_any_more() -> None:
    desk = Desk()
    desk.create()
    desk.progress(memo="behind the first file", by="bob")  # nobody has taken it up yet
    desk.do("resume")
    desk.progress(memo="behind the third file", by="ann")
    with pytest.raises(WrongState, match="taken up by ann"):
        desk.progress(memo="behind the second file", by="bob")
    assert desk.known("i").memo == "behind the third file"
    desk.progress(note="I was here", by="bob")
    desk.progress(memo="from a script that gives no name")
    assert desk.known("i").memo == "from a script that gives no name"


def test_progress_must_say_something() -> None:
    desk = Desk()
    desk.create()
    with pytest.raises(NotValid):
        desk.progress()
    with pytest.raises(NotValid):
        desk.progress(pct=101)


def test_there_is_a_limit_to_how_many_are_active() -> None:
    desk = Desk(open_max=1)
    desk.create("a")
    with pytest.raises(TooMany, match=r"intents\.max_active"):
        desk.create("b")


@pytest.mark.parametrize("title", ["", " "])
def test_an_intent_without_a_title_is_refused(title: str) -> None:
    with pytest.raises(NotValid, match="an intent needs a title"):
        commands.create(Desk().intents, "i", NewIntent(title=title), START_MS)


def test_from_the_log_and_from_a_snapshot_the_state_is_the_same() -> None:
    desk = Desk()
    desk.create(memo="m")
    for command in ("progress", "fail", "resume", "complete"):
        desk.do(command)
    for snapshot_at in range(len(desk.events) + 1):
        first, second = (Intents(retain_ms=3_600_000, open_max=10) for _ in range(2))
        for event in desk.events[:snapshot_at]:
            first.apply(event)
        second.load(first.dump())
        for event in desk.events[snapshot_at:]:
            second.apply(event)
        assert [*second] == [*desk.intents]


def test_one_that_was_resumed_stays_and_one_that_ended_leaves_after_a_while() -> None:
    desk = Desk()
    desk.create("again")
    desk.create("done")
    desk.do("fail", "again")
    desk.do("complete", "done")
    desk.do("resume", "again")
    desk.intents.forget(desk.now_ms + 10**9)
    assert [each.id for each in desk.intents] == ["again"]
