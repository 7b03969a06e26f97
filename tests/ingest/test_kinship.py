"""What a fork repeats is referred to and not stored again, whatever is read first."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.demo import lines
from holdfast.events import EMPTY, Event, Kind, Origin, session_id
from holdfast.ingest import kinship
from holdfast.ingest.gathering import ReadingLimits
from holdfast.ingest.kinship import Kin
from holdfast.journal.model import Span
from tests.support.ingest import SESSION, Shelf

FORK: Final = "f0f0f0f0-0000-4000-a000-000000000002"
SECOND: Final = "f0f0f0f0-0000-4000-a000-000000000003"


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    shelf = Shelf(tmp_path)
    yield shelf
    shelf.close()


def talk(first: int, end: int, session: str, *, branch: str = "") -> bytes:
    """Prompts and answers of a conversation, with ids that a fork repeats."""
    written = b""
    for number in range(first, end):
        name = f"{branch}{number}"
        written += lines.user_line(f"ask {name}", uuid=f"u{name}", session=session)
        written += lines.assistant_line(
            f"say {name}",
            uuid=f"a{name}",
            session=session,
            message=f"m{name}",
            request=f"r{name}",
            output=10,
        )
    return written


def told(shelf: Shelf, name: str) -> list[str]:
    """A session with what it begins with."""
    session = session_id("claude", name)
    texts = [
        event.text
        for span in shelf.reader.lineage(session)
        for event in shelf.reader.events(span.source, span.first_seq, span.end_seq)
    ]
    return texts + shelf.texts(name)


def texts(*names: str | int) -> list[str]:
    return [f"{verb} {name}" for name in names for verb in ("ask", "say")]


def spent(shelf: Shelf) -> int:
    return sum(row.usage.output for row in shelf.reader.sessions())


@pytest.mark.parametrize("fork_first", [False, True])
def test_a_fork_and_its_origin_hold_the_beginning_once(shelf: Shelf, fork_first: bool) -> None:
    logs = {
        SESSION: talk(0, 4, SESSION) + talk(4, 6, SESSION, branch="x"),
        FORK: talk(0, 4, FORK) + talk(4, 7, FORK, branch="y"),
    }
    for name in sorted(logs, key=lambda name: (name == FORK) != fork_first):
        shelf.log(name).write_bytes(logs[name])
        shelf.catch_up()
    assert told(shelf, SESSION) == texts(0, 1, 2, 3, "x4", "x5")
    assert told(shelf, FORK) == texts(0, 1, 2, 3, "y4", "y5", "y6")
    assert sum(row.events for row in shelf.reader.sessions()) == 2 * (4 + 2 + 3)
    assert spent(shelf) == 10 * (4 + 2 + 3)
    assert shelf.reader.check() == []


def test_a_fork_takes_one_path_through_a_conversation_with_several(shelf: Shelf) -> None:
    shelf.log(SESSION).write_bytes(
        talk(0, 2, SESSION) + talk(2, 4, SESSION, branch="x") + talk(2, 4, SESSION, branch="y")
    )
    shelf.catch_up()
    shelf.log(FORK).write_bytes(talk(0, 2, FORK) + talk(2, 4, FORK, branch="y") + talk(9, 10, FORK))
    shelf.catch_up()
    assert told(shelf, FORK) == texts(0, 1, "y2", "y3", 9)
    origin = session_id("claude", SESSION)
    assert shelf.reader.lineage(session_id("claude", FORK)) == [
        Span(origin, 0, 4),
        Span(origin, 8, 12),
    ]


def test_a_fork_of_a_fork_refers_to_whoever_holds_the_events(shelf: Shelf) -> None:
    shelf.log(SESSION).write_bytes(talk(0, 2, SESSION))
    shelf.catch_up()
    shelf.log(FORK).write_bytes(talk(0, 3, FORK))
    shelf.catch_up()
    shelf.log(SECOND).write_bytes(talk(0, 4, SECOND))
    shelf.catch_up()
    assert told(shelf, SECOND) == texts(0, 1, 2, 3)
    sources = [span.source for span in shelf.reader.lineage(session_id("claude", SECOND))]
    assert sources == [session_id("claude", SESSION), session_id("claude", FORK)]
    row = shelf.reader.session(session_id("claude", SECOND))
    assert row is not None
    assert (row.events, row.inherited) == (2, 6)


def test_a_record_that_says_something_else_under_a_known_id_is_kept(shelf: Shelf) -> None:
    shelf.log(SESSION).write_bytes(talk(0, 2, SESSION))
    shelf.catch_up()
    changed = talk(0, 2, FORK).replace(b"say 1", b"say something else")
    shelf.log(FORK).write_bytes(changed)
    shelf.catch_up()
    assert shelf.texts(FORK) == ["say something else"]


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(0, 4_000), max_size=5))
def test_a_fork_that_is_being_written_repeats_nothing(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int]
) -> None:
    shelf = Shelf(tmp_path_factory.mktemp("shelf"))
    try:
        shelf.log(SESSION).write_bytes(talk(0, 5, SESSION))
        shelf.catch_up()
        whole = talk(0, 5, FORK) + talk(5, 6, FORK)
        for cut in [*sorted(cuts), len(whole)]:
            shelf.log(FORK).write_bytes(whole[:cut])
            shelf.catch_up()
        assert told(shelf, FORK) == texts(0, 1, 2, 3, 4, 5)
        assert shelf.texts(FORK) == texts(5)
    finally:
        shelf.close()


def test_a_fork_that_is_written_anew_repeats_nothing(shelf: Shelf) -> None:
    shelf.log(SESSION).write_bytes(talk(0, 3, SESSION))
    shelf.catch_up()
    shelf.log(FORK).write_bytes(talk(0, 4, FORK))
    shelf.catch_up()
    shelf.log(FORK).write_bytes(lines.summary_line("new head") + talk(0, 5, FORK))
    os.utime(shelf.log(FORK), (9e8, 9e8))
    shelf.catch_up()
    assert told(shelf, FORK) == [*texts(0, 1, 2, 3), "new head", *texts(4)]


def test_subagents_and_strangers_have_no_relatives(shelf: Shelf) -> None:
    shelf.log(SESSION).write_bytes(talk(0, 3, SESSION))
    shelf.log(FORK).write_bytes(talk(10, 13, FORK))
    shelf.catch_up()
    assert all(row.inherited == 0 for row in shelf.reader.sessions())


def test_a_long_record_before_the_first_id_does_not_hide_a_fork(shelf: Shelf) -> None:
    shelf.limits = ReadingLimits(block_bytes=65_536, max_line_bytes=1 << 20)
    begins = lines.snapshot_line() + lines.user_line("look " * 20_000, uuid="long", session=SESSION)
    shelf.log(SESSION).write_bytes(begins + talk(0, 2, SESSION))
    shelf.catch_up()
    shelf.log(FORK).write_bytes(begins + talk(0, 3, FORK))
    shelf.catch_up()
    assert shelf.texts(FORK) == texts(2)


# Records without ids.


def said(seq: int, text: str, kind: str = Kind.USER, session: str = "p") -> Event:
    return Event(
        id="",
        session=session,
        seq=seq,
        kind=kind,
        at="",
        text=text,
        data=EMPTY,
        source=Origin("codex", "f", seq),
    )


PARENT: Final = [said(0, "a"), said(1, "b", Kind.ASSISTANT), said(2, "c"), said(3, "go on")]


def own(kin: Kin, events: list[Event]) -> list[str]:
    return [event.text for event in events if not kin.repeats(event)]


def test_records_without_ids_are_followed_side_by_side() -> None:
    kin = Kin(PARENT, [], has_own_words=False)
    fork = [
        said(0, "i am a fork", Kind.SESSION_STARTED, "f"),
        *PARENT[:3],
        said(4, "note", Kind.PROVIDER_INFO, "f"),
        said(5, "mine", session="f"),
        said(6, "go on", session="f"),
    ]
    assert own(kin, fork) == ["i am a fork", "note", "mine", "go on"]
    assert kin.take_spans() == [Span("p", 0, 3)]
    assert kin.take_spans() == []


def test_following_goes_on_where_it_was_broken_off() -> None:
    kin = Kin(PARENT, [Span("p", 0, 2)], has_own_words=False)
    assert own(kin, [PARENT[2], said(9, "mine")]) == ["mine"]
    assert kin.take_spans() == [Span("p", 2, 3)]
    over = Kin(PARENT, [Span("p", 0, 2)], has_own_words=True)
    assert own(over, [PARENT[2]]) == ["c"]


def test_more_stretches_than_are_kept_are_stored_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kinship, "SPANS_MAX", 2)
    parent = [said(number, f"t{number}") for number in range(10)]
    kin = Kin(parent, [], has_own_words=False)
    assert own(kin, parent[::2]) == ["t4", "t6", "t8"]
    assert kin.take_spans() == [Span("p", 0, 1), Span("p", 2, 3)]


def test_more_events_of_relatives_than_are_looked_at_are_stored_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kinship, "KIN_EVENTS_MAX", 2)
    assert own(Kin(PARENT, [], has_own_words=False), PARENT) == ["c", "go on"]
