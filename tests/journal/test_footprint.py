"""What SQLite holds for milliseconds is in the line of the journal all the same."""

from __future__ import annotations

from contextlib import closing
from typing import cast

import apsw

from holdfast.governor import ProcessMemory, TreeMemory
from holdfast.journal.footprint import JournalFootprint
from holdfast.journal.service import JournalService

MB = 1 << 20
TREE = TreeMemory(
    ProcessMemory(1, "p", MB, MB, 0, MB), (), MB, 0, exact=True, peak_footprint_bytes=MB
)


class Journal:
    connections_open = 4


def use_for_a_moment(megabytes: int) -> None:
    with closing(apsw.Connection(":memory:")) as connection:
        connection.execute("SELECT length(randomblob(?))", (megabytes * MB,)).fetchall()


def test_what_was_taken_and_given_back_while_the_tree_was_read_counts() -> None:
    footprint = JournalFootprint(cast("JournalService", Journal()), readers=2)
    footprint.reading_begins()
    use_for_a_moment(30)
    assert footprint.usage_in(TREE).bytes >= 30 * MB
    assert footprint.usage().bytes < 30 * MB, "by itself it tells what is there now"


def test_what_was_taken_before_the_reading_does_not() -> None:
    footprint = JournalFootprint(cast("JournalService", Journal()), readers=2)
    use_for_a_moment(30)
    footprint.reading_begins()
    assert footprint.usage_in(TREE).bytes < 30 * MB
