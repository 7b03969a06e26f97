"""Every journal does what every journal must do; and the kit can tell when one does not."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

import pytest

from holdfast.journal.conformance import REQUIREMENTS, Nonconformant, Requirement, Subject, name
from holdfast.journal.memory import MemoryReader, MemoryWriter
from holdfast.journal.model import AuditRecord, Batch, CommandRow, Recording, Run
from holdfast.journal.protocol import JournalReader, JournalWriter, Scrub, never
from holdfast.journal.work import Claim
from holdfast.journal.work_memory import Kept, MemoryWork
from tests.journal.subjects import MemorySubject, SqliteSubject


@pytest.mark.parametrize("subject", [SqliteSubject, MemorySubject])
@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=name)
def test_conformance(
    requirement: Requirement, subject: Callable[[Path], Subject], tmp_path: Path
) -> None:
    requirement(subject(tmp_path))


def test_each_requirement_has_a_name_of_its_own() -> None:
    names = [name(requirement) for requirement in REQUIREMENTS]
    assert all(names)
    assert len(set(names)) == len(names)


class ForgetsCursors(MemoryWriter):
    def write(self, batches: Sequence[Batch], *, durable: bool = False) -> None:
        for batch in batches:
            batch.cursor = None
        super().write(batches, durable=durable)


class StoresOneByOne(MemoryWriter):
    def write(self, batches: Sequence[Batch], *, durable: bool = False) -> None:
        for batch in batches:
            super().write([batch], durable=durable)


class TakesAnything(MemoryWriter):
    def _refuse_conflicts(self, batches: Sequence[Batch]) -> None:
        pass


class IndexesBeforeItIsFed(MemoryWriter):
    def write(self, batches: Sequence[Batch], *, durable: bool = False) -> None:
        super().write(batches, durable=durable)
        self.feed_index()


class SkipsWhatItLost(MemoryWriter):
    """Forgets at opening what the index was not fed before."""

    def __init__(self, journal: Any) -> None:
        super().__init__(journal)
        self._state.indexed = len(self._state.order)


class IsNeverInHaste(MemoryWriter):
    def feed_index(self, in_haste: Callable[[], bool] = never) -> bool:
        return super().feed_index()


class StandsStillInHaste(MemoryWriter):
    def feed_index(self, in_haste: Callable[[], bool] = never) -> bool:
        return True if in_haste() else super().feed_index()


class AuditsForEver(MemoryWriter):
    def audit(self, records: Sequence[AuditRecord]) -> None:
        self._state.audit += records


class TakesACommandTwice(MemoryWriter):
    def save_recordings(
        self,
        recordings: Sequence[Recording] = (),
        commands: Sequence[CommandRow] = (),
        commands_position: int | None = None,
    ) -> None:
        for command in commands:
            command.key += str(command.no)
        super().save_recordings(recordings, commands, commands_position)


class RewritesTitlesFirst(MemoryWriter):
    def rewrite(self, session: str, scrub: Scrub) -> int:
        row = self._state.sessions.get(session)
        if row is not None:
            row.title = scrub.text(row.title)
        return super().rewrite(session, scrub)


class ConfirmsForAnybody(MemoryWriter):
    @property
    def work(self) -> MemoryWork:
        table = super().work
        return _ForAnybody(self._state.work, table._lanes)


class _ForAnybody(MemoryWork):
    def _held(self, claims: Sequence[Claim]) -> list[Kept]:
        found = [self._state.items.get(claim.no) for claim in claims]
        return [kept for kept in found if kept is not None]


class ReadsOneTooMany(MemoryReader):
    def read(
        self, session: str, from_seq: int = 0, to_seq: int | None = None, **options: Any
    ) -> Generator[bytes, None, None]:
        yield from super().read(session, from_seq, None if to_seq is None else to_seq + 1)


class SplitsRuns(MemoryReader):
    def runs(self, position: int, *, limit: int = 1_000, session: str = "") -> list[Run]:
        whole = super().runs(1, limit=10_000, session=session)
        single = [
            Run(run.position + number, run.session, run.first_seq + number, 1, run.agent, run.name)
            for run in whole
            for number in range(run.count)
        ]
        return [run for run in single if run.position >= position][:limit]


class Broken(MemorySubject):
    """The twin with one part that is wrong."""

    def __init__(self, folder: Path, part: type[MemoryWriter | MemoryReader]) -> None:
        super().__init__(folder)
        self._part: Any = part

    def writer(self, *, block_bytes: int, audit_max_rows: int) -> JournalWriter:
        whole = super().writer(block_bytes=block_bytes, audit_max_rows=audit_max_rows)
        return self._part(self.journal) if issubclass(self._part, MemoryWriter) else whole

    def reader(self) -> JournalReader:
        whole = super().reader()
        return self._part(self.journal) if issubclass(self._part, MemoryReader) else whole


@pytest.mark.parametrize(
    ("part", "caught_by"),
    [
        (ForgetsCursors, "a cursor is stored with its events"),
        (StoresOneByOne, "all batches are stored or none"),
        (TakesAnything, "a batch that does not start where the session ends is refused"),
        (IndexesBeforeItIsFed, "search finds what the index was fed"),
        (SkipsWhatItLost, "texts that were not fed are read again after reopening"),
        (IsNeverInHaste, "a feed in haste feeds a part and goes on behind it"),
        (StandsStillInHaste, "a feed in haste feeds a part and goes on behind it"),
        (AuditsForEver, "the audit keeps the newest records only"),
        (TakesACommandTwice, "a command has one turn ever"),
        (RewritesTitlesFirst, "a rewriting that fails changes nothing"),
        (
            ConfirmsForAnybody,
            "what nobody confirms is given out again and the old claim is void",
        ),
        (ReadsOneTooMany, "any range of events can be read"),
        (SplitsRuns, "the global order has no gaps and merges neighbours"),
    ],
)
def test_the_kit_refuses_a_journal_with_one_part_that_is_wrong(
    part: type[MemoryWriter | MemoryReader], caught_by: str, tmp_path: Path
) -> None:
    (requirement,) = [each for each in REQUIREMENTS if name(each) == caught_by]
    with pytest.raises(Nonconformant):
        requirement(Broken(tmp_path, part))
