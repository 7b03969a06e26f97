"""Logs in a folder and a journal beside it, read without processes or threads."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from holdfast.blobstore import BlobStore
from holdfast.events import Event, Usage, decode_lines, session_id
from holdfast.ingest.child import comparing
from holdfast.ingest.gathering import ReadingLimits
from holdfast.ingest.plan import Plan, gone, make_job, make_plan
from holdfast.ingest.reading import Reading, starting_cursor
from holdfast.journal.model import NO_USAGE, Batch, Cursor, Text
from holdfast.journal.reader import SqliteReader
from holdfast.journal.writer import SqliteWriter
from holdfast.sources.agents.claude import Agent as ClaudeSource
from holdfast.sources.base import Log
from tests.support.doors import door

LIMITS: Final = ReadingLimits(block_bytes=4_096, max_line_bytes=4_000)
SESSION: Final = "5e551035-0000-4000-a000-000000000001"


@dataclass
class Read:
    """What reading a log gave so far, put together."""

    lines: bytes = b""
    usage: Usage = NO_USAGE
    texts: list[Text] = field(default_factory=list)
    unknown: dict[str, tuple[int, int]] = field(default_factory=dict)
    blobs: set[str] = field(default_factory=set)

    def add(self, batch: Batch) -> None:
        assert batch.first_seq == self.lines.count(b"\n")
        assert batch.line_count == batch.lines.count(b"\n")
        self.lines += batch.lines
        self.usage = Usage(
            self.usage.input + batch.usage.input,
            self.usage.output + batch.usage.output,
            self.usage.cache_read + batch.usage.cache_read,
            self.usage.cache_write + batch.usage.cache_write,
        )
        self.texts += batch.texts
        self.blobs |= {blob.digest for blob in batch.blobs}
        for name, (records, size) in batch.unknown_types.items():
            before = self.unknown.get(name, (0, 0))
            self.unknown[name] = (before[0] + records, before[1] + size)

    @property
    def events(self) -> list[Event]:
        return decode_lines(self.lines)


class OneLog:
    """A log that is written and read by turns, as the tail does it."""

    def __init__(self, folder: Path, limits: ReadingLimits = LIMITS) -> None:
        self.path = folder / f"{SESSION}.jsonl"
        self.path.touch()
        self.limits = limits
        self.blobs = BlobStore(str(folder / "blobs"))
        self.door = door()
        self.source = ClaudeSource([])
        self.log = Log("claude", str(self.path), str(folder), SESSION)
        self.cursor: Cursor = starting_cursor(self.log, session_id("claude", SESSION))
        self.read = Read()

    def write(self, content: bytes) -> None:
        with self.path.open("ab") as file:
            file.write(content)

    def batches(self, fd: int) -> Iterator[Batch]:
        reading = Reading(
            self.source,
            self.log,
            self.cursor,
            first_seq=self.read.lines.count(b"\n"),
            limits=self.limits,
            blobs=self.blobs,
            door=self.door,
        )
        for batch in reading.batches(fd):
            assert batch.cursor is not None
            self.cursor = batch.cursor
            self.read.add(batch)
            yield batch

    def catch_up(self) -> Cursor:
        with self.path.open("rb") as file:
            for _ in self.batches(file.fileno()):
                pass
        return self.cursor


class Shelf:
    """A root with logs, and the journal that they are read into."""

    def __init__(self, folder: Path, limits: ReadingLimits = LIMITS) -> None:
        self.root = folder / "claude"
        self.projects = self.root / "projects"
        self.limits = limits
        self.source = ClaudeSource([str(self.root)])
        self.sources = {"claude": self.source}
        self.blobs = BlobStore(str(folder / "blobs"))
        self.door = door()
        self.writer = SqliteWriter(str(folder / "journal.db"))
        self.reader = SqliteReader(str(folder / "journal.db"))

    def close(self) -> None:
        self.reader.close()
        self.writer.close()

    def log(self, name: str = SESSION, project: str = "-home-hana") -> Path:
        path = self.projects / project / f"{name}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def plan(self) -> Plan:
        return make_plan(self.sources, self.reader)

    def catch_up(self) -> Plan:
        """Plan and read everything once, as an import does."""
        plan = self.plan()
        found = [self.reader.cursor(agent, path) for agent, path in plan.gone]
        self.writer.save_cursors([gone(cursor) for cursor in found if cursor])
        for pending in plan.pending:
            log = self.source.identify(pending.path)
            assert log is not None
            self.read(log)
        return plan

    def read(self, log: Log) -> None:
        job = make_job(self.source, log, self.reader)
        cursor = job.cursor
        known, kin = None, None
        if cursor.must_compare:
            known, kin = comparing(self.source, log, cursor, self.reader, self.door)
        reading = Reading(
            self.source,
            log,
            cursor,
            first_seq=job.first_seq,
            limits=self.limits,
            blobs=self.blobs,
            door=self.door,
            known=known,
            kin=kin,
            sealed=True,
        )
        fd = os.open(log.path, os.O_RDONLY)
        try:
            for batch in reading.batches(fd):
                self.writer.write([batch])
        finally:
            os.close(fd)

    def cursor(self, path: Path) -> Cursor:
        cursor = self.reader.cursor("claude", str(path))
        assert cursor is not None
        return cursor

    def events(self, name: str = SESSION) -> list[Event]:
        session = session_id("claude", name)
        if self.reader.session(session) is None:
            return []
        return list(self.reader.events(session))

    def texts(self, name: str = SESSION) -> list[str]:
        return [event.text for event in self.events(name)]
