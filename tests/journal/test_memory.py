"""What the twin has beside what every journal must do."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast import blocks
from holdfast.blocks import DamagedBlock
from holdfast.journal.conformance import Trial, known
from holdfast.journal.memory import MemoryJournal
from tests.journal.subjects import MemorySubject


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    return Trial(MemorySubject(tmp_path))


def test_its_state_can_be_looked_at(tmp_path: Path) -> None:
    subject = MemorySubject(tmp_path)
    Trial(subject).say("one", "a", "b")
    assert subject.journal.state.order == [(known("one").id, 0), (known("one").id, 1)]


def test_two_journals_share_nothing(tmp_path: Path) -> None:
    Trial(MemorySubject(tmp_path)).say("one", "a")
    assert MemoryJournal().reader().totals().events == 0


def test_a_block_that_does_not_unpack_changes_nothing(trial: Trial) -> None:
    batch = trial.batch("one", "a", "b", sealed=True)
    (block,) = batch.blocks
    batch.blocks = [blocks.Block(0, 2, block.raw_bytes, block.data[:-1])]
    with pytest.raises(DamagedBlock):
        trial.writer.write([trial.batch("two", "c"), batch])
    assert trial.reader.totals().sessions == 0


def test_what_a_reader_gives_may_be_changed_without_changing_the_journal(trial: Trial) -> None:
    trial.say("one", "a")
    trial.row("one").events = 99
    assert trial.row("one").events == 1
