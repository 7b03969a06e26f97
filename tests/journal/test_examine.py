"""Damage is found wherever it is, within a time, and nothing that is sound is blamed."""

from __future__ import annotations

import itertools

import pytest

from holdfast.journal.examine import BLOCKS_AT_ONCE, Examined, examine
from tests.support import damage
from tests.support.home import Home, talk


@pytest.fixture
def journal(home: Home) -> str:
    home.write_log("a", *talk(400, words="barnacle " + "reef " * 40))
    home.ok("import", "--quiet", env={"HOLDFAST_SNAPSHOTS__BLOCK_BYTES": "16384"})
    return home.paths.journal


def look(journal: str, *, full: bool = False) -> Examined:
    return examine(journal, full=full, limit_s=None)


@pytest.mark.parametrize("full", [False, True])
def test_a_sound_journal_has_no_problems(journal: str, *, full: bool) -> None:
    found = look(journal, full=full)
    assert found.problems == []
    assert found.finished
    assert found.blocks == found.blocks_checked > BLOCKS_AT_ONCE / 4


def test_each_damaged_block_is_named(journal: str) -> None:
    places = [damage.turn_a_bit(journal, number) for number in (0, 2)]
    found = look(journal)
    assert len(found.problems) == 2
    assert [f"position {place}" in text for place, text in zip(
        reversed(places), found.problems, strict=True
    )] == [True, True]  # fmt: skip


def test_an_index_that_is_damaged_is_found(journal: str) -> None:
    damage.blank_words(journal)
    assert any("words" in problem for problem in look(journal).problems)


def test_pages_that_were_overwritten_are_found_and_end_nothing(journal: str) -> None:
    damage.overwrite(journal)
    assert look(journal).problems


def test_what_takes_too_long_is_given_up_and_said(journal: str) -> None:
    ticks = itertools.count()
    found = examine(journal, full=False, limit_s=0.5, clock=lambda: float(next(ticks)))
    assert found.problems == []
    assert not found.finished
    assert found.blocks_checked < found.blocks


def test_progress_is_told_and_the_newest_blocks_come_first(journal: str) -> None:
    told: list[tuple[str, float]] = []
    examine(journal, full=False, limit_s=None, on_progress=lambda *each: told.append(each))
    assert told[0] == ("the database", -1)
    shares = [share for what, share in told if what == "blocks"]
    assert shares == sorted(shares)
    assert shares[0] == 0.0
