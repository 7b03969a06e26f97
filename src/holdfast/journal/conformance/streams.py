"""Streams: what programs append, and what is made of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from holdfast.events import STREAM_AGENT, Event, stream_id
from holdfast.journal.conformance.kit import Erasing, Nonconformant, Trial, refuses, require, same
from holdfast.journal.model import SessionFilter
from holdfast.journal.protocol import JournalWriter
from holdfast.journal.streams import (
    Append,
    Appended,
    Committed,
    NewEvent,
    Projection,
    WrongSequence,
)

NOW_S: Final = 1_767_261_600.0  # 2026-01-01T10:00:00Z
AT: Final = "2026-01-01T10:00:00.000Z"


class Refusal(Exception):
    """What a work may raise."""


def new(text: str = "", kind: str = "thing.happened", **fields: Any) -> NewEvent:
    return NewEvent(kind=kind, text=text, **fields)


def texts(trial: Trial, stream: str) -> list[str]:
    return [event.text for event in events(trial, stream)]


def events(trial: Trial, stream: str) -> list[Event]:
    return list(trial.reader.events(stream_id(stream)))


def append(
    trial: Trial, stream: str, *wanted: NewEvent, expected_seq: int | None = None
) -> Appended:
    outcome = attempt(trial, Append(stream, wanted, expected_seq))
    if not isinstance(outcome, Appended):
        raise Nonconformant(f"appending gave {outcome!r}")
    return outcome


def attempt(trial: Trial, *appends: Append, now_s: float = NOW_S) -> object:
    """What became of the last of some appends of one transaction."""
    [outcomes] = trial.writer.transact([lambda writer: writer.append(appends, now_s)])
    return outcomes[-1] if isinstance(outcomes, list) else outcomes


def run(trial: Trial, *works: Callable[[JournalWriter], object]) -> Sequence[object]:
    return trial.writer.transact(works)


def places(appended: Appended) -> tuple[list[int], list[int], int]:
    return list(appended.seqs), list(appended.positions), appended.repeated


@require
def what_is_appended_is_numbered_and_reads_as_it_was_given(trial: Trial) -> None:
    trial.say("talk", "hello")
    data = msgspec.Raw(b'{"n":1}')
    given = new("first", data=data, actor="hana", key="k1", causation="c", correlation="r")
    appended = append(trial, "orders", given, new("second"))
    same(places(appended), ([0, 1], [2, 3], 0), "where the events stand")
    same(appended.session, stream_id("orders"), "the session of the stream")
    first, second = events(trial, "orders")
    same(
        (first.session, first.seq, first.id), (appended.session, 0, f"{appended.session}.0.0.0"), ""
    )
    told = (first.kind, first.text, bytes(first.data), first.actor, first.key)
    same(told, ("thing.happened", "first", b'{"n":1}', "hana", "k1"), "what was given")
    same((first.causation, first.correlation, first.at), ("c", "r", AT), "what was given")
    same((second.text, second.actor, second.key), ("second", None, ""), "what was not given")
    same(places(append(trial, "orders", new("third"))), ([2], [4], 0), "where it goes on")


@require
def a_stream_goes_on_after_reopening(trial: Trial) -> None:
    append(trial, "orders", new("first"), new("second"))
    trial.reopen()
    same(places(append(trial, "orders", new("third"))), ([2], [3], 0), "where it goes on")
    same(texts(trial, "orders"), ["first", "second", "third"], "what is there")


@require
def appends_of_one_transaction_stand_behind_each_other(trial: Trial) -> None:
    [outcomes] = run(
        trial,
        lambda writer: writer.append(
            [
                Append("a", [new("1"), new("2")]),
                Append("b", [new("3")]),
                Append("a", [new("4")], expected_seq=2),
            ],
            NOW_S,
        ),
    )
    assert isinstance(outcomes, list)
    same([list(each.seqs) for each in outcomes], [[0, 1], [0], [2]], "their numbers")
    same(texts(trial, "a") + texts(trial, "b"), ["1", "2", "4", "3"], "what is there")
    for each in outcomes:
        for seq, position in zip(each.seqs, each.positions, strict=True):
            [at] = [
                run for run in trial.reader.runs(position, limit=1) if run.session == each.session
            ]
            same(at.first_seq + position - at.position, seq, "what stands at the position")


@require
def a_key_is_stored_once(trial: Trial) -> None:
    first = append(trial, "orders", new("first", key="k1"), new("second", key="k2"))
    again = append(trial, "orders", new("first", key="k1"), new("second", key="k2"))
    same((list(again.seqs), list(again.positions)), (list(first.seqs), list(first.positions)), "")
    same(again.repeated, 2, "how many were repeated")
    trial.reopen()
    mixed = append(trial, "orders", new("second", key="k2"), new("third"), new("x", key="k3"))
    same(places(mixed), ([1, 2, 3], [2, 3, 4], 1), "where the events of a mixed append stand")
    twice = append(trial, "orders", new("y", key="k4"), new("y", key="k4"))
    same(places(twice), ([4, 4], [5, 5], 1), "the same key twice in one append")
    other = append(trial, "other", new("first", key="k1"))
    same(other.repeated, 0, "the same key in another stream")
    same(texts(trial, "orders"), ["first", "second", "third", "x", "y"], "what is there")


@require
def a_key_within_a_transaction_is_stored_once(trial: Trial) -> None:
    [outcomes] = run(
        trial,
        lambda writer: writer.append(
            [Append("a", [new("1", key="k")]), Append("a", [new("1", key="k"), new("2")])], NOW_S
        ),
    )
    assert isinstance(outcomes, list)
    same([places(each) for each in outcomes], [([0], [1], 0), ([0, 1], [1, 2], 1)], "the places")
    same(texts(trial, "a"), ["1", "2"], "what is there")


@require
def keys_are_forgotten_by_age(trial: Trial) -> None:
    attempt(trial, Append("a", [new("old", key="old")]), now_s=NOW_S - 10)
    attempt(trial, Append("a", [new("new", key="new")]), now_s=NOW_S)
    same(run(trial, lambda writer: writer.forget_keys(NOW_S)), [1], "how many were forgotten")
    append(trial, "a", new("old again", key="old"), new("new again", key="new"))
    same(texts(trial, "a"), ["old", "new", "old again"], "what is there")


@require
def an_expected_number_is_compared(trial: Trial) -> None:
    append(trial, "a", new("1"), expected_seq=0)
    append(trial, "a", new("2"), expected_seq=1)
    outcome = attempt(trial, Append("a", [new("3")], 1))
    if not isinstance(outcome, WrongSequence):
        raise Nonconformant(f"appending behind an old number gave {outcome!r}")
    same("has 2 events, not 1" in str(outcome), True, "what it says")
    same(texts(trial, "a"), ["1", "2"], "what is there")
    append(trial, "a", new("4", key="k"), expected_seq=2)
    again = append(trial, "a", new("4", key="k"), expected_seq=2)
    same(again.repeated, 1, "the same append once more, as after an answer that was lost")


@require
def an_append_that_is_refused_costs_only_itself(trial: Trial) -> None:
    [outcomes] = run(
        trial,
        lambda writer: writer.append(
            [Append("a", [new("1")]), Append("a", [new("x")], 0), Append("a", [new("2")])], NOW_S
        ),
    )
    assert isinstance(outcomes, list)
    same([isinstance(each, Appended) for each in outcomes], [True, False, True], "what was stored")
    same(texts(trial, "a"), ["1", "2"], "what is there")


@require
def a_work_that_fails_by_itself_leaves_nothing(trial: Trial) -> None:
    append(trial, "a", new("0", key="k0"))
    trial.writer.take_committed()

    def fails(writer: JournalWriter) -> None:
        writer.append([Append("a", [new("x", key="kx")]), Append("new", [new("y")])], NOW_S)
        raise Refusal

    [outcome] = run(trial, fails)
    same(isinstance(outcome, Refusal), True, "what it raised")
    same(trial.writer.take_committed(), [], "what is told of it")
    same(trial.reader.session(stream_id("new")), None, "the stream that it began")
    same(places(append(trial, "a", new("1", key="kx"))), ([1], [2], 0), "where the next one stands")
    same(len(trial.writer.take_committed()), 1, "what is told of that")
    same(texts(trial, "a"), ["0", "1"], "what is there")


@require
def a_work_that_fails_leaves_nothing_and_the_others_stay(trial: Trial) -> None:
    append(trial, "a", new("0", key="k0"))

    def fails(writer: JournalWriter) -> None:
        writer.append([Append("a", [new("x", key="kx")]), Append("new", [new("y")])], NOW_S)
        writer.save_projection("p", Projection(9, b"wrong"))
        writer.forget_keys(NOW_S + 10)
        raise Refusal

    def stores(text: str) -> Callable[[JournalWriter], object]:
        return lambda writer: writer.append([Append("a", [new(text)])], NOW_S)

    trial.writer.take_committed()
    outcomes = run(trial, stores("1"), fails, stores("2"))
    same(isinstance(outcomes[1], Refusal), True, "what it raised stands in its place")
    same(texts(trial, "a"), ["0", "1", "2"], "what is there")
    same(trial.reader.session(stream_id("new")), None, "a stream that the failed work began")
    same(trial.reader.projection("p"), None, "a projection that the failed work kept")
    same([each.position for each in trial.writer.take_committed()], [2, 3], "what was told")
    same(append(trial, "a", new("0", key="k0")).repeated, 1, "a key that it forgot")
    same(append(trial, "a", new("x", key="kx")).repeated, 0, "a key that it kept")
    trial.settle()
    trial.reopen()
    same(texts(trial, "a"), ["0", "1", "2", "x"], "what is there after reopening")
    same(trial.reader.check(), [], "check()")


@require
def what_is_committed_is_told_in_order(trial: Trial) -> None:
    trial.writer.take_committed()
    trial.say("talk", "hello", "again")
    appended = append(trial, "a", new("1"), new("2"))
    trial.say("talk", "more", sealed=True)
    told = trial.writer.take_committed()
    runs = [(each.position, each.first_seq, each.count, each.agent) for each in told]
    expected = [(1, 0, 2, "claude"), (3, 0, 2, STREAM_AGENT), (5, 2, 1, "claude")]
    same(runs, expected, "the runs")
    lines = b"".join(trial.reader.read(appended.session))
    same(
        told[1], Committed(3, appended.session, STREAM_AGENT, "a", 0, 2, lines), "a run of a stream"
    )
    same(trial.writer.take_committed(), [], "what is told once")


@require
def a_stream_is_sealed_into_blocks_and_reads_the_same(trial: Trial) -> None:
    many = [f"number {number} " + "x" * 200 for number in range(100)]
    for start in range(0, 100, 5):
        append(trial, "long", *map(new, many[start : start + 5]))
    same(texts(trial, "long"), many, "what is there")
    row = trial.reader.session(stream_id("long"))
    assert row is not None
    same(row.raw_bytes, len(b"".join(trial.reader.read(row.id))), "its bytes")
    trial.reopen()
    same(trial.reader.check(), [], "check()")


@require
def streams_are_listed_when_asked_for(trial: Trial) -> None:
    trial.say("talk", "hello")
    append(trial, "orders", new("1"), new("2"))
    listed = [row.agent for row in trial.reader.sessions()]
    same(listed, ["claude"], "the sessions")
    [row] = trial.reader.sessions(SessionFilter(agent=STREAM_AGENT))
    told = (row.agent_session_id, row.title, row.events, row.started_at, row.updated_at)
    same(told, ("orders", "orders", 2, AT, AT), "the stream")
    same(trial.reader.sessions(SessionFilter(text="orders")), [], "a stream among sessions")
    totals = trial.reader.totals()
    same((totals.sessions, totals.events, totals.next_position), (1, 1, 4), "the totals")
    found = trial.reader.sessions(SessionFilter(agent=STREAM_AGENT, text="ord"))
    same([each.id for each in found], [row.id], "a stream by its name")


@require
def a_search_finds_what_was_appended(trial: Trial) -> None:
    append(trial, "orders", new("a shipment of walnuts"), new("", kind="heartbeat"))
    run(trial, lambda writer: writer.append([Append("orders", [new("more walnuts")])], NOW_S))
    trial.settle()
    same(sorted(trial.found("walnuts")), ["orders/0", "orders/2"], "what is found")
    append(trial, "orders", new("pecans"))
    trial.reopen()
    trial.settle()
    same(trial.found("pecans"), ["orders/3"], "what was not indexed when it was closed")


@require
def a_search_does_not_find_what_holdfast_notes_of_itself(trial: Trial) -> None:
    trial.say("talk", "walnuts")
    append(trial, "holdfast/learnings", new("somebody said walnuts"))
    trial.settle()
    same(trial.found("walnuts"), ["talk/0"], "what is found")
    append(trial, "holdfast/learnings", new("walnuts again"))
    trial.reopen()
    trial.settle()
    trial.writer.rewrite(stream_id("holdfast/learnings"), Erasing("again"))
    same(trial.found("walnuts"), ["talk/0"], "what is found after it was rewritten")


@require
def a_projection_is_kept(trial: Trial) -> None:
    same(trial.reader.projection("p"), None, "a projection that nobody kept")
    run(trial, lambda writer: writer.save_projection("p", Projection(7, b"seven")))
    run(trial, lambda writer: writer.save_projection("p", Projection(8, b"eight")))
    trial.reopen()
    same(trial.reader.projection("p"), Projection(8, b"eight"), "the projection")


@require
def a_conversation_has_no_gaps_between_appends(trial: Trial) -> None:
    for number in range(10):
        trial.say("talk", f"said {number}")
        append(trial, "a", new(str(number)))
    same(len(trial.reader.runs(1)), 20, "the runs")
    whose = [(run.agent, run.name) for run in trial.reader.runs(1)]
    same(whose, [("claude", "talk"), (STREAM_AGENT, "a")] * 10, "whose")
    of_stream = trial.reader.runs(7, session=stream_id("a"))
    same([run.position for run in of_stream], list(range(8, 21, 2)), "those of one stream")
    same(len(trial.reader.runs(1, limit=3, session=stream_id("a"))), 3, "some of them")
    same(trial.reader.check(), [], "check()")


@require
def an_unknown_work_may_not_append_outside_a_transaction(trial: Trial) -> None:
    refuses(AssertionError, lambda: trial.writer.append([Append("a", [new("1")])], NOW_S))
