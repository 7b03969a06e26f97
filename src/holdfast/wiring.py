"""What the daemon and an import without a daemon are both built from."""

from __future__ import annotations

from collections.abc import Callable

from holdfast.ingest.child import Setup
from holdfast.ingest.importer import child_limit_bytes
from holdfast.ingest.reading import ReadingLimits
from holdfast.journal.reader import SqliteReader
from holdfast.journal.service import JournalService
from holdfast.journal.sqlite import JournalError
from holdfast.journal.writer import SqliteWriter
from holdfast.paths import Paths
from holdfast.settings import Settings


def make_setup(settings: Settings, paths: Paths) -> Setup:
    """What import children are told."""
    limits = ReadingLimits(settings.snapshots.block_bytes, settings.ingest.max_line_bytes)
    return Setup(limits, paths.blobs, paths.journal, child_limit_bytes(settings))


def open_journal(
    settings: Settings, paths: Paths, on_failure: Callable[[JournalError], None]
) -> JournalService:
    """The journal of this home; the caller holds its lock."""
    return JournalService(
        lambda: SqliteWriter(
            paths.journal,
            block_bytes=settings.snapshots.block_bytes,
            audit_max_rows=settings.journal.audit_max_rows,
        ),
        lambda: SqliteReader(paths.journal),
        readers=settings.journal.readers,
        on_failure=on_failure,
    )
