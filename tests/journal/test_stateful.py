"""Random writing, reading, sealing, indexing and reopening against a list of lines."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Final

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from holdfast.journal.conformance import Trial, at, known, same
from holdfast.journal.model import Batch
from holdfast.journal.writer import SequenceConflict
from tests.journal.subjects import SqliteSubject

SESSIONS: Final = st.sampled_from(["a", "b", "c"])
COUNTS: Final = st.integers(1, 12)
PADDING: Final = st.sampled_from([0, 0, 300, 5_000])


class JournalMachine(RuleBasedStateMachine):
    """`Trial` keeps the naive model: a list of lines for each session, and the global order."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.words = 0
        self.said: dict[str, tuple[str, int]] = {}  # a word that only one event has -> the event

    @initialize()
    def begin(self) -> None:
        self.trial = Trial(SqliteSubject(self.folder))

    def teardown(self) -> None:
        if hasattr(self, "trial"):
            self.trial.verify()
            self.trial.settle()
            for word, (session, seq) in list(self.said.items())[-5:]:
                same(self.trial.found(word), [f"{session}/{seq}"], "what is found")
            same(self.trial.writer.index_lag, 0, "index_lag")
            self.trial.close()
        shutil.rmtree(self.folder)

    def _batch(self, session: str, count: int, padding: int, ahead: int, *, sealed: bool) -> Batch:
        texts = []
        first = len(self.trial.held.get(known(session).id, [])) + ahead
        for number in range(count):
            self.words += 1
            word = f"word{self.words}x"
            texts.append(f"{word} {'.' * padding}")
            self.said[word] = (session, first + number)
        return self.trial.batch(session, *texts, sealed=sealed, first=first)

    @rule(session=SESSIONS, count=COUNTS, padding=PADDING, sealed=st.booleans())
    def append(self, session: str, count: int, padding: int, *, sealed: bool) -> None:
        self.trial.write(self._batch(session, count, padding, 0, sealed=sealed))

    @rule(parts=st.lists(st.tuples(SESSIONS, COUNTS, st.booleans()), min_size=2, max_size=5))
    def append_group(self, parts: list[tuple[str, int, bool]]) -> None:
        ahead = dict.fromkeys("abc", 0)
        group = []
        for session, count, sealed in parts:
            group.append(self._batch(session, count, 0, ahead[session], sealed=sealed))
            ahead[session] += count
        self.trial.write(*group)

    @rule(good=SESSIONS, bad=SESSIONS, off=st.sampled_from([-1, 1, 5]))
    def append_what_is_refused(self, good: str, bad: str, off: int) -> None:
        before, said = self.trial.reader.totals(), dict(self.said)
        ahead = off + (1 if good == bad else 0)
        group = [
            self._batch(good, 1, 0, 0, sealed=False),
            self._batch(bad, 1, 0, ahead, sealed=False),
        ]
        try:
            self.trial.writer.write(group)
        except SequenceConflict:
            self.said = said
            same(self.trial.reader.totals(), before, "totals() after a conflict")
        else:
            raise AssertionError("a conflict was not refused")

    @rule()
    def feed(self) -> None:
        self.trial.writer.feed_index()

    @rule()
    def reopen(self) -> None:
        self.trial.reopen()

    @rule()
    def checkpoint(self) -> None:
        self.trial.writer.checkpoint()

    @rule(session=SESSIONS, first=st.integers(0, 60), count=st.integers(0, 60))
    def read(self, session: str, first: int, count: int) -> None:
        lines = self.trial.held.get(known(session).id, [])
        seen = b"".join(self.trial.reader.read(known(session).id, first, first + count))
        same(seen, b"".join(lines[first : first + count]), "a range")

    @rule(session=SESSIONS, day=st.integers(1, 28))
    def touch(self, session: str, day: int) -> None:
        facts = known(session, updated_at=at(day))
        self.trial.write(self.trial.batch(session, facts=facts))

    @invariant()
    def adds_up(self) -> None:
        if hasattr(self, "trial"):
            totals = self.trial.reader.totals()
            same(totals.events, len(self.trial.order), "events")
            same(totals.next_position, len(self.trial.order) + 1, "next_position")


JournalMachine.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestJournal = JournalMachine.TestCase
