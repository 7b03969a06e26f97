"""Notes never make the event loop wait, and are bounded while the writer has no room for them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import cast

import msgspec
import pytest

from holdfast.journal.model import AuditRecord
from holdfast.journal.notes import HANDED_OVER_AT, WAITING_MAX, Notes
from holdfast.journal.protocol import JournalWriter
from holdfast.journal.service import JournalService


class Journal:
    """A service whose mailbox is full, or not."""

    full = False

    def __init__(self) -> None:
        self.stored: list[AuditRecord] = []

    def offer(self, work: Callable[[JournalWriter], object]) -> Future[object] | None:
        if self.full:
            return None
        work(cast("JournalWriter", self))
        return Future()

    def audit(self, records: list[AuditRecord]) -> None:
        self.stored += records


@pytest.fixture
def journal() -> Journal:
    return Journal()


def hand_over(notes: Notes, journal: Journal) -> None:
    notes.hand_over(cast("JournalService", journal))


def test_what_is_handed_over_waits_no_more(journal: Journal) -> None:
    notes = Notes()
    notes.add("session.evicted", {"session": "s"})
    usage = notes.usage()
    assert usage.items == 1
    assert usage.bytes > len('{"session":"s"}')
    hand_over(notes, journal)
    assert [(each.action, bytes(each.detail)) for each in journal.stored] == [
        ("session.evicted", b'{"session":"s"}')
    ]
    assert (notes.usage().bytes, notes.usage().items) == (0, 0)


def test_without_room_they_stay_and_the_newest_are_kept(journal: Journal) -> None:
    notes = Notes()
    journal.full = True
    for number in range(WAITING_MAX + 3):
        notes.add("n", number)
    hand_over(notes, journal)
    assert not journal.stored
    assert (notes.usage().items, notes.dropped) == (WAITING_MAX, 3)
    journal.full = False
    hand_over(notes, journal)
    found = [msgspec.json.decode(each.detail) for each in journal.stored]
    assert found == list(range(3, WAITING_MAX + 3))
    assert notes.usage().bytes == 0


def test_they_are_many_before_any_is_lost() -> None:
    notes = Notes()
    for number in range(HANDED_OVER_AT):
        assert not notes.are_many
        notes.add("n", number)
    assert notes.are_many
    assert HANDED_OVER_AT < WAITING_MAX


def test_at_the_end_all_are_stored_whatever_waits(journal: Journal) -> None:
    notes = Notes()
    journal.full = True
    notes.add("n", 1)
    notes.store(cast("JournalService", journal))
    assert len(journal.stored) == 1
    assert notes.usage().items == 0
