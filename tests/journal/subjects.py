"""The journals that we have, as subjects of the conformance kit."""

from __future__ import annotations

from pathlib import Path

from holdfast.journal.memory import MemoryJournal
from holdfast.journal.protocol import JournalReader, JournalWriter
from holdfast.journal.reader import SqliteReader
from holdfast.journal.writer import SqliteWriter


class SqliteSubject:
    def __init__(self, folder: Path, path: str = "") -> None:
        self.folder = str(folder)
        self.path = path or str(folder / "journal.db")

    def writer(self, *, block_bytes: int, audit_max_rows: int) -> JournalWriter:
        return SqliteWriter(self.path, block_bytes=block_bytes, audit_max_rows=audit_max_rows)

    def reader(self) -> JournalReader:
        return SqliteReader(self.path)

    def restored(self, backup: str) -> SqliteSubject:
        return SqliteSubject(Path(self.folder), backup)


class MemorySubject:
    def __init__(self, folder: Path, journal: MemoryJournal | None = None) -> None:
        self.folder = str(folder)
        self.journal = journal or MemoryJournal()

    def writer(self, *, block_bytes: int, audit_max_rows: int) -> JournalWriter:
        self.journal.audit_max_rows = audit_max_rows
        return self.journal.writer()

    def reader(self) -> JournalReader:
        return self.journal.reader()

    def restored(self, backup: str) -> MemorySubject:
        return MemorySubject(Path(self.folder), MemoryJournal.restore(backup))
