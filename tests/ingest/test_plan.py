"""What there is to read is found, and what was read is neither lost nor repeated."""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.demo import lines
from holdfast.events import Kind, origin_of, session_id
from holdfast.ingest.gathering import ReadingLimits
from holdfast.ingest.plan import NOT_UTF8, make_job, unreadable
from holdfast.ingest.reading import COMPARE_AHEAD_BYTES
from holdfast.journal.model import Ledger
from tests.support.ingest import SESSION, Shelf
from tests.support.items import ItemShelf, note

OTHER: Final = "5e551035-0000-4000-a000-000000000002"


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    made = Shelf(tmp_path)
    yield made
    made.close()


def said(*texts: str) -> bytes:
    return b"".join(lines.user_line(text) for text in texts)


def touch(path: Path, second: int) -> None:
    os.utime(path, (second, second))


# What a plan finds.


def test_a_new_log_is_to_be_read(shelf: Shelf) -> None:
    path = shelf.log()
    path.write_bytes(said("a", "b"))
    plan = shelf.plan()
    assert [(pending.agent, pending.path) for pending in plan.pending] == [("claude", str(path))]
    assert plan.unread_bytes == path.stat().st_size
    assert (plan.gone, plan.problems) == ([], {})


def test_nothing_is_to_be_read_where_there_is_nothing(shelf: Shelf) -> None:
    plan = shelf.plan()
    assert (plan.pending, plan.gone, plan.problems, plan.unread_bytes) == ([], [], {}, 0)


def test_the_oldest_are_read_first_so_that_the_newest_stay_in_memory(shelf: Shelf) -> None:
    for name, second in (("b", 300), ("a", 100), ("c", 200)):
        shelf.log(name).write_bytes(said(name))
        touch(shelf.log(name), second)
    names = [os.path.basename(pending.path) for pending in shelf.plan().pending]
    assert names == ["a.jsonl", "c.jsonl", "b.jsonl"]


def test_a_log_that_did_not_change_is_not_read_again(shelf: Shelf) -> None:
    shelf.log().write_bytes(said("a"))
    shelf.catch_up()
    assert shelf.plan().pending == []
    assert shelf.texts() == ["a"]


def test_a_log_that_grew_is_read_on_from_where_it_was_left(shelf: Shelf) -> None:
    path = shelf.log()
    path.write_bytes(said("a"))
    shelf.catch_up()
    with path.open("ab") as file:
        file.write(said("b"))
    assert shelf.plan().unread_bytes == len(said("b"))
    shelf.catch_up()
    assert shelf.texts() == ["a", "b"]
    assert shelf.cursor(path).ledger == Ledger(parsed=path.stat().st_size)


def test_a_log_that_grew_while_its_time_stood_still_is_read_on(shelf: Shelf) -> None:
    path = shelf.log()
    path.write_bytes(said("a"))
    touch(path, 5)
    shelf.catch_up()
    with path.open("ab") as file:
        file.write(said("b"))
    touch(path, 5)
    shelf.catch_up()
    assert shelf.texts() == ["a", "b"]


def test_a_touched_log_is_looked_at_and_gives_nothing_new(shelf: Shelf) -> None:
    path = shelf.log()
    path.write_bytes(said("a"))
    shelf.catch_up()
    touch(path, 5)
    assert len(shelf.plan().pending) == 1
    shelf.catch_up()
    assert shelf.plan().pending == []
    assert shelf.texts() == ["a"]


def test_a_deleted_log_is_gone_and_what_was_read_of_it_stays(shelf: Shelf) -> None:
    """K15: deletion at the source never deletes here."""
    path = shelf.log()
    path.write_bytes(said("a"))
    shelf.catch_up()
    path.unlink()
    assert shelf.plan().gone == [("claude", str(path))]
    shelf.catch_up()
    assert shelf.plan().gone == []
    assert shelf.cursor(path).gone_at != ""
    assert shelf.texts() == ["a"]


def test_a_log_that_comes_back_is_read_on(shelf: Shelf) -> None:
    path = shelf.log()
    path.write_bytes(said("a"))
    shelf.catch_up()
    path.unlink()
    shelf.catch_up()
    path.write_bytes(said("a", "b"))
    shelf.catch_up()
    assert shelf.texts() == ["a", "b"]
    assert shelf.cursor(path).gone_at == ""
    assert shelf.plan().pending == []


def test_a_log_that_comes_back_as_it_was_is_no_longer_gone(shelf: Shelf) -> None:
    path = shelf.log()
    path.write_bytes(said("a"))
    touch(path, 9)
    shelf.catch_up()
    content = path.read_bytes()
    path.unlink()
    shelf.catch_up()
    path.write_bytes(content)
    touch(path, 9)
    shelf.catch_up()
    assert shelf.cursor(path).gone_at == ""
    assert shelf.texts() == ["a"]
    assert shelf.plan().pending == []


def test_a_log_that_could_not_be_read_is_tried_each_time_until_it_can(shelf: Shelf) -> None:
    path = shelf.log()
    path.write_bytes(said("a"))
    log = shelf.source.identify(str(path))
    assert log is not None
    shelf.writer.save_cursors([unreadable(log, shelf.reader, "Permission denied")])
    assert shelf.reader.ledger().unreadable == 1
    assert len(shelf.plan().pending) == 1
    shelf.catch_up()
    assert shelf.texts() == ["a"]
    assert shelf.reader.ledger().unreadable == 0
    assert shelf.plan().pending == []


def test_a_log_that_cannot_be_read_any_more_keeps_its_place(shelf: Shelf) -> None:
    path = shelf.log()
    path.write_bytes(said("a"))
    shelf.catch_up()
    log = shelf.source.identify(str(path))
    assert log is not None
    shelf.writer.save_cursors([unreadable(log, shelf.reader, "Input/output error")])
    assert shelf.cursor(path).offset == path.stat().st_size
    shelf.catch_up()
    assert shelf.texts() == ["a"]


def test_a_folder_that_cannot_be_listed_costs_only_itself(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.log("a", "open").write_bytes(said("a"))
    shelf.log("b", "closed").write_bytes(said("b"))
    scandir = os.scandir

    def refuse(path: str) -> object:
        if path.endswith("closed"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    plan = shelf.plan()
    assert [pending.path for pending in plan.pending] == [str(shelf.log("a", "open"))]
    assert plan.problems == {str(shelf.projects / "closed"): "Permission denied"}


@pytest.mark.parametrize("known", [False, True])
def test_a_log_that_the_system_does_not_describe_is_a_problem_of_its_own(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    path = shelf.log()
    path.write_bytes(said("a"))
    if known:
        shelf.catch_up()
    stat = os.stat

    def refuse(looked_at: str) -> os.stat_result:
        if looked_at == str(path):
            raise OSError(5, "Input/output error")
        return stat(looked_at)

    monkeypatch.setattr(os, "stat", refuse)
    plan = shelf.plan()
    assert (plan.pending, plan.gone) == ([], [])
    assert plan.problems == {str(path): "Input/output error"}


def test_what_is_no_file_is_no_log(shelf: Shelf) -> None:
    shelf.log("folder").mkdir()
    os.mkfifo(shelf.log("pipe"))
    shelf.log("link").symlink_to("nowhere.jsonl")
    shelf.log("notes").with_suffix(".txt").write_text("a")
    plan = shelf.plan()
    assert (plan.pending, plan.problems) == ([], {})


def test_a_log_that_became_something_else_is_not_opened(shelf: Shelf) -> None:
    """Opening a pipe waits for whoever writes to it, which may be for ever."""
    path = shelf.log()
    path.write_bytes(said("a"))
    shelf.catch_up()
    path.unlink()
    os.mkfifo(path)
    plan = shelf.plan()
    assert plan.pending == []
    assert plan.problems == {str(path): "is no longer a file"}


def test_names_that_are_no_text_are_told_and_cost_only_themselves(shelf: Shelf) -> None:
    shelf.log("good").write_bytes(said("a"))
    bad = os.fsencode(shelf.projects)
    Path(os.fsdecode(bad + b"/\xff")).mkdir()
    for name in (b"/-home-hana/\xff.jsonl", b"/\xff/x.jsonl"):
        Path(os.fsdecode(bad + name)).write_bytes(said("b"))
    plan = shelf.catch_up()
    assert [os.path.basename(pending.path) for pending in plan.pending] == ["good.jsonl"]
    assert plan.problems == {
        f"{shelf.projects}/-home-hana/\\xff.jsonl": NOT_UTF8,
        f"{shelf.projects}/\\xff": NOT_UTF8,
    }


def test_logs_of_sources_that_are_off_are_left_alone(shelf: Shelf) -> None:
    shelf.log().write_bytes(said("a"))
    shelf.catch_up()
    shelf.log().unlink()
    shelf.sources = {}
    plan = shelf.plan()
    assert (plan.pending, plan.gone) == ([], [])


# How a log is read.


def test_a_job_says_where_to_go_on(shelf: Shelf) -> None:
    path = shelf.log()
    path.write_bytes(said("a"))
    log = shelf.source.identify(str(path))
    assert log is not None
    job = make_job(shelf.source, log, shelf.reader)
    assert (job.first_seq, job.cursor.offset, job.cursor.origin) == (0, 0, 0)
    assert not job.cursor.must_compare
    shelf.catch_up()
    job = make_job(shelf.source, log, shelf.reader)
    assert (job.first_seq, job.cursor.offset) == (1, path.stat().st_size)


def test_a_rewritten_log_repeats_nothing_and_loses_nothing(shelf: Shelf) -> None:
    path = shelf.log()
    path.write_bytes(said("a", "b", "c"))
    shelf.catch_up()
    path.write_bytes(said("new", "a", "c", "d"))
    shelf.catch_up()
    assert shelf.texts() == ["a", "b", "c", "new", "d"]
    assert [origin_of(event.id) for event in shelf.events()] == [0, 0, 0, 1, 1]
    assert len({event.id for event in shelf.events()}) == 5
    assert shelf.cursor(path).ledger.consumed == path.stat().st_size


def test_a_truncated_log_repeats_nothing_when_it_grows_again(shelf: Shelf) -> None:
    path = shelf.log()
    path.write_bytes(said("a", "b", "c"))
    shelf.catch_up()
    os.truncate(path, len(said("a")) + 10)
    shelf.catch_up()
    assert shelf.texts() == ["a", "b", "c"]
    path.write_bytes(said("a", "b", "c", "d"))
    shelf.catch_up()
    assert shelf.texts() == ["a", "b", "c", "d"]


def test_a_log_that_is_being_rewritten_when_that_is_noticed_repeats_nothing(shelf: Shelf) -> None:
    """It is emptied first; then all comes back, piece by piece."""
    path = shelf.log()
    texts = [f"message {number}" for number in range(40)]
    path.write_bytes(said(*texts))
    shelf.catch_up()
    path.write_bytes(b"")
    shelf.catch_up()
    for number in range(0, 40, 7):
        with path.open("ab") as file:
            file.write(said(*texts[number : number + 7]))
        shelf.catch_up()
    with path.open("ab") as file:
        file.write(said("and on"))
    shelf.catch_up()
    assert shelf.texts() == [*texts, "and on"]


def test_what_moved_to_behind_the_old_end_is_still_known(shelf: Shelf) -> None:
    """Much was put before it: the last of the old records stand where nothing stood."""
    path = shelf.log()
    old = [f"message {number} " + "x" * 3_000 for number in range(20)]
    new = [f"put before {number} " + "y" * 3_000 for number in range(35)]
    assert len(said(*new)) > COMPARE_AHEAD_BYTES + 30_000
    path.write_bytes(said(*old))
    shelf.catch_up()
    path.write_bytes(b"")
    shelf.catch_up()
    for number in range(0, 55, 5):
        with path.open("ab") as file:
            file.write(said(*[*new, *old][number : number + 5]))
        shelf.catch_up()
    assert shelf.texts() == [*old, *new]


def test_comparing_ends_when_everything_known_was_found(shelf: Shelf) -> None:
    path = shelf.log()
    path.write_bytes(said("a", "b"))
    shelf.catch_up()
    path.write_bytes(said("first", "a", "b"))
    shelf.catch_up()
    assert not shelf.cursor(path).must_compare


def test_the_same_session_in_two_folders_is_stored_once(shelf: Shelf) -> None:
    one, two = shelf.log(project="-home-hana"), shelf.log(project="-home-hana-worktree")
    one.write_bytes(said("a", "b"))
    two.write_bytes(said("a", "b", "c"))
    touch(one, 100)
    shelf.catch_up()
    assert shelf.texts() == ["a", "b", "c"]
    with two.open("ab") as file:
        file.write(said("d"))
    shelf.catch_up()
    assert shelf.texts() == ["a", "b", "c", "d"]
    assert len({event.id for event in shelf.events()}) == 4
    assert shelf.cursor(one).origin != shelf.cursor(two).origin


def test_a_copy_that_is_being_made_is_known_from_its_first_record(shelf: Shelf) -> None:
    one, two = shelf.log(project="-home-hana"), shelf.log(project="-home-hana-copy")
    texts = [f"message {number}" for number in range(12)]
    one.write_bytes(said(*texts))
    shelf.catch_up()
    for text in ["", *texts]:
        with two.open("ab") as file:
            file.write(said(text) if text else b"")
        shelf.catch_up()
    assert shelf.texts() == texts


def test_two_logs_of_a_session_never_give_the_same_ids(shelf: Shelf) -> None:
    """Neither had an event when the other was first read."""
    one, two = shelf.log(project="-one"), shelf.log(project="-two")
    one.write_bytes(lines.snapshot_line())
    two.write_bytes(lines.snapshot_line())
    shelf.catch_up()
    with one.open("ab") as file:
        file.write(said("a"))
    shelf.catch_up()
    with two.open("ab") as file:
        file.write(said("b"))
    shelf.catch_up()
    assert shelf.texts() == ["a", "b"]
    assert len({event.id for event in shelf.events()}) == 2


def test_a_log_that_could_not_be_read_at_first_repeats_nothing_of_its_twin(shelf: Shelf) -> None:
    one, two = shelf.log(project="-one"), shelf.log(project="-two")
    two.write_bytes(said("a", "b"))
    log = shelf.source.identify(str(two))
    assert log is not None
    shelf.writer.save_cursors([unreadable(log, shelf.reader, "Permission denied")])
    two.rename(two.with_suffix(".away"))
    one.write_bytes(said("a", "b"))
    shelf.read(shelf.source.identify(str(one)) or log)
    two.with_suffix(".away").rename(two)
    shelf.catch_up()
    assert shelf.texts() == ["a", "b"]


def test_subagents_are_sessions_beside_their_parent(shelf: Shelf) -> None:
    shelf.log().write_bytes(said("parent"))
    child = shelf.log(f"{SESSION}/subagents/agent-a7")
    child.write_bytes(lines.user_line("child", agent="a7"))
    shelf.catch_up()
    assert shelf.texts() == ["parent"]
    assert shelf.texts(f"{SESSION}/agent-a7") == ["child"]
    row = shelf.reader.session(session_id("claude", f"{SESSION}/agent-a7"))
    assert row is not None
    assert row.parent == session_id("claude", SESSION)


def test_a_fork_is_a_session_that_says_where_it_came_from(shelf: Shelf) -> None:
    shelf.log(SESSION).write_bytes(lines.user_line("a", uuid="u1") + lines.user_line("b"))
    touch(shelf.log(SESSION), 100)
    shelf.log(OTHER).write_bytes(
        lines.user_line("a", uuid="u1", session=OTHER) + lines.user_line("c", session=OTHER)
    )
    shelf.catch_up()
    assert shelf.texts(OTHER) == ["c"]
    row = shelf.reader.session(session_id("claude", OTHER))
    assert row is not None
    assert row.forked_from == session_id("claude", SESSION)
    assert row.inherited == 1


def test_a_line_over_the_cap_is_not_repeated_either(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, ReadingLimits(block_bytes=4_096, max_line_bytes=1_000))
    path = shelf.log()
    path.write_bytes(said("a") + said("x" * 2_000))
    shelf.catch_up()
    path.write_bytes(said("first", "a") + said("x" * 2_000))
    shelf.catch_up()
    kinds = Counter(event.kind for event in shelf.events())
    assert kinds == {Kind.USER: 2, Kind.PROVIDER_RAW: 1}
    shelf.close()


steps = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(1, 4)),
        st.tuples(st.just("append torn"), st.integers(1, 60)),
        st.tuples(st.just("truncate"), st.integers(0, 100)),
        st.tuples(st.just("rewrite"), st.just(0)),
        st.tuples(st.just("drop first"), st.integers(1, 5)),
        st.tuples(st.just("delete"), st.just(0)),
        st.tuples(st.just("read"), st.just(0)),
        st.tuples(st.just("read"), st.just(0)),
    ),
    max_size=14,
)


@settings(deadline=None, max_examples=80)
@given(steps)
def test_whatever_happens_to_a_log_all_that_was_seen_is_stored_once(
    given_: list[tuple[str, int]],
) -> None:
    """Each message has a text of its own: whole lines that a reading saw are there, and once."""
    folder = tempfile.mkdtemp()
    shelf = Shelf(Path(folder))
    try:
        path = shelf.log()
        seen: set[str] = set()
        written: list[str] = []
        for count, (step, number) in enumerate([*given_, ("read", 0)]):
            content = path.read_bytes() if path.exists() else b""
            if step == "append":
                new = [f"message {len(written) + each}" for each in range(number)]
                written += new
                path.write_bytes(content + said(*new))
            elif step == "append torn":
                path.write_bytes(content + said("torn")[:number])
            elif step == "truncate":
                path.write_bytes(content[: len(content) * number // 100])
            elif step == "rewrite":
                path.write_bytes(said(f"rewritten {count}") + content)
            elif step == "drop first":
                path.write_bytes(b"".join(content.splitlines(keepends=True)[number:]))
            elif step == "delete":
                path.unlink(missing_ok=True)
            else:
                seen |= {text for text in texts_in(content) if text != "torn"}
                shelf.catch_up()
                stored = Counter(shelf.texts())
                assert seen <= set(stored)
                assert max(stored.values(), default=1) == 1
                assert shelf.plan().pending == []
                if path.exists():
                    assert shelf.cursor(path).ledger.consumed <= path.stat().st_size
    finally:
        shelf.close()
        shutil.rmtree(folder)


def texts_in(content: bytes) -> list[str]:
    """The texts of lines that are whole records, found without any of the program's means."""
    found = []
    for line in content.splitlines():
        with suppress(ValueError):
            found.append(json.loads(line)["message"]["content"])
    return found


# Logs that are changed in place.


@pytest.fixture
def items(tmp_path: Path) -> Iterator[ItemShelf]:
    made = ItemShelf(tmp_path)
    yield made
    made.close()


def pending(items: ItemShelf) -> list[str]:
    return [each.path.removeprefix(f"{items.root}/") for each in items.plan().pending]


def test_each_session_of_a_file_is_to_be_read_when_it_changed_itself(items: ItemShelf) -> None:
    book = {"x": [note("1", "a", changed=5)], "y": [note("1", "b", changed=3)]}
    items.write(book, "notes.book")
    assert pending(items) == ["notes.book#y", "notes.book#x"], "the oldest first"
    items.catch_up()
    assert pending(items) == []
    items.write({**book, "x": [*book["x"], note("2", "c", changed=7)]}, "notes.book")
    assert pending(items) == ["notes.book#x"]
    items.catch_up()
    assert (items.texts("x"), items.texts("y")) == (["a", "c"], ["b"])


def test_a_file_of_its_own_is_to_be_read_when_it_changed(items: ItemShelf) -> None:
    path = items.write([note("1", "a")])
    plan = items.catch_up()
    assert plan.unread_bytes == path.stat().st_size
    assert pending(items) == []
    touch(path, 5)
    assert pending(items) == ["a.note"]


def test_a_session_that_is_gone_from_its_file_stays_here(items: ItemShelf) -> None:
    book = {"x": [note("1", "a")], "y": [note("1", "b")]}
    path = items.write(book, "notes.book")
    items.catch_up()
    items.write({"x": book["x"]}, "notes.book")
    assert items.plan().gone == [("claude", f"{path}#y")]
    items.catch_up()
    assert items.plan().gone == []
    assert items.cursor(f"{path}#y").gone_at != ""
    assert items.texts("y") == ["b"]
    items.write(book, "notes.book")
    assert pending(items) == ["notes.book#y"]
    items.catch_up()
    assert (items.cursor(f"{path}#y").gone_at, items.texts("y")) == ("", ["b"])


def test_a_file_that_is_gone_takes_all_its_sessions(items: ItemShelf) -> None:
    path = items.write({"x": [note("1", "a")], "y": [note("1", "b")]}, "notes.book")
    items.write([note("1", "c")])
    items.catch_up()
    path.unlink()
    (items.root / "a.note").unlink()
    assert sorted(key.removeprefix(f"{items.root}/") for _agent, key in items.plan().gone) == [
        "a.note",
        "notes.book#x",
        "notes.book#y",
    ]


def test_a_file_that_cannot_be_looked_into_takes_no_session_away(
    items: ItemShelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = items.write({"x": [note("1", "a")]}, "notes.book")
    items.catch_up()

    def locked(_store: str, _since_ns: int = 0) -> Iterator[object]:
        raise OSError(errno.EBUSY, "Device or resource busy")

    monkeypatch.setattr(items.source, "logs", locked)
    plan = items.plan()
    assert (plan.gone, plan.pending) == ([], [])
    assert plan.problems == {str(path): "Device or resource busy"}


def test_a_name_with_the_mark_of_members_in_it_is_a_name(items: ItemShelf) -> None:
    """Folders are named `c#` in real life."""
    (items.root / "c#").mkdir()
    for path in (items.write([note("1", "a")], "c#/a.note"), items.write({"x": []}, "c#/b.book")):
        items.catch_up()
        assert items.plan().pending == []
        path.unlink()
        assert [key.startswith(str(path)) for _agent, key in items.plan().gone] == [True]
        items.catch_up()
    assert items.texts() == ["a"]


def test_a_session_that_could_not_be_read_is_read_again(items: ItemShelf) -> None:
    path = items.write([note("1", "a")])
    log = items.source.identify(str(path))
    items.writer.save_cursors([unreadable(log, items.reader, "busy")])
    assert items.cursor(path).error == "busy"
    items.catch_up()
    assert (items.cursor(path).error, items.texts()) == ("", ["a"])


def test_a_folder_that_cannot_be_listed_takes_no_log_in_place_away(
    items: ItemShelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    (items.root / "closed").mkdir()
    items.write([note("1", "a")], "closed/a.note")
    items.write({"x": [note("1", "b")]}, "closed/b.book")
    gone = items.write([note("1", "c")], "closed/c.note")
    items.catch_up()
    gone.unlink()
    scandir = os.scandir

    def refuse(path: str) -> object:
        if path.endswith("closed"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    plan = items.plan()
    assert plan.gone == [("claude", str(gone))], "this one is known not to be there"
    assert plan.problems == {str(items.root / "closed"): "Permission denied"}


def test_a_file_that_the_system_does_not_describe_takes_no_log_away(
    items: ItemShelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = items.write([note("1", "a")])
    items.catch_up()
    stat, scandir = os.stat, os.scandir

    def refuse(looked_at: str) -> os.stat_result:
        if looked_at == str(path):
            raise PermissionError(13, "Permission denied")
        return stat(looked_at)

    def refuse_folder(folder: str) -> object:
        if folder == str(items.root):
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    with monkeypatch.context() as patched:
        patched.setattr(os, "stat", refuse)
        patched.setattr(os, "scandir", refuse_folder)
        plan = items.plan()
    assert plan.gone == []
    assert plan.problems[str(path)] == "Permission denied"


def test_a_file_is_not_asked_whose_log_it_belongs_to(
    items: ItemShelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To answer that, a source may have to look through all of its folders."""
    items.write([note("1", "a")])
    items.write({"x": [note("1", "b")]}, "notes.book")
    (items.root / "beside.txt").write_text("c")

    def refuse(path: str) -> str | None:
        raise AssertionError(path)

    monkeypatch.setattr(items.source, "store_of", refuse)
    assert sorted(pending(items)) == ["a.note", "notes.book#x"]


def test_each_log_says_how_much_of_it_is_unread(items: ItemShelf) -> None:
    path = items.write([note("1", "a")])
    items.write({"x": [note("1", "b")], "y": []}, "notes.book")
    plan = items.plan()
    unread = {os.path.basename(each.path): each.unread_bytes for each in plan.pending}
    share = (items.root / "notes.book").stat().st_size // 2
    assert unread == {"a.note": path.stat().st_size, "notes.book#x": share, "notes.book#y": share}
    assert plan.unread_bytes == sum(unread.values())
