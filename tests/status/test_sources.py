"""What waits to be read is told of every kind of log."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.ingest.plan import unreadable
from holdfast.status.sources import source_reports
from tests.support.items import ItemShelf, note


@pytest.fixture
def items(tmp_path: Path) -> Iterator[ItemShelf]:
    made = ItemShelf(tmp_path)
    yield made
    made.close()


def waiting(items: ItemShelf) -> tuple[int, int]:
    (report,) = source_reports([(items.source, True)], items.reader, now_s=0, warn_days=5)
    return report.unread_files, report.lag_bytes


def test_sessions_in_a_database_wait_with_their_share_of_it(items: ItemShelf) -> None:
    book = {"x": [note("1", "a" * 100)], "y": [note("1", "b" * 100)]}
    path = items.write(book, "notes.book")
    assert waiting(items) == (2, path.stat().st_size // 2 * 2)
    items.catch_up()
    assert waiting(items) == (0, 0)
    items.write({**book, "x": [*book["x"], note("2", "c", changed=7)]}, "notes.book")
    assert waiting(items)[0] == 1


def test_a_document_that_is_written_anew_at_the_same_size_waits(items: ItemShelf) -> None:
    path = items.write([note("1", "a")])
    items.catch_up()
    assert waiting(items) == (0, 0)
    items.write([note("1", "b")])
    os.utime(path, (5, 5))
    assert waiting(items) == (1, path.stat().st_size)


def test_what_cannot_be_read_does_not_wait_until_it_changes(items: ItemShelf) -> None:
    path = items.write([note("1", "a")])
    items.catch_up()
    log = items.source.identify(str(path))
    items.writer.save_cursors([unreadable(log, items.reader, "busy")])
    assert waiting(items) == (0, 0)
    os.utime(path, (5, 5))
    assert waiting(items) == (1, path.stat().st_size)
