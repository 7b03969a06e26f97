"""What an agent is about to delete is looked up in the journal before it is called kept."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from holdfast.demo import lines
from holdfast.journal.model import Cursor
from holdfast.sources.agents.copilot import Agent as Copilot
from holdfast.status.expiry import (
    DAY_S,
    SHOWN_MAX,
    Announced,
    ExpiryStatus,
    expiry_by_agent,
    expiry_of,
)
from tests.support.ingest import Shelf

NOW_S = 1_800_000_000.0
OLD_S = NOW_S - 28 * DAY_S


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    shelf = Shelf(tmp_path)
    yield shelf
    shelf.close()


def write(shelf: Shelf, name: str, content: bytes = b"") -> Path:
    path = shelf.log(name)
    path.write_bytes(content or lines.user_line("hi"))
    age(path)
    return path


def age(path: Path) -> None:
    os.utime(path, (OLD_S, OLD_S))


def look(shelf: Shelf, warn_days: int = 7) -> ExpiryStatus | None:
    return expiry_of(shelf.source, shelf.reader, now_s=NOW_S, warn_days=warn_days)


def test_logs_that_were_read_to_their_end_are_kept(shelf: Shelf) -> None:
    write(shelf, "one")
    write(shelf, "two")
    shelf.catch_up()
    found = look(shelf)
    assert found is not None
    assert (found.files, found.kept_files, found.not_kept_files) == (2, 2, 0)
    assert found.bytes == 2 * len(lines.user_line("hi"))
    assert found.earliest_at == found.latest_at == "2027-01-17T08:00:00Z"
    assert found.not_kept == []
    assert found.due_files == 0


def test_of_those_that_go_soon_only_some_may_go_now(shelf: Shelf) -> None:
    write(shelf, "one")
    path = write(shelf, "two")
    os.utime(path, (OLD_S - 10 * 86_400, OLD_S - 10 * 86_400))
    found = look(shelf)
    assert found is not None
    assert (found.files, found.due_files) == (2, 1)
    assert found.earliest_at < found.latest_at


def test_nothing_is_said_while_nothing_goes_soon(shelf: Shelf) -> None:
    write(shelf, "one")
    assert look(shelf, warn_days=1) is None


def test_an_agent_that_deletes_nothing_is_not_asked(shelf: Shelf) -> None:
    assert expiry_of(Copilot([]), shelf.reader, now_s=NOW_S, warn_days=7) is None
    write(shelf, "one")
    sources = [Copilot([]), shelf.source]
    assert set(expiry_by_agent(sources, shelf.reader, now_s=NOW_S, warn_days=7)) == {"claude"}


def grow(shelf: Shelf, path: Path) -> None:
    path.write_bytes(path.read_bytes() + lines.user_line("more"))


def rewrite(shelf: Shelf, path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"hi", b"ho"))


def tear(shelf: Shelf, path: Path) -> None:
    path.write_bytes(path.read_bytes() + b'{"type"')
    shelf.catch_up()


def fail(shelf: Shelf, path: Path) -> None:
    cursor = shelf.cursor(path)
    cursor.error = "Permission denied"
    shelf.writer.save_cursors([cursor])


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (grow, "it changed since it was read"),
        (rewrite, "it is no longer what was read"),
        (tear, "its last 7 bytes are no whole record"),
        (fail, "Permission denied"),
    ],
)
def test_what_is_not_kept_is_named_with_the_reason(
    shelf: Shelf, spoil: Callable[[Shelf, Path], None], why: str
) -> None:
    write(shelf, "kept")
    path = write(shelf, "lost")
    shelf.catch_up()
    spoil(shelf, path)
    age(path)
    found = look(shelf)
    assert found is not None
    assert (found.kept_files, found.not_kept_files) == (1, 1)
    (lost,) = found.not_kept
    assert (lost.path, lost.why) == (str(path), why)


def test_a_log_that_nobody_read_is_not_kept(shelf: Shelf) -> None:
    write(shelf, "one")
    found = look(shelf)
    assert found is not None
    assert [each.why for each in found.not_kept] == ["it was never read"]


def test_a_new_time_alone_changes_nothing(shelf: Shelf) -> None:
    path = write(shelf, "one")
    shelf.catch_up()
    os.utime(path, (OLD_S + 5, OLD_S + 5))
    found = look(shelf)
    assert found is not None
    assert found.kept_files == 1


def test_of_many_only_some_are_named(shelf: Shelf) -> None:
    for number in range(SHOWN_MAX + 5):
        write(shelf, f"s{number}")
    found = look(shelf)
    assert found is not None
    assert (found.not_kept_files, len(found.not_kept)) == (SHOWN_MAX + 5, SHOWN_MAX)


def test_the_digest_tells_whether_something_changed(shelf: Shelf) -> None:
    write(shelf, "one")
    before, again = look(shelf), look(shelf)
    shelf.catch_up()
    after = look(shelf)
    assert before is not None
    assert again is not None
    assert after is not None
    assert before.digest == again.digest != after.digest


def test_it_is_said_once_a_day_and_when_it_is_about_other_logs(shelf: Shelf) -> None:
    write(shelf, "one")
    before = look(shelf)
    shelf.catch_up()
    after = look(shelf)
    assert before is not None
    assert after is not None
    announced = Announced()
    assert announced.is_new("2026-11-20", {"claude": before})
    assert not announced.is_new("2026-11-20", {"claude": before})
    assert announced.is_new("2026-11-20", {"claude": after})
    assert announced.is_new("2026-11-21", {"claude": after})
    assert not announced.is_new("2026-11-21", {"claude": after})


def test_a_name_that_is_no_text_is_not_kept_and_can_be_told(shelf: Shelf) -> None:
    folder = os.fsencode(write(shelf, "one").parent)
    path = os.path.join(folder, b"\xff.jsonl")
    with open(path, "wb") as file:
        file.write(lines.user_line("hi"))
    os.utime(path, (OLD_S, OLD_S))
    shelf.catch_up()
    found = look(shelf)
    assert found is not None
    (lost,) = found.not_kept
    assert lost.path.endswith("\\xff.jsonl")
    assert "not UTF-8" in lost.why


def test_a_cursor_alone_proves_nothing(shelf: Shelf) -> None:
    """One that claims the right size without having read the file."""
    path = write(shelf, "one")
    size = path.stat().st_size
    made = Cursor(agent="claude", path=str(path), session="x", size=size, mtime_ns=1)
    shelf.writer.save_cursors([made])
    found = look(shelf)
    assert found is not None
    assert found.kept_files == 0
