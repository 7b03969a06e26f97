"""Asking a journal with readers that are lent for one question each.

There are few readers, and looking at every folder of every agent takes a while: whoever held a
reader meanwhile kept others from theirs, such as the status. What is asked at different times may
not fit together; who uses this can live with that, for files change between questions as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from holdfast.journal.model import (
    BlobFilter,
    BlobRow,
    Cursor,
    FilesLedger,
    Mark,
    Totals,
    UnknownType,
)
from holdfast.journal.protocol import ReaderScope

ERRORS_MAX: Final = 20
ALL_BLOBS: Final = BlobFilter()


class Questions:
    """Any thread may ask."""

    def __init__(self, readers: ReaderScope) -> None:
        self._readers = readers

    def cursor(self, agent: str, path: str) -> Cursor | None:
        with self._readers() as reader:
            return reader.cursor(agent, path)

    def marks(self) -> Iterator[Mark]:
        after = 0
        while True:
            with self._readers() as reader:
                page, after = reader.mark_page(after)
            if not page:
                return
            yield from page

    def ledger(self, agent: str = "") -> FilesLedger:
        with self._readers() as reader:
            return reader.ledger(agent)

    def file_errors(self, agent: str, limit: int = ERRORS_MAX) -> list[tuple[str, str]]:
        with self._readers() as reader:
            return reader.file_errors(agent, limit)

    def agent_totals(self) -> dict[str, tuple[int, int]]:
        with self._readers() as reader:
            return reader.agent_totals()

    def known_paths(self, agent: str, folder: str) -> set[str]:
        with self._readers() as reader:
            return reader.known_paths(agent, folder)

    def unknown_types(self) -> list[UnknownType]:
        with self._readers() as reader:
            return reader.unknown_types()

    def blobs(self, wanted: BlobFilter = ALL_BLOBS) -> list[BlobRow]:
        with self._readers() as reader:
            return reader.blobs(wanted)

    def totals(self) -> Totals:
        with self._readers() as reader:
            return reader.totals()
