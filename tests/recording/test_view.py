"""What an export shows, and what it leaves out."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.events import EMPTY, KINDS, Event, Kind
from holdfast.recording.survey import TURNS_LISTED_MAX, survey
from holdfast.recording.view import (
    EVERYTHING,
    Glance,
    LastWords,
    UnknownKind,
    View,
    WrongTime,
    canonical_time,
    checked_kinds,
    left_out,
    pick,
    shows,
)


def event(
    kind: str, seq: int = 0, *, turn: int = 1, at: str = "", text: str = "x", side: bool = False
) -> Event:
    return Event(
        id="",
        session="s",
        seq=seq,
        kind=kind,
        at=at,
        text=text,
        data=EMPTY,
        source=None,
        turn=turn,
        sidechain=side,
    )


def kinds_shown(view: View) -> set[str]:
    return {kind for kind in KINDS if shows(view, event(kind))}


def test_everything_is_everything() -> None:
    assert kinds_shown(EVERYTHING) == KINDS
    assert shows(EVERYTHING, event("a.kind.of.tomorrow"))


def test_each_switch_takes_its_kinds() -> None:
    def without(view: View) -> set[str]:
        return set(KINDS) - kinds_shown(view)

    every = msgspec.structs.replace
    assert without(every(EVERYTHING, thinking=False)) == {Kind.THINKING}
    assert without(every(EVERYTHING, tools=False)) == {Kind.TOOL_CALL, Kind.TOOL_RESULT}
    assert kinds_shown(View(tools=False)) == {
        Kind.USER,
        Kind.ASSISTANT,
        Kind.DECISION_PROPOSED,
        Kind.DECISION_ACCEPTED,
        Kind.SESSION_COMPACTED,
    }


def test_kinds_are_exact_or_beginnings() -> None:
    view = msgspec.structs.replace(EVERYTHING, kinds=("message.*", "thinking"))
    assert kinds_shown(view) == {Kind.USER, Kind.ASSISTANT, Kind.SYSTEM, Kind.THINKING}
    assert kinds_shown(msgspec.structs.replace(EVERYTHING, kinds=("tool",))) == set()


def test_a_kind_that_is_none_is_refused_with_those_that_are() -> None:
    assert checked_kinds(["tool.call", "session.*", "*"]) == ("tool.call", "session.*", "*")
    with pytest.raises(UnknownKind, match=r"message\.user"):
        checked_kinds(["message.usr"])


def test_since_is_included_and_until_is_not() -> None:
    ats = ["", "2026-01-01T00:00:00.000Z", "2026-01-02T00:00:00.000Z", "2026-01-03T00:00:00.000Z"]
    events = [event(Kind.USER, seq, at=at) for seq, at in enumerate(ats)]

    def seqs(view: View) -> list[int]:
        return [each.seq for each in pick(events, view)]

    assert seqs(View(since=ats[2])) == [2, 3], "what has no time is not known to be since"
    assert seqs(View(until=ats[2])) == [0, 1]
    assert seqs(View(since=ats[1], until=ats[3])) == [1, 2]


def test_without_commentary_the_last_words_of_each_turn_stay() -> None:
    events = [
        event(Kind.USER, 0, turn=1),
        event(Kind.ASSISTANT, 1, turn=1),
        event(Kind.TOOL_CALL, 2, turn=1),
        event(Kind.ASSISTANT, 3, turn=1, side=True),
        event(Kind.ASSISTANT, 4, turn=1),
        event(Kind.ASSISTANT, 5, turn=1, text=" \n"),
        event(Kind.USER, 6, turn=2),
        event(Kind.ASSISTANT, 7, turn=2),
        event(Kind.TOOL_CALL, 8, turn=2),
    ]
    view = View(commentary=False)
    last_words = survey(events, view).last_words
    assert [each.seq for each in pick(events, view, last_words)] == [0, 2, 3, 4, 6, 7, 8]
    assert [each.seq for each in pick(events, View())] == list(range(9))


def test_the_last_words_are_the_last_that_are_shown() -> None:
    early, late = "2026-01-01T00:00:00.000Z", "2026-01-02T00:00:00.000Z"
    events = [event(Kind.ASSISTANT, 0, at=early), event(Kind.ASSISTANT, 1, at=late)]
    view = View(commentary=False, until=late)
    assert [each.seq for each in pick(events, view, survey(events, view).last_words)] == [0]


@given(st.lists(st.tuples(st.sampled_from(sorted(KINDS)), st.booleans(), st.booleans())))
def test_last_words_are_those_of_a_plain_definition(made: list[tuple[str, bool, bool]]) -> None:
    turn = 0
    events = []
    for seq, (kind, next_turn, side) in enumerate(made):
        turn += next_turn
        events.append(event(kind, seq, turn=turn, side=side))
    found = LastWords(EVERYTHING)
    for each in events:
        found.see(each)
    said = {(e.turn, e.sidechain): e.seq for e in events if e.kind == Kind.ASSISTANT}
    assert {each.seq for each in events if each.seq in found} == set(said.values())


def test_a_glance_decides_as_the_event_does() -> None:
    whole = event(Kind.ASSISTANT, 7, turn=3, at="2026-01-01T00:00:00.000Z")
    glance = msgspec.json.decode(msgspec.json.encode(whole), type=Glance)
    assert all(getattr(glance, name) == getattr(whole, name) for name in Glance.__struct_fields__)


def test_what_is_left_out_is_said() -> None:
    assert left_out(EVERYTHING) == []
    assert left_out(View()) == ["thinking", "system messages"]
    words = " ".join(left_out(View(commentary=False, since="A", until="B", kinds=("x",))))
    assert all(part in words for part in ("commentary", "A", "B", "x"))


def test_times_are_written_as_events_write_them() -> None:
    assert canonical_time("2026-11-20T14:00Z") == "2026-11-20T14:00:00.000Z"
    assert canonical_time("2026-11-20T14:00+02:00") == "2026-11-20T12:00:00.000Z"
    with pytest.raises(WrongTime, match="2026-11-20"):
        canonical_time("yesterday")


def test_the_list_of_turns_is_bounded_and_says_what_is_missing() -> None:
    count = TURNS_LISTED_MAX + 3
    events = (event(Kind.USER, n, turn=n + 1, text="word " * 100) for n in range(count))
    found = survey(events, View())
    assert len(found.turns) == TURNS_LISTED_MAX
    assert found.turns_left == 3
    assert len(found.turns[0].words) <= 120
    assert found.participants == ["User"]
