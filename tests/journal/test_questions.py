"""Whoever asks in between other things keeps no reader from others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from holdfast.journal.conformance import Trial, cursor
from holdfast.journal.protocol import JournalReader
from holdfast.journal.questions import Questions


class OneReader:
    """A pool of one, which says so when it is asked for a second one."""

    def __init__(self, trial: Trial) -> None:
        self._trial = trial
        self.is_lent = False
        self.lent = 0

    @contextmanager
    def __call__(self) -> Iterator[JournalReader]:
        assert not self.is_lent
        self.is_lent = True
        self.lent += 1
        yield self._trial.reader
        self.is_lent = False


@pytest.fixture
def readers(trial: Trial) -> OneReader:
    trial.say("one", "a")
    trial.writer.save_cursors([cursor("one", f"/p/{number}") for number in range(2_500)])
    return OneReader(trial)


def test_no_reader_is_held_while_somebody_looks_at_what_was_told(readers: OneReader) -> None:
    questions = Questions(readers)
    seen = 0
    for mark in questions.marks():
        assert not readers.is_lent
        asked = questions.cursor(mark.agent, mark.path)
        assert asked is not None
        assert asked.path == mark.path
        seen += 1
    assert seen == 2_500
    assert readers.lent < seen + 10, "marks come in pages"


def test_every_question_is_answered_as_a_reader_does(readers: OneReader, trial: Trial) -> None:
    questions, reader = Questions(readers), trial.reader
    assert list(questions.marks()) == list(reader.marks())
    assert questions.ledger() == reader.ledger()
    assert questions.file_errors("claude") == reader.file_errors("claude")
    assert questions.agent_totals() == reader.agent_totals()
    assert questions.known_paths("claude", "/p") == reader.known_paths("claude", "/p")
    assert questions.unknown_types() == reader.unknown_types()
    assert questions.blobs() == reader.blobs()
    assert questions.totals() == reader.totals()
