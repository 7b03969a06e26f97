"""Items that change where they stand: the new is added, what changed supersedes, nothing twice."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.events import Kind, Usage, session_id
from holdfast.ingest import items
from holdfast.ingest.gathering import ReadingLimits
from holdfast.journal.model import Hit, Ledger, SearchQuery
from tests.support.items import ItemShelf, Notes, note

SESSION = session_id("claude", "a.note")


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[ItemShelf]:
    made = ItemShelf(tmp_path)
    yield made
    made.close()


def read(shelf: ItemShelf, *notes: dict[str, Any]) -> list[str]:
    """The texts of what a reading of these notes adds."""
    before = len(shelf.events())
    shelf.write(list(notes))
    shelf.catch_up()
    return shelf.texts()[before:]


def search(shelf: ItemShelf, words: str) -> list[Hit]:
    return [hit for hit in shelf.reader.search(SearchQuery(words=words)) if hit.exact]


# What is new, the same, changed, gone.


def test_what_is_the_same_is_passed_over_and_what_is_new_is_added(shelf: ItemShelf) -> None:
    assert read(shelf, note("1", "one"), note("2", "two")) == ["one", "two"]
    assert read(shelf, note("1", "one"), note("2", "two"), note("3", "three")) == ["three"]
    assert [event.seq for event in shelf.events()] == [0, 1, 2]
    assert all(event.supersedes is None for event in shelf.events())


def test_what_changed_supersedes_the_version_before_it(shelf: ItemShelf) -> None:
    read(shelf, note("1", "one"), note("2", "tw"))
    assert read(shelf, note("1", "one"), note("2", "two")) == ["two"]
    assert read(shelf, note("1", "one"), note("2", "two!")) == ["two!"]
    assert [event.supersedes for event in shelf.events()] == [None, None, 1, 2]
    assert len({event.id for event in shelf.events()}) == 4


def test_text_that_was_superseded_is_not_found_any_more(shelf: ItemShelf) -> None:
    read(shelf, note("1", "harbour lights"))
    assert len(search(shelf, "harbour")) == 1
    read(shelf, note("1", "mountain lights"))
    assert search(shelf, "harbour") == []
    assert [hit.seq for hit in search(shelf, "lights")] == [1]


def test_an_item_that_lost_its_text_is_not_found_any_more(shelf: ItemShelf) -> None:
    read(shelf, note("1", "harbour"))
    read(shelf, note("1", ""))
    assert search(shelf, "harbour") == []


def test_an_item_that_comes_late_in_the_middle_is_not_lost(shelf: ItemShelf) -> None:
    read(shelf, note("1", "one"), note("3", "three"))
    assert read(shelf, note("1", "one"), note("2", "late"), note("3", "three")) == ["late"]


def test_an_item_that_is_gone_stays_here_and_comes_back_as_the_same(shelf: ItemShelf) -> None:
    read(shelf, note("1", "one"), note("2", "two"))
    assert read(shelf, note("2", "two")) == []
    assert read(shelf, note("1", "one"), note("2", "two")) == []
    assert shelf.texts() == ["one", "two"]


def test_an_item_that_goes_back_to_what_it_was_is_a_version_more(shelf: ItemShelf) -> None:
    read(shelf, note("1", "a"))
    read(shelf, note("1", "b"))
    assert read(shelf, note("1", "a")) == ["a"]
    assert [event.supersedes for event in shelf.events()] == [None, 0, 1]


def test_a_change_of_kind_or_data_is_a_change_and_one_of_time_is_none(shelf: ItemShelf) -> None:
    read(shelf, note("1", "x", at="2026-01-01T00:00:00.000Z"))
    assert read(shelf, note("1", "x", at="2026-01-02T00:00:00.000Z")) == []
    assert read(shelf, note("1", "x", data=[1])) == ["x"]
    assert read(shelf, note("1", "x", data=[1], kind=Kind.SYSTEM)) == ["x"]


def test_two_items_of_one_name_are_two_and_stay_two(shelf: ItemShelf) -> None:
    assert read(shelf, note("1", "a"), note("1", "b"), note("1", "b")) == ["a", "b", "b"]
    assert read(shelf, note("1", "a"), note("1", "b"), note("1", "b")) == []
    assert read(shelf, note("1", "a"), note("1", "c"), note("1", "b")) == ["c"]
    assert [event.supersedes for event in shelf.events()] == [None, None, None, 1]


def test_names_that_are_no_text_are_names(shelf: ItemShelf) -> None:
    assert items.name_key("\ud800") != items.name_key("?")
    assert -(1 << 63) <= items.name_key("x") < 1 << 63


def test_more_names_than_are_told_apart_still_give_each_item(
    shelf: ItemShelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(items, "NAMES_MAX", 2)
    notes = [note(str(number), f"n{number}") for number in range(6)]
    assert len(read(shelf, *notes)) == 6
    assert read(shelf, *notes) == []


# Turns and tokens.


def test_a_later_version_belongs_to_the_turn_of_the_first(shelf: ItemShelf) -> None:
    answer = note("2", "hm", kind=Kind.ASSISTANT)
    read(shelf, note("1", "why?"), answer, note("3", "how?"))
    read(shelf, note("1", "why?"), {**answer, "text": "so"}, note("3", "how?"), note("4", "who?"))
    assert [(event.text, event.turn) for event in shelf.events()] == [
        ("why?", 1),
        ("hm", 1),
        ("how?", 2),
        ("so", 1),
        ("who?", 3),
    ]


def test_a_side_chain_begins_no_turn(shelf: ItemShelf) -> None:
    read(shelf, note("1", "a"), note("2", "b", sidechain=True), note("3", "c"))
    assert [event.turn for event in shelf.events()] == [1, 1, 2]


def test_another_file_of_a_session_goes_on_where_the_first_was(shelf: ItemShelf) -> None:
    """An agent that moves a session to a new file repeats what was in the old one."""
    for folder in ("x", "y"):
        (shelf.root / folder).mkdir()
    shelf.write([note("1", "a"), note("2", "b")], "x/a.note")
    shelf.catch_up()
    shelf.write([note("1", "a"), note("2", "b"), note("3", "c")], "y/a.note")
    shelf.catch_up()
    assert [(event.text, event.turn) for event in shelf.events()] == [("a", 1), ("b", 2), ("c", 3)]
    assert len({event.id for event in shelf.events()}) == 3


def test_tokens_are_counted_once_and_only_what_is_added(shelf: ItemShelf) -> None:
    read(shelf, note("1", "a", spent=[10, 1, 0, 0]))
    read(shelf, note("1", "a", spent=[10, 1, 0, 0]))
    read(shelf, note("1", "b", spent=[10, 5, 2, 0]))
    read(shelf, note("1", "b", spent=[10, 7, 2, 0]))
    read(shelf, note("1", "c"))
    read(shelf, note("1", "d", spent=[4, 1, 1, 1]))
    row = shelf.reader.session(SESSION)
    assert row is not None
    assert row.usage == Usage(10, 7, 2, 1)
    added = Usage()
    for event in shelf.events():
        added = added.plus(event.usage or Usage())
    assert added == row.usage


# The ledger, unknown types, state.


def test_a_log_that_is_read_anew_is_counted_anew(shelf: ItemShelf) -> None:
    read(shelf, note("1", "a"))
    read(shelf, note("1", "a"), note("2", "b"))
    path = shelf.root / "a.note"
    notes = path.read_bytes()
    assert shelf.cursor(path).ledger.parsed == len(notes) - len("[]") - len(", ")
    assert shelf.cursor(path).size == len(notes)


def test_a_log_of_which_only_changes_are_read_adds_them_up(shelf: ItemShelf) -> None:
    first = note("1", "a", changed=1)
    path = shelf.write({"n": [first]}, "notes.book")
    shelf.catch_up()
    second = note("2", "b", changed=2)
    shelf.write({"n": [first, second]}, "notes.book")
    shelf.catch_up()
    assert shelf.texts("n") == ["a", "b"]
    size = sum(len(json.dumps(each)) for each in (first, second))
    assert shelf.cursor(f"{path}#n").ledger == Ledger(parsed=size)


def test_what_an_unfinished_reading_gave_is_not_counted_twice(shelf: ItemShelf) -> None:
    shelf.limits = ReadingLimits(block_bytes=500, max_line_bytes=4_000)
    notes = many(30)
    key = f"{shelf.write({'n': notes}, 'notes.book')}#n"
    for _ in range(3):
        shelf.writer.write([next(shelf.batches(key))])
    shelf.catch_up()
    assert shelf.cursor(key).ledger.consumed == sum(len(json.dumps(each)) for each in notes)
    assert len(shelf.events("n")) == 30


def test_an_unknown_type_is_counted_once_however_often_it_is_read(shelf: ItemShelf) -> None:
    novelty = note("1", "?", kind=Kind.PROVIDER_RAW)
    for number in range(3):
        read(shelf, novelty, note("2", str(number)))
    assert [(each.type, each.records) for each in shelf.reader.unknown_types()] == [("novelty", 1)]
    read(shelf, {**novelty, "text": "!"})
    assert [each.records for each in shelf.reader.unknown_types()] == [2]


def test_beyond_the_names_that_are_told_apart_nothing_is_repeated_and_nothing_lost(
    shelf: ItemShelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(items, "NAMES_MAX", 2)
    notes = [note("1", "one"), note("2", "two"), note("3", "a"), note("3", "b"), note("3", "b")]
    assert read(shelf, *notes) == ["one", "two", "a", "b"]
    for _ in range(3):
        assert read(shelf, *notes) == []
    assert read(shelf, *notes, note("3", "c"), note("1", "one more")) == ["c", "one more"]
    assert read(shelf, *notes, note("3", "c"), note("1", "one more")) == []
    assert len({event.id for event in shelf.events()}) == len(shelf.events())


def test_what_was_beyond_the_names_is_known_when_it_is_told_apart(
    shelf: ItemShelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(items, "NAMES_MAX", 2)
    assert read(shelf, note("1", "one"), note("2", "two"), note("3", "three"))
    assert read(shelf, note("3", "three"), note("1", "one")) == []
    assert read(shelf, note("3", "three!"), note("1", "one")) == ["three!"]
    assert read(shelf, note("3", "three!"), note("1", "one")) == []


# Stopping anywhere.


def many(count: int, text: str = "x" * 200) -> Notes:
    return [note(str(number), f"{number} {text}", spent=[1, 0, 0, 0]) for number in range(count)]


def test_a_reading_that_ends_after_any_batch_is_taken_up_again(shelf: ItemShelf) -> None:
    """Whatever batch is the last to be stored: nothing twice, nothing lost."""
    shelf.limits = ReadingLimits(block_bytes=500, max_line_bytes=4_000)
    key = str(shelf.write(many(30)))
    attempts = 0
    while shelf.plan().pending:
        shelf.writer.write([next(shelf.batches(key))])
        attempts += 1
    assert attempts > 5
    assert [event.source.uuid for event in shelf.events() if event.source] == [
        str(number) for number in range(30)
    ]
    row = shelf.reader.session(SESSION)
    assert row is not None
    assert row.usage == Usage(input=30)


def test_an_unfinished_reading_is_one_that_is_to_be_read(shelf: ItemShelf) -> None:
    shelf.limits = ReadingLimits(block_bytes=500, max_line_bytes=4_000)
    key = str(shelf.write(many(30)))
    shelf.writer.write([next(shelf.batches(key))])
    assert [pending.path for pending in shelf.plan().pending] == [key]
    assert shelf.cursor(key).mtime_ns == items.UNFINISHED_NS


def test_a_reading_that_fails_keeps_what_it_gave_and_is_read_again(shelf: ItemShelf) -> None:
    shelf.limits = ReadingLimits(block_bytes=500, max_line_bytes=4_000)
    key = str(shelf.write([*many(11), note("bad", "", fails=True)]))
    with pytest.raises(OSError, match="Input/output"):
        shelf.catch_up()
    assert 0 < len(shelf.events()) < 11
    assert [pending.path for pending in shelf.plan().pending] == [key]
    shelf.write(many(11))
    shelf.catch_up()
    assert len(shelf.events()) == 11


texts = st.sampled_from(["a", "b", "c", ""])
snapshots = st.lists(
    st.lists(st.tuples(st.sampled_from("123"), texts), max_size=5), min_size=1, max_size=5
)


@settings(max_examples=40, deadline=None)
@given(snapshots, st.data())
def test_however_a_log_was_changed_the_newest_versions_are_what_stands_there(
    changes: list[list[tuple[str, str]]], data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        shelf = ItemShelf(Path(folder), limits=ReadingLimits(block_bytes=300, max_line_bytes=4_000))
        ever: set[str] = set()
        for each in changes:
            notes = [note(name, text) for name, text in each]
            key = str(shelf.write(notes))
            stop = data.draw(st.integers(0, 3), label="batches before it dies")
            for batch in [*shelf.batches(key)][:stop]:
                shelf.writer.write([batch])
            for batch in shelf.batches(key):
                shelf.writer.write([batch])
            before = len(shelf.events())
            for batch in shelf.batches(key):
                assert batch.count == 0, "what did not change gives nothing"
            newest = {event.seq: event for event in shelf.events()}
            for event in shelf.events():
                if event.supersedes is not None:
                    assert newest.pop(event.supersedes) is not None
            now = sorted((name, text) for name, text in each)
            kept = sorted(
                (event.source.uuid, event.text) for event in newest.values() if event.source
            )
            for one in set(now):
                assert kept.count(one) >= now.count(one)
            ever |= set(now_texts(each))
            assert {event.text for event in shelf.events()} == ever
            assert before == len({event.id for event in shelf.events()})
        shelf.close()


def now_texts(notes: list[tuple[str, str]]) -> list[str]:
    return [text for _name, text in notes]
