"""A log that was read in part is known to be read in part, whenever the reading ended.

Found by killing at random: the cursor of a half-read log said that the log had its full size, so
the next start took it for one that had not changed, and never read the rest.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.blobstore import BlobStore
from holdfast.ingest.gathering import ReadingLimits
from holdfast.ingest.plan import make_job, make_plan
from holdfast.ingest.reading import Reading
from holdfast.journal.model import Batch, Cursor
from holdfast.journal.reader import SqliteReader
from holdfast.journal.writer import SqliteWriter
from holdfast.sources.agents.claude import Agent as ClaudeSource
from tests.support.doors import door
from tests.support.home import talk


class Desk:
    """A log, a journal, and the parts that read one into the other, without any process."""

    def __init__(self, folder: Path) -> None:
        self.source = ClaudeSource([str(folder)])
        self.path = folder / "projects" / "-p" / "s.jsonl"
        self.path.parent.mkdir(parents=True)
        self.writer = SqliteWriter(str(folder / "journal.db"))
        self.reader = SqliteReader(str(folder / "journal.db"))
        self._blobs = BlobStore(str(folder / "blobs"))

    def batches(self, block_bytes: int = 1_000) -> Iterator[Batch]:
        """What reading the log on gives; the caller stores as much of it as it wants."""
        log = self.source.identify(str(self.path))
        assert log is not None
        job = make_job(self.source, log, self.reader)
        reading = Reading(
            self.source,
            log,
            job.cursor,
            first_seq=job.first_seq,
            limits=ReadingLimits(block_bytes=block_bytes, max_line_bytes=1_000_000),
            blobs=self._blobs,
            door=door(),
        )
        fd = os.open(self.path, os.O_RDONLY)
        try:
            yield from reading.batches(fd)
        finally:
            os.close(fd)

    def unread(self) -> list[str]:
        plan = make_plan({"claude": self.source}, self.reader)
        return [pending.path for pending in plan.pending]

    def events(self) -> int:
        return self.reader.totals().events

    def close(self) -> None:
        self.reader.close()
        self.writer.close()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    try:
        yield desk
    finally:
        desk.close()


def test_whatever_batch_is_the_last_to_be_stored_the_rest_is_still_to_be_read(desk: Desk) -> None:
    desk.path.write_bytes(b"".join(talk(40)))
    total = len(list(desk.batches()))
    assert total > 5
    for _ in range(total):
        if desk.events() == 40:
            break
        assert desk.unread() == [str(desk.path)]
        for number, batch in enumerate(desk.batches()):
            desk.writer.write([batch])
            if number == 1:
                break  # killed here
    assert desk.events() == 40
    for batch in desk.batches():
        desk.writer.write([batch])
    assert desk.unread() == []


def test_what_comes_while_the_end_is_being_read_is_still_to_be_read(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the read that found the end and the look at the file's size, the file grew."""
    desk.path.write_bytes(b"".join(talk(3)))
    advance = Reading._advance

    def grow_then_advance(reading: Reading, fd: int) -> Cursor:
        with desk.path.open("ab") as file:
            file.writelines(talk(2, start=3))
        return advance(reading, fd)

    monkeypatch.setattr(Reading, "_advance", grow_then_advance)
    for batch in desk.batches(block_bytes=1_000_000):
        desk.writer.write([batch])
    monkeypatch.undo()
    assert desk.events() == 3
    assert desk.unread() == [str(desk.path)]
    for batch in desk.batches():
        desk.writer.write([batch])
    assert desk.events() == 5
    assert desk.unread() == []


def test_a_line_without_its_end_is_not_read_again_until_it_grows(desk: Desk) -> None:
    desk.path.write_bytes(b"".join(talk(2)) + b'{"type":"user"')
    for batch in desk.batches():
        desk.writer.write([batch])
    assert desk.events() == 2
    assert desk.unread() == [], "what was looked at needs no second look"
    assert desk.reader.ledger().torn == len(b'{"type":"user"')
