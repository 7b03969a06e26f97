"""Which answers come from memory, and that they are the ones the journal gives."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from holdfast.library import SessionEntry
from holdfast.server.app import (
    FROM_MEMORY_BYTES_MAX,
    FROM_MEMORY_EVENTS_MAX,
    resident_lines,
)
from holdfast.snapshots import SessionStore, StoreLimits

SESSION = "s"


def a_store(first: int, last: int) -> SessionStore:
    """A session of which events `first` up to `last` are resident."""
    store = SessionStore(StoreLimits(budget_bytes=10_000_000))
    lines = b"".join(b'{"seq":%d}\n' % seq for seq in range(first, last))
    store.append(SESSION, first, lines, last - first)
    return store


def an_entry(events: int) -> SessionEntry:
    return cast("SessionEntry", SimpleNamespace(id=SESSION, events=events))


def test_a_stretch_that_is_resident_is_answered_from_memory() -> None:
    held = resident_lines(a_store(10, 30), an_entry(30), 28, None)
    assert held == b'{"seq":28}\n{"seq":29}\n'


def test_the_end_of_a_range_is_not_part_of_it() -> None:
    assert resident_lines(a_store(0, 30), an_entry(30), 3, 5) == b'{"seq":3}\n{"seq":4}\n'


@pytest.mark.parametrize(
    ("first", "last", "events"),
    [
        (9, None, 30),  # begins before what is resident
        (28, None, 31),  # the journal has an event that memory was not shown yet
    ],
)
def test_what_memory_does_not_hold_whole_is_left_to_the_journal(
    first: int, last: int | None, events: int
) -> None:
    assert resident_lines(a_store(10, 30), an_entry(events), first, last) is None


def test_a_session_that_is_not_resident_is_left_to_the_journal() -> None:
    store = a_store(0, 5)
    store.evict(SESSION, "idle")
    assert resident_lines(store, an_entry(5), 0, None) is None


def test_a_long_stretch_does_not_keep_the_event_loop() -> None:
    many = FROM_MEMORY_EVENTS_MAX + 1
    assert resident_lines(a_store(0, many), an_entry(many), 0, None) is None
    assert resident_lines(a_store(0, many), an_entry(many), 1, None) is not None


def test_what_is_large_is_sent_a_piece_at_a_time_from_the_journal() -> None:
    """A copy of it all would stand in memory until whoever asked has taken it."""
    store = SessionStore(StoreLimits(budget_bytes=10_000_000))
    line = b'{"seq":%d,"text":"' + b"x" * (FROM_MEMORY_BYTES_MAX // 2) + b'"}\n'
    store.append(SESSION, 0, b"".join(line % seq for seq in range(2)), 2)
    assert resident_lines(store, an_entry(2), 0, None) is None
    assert resident_lines(store, an_entry(2), 1, None) == line % 1
