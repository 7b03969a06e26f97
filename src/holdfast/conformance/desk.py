"""Where a sample's logs are read: a file at a time, or a whole root into a journal."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import zstandard
from msgspec.structs import replace

from holdfast.blobstore import BlobStore
from holdfast.conformance.sample import Nonconformant, Sample
from holdfast.events import Event, decode_lines, session_id
from holdfast.ingest.child import comparing
from holdfast.ingest.gathering import ReadingLimits
from holdfast.ingest.plan import Plan, gone, make_job, make_plan
from holdfast.ingest.reading import COMPARE_AHEAD_BYTES, Reading, starting_cursor
from holdfast.ingest.spool import Spool, SpoolLimits, spooled, stamped
from holdfast.journal.memory import MemoryJournal, MemoryReader, MemoryWriter
from holdfast.journal.model import NO_USAGE, Batch, Cursor, Facts
from holdfast.privacy import Door
from holdfast.settings import Privacy
from holdfast.sources.base import LineSource, Log, file_stamp, is_compressed

LIMITS: Final = ReadingLimits(block_bytes=16_384, max_line_bytes=1_048_576)
DECOMPRESSED_BYTES_MAX: Final = 64 << 20


@cache
def _door() -> Door:
    """As it is by default: what is private or secret in a sample is taken out."""
    return Door.from_settings(Privacy())


class OneLog:
    """A log that is written and read by turns, as the tail does it; what came of it so far."""

    def __init__(self, sample: Sample, folder: Path, limits: ReadingLimits = LIMITS) -> None:
        self.root = str(folder / "root")
        self.source = sample.source([self.root])
        self.path = os.path.join(os.path.realpath(self.root), sample.path)
        self.log = identified(self.source, self.path)
        self._limits = limits
        self._blobs = BlobStore(str(folder / "blobs"))
        self.cursor = self._start()
        self._lines = bytearray()  # grows by thousands of small reads
        self._count = 0
        self.usage = NO_USAGE
        self.unknown: Counter[str] = Counter()
        self.facts: Facts | None = None
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        self.write(b"", "wb")

    def _start(self) -> Cursor:
        return starting_cursor(self.log, session_id(self.log.agent, self.log.agent_session_id))

    def write(self, content: bytes, mode: str = "ab") -> None:
        with open(self.path, mode) as file:
            file.write(content)

    def forget(self) -> None:
        """Back to an empty log that nobody has read."""
        self.cursor = self._start()
        self._lines, self._count = bytearray(), 0
        self.usage, self.facts = NO_USAGE, None
        self.unknown.clear()
        self.write(b"", "wb")

    def go_back(self, cursor: Cursor, lines: bytes) -> None:
        """To where it was when the cursor stood at its end."""
        self.cursor = cursor
        self._lines, self._count = bytearray(lines), lines.count(b"\n")
        os.truncate(self.path, cursor.offset)

    def read(self, content: bytes | None = None) -> list[Event]:
        """What is new in the log, with `content` written behind it first."""
        if content is not None:
            self.write(content)
        before = len(self._lines)
        reading = Reading(
            self.source,
            self.log,
            self.cursor,
            first_seq=self._count,
            limits=self._limits,
            blobs=self._blobs,
            door=_door(),
        )
        with open(self.path, "rb") as file:
            for batch in reading.batches(file.fileno()):
                self._take(batch)
        return decode_lines(self._lines[before:])

    def _take(self, batch: Batch) -> None:
        assert batch.cursor is not None
        self.cursor = batch.cursor
        self._lines += batch.lines
        self._count += batch.line_count
        self.facts = batch.facts
        self.usage = self.usage.plus(batch.usage)
        for name, (records, _bytes) in batch.unknown_types.items():
            self.unknown[name] += records

    @property
    def lines(self) -> bytes:
        return bytes(self._lines)

    @property
    def events(self) -> list[Event]:
        return decode_lines(self.lines)


class Shelf:
    """A root with logs, and a journal that they are read into."""

    def __init__(self, sample: Sample, folder: Path) -> None:
        self.root = os.path.realpath(folder / "root")
        self.source = sample.source([self.root])
        folder.mkdir(parents=True, exist_ok=True)
        self._blobs = BlobStore(str(folder / "blobs"))
        self._spool = SpoolLimits(str(folder), DECOMPRESSED_BYTES_MAX)
        journal = MemoryJournal()
        self._writer = MemoryWriter(journal)
        self.reader = MemoryReader(journal)

    def path(self, relative: str) -> str:
        path = os.path.join(self.root, relative)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return path

    def write(self, relative: str, content: bytes) -> str:
        """Compressed, where its name says so."""
        path = self.path(relative)
        if is_compressed(path):
            content = zstandard.ZstdCompressor().compress(content)
        with open(path, "wb") as file:
            file.write(content)
        return path

    def catch_up(self) -> Plan:
        """Plan and read everything once, as an import does."""
        plan = make_plan({self.source.agent: self.source}, self.reader)
        found = [self.reader.cursor(agent, path) for agent, path in plan.gone]
        self._writer.save_cursors([gone(cursor) for cursor in found if cursor])
        for pending in plan.pending:
            self._read(identified(self.source, pending.path))
        return plan

    def _read(self, log: Log) -> None:
        with open(log.path, "rb") as file:
            if not is_compressed(log.path):
                self._store(self._reading(log).batches(file.fileno()))
                return
            stamp = file_stamp(log.path)
            with spooled(file.fileno(), self._spool) as spool:
                batches = self._reading(log, spool).batches(spool.fd)
                self._store(stamped(batches, spool, stamp))

    def _reading(self, log: Log, spool: Spool | None = None) -> Reading:
        job = make_job(self.source, log, self.reader)
        cursor, known, kin = job.cursor, None, None
        if cursor.must_compare:
            if spool is not None:
                until = max(cursor.compare_until, spool.bytes + COMPARE_AHEAD_BYTES)
                cursor = replace(cursor, compare_until=until)
            known, kin = comparing(self.source, log, cursor, self.reader, _door())
        return Reading(
            self.source,
            log,
            cursor,
            first_seq=job.first_seq,
            limits=LIMITS,
            blobs=self._blobs,
            door=_door(),
            known=known,
            kin=kin,
            sealed=True,
        )

    def _store(self, batches: Iterator[Batch]) -> None:
        for batch in batches:
            self._writer.write([batch])

    def lines(self, session: str) -> bytes:
        identity = session_id(self.source.agent, session)
        return b"".join(self.reader.read(identity))


def identified(source: LineSource, path: str) -> Log:
    log = source.identify(path)
    if log is None:
        raise Nonconformant(f"{path} is not taken for a log of {source.agent}")
    return log
